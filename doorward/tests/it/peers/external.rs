//! doorward at brokers of others: doors appear there, commands are taken as far as they are safe, and nothing is lost or
//! repeated when the broker goes away.

use super::{
    brokers::{Mosquitto, RabbitMq},
    mosquitto::{FRONT, User},
};
use crate::{
    binary::Binary,
    boot::killed::{link, until, until_within},
};
use doorward_sim::utec::{Config, Sim};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use std::{path::Path, time::Duration};
use tempfile::TempDir;

const SET: &str = "doorward/door/front_door/set";
const STATE: &str = "doorward/door/front_door/state";

/// A house with three simulated bolts, at a broker elsewhere.
struct Scene {
    binary: Binary,
    sim: Sim,
    data: TempDir,
    environment: Vec<(String, String)>,
}

impl Scene {
    async fn start(broker: &str, more: &[(&str, &str)]) -> Self {
        let sim = doorward_sim::utec::start(Config::default()).await.unwrap();
        let data = tempfile::tempdir().unwrap();
        let own = [("DOORWARD_HTTP__LISTEN", "127.0.0.1:0"), ("DOORWARD_MQTT__BROKER", broker)];
        let environment: Vec<(String, String)> =
            own.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let binary = run(&data, &environment);
        link(&binary.client(), &sim).await;
        let scene = Self { binary, sim, data, environment };
        scene.is("locked").await;
        scene
    }

    async fn is(&self, state: &str) {
        let client = self.binary.client();
        until(state, async || client.get("/doors/front_door").await["state"] == state).await;
    }

    async fn events(&self, kind: &str) -> Vec<Value> {
        let events = self.binary.client().get(&format!("/events?kind={kind}")).await;
        events["items"].as_array().cloned().unwrap_or_default()
    }

    fn opened(&self) -> u64 {
        self.sim.lock(FRONT).times_opened
    }

    fn restart(self) -> Self {
        let Self { binary, sim, data, environment } = self;
        binary.terminate();
        Self { binary: run(&data, &environment), sim, data, environment }
    }
}

fn run(data: &TempDir, environment: &[(String, String)]) -> Binary {
    let environment: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    Binary::start_with(data.path(), &environment)
}

fn fresh(action: &str, id: u32) -> String {
    let soon = doorward_wire::Time::from(jiff::Timestamp::from_second(now() + 20).unwrap());
    json!({ "action": action, "id": format!("0190a1b2-0000-7000-8000-{id:012}"), "not_after": soon }).to_string()
}

fn now() -> i64 {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mosquitto_elsewhere_has_the_doors_and_takes_commands_when_it_may() {
    let broker = Mosquitto::start(&[("doorward", "at-the-door"), ("app", "app-secret")], "");
    let place = format!("mqtt://doorward@127.0.0.1:{}", &broker.port);
    let scene = Scene::start(&place, &[("DOORWARD_MQTT__PASSWORD", "at-the-door"), ("DOORWARD_MQTT__COMMANDS", "true")]).await;
    let app = User::new("app", "app-secret", &broker.port);
    let states = app.listen("doorward/door/+/state");
    states.hears(&format!("{STATE} LOCKED")).await;
    app.listen("doorward/status").hears("doorward/status online").await;

    // A command that is kept there opens nothing, is told, and is taken away.
    assert!(app.publish(SET, "UNLOCK", &["-r"]));
    until("it is told", async || scene.events("mqtt.retained_command").await.len() == 1).await;
    until("it is taken away", async || app.keeps(SET).is_none()).await;
    assert_eq!(scene.opened(), 0);

    assert!(app.publish(SET, "UNLOCK", &[]));
    states.hears(&format!("{STATE} UNLOCKED")).await;
    assert_eq!(scene.opened(), 1);
    // A door is seen before what came of the attempt is written down.
    until("its end is written", async || !scene.events("attempt.finished").await.is_empty()).await;
    let finished = scene.events("attempt.finished").await;
    assert_eq!(finished.last().unwrap()["actor"]["id"], "127.0.0.1", "nobody knows more than which broker it was");

    // A restart repeats nothing.
    let scene = scene.restart();
    scene.is("unlocked").await;
    assert_eq!(scene.opened(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_from_a_broker_elsewhere_are_off_until_they_are_switched_on() {
    let broker = Mosquitto::start(&[("doorward", "at-the-door"), ("app", "app-secret")], "");
    let place = format!("mqtt://doorward@127.0.0.1:{}", &broker.port);
    let scene = Scene::start(&place, &[("DOORWARD_MQTT__PASSWORD", "at-the-door")]).await;
    let app = User::new("app", "app-secret", &broker.port);
    let states = app.listen(STATE);
    states.hears(&format!("{STATE} LOCKED")).await;
    assert!(app.publish(SET, "UNLOCK", &[]));
    // What comes after it has come through.
    scene.binary.client().post("/doors/front_door/actions", json!({ "action": "unlock" })).await.unwrap();
    states.hears(&format!("{STATE} UNLOCKED")).await;
    assert_eq!(scene.sim.lock(FRONT).commands_received, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_broker_is_away_events_wait_in_order_and_commands_do_not() {
    let mut broker = Mosquitto::start(&[("doorward", "at-the-door"), ("app", "app-secret")], "");
    let place = format!("mqtt://doorward@127.0.0.1:{}", &broker.port);
    let scene = Scene::start(&place, &[("DOORWARD_MQTT__PASSWORD", "at-the-door"), ("DOORWARD_MQTT__COMMANDS", "true")]).await;
    let app = User::new("app", "app-secret", &broker.port);
    // A subscriber that stays known while it and the broker are away.
    let durable = ["-c", "-i", "history", "-q", "1", "-x", "3600"];
    let before = app.listen_with("doorward/event", &durable);
    scene.binary.client().post("/doors/front_door/actions?wait=10s", json!({ "action": "unlock" })).await.unwrap();
    before.has("door.unlocked").await;
    drop(before);
    broker.halt();
    until("doorward knows", async || !connected(&scene).await).await;

    scene.binary.client().post("/doors/front_door/actions?wait=10s", json!({ "action": "lock" })).await.unwrap();
    scene.is("locked").await;
    broker.run();
    let after = app.listen_with("doorward/event", &durable);
    after.has("door.locked").await;
    app.listen(STATE).hears(&format!("{STATE} LOCKED")).await;
    let ids = after.ids();
    assert!(ids.windows(2).all(|pair| pair[0] + 1 == pair[1]), "in order, without gaps or repeats: {ids:?}");

    // The same when doorward is away.
    let scene = scene.restart();
    until("it is there again", async || connected(&scene).await).await;
    after.has("doorward.started").await;
    let ids = after.ids();
    assert!(ids.windows(2).all(|pair| pair[0] + 1 == pair[1]), "in order, without gaps or repeats: {ids:?}");
    assert_eq!(scene.opened(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_says_nothing_any_more_is_away_until_it_does() {
    let broker = Mosquitto::start(&[("doorward", "at-the-door"), ("app", "app-secret")], "");
    let place = format!("mqtt://doorward@127.0.0.1:{}", &broker.port);
    let scene = Scene::start(&place, &[("DOORWARD_MQTT__PASSWORD", "at-the-door")]).await;
    let app = User::new("app", "app-secret", &broker.port);
    app.listen(STATE).hears(&format!("{STATE} LOCKED")).await;
    // Half open: the connection stands, and nobody answers at the other end.
    broker.freeze();
    let (_, attempt) = scene.binary.client().post("/doors/front_door/actions?wait=20s", json!({ "action": "unlock" })).await.unwrap();
    assert_eq!(attempt["state"], "confirmed", "a door waits for no broker");
    until_within(Duration::from_mins(2), "doorward knows", async || !connected(&scene).await).await;
    broker.thaw();
    until_within(Duration::from_mins(2), "it is there again", async || connected(&scene).await).await;
    app.listen(STATE).hears(&format!("{STATE} UNLOCKED")).await;
    assert_eq!(scene.opened(), 1);
}

async fn connected(scene: &Scene) -> bool {
    scene.binary.client().get("/mqtt").await["connected"] == true
}

#[tokio::test(flavor = "multi_thread")]
async fn rabbitmq_has_the_doors_and_only_commands_that_cannot_come_late_or_twice() {
    let broker = RabbitMq::start();
    let place = format!("mqtt://guest@127.0.0.1:{}", &broker.port);
    let scene = Scene::start(&place, &[("DOORWARD_MQTT__PASSWORD", "guest"), ("DOORWARD_MQTT__COMMANDS", "true")]).await;
    let app = User::new("guest", "guest", &broker.port).speaking("311");
    let states = app.listen(STATE);
    states.hears(&format!("{STATE} LOCKED")).await;

    // Over MQTT 3.1.1 nobody sees whether a live message is retained: words do not open anything.
    assert!(app.publish(SET, "UNLOCK", &[]));
    assert!(app.publish(SET, &fresh("unlock", 1), &["-r"]));
    until("it is told", async || scene.events("mqtt.retained_command").await.len() == 1).await;
    assert_eq!(scene.opened(), 0);

    assert!(app.publish(SET, &fresh("unlock", 2), &[]));
    states.hears(&format!("{STATE} UNLOCKED")).await;
    assert_eq!(scene.opened(), 1);
    let scene = scene.restart();
    scene.is("unlocked").await;
    until("it is there again", async || connected(&scene).await).await;
    assert_eq!(scene.opened(), 1);
}

/// Certificates of one authority: its own, and one for the broker and one for doorward.
fn certificates(folder: &Path) {
    let named = |name: &str, hosts: &[&str]| {
        let mut params = CertificateParams::new(hosts.iter().map(|host| (*host).to_owned()).collect::<Vec<_>>()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params
    };
    let mut authority = named("Test authority", &[]);
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let issuer = Issuer::new(authority.clone(), key);
    let write = |name: &str, text: String| std::fs::write(folder.join(name), text).unwrap();
    write("ca.pem", authority.self_signed(issuer.key()).unwrap().pem());
    for name in ["localhost", "doorward"] {
        let key = KeyPair::generate().unwrap();
        let certificate = named(name, &[name]).signed_by(&key, &issuer).unwrap();
        write(&format!("{name}.pem"), certificate.pem());
        write(&format!("{name}.key"), key.serialize_pem());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_behind_tls_is_verified_and_verifies_doorward() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let file = |name: &str| folder.path().join(name).display().to_string();
    let tls = format!(
        "cafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate true\n",
        file("ca.pem"),
        file("localhost.pem"),
        file("localhost.key")
    );
    let broker = Mosquitto::start(&[("doorward", "at-the-door")], &tls);
    let place = format!("mqtts://doorward@localhost:{}", broker.port);
    let (ca, cert, key) = (file("ca.pem"), file("doorward.pem"), file("doorward.key"));
    let right = [
        ("DOORWARD_MQTT__PASSWORD", "at-the-door"),
        ("DOORWARD_MQTT__CA_FILE", ca.as_str()),
        ("DOORWARD_MQTT__CERT_FILE", cert.as_str()),
        ("DOORWARD_MQTT__KEY_FILE", key.as_str()),
    ];
    let scene = Scene::start(&place, &right).await;
    until("it is connected", async || connected(&scene).await).await;

    // Whom nobody vouches for is not talked to, and who has no certificate is not let in.
    for (wrong, says) in [(&right[..1], "UnknownIssuer"), (&right[..2], "")] {
        let other = Scene::start(&place, wrong).await;
        let away = async || other.binary.client().get("/mqtt").await;
        until("it says why", async || away().await["detail"].as_str().is_some_and(|detail| detail.contains(says))).await;
        assert_eq!(away().await["connected"], false);
    }
}
