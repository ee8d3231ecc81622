//! What comes in at the tunnel's listener, and its answer.

use crate::{
    Tunnel,
    gateway::{BODY, Refused, Route},
    oblivious, remote,
    streams::{self, Seal},
};
use axum::{
    body::Bytes,
    http::{
        Method, StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};
use doorward_listen::{Answer, Bounds, Request, body, source, too_many};
use serde_json::json;
use std::{net::IpAddr, sync::Arc};

/// Connections from one network.
const FROM_ONE: usize = 64;

/// What the listener allows.
pub(crate) fn bounds(tunnel: &Tunnel) -> Bounds {
    let options = tunnel.options();
    Bounds { connections: options.connections, from_one: FROM_ONE, proxies: options.proxies.clone(), patience: options.patience }
}

impl Answer for Tunnel {
    async fn answer(&self, peer: IpAddr, request: Request) -> Response {
        route(self, peer, request).await
    }

    fn full(&self) {
        metrics::counter!("doorward_tunnel_refused_total", "reason" => "connections").increment(1);
    }
}

/// Everything that the tunnel answers. By hand, since the original's clients write `//gateway`, and since a router would
/// put each answer on the heap.
async fn route(tunnel: &Tunnel, peer: IpAddr, request: Request) -> Response {
    let path = request.uri().path();
    // The original's clients join addresses with one slash too many.
    let path = path.strip_prefix('/').filter(|rest| rest.starts_with('/')).unwrap_or(path).to_owned();
    let method = request.method().clone();
    let route = match (path.as_str(), &method) {
        ("/health", &Method::GET | &Method::HEAD) => return health(),
        ("/tunnel/v2/keys", &Method::GET) => return oblivious::keys(tunnel),
        ("/tunnel/v2", &Method::POST) => return Box::pin(oblivious::answer(tunnel, peer, request)).await,
        ("/gateway", &Method::POST) => Route::Gateway,
        ("/mqtt/publish", &Method::POST) => Route::Publish,
        ("/mqtt/subscribe", &Method::POST) => Route::Subscribe,
        ("/health" | "/gateway" | "/mqtt/publish" | "/mqtt/subscribe" | "/tunnel/v2" | "/tunnel/v2/keys", _) => {
            return plain(StatusCode::METHOD_NOT_ALLOWED);
        }
        (page, method) if remote::is_for(page) => return remote::answer(page, method, tunnel.options().remote),
        _ => return plain(StatusCode::NOT_FOUND),
    };
    let source = source(&tunnel.options().proxies, peer, request.headers());
    let body = match body(request, BODY, tunnel.options().patience).await {
        Ok(body) => body,
        Err(status) => return plain(status),
    };
    answer(tunnel, route, body, source).await
}

async fn answer(tunnel: &Tunnel, route: Route, body: Bytes, source: Option<IpAddr>) -> Response {
    match (tunnel.take(body, source).await, route) {
        (Ok(request), Route::Subscribe) => {
            let seal = Seal::Each { key: Arc::clone(&request.key), previous: request.previous };
            streams::open(tunnel, request, seal).await
        }
        (Ok(request), Route::Gateway | Route::Publish) => {
            let reply = tunnel.serve(route, &request).await;
            octets(tunnel.sealed(&request.key, request.previous, &reply))
        }
        (Err(Refused::NoKey), Route::Subscribe) => {
            let mut response = json_response(&json!({ "error": "" }));
            *response.status_mut() = StatusCode::BAD_REQUEST;
            response
        }
        (Err(Refused::NoKey), Route::Gateway | Route::Publish) => octets(tunnel.nothing()),
        (Err(Refused::TooMany), _) => too_many(),
        (Err(Refused::Told(told)), Route::Subscribe) => {
            let seal = Seal::Each { key: Arc::clone(&told.key), previous: told.previous };
            streams::refused(tunnel, &told, seal)
        }
        (Err(Refused::Told(told)), Route::Gateway | Route::Publish) => octets(tunnel.sealed(&told.key, told.previous, &told.reply(route))),
    }
}

fn health() -> Response {
    json_response(&json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") }))
}

fn octets(body: String) -> Response {
    ([(CONTENT_TYPE, "application/octet-stream"), (CACHE_CONTROL, "no-store")], body).into_response()
}

fn json_response(body: &serde_json::Value) -> Response {
    ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")], body.to_string()).into_response()
}

pub(crate) fn plain(status: StatusCode) -> Response {
    status.into_response()
}
