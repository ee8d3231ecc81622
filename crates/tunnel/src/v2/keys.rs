//! The gateway's key, and what a client is told of it.

use super::{HEADER, PUBLIC, SealError};
use aws_lc_rs::digest::{SHA256, digest};
use ohttp::{
    KeyConfig, Server, SymmetricSuite,
    hpke::{Aead, Kdf, Kem},
};

/// Suites for answers and requests, in the order in which clients should prefer them.
const SUITES: [SymmetricSuite; 2] =
    [SymmetricSuite::new(Kdf::HkdfSha256, Aead::Aes128Gcm), SymmetricSuite::new(Kdf::HkdfSha256, Aead::ChaCha20Poly1305)];
/// DHKEM(X25519, HKDF-SHA256) as it is written (RFC 9180, section 7.1).
const KEM: [u8; 2] = [0x00, 0x20];
/// HKDF-SHA256 and AES-128-GCM as they are written (RFC 9180, sections 7.2 and 7.3).
pub(super) const SUITE: [u8; 4] = [0x00, 0x01, 0x00, 0x01];
/// Bytes of a configuration before its suites: id, KEM, public key, how many bytes of suites.
const BEFORE_SUITES: usize = 1 + KEM.len() + PUBLIC + 2;

/// The gateway's key pair. It cannot be printed.
pub struct GatewayKey {
    pub(super) server: Server,
    config: Vec<u8>,
    pin: [u8; 32],
}

impl GatewayKey {
    /// The key pair that a seed always gives (`DeriveKeyPair`, RFC 9180, section 7.1.3), under an id. A seed has no use
    /// other than this one.
    pub fn derive(id: u8, seed: &[u8; 32]) -> Result<Self, SealError> {
        let key = KeyConfig::derive(id, Kem::X25519Sha256, SUITES.to_vec(), seed).map_err(|_| SealError)?;
        let config = KeyConfig::encode_list(&[&key]).map_err(|_| SealError)?;
        let server = Server::new(key).map_err(|_| SealError)?;
        Ok(Self { server, pin: sha256(&config), config })
    }

    /// The public part, as `application/ohttp-keys`: one configuration with its length before it.
    pub fn config(&self) -> &[u8] {
        &self.config
    }

    /// The SHA-256 of [`Self::config`], by which a client knows it again.
    pub fn pin(&self) -> &[u8; 32] {
        &self.pin
    }
}

/// The gateway's public key, as a client knows it.
#[derive(Clone)]
pub struct PinnedConfig {
    pub(super) id: u8,
    pub(super) public: [u8; PUBLIC],
}

impl PinnedConfig {
    /// The configuration with this pin in `application/ohttp-keys`. `None` where there is none, or it is for other
    /// algorithms.
    pub fn read(mut list: &[u8], pin: &[u8; 32]) -> Option<Self> {
        loop {
            let length = usize::from(u16::from_be_bytes(*list.first_chunk()?));
            let (entry, rest) = list.split_at_checked(2 + length)?;
            if sha256(entry) == *pin {
                return Self::entry(entry.get(2..)?);
            }
            list = rest;
        }
    }

    fn entry(entry: &[u8]) -> Option<Self> {
        let (before, suites) = entry.split_at_checked(BEFORE_SUITES)?;
        let (id, kem, public) = (before[0], &before[1..3], before[3..3 + PUBLIC].try_into().ok()?);
        let length = usize::from(u16::from_be_bytes(*before.last_chunk()?));
        let has_suite = suites.chunks_exact(SUITE.len()).any(|suite| suite == SUITE);
        (kem == KEM && length == suites.len() && has_suite).then_some(Self { id, public })
    }

    /// What stands before `enc` in a request.
    pub(super) fn header(&self) -> [u8; HEADER] {
        [self.id, KEM[0], KEM[1], SUITE[0], SUITE[1], SUITE[2], SUITE[3]]
    }

    /// The same for `ohttp`, with the one suite that is used here: given others, it takes the first, and panics where it
    /// knows none of them.
    pub(super) fn for_chunks(&self) -> Result<KeyConfig, SealError> {
        let mut entry = vec![self.id];
        entry.extend_from_slice(&KEM);
        entry.extend_from_slice(&self.public);
        entry.extend_from_slice(&[0, 4]);
        entry.extend_from_slice(&SUITE);
        KeyConfig::decode(&entry).map_err(|_| SealError)
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}
