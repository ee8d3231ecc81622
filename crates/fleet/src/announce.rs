//! Devices in Home Assistant: each with the firmware that it runs, the newest one for it, and a way to update it.

use crate::Fleet;
use doorward_core::keeper::Notice;
use doorward_mqtt::{Install, Mqtt, ShownDevice};
use doorward_store::{Firmware, StoreError};
use doorward_wire::{
    device::{Device, DeviceId, DeviceState},
    event::EventKind,
    firmware::{Channel, Version},
};
use std::{sync::Arc, time::Duration};
use tokio::sync::broadcast::error::RecvError;

/// What changes together is shown together.
const PAUSE: Duration = Duration::from_secs(1);

impl Fleet {
    /// Shows devices as they are and does what is asked of them there, until the fleet stops.
    pub(crate) async fn keep_shown(self, mqtt: Arc<Mqtt>) {
        let (clock, mut stopping, mut notices) = (Arc::clone(self.house().clock()), self.stopping(), self.house().subscribe());
        let Some(mut installs) = mqtt.installs() else { return };
        let mut changed = true;
        loop {
            if std::mem::take(&mut changed)
                && let Err(error) = self.show(&mqtt).await
            {
                tracing::warn!(%error, "devices could not be read, to be shown in Home Assistant");
            }
            // What is asked for is done after this: here whatever comes first would cut it off.
            let install = tokio::select! {
                () = self.registry().learned() => {
                    changed = true;
                    None
                }
                notice = notices.recv() => {
                    match notice {
                        Ok(notice) => changed = is_of_devices(&notice),
                        Err(RecvError::Lagged(_)) => changed = true,
                        Err(RecvError::Closed) => return,
                    }
                    None
                }
                Some(install) = installs.recv() => Some(install),
                _ = stopping.wait_for(|stopping| *stopping) => return,
            };
            if let Some(install) = install {
                self.install(install).await;
            }
            if changed {
                tokio::select! {
                    () = clock.sleep_until(clock.now().mono.plus(PAUSE)) => {}
                    _ = stopping.wait_for(|stopping| *stopping) => return,
                }
            }
        }
    }

    async fn show(&self, mqtt: &Mqtt) -> Result<(), StoreError> {
        if self.house().store().count_devices().await? > self.options().shown {
            mqtt.show_devices(Vec::new());
            return Ok(());
        }
        let devices: Vec<Device> = self.devices().await?.into_iter().filter(|device| device.state != DeviceState::Revoked).collect();
        let firmware = if devices.is_empty() { Vec::new() } else { self.all_firmware().await? };
        mqtt.show_devices(devices.into_iter().map(|device| shown(device, &firmware)).collect());
        Ok(())
    }

    async fn install(&self, Install { device, actor }: Install) {
        let newest = match self.newest_for(&device).await {
            Ok(Some(newest)) => newest,
            Ok(None) => return tracing::warn!(%device, user = actor.id, "there is no stable firmware for this device"),
            Err(error) => return tracing::warn!(%device, %error, "the firmware for this device could not be read"),
        };
        if let Err(error) = self.offer(&device, &newest, false, &actor).await {
            tracing::warn!(%device, version = %newest, user = actor.id, %error, "this device was not offered the newest firmware");
        }
    }

    async fn newest_for(&self, id: &DeviceId) -> Result<Option<Version>, StoreError> {
        let Some(device) = self.device(id).await? else { return Ok(None) };
        Ok(newest(&device, &self.all_firmware().await?).cloned())
    }
}

/// Whether something about devices may have changed.
fn is_of_devices(notice: &Notice) -> bool {
    let Notice::Event(event) = notice else { return false };
    let is_of_firmware = matches!(event.kind, EventKind::FirmwareAdded | EventKind::FirmwareChanged | EventKind::FirmwareRemoved);
    event.device.is_some() || is_of_firmware
}

/// The newest stable firmware for a device.
fn newest<'a>(device: &Device, firmware: &'a [Firmware]) -> Option<&'a Version> {
    let is_for = |firmware: &&Firmware| firmware.hardware == device.hardware && firmware.channel == Channel::Stable;
    firmware.iter().filter(is_for).map(|firmware| &firmware.version).max()
}

fn shown(device: Device, firmware: &[Firmware]) -> ShownDevice {
    let runs = device.firmware.as_ref().and_then(|runs| runs.trim().parse::<Version>().ok());
    // What is older than what it runs is no update.
    let latest = newest(&device, firmware).filter(|newest| runs.as_ref().is_none_or(|runs| *newest > runs));
    ShownDevice {
        latest: latest.map(ToString::to_string),
        online: device.state == DeviceState::Online,
        name: device.name.unwrap_or_else(|| device.id.to_string()),
        hardware: device.hardware.to_string(),
        installed: device.firmware,
        id: device.id,
    }
}
