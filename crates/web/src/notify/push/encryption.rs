//! Message encryption for Web Push (RFC 8291), in one record of `aes128gcm` (RFC 8188).

use aws_lc_rs::{
    aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree},
    hkdf::{HKDF_SHA256, KeyType, Salt},
};
use doorward_core::Secret;

/// Bytes of the salt.
pub(super) const SALT: usize = 16;
/// Bytes of the secret that a browser gives besides its key.
pub(super) const AUTH: usize = 16;
/// Bytes of a point of P-256, not compressed.
const POINT: usize = 65;
/// Bytes of a record; a message is one (RFC 8291, section 4).
const RECORD: u32 = 4096;
/// Bytes of the tag behind what is encrypted, and of the delimiter before it.
const AROUND: usize = 16 + 1;
/// What stands between the end of a message and the padding of the last record (RFC 8188, section 2).
const DELIMITER: u8 = 2;

/// Whether this is a public key that something can be encrypted for.
pub(super) fn is_key(bytes: &[u8]) -> bool {
    let own = PrivateKey::generate(&ECDH_P256);
    bytes.len() == POINT && own.is_ok_and(|own| shared(&own, bytes).is_some())
}

/// Encrypts a message for a browser, with a key that is used this once. `None` when the keys cannot be used, or the message
/// is too long.
pub(super) fn encrypt(key: &[u8], auth: &[u8], salt: &[u8; SALT], plain: &[u8]) -> Option<Vec<u8>> {
    encrypt_from(&PrivateKey::generate(&ECDH_P256).ok()?, key, auth, salt, plain)
}

fn encrypt_from(own: &PrivateKey, key: &[u8], auth: &[u8], salt: &[u8; SALT], plain: &[u8]) -> Option<Vec<u8>> {
    let public = own.compute_public_key().ok()?;
    let header = [salt, &RECORD.to_be_bytes()[..], &[u8::try_from(public.as_ref().len()).ok()?], public.as_ref()].concat();
    if plain.len() + AROUND > usize::try_from(RECORD).ok()? {
        return None;
    }
    let shared = shared(own, key)?;
    let info = [b"WebPush: info\0", key, public.as_ref()].concat();
    let ikm = Secret::new(derive(auth, shared.reveal(), &info, 32)?);
    let content = Secret::new(derive(salt, ikm.reveal(), b"Content-Encoding: aes128gcm\0", 16)?);
    let nonce = derive(salt, ikm.reveal(), b"Content-Encoding: nonce\0", 12)?;
    let mut record = [plain, &[DELIMITER]].concat();
    let sealing = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, content.reveal()).ok()?);
    // Key and salt are new for each message, so this nonce is used once.
    sealing.seal_in_place_append_tag(Nonce::try_assume_unique_for_key(&nonce).ok()?, Aad::empty(), &mut record).ok()?;
    Some([header, record].concat())
}

fn shared(own: &PrivateKey, key: &[u8]) -> Option<Secret<Vec<u8>>> {
    agree(own, UnparsedPublicKey::new(&ECDH_P256, key), (), |shared| Ok(Secret::new(shared.to_vec()))).ok()
}

/// HKDF with SHA-256 (RFC 5869).
fn derive(salt: &[u8], secret: &[u8], info: &[u8], length: usize) -> Option<Vec<u8>> {
    let mut out = vec![0; length];
    let info = [info];
    let prk = Salt::new(HKDF_SHA256, salt).extract(secret);
    prk.expand(&info, Length(length)).ok()?.fill(&mut out).ok()?;
    Some(out)
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

    fn bytes(text: &str) -> Vec<u8> {
        BASE64_URL_SAFE_NO_PAD.decode(text).unwrap()
    }

    /// RFC 8291, section 5 and appendix A.
    #[test]
    fn a_message_is_encrypted_as_rfc_8291_shows() {
        let own = PrivateKey::from_private_key(&ECDH_P256, &bytes("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw")).unwrap();
        let key = bytes("BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4");
        let (auth, salt) = (bytes("BTBZMqHH6r4Tts7J_aSIgg"), bytes("DGv6ra1nlYgDCS1FRnbzlw"));
        let sealed = encrypt_from(&own, &key, &auth, &salt.try_into().unwrap(), b"When I grow up, I want to be a watermelon").unwrap();
        assert_eq!(
            BASE64_URL_SAFE_NO_PAD.encode(sealed),
            "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6\
             cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
        );
    }

    #[test]
    fn only_a_point_of_the_curve_is_a_key() {
        let key = bytes("BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4");
        assert!(is_key(&key));
        let mut bent = key.clone();
        bent[64] ^= 1;
        for wrong in [&bent[..], &key[..64], &[4; 65], &[0; 65], &[]] {
            assert!(!is_key(wrong));
        }
    }

    #[test]
    fn a_message_fits_into_one_record_or_is_refused() {
        let key = bytes("BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4");
        let encrypt = |length| encrypt(&key, &[7; AUTH], &[1; SALT], &vec![b'x'; length]);
        assert!(encrypt(4079).is_some() && encrypt(4080).is_none());
    }
}
