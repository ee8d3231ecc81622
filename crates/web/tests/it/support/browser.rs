//! A browser with a push service: it subscribes, and reads what it is told by code of its own (RFC 8291, RFC 8292).

use super::{Endpoint, Received};
use aws_lc_rs::{
    aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree},
    hmac, signature,
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

const AUTH: [u8; 16] = *b"sixteen bytes...";

pub(crate) struct Browser {
    key: PrivateKey,
    endpoint: String,
}

/// What a push service is told of the sender.
#[derive(Debug)]
pub(crate) struct Sender {
    pub(crate) audience: String,
    pub(crate) contact: String,
    pub(crate) until: i64,
    pub(crate) key: String,
}

impl Browser {
    /// With its subscription at a service of this name.
    pub(crate) fn new(host: &str, service: &Endpoint) -> Self {
        let key = PrivateKey::generate(&ECDH_P256).unwrap();
        Self { key, endpoint: format!("https://{host}:{}/wpush/secret-of-a-browser", service.port()) }
    }

    /// What `PushSubscription.toJSON()` gives.
    pub(crate) fn subscription(&self) -> Value {
        let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let key = self.key.compute_public_key().unwrap();
        json!({ "endpoint": self.endpoint, "expirationTime": null, "keys": { "p256dh": encode(key.as_ref()), "auth": encode(&AUTH) } })
    }

    /// Opens a message.
    pub(crate) fn open(&self, request: &Received) -> Value {
        assert_eq!(request.header("content-encoding"), "aes128gcm");
        let (head, record) = request.body.split_at(16 + 4 + 1 + 65);
        let (salt, size, sender) = (&head[..16], u32::from_be_bytes(head[16..20].try_into().unwrap()), &head[21..]);
        assert!(record.len() <= size as usize && head[20] == 65, "one record, and a whole key");
        let own = self.key.compute_public_key().unwrap();
        let peer = UnparsedPublicKey::new(&ECDH_P256, sender);
        let shared = agree(&self.key, peer, "no key", |shared| Ok(shared.to_vec())).unwrap();
        let ikm = expand(&mac(&AUTH, &shared), &[b"WebPush: info\0", own.as_ref(), sender].concat(), 32);
        let prk = mac(salt, &ikm);
        let content = expand(&prk, b"Content-Encoding: aes128gcm\0", 16);
        let nonce = expand(&prk, b"Content-Encoding: nonce\0", 12);
        let opening = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &content).unwrap());
        let mut record = record.to_vec();
        let nonce = Nonce::try_assume_unique_for_key(&nonce).unwrap();
        let plain = opening.open_in_place(nonce, Aad::empty(), &mut record).unwrap();
        let (delimiter, text) = plain.split_last().unwrap();
        assert_eq!(*delimiter, 2, "it is the last record");
        serde_json::from_slice(text).unwrap()
    }

    /// Checks who sent it, as a push service does.
    pub(crate) fn sender(request: &Received) -> Sender {
        let (token, key) = request.header("authorization").strip_prefix("vapid t=").unwrap().split_once(", k=").unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let decode = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).unwrap();
        let public = signature::UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, decode(key));
        public.verify(signed.as_bytes(), &decode(signature)).unwrap();
        let part = |text: &str| serde_json::from_slice::<Value>(&decode(text)).unwrap();
        let (head, claims) = signed.split_once('.').unwrap();
        assert_eq!(part(head), json!({ "typ": "JWT", "alg": "ES256" }));
        let claims = part(claims);
        let text = |name: &str| claims[name].as_str().unwrap().to_owned();
        Sender { audience: text("aud"), contact: text("sub"), until: claims["exp"].as_i64().unwrap(), key: key.to_owned() }
    }
}

fn mac(key: &[u8], data: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data).as_ref().to_vec()
}

/// The first block of HKDF's second half (RFC 5869, section 2.3).
fn expand(prk: &[u8], info: &[u8], length: usize) -> Vec<u8> {
    mac(prk, &[info, &[1]].concat())[..length].to_vec()
}
