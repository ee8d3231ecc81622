//! The calls of the Home Assistant component that was made for the original U-tec gateway, against the real binary and
//! the simulated cloud: no credentials, the same paths, the same answers.

use super::killed::{link, until};
use crate::binary::Binary;
use doorward_sim::utec::{Config, Fault, Faults, On, Position};
use serde_json::{Value, json};
use tempfile::tempdir;

const FRONT: &str = "7C:DF:A1:68:3E:6A";

struct Component {
    http: reqwest::Client,
    base: String,
}

impl Component {
    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let answer = self.http.post(format!("{}{path}", self.base)).json(&body).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn get(&self, path: &str) -> Value {
        self.http.get(format!("{}{path}", self.base)).send().await.unwrap().json().await.unwrap()
    }

    /// What the component shows: the first device of the answer, whatever its id.
    async fn shown(&self, id: &str) -> String {
        let (code, answer) = self.post("/api/status", json!({ "id": id })).await;
        assert_eq!(code, 200, "{answer}");
        let device = &answer["payload"]["devices"][0];
        assert_eq!(device["id"], id, "the answer holds the device that was asked for");
        let states = device["states"].as_array().unwrap();
        let lock = states.iter().find(|state| state["capability"] == "st.lock" && state["name"] == "lockState").unwrap();
        lock["value"].as_str().unwrap().to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_original_component_works_unchanged() {
    let sim = doorward_sim::utec::start(Config::default()).await.unwrap();
    let data = tempdir().unwrap();
    let trusted = [("DOORWARD_HTTP__LISTEN", "127.0.0.1:0"), ("DOORWARD_HTTP__TRUSTED", "127.0.0.0/8")];
    let binary = Binary::start_with(data.path(), &trusted);
    link(&binary.client(), &sim).await;
    until("the doors are known", async || binary.client().get("/doors").await["items"].as_array().unwrap().len() == 3).await;
    let component = Component { http: reqwest::Client::builder().no_proxy().build().unwrap(), base: binary.page() };

    let devices = component.get("/api/devices").await;
    let ids: Vec<&str> = devices["payload"]["devices"].as_array().unwrap().iter().filter_map(|device| device["id"].as_str()).collect();
    assert_eq!(ids.len(), 3);
    assert_eq!(ids[0], FRONT, "verbatim, as the cloud writes it");
    assert_eq!(component.shown(FRONT).await, "Locked");

    let (status, answer) = component.post("/unlock", json!({ "id": FRONT })).await;
    assert_eq!(status, 200, "{answer}");
    until("the lock has moved", async || sim.lock(FRONT).position == Position::Unlocked).await;
    assert_eq!(component.shown(FRONT).await, "Unlocked");
    let (status, _) = component.post("/lock", json!({ "id": FRONT })).await;
    assert_eq!(status, 200);
    until("the lock has moved back", async || sim.lock(FRONT).position == Position::Locked).await;
    assert_eq!(component.shown(FRONT).await, "Locked");
    assert_eq!(sim.lock(FRONT).times_opened, 1);

    // The component believes every status below 400: what was not done must not have one.
    let refuses = Fault::with("DEVICE_BUSY".to_owned()).on(On::Command).times(1);
    sim.set_faults(Faults { error_in_200: Some(refuses), ..Faults::default() });
    let (status, answer) = component.post("/unlock", json!({ "id": FRONT })).await;
    assert!(status >= 400, "{status} {answer}");
    assert!(answer["detail"].is_string(), "{answer}");
    assert_eq!(sim.lock(FRONT).times_opened, 1);
    let health = component.get("/health").await;
    assert_eq!((&health["status"], &health["token_valid"]), (&json!("ok"), &json!(true)));
}
