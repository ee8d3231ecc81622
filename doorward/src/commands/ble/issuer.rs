//! `doorward ble issuer`: hands out sessions to whoever has a public key in the folder, as the original's issuer does.

use super::{Clock, broker, contents, no_radio, radio};
use crate::{
    cli::{BleIssuer, Global},
    config::LogFormat,
    failure::{Exit, Failure, Outcome},
    logging, output, serve,
};
use doorward_ble::{
    clock::Clock as _,
    issuer::{Config, FileRegistry, Issuer, Keys},
    keys::{Contents, Role, SecretV2},
};
use doorward_core::driver::{BoxFuture, Fault, Heard, Message};
use doorward_engine::Line as _;
use doorward_mqtt::remote::Alone;
use doorward_wire::{
    ble::{token::SlotLength, topic::LockTopic},
    topic::Filter,
};
use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::sync::{mpsc, watch};

/// How often it is looked what is due.
const TICK: Duration = Duration::from_secs(5);
/// A guest's clock is told in whole seconds, and may be one off by that: a token of one second would then never be heard in time.
const SHORTEST: u8 = 2;
/// Messages of locks that wait to be looked at.
const WAITING: usize = 256;

pub(super) async fn run(global: &Global, wish: BleIssuer) -> Outcome {
    let clock = Clock::start();
    let mut tail = [0; 4];
    clock.fill(&mut tail);
    let options = broker::options(&wish.broker, format!("doorward-issuer-{:08x}", u32::from_be_bytes(tail)))?;
    let slot = SlotLength::new(wish.slot).ok().filter(|slot| slot.seconds() >= SHORTEST);
    let slot = slot.ok_or_else(|| Failure::usage(format!("--slot (ADVERT_INTERVAL) must be {SHORTEST} to 60 seconds")))?;
    let mut contents = contents(global, &wish.keys)?;
    let issuer = Issuer::new(config(&wish)?, keys(&mut contents)?);
    let stop = serve::told_to_stop()?;
    logging::start("info", LogFormat::Text, global.debug);
    say(&contents, wish.plain);

    let line: Arc<OnceLock<Arc<Alone>>> = Arc::default();
    let registry = FileRegistry::new(contents, &wish.own.iter().cloned().collect(), publisher(Arc::clone(&line)));
    let registry = registry.slot(slot).plain(wish.plain);
    let (sender, heard) = mpsc::channel(WAITING);
    let (filters, listened) = watch::channel(hellos());
    let hear = move |message| {
        // Who says hello in a flood is not heard: sessions are said again by themselves.
        let _ = sender.try_send(message);
    };
    let connection = Alone::start(options, listened, clock.engine(), hear);
    let _ = line.set(Arc::clone(&connection));
    let radio = radio(&wish.radio, "issuer", &clock).await?;
    let ended = tokio::select! {
        ended = issuer.run(&*radio, &registry, &clock, Box::pin(stop)) => ended,
        () = deliver(&registry, &clock, heard) => Ok(()),
    };
    drop(filters);
    connection.stop().await;
    ended.map_err(|error| no_radio(&error))?;
    Ok(Exit::Done)
}

fn config(wish: &BleIssuer) -> Result<Config, Failure> {
    let config = Config {
        name: wish.name.clone(),
        service: wish.uuids.service,
        request: wish.uuids.characteristic,
        life: wish.life,
        plain: wish.plain,
        ..Config::default()
    };
    let fits = config.beacon().check();
    fits.map_err(|error| {
        Failure::usage(format!("the beacon cannot be: {error}")).and("choose a shorter name (--name, ISSUER_BEACON_NAME)")
    })?;
    Ok(config)
}

fn keys(contents: &mut Contents) -> Result<Keys, Failure> {
    let v1 = contents.v1.remove(&Role::Issuer).and_then(|key| key.secret);
    let v2 = match contents.v2.remove(&Role::Issuer).and_then(|key| key.secret) {
        Some(SecretV2::Issuer(issuer)) => Some(issuer),
        Some(SecretV2::Lock(_) | SecretV2::Guest(_)) | None => None,
    };
    if v1.is_none() && v2.is_none() {
        return Err(Failure::usage("the folder has no private key of an issuer").and("make one: doorward ble keys create issuer"));
    }
    Ok(Keys { v1, v2 })
}

/// For whom it is, and what the plain variant costs.
fn say(contents: &Contents, plain: bool) {
    let roles: BTreeSet<&Role> = contents.v1.keys().chain(contents.v2.keys()).collect();
    let guests = roles.iter().filter(|role| matches!(role, Role::Guest(_))).count();
    let locks = roles.iter().filter(|role| matches!(role, Role::Lock(_))).count();
    tracing::info!(guests, locks, "every guest of the folder gets sessions for every lock of it; start anew when its keys change");
    if plain {
        output::warn(
            "the plain variant is on: everybody who is near gets a session for every lock, in clear, and whoever listens to the air \
             can open with it",
        );
    }
}

fn hellos() -> BTreeSet<Filter> {
    let [hello, _] = LockTopic::every_report();
    hello.parse().into_iter().collect()
}

/// Publishes on a connection that comes to be right after.
fn publisher(line: Arc<OnceLock<Arc<Alone>>>) -> Box<dyn Fn(Message) -> BoxFuture<'static, Result<(), Fault>> + Send + Sync> {
    Box::new(move |message| {
        let line = line.get().cloned();
        Box::pin(async move {
            match line {
                Some(line) => line.publish(message).await,
                None => Err(Fault::offline("The MQTT broker cannot be reached.", "not connected yet")),
            }
        })
    })
}

/// Says sessions again to locks that are back, to a broker that is back, and when they are due.
async fn deliver(registry: &FileRegistry, clock: &Clock, mut heard: mpsc::Receiver<Heard>) {
    loop {
        let said = tokio::select! {
            Some(heard) = heard.recv() => match heard {
                Heard::Connected(true) => registry.connected(clock.now()).await,
                Heard::Message { topic, kept: false, .. } => match LockTopic::of(&topic) {
                    Some(LockTopic::Hello(lock)) => registry.hello(&lock, clock.now()).await,
                    Some(_) | None => Ok(()),
                },
                // That a lock was back once says nothing of now.
                Heard::Connected(false) | Heard::Message { kept: true, .. } => Ok(()),
            },
            () = clock.sleep(TICK) => registry.tick(clock.now()).await,
        };
        if let Err(fault) = said {
            tracing::debug!(log = fault.log, "sessions are said again later");
        }
    }
}
