//! People with roles: what each of them sees, and what stays closed to them.

use crate::support::{House, items};
use serde_json::{Value, json};
use std::time::Duration;

impl House {
    /// Somebody with this role who is signed in: their identifier and the cookie of their session.
    pub(crate) async fn somebody(&self, name: &str, role: &str) -> (String, String) {
        let (store, now) = (self.web.house().store(), self.clock.now().utc);
        let person = store.add_person(name, role, now).await.unwrap();
        let secret = format!("session-of-{name}");
        let data = br#"{"csrf":"the-csrf-token"}"#;
        store.put_session(secret.as_bytes(), Some(&person.id), data, now.plus(Duration::from_hours(1))).await.unwrap();
        (person.id, format!("doorward={secret}"))
    }

    async fn grant(&self, person: &str, door: &str, terms: Value) -> String {
        let body = json!({ "person": person, "doors": [door], "terms": terms });
        self.admin("POST", "/api/v1/grants").await.json(&body).send().await.ok(201)["id"].as_str().unwrap().to_owned()
    }
}

use doorward_engine::Clock as _;

#[tokio::test(flavor = "multi_thread")]
async fn a_resident_sees_and_opens_their_doors_and_nothing_else() {
    let house = House::new().await;
    let (id, cookie) = house.somebody("Resi", "resident").await;
    let ask = |method, path: &str| house.ask(method, path).header("Cookie", &cookie);
    assert_eq!(items(&ask("GET", "/api/v1/doors").send().await), [] as [Value; 0], "no grant, no door");
    house.grant(&id, "front", json!({})).await;
    let doors = items(&ask("GET", "/api/v1/doors").send().await);
    assert_eq!(doors.iter().map(|door| door["id"].as_str().unwrap()).collect::<Vec<_>>(), ["front"]);
    let page = ask("GET", "/doors").send().await;
    assert!(page.text().contains("door-front") && !page.text().contains("door-gate"));
    assert_eq!(ask("GET", "/doors/gate").send().await.status, 404, "what they do not see is not there");
    let form = |door: &str| {
        let body = format!("csrf=the-csrf-token&action=unlock&id={}", house.web.house().clock().uuid());
        ask("POST", &format!("/doors/{door}/actions")).text("application/x-www-form-urlencoded", body)
    };
    assert_eq!(form("gate").send().await.status, 404);
    assert_eq!(house.moves().await, Vec::<String>::new());
    assert_eq!(house.answered_later(form("front"), "front unlock").await.status, 303);
    assert_eq!(house.moves().await, ["front unlock"]);
    let events = ask("GET", "/events").send().await;
    assert!(events.text().contains("front") && !events.text().contains("gave a right"), "events of their doors alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_administrators_are_closed_to_everybody_else() {
    let house = House::new().await;
    let (id, resident) = house.somebody("Resi", "resident").await;
    let (_, guest) = house.somebody("Gus", "guest").await;
    house.grant(&id, "front", json!({})).await;
    let person = format!("/people/{id}");
    let closed = [
        "/people",
        person.as_str(),
        "/accounts",
        "/accounts/new",
        "/accounts/home",
        "/accounts/home/settings",
        "/doors/front/settings",
        "/doors/front/codes",
        "/doors/front/access",
        "/fleet",
        "/fleet/provision",
        "/fleet/firmware",
        "/fleet/rollouts",
        "/mqtt",
        "/tunnel",
        "/tunnel/keys/new",
        "/webhooks",
        "/webhooks/new",
        "/notifications",
        "/settings/logs",
        "/live?view=accounts",
        "/live?view=fleet",
        "/live?view=door:gate",
        "/live?view=events:gate:",
    ];
    for path in closed {
        for cookie in [&resident, &guest] {
            let answer = house.ask("GET", path).header("Cookie", cookie).send().await;
            assert!(matches!(answer.status, 403 | 404), "{path}: {}", answer.status);
            assert!(!answer.text().contains("the-access-key"), "{path}");
        }
    }
    for path in ["/doors", "/rings", "/settings"] {
        assert_eq!(house.ask("GET", path).header("Cookie", &guest).send().await.status, 200, "{path}");
    }
    assert_eq!(house.ask("GET", "/events").header("Cookie", &guest).send().await.status, 403, "guests read no history");
    let settings = house.ask("GET", "/settings").header("Cookie", &resident).send().await;
    for other in ["id=\"tokens\"", "id=\"sites\"", "id=\"config\"", "/webhooks"] {
        assert!(!settings.text().contains(other), "{other}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_route_of_the_api_opens_to_a_session_that_is_not_an_administrators() {
    let house = House::new().await;
    let (id, cookie) = house.somebody("Resi", "resident").await;
    let document: Value = serde_json::from_str(&doorward_web::api::openapi_json()).unwrap();
    let open = [
        "/api/v1/doors",
        "/api/v1/events",
        "/api/v1/events/stream",
        "/api/v1/rings",
        "/api/v1/sites",
        "/api/v1/version",
        "/api/v1/openapi.json",
        "/api/v1/passes",
        "/api/v1/doors/actions",
        // What their own browser is told is theirs; `theirs` in the sender says of what.
        "/api/v1/push/key",
        "/health",
        "/ready",
    ];
    for (path, methods) in document["paths"].as_object().unwrap() {
        let real = path.replace("{id}", &id).replace("{kind}", "utec").replace("{random}", "x").replace("{code}", "1");
        let real = real.split('/').map(|part| if part.starts_with('{') { "x" } else { part }).collect::<Vec<_>>().join("/");
        for method in methods.as_object().unwrap().keys() {
            if open.contains(&path.as_str()) || path.starts_with("/hooks") {
                continue;
            }
            let method: &'static str = match method.as_str() {
                "get" => "GET",
                "post" => "POST",
                "put" => "PUT",
                "patch" => "PATCH",
                "delete" => "DELETE",
                other => panic!("{other}"),
            };
            let ask = house.ask(method, real.clone()).header("Cookie", &cookie).header("X-CSRF-Token", "the-csrf-token");
            let ask = if matches!(method, "GET" | "DELETE") { ask } else { ask.json(&json!({})) };
            let answer = ask.send().await;
            let closed = matches!(answer.status, 403 | 404 | 422 | 400 | 415);
            assert!(closed, "{method} {path}: {} {}", answer.status, answer.text());
        }
    }
    assert_eq!(items(&house.admin("GET", "/api/v1/people").await.send().await).len(), 1, "nothing was changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_is_taken_back_ends_what_somebody_looks_at() {
    let house = House::new().await;
    let (id, cookie) = house.somebody("Resi", "resident").await;
    let grant = house.grant(&id, "front", json!({})).await;
    let mut stream = house.ask("GET", "/live?view=doors").header("Cookie", &cookie).follow().await;
    stream.tells(&["door-front"]).await;
    assert_eq!(house.admin("DELETE", format!("/api/v1/grants/{grant}")).await.send().await.status, 204);
    house.clock.advance(Duration::from_secs(1));
    stream.tells(&["reload"]).await;
    stream.ended().await;
    assert_eq!(items(&house.ask("GET", "/api/v1/doors").header("Cookie", &cookie).send().await).len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_a_person_does_no_more_than_they_may() {
    let house = House::new().await;
    let (id, _) = house.somebody("Resi", "resident").await;
    let body = json!({ "name": "phone", "scopes": ["doors:act", "events:read", "people"], "person": id });
    let made = house.admin("POST", "/api/v1/tokens").await.json(&body).send().await.ok(201);
    let token = made["secret"].as_str().unwrap().to_owned();
    let unlock = async || {
        let act = house.ask("POST", "/api/v1/doors/front/actions?wait=5s").token(&token).json(&json!({ "action": "unlock" }));
        act.send().await.status
    };
    assert_ne!(unlock().await, 200, "the scope is wide, the person opens nothing");
    let grant = house.grant(&id, "front", json!({})).await;
    assert_eq!(unlock().await, 200);
    house.ask("GET", "/api/v1/people").token(&token).send().await.problem(403);
    house.admin("DELETE", format!("/api/v1/grants/{grant}")).await.send().await;
    assert_ne!(unlock().await, 200);
    assert_eq!(house.moves().await, ["front unlock"]);
    // Their token goes with them.
    house.somebody("Ada", "administrator").await;
    assert_eq!(house.admin("DELETE", format!("/api/v1/people/{id}")).await.send().await.status, 204);
    house.ask("GET", "/api/v1/doors").token(&token).send().await.problem(401);
}

#[tokio::test]
async fn whoever_manages_people_gives_nothing_that_they_do_not_have() {
    let house = House::new().await;
    let (id, _) = house.somebody("Resi", "resident").await;
    let manager = house.token(&["people", "doors:act:gate"]).await;
    let give = |door: &str| json!({ "person": id, "doors": [door] });
    house.ask("POST", "/api/v1/grants").token(&manager).json(&give("front")).send().await.problem(403);
    house.ask("POST", "/api/v1/grants").token(&manager).json(&give("*")).send().await.problem(403);
    house.ask("POST", "/api/v1/grants").token(&manager).json(&give("gate")).send().await.ok(201);
    for wrong in [give("nowhere"), give("site:nowhere"), json!({ "person": id, "doors": [] }), json!({ "doors": ["gate"] })] {
        house.ask("POST", "/api/v1/grants").token(&manager).json(&wrong).send().await.problem(422);
    }
    for terms in [json!({ "uses": 0 }), json!({ "from": "2026-12-01T00:00:00Z", "until": "2026-11-30T00:00:00Z" })] {
        let body = json!({ "person": id, "doors": ["gate"], "terms": terms });
        house.admin("POST", "/api/v1/grants").await.json(&body).send().await.problem(422);
    }
    // Nobody becomes or makes an administrator by managing people.
    let patch = |role: &str| json!({ "role": role });
    house.ask("PATCH", format!("/api/v1/people/{id}")).token(&manager).json(&patch("administrator")).send().await.problem(403);
    house.ask("POST", "/api/v1/people").token(&manager).json(&json!({ "name": "Eve", "role": "administrator" })).send().await.problem(403);
    house.ask("POST", format!("/api/v1/people/{id}/link")).token(&manager).send().await.problem(403);
    // A group that may more takes nobody in by them.
    let group = house.admin("POST", "/api/v1/groups").await.json(&json!({ "name": "Family" })).send().await.ok(201);
    let group = group["id"].as_str().unwrap();
    house.admin("POST", "/api/v1/grants").await.json(&json!({ "group": group, "doors": ["*"] })).send().await.ok(201);
    let members = json!({ "members": [id] });
    house.ask("PATCH", format!("/api/v1/groups/{group}")).token(&manager).json(&members).send().await.problem(403);
    house.admin("PATCH", format!("/api/v1/groups/{group}")).await.json(&members).send().await.ok(200);
}

#[tokio::test]
async fn one_administrator_stays() {
    let house = House::new().await;
    let (ada, _) = house.somebody("Ada", "administrator").await;
    let path = format!("/api/v1/people/{ada}");
    house.admin("PATCH", path.clone()).await.json(&json!({ "role": "guest" })).send().await.problem(409);
    house.admin("DELETE", path.clone()).await.send().await.problem(409);
    house.somebody("Bob", "administrator").await;
    assert_eq!(house.admin("PATCH", path.clone()).await.json(&json!({ "role": "guest" })).send().await.ok(200)["role"], "guest");
    assert_eq!(house.admin("DELETE", path).await.send().await.status, 204);
}

#[tokio::test]
async fn everything_that_is_kept_of_a_person_is_given_out_without_secrets() {
    let house = House::new().await;
    let (id, _) = house.somebody("Resi", "resident").await;
    house.grant(&id, "front", json!({ "uses": 3 })).await;
    let (other, _) = house.somebody("Ben", "resident").await;
    for changed in [&id, &other] {
        house.admin("PATCH", format!("/api/v1/people/{changed}")).await.json(&json!({ "role": "guest" })).send().await.ok(200);
    }
    let all = house.admin("GET", format!("/api/v1/people/{id}/export")).await.send().await.ok(200);
    let told = all["events"].as_array().unwrap();
    assert_eq!(told.iter().filter(|event| event["kind"] == "person.changed").count(), 1, "hers alone: {told:?}");
    assert!(told.iter().all(|event| event["data"]["person"] == id.as_str() || event["actor"]["id"] == id.as_str()), "{told:?}");
    assert_eq!((all["person"]["name"].as_str(), all["grants"][0]["terms"]["uses"].as_i64()), (Some("Resi"), Some(3)));
    assert_eq!(all["sessions"], 1);
    assert!(!all.to_string().contains("session-of"));
    let explained = house.admin("GET", "/api/v1/doors/front/access").await.send().await;
    let resi = items(&explained).into_iter().find(|one| one["name"] == "Resi").unwrap();
    assert_eq!((&resi["allowed"], &resi["kind"]), (&json!(true), &json!("person")));
}
