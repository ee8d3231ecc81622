//! A push of the vendor's cloud, from its registration to the page: through the public listener of the real binary.

use super::killed::{link, until};
use crate::binary::Binary;
use doorward_sim::utec::{Bolt, Config};
use serde_json::json;
use std::net::TcpListener;
use tempfile::tempdir;

const FRONT: &str = "7C:DF:A1:68:3E:6A";

#[tokio::test(flavor = "multi_thread")]
async fn a_door_that_is_turned_by_hand_shows_at_once_where_pushes_come_in() {
    let sim = doorward_sim::utec::start(Config::default()).await.unwrap();
    let data = tempdir().unwrap();
    let public = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let environment = [("DOORWARD_HTTP__LISTEN", "127.0.0.1:0"), ("DOORWARD_PUBLIC__LISTEN", public.as_str())];
    let binary = Binary::start_with(data.path(), &environment);
    let client = binary.client();
    link(&client, &sim).await;
    until("the doors are known", async || client.get("/doors").await["items"].as_array().unwrap().len() == 3).await;
    until("it is locked", async || client.get("/doors/front_door").await["state"] == "locked").await;

    let step = json!({ "step": "push", "input": { "public_url": format!("http://{public}") } });
    let (status, registered) = client.post("/accounts/u_tec/steps", step).await.unwrap();
    assert_eq!(status, 200, "{registered}");
    until("the account shows it", async || client.get("/accounts/u_tec").await["push_registered"] == true).await;
    let hook = registered["output"]["url"].as_str().unwrap().to_owned();

    // Locks are asked once a minute: what is seen within the patience of this test was pushed.
    let asked = sim.counters().query;
    sim.turn(FRONT, Bolt::Unlocked);
    until("it is seen", async || client.get("/doors/front_door").await["state"] == "unlocked").await;
    let door = client.get("/doors/front_door").await;
    assert_eq!(door["evidence"][0]["kind"], "pushed", "{door}");
    assert!(sim.counters().query <= asked + 1, "nobody asked for it");
    assert!(client.get("/accounts/u_tec").await["last_push"].is_string());

    // Whoever knows the address but not the secret is told nothing and changes nothing.
    let forged = json!({ "payload": { "devices": [{ "id": FRONT, "states": [{ "capability": "st.lock", "name": "lockState", "value": "Locked" }] }] } });
    let stranger = reqwest::Client::builder().no_proxy().build().unwrap();
    for authorization in [None, Some("Bearer guessed")] {
        let mut post = stranger.post(&hook).json(&forged);
        if let Some(authorization) = authorization {
            post = post.header("Authorization", authorization);
        }
        assert_eq!(post.send().await.unwrap().status(), 401);
    }
    assert_eq!(client.get("/doors/front_door").await["state"], "unlocked");
    for private in ["/", "/doors", "/api/v1/doors", "/health"] {
        let status = stranger.get(format!("http://{public}{private}")).send().await.unwrap().status();
        assert_eq!(status, 404, "{private} is not on the public listener");
    }

    // The next start knows when the last push came.
    let last = client.get("/accounts/u_tec").await["last_push"].clone();
    binary.terminate();
    let binary = Binary::start_with(data.path(), &environment);
    until("it is read back", async || binary.client().get("/accounts/u_tec").await["push_registered"] == true).await;
    assert_eq!(binary.client().get("/accounts/u_tec").await["last_push"], last);
}
