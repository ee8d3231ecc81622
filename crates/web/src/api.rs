//! API v1: one file for each subject.
//!
//! Every answer is JSON, every error problem+json. A handler's path and its place in the `OpenAPI` document are the same
//! `utoipa::path`, so the two cannot drift apart.

mod access;
mod accounts;
mod codes;
mod devices;
mod doctor;
mod doors;
mod events;
mod explain;
pub(crate) mod fields;
mod firmware;
mod grants;
pub mod health;
pub mod hooks;
pub mod json;
mod kinds;
pub(crate) mod mqtt;
pub(crate) mod mqtt_users;
mod notify;
#[cfg(debug_assertions)]
mod openapi;
pub mod params;
mod passes;
mod people;
mod phones;
mod rings;
pub(crate) mod rollouts;
mod routes;
pub(crate) mod settings;
mod sites;
mod stream;
mod system;
mod tokens;
pub(crate) mod tunnel;
mod ways_in;
mod webhooks;

pub(crate) use accounts::{renew, stored, take_step, view};
pub use doors::stream_address;
pub(crate) use doors::{AutoLockBody, DoorBody, checked as checked_door, checked_name};
pub(crate) use kinds::offered;
#[cfg(debug_assertions)]
pub use openapi::openapi_json;
pub(crate) use rings::end_ring;
pub(crate) use sites::{checked_holidays, checked_zone, the_site};

use routes::Routes;

use crate::{ApiError, Web};
use axum::{Router, http::Uri, routing::any};
use serde::Serialize;
use utoipa::ToSchema;

/// The document as text, as it is checked in.
#[cfg(not(debug_assertions))]
pub fn openapi_json() -> String {
    include_str!("../../../docs/openapi.json").to_owned()
}

/// A list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Items<T> {
    /// What it holds.
    pub items: Vec<T>,
    /// Where the next page begins; `null` when there is none.
    pub next: Option<i64>,
}

impl<T> Items<T> {
    /// A list that is all there is.
    pub const fn all(items: Vec<T>) -> Self {
        Self { items, next: None }
    }
}

/// API v1 with health, readiness and metrics.
pub fn router() -> Router<Web> {
    let routes = v1().router();
    routes.method_not_allowed_fallback(wrong_method).merge(health::router()).route("/api", any(unknown)).route("/api/{*rest}", any(unknown))
}

/// The routes of API v1 with their documentation.
fn v1() -> Routes {
    let routes = Routes::new()
        .merge(doors::router())
        .merge(codes::router())
        .merge(events::router())
        .merge(rings::router())
        .merge(accounts::router())
        .merge(kinds::router())
        .merge(people::router())
        .merge(ways_in::router())
        .merge(phones::router())
        .merge(grants::router())
        .merge(passes::router())
        .merge(explain::router())
        .merge(tokens::router())
        .merge(sites::router())
        .merge(mqtt::router())
        .merge(mqtt_users::router())
        .merge(devices::router())
        .merge(firmware::router())
        .merge(rollouts::router())
        .merge(tunnel::router())
        .merge(webhooks::router())
        .merge(notify::router())
        .merge(settings::router())
        .merge(system::router());
    routes.below("/api/v1")
}

async fn unknown(uri: Uri) -> ApiError {
    tracing::debug!(path = uri.path(), "no such route");
    ApiError::NotFound("route with this address; GET /api/v1/openapi.json lists them")
}

/// Answered beside `Allow`, which axum adds.
async fn wrong_method() -> ApiError {
    ApiError::WrongMethod
}
