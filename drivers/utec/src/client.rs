//! One call to the cloud: the envelope, what its answer means, and what may be said twice.
//!
//! A call that opens a door is sent again only after a definite "no": a 401 (renew the token, once) or a definite 4xx
//! (the caller tries an older shape). After anything else nobody knows, and that is what is told.

use crate::{config::Config, http::Http, states};
use doorward_core::{
    Mono,
    driver::{Ctx, Family, Fault, Once},
};
use doorward_http::{self as http, Lost, Received};
use doorward_oauth::Keeper;
use doorward_wire::attempt::Reason;
use serde_json::{Value, json};
use std::time::Duration;

/// How long a call that may be repeated takes at most, with all its repeats.
const BUDGET: Duration = Duration::from_secs(30);
/// The first wait before a repeat; it doubles each time.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// How often a call is repeated at most.
const REPEATS: u32 = 4;
/// How much of a vendor's message is passed on.
const MESSAGE: usize = 200;

/// Namespace and name of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Name(pub(crate) &'static str, pub(crate) &'static str);

/// Who am I.
pub(crate) const WHO: Name = Name("Uhome.User", "Get");
/// List devices.
pub(crate) const DISCOVERY: Name = Name("Uhome.Device", "Discovery");
/// Ask for states.
pub(crate) const QUERY: Name = Name("Uhome.Device", "Query");
/// Act.
pub(crate) const COMMAND: Name = Name("Uhome.Device", "Command");
/// Act, as older clouds want it.
pub(crate) const CONTROL: Name = Name("Uhome.Device", "Control");
/// Register for pushes.
pub(crate) const CONFIGURE: Name = Name("Uhome.Configure", "Set");

/// How carefully a call is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Care {
    /// When it is stale.
    once: Option<Once>,
    /// May be sent again when nobody knows what came of it.
    repeat: bool,
    /// Changes something, so that a lost answer leaves the outcome unknown.
    effect: bool,
}

impl Care {
    /// Asks: as often as it takes.
    pub(crate) const ASK: Self = Self { once: None, repeat: true, effect: false };
    /// Asks, and comes again anyway.
    pub(crate) const POLL: Self = Self { once: None, repeat: false, effect: false };
    /// Changes something that is the same after two times.
    pub(crate) const CHANGE: Self = Self { once: None, repeat: true, effect: true };
    /// Changes something that would be twice as much after two times.
    pub(crate) const ADD: Self = Self { once: None, repeat: false, effect: true };

    /// Opens a door.
    pub(crate) const fn opens(once: Once) -> Self {
        Self { once: Some(once), repeat: false, effect: true }
    }

    /// Locks a door.
    pub(crate) const fn locks(once: Once) -> Self {
        Self { once: Some(once), repeat: true, effect: true }
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    /// The cloud's JSON; `None` for an empty success.
    pub(crate) body: Option<Value>,
    /// When the request was sent.
    pub(crate) requested: Mono,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) struct Miss {
    /// What to tell.
    pub(crate) fault: Fault,
    /// The cloud has definitely not understood, so another shape may be tried.
    pub(crate) other_shape: bool,
}

impl From<Fault> for Miss {
    fn from(fault: Fault) -> Self {
        Self { fault, other_shape: false }
    }
}

impl From<Miss> for Fault {
    fn from(miss: Miss) -> Self {
        miss.fault
    }
}

/// The account's line to the cloud.
pub(crate) struct Cloud {
    pub(crate) config: Config,
    pub(crate) http: Http,
    pub(crate) tokens: Keeper,
}

/// What became of one request.
enum Outcome {
    Answered(Option<Value>),
    Unauthorized(Fault),
    /// A definite 4xx.
    NotUnderstood(Fault),
    /// A definite no for good.
    Refused(Fault),
    /// Too many requests.
    Busy(Fault),
    /// Not sent.
    Away(Fault),
    /// Sent, and nobody knows.
    Unknown {
        person: &'static str,
        log: String,
        status: Option<u16>,
        again: bool,
    },
}

impl Cloud {
    /// Makes a call.
    pub(crate) async fn call(&self, ctx: &dyn Ctx, name: Name, payload: &Value, care: Care) -> Result<Reply, Miss> {
        let begun = ctx.now().mono;
        let mut renewed = false;
        let mut repeats = 0;
        let mut lost: Option<Fault> = None;
        let mut bearer = self.tokens.bearer(ctx).await.map_err(not_sent)?;
        loop {
            let request = self.request(ctx, name, payload, bearer.authorization.reveal())?;
            let now = ctx.now();
            let left = BUDGET.saturating_sub(now.mono.since(begun)).clamp(Duration::from_secs(1), http::TOTAL);
            if let Some(stale) = care.once.and_then(|once| once.check(now).err()) {
                // What was sent before counts for more than that it is too late now.
                return Err(lost.unwrap_or(stale).into());
            }
            let received = http::send(ctx, self.http.api(), request, left).await;
            let fault = match read(received) {
                Outcome::Answered(body) => return Ok(Reply { body, requested: now.mono }),
                Outcome::Unauthorized(_) if !renewed => {
                    renewed = true;
                    bearer = self.tokens.renew_after(ctx, &bearer).await.map_err(not_sent)?;
                    continue;
                }
                Outcome::NotUnderstood(fault) => return Err(Miss { fault, other_shape: true }),
                Outcome::Unauthorized(fault) | Outcome::Refused(fault) => return Err(fault.into()),
                Outcome::Busy(fault) | Outcome::Away(fault) => fault,
                Outcome::Unknown { person, log, status, again } => {
                    let fault = unknown(care.effect, person, log, status);
                    if !again {
                        return Err(fault.into());
                    }
                    fault
                }
            };
            let pause = wait_before(ctx, repeats).max(fault.retry_after.unwrap_or_default());
            if !care.repeat || repeats == REPEATS || ctx.now().mono.since(begun) + pause >= BUDGET {
                return Err(fault.into());
            }
            repeats += 1;
            tracing::debug!(name = name.1, repeats, log = fault.log, "asking the cloud again");
            lost = lost.filter(|lost| lost.family == Family::Timeout).or(Some(fault));
            ctx.sleep(pause).await;
        }
    }

    fn request(&self, ctx: &dyn Ctx, Name(namespace, name): Name, payload: &Value, authorization: &str) -> Result<reqwest::Request, Fault> {
        let mut bytes = [0; 16];
        ctx.fill(&mut bytes);
        let id = uuid::Builder::from_random_bytes(bytes).into_uuid();
        let body = json!({
            "header": { "namespace": namespace, "name": name, "messageId": id, "payloadVersion": "1" },
            "payload": payload,
        });
        self.http
            .api()
            .post(self.config.action_url())
            .header("authorization", authorization)
            .header("x-access-key", &self.config.access_key)
            .header("x-secret-key", self.config.secret_key.reveal())
            .header("x-scope", &self.config.scope)
            .header("accept", "application/json")
            .json(&body)
            .build()
            .map_err(|_| {
                Fault::protocol("Check the keys and addresses of the account.", "no request could be made from the account's settings")
            })
    }
}

/// Trouble with the token came before the call itself: whatever became of the renewal, nothing was asked of a door.
fn not_sent(fault: Fault) -> Fault {
    match fault.family {
        Family::Timeout => Fault { family: Family::Offline, reason: Some(Reason::Offline), ..fault },
        Family::Auth | Family::Offline | Family::Refused | Family::Protocol => fault,
    }
}

/// A wait that doubles, with jitter so that many do not come back together.
fn wait_before(ctx: &dyn Ctx, repeats: u32) -> Duration {
    let mut dice = [0];
    ctx.fill(&mut dice);
    let base = FIRST_WAIT * 2u32.saturating_pow(repeats);
    base / 2 + base * u32::from(dice[0]) / 512
}

/// What is told when an answer did not come: with an effect, nobody knows; without one, the cloud is just away.
fn unknown(effect: bool, person: &str, log: String, status: Option<u16>) -> Fault {
    let mut fault = if effect {
        let person = format!("{person} Look at the lock before you try again: the command may have arrived.");
        Fault::timeout(person, log).because(Reason::OutcomeUnknown)
    } else {
        Fault::offline(person, log).because(Reason::Offline)
    };
    fault.status = status;
    fault
}

fn read(received: Result<Received, Lost>) -> Outcome {
    let Received { status, retry_after, body } = match received {
        Err(Lost::NotSent(why)) => {
            let person = "The vendor's cloud cannot be reached. Check the internet connection.";
            return Outcome::Away(Fault::offline(person, format!("/action: {why}")).because(Reason::Offline));
        }
        Err(Lost::Sent(why)) => {
            return Outcome::Unknown {
                person: "The vendor's cloud did not answer.",
                log: format!("/action: {why}"),
                status: None,
                again: true,
            };
        }
        Ok(received) => received,
    };
    let unknown = |person, log: String, again| Outcome::Unknown {
        person,
        log: format!("/action answered {status}: {log}"),
        status: Some(status),
        again,
    };
    match status {
        200..300 => match body {
            Err(broken) => unknown("The vendor's answer broke off.", broken, true),
            Ok(body) if body.iter().all(u8::is_ascii_whitespace) => Outcome::Answered(None),
            Ok(body) => match serde_json::from_slice::<Value>(&body) {
                Err(error) => {
                    unknown("The vendor's cloud gave an answer that doorward does not understand.", format!("no JSON: {error}"), false)
                }
                Ok(body) => match states::error(&body) {
                    None => Outcome::Answered(Some(body)),
                    Some(said) if said.is_invalid_token() => Outcome::Unauthorized(unauthorized(&said.shown())),
                    Some(said) => Outcome::Refused(refused(&said.shown()).status(502)),
                },
            },
        },
        401 => Outcome::Unauthorized(unauthorized(&message(body))),
        429 => {
            let person = "The vendor's cloud asks to wait: too many requests. Try again later.";
            let mut fault =
                Fault::refused(person, format!("/action answered 429: {}", message(body))).because(Reason::RateLimited).status(429);
            fault.retry_after = retry_after;
            Outcome::Busy(fault)
        }
        408 | 500.. => unknown("The vendor's cloud is out of order just now.", message(body), true),
        400..500 => match parsed(body) {
            Some(said) if said.is_invalid_token() => Outcome::Unauthorized(unauthorized(&said.shown())),
            said => Outcome::NotUnderstood(refused(&said.map_or_else(|| format!("status {status}"), |said| said.shown())).status(status)),
        },
        _ => unknown("The vendor's cloud gave an answer that doorward does not understand.", "not a status of an answer".into(), false),
    }
}

fn parsed(body: Result<Vec<u8>, String>) -> Option<states::Said> {
    states::error(&serde_json::from_slice(&body.ok()?).ok()?)
}

fn message(body: Result<Vec<u8>, String>) -> String {
    parsed(body).map_or_else(|| "no reason given".into(), |said| said.shown())
}

fn unauthorized(message: &str) -> Fault {
    Fault::refused(
        "The vendor's cloud does not accept the account's token or keys. Renew the token, or sign in again.",
        format!("/action answered 401: {}", cut(message)),
    )
    .because(Reason::VendorRefused)
    .status(401)
}

/// The vendor said no, in its own words.
pub(crate) fn refused(message: &str) -> Fault {
    let message = cut(message);
    Fault::refused(format!("The vendor's cloud refused: {message}."), format!("refused: {message}")).because(Reason::VendorRefused)
}

/// A vendor's words, short and on one line.
fn cut(message: &str) -> String {
    let clean: String = message.chars().filter(|c| !c.is_control()).take(MESSAGE).collect();
    clean.trim().trim_end_matches('.').to_owned()
}
