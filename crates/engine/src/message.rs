//! What goes to the run loop.

use doorward_core::keeper::{At, CommandError, Input};
use doorward_wire::{
    attempt::{Attempt, AttemptId, Reason},
    event::Event,
};
use std::net::IpAddr;
use tokio::sync::oneshot;

/// Somebody who waits for an answer.
pub(crate) type Caller = oneshot::Sender<Result<Attempt, CommandError>>;

/// What goes to the loop.
#[derive(Debug)]
pub(crate) enum Message {
    /// For the keeper.
    Input(Input),
    /// Tell me how far this command is.
    Wait(AttemptId, At, Caller),
    /// Tell me when everything that came before this was carried out, so far as nobody has to be waited for.
    Heard(oneshot::Sender<()>),
    /// Events that were written beside the keeper.
    Told(Vec<Event>),
    /// A caller without credentials was refused.
    Refused(Reason, Option<IpAddr>),
}
