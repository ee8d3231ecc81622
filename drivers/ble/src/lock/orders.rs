//! What comes over MQTT: sessions, what is taken back, and commands.

use super::{
    Keys, Lock, Presented, Refused, Way,
    session::Facts,
    shelf::{Drawer, Pending, shard},
};
use doorward_core::Now;
use doorward_wire::{
    Time,
    attempt::ActionWord,
    ble::{
        compat::{self, PublicKey},
        order::{Command, OrderError, Refusal, Revoked},
        session::{LockMessage, OpenError},
        sign::{Algorithm, Verify},
        token::Nonce,
        v2::{FrameError, Identity, open_session},
    },
};
use std::{collections::HashMap, time::Duration};

/// Sessions and passes of which it is known that they were taken back. The issuer signs them; this is for its mistakes.
const MOST_REVOKED: usize = 1 << 16;
/// Commands of which it is known that they were done.
const MOST_DONE: usize = 256;
/// For how long a command is known after its time: a clock that is set back so far must not do it again.
const DONE_FOR: Duration = Duration::from_hours(1);

/// What is known of orders.
#[derive(Debug, Default)]
pub(super) struct Orders {
    pub(super) list: List,
    /// Commands that were done, and their last second.
    pub(super) done: HashMap<String, u64>,
}

/// What was taken back.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct List {
    pub(super) seq: Option<u64>,
    pub(super) epoch: Option<u32>,
    /// Until when each is to be known, in seconds since 1970.
    pub(super) revoked: HashMap<Nonce, u64>,
}

impl Orders {
    pub(super) fn is_revoked(&self, nonce: &Nonce) -> bool {
        self.list.revoked.contains_key(nonce)
    }

    /// Learns of an epoch. Whether it is news.
    pub(super) fn raise(&mut self, epoch: u32) -> bool {
        let is_news = self.list.epoch.is_none_or(|known| epoch > known);
        if is_news {
            self.list.epoch = Some(epoch);
        }
        is_news
    }

    /// Takes a list, beside what is known already. Whether anything of it is news.
    fn take(&mut self, list: Revoked) -> bool {
        let mut is_news = self.list.seq != Some(list.seq);
        self.list.seq = Some(list.seq);
        is_news |= list.epoch.is_some_and(|epoch| self.raise(epoch));
        for session in list.revoked {
            if self.list.revoked.len() >= MOST_REVOKED {
                let first = self.list.revoked.iter().min_by_key(|(_, expiry)| **expiry).map(|(nonce, _)| nonce.clone());
                first.map(|nonce| self.list.revoked.remove(&nonce));
            }
            is_news |= self.list.revoked.insert(session.nonce, session.expiry) != Some(session.expiry);
        }
        is_news
    }

    /// Forgets what is over by itself.
    pub(super) fn tidy(&mut self, now: Time) {
        let second = seconds(now);
        self.list.revoked.retain(|_, expiry| *expiry > second);
        self.done.retain(|_, not_after| not_after.saturating_add(DONE_FOR.as_secs()) > second);
    }
}

/// A key of the issuer, of either kind.
enum Key<'a> {
    V1(&'a PublicKey),
    V2(&'a Identity),
}

impl Verify for Key<'_> {
    fn algorithm(&self) -> Algorithm {
        match self {
            Self::V1(key) => key.algorithm(),
            Self::V2(key) => key.algorithm(),
        }
    }

    fn verify(&self, bytes: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::V1(key) => key.verify(bytes, signature),
            Self::V2(key) => key.verify(bytes, signature),
        }
    }
}

/// Opens an order with the key of the kind that it says, if the lock has it.
fn open<T>(keys: &Keys, open: impl Fn(&Key<'_>) -> Result<T, OrderError>) -> Result<T, OrderError> {
    let v2 = keys.v2.as_ref().map(|(_, issuer)| Key::V2(issuer));
    let v1 = keys.v1.as_ref().map(|(_, issuer)| Key::V1(issuer));
    let mut results = [v2, v1].into_iter().flatten().map(|key| open(&key));
    results.find(|result| !matches!(result, Err(OrderError::Algorithm))).unwrap_or(Err(OrderError::Algorithm))
}

impl Lock {
    pub(super) fn take_session(&mut self, message: &[u8], now: Now) {
        let facts = if message.first() == Some(&2) { self.open_v2(message, now) } else { self.open_v1(message, now) };
        match facts {
            Ok(Some(facts)) => {
                let drawer = Drawer::Sessions(shard(&facts.nonce));
                if self.sessions.by_nonce(&facts.nonce).is_some() {
                    // What it has must stay: which of its tokens opened is part of that.
                    self.counters.known += 1;
                } else if self.sessions.is_over(&facts.nonce) {
                    self.refuse_message(Refusal::Expired, Way::Session, now);
                } else if self.sessions.len() >= self.config.most_sessions {
                    self.counters.full += 1;
                } else {
                    self.sessions.insert(facts, self.clock_known, now);
                    self.shelf.touch(drawer);
                }
            }
            Ok(None) => self.counters.known += 1,
            Err(reason) => self.refuse_message(reason, Way::Session, now),
        }
    }

    /// `None` for a session that is known already: its key is not decrypted again, which takes a millisecond.
    fn open_v1(&mut self, message: &[u8], now: Now) -> Result<Option<Facts>, Refusal> {
        let Some((lock, issuer)) = &self.config.keys.v1 else { return Err(Refusal::Signature) };
        if let Ok(read) = LockMessage::read(message)
            && self.sessions.by_nonce(&read.nonce).is_some()
        {
            return Ok(None);
        }
        let time = if self.clock_known { now.utc } else { Time::from_micros(0) };
        let session = compat::open(message, lock, issuer, &self.config.id, time).map_err(|error| match error {
            OpenError::SignatureMissing | OpenError::SignatureMalformed | OpenError::SignatureWrong => Refusal::Signature,
            OpenError::Expired => Refusal::Expired,
            OpenError::Malformed | OpenError::OtherLock | OpenError::Offset | OpenError::Undecryptable => Refusal::Malformed,
        })?;
        Ok(Some(Facts::of_v1(session, self.config.slot)))
    }

    fn open_v2(&self, message: &[u8], now: Now) -> Result<Option<Facts>, Refusal> {
        let Some((lock, issuer)) = &self.config.keys.v2 else { return Err(Refusal::Signature) };
        let session = open_session(message, &self.config.id, lock, issuer, self.time(now)).map_err(|error| match error {
            FrameError::Signature | FrameError::OtherKey => Refusal::Signature,
            FrameError::Expired => Refusal::Expired,
            FrameError::Malformed | FrameError::Sealed | FrameError::TooLong => Refusal::Malformed,
        })?;
        Ok(Some(Facts::of_v2(&session)))
    }

    pub(super) fn take_revoked(&mut self, message: &[u8], now: Now) {
        let (id, seq) = (&self.config.id, self.orders.list.seq);
        match open(&self.config.keys, |key| Revoked::open(message, id, key, seq)) {
            Ok(list) => {
                if self.orders.take(list) {
                    self.shelf.touch(Drawer::Orders);
                }
            }
            Err(error) => self.refuse_message(refusal(error), Way::Revoked, now),
        }
    }

    pub(super) fn take_command(&mut self, message: &[u8], now: Now) {
        if !self.clock_known {
            return self.refuse_message(Refusal::NoTime, Way::Command, now);
        }
        let id = &self.config.id;
        let command = match open(&self.config.keys, |key| Command::open(message, id, key, now.utc)) {
            Ok(command) if command.action == ActionWord::Refresh => return self.refuse_message(Refusal::Malformed, Way::Command, now),
            Ok(command) => command,
            Err(error) => return self.refuse_message(refusal(error), Way::Command, now),
        };
        if self.orders.done.contains_key(&command.id) {
            return self.refuse_message(Refusal::Replay, Way::Command, now);
        }
        // None is forgotten to make room: a command that was forgotten could be done again.
        if self.orders.done.len() >= MOST_DONE {
            return self.refuse_message(Refusal::NotAllowed, Way::Command, now);
        }
        self.orders.done.insert(command.id.clone(), command.not_after);
        let presented = Presented {
            lock: self.config.id.clone(),
            action: command.action,
            way: Way::Command,
            nonce: None,
            client: Some(command.id),
            rssi: None,
            address: None,
            slot: None,
            connection: None,
        };
        // Its last second is good to the end.
        let end = Time::from_seconds(i64::try_from(command.not_after).unwrap_or(i64::MAX).saturating_add(1));
        self.shelf.wait(Drawer::Commands, Pending { presented, since: now.mono, not_after: Some(end) });
    }

    fn refuse_message(&mut self, reason: Refusal, way: Way, now: Now) {
        if self.told.message(now.mono) {
            self.refuse(Refused::new(reason, way));
        } else {
            self.counters.hushed += 1;
        }
    }
}

const fn refusal(error: OrderError) -> Refusal {
    match error {
        OrderError::Malformed => Refusal::Malformed,
        OrderError::Algorithm | OrderError::Signature => Refusal::Signature,
        OrderError::Old => Refusal::Replay,
        OrderError::Late => Refusal::Expired,
        OrderError::Early => Refusal::NotAllowed,
    }
}

/// Whole seconds since 1970.
pub(super) fn seconds(now: Time) -> u64 {
    u64::try_from(now.as_micros()).unwrap_or(0) / 1_000_000
}
