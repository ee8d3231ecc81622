//! Quiet hours: a time of day to another one, across midnight and changes of the clocks.

use doorward_wire::Time;
use jiff::{ToSpan, civil, tz::TimeZone};
use std::{fmt, str::FromStr};

/// `22:00-07:00`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuietHours {
    from: civil::Time,
    to: civil::Time,
}

impl QuietHours {
    /// When the quiet hours of this moment end; `None` when it is not in any.
    ///
    /// A time that a day does not have, because the clocks go forward, is where they go on; of one that it has twice the first
    /// counts. So there is one beginning and one end a day.
    pub fn until(&self, now: Time, zone: &TimeZone) -> Option<Time> {
        let today = now.timestamp().to_zoned(zone.clone()).date();
        [today.yesterday().ok()?, today].into_iter().find_map(|day| {
            let last = if self.from < self.to { day } else { day.checked_add(1.day()).ok()? };
            let at = |day: civil::Date, time| Some(Time::from(day.to_datetime(time).to_zoned(zone.clone()).ok()?.timestamp()));
            let (from, to) = (at(day, self.from)?, at(last, self.to)?);
            (from <= now && now < to).then_some(to)
        })
    }
}

impl FromStr for QuietHours {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("“{text}” is not a time of day to another one, such as 22:00-07:00");
        let (from, to) = text.split_once('-').ok_or_else(wrong)?;
        let (from, to) = (time(from.trim()).ok_or_else(wrong)?, time(to.trim()).ok_or_else(wrong)?);
        if from == to { Err("they must end at another time than they begin".into()) } else { Ok(Self { from, to }) }
    }
}

/// `22:00`
fn time(text: &str) -> Option<civil::Time> {
    let (hour, minute) = text.split_once(':')?;
    let number = |text: &str| text.bytes().all(|digit| digit.is_ascii_digit()).then(|| text.parse().ok())?;
    (hour.len() <= 2 && minute.len() == 2).then(|| civil::Time::new(number(hour)?, number(minute)?, 0, 0).ok())?
}

impl fmt::Display for QuietHours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.from.strftime("%H:%M"), self.to.strftime("%H:%M"))
    }
}

#[cfg(test)]
mod tests {
    use super::QuietHours;
    use jiff::tz::TimeZone;

    /// When the quiet hours of a moment end in Berlin.
    fn until(hours: &str, now: &str) -> Option<String> {
        let hours: QuietHours = hours.parse().unwrap();
        let end = hours.until(now.parse().unwrap(), &TimeZone::get("Europe/Berlin").unwrap());
        end.map(|end| end.to_string().replace(":00.000Z", "Z"))
    }

    #[test]
    fn quiet_hours_last_over_midnight() {
        for (now, end) in [
            ("2026-11-23T20:59:59Z", None),
            ("2026-11-23T21:00:00Z", Some("2026-11-24T06:00Z")),
            ("2026-11-23T23:30:00Z", Some("2026-11-24T06:00Z")),
            ("2026-11-24T05:59:59Z", Some("2026-11-24T06:00Z")),
            ("2026-11-24T06:00:00Z", None),
        ] {
            assert_eq!(until("22:00-07:00", now).as_deref(), end, "{now}");
        }
        assert_eq!(until("13:00-15:00", "2026-11-23T12:30:00Z").as_deref(), Some("2026-11-23T14:00Z"));
        assert_eq!(until("13:00-15:00", "2026-11-23T14:00:00Z"), None);
    }

    /// On 29 March 2026 there is no 02:00 to 03:00, on 25 October 2026 there are two.
    #[test]
    fn quiet_hours_follow_the_clocks() {
        assert_eq!(until("22:00-07:00", "2026-03-28T23:00:00Z").as_deref(), Some("2026-03-29T05:00Z"), "an hour shorter");
        assert_eq!(until("22:00-07:00", "2026-10-24T23:00:00Z").as_deref(), Some("2026-10-25T06:00Z"), "an hour longer");
        assert_eq!(
            until("22:00-02:30", "2026-03-29T00:59:00Z").as_deref(),
            Some("2026-03-29T01:30Z"),
            "what is not there is where it goes on"
        );
        assert_eq!(until("02:30-05:00", "2026-03-29T01:15:00Z"), None, "03:15");
        assert_eq!(until("02:30-05:00", "2026-03-29T01:30:00Z").as_deref(), Some("2026-03-29T03:00Z"), "03:30");
        assert_eq!(until("22:00-02:30", "2026-10-25T00:15:00Z").as_deref(), Some("2026-10-25T00:30Z"), "the first 02:15");
        assert_eq!(until("22:00-02:30", "2026-10-25T01:15:00Z"), None, "the second 02:15");
        assert_eq!(until("02:30-05:00", "2026-10-25T01:15:00Z").as_deref(), Some("2026-10-25T04:00Z"), "it began at the first 02:30");
    }

    #[test]
    fn only_two_times_of_day_are_quiet_hours() {
        for right in ["22:00-07:00", " 7:05 - 8:30 ", "00:00-23:59"] {
            right.parse::<QuietHours>().unwrap_or_else(|error| panic!("{right}: {error}"));
        }
        assert_eq!("7:05 - 08:30".parse::<QuietHours>().unwrap().to_string(), "07:05-08:30");
        for wrong in ["", "22:00", "22-7", "22:00-24:00", "22:00-07:60", "22:00-22:00", "+2:00-07:00", "22:00-07:00-08:00", "22:0-7:00"] {
            wrong.parse::<QuietHours>().unwrap_err();
        }
    }
}
