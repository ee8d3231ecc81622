//! Events as sentences: who did what at which door, and how far that is known.

use super::{Texts, state::Tone};
use doorward_wire::{
    attempt::{ActionWord, AttemptState, Reason},
    event::{Event, EventKind},
};
use serde_json::Value;

/// The names that an event only hints at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Names<'a> {
    pub(crate) door: &'a str,
    pub(crate) account: &'a str,
}

impl Texts {
    /// What happened, as a sentence.
    pub(crate) fn event(&self, event: &Event, names: Names<'_>) -> String {
        let (door, account) = (names.door, names.account);
        let by = |did: &str, done: &str| match &event.actor {
            Some(actor) => format!("{} {did}", sentence(&self.actor(actor))),
            None => done.to_owned(),
        };
        let changed = |what: &str, field: &str| {
            let name = event.data[field].as_str().unwrap_or_default();
            let change = event.data["change"].as_str().unwrap_or("changed");
            by(&format!("{change} {what} {name}"), &format!("{} {name} was {change}", sentence(what)))
        };
        match event.kind {
            EventKind::AttemptRequested => {
                let what = self.action(action(event)).0.to_lowercase();
                by(&format!("asked to {what} {door}"), &format!("{door} was asked to {what}"))
            }
            EventKind::AttemptFinished => self.finished(event, door),
            // With an attempt it was seen that the door did what it was asked.
            EventKind::DoorOpened => by(&format!("opened {door} – confirmed"), &format!("{door} was opened")),
            EventKind::DoorLocked => by(&format!("locked {door} – confirmed"), &format!("{door} was locked")),
            EventKind::DoorUnlocked => by(&format!("unlocked {door} – confirmed"), &format!("{door} was unlocked")),
            EventKind::DoorUnconfirmed => self.ended(event, door, AttemptState::Unconfirmed),
            EventKind::DoorContradicted => self.ended(event, door, AttemptState::Contradicted),
            EventKind::DoorRefused => self.ended(event, door, AttemptState::Refused),
            EventKind::DoorFailed => self.ended(event, door, AttemptState::Failed),
            EventKind::DoorDuress
            | EventKind::PassCreated
            | EventKind::PassChanged
            | EventKind::PassRevoked
            | EventKind::PassUsed
            | EventKind::PassSet
            | EventKind::GrantChanged => self.right_event(event, door, &by),
            EventKind::DoorRing => format!("Somebody rang at {door}"),
            EventKind::DoorRingEnded | EventKind::DoorRingsDropped => self.ring_ended(event, names),
            EventKind::MqttRetainedCommand => by(
                &format!("sent a command to {door} that was to be kept; it did nothing"),
                &format!("A kept command for {door} did nothing"),
            ),
            EventKind::MqttEventsDropped => format!("{} events were too many for the MQTT broker when it came back", event.data["count"]),
            EventKind::TunnelRefused => by("was refused by the tunnel", "A tunnel key was refused"),
            EventKind::TunnelKeyChanged => changed("tunnel key", "key"),
            EventKind::MqttUserChanged => changed("MQTT user", "user"),
            EventKind::DoorJammed => format!("{door} is jammed"),
            EventKind::DoorBattery if event.data["low"] == true => {
                format!("The battery of {door} is low: {} %", event.data["battery"])
            }
            EventKind::DoorBattery => format!("The battery of {door} is good again: {} %", event.data["battery"]),
            EventKind::DoorOffline => format!("{door} cannot be reached"),
            EventKind::DoorOnline => format!("{door} can be reached again"),
            EventKind::DoorAdded => format!("{door} was found"),
            EventKind::DoorRemoved => by(&format!("removed {door}"), &format!("{door} was removed")),
            EventKind::DoorCodes => by(&format!("{} {door}", code_changed(event)), &format!("The codes at {door} were changed")),
            EventKind::AccountAdded => by(&format!("added account {account}"), &format!("Account {account} was added")),
            EventKind::AccountRemoved => by(&format!("removed account {account}"), &format!("Account {account} was removed")),
            EventKind::AccountSignedIn => format!("{account} was signed in"),
            EventKind::AccountRegistered => format!("{account} was registered as a device"),
            EventKind::AccountUnregistered => format!("A gateway of {account} was forgotten"),
            EventKind::AccountCertificateCreated => format!("{account} got a client certificate"),
            EventKind::AccountExported => {
                by(&format!("exported the secrets of {account}"), &format!("The secrets of {account} were exported"))
            }
            EventKind::AccountCertificateRenewed => format!("The certificate of {account} was renewed"),
            EventKind::AccountRenewed => format!("{account} was renewed ahead of time"),
            EventKind::AccountNeedsSignIn => format!("{account} must be signed in again"),
            EventKind::DeviceProvisioned
            | EventKind::DeviceOnline
            | EventKind::DeviceOffline
            | EventKind::DeviceRenewed
            | EventKind::DeviceRevoked
            | EventKind::DeviceClaimChanged
            | EventKind::DeviceClaimContested
            | EventKind::DeviceChanged
            | EventKind::FirmwareAdded
            | EventKind::FirmwareChanged
            | EventKind::FirmwareRemoved
            | EventKind::FirmwareOffered
            | EventKind::FirmwareProgress
            | EventKind::RolloutChanged
            | EventKind::DeviceCommanded => self.of_device(event),
            EventKind::PersonSignedIn => by("signed in", "Somebody signed in"),
            EventKind::PersonRefused => match &event.actor {
                Some(actor) => format!("A sign-in as {} was refused", self.actor(actor)),
                None => "A sign-in was refused".into(),
            },
            EventKind::PersonChanged => by(person(event), "A person was changed"),
            EventKind::TokenChanged => by(token(event), "A token was changed"),
            EventKind::WebhookChanged if event.data["change"] == "rotated" => {
                let webhook = word(event, "webhook");
                by(&format!("made a new secret for webhook {webhook}"), &format!("Webhook {webhook} got a new secret"))
            }
            EventKind::WebhookChanged => changed("webhook", "webhook"),
            EventKind::WebhookDisabled => format!("Webhook {} was disabled: its endpoint is gone", word(event, "webhook")),
            EventKind::RequestsRefused => requests_refused(event.data["count"].as_u64()),
            EventKind::SettingsChanged => {
                let about = settings_of(event, names);
                by(&format!("changed settings of {about}"), &format!("Settings of {about} were changed"))
            }
            EventKind::Started => "doorward started".into(),
            EventKind::EventsPruned => "Old events were removed".into(),
            EventKind::BackupMade => by("made a backup", "A backup was made"),
        }
    }

    fn finished(&self, event: &Event, door: &str) -> String {
        let state = event.data["state"].as_str().and_then(|state| state.parse().ok()).unwrap_or(AttemptState::Pending);
        let corrected = if event.data["corrected"] == true { " after all" } else { "" };
        self.ended(event, door, state) + corrected
    }

    /// `Unlock Front door by Anna – unconfirmed`.
    fn ended(&self, event: &Event, door: &str, state: AttemptState) -> String {
        let what = self.action(action(event)).2;
        let who = event.actor.as_ref().map_or_else(String::new, |actor| format!(" by {}", self.actor(actor)));
        format!("{what} {door}{who} – {}", self.verdict(state).word.to_lowercase())
    }

    /// What else is to be said about it.
    pub(crate) fn event_note(&self, event: &Event) -> String {
        if event.kind == EventKind::DoorRefused && event.data["how"] == "ble" {
            return self.refused_over_bluetooth(event);
        }
        let key = if event.kind == EventKind::RequestsRefused {
            "source"
        } else if event.kind == EventKind::Started {
            "version"
        } else if event.kind == EventKind::DoorCodes {
            "name"
        } else if event.kind == EventKind::DoorRing {
            "from"
        } else {
            "detail"
        };
        let told = event.data[key].as_str();
        let reason = event.reason.filter(|_| told.is_none()).map(|reason| self.reason(reason));
        let list = match (&event.data["changed"], &event.data["scopes"]) {
            (Value::Array(list), _) | (_, Value::Array(list)) => list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
            _ => String::new(),
        };
        told.or(reason).map_or(list, ToOwned::to_owned)
    }

    /// Why a lock over Bluetooth turned a phone away, and how loud that was: `seen before · Bluetooth, -39 dBm`.
    fn refused_over_bluetooth(&self, event: &Event) -> String {
        let about = &event.data["about"];
        let is_token = matches!(about["how"].as_str(), Some("token" | "hinted token"));
        let why = match event.reason {
            // A token tells whose it is to those alone who wait for it.
            Some(Reason::NotEnrolled) if is_token => "an old token, or of no session here",
            Some(reason) => self.reason(reason),
            None => "refused",
        };
        let rssi = about["rssi"].as_i64().map_or_else(String::new, |rssi| format!(", {rssi}\u{a0}dBm"));
        format!("{why} · Bluetooth{rssi}")
    }

    /// The icon and tone of an event.
    pub(crate) fn event_face(&self, event: &Event) -> (&'static str, Tone) {
        match event.kind {
            EventKind::AttemptRequested => ("send", "calm"),
            EventKind::AttemptFinished => match event.data["state"].as_str().and_then(|state| state.parse::<AttemptState>().ok()) {
                Some(state) => (self.verdict(state).icon, self.verdict(state).tone),
                None => ("check", "calm"),
            },
            EventKind::DoorDuress => ("alert", "bad"),
            EventKind::PassCreated | EventKind::PassChanged | EventKind::PassSet => ("ticket", "calm"),
            EventKind::PassUsed => ("ticket", "ok"),
            EventKind::PassRevoked => ("ticket", "warn"),
            EventKind::GrantChanged => ("key", "calm"),
            EventKind::DoorOpened => ("door-open", "warn"),
            EventKind::DoorLocked => ("lock", "ok"),
            EventKind::DoorUnlocked => ("unlock", "warn"),
            EventKind::DoorUnconfirmed => ("question", "warn"),
            EventKind::DoorContradicted | EventKind::DoorJammed | EventKind::AccountNeedsSignIn => ("alert", "bad"),
            EventKind::DoorRefused | EventKind::DoorFailed => ("x", "bad"),
            EventKind::DoorRing => ("bell", "busy"),
            EventKind::DoorRingEnded => match event.data["state"].as_str().and_then(|state| state.parse().ok()) {
                Some(state) => (self.ring_state(state).icon, self.ring_state(state).tone),
                None => ("bell", "calm"),
            },
            EventKind::DoorRingsDropped | EventKind::MqttRetainedCommand | EventKind::MqttEventsDropped | EventKind::TunnelRefused => {
                ("alert", "warn")
            }
            EventKind::MqttUserChanged | EventKind::TunnelKeyChanged => ("key", "calm"),
            EventKind::DoorBattery => ("battery", if event.data["low"] == true { "warn" } else { "ok" }),
            EventKind::DoorOffline => ("offline", "warn"),
            EventKind::DoorOnline => ("cloud", "ok"),
            EventKind::DoorAdded | EventKind::DoorRemoved => ("door", "calm"),
            EventKind::DoorCodes | EventKind::TokenChanged => ("key", "calm"),
            EventKind::WebhookChanged => ("send", "calm"),
            EventKind::WebhookDisabled => ("alert", "warn"),
            EventKind::AccountExported => ("key", "warn"),
            EventKind::AccountAdded | EventKind::AccountRemoved | EventKind::AccountUnregistered => ("cloud", "calm"),
            EventKind::AccountSignedIn
            | EventKind::AccountRegistered
            | EventKind::AccountCertificateCreated
            | EventKind::AccountCertificateRenewed
            | EventKind::AccountRenewed => ("refresh", "ok"),
            EventKind::DeviceProvisioned => ("key", "ok"),
            EventKind::DeviceRenewed => ("key", "ok"),
            EventKind::DeviceRevoked | EventKind::DeviceClaimChanged => ("key", "calm"),
            EventKind::FirmwareAdded
            | EventKind::FirmwareChanged
            | EventKind::FirmwareRemoved
            | EventKind::FirmwareOffered
            | EventKind::DeviceChanged => ("cloud", "calm"),
            EventKind::RolloutChanged if event.data["state"] == "stopped" => ("alert", "warn"),
            EventKind::RolloutChanged => ("cloud", "calm"),
            EventKind::FirmwareProgress if event.data["state"] == "failed" => ("alert", "warn"),
            EventKind::FirmwareProgress => ("cloud", "ok"),
            EventKind::DeviceClaimContested => ("alert", "warn"),
            EventKind::DeviceOnline | EventKind::DeviceCommanded => ("cloud", "calm"),
            EventKind::DeviceOffline => ("cloud", "warn"),
            EventKind::PersonSignedIn | EventKind::PersonChanged => ("user", "calm"),
            EventKind::PersonRefused | EventKind::RequestsRefused => ("shield", "warn"),
            EventKind::SettingsChanged => ("settings", "calm"),
            EventKind::Started | EventKind::EventsPruned | EventKind::BackupMade => ("info", "calm"),
        }
    }

    /// A reason in a few words.
    pub(crate) const fn reason(&self, reason: Reason) -> &'static str {
        match reason {
            Reason::NoGrant => "nobody gave the right to",
            Reason::Expired => "the right has ended",
            Reason::NotYet => "the right has not begun",
            Reason::OutOfHours => "not at this hour",
            Reason::UsesExhausted => "used as often as it may be",
            Reason::Revoked => "the right was taken back",
            Reason::Replay => "seen before",
            Reason::WeakSignal => "too far from the door",
            Reason::WrongCode => "wrong code",
            Reason::RateLimited => "too many tries",
            Reason::DoorMode => "the door is in a mode that forbids it",
            Reason::NeedsSecondPerson => "a second person must agree",
            Reason::StaleCommand => "the command waited too long",
            Reason::Offline => "it could not be reached",
            Reason::AuditUnavailable => "it could not be written down",
            Reason::NoClock => "the time is not known",
            Reason::BadSignature => "a signature does not fit",
            Reason::NotEnrolled => "the key is not known",
            Reason::NeedsSignIn => "the account must be signed in again",
            Reason::VendorRefused => "the vendor said no",
            Reason::Protocol => "the answer was not understood",
            Reason::OutcomeUnknown => "it was sent, and nobody knows what came of it",
            Reason::Jammed => "the bolt is stuck",
            Reason::Superseded => "a newer command came first",
            Reason::NoEvidence => "nobody saw what the door did",
            Reason::Contradicted => "the door was seen to do the opposite",
            Reason::NotCapable => "the door cannot do this",
            Reason::Busy => "too many commands waited",
            Reason::NotOwner => "another copy of doorward owns the account",
            Reason::NotAuthenticated => "no credentials, or wrong ones",
            Reason::ForeignOrigin => "from a foreign page or under a foreign name",
            Reason::BadRequest => "malformed",
        }
    }
}

fn token(event: &Event) -> &'static str {
    if matches!(event.data["change"].as_str(), Some("made" | "added")) { "made a token" } else { "revoked a token" }
}

fn word<'a>(event: &'a Event, key: &str) -> &'a str {
    event.data[key].as_str().unwrap_or_default()
}

/// Whose settings were changed.
fn settings_of(event: &Event, names: Names<'_>) -> String {
    match (&event.door, &event.account, event.data["site"]["name"].as_str()) {
        (Some(_), ..) => names.door.to_owned(),
        (None, Some(_), _) => names.account.to_owned(),
        (None, None, Some(site)) => format!("site {site}"),
        (None, None, None) => "doorward".into(),
    }
}

fn requests_refused(count: Option<u64>) -> String {
    match count {
        Some(1) | None => "A request without credentials was refused".into(),
        Some(count) => format!("{count} requests without credentials were refused"),
    }
}

fn code_changed(event: &Event) -> &'static str {
    match event.data["change"].as_str() {
        Some("add") => "added a code at",
        Some("delete") => "deleted a code at",
        _ => "changed a code at",
    }
}

fn action(event: &Event) -> ActionWord {
    event.data["action"].as_str().and_then(|action| action.parse().ok()).unwrap_or(ActionWord::Refresh)
}

fn person(event: &Event) -> &'static str {
    let change = event.data["change"].as_str();
    if event.data["group"] == true {
        return match change {
            Some("made") => "made a group",
            Some("removed") => "removed a group",
            _ => "changed a group",
        };
    }
    match change {
        Some("added") => "added a person",
        Some("removed") => "removed a person",
        Some("link_made") => "made a sign-in link",
        Some("password_set") => "set a password",
        Some("signed_out") => "signed out everywhere",
        change => change.and_then(|change| super::EN.way_in_changed(change)).unwrap_or("changed a person"),
    }
}

/// With a capital at its beginning.
pub(super) fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::super::EN;
    use doorward_wire::{
        Time,
        attempt::Reason,
        event::{Event, EventKind},
    };
    use serde_json::{Value, json};

    fn refused(reason: Reason, data: &Value) -> String {
        let event =
            json!({ "id": 1, "time": Time::from_seconds(1_800_000_000), "kind": EventKind::DoorRefused, "reason": reason, "data": data });
        EN.event_note(&serde_json::from_value::<Event>(event).unwrap())
    }

    #[test]
    fn why_a_lock_over_bluetooth_turned_a_phone_away_is_said() {
        let about = |how: &str, rssi: Value| json!({ "how": "ble", "about": { "how": how, "rssi": rssi } });
        assert_eq!(refused(Reason::Replay, &about("token", json!(-39))), "seen before · Bluetooth, -39\u{a0}dBm");
        assert_eq!(
            refused(Reason::NotEnrolled, &about("token", json!(-39))),
            "an old token, or of no session here · Bluetooth, -39\u{a0}dBm"
        );
        assert_eq!(refused(Reason::NotEnrolled, &about("challenge", Value::Null)), "the key is not known · Bluetooth");
        assert_eq!(refused(Reason::NotEnrolled, &json!({ "how": "tunnel" })), "the key is not known");
    }
}
