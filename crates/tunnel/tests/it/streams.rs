//! Streams of what is published.

use crate::support::{House, THEN};
use doorward_mqtt::broker::Letter;
use doorward_tunnel::Options;
use doorward_wire::tunnel::{Scopes, Service};
use serde_json::json;
use std::time::Duration;

fn listener(filters: &[&str]) -> Scopes {
    let filters: Vec<String> = filters.iter().map(|filter| (*filter).to_owned()).collect();
    Scopes { services: vec![Service::Mqtt], mqtt_subscribe: filters.clone(), mqtt_publish: filters, ..Scopes::default() }
}

#[tokio::test]
async fn a_stream_tells_what_is_kept_and_what_comes() {
    let house = House::new().await;
    let phone = house.usual_phone().await;
    let publish = async |topic: &str, message: &str, retain: bool| {
        let said = phone.ask(json!({ "service": "mqtt", "topic": topic, "message": message, "qos": 1, "retain": retain }), THEN).await;
        assert_eq!(said.status, 200);
    };
    publish("a/kept", "{\"t\":21.5}", true).await;
    let mut stream = phone.listen("a/#", THEN).await;
    assert_eq!(stream.next().await.unwrap()["type"], "connected");
    let kept = json!({ "type": "message", "topic": "a/kept", "payload": { "t": 21.5 }, "qos": 1, "retain": true, "timestamp": THEN });
    assert_eq!(stream.next().await.unwrap(), kept);
    publish("a/now", "ouverte ✓", false).await;
    let now = json!({ "type": "message", "topic": "a/now", "payload": "ouverte ✓", "qos": 1, "retain": false, "timestamp": THEN });
    assert_eq!(stream.next().await.unwrap(), now);
    let bytes = Letter { topic: "a/bytes".into(), payload: vec![0xff, 0x00], qos: 0, retain: false };
    let elsewhere = doorward_mqtt::elsewhere::Elsewhere::new(house.handle.clone());
    house.mqtt.publish_for(&elsewhere, doorward_wire::attempt::ActorKind::System, "test", bytes).await.unwrap();
    let told = stream.next().await.unwrap();
    assert_eq!((&told["payload"], &told["encoding"]), (&json!("/wA="), &json!("base64")));
}

#[tokio::test]
async fn a_stream_is_kept_alive() {
    let house = House::new().await;
    let phone = house.usual_phone().await;
    let mut stream = phone.listen("a", THEN).await;
    stream.next().await.unwrap();
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        house.clock.advance(Duration::from_secs(15));
        assert_eq!(stream.raw().await.unwrap(), ": keepalive");
    }
}

#[tokio::test]
async fn filters_outside_of_the_scopes_are_refused() {
    let house = House::new().await;
    let phone = house.phone("phone", &listener(&["home/#", "doorward/door/+/state"])).await;
    for filter in ["#", "+/x", "homes/#", "doorward/#", "doorward/door/+/set", "doorward/door/#", "$share/g/home/#", "$SYS/#"] {
        let mut stream = phone.listen(filter, THEN).await;
        let told = stream.next().await.unwrap();
        assert_eq!(
            (&told["type"], told["message"].as_str()),
            (&json!("error"), Some(format!("Not allowed: subscribe to {filter}").as_str()))
        );
        assert_eq!(stream.next().await, None);
    }
    for wrong in ["", "a/#/b", "a+"] {
        assert_eq!(phone.listen(wrong, THEN).await.next().await.unwrap()["type"], "error", "{wrong}");
    }
    for filter in ["home/+/x", "home/#", "doorward/door/front/state"] {
        assert_eq!(phone.listen(filter, THEN).await.next().await.unwrap()["type"], "connected", "{filter}");
    }
}

#[tokio::test]
async fn a_key_has_so_many_streams_and_no_more() {
    let house = House::with(Options { key_streams: 2, ..Options::default() }).await;
    let (phone, other) = (house.usual_phone().await, house.phone("other", &listener(&["#"])).await);
    let (mut one, mut two) = (phone.listen("a", THEN).await, phone.listen("a", THEN).await);
    assert_eq!(
        (one.next().await.unwrap()["type"].clone(), two.next().await.unwrap()["type"].clone()),
        (json!("connected"), json!("connected"))
    );
    let mut three = phone.listen("a", THEN).await;
    assert_eq!(three.next().await.unwrap()["message"], "Too many streams");
    assert_eq!(other.listen("a", THEN).await.next().await.unwrap()["type"], "connected");
    drop(one);
    // That it is gone is seen when something is written.
    house
        .until(async |house| {
            house.clock.advance(Duration::from_millis(100));
            phone.ask(json!({ "service": "mqtt", "topic": "a", "message": "x" }), house.seconds()).await;
            phone.listen("a", house.seconds()).await.next().await.unwrap()["type"] == "connected"
        })
        .await;
}

#[tokio::test]
async fn a_slow_reader_is_dropped_and_nobody_else_is() {
    let house = House::with(Options { key_rate: 10_000.try_into().unwrap(), ..Options::default() }).await;
    let phone = house.usual_phone().await;
    let (mut slow, mut quick) = (phone.listen("a", THEN).await, phone.listen("a", THEN).await);
    slow.next().await.unwrap();
    quick.next().await.unwrap();
    // More than the sockets between them hold.
    let message = "x".repeat(200 << 10);
    for number in 0..500 {
        let said = phone.ask(json!({ "service": "mqtt", "topic": "a", "message": format!("{number} {message}") }), THEN).await;
        assert_eq!(said.status, 200);
        let heard = quick.next().await.unwrap();
        assert!(heard["payload"].as_str().unwrap().starts_with(&format!("{number} ")));
    }
    let mut count = 0;
    let last = loop {
        let event = slow.next().await.unwrap();
        if event["type"] != "message" {
            break event;
        }
        count += 1;
    };
    assert!(count < 500);
    assert_eq!((&last["type"], &last["message"]), (&json!("error"), &json!("This stream was read too slowly")));
    assert_eq!(slow.next().await, None);
}

#[tokio::test]
async fn streams_end_when_the_broker_does() {
    let house = House::new().await;
    let phone = house.usual_phone().await;
    let mut stream = phone.listen("a", THEN).await;
    stream.next().await.unwrap();
    house.mqtt.stop().await;
    let told = stream.next().await.unwrap();
    assert_eq!((&told["type"], &told["message"]), (&json!("disconnected"), &json!("The connection to the broker was lost")));
    assert_eq!(stream.next().await, None);
}

#[tokio::test]
async fn streams_end_when_doorward_stops() {
    let house = House::new().await;
    let phone = house.usual_phone().await;
    let mut stream = phone.listen("a", THEN).await;
    stream.next().await.unwrap();
    house.tunnel.stop().await;
    assert_eq!(stream.next().await.unwrap()["type"], "disconnected");
    assert_eq!(stream.next().await, None);
}
