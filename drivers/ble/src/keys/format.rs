//! How keys are written: PEM in version 1, a line in version 2.

use super::{File, Mistakes, Role, names::Half};
use crate::clock::Clock;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use doorward_core::Secret;
use doorward_wire::ble::{
    compat::{Bits, KeyError, PrivateKey, PublicKey},
    v2::{Guest, GuestKey, Identity, Issuer, Lock, LockKey},
};

/// What begins a line of version 2.
const MARK: &str = "doorward-ble-v2";
/// What to do about a key that cannot be used.
const MAKE_ANOTHER: &str = "make another with `doorward ble keys create`, and give its public half to those who had this one";

/// The secret half of a key of version 2.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a folder has a few of them")]
pub enum SecretV2 {
    /// Of the issuer.
    Issuer(Issuer),
    /// Of a lock.
    Lock(Lock),
    /// Of a guest.
    Guest(Guest),
}

/// The public half of a key of version 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublicV2 {
    /// Of the issuer.
    Issuer(Identity),
    /// Of a lock.
    Lock(LockKey),
    /// Of a guest.
    Guest(GuestKey),
}

/// A way to write keys.
pub(super) trait Format {
    type Secret;
    type Public: PartialEq;
    const HALVES: (Half, Half);
    fn secret(role: &Role, text: &str) -> Result<Self::Secret, String>;
    fn public(role: &Role, text: &str) -> Result<Self::Public, String>;
    fn public_of(secret: &Self::Secret) -> Result<Self::Public, String>;
    fn write(public: &Self::Public) -> String;
}

pub(super) struct V1;
pub(super) struct V2;

impl Format for V1 {
    type Secret = PrivateKey;
    type Public = PublicKey;
    const HALVES: (Half, Half) = (Half::SecretV1, Half::PublicV1);

    fn secret(_: &Role, text: &str) -> Result<PrivateKey, String> {
        PrivateKey::from_pem(text).map_err(advice)
    }

    fn public(_: &Role, text: &str) -> Result<PublicKey, String> {
        PublicKey::from_pem(text).map_err(advice)
    }

    fn public_of(secret: &PrivateKey) -> Result<PublicKey, String> {
        PublicKey::from_der(secret.public().spki()).map_err(advice)
    }

    fn write(public: &PublicKey) -> String {
        public.to_pem()
    }
}

impl V1 {
    pub(super) fn make(role: &Role, bits: Bits) -> Result<(File, File), Mistakes> {
        let made = PrivateKey::generate(bits).and_then(|key| Ok((key.to_pem()?.to_string(), key.public().to_pem())));
        let (secret, public) = made.map_err(|why| Mistakes::one(role.to_string(), why.to_string()))?;
        Ok(files(role, Self::HALVES, secret, public))
    }
}

fn advice(error: KeyError) -> String {
    match error {
        KeyError::Published | KeyError::Size => format!("{error}: {MAKE_ANOTHER}"),
        KeyError::Pem(_) | KeyError::Encrypted | KeyError::Rsa | KeyError::Generate => error.to_string(),
    }
}

impl Format for V2 {
    type Secret = SecretV2;
    type Public = PublicV2;
    const HALVES: (Half, Half) = (Half::SecretV2, Half::PublicV2);

    fn secret(role: &Role, text: &str) -> Result<SecretV2, String> {
        Ok(match role {
            Role::Issuer => {
                let seeds: Secret<[u8; 64]> = line(text, "issuer", "secret")?;
                let (Some(signing), Some(sealing)) = (seeds.reveal().first_chunk(), seeds.reveal().last_chunk()) else {
                    return Err("it is too short".into());
                };
                SecretV2::Issuer(Issuer::from_seeds(signing, sealing))
            }
            Role::Lock(_) => SecretV2::Lock(Lock::from_seed(line::<32>(text, "lock", "secret")?.reveal())),
            Role::Guest(_) => SecretV2::Guest(Guest::from_seed(line::<32>(text, "guest", "secret")?.reveal())),
        })
    }

    fn public(role: &Role, text: &str) -> Result<PublicV2, String> {
        let none = || String::from("these bytes are no key");
        Ok(match role {
            Role::Issuer => PublicV2::Issuer(Identity::from_bytes(line(text, "issuer", "public")?.reveal()).ok_or_else(none)?),
            Role::Lock(_) => PublicV2::Lock(LockKey::from_bytes(*line(text, "lock", "public")?.reveal())),
            Role::Guest(_) => PublicV2::Guest(GuestKey::from_bytes(line(text, "guest", "public")?.reveal()).ok_or_else(none)?),
        })
    }

    fn public_of(secret: &SecretV2) -> Result<PublicV2, String> {
        Ok(match secret {
            SecretV2::Issuer(issuer) => PublicV2::Issuer(*issuer.identity()),
            SecretV2::Lock(lock) => PublicV2::Lock(*lock.key()),
            SecretV2::Guest(guest) => PublicV2::Guest(guest.key()),
        })
    }

    fn write(public: &PublicV2) -> String {
        match public {
            PublicV2::Issuer(identity) => write("issuer", "public", &identity.to_bytes()),
            PublicV2::Lock(key) => write("lock", "public", key.as_bytes()),
            PublicV2::Guest(key) => write("guest", "public", key.as_bytes()),
        }
    }
}

impl V2 {
    pub(super) fn make(role: &Role, clock: &dyn Clock) -> Result<(File, File), Mistakes> {
        let mut seeds = Secret::new([0; 64]);
        fill(&mut seeds, clock);
        let secret = match role {
            Role::Issuer => write("issuer", "secret", seeds.reveal()),
            Role::Lock(_) => write("lock", "secret", &seeds.reveal()[..32]),
            Role::Guest(_) => write("guest", "secret", &seeds.reveal()[..32]),
        };
        let public = Self::secret(role, &secret).and_then(|secret| Self::public_of(&secret));
        let public = public.map_err(|why| Mistakes::one(role.to_string(), why))?;
        Ok(files(role, Self::HALVES, secret, Self::write(&public)))
    }
}

fn fill(seeds: &mut Secret<[u8; 64]>, clock: &dyn Clock) {
    let mut bytes = [0; 64];
    clock.fill(&mut bytes);
    *seeds = Secret::new(bytes);
}

fn files(role: &Role, (secret, public): (Half, Half), secret_text: String, public_text: String) -> (File, File) {
    let file = |half: Half, text| File { name: half.name(role), text: Secret::new(text), is_secret: half.is_secret() };
    (file(secret, secret_text), file(public, public_text))
}

fn write(whose: &str, half: &str, bytes: &[u8]) -> String {
    format!("{MARK} {whose} {half} {}\n", STANDARD.encode(bytes))
}

/// The bytes of a line, which says itself whose they are, and whether they are secret.
fn line<const N: usize>(text: &str, whose: &str, half: &str) -> Result<Secret<[u8; N]>, String> {
    let wanted = format!("this is not a line that begins with “{MARK} {whose} {half}”");
    let mut words = text.split_ascii_whitespace();
    if ![MARK, whose, half].into_iter().all(|word| words.next() == Some(word)) {
        return Err(wanted);
    }
    let (Some(packed), None) = (words.next(), words.next()) else { return Err(wanted) };
    let bytes = Secret::new(STANDARD.decode(packed).map_err(|_| "what comes last is not base64")?);
    let bytes = bytes.reveal().as_slice().try_into().map_err(|_| format!("it has not {N} bytes"))?;
    Ok(Secret::new(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// That such keys are refused is tested with the wire's list; the keys themselves are not in this repository.
    #[test]
    fn a_key_that_everybody_has_is_refused_with_what_to_do() {
        for error in [KeyError::Published, KeyError::Size] {
            assert!(advice(error).contains("make another with `doorward ble keys create`"));
        }
        assert!(advice(KeyError::Published).contains("everybody has it"));
    }
}
