//! A server of a few lines that writes down what it is sent, byte for byte, and answers as it is told.

use serde_json::Value;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinHandle,
};

/// A request as it came in.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) text: String,
}

impl Request {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// A form, as name and value.
    pub(crate) fn form(&self) -> BTreeMap<String, String> {
        let url = reqwest::Url::parse(&format!("http://x/?{}", self.text)).unwrap();
        url.query_pairs().into_owned().collect()
    }
}

/// How to answer.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// Status, more headers, body.
    Answer(u16, String, Vec<u8>),
    /// A status and half a body.
    Half(u16),
    HangUp,
    Silence,
    /// Not before somebody says so.
    Held(Arc<Notify>, Box<Reply>),
}

/// An answer that waits to be let go.
pub(crate) fn held(gate: &Arc<Notify>, answer: Reply) -> Reply {
    Reply::Held(Arc::clone(gate), Box::new(answer))
}

pub(crate) fn reply(status: u16, body: &Value) -> Reply {
    Reply::Answer(status, String::new(), body.to_string().into_bytes())
}

type Answers = dyn Fn(usize, &Value) -> Reply + Send + Sync;

pub(crate) struct Recorder {
    port: u16,
    requests: Arc<Mutex<Vec<Request>>>,
    task: JoinHandle<()>,
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Recorder {
    /// `answers` is told which request it is, from 0, and its body (a form as `{"form": …}`).
    pub(crate) async fn start(answers: impl Fn(usize, &Value) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let answers: Arc<Answers> = Arc::new(answers);
        let seen = Arc::clone(&requests);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(converse(stream, Arc::clone(&seen), Arc::clone(&answers)));
            }
        });
        Self { port, requests, task }
    }

    pub(crate) fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// Bodies of the requests to `/action`.
    pub(crate) fn bodies(&self) -> Vec<Value> {
        self.requests().iter().filter(|request| request.path == "/action").map(Request::json).collect()
    }

    /// Requests to `/token`.
    pub(crate) fn renewals(&self) -> usize {
        self.requests().iter().filter(|request| request.path == "/token").count()
    }
}

async fn converse(mut stream: TcpStream, seen: Arc<Mutex<Vec<Request>>>, answers: Arc<Answers>) {
    let Some(request) = read(&mut stream).await else { return };
    let body = if request.path == "/token" { serde_json::json!({ "form": request.form() }) } else { request.json() };
    let number = {
        let mut seen = seen.lock().unwrap();
        seen.push(request);
        seen.len() - 1
    };
    let mut answer = answers(number, &body);
    while let Reply::Held(gate, then) = answer {
        gate.notified().await;
        answer = *then;
    }
    let (status, headers, body, announced) = match answer {
        Reply::Answer(status, headers, body) => {
            let length = body.len();
            (status, headers, body, length)
        }
        Reply::Half(status) => (status, String::new(), b"{\"payload\":".to_vec(), 500),
        Reply::HangUp | Reply::Held(..) => return,
        Reply::Silence => return std::future::pending().await,
    };
    let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {announced}\r\nconnection: close\r\n{headers}\r\n");
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.write_all(&body).await;
    let _ = stream.shutdown().await;
}

async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let head = loop {
        let mut buffer = [0; 4096];
        let read = stream.read(&mut buffer).await.ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&buffer[..read]);
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
    let mut lines = text.lines();
    let mut first = lines.next()?.split(' ');
    let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: BTreeMap<String, String> =
        lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    let length: usize = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    while bytes.len() < head + length {
        let mut buffer = [0; 4096];
        let read = stream.read(&mut buffer).await.ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&buffer[..read]);
    }
    let text = String::from_utf8_lossy(&bytes[head..]).into_owned();
    Some(Request { method, path, headers, text })
}
