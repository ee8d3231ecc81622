//! Starts that work, and starts that must not change anything.

use crate::house::{House, furnish, home};
use doorward_core::Secret;
use doorward_store::{MasterKey, OpenError, OpenOptions, Store};

pub(crate) async fn a_second_start_finds_what_the_first_wrote(house: &House) {
    let store = house.furnished().await;
    store.keep(&home(), "token", &Secret::new(b"kept".to_vec())).await.unwrap();
    let id = store.house_id();
    store.ping().await.unwrap();
    store.close().await;

    let again = house.open().await;
    assert_eq!(again.house_id(), id);
    assert_eq!(again.kept(&home(), "token").await.unwrap().unwrap().reveal(), b"kept");
    assert!(!again.place().contains("correct-horse"), "the place is shown without its password");
    assert!(again.audit_verify().await.unwrap().ok);
    again.close().await;
}

pub(crate) async fn wrong_master_key_ends_the_start(house: &House) {
    let store = house.furnished().await;
    store.close().await;
    let before = house.at_rest().await;

    let options = OpenOptions { key: MasterKey::from_bytes([8; 32]), ..house.options() };
    let error = Store::open(&options).await.unwrap_err();
    assert!(matches!(error, OpenError::WrongKey(_)), "{error:?}");
    assert!(error.to_string().contains("master.key"), "{error}");
    assert!(!error.to_string().contains("correct-horse"), "{error}");
    assert!(house.at_rest().await == before, "nothing was changed");

    house.open().await.close().await;
}

pub(crate) async fn a_newer_schema_is_refused_clearly(house: &House) {
    let store = house.open().await;
    furnish(&store).await;
    store.close().await;
    house.sql("UPDATE meta SET value = '999' WHERE key = 'schema'").await;
    house.sql("UPDATE meta SET value = '7.8.9' WHERE key = 'schema_written_by'").await;
    let before = house.at_rest().await;

    let error = house.try_open().await.unwrap_err();
    assert!(matches!(error, OpenError::NewerSchema { found: 999, known: 13, .. }), "{error:?}");
    for word in ["7.8.9", "newer one", "backup"] {
        assert!(error.to_string().contains(word), "{error}");
    }
    assert!(house.at_rest().await == before, "nothing was changed");
}
