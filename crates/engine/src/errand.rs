//! What a driver asks of the keeper, and what came of it: to open for somebody at a lock, or to open another door.

use crate::{ctx::AccountCtx, message::Message};
use doorward_core::{
    driver::{Fault, Once},
    keeper::{At, Command, CommandError, Input},
    policy::{Actions, Doors, Grant, Rights},
    setup::DoorSetup,
};
use doorward_wire::{
    attempt::{ActionWord, Actor, ActorKind, Attempt, AttemptState, Reason},
    door::{Capability, DoorId},
    grant::Means,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::oneshot;

/// After a command is stale its driver has this long to come back, as every driver has.
const PATIENCE: Duration = Duration::from_mins(1);

/// Which door opens which other one at this moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chains(Arc<Mutex<BTreeMap<DoorId, DoorId>>>);

/// A door opens another one for as long as this lives.
struct Link<'a>(&'a Chains, DoorId);

impl Chains {
    /// Nothing when the other door is opened for this one, however many are in between: each would wait for the next.
    fn link(&self, from: &DoorId, to: &DoorId) -> Option<Link<'_>> {
        let mut chains = self.lock();
        let mut last = to;
        while last != from {
            let Some(next) = chains.get(last) else {
                chains.insert(from.clone(), to.clone());
                return Some(Link(self, from.clone()));
            };
            last = next;
        }
        None
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<DoorId, DoorId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Link<'_> {
    fn drop(&mut self) {
        self.0.lock().remove(&self.1);
    }
}

/// Opens one door for another of this account.
pub(crate) async fn open_for(ctx: &AccountCtx, external: &str, to: &DoorId, once: Once) -> Result<(), Fault> {
    let doors = ctx.store.doors().await.map_err(|error| {
        Fault::refused("The house could not look up the other door.", error.to_string()).because(Reason::AuditUnavailable)
    })?;
    let own = doors.iter().find(|door| door.account == ctx.account && door.external == external);
    let other = doors.iter().find(|door| door.id == *to);
    let (Some(own), Some(other)) = (own, other) else {
        let person = format!("The lock opens the door “{to}”, and there is no such door. Set its door = … to one that is there.");
        return Err(Fault::refused(person, format!("no door {to} to open for {external}")).because(Reason::BadRequest));
    };
    let Some(_link) = ctx.chains.link(&own.id, &other.id) else {
        let person = format!("The doors “{}” and “{to}” open each other. Change one of them.", own.id);
        return Err(Fault::refused(person, format!("{} and {to} open each other", own.id)).because(Reason::BadRequest));
    };
    // A door has the right to this one opening, and no other.
    let right = Grant::standing(format!("door {}", own.id), vec![Doors::One(other.id.clone())], Actions::Act);
    let command = Command {
        id: ctx.clock.uuid(),
        door: other.id.clone(),
        action: opening(other),
        actor: Actor { kind: ActorKind::Device, id: own.id.to_string(), name: Some(own.name.clone()) },
        rights: Rights::of(vec![right]),
        not_after: Some(once.not_after),
        means: Means::Remote,
    };
    once.check(ctx.clock.now())?;
    carry(ctx, command).await
}

/// What opens a door.
pub(crate) fn opening(door: &DoorSetup) -> ActionWord {
    if door.capabilities.contains(&Capability::Unlock) { ActionWord::Unlock } else { ActionWord::Open }
}

/// Brings a command to the keeper, and waits until the door's driver is back.
pub(crate) async fn carry(ctx: &AccountCtx, command: Command) -> Result<(), Fault> {
    let (caller, answer) = oneshot::channel();
    let stopping = || outcome(Err(CommandError::Stopping));
    let wait = Message::Wait(command.id, At::Acted, caller);
    if ctx.inputs.send(wait).is_err() || ctx.inputs.send(Message::Input(Input::Command(Box::new(command)))).is_err() {
        return stopping();
    }
    tokio::select! {
        answer = answer => answer.map_or_else(|_| stopping(), outcome),
        () = ctx.clock.sleep_until(ctx.clock.now().mono.plus(PATIENCE)) => {
            Err(Fault::timeout("The door did not answer. Look at it.", "a command did not come back within a minute"))
        }
    }
}

fn outcome(attempt: Result<Attempt, CommandError>) -> Result<(), Fault> {
    let attempt = match attempt {
        Ok(attempt) => attempt,
        Err(error) => return Err(Fault::refused("The door was not opened.", error.to_string())),
    };
    let log = format!("attempt {} at {}: {}", attempt.id, attempt.door, attempt.state);
    let person = attempt.detail.unwrap_or_else(|| "The door was not opened.".into());
    match attempt.state {
        AttemptState::Pending | AttemptState::Confirmed => Ok(()),
        // What another door's vendor says of its account says nothing about this one's.
        AttemptState::Refused | AttemptState::Failed => Err(Fault { reason: attempt.reason, ..Fault::refused(person, log) }),
        AttemptState::Unconfirmed | AttemptState::Contradicted => Err(Fault::timeout(person, log)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doors_that_open_each_other_are_noticed_however_many_there_are_in_between() {
        let chains = Chains::default();
        let [a, b, c] = ["a", "b", "c"].map(|id| id.parse::<DoorId>().unwrap());
        assert!(chains.link(&a, &a).is_none(), "a door that opens itself");
        let first = chains.link(&a, &b).unwrap();
        let second = chains.link(&b, &c).unwrap();
        assert!(chains.link(&c, &a).is_none());
        assert!(chains.link(&c, &b).is_none());
        drop(first);
        assert!(chains.link(&c, &a).is_some(), "the chain was over");
        drop(second);
        assert!(chains.lock().is_empty());
    }
}
