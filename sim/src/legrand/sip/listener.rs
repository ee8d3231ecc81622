//! Taking connections, and everything that can go wrong before the first request.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::server::TlsStream;

use super::exchange::Peer;
use super::line;
use super::tls::Tls;
use crate::legrand::enrol::fingerprint;
use crate::legrand::faults::{Dead, On};
use crate::legrand::passage::{Mishap, Plan};
use crate::legrand::world::World;

/// How long to wait when no connection can be accepted (out of file descriptors).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long a handshake may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Serves until it is dropped; all connections end with it.
pub(crate) async fn serve(world: Arc<World>, listener: TcpListener, tls: Tls) {
    let tls = Arc::new(tls);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => { connections.spawn(connect(Arc::clone(&world), stream, Arc::clone(&tls))); }
                Err(error) => {
                    tracing::warn!(%error, "no connection can be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connect(world: Arc<World>, stream: TcpStream, tls: Arc<Tls>) {
    let log = world.log("TLS", "");
    let plan = world.plan(On::Connect, false);
    plan.before(&world).await;
    if !plan.after_effect {
        dead(&plan).await;
        if matches!(plan.mishap, Some(Mishap::Dead(Dead::Close))) {
            return;
        }
    }
    let effect = world.clock.now_ms();
    let shaken = match shake_hands(&world, stream, &tls, &plan).await {
        Ok(shaken) => shaken,
        Err(error) => {
            tracing::debug!(%error, "a handshake failed");
            world.count(|counters| counters.handshakes_failed += 1);
            return;
        }
    };
    plan.after(&world, effect).await;
    dead(&plan).await;
    if matches!(plan.mishap, Some(Mishap::Dead(Dead::Close))) {
        return;
    }
    world.log_status(log, 200);
    let peer = peer(&world, &shaken);
    line::converse(world, shaken, peer).await;
}

/// Never ends when the connection is to stay silent.
async fn dead(plan: &Plan) {
    if matches!(plan.mishap, Some(Mishap::Dead(Dead::Silent))) {
        std::future::pending::<()>().await;
    }
}

async fn shake_hands(world: &World, stream: TcpStream, tls: &Tls, plan: &Plan) -> std::io::Result<TlsStream<TcpStream>> {
    stream.set_nodelay(true)?;
    let acceptor = tls.acceptor(&world.faults(), plan.mishap).map_err(std::io::Error::other)?;
    tokio::time::timeout(PATIENCE, acceptor.accept(stream)).await?
}

/// Whose certificate it is. One that our authority signed before its memory was lost is nobody's.
fn peer(world: &World, stream: &TlsStream<TcpStream>) -> Peer {
    let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let fingerprint = shown.map(|der| fingerprint(der)).unwrap_or_default();
    world.look(|state, _| {
        let issued = state.registry.certificate(&fingerprint);
        let (client_id, gateway) = issued.map(|issued| (issued.client_id.clone(), issued.gateway.clone())).unwrap_or_default();
        Peer { client_id, gateway }
    })
}
