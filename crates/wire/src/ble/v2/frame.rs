//! Bytes of frames: written one after the other, and read back to the last one.

use super::super::{LAST_SECOND, LockId};
use crate::ble::v2::MOST_LOCK_ID;
use alloc::vec::Vec;

/// The version that every frame begins with.
const VERSION: u8 = 2;

/// Why a frame is not taken, or not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// It is cut off, has bytes left over, or a value that cannot be.
    #[error("the frame makes no sense")]
    Malformed,
    /// It is for another key than ours.
    #[error("the frame is for another key")]
    OtherKey,
    /// It does not open: it was changed, or is for another challenge, lock or key.
    #[error("the frame does not open")]
    Sealed,
    /// Its signature is not right.
    #[error("the signature is wrong")]
    Signature,
    /// What should go in is too long.
    #[error("this does not fit into a frame")]
    TooLong,
    /// It is over.
    #[error("the session has expired")]
    Expired,
}

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Hello = 1,
    Request = 2,
    Answer = 3,
    Session = 4,
    Challenge = 5,
    Response = 6,
    Pass = 7,
    Proof = 8,
    Part = 9,
    Result = 10,
}

impl Kind {
    /// The two bytes that a frame of this kind begins with.
    pub(super) const fn head(self) -> [u8; 2] {
        [VERSION, self as u8]
    }
}

/// What is read: whoever is at the end of it and wants more gets [`FrameError::Malformed`].
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// What stands behind the head of a frame of this kind.
    pub(super) fn of(kind: Kind, frame: &'a [u8]) -> Result<Self, FrameError> {
        frame.strip_prefix(&kind.head()).map(Self).ok_or(FrameError::Malformed)
    }

    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], FrameError> {
        let (array, rest) = self.0.split_first_chunk().ok_or(FrameError::Malformed)?;
        self.0 = rest;
        Ok(*array)
    }

    pub(super) fn byte(&mut self) -> Result<u8, FrameError> {
        self.array().map(|[byte]| byte)
    }

    pub(super) fn short(&mut self) -> Result<u16, FrameError> {
        self.array().map(u16::from_be_bytes)
    }

    /// Seconds since 1970.
    pub(super) fn seconds(&mut self) -> Result<u64, FrameError> {
        let seconds = u64::from_be_bytes(self.array()?);
        if seconds <= LAST_SECOND { Ok(seconds) } else { Err(FrameError::Malformed) }
    }

    /// Bytes with their length in one byte before them.
    pub(super) fn counted(&mut self, most: usize) -> Result<&'a [u8], FrameError> {
        let length = usize::from(self.byte()?);
        let (bytes, rest) = self.0.split_at_checked(length).filter(|_| length <= most).ok_or(FrameError::Malformed)?;
        self.0 = rest;
        Ok(bytes)
    }

    /// Visible ASCII, the same way; it may be empty.
    pub(super) fn ascii(&mut self, most: usize) -> Result<&'a str, FrameError> {
        let text = core::str::from_utf8(self.counted(most)?).map_err(|_| FrameError::Malformed)?;
        if text.bytes().all(|byte| byte.is_ascii_graphic()) { Ok(text) } else { Err(FrameError::Malformed) }
    }

    pub(super) fn lock(&mut self) -> Result<LockId, FrameError> {
        self.ascii(MOST_LOCK_ID)?.parse().map_err(|_| FrameError::Malformed)
    }

    /// All that is left.
    pub(super) const fn rest(self) -> &'a [u8] {
        self.0
    }

    pub(super) const fn end(self) -> Result<(), FrameError> {
        if self.0.is_empty() { Ok(()) } else { Err(FrameError::Malformed) }
    }
}

/// `lp1`: bytes with their length in one byte before them.
pub(super) fn count(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), FrameError> {
    out.push(u8::try_from(bytes.len()).map_err(|_| FrameError::TooLong)?);
    out.extend_from_slice(bytes);
    Ok(())
}

/// What is signed, or what a key is for: the words for it, a zero byte, and the parts.
pub(super) fn domain(words: &str, parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::from(b"doorward/2 ");
    bytes.extend_from_slice(words.as_bytes());
    bytes.push(0);
    for part in parts {
        bytes.extend_from_slice(part);
    }
    bytes
}

/// A frame and its signature apart.
pub(super) fn split_signature(frame: &[u8]) -> Result<(&[u8], &[u8; 64]), FrameError> {
    frame.split_last_chunk().ok_or(FrameError::Malformed)
}
