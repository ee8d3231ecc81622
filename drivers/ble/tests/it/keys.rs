//! Keys in a folder, and everything that can be wrong with one.

use crate::{
    bench::{START, id},
    book::*,
    ether::TestClock,
};
use doorward_ble::{
    clock::Clock as _,
    issuer::{Config, FileRegistry, Issuer, Keys},
    keys::{Folder, Kind, Mistakes, PublicV2, Role, SecretV2},
};
use doorward_core::driver::{Fault, Message};
use doorward_wire::ble::{
    compat::{Bits, PrivateKey},
    request::{Response, Trouble},
};
use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};
use tempfile::TempDir;

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    folder
}

fn put(folder: &TempDir, name: &str, text: &str) {
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn pem(whose: &str, half: &str) -> &'static str {
    VECTORS["keys"][whose][half].as_str().unwrap()
}

/// The folder of the original, with its keys of the vectors.
fn original() -> TempDir {
    let folder = folder();
    for (whose, name) in [("backend", "backend"), ("lock_01", "lock_01"), ("lock_02", "front.door"), ("unlocker", "unlocker")] {
        put(&folder, &format!("{name}_private.pem"), pem(whose, "private_pem"));
        put(&folder, &format!("{name}_public.pem"), pem(whose, "public_pem"));
    }
    folder
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn files(mistakes: &Mistakes) -> Vec<&str> {
    mistakes.0.iter().map(|mistake| mistake.file.as_str()).collect()
}

#[test]
fn the_folder_of_the_original_is_read() {
    let folder = original();
    put(&folder, "unlocker_anna_public.pem", pem("lock_02", "public_pem"));
    put(&folder, "README", "not a key");
    let contents = Folder::new(folder.path()).read().unwrap();
    assert_eq!(contents.warnings, []);
    let roles: Vec<_> = contents.v1.keys().map(ToString::to_string).collect();
    assert_eq!(roles, ["backend", "front.door", "lock_01", "unlocker", "unlocker_anna"]);
    let anna = &contents.v1[&Role::Guest(Some("anna".into()))];
    assert!(anna.secret.is_none() && anna.public == public("lock_02"));
}

#[tokio::test(start_paused = true)]
async fn keys_of_both_versions_are_made_for_their_owner_alone() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), TestClock::new(0));
    let path = folder.path().join("a/keys");
    let keys = Folder::new(&path);
    for role in [Role::Issuer, Role::Lock(id("lock_01")), Role::Guest(None)] {
        keys.create(&role, Kind::V2, &*clock).unwrap();
    }
    keys.create(&Role::Issuer, Kind::V1(Bits::Rsa3072), &*clock).unwrap();
    assert_eq!(mode(&path), 0o700);
    for name in ["backend_private.pem", "backend_v2.secret", "lock_01_v2.secret", "unlocker_v2.secret"] {
        assert_eq!(mode(&path.join(name)), 0o600, "{name}");
    }
    let read = keys.read().unwrap();
    assert_eq!((read.warnings.len(), read.v1[&Role::Issuer].public.bits()), (0, 3072));
    let (Some(SecretV2::Issuer(secret)), PublicV2::Issuer(public)) = (&read.v2[&Role::Issuer].secret, read.v2[&Role::Issuer].public) else {
        panic!()
    };
    assert_eq!(*secret.identity(), public);
    let again = keys.create(&Role::Issuer, Kind::V2, &*clock).unwrap_err();
    assert_eq!(files(&again), ["backend_v2.public", "backend_v2.secret"]);
    let names: Vec<_> = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(names.len() == 8 && names.iter().all(|name| !name.starts_with('.')), "{names:?}");
}

#[test]
fn the_first_issuer_that_a_guest_met_is_kept_and_no_other_takes_its_place() {
    let identity = |seed| *doorward_wire::ble::v2::Issuer::from_seeds(&[seed; 32], &[seed; 32]).identity();
    let (folder, kept) = (folder(), || Some(PublicV2::Issuer(identity(1))));
    let keys = Folder::new(folder.path());
    for met in [1, 1, 2] {
        keys.meet(&identity(met)).unwrap();
        assert_eq!(keys.read().unwrap().v2.get(&Role::Issuer).map(|key| key.public), kept());
    }
}

#[test]
fn all_that_is_wrong_is_said_at_once_with_its_file() {
    let folder = original();
    put(&folder, "lock_01_public.pem", pem("lock_02", "public_pem"));
    put(&folder, "unlocker_small_public.pem", &fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/rsa1024.pem")).unwrap());
    put(&folder, "unlocker_broken_public.pem", "-----BEGIN PUBLIC KEY-----\n***\n-----END PUBLIC KEY-----");
    put(&folder, "lock_03_private.pem", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----");
    put(&folder, "lock_04_private.pem", &"x".repeat(20_000));
    put(&folder, "unlocker_v2.secret", "doorward-ble-v2 lock secret AAAA\n");
    put(&folder, "lock_05_v2.public", "doorward-ble-v2 lock public AAAA\n");
    fs::create_dir(folder.path().join("lock_06_private.pem")).unwrap();
    let mistakes = Folder::new(folder.path()).read().unwrap_err();
    let mut all = files(&mistakes);
    all.sort_unstable();
    let expected = [
        "lock_01_public.pem",
        "lock_03_private.pem",
        "lock_04_private.pem",
        "lock_05_v2.public",
        "lock_06_private.pem",
        "unlocker_broken_public.pem",
        "unlocker_small_public.pem",
        "unlocker_v2.secret",
    ];
    assert_eq!(all, expected);
    let said = mistakes.to_string();
    assert!(said.contains("does not belong to its private key") && said.contains("take its password off"), "{said}");
    assert!(!said.contains("MII") && !said.contains("AAAA"), "{said}");
}

#[test]
fn permissions_that_are_too_wide_are_a_warning() {
    let folder = original();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(folder.path().join("backend_private.pem"), fs::Permissions::from_mode(0o640)).unwrap();
    fs::set_permissions(folder.path().join("backend_public.pem"), fs::Permissions::from_mode(0o644)).unwrap();
    put(&folder, "notes.pem", "whose?");
    let warnings = Folder::new(folder.path()).read().unwrap().warnings;
    let all: Vec<_> = warnings.iter().map(|warning| warning.file.as_str()).collect();
    assert_eq!(all, [".", "backend_private.pem", "notes.pem"]);
    assert!(warnings[1].to_string().contains("chmod 600"));
}

#[tokio::test(start_paused = true)]
async fn a_rotation_keeps_the_old_key_readable_and_there_is_always_one() {
    let (folder, clock) = (original(), TestClock::new(0));
    let keys = Folder::new(folder.path());
    let old = keys.read().unwrap().v1.remove(&Role::Issuer).unwrap();
    keys.rotate(&Role::Issuer, Kind::V1(Bits::Rsa2048), &*clock).unwrap();
    let read = keys.read().unwrap();
    let new = &read.v1[&Role::Issuer];
    assert!(new.public != old.public && read.warnings.is_empty());
    let [former] = new.former.as_slice() else { panic!("{:?}", new.former) };
    assert_eq!((former.public.as_ref(), former.until.as_micros() / 1_000_000), (Some(&old.public), START.cast_signed()));
    assert!(former.secret.is_some());
    assert!(keys.tidy(Duration::from_hours(1), clock.now().utc).unwrap().is_empty());
    let gone = keys.tidy(Duration::from_hours(1), clock.now().utc.plus(Duration::from_secs(3601))).unwrap();
    assert_eq!(gone, ["backend_private.pem.20261122T125730Z", "backend_public.pem.20261122T125730Z"]);
    assert!(keys.read().unwrap().v1[&Role::Issuer].former.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_rotation_that_was_interrupted_is_no_mistake_and_can_be_done_again() {
    let (folder, clock) = (original(), TestClock::new(0));
    let keys = Folder::new(folder.path());
    keys.rotate(&Role::Issuer, Kind::V1(Bits::Rsa2048), &*clock).unwrap();
    // The private half was renamed, the public half was not yet.
    fs::copy(folder.path().join("backend_public.pem.20261122T125730Z"), folder.path().join("backend_public.pem")).unwrap();
    let read = keys.read().unwrap();
    let issuer = &read.v1[&Role::Issuer];
    assert_eq!(&issuer.public, issuer.secret.as_ref().unwrap().public(), "what it signs with counts");
    assert!(read.warnings.iter().any(|warning| warning.what.contains("interrupted")));
    keys.rotate(&Role::Issuer, Kind::V1(Bits::Rsa2048), &*TestClock::new(10)).unwrap();
    assert_eq!(keys.read().unwrap().warnings, []);
}

#[tokio::test(start_paused = true)]
async fn a_folder_of_the_original_is_taken_over_or_nothing_of_it() {
    let (theirs, ours) = (original(), folder());
    let pkcs1 = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/pkcs1.pem")).unwrap();
    put(&theirs, "lock_07_private.pem", &pkcs1);
    let (from, keys) = (Folder::new(theirs.path()), Folder::new(ours.path()));
    let imported = keys.import(&from).unwrap();
    assert_eq!(imported.taken.len(), 5);
    let read = keys.read().unwrap();
    assert_eq!(read.v1[&Role::Lock(id("lock_07"))].public, *PrivateKey::from_pem(&pkcs1).unwrap().public());
    let written = fs::read_to_string(ours.path().join("lock_07_private.pem")).unwrap();
    assert!(written.starts_with("-----BEGIN PRIVATE KEY-----"));
    assert_eq!(mode(&ours.path().join("lock_07_private.pem")), 0o600);
    let again = keys.import(&from).unwrap();
    assert_eq!((again.taken.len(), again.known.len()), (0, 5));
    let other = folder();
    put(&other, "backend_private.pem", pem("lock_02", "private_pem"));
    put(&other, "lock_09_public.pem", pem("lock_02", "public_pem"));
    let mistakes = keys.import(&Folder::new(other.path())).unwrap_err();
    assert_eq!(files(&mistakes), ["backend_public.pem"]);
    assert!(!ours.path().join("lock_09_public.pem").exists());
}

#[test]
fn a_folder_that_is_not_there_has_nothing_in_it_and_one_that_is_none_is_said() {
    let contents = Folder::new("/nowhere/keys").read().unwrap();
    assert!(contents.v1.is_empty() && contents.v2.is_empty());
    let file = tempfile::NamedTempFile::new().unwrap();
    let mistakes = Folder::new(file.path()).read().unwrap_err();
    assert_eq!(files(&mistakes), [file.path().display().to_string()]);
}

/// An issuer that stands alone, on a folder.
fn alone(broker: bool) -> (Stage, Arc<Mutex<Vec<Message>>>, Arc<FileRegistry>) {
    let folder = original();
    let contents = Folder::new(folder.path()).read().unwrap();
    let published = Arc::new(Mutex::new(Vec::new()));
    let own = Arc::clone(&published);
    let registry = FileRegistry::new(
        contents,
        &BTreeSet::from([id("front.door")]),
        Box::new(move |message| {
            if broker {
                own.lock().unwrap().push(message);
            }
            Box::pin(async move { if broker { Ok(()) } else { Err(Fault::offline("no broker", "no broker")) } })
        }),
    );
    let (stage, registry) = (Stage::idle(), Arc::new(registry));
    let run = (Arc::clone(&registry), Arc::clone(&stage.tower), Arc::clone(&stage.clock));
    let issuer = Issuer::new(Config::default(), Keys { v1: Some(private("backend")), v2: None });
    tokio::spawn(async move { issuer.run(&*run.1, &*run.0, &*run.2, Box::pin(std::future::pending())).await });
    (stage, published, registry)
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_stands_alone_serves_whose_keys_are_in_its_folder() {
    let (stage, published, registry) = alone(true);
    let held = stage.session(&Stage::v1()).await.unwrap();
    let topics = || published.lock().unwrap().iter().map(|message| (message.topic.clone(), message.retain)).collect::<Vec<_>>();
    assert_eq!(topics(), [("locks/lock_01/session".to_owned(), false)]);
    let own = doorward_ble::guest::Config { lock: id("front.door"), ..Stage::config() };
    let guest =
        doorward_ble::guest::Guest::new(own, doorward_ble::guest::Enrolment::V1 { key: private("unlocker"), issuer: public("backend") });
    let at_own = stage.session(&guest).await.unwrap();
    assert_eq!(topics()[1], (format!("locks/front.door/sessions/{}", at_own.session.nonce), true));
    registry.hello(&id("lock_01"), stage.clock.now()).await.unwrap();
    assert_eq!(topics().len(), 3, "it is said again to the lock that is back");
    let mut stranger = stage.caller(9).await;
    for piece in pieces(&body("lock_01", &public("lock_02"))) {
        stranger.write(&piece).await.unwrap();
    }
    assert_eq!(stranger.answer().await, Some(word(Trouble::NotEnrolled)));
    for piece in pieces(&body("lock_99", &public("unlocker"))) {
        stranger.write(&piece).await.unwrap();
    }
    assert_eq!(stranger.answer().await, Some(word(Trouble::NoGrant)));
    tokio::time::sleep(Duration::from_secs(held.session.expiry - stage.clock.seconds())).await;
    registry.tick(stage.clock.now()).await.unwrap();
    let last = published.lock().unwrap().last().cloned().unwrap();
    assert!(last.retain && last.payload.is_empty(), "{last:?}");
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_stands_alone_gives_nothing_without_its_broker() {
    let (stage, _, registry) = alone(false);
    let mut caller = stage.caller(9).await;
    for piece in pieces(&body("lock_01", &public("unlocker"))) {
        caller.write(&piece).await.unwrap();
    }
    assert_eq!(caller.answer().await, Some(Response::from(Trouble::InternalError)));
    assert_eq!(registry.hello(&id("lock_01"), stage.clock.now()).await, Ok(()), "nothing of it is left");
}
