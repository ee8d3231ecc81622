//! `doorward door …`

use super::{ask, terms};
use crate::{
    cli::{Act, Code, CodeWish, Door as Verb},
    client::{Client, segment},
    failure::{Exit, Failure, Outcome},
    output,
};
use doorward_wire::{
    attempt::{Attempt, AttemptState},
    code::Code as LockCode,
    door::Door,
};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

#[derive(Debug, Deserialize)]
struct Items<T> {
    items: Vec<T>,
}

pub(crate) async fn run(client: &Client, json: bool, verb: Verb) -> Outcome {
    match verb {
        Verb::List => list(client, json).await,
        Verb::Show { door } => {
            show(&find(client, &door).await?, json);
            Ok(Exit::Done)
        }
        Verb::Open(act) => one(client, json, "open", &act).await,
        Verb::Unlock(act) => one(client, json, "unlock", &act).await,
        Verb::Refresh(act) => one(client, json, "refresh", &act).await,
        Verb::Lock { door: Some(door), wait, .. } => one(client, json, "lock", &Act { door, wait, not_after: None }).await,
        Verb::Lock { door: None, wait, .. } => lock_all(client, json, wait).await,
        Verb::Set { door, name, site, auto_lock_after, auto_lock_at, fail_open, mqtt_code, stream } => {
            let door = find(client, &door).await?;
            let mut body = json!({});
            for (key, value) in
                [("name", name.map(Value::from)), ("site", site.map(Value::from)), ("fail_open", fail_open.map(Value::from))]
            {
                if let Some(value) = value {
                    body[key] = value;
                }
            }
            if let Some(code) = mqtt_code {
                body["mqtt_code"] = json!(if code == "off" { "" } else { &code });
            }
            if let Some(stream) = stream {
                body["stream"] = json!(if stream == "off" { "" } else { &stream });
            }
            if let Some(auto_lock) = auto_lock(auto_lock_after.as_deref(), auto_lock_at.as_deref())? {
                body["auto_lock"] = auto_lock;
            }
            let changed: Door = client.send(Method::PATCH, &format!("/doors/{}", door.id), Some(body)).await?;
            show(&changed, json);
            Ok(Exit::Done)
        }
        Verb::Remove { door } => {
            let door = find(client, &door).await?;
            client.send::<Value>(Method::DELETE, &format!("/doors/{}", door.id), None).await?;
            output::line(&format!("{} is removed. If the vendor still lists it, it comes back as a new door.", door.name));
            Ok(Exit::Done)
        }
        Verb::Code(verb) => code(client, json, verb).await,
    }
}

/// What is asked of `auto_lock`: both parts together, since they are set together.
fn auto_lock(after: Option<&str>, at: Option<&str>) -> Result<Option<Value>, Failure> {
    if after.is_none() && at.is_none() {
        return Ok(None);
    }
    let mut wish = json!({});
    if let Some(minutes) = after.filter(|after| *after != "off") {
        let minutes: u32 = minutes.parse().map_err(|_| Failure::usage("--auto-lock-after takes a number of minutes, or off"))?;
        wish["after"] = json!(minutes);
    }
    if let Some(at) = at.filter(|at| *at != "off") {
        wish["at"] = json!(at);
    }
    Ok(Some(wish))
}

/// A door by its id or unique name.
pub(crate) async fn find(client: &Client, text: &str) -> Result<Door, Failure> {
    let doors = client.get::<Items<Door>>("/doors").await?.items;
    if let Some(door) = doors.iter().find(|door| door.id.as_str() == text) {
        return Ok(door.clone());
    }
    let named: Vec<&Door> = doors.iter().filter(|door| door.name.eq_ignore_ascii_case(text)).collect();
    match named.as_slice() {
        [door] => Ok((*door).clone()),
        [] => {
            let ids: Vec<&str> = doors.iter().map(|door| door.id.as_str()).collect();
            let known = if ids.is_empty() {
                "there are no doors yet; add an account first".into()
            } else {
                format!("doors are: {}", ids.join(", "))
            };
            Err(Failure::usage(format!("there is no door “{text}”")).and(known))
        }
        _ => Err(Failure::usage(format!("several doors are called “{text}”; use the id"))),
    }
}

async fn list(client: &Client, json: bool) -> Outcome {
    let doors = client.get::<Items<Door>>("/doors").await?.items;
    if json {
        output::json(&doors);
    } else if doors.is_empty() {
        output::line("There are no doors yet. Add an account: doorward account add utec --help");
    } else {
        let rows: Vec<Vec<String>> = doors
            .iter()
            .map(|door| {
                let battery = door.battery.map_or_else(String::new, |battery| format!("{battery} %"));
                let online = match door.online {
                    Some(true) => "online",
                    Some(false) => "offline",
                    None => "",
                };
                vec![door.id.to_string(), door.name.clone(), door.state.to_string(), online.into(), battery, evidence(door)]
            })
            .collect();
        output::table(&["door", "name", "state", "", "battery", "evidence"], &rows);
    }
    Ok(Exit::Done)
}

fn evidence(door: &Door) -> String {
    door.evidence.first().map_or_else(|| "none".into(), |evidence| format!("{} {}", evidence.kind, evidence.at))
}

fn show(door: &Door, json: bool) {
    if json {
        return output::json(door);
    }
    let can: Vec<&str> = door.capabilities.iter().map(|can| can.as_str()).collect();
    output::line(&format!("{} ({})", door.name, door.id));
    output::line(&format!("  state     {}", door.state));
    if let Some(since) = door.since {
        output::line(&format!("  since     {since}"));
    }
    if let Some(open) = door.contact_open {
        output::line(&format!("  contact   {}", if open { "open" } else { "closed" }));
    }
    if let Some(battery) = door.battery {
        output::line(&format!("  battery   {battery} %"));
    }
    output::line(&format!("  site      {}", door.site));
    output::line(&format!("  kind      {}", door.kind));
    output::line(&format!("  can       {}", can.join(", ")));
    output::line(&format!("  account   {}", door.account.as_deref().unwrap_or("none")));
    for evidence in &door.evidence {
        let state = evidence.state.map_or_else(String::new, |state| state.to_string());
        output::line(&format!("  evidence  {} {} {state}", evidence.at, evidence.kind));
    }
    if let Some(attempt) = &door.attempt {
        output::line(&format!("  attempt   {}", output::attempt(attempt)));
    }
}

async fn one(client: &Client, json: bool, action: &str, act: &Act) -> Outcome {
    let door = find(client, &act.door).await?;
    let mut body = json!({ "action": action });
    if let Some(not_after) = &act.not_after {
        body["not_after"] = json!(not_after);
    }
    let path = format!("/doors/{}/actions?wait={}s", door.id, act.wait.as_secs().min(60));
    let attempt: Attempt = client.post(&path, body).await?;
    Ok(tell(&[attempt], json))
}

async fn lock_all(client: &Client, json: bool, wait: Duration) -> Outcome {
    let path = format!("/doors/actions?wait={}s", wait.as_secs().min(60));
    let attempts = client.post::<Items<Attempt>>(&path, json!({ "action": "lock", "doors": "all" })).await?.items;
    if attempts.is_empty() && !json {
        output::line("No door can be locked.");
    }
    Ok(tell(&attempts, json))
}

/// Prints attempts; the exit code is that of the worst.
fn tell(attempts: &[Attempt], json: bool) -> Exit {
    if json {
        match attempts {
            [attempt] => output::json(attempt),
            many => output::json(&many),
        }
    }
    let mut exit = Exit::Done;
    for attempt in attempts {
        let line = output::attempt(attempt);
        match attempt.state {
            AttemptState::Unconfirmed => eprintln!("warning: {line}"),
            AttemptState::Pending | AttemptState::Confirmed | AttemptState::Contradicted | AttemptState::Refused | AttemptState::Failed => {
                if !json {
                    output::line(&line);
                }
            }
        }
        let this = match attempt.state {
            AttemptState::Confirmed | AttemptState::Unconfirmed => Exit::Done,
            AttemptState::Contradicted | AttemptState::Failed => Exit::Failed,
            AttemptState::Refused => Exit::Refused,
            AttemptState::Pending => Exit::Pending,
        };
        if exit == Exit::Done || this == Exit::Failed {
            exit = if this == Exit::Done { exit } else { this };
        }
    }
    exit
}

async fn code(client: &Client, json: bool, verb: Code) -> Outcome {
    match verb {
        Code::List { door } => {
            let door = find(client, &door).await?;
            let codes = client.get::<Items<LockCode>>(&format!("/doors/{}/codes", door.id)).await?.items;
            if json {
                output::json(&codes);
            } else if codes.is_empty() {
                output::line("The lock keeps no codes.");
            } else {
                let rows: Vec<Vec<String>> = codes
                    .iter()
                    .map(|code| vec![code.id.clone(), code.name.clone(), code.kind.to_string(), code.state.to_string()])
                    .collect();
                output::table(&["id", "name", "kind", "state"], &rows);
            }
            return Ok(Exit::Done);
        }
        Code::Add { door, name, wish } => {
            let door = find(client, &door).await?;
            let pin = ask::secret(wish.pin_file.as_deref(), "Digits of the code")?;
            let mut body = body(&wish)?;
            body["name"] = json!(name);
            body["pin"] = json!(pin.reveal());
            let answer: Value = client.post(&format!("/doors/{}/codes", door.id), body).await?;
            answer_or_line(json, &answer, &format!("The code for {name} is on its way to the lock."));
        }
        Code::Update { door, code, name, wish } => {
            let door = find(client, &door).await?;
            let mut body = body(&wish)?;
            if let Some(name) = name {
                body["name"] = json!(name);
            }
            if let Some(file) = &wish.pin_file {
                body["pin"] = json!(ask::secret(Some(file), "Digits of the code")?.reveal());
            }
            let path = format!("/doors/{}/codes/{}", door.id, segment(&code));
            let answer: Value = client.send(Method::PATCH, &path, Some(body)).await?;
            answer_or_line(json, &answer, "The change is on its way to the lock.");
        }
        Code::Delete { door, code } => {
            let door = find(client, &door).await?;
            let path = format!("/doors/{}/codes/{}", door.id, segment(&code));
            let answer: Value = client.send(Method::DELETE, &path, None).await?;
            answer_or_line(
                json,
                &answer,
                "Removing: the code works until the lock confirms. `doorward door code list` shows when it is gone.",
            );
        }
    }
    Ok(Exit::Done)
}

fn answer_or_line(json: bool, answer: &Value, line: &str) {
    if json { output::json(answer) } else { output::line(line) }
}

fn body(wish: &CodeWish) -> Result<Value, Failure> {
    let mut body = json!({});
    if let Some(kind) = &wish.kind {
        body["kind"] = json!(kind);
    }
    let mut schedule = json!({});
    for (key, value) in [("from", &wish.from), ("until", &wish.until), ("hours", &wish.hours)] {
        if let Some(value) = value {
            schedule[key] = json!(value);
        }
    }
    if !wish.weekdays.is_empty() {
        schedule["weekdays"] = json!(terms::weekdays(&wish.weekdays)?);
    }
    if let Some(uses) = wish.uses {
        schedule["uses"] = json!(uses);
    }
    if schedule.as_object().is_some_and(|schedule| !schedule.is_empty()) {
        body["schedule"] = schedule;
    }
    Ok(body)
}
