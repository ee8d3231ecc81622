//! Whom to believe, and who we are: the vendor's own authority is pinned, and the client shows a certificate of its own.

use doorward_core::Secret;
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        Resumption, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime},
    sign::CertifiedKey,
};
use sha2::{Digest as _, Sha256};
use std::{
    fmt::Write as _,
    sync::{Arc, Mutex, PoisonError},
};

/// Whom to believe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// These authorities (DER), and no public one.
    Authorities(Vec<Vec<u8>>),
    /// The server with this SHA-256 of its certificate or of its public key.
    Pin([u8; 32]),
}

/// The client's certificate with its key.
#[derive(Debug, Clone)]
pub struct ClientCertificate {
    /// The certificate and those above it, as DER.
    pub chain: Vec<Vec<u8>>,
    /// Its private key, as PKCS #8.
    pub key: Secret<Vec<u8>>,
}

impl ClientCertificate {
    /// An error when the certificate or its key is none, or they do not belong together.
    pub fn check(&self) -> Result<(), TlsError> {
        let provider = CryptoProvider::get_default().ok_or(TlsError::NoProvider)?;
        let checked = CertifiedKey::from_der(self.certificates(), self.private_key(), provider);
        checked.map(drop).map_err(|error| TlsError::Certificate(error.to_string()))
    }

    fn certificates(&self) -> Vec<CertificateDer<'static>> {
        self.chain.iter().map(|der| CertificateDer::from(der.clone())).collect()
    }

    fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.key.reveal().clone()))
    }
}

/// TLS for one account.
#[derive(Clone)]
pub struct Tls {
    pub(super) config: Arc<ClientConfig>,
    seen: Arc<Seen>,
}

/// Why there is no TLS.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// The program installs it first thing.
    #[error("this program was started without cryptography")]
    NoProvider,
    /// The pinned authorities are none.
    #[error("the vendor's authorities cannot be used: {0}")]
    Authorities(String),
    /// The certificate or its key is none, or they do not belong together.
    #[error("the client certificate cannot be used: {0}")]
    Certificate(String),
}

impl Tls {
    /// TLS that believes `trust` alone and shows `client`.
    pub fn new(trust: &Trust, client: &ClientCertificate) -> Result<Self, TlsError> {
        let provider = CryptoProvider::get_default().map(Arc::clone).ok_or(TlsError::NoProvider)?;
        let inner = match trust {
            Trust::Pin(pin) => doorward_http::pinned_verifier(*pin, &provider),
            Trust::Authorities(authorities) => {
                let wrong = |error: &dyn std::fmt::Display| TlsError::Authorities(error.to_string());
                let mut roots = RootCertStore::empty();
                for der in authorities {
                    roots.add(CertificateDer::from(der.clone())).map_err(|error| wrong(&error))?;
                }
                let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build();
                verifier.map_err(|error| wrong(&error))? as Arc<dyn ServerCertVerifier>
            }
        };
        let seen = Arc::new(Seen { inner, refused: Mutex::default() });
        let wrong = |error: Error| TlsError::Certificate(error.to_string());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(wrong)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::<Seen>::clone(&seen))
            .with_client_auth_cert(client.certificates(), client.private_key())
            .map_err(wrong)?;
        // Each connection looks at both certificates anew, and an idle one keeps no tickets.
        config.resumption = Resumption::disabled();
        Ok(Self { config: Arc::new(config), seen })
    }

    /// The SHA-256 of the last server certificate that was refused.
    pub fn refused(&self) -> Option<String> {
        self.seen.refused.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(fingerprint_text)
    }
}

/// The SHA-256 of a certificate (DER) as people compare it: `AB:CD:…`.
pub fn fingerprint(der: &[u8]) -> String {
    fingerprint_text(&Sha256::digest(der).into())
}

fn fingerprint_text(hash: &[u8; 32]) -> String {
    hash.iter().fold(String::with_capacity(95), |mut text, byte| {
        let colon = if text.is_empty() { "" } else { ":" };
        let _ = write!(text, "{colon}{byte:02X}");
        text
    })
}

/// Remembers whom it refused, so that a person can be told.
#[derive(Debug)]
struct Seen {
    inner: Arc<dyn ServerCertVerifier>,
    refused: Mutex<Option<[u8; 32]>>,
}

impl ServerCertVerifier for Seen {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now).inspect_err(|_| {
            *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(Sha256::digest(end_entity).into());
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
