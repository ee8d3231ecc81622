//! `doorward pass …`

use super::{person::only, terms};
use crate::{
    cli::Pass as Verb,
    client::{Client, segment},
    failure::{Exit, Failure, Outcome},
    output,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use doorward_core::Secret;
use reqwest::Method;
use serde_json::{Value, json};

pub(crate) async fn run(client: &Client, json: bool, verb: Verb) -> Outcome {
    match verb {
        Verb::Create { name, doors, terms: given, pin } => {
            let doors = terms::doors(client, &doors.doors).await?;
            let mut body = json!({ "name": name, "doors": doors, "terms": terms::terms(&given, &Value::Null)? });
            if let Some(pin) = pin {
                body["pin"] = json!(pin);
            }
            let pass: Value = client.post("/passes", body).await?;
            if json {
                output::json(&pass);
            } else {
                output::line(&text(&pass, "link"));
                output::note(&format!(
                    "Whoever has this link opens the doors. Take it back with: doorward pass revoke {}",
                    text(&pass, "id")
                ));
            }
        }
        Verb::List => {
            let passes = passes(client).await?;
            if json {
                output::json(&passes);
            } else {
                output::table(&["id", "guest", "state", "doors", "used", "terms"], &passes.iter().map(row).collect::<Vec<_>>());
            }
        }
        Verb::Show { pass, qr } => {
            let id = find(client, &pass).await?;
            let mut pass: Value = client.get(&format!("/passes/{}", segment(&id))).await?;
            let link: Value = client.get(&format!("/passes/{}/link", segment(&id))).await?;
            let link = text(&link, "link");
            pass["link"] = json!(link);
            if json {
                output::json(&pass);
            } else {
                output::table(&["id", "guest", "state", "doors", "used", "terms"], &[row(&pass)]);
                output::line(&link);
                if let Some(code) = qr.then(|| doorward_tunnel::pairing::terminal(&Secret::new(link))).flatten() {
                    output::line(&code);
                }
            }
        }
        Verb::Extend { pass, doors, terms: given } => {
            let id = find(client, &pass).await?;
            let before: Value = client.get(&format!("/passes/{}", segment(&id))).await?;
            let mut body = json!({ "terms": terms::terms(&given, &before["terms"])? });
            if !doors.doors.is_empty() {
                body["doors"] = json!(terms::doors(client, &doors.doors).await?);
            }
            let pass: Value = client.send(Method::PATCH, &format!("/passes/{}", segment(&id)), Some(body)).await?;
            show(json, &pass, &format!("The pass is changed: {}", terms::words(&pass["terms"])));
        }
        Verb::InvitePhone { pass } => {
            let id = find(client, &pass).await?;
            let invite: Value = client.post(&format!("/passes/{}/phones", segment(&id)), json!({})).await?;
            invited(json, &invite);
        }
        Verb::Offline { phone, door, span, out } => {
            let phones: Value = client.get("/phones").await?;
            let phone = only(phones["items"].as_array().map_or(&[], Vec::as_slice), &phone, "phone")?;
            let door = super::door::find(client, &door).await?.id;
            let body = json!({ "door": door, "until": terms::until(&span)? });
            let signed: Value = client.post(&format!("/phones/{}/offline-passes", segment(&phone)), body).await?;
            let pass = URL_SAFE_NO_PAD.decode(text(&signed, "pass")).map_err(|_| Failure::failed("the answer has no pass"))?;
            crate::serve::write_private(&out, pass)?;
            let said = format!(
                "{} opens {} until {}, with the phone's own key alone.",
                out.display(),
                text(&signed, "lock"),
                text(&signed, "until")
            );
            show(json, &signed, &said);
        }
        Verb::OfflineEnd { door } => {
            let door = super::door::find(client, &door).await?.id;
            let ended: Value = client.send(Method::DELETE, &format!("/doors/{door}/offline-passes"), None).await?;
            show(json, &ended, &format!("{} passes are over. The lock learns of it when it next has a network.", ended["ended"]));
        }
        Verb::Revoke { pass } => {
            let id = find(client, &pass).await?;
            let pass: Value = client.post(&format!("/passes/{}/revoke", segment(&id)), json!({})).await?;
            show(json, &pass, "The pass is taken back.");
        }
    }
    Ok(Exit::Done)
}

fn show(json: bool, pass: &Value, words: &str) {
    if json {
        output::json(pass);
    } else {
        output::line(words);
    }
}

/// A code for a phone, and what it is good for.
pub(super) fn invited(json: bool, invite: &Value) {
    if json {
        output::json(invite);
        return;
    }
    output::line(&text(invite, "invite"));
    let locks: Vec<String> = invite["locks"].as_array().into_iter().flatten().map(|lock| text(lock, "lock")).collect();
    let beacon =
        invite["beacon"].as_str().map_or("It cannot be asked over the air: set ble.issuer.".into(), |beacon| format!("Beacon: {beacon}."));
    output::note(&format!("Good for one phone until {}, at: {}. {beacon}", text(invite, "until"), locks.join(", ")));
    output::note(&format!("On the phone: doorward ble guest --lock {} --invite CODE", locks.first().map_or("LOCK", String::as_str)));
    if let Some(issuer) = invite["issuer"].as_str() {
        output::note(&format!("Its issuer:   --issuer {issuer}"));
    }
}

fn row(pass: &Value) -> Vec<String> {
    let doors = pass["doors"].as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(" ");
    vec![text(pass, "id"), text(pass, "name"), text(pass, "state"), doors, pass["used"].to_string(), terms::words(&pass["terms"])]
}

async fn passes(client: &Client) -> Result<Vec<Value>, Failure> {
    let answer: Value = client.get("/passes").await?;
    Ok(answer["items"].as_array().cloned().unwrap_or_default())
}

async fn find(client: &Client, which: &str) -> Result<String, Failure> {
    only(&passes(client).await?, which, "pass")
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}
