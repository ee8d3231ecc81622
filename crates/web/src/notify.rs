//! Notifications: people are told of what they should look at, by Web Push, ntfy and mail.
//!
//! * [`run`] is the sender. It reads events from the store and sends what is due, each channel by itself.
//! * `lane` is how far a channel is: what it was told, what waits, until when. No IO, no clock.
//! * `message` is what is said, [`quiet`] when it is not.
//! * `push`, `ntfy` and `mail` each send one message once.
//! * `desk` is what API and pages do: show, test, turn a browser on.
//!
//! It must never hold up a channel because of another one, tell of a ring that is over, or write a secret anywhere: a topic,
//! a browser's address and a password are all that it takes to listen or to speak.

pub(crate) mod desk;
mod lane;
mod mail;
mod message;
mod ntfy;
mod push;
pub mod quiet;
mod sender;

pub use lettre::message::Mailbox;
pub use mail::{Mail, mailbox};
pub use ntfy::Ntfy;
pub use sender::run;

use crate::outward::Outward;
use doorward_wire::notify::NotifyKind;
use jiff::tz::TimeZone;
use quiet::QuietHours;
use std::time::Duration;
use tokio::sync::{Notify, OnceCell, watch};

/// What is told unless the configuration says otherwise.
pub const USUAL: [NotifyKind; 6] =
    [NotifyKind::Ring, NotifyKind::Jam, NotifyKind::Contradiction, NotifyKind::Duress, NotifyKind::Battery, NotifyKind::SignIn];
/// What comes through in quiet hours unless the configuration says otherwise: somebody is at the door, or it is not as it
/// should be. Batteries and accounts can wait for the morning.
pub const URGENT: [NotifyKind; 4] = [NotifyKind::Ring, NotifyKind::Jam, NotifyKind::Contradiction, NotifyKind::Duress];

/// `[notify]`
#[derive(Debug, Clone)]
pub struct Settings {
    /// What people are told of.
    pub kinds: Vec<NotifyKind>,
    /// When they are left alone.
    pub quiet: Option<QuietHours>,
    /// What comes through all the same.
    pub quiet_kinds: Vec<NotifyKind>,
    /// The time zone of quiet hours, and of times in messages.
    pub zone: TimeZone,
    /// A topic of an ntfy server.
    pub ntfy: Option<Ntfy>,
    /// A mail server.
    pub mail: Option<Mail>,
    /// The way to the ntfy server.
    pub outward: Outward,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            kinds: USUAL.to_vec(),
            quiet: None,
            quiet_kinds: URGENT.to_vec(),
            zone: TimeZone::UTC,
            ntfy: None,
            mail: None,
            outward: Outward::default(),
        }
    }
}

/// What came of one try. Errors are sentences for whoever set the channel up, without its secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was taken.
    Taken,
    /// Not now.
    Again { error: String, wait: Option<Duration> },
    /// Not like this, however often.
    Never(String),
    /// The browser does not want to be told any more.
    Gone,
}

impl Outcome {
    fn again(error: impl Into<String>) -> Self {
        Self::Again { error: error.into(), wait: None }
    }

    /// What went wrong.
    pub(crate) fn error(&self) -> Option<&str> {
        match self {
            Self::Taken => None,
            Self::Again { error, .. } | Self::Never(error) => Some(error),
            Self::Gone => Some("the browser was turned off, or its subscription has ended"),
        }
    }
}

/// Where the sender and those who change what it does meet.
#[derive(Debug, Default)]
pub(crate) struct Post {
    /// A browser was added or removed: look again.
    changed: Notify,
    /// Tries that have come to their end.
    tries: watch::Sender<u64>,
    /// doorward's key towards push services, once it was needed.
    vapid: OnceCell<push::Vapid>,
}

impl Post {
    /// How many tries have come to their end and are written down.
    pub(crate) fn tries(&self) -> watch::Receiver<u64> {
        self.tries.subscribe()
    }
}
