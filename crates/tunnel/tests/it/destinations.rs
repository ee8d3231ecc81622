//! No open relay: where requests must not go.

use crate::support::{House, Phone, THEN, Upstream, Way, http};
use doorward_core::driver::BoxFuture;
use doorward_http::destination::Names;
use doorward_tunnel::{Options, outbound::Outbound};
use serde_json::json;
use std::{
    io,
    net::IpAddr,
    sync::{Arc, Mutex},
};
use tokio::{io::AsyncReadExt, net::TcpListener};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};

/// Names that lead where a test says, one answer after the other; what they led to is played by this machine.
#[derive(Clone)]
struct Lead {
    answers: Arc<Mutex<Vec<Vec<IpAddr>>>>,
    asked: Arc<Mutex<usize>>,
}

impl Lead {
    fn to(answers: &[&[&str]]) -> Self {
        let answers = answers.iter().map(|list| list.iter().map(|address| address.parse().unwrap()).collect()).collect();
        Self { answers: Arc::new(Mutex::new(answers)), asked: Arc::default() }
    }
}

impl Names for Lead {
    fn look_up(&self, _: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        *self.asked.lock().unwrap() += 1;
        let mut answers = self.answers.lock().unwrap();
        let answer = if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() };
        Box::pin(std::future::ready(Ok(answer)))
    }

    fn place(&self, _: IpAddr) -> IpAddr {
        IpAddr::from([127, 0, 0, 1])
    }
}

async fn house(names: &Lead, destinations: &[String]) -> (House, Phone) {
    let house = House::with(Options { outbound: Outbound::with(names.clone()), ..Options::default() }).await;
    let phone = house.phone("phone", &http(destinations)).await;
    (house, phone)
}

#[tokio::test]
async fn a_destination_that_no_scope_names_is_refused() {
    let upstream = Upstream::start(Way::json(200, "{}")).await;
    let (_house, phone) = house(&Lead::to(&[&["9.9.9.9"]]), &[upstream.url("/api")]).await;
    for url in [
        upstream.url("/"),
        upstream.url("/apis"),
        upstream.url("/api/../admin"),
        upstream.url("/api/%2e%2e/admin"),
        "http://127.0.0.1:1/api".into(),
        "http://169.254.169.254/latest/meta-data/".into(),
        "http://[::ffff:169.254.169.254]/".into(),
        "http://metadata.google.internal/".into(),
        "http://192.168.1.1/".into(),
        "http://localhost/".into(),
        "http://0x7f000001/".into(),
        "http://example.org/api".into(),
    ] {
        let said = phone.ask(json!({ "url": url, "method": "GET" }), THEN).await;
        assert!(said.status == 403 && said.error().starts_with("Not allowed: "), "{url}: {said:?}");
    }
    assert!(upstream.heard().is_empty());
}

#[tokio::test]
async fn a_name_that_leads_inside_is_refused() {
    let upstream = Upstream::start(Way::json(200, "{}")).await;
    let url = format!("http://outside.example:{}/", upstream.address.port());
    for inside in [
        "127.0.0.1",
        "10.0.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.100.100.200",
        "0.0.0.0",
        "::1",
        "fd00::1",
        "fe80::1",
        "::ffff:10.0.0.1",
    ] {
        // One address among good ones is enough.
        for addresses in [&[inside][..], &["9.9.9.9", inside]] {
            let (_house, phone) = house(&Lead::to(&[addresses]), std::slice::from_ref(&url)).await;
            let said = phone.ask(json!({ "url": url, "method": "GET" }), THEN).await;
            assert!(said.status == 403 && said.error().starts_with("Not allowed: "), "{inside}: {said:?}");
        }
    }
    assert!(upstream.heard().is_empty());
}

#[tokio::test]
async fn a_name_that_leads_elsewhere_a_moment_later_is_asked_once() {
    let upstream = Upstream::start(Way::json(200, "{}")).await;
    let url = format!("http://outside.example:{}/", upstream.address.port());
    let names = Lead::to(&[&["9.9.9.9"], &["127.0.0.1"]]);
    let (_house, phone) = house(&names, std::slice::from_ref(&url)).await;
    assert_eq!(phone.ask(json!({ "url": url, "method": "GET" }), THEN).await.status, 200);
    assert_eq!(*names.asked.lock().unwrap(), 1, "what was checked is what is connected to");
    assert_eq!(phone.ask(json!({ "url": url, "method": "GET" }), THEN).await.status, 200, "the connection is the one that was checked");
    upstream.now(Way::Says(200, "connection: close\r\n".into(), Vec::new()));
    phone.ask(json!({ "url": url, "method": "GET" }), THEN).await;
    let said = phone.ask(json!({ "url": url, "method": "GET" }), THEN).await;
    assert!(said.status == 403 && said.error().contains("127.0.0.1"), "a new connection is checked anew: {said:?}");
}

#[tokio::test]
async fn a_private_network_is_for_scopes_that_name_it() {
    let upstream = Upstream::start(Way::json(200, "{}")).await;
    let port = upstream.address.port();
    for (entry, status) in [(format!("http://nas.example:{port}"), 403), (format!("private http://nas.example:{port}"), 200)] {
        let (_house, phone) = house(&Lead::to(&[&["192.168.1.5"]]), &[entry]).await;
        assert_eq!(phone.ask(json!({ "url": format!("http://nas.example:{port}/") }), THEN).await.status, status);
    }
    for (leads, status) in [("192.168.1.5", 200), ("127.0.0.1", 403), ("169.254.169.254", 403)] {
        let (_house, phone) = house(&Lead::to(&[&[leads]]), &[format!("http://nas.local:{port}")]).await;
        assert_eq!(phone.ask(json!({ "url": format!("http://nas.local:{port}/") }), THEN).await.status, status, "{leads}");
    }
}

#[tokio::test]
async fn a_connection_of_one_reach_is_not_lent_to_another() {
    let upstream = Upstream::start(Way::json(200, "{}")).await;
    let port = upstream.address.port();
    let url = format!("http://nas.example:{port}/");
    let (house, trusted) = house(&Lead::to(&[&["192.168.1.5"]]), &[format!("private http://nas.example:{port}")]).await;
    assert_eq!(trusted.ask(json!({ "url": url }), THEN).await.status, 200);
    let stranger = house.phone("stranger", &http(&[format!("http://nas.example:{port}")])).await;
    assert_eq!(stranger.ask(json!({ "url": url }), THEN).await.status, 403);
}

#[tokio::test]
async fn a_redirect_is_checked_again() {
    let (upstream, other) = (Upstream::start(Way::json(200, "{}")).await, Upstream::start(Way::json(200, "{\"other\":1}")).await);
    let (house, phone) = house(&Lead::to(&[&["9.9.9.9"]]), &[upstream.url("/")]).await;
    let ask = |phone: &Phone, method: &str| {
        let headers = json!({ "Authorization": "Bearer x", "Cookie": "a=b", "X-Mine": "1" });
        phone.message(json!({ "url": upstream.url("/"), "method": method, "headers": headers, "body": "text" }), THEN)
    };
    for status in [301, 302, 303, 307, 308] {
        upstream.now(Way::redirect(status, &other.url("/admin")));
        let said = phone.told("/gateway", ask(&phone, "POST")).await;
        assert!(said.status == 403 && said.error().starts_with("Not allowed: "), "{status}: {said:?}");
    }
    for inside in ["http://169.254.169.254/", "http://127.0.0.1:1/", "//[::1]/", "file:///etc/passwd", "https://evil.example/"] {
        upstream.now(Way::redirect(302, inside));
        let said = phone.told("/gateway", ask(&phone, "GET")).await;
        assert!(said.status == 403 && said.error().starts_with("Not allowed: "), "{inside}: {said:?}");
    }
    assert!(other.heard().is_empty());
    let both = house.phone("both", &http(&[upstream.url("/"), other.url("/")])).await;
    for (status, method, body) in [(302, "GET", false), (303, "GET", false), (307, "POST", true), (308, "POST", true)] {
        upstream.now(Way::redirect(status, &other.url("/there")));
        let said = both.told("/gateway", ask(&both, "POST")).await;
        assert_eq!(said.body, json!({ "other": 1 }), "{status}");
        let heard = other.heard().pop().unwrap();
        assert!(heard.starts_with(&format!("{method} /there ")) && heard.ends_with("text") == body, "{status}: {heard}");
        assert!(!heard.contains("Bearer") && !heard.contains("a=b") && heard.contains("x-mine: 1"), "credentials stay behind: {heard}");
    }
    upstream.now(Way::redirect(302, &upstream.url("/")));
    assert_eq!(both.told("/gateway", ask(&both, "GET")).await.error(), "more than 5 redirects");
}

#[tokio::test]
async fn a_server_that_cannot_prove_its_name_hears_nothing() {
    let house = House::new().await;
    let rcgen::CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = signing_key.serialize_der().try_into().unwrap();
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![cert.der().clone()], key).unwrap();
    let (listener, acceptor) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), TlsAcceptor::from(Arc::new(config)));
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut heard = Vec::new();
        if let Ok(mut stream) = acceptor.accept(stream).await {
            let _ = stream.read_to_end(&mut heard).await;
        }
        heard
    });
    let phone = house.phone("phone", &http(std::slice::from_ref(&url))).await;
    let said = phone.ask(json!({ "url": url, "headers": { "Authorization": "Bearer x" } }), THEN).await;
    let error = said.body.to_string();
    assert!(said.status == 403 && error.contains("no connection") && error.contains("UnknownIssuer"), "{error}");
    assert!(server.await.unwrap().is_empty(), "not a byte of the request was sent");
}
