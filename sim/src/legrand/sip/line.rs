//! One connection: reading it, and writing to it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio_rustls::server::TlsStream;

use super::answers;
use super::exchange::{Out, Peer};
use super::text::{Inbox, Piece};
use crate::legrand::world::World;

/// Between two writes that shall arrive apart.
const APART: Duration = Duration::from_millis(3);
/// More pieces than that are single bytes, which arrive as they will.
const FEW: usize = 2;

/// Answers on one connection until either side closes it.
pub(crate) async fn converse(world: Arc<World>, stream: TlsStream<TcpStream>, peer: Peer) {
    let (line, outbox, ice) = world.change(|state, now| state.exchange.connect(peer, now));
    let (reader, writer) = tokio::io::split(stream);
    let ended = tokio::select! {
        ended = read(&world, line, reader, ice.clone()) => ended,
        ended = write(writer, outbox, ice) => ended,
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
    world.look(|state, _| state.exchange.disconnected(line));
}

async fn read(world: &Arc<World>, line: u64, mut reader: ReadHalf<TlsStream<TcpStream>>, mut ice: watch::Receiver<bool>) -> io::Result<()> {
    let mut inbox = Inbox::default();
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let count = tokio::select! {
            biased;
            () = frozen(&mut ice) => return std::future::pending().await,
            count = reader.read(&mut buffer) => count?,
        };
        if count == 0 {
            return Ok(());
        }
        world.look(|state, now| state.exchange.heard(line, now));
        inbox.push(buffer.get(..count).unwrap_or_default());
        loop {
            match inbox.next() {
                Ok(Some(Piece::Message(message))) => answers::received(world, line, message),
                Ok(Some(Piece::Ping)) => world.look(|state, _| {
                    state.counters.pings += 1;
                    state.exchange.write(line, b"\r\n".to_vec());
                }),
                Ok(None) => break,
                Err(reason) => {
                    tracing::warn!(reason, "no SIP");
                    world.count(|counters| counters.sip_malformed += 1);
                    return Ok(());
                }
            }
        }
    }
}

async fn write(
    mut writer: WriteHalf<TlsStream<TcpStream>>,
    mut outbox: mpsc::UnboundedReceiver<Out>,
    mut ice: watch::Receiver<bool>,
) -> io::Result<()> {
    loop {
        let out = tokio::select! {
            biased;
            () = frozen(&mut ice) => return std::future::pending().await,
            out = outbox.recv() => out,
        };
        let Some(Out::Write(pieces)) = out else {
            return writer.flush().await;
        };
        let few = pieces.len() <= FEW;
        for (nth, piece) in pieces.iter().enumerate() {
            if nth > 0 && few {
                tokio::time::sleep(APART).await;
            }
            writer.write_all(piece).await?;
            if pieces.len() > 1 || outbox.is_empty() {
                writer.flush().await?;
            }
        }
    }
}

/// Ends when the connection is frozen, if ever.
async fn frozen(ice: &mut watch::Receiver<bool>) {
    if ice.wait_for(|frozen| *frozen).await.is_err() {
        std::future::pending::<()>().await;
    }
}
