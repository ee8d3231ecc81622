//! Web Push: a message is encrypted for one browser and handed to the push service that the browser named (RFC 8030). What
//! that service is called, and what is in a message, it need not know.

mod encryption;
mod vapid;

pub(crate) use vapid::Vapid;

use super::{
    Outcome,
    lane::life,
    message::{Message, Urgency},
};
use crate::{
    ApiError, ApiResult, Web,
    outward::{Said, Target},
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use doorward_core::Secret;
use doorward_store::{PushTarget, StoreError};
use serde_json::json;
use std::time::Duration;

/// How long a push service keeps a test for a browser that is not there.
const TEST: Duration = Duration::from_mins(1);

/// Reads what a browser gives, or says what is wrong with it.
pub(super) fn target(endpoint: &str, key: &str, auth: &str) -> ApiResult<PushTarget> {
    let wrong = |what: &str| ApiError::Unprocessable(format!("{what}; turn notifications off and on again in this browser"));
    let endpoint = Target::parse(endpoint, false).map_err(|error| wrong(&format!("endpoint: {error}")))?;
    let bytes = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok();
    let key = bytes(key).filter(|key| encryption::is_key(key)).ok_or_else(|| wrong("keys.p256dh is not a point of P-256"))?;
    let auth = bytes(auth).filter(|auth| auth.len() == encryption::AUTH).ok_or_else(|| wrong("keys.auth has not 16 bytes"))?;
    Ok(PushTarget { endpoint: Secret::new(endpoint.as_str().to_owned()), key, auth: Secret::new(auth) })
}

/// doorward's key towards push services; made when it is first needed.
pub(super) async fn vapid(web: &Web) -> Result<&Vapid, StoreError> {
    web.notify().vapid.get_or_try_init(|| Vapid::load(web.house().store())).await
}

/// Encrypts a message and hands it over. An error is the store's; everything else is how it went.
pub(super) async fn send(web: &Web, target: &PushTarget, message: &Message) -> Result<Outcome, StoreError> {
    let now = web.house().now().utc;
    let vapid = vapid(web).await?;
    let Ok(endpoint) = Target::parse(target.endpoint.reveal(), false) else {
        return Ok(Outcome::Never("the address of its push service may not be called".into()));
    };
    let mut salt = [0; encryption::SALT];
    web.house().clock().fill(&mut salt);
    let body = encryption::encrypt(&target.key, target.auth.reveal(), &salt, &payload(message));
    let headers = vapid.authorization(&endpoint.origin(), &contact(web), now).and_then(|value| headers(message, now, &value));
    let (Some(body), Some(headers)) = (body, headers) else {
        return Ok(Outcome::Never("its keys cannot be used; turn notifications off and on again in that browser".into()));
    };
    Ok(match web.outward().post(web.house().clock().as_ref(), &endpoint, headers, body).await {
        Ok(said) => answered(&said),
        Err(unsaid) => Outcome::again(unsaid.to_string()),
    })
}

/// What the service worker shows.
fn payload(message: &Message) -> Vec<u8> {
    let Message { title, text, path, tag, time, .. } = message;
    json!({ "title": title, "body": text, "url": path, "tag": tag, "time": time }).to_string().into_bytes()
}

/// Whom a push service may turn to (RFC 8292, section 2.1).
fn contact(web: &Web) -> String {
    let mail = web.config().notify.mail.as_ref().map(|mail| format!("mailto:{}", mail.from.email));
    mail.or_else(|| web.config().public_url.clone()).unwrap_or_else(|| env!("CARGO_PKG_REPOSITORY").to_owned())
}

fn headers(message: &Message, now: doorward_wire::Time, authorization: &str) -> Option<HeaderMap> {
    // A browser that is not there is told later, as long as that is worth something.
    let left = message.kind.map_or(TEST, |kind| message.time.plus(life(kind)).since(now).max(Duration::from_secs(1)));
    let urgency = match message.urgency() {
        Urgency::Low => "low",
        Urgency::Normal => "normal",
        Urgency::High => "high",
    };
    let mut authorization = HeaderValue::from_str(authorization).ok()?;
    authorization.set_sensitive(true);
    let headers = [
        (header::AUTHORIZATION, authorization),
        (header::CONTENT_ENCODING, HeaderValue::from_static("aes128gcm")),
        (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (HeaderName::from_static("ttl"), HeaderValue::from(left.as_secs())),
        (HeaderName::from_static("urgency"), HeaderValue::from_static(urgency)),
    ];
    Some(headers.into_iter().collect())
}

fn answered(said: &Said) -> Outcome {
    match said.status {
        200..=299 => Outcome::Taken,
        404 | 410 => Outcome::Gone,
        300..=399 => Outcome::Never(format!("the push service answered {}; redirects are not followed", said.status)),
        400 | 401 | 403 | 413 => Outcome::Never(format!("the push service answered {}", said.status)),
        status => Outcome::Again { error: format!("the push service answered {status}"), wait: said.retry_after },
    }
}
