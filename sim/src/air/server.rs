//! The sockets by which radios come in.

use super::Shared;
use super::ops::Trouble;
use super::world::Outbox;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Notify, mpsc};

/// Bytes of a line.
const MOST_LINE: u64 = 8 << 10;
/// Lines that wait for a slow client: what it must be told, and what it may miss.
const WORDS: usize = 1024;
const WAVES: usize = 4096;

pub(super) async fn tcp(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        // Small lines must not wait for one another.
        let _ = stream.set_nodelay(true);
        let (reading, writing) = stream.into_split();
        tokio::spawn(client(reading, writing, Arc::clone(&shared)));
    }
}

pub(super) async fn unix(listener: UnixListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (reading, writing) = stream.into_split();
        tokio::spawn(client(reading, writing, Arc::clone(&shared)));
    }
}

async fn client(reading: impl AsyncRead + Unpin, writing: impl AsyncWrite + Unpin + Send + 'static, shared: Arc<Shared>) {
    let (words, waves) = (mpsc::channel(WORDS), mpsc::channel(WAVES));
    let outbox = Arc::new(Outbox { words: words.0, waves: waves.0, dropped: AtomicU64::new(0), out: Notify::new() });
    let writer = tokio::spawn(write(writing, words.1, waves.1));
    let mut name = None;
    tokio::select! {
        () = read(reading, &outbox, &mut name, &shared) => {}
        () = outbox.out.notified() => writer.abort(),
    }
    if let Some(name) = name {
        shared.change(|world, _| world.leave(&name));
    }
}

async fn read(reading: impl AsyncRead + Unpin, outbox: &Arc<Outbox>, name: &mut Option<String>, shared: &Shared) {
    let (mut reading, mut line) = (BufReader::new(reading), Vec::new());
    loop {
        line.clear();
        let length = (&mut reading).take(MOST_LINE).read_until(b'\n', &mut line).await.unwrap_or(0);
        if length == 0 || line.last() != Some(&b'\n') {
            return;
        }
        let Ok(line) = serde_json::from_slice::<Value>(&line) else { return };
        let answer = match name {
            Some(name) => shared.change(|world, _| world.act(name, &line)),
            None => shared.change(|world, _| world.enter(&line, Arc::clone(outbox))).map(|entered| {
                *name = Some(entered);
                Some(json!(true))
            }),
        };
        let Some(id) = line.get("id").and_then(Value::as_u64) else { continue };
        let answer = match answer {
            Ok(None) => continue,
            Ok(Some(value)) => json!({ "id": id, "ok": value }),
            Err(Trouble(word, text)) => json!({ "id": id, "error": word, "text": text }),
        };
        outbox.word(answer.to_string());
    }
}

async fn write(writing: impl AsyncWrite + Unpin, mut words: mpsc::Receiver<String>, mut waves: mpsc::Receiver<String>) {
    let mut writing = tokio::io::BufWriter::new(writing);
    loop {
        let line = tokio::select! {
            biased;
            Some(line) = words.recv() => line,
            Some(line) = waves.recv() => line,
            else => return,
        };
        let sent = async {
            writing.write_all(line.as_bytes()).await?;
            writing.write_all(b"\n").await?;
            if words.is_empty() && waves.is_empty() {
                writing.flush().await?;
            }
            Ok::<(), std::io::Error>(())
        };
        if sent.await.is_err() {
            return;
        }
    }
}
