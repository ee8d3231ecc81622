//! Version 2 at the listener: what comes in is Oblivious HTTP, and what is inside is answered as in version 1.

use crate::{
    Tunnel,
    gateway::{BODY, Refused2, Reply, Request, Route, Told2},
    listener::plain,
    streams::{self, Seal},
    v2::{self, OpenError, Sealer, StreamSealer},
};
use axum::{
    body::Body,
    http::{
        StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};
use doorward_listen::{body, source, too_many};
use doorward_wire::attempt::Reason;
use serde_json::json;
use std::net::IpAddr;

/// The media type of what is inside of an answer.
const JSON: &str = "application/json";
/// The type of the problem that says that a request was sealed for another key (RFC 9458, section 5.3).
const OTHER_KEY: &str = "https://iana.org/assignments/http-problem-types#ohttp-key";

/// The key to which requests are sealed. Phones know it by the pin of their pairing code.
pub(crate) fn keys(tunnel: &Tunnel) -> Response {
    ([(CONTENT_TYPE, v2::KEYS), (CACHE_CONTROL, "no-store")], tunnel.gateway_key().config().to_vec()).into_response()
}

/// Answers a request, whole or in chunks as it came.
pub(crate) async fn answer(tunnel: &Tunnel, peer: IpAddr, request: doorward_listen::Request) -> Response {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_owned();
    let source = source(&tunnel.options().proxies, peer, request.headers());
    let body = match body(request, BODY, tunnel.options().patience).await {
        Ok(body) => body,
        Err(status) => return plain(status),
    };
    match kind.as_str() {
        v2::REQUEST => match tunnel.take_v2(move |key| key.open(&body), source).await {
            Ok((taken, sealer)) => whole(tunnel, taken, sealer).await,
            Err(refused) => unopened(&refused),
        },
        v2::CHUNKED_REQUEST => match tunnel.take_v2(move |key| key.open_chunked(&body), source).await {
            Ok((taken, sealer)) => chunks(tunnel, taken, sealer).await,
            Err(refused) => unopened(&refused),
        },
        _ => plain(StatusCode::UNSUPPORTED_MEDIA_TYPE),
    }
}

async fn whole(tunnel: &Tunnel, taken: Result<(Route, Request), Told2>, answer: Sealer) -> Response {
    let (status, reply) = match taken {
        Ok((Route::Subscribe, _)) => (400, Reply::refused(400, "A stream is asked for and answered in chunks", Reason::BadRequest)),
        Ok((route, request)) => (200, Box::pin(tunnel.serve(route, &request)).await),
        Err(told) => refused(told),
    };
    let text = reply.told(tunnel.house().now().utc);
    match answer.seal(status, JSON, text.as_bytes()) {
        Ok(sealed) => bytes(v2::RESPONSE, sealed),
        Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

async fn chunks(tunnel: &Tunnel, taken: Result<(Route, Request), Told2>, answer: StreamSealer) -> Response {
    let (status, reply) = match taken {
        Ok((Route::Subscribe, request)) => {
            let Ok((body, head)) = answer.begin(200, "text/event-stream") else { return plain(StatusCode::INTERNAL_SERVER_ERROR) };
            return Box::pin(streams::open(tunnel, request, Seal::Chunks { body, head })).await;
        }
        Err(Told2::Told(Route::Subscribe, told)) => {
            let Ok((body, head)) = answer.begin(200, "text/event-stream") else { return plain(StatusCode::INTERNAL_SERVER_ERROR) };
            return streams::refused(tunnel, &told, Seal::Chunks { body, head });
        }
        Ok((route, request)) => (200, Box::pin(tunnel.serve(route, &request)).await),
        Err(told) => refused(told),
    };
    let text = reply.told(tunnel.house().now().utc);
    let sealed = answer.begin(status, JSON).and_then(|(mut body, mut sealed)| {
        // A chunk has 16 KiB at most, and an answer can have megabytes.
        for part in text.as_bytes().chunks(8 << 10) {
            sealed.extend(body.chunk(part)?);
        }
        sealed.extend(body.end()?);
        Ok(sealed)
    });
    sealed.map_or_else(|_| plain(StatusCode::INTERNAL_SERVER_ERROR), |sealed| bytes(v2::CHUNKED_RESPONSE, sealed))
}

/// What is told under the seal. Only whoever has no key is told so by the status around it too.
fn refused(told: Told2) -> (u16, Reply) {
    match told {
        Told2::NoKey => (401, Reply::error(401, "This key is not known here")),
        Told2::NoRoute => (404, Reply::error(404, "There is nothing at this path")),
        Told2::Told(route, told) => (200, told.reply(route)),
    }
}

/// What is told in clear: it does not open.
fn unopened(refused: &Refused2) -> Response {
    match refused {
        Refused2::TooMany => too_many(),
        Refused2::Unopened(OpenError::TooLong) => plain(StatusCode::PAYLOAD_TOO_LARGE),
        Refused2::Unopened(OpenError::Malformed) => plain(StatusCode::BAD_REQUEST),
        Refused2::Unopened(OpenError::Sealed) => {
            let problem = json!({ "type": OTHER_KEY, "title": "this is not sealed for the key of this house" });
            let kind = [(CONTENT_TYPE, "application/problem+json"), (CACHE_CONTROL, "no-store")];
            (StatusCode::BAD_REQUEST, kind, problem.to_string()).into_response()
        }
    }
}

fn bytes(kind: &'static str, body: Vec<u8>) -> Response {
    ([(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-store")], Body::from(body)).into_response()
}
