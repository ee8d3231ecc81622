//! One connection to the server, without the connection: what is said on it, and what is heard.
//!
//! Bytes come in by [`Session::received`], go out by [`Session::outgoing`], and what follows for the house by
//! [`Session::news`]. Every request is signed ahead of the challenge, so that opening a gate is one round trip. An
//! opening is sent once; it is sent again after a challenge alone, which is a definite no, and only while it is fresh.

use super::{
    calls::{CallEnd, CallNews, Calls, Patience, reason},
    message::{Broken, Inbox, Message, Piece, Start, parameter},
    proof::{Proof, Wants, is_challenge},
    rpc,
};
use crate::digest::Credentials;
use bytes::{Buf as _, BytesMut};
use doorward_core::{
    Mono, Secret,
    driver::{Ctx, Fault, Once},
};
use std::{
    collections::{HashMap, VecDeque},
    fmt::Write as _,
    net::SocketAddr,
    time::Duration,
};

/// How long an answer is waited for.
const ANSWER: Duration = Duration::from_secs(20);
/// How long a registration is asked for.
const REGISTRATION: Duration = Duration::from_mins(10);
/// The longest registration that is believed.
const LONGEST_REGISTRATION: Duration = Duration::from_hours(24);
/// Openings that may be under way at once.
const MOST_OPENINGS: usize = 4096;
/// Commands whose answers are still known.
const REMEMBERED: usize = 256;
/// Messages that cannot be understood, until the connection is given up.
const MOST_MALFORMED: u32 = 20;
/// Bytes that wait to be sent, at most: a server that does not read is none.
const MOST_WAITING: usize = 1 << 20;
/// What is answered (RFC 3261, section 20.5).
const ALLOW: &str = "INVITE, ACK, BYE, CANCEL, OPTIONS, MESSAGE";
/// As the vendor's apps write it.
const SUPPORTED: &str = "replaces, outbound, gruu, path";

/// Who we are to one gateway.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The SIP user and its password.
    pub who: Credentials,
    /// The domain of the gateway: `<gateway>.bs.iotleg.com`.
    pub domain: String,
    /// The server's name, without a port.
    pub server: String,
    /// What we call ourselves.
    pub agent: String,
}

impl Identity {
    fn address(&self) -> String {
        format!("sip:{}@{}", self.who.username, self.domain)
    }
}

/// What follows for the house.
#[derive(Debug)]
pub enum Happening {
    /// The server knows where we are, for so long.
    Registered(Duration),
    /// It does not want to know.
    NotRegistered(Refusal),
    /// An opening has ended.
    Opened {
        /// Which one.
        ticket: u64,
        /// How.
        end: End,
    },
    /// A gate answered to a command.
    Replied {
        /// Which gate.
        gate: String,
        /// The command's own id, as in [`End::Accepted`].
        key: String,
        /// Done, or what is against it.
        outcome: Result<(), String>,
    },
    /// Somebody rings.
    Rings {
        /// The Call-ID.
        call: String,
        /// The name of whoever rings.
        name: Option<String>,
        /// The user of its address.
        user: Option<String>,
    },
    /// A call has ended.
    RingOver {
        /// The Call-ID.
        call: String,
        /// How.
        end: CallEnd,
    },
    /// The server said something else.
    Said(Vec<u8>),
}

/// How an opening ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The server took it: exactly 200. The key is the command's own id, by which the gate may answer later.
    Accepted {
        /// The JSON-RPC id.
        key: String,
    },
    /// A final status.
    Refused(Refusal),
    /// It was too late to send it.
    Stale(Fault),
    /// It was not sent.
    NotSent,
    /// It was sent, and nobody knows.
    Unanswered,
}

/// Why the server said no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Its status.
    pub status: u16,
    /// In words.
    pub reason: String,
    /// It does not take the password.
    pub wrong_password: bool,
    /// Not before this time is over.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// Whether asking again is of no use: the server does not take who we are.
    pub const fn is_for_good(&self) -> bool {
        self.wrong_password || self.status == 403
    }
}

/// What is asked of the server.
#[derive(Debug, Clone)]
enum Ask {
    Register { expires: Duration },
    Open { ticket: u64, gate: String, once: Once, key: String },
}

/// A request that waits for its answer.
#[derive(Debug)]
struct Pending {
    ask: Ask,
    /// Challenges of it that were answered.
    answered: u32,
    due: Mono,
    /// Where it stands in everything that was ever put out.
    begins: u64,
}

/// One connection to the server.
pub struct Session {
    identity: std::sync::Arc<Identity>,
    /// Our end.
    local: SocketAddr,
    patience: Patience,
    inbox: Inbox,
    out: BytesMut,
    /// So many bytes were ever put out, and so many of them were taken from here.
    put: u64,
    taken: u64,
    proof: Proof,
    pending: HashMap<String, Pending>,
    /// Commands in their order, for answers that come later.
    commands: VecDeque<Command>,
    /// Answers of gates that came before the server's.
    early: Vec<(Command, Result<(), String>)>,
    calls: Calls,
    registration: Registration,
    malformed: u32,
    news: VecDeque<Happening>,
}

/// The Call-ID and numbers of our registrations (RFC 3261, section 10.2.4).
#[derive(Debug)]
struct Registration {
    call_id: String,
    tag: String,
    cseq: u32,
}

/// A command that was sent.
#[derive(Debug)]
struct Command {
    key: String,
    gate: String,
    ticket: u64,
}

/// Random letters and digits for one request.
struct Dice {
    text: String,
    at: usize,
}

impl Dice {
    fn throw(ctx: &dyn Ctx) -> Self {
        let mut bytes = [0; 40];
        ctx.fill(&mut bytes);
        let text = bytes.iter().fold(String::with_capacity(80), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
        Self { text, at: 0 }
    }

    /// Sixteen digits.
    fn next(&mut self) -> &str {
        let from = self.at;
        self.at = (from + 16) % 80;
        &self.text[from..from + 16]
    }
}

impl Session {
    /// A connection that has just been made.
    pub fn new(identity: std::sync::Arc<Identity>, local: SocketAddr, patience: Patience, ctx: &dyn Ctx) -> Self {
        let mut dice = Dice::throw(ctx);
        let registration = Registration { call_id: dice.next().to_owned(), tag: dice.next().to_owned(), cseq: 0 };
        Self {
            identity,
            local,
            patience,
            inbox: Inbox::default(),
            out: BytesMut::new(),
            put: 0,
            taken: 0,
            proof: Proof::default(),
            pending: HashMap::new(),
            commands: VecDeque::new(),
            early: Vec::new(),
            calls: Calls::default(),
            registration,
            malformed: 0,
            news: VecDeque::new(),
        }
    }

    /// Tells the server where we are.
    pub fn register(&mut self, ctx: &dyn Ctx) {
        self.ask(Ask::Register { expires: REGISTRATION }, 0, ctx);
    }

    /// Tells the server that we go.
    pub fn leave(&mut self, ctx: &dyn Ctx) {
        self.ask(Ask::Register { expires: Duration::ZERO }, 0, ctx);
    }

    /// Opens a gate, once. Its end comes as [`Happening::Opened`].
    pub fn open(&mut self, ticket: u64, gate: String, once: Once, ctx: &dyn Ctx) {
        if self.pending.len() >= MOST_OPENINGS || self.out.len() >= MOST_WAITING {
            return self.news.push_back(Happening::Opened { ticket, end: End::NotSent });
        }
        self.ask(Ask::Open { ticket, gate, once, key: String::new() }, 0, ctx);
    }

    /// Wants to hear from the server (RFC 5626, section 3.5.1).
    pub fn ping(&mut self) {
        self.put_out(b"\r\n\r\n");
    }

    /// Ends a call that rings.
    pub fn end_call(&mut self, call: &str, status: u16, ctx: &dyn Ctx) {
        for answer in self.calls.end(call, status, ctx.now().mono) {
            self.send(&answer);
        }
    }

    /// Takes bytes that came. An error ends the connection.
    pub fn received(&mut self, bytes: &[u8], ctx: &dyn Ctx) -> Result<(), Broken> {
        self.inbox.push(bytes);
        self.read(ctx)
    }

    /// Where bytes that come are to be put; then [`Self::read`].
    pub fn incoming(&mut self) -> &mut BytesMut {
        self.inbox.buffer()
    }

    /// Reads what is there whole. An error ends the connection.
    pub fn read(&mut self, ctx: &dyn Ctx) -> Result<(), Broken> {
        while let Some(piece) = self.inbox.take()? {
            match piece {
                Piece::Ping => self.put_out(b"\r\n"),
                Piece::Pong => {}
                Piece::Malformed(why) => self.misunderstood(why)?,
                Piece::Message(message) => match &message.start {
                    Start::Response { status, reason } => self.answered(*status, reason, &message, ctx),
                    Start::Request { .. } => self.asked(message, ctx)?,
                },
            }
            if self.out.len() > MOST_WAITING {
                return Err(Broken::TooLong);
            }
        }
        Ok(())
    }

    /// The next thing that follows.
    pub fn news(&mut self) -> Option<Happening> {
        self.news.pop_front()
    }

    /// Bytes that are to be sent, and how many there are.
    pub fn outgoing(&self) -> &[u8] {
        &self.out
    }

    /// So many of them were sent.
    pub fn sent(&mut self, count: usize) {
        self.out.advance(count);
        self.taken += count as u64;
        if self.out.is_empty() {
            self.out = BytesMut::new();
        }
    }

    /// When [`Self::tick`] is due.
    pub fn deadline(&self) -> Option<Mono> {
        let answers = self.pending.values().map(|pending| pending.due).min();
        answers.into_iter().chain(self.calls.deadline()).min()
    }

    /// Lets time pass. `false` when a request was not answered, after which the connection is not to be used any more:
    /// what waits in it must not arrive late.
    pub fn tick(&mut self, ctx: &dyn Ctx) -> bool {
        let now = ctx.now().mono;
        for (answer, news) in self.calls.tick(self.patience, now) {
            self.send(&answer);
            self.tell_call(news);
        }
        self.pending.values().all(|pending| pending.due > now)
    }

    /// How many requests wait for an answer.
    pub fn waiting(&self) -> usize {
        self.pending.len()
    }

    /// How many openings do.
    pub fn openings(&self) -> usize {
        self.pending.values().filter(|pending| matches!(pending.ask, Ask::Open { .. })).count()
    }

    /// The connection is gone: says of everything under way whether it was sent. How a call that rings ends nobody can tell
    /// any more.
    pub fn close(&mut self) {
        let mut pending: Vec<Pending> = self.pending.drain().map(|(_, pending)| pending).collect();
        pending.sort_by_key(|pending| pending.begins);
        for Pending { ask, begins, answered, .. } in pending {
            if let Ask::Open { ticket, .. } = ask {
                // What was refused by a challenge and then not sent again has not opened anything.
                let end = if begins >= self.taken { End::NotSent } else { End::Unanswered };
                tracing::debug!(ticket, answered, ?end, "an opening lost its connection");
                self.news.push_back(Happening::Opened { ticket, end });
            }
        }
    }

    /// Whether somebody rings.
    pub fn rings(&self) -> bool {
        self.calls.ringing().next().is_some()
    }

    /// Sends a request, signed by the newest challenge.
    fn ask(&mut self, ask: Ask, answered: u32, ctx: &dyn Ctx) {
        let now = ctx.now();
        let mut dice = Dice::throw(ctx);
        let branch = format!("z9hG4bK.{}", dice.next());
        let (ask, request) = match ask {
            Ask::Register { expires } => {
                let request = self.register_request(expires, &branch, dice.next());
                (Ask::Register { expires }, request)
            }
            Ask::Open { ticket, gate, once, .. } => {
                // The last moment before its first byte.
                if let Err(stale) = once.check(now) {
                    return self.news.push_back(Happening::Opened { ticket, end: End::Stale(stale) });
                }
                let key = decimal(dice.next());
                let request = self.open_request(&gate, &key, &branch, &mut dice, ctx);
                if self.commands.len() == REMEMBERED {
                    self.commands.pop_front();
                }
                self.commands.push_back(Command { key: key.clone(), gate: gate.clone(), ticket });
                (Ask::Open { ticket, gate, once, key }, request)
            }
        };
        let pending = Pending { ask, answered, due: now.mono.plus(ANSWER), begins: self.put };
        self.send(&request);
        self.pending.insert(branch, pending);
    }

    fn via(&self, branch: &str) -> String {
        format!("SIP/2.0/TLS {};branch={branch};rport", self.local)
    }

    fn register_request(&mut self, expires: Duration, branch: &str, cnonce: &str) -> Message {
        self.registration.cseq += 1;
        let (address, uri) = (self.identity.address(), format!("sip:{}", self.identity.domain));
        let contact = format!("<sip:{}@{};transport=tls>;expires={}", self.identity.who.username, self.local, expires.as_secs());
        let request = Message::request("REGISTER", &uri)
            .with("Via", self.via(branch))
            .with("From", format!("<{address}>;tag={}", self.registration.tag))
            .with("To", format!("<{address}>"))
            .with("Call-ID", self.registration.call_id.as_str())
            .with("CSeq", format!("{} REGISTER", self.registration.cseq))
            .with("Contact", contact)
            .with("Max-Forwards", "70")
            .with("User-Agent", self.identity.agent.as_str())
            .with("Supported", SUPPORTED);
        self.signed(request, "REGISTER", &uri, cnonce)
    }

    fn open_request(&mut self, gate: &str, key: &str, branch: &str, dice: &mut Dice, ctx: &dyn Ctx) -> Message {
        let uri = format!("sip:diy@{}", self.identity.domain);
        let request = Message::request("MESSAGE", &uri)
            .with("Via", self.via(branch))
            .with("From", format!("<{}>;tag={}", self.identity.address(), dice.next()))
            // Without brackets, as the vendor's apps write it.
            .with("To", uri.as_str())
            .with("CSeq", "20 MESSAGE")
            .with("Call-ID", dice.next())
            .with("Max-Forwards", "70")
            .with("Route", format!("<sip:{};transport=tls;lr>", self.identity.server))
            .with("Supported", SUPPORTED)
            .with("Date", date(ctx))
            .with_body("text/plain", rpc::open(key, gate))
            .with("User-Agent", self.identity.agent.as_str());
        self.signed(request, "MESSAGE", &uri, dice.next())
    }

    fn signed(&mut self, request: Message, method: &str, uri: &str, cnonce: &str) -> Message {
        match self.proof.answer(&self.identity.who, method, uri, cnonce) {
            Some((name, value)) => request.with(name, Secret::reveal(&value).as_str()),
            None => request,
        }
    }

    fn put_out(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
        self.put += bytes.len() as u64;
    }

    fn send(&mut self, message: &Message) {
        let before = self.out.len();
        message.write(&mut self.out);
        self.put += (self.out.len() - before) as u64;
        tracing::debug!(target: "doorward::trace", sent = %message.masked(), "SIP");
    }

    fn misunderstood(&mut self, why: &str) -> Result<(), Broken> {
        self.malformed += 1;
        tracing::warn!(why, times = self.malformed, "the SIP server sent a message that cannot be understood");
        if self.malformed >= MOST_MALFORMED { Err(Broken::NotSip) } else { Ok(()) }
    }

    /// The server answers.
    fn answered(&mut self, status: u16, reason: &str, response: &Message, ctx: &dyn Ctx) {
        tracing::debug!(target: "doorward::trace", received = %response.masked(), "SIP");
        if status < 200 {
            return;
        }
        let Some(pending) = response.branch().and_then(|branch| self.pending.remove(branch)) else {
            tracing::debug!(status, "an answer to nothing that was asked");
            return;
        };
        ctx.answered("sip", status);
        let refusal = match self.weigh(status, reason, response, pending.answered) {
            Weighed::Taken => None,
            Weighed::Again => return self.ask(pending.ask, pending.answered + 1, ctx),
            Weighed::Refused(refusal) => Some(refusal),
        };
        match (pending.ask, refusal) {
            (Ask::Register { expires }, _) if expires.is_zero() => {}
            (Ask::Register { expires }, None) => {
                let granted = self.granted(response).unwrap_or(expires).min(LONGEST_REGISTRATION);
                self.news.push_back(Happening::Registered(granted));
            }
            (Ask::Register { expires }, Some(refusal)) => match longer(status, response, expires) {
                Some(expires) => self.ask(Ask::Register { expires }, pending.answered, ctx),
                None => self.news.push_back(Happening::NotRegistered(refusal)),
            },
            (Ask::Open { ticket, key, .. }, None) => {
                self.news.push_back(Happening::Opened { ticket, end: End::Accepted { key } });
                for (command, outcome) in self.early.extract_if(.., |(command, _)| command.ticket == ticket) {
                    self.news.push_back(Happening::Replied { gate: command.gate, key: command.key, outcome });
                }
            }
            (Ask::Open { ticket, .. }, Some(refusal)) => {
                self.early.retain(|(command, _)| command.ticket != ticket);
                self.news.push_back(Happening::Opened { ticket, end: End::Refused(refusal) });
            }
        }
    }

    fn weigh(&mut self, status: u16, reason: &str, response: &Message, answered: u32) -> Weighed {
        // Exactly 200: 202 says that somebody else will look at it.
        if status == 200 {
            return Weighed::Taken;
        }
        let refusal = |wrong_password| {
            let retry_after = response.field("Retry-After").and_then(|wait| wait.split([';', ' ', '(']).next()?.parse().ok());
            Refusal {
                status,
                reason: reason.chars().filter(|c| !c.is_control()).take(100).collect(),
                wrong_password,
                retry_after: retry_after.map(|seconds: u32| Duration::from_secs(seconds.min(3600).into())),
            }
        };
        if !is_challenge(status) {
            return Weighed::Refused(refusal(false));
        }
        match (self.proof.challenged(status, response), answered) {
            // What was sent ahead may have answered a challenge of earlier times.
            (Wants::Answer { .. }, 0) | (Wants::Answer { stale: true }, 1) => Weighed::Again,
            (Wants::Answer { stale: true } | Wants::Unknown, _) => Weighed::Refused(refusal(false)),
            (Wants::Answer { stale: false }, _) => Weighed::Refused(refusal(true)),
        }
    }

    /// How long the server keeps our contact: of the contact, else of the field (RFC 3261, section 10.3).
    fn granted(&self, response: &Message) -> Option<Duration> {
        let ours = format!("{};", self.local);
        let contacts = response.all("Contact").flat_map(|value| value.split(','));
        let mine = contacts.into_iter().find(|contact| contact.contains(&ours)).and_then(|contact| parameter(contact, "expires"));
        let seconds: u64 = mine.or_else(|| response.field("Expires"))?.parse().ok()?;
        Some(Duration::from_secs(seconds))
    }

    /// The server asks.
    fn asked(&mut self, request: Message, ctx: &dyn Ctx) -> Result<(), Broken> {
        tracing::debug!(target: "doorward::trace", received = %request.masked(), "SIP");
        let Start::Request { method, .. } = &request.start else { return Ok(()) };
        let whole = request.branch().is_some() && request.cseq().is_some_and(|(_, known)| known == method);
        let whole = whole && ["From", "To", "Call-ID"].iter().all(|name| request.field(name).is_some());
        if method == "ACK" {
            self.calls.acknowledged(&request);
            return Ok(());
        }
        let tag = Dice::throw(ctx).next().to_owned();
        let answer = |status| Message::response(&request, status, reason(status), &tag);
        if !whole {
            if request.field("Via").is_some() {
                let refused = answer(400);
                self.send(&refused);
            }
            return self.misunderstood("a request lacks a header field that every request has");
        }
        let now = ctx.now().mono;
        let answers = match method.as_str() {
            "INVITE" => {
                let (answer, news) = self.calls.invited(request, tag, self.patience, now);
                if let Some(news) = news {
                    self.tell_call(news);
                }
                vec![answer]
            }
            "CANCEL" => {
                let ended = self.calls.cancelled(&request, now);
                let mut answers = vec![answer(200)];
                if let Some((terminated, news)) = ended {
                    answers.push(terminated);
                    self.tell_call(news);
                }
                answers
            }
            "MESSAGE" => {
                let answers = vec![answer(200)];
                self.heard(request.body);
                answers
            }
            "BYE" => vec![answer(200)],
            "OPTIONS" => vec![answer(200).with("Allow", ALLOW)],
            _ => vec![answer(405).with("Allow", ALLOW)],
        };
        for answer in &answers {
            self.send(answer);
        }
        Ok(())
    }

    /// A gate answered, or the server said something else.
    fn heard(&mut self, body: Vec<u8>) {
        let known = rpc::reply(&body).and_then(|reply| {
            // An answer is believed once.
            let at = self.commands.iter().position(|command| command.key == reply.id)?;
            Some((self.commands.remove(at)?, reply.outcome))
        });
        let Some((command, outcome)) = known else { return self.news.push_back(Happening::Said(body)) };
        let under_way = |pending: &Pending| matches!(pending.ask, Ask::Open { ticket, .. } if ticket == command.ticket);
        if self.pending.values().any(under_way) {
            self.early.push((command, outcome));
        } else {
            self.news.push_back(Happening::Replied { gate: command.gate, key: command.key, outcome });
        }
    }

    fn tell_call(&mut self, news: CallNews) {
        self.news.push_back(match news {
            CallNews::Rings { call, name, user } => Happening::Rings { call, name, user },
            CallNews::Ended { call, end } => Happening::RingOver { call, end },
        });
    }
}

enum Weighed {
    Taken,
    Again,
    Refused(Refusal),
}

/// The registration that a server wants which finds ours too short (RFC 3261, section 10.3).
fn longer(status: u16, response: &Message, asked: Duration) -> Option<Duration> {
    let least = Duration::from_secs(response.field("Min-Expires")?.parse().ok()?);
    (status == 423 && least > asked && least <= LONGEST_REGISTRATION).then_some(least)
}

/// A random number in decimal digits, which does not begin with 0.
fn decimal(hex: &str) -> String {
    let number = u64::from_str_radix(hex, 16).unwrap_or_default();
    (100_000_000 + number % 900_000_000).to_string()
}

/// An IMF-fixdate (RFC 9110, section 5.6.7), as `Date` is written.
fn date(ctx: &dyn Ctx) -> String {
    ctx.now().utc.timestamp().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
