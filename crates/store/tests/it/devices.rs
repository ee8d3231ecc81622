//! Devices of the fleet.

use crate::house::{House, at};
use doorward_core::{Secret, record::NewEvent};
use doorward_store::{BrokerUser, DeviceSecrets, EventQuery, MqttLogin, MqttPassword, MqttUser, NewDevice, Provisioned};
use doorward_wire::{device::Named, event::EventKind, topic::Rights};

fn new(named: &str, user: &str, secret: &str) -> NewDevice {
    let Named { id, mac } = named.parse().unwrap();
    let event = NewEvent::new(at(7), EventKind::DeviceProvisioned).device(&id);
    let secrets = DeviceSecrets { password: Secret::from(secret), token: Secret::new(format!("token of {secret}")) };
    NewDevice { id, mac, name: None, user: user.into(), secrets, broker: BrokerUser::Made, event }
}

pub(crate) async fn a_device_and_its_event_are_one_commit_and_the_same_device_again_is_the_same(house: &House) {
    let store = house.open().await;
    let outcomes = store.provision_devices(&[new("A1B2C3", "A1B2C3", "first secret"), new("D4E5F6", "D4E5F6", "other")]).await.unwrap();
    let [Provisioned::New(device, event), Provisioned::New(..)] = outcomes.as_slice() else { panic!("{outcomes:?}") };
    assert_eq!((event.kind, event.device.as_deref()), (EventKind::DeviceProvisioned, Some("A1B2C3")));
    let again = store.provision_devices(&[new("a1b2c3", "A1B2C3", "second secret")]).await.unwrap();
    assert_eq!(again, [Provisioned::Known(device.clone())], "it keeps what it has");
    assert_eq!(device.secrets.password.reveal(), "first secret");
    let told = store.events(&EventQuery { kind: Some(EventKind::DeviceProvisioned), ..EventQuery::default() }).await.unwrap();
    assert_eq!(told.len(), 2);
    assert!(store.audit_verify().await.unwrap().ok);
    store.close().await;
    let store = house.open().await;
    assert_eq!(store.device(&device.id).await.unwrap().as_ref(), Some(device));
    assert_eq!(store.devices().await.unwrap().len(), 2);
    store.close().await;
    for secret in ["first secret", "token of first secret"] {
        assert!(!house.at_rest().await.windows(secret.len()).any(|bytes| bytes == secret.as_bytes()), "it is sealed");
    }
}

pub(crate) async fn a_device_shows_its_own_secrets_and_no_others(house: &House) {
    let store = house.open().await;
    store.provision_devices(&[new("A1B2C3", "ble-gateway-A1B2C3", "secret"), new("D4E5F6", "D4E5F6", "other")]).await.unwrap();
    let MqttLogin::Right(user) = store.mqtt_login("ble-gateway-A1B2C3", b"secret").await.unwrap() else { panic!("refused") };
    assert_eq!((user.name.as_str(), user.client_id.as_deref()), ("ble-gateway-A1B2C3", Some("BLE-Gateway-A1B2C3")));
    assert!(user.publish.allow_topic("gateway/A1B2C3/status") && !user.publish.allow_topic("gateway/D4E5F6/status"));
    for (name, secret) in
        [("ble-gateway-A1B2C3", "other"), ("D4E5F6", "secret"), ("A1B2C3", "secret"), ("ble-gateway-A1B2C3", "token of secret")]
    {
        assert_eq!(store.mqtt_login(name, secret.as_bytes()).await.unwrap(), MqttLogin::Wrong, "{name} {secret}");
    }
    let id = "A1B2C3".parse().unwrap();
    assert!(store.is_device_token(&id, "token of secret").await.unwrap());
    assert!(!store.is_device_token(&id, "token of other").await.unwrap() && !store.is_device_token(&id, "secret").await.unwrap());
    store.close().await;
}

pub(crate) async fn what_two_devices_share_is_refused(house: &House) {
    let store = house.open().await;
    let person = MqttUser {
        name: "FFFFFF".into(),
        publish: Rights::default(),
        subscribe: Rights::default(),
        client_id: None,
        created: at(1),
        device: None,
    };
    let secret = store.new_mqtt_secret();
    assert!(store.add_mqtt_user(&person, MqttPassword::Made(&secret)).await.unwrap());
    let one = "01:23:12:03:AA:BB";
    let outcomes = store
        .provision_devices(&[
            new(one, "123123AABB", "a"),
            // Another MAC that prints the same.
            new("12:03:01:23:AA:BB", "123123AABB", "b"),
            // By what it prints, it may be that one.
            new("123123AABB", "123123AABB", "c"),
            // A person has this name at the broker.
            new("FFFFFF", "FFFFFF", "d"),
        ])
        .await
        .unwrap();
    let [Provisioned::New(first, _), Provisioned::Collides(mac), Provisioned::Known(known), Provisioned::NameTaken] = outcomes.as_slice()
    else {
        panic!("{outcomes:?}")
    };
    assert_eq!((mac.to_string().as_str(), first == known), (one, true));
    assert!(!store.add_mqtt_user(&MqttUser { name: "123123AABB".into(), ..person }, MqttPassword::Made(&secret)).await.unwrap());
    assert!(store.audit_verify().await.unwrap().ok, "what was refused left nothing");
    assert_eq!(store.devices().await.unwrap().len(), 1);
    store.close().await;
}
