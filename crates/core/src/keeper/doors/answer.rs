//! What a device says about a command by itself, later than its vendor took it.

use super::{
    AccountId, AttemptId, AttemptState, CORRECTION, DoorState, Doors, Evidence, EvidenceKind, Fault, Now, Outbox, Reason, attempt::Phase,
};

/// Answers that are kept for a command whose driver has not come back yet.
const EARLY: usize = 4;

impl Doors {
    /// A device answered. The key says to which command, so that an answer to an older one says nothing about the newest.
    pub(in crate::keeper) fn answered(
        &mut self,
        account: &AccountId,
        external: &str,
        key: String,
        outcome: Result<(), Fault>,
        now: Now,
        outbox: &mut Outbox,
    ) {
        let Some(door) = self.externals.get(&(account.clone(), external.to_owned())) else { return };
        let attempt = self.attempts.iter().find(|(_, attempt)| attempt.view.door == *door && attempt.key.as_deref() == Some(&key));
        if let Some((id, _)) = attempt {
            let id = *id;
            return self.answer(id, outcome, now, outbox);
        }
        let Some(cell) = self.cells.get_mut(door) else { return };
        if cell.early.len() == EARLY {
            cell.early.pop_front();
        }
        cell.early.push_back((key, outcome));
    }

    /// The driver came back, and says by which key its device answers: perhaps it has already.
    pub(super) fn answered_early(&mut self, id: AttemptId, key: String, now: Now, outbox: &mut Outbox) {
        let Some((attempt, cell)) = self.cell_of(id) else { return };
        let at = cell.early.iter().position(|(known, _)| *known == key);
        attempt.key = Some(key);
        if let Some((_, outcome)) = at.and_then(|at| cell.early.remove(at)) {
            self.answer(id, outcome, now, outbox);
        }
    }

    fn answer(&mut self, id: AttemptId, outcome: Result<(), Fault>, now: Now, outbox: &mut Outbox) {
        let Some((attempt, cell)) = self.cell_of(id) else { return };
        let open = match attempt.phase {
            Phase::Verifying { .. } => true,
            Phase::Ended { answered: Some(answered), .. } => {
                attempt.view.state == AttemptState::Unconfirmed && now.mono.since(answered) <= CORRECTION
            }
            Phase::Recording | Phase::Waiting | Phase::Claiming | Phase::Acting | Phase::Ended { .. } => false,
        };
        if !open {
            return;
        }
        match outcome {
            Ok(()) => {
                attempt.view.add(Evidence { kind: EvidenceKind::Answer, state: Some(DoorState::Open), at: now.utc });
                // A contact knows better whether it stands open.
                if cell.setup.contact.is_none() {
                    self.end(id, AttemptState::Confirmed, None, now, outbox);
                }
            }
            Err(fault) => {
                self.end(id, AttemptState::Failed, Some((fault.reason.unwrap_or(Reason::VendorRefused), fault.person)), now, outbox);
            }
        }
    }
}
