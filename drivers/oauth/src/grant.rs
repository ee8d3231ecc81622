//! The token endpoint (RFC 6749, section 3.2), and the shapes in which vendors answer.

use crate::Endpoint;
use doorward_core::{
    Secret,
    driver::{Ctx, Fault},
};
use doorward_http::{self as http, Lost, Received};
use doorward_wire::attempt::Reason;
use serde_json::Value;
use std::time::Duration;

/// What `/token` gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Goes into `Authorization`.
    pub access_token: Secret<String>,
    /// Buys the next pair; absent when the old one goes on.
    pub refresh_token: Option<Secret<String>>,
    /// The word before the token in `Authorization`.
    pub token_type: String,
    /// How long the access token lives; absent when the vendor did not say.
    pub expires_in: Option<Duration>,
}

/// What an answer of `/token` means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// Tokens.
    Granted(Grant),
    /// A definite no, with the vendor's word for it: `invalid_grant`.
    Denied(String),
    /// Neither tokens nor a reason.
    NothingUsable,
}

/// Reads a body of the token endpoint: the standard's shape, or the same wrapped as `{"code":200,"data":{…}}`, which some
/// vendors send.
pub fn meaning(body: &[u8]) -> Meaning {
    let Ok(body) = serde_json::from_slice::<Value>(body) else { return Meaning::NothingUsable };
    let places = [Some(&body), body.get("data"), body.get("payload")];
    let mut places = places.into_iter().flatten();
    if let Some(grant) = places.clone().find_map(granted) {
        return Meaning::Granted(grant);
    }
    places.find_map(denied).map_or(Meaning::NothingUsable, Meaning::Denied)
}

fn granted(place: &Value) -> Option<Grant> {
    let access_token = token(place, "access_token")?;
    let token_type = place.get("token_type").and_then(Value::as_str).map(str::trim).filter(|word| {
        // It becomes part of a header.
        !word.is_empty() && word.len() <= 20 && word.bytes().all(|byte| byte.is_ascii_alphanumeric())
    });
    Some(Grant {
        access_token,
        refresh_token: token(place, "refresh_token"),
        token_type: token_type.unwrap_or("Bearer").to_owned(),
        expires_in: seconds(place.get("expires_in")),
    })
}

/// A token that can travel in a header.
fn token(place: &Value, name: &str) -> Option<Secret<String>> {
    let token = place.get(name)?.as_str()?.trim();
    let usable = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    usable.then(|| Secret::from(token))
}

/// Seconds as a number or as a text.
fn seconds(value: Option<&Value>) -> Option<Duration> {
    let seconds = match value? {
        Value::Number(number) => number.as_u64().or_else(|| {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
            number.as_f64().filter(|seconds| *seconds > 0.0).map(|seconds| seconds as u64)
        }),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    // A century is more than any token lives, and keeps later sums within the calendar.
    seconds.filter(|seconds| *seconds > 0).map(|seconds| Duration::from_secs(seconds.min(3_155_760_000)))
}

fn denied(place: &Value) -> Option<String> {
    let error = place.get("error")?;
    let word = error.as_str().or_else(|| error.get("code")?.as_str())?;
    let word: String = word.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(60).collect();
    (!word.is_empty()).then(|| word.to_ascii_lowercase())
}

/// Why there are no tokens.
#[derive(Debug)]
pub enum Trouble {
    /// The vendor said no, with its word for it.
    Denied {
        /// Its word: `invalid_grant`.
        word: String,
        /// The HTTP status.
        status: u16,
    },
    /// Anything else.
    Fault(Fault),
}

/// Posts a form to `/token`.
pub async fn ask(ctx: &dyn Ctx, endpoint: &Endpoint, fields: &[(&str, &str)]) -> Result<Grant, Trouble> {
    let request = endpoint.http.post(&endpoint.url).header("accept", "application/json").form(&endpoint.form(fields)).build();
    let request = request
        .map_err(|_| Trouble::Fault(Fault::protocol("Check the sign-in address of the account.", "no request could be made for /token")))?;
    let grant_type = fields.iter().find(|(name, _)| *name == "grant_type").map(|(_, value)| *value);
    tracing::debug!(target: "doorward::trace", method = "POST", path = request.url().path(), grant_type, "sign-in");
    let Received { status, retry_after, body } =
        http::send(ctx, &endpoint.http, request, http::TOTAL).await.map_err(|lost| Trouble::Fault(lost_fault(lost)))?;
    tracing::debug!(target: "doorward::trace", status, "sign-in answered");
    let fault = match (status, body) {
        (429 | 500.., _) => {
            let mut fault =
                Fault::offline("The vendor's sign-in is out of order just now. It is tried again.", format!("/token answered {status}"))
                    .because(Reason::Offline)
                    .status(status);
            fault.retry_after = retry_after;
            fault
        }
        (200..300, Err(broken)) => lost_fault(Lost::Sent(broken)),
        (_, Err(broken)) => refused(status, &broken),
        (_, Ok(body)) => match (status, meaning(&body)) {
            (200..300, Meaning::Granted(grant)) => return Ok(grant),
            (200..300 | 400..500, Meaning::Denied(word)) => return Err(Trouble::Denied { word, status }),
            (200..300, Meaning::NothingUsable) => {
                tracing::error!(
                    status,
                    bytes = body.len(),
                    "the vendor's sign-in answered without an access token; the old tokens are kept"
                );
                Fault::protocol(
                    "The vendor's sign-in gave an answer that doorward does not understand. The old sign-in is kept; look for a newer doorward.",
                    "/token answered 200 without an access_token",
                )
                .status(status)
            }
            (status, _) => refused(status, "no reason given"),
        },
    };
    Err(Trouble::Fault(fault))
}

fn refused(status: u16, why: &str) -> Fault {
    Fault::protocol(
        "The vendor's sign-in refused without a reason. Check the account's settings.",
        format!("/token answered {status}: {why}"),
    )
    .status(status)
}

fn lost_fault(lost: Lost) -> Fault {
    match lost {
        Lost::NotSent(why) => {
            Fault::offline("The vendor's sign-in cannot be reached. Check the internet connection.", format!("/token: {why}"))
                .because(Reason::Offline)
        }
        Lost::Sent(why) => Fault::timeout("The vendor's sign-in did not answer. It is tried again.", format!("/token: {why}"))
            .because(Reason::OutcomeUnknown),
    }
}
