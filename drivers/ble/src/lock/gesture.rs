//! Who is let in by a gesture of theirs: challenges and passes of version 2.

use super::{Lock, Output, Presented, Refused, Way, orders::seconds, shelf::Drawer};
use crate::radio::PeerId;
use doorward_core::{Mono, Now};
use doorward_wire::{
    Time,
    attempt::ActionWord,
    ble::{
        order::Refusal,
        token::Nonce,
        v2::{
            Challenge, FrameError, Ways,
            challenge::{Challenges, MOST, Outcome, Response},
            pass::{NotAdmitted, Parts, Pass, Proof, WallClock},
        },
    },
};
use jiff::tz::TimeZone;

/// What connections have begun.
#[derive(Debug, Default)]
pub(super) struct Gestures {
    challenges: Challenges<PeerId>,
    passes: Vec<Held>,
}

/// What a connection has shown of its pass.
#[derive(Debug)]
struct Held {
    connection: PeerId,
    parts: Parts,
    pass: Option<(Vec<u8>, Pass)>,
}

impl Gestures {
    pub(super) fn forget(&mut self, connection: PeerId) {
        self.challenges.forget(&connection);
        self.passes.retain(|held| held.connection != connection);
    }

    fn held(&mut self, connection: PeerId) -> &mut Held {
        let at = self.passes.iter().position(|held| held.connection == connection).unwrap_or_else(|| {
            if self.passes.len() >= MOST {
                self.passes.remove(0);
            }
            self.passes.push(Held { connection, parts: Parts::default(), pass: None });
            self.passes.len() - 1
        });
        // It was just found, or pushed.
        #[expect(clippy::indexing_slicing, reason = "the index was found above")]
        &mut self.passes[at]
    }
}

/// Who is let in, or why not.
type Asked = Result<Presented, Refused>;

impl Lock {
    /// What a connection reads from the characteristic of challenges: a fresh one of 16 random bytes, in place of any that it had.
    /// An error when the lock's id is too long for version 2.
    pub fn challenge(&mut self, connection: PeerId, random: [u8; 16], now: Now) -> Result<Vec<u8>, FrameError> {
        let takes_passes = self.takes_passes();
        let bytes = self.gestures.challenges.give(connection, random, since_start(now.mono));
        Challenge { knows_time: self.clock_known, takes_passes, bytes, lock: self.config.id.clone() }.write()
    }

    const fn takes_passes(&self) -> bool {
        self.config.passes && self.config.keys.v2.is_some()
    }

    pub(super) fn written(&mut self, connection: PeerId, value: &[u8], now: Now) {
        let asked = if let Ok(response) = Response::read(value) {
            self.response(connection, &response, now)
        } else if let Ok(proof) = Proof::read(value) {
            self.proof(connection, &proof, now)
        } else {
            match self.pass(connection, value, now) {
                Ok(()) => return,
                Err(reason) => Err(Refused::new(reason, Way::Pass)),
            }
        };
        match asked {
            Ok(presented) => self.present(presented),
            Err(refused) => {
                // Why is nobody's business but the owner's.
                let told = [(Refusal::ChallengeOver, Outcome::Again), (Refusal::NoTime, Outcome::NoTime)];
                let told = told.into_iter().find(|(reason, _)| *reason == refused.reason);
                let outcome = told.map_or(Outcome::Refused, |(_, outcome)| outcome);
                if self.told.gesture(now.mono) {
                    self.refuse(refused);
                } else {
                    self.counters.hushed += 1;
                }
                self.out.push_back(Output::Tell { connection, outcome });
            }
        }
    }

    /// A challenge is good for one try, so it is taken before anything else is looked at.
    fn response(&mut self, connection: PeerId, response: &Response, now: Now) -> Asked {
        let challenge = self.gestures.challenges.take(&connection, since_start(now.mono));
        let nonce = Nonce::new(response.nonce);
        let mut refused = Refused { nonce: Some(nonce.clone()), ..Refused::new(Refusal::ChallengeOver, Way::Challenge) };
        let Some(challenge) = challenge else { return Err(refused) };
        let revoked = self.orders.is_revoked(&nonce);
        let (clock_known, approach) = (self.clock_known, self.config.approach);
        let live = self.sessions.by_nonce(&nonce);
        refused.client = live.as_ref().and_then(|live| live.facts.client());
        refused.reason = match &live {
            _ if !clock_known => Refusal::NoTime,
            None => Refusal::UnknownToken,
            Some(live) if !response.is_right(&live.facts.key, &self.config.id, &challenge) => Refusal::WrongResponse,
            Some(_) if revoked => Refusal::Revoked,
            Some(live) if live.facts.is_over(now.utc) => Refusal::Expired,
            Some(live) if !live.facts.ways.has(Ways::CHALLENGE) => Refusal::NotAllowed,
            Some(_) => {
                // Its tokens are not to open a second time what the gesture opened.
                if let Some(live) = live.filter(|_| response.action.opens()) {
                    live.see(now.mono, approach);
                    live.opened = true;
                }
                return Ok(self.asked(Way::Challenge, connection, nonce, refused.client, response.action));
            }
        };
        Err(refused)
    }

    /// Takes a pass, or a part of one.
    fn pass(&mut self, connection: PeerId, value: &[u8], now: Now) -> Result<(), Refusal> {
        let issuer = self.config.keys.v2.as_ref().map(|(_, issuer)| *issuer).filter(|_| self.config.passes).ok_or(Refusal::NotAllowed)?;
        let held = self.gestures.held(connection);
        held.pass = None;
        let Some(frame) = held.parts.take(value, since_start(now.mono)).map_err(|_| Refusal::Malformed)? else { return Ok(()) };
        let pass = Pass::open(&frame, &issuer).map_err(|error| match error {
            FrameError::Signature | FrameError::OtherKey => Refusal::Signature,
            FrameError::Malformed | FrameError::Sealed | FrameError::TooLong | FrameError::Expired => Refusal::Malformed,
        })?;
        let epoch = pass.epoch;
        held.pass = Some((frame, pass));
        if self.orders.raise(epoch) {
            self.shelf.touch(Drawer::Orders);
        }
        Ok(())
    }

    fn proof(&mut self, connection: PeerId, proof: &Proof, now: Now) -> Asked {
        let challenge = self.gestures.challenges.take(&connection, since_start(now.mono));
        let nonce = Nonce::new(proof.serial);
        let refused = |reason, client| Refused { nonce: Some(nonce.clone()), client, ..Refused::new(reason, Way::Pass) };
        let challenge = challenge.ok_or_else(|| refused(Refusal::ChallengeOver, None))?;
        let held = self.gestures.passes.iter().find(|held| held.connection == connection).and_then(|held| held.pass.as_ref());
        let Some((frame, pass)) = held.filter(|(_, pass)| pass.serial == proof.serial) else {
            return Err(refused(Refusal::NotAllowed, None));
        };
        let client = Some(pass.guest.name());
        match self.admits(pass, frame, proof, &challenge, now) {
            Ok(()) => Ok(self.asked(Way::Pass, connection, nonce, client, proof.action)),
            Err(reason) => Err(refused(reason, client)),
        }
    }

    fn admits(&self, pass: &Pass, frame: &[u8], proof: &Proof, challenge: &[u8; 16], now: Now) -> Result<(), Refusal> {
        if !self.clock_known {
            return Err(Refusal::NoTime);
        }
        if self.orders.is_revoked(&pass.nonce()) {
            return Err(Refusal::Revoked);
        }
        let epoch = self.orders.list.epoch.unwrap_or(0);
        let wall = wall_clock(&pass.zone, now.utc);
        pass.admits(&self.config.id, proof.action, epoch, seconds(now.utc), wall).map_err(|reason| match reason {
            NotAdmitted::Epoch => Refusal::Revoked,
            NotAdmitted::Late => Refusal::Expired,
            NotAdmitted::Early | NotAdmitted::Door | NotAdmitted::Action | NotAdmitted::Hours => Refusal::NotAllowed,
        })?;
        if proof.is_right(pass, frame, &self.config.id, challenge) { Ok(()) } else { Err(Refusal::WrongResponse) }
    }

    fn asked(&self, way: Way, connection: PeerId, nonce: Nonce, client: Option<String>, action: ActionWord) -> Presented {
        Presented {
            lock: self.config.id.clone(),
            action,
            way,
            nonce: Some(nonce),
            client,
            rssi: None,
            address: None,
            slot: None,
            connection: Some(connection),
        }
    }
}

/// Challenges and parts live for seconds, which nobody who sets a clock may stretch.
fn since_start(now: Mono) -> Time {
    Time::from_micros(i64::try_from(now.0.as_micros()).unwrap_or(i64::MAX))
}

/// What the clock on the wall shows in a zone; `None` where this machine does not know it.
fn wall_clock(zone: &str, now: Time) -> Option<WallClock> {
    if zone.is_empty() {
        return None;
    }
    let here = now.timestamp().to_zoned(TimeZone::get(zone).ok()?);
    let minute = u16::try_from(i32::from(here.hour()) * 60 + i32::from(here.minute())).ok()?;
    Some(WallClock { weekday: u8::try_from(here.weekday().to_monday_zero_offset()).ok()?, minute })
}
