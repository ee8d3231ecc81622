//! The people of one lock: who has a code, and when a change has reached the lock.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// The id that the first person added to a lock gets.
const FIRST_ID: u64 = 1001;
/// A code has 4 to 8 digits and travels as an integer, so none begins with a zero.
const CODES: std::ops::RangeInclusive<u64> = 1000..=99_999_999;
/// Person types: normal, temporary, administrator.
const TYPES: [u64; 3] = [0, TEMPORARY, 3];
const TEMPORARY: u64 = 2;
/// Fields that a person may have beside the id, as the cloud spells them.
const FIELDS: [&str; 7] = ["name", "type", "password", "daterange", "weeks", "timerange", "limit"];

/// Somebody with a code at a lock.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct LockUser {
    /// The number that the lock gave.
    pub id: u64,
    /// The fields as the cloud spells them: `name`, `type`, `password`, `daterange`, `weeks`, `timerange`,
    /// `limit`.
    #[serde(flatten)]
    pub fields: Map<String, Value>,
}

impl LockUser {
    /// Somebody with a code that always works.
    pub fn new(id: u64, name: &str, password: u32) -> Self {
        let mut fields = Map::new();
        fields.insert("name".to_owned(), json!(name));
        fields.insert("type".to_owned(), json!(0));
        fields.insert("password".to_owned(), json!(password));
        Self { id, fields }
    }
}

/// All people of one lock.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Users {
    next_id: u64,
    entries: Vec<Entry>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Entry {
    user: LockUser,
    /// When the latest change reaches the lock; `None` when it has.
    arrives: Option<u64>,
    /// Whether that change is the removal.
    leaving: bool,
}

impl Users {
    pub(crate) fn new(users: Vec<LockUser>) -> Self {
        let next_id = users.iter().map(|user| user.id + 1).max().unwrap_or(0);
        let entries = users.into_iter().map(|user| Entry { user, arrives: None, leaving: false });
        Self { next_id: next_id.max(FIRST_ID), entries: entries.collect() }
    }

    /// People whose code works or is on its way.
    pub(crate) fn len(&self) -> usize {
        self.entries.iter().filter(|entry| !entry.leaving).count()
    }

    /// Lets changes reach the lock that are due by `now`.
    pub(crate) fn settle(&mut self, now: u64) {
        let due = |entry: &Entry| entry.arrives.is_some_and(|at| at <= now);
        self.entries.retain(|entry| !(entry.leaving && due(entry)));
        for entry in self.entries.iter_mut().filter(|entry| due(entry)) {
            entry.arrives = None;
        }
    }

    pub(crate) fn due(&self) -> Option<u64> {
        self.entries.iter().filter_map(|entry| entry.arrives).min()
    }

    /// What the cloud lists: never a code, never a schedule.
    pub(crate) fn list(&self) -> Value {
        self.entries.iter().map(Entry::line).collect()
    }

    /// One person with everything, as the cloud answers it.
    pub(crate) fn one(&self, id: u64) -> Option<Value> {
        let entry = self.entries.iter().find(|entry| entry.user.id == id)?;
        let mut shown = entry.user.fields.clone();
        if let Value::Object(line) = entry.line() {
            shown.extend(line);
        }
        Some(Value::Object(shown))
    }

    pub(crate) fn add(&mut self, fields: &Map<String, Value>, arrives: u64) -> Result<(), String> {
        let fields = judged(fields, None)?;
        self.entries.push(Entry { user: LockUser { id: self.next_id, fields }, arrives: Some(arrives), leaving: false });
        self.next_id += 1;
        Ok(())
    }

    /// Changes the given fields and leaves the others alone.
    pub(crate) fn update(&mut self, id: u64, fields: &Map<String, Value>, arrives: u64) -> Result<(), String> {
        let entry = self.present(id)?;
        entry.user.fields = judged(fields, Some(&entry.user.fields))?;
        entry.arrives = Some(arrives);
        Ok(())
    }

    pub(crate) fn delete(&mut self, id: u64, arrives: u64) -> Result<(), String> {
        let entry = self.present(id)?;
        entry.leaving = true;
        entry.arrives = Some(arrives);
        Ok(())
    }

    fn present(&mut self, id: u64) -> Result<&mut Entry, String> {
        self.entries.iter_mut().find(|entry| entry.user.id == id && !entry.leaving).ok_or_else(|| format!("no user {id}"))
    }
}

impl Entry {
    /// `status` 1 = the code works, 0 = it is being removed; `sync_status` 1 = the lock knows, 0 = only the
    /// cloud does yet.
    fn line(&self) -> Value {
        json!({
            "id": self.user.id,
            "name": self.user.fields.get("name"),
            "type": self.user.fields.get("type"),
            "status": u8::from(!self.leaving),
            "sync_status": u8::from(self.arrives.is_none()),
        })
    }
}

/// The fields of a person after a change, or what the cloud has against them.
fn judged(wanted: &Map<String, Value>, before: Option<&Map<String, Value>>) -> Result<Map<String, Value>, String> {
    let mut fields = before.cloned().unwrap_or_default();
    for (name, value) in wanted {
        if FIELDS.contains(&name.as_str()) {
            fields.insert(name.clone(), value.clone());
        } else if name != "id" {
            return Err(format!("unknown field {name}"));
        }
    }
    let number = |name: &str| fields.get(name).and_then(Value::as_u64);
    if fields.get("name").and_then(Value::as_str).is_none_or(str::is_empty) {
        return Err("name must be a text".to_owned());
    }
    if !number("type").is_some_and(|kind| TYPES.contains(&kind)) {
        return Err("type must be 0, 2 or 3".to_owned());
    }
    if !number("password").is_some_and(|code| CODES.contains(&code)) {
        return Err("password must be an integer of 4 to 8 digits".to_owned());
    }
    if fields.contains_key("limit") && number("limit").is_none() {
        return Err("limit must be an integer".to_owned());
    }
    schedule(&fields, number("type") == Some(TEMPORARY))?;
    Ok(fields)
}

/// A temporary person must have all three; whatever is there must be well formed.
fn schedule(fields: &Map<String, Value>, required: bool) -> Result<(), String> {
    let judge = |name: &str, well_formed: &dyn Fn(&Value) -> bool| match fields.get(name) {
        None if required => Err(format!("a temporary user needs {name}")),
        Some(value) if !well_formed(value) => Err(format!("{name} is malformed")),
        None | Some(_) => Ok(()),
    };
    let pair = |value: &Value, pattern: &str| {
        value
            .as_array()
            .is_some_and(|pair| pair.len() == 2 && pair.iter().all(|text| text.as_str().is_some_and(|text| looks_like(text, pattern))))
    };
    judge("daterange", &|value| pair(value, "0000-00-00 00:00"))?;
    judge("timerange", &|value| pair(value, "00:00"))?;
    judge("weeks", &|value| value.as_array().is_some_and(|days| days.iter().all(|day| day.as_u64().is_some_and(|day| day < 7))))
}

/// Whether `text` is `pattern` with any digit for each 0.
fn looks_like(text: &str, pattern: &str) -> bool {
    text.len() == pattern.len()
        && text.bytes().zip(pattern.bytes()).all(|(have, want)| if want == b'0' { have.is_ascii_digit() } else { have == want })
}
