//! How a request lives through the faults that strike it.

use std::sync::Arc;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::faults::Dead;
use super::world::{LogId, World};
use crate::server::{detached, half, hang_up};

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

/// What a request gets instead of its answer.
#[derive(Debug)]
pub(crate) enum Mishap {
    Dead(Dead),
    Redirect(String),
    TooMany(u64),
    ServerError(u16),
    Unauthorized,
    Half,
    Garbage,
    ErrorIn200(String),
    Empty,
}

impl Plan {
    pub(crate) fn arrived(now: u64) -> Self {
        Self { arrived: now, before_ms: 0, after_ms: 0, mishap: None, after_effect: false }
    }

    /// Whether anything at all is wrong.
    pub(crate) fn faulty(&self) -> bool {
        self.mishap.is_some() || self.before_ms > 0 || self.after_ms > 0
    }

    pub(crate) fn wait(&mut self, ms: u64, after: bool) {
        if after {
            self.after_ms += ms;
        } else {
            self.before_ms += ms;
        }
    }
}

/// Lets a request pass through its plan: `act` is where it takes effect.
///
/// This goes on when the caller hangs up meanwhile, as it does in a real cloud: a door whose command timed out
/// may still open.
pub(crate) async fn pass(world: Arc<World>, plan: Plan, log: LogId, act: impl FnOnce(&World) -> Response + Send + 'static) -> Response {
    let stopped = world.stopped();
    let work = async move {
        let response = carry_out(&world, plan, act).await;
        world.log_status(log, response.status());
        response
    };
    detached(stopped, work).await
}

async fn carry_out(world: &World, plan: Plan, act: impl FnOnce(&World) -> Response) -> Response {
    sleep(world, plan.arrived, plan.before_ms).await;
    let effect = world.clock.now_ms();
    let response = match plan.mishap {
        None => act(world),
        Some(mishap) => {
            let always = matches!(mishap, Mishap::Half | Mishap::Empty);
            let real = (plan.after_effect || always).then(|| act(world));
            mishap.answer(world, real).await
        }
    };
    sleep(world, effect, plan.after_ms).await;
    response
}

async fn sleep(world: &World, from: u64, ms: u64) {
    if ms > 0 {
        world.clock.sleep_until(from.saturating_add(ms)).await;
    }
}

impl Mishap {
    async fn answer(self, world: &World, real: Option<Response>) -> Response {
        match self {
            Self::Dead(Dead::Silent) => std::future::pending().await,
            Self::Dead(Dead::Close) => hang_up(),
            Self::Redirect(to) => (StatusCode::FOUND, [(header::LOCATION, to)]).into_response(),
            Self::TooMany(seconds) => {
                let mut response = status(StatusCode::TOO_MANY_REQUESTS, "RATE_LIMIT", "too many requests");
                let seconds = HeaderValue::from(seconds);
                response.headers_mut().insert(header::RETRY_AFTER, seconds);
                response
            }
            Self::ServerError(code) => {
                let code = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                (code, "upstream connect error").into_response()
            }
            Self::Unauthorized => {
                world.count(|counters| counters.unauthorized += 1);
                status(StatusCode::UNAUTHORIZED, "INVALID_TOKEN", "token expired")
            }
            Self::Half => half(real.unwrap_or_else(hang_up)).await,
            Self::Garbage => ([(header::CONTENT_TYPE, "text/html")], "<html><body>We will be back soon.</body></html>").into_response(),
            Self::ErrorIn200(code) => {
                let error = json!({ "code": code, "message": "refused on purpose" });
                let body = if world.faults().error_at_top { json!({ "error": error }) } else { json!({ "payload": { "error": error } }) };
                axum::Json(body).into_response()
            }
            Self::Empty => StatusCode::NO_CONTENT.into_response(),
        }
    }
}

fn status(status: StatusCode, code: &str, message: &str) -> Response {
    let body = json!({ "payload": { "error": { "code": code, "message": message } } });
    (status, axum::Json(body)).into_response()
}
