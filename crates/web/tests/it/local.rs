//! The API of the original U-tec gateway, as Home Assistant's component for it uses it.

use crate::support::House;
use serde_json::json;

#[tokio::test]
async fn the_component_lists_looks_locks_and_unlocks_without_credentials() {
    let house = House::trusting().await;
    for path in ["/devices", "/api/devices"] {
        let devices = house.ask("GET", path).send().await.ok(200);
        let devices = devices["payload"]["devices"].as_array().unwrap().clone();
        assert_eq!(devices.len(), 4);
        assert_eq!(devices[0], json!({ "id": "AA:01", "name": "front", "category": "smartlock" }));
    }
    for (path, value) in [("/unlock", "Unlocked"), ("/lock", "Locked"), ("/api/unlock", "Unlocked"), ("/api/lock", "Locked")] {
        let done = house.ask("POST", path).json(&json!({ "id": "AA:02" })).send().await;
        assert_eq!(done.ok(200), json!({ "status": "ok" }));
        let state = house.ask("POST", "/api/status").json(&json!({ "id": "AA:02" })).send().await.ok(200);
        let devices = state["payload"]["devices"].as_array().unwrap();
        assert_eq!(devices.len(), 1, "the component takes the first device without looking at its id");
        assert_eq!(devices[0]["id"], "AA:02");
        assert_eq!(devices[0]["states"][0]["value"], value, "never older than the last command");
    }
    let events = house.admin("GET", "/api/v1/events?kind=attempt.requested").await.send().await.ok(200);
    assert_eq!(events["items"][0]["actor"], json!({ "kind": "local", "id": "127.0.0.1" }));
}

#[tokio::test]
async fn a_status_is_asked_for_in_each_of_its_ways() {
    let house = House::trusting().await;
    let one = house.ask("GET", "/api/status?id=AA:01").send().await.ok(200);
    assert_eq!(one["payload"]["devices"][0]["id"], "AA:01");
    for body in [json!({ "devices": ["AA:03", "AA:01"] }), json!({ "devices": [{ "id": "AA:03" }, { "id": "AA:01" }] })] {
        let two = house.ask("POST", "/api/status").json(&body).send().await.ok(200);
        let ids: Vec<_> = two["payload"]["devices"].as_array().unwrap().iter().map(|device| device["id"].clone()).collect();
        assert_eq!(ids, ["AA:03", "AA:01"]);
    }
    let latest = house.ask("GET", "/api/status/latest").send().await.ok(200);
    assert_eq!(latest["payload"]["devices"].as_array().unwrap().len(), 4);
    assert!(latest["last_updated"].as_f64().unwrap() > 1e9);

    house.ask("POST", "/unlock").json(&json!({ "id": "AA:02" })).send().await.ok(200);
    let latest = house.ask("GET", "/api/status/latest").send().await.ok(200);
    let gate = latest["payload"]["devices"].as_array().unwrap().iter().find(|device| device["id"] == "AA:02").unwrap().clone();
    assert_eq!(gate["states"][0]["value"], "Unlocked", "never older than the last command");
    let token = house.token(&["doors:read"]).await;
    let polled = house.ask("POST", "/api/status/refresh").token(&token).send().await.ok(200);
    assert!(polled["payload"]["devices"].is_array() && polled["last_updated"].is_f64());
}

#[tokio::test]
async fn what_was_not_done_is_never_below_400() {
    let house = House::trusting().await;
    for path in ["/unlock", "/api/status"] {
        let missing = house.ask("POST", path).json(&json!({})).send().await;
        assert!(missing.ok(400)["detail"].is_string());
        let unknown = house.ask("POST", path).json(&json!({ "id": "ZZ:99" })).send().await;
        assert!(unknown.ok(404)["detail"].is_string());
        let broken = house.ask("POST", path).text("application/json", "{").send().await;
        assert!(broken.ok(400)["detail"].is_string());
    }
    assert_eq!(house.ask("GET", "/api/status").send().await.status, 400);
    let refused = house.ask("POST", "/unlock").json(&json!({ "id": "AA:04" })).send().await.ok(502);
    assert_eq!(refused["detail"], "The cloud says no.");
    let lost = house.ask("POST", "/unlock").json(&json!({ "id": "AA:03" }));
    let lost = house.answered_later(lost, "cellar unlock").await.ok(502);
    assert!(lost["detail"].is_string());
    let method = house.ask("GET", "/unlock").send().await;
    assert!(method.ok(405)["detail"].is_string());
}

#[tokio::test]
async fn trust_covers_looking_and_commands_and_nothing_else() {
    let house = House::trusting().await;
    let closed = [
        ("POST", "/api/status/refresh"),
        ("GET", "/api/config"),
        ("POST", "/api/config"),
        ("POST", "/config"),
        ("POST", "/api/oauth/refresh"),
        ("POST", "/oauth/start"),
        ("POST", "/oauth/exchange"),
        ("GET", "/logs"),
        ("POST", "/logs/clear"),
        ("GET", "/api/v1/doors"),
        ("GET", "/metrics"),
    ];
    for (method, path) in closed {
        assert_eq!(house.ask(method, path).json(&json!({})).send().await.status, 401, "{method} {path}");
    }
    let wrong = house.ask("GET", "/api/devices").token("dw_wrong").send().await;
    assert_eq!(wrong.status, 401, "wrong credentials count although the network is trusted");
}

#[tokio::test]
async fn settings_are_shown_without_secrets_and_changed_in_part() {
    let house = House::new().await;
    let token = house.token(&["accounts"]).await;
    let config = house.ask("GET", "/api/config").token(&token).send().await;
    assert!(!config.text().contains("the-secret-key"));
    let config = config.ok(200);
    assert_eq!((&config["secret_key"], &config["auto_refresh_enabled"]), (&json!("set"), &json!(true)));
    assert_eq!(config["refresh_buffer_minutes"], 5);
    let status = &config["token_status"];
    assert_eq!(status["valid"], true);
    assert_eq!(status["seconds_left"], 7 * 24 * 3600);
    assert!(status["expires_at"].as_str().unwrap().ends_with('Z'));
    for key in ["last_refresh", "last_error"] {
        assert!(status.as_object().unwrap().contains_key(key), "{key}");
    }

    let changed = house.ask("POST", "/api/config").token(&token).json(&json!({ "auto_refresh_enabled": false })).send().await.ok(200);
    assert_eq!(changed["auto_refresh_enabled"], false);
    let again = house.ask("POST", "/api/config").token(&token).json(&changed).send().await.ok(200);
    assert_eq!(again["secret_key"], "set");
    let stored = house.web.house().store().account(&house.account).await.unwrap().unwrap();
    assert_eq!(stored.settings.secrets["secret_key"].reveal(), "the-secret-key", "what is shown of a secret does not replace it");
    let health = house.ask("GET", "/health").send().await.ok(200);
    assert_eq!(health["auto_refresh_enabled"], false);

    let address = json!({ "base_url": "https://evil.example" });
    assert_eq!(house.ask("POST", "/api/config").token(&token).json(&address).send().await.status, 403);
    assert_eq!(house.admin("POST", "/api/config").await.json(&address).send().await.status, 200);
    assert_eq!(house.ask("POST", "/api/config").token(&token).json(&json!({ "colour": 1 })).send().await.status, 422);
    let form = house.ask("POST", "/config").token(&token).text("application/x-www-form-urlencoded", "status_poll_seconds=30&secret_key=");
    assert_eq!(form.send().await.ok(200), json!({ "status": "ok" }));
}

#[tokio::test]
async fn a_person_signs_in_as_with_the_original() {
    let house = House::new().await;
    let started = house.admin("POST", "/oauth/start").await.json(&json!({})).send().await.ok(200);
    assert_eq!(started, json!({ "authorize_url": "https://oauth.example/authorize?state=1" }));
    let token = house.token(&["accounts"]).await;
    let code = json!({ "code": "abc", "access_key": "the-access-key", "secret_key": "another" });
    let denied = house.ask("POST", "/oauth/exchange").token(&token).json(&code).send().await;
    assert_eq!(denied.status, 403, "tokens are shown to the administrator alone");
    let exchanged = house.admin("POST", "/oauth/exchange").await.json(&code).send().await.ok(200);
    assert_eq!(exchanged, json!({ "access_token": "a", "refresh_token": "r", "token_type": "Bearer", "expires_in": 604_800 }));
    let refreshed = house.admin("POST", "/api/oauth/refresh").await.send().await.ok(200);
    assert_eq!(refreshed["valid"], true);
}

#[tokio::test]
async fn health_is_open_and_holds_no_secret() {
    let house = House::new().await;
    let health = house.ask("GET", "/health").send().await.ok(200);
    assert_eq!(health["status"], "ok");
    assert_eq!(health["token_valid"], true);
    assert_eq!(health["token_expires_at"], "2026-11-30T12:00:00.000Z");
    assert_eq!(health["needs_sign_in"], false);
    assert_eq!(house.ask("GET", "/ready").send().await.text(), "ready\n");
}

#[tokio::test]
async fn logs_are_read_and_cleared_by_whoever_may_see_settings() {
    let house = House::new().await;
    let line = doorward_web::logbook::LogLine {
        time: house.web.house().now().utc,
        level: "INFO",
        target: "doorward".into(),
        text: "Access token refreshed successfully".into(),
    };
    house.web.logbook().push(line);
    let token = house.token(&["config"]).await;
    assert!(house.ask("GET", "/logs").token(&token).send().await.text().contains("Access token refreshed successfully"));
    assert_eq!(house.ask("POST", "/logs/clear").token(&token).send().await.ok(200), json!({ "status": "cleared" }));
    assert_eq!(house.ask("GET", "/logs").token(&token).send().await.text(), "");
}
