//! A pass that is longer than one write.

use super::super::{
    FrameError, WRITE,
    frame::{Kind, Reader},
};
use super::MOST;
use crate::Time;
use alloc::vec::Vec;
use core::time::Duration;

/// Bytes of a pass in one part.
const PART: usize = WRITE - 4;
/// Parts of a pass.
const MOST_PARTS: u8 = 3;
/// How long the parts of a pass may take.
const LIFE: Duration = Duration::from_secs(10);

/// The writes for a pass: itself when it fits into one, or else its parts in their order.
pub fn parts(pass: &[u8]) -> Vec<Vec<u8>> {
    if pass.len() <= WRITE {
        return Vec::from([pass.into()]);
    }
    let [version, kind] = Kind::Part.head();
    let total = u8::try_from(pass.len().div_ceil(PART)).unwrap_or(u8::MAX);
    (0..total).zip(pass.chunks(PART)).map(|(index, data)| [&[version, kind, index, total][..], data].concat()).collect()
}

/// The parts that a connection wrote, in their order.
#[derive(Debug, Default)]
pub struct Parts {
    pass: Vec<u8>,
    next: u8,
    total: u8,
    since: Time,
}

impl Parts {
    /// Takes a write that is a pass or a part of one, and gives the pass that is whole by it. Its signature is not checked.
    ///
    /// The first part begins anew. One that does not follow, or comes after 10 s, ends it.
    pub fn take(&mut self, write: &[u8], now: Time) -> Result<Option<Vec<u8>>, FrameError> {
        if Reader::of(Kind::Pass, write).is_ok() && write.len() <= WRITE {
            self.clear();
            return Ok(Some(write.into()));
        }
        let taken = self.part(write, now);
        if !matches!(taken, Ok(None)) {
            self.clear();
        }
        taken
    }

    /// The connection is gone.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    fn part(&mut self, write: &[u8], now: Time) -> Result<Option<Vec<u8>>, FrameError> {
        let mut reader = Reader::of(Kind::Part, write)?;
        let (index, total, data) = (reader.byte()?, reader.byte()?, reader);
        let data = data.rest();
        if !(1..=MOST_PARTS).contains(&total) || index >= total || !(1..=PART).contains(&data.len()) {
            return Err(FrameError::Malformed);
        }
        if index == 0 {
            *self = Self { pass: Vec::new(), next: 0, total, since: now };
        }
        if index != self.next || total != self.total || now < self.since || now.since(self.since) > LIFE {
            return Err(FrameError::Malformed);
        }
        self.pass.extend_from_slice(data);
        self.next += 1;
        if self.pass.len() > MOST {
            return Err(FrameError::Malformed);
        }
        Ok((self.next == total).then(|| core::mem::take(&mut self.pass)))
    }
}
