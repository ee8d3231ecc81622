//! Users of devices at another broker: made when a device is provisioned, removed when it is revoked, and tried again until
//! it is so. The row says what is to be done; whoever is killed in between does it again.

use crate::{Fleet, lock};
use doorward_core::Mono;
use doorward_store::{BrokerUser, StoreError, StoredDevice};
use doorward_wire::device::DeviceId;
use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::Notify;

/// Devices that are settled at the same time.
const AT_ONCE: usize = 4;
/// Those that are read at once.
const MANY: u32 = 200;
/// How often it is looked for what is to be tried again.
const LOOK: Duration = Duration::from_secs(5);
/// The longest pause between two tries of one device.
const LONGEST: Duration = Duration::from_mins(5);

/// Who is settled, and who waits.
pub(crate) struct Settling {
    /// One try at a time for a device.
    turns: [tokio::sync::Mutex<()>; 16],
    /// How often it failed, and when it is tried again.
    failed: Mutex<HashMap<DeviceId, (u32, Mono)>>,
    more: Notify,
}

impl Default for Settling {
    fn default() -> Self {
        Self { turns: std::array::from_fn(|_| tokio::sync::Mutex::default()), failed: Mutex::default(), more: Notify::new() }
    }
}

impl Settling {
    fn turn(&self, id: &DeviceId) -> &tokio::sync::Mutex<()> {
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        let [first, ..] = &self.turns;
        let number = usize::try_from(hasher.finish() % 16).unwrap_or_default();
        self.turns.get(number).unwrap_or(first)
    }

    /// Somebody is to be settled.
    pub(crate) fn wake(&self) {
        self.more.notify_one();
    }
}

impl Fleet {
    /// Brings a device's user at the broker to where it should be, and gives the device as it then is.
    pub(crate) async fn settle(&self, id: &DeviceId) -> Result<Option<StoredDevice>, StoreError> {
        let _turn = self.settling().turn(id).lock().await;
        let store = self.house().store();
        let Some(device) = store.device(id).await? else { return Ok(None) };
        let Some(mqtt) = self.mqtt() else { return Ok(Some(device)) };
        let result = match &device.broker {
            BrokerUser::Settled => return Ok(Some(device)),
            BrokerUser::Making { .. } => mqtt.settle_device(id, &device.user, &device.secrets.password).await,
            BrokerUser::Removing { .. } => mqtt.remove_device(id, &device.user).await,
        };
        let error = result.err().map(|error| error.to_string());
        if let Some(error) = &error {
            tracing::warn!(device = %id, error, "the broker does not have this device's user as it should be; it is tried again");
        }
        self.note_try(id, error.is_some());
        let standing = match (&device.broker, error) {
            (BrokerUser::Making { .. }, Some(error)) => BrokerUser::Making { error: Some(error) },
            (BrokerUser::Removing { .. }, Some(error)) => BrokerUser::Removing { error: Some(error) },
            (_, _) => BrokerUser::Settled,
        };
        // Secrets that changed meanwhile are another task, and the row says so.
        store.set_device_broker(id, device.epoch, &standing).await?;
        store.device(id).await
    }

    fn note_try(&self, id: &DeviceId, failed: bool) {
        let mut all = lock(&self.settling().failed);
        if !failed {
            all.remove(id);
            return;
        }
        let now = self.house().now().mono;
        let (count, next) = all.entry(id.clone()).or_insert((0, now));
        *count += 1;
        *next = now.plus((LOOK * 2u32.saturating_pow((*count).min(10))).min(LONGEST));
    }

    /// Settles whoever is not, until the fleet stops.
    pub(crate) async fn keep_settled(self) {
        let (clock, mut stopping) = (Arc::clone(self.house().clock()), self.stopping());
        loop {
            tokio::select! {
                () = clock.sleep_until(clock.now().mono.plus(LOOK)) => {}
                () = self.settling().more.notified() => {}
                _ = stopping.wait_for(|stopping| *stopping) => return,
            }
            if let Err(error) = self.settle_some().await {
                tracing::warn!(%error, "devices whose users at the broker are not made could not be read");
            }
        }
    }

    async fn settle_some(&self) -> Result<(), StoreError> {
        let (mut after, now) = (None, self.house().now().mono);
        loop {
            let some = self.house().store().unsettled_devices(after.as_ref(), MANY).await?;
            let Some(last) = some.last() else { return Ok(()) };
            after = Some(last.clone());
            let due: Vec<DeviceId> = {
                let failed = lock(&self.settling().failed);
                some.into_iter().filter(|id| failed.get(id).is_none_or(|(_, next)| *next <= now)).collect()
            };
            for some in due.chunks(AT_ONCE) {
                let mut tasks = tokio::task::JoinSet::new();
                for id in some {
                    let (fleet, id) = (self.clone(), id.clone());
                    tasks.spawn(async move { fleet.settle(&id).await.map(drop) });
                }
                while let Some(done) = tasks.join_next().await {
                    done.unwrap_or(Ok(()))?;
                }
            }
        }
    }
}
