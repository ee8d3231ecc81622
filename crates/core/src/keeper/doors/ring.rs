//! What comes of a ring, from the press of a button to its end.
//!
//! A ring ends once: by the vendor, by a person who answers or ignores it, by the door being opened meanwhile, or by time.
//! **Every ring ends**, whatever the driver says or forgets to say. Strangers ring, so what they can fill is bounded: rings
//! at once, rings in a minute, the calls of one ring, and what the vendor calls whoever rings.

use super::{
    AccountId, Action, ActorKind, Attempt, AttemptId, AttemptState, DoorId, Doors, Duration, EventKind, Mono, NewEvent, Notice, Now,
    Outbox, Purpose, Record, Target, Timer, json,
};
use crate::{driver::CALL_MAX, keeper::RingCommand};
use doorward_wire::{
    attempt::Actor,
    ring::{Ring, RingId, RingState},
};
use std::collections::{BTreeMap, HashMap};

/// Rings at a door within this time are one: a button that is held or bounces.
const SAME_RING: Duration = Duration::from_secs(2);
/// Every ring ends after this time.
const LONGEST: Duration = Duration::from_secs(90);
/// A ring whose vendor never tells how it ends is over after this time.
const NO_END: Duration = Duration::from_mins(1);
/// Rings of one account at once.
const AT_ONCE: usize = 16;
/// Rings of one account that are told in a minute.
const IN_A_MINUTE: u32 = 32;
/// Calls that may belong to one ring.
const CALLS: usize = 4;
/// Characters of what the vendor calls whoever rings.
const FROM: usize = 64;

/// What rings now. What has ended is in the store.
#[derive(Debug, Default)]
pub(super) struct Rings {
    ringing: BTreeMap<RingId, RingCell>,
    paces: HashMap<AccountId, Pace>,
}

#[derive(Debug)]
struct RingCell {
    view: Ring,
    account: AccountId,
    /// The driver's own keys of it; none when the vendor never tells how it ends.
    calls: Vec<String>,
    began: Mono,
    until: Mono,
    /// A person's command that opens the door was taken by the vendor while it rang, and has not ended yet.
    opening: Option<AttemptId>,
    /// How it ends should that command come to nothing.
    otherwise: Option<RingState>,
}

/// How fast an account rings.
#[derive(Debug)]
struct Pace {
    since: Mono,
    rings: u32,
    /// Rings that were not taken and not told of yet.
    dropped: u64,
}

impl Doors {
    /// Somebody rings.
    pub(in crate::keeper) fn ring(
        &mut self,
        account: &AccountId,
        external: &str,
        call: String,
        from: Option<&str>,
        now: Now,
        outbox: &mut Outbox,
    ) {
        let Some(door) = self.externals.get(&(account.clone(), external.to_owned())).cloned() else { return };
        let call = Some(call).filter(|call| !call.is_empty() && call.len() <= CALL_MAX);
        if self.is_told(account, &door, call.as_deref(), now) || !self.keeps_pace(account, now) {
            return;
        }
        let again = self.rings.ringing.values_mut().find(|ring| call.is_none() && ring.view.door == door && ring.calls.is_empty());
        if let Some(ring) = again {
            ring.until = now.mono.plus(NO_END).min(ring.began.plus(LONGEST));
            outbox.record_events(vec![begun(&ring.view, now)]);
        } else {
            if self.rings.ringing.values().filter(|ring| ring.account == *account).count() >= AT_ONCE {
                return self.drop_ring(account);
            }
            self.begin(account, &door, call, from, now, outbox);
        }
        if let Some(there) = self.cells.get_mut(&door) {
            there.rang = Some(now.mono);
        }
    }

    /// Whether this is no new ring: the driver tells of a call again, or a button is held or bounces. A second call of the
    /// same press belongs to the ring of the first.
    fn is_told(&mut self, account: &AccountId, door: &DoorId, call: Option<&str>, now: Now) -> bool {
        let mut ringing = self.rings.ringing.values_mut();
        if ringing.any(|ring| ring.account == *account && ring.calls.iter().any(|known| Some(known.as_str()) == call)) {
            return true;
        }
        let last = self.cells.get(door).and_then(|there| there.rang);
        if last.is_none_or(|last| now.mono.since(last) >= SAME_RING) {
            return false;
        }
        let first = self.rings.ringing.values_mut().find(|ring| ring.view.door == *door && now.mono.since(ring.began) < SAME_RING);
        match (first, call) {
            (Some(ring), Some(call)) => {
                if ring.calls.len() < CALLS {
                    ring.calls.push(call.to_owned());
                }
                true
            }
            // Whoever rang, gave up and rings anew does ring.
            (None, Some(_)) => false,
            (Some(_) | None, None) => true,
        }
    }

    fn begin(&mut self, account: &AccountId, door: &DoorId, call: Option<String>, from: Option<&str>, now: Now, outbox: &mut Outbox) {
        let view = Ring {
            id: outbox.uuid(),
            door: door.clone(),
            account: Some(account.clone()),
            since: now.utc,
            from: from.and_then(shown),
            state: RingState::Ringing,
            ended: None,
            by: None,
            attempt: None,
        };
        let until = now.mono.plus(if call.is_some() { LONGEST } else { NO_END });
        self.timers.insert((until, Timer::Ring(view.id)));
        outbox.publish(Notice::Ring(view.clone()));
        outbox.record_plain(Record::Ring { events: vec![begun(&view, now)], ring: Box::new(view.clone()) });
        let calls = call.into_iter().collect();
        let ring = RingCell { account: account.clone(), calls, began: now.mono, until, opening: None, otherwise: None, view };
        self.rings.ringing.insert(ring.view.id, ring);
    }

    /// A ring ended at the vendor.
    pub(in crate::keeper) fn ring_ended(&mut self, account: &AccountId, call: &str, end: RingState, now: Now, outbox: &mut Outbox) {
        let of_call = |ring: &&mut RingCell| ring.account == *account && ring.calls.iter().any(|known| known == call);
        let Some(ring) = self.rings.ringing.values_mut().find(of_call) else { return };
        let over = match end {
            RingState::Ringing => return,
            RingState::Cancelled | RingState::Timeout => ring.calls.iter().all(|known| known == call),
            RingState::Answered | RingState::Opened | RingState::Rejected | RingState::AnsweredElsewhere => true,
        };
        if !over {
            return ring.calls.retain(|known| known != call);
        }
        let id = ring.view.id;
        if ring.opening.is_some() {
            // What a person did about it says more than that the bell fell silent.
            ring.otherwise = Some(end);
            return;
        }
        self.end_ring(id, end, None, now, outbox);
    }

    /// A person answers or ignores a ring. One that is over stays as it ended.
    pub(in crate::keeper) fn ring_command(&mut self, command: RingCommand, now: Now, outbox: &mut Outbox) {
        self.end_ring(command.id, command.end.state(), Some((command.actor, None)), now, outbox);
    }

    /// The vendor took a command that opens: should the door open, that is what came of its rings.
    pub(super) fn opens_for(&mut self, attempt: &Attempt) {
        let by_itself = matches!(attempt.actor.kind, ActorKind::System | ActorKind::Device);
        if !attempt.action.opens() || by_itself {
            return;
        }
        for ring in self.rings.ringing.values_mut().filter(|ring| ring.view.door == attempt.door) {
            ring.opening = Some(attempt.id);
        }
    }

    /// A command has ended: it opened the door for whoever rings, or came to nothing.
    pub(super) fn opened_for(&mut self, attempt: &Attempt, now: Now, outbox: &mut Outbox) {
        let opened = matches!(attempt.state, AttemptState::Confirmed | AttemptState::Unconfirmed);
        let of_attempt = |ring: &&mut RingCell| ring.opening == Some(attempt.id);
        let cells = self.rings.ringing.values_mut().filter(of_attempt);
        let ends: Vec<(RingId, Option<RingState>)> = cells.map(|ring| (ring.view.id, (ring.opening.take(), ring.otherwise).1)).collect();
        for (id, otherwise) in ends {
            if opened {
                self.end_ring(id, RingState::Opened, Some((attempt.actor.clone(), Some(attempt.id))), now, outbox);
            } else if let Some(end) = otherwise {
                self.end_ring(id, end, None, now, outbox);
            }
        }
    }

    pub(super) fn ring_due(&mut self, id: RingId, now: Now, outbox: &mut Outbox) {
        let Some(ring) = self.rings.ringing.get_mut(&id) else { return };
        let last = ring.began.plus(LONGEST);
        if now.mono >= ring.until && ring.opening.is_some() && ring.until < last {
            ring.otherwise.get_or_insert(RingState::Timeout);
            ring.until = last;
        }
        if now.mono < ring.until {
            self.timers.insert((ring.until, Timer::Ring(id)));
            return;
        }
        let end = ring.otherwise.unwrap_or(RingState::Timeout);
        self.end_ring(id, end, None, now, outbox);
    }

    /// Ends what rings at a door that is gone.
    pub(super) fn silence(&mut self, door: &DoorId, now: Now, outbox: &mut Outbox) {
        let there = self.rings.ringing.values().filter(|ring| ring.view.door == *door);
        let ids: Vec<RingId> = there.map(|ring| ring.view.id).collect();
        for id in ids {
            self.end_ring(id, RingState::Timeout, None, now, outbox);
        }
    }

    /// What rang when the last run stopped: nobody can do anything about it any more.
    pub(in crate::keeper) fn close_open_ring(mut ring: Ring, now: Now, outbox: &mut Outbox) {
        ring.state = RingState::Timeout;
        ring.ended = Some(now.utc);
        publish_end(ring, now, outbox);
    }

    /// Ends a ring, and the driver's call of it when it was ended here.
    fn end_ring(&mut self, id: RingId, end: RingState, by: Option<(Actor, Option<AttemptId>)>, now: Now, outbox: &mut Outbox) {
        let Some(RingCell { mut view, account, calls, .. }) = self.rings.ringing.remove(&id) else { return };
        view.state = end;
        view.ended = Some(now.utc);
        if let Some((actor, attempt)) = by {
            (view.by, view.attempt) = (Some(actor), attempt);
            for call in calls {
                outbox.act(Purpose::EndRing { account: account.clone() }, Target::Account, Action::EndRing { call, end });
            }
        }
        publish_end(view, now, outbox);
    }

    /// Whether an account does not ring too often. What is too much is counted.
    fn keeps_pace(&mut self, account: &AccountId, now: Now) -> bool {
        let pace = self.rings.paces.entry(account.clone()).or_insert(Pace { since: now.mono, rings: 0, dropped: 0 });
        if now.mono.since(pace.since) >= Duration::from_mins(1) {
            (pace.since, pace.rings) = (now.mono, 0);
        }
        if pace.rings < IN_A_MINUTE {
            pace.rings += 1;
            return true;
        }
        self.drop_ring(account);
        false
    }

    fn drop_ring(&mut self, account: &AccountId) {
        let Some(pace) = self.rings.paces.get_mut(account) else { return };
        pace.dropped += 1;
        if pace.dropped == 1 {
            self.timers.insert((pace.since.plus(Duration::from_mins(1)), Timer::Rings(account.clone())));
        }
    }

    /// Tells how many rings of an account were not taken.
    pub(super) fn rings_due(&mut self, account: &AccountId, now: Now, outbox: &mut Outbox) {
        let Some(pace) = self.rings.paces.get_mut(account) else { return };
        let dropped = std::mem::take(&mut pace.dropped);
        let event = NewEvent::new(now.utc, EventKind::DoorRingsDropped).account(account).data(json!({ "count": dropped }));
        outbox.record_events(vec![event]);
    }

    pub(super) fn forget_pace(&mut self, account: &AccountId) {
        self.rings.paces.remove(account);
    }
}

/// What the vendor calls whoever rings, fit to be shown; `None` when nothing is left of it.
fn shown(from: &str) -> Option<String> {
    let clean: String = from.chars().filter(|c| !c.is_control()).collect();
    let cut: String = clean.trim().chars().take(FROM).collect();
    (!cut.is_empty()).then_some(cut)
}

fn begun(ring: &Ring, now: Now) -> NewEvent {
    let mut data = json!({ "ring": ring.id });
    if let Some(from) = &ring.from {
        data["from"] = json!(from);
    }
    about(ring, EventKind::DoorRing, now).data(data)
}

fn publish_end(ring: Ring, now: Now, outbox: &mut Outbox) {
    let mut event = about(&ring, EventKind::DoorRingEnded, now).data(json!({ "ring": ring.id, "state": ring.state }));
    (event.actor, event.attempt) = (ring.by.clone(), ring.attempt);
    outbox.publish(Notice::Ring(ring.clone()));
    outbox.record_plain(Record::Ring { ring: Box::new(ring), events: vec![event] });
}

fn about(ring: &Ring, kind: EventKind, now: Now) -> NewEvent {
    let event = NewEvent::new(now.utc, kind).door(&ring.door);
    match &ring.account {
        Some(account) => event.account(account),
        None => event,
    }
}
