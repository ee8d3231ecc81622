//! Accounts, people, tokens, settings, and the program itself.

use crate::support::{House, items};
use doorward_web::WebConfig;
use serde_json::json;

#[tokio::test]
async fn an_account_is_added_changed_and_removed_and_its_secrets_stay_hidden() {
    let house = House::new().await;
    let new = json!({ "kind": "utec", "name": "Lake house", "settings": { "access_key": "key", "secret_key": "hunter2hunter2" } });
    let added = house.admin("POST", "/api/v1/accounts").await.json(&new).send().await;
    assert_eq!(added.header("location"), Some("/api/v1/accounts/lake_house"));
    assert!(!added.text().contains("hunter2"));
    let account = added.ok(201);
    assert_eq!(account["settings"]["secret_key"], true);
    assert_eq!(account["settings"]["status_poll_seconds"], 60);
    let edit = json!({ "name": "Lake", "settings": { "status_poll_seconds": 30 } });
    let edited = house.admin("PATCH", "/api/v1/accounts/lake_house").await.json(&edit).send().await.ok(200);
    assert_eq!((&edited["name"], &edited["settings"]["status_poll_seconds"]), (&json!("Lake"), &json!(30)));
    assert_eq!(edited["settings"]["secret_key"], true, "what is not named stays");
    for (wrong, hint) in [
        (json!({ "kind": "nobody" }), "kind"),
        (json!({ "kind": "utec", "settings": { "colour": 1, "status_poll_seconds": "often" } }), "settings.colour"),
        (json!({ "kind": "utec" }), "access_key"),
    ] {
        let problem = house.admin("POST", "/api/v1/accounts").await.json(&wrong).send().await.problem(422);
        assert!(problem["detail"].as_str().unwrap().contains(hint), "{problem}");
    }
    assert_eq!(items(&house.admin("GET", "/api/v1/accounts").await.send().await).len(), 2);
    assert_eq!(house.admin("DELETE", "/api/v1/accounts/lake_house").await.send().await.status, 204);
    house.admin("GET", "/api/v1/accounts/lake_house").await.send().await.problem(404);
}

#[tokio::test]
async fn an_account_is_signed_in_renewed_and_asked() {
    let house = House::new().await;
    let step = json!({ "step": "start", "input": { "redirect_url": "https://here.example" } });
    let output = house.admin("POST", "/api/v1/accounts/home/steps").await.json(&step).send().await.ok(200);
    assert_eq!(output["output"]["input"], r#"{"redirect_url":"https://here.example"}"#);
    house.admin("POST", "/api/v1/accounts/home/steps").await.json(&json!({ "step": "jump" })).send().await.problem(422);
    let renewed = house.admin("POST", "/api/v1/accounts/home/refresh").await.send().await.ok(200);
    assert_eq!(renewed["leases"][0]["renewed"], "2026-11-23T12:00:00.000Z");
    let devices = house.admin("GET", "/api/v1/accounts/home/call/devices").await.send().await.ok(200);
    assert_eq!(devices["payload"]["devices"][0]["id"], "AA:01");
    house.admin("GET", "/api/v1/accounts/home/call/nothing").await.send().await.problem(409);
    let kinds = items(&house.admin("GET", "/api/v1/kinds").await.send().await);
    assert_eq!(
        kinds[0]["fields"][1],
        json!({ "name": "secret_key", "label": "secret_key", "help": "", "kind": "secret", "default": "", "required": false })
    );
    assert_eq!(kinds[0]["steps"][0]["name"], "start");
}

#[tokio::test]
async fn a_person_is_added_with_a_link_and_a_password_and_erased() {
    let house = House::with(WebConfig { public_url: Some("https://doors.example".into()), ..WebConfig::default() }).await;
    let person = house.admin("POST", "/api/v1/people").await.json(&json!({ "name": "Ada", "role": "administrator" })).send().await.ok(201);
    let path = format!("/api/v1/people/{}", person["id"].as_str().unwrap());
    house.admin("POST", "/api/v1/people").await.json(&json!({ "name": "ada" })).send().await.problem(409);
    let link = house.admin("POST", format!("{path}/link")).await.send().await.ok(200);
    assert!(link["url"].as_str().unwrap().starts_with("https://doors.example/"));
    assert_eq!(link["expires"], "2026-11-23T12:15:00.000Z");
    house.admin("PUT", format!("{path}/password")).await.json(&json!({ "password": "short" })).send().await.problem(422);
    let password = house.admin("PUT", format!("{path}/password")).await.json(&json!({ "password": "correct horse battery" })).send().await;
    assert_eq!(password.status, 204);
    assert_eq!(items(&house.admin("GET", "/api/v1/people").await.send().await)[0]["has_password"], true);
    let explained = house.admin("GET", "/api/v1/explain?who=Ada&door=front").await.send().await.ok(200);
    assert_eq!((&explained["allowed"], &explained["kind"]), (&json!(true), &json!("person")));
    assert_eq!(explained["reasons"], json!(["role administrator allows unlock at door front"]));
    let other = json!({ "name": "Bob", "role": "administrator" });
    house.admin("POST", "/api/v1/people").await.json(&other).send().await.ok(201);
    assert_eq!(house.admin("DELETE", path).await.send().await.status, 204);
    assert_eq!(items(&house.admin("GET", "/api/v1/people").await.send().await).len(), 1);
    let events = house.admin("GET", "/api/v1/events?kind=person.changed").await.send().await;
    assert_eq!(items(&events).len(), 5);
    assert!(!events.text().contains("Ada"), "names stand outside the audit");
}

#[tokio::test]
async fn a_token_is_shown_once_and_explained() {
    let house = House::new().await;
    let new = json!({ "name": "panel", "scopes": ["doors:act:gate", "events:read"], "expires": "2026-11-24T12:00:00Z" });
    let made = house.admin("POST", "/api/v1/tokens").await.json(&new).send().await.ok(201);
    let secret = made["secret"].as_str().unwrap();
    assert!(secret.starts_with("dw_"));
    assert!(!house.admin("GET", "/api/v1/tokens").await.send().await.text().contains(secret));
    assert_eq!(house.ask("GET", "/api/v1/doors").token(secret).send().await.status, 200);
    let allowed = house.admin("GET", "/api/v1/explain?who=panel&door=gate&action=unlock").await.send().await.ok(200);
    assert_eq!(allowed["allowed"], true);
    let other = house.admin("GET", "/api/v1/explain?who=panel&door=front").await.send().await.ok(200);
    assert_eq!((&other["allowed"], &other["denied"]), (&json!(false), &json!("no_grant")));
    let later = house.admin("GET", "/api/v1/explain?who=panel&door=gate&at=2026-12-01T00:00:00Z").await.send().await.ok(200);
    assert_eq!((&later["allowed"], &later["denied"]), (&json!(false), &json!("expired")));
    house.admin("GET", "/api/v1/explain?who=nobody&door=gate").await.send().await.problem(404);
    for wrong in [
        json!({ "name": "x", "scopes": [] }),
        json!({ "name": "x", "scopes": ["root"] }),
        json!({ "name": "x", "scopes": ["doors:act:nowhere"] }),
    ] {
        house.admin("POST", "/api/v1/tokens").await.json(&wrong).send().await.problem(422);
    }
    assert_eq!(house.admin("DELETE", format!("/api/v1/tokens/{}", made["id"].as_str().unwrap())).await.send().await.status, 204);
    house.ask("GET", "/api/v1/doors").token(secret).send().await.problem(401);
}

#[tokio::test]
async fn settings_say_where_they_come_from_and_few_can_be_changed() {
    let setting = |path: &str, value: &str, source: &str| (path.to_owned(), value.to_owned(), source.to_owned());
    let settings = vec![
        setting("http.listen", "127.0.0.1:8000", "default"),
        setting("log.level", "info", "environment"),
        setting("store.keep_events", "400", "default"),
    ];
    let house = House::with(WebConfig { settings, ..WebConfig::default() }).await;
    let all = items(&house.admin("GET", "/api/v1/settings").await.send().await);
    assert_eq!(all[1], json!({ "path": "log.level", "value": "info", "source": "environment", "editable": false }));
    let problem = house.admin("PATCH", "/api/v1/settings").await.json(&json!({ "log.level": "debug" })).send().await.problem(409);
    assert!(problem["detail"].as_str().unwrap().contains("environment"));
    house.admin("PATCH", "/api/v1/settings").await.json(&json!({ "http.listen": "0.0.0.0:80" })).send().await.problem(409);
    house.admin("PATCH", "/api/v1/settings").await.json(&json!({ "no.such": 1 })).send().await.problem(422);
    house.admin("PATCH", "/api/v1/settings").await.json(&json!({ "store.keep_events": 0 })).send().await.problem(422);
    let changed = house.admin("PATCH", "/api/v1/settings").await.json(&json!({ "store.keep_events": 30 })).send().await;
    assert_eq!(items(&changed)[2], json!({ "path": "store.keep_events", "value": "30", "source": "database", "editable": true }));
    let back = house.admin("PATCH", "/api/v1/settings").await.json(&json!({ "store.keep_events": null })).send().await;
    assert_eq!(items(&back)[2]["value"], "400");
}

#[tokio::test]
async fn the_program_tells_how_it_is() {
    let house = House::with(WebConfig { problems: vec!["mqtt.listen is taken".into()], ..WebConfig::default() }).await;
    let audit = house.admin("GET", "/api/v1/audit/verify").await.send().await.ok(200);
    assert_eq!(audit["ok"], true);
    let checks = items(&house.admin("GET", "/api/v1/doctor").await.send().await);
    let bad: Vec<_> = checks.iter().filter(|check| check["ok"] == false).map(|check| check["detail"].as_str().unwrap()).collect();
    assert_eq!(bad, ["mqtt.listen is taken"]);
    assert_eq!(house.admin("GET", "/api/v1/version").await.send().await.ok(200)["version"], env!("CARGO_PKG_VERSION"));
    let metrics = house.admin("GET", "/metrics").await.send().await;
    assert!(metrics.text().contains("doorward_token_expiry_timestamp_seconds{account=\"home\"} 1796040000"), "{}", metrics.text());
    assert!(metrics.text().contains("doorward_build_info{version="));
}

#[tokio::test]
async fn a_backup_is_one_sealed_file_for_the_administrator() {
    let house = House::new().await;
    let body = json!({ "passphrase": "correct horse battery" });
    let token = house.token(&["config"]).await;
    house.ask("POST", "/api/v1/backup").token(&token).json(&body).send().await.problem(403);
    house.admin("POST", "/api/v1/backup").await.json(&json!({ "passphrase": "short" })).send().await.problem(422);
    let backup = house.admin("POST", "/api/v1/backup").await.json(&body).send().await;
    assert_eq!((backup.status, backup.header("content-type")), (200, Some("application/octet-stream")));
    assert!(backup.body.starts_with(b"DOORWARD-BACKUP-1\n"));
    assert!(!String::from_utf8_lossy(&backup.body).contains("the-secret-key"));
    let told = house.admin("GET", "/api/v1/events?kind=backup.made").await.send().await;
    assert_eq!(items(&told).len(), 1);
}
