//! A lock that hears by a radio: air, socket, backend, core.

use crate::{bench::*, scene::*};
use doorward_ble::{
    lock::Input,
    radio::{Address, Radio as _, Scan, Sightings, uuid16},
};
use doorward_sim::air::{Physics, Place};
use doorward_wire::ble::{ADVERTISED_SERVICE, COMPANY, order::Refusal};
use std::time::Duration;

#[tokio::test]
async fn a_token_that_a_phone_advertises_opens_the_lock_that_hears_it() {
    let scene = Scene::new().await;
    let (door, phone) = (scene.radio("lock", LOCK, 0.0).await, scene.radio("phone", GUEST, 1.0).await);
    let mut bench = Bench::new();
    let guest = bench.guest(1);
    let mut sightings = scan(&door).await;
    let mut shown = advertise(&phone, &bench.token(&guest)).await;
    let sighting = next(&mut sightings).await;
    assert_eq!((sighting.address, sighting.rssi, sighting.name.as_deref()), (GUEST, Some(-59), Some("Unlocker")));
    assert_eq!(sighting.services, [uuid16(ADVERTISED_SERVICE)]);
    let seen = bench.give(Input::Sighting(&sighting));
    let [Seen::Opened(presented)] = seen.as_slice() else { panic!("{seen:?}") };
    assert_eq!((presented.rssi, presented.address), (Some(-59), Some(GUEST)));

    for _ in 0..3 {
        assert_eq!(scene.pass(&mut bench, Duration::from_secs(3)), []);
        shown.replace(token(&bench.token(&guest))).await.unwrap();
        assert_eq!(hear_until(&mut bench, &mut sightings, &guest).await, [], "it stays at the door");
    }
    drop(shown);
    scene.pass(&mut bench, Duration::from_secs(31));
    let _shown = advertise(&phone, &bench.token(&guest)).await;
    assert_eq!(opened(&hear_until(&mut bench, &mut sightings, &guest).await), 1, "and comes back");
}

/// The lock hears what comes, up to the token that the guest shows now. What was sent before may come first.
async fn hear_until(bench: &mut Bench, sightings: &mut Sightings, guest: &Guest) -> Vec<Seen> {
    let mut seen = Vec::new();
    loop {
        let sighting = next(sightings).await;
        seen.extend(bench.give(Input::Sighting(&sighting)));
        if sighting.manufacturer.unwrap().bytes() == bench.token(guest) {
            return seen;
        }
    }
}

#[tokio::test]
async fn an_advertisement_with_a_hint_fits_and_opens() {
    use doorward_ble::radio::{Advertisement, Fields};
    use doorward_wire::ble::v2::Ways;
    let scene = Scene::new().await;
    let (door, phone) = (scene.radio("lock", LOCK, 0.0).await, scene.radio("phone", GUEST, 1.0).await);
    let mut bench = Bench::new();
    let guest = Guest::of(1, START + 300, Ways::HINTED);
    bench.give(Input::Session(&guest.message()));
    let mut sightings = scan(&door).await;
    let data = guest.hinted(guest.slot(bench.now.utc));
    let full = Advertisement::new(Fields::new().manufacturer(COMPANY, &data));
    assert!(phone.advertise(Advertisement { data: full.data.clone().service16(ADVERTISED_SERVICE), ..full.clone() }).await.is_err());
    let full = full.response(Fields::new().service16(ADVERTISED_SERVICE).name("Unlocker"));
    let _shown = phone.advertise(full).await.unwrap();
    assert_eq!(opened(&hear(&mut bench, &mut sightings).await), 1);
}

#[tokio::test]
async fn whoever_is_too_far_away_is_let_in_when_they_come_nearer() {
    let scene = Scene::new().await;
    let (door, phone) = (scene.radio("lock", LOCK, 0.0).await, scene.radio("phone", GUEST, 8.0).await);
    let mut bench = Bench::new();
    let guest = bench.guest(1);
    let mut sightings = scan(&door).await;
    let _shown = advertise(&phone, &bench.token(&guest)).await;
    assert_eq!(reasons(&hear(&mut bench, &mut sightings).await), [Refusal::TooFar]);
    scene.air.carry("phone", Place::new(2.0, 0.0, 0.0));
    scene.pass(&mut bench, Duration::from_millis(200));
    assert_eq!(opened(&hear(&mut bench, &mut sightings).await), 1);
}

#[tokio::test]
async fn in_a_lossy_air_with_a_wobble_the_token_gets_through() {
    let scene = Scene::with(Physics { loss: 0.7, wobble: 3.0, latency: Duration::from_millis(40), ..Physics::default() }).await;
    let (door, phone) = (scene.radio("lock", LOCK, 0.0).await, scene.radio("phone", GUEST, 1.0).await);
    let mut bench = Bench::new();
    let guest = bench.guest(1);
    let mut sightings = scan(&door).await;
    let (sender, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let reader = tokio::spawn(async move {
        while let Some(sighting) = sightings.next().await {
            sender.send(sighting).unwrap();
        }
    });
    let mut shown = advertise(&phone, &bench.token(&guest)).await;
    let (mut times, mut steps) = (0, 0);
    while times == 0 {
        let mut seen = scene.pass(&mut bench, Duration::from_millis(50));
        // Its answer comes after the air has turned.
        shown.replace(token(&bench.token(&guest))).await.unwrap();
        while let Ok(sighting) = heard.try_recv() {
            seen.extend(bench.give(Input::Sighting(&sighting)));
        }
        times += opened(&seen);
        steps += 1;
        assert!(steps < 5_000, "it never gets through");
    }
    assert_eq!(times, 1);
    reader.abort();
}

#[tokio::test]
async fn a_radio_that_does_not_know_the_strength_says_so() {
    let scene = Scene::new().await;
    scene.air.hide_rssi(true);
    let (door, phone) = (scene.radio("lock", LOCK, 0.0).await, scene.radio("phone", GUEST, 1.0).await);
    let mut bench = Bench::new();
    let guest = bench.guest(1);
    let mut sightings = scan(&door).await;
    let _shown = advertise(&phone, &bench.token(&guest)).await;
    assert_eq!(reasons(&hear(&mut bench, &mut sightings).await), [Refusal::RssiUnknown]);
}

/// The strangers of a flood.
fn is_stranger(address: Address) -> bool {
    address.0.starts_with(&[0xF0, 0])
}

#[tokio::test]
async fn a_flood_of_ten_thousand_advertisements_a_second_delays_no_acceptance() {
    let scene = Scene::new().await;
    let (door, phone) = (scene.radio("lock", LOCK, 0.0).await, scene.radio("phone", GUEST, 1.0).await);
    let mut bench = Bench::new();
    let guest = bench.guest(1);
    let mut sightings = door.scan(Scan { waiting: 256, ..Scan::default() }).await.unwrap();
    scene.air.flood(10_000);
    let (mut shown, mut strangers, mut came, mut open) = (None, 0, None, None);
    for step in 1..=100_u32 {
        // A tenth of a second after the start somebody comes to the door.
        if step == 10 {
            shown = Some(advertise(&phone, &bench.token(&guest)).await);
            came = Some(step);
        }
        let mut seen = scene.pass(&mut bench, Duration::from_millis(10));
        while strangers < 100 * step {
            let sighting = next(&mut sightings).await;
            strangers += u32::from(is_stranger(sighting.address));
            seen.extend(bench.give(Input::Sighting(&sighting)));
        }
        if opened(&seen) > 0 {
            assert_eq!(open.replace(step), None, "once");
        }
    }
    assert!(shown.is_some());
    let took = open.unwrap() - came.unwrap();
    assert!(took <= 25, "within an interval of its advertisement: {took}0 ms");
    let counters = bench.lock.counters();
    assert!(counters.unknown > 1_000, "one in eight looks like a token: {counters:?}");
    assert!(counters.refused <= 11, "and they are not all told of");
    assert_eq!((sightings.dropped(), scene.air.dropped("lock")), (0, 0));
}

#[tokio::test]
async fn a_reader_that_sleeps_through_a_flood_keeps_no_more_than_it_asked_for() {
    let scene = Scene::new().await;
    let door = scene.radio("lock", LOCK, 0.0).await;
    let mut sightings = door.scan(Scan { waiting: 16, ..Scan::default() }).await.unwrap();
    scene.air.flood(100_000);
    let mut steps = 0;
    while sightings.dropped() + scene.air.dropped("lock") < 2_000 {
        scene.clock.advance(Duration::from_millis(10));
        tokio::task::yield_now().await;
        steps += 1;
        assert!(steps < 1_000_000);
    }
    scene.air.flood(0);
    let mut kept = Vec::new();
    assert!(sightings.next_many(&mut kept, 10_000).await <= 16);
}

#[tokio::test]
async fn a_scan_for_one_company_lets_others_wait_for_nobody() {
    let scene = Scene::new().await;
    let (door, phone) = (scene.radio("lock", LOCK, 0.0).await, scene.radio("phone", GUEST, 1.0).await);
    let mut sightings = door.scan(Scan { company: Some(0x004C), ..Scan::default() }).await.unwrap();
    let _token = advertise(&phone, &[1; 16]).await;
    let apple = doorward_ble::radio::Fields::new().manufacturer(0x004C, &[2, 21]);
    let _beacon = phone.advertise(doorward_ble::radio::Advertisement::new(apple)).await.unwrap();
    assert_eq!(next(&mut sightings).await.manufacturer.unwrap().company, 0x004C);
}
