//! One connection to the server, without the connection: what is said on it, and what is heard.
//!
//! Bytes come in by [`Session::received`], go out by [`Session::outgoing`], and what follows for the house by
//! [`Session::news`]. Every request is signed ahead of the challenge, so that opening a gate is one round trip. An
//! opening is sent once; it is sent again after a challenge alone, which is a definite no, and only while it is fresh.

use super::{
    calls::{CallNews, Calls, Patience, reason},
    commands::Commands,
    message::{Broken, Inbox, Message, Piece, Start},
    proof::{Wants, is_challenge},
    request::{Dice, Requests},
    rpc,
};
pub use super::{
    news::{End, Happening, Refusal},
    request::Identity,
};
use bytes::{Buf as _, BytesMut};
use doorward_core::{
    Mono,
    driver::{Ctx, Once},
};
use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    sync::Arc,
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
/// Messages that cannot be understood, until the connection is given up.
const MOST_MALFORMED: u32 = 20;
/// Bytes that wait to be sent, at most: a server that does not read is none.
const MOST_WAITING: usize = 1 << 20;
/// What is answered (RFC 3261, section 20.5).
const ALLOW: &str = "INVITE, ACK, BYE, CANCEL, OPTIONS, MESSAGE";

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
    requests: Requests,
    patience: Patience,
    inbox: Inbox,
    out: BytesMut,
    /// So many bytes were ever put out, and so many of them were taken from here.
    put: u64,
    taken: u64,
    pending: HashMap<String, Pending>,
    commands: Arc<Commands>,
    calls: Calls,
    malformed: u32,
    news: VecDeque<Happening>,
}

impl Session {
    /// A connection that has just been made, from our address. The commands are those of all connections to the gateway.
    pub fn new(identity: Arc<Identity>, local: SocketAddr, patience: Patience, commands: Arc<Commands>, ctx: &dyn Ctx) -> Self {
        Self {
            requests: Requests::new(identity, local, ctx),
            patience,
            inbox: Inbox::default(),
            out: BytesMut::new(),
            put: 0,
            taken: 0,
            pending: HashMap::new(),
            commands,
            calls: Calls::default(),
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
        self.inbox.pinged();
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
            if let Ask::Open { ticket, key, .. } = ask {
                // What was refused by a challenge and then not sent again has not opened anything.
                let end = if begins >= self.taken { End::NotSent } else { End::Unanswered { key: Some(key) } };
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
                let request = self.requests.register(expires, &branch, dice.next());
                (Ask::Register { expires }, request)
            }
            Ask::Open { ticket, gate, once, .. } => {
                // The last moment before its first byte.
                if let Err(stale) = once.check(now) {
                    return self.news.push_back(Happening::Opened { ticket, end: End::Stale(stale) });
                }
                let key = dice.number();
                let request = self.requests.open(&gate, &key, &branch, &mut dice, ctx);
                self.commands.sent(&key, &gate);
                (Ask::Open { ticket, gate, once, key }, request)
            }
        };
        let pending = Pending { ask, answered, due: now.mono.plus(ANSWER), begins: self.put };
        self.send(&request);
        self.pending.insert(branch, pending);
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
                let granted = self.requests.granted(response).unwrap_or(expires).min(LONGEST_REGISTRATION);
                self.news.push_back(Happening::Registered(granted));
            }
            (Ask::Register { expires }, Some(refusal)) => match longer(status, response, expires) {
                Some(expires) => self.ask(Ask::Register { expires }, pending.answered, ctx),
                None => self.news.push_back(Happening::NotRegistered(refusal)),
            },
            (Ask::Open { ticket, key, .. }, None) => {
                self.news.push_back(Happening::Opened { ticket, end: End::Accepted { key } });
            }
            (Ask::Open { ticket, .. }, Some(refusal)) => {
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
        match (self.requests.proof.challenged(status, response), answered) {
            // What was sent ahead may have answered a challenge of earlier times.
            (Wants::Answer { .. }, 0) | (Wants::Answer { stale: true }, 1) => Weighed::Again,
            (Wants::Answer { stale: true } | Wants::Unknown, _) => Weighed::Refused(refusal(false)),
            (Wants::Answer { stale: false }, _) => Weighed::Refused(refusal(true)),
        }
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
        let known = rpc::reply(&body).and_then(|reply| Some((self.commands.answered(&reply.id)?, reply)));
        self.news.push_back(match known {
            Some((gate, rpc::Reply { id, outcome })) => Happening::Replied { gate, key: id, outcome },
            None => Happening::Said(body),
        });
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
