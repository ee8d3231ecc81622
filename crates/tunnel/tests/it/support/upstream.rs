//! A server behind the tunnel, which answers as it is told.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// How it answers.
#[derive(Debug, Clone)]
pub(crate) enum Way {
    /// With this status, these lines of a head, and this body.
    Says(u16, String, Vec<u8>),
    /// Not at all.
    Nothing,
    /// With a body that never ends.
    Endless,
    /// With something that is not HTTP.
    Gibberish,
    /// It hangs up in the middle of its answer.
    Half,
}

impl Way {
    pub(crate) fn json(status: u16, body: &str) -> Self {
        Self::Says(status, "content-type: application/json\r\n".into(), body.into())
    }

    pub(crate) fn redirect(status: u16, location: &str) -> Self {
        Self::Says(status, format!("location: {location}\r\n"), Vec::new())
    }
}

/// A running server.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    way: Arc<Mutex<Way>>,
    heard: Arc<Mutex<Vec<String>>>,
    connections: Arc<Mutex<usize>>,
}

impl Upstream {
    pub(crate) async fn start(way: Way) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let upstream = Self { address, way: Arc::new(Mutex::new(way)), heard: Arc::default(), connections: Arc::default() };
        let (way, heard, connections) = (Arc::clone(&upstream.way), Arc::clone(&upstream.heard), Arc::clone(&upstream.connections));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                *connections.lock().unwrap() += 1;
                tokio::spawn(serve(stream, Arc::clone(&way), Arc::clone(&heard)));
            }
        });
        upstream
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn now(&self, way: Way) {
        *self.way.lock().unwrap() = way;
    }

    /// Requests as they came, head and body.
    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        *self.connections.lock().unwrap()
    }
}

async fn serve(mut stream: TcpStream, way: Arc<Mutex<Way>>, heard: Arc<Mutex<Vec<String>>>) {
    let mut bytes = Vec::new();
    loop {
        let (end, length) = loop {
            if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                let lines = String::from_utf8_lossy(&bytes[..at]).into_owned();
                let length = lines.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
                break (at + 4, length.unwrap_or(0));
            }
            if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return;
            }
        };
        while bytes.len() < end + length {
            if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let rest = bytes.split_off(end + length);
        heard.lock().unwrap().push(String::from_utf8_lossy(&bytes).into_owned());
        bytes = rest;
        let way = way.lock().unwrap().clone();
        let done = match way {
            Way::Says(status, lines, body) => {
                let top = format!("HTTP/1.1 {status} Status\r\n{lines}content-length: {}\r\n\r\n", body.len());
                stream.write_all(&[top.into_bytes(), body].concat()).await.is_ok()
            }
            Way::Nothing => {
                tokio::time::sleep(Duration::from_mins(1)).await;
                false
            }
            Way::Endless => {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
                while stream.write_all(&[b'a'; 8192]).await.is_ok() {}
                false
            }
            Way::Gibberish => {
                let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.6\r\n").await;
                false
            }
            Way::Half => {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").await;
                false
            }
        };
        if !done {
            return;
        }
    }
}
