//! One command from its acceptance to its end.

use super::agreement::Permission;
use super::ending::{ended, finished};
use super::{
    Action, ActionWord, ActorKind, At, Attempt, AttemptId, AttemptState, Capability, Command, CommandError, Done, DoorId, DoorState, Doors,
    EventKind, Evidence, EvidenceKind, FRESH_FOR, Fault, MAILBOX, MOST_AHEAD, Mono, NewEvent, Notice, Now, OpenIntent, Outbox, Purpose,
    Reason, Record, StoreFailed, Stored, Time, Timer, json, policy,
};
use crate::{
    driver::{Family, Once},
    policy::Permit,
    record::WrittenAs,
    setup::DoorSetup,
};

/// An attempt while the keeper remembers it.
#[derive(Debug)]
pub(super) struct AttemptCell {
    pub(super) view: Attempt,
    pub(super) phase: Phase,
    not_after: Time,
    fail_open: bool,
    /// By which its device may answer later.
    pub(super) key: Option<String>,
}

/// How far an attempt is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Phase {
    /// Its intent is on its way to the store.
    Recording,
    /// Its intent is durable; other commands are before it.
    Waiting,
    /// The right to act is on its way to the store.
    Claiming,
    /// The driver is at it.
    Acting,
    /// The driver came back; what the door did is looked for.
    Verifying {
        /// When the driver came back.
        answered: Mono,
        /// What was last seen of it since.
        last: Option<Agreement>,
    },
    /// Its end is on its way to the store, or written.
    Ended {
        /// When the driver came back, if it did.
        answered: Option<Mono>,
        /// When it may be forgotten.
        forget: Mono,
    },
}

/// What evidence says about a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Agreement {
    /// The door did it.
    Agrees,
    /// The door did not, or did the opposite.
    Opposite(DoorState),
    /// It says nothing about it.
    Neither,
}

impl AttemptCell {
    /// Whether the door may be moving because of it.
    pub(super) const fn moves(&self) -> bool {
        matches!(self.phase, Phase::Acting | Phase::Verifying { .. })
    }

    /// What it opens closes again by itself.
    pub(super) fn momentary(&self) -> bool {
        self.view.action == ActionWord::Open
    }

    pub(super) fn judge(&self, state: DoorState) -> Agreement {
        match (self.view.action, state) {
            (ActionWord::Lock, DoorState::Locked)
            | (ActionWord::Unlock | ActionWord::Open, DoorState::Unlocked | DoorState::Open)
            | (ActionWord::Refresh, _) => Agreement::Agrees,
            (ActionWord::Lock, DoorState::Unlocked | DoorState::Open | DoorState::Jammed)
            | (ActionWord::Unlock | ActionWord::Open, DoorState::Locked | DoorState::Jammed) => Agreement::Opposite(state),
            (_, DoorState::Locking | DoorState::Unlocking | DoorState::Unknown) => Agreement::Neither,
        }
    }
}

impl Doors {
    pub(in crate::keeper) fn command(&mut self, command: &Command, now: Now, outbox: &mut Outbox) {
        let id = command.id;
        if let Some(known) = self.attempts.get(&id) {
            let same = known.view.door == command.door && known.view.action == command.action;
            let answer = if same { Ok(known.view.clone()) } else { Err(CommandError::Conflict) };
            let finished = same && known.view.state.is_final();
            outbox.reply(id, At::Accepted, answer.clone());
            if finished {
                outbox.reply(id, At::Finished, answer);
            }
            return;
        }
        let Some(cell) = self.cells.get_mut(&command.door) else {
            return outbox.reply(id, At::Accepted, Err(CommandError::UnknownDoor));
        };
        if command.not_after.is_some_and(|at| at > now.utc.plus(MOST_AHEAD)) {
            return outbox.reply(id, At::Accepted, Err(CommandError::TooFarAhead));
        }
        let not_after = command.not_after.unwrap_or_else(|| now.utc.plus(FRESH_FOR));
        let verdict = verdict_on(command, &cell.setup, cell.mailbox.len(), not_after, now);
        let verdict = verdict.and_then(|permit| self.agreements.agree(command, permit, now));
        let Some(cell) = self.cells.get_mut(&command.door) else { return };
        let (permit, refusal) = verdict.map_or_else(|refusal| (Permission::default(), Some(refusal)), |permit| (permit, None));
        let state = if refusal.is_some() { AttemptState::Refused } else { AttemptState::Pending };
        let view = Attempt {
            id,
            door: command.door.clone(),
            action: command.action,
            state,
            reason: refusal.as_ref().map(|(reason, _)| *reason),
            detail: refusal.map(|(_, detail)| detail),
            actor: command.actor.clone(),
            evidence: Vec::new(),
            created: now.utc,
            finished: state.is_final().then_some(now.utc),
        };
        let account = cell.setup.account.clone();
        let fail_open = cell.setup.fail_open && command.actor.kind == ActorKind::Admin;
        let phase = if state.is_final() { ended(None, now) } else { Phase::Recording };
        self.attempts.insert(id, AttemptCell { view: view.clone(), phase, not_after, fail_open, key: None });
        if command.action == ActionWord::Refresh && !state.is_final() {
            return self.act(id, now, outbox);
        }
        let claim = !state.is_final() && cell.mailbox.is_empty();
        let events = if state.is_final() {
            vec![about(&view, EventKind::DoorRefused, now)]
        } else {
            cell.mailbox.push_back(id);
            requested(&view, command, &permit, now)
        };
        outbox.record_intent(id, Record::Intent { attempt: view, account, not_after, claim, grant: permit.grant, events });
    }

    /// What the last run left open. If it was claimed it may have been sent, and nobody knows what came of it.
    pub(in crate::keeper) fn close_open_intent(intent: OpenIntent, now: Now, outbox: &mut Outbox) {
        let OpenIntent { mut attempt, acted } = intent;
        let kind = if acted {
            attempt.state = AttemptState::Unconfirmed;
            attempt.reason = Some(Reason::OutcomeUnknown);
            attempt.detail = Some("doorward stopped before it knew what came of this command. Look at the door.".into());
            EventKind::DoorUnconfirmed
        } else {
            attempt.state = AttemptState::Refused;
            attempt.reason = Some(Reason::StaleCommand);
            attempt.detail = Some("doorward stopped before this command was sent.".into());
            EventKind::DoorRefused
        };
        attempt.finished = Some(now.utc);
        let events = vec![about(&attempt, kind, now), finished(&attempt, now)];
        outbox.record_plain(Record::Outcome { attempt, events });
    }

    pub(in crate::keeper) fn intent_stored(&mut self, id: AttemptId, stored: Stored, now: Now, outbox: &mut Outbox) {
        let Some(attempt) = self.attempts.get_mut(&id) else { return };
        match stored {
            // Another copy of doorward wrote this very command and may not own the account: whoever claims it acts.
            Ok(WrittenAs::Known(known)) if !known.state.is_final() && attempt.view.same_as(&known) => {
                attempt.view = *known;
                attempt.phase = Phase::Waiting;
                let door = attempt.view.door.clone();
                outbox.reply(id, At::Accepted, Ok(attempt.view.clone()));
                self.next(&door, now, outbox);
            }
            Ok(WrittenAs::Known(known)) => {
                let same = attempt.view.same_as(&known);
                let door = attempt.view.door.clone();
                let answer = if same { Ok(*known) } else { Err(CommandError::Conflict) };
                self.attempts.remove(&id);
                self.leave_mailbox(&door, id, now, outbox);
                let over = answer.as_ref().map_or(true, |known| known.state.is_final());
                outbox.reply(id, At::Accepted, answer.clone());
                if over {
                    outbox.reply(id, At::Finished, answer);
                }
            }
            Ok(WrittenAs::Plain) => {
                let refused = attempt.view.state.is_final();
                if attempt.phase == Phase::Recording {
                    attempt.phase = Phase::Waiting;
                }
                outbox.reply(id, At::Accepted, Ok(attempt.view.clone()));
                if refused {
                    outbox.reply(id, At::Finished, Ok(attempt.view.clone()));
                    self.remember_end(id);
                } else {
                    let door = attempt.view.door.clone();
                    self.next(&door, now, outbox);
                }
            }
            Ok(WrittenAs::Denied(denied)) => {
                attempt.view = *denied;
                attempt.phase = ended(None, now);
                let (door, view) = (attempt.view.door.clone(), attempt.view.clone());
                outbox.reply(id, At::Accepted, Ok(view.clone()));
                outbox.reply(id, At::Finished, Ok(view));
                self.remember_end(id);
                self.leave_mailbox(&door, id, now, outbox);
            }
            Ok(WrittenAs::Claim(true)) => {
                if attempt.phase == Phase::Recording {
                    outbox.reply(id, At::Accepted, Ok(attempt.view.clone()));
                }
                self.act(id, now, outbox);
            }
            Ok(WrittenAs::Claim(false)) => {
                // Another copy of doorward owns this account, or has claimed this very command. It writes the outcome.
                let door = attempt.view.door.clone();
                let view = attempt.view.clone();
                self.attempts.remove(&id);
                outbox.reply(id, At::Accepted, Ok(view));
                self.leave_mailbox(&door, id, now, outbox);
            }
            Err(failed) => self.intent_not_stored(id, &failed, now, outbox),
        }
    }

    /// Rule 4: what cannot be written down is not done, except at a door that is a way out.
    fn intent_not_stored(&mut self, id: AttemptId, failed: &StoreFailed, now: Now, outbox: &mut Outbox) {
        let Some(attempt) = self.attempts.get_mut(&id) else { return };
        if attempt.fail_open && !attempt.view.state.is_final() {
            outbox.reply(id, At::Accepted, Ok(attempt.view.clone()));
            return self.act(id, now, outbox);
        }
        if !attempt.view.state.is_final() {
            attempt.view.state = AttemptState::Refused;
            attempt.view.reason = Some(Reason::AuditUnavailable);
            attempt.view.detail = Some(format!("doorward could not write this down, so it was not done: {}", failed.0));
            attempt.view.finished = Some(now.utc);
        }
        attempt.phase = ended(None, now);
        let view = attempt.view.clone();
        outbox.reply(id, At::Accepted, Ok(view.clone()));
        outbox.reply(id, At::Finished, Ok(view.clone()));
        self.remember_end(id);
        self.leave_mailbox(&view.door, id, now, outbox);
        // The intent may have reached the disk although the store said no: then this closes it.
        outbox.record_plain(Record::Outcome { events: vec![about(&view, EventKind::DoorRefused, now)], attempt: view });
    }

    /// Sends the attempt to its driver, if it is still fresh.
    fn act(&mut self, id: AttemptId, now: Now, outbox: &mut Outbox) {
        let Some((attempt, cell)) = self.cell_of(id) else { return };
        if now.utc > attempt.not_after {
            return self.end(id, AttemptState::Refused, Some((Reason::StaleCommand, stale())), now, outbox);
        }
        let once = Once { not_after: attempt.not_after };
        let action = match attempt.view.action {
            ActionWord::Open => Action::Open(once),
            ActionWord::Lock => Action::Lock(once),
            ActionWord::Unlock => Action::Unlock(once),
            ActionWord::Refresh => Action::Refresh,
        };
        attempt.phase = Phase::Acting;
        let door = attempt.view.door.clone();
        let view = attempt.view.clone();
        let target = cell.target();
        let account = cell.setup.account.clone();
        if view.action == ActionWord::Refresh {
            outbox.reply(id, At::Accepted, Ok(view.clone()));
        } else {
            let older = cell.newest.replace(id);
            cell.looks.clear();
            if let Some(older) = older.filter(|older| *older != id) {
                self.supersede(older, now, outbox);
            }
        }
        outbox.publish(Notice::Attempt(view));
        outbox.act(Purpose::Attempt { id, account }, target, action);
        self.publish(&door, outbox);
    }

    /// What is seen from now on says nothing about an older command.
    fn supersede(&mut self, id: AttemptId, now: Now, outbox: &mut Outbox) {
        if let Some(AttemptCell { phase: Phase::Verifying { .. }, .. }) = self.attempts.get(&id) {
            let detail = "A newer command was sent before anybody saw what this one did.".into();
            self.end(id, AttemptState::Unconfirmed, Some((Reason::Superseded, detail)), now, outbox);
        }
    }

    /// The driver came back.
    pub(in crate::keeper) fn acted(&mut self, id: AttemptId, result: Result<Done, Fault>, now: Now, outbox: &mut Outbox) {
        let Some((attempt, cell)) = self.cell_of(id) else { return };
        if attempt.phase != Phase::Acting {
            return;
        }
        let door = attempt.view.door.clone();
        if attempt.view.action == ActionWord::Refresh {
            return self.refreshed(id, result, now, outbox);
        }
        cell.answered = Some(now.mono);
        match result {
            Ok(done) => {
                attempt.view.add(Evidence { kind: EvidenceKind::Accepted, state: None, at: now.utc });
                attempt.phase = Phase::Verifying { answered: now.mono, last: None };
                let view = attempt.view.clone();
                if let Some(raw) = done.raw {
                    cell.raw = Some(raw);
                }
                cell.looks = cell.looks_after(now.mono);
                let window = cell.window();
                outbox.publish(Notice::Attempt(view.clone()));
                self.timers.insert((now.mono.plus(window), Timer::Attempt(id)));
                self.opens_for(&view);
                if let Some(sight) = done.sight {
                    self.sight(&door, sight, now, outbox);
                }
                if let Some(key) = done.key {
                    self.answered_early(id, key, now, outbox);
                }
            }
            Err(fault) => {
                if fault.family == Family::Timeout {
                    // Nobody knows: the attempt says so, and the door is looked at all the same. What is seen soon corrects it.
                    cell.looks = cell.looks_after(now.mono);
                    attempt.phase = Phase::Verifying { answered: now.mono, last: None };
                }
                let (state, reason) = verdict(&fault);
                self.end(id, state, Some((reason, fault.person)), now, outbox);
                if let Some(key) = fault.key {
                    self.answered_early(id, key, now, outbox);
                }
            }
        }
        if let Some(attempt) = self.attempts.get(&id) {
            outbox.reply(id, At::Acted, Ok(attempt.view.clone()));
        }
        self.plan_look(&door);
        self.leave_mailbox(&door, id, now, outbox);
        self.publish(&door, outbox);
    }

    /// A person asked for the state: nothing is written about it.
    fn refreshed(&mut self, id: AttemptId, result: Result<Done, Fault>, now: Now, outbox: &mut Outbox) {
        let Some((attempt, _)) = self.cell_of(id) else { return };
        let door = attempt.view.door.clone();
        let mut sight = None;
        match result {
            Ok(done) => {
                attempt.view.state = if done.sight.is_some() { AttemptState::Confirmed } else { AttemptState::Unconfirmed };
                sight = done.sight;
            }
            Err(fault) => {
                let (state, reason) = verdict(&fault);
                attempt.view.state = state;
                attempt.view.reason = Some(reason);
                attempt.view.detail = Some(fault.person);
            }
        }
        attempt.view.finished = Some(now.utc);
        attempt.phase = ended(None, now);
        let view = attempt.view.clone();
        if let Some(sight) = sight {
            self.sight(&door, sight, now, outbox);
        }
        self.remember_end(id);
        outbox.publish(Notice::Attempt(view.clone()));
        outbox.reply(id, At::Finished, Ok(view));
    }

    pub(super) fn leave_mailbox(&mut self, door: &DoorId, id: AttemptId, now: Now, outbox: &mut Outbox) {
        if let Some(cell) = self.cells.get_mut(door) {
            cell.mailbox.retain(|waiting| *waiting != id);
            self.next(door, now, outbox);
        }
    }

    /// Claims the command that is first in the mailbox, if it waits and is still fresh.
    fn next(&mut self, door: &DoorId, now: Now, outbox: &mut Outbox) {
        let Some(id) = self.cells.get(door).and_then(|cell| cell.mailbox.front().copied()) else { return };
        let Some(attempt) = self.attempts.get_mut(&id) else { return };
        if attempt.phase != Phase::Waiting {
            return;
        }
        if now.utc > attempt.not_after {
            return self.end(id, AttemptState::Refused, Some((Reason::StaleCommand, stale())), now, outbox);
        }
        attempt.phase = Phase::Claiming;
        outbox.record_intent(id, Record::Claim { attempt: id });
    }
}

fn stale() -> String {
    "The command waited too long and was not sent. Try again.".into()
}

/// An event about an attempt.
pub(super) fn about(attempt: &Attempt, kind: EventKind, now: Now) -> NewEvent {
    NewEvent::about(attempt, kind, now.utc)
}

/// What is told of a command that will be done, before it is done.
fn requested(view: &Attempt, command: &Command, permission: &Permission, now: Now) -> Vec<NewEvent> {
    let mut data = json!({ "action": view.action });
    if let Some(other) = &permission.with {
        data["with"] = json!(other);
    }
    let mut events = vec![about(view, EventKind::AttemptRequested, now).data(data)];
    if view.actor.kind == ActorKind::Pass && view.action.opens() {
        events.push(about(view, EventKind::PassUsed, now).data(json!({ "action": view.action, "how": command.means })));
    }
    if permission.duress {
        events.push(about(view, EventKind::DoorDuress, now).data(json!({ "action": view.action })));
    }
    events
}

/// Everything that stands against a command before it is written down as one to be done, or by what it is allowed.
fn verdict_on(command: &Command, door: &DoorSetup, waiting: usize, not_after: Time, now: Now) -> Result<Permit, (Reason, String)> {
    let needs = match command.action {
        ActionWord::Open => Capability::Open,
        ActionWord::Lock => Capability::Lock,
        ActionWord::Unlock => Capability::Unlock,
        ActionWord::Refresh => Capability::Refresh,
    };
    let decision = policy::decide(&command.rights, door.place(), command.action, now.utc);
    let Some(permit) = decision.permit else {
        let reason = decision.denied.unwrap_or(Reason::NoGrant);
        return Err((reason, format!("Not allowed: {}.", decision.reasons.join("; "))));
    };
    if !door.capabilities.contains(&needs) {
        return Err((Reason::NotCapable, format!("This door cannot {}.", command.action)));
    }
    if now.utc > not_after {
        return Err((Reason::StaleCommand, stale()));
    }
    if waiting >= MAILBOX {
        return Err((Reason::Busy, "Too many commands wait at this door. Wait until they are done.".into()));
    }
    Ok(permit)
}

/// How an attempt ends that its driver could not carry out.
fn verdict(fault: &Fault) -> (AttemptState, Reason) {
    match fault.family {
        Family::Auth => (AttemptState::Failed, fault.reason.unwrap_or(Reason::NeedsSignIn)),
        Family::Offline => (AttemptState::Failed, fault.reason.unwrap_or(Reason::Offline)),
        Family::Refused => (AttemptState::Refused, fault.reason.unwrap_or(Reason::VendorRefused)),
        Family::Protocol => (AttemptState::Failed, fault.reason.unwrap_or(Reason::Protocol)),
        Family::Timeout => (AttemptState::Unconfirmed, Reason::OutcomeUnknown),
    }
}
