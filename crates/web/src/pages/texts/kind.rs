//! Kinds of events, as the filter lists them.

use super::Texts;
use doorward_wire::event::EventKind;

impl Texts {
    /// A kind of event in a few words, and the group under which it is listed.
    pub(crate) const fn event_kind(&self, kind: EventKind) -> (&'static str, &'static str) {
        match kind {
            EventKind::AttemptRequested => ("Command given", "Commands"),
            EventKind::AttemptFinished => ("Command ended", "Commands"),
            EventKind::DoorUnconfirmed => ("Unconfirmed", "Commands"),
            EventKind::DoorContradicted => ("Contradicted", "Commands"),
            EventKind::DoorRefused => ("Refused", "Commands"),
            EventKind::DoorFailed => ("Failed", "Commands"),
            EventKind::DoorOpened => ("Opened", "Doors"),
            EventKind::DoorLocked => ("Locked", "Doors"),
            EventKind::DoorUnlocked => ("Unlocked", "Doors"),
            EventKind::DoorRing => ("Bell rang", "Doors"),
            EventKind::DoorRingEnded => ("Ring ended", "Doors"),
            EventKind::DoorRingsDropped => ("Too many rings", "Doors"),
            EventKind::MqttEventsDropped => ("Events not published", "doorward"),
            EventKind::MqttRetainedCommand => ("Kept command", "Doors"),
            EventKind::MqttUserChanged => ("MQTT user changed", "People"),
            EventKind::TunnelRefused => ("Refused by the tunnel", "Doors"),
            EventKind::TunnelKeyChanged => ("Tunnel key changed", "People"),
            EventKind::DoorJammed => ("Jammed", "Doors"),
            EventKind::DoorBattery => ("Battery", "Doors"),
            EventKind::DoorOffline => ("Went offline", "Doors"),
            EventKind::DoorOnline => ("Came back", "Doors"),
            EventKind::DoorAdded => ("Found", "Doors"),
            EventKind::DoorRemoved => ("Removed", "Doors"),
            EventKind::DoorCodes => ("Codes changed", "Doors"),
            EventKind::AccountAdded => ("Account added", "Accounts"),
            EventKind::AccountRemoved => ("Account removed", "Accounts"),
            EventKind::AccountSignedIn => ("Account signed in", "Accounts"),
            EventKind::AccountRegistered => ("Account registered", "Accounts"),
            EventKind::AccountUnregistered => ("Gateway forgotten", "Accounts"),
            EventKind::AccountCertificateCreated => ("Certificate made", "Accounts"),
            EventKind::AccountExported => ("Secrets exported", "Accounts"),
            EventKind::AccountCertificateRenewed => ("Certificate renewed", "Accounts"),
            EventKind::AccountRenewed => ("Token renewed", "Accounts"),
            EventKind::AccountNeedsSignIn => ("Needs sign-in", "Accounts"),
            EventKind::DeviceProvisioned => ("Device provisioned", "Fleet"),
            EventKind::PersonSignedIn => ("Person signed in", "People"),
            EventKind::PersonRefused => ("Sign-in refused", "People"),
            EventKind::PersonChanged => ("Person changed", "People"),
            EventKind::TokenChanged => ("Token changed", "People"),
            EventKind::WebhookChanged => ("Webhook changed", "doorward"),
            EventKind::WebhookDisabled => ("Webhook disabled", "doorward"),
            EventKind::RequestsRefused => ("Requests refused", "People"),
            EventKind::SettingsChanged => ("Settings changed", "doorward"),
            EventKind::Started => ("Started", "doorward"),
            EventKind::EventsPruned => ("Old events removed", "doorward"),
            EventKind::BackupMade => ("Backup made", "doorward"),
        }
    }
}
