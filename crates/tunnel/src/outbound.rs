//! Requests to other servers, on behalf of a key.
//!
//! Where a request may go was decided by the key's scopes ([`Leave`]); here its name is looked up, every address is held
//! against that, and the connection goes to one of those. Connections are kept, apart for each of the three reaches, so a
//! connection that one key may not have had is never lent to it. Redirects are followed hop by hop, each being asked for
//! anew.

mod pool;

use crate::scopes::Leave;
use doorward_engine::Clock;
use doorward_http::destination::{Checked, Names, Reach, Refusal, System, reach};
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, Uri, body::Incoming};
use pool::{Late, Pool, pool};
use reqwest::{
    Method, StatusCode, Url,
    header::{self, HeaderMap, HeaderName, HeaderValue},
};
use std::{
    collections::BTreeMap,
    error::Error,
    net::IpAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long a connection may take to stand.
const CONNECT: Duration = Duration::from_secs(5);
/// How long an unused connection is kept.
const IDLE: Duration = Duration::from_secs(30);
/// The largest answer.
pub(crate) const MOST: usize = 8 << 20;
/// Bytes of answers that are in memory at once.
const IN_ALL: usize = 32 << 20;
/// In steps of so many bytes.
const STEP: usize = 1 << 10;
/// Redirects of one request.
const HOPS: usize = 5;
/// Headers of a request.
const HEADERS: usize = 64;
/// Headers that are about one connection (RFC 9110, section 7.6.1), or that the client of this file sets by itself. Answers
/// are wanted as they are: nobody here would unpack them.
const DROPPED: [&str; 13] = [
    "accept-encoding",
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What is sent.
pub(crate) struct Outgoing {
    pub(crate) url: Url,
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<String>,
    pub(crate) within: Duration,
}

/// What came back.
pub(crate) struct Returned {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    /// Its place in memory, until it is dropped.
    _room: Vec<OwnedSemaphorePermit>,
}

/// Why nothing came back. `Display` is for whoever asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    /// The key may not go there.
    #[error("Not allowed: {0}")]
    NotAllowed(String),
    /// It may, and it did not work.
    #[error("{0}")]
    Upstream(String),
}

/// The way to other servers. Cheap to clone.
#[derive(Clone)]
pub struct Outbound {
    inner: Arc<Inner>,
}

struct Inner {
    names: Arc<dyn Names>,
    /// For the internet, networks, and what is named.
    pools: [OnceLock<Result<Pool, String>>; 3],
    room: Arc<Semaphore>,
}

impl Default for Outbound {
    fn default() -> Self {
        Self::with(System)
    }
}

impl std::fmt::Debug for Outbound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Outbound")
    }
}

/// An address that a name led to, and that may not be called.
#[derive(Debug, thiserror::Error)]
#[error("{0} is not on the internet")]
struct Inside(IpAddr);

impl Outbound {
    /// With these names.
    pub fn with(names: impl Names) -> Self {
        let room = Arc::new(Semaphore::new(IN_ALL / STEP));
        Self { inner: Arc::new(Inner { names: Arc::new(names), pools: Default::default(), room }) }
    }

    /// Sends a request, and follows where it is sent on, as far as `may` says.
    pub(crate) async fn send(
        &self,
        clock: &dyn Clock,
        mut out: Outgoing,
        may: impl Fn(&Method, &Url) -> Option<Leave>,
    ) -> Result<Returned, Failed> {
        let within = out.within;
        let work = async {
            for _ in 0..=HOPS {
                let leave = may(&out.method, &out.url).ok_or_else(|| Failed::NotAllowed(shown(&out.method, &out.url)))?;
                let response = self.once(&out, leave).await?;
                match next(&out, &response) {
                    Some(next) => out = next,
                    None => return self.read(response).await,
                }
            }
            Err(Failed::Upstream(format!("more than {HOPS} redirects")))
        };
        let late = Failed::Upstream(format!("no answer within {} s", within.as_secs_f32().ceil()));
        tokio::select! {
            biased;
            returned = work => returned,
            () = clock.sleep_until(clock.now().mono.plus(within)) => Err(late),
        }
    }

    async fn once(&self, out: &Outgoing, leave: Leave) -> Result<Response<Incoming>, Failed> {
        let mut request = Request::new(out.body.clone().map(Full::from).unwrap_or_default());
        *request.uri_mut() = uri(&out.url)?;
        *request.method_mut() = out.method.clone();
        *request.headers_mut() = out.headers.clone();
        let headers = request.headers_mut();
        headers.entry(header::USER_AGENT).or_insert(HeaderValue::from_static(concat!("doorward/", env!("CARGO_PKG_VERSION"))));
        headers.entry(header::ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        self.pool(leave)?.request(request).await.map_err(|error| failed(error.is_connect(), &error))
    }

    async fn read(&self, response: Response<Incoming>) -> Result<Returned, Failed> {
        let (mut body, mut room) = (Vec::new(), Vec::new());
        let (status, mut incoming) = (response.status().as_u16(), response.into_body());
        while let Some(frame) = incoming.frame().await {
            let Ok(chunk) = frame.map_err(|error| failed(false, &error))?.into_data() else { continue };
            if body.len() + chunk.len() > MOST {
                return Err(Failed::Upstream(format!("the answer is longer than {} MiB", MOST >> 20)));
            }
            let steps = (body.len() + chunk.len()).div_ceil(STEP) - body.len().div_ceil(STEP);
            if steps > 0 {
                let steps = u32::try_from(steps).unwrap_or(u32::MAX);
                let permit = Arc::clone(&self.inner.room).try_acquire_many_owned(steps);
                room.push(permit.map_err(|_| Failed::Upstream("too many large answers at once; try again".into()))?);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Returned { status, body, _room: room })
    }

    fn pool(&self, leave: Leave) -> Result<&Pool, Failed> {
        let [internet, network, named] = &self.inner.pools;
        let slot = match leave {
            Leave::Internet => internet,
            Leave::Network => network,
            Leave::Named => named,
        };
        let look_up = || Checked::new(Arc::clone(&self.inner.names), move |address| check(leave, address));
        slot.get_or_init(|| pool(look_up())).as_ref().map_err(|error| Failed::Upstream(error.clone()))
    }
}

/// The address as it is asked for: without its fragment, which is the reader's own.
fn uri(url: &Url) -> Result<Uri, Failed> {
    let text = url.as_str().split('#').next().unwrap_or_default();
    text.parse().map_err(|_| Failed::Upstream("the address cannot be sent".into()))
}

/// Whether an address that a name led to may be called.
fn check(leave: Leave, address: IpAddr) -> Result<(), Refusal> {
    match (leave, reach(address)) {
        (Leave::Named, _) | (Leave::Network, Reach::Private | Reach::Public) | (Leave::Internet, Reach::Public) => Ok(()),
        (Leave::Network | Leave::Internet, _) => Err(Box::new(Inside(address))),
    }
}

/// Where an answer sends the request on to. As browsers do, what was posted is asked for after 301, 302 and 303, and
/// credentials stay behind when the server changes.
fn next(out: &Outgoing, response: &Response<Incoming>) -> Option<Outgoing> {
    let status = response.status();
    let keeps = matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
    if !keeps && !matches!(status, StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND | StatusCode::SEE_OTHER) {
        return None;
    }
    let url = out.url.join(response.headers().get(header::LOCATION)?.to_str().ok()?).ok()?;
    let mut headers = out.headers.clone();
    if url.origin() != out.url.origin() {
        for name in [header::AUTHORIZATION, header::COOKIE, header::PROXY_AUTHORIZATION] {
            headers.remove(name);
        }
    }
    let same = keeps || matches!(out.method, Method::GET | Method::HEAD);
    if !same {
        headers.remove(header::CONTENT_TYPE);
    }
    let (method, body) = if same { (out.method.clone(), out.body.clone()) } else { (Method::GET, None) };
    Some(Outgoing { url, method, headers, body, within: out.within })
}

/// Headers that a client asks for, without those that are about a connection.
pub(crate) fn headers(wished: &BTreeMap<String, String>) -> Result<HeaderMap, String> {
    if wished.len() > HEADERS {
        return Err(format!("A request has at most {HEADERS} headers"));
    }
    let named: Vec<String> = wished
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("connection"))
        .flat_map(|(_, value)| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let mut headers = HeaderMap::new();
    for (name, value) in wished {
        let wrong = || format!("“{name}” is no header");
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
        if DROPPED.contains(&name.as_str()) || named.iter().any(|named| named == name.as_str()) {
            continue;
        }
        headers.insert(name.clone(), HeaderValue::from_str(value).map_err(|_| wrong())?);
    }
    Ok(headers)
}

/// A request without what may be secret in it.
pub(crate) fn shown(method: &Method, url: &Url) -> String {
    format!("{method} {}{}", url.origin().ascii_serialization(), url.path())
}

/// What is wrong. The address is left out: it may hold a secret in its query.
fn failed(is_connect: bool, error: &(dyn Error + 'static)) -> Failed {
    let mut last = None;
    let mut next = error.source();
    while let Some(cause) = next {
        if let Some(Inside(address)) = cause.downcast_ref() {
            return Failed::NotAllowed(format!("{address} is on this machine or in a private network"));
        }
        if let Some(late) = cause.downcast_ref::<Late>() {
            return Failed::Upstream(late.to_string());
        }
        next = cause.source();
        last = Some(cause);
    }
    let what = if is_connect { "no connection" } else { "the connection broke" };
    Failed::Upstream(last.map_or_else(|| what.to_owned(), |cause| format!("{what}: {cause}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hop_by_hop_headers_are_dropped() {
        let wished = [
            ("Connection", "close, X-Mine"),
            ("x-mine", "1"),
            ("Transfer-Encoding", "chunked"),
            ("content-length", "5"),
            ("HOST", "evil.example"),
            ("TE", "trailers"),
            ("Upgrade", "websocket"),
            ("Proxy-Authorization", "Basic x"),
            ("Authorization", "Bearer x"),
        ];
        let wished = wished.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let headers = headers(&wished).unwrap();
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["authorization"]);
    }

    #[test]
    fn a_header_does_not_smuggle_another_one() {
        for (name, value) in [("x", "1\r\nHost: evil"), ("x\r\nhost", "1"), ("x y", "1"), ("", "1"), ("x", "a\0b")] {
            headers(&BTreeMap::from([(name.to_owned(), value.to_owned())])).unwrap_err();
        }
        headers(&(0..=HEADERS).map(|number| (format!("x-{number}"), String::new())).collect()).unwrap_err();
    }

    #[test]
    fn a_name_leads_no_further_than_its_entry() {
        let may = |leave, address: &str| check(leave, address.parse().unwrap()).is_ok();
        for (leave, public, private, loopback, metadata) in [
            (Leave::Internet, true, false, false, false),
            (Leave::Network, true, true, false, false),
            (Leave::Named, true, true, true, true),
        ] {
            assert_eq!(may(leave, "8.8.8.8"), public);
            assert_eq!((may(leave, "192.168.1.2"), may(leave, "fd00::1")), (private, private));
            assert_eq!((may(leave, "127.0.0.1"), may(leave, "::ffff:127.0.0.1"), may(leave, "0.0.0.0")), (loopback, loopback, loopback));
            assert_eq!((may(leave, "169.254.169.254"), may(leave, "fd00:ec2::254")), (metadata, metadata));
        }
    }
}
