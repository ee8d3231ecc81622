//! What is said about devices.

use super::Texts;
use doorward_wire::event::{Event, EventKind};

impl Texts {
    /// What happened to a device, as a sentence.
    #[expect(clippy::wildcard_enum_match_arm, reason = "kinds of other subjects do not come here")]
    pub(super) fn of_device(&self, event: &Event) -> String {
        let device = event.device.as_deref().unwrap_or_default();
        let by = |did: &str, done: &str| match &event.actor {
            Some(actor) => format!("{} {did}", super::event::sentence(&self.actor(actor))),
            None => done.to_owned(),
        };
        let firmware = event.data["version"].as_str().unwrap_or_default();
        match event.kind {
            EventKind::DeviceProvisioned => by(&format!("provisioned device {device}"), &format!("Device {device} was provisioned")),
            EventKind::DeviceOnline => format!("Device {device} is online"),
            EventKind::DeviceOffline => format!("Device {device} is offline"),
            EventKind::DeviceRenewed => by(&format!("gave device {device} other secrets"), &format!("Device {device} got other secrets")),
            EventKind::DeviceRevoked => by(&format!("revoked device {device}"), &format!("Device {device} was revoked")),
            EventKind::DeviceClaimChanged if event.data["open"] == true => {
                by(&format!("opened a claim for device {device}"), &format!("A claim for device {device} was opened"))
            }
            EventKind::DeviceClaimChanged => {
                by(&format!("closed the claim of device {device}"), &format!("The claim of device {device} was closed"))
            }
            EventKind::DeviceClaimContested if event.data["why"] == "silent" => {
                format!("Somebody fetched the secrets of device {device}, and it never came to the broker: it got others")
            }
            EventKind::DeviceClaimContested => format!("Two asked for the secrets of device {device}: it got others"),
            EventKind::DeviceChanged => by(&format!("changed device {device}"), &format!("Device {device} was changed")),
            EventKind::FirmwareAdded => by(&format!("added firmware {firmware}"), &format!("Firmware {firmware} was added")),
            EventKind::FirmwareChanged => by(&format!("changed firmware {firmware}"), &format!("Firmware {firmware} was changed")),
            EventKind::FirmwareRemoved => by(&format!("removed firmware {firmware}"), &format!("Firmware {firmware} was removed")),
            EventKind::FirmwareOffered => by(
                &format!("offered firmware {firmware} to device {device}"),
                &format!("Firmware {firmware} was offered to device {device}"),
            ),
            EventKind::RolloutChanged => {
                let state = event.data["state"].as_str().unwrap_or("changed").replace('_', " ");
                let why = event.data["detail"].as_str().map(|why| format!(": {why}")).unwrap_or_default();
                by(&format!("changed the rollout of {firmware}: {state}"), &format!("The rollout of {firmware} is {state}{why}"))
            }
            EventKind::FirmwareProgress => updated(event, device, firmware),
            _ if event.data["command"] == "restart" => by(&format!("restarted device {device}"), &format!("Device {device} was restarted")),
            _ => by(&format!("asked something of device {device}"), &format!("Something was asked of device {device}")),
        }
    }
}

fn updated(event: &Event, device: &str, firmware: &str) -> String {
    let why = event.data["error"].as_str().map(|why| format!(": {why}")).unwrap_or_default();
    match event.data["state"].as_str() {
        Some("done") => format!("Device {device} runs {firmware} now"),
        Some("withdrawn") => format!("Device {device} is offered {firmware} no more"),
        _ => format!("Device {device} did not take {firmware}{why}"),
    }
}
