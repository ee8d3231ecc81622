//! Doors and terms as a form: for rights of people and for passes.

use super::{
    events::Choice,
    scene::Scene,
    shell::fragment,
    texts::{EN, Texts},
};
use crate::{ApiError, ApiResult};
use askama::Template;
use doorward_wire::{
    Time,
    grant::{Doors, Holidays, Terms, Weekday},
};
use jiff::{civil, tz::TimeZone};
use std::collections::BTreeMap;

/// What a form with ticks sends.
pub(super) type Fields = BTreeMap<String, String>;

/// Before the doors that are ticked.
const DOOR: &str = "door:";
/// Before the days that are ticked.
const DAY: &str = "day:";

#[derive(Template)]
#[template(path = "_doors_fields.html")]
struct DoorsFields {
    t: &'static Texts,
    legend: &'static str,
    choices: Vec<Choice>,
}

#[derive(Template)]
#[template(path = "_terms_fields.html")]
struct TermsFields {
    t: &'static Texts,
    from: String,
    until: String,
    days: Vec<Choice>,
    hours: String,
    holidays: Vec<Choice>,
    uses: String,
    two_person: bool,
    duress: bool,
}

/// Fields for the doors that the visitor may give.
pub(super) fn doors(scene: &Scene, legend: &'static str, chosen: &[Doors]) -> String {
    let board = scene.doors();
    let site_of = |door: &doorward_wire::door::DoorId| board.iter().find(|own| own.id == *door).map(|own| own.site.clone());
    let may_give = |doors: &Doors| scene.is_administrator() || scene.caller.rights.give(doors, site_of, scene.now);
    let sites = scene.sites().iter().filter(|site| scene.sites().len() > 1 && board.iter().any(|door| door.site == site.id));
    let mut all = vec![(Doors::All, scene.t.people.every_door.to_owned())];
    all.extend(sites.map(|site| (Doors::Site(site.id.clone()), format!("{} {}", scene.t.people.every_door_of, site.name))));
    all.extend(board.iter().map(|door| (Doors::One(door.id.clone()), door.name.clone())));
    all.retain(|(doors, _)| may_give(doors));
    let alone = all.len() == 1;
    let choice = |(doors, label): (Doors, String)| Choice { on: alone || chosen.contains(&doors), value: format!("{DOOR}{doors}"), label };
    fragment(&DoorsFields { t: scene.t, legend, choices: all.into_iter().map(choice).collect() })
}

/// Fields for terms.
pub(super) fn terms(scene: &Scene, terms: &Terms) -> String {
    let zone = scene.zone(None);
    let at = |time: Option<Time>| time.map_or_else(String::new, |time| local(time, &zone));
    let days = Weekday::ALL.iter().map(|day| Choice {
        value: format!("{DAY}{day}"),
        label: scene.t.day_short(*day).into(),
        on: terms.weekdays.contains(day),
    });
    let holidays = Holidays::ALL.iter().map(|mean| Choice {
        value: mean.to_string(),
        label: scene.t.holidays_mean(*mean).into(),
        on: terms.holidays == *mean,
    });
    fragment(&TermsFields {
        t: scene.t,
        from: at(terms.from),
        until: at(terms.until),
        days: days.collect(),
        hours: terms.hours.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        holidays: holidays.collect(),
        uses: terms.uses.map_or_else(String::new, |uses| uses.to_string()),
        two_person: terms.two_person,
        duress: terms.duress,
    })
}

/// The doors of a form.
pub(super) fn read_doors(form: &Fields) -> Vec<Doors> {
    let doors: Vec<Doors> = form.keys().filter_map(|key| key.strip_prefix(DOOR)?.parse().ok()).collect();
    if doors.contains(&Doors::All) { vec![Doors::All] } else { doors }
}

/// The terms of a form.
pub(super) fn read_terms(scene: &Scene, form: &Fields) -> ApiResult<Terms> {
    let zone = scene.zone(None);
    let text = |key: &str| form.get(key).map_or("", |text| text.trim());
    let wrong = |label: &str, text: &str| ApiError::Unprocessable(format!("{label}: “{text}” cannot be read."));
    let time = |key: &str, label: &str| match text(key) {
        "" => Ok(None),
        given => moment(given, &zone).map(Some).ok_or_else(|| wrong(label, given)),
    };
    let hours = text("hours").split(',').map(str::trim).filter(|hours| !hours.is_empty());
    let hours = hours.map(|given| given.parse().map_err(|error| ApiError::Unprocessable(format!("{}: {error}.", EN.people.hours))));
    let uses = match text("uses") {
        "" => None,
        given => Some(given.parse().map_err(|_| wrong(EN.people.uses, given))?),
    };
    Ok(Terms {
        from: time("from", EN.people.from)?,
        until: time("until", EN.people.until)?,
        weekdays: form.keys().filter_map(|key| key.strip_prefix(DAY)?.parse().ok()).collect(),
        hours: hours.collect::<ApiResult<_>>()?,
        holidays: text("holidays").parse().unwrap_or_default(),
        uses,
        two_person: form.contains_key("two_person"),
        duress: form.contains_key("duress"),
    })
}

/// A moment as the fields of browsers write it: the time of the house, without a zone.
fn moment(text: &str, zone: &TimeZone) -> Option<Time> {
    let local: civil::DateTime = text.parse().ok()?;
    Some(local.to_zoned(zone.clone()).ok()?.timestamp().into())
}

fn local(time: Time, zone: &TimeZone) -> String {
    time.timestamp().to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M").to_string()
}
