//! Serving a router on a listener, with what an ordinary server never does: hanging up on a caller without an
//! answer, or in the middle of one. And what all control APIs share.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower::ServiceExt;

/// How long to wait when no connection can be accepted (out of file descriptors).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Put into the extensions of a response: the connection is closed and nothing of it is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HangUp;

/// A response that closes the connection without an answer.
pub(crate) fn hang_up() -> Response {
    let mut response = Response::new(Body::empty());
    response.extensions_mut().insert(HangUp);
    response
}

/// Does a request to its end, even when its caller has hung up, unless the simulator stops.
pub(crate) async fn detached(mut stopped: watch::Receiver<bool>, work: impl Future<Output = Response> + Send + 'static) -> Response {
    let task = tokio::spawn(async move {
        tokio::select! {
            response = work => response,
            // The sender lives as long as the world.
            _ = stopped.wait_for(|stopped| *stopped) => hang_up(),
        }
    });
    task.await.unwrap_or_else(|_| hang_up())
}

/// Serves until it is dropped; all connections end with it.
pub(crate) async fn serve(listener: TcpListener, router: Router) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => { connections.spawn(converse(stream, router.clone())); }
                Err(error) => {
                    tracing::warn!(%error, "no connection can be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Answers the requests of one connection until either side closes it.
async fn converse(stream: TcpStream, router: Router) {
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let answer = router.clone().oneshot(request.map(Body::new));
        async move {
            let response: Result<Response, Infallible> = answer.await;
            match response {
                Ok(response) if response.extensions().get::<HangUp>().is_some() => Err(std::io::Error::other("hung up on purpose")),
                Ok(response) => Ok(response),
                Err(never) => match never {},
            }
        }
    });
    if let Err(error) = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// The same answer with its full length announced, of which only half comes.
pub(crate) async fn half(real: Response) -> Response {
    let (mut parts, body) = real.into_parts();
    let whole = to_bytes(body, usize::MAX).await.unwrap_or_default();
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(whole.len()));
    let first = whole.slice(..whole.len() / 2);
    let pieces = futures_util::stream::unfold(Some(first), |left| async move {
        if let Some(first) = left {
            return Some((Ok::<Bytes, std::io::Error>(first), None));
        }
        // One turn, so that the first half is on its way before the connection breaks.
        tokio::task::yield_now().await;
        Some((Err(std::io::Error::other("half an answer on purpose")), None))
    });
    Response::from_parts(parts, Body::from_stream(pieces))
}

/// Refuses what a page of another site sends through somebody's browser.
pub(crate) async fn same_origin(request: Request, next: Next) -> Response {
    let headers = request.headers();
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let foreign = text(header::ORIGIN).is_some_and(|origin| {
        let origin: Option<Uri> = origin.parse().ok();
        let authority = origin.as_ref().and_then(Uri::authority);
        authority.map(axum::http::uri::Authority::as_str) != text(header::HOST)
    });
    if foreign {
        return refused(StatusCode::FORBIDDEN, "another origin");
    }
    next.run(request).await
}

/// The answer of a control API to what it cannot do.
pub(crate) fn refused(status: StatusCode, reason: &str) -> Response {
    (status, axum::Json(json!({ "error": reason }))).into_response()
}

/// A field of what a control API is sent.
pub(crate) fn field<T: DeserializeOwned>(body: &Value, name: &str) -> Result<T, String> {
    let value = body.get(name).ok_or_else(|| format!("{name} is missing"))?;
    T::deserialize(value).map_err(|error| format!("{name}: {error}"))
}
