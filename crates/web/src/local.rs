//! The API that clients of the original U-tec gateway speak, Home Assistant's component for it first of all.
//!
//! Those clients take the first device of an answer without looking at its id, take every status below 400 for done, and
//! then show the new state. So an answer holds only the device that was asked for, a command is answered when the cloud
//! has accepted it and not before, and everything else is 400 or more with a `detail`.
//!
//! They send no credentials: who is in a trusted network may look, lock and unlock ([`auth`]), and nothing else.

mod auth;
mod commands;
mod config;
mod error;
mod forms;
mod logs;
mod status;

pub(crate) use config::token_status;

use crate::Web;
use axum::{
    Router,
    routing::{get, post},
};
use error::Refusal;

/// The routes of the local API, but for `/health`.
pub fn router() -> Router<Web> {
    Router::new()
        .route("/devices", get(status::devices))
        .route("/api/devices", get(status::devices))
        .route("/api/status", get(status::query).post(status::ask))
        .route("/api/status/latest", get(status::latest))
        .route("/api/status/refresh", post(status::refresh))
        .route("/lock", post(commands::lock))
        .route("/unlock", post(commands::unlock))
        .route("/api/lock", post(commands::lock))
        .route("/api/unlock", post(commands::unlock))
        .route("/api/config", get(config::show).post(config::change))
        .route("/config", post(config::change_by_form))
        .route("/api/oauth/refresh", post(config::refresh))
        .route("/oauth/start", post(config::start))
        .route("/oauth/exchange", post(config::exchange))
        .route("/logs", get(logs::show))
        .route("/logs/clear", post(logs::clear))
        .method_not_allowed_fallback(async || Refusal::wrong_method())
}
