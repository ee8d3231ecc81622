//! Sealing and opening with a key: AES-256-GCM without associated data, each message under a random nonce.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    rand,
};
use doorward_store::TunnelSecret;
use doorward_wire::tunnel::{NONCE, TAG, wrap};

/// A key that seals and opens. It cannot be printed.
pub(crate) struct Seal(LessSafeKey);

impl Seal {
    pub(crate) fn new(secret: &TunnelSecret) -> Self {
        #[expect(clippy::expect_used, reason = "a key of 32 bytes is one for AES-256")]
        Self(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, secret.reveal()).expect("32 bytes")))
    }

    /// What is inside, if it was sealed with this key.
    pub(crate) fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, rest) = sealed.split_at_checked(NONCE)?;
        let (text, tag) = rest.split_at_checked(rest.len().checked_sub(TAG)?)?;
        let mut plain = vec![0; text.len()];
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        // Into another buffer: what does not open is tried with the next key.
        self.0.open_separate_gather(nonce, Aad::empty(), text, tag, &mut plain).ok()?;
        Some(plain)
    }

    /// A body that holds this. `None` where the system has no randomness.
    pub(crate) fn seal(&self, plain: &[u8]) -> Option<String> {
        let mut nonce = [0; NONCE];
        rand::fill(&mut nonce).ok()?;
        let mut sealed = Vec::with_capacity(NONCE + plain.len() + TAG);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plain);
        let text = sealed.get_mut(NONCE..)?;
        let tag = self.0.seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), text).ok()?;
        sealed.extend_from_slice(tag.as_ref());
        Some(wrap(&sealed))
    }
}

/// What nobody can tell from a sealed message of so many bytes.
pub(crate) fn noise(plain: usize) -> String {
    let mut bytes = vec![0; NONCE + plain + TAG];
    // Without randomness it is told apart, and says nothing either.
    let _ = rand::fill(&mut bytes);
    wrap(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use doorward_core::Secret;
    use doorward_wire::tunnel::unwrap;

    #[test]
    fn what_was_sealed_opens_with_the_same_key_and_no_other() {
        let (own, other) = (Seal::new(&Secret::new([1; 32])), Seal::new(&Secret::new([2; 32])));
        for plain in [&b""[..], b"{}", &vec![7; 100_000]] {
            let body = own.seal(plain).unwrap();
            let sealed = unwrap(body.as_bytes()).unwrap();
            assert_eq!((own.open(&sealed).as_deref(), other.open(&sealed)), (Some(plain), None));
            for at in [0, NONCE, sealed.len() - 1] {
                let mut bent = sealed.clone();
                bent[at] ^= 1;
                assert_eq!(own.open(&bent), None, "byte {at}");
            }
            assert_ne!(own.seal(plain).unwrap(), body, "each message has a nonce of its own");
        }
        assert_eq!((own.open(&[0; NONCE + TAG - 1]), own.open(&[])), (None, None));
        assert_eq!(noise(10).len(), own.seal(&[0; 10]).unwrap().len());
    }
}
