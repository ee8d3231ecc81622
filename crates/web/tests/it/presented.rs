//! What is presented at a lock by radio: whose it is, and what they may do at that moment.

use crate::support::{House, items};
use doorward_core::driver::{Action, Family, Fault};
use doorward_store::{BleSession, Enrol, LockTold, PhoneOf};
use doorward_wire::attempt::Reason;
use serde_json::{Value, json};
use std::time::Duration;

impl House {
    async fn session_at(&self, nonce: &str, door: &str, of: PhoneOf) {
        let (issued, door) = (self.web.house().now().utc, door.parse().unwrap());
        let expires = issued.plus(Duration::from_mins(5));
        let session =
            BleSession { nonce: nonce.into(), door, of, phone: "print".into(), issued, expires, revoked: None, told: LockTold::default() };
        self.web.house().store().add_ble_session(&session, &Enrol::Known).await.unwrap();
    }

    async fn presents(&self, what: &str) {
        self.web.house().call(&self.account, Action::Call(format!("present {what}"))).await.unwrap();
    }

    async fn calls(&self, what: &str) -> Result<(), Fault> {
        self.web.house().call(&self.account, Action::Call(what.into())).await.map(drop)
    }

    /// Waits until so many attempts at doors have been written down as asked for or refused.
    async fn heard(&self, count: usize) -> Vec<Value> {
        for _ in 0..5000 {
            let events = items(&self.admin("GET", "/api/v1/events").await.send().await);
            let heard: Vec<Value> =
                events.into_iter().filter(|event| matches!(event["kind"].as_str(), Some("attempt.requested" | "door.refused"))).collect();
            if heard.len() >= count {
                return heard;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        panic!("it was not heard");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_opens_as_whoever_holds_it() {
    let house = House::new().await;
    let made = house.admin("POST", "/api/v1/passes").await.json(&json!({ "name": "Grace", "doors": ["front"] })).send().await.ok(201);
    let pass = made["id"].as_str().unwrap().to_owned();
    house.session_at("nonce", "front", PhoneOf::Pass(pass.clone())).await;
    house.presents("front nonce").await;
    let heard = house.heard(1).await;
    assert_eq!((&heard[0]["actor"]["kind"], &heard[0]["actor"]["id"]), (&json!("pass"), &json!(pass)));
    house.until(|house| house.web.house().board().door(&"front".parse().unwrap()).is_some_and(|door| door.attempt.is_some())).await;
    let used = items(&house.admin("GET", "/api/v1/events?kind=pass.used").await.send().await);
    assert_eq!(used[0]["data"]["how"], "ble");
    assert_eq!(house.moves().await, ["front unlock"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_is_revoked_while_the_token_is_in_the_air_opens_nothing() {
    let house = House::new().await;
    let made = house.admin("POST", "/api/v1/passes").await.json(&json!({ "name": "Grace", "doors": ["front"] })).send().await.ok(201);
    let pass = made["id"].as_str().unwrap().to_owned();
    house.session_at("nonce", "front", PhoneOf::Pass(pass.clone())).await;
    house.admin("POST", format!("/api/v1/passes/{pass}/revoke")).await.send().await.ok(200);
    house.presents("front nonce").await;
    let heard = house.heard(1).await;
    assert_eq!((&heard[0]["kind"], &heard[0]["reason"]), (&json!("door.refused"), &json!("revoked")));
    assert_eq!(house.moves().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_another_door_or_of_nobody_or_taken_back_opens_nothing() {
    let house = House::new().await;
    let made = house.admin("POST", "/api/v1/passes").await.json(&json!({ "name": "Grace", "doors": ["*"] })).send().await.ok(201);
    let of = PhoneOf::Pass(made["id"].as_str().unwrap().to_owned());
    house.session_at("of-the-gate", "gate", of.clone()).await;
    house.session_at("taken", "front", of).await;
    assert!(house.web.house().store().revoke_ble_session("taken", house.web.house().now().utc).await.unwrap());
    for what in ["front of-the-gate", "front made-up", "front taken"] {
        house.presents(what).await;
    }
    let heard = house.heard(3).await;
    let mut reasons: Vec<&str> = heard.iter().map(|event| event["reason"].as_str().unwrap()).collect();
    reasons.sort_unstable();
    assert_eq!(reasons, ["no_grant", "not_enrolled", "revoked"]);
    assert_eq!(house.moves().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_lock_vouches_for_opens_its_own_door_alone() {
    let house = House::new().await;
    house.presents("front elsewhere vouched").await;
    let heard = house.heard(1).await;
    assert_eq!((&heard[0]["kind"], &heard[0]["actor"]["id"]), (&json!("attempt.requested"), &json!("elsewhere")));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_at_a_lock_hears_what_came_of_theirs() {
    let house = House::new().await;
    assert_eq!(house.calls("present front a vouched waits").await, Ok(()));
    assert_eq!(house.calls("present gate b vouched waits").await, Ok(()), "nobody saw it move, but its driver was there");
    let unknown = house.calls("present front made-up waits").await.unwrap_err();
    assert_eq!((unknown.family, unknown.reason), (Family::Refused, Some(Reason::NotEnrolled)));
    let refused = house.calls("present attic c vouched waits").await.unwrap_err();
    assert_eq!((refused.family, refused.reason), (Family::Refused, Some(Reason::VendorRefused)));
    assert_eq!(house.moves().await, ["front unlock", "gate unlock", "attic unlock"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_door_opens_another_one_by_the_right_of_that_command_alone() {
    let house = House::new().await;
    assert_eq!(house.calls("relay front gate").await, Ok(()));
    let heard = house.heard(1).await;
    assert_eq!((&heard[0]["door"], &heard[0]["actor"]), (&json!("gate"), &json!({ "kind": "device", "id": "front" })));
    let refused = house.calls("relay front attic").await.unwrap_err();
    assert_eq!((refused.family, refused.reason), (Family::Refused, Some(Reason::VendorRefused)));
    assert_eq!(house.moves().await, ["gate unlock", "attic unlock"], "each once");
    for nowhere in ["relay front nowhere", "relay front front"] {
        let fault = house.calls(nowhere).await.unwrap_err();
        assert_eq!((fault.family, fault.reason), (Family::Refused, Some(Reason::BadRequest)), "{nowhere}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opening_that_happened_elsewhere_is_written_down_as_that_of_its_holder_and_nothing_is_sent() {
    let house = House::new().await;
    let made = house.admin("POST", "/api/v1/passes").await.json(&json!({ "name": "Grace", "doors": ["front"] })).send().await.ok(201);
    let pass = made["id"].as_str().unwrap().to_owned();
    house.session_at("nonce", "front", PhoneOf::Pass(pass.clone())).await;
    house.calls("admit front nonce").await.unwrap();
    house.calls("admit gate nobodys").await.unwrap();
    let told = async || items(&house.admin("GET", "/api/v1/events?kind=door.opened").await.send().await);
    let mut opened = told().await;
    for _ in 0..5000 {
        if opened.len() == 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
        opened = told().await;
    }
    opened.sort_by_key(|event| event["door"].to_string());
    assert_eq!((&opened[0]["door"], &opened[0]["actor"]["id"]), (&json!("front"), &json!(pass)));
    assert_eq!((&opened[0]["data"]["how"], &opened[0]["data"]["about"]["rssi"]), (&json!("ble"), &json!(-50)));
    assert_eq!((&opened[1]["actor"]["kind"], &opened[1]["actor"]["id"]), (&json!("device"), &json!("nobodys")));
    assert_eq!(items(&house.admin("GET", "/api/v1/events?kind=pass.used").await.send().await).len(), 1);
    assert_eq!(house.moves().await, Vec::<String>::new());
}
