//! What a phone hears of a broker: server-sent events, each sealed on its own.
//!
//! A stream holds nothing but its place at the broker's subscription: what its reader does not take in time ends it.

use crate::{
    Entry, Tunnel,
    gateway::{Request, Told, seconds},
    keyring::Key,
    service::mqtt,
    v2::{self, StreamBody},
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

/// The media type of what is not sealed in chunks.
const EVENTS: &str = "text/event-stream";
/// How often something is sent, so that nobody on the way takes the stream for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How events are sealed.
pub(crate) enum Seal {
    /// Each on its own, with a key.
    Each {
        /// The key.
        key: Arc<Key>,
        /// With the secret that it had before.
        previous: bool,
    },
    /// As chunks of one answer.
    Chunks {
        /// What makes them.
        body: StreamBody,
        /// What comes before the first one.
        head: Vec<u8>,
    },
}

/// A stream that goes on.
struct Stream {
    tunnel: Tunnel,
    seal: Seal,
    topic: String,
    tap: Tap,
    gone: watch::Receiver<bool>,
    stopping: watch::Receiver<bool>,
    _counted: Counted,
    _places: [OwnedSemaphorePermit; 2],
}

/// A stream, but for its seal.
struct Begun {
    tunnel: Tunnel,
    topic: String,
    tap: Tap,
    gone: watch::Receiver<bool>,
    stopping: watch::Receiver<bool>,
    places: [OwnedSemaphorePermit; 2],
}

impl Begun {
    fn sealed(self, seal: Seal) -> Stream {
        let Self { tunnel, topic, tap, gone, stopping, places } = self;
        Stream { tunnel, seal, topic, tap, gone, stopping, _counted: Counted::new(), _places: places }
    }
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
pub(crate) async fn open(tunnel: &Tunnel, request: Request, seal: Seal) -> Response {
    let kind = seal.kind();
    match begin(tunnel, &request).await {
        Ok(begun) => {
            let stream = begun.sealed(seal);
            metrics::counter!("doorward_tunnel_requests_total", "service" => "stream", "status" => "2xx").increment(1);
            let (time, what) = (tunnel.house().now().utc, stream.topic.clone());
            let entry = Entry { time, service: "stream", what, status: 200, reason: None, source: request.source };
            tunnel.note_request(&request.key, entry);
            response(kind, Body::from_stream(run(stream)))
        }
        Err((why, reason)) => {
            metrics::counter!("doorward_tunnel_requests_total", "service" => "stream", "status" => "4xx").increment(1);
            if let Some(reason) = reason {
                tunnel.note_refusal(&request.key, reason, "stream", request.source);
            }
            only(tunnel, seal, why)
        }
    }
}

/// A stream that says why a request was refused, and ends.
pub(crate) fn refused(tunnel: &Tunnel, told: &Told, seal: Seal) -> Response {
    only(tunnel, seal, told.why.to_owned())
}

fn only(tunnel: &Tunnel, mut seal: Seal, message: String) -> Response {
    let (kind, mut bytes) = (seal.kind(), seal.head());
    let error = StreamEvent::Error { message, timestamp: now(tunnel) };
    bytes.extend(seal.event(&error.to_json()).unwrap_or_default());
    bytes.extend(seal.end());
    response(kind, Body::from(bytes))
}

impl Seal {
    fn kind(&self) -> &'static str {
        match self {
            Self::Each { .. } => EVENTS,
            Self::Chunks { .. } => v2::CHUNKED_RESPONSE,
        }
    }

    /// What comes before everything else.
    fn head(&mut self) -> Vec<u8> {
        match self {
            Self::Each { .. } => Vec::new(),
            Self::Chunks { head, .. } => std::mem::take(head),
        }
    }

    /// `data: <base64>`, with exactly one space: the original's clients cut six characters off. In chunks the JSON itself.
    fn event(&mut self, json: &str) -> Option<Vec<u8>> {
        match self {
            Self::Each { key, previous } => key.seal(*previous, json.as_bytes()).map(|body| format!("data: {body}\n\n").into_bytes()),
            Self::Chunks { body, .. } => body.chunk(format!("data: {json}\n\n").as_bytes()).ok(),
        }
    }

    /// What keeps a stream alive, and says nothing.
    fn nothing(&mut self) -> Option<Vec<u8>> {
        const NOTHING: &[u8] = b": keepalive\n\n";
        match self {
            Self::Each { .. } => Some(NOTHING.to_vec()),
            Self::Chunks { body, .. } => body.chunk(NOTHING).ok(),
        }
    }

    /// What comes after everything else.
    fn end(self) -> Vec<u8> {
        match self {
            Self::Each { .. } => Vec::new(),
            Self::Chunks { body, .. } => body.end().unwrap_or_default(),
        }
    }
}

fn response(kind: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // nginx holds answers back unless it is told so.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

async fn begin(tunnel: &Tunnel, request: &Request) -> Result<Begun, (String, Option<Reason>)> {
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
    let (tunnel, stopping) = (tunnel.clone(), tunnel.stopping());
    Ok(Begun { tunnel, topic, tap, gone, stopping, places: [own, all] })
}

fn run(mut stream: Stream) -> impl futures_util::Stream<Item = Result<Bytes, Infallible>> {
    async_stream::stream! {
        let mut first = stream.seal.head();
        let connected = StreamEvent::connected(&stream.topic).to_json();
        first.extend(stream.seal.event(&connected).unwrap_or_default());
        yield Ok(Bytes::from(first));
        loop {
            let (json, last) = match stream.next().await {
                Next::Nothing => {
                    let Some(nothing) = stream.seal.nothing() else { break };
                    yield Ok(Bytes::from(nothing));
                    continue;
                }
                Next::Message(json) => (json, false),
                Next::Event(event) => (event.to_json(), event.is_last()),
            };
            let Some(event) = stream.seal.event(&json) else { break };
            yield Ok(Bytes::from(event));
            if last {
                yield Ok(Bytes::from(stream.seal.end()));
                break;
            }
        }
    }
}

impl Stream {
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

fn now(tunnel: &Tunnel) -> i64 {
    seconds(tunnel.house().now().utc)
}
