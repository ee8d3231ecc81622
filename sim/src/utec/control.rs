//! `/sim/…`: looking behind the scenes and meddling, while the simulator runs.
//!
//! ```text
//! GET  /sim/state                     locks as they really stand, counters, faults, accounts
//! GET  /sim/requests                  recent requests, without secrets
//! PUT  /sim/faults                    {"server_error":{"on":"command","times":1,"with":503}}; false or null = off
//! POST /sim/locks/{id}/turn           {"to":"locked|unlocked"}      by hand
//! POST /sim/locks/{id}/door           {"open":true}
//! POST /sim/locks/{id}/battery        {"level":1}
//! POST /sim/locks/{id}/online         {"online":false}
//! POST /sim/locks/{id}/behaviour      {"behaviour":"liar"}
//! POST /sim/oauth/revoke              kills the refresh tokens
//! POST /sim/oauth/expire              kills the access tokens
//! POST /sim/push/silence              {"silent":true}
//! ```

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State as Extract};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use serde_json::{Value, json};

use super::locks::{Behaviour, Bolt, Lock};
use super::world::World;
use crate::server::{field, refused};

/// What is done to a lock.
type Change = Box<dyn FnOnce(&mut Lock) + Send>;

pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/sim/state", get(state))
        .route("/sim/requests", get(requests))
        .route("/sim/faults", put(set_faults).get(faults))
        .route("/sim/locks/{id}/{what}", post(tamper))
        .route("/sim/oauth/{what}", post(oauth))
        .route("/sim/push/silence", post(silence))
}

async fn state(Extract(world): Extract<Arc<World>>) -> Response {
    let body = world.look(|state, now| {
        let locks: Vec<_> = state.locks.iter().map(Lock::view).collect();
        let push = state.registration.as_ref().map(|registration| {
            let uri: Option<Uri> = registration.url.parse().ok();
            uri.and_then(|uri| uri.host().map(str::to_owned))
        });
        json!({
            "now": now,
            "seed": state.dice.seed,
            "rotation": world.rotation,
            "locks": locks,
            "counters": state.counters,
            "faults": state.faults,
            "accounts": state.book.views(),
            "push": { "registered": push.is_some(), "host": push.flatten(), "silent": state.silent },
        })
    });
    axum::Json(body).into_response()
}

async fn requests(Extract(world): Extract<Arc<World>>) -> Response {
    axum::Json(world.lines()).into_response()
}

async fn faults(Extract(world): Extract<Arc<World>>) -> Response {
    axum::Json(world.faults()).into_response()
}

async fn set_faults(Extract(world): Extract<Arc<World>>, body: Bytes) -> Response {
    let changes: Value = serde_json::from_slice(&body).unwrap_or_default();
    let outcome = world.look(|state, _| {
        state.faults = state.faults.patched(&changes)?;
        Ok::<_, String>(state.faults.clone())
    });
    match outcome {
        Ok(faults) => axum::Json(faults).into_response(),
        Err(reason) => refused(StatusCode::BAD_REQUEST, &reason),
    }
}

async fn tamper(Extract(world): Extract<Arc<World>>, Path((id, what)): Path<(String, String)>, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let change: Result<Change, String> = match what.as_str() {
        "turn" => field(&body, "to").map(|to: Bolt| boxed(move |lock| lock.turn(to))),
        "door" => field(&body, "open").map(|open| boxed(move |lock| lock.set_door(open))),
        "battery" => field(&body, "level").and_then(|level: u8| match level {
            1..=5 => Ok(boxed(move |lock| lock.works.battery = level)),
            _ => Err("level is 1 to 5".to_owned()),
        }),
        "online" => field(&body, "online").map(|online| boxed(move |lock| lock.works.online = online)),
        "behaviour" => field(&body, "behaviour").map(|behaviour: Behaviour| boxed(move |lock| lock.spec.behaviour = behaviour)),
        _ => return refused(StatusCode::NOT_FOUND, "no such thing to change"),
    };
    let change = match change {
        Ok(change) => change,
        Err(reason) => return refused(StatusCode::BAD_REQUEST, &reason),
    };
    let view = world.edit(|state, _| {
        state.tamper(&id, change);
        state.lock(&id).map(Lock::view)
    });
    match view {
        Some(view) => axum::Json(view).into_response(),
        None => refused(StatusCode::NOT_FOUND, "no such lock"),
    }
}

fn boxed(change: impl FnOnce(&mut Lock) + Send + 'static) -> Change {
    Box::new(change)
}

async fn oauth(Extract(world): Extract<Arc<World>>, Path(what): Path<String>) -> Response {
    match what.as_str() {
        "revoke" => world.edit(|state, _| state.book.revoke()),
        "expire" => world.edit(|state, _| state.book.expire()),
        _ => return refused(StatusCode::NOT_FOUND, "revoke or expire"),
    }
    StatusCode::NO_CONTENT.into_response()
}

async fn silence(Extract(world): Extract<Arc<World>>, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let silent = body.get("silent").and_then(Value::as_bool).unwrap_or(true);
    world.look(|state, _| state.silent = silent);
    StatusCode::NO_CONTENT.into_response()
}
