//! Bodies of the original's clients, byte by byte.

use crate::support::{House, Phone, somebody};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use doorward_tunnel::keys::from_hex;
use serde_json::{Value, json};

fn vectors() -> Value {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors/tunnel.json");
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

/// A house with the key of the vectors.
async fn house(vectors: &Value) -> (House, Phone) {
    let house = House::new().await;
    let secret = from_hex(vectors["key_hex"].as_str().unwrap()).unwrap();
    house.tunnel.add_key_with("vectors", None, &secret, &house.tunnel.first_scopes(), &somebody()).await.unwrap();
    let phone = Phone::new(house.address(), *secret.reveal());
    (house, phone)
}

#[tokio::test]
async fn every_message_of_the_originals_clients_is_understood() {
    let vectors = vectors();
    let (_house, phone) = house(&vectors).await;
    for message in vectors["messages"].as_array().unwrap() {
        let (name, body) = (message["name"].as_str().unwrap(), message["body_base64"].as_str().unwrap().to_owned());
        if name == "mqtt subscribe" {
            let mut stream = phone.stream(body).await;
            let text = "Successfully connected and subscribed to home/sensors/#";
            assert_eq!(stream.next().await.unwrap(), json!({ "type": "connected", "topic": "home/sensors/#", "message": text }));
            continue;
        }
        let said = phone.told("/gateway", body).await;
        let (status, error) = (said.status, said.body.as_str().unwrap_or_default().to_owned());
        match name {
            "mqtt publish" | "non-ascii" => {
                let topic = &message["message"]["topic"];
                let text = format!("{{\"success\": true, \"topic\": {topic}, \"message\": \"Published successfully\"}}");
                assert_eq!((status, error), (200, text), "{name}");
            }
            "empty" => assert_eq!((status, said.error().as_str()), (403, "Request expired")),
            "mqtt publish with broker" => assert_eq!((status, said.error().as_str()), (403, "Not allowed: the broker 127.0.0.1:1883")),
            "jeedom datetime" | "jeedom with params" => assert_eq!((status, said.error().as_str()), (403, "Not allowed: jeedom")),
            "http relay" | "http relay, host and endpoint" => {
                assert_eq!((status, said.error().as_str()), (403, "Not allowed: http"));
            }
            other => panic!("{other} is new"),
        }
    }
}

#[tokio::test]
async fn what_is_refused_says_nothing_to_who_has_no_key() {
    let vectors = vectors();
    let (house, phone) = house(&vectors).await;
    let expired = phone.post("/gateway", phone.message(json!({}), 1)).await.2;
    for refused in vectors["refused"].as_array().unwrap() {
        let (name, body) = (refused["name"].as_str().unwrap(), refused["body_base64"].as_str().unwrap().to_owned());
        match refused["expect"].as_str().unwrap() {
            "no key" => {
                for path in ["/gateway", "//gateway", "/mqtt/publish"] {
                    let (status, kind, told) = phone.post(path, body.clone()).await;
                    assert_eq!((status, kind.as_str()), (200, "application/octet-stream"), "{name}");
                    assert_eq!(phone.open(&told), None, "{name}");
                    assert_eq!(STANDARD.decode(&told).unwrap().len(), STANDARD.decode(&expired).unwrap().len(), "{name}");
                    assert_ne!(told, phone.post(path, body.clone()).await.2, "{name}: it is random");
                    // Trials are limited; an hour later there are new ones.
                    house.clock.advance(std::time::Duration::from_mins(10));
                }
                let told = phone.post("/mqtt/subscribe", body).await;
                assert_eq!(told, (400, "application/json".into(), "{\"error\":\"\"}".into()), "{name}");
            }
            "403 sealed" => assert_eq!(phone.told("/gateway", body).await.status, 403, "{name}"),
            other => panic!("{other} is new"),
        }
    }
}

#[tokio::test]
async fn a_body_may_hold_white_space_and_come_with_one_slash_too_many() {
    let vectors = vectors();
    let (_house, phone) = house(&vectors).await;
    let body = vectors["messages"][2]["body_base64"].as_str().unwrap();
    let lines: Vec<&str> = body.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).unwrap()).collect();
    assert_eq!(phone.told("//gateway", lines.join("\r\n") + "\n").await.status, 200);
}

#[tokio::test]
async fn health_is_for_everybody() {
    let house = House::new().await;
    let answer = reqwest::get(format!("http://{}/health", house.address())).await.unwrap();
    assert_eq!(answer.status(), 200);
    let said: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    assert_eq!(said, json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") }));
    for (path, status) in [("/", 404), ("/api/v1/doors", 404), ("/gateway", 405), ("///gateway", 404)] {
        assert_eq!(reqwest::get(format!("http://{}{path}", house.address())).await.unwrap().status(), status, "{path}");
    }
}
