//! What ends at a time and is renewed before it: OAuth tokens, certificates, registrations.
//!
//! A lease is renewed at its end minus its margin minus some jitter. A renewal that the vendor refuses stops everything
//! about that account until a person signs in: one event, no further request.

use super::{Notice, Outbox, Purpose, Standing};
use crate::{
    Mono, Now,
    driver::{Action, Done, Family, Fault, Lease, Milestone, Push, Target},
    record::NewEvent,
    setup::AccountSetup,
};
use doorward_wire::{
    Time,
    account::{AccountId, AccountState, LeaseView, Stage},
    attempt::Reason,
    event::EventKind,
};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// The kind of lease whose renewal has an event of its own.
const CERTIFICATE: &str = "client_certificate";
/// The longest wait between two tries while the vendor is away.
const MOST_BACKOFF: Duration = Duration::from_mins(5);
/// A vendor that answers nonsense is asked this seldom.
const NONSENSE_BACKOFF: Duration = Duration::from_mins(15);
/// However short a vendor's tokens live, they are not renewed more often than this.
const LEAST_LIFE: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(super) struct Leases {
    accounts: BTreeMap<AccountId, AccountCell>,
    timers: BTreeSet<(Mono, AccountId)>,
}

#[derive(Debug)]
struct AccountCell {
    setup: AccountSetup,
    state: AccountState,
    detail: Option<String>,
    push: Push,
    stages: Vec<Stage>,
    /// What a person was asked to do about a part of it.
    asked: Option<String>,
    leases: Vec<LeaseCell>,
}

#[derive(Debug)]
struct LeaseCell {
    lease: Lease,
    /// When its renewal is due by the monotonic clock, counted from when it was made: holds when the wall clock is moved.
    due_mono: Option<Mono>,
    not_before: Mono,
    renew_at: Option<Mono>,
    jitter: Duration,
    renewing: bool,
    failures: u32,
    renewed: Option<Time>,
    last_error: Option<String>,
}

impl Leases {
    pub(super) fn set_up(&mut self, setup: AccountSetup, outbox: &mut Outbox) {
        let id = setup.id.clone();
        let cell = self.accounts.entry(id.clone()).or_insert_with(|| AccountCell {
            setup: setup.clone(),
            state: if setup.signs_in { AccountState::New } else { AccountState::Ready },
            detail: None,
            push: Push::default(),
            stages: Vec::new(),
            asked: None,
            leases: Vec::new(),
        });
        cell.setup = setup;
        self.publish(&id, outbox);
    }

    pub(super) fn remove(&mut self, account: &AccountId, outbox: &mut Outbox) {
        if self.accounts.remove(account).is_some() {
            self.timers.retain(|(_, id)| id != account);
            outbox.publish(Notice::AccountGone(account.clone()));
        }
    }

    /// The offsets at which doors of this account are looked at after a command, and how old evidence may be.
    pub(super) fn verify_of(&self, account: &AccountId) -> (Vec<Duration>, Duration) {
        self.accounts.get(account).map_or((Vec::new(), Duration::MAX), |cell| (cell.setup.verify.clone(), cell.setup.stale_after))
    }

    pub(super) fn lease(&mut self, account: &AccountId, lease: Lease, now: Now, outbox: &mut Outbox) {
        let Some(cell) = self.accounts.get_mut(account) else { return };
        let jitter = outbox.jitter(lease.margin.unwrap_or_default().min(Duration::from_mins(5)) / 10);
        let first = !cell.leases.iter().any(|known| known.lease.id == lease.id);
        let position = cell.leases.iter().position(|known| known.lease.id == lease.id);
        let mut next = LeaseCell {
            due_mono: None,
            not_before: Mono::default(),
            renew_at: None,
            jitter,
            renewing: false,
            failures: 0,
            renewed: lease.made,
            last_error: None,
            lease,
        };
        next.shorten_margin(now);
        next.plan(now);
        if next.lease.fresh {
            cell.be_ready();
            if !first {
                let kind = if next.lease.kind == CERTIFICATE { EventKind::AccountCertificateRenewed } else { EventKind::AccountRenewed };
                let data = json!({ "lease": next.lease.id, "kind": next.lease.kind, "not_after": next.lease.not_after });
                outbox.record_events(vec![NewEvent::new(now.utc, kind).account(account).data(data)]);
            }
        } else if cell.state == AccountState::New {
            cell.state = AccountState::Ready;
        }
        match position {
            Some(position) => {
                next.renewed = next.renewed.or(cell.leases[position].renewed);
                cell.leases[position] = next;
            }
            None => cell.leases.push(next),
        }
        self.arm(account);
        self.publish(account, outbox);
    }

    /// A lease is not needed any more.
    pub(super) fn forget(&mut self, account: &AccountId, id: &str, outbox: &mut Outbox) {
        if let Some(cell) = self.accounts.get_mut(account) {
            cell.leases.retain(|known| known.lease.id != id);
            self.publish(account, outbox);
        }
    }

    pub(super) fn signed_in(&mut self, account: &AccountId, now: Now, outbox: &mut Outbox) {
        let Some(cell) = self.accounts.get_mut(account) else { return };
        cell.be_ready();
        outbox.record_events(vec![NewEvent::new(now.utc, EventKind::AccountSignedIn).account(account)]);
        self.publish(account, outbox);
    }

    pub(super) fn up(&mut self, account: &AccountId, outbox: &mut Outbox) {
        let Some(cell) = self.accounts.get_mut(account) else { return };
        if matches!(cell.state, AccountState::Offline | AccountState::Faulty) {
            cell.be_ready();
            self.publish(account, outbox);
        }
    }

    pub(super) fn down(&mut self, account: &AccountId, fault: &Fault, now: Now, outbox: &mut Outbox) {
        self.fault_seen(account, fault, now, outbox);
        let Some(cell) = self.accounts.get_mut(account) else { return };
        if matches!(cell.state, AccountState::NeedsSignIn | AccountState::New) {
            return;
        }
        cell.state = if fault.family == Family::Protocol { AccountState::Faulty } else { AccountState::Offline };
        cell.detail = Some(fault.person.clone());
        self.publish(account, outbox);
    }

    pub(super) fn push(&mut self, account: &AccountId, push: Push, outbox: &mut Outbox) {
        if let Some(cell) = self.accounts.get_mut(account) {
            cell.push = push;
            self.publish(account, outbox);
        }
    }

    /// A person must do something about a part of the account, or need not any more.
    pub(super) fn needs_person(&mut self, account: &AccountId, fault: Option<Fault>, now: Now, outbox: &mut Outbox) {
        let Some(cell) = self.accounts.get_mut(account) else { return };
        let asked = fault.map(|fault| fault.person);
        if cell.asked == asked {
            return;
        }
        cell.asked.clone_from(&asked);
        match asked {
            Some(asked) => {
                let before = std::mem::replace(&mut cell.state, AccountState::NeedsSignIn);
                cell.detail = Some(asked.clone());
                // A person who was asked already is not asked again.
                if before != AccountState::NeedsSignIn {
                    let event = NewEvent::new(now.utc, EventKind::AccountNeedsSignIn).account(account).reason(Some(Reason::NeedsSignIn));
                    outbox.record_events(vec![event.data(json!({ "detail": asked }))]);
                }
            }
            None => cell.be_ready(),
        }
        self.publish(account, outbox);
    }

    /// How far the account is set up.
    pub(super) fn stages(&mut self, account: &AccountId, stages: Vec<Stage>, outbox: &mut Outbox) {
        if let Some(cell) = self.accounts.get_mut(account)
            && cell.stages != stages
        {
            cell.stages = stages;
            self.publish(account, outbox);
        }
    }

    /// A step of set-up has come to its end.
    pub(super) fn milestone(&mut self, account: &AccountId, what: Milestone, data: serde_json::Value, now: Now, outbox: &mut Outbox) {
        if self.accounts.contains_key(account) {
            let kind = match what {
                Milestone::Registered => EventKind::AccountRegistered,
                Milestone::CertificateCreated => EventKind::AccountCertificateCreated,
                Milestone::Unregistered => EventKind::AccountUnregistered,
            };
            outbox.record_events(vec![NewEvent::new(now.utc, kind).account(account).data(data)]);
        }
    }

    /// A fault of any action of this account. Only a refused refresh changes anything: a person is asked, once.
    pub(super) fn fault_seen(&mut self, account: &AccountId, fault: &Fault, now: Now, outbox: &mut Outbox) {
        if fault.family != Family::Auth {
            return;
        }
        let Some(cell) = self.accounts.get_mut(account) else { return };
        if cell.state == AccountState::NeedsSignIn {
            return;
        }
        cell.state = AccountState::NeedsSignIn;
        cell.detail = Some(fault.person.clone());
        for lease in &mut cell.leases {
            lease.renew_at = None;
            lease.renewing = false;
        }
        self.timers.retain(|(_, id)| id != account);
        let event = NewEvent::new(now.utc, EventKind::AccountNeedsSignIn).account(account).reason(Some(Reason::NeedsSignIn));
        outbox.record_events(vec![event.data(json!({ "detail": fault.person }))]);
        self.publish(account, outbox);
    }

    pub(super) fn renewed(&mut self, account: &AccountId, id: &str, result: Result<Done, Fault>, now: Now, outbox: &mut Outbox) {
        let Some(cell) = self.accounts.get_mut(account) else { return };
        let needs_sign_in = cell.state == AccountState::NeedsSignIn;
        let Some(lease) = cell.leases.iter_mut().find(|lease| lease.lease.id == id) else { return };
        // The driver reports the new lease before it returns: then this cell is a new one that is not renewing.
        if !lease.renewing {
            if let Err(fault) = result {
                lease.last_error = Some(fault.person);
                self.publish(account, outbox);
            }
            return;
        }
        lease.renewing = false;
        lease.failures = (lease.failures + 1).min(16);
        let wait = match &result {
            Ok(_) => NONSENSE_BACKOFF,
            Err(fault) => {
                lease.last_error = Some(fault.person.clone());
                let longest = if fault.family == Family::Protocol { NONSENSE_BACKOFF } else { MOST_BACKOFF };
                Duration::from_secs(1 << lease.failures).min(longest).max(fault.retry_after.unwrap_or_default())
            }
        };
        let jitter = outbox.jitter(wait / 4);
        lease.renew_at = (!needs_sign_in).then(|| now.mono.plus(wait).plus(jitter));
        self.arm(account);
        self.publish(account, outbox);
    }

    pub(super) fn clock_jumped(&mut self, now: Now, outbox: &mut Outbox) {
        let accounts: Vec<AccountId> = self.accounts.keys().cloned().collect();
        for account in accounts {
            if let Some(cell) = self.accounts.get_mut(&account)
                && cell.state != AccountState::NeedsSignIn
            {
                for lease in cell.leases.iter_mut().filter(|lease| lease.failures == 0 && !lease.renewing) {
                    lease.plan(now);
                    // Every lease looks due at once after a jump ahead: spread them.
                    if lease.renew_at.is_some_and(|at| at <= now.mono) {
                        lease.renew_at = Some(now.mono.plus(outbox.jitter(Duration::from_secs(5))));
                    }
                }
            }
            self.arm(&account);
            self.publish(&account, outbox);
        }
    }

    pub(super) fn deadline(&self) -> Option<Mono> {
        self.timers.first().map(|(at, _)| *at)
    }

    pub(super) fn tick(&mut self, now: Now, outbox: &mut Outbox) {
        while let Some((at, account)) = self.timers.first().cloned() {
            if at > now.mono {
                return;
            }
            self.timers.pop_first();
            let Some(cell) = self.accounts.get_mut(&account) else { continue };
            for lease in &mut cell.leases {
                if lease.renew_at.is_some_and(|due| due <= now.mono) && !lease.renewing {
                    lease.renewing = true;
                    lease.renew_at = None;
                    let purpose = Purpose::Renew { account: account.clone(), lease: lease.lease.id.clone() };
                    outbox.act(purpose, Target::Account, Action::Renew(lease.lease.id.clone()));
                }
            }
            self.arm(&account);
        }
    }

    /// Keeps one timer for each account: its earliest renewal.
    fn arm(&mut self, account: &AccountId) {
        let Some(cell) = self.accounts.get(account) else { return };
        if let Some(at) = cell.leases.iter().filter_map(|lease| lease.renew_at).min() {
            self.timers.insert((at, account.clone()));
        }
    }

    fn publish(&self, account: &AccountId, outbox: &mut Outbox) {
        if let Some(cell) = self.accounts.get(account) {
            outbox.publish(Notice::Account(Standing {
                id: account.clone(),
                state: cell.state,
                detail: cell.detail.clone(),
                leases: cell.leases.iter().map(LeaseCell::view).collect(),
                push: cell.push,
                stages: cell.stages.clone(),
            }));
        }
    }
}

impl AccountCell {
    /// It works again, as far as nothing else is asked of a person.
    fn be_ready(&mut self) {
        (self.state, self.detail) = match &self.asked {
            Some(asked) => (AccountState::NeedsSignIn, Some(asked.clone())),
            None => (AccountState::Ready, None),
        };
    }
}

impl LeaseCell {
    /// A token that lives shorter than twice its margin would be renewed without end.
    fn shorten_margin(&mut self, now: Now) {
        if let (true, Some(end), Some(margin)) = (self.lease.fresh, self.lease.not_after, self.lease.margin) {
            let life = end.since(now.utc);
            let margin = margin.min(life / 2);
            self.lease.margin = Some(margin);
            self.jitter = self.jitter.min(margin / 10);
            self.due_mono = Some(now.mono.plus(life.saturating_sub(margin + self.jitter)));
        }
        if self.lease.fresh {
            self.not_before = now.mono.plus(LEAST_LIFE);
        }
    }

    fn plan(&mut self, now: Now) {
        self.renew_at = self.lease.margin.map(|margin| {
            let Some(end) = self.lease.not_after else { return now.mono.max(self.not_before) };
            let by_wall = now.mono_at(end.minus(margin + self.jitter));
            self.due_mono.map_or(by_wall, |by_mono| by_wall.min(by_mono)).max(self.not_before)
        });
    }

    fn view(&self) -> LeaseView {
        let renew_at = self.lease.margin.and_then(|margin| {
            let end = self.lease.not_after?;
            (self.renew_at.is_some() || self.renewing).then(|| end.minus(margin + self.jitter))
        });
        LeaseView {
            id: self.lease.id.clone(),
            kind: self.lease.kind.into(),
            not_after: self.lease.not_after,
            renew_at,
            renewed: self.renewed,
            last_error: self.last_error.clone(),
        }
    }
}
