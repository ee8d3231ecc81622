//! Requests to other servers, and calls of Jeedom's API.

use crate::{
    Tunnel,
    gateway::{Reply, Request},
    outbound::{Failed, Outgoing, Returned, headers},
    scopes::{Leave, method},
};
use doorward_wire::{
    attempt::Reason,
    tunnel::{Jeedom, Relay, Service},
};
use reqwest::{
    Method, Url,
    header::{CONTENT_TYPE, HeaderMap, HeaderValue},
};
use serde::de::IgnoredAny;
use serde_json::json;
use std::time::Duration;

/// The longest that a request may take, whatever it asks for.
const LONGEST: f64 = 60.0;
/// Levels of JSON that come back as JSON; deeper ones come as text.
const DEEPEST: usize = 64;
/// How long a call of Jeedom's API may take.
const CALL: Duration = Duration::from_secs(30);

/// Sends a request to another server.
pub(crate) async fn relay(tunnel: &Tunnel, request: &Request, relay: Relay) -> Reply {
    let bad = |why: &str| Reply::refused(403, why, Reason::BadRequest);
    let Ok(url) = Url::parse(&relay.url) else { return bad("The address cannot be read") };
    if !matches!(url.scheme(), "http" | "https") || !url.username().is_empty() || url.password().is_some() {
        return bad("The address must begin with http:// or https://, and hold no password");
    }
    let Some(method) = method(&relay.method) else { return bad("Unknown method") };
    let headers = match headers(&relay.headers) {
        Ok(headers) => headers,
        Err(why) => return bad(&why),
    };
    let within = Duration::from_secs_f64(relay.timeout.min(LONGEST));
    let out = Outgoing { url, method, headers, body: relay.body, within };
    let allowed = &request.key.allowed;
    let own = tunnel.options().jeedom.as_ref().map(|jeedom| &jeedom.url).filter(|_| allowed.service(Service::Jeedom));
    let may = |method: &Method, url: &Url| allowed.http(method, url).or_else(|| own.and_then(|own| is_at(own, url)));
    told(tunnel.outbound().send(tunnel.house().clock().as_ref(), out, may).await)
}

/// Calls Jeedom's API.
pub(crate) async fn jeedom(tunnel: &Tunnel, _: &Request, call: Jeedom) -> Reply {
    let Some(jeedom) = &tunnel.options().jeedom else {
        return Reply::refused(403, "Jeedom is not configured", Reason::NotCapable);
    };
    let path = format!("/{}", call.endpoint.trim_start_matches('/'));
    let Ok(url) = Url::parse(&format!("{}{path}", jeedom.url.as_str().trim_end_matches('/'))) else {
        return Reply::refused(403, "The endpoint cannot be read", Reason::BadRequest);
    };
    let mut params = call.params;
    if let Some(apikey) = call.apikey.or_else(|| jeedom.apikey.as_ref().map(|key| key.reveal().clone())) {
        // What a client writes among its parameters wins, as at the original.
        params.entry("apikey").or_insert_with(|| json!(apikey));
    }
    // Jeedom wants an identifier to answer with; any will do.
    let body = json!({ "jsonrpc": "2.0", "id": 99_999, "method": call.method, "params": params });
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
    let out = Outgoing { url, method: Method::POST, headers, body: Some(body.to_string()), within: CALL };
    let own = &jeedom.url;
    told(tunnel.outbound().send(tunnel.house().clock().as_ref(), out, |_, url| is_at(own, url)).await)
}

/// Jeedom is where the operator says, and so it may be anywhere. Its path is a prefix as every other one.
fn is_at(own: &Url, url: &Url) -> Option<Leave> {
    let below = crate::scopes::is_below(own.path(), url.path());
    (own.origin() == url.origin() && below).then_some(Leave::Named)
}

/// What came back: JSON as it is, everything else as text.
fn told(result: Result<Returned, Failed>) -> Reply {
    match result {
        Ok(Returned { status, body, .. }) => {
            let body = match String::from_utf8(body) {
                Ok(text) if is_flat(&text) && serde_json::from_str::<IgnoredAny>(&text).is_ok() => text,
                Ok(text) => json!(text).to_string(),
                Err(error) => json!(String::from_utf8_lossy(error.as_bytes())).to_string(),
            };
            Reply { status, body, refused: None, about: String::new() }
        }
        Err(error @ Failed::NotAllowed(_)) => Reply::refused(403, &error.to_string(), Reason::NoGrant),
        Err(error @ Failed::Upstream(_)) => Reply::error(403, &error.to_string()),
    }
}

/// Whether JSON is nested no deeper than parsers take it. What is no JSON gives any answer.
fn is_flat(text: &str) -> bool {
    let (mut levels, mut in_text, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => levels += 1,
            b']' | b'}' if !in_text => levels = levels.saturating_sub(1),
            _ => {}
        }
        if levels > DEEPEST {
            return false;
        }
    }
    true
}
