//! A stand-in for the part of EMQX 5's REST API that keeps users and their rules. There is no EMQX where the tests run, so
//! this is written after its documentation: it stores what it is told, and checks that it is told it as documented.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// `key:secret` in Base64.
const AUTHORIZATION: &str = "Basic a2V5OnNlY3JldA==";

/// What is kept, and what goes wrong.
#[derive(Clone, Debug, Default)]
pub struct Inside {
    /// Passwords by user.
    pub users: BTreeMap<String, String>,
    /// Rules by user.
    pub rules: BTreeMap<String, Value>,
    /// What becomes of those that no rule is about.
    pub no_match: &'static str,
    /// Rules cannot be written.
    pub no_rules: bool,
    /// Nothing can be deleted.
    pub no_deletes: bool,
}

/// A running stand-in. Its administrator is the API key `key` with the secret `secret`.
pub struct Emqx {
    address: SocketAddr,
    inside: Shared,
    serving: JoinHandle<()>,
}

type Shared = Arc<Mutex<Inside>>;
type Answer = (StatusCode, Json<Value>);

impl Emqx {
    /// Starts one on a free port. It denies what no rule allows.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let inside: Shared = Arc::new(Mutex::new(Inside { no_match: "deny", ..Inside::default() }));
        let users = "/api/v5/authentication/{id}/users";
        let rules = "/api/v5/authorization/sources/built_in_database/rules/users";
        let router = Router::new()
            .route("/api/v5/authorization/settings", get(settings))
            .route(users, post(add_user).get(list_users))
            .route("/api/v5/authentication/{id}/users/{user}", delete(remove_user))
            .route(rules, post(add_rules))
            .route("/api/v5/authorization/sources/built_in_database/rules/users/{user}", delete(remove_rules).put(change_rules))
            .with_state(Arc::clone(&inside));
        let serving = tokio::spawn(crate::server::serve(listener, router));
        Ok(Self { address, inside, serving })
    }

    /// Where its API is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What is kept now.
    #[must_use]
    pub fn inside(&self) -> Inside {
        lock(&self.inside).clone()
    }

    /// Changes what is kept or what goes wrong.
    pub fn set(&self, change: impl FnOnce(&mut Inside)) {
        change(&mut lock(&self.inside));
    }
}

impl Drop for Emqx {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn no(status: StatusCode, reason: &str) -> Answer {
    (status, Json(json!({ "code": "BAD_REQUEST", "reason": reason })))
}

fn let_in(headers: &HeaderMap) -> Result<(), Answer> {
    let said = headers.get(header::AUTHORIZATION).is_some_and(|value| value == AUTHORIZATION);
    if said { Ok(()) } else { Err(no(StatusCode::UNAUTHORIZED, "bad API key")) }
}

async fn settings(State(inside): State<Shared>, headers: HeaderMap) -> Result<Answer, Answer> {
    let_in(&headers)?;
    Ok((StatusCode::OK, Json(json!({ "no_match": lock(&inside).no_match, "deny_action": "ignore" }))))
}

async fn add_user(
    State(inside): State<Shared>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Result<Answer, Answer> {
    let_in(&headers)?;
    let (Some(user), Some(password)) = (body["user_id"].as_str(), body["password"].as_str()) else {
        return Err(no(StatusCode::BAD_REQUEST, "user_id and password are needed"));
    };
    if id != "password_based:built_in_database" {
        return Err(no(StatusCode::NOT_FOUND, "no such authenticator"));
    }
    if lock(&inside).users.insert(user.into(), password.into()).is_some() {
        return Err(no(StatusCode::CONFLICT, "user exists"));
    }
    Ok((StatusCode::CREATED, Json(json!({ "user_id": user }))))
}

async fn list_users(State(inside): State<Shared>, Query(page): Query<Page>, headers: HeaderMap) -> Result<Answer, Answer> {
    let_in(&headers)?;
    let (page, limit) = (page.page.unwrap_or(1), page.limit.unwrap_or(100));
    if page == 0 || !(1..=10_000).contains(&limit) {
        return Err(no(StatusCode::BAD_REQUEST, "a page has 1 to 10000 users"));
    }
    let inside = lock(&inside);
    let some: Vec<Value> = inside.users.keys().skip((page - 1) * limit).take(limit).map(|user| json!({ "user_id": user })).collect();
    Ok((StatusCode::OK, Json(json!({ "data": some, "meta": { "page": page, "limit": limit, "count": inside.users.len() } }))))
}

/// A part of a list.
#[derive(serde::Deserialize)]
struct Page {
    page: Option<usize>,
    limit: Option<usize>,
}

async fn remove_user(
    State(inside): State<Shared>,
    Path((_, user)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<StatusCode, Answer> {
    let_in(&headers)?;
    removed(&inside, |inside| inside.users.remove(&user).is_some())
}

async fn add_rules(State(inside): State<Shared>, headers: HeaderMap, Json(body): Json<Value>) -> Result<StatusCode, Answer> {
    let_in(&headers)?;
    let Some(all) = body.as_array() else { return Err(no(StatusCode::BAD_REQUEST, "an array is needed")) };
    let mut inside = lock(&inside);
    if inside.no_rules {
        return Err(no(StatusCode::INTERNAL_SERVER_ERROR, "out of order on purpose"));
    }
    for one in all {
        let Some(user) = one["username"].as_str() else { return Err(no(StatusCode::BAD_REQUEST, "username is needed")) };
        inside.rules.insert(user.into(), checked(one)?);
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn change_rules(
    State(inside): State<Shared>,
    Path(user): Path<String>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Result<StatusCode, Answer> {
    let_in(&headers)?;
    let rules = checked(&body)?;
    lock(&inside).rules.insert(user, rules);
    Ok(StatusCode::NO_CONTENT)
}

async fn remove_rules(State(inside): State<Shared>, Path(user): Path<String>, headers: HeaderMap) -> Result<StatusCode, Answer> {
    let_in(&headers)?;
    removed(&inside, |inside| inside.rules.remove(&user).is_some())
}

fn removed(inside: &Shared, remove: impl FnOnce(&mut Inside) -> bool) -> Result<StatusCode, Answer> {
    let mut inside = lock(inside);
    if inside.no_deletes {
        return Err(no(StatusCode::INTERNAL_SERVER_ERROR, "out of order on purpose"));
    }
    if remove(&mut inside) { Ok(StatusCode::NO_CONTENT) } else { Err(no(StatusCode::NOT_FOUND, "not found")) }
}

/// The rules of a user, if each is as documented.
fn checked(body: &Value) -> Result<Value, Answer> {
    let rules = body["rules"].as_array().ok_or_else(|| no(StatusCode::BAD_REQUEST, "rules are needed"))?;
    for rule in rules {
        let action = matches!(rule["action"].as_str(), Some("publish" | "subscribe" | "all"));
        let permission = matches!(rule["permission"].as_str(), Some("allow" | "deny"));
        if !action || !permission || !rule["topic"].is_string() {
            return Err(no(StatusCode::BAD_REQUEST, "a rule has topic, permission and action"));
        }
    }
    Ok(body["rules"].clone())
}

fn lock(inside: &Shared) -> MutexGuard<'_, Inside> {
    inside.lock().unwrap_or_else(PoisonError::into_inner)
}
