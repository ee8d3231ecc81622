//! Listing locks and asking for their state.

use super::{
    auth::{Guest, Known, sure},
    commands,
    error::Refusal,
    forms,
};
use crate::Web;
use axum::{
    Json,
    extract::{Query, Request, State},
    http::HeaderMap,
};
use doorward_core::driver::Action;
use doorward_wire::{
    Time,
    attempt::ActionWord,
    door::{Door, EvidenceKind},
};
use serde::Deserialize;
use serde_json::{Value, json};

/// Devices that one request may name.
const DEVICES: usize = 100;

pub(super) async fn devices(guest: Guest, State(web): State<Web>) -> Result<Json<Value>, Refusal> {
    let done = web.house().call(&guest.account, Action::Call("devices".into())).await?;
    let answer = done.raw.unwrap_or(done.output);
    let own: Vec<Value> = listed(&answer).iter().filter(|device| id(device).is_some_and(|id| guest.sees(&web, &id))).cloned().collect();
    Ok(Json(json!({ "payload": { "devices": own } })))
}

#[derive(Deserialize)]
pub(super) struct Which {
    id: Option<String>,
}

pub(super) async fn query(guest: Guest, State(web): State<Web>, Query(Which { id }): Query<Which>) -> Result<Json<Value>, Refusal> {
    states(&guest, &web, id.into_iter().collect()).await
}

pub(super) async fn ask(guest: Guest, State(web): State<Web>, request: Request) -> Result<Json<Value>, Refusal> {
    let body = forms::json(request, &web).await?;
    let named = match body.get("devices") {
        Some(Value::Array(devices)) => devices.iter().filter_map(forms::id).collect(),
        Some(_) | None => forms::id(&body).into_iter().collect(),
    };
    states(&guest, &web, named).await
}

/// The cloud's answer about these devices and no others, in the order in which they were asked for.
async fn states(guest: &Guest, web: &Web, named: Vec<String>) -> Result<Json<Value>, Refusal> {
    if named.is_empty() || named.len() > DEVICES {
        return Err(Refusal::bad(format!("name the device: {{\"id\": …}}, at most {DEVICES} at once")));
    }
    let mut answer = None;
    let mut states = Vec::new();
    for external in named {
        let door = guest.door(web, &external)?;
        let (whole, device) = fresh(web, &door).await?;
        states.push(device);
        answer.get_or_insert(whole);
    }
    Ok(Json(with_devices(answer.unwrap_or_default(), states)))
}

/// What the cloud says of a lock now, never from before the last command to it.
async fn fresh(web: &Web, door: &Door) -> Result<(Value, Value), Refusal> {
    commands::let_pass(web, door).await;
    let done = web.house().look(&door.id).await?;
    let whole = done.raw.unwrap_or_default();
    let external = door.external.as_deref().unwrap_or_default();
    let device = listed(&whole).iter().find(|device| id(device).is_some_and(|id| id.eq_ignore_ascii_case(external))).cloned();
    let device = device.ok_or_else(|| Refusal::gateway("the vendor's cloud said nothing about this device"))?;
    Ok((whole, device))
}

pub(super) async fn latest(guest: Guest, State(web): State<Web>) -> Result<Json<Value>, Refusal> {
    let mut states = Vec::new();
    let mut updated: Option<Time> = None;
    for door in web.house().board().doors() {
        let Some(external) =
            door.external.clone().filter(|external| door.account.as_deref() == Some(guest.account.as_str()) && guest.sees(&web, external))
        else {
            continue;
        };
        let Some(raw) = web.house().board().raw(&guest.account, &external) else { continue };
        let (device, at) = if commanded(&door).is_some_and(|commanded| commanded >= raw.at) {
            let Ok((_, device)) = fresh(&web, &door).await else { continue };
            (device, web.house().now().utc)
        } else {
            (raw.value, raw.at)
        };
        updated = updated.max(Some(at));
        states.push(device);
    }
    let last_updated = updated.map(Time::as_epoch_seconds);
    Ok(Json(json!({ "payload": { "devices": states }, "last_updated": last_updated })))
}

/// When the last command to a door was accepted by its cloud, or was sent.
fn commanded(door: &Door) -> Option<Time> {
    let attempt = door.attempt.as_ref().filter(|attempt| attempt.action != ActionWord::Refresh)?;
    let accepted = attempt.evidence.iter().find(|evidence| evidence.kind == EvidenceKind::Accepted);
    Some(accepted.map_or(attempt.created, |evidence| evidence.at))
}

pub(super) async fn refresh(
    Known(caller): Known,
    guest: Guest,
    headers: HeaderMap,
    State(web): State<Web>,
) -> Result<Json<Value>, Refusal> {
    sure(&caller, &headers, None)?;
    let done = web.house().call(&guest.account, Action::Refresh).await?;
    let now = web.house().now().utc;
    let answer = done.raw.unwrap_or_default();
    let own: Vec<Value> = listed(&answer).iter().filter(|device| id(device).is_some_and(|id| guest.sees(&web, &id))).cloned().collect();
    Ok(Json(json!({ "payload": { "devices": own }, "last_updated": now.as_epoch_seconds() })))
}

/// The devices of a cloud's answer: under `payload.devices`, under `devices`, or bare.
fn listed(answer: &Value) -> &[Value] {
    let under = answer.pointer("/payload/devices").or_else(|| answer.get("devices")).or_else(|| answer.get("payload"));
    under.unwrap_or(answer).as_array().map_or(&[], Vec::as_slice)
}

/// The cloud's answer with these devices in the place of its own.
fn with_devices(mut answer: Value, devices: Vec<Value>) -> Value {
    if let Some(own) = answer.pointer_mut("/payload/devices") {
        *own = Value::Array(devices);
        return answer;
    }
    json!({ "payload": { "devices": devices } })
}

/// A device's identifier, as clouds have written it.
fn id(device: &Value) -> Option<String> {
    let id = ["id", "device_id", "serial_no"].iter().find_map(|key| device.get(key))?;
    forms::text(id)
}
