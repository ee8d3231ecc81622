//! Backups, and what they are restored into.

use crate::house::{House, account, at, attempt, door, event, gate, home, intent, is_empty, tell, uuid, write};
use crate::{
    rings, tunnel, ways_in,
    webhooks::{added, webhook},
};
use doorward_core::{
    Secret,
    record::{Record, WrittenAs},
    scope::Scope,
    setup::Told,
};
use doorward_store::{BackupError, Beside, KeyError, MasterKey, OpenOptions, Restored, RingQuery, Site, Store, restore};
use doorward_wire::{door::DoorState, event::EventKind};
use serde_json::json;

fn passphrase() -> Secret<String> {
    Secret::from("four words of mine")
}

async fn backup(store: &Store) -> Vec<u8> {
    let mut file = Vec::new();
    store.backup(&mut file, &passphrase(), &beside(), at(500)).await.unwrap();
    file
}

fn beside() -> Vec<Beside> {
    let file = |name: &str, content: &[u8]| Beside { name: name.into(), content: Secret::new(content.to_vec()) };
    vec![file("doorward.toml", b"[http]\n"), file("ble/keys/front_v2.secret", &[0, 255, 10, 13])]
}

async fn restore_into(house: &House, file: &[u8]) -> Result<Restored, BackupError> {
    let put = |files| if files == beside() { Ok(()) } else { Err(format!("other files: {files:?}")) };
    restore(file, &passphrase(), &house.secret_url(), &house.folder.join("master.key"), put).await
}

async fn open_restored(house: &House) -> Store {
    let key = MasterKey::load_or_create(&house.folder.join("master.key")).unwrap();
    Store::open(&OpenOptions::new(house.url.clone(), key, at(600))).await.unwrap()
}

/// Something in every table.
pub(crate) async fn full(store: &Store) -> Secret<String> {
    crate::house::furnish(store).await;
    let mut away = account("away");
    away.settings.values.insert("poll".into(), json!(30));
    away.settings.secrets.insert("password".into(), Secret::from("hunter2"));
    store.add_account(&away).await.unwrap();
    store.keep(&home(), "token", &Secret::new(vec![0, 255, 10, 13])).await.unwrap();
    store.put_door(&door("cellar", "away"), at(0)).await.unwrap();
    store
        .put_site(&Site {
            id: "home".into(),
            name: "Zuhause \"ü\"".into(),
            time_zone: "Europe/Berlin".into(),
            holidays: vec!["12-25".parse().unwrap()],
        })
        .await
        .unwrap();
    store.set_setting("language", &json!("de")).await.unwrap();
    let ada = store.add_person("Ada\nLovelace", "administrator", at(0)).await.unwrap();
    store.set_password_hash(&ada.id, Some(&Secret::from("$argon2id$"))).await.unwrap();
    let (_, token) = store.add_token(Some(&ada.id), "phone", &[Scope::Admin], None, at(0)).await.unwrap();
    store.put_session(b"session", Some(&ada.id), b"data", at(9000)).await.unwrap();
    store.user_handle(&ada.id).await.unwrap().unwrap();
    store.add_passkey(&ways_in::passkey(&ada.id, 1), at(1)).await.unwrap();
    ways_in::confirmed(store, &ada.id).await;
    tell(store, 200).await;
    assert!(store.prune(at(0), at(1)).await.unwrap().told.is_none());
    added(store, &webhook("hook")).await;
    store.rotate_webhook(&"hook".parse().unwrap(), at(0)).await.unwrap();
    assert!(store.queue_deliveries(&"hook".parse().unwrap(), 0, 9, &[3, 7], at(1)).await.unwrap());
    crate::grants::given(store, &ada).await;
    tunnel::added(store, "adas-phone", Some(&ada.id)).await;
    assert!(store.rotate_tunnel_key("adas-phone", &store.new_tunnel_secret(), at(90)).await.unwrap());
    let told = Some((gate(), Told { state: Some(DoorState::Locked), online: Some(false), battery_low: Some(true) }));
    write(store, Record::Events { events: vec![event(EventKind::DoorLocked).data(json!({ "n": [1.5, i64::MAX] }))], told }).await;
    write(store, intent(&attempt(uuid()), true)).await;
    write(store, rings::record(&rings::ended(uuid(), 1))).await;
    token
}

/// Everything that two stores show is the same.
pub(crate) async fn assert_same(a: &Store, b: &Store) {
    let all = doorward_store::EventQuery { after: Some(0), limit: 10_000, ..Default::default() };
    assert_eq!(a.house_id(), b.house_id());
    assert_eq!(a.events(&all).await.unwrap(), b.events(&all).await.unwrap());
    assert_eq!(a.doors().await.unwrap(), b.doors().await.unwrap());
    assert_eq!(a.sites().await.unwrap(), b.sites().await.unwrap());
    assert_eq!(a.people().await.unwrap(), b.people().await.unwrap());
    assert_eq!(a.tokens().await.unwrap(), b.tokens().await.unwrap());
    assert_eq!(a.grants().await.unwrap(), b.grants().await.unwrap());
    assert_eq!(a.groups().await.unwrap(), b.groups().await.unwrap());
    assert_eq!(a.passes().await.unwrap(), b.passes().await.unwrap());
    assert_eq!(a.settings().await.unwrap(), b.settings().await.unwrap());
    for person in a.people().await.unwrap() {
        assert_eq!(a.passkeys(&person.id).await.unwrap(), b.passkeys(&person.id).await.unwrap());
        assert_eq!(a.user_handle(&person.id).await.unwrap(), b.user_handle(&person.id).await.unwrap());
        assert_eq!(a.second_factor(&person.id).await.unwrap(), b.second_factor(&person.id).await.unwrap());
    }
    let hook = "hook".parse().unwrap();
    assert_eq!(a.webhooks().await.unwrap(), b.webhooks().await.unwrap());
    assert_eq!(a.webhook_secrets(&hook, at(2)).await.unwrap(), b.webhook_secrets(&hook, at(2)).await.unwrap());
    assert_eq!(a.deliveries(&hook, None, 9).await.unwrap(), b.deliveries(&hook, None, 9).await.unwrap());
    assert_eq!(a.rings(&RingQuery::default()).await.unwrap(), b.rings(&RingQuery::default()).await.unwrap());
    assert_eq!(tunnel::shown(a).await, tunnel::shown(b).await);
    assert_eq!(format!("{:?}", a.accounts().await.unwrap()), format!("{:?}", b.accounts().await.unwrap()));
    assert_eq!(a.kept(&home(), "token").await.unwrap(), b.kept(&home(), "token").await.unwrap());
    assert_eq!(a.open_intents(&[home()]).await.unwrap(), b.open_intents(&[home()]).await.unwrap());
    let report = b.audit_verify().await.unwrap();
    assert!(report.ok, "{report:?}");
    assert_eq!(report, a.audit_verify().await.unwrap());
}

pub(crate) async fn a_backup_while_writing_restores_whole(house: &House) {
    let store = house.open().await;
    let token = full(&store).await;
    let before = store.last_event_id().await.unwrap();
    let writer = {
        let store = store.clone();
        tokio::spawn(async move {
            for _ in 0..60 {
                write(&store, intent(&attempt(uuid()), true)).await;
            }
        })
    };
    let file = backup(&store).await;
    writer.await.unwrap();
    let quiet = backup(&store).await;

    let other = house.another().await;
    let restored = restore_into(&other, &file).await.unwrap();
    assert_eq!((restored.house, restored.made), (store.house_id(), at(500)));
    let during = open_restored(&other).await;
    let report = during.audit_verify().await.unwrap();
    assert!(report.ok && report.to >= before, "{report:?}");
    let intents = during.open_intents(&[home()]).await.unwrap().len();
    assert_eq!(i64::try_from(intents).unwrap(), report.to - before + 1, "each intent with its event");

    let third = house.another().await;
    restore_into(&third, &quiet).await.unwrap();
    let restored = open_restored(&third).await;
    assert_same(&store, &restored).await;
    assert_eq!(restored.account(&"away".parse().unwrap()).await.unwrap().unwrap().settings.secrets["password"].reveal(), "hunter2");
    assert!(restored.find_token(&token, at(600)).await.unwrap().is_some());

    // The house goes on where it was: the next owner is newer, the chain holds.
    restored.own(&[home()], uuid(), at(600)).await.unwrap();
    assert_eq!(write(&restored, intent(&attempt(uuid()), true)).await.what, WrittenAs::Claim(true));
    assert!(restored.audit_verify().await.unwrap().ok);
}

pub(crate) async fn a_wrong_passphrase_restores_nothing(house: &House) {
    let store = house.open().await;
    full(&store).await;
    let file = backup(&store).await;
    assert!(!crate::house::contains(&file, b"hunter2"));
    assert!(!crate::house::contains(&file, b"master_key"));
    assert!(!crate::house::contains(&file, b"front_v2"));
    let other = house.another().await;
    let key = other.folder.join("master.key");
    let error = restore(file.as_slice(), &Secret::from("four words of yours"), &other.secret_url(), &key, |_| Ok(())).await.unwrap_err();
    assert!(matches!(error, BackupError::WrongPassphrase), "{error:?}");
    assert!(is_empty(&other.folder), "nothing was written");
    restore_into(&other, &file).await.unwrap();
}

pub(crate) async fn a_backup_that_was_cut_or_changed_restores_nothing(house: &House) {
    let store = house.open().await;
    full(&store).await;
    tell(&store, 1500).await;
    let file = backup(&store).await;
    assert!(file.len() > 3 * 65552, "several chunks: {}", file.len());
    let header = 62;
    let chunk = 65552;

    let cut = |end: usize| file[..end].to_vec();
    let mut swapped = file.clone();
    let (first, second) = swapped[header..header + 2 * chunk].split_at_mut(chunk);
    first.swap_with_slice(second);
    let mut flipped = file.clone();
    flipped[header + chunk + 1000] ^= 1;
    let mut longer = file.clone();
    longer.extend_from_slice(b"more");
    let cases = [
        ("cut at a chunk", cut(header + chunk)),
        ("cut at two chunks", cut(header + 2 * chunk)),
        ("cut within a chunk", cut(file.len() - 1)),
        ("cut after the header", cut(header)),
        ("cut within the header", cut(30)),
        ("swapped", swapped),
        ("flipped", flipped),
        ("longer", longer),
    ];
    let other = house.another().await;
    for (name, case) in cases {
        let error = restore_into(&other, &case).await.unwrap_err();
        assert!(matches!(error, BackupError::Damaged(_)), "{name}: {error:?}");
        assert!(error.to_string().contains("Nothing was restored"), "{error}");
        assert!(is_empty(&other.folder), "{name}: nothing was written");
    }
    for nothing in [&b""[..], b"PK\x03\x04 a zip file, longer than the header of a backup would be, surely"] {
        assert!(matches!(restore_into(&other, nothing).await.unwrap_err(), BackupError::NotABackup));
    }
    restore_into(&other, &file).await.unwrap();
}

pub(crate) async fn a_backup_is_restored_into_an_empty_place_only(house: &House) {
    let store = house.open().await;
    full(&store).await;
    let file = backup(&store).await;

    let lived_in = house.another().await;
    lived_in.furnished().await.close().await;
    let error = restore_into(&lived_in, &file).await.unwrap_err();
    assert!(matches!(error, BackupError::NotEmpty(_)), "{error:?}");
    assert!(error.to_string().contains("Move it away") && !error.to_string().contains("correct-horse"), "{error}");
    lived_in.open().await.close().await;

    let other_key = house.another().await;
    MasterKey::load_or_create(&other_key.folder.join("master.key")).unwrap();
    let error = restore_into(&other_key, &file).await.unwrap_err();
    assert!(matches!(error, BackupError::Key(KeyError::Taken(_))), "{error:?}");

    let nowhere = house.another().await;
    let error = restore(file.as_slice(), &passphrase(), &nowhere.secret_url(), &nowhere.folder.join("missing/master.key"), |_| Ok(()))
        .await
        .unwrap_err();
    assert!(matches!(error, BackupError::Key(KeyError::Io { .. })), "{error:?}");
    assert!(is_empty(&nowhere.folder), "nothing was written");
    let key = nowhere.folder.join("master.key");
    let full_disk = |_| Err("doorward.toml cannot be written".into());
    let error = restore(file.as_slice(), &passphrase(), &nowhere.secret_url(), &key, full_disk).await.unwrap_err();
    assert_eq!(error.to_string(), "doorward.toml cannot be written. Nothing was restored");
    assert!(is_empty(&nowhere.folder), "nothing was written");
    restore_into(&nowhere, &file).await.unwrap();
    let again = restore_into(&nowhere, &file).await.unwrap_err();
    assert!(matches!(again, BackupError::NotEmpty(_)), "{again:?}");
}

pub(crate) async fn a_restored_house_asks_everybody_to_sign_in_again(house: &House) {
    let store = house.open().await;
    full(&store).await;
    let ada = store.people().await.unwrap().remove(0);
    let link = store.add_link(&ada.id, at(9000)).await.unwrap();
    let file = backup(&store).await;
    let other = house.another().await;
    restore_into(&other, &file).await.unwrap();
    let restored = open_restored(&other).await;
    assert!(store.session(b"session", at(600)).await.unwrap().is_some());
    assert_eq!(restored.session(b"session", at(600)).await.unwrap(), None);
    assert_eq!(restored.use_link(&link, at(600)).await.unwrap(), None);
}
