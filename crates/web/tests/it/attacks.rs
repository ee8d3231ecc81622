//! What must not work, named by what somebody tries.

use crate::support::House;
use doorward_wire::event::EventKind;
use serde_json::{Value, json};

const UNLOCK: &str = r#"{"action":"unlock"}"#;

#[tokio::test]
async fn nobody_gets_in_without_credentials() {
    let house = House::new().await;
    let document: Value = serde_json::from_str(&doorward_web::api::openapi_json()).unwrap();
    for (path, methods) in document["paths"].as_object().unwrap() {
        if ["/health", "/ready"].contains(&path.as_str()) {
            continue;
        }
        for method in methods.as_object().unwrap().keys() {
            let method: &'static str = method.to_uppercase().leak();
            let path = path.replace("{id}", "front").replace(['{', '}'], "");
            let answer = house.ask(method, &path).text("application/json", "{}").send().await;
            assert_eq!(answer.status, 401, "{method} {path}: {}", answer.text());
            assert!(!answer.text().contains("front"), "{method} {path} tells something");
            let answer = house.ask(method, &path).token("dw_wrong").text("application/json", "{}").send().await;
            assert_eq!(answer.status, 401, "{method} {path} with a wrong token");
        }
    }
    let local = [
        ("GET", "/devices"),
        ("GET", "/api/devices"),
        ("GET", "/api/status?id=AA:01"),
        ("POST", "/api/status"),
        ("GET", "/api/status/latest"),
        ("POST", "/api/status/refresh"),
        ("POST", "/lock"),
        ("POST", "/unlock"),
        ("POST", "/api/lock"),
        ("POST", "/api/unlock"),
        ("GET", "/api/config"),
        ("POST", "/api/config"),
        ("POST", "/config"),
        ("POST", "/api/oauth/refresh"),
        ("POST", "/oauth/start"),
        ("POST", "/oauth/exchange"),
        ("GET", "/logs"),
        ("POST", "/logs/clear"),
    ];
    for (method, path) in local {
        let answer = house.ask(method, path).json(&json!({ "id": "AA:01" })).send().await;
        assert_eq!(answer.status, 401, "{method} {path}");
        assert!(answer.json()["detail"].is_string(), "{method} {path}");
    }
    assert!(house.moves().await.is_empty());
}

#[tokio::test]
async fn a_foreign_host_reaches_nothing() {
    let house = House::trusting().await;
    let token = house.token(&["admin"]).await;
    for host in ["evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example", ""] {
        let answer = house.ask("GET", "/api/v1/doors").token(&token).header("Host", host).send().await;
        assert!(answer.status == 403 || answer.status == 400, "{host}: {}", answer.status);
        let answer = house.ask("POST", "/unlock").header("Host", host).json(&json!({ "id": "AA:01" })).send().await;
        assert!(answer.status == 403 || answer.status == 400, "{host}: {}", answer.status);
    }
    for host in ["localhost", "LOCALHOST:8000", "192.168.1.2:8000", "[::1]:8000"] {
        assert_eq!(house.ask("GET", "/api/v1/doors").token(&token).header("Host", host).send().await.status, 200, "{host}");
    }
    assert!(house.moves().await.is_empty());
}

#[tokio::test]
async fn a_cross_site_post_is_refused() {
    let house = House::trusting().await;
    let (cookie, _) = house.session().await;
    let tries = [("Origin", "https://evil.example"), ("Origin", "null"), ("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Site", "same-site")];
    for (header, value) in tries {
        let unlock = house.ask("POST", "/unlock").header(header, value).json(&json!({ "id": "AA:01" }));
        assert_eq!(unlock.send().await.status, 403, "{header}: {value}");
        let unlock = house.ask("POST", "/api/v1/doors/front/actions").header("Cookie", &cookie).header(header, value);
        assert_eq!(unlock.text("application/json", UNLOCK).send().await.status, 403, "{header}: {value}");
    }
    assert!(house.moves().await.is_empty());
}

#[tokio::test]
async fn a_form_cannot_pose_as_json() {
    let house = House::trusting().await;
    let (cookie, _) = house.session().await;
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "application/jsonp", "text/json"] {
        let act = house.ask("POST", "/api/v1/doors/front/actions").header("Cookie", &cookie).text(kind, UNLOCK);
        act.send().await.problem(415);
        let unlock = house.ask("POST", "/unlock").text(kind, r#"{"id":"AA:01"}"#).send().await;
        assert_eq!(unlock.status, 415, "{kind}");
    }
    assert!(house.moves().await.is_empty());
}

#[tokio::test]
async fn a_session_without_its_csrf_token_changes_nothing() {
    let house = House::new().await;
    let (cookie, csrf) = house.session().await;
    for (method, path) in
        [("DELETE", "/api/v1/doors/front"), ("DELETE", "/api/v1/accounts/home"), ("POST", "/api/v1/accounts/home/refresh")]
    {
        house.ask(method, path).header("Cookie", &cookie).send().await.problem(403);
        house.ask(method, path).header("Cookie", &cookie).header("X-CSRF-Token", "guessed").send().await.problem(403);
    }
    for path in ["/logs/clear", "/oauth/start", "/config", "/api/oauth/refresh", "/api/status/refresh"] {
        let answer = house.ask("POST", path).header("Cookie", &cookie).send().await;
        assert_eq!(answer.status, 403, "{path}: {}", answer.text());
    }
    for page in ["settings", "renew", "sign-in", "sign-in/finish", "set-up", "trust", "export", "push", "remove"] {
        let form = "csrf=guessed&lease=oauth&pasted=x&plant=p&sha256=00";
        let form =
            house.ask("POST", format!("/accounts/home/{page}")).header("Cookie", &cookie).text("application/x-www-form-urlencoded", form);
        assert_eq!(form.send().await.status, 403, "{page}");
    }
    let form = "--X\r\nContent-Disposition: form-data; name=\"files\"; filename=\"a.json\"\r\n\r\n{}\r\n--X--\r\n";
    let form = house.ask("POST", "/accounts/home/import").header("Cookie", &cookie).text("multipart/form-data; boundary=X", form);
    assert_eq!(form.send().await.status, 403);
    let form = house.ask("POST", "/config").header("Cookie", &cookie).text("application/x-www-form-urlencoded", "status_poll_seconds=30");
    assert_eq!(form.send().await.status, 403);
    let form = "--X\r\nContent-Disposition: form-data; name=\"csrf\"\r\n\r\nthe-csrf-token\r\n--X\r\n\
                Content-Disposition: form-data; name=\"status_poll_seconds\"\r\n\r\n30\r\n--X--\r\n";
    let form = house.ask("POST", "/config").header("Cookie", &cookie).text("multipart/form-data; boundary=X", form);
    assert_eq!(form.send().await.ok(200), json!({ "status": "ok" }));
    let deleted = house.ask("DELETE", "/api/v1/doors/front").header("Cookie", &cookie).header("X-CSRF-Token", csrf);
    assert_eq!(deleted.send().await.status, 204);
}

#[tokio::test]
async fn who_may_see_to_accounts_may_not_have_their_secrets() {
    let house = House::new().await;
    let right = house.token(&["accounts"]).await;
    for step in ["export", "trust"] {
        let asked = house.ask("POST", "/api/v1/accounts/home/steps").token(&right).json(&json!({ "step": step, "input": {} }));
        asked.send().await.problem(403);
    }
    let moved = json!({ "settings": { "base_url": "https://elsewhere.example" } });
    house.ask("PATCH", "/api/v1/accounts/home").token(&right).json(&moved).send().await.problem(403);
    let here = json!({ "step": "start", "input": { "here": true } });
    let here = house.ask("POST", "/api/v1/accounts/home/steps").token(&right).json(&here).header("Host", "192.168.1.10");
    here.send().await.problem(422);
}

#[tokio::test]
async fn a_forwarding_header_ends_trust() {
    let house = House::trusting().await;
    assert_eq!(house.ask("GET", "/api/devices").send().await.status, 200);
    let forwarded = house.ask("GET", "/api/devices").header("X-Forwarded-For", "203.0.113.9").send().await;
    assert_eq!(forwarded.status, 401);
    let later = house.ask("POST", "/unlock").json(&json!({ "id": "AA:01" })).send().await;
    assert_eq!(later.status, 401, "trust ends until the next start");
    assert!(house.web.trust_ended());
    assert!(house.moves().await.is_empty());
}

#[tokio::test]
async fn a_token_without_the_scope_opens_nothing() {
    let house = House::new().await;
    for scope in ["doors:read", "events:read", "accounts", "people", "config", "metrics", "devices"] {
        let token = house.token(&[scope]).await;
        let answer = house.ask("POST", "/api/v1/doors/front/actions").token(&token).text("application/json", UNLOCK).send().await;
        answer.problem(403);
        let answer = house.ask("POST", "/unlock").token(&token).json(&json!({ "id": "AA:01" })).send().await;
        assert_eq!(answer.status, 403, "{scope}: {}", answer.text());
    }
    assert!(house.moves().await.is_empty());
}

#[tokio::test]
async fn a_token_for_one_door_opens_no_other() {
    let house = House::new().await;
    let token = house.token(&["doors:act:gate"]).await;
    let ask = |path: &str| house.ask("POST", path.to_owned()).token(&token).text("application/json", UNLOCK);
    let problem = ask("/api/v1/doors/front/actions").send().await.problem(403);
    assert_eq!(problem["reason"], "no_grant");
    let local = house.ask("POST", "/unlock").token(&token).json(&json!({ "id": "AA:01" })).send().await;
    assert_eq!(local.status, 404);
    house.ask("GET", "/api/v1/doors/front").token(&token).send().await.problem(404);
    assert!(house.moves().await.is_empty());

    let doors = house.ask("GET", "/api/v1/doors").token(&token).send().await.ok(200);
    assert_eq!(doors["items"].as_array().unwrap().len(), 1);
    assert_eq!(ask("/api/v1/doors/gate/actions").send().await.status, 202);
    let devices = house.ask("GET", "/api/devices").token(&token).send().await.ok(200);
    assert_eq!(devices["payload"]["devices"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_attempt_at_a_hidden_door_is_not_shown_for_its_id() {
    let house = House::new().await;
    let admin = house.token(&["admin"]).await;
    let body = json!({ "action": "lock", "id": "6b8ad6ac-95a5-4c9f-9b3a-3a7f6f3f1b11" });
    assert_eq!(house.ask("POST", "/api/v1/doors/front/actions").token(&admin).json(&body).send().await.status, 202);
    let narrow = house.token(&["doors:act:gate"]).await;
    let attempt = "/api/v1/attempts/6b8ad6ac-95a5-4c9f-9b3a-3a7f6f3f1b11";
    house.ask("GET", attempt).token(&narrow).send().await.problem(404);
    let problem = house.ask("POST", "/api/v1/doors/front/actions").token(&narrow).json(&body).send().await.problem(403);
    assert_ne!(problem["attempt"], body["id"]);
    assert_eq!(house.ask("GET", attempt).token(&admin).send().await.status, 200);
}

#[tokio::test]
async fn a_token_makes_no_stronger_token_and_no_way_in() {
    let house = House::new().await;
    let weak = house.token(&["people", "doors:act:gate"]).await;
    for scope in ["admin", "doors:act", "doors:read", "doors:act:front", "config", "accounts"] {
        let body = json!({ "name": "more", "scopes": [scope] });
        house.ask("POST", "/api/v1/tokens").token(&weak).json(&body).send().await.problem(403);
    }
    let body = json!({ "name": "same", "scopes": ["doors:act:gate"] });
    assert_eq!(house.ask("POST", "/api/v1/tokens").token(&weak).json(&body).send().await.status, 201);
    let made = house.ask("POST", "/api/v1/people").token(&weak).json(&json!({ "name": "Eve" })).send().await.ok(201);
    let person = format!("/api/v1/people/{}", made["id"].as_str().unwrap());
    house.ask("POST", format!("{person}/link")).token(&weak).send().await.problem(403);
    let password = json!({ "password": "correct horse battery" });
    house.ask("PUT", format!("{person}/password")).token(&weak).json(&password).send().await.problem(403);
}

#[tokio::test]
async fn a_huge_body_is_refused() {
    let house = House::trusting().await;
    let token = house.token(&["admin"]).await;
    let huge = format!("{{\"action\":\"unlock\",\"id\":\"{}\"}}", "x".repeat(300 * 1024));
    let answer = house.ask("POST", "/api/v1/doors/front/actions").token(&token).text("application/json", huge.clone()).send().await;
    answer.problem(413);
    assert_eq!(house.ask("POST", "/unlock").text("application/json", huge).send().await.status, 413);
    let push = house.ask("POST", "/hooks/utec/x").header("Authorization", "Bearer right").text("application/json", "x".repeat(65 * 1024));
    assert_eq!(push.send().await.status, 413);
    let deep = "[".repeat(100_000);
    house.ask("POST", "/api/v1/doors/front/actions").token(&token).text("application/json", deep).send().await.problem(400);
}

#[tokio::test]
async fn a_push_with_a_wrong_secret_is_refused_like_an_unknown_address() {
    let house = House::new().await;
    let push = |path: &str, secret: &str| house.ask("POST", path.to_owned()).header("Authorization", secret).text("application/json", "{}");
    assert_eq!(push("/hooks/utec/abc", "Bearer right").send().await.status, 204);
    let wrong = push("/hooks/utec/abc", "Bearer wrong").send().await;
    let unknown = push("/hooks/nobody/abc", "Bearer right").send().await;
    wrong.problem(401);
    assert_eq!(wrong.body, unknown.body);
}

#[tokio::test]
async fn a_flood_of_pushes_is_slowed_down() {
    let house = House::new().await;
    let mut last = 0;
    for _ in 0..40 {
        last = house.ask("POST", "/hooks/utec/abc").text("application/json", "{}").send().await.status;
        if last == 429 {
            break;
        }
    }
    assert_eq!(last, 429);
}

#[tokio::test]
async fn refusals_of_strangers_do_not_fill_the_audit() {
    let house = House::new().await;
    let before = house.web.house().store().last_event_id().await.unwrap();
    for _ in 0..50 {
        house.ask("GET", "/api/v1/doors").send().await.problem(401);
    }
    house.clock.advance(std::time::Duration::from_mins(2));
    house.ask("GET", "/api/v1/doors").send().await.problem(401);
    let store = house.web.house().store();
    for _ in 0..5000 {
        if store.last_event_id().await.unwrap() > before {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    let query = doorward_store::EventQuery { kind: Some(EventKind::RequestsRefused), ..Default::default() };
    let rows = store.events(&query).await.unwrap();
    assert_eq!(rows.len(), 1, "one row for the minute");
    assert_eq!(rows[0].data["count"], 50);
}
