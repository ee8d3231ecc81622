//! What becomes of each message that a client sends.

use std::sync::Arc;

use super::calls;
use super::command;
use super::proof;
use super::register;
use super::text::{Message, Start, parameter};
use crate::legrand::faults::{Dead, On};
use crate::legrand::journal::LogId;
use crate::legrand::passage::{HTML, Mishap, Plan};
use crate::legrand::registry::Account;
use crate::legrand::world::World;

/// What the registrar understands.
const ALLOW: &str = "REGISTER, MESSAGE, OPTIONS, ACK, BYE, CANCEL";

/// Why a request is refused: a status, and a word for whoever wrote it.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) why: String,
    /// Fields that belong to the refusal.
    pub(crate) fields: Vec<(&'static str, String)>,
}

impl Refusal {
    pub(crate) fn new(status: u16, why: impl Into<String>) -> Self {
        Self { status, why: why.into(), fields: Vec::new() }
    }

    /// Written as no client of this registrar should.
    pub(crate) fn malformed(why: impl Into<String>) -> Self {
        Self::new(400, why)
    }
}

/// A request that was read.
pub(crate) struct Asked<'a> {
    pub(crate) world: &'a Arc<World>,
    pub(crate) line: u64,
    pub(crate) method: &'a str,
    pub(crate) uri: &'a str,
    pub(crate) message: &'a Message,
    /// What goes wrong on the way to the effect.
    pub(crate) mishap: Option<Mishap>,
}

/// What is answered, and what follows on the answer.
pub(crate) struct Reply {
    pub(crate) fields: Vec<(&'static str, String)>,
    pub(crate) after: Option<command::Echo>,
}

pub(crate) type Outcome = Result<Reply, Refusal>;

impl Reply {
    pub(crate) fn plain() -> Self {
        Self { fields: Vec::new(), after: None }
    }
}

/// Takes a message in.
pub(crate) fn received(world: &Arc<World>, line: u64, message: Message) {
    let (method, uri) = match &message.start {
        Start::Response { status, .. } => return calls::responded(world, line, &message, *status),
        Start::Request { method, uri } => (method.clone(), uri.clone()),
    };
    let at = match method.as_str() {
        "ACK" => return,
        "REGISTER" => On::Register,
        "MESSAGE" => On::Message,
        _ => On::OtherSip,
    };
    let log = world.log(&method, &uri);
    // Who has not proven anything yet is only challenged, so that a limited fault is not spent on that.
    let bare = at != On::OtherSip && !proof::offered(&message);
    let plan = world.look(|state, now| {
        state.counters.arrived(at);
        let plan = if bare { Plan::arrived(now) } else { state.faults.plan(at, now) };
        state.counters.faults += u64::from(plan.faulty());
        plan
    });
    let request = Request { world: Arc::clone(world), line, method, uri, message, plan, log };
    let admitted = request.acts().then(|| admitted(&request.asked()));
    if request.plan.waits() {
        world.spawn(async move {
            request.plan.before(&request.world).await;
            let effect = request.world.clock.now_ms();
            let outcome = admitted.map(|admitted| acted(&request.asked(), admitted));
            request.plan.after(&request.world, effect).await;
            deliver(&request, outcome);
        });
    } else {
        let outcome = admitted.map(|admitted| acted(&request.asked(), admitted));
        deliver(&request, outcome);
    }
}

/// A request on its way through its plan.
struct Request {
    world: Arc<World>,
    line: u64,
    method: String,
    uri: String,
    message: Message,
    plan: Plan,
    log: LogId,
}

impl Request {
    /// Whether it takes effect.
    fn acts(&self) -> bool {
        let spoils = matches!(self.plan.mishap, Some(Mishap::Dead(_) | Mishap::Status(_) | Mishap::Garbage));
        !spoils || self.plan.after_effect
    }

    fn asked(&self) -> Asked<'_> {
        let (method, uri, mishap) = (self.method.as_str(), self.uri.as_str(), self.plan.mishap);
        Asked { world: &self.world, line: self.line, method, uri, message: &self.message, mishap }
    }
}

/// Looks at a request when it comes, however late it then takes effect: a later one may have used its nonce up.
fn admitted(asked: &Asked<'_>) -> Result<Option<Account>, Refusal> {
    well_formed(asked)?;
    match asked.method {
        "REGISTER" => register::admit(asked).map(Some),
        "MESSAGE" => command::admit(asked).map(Some),
        _ => Ok(None),
    }
}

fn acted(asked: &Asked<'_>, admitted: Result<Option<Account>, Refusal>) -> Outcome {
    let outcome = admitted.and_then(|account| match (asked.method, account) {
        ("REGISTER", Some(account)) => register::register(asked, &account),
        ("MESSAGE", Some(account)) => command::obey(asked, &account),
        ("OPTIONS", _) => Ok(Reply { fields: vec![("Allow", ALLOW.to_owned())], after: None }),
        ("BYE", _) => calls::client_hangs_up(asked),
        ("CANCEL", _) => Err(Refusal::new(481, "nothing to cancel")),
        _ => Err(Refusal { status: 405, why: "unknown method".to_owned(), fields: vec![("Allow", ALLOW.to_owned())] }),
    });
    if let Err(refusal) = &outcome
        && refusal.status == 400
    {
        tracing::warn!(method = asked.method, why = refusal.why, "malformed SIP");
        asked.world.count(|counters| counters.sip_malformed += 1);
    }
    outcome
}

/// What every request must have (RFC 3261, section 8.1.1).
fn well_formed(asked: &Asked<'_>) -> Result<(), Refusal> {
    let field = |name: &str| asked.message.header(name).ok_or_else(|| Refusal::malformed(format!("{name} is missing")));
    let via = field("Via")?;
    if !via.starts_with("SIP/2.0/TLS ") || !parameter(via, "branch").is_some_and(|branch| branch.starts_with("z9hG4bK")) {
        return Err(Refusal::malformed("Via is not one of TLS with a branch of RFC 3261"));
    }
    if parameter(field("From")?, "tag").is_none_or(str::is_empty) {
        return Err(Refusal::malformed("From has no tag"));
    }
    let (cseq, method) = field("CSeq")?.split_once(' ').ok_or_else(|| Refusal::malformed("CSeq"))?;
    if cseq.parse::<u32>().is_err() || method.trim() != asked.method {
        return Err(Refusal::malformed("CSeq is not a number and the method"));
    }
    field("To")?;
    field("Call-ID")?;
    let hops = field("Max-Forwards")?.parse::<u8>();
    if hops.is_ok_and(|hops| hops > 0) { Ok(()) } else { Err(Refusal::new(483, "Max-Forwards")) }
}

/// Sends the answer, as far as the faults let it.
fn deliver(request: &Request, outcome: Option<Outcome>) {
    let status = match (&outcome, request.plan.mishap) {
        (_, Some(Mishap::Status(status))) => status,
        (Some(Err(refusal)), _) => refusal.status,
        (Some(Ok(_)) | None, _) => 200,
    };
    let tag = request.world.look(|state, _| state.exchange.tag());
    let mut response = Message::response(&request.message, status, &tag);
    routed_back(&mut response);
    let mut echo = None;
    match outcome {
        Some(Ok(reply)) => {
            echo = reply.after;
            response = with_all(response, reply.fields);
        }
        Some(Err(refusal)) => {
            response = with_all(response, refusal.fields).with("Warning", format!("399 sim \"{}\"", refusal.why.replace('"', "'")));
        }
        None => {}
    }
    if sent(request, &response) {
        request.world.log_status(request.log, status);
    }
    if let Some(echo) = echo {
        command::echo(&request.world, request.line, echo);
    }
}

/// Whether anything was sent at all.
fn sent(request: &Request, response: &Message) -> bool {
    let line = request.line;
    request.world.look(|state, _| {
        match request.plan.mishap {
            Some(Mishap::Dead(Dead::Silent)) => return false,
            Some(Mishap::Dead(Dead::Close)) => {
                state.exchange.close(line);
                return false;
            }
            Some(Mishap::Half) => {
                let bytes = response.written(state.faults.header_form);
                state.exchange.write(line, bytes.get(..bytes.len() / 2).unwrap_or_default().to_vec());
                state.exchange.close(line);
            }
            Some(Mishap::Garbage) => state.exchange.write(line, format!("{HTML}\r\n\r\n").into_bytes()),
            _ => state.exchange.send(line, response, &state.faults),
        }
        true
    })
}

fn with_all(response: Message, fields: Vec<(&'static str, String)>) -> Message {
    fields.into_iter().fold(response, |response, (name, value)| response.with(name, value))
}

/// Says where the request seems to come from (RFC 3581).
fn routed_back(response: &mut Message) {
    if let Some(via) = response.header("Via").filter(|via| via.split(';').any(|part| part == "rport")) {
        let via = via.replacen(";rport", ";rport=40000;received=127.0.0.1", 1);
        response.replace("Via", via);
    }
}
