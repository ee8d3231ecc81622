//! What a guest asks an issuer, and what comes back.

use super::{LAST_SECOND, LockId, framing::MOST_BODY, session::Session};
use crate::{device::Mac, words::words};
use alloc::{
    borrow::ToOwned as _,
    string::{String, ToString as _},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Bytes of a guest's public key, as it is sent: one of 8192 bits has some 1500, and base64 adds a third.
const MOST_KEY: usize = 4 << 10;
/// Bytes of other texts.
const MOST_TEXT: usize = 128;

words! {
    /// Why a guest gets no session: the words of the wire.
    pub enum Trouble {
        /// It makes no sense.
        InvalidRequest = "invalid_request",
        /// A piece of it makes no sense.
        InvalidChunk = "invalid_chunk",
        /// It names no lock.
        MissingLockId = "missing_lock_id",
        /// It has no key, and the plain variant is off.
        MissingUnlockerPublicKey = "missing_unlocker_public_key",
        /// Nobody is known by this key.
        NotEnrolled = "not_enrolled",
        /// Whoever it is may not open this lock, or not now.
        NoGrant = "no_grant",
        /// The invite is unknown, used or too old.
        InviteRefused = "invite_refused",
        /// It asked too often.
        RateLimited = "rate_limited",
        /// It is not the guest's fault.
        InternalError = "internal_error",
    }
}

/// What a guest asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The lock that it wants to open.
    pub lock: LockId,
    /// The time of its clock, in whole seconds.
    pub client_time: Option<u64>,
    /// Its public key as PEM, of which nothing is checked yet. Without one it asks for the plain variant.
    pub public_key: Option<String>,
    /// What it calls itself. Nothing vouches for it: rights go by the key.
    pub client_id: Option<String>,
    /// The address of its phone, as it says.
    pub phone_mac: Option<Mac>,
    /// The one-time code of a pass.
    pub invite: Option<String>,
}

impl Request {
    /// Reads a body. Fields that are not known are let be; one that is there and makes no sense is not.
    pub fn read(body: &[u8]) -> Result<Self, Trouble> {
        let fields = object(body)?;
        let lock = match fields.get("lock_id") {
            None | Some(Value::Null) => return Err(Trouble::MissingLockId),
            Some(Value::String(lock)) if lock.is_empty() => return Err(Trouble::MissingLockId),
            Some(Value::String(lock)) => lock.parse().map_err(|_| Trouble::InvalidRequest)?,
            Some(_) => return Err(Trouble::InvalidRequest),
        };
        let key = text(&fields, "unlocker_public_key", MOST_KEY)?;
        Ok(Self {
            lock,
            client_time: fields.get("client_time").filter(|time| !time.is_null()).map(whole_seconds).transpose()?,
            public_key: key.map(|key| pem(&key)).transpose()?,
            client_id: text(&fields, "client_id", MOST_TEXT)?,
            phone_mac: text(&fields, "phone_mac", MOST_TEXT)?.map(|mac| mac.parse().map_err(|_| Trouble::InvalidRequest)).transpose()?,
            invite: text(&fields, "invite", MOST_TEXT)?,
        })
    }

    /// The guest's key, which only the plain variant does without.
    pub fn key(&self) -> Result<&str, Trouble> {
        self.public_key.as_deref().ok_or(Trouble::MissingUnlockerPublicKey)
    }

    /// How many seconds the guest's clock is ahead of the issuer's, when it said what it shows.
    pub fn clock_offset(&self, server_seconds: u64) -> Option<i64> {
        self.client_time.map(|time| time.cast_signed().saturating_sub_unsigned(server_seconds))
    }

    /// The body that a guest writes.
    pub fn write(&self) -> String {
        let wire = Wire {
            lock_id: self.lock.as_str(),
            client_time: self.client_time,
            unlocker_public_key: self.public_key.as_ref().map(|pem| STANDARD.encode(pem)),
            client_id: self.client_id.as_deref(),
            phone_mac: self.phone_mac,
            invite: self.invite.as_deref(),
        };
        // Texts and numbers can be written.
        serde_json::to_string(&wire).unwrap_or_default()
    }
}

#[derive(Serialize)]
struct Wire<'a> {
    lock_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_time: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unlocker_public_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone_mac: Option<Mac>,
    #[serde(skip_serializing_if = "Option::is_none")]
    invite: Option<&'a str>,
}

/// What an issuer answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// A session, sealed for the guest.
    Sealed(Sealed),
    /// A session in clear: the plain variant.
    Plain(Session),
    /// None, and the word for why. Other issuers have words of their own.
    Error(String),
}

/// A session that is sealed for a guest, and signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// What the guest calls itself, or else what its key is called.
    pub client_id: String,
    /// What its key is called, when that is something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_fingerprint: Option<String>,
    /// The guest's JSON, encrypted: base64.
    pub payload: String,
    /// Over the guest's JSON, byte for byte: base64.
    pub signature: String,
    /// How it is encrypted.
    pub encryption: Encryption,
}

/// How a session is encrypted. There is one way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encryption {
    /// `RSA-OAEP`.
    pub algorithm: String,
    /// `SHA256`.
    pub hash: String,
}

impl Default for Encryption {
    fn default() -> Self {
        Self { algorithm: "RSA-OAEP".into(), hash: "SHA256".into() }
    }
}

impl Response {
    /// The body that an issuer writes. The plain variant is one notification and never goes in pieces.
    pub fn write(&self) -> String {
        #[derive(Serialize)]
        #[serde(tag = "status", rename_all = "lowercase")]
        enum Wire<'a> {
            Ok(&'a Sealed),
            Error { message: &'a str },
        }
        let wire = match self {
            Self::Sealed(sealed) => Wire::Ok(sealed),
            Self::Error(message) => Wire::Error { message },
            Self::Plain(session) => return session.plain_json().to_string(),
        };
        serde_json::to_string(&wire).unwrap_or_default()
    }

    /// Reads what an issuer answered. `None` when it makes no sense.
    pub fn read(body: &[u8]) -> Option<Self> {
        let fields = object(body).ok()?;
        match fields.get("status")?.as_str()? {
            "ok" if fields.contains_key("session_key") => Session::read(body).ok().map(Self::Plain),
            "ok" => {
                let sealed: Sealed = serde_json::from_slice(body).ok()?;
                (sealed.encryption == Encryption::default()).then_some(Self::Sealed(sealed))
            }
            "error" => {
                let said = fields.get("message")?.as_str()?;
                Some(Self::Error(said.chars().filter(|letter| !letter.is_control()).take(MOST_TEXT).collect()))
            }
            _ => None,
        }
    }
}

impl From<Trouble> for Response {
    fn from(trouble: Trouble) -> Self {
        Self::Error(trouble.as_str().into())
    }
}

fn object(body: &[u8]) -> Result<Map<String, Value>, Trouble> {
    if body.len() > MOST_BODY {
        return Err(Trouble::InvalidRequest);
    }
    serde_json::from_slice(body).map_err(|_| Trouble::InvalidRequest)
}

/// A text that is there and not empty, without anything that would break a line of a log.
fn text(fields: &Map<String, Value>, name: &str, most: usize) -> Result<Option<String>, Trouble> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        // A PEM has lines.
        Some(Value::String(text)) if text.len() <= most && (most == MOST_KEY || !text.contains(char::is_control)) => {
            Ok(Some(text.to_owned()))
        }
        Some(_) => Err(Trouble::InvalidRequest),
    }
}

/// Seconds with or without a fraction, which is cut off.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "its range is checked")]
fn whole_seconds(time: &Value) -> Result<u64, Trouble> {
    let seconds = time.as_u64().or_else(|| time.as_f64().filter(|time| (0.0..=LAST_SECOND as f64).contains(time)).map(|time| time as u64));
    seconds.filter(|seconds| *seconds <= LAST_SECOND).ok_or(Trouble::InvalidRequest)
}

/// The PEM of a key that came as PEM or as base64 of it.
fn pem(text: &str) -> Result<String, Trouble> {
    if text.contains("-----BEGIN") {
        return Ok(text.to_owned());
    }
    let packed: String = text.chars().filter(|letter| !letter.is_ascii_whitespace()).collect();
    let bytes = STANDARD.decode(packed).map_err(|_| Trouble::InvalidRequest)?;
    String::from_utf8(bytes).map_err(|_| Trouble::InvalidRequest)
}

#[cfg(test)]
mod tests {
    use super::super::testing::vectors;
    use super::*;
    use alloc::format;
    use proptest::prelude::*;
    use serde_json::json;

    fn read(value: &Value) -> Result<Request, Trouble> {
        Request::read(value.to_string().as_bytes())
    }

    #[test]
    fn the_originals_request_is_read_and_written() {
        let vectors = vectors();
        let body = vectors["gatt"]["request"].as_str().unwrap();
        let request = Request::read(body.as_bytes()).unwrap();
        assert_eq!(request.lock.as_str(), "lock_01");
        assert_eq!(request.client_time, Some(1_762_944_000));
        assert_eq!(request.key(), Ok(vectors["keys"]["unlocker"]["public_pem"].as_str().unwrap()));
        let bare = read(&json!({"lock_id": "lock_01", "unlocker_public_key": request.public_key})).unwrap();
        assert_eq!(bare.public_key, request.public_key, "a PEM is a PEM");
        assert_eq!(Request::read(request.write().as_bytes()), Ok(request.clone()));
        if let Some(without) = body.split(",\"client_id\"").next() {
            assert!(request.write().starts_with(without.trim_end_matches('}')));
        }
    }

    #[test]
    fn the_plain_variant_is_read_and_written() {
        let plain = &vectors()["plain_variant"];
        let request = read(&plain["request"]).unwrap();
        assert_eq!(request.key(), Err(Trouble::MissingUnlockerPublicKey));
        let Some(Response::Plain(session)) = Response::read(plain["notification"].to_string().as_bytes()) else { panic!() };
        assert_eq!(session.clock_offset, Some(0));
        assert_eq!(session.key.expose()[..4], [0, 1, 2, 3]);
        let written: Value = serde_json::from_str(&Response::Plain(session).write()).unwrap();
        assert_eq!(written, plain["notification"]);
    }

    #[test]
    fn the_originals_answers_are_read_and_written() {
        let vectors = vectors();
        let body = vectors["gatt"]["response"].as_str().unwrap();
        let response = Response::read(body.as_bytes()).unwrap();
        assert!(matches!(&response, Response::Sealed(sealed) if sealed.client_id == "guest-7"));
        assert_eq!(response.write(), body);
        let refused = Response::from(Trouble::NoGrant);
        assert_eq!(refused.write(), r#"{"status":"error","message":"no_grant"}"#);
        assert_eq!(Response::read(refused.write().as_bytes()), Some(refused));
        assert_eq!(Response::read(br#"{"status":"error","message":"a\u0000b"}"#), Some(Response::Error("ab".into())));
        for wrong in ["", "{}", r#"{"status":"ok"}"#, r#"{"status":"maybe"}"#, &body.replace("RSA-OAEP", "none")] {
            assert_eq!(Response::read(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn a_time_is_a_number_and_its_fraction_is_cut_off() {
        for (time, seconds) in [(json!(12), 12), (json!(12.9), 12), (json!(0), 0), (json!(1.7e9), 1_700_000_000)] {
            assert_eq!(read(&json!({"lock_id": "a", "client_time": time})).unwrap().client_time, Some(seconds));
        }
        for wrong in [json!("12"), json!(true), json!([]), json!(-1), json!(1e300), json!(u64::MAX)] {
            assert_eq!(read(&json!({"lock_id": "a", "client_time": wrong})), Err(Trouble::InvalidRequest), "{wrong}");
        }
        let request = read(&json!({"lock_id": "a", "client_time": 100})).unwrap();
        assert_eq!((request.clock_offset(140), request.clock_offset(60)), (Some(-40), Some(40)));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_word() {
        for missing in [json!({}), json!({"lock_id": null}), json!({"lock_id": ""})] {
            assert_eq!(read(&missing), Err(Trouble::MissingLockId));
        }
        let wrong = [
            json!([]),
            json!({"lock_id": 7}),
            json!({"lock_id": "a/b"}),
            json!({"lock_id": "+"}),
            json!({"lock_id": "x".repeat(65)}),
            json!({"lock_id": "a", "client_id": 7}),
            json!({"lock_id": "a", "client_id": "x\ny"}),
            json!({"lock_id": "a", "client_id": "x".repeat(129)}),
            json!({"lock_id": "a", "phone_mac": "AA:BB"}),
            json!({"lock_id": "a", "unlocker_public_key": "***"}),
            json!({"lock_id": "a", "unlocker_public_key": "A".repeat(5000)}),
            json!({"lock_id": "a", "invite": {}}),
        ];
        for wrong in wrong {
            assert_eq!(read(&wrong), Err(Trouble::InvalidRequest), "{wrong}");
        }
        assert_eq!(Request::read(&[b' '; MOST_BODY + 1]), Err(Trouble::InvalidRequest));
    }

    #[test]
    fn an_address_is_written_in_upper_case_with_colons() {
        for mac in ["AA-BB-CC-DD-EE-01", "aa:bb:cc:dd:ee:01"] {
            let request = read(&json!({"lock_id": "a", "phone_mac": mac})).unwrap();
            assert_eq!(request.phone_mac.unwrap().to_string(), "AA:BB:CC:DD:EE:01");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), text in "\\PC*") {
            let _ = (Request::read(&bytes), Response::read(&bytes));
            let body = format!(r#"{{"lock_id":"a","status":"ok","client_id":{}}}"#, json!(text));
            let _ = (Request::read(body.as_bytes()), Response::read(body.as_bytes()));
        }
    }
}
