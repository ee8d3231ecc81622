//! Phones that open locks over Bluetooth, and their sessions.

use super::{
    Items,
    json::Json,
    params::{At, Sure},
    routes::{Routes, routes},
};
use crate::{
    ApiResult, Web,
    bluetooth::Offline,
    caller::Caller,
    people::phones::{self, Invite},
};
use axum::{extract::State, http::StatusCode};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use doorward_store::{BleSession, PhoneKey, PhoneOf};
use doorward_wire::{Time, door::DoorId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub(super) fn router() -> Routes {
    Routes::new()
        .routes(routes!(list))
        .routes(routes!(forget))
        .routes(routes!(invite_person))
        .routes(routes!(invite_pass))
        .routes(routes!(sessions))
        .routes(routes!(end_session))
        .routes(routes!(sign))
        .routes(routes!(end_offline))
}

/// A phone, by its public key.
#[derive(Serialize, ToSchema)]
pub(super) struct PhoneView {
    /// The fingerprint of its public key.
    id: String,
    /// Its name, for people.
    name: String,
    /// Whose it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    person: Option<String>,
    /// Of which pass it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pass: Option<String>,
    /// The version of the wire format that it speaks: 1 or 2.
    wire: u8,
    /// When it was enrolled.
    created: Time,
    /// When it last got a session.
    last_used: Option<Time>,
}

impl From<PhoneKey> for PhoneView {
    fn from(phone: PhoneKey) -> Self {
        let PhoneKey { fingerprint, of, name, public, created, used } = phone;
        let (person, pass) = owner(of);
        // Ed25519 has 32 bytes, and RSA has more.
        let wire = if public.len() == 32 { 2 } else { 1 };
        Self { id: fingerprint, name, person, pass, wire, created, last_used: used }
    }
}

fn owner(of: PhoneOf) -> (Option<String>, Option<String>) {
    match of {
        PhoneOf::Person(id) => (Some(id), None),
        PhoneOf::Pass(id) => (None, Some(id)),
    }
}

/// Lists the phones that open locks over Bluetooth, in the order in which they were enrolled.
#[utoipa::path(get, path = "/phones", tag = "people", responses((status = 200, body = Items<PhoneView>)))]
async fn list(caller: Caller, State(web): State<Web>) -> ApiResult<Json<Items<PhoneView>>> {
    let phones = phones::list(&web, &caller).await?;
    Ok(Json(Items::all(phones.into_iter().map(Into::into).collect())))
}

/// Forgets a phone. Its sessions are taken back.
#[utoipa::path(delete, path = "/phones/{id}", tag = "people", params(("id" = String, Path)), responses((status = 204)))]
async fn forget(Sure(caller): Sure, State(web): State<Web>, At(id): At<String>) -> ApiResult<StatusCode> {
    phones::forget(&web, &caller, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Invites one phone of a person: it brings its key when it first asks for a session, within an hour.
#[utoipa::path(post, path = "/people/{id}/phones", tag = "people", params(("id" = String, Path)),
    responses((status = 201, body = Invite), (status = 409, description = "They may open no lock over Bluetooth.")))]
async fn invite_person(Sure(caller): Sure, State(web): State<Web>, At(id): At<String>) -> ApiResult<(StatusCode, Json<Invite>)> {
    Ok((StatusCode::CREATED, Json(phones::invite_person(&web, &caller, &id).await?)))
}

/// Invites one phone of whoever holds a pass.
#[utoipa::path(post, path = "/passes/{id}/phones", tag = "passes", params(("id" = String, Path)),
    responses((status = 201, body = Invite), (status = 409, description = "The pass opens no lock over Bluetooth.")))]
async fn invite_pass(Sure(caller): Sure, State(web): State<Web>, At(id): At<String>) -> ApiResult<(StatusCode, Json<Invite>)> {
    Ok((StatusCode::CREATED, Json(phones::invite_pass(&web, &caller, &id).await?)))
}

/// A session: for so long a phone opens a lock over Bluetooth.
#[derive(Serialize, ToSchema)]
pub(super) struct RadioSession {
    /// What names it. It opens nothing.
    id: String,
    /// The door.
    door: DoorId,
    /// Whose phone it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    person: Option<String>,
    /// Of which pass it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pass: Option<String>,
    /// The phone; `none` when it is the page of a pass.
    phone: String,
    /// When it was given.
    created: Time,
    /// When it ends.
    expires: Time,
    /// When it was taken back.
    revoked: Option<Time>,
}

impl From<BleSession> for RadioSession {
    fn from(session: BleSession) -> Self {
        let BleSession { nonce, door, of, phone, issued, expires, revoked, told: _ } = session;
        let (person, pass) = owner(of);
        Self { id: nonce, door, person, pass, phone, created: issued, expires, revoked }
    }
}

/// Lists the sessions at locks over Bluetooth that have not ended, the newest first.
#[utoipa::path(get, path = "/radio-sessions", tag = "people", responses((status = 200, body = Items<RadioSession>)))]
async fn sessions(caller: Caller, State(web): State<Web>) -> ApiResult<Json<Items<RadioSession>>> {
    let sessions = phones::sessions(&web, &caller).await?;
    Ok(Json(Items::all(sessions.into_iter().map(Into::into).collect())))
}

/// Takes a session back, at once.
#[utoipa::path(delete, path = "/radio-sessions/{id}", tag = "people", params(("id" = String, Path)), responses((status = 204)))]
async fn end_session(Sure(caller): Sure, State(web): State<Web>, At(id): At<String>) -> ApiResult<StatusCode> {
    phones::end_session(&web, &caller, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// For which door.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct OfflineWish {
    /// The door.
    door: DoorId,
    /// Until when at the latest; a week from now when absent, 30 days at most.
    #[serde(default)]
    until: Option<Time>,
}

/// A pass that a lock takes without a network.
#[derive(Serialize, ToSchema)]
struct OfflineView {
    /// What the lock is called on the air.
    lock: String,
    /// From when it is good.
    from: Time,
    /// Until when.
    until: Time,
    /// What the phone shows to the lock, as base64url. Without the phone's key it is worth nothing.
    pass: String,
}

/// Signs a pass for a phone: its right at a door, for a lock that has never heard of it and has no network.
#[utoipa::path(post, path = "/phones/{id}/offline-passes", tag = "people", params(("id" = String, Path)), request_body = OfflineWish,
    responses((status = 201, body = OfflineView), (status = 409, description = "It has no right there that a lock can hold by itself.")))]
async fn sign(
    Sure(caller): Sure,
    State(web): State<Web>,
    At(id): At<String>,
    Json(wish): Json<OfflineWish>,
) -> ApiResult<(StatusCode, Json<OfflineView>)> {
    let Offline { lock, from, until, pass } = phones::sign(&web, &caller, &id, &wish.door, wish.until).await?;
    Ok((StatusCode::CREATED, Json(OfflineView { lock, from, until, pass: URL_SAFE_NO_PAD.encode(pass) })))
}

/// How many ended.
#[derive(Serialize, ToSchema)]
struct Ended {
    /// Passes that were still good.
    ended: usize,
}

/// Ends every pass that was signed for a lock of this door until now. The lock learns of it when it next has a network.
#[utoipa::path(delete, path = "/doors/{id}/offline-passes", tag = "people", params(("id" = DoorId, Path)), responses((status = 200, body = Ended)))]
async fn end_offline(Sure(caller): Sure, State(web): State<Web>, At(door): At<DoorId>) -> ApiResult<Json<Ended>> {
    Ok(Json(Ended { ended: phones::end_offline(&web, &caller, &door).await? }))
}
