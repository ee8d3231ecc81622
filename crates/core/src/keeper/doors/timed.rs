//! What a door does when time goes by: looks after a command, evidence that gets old, locking by itself.

use super::{
    Action, ActionWord, Actor, ActorKind, Capability, Command, DoorId, DoorState, Doors, Duration, Mono, Now, Outbox, Purpose, Timer,
};
use crate::policy::Rights;
use doorward_wire::grant::Means;
use jiff::{ToSpan, tz::TimeZone};

/// A door that stands open is asked again this much later.
const WAIT_FOR_CLOSED: Duration = Duration::from_secs(30);

impl Doors {
    pub(in crate::keeper) fn tick(&mut self, now: Now, outbox: &mut Outbox) {
        while let Some((at, timer)) = self.timers.first().cloned() {
            if at > now.mono {
                return;
            }
            self.timers.pop_first();
            match timer {
                Timer::Attempt(id) => self.attempt_due(id, now, outbox),
                Timer::Look(door) => self.look_due(&door, now, outbox),
                Timer::Stale(door) => self.stale_due(&door, now, outbox),
                Timer::AutoLock(door) => self.auto_lock_due(&door, now, outbox),
                Timer::Ring(ring) => self.ring_due(ring, now, outbox),
                Timer::Rings(account) => self.rings_due(&account, now, outbox),
            }
        }
    }

    pub(in crate::keeper) fn clock_jumped(&mut self, now: Now, outbox: &mut Outbox) {
        let doors: Vec<DoorId> = self.cells.keys().cloned().collect();
        for door in doors {
            self.plan_auto_lock(&door, now);
            self.publish(&door, outbox);
        }
    }

    pub(super) fn plan_look(&mut self, door: &DoorId) {
        if let Some(at) = self.cells.get(door).and_then(|cell| cell.looks.front()) {
            self.timers.insert((*at, Timer::Look(door.clone())));
        }
    }

    fn look_due(&mut self, door: &DoorId, now: Now, outbox: &mut Outbox) {
        let Some(cell) = self.cells.get_mut(door) else { return };
        if cell.looks.front().is_none_or(|at| *at > now.mono) {
            return self.plan_look(door);
        }
        cell.looks.pop_front();
        let purpose = Purpose::Look { door: door.clone(), account: cell.setup.account.clone() };
        outbox.act(purpose, cell.target(), Action::Refresh);
        self.plan_look(door);
    }

    fn stale_due(&mut self, door: &DoorId, now: Now, outbox: &mut Outbox) {
        let Some(cell) = self.cells.get_mut(door) else { return };
        if cell.seen.is_some_and(|seen| now.mono >= seen.until) {
            cell.forget_state();
            (cell.seen, cell.since) = (None, None);
            self.publish(door, outbox);
        }
    }

    /// Sets the next moment at which the door locks itself. Minutes count from when it was first seen unlocked.
    pub(super) fn plan_auto_lock(&mut self, door: &DoorId, now: Now) {
        let Some(cell) = self.cells.get_mut(door) else { return };
        let auto_lock = cell.setup.auto_lock.clone();
        if !cell.setup.capabilities.contains(&Capability::Lock) || (auto_lock.after.is_none() && auto_lock.at.is_none()) {
            cell.auto_lock_at = None;
            return;
        }
        let after = auto_lock.after.zip(cell.unlocked_since);
        let after = after.map(|(minutes, since)| since.plus(Duration::from_mins(minutes.into())).max(now.mono));
        let at = auto_lock.at.and_then(|at| next_time_of_day(at, &cell.setup.time_zone, now));
        cell.auto_lock_at = [after, at].into_iter().flatten().min();
        if let Some(due) = cell.auto_lock_at {
            self.timers.insert((due, Timer::AutoLock(door.clone())));
        }
    }

    fn auto_lock_due(&mut self, door: &DoorId, now: Now, outbox: &mut Outbox) {
        let Some(cell) = self.cells.get_mut(door) else { return };
        if cell.auto_lock_at.is_none_or(|at| at > now.mono) {
            return;
        }
        // A bolt thrown at an open door locks nobody out and breaks the frame.
        if cell.contact_open == Some(true) {
            let later = now.mono.plus(WAIT_FOR_CLOSED);
            cell.auto_lock_at = Some(later);
            self.timers.insert((later, Timer::AutoLock(door.clone())));
            return;
        }
        let locked = cell.seen.is_some_and(|seen| seen.state == DoorState::Locked);
        cell.auto_lock_at = None;
        let at_time_of_day = cell.setup.auto_lock.at.and_then(|at| next_time_of_day(at, &cell.setup.time_zone, now));
        if let Some(next) = at_time_of_day {
            self.timers.insert((next, Timer::AutoLock(door.clone())));
            cell.auto_lock_at = Some(next);
        }
        // A lock that does not obey is told again after the same minutes, not at every look.
        cell.unlocked_since = cell.unlocked_since.map(|_| now.mono);
        if !locked {
            let actor = Actor { kind: ActorKind::System, id: "auto_lock".into(), name: None };
            let id = outbox.uuid();
            let (action, rights) = (ActionWord::Lock, Rights::system());
            let command = Command { id, door: door.clone(), action, actor, rights, not_after: None, means: Means::Remote };
            self.command(&command, now, outbox);
        }
    }
}

/// The next moment at which clocks in this zone show this time of day; a time that a change of clocks skips is taken
/// an hour later, as people expect of an alarm clock.
fn next_time_of_day(at: jiff::civil::Time, zone: &str, now: Now) -> Option<Mono> {
    let zone = if zone.is_empty() { TimeZone::UTC } else { TimeZone::get(zone).ok()? };
    let here = now.utc.timestamp().to_zoned(zone.clone());
    let today = here.date().to_datetime(at).to_zoned(zone.clone()).ok()?;
    let next = if today > here { today } else { here.date().checked_add(1.day()).ok()?.to_datetime(at).to_zoned(zone).ok()? };
    Some(now.mono_at(next.timestamp().into()))
}
