//! A server that is known by its certificate rather than by an authority.

use base64::{Engine as _, engine::general_purpose};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// Reads a pin: hex with or without colons, or base64, of 32 bytes.
pub fn parse_pin(text: &str) -> Option<[u8; 32]> {
    let text = text.trim().trim_start_matches("sha256/");
    let hex: String = text.chars().filter(|c| *c != ':').collect();
    if hex.len() == 64 && hex.is_ascii() {
        let mut pin = [0; 32];
        for (byte, at) in pin.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(hex.get(at..at + 2)?, 16).ok()?;
        }
        return Some(pin);
    }
    general_purpose::STANDARD.decode(text).ok()?.try_into().ok()
}

/// Trusts exactly one certificate or public key. Signatures are verified as ever; names and dates are not, since the pin
/// says who it is.
pub fn pinned_verifier(pin: [u8; 32], provider: &Arc<CryptoProvider>) -> Arc<dyn ServerCertVerifier> {
    Arc::new(Pinned { pin, provider: Arc::clone(provider) })
}

/// TLS for HTTP with that trust.
pub(crate) fn pinned(pin: [u8; 32], provider: &Arc<CryptoProvider>) -> Result<ClientConfig, Error> {
    let config = ClientConfig::builder_with_provider(Arc::clone(provider)).with_safe_default_protocol_versions()?;
    let mut config = config.dangerous().with_custom_certificate_verifier(pinned_verifier(pin, provider)).with_no_client_auth();
    // All that the client speaks.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

#[derive(Debug)]
struct Pinned {
    pin: [u8; 32],
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let key = ParsedCertificate::try_from(end_entity)?.subject_public_key_info();
        let matches = |der: &[u8]| <[u8; 32]>::from(Sha256::digest(der)) == self.pin;
        if matches(end_entity) || matches(&key) {
            return Ok(ServerCertVerified::assertion());
        }
        Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::parse_pin;

    #[test]
    fn a_pin_is_read_as_hex_and_as_base64() {
        let hex = "00".repeat(31) + "ff";
        let mut pin = [0; 32];
        pin[31] = 255;
        assert_eq!(parse_pin(&hex), Some(pin));
        assert_eq!(
            parse_pin(&hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap()).collect::<Vec<_>>().join(":")),
            Some(pin)
        );
        assert_eq!(parse_pin("sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAP8="), Some(pin));
        for wrong in ["", "00", "zz", &"é".repeat(32), "AAAA"] {
            assert_eq!(parse_pin(wrong), None, "{wrong}");
        }
    }
}
