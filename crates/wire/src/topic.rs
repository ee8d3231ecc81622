//! MQTT topics: what a filter matches, what a right covers, and the topics that doorward itself uses.
//!
//! A [`Filter`] is parsed once, at the edge (MQTT 5.0, section 4.7). Rights of users and scopes of keys are filters too:
//! [`Rights`] says whether a topic or a subscription is inside them. Topics that open doors or carry commands are
//! *reserved*: no wildcard reaches them unless it spells them out.
//!
//! # To add a topic
//! 1. Add it to [`DoorTopic`] or [`Topic`], with its name in both directions.
//! 2. Say in `docs/mqtt.md` what is published there, and whether it is retained.

use crate::{account::AccountId, device::DeviceId, door::DoorId};
use alloc::{format, string::String, vec::Vec};
use core::{fmt, str::FromStr};

/// Bytes of a topic or filter that anybody may name here. MQTT allows 65,535.
const LONGEST: usize = 1024;
/// Levels of one.
const DEEPEST: usize = 64;

/// Topics that no wildcard covers unless it spells them out, level by level where they have words.
const RESERVED: [&str; 7] = [
    "doorward/door/+/set",
    "doorward/device/+/set",
    "locks/#",
    "gateway/#",
    "sensor/+/request/#",
    "sensor/+/firmwareVersion",
    "homeassistant/#",
];

/// Why a text is no topic or no filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// Empty, or too long or too deep.
    #[error("must have 1 to 1024 bytes and at most 64 levels")]
    Length,
    /// A character that no topic may hold.
    #[error("may not hold NUL or other control characters")]
    Character,
    /// A wildcard at a place where none may be.
    #[error("`+` stands for one whole level, and `#` for the last ones")]
    Wildcard,
}

/// What somebody subscribes to, or may.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Filter(String);

impl Filter {
    /// The filter as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn levels(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// Whether a topic is one of those that the filter stands for.
    ///
    /// ```
    /// use doorward_wire::topic::Filter;
    ///
    /// let filter: Filter = "doorward/door/+/state".parse().unwrap();
    /// assert!(filter.matches("doorward/door/front/state"));
    /// assert!(!filter.matches("doorward/door/front/set"));
    /// assert!(!"#".parse::<Filter>().unwrap().matches("$SYS/broker"), "MQTT 5.0, section 4.7.2");
    /// ```
    pub fn matches(&self, topic: &str) -> bool {
        let (mut own, mut other) = (self.levels(), topic.split('/'));
        if topic.starts_with('$') && (self.0.starts_with('#') || self.0.starts_with('+')) {
            return false;
        }
        loop {
            match (own.next(), other.next()) {
                (Some("#"), _) | (None, None) => return true,
                (Some("+"), Some(_)) => {}
                (Some(level), Some(word)) if level == word => {}
                _ => return false,
            }
        }
    }

    /// Whether everything that the other one stands for is in this one too.
    pub fn covers(&self, other: &Self) -> bool {
        let wild = |filter: &Self| filter.0.starts_with('#') || filter.0.starts_with('+');
        if other.0.starts_with('$') && wild(self) {
            return false;
        }
        let (mut own, mut others) = (self.levels(), other.levels());
        loop {
            match (own.next(), others.next()) {
                (Some("#"), _) | (None, None) => return true,
                (Some("+"), Some(level)) if level != "#" => {}
                (Some(level), Some(word)) if level == word => {}
                _ => return false,
            }
        }
    }

    /// Whether there is a topic that both stand for.
    pub fn meets(&self, other: &Self) -> bool {
        let wild = |filter: &Self| filter.0.starts_with('#') || filter.0.starts_with('+');
        if (self.0.starts_with('$') && wild(other)) || (other.0.starts_with('$') && wild(self)) {
            return false;
        }
        let (mut own, mut others) = (self.levels(), other.levels());
        loop {
            match (own.next(), others.next()) {
                (Some("#"), _) | (_, Some("#")) | (None, None) => return true,
                (Some("+"), Some(_)) | (Some(_), Some("+")) => {}
                (Some(level), Some(word)) if level == word => {}
                _ => return false,
            }
        }
    }

    /// Whether each word of the other one stands at the same place in this one.
    fn spells(&self, other: &Self) -> bool {
        let mut own = self.levels();
        other.levels().all(|word| {
            let level = own.next();
            matches!(word, "+" | "#") || level == Some(word)
        })
    }
}

impl FromStr for Filter {
    type Err = TopicError;
    fn from_str(text: &str) -> Result<Self, TopicError> {
        check(text)?;
        let mut levels = text.split('/').peekable();
        while let Some(level) = levels.next() {
            let wrong = match level {
                "#" => levels.peek().is_some(),
                "+" => false,
                word => word.contains(['#', '+']),
            };
            if wrong {
                return Err(TopicError::Wildcard);
            }
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

fn check(text: &str) -> Result<(), TopicError> {
    if text.is_empty() || text.len() > LONGEST || text.split('/').count() > DEEPEST {
        return Err(TopicError::Length);
    }
    if text.chars().any(char::is_control) {
        return Err(TopicError::Character);
    }
    Ok(())
}

/// A topic that somebody publishes to: no wildcards.
pub fn is_topic(text: &str) -> bool {
    check(text).is_ok() && !text.contains(['#', '+'])
}

/// What somebody may publish, or subscribe to. Nothing, unless something is named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rights(Vec<Filter>);

impl Rights {
    /// These filters, and nothing else.
    pub const fn new(filters: Vec<Filter>) -> Self {
        Self(filters)
    }

    /// The filters.
    pub fn filters(&self) -> &[Filter] {
        &self.0
    }

    /// Whether a topic is inside.
    ///
    /// ```
    /// use doorward_wire::topic::Rights;
    ///
    /// let everything = Rights::new(vec!["#".parse().unwrap()]);
    /// assert!(everything.allow_topic("weather/today"));
    /// assert!(!everything.allow_topic("doorward/door/front/set"), "what opens doors must be spelled out");
    /// ```
    pub fn allow_topic(&self, topic: &str) -> bool {
        // A topic is a filter that stands for itself.
        is_topic(topic) && topic.parse().is_ok_and(|topic| self.allow_filter(&topic))
    }

    /// Whether everything that a filter stands for is inside. `$share/<group>/` before it changes nothing.
    pub fn allow_filter(&self, filter: &Filter) -> bool {
        let plain = filter.0.strip_prefix("$share/").and_then(|rest| rest.split_once('/')).map(|(_, rest)| rest.parse());
        match plain {
            Some(Ok(plain)) => self.allow_plain(&plain),
            Some(Err(_)) => false,
            None => self.allow_plain(filter),
        }
    }

    fn allow_plain(&self, filter: &Filter) -> bool {
        let reserved = RESERVED.iter().map(|text| Filter((*text).into())).filter(|reserved| reserved.meets(filter));
        let reserved: Vec<Filter> = reserved.collect();
        self.0.iter().any(|right| right.covers(filter) && reserved.iter().all(|reserved| right.spells(reserved)))
    }
}

/// A topic of doorward's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Topic {
    /// `online` or `offline`; retained, and doorward's last will.
    Status,
    /// Every event as JSON.
    Event,
    /// About one door.
    Door(DoorId, DoorTopic),
    /// Something of one device.
    Device(DeviceId, DeviceTopic),
    /// `ON` when an account needs a person; retained.
    AccountProblem(AccountId),
}

/// What a topic says about a device of the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeviceTopic {
    /// The version that it runs and the one that it could, as JSON; retained.
    Firmware,
    /// `online` or `offline`; retained.
    Availability,
    /// Commands; what was retained here does nothing.
    Set,
}

impl DeviceTopic {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Firmware, Self::Availability, Self::Set];

    /// The last level of the topic.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Firmware => "firmware",
            Self::Availability => "availability",
            Self::Set => "set",
        }
    }
}

/// What a topic says about a door.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DoorTopic {
    /// `LOCKED`, `UNLOCKED`, …; retained.
    State,
    /// The door as JSON; retained.
    Attributes,
    /// `online` or `offline`; retained.
    Availability,
    /// Per cent; retained.
    Battery,
    /// `ON` while the contact is open; retained.
    Contact,
    /// The bell, as JSON; not retained.
    Ring,
    /// `ON` when the last command was contradicted; retained.
    Contradiction,
    /// Commands; what was retained here opens nothing.
    Set,
}

impl DoorTopic {
    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::State, Self::Attributes, Self::Availability, Self::Battery, Self::Contact, Self::Ring, Self::Contradiction, Self::Set];

    /// The last level of the topic.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Attributes => "attributes",
            Self::Availability => "availability",
            Self::Battery => "battery",
            Self::Contact => "contact",
            Self::Ring => "ring",
            Self::Contradiction => "contradiction",
            Self::Set => "set",
        }
    }
}

impl Topic {
    /// This topic of a door.
    ///
    /// ```
    /// use doorward_wire::topic::{DoorTopic, Topic};
    ///
    /// let topic = Topic::door(&"front".parse().unwrap(), DoorTopic::Set);
    /// assert_eq!(topic.to_string(), "doorward/door/front/set");
    /// assert_eq!(Topic::read("doorward/door/front/set"), Some(topic));
    /// ```
    pub fn door(door: &DoorId, what: DoorTopic) -> Self {
        Self::Door(door.clone(), what)
    }

    /// Whether something happens when somebody publishes there.
    pub const fn is_command(&self) -> bool {
        matches!(self, Self::Door(_, DoorTopic::Set) | Self::Device(_, DeviceTopic::Set))
    }

    /// Reads a topic of doorward's own; `None` when it is somebody else's.
    pub fn read(text: &str) -> Option<Self> {
        match text.strip_prefix("doorward/")? {
            "status" => Some(Self::Status),
            "event" => Some(Self::Event),
            rest => {
                if let Some(rest) = rest.strip_prefix("account/") {
                    return Some(Self::AccountProblem(rest.strip_suffix("/problem")?.parse().ok()?));
                }
                if let Some(rest) = rest.strip_prefix("device/") {
                    let (device, what) = rest.split_once('/')?;
                    let what = DeviceTopic::ALL.into_iter().find(|known| known.as_str() == what)?;
                    return Some(Self::Device(device.parse().ok()?, what));
                }
                let (door, what) = rest.strip_prefix("door/")?.split_once('/')?;
                let what = DoorTopic::ALL.into_iter().find(|known| known.as_str() == what)?;
                Some(Self::Door(door.parse().ok()?, what))
            }
        }
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status => f.pad("doorward/status"),
            Self::Event => f.pad("doorward/event"),
            Self::AccountProblem(account) => f.pad(&format!("doorward/account/{account}/problem")),
            Self::Door(door, what) => f.pad(&format!("doorward/door/{door}/{}", what.as_str())),
            Self::Device(device, what) => f.pad(&format!("doorward/device/{device}/{}", what.as_str())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn filter(text: &str) -> Filter {
        text.parse().unwrap()
    }

    fn rights(filters: &[&str]) -> Rights {
        Rights::new(filters.iter().map(|text| filter(text)).collect())
    }

    #[test]
    fn filters_are_as_mqtt_has_them() {
        for good in ["a", "/", "a/b", "+", "#", "a/+/c", "a/#", "/a", "+/+", "$SYS/#", "ä/ö"] {
            assert!(good.parse::<Filter>().is_ok(), "{good}");
        }
        for bad in ["", "a#", "a/#/b", "a+", "+a/b", "#/a", "a\0b", "a\nb"] {
            assert!(bad.parse::<Filter>().is_err(), "{bad:?}");
        }
        assert!(filter("a/#").matches("a"), "# also stands for its parent");
        assert!(!filter("+").matches("/a") && filter("+/+").matches("/a"));
        assert!(!is_topic("a/+") && is_topic("a/b") && !is_topic(""));
        assert!("x".repeat(LONGEST + 1).parse::<Filter>().is_err() && "/".repeat(DEEPEST).parse::<Filter>().is_err());
    }

    #[test]
    fn nothing_is_allowed_unless_it_is_named() {
        assert!(!Rights::default().allow_topic("a"));
        assert!(!Rights::default().allow_filter(&filter("a")));
        let some = rights(&["a/+", "b/#"]);
        assert!(some.allow_topic("a/x") && some.allow_topic("b") && !some.allow_topic("a/x/y"));
        assert!(some.allow_filter(&filter("b/+/#")) && !some.allow_filter(&filter("+/x")) && !some.allow_filter(&filter("a/#")));
    }

    #[test]
    fn a_wildcard_reaches_no_reserved_topic_unless_it_spells_it_out() {
        let wide = rights(&["#", "doorward/#", "doorward/door/+/+", "+/x"]);
        for topic in ["doorward/door/front/set", "locks/x", "gateway/x", "homeassistant/status", "sensor/a/request/m/1", "$SYS/x"] {
            assert!(!wide.allow_topic(topic), "{topic}");
        }
        assert!(wide.allow_topic("doorward/door/front/state") && wide.allow_topic("sensor/a/data"));
        assert!(wide.allow_filter(&filter("doorward/door/front/state")));
        for subscription in ["#", "doorward/#", "doorward/door/+/+", "+/+", "sensor/#", "$share/g/#", "$SYS/#"] {
            assert!(!wide.allow_filter(&filter(subscription)), "{subscription} would bring reserved topics");
        }
        let exact = rights(&["doorward/door/+/set", "locks/#", "sensor/+/request/#"]);
        assert!(exact.allow_topic("doorward/door/front/set") && exact.allow_filter(&filter("doorward/door/+/set")));
        assert!(exact.allow_filter(&filter("locks/front/+")) && exact.allow_filter(&filter("$share/all/locks/#")));
        assert!(!exact.allow_filter(&filter("doorward/door/+/+")));
    }

    #[test]
    fn topics_are_read_as_they_are_written() {
        let door: DoorId = "front".parse().unwrap();
        for topic in DoorTopic::ALL.into_iter().map(|what| Topic::door(&door, what)).chain([
            Topic::Status,
            Topic::Event,
            Topic::AccountProblem("u_tec".parse().unwrap()),
            Topic::Device("A1B2C3".parse().unwrap(), DeviceTopic::Firmware),
            Topic::Device("A1B2C3".parse().unwrap(), DeviceTopic::Set),
        ]) {
            assert_eq!(Topic::read(&alloc::string::ToString::to_string(&topic)), Some(topic));
        }
        for foreign in ["doorward", "doorward/door/front", "doorward/door/Front Door/set", "doorward/door/front/set/x", "other/status"] {
            assert_eq!(Topic::read(foreign), None, "{foreign}");
        }
    }

    fn level() -> impl Strategy<Value = &'static str> {
        prop_oneof![Just("a"), Just("b"), Just(""), Just("$x")]
    }

    fn some_topic() -> impl Strategy<Value = String> {
        prop::collection::vec(level(), 1..4).prop_map(|levels| levels.join("/")).prop_filter("not empty", |topic| !topic.is_empty())
    }

    fn some_filter() -> impl Strategy<Value = Filter> {
        let levels = prop::collection::vec(prop_oneof![3 => level(), 2 => Just("+")], 0..4);
        (levels, any::<bool>()).prop_filter_map("a filter", |(mut levels, open)| {
            if open {
                levels.push("#");
            }
            levels.join("/").parse().ok()
        })
    }

    proptest! {
        #[test]
        fn what_is_covered_matches_nothing_else(right in some_filter(), asked in some_filter(), topic in some_topic()) {
            if right.covers(&asked) && asked.matches(&topic) {
                prop_assert!(right.matches(&topic), "{right} covers {asked} but not {topic}");
            }
            if right.matches(&topic) && asked.matches(&topic) {
                prop_assert!(right.meets(&asked), "{right} and {asked} both stand for {topic}");
            }
            if right.covers(&asked) {
                prop_assert!(right.meets(&asked));
            }
        }

        #[test]
        fn whoever_may_subscribe_gets_nothing_that_they_may_not_read(rights in prop::collection::vec(some_filter(), 0..3), asked in some_filter(), topic in some_topic()) {
            let rights = Rights::new(rights);
            if rights.allow_filter(&asked) && asked.matches(&topic) {
                prop_assert!(rights.allow_topic(&topic));
            }
        }
    }
}
