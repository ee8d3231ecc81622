//! One message: what is in it, how it is sent, and what its answer means.

use super::signing::signatures;
use crate::{
    Web,
    outward::{Said, Target},
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use doorward_store::{StoreError, TryEnd, Webhook};
use doorward_wire::{Time, webhook::DeliveryState};
use serde::Serialize;
use std::time::Duration;

/// When a message is sent again after a try that failed (Standard Webhooks, “Deliverability and reliability”); then it is
/// given up.
const RETRIES: [Duration; 6] = [
    Duration::from_secs(5),
    Duration::from_mins(5),
    Duration::from_mins(30),
    Duration::from_hours(2),
    Duration::from_hours(5),
    Duration::from_hours(10),
];
/// The longest wait between two tries.
pub(super) const LONGEST: Duration = RETRIES[RETRIES.len() - 1];
/// The status with which an endpoint says that it does not want messages any more.
pub(super) const GONE: u16 = 410;
/// Characters of an answer that are kept.
const KEPT: usize = 200;

/// The body of a message, as Standard Webhooks recommends it.
#[derive(Debug, Serialize)]
pub(super) struct Body<'a, T> {
    /// What happened.
    #[serde(rename = "type")]
    pub(super) kind: &'a str,
    /// When it happened.
    pub(super) timestamp: Time,
    /// More about it.
    pub(super) data: T,
}

/// How a try went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tried {
    /// The HTTP status that came back, if one did.
    pub(crate) status: Option<u16>,
    /// What went wrong; nothing when the endpoint took the message.
    pub(crate) error: Option<String>,
    /// How long the endpoint asks to be left alone.
    retry_after: Option<Duration>,
}

impl Tried {
    /// It did not come as far as an endpoint.
    pub(super) fn in_vain(error: impl Into<String>) -> Self {
        Self { status: None, error: Some(error.into()), retry_after: None }
    }

    fn answered(said: &Said) -> Self {
        let status = said.status;
        let error = match status {
            200..=299 => None,
            300..=399 => Some(format!("answered {status}; redirects are not followed")),
            GONE => Some(format!("answered {status}: it does not want messages any more")),
            _ => Some(match excerpt(&said.body) {
                words if words.is_empty() => format!("answered {status}"),
                words => format!("answered {status}: {words}"),
            }),
        };
        // RFC 9110 and RFC 6585 give the header a meaning with these.
        Self { status: Some(status), error, retry_after: said.retry_after.filter(|_| matches!(status, 429 | 503)) }
    }

    /// What this makes of a delivery at its so many-th try.
    pub(super) fn end(self, attempts: u32, now: Time) -> TryEnd {
        let slot = |number: u32| RETRIES.get(usize::try_from(number).unwrap_or(usize::MAX)).copied();
        let (state, next) = match slot(attempts.saturating_sub(1)) {
            _ if self.error.is_none() => (DeliveryState::Delivered, None),
            Some(wait) if self.status != Some(GONE) => {
                // Asked for a longer wait, it waits longer, but not beyond the try after that one.
                let most = slot(attempts).unwrap_or(LONGEST);
                (DeliveryState::Pending, Some(now.plus(self.retry_after.unwrap_or_default().clamp(wait, most))))
            }
            Some(_) | None => (DeliveryState::Failed, None),
        };
        TryEnd { state, status: self.status, error: self.error, next }
    }
}

/// The beginning of an answer, on one line.
fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    // An endpoint knows its secret, and some say in their errors what they expected.
    let words: Vec<&str> = words.map(|word| if word.contains("whsec_") { "…" } else { word }).collect();
    let line = words.join(" ");
    let end = line.char_indices().nth(KEPT).map(|(end, _)| end);
    end.map_or_else(|| line.clone(), |end| format!("{}…", &line[..end]))
}

/// Signs a message and sends it. An error is the store's; everything else is how it went.
pub(super) async fn send(web: &Web, webhook: &Webhook, message: &str, body: &Body<'_, impl Serialize>) -> Result<Tried, StoreError> {
    let now = web.house().now().utc;
    let target = match Target::parse(&webhook.url, webhook.allow_private) {
        Ok(target) => target,
        Err(error) => return Ok(Tried::in_vain(error.to_string())),
    };
    let bytes = serde_json::to_vec(body).map_err(|error| StoreError::Bug(format!("a message cannot be written as JSON: {error}")))?;
    let secrets = web.house().store().webhook_secrets(&webhook.id, now).await?;
    let seconds = now.as_micros().div_euclid(1_000_000);
    let headers = signatures(&secrets, message, seconds, &bytes).and_then(|signature| headers(message, seconds, &signature));
    let Some(headers) = headers else { return Ok(Tried::in_vain("its secret cannot be used; make a new one")) };
    Ok(match web.outward().post(web.house().clock().as_ref(), &target, headers, bytes).await {
        Ok(said) => Tried::answered(&said),
        Err(unsaid) => Tried::in_vain(unsaid.to_string()),
    })
}

fn headers(message: &str, seconds: i64, signature: &str) -> Option<HeaderMap> {
    let own = |name: &'static str, value: &str| Some((HeaderName::from_static(name), HeaderValue::from_str(value).ok()?));
    let headers = [
        own("webhook-id", message)?,
        own("webhook-timestamp", &seconds.to_string())?,
        own("webhook-signature", signature)?,
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
    ];
    Some(headers.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::{Said, Tried, excerpt};
    use doorward_wire::{Time, webhook::DeliveryState};
    use std::time::Duration;

    fn answered(status: u16, retry_after: Option<u64>) -> Tried {
        Tried::answered(&Said { status, retry_after: retry_after.map(Duration::from_secs), body: b"no".into() })
    }

    fn wait(tried: Tried, attempts: u32) -> Option<u64> {
        let now = Time::from_micros(1);
        tried.end(attempts, now).next.map(|next| next.since(now).as_secs())
    }

    #[test]
    fn a_message_is_tried_seven_times_and_then_given_up() {
        let waits: Vec<Option<u64>> = (1..=8).map(|attempts| wait(answered(500, None), attempts)).collect();
        assert_eq!(waits, [Some(5), Some(300), Some(1800), Some(7200), Some(18_000), Some(36_000), None, None]);
        assert_eq!(answered(500, None).end(7, Time::from_micros(1)).state, DeliveryState::Failed);
    }

    #[test]
    fn a_longer_wait_is_granted_up_to_the_try_after_the_next() {
        assert_eq!(wait(answered(503, Some(120)), 1), Some(120));
        assert_eq!(wait(answered(429, Some(1)), 1), Some(5), "never sooner than planned");
        assert_eq!(wait(answered(503, Some(86_400)), 1), Some(300));
        assert_eq!(wait(answered(503, Some(86_400)), 6), Some(36_000), "never beyond the longest");
        assert_eq!(wait(answered(503, Some(86_400)), 7), None);
        assert_eq!(wait(answered(500, Some(120)), 1), Some(5), "it means nothing there");
    }

    #[test]
    fn only_a_success_is_one() {
        for status in [200, 201, 202, 204, 299] {
            let end = answered(status, None).end(1, Time::from_micros(1));
            assert_eq!((end.state, end.status, end.error), (DeliveryState::Delivered, Some(status), None));
        }
        for (status, error) in [(302, "answered 302; redirects are not followed"), (404, "answered 404: no"), (500, "answered 500: no")] {
            let end = answered(status, None).end(1, Time::from_micros(1));
            assert_eq!((end.state, end.error.as_deref()), (DeliveryState::Pending, Some(error)));
        }
        let gone = answered(410, None).end(1, Time::from_micros(1));
        assert_eq!((gone.state, gone.next), (DeliveryState::Failed, None));
        assert_eq!(wait(Tried::in_vain("no connection"), 1), Some(5));
    }

    #[test]
    fn of_an_answer_one_line_is_kept_and_no_secret() {
        assert_eq!(excerpt(b"  <h1>\n\tNo\x00such\x1b[31m place</h1>\r\n"), "<h1> No such [31m place</h1>");
        assert_eq!(excerpt("ü".repeat(500).as_bytes()), format!("{}…", "ü".repeat(200)));
        assert_eq!(excerpt(b"expected whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw, sorry"), "expected … sorry");
        assert_eq!(excerpt(b"\xff\xfe"), "\u{fffd}\u{fffd}");
        assert_eq!(excerpt(b""), "");
    }
}
