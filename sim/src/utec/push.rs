//! Telling the client what happened, at the address that it registered.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{Request, Uri, header};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::net::{TcpStream, lookup_host};

use super::answer;
use super::world::World;

/// How long a push may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where pushes go.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Registration {
    pub(crate) access_token: String,
    pub(crate) url: String,
}

/// Why a push did not arrive.
enum Undelivered {
    /// The address is not on this machine: nothing was sent.
    Foreign,
    /// It was tried.
    Failed,
}

/// Sends what is in the queue, one after the other, for ever.
pub(crate) async fn deliver(world: Arc<World>) {
    loop {
        let next = world.look(|state, _| {
            let device = state.queue.pop_front()?;
            let registration = state.registration.clone()?;
            let body = body(state, device);
            let copies = if state.faults.push_duplicate { 2 } else { 1 };
            Some((registration, body, copies))
        });
        let Some((registration, body, copies)) = next else {
            world.pushes.notified().await;
            continue;
        };
        for _ in 0..copies {
            let sent = tokio::time::timeout(PATIENCE, send(&registration, &body)).await;
            let sent = sent.unwrap_or(Err(Undelivered::Failed));
            world.count(|counters| match sent {
                Ok(()) => counters.push_delivered += 1,
                Err(Undelivered::Failed) => counters.push_failed += 1,
                Err(Undelivered::Foreign) => counters.push_refused += 1,
            });
        }
    }
}

fn body(state: &mut super::world::State, device: Value) -> String {
    let header = json!({
        "namespace": "Uhome.Notification",
        "name": "DeviceState",
        "messageId": state.dice.uuid().to_string(),
        "payloadVersion": "1",
    });
    answer::wrapped(vec![device], state.faults.push_shape, &header).to_string()
}

async fn send(registration: &Registration, body: &str) -> Result<(), Undelivered> {
    let uri: Uri = registration.url.parse().map_err(|_| Undelivered::Foreign)?;
    let authority = uri.authority().ok_or(Undelivered::Foreign)?.clone();
    let here = loopback(&uri).await.ok_or(Undelivered::Foreign)?;
    let request = Request::post(uri.path_and_query().map_or("/", |path| path.as_str()))
        .header(header::HOST, authority.as_str())
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::AUTHORIZATION, format!("Bearer {}", registration.access_token))
        .body(Full::new(Bytes::from(body.to_owned())))
        .map_err(|_| Undelivered::Failed)?;
    match post(here, request).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(Undelivered::Failed),
        Err(error) => {
            tracing::debug!(%error, "a push did not arrive");
            Err(Undelivered::Failed)
        }
    }
}

/// The address behind a URL, if it is plain HTTP and on this machine. No other is ever contacted.
async fn loopback(uri: &Uri) -> Option<SocketAddr> {
    if uri.scheme_str() != Some("http") {
        return None;
    }
    let host = uri.host()?.trim_matches(['[', ']']);
    let mut found = lookup_host((host, uri.port_u16().unwrap_or(80))).await.ok()?;
    found.find(|address| address.ip().is_loopback())
}

/// Whether the answer was a success.
async fn post(to: SocketAddr, request: Request<Full<Bytes>>) -> Result<bool, Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(to).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let response = sender.send_request(request).await;
    connection.abort();
    Ok(response?.status().is_success())
}
