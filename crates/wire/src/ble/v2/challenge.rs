//! A lock asks, and a guest who has the session answers: what was heard once opens nothing later.

use super::{
    FrameError, Ways, action,
    frame::{Kind, Reader, count},
    provision::Given,
    short,
};
use crate::{
    Time,
    attempt::ActionWord,
    ble::{LockId, token::SessionKey},
};
use alloc::vec::Vec;
use core::time::Duration;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

/// How long a challenge is good.
pub const LIFE: Duration = Duration::from_secs(2);
/// Connections that have a challenge at the same time.
pub const MOST: usize = 16;

/// What a lock asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// The lock knows the time.
    pub knows_time: bool,
    /// The lock takes passes.
    pub takes_passes: bool,
    /// 16 random bytes.
    pub bytes: [u8; 16],
    /// Which lock asks, as it says.
    pub lock: LockId,
}

impl Challenge {
    /// What a lock lets read.
    pub fn write(&self) -> Result<Vec<u8>, FrameError> {
        let mut frame = Vec::from(Kind::Challenge.head());
        frame.push(u8::from(self.knows_time) | u8::from(self.takes_passes) << 1);
        frame.extend_from_slice(&self.bytes);
        count(&mut frame, short(&self.lock)?)?;
        Ok(frame)
    }

    /// Reads a challenge.
    pub fn read(frame: &[u8]) -> Result<Self, FrameError> {
        let mut reader = Reader::of(Kind::Challenge, frame)?;
        let flags = reader.byte()?;
        let challenge = Self { knows_time: flags & 1 != 0, takes_passes: flags & 2 != 0, bytes: reader.array()?, lock: reader.lock()? };
        reader.end()?;
        if flags > 3 { Err(FrameError::Malformed) } else { Ok(challenge) }
    }
}

/// A guest's answer to a challenge, after a gesture of its owner. `lock` is the one that the session is for: another one that
/// asks gets none.
pub fn respond(challenge: &Challenge, lock: &LockId, session: &Given, action: ActionWord) -> Result<Vec<u8>, FrameError> {
    if challenge.lock != *lock {
        return Err(FrameError::OtherKey);
    }
    if action == ActionWord::Refresh || !session.ways.has(Ways::CHALLENGE) {
        return Err(FrameError::Malformed);
    }
    let mut frame = Vec::from(Kind::Response.head());
    frame.extend_from_slice(&session.nonce);
    count(&mut frame, action.as_str().as_bytes())?;
    let mac: [u8; 32] = mac(&session.key, lock, &challenge.bytes, action).finalize().into_bytes().into();
    frame.extend_from_slice(&mac);
    Ok(frame)
}

/// What a guest answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Response {
    /// The session that it names.
    pub nonce: [u8; 8],
    /// What it wants.
    pub action: ActionWord,
    mac: [u8; 32],
}

impl Response {
    /// Reads a response. Nothing is proven yet.
    pub fn read(frame: &[u8]) -> Result<Self, FrameError> {
        let mut reader = Reader::of(Kind::Response, frame)?;
        let response = Self { nonce: reader.array()?, action: action(reader.counted(8)?)?, mac: reader.array()? };
        reader.end().map(|()| response)
    }

    /// Whether it is the answer to this challenge of this lock, by who has the session's key.
    pub fn is_right(&self, key: &SessionKey, lock: &LockId, challenge: &[u8; 16]) -> bool {
        mac(key, lock, challenge, self.action).verify_slice(&self.mac).is_ok()
    }
}

/// What came of it, for the guest's screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Done.
    Done,
    /// Refused; why is nobody's business.
    Refused,
    /// The challenge was used or too old: once more.
    Again,
    /// The lock does not know the time.
    NoTime,
}

impl Outcome {
    const ALL: [Self; 4] = [Self::Done, Self::Refused, Self::Again, Self::NoTime];

    /// What a lock notifies.
    pub const fn write(self) -> [u8; 3] {
        let [version, kind] = Kind::Result.head();
        [version, kind, self as u8]
    }

    /// Reads a result.
    pub fn read(frame: &[u8]) -> Result<Self, FrameError> {
        Self::ALL.into_iter().find(|outcome| outcome.write() == frame).ok_or(FrameError::Malformed)
    }
}

/// The challenges of a lock: one for each connection, each for 2 s and one try. `C` names a connection.
#[derive(Debug)]
pub struct Challenges<C> {
    open: Vec<Open<C>>,
}

#[derive(Debug)]
struct Open<C> {
    connection: C,
    bytes: [u8; 16],
    since: Time,
}

impl<C> Default for Challenges<C> {
    fn default() -> Self {
        Self { open: Vec::new() }
    }
}

impl<C: PartialEq> Challenges<C> {
    /// Gives a connection a fresh challenge of 16 random bytes, in place of any that it had. The oldest of 16 gives way.
    pub fn give(&mut self, connection: C, random: [u8; 16], now: Time) -> [u8; 16] {
        self.forget(&connection);
        self.open.retain(|open| is_good(open.since, now));
        if self.open.len() >= MOST {
            self.open.remove(0);
        }
        self.open.push(Open { connection, bytes: random, since: now });
        random
    }

    /// Takes the challenge of a connection: there is one try, right or wrong. `None` when it has none, or it is too old.
    #[must_use]
    pub fn take(&mut self, connection: &C, now: Time) -> Option<[u8; 16]> {
        let at = self.open.iter().position(|open| open.connection == *connection)?;
        let open = self.open.remove(at);
        is_good(open.since, now).then_some(open.bytes)
    }

    /// The connection is gone.
    pub fn forget(&mut self, connection: &C) {
        self.open.retain(|open| open.connection != *connection);
    }
}

/// A clock that was set back makes a challenge too old as well.
fn is_good(since: Time, now: Time) -> bool {
    now >= since && now.since(since) <= LIFE
}

fn mac(key: &SessionKey, lock: &LockId, challenge: &[u8; 16], action: ActionWord) -> Hmac<Sha256> {
    let mut mac = key.mac();
    for part in [&b"doorward/2"[..], lock.as_str().as_bytes(), challenge, action.as_str().as_bytes()] {
        // Each has at most 64 bytes.
        mac.update(&u16::try_from(part.len()).unwrap_or(u16::MAX).to_be_bytes());
        mac.update(part);
    }
    mac
}
