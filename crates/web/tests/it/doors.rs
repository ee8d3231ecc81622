//! Doors and what is asked of them.

use crate::support::{House, items};
use doorward_web::WebConfig;
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn a_door_is_unlocked_once_however_often_the_same_id_comes() {
    let house = House::new().await;
    let body = json!({ "action": "unlock", "id": "0b6d1a3e-6f5f-4b0e-8f0e-0a9f6b1c2d3e" });
    let path = "/api/v1/doors/front/actions?wait=10s";
    let first = house.admin("POST", path).await.json(&body).send().await.ok(200);
    assert_eq!(first["state"], "confirmed");
    assert_eq!(first["evidence"][0]["kind"], "accepted");
    let again = house.admin("POST", path).await.json(&body).send().await.ok(200);
    assert_eq!(again, first);
    assert_eq!(house.moves().await, ["front unlock"]);

    let other = json!({ "action": "lock", "id": body["id"] });
    house.admin("POST", path).await.json(&other).send().await.problem(409);
    house.admin("POST", "/api/v1/doors/gate/actions").await.json(&body).send().await.problem(409);
    assert_eq!(house.moves().await, ["front unlock"]);

    let door = house.admin("GET", "/api/v1/doors/front").await.send().await.ok(200);
    assert_eq!(door["state"], "unlocked");
    let attempt = house.admin("GET", format!("/api/v1/attempts/{}", body["id"].as_str().unwrap())).await.send().await.ok(200);
    assert_eq!(attempt["state"], "confirmed");
}

#[tokio::test]
async fn nothing_is_reported_as_done_by_optimism() {
    let house = House::new().await;
    let accepted = house.admin("POST", "/api/v1/doors/gate/actions").await.json(&json!({ "action": "lock" })).send().await.ok(202);
    assert_eq!(accepted["state"], "pending");
    let cellar = house.admin("POST", "/api/v1/doors/cellar/actions?wait=30s").await.json(&json!({ "action": "unlock" }));
    let unknown = house.answered_later(cellar, "cellar unlock").await.ok(200);
    assert_eq!(unknown["state"], "unconfirmed");
    assert_eq!(unknown["reason"], "outcome_unknown");
    let attic = house.admin("POST", "/api/v1/doors/attic/actions?wait=30s").await.json(&json!({ "action": "unlock" }));
    let refused = attic.send().await.ok(200);
    assert_eq!(refused["state"], "refused");
    assert_eq!(refused["reason"], "vendor_refused");
}

#[tokio::test]
async fn whoever_does_not_wait_long_enough_is_told_that_it_is_pending() {
    let house = House::new().await;
    let ask = house.admin("POST", "/api/v1/doors/cellar/actions?wait=0s").await.json(&json!({ "action": "unlock" }));
    let pending = ask.send().await.ok(202);
    assert_eq!(pending["state"], "pending");
    house.admin("POST", "/api/v1/doors/front/actions?wait=soon").await.json(&json!({ "action": "lock" })).send().await.problem(400);
}

#[tokio::test]
async fn a_command_that_is_too_old_or_too_far_ahead_is_not_sent() {
    let house = House::new().await;
    let now = house.web.house().now().utc;
    let ask = |not_after| json!({ "action": "unlock", "not_after": not_after });
    let past =
        house.admin("POST", "/api/v1/doors/front/actions").await.json(&ask(now.minus(Duration::from_secs(1)))).send().await.problem(422);
    assert_eq!(past["reason"], "stale_command");
    assert!(past["attempt"].is_string(), "it was written down");
    house.admin("POST", "/api/v1/doors/front/actions").await.json(&ask(now.plus(Duration::from_secs(61)))).send().await.problem(422);
    house
        .admin("POST", "/api/v1/doors/front/actions")
        .await
        .json(&json!({ "action": "unlock", "not_after": "soon" }))
        .send()
        .await
        .problem(422);
    assert!(house.moves().await.is_empty());
    let soon = house.admin("POST", "/api/v1/doors/front/actions").await.json(&ask(now.plus(Duration::from_secs(5)))).send().await;
    assert_eq!(soon.status, 202);
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_said() {
    let house = House::new().await;
    let path = "/api/v1/doors/front/actions";
    let bad = house.admin("POST", path).await.text("application/json", "{\n\"action\": }").send().await.problem(400);
    assert!(bad["detail"].as_str().unwrap().contains("line 2"), "{bad}");
    let wrong = house.admin("POST", path).await.json(&json!({ "action": "explode" })).send().await.problem(422);
    assert!(wrong["detail"].as_str().unwrap().contains("action"), "{wrong}");
    let extra = house.admin("POST", path).await.json(&json!({ "action": "lock", "force": true })).send().await.problem(422);
    assert!(extra["detail"].as_str().unwrap().contains("force"), "{extra}");
    house.admin("POST", path).await.json(&json!({ "action": "lock", "id": "not-a-uuid" })).send().await.problem(422);
    house.admin("POST", path).await.send().await.problem(415);
    house.admin("POST", path).await.text("application/json", "").send().await.problem(400);
    let capability = house.admin("POST", path).await.json(&json!({ "action": "open" })).send().await.problem(422);
    assert_eq!(capability["reason"], "not_capable");
    for door in ["nowhere", "NO", "a%00b", "%ff", &"x".repeat(50)] {
        house.admin("GET", format!("/api/v1/doors/{door}")).await.send().await.problem(404);
        let act = house.admin("POST", format!("/api/v1/doors/{door}/actions")).await.json(&json!({ "action": "lock" }));
        act.send().await.problem(404);
    }
    house.admin("GET", "/api/v1/nothing").await.send().await.problem(404);
    house.admin("GET", "/api/elsewhere/doors").await.send().await.problem(404);
    let method = house.admin("PUT", "/api/v1/doors").await.send().await;
    method.problem(405);
    assert!(method.header("allow").unwrap().contains("GET"));
    house.admin("GET", "/api/v1/events?after=x").await.send().await.problem(400);
    house.admin("GET", "/api/v1/attempts/1").await.send().await.problem(404);
}

#[tokio::test]
async fn all_doors_are_locked_at_once_and_never_unlocked() {
    let house = House::new().await;
    let all = json!({ "action": "lock", "doors": "all" });
    let attempts = items(&house.admin("POST", "/api/v1/doors/actions").await.json(&all).send().await);
    assert_eq!(attempts.len(), 4);
    house.admin("POST", "/api/v1/doors/actions").await.json(&json!({ "action": "unlock", "doors": "all" })).send().await.problem(422);
    let unknown = json!({ "action": "lock", "doors": ["front", "nowhere"] });
    house.admin("POST", "/api/v1/doors/actions").await.json(&unknown).send().await.problem(404);
    house.admin("POST", "/api/v1/doors/actions").await.json(&json!({ "action": "lock", "doors": "some" })).send().await.problem(422);

    let token = house.token(&["doors:act:gate"]).await;
    let two = json!({ "action": "lock", "doors": ["gate", "front", "gate"] });
    let attempts = items(&house.ask("POST", "/api/v1/doors/actions").token(&token).json(&two).send().await);
    assert_eq!(attempts.len(), 2);
    assert_eq!(attempts[1]["reason"], "no_grant");
}

#[tokio::test]
async fn a_site_is_added_changed_and_removed_once_it_has_no_doors() {
    let house = House::with(WebConfig { sites: vec!["yard".into()], ..WebConfig::default() }).await;
    let lake = json!({ "name": "Lake", "time_zone": "europe/berlin" });
    let made = house.admin("POST", "/api/v1/sites").await.json(&lake).send().await.ok(201);
    assert_eq!((made["id"].as_str(), made["time_zone"].as_str()), (Some("lake"), Some("Europe/Berlin")));
    let second = house.admin("POST", "/api/v1/sites").await.json(&lake).send().await.ok(201);
    assert_eq!(second["id"], "lake_2", "a name may be there twice, an identifier may not");
    let nowhere = json!({ "time_zone": "Europe/Atlantis" });
    house.admin("PATCH", "/api/v1/sites/lake").await.json(&nowhere).send().await.problem(422);
    house.admin("PATCH", "/api/v1/sites/sea").await.json(&json!({ "name": "Sea" })).send().await.problem(404);
    let renamed = house.admin("PATCH", "/api/v1/sites/lake").await.json(&json!({ "name": "Lake house" })).send().await.ok(200);
    assert_eq!(renamed, json!({ "id": "lake", "name": "Lake house", "time_zone": "Europe/Berlin", "holidays": [] }));
    let closed = json!({ "holidays": ["2026-12-24", "12-25", "12-25"] });
    let closed = house.admin("PATCH", "/api/v1/sites/lake").await.json(&closed).send().await.ok(200);
    assert_eq!(closed["holidays"], json!(["12-25", "2026-12-24"]));
    house.admin("PATCH", "/api/v1/sites/lake").await.json(&json!({ "holidays": ["13-01"] })).send().await.problem(422);

    house.admin("PATCH", "/api/v1/doors/front").await.json(&json!({ "site": "lake" })).send().await.ok(200);
    let used = house.admin("DELETE", "/api/v1/sites/lake").await.send().await.problem(409);
    assert!(used["detail"].as_str().unwrap().contains("1 of its doors"), "{used}");
    assert_eq!(house.admin("DELETE", "/api/v1/sites/lake_2").await.send().await.status, 204);

    let yard = doorward_store::Site { id: "yard".into(), name: "Yard".into(), time_zone: "UTC".into(), holidays: Vec::new() };
    house.web.house().store().put_site(&yard).await.unwrap();
    house.admin("DELETE", "/api/v1/sites/yard").await.send().await.problem(409);
    house.admin("PATCH", "/api/v1/sites/yard").await.json(&json!({ "name": "Mine" })).send().await.problem(409);
}

#[tokio::test]
async fn a_door_is_set_up_and_removed() {
    let house = House::new().await;
    let site = json!({ "name": "Lake", "time_zone": "Europe/Berlin" });
    house.admin("POST", "/api/v1/sites").await.json(&site).send().await.ok(201);
    let edit = json!({ "name": "Front door", "site": "lake", "confirm_within": 8000, "auto_lock": { "after": 5, "at": "22:00" }, "fail_open": true });
    let door = house.admin("PATCH", "/api/v1/doors/front").await.json(&edit).send().await.ok(200);
    assert_eq!((door["name"].as_str(), door["site"].as_str()), (Some("Front door"), Some("lake")));
    let stored = house.web.house().store().door(&"front".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(stored.confirm_within, Duration::from_secs(8));
    assert_eq!((stored.auto_lock.after, stored.fail_open, stored.time_zone.as_str()), (Some(5), true, "Europe/Berlin"));
    for wrong in [
        json!({ "name": "" }),
        json!({ "site": "nowhere" }),
        json!({ "confirm_within": 1 }),
        json!({ "auto_lock": { "after": 0 } }),
        json!({ "auto_lock": { "at": "25:00" } }),
        json!({ "kind": "strike" }),
    ] {
        house.admin("PATCH", "/api/v1/doors/front").await.json(&wrong).send().await.problem(422);
    }
    assert_eq!(house.admin("DELETE", "/api/v1/doors/front").await.send().await.status, 204);
    house.until(|house| house.web.house().board().doors().len() == 3).await;
    house.admin("GET", "/api/v1/doors/front").await.send().await.problem(404);
    house.admin("DELETE", "/api/v1/doors/front").await.send().await.problem(404);
}

#[tokio::test]
async fn what_the_configuration_file_sets_is_changed_there() {
    let house = House::new().await;
    let store = house.web.house().store();
    let mut door = store.door(&"front".parse().unwrap()).await.unwrap().unwrap();
    door.managed = true;
    assert!(store.put_door(&door, house.web.house().now().utc).await.unwrap());
    let edit = house.admin("PATCH", "/api/v1/doors/front").await.json(&json!({ "name": "Other" })).send().await.problem(409);
    assert!(edit["detail"].as_str().unwrap().contains("configuration file"));
    house.admin("DELETE", "/api/v1/doors/front").await.send().await.problem(409);
}

#[tokio::test]
async fn codes_at_a_lock_are_managed_and_written_down() {
    let house = House::new().await;
    let codes = items(&house.admin("GET", "/api/v1/doors/front/codes").await.send().await);
    assert_eq!(codes[0]["name"], "Guest");
    let wish = json!({ "name": "Guest", "pin": "482916" });
    assert_eq!(house.admin("POST", "/api/v1/doors/front/codes").await.json(&wish).send().await.status, 201);
    assert_eq!(house.admin("PATCH", "/api/v1/doors/front/codes/1").await.json(&json!({ "pin": "591736" })).send().await.status, 200);
    assert_eq!(house.admin("DELETE", "/api/v1/doors/front/codes/1").await.send().await.status, 204);
    house.admin("POST", "/api/v1/doors/front/codes").await.json(&json!({ "name": "Guest" })).send().await.problem(422);
    let events = house.admin("GET", "/api/v1/events?kind=door.codes_changed").await.send().await;
    assert_eq!(items(&events).len(), 3);
    assert!(!events.text().contains("482916"), "digits are not written down");
    let token = house.token(&["doors:act"]).await;
    house.ask("GET", "/api/v1/doors/front/codes").token(&token).send().await.problem(403);
}
