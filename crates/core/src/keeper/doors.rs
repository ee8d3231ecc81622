//! What happens at a door: commands wait in its mailbox, go out one at a time, and end with what was seen.
//!
//! # Truth
//! A vendor's OK is only `accepted`. Polled evidence counts if it was *requested* after the vendor's answer; pushed
//! evidence and a contact if they were *received* after it. Agreeing evidence confirms at once; the opposite, still
//! seen at the end of the window, contradicts; nothing usable leaves the attempt unconfirmed.

mod agreement;
mod answer;
mod attempt;
mod ending;
mod ring;
mod sight;
mod timed;

use super::{Command, CommandError, Notice, Outbox, Purpose, StoreFailed, Stored};
use crate::{
    Mono, Now,
    driver::{Action, Admitted, Came, Done, Fault, Found, How, Sight, Target, TurnedAway},
    keeper::At,
    policy,
    record::{NewEvent, Record},
    setup::{AccountSetup, DoorSetup, OpenIntent, Told},
};
use agreement::Agreements;
use attempt::{AttemptCell, Phase};
use doorward_wire::{
    Time,
    account::AccountId,
    attempt::{ActionWord, Actor, ActorKind, Attempt, AttemptId, AttemptState, Reason},
    door::{Capability, Door, DoorId, DoorKind, DoorState, Evidence, EvidenceKind},
    event::EventKind,
    ring::RingId,
};
use ring::Rings;
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    time::Duration,
};

/// A command without `not_after` is stale this long after it was accepted.
const FRESH_FOR: Duration = Duration::from_secs(10);
/// A `not_after` further ahead than this is refused.
const MOST_AHEAD: Duration = Duration::from_mins(1);
/// Commands that may wait at one door.
const MAILBOX: usize = 16;
/// How long a finished attempt is remembered: corrections and repeated ids.
const REMEMBER: Duration = Duration::from_mins(1);
/// After an attempt ended, the opposite pushed within this time of the answer corrects it.
const CORRECTION: Duration = Duration::from_secs(30);
/// How long the last look after a command may take before the attempt ends without it.
const LAST_LOOK: Duration = Duration::from_secs(15);
/// Battery levels at or below this many per cent are told.
const BATTERY_LOW: u8 = 20;

#[derive(Debug, Default)]
pub(super) struct Doors {
    cells: BTreeMap<DoorId, DoorCell>,
    externals: HashMap<(AccountId, String), DoorId>,
    attempts: HashMap<AttemptId, AttemptCell>,
    rings: Rings,
    agreements: Agreements,
    timers: BTreeSet<(Mono, Timer)>,
}

/// What a door waits for. A timer that fires too early or for nothing is harmless: its subject looks at the time again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// An attempt's window ends, or it is forgotten.
    Attempt(AttemptId),
    /// A look after a command.
    Look(DoorId),
    /// Evidence gets too old.
    Stale(DoorId),
    /// The door locks itself.
    AutoLock(DoorId),
    /// A ring is over.
    Ring(RingId),
    /// It is told how many rings of an account were not taken.
    Rings(AccountId),
}

#[derive(Debug)]
struct DoorCell {
    setup: DoorSetup,
    verify: Vec<Duration>,
    stale_after: Duration,
    /// What was last seen of the bolt; gone when it is too old.
    seen: Option<Seen>,
    since: Option<Time>,
    /// When it was first seen unlocked, until it is seen locked: looking away in between does not start this anew.
    unlocked_since: Option<Mono>,
    told: Told,
    evidence: VecDeque<Evidence>,
    online: Option<bool>,
    battery: Option<u8>,
    contact_open: Option<bool>,
    raw: Option<serde_json::Value>,
    /// Commands in their order. The first one holds the mailbox until the driver came back.
    mailbox: VecDeque<AttemptId>,
    /// The newest attempt that was sent.
    newest: Option<AttemptId>,
    /// When the driver last came back from a command: polls requested before it say nothing.
    answered: Option<Mono>,
    /// Looks still to come.
    looks: VecDeque<Mono>,
    auto_lock_at: Option<Mono>,
    /// Answers of the device to commands whose driver has not come back yet.
    early: VecDeque<(String, Result<(), Fault>)>,
    /// When somebody last rang.
    rang: Option<Mono>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    state: DoorState,
    /// From when on it is too old to be believed.
    until: Mono,
}

impl Doors {
    pub(super) fn set_up(&mut self, setup: DoorSetup, verify: Vec<Duration>, stale_after: Duration, now: Now, outbox: &mut Outbox) {
        let id = setup.id.clone();
        self.externals.insert((setup.account.clone(), setup.external.clone()), id.clone());
        match self.cells.get_mut(&id) {
            Some(cell) => {
                cell.setup = setup;
                cell.verify = verify;
                cell.stale_after = stale_after;
            }
            None => {
                self.cells.insert(id.clone(), DoorCell::new(setup, verify, stale_after));
            }
        }
        self.plan_auto_lock(&id, now);
        self.publish(&id, outbox);
    }

    pub(super) fn set_verify(&mut self, account: &AccountSetup) {
        for cell in self.cells.values_mut().filter(|cell| cell.setup.account == account.id) {
            cell.verify.clone_from(&account.verify);
            cell.stale_after = account.stale_after;
        }
    }

    pub(super) fn remove(&mut self, id: &DoorId, now: Now, outbox: &mut Outbox) {
        if let Some(cell) = self.cells.remove(id) {
            self.externals.remove(&(cell.setup.account, cell.setup.external));
            for waiting in cell.mailbox {
                self.attempts.remove(&waiting);
            }
            outbox.publish(Notice::DoorGone(id.clone()));
            self.silence(id, now, outbox);
        }
    }

    pub(super) fn remove_account(&mut self, account: &AccountId, now: Now, outbox: &mut Outbox) {
        let gone: Vec<DoorId> =
            self.cells.values().filter(|cell| cell.setup.account == *account).map(|cell| cell.setup.id.clone()).collect();
        for id in gone {
            self.remove(&id, now, outbox);
        }
        self.forget_pace(account);
    }

    pub(super) fn found(
        &mut self,
        account: &AccountId,
        found: Vec<Found>,
        verify: &[Duration],
        stale_after: Duration,
        now: Now,
        outbox: &mut Outbox,
    ) {
        let listed: BTreeSet<&str> = found.iter().map(|door| door.external.as_str()).collect();
        let missing: Vec<DoorId> = self
            .cells
            .values()
            .filter(|cell| cell.setup.account == *account && !listed.contains(cell.setup.external.as_str()))
            .map(|cell| cell.setup.id.clone())
            .collect();
        for id in missing {
            self.set_online(&id, false, now, outbox);
        }
        for door in found {
            match self.externals.get(&(account.clone(), door.external.clone())).cloned() {
                Some(id) => self.found_again(&id, door, outbox),
                None => self.found_new(account, door, verify, stale_after, now, outbox),
            }
        }
    }

    fn found_again(&mut self, id: &DoorId, door: Found, outbox: &mut Outbox) {
        let Some(cell) = self.cells.get_mut(id) else { return };
        // The configuration may name a door before its driver has seen what it is.
        if cell.setup.capabilities != door.capabilities || cell.setup.kind != door.kind {
            (cell.setup.kind, cell.setup.capabilities) = (door.kind, door.capabilities);
            outbox.record_plain(Record::Door { door: Box::new(cell.setup.clone()), events: Vec::new() });
            self.publish(id, outbox);
        }
    }

    fn found_new(&mut self, account: &AccountId, door: Found, verify: &[Duration], stale_after: Duration, now: Now, outbox: &mut Outbox) {
        let wish = DoorId::from_name(&door.name, "door");
        let id = std::iter::once(wish.clone())
            .chain((2..=u32::MAX).map(|number| wish.numbered(number)))
            .find(|id| !self.cells.contains_key(id))
            .unwrap_or(wish);
        // The neighbour's site is the best guess: an account's locks hang in one house.
        let neighbour = self.cells.values().find(|cell| cell.setup.account == *account).or_else(|| self.cells.values().next());
        let (site, time_zone, holidays) = neighbour.map_or_else(
            || ("home".into(), String::new(), Vec::new()),
            |cell| (cell.setup.site.clone(), cell.setup.time_zone.clone(), cell.setup.holidays.clone()),
        );
        let setup = DoorSetup {
            id: id.clone(),
            name: door.name,
            site,
            time_zone,
            holidays,
            kind: door.kind,
            account: account.clone(),
            external: door.external,
            capabilities: door.capabilities,
            confirm_within: Duration::from_secs(5),
            auto_lock: crate::setup::AutoLock::default(),
            fail_open: false,
            contact: None,
            mqtt_code: None,
            stream: None,
            managed: false,
            told: Told::default(),
        };
        let event = NewEvent::new(now.utc, EventKind::DoorAdded).door(&id).account(account).data(json!({ "name": setup.name }));
        outbox.record_plain(Record::Door { door: Box::new(setup.clone()), events: vec![event] });
        self.set_up(setup, verify.to_vec(), stale_after, now, outbox);
    }

    /// A lock turned somebody away by itself.
    pub(super) fn turned_away(&mut self, account: &AccountId, turned: &TurnedAway, now: Now, outbox: &mut Outbox) {
        let Some(door) = self.externals.get(&(account.clone(), turned.external.clone())) else { return };
        let data = json!({ "action": ActionWord::Open, "how": turned.means, "about": turned.about });
        let event = NewEvent::new(now.utc, EventKind::DoorRefused).door(door).account(account).reason(Some(turned.reason)).data(data);
        outbox.record_plain(Record::Events { events: vec![event], told: None });
    }

    /// A lock let somebody in by itself, and that is over.
    pub(super) fn admitted(&mut self, account: &AccountId, admitted: &Admitted, now: Now, outbox: &mut Outbox) {
        let Some(door) = self.externals.get(&(account.clone(), admitted.external.clone())) else { return };
        let kind = match admitted.came {
            Came::Opened => EventKind::DoorOpened,
            Came::Unconfirmed => EventKind::DoorUnconfirmed,
            Came::Failed => EventKind::DoorFailed,
        };
        let data = json!({ "action": ActionWord::Open, "how": admitted.means, "about": admitted.about });
        let of = |kind| {
            let event = NewEvent::new(now.utc, kind).door(door).account(account);
            admitted.actor.iter().fold(event, NewEvent::actor)
        };
        let by_pass = admitted.actor.as_ref().is_some_and(|actor| actor.kind == ActorKind::Pass) && admitted.came != Came::Failed;
        let used = by_pass.then(|| of(EventKind::PassUsed).data(json!({ "action": ActionWord::Open, "how": admitted.means })));
        let events = used.into_iter().chain([of(kind).data(data)]).collect();
        outbox.record_plain(Record::Events { events, told: None });
    }

    pub(super) fn account_down(&mut self, account: &AccountId, now: Now, outbox: &mut Outbox) {
        let doors: Vec<DoorId> =
            self.cells.values().filter(|cell| cell.setup.account == *account).map(|cell| cell.setup.id.clone()).collect();
        for id in doors {
            if let Some(cell) = self.cells.get_mut(&id) {
                cell.forget_state();
            }
            self.set_online(&id, false, now, outbox);
        }
    }

    pub(super) fn deadline(&self) -> Option<Mono> {
        self.timers.first().map(|(at, _)| *at)
    }

    fn publish(&self, id: &DoorId, outbox: &mut Outbox) {
        if let Some(cell) = self.cells.get(id) {
            outbox.publish(Notice::Door(cell.view(&self.attempts)));
        }
    }

    fn cell_of(&mut self, attempt: AttemptId) -> Option<(&mut AttemptCell, &mut DoorCell)> {
        let attempt = self.attempts.get_mut(&attempt)?;
        let cell = self.cells.get_mut(&attempt.view.door)?;
        Some((attempt, cell))
    }
}

impl DoorCell {
    fn new(setup: DoorSetup, verify: Vec<Duration>, stale_after: Duration) -> Self {
        Self {
            told: setup.told,
            setup,
            verify,
            stale_after,
            seen: None,
            since: None,
            unlocked_since: None,
            evidence: VecDeque::new(),
            online: None,
            battery: None,
            contact_open: None,
            raw: None,
            mailbox: VecDeque::new(),
            newest: None,
            answered: None,
            looks: VecDeque::new(),
            auto_lock_at: None,
            early: VecDeque::new(),
            rang: None,
        }
    }

    /// What the driver saw is not so any more. A contact of its own goes on telling what it tells.
    fn forget_state(&mut self) {
        let own = self.setup.contact.is_some();
        if !own {
            self.contact_open = None;
        }
        if !own || self.has_bolt() {
            self.seen = None;
            self.since = None;
        }
    }

    /// A door without a bolt is where its contact says, and nowhere without one.
    fn has_bolt(&self) -> bool {
        self.setup.capabilities.iter().any(|can| matches!(can, Capability::Lock | Capability::Unlock))
    }

    /// How long what a command did is looked for.
    fn window(&self) -> Duration {
        let asked = self.setup.capabilities.contains(&Capability::Refresh);
        let tells = self.told.state.is_some() || self.setup.contact.is_some() || self.setup.capabilities.contains(&Capability::Contact);
        match self.verify.last() {
            Some(last) if asked => *last + LAST_LOOK,
            _ if tells => CORRECTION.max(self.setup.confirm_within),
            _ => self.setup.confirm_within,
        }
    }

    /// The moments after an answer at which the door is asked, if it can be.
    fn looks_after(&self, answered: Mono) -> VecDeque<Mono> {
        let asked = self.setup.capabilities.contains(&Capability::Refresh);
        self.verify.iter().filter(|_| asked).map(|offset| answered.plus(*offset)).collect()
    }

    fn capabilities(&self) -> Vec<Capability> {
        let mut can = self.setup.capabilities.clone();
        if self.setup.contact.is_some() && !can.contains(&Capability::Contact) {
            can.push(Capability::Contact);
        }
        can
    }

    fn target(&self) -> Target {
        Target::Door { id: self.setup.id.clone(), external: self.setup.external.clone(), time_zone: self.setup.time_zone.clone() }
    }

    fn view(&self, attempts: &HashMap<AttemptId, AttemptCell>) -> Door {
        let attempt = self.newest.or(self.mailbox.front().copied()).and_then(|id| attempts.get(&id));
        let moving = attempt.filter(|attempt| attempt.moves()).map(|attempt| attempt.view.action);
        let state = match (moving, self.seen.map(|seen| seen.state)) {
            (Some(ActionWord::Lock), seen) if seen != Some(DoorState::Locked) => DoorState::Locking,
            (Some(ActionWord::Unlock | ActionWord::Open), seen) if !matches!(seen, Some(DoorState::Unlocked | DoorState::Open)) => {
                DoorState::Unlocking
            }
            (_, seen) => seen.unwrap_or(DoorState::Unknown),
        };
        Door {
            id: self.setup.id.clone(),
            name: self.setup.name.clone(),
            site: self.setup.site.clone(),
            kind: self.setup.kind,
            state,
            since: self.since,
            online: self.online,
            battery: self.battery,
            capabilities: self.capabilities(),
            evidence: self.evidence.iter().cloned().collect(),
            account: Some(self.setup.account.to_string()),
            external: Some(self.setup.external.clone()),
            contact_open: self.contact_open,
            managed: self.setup.managed.then(|| "config".into()),
            mqtt_code: self.setup.mqtt_code.is_some(),
            stream: self.setup.stream.clone(),
            attempt: attempt.map(|attempt| attempt.view.clone()),
        }
    }
}
