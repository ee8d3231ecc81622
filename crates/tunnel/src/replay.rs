//! Which messages were there before.
//!
//! A message is known by its key and nonce, across all routes, and remembered until it is too old anyway. What is kept is
//! bounded for each key and in all: a key whose part is full is refused rather than let in unseen.

use doorward_wire::tunnel::NONCE;
use std::collections::{BTreeMap, HashSet};

/// Messages that are remembered of one key. A phone whose clock is a minute ahead may send 5,000 a second.
const OF_A_KEY: u32 = 640_000;
/// Messages that are remembered in all.
const IN_ALL: usize = 900_000;

/// A key's number and the nonce.
type Mark = [u8; NONCE + 1];

/// Why a message is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It was there before.
    Again,
    /// No more can be remembered.
    Full,
}

/// Messages that were taken.
pub(crate) struct Replay {
    marks: HashSet<Mark>,
    /// Until which second each is remembered.
    until: BTreeMap<i64, Vec<Mark>>,
    of_key: [u32; 256],
}

impl Default for Replay {
    fn default() -> Self {
        Self { marks: HashSet::new(), until: BTreeMap::new(), of_key: [0; 256] }
    }
}

impl Replay {
    /// Takes a message that counts until a second, in seconds since 1970; it is remembered to the end of that one.
    pub(crate) fn take(&mut self, key: u8, nonce: [u8; NONCE], until: i64, now: i64) -> Result<(), Taken> {
        self.forget(now);
        let mut mark = [key; NONCE + 1];
        mark[1..].copy_from_slice(&nonce);
        if self.marks.contains(&mark) {
            return Err(Taken::Again);
        }
        let count = &mut self.of_key[usize::from(key)];
        if *count >= OF_A_KEY || self.marks.len() >= IN_ALL {
            return Err(Taken::Full);
        }
        *count += 1;
        self.marks.insert(mark);
        self.until.entry(until).or_default().push(mark);
        Ok(())
    }

    fn forget(&mut self, now: i64) {
        while let Some(oldest) = self.until.first_entry() {
            if *oldest.key() >= now {
                return;
            }
            for mark in oldest.remove() {
                self.marks.remove(&mark);
                self.of_key[usize::from(mark[0])] -= 1;
            }
        }
        // Nothing is left: what a storm made large is given back.
        if self.marks.capacity() > 4096 {
            self.marks = HashSet::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nonce(number: u64) -> [u8; NONCE] {
        let mut nonce = [0; NONCE];
        nonce[..8].copy_from_slice(&number.to_le_bytes());
        nonce
    }

    #[test]
    fn a_message_counts_once_until_it_is_too_old() {
        let mut replay = Replay::default();
        assert_eq!(replay.take(1, nonce(7), 160, 100), Ok(()));
        assert_eq!(replay.take(1, nonce(7), 160, 100), Err(Taken::Again));
        assert_eq!(replay.take(1, nonce(7), 170, 160), Err(Taken::Again), "another time in it does not make it another one");
        assert_eq!(replay.take(2, nonce(7), 160, 100), Ok(()), "another key is another message");
        assert_eq!(replay.take(1, nonce(7), 221, 161), Ok(()), "its age tells it off by then");
    }

    #[test]
    fn a_full_memory_refuses_and_empties_with_time() {
        let mut replay = Replay::default();
        for number in 0..u64::from(OF_A_KEY) {
            replay.take(1, nonce(number), 160, 100).unwrap();
        }
        assert_eq!(replay.take(1, nonce(u64::MAX), 160, 100), Err(Taken::Full));
        for number in 0..(IN_ALL as u64 - u64::from(OF_A_KEY)) {
            replay.take(2, nonce(number), 160, 100).unwrap();
        }
        assert_eq!(replay.take(3, nonce(1), 160, 100), Err(Taken::Full));
        // What is in memory: the marks with a byte of control each, and once more by second.
        let bytes = replay.marks.capacity() * 8 / 7 * (NONCE + 2) + replay.until.values().map(|marks| marks.capacity() * 13).sum::<usize>();
        assert!(bytes < 64 << 20, "{bytes}");
        assert_eq!(replay.take(3, nonce(1), 221, 161), Ok(()));
        assert_eq!((replay.marks.len(), replay.of_key[1]), (1, 0));
    }
}
