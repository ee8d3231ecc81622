//! Two authorities of our own: one signs the certificates of clients, the other that of the registrar.

use std::fmt;
use std::io;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, DnValue, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType, SerialNumber, SignatureAlgorithm, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde::{Deserialize, Serialize};

use super::csr;

/// How far a certificate reaches back, for whose clock is behind.
const BACK: Duration = Duration::from_hours(1);
/// Names under which the registrar may be reached.
const SERVER_NAMES: [&str; 5] = ["localhost", "127.0.0.1", "::1", "vdesip.bs.iotleg.com", "*.bs.iotleg.com"];

/// An authority: a key, and a certificate that it signed for itself.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) certificate: CertificateDer<'static>,
}

/// What is kept of one: base64 of DER.
#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct Saved {
    key: String,
    certificate: String,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

impl Authority {
    /// A fresh one, or the one that was kept.
    pub(crate) fn new(name: &str, saved: Option<&Saved>) -> io::Result<Self> {
        let params = authority_params(name);
        let Some(saved) = saved else {
            let key = key()?;
            let certificate = params.self_signed(&key).map_err(io::Error::other)?.der().clone();
            return Ok(Self { issuer: Issuer::new(params, key), certificate });
        };
        let der = |text: &str| BASE64_STANDARD.decode(text).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()));
        let key = PrivatePkcs8KeyDer::from(der(&saved.key)?);
        let key = KeyPair::from_pkcs8_der_and_sign_algo(&key, &PKCS_ECDSA_P256_SHA256)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok(Self { issuer: Issuer::new(params, key), certificate: der(&saved.certificate)?.into() })
    }

    pub(crate) fn saved(&self) -> Saved {
        Saved { key: BASE64_STANDARD.encode(self.issuer.key().serialized_der()), certificate: BASE64_STANDARD.encode(&self.certificate) }
    }

    /// Signs what a request asks for.
    pub(crate) fn sign(&self, request: &csr::Request, serial: u64, now_ms: u64, lives: Duration) -> Result<Vec<u8>, rcgen::Error> {
        let now = date_time_ymd(1970, 1, 1) + Duration::from_millis(now_ms);
        let mut params = CertificateParams::default();
        params.not_before = now - BACK;
        params.not_after = now + lives;
        params.serial_number = Some(SerialNumber::from_slice(&serial.to_be_bytes()));
        params.distinguished_name = names(&[(DnType::CommonName, &request.client_id), (DnType::OrganizationalUnitName, "DIY")]);
        params.distinguished_name.push(DnType::OrganizationName, "LEGRAND");
        params.subject_alt_names = vec![SanType::URI(request.uri.as_str().try_into()?)];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        Ok(params.signed_by(&Point(&request.public_key), &self.issuer)?.der().to_vec())
    }

    /// A certificate for the registrar, with its key.
    pub(crate) fn serve(&self) -> io::Result<(CertificateDer<'static>, PrivateKeyDer<'static>)> {
        let key = key()?;
        let mut params = CertificateParams::new(SERVER_NAMES.map(str::to_owned)).map_err(io::Error::other)?;
        long_lived(&mut params);
        params.distinguished_name = names(&[(DnType::OrganizationName, "LEGRAND"), (DnType::CommonName, "vdesip.bs.iotleg.com")]);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer).map_err(io::Error::other)?;
        Ok((certificate.der().clone(), PrivatePkcs8KeyDer::from(key.serialize_der()).into()))
    }
}

fn key() -> io::Result<KeyPair> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(io::Error::other)
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    long_lived(&mut params);
    params.distinguished_name = names(&[(DnType::OrganizationName, "LEGRAND"), (DnType::CommonName, name)]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// Good whatever the clocks of a test show.
fn long_lived(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2000, 1, 1);
    params.not_after = date_time_ymd(2049, 12, 31);
}

fn names(pairs: &[(DnType, &str)]) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    for (kind, value) in pairs {
        names.push(kind.clone(), DnValue::Utf8String((*value).to_owned()));
    }
    names
}

/// A public key that came in a request.
struct Point<'a>(&'a [u8]);

impl PublicKeyData for Point<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}
