//! Doors and sites.

use crate::{
    Store, StoreError,
    db::{Row, Tx, args},
    seal::same,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use doorward_core::{
    Secret,
    setup::{AutoLock, Contact, DoorSetup, Told},
};
use doorward_wire::{
    Time,
    door::{DoorId, DoorState},
    grant::Holiday,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

const SELECT: &str = "SELECT doors.id, doors.name, site, kind, account, external, capabilities, settings_json, managed, last_state, last_online, last_battery_low, \
                             COALESCE(sites.time_zone, 'UTC') AS time_zone, COALESCE(sites.holidays_json, '[]') AS holidays_json \
                      FROM doors LEFT JOIN sites ON sites.id = doors.site";

/// A place with doors and a time zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Site {
    /// Identifier, as doors name it.
    pub id: String,
    /// The name that people gave it.
    pub name: String,
    /// IANA time zone, `Europe/Berlin`.
    pub time_zone: String,
    /// Days on which it is closed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holidays: Vec<Holiday>,
}

/// What a person changes about a door; `None` stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DoorEdit {
    /// Its name.
    pub name: Option<String>,
    /// Its site.
    pub site: Option<String>,
    /// How long it is waited for when it gives no evidence.
    pub confirm_within: Option<Duration>,
    /// When it locks itself again.
    pub auto_lock: Option<AutoLock>,
    /// Whether it opens even when the audit cannot be written.
    pub fail_open: Option<bool>,
    /// The code that commands over MQTT must carry to open it; `Some(None)` for none.
    pub mqtt_code: Option<Option<Secret<String>>>,
    /// Where whoever rings can be seen; `Some(None)` for nowhere.
    pub stream: Option<Option<String>>,
}

/// What `settings_json` holds.
#[derive(Serialize, Deserialize)]
struct Settings {
    confirm_within_ms: u64,
    #[serde(default)]
    auto_lock: AutoLock,
    #[serde(default)]
    fail_open: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    contact: Option<Contact>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mqtt_code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stream: Option<String>,
}

impl Store {
    /// Every door, by identifier, with the time zone of its site (UTC when the site is not known).
    pub async fn doors(&self) -> Result<Vec<DoorSetup>, StoreError> {
        self.db().all(format!("{SELECT} ORDER BY doors.id"), Vec::new()).await?.iter().map(read).collect()
    }

    /// One door.
    pub async fn door(&self, id: &DoorId) -> Result<Option<DoorSetup>, StoreError> {
        self.db().one(format!("{SELECT} WHERE doors.id = $1"), args![id]).await?.as_ref().map(read).transpose()
    }

    /// Adds a door or replaces all that is set up of it, as the configuration file does. What was last seen stays.
    /// `false` when another door has its account and vendor's identifier, or its account does not exist.
    pub async fn put_door(&self, door: &DoorSetup, now: Time) -> Result<bool, StoreError> {
        let mut tx = self.db().write().await?;
        let put = insert(
            &mut tx,
            door,
            now,
            "account = excluded.account, external = excluded.external, name = excluded.name, \
                site = excluded.site, kind = excluded.kind, capabilities = excluded.capabilities, \
                settings_json = excluded.settings_json, managed = excluded.managed",
        )
        .await?;
        tx.commit().await?;
        Ok(put)
    }

    /// Changes what a person may change about a door; `None` when there is no such door.
    pub async fn update_door(&self, id: &DoorId, edit: &DoorEdit) -> Result<Option<DoorSetup>, StoreError> {
        let mut tx = self.db().write().await?;
        let lock = if tx.is_lite() { "" } else { " FOR UPDATE OF doors" };
        let Some(row) = tx.one(format!("{SELECT} WHERE doors.id = $1{lock}"), args![id]).await? else { return Ok(None) };
        let mut door = read(&row)?;
        let edit = edit.clone();
        door.name = edit.name.unwrap_or(door.name);
        door.site = edit.site.unwrap_or(door.site);
        door.confirm_within = edit.confirm_within.unwrap_or(door.confirm_within);
        door.auto_lock = edit.auto_lock.unwrap_or(door.auto_lock);
        door.fail_open = edit.fail_open.unwrap_or(door.fail_open);
        if let Some(code) = edit.mqtt_code {
            door.mqtt_code = code.map(|code| self.mqtt_code_hash(id, &code));
        }
        door.stream = edit.stream.unwrap_or(door.stream);
        tx.execute(
            "UPDATE doors SET name = $2, site = $3, settings_json = $4 WHERE id = $1",
            args![id, &door.name, &door.site, settings(&door)?],
        )
        .await?;
        let row = tx.one(format!("{SELECT} WHERE doors.id = $1"), args![id]).await?;
        tx.commit().await?;
        row.as_ref().map(read).transpose()
    }

    /// Whether this is the code that commands over MQTT must carry at a door.
    pub fn is_mqtt_code(&self, door: &DoorSetup, given: &Secret<String>) -> bool {
        door.mqtt_code.as_ref().is_some_and(|kept| same(kept.as_bytes(), self.mqtt_code_hash(&door.id, given).as_bytes()))
    }

    /// Under what a door's code is kept. It is short, so only the master key makes it hard to guess.
    pub fn mqtt_code_hash(&self, door: &DoorId, code: &Secret<String>) -> String {
        STANDARD.encode(self.keys().code(&format!("mqtt code {door}"), code.reveal().as_bytes()))
    }

    /// Removes a door; `false` when there is none. Its attempts and events stay.
    pub async fn remove_door(&self, id: &DoorId) -> Result<bool, StoreError> {
        Ok(self.db().execute("DELETE FROM doors WHERE id = $1", args![id]).await? > 0)
    }

    /// Every site, by identifier.
    pub async fn sites(&self) -> Result<Vec<Site>, StoreError> {
        let rows = self.db().all("SELECT id, name, time_zone, holidays_json FROM sites ORDER BY id", Vec::new()).await?;
        let site = |row: &Row| {
            Ok(Site { id: row.get("id")?, name: row.get("name")?, time_zone: row.get("time_zone")?, holidays: row.json("holidays_json")? })
        };
        rows.iter().map(site).collect()
    }

    /// Adds or changes a site.
    pub async fn put_site(&self, site: &Site) -> Result<(), StoreError> {
        let sql = "INSERT INTO sites (id, name, time_zone, holidays_json) VALUES ($1, $2, $3, $4) \
                   ON CONFLICT (id) DO UPDATE SET name = excluded.name, time_zone = excluded.time_zone, holidays_json = excluded.holidays_json";
        let holidays = serde_json::to_string(&site.holidays).map_err(|error| StoreError::Bug(format!("holidays: {error}")))?;
        self.db().execute(sql, args![&site.id, &site.name, &site.time_zone, holidays]).await.map(drop)
    }

    /// Removes a site; `false` when there is none. Doors that name it are in UTC from then on.
    pub async fn remove_site(&self, id: &str) -> Result<bool, StoreError> {
        Ok(self.db().execute("DELETE FROM sites WHERE id = $1", args![id]).await? > 0)
    }
}

/// Writes a door that a driver found. Of a door that is known only what drivers know is changed: a person may have
/// renamed it since the driver was asked.
pub(crate) async fn found(tx: &mut Tx, door: &DoorSetup, now: Time) -> Result<(), StoreError> {
    if !insert(tx, door, now, "kind = excluded.kind, capabilities = excluded.capabilities").await? {
        tracing::error!(door = %door.id, account = %door.account, external = door.external, "this door is another one, or its account is gone");
    }
    Ok(())
}

/// Writes what was told of a door, for the next start.
pub(crate) async fn told(tx: &mut Tx, door: &DoorId, told: &Told) -> Result<(), StoreError> {
    let sql = "UPDATE doors SET last_state = COALESCE($2, last_state), last_online = COALESCE($3, last_online), \
               last_battery_low = COALESCE($4, last_battery_low) WHERE id = $1";
    let args = args![door, told.state.map(DoorState::as_str), told.online.map(i64::from), told.battery_low.map(i64::from)];
    tx.execute(sql, args).await.map(drop)
}

/// Inserts a door or, when its identifier is there, changes what `update` says. What would break a rule of the table is
/// not an error but `false`: an error would undo everything else in the same commit.
async fn insert(tx: &mut Tx, door: &DoorSetup, now: Time, update: &'static str) -> Result<bool, StoreError> {
    let sql = format!(
        "INSERT INTO doors (id, account, external, name, site, kind, capabilities, settings_json, managed, last_state, last_online, \
                            last_battery_low, created_at) \
         SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13 \
         WHERE EXISTS (SELECT 1 FROM accounts WHERE id = $2) \
           AND NOT EXISTS (SELECT 1 FROM doors WHERE account = $2 AND external = $3 AND id <> $1) \
         ON CONFLICT (id) DO UPDATE SET {update}"
    );
    let args = args![
        &door.id,
        &door.account,
        &door.external,
        &door.name,
        &door.site,
        door.kind.as_str(),
        door.capabilities.iter().map(|capability| capability.as_str()).collect::<Vec<_>>().join(" "),
        settings(door)?,
        door.managed,
        door.told.state.map(DoorState::as_str),
        door.told.online.map(i64::from),
        door.told.battery_low.map(i64::from),
        now,
    ];
    Ok(tx.execute(sql, args).await? > 0)
}

fn settings(door: &DoorSetup) -> Result<String, StoreError> {
    let settings = Settings {
        confirm_within_ms: u64::try_from(door.confirm_within.as_millis()).unwrap_or(u64::MAX),
        auto_lock: door.auto_lock.clone(),
        fail_open: door.fail_open,
        contact: door.contact.clone(),
        mqtt_code: door.mqtt_code.clone(),
        stream: door.stream.clone(),
    };
    serde_json::to_string(&settings).map_err(|error| StoreError::Bug(format!("settings of a door: {error}")))
}

fn read(row: &Row) -> Result<DoorSetup, StoreError> {
    let settings: Settings = row.json("settings_json")?;
    let capabilities: String = row.get("capabilities")?;
    Ok(DoorSetup {
        id: row.parse("id")?,
        name: row.get("name")?,
        site: row.get("site")?,
        time_zone: row.get("time_zone")?,
        holidays: row.json("holidays_json")?,
        kind: row.parse("kind")?,
        account: row.parse("account")?,
        external: row.get("external")?,
        capabilities: capabilities
            .split_whitespace()
            .map(|word| word.parse().map_err(|_| StoreError::corrupt(format!("a door's capability “{word}”"))))
            .collect::<Result<_, _>>()?,
        confirm_within: Duration::from_millis(settings.confirm_within_ms),
        auto_lock: settings.auto_lock,
        fail_open: settings.fail_open,
        contact: settings.contact,
        mqtt_code: settings.mqtt_code,
        stream: settings.stream,
        managed: row.switch("managed")?,
        told: Told {
            state: row.parse_option("last_state")?,
            online: row.get::<Option<i64>>("last_online")?.map(|value| value != 0),
            battery_low: row.get::<Option<i64>>("last_battery_low")?.map(|value| value != 0),
        },
    })
}
