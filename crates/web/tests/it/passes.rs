//! Passes: made, held by a guest without an account, extended, taken back; and what a stranger tries.

use crate::support::{Answer, House, items};
use serde_json::{Value, json};
use std::time::Duration;

impl House {
    /// A pass: its identifier and its secret.
    async fn pass(&self, body: Value) -> (String, String) {
        let made = self.admin("POST", "/api/v1/passes").await.json(&body).send().await.ok(201);
        let link = made["link"].as_str().unwrap();
        let (page, secret) = link.split_once('#').unwrap();
        assert!(page.ends_with("/p") && secret.starts_with("dwp_"), "{link}");
        (made["id"].as_str().unwrap().to_owned(), secret.to_owned())
    }

    async fn looks(&self, secret: &str) -> Answer {
        self.ask("POST", "/p/look").token(secret).send().await
    }

    async fn opens(&self, secret: &str, door: &str, more: Value) -> Answer {
        let mut body = json!({ "id": self.web.house().clock().uuid(), "door": door, "action": "unlock" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.ask("POST", "/p/open").token(secret).json(&body).send().await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_opens_by_a_link_until_it_is_taken_back() {
    let house = House::new().await;
    let terms = json!({ "until": "2026-11-23T16:00:00Z", "uses": 2 });
    let (id, secret) = house.pass(json!({ "name": "Grace", "doors": ["front"], "terms": terms })).await;
    let page = house.ask("GET", "/p").send().await;
    assert_eq!(page.status, 200);
    assert!(!page.text().contains("front"), "nothing of the house is on the page itself");
    let seen = house.looks(&secret).await.ok(200);
    assert_eq!((seen["name"].as_str(), seen["state"].as_str(), seen["left"].as_i64()), (Some("Grace"), Some("active"), Some(2)));
    assert_eq!(seen["doors"].as_array().unwrap().len(), 1);
    assert_eq!((&seen["doors"][0]["id"], &seen["doors"][0]["allowed"]), (&json!("front"), &json!(true)));

    let opened = house.opens(&secret, "front", json!({})).await.ok(200);
    assert_eq!((&opened["attempt"]["state"], &opened["pass"]["left"]), (&json!("confirmed"), &json!(1)));
    let used = items(&house.admin("GET", "/api/v1/events?kind=pass.used").await.send().await);
    assert_eq!((&used[0]["actor"]["id"], &used[0]["actor"]["name"]), (&json!(id), &json!("Grace")));
    assert_eq!((&used[0]["door"], &used[0]["data"]["how"]), (&json!("front"), &json!("remote")));

    let revoked = house.admin("POST", format!("/api/v1/passes/{id}/revoke")).await.send().await.ok(200);
    assert_eq!(revoked["state"], "revoked");
    let seen = house.looks(&secret).await.ok(200);
    assert_eq!((&seen["state"], seen["doors"].as_array().unwrap().len()), (&json!("revoked"), 0));
    let refused = house.opens(&secret, "front", json!({})).await.problem(403);
    assert!(refused["detail"].as_str().unwrap().contains("taken back"));
    assert_eq!(house.moves().await, ["front unlock"]);
    house.admin("PATCH", format!("/api/v1/passes/{id}")).await.json(&json!({ "terms": {} })).send().await.problem(409);
    assert_eq!(house.admin("DELETE", format!("/api/v1/passes/{id}")).await.send().await.status, 204);
    house.looks(&secret).await.problem(401);
    let events = house.admin("GET", "/api/v1/events").await.send().await;
    assert!(!events.text().contains("Grace"), "the guest's name goes with the pass");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_ends_is_extended_and_is_used_up() {
    let house = House::new().await;
    let terms = json!({ "until": "2026-11-23T12:30:00Z", "uses": 1 });
    let (id, secret) = house.pass(json!({ "name": "Grace", "doors": ["front"], "terms": terms })).await;
    house.clock.advance(Duration::from_mins(31));
    assert_eq!(house.looks(&secret).await.ok(200)["state"], "ended");
    house.opens(&secret, "front", json!({})).await.problem(403);
    let longer = json!({ "terms": { "until": "2026-11-23T16:00:00Z", "uses": 1 } });
    assert_eq!(house.admin("PATCH", format!("/api/v1/passes/{id}")).await.json(&longer).send().await.ok(200)["state"], "active");
    house.opens(&secret, "front", json!({})).await.ok(200);
    assert_eq!(house.looks(&secret).await.ok(200)["state"], "used_up");
    house.opens(&secret, "front", json!({})).await.problem(403);
    assert_eq!(house.moves().await, ["front unlock"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn asking_twice_with_one_id_opens_once_and_counts_once() {
    let house = House::new().await;
    let (id, secret) = house.pass(json!({ "name": "Grace", "doors": ["front"], "terms": { "uses": 2 } })).await;
    let command = json!({ "id": house.web.house().clock().uuid() });
    house.opens(&secret, "front", command.clone()).await.ok(200);
    house.opens(&secret, "front", command).await.ok(200);
    assert_eq!(house.moves().await, ["front unlock"]);
    assert_eq!(house.admin("GET", format!("/api/v1/passes/{id}")).await.send().await.ok(200)["used"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_for_one_door_opens_no_other_and_nothing_else_of_the_house() {
    let house = House::new().await;
    let (_, secret) = house.pass(json!({ "name": "Grace", "doors": ["front"] })).await;
    house.opens(&secret, "gate", json!({})).await.problem(404);
    house.opens(&secret, "nowhere", json!({})).await.problem(404);
    for path in ["/api/v1/doors", "/api/v1/passes", "/api/v1/events"] {
        house.ask("GET", path).token(&secret).send().await.problem(401);
    }
    let token = house.token(&["admin"]).await;
    house.looks(&token).await.problem(401);
    let (cookie, _) = house.session().await;
    house.ask("POST", "/p/look").header("Cookie", &cookie).send().await.problem(401);
    assert_eq!(house.moves().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_outside_its_hours_says_so_and_opens_nothing() {
    let house = House::new().await;
    let terms = json!({ "hours": ["08:00-11:00"], "weekdays": ["mon"] });
    let (_, secret) = house.pass(json!({ "name": "Grace", "doors": ["front"], "terms": terms })).await;
    let seen = house.looks(&secret).await.ok(200);
    assert_eq!((&seen["doors"][0]["allowed"], &seen["terms"]), (&json!(false), &json!("Mon, 08:00–11:00")));
    let tried = house.opens(&secret, "front", json!({})).await;
    assert_eq!(tried.ok(200)["attempt"]["detail"], "not at this hour");
    assert_eq!(house.moves().await, Vec::<String>::new());
    let refused = items(&house.admin("GET", "/api/v1/events?kind=door.refused").await.send().await);
    assert_eq!((&refused[0]["reason"], &refused[0]["actor"]["kind"]), (&json!("out_of_hours"), &json!("pass")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_with_a_pin_opens_with_it_alone_and_five_wrong_ones_block_it() {
    let house = House::new().await;
    for wrong in ["123", "123456789", "12a4", ""] {
        let body = json!({ "name": "Grace", "doors": ["front"], "pin": wrong });
        house.admin("POST", "/api/v1/passes").await.json(&body).send().await.problem(422);
    }
    let (_, secret) = house.pass(json!({ "name": "Grace", "doors": ["front"], "pin": "4711" })).await;
    assert_eq!(house.looks(&secret).await.ok(200)["needs_pin"], true);
    house.opens(&secret, "front", json!({})).await.problem(422);
    for _ in 0..5 {
        house.opens(&secret, "front", json!({ "pin": "1234" })).await.problem(422);
    }
    house.opens(&secret, "front", json!({ "pin": "4711" })).await.problem(429);
    assert_eq!(house.moves().await, Vec::<String>::new());
    house.clock.advance(Duration::from_mins(16));
    house.opens(&secret, "front", json!({ "pin": "4711" })).await.ok(200);
    assert_eq!(house.moves().await, ["front unlock"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_of_a_resident_ends_with_what_the_resident_may() {
    let house = House::new().await;
    let (id, cookie) = house.somebody("Resi", "resident").await;
    let (_, other) = house.somebody("Gus", "guest").await;
    let make = |cookie: &str, door: &str| {
        let ask = house.ask("POST", "/api/v1/passes").header("Cookie", cookie).header("X-CSRF-Token", "the-csrf-token");
        ask.json(&json!({ "name": "Friend", "doors": [door] }))
    };
    make(&cookie, "front").send().await.problem(403);
    let grant = json!({ "person": id, "doors": ["front"] });
    let grant = house.admin("POST", "/api/v1/grants").await.json(&grant).send().await.ok(201);
    make(&cookie, "gate").send().await.problem(403);
    make(&other, "front").send().await.problem(403);
    let given = make(&cookie, "front").send().await.ok(201);
    let secret = given["link"].as_str().unwrap().split_once('#').unwrap().1.to_owned();
    house.opens(&secret, "front", json!({})).await.ok(200);
    let page = house.ask("GET", "/passes").header("Cookie", &cookie).send().await;
    assert!(page.text().contains("Friend"));
    let (foreign, _) = house.pass(json!({ "name": "Of the house", "doors": ["front"] })).await;
    house.ask("GET", format!("/api/v1/passes/{foreign}/link")).header("Cookie", &cookie).send().await.problem(404);

    house.admin("DELETE", format!("/api/v1/grants/{}", grant["id"].as_str().unwrap())).await.send().await;
    house.opens(&secret, "front", json!({})).await.problem(404);
    assert_eq!(house.moves().await, ["front unlock"]);
    house.somebody("Ada", "administrator").await;
    assert_eq!(house.admin("DELETE", format!("/api/v1/people/{id}")).await.send().await.status, 204);
    house.looks(&secret).await.problem(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_guesses_passes_is_slowed_down_counted_and_told_nothing() {
    let house = House::new().await;
    let (_, secret) = house.pass(json!({ "name": "Grace", "doors": ["front"] })).await;
    let mut limited = 0;
    for number in 0..30 {
        let guess = format!("dwp_{number:0>43}");
        let answer = house.looks(&guess).await;
        assert!(matches!(answer.status, 401 | 429));
        limited += u32::from(answer.status == 429);
    }
    assert!(limited > 0, "more wrong links than people follow");
    house.looks(&secret).await.ok(200);
    for wrong in ["", "dwp_", "Bearer x", "dwp_ü"] {
        let answer = house.ask("POST", "/p/look").header("Authorization", format!("Bearer {wrong}")).send().await;
        assert!(matches!(answer.status, 400 | 401 | 429), "{}", answer.status);
    }
    let big = json!({ "id": "x".repeat(8000) });
    let answer = house.ask("POST", "/p/open").token(&secret).json(&big).send().await;
    assert_eq!(answer.status, 413);
    let foreign = house.ask("POST", "/p/look").token(&secret).header("Origin", "https://evil.example").send().await;
    assert_eq!(foreign.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_is_made_on_its_page_shown_extended_and_taken_back() {
    let house = House::new().await;
    house.session().await;
    let form = house.look("/passes/new").await;
    assert!(form.text().contains("door:front") && form.text().contains("value=\"4h\" checked"));
    let none = house.form("/passes/new", "for=4h&name=Grace").send().await;
    assert_eq!(none.status, 422);
    assert!(none.text().contains("value=\"Grace\""), "what was filled in stays");
    let made = house.form("/passes/new", "for=4h&door%3Afront=on").send().await;
    let place = crate::pages::led_to(&made).split('?').next().unwrap().to_owned();
    let page = house.look(&place).await;
    for shown in ["<svg class=\"qr\"", "/p#dwp_", "Front door".to_lowercase().split(' ').next().unwrap(), "Active", "never"] {
        assert!(page.text().contains(shown), "{shown}");
    }
    let secret = page.text().split("/p#").nth(1).unwrap().split('"').next().unwrap().to_owned();
    assert_eq!(house.looks(&secret).await.ok(200)["until"], "2026-11-23T16:00:00.000Z");
    assert_eq!(house.form(&format!("{place}/extend"), "by=1d").send().await.status, 303);
    assert_eq!(house.looks(&secret).await.ok(200)["until"], "2026-11-24T16:00:00.000Z");
    assert_eq!(house.form(&format!("{place}/remove"), "").send().await.status, 409, "it still opens doors");
    assert_eq!(house.form(&format!("{place}/revoke"), "").send().await.status, 303);
    let page = house.look(&place).await;
    assert!(page.text().contains("Taken back") && !page.text().contains("dwp_"), "a link that opens nothing is not shown");
    assert_eq!(house.looks(&secret).await.ok(200)["state"], "revoked");
    assert_eq!(house.form(&format!("{place}/remove"), "").send().await.status, 303);
}
