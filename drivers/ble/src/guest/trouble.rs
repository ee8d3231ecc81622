//! What goes wrong for a guest, and what a person can do.

use crate::radio::RadioError;
use doorward_core::driver::Fault;
use doorward_wire::ble::{
    request::Trouble,
    session::OpenError,
    v2::{FrameError, challenge::Outcome},
};

/// Why a guest does not get in. Its text is for the log; [`person`](Self::person) is for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GuestError {
    /// The adapter or the connection.
    #[error(transparent)]
    Radio(#[from] RadioError),
    /// Nobody was heard.
    #[error("nobody was heard in time")]
    NotFound,
    /// Who was found does not serve this version, in which the guest was enrolled. It is not asked in another.
    #[error("who was found serves no version {0}")]
    NoIssuer(u8),
    /// The issuer said no, with this word.
    #[error("the issuer refused: {0}")]
    Refused(String),
    /// The answer is not the issuer's, or not for this guest.
    #[error("the answer of version 1: {0}")]
    Answer(#[from] OpenError),
    /// The same in version 2, or of a lock.
    #[error("a frame of version 2: {0}")]
    Frame(FrameError),
    /// It was answered in clear, and had not asked for that.
    #[error("the answer is in clear")]
    InClear,
    /// Nobody answered.
    #[error("no answer in time")]
    NoAnswer,
    /// What it wants to say does not fit.
    #[error("the request does not fit")]
    TooLong,
    /// The session is over.
    #[error("the session is over")]
    Over,
    /// Tokens open nothing with this session.
    #[error("this session opens by a challenge alone")]
    NeedsGesture,
    /// This session answers no challenge.
    #[error("this session answers no challenge")]
    NoGesture,
    /// Another lock answered.
    #[error("this is the lock {0}")]
    OtherLock(String),
    /// The owner of the phone did not want it.
    #[error("the gesture was not made")]
    Declined,
    /// This lock takes no passes.
    #[error("the lock takes no passes")]
    NoPasses,
    /// The lock may have opened, and nobody knows.
    #[error("what the lock did is not known: {0}")]
    Unsure(String),
    /// The lock said no.
    #[error("the lock told {0:?}")]
    Lock(Outcome),
}

impl GuestError {
    /// What a person can do.
    pub fn person(&self) -> String {
        match self {
            Self::Radio(error) => error.person().into(),
            Self::NotFound => "Nobody was heard. Go closer, and see whether the issuer or the lock is switched on.".into(),
            Self::NoIssuer(version) => format!(
                "The issuer cannot be reached in version {version}, for which this guest was enrolled. Another may be pretending: go closer, and ask its owner."
            ),
            Self::Refused(word) => refused(word),
            Self::Answer(OpenError::Undecryptable) => "The answer is for another key. Look whether this guest has the key with which it was enrolled.".into(),
            Self::Answer(OpenError::Offset) => "The clock of this guest is more than a day off. Set it.".into(),
            Self::Answer(_) | Self::Frame(_) => "The answer is not from the issuer that this guest was enrolled with. Look at the issuer's public key; if that is right, somebody else is answering.".into(),
            Self::InClear => "The issuer answered in clear, which this guest did not ask for. Somebody else may be answering.".into(),
            Self::NoAnswer => "There was no answer. Go closer and try again.".into(),
            Self::TooLong => "The name of the lock or the invite is too long for this version.".into(),
            Self::Over => "The session is over. Set the clock of this guest, or ask for a new session.".into(),
            Self::NeedsGesture => "This door opens only by a gesture. Use `doorward ble guest --open`.".into(),
            Self::NoGesture => "This session opens by being near the door. It has no gesture.".into(),
            Self::OtherLock(_) => "Only other locks were found. Go closer to the right one.".into(),
            Self::Declined => "Nothing was opened.".into(),
            Self::Unsure(_) => "The connection was lost halfway. Look whether the door is open.".into(),
            Self::NoPasses => "This lock takes no passes. Ask for a session instead.".into(),
            Self::Lock(Outcome::NoTime) => "The lock does not know the time, and lets nobody in by this way. Tell its owner.".into(),
            Self::Lock(Outcome::Again) => "The answer came too late. Try again.".into(),
            Self::Lock(Outcome::Refused | Outcome::Done) => "The lock refused. Ask its owner whether you may open it now.".into(),
        }
    }

    /// Whether somebody else may do better than who was found.
    pub(super) const fn looks_on(&self) -> bool {
        match self {
            Self::Radio(error) => !matches!(error, RadioError::Gone(_) | RadioError::Busy(_)),
            Self::NoIssuer(_) | Self::Answer(_) | Self::Frame(_) | Self::InClear | Self::NoAnswer | Self::OtherLock(_) => true,
            Self::NotFound
            | Self::Refused(_)
            | Self::TooLong
            | Self::Over
            | Self::NeedsGesture
            | Self::NoGesture
            | Self::Declined
            | Self::NoPasses
            | Self::Unsure(_)
            | Self::Lock(_) => false,
        }
    }
}

/// The words of the wire; other issuers have their own.
fn refused(word: &str) -> String {
    let known = match word.parse::<Trouble>() {
        Ok(Trouble::NotEnrolled) => "The issuer does not know this guest's key. Ask its owner to enrol it.",
        Ok(Trouble::NoGrant) => "You may not open this door, or not now. Ask its owner.",
        Ok(Trouble::InviteRefused) => "The invite is unknown, used or too old. Ask for a new one.",
        Ok(Trouble::RateLimited) => "The issuer was asked too often. Wait a minute.",
        Ok(Trouble::InternalError) => "The issuer cannot give a session now. Its log says why.",
        Ok(Trouble::MissingUnlockerPublicKey) => {
            "The issuer wants a key, and this guest has none. Make one with `doorward ble keys create`."
        }
        Ok(Trouble::InvalidRequest | Trouble::InvalidChunk | Trouble::MissingLockId) => {
            "The issuer did not understand the request. Look at the name of the lock, the clock and the key of this guest."
        }
        Err(_) => return format!("The issuer refused: {word}."),
    };
    known.into()
}

impl From<GuestError> for Fault {
    fn from(error: GuestError) -> Self {
        let (person, log) = (error.person(), error.to_string());
        match error {
            GuestError::Radio(error) => error.into(),
            GuestError::NotFound | GuestError::NoIssuer(_) | GuestError::OtherLock(_) => Self::offline(person, log),
            GuestError::NoAnswer | GuestError::Unsure(_) => Self::timeout(person, log),
            GuestError::Answer(_) | GuestError::Frame(_) | GuestError::InClear => Self::protocol(person, log),
            GuestError::Refused(_)
            | GuestError::TooLong
            | GuestError::Over
            | GuestError::NeedsGesture
            | GuestError::NoGesture
            | GuestError::Declined
            | GuestError::NoPasses
            | GuestError::Lock(_) => Self::refused(person, log),
        }
    }
}
