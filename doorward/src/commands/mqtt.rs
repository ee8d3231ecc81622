//! `doorward mqtt …`

use super::ask;
use crate::{
    cli::{Mqtt as Verb, MqttUser},
    client::{Client, segment},
    failure::{Exit, Failure, Outcome},
    output,
};
use reqwest::Method;
use serde_json::{Value, json};

pub(crate) async fn run(client: &Client, json: bool, verb: Verb) -> Outcome {
    match verb {
        Verb::Show => show(client, json).await,
        Verb::Authority => authority(client).await,
        Verb::User(verb) => user(client, json, verb).await,
    }
}

async fn show(client: &Client, json: bool) -> Outcome {
    let mqtt: Value = client.get("/mqtt").await?;
    let away = mqtt["broker"] == "external" && mqtt["connected"] == false;
    let exit = if away { Exit::Failed } else { Exit::Done };
    if json {
        output::json(&mqtt);
        return Ok(exit);
    }
    let addresses: Vec<&str> = mqtt["addresses"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let addresses = addresses.join(", ");
    output::line(&match mqtt["broker"].as_str() {
        Some("embedded") => format!("doorward's own broker, at {addresses}"),
        Some("external") if away => {
            format!("The broker at {addresses} cannot be reached: {}", mqtt["detail"].as_str().unwrap_or("it was not tried yet"))
        }
        Some("external") => format!("The broker at {addresses}, with MQTT {}", mqtt["version"].as_str().unwrap_or_default()),
        _ => "MQTT is switched off, or could not start: see `doorward doctor`.".into(),
    });
    if mqtt["broker"] == "external" && mqtt["commands"] == false {
        output::line("No commands are taken from there (mqtt.commands).");
    }
    Ok(exit)
}

async fn authority(client: &Client) -> Outcome {
    let mqtt: Value = client.get("/mqtt").await?;
    let none = "no listener uses doorward's own authority; set mqtt.tls_listen to begin with one";
    let pem = mqtt["authority"].as_str().ok_or_else(|| Failure::failed(none))?;
    output::line(pem.trim_end());
    Ok(Exit::Done)
}

async fn user(client: &Client, json: bool, verb: MqttUser) -> Outcome {
    match verb {
        MqttUser::Add { name, publish, subscribe, client_id, password, password_file } => {
            let mut body = json!({ "name": name, "publish": publish, "subscribe": subscribe, "client_id": client_id });
            if password || password_file.is_some() {
                body["password"] = json!(ask::new_secret(password_file.as_deref(), "Password")?.reveal());
            }
            let made: Value = client.post("/mqtt-users", body).await?;
            if json {
                output::json(&made);
            } else {
                match made["secret"].as_str() {
                    Some(secret) => {
                        output::line(secret);
                        output::note(&format!("The password of {name}. It is shown this once."));
                    }
                    None => output::line(&format!("{name} is added.")),
                }
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
