//! Rings, as programs and browsers see them: what rings, what came of it, and who may do something about it.

use crate::support::{House, items};
use doorward_wire::ring::RingState;
use serde_json::{Value, json};
use std::time::Duration;

const STREAM: &str = "http://192.168.1.5:1984/stream.html?src=front";

impl House {
    async fn kinds(&self) -> Vec<(String, Value)> {
        let events = items(&self.admin("GET", "/api/v1/events").await.send().await);
        let rings = events.into_iter().filter(|event| event["data"]["ring"].is_string());
        rings.map(|event| (event["kind"].as_str().unwrap().to_owned(), event["data"]["state"].clone())).collect()
    }

    async fn with_stream(&self, door: &str) {
        self.admin("PATCH", format!("/api/v1/doors/{door}")).await.json(&json!({ "stream": STREAM })).send().await.ok(200);
        let there = |house: &Self| house.web.house().board().door(&door.parse().unwrap()).unwrap().stream.is_some();
        self.until(there).await;
    }

    async fn unlock_by_form(&self, door: &str, number: u128) {
        let id = uuid::Uuid::from_u128(number);
        self.form(&format!("/doors/{door}/actions"), &format!("action=unlock&id={id}")).send().await;
        self.until(|house| house.web.house().board().attempt(id).is_some_and(|attempt| attempt.state.is_final())).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ring_is_ignored_once_however_often_that_is_said() {
    let house = House::new().await;
    let ring = house.rings("front", "call-1").await;
    let path = format!("/api/v1/rings/{}", ring.id);
    let shown = house.admin("GET", &path).await.send().await.ok(200);
    assert_eq!(
        (&shown["door"], &shown["state"], &shown["from"], &shown["since"]),
        (&json!("front"), &json!("ringing"), &json!("Main <entrance>"), &json!("2026-11-23T12:00:00.000Z"))
    );
    let ignored = house.admin("POST", format!("{path}/ignore")).await.send().await.ok(200);
    assert_eq!((&ignored["state"], &ignored["by"]["kind"]), (&json!("rejected"), &json!("token")));
    for verb in ["ignore", "answer"] {
        assert_eq!(house.admin("POST", format!("{path}/{verb}")).await.send().await.ok(200), ignored, "it is over");
    }
    house.rings_over("call-1", "cancelled").await;
    assert_eq!(house.admin("GET", &path).await.send().await.ok(200), ignored);
    assert_eq!(house.moves().await, ["call-1 rejected"], "the driver ends its call");
    assert_eq!(house.kinds().await, [("door.ring".into(), Value::Null), ("door.ring_ended".into(), json!("rejected"))]);
    assert_eq!(items(&house.admin("GET", "/api/v1/rings").await.send().await), [ignored]);
    assert!(house.web.house().store().audit_verify().await.unwrap().ok);
}

#[tokio::test(flavor = "multi_thread")]
async fn rings_are_read_newest_first_in_pages() {
    let house = House::new().await;
    let mut rang = Vec::new();
    for number in 0..5 {
        let door = if number == 2 { "gate" } else { "front" };
        rang.push(house.rings(door, &format!("call-{number}")).await.id.to_string());
        house.rings_over(&format!("call-{number}"), "cancelled").await;
        house.clock.advance(Duration::from_secs(3));
    }
    let last = house.rings("front", "call-9").await.id.to_string();
    let _ = house.web.house().record(Vec::new()).await;
    let read = async |query: &str| {
        let page = house.admin("GET", format!("/api/v1/rings?{query}")).await.send().await.ok(200);
        let ids: Vec<String> = page["items"].as_array().unwrap().iter().map(|ring| ring["id"].as_str().unwrap().to_owned()).collect();
        (ids, page["next"].as_str().map(ToOwned::to_owned))
    };
    assert_eq!(read("limit=2").await, (vec![last.clone(), rang[4].clone()], Some(rang[4].clone())));
    assert_eq!(read(&format!("limit=9&before={}", rang[3])).await, (vec![rang[2].clone(), rang[1].clone(), rang[0].clone()], None));
    assert_eq!(read("door=gate").await.0, [rang[2].clone()]);
    assert_eq!(read("state=ringing").await.0, [last]);
    for wrong in ["state=loud", "before=1", "door=A+b", "limit=x"] {
        house.admin("GET", format!("/api/v1/rings?{wrong}")).await.send().await.problem(400);
    }
    house.admin("GET", "/api/v1/rings/1").await.send().await.problem(404);
    house.admin("GET", format!("/api/v1/rings/{}", uuid::Uuid::nil())).await.send().await.problem(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_ignoring_a_ring_needs_the_right() {
    let house = House::new().await;
    let ring = house.rings("front", "call-1").await.id;
    let (cookie, _) = house.session().await;
    for verb in ["ignore", "answer"] {
        let path = format!("/api/v1/rings/{ring}/{verb}");
        for (scopes, status) in [
            (vec!["doors:read"], 403),
            (vec!["events:read"], 403),
            (vec!["doors:act:gate"], 404),
            (vec!["doors:read", "doors:act:gate"], 403),
        ] {
            let token = house.token(&scopes).await;
            house.ask("POST", &path).token(&token).send().await.problem(status);
        }
        house.ask("POST", &path).header("Cookie", &cookie).send().await.problem(403);
        assert_eq!(house.ask("POST", &path).send().await.status, 401);
    }
    assert_eq!(house.web.house().board().ring(ring).unwrap().state, RingState::Ringing);
    assert!(house.moves().await.is_empty());
    let narrow = house.token(&["doors:act:gate"]).await;
    house.ask("GET", format!("/api/v1/rings/{ring}")).token(&narrow).send().await.problem(404);
    assert!(items(&house.ask("GET", "/api/v1/rings").token(&narrow).send().await).is_empty());

    let right = house.token(&["doors:act:front"]).await;
    assert_eq!(items(&house.ask("GET", "/api/v1/rings").token(&right).send().await).len(), 1);
    assert_eq!(house.ask("POST", format!("/api/v1/rings/{ring}/ignore")).token(&right).send().await.ok(200)["state"], "rejected");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_opens_from_the_event_and_tells_what_came_of_the_ring() {
    let house = House::new().await;
    house.session().await;
    assert!(house.look("/rings").await.text().contains("Nobody has rung yet"));
    let ring = house.rings("front", "call-1").await.id;
    let path = format!("/rings/{ring}");
    let _ = house.web.house().record(Vec::new()).await;
    let link = format!("href=\"{path}\"");
    for page in ["/events", "/doors/front", "/rings", "/doors"] {
        assert!(house.look(page).await.text().contains(&link), "{page}");
    }
    let page = house.look(&path).await;
    let text = page.text();
    for words in [
        "Somebody rings at front",
        "Main &#60;entrance&#62;",
        "action=\"/doors/front/actions\"",
        "value=\"unlock\"",
        &format!("action=\"{path}/ignore\""),
        &format!("<noscript><meta http-equiv=\"refresh\" content=\"2;url={path}\">"),
    ] {
        assert!(text.contains(words), "{words}");
    }
    assert!(!text.contains("/answer") && !text.contains("class=\"banner busy\""), "no picture, and no banner on its own page");
    assert!(house.look("/accounts").await.text().contains("class=\"banner busy\""));

    house.unlock_by_form("front", 1).await;
    house.until(|house| house.web.house().board().ring(ring).is_some_and(|ring| ring.state == RingState::Opened)).await;
    let page = house.look(&path).await;
    assert!(page.text().contains("Ada opened front for whoever rang") && page.text().contains("Confirmed unlocked"), "{}", page.text());
    assert!(!page.text().contains("/ignore"), "there is nothing to ignore any more");
    assert!(!house.look("/accounts").await.text().contains("class=\"banner busy\""));
    assert_eq!(house.moves().await, ["front unlock", "call-1 opened"]);
    // Lists are read from the store: what came before this is in it.
    let _ = house.web.house().record(Vec::new()).await;
    assert!(house.look("/rings?door=front").await.text().contains("Ada opened front for whoever rang"));
    assert!(house.look("/rings?door=gate").await.text().contains("Nobody has rung yet"));
    assert_eq!(house.look(&format!("/rings/{}", uuid::Uuid::nil())).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ring_is_ignored_on_its_page() {
    let house = House::new().await;
    house.session().await;
    let ring = house.rings("front", "call-1").await.id;
    let path = format!("/rings/{ring}");
    let fragment = house.form(&format!("{path}/ignore"), "").header("X-Live", format!("ring:{ring}")).send().await;
    assert!(fragment.text().trim_start().starts_with("<article") && fragment.text().contains("Ada ignored the ring at front"));
    let again = house.form(&format!("{path}/ignore"), "").send().await;
    assert_eq!((again.status, again.header("location")), (303, Some(path.as_str())));
    assert_eq!(house.moves().await, ["call-1 rejected"]);

    let ring = house.rings("gate", "call-2").await.id;
    house.rings_over("call-2", "answered_elsewhere").await;
    let late = house.form(&format!("/rings/{ring}/ignore"), "").send().await;
    assert_eq!(late.status, 303);
    assert!(house.look(&format!("/rings/{ring}")).await.text().contains("The ring at gate was answered elsewhere"));
}

#[tokio::test(flavor = "multi_thread")]
async fn looking_answers_the_ring_and_leads_to_the_picture() {
    let house = House::new().await;
    house.session().await;
    house.with_stream("front").await;
    let ring = house.rings("front", "call-1").await.id;
    let path = format!("/rings/{ring}");
    let page = house.look(&path).await;
    let form = format!("action=\"{path}/answer\" target=\"_blank\" rel=\"noopener\"");
    assert!(page.text().contains(&form) && !page.text().contains(STREAM));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("form-action 'self' http://192.168.1.5:1984;") && policy.contains("script-src 'self';"), "{policy}");
    assert!(house.look("/doors").await.header("content-security-policy").unwrap().contains("form-action 'self';"));

    let led = house.form(&format!("{path}/answer"), "").send().await;
    assert_eq!((led.status, led.header("location")), (303, Some(STREAM)));
    let page = house.look(&path).await;
    assert!(page.text().contains("Ada answered the ring at front") && page.text().contains(&format!("href=\"{STREAM}\"")));
    assert_eq!(house.moves().await, ["call-1 answered"]);

    let nowhere = house.rings("gate", "call-2").await.id;
    let led = house.form(&format!("/rings/{nowhere}/answer"), "").send().await;
    assert_eq!((led.status, led.header("location")), (303, Some(format!("/rings/{nowhere}").as_str())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ring_of_a_removed_door_is_over_and_stays_in_the_history() {
    let house = House::new().await;
    house.session().await;
    let ring = house.rings("front", "call-1").await.id;
    house.admin("DELETE", "/api/v1/doors/front").await.send().await.ok(204);
    house.until(|house| house.web.house().board().ring(ring).is_some_and(|ring| ring.state.is_final())).await;
    let page = house.look(&format!("/rings/{ring}")).await;
    assert_eq!(page.status, 200);
    assert!(page.text().contains("Nobody answered the ring at front") && !page.text().contains("action=\"/doors/"));
    let _ = house.web.house().record(Vec::new()).await;
    assert!(house.look("/rings?door=front").await.text().contains("Nobody answered the ring at front"));
    assert_eq!(house.admin("POST", format!("/api/v1/rings/{ring}/ignore")).await.send().await.ok(200)["state"], "timeout");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_tells_of_a_ring_from_its_beginning_to_its_end() {
    let house = House::new().await;
    let (cookie, _) = house.session().await;
    let follow = async |view: String| house.ask("GET", format!("/live?view={view}")).header("Cookie", &cookie).follow().await;
    let (mut overview, mut door) = (follow("doors".into()).await, follow("door:front".into()).await);
    let mut history = follow("rings:front".into()).await;
    let mut others = follow("rings:gate".into()).await;
    let ring = house.rings("front", "call-1").await.id;
    let (rings_here, link) = ("Somebody rings here: Main", format!("href=\"/rings/{ring}\""));
    overview.tells(&[rings_here, &link, "class=\"banner busy\""]).await;
    door.tells(&[rings_here, &link]).await;
    let item = format!("id=\"rang-{ring}\"");
    history.tells(&[&item, "Somebody rings at front"]).await;
    let mut page = follow(format!("ring:{ring}")).await;
    page.tells(&[&format!("id=\"ring-{ring}\""), "Somebody rings at front", "/ignore", "id=\"door-front\""]).await;

    house.rings_over("call-1", "cancelled").await;
    for stream in [&mut history, &mut page] {
        stream.tells(&["Whoever rang at front gave up"]).await;
    }
    overview.tells(&["id=\"door-front\"", "id=\"banners\" class=\"banners\"></div>"]).await;
    let other = house.rings("gate", "call-2").await.id;
    others.tells(&[&format!("id=\"rang-{other}\"")]).await;
    page.tells(&[&format!("href=\"/rings/{other}\"")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_whoever_rings_is_seen_is_set_on_the_doors_page() {
    let house = House::new().await;
    house.session().await;
    let stream = |address: &str| format!("name=Front&stream={}", address.replace('?', "%3F").replace('=', "%3D"));
    for wrong in ["javascript:alert(1)", "http://ada:secret@cam/", "rtsp://cam/1"] {
        let answer = house.form("/doors/front/settings", &stream(wrong)).send().await;
        assert_eq!(answer.status, 422, "{wrong}");
        assert!(answer.text().contains("value=\"Front\""), "what was typed is still there");
        house.admin("PATCH", "/api/v1/doors/front").await.json(&json!({ "stream": wrong })).send().await.problem(422);
    }
    assert_eq!(house.form("/doors/front/settings", &stream(STREAM)).send().await.status, 303);
    assert!(house.look("/doors/front/settings").await.text().contains("value=\"http://192.168.1.5:1984/stream.html?src=front\""));
    let door = house.admin("GET", "/api/v1/doors/front").await.send().await.ok(200);
    assert_eq!(door["stream"], STREAM);
    house.admin("PATCH", "/api/v1/doors/front").await.json(&json!({ "name": "Door" })).send().await.ok(200);
    assert!(house.look("/doors/front/settings").await.text().contains("src=front"), "what is not named stays");
    let without = house.admin("PATCH", "/api/v1/doors/front").await.json(&json!({ "stream": "" })).send().await.ok(200);
    assert!(without.get("stream").is_none());
}
