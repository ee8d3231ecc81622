//! `doorward person …`: how somebody comes in.

use super::person::{find, text};
use crate::{
    cli::WayIn,
    client::{Client, segment},
    failure::Failure,
    output,
};
use reqwest::Method;
use serde_json::Value;

pub(super) async fn run(client: &Client, json: bool, verb: WayIn) -> Result<(), Failure> {
    match verb {
        WayIn::Sessions { person, end: None } => {
            let id = find(client, &person).await?;
            list(client, json, &format!("/people/{id}/sessions"), ["browser", "created", "last_used"]).await
        }
        WayIn::Sessions { person, end: Some(session) } => {
            let id = find(client, &person).await?;
            delete(client, &format!("/people/{id}/sessions/{}", segment(&session)), "They are signed out there.").await
        }
        WayIn::Passkeys { person, remove: None } => {
            let id = find(client, &person).await?;
            list(client, json, &format!("/people/{id}/passkeys"), ["name", "rp_id", "last_used"]).await
        }
        WayIn::Passkeys { person, remove: Some(passkey) } => {
            let id = find(client, &person).await?;
            let said = format!("The passkey is removed. Sign them out too, if it was lost: doorward person sessions {person:?}");
            delete(client, &format!("/people/{id}/passkeys/{}", segment(&passkey)), &said).await
        }
        WayIn::Phones { person, remove: None } => {
            let id = find(client, &person).await?;
            let answer: Value = client.get("/phones").await?;
            let own = answer["items"].as_array().into_iter().flatten().filter(|phone| phone["person"].as_str() == Some(id.as_str()));
            let own = serde_json::json!({ "items": own.collect::<Vec<_>>() });
            print(json, &own, ["name", "created", "last_used"]);
            Ok(())
        }
        WayIn::Phones { person: _, remove: Some(phone) } => {
            delete(client, &format!("/phones/{}", segment(&phone)), "The phone is forgotten, and its sessions are taken back.").await
        }
        WayIn::InvitePhone { person } => {
            let id = find(client, &person).await?;
            let invite: Value = client.post(&format!("/people/{id}/phones"), serde_json::json!({})).await?;
            super::pass::invited(json, &invite);
            Ok(())
        }
        WayIn::SecondFactor { person, remove: true } => {
            let id = find(client, &person).await?;
            delete(client, &format!("/people/{id}/totp"), "Their password alone signs them in now.").await
        }
        WayIn::SecondFactor { person, remove: false } => {
            let id = find(client, &person).await?;
            let factor: Value = client.get(&format!("/people/{id}/totp")).await?;
            if json {
                output::json(&factor);
            } else if let Some(since) = factor["since"].as_str() {
                output::line(&format!("A code is asked for since {since}; recovery codes left: {}.", factor["recovery_codes"]));
            } else {
                output::line("No code is asked for.");
            }
            Ok(())
        }
    }
}

async fn list(client: &Client, json: bool, path: &str, columns: [&str; 3]) -> Result<(), Failure> {
    let answer: Value = client.get(path).await?;
    print(json, &answer, columns);
    Ok(())
}

fn print(json: bool, answer: &Value, columns: [&str; 3]) {
    if json {
        output::json(&answer["items"]);
        return;
    }
    let row = |item: &Value| std::iter::once("id").chain(columns).map(|column| text(item, column)).collect();
    let rows: Vec<Vec<String>> = answer["items"].as_array().into_iter().flatten().map(row).collect();
    let head = columns.map(|column| if column == "rp_id" { "works at".to_owned() } else { column.replace('_', " ") });
    output::table(&["id", &head[0], &head[1], &head[2]], &rows);
}

async fn delete(client: &Client, path: &str, said: &str) -> Result<(), Failure> {
    client.send::<Value>(Method::DELETE, path, None).await?;
    output::line(said);
    Ok(())
}
