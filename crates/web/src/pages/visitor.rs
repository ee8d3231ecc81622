//! Who looks at a page: somebody with a session, or somebody who is sent to sign in.

use super::shell::{Oops, html};
use crate::{
    ApiError, ApiResult, Web,
    caller::{self, Caller, Via},
    guard::{Sealed, Source},
    sign_in::described,
};
use askama::Template;
use axum::{
    extract::{FromRequestParts, OptionalFromRequestParts},
    http::{HeaderMap, Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Redirect, Response},
};
use std::{convert::Infallible, net::IpAddr, time::Duration};

/// A session that was not prolonged for this long is prolonged when it is used.
const PROLONG: Duration = Duration::from_hours(24);

/// Somebody who is signed in.
#[derive(Debug, Clone)]
pub(crate) struct Visitor {
    /// Who, and what they may do.
    pub(crate) caller: Caller,
    /// The secret of their session.
    pub(crate) session: String,
}

impl Visitor {
    /// The person's identifier.
    pub(crate) fn id(&self) -> &str {
        &self.caller.actor.id
    }

    /// The person's name.
    pub(crate) fn name(&self) -> &str {
        self.caller.actor.name.as_deref().unwrap_or_default()
    }

    /// Whoever sent this request, if they have a session.
    pub(crate) async fn find(parts: &mut Parts, web: &Web) -> ApiResult<Option<Self>> {
        let caller = match <Caller as OptionalFromRequestParts<Web>>::from_request_parts(parts, web).await {
            Ok(caller) => caller,
            Err(ApiError::NotAuthenticated) => None,
            Err(error) => return Err(error),
        };
        let session = caller::cookie(&parts.headers, caller::COOKIE).map(ToOwned::to_owned);
        Ok(match (caller, session) {
            (Some(caller @ Caller { via: Via::Session { .. }, .. }), Some(session)) => Some(Self { caller, session }),
            _ => None,
        })
    }

    /// Who the session is, asked anew: it may have ended, and its person may have other rights now.
    pub(crate) async fn again(&self, web: &Web) -> Option<Caller> {
        let caller = Caller::by_session(web, &self.session).await.ok().flatten()?;
        (caller.actor.id == self.id()).then_some(caller)
    }

    /// A session lives on while it is used, and it is noted that it is.
    async fn prolong(&self, web: &Web) -> ApiResult<()> {
        let (now, store) = (web.house().now().utc, web.house().store());
        if let Some(session) = store.session(self.session.as_bytes(), now).await? {
            let soon = session.expires < now.plus(caller::SESSION_LIFE.saturating_sub(PROLONG));
            let expires = if soon { now.plus(caller::SESSION_LIFE) } else { session.expires };
            store.touch_session(self.session.as_bytes(), &session, expires, now).await?;
        }
        Ok(())
    }
}

impl FromRequestParts<Web> for Visitor {
    type Rejection = Response;
    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Response> {
        match Self::find(parts, web).await {
            Ok(Some(visitor)) => {
                if parts.method == Method::GET
                    && let Err(error) = visitor.prolong(web).await
                {
                    tracing::warn!(%error, "a session could not be prolonged");
                }
                Ok(visitor)
            }
            Ok(None) => Err(turn_away(parts)),
            Err(error) => Err(Oops(error).into_response()),
        }
    }
}

impl OptionalFromRequestParts<Web> for Visitor {
    type Rejection = Response;
    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Option<Self>, Response> {
        Self::find(parts, web).await.map_err(|error| Oops(error).into_response())
    }
}

/// A page without a script, so that the browser comes back by itself.
#[derive(Template)]
#[template(path = "hop.html")]
struct Hop<'a> {
    t: &'static super::texts::Texts,
    to: &'a str,
}

fn turn_away(parts: &Parts) -> Response {
    let wanted = parts.uri.path_and_query().map_or("/doors", axum::http::uri::PathAndQuery::as_str);
    let site = parts.headers.get("sec-fetch-site").and_then(|site| site.to_str().ok());
    // A strict cookie does not come along when another site links here; it does when the visitor goes on from our own page.
    if parts.method == Method::GET && matches!(site, Some("cross-site" | "same-site")) && local(wanted) {
        return html(&Hop { t: &super::texts::EN, to: wanted });
    }
    if parts.headers.contains_key("x-live") || wanted.starts_with("/live") {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let next = if parts.method == Method::GET { wanted } else { "/doors" };
    if matches!(next, "/" | "/doors") {
        return Redirect::to("/sign-in").into_response();
    }
    Redirect::to(&format!("/sign-in?next={}", encode(next))).into_response()
}

/// Whether an address stays on this doorward, whatever a browser makes of it.
pub(crate) fn local(path: &str) -> bool {
    let plain = path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    plain && path.len() <= 512 && path.starts_with('/') && !path.starts_with("//")
}

/// A text as a value in an address.
pub(crate) fn encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        use std::fmt::Write as _;
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'/') {
            out.push(byte.into());
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

/// What a request tells besides its form.
#[derive(Debug, Clone)]
pub(crate) struct Errand {
    /// Where it came from.
    pub(crate) source: Option<IpAddr>,
    /// Whether nobody on the way could read it.
    pub(crate) sealed: bool,
    /// Whether the session cookie is for TLS alone.
    pub(crate) secure: bool,
    /// The name under which doorward was called.
    pub(crate) host: String,
    /// The live view of the page that wants fragments instead of a page.
    pub(crate) live: Option<String>,
    /// The browser, in a few words.
    pub(crate) browser: String,
    /// The address of the page that asks, when the browser names it. `guard` has seen that it is one of ours.
    pub(crate) origin: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Errand {
    type Rejection = Infallible;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let source = parts.extensions.get::<Source>().and_then(|source| source.0);
        let sealed = parts.extensions.get::<Sealed>().is_some_and(|sealed| sealed.0);
        let text = |name: &str| parts.headers.get(name).map(|value| value.to_str().unwrap_or_default().to_owned());
        Ok(Self {
            source,
            sealed,
            secure: sealed && source.is_some_and(|source| !source.is_loopback()),
            host: parts.uri.host().map_or_else(|| host(&parts.headers), ToOwned::to_owned),
            live: text("x-live"),
            browser: described(&text(header::USER_AGENT.as_str()).unwrap_or_default()),
            origin: text(header::ORIGIN.as_str()),
        })
    }
}

impl Errand {
    /// The address under which whoever asks reaches this doorward, or the one that is set for everybody.
    pub(crate) fn base(&self, web: &Web) -> String {
        let own = || format!("http{}://{}", if self.secure { "s" } else { "" }, self.host);
        web.config().public_url.clone().unwrap_or_else(own).trim_end_matches('/').to_owned()
    }

    /// Whether whoever asks is on this machine: over the admin socket, or over loopback by a name that means it.
    pub(crate) fn is_here(&self) -> bool {
        let name = self.host.rsplit_once(':').map_or(self.host.as_str(), |(name, _)| name);
        let name = name.trim_start_matches('[').trim_end_matches(']');
        let local = name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        local && self.sealed && self.source.is_none_or(|source| source.is_loopback())
    }
}

fn host(headers: &HeaderMap) -> String {
    headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost").to_owned()
}

#[cfg(test)]
mod tests {
    use super::{encode, local};

    #[test]
    fn after_sign_in_nobody_is_led_away() {
        for own in ["/", "/doors/front_door?attempt=1#x", "/events?door=a&kind=b"] {
            assert!(local(own), "{own}");
        }
        for foreign in
            ["", "//evil.example", "/\\evil.example", "https://evil.example", "javascript:alert(1)", "/\t/evil.example", "/a\nb", "doors"]
        {
            assert!(!local(foreign), "{foreign}");
        }
        assert_eq!(encode("/events?door=a&kind=b"), "/events%3Fdoor%3Da%26kind%3Db");
    }
}
