//! An authenticator with one passkey, which does what it is told.

use aws_lc_rs::{
    digest::{SHA256, digest},
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use serde_json::{Value, json};

/// One passkey. It tells each time that it asked who it is.
pub(crate) struct Passkey {
    pair: EcdsaKeyPair,
    id: [u8; 16],
    /// Signatures that it says it made.
    pub(crate) signatures: u32,
    handle: Vec<u8>,
}

impl Passkey {
    /// Makes one as it was asked to at a page of this address. Gives what the page then sends.
    pub(crate) fn made(asked: &Value, origin: &str, id: u8) -> (Self, Value) {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let handle = BASE64.decode(asked["user"]["id"].as_str().unwrap()).unwrap();
        let passkey = Self { pair, id: [id; 16], signatures: 0, handle };
        let point = passkey.pair.public_key().as_ref();
        let key = [b"\xa5\x01\x02\x03\x26\x20\x01\x21\x58\x20", &point[1..33], b"\x22\x58\x20", &point[33..]].concat();
        let data = passkey.data(&asked["rp"]["id"], 0x45, &[&[0; 16], &[0, 16][..], &passkey.id, &key].concat());
        let length = u8::try_from(data.len()).unwrap();
        let object = [b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x58", &[length][..], &data].concat();
        let made = json!({
            "name": "Key ring",
            "clientDataJSON": BASE64.encode(client_data("webauthn.create", asked, origin)),
            "attestationObject": BASE64.encode(object),
            "transports": ["usb", "telepathy"],
        });
        (passkey, made)
    }

    /// Signs in as it was asked to at a page of this address. Gives what the page then sends.
    pub(crate) fn signs(&mut self, asked: &Value, origin: &str) -> Value {
        self.signatures += 1;
        let client = client_data("webauthn.get", asked, origin);
        let data = self.data(&asked["rpId"], 5, b"");
        let message = [&data, digest(&SHA256, client.as_bytes()).as_ref()].concat();
        let signature = self.pair.sign(&SystemRandom::new(), &message).unwrap();
        json!({
            "id": BASE64.encode(self.id),
            "clientDataJSON": BASE64.encode(client),
            "authenticatorData": BASE64.encode(data),
            "signature": BASE64.encode(signature),
            "userHandle": BASE64.encode(&self.handle),
            "next": "/events",
        })
    }

    fn data(&self, rp_id: &Value, flags: u8, rest: &[u8]) -> Vec<u8> {
        let hash = digest(&SHA256, rp_id.as_str().unwrap().as_bytes());
        [hash.as_ref(), &[flags], &self.signatures.to_be_bytes(), rest].concat()
    }
}

fn client_data(kind: &str, asked: &Value, origin: &str) -> String {
    json!({ "type": kind, "challenge": asked["challenge"], "origin": origin, "crossOrigin": false }).to_string()
}
