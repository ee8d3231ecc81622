//! The driver of a house's locks, between the simulated air, a broker and the house.

use crate::{
    bench::{NEAR, START},
    scene::{GUEST, Scene, advertise},
};
use doorward_ble::{
    clock::House,
    driver::ENTRY,
    keys::{Folder, Kind, PublicV2, Role, SecretV2},
    radio::Advertising,
};
use doorward_core::{
    Secret,
    conformance::Bench,
    driver::{Action, Ctx, Driver, Heard, Mistake, Once, Report, Settings, Target},
};
use doorward_wire::{
    Time,
    attempt::Reason,
    ble::{
        token::{SessionKey, SlotLength, Tokens, slot_at},
        v2::{self, Given, LockSession, Ways},
    },
    grant::Means,
};
use serde_json::json;
use std::{path::Path, sync::Arc, time::Duration};

/// A house with a lock, its keys in a folder, and a guest whose radio is in the air.
pub(crate) struct Stage {
    pub(crate) scene: Scene,
    pub(crate) house: Arc<Bench>,
    driver: Arc<dyn Driver>,
    pub(crate) given: Given,
    pub(crate) messages: Vec<Vec<u8>>,
    _keys: tempfile::TempDir,
}

pub(crate) fn settings(keys: &Path, doors: &serde_json::Value) -> Settings {
    let mut settings = Settings::default();
    settings.values.insert("keys".into(), json!(keys));
    settings.secrets.insert("doors".into(), Secret::new(doors.to_string()));
    settings
}

pub(crate) fn mistakes(keys: &Path, doors: &serde_json::Value) -> Vec<Mistake> {
    (ENTRY.build)(&settings(keys, doors)).err().unwrap()
}

/// Keys of version 2, as the command line makes them, and a session that they seal.
pub(crate) fn enrol(folder: &Path, house: &Bench) -> (Given, Vec<u8>) {
    let (given, mut messages) = enrol_many(folder, house, &[[7; 8]]);
    (given, messages.remove(0))
}

/// The same with a session for each nonce; all of them have one key.
fn enrol_many(folder: &Path, house: &Bench, nonces: &[[u8; 8]]) -> (Given, Vec<Vec<u8>>) {
    let keys = Folder::new(folder);
    let lock = Role::Lock("front".parse().unwrap());
    for role in [&Role::Issuer, &lock] {
        keys.create(role, Kind::V2, &House(house)).unwrap();
    }
    let mut all = keys.read().unwrap();
    let Some(SecretV2::Issuer(issuer)) = all.v2.remove(&Role::Issuer).and_then(|key| key.secret) else { panic!("no issuer") };
    let Some(PublicV2::Lock(lock)) = all.v2.remove(&lock).map(|key| key.public) else { panic!("no lock") };
    let (key, slot) = (SessionKey::new([9; 32]), SlotLength::default());
    let ways = Ways::TOKEN.and(Ways::CHALLENGE);
    let given = Given { key, nonce: [7; 8], expiry: START + 300, clock_offset: 0, slot, ways };
    let seal = |nonce: &[u8; 8]| {
        let session = LockSession { given: Given { nonce: *nonce, ..given.clone() }, fingerprint: [5; 10] };
        v2::seal_session(&session, &"front".parse().unwrap(), &lock, &issuer, [6; 32]).unwrap()
    };
    (given.clone(), nonces.iter().map(seal).collect())
}

impl Stage {
    async fn new() -> Self {
        Self::of(&[[7; 8]]).await
    }

    /// With sessions of these nonces, of which the first is the guest's.
    pub(crate) async fn of(nonces: &[[u8; 8]]) -> Self {
        Self::opens(nonces, json!({ "mqtt": { "topic": "relay/1", "payload": "on" } })).await
    }

    /// The same, where this opens the door.
    async fn opens(nonces: &[[u8; 8]], mut door: serde_json::Value) -> Self {
        let scene = Scene::new().await;
        let house = Arc::new(Bench::new(Time::from_micros(i64::try_from(START).unwrap() * 1_000_000)));
        let keys = tempfile::tempdir().unwrap();
        let (given, messages) = enrol_many(keys.path(), &house, nonces);
        door["id"] = json!("front");
        door["radio"] = json!(format!("air:{}", scene.air.address()));
        door["rssi"] = json!(NEAR - 20);
        let driver = (ENTRY.build)(&settings(keys.path(), &json!([door]))).unwrap();
        house.join_broker();
        let watching = (Arc::clone(&driver), Arc::clone(&house));
        tokio::spawn(async move { watching.0.watch(watching.1.as_ref(), Box::pin(std::future::pending())).await });
        Self { scene, house, driver, given, messages, _keys: keys }
    }

    /// Reports until one of them is this.
    pub(crate) async fn until<T>(&self, what: &str, find: impl Fn(&Report) -> Option<T>) -> T {
        let looking = async {
            loop {
                if let Some(found) = self.house.reports().iter().find_map(&find) {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), looking).await.unwrap_or_else(|_| panic!("never: {what}"))
    }

    pub(crate) async fn up(&self) {
        self.until("the lock hears", |report| {
            let Report::Seen { sight, .. } = report else { return None };
            (sight.online == Some(true)).then_some(())
        })
        .await;
    }

    pub(crate) async fn say(&self, topic: &str, payload: &[u8], kept: bool) {
        self.house.say(Heard::Message { topic: topic.into(), payload: payload.into(), kept });
        self.house.heard_all().await;
    }

    /// The guest shows the token of now.
    async fn show(&self, metres: f64) -> (impl Sized, Box<dyn Advertising>) {
        let radio = self.scene.radio("guest", GUEST, metres).await;
        let slot = slot_at(self.house.now().utc, 0, self.given.slot).unwrap();
        let tokens = Tokens::new(&self.given.key, self.given.nonce().as_str());
        let advertising = advertise(&radio, tokens.at(slot).as_bytes()).await;
        (radio, advertising)
    }

    async fn turned_away(&self) -> Reason {
        self.until("somebody is turned away", |report| {
            let Report::TurnedAway(turned) = report else { return None };
            Some(turned.reason)
        })
        .await
    }

    async fn open(&self) -> bool {
        let target = Target::Door { id: "front".parse().unwrap(), external: "front".into(), time_zone: String::new() };
        let once = Once { not_after: self.house.now().utc.plus(Duration::from_secs(5)) };
        self.driver.act(self.house.as_ref(), &target, Action::Open(once)).await.is_ok()
    }
}

#[tokio::test]
async fn whoever_comes_near_is_presented_and_the_house_opens() {
    let stage = Stage::new().await;
    stage.up().await;
    stage.say(&format!("locks/front/sessions/{}", stage.given.nonce()), &stage.messages[0], true).await;
    let _guest = stage.show(1.0).await;
    let presented = stage.until("the guest is presented", |report| {
        let Report::Presented(presented) = report else { return None };
        Some(presented.clone())
    });
    let presented = presented.await;
    assert_eq!((presented.external.as_str(), presented.means), ("front", Means::Ble));
    assert_eq!(presented.credential, stage.given.nonce().to_string(), "the house looks up whose session it is");
    assert!(!presented.vouched, "the issuer is this house: it decides by the rights of now");
    assert!(stage.house.store().keys().any(|key| key.starts_with("lock/front/sessions/")), "the token is used before it opens");
    assert!(stage.house.published().iter().all(|message| message.topic != "relay/1"), "nothing opens before the house says so");

    assert!(stage.open().await);
    let published = stage.house.published();
    let [message] = published.as_slice() else { panic!("{published:?}") };
    assert_eq!((message.topic.as_str(), message.payload.as_slice(), message.retain), ("relay/1", b"on".as_slice(), false));
    assert!(message.fresh_for.is_some(), "no broker gives it out late");
}

#[tokio::test]
async fn a_lock_opens_another_door_of_the_house_once_and_in_time() {
    let stage = Stage::opens(&[[7; 8]], json!({ "door": "hall" })).await;
    assert!(stage.open().await);
    assert_eq!(stage.house.opened_for(), [("front".to_owned(), "hall".parse().unwrap())]);
    assert!(stage.house.published().iter().all(|message| message.topic.starts_with("locks/")));
}

#[tokio::test]
async fn no_session_is_lost_when_a_broker_says_many_at_once() {
    let stage = Stage::new().await;
    stage.up().await;
    // More than wait for a lock, and ours is the first of them.
    let topic = format!("locks/front/sessions/{}", stage.given.nonce());
    let others = (0..1000).map(|_| b"no session".to_vec());
    for payload in std::iter::once(stage.messages[0].clone()).chain(others) {
        stage.house.say(Heard::Message { topic: topic.clone(), payload, kept: true });
    }
    stage.house.say(Heard::Message { topic: "locks/front/command".into(), payload: b"{}".to_vec(), kept: true });
    let last = stage.until("the last message is heard", |report| {
        let Report::TurnedAway(turned) = report else { return None };
        (turned.reason == Reason::StaleCommand).then_some(())
    });
    last.await;
    assert!(stage.house.store().keys().any(|key| key.starts_with("lock/front/sessions/")));
}

#[tokio::test]
async fn a_guest_who_is_far_away_is_turned_away() {
    let stage = Stage::new().await;
    stage.up().await;
    stage.say(&format!("locks/front/sessions/{}", stage.given.nonce()), &stage.messages[0], true).await;
    let _guest = stage.show(60.0).await;
    assert_eq!(stage.turned_away().await, Reason::WeakSignal);
}

#[tokio::test]
async fn a_command_that_the_broker_had_kept_opens_nothing() {
    let stage = Stage::new().await;
    stage.up().await;
    stage.say("locks/front/command", b"{}", true).await;
    assert_eq!(stage.turned_away().await, Reason::StaleCommand);
}

#[tokio::test]
async fn a_late_opening_sends_nothing() {
    let stage = Stage::new().await;
    let target = Target::Door { id: "front".parse().unwrap(), external: "front".into(), time_zone: String::new() };
    let once = Once { not_after: stage.house.now().utc };
    stage.house.advance(Duration::from_secs(1));
    let fault = stage.driver.act(stage.house.as_ref(), &target, Action::Open(once)).await.unwrap_err();
    assert_eq!(fault.reason, Some(Reason::StaleCommand));
    assert!(stage.house.published().iter().all(|message| message.topic != "relay/1"));
}

#[test]
fn everything_that_is_wrong_with_locks_is_named() {
    let keys = tempfile::tempdir().unwrap();
    enrol(keys.path(), &Bench::new(Time::from_micros(0)));
    let mqtt = json!({ "topic": "relay/1", "payload": "on" });
    let doors = json!([
        { "id": "a", "radio": "usb", "mqtt": mqtt },
        { "id": "b" },
        { "id": "c", "command": ["open.sh"] },
        { "id": "front", "mqtt": { "topic": "doorward/door/x/set", "payload": "OPEN" } },
        { "id": "d", "mqtt": mqtt },
        { "id": "e", "mqtt": mqtt, "command": ["/bin/true"] },
        { "id": "f", "mqtt": mqtt, "slot": 0 },
        { "id": "g", "radio": "air:192.168.1.5:1", "mqtt": mqtt },
        { "id": "h", "radio": "bluez:../x", "mqtt": mqtt },
        { "id": "i", "gpio": { "chip": "/dev/null", "line": 17 } },
        { "id": "j", "door": "Not An Id" },
        { "id": "k", "door": "hall", "command": ["/bin/true"] },
        { "id": "l", "runs": "there" },
        { "id": "m", "runs": "elsewhere", "mqtt": mqtt },
        { "id": "n", "runs": "original", "rssi": -60 },
        { "id": "o", "runs": "elsewhere" },
    ]);
    let named: Vec<String> = mistakes(keys.path(), &doors).into_iter().map(|mistake| mistake.key).collect();
    assert_eq!(
        named,
        [
            "a.radio",
            "b.actuator",
            "c.command",
            "front.mqtt.topic",
            "d.keys",
            "e.actuator",
            "f.slot",
            "g.radio",
            "h.radio",
            "i.gpio.chip",
            "j.door",
            "k.actuator",
            "l.runs",
            "m.mqtt",
            "n.rssi",
            "o.keys"
        ]
    );
    assert_eq!(mistakes(Path::new("/nowhere"), &json!([{ "id": "front", "mqtt": mqtt }]))[0].key, "front.keys");
}

#[test]
fn doors_that_open_each_other_are_a_mistake() {
    let keys = tempfile::tempdir().unwrap();
    let house = Bench::new(Time::from_micros(0));
    enrol(keys.path(), &house);
    for lock in ["a", "b", "c"] {
        Folder::new(keys.path()).create(&Role::Lock(lock.parse().unwrap()), Kind::V2, &House(&house)).unwrap();
    }
    let doors =
        json!([{ "id": "a", "door": "b" }, { "id": "b", "door": "a" }, { "id": "c", "door": "a" }, { "id": "front", "door": "front" }]);
    let named: Vec<String> = mistakes(keys.path(), &doors).into_iter().map(|mistake| mistake.key).collect();
    assert_eq!(named, ["a.door", "b.door", "front.door"], "c only leads to a loop");
    let doors = json!([{ "id": "a", "door": "b" }, { "id": "b", "door": "hall" }, { "id": "c", "door": "b" }]);
    assert!((ENTRY.build)(&settings(keys.path(), &doors)).is_ok());
}
