//! Somebody with a radio of their own: what they can do with tokens, and what they cannot.

use crate::{bench::*, scene::*};
use doorward_ble::{
    lock::{Config, Input},
    radio::Sightings,
};
use doorward_sim::air::{Eavesdropper, Place};
use doorward_wire::ble::{order::Refusal, v2::Ways};
use std::time::Duration;

const DOOR: Place = Place::new(0.0, 0.0, 0.0);

/// A guest is let in, and somebody overhears it.
async fn overheard() -> (Scene, Bench, Eavesdropper, Sightings, Guest) {
    let scene = Scene::new().await;
    let (door, phone) = (scene.radio("lock", LOCK, 0.0).await, scene.radio("phone", GUEST, 1.0).await);
    let mut bench = Bench::new();
    let guest = bench.guest(1);
    let mut sightings = scan(&door).await;
    let thief = scene.air.eavesdrop(Place::new(5.0, 5.0, 0.0));
    let shown = advertise(&phone, &bench.token(&guest)).await;
    assert_eq!(opened(&hear(&mut bench, &mut sightings).await), 1);
    drop(shown);
    // The answer says that the advertisement has ended.
    drop(advertise(&phone, &[]).await);
    while !next(&mut sightings).await.manufacturer.unwrap().bytes().is_empty() {}
    // Radios live as long as the scene.
    std::mem::forget((door, phone));
    (scene, bench, thief, sightings, guest)
}

#[tokio::test]
async fn a_token_that_was_overheard_and_replayed_opens_nothing_at_the_lock_where_it_opened() {
    let (scene, mut bench, thief, mut sightings, guest) = overheard().await;
    let heard = thief.heard().into_iter().find(|heard| heard.bytes.len() == 32).unwrap();
    thief.replay(&heard, DOOR);
    assert_eq!(hear(&mut bench, &mut sightings).await, [], "in the same slot");
    scene.pass(&mut bench, Duration::from_secs(3));
    thief.replay(&heard, DOOR);
    assert_eq!(hear(&mut bench, &mut sightings).await, [], "in the next slot");
    scene.pass(&mut bench, Duration::from_secs(3));
    thief.replay(&heard, DOOR);
    assert_eq!(reasons(&hear(&mut bench, &mut sightings).await), [Refusal::Replay], "later");
    scene.pass(&mut bench, Duration::from_secs(100));
    for _ in 0..5 {
        thief.replay(&heard, DOOR);
        assert_eq!(hear(&mut bench, &mut sightings).await, [], "told once");
    }
    assert_eq!(bench.lock.counters().presented, 1);
    assert_eq!(opened(&bench.show(&guest)), 1, "the guest comes back");
}

#[tokio::test]
async fn a_token_of_one_door_opens_no_other() {
    let (_scene, _, thief, mut sightings, _) = overheard().await;
    let mut other = Bench::with(Config::new(id("lock_02"), keys_of_v2()));
    let heard = thief.heard().into_iter().find(|heard| heard.bytes.len() == 32).unwrap();
    thief.replay(&heard, DOOR);
    assert_eq!(reasons(&hear(&mut other, &mut sightings).await), [Refusal::UnknownToken]);
}

/// This is what a broadcast token cannot prevent, and why a door that is marked secure takes none: somebody who carries the radio
/// of a guest to the door while it is shown elsewhere is let in as the guest. It ends with the window: six seconds.
#[tokio::test]
async fn a_token_that_is_relayed_at_once_opens_which_is_the_nature_of_tokens() {
    let scene = Scene::new().await;
    let (door, phone) = (scene.radio("lock", LOCK, 0.0).await, scene.radio("phone", GUEST, 1_000.0).await);
    let mut bench = Bench::new();
    let guest = bench.guest(1);
    let mut sightings = scan(&door).await;
    let thief = scene.air.eavesdrop(Place::new(1_001.0, 0.0, 0.0));
    thief.relay(Some(Place::new(1.0, 0.0, 0.0)));
    let shown = advertise(&phone, &bench.token(&guest)).await;
    assert_eq!(opened(&hear(&mut bench, &mut sightings).await), 1, "a kilometre away");
    drop(shown);

    let late = thief.heard().into_iter().next().unwrap();
    thief.relay(None);
    let mut secure = Bench::with(Config { secure: true, ..Config::new(id("lock_01"), keys_of_v2()) });
    secure.give(Input::Session(&Guest::of(1, START + 300, Ways::TOKEN).message()));
    thief.replay(&late, DOOR);
    assert_eq!(reasons(&hear(&mut secure, &mut sightings).await), [Refusal::TokenNotEnough]);
}

#[tokio::test]
async fn a_token_that_is_relayed_after_its_window_opens_nothing_though_the_lock_never_heard_it() {
    let scene = Scene::new().await;
    let (door, phone) = (scene.radio("lock", LOCK, 0.0).await, scene.radio("phone", GUEST, 1_000.0).await);
    let mut bench = Bench::new();
    let guest = bench.guest(1);
    let mut sightings = scan(&door).await;
    let thief = scene.air.eavesdrop(Place::new(1_001.0, 0.0, 0.0));
    let shown = advertise(&phone, &bench.token(&guest)).await;
    // Until the air has turned.
    while thief.heard().is_empty() {
        tokio::task::yield_now().await;
    }
    drop(shown);
    scene.pass(&mut bench, Duration::from_secs(6));
    thief.replay(&thief.heard()[0], DOOR);
    assert_eq!(reasons(&hear(&mut bench, &mut sightings).await), [Refusal::UnknownToken]);
}
