//! What is said about devices.

use super::{
    Texts, labels,
    state::{Face, face},
};
use doorward_wire::{
    device::{DeviceIdError, DeviceState},
    event::{Event, EventKind},
    firmware::{Channel, WordError},
};
use std::time::Duration;

labels! {
    Labels []

    title = "Fleet",
    none = "No devices yet",
    none_text = "ESP32 gateways get their own identity and rights here. Provision the first one with what it prints when it starts.",
    provision = "Provision",
    search = "Identifier, name or MAC",
    find = "Search",
    states = "Devices by state",
    nothing_found = "No device is like that.",
    server = "Provisioning server",
    server_text = "Where devices and scripts ask for credentials.",
    server_off = "Off (fleet.listen)",
    listens = "Listens at",
    broker = "Devices are told",
    plain = "It gives credentials over plain HTTP: anybody on the way can read them (fleet.plain_http).",
    actions = "Actions",
    actions_text = "A device that is away hears nothing: nothing reaches it later.",
    restart = "Restart",
    restarted = "The device started again.",
    told = "The device was told, and is not back yet.",
    open_claim = "Let it fetch its credentials",
    close_claim = "Close the claim",
    rotate = "New secrets",
    revoke = "Revoke",
    revoke_text = "Its connection ends at once, and its credentials are worth nothing any more. It stays known, so that nobody provisions it by mistake.",
    revoked_title = "It has no rights",
    revoked_text = "With new secrets it has its rights again.",
    again = "Give it new secrets",
    history = "History",
    no_history = "Nothing has happened yet.",
    about = "About it",
    hardware = "Hardware",
    hardware_help = "Firmware is offered to devices of its hardware alone.",
    hardware_wrong = "Hardware has 1 to 32 letters, digits, dots, dashes and underscores.",
    name_wrong = "A name has at most 64 characters.",
    firmware = "Firmware",
    firmware_text = "It is offered at once, or when the device is back.",
    version = "Version",
    back = "It may go back",
    back_help = "Offer it also when the device runs a newer one.",
    send = "Offer it",
    mac = "MAC",
    uptime = "Runs for",
    memory = "Free memory",
    wifi = "Wi-Fi",
    user = "MQTT user",
    seen = "Last seen",
    never = "Never",
    provisioned = "Provisioned",
    secret_text = "This is what the device is to be given: by its portal, over serial, or in a factory image.",
    secret_again = "Whoever may provision devices sees it again by provisioning this one once more.",
    token = "Device token",
    client = "Client identifier",
    copy_all = "Copy all",
    copy_serial = "Copy serial command",
    one = "One device",
    one_text = "It prints “Device ID: …” on its serial line when it starts.",
    id = "Identifier or MAC",
    id_help = "6 to 12 hexadecimal digits as it prints them, or its MAC with colons.",
    name_help = "Where it is, or what people call it. You may leave it out.",
    many = "Many devices",
    many_text = "One identifier a line, or CSV from a spreadsheet with a column “id” or “mac” and one “name”. Longer lists are for the command line: doorward device batch.",
    list = "List",
    file = "File",
    file_big = "This file is too large for a list of devices.",
    ways = "How it gets there",
    way_portal = "By its portal",
    way_portal_text = "Firmware A. Join BLE-Gateway-Setup (password 12345678), open http://192.168.4.1 and enter what stands above; or on a machine that has joined it:",
    way_serial = "By a cable",
    way_serial_text = "Firmware B. On the machine that it is plugged into:",
    way_image = "In a factory image",
    way_image_text = "Flashed before it starts for the first time:",
    provision_all = "Provision all",
    failed_text = "The others are done. Correct these, and send the list again: what is done is left alone.",
    csv = "Credentials",
    rollouts = "Rollouts",
    no_firmware = "There is no firmware yet. Upload an image first.",
    upload = "Upload firmware",
    upload_text = "It is hashed and signed here. Firmware A and B flash whatever they are offered; only firmware that checks signatures refuses others.",
    version_help = "As the image says when you leave it out.",
    min_version = "Never back behind",
    min_version_help = "What runs this may not go back to anything older. You may leave it out.",
    channel = "For whom",
    channel_of = "For whom is",
    notes = "Notes",
    image = "Image",
    no_file = "Choose an image.",
    key = "Signing key",
    key_text = "Firmware that checks signatures is built with the public half. The other one never leaves.",
    key_get = "Public key",
    remove_firmware = "Remove",
    remove_firmware_text = "A device that is fetching it cannot go on, and no device can be offered it any more.",
    firmware_added = "The firmware was hashed and signed.",
    firmware_removed = "The firmware was removed.",
    no_rollouts = "No rollout yet. Plan one: nothing is offered before you approve it.",
    plan = "Plan a rollout",
    plan_text = "It reaches the devices group by group. Nothing is offered before you approve it.",
    groups = "Groups, in per cent",
    groups_help = "How much of the fleet each group reaches; the last one is 100.",
    groups_wrong = "Groups are numbers up to 100, such as 5, 25, 100.",
    success = "Go on at, %",
    errors = "Stop above, %",
    per_cent_wrong = "Per cent are whole numbers up to 100.",
    from = "Only from",
    until = "Until",
    no_version = "Choose a version.",
    approve = "Approve",
    pause = "Pause",
    resume = "Go on",
    stop = "Stop",
    rollback = "Take it back",
    devices = "Devices",
    devices_text = "In the order in which they are offered it.",
    csv_text = "Copy them now to where they belong. Whoever has them is these devices.",
}

impl Texts {
    /// How a device stands.
    pub(crate) const fn device_face(&self, state: DeviceState) -> Face {
        match state {
            DeviceState::Online => face("Online", "check", "ok"),
            DeviceState::Offline => face("Offline", "x", "warn"),
            DeviceState::Provisioned => face("Never seen", "clock", "calm"),
            DeviceState::Pending => face("Pending", "refresh", "busy"),
            DeviceState::Revoked => face("Revoked", "x", "calm"),
        }
    }

    /// For whom firmware is meant.
    pub(crate) const fn channel(&self, channel: Channel) -> Face {
        match channel {
            Channel::Draft => face("Draft", "circle", "calm"),
            Channel::Beta => face("Beta", "question", "busy"),
            Channel::Stable => face("Stable", "check", "ok"),
        }
    }

    /// Firmware in a line.
    pub(crate) fn firmware_about(&self, hardware: &str, size: i64, sha256: &str) -> String {
        format!("{hardware} · {} KiB · SHA-256 {}…", size / 1024, sha256.get(..12).unwrap_or(sha256))
    }

    /// Before firmware is removed.
    pub(crate) fn remove_version(&self, version: &str) -> String {
        format!("Remove {version}?")
    }

    /// What is wrong with a version.
    pub(crate) fn version_wrong(&self, error: WordError) -> String {
        format!("A version {error}.")
    }

    /// What a rollout brings.
    pub(crate) fn rollout_of(&self, version: &str) -> String {
        format!("Rollout of {version}")
    }

    /// How a rollout stands.
    pub(crate) fn rollout_state(&self, state: &str) -> Face {
        match state {
            "draft" => face("Draft", "circle", "calm"),
            "approved" => face("Approved", "clock", "busy"),
            "running" => face("Running", "refresh", "busy"),
            "paused" => face("Paused", "clock", "warn"),
            "done" => face("Done", "check", "ok"),
            "stopped" => face("Stopped", "x", "bad"),
            _ => face("Taken back", "back", "calm"),
        }
    }

    /// How a device of a rollout stands.
    pub(crate) fn rollout_device(&self, state: &str) -> Face {
        match state {
            "done" => face("Done", "check", "ok"),
            "offered" => face("Under way", "refresh", "busy"),
            "failed" => face("Failed", "x", "bad"),
            _ => face("Waiting", "clock", "calm"),
        }
    }

    /// How a rollout goes about it.
    pub(crate) fn rollout_plan(&self, hardware: &str, success: u8, errors: u8, window: Option<&[String; 2]>) -> String {
        let window = window.map(|[from, until]| format!(", only {from} to {until}")).unwrap_or_default();
        format!("{hardware}, goes on at {success} %, stops above {errors} %{window}")
    }

    /// A group.
    pub(crate) fn group(&self, per_cent: u8) -> String {
        format!("Up to {per_cent} %")
    }

    /// How its devices stand.
    pub(crate) fn group_text(&self, done: u32, under_way: u32, waiting: u32, absent: u32, failed: u32) -> String {
        let parts = [(done, "done"), (under_way, "under way"), (waiting, "waiting"), (absent, "away"), (failed, "failed")];
        let parts: Vec<String> = parts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
        if parts.is_empty() { "no device".into() } else { parts.join(", ") }
    }

    /// How an update stands.
    pub(crate) fn offer(&self, version: &str, state: &str) -> String {
        match state {
            "offered" => format!("{version} is offered"),
            "downloading" => format!("{version} is fetched"),
            "updating" => format!("{version} is written"),
            "restarting" => format!("It starts again with {version}"),
            "done" => format!("It was updated to {version}"),
            "failed" => format!("It did not take {version}"),
            _ => format!("{version} was taken back"),
        }
    }

    /// When a device was last there.
    pub(crate) fn device_seen(&self, time: &str) -> String {
        format!("last seen {time}")
    }

    /// How long something lasts, in two units.
    pub(crate) fn lasts(&self, span: Duration) -> String {
        let (days, hours, minutes) = (span.as_secs() / 86_400, span.as_secs() / 3600 % 24, span.as_secs() / 60 % 60);
        match (days, hours) {
            (0, 0) if minutes == 0 => format!("{} s", span.as_secs()),
            (0, 0) => format!("{minutes} min"),
            (0, hours) => format!("{hours} h {minutes} min"),
            (days, hours) => format!("{days} d {hours} h"),
        }
    }

    /// That a device may fetch its credentials.
    pub(crate) fn claim_open(&self, until: Option<&str>, network: Option<&str>, by: Option<&str>) -> String {
        let until = until.map_or_else(|| "until the claim is closed".to_owned(), |until| format!("until {until}"));
        let network = network.map(|network| format!(" from {network}")).unwrap_or_default();
        let by = by.map(|by| format!(" {by} has done so.")).unwrap_or_default();
        format!("It may fetch its credentials itself{network} {until}.{by}")
    }

    /// Before a device is revoked.
    pub(crate) fn revoke_device(&self, name: &str) -> String {
        format!("Revoke {name}?")
    }

    /// That not all are listed.
    pub(crate) fn more_devices(&self, more: usize) -> String {
        format!("And {more} more: search for them.")
    }

    /// How many of a list are done.
    pub(crate) fn provisioned_count(&self, count: usize) -> String {
        if count == 1 { "1 device is provisioned".into() } else { format!("{count} devices are provisioned") }
    }

    /// How many of a list are not.
    pub(crate) fn failed_count(&self, count: usize) -> String {
        if count == 1 { "1 row failed".into() } else { format!("{count} rows failed") }
    }

    /// What is wrong with an identifier.
    pub(crate) fn device_id_wrong(&self, error: DeviceIdError) -> String {
        format!("An identifier {error}.")
    }

    /// A list that is too long for the page.
    pub(crate) fn list_too_long(&self, most: usize) -> String {
        format!("The page takes {most} devices at a time; longer lists are for the command line: doorward device batch.")
    }

    /// What is wrong with a line of a list.
    pub(crate) fn list_line(&self, line: usize, error: &str) -> String {
        format!("Line {line}: {error}")
    }

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
