//! What a device shows at the broker: made at random, or derived from a salt as the original tools do it.

use aws_lc_rs::{digest, hmac};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use doorward_core::Secret;
use doorward_store::DeviceSecrets;
use doorward_wire::device::DeviceId;
use std::fmt::Write as _;

/// Characters of a salt, at least.
const SALT: usize = 32;
/// Salts that stand in published programs: everybody knows them.
const PUBLISHED: [&str; 2] = ["HoptechBLEGateway2025_SecretSalt_DoNotShare_KeepThisSecure", "YOUR_SECRET_SALT_HERE_CHANGE_THIS"];

/// How the credentials of a device come about.
#[derive(Debug, Clone, Default)]
pub enum Derivation {
    /// 256 random bits.
    #[default]
    Random,
    /// SHA-256 of identifier and salt, for fleets of the original guide.
    Sha256Salt(Salt),
    /// HMAC-SHA-256 of the identifier, keyed with the salt.
    Hmac(Salt),
}

/// A salt that is long enough, and no published one.
#[derive(Debug, Clone)]
pub struct Salt(Secret<String>);

/// Why a salt is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SaltError {
    /// It could be guessed.
    #[error("must have at least {SALT} characters")]
    Short,
    /// It stands in a published program.
    #[error("is published with the original tools, so everybody knows it; use one of your own, as from `openssl rand -hex 32`")]
    Published,
}

impl Salt {
    /// Takes a salt, if it is a good one.
    pub fn new(salt: &str) -> Result<Self, SaltError> {
        if PUBLISHED.contains(&salt) {
            return Err(SaltError::Published);
        }
        if salt.chars().count() < SALT {
            return Err(SaltError::Short);
        }
        Ok(Self(Secret::from(salt)))
    }
}

/// The name of a device's user at the broker, and what it shows there and here.
#[derive(Debug, Clone)]
pub(crate) struct Credentials {
    pub(crate) user: String,
    pub(crate) secrets: DeviceSecrets,
}

impl Derivation {
    /// The credentials of a device. `dice` are random, and used for its token in any case.
    pub(crate) fn credentials(&self, id: &DeviceId, dice: [u8; 64]) -> Credentials {
        let (password, token) = dice.split_at(32);
        let (user, password) = match self {
            Self::Random => (id.to_string(), hex(password)),
            Self::Sha256Salt(Salt(salt)) => {
                let digest = digest::digest(&digest::SHA256, format!("{id}{}", salt.reveal()).as_bytes());
                (id.to_string(), hex(digest.as_ref()))
            }
            Self::Hmac(Salt(salt)) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, salt.reveal().as_bytes());
                let tag = hmac::sign(&key, id.as_str().as_bytes());
                (format!("ble-gateway-{id}"), STANDARD.encode(tag.as_ref().get(..24).unwrap_or_default()))
            }
        };
        Credentials { user, secrets: DeviceSecrets { password: Secret::new(password), token: Secret::new(hex(token)) } }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vectors() -> serde_json::Value {
        serde_json::from_str(include_str!("../../wire/tests/vectors/provisioning.json")).unwrap()
    }

    #[test]
    fn the_vectors_of_both_derivations() {
        let vectors = vectors();
        let salt = || Salt::new(vectors["salt"].as_str().unwrap()).unwrap();
        for device in vectors["devices"].as_array().unwrap() {
            let id: DeviceId = device["device_id"].as_str().unwrap().parse().unwrap();
            let made = Derivation::Sha256Salt(salt()).credentials(&id, [7; 64]);
            assert_eq!(made.user, id.as_str());
            assert_eq!(made.secrets.password.reveal(), device["sha256_hex"].as_str().unwrap());
            let made = Derivation::Hmac(salt()).credentials(&id, [7; 64]);
            assert_eq!(made.user, device["hmac_user"].as_str().unwrap());
            assert_eq!(made.secrets.password.reveal(), device["hmac_b64"].as_str().unwrap());
        }
    }

    #[test]
    fn short_and_published_salts_are_refused() {
        assert_eq!(Salt::new("short").unwrap_err(), SaltError::Short);
        for salt in vectors()["published_salts_to_refuse"].as_array().unwrap() {
            assert_eq!(Salt::new(salt.as_str().unwrap()).unwrap_err(), SaltError::Published);
        }
    }

    #[test]
    fn random_credentials_are_the_dice_and_nothing_else() {
        let id: DeviceId = "A1B2C3".parse().unwrap();
        let mut dice = [0; 64];
        dice[..32].fill(0xAB);
        let made = Derivation::Random.credentials(&id, dice);
        assert_eq!((made.user.as_str(), made.secrets.password.reveal().as_str()), ("A1B2C3", "ab".repeat(32).as_str()));
        assert_eq!(made.secrets.token.reveal(), &"00".repeat(32));
    }
}
