//! What rings: one INVITE for each registered contact, and how each of them ends.

use std::sync::Arc;

use serde::Serialize;

use super::answers::{Asked as Request, Outcome, Refusal, Reply};
use super::command;
use super::exchange::{Binding, Exchange, MERGED};
use super::text::{Message, address, parameter};
use crate::legrand::faults::Faults;
use crate::legrand::world::{State, World};

/// An offer of media, as an indoor unit makes it.
const SDP: &str = "v=0\r\no=c100x 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 7078 RTP/AVP 110\r\n\
                   a=rtpmap:110 speex/8000\r\nm=video 9078 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=recvonly\r\n";
/// `CSeq` of every INVITE, as in the vectors.
const CSEQ: u32 = 102;

/// How a ring stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RingState {
    /// It rings.
    Ringing,
    /// Nobody is registered.
    Nobody,
    /// Somebody took the call.
    Answered,
    /// A phone that is not ours took the call.
    AnsweredElsewhere,
    /// Everybody refused.
    Refused,
    /// Whoever rang went away.
    Cancelled,
    /// It rang for as long as a panel does.
    TimedOut,
    /// The call was taken and is over.
    HungUp,
}

/// One ring, for whoever looks.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct RingView {
    /// The Call-ID.
    pub id: String,
    /// The panel whose button was pressed.
    pub panel: String,
    /// How it stands.
    pub state: RingState,
    /// Whom it reaches.
    pub legs: Vec<LegView>,
}

/// One INVITE, for whoever looks.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct LegView {
    /// The URI that was invited.
    pub contact: String,
    /// What came back, in order: 180, then 486, 480, 487 or 200.
    pub statuses: Vec<u16>,
    /// What came back to CANCEL.
    pub cancel_status: Option<u16>,
    /// What came back to BYE.
    pub bye_status: Option<u16>,
}

/// A ring at work.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) id: String,
    panel: String,
    name: String,
    domain: String,
    until: u64,
    state: RingState,
    legs: Vec<Leg>,
}

#[derive(Debug)]
struct Leg {
    line: u64,
    contact: String,
    branch: String,
    /// With the tag of whoever answered.
    to: String,
    ended: bool,
    answered: bool,
    seen: LegView,
}

impl Call {
    /// When it gives up.
    pub(crate) fn due(&self) -> Option<u64> {
        (self.state == RingState::Ringing).then_some(self.until)
    }

    fn view(&self) -> RingView {
        let legs = self.legs.iter().map(|leg| leg.seen.clone()).collect();
        RingView { id: self.id.clone(), panel: self.panel.clone(), state: self.state, legs }
    }

    fn request(&self, leg: &Leg, method: &str, uri: &str, branch: &str, cseq: u32) -> Message {
        Message::request(method, uri)
            .with("Via", format!("SIP/2.0/TLS vdesip.bs.iotleg.com:5228;branch={branch};rport"))
            .with("From", format!("\"{}\" <sip:c100x@{}>;tag={}", self.name.replace('"', "'"), self.domain, self.id))
            .with("To", leg.to.clone())
            .with("Call-ID", self.id.clone())
            .with("CSeq", format!("{cseq} {method}"))
            .with("Max-Forwards", "70")
    }

    fn invite(&self, leg: &Leg, sdp: bool) -> Message {
        let invite = self
            .request(leg, "INVITE", &leg.contact, &leg.branch, CSEQ)
            .with("Contact", format!("<sip:c100x@{};transport=tls>", self.domain))
            .with("User-Agent", "sim");
        if sdp { invite.with_body("application/sdp", SDP) } else { invite }
    }

    fn cancel(&self, leg: &Leg, elsewhere: bool) -> Message {
        let cancel = self.request(leg, "CANCEL", &leg.contact, &leg.branch, CSEQ);
        if elsewhere { cancel.with("Reason", "SIP;cause=200;text=\"Call completed elsewhere\"") } else { cancel }
    }
}

impl Call {
    /// What a final answer is answered with: ACK, and BYE when the call is over already.
    fn acknowledge(&mut self, nth: usize, tag: &str) -> Vec<Message> {
        let Some(leg) = self.legs.get(nth) else { return Vec::new() };
        // The ACK of a 2xx is a transaction of its own (RFC 3261, section 13.2.2.4).
        let branch = if leg.answered { format!("z9hG4bK{tag}") } else { leg.branch.clone() };
        let mut sent = vec![self.request(leg, "ACK", &leg.contact, &branch, CSEQ)];
        if leg.answered && self.state != RingState::Ringing {
            sent.push(self.request(leg, "BYE", &leg.contact, &format!("{branch}bye"), CSEQ + 1));
        }
        if self.state == RingState::Ringing && self.legs.iter().all(|leg| leg.ended && !leg.answered) {
            self.state = RingState::Refused;
        }
        sent
    }
}

/// Somebody presses the button of a panel. Gives the ids of what rings; `None` when there is no such panel.
pub(crate) fn ring(world: &World, panel: &str) -> Option<Vec<String>> {
    world.change(|state, now| {
        let (gateway, panel) = state.panel(panel).map(|(gateway, panel)| (gateway.id.clone(), panel.clone()))?;
        let domain = world.domain(&gateway);
        let rings = (0..state.faults.rings()).map(|_| {
            state.counters.rings += 1;
            let id = format!("ring-{}", state.dice.text(b"0123456789abcdef", 16));
            let mut call = Call {
                id: id.clone(),
                panel: panel.id.clone(),
                name: panel.name.clone(),
                domain: domain.clone(),
                until: now.saturating_add(panel.rings_ms),
                state: RingState::Ringing,
                legs: Vec::new(),
            };
            let reached: Vec<Binding> = state.exchange.bindings.iter().filter(|binding| binding.domain == domain).cloned().collect();
            for binding in reached {
                let leg = leg(&mut state.exchange, &binding, &domain);
                state.exchange.send(leg.line, &call.invite(&leg, state.faults.invite_with_sdp), &state.faults);
                call.legs.push(leg);
            }
            if call.legs.is_empty() {
                call.state = RingState::Nobody;
            }
            state.exchange.remember(call);
            id
        });
        Some(rings.collect())
    })
}

fn leg(exchange: &mut Exchange, binding: &Binding, domain: &str) -> Leg {
    let contact = binding.contact.clone();
    let seen = LegView { contact: contact.clone(), statuses: Vec::new(), cancel_status: None, bye_status: None };
    let branch = format!("z9hG4bK{}", exchange.tag());
    Leg { line: binding.line, contact, branch, to: format!("<sip:all@{domain}>"), ended: false, answered: false, seen }
}

impl Exchange {
    /// Remembers a ring; the oldest are forgotten.
    fn remember(&mut self, call: Call) {
        const REMEMBERED: usize = 1000;
        if self.calls.len() >= REMEMBERED {
            self.calls.remove(0);
        }
        self.calls.push(call);
    }

    pub(crate) fn rings(&self) -> Vec<RingView> {
        self.calls.iter().map(Call::view).collect()
    }

    /// A panel has rung for long enough.
    pub(crate) fn give_up(&mut self, id: &str, faults: &Faults) {
        self.end(id, RingState::TimedOut, faults);
    }

    /// Ends what rings. False when it does not.
    pub(crate) fn end(&mut self, id: &str, state: RingState, faults: &Faults) -> bool {
        let Some(index) = self.calls.iter().position(|call| call.id == id && call.state == RingState::Ringing) else {
            return false;
        };
        if let Some(call) = self.calls.get_mut(index) {
            call.state = state;
        }
        let Some(call) = self.calls.get(index) else { return false };
        let elsewhere = matches!(state, RingState::AnsweredElsewhere | RingState::Answered);
        for leg in call.legs.iter().filter(|leg| !leg.ended) {
            self.send(leg.line, &call.cancel(leg, elsewhere), faults);
        }
        true
    }

    /// Ends what was answered. False when it was not.
    pub(crate) fn hang_up(&mut self, id: &str, faults: &Faults) -> bool {
        let tag = self.tag();
        let Some(call) = self.calls.iter_mut().find(|call| call.id == id && call.state == RingState::Answered) else {
            return false;
        };
        call.state = RingState::HungUp;
        let byes: Vec<_> = call
            .legs
            .iter()
            .filter(|leg| leg.answered)
            .map(|leg| (leg.line, call.request(leg, "BYE", &leg.contact, &format!("z9hG4bK{tag}"), CSEQ + 1)))
            .collect();
        for (line, bye) in byes {
            self.send(line, &bye, faults);
        }
        true
    }
}

/// A response came.
pub(crate) fn responded(world: &Arc<World>, line: u64, response: &Message, status: u16) {
    world.change(|state, _| {
        let call_id = response.header("Call-ID").unwrap_or_default();
        let method = response.header("CSeq").and_then(|cseq| cseq.split_once(' ')).map_or("", |(_, method)| method.trim());
        if let Some(asked) = state.exchange.asked.iter_mut().find(|asked| asked.call_id == call_id) {
            asked.statuses.push(status);
        } else if call_id != MERGED && !in_call(state, line, response, call_id, method, status) {
            state.counters.stray_responses += 1;
        }
    });
}

/// False when it belongs to no call.
fn in_call(state: &mut State, line: u64, response: &Message, call_id: &str, method: &str, status: u16) -> bool {
    let branch = response.header("Via").and_then(|via| parameter(via, "branch")).unwrap_or_default();
    let next_tag = state.exchange.tag();
    let Some(call) = state.exchange.calls.iter_mut().find(|call| call.id == call_id) else {
        return false;
    };
    let its = |leg: &Leg| leg.line == line && (leg.branch == branch || (method == "BYE" && leg.answered));
    let Some(nth) = call.legs.iter().position(its) else { return false };
    let Some(leg) = call.legs.get_mut(nth) else { return false };
    let mut sent = Vec::new();
    match method {
        "CANCEL" => leg.seen.cancel_status = Some(status),
        "BYE" => leg.seen.bye_status = Some(status),
        "INVITE" => {
            leg.seen.statuses.push(status);
            if let Some(to) = response.header("To") {
                to.clone_into(&mut leg.to);
            }
            if status >= 200 && !leg.ended {
                leg.ended = true;
                leg.answered = status < 300;
                if let Some(contact) = response.header("Contact").filter(|_| status < 300) {
                    address(contact).clone_into(&mut leg.contact);
                }
                sent = call.acknowledge(nth, &next_tag);
            }
        }
        _ => return false,
    }
    for message in &sent {
        state.exchange.send(line, message, &state.faults);
    }
    if !sent.is_empty() && status < 300 {
        // The others need not ring any longer.
        state.exchange.end(call_id, RingState::Answered, &state.faults);
    }
    true
}

/// BYE from a client.
pub(crate) fn client_hangs_up(asked: &Request<'_>) -> Outcome {
    let call_id = asked.message.header("Call-ID").unwrap_or_default();
    asked.world.look(|state, _| {
        let call = state.exchange.calls.iter_mut().find(|call| call.id == call_id && call.state == RingState::Answered);
        let call = call.ok_or_else(|| Refusal::new(481, "no such call"))?;
        call.state = RingState::HungUp;
        Ok(Reply::plain())
    })
}

/// Ends what rings. False when it does not.
pub(crate) fn end(world: &World, ring: &str, how: RingState) -> bool {
    world.change(|state, _| state.exchange.end(ring, how, &state.faults))
}

/// Ends what was answered. False when it was not.
pub(crate) fn hang_up(world: &World, ring: &str) -> bool {
    world.change(|state, _| state.exchange.hang_up(ring, &state.faults))
}

/// Sends a request to everybody who is connected, outside of any call; gives the Call-IDs.
pub(crate) fn tell_all(world: &World, method: &str, body: Option<&str>) -> Vec<String> {
    world.look(|state, _| {
        let lines = state.exchange.lines();
        lines
            .into_iter()
            .filter_map(|line| {
                let gateway = state.exchange.peer(line)?.gateway.clone();
                let contact = state.exchange.bindings.iter().find(|binding| binding.line == line).map(|binding| binding.contact.clone());
                let to = contact.unwrap_or_else(|| "sip:client.invalid;transport=tls".to_owned());
                Some(command::tell(state, line, &world.domain(&gateway), &to, method, body))
            })
            .collect()
    })
}
