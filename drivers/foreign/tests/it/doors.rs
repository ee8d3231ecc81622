//! What foreign doors are told, and what is told of them.

use crate::{
    conformance::spec,
    house::{bench, build, door, driver, once},
};
use doorward_core::{
    conformance::Bench,
    driver::{Action, Family, Heard, How, Message, Report, Sight, Target},
};
use doorward_sim::relay::{Mood, Relay};
use doorward_wire::door::{Capability, DoorState};
use serde_json::{Value, json};
use std::time::Duration;

fn over_mqtt() -> Value {
    json!([{
        "id": "gate",
        "name": "Garden gate",
        "open": { "mqtt": "gate/set", "payload": "OPEN" },
        "lock": { "mqtt": "gate/set", "payload": "LOCK" },
        "state": { "mqtt": "gate", "json": "lock", "locked": "LOCK", "unlocked": "UNLOCK" },
    }])
}

fn sights(bench: &Bench) -> Vec<Sight> {
    let seen = |report| if let Report::Seen { sight, .. } = report { Some(sight) } else { None };
    bench.reports().into_iter().filter_map(seen).collect()
}

#[tokio::test]
async fn what_opens_goes_out_once_and_never_late_and_what_locks_arrives() {
    let (driver, bench) = (driver(&over_mqtt()), bench());
    let offline = driver.act(&*bench, &door("gate"), Action::Open(once())).await.unwrap_err();
    assert_eq!(offline.family, Family::Offline, "without a broker nothing was sent");
    bench.join_broker();
    driver.act(&*bench, &door("gate"), Action::Open(once())).await.unwrap();
    driver.act(&*bench, &door("gate"), Action::Lock(once())).await.unwrap();
    let message = |payload: &str, fresh_for| Message { topic: "gate/set".into(), payload: payload.into(), retain: false, fresh_for };
    assert_eq!(bench.published(), [message("OPEN", Some(Duration::from_secs(10))), message("LOCK", None)]);
    let cannot = driver.act(&*bench, &door("gate"), Action::Unlock(once())).await.unwrap_err();
    assert_eq!(cannot.family, Family::Refused);
}

#[tokio::test]
async fn what_is_heard_is_told_and_what_was_kept_is_told_apart() {
    let (driver, bench) = (driver(&over_mqtt()), bench());
    let heard = |payload: &str, kept| Heard::Message { topic: "gate".into(), payload: payload.into(), kept };
    bench.say(Heard::Connected(true));
    bench.say(heard(r#"{"lock":"LOCK"}"#, true));
    bench.say(heard(r#"{"lock":"UNLOCK"}"#, false));
    bench.say(heard(r#"{"lock":"HALFWAY"}"#, false));
    bench.say(heard("no JSON", false));
    bench.say(Heard::Connected(false));
    let stop = Box::pin(bench.heard_all());
    driver.watch(&*bench, stop).await;
    let told: Vec<_> = sights(&bench).into_iter().map(|sight| (sight.how, sight.state, sight.online)).collect();
    assert_eq!(
        told,
        [
            (How::Kept, None, Some(true)),
            (How::Kept, Some(DoorState::Locked), Some(true)),
            (How::Pushed, Some(DoorState::Unlocked), Some(true)),
            (How::Pushed, Some(DoorState::Unknown), Some(true)),
            (How::Pushed, Some(DoorState::Unknown), Some(true)),
            (How::Kept, None, Some(false)),
        ]
    );
}

#[tokio::test]
async fn a_state_behind_http_is_asked_for() {
    let relay = Relay::start().await.unwrap();
    let (driver, bench) = (driver(&spec(&relay)), bench());
    let look = async || driver.act(&*bench, &door("garage"), Action::Refresh).await.unwrap().sight.unwrap().state;
    assert_eq!(look().await, Some(DoorState::Locked));
    relay.turn(true);
    assert_eq!(look().await, Some(DoorState::Unlocked));
    relay.set_mood(Mood::OutOfOrder);
    driver.act(&*bench, &Target::Account, Action::Refresh).await.unwrap();
    assert_eq!(sights(&bench).pop().unwrap().online, Some(false));
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let relay = Relay::start().await.unwrap();
    relay.set_mood(Mood::Redirects);
    let (driver, bench) = (driver(&spec(&relay)), bench());
    let fault = driver.act(&*bench, &door("garage"), Action::Open(once())).await.unwrap_err();
    assert_eq!(fault.family, Family::Refused);
    assert_eq!(relay.seen().requests, 1);
}

#[tokio::test]
async fn a_secret_is_in_no_message() {
    let mut doors = json!([{ "id": "garage", "open": { "http": "http://127.0.0.1:1/?key=hunter2", "authorization": "Bearer hunter2" } }]);
    let (driver, bench) = (driver(&doors), bench());
    let fault = driver.act(&*bench, &door("garage"), Action::Open(once())).await.unwrap_err();
    assert!(!format!("{fault:?}").contains("hunter2"), "{fault:?}");
    doors[0]["open"]["headers"] = json!({ "x y": "hunter2" });
    let mistakes = build(&doors).err().unwrap();
    assert!(!format!("{mistakes:?}").contains("hunter2"), "{mistakes:?}");
}

#[test]
fn a_door_can_do_what_is_said_of_it() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let specs: Vec<doorward_foreign::config::DoorSpec> = serde_json::from_value(over_mqtt()).unwrap();
    assert_eq!(specs[0].capabilities(), [Capability::Lock, Capability::Open]);
}

#[test]
fn every_mistake_is_told_with_its_place() {
    let doors = json!([
        { "id": "one", "open": { "mqtt": "a/+", "payload": "x" } },
        { "id": "two", "open": { "mqtt": "doorward/door/front/set", "payload": "OPEN" } },
        { "id": "three", "open": { "http": "http://example.org/open" } },
        { "id": "four", "open": { "http": "https://example.org/", "method": "BREW" } },
        { "id": "five" },
        { "id": "six", "lock": { "mqtt": "a" }, "state": { "mqtt": "a" } },
        { "id": "seven", "lock": { "http": "ftp://relay/" }, "state": { "locked": "1" } },
        { "id": "eight", "lock": { "mqtt": "a", "payload": "x", "http": "https://example.org" } },
    ]);
    let mistakes = build(&doors).err().unwrap();
    let keys: Vec<&str> = mistakes.iter().map(|mistake| mistake.key.as_str()).collect();
    let expected = [
        "one.open.mqtt",
        "two.open.mqtt",
        "three.open.http",
        "four.open.method",
        "five",
        "six.lock.payload",
        "six.state",
        "seven.lock.http",
        "seven.state",
        "eight.lock",
    ];
    assert_eq!(keys, expected);
}

#[tokio::test]
async fn a_bell_rings_when_it_says_so_and_not_when_it_was_kept() {
    let doors = json!([{ "id": "gate", "ring": { "mqtt": "zigbee2mqtt/bell", "json": "action", "value": "single" } }]);
    let (driver, bench) = (driver(&doors), bench());
    let heard = |payload: &str, kept| Heard::Message { topic: "zigbee2mqtt/bell".into(), payload: payload.into(), kept };
    bench.say(heard(r#"{"action":"single"}"#, true));
    bench.say(heard(r#"{"action":""}"#, false));
    bench.say(heard(r#"{"action":"single"}"#, false));
    driver.watch(&*bench, Box::pin(bench.heard_all())).await;
    let rings = bench.reports().into_iter().filter(|report| matches!(report, Report::Ring { .. })).count();
    assert_eq!(rings, 1);
}
