//! Phones: how they bring their key, and the sessions that they get.

use crate::house::{House, at, gate};
use doorward_core::{Secret, record::NewEvent};
use doorward_store::{BleSession, Enrol, Holder, LockTold, PhoneKey, PhoneOf};
use doorward_wire::{
    event::EventKind,
    grant::{Actions, Doors, Terms},
};

fn session(nonce: &str, of: &PhoneOf) -> BleSession {
    let phone = "print".to_owned();
    let told = LockTold { lock: "lock_01".into(), own: true, message: vec![1, 2, 3] };
    BleSession { nonce: nonce.into(), door: gate(), of: of.clone(), phone, issued: at(10), expires: at(310), revoked: None, told }
}

pub(crate) async fn a_phone_brings_its_key_with_an_invite_once(house: &House) {
    let store = house.open().await;
    let ada = store.add_person("Ada", "resident", at(0)).await.unwrap();
    let of = PhoneOf::Person(ada.id.clone());
    let code = store.add_phone_invite(&of, at(900)).await.unwrap();
    assert_eq!(store.phone_invite(&Secret::from("guessed"), at(5)).await.unwrap(), None);
    assert_eq!(store.phone_invite(&code, at(900)).await.unwrap(), None, "it ends");
    assert_eq!(store.phone_invite(&code, at(5)).await.unwrap(), Some(of.clone()));
    let key =
        PhoneKey { fingerprint: "print".into(), of: of.clone(), name: "Pixel".into(), public: vec![1, 2], created: at(5), used: None };
    let by = |code: &Secret<String>, key: &PhoneKey| Enrol::Invite(code.clone(), key.clone());
    assert!(!store.add_ble_session(&session("guess", &of), &by(&Secret::from("guessed"), &key)).await.unwrap());
    assert!(store.add_ble_session(&session("first", &of), &by(&code, &key)).await.unwrap());
    assert_eq!(store.phone_invite(&code, at(6)).await.unwrap(), None, "an invite is for one phone");
    assert!(!store.add_ble_session(&session("again", &of), &by(&code, &key)).await.unwrap());
    let code = store.add_phone_invite(&of, at(900)).await.unwrap();
    assert!(!store.add_ble_session(&session("twice", &of), &by(&code, &key)).await.unwrap(), "the key is known already");
    assert_eq!(store.phone_invite(&code, at(6)).await.unwrap(), Some(of.clone()), "what was not done uses nothing up");
    let key = PhoneKey { used: Some(at(10)), ..key };
    let other = store.add_person("Eve", "resident", at(0)).await.unwrap();
    assert!(!store.enrol_phone(&PhoneKey { of: PhoneOf::Person(other.id), ..key.clone() }).await.unwrap(), "a key is one person's");
    assert_eq!(store.phone("print").await.unwrap(), Some(key.clone()));
    assert_eq!(store.phones().await.unwrap(), [key]);
    assert!(store.remove_person(&ada.id).await.unwrap());
    assert_eq!(store.phone("print").await.unwrap(), None, "it goes with them");
}

pub(crate) async fn a_session_is_known_until_it_ends(house: &House) {
    let store = house.furnished().await;
    let ada = store.add_person("Ada", "resident", at(0)).await.unwrap();
    let of = PhoneOf::Person(ada.id.clone());
    let key = PhoneKey { fingerprint: "print".into(), of: of.clone(), name: "Pixel".into(), public: vec![], created: at(5), used: None };
    store.enrol_phone(&key).await.unwrap();
    let (one, two) = (session("one", &of), session("two", &of));
    assert!(store.add_ble_session(&one, &Enrol::Known).await.unwrap());
    assert!(store.add_ble_session(&two, &Enrol::Known).await.unwrap());
    assert!(store.add_ble_session(&one, &Enrol::Known).await.is_err(), "a nonce names one session");
    assert_eq!(store.phone("print").await.unwrap().unwrap().used, Some(at(10)));
    assert_eq!(store.ble_session("one").await.unwrap(), Some(one));
    assert!(store.revoke_ble_session("two", at(20)).await.unwrap());
    assert!(!store.revoke_ble_session("two", at(21)).await.unwrap());
    assert_eq!(store.ble_session("two").await.unwrap().unwrap().revoked, Some(at(20)));
    assert_eq!(store.ble_sessions(Some(&gate()), at(30)).await.unwrap().len(), 2);
    assert_eq!(store.ble_sessions(None, at(310)).await.unwrap(), []);
    assert_eq!(store.purge_ble(at(310)).await.unwrap(), 2);
    for list in ["[1]", "[1,2]"] {
        store.put_ble_revoked("lock_01", list).await.unwrap();
        assert_eq!(store.ble_revoked().await.unwrap(), [("lock_01".to_owned(), list.to_owned())]);
    }

    // What a phone may do is what they may do.
    let (rights, name) = store.rights_of_phone(&of).await.unwrap().unwrap();
    assert!(!rights.see_all(at(1)) && name == "Ada");
    let event = NewEvent::new(at(1), EventKind::GrantChanged);
    store.add_grant(Holder::Person(ada.id.clone()), vec![Doors::All], Actions::Act, Terms::default(), &event).await.unwrap();
    assert!(store.rights_of_phone(&of).await.unwrap().unwrap().0.see_all(at(1)));
    store.remove_person(&ada.id).await.unwrap();
    assert_eq!(store.rights_of_phone(&of).await.unwrap(), None);
}
