//! The REST API: who may ask, and what is read only. What is registered is in `enrol`.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State as Extract};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};

use super::catalog;
use super::enrol;
use super::faults::On;
use super::passage::{self, problem};
use super::world::World;

/// Why a request is refused.
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
}

/// What a call answers.
pub(crate) type Outcome = Result<(StatusCode, Value), Refusal>;

/// A request that was let in.
pub(crate) struct Asked<'a> {
    pub(crate) world: &'a World,
    /// The object id of the person who asks.
    pub(crate) oid: &'a str,
    /// The id in the path, or nothing.
    pub(crate) id: &'a str,
    /// The body, or null.
    pub(crate) body: Value,
}

type Call = fn(&Asked<'_>) -> Outcome;

impl Refusal {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    pub(crate) fn malformed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(crate) fn gone(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("{what} not found"))
    }
}

pub(crate) fn routes() -> Router<Arc<World>> {
    const CATALOG: &str = "/servicecatalog/api/v3.0";
    const CA: &str = "/certificate/api/v1.0/ca/information";
    Router::new()
        .route(&format!("{CATALOG}/plants"), get(handler(On::Plants, catalog::plants)))
        .route(&format!("{CATALOG}/plants/{{id}}"), get(handler(On::Plants, catalog::plant)))
        .route(&format!("{CATALOG}/modules"), get(handler(On::Modules, catalog::modules)))
        .route(&format!("{CATALOG}/modules/{{id}}"), get(handler(On::Modules, catalog::module)))
        .route("/users/api/v3.0/users/consents/account", get(handler(On::Consents, consents)))
        .route("/vde/sip/v1.0/devices/{id}/sipaccounts", get(handler(On::SipAccounts, enrol::accounts)))
        .route("/vde/sip/v1.0/devices/{id}/sipaccount", post(handler(On::SipAccount, enrol::account)))
        .route(
            "/vde/push/v1.0/devices/{id}/subscription",
            get(handler(On::Subscription, enrol::subscriptions)).post(handler(On::Subscription, enrol::subscribe)),
        )
        .route(&format!("{CA}/CACerts"), get(handler(On::CaCerts, enrol::ca_certificates)))
        .route(&format!("{CA}/clientCerts"), post(handler(On::ClientCerts, enrol::client_certificate)))
}

/// What stands before the body.
type Front = (Method, Uri, Option<Path<String>>, HeaderMap);
type Answer = std::pin::Pin<Box<dyn Future<Output = Response> + Send>>;

/// One call of the API behind the checks that all of them share.
fn handler(at: On, call: Call) -> impl Fn(Extract<Arc<World>>, Front, Bytes) -> Answer + Clone + Send + 'static {
    move |Extract(world), front, body| {
        Box::pin(async move {
            let log = world.log(front.0.as_str(), front.1.path());
            let plan = world.plan(at, false);
            passage::pass(world, plan, log, move |world| respond(world, call, &front, &body)).await
        })
    }
}

fn respond(world: &World, call: Call, (method, _, id, headers): &Front, body: &[u8]) -> Response {
    let outcome = admit(world, headers).and_then(|oid| {
        let body = if *method == Method::GET { Value::Null } else { read(headers, body)? };
        call(&Asked { world, oid: &oid, id: id.as_ref().map_or("", |Path(id)| id), body })
    });
    match outcome {
        Ok((status, body)) => (status, axum::Json(body)).into_response(),
        Err(refusal) => {
            world.count(|counters| match refusal.status {
                StatusCode::UNAUTHORIZED => counters.unauthorized += 1,
                StatusCode::BAD_REQUEST | StatusCode::UNSUPPORTED_MEDIA_TYPE => counters.malformed += 1,
                _ => {}
            });
            tracing::debug!(status = refusal.status.as_u16(), reason = refusal.message, "a call is refused");
            problem(refusal.status, &refusal.message)
        }
    }
}

/// The person who asks. The subscription key is looked at first, as the API's front door does.
fn admit(world: &World, headers: &HeaderMap) -> Result<String, Refusal> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let unauthorized = |message| Refusal::new(StatusCode::UNAUTHORIZED, message);
    match text("ocp-apim-subscription-key") {
        None => return Err(unauthorized("Access denied due to missing subscription key.")),
        Some(key) if key != world.config.subscription_key => {
            return Err(unauthorized("Access denied due to invalid subscription key."));
        }
        Some(_) => {}
    }
    let bearer = text("authorization").and_then(|value| value.strip_prefix("Bearer "));
    let oid = bearer.and_then(|token| world.look(|state, now| state.book.who(token, now).map(str::to_owned)));
    let oid = oid.ok_or_else(|| unauthorized("Unauthorized. Access token is missing or invalid."))?;
    if text("usertoken") != bearer {
        return Err(Refusal::malformed("UserToken is missing or another one"));
    }
    Ok(oid)
}

fn read(headers: &HeaderMap, body: &[u8]) -> Result<Value, Refusal> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.starts_with("application/json") {
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Content-Type is not application/json"));
    }
    serde_json::from_slice(body).map_err(|error| Refusal::malformed(format!("the body is no JSON: {error}")))
}

#[expect(clippy::unnecessary_wraps, reason = "as every call")]
fn consents(_: &Asked<'_>) -> Outcome {
    Ok((StatusCode::OK, json!([{ "id": "privacy", "version": "1.0", "accepted": true }])))
}
