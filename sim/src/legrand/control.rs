//! `/sim/…`: looking behind the scenes and meddling, while the simulator runs.
//!
//! ```text
//! GET  /sim/state                     everything as it really stands, counters, faults
//! GET  /sim/requests                  recent requests over HTTP and SIP, without secrets
//! GET  /sim/contacts                  {"20#2":false}: what the contacts say
//! PUT  /sim/faults                    {"status":{"on":"message","times":1,"with":503}}; false or null = off
//! POST /sim/openers/{id}/hand         {"open":true}
//! POST /sim/openers/{id}/behaviour    {"behaviour":"stuck"}
//! POST /sim/openers/{id}/delete       {"deleted":true}     at the vendor
//! POST /sim/plants/{id}/delete        {"deleted":true}
//! POST /sim/panels/{id}/ring          presses the button: {"rings":["ring-…"]}
//! POST /sim/rings/{id}/{how}          cancel, elsewhere (another phone took the call) or hang_up
//! POST /sim/sip/{what}                close, freeze (nothing passes, nobody is told) or forget_nonces
//! POST /sim/sip/send                  {"method":"OPTIONS","body":null} to everybody who is connected
//! POST /sim/oauth/{what}              revoke kills the refresh tokens, expire the access tokens
//! ```

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State as Extract};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use serde_json::{Value, json};

use super::openers::Opener;
use super::sip::calls::{self, RingState};
use super::spec::Behaviour;
use super::world::World;
use crate::server::{field, refused};

/// What is done to an opener.
type Change = Box<dyn FnOnce(&mut Opener) + Send>;

pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/sim/state", get(state))
        .route("/sim/requests", get(requests))
        .route("/sim/contacts", get(contacts))
        .route("/sim/faults", put(set_faults).get(faults))
        .route("/sim/openers/{id}/{what}", post(tamper))
        .route("/sim/plants/{id}/delete", post(delete_plant))
        .route("/sim/panels/{id}/ring", post(ring))
        .route("/sim/rings/{id}/{how}", post(end_ring))
        .route("/sim/sip/send", post(send))
        .route("/sim/sip/{what}", post(lines))
        .route("/sim/oauth/{what}", post(oauth))
}

/// Everything but secrets.
pub(crate) fn shown(world: &World) -> Value {
    world.look(|state, now| {
        let openers: Vec<_> = state.openers.iter().map(Opener::view).collect();
        let plants: Vec<_> = state.plants().map(|plant| json!({ "id": plant.id, "name": plant.name, "owner": plant.owner })).collect();
        let accounts = state.registry.accounts.iter().map(|account| json!({ "uri": account.uri, "name": account.client_name }));
        let issued = state.registry.certificates.iter().map(|issued| json!({ "client": issued.client_id, "until": issued.until }));
        let holders: Vec<_> = world.config.people.iter().map(|person| state.book.view(&person.oid)).collect();
        json!({
            "now": now,
            "seed": state.dice.seed,
            "rotation": world.config.rotation,
            "plants": plants,
            "openers": openers,
            "people": holders,
            "sip_accounts": accounts.collect::<Vec<_>>(),
            "certificates": issued.collect::<Vec<_>>(),
            "registered": state.exchange.registered(),
            "connections": state.exchange.lines().len(),
            "rings": state.exchange.rings(),
            "counters": state.counters,
            "faults": state.faults,
        })
    })
}

async fn state(Extract(world): Extract<Arc<World>>) -> Response {
    axum::Json(shown(&world)).into_response()
}

async fn requests(Extract(world): Extract<Arc<World>>) -> Response {
    axum::Json(world.lines()).into_response()
}

async fn contacts(Extract(world): Extract<Arc<World>>) -> Response {
    // Whatever was due has happened after a look.
    world.look(|_, _| ());
    let contacts = world.contacts.borrow().clone();
    axum::Json(contacts).into_response()
}

async fn faults(Extract(world): Extract<Arc<World>>) -> Response {
    axum::Json(world.faults()).into_response()
}

async fn set_faults(Extract(world): Extract<Arc<World>>, body: Bytes) -> Response {
    match patch_faults(&world, &body) {
        Ok(()) => axum::Json(world.faults()).into_response(),
        Err(reason) => refused(StatusCode::BAD_REQUEST, &reason),
    }
}

/// Switches faults as JSON says.
pub(crate) fn patch_faults(world: &World, changes: &[u8]) -> Result<(), String> {
    let changes: Value = serde_json::from_slice(changes).unwrap_or_default();
    world.change(|state, _| {
        state.faults = state.faults.patched(&changes)?;
        Ok(())
    })
}

async fn tamper(Extract(world): Extract<Arc<World>>, Path((id, what)): Path<(String, String)>, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let change: Result<Change, String> = match what.as_str() {
        "hand" => field(&body, "open").map(|open| boxed(move |opener| opener.hand(open))),
        "behaviour" => field(&body, "behaviour").map(|behaviour: Behaviour| boxed(move |opener| opener.spec.behaviour = behaviour)),
        "delete" => field(&body, "deleted").map(|deleted| boxed(move |opener| opener.works.deleted = deleted)),
        _ => return refused(StatusCode::NOT_FOUND, "no such thing to change"),
    };
    let change = match change {
        Ok(change) => change,
        Err(reason) => return refused(StatusCode::BAD_REQUEST, &reason),
    };
    let view = world.edit(|state, _| {
        state.tamper(&id, change)?;
        state.opener(&id).map(Opener::view)
    });
    match view {
        Some(view) => axum::Json(view).into_response(),
        None => refused(StatusCode::NOT_FOUND, "no such opener"),
    }
}

fn boxed(change: impl FnOnce(&mut Opener) + Send + 'static) -> Change {
    Box::new(change)
}

async fn delete_plant(Extract(world): Extract<Arc<World>>, Path(id): Path<String>, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    match field(&body, "deleted") {
        Ok(deleted) if world.edit(|state, _| state.delete_plant(&id, deleted)) => StatusCode::NO_CONTENT.into_response(),
        Ok(_) => refused(StatusCode::NOT_FOUND, "no such plant"),
        Err(reason) => refused(StatusCode::BAD_REQUEST, &reason),
    }
}

async fn ring(Extract(world): Extract<Arc<World>>, Path(id): Path<String>) -> Response {
    match calls::ring(&world, &id) {
        Some(rings) => axum::Json(json!({ "rings": rings })).into_response(),
        None => refused(StatusCode::NOT_FOUND, "no such panel"),
    }
}

async fn end_ring(Extract(world): Extract<Arc<World>>, Path((id, how)): Path<(String, String)>) -> Response {
    let done = match how.as_str() {
        "cancel" => calls::end(&world, &id, RingState::Cancelled),
        "elsewhere" => calls::end(&world, &id, RingState::AnsweredElsewhere),
        "hang_up" => calls::hang_up(&world, &id),
        _ => return refused(StatusCode::NOT_FOUND, "cancel, elsewhere or hang_up"),
    };
    if done { StatusCode::NO_CONTENT.into_response() } else { refused(StatusCode::NOT_FOUND, "it does not ring, or is over") }
}

async fn lines(Extract(world): Extract<Arc<World>>, Path(what): Path<String>) -> Response {
    let known = world.look(|state, _| {
        match what.as_str() {
            "close" => state.exchange.close_all(),
            "freeze" => state.exchange.freeze_all(),
            "forget_nonces" => state.exchange.nonces.forget(),
            _ => return false,
        }
        true
    });
    if known { StatusCode::NO_CONTENT.into_response() } else { refused(StatusCode::NOT_FOUND, "close, freeze or forget_nonces") }
}

async fn send(Extract(world): Extract<Arc<World>>, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    match field::<String>(&body, "method") {
        Ok(method) => axum::Json(json!({ "sent": calls::tell_all(&world, &method, body["body"].as_str()) })).into_response(),
        Err(reason) => refused(StatusCode::BAD_REQUEST, &reason),
    }
}

async fn oauth(Extract(world): Extract<Arc<World>>, Path(what): Path<String>) -> Response {
    match what.as_str() {
        "revoke" => world.edit(|state, _| state.book.revoke()),
        "expire" => world.edit(|state, _| state.book.expire()),
        _ => return refused(StatusCode::NOT_FOUND, "revoke or expire"),
    }
    StatusCode::NO_CONTENT.into_response()
}
