//! What is done with a token that is heard.
//!
//! A hint is not looked at: it spares firmware a table of tokens, and here is one. It authenticates nothing.

use super::{
    Config, Failure, Lock, Output, Presented, Refused, RssiUnknown, Ticket, Way, What,
    session::Live,
    sessions::Place,
    shelf::{Drawer, Pending, shard},
    sift::sift,
    told::Stranger,
};
use crate::radio::Sighting;
use doorward_core::Now;
use doorward_wire::{
    attempt::ActionWord,
    ble::{
        order::Refusal,
        v2::{Advertised, Ways},
    },
};
use std::time::Duration;

/// A token that waited longer between the radio and here is what somebody showed, not what somebody shows.
const STALE: Duration = Duration::from_secs(3);
/// Who is let in later than this may not be there any more.
const FRESH: Duration = Duration::from_secs(10);

/// What comes of a token of a session.
enum Verdict {
    /// Its guest is let in.
    Open,
    /// Its guest was let in before.
    Repeat,
    /// It is of no slot of now.
    Unknown,
    /// It opened before, and comes again after its time.
    Replay,
    /// It is not enough.
    Refuse(Refusal),
}

impl Verdict {
    /// What is noted of it.
    const fn noted(&self) -> Option<What> {
        match self {
            Self::Open => Some(What::Open),
            Self::Repeat => Some(What::Repeat),
            Self::Unknown => None,
            Self::Replay => Some(What::Refused(Refusal::Replay)),
            Self::Refuse(reason) => Some(What::Refused(*reason)),
        }
    }
}

impl Lock {
    pub(super) fn sighting(&mut self, sighting: &Sighting, now: Now) {
        self.counters.heard += 1;
        // In a flood the ticks may come late; this way the table keeps up all the same.
        self.roll(1, now);
        let Some(heard) = sift(sighting) else {
            self.counters.foreign += 1;
            return;
        };
        if now.mono.since(sighting.at) > STALE {
            self.counters.late += 1;
        } else if !self.clock_known {
            self.stranger(Refusal::NoTime, &heard, sighting, now);
        } else if let Some(place) = self.sessions.find(&heard.token) {
            self.known(place, &heard, sighting, now);
        } else {
            self.stranger(Refusal::UnknownToken, &heard, sighting, now);
        }
    }

    fn known(&mut self, place: Place, heard: &Advertised, sighting: &Sighting, now: Now) {
        let Some(live) = self.sessions.at(place.session) else { return };
        let revoked = self.orders.is_revoked(&live.facts.nonce);
        let verdict = judge(live, &self.config, place.slot, heard, sighting, revoked, now);
        if let Some(what) = verdict.noted() {
            self.diary.note(Some(&live.facts.nonce), sighting.rssi, what, now);
        }
        match verdict {
            Verdict::Open => self.open(place, heard, sighting, now),
            Verdict::Repeat => self.counters.repeats += 1,
            Verdict::Unknown => self.stranger(Refusal::UnknownToken, heard, sighting, now),
            Verdict::Replay => {
                self.counters.replays += 1;
                if !self.sessions.told(&heard.token) {
                    self.refuse_session(place, Refusal::Replay, heard, sighting);
                }
            }
            Verdict::Refuse(reason) => {
                if live.tell(reason) {
                    self.refuse_session(place, reason, heard, sighting);
                }
            }
        }
    }

    /// Its guest is let in, once that is kept.
    fn open(&mut self, place: Place, heard: &Advertised, sighting: &Sighting, now: Now) {
        let Some(live) = self.sessions.at(place.session) else { return };
        live.opened = true;
        let presented = Presented {
            lock: self.config.id.clone(),
            action: ActionWord::Open,
            way: way(heard),
            nonce: Some(live.facts.nonce.clone()),
            client: live.facts.client(),
            rssi: sighting.rssi,
            address: Some(sighting.address),
            slot: Some(place.slot),
            connection: None,
        };
        let drawer = Drawer::Sessions(shard(&live.facts.nonce));
        self.sessions.accepted(place);
        self.shelf.wait(drawer, Pending { presented, since: now.mono, not_after: None });
    }

    fn refuse_session(&mut self, place: Place, reason: Refusal, heard: &Advertised, sighting: &Sighting) {
        let Some(live) = self.sessions.at(place.session) else { return };
        let (nonce, client) = (Some(live.facts.nonce.clone()), live.facts.client());
        self.refuse(Refused { nonce, client, ..told(reason, heard, sighting) });
    }

    /// A token of nobody. From further away than the door it is not told: phones show their tokens for other doors too.
    fn stranger(&mut self, reason: Refusal, heard: &Advertised, sighting: &Sighting, now: Now) {
        self.counters.unknown += 1;
        let is_near = match (self.config.rssi.threshold, sighting.rssi) {
            (Some(threshold), Some(rssi)) => rssi > threshold,
            (Some(_), None) => self.config.rssi.unknown == RssiUnknown::Accept,
            (None, _) => true,
        };
        if !is_near {
            return;
        }
        match self.told.stranger(&heard.token, reason, now.mono) {
            Stranger::Tell => {
                self.diary.note(None, sighting.rssi, What::Refused(reason), now);
                self.refuse(told(reason, heard, sighting));
            }
            Stranger::Known => {}
            Stranger::TooMany => self.counters.hushed += 1,
        }
    }

    /// Something is kept: whoever waited for that is let in, if nothing happened since.
    pub(super) fn kept(&mut self, ticket: Ticket, durable: bool, now: Now) {
        for Pending { presented, since, not_after } in self.shelf.kept(ticket, durable, now.mono) {
            if let Some(reason) = self.over(&presented, now) {
                let Presented { way, nonce, client, rssi, address, .. } = presented;
                self.refuse(Refused { reason, way, nonce, client, rssi, address });
            } else if !durable {
                // The next token may be luckier; this one stays used.
                let live = presented.nonce.as_ref().and_then(|nonce| self.sessions.by_nonce(nonce));
                if let Some(live) = live {
                    live.opened = false;
                }
                self.out.push_back(Output::Failed(Box::new(presented), Failure::NotKept));
            } else if now.mono.since(since) > FRESH || not_after.is_some_and(|end| now.utc > end) {
                self.out.push_back(Output::Failed(Box::new(presented), Failure::TooLate));
            } else {
                self.present(presented);
            }
        }
    }

    /// Why a session may not open any more that could when its token was heard.
    fn over(&mut self, presented: &Presented, now: Now) -> Option<Refusal> {
        if !self.clock_known {
            return Some(Refusal::NoTime);
        }
        let nonce = presented.nonce.as_ref()?;
        if self.orders.is_revoked(nonce) {
            return Some(Refusal::Revoked);
        }
        let gone = self.sessions.by_nonce(nonce).is_none_or(|live| live.facts.is_over(now.utc));
        gone.then_some(Refusal::Expired)
    }
}

fn judge(live: &mut Live, config: &Config, slot: u64, heard: &Advertised, sighting: &Sighting, revoked: bool, now: Now) -> Verdict {
    let is_now = live.facts.slot_at(now.utc).is_some_and(|current| slot == current || current.checked_sub(1) == Some(slot));
    let is_used = live.facts.used.has(slot);
    if !is_now {
        return if is_used { Verdict::Replay } else { Verdict::Unknown };
    }
    live.see(now.mono, config.approach);
    let wanted = if heard.hint.is_some() { Ways::HINTED } else { Ways::TOKEN };
    if config.secure || !live.facts.ways.has(wanted) {
        Verdict::Refuse(Refusal::TokenNotEnough)
    } else if revoked {
        Verdict::Refuse(Refusal::Revoked)
    } else if live.facts.is_over(now.utc) {
        Verdict::Refuse(Refusal::Expired)
    } else if is_used || live.opened {
        Verdict::Repeat
    } else if config.bind_mac && live.facts.phone.is_some_and(|phone| phone != sighting.address) {
        Verdict::Refuse(Refusal::OtherPhone)
    } else {
        near(live, config, sighting.rssi).map_or(Verdict::Open, Verdict::Refuse)
    }
}

/// Why a phone is not near enough.
fn near(live: &Live, config: &Config, heard: Option<i8>) -> Option<Refusal> {
    let phones = &config.rssi.phones;
    let own = if phones.is_empty() {
        None
    } else {
        let phone = live.facts.phone.filter(|_| config.bind_mac).map(|phone| phone.to_string());
        [phone, live.facts.client(), Some(live.facts.nonce.to_string())].into_iter().flatten().find_map(|name| phones.get(&name).copied())
    };
    let threshold = own.or(config.rssi.threshold)?;
    match heard {
        Some(rssi) => (rssi <= threshold).then_some(Refusal::TooFar),
        None => (config.rssi.unknown == RssiUnknown::Refuse).then_some(Refusal::RssiUnknown),
    }
}

const fn way(heard: &Advertised) -> Way {
    if heard.hint.is_some() { Way::Hinted } else { Way::Token }
}

fn told(reason: Refusal, heard: &Advertised, sighting: &Sighting) -> Refused {
    Refused { rssi: sighting.rssi, address: Some(sighting.address), ..Refused::new(reason, way(heard)) }
}
