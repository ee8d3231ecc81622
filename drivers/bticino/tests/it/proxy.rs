//! The login proxy, from a person's browser to the vendor's page and back.

mod redirects;
mod strangers;

use crate::{
    browser::{Browser, Seen},
    upstream::{Front, Upstream, authority},
};
use doorward_bticino::proxy::{LIFE, Proxy, ProxyError};
use doorward_http::Trust;
use doorward_sim::legrand::{self, Config, Sim};
use http_body_util::Full;
use hyper::Response;
use reqwest::{StatusCode, Url};
use std::{
    io::Write,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

const TENANT: &str = "EliotClouduamprd.onmicrosoft.com";
const REDIRECT: &str = "com.legrandgroup.diy://oauth2redirect";
const STATE: &str = "a-state-nobody-guesses";

async fn sim() -> Sim {
    legrand::start(Config::default()).await.unwrap()
}

/// The vendor's authorize address, at this server.
fn sign_in(base: &str) -> Url {
    let config = Config::default();
    let mut url = Url::parse(&format!("{base}/{}/oauth2/v2.0/authorize", config.tenant)).unwrap();
    let pairs = [
        ("client_id", config.client_id.as_str()),
        ("redirect_uri", &config.redirect_uri),
        ("response_type", "code"),
        ("scope", &config.scope),
        ("p", &config.policy),
        ("state", STATE),
        // Of the verifier in RFC 7636, appendix B.
        ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
        ("code_challenge_method", "S256"),
    ];
    url.query_pairs_mut().extend_pairs(pairs);
    url
}

/// A proxy before a server of plain HTTP, for as long as a person has.
async fn proxy(base: &str) -> Proxy {
    start(base, &Trust::default(), 0, LIFE).await.unwrap()
}

async fn start(base: &str, trust: &Trust, port: u16, life: Duration) -> Result<Proxy, ProxyError> {
    // Another test may have been first.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Proxy::start(&sign_in(base), trust, port, life).await
}

fn person() -> (String, String) {
    let person = Config::default().people.remove(0);
    (person.email, person.password)
}

/// An address of the proxy that a redirecting server answers by sending the browser there.
fn sends(proxy: &Proxy, to: &str) -> Url {
    let mut url = proxy.url().join(&format!("/{TENANT}/any")).unwrap();
    url.query_pairs_mut().append_pair("to", to);
    url
}

fn port(proxy: &Proxy) -> u16 {
    proxy.url().port().unwrap()
}

/// What comes back for these bytes, which end with `Connection: close`.
async fn raw(port: u16, bytes: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// The status for this line, host and more lines.
async fn status(port: u16, line: &str, host: &str, more: &str) -> u16 {
    let answer = raw(port, &format!("{line} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{more}\r\n")).await;
    answer.split(' ').nth(1).unwrap_or_else(|| panic!("{line} is answered")).parse().unwrap()
}

/// A page of our own: for people, without script, kept nowhere.
fn assert_own(page: &Seen, status: StatusCode, words: &str) {
    assert_eq!((page.status, page.body.contains(words)), (status, true), "{page:?}");
    assert!(page.body.starts_with("<!doctype html><html lang=\"en\">") && !page.body.contains("<script"), "{page:?}");
    assert!(page.body.contains("color-scheme: light dark"));
    assert_eq!(page.headers["cache-control"], "no-store");
    assert!(page.headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
}

#[tokio::test]
async fn a_person_signs_in_after_a_wrong_password_and_doorward_has_the_code() {
    let sim = sim().await;
    let front = Front::start(sim.addr()).await;
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("ca.pem");
    std::fs::write(&ca_file, &front.authority).unwrap();
    let trust = Trust { ca_file: Some(ca_file), pin_sha256: None };
    let proxy = start(&front.base, &trust, 0, LIFE).await.unwrap();
    assert_eq!((proxy.url().scheme(), proxy.url().host_str()), ("http", Some("localhost")));

    let mut browser = Browser::new();
    browser.cookies.insert("doorward".into(), "a session of another server".into());
    let page = browser.open(&proxy.url().clone()).await;
    let (email, password) = person();
    let page = browser.press(&page, &[("signInName", &email), ("password", "wrong"), ("answer", "continue")]).await;
    assert!(page.body.contains("Your password is incorrect."), "{page:?}");
    assert_eq!(browser.cookies.len(), 3, "two of the vendor's");
    let page = browser.press(&page, &[("signInName", &email), ("password", &password), ("answer", "continue")]).await;
    assert_own(&page, StatusCode::OK, "You can close this window.");
    assert!(!page.body.contains(STATE) && page.headers.get("location").is_none());
    assert_eq!(browser.cookies.keys().collect::<Vec<_>>(), ["doorward"], "the vendor's cookies are gone from this machine");

    let port = port(&proxy);
    let callback = Url::parse(proxy.callback().await.unwrap().url.reveal()).unwrap();
    assert!(callback.as_str().starts_with(&format!("{REDIRECT}?")));
    let field = |name| callback.query_pairs().find(|(known, _)| known == name).unwrap().1.into_owned();
    assert_eq!(field("state"), STATE);
    TcpStream::connect(("127.0.0.1", port)).await.expect_err("nothing listens any more");
    let Config { tenant, policy, client_id, .. } = Config::default();
    let mut form = Url::parse("form:").unwrap();
    form.query_pairs_mut().extend_pairs([
        ("grant_type", "authorization_code"),
        ("client_id", &client_id),
        ("code", &field("code")),
        ("redirect_uri", REDIRECT),
        ("code_verifier", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
    ]);
    let request = reqwest::Client::new().post(format!("{}/{tenant}/oauth2/v2.0/token?p={policy}", sim.base_url()));
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(form.query().unwrap().to_owned());
    assert_eq!(request.send().await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn cancel_is_told_to_the_person_and_to_doorward() {
    let sim = sim().await;
    let proxy = proxy(&sim.base_url()).await;
    let mut browser = Browser::new();
    let page = browser.open(&proxy.url().clone()).await;
    let page = browser.press(&page, &[("answer", "cancel")]).await;
    assert_own(&page, StatusCode::OK, "The sign-in was cancelled.");
    assert!(matches!(proxy.callback().await, Err(ProxyError::Denied)));
}

#[tokio::test]
async fn rule_6_a_server_that_nobody_vouches_for_is_shown_to_nobody() {
    let upstream = Upstream::redirecting().await;
    let front = Front::start(upstream.address).await;
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other.pem");
    std::fs::write(&other, authority().1).unwrap();
    let another = Trust { ca_file: Some(other), pin_sha256: None };
    let pinned = Trust { ca_file: None, pin_sha256: Some([7; 32]) };
    for trust in [Trust::default(), another, pinned] {
        let proxy = start(&front.base, &trust, 0, LIFE).await.unwrap();
        let page = Browser::new().open(proxy.url()).await;
        assert_own(&page, StatusCode::BAD_GATEWAY, "Check that this machine is connected");
    }
    assert!(upstream.asked().is_empty(), "not a byte was sent");
}

#[tokio::test]
async fn rule_6_a_pin_is_enough() {
    let upstream = Upstream::redirecting().await;
    let front = Front::start(upstream.address).await;
    let pin = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &front.der).as_ref().try_into().unwrap();
    let trust = Trust { ca_file: None, pin_sha256: Some(pin) };
    let proxy = start(&front.base, &trust, 0, LIFE).await.unwrap();
    assert_eq!(Browser::new().open(proxy.url()).await.body, "a page");
}

#[tokio::test]
async fn rule_6_plain_http_is_for_this_machine_alone() {
    assert!(matches!(start("http://login.example", &Trust::default(), 0, LIFE).await, Err(ProxyError::SignIn(_))));
}

#[tokio::test]
async fn the_vendor_is_spoken_to_by_its_own_name_and_told_nothing_else() {
    let upstream = Upstream::start(async |_| {
        let answer = Response::builder().header("set-cookie", "trans=1; Domain=login.example; Path=/; Secure; SameSite=None; HttpOnly");
        answer.header("set-cookie", "csrf=2; secure; samesite=none").header("x-kept", "yes").body(Full::from("a page")).unwrap()
    })
    .await;
    let proxy = proxy(&upstream.base()).await;
    let (port, host) = (port(&proxy), format!("localhost:{}", port(&proxy)));
    let answer = raw(port, &format!("GET /{TENANT}/x HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n")).await;
    for line in ["set-cookie: trans=1; Path=/; HttpOnly\r\n", "set-cookie: csrf=2\r\n", "x-kept: yes\r\n"] {
        assert!(answer.contains(line), "{line} in {answer}");
    }
    let lines = format!(
        "host: {host}\r\norigin: http://{host}\r\nreferer: http://{host}/{TENANT}/x?tx=1\r\ncookie: doorward=session; trans=1\r\n\
         x-forwarded-for: 10.0.0.1\r\nforwarded: for=10.0.0.1\r\nuser-agent: a browser\r\ncontent-length: 0\r\nconnection: close\r\n"
    );
    raw(port, &format!("POST /{TENANT}/y?tx=%2F HTTP/1.1\r\n{lines}\r\n")).await;
    let asked = &upstream.asked()[1];
    assert_eq!(asked.uri().to_string(), format!("/{TENANT}/y?tx=%2F"));
    let told = |name: &str| asked.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    assert_eq!(told("host"), Some(upstream.address.to_string()));
    assert_eq!(told("origin"), Some(upstream.base()));
    assert_eq!(told("referer"), Some(format!("{}/{TENANT}/x?tx=1", upstream.base())));
    assert_eq!((told("cookie").as_deref(), told("user-agent").as_deref()), (Some("trans=1"), Some("a browser")));
    assert_eq!(told("content-length").as_deref(), Some("0"), "some servers want it for every POST");
    assert_eq!((told("x-forwarded-for"), told("forwarded")), (None, None));
}

#[tokio::test]
async fn a_sign_in_that_takes_too_long_ends() {
    let upstream = Upstream::redirecting().await;
    let proxy = start(&upstream.base(), &Trust::default(), 0, Duration::ZERO).await.unwrap();
    let port = port(&proxy);
    assert!(matches!(proxy.callback().await, Err(ProxyError::TimedOut)));
    TcpStream::connect(("127.0.0.1", port)).await.expect_err("nothing listens any more");
}

#[tokio::test]
async fn a_proxy_that_is_dropped_hangs_up_and_listens_no_more() {
    let upstream = Upstream::redirecting().await;
    let proxy = proxy(&upstream.base()).await;
    let port = port(&proxy);
    let mut idle = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    drop(proxy);
    // An end, or a reset when it was not accepted yet.
    assert_eq!(idle.read(&mut [0]).await.unwrap_or(0), 0);
    TcpStream::connect(("127.0.0.1", port)).await.expect_err("nothing listens any more");
}

#[tokio::test]
async fn a_port_that_is_taken_is_left_alone_even_if_only_by_its_longer_address() {
    let upstream = Upstream::redirecting().await;
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let Ok(other) = TcpListener::bind(address).await else { continue };
        let taken = other.local_addr().unwrap().port();
        let proxy = start(&upstream.base(), &Trust::default(), taken, LIFE).await.unwrap();
        assert_ne!(port(&proxy), taken);
        assert_eq!(Browser::new().open(proxy.url()).await.body, "a page");
    }
}

/// Where a log is written to.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn rule_5_no_secret_is_printed_or_logged() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing_subscriber::filter::LevelFilter::TRACE);
    let _logging = tracing::subscriber::set_default(subscriber.with_writer(move || writer.clone()).finish());

    let sim = sim().await;
    let proxy = proxy(&sim.base_url()).await;
    let pending = format!("{proxy:?}");
    let mut browser = Browser::new();
    let page = browser.open(&proxy.url().clone()).await;
    let cookies = browser.cookies.clone();
    let (email, password) = person();
    browser.press(&page, &[("signInName", &email), ("password", &password), ("answer", "continue")]).await;
    let callback = proxy.callback().await.unwrap();
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let proxy = self::proxy(&format!("http://{nobody}")).await;
    assert_eq!(browser.open(&proxy.url().clone()).await.status, StatusCode::BAD_GATEWAY);
    let refused = start("ftp://x", &Trust::default(), 0, LIFE).await;
    let shown = format!("{pending}{callback:?}{proxy:?}{refused:?}");

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("the vendor's sign-in page did not come"), "{log}");
    let url = Url::parse(callback.url.reveal()).unwrap();
    let code = url.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    for secret in [STATE, &code, &password, "code_challenge"].into_iter().chain(cookies.values().map(String::as_str)) {
        assert!(!shown.contains(secret), "{secret} in {shown}");
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}
