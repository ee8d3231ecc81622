//! Accounts, what drivers keep, doors, sites and settings.

use crate::house::{House, account, at, attempt, contains, door, event, gate, hex, home, intent, uuid, write};
use doorward_core::{
    Secret,
    record::{Record, WrittenAs},
    setup::{AutoLock, Told},
};
use doorward_store::{DoorEdit, Site, StoreError};
use doorward_wire::{
    door::{Capability, DoorState},
    event::EventKind,
};
use serde_json::json;
use std::{collections::BTreeMap, time::Duration};

pub(crate) async fn accounts_keep_settings_and_secrets(house: &House) {
    let store = house.open().await;
    let mut ours = account("home");
    ours.settings.values = BTreeMap::from([("base_url".into(), json!("https://api.example")), ("poll".into(), json!(30))]);
    ours.settings.secrets = BTreeMap::from([("client_secret".into(), Secret::from("hunter2"))]);
    assert!(store.add_account(&ours).await.unwrap());
    assert!(!store.add_account(&account("home")).await.unwrap(), "an identifier is given once");
    assert!(store.add_account(&account("away")).await.unwrap());

    let read = store.account(&home()).await.unwrap().unwrap();
    assert_eq!((&read.kind, &read.name, read.managed, read.created), (&ours.kind, &ours.name, false, at(0)));
    assert_eq!(read.settings.values, ours.settings.values);
    assert_eq!(read.settings.secrets, ours.settings.secrets);
    assert_eq!(store.accounts().await.unwrap().iter().map(|account| account.id.as_str()).collect::<Vec<_>>(), ["away", "home"]);

    store.keep(&home(), "token", &Secret::new(b"kept".to_vec())).await.unwrap();
    ours.name = "Our home".into();
    ours.managed = true;
    ours.settings.secrets = BTreeMap::from([("other".into(), Secret::from(""))]);
    assert!(store.update_account(&ours).await.unwrap());
    let read = store.account(&home()).await.unwrap().unwrap();
    assert_eq!((read.name.as_str(), read.managed), ("Our home", true));
    assert_eq!(read.settings.secrets, ours.settings.secrets, "a secret that is not there any more is gone");
    assert!(store.kept(&home(), "token").await.unwrap().is_some(), "what the driver kept stays");
    assert!(!store.update_account(&account("nobody")).await.unwrap());

    assert!(store.put_door(&door("gate", "home"), at(0)).await.unwrap());
    assert!(store.remove_account(&home()).await.unwrap());
    assert!(!store.remove_account(&home()).await.unwrap());
    assert!(store.account(&home()).await.unwrap().is_none());
    assert!(store.kept(&home(), "token").await.unwrap().is_none());
    assert!(store.doors().await.unwrap().is_empty());
}

pub(crate) async fn what_a_driver_keeps_is_read_back(house: &House) {
    let store = house.furnished().await;
    let value = |bytes: &[u8]| Secret::new(bytes.to_vec());
    assert!(store.kept(&home(), "token").await.unwrap().is_none());
    store.keep(&home(), "token", &value(b"one")).await.unwrap();
    store.keep(&home(), "token", &value(b"two")).await.unwrap();
    store.keep(&home(), "shape", &value(b"")).await.unwrap();
    assert_eq!(store.kept(&home(), "token").await.unwrap(), Some(value(b"two")));
    assert_eq!(store.kept(&home(), "shape").await.unwrap(), Some(value(b"")));
    assert!(store.forget(&home(), "token").await.unwrap());
    assert!(!store.forget(&home(), "token").await.unwrap());
    assert!(store.kept(&home(), "token").await.unwrap().is_none());

    store.keep(&home(), "setting:client_secret", &value(b"x")).await.unwrap_err();
    store.keep(&"nobody".parse().unwrap(), "token", &value(b"x")).await.unwrap_err();

    store.keep(&home(), "token", &value(b"three")).await.unwrap();
    house.sql("UPDATE kept SET key = 'moved' WHERE key = 'token'").await;
    let error = store.kept(&home(), "moved").await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt(_)), "a sealed value cannot be moved: {error:?}");
}

pub(crate) async fn what_is_kept_under_a_prefix_is_read_together_and_forgotten(house: &House) {
    let store = house.furnished().await;
    for key in ["session:b", "session:a", "session_", "sessio", "Session:x", "used:a"] {
        store.keep(&home(), key, &Secret::new(key.as_bytes().to_vec())).await.unwrap();
    }
    let keys =
        async |prefix: &str| -> Vec<String> { store.kept_under(&home(), prefix).await.unwrap().into_iter().map(|(key, _)| key).collect() };
    assert_eq!(keys("session:").await, ["session:a", "session:b"]);
    assert_eq!(keys("session_").await, ["session_"], "an underscore is one");
    assert_eq!(store.kept_under(&home(), "used:").await.unwrap()[0].1.reveal(), b"used:a");
    assert!(store.forget(&home(), "session:a").await.unwrap());
    assert_eq!(keys("session:").await, ["session:b"]);
    assert!(store.kept_under(&"away".parse().unwrap(), "").await.unwrap().is_empty(), "of this account alone");
}

pub(crate) async fn rule_5_secrets_are_sealed(house: &House) {
    let store = house.furnished().await;
    let mut ours = account("away");
    ours.settings.secrets.insert("password".into(), Secret::from("setting-hunter2"));
    store.add_account(&ours).await.unwrap();
    store.keep(&home(), "token", &Secret::new(b"kept-hunter2".to_vec())).await.unwrap();
    let person = store.add_person("Ada", "administrator", at(0)).await.unwrap();
    let (_, token) = store.add_token(Some(&person.id), "phone", &[], None, at(0)).await.unwrap();
    let link = store.add_link(&person.id, at(900)).await.unwrap();
    store.put_session(b"session-id-hunter2", Some(&person.id), b"session-hunter2", at(900)).await.unwrap();
    store.find_token(&token, at(1)).await.unwrap().unwrap();
    let factor = store.begin_second_factor(&person.id, at(0)).await.unwrap().unwrap();
    let recovery = store.confirm_second_factor(&person.id, 1, at(0)).await.unwrap().unwrap().remove(0);

    let at_rest = house.at_rest().await;
    assert!(contains(&at_rest, b"Ada"), "this looks in the right place");
    let secrets: [&[u8]; 9] = [
        b"setting-hunter2",
        b"kept-hunter2",
        b"session-hunter2",
        b"session-id-hunter2",
        token.reveal().trim_start_matches("dw_").as_bytes(),
        link.reveal().as_bytes(),
        factor.reveal(),
        recovery.reveal().as_bytes(),
        &[7; 32],
    ];
    for secret in secrets {
        assert!(!contains(&at_rest, secret), "{}", String::from_utf8_lossy(secret));
        assert!(!contains(&at_rest, hex(secret).as_bytes()), "{}", String::from_utf8_lossy(secret));
    }
    for shown in [format!("{:?}", house.options()), format!("{store:?}"), format!("{:?}", store.accounts().await.unwrap())] {
        assert!(!shown.contains("hunter2") && !shown.contains("correct-horse") && !shown.contains("7, 7"), "{shown}");
    }
}

pub(crate) async fn doors_are_found_named_and_removed(house: &House) {
    let store = house.open().await;
    store.add_account(&account("home")).await.unwrap();
    let mut found = door("gate", "home");
    found.capabilities = Capability::ALL.to_vec();
    found.auto_lock = AutoLock { after: Some(10), at: Some("22:00:00".parse().unwrap()) };
    let told = event(EventKind::DoorAdded);
    let written = write(&store, Record::Door { door: Box::new(found.clone()), events: vec![told] }).await;
    assert_eq!((written.what, written.events.len()), (WrittenAs::Plain, 1));
    assert_eq!(store.door(&gate()).await.unwrap(), Some(found.clone()));

    let seen = Record::Events {
        events: vec![event(EventKind::DoorLocked)],
        told: Some((gate(), Told { state: Some(DoorState::Locked), ..Told::default() })),
    };
    write(&store, seen).await;
    let edit = DoorEdit {
        name: Some("Front gate".into()),
        site: Some("garden".into()),
        confirm_within: Some(Duration::from_millis(2500)),
        auto_lock: Some(AutoLock::default()),
        fail_open: Some(true),
        mqtt_code: Some(Some("2468".into())),
        stream: Some(Some("http://192.168.1.5:1984/stream.html?src=gate".into())),
    };
    for told in [Told { online: Some(false), ..Told::default() }, Told { battery_low: Some(true), ..Told::default() }] {
        write(&store, Record::Events { events: Vec::new(), told: Some((gate(), told)) }).await;
    }
    let edited = store.update_door(&gate(), &edit).await.unwrap().unwrap();
    assert_eq!(edited.told, Told { state: Some(DoorState::Locked), online: Some(false), battery_low: Some(true) }, "each by itself");
    assert_eq!(
        (edited.name.as_str(), edited.site.as_str(), edited.confirm_within, edited.fail_open),
        ("Front gate", "garden", Duration::from_millis(2500), true)
    );
    assert_eq!(edited.stream.as_deref(), Some("http://192.168.1.5:1984/stream.html?src=gate"));
    assert!(store.is_mqtt_code(&edited, &"2468".into()) && !store.is_mqtt_code(&edited, &"2469".into()));
    assert!(!edited.mqtt_code.as_ref().unwrap().contains("2468"), "a code is kept as a keyed hash");
    assert_eq!(store.update_door(&gate(), &DoorEdit::default()).await.unwrap(), Some(edited.clone()));
    assert_eq!(store.update_door(&"cellar".parse().unwrap(), &edit).await.unwrap(), None);

    // The driver finds it again: what people set stays.
    found.capabilities = vec![Capability::Open];
    write(&store, Record::Door { door: Box::new(found.clone()), events: Vec::new() }).await;
    let expected = doorward_core::setup::DoorSetup { capabilities: vec![Capability::Open], ..edited };
    assert_eq!(store.door(&gate()).await.unwrap(), Some(expected));

    // The configuration file sets all of it, but not what was seen.
    found.managed = true;
    assert!(store.put_door(&found, at(5)).await.unwrap());
    found.told = edited.told;
    assert_eq!(store.doors().await.unwrap(), [found]);
    assert!(store.remove_door(&gate()).await.unwrap());
    assert!(!store.remove_door(&gate()).await.unwrap());
}

pub(crate) async fn a_door_that_cannot_be_does_not_spoil_the_commit(house: &House) {
    let store = house.furnished().await;
    let mut twin = door("twin", "home");
    twin.external = "external-gate".into();
    let orphan = door("orphan", "nobody");
    let command = attempt(uuid());
    let records = [
        Record::Door { door: Box::new(twin.clone()), events: Vec::new() },
        Record::Door { door: Box::new(orphan), events: Vec::new() },
        intent(&command, true),
    ];
    let written = store.write(&records, at(1)).await.unwrap();
    assert_eq!(written[2].what, WrittenAs::Claim(true));
    assert_eq!(store.doors().await.unwrap().len(), 1);
    assert!(!store.put_door(&twin, at(1)).await.unwrap());
}

pub(crate) async fn sites_give_doors_their_time_zone(house: &House) {
    let store = house.furnished().await;
    assert_eq!(store.door(&gate()).await.unwrap().unwrap().time_zone, "UTC");
    let mut site =
        Site { id: "home".into(), name: "Home".into(), time_zone: "Europe/Berlin".into(), holidays: vec!["12-25".parse().unwrap()] };
    store.put_site(&site).await.unwrap();
    assert_eq!(store.door(&gate()).await.unwrap().unwrap().time_zone, "Europe/Berlin");
    site.time_zone = "Europe/Lisbon".into();
    store.put_site(&site).await.unwrap();
    assert_eq!(store.sites().await.unwrap(), [site]);
    assert_eq!(store.doors().await.unwrap()[0].time_zone, "Europe/Lisbon");
    assert!(store.remove_site("home").await.unwrap());
    assert!(!store.remove_site("home").await.unwrap());
    assert_eq!(store.doors().await.unwrap()[0].time_zone, "UTC");
}

pub(crate) async fn settings_are_set_and_removed(house: &House) {
    let store = house.open().await;
    assert_eq!(store.setting("a").await.unwrap(), None);
    store.set_setting("a", &json!({ "deep": [1, "two", null] })).await.unwrap();
    store.set_setting("b", &json!(null)).await.unwrap();
    store.set_setting("b", &json!(false)).await.unwrap();
    assert_eq!(store.setting("a").await.unwrap(), Some(json!({ "deep": [1, "two", null] })));
    assert_eq!(store.settings().await.unwrap().get("b"), Some(&json!(false)));
    assert!(store.remove_setting("a").await.unwrap());
    assert!(!store.remove_setting("a").await.unwrap());
    assert_eq!(store.settings().await.unwrap().len(), 1);
}

pub(crate) async fn what_was_noted_is_there_after_a_restart(house: &House) {
    let store = house.open().await;
    assert_eq!(store.note("how far").await.unwrap(), None);
    store.set_note("how far", "1").await.unwrap();
    store.set_note("how far", "2").await.unwrap();
    let first = store.set_secret_note_once("authority", &Secret::from("hunter2")).await.unwrap();
    let second = store.set_secret_note_once("authority", &Secret::from("another")).await.unwrap();
    assert_eq!((first.reveal().as_str(), second), ("hunter2", first.clone()), "whoever is first decides");
    store.close().await;
    let store = house.open().await;
    assert_eq!(store.note("how far").await.unwrap().as_deref(), Some("2"));
    assert_eq!(store.secret_note("authority").await.unwrap(), Some(first));
    assert_eq!(store.secret_note("other").await.unwrap(), None);
}

pub(crate) async fn a_backlog_is_the_newest_of_what_is_behind(house: &House) {
    let store = house.furnished().await;
    write(&store, Record::Events { events: (0..20).map(|_| event(EventKind::DoorLocked)).collect(), told: None }).await;
    let last = store.last_event_id().await.unwrap();
    assert_eq!(store.backlog(last - 5, 10, 1 << 20).await.unwrap(), last - 5, "all of it fits");
    assert_eq!(store.backlog(0, 10, 1 << 20).await.unwrap(), last - 10, "the newest ten");
    assert_eq!(store.backlog(0, 10, 2048).await.unwrap(), last - 4, "as many as fit into so many bytes");
    assert_eq!(store.backlog(last, 10, 1 << 20).await.unwrap(), last, "nothing is behind");
}

pub(crate) async fn of_two_who_note_at_once_one_does(house: &House) {
    let store = house.open().await;
    assert!(store.swap_note("lane", None, "1").await.unwrap());
    assert!(!store.swap_note("lane", None, "2").await.unwrap(), "there is one already");
    assert!(store.swap_note("lane", Some("1"), "2").await.unwrap());
    assert!(!store.swap_note("lane", Some("1"), "3").await.unwrap(), "it was changed meanwhile");
    assert_eq!(store.note("lane").await.unwrap().as_deref(), Some("2"));
}
