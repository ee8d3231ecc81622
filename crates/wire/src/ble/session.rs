//! A session: what the guest is told of it, and the message by which a lock gets it.

use super::{LAST_SECOND, LockId, json::Object, token::MOST_OFFSET, token::Nonce, token::SessionKey};
use crate::{Time, device::Mac};
use alloc::{
    string::{String, ToString as _},
    vec::Vec,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Bytes of a message for a lock: two blocks of RSA-8192 in base64, and texts.
pub const MOST_MESSAGE: usize = 4 << 10;

/// Why a session is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// It is no JSON object with these fields, each of its kind.
    #[error("the message is not one of a session")]
    Malformed,
    /// It has no signature.
    #[error("the signature is missing")]
    SignatureMissing,
    /// Its signature is no base64.
    #[error("the signature is not base64")]
    SignatureMalformed,
    /// Its signature is not its issuer's over these fields.
    #[error("the signature is not the issuer's")]
    SignatureWrong,
    /// It is for another lock.
    #[error("the session is for another lock")]
    OtherLock,
    /// It is over.
    #[error("the session has expired")]
    Expired,
    /// The guest's clock is more than a day off.
    #[error("the guest's clock is more than a day off")]
    Offset,
    /// The session key does not open with this key.
    #[error("the session key cannot be decrypted")]
    Undecryptable,
}

/// A session, as its holder has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// What tokens are made with.
    pub key: SessionKey,
    /// When it is over, in seconds since 1970 by the issuer's clock.
    pub expiry: u64,
    /// What names it.
    pub nonce: Nonce,
    /// The address of the phone, as it said. It may have another by now.
    pub phone_mac: Option<Mac>,
    /// By how many seconds the guest's clock is ahead of the issuer's. Only when the guest said what it shows.
    pub clock_offset: Option<i64>,
}

impl Session {
    /// What the guest is told, byte for byte: this is what is encrypted for it, and what is signed.
    pub fn guest_json(&self) -> Zeroizing<String> {
        self.json(Object::new())
    }

    /// The answer of the plain variant.
    pub(crate) fn plain_json(&self) -> Zeroizing<String> {
        self.json(Object::new().text("status", "ok"))
    }

    /// Reads what a guest was told. Fields that are not known are let be.
    pub fn read(json: &[u8]) -> Result<Self, OpenError> {
        let fields: GuestFields = serde_json::from_slice(json).map_err(|_| OpenError::Malformed)?;
        let key = Zeroizing::new(STANDARD.decode(&*Zeroizing::new(fields.session_key)).map_err(|_| OpenError::Malformed)?);
        let key = SessionKey::new(key.as_slice().try_into().map_err(|_| OpenError::Malformed)?);
        let session =
            Self { key, expiry: fields.expiry, nonce: fields.nonce, phone_mac: fields.phone_mac, clock_offset: fields.clock_offset };
        session.check()?;
        Ok(session)
    }

    /// Whether it is over at this time of the issuer, or of a lock.
    pub fn is_over(&self, now: Time) -> bool {
        is_over(self.expiry, now)
    }

    /// When the guest stops, by its own clock.
    pub fn guest_end(&self) -> Time {
        let seconds = i64::try_from(self.expiry).unwrap_or(i64::MAX);
        Time::from_seconds(seconds.saturating_add(self.clock_offset.unwrap_or(0)))
    }

    /// Whether its values can be. Sessions that are read are checked.
    pub fn check(&self) -> Result<(), OpenError> {
        check(self.expiry, self.clock_offset)
    }

    fn json(&self, mut object: Object) -> Zeroizing<String> {
        let key = Zeroizing::new(STANDARD.encode(self.key.expose()));
        object = object.text("session_key", &key).number("expiry", self.expiry).text("nonce", self.nonce.as_str());
        if let Some(mac) = self.phone_mac {
            object = object.text("phone_mac", &mac.to_string());
        }
        if let Some(offset) = self.clock_offset {
            object = object.number("clock_offset", offset);
        }
        Zeroizing::new(object.finish())
    }
}

#[derive(Deserialize)]
struct GuestFields {
    session_key: String,
    expiry: u64,
    nonce: Nonce,
    #[serde(default)]
    phone_mac: Option<Mac>,
    #[serde(default)]
    clock_offset: Option<i64>,
}

/// Whether a session with this expiry is over: at the very second.
pub(crate) fn is_over(expiry: u64, now: Time) -> bool {
    u64::try_from(now.as_micros()).unwrap_or(0) >= expiry.saturating_mul(1_000_000)
}

pub(crate) fn check(expiry: u64, clock_offset: Option<i64>) -> Result<(), OpenError> {
    if expiry > LAST_SECOND {
        return Err(OpenError::Malformed);
    }
    if clock_offset.is_some_and(|offset| offset.unsigned_abs() > MOST_OFFSET) { Err(OpenError::Offset) } else { Ok(()) }
}

/// The message by which a lock gets a session, with its key encrypted. Nothing in it is to be believed before its signature is
/// checked, which `compat` does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockMessage {
    /// The lock that it is for.
    pub device_id: LockId,
    /// The session key, encrypted for the lock: base64.
    pub session_key: String,
    /// When the session is over, in seconds since 1970.
    pub expiry: u64,
    /// What names the session.
    pub nonce: Nonce,
    /// The address of the phone, as the issuer wrote it: that is what it signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone_mac: Option<String>,
    /// By how many seconds the guest's clock is ahead of the issuer's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_offset: Option<i64>,
    /// Over [`signed_bytes`](Self::signed_bytes): base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

impl LockMessage {
    /// Reads a message, in whatever order its fields are. Fields that are not known are let be; they are not signed.
    pub fn read(message: &[u8]) -> Result<Self, OpenError> {
        if message.len() > MOST_MESSAGE {
            return Err(OpenError::Malformed);
        }
        let message: Self = serde_json::from_slice(message).map_err(|_| OpenError::Malformed)?;
        if message.expiry > LAST_SECOND { Err(OpenError::Malformed) } else { Ok(message) }
    }

    /// What the signature is over: these fields in this order, whatever the order of the message.
    pub fn signed_bytes(&self) -> Vec<u8> {
        let mut object = Object::new()
            .text("device_id", self.device_id.as_str())
            .text("session_key", &self.session_key)
            .number("expiry", self.expiry)
            .text("nonce", self.nonce.as_str());
        if let Some(mac) = &self.phone_mac {
            object = object.text("phone_mac", mac);
        }
        if let Some(offset) = self.clock_offset {
            object = object.number("clock_offset", offset);
        }
        object.finish().into_bytes()
    }

    /// The bytes of the signature.
    pub fn signature(&self) -> Result<Vec<u8>, OpenError> {
        let signature = self.signature.as_deref().filter(|signature| !signature.is_empty()).ok_or(OpenError::SignatureMissing)?;
        STANDARD.decode(signature).map_err(|_| OpenError::SignatureMalformed)
    }

    /// What to publish.
    pub fn write(&self) -> String {
        // Texts and numbers can be written.
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{bytes, vectors};
    use super::*;
    use alloc::format;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    #[test]
    fn the_originals_messages_are_read_and_written() {
        let vectors = vectors();
        for vector in vectors["sessions"].as_array().unwrap() {
            let payload = vector["mqtt_payload"].as_str().unwrap();
            let message = LockMessage::read(payload.as_bytes()).unwrap();
            assert_eq!(message.signed_bytes(), vector["signed_bytes"].as_str().unwrap().as_bytes());
            assert_eq!(message.write(), payload);
            let plaintext = vector["guest_plaintext"].as_str().unwrap();
            let session = Session::read(plaintext.as_bytes()).unwrap();
            assert_eq!(*session.guest_json(), plaintext);
            let sees = &vector["lock_sees"];
            assert_eq!(session.key.expose()[..], bytes(&sees["session_key_hex"]));
            assert_eq!(session.clock_offset.unwrap_or(0), sees["offset"].as_i64().unwrap());
            assert_eq!(session.phone_mac.map(|mac| mac.to_string()).as_deref(), sees["phone_mac"].as_str());
        }
    }

    #[test]
    fn the_order_of_fields_changes_nothing_that_is_signed() {
        let vectors = vectors();
        let signed = vectors["sessions"][0]["signed_bytes"].as_str().unwrap();
        let turned = &vectors["accepted"][0];
        assert_eq!(turned["name"], "keys in another order");
        let message = LockMessage::read(turned["payload"].to_string().as_bytes()).unwrap();
        assert_eq!(message.signed_bytes(), signed.as_bytes());
    }

    #[test]
    fn what_is_no_message_is_malformed() {
        let good = json!({"device_id": "a", "session_key": "", "expiry": 7, "nonce": "n"});
        assert_eq!(LockMessage::read(good.to_string().as_bytes()).unwrap().signature(), Err(OpenError::SignatureMissing));
        let with = |name: &str, value: Value| {
            let mut message = good.clone();
            message[name] = value;
            message.to_string()
        };
        let mut wrong: Vec<String> =
            ["", "[]", "{}", r#"{"device_id":"a","device_id":"a","session_key":"","expiry":7,"nonce":"n"}"#].map(Into::into).into();
        wrong.push(with("device_id", json!("a/b")));
        wrong.push(with("expiry", json!(7.0)));
        wrong.push(with("expiry", json!(-7)));
        wrong.push(with("expiry", json!(LAST_SECOND + 1)));
        wrong.push(with("nonce", json!("")));
        wrong.push(with("clock_offset", json!("7")));
        wrong.push(with("other", json!("x".repeat(MOST_MESSAGE))));
        for wrong in wrong {
            assert_eq!(LockMessage::read(wrong.as_bytes()), Err(OpenError::Malformed), "{wrong}");
        }
    }

    #[test]
    fn a_session_is_over_at_its_expiry_and_its_offset_is_a_day_at_most() {
        let json =
            |offset: i64| format!(r#"{{"session_key":"{}","expiry":10,"nonce":"n","clock_offset":{offset}}}"#, STANDARD.encode([7; 32]));
        let session = Session::read(json(86_400).as_bytes()).unwrap();
        assert_eq!(session.guest_end(), Time::from_seconds(86_410));
        assert!(!session.is_over(Time::from_micros(9_999_999)) && session.is_over(Time::from_micros(10_000_000)));
        for offset in [86_401, -86_401, i64::MIN, i64::MAX] {
            assert_eq!(Session::read(json(offset).as_bytes()), Err(OpenError::Offset));
        }
        assert!(!format!("{session:?}").contains('7'), "its key is not printed");
        assert_eq!(Session::read(json(0).replace("Bwc", "Bw").as_bytes()), Err(OpenError::Malformed), "a key of 31 bytes");
    }

    proptest! {
        #[test]
        fn any_session_is_read_as_it_was_written(
            key in any::<[u8; 32]>(), expiry in 0..=LAST_SECOND, random in any::<[u8; 8]>(),
            mac in proptest::option::of(any::<[u8; 6]>()), clock_offset in proptest::option::of(-86_400i64..=86_400),
        ) {
            let phone_mac = mac.map(|mac| mac.map(|byte| format!("{byte:02x}")).join("-").parse().unwrap());
            let session = Session { key: SessionKey::new(key), expiry, nonce: Nonce::new(random), phone_mac, clock_offset };
            prop_assert_eq!(Session::read(session.guest_json().as_bytes()), Ok(session));
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = (LockMessage::read(&bytes), Session::read(&bytes));
        }
    }
}
