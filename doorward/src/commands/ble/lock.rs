//! `doorward ble lock`: a lock that stands alone.
//!
//! It is a house with one door and no listeners. So what is promised of a house holds here: a token is kept as used before the door
//! opens, what cannot be written down is not done, and the audit is chained. It is on another machine than its issuer, so what the
//! lock finds good is the right to open.
//!
//! Reading on: `reports` tells its issuer what happened.

use super::{broker, folder, reports};
use crate::{
    cli::{BleLock, Global},
    config::LogFormat,
    data::{self, Data},
    failure::{Failure, Outcome},
    logging, serve,
};
use doorward_ble::{
    driver::{ENTRY, GpioSpec, LockSpec, MqttSpec},
    radio::Address,
};
use doorward_core::{
    Secret,
    driver::{Entry, Heard, Mistake, Settings},
    setup::DoorSetup,
};
use doorward_engine::{Clock, Handle, House, Stopper, SystemClock};
use doorward_mqtt::remote::{Alone, RemoteOptions};
use doorward_store::{OpenOptions, Site, Store, StoreError, StoredAccount};
use doorward_wire::{
    Time,
    account::AccountId,
    ble::LockId,
    door::{Capability, DoorId, DoorKind},
};
use serde::Deserialize;
use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

/// The drivers of a house with one door.
const DRIVERS: &[Entry] = &[ENTRY];
/// The account that its door is of.
const ACCOUNT: &str = "ble";
/// Where the door is.
const SITE: &str = "home";
/// Its database, beside that of a house that may be in the same folder.
const FILE: &str = "sqlite:lock.db";

pub(super) async fn run(global: &Global, wish: BleLock) -> Outcome {
    let (_, keys) = folder(global, &wish.keys);
    let options = broker::options(&wish.broker, format!("doorward-lock-{}", wish.id))?;
    let settings = settings(&wish, &keys)?;
    (ENTRY.build)(&settings).map_err(|mistakes| wrong(&mistakes))?;
    let stop = serve::told_to_stop()?;
    logging::start("info", LogFormat::Text, global.debug);
    let data = Data::open(data::folder(global.data.as_deref()))?;
    let lock = start(&data, wish.id.clone(), settings, options).await?;
    tracing::info!(lock = %wish.id, radio = %wish.radio.place, "the lock is there");
    let keep = Duration::from_hours(24 * u64::from(wish.keep));
    tokio::select! {
        () = stop => {}
        () = reports::run(&lock.handle, &wish.id, &lock.line) => {}
        () = housekeeping(&lock.handle, keep) => {}
    }
    lock.stop().await;
    Ok(crate::failure::Exit::Done)
}

/// A lock that runs.
struct Running {
    handle: Handle,
    stopper: Stopper,
    line: Arc<Alone>,
}

async fn start(data: &Data, id: LockId, settings: Settings, options: RemoteOptions) -> Result<Running, Failure> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let now = clock.now().utc;
    let failed = |error: StoreError| Failure::failed(error.to_string());
    let opening = OpenOptions::new(data.store_url(FILE), data.key()?, now);
    let store = Store::open(&opening).await.map_err(|error| Failure::failed(error.to_string()))?;
    furnish(&store, &id, settings, now).await.map_err(failed)?;
    let house = House { store, clock: Arc::clone(&clock), drivers: DRIVERS };
    let (handle, stopper) = house.start().await.map_err(|error| Failure::failed(error.to_string()))?;
    serve::started(&handle).await;
    let exchange = Arc::clone(handle.exchange());
    let line = Alone::start(options, exchange.filters(), clock, move |heard| match heard {
        Heard::Connected(connected) => exchange.connected(connected),
        Heard::Message { topic, payload, kept } => exchange.arrived(&topic, &payload, kept),
    });
    handle.exchange().join(Arc::clone(&line) as Arc<dyn doorward_engine::Line>);
    Ok(Running { handle, stopper, line })
}

impl Running {
    async fn stop(self) {
        tracing::info!("stopping");
        // What still happens while the house stops is told at the next start.
        self.line.stop().await;
        self.handle.exchange().leave();
        self.stopper.stop().await;
        self.handle.store().close().await;
    }
}

/// The account and the door, as they are to be.
async fn furnish(store: &Store, id: &LockId, settings: Settings, now: Time) -> Result<(), StoreError> {
    let account = AccountId::from_name(ACCOUNT, ACCOUNT);
    let stored =
        StoredAccount { id: account.clone(), kind: ENTRY.kind.into(), name: id.to_string(), settings, managed: true, created: now };
    if !store.add_account(&stored).await? {
        store.update_account(&stored).await?;
    }
    if store.sites().await?.is_empty() {
        let site = Site { id: SITE.into(), name: "Home".into(), time_zone: "UTC".into(), holidays: Vec::new() };
        store.put_site(&site).await?;
    }
    let door = door(id, account);
    let before = store.doors().await?;
    for other in before.iter().filter(|other| other.id != door.id) {
        // It was called otherwise before.
        store.remove_door(&other.id).await?;
    }
    if before.iter().all(|known| known.id != door.id) {
        store.put_door(&door, now).await?;
    }
    Ok(())
}

fn door_id(id: &LockId) -> DoorId {
    DoorId::from_name(id.as_str(), "lock")
}

fn door(id: &LockId, account: AccountId) -> DoorSetup {
    let door = DoorSetup::configured(door_id(id), SITE, DoorKind::Radio, account, vec![Capability::Open]);
    DoorSetup { name: id.to_string(), ..door }
}

/// What is done now and then, for as long as the lock runs.
async fn housekeeping(handle: &Handle, keep: Duration) {
    let mut minutes: u64 = 0;
    loop {
        handle.clock().sleep_until(handle.now().mono.plus(Duration::from_mins(1))).await;
        minutes += 1;
        let now = handle.now().utc;
        if let Err(error) = handle.store().renew_ownership(now).await {
            tracing::warn!(%error, "ownership could not be renewed");
        }
        if minutes % 60 == 1
            && let Err(error) = handle.store().prune(now.minus(keep), now).await
        {
            tracing::warn!(%error, "old events could not be removed");
        }
    }
}

/// The wishes, as the driver reads them.
fn settings(wish: &BleLock, keys: &Path) -> Result<Settings, Failure> {
    let phones = phones(wish.phones.as_deref().unwrap_or_default())?;
    if !wish.bind_mac && phones.keys().any(|phone| phone.parse::<Address>().is_ok()) {
        crate::output::warn("AUTHORIZED_PHONES names addresses: they count only with --bind-mac, and phones change theirs");
    }
    let spec = LockSpec {
        id: door_id(&wish.id).to_string(),
        name: Some(wish.id.to_string()),
        lock_id: Some(wish.id.to_string()),
        radio: Some(wish.radio.place.to_string()),
        slot: Some(wish.slot),
        rssi: Some(wish.rssi),
        phones,
        rssi_unknown: wish.rssi_unknown.then(|| "accept".into()),
        bind_mac: wish.bind_mac,
        secure: wish.secure,
        // Rights are decided where sessions are issued: here is nobody to ask.
        other_issuer: true,
        ..actuator(wish)
    };
    let doors = serde_json::to_string(&[spec]).map_err(|error| Failure::failed(error.to_string()))?;
    let mut settings = Settings::default();
    settings.values.insert("keys".into(), keys.to_string_lossy().into());
    settings.secrets.insert("doors".into(), Secret::new(doors));
    Ok(settings)
}

/// What opens the door.
fn actuator(wish: &BleLock) -> LockSpec {
    let mqtt = wish.mqtt_topic.clone().zip(wish.mqtt_payload.clone()).map(|(topic, payload)| MqttSpec { topic, payload });
    let gpio = wish.gpio.clone().map(|gpio| GpioSpec { pulse_ms: wish.pulse, ..gpio });
    LockSpec { command: wish.command.clone(), mqtt, gpio, ..LockSpec::default() }
}

/// Thresholds of single phones, as the original writes them, or shorter.
fn phones(text: &str) -> Result<BTreeMap<String, i8>, Failure> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Phone {
        Threshold(i8),
        Original { rssi_threshold: i8 },
    }
    if text.trim().is_empty() {
        return Ok(BTreeMap::new());
    }
    let read: BTreeMap<String, Phone> = serde_json::from_str(text).map_err(|error| {
        let failure = Failure::usage(format!("AUTHORIZED_PHONES cannot be read: {error}"));
        failure.and(r#"write JSON such as {"AA:BB:CC:DD:EE:FF":{"rssi_threshold":-68}}"#)
    })?;
    let named = |(phone, threshold): (String, Phone)| {
        let name = phone.parse::<Address>().map_or(phone, |address| address.to_string());
        let (Phone::Threshold(rssi) | Phone::Original { rssi_threshold: rssi }) = threshold;
        (name, rssi)
    };
    Ok(read.into_iter().map(named).collect())
}

/// Everything that is wrong with the wishes.
fn wrong(mistakes: &[Mistake]) -> Failure {
    let named = |mistake: &Mistake| match mistake.key.rsplit('.').next().unwrap_or_default() {
        "actuator" => "nothing opens the door: give --command PROGRAM, --gpio CHIP:LINE, or --mqtt-topic and --mqtt-payload".into(),
        key => format!("{key} {}", mistake.hint),
    };
    mistakes.iter().fold(Failure::usage("the lock cannot run:"), |failure, mistake| failure.and(named(mistake)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phones_are_read_as_the_original_writes_them() {
        let read = phones(r#"{"aa:bb:cc:dd:ee:ff":{"rssi_threshold":-68},"IpDQ2SvhAasZhA":-50}"#).unwrap();
        let expected = [("AA:BB:CC:DD:EE:FF".to_owned(), -68), ("IpDQ2SvhAasZhA".to_owned(), -50)];
        assert_eq!(read, BTreeMap::from(expected));
        assert!(phones("").unwrap().is_empty());
        for wrong in ["[]", "{\"a\":{}}", "{\"a\":-200}", "a=b"] {
            assert!(phones(wrong).unwrap_err().lines.join(" ").contains("rssi_threshold"), "{wrong}");
        }
    }
}
