//! Requests to other servers and to Jeedom, and servers that misbehave.

use crate::support::{House, THEN, Upstream, Way, http};
use doorward_tunnel::{JeedomOptions, Options};
use serde_json::{Value, json};
use std::time::Duration;

async fn house_with(upstream: &Upstream) -> (House, crate::support::Phone) {
    let house = House::new().await;
    let phone = house.phone("phone", &http(&[upstream.url("")])).await;
    (house, phone)
}

#[tokio::test]
async fn a_request_is_relayed_as_the_original_does() {
    let upstream = Upstream::start(Way::json(201, "{ \"a\" : [1, 2.50] }")).await;
    let (_house, phone) = house_with(&upstream).await;
    let said = phone.ask(json!({ "url": upstream.url("/api?x=1"), "body": { "on": true } }), THEN).await;
    assert_eq!((said.status, said.body), (201, json!({ "a": [1, 2.5] })));
    let heard = upstream.heard().remove(0);
    assert!(heard.starts_with("POST /api?x=1 HTTP/1.1\r\n") && heard.to_lowercase().contains("content-type: application/json"), "{heard}");
    assert!(heard.ends_with("\r\n\r\n{\"on\":true}"), "{heard}");
    upstream.now(Way::Says(404, String::new(), b"no such page".to_vec()));
    let host = json!({ "host": upstream.url("/"), "endpoint": "//a/b", "method": "get", "headers": { "Authorization": "Bearer x" } });
    let said = phone.ask(host, THEN).await;
    assert_eq!((said.status, said.body), (404, json!("no such page")));
    let heard = upstream.heard().remove(1);
    assert!(heard.starts_with("GET /a/b HTTP/1.1\r\n") && heard.contains("authorization: Bearer x"), "{heard}");
    assert_eq!(upstream.connections(), 1, "connections are kept");
}

#[tokio::test]
async fn an_answer_that_is_no_json_is_text() {
    let upstream = Upstream::start(Way::json(200, "")).await;
    let (_house, phone) = house_with(&upstream).await;
    for (body, expected) in [
        (&b""[..], json!("")),
        (b"plain", json!("plain")),
        (b"22.5", json!(22.5)),
        (b"\"text\"", json!("text")),
        (b"null", json!(null)),
        (b"{\"a\":1", json!("{\"a\":1")),
        (b"{} {}", json!("{} {}")),
        (b"a\xffb", json!("a\u{fffd}b")),
        (b"\"}],\"timestamp\":0,\"x\":[\"", json!("\"}],\"timestamp\":0,\"x\":[\"")),
    ] {
        upstream.now(Way::Says(200, String::new(), body.to_vec()));
        let said = phone.ask(json!({ "url": upstream.url("/") }), THEN).await;
        assert_eq!((said.status, said.body), (200, expected));
    }
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    upstream.now(Way::Says(200, String::new(), deep.clone().into_bytes()));
    assert_eq!(phone.ask(json!({ "url": upstream.url("/") }), THEN).await.body, json!(deep), "what nobody can read is text");
}

#[tokio::test]
async fn a_server_that_misbehaves_is_an_error_and_nothing_else() {
    let upstream = Upstream::start(Way::Gibberish).await;
    let (house, phone) = house_with(&upstream).await;
    let ask = || phone.ask(json!({ "url": upstream.url("/"), "timeout": 2 }), THEN);
    assert!(ask().await.error().contains("connection"), "not HTTP");
    upstream.now(Way::Half);
    assert!(ask().await.error().contains("connection"), "half an answer");
    upstream.now(Way::Endless);
    assert!(ask().await.error().contains("longer than 8 MiB"), "endless");
    upstream.now(Way::Nothing);
    let later = async {
        house.until(async |_| upstream.heard().len() >= 4).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        house.clock.advance(Duration::from_secs(3));
    };
    let (said, ()) = tokio::join!(ask(), later);
    assert_eq!((said.status, said.error().as_str()), (403, "no answer within 2 s"));
    let dead = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let phone = house.phone("other", &http(&[format!("http://{dead}")])).await;
    assert!(phone.ask(json!({ "url": format!("http://{dead}/") }), THEN).await.error().starts_with("no connection"));
}

#[tokio::test]
async fn nobody_waits_longer_than_a_minute_whatever_is_asked_for() {
    let upstream = Upstream::start(Way::Nothing).await;
    let (house, phone) = house_with(&upstream).await;
    let later = async {
        house.until(async |_| !upstream.heard().is_empty()).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        house.clock.advance(Duration::from_secs(61));
    };
    let (said, ()) = tokio::join!(phone.ask(json!({ "url": upstream.url("/"), "timeout": 1e9 }), THEN), later);
    assert_eq!(said.error(), "no answer within 60 s");
}

#[tokio::test]
async fn a_request_that_is_not_whole_is_told_what_it_lacks() {
    let house = House::with(Options {
        jeedom: Some(JeedomOptions { url: "http://127.0.0.1:9".parse().unwrap(), apikey: None }),
        ..Options::default()
    })
    .await;
    let phone = house.usual_phone().await;
    for (fields, status, error) in [
        (json!({ "service": "http" }), 403, "Missing required 'url' parameter or 'host' parameter in payload"),
        (json!({ "service": "jeedom" }), 403, "'jsonrpc'"),
        (json!({ "service": "mqtt", "message": "x" }), 400, "Missing required field: 'topic'"),
        (json!({ "service": "mqtt", "topic": "x" }), 400, "Missing required field: 'message'"),
        (json!({ "service": "mqtt", "topic": 7, "message": "x" }), 400, "Field 'topic' must be a text"),
        (json!({ "service": "mqtt", "topic": "a/+", "message": "x" }), 400, "Field 'topic' must be a topic without wildcards"),
        (json!({ "service": "mqtt", "topic": "a", "message": "x", "qos": 3 }), 400, "Field 'qos' must be 0, 1 or 2"),
        (json!({ "service": "doors" }), 400, "Missing required field: 'action'"),
        (json!({ "service": "doors", "action": "status" }), 400, "Missing required field: 'door'"),
        (
            json!({ "service": "doors", "action": "explode", "door": "front" }),
            400,
            "Field 'action' must be list, status, open, lock or unlock",
        ),
        (json!({ "service": "ssh" }), 403, "Unknown service"),
        (json!({ "service": ["mqtt"] }), 403, "Unknown service"),
        (json!({}), 403, "Unknown service"),
        (json!({ "url": "nonsense" }), 403, "The address cannot be read"),
        (json!({ "url": "file:///etc/passwd" }), 403, "The address must begin with http:// or https://, and hold no password"),
        (json!({ "url": "http://a:b@127.0.0.1/" }), 403, "The address must begin with http:// or https://, and hold no password"),
        (json!({ "url": "http://127.0.0.1/", "method": "CONNECT" }), 403, "Unknown method"),
        (json!({ "url": "http://127.0.0.1/", "headers": { "a b": "c" } }), 403, "“a b” is no header"),
        (json!({ "url": "http://127.0.0.1/", "timeout": "soon" }), 403, "Field 'timeout' must be a number of seconds"),
    ] {
        let said = phone.ask(fields.clone(), THEN).await;
        assert_eq!((said.status, said.error().as_str()), (status, error), "{fields}");
    }
    let mut stream = phone.stream(phone.message(json!({}), THEN)).await;
    assert_eq!(stream.next().await.unwrap()["message"], "Missing required field: topic");
    assert_eq!(stream.next().await, None);
}

#[tokio::test]
async fn the_largest_request_is_taken_and_a_larger_one_is_not() {
    let upstream = Upstream::start(Way::json(200, "{}")).await;
    let (_house, phone) = house_with(&upstream).await;
    let fits = phone.ask(json!({ "url": upstream.url("/"), "body": "x".repeat(255 << 10) }), THEN).await;
    assert_eq!(fits.status, 200);
    let (status, ..) = phone.post("/gateway", "A".repeat(400 << 10)).await;
    assert_eq!(status, 413);
    let deep = format!("{{\"timestamp\":{THEN},\"params\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let said = phone.told("/gateway", phone.seal(deep.as_bytes())).await;
    assert_eq!((said.status, said.error().as_str()), (403, "The request is not a JSON object"));
}

#[tokio::test]
async fn jeedom_is_called_as_the_original_calls_it() {
    let upstream = Upstream::start(Way::json(200, "{\"jsonrpc\":\"2.0\",\"id\":99999,\"result\":\"ok\"}")).await;
    let jeedom = JeedomOptions { url: upstream.url("").parse().unwrap(), apikey: Some("of-the-house".into()) };
    let house = House::with(Options { jeedom: Some(jeedom), ..Options::default() }).await;
    let phone = house.usual_phone().await;
    let said = phone.ask(json!({ "jsonrpc": "datetime", "apikey": "k3y", "params": { "id": "42" } }), THEN).await;
    assert_eq!((said.status, &said.body["result"]), (200, &json!("ok")));
    let body = |number: usize| -> Value { serde_json::from_str(upstream.heard()[number].split_once("\r\n\r\n").unwrap().1).unwrap() };
    assert_eq!(body(0), json!({ "jsonrpc": "2.0", "id": 99999, "method": "datetime", "params": { "apikey": "k3y", "id": "42" } }));
    assert!(upstream.heard()[0].starts_with("POST /core/api/jeeApi.php HTTP/1.1\r\n"));
    phone.ask(json!({ "service": "jeedom", "jsonrpc": "ping", "endpoint": "other.php" }), THEN).await;
    assert_eq!(body(1)["params"], json!({ "apikey": "of-the-house" }));
    assert!(upstream.heard()[1].starts_with("POST /other.php HTTP/1.1\r\n"));
    let said = phone.ask(json!({ "url": upstream.url("/plugin"), "method": "GET" }), THEN).await;
    assert_eq!(said.status, 200, "Jeedom itself is an allowed destination, on this machine too");
    let climbing = phone.ask(json!({ "jsonrpc": "x", "endpoint": "@evil.example/" }), THEN).await;
    assert_eq!(climbing.status, 200);
    assert!(upstream.heard()[3].starts_with("POST /@evil.example/ HTTP/1.1\r\n"), "an endpoint is a path, whatever is in it");
}
