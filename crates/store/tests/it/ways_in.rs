//! Passkeys, second factors, and the list of sessions.

use crate::house::{House, at};
use doorward_core::Secret;
use doorward_store::{AddedPasskey, NewPasskey, Store, Tried};
use std::time::Duration;

pub(crate) fn passkey(person: &str, credential: u8) -> NewPasskey {
    NewPasskey {
        credential: vec![credential; 16],
        person: person.into(),
        name: "Phone".into(),
        rp_id: "door.example".into(),
        alg: -7,
        key: vec![4; 65],
        signatures: u32::MAX - 1,
        backup_eligible: true,
        backed_up: false,
        transports: vec!["internal".into(), "hybrid".into()],
    }
}

/// A second factor that counts, with the recovery codes.
pub(crate) async fn confirmed(store: &Store, person: &str) -> Vec<Secret<String>> {
    store.begin_second_factor(person, at(0)).await.unwrap().unwrap();
    store.confirm_second_factor(person, 7, at(1)).await.unwrap().unwrap()
}

/// Tries a code that belongs to this step, or to none.
async fn tried(store: &Store, person: &str, code: &str, step: Option<i64>, now: u64) -> Tried {
    store.try_second_factor(person, &code.into(), |_| step, at(now)).await.unwrap()
}

pub(crate) async fn a_passkey_belongs_to_one_person_and_counts_up(house: &House) {
    let store = house.open().await;
    let ada = store.add_person("Ada", "administrator", at(0)).await.unwrap().id;
    let bob = store.add_person("Bob", "resident", at(0)).await.unwrap().id;
    let handle = store.user_handle(&ada).await.unwrap().unwrap();
    assert_eq!((handle.len(), store.user_handle(&ada).await.unwrap()), (32, Some(handle.clone())), "the same each time");
    assert_ne!(store.user_handle(&bob).await.unwrap(), Some(handle.clone()));
    assert_eq!(store.user_handle("nobody").await.unwrap(), None);

    let AddedPasskey::Added(id) = store.add_passkey(&passkey(&ada, 1), at(1)).await.unwrap() else { panic!("it is new") };
    for other in [&ada, &bob] {
        assert_eq!(store.add_passkey(&passkey(other, 1), at(2)).await.unwrap(), AddedPasskey::Known, "whoever asks");
    }
    let (found, its) = store.find_passkey(&[1; 16]).await.unwrap().unwrap();
    assert_eq!((&found.key, its, found.used), (&passkey(&ada, 1), handle, None));
    assert_eq!(store.find_passkey(&[2; 16]).await.unwrap(), None);

    assert!(store.use_passkey(&found, u32::MAX, true, at(3)).await.unwrap());
    assert!(!store.use_passkey(&found, u32::MAX, true, at(3)).await.unwrap(), "somebody was faster");
    let kept = store.passkeys(&ada).await.unwrap().remove(0);
    assert_eq!((kept.key.signatures, kept.key.backed_up, kept.used), (u32::MAX, true, Some(at(3))));

    assert!(store.rename_passkey(&ada, &id, "Key ring").await.unwrap() && !store.rename_passkey(&bob, &id, "Mine").await.unwrap());
    assert_eq!(store.passkeys(&ada).await.unwrap()[0].key.name, "Key ring");
    assert!(!store.remove_passkey(&bob, &id).await.unwrap() && store.remove_passkey(&ada, &id).await.unwrap());
    for credential in 0..20 {
        assert!(matches!(store.add_passkey(&passkey(&ada, credential), at(4)).await.unwrap(), AddedPasskey::Added(_)));
    }
    assert_eq!(store.add_passkey(&passkey(&ada, 20), at(4)).await.unwrap(), AddedPasskey::TooMany);
    assert!(store.remove_person(&ada).await.unwrap());
    assert_eq!(store.find_passkey(&[3; 16]).await.unwrap(), None, "they go with their person");
    store.add_passkey(&passkey("nobody", 30), at(5)).await.unwrap_err();
}

pub(crate) async fn a_second_factor_counts_once_it_was_confirmed_and_each_code_once(house: &House) {
    let store = house.open().await;
    let ada = store.add_person("Ada", "administrator", at(0)).await.unwrap().id;
    assert_eq!(store.begin_second_factor("nobody", at(0)).await.unwrap(), None);
    assert_eq!(tried(&store, &ada, "123456", Some(1), 0).await, Tried::None);
    let first = store.begin_second_factor(&ada, at(0)).await.unwrap().unwrap();
    let secret = store.begin_second_factor(&ada, at(0)).await.unwrap().unwrap();
    assert!(secret.reveal().len() == 20 && first != secret, "begun anew");
    assert_eq!(store.begun_second_factor(&ada).await.unwrap(), Some(secret.clone()));
    assert_eq!((store.second_factor(&ada).await.unwrap(), tried(&store, &ada, "123456", Some(1), 0).await), (None, Tried::None));

    let codes = store.confirm_second_factor(&ada, 7, at(5)).await.unwrap().unwrap();
    assert_eq!(store.confirm_second_factor(&ada, 8, at(5)).await.unwrap(), None);
    assert_eq!((store.begin_second_factor(&ada, at(6)).await.unwrap(), store.begun_second_factor(&ada).await.unwrap()), (None, None));
    let shown = store.second_factor(&ada).await.unwrap().unwrap();
    assert_eq!((shown.since, shown.recovery_codes, codes.len()), (at(5), 10, 10));

    assert_eq!(tried(&store, &ada, "123456", Some(7), 10).await, Tried::Wrong, "the code that confirmed it");
    let seen = store.try_second_factor(&ada, &"654321".into(), |kept| (*kept == secret).then_some(8), at(10)).await.unwrap();
    assert_eq!(seen, Tried::App);
    for again in [8, 7] {
        assert_eq!(tried(&store, &ada, "654321", Some(again), 11).await, Tried::Wrong);
    }
    let (one, two) = tokio::join!(tried(&store, &ada, "1", Some(9), 12), tried(&store, &ada, "1", Some(9), 12));
    assert!([one, two].contains(&Tried::App) && [one, two].contains(&Tried::Wrong), "{one:?} {two:?}");

    let code = codes[3].reveal();
    assert!(code.len() == 14 && code.split('-').all(|group| group.len() == 4), "{code}");
    assert_eq!(tried(&store, &ada, &code.to_uppercase().replace('-', " "), None, 13).await, Tried::Recovery);
    assert_eq!(tried(&store, &ada, code, None, 14).await, Tried::Wrong);
    assert_eq!(store.second_factor(&ada).await.unwrap().unwrap().recovery_codes, 9);
    let bob = store.add_person("Bob", "resident", at(0)).await.unwrap().id;
    confirmed(&store, &bob).await;
    assert_eq!(tried(&store, &bob, codes[4].reveal(), None, 15).await, Tried::Wrong, "of somebody else");

    assert!(store.remove_second_factor(&ada).await.unwrap() && !store.remove_second_factor(&ada).await.unwrap());
    assert_eq!(tried(&store, &ada, codes[5].reveal(), Some(99), 16).await, Tried::None);
    confirmed(&store, &ada).await;
    assert_eq!(tried(&store, &ada, codes[5].reveal(), None, 17).await, Tried::Wrong, "codes of the one before");
}

pub(crate) async fn five_wrong_codes_block_a_second_factor_for_a_quarter_of_an_hour(house: &House) {
    let store = house.open().await;
    let ada = store.add_person("Ada", "administrator", at(0)).await.unwrap().id;
    let codes = confirmed(&store, &ada).await;
    for _ in 0..4 {
        assert_eq!(tried(&store, &ada, "0", None, 10).await, Tried::Wrong);
    }
    assert_eq!(tried(&store, &ada, "0", Some(8), 10).await, Tried::App, "a right one ends the row");
    for _ in 0..5 {
        assert_eq!(tried(&store, &ada, "0", None, 10).await, Tried::Wrong);
    }
    assert_eq!(tried(&store, &ada, "0", Some(9), 10 + 899).await, Tried::Blocked(at(910)));
    assert_eq!(tried(&store, &ada, codes[0].reveal(), None, 10 + 899).await, Tried::Blocked(at(910)));
    assert_eq!(tried(&store, &ada, "0", Some(9), 910).await, Tried::App);
}

pub(crate) async fn sessions_are_listed_and_ended_without_their_secret(house: &House) {
    let store = house.open().await;
    let ada = store.add_person("Ada", "administrator", at(0)).await.unwrap().id;
    let bob = store.add_person("Bob", "resident", at(0)).await.unwrap().id;
    for (secret, browser, began) in [(&b"one"[..], "Firefox on Linux", 1), (b"two", "Safari on iPhone", 2)] {
        store.put_session(secret, Some(&ada), b"", at(900)).await.unwrap();
        store.describe_session(secret, browser, at(began)).await.unwrap();
    }
    store.put_session(b"unknown", Some(&ada), b"", at(900)).await.unwrap();
    let list = store.sessions_of(&ada, at(3)).await.unwrap();
    let browsers: Vec<_> = list.iter().map(|session| session.browser.as_deref()).collect();
    assert_eq!(browsers, [Some("Safari on iPhone"), Some("Firefox on Linux"), None], "the one used last first");

    let one = store.session(b"one", at(3)).await.unwrap().unwrap();
    assert_eq!((one.id.as_str(), one.seen), (list[1].id.as_str(), Some(at(1))));
    store.touch_session(b"one", &one, at(900), at(60)).await.unwrap();
    assert_eq!(store.sessions_of(&ada, at(60)).await.unwrap()[1].seen, Some(at(1)), "noted once a minute at most");
    store.touch_session(b"one", &one, at(950), at(61)).await.unwrap();
    let first = store.sessions_of(&ada, at(920)).await.unwrap().remove(0);
    assert_eq!((first.id, first.seen, first.began, first.expires), (one.id.clone(), Some(at(61)), Some(at(1)), at(950)));

    assert!(!store.end_session(&bob, &one.id).await.unwrap(), "it is not theirs");
    assert!(store.end_session(&ada, &one.id).await.unwrap() && !store.end_session(&ada, &one.id).await.unwrap());
    assert_eq!(store.session(b"one", at(61)).await.unwrap(), None);
    assert_eq!(store.sessions_of(&ada, at(61)).await.unwrap().len(), 2);
    store.put_session(b"two", Some(&ada), b"again", at(900)).await.unwrap();
    let two = store.session(b"two", at(62)).await.unwrap().unwrap();
    assert_eq!(two.id, list[0].id, "a session written again is the same one");
    let soon = Duration::from_secs(1);
    store.touch_session(b"two", &two, at(10).plus(soon), at(200)).await.unwrap();
    assert_eq!(store.session(b"two", at(200)).await.unwrap().unwrap().expires, at(900), "use never shortens it");
}
