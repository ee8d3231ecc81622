//! What concerns PostgreSQL alone: servers that refuse, servers that go away, and moving between the two databases.

use crate::{
    backups::{assert_same, full},
    house::{House, at, attempt, event, intent, uuid},
    postgres::{PASSWORD, Postgres},
};
use doorward_core::{Secret, record::Record};
use doorward_store::{MasterKey, OpenError, OpenOptions, Store, StoreError, restore};
use doorward_wire::event::EventKind;
use std::sync::Arc;

async fn open_error(url: &str) -> OpenError {
    Store::open(&OpenOptions::new(url, MasterKey::from_bytes([7; 32]), at(0))).await.unwrap_err()
}

async fn move_house(from: &House, to: &House) {
    let passphrase = Secret::from("moving");
    let store = from.open().await;
    full(&store).await;
    let mut file = Vec::new();
    store.backup(&mut file, &passphrase, &[], at(500)).await.unwrap();
    restore(file.as_slice(), &passphrase, &to.secret_url(), &to.folder.join("master.key"), |_| Ok(())).await.unwrap();
    let moved = to.open().await;
    assert_same(&store, &moved).await;
    store.close().await;
    moved.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_moves_a_house_between_the_databases() {
    let server = Arc::new(Postgres::start());
    move_house(&House::sqlite(), &House::postgresql(&server).await).await;
    move_house(&House::postgresql(&server).await, &House::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_refuses_or_goes_away_is_told_clearly() {
    let server = Arc::new(Postgres::start());
    let house = House::postgresql(&server).await;
    let says = |error: OpenError| {
        let text = format!("{error} {error:?}");
        assert!(!text.contains(PASSWORD) && !text.contains("hunter2"), "{text}");
        assert!(text.contains("127.0.0.1"), "{text}");
        error
    };
    let error = says(open_error(&house.url.replace(PASSWORD, "hunter2")).await);
    assert!(matches!(error, OpenError::WrongPassword { .. }), "{error:?}");
    let error = says(open_error(&house.url.replace("/house_0", "/nowhere")).await);
    assert!(matches!(error, OpenError::NoDatabase { .. }) && error.to_string().contains("createdb"), "{error:?}");
    let error = says(open_error(&house.url.replace(&server.port().to_string(), "1")).await);
    assert!(matches!(error, OpenError::Unreachable { .. }), "{error:?}");

    server.sql("postgres", "CREATE USER guest PASSWORD 'hunter2'");
    let error = says(open_error(&house.url.replace(PASSWORD, "hunter2").replace("doorward:", "guest:")).await);
    assert!(matches!(error, OpenError::NotAllowed(_)) && error.to_string().contains("OWNER TO"), "{error:?}");

    // Two copies start at the same time on an empty database: one makes it, the other finds it.
    let (one, two) = tokio::join!(house.try_open(), house.try_open());
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!(one.house_id(), two.house_id());
    crate::house::furnish(&one).await;

    // Another writer holds the lock for too long: this is told, and passes.
    let holder = {
        let server = server.clone();
        std::thread::spawn(move || server.sql("house_0", "BEGIN; SELECT 1 FROM chain FOR UPDATE; SELECT pg_sleep(4); COMMIT"))
    };
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let ring = || [Record::Events { events: vec![event(EventKind::DoorRing)], told: None }];
    let error = one.write(&ring(), at(1)).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    holder.join().unwrap();
    one.write(&ring(), at(1)).await.unwrap();

    // Its connections are cut: the next write finds new ones.
    server.sql("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'doorward'");
    one.write(&[intent(&attempt(uuid()), true)], at(1)).await.unwrap();

    drop(house);
    drop(Arc::into_inner(server).expect("nobody else has it"));
    let error = one.write(&ring(), at(1)).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    assert!(error.person().contains("database"));
    two.audit_verify().await.unwrap_err();
}
