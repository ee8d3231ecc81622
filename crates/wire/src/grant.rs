//! Rights to open: which doors, when, how often.
//!
//! A grant names [`Doors`] and says on which [`Terms`] they open. Everything that is left out of the terms does not limit
//! anything. Days and hours are those of the door's site.
//!
//! ```
//! use doorward_wire::grant::{Doors, Hours, Terms, Weekday};
//!
//! let cleaner = Terms { weekdays: vec![Weekday::Tuesday], hours: vec!["08:00-12:30".parse().unwrap()], ..Terms::default() };
//! assert_eq!(serde_json::to_string(&cleaner).unwrap(), r#"{"weekdays":["tue"],"hours":["08:00-12:30"]}"#);
//! assert_eq!("site:home".parse(), Ok(Doors::Site("home".into())));
//! assert!("22:00-06:00".parse::<Hours>().unwrap().cross_midnight());
//! ```

use crate::{Time, door::DoorId, words::words};
use alloc::{
    borrow::ToOwned,
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::{fmt, str::FromStr};
use jiff::civil;
use serde::{Deserialize, Serialize};

/// Windows of hours in one grant.
pub const HOURS_MAX: usize = 8;
/// Doors that one grant names.
pub const DOORS_MAX: usize = 64;

/// Which doors a grant covers, as one word: `*`, `site:<id>` or a door's identifier.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Doors {
    /// Every door, also those that come later.
    All,
    /// Every door of a site, also those that come later.
    Site(String),
    /// This door alone.
    One(DoorId),
}

words! {
    /// A day of the week.
    pub enum Weekday {
        /// The first of ISO 8601.
        Monday = "mon",
        /// The second.
        Tuesday = "tue",
        /// The third.
        Wednesday = "wed",
        /// The fourth.
        Thursday = "thu",
        /// The fifth.
        Friday = "fri",
        /// The sixth.
        Saturday = "sat",
        /// The last.
        Sunday = "sun",
    }
}

words! {
    /// What a site's holidays mean to a grant.
    pub enum Holidays {
        /// Nothing: they are days like others.
        AsUsual = "as_usual",
        /// It does not hold on holidays.
        Never = "never",
        /// It holds on holidays alone.
        Only = "only",
    }
}

words! {
    /// What may be asked of the doors of a grant.
    pub enum Actions {
        /// Look and ask for the state.
        Read = "read",
        /// Lock, and nothing else.
        Lock = "lock",
        /// Open, lock and unlock.
        Act = "act",
    }
}

words! {
    /// By which means a right opens a door.
    pub enum Means {
        /// Through doorward: a page, the API, MQTT, the tunnel.
        Remote = "remote",
        /// By radio, at the lock itself.
        Ble = "ble",
        /// By a code that the lock keeps.
        Pin = "pin",
    }
}

words! {
    /// What a person may do beside opening doors, which is by grants.
    pub enum Role {
        /// Everything, at every door.
        Administrator = "administrator",
        /// Sign in, see their doors and what happened there, make passes for them.
        Resident = "resident",
        /// Sign in, see and open their doors.
        Guest = "guest",
        /// Act by tokens alone: a program, a firm.
        Service = "service",
    }
}

words! {
    /// Whether a pass opens anything.
    pub enum PassState {
        /// It does, at its hours.
        Active = "active",
        /// It has not begun.
        NotYet = "not_yet",
        /// It has ended.
        Ended = "ended",
        /// It was used as often as it may be.
        UsedUp = "used_up",
        /// It was taken back.
        Revoked = "revoked",
    }
}

words! {
    /// How a pass stands at a door, by one means.
    pub enum PassDoorState {
        /// It opens the door.
        Set = "set",
        /// The lock was told, and has not confirmed it yet.
        Setting = "setting",
        /// It does not, by this means; the detail says why.
        Cannot = "cannot",
        /// The lock is told to forget it.
        Removing = "removing",
    }
}

/// A window of hours, `08:00-18:00`: from the first minute until just before the second. One that ends before it begins
/// goes on after midnight and belongs to the day on which it began. `24:00` is the end of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hours {
    from: civil::Time,
    until: civil::Time,
}

/// A day on which a site is closed: a date, `2026-12-24`, or one that comes again each year, `12-25`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Holiday {
    year: Option<i16>,
    month: i8,
    day: i8,
}

/// On which terms a grant holds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Terms {
    /// Not before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Time>,
    /// Not at or after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// On these days alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub weekdays: Vec<Weekday>,
    /// At these hours alone: `08:00-18:00`, also across midnight.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub hours: Vec<Hours>,
    /// What a site's holidays mean.
    #[serde(skip_serializing_if = "Holidays::is_usual")]
    pub holidays: Holidays,
    /// It opens so many times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uses: Option<u32>,
    /// A second person must ask for the same within a minute.
    #[serde(skip_serializing_if = "is_false")]
    pub two_person: bool,
    /// Whoever uses it is forced to: it opens as if nothing were, and those who are to know are told.
    #[serde(skip_serializing_if = "is_false")]
    pub duress: bool,
}

/// Why terms make no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TermsError {
    /// The end is not after the beginning.
    #[error("until: must be after from")]
    Backwards,
    /// It never opens.
    #[error("uses: must be at least 1")]
    NoUses,
    /// More windows of hours than are looked at.
    #[error("hours: at most {HOURS_MAX} windows")]
    ManyHours,
}

/// Why a text is not a window of hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a window of hours such as 08:00-18:00, or 22:00-06:00 across midnight")]
pub struct HoursError;

/// Why a text is not a holiday.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a date such as 2026-12-24, or 12-25 for each year")]
pub struct HolidayError;

/// Why a text names no doors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a door, site:<site>, or * for every door")]
pub struct DoorsError;

impl Terms {
    /// Whether the terms make sense.
    pub fn check(&self) -> Result<(), TermsError> {
        if self.from.zip(self.until).is_some_and(|(from, until)| until <= from) {
            return Err(TermsError::Backwards);
        }
        if self.uses == Some(0) {
            return Err(TermsError::NoUses);
        }
        if self.hours.len() > HOURS_MAX {
            return Err(TermsError::ManyHours);
        }
        Ok(())
    }
}

impl Doors {
    /// Whether a door of a site is among them.
    pub fn cover(&self, door: &DoorId, site: &str) -> bool {
        match self {
            Self::All => true,
            Self::Site(own) => own == site,
            Self::One(one) => one == door,
        }
    }
}

impl Hours {
    /// A window; `None` when it would be empty.
    pub fn new(from: civil::Time, until: civil::Time) -> Option<Self> {
        (from != until).then_some(Self { from, until })
    }

    /// When it begins.
    pub const fn from(self) -> civil::Time {
        self.from
    }

    /// When it ends; midnight is the end of the day.
    pub const fn until(self) -> civil::Time {
        self.until
    }

    /// Whether it goes on after midnight.
    pub fn cross_midnight(self) -> bool {
        self.until <= self.from && self.until != civil::Time::midnight()
    }
}

impl Holiday {
    /// Whether this date is one.
    pub fn is(self, date: civil::Date) -> bool {
        (self.month, self.day) == (date.month(), date.day()) && self.year.is_none_or(|year| year == date.year())
    }
}

impl Weekday {
    /// The day of a date.
    pub fn of(date: civil::Date) -> Self {
        match date.weekday() {
            civil::Weekday::Monday => Self::Monday,
            civil::Weekday::Tuesday => Self::Tuesday,
            civil::Weekday::Wednesday => Self::Wednesday,
            civil::Weekday::Thursday => Self::Thursday,
            civil::Weekday::Friday => Self::Friday,
            civil::Weekday::Saturday => Self::Saturday,
            civil::Weekday::Sunday => Self::Sunday,
        }
    }
}

impl Holidays {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
    const fn is_usual(&self) -> bool {
        matches!(self, Self::AsUsual)
    }
}

#[expect(clippy::derivable_impls, reason = "the macro that declares the words knows no default")]
impl Default for Holidays {
    fn default() -> Self {
        Self::AsUsual
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
const fn is_false(value: &bool) -> bool {
    !*value
}

impl fmt::Display for Doors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.pad("*"),
            Self::Site(site) => f.pad(&format!("site:{site}")),
            Self::One(door) => f.pad(door.as_str()),
        }
    }
}

impl FromStr for Doors {
    type Err = DoorsError;
    fn from_str(text: &str) -> Result<Self, DoorsError> {
        match text.strip_prefix("site:") {
            _ if text == "*" => Ok(Self::All),
            // A site's identifier has the shape of a door's.
            Some(site) => site.parse::<DoorId>().map(|_| Self::Site(site.to_owned())).map_err(|_| DoorsError),
            None => text.parse().map(Self::One).map_err(|_| DoorsError),
        }
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, until) = (self.from, self.until);
        let end = if until == civil::Time::midnight() { 24 } else { until.hour() };
        f.pad(&format!("{:02}:{:02}-{end:02}:{:02}", from.hour(), from.minute(), until.minute()))
    }
}

impl FromStr for Hours {
    type Err = HoursError;
    fn from_str(text: &str) -> Result<Self, HoursError> {
        let (from, until) = text.split_once('-').ok_or(HoursError)?;
        let until = until.trim();
        let until = if until == "24:00" { civil::Time::midnight() } else { minute(until)? };
        Self::new(minute(from.trim())?, until).ok_or(HoursError)
    }
}

impl fmt::Display for Holiday {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.year {
            Some(year) => f.pad(&format!("{year:04}-{:02}-{:02}", self.month, self.day)),
            None => f.pad(&format!("{:02}-{:02}", self.month, self.day)),
        }
    }
}

impl FromStr for Holiday {
    type Err = HolidayError;
    fn from_str(text: &str) -> Result<Self, HolidayError> {
        // A leap year has every day that comes again.
        let each_year = text.len() == 5;
        let date = if each_year { format!("2024-{text}") } else { text.to_owned() };
        let date: civil::Date = date.parse().map_err(|_| HolidayError)?;
        if !each_year && text.len() != 10 {
            return Err(HolidayError);
        }
        Ok(Self { year: (!each_year).then(|| date.year()), month: date.month(), day: date.day() })
    }
}

fn minute(text: &str) -> Result<civil::Time, HoursError> {
    let (hour, minute) = text.split_once(':').ok_or(HoursError)?;
    let digits = |text: &str| (text.len() <= 2 && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten();
    let (Some(hour), Some(minute)) = (digits(hour), digits(minute)) else { return Err(HoursError) };
    civil::Time::new(hour, minute, 0, 0).map_err(|_| HoursError)
}

macro_rules! as_text {
    ($($name:ident),+) => {$(
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.to_string())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <alloc::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )+};
}
as_text!(Doors, Holiday, Hours);

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn hours_are_read_and_written() {
        for (text, written, crosses) in [
            ("08:00-18:00", "08:00-18:00", false),
            ("8:05 - 9:30", "08:05-09:30", false),
            ("22:00-06:00", "22:00-06:00", true),
            ("18:00-24:00", "18:00-24:00", false),
            ("18:00-00:00", "18:00-24:00", false),
            ("00:00-24:00", "", false),
        ] {
            match text.parse::<Hours>() {
                Ok(hours) => assert_eq!((hours.to_string().as_str(), hours.cross_midnight()), (written, crosses)),
                Err(error) => assert_eq!((written, error), ("", HoursError), "a whole day is no window: leave it out"),
            }
        }
        for wrong in ["", "8-9", "08:00", "08:00-08:00", "25:00-26:00", "08:60-09:00", "-1:00-2:00", "+8:00-9:00", "008:00-9:00"] {
            wrong.parse::<Hours>().unwrap_err();
        }
    }

    #[test]
    fn holidays_come_once_or_each_year() {
        let date = |text: &str| text.parse::<civil::Date>().unwrap();
        let (once, yearly): (Holiday, Holiday) = ("2026-12-24".parse().unwrap(), "12-25".parse().unwrap());
        assert!(once.is(date("2026-12-24")) && !once.is(date("2027-12-24")));
        assert!(yearly.is(date("2026-12-25")) && yearly.is(date("2027-12-25")) && !yearly.is(date("2026-12-24")));
        assert_eq!((once.to_string().as_str(), yearly.to_string().as_str()), ("2026-12-24", "12-25"));
        assert!("02-29".parse::<Holiday>().is_ok());
        for wrong in ["", "2026-02-30", "13-01", "1-1", "20261224", "2026-12-24T00", "-2026-12-2"] {
            wrong.parse::<Holiday>().unwrap_err();
        }
    }

    #[test]
    fn doors_are_one_word() {
        for text in ["*", "site:home", "front_door"] {
            assert_eq!(text.parse::<Doors>().unwrap().to_string(), text);
        }
        for wrong in ["", "site:", "site:My home", "Front door", "**"] {
            wrong.parse::<Doors>().unwrap_err();
        }
    }

    #[test]
    fn terms_that_make_no_sense_are_refused() {
        let at = |text: &str| Some(text.parse().unwrap());
        let backwards = Terms { from: at("2026-11-24T00:00:00Z"), until: at("2026-11-24T00:00:00Z"), ..Terms::default() };
        assert_eq!(backwards.check(), Err(TermsError::Backwards));
        assert_eq!(Terms { uses: Some(0), ..Terms::default() }.check(), Err(TermsError::NoUses));
        let window: Hours = "08:00-09:00".parse().unwrap();
        assert_eq!(Terms { hours: vec![window; 9], ..Terms::default() }.check(), Err(TermsError::ManyHours));
        serde_json::from_str::<Terms>(r#"{"weekday":["mon"]}"#).unwrap_err();
    }
}
