//! A lock that runs as a program of its own on another machine: it is told to open by what its issuer signs, and tells what
//! happened there.
//!
//! What it tells rests on its right to publish at its own topic, as the wire says. It is written down, and nothing is done about
//! it: who was let in there was let in.

use super::{
    config::Door,
    run::{Heard, reason},
};
use crate::clock::seconds;
use doorward_core::{
    Mono, Secret,
    driver::{Admitted, Came, Ctx, Done, Fault, How, Message, Once, Report, Sight, TurnedAway},
};
use doorward_wire::{
    attempt::{ActionWord, Reason},
    ble::{
        compat::PrivateKey,
        order::{COMMAND_LIFE, Command, LockEvent, LockEventKind, Refusal},
        sign::SignError,
        topic::LockTopic,
        v2,
    },
    grant::Means,
};
use serde_json::json;
use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::mpsc;

/// Commands whose answer is known to be one.
const MOST_SENT: usize = 64;
/// Reports that are known to have come. What comes twice comes soon: a broker repeats what it has not seen taken.
const MOST_KNOWN: usize = 256;
/// Reports that are written down at once: those of a night without a network. A lock tells few of strangers.
const BURST: u32 = 600;
/// After so long, one more.
const REFILL: Duration = Duration::from_secs(1);

/// An issuer's private key.
#[derive(Debug)]
pub(super) enum Signer {
    V1(Box<PrivateKey>),
    V2(Box<v2::Issuer>),
}

/// The last commands that were given.
#[derive(Debug, Default)]
pub(super) struct Sent(Mutex<VecDeque<String>>);

impl Signer {
    fn issue(&self, command: &Command, door: &Door) -> Result<String, SignError> {
        match self {
            Self::V1(key) => command.issue(&door.id, &**key),
            Self::V2(key) => command.issue(&door.id, &**key),
        }
    }
}

impl Sent {
    fn note(&self, id: &str) {
        let mut sent = self.lock();
        if sent.len() == MOST_SENT {
            sent.pop_front();
        }
        sent.push_back(id.into());
    }

    /// Whether it was ours. A lock answers once.
    fn take(&self, id: &str) -> bool {
        let mut sent = self.lock();
        let at = sent.iter().position(|known| known == id);
        at.and_then(|at| sent.remove(at)).is_some()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells the lock to open, once. Its answer comes as a report.
pub(super) async fn open(ctx: &dyn Ctx, door: &Door, signer: &Signer, sent: &Sent, once: Once) -> Result<Done, Fault> {
    let mut random = [0; 16];
    ctx.fill(&mut random);
    let id = uuid::Builder::from_random_bytes(random).into_uuid().to_string();
    let not_after = seconds(once.not_after).min(seconds(ctx.now().utc) + COMMAND_LIFE);
    let command = Command { id: id.clone(), action: ActionWord::Open, not_after };
    let payload = signer.issue(&command, door).map_err(|error| {
        Fault::refused("The command could not be signed. Look at the issuer's key.", format!("{}: {error}", door.external))
    })?;
    once.check(ctx.now())?;
    sent.note(&id);
    let topic = LockTopic::Command(door.id.clone()).to_string();
    let fresh_for = Some(Duration::from_secs(COMMAND_LIFE));
    ctx.publish(Message { topic, payload: payload.into_bytes(), retain: false, fresh_for }).await?;
    Ok(Done { key: Some(id), ..Done::default() })
}

/// Takes what the lock tells. It never ends by itself.
pub(super) async fn watch(door: &Door, ctx: &dyn Ctx, sent: &Sent, mut messages: mpsc::Receiver<Heard>) {
    let mut watch = Watch { door, ctx, sent, known: known(door, ctx).await, left: BURST, since: ctx.now().mono, online: None };
    while let Some(heard) = messages.recv().await {
        watch.hear(heard).await;
    }
}

struct Watch<'a> {
    door: &'a Door,
    ctx: &'a dyn Ctx,
    sent: &'a Sent,
    /// By number and time: a lock that was set up anew counts from the beginning.
    known: VecDeque<(u64, u64)>,
    left: u32,
    since: Mono,
    /// Whether the lock was heard of since the start.
    online: Option<bool>,
}

fn key(door: &Door) -> String {
    format!("elsewhere/{}", door.id)
}

async fn known(door: &Door, ctx: &dyn Ctx) -> VecDeque<(u64, u64)> {
    match ctx.kept(&key(door)).await {
        Ok(Some(kept)) => serde_json::from_slice(kept.reveal()).unwrap_or_default(),
        Ok(None) => VecDeque::new(),
        Err(error) => {
            tracing::warn!(door = door.external, %error, "it is not known what the lock has told already");
            VecDeque::new()
        }
    }
}

impl Watch<'_> {
    async fn hear(&mut self, heard: Heard) {
        match heard {
            // While the broker is away nobody can tell the lock anything. Afterwards it is where it was, or says hello.
            Heard::Broker(there) if self.online.is_some() => self.seen(there),
            Heard::Message { topic: LockTopic::Hello(_), kept: false, .. } => self.online(),
            Heard::Message { topic: LockTopic::Event(_), payload, kept: false } => {
                let Some(event) = LockEvent::read(&payload) else {
                    tracing::debug!(door = self.door.external, "the lock told something that makes no sense");
                    return;
                };
                self.online();
                if self.is_new(&event).await {
                    self.told(&event);
                }
            }
            // Nobody keeps reports for later but the lock itself.
            Heard::Message { .. } | Heard::Broker(_) => {}
        }
    }

    fn online(&mut self) {
        if self.online.is_none() {
            self.seen(true);
        }
        self.online = Some(true);
    }

    fn seen(&self, online: bool) {
        self.door.news.hears((!online).then(|| "It was heard of, and is away now: its machine, or the broker.".into()));
        let sight = Sight { online: Some(online), ..Sight::new(How::Pushed) };
        self.ctx.report(Report::Seen { external: self.door.external.clone(), sight });
    }

    /// Whether a report comes for the first time. It is kept as known before it is told.
    async fn is_new(&mut self, event: &LockEvent) -> bool {
        let this = (event.id, event.time);
        if self.known.contains(&this) || !self.may() {
            return false;
        }
        if self.known.len() == MOST_KNOWN {
            self.known.pop_front();
        }
        self.known.push_back(this);
        let value = serde_json::to_vec(&self.known).unwrap_or_default();
        if let Err(error) = self.ctx.keep(&key(self.door), Secret::new(value)).await {
            tracing::warn!(door = self.door.external, %error, "what the lock told may be told again after a restart");
        }
        true
    }

    /// No lock fills the history, whoever speaks for it.
    fn may(&mut self) -> bool {
        let now = self.ctx.now().mono;
        let more = now.since(self.since).as_secs() / REFILL.as_secs();
        if more > 0 {
            self.left = self.left.saturating_add(u32::try_from(more).unwrap_or(BURST)).min(BURST);
            self.since = now;
        }
        let may = self.left > 0;
        if may {
            self.left -= 1;
        } else {
            tracing::warn!(door = self.door.external, "the lock tells too much; a report is left out");
        }
        may
    }

    fn told(&self, event: &LockEvent) {
        // Without a session it answers a command.
        let ours = event.client_id.as_ref().filter(|id| event.nonce.is_none() && self.sent.take(id));
        match ours {
            Some(id) => self.answered(id.clone(), event),
            None => self.happened(event),
        }
    }

    fn answered(&self, key: String, event: &LockEvent) {
        let outcome = match event.kind {
            LockEventKind::Opened => Ok(()),
            // The command itself has said as much.
            LockEventKind::Accepted => return,
            LockEventKind::Refused => {
                let refusal = event.reason.unwrap_or(Refusal::NotAllowed);
                let person = "The lock refused the command. Look at its clock and its keys.";
                Err(Fault::refused(person, format!("{}: {refusal}", self.door.external)).because(reason(refusal)))
            }
            LockEventKind::Failed => {
                let person = "What opens the door does not work. Look at the lock's machine.";
                Err(Fault::refused(person, format!("{}: the actuator failed", self.door.external)))
            }
        };
        self.ctx.report(Report::Answer { external: self.door.external.clone(), key, outcome });
    }

    fn happened(&self, event: &LockEvent) {
        let external = self.door.external.clone();
        let mut about = json!({ "at": event.time, "client": event.client_id, "rssi": event.rssi });
        let credential = event.nonce.as_ref().map(ToString::to_string);
        let came = match event.kind {
            LockEventKind::Opened => Came::Opened,
            LockEventKind::Accepted => Came::Unconfirmed,
            LockEventKind::Failed => Came::Failed,
            LockEventKind::Refused => {
                about["session"] = json!(credential);
                let reason = event.reason.map_or(Reason::NoGrant, reason);
                return self.ctx.report(Report::TurnedAway(TurnedAway { external, reason, means: Means::Ble, about }));
            }
        };
        let credential = credential.or_else(|| event.client_id.clone()).unwrap_or_default();
        self.ctx.report(Report::Admitted(Admitted { external, credential, actor: None, means: Means::Ble, came, about }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_remembered_within_bounds_and_answered_once() {
        let sent = Sent::default();
        let ids: Vec<String> = (0..=MOST_SENT).map(|number| format!("command {number}")).collect();
        for id in &ids {
            sent.note(id);
        }
        assert!(!sent.take(&ids[0]), "the oldest gave way");
        assert!(sent.take(&ids[1]));
        assert!(!sent.take(&ids[1]));
    }
}
