//! Locks of the original lock system at the embedded broker: they connect without a user.

use super::*;
use crate::peers::mosquitto::User;

fn anonymous(scene: &Scene) -> User {
    User::new("", "", &scene.binary().mqtt_port()).speaking("mqttv311")
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_user_does_not_come_in_unless_that_is_switched_on() {
    let scene = Scene::start().await;
    assert!(!anonymous(&scene).publish("locks/lock_01/session", "{}", &[]));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_user_hears_and_says_sessions_alone_and_nothing_of_theirs_is_kept() {
    let scene = Scene::with("", &[("DOORWARD_MQTT__LISTEN", "127.0.0.1:0"), ("DOORWARD_MQTT__ANONYMOUS_LOCKS", "locks_and_issuers")]).await;
    let (lock, issuer) = (anonymous(&scene), anonymous(&scene));
    let hears = lock.listen("locks/lock_01/session");
    until("the lock hears", async || {
        issuer.publish("locks/lock_01/session", "{\"nonce\":1}", &[]);
        !hears.heard().is_empty()
    })
    .await;
    for filter in ["#", "locks/#", "locks/+/revoked", "doorward/door/+/state", "doorward/event"] {
        let nothing = lock.listen(filter);
        scene.does(&["door", "open", DOOR]);
        issuer.publish("locks/lock_01/session", "{\"nonce\":2}", &[]);
        hears.has("\"nonce\":2").await;
        assert_eq!(nothing.heard(), Vec::<String>::new(), "{filter}");
    }
    let before = scene.opened();
    assert!(!issuer.publish("doorward/door/garden/set", "OPEN", &[]) || scene.opened() == before);
    assert!(!issuer.publish("locks/garden/command", "{}", &[]) || scene.opened() == before);
    issuer.publish("locks/lock_01/session", "{\"nonce\":3}", &["-r"]);
    assert_eq!(lock.keeps("locks/lock_01/session"), None, "who does not say who they are keeps nothing here");
    let known = scene.json(&["mqtt", "user", "list"]);
    assert!(!known.to_string().contains("anonymous"), "{known}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_locks_alone_come_in_nobody_without_a_user_says_a_session() {
    let scene = Scene::with("", &[("DOORWARD_MQTT__LISTEN", "127.0.0.1:0"), ("DOORWARD_MQTT__ANONYMOUS_LOCKS", "locks")]).await;
    let house = scene.json(&["mqtt", "user", "add", "issuer", "--publish", "locks/lock_01/session"]);
    let issuer = User::new("issuer", house["secret"].as_str().unwrap(), &scene.binary().mqtt_port());
    let (lock, nobody) = (anonymous(&scene), anonymous(&scene));
    let hears = lock.listen("locks/lock_01/session");
    until("the lock hears", async || {
        nobody.publish("locks/lock_01/session", "{\"nonce\":0}", &[]);
        issuer.publish("locks/lock_01/session", "{\"nonce\":1}", &[]);
        !hears.heard().is_empty()
    })
    .await;
    assert!(hears.heard().iter().all(|line| line.contains("\"nonce\":1")), "{:?}", hears.heard());
}
