//! The tunnel's own listener: plain HTTP behind a proxy that ends TLS, or TLS of its own.
//!
//! It stands on the internet, so everything has an end: connections in all and from one network, the time for a request's
//! head and for its body, the size of a body, and how long what was sent may lie unacknowledged.

use crate::{
    Tunnel,
    gateway::{BODY, Refused, Route},
    limits::network,
    oblivious, remote,
    streams::{self, Seal},
};
use axum::{
    body::Bytes,
    http::{
        HeaderMap, HeaderValue, Method, StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER},
    },
    response::{IntoResponse, Response},
};
use doorward_http::network::{contains, forwarded_for, is_forwarded};
use http_body_util::{BodyExt, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use std::{
    collections::HashMap,
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_rustls::TlsAcceptor;

/// What comes in.
pub(crate) type Request = hyper::Request<Incoming>;

/// Connections from one network.
const FROM_ONE: usize = 64;
/// Bytes that are read ahead, and the most that a head may have.
const READ: usize = 16 << 10;
/// How long what was sent may lie unacknowledged.
const UNACKNOWLEDGED: Duration = Duration::from_mins(1);

/// Accepts connections until the tunnel stops.
pub(crate) async fn serve(tunnel: Tunnel, listener: TcpListener, tls: Option<TlsAcceptor>) {
    let places = Arc::new(Semaphore::new(tunnel.options().connections));
    let networks = Arc::new(Networks::default());
    let mut stopping = tunnel.stopping();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopping.wait_for(|stopping| *stopping) => return,
        };
        let Ok((stream, address)) = accepted else {
            // Out of file descriptors: wait for some to be closed.
            let clock = tunnel.house().clock();
            clock.sleep_until(clock.now().mono.plus(Duration::from_millis(100))).await;
            continue;
        };
        let peer = address.ip().to_canonical();
        // Proxies and this machine speak for many.
        let many = peer.is_loopback() || contains(&tunnel.options().proxies, peer);
        let (place, network) = (Arc::clone(&places).try_acquire_owned(), networks.enter(peer, many));
        let (Ok(place), Some(network)) = (place, network) else {
            metrics::counter!("doorward_tunnel_refused_total", "reason" => "connections").increment(1);
            continue;
        };
        let (own, tls) = (tunnel.clone(), tls.clone());
        let (mut stopping, patience) = (tunnel.stopping(), tunnel.options().patience);
        tokio::spawn(async move {
            let _held = (place, network);
            prepare(&stream);
            let stop = async move {
                let _ = stopping.wait_for(|stopping| *stopping).await;
            };
            match tls {
                None => connection(stream, peer, own, stop).await,
                Some(tls) => {
                    if let Ok(Ok(stream)) = tokio::time::timeout(patience, tls.accept(stream)).await {
                        connection(stream, peer, own, stop).await;
                    }
                }
            }
        });
    }
}

fn prepare(stream: &TcpStream) {
    // What cannot be set stays as it is: a connection works without.
    let _ = stream.set_nodelay(true);
    let milliseconds = u32::try_from(UNACKNOWLEDGED.as_millis()).unwrap_or(u32::MAX);
    let _ = rustix::net::sockopt::set_tcp_user_timeout(stream, milliseconds);
}

async fn connection<S>(stream: S, peer: IpAddr, tunnel: Tunnel, stop: impl Future<Output = ()>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let patience = tunnel.options().patience;
    let service = service_fn(move |request| {
        let tunnel = tunnel.clone();
        async move { Ok::<_, Infallible>(route(&tunnel, peer, request).await) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(patience).max_buf_size(READ).pipeline_flush(false);
    let serving = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(serving, stop);
    tokio::select! {
        // Whoever hangs up in the middle is no news.
        _ = serving.as_mut() => {}
        () = &mut stop => {
            serving.as_mut().graceful_shutdown();
            let _ = tokio::time::timeout(Duration::from_secs(3), serving).await;
        }
    }
}

/// How many connections each network has.
#[derive(Default)]
struct Networks(Mutex<HashMap<[u8; 8], usize>>);

/// One of them.
struct Held {
    networks: Arc<Networks>,
    network: Option<[u8; 8]>,
}

impl Networks {
    fn enter(self: &Arc<Self>, peer: IpAddr, many: bool) -> Option<Held> {
        if many {
            return Some(Held { networks: Arc::clone(self), network: None });
        }
        let network = network(peer);
        let mut networks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = networks.entry(network).or_default();
        if *count >= FROM_ONE {
            return None;
        }
        *count += 1;
        Some(Held { networks: Arc::clone(self), network: Some(network) })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some(network) = self.network else { return };
        let mut networks = self.networks.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = networks.get_mut(&network) {
            *count -= 1;
            if *count == 0 {
                networks.remove(&network);
            }
        }
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
    let source = source(tunnel, peer, request.headers());
    let body = match body(request, tunnel.options().patience).await {
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

/// The whole body, within its bounds.
pub(crate) async fn body(request: Request, patience: Duration) -> Result<Bytes, StatusCode> {
    let limited = Limited::new(request.into_body(), BODY).collect();
    match tokio::time::timeout(patience, limited).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(StatusCode::PAYLOAD_TOO_LARGE),
        Ok(Err(_)) => Err(StatusCode::BAD_REQUEST),
        Err(_) => Err(StatusCode::REQUEST_TIMEOUT),
    }
}

/// From where a request came, if anybody knows: a proxy that is not named could say what it likes, and one on this machine
/// stands for the internet.
pub(crate) fn source(tunnel: &Tunnel, peer: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
    if contains(&tunnel.options().proxies, peer) {
        return forwarded_for(headers);
    }
    (!peer.is_loopback() && !is_forwarded(headers)).then_some(peer)
}

/// Too many trials failed from there.
pub(crate) fn too_many() -> Response {
    let mut response = plain(StatusCode::TOO_MANY_REQUESTS);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("60"));
    response
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

/// Where it listens.
pub(crate) fn address(listener: &TcpListener) -> Option<SocketAddr> {
    listener.local_addr().ok()
}
