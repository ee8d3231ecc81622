//! Users of devices at a broker that is not doorward's own: Mosquitto, RabbitMQ, and a stand-in for EMQX.

use super::{
    brokers::{Mosquitto, RabbitMq},
    fleet::{Scene, client_id},
    mosquitto::User,
};
use crate::{
    binary::{Binary, json, run},
    boot::killed::until,
};
use doorward_sim::emqx::Emqx;
use serde_json::Value;
use std::process::Command;

/// A house with a provisioning server and the users of another broker.
async fn elsewhere(environment: &[(&str, &str)]) -> Scene {
    let scene = Scene::start_with(environment);
    let client = scene.binary.client();
    until("it is connected", async || client.get("/mqtt").await["connected"] == true).await;
    scene
}

/// What the desk, the doctor and a device do at a broker that is not doorward's own.
async fn a_device_has_its_own_user_there(scene: &Scene, port: u16, version: &'static str, doorward: &User) {
    let told = |id: &str| json(scene.path(), &["device", "provision", id]);
    let (first, second) = (told("A1B2C3D4E5F6"), told("A1B2C3D4E5F7"));
    assert_eq!(first["mqtt_port"], port);
    let user =
        |told: &Value| User::new(told["mqtt_user"].as_str().unwrap(), told["mqtt_password"].as_str().unwrap(), &port).speaking(version);
    let own = client_id("A1B2C3D4E5F6");
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    let status = r#"{"serialNumber":"A1B2C3D4E5F6","firmware":"2.0.0"}"#;
    until("what it tells of itself is heard", async || {
        user(&first).publish("gateway/status", status, &own);
        json(scene.path(), &["device", "show", "A1B2C3D4E5F6"])["firmware"] == "2.0.0"
    })
    .await;
    let id = client_id("A1B2C3D4E5F7");
    let id: Vec<&str> = id.iter().map(String::as_str).collect();
    let spy = user(&first).listen_with("gateway/A1B2C3D4E5F7/command", &own);
    let mine = user(&second).listen_with("gateway/A1B2C3D4E5F7/command", &id);
    until("the other hears what is its own", async || {
        doorward.publish("gateway/A1B2C3D4E5F7/command", "{}", &[]);
        !mine.heard().is_empty()
    })
    .await;
    assert!(spy.heard().is_empty(), "and its neighbour does not");
    drop((spy, mine));

    let looked = json(scene.path(), &["device", "doctor"]);
    assert_eq!((&looked["devices"], &looked["findings"]), (&2.into(), &serde_json::json!([])));
    let renewed = json(scene.path(), &["device", "rotate", "A1B2C3D4E5F6"]);
    assert!(!user(&first).publish("gateway/A1B2C3D4E5F6/status", "{}", &own), "the old secret is worth nothing");
    assert!(user(&renewed).publish("gateway/A1B2C3D4E5F6/status", "{}", &own));
    assert!(run(scene.path(), &["device", "revoke", "A1B2C3D4E5F6"]).status.success());
    until("its user is gone", async || !user(&renewed).publish("gateway/A1B2C3D4E5F6/status", "{}", &own)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn devices_have_their_users_at_mosquitto_and_the_doctor_repairs_them() {
    let broker = Mosquitto::with_dynamic_security("admin-secret", ("doorward", "at-the-door"));
    let place = format!("mqtt://doorward@127.0.0.1:{}", broker.port);
    let scene = elsewhere(&[
        ("DOORWARD_MQTT__BROKER", &place),
        ("DOORWARD_MQTT__PASSWORD", "at-the-door"),
        ("DOORWARD_MQTT__ADMIN", "mosquitto"),
        ("DOORWARD_MQTT__ADMIN_USER", "admin"),
        ("DOORWARD_MQTT__ADMIN_PASSWORD", "admin-secret"),
    ])
    .await;
    let doorward = User::new("doorward", "at-the-door", &broker.port);
    a_device_has_its_own_user_there(&scene, broker.port, "5", &doorward).await;

    // Somebody meddles at the broker: one user is gone, one may do too much, one is nobody's.
    let third = json(scene.path(), &["device", "provision", "A1B2C3D4E5F8"]);
    let admin = |arguments: &[&str]| {
        let port = broker.port.to_string();
        let base = ["-h", "127.0.0.1", "-p", &port, "-u", "admin", "-P", "admin-secret", "dynsec"];
        let output = Command::new("mosquitto_ctrl").args(base).args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    admin(&["deleteClient", "A1B2C3D4E5F7"]);
    admin(&["addRoleACL", "doorward-A1B2C3D4E5F8", "subscribePattern", "gateway/#", "allow"]);
    admin(&["createClient", "FFFFFFFFFFFF", "-p", "left-behind"]);
    let found = run(scene.path(), &["--json", "device", "doctor"]);
    assert_eq!(found.status.code(), Some(1));
    let found: Value = serde_json::from_slice(&found.stdout).unwrap();
    let devices: Vec<&str> = found["findings"].as_array().unwrap().iter().map(|finding| finding["device"].as_str().unwrap()).collect();
    assert_eq!(devices, ["A1B2C3D4E5F7", "A1B2C3D4E5F8", "FFFFFFFFFFFF"], "{found}");
    let repaired = json(scene.path(), &["device", "doctor", "--repair"]);
    assert!(repaired["findings"].as_array().unwrap().iter().all(|finding| finding["repaired"] == true), "{repaired}");
    assert_eq!(json(scene.path(), &["device", "doctor"])["findings"], serde_json::json!([]));
    let user = User::new("A1B2C3D4E5F8", third["mqtt_password"].as_str().unwrap(), &broker.port);
    assert!(user.publish("gateway/A1B2C3D4E5F8/status", "{}", &["-i", "BLE-Gateway-A1B2C3D4E5F8"]), "it keeps its credentials");
}

#[tokio::test(flavor = "multi_thread")]
async fn devices_have_their_users_at_rabbitmq() {
    let broker = RabbitMq::start();
    let place = format!("mqtt://guest@127.0.0.1:{}", broker.port);
    let url = format!("http://127.0.0.1:{}", broker.management);
    let scene = elsewhere(&[
        ("DOORWARD_MQTT__BROKER", &place),
        ("DOORWARD_MQTT__PASSWORD", "guest"),
        ("DOORWARD_MQTT__ADMIN", "rabbitmq"),
        ("DOORWARD_MQTT__ADMIN_URL", &url),
        ("DOORWARD_MQTT__ADMIN_USER", "guest"),
        ("DOORWARD_MQTT__ADMIN_PASSWORD", "guest"),
    ])
    .await;
    let doorward = User::new("guest", "guest", &broker.port).speaking("311");
    a_device_has_its_own_user_there(&scene, broker.port, "311", &doorward).await;
}

/// A stand-in of EMQX's API beside a broker that knows one device's derived credentials.
#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_fails_leaves_a_device_pending_and_is_tried_again() {
    let salt = "0123456789abcdef0123456789abcdef";
    let password = "10b2757146584c3f228737a2e7d6fd6476a04e913dec423eecb5bb66f32326d2";
    let users = [("doorward", "at-the-door"), ("A1B2C3D4E5F6", password)];
    let rights = "user doorward\ntopic readwrite #\nuser A1B2C3D4E5F6\ntopic write gateway/A1B2C3D4E5F6/status\n";
    let broker = Mosquitto::start_with_rights(&users, Some(rights), "");
    let emqx = Emqx::start().await.unwrap();
    let place = format!("mqtt://doorward@127.0.0.1:{}", broker.port);
    let environment = [
        ("DOORWARD_MQTT__BROKER", place.as_str()),
        ("DOORWARD_MQTT__PASSWORD", "at-the-door"),
        ("DOORWARD_MQTT__ADMIN", "emqx"),
        ("DOORWARD_MQTT__ADMIN_URL", &emqx.url()),
        ("DOORWARD_MQTT__ADMIN_USER", "key"),
        ("DOORWARD_MQTT__ADMIN_PASSWORD", "secret"),
        ("DOORWARD_FLEET__SALT", salt),
        ("DOORWARD_FLEET__DERIVATION", "sha256-salt"),
    ];
    let scene = elsewhere(&environment).await;
    let token = scene.token("devices:provision");
    emqx.set(|inside| inside.no_rules = true);
    let (status, answer) = scene.provision("A1B2C3D4E5F6", &token);
    assert_eq!(status, 503, "never half provisioned without a word: {answer}");
    assert!(answer.get("mqtt_password").is_none());
    let shown = json(scene.path(), &["device", "show", "A1B2C3D4E5F6"]);
    assert_eq!(shown["state"], "pending");
    assert!(shown["detail"].as_str().is_some_and(|why| !why.is_empty()), "{shown}");
    assert!(emqx.inside().users.is_empty(), "what was made is undone");
    // Killed while it is pending, it goes on after a start.
    let Scene { binary, data } = scene;
    binary.kill();
    emqx.set(|inside| inside.no_rules = false);
    let any = "127.0.0.1:0";
    let mut again = vec![("DOORWARD_HTTP__LISTEN", any), ("DOORWARD_FLEET__LISTEN", any)];
    again.extend_from_slice(&environment);
    let scene = Scene { binary: Binary::start_with(data.path(), &again), data };
    until("it is tried again by itself", async || json(scene.path(), &["device", "show", "A1B2C3D4E5F6"])["state"] != "pending").await;
    assert_eq!(emqx.inside().users.len(), 1);
    assert_eq!(scene.provision("A1B2C3D4E5F6", &token).1["mqtt_password"], password);
    // Revoked while the broker's API is away, its user goes when it is back.
    emqx.set(|inside| inside.no_deletes = true);
    assert!(run(scene.path(), &["device", "revoke", "A1B2C3D4E5F6"]).status.success());
    until("that it is left behind is shown", async || json(scene.path(), &["device", "show", "A1B2C3D4E5F6"])["detail"].is_string()).await;
    emqx.set(|inside| inside.no_deletes = false);
    until("it is removed", async || emqx.inside().users.is_empty()).await;
}
