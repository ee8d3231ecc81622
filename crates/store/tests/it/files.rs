//! What concerns files: the master key, and starts on SQLite that cannot be.

use crate::house::{House, at, attempt, event, folder, intent, uuid};
use doorward_core::record::{Record, WrittenAs};
use doorward_store::{KeyError, MasterKey, OpenError, OpenOptions, Store};
use doorward_wire::event::EventKind;
use std::os::unix::fs::PermissionsExt;

async fn open_error(url: &str) -> OpenError {
    Store::open(&OpenOptions::new(url, MasterKey::from_bytes([7; 32]), at(0))).await.unwrap_err()
}

#[test]
fn the_master_key_is_made_once_and_for_the_owner_alone() {
    let folder = folder();
    let path = folder.join("master.key");
    assert!(matches!(MasterKey::load(&path).unwrap_err(), KeyError::Io { .. }));
    let made = MasterKey::load_or_create(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.trim().len(), 64);
    assert_eq!(MasterKey::load_or_create(&path).unwrap(), made);
    assert_eq!(MasterKey::load(&path).unwrap(), made);
    assert_ne!(MasterKey::load_or_create(&folder.join("other.key")).unwrap(), made);
    assert!(!format!("{made:?}").contains(text.trim()));

    let permit = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    permit(0o640);
    assert!(MasterKey::load(&path).is_ok(), "a systemd credential shows its access control list as group rights");
    let error = MasterKey::load_or_create(&path).unwrap_err();
    assert!(matches!(error, KeyError::TooOpen { mode: 0o640, .. }) && error.to_string().contains("chmod 600"), "{error}");
    permit(0o644);
    assert!(matches!(MasterKey::load(&path).unwrap_err(), KeyError::TooOpen { .. }));
    permit(0o600);
    for malformed in ["", "abc", &"g".repeat(64), &"a".repeat(65)] {
        std::fs::write(&path, malformed).unwrap();
        let error = MasterKey::load_or_create(&path).unwrap_err();
        assert!(matches!(error, KeyError::Malformed(_)) && error.to_string().contains("backup"), "{error}");
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn a_start_that_cannot_be_says_what_to_do() {
    let house = House::sqlite();
    let (folder, url) = (&house.folder, &house.url);
    let file = folder.join("doorward.db");

    let error = open_error(&format!("sqlite:{}/missing/doorward.db", folder.display())).await;
    assert!(matches!(error, OpenError::NotWritable { .. }) && error.to_string().contains("Make the folder"), "{error}");
    let error = open_error(&format!("sqlite:{}", folder.display())).await;
    assert!(matches!(error, OpenError::NotWritable { .. }), "{error:?}");

    let letter = "Dear diary, ".repeat(1000);
    std::fs::write(&file, &letter).unwrap();
    let error = open_error(url).await;
    assert!(matches!(error, OpenError::NotADatabase(_)) && error.to_string().contains("store.url"), "{error:?}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), letter, "nothing was changed");

    std::fs::remove_file(&file).unwrap();
    std::fs::write(&file, "").unwrap();
    house.sql("CREATE TABLE recipes (name TEXT)").await;
    assert!(matches!(open_error(url).await, OpenError::NotADatabase(_)), "another program's database");

    for bad in ["", "sqlite:", "sqlite::memory:", "mysql://u:hunter2@h/d", "postgres://u:hunter2@h:port/d"] {
        let error = open_error(bad).await;
        assert!(matches!(error, OpenError::BadUrl(_)), "{bad}: {error:?}");
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
}

#[tokio::test]
async fn the_database_is_readable_by_its_owner_alone() {
    let house = House::sqlite();
    let store = house.furnished().await;
    for file in std::fs::read_dir(&house.folder).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o077, 0, "{}", file.path().display());
    }
    store.close().await;
}

#[tokio::test]
async fn a_nearly_full_disk_keeps_room_for_intents_and_outcomes() {
    let house = House::sqlite();
    let store = house.furnished().await;
    let space = store.space();
    assert!(space.free.is_some() && !space.low && space.dropped == 0, "{space:?}");
    store.close().await;

    let store = Store::open(&OpenOptions { keep_free: u64::MAX, ..house.options() }).await.unwrap();
    store.own(&[crate::house::home()], uuid(), at(0)).await.unwrap();
    assert!(store.space().low);
    let mut ended = attempt(uuid());
    let ring = || Record::Events { events: vec![event(EventKind::DoorRing)], told: None };
    let written = store.write(&[ring(), intent(&ended, true), ring()], at(1)).await.unwrap();
    assert_eq!(written.iter().map(|written| written.events.len()).collect::<Vec<_>>(), [0, 1, 0]);
    assert_eq!(written[1].what, WrittenAs::Claim(true));
    ended.state = doorward_wire::attempt::AttemptState::Unconfirmed;
    let outcome = Record::Outcome { attempt: ended, events: vec![event(EventKind::DoorUnconfirmed)] };
    let written = store.write(&[outcome], at(1)).await.unwrap();
    assert_eq!(written[0].events[0].id, 2, "their events are told, without a gap");
    assert_eq!(store.space().dropped, 2);
    assert!(store.audit_verify().await.unwrap().ok);
}
