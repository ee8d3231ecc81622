//! Who is connected, and what has come of each: no IO, no clock, no dice.

use super::{Config, limits::Limits};
use crate::radio::{AttError, Peer, PeerId};
use doorward_core::Mono;
use doorward_wire::{
    Time,
    ble::{
        framing::Reassembly,
        request::Trouble,
        v2::{self, Hello, Opened},
    },
};
use std::time::Duration;

/// Who said nothing for so long may lose its place to somebody else.
const IDLE: Duration = Duration::from_secs(10);

/// Who is connected.
#[derive(Debug)]
pub(super) struct Desk {
    seats: Vec<Seat>,
    most: usize,
    limits: Limits,
}

#[derive(Debug)]
struct Seat {
    peer: Peer,
    pieces: Reassembly,
    hello: Option<([u8; 16], Mono)>,
    last: Vec<u8>,
    /// It is being answered.
    busy: bool,
    heard: Mono,
}

/// A request that is whole.
pub(super) struct Job {
    pub(super) peer: Peer,
    pub(super) request: Wanted,
    /// It asks too often.
    pub(super) limited: bool,
}

/// In which version.
pub(super) enum Wanted {
    V1(Result<Vec<u8>, Trouble>),
    V2(Box<Opened>),
}

impl Desk {
    pub(super) fn new(config: &Config) -> Self {
        Self { seats: Vec::new(), most: config.most_peers.max(1), limits: Limits::new(config.rates) }
    }

    /// The adapter is another one by now, and nobody is connected any more. Who asked too often still has.
    pub(super) fn empty(&mut self) {
        self.seats.clear();
    }

    /// A piece of a request of version 1, or all of it.
    pub(super) fn piece(&mut self, peer: Peer, value: &[u8], now: Mono) -> Result<Option<Job>, AttError> {
        let seat = self.seat(peer, now).filter(|seat| !seat.busy).ok_or(AttError::Unlikely)?;
        let Some(body) = seat.pieces.take(value, since_start(now)).transpose() else { return Ok(None) };
        Ok(Some(self.job(peer, Wanted::V1(body), now)))
    }

    /// A fresh hello: one for each read, and it ends the one before.
    pub(super) fn hello(&mut self, peer: Peer, key_id: [u8; v2::KEY_ID], random: [u8; 16], now: Mono) -> Result<Vec<u8>, AttError> {
        let seat = self.seat(peer, now).ok_or(AttError::Unlikely)?;
        seat.hello = Some((random, now));
        Ok(Hello { key_id, challenge: random }.write())
    }

    /// A request of version 2. The challenge is good for one, whether it opens or not.
    pub(super) fn sealed(&mut self, peer: Peer, frame: &[u8], issuer: &v2::Issuer, now: Mono) -> Result<Job, AttError> {
        let seat = self.seat(peer, now).filter(|seat| !seat.busy).ok_or(AttError::Unlikely)?;
        let (challenge, since) = seat.hello.take().ok_or(AttError::Unlikely)?;
        if now.since(since) > Hello::LIFE {
            return Err(AttError::Unlikely);
        }
        let opened = v2::open_request(frame, &challenge, issuer).map_err(|why| {
            tracing::debug!(peer = %peer.address, "a request of version 2 does not open: {why}");
            AttError::Unlikely
        })?;
        Ok(self.job(peer, Wanted::V2(Box::new(opened)), now))
    }

    /// What was told last.
    pub(super) fn last(&mut self, peer: Peer, now: Mono) -> Result<Vec<u8>, AttError> {
        self.seat(peer, now).map(|seat| seat.last.clone()).ok_or(AttError::Unlikely)
    }

    /// This is being told. `false` when whom is gone.
    pub(super) fn told(&mut self, peer: PeerId, fragment: &[u8]) -> bool {
        let seat = self.seats.iter_mut().find(|seat| seat.peer.id == peer);
        seat.map(|seat| seat.last = fragment.into()).is_some()
    }

    /// It is answered, and may ask again.
    pub(super) fn done(&mut self, peer: PeerId) {
        if let Some(seat) = self.seats.iter_mut().find(|seat| seat.peer.id == peer) {
            seat.busy = false;
        }
    }

    pub(super) fn gone(&mut self, peer: PeerId) {
        self.seats.retain(|seat| seat.peer.id != peer);
    }

    fn job(&mut self, peer: Peer, request: Wanted, now: Mono) -> Job {
        if let Some(seat) = self.seats.iter_mut().find(|seat| seat.peer.id == peer.id) {
            seat.busy = true;
        }
        Job { peer, request, limited: !self.limits.take(peer.address, now) }
    }

    /// Its place: a new one if there is room, or that of who has been silent the longest.
    fn seat(&mut self, peer: Peer, now: Mono) -> Option<&mut Seat> {
        if !self.seats.iter().any(|seat| seat.peer.id == peer.id) {
            if self.seats.len() >= self.most {
                let idle = self.seats.iter().enumerate().filter(|(_, seat)| !seat.busy && now.since(seat.heard) > IDLE);
                let (at, _) = idle.min_by_key(|(_, seat)| seat.heard)?;
                self.seats.remove(at);
            }
            self.seats.push(Seat { peer, pieces: Reassembly::default(), hello: None, last: Vec::new(), busy: false, heard: now });
        }
        let seat = self.seats.iter_mut().find(|seat| seat.peer.id == peer.id)?;
        // The MTU is agreed after the connection is there.
        (seat.peer, seat.heard) = (peer, now);
        Some(seat)
    }
}

/// A time that nobody sets, for what only measures spans.
fn since_start(now: Mono) -> Time {
    Time::from_micros(0).plus(now.0)
}
