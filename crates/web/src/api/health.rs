//! Health, readiness and metrics.

use super::{
    json::Json,
    routes::{Routes, routes},
    wrong_method,
};
use crate::{ApiResult, Web, caller::Caller, local};
use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use doorward_core::scope::Scope;
use doorward_wire::{
    Time,
    account::{AccountId, AccountState, LeaseView},
    door::DoorState,
};
use serde::Serialize;
use std::{collections::BTreeMap, fmt::Write as _};
use utoipa::ToSchema;

/// `/health`, `/ready` and `/metrics`.
pub fn router() -> Router<Web> {
    routes().router().method_not_allowed_fallback(wrong_method)
}

pub(super) fn routes() -> Routes {
    Routes::new().routes(routes!(health)).routes(routes!(ready)).routes(routes!(metrics))
}

/// How doorward is, without anything secret. The token is that of the account which the U-tec local API speaks for.
#[derive(Serialize, ToSchema)]
struct Health {
    /// Always `ok`: the program answers.
    status: &'static str,
    /// The version of doorward.
    version: &'static str,
    /// Whether the account's token can be used now.
    token_valid: bool,
    /// When it ends.
    token_expires_at: Option<Time>,
    /// Whether it is renewed by itself.
    auto_refresh_enabled: bool,
    /// Whether a person must sign an account in again.
    needs_sign_in: bool,
    /// How many doors there are.
    doors: usize,
}

/// Says how doorward is. Open to everybody.
#[utoipa::path(get, path = "/health", tag = "system", responses((status = 200, body = Health)), security(()))]
async fn health(State(web): State<Web>) -> Json<Health> {
    let board = web.house().board();
    let token = local::token_status(&web).await;
    Json(Health {
        status: "ok",
        version: env!("CARGO_PKG_VERSION"),
        token_valid: token.valid,
        token_expires_at: token.expires_at,
        auto_refresh_enabled: token.auto_refresh,
        needs_sign_in: board.standings().iter().any(|standing| standing.state == AccountState::NeedsSignIn),
        doors: board.doors().len(),
    })
}

/// Says whether doorward can do its work. Open to everybody, and tells nothing else.
#[utoipa::path(get, path = "/ready", tag = "system", security(()),
    responses((status = 200, description = "`ready`", body = String), (status = 503, description = "`not ready`", body = String)))]
async fn ready(State(web): State<Web>) -> (StatusCode, &'static str) {
    match web.house().store().ping().await {
        Ok(()) => (StatusCode::OK, "ready\n"),
        Err(error) => {
            tracing::warn!(%error, "not ready: the store does not answer");
            (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
        }
    }
}

/// Metrics for Prometheus. Needs the scope `metrics`.
#[utoipa::path(get, path = "/metrics", tag = "system", responses((status = 200, content_type = "text/plain", body = String)))]
async fn metrics(caller: Caller, State(web): State<Web>) -> ApiResult<Response> {
    caller.need(&Scope::Metrics)?;
    let mut text = web.metrics().render();
    gauges(&web, &mut text);
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}

/// What stands on the board, as it is now. Label values are identifiers and words, so nothing needs to be escaped.
fn gauges(web: &Web, text: &mut String) {
    let board = web.house().board();
    let mut tokens = BTreeMap::new();
    let mut certificates = BTreeMap::new();
    for standing in board.standings() {
        for lease in standing.leases {
            let into = if lease.kind.contains("certificate") { &mut certificates } else { &mut tokens };
            soonest(into, &standing.id, &lease);
        }
    }
    expiry(text, "doorward_token_expiry_timestamp_seconds", "When the account's token ends.", &tokens);
    expiry(text, "doorward_cert_expiry_timestamp_seconds", "When the account's certificate ends.", &certificates);
    let mut states: BTreeMap<&str, usize> = DoorState::ALL.iter().map(|state| (state.as_str(), 0)).collect();
    for door in board.doors() {
        *states.entry(door.state.as_str()).or_default() += 1;
    }
    head(text, "doorward_doors", "Doors by state.");
    for (state, count) in states {
        let _ = writeln!(text, "doorward_doors{{state=\"{state}\"}} {count}");
    }
    head(text, "doorward_build_info", "The version of doorward.");
    let _ = writeln!(text, "doorward_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"));
}

fn soonest(into: &mut BTreeMap<AccountId, Time>, account: &AccountId, lease: &LeaseView) {
    if let Some(end) = lease.not_after {
        let first = into.entry(account.clone()).or_insert(end);
        *first = end.min(*first);
    }
}

fn expiry(text: &mut String, name: &str, help: &str, ends: &BTreeMap<AccountId, Time>) {
    head(text, name, help);
    for (account, end) in ends {
        let _ = writeln!(text, "{name}{{account=\"{account}\"}} {}", end.as_epoch_seconds());
    }
}

fn head(text: &mut String, name: &str, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
}
