//! Characteristics over the air, and adapters that go away.

use crate::{bench::*, scene::*};
use doorward_ble::{
    lock::{Config, Input, Output},
    radio::{
        Advertisement, AttError, Can, Characteristic, Connection, Fields, Incoming, Radio as _, RadioError, Scan, Server, Service,
        air::AirRadio,
    },
};
use doorward_wire::{
    attempt::ActionWord,
    ble::{
        COMPANY,
        v2::{
            CHALLENGE_CHARACTERISTIC, Challenge, LOCK_SERVICE, RESPONSE_CHARACTERISTIC, Ways,
            challenge::{Outcome, respond},
        },
    },
};
use uuid::Uuid;

fn uuid(text: &str) -> Uuid {
    text.parse().unwrap()
}

fn lock_service() -> Vec<Service> {
    let challenge = Characteristic { uuid: uuid(CHALLENGE_CHARACTERISTIC), can: Can { read: true, notify: true, ..Can::default() } };
    let response = Characteristic { uuid: uuid(RESPONSE_CHARACTERISTIC), can: Can { write: true, notify: true, ..Can::default() } };
    vec![Service { uuid: uuid(LOCK_SERVICE), characteristics: vec![challenge, response] }]
}

/// A lock that serves, and a phone that is connected to it.
async fn connected() -> (Scene, AirRadio, AirRadio, Box<dyn Server>, Box<dyn Connection>) {
    let scene = Scene::new().await;
    let (door, phone) = (scene.radio("lock", LOCK, 0.0).await, scene.radio("phone", GUEST, 1.0).await);
    let server = door.serve(lock_service()).await.unwrap();
    let beacon = door.advertise(Advertisement::new(Fields::new().manufacturer(COMPANY, &[1, 0])).connectable()).await.unwrap();
    let connection = phone.connect(LOCK).await.unwrap();
    drop(beacon);
    (scene, door, phone, server, connection)
}

#[tokio::test]
async fn a_guest_answers_the_challenge_of_a_lock_over_the_air() {
    let (_scene, _door, _phone, server, connection) = connected().await;
    assert!(connection.has(uuid(LOCK_SERVICE), uuid(CHALLENGE_CHARACTERISTIC)));
    assert_eq!((connection.mtu(), connection.services()), (247, lock_service().as_slice()));
    let mut bench = Bench::with(Config { secure: true, ..Config::new(id("lock_01"), keys_of_v2()) });
    let guest = Guest::of(1, START + 300, Ways::CHALLENGE);
    bench.give(Input::Session(&guest.message()));

    let lock = async {
        loop {
            match server.next().await {
                Some(Incoming::Read { peer, reply, .. }) => {
                    assert_eq!(peer.address, GUEST);
                    reply.give(bench.lock.challenge(peer.id, [7; 16], bench.now).map_err(|_| AttError::Unlikely));
                }
                Some(Incoming::Write { peer, value, reply, .. }) => {
                    reply.give(Ok(()));
                    let opens = opened(&bench.give(Input::Written { connection: peer.id, value: &value }));
                    server.notify(peer.id, uuid(RESPONSE_CHARACTERISTIC), &Outcome::Done.write()).await.unwrap();
                    return opens;
                }
                Some(Incoming::Subscribed { on, .. }) => assert!(on),
                Some(Incoming::Gone(_)) | None => panic!("it is over"),
            }
        }
    };
    let phone = async {
        let mut told = connection.subscribe(uuid(RESPONSE_CHARACTERISTIC)).await.unwrap();
        let challenge = Challenge::read(&connection.read(uuid(CHALLENGE_CHARACTERISTIC)).await.unwrap()).unwrap();
        let response = respond(&challenge, &guest.lock, &guest.given, ActionWord::Open).unwrap();
        connection.write(uuid(RESPONSE_CHARACTERISTIC), &response).await.unwrap();
        Outcome::read(&told.next().await.unwrap()).unwrap()
    };
    assert_eq!(tokio::join!(lock, phone), (1, Outcome::Done));
}

#[tokio::test]
async fn a_server_refuses_and_what_is_dropped_is_refused() {
    let (_scene, _door, _phone, server, connection) = connected().await;
    let answers = async {
        for answer in [Some(Err(AttError::NotPermitted)), None] {
            let Some(Incoming::Write { reply, .. }) = server.next().await else { panic!("a write comes first") };
            if let Some(answer) = answer {
                reply.give(answer);
            }
        }
    };
    let writes = async {
        for text in ["not permitted", "unlikely error"] {
            let result = connection.write(uuid(RESPONSE_CHARACTERISTIC), &[1]).await;
            assert_eq!(result, Err(RadioError::Refused(text.into())));
        }
    };
    tokio::join!(answers, writes);
    let cannot = [connection.write(uuid(CHALLENGE_CHARACTERISTIC), &[1]).await, connection.write(Uuid::nil(), &[1]).await];
    assert!(cannot.iter().all(|result| matches!(result, Err(RadioError::NotFound(_)))), "{cannot:?}");
    let long = connection.write(uuid(RESPONSE_CHARACTERISTIC), &[0; 513]).await;
    assert_eq!(long, Err(RadioError::TooLong { what: "the value", have: 513, most: 512 }));
}

#[tokio::test]
async fn who_connects_again_is_somebody_else_and_who_is_gone_is_told() {
    let (_scene, door, phone, server, connection) = connected().await;
    connection.subscribe(uuid(RESPONSE_CHARACTERISTIC)).await.unwrap();
    let Some(Incoming::Subscribed { peer: first, .. }) = server.next().await else { panic!("it subscribed") };
    drop(connection);
    assert!(matches!(server.next().await, Some(Incoming::Gone(peer)) if peer == first.id));
    let told = server.notify(first.id, uuid(RESPONSE_CHARACTERISTIC), &[1]).await;
    assert!(matches!(told, Err(RadioError::Disconnected(_))), "{told:?}");

    assert!(matches!(phone.connect(LOCK).await, Err(RadioError::NotFound(_))), "nothing connectable is advertised");
    let _beacon = door.advertise(Advertisement::new(Fields::new()).connectable()).await.unwrap();
    let connection = phone.connect(LOCK).await.unwrap();
    connection.subscribe(uuid(RESPONSE_CHARACTERISTIC)).await.unwrap();
    let Some(Incoming::Subscribed { peer: second, .. }) = server.next().await else { panic!("it subscribed") };
    assert_eq!(second.address, first.address);
    assert_ne!(second.id, first.id);
    connection.disconnect().await;
    assert!(matches!(server.next().await, Some(Incoming::Gone(peer)) if peer == second.id));
    assert!(matches!(door.serve(lock_service()).await, Err(RadioError::Busy(_))));
}

#[tokio::test]
async fn an_adapter_that_is_unplugged_ends_all_of_it_and_starts_anew() {
    let (scene, door, phone, server, connection) = connected().await;
    let mut state = door.state();
    let generation = state.up().await.unwrap();
    let mut sightings = door.scan(Scan::default()).await.unwrap();
    scene.air.unplug("lock");
    state.over(generation).await;
    assert!(matches!(state.now().trouble, Some(RadioError::Gone(why)) if why == "the adapter was unplugged"));
    assert!(sightings.next().await.is_none());
    assert!(server.next().await.is_none());
    connection.closed().await;
    assert!(matches!(connection.read(uuid(CHALLENGE_CHARACTERISTIC)).await, Err(RadioError::Disconnected(_))));
    assert!(matches!(door.scan(Scan::default()).await, Err(RadioError::Gone(_))));
    assert!(matches!(door.advertise(token(&[1; 16])).await, Err(RadioError::Gone(_))));

    scene.air.plug_in("lock");
    assert!(state.up().await.unwrap() > generation);
    let _server = door.serve(lock_service()).await.unwrap();
    drop(server);
    let mut sightings = scan(&door).await;
    let _shown = advertise(&phone, &[1; 16]).await;
    next(&mut sightings).await;
    let _beacon = door.advertise(Advertisement::new(Fields::new()).connectable()).await.unwrap();
    assert!(!phone.connect(LOCK).await.unwrap().services().is_empty(), "the old server ended nothing of the new one");
}

#[tokio::test]
async fn a_daemon_that_restarts_ends_all_of_it() {
    let (scene, door, _phone, server, connection) = connected().await;
    let mut state = door.state();
    let generation = state.up().await.unwrap();
    scene.air.restart("lock");
    state.over(generation).await;
    assert!(server.next().await.is_none());
    connection.closed().await;
    assert_eq!(state.up().await, Ok(generation + 1));
}

#[tokio::test]
async fn an_air_that_is_gone_is_a_radio_that_is_gone() {
    let (scene, door, _phone, server, connection) = connected().await;
    let mut sightings = door.scan(Scan::default()).await.unwrap();
    drop(scene);
    assert!(sightings.next().await.is_none());
    assert!(server.next().await.is_none());
    connection.closed().await;
    assert!(matches!(door.scan(Scan::default()).await, Err(RadioError::Gone(_))));
}

#[tokio::test]
async fn radios_meet_over_a_unix_socket_too() {
    let scene = Scene::new().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("air");
    scene.air.listen_at(&path).unwrap();
    let (door, phone) = (scene.radio_at(&path, "lock", LOCK).await, scene.radio("phone", GUEST, 1.0).await);
    let mut sightings = scan(&door).await;
    let _shown = advertise(&phone, &[1; 16]).await;
    assert_eq!(next(&mut sightings).await.address, GUEST);
}

#[test]
fn what_a_lock_puts_out_shows_no_secret() {
    let mut bench = Bench::new();
    bench.slow = true;
    bench.lock.handle(Input::Session(&Guest::new(1, START + 300).message()), bench.now);
    let output: Output = bench.lock.poll().unwrap();
    assert!(format!("{output:?}").contains("Secret(…)"));
}
