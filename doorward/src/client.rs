//! The command line's way to a running doorward: API v1 over the admin socket, or over HTTP with a token.

use crate::{
    cli::Global,
    data,
    failure::{Exit, Failure},
};
use doorward_wire::Problem;
use reqwest::{Method, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::{fmt::Write as _, time::Duration};

#[derive(Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
    place: String,
}

impl Client {
    pub(crate) fn new(global: &Global) -> Result<Self, Failure> {
        let builder =
            reqwest::Client::builder().connect_timeout(Duration::from_secs(5)).user_agent(concat!("doorward/", env!("CARGO_PKG_VERSION")));
        let builder = builder.redirect(reqwest::redirect::Policy::none());
        let broken = |error: reqwest::Error| Failure::failed(format!("no HTTP client: {error}"));
        if let Some(url) = &global.url {
            let token = std::env::var("DOORWARD_TOKEN").map_err(|_| Failure::usage("--url needs a token in DOORWARD_TOKEN"))?;
            let base = url.trim_end_matches('/').to_owned();
            if !base.starts_with("https://") && !on_loopback(&base) {
                return Err(Failure::usage("--url must begin with https://; plain HTTP is for this machine alone"));
            }
            return Ok(Self { http: builder.build().map_err(broken)?, place: base.clone(), base, token: Some(token) });
        }
        let socket = data::socket(&data::folder(global.data.as_deref()));
        let place = socket.display().to_string();
        let http = builder.no_proxy().unix_socket(socket).build().map_err(broken)?;
        Ok(Self { http, base: "http://localhost".into(), token: None, place })
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.send(Method::GET, path, None).await
    }

    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &str, body: Value) -> Result<T, Failure> {
        self.send(Method::POST, path, Some(body)).await
    }

    pub(crate) async fn send<T: DeserializeOwned>(&self, method: Method, path: &str, body: Option<Value>) -> Result<T, Failure> {
        let response = self.raw(method, path, body).await?;
        let bytes = response.bytes().await.map_err(|error| self.lost(&error))?;
        let bytes = if bytes.is_empty() { b"null".as_slice().into() } else { bytes };
        serde_json::from_slice(&bytes)
            .map_err(|error| Failure::failed(format!("doorward at {} answered something else: {error}", self.place)))
    }

    /// Sends bytes, and reads the JSON of the answer.
    pub(crate) async fn upload<T: DeserializeOwned>(&self, path: &str, bytes: Vec<u8>) -> Result<T, Failure> {
        let request = self.request(Method::POST, path).header("content-type", "application/octet-stream").body(bytes);
        let answer = self.answer(request).await?.json().await;
        answer.map_err(|error| Failure::failed(format!("doorward at {} answered something else: {error}", self.place)))
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}/api/v1{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Sends a request and returns its answer, unless it is an error.
    pub(crate) async fn raw(&self, method: Method, path: &str, body: Option<Value>) -> Result<Response, Failure> {
        let request = self.request(method, path);
        self.answer(match body {
            Some(body) => request.json(&body),
            None => request,
        })
        .await
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> Result<Response, Failure> {
        let response = request.send().await.map_err(|error| self.lost(&error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let bytes = response.bytes().await.unwrap_or_default();
        let problem: Option<Problem> = serde_json::from_slice(&bytes).ok();
        let message = problem.as_ref().map_or_else(|| format!("doorward answered {status}"), |problem| problem.detail.clone());
        let exit = match status {
            StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND | StatusCode::UNPROCESSABLE_ENTITY
                if problem.as_ref().is_none_or(|problem| problem.attempt.is_none()) =>
            {
                Exit::Usage
            }
            StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED | StatusCode::UNPROCESSABLE_ENTITY => Exit::Refused,
            StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => Exit::Unreachable,
            _ => Exit::Failed,
        };
        Err(Failure::new(exit, message))
    }

    fn lost(&self, error: &reqwest::Error) -> Failure {
        let failure = Failure::new(Exit::Unreachable, format!("nobody answers at {}", self.place));
        if self.token.is_none() {
            failure.and("is doorward running with this data folder? Start it with `doorward serve`, or name the folder with --data")
        } else {
            failure.and(error.to_string())
        }
    }
}

fn on_loopback(url: &str) -> bool {
    let host = url.strip_prefix("http://").unwrap_or_default().split('/').next().unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name).trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// A text as one segment of a path.
pub(crate) fn segment(text: &str) -> String {
    text.bytes().fold(String::new(), |mut path, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            path.push(char::from(byte));
        } else {
            let _ = write!(path, "%{byte:02X}");
        }
        path
    })
}
