//! One lock: its radio, its broker and the clock go in, and what its core puts out is carried out.

use super::{
    config::{Actuator, Door, Here},
    ears::{Ear, challenge, listen, response},
};
use crate::{
    lock::{Input, Lock, Output, Presented, Refused, Way},
    radio::{AttError, Down, Incoming, PeerId, RadioError, Server},
};
use doorward_core::{
    Now, Secret,
    driver::{self, BoxFuture, Ctx, Family, How, Report, Sight, TurnedAway},
};
use doorward_wire::{
    attempt::{ActionWord, Reason},
    ble::{order::Refusal, topic::LockTopic, v2::challenge::Outcome},
    grant::Means,
};
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio::sync::mpsc;

/// What is heard of the radio and not handled yet. A flood waits at the radio, which drops it.
const MOST_HEARD: usize = 4;
/// How long whoever answered a challenge is told what came of it.
const TOLD: Duration = Duration::from_secs(10);
/// A clock that is before this was never set: 2026-01-01, in microseconds.
const SET: i64 = 1_767_225_600_000_000;

/// What the broker says to a lock.
pub(super) enum Heard {
    /// It can be reached, or not any more.
    Broker(bool),
    /// A message.
    Message {
        /// Where.
        topic: LockTopic,
        /// What.
        payload: Vec<u8>,
        /// The broker had kept it.
        kept: bool,
    },
}

struct Run<'a> {
    door: &'a Door,
    here: &'a Here,
    ctx: &'a dyn Ctx,
    lock: Lock,
    server: Option<Arc<dyn Server>>,
    /// Connections that wait for what comes of theirs.
    waiting: FuturesUnordered<BoxFuture<'a, (PeerId, Option<Outcome>)>>,
}

/// Runs a lock. It never ends by itself.
pub(super) async fn run(door: &Door, here: &Here, ctx: &dyn Ctx, mut messages: mpsc::Receiver<Heard>) {
    let lock = match restore(door, here, ctx).await {
        Ok(lock) => lock,
        Err(why) => {
            tracing::error!(door = door.external, why, "the lock opens for nobody");
            door.news.hears(Some(why));
            drop(messages);
            return std::future::pending().await;
        }
    };
    if let Actuator::Gpio(line) = &here.actuator {
        line.ready(&door.external).await;
    }
    let mut run = Run { door, here, ctx, lock, server: None, waiting: FuturesUnordered::new() };
    let (sender, mut ears) = mpsc::channel(MOST_HEARD);
    let mut listening = Box::pin(listen(&here.place, &door.external, ctx, sender));
    loop {
        run.carry_out().await;
        let nap = run.lock.deadline().since(ctx.now().mono);
        tokio::select! {
            heard = messages.recv() => if let Some(heard) = heard { run.message(heard).await } else { return },
            Some(ear) = ears.recv() => run.ear(ear),
            Some((connection, outcome)) = run.waiting.next() => run.tell_outcome(connection, outcome).await,
            () = &mut listening => return,
            () = ctx.sleep(nap) => run.tick(),
        }
    }
}

/// The lock as it was kept. What cannot be read is not there: its sessions come again from the issuer.
async fn restore(door: &Door, here: &Here, ctx: &dyn Ctx) -> Result<Lock, String> {
    let config = door.config(here).map_err(|mistake| mistake.to_string())?;
    let kept = ctx.kept_under(&format!("lock/{}/", door.id)).await.map_err(|error| error.to_string())?;
    let now = ctx.now();
    let restored = Lock::restore(config, kept, knows_time(now), now);
    for key in restored.unreadable {
        tracing::warn!(door = door.external, key, "what the lock kept makes no sense and is left out");
    }
    Ok(restored.lock)
}

fn knows_time(now: Now) -> bool {
    now.utc.as_micros() >= SET
}

impl Run<'_> {
    fn now(&self) -> Now {
        self.ctx.now()
    }

    fn tick(&mut self) {
        let now = self.now();
        self.lock.handle(Input::ClockKnown(knows_time(now)), now);
        self.lock.handle(Input::Tick, now);
        self.door.news.note(&self.lock);
    }

    async fn message(&mut self, heard: Heard) {
        let now = self.now();
        match heard {
            Heard::Broker(true) => self.hello().await,
            Heard::Message { topic: LockTopic::Session(_) | LockTopic::Sessions(..), payload, .. } if !payload.is_empty() => {
                self.lock.handle(Input::Session(&payload), now);
            }
            Heard::Message { topic: LockTopic::Revoked(_), payload, .. } if !payload.is_empty() => {
                self.lock.handle(Input::Revoked(&payload), now);
            }
            Heard::Message { topic: LockTopic::Command(_), kept: true, .. } => {
                self.turned_away(Reason::StaleCommand, json!({ "how": "a command that the broker had kept" }));
            }
            Heard::Message { topic: LockTopic::Command(_), payload, kept: false } => self.lock.handle(Input::Command(&payload), now),
            // An empty message takes a retained one away, and what locks say is not for them.
            Heard::Message { .. } | Heard::Broker(false) => {}
        }
    }

    /// Says that the lock is back: its issuer then says again what it may have missed.
    async fn hello(&mut self) {
        let topic = LockTopic::Hello(self.door.id.clone()).to_string();
        let Ok(payload) = serde_json::to_vec(&self.lock.hello()) else { return };
        let message = driver::Message { topic, payload, retain: false, fresh_for: None };
        if let Err(fault) = self.ctx.publish(message).await {
            tracing::debug!(door = self.door.external, log = fault.log, "the lock could not say hello");
        }
    }

    fn ear(&mut self, ear: Ear) {
        match ear {
            Ear::Up(server) => {
                self.server = server;
                self.door.news.hears(None);
                self.seen(true);
            }
            Ear::Down(error) => {
                if !matches!(error, RadioError::Down(Down::Looking, _)) {
                    tracing::warn!(door = self.door.external, %error, "the lock hears nobody");
                }
                self.server = None;
                self.door.news.hears(Some(error.to_string()));
                self.seen(false);
            }
            Ear::Sightings(sightings) => {
                for sighting in &sightings {
                    self.lock.handle(Input::Sighting(sighting), self.ctx.now());
                }
            }
            Ear::Asked(incoming) => self.asked(incoming),
        }
    }

    fn seen(&self, online: bool) {
        let sight = Sight { online: Some(online), ..Sight::new(How::Answer) };
        self.ctx.report(Report::Seen { external: self.door.external.clone(), sight });
    }

    fn asked(&mut self, incoming: Incoming) {
        let now = self.now();
        match incoming {
            Incoming::Read { peer, characteristic, reply } if characteristic == challenge() => {
                let mut random = [0; 16];
                self.ctx.fill(&mut random);
                reply.give(self.lock.challenge(peer.id, random, now).map_err(|_| AttError::Unlikely));
            }
            Incoming::Write { peer, characteristic, value, reply } if characteristic == response() => {
                self.lock.handle(Input::Written { connection: peer.id, value: &value }, now);
                reply.give(Ok(()));
            }
            Incoming::Read { reply, .. } => reply.give(Err(AttError::NotPermitted)),
            Incoming::Write { reply, .. } => reply.give(Err(AttError::NotPermitted)),
            Incoming::Subscribed { .. } => {}
            Incoming::Gone(peer) => self.lock.handle(Input::Gone(peer), now),
        }
    }

    /// Carries out what the core put out, in order, until it has no more.
    async fn carry_out(&mut self) {
        while let Some(output) = self.lock.poll() {
            match output {
                Output::Keep { ticket, key, value } => {
                    let durable = self.keep(&key, value).await;
                    self.lock.handle(Input::Kept { ticket, durable }, self.ctx.now());
                }
                Output::Forget { ticket, key } => {
                    let durable = self.ctx.forget(&key).await.is_ok();
                    self.lock.handle(Input::Kept { ticket, durable }, self.ctx.now());
                }
                Output::Present(presented) => self.present(*presented).await,
                Output::Refuse(refused) => self.refuse(&refused),
                Output::Failed(presented, failure) => {
                    tracing::error!(door = self.door.external, ?failure, "a guest was not let in who should have been");
                    self.turned_away(Reason::AuditUnavailable, about(presented.way, presented.client.as_deref(), presented.rssi));
                }
                Output::Tell { connection, outcome } => self.tell(connection, outcome).await,
            }
        }
    }

    async fn keep(&mut self, key: &str, value: Secret<Vec<u8>>) -> bool {
        let kept = self.ctx.keep(key, value).await;
        if let Err(error) = &kept {
            tracing::error!(door = self.door.external, %error, "the lock cannot keep what is used");
        }
        kept.is_ok()
    }

    /// Asks the house. It comes back with `Open`, or does not.
    async fn present(&mut self, presented: Presented) {
        let Presented { action, way, nonce, client, connection, .. } = presented;
        if action != ActionWord::Open {
            self.turned_away(Reason::NotCapable, about(way, client.as_deref(), presented.rssi));
            if let Some(connection) = connection {
                self.tell(connection, Outcome::Refused).await;
            }
            return;
        }
        // A command has its issuer's own decision behind it, and no session.
        let vouched = self.here.vouched || way == Way::Command;
        let credential = nonce.map(|nonce| nonce.to_string()).or(client).unwrap_or_default();
        let presented = driver::Presented { external: self.door.external.clone(), credential, means: Means::Ble, vouched };
        let Some(connection) = connection else { return self.ctx.report(Report::Presented(presented)) };
        let (ctx, answer) = (self.ctx, self.ctx.present(presented));
        self.waiting.push(Box::pin(async move {
            let outcome = tokio::select! {
                answer = answer => outcome(answer.map_err(|fault| fault.family)),
                () = ctx.sleep(TOLD) => None,
            };
            (connection, outcome)
        }));
    }

    fn refuse(&self, refused: &Refused) {
        let mut about = about(refused.way, refused.client.as_deref(), refused.rssi);
        about["session"] = json!(refused.nonce.as_ref().map(ToString::to_string));
        self.turned_away(reason(refused.reason), about);
    }

    fn turned_away(&self, reason: Reason, about: serde_json::Value) {
        let external = self.door.external.clone();
        self.ctx.report(Report::TurnedAway(TurnedAway { external, reason, means: Means::Ble, about }));
    }

    async fn tell_outcome(&mut self, connection: PeerId, outcome: Option<Outcome>) {
        if let Some(outcome) = outcome {
            self.tell(connection, outcome).await;
        }
    }

    async fn tell(&mut self, connection: PeerId, outcome: Outcome) {
        let Some(server) = &self.server else { return };
        if let Err(error) = server.notify(connection, response(), &outcome.write()).await {
            tracing::debug!(door = self.door.external, %error, "a guest could not be told what came of it");
        }
    }
}

/// What a guest is told. Where nobody knows whether the door opened, nothing: the guest says so by itself.
const fn outcome(answer: Result<(), Family>) -> Option<Outcome> {
    match answer {
        Ok(()) => Some(Outcome::Done),
        Err(Family::Timeout) => None,
        Err(Family::Auth | Family::Offline | Family::Refused | Family::Protocol) => Some(Outcome::Refused),
    }
}

fn about(way: Way, client: Option<&str>, rssi: Option<i8>) -> serde_json::Value {
    let way = match way {
        Way::Token => "token",
        Way::Hinted => "hinted token",
        Way::Challenge => "challenge",
        Way::Pass => "pass",
        Way::Command => "command",
        Way::Session => "session",
        Way::Revoked => "list of what is taken back",
    };
    json!({ "how": way, "client": client, "rssi": rssi })
}

/// Why somebody was turned away, as the house calls it.
pub(super) const fn reason(refusal: Refusal) -> Reason {
    match refusal {
        Refusal::UnknownToken | Refusal::OtherPhone => Reason::NotEnrolled,
        Refusal::Replay => Reason::Replay,
        Refusal::Expired => Reason::Expired,
        Refusal::Revoked => Reason::Revoked,
        Refusal::TooFar | Refusal::RssiUnknown => Reason::WeakSignal,
        Refusal::NoTime => Reason::NoClock,
        Refusal::TokenNotEnough => Reason::DoorMode,
        Refusal::ChallengeOver => Reason::StaleCommand,
        Refusal::WrongResponse | Refusal::Signature => Reason::BadSignature,
        Refusal::NotAllowed => Reason::NoGrant,
        Refusal::Malformed => Reason::BadRequest,
    }
}
