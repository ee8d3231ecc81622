//! Devices of the fleet.

use crate::house::{House, at};
use doorward_core::{Secret, record::NewEvent};
use doorward_store::{
    BrokerUser, Claim, Claimed, Contest, DeviceReport, DeviceSecrets, EventQuery, MqttLogin, MqttPassword, MqttUser, NewDevice, Provisioned,
};
use doorward_wire::{device::Named, event::EventKind, topic::Rights};

fn new(named: &str, user: &str, secret: &str) -> NewDevice {
    let Named { id, mac } = named.parse().unwrap();
    let event = NewEvent::new(at(7), EventKind::DeviceProvisioned).device(&id);
    let secrets = DeviceSecrets { password: Secret::from(secret), token: Secret::new(format!("token of {secret}")) };
    NewDevice { id, mac, name: None, user: user.into(), secrets, broker: BrokerUser::Settled, event }
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

pub(crate) async fn other_secrets_and_no_rights_are_one_commit_with_their_event(house: &House) {
    let store = house.open().await;
    let id = "A1B2C3".parse().unwrap();
    store.provision_devices(&[new("A1B2C3", "A1B2C3", "first")]).await.unwrap();
    let other = DeviceSecrets { password: Secret::from("second"), token: Secret::from("token of second") };
    let event = |kind| NewEvent::new(at(8), kind).device(&id);
    let (renewed, told) = store.renew_device(&id, &other, &BrokerUser::Settled, &event(EventKind::DeviceRenewed)).await.unwrap().unwrap();
    assert_eq!((renewed.epoch, told.kind, renewed.secrets.clone()), (2, EventKind::DeviceRenewed, other.clone()));
    assert_eq!(store.mqtt_login("A1B2C3", b"first").await.unwrap(), MqttLogin::Wrong);
    assert!(matches!(store.mqtt_login("A1B2C3", b"second").await.unwrap(), MqttLogin::Right(_)));
    let (revoked, _) = store.revoke_device(&id, &BrokerUser::Settled, &event(EventKind::DeviceRevoked)).await.unwrap().unwrap();
    assert!(revoked.revoked.is_some());
    assert_eq!(store.mqtt_login("A1B2C3", b"second").await.unwrap(), MqttLogin::Wrong);
    assert!(!store.is_device_token(&id, "token of second").await.unwrap());
    assert_eq!(store.revoke_device(&id, &BrokerUser::Settled, &event(EventKind::DeviceRevoked)).await.unwrap(), None, "once");
    assert_eq!(store.provision_devices(&[new("A1B2C3", "A1B2C3", "x")]).await.unwrap(), [Provisioned::Revoked]);
    store.renew_device(&id, &other, &BrokerUser::Settled, &event(EventKind::DeviceRenewed)).await.unwrap().unwrap();
    assert!(matches!(store.mqtt_login("A1B2C3", b"second").await.unwrap(), MqttLogin::Right(_)), "it has its rights again");
    assert_eq!(
        store.renew_device(&"D4E5F6".parse().unwrap(), &other, &BrokerUser::Settled, &event(EventKind::DeviceRenewed)).await.unwrap(),
        None
    );
    assert!(store.audit_verify().await.unwrap().ok);
    store.close().await;
}

pub(crate) async fn a_claim_belongs_to_whoever_asks_first_and_a_second_one_ends_it(house: &House) {
    let store = house.open().await;
    let id = "A1B2C3".parse().unwrap();
    store.provision_devices(&[new("A1B2C3", "A1B2C3", "first")]).await.unwrap();
    let contest = Contest {
        secrets: DeviceSecrets { password: Secret::from("second"), token: Secret::from("token of second") },
        broker: BrokerUser::Settled,
        event: NewEvent::new(at(9), EventKind::DeviceClaimContested).device(&id),
    };
    let event = NewEvent::new(at(8), EventKind::DeviceClaimChanged).device(&id);
    let take = async |address: &str, second| store.take_claim(&id, address, at(second), &contest).await.unwrap();
    assert_eq!(take("192.0.2.7", 8).await, Claimed::No, "none is open");
    let claim = Claim { device: id.clone(), until: Some(at(20)), network: None, claimed_by: None, claimed: None };
    store.open_claim(&claim, &event).await.unwrap().unwrap();
    assert_eq!(take("192.0.2.7", 9).await, Claimed::Yes);
    store.close().await;

    let store = house.open().await;
    let take = async |address: &str, second| store.take_claim(&id, address, at(second), &contest).await.unwrap();
    assert_eq!(take("192.0.2.7", 10).await, Claimed::Yes, "the same one may ask again, after a restart too");
    let known = store.claim(&id).await.unwrap().unwrap();
    assert_eq!((known.claimed_by.as_deref(), known.claimed), (Some("192.0.2.7"), Some(at(9))));
    let Claimed::Contested(device, events) = take("192.0.2.8", 11).await else { panic!("it is contested") };
    assert_eq!((device.secrets.password.reveal().as_str(), events[0].kind), ("second", EventKind::DeviceClaimContested));
    assert_eq!((take("192.0.2.7", 12).await, store.claim(&id).await.unwrap()), (Claimed::No, None));

    store.open_claim(&claim, &event).await.unwrap().unwrap();
    assert_eq!(take("192.0.2.9", 20).await, Claimed::No, "it is over");
    store.purge_claims(at(20)).await.unwrap();
    assert_eq!(store.claims().await.unwrap(), []);
    let nobody = Claim { device: "D4E5F6".parse().unwrap(), ..claim };
    assert_eq!(store.open_claim(&nobody, &event).await.unwrap(), None);
    store.close().await;
}

pub(crate) async fn what_a_device_told_is_kept_and_what_it_left_out_stays(house: &House) {
    let store = house.open().await;
    let (id, nobody) = ("A1B2C3".parse().unwrap(), "D4E5F6".parse().unwrap());
    store.provision_devices(&[new("A1B2C3", "A1B2C3", "first")]).await.unwrap();
    let first = DeviceReport {
        seen: Some(at(9)),
        online: Some(true),
        firmware: Some("2.0.0".into()),
        uptime: Some(300),
        free_heap: Some(181_234),
        wifi_rssi: Some(-61),
    };
    store.note_device_reports(&[(id, first.clone()), (nobody, first.clone())]).await.unwrap();
    let id = "A1B2C3".parse().unwrap();
    assert_eq!(store.online_devices().await.unwrap(), [id]);
    let id = "A1B2C3".parse().unwrap();
    store.note_device_reports(&[(id, DeviceReport { seen: Some(at(10)), online: Some(false), ..DeviceReport::default() })]).await.unwrap();
    let kept = store.devices().await.unwrap();
    assert_eq!(kept.len(), 1, "whom nobody provisioned is not made known");
    assert_eq!(kept[0].report, DeviceReport { seen: Some(at(10)), online: Some(false), ..first });
    assert_eq!(store.online_devices().await.unwrap(), []);
    store.close().await;
}
