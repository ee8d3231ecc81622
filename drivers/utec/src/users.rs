//! PIN codes: people at the lock, in the vendor's words `st.lockUser`.
//!
//! A person is `{name, type, password, daterange, weeks, timerange, limit}`. Times are the lock's own, without a zone,
//! so the zone must be known from the settings and is never guessed. The password travels as a number, so it cannot
//! begin with a zero. A list shows neither passwords nor schedules; those of codes made here are remembered.

use crate::states;
use doorward_core::driver::Fault;
use doorward_wire::{
    Time,
    attempt::Reason,
    code::{Code, CodeKind, CodeSchedule, CodeState, CodeWish},
};
use jiff::{civil, tz::TimeZone};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// The capability.
pub(crate) const LOCK_USER: &str = "st.lockUser";
/// How long a new code is shown while its lock does not list it. A lock that is out of reach that long has not taken it.
const PATIENCE: Duration = Duration::from_hours(1);
/// Weekdays as they are numbered by the vendor, from 0.
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
/// The end of a code that nobody gave one: the vendor wants an end for every temporary code.
const NO_END: &str = "2099-12-31 23:59";

/// A time zone by its IANA name, if it is known.
pub(crate) fn zone(name: &str) -> Option<TimeZone> {
    TimeZone::get(name.trim()).ok().filter(|zone| !zone.is_unknown())
}

fn refuse(person: impl Into<String>) -> Fault {
    let person = person.into();
    Fault::refused(person.clone(), person).because(Reason::BadRequest)
}

/// The fields that a wish comes to, or what is wrong with it. `new` asks for everything that a new code needs.
pub(crate) fn fields(wish: &CodeWish, new: bool, zone_name: &str, now: Time) -> Result<Map<String, Value>, Fault> {
    let mut fields = Map::new();
    if let Some(name) = &wish.name {
        fields.insert("name".into(), json!(checked_name(name)?));
    } else if new {
        return Err(refuse("Say who the code is for: 1 to 32 characters."));
    }
    if let Some(pin) = &wish.pin {
        fields.insert("password".into(), json!(checked_pin(pin)?));
    } else if new {
        return Err(refuse("Give a code of 4 to 8 digits."));
    }
    let kind = match (wish.kind, &wish.schedule) {
        (Some(CodeKind::Normal | CodeKind::Admin), Some(_)) => {
            return Err(refuse("Only a temporary code can have a schedule. Choose temporary, or leave the schedule out."));
        }
        (Some(CodeKind::Temporary), None) => {
            return Err(refuse("A temporary code needs a schedule: from and until, weekdays, hours or uses."));
        }
        (kind, Some(_)) => kind.or(Some(CodeKind::Temporary)),
        (kind, None) => kind.or(new.then_some(CodeKind::Normal)),
    };
    if let Some(kind) = kind {
        fields.insert("type".into(), json!(type_number(kind)));
    }
    if let Some(schedule) = &wish.schedule {
        fields.extend(schedule_fields(schedule, zone_name, now)?);
    }
    if fields.is_empty() {
        return Err(refuse("Nothing was asked to be changed."));
    }
    Ok(fields)
}

fn checked_name(name: &str) -> Result<&str, Fault> {
    let name = name.trim();
    if (1..=32).contains(&name.chars().count()) && !name.chars().any(char::is_control) {
        return Ok(name);
    }
    Err(refuse("The name of a code has 1 to 32 characters."))
}

fn checked_pin(pin: &str) -> Result<u32, Fault> {
    if !(4..=8).contains(&pin.len()) || !pin.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(refuse("A code has 4 to 8 digits."));
    }
    if pin.starts_with('0') {
        return Err(refuse("A code at these locks cannot begin with 0. Choose another first digit."));
    }
    pin.parse().map_err(|_| refuse("A code has 4 to 8 digits."))
}

/// The vendor's numbers (documented 0, 2 and 3).
const fn type_number(kind: CodeKind) -> u8 {
    match kind {
        CodeKind::Normal => 0,
        CodeKind::Temporary => 2,
        CodeKind::Admin => 3,
    }
}

/// Locks in the field also list their owner as 1.
pub(crate) fn kind_of(user: &Value) -> CodeKind {
    match number(user.get("type")) {
        Some(2) => CodeKind::Temporary,
        Some(1 | 3) => CodeKind::Admin,
        _ => CodeKind::Normal,
    }
}

fn schedule_fields(schedule: &CodeSchedule, zone_name: &str, now: Time) -> Result<Map<String, Value>, Fault> {
    let Some(zone) = zone(zone_name) else {
        return Err(refuse(
            "The time zone of this lock is not known. Set the time zone of its site, such as Europe/Berlin, and try again.",
        ));
    };
    let local = zone.to_datetime(now.timestamp());
    let from = schedule.from.as_deref().map(moment).transpose()?;
    let until = schedule.until.as_deref().map(moment).transpose()?;
    if until.is_some_and(|until| until <= local) {
        return Err(refuse("The end of the code's time is past."));
    }
    let from = from.unwrap_or(local);
    if until.is_some_and(|until| until <= from) {
        return Err(refuse("The code's time ends before it begins."));
    }
    let write = |at: civil::DateTime| at.strftime("%Y-%m-%d %H:%M").to_string();
    let until = until.map_or_else(|| NO_END.to_owned(), write);
    let weeks = weekdays(&schedule.weekdays)?;
    let (begin, end) = schedule.hours.as_deref().map_or(Ok(("00:00".into(), "23:59".into())), hours)?;
    let limit = match schedule.uses {
        Some(0) => return Err(refuse("A code that opens no times is of no use. Give 1 or more uses, or leave them out.")),
        uses => uses.unwrap_or(0),
    };
    let fields = json!({ "daterange": [write(from), until], "weeks": weeks, "timerange": [begin, end], "limit": limit });
    Ok(fields.as_object().cloned().unwrap_or_default())
}

/// A moment of the lock's own clock: `2026-11-23T15:00`. One with a zone is not taken, since it would be dropped.
fn moment(text: &str) -> Result<civil::DateTime, Fault> {
    let text = text.trim().replace(' ', "T");
    let wrong = || refuse(format!("“{text}” is not a local time such as 2026-11-23T15:00."));
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    if !matches!(shape.as_str(), "0000-00-00T00:00" | "0000-00-00T00:00:00") {
        return Err(wrong());
    }
    text.parse().map_err(|_| wrong())
}

fn weekdays(words: &[String]) -> Result<BTreeSet<usize>, Fault> {
    if words.is_empty() {
        return Ok((0..7).collect());
    }
    let day = |word: &String| WEEKDAYS.iter().position(|day| day.eq_ignore_ascii_case(word.trim()));
    words
        .iter()
        .map(|word| day(word).ok_or_else(|| refuse(format!("“{word}” is not a weekday; write mon, tue, wed, thu, fri, sat or sun."))))
        .collect()
}

fn hours(text: &str) -> Result<(String, String), Fault> {
    let wrong = || refuse("Hours are written like 08:00-18:00.");
    let (begin, end) = text.split_once('-').ok_or_else(wrong)?;
    let time = |text: &str| -> Result<civil::Time, Fault> {
        let text = text.trim();
        let digits =
            text.len() == 5 && text.bytes().enumerate().all(|(at, byte)| if at == 2 { byte == b':' } else { byte.is_ascii_digit() });
        if digits { format!("{text}:00").parse().map_err(|_| wrong()) } else { Err(wrong()) }
    };
    let (begin, end) = (time(begin)?, time(end)?);
    if end <= begin {
        return Err(refuse("The hours of a code must begin and end on the same day, such as 08:00-18:00."));
    }
    Ok((begin.strftime("%H:%M").to_string(), end.strftime("%H:%M").to_string()))
}

fn number(value: Option<&Value>) -> Option<u64> {
    value.and_then(|value| value.as_u64().or_else(|| value.as_str()?.trim().parse().ok()))
}

/// The people of an answer to `list`, wherever it puts them.
pub(crate) fn listed<'a>(answer: &'a Value, device: &str) -> Option<&'a Vec<Value>> {
    let device = states::device(answer, device).or_else(|| states::devices(answer).first());
    let places = [
        device.and_then(|device| device.get("users")),
        answer.get("payload").and_then(|payload| payload.get("users")),
        answer.get("users"),
    ];
    places.into_iter().flatten().find_map(Value::as_array)
}

/// The identifier of a person, as text.
pub(crate) fn user_id(user: &Value) -> Option<String> {
    match user.get("id")? {
        Value::String(id) if !id.is_empty() => Some(id.clone()),
        Value::Number(id) => Some(id.to_string()),
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// What doorward knows about codes that the locks do not tell: by lock.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Book(BTreeMap<String, Page>);

#[derive(Debug, Default, Serialize, Deserialize)]
struct Page {
    /// Deletion was sent.
    #[serde(default)]
    removing: BTreeSet<String>,
    /// Codes made or changed here, for their schedules.
    #[serde(default)]
    made: BTreeMap<String, Code>,
    /// Sent, and not listed yet.
    #[serde(default)]
    setting: Vec<Waiting>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Waiting {
    code: Code,
    since: Time,
}

impl Book {
    /// The codes of a lock, and whether the book has changed on the way.
    pub(crate) fn read(&mut self, lock: &str, users: &[Value], now: Time) -> (Vec<Code>, bool) {
        let page = self.0.entry(lock.to_owned()).or_default();
        let before = (page.removing.len(), page.made.len(), page.setting.len());
        let ids: BTreeSet<String> = users.iter().filter_map(user_id).collect();
        page.removing.retain(|id| ids.contains(id));
        page.made.retain(|id, _| ids.contains(id));
        let mut codes: Vec<Code> = users.iter().filter_map(|user| page.code(user)).collect();
        page.setting.retain(|waiting| now.since(waiting.since) < PATIENCE);
        codes.extend(page.setting.iter().map(|waiting| waiting.code.clone()));
        let changed = before != (page.removing.len(), page.made.len(), page.setting.len());
        (codes, changed)
    }

    /// A code was sent to a lock.
    pub(crate) fn sent(&mut self, lock: &str, code: Code, since: Time) {
        self.0.entry(lock.to_owned()).or_default().setting.push(Waiting { code, since });
    }

    /// A code was changed.
    pub(crate) fn changed(&mut self, lock: &str, code: Code) {
        self.0.entry(lock.to_owned()).or_default().made.insert(code.id.clone(), code);
    }

    /// Deletion of a code was sent.
    pub(crate) fn removed(&mut self, lock: &str, id: &str) {
        self.0.entry(lock.to_owned()).or_default().removing.insert(id.to_owned());
    }

    /// Whether deletion of a code was sent.
    pub(crate) fn is_removing(&self, lock: &str, id: &str) -> bool {
        self.0.get(lock).is_some_and(|page| page.removing.contains(id))
    }
}

impl Page {
    fn code(&mut self, user: &Value) -> Option<Code> {
        let id = user_id(user)?;
        let name = user.get("name").and_then(Value::as_str).unwrap_or(&id).to_owned();
        // A code that was sent gets its identifier from the lock.
        if !self.made.contains_key(&id)
            && let Some(at) = self.setting.iter().position(|waiting| waiting.code.name == name)
        {
            let waiting = self.setting.remove(at);
            self.made.insert(id.clone(), Code { id: id.clone(), ..waiting.code });
        }
        let synced = number(user.get("sync_status")) != Some(0);
        let state = match (self.removing.contains(&id), synced) {
            (true, _) => CodeState::Removing,
            // The cloud has it, the lock does not know yet.
            (false, false) if number(user.get("status")) == Some(0) => CodeState::Removing,
            (false, false) => CodeState::Setting,
            (false, true) => CodeState::Set,
        };
        let schedule = self.made.get(&id).and_then(|code| code.schedule.clone());
        Some(Code { id, name, kind: kind_of(user), state, schedule })
    }
}
