//! `POST /action`: the one endpoint for everything about devices.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State as Extract;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::faults::{On, Wrapping};
use super::passage;
use super::push::Registration;
use super::request::{self, Call, Credentials, Move, Request, Style, UserCall, UserVerb};
use super::world::{State, World};
use super::{SCOPE, answer};

/// Why a request is refused.
struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Refusal {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    fn malformed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BAD-REQUEST", message)
    }
}

pub(crate) async fn action(Extract(world): Extract<Arc<World>>, headers: HeaderMap, body: Bytes) -> Response {
    let credentials = Credentials::read(&headers);
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let log = world.log("POST", "/action", request::title(&body));
    let read = request::read(&body);
    let place = read.as_ref().map_or(On::Other, |read| read.call.place());
    let plan = world.plan(place, false);
    passage::pass(world, plan, log, move |world| {
        let header = body.get("header").cloned().unwrap_or_default();
        respond(world, &credentials, read, &header)
    })
    .await
}

fn respond(world: &World, credentials: &Credentials, read: Result<Request, String>, header: &Value) -> Response {
    let outcome = admit(world, credentials).and_then(|account| match read {
        Ok(request) => {
            let new = world.look(|state, _| state.first_use(&request.message_id));
            if !new {
                world.count(|counters| counters.repeated_message_ids += 1);
            }
            carry_out(world, account, request)
        }
        Err(message) => Err(Refusal::malformed(message)),
    });
    match outcome {
        Ok(body) => axum::Json(body).into_response(),
        Err(refusal) => {
            if refusal.status == StatusCode::UNAUTHORIZED {
                world.count(|counters| counters.unauthorized += 1);
            } else if refusal.code == "BAD-REQUEST" {
                tracing::warn!(reason = refusal.message, "a malformed request");
                world.count(|counters| counters.malformed += 1);
            }
            let faults = world.faults();
            let body = answer::error(refusal.code, &refusal.message, header, &faults);
            (refusal.status, axum::Json(body)).into_response()
        }
    }
}

/// The account that asks.
fn admit(world: &World, credentials: &Credentials) -> Result<u64, Refusal> {
    let unauthorized = |code, message| Refusal::new(StatusCode::UNAUTHORIZED, code, message);
    if credentials.access_key.as_deref() != Some(&world.client_id) || credentials.secret_key.as_deref() != Some(&world.client_secret) {
        return Err(unauthorized("INVALID_CLIENT", "X-Access-Key or X-Secret-Key"));
    }
    let account = credentials.bearer.as_deref().and_then(|token| world.look(|state, now| state.book.who(token, state.cloud_time(now))));
    let account = account.ok_or_else(|| unauthorized("INVALID_TOKEN", "token expired"))?;
    if credentials.scope.as_deref() != Some(SCOPE) {
        return Err(Refusal::malformed("X-Scope"));
    }
    if !credentials.speaks_json {
        return Err(Refusal::malformed("Accept or Content-Type"));
    }
    Ok(account)
}

fn carry_out(world: &World, account: u64, request: Request) -> Result<Value, Refusal> {
    let header = request.header;
    match request.call {
        Call::Who => Ok(json!({
            "header": header,
            "payload": { "user": {
                "id": format!("sim-user-{account}"), "firstName": "Sim", "lastName": "Person",
            } },
        })),
        Call::Discovery => Ok(world.look(|state, _| {
            let faults = &state.faults;
            let devices = state.locks.iter().map(|lock| answer::discovered(lock, faults));
            answer::wrapped(devices.collect(), faults.discovery_shape, &header)
        })),
        Call::Query(ids) => Ok(world.look(|state, _| query(state, &ids, &header))),
        Call::Move { style, moves } => world.edit(|state, now| {
            let outcome = moved(state, style, &moves, now);
            let counters = &mut state.counters;
            match outcome {
                Ok(_) => counters.command_accepted += 1,
                Err(_) => counters.command_refused += 1,
            }
            Ok(answer::wrapped(outcome?, Wrapping::PayloadDevices, &header))
        }),
        Call::Users(calls) => world.edit(|state, now| {
            let answers: Result<_, _> = calls.iter().map(|call| people(state, call, now)).collect();
            Ok(answer::wrapped(answers?, Wrapping::PayloadDevices, &header))
        }),
        Call::Register { access_token, url } => world.edit(|state, _| {
            state.registration = Some(Registration { access_token, url });
            Ok(json!({ "header": header, "payload": {} }))
        }),
    }
}

/// A device that is not known is left out: its state is unknown.
fn query(state: &State, ids: &[String], header: &Value) -> Value {
    let devices = ids.iter().filter_map(|id| state.lock(id)).map(|lock| answer::reported(lock, &state.faults)).collect();
    answer::wrapped(devices, Wrapping::PayloadDevices, header)
}

/// Passes lock commands on; all of them or none.
fn moved(state: &mut State, style: Style, moves: &[Move], now: u64) -> Result<Vec<Value>, Refusal> {
    let accepted = match (style, state.faults.control_only) {
        (Style::Command, None) => true,
        (Style::Control(shape), Some(only)) => shape == only,
        (Style::Command, Some(_)) | (Style::Control(_), None) => false,
    };
    if !accepted {
        let message = "this cloud does not know that request";
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "NOT_SUPPORTED", message));
    }
    for wanted in moves {
        reachable(state, &wanted.id)?;
    }
    let mut answers = Vec::new();
    for wanted in moves {
        if let Some(lock) = state.lock_mut(&wanted.id) {
            lock.command(wanted.to, now);
            lock.settle(now);
            answers.push(answer::deferred(lock, lock.spec.travel_ms));
        }
    }
    Ok(answers)
}

fn reachable<'a>(state: &'a mut State, id: &str) -> Result<&'a mut super::locks::Lock, Refusal> {
    let refused = |code, message: &str| Refusal::new(StatusCode::OK, code, message);
    match state.lock_mut(id) {
        None => Err(refused("DEVICE_NOT_FOUND", "no such device")),
        Some(lock) if !lock.works.online => Err(refused("DEVICE_OFFLINE", "device is offline")),
        Some(lock) => Ok(lock),
    }
}

fn people(state: &mut State, call: &UserCall, now: u64) -> Result<Value, Refusal> {
    if state.faults.control_only.is_some() {
        let message = "this cloud does not know that request";
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "NOT_SUPPORTED", message));
    }
    let lock = reachable(state, &call.id)?;
    let arrives = now.saturating_add(lock.spec.user_delete_ms);
    let id = lock.spec.id.clone();
    let users = &mut lock.works.users;
    let changed = match &call.verb {
        UserVerb::List => return Ok(json!({ "id": id, "users": users.list() })),
        UserVerb::Get(user) => {
            let one = users.one(*user);
            let one = one.ok_or_else(|| Refusal::malformed(format!("no user {user}")))?;
            return Ok(json!({ "id": id, "user": one }));
        }
        UserVerb::Add(fields) => users.add(fields, arrives),
        UserVerb::Update(user, fields) => users.update(*user, fields, arrives),
        UserVerb::Delete(user) => users.delete(*user, arrives),
    };
    changed.map_err(Refusal::malformed)?;
    Ok(answer::deferred(lock, lock.spec.user_delete_ms))
}
