//! A Jeedom, as far as its JSON-RPC API is used through the tunnel: a lamp, a heater and a shutter, an API key, and
//! faults that can be switched on while it runs (`PUT /sim/faults`).

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::server::{hang_up, serve};

/// The API key, unless another one is set.
pub const APIKEY: &str = "jeedom-demo-key";
/// Levels of the lamp, the heater and the shutter at the start, by the command that tells them.
const AT_FIRST: [(&str, &str, i64); 3] = [("11", "Lamp", 0), ("21", "Heater", 19), ("31", "Shutter", 100)];
/// The command that changes what another one tells.
const CHANGES: [(&str, &str); 3] = [("12", "11"), ("22", "21"), ("32", "31")];

/// How it works.
#[derive(Clone)]
pub struct Config {
    /// Where it listens.
    pub listen: SocketAddr,
    /// The key that callers must name.
    pub apikey: String,
    /// Its clock.
    pub clock: Arc<dyn Clock>,
}

impl Default for Config {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 0)), apikey: APIKEY.into(), clock: Arc::new(crate::SystemClock) }
    }
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Faults {
    /// It answers with this HTTP status.
    pub status: Option<u16>,
    /// It waits so many milliseconds before it answers.
    pub slow_ms: Option<u64>,
    /// It answers with something that is no JSON.
    pub garbage: bool,
    /// It hangs up without an answer.
    pub hang_up: bool,
}

/// A running Jeedom.
pub struct Jeedom {
    address: SocketAddr,
    inside: Shared,
    serving: JoinHandle<()>,
}

struct Inside {
    apikey: String,
    clock: Arc<dyn Clock>,
    levels: BTreeMap<&'static str, i64>,
    calls: Vec<String>,
    faults: Faults,
}

type Shared = Arc<Mutex<Inside>>;

impl Jeedom {
    /// Starts one.
    pub async fn start(config: Config) -> io::Result<Self> {
        let listener = TcpListener::bind(config.listen).await?;
        let address = listener.local_addr()?;
        let inside = Inside {
            apikey: config.apikey,
            clock: config.clock,
            levels: AT_FIRST.iter().map(|(id, _, level)| (*id, *level)).collect(),
            calls: Vec::new(),
            faults: Faults::default(),
        };
        let inside = Arc::new(Mutex::new(inside));
        let router = Router::new()
            .route("/core/api/jeeApi.php", post(call))
            .route("/sim/state", get(state))
            .route("/sim/faults", put(faults))
            .with_state(Arc::clone(&inside));
        let serving = tokio::spawn(serve(listener, router));
        Ok(Self { address, inside, serving })
    }

    /// Its address, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What a command tells now.
    #[must_use]
    pub fn level(&self, command: &str) -> Option<i64> {
        lock(&self.inside).levels.get(command).copied()
    }

    /// Methods that were called, oldest first.
    #[must_use]
    pub fn calls(&self) -> Vec<String> {
        lock(&self.inside).calls.clone()
    }

    /// Switches faults on, or off.
    pub fn set(&self, faults: Faults) {
        lock(&self.inside).faults = faults;
    }
}

impl Drop for Jeedom {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn call(State(inside): State<Shared>, body: String) -> Response {
    let (faults, clock) = {
        let inside = lock(&inside);
        (inside.faults, Arc::clone(&inside.clock))
    };
    if let Some(slow) = faults.slow_ms {
        clock.sleep_until(clock.now_ms() + slow).await;
    }
    if faults.hang_up {
        return hang_up();
    }
    if let Some(status) = faults.status {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        return (status, "out of order").into_response();
    }
    if faults.garbage {
        return "<br />\n<b>Fatal error</b>: Uncaught Error in /var/www/html/core".into_response();
    }
    let Ok(request) = serde_json::from_str::<Value>(&body) else {
        return told(&Value::Null, Err((-32700, "Parse error")));
    };
    let id = request["id"].clone();
    let mut inside = lock(&inside);
    let params = &request["params"];
    if request["jsonrpc"] != "2.0" || !request["method"].is_string() {
        return told(&id, Err((-32600, "Invalid Request")));
    }
    let method = request["method"].as_str().unwrap_or_default().to_owned();
    inside.calls.push(method.clone());
    if method != "ping" && params["apikey"].as_str() != Some(&inside.apikey) {
        return told(&id, Err((-32001, "Vous n'êtes pas autorisé à effectuer cette action")));
    }
    let result = inside.answer(&method, params);
    drop(inside);
    told(&id, result)
}

impl Inside {
    fn answer(&mut self, method: &str, params: &Value) -> Result<Value, (i64, &'static str)> {
        match method {
            "ping" => Ok(json!("pong")),
            "version" => Ok(json!("4.4.9")),
            "datetime" => Ok(json!(self.clock.now_ms() / 1000)),
            "jeeObject::full" => Ok(self.objects()),
            "cmd::byId" => {
                let (id, name, level) = self.command(params)?;
                Ok(json!({ "id": id, "name": name, "type": "info", "value": level }))
            }
            "cmd::execCmd" => self.exec(params),
            _ => Err((-32601, "Method not found")),
        }
    }

    fn objects(&self) -> Value {
        let equipment = AT_FIRST.iter().zip(CHANGES).map(|((info, name, _), (action, _))| {
            json!({ "name": name, "cmds": [
                { "id": info, "name": "Level", "type": "info", "value": self.levels.get(info) },
                { "id": action, "name": "Set", "type": "action", "subType": "slider" },
            ]})
        });
        json!([{ "id": "1", "name": "House", "eqLogics": equipment.collect::<Vec<_>>() }])
    }

    fn command(&self, params: &Value) -> Result<(&'static str, &'static str, i64), (i64, &'static str)> {
        let id = text(&params["id"]);
        let found = AT_FIRST.iter().find(|(known, ..)| *known == id);
        let (id, name, _) = found.ok_or((-32701, "cmd.id introuvable"))?;
        Ok((id, name, self.levels.get(id).copied().unwrap_or_default()))
    }

    fn exec(&mut self, params: &Value) -> Result<Value, (i64, &'static str)> {
        let id = text(&params["id"]);
        let Some((_, info)) = CHANGES.iter().find(|(action, _)| *action == id) else {
            let (_, _, level) = self.command(params)?;
            return Ok(json!({ "value": level, "collectDate": "" }));
        };
        let level = &params["options"]["slider"];
        let level = level.as_i64().or_else(|| level.as_str()?.parse().ok()).ok_or((-32702, "slider manquant"))?;
        self.levels.insert(info, level.clamp(0, 100));
        Ok(json!({ "value": null, "collectDate": "" }))
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn told(id: &Value, result: Result<Value, (i64, &'static str)>) -> Response {
    Json(match result {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err((code, message)) => {
            json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } })
        }
    })
    .into_response()
}

async fn state(State(inside): State<Shared>) -> Json<Value> {
    let inside = lock(&inside);
    let levels: BTreeMap<&str, i64> =
        AT_FIRST.iter().map(|(id, name, _)| (*name, inside.levels.get(id).copied().unwrap_or_default())).collect();
    Json(json!({ "levels": levels, "calls": inside.calls }))
}

/// `{"status": 503}`, `{"slow_ms": 3000}`, `{"garbage": true}`, `{"hang_up": true}`; `{}` for none.
async fn faults(State(inside): State<Shared>, Json(wish): Json<Value>) -> StatusCode {
    lock(&inside).faults = Faults {
        status: wish["status"].as_u64().and_then(|status| status.try_into().ok()),
        slow_ms: wish["slow_ms"].as_u64(),
        garbage: wish["garbage"] == true,
        hang_up: wish["hang_up"] == true,
    };
    StatusCode::NO_CONTENT
}

fn lock(inside: &Shared) -> MutexGuard<'_, Inside> {
    inside.lock().unwrap_or_else(PoisonError::into_inner)
}
