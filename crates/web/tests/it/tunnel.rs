//! The tunnel and its keys, over the API and on the page.

use crate::support::House;
use doorward_store::EventQuery;
use doorward_wire::event::EventKind;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_added_changed_rotated_and_revoked_over_the_api() {
    let house = House::new().await;
    let admin = house.token(&["admin"]).await;
    let scopes = json!({ "services": ["doors"], "doors": ["front"] });
    let made = house.ask("POST", "/api/v1/tunnel-keys").token(&admin).json(&json!({ "name": "phone", "scopes": scopes })).send().await;
    assert_eq!(made.status, 201);
    let secret = made.json()["secret"].as_str().unwrap().to_owned();
    assert!(secret.len() == 64 && made.json()["code"] == json!(secret), "there is no address for a link");
    let again = house.ask("POST", "/api/v1/tunnel-keys").token(&admin).json(&json!({ "name": "phone" })).send().await;
    again.problem(409);
    for (wrong, word) in [
        (json!({ "name": "a b" }), "name: "),
        (json!({ "name": "x", "scopes": { "http": ["nonsense"] } }), "http: “nonsense”"),
        (json!({ "name": "x", "scopes": { "mqtt_publish": ["a/#/b"] } }), "mqtt_publish: “a/#/b”"),
        (json!({ "name": "x", "person": "nobody" }), "person: "),
    ] {
        let told = house.ask("POST", "/api/v1/tunnel-keys").token(&admin).json(&wrong).send().await.problem(422);
        assert!(told["detail"].as_str().unwrap().starts_with(word), "{told}");
    }
    for wrong in [json!({ "name": "x", "scopes": { "services": ["ssh"] } }), json!({ "name": "x", "scope": {} }), json!({})] {
        assert!(matches!(house.ask("POST", "/api/v1/tunnel-keys").token(&admin).json(&wrong).send().await.status, 400 | 422), "{wrong}");
    }
    let list = house.ask("GET", "/api/v1/tunnel-keys").token(&admin).send().await.json();
    assert_eq!((&list["items"][0]["name"], &list["items"][0]["used"]), (&json!("phone"), &Value::Null));
    assert!(!list.to_string().contains(&secret), "a secret is shown once");
    let edit = json!({ "scopes": { "services": ["mqtt"], "mqtt_subscribe": ["home/#"] } });
    let after = house.ask("PATCH", "/api/v1/tunnel-keys/phone").token(&admin).json(&edit).send().await.json();
    assert_eq!((&after["scopes"]["mqtt_subscribe"], &after["scopes"]["doors"]), (&json!(["home/#"]), &json!([])));
    let rotated = house.ask("POST", "/api/v1/tunnel-keys/phone/rotate").token(&admin).json(&json!({ "overlap": 60 })).send().await.json();
    assert_ne!(rotated["secret"], json!(secret));
    assert!(house.ask("GET", "/api/v1/tunnel-keys/phone").token(&admin).send().await.json()["overlap_until"].is_string());
    let long = json!({ "overlap": 31 * 86_400 });
    house.ask("POST", "/api/v1/tunnel-keys/phone/rotate").token(&admin).json(&long).send().await.problem(422);
    assert_eq!(house.ask("DELETE", "/api/v1/tunnel-keys/phone").token(&admin).send().await.status, 204);
    house.ask("DELETE", "/api/v1/tunnel-keys/phone").token(&admin).send().await.problem(404);
    let query = EventQuery { kind: Some(EventKind::TunnelKeyChanged), ..EventQuery::default() };
    let told = house.web.house().store().events(&query).await.unwrap();
    let changes: Vec<&str> = told.iter().map(|event| event.data["change"].as_str().unwrap()).collect();
    assert_eq!(changes, ["added", "changed", "rotated", "revoked"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_administrators_see_keys() {
    let house = House::new().await;
    let reader = house.token(&["doors:read", "doors:act", "config"]).await;
    for path in ["/api/v1/tunnel-keys", "/api/v1/tunnel", "/api/v1/tunnel-keys/phone"] {
        house.ask("GET", path).token(&reader).send().await.problem(403);
        house.ask("GET", path).send().await.problem(401);
    }
    house.ask("POST", "/api/v1/tunnel-keys").token(&reader).json(&json!({ "name": "phone" })).send().await.problem(403);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_added_changed_rotated_and_revoked_on_the_page() {
    let house = House::new().await;
    house.session().await;
    assert!(house.look("/settings").await.text().contains("href=\"/tunnel\""));
    let page = house.look("/tunnel").await;
    for words in ["Off", "It does not listen", "No phone has a key yet", "Nothing was asked for"] {
        assert!(page.text().contains(words), "{words}");
    }
    let wrong = house.form("/tunnel/keys/new", "name=phone&http=nonsense&door%3Afront=on").send().await;
    assert_eq!(wrong.status, 422);
    for words in ["“nonsense” is no address", "role=\"alert\"", "value=\"phone\"", "name=\"door:front\" value=\"on\" checked"] {
        assert!(wrong.text().contains(words), "{words}");
    }
    let made = house.form("/tunnel/keys/new", "name=phone&door%3Afront=on&subscribe=a%2F%23%0Ab%2Fc&publish=&http=&brokers=").send().await;
    for words in ["The key of phone", "<svg class=\"qr\"", "shown this one time"] {
        assert!(made.text().contains(words), "{words}");
    }
    let page = house.look("/tunnel/keys/phone").await;
    assert!(page.text().contains("1 door, 2 MQTT filters") && page.text().contains("a/#\nb/c"));
    assert_eq!(house.form("/tunnel/keys/phone", "door%3A*=on").send().await.status, 303);
    assert!(house.look("/tunnel/keys/phone?done=saved").await.text().contains("Every door"));
    let rotated = house.form("/tunnel/keys/phone/rotate", "").send().await;
    assert!(rotated.text().contains("works for another day"));
    assert!(house.look("/tunnel/keys/phone").await.text().contains("The secret before still works until"));
    assert!(house.look("/tunnel/keys/phone/revoke").await.text().contains("Revoke phone?"));
    assert_eq!(house.form("/tunnel/keys/phone/revoke", "").send().await.status, 303);
    let gone = house.look("/tunnel?done=tunnel_revoked").await;
    assert!(gone.text().contains("The key was revoked.") && !gone.text().contains(">phone<"));
    assert_eq!(house.look("/tunnel/keys/phone").await.status, 404);
    assert_eq!(house.form("/tunnel/keys/phone", "").send().await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_takes_their_keys_with_them() {
    let house = House::new().await;
    let admin = house.token(&["admin"]).await;
    let ada = house.ask("POST", "/api/v1/people").token(&admin).json(&json!({ "name": "Ada" })).send().await.json();
    let body = json!({ "name": "adas-phone", "person": ada["id"], "scopes": {} });
    assert_eq!(house.ask("POST", "/api/v1/tunnel-keys").token(&admin).json(&body).send().await.status, 201);
    assert!(house.web.tunnel().key_use("adas-phone").is_some());
    let path = format!("/api/v1/people/{}", ada["id"].as_str().unwrap());
    assert_eq!(house.ask("DELETE", &path).token(&admin).send().await.status, 204);
    assert!(house.web.tunnel().key_use("adas-phone").is_none(), "at once");
    house.ask("GET", "/api/v1/tunnel-keys/adas-phone").token(&admin).send().await.problem(404);
}
