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
            _ if event.data["command"] == "restart" => by(&format!("restarted device {device}"), &format!("Device {device} was restarted")),
            _ => by(&format!("asked something of device {device}"), &format!("Something was asked of device {device}")),
        }
    }
}
