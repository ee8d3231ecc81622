//! A radio that comes and goes, as one stream of what is heard.

use crate::{
    issuer::uuid,
    radio::{
        Address, Advertisement, Advertising, Can, Characteristic, Fields, Incoming, Place, Radio, RadioError, Scan, Server, Service,
        Sighting, Sightings,
    },
};
use doorward_core::driver::Ctx;
use doorward_wire::ble::{COMPANY, v2};
use std::{sync::Arc, time::Duration};
use tokio::sync::mpsc;
use uuid::Uuid;

/// Sightings that are handed on at once.
const MANY: usize = 256;
/// Before a radio that is there and refuses is asked again.
const AGAIN: Duration = Duration::from_secs(5);

/// What a lock hears of its radio.
pub(super) enum Ear {
    /// It hears, and who wants to can connect to it.
    Up(Option<Arc<dyn Server>>),
    /// It does not, and why.
    Down(RadioError),
    /// Advertisements.
    Sightings(Vec<Sighting>),
    /// Somebody connected asks for something.
    Asked(Incoming),
}

/// Where challenges are read.
pub(super) fn challenge() -> Uuid {
    uuid(v2::CHALLENGE_CHARACTERISTIC)
}

/// Where they are answered, and what comes of it is told.
pub(super) fn response() -> Uuid {
    uuid(v2::RESPONSE_CHARACTERISTIC)
}

/// Listens for as long as somebody takes what is heard. A radio whose backend ended is opened anew.
pub(super) async fn listen(place: &Place, name: &str, ctx: &dyn Ctx, into: mpsc::Sender<Ear>) {
    loop {
        let mut address = [0; 6];
        ctx.fill(&mut address);
        let trouble = match place.open(name, Address(address), ctx.stopwatch()).await {
            Ok(radio) => follow(radio.as_ref(), ctx, &into).await,
            Err(error) => error,
        };
        if into.send(Ear::Down(trouble)).await.is_err() {
            return;
        }
        ctx.sleep(AGAIN).await;
    }
}

/// Listens to a radio for as long as its backend is there.
async fn follow(radio: &dyn Radio, ctx: &dyn Ctx, into: &mpsc::Sender<Ear>) -> RadioError {
    let mut state = radio.state();
    loop {
        if let Some(trouble) = state.now().trouble {
            // Nobody to tell is seen at the next thing that is heard.
            let _ = into.send(Ear::Down(trouble)).await;
        }
        let generation = match state.up().await {
            Ok(generation) => generation,
            Err(error) => return error,
        };
        let trouble = tokio::select! {
            trouble = hear(radio, into) => trouble,
            () = state.over(generation) => continue,
        };
        if into.send(Ear::Down(trouble)).await.is_err() {
            return RadioError::Gone("nobody listens any more".into());
        }
        ctx.sleep(AGAIN).await;
    }
}

/// Hears until the adapter is gone.
async fn hear(radio: &dyn Radio, into: &mpsc::Sender<Ear>) -> RadioError {
    let ended = || RadioError::Gone("it hears nothing any more".into());
    // Tokens are in the advertisement: no scan response is asked for.
    let mut sightings = match radio.scan(Scan { company: Some(COMPANY), active: false, ..Scan::default() }).await {
        Ok(sightings) => sightings,
        Err(error) => return error,
    };
    let server = serve(radio).await;
    // Who wants to answer a challenge finds the lock by it.
    let _beacon = match &server {
        Some(_) => advertise(radio).await,
        None => None,
    };
    if into.send(Ear::Up(server.clone())).await.is_err() {
        return ended();
    }
    loop {
        let heard = tokio::select! {
            heard = many(&mut sightings) => heard.map(Ear::Sightings),
            asked = next(server.as_deref()) => asked.map(Ear::Asked),
        };
        let Some(heard) = heard else { return ended() };
        if into.send(heard).await.is_err() {
            return ended();
        }
    }
}

async fn serve(radio: &dyn Radio) -> Option<Arc<dyn Server>> {
    let challenge = Characteristic { uuid: challenge(), can: Can { read: true, ..Can::default() } };
    let response = Characteristic { uuid: response(), can: Can { write: true, notify: true, ..Can::default() } };
    let service = Service { uuid: uuid(v2::LOCK_SERVICE), characteristics: vec![challenge, response] };
    match radio.serve(vec![service]).await {
        Ok(server) => Some(Arc::from(server)),
        Err(error) => {
            tracing::warn!(%error, "nobody can answer a challenge of this lock; tokens open it");
            None
        }
    }
}

async fn advertise(radio: &dyn Radio) -> Option<Box<dyn Advertising>> {
    let beacon = Advertisement::new(Fields::new().service(uuid(v2::LOCK_SERVICE))).connectable();
    match radio.advertise(beacon).await {
        Ok(advertising) => Some(advertising),
        Err(error) => {
            tracing::warn!(%error, "nobody finds this lock to answer its challenge, unless by its address; tokens open it");
            None
        }
    }
}

async fn many(sightings: &mut Sightings) -> Option<Vec<Sighting>> {
    let mut heard = Vec::new();
    (sightings.next_many(&mut heard, MANY).await > 0).then_some(heard)
}

async fn next(server: Option<&dyn Server>) -> Option<Incoming> {
    match server {
        Some(server) => server.next().await,
        None => std::future::pending().await,
    }
}
