//! Gates of a BTicino account through the whole house: who confirms what, what nobody saw, and never twice.

use super::mosquitto::User;
use crate::{
    binary::{Binary, json},
    boot::killed::until,
    house::provider,
};
use doorward_sim::legrand::{Config, Dead, Fault, Faults, JsonRpc, On, Sim};
use serde_json::{Value, json};
use tempfile::TempDir;

const CONTACT: &str = "sensors/driveway";

struct Scene {
    sim: Sim,
    data: TempDir,
}

impl Scene {
    /// A cloud, and a house whose configuration names its account and the contact of one gate.
    async fn new() -> (Self, Binary) {
        provider();
        let sim = doorward_sim::legrand::start(Config::default()).await.unwrap();
        let data = tempfile::tempdir().unwrap();
        let (cloud, sip, key) = (sim.base_url(), sim.sip_addr(), Config::default().subscription_key);
        let config = format!(
            "[[accounts]]\nkind = \"bticino\"\nname = \"Gates\"\nlogin_url = \"{cloud}\"\napi_url = \"{cloud}\"\nsip_server = \"{sip}\"\n\
             subscription_key = \"{key}\"\n[[doors]]\nid = \"driveway_gate\"\nname = \"Driveway\"\naccount = \"gates\"\n\
             external = \"gw-1234/20#2\"\ncontact = {{ mqtt = \"{CONTACT}\", open = \"true\" }}\n"
        );
        std::fs::write(data.path().join("doorward.toml"), config).unwrap();
        let scene = Self { sim, data };
        let binary = scene.start().await;
        let client = binary.client();
        let step = async |step: &str, input: Value| {
            let (status, said) = client.post("/accounts/gates/steps", json!({ "step": step, "input": input })).await.unwrap();
            assert_eq!(status, 200, "{said}");
            said["output"].clone()
        };
        let started = step("start", json!({})).await;
        let redirected = scene.sim.allow(started["authorize_url"].as_str().unwrap()).unwrap();
        step("exchange", json!({ "callback_url": redirected })).await;
        step("register", json!({})).await;
        scene.ready(&binary).await;
        (scene, binary)
    }

    async fn start(&self) -> Binary {
        let environment = [("DOORWARD_HTTP__LISTEN", "127.0.0.1:0"), ("DOORWARD_MQTT__LISTEN", "127.0.0.1:0")];
        let binary = Binary::start_with(self.data.path(), &environment);
        // The broker says first that it listens.
        until("its pages are there", async || binary.log().contains(concat!(env!("CARGO_PKG_VERSION"), " listens at "))).await;
        binary
    }

    async fn ready(&self, binary: &Binary) {
        let client = binary.client();
        until("the doors are known", async || client.get("/doors").await["items"].as_array().unwrap().len() == 3).await;
        until("both gateways are connected", async || self.sim.registered().len() == 2).await;
    }

    /// The sensor at the driveway gate tells what it sees until this goes.
    fn sensor(&self, binary: &Binary) -> tokio::task::JoinHandle<()> {
        let made = json(self.data.path(), &["mqtt", "user", "add", "sensor", "--publish", CONTACT]);
        let user = User::new("sensor", made["secret"].as_str().unwrap(), &binary.mqtt_port());
        let mut contacts = self.sim.contacts();
        tokio::spawn(async move {
            loop {
                let open = contacts.borrow_and_update()["20#2"].to_string();
                let user = user.clone();
                tokio::task::spawn_blocking(move || user.publish(CONTACT, &open, &[])).await.unwrap();
                if contacts.changed().await.is_err() {
                    return;
                }
            }
        })
    }
}

/// Opens a door and waits for the end. Gives state, reason, and what was seen last.
async fn open(binary: &Binary, door: &str) -> (String, Option<String>, Option<String>) {
    let (_, attempt) = binary.client().post(&format!("/doors/{door}/actions?wait=40s"), json!({ "action": "open" })).await.unwrap();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let seen = attempt["evidence"].as_array().and_then(|evidence| text(&evidence.last()?["kind"]));
    (text(&attempt["state"]).unwrap_or_default(), text(&attempt["reason"]), seen)
}

fn told(state: &str, reason: Option<&str>, seen: &str) -> (String, Option<String>, Option<String>) {
    (state.into(), reason.map(Into::into), Some(seen.into()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_with_a_contact_ends_confirmed_and_one_without_unconfirmed() {
    let (scene, binary) = Scene::new().await;
    let sensor = scene.sensor(&binary);
    let client = binary.client();
    until("the contact is heard", async || client.get("/doors/driveway_gate").await["contact_open"] == false).await;
    assert_eq!(open(&binary, "driveway_gate").await, told("confirmed", None, "contact"));
    assert_eq!(open(&binary, "garden_door").await, told("unconfirmed", Some("no_evidence"), "accepted"));
    let commands = ["20#2", "21#2"].map(|gate| scene.sim.opener(gate).commands_received);
    assert_eq!(commands, [1, 1], "once each");
    let figures = binary.client().text("/metrics").await;
    for figure in ["doorward_cert_expiry_timestamp_seconds{account=\"gates\"}", "provider=\"bticino\",protocol=\"sip\",code=\"200\""] {
        assert!(figures.contains(figure), "{figure} is not in\n{figures}");
    }
    // Accepted, and nothing moves: the contact tells the truth in the end.
    until("it closes again", async || client.get("/doors/driveway_gate").await["contact_open"] == false).await;
    scene.sim.set_faults(Faults { no_movement: Some(Fault::default()), ..Faults::default() });
    let (state, _, _) = open(&binary, "driveway_gate").await;
    assert!(state == "contradicted" || state == "unconfirmed", "{state}");
    sensor.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_gate_itself_answers_decides_where_nobody_sees_it() {
    let (scene, binary) = Scene::new().await;
    scene.sim.set_faults(Faults { json_rpc: JsonRpc::Ok, ..Faults::default() });
    assert_eq!(open(&binary, "cottage_gate").await, told("confirmed", None, "answer"));
    scene.sim.set_faults(Faults { json_rpc: JsonRpc::Error, ..Faults::default() });
    let (state, reason, _) = open(&binary, "cottage_gate").await;
    assert_eq!((state.as_str(), reason.as_deref()), ("failed", Some("vendor_refused")));
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_a_gate_is_opened_it_is_called_unknown_and_never_sent_again() {
    let (scene, binary) = Scene::new().await;
    scene.sim.set_faults(Faults { dead: Some(Fault::with(Dead::Silent).on(On::Message).after_effect().times(1)), ..Faults::default() });
    let id = "33333333-3333-4333-8333-333333333333";
    let command = json!({ "id": id, "action": "open" });
    let (status, _) = binary.client().post("/doors/cottage_gate/actions", command.clone()).await.unwrap();
    assert_eq!(status, 202);
    until("the gate was told", async || scene.sim.opener("30#1").commands_received == 1).await;
    binary.kill();

    let binary = scene.start().await;
    scene.ready(&binary).await;
    let attempt = binary.client().get(&format!("/attempts/{id}")).await;
    assert_eq!((attempt["state"].as_str(), attempt["reason"].as_str()), (Some("unconfirmed"), Some("outcome_unknown")), "{attempt}");
    let (_, again) = binary.client().post("/doors/cottage_gate/actions?wait=5s", command).await.unwrap();
    assert_eq!(again["id"], id, "the same id is the same attempt");
    // What is opened next goes over the same connection: had the first one been sent again, it would have come before.
    assert_eq!(open(&binary, "cottage_gate").await.0, "unconfirmed");
    assert_eq!(scene.sim.opener("30#1").commands_received, 2);
}
