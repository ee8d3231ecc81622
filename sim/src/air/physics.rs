//! How strong a signal arrives.

use std::time::Duration;

/// Where something is, in metres.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Place {
    x: f64,
    y: f64,
    z: f64,
}

impl Place {
    /// A place.
    pub const fn new(x: f64, y: f64, z: f64) -> Self {
        Self { x, y, z }
    }

    fn distance(self, other: Self) -> f64 {
        ((self.x - other.x).powi(2) + (self.y - other.y).powi(2) + (self.z - other.z).powi(2)).sqrt()
    }
}

/// The model of log-distance path loss: `rssi(d) = at_one_metre − 10 · exponent · log10(d / 1 m) + wobble`, where the wobble
/// is random, bell-shaped around 0. (Rappaport, *Wireless Communications*, 2nd ed., section 4.9.1.)
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Physics {
    /// The signal at one metre, in dBm. Phones have some −59.
    pub at_one_metre: f64,
    /// 2 in the open, 2.5 to 4 in houses.
    pub exponent: f64,
    /// The standard deviation of the wobble, in dB. Bodies and reflections make it 2 to 6.
    pub wobble: f64,
    /// What is weaker is not heard, in dBm.
    pub sensitivity: f64,
    /// How many of all advertisements are lost, between 0 and 1.
    pub loss: f64,
    /// How long it takes from one radio to another.
    pub latency: Duration,
}

impl Default for Physics {
    fn default() -> Self {
        Self { at_one_metre: -59.0, exponent: 2.0, wobble: 0.0, sensitivity: -95.0, loss: 0.0, latency: Duration::ZERO }
    }
}

impl Physics {
    /// How strong a signal arrives, in dBm; `None` when it does not.
    pub(super) fn rssi(&self, from: Place, to: Place, dice: &mut fastrand::Rng) -> Option<i8> {
        let rssi = self.strength(from, to) + self.wobble * bell(dice);
        let lost = self.loss > 0.0 && dice.f64() < self.loss;
        #[allow(clippy::cast_possible_truncation, reason = "it is clamped to what an i8 holds")]
        let whole = rssi.round().clamp(-127.0, 20.0) as i8;
        (!lost && rssi >= self.sensitivity).then_some(whole)
    }

    /// Whether two radios can talk at all.
    pub(super) fn reaches(&self, from: Place, to: Place) -> bool {
        self.strength(from, to) >= self.sensitivity
    }

    fn strength(&self, from: Place, to: Place) -> f64 {
        // Within a hand's breadth the model means nothing.
        self.at_one_metre - 10.0 * self.exponent * from.distance(to).max(0.1).log10()
    }
}

/// The sum of twelve throws: nearly normal, with a standard deviation of 1.
fn bell(dice: &mut fastrand::Rng) -> f64 {
    (0..12).map(|_| dice.f64()).sum::<f64>() - 6.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tenfold_distance_costs_twenty_decibels_and_far_away_nothing_is_heard() {
        let (physics, mut dice) = (Physics::default(), fastrand::Rng::with_seed(1));
        let mut at = |metres| physics.rssi(Place::default(), Place::new(metres, 0.0, 0.0), &mut dice);
        assert_eq!([at(1.0), at(10.0), at(0.0), at(64.0)], [Some(-59), Some(-79), Some(-39), None]);
    }

    #[test]
    fn the_wobble_is_around_nothing_and_the_same_for_the_same_seed() {
        let physics = Physics { wobble: 4.0, ..Physics::default() };
        let throw = |seed| {
            let mut dice = fastrand::Rng::with_seed(seed);
            let all = (0..1000).filter_map(|_| physics.rssi(Place::default(), Place::new(1.0, 0.0, 0.0), &mut dice));
            all.map(i32::from).collect::<Vec<_>>()
        };
        assert_eq!(throw(7), throw(7));
        let mean = throw(7).iter().sum::<i32>() / 1000;
        assert!((-60..=-58).contains(&mean), "{mean}");
        assert!(throw(7).iter().any(|rssi| *rssi < -63));
    }

    #[test]
    fn as_much_is_lost_as_is_said() {
        let physics = Physics { loss: 0.25, ..Physics::default() };
        let mut dice = fastrand::Rng::with_seed(3);
        let heard = (0..10_000).filter_map(|_| physics.rssi(Place::default(), Place::default(), &mut dice)).count();
        assert!((7_300..7_700).contains(&heard), "{heard}");
    }
}
