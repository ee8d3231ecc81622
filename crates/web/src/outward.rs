//! What doorward sends to servers of others, and where it never does.
//!
//! Somebody types an address, and doorward calls it from inside the house's network. It must not become a way to what
//! only this machine can reach: its own services, the router's page, the metadata service of a cloud.
//!
//! 1. [`Target::parse`] takes an address or says what is wrong with it. An address of numbers is checked there.
//! 2. Names are looked up here, for each request anew. Every address of a name is checked, and the connection goes to
//!    one of those: what a name points to a moment later (DNS rebinding) does not matter.
//! 3. Redirects are not followed, proxies of the environment are not used, TLS is verified against Mozilla's roots, and
//!    of an answer only its beginning is read.

use axum::http::{HeaderMap, header::RETRY_AFTER};
use doorward_core::Mono;
use doorward_engine::Clock;
pub use doorward_http::destination::Names;
use doorward_http::destination::{self, Checked, Reach, System, reach};
use doorward_wire::Time;
use reqwest::{Certificate, Client, Response, Url, redirect, retry};
use std::{
    error::Error,
    net::IpAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

/// How long a connection may take to stand, its name being looked up included.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a request may take from its beginning to the last byte of its answer that is read.
pub(crate) const WHOLE: Duration = Duration::from_secs(15);
/// Bytes of an answer that are read.
const ANSWER: usize = 16 << 10;
/// Bytes of an address.
const LONGEST: usize = 2048;
/// The longest wait that a server is believed to mean.
const LONGEST_WAIT: Duration = Duration::from_hours(24);

/// Why something is not sent to an address. `Display` is for whoever typed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Not an address at all, or too long.
    #[error("must look like https://example.org/hook, and have at most 2048 bytes")]
    NotAnAddress,
    /// Neither https nor, where that is allowed, http.
    #[error("must begin with https://; http:// is for private networks, and only where private targets are allowed")]
    Scheme,
    /// Credentials in it would be shown wherever it is.
    #[error("must not hold a user name or a password")]
    UserInfo,
    /// Only this machine or its network reaches it.
    #[error("{0} is on this machine or in a private network; allow private targets if that is meant")]
    Private(IpAddr),
    /// It is nobody's from outside, and on a cloud's machine it gives out keys.
    #[error("{0} is link-local or a cloud's own; such an address is called only where it is written itself")]
    LinkLocal(IpAddr),
    /// Whoever is on the way could read along.
    #[error("{0} is not in a private network, so it must be called by https://")]
    Readable(IpAddr),
}

/// What may be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// https, on the internet.
    Public,
    /// https, on the internet and in private networks.
    Anywhere,
    /// http, in private networks.
    Plain,
}

impl Way {
    const ALL: [Self; 3] = [Self::Public, Self::Anywhere, Self::Plain];

    /// Whether this address may be called; `written` when it stands in the target itself.
    fn check(self, address: IpAddr, written: bool) -> Result<(), TargetError> {
        match (reach(address), self) {
            (Reach::Public, Self::Public | Self::Anywhere) | (Reach::Private | Reach::Loopback, Self::Anywhere | Self::Plain) => Ok(()),
            (Reach::Public, Self::Plain) => Err(TargetError::Readable(address)),
            (Reach::Private | Reach::Loopback | Reach::LinkLocal, Self::Public) => Err(TargetError::Private(address)),
            (Reach::LinkLocal, Self::Anywhere | Self::Plain) if written && destination::within(address).is_none() => Ok(()),
            (Reach::LinkLocal, Self::Anywhere | Self::Plain) => Err(TargetError::LinkLocal(address)),
        }
    }
}

/// An address of somebody else's server, checked as far as it says by itself where it leads.
#[derive(Debug, Clone)]
pub struct Target {
    url: Url,
    way: Way,
}

impl Target {
    /// Reads an address.
    pub fn parse(text: &str, allow_private: bool) -> Result<Self, TargetError> {
        let url = Url::parse(text).ok().filter(|url| url.as_str().len() <= LONGEST).ok_or(TargetError::NotAnAddress)?;
        let way = match (url.scheme(), allow_private) {
            ("https", false) => Way::Public,
            ("https", true) => Way::Anywhere,
            ("http", true) => Way::Plain,
            _ => return Err(TargetError::Scheme),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(TargetError::UserInfo);
        }
        // Whatever way of writing numbers somebody chose, `Url` has brought them to one form, and hyper reads that form.
        let host = url.host_str().ok_or(TargetError::NotAnAddress)?;
        if let Ok(address) = host.trim_start_matches('[').trim_end_matches(']').parse() {
            way.check(address, true)?;
        }
        Ok(Self { url, way })
    }

    /// The address in its one form: ASCII alone, without anything that a terminal would follow.
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }

    /// The path, beginning with a slash.
    pub fn path(&self) -> &str {
        self.url.path()
    }

    /// Scheme, host and port.
    pub(crate) fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// The host, which may be told to others; the rest of an address may be a secret.
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }
}

/// What a server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The HTTP status.
    pub status: u16,
    /// How long it asks to be left alone.
    pub retry_after: Option<Duration>,
    /// The beginning of its answer, unless that was a success.
    pub body: Vec<u8>,
}

/// Why nothing was said. `Display` is for whoever typed the address; it does not hold the address itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsaid {
    /// It may not be called.
    #[error(transparent)]
    Refused(#[from] TargetError),
    /// The connection did not come about, or broke.
    #[error("{0}")]
    Lost(String),
}

/// The way out. Cheap to clone.
#[derive(Clone)]
pub struct Outward {
    inner: Arc<Inner>,
}

struct Inner {
    names: Arc<dyn Names>,
    authorities: Vec<Certificate>,
    /// One for each way, made when it is first needed: a house that calls nobody pays for none.
    clients: [OnceLock<Result<Client, String>>; 3],
}

impl Default for Outward {
    fn default() -> Self {
        Self::with(System, Vec::new())
    }
}

impl Outward {
    /// With these names, and with authorities beside Mozilla's.
    pub fn with(names: impl Names, authorities: Vec<Certificate>) -> Self {
        Self { inner: Arc::new(Inner { names: Arc::new(names), authorities, clients: Default::default() }) }
    }

    /// With authorities beside Mozilla's.
    pub fn trusting(authorities: Vec<Certificate>) -> Self {
        Self::with(System, authorities)
    }

    /// Posts a body, and waits 15 seconds of this clock at most.
    pub async fn post(&self, clock: &dyn Clock, target: &Target, headers: HeaderMap, body: Vec<u8>) -> Result<Said, Unsaid> {
        let end = clock.now().mono.plus(WHOLE);
        let request = self.client(target.way)?.post(target.url.clone()).headers(headers).body(body).send();
        let Some(answer) = until(clock, end, request).await else {
            return Err(Unsaid::Lost(format!("no answer within {} s", WHOLE.as_secs())));
        };
        let mut response = answer.map_err(|error| unsaid(&error))?;
        let (status, success) = (response.status().as_u16(), response.status().is_success());
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| wait(value.to_str().ok()?, clock.now().utc));
        let mut body = Vec::new();
        if !success {
            // An answer that does not end changes nothing about its status.
            let _ = until(clock, end, read(&mut response, &mut body)).await;
        }
        Ok(Said { status, retry_after, body })
    }

    fn client(&self, way: Way) -> Result<&Client, Unsaid> {
        let slot = Way::ALL.iter().zip(&self.inner.clients).find_map(|(own, slot)| (*own == way).then_some(slot));
        let client = slot.map(|slot| slot.get_or_init(|| self.build(way)));
        match client {
            Some(Ok(client)) => Ok(client),
            Some(Err(error)) => Err(Unsaid::Lost(error.clone())),
            None => Err(Unsaid::Lost("nobody is called this way".into())),
        }
    }

    fn build(&self, way: Way) -> Result<Client, String> {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err("this program was started without cryptography".into());
        }
        let builder = Client::builder()
            .dns_resolver(Arc::new(Checked::new(Arc::clone(&self.inner.names), move |address| Ok(way.check(address, false)?))))
            .redirect(redirect::Policy::none())
            // Whoever sends decides what is repeated.
            .retry(retry::never())
            .connect_timeout(CONNECT)
            // Each request has a connection of its own: where its name leads is looked up each time, and no server hangs
            // up just when one that was kept is used.
            .pool_max_idle_per_host(0)
            .no_proxy()
            .https_only(way != Way::Plain)
            .user_agent(concat!("doorward/", env!("CARGO_PKG_VERSION")));
        let builder = self.inner.authorities.iter().cloned().fold(builder, reqwest::ClientBuilder::add_root_certificate);
        builder.build().map_err(|error| format!("no HTTP client: {error}"))
    }
}

impl std::fmt::Debug for Outward {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Outward")
    }
}

/// Does something until this time at most.
pub(crate) async fn until<T>(clock: &dyn Clock, end: Mono, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        done = work => Some(done),
        () = clock.sleep_until(end) => None,
    }
}

/// Reads the beginning of an answer.
async fn read(response: &mut Response, body: &mut Vec<u8>) {
    while let Ok(Some(chunk)) = response.chunk().await {
        let left = ANSWER - body.len();
        body.extend_from_slice(chunk.get(..left).unwrap_or(&chunk));
        if body.len() >= ANSWER {
            return;
        }
    }
}

/// `Retry-After`: seconds or a date (RFC 9110, section 10.2.3).
fn wait(value: &str, now: Time) -> Option<Duration> {
    let wait = match value.trim().parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => Time::from(jiff::fmt::rfc2822::parse(value.trim()).ok()?.timestamp()).since(now),
    };
    Some(wait.min(LONGEST_WAIT))
}

/// The last cause of an error says what happened, the ones before it where.
fn unsaid(error: &reqwest::Error) -> Unsaid {
    let mut last: Option<&dyn Error> = None;
    let mut next = error.source();
    while let Some(cause) = next {
        if let Some(refused) = cause.downcast_ref::<TargetError>() {
            return (*refused).into();
        }
        next = cause.source();
        last = Some(cause);
    }
    let what = match (error.is_connect(), error.is_timeout()) {
        (true, true) => return Unsaid::Lost(format!("no connection within {} s", CONNECT.as_secs())),
        (true, false) => "no connection",
        (false, _) => "the connection broke",
    };
    Unsaid::Lost(last.map_or_else(|| what.to_owned(), |cause| format!("{what}: {cause}")))
}

#[cfg(test)]
mod tests {
    use super::{Target, TargetError, Way, wait};
    use doorward_wire::Time;
    use std::{net::IpAddr, time::Duration};

    #[test]
    fn an_address_is_taken_or_refused_by_what_it_says() {
        let parse = |text: &str, private: bool| Target::parse(text, private).map(|target| target.way);
        assert_eq!(parse("https://hooks.example:8443/in?a=b", false), Ok(Way::Public));
        assert_eq!(parse("https://hooks.example/", true), Ok(Way::Anywhere));
        assert_eq!(parse("http://homeassistant.local:8123/api/webhook/x", true), Ok(Way::Plain));
        assert_eq!(parse("https://8.8.8.8/", false), Ok(Way::Public));
        for text in
            "http://127.0.0.1:1/ https://192.168.1.2/ https://[::1]/ http://[fd12::1]:80/ http://169.254.1.1/ http://[fe80::1]/".split(' ')
        {
            parse(text, true).unwrap_or_else(|error| panic!("{text}: {error}"));
        }
        for text in ["http://hooks.example/", "ftp://hooks.example/", "file:///etc/passwd", "gopher://hooks.example/"] {
            assert_eq!(parse(text, false), Err(TargetError::Scheme), "{text}");
        }
        assert_eq!(parse("ftp://127.0.0.1/", true), Err(TargetError::Scheme));
        for text in ["https://ada@hooks.example/", "https://ada:secret@hooks.example/", "https://:secret@hooks.example/"] {
            assert_eq!(parse(text, true), Err(TargetError::UserInfo), "{text}");
        }
        for text in ["", "hooks.example", "https://", "https:///", "//hooks.example/", "https://hooks example/", "https://[::1/"] {
            assert!(parse(text, true).is_err(), "{text}");
        }
        assert_eq!(parse(&format!("https://hooks.example/{}", "x".repeat(2048)), false), Err(TargetError::NotAnAddress));
        assert_eq!(parse(&format!("https://hooks.example/{}", "ü".repeat(1000)), false), Err(TargetError::NotAnAddress));
        assert_eq!(parse("http://8.8.8.8/", true), Err(TargetError::Readable("8.8.8.8".parse().unwrap())));
    }

    #[test]
    fn numbers_are_seen_through_however_they_are_written() {
        let hidden = "https://127.0.0.1/ https://127.1/ https://2130706433/ https://0x7f.1/ https://0177.0.0.1/ https://127.0.0.1./ \
                      https://[::1]/ https://[::ffff:127.0.0.1]/ https://[::ffff:7f00:1]/ https://%31%32%37.0.0.1/ https://１２７.0.0.1/ \
                      https://0/ https://0.0.0.0/ https://[::]/ https://10.0.0.1/ https://[fd00::1]/ https://[64:ff9b::a00:1]/ \
                      https://169.254.169.254/ https://2852039166/ https://[fe80::1]/ https://[::ffff:169.254.169.254]/";
        for text in hidden.split_whitespace() {
            let error = Target::parse(text, false).map(|target| target.url).unwrap_err();
            assert!(matches!(error, TargetError::Private(_)), "{text}: {error:?}");
        }
        for text in ["https://[::ffff:169.254.169.254]/", "http://[64:ff9b::a9fe:a9fe]/", "https://[2002:a9fe:a9fe::1]/"] {
            let error = Target::parse(text, true).map(|target| target.url).unwrap_err();
            assert!(matches!(error, TargetError::LinkLocal(_)), "{text} is not written as what it is: {error:?}");
        }
    }

    #[test]
    fn a_name_never_leads_to_a_link_local_address() {
        let metadata: IpAddr = "169.254.169.254".parse().unwrap();
        assert_eq!(Way::Public.check(metadata, false), Err(TargetError::Private(metadata)));
        for way in [Way::Anywhere, Way::Plain] {
            assert_eq!(way.check(metadata, false), Err(TargetError::LinkLocal(metadata)));
            assert_eq!(way.check(metadata, true), Ok(()));
        }
    }

    #[test]
    fn a_wait_is_read_as_seconds_and_as_a_date() {
        let now: Time = "2026-11-23T12:00:00Z".parse().unwrap();
        assert_eq!(wait("120", now), Some(Duration::from_mins(2)));
        assert_eq!(wait(" Mon, 23 Nov 2026 12:05:00 GMT ", now), Some(Duration::from_mins(5)));
        assert_eq!(wait("Mon, 23 Nov 2026 11:00:00 GMT", now), Some(Duration::ZERO), "it is past");
        assert_eq!(wait("99999999999", now), Some(Duration::from_hours(24)));
        assert_eq!((wait("soon", now), wait("-1", now), wait("", now)), (None, None, None));
    }
}
