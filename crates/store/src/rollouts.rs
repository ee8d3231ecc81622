//! Rollouts: what each is to do, how it stands, and how far each of its devices is. What is offered to a device is written in the
//! same commit, so that nothing is offered twice and nothing forgotten.

use crate::{
    Firmware, Store, StoreError,
    db::{Row, Tx, args},
    firmware::offer_in,
};
use doorward_core::{
    record::NewEvent,
    rollout::{Plan, Tally},
};
use doorward_wire::{
    Time,
    device::DeviceId,
    event::Event,
    firmware::{Hardware, Version},
};
use std::{collections::BTreeSet, fmt, str::FromStr};

/// How a rollout stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RolloutState {
    /// It was made, and nobody has agreed to it.
    Draft,
    /// It begins as soon as it may.
    Approved,
    /// Devices are offered it.
    Running,
    /// Nobody is offered it for now.
    Paused,
    /// Enough devices run it.
    Done,
    /// Too many failed, or somebody stopped it.
    Stopped,
    /// Devices that ran it are offered what they ran before.
    RolledBack,
}

impl RolloutState {
    const ALL: [Self; 7] = [Self::Draft, Self::Approved, Self::Running, Self::Paused, Self::Done, Self::Stopped, Self::RolledBack];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Approved => "approved",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Done => "done",
            Self::Stopped => "stopped",
            Self::RolledBack => "rolled_back",
        }
    }
}

impl fmt::Display for RolloutState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for RolloutState {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or_else(|| format!("“{text}” is no state of a rollout"))
    }
}

/// A rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollout {
    /// Its identifier.
    pub id: String,
    /// For which devices.
    pub hardware: Hardware,
    /// What they are to run.
    pub version: Version,
    /// How it goes about it.
    pub plan: Plan,
    /// How it stands.
    pub state: RolloutState,
    /// Why it stands so.
    pub detail: Option<String>,
    /// The group that has begun last, from 0.
    pub group: usize,
    /// When it was made.
    pub created: Time,
    /// When it last changed.
    pub changed: Time,
}

/// A device of a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolloutDevice {
    /// The device.
    pub device: DeviceId,
    /// Its number, which says its group.
    pub bucket: u16,
    /// Its group, from 0.
    pub group: usize,
    /// `waiting`, `offered`, `done` or `failed`.
    pub state: String,
    /// What it ran before.
    pub before: Option<String>,
    /// How often it was offered it.
    pub tries: i64,
    /// Before this it is not offered it again.
    pub not_before: Time,
    /// What went wrong last.
    pub error: Option<String>,
}

const SELECT: &str = "SELECT id, hardware, version, plan_json, state, detail, grp, created_at, changed_at FROM rollouts";
const DEVICES: &str = "SELECT device, bucket, grp, state, before, tries, not_before, error FROM rollout_devices";

impl Store {
    /// Adds a rollout with its devices.
    pub async fn add_rollout(&self, rollout: &Rollout, devices: &[RolloutDevice], event: &NewEvent) -> Result<Event, StoreError> {
        let (mut tx, chain) = self.begin().await?;
        let sql = "INSERT INTO rollouts (id, hardware, version, plan_json, state, grp, created_at, changed_at) \
                   VALUES ($1, $2, $3, $4, $5, 0, $6, $6)";
        let plan = serde_json::to_string(&rollout.plan).map_err(|error| StoreError::Bug(format!("a plan: {error}")))?;
        let args =
            args![rollout.id.as_str(), rollout.hardware.as_str(), rollout.version.as_str(), plan, rollout.state.as_str(), rollout.created];
        tx.execute(sql, args).await?;
        let columns = ["rollout", "device", "bucket", "grp", "state", "before", "tries", "not_before", "changed_at"];
        let row = |device: &RolloutDevice| {
            args![
                rollout.id.as_str(),
                device.device.as_str(),
                i64::from(device.bucket),
                i64::try_from(device.group).unwrap_or_default(),
                device.state.as_str(),
                device.before.as_deref(),
                0_i64,
                Time::default(),
                rollout.created
            ]
        };
        tx.insert("rollout_devices", &columns, &devices.iter().map(row).collect::<Vec<_>>()).await?;
        self.end(tx, chain, event).await
    }

    /// Every rollout, newest first.
    pub async fn rollouts(&self) -> Result<Vec<Rollout>, StoreError> {
        self.db().all(format!("{SELECT} ORDER BY created_at DESC, id"), Vec::new()).await?.iter().map(read).collect()
    }

    /// One rollout.
    pub async fn rollout(&self, id: &str) -> Result<Option<Rollout>, StoreError> {
        let row = self.db().one(format!("{SELECT} WHERE id = $1"), args![id]).await?;
        row.map(|row| read(&row)).transpose()
    }

    /// The devices of a rollout, in the order of their numbers.
    pub async fn rollout_devices(&self, id: &str) -> Result<Vec<RolloutDevice>, StoreError> {
        let sql = format!("{DEVICES} WHERE rollout = $1 ORDER BY bucket, device");
        self.db().all(sql, args![id]).await?.iter().map(read_device).collect()
    }

    /// Says how a rollout stands, unless somebody else did meanwhile; `None` then.
    pub async fn change_rollout(&self, from: &Rollout, to: &Rollout, event: &NewEvent) -> Result<Option<Event>, StoreError> {
        let sql = "UPDATE rollouts SET state = $4, detail = $5, grp = $6, changed_at = $7 WHERE id = $1 AND state = $2 AND grp = $3";
        let number = |group: usize| i64::try_from(group).unwrap_or_default();
        let args = args![
            from.id.as_str(),
            from.state.as_str(),
            number(from.group),
            to.state.as_str(),
            to.detail.as_deref(),
            number(to.group),
            event.time
        ];
        self.change(sql, args, event).await
    }

    /// How many devices of each group stand where. `online` are those that are connected.
    pub async fn tally_rollout(&self, rollout: &Rollout, online: &BTreeSet<DeviceId>) -> Result<Vec<Tally>, StoreError> {
        let mut tallies = vec![Tally::default(); rollout.plan.groups.len()];
        let sql =
            "SELECT grp, state, COUNT(*) AS devices FROM rollout_devices WHERE rollout = $1 AND state <> 'waiting' GROUP BY grp, state";
        for row in self.db().all(sql, args![rollout.id.as_str()]).await? {
            let devices = u32::try_from(row.get::<i64>("devices")?).unwrap_or(u32::MAX);
            let Some(tally) = tallies.get_mut(usize::try_from(row.get::<i64>("grp")?).unwrap_or_default()) else { continue };
            match row.get::<String>("state")?.as_str() {
                "offered" => tally.under_way = devices,
                "done" => tally.done = devices,
                _ => tally.failed = devices,
            }
        }
        let sql = "SELECT grp, device FROM rollout_devices WHERE rollout = $1 AND state = 'waiting'";
        for row in self.db().all(sql, args![rollout.id.as_str()]).await? {
            let Some(tally) = tallies.get_mut(usize::try_from(row.get::<i64>("grp")?).unwrap_or_default()) else { continue };
            let device: DeviceId = row.parse("device")?;
            *(if online.contains(&device) { &mut tally.waiting } else { &mut tally.absent }) += 1;
        }
        Ok(tallies)
    }

    /// Devices of the groups so far that wait and may be offered it now, in their order.
    pub async fn waiting_in_rollout(&self, rollout: &Rollout, now: Time) -> Result<Vec<RolloutDevice>, StoreError> {
        let which = "WHERE rollout = $1 AND state = 'waiting' AND grp <= $2 AND not_before <= $3 ORDER BY grp, bucket, device";
        let group = i64::try_from(rollout.group).unwrap_or_default();
        self.db().all(format!("{DEVICES} {which}"), args![rollout.id.as_str(), group, now]).await?.iter().map(read_device).collect()
    }

    /// Devices of a rollout that were offered it, and of which nothing else is written down.
    pub async fn offered_in_rollout(&self, id: &str) -> Result<Vec<RolloutDevice>, StoreError> {
        let sql = format!("{DEVICES} WHERE rollout = $1 AND state = 'offered' ORDER BY bucket, device");
        self.db().all(sql, args![id]).await?.iter().map(read_device).collect()
    }

    /// Says how far devices of a rollout are.
    pub async fn change_rollout_devices(&self, rollout: &str, devices: &[RolloutDevice], now: Time) -> Result<(), StoreError> {
        if devices.is_empty() {
            return Ok(());
        }
        let mut tx = self.db().write().await?;
        for device in devices {
            change_device(&mut tx, rollout, device, now).await?;
        }
        tx.commit().await
    }

    /// Offers an image to devices of a rollout, all in one commit, each with its event.
    pub async fn offer_in_rollout(
        &self,
        rollout: &str,
        firmware: &Firmware,
        devices: &[(RolloutDevice, NewEvent)],
    ) -> Result<Vec<Event>, StoreError> {
        let (mut tx, mut chain) = self.begin().await?;
        let mut told = Vec::with_capacity(devices.len());
        for (device, event) in devices {
            change_device(&mut tx, rollout, device, event.time).await?;
            offer_in(&mut tx, &device.device, firmware, event.time).await?;
            told.push(chain.append(event));
        }
        chain.finish(&mut tx, self.keys(), self.inner.house).await?;
        tx.commit().await?;
        Ok(told)
    }

    /// A device of a rollout.
    pub async fn rollout_device(&self, rollout: &str, device: &DeviceId) -> Result<Option<RolloutDevice>, StoreError> {
        let row = self.db().one(format!("{DEVICES} WHERE rollout = $1 AND device = $2"), args![rollout, device.as_str()]).await?;
        row.map(|row| read_device(&row)).transpose()
    }
}

async fn change_device(tx: &mut Tx, rollout: &str, device: &RolloutDevice, now: Time) -> Result<(), StoreError> {
    let sql = "UPDATE rollout_devices SET state = $3, tries = $4, not_before = $5, error = $6, before = COALESCE($7, before), changed_at = $8 \
               WHERE rollout = $1 AND device = $2";
    let args = args![
        rollout,
        device.device.as_str(),
        device.state.as_str(),
        device.tries,
        device.not_before,
        device.error.as_deref(),
        device.before.as_deref(),
        now
    ];
    tx.execute(sql, args).await.map(drop)
}

fn read(row: &Row) -> Result<Rollout, StoreError> {
    Ok(Rollout {
        id: row.get("id")?,
        hardware: row.parse("hardware")?,
        version: row.parse("version")?,
        plan: row.json("plan_json")?,
        state: row.parse("state")?,
        detail: row.get("detail")?,
        group: usize::try_from(row.get::<i64>("grp")?).unwrap_or_default(),
        created: row.time("created_at")?,
        changed: row.time("changed_at")?,
    })
}

fn read_device(row: &Row) -> Result<RolloutDevice, StoreError> {
    Ok(RolloutDevice {
        device: row.parse("device")?,
        bucket: u16::try_from(row.get::<i64>("bucket")?).unwrap_or_default(),
        group: usize::try_from(row.get::<i64>("grp")?).unwrap_or_default(),
        state: row.get("state")?,
        before: row.get("before")?,
        tries: row.get("tries")?,
        not_before: row.time("not_before")?,
        error: row.get("error")?,
    })
}
