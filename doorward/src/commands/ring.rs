//! `doorward ring …`

use crate::{
    cli::Ring as Verb,
    client::{Client, segment},
    failure::{Exit, Failure, Outcome},
    output,
};
use doorward_wire::ring::Ring;
use reqwest::Method;
use serde::Deserialize;

#[derive(Debug, Deserialize)]
struct Items {
    items: Vec<Ring>,
}

pub(crate) async fn run(client: &Client, json: bool, verb: Verb) -> Outcome {
    match verb {
        Verb::List { door, state, limit } => list(client, json, door.as_deref(), state.as_deref(), limit).await?,
        Verb::Show { ring } => show(&client.get(&format!("/rings/{}", segment(&ring))).await?, json),
        Verb::Ignore { ring } => show(&client.send(Method::POST, &format!("/rings/{}/ignore", segment(&ring)), None).await?, json),
    }
    Ok(Exit::Done)
}

async fn list(client: &Client, json: bool, door: Option<&str>, state: Option<&str>, limit: u32) -> Result<(), Failure> {
    let mut query = vec![format!("limit={limit}")];
    if let Some(door) = door {
        query.push(format!("door={}", super::door::find(client, door).await?.id));
    }
    if let Some(state) = state {
        query.push(format!("state={}", segment(state)));
    }
    let rings = client.get::<Items>(&format!("/rings?{}", query.join("&"))).await?.items;
    if json {
        output::json(&rings);
    } else if rings.is_empty() {
        output::line("Nobody has rung.");
    } else {
        output::table(&["ring", "since", "door", "from", "state", "by"], &rings.iter().map(row).collect::<Vec<_>>());
    }
    Ok(())
}

fn row(ring: &Ring) -> Vec<String> {
    let by = ring.by.as_ref().map(|actor| actor.name.clone().unwrap_or_else(|| format!("{} {}", actor.kind, actor.id)));
    vec![
        ring.id.to_string(),
        ring.since.to_string(),
        ring.door.to_string(),
        ring.from.clone().unwrap_or_default(),
        ring.state.to_string(),
        by.unwrap_or_default(),
    ]
}

fn show(ring: &Ring, json: bool) {
    if json {
        return output::json(ring);
    }
    output::table(&["ring", "since", "door", "from", "state", "by"], &[row(ring)]);
}
