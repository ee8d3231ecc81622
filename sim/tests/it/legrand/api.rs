//! The catalogue, and what is registered there.

use axum::http::Method;
use doorward_sim::legrand::{Faults, Person};
use serde_json::{Value, json};

use super::{CLIENT, Caller, KEY, OID, registration, start};
use crate::client::send;

const PLANTS: &str = "/servicecatalog/api/v3.0/plants";
const MODULES: &str = "/servicecatalog/api/v3.0/modules";
const ACCOUNTS: &str = "/vde/sip/v1.0/devices/gw-1234/sipaccounts";
const ACCOUNT: &str = "/vde/sip/v1.0/devices/gw-1234/sipaccount";

#[tokio::test]
async fn every_header_is_looked_at() {
    let (sim, _) = start(|_| {}).await;
    let token = sim.grant().access_token;
    let bearer = format!("Bearer {token}");
    let right = [("authorization", bearer.as_str()), ("usertoken", &token), ("ocp-apim-subscription-key", KEY)];
    let get =
        async |headers: &[(&str, &str)]| send(sim.addr(), Method::GET, PLANTS, headers, String::new()).await.expect("an answer").status;
    for (index, status) in [401, 400, 401].into_iter().enumerate() {
        for wrong in [None, Some("wrong")] {
            let mut headers = right.to_vec();
            match wrong {
                None => drop(headers.remove(index)),
                Some(wrong) => headers[index].1 = wrong,
            }
            assert_eq!(get(&headers).await, status, "{} {wrong:?}", right[index].0);
        }
    }
    assert_eq!(get(&right).await, 200);
    assert_eq!((sim.counters().unauthorized, sim.counters().malformed), (4, 2));
}

#[tokio::test]
async fn plants_are_listed_and_described() {
    let (sim, _) = start(|_| {}).await;
    let caller = Caller::new(&sim);
    let plants = caller.get(PLANTS).await.json();
    let home = json!({
        "id": "plant-1", "name": "Home", "country": "it", "type": "residential", "ownerId": OID, "ownerEmail": "user@example.com",
    });
    assert_eq!(plants[0], home);
    assert_eq!((&plants[1]["id"], plants[1].get("country")), (&json!("plant-2"), None));
    assert_eq!(caller.get(&format!("{PLANTS}/plant-1")).await.json(), home);
    assert_eq!(caller.get(&format!("{PLANTS}/nowhere")).await.status, 404);
    sim.set_faults(Faults { plant_wrapped: true, lists_wrapped: true, ..Faults::default() });
    assert_eq!(caller.get(&format!("{PLANTS}/plant-1")).await.json(), json!({ "plant": home }));
    assert_eq!(caller.get(PLANTS).await.json()["plants"][0], home);
}

#[tokio::test]
async fn modules_of_all_plants_come_together() {
    let (sim, _) = start(|_| {}).await;
    let caller = Caller::new(&sim);
    let modules = caller.get(MODULES).await.json();
    let of = |plant: &str| {
        let all = modules.as_array().expect("a list").iter().filter(|module| module["plantId"] == plant);
        all.map(|module| (module["id"].as_str().expect("an id").to_owned(), module["device"].clone())).collect::<Vec<_>>()
    };
    let named = |id: &str, device: &str| (id.to_owned(), json!(device));
    assert_eq!(of("plant-1"), [named("gw-1234", "gateway"), named("20#2", "gate"), named("21#2", "lock"), named("20", "externalUnit")]);
    assert_eq!(of("plant-2"), [named("gw-5678", "gateway"), named("30#1", "gate"), named("30", "externalUnit")]);
    assert_eq!(caller.get(&format!("{MODULES}/20%232")).await.json()["name"], "Driveway gate");
    assert_eq!(caller.get(&format!("{MODULES}/nothing")).await.status, 404);
    sim.set_faults(Faults { gateway_with_entity_id: true, plant_id_in_snake_case: true, lists_wrapped: true, ..Faults::default() });
    let other = caller.get(MODULES).await.json();
    assert_eq!((&other["modules"][0]["entityId"], &other["modules"][0]["plant_id"]), (&json!("gw-1234"), &json!("plant-1")));
}

#[tokio::test]
async fn what_was_deleted_at_the_vendor_is_gone() {
    let (sim, _) = start(|_| {}).await;
    let caller = Caller::new(&sim);
    sim.delete_opener("20#2", true);
    assert_eq!(caller.get(&format!("{MODULES}/20%232")).await.status, 404);
    sim.delete_plant("plant-1", true);
    assert_eq!(caller.get(PLANTS).await.json().as_array().map(Vec::len), Some(1));
    assert_eq!(caller.get(ACCOUNTS).await.status, 404);
    sim.delete_plant("plant-1", false);
    assert_eq!(caller.get(ACCOUNTS).await.status, 200);
}

#[tokio::test]
async fn a_client_is_registered_once_however_often_it_asks() {
    let (sim, _) = start(|config| config.accounts_max = 2).await;
    let caller = Caller::new(&sim);
    assert_eq!(caller.get(ACCOUNTS).await.json(), json!([]));
    let first = caller.register().await;
    assert_eq!(first.status, 201);
    let account = first.json();
    assert_eq!(account["sipUri"], format!("{OID}_{CLIENT}@gw-1234.bs.iotleg.com"));
    assert_eq!((&account["username"], &account["userOid"]), (&json!("user@example.com"), &json!(OID)));
    assert_eq!(account["sipPassword"].as_str().map(str::len), Some(8));
    let again = caller.register().await;
    assert_eq!((again.status, again.json()), (200, account.clone()));
    assert_eq!(caller.get(ACCOUNTS).await.json(), json!([account]));
    assert_eq!(caller.post(ACCOUNT, &registration("230325245365814065359")).await.status, 201);
    assert_eq!(caller.post(ACCOUNT, &registration("330325245365814065359")).await.status, 400, "there is no room for a third");
    assert_eq!(sim.counters().accounts_made, 2);
}

#[tokio::test]
async fn a_registration_that_is_written_wrongly_is_refused() {
    let (sim, _) = start(|_| {}).await;
    let caller = Caller::new(&sim);
    let spoil = |name: &str, value: Value| {
        let mut body = registration(CLIENT);
        body[name] = value;
        body
    };
    let wrong = [
        registration("0303252453658140653590"),
        registration("12345"),
        registration("13032524536581406535x"),
        spoil("clientId", json!(130_325_245_365_814_u64)),
        spoil("clientName", json!("")),
        spoil("sipUri", json!("sip:somebody@gw-1234.bs.iotleg.com")),
        spoil("sipUri", Value::Null),
        json!([]),
    ];
    for body in &wrong {
        assert_eq!(caller.post(ACCOUNT, body).await.status, 400, "{body}");
    }
    assert_eq!(caller.post("/vde/sip/v1.0/devices/nowhere/sipaccount", &registration(CLIENT)).await.status, 404);
    assert_eq!(sim.counters().accounts_made, 0);
}

#[tokio::test]
async fn another_person_sees_nothing_of_it() {
    let (sim, _) = start(|config| {
        let stranger = Person { oid: "stranger".to_owned(), email: "a@example.com".to_owned(), password: "x".to_owned() };
        config.people.insert(0, stranger);
    })
    .await;
    let caller = Caller::new(&sim);
    assert_eq!(caller.get(PLANTS).await.json(), json!([]));
    assert_eq!(caller.get(MODULES).await.json(), json!([]));
    assert_eq!(caller.get(ACCOUNTS).await.status, 403);
}

#[tokio::test]
async fn phones_say_where_they_are_woken() {
    let (sim, _) = start(|_| {}).await;
    let caller = Caller::new(&sim);
    let path = "/vde/push/v1.0/devices/gw-1234/subscription";
    let body = json!({ "deviceUniqueId": "d1", "handle": "h1", "platform": "android", "language": "it" });
    let made = caller.post(path, &body).await;
    assert_eq!((made.status, &made.json()["handle"]), (201, &json!("h1")));
    let mut other = body.clone();
    other["handle"] = json!("h2");
    assert_eq!(caller.post(path, &other).await.status, 201);
    let list = caller.get(path).await.json();
    assert_eq!((list.as_array().map(Vec::len), &list[0]["handle"]), (Some(1), &json!("h2")));
    other["platform"] = Value::Null;
    assert_eq!(caller.post(path, &other).await.status, 400);
    assert_eq!(caller.get("/users/api/v3.0/users/consents/account").await.json()[0]["accepted"], true);
}
