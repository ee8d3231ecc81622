//! Where clients come in: plain, TLS, and either of them by WebSocket.
//!
//! The library has listeners of its own; these stand in their place because they wait for one slow handshake after the
//! other, take any number of connections that never say who they are, and put no bound on a WebSocket message.

use super::{BrokerError, PACKET, gate::Gate};
use mqtt5::broker::{
    BrokerConfig, client_handler::ClientHandler, resource_monitor::ResourceMonitor, router::MessageRouter, storage::DynamicStorage,
    sys_topics::BrokerStats, tls_acceptor::TlsStreamWrapper, transport::BrokerTransport, websocket_server::WebSocketStreamWrapper,
};
use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::broadcast,
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::{
    accept_hdr_async_with_config,
    tungstenite::{
        handshake::server::{ErrorResponse, Request, Response},
        http::{HeaderValue, StatusCode, header::SEC_WEBSOCKET_PROTOCOL},
        protocol::WebSocketConfig,
    },
};

/// How long TLS and the upgrade to a WebSocket may take. The library waits as long for the CONNECT after it.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Connections that have not said who they are.
const WAITING: usize = 512;
/// Of one address.
const WAITING_OF_ONE: usize = 64;
/// The path of WebSockets.
const PATH: &str = "/mqtt";
/// Their subprotocol (MQTT 5.0, section 6).
const PROTOCOL: &str = "mqtt";

/// How a listener is spoken with.
#[derive(Clone)]
pub(super) struct Way {
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) websocket: bool,
}

/// All that a connection needs of the broker.
pub(super) struct Entrance {
    pub(super) config: Arc<BrokerConfig>,
    pub(super) router: Arc<MessageRouter>,
    pub(super) gate: Arc<Gate>,
    pub(super) storage: Option<Arc<DynamicStorage>>,
    pub(super) stats: Arc<BrokerStats>,
    pub(super) resources: Arc<ResourceMonitor>,
    pub(super) waiting: Arc<Waiting>,
    pub(super) stop: broadcast::Sender<()>,
}

impl Entrance {
    /// Opens a listener, and says where it is.
    pub(super) async fn open(self: &Arc<Self>, address: SocketAddr, way: Way) -> Result<(SocketAddr, JoinHandle<()>), BrokerError> {
        let listener = TcpListener::bind(address).await.map_err(|error| BrokerError(format!("{address}: {error}")))?;
        let address = listener.local_addr().map_err(|error| BrokerError(format!("{address}: {error}")))?;
        let stop = self.stop.subscribe();
        Ok((address, tokio::spawn(Arc::clone(self).accept(listener, way, stop))))
    }

    async fn accept(self: Arc<Self>, listener: TcpListener, way: Way, mut stop: broadcast::Receiver<()>) {
        let mut connections = tokio::task::JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        let allowed = self.resources.can_accept_connection(peer.ip()).await && self.waiting.came(peer);
                        if allowed {
                            connections.spawn(Arc::clone(&self).serve(stream, peer, way.clone()));
                        } else {
                            metrics::counter!("doorward_mqtt_refused_total", "what" => "connection").increment(1);
                        }
                    }
                    // Out of file descriptors: those who are here go on, and others come in when some have gone.
                    Err(error) => {
                        tracing::warn!(%error, "no MQTT connection can be accepted");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
                Some(_) = connections.join_next() => {}
                _ = stop.recv() => break,
            }
        }
        // Each of them was told to stop too.
        while connections.join_next().await.is_some() {}
    }

    async fn serve(self: Arc<Self>, stream: TcpStream, peer: SocketAddr, way: Way) {
        let _leaves = Leaves(&self, peer);
        let mut stop = self.stop.subscribe();
        let _ = stream.set_nodelay(true);
        let transport = tokio::select! {
            transport = tokio::time::timeout(HANDSHAKE, transport(stream, way)) => transport.unwrap_or_else(|_| Err("it took too long".into())),
            _ = stop.recv() => Err("stopping".into()),
        };
        match transport {
            Ok(transport) => {
                let handler = ClientHandler::new(
                    transport,
                    peer,
                    Arc::clone(&self.config),
                    Arc::clone(&self.router),
                    Arc::clone(&self.gate) as _,
                    self.storage.clone(),
                    Arc::clone(&self.stats),
                    Arc::clone(&self.resources),
                    stop,
                );
                if let Err(error) = handler.run().await {
                    tracing::debug!(%peer, %error, "an MQTT connection ended");
                }
            }
            Err(error) => {
                metrics::counter!("doorward_mqtt_refused_total", "what" => "handshake").increment(1);
                tracing::debug!(%peer, error, "an MQTT connection did not come to stand");
            }
        }
    }
}

/// A connection that ends, however it does, leaves nothing behind.
struct Leaves<'a>(&'a Entrance, SocketAddr);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.0.waiting.said_who(self.1);
        self.0.gate.roster.left(self.1);
    }
}

/// Makes a transport of a connection.
async fn transport(stream: TcpStream, way: Way) -> Result<BrokerTransport, String> {
    match (way.tls, way.websocket) {
        (None, false) => Ok(BrokerTransport::tcp(stream)),
        (None, true) => websocket(stream).await,
        (Some(tls), websocket_too) => {
            let stream = tls.accept(stream).await.map_err(|error| error.to_string())?;
            if websocket_too { websocket(stream).await } else { Ok(BrokerTransport::tls(TlsStreamWrapper::new(stream))) }
        }
    }
}

async fn websocket<S>(stream: S) -> Result<BrokerTransport, String>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Sync + Unpin + 'static,
{
    let limits = WebSocketConfig::default().max_message_size(Some(PACKET)).max_frame_size(Some(PACKET));
    let stream = accept_hdr_async_with_config(stream, upgrade, Some(limits)).await.map_err(|error| error.to_string())?;
    Ok(BrokerTransport::websocket(WebSocketStreamWrapper::new(stream)))
}

#[expect(clippy::result_large_err, reason = "the library's type")]
fn upgrade(request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    let refuse = |status| {
        let mut refusal = ErrorResponse::new(None);
        *refusal.status_mut() = status;
        Err(refusal)
    };
    if request.uri().path() != PATH {
        return refuse(StatusCode::NOT_FOUND);
    }
    let offered = request.headers().get_all(SEC_WEBSOCKET_PROTOCOL);
    let mut offered = offered.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    if !offered.any(|protocol| protocol.trim() == PROTOCOL) {
        return refuse(StatusCode::BAD_REQUEST);
    }
    response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL));
    Ok(response)
}

/// Connections that have not said who they are, by where they come from.
#[derive(Default)]
pub(super) struct Waiting(Mutex<HashMap<IpAddr, Vec<u16>>>);

impl Waiting {
    /// Notes a new connection; `false` when too many wait already.
    fn came(&self, peer: SocketAddr) -> bool {
        let mut waiting = self.lock();
        let all: usize = waiting.values().map(Vec::len).sum();
        let own = waiting.entry(peer.ip()).or_default();
        if all >= WAITING || own.len() >= WAITING_OF_ONE {
            if own.is_empty() {
                waiting.remove(&peer.ip());
            }
            return false;
        }
        own.push(peer.port());
        true
    }

    /// It has said who it is, or is gone.
    pub(super) fn said_who(&self, peer: SocketAddr) {
        let mut waiting = self.lock();
        if let Some(own) = waiting.get_mut(&peer.ip()) {
            own.retain(|port| *port != peer.port());
            if own.is_empty() {
                waiting.remove(&peer.ip());
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, Vec<u16>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_keeps_others_out_by_waiting() {
        let waiting = Waiting::default();
        let peer = |host: u8, port| SocketAddr::from(([10, 0, 0, host], port));
        let of_one = (0..1000).filter(|port| waiting.came(peer(1, *port))).count();
        assert_eq!(of_one, WAITING_OF_ONE);
        assert!(waiting.came(peer(2, 1)), "another address comes in");
        waiting.said_who(peer(1, 0));
        assert!(waiting.came(peer(1, 5000)), "as soon as one has said who it is");
        let all = (3..40).flat_map(|host| (0..64).map(move |port| (host, port))).filter(|(host, port)| waiting.came(peer(*host, *port)));
        assert_eq!(all.count(), WAITING - WAITING_OF_ONE - 1);
    }
}
