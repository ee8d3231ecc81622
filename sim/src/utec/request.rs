//! Reading a request to `/action`, field by field. Anything that the real cloud's clients do not send is
//! refused with a message that says what is wrong.

use axum::http::{HeaderMap, header};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::faults::On;
use super::locks::Bolt;

/// A request that could be read.
#[derive(Debug)]
pub(crate) struct Request {
    /// Sent back with the answer.
    pub(crate) header: Value,
    pub(crate) message_id: String,
    pub(crate) call: Call,
}

/// What it asks for.
#[derive(Debug)]
pub(crate) enum Call {
    Who,
    Discovery,
    Query(Vec<String>),
    /// Lock or unlock.
    Move {
        style: Style,
        moves: Vec<Move>,
    },
    Users(Vec<UserCall>),
    /// Register for pushes.
    Register {
        access_token: String,
        url: String,
    },
}

#[derive(Debug)]
pub(crate) struct Move {
    pub(crate) id: String,
    pub(crate) to: Bolt,
}

/// How a lock command is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Style {
    Command,
    /// The older style, in one of six shapes (0 to 5).
    Control(u8),
}

#[derive(Debug)]
pub(crate) struct UserCall {
    pub(crate) id: String,
    pub(crate) verb: UserVerb,
}

#[derive(Debug)]
pub(crate) enum UserVerb {
    List,
    Get(u64),
    Add(Map<String, Value>),
    Update(u64, Map<String, Value>),
    Delete(u64),
}

impl Call {
    /// The place that faults know it by.
    pub(crate) fn place(&self) -> On {
        match self {
            Self::Discovery => On::Discovery,
            Self::Query(_) => On::Query,
            Self::Move { .. } => On::Command,
            Self::Users(calls) if calls.iter().any(|call| matches!(call.verb, UserVerb::Add(_))) => On::AddUser,
            Self::Users(_) => On::Users,
            Self::Who | Self::Register { .. } => On::Other,
        }
    }
}

/// The headers that say who asks.
#[derive(Debug)]
pub(crate) struct Credentials {
    pub(crate) bearer: Option<String>,
    pub(crate) access_key: Option<String>,
    pub(crate) secret_key: Option<String>,
    pub(crate) scope: Option<String>,
    /// `Accept` and `Content-Type` are both there and name JSON.
    pub(crate) speaks_json: bool,
}

impl Credentials {
    pub(crate) fn read(headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name)?.to_str().ok().map(str::to_owned);
        let json = |name: header::HeaderName| {
            headers.get(name).and_then(|value| value.to_str().ok()).is_some_and(|value| value.starts_with("application/json"))
        };
        let bearer = text("authorization").and_then(|value| {
            let (kind, token) = value.split_once(' ')?;
            kind.eq_ignore_ascii_case("bearer").then(|| token.to_owned())
        });
        Self {
            bearer,
            access_key: text("x-access-key"),
            secret_key: text("x-secret-key"),
            scope: text("x-scope"),
            speaks_json: json(header::ACCEPT) && json(header::CONTENT_TYPE),
        }
    }
}

/// Namespace and name, for the log, as far as they can be read.
pub(crate) fn title(body: &Value) -> Option<String> {
    let header = body.get("header")?;
    let word = |name: &str| header.get(name)?.as_str();
    let title = format!("{} {}", word("namespace")?, word("name")?);
    // Only words go into the log: whatever else stood there may be a secret in the wrong place.
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | ' ');
    (title.len() <= 60 && title.chars().all(plain)).then_some(title)
}

/// Reads the body of a request.
pub(crate) fn read(body: &Value) -> Result<Request, String> {
    let header = body.get("header").ok_or("no header")?;
    let message_id = text(header, "messageId")?.to_owned();
    let id: Uuid = message_id.parse().map_err(|_| "messageId is no UUID")?;
    if id.get_version_num() != 4 {
        return Err("messageId is no UUID of version 4".to_owned());
    }
    if text(header, "payloadVersion")? != "1" {
        return Err("payloadVersion is not \"1\"".to_owned());
    }
    let payload = body.get("payload").ok_or("no payload")?;
    if !payload.is_object() {
        return Err("payload is not an object".to_owned());
    }
    let call = match (text(header, "namespace")?, text(header, "name")?) {
        ("Uhome.User", "Get") => Call::Who,
        ("Uhome.Device", "Discovery") => Call::Discovery,
        ("Uhome.Device", "Query") => Call::Query(ids(payload)?),
        ("Uhome.Device", "Command") => command(payload)?,
        ("Uhome.Device", "Control") => control(payload)?,
        ("Uhome.Configure", "Set") => register(payload)?,
        (namespace, name) => return Err(format!("unknown request {namespace} {name}")),
    };
    Ok(Request { header: header.clone(), message_id, call })
}

fn text<'a>(object: &'a Value, name: &str) -> Result<&'a str, String> {
    object.get(name).and_then(Value::as_str).ok_or_else(|| format!("{name} is missing or no text"))
}

fn devices(payload: &Value) -> Result<&Vec<Value>, String> {
    let devices = payload.get("devices").and_then(Value::as_array);
    devices.filter(|devices| !devices.is_empty()).ok_or_else(|| "payload.devices is missing or empty".to_owned())
}

fn ids(payload: &Value) -> Result<Vec<String>, String> {
    let id = |device: &Value| text(device, "id").map(str::to_owned);
    devices(payload)?.iter().map(id).collect()
}

fn command(payload: &Value) -> Result<Call, String> {
    let mut moves = Vec::new();
    let mut users = Vec::new();
    for device in devices(payload)? {
        let id = text(device, "id")?.to_owned();
        let command = device.get("command").ok_or("no command")?;
        let arguments = command.get("arguments");
        match (text(command, "capability")?, text(command, "name")?) {
            ("st.lock", name) => {
                let to = match name {
                    "lock" => Bolt::Locked,
                    "unlock" => Bolt::Unlocked,
                    other => return Err(format!("st.lock has no command {other}")),
                };
                moves.push(Move { id, to });
            }
            ("st.lockUser", name) => {
                let verb = user_verb(name, arguments)?;
                users.push(UserCall { id, verb });
            }
            (capability, _) => return Err(format!("unknown capability {capability}")),
        }
    }
    match (moves.is_empty(), users.is_empty()) {
        (false, true) => Ok(Call::Move { style: Style::Command, moves }),
        (true, false) => Ok(Call::Users(users)),
        (true, true) | (false, false) => Err("one capability in each request".to_owned()),
    }
}

/// The fields of a person stand in `arguments` itself or in `arguments.user`: clients in the field send
/// either.
fn user_verb(name: &str, arguments: Option<&Value>) -> Result<UserVerb, String> {
    let person = || {
        let arguments = arguments.and_then(Value::as_object);
        let arguments = arguments.ok_or("arguments are missing")?;
        match arguments.get("user") {
            Some(Value::Object(user)) => Ok(user.clone()),
            Some(_) => Err("arguments.user is not an object".to_owned()),
            None => Ok(arguments.clone()),
        }
    };
    let id = |fields: &Map<String, Value>| {
        let id = fields.get("id").and_then(Value::as_u64);
        id.ok_or_else(|| "id is missing or no integer".to_owned())
    };
    match name {
        "list" => Ok(UserVerb::List),
        "get" => Ok(UserVerb::Get(id(&person()?)?)),
        "delete" => Ok(UserVerb::Delete(id(&person()?)?)),
        "update" => person().and_then(|fields| Ok(UserVerb::Update(id(&fields)?, fields))),
        "add" => match person()? {
            fields if fields.contains_key("id") => Err("add takes no id".to_owned()),
            fields => Ok(UserVerb::Add(fields)),
        },
        other => Err(format!("st.lockUser has no command {other}")),
    }
}

fn control(payload: &Value) -> Result<Call, String> {
    let mut moves = Vec::new();
    let mut shapes = Vec::new();
    for device in devices(payload)? {
        let id = text(device, "id")?.to_owned();
        let actions = device.get("actions").and_then(Value::as_array);
        let [action] = actions.ok_or("no actions")?.as_slice() else {
            return Err("one action for each device".to_owned());
        };
        let value = action.get("value").ok_or("no value")?;
        let (shape, to) = shape(text(action, "name")?, value).ok_or_else(|| "unknown shape of action".to_owned())?;
        shapes.push(shape);
        moves.push(Move { id, to });
    }
    let style = Style::Control(shapes[0]);
    if shapes.iter().any(|shape| *shape != shapes[0]) {
        return Err("one shape in each request".to_owned());
    }
    Ok(Call::Move { style, moves })
}

/// The six older shapes, in the order in which clients try them.
fn shape(name: &str, value: &Value) -> Option<(u8, Bolt)> {
    let only = |key: &str| {
        let object = value.as_object().filter(|object| object.len() == 1)?;
        object.get(key)?.as_str()
    };
    let (shape, word) = match name {
        "LockState" => value.as_str().map(|word| (0, word)).or_else(|| only("targetState").map(|word| (1, word)))?,
        "Lock" => value
            .as_str()
            .map(|word| (2, word))
            .or_else(|| only("targetState").map(|word| (3, word)))
            .or_else(|| only("state").map(|word| (4, word)))
            .or_else(|| only("value").map(|word| (5, word)))?,
        _ => return None,
    };
    let to = match (shape, word) {
        (0 | 1 | 3, "LOCKED") | (2 | 4 | 5, "LOCK") => Bolt::Locked,
        (0 | 1 | 3, "UNLOCKED") | (2 | 4 | 5, "UNLOCK") => Bolt::Unlocked,
        _ => return None,
    };
    Some((shape, to))
}

fn register(payload: &Value) -> Result<Call, String> {
    let notification = payload.get("configure").and_then(|configure| configure.get("notification")).ok_or("no configure.notification")?;
    let access_token = text(notification, "access_token")?.to_owned();
    let url = text(notification, "url")?.to_owned();
    if access_token.is_empty() {
        return Err("access_token is empty".to_owned());
    }
    let uri: axum::http::Uri = url.parse().map_err(|_| "url is no URL")?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none() {
        return Err("url is no http URL".to_owned());
    }
    Ok(Call::Register { access_token, url })
}
