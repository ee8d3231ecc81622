//! `doorward firmware rollout …`

use crate::{
    cli::Rollout as Verb,
    client::{Client, segment},
    failure::{Exit, Failure, Outcome},
    output,
};
use serde_json::{Value, json};

pub(super) async fn run(client: &Client, as_json: bool, verb: Verb) -> Outcome {
    match verb {
        Verb::Create { version, hardware, groups, success, errors, tries, at_once, window } => {
            let window = window.as_deref().map(window_of).transpose()?;
            let body = json!({
                "version": version, "hardware": hardware, "groups": groups, "success": success, "errors": errors, "tries": tries,
                "at_once": at_once, "window": window,
            });
            let made: Value = client.post("/rollouts", body).await?;
            show(as_json, &made);
            if !as_json {
                output::note(&format!("Nothing is offered yet. Begin: doorward firmware rollout approve {}", text(&made, "id")));
            }
        }
        Verb::List => {
            let list: Value = client.get("/rollouts").await?;
            let all = list["items"].as_array().cloned().unwrap_or_default();
            if as_json {
                output::json(&all);
            } else if all.is_empty() {
                output::line("There are no rollouts yet. Plan one: doorward firmware rollout create --help");
            } else {
                let head = ["rollout", "hardware", "version", "state", "done", "failed", "of"];
                output::table(&head, &all.iter().map(row).collect::<Vec<_>>());
            }
        }
        Verb::Show { rollout, devices } => {
            let path = format!("/rollouts/{}", segment(&rollout));
            let mut one: Value = client.get(&path).await?;
            let list: Value = if devices { client.get(&format!("{path}/devices")).await? } else { Value::Null };
            if as_json && devices {
                one["devices"] = list["items"].clone();
            }
            show(as_json, &one);
            if !as_json && devices {
                output::line("");
                let rows: Vec<Vec<String>> = list["items"].as_array().into_iter().flatten().map(device).collect();
                output::table(&["device", "group", "state", "before", "tries", ""], &rows);
            }
        }
        Verb::Approve { rollout } => return turn(client, as_json, &rollout, "approve").await,
        Verb::Pause { rollout } => return turn(client, as_json, &rollout, "pause").await,
        Verb::Resume { rollout } => return turn(client, as_json, &rollout, "resume").await,
        Verb::Stop { rollout } => return turn(client, as_json, &rollout, "stop").await,
        Verb::Rollback { rollout } => return turn(client, as_json, &rollout, "rollback").await,
    }
    Ok(Exit::Done)
}

fn window_of(text: &str) -> Result<[String; 2], Failure> {
    let wrong = || Failure::usage(format!("--window: “{text}” is no window such as 02:00-05:00"));
    let (from, until) = text.split_once('-').ok_or_else(wrong)?;
    Ok([from.trim().to_owned(), until.trim().to_owned()])
}

async fn turn(client: &Client, as_json: bool, rollout: &str, word: &str) -> Outcome {
    let after: Value = client.post(&format!("/rollouts/{}/{word}", segment(rollout)), json!({})).await?;
    show(as_json, &after);
    Ok(Exit::Done)
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

fn sum(rollout: &Value, name: &str) -> u64 {
    rollout["groups"].as_array().into_iter().flatten().filter_map(|group| group[name].as_u64()).sum()
}

fn all(rollout: &Value) -> u64 {
    ["waiting", "absent", "under_way", "done", "failed"].iter().map(|name| sum(rollout, name)).sum()
}

fn row(rollout: &Value) -> Vec<String> {
    let words = ["id", "hardware", "version", "state"].map(|name| text(rollout, name).to_owned());
    let counts = [sum(rollout, "done"), sum(rollout, "failed"), all(rollout)].map(|count| count.to_string());
    words.into_iter().chain(counts).collect()
}

fn show(as_json: bool, rollout: &Value) {
    if as_json {
        output::json(rollout);
        return;
    }
    let why = rollout["detail"].as_str().map(|why| format!(": {why}")).unwrap_or_default();
    output::line(&format!(
        "{}  {} {} is {}{why}; {} of {} devices run it",
        text(rollout, "id"),
        text(rollout, "hardware"),
        text(rollout, "version"),
        text(rollout, "state").replace('_', " "),
        sum(rollout, "done"),
        all(rollout)
    ));
    let begun = rollout["group"].as_u64().unwrap_or_default();
    let rows: Vec<Vec<String>> = rollout["groups"]
        .as_array()
        .into_iter()
        .flatten()
        .zip(0..)
        .map(|(group, number)| {
            let name = format!("{} %{}", group["per_cent"], if number == begun { " *" } else { "" });
            let counts = ["done", "under_way", "waiting", "absent", "failed"].map(|name| group[name].to_string());
            std::iter::once(name).chain(counts).collect()
        })
        .collect();
    output::table(&["group", "done", "under way", "waiting", "away", "failed"], &rows);
}

fn device(device: &Value) -> Vec<String> {
    vec![
        text(device, "device").to_owned(),
        device["group"].to_string(),
        text(device, "state").to_owned(),
        text(device, "before").to_owned(),
        device["tries"].to_string(),
        text(device, "error").to_owned(),
    ]
}
