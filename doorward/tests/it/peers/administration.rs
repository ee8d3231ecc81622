//! Users that doorward keeps at brokers of others: made in all of their steps or none, tried with their own credentials,
//! and gone without a trace.

use super::{
    brokers::{Mosquitto, RabbitMq},
    mosquitto::User,
};
use crate::{
    binary::{Binary, json, run},
    boot::killed::until,
};
use doorward_sim::emqx::Emqx;
use tempfile::TempDir;

/// A house at a broker whose users it keeps.
struct Scene {
    binary: Binary,
    data: TempDir,
}

impl Scene {
    async fn start(environment: &[(&str, &str)]) -> Self {
        let data = tempfile::tempdir().unwrap();
        let environment: Vec<(&str, &str)> = [("DOORWARD_HTTP__LISTEN", "127.0.0.1:0")].iter().chain(environment).copied().collect();
        let binary = Binary::start_with(data.path(), &environment);
        let client = binary.client();
        until("it is connected", async || client.get("/mqtt").await["connected"] == true).await;
        Self { binary, data }
    }

    /// Adds a device with rights to its own topics alone.
    fn add(&self, name: &str, port: u16, version: &'static str) -> User {
        let own = |what: &str| format!("sensor/{name}/{what}");
        let arguments = ["mqtt", "user", "add", name, "--publish", &own("data"), "--subscribe", &own("request/+")];
        let made = json(self.data.path(), &arguments);
        let secret = made["secret"].as_str().unwrap_or_else(|| panic!("{made}"));
        User::new(name, secret, &port).speaking(version)
    }
}

/// What a device may do at a broker, and what it may not.
async fn a_device_keeps_its_place(scene: &Scene, port: u16, version: &'static str, doorward: &User) {
    let (lamp, desk) = (scene.add("lamp", port, version), scene.add("desk", port, version));
    let told = doorward.listen("sensor/#");
    until("what a device says of itself is heard", async || {
        lamp.publish("sensor/lamp/data", "21", &["-i", "lamp"]);
        told.heard().contains(&"sensor/lamp/data 21".to_owned())
    })
    .await;
    lamp.publish("sensor/desk/data", "99", &["-i", "lamp"]);
    lamp.publish("sensor/desk/request/on/1", "1", &["-i", "lamp"]);

    let requests = desk.listen_with("sensor/desk/request/+", &["-i", "desk"]);
    let spied: Vec<_> =
        ["sensor/desk/request/+", "sensor/+/request/+", "#"].into_iter().map(|filter| lamp.listen_with(filter, &["-i", "lamp"])).collect();
    until("a device hears what is asked of it", async || {
        doorward.publish("sensor/desk/request/on", "1", &[]);
        !requests.heard().is_empty()
    })
    .await;
    assert!(spied.iter().all(|spy| spy.heard().is_empty()), "a device does not hear its neighbour");
    assert!(!told.heard().iter().any(|line| line.contains("sensor/desk/data") || line.contains("request/on/1")), "{:?}", told.heard());

    // Other rights count at once, and who is removed is gone.
    let data = scene.data.path();
    assert!(run(data, &["mqtt", "user", "rights", "lamp", "--publish", "sensor/lamp/other"]).status.success());
    until("the new right counts", async || {
        lamp.publish("sensor/lamp/other", "22", &["-i", "lamp"]);
        told.heard().contains(&"sensor/lamp/other 22".to_owned())
    })
    .await;
    let before = told.heard().len();
    lamp.publish("sensor/lamp/data", "23", &["-i", "lamp"]);
    assert!(run(data, &["mqtt", "user", "remove", "lamp"]).status.success());
    assert!(!lamp.publish("sensor/lamp/other", "24", &["-i", "lamp"]));
    doorward.publish("sensor/end", "end", &[]);
    told.hears("sensor/end end").await;
    assert!(!told.heard()[before..].iter().any(|line| line.ends_with(" 23") || line.ends_with(" 24")), "{:?}", told.heard());
    assert_eq!(json(data, &["mqtt", "user", "list"]).as_array().unwrap().len(), 1);
    assert_eq!(scene.binary.client().get("/mqtt").await["orphans"], serde_json::json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_keeps_its_place_at_mosquitto_with_dynamic_security() {
    let broker = Mosquitto::with_dynamic_security("admin-secret", ("doorward", "at-the-door"));
    let place = format!("mqtt://doorward@127.0.0.1:{}", broker.port);
    let scene = Scene::start(&[
        ("DOORWARD_MQTT__BROKER", &place),
        ("DOORWARD_MQTT__PASSWORD", "at-the-door"),
        ("DOORWARD_MQTT__ADMIN", "mosquitto"),
        ("DOORWARD_MQTT__ADMIN_USER", "admin"),
        ("DOORWARD_MQTT__ADMIN_PASSWORD", "admin-secret"),
    ])
    .await;
    let doorward = User::new("doorward", "at-the-door", &broker.port);
    a_device_keeps_its_place(&scene, broker.port, "5", &doorward).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_keeps_its_place_at_rabbitmq() {
    let broker = RabbitMq::start();
    let place = format!("mqtt://guest@127.0.0.1:{}", broker.port);
    let url = format!("http://127.0.0.1:{}", broker.management);
    let scene = Scene::start(&[
        ("DOORWARD_MQTT__BROKER", &place),
        ("DOORWARD_MQTT__PASSWORD", "guest"),
        ("DOORWARD_MQTT__ADMIN", "rabbitmq"),
        ("DOORWARD_MQTT__ADMIN_URL", &url),
        ("DOORWARD_MQTT__ADMIN_USER", "guest"),
        ("DOORWARD_MQTT__ADMIN_PASSWORD", "guest"),
    ])
    .await;
    let doorward = User::new("guest", "guest", &broker.port).speaking("311");
    a_device_keeps_its_place(&scene, broker.port, "311", &doorward).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_fails_leaves_nothing_behind_or_says_what() {
    // A broker that knows nothing of users that are made elsewhere, beside a stand-in of EMQX's API.
    let broker = Mosquitto::start(&[("doorward", "at-the-door")], "");
    let emqx = Emqx::start().await.unwrap();
    let place = format!("mqtt://doorward@127.0.0.1:{}", broker.port);
    let scene = Scene::start(&[
        ("DOORWARD_MQTT__BROKER", &place),
        ("DOORWARD_MQTT__PASSWORD", "at-the-door"),
        ("DOORWARD_MQTT__ADMIN", "emqx"),
        ("DOORWARD_MQTT__ADMIN_URL", &emqx.url()),
        ("DOORWARD_MQTT__ADMIN_USER", "key"),
        ("DOORWARD_MQTT__ADMIN_PASSWORD", "secret"),
    ])
    .await;
    let data = scene.data.path();
    let add = || {
        let output = run(data, &["mqtt", "user", "add", "lamp", "--publish", "sensor/lamp/data"]);
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let orphans = async || scene.binary.client().get("/mqtt").await["orphans"].as_array().unwrap().len();

    // The API takes it, the broker does not let it in: so it is undone.
    assert!(add().contains("does not let the new user in"));
    assert!(emqx.inside().users.is_empty() && emqx.inside().rules.is_empty());
    // A broker that allows what nobody denied protects nobody.
    emqx.set(|inside| inside.no_match = "allow");
    assert!(add().contains("no_match"));
    emqx.set(|inside| inside.no_match = "deny");
    // The second step fails: the first is undone.
    emqx.set(|inside| inside.no_rules = true);
    assert!(add().contains("refused"));
    assert!(emqx.inside().users.is_empty());
    assert_eq!(orphans().await, 0);
    // And when it cannot be undone, somebody is told.
    emqx.set(|inside| inside.no_deletes = true);
    assert!(add().contains("Left behind"));
    assert_eq!((emqx.inside().users.len(), orphans().await), (1, 2));
    emqx.set(|inside| (inside.no_deletes, inside.no_rules) = (false, false));
    assert!(run(data, &["mqtt", "user", "remove", "lamp"]).status.success(), "it can be tried again");
    assert!(emqx.inside().users.is_empty());
    assert_eq!(orphans().await, 0);
    assert_eq!(json(data, &["mqtt", "user", "list"]), serde_json::json!([]));
}
