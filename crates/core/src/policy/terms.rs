//! Whether a grant holds now: its period, days, hours, holidays and uses, in the time zone of the door.

use super::{Actions, Grant, Place};
use doorward_wire::{
    Time,
    attempt::{ActionWord, Reason},
    grant::{Holiday, Holidays, Terms, Weekday},
};
use jiff::{Zoned, civil, tz::TimeZone};
use std::fmt::Write as _;

/// What one grant says.
pub(super) struct Verdict {
    /// Why not, if not.
    pub(super) denied: Option<Reason>,
    /// The same in words.
    pub(super) text: String,
}

impl Verdict {
    pub(super) const fn no(reason: Reason, text: String) -> Self {
        Self { denied: Some(reason), text }
    }
}

/// What a grant that covers the door and the action says at this moment.
pub(super) fn judge(grant: &Grant, place: Place<'_>, action: ActionWord, at: Time) -> Verdict {
    let (source, terms) = (&grant.source, &grant.terms);
    let zone = zone(place.time_zone);
    let shown = |time: Time| time.timestamp().to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M").to_string();
    if let Some(revoked) = grant.revoked {
        return Verdict::no(Reason::Revoked, format!("{source} was taken back at {}", shown(revoked)));
    }
    if let Some(until) = terms.until.filter(|until| *until <= at) {
        return Verdict::no(Reason::Expired, format!("{source} ended at {}", shown(until)));
    }
    if let Some(from) = terms.from.filter(|from| at < *from) {
        return Verdict::no(Reason::NotYet, format!("{source} begins at {}", shown(from)));
    }
    // Locking up and looking are not counted.
    if let Some(uses) = terms.uses.filter(|uses| action.opens() && grant.used >= *uses) {
        return Verdict::no(Reason::UsesExhausted, format!("{source} was used {} of {uses} times", grant.used));
    }
    let here = at.timestamp().to_zoned(zone);
    if !holds_at(terms, place.holidays, &here) {
        return Verdict::no(Reason::OutOfHours, format!("{source} holds {}; it is {} there", schedule(terms), clock(&here)));
    }
    let mut text = format!("{source} allows {action} at door {}", place.door);
    if let Some(uses) = terms.uses.filter(|_| action.opens()) {
        let _ = write!(text, ", {} of {uses} times left", uses.saturating_sub(grant.used));
    }
    if terms.two_person && action.opens() {
        text.push_str(", together with a second person within a minute");
    }
    Verdict { denied: None, text }
}

/// Whether days, hours and holidays hold at this moment. What began before midnight belongs to the day before.
fn holds_at(terms: &Terms, holidays: &[Holiday], here: &Zoned) -> bool {
    let today = here.date();
    if terms.hours.is_empty() {
        return day_holds(terms, holidays, today);
    }
    let time = here.time();
    terms.hours.iter().any(|hours| {
        let ends_today = hours.until() == civil::Time::midnight();
        if !hours.cross_midnight() {
            return hours.from() <= time && (ends_today || time < hours.until()) && day_holds(terms, holidays, today);
        }
        let yesterday = today.yesterday().unwrap_or(today);
        hours.from() <= time && day_holds(terms, holidays, today) || time < hours.until() && day_holds(terms, holidays, yesterday)
    })
}

fn day_holds(terms: &Terms, holidays: &[Holiday], date: civil::Date) -> bool {
    let holiday = holidays.iter().any(|holiday| holiday.is(date));
    let weekday = terms.weekdays.is_empty() || terms.weekdays.contains(&Weekday::of(date));
    match terms.holidays {
        Holidays::AsUsual => weekday,
        Holidays::Never => weekday && !holiday,
        Holidays::Only => weekday && holiday,
    }
}

/// The reason that is mended by waiting comes before one that needs somebody else.
pub(super) const fn rank(reason: Reason) -> u8 {
    #[expect(clippy::wildcard_enum_match_arm, reason = "grants have no other reasons")]
    match reason {
        Reason::OutOfHours => 5,
        Reason::NotYet => 4,
        Reason::UsesExhausted => 3,
        Reason::Expired => 2,
        Reason::Revoked => 1,
        _ => 0,
    }
}

/// What may be asked, in words.
pub(super) const fn allowed(actions: Actions) -> &'static str {
    match actions {
        Actions::Read => "looking",
        Actions::Lock => "locking",
        Actions::Act => "everything",
    }
}

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap_or(TimeZone::UTC)
}

fn clock(here: &Zoned) -> String {
    format!("{} {}", Weekday::of(here.date()), here.strftime("%H:%M"))
}

/// When a grant holds, in words.
fn schedule(terms: &Terms) -> String {
    let mut parts = Vec::new();
    if !terms.weekdays.is_empty() {
        parts.push(terms.weekdays.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
    }
    if !terms.hours.is_empty() {
        parts.push(terms.hours.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
    }
    match terms.holidays {
        Holidays::AsUsual => {}
        Holidays::Never => parts.push("not on holidays".into()),
        Holidays::Only => parts.push("on holidays alone".into()),
    }
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::*;
    use doorward_wire::grant::{Holidays, Hours};

    const BERLIN: &str = "Europe/Berlin";

    fn grant(terms: Terms) -> Grant {
        Grant { id: Some("g".into()), terms, ..Grant::standing("grant", vec![Doors::All], Actions::Act) }
    }

    fn hours(text: &str) -> Vec<Hours> {
        text.split(' ').map(|hours| hours.parse().unwrap()).collect()
    }

    fn days(text: &str) -> Vec<doorward_wire::grant::Weekday> {
        text.split_whitespace().map(|day| day.parse().unwrap()).collect()
    }

    fn ask(grant: &Grant, zone: &str, holidays: &[Holiday], at: &str) -> Result<(), Reason> {
        let door = "gate".parse().unwrap();
        let place = Place { door: &door, site: "home", time_zone: zone, holidays };
        let decision = decide(&Rights::of(vec![grant.clone()]), place, ActionWord::Open, at.parse().unwrap());
        decision.denied.map_or(Ok(()), Err)
    }

    #[test]
    fn a_period_begins_and_ends_to_the_moment() {
        let time = |text: &str| Some(text.parse().unwrap());
        let grant = grant(Terms { from: time("2026-11-24T08:00:00Z"), until: time("2026-11-24T10:00:00Z"), ..Terms::default() });
        for (at, answer) in [
            ("2026-11-24T07:59:59.999Z", Err(Reason::NotYet)),
            ("2026-11-24T08:00:00Z", Ok(())),
            ("2026-11-24T09:59:59.999Z", Ok(())),
            ("2026-11-24T10:00:00Z", Err(Reason::Expired)),
        ] {
            assert_eq!(ask(&grant, BERLIN, &[], at), answer, "{at}");
        }
    }

    #[test]
    fn hours_are_those_of_the_door() {
        let grant = grant(Terms { hours: hours("08:00-18:00"), weekdays: days("mon tue wed thu fri"), ..Terms::default() });
        // A Tuesday in winter: Berlin is an hour ahead of UTC.
        for (zone, at, answer) in [
            (BERLIN, "2026-11-24T06:59:59Z", Err(Reason::OutOfHours)),
            (BERLIN, "2026-11-24T07:00:00Z", Ok(())),
            (BERLIN, "2026-11-24T16:59:59Z", Ok(())),
            (BERLIN, "2026-11-24T17:00:00Z", Err(Reason::OutOfHours)),
            ("Asia/Tokyo", "2026-11-24T07:00:00Z", Ok(())),
            ("Asia/Tokyo", "2026-11-24T09:30:00Z", Err(Reason::OutOfHours)),
            // Friday afternoon in Berlin is Saturday in Auckland.
            ("Pacific/Auckland", "2026-11-27T14:00:00Z", Err(Reason::OutOfHours)),
            (BERLIN, "2026-11-28T09:00:00Z", Err(Reason::OutOfHours)),
            ("", "2026-11-24T08:00:00Z", Ok(())),
        ] {
            assert_eq!(ask(&grant, zone, &[], at), answer, "{zone} {at}");
        }
    }

    #[test]
    fn what_goes_on_after_midnight_belongs_to_the_day_before() {
        let grant = grant(Terms { hours: hours("22:00-06:00"), weekdays: days("fri"), ..Terms::default() });
        for (at, answer) in [
            ("2026-11-27T20:59:00Z", Err(Reason::OutOfHours)),
            ("2026-11-27T21:00:00Z", Ok(())),
            ("2026-11-27T23:30:00Z", Ok(())),
            ("2026-11-28T04:59:00Z", Ok(())),
            ("2026-11-28T05:00:00Z", Err(Reason::OutOfHours)),
            // Saturday evening, and the morning of Friday, which belongs to Thursday.
            ("2026-11-28T21:30:00Z", Err(Reason::OutOfHours)),
            ("2026-11-27T03:00:00Z", Err(Reason::OutOfHours)),
        ] {
            assert_eq!(ask(&grant, BERLIN, &[], at), answer, "{at}");
        }
        let holiday = ["2026-11-28".parse().unwrap()];
        let never = Grant { terms: Terms { holidays: Holidays::Never, ..grant.terms.clone() }, ..grant };
        assert_eq!(ask(&never, BERLIN, &holiday, "2026-11-28T03:00:00Z"), Ok(()), "it began on Friday, which is none");
    }

    #[test]
    fn an_hour_that_a_change_of_clocks_skips_opens_nothing_and_one_that_comes_twice_opens_twice() {
        let grant = grant(Terms { hours: hours("02:00-03:00"), ..Terms::default() });
        // 2027-03-28: 01:59:59 CET is followed by 03:00:00 CEST.
        assert_eq!(ask(&grant, BERLIN, &[], "2027-03-28T00:59:59Z"), Err(Reason::OutOfHours));
        assert_eq!(ask(&grant, BERLIN, &[], "2027-03-28T01:00:00Z"), Err(Reason::OutOfHours));
        // 2026-10-25: 02:30 comes at 00:30 UTC and again at 01:30 UTC.
        assert_eq!(ask(&grant, BERLIN, &[], "2026-10-25T00:30:00Z"), Ok(()));
        assert_eq!(ask(&grant, BERLIN, &[], "2026-10-25T01:30:00Z"), Ok(()));
        assert_eq!(ask(&grant, BERLIN, &[], "2026-10-25T02:00:00Z"), Err(Reason::OutOfHours));
        let night = Grant { terms: Terms { hours: hours("22:00-06:00"), ..Terms::default() }, ..grant };
        assert_eq!(ask(&night, BERLIN, &[], "2027-03-28T03:59:59Z"), Ok(()), "the short night ends at six, too");
        assert_eq!(ask(&night, BERLIN, &[], "2027-03-28T04:00:00Z"), Err(Reason::OutOfHours));
    }

    #[test]
    fn holidays_close_open_or_change_nothing() {
        let holidays: [Holiday; 2] = ["12-25".parse().unwrap(), "2026-11-24".parse().unwrap()];
        let on = |holidays_mean| grant(Terms { holidays: holidays_mean, ..Terms::default() });
        for (at, holiday) in [("2026-11-24T12:00:00Z", true), ("2027-11-24T12:00:00Z", false), ("2030-12-25T12:00:00Z", true)] {
            assert_eq!(ask(&on(Holidays::AsUsual), BERLIN, &holidays, at), Ok(()));
            assert_eq!(ask(&on(Holidays::Never), BERLIN, &holidays, at).is_err(), holiday, "{at}");
            assert_eq!(ask(&on(Holidays::Only), BERLIN, &holidays, at).is_ok(), holiday, "{at}");
        }
        // The holiday begins at midnight of the door, not of Greenwich.
        assert!(ask(&on(Holidays::Never), BERLIN, &holidays, "2026-11-23T23:30:00Z").is_err());
        assert!(ask(&on(Holidays::Never), BERLIN, &holidays, "2026-11-24T23:30:00Z").is_ok());
    }

    #[test]
    fn a_grant_opens_as_often_as_it_says_and_still_locks() {
        let spent = Grant { used: 2, ..grant(Terms { uses: Some(2), ..Terms::default() }) };
        assert_eq!(ask(&spent, BERLIN, &[], "2026-11-24T12:00:00Z"), Err(Reason::UsesExhausted));
        let door = "gate".parse().unwrap();
        let place = Place { door: &door, site: "home", time_zone: BERLIN, holidays: &[] };
        assert!(decide(&Rights::of(vec![spent]), place, ActionWord::Lock, Time::default()).allowed);
    }

    #[test]
    fn a_grant_that_was_taken_back_opens_nothing() {
        let taken = Grant { revoked: Some("2026-11-24T11:00:00Z".parse().unwrap()), ..grant(Terms::default()) };
        assert_eq!(ask(&taken, BERLIN, &[], "2026-11-24T12:00:00Z"), Err(Reason::Revoked));
    }

    #[test]
    fn the_first_thing_to_mend_is_told() {
        let door = "gate".parse().unwrap();
        let place = Place { door: &door, site: "home", time_zone: BERLIN, holidays: &[] };
        let ended = grant(Terms { until: Some("2026-01-01T00:00:00Z".parse().unwrap()), ..Terms::default() });
        let closed = grant(Terms { hours: hours("08:00-09:00"), ..Terms::default() });
        let elsewhere = Grant::standing("scope", vec![Doors::One("cellar".parse().unwrap())], Actions::Act);
        let decision =
            decide(&Rights::of(vec![elsewhere, closed, ended]), place, ActionWord::Open, "2026-11-24T12:00:00Z".parse().unwrap());
        assert_eq!(decision.denied, Some(Reason::OutOfHours));
        assert_eq!(decision.reasons[0], "scope does not cover door gate");
        assert_eq!(decision.reasons[1], "grant holds 08:00-09:00; it is tue 13:00 there");
        assert_eq!(decision.reasons[2], "grant ended at 2026-01-01 01:00");
    }
}
