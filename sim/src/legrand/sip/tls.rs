//! Who may connect: clients with a certificate of our authority, judged by the simulator's clock.

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::time_provider::TimeProvider;
use rustls::version::TLS12;
use rustls::{
    ALL_VERSIONS, CertificateError, DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig, SignatureScheme,
    SupportedProtocolVersion,
};
use tokio_rustls::TlsAcceptor;

use crate::clock::Clock;
use crate::legrand::authority::Authority;
use crate::legrand::faults::Faults;
use crate::legrand::passage::Mishap;
use crate::legrand::world::World;

const ONLY_TLS12: &[&SupportedProtocolVersion] = &[&TLS12];

/// What every handshake needs.
pub(crate) struct Tls {
    provider: Arc<CryptoProvider>,
    time: Arc<Time>,
    clients: Arc<dyn ClientCertVerifier>,
    ours: Arc<SingleCertAndKey>,
    next: Arc<SingleCertAndKey>,
    foreign: Arc<SingleCertAndKey>,
}

impl Tls {
    pub(crate) fn new(world: &World) -> io::Result<Self> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(world.client_authority.certificate.clone()).map_err(io::Error::other)?;
        let clients =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().map_err(io::Error::other)?;
        let shown = |authority: &Authority| {
            let (certificate, key) = authority.serve()?;
            let key = CertifiedKey::from_der(vec![certificate], key, &provider).map_err(io::Error::other)?;
            Ok::<_, io::Error>(Arc::new(SingleCertAndKey::from(key)))
        };
        let ours = shown(&world.server_authority)?;
        let next = shown(&world.next_authority)?;
        let foreign = shown(&Authority::new("Somebody Else's CA", None)?)?;
        Ok(Self { provider, time: Arc::new(Time(Arc::clone(&world.clock))), clients, ours, next, foreign })
    }

    /// How the next connection shakes hands. Nothing is resumed, so that each certificate is looked at.
    pub(crate) fn acceptor(&self, faults: &Faults, mishap: Option<Mishap>) -> Result<TlsAcceptor, rustls::Error> {
        let verifier: Arc<dyn ClientCertVerifier> = match mishap {
            Some(Mishap::CertificateExpired) => Arc::new(Refuser(Arc::clone(&self.clients), CertificateError::Expired)),
            Some(Mishap::CertificateRefused) => Arc::new(Refuser(Arc::clone(&self.clients), CertificateError::Revoked)),
            _ => Arc::clone(&self.clients),
        };
        let shown = match (faults.foreign_certificate, faults.new_authority) {
            (true, _) => &self.foreign,
            (false, true) => &self.next,
            (false, false) => &self.ours,
        };
        let mut config = ServerConfig::builder_with_details(Arc::clone(&self.provider), Arc::<Time>::clone(&self.time))
            .with_protocol_versions(if faults.tls12_only { ONLY_TLS12 } else { ALL_VERSIONS })?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::<SingleCertAndKey>::clone(shown));
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

/// The simulator's clock, for certificates.
struct Time(Arc<dyn Clock>);

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Time")
    }
}

impl TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(std::time::Duration::from_millis(self.0.now_ms())))
    }
}

/// Refuses every certificate for a reason, right ones too.
#[derive(Debug)]
struct Refuser(Arc<dyn ClientCertVerifier>, CertificateError);

impl ClientCertVerifier for Refuser {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Err(rustls::Error::InvalidCertificate(self.1.clone()))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, cert, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, cert, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
