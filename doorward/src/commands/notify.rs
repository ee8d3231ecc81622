//! `doorward notify …`

use crate::{
    cli::Notify as Verb,
    client::Client,
    failure::{Exit, Outcome},
    output,
};
use serde_json::{Value, json};

pub(crate) async fn run(client: &Client, json: bool, verb: Verb) -> Outcome {
    match verb {
        Verb::Show => show(client, json).await,
        Verb::Test { channel } => test(client, json, channel).await,
    }
}

async fn show(client: &Client, json: bool) -> Outcome {
    let shown: Value = client.get("/notifications").await?;
    if json {
        output::json(&shown);
        return Ok(Exit::Done);
    }
    let channels = shown["channels"].as_array().cloned().unwrap_or_default();
    output::table(&["channel", "to", "waiting", "last tried", "answer"], &channels.iter().map(row).collect::<Vec<_>>());
    output::line(&format!("Told of: {}", words(&shown["kinds"])));
    match shown["quiet_hours"].as_str() {
        Some(hours) => {
            let zone = shown["time_zone"].as_str().unwrap_or("UTC");
            output::line(&format!("Quiet hours: {hours} ({zone}); what comes through: {}", words(&shown["quiet_kinds"])));
        }
        None => output::line("Quiet hours: none"),
    }
    Ok(Exit::Done)
}

fn row(channel: &Value) -> Vec<String> {
    let text = |key: &str| channel[key].as_str().unwrap_or_default().to_owned();
    let to = match (channel["enabled"].as_bool(), channel["server"].as_str(), channel["browsers"].as_u64()) {
        (Some(true), Some(server), _) => server.to_owned(),
        (Some(true), None, Some(1)) => "1 browser".into(),
        (Some(true), None, count) => format!("{} browsers", count.unwrap_or_default()),
        _ => "off".into(),
    };
    let answer = match (channel["last_tried"].is_null(), channel["last_error"].as_str()) {
        (true, _) => String::new(),
        (false, Some(error)) => error.to_owned(),
        (false, None) => "taken".into(),
    };
    vec![text("channel"), to, channel["pending"].to_string(), text("last_tried"), answer]
}

fn words(list: &Value) -> String {
    let words: Vec<&str> = list.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if words.is_empty() { "nothing".into() } else { words.join(", ") }
}

async fn test(client: &Client, json: bool, channel: Option<String>) -> Outcome {
    let tested: Value = client.post("/notifications/test", json!({ "channel": channel })).await?;
    let tested = tested["items"].as_array().cloned().unwrap_or_default();
    if json {
        output::json(&tested);
    } else {
        for one in &tested {
            let channel = one["channel"].as_str().unwrap_or_default();
            output::line(&match one["error"].as_str() {
                None => format!("{channel} took the message."),
                Some(error) => format!("{channel} did not take the message: {error}."),
            });
        }
    }
    Ok(if tested.iter().all(|one| one["taken"] == Value::Bool(true)) { Exit::Done } else { Exit::Failed })
}
