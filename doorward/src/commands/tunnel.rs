//! `doorward tunnel …`

use crate::{
    cli::{Global, Tunnel as Verb, TunnelKey},
    client::{Client, segment},
    failure::{Exit, Failure, Outcome},
    output,
};
use doorward_core::Secret;
use doorward_tunnel::pairing;
use reqwest::Method;
use serde_json::{Value, json};
use std::io::IsTerminal;

mod call;
mod funnel;

pub(crate) async fn run(global: &Global, verb: Verb) -> Outcome {
    match verb {
        Verb::Key(verb) => key(&Client::new(global)?, global.json, verb).await,
        Verb::Show => standing(&Client::new(global)?, global.json).await,
        Verb::Authority => authority(&Client::new(global)?).await,
        Verb::Call { address, fields, key_file, v2, ca_file, listen } => {
            let wish = call::Wish { address, fields, key_file, v2, ca_file, listen };
            call::run(global.json, &wish).await
        }
        Verb::Funnel { apply, port, public_url } => {
            let wish = funnel::Wish { apply, port, public_url };
            funnel::run(&Client::new(global)?, &wish).await
        }
    }
}

/// How the tunnel stands.
async fn standing(client: &Client, json: bool) -> Outcome {
    let tunnel: Value = client.get("/tunnel").await?;
    if json {
        output::json(&tunnel);
        return Ok(Exit::Done);
    }
    let keys: Value = client.get("/tunnel-keys").await?;
    let text = |name: &str| tunnel[name].as_str();
    let listen = match (text("listen"), tunnel["tls"] == true) {
        (None, _) => "off: set tunnel.listen, such as 127.0.0.1:10000, and restart".to_owned(),
        (Some(address), true) => format!("https://{address}"),
        (Some(address), false) => format!("http://{address}"),
    };
    let remote = if tunnel["remote"] == true { "served" } else { "not served (tunnel.remote)" };
    let rows = [
        ("listens", listen),
        ("phones use", text("public_url").unwrap_or("not set: tunnel.public_url").to_owned()),
        ("keys", keys["items"].as_array().map_or(0, Vec::len).to_string()),
        ("pin, version 2", text("pin").unwrap_or_default().to_owned()),
        ("page /remote", remote.to_owned()),
        ("its version", text("remote_fingerprint").unwrap_or_default().to_owned()),
    ];
    output::table(&["tunnel", ""], &rows.map(|(name, value)| vec![name.to_owned(), value]));
    Ok(Exit::Done)
}

async fn authority(client: &Client) -> Outcome {
    let tunnel: Value = client.get("/tunnel").await?;
    let none = "the tunnel does not use doorward's own authority; set tunnel.tls to begin with it";
    output::line(tunnel["authority"].as_str().ok_or_else(|| Failure::failed(none))?.trim_end());
    Ok(Exit::Done)
}

async fn key(client: &Client, json: bool, verb: TunnelKey) -> Outcome {
    match verb {
        TunnelKey::Add { name, person, scopes } => {
            let body = json!({ "name": name, "person": person, "scopes": scopes.to_json() });
            let made: Value = client.post("/tunnel-keys", body).await?;
            secret(json, &made, &format!("The secret of {name}. It is shown this once."));
        }
        TunnelKey::List => list(client, json).await?,
        TunnelKey::Show { name } => {
            let key: Value = client.get(&format!("/tunnel-keys/{}", segment(&name))).await?;
            show(json, &key);
        }
        TunnelKey::Scopes { name, scopes } => {
            let path = format!("/tunnel-keys/{}", segment(&name));
            let key: Value = client.send(Method::PATCH, &path, Some(json!({ "scopes": scopes.to_json() }))).await?;
            show(json, &key);
        }
        TunnelKey::Rotate { name, overlap } => {
            let seconds = span(&overlap).ok_or_else(|| Failure::usage(format!("--overlap: “{overlap}” is no span such as 30m or 24h")))?;
            let made: Value = client.post(&format!("/tunnel-keys/{}/rotate", segment(&name)), json!({ "overlap": seconds })).await?;
            let until = if seconds == 0 { "the one before is gone".into() } else { format!("the one before works for another {overlap}") };
            secret(json, &made, &format!("The new secret of {name}. It is shown this once; {until}."));
        }
        TunnelKey::Revoke { name } => {
            client.send::<Value>(Method::DELETE, &format!("/tunnel-keys/{}", segment(&name)), None).await?;
            output::line(&format!("{name} is revoked, and its streams are ended."));
        }
    }
    Ok(Exit::Done)
}

fn secret(json: bool, made: &Value, note: &str) {
    if json {
        output::json(made);
    } else {
        output::line(made["secret"].as_str().unwrap_or_default());
        output::note(note);
        let code = made["code"].as_str().map(Secret::from).filter(|_| std::io::stdout().is_terminal());
        if let Some(picture) = code.as_ref().and_then(pairing::terminal) {
            output::line(&format!("\n{picture}"));
            output::note("Photograph it with the phone that is to have this key.");
        }
    }
}

async fn list(client: &Client, json: bool) -> Result<(), Failure> {
    let keys: Value = client.get("/tunnel-keys").await?;
    let keys = keys["items"].as_array().cloned().unwrap_or_default();
    if json {
        output::json(&keys);
    } else if keys.is_empty() {
        output::line("There are no tunnel keys yet. Add one: doorward tunnel key add --help");
    } else {
        let row = |key: &Value| {
            let text = |name: &str| key[name].as_str().unwrap_or_default().to_owned();
            let used = key["used"].as_str().map_or_else(|| "never".to_owned(), str::to_owned);
            vec![
                text("name"),
                words(&key["scopes"]["services"]),
                used,
                if key["worn"] == true { "rotate it".into() } else { String::new() },
            ]
        };
        output::table(&["key", "services", "last used", ""], &keys.iter().map(row).collect::<Vec<_>>());
    }
    Ok(())
}

fn show(json: bool, key: &Value) {
    if json {
        output::json(key);
        return;
    }
    let rows: Vec<Vec<String>> = [
        ("services", "services"),
        ("doors", "doors"),
        ("publish", "mqtt_publish"),
        ("subscribe", "mqtt_subscribe"),
        ("brokers", "brokers"),
        ("http", "http"),
    ]
    .iter()
    .map(|(shown, name)| vec![(*shown).to_owned(), words(&key["scopes"][name])])
    .collect();
    output::table(&[key["name"].as_str().unwrap_or_default(), "may use"], &rows);
    let recent: Vec<Vec<String>> = key["recent"].as_array().into_iter().flatten().map(entry).collect();
    if !recent.is_empty() {
        output::line("");
        output::table(&["time", "service", "about", "status"], &recent);
    }
}

fn entry(entry: &Value) -> Vec<String> {
    let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
    let status = match entry["reason"].as_str() {
        Some(reason) => format!("{} {reason}", entry["status"]),
        None => entry["status"].to_string(),
    };
    vec![text("time"), text("service"), text("what"), status]
}

fn words(list: &Value) -> String {
    let words: Vec<&str> = list.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if words.is_empty() { "nothing".into() } else { words.join(" ") }
}

/// Seconds of `30m`, `24h`, `7d`.
pub(super) fn span(text: &str) -> Option<u64> {
    let digits = text.len() - text.trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let each = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(each)
}
