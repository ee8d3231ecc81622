//! The login proxy: the vendor's sign-in page at an address of this machine.
//!
//! The sign-in ends at a custom scheme of the vendor's app, where no browser can go. So the browser is shown the vendor's
//! page by way of this machine, and the proxy takes the one redirect that leads back to the app.
//!
//! 1. [`Proxy::start`] listens on loopback, on the wanted port or one that is free, and gives an address
//!    ([`Proxy::url`]) for a browser on this machine.
//! 2. What lies below the vendor's tenant is passed on (`relay`); whatever names a host goes by the other's name
//!    (`headers`). Everything else is answered here (`pages`).
//! 3. A redirect to the app with the state of this sign-in ends it: [`Proxy::callback`] gives the whole address, which is
//!    what the step `exchange` takes.
//!
//! **It lives for one sign-in**: until the first right redirect, for the time that it was given, or until it is dropped.
//! It verifies the vendor's certificate, keeps nothing, and follows no redirect. Bodies pass as they are: the vendor's pages
//! name what they send to by paths, and by the vendor's own address only what anybody may fetch there (scripts, styles).
//! Sign-ins with another directory (Facebook and the like) end at the vendor's own address, and need the pasted way.

mod headers;
mod pages;
mod relay;

use doorward_core::{Secret, driver::Mistake};
use doorward_http::{Trust, is_loopback};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use relay::Relay;
use reqwest::Url;
use std::{
    convert::Infallible,
    fmt, io,
    net::{Ipv4Addr, Ipv6Addr},
    sync::Arc,
    task::Poll,
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, oneshot, watch},
    task::{JoinHandle, JoinSet},
    time::{sleep, timeout},
};

/// The port that is tried first, as the original does.
pub const PORT: u16 = 8080;
/// How long a person has to sign in.
pub const LIFE: Duration = Duration::from_mins(3);
/// Ports that are tried after the wanted one, before any free one is taken.
const NEXT: u16 = 20;
/// Connections at a time, each of which has one request at a time.
const CONNECTIONS: usize = 64;
/// Header lines of a request, at most.
const HEADERS: usize = 64;
/// Bytes of a request's head, at most. A browser sends the cookies of everything that runs on this machine.
const HEAD: usize = 64 << 10;
/// How long a request's head may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long answers that are under way may take when the sign-in is over.
const GRACE: Duration = Duration::from_secs(2);

/// Where the sign-in ended.
#[derive(Debug)]
pub struct Callback {
    /// The whole address of the redirect to the app, with code and state.
    pub url: Secret<String>,
}

/// Why nobody was signed in.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The address of the sign-in is not one that can be proxied.
    #[error("this is not the address of a sign-in: {0}")]
    SignIn(&'static str),
    /// The vendor's server cannot be spoken to with these settings.
    #[error("{} {}", .0.key, .0.hint)]
    Server(Mistake),
    /// No port of this machine can be listened on.
    #[error("no port of this machine can be listened on: {0}")]
    Listen(io::Error),
    /// The person cancelled.
    #[error("the sign-in was cancelled in the browser")]
    Denied,
    /// The vendor ended the sign-in, with this word (OAuth 2.0, RFC 6749 section 4.1.2.1).
    #[error("the vendor ended the sign-in ({0})")]
    Failed(String),
    /// Nobody signed in while the proxy lived.
    #[error("nobody signed in in time")]
    TimedOut,
    /// The program stopped meanwhile.
    #[error("the sign-in was interrupted")]
    Interrupted,
}

/// What a sign-in ends with.
type Outcome = Result<Callback, ProxyError>;

/// A pending sign-in. Dropping it ends it.
pub struct Proxy {
    url: Url,
    work: JoinHandle<Outcome>,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").field("port", &self.url.port_or_known_default()).finish_non_exhaustive()
    }
}

impl Proxy {
    /// Begins to listen for `life`. `sign_in` is the vendor's whole authorize address; `port` is only a wish.
    pub async fn start(sign_in: &Url, trust: &Trust, port: u16, life: Duration) -> Result<Self, ProxyError> {
        let parsed = SignIn::parse(sign_in)?;
        let http = doorward_http::client(&parsed.upstream, trust).map_err(ProxyError::Server)?;
        let (listeners, port) = listen(port).await.map_err(ProxyError::Listen)?;
        let mut url = sign_in.clone();
        url.set_fragment(None);
        let local = url.set_scheme("http").and_then(|()| url.set_port(Some(port)));
        if local.is_err() || url.set_host(Some("localhost")).is_err() {
            return Err(ProxyError::SignIn("it has no host"));
        }
        let (sender, taken) = oneshot::channel();
        let relay = Arc::new(Relay::new(parsed, http, port, sender));
        Ok(Self { url, work: tokio::spawn(run(listeners, relay, taken, life)) })
    }

    /// Where a browser on this machine begins. It holds the sign-in's state: it is for one person.
    pub const fn url(&self) -> &Url {
        &self.url
    }

    /// Waits for the end of the sign-in. When this returns, nothing listens any more.
    pub async fn callback(mut self) -> Result<Callback, ProxyError> {
        (&mut self.work).await.unwrap_or(Err(ProxyError::Interrupted))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.work.abort();
    }
}

/// What the address of a sign-in says.
struct SignIn {
    /// The vendor's server, with the path `/`.
    upstream: Url,
    /// Its origin.
    origin: String,
    /// The first segment of the path, within its slashes.
    tenant: String,
    /// Where the sign-in ends.
    redirect: Url,
    /// What makes this sign-in this one.
    state: Secret<String>,
}

impl SignIn {
    fn parse(url: &Url) -> Result<Self, ProxyError> {
        let wrong = ProxyError::SignIn;
        match url.scheme() {
            "https" => {}
            // Simulators.
            "http" if is_loopback(url) => {}
            _ => return Err(wrong("it does not begin with https://")),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("it holds a user name"));
        }
        let tenant = url.path_segments().and_then(|mut segments| segments.next()).filter(|tenant| !tenant.is_empty());
        let tenant = tenant.map(|tenant| format!("/{tenant}/")).ok_or(wrong("it names no tenant"))?;
        let redirect = parameter(url, "redirect_uri").and_then(|uri| Url::parse(&uri).ok()).ok_or(wrong("it has no redirect_uri"))?;
        if !is_an_apps(&redirect) || redirect.host_str().is_none() {
            return Err(wrong("its redirect_uri is not one of an app"));
        }
        let state = parameter(url, "state").filter(|state| !state.is_empty()).ok_or(wrong("it has no state"))?;
        let mut upstream = url.clone();
        upstream.set_path("/");
        upstream.set_query(None);
        upstream.set_fragment(None);
        let origin = upstream.origin().ascii_serialization();
        Ok(Self { upstream, origin, tenant, redirect, state: Secret::new(state) })
    }
}

/// Whether a sign-in that ends there needs a proxy: only an app can open such an address.
pub fn is_an_apps(redirect: &Url) -> bool {
    !matches!(redirect.scheme(), "http" | "https")
}

/// A parameter of a query that is there once.
fn parameter(url: &Url, name: &str) -> Option<String> {
    let mut values = url.query_pairs().filter(|(known, _)| known == name).map(|(_, value)| value.into_owned());
    values.next().filter(|_| values.next().is_none())
}

/// Listens on the wanted port or the next free one.
async fn listen(wanted: u16) -> io::Result<(Vec<TcpListener>, u16)> {
    let next = (0..=NEXT).filter_map(|step| wanted.checked_add(step));
    let any = std::iter::repeat_n(0, usize::from(NEXT));
    let mut taken = io::Error::from(io::ErrorKind::AddrInUse);
    for port in next.chain(any) {
        match both(port).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => taken = error,
            other => return other,
        }
    }
    Err(taken)
}

/// Both loopback addresses: a browser tries `::1` first for `localhost`, and there must be nobody else.
async fn both(port: u16) -> io::Result<(Vec<TcpListener>, u16)> {
    let first = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let port = first.local_addr()?.port();
    match TcpListener::bind((Ipv6Addr::LOCALHOST, port)).await {
        Ok(second) => Ok((vec![first, second], port)),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(error),
        // A machine without IPv6.
        Err(_) => Ok((vec![first], port)),
    }
}

/// Serves until the sign-in ends, then lets answers that are under way arrive.
async fn run(listeners: Vec<TcpListener>, relay: Arc<Relay>, mut taken: oneshot::Receiver<Outcome>, life: Duration) -> Outcome {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let (stop, stopped) = watch::channel(false);
    let mut connections = JoinSet::new();
    let over = sleep(life);
    tokio::pin!(over);
    let outcome = loop {
        tokio::select! {
            outcome = &mut taken => break outcome.unwrap_or(Err(ProxyError::Interrupted)),
            () = &mut over => break Err(ProxyError::TimedOut),
            accepted = accept(&listeners) => match (accepted, Arc::clone(&places).try_acquire_owned()) {
                (Ok(stream), Ok(place)) => {
                    let (relay, stopped) = (Arc::clone(&relay), stopped.clone());
                    connections.spawn(async move {
                        let _place = place;
                        converse(stream, relay, stopped).await;
                    });
                }
                // One too many hangs up.
                (Ok(_), Err(_)) => {}
                // Out of file descriptors: wait for some to be closed.
                (Err(_), _) => sleep(Duration::from_millis(100)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    };
    drop(listeners);
    let _ = stop.send(true);
    let _ = timeout(GRACE, async { while connections.join_next().await.is_some() {} }).await;
    outcome
}

/// The next connection of any listener.
async fn accept(listeners: &[TcpListener]) -> io::Result<TcpStream> {
    std::future::poll_fn(|context| {
        for listener in listeners {
            if let Poll::Ready(accepted) = listener.poll_accept(context) {
                return Poll::Ready(accepted.map(|(stream, _)| stream));
            }
        }
        Poll::Pending
    })
    .await
}

/// Answers the requests of one connection.
async fn converse(stream: TcpStream, relay: Arc<Relay>, mut stopped: watch::Receiver<bool>) {
    let service = service_fn(move |request| {
        let relay = Arc::clone(&relay);
        async move { Ok::<_, Infallible>(relay.answer(request).await) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(PATIENCE).max_headers(HEADERS).max_buf_size(HEAD);
    let serving = builder.serve_connection(TokioIo::new(stream), service);
    let stop = async move {
        let _ = stopped.wait_for(|stopped| *stopped).await;
    };
    tokio::pin!(serving, stop);
    tokio::select! {
        // Whoever hangs up in the middle is no news.
        _ = serving.as_mut() => {}
        () = &mut stop => {
            serving.as_mut().graceful_shutdown();
            let _ = serving.await;
        }
    }
}
