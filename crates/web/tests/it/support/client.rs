//! A client that sends exactly what it is told, as attackers do.

use serde_json::Value;
use std::{fmt::Write as _, net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A request on its way.
#[derive(Clone)]
pub(crate) struct Ask {
    address: SocketAddr,
    method: &'static str,
    path: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Ask {
    pub(super) fn new(address: SocketAddr, method: &'static str, path: String) -> Self {
        Self { address, method, path, headers: Vec::new(), body: None }
    }

    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub(crate) fn token(self, token: &str) -> Self {
        self.header("Authorization", format!("Bearer {token}"))
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.text("application/json", body.to_string())
    }

    pub(crate) fn text(mut self, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self.header("Content-Type", kind)
    }

    async fn connect(&self) -> TcpStream {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        let has = |name: &str| self.headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
        if !has("host") {
            let _ = write!(head, "Host: {}\r\n", self.address);
        }
        for (name, value) in &self.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        if let Some(body) = &self.body {
            let _ = write!(head, "Content-Length: {}\r\n", body.len());
        }
        head.push_str("Connection: close\r\n\r\n");
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        if let Some(body) = &self.body {
            // A refused body may be left unread.
            let _ = stream.write_all(body).await;
        }
        stream
    }

    pub(crate) async fn send(self) -> Answer {
        let mut stream = self.connect().await;
        let mut bytes = Vec::new();
        let mut buffer = vec![0; 16 * 1024];
        // A refused body ends in a reset; what was answered before it counts.
        while let Ok(count @ 1..) = stream.read(&mut buffer).await {
            bytes.extend_from_slice(&buffer[..count]);
        }
        Answer::parse(&bytes)
    }

    /// Opens an event stream.
    pub(crate) async fn follow(self) -> Stream {
        let mut stream = Stream { stream: self.connect().await, buffer: Vec::new() };
        let head = stream.block("\r\n\r\n").await.expect("an answer");
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        stream
    }
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("an HTTP answer");
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: Vec<(String, String)> =
            lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
        let chunked = headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
        let body = &bytes[end + 4..];
        Self { status, headers, body: if chunked { dechunk(body) } else { body.to_vec() } }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.text()))
    }

    /// Checks that this is a problem with this status, and gives it.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        let problem = self.json();
        assert_eq!(problem["status"], status);
        assert!(problem["type"].as_str().unwrap().starts_with("urn:doorward:problem:"));
        assert!(!problem["detail"].as_str().unwrap().is_empty());
        problem
    }

    /// Checks the status, and gives the answer.
    #[track_caller]
    pub(crate) fn ok(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        if self.body.is_empty() { Value::Null } else { self.json() }
    }
}

fn dechunk(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|two| two == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap().trim(), 16).unwrap();
        if size == 0 {
            break;
        }
        body.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 4 + size..];
    }
    body
}

/// An open event stream.
pub(crate) struct Stream {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Stream {
    /// The next event; `None` when the stream has ended.
    pub(crate) async fn event(&mut self) -> Option<Value> {
        loop {
            let block = self.block("\n\n").await?;
            let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name).map(|value| value.trim().to_owned()));
            if let (Some(id), Some(data)) = (field("id:"), field("data:")) {
                let event: Value = serde_json::from_str(&data).unwrap();
                assert_eq!(event["id"].to_string(), id, "the line id: is the event's number");
                return Some(event);
            }
        }
    }

    /// Waits until all of these words were told.
    pub(crate) async fn tells(&mut self, words: &[&str]) {
        let mut told = String::new();
        while !words.iter().all(|words| told.contains(words)) {
            told += &self.block("\n\n").await.unwrap_or_else(|| panic!("it ended before it told {words:?}: {told}"));
        }
    }

    /// Waits for a comment.
    pub(crate) async fn comment(&mut self) {
        while !self.block("\n\n").await.expect("a comment").lines().any(|line| line.starts_with(':')) {}
    }

    /// Waits for the end.
    pub(crate) async fn ended(&mut self) {
        while self.block("\n\n").await.is_some() {}
    }

    /// Text up to an end mark. The frames of chunked bodies lie between messages, and no message looks like them.
    async fn block(&mut self, end: &str) -> Option<String> {
        loop {
            if let Some(at) = self.buffer.windows(end.len()).position(|bytes| bytes == end.as_bytes()) {
                let block: Vec<u8> = self.buffer.drain(..at + end.len()).collect();
                return Some(String::from_utf8_lossy(&block[..at]).into_owned());
            }
            let mut bytes = [0; 4096];
            let read = tokio::time::timeout(Duration::from_secs(20), self.stream.read(&mut bytes)).await;
            match read.expect("the stream says something within 20 seconds") {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.buffer.extend_from_slice(&bytes[..count]),
            }
        }
    }
}
