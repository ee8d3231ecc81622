//! `doorward tunnel call`: speaking to a tunnel as a phone does.

use crate::{
    commands::ask,
    failure::{Exit, Failure, Outcome},
    output,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use doorward_core::Secret;
use doorward_engine::{Clock, SystemClock};
use doorward_store::TunnelSecret;
use doorward_tunnel::{
    client::{CallError, Client},
    keys::from_hex,
};
use doorward_wire::tunnel::StreamEvent;
use reqwest::{Certificate, Url};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// Where the key is looked for beside a file.
const KEY: &str = "DOORWARD_TUNNEL_KEY";
/// A clock that is further off is told: an opening may be 10 seconds old.
const SKEW: f64 = 5.0;

/// What is asked for.
pub(crate) struct Wish {
    pub(crate) address: String,
    pub(crate) fields: Vec<String>,
    pub(crate) key_file: Option<PathBuf>,
    pub(crate) v2: bool,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) listen: Option<String>,
}

pub(crate) async fn run(json: bool, wish: &Wish) -> Outcome {
    let base: Url = wish.address.parse().map_err(|_| Failure::usage(format!("“{}” is no address", wish.address)))?;
    if !matches!(base.scheme(), "http" | "https") {
        return Err(Failure::usage("the address must begin with https:// or http://"));
    }
    let fields = fields(&wish.fields)?;
    let key = key(wish)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let authorities = authorities(wish.ca_file.as_deref())?;
    let mut client = Client::new(base, &key.secret, &authorities, Arc::clone(&clock)).map_err(|error| failure(&error))?;
    if wish.v2 {
        let (Some(name), Some(pin)) = (&key.name, key.pin) else {
            return Err(Failure::usage("--v2 needs the pairing link as the key: it names the key, and the house by its pin"));
        };
        client = client.in_version_2(name, &key.secret, pin);
    }
    match &wish.listen {
        Some(topic) => listen(&client, json, topic).await,
        None if fields.is_empty() => look(&client, clock.as_ref(), json).await,
        None => call(&client, json, fields).await,
    }
}

/// `name=text` and `name:=JSON`.
fn fields(words: &[String]) -> Result<Map<String, Value>, Failure> {
    let field = |word: &String| {
        let (name, text) = word.split_once('=').ok_or_else(|| Failure::usage(format!("“{word}” is not name=text or name:=JSON")))?;
        match name.strip_suffix(':') {
            None => Ok((name.to_owned(), json!(text))),
            Some(name) => match serde_json::from_str(text) {
                Ok(value) => Ok((name.to_owned(), value)),
                Err(error) => Err(Failure::usage(format!("{name}: “{text}” is no JSON ({error})"))),
            },
        }
    };
    words.iter().map(field).collect()
}

fn authorities(file: Option<&Path>) -> Result<Vec<Certificate>, Failure> {
    let Some(file) = file else { return Ok(Vec::new()) };
    let pem = std::fs::read(file).map_err(|error| Failure::usage(format!("{} cannot be read: {error}", file.display())))?;
    let found = Certificate::from_pem_bundle(&pem).unwrap_or_default();
    if found.is_empty() { Err(Failure::usage(format!("{} holds no certificate", file.display()))) } else { Ok(found) }
}

/// A key, and what else a pairing link says.
struct Key {
    secret: TunnelSecret,
    name: Option<String>,
    pin: Option<[u8; 32]>,
}

/// The secret as it is, or in the fragment of a pairing link.
fn key(wish: &Wish) -> Result<Key, Failure> {
    let text = match (&wish.key_file, std::env::var(KEY)) {
        (Some(file), _) => ask::secret(Some(file), "Key")?,
        (None, Ok(text)) => Secret::new(text),
        (None, Err(_)) => ask::secret(None, "Key")?,
    };
    read_key(text.reveal().trim()).ok_or_else(|| Failure::usage("the key must have 64 hexadecimal digits, or be a pairing link"))
}

fn read_key(text: &str) -> Option<Key> {
    let Some((_, fragment)) = text.split_once('#') else {
        return Some(Key { secret: from_hex(text)?, name: None, pin: None });
    };
    let part = |name: &str| fragment.split('&').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
    let pin = part("p").and_then(|pin| URL_SAFE_NO_PAD.decode(pin).ok()?.try_into().ok());
    Some(Key { secret: from_hex(part("k")?)?, name: part("n").map(str::to_owned), pin })
}

async fn call(client: &Client, json: bool, fields: Map<String, Value>) -> Outcome {
    let answer = client.call(Value::Object(fields)).await.map_err(|error| failure(&error))?;
    if json {
        output::json(&answer);
    } else {
        match &answer.body {
            Value::String(text) => output::line(text),
            body @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => output::json(body),
        }
        if answer.status >= 400 {
            output::note(&format!("status {}", answer.status));
        }
    }
    Ok(match answer.status {
        ..400 => Exit::Done,
        400..500 => Exit::Refused,
        _ => Exit::Failed,
    })
}

async fn listen(client: &Client, json: bool, topic: &str) -> Outcome {
    let mut events = client.listen(topic).await.map_err(|error| failure(&error))?;
    while let Some(event) = events.next().await.map_err(|error| failure(&error))? {
        if json {
            output::line(&event.to_json());
        }
        match event {
            StreamEvent::Connected { message, .. } if !json => output::note(&message),
            StreamEvent::Message { topic, payload, .. } if !json => match payload {
                Value::String(text) => output::line(&format!("{topic}  {text}")),
                value @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
                    output::line(&format!("{topic}  {value}"));
                }
            },
            StreamEvent::Error { message, .. } => return Err(Failure::new(Exit::Refused, message)),
            StreamEvent::Disconnected { message, .. } => return Err(Failure::new(Exit::Unreachable, message)),
            StreamEvent::Connected { .. } | StreamEvent::Message { .. } => {}
        }
    }
    Err(Failure::new(Exit::Unreachable, "the stream has ended"))
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    ok: bool,
    detail: String,
}

/// Looks whether everything is right between here and there.
async fn look(client: &Client, clock: &dyn Clock, json: bool) -> Outcome {
    let mut checks = Vec::new();
    let mut add = |name, ok, detail: String| checks.push(Check { name, ok, detail });
    match client.health().await {
        Ok(version) => add("reachable", true, format!("doorward {version}")),
        Err(error) => add("reachable", false, error.to_string()),
    }
    let begun = clock.now();
    match client.call(json!({ "service": "doors", "action": "list" })).await {
        Ok(answer) => {
            add("key", true, "it is known there".into());
            let took = clock.now().mono.since(begun.mono);
            let (skew, told) = skew(begun.utc.as_epoch_seconds(), took, answer.timestamp);
            add("clock", skew.abs() <= SKEW, told);
            add("answer", true, format!("after {} ms", took.as_millis()));
            let doors = answer.body["doors"].as_array().map(Vec::len);
            add("doors", true, doors.map_or_else(|| "this key is not for doors".into(), |doors| format!("{doors} that this key may use")));
        }
        Err(error) => add("key", false, error.to_string()),
    }
    if json {
        output::json(&checks);
    } else {
        for check in &checks {
            output::line(&format!("{}  {:<10} {}", if check.ok { "ok  " } else { "FAIL" }, check.name, check.detail));
        }
    }
    Ok(if checks.iter().all(|check| check.ok) { Exit::Done } else { Exit::Failed })
}

/// How far this clock is ahead of the other one, which tells whole seconds.
fn skew(begun: f64, took: Duration, there: i64) -> (f64, String) {
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970")]
    let skew = begun + took.as_secs_f64() / 2.0 - (there as f64 + 0.5);
    let told = if skew.abs() <= SKEW {
        "it is right".to_owned()
    } else {
        let way = if skew > 0.0 { "ahead" } else { "behind" };
        format!("this machine's clock is {:.0} s {way}; what opens doors must not be older than 10 s", skew.abs())
    };
    (skew, told)
}

fn failure(error: &CallError) -> Failure {
    let exit = match error {
        CallError::Unreachable(_) | CallError::NotATunnel(..) => Exit::Unreachable,
        CallError::UnknownKey | CallError::TooMany | CallError::OtherHouse => Exit::Refused,
        CallError::Request(_) => Exit::Usage,
    };
    Failure::new(exit, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_texts_or_json() {
        let read = |words: &[&str]| fields(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        let found = read(&["service=mqtt", "message=a=b", "retain:=true", "params:={\"a\":1}"]).unwrap_or_default();
        assert_eq!(Value::Object(found), json!({ "service": "mqtt", "message": "a=b", "retain": true, "params": { "a": 1 } }));
        assert!(read(&["service"]).is_err() && read(&["a:=nonsense"]).is_err());
    }

    #[test]
    fn a_key_is_digits_or_a_pairing_link() {
        let digits = "ab".repeat(32);
        assert!(read_key(&digits).is_some_and(|key| key.name.is_none() && key.pin.is_none()));
        let link = format!("https://doors.example/remote#k={digits}&n=anna&p={}", "A".repeat(43));
        assert!(read_key(&link).is_some_and(|key| key.name.as_deref() == Some("anna") && key.pin == Some([0; 32])));
        for wrong in ["", "https://doors.example/remote", "https://doors.example/remote#n=anna", "#k=12"] {
            assert!(read_key(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_clock_is_right_within_some_seconds() {
        assert!(skew(1000.7, Duration::from_millis(100), 1000).0.abs() < 1.0);
        assert!(skew(1030.0, Duration::ZERO, 1000).1.contains("30 s ahead"));
        assert!(skew(970.0, Duration::ZERO, 1000).1.contains("30 s behind"));
    }
}
