//! What is connected, registered and ringing. None of it outlives a restart.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;
use tokio::sync::{mpsc, watch};

use super::calls::Call;
use super::digest::Nonces;
use super::text::Message;
use crate::legrand::faults::Faults;
use crate::legrand::oddities::Writing;

/// How many JSON ids and requests of our own are remembered.
const REMEMBERED: usize = 2000;

/// The registrar's memory.
#[derive(Default)]
pub(crate) struct Exchange {
    lines: BTreeMap<u64, Line>,
    lines_made: u64,
    pub(crate) bindings: Vec<Binding>,
    pub(crate) nonces: Nonces,
    pub(crate) calls: Vec<Call>,
    pub(crate) asked: VecDeque<Asked>,
    json_ids: VecDeque<String>,
    tags: u64,
}

/// A connection.
pub(crate) struct Line {
    out: mpsc::UnboundedSender<Out>,
    frozen: watch::Sender<bool>,
    /// When its last byte came, milliseconds since 1970.
    heard: u64,
    pub(crate) peer: Peer,
}

/// Who is at the other end: the client that a certificate was issued to.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) client_id: String,
    pub(crate) gateway: String,
}

/// What a line has to do.
#[derive(Debug)]
pub(crate) enum Out {
    /// Write each of these by itself.
    Write(Vec<Vec<u8>>),
    /// Hang up.
    Close,
}

/// Where a client can be reached.
#[derive(Clone, Debug)]
pub(crate) struct Binding {
    pub(crate) user: String,
    pub(crate) domain: String,
    pub(crate) contact: String,
    pub(crate) line: u64,
    pub(crate) until: u64,
    pub(crate) call_id: String,
    pub(crate) cseq: u32,
}

/// A registration, for whoever looks.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct BindingView {
    /// `user@domain`.
    pub address: String,
    /// The URI where it is reached.
    pub contact: String,
    /// When it ends, milliseconds since 1970.
    pub until: u64,
}

/// A request of our own outside of a call.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) call_id: String,
    pub(crate) statuses: Vec<u16>,
}

impl Exchange {
    /// A new connection, with what it shall write.
    pub(crate) fn connect(&mut self, peer: Peer, now: u64) -> (u64, mpsc::UnboundedReceiver<Out>, watch::Receiver<bool>) {
        let (out, outbox) = mpsc::unbounded_channel();
        let frozen = watch::Sender::new(false);
        let ice = frozen.subscribe();
        self.lines_made += 1;
        self.lines.insert(self.lines_made, Line { out, frozen, heard: now, peer });
        (self.lines_made, outbox, ice)
    }

    /// Something came.
    pub(crate) fn heard(&mut self, line: u64, now: u64) {
        if let Some(line) = self.lines.get_mut(&line) {
            line.heard = now;
        }
    }

    /// A connection is gone, and whoever was registered over it.
    pub(crate) fn disconnected(&mut self, line: u64) {
        self.lines.remove(&line);
        self.bindings.retain(|binding| binding.line != line);
    }

    pub(crate) fn peer(&self, line: u64) -> Option<&Peer> {
        self.lines.get(&line).map(|line| &line.peer)
    }

    pub(crate) fn lines(&self) -> Vec<u64> {
        self.lines.keys().copied().collect()
    }

    /// Hangs up on everybody.
    pub(crate) fn close_all(&self) {
        for line in self.lines.values() {
            let _ = line.out.send(Out::Close);
        }
    }

    /// From now on nothing passes any more over the connections that there are, in neither direction, and nobody
    /// is told.
    pub(crate) fn freeze_all(&self) {
        for line in self.lines.values() {
            line.frozen.send_replace(true);
        }
    }

    pub(crate) fn close(&self, line: u64) {
        self.push(line, Out::Close);
    }

    pub(crate) fn write(&self, line: u64, bytes: Vec<u8>) {
        self.push(line, Out::Write(vec![bytes]));
    }

    /// Sends a message, cut and written as the faults have it.
    pub(crate) fn send(&self, line: u64, message: &Message, faults: &Faults) {
        let bytes = message.written(faults.header_form);
        self.push(line, Out::Write(cut(bytes, faults)));
    }

    fn push(&self, line: u64, out: Out) {
        if let Some(line) = self.lines.get(&line) {
            // Whoever has gone meanwhile misses it.
            let _ = line.out.send(out);
        }
    }

    /// A tag or a part of a branch that was never used before.
    pub(crate) fn tag(&mut self) -> String {
        self.tags += 1;
        format!("sim{}", self.tags)
    }

    /// Remembers a request of our own.
    pub(crate) fn ask(&mut self, call_id: String) {
        if self.asked.len() >= REMEMBERED {
            self.asked.pop_front();
        }
        self.asked.push_back(Asked { call_id, statuses: Vec::new() });
    }

    /// Whether this JSON id is new; remembers it.
    pub(crate) fn first_use(&mut self, json_id: &str) -> bool {
        let new = !self.json_ids.iter().any(|known| known == json_id);
        if self.json_ids.len() >= REMEMBERED {
            self.json_ids.pop_front();
        }
        self.json_ids.push_back(json_id.to_owned());
        new
    }

    pub(crate) fn registered(&self) -> Vec<BindingView> {
        let view = |binding: &Binding| BindingView {
            address: format!("{}@{}", binding.user, binding.domain),
            contact: binding.contact.clone(),
            until: binding.until,
        };
        self.bindings.iter().map(view).collect()
    }

    /// When something will happen by itself.
    pub(crate) fn due(&self, faults: &Faults) -> Option<u64> {
        let thawed = self.lines.values().filter(|line| !*line.frozen.borrow());
        let forgotten = thawed.filter_map(|line| Some(line.heard.saturating_add(faults.idle_forgotten_ms?)));
        self.calls.iter().filter_map(Call::due).chain(forgotten).min()
    }

    /// Lets registrations end, bells give up, and idle connections be forgotten.
    pub(crate) fn settle(&mut self, now: u64, faults: &Faults) {
        self.bindings.retain(|binding| binding.until > now);
        let late = self.calls.iter().filter(|call| call.due().is_some_and(|due| due <= now)).map(|call| call.id.clone());
        for id in late.collect::<Vec<_>>() {
            self.give_up(&id, faults);
        }
        if let Some(limit) = faults.idle_forgotten_ms {
            for line in self.lines.values().filter(|line| line.heard.saturating_add(limit) <= now) {
                line.frozen.send_replace(true);
            }
        }
    }
}

fn cut(bytes: Vec<u8>, faults: &Faults) -> Vec<Vec<u8>> {
    match faults.writing {
        Writing::Whole => vec![bytes],
        Writing::Halves => {
            let (first, second) = bytes.split_at(bytes.len() / 2);
            vec![first.to_vec(), second.to_vec()]
        }
        Writing::Bytes => bytes.into_iter().map(|byte| vec![byte]).collect(),
        Writing::Merged => {
            let options = Message::request("OPTIONS", "sip:client.invalid")
                .with("Via", "SIP/2.0/TLS vdesip.bs.iotleg.com:5228;branch=z9hG4bKmerged;rport")
                .with("From", "<sip:vdesip.bs.iotleg.com>;tag=merged")
                .with("To", "<sip:client.invalid>")
                .with("Call-ID", MERGED)
                .with("CSeq", "1 OPTIONS")
                .with("Max-Forwards", "70");
            vec![[b"\r\n".to_vec(), bytes, options.written(faults.header_form)].concat()]
        }
    }
}

/// The Call-ID of an OPTIONS that comes along with something else.
pub(crate) const MERGED: &str = "merged";
