//! `doorward events`

use crate::{
    client::{Client, segment},
    failure::{Exit, Failure, Outcome},
    output,
};
use doorward_wire::event::Event;
use futures_util::StreamExt;
use reqwest::Method;
use serde::Deserialize;
use std::fmt::Write as _;

/// What to show.
pub(crate) struct Wish {
    pub(crate) follow: bool,
    pub(crate) door: Option<String>,
    pub(crate) kind: Option<String>,
    pub(crate) limit: u32,
    pub(crate) csv: bool,
}

#[derive(Debug, Deserialize)]
struct Items {
    items: Vec<Event>,
}

pub(crate) async fn run(client: &Client, json: bool, wish: &Wish) -> Outcome {
    let mut query = vec![format!("limit={}", wish.limit)];
    if let Some(door) = &wish.door {
        query.push(format!("door={}", super::door::find(client, door).await?.id));
    }
    if let Some(kind) = &wish.kind {
        query.push(format!("kind={}", segment(kind)));
    }
    let events = client.get::<Items>(&format!("/events?{}", query.join("&"))).await?.items;
    if wish.csv {
        output::line("id,time,kind,door,account,actor,reason,attempt,data");
        for event in &events {
            output::line(&csv(event));
        }
        return Ok(Exit::Done);
    }
    if json && !wish.follow {
        output::json(&events);
        return Ok(Exit::Done);
    }
    for event in &events {
        tell(event, json);
    }
    if wish.follow {
        follow(client, json, &query[1..], events.last().map_or(0, |event| event.id)).await?;
    }
    Ok(Exit::Done)
}

/// Goes on with what comes, and comes back after a lost connection without a gap.
async fn follow(client: &Client, json: bool, filter: &[String], mut last: i64) -> Result<(), Failure> {
    loop {
        let mut query = vec![format!("after={last}")];
        query.extend_from_slice(filter);
        let response = client.raw(Method::GET, &format!("/events/stream?{}", query.join("&")), None).await?;
        let mut stream = response.bytes_stream();
        let mut buffer = Vec::new();
        while let Some(Ok(bytes)) = stream.next().await {
            buffer.extend_from_slice(&bytes);
            while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = buffer.drain(..=end).collect();
                let Some(data) = line.strip_prefix(b"data:") else { continue };
                if let Ok(event) = serde_json::from_slice::<Event>(data.trim_ascii()) {
                    last = event.id;
                    tell(&event, json);
                }
            }
        }
        eprintln!("the connection was lost; trying again");
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
}

fn tell(event: &Event, json: bool) {
    if json {
        if let Ok(line) = serde_json::to_string(event) {
            output::line(&line);
        }
        return;
    }
    let mut line = format!("{:>6}  {}  {:<22}", event.id, event.time, event.kind);
    let what = event.door.as_ref().map(ToString::to_string).or_else(|| event.account.clone());
    if let Some(what) = what {
        let _ = write!(line, "  {what}");
    }
    if let Some(actor) = &event.actor {
        let _ = write!(line, "  by {} {}", actor.kind, actor.name.as_deref().unwrap_or(&actor.id));
    }
    if let Some(reason) = event.reason {
        let _ = write!(line, "  {reason}");
    }
    for key in ["action", "state", "detail"] {
        if let Some(value) = event.data[key].as_str() {
            let _ = write!(line, "  {value}");
        }
    }
    output::line(line.trim_end());
}

fn csv(event: &Event) -> String {
    let quoted = |text: String| {
        // A cell that begins like a formula would be run by a spreadsheet.
        let text = if text.starts_with(['=', '+', '-', '@']) { format!("'{text}") } else { text };
        if text.contains([',', '"', '\n']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
    };
    let optional = |text: Option<String>| quoted(text.unwrap_or_default());
    [
        event.id.to_string(),
        event.time.to_string(),
        event.kind.to_string(),
        optional(event.door.as_ref().map(ToString::to_string)),
        optional(event.account.clone()),
        optional(event.actor.as_ref().map(|actor| actor.name.clone().unwrap_or_else(|| actor.id.clone()))),
        optional(event.reason.map(|reason| reason.to_string())),
        optional(event.attempt.map(|attempt| attempt.to_string())),
        if event.data.is_null() { String::new() } else { quoted(event.data.to_string()) },
    ]
    .join(",")
}
