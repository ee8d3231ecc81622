//! What is fuzzed of the BTicino driver: what a SIP server says, and the JSON of the vendor's API and of the files that
//! can be imported. Each function takes whatever bytes and must neither panic nor break a promise. The driver's tests run
//! the same functions over the corpus.

#![allow(dead_code, reason = "every target uses one of them")]

use doorward_bticino::{
    certificate,
    csr::{self, Subject},
    digest::{Challenge, Credentials},
    files::{Files, SavedCertificate, SavedTokens, SipAccount},
    plants,
    sip::{
        Patience,
        message::{Inbox, Message, Piece, Start, parameter, party},
        rpc,
        session::{End, Happening, Identity, Session},
    },
};
use doorward_core::{
    Secret,
    conformance::Bench,
    driver::{Ctx, Once},
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, LazyLock},
    time::Duration,
};

const PASSWORD: &str = "a password that nobody writes";
/// Bytes of a message that is not there whole yet: its head, its body, and the end of its head.
const MOST_UNREAD: usize = (16 << 10) + (64 << 10) + 4;
/// Things of one list of the vendor.
const MOST_LISTED: usize = 500;
/// Certificates of one answer.
const MOST_CERTIFICATES: usize = 10;
/// Header fields that the reader takes.
const MOST_FIELDS: usize = 100;

/// One connection to a SIP server, from beginning to end. The first byte says in pieces of how many bytes it comes in; the
/// rest is a list of steps with a zero byte between them. A step is a word for what the house does (`register`, `open`,
/// `leave`, `ping`, `wait`, and `end <Call-ID>`), or what the server says, with `{branch}` and `{key}` for those of our
/// newest request.
pub(crate) fn sip(bytes: &[u8]) {
    let Some((size, steps)) = bytes.split_first() else { return };
    let (mut whole, mut pieces) = (Talk::new(), Talk::new());
    for step in steps.split(|byte| *byte == 0) {
        let goes_on = whole.step(step, usize::MAX);
        assert_eq!(goes_on, pieces.step(step, usize::from(*size).max(1)), "it ends alike");
        assert_eq!(whole.written, pieces.written, "pieces are answered like the whole");
        assert_eq!(whole.told, pieces.told, "pieces mean what the whole means");
        if !goes_on {
            break;
        }
    }
    whole.close();
}

/// One connection, and what was seen of it.
struct Talk {
    bench: Bench,
    session: Session,
    /// Reads what the server says once more.
    theirs: Inbox,
    heard: Vec<Message>,
    written: Vec<Message>,
    told: Vec<String>,
    opened: u64,
    ended: BTreeSet<u64>,
    /// How many calls ring, by their Call-IDs.
    ringing: BTreeMap<String, usize>,
    rings: usize,
    accepted: usize,
    /// Of our newest request.
    branch: Vec<u8>,
    key: Vec<u8>,
}

impl Talk {
    fn new() -> Self {
        let bench = Bench::new("2026-11-26T12:00:00Z".parse().expect("it is a time"));
        let identity = Identity {
            who: Credentials { username: "oid_1".into(), password: Secret::from(PASSWORD) },
            domain: "gw-1.bs.iotleg.com".into(),
            server: "vdesip.bs.iotleg.com".into(),
            agent: "doorward".into(),
        };
        let session = Session::new(Arc::new(identity), ([192, 0, 2, 10], 5060).into(), Patience::default(), Arc::default(), &bench);
        Self {
            bench,
            session,
            theirs: Inbox::default(),
            heard: Vec::new(),
            written: Vec::new(),
            told: Vec::new(),
            opened: 0,
            ended: BTreeSet::new(),
            ringing: BTreeMap::new(),
            rings: 0,
            accepted: 0,
            branch: Vec::new(),
            key: Vec::new(),
        }
    }

    /// Does a step; `false` when the connection is over.
    fn step(&mut self, step: &[u8], size: usize) -> bool {
        let goes_on = match step {
            b"register" => self.does(|session, bench| session.register(bench)),
            b"leave" => self.does(|session, bench| session.leave(bench)),
            b"ping" => self.does(|session, _| session.ping()),
            b"open" => {
                self.opened += 1;
                let (ticket, once) = (self.opened, Once { not_after: self.bench.now().utc.plus(Duration::from_secs(10)) });
                self.does(|session, bench| session.open(ticket, "20#2".into(), once, bench))
            }
            b"wait" => {
                self.bench.advance(Duration::from_secs(11));
                self.session.tick(&self.bench)
            }
            said => match said.strip_prefix(b"end ") {
                Some(call) => self.does(|session, bench| session.end_call(&String::from_utf8_lossy(call), 486, bench)),
                None => self.hear(said, size),
            },
        };
        self.look();
        goes_on
    }

    fn does(&mut self, what: impl FnOnce(&mut Session, &Bench)) -> bool {
        what(&mut self.session, &self.bench);
        true
    }

    fn hear(&mut self, said: &[u8], size: usize) -> bool {
        let said = replaced(&replaced(said, b"{branch}", &self.branch), b"{key}", &self.key);
        self.theirs.push(&said);
        while let Ok(Some(piece)) = self.theirs.take() {
            if let Piece::Message(message) = piece {
                self.heard.push(message);
            }
        }
        said.chunks(size).all(|bytes| {
            let read = self.session.received(bytes, &self.bench);
            assert!(read.is_err() || self.session.incoming().len() <= MOST_UNREAD, "what is not read yet is bounded");
            read.is_ok()
        })
    }

    /// Looks at everything that came of a step.
    fn look(&mut self) {
        let mut inbox = Inbox::default();
        inbox.push(self.session.outgoing());
        assert!(!contains(self.session.outgoing(), PASSWORD.as_bytes()), "a password is never sent");
        self.session.sent(self.session.outgoing().len());
        while let Some(piece) = inbox.take().expect("what is written can be framed") {
            match piece {
                Piece::Ping | Piece::Pong => {}
                Piece::Message(message) => self.wrote(message),
                // An answer copies every Via.
                Piece::Malformed(why) => {
                    let most = self.heard.iter().map(|message| message.all("Via").count()).max().unwrap_or_default();
                    assert!(most > MOST_FIELDS - 10, "what is written can be read: {why}");
                }
            }
        }
        assert!(inbox.buffer().is_empty(), "what is written is whole");
        while let Some(happening) = self.session.news() {
            self.happened(&happening);
            self.told.push(format!("{happening:?}"));
        }
        self.count();
    }

    fn wrote(&mut self, message: Message) {
        match &message.start {
            Start::Request { method, .. } => {
                assert!(!message.masked().to_string().contains("response="), "no proof is shown");
                self.branch = message.branch().expect("each request has a branch").into();
                if method == "MESSAGE" {
                    let command: Value = serde_json::from_slice(&message.body).expect("a command is JSON");
                    self.key = command["id"].as_str().expect("a command has an id").into();
                }
            }
            Start::Response { .. } => {
                let is_asked = |request: &Message| {
                    let copied = |name| request.field(name) == message.field(name);
                    matches!(request.start, Start::Request { .. }) && ["Via", "From", "Call-ID", "CSeq"].into_iter().all(copied)
                };
                assert!(self.heard.iter().any(is_asked), "an answer is to something that was asked");
                assert!(message.field("To").is_none_or(|to| parameter(to, "tag").is_some()), "an answer says who answers");
            }
        }
        self.written.push(message);
    }

    fn happened(&mut self, happening: &Happening) {
        match happening {
            Happening::Opened { ticket, end } => {
                assert!((1..=self.opened).contains(ticket) && self.ended.insert(*ticket), "an opening ends once");
                self.accepted += usize::from(matches!(end, End::Accepted { .. }));
            }
            Happening::Rings { call, .. } => {
                self.rings += 1;
                *self.ringing.entry(call.clone()).or_default() += 1;
            }
            Happening::RingOver { call, .. } => {
                let left = self.ringing.get_mut(call).and_then(|left| left.checked_sub(1).map(|less| *left = less));
                assert!(left.is_some(), "only what rang is over");
            }
            Happening::Replied { gate, .. } => assert_eq!(gate, "20#2"),
            Happening::Registered(_) | Happening::NotRegistered(_) | Happening::Said(_) => {}
        }
    }

    /// What holds of the numbers.
    fn count(&self) {
        let asked = self.heard.iter().filter(|message| matches!(&message.start, Start::Request { method, .. } if method != "ACK")).count();
        let statuses = |wanted: &[u16]| {
            let is = |message: &&Message| matches!(message.start, Start::Response { status, .. } if wanted.contains(&status));
            self.heard.iter().filter(is).count()
        };
        let answered = self.written.iter().filter(|message| matches!(message.start, Start::Response { .. })).count();
        assert!(answered <= asked + self.rings, "one answer to each request, and one more to a call that rang");
        let commands = self.written.iter().filter(|message| !message.body.is_empty()).count();
        let opened = usize::try_from(self.opened).expect("it is small");
        assert!(commands <= opened + statuses(&[401, 407]), "an opening is sent again only after a challenge");
        assert!(self.accepted <= statuses(&[200]), "only 200 is a yes");
        assert!(!self.session.rings() || self.ringing.values().any(|calls| *calls > 0), "what rings was told");
        assert!(self.session.openings() <= opened - self.ended.len(), "what has ended does not wait");
    }

    fn close(mut self) {
        self.session.close();
        self.look();
        assert_eq!(self.ended.len() as u64, self.opened, "each opening ends");
    }
}

fn replaced(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut rest = text;
    let mut replaced = Vec::new();
    while let Some(at) = rest.windows(from.len()).position(|window| window == from) {
        replaced.extend_from_slice(&rest[..at]);
        replaced.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    replaced.extend_from_slice(rest);
    replaced
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// What the vendor's API answers, what a gate answers to a command, and the three files that can be imported.
pub(crate) fn vendor(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    tokens(&text);
    account(&text);
    saved_certificate(&text);
    challenge(&text);
    let _ = (party(&text), parameter(&text, "tag"), certificate::validity(bytes), Files::default().add(&text));
    if let Some(Err(said)) = rpc::reply(bytes).map(|reply| reply.outcome) {
        assert!(is_one_line(&said, 200), "what a gate says is short");
    }
    let Ok(answer) = serde_json::from_slice::<Value>(bytes) else { return };
    catalogue(&answer);
    let found = certificate::in_answer(&answer);
    assert!(found.len() <= MOST_CERTIFICATES);
    for der in found {
        assert_eq!(certificate::from_pem(&certificate::to_pem("CERTIFICATE", &der)), [der], "what is written is what was read");
    }
}

fn is_one_line(text: &str, most: usize) -> bool {
    text.chars().count() <= most && !text.contains(char::is_control)
}

/// Nothing in it ends the URI or the header field that it becomes a part of.
fn is_identifier(text: &str) -> bool {
    !text.contains(|c: char| c.is_control() || c.is_whitespace() || "<>@\",;:?/\\".contains(c))
}

fn tokens(text: &str) {
    let Ok(tokens) = SavedTokens::read(text) else { return };
    assert_eq!(SavedTokens::read(tokens.write().reveal()).as_ref(), Ok(&tokens), "what is written is what was read");
    let other = SavedTokens {
        access_token: Secret::from("x"),
        refresh_token: tokens.refresh_token.as_ref().map(|_| Secret::from("y")),
        ..tokens.clone()
    };
    assert_eq!(format!("{tokens:?}"), format!("{other:?}"), "tokens cannot be printed");
}

fn account(text: &str) {
    let Ok(account) = SipAccount::read(text) else { return };
    assert_eq!(SipAccount::read(account.write().reveal()).as_ref(), Ok(&account), "what is written is what was read");
    let other = SipAccount { password: Secret::from("x"), ..account.clone() };
    assert_eq!(format!("{account:?}"), format!("{other:?}"), "a password cannot be printed");
    assert!(is_identifier(&account.sip_user()) && is_identifier(account.domain()), "{account:?}");
}

fn saved_certificate(text: &str) {
    let Ok(saved) = SavedCertificate::read(text) else { return };
    assert_eq!(SavedCertificate::read(saved.write().reveal()).as_ref(), Ok(&saved), "what is written is what was read");
    let other = SavedCertificate { key: Secret::from("x"), ..saved.clone() };
    assert_eq!(format!("{saved:?}"), format!("{other:?}"), "a key cannot be printed");
    assert!(certificate::from_pem(&saved.certificate).len() <= MOST_CERTIFICATES);
    let _ = certificate::key_from_pem(saved.key.reveal());
}

fn challenge(text: &str) {
    let Some(challenge) = Challenge::read(text) else { return };
    let who = Credentials { username: "oid_1".into(), password: Secret::from(PASSWORD) };
    let answer = challenge.answer(&who, "MESSAGE", "sip:diy@gw-1", 1, "c");
    assert!(!answer.reveal().contains(char::is_control), "an answer is one line");
    assert!(!answer.reveal().contains(PASSWORD) && answer.reveal().len() < 5000);
}

/// Plants and modules, from one answer that may hold both.
fn catalogue(answer: &Value) {
    let plants = plants::plants(answer);
    let inventory = plants::inventory(answer, &plants);
    let things = [plants.len(), inventory.gateways.len(), inventory.openers.len(), inventory.panels.len()];
    assert!(things.iter().all(|things| *things <= MOST_LISTED));
    let gateways: Vec<String> = inventory.gateways.iter().map(|gateway| gateway.id.clone()).collect();
    assert!(gateways.iter().all(|gateway| is_identifier(gateway)), "{gateways:?}");
    let doors = inventory.found(&gateways);
    for door in &doors {
        let opener = inventory.openers.iter().find(|opener| opener.external() == door.external);
        assert_eq!(plants::parts(&door.external), opener.map(|opener| (opener.gateway.as_str(), opener.id.as_str())));
    }
    assert_eq!(inventory.sights(&gateways, doorward_core::Mono::default()).len(), doors.len());
    for gateway in &gateways {
        for panel in &inventory.panels {
            let door = inventory.door_of_ring(gateway, Some(&panel.name), None);
            assert!(door.is_none_or(|external| doors.iter().any(|door| door.external == external)), "a bell rings at a door that there is");
        }
    }
    if let Some(plant) = plants::plant(answer) {
        request(&plant);
    }
}

/// A request for a certificate, which names the plant's owner.
fn request(plant: &plants::Plant) {
    static KEY: LazyLock<Secret<Vec<u8>>> = LazyLock::new(|| csr::new_key().expect("there is a key"));
    let subject =
        Subject { client_id: "1".into(), owner_email: plant.owner_email.clone(), sip_uri: format!("sip:{}_1@gw-1", plant.owner_id) };
    if let Ok(der) = csr::request(&KEY, &subject) {
        assert!(der.len() < 2000);
    }
}
