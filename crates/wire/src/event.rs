//! What is told about doors and accounts, in commit order.

use crate::{
    Time,
    attempt::{Actor, AttemptId, Reason},
    door::DoorId,
    words::words,
};
use alloc::string::String;
use serde::{Deserialize, Serialize};

words! {
    /// What happened, in the past tense.
    pub enum EventKind {
        /// A door was asked to do something; written before it was asked.
        AttemptRequested = "attempt.requested",
        /// An attempt ended, or its end was corrected.
        AttemptFinished = "attempt.finished",
        /// A strike opened, and somebody saw it.
        DoorOpened = "door.opened",
        /// A door was seen locked.
        DoorLocked = "door.locked",
        /// A door was seen unlocked.
        DoorUnlocked = "door.unlocked",
        /// A command was sent and nobody saw what came of it.
        DoorUnconfirmed = "door.unconfirmed",
        /// A door was seen to do the opposite of what was asked.
        DoorContradicted = "door.contradicted",
        /// A command was refused.
        DoorRefused = "door.refused",
        /// A command failed.
        DoorFailed = "door.failed",
        /// Somebody rang.
        DoorRing = "door.ring",
        /// A ring ended: somebody did something about it, or nobody did.
        DoorRingEnded = "door.ring_ended",
        /// So many rang through one account that some were not taken; one row for each account and minute.
        DoorRingsDropped = "door.rings_dropped",
        /// A command was published to be retained, and so did nothing.
        MqttRetainedCommand = "mqtt.retained_command",
        /// An MQTT user was added, changed or removed.
        MqttUserChanged = "mqtt.user_changed",
        /// Events were too many or too old to be published when the MQTT broker came back; they are in the audit.
        MqttEventsDropped = "mqtt.events_dropped",
        /// A key of the tunnel was refused something; one row for each key, reason and minute.
        TunnelRefused = "tunnel.refused",
        /// A key of the tunnel was added, changed, rotated or revoked.
        TunnelKeyChanged = "tunnel.key_changed",
        /// The bolt is stuck.
        DoorJammed = "door.jammed",
        /// The battery is low, or was changed.
        DoorBattery = "door.battery",
        /// The door can no longer be reached.
        DoorOffline = "door.offline",
        /// The door can be reached again.
        DoorOnline = "door.online",
        /// Somebody opened a door who is forced to; told to those who are to know.
        DoorDuress = "door.duress",
        /// A pass was made.
        PassCreated = "pass.created",
        /// A pass was changed: other doors, another time.
        PassChanged = "pass.changed",
        /// A guest used a pass.
        PassUsed = "pass.used",
        /// A pass was taken back.
        PassRevoked = "pass.revoked",
        /// What a lock keeps for a pass was set, or could not be.
        PassSet = "pass.set",
        /// Somebody was given a right to open, or a right was changed or taken back.
        GrantChanged = "grant.changed",
        /// A door came to be known.
        DoorAdded = "door.added",
        /// A door is gone at the vendor, or was removed.
        DoorRemoved = "door.removed",
        /// The PIN codes at a door were changed through doorward.
        DoorCodes = "door.codes_changed",
        /// An account was added.
        AccountAdded = "account.added",
        /// An account was removed.
        AccountRemoved = "account.removed",
        /// A person signed an account in.
        AccountSignedIn = "account.signed_in",
        /// An account was registered as a device at the vendor.
        AccountRegistered = "account.registered",
        /// A part of it that was registered is not used any more.
        AccountUnregistered = "account.unregistered",
        /// A client certificate was made.
        AccountCertificateCreated = "account.certificate_created",
        /// An account's secrets were given out, for another program.
        AccountExported = "account.exported",
        /// A client certificate was renewed.
        AccountCertificateRenewed = "account.certificate_renewed",
        /// A token or other lease was renewed ahead of time.
        AccountRenewed = "account.renewed",
        /// The vendor refused to renew: a person must sign in.
        AccountNeedsSignIn = "account.needs_sign_in",
        /// A device of the fleet was given its credentials.
        DeviceProvisioned = "device.provisioned",
        /// A device of the fleet connected to the broker.
        DeviceOnline = "device.online",
        /// A device of the fleet was not connected for a while.
        DeviceOffline = "device.offline",
        /// A device of the fleet got other secrets.
        DeviceRenewed = "device.renewed",
        /// A device of the fleet lost its rights.
        DeviceRevoked = "device.revoked",
        /// A device of the fleet may fetch its credentials itself for a while, or may not any more.
        DeviceClaimChanged = "device.claim_changed",
        /// Two asked for the credentials of one device, or the one who did never came to the broker: it got other secrets.
        DeviceClaimContested = "device.claim_contested",
        /// What people call a device of the fleet, or its hardware, was changed.
        DeviceChanged = "device.changed",
        /// Firmware was added.
        FirmwareAdded = "firmware.added",
        /// For whom firmware is meant was changed.
        FirmwareChanged = "firmware.changed",
        /// Firmware was removed.
        FirmwareRemoved = "firmware.removed",
        /// Firmware was offered to a device.
        FirmwareOffered = "firmware.offered",
        /// A rollout was made, or goes another way: approved, paused, going on, stopped, done, taken back.
        RolloutChanged = "rollout.changed",
        /// The update of a device ended: it is done, failed, or was withdrawn.
        FirmwareProgress = "firmware.progress",
        /// A device of the fleet was told to do something.
        DeviceCommanded = "device.commanded",
        /// Somebody signed in to doorward.
        PersonSignedIn = "person.signed_in",
        /// A sign-in was refused.
        PersonRefused = "person.refused",
        /// A person was added, changed or removed.
        PersonChanged = "person.changed",
        /// A token was made or removed.
        TokenChanged = "token.changed",
        /// A webhook was added, changed or removed.
        WebhookChanged = "webhook.changed",
        /// An endpoint said that it is gone, so nothing is sent there any more.
        WebhookDisabled = "webhook.disabled",
        /// Callers without credentials were refused; one row for each reason, source and minute.
        RequestsRefused = "requests.refused",
        /// A setting was changed.
        SettingsChanged = "settings.changed",
        /// doorward started.
        Started = "doorward.started",
        /// Old events were removed; a signed checkpoint stands for them.
        EventsPruned = "events.pruned",
        /// A backup was written.
        BackupMade = "backup.made",
    }
}

/// One event. Its body stands in the hash-chained audit; the actor's name does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Event {
    /// Decimal sequence in commit order, without gaps.
    pub id: i64,
    /// When it happened.
    pub time: Time,
    /// What happened.
    pub kind: EventKind,
    /// The door that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub door: Option<DoorId>,
    /// The vendor account that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The device that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Who did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Actor>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// The attempt that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = "uuid"))]
    pub attempt: Option<AttemptId>,
    /// More about it, by kind of event.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub data: serde_json::Value,
}
