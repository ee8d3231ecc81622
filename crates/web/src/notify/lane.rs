//! How far a channel is: the last event that it looked at, what waits, and how its last message went.
//!
//! **What happens to a message is written before it happens.** A try is counted before it is made, so a second copy of
//! doorward does not make it as well, and what was under way at a `kill -9` is due again when its claim ends. A message that
//! was taken is gone from here.

use super::{
    Outcome, Settings,
    message::{self, Subject},
};
use crate::outward::WHOLE;
use doorward_wire::{
    Time,
    event::{Event, EventKind},
    notify::NotifyKind,
    ring::RingId,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// When a message is sent again after a try that failed; then it is given up.
const RETRIES: [Duration; 4] = [Duration::from_secs(5), Duration::from_secs(30), Duration::from_mins(2), Duration::from_mins(10)];
/// How long a try is left to whoever began it: twice as long as it may take.
const CLAIM: Duration = Duration::from_secs(2 * WHOLE.as_secs());
/// How long a ring is told: later, nobody stands there any more.
const RING: Duration = Duration::from_mins(1);
/// How long everything else is told.
const OTHERS: Duration = Duration::from_hours(6);
/// A battery is told once in this time: in the cold of the night one that is nearly empty is low again and again.
const BATTERY: Duration = Duration::from_hours(24);
/// Per cent of a battery that was changed, or charged.
const CHANGED: u64 = 50;
/// Messages that wait for one channel. For more the oldest are given up.
const WAITING: usize = 50;

/// How long a message of this kind is worth something.
pub(super) const fn life(kind: NotifyKind) -> Duration {
    match kind {
        NotifyKind::Ring => RING,
        NotifyKind::Jam
        | NotifyKind::Contradiction
        | NotifyKind::Duress
        | NotifyKind::Battery
        | NotifyKind::SignIn
        | NotifyKind::Offline => OTHERS,
    }
}

/// What became of messages, for the metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It was taken.
    Sent,
    /// A try failed, and there will be another one.
    Retried,
    /// It was given up.
    Failed,
    /// It came too late.
    Late,
    /// It would have been told in quiet hours, and would be late after them.
    Quiet,
}

impl Fate {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Retried => "retried",
            Self::Failed => "failed",
            Self::Late => "late",
            Self::Quiet => "quiet",
        }
    }
}

/// How far a channel is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Lane {
    /// The last event that was looked at.
    pub(super) seen: i64,
    /// What waits, the oldest event first.
    #[serde(default)]
    pub(super) waiting: Vec<Waiting>,
    /// How the last message went.
    #[serde(default)]
    pub(super) last: Option<Last>,
    /// Doors whose battery was told, and when.
    #[serde(default)]
    batteries: BTreeMap<String, Time>,
}

/// A message that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Waiting {
    pub(super) event: i64,
    pub(super) kind: NotifyKind,
    /// The door or account that it is about.
    about: String,
    /// The ring that it tells of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ring: Option<RingId>,
    tries: u32,
    next: Time,
    /// When it is too late.
    until: Time,
}

/// How a message went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Last {
    /// When it was tried.
    pub(crate) time: Time,
    /// What went wrong; nothing when it was taken.
    pub(crate) error: Option<String>,
}

impl Lane {
    /// Told what comes after this event.
    pub(super) const fn after(seen: i64) -> Self {
        Self { seen, waiting: Vec::new(), last: None, batteries: BTreeMap::new() }
    }

    pub(super) fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    pub(super) fn write(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Looks at events, and queues what is to be told. Gives what is not told after all.
    pub(super) fn take(&mut self, events: &[Event], settings: &Settings, now: Time) -> Vec<Fate> {
        let mut fates = Vec::new();
        let seen = self.seen;
        for event in events.iter().filter(|event| event.id > seen) {
            if self.knows_battery(event) {
                continue;
            }
            if let Some(over) = message::ring_over(event) {
                let before = self.waiting.len();
                self.waiting.retain(|waiting| waiting.ring != Some(over));
                fates.extend(vec![Fate::Late; before - self.waiting.len()]);
            }
            let Some(Subject { kind, about, ring }) = message::subject(event).filter(|subject| settings.kinds.contains(&subject.kind))
            else {
                continue;
            };
            let until = event.time.plus(life(kind));
            if until <= now {
                fates.push(Fate::Late);
                continue;
            }
            self.waiting.push(Waiting { event: event.id, kind, about, ring, tries: 0, next: now, until });
        }
        self.seen = events.last().map_or(self.seen, |event| self.seen.max(event.id));
        let over = self.waiting.len().saturating_sub(WAITING);
        fates.extend(self.waiting.drain(..over).map(|_| Fate::Failed));
        fates
    }

    /// Whether this is of a battery that was told already. One that was changed is forgotten.
    fn knows_battery(&mut self, event: &Event) -> bool {
        let (EventKind::DoorBattery, Some(door)) = (event.kind, &event.door) else { return false };
        if event.data["low"] != true {
            if event.data["battery"].as_u64().is_some_and(|level| level >= CHANGED) {
                self.batteries.remove(door.as_str());
            }
            return false;
        }
        self.batteries.retain(|_, told| event.time < told.plus(BATTERY));
        if self.batteries.contains_key(door.as_str()) {
            return true;
        }
        self.batteries.insert(door.to_string(), event.time);
        false
    }

    /// When something is due next.
    pub(super) fn next(&self) -> Option<Time> {
        self.waiting.iter().map(|waiting| waiting.next).min()
    }

    /// Claims what is due, the oldest event first. Gives also what is not told after all.
    pub(super) fn claim(&mut self, settings: &Settings, now: Time) -> (Option<Waiting>, Vec<Fate>) {
        let mut fates = self.hold(settings, now);
        let before = self.waiting.len();
        self.waiting.retain(|waiting| now < waiting.until);
        fates.extend(vec![Fate::Late; before - self.waiting.len()]);
        let due = self.waiting.iter_mut().find(|waiting| waiting.next <= now);
        let claimed = due.map(|waiting| {
            waiting.tries += 1;
            waiting.next = now.plus(CLAIM);
            waiting.clone()
        });
        (claimed, fates)
    }

    /// In quiet hours what is not urgent waits for their end; of one kind about one thing the newest is enough then.
    fn hold(&mut self, settings: &Settings, now: Time) -> Vec<Fate> {
        let Some(end) = settings.quiet.and_then(|quiet| quiet.until(now, &settings.zone)) else { return Vec::new() };
        let urgent = |waiting: &Waiting| settings.quiet_kinds.contains(&waiting.kind);
        let before = self.waiting.len();
        let all = self.waiting.clone();
        let newest = |own: &Waiting| !all.iter().any(|it| it.event > own.event && (it.kind, &it.about) == (own.kind, &own.about));
        self.waiting.retain(|waiting| urgent(waiting) || waiting.kind != NotifyKind::Ring && newest(waiting));
        for waiting in self.waiting.iter_mut().filter(|waiting| !urgent(waiting) && waiting.next <= now) {
            (waiting.next, waiting.until) = (end, end.plus(life(waiting.kind)));
        }
        vec![Fate::Quiet; before - self.waiting.len()]
    }

    /// Writes down how a try of an event went. `None` when the event does not wait any more.
    pub(super) fn end(&mut self, event: i64, outcome: &Outcome, now: Time) -> Option<Fate> {
        self.last = Some(Last { time: now, error: outcome.error().map(ToOwned::to_owned) });
        let at = self.waiting.iter().position(|waiting| waiting.event == event)?;
        let waiting = &mut self.waiting[at];
        let planned = usize::try_from(waiting.tries.saturating_sub(1)).ok().and_then(|slot| RETRIES.get(slot));
        let next = match (outcome, planned) {
            (Outcome::Again { wait, .. }, Some(planned)) => {
                let longest = RETRIES[RETRIES.len() - 1];
                Some(now.plus(wait.unwrap_or_default().clamp(*planned, longest)))
            }
            (Outcome::Again { .. } | Outcome::Taken | Outcome::Never(_) | Outcome::Gone, _) => None,
        };
        if let Some(next) = next.filter(|next| *next < waiting.until) {
            waiting.next = next;
            return Some(Fate::Retried);
        }
        self.waiting.remove(at);
        Some(if *outcome == Outcome::Taken { Fate::Sent } else { Fate::Failed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn noon() -> Time {
        "2026-11-23T12:00:00Z".parse().unwrap()
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn event(id: i64, kind: EventKind, door: &str, time: Time) -> Event {
        let data = json!({ "battery": 9, "low": true });
        Event { id, time, kind, door: door.parse().ok(), account: None, device: None, actor: None, reason: None, attempt: None, data }
    }

    fn queued(events: &[Event], settings: &Settings, now: Time) -> Lane {
        let mut lane = Lane::after(0);
        lane.take(events, settings, now);
        lane
    }

    fn quiet(hours: &str) -> Settings {
        Settings { quiet: Some(hours.parse().unwrap()), ..Settings::default() }
    }

    fn no() -> Outcome {
        Outcome::again("no")
    }

    #[test]
    fn a_message_is_tried_five_times_and_then_given_up() {
        let (settings, mut now) = (Settings::default(), noon());
        let mut lane = queued(&[event(1, EventKind::DoorJammed, "gate", now)], &settings, now);
        for wait in [5, 30, 120, 600] {
            assert_eq!(lane.claim(&settings, now).0.unwrap().event, 1);
            assert_eq!(lane.claim(&settings, now).0, None, "it is under way");
            assert_eq!(lane.end(1, &no(), now), Some(Fate::Retried));
            assert_eq!(lane.next(), Some(now.plus(seconds(wait))));
            now = now.plus(seconds(wait));
        }
        lane.claim(&settings, now).0.unwrap();
        assert_eq!((lane.end(1, &no(), now), lane.next()), (Some(Fate::Failed), None));
        assert_eq!(lane.last.unwrap().error.as_deref(), Some("no"));
    }

    #[test]
    fn what_was_under_way_when_everything_ended_is_due_again() {
        let (settings, now) = (Settings::default(), noon());
        let mut lane = queued(&[event(1, EventKind::DoorRing, "gate", now)], &settings, now);
        lane.claim(&settings, now);
        let mut lane = Lane::read(&lane.write()).unwrap();
        assert_eq!(lane.claim(&settings, now.plus(seconds(29))).0, None);
        assert!(lane.claim(&settings, now.plus(seconds(30))).0.is_some());
    }

    #[test]
    fn a_late_ring_is_not_told_and_everything_else_within_six_hours() {
        let (settings, now) = (Settings::default(), noon());
        let events = [event(1, EventKind::DoorRing, "gate", now), event(2, EventKind::DoorJammed, "gate", now)];
        let mut never = Lane::after(0);
        assert_eq!(never.take(&events, &settings, now.plus(seconds(60))), [Fate::Late]);
        assert_eq!(never.take(&events, &settings, now.plus(seconds(60))), [], "they are looked at once");
        let mut lane = queued(&events, &settings, now);
        let (claimed, fates) = lane.claim(&settings, now.plus(seconds(60)));
        assert_eq!((claimed.unwrap().kind, fates), (NotifyKind::Jam, vec![Fate::Late]));
        lane.end(2, &no(), now.plus(seconds(60)));
        assert_eq!(lane.claim(&settings, now.plus(OTHERS)), (None, vec![Fate::Late]));

        let mut ring = queued(&events[..1], &settings, now);
        ring.claim(&settings, now.plus(seconds(58)));
        assert_eq!(ring.end(1, &no(), now.plus(seconds(58))), Some(Fate::Failed), "the next try would be too late");
    }

    #[test]
    fn a_ring_that_is_over_is_not_told() {
        let (settings, now) = (Settings::default(), noon());
        let about = |id, kind, ring: u128| Event { data: json!({ "ring": uuid::Uuid::from_u128(ring) }), ..event(id, kind, "gate", now) };
        let mut lane = queued(&[about(1, EventKind::DoorRing, 7), about(2, EventKind::DoorRing, 8)], &settings, now);
        lane.claim(&settings, now);
        assert_eq!(lane.take(&[about(3, EventKind::DoorRingEnded, 7)], &settings, now), [Fate::Late]);
        assert_eq!(lane.end(1, &no(), now), None, "and not tried again either");
        let lane = Lane::read(&lane.write()).unwrap();
        assert_eq!(lane.waiting.iter().map(|waiting| waiting.event).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn what_cannot_work_is_not_repeated_and_a_longer_wait_is_granted() {
        let (settings, now) = (Settings::default(), noon());
        let events = [event(1, EventKind::DoorJammed, "gate", now), event(2, EventKind::DoorJammed, "gate", now)];
        let mut lane = queued(&events, &settings, now);
        lane.claim(&settings, now);
        assert_eq!(lane.end(1, &Outcome::Never("401".into()), now), Some(Fate::Failed));
        lane.claim(&settings, now);
        lane.end(2, &Outcome::Again { error: "busy".into(), wait: Some(seconds(86_400)) }, now);
        assert_eq!(lane.next(), Some(now.plus(seconds(600))));
        assert_eq!(lane.end(7, &Outcome::Taken, now), None, "nobody waits for it");
    }

    #[test]
    fn in_quiet_hours_what_is_not_urgent_waits_for_their_end() {
        let (settings, now) = (Settings { kinds: NotifyKind::ALL.to_vec(), ..quiet("12:00-22:00") }, noon());
        let events = [
            event(1, EventKind::DoorOffline, "gate", now),
            event(2, EventKind::DoorRing, "gate", now),
            event(3, EventKind::DoorOffline, "gate", now),
            event(4, EventKind::DoorBattery, "cellar", now),
        ];
        let mut lane = queued(&events, &settings, now);
        let (claimed, fates) = lane.claim(&settings, now);
        assert_eq!((claimed.unwrap().event, fates), (2, vec![Fate::Quiet]), "a ring comes through; of two about one door one is enough");
        lane.end(2, &Outcome::Taken, now);
        assert_eq!(lane.claim(&settings, now), (None, vec![]));
        let end = now.plus(Duration::from_hours(10));
        assert_eq!(lane.next(), Some(end));
        let told: Vec<i64> = std::iter::from_fn(|| lane.claim(&settings, end).0).map(|waiting| waiting.event).collect();
        assert_eq!(told, [3, 4], "late as they are");

        let settings = Settings { quiet_kinds: vec![NotifyKind::Jam], ..settings };
        let mut lane = queued(&events[1..2], &settings, now);
        assert_eq!(lane.claim(&settings, now), (None, vec![Fate::Quiet]), "a ring is over by then");
    }

    #[test]
    fn a_battery_is_told_once_a_day_unless_it_was_changed() {
        let (settings, now) = (Settings::default(), noon());
        let low = |id, hours| event(id, EventKind::DoorBattery, "gate", now.plus(Duration::from_hours(hours)));
        let mut good = low(4, 2);
        good.data = json!({ "battery": 100, "low": false });
        let told = |events: &[Event]| queued(events, &settings, now).waiting.iter().map(|waiting| waiting.event).collect::<Vec<_>>();
        assert_eq!(told(&[low(1, 0), low(2, 1), low(3, 23), low(5, 24)]), [1, 5]);
        assert_eq!(told(&[low(1, 0), good.clone(), low(5, 3)]), [1, 5]);
        good.data = json!({ "battery": 21, "low": false });
        assert_eq!(told(&[low(1, 0), good, low(5, 3)]), [1], "it was not changed, it is warmer");
    }

    #[test]
    fn what_waits_is_bounded() {
        let (settings, now) = (Settings::default(), noon());
        let events: Vec<Event> = (1..=60).map(|id| event(id, EventKind::DoorJammed, "gate", now)).collect();
        let mut lane = Lane::after(0);
        assert_eq!(lane.take(&events, &settings, now).len(), 10);
        assert_eq!((lane.waiting.len(), lane.waiting[0].event, lane.seen), (50, 11, 60));
    }

    #[test]
    fn only_what_is_wanted_is_told() {
        let now = noon();
        let settings = Settings { kinds: vec![NotifyKind::Offline], ..Settings::default() };
        let events = [event(1, EventKind::DoorJammed, "gate", now), event(2, EventKind::DoorOffline, "gate", now)];
        let lane = queued(&events, &settings, now);
        assert_eq!(lane.waiting.iter().map(|waiting| waiting.event).collect::<Vec<_>>(), [2]);
        assert_eq!(queued(&events, &Settings::default(), now).waiting.len(), 1, "doors that cannot be reached are not told by default");
    }
}
