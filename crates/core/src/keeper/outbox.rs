//! Outputs on their way out, and what is waited for.

use super::{ActId, Action, At, Attempt, AttemptId, CommandError, Notice, Output, Target, Ticket};
use crate::{
    Mono, Now,
    record::{NewEvent, Record},
};
use doorward_wire::{account::AccountId, door::DoorId};
use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

/// Records that could not be written wait here; beyond this the oldest event that is neither intent nor outcome goes.
const BACKLOG: usize = 10_000;

/// Why an action was sent to a driver.
#[derive(Debug)]
pub(super) enum Purpose {
    /// For a command.
    Attempt { id: AttemptId, account: AccountId },
    /// To see what a door did.
    Look { door: DoorId, account: AccountId },
    /// To renew a lease.
    Renew { account: AccountId, lease: String },
    /// To end the driver's call of a ring.
    EndRing { account: AccountId },
}

impl Purpose {
    pub(super) const fn account(&self) -> &AccountId {
        match self {
            Self::Attempt { account, .. } | Self::Look { account, .. } | Self::Renew { account, .. } | Self::EndRing { account } => account,
        }
    }
}

/// What waits for a record to be durable.
#[derive(Debug)]
pub(super) enum Waiting {
    /// An attempt that may be acted on then.
    Intent(AttemptId),
    /// The caller of an attempt that has ended. The record is kept until it is written.
    Outcome(AttemptId, Box<Record>),
    /// Nobody; but it must not be lost.
    Plain(Box<Record>),
    /// The first record of the backlog.
    Backlog,
}

/// Outputs on their way out, and what is waited for. Shared by the parts of the keeper.
#[derive(Debug)]
pub(super) struct Outbox {
    out: VecDeque<Output>,
    acts: HashMap<ActId, Purpose>,
    tickets: HashMap<Ticket, Waiting>,
    backlog: VecDeque<Record>,
    backlog_sent: bool,
    retry_at: Option<Mono>,
    failures: u32,
    lost: u64,
    next: u64,
    dice: u64,
}

impl Outbox {
    pub(super) fn new(dice: u64) -> Self {
        Self {
            out: VecDeque::new(),
            acts: HashMap::new(),
            tickets: HashMap::new(),
            backlog: VecDeque::new(),
            backlog_sent: false,
            retry_at: None,
            failures: 0,
            lost: 0,
            next: 0,
            dice,
        }
    }

    /// The next output.
    pub(super) fn pop(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// Why an action was sent that has come back.
    pub(super) fn acted(&mut self, act: ActId) -> Option<Purpose> {
        self.acts.remove(&act)
    }

    /// What waited for a record that has come back.
    pub(super) fn stored(&mut self, ticket: Ticket) -> Option<Waiting> {
        self.tickets.remove(&ticket)
    }

    /// When records are tried again that could not be written.
    pub(super) const fn deadline(&self) -> Option<Mono> {
        self.retry_at
    }

    /// Whether a driver or the store has still to come back.
    pub(super) fn is_busy(&self) -> bool {
        !self.acts.is_empty() || !self.tickets.is_empty()
    }

    /// Records that could not be written yet, and how many were given up.
    pub(super) fn unwritten(&self) -> (usize, u64) {
        (self.backlog.len(), self.lost)
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// The next number of a splitmix64 sequence: good for jitter and names, never for secrets.
    fn roll(&mut self) -> u64 {
        self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.dice;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A random span of time, shorter than `most`.
    pub(super) fn jitter(&mut self, most: Duration) -> Duration {
        let most = u64::try_from(most.as_micros()).unwrap_or(u64::MAX).max(1);
        Duration::from_micros(self.roll() % most)
    }

    /// A name for an attempt or a ring.
    pub(super) fn uuid(&mut self) -> AttemptId {
        let bytes = (u128::from(self.roll()) << 64 | u128::from(self.roll())).to_be_bytes();
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }

    pub(super) fn publish(&mut self, notice: Notice) {
        self.out.push_back(Output::Publish(notice));
    }

    pub(super) fn reply(&mut self, id: AttemptId, at: At, attempt: Result<Attempt, CommandError>) {
        self.out.push_back(Output::Reply { id, at, attempt });
    }

    pub(super) fn act(&mut self, purpose: Purpose, target: Target, action: Action) {
        let act = ActId(self.number());
        let account = purpose.account().clone();
        self.acts.insert(act, purpose);
        self.out.push_back(Output::Act { act, account, target, action });
    }

    fn record(&mut self, waiting: Waiting, record: Record) {
        let ticket = Ticket(self.number());
        self.tickets.insert(ticket, waiting);
        self.out.push_back(Output::Record { ticket, record });
    }

    pub(super) fn record_intent(&mut self, id: AttemptId, record: Record) {
        self.record(Waiting::Intent(id), record);
    }

    pub(super) fn record_outcome(&mut self, id: AttemptId, record: Record) {
        self.record(Waiting::Outcome(id, Box::new(record.clone())), record);
    }

    pub(super) fn record_plain(&mut self, record: Record) {
        self.record(Waiting::Plain(Box::new(record.clone())), record);
    }

    pub(super) fn record_events(&mut self, events: Vec<NewEvent>) {
        self.record_plain(Record::Events { events, told: None });
    }

    pub(super) fn keep_for_later(&mut self, record: Record, now: Now) {
        if self.backlog.len() >= BACKLOG {
            // Outcomes are what must not be lost: an intent without one shows as unknown for ever.
            let victim = self.backlog.iter().position(|old| !old.is_vital()).unwrap_or(0);
            self.backlog.remove(victim);
            self.lost += 1;
        }
        self.backlog.push_back(record);
        if self.retry_at.is_none() && !self.backlog_sent {
            self.retry_at = Some(now.mono.plus(Duration::from_secs(1)));
        }
    }

    pub(super) fn retry(&mut self, now: Now) {
        if self.retry_at.is_none_or(|at| at > now.mono) || self.backlog_sent {
            return;
        }
        self.retry_at = None;
        if let Some(record) = self.backlog.front().cloned() {
            self.backlog_sent = true;
            self.record(Waiting::Backlog, record);
        }
    }

    pub(super) fn wrote_backlog(&mut self) {
        self.backlog.pop_front();
        self.backlog_sent = false;
        self.failures = 0;
        if !self.backlog.is_empty() {
            self.retry_at = Some(Mono::default());
        }
    }

    pub(super) fn backlog_failed(&mut self, now: Now) {
        self.backlog_sent = false;
        self.failures = (self.failures + 1).min(5);
        self.retry_at = Some(now.mono.plus(Duration::from_secs(1 << self.failures)));
    }
}
