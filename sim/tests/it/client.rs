//! A plain HTTP client: one connection for each request.

use std::net::SocketAddr;

use axum::http::{HeaderMap, Method, Request};
use doorward_sim::utec::{Sim, Tokens};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {:?}", String::from_utf8_lossy(&self.body)))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a text"))
    }
}

/// Sends a request; an error means that the connection broke before the answer was whole.
pub(crate) async fn send(
    to: SocketAddr,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: String,
) -> Result<Answer, hyper::Error> {
    let stream = TcpStream::connect(to).await.expect("the simulator listens");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends with the sender, so a test that drops this future hangs up.
    tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(path).header("host", to.to_string());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(Bytes::from(body))).expect("a request");
    let (parts, body) = sender.send_request(request).await?.into_parts();
    let body = body.collect().await?.to_bytes().to_vec();
    Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body })
}

/// A client that is signed in.
pub(crate) struct Client {
    addr: SocketAddr,
    pub(crate) tokens: Tokens,
}

impl Client {
    pub(crate) fn new(sim: &Sim) -> Self {
        Self { addr: sim.addr(), tokens: sim.grant() }
    }

    /// Sends any body to `/action`.
    pub(crate) async fn post(&self, body: &Value) -> Result<Answer, hyper::Error> {
        let bearer = format!("Bearer {}", self.tokens.access_token);
        let headers = [
            ("content-type", "application/json"),
            ("accept", "application/json"),
            ("authorization", &bearer),
            ("x-access-key", "sim-access-key"),
            ("x-secret-key", "sim-secret-key"),
            ("x-scope", "openapi"),
        ];
        send(self.addr, Method::POST, "/action", &headers, body.to_string()).await
    }

    pub(crate) async fn action(&self, namespace: &str, name: &str, payload: Value) -> Result<Answer, hyper::Error> {
        self.post(&json!({
            "header": { "namespace": namespace, "name": name, "messageId": message_id(), "payloadVersion": "1" },
            "payload": payload,
        }))
        .await
    }

    pub(crate) async fn command(&self, id: &str, name: &str) -> Result<Answer, hyper::Error> {
        let command = json!({ "capability": "st.lock", "name": name });
        self.action("Uhome.Device", "Command", json!({ "devices": [{ "id": id, "command": command }] })).await
    }

    pub(crate) async fn query(&self, id: &str) -> Result<Answer, hyper::Error> {
        self.action("Uhome.Device", "Query", json!({ "devices": [{ "id": id }] })).await
    }

    /// What the cloud says about one lock: the value of `capability`/`name`.
    pub(crate) async fn state(&self, id: &str, capability: &str, name: &str) -> Value {
        let answer = self.query(id).await.expect("an answer").json();
        let states = answer["payload"]["devices"][0]["states"].as_array().expect("states").clone();
        let state = states.into_iter().find(|state| state["capability"] == capability && state["name"] == name);
        state.map_or(Value::Null, |state| state["value"].clone())
    }
}

/// A fresh UUID of version 4.
pub(crate) fn message_id() -> String {
    let bytes = fastrand::u128(..).to_be_bytes();
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}

/// Asks `/token`.
pub(crate) async fn token(to: SocketAddr, fields: &[(&str, &str)]) -> Result<Answer, hyper::Error> {
    let form = {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("client_id", "sim-access-key").append_pair("client_secret", "sim-secret-key");
        form.extend_pairs(fields).finish()
    };
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    send(to, Method::POST, "/token", &headers, form).await
}

pub(crate) async fn refresh(to: SocketAddr, token_text: &str) -> Result<Answer, hyper::Error> {
    token(to, &[("grant_type", "refresh_token"), ("refresh_token", token_text)]).await
}

/// Uses the control API.
pub(crate) async fn control(to: SocketAddr, method: Method, path: &str, body: Value) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    send(to, method, path, &[], body).await.expect("an answer")
}
