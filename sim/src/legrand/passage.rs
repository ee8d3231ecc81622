//! How a request lives through the faults that strike it.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::faults::{Dead, Refusal};
use super::journal::LogId;
use super::world::World;
use crate::server::{detached, half, hang_up};

/// What a gateway says that has lost its cloud.
pub(crate) const HTML: &str = "<html><body><h1>502 Bad Gateway</h1></body></html>";

/// What happens to one request.
#[derive(Debug)]
pub(crate) struct Plan {
    /// When the request came. Delays count from here, so that whoever sees a request arrive and then moves
    /// the clock moves it far enough.
    arrived: u64,
    before_ms: u64,
    after_ms: u64,
    pub(crate) mishap: Option<Mishap>,
    pub(crate) after_effect: bool,
}

/// What a request gets instead of its answer, or meets on its way to it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mishap {
    Dead(Dead),
    Status(u16),
    TooMany(u64),
    Unauthorized,
    Half,
    Garbage,
    Truncated,
    StaleNonce,
    WrongPassword(Refusal),
    NoMovement,
    CertificateExpired,
    CertificateRefused,
}

impl Plan {
    pub(crate) fn arrived(now: u64) -> Self {
        Self { arrived: now, before_ms: 0, after_ms: 0, mishap: None, after_effect: false }
    }

    /// Whether anything at all is wrong.
    pub(crate) fn faulty(&self) -> bool {
        self.mishap.is_some() || self.waits()
    }

    /// Whether its answer comes late.
    pub(crate) fn waits(&self) -> bool {
        self.before_ms > 0 || self.after_ms > 0
    }

    pub(crate) fn wait(&mut self, ms: u64, after: bool) {
        if after {
            self.after_ms += ms;
        } else {
            self.before_ms += ms;
        }
    }

    /// Waits as long as it must before the effect.
    pub(crate) async fn before(&self, world: &World) {
        sleep(world, self.arrived, self.before_ms).await;
    }

    /// Waits as long as it must after the effect, which was at `effect`.
    pub(crate) async fn after(&self, world: &World, effect: u64) {
        sleep(world, effect, self.after_ms).await;
    }
}

async fn sleep(world: &World, from: u64, ms: u64) {
    if ms > 0 {
        world.clock.sleep_until(from.saturating_add(ms)).await;
    }
}

/// Lets a request over HTTP pass through its plan: `act` is where it takes effect.
///
/// This goes on when the caller hangs up meanwhile, as it does in a real cloud.
pub(crate) async fn pass(world: Arc<World>, plan: Plan, log: LogId, act: impl FnOnce(&World) -> Response + Send + 'static) -> Response {
    let stopped = world.stopped();
    let work = async move {
        let response = carry_out(&world, plan, act).await;
        world.log_status(log, response.status().as_u16());
        response
    };
    detached(stopped, work).await
}

async fn carry_out(world: &World, plan: Plan, act: impl FnOnce(&World) -> Response) -> Response {
    plan.before(world).await;
    let effect = world.clock.now_ms();
    let response = match plan.mishap {
        None => act(world),
        Some(mishap) => {
            let always = matches!(mishap, Mishap::Half | Mishap::Truncated);
            let real = (plan.after_effect || always).then(|| act(world));
            answer(mishap, world, real).await
        }
    };
    plan.after(world, effect).await;
    response
}

async fn answer(mishap: Mishap, world: &World, real: Option<Response>) -> Response {
    match mishap {
        Mishap::Dead(Dead::Silent) => std::future::pending().await,
        Mishap::Dead(Dead::Close) => hang_up(),
        Mishap::Status(status) => problem(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), "on purpose"),
        Mishap::TooMany(seconds) => {
            let mut response = problem(StatusCode::TOO_MANY_REQUESTS, "Rate limit is exceeded.");
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            response
        }
        Mishap::Unauthorized => {
            world.count(|counters| counters.unauthorized += 1);
            problem(StatusCode::UNAUTHORIZED, "Unauthorized. Access token is missing or invalid.")
        }
        Mishap::Half => half(real.unwrap_or_else(hang_up)).await,
        Mishap::Truncated => truncated(real.unwrap_or_else(hang_up)).await,
        Mishap::Garbage
        | Mishap::StaleNonce
        | Mishap::WrongPassword(_)
        | Mishap::NoMovement
        | Mishap::CertificateExpired
        | Mishap::CertificateRefused => ([(header::CONTENT_TYPE, "text/html")], HTML).into_response(),
    }
}

/// How the API's front door refuses.
pub(crate) fn problem(status: StatusCode, message: &str) -> Response {
    (status, axum::Json(json!({ "statusCode": status.as_u16(), "message": message }))).into_response()
}

/// The same answer, whole by its headers, with the second half of its body missing.
async fn truncated(real: Response) -> Response {
    let (mut parts, body) = real.into_parts();
    let whole = to_bytes(body, usize::MAX).await.unwrap_or_default();
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(whole.slice(..whole.len() / 2)))
}
