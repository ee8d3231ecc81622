//! What a phone hears of a broker: server-sent events, each sealed on its own.
//!
//! A stream holds nothing but its place at the broker's subscription: what its reader does not take in time ends it.

use crate::{
    Entry, Tunnel,
    gateway::{Request, Told, seconds},
    keyring::Key,
    service::mqtt,
};
use axum::{
    body::{Body, Bytes},
    http::{
        HeaderValue,
        header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName},
    },
    response::Response,
};
use doorward_mqtt::tap::{Tap, TapEnd};
use doorward_wire::{
    attempt::Reason,
    tunnel::{StreamEvent, Wrong},
};
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::sync::{OwnedSemaphorePermit, watch};

/// How often something is sent, so that nobody on the way takes the stream for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// A stream that goes on.
struct Stream {
    tunnel: Tunnel,
    key: Arc<Key>,
    previous: bool,
    topic: String,
    tap: Tap,
    gone: watch::Receiver<bool>,
    stopping: watch::Receiver<bool>,
    _counted: Counted,
    _places: [OwnedSemaphorePermit; 2],
}

/// Counts a stream for as long as it is there.
struct Counted;

impl Counted {
    fn new() -> Self {
        metrics::gauge!("doorward_tunnel_streams").increment(1.0);
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        metrics::gauge!("doorward_tunnel_streams").decrement(1.0);
    }
}

/// What comes next on a stream.
enum Next {
    Event(StreamEvent),
    Message(String),
    Nothing,
}

/// Opens a stream, or says on one why not.
pub(crate) async fn open(tunnel: &Tunnel, request: Request) -> Response {
    match begin(tunnel, &request).await {
        Ok(stream) => {
            metrics::counter!("doorward_tunnel_requests_total", "service" => "stream", "status" => "2xx").increment(1);
            let (time, what) = (tunnel.house().now().utc, stream.topic.clone());
            let entry = Entry { time, service: "stream", what, status: 200, reason: None, source: request.source };
            tunnel.note_request(&request.key, entry);
            response(Body::from_stream(run(stream)))
        }
        Err((why, reason)) => {
            metrics::counter!("doorward_tunnel_requests_total", "service" => "stream", "status" => "4xx").increment(1);
            if let Some(reason) = reason {
                tunnel.note_refusal(&request.key, reason, "stream", request.source);
            }
            only(tunnel, &request.key, request.previous, why)
        }
    }
}

/// A stream that says why a request was refused, and ends.
pub(crate) fn refused(tunnel: &Tunnel, told: &Told) -> Response {
    only(tunnel, &told.key, told.previous, told.why.to_owned())
}

fn only(tunnel: &Tunnel, key: &Key, previous: bool, message: String) -> Response {
    let error = StreamEvent::Error { message, timestamp: now(tunnel) };
    response(Body::from(sealed(key, previous, &error.to_json()).unwrap_or_default()))
}

fn response(body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // nginx holds answers back unless it is told so.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

async fn begin(tunnel: &Tunnel, request: &Request) -> Result<Stream, (String, Option<Reason>)> {
    let wish = request.plain.subscribe().map_err(|wrong| match wrong {
        // At this route the original names the field without quotes.
        Wrong::Missing(field) => (format!("Missing required field: {field}"), Some(Reason::BadRequest)),
        wrong @ (Wrong::NotAnObject | Wrong::Service | Wrong::Field(..)) => (wrong.to_string(), Some(Reason::BadRequest)),
    })?;
    let busy = |_| ("Too many streams".to_owned(), Some(Reason::RateLimited));
    let own = Arc::clone(&request.key.ledger.streams).try_acquire_owned().map_err(busy)?;
    let all = Arc::clone(tunnel.streams()).try_acquire_owned().map_err(busy)?;
    // Before the subscription, so that a key that goes meanwhile is seen to go.
    let gone = request.key.gone();
    let topic = wish.topic.clone();
    let tap = mqtt::listen(tunnel, request, wish).await?;
    let (tunnel, key, previous, stopping) = (tunnel.clone(), Arc::clone(&request.key), request.previous, tunnel.stopping());
    Ok(Stream { tunnel, key, previous, topic, tap, gone, stopping, _counted: Counted::new(), _places: [own, all] })
}

fn run(mut stream: Stream) -> impl futures_util::Stream<Item = Result<Bytes, Infallible>> {
    async_stream::stream! {
        let connected = StreamEvent::connected(&stream.topic).to_json();
        if let Some(first) = stream.seal(&connected) {
            yield Ok(first);
        }
        loop {
            let (json, last) = match stream.next().await {
                Next::Nothing => {
                    yield Ok(Bytes::from_static(b": keepalive\n\n"));
                    continue;
                }
                Next::Message(json) => (json, false),
                Next::Event(event) => (event.to_json(), event.is_last()),
            };
            let Some(event) = stream.seal(&json) else { break };
            yield Ok(event);
            if last {
                break;
            }
        }
    }
}

impl Stream {
    fn seal(&self, json: &str) -> Option<Bytes> {
        sealed(&self.key, self.previous, json).map(Bytes::from)
    }

    async fn next(&mut self) -> Next {
        let timestamp = now(&self.tunnel);
        let clock = Arc::clone(self.tunnel.house().clock());
        let error = |message: &str| Next::Event(StreamEvent::Error { message: message.into(), timestamp });
        let over = |message: &str| Next::Event(StreamEvent::Disconnected { message: message.into(), timestamp });
        tokio::select! {
            biased;
            _ = self.gone.wait_for(|gone| *gone) => error("The key was changed or revoked"),
            _ = self.stopping.wait_for(|stopping| *stopping) => over("doorward is stopping"),
            heard = self.tap.next() => match heard {
                Ok(heard) => {
                    let json = || StreamEvent::message(&heard.topic, &heard.payload, heard.qos, heard.retain, timestamp).to_json();
                    Next::Message(heard.written(json).to_owned())
                }
                Err(TapEnd::Slow) => {
                    metrics::counter!("doorward_tunnel_slow_total").increment(1);
                    error("This stream was read too slowly")
                }
                Err(TapEnd::Gone) => over("The connection to the broker was lost"),
            },
            () = clock.sleep_until(clock.now().mono.plus(KEEP_ALIVE)) => Next::Nothing,
        }
    }
}

/// `data: <base64>`, with exactly one space: the original's clients cut six characters off.
fn sealed(key: &Key, previous: bool, json: &str) -> Option<String> {
    key.seal(previous, json.as_bytes()).map(|body| format!("data: {body}\n\n"))
}

fn now(tunnel: &Tunnel) -> i64 {
    seconds(tunnel.house().now().utc)
}
