//! Randomness that repeats: everything is derived from a seed and a count of throws.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Odd, so that seeds which lie close together start far apart (2^64 divided by the golden ratio).
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

/// Dice whose whole state is the seed and the number of throws, so that they go on after a restart.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Dice {
    pub(crate) seed: u64,
    throws: u64,
}

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, throws: 0 }
    }

    /// A token that is never given twice; the count in it tells a reader which one came first.
    pub(crate) fn token(&mut self, kind: &str) -> String {
        let mut throw = self.throw();
        format!("sim-{kind}-{}-{:016x}{:016x}", self.throws, throw.u64(..), throw.u64(..))
    }

    /// Letters of an alphabet of ASCII.
    pub(crate) fn text(&mut self, alphabet: &[u8], length: usize) -> String {
        let mut throw = self.throw();
        (0..length).filter_map(|_| alphabet.get(throw.usize(..alphabet.len()))).map(|letter| char::from(*letter)).collect()
    }

    /// A UUID of version 4.
    pub(crate) fn uuid(&mut self) -> Uuid {
        let bytes = self.throw().u128(..).to_be_bytes();
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }

    fn throw(&mut self) -> fastrand::Rng {
        self.throws += 1;
        let start = self.seed.wrapping_mul(SPREAD).wrapping_add(self.throws);
        fastrand::Rng::with_seed(start.wrapping_mul(SPREAD))
    }
}
