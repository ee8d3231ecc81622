//! What only doorward's own locks understand: sessions that are taken back, commands, and what a lock reports.
//!
//! Orders are signed for one lock, one kind and one [`Algorithm`], so that none is good as another. Reports rest on the right of
//! the lock to publish them.

use super::{
    LAST_SECOND, LockId,
    json::Object,
    sign::{self, Algorithm, Sign, SignError, Verify},
    token::Nonce,
};
use crate::{Time, attempt::ActionWord, words::words};
use alloc::{format, string::String, vec::Vec};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

/// Sessions of one list that are taken back.
pub const MOST_REVOKED: usize = 2000;
/// How far ahead a command may reach, in seconds.
pub const COMMAND_LIFE: u64 = 10;
/// Bytes of an order: a full list.
const MOST_ORDER: usize = 256 << 10;
/// Bytes of a text in it.
const MOST_TEXT: usize = 64;

/// Why an order is not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// It is no JSON object with these fields, each of its kind.
    #[error("the message is not an order")]
    Malformed,
    /// It is signed in a way for which this lock has no key.
    #[error("the order is signed with the other kind of key")]
    Algorithm,
    /// Its signature is not its issuer's, for this lock.
    #[error("the signature is not the issuer's for this lock")]
    Signature,
    /// A newer list is known.
    #[error("a newer list is known")]
    Old,
    /// It is too late.
    #[error("the command comes too late")]
    Late,
    /// It reaches too far ahead.
    #[error("the command reaches more than {COMMAND_LIFE} s ahead")]
    Early,
}

/// The sessions that are taken back, all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoked {
    /// Counts up with each list.
    pub seq: u64,
    /// The sessions and passes.
    pub revoked: Vec<RevokedSession>,
    /// Passes of a lower epoch are over.
    pub epoch: Option<u32>,
}

/// A session that is taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokedSession {
    /// What names it.
    pub nonce: Nonce,
    /// When it would have been over, and can be forgotten: seconds since 1970.
    pub expiry: u64,
}

impl Revoked {
    /// The message for one lock.
    pub fn issue(&self, lock: &LockId, key: &impl Sign) -> Result<String, SignError> {
        issue("revoked", &self.fields(), lock, key)
    }

    /// Reads a message, and checks who signed it for whom, and that it is not older than the list that is known.
    pub fn open(message: &[u8], lock: &LockId, key: &impl Verify, known: Option<u64>) -> Result<Self, OrderError> {
        #[derive(Deserialize)]
        struct Wire {
            seq: u64,
            revoked: Vec<RevokedSession>,
            #[serde(default)]
            epoch: Option<u32>,
            alg: Algorithm,
            signature: String,
        }
        let wire: Wire = read(message)?;
        let list = Self { seq: wire.seq, revoked: wire.revoked, epoch: wire.epoch };
        if list.revoked.len() > MOST_REVOKED || list.revoked.iter().any(|session| session.expiry > LAST_SECOND) {
            return Err(OrderError::Malformed);
        }
        verify("revoked", &list.fields(), lock, key, wire.alg, &wire.signature)?;
        if known.is_some_and(|known| list.seq < known) { Err(OrderError::Old) } else { Ok(list) }
    }

    fn fields(&self) -> String {
        let sessions: Vec<String> = self
            .revoked
            .iter()
            .map(|session| Object::new().text("nonce", session.nonce.as_str()).number("expiry", session.expiry).finish())
            .collect();
        let mut object = Object::new().number("seq", self.seq).raw("revoked", &format!("[{}]", sessions.join(",")));
        if let Some(epoch) = self.epoch {
            object = object.number("epoch", epoch);
        }
        object.finish()
    }
}

/// Something for a lock to do, at once or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Names it, so that it is done once: 1 to 64 bytes.
    pub id: String,
    /// What to do.
    pub action: ActionWord,
    /// The last second in which it may be done, since 1970.
    pub not_after: u64,
}

impl Command {
    /// The message for one lock.
    pub fn issue(&self, lock: &LockId, key: &impl Sign) -> Result<String, SignError> {
        issue("command", &self.fields(), lock, key)
    }

    /// Reads a message, and checks who signed it for whom, and that its time is now. Whether its id was done is for the lock to
    /// remember, for [`COMMAND_LIFE`].
    pub fn open(message: &[u8], lock: &LockId, key: &impl Verify, now: Time) -> Result<Self, OrderError> {
        #[derive(Deserialize)]
        struct Wire {
            id: String,
            action: ActionWord,
            not_after: u64,
            alg: Algorithm,
            signature: String,
        }
        let wire: Wire = read(message)?;
        let command = Self { id: wire.id, action: wire.action, not_after: wire.not_after };
        if !(1..=MOST_TEXT).contains(&command.id.len()) || command.not_after > LAST_SECOND {
            return Err(OrderError::Malformed);
        }
        verify("command", &command.fields(), lock, key, wire.alg, &wire.signature)?;
        let second = u64::try_from(now.as_micros()).unwrap_or(0) / 1_000_000;
        if second > command.not_after {
            return Err(OrderError::Late);
        }
        if command.not_after - second > COMMAND_LIFE { Err(OrderError::Early) } else { Ok(command) }
    }

    fn fields(&self) -> String {
        Object::new().text("id", &self.id).text("action", self.action.as_str()).number("not_after", self.not_after).finish()
    }
}

words! {
    /// What a lock reports.
    pub enum LockEventKind {
        /// It opened, or did what was asked.
        Opened = "opened",
        /// Somebody was let in; whether the door opened is not known.
        Accepted = "accepted",
        /// Somebody was not let in.
        Refused = "refused",
        /// What opens the door does not work.
        Failed = "failed",
    }
}

words! {
    /// Why a lock refused.
    pub enum Refusal {
        /// No session has this token.
        UnknownToken = "unknown_token",
        /// The token was good once, and is shown again after its time.
        Replay = "replay",
        /// The session is over.
        Expired = "expired",
        /// The session was taken back.
        Revoked = "revoked",
        /// The phone is too far away.
        TooFar = "too_far",
        /// It is not known how far away the phone is.
        RssiUnknown = "rssi_unknown",
        /// Another phone than the session's.
        OtherPhone = "other_phone",
        /// The lock does not know the time.
        NoTime = "no_time",
        /// A token is not enough at this door.
        TokenNotEnough = "token_not_enough",
        /// The challenge was used, too old, or never given.
        ChallengeOver = "challenge_over",
        /// The answer to the challenge is wrong.
        WrongResponse = "wrong_response",
        /// The message is not its issuer's.
        Signature = "signature",
        /// The pass is not for this door, this action or this time.
        NotAllowed = "not_allowed",
        /// It makes no sense.
        Malformed = "malformed",
    }
}

/// What a lock reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockEvent {
    /// Counts up at this lock, so that a report that comes twice counts once.
    pub id: u64,
    /// When it was, by the lock's clock: seconds since 1970.
    pub time: u64,
    /// What happened.
    pub kind: LockEventKind,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Refusal>,
    /// Which session or pass it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<Nonce>,
    /// Who it was, when the lock knows: what the guest's key is called, or the id of a command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// How well the phone was heard, in dBm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rssi: Option<i8>,
}

impl LockEvent {
    /// Reads a report. `None` when it makes no sense.
    pub fn read(message: &[u8]) -> Option<Self> {
        let event: Self = (message.len() <= 1024).then(|| serde_json::from_slice(message).ok()).flatten()?;
        let fits = |text: &String| text.len() <= MOST_TEXT && !text.contains(char::is_control);
        (event.time <= LAST_SECOND && event.client_id.iter().all(fits)).then_some(event)
    }
}

/// A lock is back. Those of the original system say nothing that is known, so everything has a default.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LockHello {
    /// The versions that it speaks; none means the first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub wire: Vec<u8>,
    /// Whether it knows the time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<bool>,
    /// The list of sessions taken back that it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// The highest epoch that it has seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u32>,
}

impl LockHello {
    /// Reads a hello; whatever it says, the lock is back.
    pub fn read(message: &[u8]) -> Self {
        let hello = (message.len() <= 1024).then(|| serde_json::from_slice(message).ok()).flatten();
        hello.unwrap_or_default()
    }
}

fn read<'de, T: Deserialize<'de>>(message: &'de [u8]) -> Result<T, OrderError> {
    if message.len() > MOST_ORDER {
        return Err(OrderError::Malformed);
    }
    serde_json::from_slice(message).map_err(|_| OrderError::Malformed)
}

fn issue(kind: &str, fields: &str, lock: &LockId, key: &impl Sign) -> Result<String, SignError> {
    let algorithm = key.algorithm();
    let signature = sign::signature(key, &sign::signed_bytes(kind, algorithm, lock, fields))?;
    let open = fields.strip_suffix('}').unwrap_or(fields);
    Ok(format!(r#"{open},"alg":"{algorithm}","signature":"{signature}"}}"#))
}

fn verify(kind: &str, fields: &str, lock: &LockId, key: &impl Verify, alg: Algorithm, signature: &str) -> Result<(), OrderError> {
    if alg != key.algorithm() {
        return Err(OrderError::Algorithm);
    }
    let signature = STANDARD.decode(signature).map_err(|_| OrderError::Signature)?;
    let is_right = key.verify(&sign::signed_bytes(kind, alg, lock, fields), &signature);
    if is_right { Ok(()) } else { Err(OrderError::Signature) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_says_nothing_that_is_known_is_back_all_the_same() {
        for message in [&b""[..], b"online", b"[]", b"{\"wire\":7}", b"{}"] {
            assert_eq!(LockHello::read(message), LockHello::default());
        }
        let hello = LockHello { wire: [1, 2].into(), time: Some(true), seq: Some(4), epoch: None };
        let written = serde_json::to_vec(&hello).unwrap();
        assert_eq!(written, br#"{"wire":[1,2],"time":true,"seq":4}"#);
        assert_eq!(LockHello::read(&written), hello);
    }

    #[test]
    fn a_report_is_read_as_it_was_written() {
        let message = br#"{"id":1,"time":1795352253,"kind":"refused","reason":"replay","nonce":"AAECAwQFBgc=","client_id":"x","rssi":-70}"#;
        let event = LockEvent::read(message).unwrap();
        assert_eq!((event.reason, event.rssi), (Some(Refusal::Replay), Some(-70)));
        assert_eq!(serde_json::to_vec(&event).unwrap(), message);
        for wrong in ["{}", r#"{"id":1,"time":1,"kind":"danced"}"#, r#"{"id":1,"time":999999999999,"kind":"opened"}"#] {
            assert_eq!(LockEvent::read(wrong.as_bytes()), None);
        }
        let long = format!(r#"{{"id":1,"time":1,"kind":"opened","client_id":"{}"}}"#, "x".repeat(65));
        assert_eq!(LockEvent::read(long.as_bytes()), None);
    }
}
