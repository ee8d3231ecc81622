//! Claims: an operator lets a device fetch its credentials itself for a while.
//!
//! Whoever asks first is taken to be the device, and its address is written down before it is answered. A request from
//! another address ends the claim: one of the two was a stranger, so the device gets other secrets in the same commit.

use crate::{
    Store, StoreError,
    db::{Row, args},
    devices::{BrokerUser, DeviceSecrets, StoredDevice},
};
use doorward_core::record::NewEvent;
use doorward_wire::{Time, device::DeviceId, event::Event};

/// A claim that was opened for a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The device.
    pub device: DeviceId,
    /// When it ends; `None` when it stands until somebody closes it.
    pub until: Option<Time>,
    /// The network from which it counts, as text.
    pub network: Option<String>,
    /// The address that asked first.
    pub claimed_by: Option<String>,
    /// When that was.
    pub claimed: Option<Time>,
}

/// What a request within a claim comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claimed {
    /// No claim is open.
    No,
    /// It is the first one, or from the same address.
    Yes,
    /// Somebody else asked before: the claim is over, the device has other secrets, and these events tell of it.
    Contested(Box<StoredDevice>, Vec<Event>),
}

/// What a contested claim leads to.
#[derive(Debug, Clone)]
pub struct Contest {
    /// The other secrets.
    pub secrets: DeviceSecrets,
    /// How far its user at the broker is then.
    pub broker: BrokerUser,
    /// What is told about it.
    pub event: NewEvent,
}

const SELECT: &str = "SELECT device, until, network, claimed_by, claimed_at FROM device_claims";

impl Store {
    /// Opens a claim, in the place of one that there is.
    pub async fn open_claim(&self, claim: &Claim, event: &NewEvent) -> Result<Option<Event>, StoreError> {
        let sql = "INSERT INTO device_claims (device, until, network) SELECT id, $2, $3 FROM devices WHERE id = $1 AND revoked_at IS NULL \
                   ON CONFLICT (device) DO UPDATE SET until = excluded.until, network = excluded.network, claimed_by = NULL, \
                   claimed_at = NULL";
        self.change(sql, args![claim.device.as_str(), claim.until, claim.network.as_deref()], event).await
    }

    /// Closes a claim.
    pub async fn close_claim(&self, device: &DeviceId, event: &NewEvent) -> Result<Option<Event>, StoreError> {
        self.change("DELETE FROM device_claims WHERE device = $1", args![device.as_str()], event).await
    }

    /// The claim of a device, open or not.
    pub async fn claim(&self, device: &DeviceId) -> Result<Option<Claim>, StoreError> {
        let row = self.db().one(format!("{SELECT} WHERE device = $1"), args![device.as_str()]).await?;
        row.map(|row| read(&row)).transpose()
    }

    /// Every claim.
    pub async fn claims(&self) -> Result<Vec<Claim>, StoreError> {
        self.db().all(format!("{SELECT} ORDER BY device"), Vec::new()).await?.iter().map(read).collect()
    }

    /// Removes claims that nobody made use of in time.
    pub async fn purge_claims(&self, now: Time) -> Result<(), StoreError> {
        let sql = "DELETE FROM device_claims WHERE until IS NOT NULL AND until <= $1 AND claimed_at IS NULL";
        self.db().execute(sql, args![now]).await.map(drop)
    }

    /// Takes a request from an address for the device's own, if its claim allows that.
    pub async fn take_claim(&self, device: &DeviceId, address: &str, now: Time, contest: &Contest) -> Result<Claimed, StoreError> {
        let (mut tx, mut chain) = self.begin().await?;
        let row = tx.one(format!("{SELECT} WHERE device = $1"), args![device.as_str()]).await?;
        let Some(claim) = row.map(|row| read(&row)).transpose()?.filter(|claim| claim.until.is_none_or(|until| until > now)) else {
            return Ok(Claimed::No);
        };
        match claim.claimed_by {
            Some(known) if known == address => return Ok(Claimed::Yes),
            None => {
                let sql = "UPDATE device_claims SET claimed_by = $2, claimed_at = $3 WHERE device = $1";
                tx.execute(sql, args![device.as_str(), address, now]).await?;
                tx.commit().await?;
                return Ok(Claimed::Yes);
            }
            Some(_) => {}
        }
        let Some(stored) = self.renew_in(&mut tx, device, &contest.secrets, &contest.broker).await? else { return Ok(Claimed::No) };
        let event = chain.append(&contest.event);
        chain.finish(&mut tx, self.keys(), self.inner.house).await?;
        tx.commit().await?;
        Ok(Claimed::Contested(Box::new(stored), vec![event]))
    }
}

fn read(row: &Row) -> Result<Claim, StoreError> {
    Ok(Claim {
        device: row.parse("device")?,
        until: row.time_option("until")?,
        network: row.get("network")?,
        claimed_by: row.get("claimed_by")?,
        claimed: row.time_option("claimed_at")?,
    })
}
