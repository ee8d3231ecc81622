//! Browsers that are told what happens.

use crate::house::{House, at, contains};
use doorward_core::Secret;
use doorward_store::{AddedPush, PushTarget, Store};

fn target(name: &str) -> PushTarget {
    PushTarget {
        endpoint: Secret::new(format!("https://push.example/{name}")),
        key: vec![4; 65],
        auth: Secret::new(b"sixteen bytes...".to_vec()),
    }
}

/// Somebody with a session of this name until this second.
async fn signed_in(store: &Store, name: &str, until: u64) -> String {
    let person = store.add_person(name, "administrator", at(0)).await.unwrap().id;
    store.put_session(name.as_bytes(), Some(&person), b"{}", at(until)).await.unwrap();
    person
}

async fn added(store: &Store, person: &str, session: &str, name: &str) -> String {
    match store.add_push(person, session.as_bytes(), &target(name), "{}", at(1)).await.unwrap() {
        AddedPush::Added(id) => id,
        other @ (AddedPush::NoSession | AddedPush::TooMany) => panic!("{other:?}"),
    }
}

async fn ids(store: &Store, second: u64) -> Vec<String> {
    store.pushes(at(second)).await.unwrap().into_iter().map(|push| push.id).collect()
}

pub(crate) async fn a_browser_is_told_as_long_as_its_session_lasts(house: &House) {
    let store = house.open().await;
    let ada = signed_in(&store, "Ada", 100).await;
    let add = async |session: &[u8], second| store.add_push(&ada, session, &target("x"), "{}", at(second)).await.unwrap();
    assert_eq!(add(b"nobody", 1).await, AddedPush::NoSession);
    assert_eq!(add(b"Ada", 100).await, AddedPush::NoSession, "it has ended");
    let first = added(&store, &ada, "Ada", "phone").await;
    assert_eq!((ids(&store, 99).await, ids(&store, 100).await), (vec![first.clone()], vec![]));
    let push = store.pushes(at(1)).await.unwrap().remove(0);
    assert_eq!((push.person, push.target, push.created), (ada.clone(), target("phone"), at(1)));
    assert_eq!(store.push_of(b"Ada").await.unwrap(), Some(first));

    let again = added(&store, &ada, "Ada", "phone").await;
    assert_eq!(ids(&store, 1).await, [again], "the same browser is there once");
    let moved = added(&store, &ada, "Ada", "moved").await;
    assert_eq!(ids(&store, 1).await, [moved], "a browser whose address changed is there once");
    let bob = signed_in(&store, "Bob", 100).await;
    let taken = added(&store, &bob, "Bob", "moved").await;
    assert_eq!(ids(&store, 1).await, [taken], "who signed in last in a browser has it");

    let other = added(&store, &ada, "Ada", "other").await;
    assert!(store.remove_push(&other).await.unwrap() && !store.remove_push(&other).await.unwrap());
    assert!(store.remove_session(b"Bob").await.unwrap());
    assert_eq!(ids(&store, 1).await, [""; 0], "signed out");
}

pub(crate) async fn a_browser_goes_with_its_person(house: &House) {
    let store = house.open().await;
    let ada = signed_in(&store, "Ada", 100).await;
    added(&store, &ada, "Ada", "phone").await;
    store.remove_person(&ada).await.unwrap();
    assert_eq!((ids(&store, 1).await.len(), store.push_of(b"Ada").await.unwrap()), (0, None));
}

pub(crate) async fn where_a_browser_is_stays_sealed(house: &House) {
    let store = house.open().await;
    let ada = signed_in(&store, "Ada", 100).await;
    let id = added(&store, &ada, "Ada", "phone").await;
    let shown = format!("{:?}", store.pushes(at(1)).await.unwrap());
    assert!(!shown.contains("push.example") && !shown.contains("sixteen"), "{shown}");
    store.close().await;
    let bytes = house.at_rest().await;
    assert!(contains(&bytes, id.as_bytes()), "this looks in the right place");
    assert!(!contains(&bytes, b"push.example") && !contains(&bytes, b"sixteen bytes"));
}

pub(crate) async fn a_person_has_at_most_twenty_browsers(house: &House) {
    let store = house.open().await;
    let ada = signed_in(&store, "Ada", 100).await;
    for number in 0..20 {
        let session = format!("session {number}");
        store.put_session(session.as_bytes(), Some(&ada), b"{}", at(100)).await.unwrap();
        added(&store, &ada, &session, &session).await;
    }
    let more = store.add_push(&ada, b"Ada", &target("more"), "{}", at(1)).await.unwrap();
    assert_eq!((more, ids(&store, 1).await.len()), (AddedPush::TooMany, 20));
    added(&store, &ada, "session 3", "session 3").await;
    let bob = signed_in(&store, "Bob", 100).await;
    added(&store, &bob, "Bob", "his").await;
}

pub(crate) async fn of_two_senders_one_writes_how_far_a_browser_is(house: &House) {
    let store = house.open().await;
    let ada = signed_in(&store, "Ada", 100).await;
    let id = added(&store, &ada, "Ada", "phone").await;
    assert!(store.swap_push_lane(&id, "{}", "1").await.unwrap());
    assert!(!store.swap_push_lane(&id, "{}", "2").await.unwrap());
    assert_eq!(store.push_lane(&id).await.unwrap().as_deref(), Some("1"));
    assert_eq!(store.push_lane("gone").await.unwrap(), None);
}

pub(crate) async fn a_changed_password_keeps_the_browser_in_which_it_was_changed(house: &House) {
    let store = house.open().await;
    let ada = signed_in(&store, "Ada", 100).await;
    for session in ["Ada", "other", "new"] {
        store.put_session(session.as_bytes(), Some(&ada), b"{}", at(100)).await.unwrap();
    }
    let here = added(&store, &ada, "Ada", "here").await;
    added(&store, &ada, "other", "elsewhere").await;
    assert_eq!(store.replace_sessions_of(&ada, b"Ada", b"new").await.unwrap(), 2);
    assert_eq!((ids(&store, 1).await, store.push_of(b"new").await.unwrap()), (vec![here.clone()], Some(here)));
    assert!(store.session(b"Ada", at(1)).await.unwrap().is_none());
}
