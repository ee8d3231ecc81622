//! Pushes of vendors. Nobody is known here: the driver checks the secret inside, and a wrong one is answered like a
//! wrong address.

use super::{
    routes::{Routes, routes},
    wrong_method,
};
use crate::{ApiError, ApiResult, Web, guard::Source};
use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, FromRequest, Path, Request, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::IntoResponse,
};
use doorward_core::{
    Secret,
    driver::{Action, Delivery, Family},
};
use doorward_wire::attempt::Reason;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use std::{
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::Arc,
};

/// Bytes of a push.
const BODY: usize = 64 * 1024;
/// Pushes of one address in a second.
const RATE: NonZeroU32 = NonZeroU32::new(10).expect("ten is not zero");
/// Addresses that are remembered before those that were silent are forgotten.
const ADDRESSES: usize = 4096;

/// `/hooks/…`, for the private and the public listener.
pub fn router() -> Router<Web> {
    let limiter: Arc<DefaultKeyedRateLimiter<IpAddr>> = Arc::new(RateLimiter::keyed(Quota::per_second(RATE)));
    let routes = routes().router();
    let routes = routes.method_not_allowed_fallback(wrong_method);
    routes.layer(DefaultBodyLimit::max(BODY)).layer(middleware::from_fn(move |request: Request, next: Next| {
        let limiter = Arc::clone(&limiter);
        async move { if admits(&limiter, &request) { next.run(request).await } else { ApiError::RateLimited(1).into_response() } }
    }))
}

pub(super) fn routes() -> Routes {
    Routes::new().routes(routes!(deliver))
}

fn admits(limiter: &DefaultKeyedRateLimiter<IpAddr>, request: &Request) -> bool {
    let source = request.extensions().get::<Source>().and_then(|source| source.0);
    let Some(source) = source else { return true };
    if limiter.len() > ADDRESSES {
        limiter.retain_recent();
    }
    limiter.check_key(&subscriber(source)).is_ok()
}

/// One subscriber has a whole /64 of IPv6.
pub(crate) fn subscriber(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) & (u128::MAX << 64)).into(),
        address @ IpAddr::V4(_) => address,
    }
}

/// Takes a vendor's push. The vendor shows in `Authorization` the secret that doorward gave it.
#[utoipa::path(post, path = "/hooks/{kind}/{random}", tag = "system", params(("kind" = String, Path), ("random" = String, Path)), security(()),
    request_body(content = String, description = "At most 64 KiB, as the vendor writes it.", content_type = "application/json"),
    responses((status = 204), (status = 401, description = "It is not known, or its secret is not."), (status = 429)))]
async fn deliver(State(web): State<Web>, Path((kind, random)): Path<(String, String)>, request: Request) -> ApiResult<StatusCode> {
    let source = request.extensions().get::<Source>().and_then(|source| source.0);
    let refuse = |reason, error| {
        web.house().refused(reason, source);
        Err(error)
    };
    let authorization = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).map(Secret::from);
    let Ok(body) = Bytes::from_request(request, &web).await else {
        return refuse(Reason::BadRequest, ApiError::TooLarge(BODY));
    };
    let mut answer = ApiError::NotAuthenticated;
    for account in web.house().store().accounts().await?.into_iter().filter(|account| account.kind == kind) {
        let delivery = Delivery { path: random.clone(), authorization: authorization.clone(), body: body.to_vec() };
        match web.house().call(&account.id, Action::Deliver(delivery)).await {
            Ok(_) => return Ok(StatusCode::NO_CONTENT),
            // Only whoever knows the secret gets this far.
            Err(fault) if fault.family == Family::Protocol || fault.reason == Some(Reason::BadRequest) => {
                answer = ApiError::BadRequest("this push is not understood".into());
            }
            Err(fault) => tracing::debug!(account = %account.id, log = fault.log, "this account does not take the push"),
        }
    }
    refuse(Reason::NotAuthenticated, answer)
}
