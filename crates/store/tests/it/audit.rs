//! The audit: numbered without gaps, and nobody changes it unnoticed (rule 4).

use crate::house::{House, at, attempt, event, gate, intent, tell, uuid, write};
use doorward_core::record::{NewEvent, Record};
use doorward_store::{AuditReport, EventQuery, Store};
use doorward_wire::{
    attempt::{Actor, ActorKind, AttemptState},
    event::{Event, EventKind},
};

fn ids(events: &[Event]) -> Vec<i64> {
    events.iter().map(|event| event.id).collect()
}

pub(crate) async fn events_are_read_by_door_kind_and_place(house: &House) {
    let store = house.furnished().await;
    assert_eq!(store.last_event_id().await.unwrap(), 0);
    tell(&store, 5).await;
    let told = NewEvent::new(at(2), EventKind::Started).data(serde_json::json!({ "b": 1, "a": [2, null] }));
    let written = write(&store, Record::Events { events: vec![told], told: None }).await;
    assert_eq!(store.last_event_id().await.unwrap(), 6);

    let newest = store.events(&EventQuery { limit: 3, ..EventQuery::default() }).await.unwrap();
    assert_eq!(ids(&newest), [4, 5, 6], "the newest, oldest first");
    assert_eq!(newest[2], written.events[0], "what is read is what was written");
    let query = |query: EventQuery| {
        let store = store.clone();
        async move { ids(&store.events(&query).await.unwrap()) }
    };
    assert_eq!(query(EventQuery { after: Some(2), limit: 2, ..EventQuery::default() }).await, [3, 4]);
    assert_eq!(query(EventQuery { before: Some(3), ..EventQuery::default() }).await, [1, 2]);
    assert_eq!(query(EventQuery { after: Some(1), before: Some(4), ..EventQuery::default() }).await, [2, 3]);
    assert_eq!(query(EventQuery { door: Some(gate()), limit: 2, ..EventQuery::default() }).await, [4, 5]);
    assert_eq!(query(EventQuery { kind: Some(EventKind::Started), ..EventQuery::default() }).await, [6]);
    assert_eq!(query(EventQuery { kind: Some(EventKind::Started), door: Some(gate()), ..EventQuery::default() }).await, [0; 0]);
    assert_eq!(query(EventQuery { after: Some(6), ..EventQuery::default() }).await, [0; 0]);
}

pub(crate) async fn events_have_no_gaps_under_concurrent_writers(house: &House) {
    let stores = [house.furnished().await, house.open().await];
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let store = stores[writer % 2].clone();
            tokio::spawn(async move {
                let mut numbers = Vec::new();
                for round in 0..10 {
                    let events = (0..=round % 3).map(|_| event(EventKind::DoorRing)).collect();
                    numbers.extend(ids(&write(&store, Record::Events { events, told: None }).await.events));
                    numbers.extend(ids(&write(&store, intent(&attempt(uuid()), true)).await.events));
                }
                assert!(numbers.is_sorted(), "each writer sees its own order");
                numbers
            })
        })
        .collect();
    let mut numbers = Vec::new();
    for writer in writers {
        numbers.extend(writer.await.unwrap());
    }
    numbers.sort_unstable();
    let expected: Vec<i64> = (1..).take(numbers.len()).collect();
    assert_eq!(numbers, expected);
    let report = stores[0].audit_verify().await.unwrap();
    assert_eq!((report.ok, report.checked, report.to), (true, numbers.len() as u64, *expected.last().unwrap()));
}

async fn verify(store: &Store) -> AuditReport {
    store.audit_verify().await.unwrap()
}

#[track_caller]
fn assert_bad(report: &AuditReport, first_bad: i64) {
    assert!(!report.ok, "{report:?}");
    assert_eq!(report.first_bad, Some(first_bad), "{report:?}");
    assert!(report.problem.is_some());
}

pub(crate) async fn rule_4_a_changed_row_is_found(house: &House) {
    let store = house.furnished().await;
    tell(&store, 40).await;
    let actor = Actor { kind: ActorKind::Mqtt, id: "hall".into(), name: None };
    let told = event(EventKind::DoorUnlocked).actor(&actor).attempt(uuid()).reason(Some(doorward_wire::attempt::Reason::Offline));
    write(&store, Record::Events { events: vec![told, event(EventKind::DoorLocked)], told: None }).await;
    let good = verify(&store).await;
    assert_eq!(good, AuditReport { ok: true, checked: 42, from: 1, to: 42, first_bad: None, problem: None });

    let changes = [
        "time = time + 1",
        "kind = 'door.locked'",
        "door = 'cellar'",
        "door = NULL",
        "account = 'other'",
        "device = 'esp'",
        "actor_kind = 'admin'",
        "actor_id = ''",
        "reason = NULL",
        "attempt = NULL",
        "data_json = '{}'",
        "hash = (SELECT e.hash FROM events e WHERE e.seq = 40)",
    ];
    house.sql("CREATE TABLE spare AS SELECT * FROM events WHERE seq = 41").await;
    for change in changes {
        house.sql(&format!("UPDATE events SET {change} WHERE seq = 41")).await;
        assert_bad(&verify(&store).await, 41);
        house.sql("DELETE FROM events WHERE seq = 41").await;
        house.sql("INSERT INTO events SELECT * FROM spare").await;
        assert_eq!(verify(&store).await, good, "{change}");
    }
    // The names of two columns cannot be swapped either: what stood in one must not count in the other.
    house.sql("UPDATE events SET door = account, account = door WHERE seq = 41").await;
    assert_bad(&verify(&store).await, 41);
}

pub(crate) async fn rule_4_a_missing_row_is_found(house: &House) {
    let store = house.furnished().await;
    tell(&store, 10).await;
    house.sql("DELETE FROM events WHERE seq = 4").await;
    assert_bad(&verify(&store).await, 4);
    tell(&store, 1).await;
    assert_bad(&verify(&store).await, 4);
}

pub(crate) async fn rule_4_a_truncated_tail_is_found(house: &House) {
    let store = house.furnished().await;
    tell(&store, 10).await;
    house.sql("DELETE FROM events WHERE seq > 7").await;
    assert_bad(&verify(&store).await, 8);
    // Together with the end: its signature cannot be made without the master key.
    house.sql("UPDATE chain SET seq = 7, hash = (SELECT hash FROM events WHERE seq = 7)").await;
    assert_bad(&verify(&store).await, 7);
    house.sql("DELETE FROM events").await;
    house.sql("DELETE FROM chain").await;
    assert!(!verify(&store).await.ok);
    store.write(&[Record::Events { events: vec![event(EventKind::DoorRing)], told: None }], at(1)).await.unwrap_err();
}

pub(crate) async fn rule_4_a_forged_end_stays_found(house: &House) {
    let store = house.furnished().await;
    tell(&store, 10).await;
    house.sql("DELETE FROM events WHERE seq > 7").await;
    house.sql("UPDATE chain SET seq = 7, hash = (SELECT hash FROM events WHERE seq = 7)").await;
    // The house goes on, and does not sign what it did not write.
    tell(&store, 3).await;
    assert_eq!(store.last_event_id().await.unwrap(), 10);
    assert!(!verify(&store).await.ok);
    store.close().await;
    let again = house.open().await;
    tell(&again, 1).await;
    assert!(!verify(&again).await.ok);
}

pub(crate) async fn rule_4_an_inserted_row_is_found(house: &House) {
    let store = house.furnished().await;
    tell(&store, 3).await;
    house.sql("CREATE TABLE spare AS SELECT * FROM events WHERE seq = 3").await;
    house.sql("UPDATE spare SET seq = 4").await;
    house.sql("INSERT INTO events SELECT * FROM spare").await;
    assert_bad(&verify(&store).await, 4);
    house.sql("DELETE FROM events WHERE seq = 4").await;
    assert!(verify(&store).await.ok);
    house.sql("UPDATE spare SET seq = -1").await;
    house.sql("INSERT INTO events SELECT * FROM spare").await;
    assert_bad(&verify(&store).await, -1);
}

pub(crate) async fn pruning_keeps_the_rest_verifiable(house: &House) {
    let store = house.furnished().await;
    assert_eq!(store.prune(at(50), at(60)).await.unwrap().events, 0, "nothing to prune, nothing to tell");
    for day in 0..10_u64 {
        let told = NewEvent::new(at(day * 10), EventKind::DoorRing);
        write(&store, Record::Events { events: vec![told], told: None }).await;
    }
    let mut old = attempt(uuid());
    old.state = AttemptState::Confirmed;
    let pending = attempt(uuid());
    store.write(&[intent(&old, false), intent(&pending, false)], at(1)).await.unwrap();

    // Events 1 to 5 are of before; 11 and 12 too, but they were committed later and stay.
    let pruned = store.prune(at(50), at(100)).await.unwrap();
    assert_eq!(pruned.events, 5);
    assert_eq!(pruned.told.as_ref().map(|told| (told.id, told.kind)), Some((13, EventKind::EventsPruned)));
    let left = store.events(&EventQuery::default()).await.unwrap();
    assert_eq!(ids(&left), (6..=13).collect::<Vec<_>>());
    assert_eq!(store.attempt(old.id).await.unwrap(), None, "an old attempt goes with its events");
    assert!(store.attempt(pending.id).await.unwrap().is_some(), "one that has not ended stays");
    let report = verify(&store).await;
    assert_eq!((report.ok, report.checked, report.from, report.to), (true, 8, 6, 13));

    let all = store.prune(at(1000), at(1000)).await.unwrap();
    assert_eq!((all.events, all.told.map(|told| told.id)), (8, Some(14)));
    let report = verify(&store).await;
    assert_eq!((report.ok, report.checked, report.from, report.to), (true, 1, 14, 14));
    tell(&store, 2).await;
    assert!(verify(&store).await.ok);

    house.sql("CREATE TABLE spare AS SELECT * FROM checkpoints").await;
    house.sql("UPDATE checkpoints SET hash = (SELECT hash FROM events WHERE seq = 14)").await;
    assert!(!verify(&store).await.ok, "a forged checkpoint is found");
    house.sql("DELETE FROM checkpoints").await;
    assert!(!verify(&store).await.ok, "a missing checkpoint is found");
    house.sql("INSERT INTO checkpoints SELECT * FROM spare").await;
    assert!(verify(&store).await.ok);
}

pub(crate) async fn a_person_can_be_erased_and_the_audit_still_holds(house: &House) {
    let store = house.furnished().await;
    let ada = store.add_person("Ada Lovelace", "administrator", at(0)).await.unwrap();
    let (token, _) = store.add_token(None, "phone", &[], None, at(0)).await.unwrap();
    for (kind, id) in [(ActorKind::Person, &ada.id), (ActorKind::Token, &token.id), (ActorKind::Mqtt, &ada.id)] {
        let actor = Actor { kind, id: id.clone(), name: Some("Ada Lovelace".into()) };
        write(&store, Record::Events { events: vec![event(EventKind::DoorUnlocked).actor(&actor)], told: None }).await;
    }
    let names = |events: Vec<Event>| events.into_iter().map(|event| event.actor.and_then(|actor| actor.name)).collect::<Vec<_>>();
    let read = store.events(&EventQuery::default()).await.unwrap();
    assert_eq!(names(read), [Some("Ada Lovelace".into()), Some("phone".into()), None]);

    assert!(store.remove_person(&ada.id).await.unwrap());
    assert!(store.remove_token(&token.id).await.unwrap());
    let read = store.events(&EventQuery::default()).await.unwrap();
    assert_eq!(read[0].actor.as_ref().map(|actor| actor.id.as_str()), Some(ada.id.as_str()), "the identifier stays");
    assert_eq!(names(read), [None, None, None]);
    assert!(verify(&store).await.ok);
}
