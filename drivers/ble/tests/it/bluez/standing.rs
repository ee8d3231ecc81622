//! Adapters that come and go.

use super::{ADDRESS, DEVICE, connect::tree, radio, until, up, waits};
use crate::fake::{Back, DAEMON, Fake, PATIENCE};
use doorward_ble::radio::{
    Advertisement, Down, Fields, Radio as _, RadioError, Scan, Standing,
    bluez::{BlueZ, Settings},
};
use doorward_core::Mono;
use std::{collections::HashSet, sync::Arc};
use tokio::time::timeout;

fn is(standing: &Standing, why: Down) -> bool {
    matches!(standing.trouble, Some(RadioError::Down(own, _)) if own == why)
}

#[tokio::test]
async fn each_trouble_is_told_apart_and_says_what_a_person_can_do() {
    let fake = Fake::start();
    fake.owner(None);
    fake.welcome("REJECTED EXTERNAL\r\n");
    let radio = radio(&fake, waits());
    let mut told = HashSet::new();
    let mut tell = |standing: Standing| told.insert(standing.trouble.unwrap().person());
    tell(until(&radio, |standing| is(standing, Down::NotAllowed)).await);
    fake.welcome("");
    tell(until(&radio, |standing| is(standing, Down::NoBus)).await);
    fake.welcome_all();
    tell(until(&radio, |standing| is(standing, Down::NoDaemon)).await);
    fake.on("GetAll", |_| Back::Error("org.freedesktop.DBus.Error.AccessDenied", "by policy"));
    fake.owner(Some(DAEMON));
    until(&radio, |standing| is(standing, Down::NotAllowed)).await;
    fake.on("GetAll", |_| Back::Error("org.freedesktop.DBus.Error.UnknownObject", "there is none"));
    tell(until(&radio, |standing| is(standing, Down::NoAdapter)).await);
    fake.switch("hci0", false);
    fake.usual("GetAll");
    tell(until(&radio, |standing| is(standing, Down::NotPowered)).await);
    assert_eq!(told.len(), 5, "{told:?}");
    // While it is down, what is asked of it says the same.
    let refused = radio.scan(Scan::default()).await.err();
    assert!(matches!(refused, Some(RadioError::Down(Down::NotPowered, _))), "{refused:?}");
    fake.switch("hci0", true);
    assert_eq!(until(&radio, Standing::is_up).await.generation, 1);
}

#[tokio::test]
async fn a_named_adapter_is_the_one_and_another_is_the_first_that_is_on() {
    let fake = Fake::start();
    fake.switch("hci0", false);
    fake.switch("hci3", true);
    let named = |name: &str| {
        let settings = Settings { adapter: Some(name.into()), bus: Some(fake.address.clone()), waits: waits(), ..Settings::default() };
        BlueZ::start(settings, Arc::new(Mono::default))
    };
    until(&named("hci0"), |standing| is(standing, Down::NotPowered)).await;
    for name in ["hci1", "", "../hci3", "hci3/dev_00"] {
        until(&named(name), |standing| is(standing, Down::NoAdapter)).await;
    }
    until(&named("hci3"), Standing::is_up).await;
    let any = up(&fake, waits()).await;
    let _sightings = any.scan(Scan::default()).await.unwrap();
    assert_eq!(fake.until_called("StartDiscovery", 1).await[0].path, "/org/bluez/hci3");
}

/// Starts everything, lets something end it, and starts it again.
async fn interrupted(away: impl FnOnce(&Fake), why: Down, back: impl FnOnce(&Fake)) {
    let fake = Fake::start();
    tree(&fake);
    let radio = up(&fake, waits()).await;
    let mut sightings = radio.scan(Scan::default()).await.unwrap();
    let server = radio.serve(vec![]).await.unwrap();
    let mut beacon = radio.advertise(Advertisement::new(Fields::new())).await.unwrap();
    let connection = radio.connect(ADDRESS.parse().unwrap()).await.unwrap();
    let mut state = radio.state();

    away(&fake);
    timeout(PATIENCE, state.over(1)).await.unwrap();
    // The standing is told before anything ends.
    let ended = async {
        assert_eq!(sightings.next().await, None);
        assert!(server.next().await.is_none());
        connection.closed().await;
    };
    timeout(PATIENCE, ended).await.unwrap();
    until(&radio, |standing| is(standing, why)).await;
    let replaced = beacon.replace(Advertisement::new(Fields::new().name("x"))).await;
    assert!(matches!(replaced, Err(RadioError::Gone(_))), "{replaced:?}");
    let read = connection.read(uuid::Uuid::nil()).await;
    assert!(matches!(read, Err(RadioError::Disconnected(_))), "{read:?}");
    let refused = radio.serve(vec![]).await.err();
    assert!(matches!(refused, Some(RadioError::Down(..))), "{refused:?}");

    back(&fake);
    assert_eq!(timeout(PATIENCE, state.up()).await.unwrap(), Ok(2));
    let _server = radio.serve(vec![]).await.unwrap();
    // What is dropped of the generation before takes nothing of this one.
    drop((sightings, server, beacon, connection));
    let _sightings = radio.scan(Scan::default()).await.unwrap();
    assert!(matches!(radio.serve(vec![]).await.err(), Some(RadioError::Busy(_))));
    radio.connect(ADDRESS.parse().unwrap()).await.unwrap();
    // Each generation has its connection: with the one before, BlueZ forgot all that was on it.
    assert!(fake.connections() >= 2);
}

#[tokio::test]
async fn after_a_restart_of_bluetoothd_all_is_started_again() {
    interrupted(|fake| fake.owner(None), Down::NoDaemon, |fake| fake.owner(Some(":1.8"))).await;
}

#[tokio::test]
async fn after_an_adapter_was_pulled_out_all_is_started_again() {
    interrupted(|fake| fake.unplug("hci0"), Down::NoAdapter, |fake| fake.switch("hci0", true)).await;
}

#[tokio::test]
async fn after_an_adapter_was_switched_off_all_is_started_again() {
    interrupted(|fake| fake.switch("hci0", false), Down::NotPowered, |fake| fake.switch("hci0", true)).await;
}

#[tokio::test]
async fn after_the_bus_was_gone_all_is_started_again() {
    let away = |fake: &Fake| {
        fake.welcome("");
        fake.hang_up();
    };
    interrupted(away, Down::NoBus, Fake::welcome_all).await;
}

#[tokio::test]
async fn another_owner_without_a_gap_is_another_generation() {
    let fake = Fake::start();
    let radio = up(&fake, waits()).await;
    let mut sightings = radio.scan(Scan::default()).await.unwrap();
    fake.owner(Some(":1.8"));
    assert_eq!(timeout(PATIENCE, sightings.next()).await.unwrap(), None);
    until(&radio, |standing| standing.is_up() && standing.generation == 2).await;
}

#[tokio::test]
async fn with_the_radio_ends_what_was_started_on_it() {
    let fake = Fake::start();
    let radio = up(&fake, waits()).await;
    let mut sightings = radio.scan(Scan::default()).await.unwrap();
    let server = radio.serve(vec![]).await.unwrap();
    let mut state = radio.state();
    drop(radio);
    assert_eq!(timeout(PATIENCE, sightings.next()).await.unwrap(), None);
    assert!(timeout(PATIENCE, server.next()).await.unwrap().is_none());
    assert!(timeout(PATIENCE, state.up()).await.unwrap().is_err());
}

#[tokio::test]
async fn a_disconnect_that_was_dropped_in_a_flood_is_found_out() {
    let fake = Fake::start();
    tree(&fake);
    let settings = Settings { bus: Some(fake.address.clone()), waits: waits(), signals: 1, ..Settings::default() };
    let radio = BlueZ::start(settings, Arc::new(Mono::default));
    radio.state().up().await.unwrap();
    let connection = radio.connect(ADDRESS.parse().unwrap()).await.unwrap();
    // The device is gone, and only asking says so.
    fake.on("GetAll", |_| Back::Error("org.freedesktop.DBus.Error.UnknownObject", "there is none"));
    for _ in 0..1000 {
        fake.changed(DEVICE, "org.bluez.Device1", |out| _ = out.pair("RSSI", "n", |out| _ = out.i16(-50)));
    }
    timeout(PATIENCE, connection.closed()).await.unwrap();
}
