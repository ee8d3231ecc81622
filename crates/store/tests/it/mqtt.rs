//! Users of the MQTT broker.

use crate::house::{House, at};
use doorward_core::Secret;
use doorward_store::{MqttLogin, MqttPassword, MqttUser};
use doorward_wire::topic::Rights;

fn user(name: &str) -> MqttUser {
    let publish = Rights::new(vec!["doorward/door/+/set".parse().unwrap()]);
    let subscribe = Rights::new(vec!["doorward/#".parse().unwrap(), "ü/+".parse().unwrap()]);
    MqttUser { name: name.into(), publish, subscribe, client_id: None, created: at(1), device: None }
}

pub(crate) async fn a_user_of_the_broker_is_known_by_its_secret(house: &House) {
    let store = house.open().await;
    let secret = store.new_mqtt_secret();
    assert_eq!(secret.reveal().len(), 32, "192 bits");
    assert!(store.add_mqtt_user(&user("ha"), MqttPassword::Made(&secret)).await.unwrap());
    assert!(!store.add_mqtt_user(&user("ha"), MqttPassword::Made(&secret)).await.unwrap(), "the name is taken");
    assert_eq!(store.mqtt_login("ha", secret.reveal().as_bytes()).await.unwrap(), MqttLogin::Right(user("ha")));
    for wrong in ["", "x", secret.reveal().to_lowercase().as_str()] {
        assert_eq!(store.mqtt_login("ha", wrong.as_bytes()).await.unwrap(), MqttLogin::Wrong, "{wrong}");
    }
    assert_eq!(store.mqtt_login("nobody", b"").await.unwrap(), MqttLogin::Wrong);
    let hash = Secret::from("$argon2id$");
    assert!(store.add_mqtt_user(&user("chosen"), MqttPassword::Chosen(&hash)).await.unwrap());
    assert_eq!(store.mqtt_login("chosen", b"").await.unwrap(), MqttLogin::Compare(user("chosen"), hash));
    assert!(store.remove_mqtt_user("chosen").await.unwrap());

    let narrower = MqttUser { publish: Rights::default(), client_id: Some("ha-1".into()), ..user("ha") };
    assert!(store.update_mqtt_user(&narrower).await.unwrap() && !store.update_mqtt_user(&user("nobody")).await.unwrap());
    assert_eq!(store.mqtt_users().await.unwrap(), [narrower]);
    assert!(store.remove_mqtt_user("ha").await.unwrap() && !store.remove_mqtt_user("ha").await.unwrap());
    store.close().await;
    assert!(!house.at_rest().await.windows(32).any(|bytes| bytes == secret.reveal().as_bytes()), "only a code of it is kept");
}

pub(crate) async fn a_client_identifier_is_whose_it_was(house: &House) {
    let store = house.open().await;
    let secret = store.new_mqtt_secret();
    for name in ["ha", "other"] {
        assert!(store.add_mqtt_user(&user(name), MqttPassword::Made(&secret)).await.unwrap());
    }
    assert!(store.own_mqtt_client("lamp", "ha", at(1)).await.unwrap());
    assert!(!store.own_mqtt_client("lamp", "other", at(2)).await.unwrap(), "another user takes over no session");
    assert!(store.own_mqtt_client("lamp", "ha", at(3)).await.unwrap());
    assert_eq!(store.mqtt_clients().await.unwrap(), [("lamp".to_owned(), "ha".to_owned())]);
    assert_eq!(store.forget_mqtt_clients(at(3)).await.unwrap(), 0, "it was seen since");
    assert!(store.remove_mqtt_user("ha").await.unwrap());
    assert!(store.own_mqtt_client("lamp", "other", at(4)).await.unwrap(), "who is gone has none");
    assert_eq!(store.forget_mqtt_clients(at(5)).await.unwrap(), 1);
}

/// An upgrade: the first schema, with somebody in it, is brought up to date and keeps them.
pub(crate) async fn a_house_of_the_first_schema_gets_the_tables_of_the_next(house: &House) {
    let store = house.open().await;
    let ada = store.add_person("Ada", "administrator", at(1)).await.unwrap();
    store.put_session(b"old", Some(&ada.id), b"", at(900)).await.unwrap();
    store.close().await;
    for index in ["events_device", "sessions_public_id"] {
        house.sql(&format!("DROP INDEX {index}")).await;
    }
    for table in [
        "ble_revoked",
        "ble_sessions",
        "phone_invites",
        "phone_keys",
        "recovery_codes",
        "second_factors",
        "passkeys",
        "user_handles",
        "pass_doors",
        "grants",
        "passes",
        "group_members",
        "groups",
        "device_states",
        "device_claims",
        "rollout_devices",
        "rollouts",
        "device_offers",
        "firmware_chunks",
        "firmware",
        "devices",
        "rings",
        "tunnel_nonces",
        "tunnel_keys",
        "push_subscriptions",
        "webhook_deliveries",
        "webhooks",
        "mqtt_clients",
        "mqtt_users",
    ] {
        house.sql(&format!("DROP TABLE {table}")).await;
    }
    for (table, column) in [
        ("doors", "last_online"),
        ("doors", "last_battery_low"),
        ("attempts", "grant_id"),
        ("sites", "holidays_json"),
        ("sessions", "public_id"),
        ("sessions", "browser"),
        ("sessions", "began_at"),
        ("sessions", "seen_at"),
    ] {
        house.sql(&format!("ALTER TABLE {table} DROP COLUMN {column}")).await;
    }
    house.sql("UPDATE meta SET value = '1' WHERE key = 'schema'").await;
    let store = house.open().await;
    let sessions = store.sessions_of(&ada.id, at(2)).await.unwrap();
    assert_eq!((sessions.len(), sessions[0].began), (1, None), "whoever was signed in stays so, and can be put out");
    assert!(store.end_session(&ada.id, &sessions[0].id).await.unwrap());
    assert_eq!(store.people().await.unwrap(), [ada]);
    assert!(store.mqtt_users().await.unwrap().is_empty() && store.webhooks().await.unwrap().is_empty());
    assert!(store.pushes(at(1)).await.unwrap().is_empty());
    assert!(store.audit_verify().await.unwrap().ok);
}
