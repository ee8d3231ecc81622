//! Devices of the fleet: who they are, their sealed credentials, and how far their user at the broker is.
//!
//! A device is its own user at the embedded broker, with the rights of its role: there is no other row that could differ.
//! A device and the event that tells of it are one commit.

use crate::{
    Store, StoreError,
    chain::Chain,
    db::{Row, Tx, args},
    seal::same,
};
use doorward_core::{Secret, record::NewEvent};
use doorward_wire::{
    Time,
    device::{DeviceId, Mac},
    event::Event,
    firmware::Hardware,
};
use serde::{Deserialize, Serialize};

/// Devices at most.
const MOST: i64 = 50_000;

/// What a device shows to be let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceSecrets {
    /// At the broker.
    pub password: Secret<String>,
    /// At the provisioning server.
    pub token: Secret<String>,
}

/// A device that is to be provisioned.
#[derive(Debug, Clone)]
pub struct NewDevice {
    /// What it prints.
    pub id: DeviceId,
    /// Its MAC, when it was named by it.
    pub mac: Option<Mac>,
    /// What people call it.
    pub name: Option<String>,
    /// The name of its user at the broker.
    pub user: String,
    /// What it will show.
    pub secrets: DeviceSecrets,
    /// How far its user at the broker is: the embedded broker has it from now on.
    pub broker: BrokerUser,
    /// What is told about it.
    pub event: NewEvent,
}

/// A device as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredDevice {
    /// What it prints.
    pub id: DeviceId,
    /// Its MAC.
    pub mac: Option<Mac>,
    /// What people call it.
    pub name: Option<String>,
    /// Its hardware, when it is another one than the fleet's usual one.
    pub hardware: Option<Hardware>,
    /// The name of its user at the broker.
    pub user: String,
    /// What it shows.
    pub secrets: DeviceSecrets,
    /// Counts its secrets: whoever works for older ones stops.
    pub epoch: i64,
    /// How far its user at the broker is.
    pub broker: BrokerUser,
    /// When it was provisioned first.
    pub created: Time,
    /// When its rights were taken.
    pub revoked: Option<Time>,
    /// What it told of itself.
    pub report: DeviceReport,
}

/// What a device told of itself last. What it left out stays as it was.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeviceReport {
    /// When it was last heard of.
    pub seen: Option<Time>,
    /// Whether it counts as online.
    pub online: Option<bool>,
    /// The firmware that it runs.
    pub firmware: Option<String>,
    /// Seconds since it started.
    pub uptime: Option<i64>,
    /// Bytes of memory that are free.
    pub free_heap: Option<i64>,
    /// How well it hears its access point, in dBm.
    pub wifi_rssi: Option<i64>,
}

/// How far the user of a device is at its broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BrokerUser {
    /// It is to be made, or made as it should be.
    Making {
        /// Why the last try failed.
        error: Option<String>,
    },
    /// It is as it should be: there with its rights and no others, or gone.
    Settled,
    /// It is to be removed.
    Removing {
        /// Why the last try failed.
        error: Option<String>,
    },
}

/// What came of provisioning one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Provisioned {
    /// It is new, and this event tells of it.
    New(StoredDevice, Event),
    /// It was there before, and keeps its secrets.
    Known(StoredDevice),
    /// Another device prints the same.
    Collides(Mac),
    /// Its broker user would have the name of somebody else's.
    NameTaken,
    /// Its rights were taken.
    Revoked,
    /// There are as many as there may be.
    TooMany,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    password: String,
    token: String,
}

const SELECT: &str = "SELECT id, mac, name, hardware, mqtt_user, sealed, epoch, broker, broker_error, created_at, revoked_at, seen_at, online, firmware, \
                      uptime, free_heap, wifi_rssi FROM devices LEFT JOIN device_states ON device = id";

impl Store {
    /// Provisions devices, all in one commit: each with its broker user and its event. Those that are there keep what they
    /// have.
    pub async fn provision_devices(&self, devices: &[NewDevice]) -> Result<Vec<Provisioned>, StoreError> {
        let (mut tx, mut chain) = self.begin().await?;
        let count = tx.one("SELECT COUNT(*) AS devices FROM devices", Vec::new()).await?;
        let mut room = MOST - count.map_or(Ok(0), |row| row.get::<i64>("devices"))?;
        let mut outcomes = Vec::with_capacity(devices.len());
        for device in devices {
            let outcome = self.provision_one(&mut tx, &mut chain, device, room > 0).await?;
            room -= i64::from(matches!(outcome, Provisioned::New(..)));
            outcomes.push(outcome);
        }
        chain.finish(&mut tx, self.keys(), self.inner.house).await?;
        tx.commit().await?;
        Ok(outcomes)
    }

    async fn provision_one(&self, tx: &mut Tx, chain: &mut Chain, device: &NewDevice, room: bool) -> Result<Provisioned, StoreError> {
        if let Some(row) = tx.one(format!("{SELECT} WHERE id = $1"), args![device.id.as_str()]).await? {
            let known = self.read_device(&row)?;
            return Ok(match (known.mac, device.mac) {
                (Some(known), Some(mac)) if known != mac => Provisioned::Collides(known),
                _ if known.revoked.is_some() => Provisioned::Revoked,
                _ => Provisioned::Known(known),
            });
        }
        if !room {
            return Ok(Provisioned::TooMany);
        }
        let sql = "INSERT INTO devices (id, mac, name, mqtt_user, sealed, password_mac, token_mac, epoch, broker, created_at) \
                   SELECT $1, $2, $3, $4, $5, $6, $7, 1, $8, $9 WHERE NOT EXISTS (SELECT 1 FROM mqtt_users WHERE name = $4) \
                   ON CONFLICT DO NOTHING";
        let (mac, now) = (device.mac.map(|mac| mac.to_string()), device.event.time);
        let (password, token) = (self.device_code("password", &device.secrets.password), self.device_code("token", &device.secrets.token));
        let sealed = self.sealed(&device.id, &device.secrets)?;
        let broker = device.broker.word();
        let args = args![device.id.as_str(), mac, device.name.as_deref(), device.user.as_str(), sealed, password, token, broker, now];
        if tx.execute(sql, args).await? == 0 {
            return Ok(Provisioned::NameTaken);
        }
        let event = chain.append(&device.event);
        let stored = StoredDevice {
            id: device.id.clone(),
            mac: device.mac,
            name: device.name.clone(),
            hardware: None,
            user: device.user.clone(),
            secrets: device.secrets.clone(),
            epoch: 1,
            broker: device.broker.clone(),
            created: now,
            revoked: None,
            report: DeviceReport::default(),
        };
        Ok(Provisioned::New(stored, event))
    }

    /// Every device, by its identifier.
    pub async fn devices(&self) -> Result<Vec<StoredDevice>, StoreError> {
        self.db().all(format!("{SELECT} ORDER BY id"), Vec::new()).await?.iter().map(|row| self.read_device(row)).collect()
    }

    /// Whether there is any device.
    pub async fn has_devices(&self) -> Result<bool, StoreError> {
        Ok(self.db().one("SELECT id FROM devices LIMIT 1", Vec::new()).await?.is_some())
    }

    /// How many devices have rights.
    pub async fn count_devices(&self) -> Result<usize, StoreError> {
        let row = self.db().one("SELECT COUNT(*) AS devices FROM devices WHERE revoked_at IS NULL", Vec::new()).await?;
        let count = row.map(|row| row.get::<i64>("devices")).transpose()?;
        Ok(usize::try_from(count.unwrap_or_default()).unwrap_or_default())
    }

    /// The devices that counted as online when that was last written down.
    pub async fn online_devices(&self) -> Result<Vec<DeviceId>, StoreError> {
        let sql = "SELECT device FROM device_states JOIN devices ON device = id WHERE online = 1 AND revoked_at IS NULL";
        self.db().all(sql, Vec::new()).await?.iter().map(|row| row.parse("device")).collect()
    }

    /// One device.
    pub async fn device(&self, id: &DeviceId) -> Result<Option<StoredDevice>, StoreError> {
        let row = self.db().one(format!("{SELECT} WHERE id = $1"), args![id.as_str()]).await?;
        row.map(|row| self.read_device(&row)).transpose()
    }

    /// Whether this is the token of a device that has its rights.
    pub async fn is_device_token(&self, id: &DeviceId, token: &str) -> Result<bool, StoreError> {
        let sql = "SELECT token_mac FROM devices WHERE id = $1 AND revoked_at IS NULL";
        let Some(row) = self.db().one(sql, args![id.as_str()]).await? else { return Ok(false) };
        Ok(same(&row.get::<Vec<u8>>("token_mac")?, &self.device_code("token", &Secret::from(token))))
    }

    /// The device whose broker user has this name and this password.
    pub(crate) async fn device_login(&self, user: &str, given: &[u8]) -> Result<Option<(DeviceId, Time)>, StoreError> {
        let sql = "SELECT id, password_mac, created_at FROM devices WHERE mqtt_user = $1 AND revoked_at IS NULL";
        let Some(row) = self.db().one(sql, args![user]).await? else { return Ok(None) };
        let right = same(&row.get::<Vec<u8>>("password_mac")?, &self.keys().code("device password", given));
        if right { Ok(Some((row.parse("id")?, row.time("created_at")?))) } else { Ok(None) }
    }

    /// Says what people call a device, and its hardware; `None` when there is none.
    pub async fn edit_device(
        &self,
        id: &DeviceId,
        name: Option<&str>,
        hardware: Option<&Hardware>,
        event: &NewEvent,
    ) -> Result<Option<Event>, StoreError> {
        let sql = "UPDATE devices SET name = $2, hardware = $3 WHERE id = $1";
        self.change(sql, args![id.as_str(), name, hardware.map(Hardware::as_str)], event).await
    }

    /// Takes a device's rights: its user at the broker, its token, its claim. `None` when there is none that has rights.
    pub async fn revoke_device(
        &self,
        id: &DeviceId,
        broker: &BrokerUser,
        event: &NewEvent,
    ) -> Result<Option<(StoredDevice, Event)>, StoreError> {
        let (mut tx, chain) = self.begin().await?;
        let sql = "UPDATE devices SET revoked_at = $2, epoch = epoch + 1, broker = $3, broker_error = NULL \
                   WHERE id = $1 AND revoked_at IS NULL";
        if tx.execute(sql, args![id.as_str(), event.time, broker.word()]).await? == 0 {
            return Ok(None);
        }
        tx.execute("DELETE FROM device_claims WHERE device = $1", args![id.as_str()]).await?;
        tx.execute("DELETE FROM device_states WHERE device = $1", args![id.as_str()]).await?;
        let stored = self.device_in(&mut tx, id).await?;
        let event = self.end(tx, chain, event).await?;
        Ok(stored.map(|stored| (stored, event)))
    }

    /// Gives a device other secrets, also one whose rights were taken: it has them again. What it claimed is over. `None` when
    /// there is none.
    pub async fn renew_device(
        &self,
        id: &DeviceId,
        secrets: &DeviceSecrets,
        broker: &BrokerUser,
        event: &NewEvent,
    ) -> Result<Option<(StoredDevice, Event)>, StoreError> {
        let (mut tx, chain) = self.begin().await?;
        let Some(stored) = self.renew_in(&mut tx, id, secrets, broker).await? else { return Ok(None) };
        let event = self.end(tx, chain, event).await?;
        Ok(Some((stored, event)))
    }

    pub(crate) async fn renew_in(
        &self,
        tx: &mut Tx,
        id: &DeviceId,
        secrets: &DeviceSecrets,
        broker: &BrokerUser,
    ) -> Result<Option<StoredDevice>, StoreError> {
        let (password, token) = (self.device_code("password", &secrets.password), self.device_code("token", &secrets.token));
        let sql = "UPDATE devices SET sealed = $2, password_mac = $3, token_mac = $4, epoch = epoch + 1, revoked_at = NULL, \
                   broker = $5, broker_error = NULL WHERE id = $1";
        tx.execute(sql, args![id.as_str(), self.sealed(id, secrets)?, password, token, broker.word()]).await?;
        tx.execute("DELETE FROM device_claims WHERE device = $1", args![id.as_str()]).await?;
        self.device_in(tx, id).await
    }

    /// Says how far a device's user at the broker is, unless its secrets changed meanwhile.
    pub async fn set_device_broker(&self, id: &DeviceId, epoch: i64, broker: &BrokerUser) -> Result<(), StoreError> {
        let sql = "UPDATE devices SET broker = $3, broker_error = $4 WHERE id = $1 AND epoch = $2";
        self.db().execute(sql, args![id.as_str(), epoch, broker.word(), broker.error()]).await.map(drop)
    }

    /// Devices whose users at the broker are not as they should be, in the order of their identifiers.
    pub async fn unsettled_devices(&self, after: Option<&DeviceId>, most: u32) -> Result<Vec<DeviceId>, StoreError> {
        let sql = "SELECT id FROM devices WHERE broker <> 'settled' AND id > $1 ORDER BY id LIMIT $2";
        let rows = self.db().all(sql, args![after.map_or("", DeviceId::as_str), i64::from(most)]).await?;
        rows.iter().map(|row| row.parse("id")).collect()
    }

    async fn device_in(&self, tx: &mut Tx, id: &DeviceId) -> Result<Option<StoredDevice>, StoreError> {
        let row = tx.one(format!("{SELECT} WHERE id = $1"), args![id.as_str()]).await?;
        row.map(|row| self.read_device(&row)).transpose()
    }

    fn read_device(&self, row: &Row) -> Result<StoredDevice, StoreError> {
        let id: DeviceId = row.parse("id")?;
        let sealed: Vec<u8> = row.get("sealed")?;
        let plain = self.keys().open(&place(&id), &sealed)?;
        let Sealed { password, token } =
            serde_json::from_slice(plain.reveal()).map_err(|_| StoreError::corrupt(format!("secrets of device {id}")))?;
        let error = row.get("broker_error")?;
        let word: String = row.get("broker")?;
        let broker = match word.as_str() {
            "settled" => BrokerUser::Settled,
            "making" => BrokerUser::Making { error },
            "removing" => BrokerUser::Removing { error },
            _ => return Err(StoreError::corrupt(format!("broker user of device {id}"))),
        };
        Ok(StoredDevice {
            mac: row.parse_option("mac")?,
            name: row.get("name")?,
            hardware: row.parse_option("hardware")?,
            user: row.get("mqtt_user")?,
            secrets: DeviceSecrets { password: Secret::new(password), token: Secret::new(token) },
            epoch: row.get("epoch")?,
            broker,
            created: row.time("created_at")?,
            revoked: row.time_option("revoked_at")?,
            report: DeviceReport {
                seen: row.time_option("seen_at")?,
                online: row.get::<Option<i64>>("online")?.map(|online| online != 0),
                firmware: row.get("firmware")?,
                uptime: row.get("uptime")?,
                free_heap: row.get("free_heap")?,
                wifi_rssi: row.get("wifi_rssi")?,
            },
            id,
        })
    }

    /// Writes down what devices told of themselves, all in one commit. Those that are not there are left out.
    pub async fn note_device_reports(&self, reports: &[(DeviceId, DeviceReport)]) -> Result<(), StoreError> {
        let sql = "INSERT INTO device_states (device, seen_at, online, firmware, uptime, free_heap, wifi_rssi) \
                   SELECT id, $2, $3, $4, $5, $6, $7 FROM devices WHERE id = $1 \
                   ON CONFLICT (device) DO UPDATE SET seen_at = COALESCE(excluded.seen_at, device_states.seen_at), \
                   online = COALESCE(excluded.online, device_states.online), \
                   firmware = COALESCE(excluded.firmware, device_states.firmware), uptime = COALESCE(excluded.uptime, device_states.uptime), \
                   free_heap = COALESCE(excluded.free_heap, device_states.free_heap), \
                   wifi_rssi = COALESCE(excluded.wifi_rssi, device_states.wifi_rssi)";
        let mut tx = self.db().write().await?;
        for (id, report) in reports {
            let DeviceReport { seen, online, firmware, uptime, free_heap, wifi_rssi } = report.clone();
            tx.execute(sql, args![id.as_str(), seen, online.map(i64::from), firmware, uptime, free_heap, wifi_rssi]).await?;
        }
        tx.commit().await
    }

    fn sealed(&self, id: &DeviceId, secrets: &DeviceSecrets) -> Result<Vec<u8>, StoreError> {
        let plain = Sealed { password: secrets.password.reveal().clone(), token: secrets.token.reveal().clone() };
        let plain = serde_json::to_vec(&plain).map_err(|error| StoreError::Bug(format!("secrets of a device: {error}")))?;
        Ok(self.keys().seal(&place(id), &plain))
    }

    /// Compares a secret without opening what is sealed.
    fn device_code(&self, what: &str, secret: &Secret<String>) -> Vec<u8> {
        self.keys().code(&format!("device {what}"), secret.reveal().as_bytes())
    }
}

impl BrokerUser {
    fn error(&self) -> Option<&str> {
        match self {
            Self::Making { error } | Self::Removing { error } => error.as_deref(),
            Self::Settled => None,
        }
    }

    const fn word(&self) -> &'static str {
        match self {
            Self::Making { .. } => "making",
            Self::Settled => "settled",
            Self::Removing { .. } => "removing",
        }
    }
}

fn place(id: &DeviceId) -> String {
    format!("devices|{id}|secrets")
}
