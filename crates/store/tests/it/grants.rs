//! Grants, groups and passes: what is given, counted, and taken back.

use crate::house::{House, at, attempt, contains, event, uuid, write};
use doorward_core::{
    Secret,
    policy::{Place, decide},
    record::{NewEvent, Record, Written, WrittenAs},
};
use doorward_store::{Holder, NewPass, Store, StoredPass};
use doorward_wire::{
    attempt::{ActionWord, Actor, ActorKind, AttemptState, Reason},
    event::EventKind,
    grant::{Actions, Doors, Terms},
};
use std::collections::BTreeMap;

fn told(kind: EventKind) -> NewEvent {
    NewEvent::new(at(1), kind)
}

fn by() -> Actor {
    Actor { kind: ActorKind::Person, id: "ada".into(), name: None }
}

fn gate() -> Vec<Doors> {
    vec!["gate".parse().unwrap()]
}

async fn pass(store: &Store, terms: Terms, pin: Option<&Secret<String>>) -> (StoredPass, Secret<String>) {
    let new = NewPass { name: "Grace", pin, doors: gate(), terms, made_by: &by(), within: None };
    let (pass, secret, event) = store.add_pass(new, &told(EventKind::PassCreated).actor(&by())).await.unwrap();
    assert_eq!(event.data["pass"], pass.id.as_str());
    assert!(!event.data.to_string().contains("Grace"), "the name of a guest is not in the audit");
    (pass, secret)
}

/// An intent that this grant allows.
fn use_of(grant: &str) -> (Record, doorward_wire::attempt::AttemptId) {
    let attempt = attempt(uuid());
    let id = attempt.id;
    let events = vec![event(EventKind::AttemptRequested).attempt(id)];
    (Record::Intent { attempt, account: crate::house::home(), not_after: at(11), claim: true, grant: Some(grant.into()), events }, id)
}

fn opened(written: &Written) -> bool {
    matches!(written.what, WrittenAs::Claim(true))
}

/// Something in each of these tables.
pub(crate) async fn given(store: &Store, person: &doorward_store::Person) {
    let (group, _) = store.add_group("Family", &told(EventKind::PersonChanged)).await.unwrap();
    store.put_group(&group.id, "Family", std::slice::from_ref(&person.id), &told(EventKind::PersonChanged)).await.unwrap().unwrap();
    let terms =
        Terms { uses: Some(9), weekdays: vec!["mon".parse().unwrap()], hours: vec!["22:00-06:00".parse().unwrap()], ..Terms::default() };
    let change = told(EventKind::GrantChanged);
    store.add_grant(Holder::Group(group.id), vec!["site:home".parse().unwrap()], Actions::Act, terms, &change).await.unwrap();
    pass(store, Terms::default(), Some(&Secret::from("4711"))).await;
}

pub(crate) async fn rights_come_from_role_grants_and_groups(house: &House) {
    let store = house.open().await;
    let ada = store.add_person("Ada", "administrator", at(0)).await.unwrap();
    let bob = store.add_person("Bob", "resident", at(0)).await.unwrap();
    let (gate_id, cellar) = ("gate".parse().unwrap(), "cellar".parse().unwrap());
    let may = async |person: &doorward_store::Person, door| {
        let rights = store.rights_of(person).await.unwrap();
        let place = Place { door, site: "home", time_zone: "UTC", holidays: &[] };
        decide(&rights, place, ActionWord::Unlock, at(1)).allowed
    };
    assert!(may(&ada, &gate_id).await && !may(&bob, &gate_id).await);

    let terms = Terms::default();
    let (grant, _) =
        store.add_grant(Holder::Person(bob.id.clone()), gate(), Actions::Act, terms.clone(), &told(EventKind::GrantChanged)).await.unwrap();
    assert!(may(&bob, &gate_id).await && !may(&bob, &cellar).await);

    let (group, _) = store.add_group("Family", &told(EventKind::PersonChanged)).await.unwrap();
    let of_group = vec!["site:home".parse().unwrap()];
    store.add_grant(Holder::Group(group.id.clone()), of_group, Actions::Act, terms.clone(), &told(EventKind::GrantChanged)).await.unwrap();
    assert!(!may(&bob, &cellar).await);
    let members = [bob.id.clone(), "nobody".into()];
    store.put_group(&group.id, "The family", &members, &told(EventKind::PersonChanged)).await.unwrap().unwrap();
    assert!(may(&bob, &cellar).await);
    let groups = store.groups().await.unwrap();
    assert_eq!((groups[0].name.as_str(), groups[0].members.as_slice()), ("The family", &[bob.id.clone()][..]));
    assert!(store.put_group("none", "x", &[], &told(EventKind::PersonChanged)).await.unwrap().is_none());

    let change = told(EventKind::GrantChanged);
    assert!(store.change_grant(&grant.id, &[Doors::All], Actions::Read, &terms, &change).await.unwrap().is_some());
    let changed = store.grant(&grant.id).await.unwrap().unwrap();
    assert_eq!((changed.doors, changed.actions), (vec![Doors::All], Actions::Read));
    store.remove_group(&group.id, &change).await.unwrap().unwrap();
    assert!(!may(&bob, &cellar).await, "what was given to a group goes with it");
    assert!(store.revoke_grant(&grant.id, &change).await.unwrap().is_some());
    assert!(store.revoke_grant(&grant.id, &change).await.unwrap().is_none(), "it is taken back once");
    assert!(store.change_grant(&grant.id, &[Doors::All], Actions::Act, &terms, &change).await.unwrap().is_none(), "and stays so");
    assert!(store.remove_person(&bob.id).await.unwrap());
    assert_eq!(store.grants().await.unwrap(), []);
}

pub(crate) async fn a_grant_opens_as_often_as_it_may_whoever_asks_at_once(house: &House) {
    let store = house.furnished().await;
    let (pass, _) = pass(&store, Terms { uses: Some(3), ..Terms::default() }, None).await;
    let tries: Vec<_> = (0..12)
        .map(|_| {
            let (store, grant) = (store.clone(), pass.grant.id.clone());
            tokio::spawn(async move {
                let (record, _) = use_of(&grant);
                store.write(&[record], at(2)).await.unwrap().pop().unwrap()
            })
        })
        .collect();
    let mut counts = BTreeMap::new();
    for one in tries {
        let written = one.await.unwrap();
        *counts.entry(opened(&written)).or_insert(0) += 1;
        if let WrittenAs::Denied(denied) = &written.what {
            assert_eq!((denied.state, denied.reason), (AttemptState::Refused, Some(Reason::UsesExhausted)));
            assert_eq!(written.events[0].kind, EventKind::DoorRefused);
            assert_eq!(store.attempt(denied.id).await.unwrap().unwrap().state, AttemptState::Refused);
        }
    }
    assert_eq!(counts, BTreeMap::from([(true, 3), (false, 9)]));
    let grant = store.grant(&pass.grant.id).await.unwrap().unwrap();
    assert_eq!((grant.used, grant.last_used), (3, Some(at(2))));
    assert!(store.open_intents(&[crate::house::home()]).await.unwrap().len() == 3, "what was refused is not open");
}

pub(crate) async fn what_opened_nothing_is_not_counted(house: &House) {
    let store = house.furnished().await;
    let (pass, _) = pass(&store, Terms { uses: Some(1), ..Terms::default() }, None).await;
    let used = async || store.grant(&pass.grant.id).await.unwrap().unwrap().used;
    let (record, id) = use_of(&pass.grant.id);
    assert!(opened(&write(&store, record.clone()).await));
    assert!(matches!(write(&store, record).await.what, WrittenAs::Known(_)), "the same command again is the same use");
    assert_eq!(used().await, 1);
    let mut end = store.attempt(id).await.unwrap().unwrap();
    end.state = AttemptState::Failed;
    end.finished = Some(at(3));
    for _ in 0..2 {
        write(&store, Record::Outcome { attempt: end.clone(), events: Vec::new() }).await;
        assert_eq!(used().await, 0, "given back, and once");
    }
    let (record, id) = use_of(&pass.grant.id);
    assert!(opened(&write(&store, record).await));
    let mut end = store.attempt(id).await.unwrap().unwrap();
    end.state = AttemptState::Unconfirmed;
    write(&store, Record::Outcome { attempt: end, events: Vec::new() }).await;
    assert_eq!(used().await, 1, "nobody knows, so it counts");
}

pub(crate) async fn a_pass_is_known_by_its_secret_and_shown_again(house: &House) {
    let store = house.furnished().await;
    let (pass, secret) = pass(&store, Terms::default(), None).await;
    assert_eq!(secret.reveal().len(), 47);
    assert_eq!(store.find_pass(&secret, at(5)).await.unwrap(), Some(pass.clone()));
    assert_eq!(store.pass(&pass.id).await.unwrap().unwrap().seen, Some(at(5)));
    for wrong in ["", "dwp_", &secret.reveal()[..46], &format!("{}x", &secret.reveal()[..46]), &secret.reveal().replace("dwp_", "dw_")] {
        let found = store.find_pass(&Secret::from(wrong), at(5)).await.unwrap();
        assert!(found.is_none() || wrong == secret.reveal(), "{wrong}");
    }
    assert_eq!(store.pass_secret(&pass.id).await.unwrap(), Some(secret.clone()));
    assert_eq!(store.pass_secret("none").await.unwrap(), None);
    assert!(!contains(&house.at_rest().await, secret.reveal().as_bytes()), "at rest it is sealed");
    assert!(store.rename_pass(&pass.id, "Grace Hopper").await.unwrap());
    assert_eq!(store.passes().await.unwrap()[0].name, "Grace Hopper");

    store.revoke_grant(&pass.grant.id, &told(EventKind::PassRevoked)).await.unwrap().unwrap();
    let found = store.find_pass(&secret, at(6)).await.unwrap().unwrap();
    assert!(found.grant.revoked.is_some(), "its holder can be told that it was taken back");
    let (record, _) = use_of(&pass.grant.id);
    let written = write(&store, record).await;
    let WrittenAs::Denied(denied) = written.what else { panic!("{written:?}") };
    assert_eq!(denied.reason, Some(Reason::Revoked));
    assert!(store.remove_pass(&pass.id).await.unwrap());
    assert_eq!(store.find_pass(&secret, at(7)).await.unwrap(), None);
    assert_eq!(store.grants().await.unwrap(), []);
}

pub(crate) async fn five_wrong_pins_block_a_pass_for_a_quarter_of_an_hour(house: &House) {
    let store = house.furnished().await;
    let (right, wrong) = (Secret::from("4711"), Secret::from("1234"));
    let (pass, _) = pass(&store, Terms::default(), Some(&right)).await;
    assert!(pass.has_pin);
    let again = async |pin: &Secret<String>, when| store.try_pass_pin(&pass.id, pin, at(when)).await.unwrap();
    for _ in 0..4 {
        assert_eq!(again(&wrong, 1).await, Err(Reason::WrongCode));
    }
    assert_eq!(again(&right, 1).await, Ok(()), "the right one clears the count");
    for _ in 0..5 {
        assert_eq!(again(&wrong, 2).await, Err(Reason::WrongCode));
    }
    assert_eq!(again(&right, 3).await, Err(Reason::RateLimited), "now not even the right one");
    assert_eq!(again(&right, 2 + 15 * 60).await, Ok(()));
    assert!(!contains(&house.at_rest().await, b"4711"));
}
