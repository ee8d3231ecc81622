//! Compares the users that devices should have at another broker with those that they have, and puts right what differs.
//!
//! The embedded broker has nothing to compare: there a device's user follows from the device.

use crate::{DeskError, Fleet};
use doorward_mqtt::{devices::Standing, users::UserError};
use doorward_store::{BrokerUser, StoredDevice};
use doorward_wire::device::DeviceId;
use std::collections::{BTreeMap, BTreeSet};

/// Devices that are tried at the same time.
const AT_ONCE: usize = 4;
/// What names of the other derivation begin with.
const PREFIX: &str = "ble-gateway-";

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The device, or the one that a user there is called like.
    pub device: DeviceId,
    /// What is wrong, for a person.
    pub what: String,
    /// Whether it was put right.
    pub repaired: bool,
    /// Why it was not.
    pub why: Option<String>,
}

/// What was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looked {
    /// How many devices.
    pub devices: usize,
    /// What was found.
    pub findings: Vec<Finding>,
    /// Where it goes on.
    pub next: Option<DeviceId>,
}

impl Fleet {
    /// Looks at some devices, in the order of their identifiers; at the beginning also at users there that no device has.
    pub async fn doctor(&self, after: Option<&DeviceId>, most: usize, repair: bool) -> Result<Looked, DeskError> {
        let Some(mqtt) = self.mqtt().filter(|mqtt| mqtt.keeps_users_elsewhere()) else {
            let devices = self.house().store().devices().await?.len();
            return Ok(Looked { devices, findings: Vec::new(), next: None });
        };
        let there: BTreeSet<String> = mqtt.users_elsewhere().await.map_err(broker)?.into_iter().collect();
        let all = self.house().store().devices().await?;
        let mut findings = if after.is_none() { self.strangers(&there, &all, repair).await } else { Vec::new() };
        let rest: Vec<StoredDevice> = all.into_iter().filter(|device| after.is_none_or(|after| device.id > *after)).collect();
        let next = rest.get(most.saturating_sub(1)).filter(|_| rest.len() > most).map(|device| device.id.clone());
        let some: Vec<StoredDevice> = rest.into_iter().take(most).collect();
        let devices = some.len();
        for some in some.chunks(AT_ONCE) {
            let mut tasks = tokio::task::JoinSet::new();
            for device in some.iter().filter(|device| device.revoked.is_none()) {
                let (fleet, device, known) = (self.clone(), device.clone(), there.contains(&device.user));
                tasks.spawn(async move { fleet.look_at(&device, known, repair).await });
            }
            while let Some(found) = tasks.join_next().await {
                if let Ok(found) = found {
                    findings.extend(found?);
                }
            }
        }
        findings.sort_by(|a, b| a.device.cmp(&b.device));
        Ok(Looked { devices, findings, next })
    }

    async fn look_at(&self, device: &StoredDevice, known: bool, repair: bool) -> Result<Option<Finding>, DeskError> {
        let Some(mqtt) = self.mqtt() else { return Ok(None) };
        let what = if known {
            match mqtt.prove_device(&device.id, &device.user, &device.secrets.password).await {
                Standing::Right if device.broker == BrokerUser::Settled => return Ok(None),
                Standing::Right => "its user is there, and was not yet known to be".to_owned(),
                Standing::Loose(what) => format!("the broker lets it {what} what it has no right to"),
                Standing::Out(why) => why,
            }
        } else {
            "it has no user at the broker".to_owned()
        };
        let mut finding = Finding { device: device.id.clone(), what, repaired: false, why: None };
        if repair {
            self.house().store().set_device_broker(&device.id, device.epoch, &BrokerUser::Making { error: None }).await?;
            let after = self.settle(&device.id).await?.map(|device| device.broker);
            finding.repaired = after == Some(BrokerUser::Settled);
            if let Some(BrokerUser::Making { error } | BrokerUser::Removing { error }) = after {
                finding.why = error;
            }
        }
        Ok(Some(finding))
    }

    /// Users there that are called like a device, and that no device with rights has.
    async fn strangers(&self, there: &BTreeSet<String>, all: &[StoredDevice], repair: bool) -> Vec<Finding> {
        let own: BTreeMap<&str, &StoredDevice> = all.iter().map(|device| (device.user.as_str(), device)).collect();
        let mut findings = Vec::new();
        for name in there {
            let Ok(device) = name.strip_prefix(PREFIX).unwrap_or(name).parse::<DeviceId>() else { continue };
            if own.get(name.as_str()).is_some_and(|device| device.revoked.is_none()) {
                continue;
            }
            let what = format!("the user {name} is at the broker, and no device has it");
            let mut finding = Finding { device: device.clone(), what, repaired: false, why: None };
            if let Some(mqtt) = self.mqtt().filter(|_| repair) {
                let removed = mqtt.remove_device(&device, name).await;
                finding.repaired = removed.is_ok();
                finding.why = removed.err().map(|error| error.to_string());
            }
            findings.push(finding);
        }
        findings
    }
}

fn broker(error: UserError) -> DeskError {
    if let UserError::Store(error) = error { DeskError::Store(error) } else { DeskError::Pending(error.to_string()) }
}
