//! The keeper: a state machine without IO that says what is done, when, and what is true about it.
//!
//! # The run loop
//! 1. [`Keeper::handle`] an input with the time at which it came.
//! 2. [`Keeper::poll`] until it is empty; carry each output out, in order.
//! 3. Sleep until [`Keeper::deadline`] at the latest, then handle [`Input::Time`]. Go to 1.
//!
//! **The order holds per door: the record of an intent is durable (`Stored`) before that door's `Act` is sent.**
//! A keeper that was killed at any point comes back knowing every command that may have been sent.
//!
//! This file only routes. [`doors`] holds what happens at a door, [`leases`] what is renewed ahead of time.
//!
//! ```
//! use doorward_core::{keeper::{Input, Keeper}, Now};
//!
//! let mut keeper = Keeper::new(7);
//! keeper.handle(Input::Time, Now::default());
//! assert!(keeper.poll().is_none(), "nothing is set up, so nothing is to be done");
//! ```

pub mod doors;
pub mod leases;
mod outbox;
#[cfg(test)]
mod rules;

use crate::{
    Mono, Now,
    driver::{Action, Done, Fault, Push, Report, Target},
    policy::Rights,
    record::{Record, Written, WrittenAs},
    setup::{AccountSetup, DoorSetup, OpenIntent},
};
use doors::Doors;
use doorward_wire::{
    Time,
    account::{AccountId, AccountState, LeaseView, Stage},
    attempt::{ActionWord, Actor, Attempt, AttemptId},
    door::{Door, DoorId},
    event::Event,
    grant::Means,
    ring::{Ring, RingId, RingState},
};
use leases::Leases;
use outbox::{Outbox, Purpose, Waiting};
use std::time::Duration;

/// A wall clock that moved this much against the monotonic one was set by somebody.
const CLOCK_JUMP: Duration = Duration::from_secs(5);

/// A command as it enters the house, whoever brings it.
#[derive(Debug, Clone)]
pub struct Command {
    /// Chosen by the caller or made at the edge; the same one again returns the same attempt.
    pub id: AttemptId,
    /// The door.
    pub door: DoorId,
    /// What is asked of it.
    pub action: ActionWord,
    /// Who asks.
    pub actor: Actor,
    /// What they were given.
    pub rights: Rights,
    /// Stale after this time; ten seconds from now when absent.
    pub not_after: Option<Time>,
    /// By which means it came.
    pub means: Means,
}

/// What a person does about a ring. Of one that is over nothing changes.
#[derive(Debug, Clone)]
pub struct RingCommand {
    /// The ring.
    pub id: RingId,
    /// What they do.
    pub end: RingEnd,
    /// Who they are; whoever brings the command has asked whether they may.
    pub actor: Actor,
}

/// How a person ends a ring without opening the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RingEnd {
    /// They answer it.
    Answered,
    /// They ignore it.
    Rejected,
}

impl RingEnd {
    /// The state of a ring that ended so.
    pub const fn state(self) -> RingState {
        match self {
            Self::Answered => RingState::Answered,
            Self::Rejected => RingState::Rejected,
        }
    }
}

/// Why a command did not become an attempt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// There is no such door.
    #[error("there is no door with this id")]
    UnknownDoor,
    /// `not_after` is more than a minute ahead.
    #[error("not_after may be at most 60 seconds ahead")]
    TooFarAhead,
    /// The identifier was used for another command.
    #[error("this id was used before, for another command")]
    Conflict,
    /// doorward is stopping, or its run loop is gone.
    #[error("doorward is stopping")]
    Stopping,
}

/// What goes in.
#[derive(Debug)]
pub enum Input {
    /// What is set up, and what the last run left open.
    Boot {
        /// The accounts.
        accounts: Vec<AccountSetup>,
        /// The doors.
        doors: Vec<DoorSetup>,
        /// Intents without an outcome.
        intents: Vec<OpenIntent>,
        /// Rings without an end.
        rings: Vec<Ring>,
    },
    /// Somebody asks something of a door.
    Command(Box<Command>),
    /// Somebody answers or ignores a ring.
    Ring(RingCommand),
    /// A driver came back.
    Acted {
        /// Which action.
        act: ActId,
        /// What came of it.
        result: Result<Done, Fault>,
    },
    /// A driver tells something by itself.
    Report {
        /// Its account.
        account: AccountId,
        /// What it tells.
        report: Report,
    },
    /// The contact that is set up for a door was heard.
    Contact {
        /// The door.
        door: DoorId,
        /// Whether it stands open; `None` when nobody can tell any more.
        open: Option<bool>,
        /// A broker had kept it: nobody knows how old it is.
        kept: bool,
    },
    /// A record is durable, or is not.
    Stored {
        /// Which record.
        ticket: Ticket,
        /// What became of it.
        result: Result<Written, StoreFailed>,
    },
    /// Something was set up differently.
    Changed(Change),
    /// Time went by.
    Time,
}

/// What a person changed.
#[derive(Debug, Clone)]
pub enum Change {
    /// An account was added or changed.
    Account(AccountSetup),
    /// An account is gone, and its doors with it.
    AccountRemoved(AccountId),
    /// A door was changed.
    Door(Box<DoorSetup>),
    /// A door is gone.
    DoorRemoved(DoorId),
}

/// The store could not write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreFailed(pub String);

/// Names one record on its way to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Names one action on its way to a driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActId(pub u64);

/// What comes out.
#[derive(Debug)]
pub enum Output {
    /// To be written; answered by [`Input::Stored`].
    Record {
        /// Its name.
        ticket: Ticket,
        /// What is written.
        record: Record,
    },
    /// To be done by a driver; answered by [`Input::Acted`], always.
    Act {
        /// Its name.
        act: ActId,
        /// Whose driver.
        account: AccountId,
        /// What it is about.
        target: Target,
        /// What is to be done.
        action: Action,
    },
    /// To be told to everybody who listens.
    Publish(Notice),
    /// To be told to whoever sent the command.
    Reply {
        /// The command.
        id: AttemptId,
        /// How far it is.
        at: At,
        /// Where it stands.
        attempt: Result<Attempt, CommandError>,
    },
}

/// The moments at which a caller is answered, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum At {
    /// It is written down and will be done, or is refused.
    Accepted,
    /// Its driver came back. What the door did is not known yet.
    Acted,
    /// It has ended.
    Finished,
}

/// What everybody may be told.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "most of them are doors")]
pub enum Notice {
    /// An event, durable.
    Event(Event),
    /// A door as it stands now.
    Door(Door),
    /// A door is gone.
    DoorGone(DoorId),
    /// An attempt as it stands now.
    Attempt(Attempt),
    /// A ring as it stands now.
    Ring(Ring),
    /// An account as it stands now.
    Account(Standing),
    /// An account is gone.
    AccountGone(AccountId),
}

/// How an account stands with its vendor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The account.
    pub id: AccountId,
    /// In a word.
    pub state: AccountState,
    /// What a person can do about it.
    pub detail: Option<String>,
    /// What is renewed ahead of time.
    pub leases: Vec<LeaseView>,
    /// How the vendor's pushes stand.
    pub push: Push,
    /// How far it is set up.
    pub stages: Vec<Stage>,
}

/// The state machine.
#[derive(Debug)]
pub struct Keeper {
    doors: Doors,
    leases: Leases,
    outbox: Outbox,
    last: Option<Now>,
}

impl Keeper {
    /// A keeper that knows nothing yet. `dice` seeds its jitter.
    pub fn new(dice: u64) -> Self {
        Self { doors: Doors::default(), leases: Leases::default(), outbox: Outbox::new(dice), last: None }
    }

    /// Takes one input. Drain [`Self::poll`] afterwards.
    pub fn handle(&mut self, input: Input, now: Now) {
        if let Some(last) = self.last
            && now.drift(last) > CLOCK_JUMP
        {
            self.leases.clock_jumped(now, &mut self.outbox);
            self.doors.clock_jumped(now, &mut self.outbox);
        }
        self.last = Some(now);
        match input {
            Input::Boot { accounts, doors, intents, rings } => {
                for account in accounts {
                    self.leases.set_up(account, &mut self.outbox);
                }
                for door in doors {
                    self.set_up_door(door, now);
                }
                for intent in intents {
                    Doors::close_open_intent(intent, now, &mut self.outbox);
                }
                for ring in rings {
                    Doors::close_open_ring(ring, now, &mut self.outbox);
                }
            }
            Input::Command(command) => self.doors.command(&command, now, &mut self.outbox),
            Input::Ring(command) => self.doors.ring_command(command, now, &mut self.outbox),
            Input::Acted { act, result } => self.acted(act, result, now),
            Input::Report { account, report } => self.reported(&account, report, now),
            Input::Contact { door, open, kept } => self.doors.contact(&door, open, kept, now, &mut self.outbox),
            Input::Stored { ticket, result } => self.stored(ticket, result, now),
            Input::Changed(change) => self.changed(change, now),
            Input::Time => {}
        }
        self.tick(now);
    }

    /// The next thing to carry out.
    pub fn poll(&mut self) -> Option<Output> {
        self.outbox.pop()
    }

    /// When [`Input::Time`] is due at the latest; nothing when nothing waits for time.
    pub fn deadline(&self) -> Option<Mono> {
        [self.doors.deadline(), self.leases.deadline(), self.outbox.deadline()].into_iter().flatten().min()
    }

    /// Whether a driver or the store has still to come back.
    pub fn is_busy(&self) -> bool {
        self.outbox.is_busy()
    }

    /// Records that could not be written yet, and how many were given up.
    pub fn unwritten(&self) -> (usize, u64) {
        self.outbox.unwritten()
    }

    fn set_up_door(&mut self, door: DoorSetup, now: Now) {
        let (verify, stale_after) = self.leases.verify_of(&door.account);
        self.doors.set_up(door, verify, stale_after, now, &mut self.outbox);
    }

    fn changed(&mut self, change: Change, now: Now) {
        match change {
            Change::Account(account) => {
                self.doors.set_verify(&account);
                self.leases.set_up(account, &mut self.outbox);
            }
            Change::AccountRemoved(account) => {
                self.doors.remove_account(&account, now, &mut self.outbox);
                self.leases.remove(&account, &mut self.outbox);
            }
            Change::Door(door) => self.set_up_door(*door, now),
            Change::DoorRemoved(door) => self.doors.remove(&door, now, &mut self.outbox),
        }
    }

    fn acted(&mut self, act: ActId, result: Result<Done, Fault>, now: Now) {
        let Some(purpose) = self.outbox.acted(act) else { return };
        if let Err(fault) = &result {
            self.leases.fault_seen(purpose.account(), fault, now, &mut self.outbox);
        }
        match purpose {
            Purpose::Attempt { id, .. } => self.doors.acted(id, result, now, &mut self.outbox),
            Purpose::Look { door, .. } => self.doors.looked(&door, result, now, &mut self.outbox),
            Purpose::Renew { account, lease } => self.leases.renewed(&account, &lease, result, now, &mut self.outbox),
            // The ring is over here, whatever the vendor makes of it.
            Purpose::EndRing { .. } => {}
        }
    }

    fn reported(&mut self, account: &AccountId, report: Report, now: Now) {
        match report {
            Report::Found(found) => {
                let (verify, stale_after) = self.leases.verify_of(account);
                self.doors.found(account, found, &verify, stale_after, now, &mut self.outbox);
            }
            Report::Seen { external, sight } => self.doors.seen(account, &external, sight, now, &mut self.outbox),
            Report::Ring { external, call, from } => self.doors.ring(account, &external, call, from.as_deref(), now, &mut self.outbox),
            Report::RingEnded { call, end } => self.doors.ring_ended(account, &call, end, now, &mut self.outbox),
            Report::Down(fault) => {
                self.leases.down(account, &fault, now, &mut self.outbox);
                self.doors.account_down(account, now, &mut self.outbox);
            }
            Report::Answer { external, key, outcome } => self.doors.answered(account, &external, key, outcome, now, &mut self.outbox),
            Report::Milestone { what, data } => self.leases.milestone(account, what, data, now, &mut self.outbox),
            Report::NeedsPerson(fault) => self.leases.needs_person(account, fault, now, &mut self.outbox),
            Report::Stages(stages) => self.leases.stages(account, stages, &mut self.outbox),
            Report::Lease(lease) => self.leases.lease(account, lease, now, &mut self.outbox),
            Report::LeaseForgotten(id) => self.leases.forget(account, &id, &mut self.outbox),
            Report::SignedIn => self.leases.signed_in(account, now, &mut self.outbox),
            Report::Up => self.leases.up(account, &mut self.outbox),
            Report::Push(push) => self.leases.push(account, push, &mut self.outbox),
            Report::TurnedAway(turned) => self.doors.turned_away(account, &turned, now, &mut self.outbox),
            Report::Admitted(admitted) => self.doors.admitted(account, &admitted, now, &mut self.outbox),
            // What an account listens for is between it and the broker; whom a credential belongs to, the store knows.
            Report::Listen(_) | Report::Presented(_) => {}
        }
    }

    fn stored(&mut self, ticket: Ticket, result: Result<Written, StoreFailed>, now: Now) {
        let Some(waiting) = self.outbox.stored(ticket) else { return };
        let what = match result {
            Ok(written) => {
                for event in written.events {
                    self.outbox.publish(Notice::Event(event));
                }
                if matches!(waiting, Waiting::Backlog) {
                    self.outbox.wrote_backlog();
                }
                Ok(written.what)
            }
            Err(failed) => Err(failed),
        };
        match waiting {
            Waiting::Intent(id) => self.doors.intent_stored(id, what, now, &mut self.outbox),
            Waiting::Outcome(id, record) => {
                if what.is_err() {
                    self.outbox.keep_for_later(*record, now);
                }
                self.doors.outcome_stored(id, now, &mut self.outbox);
            }
            Waiting::Plain(record) => {
                if what.is_err() {
                    self.outbox.keep_for_later(*record, now);
                }
            }
            Waiting::Backlog => {
                if what.is_err() {
                    self.outbox.backlog_failed(now);
                }
            }
        }
    }

    fn tick(&mut self, now: Now) {
        self.doors.tick(now, &mut self.outbox);
        self.leases.tick(now, &mut self.outbox);
        self.outbox.retry(now);
    }
}

/// What the store did with an intent, as far as [`doors`] cares.
type Stored = Result<WrittenAs, StoreFailed>;
