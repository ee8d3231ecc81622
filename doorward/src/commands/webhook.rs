//! `doorward webhook …`

use crate::{
    cli::{Webhook as Verb, WebhookWants},
    client::{Client, segment},
    failure::{Exit, Failure, Outcome},
    output,
};
use reqwest::Method;
use serde_json::{Map, Value, json};

const HEAD: [&str; 5] = ["webhook", "state", "events", "doors", "url"];

pub(crate) async fn run(client: &Client, json: bool, verb: Verb) -> Outcome {
    match verb {
        Verb::Add { name, address, wants, allow_private } => {
            let mut body = wishes(client, wants).await?;
            body.extend([("name".into(), json!(name)), ("url".into(), json!(address)), ("allow_private".into(), json!(allow_private))]);
            let made: Value = client.post("/webhooks", body.into()).await?;
            secret(json, &made, &format!("The secret of {}. It is shown this once.", text(&made, "id")));
        }
        Verb::List => list(client, json).await?,
        Verb::Set { webhook, name, address, wants, allow_private, enabled } => {
            let mut body = wishes(client, wants).await?;
            let more =
                [("name", json!(name)), ("url", json!(address)), ("allow_private", json!(allow_private)), ("enabled", json!(enabled))];
            body.extend(more.into_iter().filter(|(_, value)| !value.is_null()).map(|(key, value)| (key.to_owned(), value)));
            let changed: Value = client.send(Method::PATCH, &path(&webhook), Some(body.into())).await?;
            if json {
                output::json(&changed);
            } else {
                output::table(&HEAD, &[row(&changed)]);
            }
        }
        Verb::Test { webhook } => return test(client, json, &webhook).await,
        Verb::Rotate { webhook } => {
            let made: Value = client.send(Method::POST, &format!("{}/rotate", path(&webhook)), None).await?;
            let until = text(&made, "previous_secret_until");
            secret(json, &made, &format!("The new secret of {webhook}. It is shown this once; the one before signs along until {until}."));
        }
        Verb::Deliveries { webhook, limit } => deliveries(client, json, &webhook, limit).await?,
        Verb::Retry { webhook, message } => {
            let path = format!("{}/deliveries/{}/retry", path(&webhook), segment(&message));
            let delivery: Value = client.send(Method::POST, &path, None).await?;
            if json {
                output::json(&delivery);
            } else {
                output::line(&format!("{message} is sent once more. See: doorward webhook deliveries {webhook}"));
            }
        }
        Verb::Remove { webhook } => {
            client.send::<Value>(Method::DELETE, &path(&webhook), None).await?;
            output::line(&format!("{webhook} is removed."));
        }
    }
    Ok(Exit::Done)
}

fn path(webhook: &str) -> String {
    format!("/webhooks/{}", segment(webhook))
}

/// What a webhook should be told; a star is everything.
async fn wishes(client: &Client, wants: WebhookWants) -> Result<Map<String, Value>, Failure> {
    let mut wishes = Map::new();
    if let Some(kinds) = wants.event {
        let kinds: Vec<String> = kinds.into_iter().filter(|kind| kind != "*").collect();
        wishes.insert("kinds".into(), json!(kinds));
    }
    if let Some(named) = wants.door {
        let mut doors = Vec::new();
        for door in named.iter().filter(|door| *door != "*") {
            doors.push(super::door::find(client, door).await?.id);
        }
        wishes.insert("doors".into(), json!(doors));
    }
    Ok(wishes)
}

fn secret(json: bool, made: &Value, note: &str) {
    if json {
        output::json(made);
    } else {
        output::line(&text(made, "secret"));
        output::note(note);
    }
}

async fn list(client: &Client, json: bool) -> Result<(), Failure> {
    let webhooks: Value = client.get("/webhooks").await?;
    let webhooks = webhooks["items"].as_array().cloned().unwrap_or_default();
    if json {
        output::json(&webhooks);
    } else if webhooks.is_empty() {
        output::line("There are no webhooks yet. Add one: doorward webhook add --help");
    } else {
        output::table(&HEAD, &webhooks.iter().map(row).collect::<Vec<_>>());
    }
    Ok(())
}

async fn test(client: &Client, json: bool, webhook: &str) -> Outcome {
    let tested: Value = client.send(Method::POST, &format!("{}/test", path(webhook)), None).await?;
    let delivered = tested["delivered"] == Value::Bool(true);
    if json {
        output::json(&tested);
    } else if delivered {
        output::line(&format!("{webhook} took the message: it answered {}.", tested["status"]));
    } else {
        output::line(&format!("{webhook} did not take the message: {}.", text(&tested, "error")));
    }
    Ok(if delivered { Exit::Done } else { Exit::Failed })
}

async fn deliveries(client: &Client, json: bool, webhook: &str, limit: u32) -> Result<(), Failure> {
    let deliveries: Value = client.get(&format!("{}/deliveries?limit={limit}", path(webhook))).await?;
    let deliveries = deliveries["items"].as_array().cloned().unwrap_or_default();
    if json {
        output::json(&deliveries);
    } else if deliveries.is_empty() {
        output::line(&format!("Nothing was sent to {webhook} yet. Try it: doorward webhook test {webhook}"));
    } else {
        let row = |it: &Value| {
            let event = [text(it, "kind"), text(it, "door")].join(" ");
            let answer =
                it["error"].as_str().map_or_else(|| it["status"].as_u64().map_or_else(String::new, |it| it.to_string()), Into::into);
            let tries = it["attempts"].to_string();
            vec![text(it, "message"), text(it, "created"), event.trim().to_owned(), text(it, "state"), tries, text(it, "next"), answer]
        };
        output::table(
            &["message", "time", "event", "state", "tries", "next try", "answer"],
            &deliveries.iter().map(row).collect::<Vec<_>>(),
        );
    }
    Ok(())
}

fn row(webhook: &Value) -> Vec<String> {
    let list = |key: &str| {
        let words: Vec<&str> = webhook[key].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if words.is_empty() { "all".to_owned() } else { words.join(" ") }
    };
    vec![text(webhook, "id"), text(webhook, "state"), list("kinds"), list("doors"), text(webhook, "url")]
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}
