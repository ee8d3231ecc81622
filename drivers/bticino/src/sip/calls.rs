//! Who rings: calls that came in, from INVITE to their end (RFC 3261, sections 9 and 17.2.1).
//!
//! Nobody here speaks: a call is answered 180 until it is cancelled, until somebody of the house ends it, or until it has
//! rung for long enough.

use super::message::{Message, parameter, party};
use doorward_core::Mono;
use std::time::Duration;

/// Calls that may ring at once; more are told to be busy.
const MOST: usize = 16;
/// How long an ended call is remembered for what is sent again (64 × T1; RFC 3261, section 17.1.1.2).
const REMEMBERED: Duration = Duration::from_secs(32);
/// Bytes of a Call-ID, at most.
const LONGEST_ID: usize = 200;

/// When a call that nobody takes is told so, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// How long it rings.
    pub rings: Duration,
    /// What it is told then.
    pub status: u16,
}

impl Default for Patience {
    fn default() -> Self {
        Self { rings: Duration::from_mins(1), status: 480 }
    }
}

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallEnd {
    /// Whoever rang went away.
    Cancelled,
    /// Another phone took the call.
    Elsewhere,
    /// Nobody took it for so long.
    Timeout,
}

/// Something about a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CallNews {
    Rings { call: String, name: Option<String>, user: Option<String> },
    Ended { call: String, end: CallEnd },
}

/// The calls of one connection.
#[derive(Debug, Default)]
pub(super) struct Calls(Vec<Call>);

#[derive(Debug)]
struct Call {
    id: String,
    invite: Message,
    /// The tag of our end.
    tag: String,
    /// What was answered last.
    status: u16,
    /// When it has rung for long enough, or is forgotten.
    due: Mono,
}

impl Call {
    const fn rings(&self) -> bool {
        self.status == 180
    }

    fn answer(&mut self, status: u16, now: Mono) -> Message {
        self.status = status;
        self.due = now.plus(REMEMBERED);
        self.again()
    }

    fn again(&self) -> Message {
        Message::response(&self.invite, self.status, reason(self.status), &self.tag)
    }
}

impl Calls {
    /// Somebody rings. `None` in place of news when there is none.
    pub(super) fn invited(&mut self, invite: Message, tag: String, patience: Patience, now: Mono) -> (Message, Option<CallNews>) {
        let id = invite.field("Call-ID").unwrap_or_default().to_owned();
        if let Some(known) = self.0.iter().find(|call| call.id == id && call.invite.branch() == invite.branch()) {
            return (known.again(), None);
        }
        let answer = |status| Message::response(&invite, status, reason(status), &tag);
        if invite.field("To").is_some_and(|to| parameter(to, "tag").is_some()) {
            // Within a call that was never taken.
            return (answer(481), None);
        }
        if id.len() > LONGEST_ID {
            return (answer(400), None);
        }
        if self.0.iter().filter(|call| call.rings()).count() >= MOST || self.0.len() >= 2 * MOST {
            return (answer(486), None);
        }
        let (name, user) = party(invite.field("From").unwrap_or_default());
        let call = Call { id: id.clone(), invite, tag, status: 180, due: now.plus(patience.rings) };
        let ringing = call.again();
        self.0.push(call);
        (ringing, Some(CallNews::Rings { call: id, name, user }))
    }

    /// Whoever rang goes away: the call is answered 487, and the CANCEL itself 200 by the caller of this.
    pub(super) fn cancelled(&mut self, cancel: &Message, now: Mono) -> Option<(Message, CallNews)> {
        let id = cancel.field("Call-ID")?;
        let call = self.0.iter_mut().find(|call| call.rings() && call.id == id && call.invite.branch() == cancel.branch())?;
        let end = if taken_elsewhere(cancel) { CallEnd::Elsewhere } else { CallEnd::Cancelled };
        Some((call.answer(487, now), CallNews::Ended { call: id.to_owned(), end }))
    }

    /// Somebody of the house ended it.
    pub(super) fn end(&mut self, id: &str, status: u16, now: Mono) -> Vec<Message> {
        self.0.iter_mut().filter(|call| call.rings() && call.id == id).map(|call| call.answer(status, now)).collect()
    }

    /// The answer to the INVITE was heard.
    pub(super) fn acknowledged(&mut self, ack: &Message) {
        self.0.retain(|call| call.rings() || Some(call.id.as_str()) != ack.field("Call-ID"));
    }

    /// When something is due.
    pub(super) fn deadline(&self) -> Option<Mono> {
        self.0.iter().map(|call| call.due).min()
    }

    /// Ends what has rung for long enough, and forgets what ended long ago.
    pub(super) fn tick(&mut self, patience: Patience, now: Mono) -> Vec<(Message, CallNews)> {
        self.0.retain(|call| call.rings() || call.due > now);
        let due = self.0.iter_mut().filter(|call| call.rings() && call.due <= now);
        due.map(|call| {
            let answer = call.answer(patience.status, now);
            (answer, CallNews::Ended { call: call.id.clone(), end: CallEnd::Timeout })
        })
        .collect()
    }

    /// Ids of what rings.
    pub(super) fn ringing(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|call| call.rings()).map(|call| call.id.as_str())
    }
}

/// Whether a CANCEL says that somebody else answered (RFC 3326, section 3.1).
fn taken_elsewhere(cancel: &Message) -> bool {
    cancel.all("Reason").any(|reason| {
        let protocol = reason.split(';').next().unwrap_or_default().trim();
        protocol.eq_ignore_ascii_case("SIP") && parameter(reason, "cause") == Some("200")
    })
}

/// The usual words for a status (RFC 3261, section 21).
pub(super) const fn reason(status: u16) -> &'static str {
    match status {
        180 => "Ringing",
        200 => "OK",
        400 => "Bad Request",
        405 => "Method Not Allowed",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        486 => "Busy Here",
        487 => "Request Terminated",
        _ => "",
    }
}
