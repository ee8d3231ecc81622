//! Rings: written with their events, read back, and gone with them.

use crate::house::{House, at, event, gate, home, uuid, write};
use doorward_core::record::{NewEvent, Record};
use doorward_store::RingQuery;
use doorward_wire::{
    attempt::{Actor, ActorKind},
    event::EventKind,
    ring::{Ring, RingId, RingState},
};

pub(crate) fn ring(id: RingId, seconds: u64) -> Ring {
    Ring {
        id,
        door: gate(),
        account: Some(home()),
        since: at(seconds),
        from: Some("Main entrance \"ü\"".into()),
        state: RingState::Ringing,
        ended: None,
        by: None,
        attempt: None,
    }
}

pub(crate) fn ended(id: RingId, seconds: u64) -> Ring {
    let by = Some(Actor { kind: ActorKind::Admin, id: "socket".into(), name: None });
    Ring { state: RingState::Opened, ended: Some(at(seconds + 5)), by, attempt: Some(uuid()), ..ring(id, seconds) }
}

pub(crate) fn record(ring: &Ring) -> Record {
    let kind = if ring.state.is_final() { EventKind::DoorRingEnded } else { EventKind::DoorRing };
    Record::Ring { ring: Box::new(ring.clone()), events: vec![NewEvent { time: ring.since, ..event(kind) }] }
}

fn ids(rings: &[Ring]) -> Vec<RingId> {
    rings.iter().map(|ring| ring.id).collect()
}

pub(crate) async fn a_ring_and_its_end_are_read_back(house: &House) {
    let store = house.furnished().await;
    let id = uuid();
    let written = write(&store, record(&ring(id, 1))).await;
    assert_eq!(written.events.iter().map(|event| event.kind).collect::<Vec<_>>(), [EventKind::DoorRing], "in the same commit");
    assert_eq!(store.ring(id).await.unwrap(), Some(ring(id, 1)));
    let ada = store.add_person("Ada", "administrator", at(0)).await.unwrap();
    let by = Actor { kind: ActorKind::Person, id: ada.id.clone(), name: Some("Ada".into()) };
    let over = Ring { state: RingState::Rejected, ended: Some(at(9)), by: Some(by), ..ring(id, 1) };
    write(&store, record(&over)).await;
    assert_eq!(store.ring(id).await.unwrap(), Some(over));
    assert!(store.remove_person(&ada.id).await.unwrap());
    assert_eq!(store.ring(id).await.unwrap().unwrap().by.unwrap().name, None, "a person can be erased");

    let nobody = Ring { account: None, from: None, state: RingState::Timeout, ended: Some(at(9)), ..ring(uuid(), 2) };
    write(&store, record(&nobody)).await;
    assert_eq!(store.ring(nobody.id).await.unwrap(), Some(nobody), "its beginning could not be written");
    assert_eq!(store.ring(uuid()).await.unwrap(), None);
}

pub(crate) async fn rings_are_read_newest_first_a_page_at_a_time(house: &House) {
    let store = house.furnished().await;
    // Two began in the same moment: none is read twice, none is left out.
    let rings: Vec<Ring> = [1, 2, 2, 3, 4].into_iter().map(|seconds| ended(uuid(), seconds)).collect();
    for ring in &rings {
        write(&store, record(ring)).await;
    }
    let elsewhere = Ring { door: "cellar".parse().unwrap(), ..ring(uuid(), 9) };
    write(&store, record(&elsewhere)).await;
    let mut query = RingQuery { door: Some(gate()), limit: 2, ..RingQuery::default() };
    let mut read = Vec::new();
    loop {
        let page = store.rings(&query).await.unwrap();
        let Some(last) = page.last() else { break };
        query.before = Some(last.id);
        read.extend(page);
    }
    assert_eq!(read.iter().map(|ring| ring.since).collect::<Vec<_>>(), [4, 3, 2, 2, 1].map(at));
    let (mut read, mut all) = (ids(&read), ids(&rings));
    read.sort();
    all.sort();
    assert_eq!(read, all);
    let now = RingQuery { state: Some(RingState::Ringing), ..RingQuery::default() };
    assert_eq!(store.rings(&now).await.unwrap(), [elsewhere]);
    let unknown = RingQuery { before: Some(uuid()), ..RingQuery::default() };
    assert!(store.rings(&unknown).await.unwrap().is_empty(), "nothing is older than what is not there");
}

pub(crate) async fn a_ring_that_ended_stays_as_it_ended(house: &House) {
    let store = house.furnished().await;
    let over = ended(uuid(), 1);
    write(&store, record(&over)).await;
    write(&store, record(&Ring { state: RingState::Timeout, by: None, attempt: None, ..over.clone() })).await;
    write(&store, record(&ring(over.id, 1))).await;
    assert_eq!(store.ring(over.id).await.unwrap(), Some(over));
}

pub(crate) async fn what_rang_when_the_last_run_stopped_is_found(house: &House) {
    let store = house.furnished().await;
    let (second, first) = (ring(uuid(), 2), ring(uuid(), 1));
    for ring in [&second, &first, &ended(uuid(), 1)] {
        write(&store, record(ring)).await;
    }
    store.close().await;
    let store = house.open().await;
    assert_eq!(store.open_rings(&[home()]).await.unwrap(), [first, second]);
    assert!(store.open_rings(&["other".parse().unwrap()]).await.unwrap().is_empty());
}

pub(crate) async fn old_rings_go_with_the_events(house: &House) {
    let store = house.furnished().await;
    let (old, open, new) = (ended(uuid(), 1), ring(uuid(), 2), ended(uuid(), 60));
    for ring in [&old, &open, &new] {
        write(&store, record(ring)).await;
    }
    assert_eq!(store.prune(at(50), at(100)).await.unwrap().events, 2);
    assert_eq!(ids(&store.rings(&RingQuery::default()).await.unwrap()), [new.id, open.id], "what rings stays");
    assert!(store.audit_verify().await.unwrap().ok);
}
