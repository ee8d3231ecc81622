//! Sealing at rest, and the codes by which secrets are found again (rule 5).
//!
//! Sealed: one version byte, a random nonce of 96 bits, AES-256-GCM. The associated data names table, account and key,
//! so that a sealed value cannot be moved to another row.
//!
//! With random nonces one key may seal 2³² values before a repeat is likelier than 2⁻³² (NIST SP 800-38D, 8.3); a house
//! that renews ten tokens an hour gets there in forty thousand years.

use crate::{MasterKey, StoreError, dice};
use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hmac,
};
use doorward_core::Secret;

const VERSION: u8 = 1;

/// What is derived from the master key, each for one purpose.
pub(crate) struct Keys {
    seal: LessSafeKey,
    codes: hmac::Key,
    audit: hmac::Key,
    check: Secret<[u8; 32]>,
}

impl Keys {
    pub(crate) fn new(master: &MasterKey) -> Self {
        Self {
            seal: aead(&master.derive("seal")),
            codes: hmac::Key::new(hmac::HMAC_SHA256, master.derive("codes").reveal()),
            audit: hmac::Key::new(hmac::HMAC_SHA256, master.derive("audit").reveal()),
            check: master.derive("check"),
        }
    }

    /// What the database keeps to tell a wrong key. It says nothing about the key.
    pub(crate) fn check_value(&self) -> String {
        crate::key::hex(self.check.reveal())
    }

    pub(crate) fn seal(&self, place: &str, value: &[u8]) -> Vec<u8> {
        let nonce: [u8; NONCE_LEN] = dice::bytes();
        let mut body = value.to_vec();
        // The cipher refuses only lengths beyond 64 GiB.
        let sealed = self.seal.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(place), &mut body);
        assert!(sealed.is_ok(), "a value too long to be sealed");
        let mut out = Vec::with_capacity(1 + NONCE_LEN + body.len());
        out.push(VERSION);
        out.extend_from_slice(&nonce);
        out.append(&mut body);
        out
    }

    pub(crate) fn open(&self, place: &str, sealed: &[u8]) -> Result<Secret<Vec<u8>>, StoreError> {
        let damaged = || StoreError::corrupt(format!("the sealed value of {place} cannot be opened"));
        let (&version, rest) = sealed.split_first().ok_or_else(damaged)?;
        if version != VERSION {
            return Err(StoreError::corrupt(format!("the sealed value of {place} has version {version}")));
        }
        let (nonce, body) = rest.split_at_checked(NONCE_LEN).ok_or_else(damaged)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| damaged())?;
        let mut body = zeroize::Zeroizing::new(body.to_vec());
        let plain = self.seal.open_in_place(nonce, Aad::from(place), &mut body).map_err(|_| damaged())?;
        Ok(Secret::new(plain.to_vec()))
    }

    /// The code under which a secret that doorward made is kept. `purpose` keeps a token from serving as a link.
    pub(crate) fn code(&self, purpose: &str, secret: &[u8]) -> Vec<u8> {
        tag(&self.codes, purpose, &[secret])
    }

    /// Signs a place in the audit.
    pub(crate) fn sign(&self, purpose: &str, parts: &[&[u8]]) -> Vec<u8> {
        tag(&self.audit, purpose, parts)
    }
}

/// Each part goes in with its length, so that no two lists of parts look alike.
fn tag(key: &hmac::Key, purpose: &str, parts: &[&[u8]]) -> Vec<u8> {
    let mut context = hmac::Context::with_key(key);
    for part in std::iter::once(&purpose.as_bytes()).chain(parts) {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    context.sign().as_ref().to_vec()
}

/// Compares without telling by its duration where the difference is.
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(a, b).is_ok()
}

pub(crate) fn aead(key: &Secret<[u8; 32]>) -> LessSafeKey {
    match UnboundKey::new(&AES_256_GCM, key.reveal()) {
        Ok(key) => LessSafeKey::new(key),
        Err(_) => unreachable!("a key of 32 bytes fits AES-256-GCM"),
    }
}

#[cfg(test)]
mod tests {
    use super::Keys;
    use crate::MasterKey;

    #[test]
    fn a_sealed_value_opens_in_its_own_place_only() {
        let keys = Keys::new(&MasterKey::from_bytes([1; 32]));
        let sealed = keys.seal("kept|home|token", b"hunter2");
        assert_eq!(keys.open("kept|home|token", &sealed).unwrap().reveal(), b"hunter2");
        keys.open("kept|away|token", &sealed).unwrap_err();
        Keys::new(&MasterKey::from_bytes([2; 32])).open("kept|home|token", &sealed).unwrap_err();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            keys.open("kept|home|token", &changed).unwrap_err();
        }
        for end in 0..sealed.len() {
            keys.open("kept|home|token", &sealed[..end]).unwrap_err();
        }
    }

    #[test]
    fn the_same_secret_has_another_code_for_another_purpose() {
        let keys = Keys::new(&MasterKey::from_bytes([1; 32]));
        assert_ne!(keys.code("token", b"x"), keys.code("link", b"x"));
        assert_ne!(keys.sign("a", &[b"bc", b"d"]), keys.sign("a", &[b"b", b"cd"]));
    }
}
