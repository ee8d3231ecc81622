//! Firmware images, in chunks, and what devices are offered of them.
//!
//! An image that is not whole is nobody's: it is offered to no one, and goes when it is not finished.

use crate::{
    Store, StoreError,
    db::{Row, Tx, args},
};
use doorward_core::record::NewEvent;
use doorward_wire::{
    Time,
    device::DeviceId,
    event::Event,
    firmware::{Channel, Hardware, Version},
};

/// An image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Firmware {
    /// What it is for.
    pub hardware: Hardware,
    /// Its version.
    pub version: Version,
    /// A device that runs this or newer may not go back behind it.
    pub min_version: Version,
    /// For whom it is meant.
    pub channel: Channel,
    /// What people should know of it.
    pub notes: String,
    /// Its bytes.
    pub size: i64,
    /// Its SHA-256, in lower-case hexadecimal digits.
    pub sha256: String,
    /// Its signature, in Base64.
    pub signature: String,
    /// When it was added.
    pub created: Time,
}

/// How an offer to a device stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceOffer {
    /// The device.
    pub device: DeviceId,
    /// What it is offered.
    pub hardware: Hardware,
    /// Its version.
    pub version: Version,
    /// `offered`, `downloading`, `updating`, `restarting`, `done`, `failed` or `withdrawn`.
    pub state: String,
    /// Per cent.
    pub progress: i64,
    /// What went wrong.
    pub error: Option<String>,
    /// Whether it has fetched the whole image.
    pub fetched: bool,
    /// How often it was tried.
    pub tries: i64,
    /// When it was offered.
    pub offered: Time,
    /// When it last changed.
    pub changed: Time,
}

const SELECT: &str = "SELECT hardware, version, min_version, channel, notes, size, hash, signature, created_at FROM firmware";
const OFFERS: &str = "SELECT device, hardware, version, state, progress, error, fetched, tries, offered_at, changed_at FROM device_offers";

impl Store {
    /// Begins an image: what was there of an unfinished one is gone. `false` when there is a finished one.
    pub async fn begin_firmware(&self, hardware: &Hardware, version: &Version, now: Time) -> Result<bool, StoreError> {
        let mut tx = self.db().write().await?;
        let there =
            tx.one("SELECT hash FROM firmware WHERE hardware = $1 AND version = $2", args![hardware.as_str(), version.as_str()]).await?;
        if let Some(row) = there
            && row.get::<Option<String>>("hash")?.is_some()
        {
            return Ok(false);
        }
        for table in ["firmware_chunks", "firmware"] {
            tx.execute(format!("DELETE FROM {table} WHERE hardware = $1 AND version = $2"), args![hardware.as_str(), version.as_str()])
                .await?;
        }
        let sql = "INSERT INTO firmware (hardware, version, min_version, channel, notes, size, created_at) VALUES ($1, $2, $2, 'draft', '', 0, $3)";
        tx.execute(sql, args![hardware.as_str(), version.as_str(), now]).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Adds the next chunk of an unfinished image.
    pub async fn add_firmware_chunk(&self, hardware: &Hardware, version: &Version, number: i64, bytes: &[u8]) -> Result<(), StoreError> {
        let sql = "INSERT INTO firmware_chunks (hardware, version, number, bytes) VALUES ($1, $2, $3, $4)";
        self.db().execute(sql, args![hardware.as_str(), version.as_str(), number, bytes.to_vec()]).await.map(drop)
    }

    /// Finishes an image, in one commit with what is told of it.
    pub async fn finish_firmware(&self, firmware: &Firmware, event: &NewEvent) -> Result<Event, StoreError> {
        let Firmware { hardware, version, min_version, channel, notes, size, sha256, signature, created } = firmware;
        let (mut tx, chain) = self.begin().await?;
        let sql = "UPDATE firmware SET min_version = $3, channel = $4, notes = $5, size = $6, hash = $7, signature = $8, created_at = $9 \
                   WHERE hardware = $1 AND version = $2";
        let args = args![
            hardware.as_str(),
            version.as_str(),
            min_version.as_str(),
            channel.as_str(),
            notes.as_str(),
            *size,
            sha256.as_str(),
            signature.as_str(),
            *created
        ];
        if tx.execute(sql, args).await? == 0 {
            return Err(StoreError::Bug(format!("firmware {hardware} {version} was not begun")));
        }
        self.end(tx, chain, event).await
    }

    /// Removes unfinished images that were begun before this.
    pub async fn purge_firmware(&self, before: Time) -> Result<(), StoreError> {
        let mut tx = self.db().write().await?;
        let unfinished = "SELECT 1 FROM firmware f WHERE f.hardware = firmware_chunks.hardware AND f.version = firmware_chunks.version \
                          AND f.hash IS NULL AND f.created_at < $1";
        tx.execute(format!("DELETE FROM firmware_chunks WHERE EXISTS ({unfinished})"), args![before]).await?;
        tx.execute("DELETE FROM firmware WHERE hash IS NULL AND created_at < $1", args![before]).await?;
        tx.commit().await
    }

    /// Every finished image.
    pub async fn all_firmware(&self) -> Result<Vec<Firmware>, StoreError> {
        let sql = format!("{SELECT} WHERE hash IS NOT NULL ORDER BY hardware, created_at");
        self.db().all(sql, Vec::new()).await?.iter().map(read).collect()
    }

    /// One finished image.
    pub async fn firmware(&self, hardware: &Hardware, version: &Version) -> Result<Option<Firmware>, StoreError> {
        let sql = format!("{SELECT} WHERE hardware = $1 AND version = $2 AND hash IS NOT NULL");
        let row = self.db().one(sql, args![hardware.as_str(), version.as_str()]).await?;
        row.map(|row| read(&row)).transpose()
    }

    /// The bytes of an image.
    pub async fn firmware_bytes(&self, hardware: &Hardware, version: &Version) -> Result<Vec<Vec<u8>>, StoreError> {
        let sql = "SELECT bytes FROM firmware_chunks WHERE hardware = $1 AND version = $2 ORDER BY number";
        self.db().all(sql, args![hardware.as_str(), version.as_str()]).await?.iter().map(|row| row.get("bytes")).collect()
    }

    /// Says for whom an image is meant, and what people should know of it; `None` when there is none.
    pub async fn edit_firmware(&self, firmware: &Firmware, event: &NewEvent) -> Result<Option<Event>, StoreError> {
        let sql = "UPDATE firmware SET channel = $3, notes = $4 WHERE hardware = $1 AND version = $2 AND hash IS NOT NULL";
        let args = args![firmware.hardware.as_str(), firmware.version.as_str(), firmware.channel.as_str(), firmware.notes.as_str()];
        self.change(sql, args, event).await
    }

    /// Removes an image; `None` when there is none.
    pub async fn remove_firmware(&self, hardware: &Hardware, version: &Version, event: &NewEvent) -> Result<Option<Event>, StoreError> {
        let (mut tx, chain) = self.begin().await?;
        tx.execute("DELETE FROM firmware_chunks WHERE hardware = $1 AND version = $2", args![hardware.as_str(), version.as_str()]).await?;
        let sql = "DELETE FROM firmware WHERE hardware = $1 AND version = $2";
        if tx.execute(sql, args![hardware.as_str(), version.as_str()]).await? == 0 {
            return Ok(None);
        }
        self.end(tx, chain, event).await.map(Some)
    }

    /// Offers an image to a device, in the place of another one.
    pub async fn offer_firmware(&self, device: &DeviceId, firmware: &Firmware, event: &NewEvent) -> Result<Event, StoreError> {
        let (mut tx, chain) = self.begin().await?;
        offer_in(&mut tx, device, firmware, event.time).await?;
        self.end(tx, chain, event).await
    }

    /// What a device is offered, or was.
    pub async fn offer(&self, device: &DeviceId) -> Result<Option<DeviceOffer>, StoreError> {
        let row = self.db().one(format!("{OFFERS} WHERE device = $1"), args![device.as_str()]).await?;
        row.map(|row| read_offer(&row)).transpose()
    }

    /// What those devices of a rollout are offered that were offered it, as far as that is not over in the rollout.
    pub async fn offers_in_rollout(&self, id: &str) -> Result<Vec<DeviceOffer>, StoreError> {
        let sql = format!("{OFFERS} WHERE device IN (SELECT device FROM rollout_devices WHERE rollout = $1 AND state = 'offered')");
        self.db().all(sql, args![id]).await?.iter().map(read_offer).collect()
    }

    /// Offers that are under way.
    pub async fn open_offers(&self) -> Result<Vec<DeviceOffer>, StoreError> {
        let sql = format!("{OFFERS} WHERE state NOT IN ('done', 'failed', 'withdrawn') ORDER BY device");
        self.db().all(sql, Vec::new()).await?.iter().map(read_offer).collect()
    }

    /// Writes down how offers stand, each as long as it is for this version, with what is told of it.
    pub async fn change_offers(&self, changes: &[(DeviceOffer, Option<NewEvent>)]) -> Result<Vec<Event>, StoreError> {
        let sql = "UPDATE device_offers SET state = $3, progress = $4, error = $5, fetched = $6, changed_at = $7 \
                   WHERE device = $1 AND version = $2";
        let (mut tx, mut chain) = self.begin().await?;
        let mut told = Vec::new();
        for (offer, event) in changes {
            let DeviceOffer { device, version, state, progress, error, fetched, changed, .. } = offer;
            let args = args![device.as_str(), version.as_str(), state.as_str(), *progress, error.as_deref(), i64::from(*fetched), *changed];
            if tx.execute(sql, args).await? > 0 {
                told.extend(event.as_ref().map(|event| chain.append(event)));
            }
        }
        chain.finish(&mut tx, self.keys(), self.inner.house).await?;
        tx.commit().await?;
        Ok(told)
    }
}

/// Offers an image to a device within something larger.
pub(crate) async fn offer_in(tx: &mut Tx, device: &DeviceId, firmware: &Firmware, now: Time) -> Result<(), StoreError> {
    let sql = "INSERT INTO device_offers (device, hardware, version, state, progress, fetched, tries, offered_at, changed_at) \
               VALUES ($1, $2, $3, 'offered', 0, 0, 1, $4, $4) \
               ON CONFLICT (device) DO UPDATE SET hardware = excluded.hardware, version = excluded.version, state = 'offered', \
               progress = 0, fetched = 0, error = NULL, \
               tries = CASE WHEN device_offers.version = excluded.version THEN device_offers.tries + 1 ELSE 1 END, \
               offered_at = excluded.offered_at, changed_at = excluded.changed_at";
    tx.execute(sql, args![device.as_str(), firmware.hardware.as_str(), firmware.version.as_str(), now]).await.map(drop)
}

fn read(row: &Row) -> Result<Firmware, StoreError> {
    Ok(Firmware {
        hardware: row.parse("hardware")?,
        version: row.parse("version")?,
        min_version: row.parse("min_version")?,
        channel: row.parse("channel")?,
        notes: row.get("notes")?,
        size: row.get("size")?,
        sha256: row.get("hash")?,
        signature: row.get::<Option<String>>("signature")?.unwrap_or_default(),
        created: row.time("created_at")?,
    })
}

fn read_offer(row: &Row) -> Result<DeviceOffer, StoreError> {
    Ok(DeviceOffer {
        device: row.parse("device")?,
        hardware: row.parse("hardware")?,
        version: row.parse("version")?,
        state: row.get("state")?,
        progress: row.get("progress")?,
        error: row.get("error")?,
        fetched: row.get::<i64>("fetched")? != 0,
        tries: row.get("tries")?,
        offered: row.time("offered_at")?,
        changed: row.time("changed_at")?,
    })
}
