//! Users of the MQTT broker.

use crate::house::{House, at};
use doorward_store::MqttUser;
use doorward_wire::topic::Rights;

fn user(name: &str) -> MqttUser {
    let publish = Rights::new(vec!["doorward/door/+/set".parse().unwrap()]);
    let subscribe = Rights::new(vec!["doorward/#".parse().unwrap(), "ü/+".parse().unwrap()]);
    MqttUser { name: name.into(), publish, subscribe, client_id: None, created: at(1) }
}

pub(crate) async fn a_user_of_the_broker_is_known_by_its_secret(house: &House) {
    let store = house.open().await;
    let secret = store.add_mqtt_user(&user("ha")).await.unwrap().expect("the name is free");
    assert_eq!(secret.reveal().len(), 32, "192 bits");
    assert!(store.add_mqtt_user(&user("ha")).await.unwrap().is_none(), "the name is taken");
    assert_eq!(store.find_mqtt_user("ha", secret.reveal().as_bytes()).await.unwrap(), Some(user("ha")));
    for wrong in ["", "x", secret.reveal().to_lowercase().as_str()] {
        assert_eq!(store.find_mqtt_user("ha", wrong.as_bytes()).await.unwrap(), None, "{wrong}");
    }
    assert_eq!(store.find_mqtt_user("nobody", b"").await.unwrap(), None);

    let narrower = MqttUser { publish: Rights::default(), client_id: Some("ha-1".into()), ..user("ha") };
    assert!(store.update_mqtt_user(&narrower).await.unwrap() && !store.update_mqtt_user(&user("nobody")).await.unwrap());
    assert_eq!(store.mqtt_users().await.unwrap(), [narrower]);
    assert!(store.remove_mqtt_user("ha").await.unwrap() && !store.remove_mqtt_user("ha").await.unwrap());
    store.close().await;
    assert!(!house.at_rest().await.windows(32).any(|bytes| bytes == secret.reveal().as_bytes()), "only a code of it is kept");
}

/// An upgrade: the first schema, with somebody in it, is brought up to date and keeps them.
pub(crate) async fn a_house_of_the_first_schema_gets_the_tables_of_the_next(house: &House) {
    let store = house.open().await;
    let ada = store.add_person("Ada", "administrator", at(1)).await.unwrap();
    store.close().await;
    for table in ["webhook_deliveries", "webhooks", "mqtt_users"] {
        house.sql(&format!("DROP TABLE {table}")).await;
    }
    house.sql("UPDATE meta SET value = '1' WHERE key = 'schema'").await;
    let store = house.open().await;
    assert_eq!(store.people().await.unwrap(), [ada]);
    assert!(store.mqtt_users().await.unwrap().is_empty() && store.webhooks().await.unwrap().is_empty());
    assert!(store.audit_verify().await.unwrap().ok);
}
