//! The loop: a beacon and its services for as long as there is an adapter, and what is done with each request.

use super::{
    Issuer,
    desk::{Desk, Job, Wanted},
    registry::{Ask, AskedBy, Refused, Registry},
    session::{Made, make},
};
use crate::{
    clock::{Clock, random},
    radio::{Address, Incoming, Peer, Radio, RadioError, Server},
};
use doorward_core::driver::BoxFuture;
use doorward_wire::{
    ble::{
        compat::PublicKey,
        framing::{PAUSE, split},
        request::{Request, Response, Trouble},
        v2::{Answer, Opened, Why},
    },
    device::Mac,
};
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use std::{
    num::NonZeroUsize,
    sync::{Arc, MutexGuard, PoisonError, atomic::Ordering},
    time::Duration,
};
use tokio::sync::Mutex;
use uuid::Uuid;

/// Between two tries with an adapter that is there and does not do it: at first, and at most.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// A notification has a head of 3 bytes; a piece has its names and numbers, and base64 makes four bytes of three.
const AROUND: (usize, usize) = (3, r#"{"chunk_index":63,"total_chunks":64,"data":""}"#.len());

/// Whom the work is done with.
#[derive(Clone, Copy)]
struct With<'a> {
    server: &'a dyn Server,
    registry: &'a dyn Registry,
    clock: &'a dyn Clock,
    /// Held while somebody is told something, where what one is told is told to all.
    line: &'a Mutex<()>,
}

impl Issuer {
    /// Hands out sessions until `stop` ends. An adapter that goes away is waited for.
    ///
    /// An error is for good: the beacon does not fit, or there will be no adapter any more.
    pub async fn run(
        &self,
        radio: &dyn Radio,
        registry: &dyn Registry,
        clock: &dyn Clock,
        mut stop: BoxFuture<'_, ()>,
    ) -> Result<(), RadioError> {
        self.config.beacon().check()?;
        let (mut standing, mut pause) = (radio.state(), RETRY.0);
        loop {
            let generation = tokio::select! {
                () = &mut stop => return Ok(()),
                up = standing.up() => up?,
            };
            let over = async {
                standing.clone().over(generation).await;
                Ok(())
            };
            let tried = tokio::select! {
                () = &mut stop => return Ok(()),
                over = over => over,
                served = self.serve(radio, registry, clock) => served,
            };
            match tried {
                Ok(()) => {
                    tracing::warn!("the adapter of the issuer is gone: it goes on when the adapter is back");
                    pause = RETRY.0;
                }
                Err(error) => {
                    tracing::warn!("the issuer cannot use its adapter, and tries again in {pause:?}: {error}");
                    tokio::select! {
                        () = &mut stop => return Ok(()),
                        () = clock.sleep(pause) => pause = (pause * 2).min(RETRY.1),
                    }
                }
            }
        }
    }

    /// Serves until the adapter is gone.
    async fn serve(&self, radio: &dyn Radio, registry: &dyn Registry, clock: &dyn Clock) -> Result<(), RadioError> {
        self.desk().empty();
        // Whoever hears the beacon shall find what it promises.
        let server = radio.serve(self.services()).await?;
        let beacon = radio.advertise(self.config.beacon()).await?;
        tracing::info!(name = self.config.name, "the issuer advertises");
        let (line, mut work) = (Mutex::new(()), FuturesUnordered::new());
        let with = With { server: &*server, registry, clock, line: &line };
        let mut next = server.next();
        loop {
            tokio::select! {
                Some(()) = work.next(), if !work.is_empty() => {}
                incoming = &mut next => {
                    let Some(incoming) = incoming else { break };
                    next = server.next();
                    if let Some(job) = self.take(incoming, clock) {
                        work.push(self.attend(job, with));
                    }
                }
            }
        }
        drop(beacon);
        Ok(())
    }

    /// What somebody wants, and the request that is whole by it.
    fn take(&self, incoming: Incoming, clock: &dyn Clock) -> Option<Job> {
        let (now, mut desk) = (clock.now().mono, self.desk());
        let (taken, reply) = match incoming {
            Incoming::Read { peer, characteristic, reply } => {
                reply.give(match &self.keys.v2 {
                    Some(issuer) if characteristic == self.config.provision => {
                        desk.hello(peer, issuer.identity().key_id(), random(clock), now)
                    }
                    _ => desk.last(peer, now),
                });
                return None;
            }
            Incoming::Write { peer, characteristic, value, reply } => match &self.keys.v2 {
                Some(issuer) if characteristic == self.config.provision => (desk.sealed(peer, &value, issuer, now).map(Some), reply),
                _ => (desk.piece(peer, &value, now), reply),
            },
            Incoming::Subscribed { .. } => return None,
            Incoming::Gone(peer) => {
                desk.gone(peer);
                return None;
            }
        };
        let (job, said) = match taken {
            Ok(job) => (job, Ok(())),
            Err(error) => (None, Err(error)),
        };
        reply.give(said);
        job
    }

    /// Answers one request.
    async fn attend(&self, job: Job, with: With<'_>) {
        let Job { peer, request, limited } = job;
        self.counts.asked.fetch_add(1, Ordering::Relaxed);
        match request {
            Wanted::V1(body) => {
                let answered = match body {
                    _ if limited => Err(too_often()),
                    Ok(body) => self.answer_v1(peer, &body, with).await,
                    Err(trouble) => Err(Refused::new(trouble, "what was written makes no sense")),
                };
                let response = answered.unwrap_or_else(|refused| Response::from(self.refuse(peer, &refused)));
                self.tell_v1(peer, &response, with).await;
            }
            Wanted::V2(opened) => {
                let answered = if limited { Err(too_often()) } else { self.answer_v2(peer, &opened, with).await };
                let answer = answered.unwrap_or_else(|refused| Answer::Refused(why(self.refuse(peer, &refused))));
                match opened.answer(&answer, random(with.clock)) {
                    Ok(frame) => self.tell(peer, self.config.provision, &[frame], with).await,
                    Err(error) => tracing::warn!("an answer of version 2 could not be made: {error}"),
                }
            }
        }
        self.desk().done(peer.id);
    }

    async fn answer_v1(&self, peer: Peer, body: &[u8], with: With<'_>) -> Result<Response, Refused> {
        let makes_sense = |trouble| Refused::new(trouble, "the request makes no sense");
        let request = Request::read(body).map_err(makes_sense)?;
        let by = match request.key() {
            Ok(pem) => {
                let key = PublicKey::from_pem(pem);
                let key = key.map_err(|why| Refused::new(Trouble::InvalidRequest, format!("the guest's key cannot be used: {why}")))?;
                AskedBy::V1(Arc::new(key))
            }
            // Where all are told what one is told, it would be in clear for all of them, even with a link that is encrypted.
            Err(_) if self.config.plain && with.server.tells_one() => AskedBy::Nobody,
            Err(trouble) => return Err(makes_sense(trouble)),
        };
        let ask = Ask {
            lock: request.lock,
            by,
            client_id: request.client_id,
            invite: request.invite,
            phone_mac: mac(peer.address).or(request.phone_mac),
            client_time: request.client_time,
            peer: peer.address,
            at: with.clock.now(),
        };
        let made = self.decide(&ask, with).await?;
        let response = made.response(&ask, &self.keys)?;
        self.hand_out(&made, with).await?;
        Ok(response)
    }

    async fn answer_v2(&self, peer: Peer, opened: &Opened, with: With<'_>) -> Result<Answer, Refused> {
        let ask = Ask {
            lock: opened.ask.lock.clone(),
            by: AskedBy::V2(opened.guest),
            client_id: None,
            invite: Some(opened.ask.invite.clone()).filter(|invite| !invite.is_empty()),
            phone_mac: mac(peer.address),
            client_time: opened.ask.client_time,
            peer: peer.address,
            at: with.clock.now(),
        };
        let made = self.decide(&ask, with).await?;
        self.hand_out(&made, with).await?;
        Ok(Answer::Given(made.given()))
    }

    async fn decide(&self, ask: &Ask, with: With<'_>) -> Result<Made, Refused> {
        let leave = with.registry.decide(ask).await?;
        make(ask, &leave, self.config.life, &self.keys, with.clock)
    }

    /// The session is the lock's before it is the guest's.
    async fn hand_out(&self, made: &Made, with: With<'_>) -> Result<(), Refused> {
        let issued = &made.issued;
        with.registry.issued(issued).await?;
        self.counts.issued.fetch_add(1, Ordering::Relaxed);
        let (lock, who, nonce) = (issued.lock().as_str(), issued.who.as_str(), issued.nonce().as_str());
        tracing::info!(lock, who, nonce, key = issued.fingerprint, expiry = issued.expiry(), "session issued");
        Ok(())
    }

    fn refuse(&self, peer: Peer, refused: &Refused) -> Trouble {
        self.counts.refused.fetch_add(1, Ordering::Relaxed);
        if refused.trouble == Trouble::InternalError {
            self.counts.internal.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(peer = %peer.address, "a guest gets no session, and it is not its fault: {}", refused.log);
        } else if refused.trouble == Trouble::RateLimited {
            // A flood shall not fill the log.
            self.counts.rate_limited.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(peer = %peer.address, "no session: {refused}");
        } else {
            tracing::info!(peer = %peer.address, "no session: {refused}");
        }
        refused.trouble
    }

    async fn tell_v1(&self, peer: Peer, response: &Response, with: With<'_>) {
        let body = response.write();
        let pieces = match response {
            // Its phones know no pieces.
            Response::Plain(_) => Ok(vec![body.into_bytes()]),
            Response::Sealed(_) | Response::Error(_) => {
                split(body.as_bytes(), self.chunk(peer)).map(|pieces| pieces.map(String::into_bytes).collect())
            }
        };
        match pieces {
            Ok(pieces) => self.tell(peer, self.config.request, &pieces, with).await,
            Err(why) => tracing::warn!(peer = %peer.address, mtu = peer.mtu, "the answer does not fit: {why}"),
        }
    }

    /// Tells one after the other, with the pause that phones in the field need.
    async fn tell(&self, peer: Peer, characteristic: Uuid, pieces: &[Vec<u8>], with: With<'_>) {
        // Pieces of two answers must not reach a phone mixed.
        let _line = if with.server.tells_one() { None } else { Some(with.line.lock().await) };
        for (number, piece) in pieces.iter().enumerate() {
            if number > 0 {
                with.clock.sleep(PAUSE).await;
            }
            if !self.desk().told(peer.id, piece) {
                return;
            }
            if let Err(error) = with.server.notify(peer.id, characteristic, piece).await {
                // It can still read the last one.
                tracing::debug!(peer = %peer.address, "the answer was not told: {error}");
                return;
            }
        }
    }

    /// As many bytes as a notification of this connection carries.
    fn chunk(&self, peer: Peer) -> NonZeroUsize {
        let carried = usize::from(peer.mtu).saturating_sub(AROUND.0 + AROUND.1) / 4 * 3;
        NonZeroUsize::new(carried).map_or(self.config.chunk, |carried| carried.min(self.config.chunk))
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        // What is in it is right after any of its steps.
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn too_often() -> Refused {
    Refused::new(Trouble::RateLimited, "it asks too often")
}

/// The address of a peer, where the adapter knows one.
fn mac(address: Address) -> Option<Mac> {
    (address != Address::default()).then(|| address.to_string().parse().ok()).flatten()
}

/// The words of version 1 in version 2.
const fn why(trouble: Trouble) -> Why {
    match trouble {
        Trouble::NotEnrolled => Why::NotEnrolled,
        Trouble::NoGrant => Why::NoGrant,
        Trouble::InviteRefused => Why::InviteRefused,
        Trouble::RateLimited => Why::RateLimited,
        Trouble::InternalError => Why::InternalError,
        Trouble::InvalidRequest | Trouble::InvalidChunk | Trouble::MissingLockId | Trouble::MissingUnlockerPublicKey => Why::InvalidRequest,
    }
}
