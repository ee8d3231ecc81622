//! The tunnel and its keys.

use super::{
    Items,
    json::Json,
    params::{At, Sure},
    routes::{Routes, routes},
};
use crate::{ApiError, ApiResult, Web, caller::Caller};
use axum::{extract::State, http::StatusCode};
use doorward_core::scope::Scope;
use doorward_store::{TunnelKey, TunnelSecret};
use doorward_tunnel::{
    Entry, MANY_SEALS,
    keys::{KeyError, OVERLAP, hex},
    pairing, remote,
};
use doorward_wire::{Time, attempt::Reason, tunnel::Scopes};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::ToSchema;

pub(super) fn router() -> Routes {
    Routes::new().routes(routes!(show)).routes(routes!(list, add)).routes(routes!(one, edit, revoke)).routes(routes!(rotate))
}

/// The tunnel as it stands.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct TunnelView {
    /// Where it listens; `null` when it does not.
    pub(crate) listen: Option<String>,
    /// Whether it has TLS of its own.
    pub(crate) tls: bool,
    /// The address that phones use.
    pub(crate) public_url: Option<String>,
    /// Whether it serves the page `/remote`.
    pub(crate) remote: bool,
    /// The fingerprint of that page, to be compared with the one that a phone shows before it takes another version.
    pub(crate) remote_fingerprint: String,
    /// What a phone knows this house by in version 2 of the wire: the SHA-256 of `/tunnel/v2/keys`, in base64url.
    pub(crate) pin: String,
    /// The certificate of doorward's own authority as PEM, which clients must trust where it has TLS of its own and no other
    /// certificate is configured.
    pub(crate) authority: Option<String>,
}

/// Says how the tunnel stands.
#[utoipa::path(get, path = "/tunnel", tag = "tunnel", responses((status = 200, body = TunnelView)))]
async fn show(caller: Caller, State(web): State<Web>) -> ApiResult<Json<TunnelView>> {
    caller.need(&Scope::Admin)?;
    Ok(Json(tunnel_view(&web)))
}

pub(crate) fn tunnel_view(web: &Web) -> TunnelView {
    TunnelView {
        listen: web.tunnel().address().map(|address| address.to_string()),
        tls: web.tunnel().has_tls(),
        public_url: web.config().tunnel_url.clone(),
        remote: web.tunnel().serves_remote(),
        remote_fingerprint: remote::fingerprint(),
        pin: web.tunnel().pin(),
        authority: web.config().authority.clone().filter(|_| web.tunnel().has_tls()),
    }
}

impl TunnelView {
    /// Where the page `/remote` is, as far as that is known.
    pub(crate) fn remote_address(&self) -> Option<String> {
        let here = || self.listen.as_ref().map(|listen| format!("{}://{listen}", if self.tls { "https" } else { "http" }));
        Some(self.public_url.clone().or_else(here)? + "/remote")
    }
}

/// A key of the tunnel, without its secret.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct TunnelKeyView {
    /// Its name.
    pub(crate) name: String,
    /// The person whose it is.
    pub(crate) person: Option<String>,
    /// What it may be used for.
    pub(crate) scopes: Scopes,
    /// When it was added.
    pub(crate) created: Time,
    /// When it was last used.
    pub(crate) used: Option<Time>,
    /// Until when the secret before still opens messages.
    pub(crate) overlap_until: Option<Time>,
    /// It has sealed so many messages that it should be rotated.
    pub(crate) worn: bool,
    /// What it asked for since the start, newest first.
    pub(crate) recent: Vec<TunnelEntry>,
}

/// A request that a key sent.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct TunnelEntry {
    /// When.
    pub(crate) time: Time,
    /// `jeedom`, `http`, `mqtt`, `doors` or `stream`.
    pub(crate) service: String,
    /// What it was about: a topic, a door, a server.
    pub(crate) what: String,
    /// The status that it was answered with.
    pub(crate) status: u16,
    /// Why it was refused.
    pub(crate) reason: Option<Reason>,
    /// From which address, where that is known.
    pub(crate) source: Option<String>,
}

impl From<Entry> for TunnelEntry {
    fn from(entry: Entry) -> Self {
        let Entry { time, service, what, status, reason, source } = entry;
        Self { time, service: service.into(), what, status, reason, source: source.map(|source| source.to_string()) }
    }
}

pub(crate) fn view(web: &Web, key: TunnelKey) -> TunnelKeyView {
    let now = web.house().now().utc;
    let live = web.tunnel().key_use(&key.name);
    TunnelKeyView {
        used: live.as_ref().and_then(|live| live.used).or(key.used),
        worn: live.as_ref().is_some_and(|live| live.seals >= MANY_SEALS),
        recent: live.map(|live| live.recent.into_iter().map(TunnelEntry::from).collect()).unwrap_or_default(),
        overlap_until: key.previous.map(|(_, until)| until).filter(|until| *until > now),
        name: key.name,
        person: key.person,
        scopes: key.scopes,
        created: key.created,
    }
}

/// Lists the keys.
#[utoipa::path(get, path = "/tunnel-keys", tag = "tunnel", responses((status = 200, body = Items<TunnelKeyView>)))]
async fn list(caller: Caller, State(web): State<Web>) -> ApiResult<Json<Items<TunnelKeyView>>> {
    caller.need(&Scope::Admin)?;
    let keys = web.tunnel().keys().await?;
    Ok(Json(Items::all(keys.into_iter().map(|key| view(&web, key)).collect())))
}

/// One key, with what it asked for last.
#[utoipa::path(get, path = "/tunnel-keys/{name}", tag = "tunnel", params(("name" = String, Path)),
    responses((status = 200, body = TunnelKeyView)))]
async fn one(caller: Caller, State(web): State<Web>, At(name): At<String>) -> ApiResult<Json<TunnelKeyView>> {
    caller.need(&Scope::Admin)?;
    find(&web, &name).await.map(|key| Json(view(&web, key)))
}

pub(crate) async fn find(web: &Web, name: &str) -> ApiResult<TunnelKey> {
    web.house().store().tunnel_key(name).await?.ok_or(ApiError::NotFound("tunnel key with this name"))
}

/// A new key. It may do nothing but what is named.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewTunnelKey {
    /// Its name: 1 to 64 letters, digits, `-`, `_`, `.` and `@`.
    pub(crate) name: String,
    /// The person whose it is; it goes with them.
    #[serde(default)]
    pub(crate) person: Option<String>,
    /// What it may be used for.
    #[serde(default)]
    pub(crate) scopes: Scopes,
}

/// A key with its secret, which is shown this once.
#[derive(Serialize, ToSchema)]
pub(crate) struct MadeTunnelKey {
    /// Its name.
    pub(crate) name: String,
    /// 64 hexadecimal digits.
    pub(crate) secret: String,
    /// What a phone photographs: a link to the page that opens doors, or the secret alone where the house has no
    /// `tunnel.public_url`.
    pub(crate) code: String,
}

pub(crate) fn made(web: &Web, name: String, secret: &TunnelSecret) -> MadeTunnelKey {
    let secret = hex(secret);
    let code = pairing::code(web.config().tunnel_url.as_deref(), &name, &secret, &web.tunnel().pin());
    MadeTunnelKey { name, secret: secret.reveal().clone(), code: code.reveal().clone() }
}

/// Adds a key.
#[utoipa::path(post, path = "/tunnel-keys", tag = "tunnel", request_body = NewTunnelKey,
    responses((status = 201, body = MadeTunnelKey), (status = 409, description = "The name is taken, or there are 64 keys.")))]
async fn add(caller: Caller, State(web): State<Web>, Json(new): Json<NewTunnelKey>) -> ApiResult<(StatusCode, Json<MadeTunnelKey>)> {
    caller.need(&Scope::Admin)?;
    let secret = web.tunnel().add_key(&new.name, new.person.as_deref(), &new.scopes, &caller.actor).await?;
    Ok((StatusCode::CREATED, Json(made(&web, new.name, &secret))))
}

/// What changes about a key.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TunnelKeyEdit {
    /// What it may be used for, all of it.
    pub(crate) scopes: Scopes,
}

/// Changes what a key may be used for. Its streams end, and come back with the new scopes.
#[utoipa::path(patch, path = "/tunnel-keys/{name}", tag = "tunnel", params(("name" = String, Path)), request_body = TunnelKeyEdit,
    responses((status = 200, body = TunnelKeyView)))]
async fn edit(
    caller: Caller,
    State(web): State<Web>,
    At(name): At<String>,
    Json(edit): Json<TunnelKeyEdit>,
) -> ApiResult<Json<TunnelKeyView>> {
    caller.need(&Scope::Admin)?;
    web.tunnel().scope_key(&name, &edit.scopes, &caller.actor).await?;
    find(&web, &name).await.map(|key| Json(view(&web, key)))
}

/// How a key is rotated.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rotation {
    /// Seconds for which the secret before still opens messages: a day when it is left out, 30 days at most.
    #[serde(default)]
    pub(crate) overlap: Option<u64>,
}

/// Gives a key another secret.
#[utoipa::path(post, path = "/tunnel-keys/{name}/rotate", tag = "tunnel", params(("name" = String, Path)), request_body = Rotation,
    responses((status = 200, body = MadeTunnelKey)))]
async fn rotate(
    caller: Caller,
    State(web): State<Web>,
    At(name): At<String>,
    Json(rotation): Json<Rotation>,
) -> ApiResult<Json<MadeTunnelKey>> {
    caller.need(&Scope::Admin)?;
    let overlap = rotation.overlap.map_or(OVERLAP, Duration::from_secs);
    let secret = web.tunnel().rotate_key(&name, overlap, &caller.actor).await?;
    Ok(Json(made(&web, name, &secret)))
}

/// Revokes a key, and ends its streams.
#[utoipa::path(delete, path = "/tunnel-keys/{name}", tag = "tunnel", params(("name" = String, Path)), responses((status = 204)))]
async fn revoke(Sure(caller): Sure, State(web): State<Web>, At(name): At<String>) -> ApiResult<StatusCode> {
    caller.need(&Scope::Admin)?;
    web.tunnel().revoke_key(&name, &caller.actor).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl From<KeyError> for ApiError {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Unknown => Self::NotFound("tunnel key with this name"),
            KeyError::Store(error) => Self::Store(error),
            error @ (KeyError::Taken | KeyError::TooMany) => Self::Conflict(error.to_string()),
            error @ (KeyError::Name | KeyError::Person | KeyError::Overlap | KeyError::Scopes(_)) => Self::Unprocessable(error.to_string()),
        }
    }
}
