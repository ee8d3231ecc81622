//! What happens to a message, from its first byte to its answer.
//!
//! In this order, and nothing of a later step before an earlier one: the sender's network has trials left; the message
//! opens with a key; it is not one of our own sent back; it is fresh; it was not there before; the key has not sent too
//! many; its scopes allow what it asks for. Then a service does it. Whatever is refused is answered under the same seal,
//! counted, and told.

use crate::{
    Entry, Tunnel,
    keyring::{Key, Opened},
    replay::Taken,
    seal::noise,
    service,
    v2::{self, GatewayKey, OpenError},
};
use axum::body::Bytes;
use doorward_listen::limits::Trial;
use doorward_wire::{
    Time,
    attempt::Reason,
    tunnel::{Answer, NONCE, Plain, Service, Wish, Wrong, unwrap},
};
use serde_json::{Value, json};
use std::{fmt::Write, net::IpAddr, sync::Arc, time::Duration};

/// Bytes of a request, opened.
pub(crate) const REQUEST: usize = 256 << 10;
/// Bytes of a body: base64 of that, with room for lines.
pub(crate) const BODY: usize = (REQUEST + 64) / 3 * 4 + (16 << 10);
/// What opens a door is younger than this.
pub(crate) const FRESH: Duration = Duration::from_secs(10);

/// Where a message came in. What it is for is in the message; errors differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    Gateway,
    Publish,
    Subscribe,
}

/// A request that may go on.
pub(crate) struct Request {
    pub(crate) key: Arc<Key>,
    pub(crate) previous: bool,
    pub(crate) plain: Plain,
    /// When the client made it, by its own clock.
    pub(crate) made: Time,
    pub(crate) source: Option<IpAddr>,
}

/// Why a request does not go on.
pub(crate) enum Refused {
    /// Nobody's: no key opens it.
    NoKey,
    /// Too many trials failed from there.
    TooMany,
    /// It has a key, and is answered under it.
    Told(Told),
}

/// A refusal for somebody who has a key.
pub(crate) struct Told {
    pub(crate) key: Arc<Key>,
    pub(crate) previous: bool,
    pub(crate) status: u16,
    pub(crate) why: &'static str,
}

/// Why a request of version 2 cannot even be answered under its seal.
pub(crate) enum Refused2 {
    /// Too many trials failed from there.
    TooMany,
    /// It does not open.
    Unopened(OpenError),
}

/// Why a request of version 2 does not go on; answered under its seal.
pub(crate) enum Told2 {
    /// No key made it.
    NoKey,
    /// There is nothing at its path.
    NoRoute,
    /// As in version 1.
    Told(Route, Told),
}

/// What a service answers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// JSON, already written.
    pub(crate) body: String,
    /// Why it was refused, if it was.
    pub(crate) refused: Option<Reason>,
    /// What it was about, for people.
    pub(crate) about: String,
}

impl Reply {
    /// JSON.
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self { status, body: body.to_string(), refused: None, about: String::new() }
    }

    /// An error as the original tells it: JSON inside of a text.
    pub(crate) fn error(status: u16, error: &str) -> Self {
        Self::json(status, &Answer::error(status, error, 0).body)
    }

    /// An error that is a refusal.
    pub(crate) fn refused(status: u16, error: &str, reason: Reason) -> Self {
        Self { refused: Some(reason), ..Self::error(status, error) }
    }

    /// The whole answer.
    pub(crate) fn told(&self, now: Time) -> String {
        let mut told = String::with_capacity(self.body.len() + 64);
        let _ = write!(told, "{{\"status\":{},\"body\":{},\"timestamp\":{}}}", self.status, self.body, seconds(now));
        told
    }
}

/// Whole seconds since 1970.
pub(crate) const fn seconds(time: Time) -> i64 {
    time.as_micros().div_euclid(1_000_000)
}

impl Tunnel {
    /// Takes a message, as far as it may go.
    pub(crate) async fn take(&self, body: Bytes, source: Option<IpAddr>) -> Result<Request, Refused> {
        let opened = self.opened(&body, source)?;
        // While it is there, the connection cannot read into the same memory again.
        drop(body);
        self.fresh(opened, source).await
    }

    fn opened(&self, body: &[u8], source: Option<IpAddr>) -> Result<Opened, Refused> {
        let now = self.house().now();
        let trial = self.limits().ask(source, now.mono);
        if trial == Trial::Closed {
            self.stranger(Reason::RateLimited, source);
            return Err(Refused::TooMany);
        }
        let opened = unwrap(body).and_then(|sealed| self.keyring().open(&sealed, source, trial, now.utc));
        opened.ok_or_else(|| {
            self.limits().failed(source, now.mono);
            self.stranger(Reason::NotAuthenticated, source);
            if trial == Trial::Recent { Refused::TooMany } else { Refused::NoKey }
        })
    }

    /// Takes a message of version 2, as far as it may go, and gives what seals its answer.
    pub(crate) async fn take_v2<S>(
        &self,
        open: impl FnOnce(&GatewayKey) -> Result<(v2::Request, S), OpenError>,
        source: Option<IpAddr>,
    ) -> Result<(Result<(Route, Request), Told2>, S), Refused2> {
        let now = self.house().now();
        let trial = self.limits().ask(source, now.mono);
        if trial == Trial::Closed {
            self.stranger(Reason::RateLimited, source);
            return Err(Refused2::TooMany);
        }
        let failed = || {
            self.limits().failed(source, now.mono);
            self.stranger(Reason::NotAuthenticated, source);
        };
        let (request, sealer) = open(self.gateway_key()).map_err(|error| {
            failed();
            Refused2::Unopened(error)
        })?;
        let Some(key) = self.keyring().of_request(&request, trial, now.utc) else {
            failed();
            return Ok((Err(Told2::NoKey), sealer));
        };
        let route = match (request.method.as_str(), request.path.as_str()) {
            ("POST", "/gateway") => Route::Gateway,
            ("POST", "/mqtt/publish") => Route::Publish,
            ("POST", "/mqtt/subscribe") => Route::Subscribe,
            _ => return Ok((Err(Told2::NoRoute), sealer)),
        };
        let opened = Opened { key, previous: false, nonce: request.nonce(), plain: request.body };
        let taken = self.fresh(opened, source).await.map(|request| (route, request));
        let taken = taken.map_err(|refused| match refused {
            Refused::Told(told) => Told2::Told(route, told),
            Refused::NoKey | Refused::TooMany => Told2::NoKey,
        });
        Ok((taken, sealer))
    }

    async fn fresh(&self, opened: Opened, source: Option<IpAddr>) -> Result<Request, Refused> {
        let Opened { key, previous, nonce, plain } = opened;
        let refuse = |status, why: &'static str, reason| {
            self.note_refusal(&key, reason, why, source);
            Refused::Told(Told { key: Arc::clone(&key), previous, status, why })
        };
        let Ok(plain) = Plain::read(&plain) else {
            return Err(refuse(403, "The request is not a JSON object", Reason::BadRequest));
        };
        if plain.is_answer() {
            return Err(refuse(403, "This is an answer, not a request", Reason::Replay));
        }
        let now = self.house().now().utc;
        let Some(made) = plain.timestamp().and_then(from_seconds).filter(|made| is_fresh(*made, self.options().max_age, now)) else {
            return Err(refuse(403, "Request expired", Reason::StaleCommand));
        };
        match self.first_time(&key, nonce, made, now).await {
            Ok(()) => {}
            Err(Reason::Replay) => return Err(refuse(409, "Replayed request", Reason::Replay)),
            Err(Reason::RateLimited) => return Err(refuse(429, "Too many requests", Reason::RateLimited)),
            Err(reason) => return Err(refuse(503, "It cannot be written down now, so it is not done", reason)),
        }
        if !key.has_rate() {
            return Err(refuse(429, "Too many requests", Reason::RateLimited));
        }
        Ok(Request { key, previous, plain, made, source })
    }

    /// Whether a message is here for the first time. It is remembered before anything is done with it.
    async fn first_time(&self, key: &Key, nonce: [u8; NONCE], made: Time, now: Time) -> Result<(), Reason> {
        let until = made.plus(self.options().max_age);
        if key.is_before_start(made) {
            return Err(Reason::Replay);
        }
        self.replay().take(key.number, nonce, seconds(until), seconds(now)).map_err(|taken| match taken {
            Taken::Again => Reason::Replay,
            Taken::Full => Reason::RateLimited,
        })?;
        let unwritten = |error: doorward_store::StoreError| {
            tracing::error!(%error, key = key.name, "whether a message was there before cannot be written down");
            Reason::AuditUnavailable
        };
        let store = self.house().store();
        if store.is_shared() {
            let first = store.take_tunnel_nonce(&key.name, &nonce, until.plus(Duration::from_secs(1))).await.map_err(unwritten)?;
            first.then_some(()).ok_or(Reason::Replay)?;
        }
        self.keyring().accept(key, made).await.map_err(unwritten)
    }

    /// Does what a request asks for.
    pub(crate) async fn serve(&self, route: Route, request: &Request) -> Reply {
        let (service, reply) = match route {
            Route::Publish => (Service::Mqtt, self.wished(Service::Mqtt, request, request.plain.publish().map(Wish::Mqtt)).await),
            Route::Gateway | Route::Subscribe => match request.plain.service() {
                Ok(service) => (service, self.wished(service, request, request.plain.wish()).await),
                Err(wrong) => return self.count("unknown", request, Reply::refused(403, &wrong.to_string(), Reason::BadRequest)),
            },
        };
        self.count(service.as_str(), request, reply)
    }

    async fn wished(&self, service: Service, request: &Request, wish: Result<Wish, Wrong>) -> Reply {
        let wish = match wish {
            Ok(wish) => wish,
            Err(wrong) => return wrong_reply(service, &wrong),
        };
        let about = about(&wish);
        let allowed = &request.key.allowed;
        // Who may call Jeedom may also send it requests that its API does not know.
        let is_for_jeedom = service == Service::Http && allowed.service(Service::Jeedom) && self.has_jeedom();
        if !allowed.service(service) && !is_for_jeedom {
            return Reply { about, ..Reply::refused(403, &format!("Not allowed: {service}"), Reason::NoGrant) };
        }
        let reply = match wish {
            Wish::Jeedom(call) => service::http::jeedom(self, request, call).await,
            Wish::Http(relay) => service::http::relay(self, request, relay).await,
            Wish::Mqtt(publish) => service::mqtt::publish(self, request, publish).await,
            Wish::Doors(wish) => service::doors::act(self, request, wish).await,
        };
        Reply { about, ..reply }
    }

    fn count(&self, service: &'static str, request: &Request, reply: Reply) -> Reply {
        metrics::counter!("doorward_tunnel_requests_total", "service" => service, "status" => status_word(reply.status)).increment(1);
        if let Some(reason) = reply.refused {
            self.note_refusal(&request.key, reason, service, request.source);
        }
        let (time, what, source) = (self.house().now().utc, reply.about.clone(), request.source);
        self.note_request(&request.key, Entry { time, service, what, status: reply.status, reason: reply.refused, source });
        reply
    }

    /// A body with an answer. Where it cannot be sealed any more it says nothing.
    pub(crate) fn sealed(&self, key: &Key, previous: bool, reply: &Reply) -> String {
        let told = reply.told(self.house().now().utc);
        key.seal(previous, told.as_bytes()).unwrap_or_else(|| noise(told.len()))
    }

    /// What somebody without a key gets.
    pub(crate) fn nothing(&self) -> String {
        noise(Reply::error(403, "Request expired").told(self.house().now().utc).len())
    }
}

impl Told {
    /// The refusal as a reply. At the route for publishing, one that is too old is told as an object.
    pub(crate) fn reply(&self, route: Route) -> Reply {
        if route == Route::Publish && self.status == 403 && self.why == "Request expired" {
            return Reply::json(403, &json!({ "error": self.why }));
        }
        Reply::error(self.status, self.why)
    }
}

/// What the original's clients are told about a request that is not whole.
fn wrong_reply(service: Service, wrong: &Wrong) -> Reply {
    let (status, text) = match (service, wrong) {
        (Service::Http, Wrong::Missing("url")) => (403, "Missing required 'url' parameter or 'host' parameter in payload".to_owned()),
        (Service::Jeedom, Wrong::Missing(field)) => (403, format!("'{field}'")),
        (Service::Mqtt | Service::Doors, _) => (400, wrong.to_string()),
        (Service::Http | Service::Jeedom, _) => (403, wrong.to_string()),
    };
    Reply::refused(status, &text, Reason::BadRequest)
}

/// What a request is about, without what may be secret in it.
fn about(wish: &Wish) -> String {
    match wish {
        Wish::Jeedom(call) => call.method.clone(),
        Wish::Http(relay) => format!("{} {}", relay.method, without_secrets(&relay.url)),
        Wish::Mqtt(publish) => publish.topic.clone(),
        Wish::Doors(wish) => format!("{} {}", wish.action, wish.door.as_deref().unwrap_or_default()).trim_end().to_owned(),
    }
}

/// An address without what may be secret in it: user, password, query and fragment.
fn without_secrets(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    // What parsers read as slashes, or leave out, is not shown at all.
    let Some((scheme, rest)) = url.split_once("://").filter(|_| !url.contains(['\\', '\t', '\n', '\r'])) else { return String::new() };
    let rest = rest.trim_start_matches('/');
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}{path}")
}

fn from_seconds(seconds: f64) -> Option<Time> {
    // Beyond this no clock of anybody's is; `as` would bend what does not fit.
    #[expect(clippy::cast_possible_truncation, reason = "bounded just before")]
    (seconds.is_finite() && seconds.abs() < 1e11).then(|| Time::from_micros((seconds * 1e6).round() as i64))
}

/// `|now − made| ≤ max_age`.
fn is_fresh(made: Time, max_age: Duration, now: Time) -> bool {
    now.since(made) <= max_age && made.since(now) <= max_age
}

fn status_word(status: u16) -> &'static str {
    match status {
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        _ => "5xx",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_fresh_for_a_minute_either_way() {
        let now = from_seconds(1_764_197_216.0).unwrap();
        for (seconds, fresh) in [(0.0, true), (60.0, true), (-60.0, true), (60.001, false), (-60.5, false), (1e9, false)] {
            let made = from_seconds(1_764_197_216.0 + seconds).unwrap();
            assert_eq!(is_fresh(made, Duration::from_mins(1), now), fresh, "{seconds}");
        }
        assert_eq!((from_seconds(f64::NAN), from_seconds(f64::INFINITY), from_seconds(1e300)), (None, None, None));
    }

    #[test]
    fn errors_are_the_originals() {
        let reply = |service, wrong| wrong_reply(service, &wrong);
        assert_eq!(reply(Service::Mqtt, Wrong::Missing("topic")).body, r#""{\"error\": \"Missing required field: 'topic'\"}""#);
        assert_eq!(reply(Service::Jeedom, Wrong::Missing("jsonrpc")).body, r#""{\"error\": \"'jsonrpc'\"}""#);
        assert!(reply(Service::Http, Wrong::Missing("url")).body.contains("'url' parameter or 'host' parameter"));
        let told = Reply::error(403, "Request expired").told(Time::from_micros(1_764_197_216_999_999));
        assert_eq!(told, r#"{"status":403,"body":"{\"error\": \"Request expired\"}","timestamp":1764197216}"#);
    }

    #[test]
    fn what_is_shown_of_an_address_holds_no_secret() {
        assert_eq!(without_secrets("https://user:pw@example.org:8443/a/b?key=pw#pw"), "https://example.org:8443/a/b");
        for url in
            ["http:\\\\user:pw@host/", "http:/user:pw@host", "http:user:pw@host", "http:///user:pw@host/", "ht\ttp://u:pw@h", "pw", ""]
        {
            assert!(!without_secrets(url).contains("pw"), "{url}");
        }
    }
}
