//! The last tokens that were heard, for people who look: a plot of how well phones are heard shows what a threshold does.

use doorward_core::{Mono, Now};
use doorward_wire::{
    Time,
    ble::{order::Refusal, token::Nonce},
};
use std::{collections::VecDeque, time::Duration};

/// So many are remembered.
const MOST: usize = 600;
/// The same of one session is noted once in this time: phones advertise several times a second.
const EACH: Duration = Duration::from_secs(1);
/// So many of the last are looked through for the same.
const LOOK_BACK: usize = 16;

/// A token that was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// When.
    pub at: Time,
    /// How well.
    pub rssi: Option<i8>,
    /// Of which session, where there is one.
    pub nonce: Option<Nonce>,
    /// What came of it.
    pub what: What,
}

/// What came of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Its guest is let in.
    Open,
    /// Its guest was let in before.
    Repeat,
    /// It was refused.
    Refused(Refusal),
}

/// What was heard last.
#[derive(Debug, Default)]
pub(super) struct Diary {
    last: VecDeque<(Mono, Heard)>,
}

impl Diary {
    pub(super) fn note(&mut self, nonce: Option<&Nonce>, rssi: Option<i8>, what: What, now: Now) {
        let same = |(since, heard): &(Mono, Heard)| heard.nonce.as_ref() == nonce && heard.what == what && now.mono.since(*since) < EACH;
        if self.last.iter().rev().take(LOOK_BACK).any(same) {
            return;
        }
        if self.last.len() >= MOST {
            self.last.pop_front();
        }
        self.last.push_back((now.mono, Heard { at: now.utc, rssi, nonce: nonce.cloned(), what }));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Heard> {
        self.last.iter().map(|(_, heard)| heard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_noted_once_a_second_and_the_oldest_goes_first() {
        let mut diary = Diary::default();
        let nonce = Nonce::new([7; 8]);
        let at = |millis| Now { utc: Time::default(), mono: Mono(Duration::from_millis(millis)) };
        for millis in [0, 200, 999, 1000, 1001] {
            diary.note(Some(&nonce), Some(-60), What::Repeat, at(millis));
        }
        assert_eq!(diary.iter().count(), 2);
        diary.note(Some(&nonce), Some(-60), What::Open, at(1001));
        diary.note(None, Some(-60), What::Refused(Refusal::UnknownToken), at(1001));
        assert_eq!(diary.iter().count(), 4, "something else is something else");
        for second in 10..1000 {
            diary.note(None, Some(-61), What::Refused(Refusal::Replay), at(second * 1000));
        }
        assert_eq!(diary.iter().count(), MOST);
        assert!(diary.iter().all(|heard| heard.rssi == Some(-61)));
    }
}
