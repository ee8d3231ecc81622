//! Listeners that may stand on the internet: plain HTTP behind a proxy that ends TLS, or TLS of their own.
//!
//! Everything has an end: connections in all and from one network, the time for a request's head and for its body, the
//! size of a body, how long what was sent may lie unacknowledged, and how often somebody may try a secret ([`limits`]).
//!
//! It must never know what is asked for.

pub mod limits;

use axum::{
    body::Bytes,
    http::{HeaderMap, HeaderValue, StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use doorward_http::network::{Network, contains, forwarded_for, is_forwarded};
use http_body_util::{BodyExt, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use limits::network;
use rustls::ServerConfig;
use std::{
    collections::HashMap,
    convert::Infallible,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

/// What comes in.
pub type Request = hyper::Request<Incoming>;

/// Bytes that are read ahead, and the most that a head may have.
const READ: usize = 16 << 10;
/// How long what was sent may lie unacknowledged.
const UNACKNOWLEDGED: Duration = Duration::from_mins(1);
/// How long a listener that stops waits for an answer that is under way.
const FAREWELL: Duration = Duration::from_secs(3);

/// What a listener allows.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// Connections at once.
    pub connections: usize,
    /// Of one network, except of proxies and this machine.
    pub from_one: usize,
    /// Proxies whose forwarding headers count.
    pub proxies: Vec<Network>,
    /// How long the head of a request, its body, and a TLS handshake may take each.
    pub patience: Duration,
}

/// Who answers at a listener.
pub trait Answer: Clone + Send + Sync + 'static {
    /// Answers a request.
    fn answer(&self, peer: IpAddr, request: Request) -> impl Future<Output = Response> + Send;

    /// A connection was not taken, since there were too many.
    fn full(&self);
}

/// A listener while it serves.
#[derive(Debug)]
pub struct Listening {
    address: SocketAddr,
    tls: bool,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

impl Listening {
    /// Serves until it is stopped.
    pub fn start(listener: TcpListener, tls: Option<Arc<ServerConfig>>, bounds: Bounds, answer: impl Answer) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let has_tls = tls.is_some();
        let (stop, stopping) = watch::channel(false);
        let serving = tokio::spawn(accept(listener, tls.map(TlsAcceptor::from), bounds, stopping, answer));
        Ok(Self { address, tls: has_tls, stop, serving })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it has TLS of its own.
    pub const fn has_tls(&self) -> bool {
        self.tls
    }

    /// Takes no more connections; those that there are end when their answer is sent.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        let _ = self.serving.await;
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, bounds: Bounds, stopping: watch::Receiver<bool>, answer: impl Answer) {
    let places = Arc::new(Semaphore::new(bounds.connections));
    let networks = Arc::new(Networks::default());
    let mut told = stopping.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = told.wait_for(|stopping| *stopping) => return,
        };
        let Ok((stream, address)) = accepted else {
            // Out of file descriptors: wait for some to be closed.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let peer = address.ip().to_canonical();
        // Proxies and this machine speak for many.
        let many = peer.is_loopback() || contains(&bounds.proxies, peer);
        let (place, network) = (Arc::clone(&places).try_acquire_owned(), networks.enter(peer, many, bounds.from_one));
        let (Ok(place), Some(network)) = (place, network) else {
            answer.full();
            continue;
        };
        let (answer, tls, patience, mut stopping) = (answer.clone(), tls.clone(), bounds.patience, stopping.clone());
        tokio::spawn(async move {
            let _held = (place, network);
            prepare(&stream);
            let stop = async move {
                let _ = stopping.wait_for(|stopping| *stopping).await;
            };
            match tls {
                None => connection(stream, peer, patience, answer, stop).await,
                Some(tls) => {
                    if let Ok(Ok(stream)) = tokio::time::timeout(patience, tls.accept(stream)).await {
                        connection(stream, peer, patience, answer, stop).await;
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

async fn connection<S>(stream: S, peer: IpAddr, patience: Duration, answer: impl Answer, stop: impl Future<Output = ()>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| {
        let answer = answer.clone();
        async move { Ok::<_, Infallible>(answer.answer(peer, request).await) }
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
            let _ = tokio::time::timeout(FAREWELL, serving).await;
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
    fn enter(self: &Arc<Self>, peer: IpAddr, many: bool, most: usize) -> Option<Held> {
        if many {
            return Some(Held { networks: Arc::clone(self), network: None });
        }
        let network = network(peer);
        let mut networks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = networks.entry(network).or_default();
        if *count >= most {
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

/// The whole body, within its bounds.
pub async fn body(request: Request, most: usize, patience: Duration) -> Result<Bytes, StatusCode> {
    let limited = Limited::new(request.into_body(), most).collect();
    match tokio::time::timeout(patience, limited).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(StatusCode::PAYLOAD_TOO_LARGE),
        Ok(Err(_)) => Err(StatusCode::BAD_REQUEST),
        Err(_) => Err(StatusCode::REQUEST_TIMEOUT),
    }
}

/// From where a request came, if anybody knows: a proxy that is not named could say what it likes, and one on this machine
/// stands for the internet.
pub fn source(proxies: &[Network], peer: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
    if contains(proxies, peer) {
        return forwarded_for(headers);
    }
    (!peer.is_loopback() && !is_forwarded(headers)).then_some(peer)
}

/// Too many trials failed from there.
pub fn too_many() -> Response {
    let mut response = StatusCode::TOO_MANY_REQUESTS.into_response();
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("60"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_so_many_connections_and_others_have_theirs() {
        let networks = Arc::new(Networks::default());
        let peer = |host: u8| IpAddr::from([192, 0, 2, host]);
        let held: Vec<Held> = (0..5).filter_map(|_| networks.enter(peer(1), false, 3)).collect();
        assert_eq!(held.len(), 3);
        assert!(networks.enter(peer(2), false, 3).is_some(), "another has its own");
        assert!(networks.enter(peer(1), true, 3).is_some(), "a proxy speaks for many");
        drop(held);
        assert!(networks.enter(peer(1), false, 3).is_some(), "as soon as one has gone");
        assert!(networks.0.lock().unwrap().is_empty(), "nobody is remembered who is not here");
    }

    #[test]
    fn where_a_request_comes_from_is_said_by_named_proxies_alone() {
        let proxies = ["10.0.0.1".parse().unwrap()];
        let (proxy, stranger): (IpAddr, IpAddr) = ([10, 0, 0, 1].into(), [192, 0, 2, 1].into());
        let mut headers = HeaderMap::new();
        assert_eq!(source(&proxies, stranger, &headers), Some(stranger));
        assert_eq!(source(&proxies, [127, 0, 0, 1].into(), &headers), None, "whoever speaks from here may stand for the internet");
        headers.insert("x-forwarded-for", HeaderValue::from_static("192.0.2.7"));
        assert_eq!(source(&proxies, stranger, &headers), None);
        assert_eq!(source(&proxies, proxy, &headers), Some([192, 0, 2, 7].into()));
    }
}
