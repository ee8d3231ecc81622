//! Intents, claims and outcomes.

use crate::house::{House, account, at, attempt, door, event, furnish, gate, home, intent, uuid, write};
use doorward_core::{
    record::{Record, WrittenAs},
    setup::Told,
};
use doorward_wire::{
    attempt::{ActorKind, AttemptState, Reason},
    door::{DoorState, Evidence, EvidenceKind},
    event::EventKind,
};
use std::collections::BTreeMap;

pub(crate) async fn an_intent_and_its_outcome_are_read_back(house: &House) {
    let store = house.furnished().await;
    let mut attempt = attempt(uuid());
    let written = write(&store, intent(&attempt, true)).await;
    assert_eq!(written.what, WrittenAs::Claim(true));
    assert_eq!(written.events.len(), 1);
    assert_eq!(written.events[0].attempt, Some(attempt.id));
    assert_eq!(store.attempt(attempt.id).await.unwrap(), Some(attempt.clone()));
    let open = store.open_intents(&[home()]).await.unwrap();
    assert_eq!(open.len(), 1);
    assert!(open[0].acted, "it was claimed, so it may have been sent");

    attempt.state = AttemptState::Confirmed;
    attempt.evidence = vec![Evidence { kind: EvidenceKind::Answer, state: Some(DoorState::Unlocked), at: at(2) }];
    attempt.finished = Some(at(3));
    let told = vec![event(EventKind::DoorUnlocked), event(EventKind::AttemptFinished)];
    let written = write(&store, Record::Outcome { attempt: attempt.clone(), events: told }).await;
    assert_eq!(written.what, WrittenAs::Plain);
    assert_eq!(written.events.iter().map(|event| event.id).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(store.attempt(attempt.id).await.unwrap(), Some(attempt.clone()));
    assert!(store.open_intents(&[home()]).await.unwrap().is_empty());

    attempt.state = AttemptState::Contradicted;
    attempt.reason = Some(Reason::Jammed);
    attempt.detail = Some("Look at the bolt.".into());
    write(&store, Record::Outcome { attempt: attempt.clone(), events: Vec::new() }).await;
    assert_eq!(store.attempt(attempt.id).await.unwrap(), Some(attempt));
    assert_eq!(store.attempt(uuid()).await.unwrap(), None);
    assert!(store.write(&[], at(1)).await.unwrap().is_empty());
}

pub(crate) async fn an_identifier_used_again_returns_the_same_attempt(house: &House) {
    let store = house.furnished().await;
    let person = store.add_person("Ada", "administrator", at(0)).await.unwrap();
    let mut first = attempt(uuid());
    first.actor.kind = ActorKind::Person;
    first.actor.id = person.id;
    write(&store, intent(&first, true)).await;

    let mut second = first.clone();
    second.door = "cellar".parse().unwrap();
    let written = write(&store, intent(&second, true)).await;
    first.actor.name = Some("Ada".into());
    assert_eq!(written.what, WrittenAs::Known(Box::new(first)));
    assert!(written.events.is_empty());
    assert_eq!(store.last_event_id().await.unwrap(), 1, "a repeat tells nothing");

    // Also within one commit.
    let twin = attempt(uuid());
    let written = store.write(&[intent(&twin, true), intent(&twin, true)], at(1)).await.unwrap();
    assert_eq!(written[0].what, WrittenAs::Claim(true));
    assert_eq!(written[1].what, WrittenAs::Known(Box::new(twin)));
}

pub(crate) async fn rule_1_only_the_claim_may_act(house: &House) {
    let store = house.furnished().await;
    let waiting = attempt(uuid());
    assert_eq!(write(&store, intent(&waiting, false)).await.what, WrittenAs::Plain);
    assert!(!store.open_intents(&[home()]).await.unwrap()[0].acted);
    let claim = || Record::Claim { attempt: waiting.id };
    assert_eq!(write(&store, claim()).await.what, WrittenAs::Claim(true));
    assert_eq!(write(&store, claim()).await.what, WrittenAs::Claim(false), "a second claim gets nothing");

    let mut refused = attempt(uuid());
    refused.state = AttemptState::Refused;
    refused.reason = Some(Reason::NoGrant);
    assert_eq!(write(&store, intent(&refused, true)).await.what, WrittenAs::Plain);
    assert_eq!(write(&store, Record::Claim { attempt: refused.id }).await.what, WrittenAs::Claim(false), "an end cannot be claimed");
    assert_eq!(write(&store, Record::Claim { attempt: uuid() }).await.what, WrittenAs::Claim(false), "nothing cannot be claimed");

    // An instance that owns nothing may not act on what it writes.
    let stranger = house.open().await;
    let other = attempt(uuid());
    assert_eq!(write(&stranger, intent(&other, true)).await.what, WrittenAs::Claim(false));
    assert_eq!(write(&store, Record::Claim { attempt: other.id }).await.what, WrittenAs::Claim(true), "but the owner may");
}

pub(crate) async fn rule_1_two_instances_claim_each_attempt_once(house: &House) {
    let first = house.furnished().await;
    let second = house.open().await;
    let attempts: Vec<_> = (0..100).map(|_| attempt(uuid())).collect();
    let intents: Vec<_> = attempts.iter().map(|attempt| intent(attempt, false)).collect();
    first.write(&intents, at(1)).await.unwrap();

    // Two tasks of the first instance claim; the second instance takes over in the middle, and claims with two more.
    let claims = |store: doorward_store::Store| {
        let ids: Vec<_> = attempts.iter().map(|attempt| attempt.id).collect();
        tokio::spawn(async move {
            let mut mine = Vec::new();
            for id in ids {
                if write(&store, Record::Claim { attempt: id }).await.what == WrittenAs::Claim(true) {
                    mine.push(id);
                }
                tokio::task::yield_now().await;
            }
            mine
        })
    };
    let early = [claims(first.clone()), claims(first.clone())];
    second.own(&[home()], uuid(), at(2)).await.unwrap();
    let late = [claims(second.clone()), claims(second.clone())];

    let mut claimed = BTreeMap::new();
    for task in early.into_iter().chain(late) {
        for id in task.await.unwrap() {
            *claimed.entry(id).or_insert(0) += 1;
        }
    }
    assert_eq!(claimed.len(), 100, "every attempt was claimed");
    assert!(claimed.values().all(|times| *times == 1), "and each of them once");
}

pub(crate) async fn rule_10_a_takeover_ends_the_claims_of_the_owner_before(house: &House) {
    let before = house.furnished().await;
    let (sent, waiting) = (attempt(uuid()), attempt(uuid()));
    write(&before, intent(&sent, true)).await;
    write(&before, intent(&waiting, false)).await;

    let after = house.open().await;
    after.own(&[home()], uuid(), at(2)).await.unwrap();
    assert_eq!(write(&before, Record::Claim { attempt: waiting.id }).await.what, WrittenAs::Claim(false));
    assert_eq!(write(&before, intent(&attempt(uuid()), true)).await.what, WrittenAs::Claim(false));
    let open = after.open_intents(&[home()]).await.unwrap();
    assert_eq!(open.iter().map(|intent| intent.acted).collect::<Vec<_>>().iter().filter(|acted| **acted).count(), 1);
    assert!(after.open_intents(&["other".parse().unwrap()]).await.unwrap().is_empty());
    assert_eq!(write(&after, Record::Claim { attempt: waiting.id }).await.what, WrittenAs::Claim(true));

    assert_eq!(before.renew_ownership(at(3)).await.unwrap(), [home()], "the owner before learns of it");
    assert!(before.renew_ownership(at(4)).await.unwrap().is_empty(), "once");
    assert!(after.renew_ownership(at(4)).await.unwrap().is_empty());
}

pub(crate) async fn an_outcome_without_an_intent_is_written(house: &House) {
    let store = house.furnished().await;
    let mut way_out = attempt(uuid());
    way_out.state = AttemptState::Confirmed;
    way_out.finished = Some(at(2));
    write(&store, Record::Outcome { attempt: way_out.clone(), events: vec![event(EventKind::DoorUnlocked)] }).await;
    assert_eq!(store.attempt(way_out.id).await.unwrap(), Some(way_out.clone()));
    assert_eq!(write(&store, intent(&way_out, true)).await.what, WrittenAs::Known(Box::new(way_out)), "and it is not done again");
}

pub(crate) async fn a_batch_is_written_whole_or_not_at_all(house: &House) {
    let store = house.furnished().await;
    let first = attempt(uuid());
    house.sql("ALTER TABLE doors RENAME COLUMN last_state TO gone").await;
    let seen = Record::Events {
        events: vec![event(EventKind::DoorLocked)],
        told: Some((gate(), Told { state: Some(DoorState::Locked), ..Told::default() })),
    };
    let error = store.write(&[intent(&first, true), seen], at(1)).await.unwrap_err();
    assert!(matches!(error, doorward_store::StoreError::Bug(_)), "{error:?}");
    assert!(!error.person().is_empty());
    house.sql("ALTER TABLE doors RENAME COLUMN gone TO last_state").await;

    assert_eq!(store.attempt(first.id).await.unwrap(), None);
    assert_eq!(store.last_event_id().await.unwrap(), 0);
    assert_eq!(write(&store, intent(&first, true)).await.what, WrittenAs::Claim(true), "so it can be written again");
    assert!(store.audit_verify().await.unwrap().ok);
}

pub(crate) async fn texts_that_one_database_cannot_hold_are_the_same_on_both(house: &House) {
    let store = house.open().await;
    furnish(&store).await;
    let mut odd = attempt(uuid());
    odd.actor.id = "a\0b\u{1f511}".into();
    odd.detail = Some("\0".into());
    let told = event(EventKind::DoorRing).actor(&odd.actor).data(serde_json::json!({ "text": "a\0b" }));
    write(&store, intent(&odd, false)).await;
    write(&store, Record::Events { events: vec![told], told: None }).await;
    let read = store.attempt(odd.id).await.unwrap().unwrap();
    assert_eq!(read.actor.id, "a\u{fffd}b\u{1f511}");
    let events = store.events(&doorward_store::EventQuery::default()).await.unwrap();
    assert_eq!(events[1].data["text"], "a\0b", "JSON writes it with an escape, so it stays");
    assert!(store.audit_verify().await.unwrap().ok);

    let mut named = account("odd");
    named.name = "a\0".into();
    assert!(store.add_account(&named).await.unwrap());
    let mut odd_door = door("odd", "odd");
    odd_door.name = "\0".into();
    assert!(store.put_door(&odd_door, at(0)).await.unwrap());
}
