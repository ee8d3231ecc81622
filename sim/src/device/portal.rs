//! The form at a device's access point.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{RawForm, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Router, middleware};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::{Firmware, Shared, Standing, lock};
use crate::server::{hang_up, serve};

/// Between the answer to the form and the start after it.
const PAUSE: Duration = Duration::from_millis(200);
const FORM: &str = "<!doctype html><title>BLE Gateway</title><form method=post action=/save>\
                    <input name=ssid><input name=password><input name=mqtt_host><input name=mqtt_user><input name=mqtt_pass></form>";

pub(super) async fn open(shared: Arc<Shared>) -> io::Result<(SocketAddr, JoinHandle<()>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let is_open = middleware::from_fn_with_state(Arc::clone(&shared), only_while_open);
    let router = Router::new().route("/", get(|| async { Html(FORM) })).route("/save", post(save)).layer(is_open).with_state(shared);
    Ok((address, tokio::spawn(serve(listener, router))))
}

/// Its access point is gone as soon as it has a Wi-Fi.
async fn only_while_open(State(shared): State<Arc<Shared>>, request: axum::extract::Request, next: middleware::Next) -> Response {
    if *lock(&shared.standing) == Standing::Portal { next.run(request).await } else { hang_up() }
}

async fn save(State(shared): State<Arc<Shared>>, RawForm(body): RawForm) -> Response {
    let fields: Vec<(String, String)> = form_urlencoded::parse(&body).into_owned().collect();
    let field = |name: &str| fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone()).unwrap_or_default();
    if field("ssid").is_empty() || field("password").is_empty() {
        return (StatusCode::BAD_REQUEST, Html("Missing parameters")).into_response();
    }
    {
        let mut memory = lock(&shared.memory);
        (memory.wifi_ssid, memory.wifi_pass) = (field("ssid"), field("password"));
        // What is left out it stores as empty.
        if shared.config.firmware == Firmware::A {
            (memory.mqtt_host, memory.mqtt_user, memory.mqtt_pass) = (field("mqtt_host"), field("mqtt_user"), field("mqtt_pass"));
        }
    }
    tokio::spawn(async move {
        tokio::time::sleep(PAUSE).await;
        shared.restart.notify_one();
    });
    Html("<h1>Saved</h1><p>The gateway restarts.</p>").into_response()
}
