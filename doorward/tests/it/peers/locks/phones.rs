//! Phones with a program of their own: how they are enrolled, what they open, and what they do not.

use super::*;
use crate::peers::{brokers::Mosquitto, mosquitto::User};

/// Mia, who may open the door, and an invite for a phone of hers.
fn mia(scene: &Scene) -> String {
    scene.does(&["person", "add", "Mia", "--role", "guest"]);
    scene.does(&["person", "grant", "Mia", "--door", DOOR]);
    let invite = scene.json(&["person", "invite-phone", "Mia"]);
    assert_eq!((&invite["beacon"], &invite["locks"][0]["lock"]), (&"IssuerBeacon".into(), &DOOR.into()));
    invite["invite"].as_str().unwrap().to_owned()
}

fn grant(scene: &Scene) -> String {
    let grants = scene.json(&["person", "grants"]);
    grants.as_array().unwrap()[0]["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_that_was_invited_opens_once_as_it_comes_near_and_its_invite_is_used_up() {
    let scene = Scene::start().await;
    let invite = mia(&scene);
    let phone = scene.phone("phone", 1, Some(invite.clone())).await;
    let held = phone.asks().await.unwrap();
    let near = async {
        scene.refuses("weak_signal").await;
        assert_eq!(scene.opened(), 0, "it is far away");
        phone.comes(&scene);
        scene.opens(1).await;
        // Whoever stays at the door is let in once.
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert_eq!(scene.opened(), 1);
    };
    phone.shows(&held, near).await;
    let events = scene.binary().client().get(&format!("/events?door={DOOR}&kind=attempt.requested")).await;
    assert_eq!(events["items"][0]["actor"]["name"], "Mia", "{events}");
    // Later it needs none, and another phone gets nothing by it.
    phone.asks().await.unwrap();
    let other = scene.phone("other", 2, Some(invite)).await;
    assert!(other.asks().await.unwrap_err().contains("invite_refused"));
    let stranger = scene.phone("stranger", 3, None).await;
    assert!(stranger.asks().await.unwrap_err().contains("not_enrolled"));
    let phones = scene.json(&["person", "phones", "Mia"]);
    assert_eq!(phones.as_array().unwrap().len(), 1);
    scene.does(&["person", "phones", "Mia", "--remove", phones[0]["id"].as_str().unwrap()]);
    assert!(phone.asks().await.unwrap_err().contains("invite_refused"), "it is forgotten, and its invite is used up");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_is_revoked_while_the_token_is_in_the_air_opens_nothing() {
    let scene = Scene::start().await;
    let phone = scene.phone("phone", 1, Some(mia(&scene))).await;
    let held = phone.asks().await.unwrap();
    let revoked = async {
        scene.refuses("weak_signal").await;
        scene.does(&["person", "ungrant", &grant(&scene)]);
        phone.comes(&scene);
        // The house says no by itself, or the lock was told already: whichever is first.
        let client = scene.binary().client();
        until("it is refused", async || {
            let events = client.get("/events?kind=door.refused").await;
            events["items"].as_array().unwrap().iter().any(|event| event["reason"] == "revoked" || event["reason"] == "no_grant")
        })
        .await;
    };
    phone.shows(&held, revoked).await;
    assert_eq!(scene.opened(), 0);
    assert!(phone.asks().await.unwrap_err().contains("no_grant"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_no_later_than_the_grant_that_it_was_given_for() {
    let scene = Scene::start().await;
    scene.does(&["person", "add", "Mia", "--role", "guest"]);
    scene.does(&["person", "grant", "Mia", "--door", DOOR, "--for", "2m"]);
    let invite = scene.json(&["person", "invite-phone", "Mia"])["invite"].as_str().unwrap().to_owned();
    let phone = scene.phone("phone", 1, Some(invite)).await;
    let held = phone.asks().await.unwrap();
    assert!(held.end().since(phone.clock.utc()) <= Duration::from_mins(2), "five minutes are for longer grants");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_it_opened_a_replayed_token_and_the_same_approach_open_nothing() {
    let mut scene = Scene::start().await;
    let phone = scene.phone("phone", 1, Some(mia(&scene))).await;
    let held = phone.asks().await.unwrap();
    let listener = scene.air.eavesdrop(Place::new(3.0, 0.0, 0.0));
    phone.comes(&scene);
    phone.shows(&held, scene.opens(1)).await;
    phone.goes(&scene);
    scene.killed().await;
    let tokens: Vec<_> = listener.heard().into_iter().filter(|heard| heard.bytes.len() >= 32).collect();
    assert!(!tokens.is_empty());
    for token in &tokens {
        listener.replay(token, Place::new(0.0, 0.0, 0.0));
    }
    // Its window goes by, and it is played once more.
    tokio::time::sleep(Duration::from_secs(7)).await;
    for token in &tokens {
        listener.replay(token, Place::new(0.0, 0.0, 0.0));
    }
    scene.refuses("replay").await;
    assert_eq!(scene.opened(), 1);
    // The session is still known, by the lock and by the house: half a minute after it was seen, it opens again.
    tokio::time::sleep(Duration::from_secs(31)).await;
    phone.comes(&scene);
    phone.shows(&held, scene.opens(2)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_a_session_while_mqtt_is_away_and_they_do_when_it_is_back() {
    let mut broker = Mosquitto::start(&[("doorward", "secret")], "");
    let url = format!("mqtt://doorward@127.0.0.1:{}", broker.port);
    let scene = Scene::with("", &[("DOORWARD_MQTT__BROKER", &url), ("DOORWARD_MQTT__PASSWORD", "secret")]).await;
    let phone = scene.phone("phone", 1, Some(mia(&scene))).await;
    broker.halt();
    assert!(phone.asks().await.unwrap_err().contains("internal_error"));
    broker.run();
    let mut held = None;
    until("the broker is back", async || {
        held = phone.asks().await.ok();
        held.is_some()
    })
    .await;
    phone.comes(&scene);
    phone.shows(&held.unwrap(), scene.opens(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_that_was_signed_for_a_phone_opens_until_all_of_them_are_ended() {
    let scene = Scene::start().await;
    let phone = scene.phone("phone", 1, Some(mia(&scene))).await;
    phone.asks().await.unwrap();
    let id = scene.json(&["person", "phones", "Mia"])[0]["id"].as_str().unwrap().to_owned();
    let file = scene.path().join("mia.pass");
    let sign = ["pass", "offline", &id, "--door", DOOR, "--for", "2d", "--out", file.to_str().unwrap()];
    scene.does(&sign);
    let pass = std::fs::read(&file).unwrap();
    phone.comes(&scene);
    phone.presents(&pass).await.unwrap();
    scene.opens(1).await;
    let events = scene.binary().client().get(&format!("/events?door={DOOR}&kind=attempt.requested")).await;
    assert_eq!(events["items"][0]["actor"]["name"], "Mia", "{events}");
    // Somebody else who has the file has not the phone's key.
    let thief = scene.phone("thief", 2, None).await;
    thief.comes(&scene);
    assert!(thief.presents(&pass).await.is_err());
    assert_eq!(scene.json(&["pass", "offline-end", "--door", DOOR])["ended"], 1);
    // The lock may hear of it a moment later: the house knows at once, and so no door opens.
    assert!(phone.presents(&pass).await.is_err());
    scene.refuses("revoked").await;
    assert_eq!(scene.opened(), 1);
    // One that is signed now is good again, and one of a right that is taken back is not.
    scene.does(&sign);
    let pass = std::fs::read(&file).unwrap();
    phone.presents(&pass).await.unwrap();
    scene.opens(2).await;
    scene.does(&["person", "ungrant", &grant(&scene)]);
    assert!(phone.presents(&pass).await.is_err());
    assert!(!run(scene.path(), &sign).status.success(), "there is no right any more");
    assert_eq!(scene.opened(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_without_a_key_gets_nothing_unless_a_pass_is_named_for_those() {
    let scene = Scene::start().await;
    let plain = |scene: &Scene| {
        let config = Config { search: Duration::from_secs(6), ..Config::new(DOOR.parse().unwrap()) };
        (Guest::new(config, Enrolment::Plain), scene.air.address())
    };
    let (guest, _) = plain(&scene);
    let radio = scene.radio("plain", 5, NEAR).await;
    let clock = PhoneClock::new();
    assert!(guest.session(&radio as &dyn Radio, &clock, &|_| {}).await.is_err(), "it is off");
    let pass = scene.json(&["pass", "create", "Old phones", "--door", DOOR, "--for", "1h"])["id"].as_str().unwrap().to_owned();
    let mut scene = scene;
    scene.environment.push(("DOORWARD_BLE__PLAIN".into(), pass.clone()));
    scene.killed().await;
    let held = guest.session(&radio as &dyn Radio, &clock, &|_| {}).await.unwrap();
    let shown = Phone { name: "plain", guest, radio, clock };
    shown.shows(&held, scene.opens(1)).await;
    let events = scene.binary().client().get(&format!("/events?door={DOOR}&kind=attempt.requested")).await;
    assert_eq!(events["items"][0]["actor"]["id"], pass, "{events}");
    scene.does(&["pass", "revoke", &pass]);
    assert!(shown.asks().await.is_err(), "its pass was taken back");
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_who_is_erased_has_nothing_left_at_locks() {
    let scene = Scene::start().await;
    let phone = scene.phone("phone", 1, Some(mia(&scene))).await;
    phone.asks().await.unwrap();
    let kept = scene.json(&["person", "export", "Mia"]);
    let id = kept["phones"][0]["id"].as_str().unwrap();
    let file = scene.path().join("mia.pass");
    scene.does(&["pass", "offline", id, "--door", DOOR, "--out", file.to_str().unwrap()]);
    let all = scene.json(&["person", "export", "Mia"])["radio_sessions"].clone();
    let all: Vec<&str> = all.as_array().unwrap().iter().map(|session| session["id"].as_str().unwrap()).collect();
    assert_eq!(all.len(), 2, "a session and a pass");
    let made = scene.json(&["mqtt", "user", "add", "reader", "--subscribe", "locks/garden/revoked"]);
    let reader = User::new("reader", made["secret"].as_str().unwrap(), &scene.binary().mqtt_port());
    scene.does(&["person", "erase", "Mia"]);
    let told = reader.keeps("locks/garden/revoked").unwrap_or_default();
    assert!(all.iter().all(|id| told.contains(id)), "{told}");
    phone.comes(&scene);
    assert!(phone.presents(&std::fs::read(&file).unwrap()).await.is_err());
    assert!(phone.asks().await.is_err());
    assert_eq!(scene.opened(), 0);
}
