//! Somebody who listens: keeps what is advertised, plays it again, and sends it on to another place.

use super::Shared;
use super::fields::Fields;
use super::physics::Place;
use super::world::Signal;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

/// What one remembers.
const MOST_HEARD: usize = 10_000;

/// An advertisement that was overheard.
#[derive(Clone, Debug)]
pub struct Heard {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// From whom.
    pub address: String,
    /// How strong.
    pub rssi: i8,
    /// The bytes of its company's data, as hex.
    pub bytes: String,
    data: Fields,
    response: Fields,
}

impl Heard {
    pub(super) fn new(at_ms: u64, rssi: i8, signal: &Signal<'_>) -> Self {
        let (address, data, response) = (signal.address.to_owned(), signal.data.clone(), signal.response.clone());
        Self { at_ms, address, rssi, bytes: data.bytes.clone(), data, response }
    }
}

pub(super) struct Ear {
    pub(super) place: Place,
    pub(super) relay_to: Option<Place>,
    heard: VecDeque<Heard>,
}

impl Ear {
    pub(super) fn keep(&mut self, heard: Heard) {
        if self.heard.len() >= MOST_HEARD {
            self.heard.pop_front();
        }
        self.heard.push_back(heard);
    }
}

/// Somebody with a radio of their own, and no good intentions. Stops when it is dropped.
pub struct Eavesdropper {
    shared: Arc<Shared>,
    number: u64,
}

impl Eavesdropper {
    pub(super) fn new(shared: Arc<Shared>, place: Place) -> Self {
        let number = shared.change(|world, _| {
            let number = world.ears.last_key_value().map_or(0, |(last, _)| last + 1);
            world.ears.insert(number, Ear { place, relay_to: None, heard: VecDeque::new() });
            number
        });
        Self { shared, number }
    }

    /// Everything that was heard, the oldest first, and no more than the last 10,000.
    pub fn heard(&self) -> Vec<Heard> {
        self.shared.world().ears.get(&self.number).map(|ear| ear.heard.iter().cloned().collect()).unwrap_or_default()
    }

    /// Sends what was heard once more, from this place, with the address that it had.
    pub fn replay(&self, heard: &Heard, from: Place) {
        self.shared.change(|world, _| {
            let signal = Signal { from, address: &heard.address, data: &heard.data, response: &heard.response };
            world.emit(&signal, None);
        });
    }

    /// Sends each different thing that was heard and is wanted once more, from this place, and says how many they were.
    pub fn replay_each(&self, from: Place, wanted: impl Fn(&Heard) -> bool) -> usize {
        let mut played = BTreeSet::new();
        let heard = self.heard();
        let each = heard.iter().filter(|heard| wanted(heard) && played.insert(&heard.bytes));
        each.inspect(|heard| self.replay(heard, from)).count()
    }

    /// From now on everything that is heard here is sent at the other place, at once; `None` stops that.
    pub fn relay(&self, to: Option<Place>) {
        self.shared.change(|world, _| {
            if let Some(ear) = world.ears.get_mut(&self.number) {
                ear.relay_to = to;
            }
        });
    }
}

impl Drop for Eavesdropper {
    fn drop(&mut self) {
        self.shared.change(|world, _| world.ears.remove(&self.number));
    }
}
