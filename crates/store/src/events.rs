//! Events, read back in commit order.

use crate::{
    Store, StoreError,
    db::{Row, Value, args},
};
use doorward_core::record::NewEvent;
use doorward_wire::{
    attempt::{Actor, ActorKind},
    device::DeviceId,
    door::DoorId,
    event::{Event, EventKind},
};
use std::fmt::Write as _;

const COLUMNS: &str = "seq, time, kind, door, account, device, actor_kind, actor_id, reason, attempt, data_json";

/// The name of whoever did it, while it exists: people, tokens and passes can be erased, events cannot.
pub(crate) const ACTOR_NAME: &str = "CASE actor_kind \
     WHEN 'person' THEN (SELECT name FROM people WHERE people.id = actor_id) \
     WHEN 'token' THEN (SELECT name FROM tokens WHERE tokens.id = actor_id) \
     WHEN 'pass' THEN (SELECT name FROM passes WHERE passes.id = actor_id) \
     END AS actor_name";

/// Bytes of an event beside its data, when it is written as JSON; more than it ever has.
const FRAME: u64 = 512;

/// Which events to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventQuery {
    /// Only those after this one. Without it the newest are read.
    pub after: Option<i64>,
    /// Only those before this one.
    pub before: Option<i64>,
    /// Only those about this door.
    pub door: Option<DoorId>,
    /// Only those about this device.
    pub device: Option<DeviceId>,
    /// Only those of this kind.
    pub kind: Option<EventKind>,
    /// At most so many.
    pub limit: u32,
}

impl Default for EventQuery {
    /// The newest 200.
    fn default() -> Self {
        Self { after: None, before: None, door: None, device: None, kind: None, limit: 200 }
    }
}

impl Store {
    /// Reads events, oldest first: with `after` those that follow it, without it the newest.
    pub async fn events(&self, query: &EventQuery) -> Result<Vec<Event>, StoreError> {
        let mut values = args![query.after.unwrap_or(0), query.before.unwrap_or(i64::MAX), i64::from(query.limit)];
        let mut filter = String::new();
        let filters = [
            ("door", query.door.as_ref().map(DoorId::as_str)),
            ("device", query.device.as_ref().map(DeviceId::as_str)),
            ("kind", query.kind.map(EventKind::as_str)),
        ];
        for (column, value) in filters {
            if let Some(value) = value {
                values.push(value.into());
                let _ = write!(filter, " AND {column} = ${}", values.len());
            }
        }
        let order = if query.after.is_some() { "ASC" } else { "DESC" };
        let sql = format!("SELECT {COLUMNS}, {ACTOR_NAME} FROM events WHERE seq > $1 AND seq < $2{filter} ORDER BY seq {order} LIMIT $3");
        let mut events = self.db().all(sql, values).await?.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        if query.after.is_none() {
            events.reverse();
        }
        Ok(events)
    }

    /// What a person did, and what was done about them, oldest first: all that is kept.
    pub async fn events_of_person(&self, id: &str) -> Result<Vec<Event>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS}, {ACTOR_NAME} FROM events WHERE (actor_kind = 'person' AND actor_id = $1) OR data_json LIKE $2 ORDER BY seq"
        );
        self.db().all(sql, args![id, format!("%\"{id}\"%")]).await?.iter().map(read).collect()
    }

    /// After which event to go on for somebody who has had those up to `after`, and is to get no more than so many events
    /// and bytes: the newest of them.
    pub async fn backlog(&self, after: i64, most: u32, bytes: u64) -> Result<i64, StoreError> {
        let sql =
            "SELECT seq, CAST(COALESCE(LENGTH(data_json), 0) AS BIGINT) AS size FROM events WHERE seq > $1 ORDER BY seq DESC LIMIT $2";
        let rows = self.db().all(sql, args![after, i64::from(most) + 1]).await?;
        let mut room = bytes;
        for (number, row) in (0..).zip(&rows) {
            let size = u64::try_from(row.get::<i64>("size")?).unwrap_or_default() + FRAME;
            if number >= most || size > room {
                return row.get("seq");
            }
            room -= size;
        }
        Ok(after)
    }

    /// One event, while it is kept.
    pub async fn event(&self, id: i64) -> Result<Option<Event>, StoreError> {
        let sql = format!("SELECT {COLUMNS}, {ACTOR_NAME} FROM events WHERE seq = $1");
        self.db().one(sql, args![id]).await?.as_ref().map(read).transpose()
    }

    /// The number of the newest event; 0 before the first.
    pub async fn last_event_id(&self) -> Result<i64, StoreError> {
        let row = self.db().one("SELECT seq FROM chain WHERE id = 1", Vec::new()).await?;
        row.ok_or_else(|| StoreError::corrupt("the end of the audit is missing"))?.get("seq")
    }
}

/// An event with its number, and its columns in the order in which they are hashed.
pub(crate) fn numbered(seq: i64, new: &NewEvent) -> (Event, Vec<Value>) {
    let event = Event {
        id: seq,
        time: new.time,
        kind: new.kind,
        door: new.door.clone(),
        account: new.account.as_ref().map(ToString::to_string),
        device: new.device.as_ref().map(ToString::to_string),
        actor: new.actor.clone(),
        reason: new.reason,
        attempt: new.attempt,
        data: new.data.clone(),
    };
    let data = (!new.data.is_null()).then(|| new.data.to_string());
    let row = args![
        event.id,
        event.time,
        event.kind.as_str(),
        event.door.as_ref(),
        event.account.as_deref(),
        event.device.as_deref(),
        event.actor.as_ref().map(|actor| actor.kind.as_str()),
        event.actor.as_ref().map(|actor| actor.id.as_str()),
        event.reason.map(doorward_wire::attempt::Reason::as_str),
        event.attempt,
        data,
    ];
    (event, row)
}

fn read(row: &Row) -> Result<Event, StoreError> {
    let kind: Option<ActorKind> = row.parse_option("actor_kind")?;
    Ok(Event {
        id: row.get("seq")?,
        time: row.time("time")?,
        kind: row.parse("kind")?,
        door: row.parse_option("door")?,
        account: row.get("account")?,
        device: row.get("device")?,
        actor: match kind {
            Some(kind) => {
                Some(Actor { kind, id: row.get::<Option<String>>("actor_id")?.unwrap_or_default(), name: row.get("actor_name")? })
            }
            None => None,
        },
        reason: row.parse_option("reason")?,
        attempt: row.parse_option("attempt")?,
        data: match row.get::<Option<String>>("data_json")? {
            Some(_) => row.json("data_json")?,
            None => serde_json::Value::Null,
        },
    })
}
