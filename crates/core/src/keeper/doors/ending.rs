//! How an attempt ends: by what was seen, by what was not, and for how long that can still be corrected.

use super::{
    ActionWord, At, Attempt, AttemptId, AttemptState, CORRECTION, DoorId, DoorKind, DoorState, Doors, EventKind, Mono, NewEvent, Notice,
    Now, Outbox, REMEMBER, Reason, Record, Timer,
    attempt::{Agreement, AttemptCell, Phase, about},
    json,
};

impl Doors {
    /// Ends an attempt. Nothing is published as an event before it is written.
    pub(super) fn end(&mut self, id: AttemptId, state: AttemptState, why: Option<(Reason, String)>, now: Now, outbox: &mut Outbox) {
        let Some((attempt, cell)) = self.cell_of(id) else { return };
        let correction = attempt.view.state.is_final();
        let answered = match attempt.phase {
            Phase::Verifying { answered, .. } => Some(answered),
            Phase::Ended { answered, .. } => answered,
            Phase::Recording | Phase::Waiting | Phase::Claiming | Phase::Acting => None,
        };
        attempt.view.state = state;
        (attempt.view.reason, attempt.view.detail) = why.map_or((None, None), |(reason, detail)| (Some(reason), Some(detail)));
        attempt.view.finished = Some(now.utc);
        attempt.phase = ended(answered, now);
        let view = attempt.view.clone();
        if cell.newest == Some(id) && view.reason != Some(Reason::OutcomeUnknown) {
            cell.looks.clear();
        }
        let strike = cell.setup.kind != DoorKind::Bolt && view.action == ActionWord::Open;
        let kind = match state {
            AttemptState::Pending => None,
            // What was seen to open is told already.
            AttemptState::Confirmed => (strike && cell.setup.kind != DoorKind::Foreign && cell.told.state != Some(DoorState::Open))
                .then_some(EventKind::DoorOpened),
            AttemptState::Unconfirmed => Some(EventKind::DoorUnconfirmed),
            AttemptState::Contradicted => Some(EventKind::DoorContradicted),
            AttemptState::Refused => Some(EventKind::DoorRefused),
            AttemptState::Failed => Some(EventKind::DoorFailed),
        };
        let mut events: Vec<NewEvent> = kind.map(|kind| about(&view, kind, now)).into_iter().collect();
        events.push(finished(&view, now).data(json!({ "action": view.action, "state": view.state, "corrected": correction })));
        outbox.publish(Notice::Attempt(view.clone()));
        let door = view.door.clone();
        outbox.record_outcome(id, Record::Outcome { attempt: view.clone(), events });
        self.opened_for(&view, now, outbox);
        self.remember_end(id);
        if self.cells.get(&door).is_some_and(|cell| cell.mailbox.contains(&id)) {
            self.leave_mailbox(&door, id, now, outbox);
        }
        self.publish(&door, outbox);
    }

    pub(in crate::keeper) fn outcome_stored(&mut self, id: AttemptId, _now: Now, outbox: &mut Outbox) {
        if let Some(attempt) = self.attempts.get(&id) {
            outbox.reply(id, At::Finished, Ok(attempt.view.clone()));
        }
    }

    /// The window of an attempt is over, or it can be forgotten.
    pub(super) fn attempt_due(&mut self, id: AttemptId, now: Now, outbox: &mut Outbox) {
        match self.attempts.get(&id).map(|attempt| attempt.phase) {
            Some(Phase::Verifying { answered, .. }) => {
                let due = self.cell_of(id).map(|(_, cell)| cell.window());
                if due.is_some_and(|window| now.mono >= answered.plus(window)) {
                    self.conclude(id, now, outbox);
                }
            }
            Some(Phase::Ended { forget, .. }) if now.mono >= forget => {
                if let Some((_, cell)) = self.cell_of(id)
                    && cell.newest == Some(id)
                {
                    cell.newest = None;
                    let door = cell.setup.id.clone();
                    self.attempts.remove(&id);
                    return self.publish(&door, outbox);
                }
                self.attempts.remove(&id);
            }
            Some(Phase::Recording | Phase::Waiting | Phase::Claiming | Phase::Acting | Phase::Ended { .. }) | None => {}
        }
    }

    /// Nothing more will be looked at: what was last seen decides.
    pub(super) fn conclude(&mut self, id: AttemptId, now: Now, outbox: &mut Outbox) {
        let Some(AttemptCell { phase: Phase::Verifying { last, .. }, view, .. }) = self.attempts.get(&id) else { return };
        match last {
            Some(Agreement::Opposite(DoorState::Jammed)) => {
                let detail = "The bolt is stuck. Look at the door.".into();
                self.end(id, AttemptState::Contradicted, Some((Reason::Jammed, detail)), now, outbox);
            }
            Some(Agreement::Opposite(seen)) => {
                let detail = format!("The command was accepted, but the door was still seen {seen}.");
                self.end(id, AttemptState::Contradicted, Some((Reason::Contradicted, detail)), now, outbox);
            }
            Some(Agreement::Agrees | Agreement::Neither) | None => {
                let detail = format!("The {} was sent and accepted; nobody saw what the door did.", view.action);
                self.end(id, AttemptState::Unconfirmed, Some((Reason::NoEvidence, detail)), now, outbox);
            }
        }
    }

    pub(super) fn remember_end(&mut self, id: AttemptId) {
        if let Some(AttemptCell { phase: Phase::Ended { forget, .. }, .. }) = self.attempts.get(&id) {
            self.timers.insert((*forget, Timer::Attempt(id)));
        }
    }

    /// The newest attempt at a door, while a correction by what was pushed is still possible.
    pub(super) fn correctable(&self, door: &DoorId, now: Now) -> Option<(AttemptId, AttemptState)> {
        let id = self.cells.get(door)?.newest?;
        let attempt = self.attempts.get(&id)?;
        match attempt.phase {
            Phase::Ended { answered: Some(answered), .. } if now.mono.since(answered) <= CORRECTION => Some((id, attempt.view.state)),
            Phase::Recording | Phase::Waiting | Phase::Claiming | Phase::Acting | Phase::Verifying { .. } | Phase::Ended { .. } => None,
        }
    }
}

pub(super) const fn ended(answered: Option<Mono>, now: Now) -> Phase {
    Phase::Ended { answered, forget: Mono(now.mono.0.saturating_add(REMEMBER)) }
}

pub(super) fn finished(attempt: &Attempt, now: Now) -> NewEvent {
    about(attempt, EventKind::AttemptFinished, now).data(json!({ "action": attempt.action, "state": attempt.state }))
}
