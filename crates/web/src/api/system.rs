//! The program itself: whether it is well, its audit, its backup.

use super::{
    Items, doctor,
    json::Json,
    openapi_json,
    routes::{Routes, routes},
};
use crate::{ApiError, ApiResult, Web, caller::Caller};
use axum::{
    body::Body,
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use doorward_core::{Secret, record::NewEvent, scope::Scope};
use doorward_store::Beside;
use doorward_wire::event::EventKind;
use serde::{Deserialize, Serialize};
use std::io;
use tokio::io::AsyncReadExt;
use utoipa::ToSchema;

/// Characters of a backup's passphrase.
const PASSPHRASE: usize = 10;
/// What a backup may be ahead of a slow reader.
const AHEAD: usize = 256 * 1024;

pub(super) fn router() -> Routes {
    Routes::new()
        .routes(routes!(verify))
        .routes(routes!(backup))
        .routes(routes!(doctor_checks))
        .routes(routes!(version))
        .routes(routes!(document))
}

/// What was found in the audit.
#[derive(Serialize, ToSchema)]
struct Audit {
    /// Whether every event is as it was written, and none is missing.
    ok: bool,
    /// How many events were looked at.
    checked: u64,
    /// The first event that must be there.
    from: i64,
    /// The last event that must be there.
    to: i64,
    /// The first event that is changed or missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    first_bad: Option<i64>,
    /// What is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// Checks that no event was changed or removed.
#[utoipa::path(get, path = "/audit/verify", tag = "system", responses((status = 200, body = Audit)))]
async fn verify(caller: Caller, State(web): State<Web>) -> ApiResult<Json<Audit>> {
    caller.need(&Scope::EventsRead)?;
    if caller.narrow() {
        return Err(ApiError::Forbidden("this is about events of the whole house".into()));
    }
    let report = web.house().store().audit_verify().await?;
    let (first_bad, problem) = (report.first_bad, report.problem);
    Ok(Json(Audit { ok: report.ok, checked: report.checked, from: report.from, to: report.to, first_bad, problem }))
}

/// A backup.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct BackupBody {
    /// What it is sealed with, at least ten characters. Without it nothing can be restored.
    #[schema(value_type = String)]
    passphrase: Secret<String>,
}

/// Writes a backup while everything runs: one sealed file with all that is needed to restore the house. A file that
/// breaks off is not a backup; `restore` says so.
#[utoipa::path(post, path = "/backup", tag = "system", request_body = BackupBody,
    responses(
        (status = 200, description = "The sealed file.", content_type = "application/octet-stream", body = Vec<u8>),
        (status = 409, description = "A file that belongs into it cannot be read, such as a key of a lock.")
    ))]
async fn backup(caller: Caller, State(web): State<Web>, Json(body): Json<BackupBody>) -> ApiResult<Response> {
    caller.need(&Scope::Admin)?;
    if body.passphrase.reveal().chars().count() < PASSPHRASE {
        return Err(ApiError::Unprocessable(format!("passphrase: must have at least {PASSPHRASE} characters")));
    }
    // Before anything is sent: a backup without the keys of its locks would look like a whole one.
    let beside = beside(&web).await.map_err(ApiError::Conflict)?;
    let now = web.house().now().utc;
    let (write, mut read) = tokio::io::duplex(AHEAD);
    let written = tokio::spawn(async move {
        web.house().store().backup(write, &body.passphrase, &beside, now).await.map_err(io::Error::other)?;
        let event = NewEvent::new(now, EventKind::BackupMade).actor(&caller.actor);
        web.house().record(vec![event]).await.map_err(io::Error::other)
    });
    let stream = async_stream::stream! {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match read.read(&mut buffer).await {
                Ok(0) => break,
                Ok(count) => yield Ok(axum::body::Bytes::copy_from_slice(&buffer[..count])),
                Err(error) => yield Err(error),
            }
        }
        // What was sent so far must not look like a whole file.
        if let Err(error) = written.await.map_err(io::Error::other).flatten() {
            tracing::error!(%error, "the backup could not be made");
            yield Err(error);
        }
    };
    let name = format!("attachment; filename=\"doorward-{}.backup\"", now.timestamp().strftime("%Y-%m-%d"));
    let mut response = Body::from_stream(stream).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    if let Ok(name) = HeaderValue::from_str(&name) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, name);
    }
    Ok(response)
}

/// The files from beside the database: a house restored without them would be another one.
async fn beside(web: &Web) -> Result<Vec<Beside>, String> {
    let places = web.config().beside.clone();
    tokio::task::spawn_blocking(move || Beside::gather(&places)).await.map_err(|error| error.to_string())?
}

/// Looks at everything that commonly goes wrong.
#[utoipa::path(get, path = "/doctor", tag = "system", responses((status = 200, body = Items<doctor::Check>)))]
async fn doctor_checks(caller: Caller, State(web): State<Web>) -> ApiResult<Json<Items<doctor::Check>>> {
    caller.need(&Scope::Config)?;
    Ok(Json(Items::all(doctor::checks(&web).await)))
}

/// What runs here.
#[derive(Serialize, ToSchema)]
struct Version {
    /// The version of doorward.
    version: &'static str,
    /// The version of this API.
    api: &'static str,
}

/// Says which version runs.
#[utoipa::path(get, path = "/version", tag = "system", responses((status = 200, body = Version)))]
async fn version(_: Caller) -> Json<Version> {
    Json(Version { version: env!("CARGO_PKG_VERSION"), api: "v1" })
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "system", responses((status = 200, body = Object)))]
async fn document(_: Caller) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], openapi_json()).into_response()
}
