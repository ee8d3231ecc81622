//! `doorward device …`

use super::tunnel;
use crate::{
    cli::Device as Verb,
    client::{Client, segment},
    failure::{Exit, Failure, Outcome},
    output,
};
use doorward_wire::device::{Device, Provisioned};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

mod batch;
mod image;
mod port;
mod portal;
mod serial;

pub(crate) async fn run(client: &Client, as_json: bool, verb: Verb) -> Outcome {
    match verb {
        Verb::Provision { id, name } => {
            let told: Provisioned = client.post("/devices", json!({ "id": id, "name": name })).await?;
            provisioned(as_json, &told);
        }
        Verb::List => {
            let list: Value = client.get("/devices").await?;
            let devices: Vec<Device> = serde_json::from_value(list["items"].clone()).unwrap_or_default();
            if as_json {
                output::json(&devices);
            } else if devices.is_empty() {
                output::line("There are no devices yet. Provision one: doorward device provision --help");
            } else {
                output::table(&["device", "name", "state", "firmware", "last seen", ""], &devices.iter().map(row).collect::<Vec<_>>());
            }
        }
        Verb::Command { id, command, params, wait } => {
            let wish = Wish { id, command, params, wait };
            return wish.send(client, as_json).await;
        }
        Verb::Claim { id, span: given, until_closed, network, close } => {
            let path = format!("/devices/{}/claim", segment(&id));
            if close {
                client.send::<Value>(Method::DELETE, &path, None).await?;
                output::line(&format!("The claim of {id} is closed."));
                return Ok(Exit::Done);
            }
            let seconds = given.as_deref().map(|text| span("--for", text)).transpose()?.map(|span| span.as_secs());
            let body = json!({ "seconds": seconds, "until_closed": until_closed, "network": network });
            let claim: Value = client.send(Method::PUT, &path, Some(body)).await?;
            if as_json {
                output::json(&claim);
            } else {
                let until = claim["until"].as_str().map_or_else(|| "until you close it".to_owned(), |until| format!("until {until}"));
                output::line(&format!("{id} may fetch its credentials itself, {until}."));
            }
        }
        Verb::Rotate { id } => {
            let told: Provisioned = client.post(&format!("/devices/{}/rotate", segment(&id)), json!({})).await?;
            provisioned(as_json, &told);
        }
        Verb::Set { id, name, hardware } => {
            let path = format!("/devices/{}", segment(&id));
            // What is not named stays as it is.
            let before: Device = client.get(&path).await?;
            let hardware = hardware.unwrap_or_else(|| before.hardware.to_string());
            let body = json!({ "name": name.or(before.name), "hardware": hardware });
            show(as_json, &client.send::<Device>(Method::PATCH, &path, Some(body)).await?);
        }
        Verb::Revoke { id } => {
            client.send::<Value>(Method::DELETE, &format!("/devices/{}", segment(&id)), None).await?;
            output::line(&format!("{id} is revoked, and its connection is ended."));
        }
        Verb::Batch { list, out } => return batch::run(client, as_json, &batch::Wish { list, out }).await,
        Verb::Image { id, out, wifi_ssid, wifi_password_file, size, offset, namespace } => {
            let wish = image::Wish { id, out, wifi_ssid, wifi_password_file, size, offset, namespace };
            return image::run(client, as_json, &wish).await;
        }
        Verb::Serial { port, wifi_ssid, wifi_password_file, clear, ota, wait, name, verbose } => {
            let wait = wait.as_deref().map(|wait| span("--wait", wait)).transpose()?;
            let wish = serial::Wish { port, wifi_ssid, wifi_password_file, clear, ota, wait, name, verbose };
            return serial::run(client, as_json, &wish).await;
        }
        Verb::Portal { id, wifi_ssid, wifi_password_file, address, wait, name } => {
            let wait = span("--wait", &wait)?;
            return portal::run(client, as_json, &portal::Wish { id, wifi_ssid, wifi_password_file, address, wait, name }).await;
        }
        Verb::Doctor { repair } => return doctor(client, as_json, repair).await,
        Verb::Show { id } => {
            let device: Device = client.get(&format!("/devices/{}", segment(&id))).await?;
            show(as_json, &device);
        }
    }
    Ok(Exit::Done)
}

/// A span of time such as `60s`.
fn span(flag: &str, text: &str) -> Result<Duration, Failure> {
    tunnel::span(text).map(Duration::from_secs).ok_or_else(|| Failure::usage(format!("{flag}: “{text}” is no span such as 60s or 3m")))
}

/// Compares page by page, and says how far it is.
async fn doctor(client: &Client, as_json: bool, repair: bool) -> Outcome {
    let (mut devices, mut findings, mut after) = (0, Vec::new(), String::new());
    loop {
        let page: Value = client.post(&format!("/devices/doctor{after}"), json!({ "repair": repair })).await?;
        devices += page["devices"].as_u64().unwrap_or_default();
        findings.extend(page["findings"].as_array().cloned().unwrap_or_default());
        let Some(next) = page["next"].as_str() else { break };
        output::note(&format!("{devices} devices looked at …"));
        after = format!("?after={}", segment(next));
    }
    let wrong = findings.iter().filter(|finding| finding["repaired"] != true).count();
    if as_json {
        output::json(&json!({ "devices": devices, "findings": findings }));
    } else if findings.is_empty() {
        output::line(&format!("{devices} devices: each has its user at the broker, and no other rights than its own."));
    } else {
        let row = |finding: &Value| {
            let text = |name: &str| finding[name].as_str().unwrap_or_default().to_owned();
            let done = match (finding["repaired"] == true, text("why")) {
                (true, _) => "repaired".to_owned(),
                (false, why) if why.is_empty() => "--repair puts it right".to_owned(),
                (false, why) => why,
            };
            vec![text("device"), text("what"), done]
        };
        output::table(&["device", "what", ""], &findings.iter().map(row).collect::<Vec<_>>());
    }
    Ok(if wrong == 0 { Exit::Done } else { Exit::Failed })
}

/// Something that a device is to do.
struct Wish {
    id: String,
    command: String,
    params: Option<String>,
    wait: Option<String>,
}

impl Wish {
    async fn send(&self, client: &Client, as_json: bool) -> Outcome {
        let restart = self.command == "restart" && self.params.is_none();
        let order = if restart {
            json!({ "command": "restart" })
        } else {
            let params = self.params.as_deref().unwrap_or("{}");
            let params: Value =
                serde_json::from_str(params).map_err(|error| Failure::usage(format!("the parameters are no JSON: {error}")))?;
            json!({ "command": "call", "method": self.command, "params": params })
        };
        let wait = self.wait.as_deref().unwrap_or(if restart { "60s" } else { "10s" });
        let answer: Value = client.post(&format!("/devices/{}/commands?wait={}", segment(&self.id), segment(wait)), order).await?;
        let is_silent = answer["outcome"] == "silent";
        if as_json {
            output::json(&answer);
        } else if is_silent {
            output::warn("Nothing was heard in time. It may have done it all the same.");
        } else if restart {
            output::line(&format!("{} started again.", self.id));
        } else {
            output::line(&answer["answer"].to_string());
        }
        Ok(if is_silent { Exit::Pending } else { Exit::Done })
    }
}

fn provisioned(as_json: bool, told: &Provisioned) {
    if as_json {
        output::json(told);
        return;
    }
    let rows = [
        ("MQTT host", told.mqtt_host.clone()),
        ("MQTT port", told.mqtt_port.to_string()),
        ("MQTT user", told.mqtt_user.clone()),
        ("MQTT password", told.mqtt_password.clone()),
        ("device token", told.device_token.clone()),
        ("client id", told.device_id.client_id()),
        ("provisioned", told.provision_date.clone()),
    ];
    output::table(&[told.device_id.as_str(), ""], &rows.map(|(name, value)| vec![name.to_owned(), value]));
}

fn row(device: &Device) -> Vec<String> {
    vec![
        device.id.to_string(),
        device.name.clone().unwrap_or_default(),
        device.state.to_string(),
        device.firmware.clone().unwrap_or_default(),
        device.seen.map_or_else(|| "never".into(), |seen| seen.to_string()),
        device.detail.clone().unwrap_or_default(),
    ]
}

fn show(as_json: bool, device: &Device) {
    if as_json {
        output::json(device);
        return;
    }
    let number = |number: Option<u64>, unit: &str| number.map(|number| format!("{number} {unit}"));
    let rows = [
        ("name", device.name.clone()),
        ("MAC", device.mac.map(|mac| mac.to_string())),
        ("hardware", Some(device.hardware.to_string())),
        ("state", Some(device.state.to_string())),
        ("", device.detail.clone()),
        ("MQTT user", Some(device.mqtt_user.clone())),
        ("firmware", device.firmware.clone()),
        ("last seen", Some(device.seen.map_or_else(|| "never".into(), |seen| seen.to_string()))),
        ("runs for", number(device.uptime, "s")),
        ("free memory", number(device.free_heap, "bytes")),
        ("Wi-Fi", device.wifi_rssi.map(|rssi| format!("{rssi} dBm"))),
        ("provisioned", Some(device.provisioned.to_string())),
    ];
    let rows: Vec<Vec<String>> = rows.into_iter().filter_map(|(name, value)| Some(vec![name.to_owned(), value?])).collect();
    output::table(&[device.id.as_str(), ""], &rows);
}
