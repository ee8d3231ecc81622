//! Webhooks out: what happens is told to servers of others, signed as [Standard Webhooks] says.
//!
//! * [`run`] is the sender. It reads events from the store, queues what a webhook wants, and sends what is due.
//! * `signing` makes the signature, `message` the request and the judgement of its answer, [`crate::outward`] sends it.
//! * `desk` is what API and pages do to webhooks; it tells the sender.
//!
//! A message is sent at least once, under one identifier however often. It must never be sent where the webhook does not
//! allow, and a secret of it never shown after it was made.
//!
//! [Standard Webhooks]: https://www.standardwebhooks.com

pub(crate) mod desk;
mod message;
mod sender;
mod signing;

pub use sender::run;

use tokio::sync::{Notify, watch};

/// Where the sender and those who change webhooks meet.
#[derive(Debug, Default)]
pub(crate) struct Post {
    /// Something was changed or is due: look again.
    changed: Notify,
    /// Tries that have come to their end.
    tries: watch::Sender<u64>,
}

impl Post {
    /// Tells the sender to look again.
    pub(crate) fn look_again(&self) {
        self.changed.notify_one();
    }

    /// How many tries have come to their end and are written down.
    pub(crate) fn tries(&self) -> watch::Receiver<u64> {
        self.tries.subscribe()
    }
}
