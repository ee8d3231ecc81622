//! The rules of a rollout: which devices come next, when a group has had enough, and when it must stop.
//!
//! Devices are put into groups by a number that never changes, so that nobody has to remember an order. What happens next follows
//! from how many devices stand where, and from nothing else: after a restart it is the same.

use serde::{Deserialize, Serialize};

/// Groups at most.
const GROUPS: usize = 10;
/// A device's number is below this.
pub const BUCKETS: u16 = 10_000;

/// How a rollout goes about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// How many per cent of the devices each group reaches, all groups before it counted in; the last one reaches 100.
    pub groups: Vec<u8>,
    /// Per cent of the devices of a group that can be reached which must run it before the next group begins.
    pub success: u8,
    /// Per cent of the devices so far that may fail; with more it stops.
    pub errors: u8,
    /// How often a device is offered it.
    pub tries: u32,
    /// Devices that are under way at the same time.
    pub at_once: u32,
    /// Minutes of the day in which devices are offered it, in the time zone of the house: from, and until before. It may go over
    /// midnight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<(u16, u16)>,
}

impl Default for Plan {
    fn default() -> Self {
        Self { groups: vec![5, 25, 100], success: 90, errors: 10, tries: 3, at_once: 100, window: None }
    }
}

/// Why a plan is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Not groups.
    #[error("groups grow up to 100 per cent, such as 5,25,100; there are {GROUPS} at most")]
    Groups,
    /// Not per cent.
    #[error("success and errors are per cent: success from 1 to 100, errors from 0 to 100")]
    PerCent,
    /// Not a count.
    #[error("a device is offered it 1 to 10 times, and 1 to 10000 devices at once")]
    Count,
    /// Not a time of day.
    #[error("a window is two different times of day, such as 02:00-05:00")]
    Window,
}

impl Plan {
    /// Whether it can be followed.
    pub fn check(&self) -> Result<(), PlanError> {
        let grows = self.groups.windows(2).all(|pair| matches!(pair, [a, b] if a < b));
        if !grows || self.groups.last() != Some(&100) || self.groups.first() == Some(&0) || self.groups.len() > GROUPS {
            return Err(PlanError::Groups);
        }
        if !(1..=100).contains(&self.success) || self.errors > 100 {
            return Err(PlanError::PerCent);
        }
        if !(1..=10).contains(&self.tries) || !(1..=10_000).contains(&self.at_once) {
            return Err(PlanError::Count);
        }
        if self.window.is_some_and(|(from, until)| from == until || from >= 1440 || until >= 1440) {
            return Err(PlanError::Window);
        }
        Ok(())
    }

    /// The group of a device with this number.
    pub fn group_of(&self, bucket: u16) -> usize {
        let reached = |per_cent: &u8| u32::from(bucket) < u32::from(*per_cent) * u32::from(BUCKETS) / 100;
        self.groups.iter().position(reached).unwrap_or(self.groups.len().saturating_sub(1))
    }

    /// Whether devices are offered it at this minute of the day.
    pub fn is_open(&self, minute: u16) -> bool {
        match self.window {
            None => true,
            Some((from, until)) if from < until => (from..until).contains(&minute),
            Some((from, until)) => minute >= from || minute < until,
        }
    }
}

/// How many devices of a group stand where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// They were not offered it, and are connected.
    pub waiting: u32,
    /// They were not offered it, and are not connected: they get it when they are back.
    pub absent: u32,
    /// They were offered it, and it has not ended.
    pub under_way: u32,
    /// They run it.
    pub done: u32,
    /// They were tried as often as they may be.
    pub failed: u32,
}

impl Tally {
    const fn all(self) -> u32 {
        self.waiting + self.absent + self.under_way + self.done + self.failed
    }

    const fn present(self) -> u32 {
        self.all() - self.absent
    }
}

/// What happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// So many more devices of the groups so far are offered it.
    Offer(u32),
    /// The next group begins.
    Group(usize),
    /// Enough of the last group run it. Those that are away get it when they return.
    Done,
    /// Too many failed.
    Stop,
    /// The group can no longer reach its share, and too few failed to stop: a person must look.
    Pause,
    /// Something must happen first.
    Wait,
}

/// What happens next in a rollout whose groups up to this one have begun.
pub fn next(plan: &Plan, group: usize, tallies: &[Tally], open: bool) -> Next {
    let begun = tallies.get(..=group).unwrap_or(tallies);
    let (all, failed) = begun.iter().fold((0, 0), |(all, failed), tally| (all + tally.all(), failed + tally.failed));
    if failed > 0 && failed * 100 > u32::from(plan.errors) * all {
        return Next::Stop;
    }
    let own = tallies.get(group).copied().unwrap_or_default();
    let has_had_enough = own.all() == 0 || (own.present() > 0 && own.done * 100 >= u32::from(plan.success) * own.present());
    if has_had_enough {
        return if group + 1 < plan.groups.len() { Next::Group(group + 1) } else { Next::Done };
    }
    let under_way: u32 = begun.iter().map(|tally| tally.under_way).sum();
    let waiting: u32 = begun.iter().map(|tally| tally.waiting).sum();
    if waiting == 0 && under_way == 0 && begun.iter().all(|tally| tally.absent == 0) {
        return Next::Pause;
    }
    let room = plan.at_once.saturating_sub(under_way).min(waiting);
    if open && room > 0 { Next::Offer(room) } else { Next::Wait }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tally(waiting: u32, under_way: u32, done: u32, failed: u32) -> Tally {
        Tally { waiting, under_way, done, failed, absent: 0 }
    }

    #[test]
    fn a_group_begins_when_enough_of_the_one_before_run_it() {
        let plan = Plan { at_once: 3, ..Plan::default() };
        assert_eq!(next(&plan, 0, &[tally(10, 0, 0, 0), tally(20, 0, 0, 0)], true), Next::Offer(3));
        assert_eq!(next(&plan, 0, &[tally(7, 3, 0, 0)], true), Next::Wait, "no more at once");
        assert_eq!(next(&plan, 0, &[tally(7, 2, 1, 0)], true), Next::Offer(1));
        assert_eq!(next(&plan, 0, &[tally(10, 0, 0, 0)], false), Next::Wait, "not at this time of day");
        assert_eq!(next(&plan, 0, &[tally(1, 0, 8, 1)], true), Next::Offer(1));
        assert_eq!(next(&plan, 0, &[tally(0, 1, 9, 0)], true), Next::Group(1));
        assert_eq!(next(&plan, 2, &[Tally::default(), Tally::default(), tally(0, 0, 9, 1)], true), Next::Done);
        assert_eq!(next(&plan, 0, &[Tally::default()], true), Next::Group(1), "nobody is in it");
    }

    #[test]
    fn it_stops_when_too_many_failed() {
        let plan = Plan::default();
        assert_eq!(next(&plan, 0, &[tally(9, 0, 0, 1)], true), Next::Offer(9), "one of ten may");
        assert_eq!(next(&plan, 0, &[tally(8, 0, 0, 2)], true), Next::Stop);
        assert_eq!(next(&plan, 0, &[tally(4, 0, 0, 1)], true), Next::Stop, "one of five is too many");
        let strict = Plan { errors: 0, ..plan };
        assert_eq!(next(&strict, 1, &[tally(0, 0, 9, 1), tally(90, 0, 0, 0)], true), Next::Stop, "those before count too");
    }

    #[test]
    fn who_is_away_holds_nobody_up_and_proves_nothing() {
        let plan = Plan::default();
        let away = |absent, done| Tally { absent, done, ..Tally::default() };
        assert_eq!(next(&plan, 0, &[away(6, 4)], true), Next::Group(1));
        assert_eq!(next(&plan, 0, &[away(10, 0)], true), Next::Wait);
        assert_eq!(next(&plan, 2, &[Tally::default(), Tally::default(), away(6, 4)], true), Next::Done);
    }

    #[test]
    fn a_group_that_cannot_reach_its_share_is_for_a_person_to_look_at() {
        let plan = Plan { errors: 50, ..Plan::default() };
        assert_eq!(next(&plan, 0, &[tally(0, 0, 8, 2)], true), Next::Pause);
        assert_eq!(next(&plan, 0, &[tally(0, 1, 7, 2)], true), Next::Wait);
    }

    #[test]
    fn a_plan_is_checked() {
        assert_eq!(Plan::default().check(), Ok(()));
        for groups in [vec![], vec![50], vec![0, 100], vec![20, 10, 100], vec![20, 20, 100], (90..=100).collect()] {
            assert_eq!(Plan { groups: groups.clone(), ..Plan::default() }.check(), Err(PlanError::Groups), "{groups:?}");
        }
        assert_eq!(Plan { success: 0, ..Plan::default() }.check(), Err(PlanError::PerCent));
        assert_eq!(Plan { tries: 0, ..Plan::default() }.check(), Err(PlanError::Count));
        assert_eq!(Plan { window: Some((60, 60)), ..Plan::default() }.check(), Err(PlanError::Window));
        let night = Plan { window: Some((22 * 60, 5 * 60)), ..Plan::default() };
        assert!(night.is_open(23 * 60) && night.is_open(60) && !night.is_open(12 * 60) && !night.is_open(5 * 60));
    }

    proptest! {
        #[test]
        fn every_device_is_in_one_group(bucket in 0..BUCKETS) {
            let plan = Plan::default();
            let group = plan.group_of(bucket);
            prop_assert!(group < 3);
            prop_assert_eq!(group == 0, bucket < 500);
            prop_assert_eq!(group == 2, bucket >= 2_500);
        }

        #[test]
        fn it_goes_on_to_an_end(outcomes in proptest::collection::vec(any::<bool>(), 1..60), at_once in 1u32..5) {
            let plan = Plan { at_once, errors: 100, ..Plan::default() };
            let mut groups = [Vec::new(), Vec::new(), Vec::new()];
            for (number, outcome) in outcomes.iter().enumerate() {
                groups[plan.group_of(u16::try_from(number * 9_999 / outcomes.len()).unwrap())].push(*outcome);
            }
            let mut tallies: Vec<Tally> = groups.iter().map(|group| tally(u32::try_from(group.len()).unwrap(), 0, 0, 0)).collect();
            let mut group = 0;
            for _ in 0..1_000 {
                match next(&plan, group, &tallies, true) {
                    Next::Offer(most) => {
                        prop_assert!(most <= at_once);
                        let one = tallies[..=group].iter_mut().zip(&mut groups).find(|(tally, _)| tally.waiting > 0).unwrap();
                        one.0.waiting -= 1;
                        if one.1.pop().unwrap() { one.0.done += 1 } else { one.0.failed += 1 }
                    }
                    Next::Group(later) => {
                        prop_assert!(later == group + 1);
                        group = later;
                    }
                    Next::Done => return Ok(()),
                    Next::Wait => return Err(TestCaseError::fail("nobody is under way, and nothing happens")),
                    Next::Pause => {
                        prop_assert!(tallies[..=group].iter().all(|tally| tally.waiting == 0));
                        return Ok(());
                    }
                    Next::Stop => return Err(TestCaseError::fail("everybody may fail")),
                }
            }
            prop_assert!(false, "no end");
        }
    }
}
