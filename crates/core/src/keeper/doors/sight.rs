//! What was seen at a door, and what it says about the newest command.

use super::{
    AccountId, AttemptState, BATTERY_LOW, Capability, Done, DoorCell, DoorId, DoorState, Doors, Duration, EventKind, Evidence,
    EvidenceKind, Fault, How, Mono, NewEvent, Now, Outbox, Phase, Reason, Record, Seen, Sight, Timer, Told,
    attempt::{Agreement, about},
    json,
};

/// Pieces of evidence that a door shows.
const EVIDENCE: usize = 5;
/// How long a contact is believed that says nothing more: sensors speak when something changes, and about once a day.
const CONTACT_STALE: Duration = Duration::from_hours(25);

impl Doors {
    pub(in crate::keeper) fn seen(&mut self, account: &AccountId, external: &str, sight: Sight, now: Now, outbox: &mut Outbox) {
        if let Some(id) = self.externals.get(&(account.clone(), external.to_owned())).cloned() {
            self.sight(&id, sight, now, outbox);
        }
    }

    /// The contact that is set up for a door spoke, or can be heard no more.
    pub(in crate::keeper) fn contact(&mut self, id: &DoorId, open: Option<bool>, kept: bool, now: Now, outbox: &mut Outbox) {
        let how = if kept { How::Kept } else { How::Contact };
        if open.is_some() {
            return self.sight(id, Sight { contact_open: open, ..Sight::new(how) }, now, outbox);
        }
        let Some(cell) = self.cells.get_mut(id).filter(|cell| cell.contact_open.is_some()) else { return };
        cell.contact_open = None;
        if !cell.has_bolt() {
            (cell.seen, cell.since) = (None, None);
        }
        self.publish(id, outbox);
    }

    /// A look after a command came back.
    pub(in crate::keeper) fn looked(&mut self, id: &DoorId, result: Result<Done, Fault>, now: Now, outbox: &mut Outbox) {
        if let Ok(Done { sight: Some(sight), .. }) = result {
            self.sight(id, sight, now, outbox);
        }
        // The last look is over: nothing more will be seen in time.
        let Some(cell) = self.cells.get(id) else { return };
        if let (true, Some(newest), Some(answered), Some(window)) = (cell.looks.is_empty(), cell.newest, cell.answered, cell.verify.last())
            && now.mono >= answered.plus(*window)
        {
            self.conclude(newest, now, outbox);
        }
    }

    pub(super) fn sight(&mut self, id: &DoorId, sight: Sight, now: Now, outbox: &mut Outbox) {
        let Some(cell) = self.cells.get_mut(id) else { return };
        let usable = cell.usable(&sight.how, &self.attempts);
        if let Some(raw) = sight.raw {
            cell.raw = Some(raw);
        }
        let (mut events, mut told) = (Vec::new(), Told::default());
        if let Some(event) = sight.battery.and_then(|level| cell.battery_seen(level, now)) {
            events.push(event);
            told.battery_low = cell.told.battery_low;
        }
        let by_contact = matches!(sight.how, How::Contact | How::Kept);
        // The contact that a person set up is believed rather than the vendor's.
        let contact_open = sight.contact_open.filter(|_| by_contact || cell.setup.contact.is_none());
        if contact_open.is_some() {
            cell.contact_open = contact_open;
        }
        if sight.online == Some(false) {
            cell.forget_state();
        }
        let seen = sight.state.map(|state| cell.with_contact(state)).or_else(|| cell.by_contact(contact_open?));
        let state = seen.filter(|_| usable);
        if let Some(state) = state {
            cell.evidence.push_front(Evidence { kind: sight.how.kind(), state: Some(state), at: now.utc });
            cell.evidence.truncate(EVIDENCE);
            let until = now.mono.plus(if by_contact { CONTACT_STALE.max(cell.stale_after) } else { cell.stale_after });
            cell.stand(state, until, now);
            self.timers.insert((until, Timer::Stale(id.clone())));
        }
        let changed = state.filter(|state| cell.told.state != Some(*state) && *state != DoorState::Unknown);
        if let Some(state) = changed {
            events.extend(self.state_changed(id, state, now));
        }
        if !events.is_empty() {
            told.state = changed;
            outbox.record_plain(Record::Events { events, told: Some((id.clone(), told)) });
        }
        // A contact hangs beside the door: whether the lock can be reached it does not know.
        if let Some(online) = sight.online.or(state.filter(|_| !by_contact).map(|_| true)) {
            self.set_online(id, online, now, outbox);
        }
        if let Some(state) = state {
            self.weigh(id, sight.how, state, now, outbox);
            self.plan_auto_lock(id, now);
        }
        self.publish(id, outbox);
    }

    pub(super) fn set_online(&mut self, id: &DoorId, online: bool, now: Now, outbox: &mut Outbox) {
        let Some(cell) = self.cells.get_mut(id) else { return };
        if cell.online.replace(online) == Some(online) {
            return;
        }
        // A first sight is news only when the door is away.
        if cell.told.online.unwrap_or(true) != online {
            cell.told.online = Some(online);
            let kind = if online { EventKind::DoorOnline } else { EventKind::DoorOffline };
            let told = Told { online: Some(online), ..Told::default() };
            outbox.record_plain(Record::Events { events: vec![NewEvent::new(now.utc, kind).door(id)], told: Some((id.clone(), told)) });
        }
        self.publish(id, outbox);
    }

    /// The event of a state that was not told before; it belongs to the newest command if that explains it.
    fn state_changed(&mut self, id: &DoorId, state: DoorState, now: Now) -> Option<NewEvent> {
        let cell = self.cells.get_mut(id)?;
        let first = cell.told.state.replace(state).is_none();
        let kind = match state {
            DoorState::Locked => EventKind::DoorLocked,
            DoorState::Unlocked => EventKind::DoorUnlocked,
            DoorState::Open => EventKind::DoorOpened,
            DoorState::Jammed => EventKind::DoorJammed,
            DoorState::Locking | DoorState::Unlocking | DoorState::Unknown => return None,
        };
        let cause = cell
            .newest
            .and_then(|newest| self.attempts.get(&newest))
            .filter(|attempt| attempt.moves() && (attempt.judge(state) == Agreement::Agrees || state == DoorState::Jammed));
        if let Some(attempt) = cause {
            return Some(about(&attempt.view, kind, now));
        }
        // The very first sight of a door changes nothing that anybody knew, but for a stuck bolt.
        (!first || state == DoorState::Jammed).then(|| NewEvent::new(now.utc, kind).door(id))
    }

    /// Holds what was seen against the newest command.
    fn weigh(&mut self, id: &DoorId, how: How, state: DoorState, now: Now, outbox: &mut Outbox) {
        let Some(newest) = self.cells.get(id).and_then(|cell| cell.newest) else { return };
        let correctable = self.correctable(id, now);
        let Some((attempt, cell)) = self.cell_of(newest) else { return };
        let agreement = attempt.judge(state);
        let evidence = Evidence { kind: how.kind(), state: Some(state), at: now.utc };
        if let Phase::Verifying { last, .. } = &mut attempt.phase {
            if agreement != Agreement::Neither {
                *last = Some(agreement);
                attempt.view.add(evidence);
            }
            if agreement == Agreement::Agrees {
                self.end(newest, AttemptState::Confirmed, None, now, outbox);
            }
            return;
        }
        let auto_lock_due = cell.auto_lock_at.is_some_and(|at| at <= now.mono);
        let Some((_, ended)) = correctable else { return };
        match (ended, agreement, how) {
            // What opens for a moment closes again by itself.
            (AttemptState::Confirmed, Agreement::Opposite(seen), How::Pushed | How::Contact) if !auto_lock_due && !attempt.momentary() => {
                attempt.view.add(evidence);
                let detail = format!("The door was seen to do it, and {seen} again right afterwards.");
                self.end(newest, AttemptState::Contradicted, Some((Reason::Contradicted, detail)), now, outbox);
            }
            (AttemptState::Unconfirmed, Agreement::Agrees, How::Answer) => {
                attempt.view.add(evidence);
                self.end(newest, AttemptState::Confirmed, None, now, outbox);
            }
            _ => {}
        }
    }
}

impl DoorCell {
    /// Whether this can be true of the door now: a poll that was asked before the last command was answered cannot.
    fn usable(&self, how: &How, attempts: &std::collections::HashMap<super::AttemptId, super::AttemptCell>) -> bool {
        let newest = self.newest.and_then(|id| attempts.get(&id));
        let acting = newest.is_some_and(|attempt| attempt.phase == Phase::Acting);
        match how {
            How::Polled { requested } => !acting && self.answered.is_none_or(|answered| *requested > answered),
            How::Kept => !newest.is_some_and(super::attempt::AttemptCell::moves),
            How::Answer | How::Pushed | How::Contact => true,
        }
    }

    /// A bolt that is drawn and a contact that is open are an open door.
    fn with_contact(&self, state: DoorState) -> DoorState {
        if state == DoorState::Unlocked && self.contact_open == Some(true) && self.has_bolt() { DoorState::Open } else { state }
    }

    /// What a contact says of a door without a bolt, and how it changes what is known of one with a bolt.
    fn by_contact(&self, open: bool) -> Option<DoorState> {
        if !self.has_bolt() {
            return Some(if open { DoorState::Open } else { DoorState::Locked });
        }
        match (self.seen?.state, open) {
            (DoorState::Unlocked, true) => Some(DoorState::Open),
            (DoorState::Open, false) => Some(DoorState::Unlocked),
            _ => None,
        }
    }

    fn stand(&mut self, state: DoorState, until: Mono, now: Now) {
        if self.seen.is_none_or(|seen| seen.state != state) {
            self.since = Some(now.utc);
        }
        match state {
            DoorState::Unlocked | DoorState::Open => _ = self.unlocked_since.get_or_insert(now.mono),
            DoorState::Locked => self.unlocked_since = None,
            DoorState::Locking | DoorState::Unlocking | DoorState::Jammed | DoorState::Unknown => {}
        }
        self.seen = Some(Seen { state, until });
    }

    fn battery_seen(&mut self, level: u8, now: Now) -> Option<NewEvent> {
        if !self.setup.capabilities.contains(&Capability::Battery) {
            self.setup.capabilities.push(Capability::Battery);
        }
        self.battery = Some(level);
        let low = level <= BATTERY_LOW;
        let was_low = self.told.battery_low.replace(low).unwrap_or_default();
        (low != was_low)
            .then(|| NewEvent::new(now.utc, EventKind::DoorBattery).door(&self.setup.id).data(json!({ "battery": level, "low": low })))
    }
}

impl How {
    const fn kind(self) -> EvidenceKind {
        match self {
            Self::Answer => EvidenceKind::Answer,
            Self::Polled { .. } | Self::Kept => EvidenceKind::Polled,
            Self::Pushed => EvidenceKind::Pushed,
            Self::Contact => EvidenceKind::Contact,
        }
    }
}
