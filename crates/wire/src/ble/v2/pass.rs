//! A pass: what a guest may do, signed by the issuer, for a lock that has never heard of it and has no network.

mod parts;

pub use parts::{Parts, parts};

use super::{
    FrameError, Guest, GuestKey, Identity, Issuer, KEY_ID, action,
    frame::{Kind, Reader, count, domain, split_signature},
    short,
};
use crate::{
    attempt::ActionWord,
    ble::{LAST_SECOND, LockId, sign::Verify as _, token::Nonce},
};
use alloc::{string::String, vec::Vec};
use sha2::{Digest as _, Sha256};

/// Bytes of a pass.
pub const MOST: usize = 542;
/// Doors of a pass.
pub const MOST_DOORS: usize = 8;
/// Spans of hours of a pass.
pub const MOST_HOURS: usize = 8;
/// Bytes of the name of a zone.
const MOST_ZONE: usize = 40;
/// Minutes of a day.
const DAY: u16 = 1440;

/// What a guest may do, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pass {
    /// Whose signature it has.
    pub key_id: [u8; KEY_ID],
    /// Names it.
    pub serial: [u8; 8],
    /// A lock that has seen a higher one takes it no more.
    pub epoch: u32,
    /// Whose it is.
    pub guest: GuestKey,
    /// The first second in which it is good, since 1970.
    pub not_before: u64,
    /// The first second in which it is not good any more.
    pub not_after: u64,
    /// What may be done.
    pub actions: Actions,
    /// Where.
    pub doors: Vec<LockId>,
    /// The zone of the hours, by its IANA name. Empty when there are none.
    pub zone: String,
    /// When, by the clock on the wall; none means at any time.
    pub hours: Vec<Hours>,
}

/// Hours of weekdays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hours {
    /// Bit 0 is Monday.
    pub days: u8,
    /// The first minute of the day.
    pub from: u16,
    /// The first minute that is outside. Below `from` it is on the next morning.
    pub until: u16,
}

/// The wall clock at a door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WallClock {
    /// 0 is Monday.
    pub weekday: u8,
    /// Minutes since midnight.
    pub minute: u16,
}

/// What may be done with a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Actions(u8);

impl Actions {
    /// These actions. `None` when there are none, or one that is nobody's to ask for.
    pub fn new(actions: &[ActionWord]) -> Option<Self> {
        let bits = actions.iter().map(|action| Self::bit(*action)).try_fold(0, |all, bit| bit.map(|bit| all | bit))?;
        (bits != 0).then_some(Self(bits))
    }

    /// Whether this one is among them.
    pub fn has(self, action: ActionWord) -> bool {
        Self::bit(action).is_some_and(|bit| self.0 & bit != 0)
    }

    const fn bit(action: ActionWord) -> Option<u8> {
        match action {
            ActionWord::Open => Some(1),
            ActionWord::Unlock => Some(2),
            ActionWord::Lock => Some(4),
            ActionWord::Refresh => None,
        }
    }
}

/// Why a lock does not admit a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// A newer epoch is known: passes of this one were taken back.
    #[error("passes of this epoch were taken back")]
    Epoch,
    /// Its time has not come.
    #[error("the pass is not good yet")]
    Early,
    /// Its time is over.
    #[error("the pass is not good any more")]
    Late,
    /// Another door.
    #[error("the pass is for other doors")]
    Door,
    /// Another action.
    #[error("the pass is for other actions")]
    Action,
    /// Another hour, or the lock does not know what the clock on the wall shows.
    #[error("the pass is for other hours")]
    Hours,
}

impl Pass {
    /// The pass with the issuer's signature.
    pub fn issue(&self, issuer: &Issuer) -> Result<Vec<u8>, FrameError> {
        if self.key_id != issuer.identity().key_id() {
            return Err(FrameError::OtherKey);
        }
        self.check()?;
        let mut frame = Vec::from(Kind::Pass.head());
        for part in [&self.key_id[..], &self.serial, &self.epoch.to_be_bytes(), self.guest.as_bytes()] {
            frame.extend_from_slice(part);
        }
        frame.extend_from_slice(&self.not_before.to_be_bytes());
        frame.extend_from_slice(&self.not_after.to_be_bytes());
        // What is counted was checked.
        let number = |length| u8::try_from(length).map_err(|_| FrameError::TooLong);
        frame.extend_from_slice(&[self.actions.0, number(self.doors.len())?]);
        for door in &self.doors {
            count(&mut frame, short(door)?)?;
        }
        count(&mut frame, self.zone.as_bytes())?;
        frame.push(number(self.hours.len())?);
        for hours in &self.hours {
            frame.push(hours.days);
            frame.extend_from_slice(&hours.from.to_be_bytes());
            frame.extend_from_slice(&hours.until.to_be_bytes());
        }
        let signature = issuer.signature(&domain("pass", &[&frame]));
        frame.extend_from_slice(&signature);
        Ok(frame)
    }

    /// Reads a pass and checks who signed it.
    pub fn open(frame: &[u8], issuer: &Identity) -> Result<Self, FrameError> {
        if frame.len() > MOST {
            return Err(FrameError::Malformed);
        }
        let (signed, signature) = split_signature(frame)?;
        let pass = Self::read(signed)?;
        if pass.key_id != issuer.key_id() {
            return Err(FrameError::OtherKey);
        }
        if !issuer.verify(&domain("pass", &[signed]), signature) {
            return Err(FrameError::Signature);
        }
        Ok(pass)
    }

    /// Whether it is good for this, at a lock that knows this epoch. `second` is since 1970; `wall` is the clock at the door, in the
    /// zone of the pass, `None` where the lock does not know that zone.
    pub fn admits(&self, door: &LockId, action: ActionWord, epoch: u32, second: u64, wall: Option<WallClock>) -> Result<(), NotAdmitted> {
        if self.epoch < epoch {
            return Err(NotAdmitted::Epoch);
        }
        if second < self.not_before {
            return Err(NotAdmitted::Early);
        }
        if second >= self.not_after {
            return Err(NotAdmitted::Late);
        }
        if !self.doors.contains(door) {
            return Err(NotAdmitted::Door);
        }
        if !self.actions.has(action) {
            return Err(NotAdmitted::Action);
        }
        let is_hour = self.hours.is_empty() || wall.is_some_and(|wall| self.hours.iter().any(|hours| hours.contain(wall)));
        if is_hour { Ok(()) } else { Err(NotAdmitted::Hours) }
    }

    /// The serial as a list of orders names it.
    pub fn nonce(&self) -> Nonce {
        Nonce::new(self.serial)
    }

    fn read(signed: &[u8]) -> Result<Self, FrameError> {
        let mut reader = Reader::of(Kind::Pass, signed)?;
        let mut pass = Self {
            key_id: reader.array()?,
            serial: reader.array()?,
            epoch: u32::from_be_bytes(reader.array()?),
            guest: GuestKey::from_bytes(&reader.array()?).ok_or(FrameError::Malformed)?,
            not_before: reader.seconds()?,
            not_after: reader.seconds()?,
            actions: Actions(reader.byte()?),
            doors: Vec::new(),
            zone: String::new(),
            hours: Vec::new(),
        };
        for _ in 0..reader.byte()? {
            pass.doors.push(reader.lock()?);
        }
        pass.zone = reader.ascii(MOST_ZONE)?.into();
        for _ in 0..reader.byte()? {
            pass.hours.push(Hours { days: reader.byte()?, from: reader.short()?, until: reader.short()? });
        }
        reader.end()?;
        pass.check()?;
        Ok(pass)
    }

    /// Whether its values can be.
    fn check(&self) -> Result<(), FrameError> {
        let fits = (1..=MOST_DOORS).contains(&self.doors.len())
            && self.doors.iter().all(|door| short(door).is_ok())
            && self.hours.len() <= MOST_HOURS
            && self.zone.len() <= MOST_ZONE;
        if !fits {
            return Err(FrameError::TooLong);
        }
        let makes_sense = self.not_before < self.not_after
            && self.not_after <= LAST_SECOND
            && matches!(self.actions.0, 1..=7)
            && self.zone.bytes().all(|byte| byte.is_ascii_graphic())
            && (self.hours.is_empty() || !self.zone.is_empty())
            && self.hours.iter().all(|hours| hours.makes_sense());
        if makes_sense { Ok(()) } else { Err(FrameError::Malformed) }
    }
}

impl Hours {
    /// Whether a wall clock shows one of them.
    pub fn contain(self, wall: WallClock) -> bool {
        let (today, yesterday) = (wall.weekday % 7, (wall.weekday % 7 + 6) % 7);
        let on = |day: u8| self.days >> day & 1 != 0;
        if self.from < self.until {
            return on(today) && self.from <= wall.minute && wall.minute < self.until;
        }
        // Over midnight: the evening of a day, and the morning after it.
        (on(today) && wall.minute >= self.from) || (on(yesterday) && wall.minute < self.until)
    }

    fn makes_sense(self) -> bool {
        matches!(self.days, 1..=0x7f) && self.from < DAY && self.until <= DAY && self.from != self.until
    }
}

/// A guest's proof that a pass is its own, over a challenge of the lock `door`.
pub fn prove(pass: &[u8], door: &LockId, challenge: &[u8; 16], action: ActionWord, guest: &Guest) -> Result<Vec<u8>, FrameError> {
    let serial: [u8; 8] = pass.get(2 + KEY_ID..).and_then(|rest| rest.first_chunk()).copied().ok_or(FrameError::Malformed)?;
    let mut proof = Vec::from(Kind::Proof.head());
    proof.extend_from_slice(&serial);
    count(&mut proof, action.as_str().as_bytes())?;
    let signature = guest.signature(&proven(pass, door, challenge, action)?);
    proof.extend_from_slice(&signature);
    Ok(proof)
}

/// A proof, as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proof {
    /// Which pass it is for.
    pub serial: [u8; 8],
    /// What the guest wants.
    pub action: ActionWord,
    signature: [u8; 64],
}

impl Proof {
    /// Reads a proof. Nothing is proven yet.
    pub fn read(frame: &[u8]) -> Result<Self, FrameError> {
        let mut reader = Reader::of(Kind::Proof, frame)?;
        let proof = Self { serial: reader.array()?, action: action(reader.counted(8)?)?, signature: reader.array()? };
        reader.end().map(|()| proof)
    }

    /// Whether whose pass it is answers this challenge of this lock. `frame` is the pass, as it came.
    pub fn is_right(&self, pass: &Pass, frame: &[u8], door: &LockId, challenge: &[u8; 16]) -> bool {
        let proven = proven(frame, door, challenge, self.action);
        self.serial == pass.serial && proven.is_ok_and(|proven| pass.guest.verify(&proven, &self.signature))
    }
}

fn proven(pass: &[u8], door: &LockId, challenge: &[u8; 16], action: ActionWord) -> Result<Vec<u8>, FrameError> {
    let mut body = Vec::new();
    count(&mut body, short(door)?)?;
    body.extend_from_slice(challenge);
    count(&mut body, action.as_str().as_bytes())?;
    Ok(domain("proof", &[&body, &Sha256::digest(pass)]))
}
