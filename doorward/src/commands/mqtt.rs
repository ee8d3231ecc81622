//! `doorward mqtt …`

use crate::{
    cli::{Mqtt as Verb, MqttUser},
    client::{Client, segment},
    failure::{Exit, Outcome},
    output,
};
use reqwest::Method;
use serde_json::{Value, json};

pub(crate) async fn run(client: &Client, json: bool, verb: Verb) -> Outcome {
    let Verb::User(verb) = verb;
    match verb {
        MqttUser::Add { name, publish, subscribe, client_id } => {
            let body = json!({ "name": name, "publish": publish, "subscribe": subscribe, "client_id": client_id });
            let made: Value = client.post("/mqtt-users", body).await?;
            if json {
                output::json(&made);
            } else {
                output::line(made["secret"].as_str().unwrap_or_default());
                output::note(&format!("The password of {name}. It is shown this once."));
            }
        }
        MqttUser::List => {
            let users: Value = client.get("/mqtt-users").await?;
            let users = users["items"].as_array().cloned().unwrap_or_default();
            if json {
                output::json(&users);
            } else if users.is_empty() {
                output::line("There are no MQTT users yet. Add one: doorward mqtt user add --help");
            } else {
                let rows: Vec<Vec<String>> = users.iter().map(row).collect();
                output::table(&["user", "publish", "subscribe", "connected"], &rows);
            }
        }
        MqttUser::Rights { name, publish, subscribe, client_id } => {
            let body = json!({ "publish": publish, "subscribe": subscribe, "client_id": client_id });
            let user: Value = client.send(Method::PATCH, &format!("/mqtt-users/{}", segment(&name)), Some(body)).await?;
            if json {
                output::json(&user);
            } else {
                output::table(&["user", "publish", "subscribe", "connected"], &[row(&user)]);
            }
        }
        MqttUser::Remove { name } => {
            client.send::<Value>(Method::DELETE, &format!("/mqtt-users/{}", segment(&name)), None).await?;
            output::line(&format!("{name} is removed, and its connections are ended."));
        }
    }
    Ok(Exit::Done)
}

fn row(user: &Value) -> Vec<String> {
    let list = |key: &str| {
        let words: Vec<&str> = user[key].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if words.is_empty() { "nothing".to_owned() } else { words.join(" ") }
    };
    let clients = user["clients"].as_array().map_or(0, Vec::len);
    vec![user["name"].as_str().unwrap_or_default().to_owned(), list("publish"), list("subscribe"), clients.to_string()]
}
