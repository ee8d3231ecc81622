//! `doorward firmware …`

use super::{deadline::Deadline, tunnel::span};
use crate::{
    cli::Firmware as Verb,
    client::{Client, segment},
    failure::{Exit, Failure, Outcome},
    output,
};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

mod rollout;

/// Between two looks at an update.
const LOOK: Duration = Duration::from_millis(500);

pub(crate) async fn run(client: &Client, as_json: bool, verb: Verb) -> Outcome {
    match verb {
        Verb::Add { file, version, hardware, min_version, channel, notes } => {
            let bytes =
                tokio::fs::read(&file).await.map_err(|error| Failure::usage(format!("{} cannot be read: {error}", file.display())))?;
            let fields =
                [("version", version), ("hardware", hardware), ("min_version", min_version), ("channel", Some(channel)), ("notes", notes)];
            let query: Vec<String> =
                fields.into_iter().filter_map(|(name, value)| value.map(|value| format!("{name}={}", segment(&value)))).collect();
            let made: Value = client.upload(&format!("/firmware?{}", query.join("&")), bytes).await?;
            if as_json {
                output::json(&made);
            } else {
                output::line(&format!(
                    "{} {} is signed, {} bytes, SHA-256 {}.",
                    text(&made, "hardware"),
                    text(&made, "version"),
                    made["size"],
                    text(&made, "sha256")
                ));
                output::note("Firmware A and B flash whatever they are offered: only firmware that checks signatures refuses others.");
            }
        }
        Verb::Rollout(verb) => return rollout::run(client, as_json, verb).await,
        Verb::List => list(client, as_json).await?,
        Verb::Set { version, channel, notes, hardware } => {
            let hardware = the_hardware(client, &version, hardware).await?;
            let path = format!("/firmware/{}/{}", segment(&hardware), segment(&version));
            let mut edit = json!({});
            for (name, value) in [("channel", channel), ("notes", notes)] {
                if let Some(value) = value {
                    edit[name] = value.into();
                }
            }
            let after: Value = client.send(Method::PATCH, &path, Some(edit)).await?;
            if as_json {
                output::json(&after);
            } else {
                output::line(&format!("{hardware} {version} is {} now.", text(&after, "channel")));
            }
        }
        Verb::Remove { version, hardware } => {
            let hardware = the_hardware(client, &version, hardware).await?;
            client.send::<Value>(Method::DELETE, &format!("/firmware/{}/{}", segment(&hardware), segment(&version)), None).await?;
            output::line(&format!("{hardware} {version} is removed."));
        }
        Verb::Key => {
            let pem = client.raw(Method::GET, "/firmware/key", None).await?.text().await;
            output::line(pem.map_err(|error| Failure::failed(error.to_string()))?.trim_end());
        }
        Verb::Send { version, device, back, wait } => {
            let path = format!("/devices/{}/firmware", segment(&device));
            let offer: Value = client.post(&path, json!({ "version": version, "back": back })).await?;
            let Some(wait) = wait else { return Ok(shown(as_json, &offer)) };
            let wait = span(&wait).ok_or_else(|| Failure::usage(format!("--wait: “{wait}” is no span such as 5m")))?;
            return watched(client, as_json, &path, Duration::from_secs(wait)).await;
        }
        Verb::Withdraw { device } => {
            client.send::<Value>(Method::DELETE, &format!("/devices/{}/firmware", segment(&device)), None).await?;
            output::line(&format!("{device} is offered nothing any more."));
        }
        Verb::Status { device } => {
            let offer: Value = client.get(&format!("/devices/{}/firmware", segment(&device))).await?;
            return Ok(shown(as_json, &offer));
        }
    }
    Ok(Exit::Done)
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

async fn all(client: &Client) -> Result<Vec<Value>, Failure> {
    let list: Value = client.get("/firmware").await?;
    Ok(list["items"].as_array().cloned().unwrap_or_default())
}

async fn list(client: &Client, as_json: bool) -> Result<(), Failure> {
    let all = all(client).await?;
    if as_json {
        output::json(&all);
    } else if all.is_empty() {
        output::line("There is no firmware yet. Add some: doorward firmware add --help");
    } else {
        let row = |one: &Value| {
            vec![
                text(one, "hardware").to_owned(),
                text(one, "version").to_owned(),
                text(one, "channel").to_owned(),
                one["size"].to_string(),
                text(one, "created").to_owned(),
                text(one, "notes").lines().next().unwrap_or_default().to_owned(),
            ]
        };
        output::table(&["hardware", "version", "channel", "bytes", "added", "notes"], &all.iter().map(row).collect::<Vec<_>>());
    }
    Ok(())
}

/// The hardware that is meant, when a version is there for one alone.
async fn the_hardware(client: &Client, version: &str, named: Option<String>) -> Result<String, Failure> {
    if let Some(named) = named {
        return Ok(named);
    }
    let all = all(client).await?;
    let mut there = all.iter().filter(|one| one["version"] == version).map(|one| text(one, "hardware"));
    match (there.next(), there.next()) {
        (Some(one), None) => Ok(one.to_owned()),
        (None, _) => Err(Failure::usage(format!("there is no firmware {version}"))),
        (Some(one), Some(other)) => Err(Failure::usage(format!("there is {version} for {one} and for {other}: name one with --hardware"))),
    }
}

fn shown(as_json: bool, offer: &Value) -> Exit {
    let error = offer["error"].as_str().map(|error| format!(": {error}")).unwrap_or_default();
    if as_json {
        output::json(offer);
    } else {
        output::line(&format!(
            "{} {}: {} ({} %){error}",
            text(offer, "device"),
            text(offer, "version"),
            text(offer, "state"),
            offer["progress"]
        ));
    }
    if offer["state"] == "failed" { Exit::Failed } else { Exit::Done }
}

async fn watched(client: &Client, as_json: bool, path: &str, wait: Duration) -> Outcome {
    let deadline = Deadline::within(wait);
    let mut before = String::new();
    loop {
        let offer: Value = client.get(path).await?;
        let ended = matches!(text(&offer, "state"), "done" | "failed" | "withdrawn");
        if ended {
            return Ok(shown(as_json, &offer));
        }
        if deadline.is_over() {
            shown(as_json, &offer);
            return Ok(Exit::Pending);
        }
        let now = format!("{} {} %", text(&offer, "state"), offer["progress"]);
        if now != before && !as_json {
            output::note(&now);
            before = now;
        }
        tokio::time::sleep(LOOK).await;
    }
}
