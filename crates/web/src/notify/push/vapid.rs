//! Who sends: a signed note for the push service (VAPID, RFC 8292), by a key that browsers were shown when they subscribed.

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use doorward_core::Secret;
use doorward_store::{Store, StoreError};
use doorward_wire::Time;
use serde_json::json;
use std::time::Duration;

/// Under which the key is kept. A new one would end every subscription.
const NOTE: &str = "vapid";
/// How long a note counts; a day is the most (RFC 8292, section 2).
const LIFE: Duration = Duration::from_hours(12);

/// doorward's key towards push services.
pub(crate) struct Vapid {
    pair: EcdsaKeyPair,
}

impl std::fmt::Debug for Vapid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Vapid")
    }
}

impl Vapid {
    /// The key of this house, made when there is none yet. Of two who make one the first decides.
    pub(super) async fn load(store: &Store) -> Result<Self, StoreError> {
        let kept = match store.secret_note(NOTE).await? {
            Some(kept) => kept,
            None => store.set_secret_note_once(NOTE, &fresh()?).await?,
        };
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(kept.reveal()).map(Secret::new).map_err(|_| damaged())?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, bytes.reveal()).map_err(|_| damaged())?;
        Ok(Self { pair })
    }

    /// What browsers are shown: a point of P-256, not compressed, in base64url.
    pub(crate) fn public(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.pair.public_key())
    }

    /// The value of `Authorization` at a push service.
    pub(super) fn authorization(&self, origin: &str, contact: &str, now: Time) -> Option<String> {
        let part = |value: serde_json::Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let until = now.plus(LIFE).as_micros().div_euclid(1_000_000);
        let head = part(json!({ "typ": "JWT", "alg": "ES256" }));
        let signed = format!("{head}.{}", part(json!({ "aud": origin, "exp": until, "sub": contact })));
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes()).ok()?;
        Some(format!("vapid t={signed}.{}, k={}", BASE64_URL_SAFE_NO_PAD.encode(signature), self.public()))
    }
}

fn fresh() -> Result<Secret<String>, StoreError> {
    let pair = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
    let pair = pair.map_err(|_| StoreError::Bug("no key for push services could be made".into()))?;
    Ok(Secret::new(BASE64_URL_SAFE_NO_PAD.encode(pair)))
}

fn damaged() -> StoreError {
    StoreError::Bug("the key for push services cannot be read".into())
}
