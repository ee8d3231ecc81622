//! The tunnel of the real program: Python as a phone, nginx before it, Mosquitto behind it, a stand-in for Tailscale, and
//! what must hold when it is killed or runs twice.

use super::brokers::{Mosquitto, free_port};
use crate::{
    binary::{self, Binary, json},
    boot::killed::{link, until},
    house::provider,
    postgres::Postgres,
};
use doorward_sim::{
    jeedom::{self, Jeedom},
    utec::{Config, Sim},
};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};
use tempfile::TempDir;

const HERE: &str = env!("CARGO_MANIFEST_DIR");

/// A house with three simulated bolts and a tunnel.
pub(super) struct Scene {
    pub(super) binary: Binary,
    data: TempDir,
    pub(super) sim: Sim,
}

impl Scene {
    pub(super) async fn start(more: &[(&str, &str)]) -> Self {
        let sim = doorward_sim::utec::start(Config::default()).await.unwrap();
        let data = tempfile::tempdir().unwrap();
        let binary = run(data.path(), more);
        link(&binary.client(), &sim).await;
        let client = binary.client();
        until("the doors are known", async || client.get("/doors/front_door").await["state"] == "locked").await;
        Self { binary, data, sim }
    }

    pub(super) fn path(&self) -> &Path {
        self.data.path()
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.binary.tunnel())
    }

    /// A key with these rights.
    fn key(&self, name: &str, rights: &[&str]) -> String {
        key(self.path(), name, rights)
    }
}

fn run(data: &Path, more: &[(&str, &str)]) -> Binary {
    let own = [("DOORWARD_HTTP__LISTEN", "127.0.0.1:0"), ("DOORWARD_TUNNEL__LISTEN", "127.0.0.1:0")];
    Binary::start_with(data, &[&own, more].concat())
}

fn key(data: &Path, name: &str, rights: &[&str]) -> String {
    let made = json(data, &[&["tunnel", "key", "add", name], rights].concat());
    made["secret"].as_str().unwrap().to_owned()
}

/// Debian's Python with Debian's packages, and the client that is documented.
fn python(arguments: &[&str]) -> Output {
    let mut command = Command::new("/usr/bin/python3");
    command.arg(format!("{HERE}/tests/it/peers/tunnel.py")).args(arguments).stdin(Stdio::null());
    command.env("PYTHONPATH", format!("{HERE}/../docs/clients")).env("PYTHONDONTWRITEBYTECODE", "1");
    command.output().expect("Python is installed: `make test` does it")
}

#[track_caller]
fn python_says(arguments: &[&str]) -> String {
    let output = python(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// `doorward tunnel call`.
fn call(url: &str, key: &str, fields: &[&str]) -> Value {
    let data = tempfile::tempdir().unwrap();
    let output =
        binary::command(data.path()).env("DOORWARD_TUNNEL_KEY", key).args(["--json", "tunnel", "call", url]).args(fields).output().unwrap();
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(&text).unwrap_or_else(|_| json!({ "error": errors.trim() }))
}

async fn post(url: &str, path: &str, body: &str) -> String {
    provider();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    client.post(format!("{url}{path}")).body(body.to_owned()).send().await.unwrap().text().await.unwrap()
}

fn now() -> f64 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_secs_f64()
}

fn list() -> String {
    json!({ "service": "doors", "action": "list", "timestamp": now() }).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_python_client_uses_every_route() {
    let jeedom = Jeedom::start(jeedom::Config::default()).await.unwrap();
    let (url, apikey) = (jeedom.url(), jeedom::APIKEY);
    let scene = Scene::start(&[
        ("DOORWARD_MQTT__LISTEN", "127.0.0.1:0"),
        ("DOORWARD_TUNNEL__JEEDOM_URL", &url),
        ("DOORWARD_TUNNEL__JEEDOM_APIKEY", apikey),
    ])
    .await;
    let key = scene.key(
        "phone",
        &[
            "--door",
            "front_door",
            "--mqtt-publish",
            "#",
            "--mqtt-subscribe",
            "home/#",
            "--service",
            "jeedom",
            "--http",
            "GET https://example.org",
        ],
    );
    let paho = json(scene.path(), &["mqtt", "user", "add", "paho", "--subscribe", "home/#", "--subscribe", "maison/#"]);
    let (tunnel, port) = (scene.url(), scene.binary.mqtt_port());
    let output = tokio::task::spawn_blocking(move || python(&["routes", &tunnel, &key, &port, paho["secret"].as_str().unwrap(), &url]))
        .await
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "every route");
    assert_eq!(jeedom.level("11"), Some(55));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_originals_environment_is_honoured_and_makes_a_first_key() {
    let data = tempfile::tempdir().unwrap();
    let (file, port) = (data.path().join("secret_key.txt"), free_port().to_string());
    let shown = file.display().to_string();
    let environment = [
        ("DOORWARD_HTTP__LISTEN", "127.0.0.1:0"),
        ("SECRET_KEY_FILE", shown.as_str()),
        ("HOST", "127.0.0.1"),
        ("PORT", &port),
        ("MAX_AGE_SECONDS", "30"),
        ("MQTT_BROKER_HOST", "127.0.0.1"),
    ];
    let running = Binary::start_with(data.path(), &environment);
    let url = format!("http://127.0.0.1:{port}");
    until("the key is there", async || file.exists()).await;
    let secret = fs::read_to_string(&file).unwrap().trim().to_owned();
    assert_eq!(secret.len(), 64);
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&file).unwrap().permissions()) & 0o777, 0o600);
    assert_eq!(call(&url, &secret, &["service=doors", "action=list"])["body"], json!({ "doors": [] }));
    let old = json!({ "service": "doors", "action": "list", "timestamp": now() - 35.0 }).to_string();
    let answer = post(&url, "/gateway", &python_says(&["seal", &secret, &old])).await;
    assert!(python_says(&["open", &secret, &answer]).contains("Request expired"));
    // A first key that was made is shown as first things are, and not made again.
    let first = data.path().join("first-start.txt");
    until("it is shown", async || fs::read_to_string(&first).is_ok_and(|text| text.contains(&secret))).await;
    running.terminate();
    let again = Binary::start_with(data.path(), &environment);
    assert_eq!(json(data.path(), &["tunnel", "key", "list"]).as_array().unwrap().len(), 1);
    until("it is shown no more", async || !fs::read_to_string(&first).unwrap_or_default().contains(&secret)).await;
    drop(again);
    // Another house takes the key that is there.
    let other = tempfile::tempdir().unwrap();
    let taken = Binary::start_with(other.path(), &environment);
    assert_eq!(call(&url, &secret, &["service=doors", "action=list"])["status"], 200);
    drop(taken);
    // And what is no key is told, and does not keep the house from starting.
    fs::write(&file, "not a key").unwrap();
    let third = tempfile::tempdir().unwrap();
    let wrong = Binary::start_with(third.path(), &environment);
    until("it is told", async || wrong.log().contains("does not hold 64 hexadecimal digits")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_after_a_kill_is_refused() {
    let scene = Scene::start(&[]).await;
    let key = scene.key("phone", &["--door", "*"]);
    let unlock = json!({ "service": "doors", "action": "unlock", "door": "front_door", "timestamp": now() }).to_string();
    let body = python_says(&["seal", &key, &unlock]);
    let answer = post(&scene.url(), "/gateway", &body).await;
    assert!(python_says(&["open", &key, &answer]).contains("\"status\":200"));
    let Scene { binary, data, sim: _sim } = scene;
    binary.kill();
    let binary = run(data.path(), &[]);
    let url = format!("http://{}", binary.tunnel());
    let again = post(&url, "/gateway", &body).await;
    assert!(python_says(&["open", &key, &again]).contains("Replayed request"));
    until("what is newer goes on", async || {
        let answer = post(&url, "/gateway", &python_says(&["seal", &key, &list()])).await;
        python_says(&["open", &key, &answer]).contains("\"status\":200")
    })
    .await;
    let events = binary.client().get("/events?kind=attempt.requested").await;
    assert_eq!(events["items"].as_array().unwrap().len(), 1, "it opened once");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_copies_on_one_database_take_a_message_once() {
    let postgres = Postgres::start();
    let url = postgres.database();
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let environment = [("DOORWARD_STORE__URL", url.as_str())];
    let first = run(one.path(), &environment);
    fs::copy(one.path().join("master.key"), two.path().join("master.key")).unwrap();
    let second = run(two.path(), &environment);
    let key = key(one.path(), "phone", &["--door", "*"]);
    let urls = [format!("http://{}", first.tunnel()), format!("http://{}", second.tunnel())];
    until("the second one knows the key", async || call(&urls[1], &key, &["service=doors", "action=list"])["status"] == 200).await;
    for round in 0..5 {
        let body = python_says(&["seal", &key, &list()]);
        let (one, two) = tokio::join!(post(&urls[0], "/gateway", &body), post(&urls[1], "/gateway", &body));
        let told = [python_says(&["open", &key, &one]), python_says(&["open", &key, &two])];
        let taken = told.iter().filter(|told| told.contains("\"status\":200")).count();
        let refused = told.iter().filter(|told| told.contains("Replayed request")).count();
        assert_eq!((taken, refused), (1, 1), "round {round}: {told:?}");
    }
    json_or_nothing(one.path(), &["tunnel", "key", "revoke", "phone"]);
    until("the second one knows that it is gone", async || {
        call(&urls[1], &key, &["service=doors", "action=list"])["error"].as_str().is_some_and(|error| error.contains("not known there"))
    })
    .await;
}

fn json_or_nothing(data: &Path, arguments: &[&str]) {
    let output = binary::run(data, arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_elsewhere_is_used_with_its_own_users_and_told_when_it_is_away() {
    let mut mosquitto = Mosquitto::start(&[("u", "p"), ("v", "q")], "");
    let broker = format!("127.0.0.1:{}", mosquitto.port);
    let scene = Scene::start(&[("DOORWARD_TUNNEL__BROKER", &broker)]).await;
    let key = scene.key("phone", &["--mqtt-publish", "home/#", "--mqtt-subscribe", "home/#"]);
    let url = scene.url();
    let publish = |more: &[&str]| call(&url, &key, &[&["service=mqtt", "topic=home/a", "message=on", "qos:=1"], more].concat());
    assert_eq!(publish(&["username=u", "password=p"])["status"], 200);
    let denied = publish(&["username=u", "password=wrong"]);
    assert_eq!(denied["status"], 500);
    assert!(denied["body"].as_str().unwrap().starts_with("{\"error\": \"MQTT error: "), "{denied}");
    assert_eq!(publish(&["username=u"])["body"], "{\"error\": \"Missing required field: 'password'\"}");
    let elsewhere = publish(&["broker_host=127.0.0.1", "broker_port:=1", "username=u", "password=p"]);
    assert_eq!(elsewhere["body"], "{\"error\": \"Not allowed: the broker 127.0.0.1:1\"}");

    // Many streams are one subscription, and all end when the broker does.
    let listen = json!({ "topic": "home/#", "username": "v", "password": "q", "timestamp": now() });
    let mut streams = Vec::new();
    for _ in 0..5 {
        let body = python_says(&["seal", &key, &listen.to_string()]);
        streams.push(reqwest::Client::new().post(format!("{url}/mqtt/subscribe")).body(body).send().await.unwrap());
    }
    for stream in &mut streams {
        assert_eq!(event(stream, &key).await["type"], "connected");
    }
    assert_eq!(publish(&["username=u", "password=p"])["status"], 200);
    for stream in &mut streams {
        let heard = event(stream, &key).await;
        assert_eq!((&heard["topic"], &heard["payload"], &heard["qos"]), (&json!("home/a"), &json!("on"), &json!(1)));
    }
    mosquitto.halt();
    for stream in &mut streams {
        assert_eq!(event(stream, &key).await["type"], "disconnected");
        assert!(stream.chunk().await.unwrap().is_none(), "the stream ends");
    }
    assert_eq!(publish(&["username=u", "password=p"])["status"], 500);
    mosquitto.run();
    assert_eq!(publish(&["username=u", "password=p"])["status"], 200, "and it is used again when it is back");
    // One that is there and says nothing is an error too.
    mosquitto.freeze();
    let silent = publish(&["username=u", "password=p"]);
    mosquitto.thaw();
    assert_eq!(silent["status"], 500, "{silent}");
}

/// The next event of a stream.
async fn event(stream: &mut reqwest::Response, key: &str) -> Value {
    let mut text = String::new();
    while !text.contains("\n\n") {
        let chunk = tokio::time::timeout(Duration::from_secs(20), stream.chunk()).await.expect("something comes").unwrap();
        text.push_str(std::str::from_utf8(&chunk.expect("the stream goes on")).unwrap());
    }
    let body = text.trim_end().strip_prefix("data: ").unwrap_or_else(|| panic!("{text}"));
    assert!(!body.contains('\n'), "one event at a time: {text}");
    serde_json::from_str(&python_says(&["open", key, body])).unwrap()
}

/// Debian's nginx with the file that is shipped, but for its ports and certificate.
struct Nginx {
    child: Child,
    _folder: TempDir,
}

impl Nginx {
    fn start(port: u16, upstream: &str) -> (Self, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display().to_string();
        let rcgen::CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let certificate = folder.path().join("certificate.pem");
        fs::write(&certificate, cert.pem()).unwrap();
        fs::write(folder.path().join("key.pem"), signing_key.serialize_pem()).unwrap();
        let shipped = fs::read_to_string(format!("{HERE}/../packaging/nginx.conf")).unwrap();
        let server = shipped
            .replace("listen 443 ssl", &format!("listen 127.0.0.1:{port} ssl"))
            .replace("/etc/ssl/doors.example.org.pem", &format!("{path}/certificate.pem"))
            .replace("/etc/ssl/doors.example.org.key", &format!("{path}/key.pem"))
            .replace("127.0.0.1:10000", upstream);
        assert!(server.contains(upstream) && server.contains(&port.to_string()), "the shipped file is another one");
        let temporary: String =
            ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|what| format!("{what}_temp_path {path}/{what};\n")).concat();
        let text = format!(
            "daemon off;\nmaster_process off;\npid {path}/pid;\nerror_log {path}/error.log;\nevents {{}}\n\
             http {{\naccess_log off;\n{temporary}{server}}}\n"
        );
        fs::write(folder.path().join("nginx.conf"), text).unwrap();
        let program = if Path::new("/usr/sbin/nginx").exists() { "/usr/sbin/nginx" } else { "nginx" };
        let mut command = Command::new(program);
        command.args(["-c", &format!("{path}/nginx.conf"), "-e", &format!("{path}/error.log")]).stdin(Stdio::null());
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("nginx is installed: `make test` does it");
        (Self { child, _folder: folder }, certificate)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_nginx_streams_flow_and_the_client_is_known() {
    let scene = Scene::start(&[("DOORWARD_MQTT__LISTEN", "127.0.0.1:0"), ("DOORWARD_TUNNEL__PROXIES", "127.0.0.0/8")]).await;
    let key = scene.key("phone", &["--mqtt-publish", "home/#", "--mqtt-subscribe", "home/#", "--door", "*"]);
    let port = free_port();
    let (_nginx, certificate) = Nginx::start(port, &scene.binary.tunnel());
    let certificate = reqwest::Certificate::from_pem(&fs::read(certificate).unwrap()).unwrap();
    let client = reqwest::Client::builder().no_proxy().add_root_certificate(certificate).build().unwrap();
    let url = format!("https://localhost:{port}");
    until("nginx answers", async || client.get(format!("{url}/health")).send().await.is_ok_and(|answer| answer.status() == 200)).await;
    let sealed = |fields: Value| python_says(&["seal", &key, &fields.to_string()]);
    let mut stream =
        client.post(format!("{url}/mqtt/subscribe")).body(sealed(json!({ "topic": "home/#", "timestamp": now() }))).send().await.unwrap();
    assert_eq!(event(&mut stream, &key).await["type"], "connected", "the first event comes at once");
    for number in 0..3 {
        let body = sealed(json!({ "topic": "home/a", "message": number, "timestamp": now() }));
        client.post(format!("{url}/mqtt/publish")).body(body).send().await.unwrap();
        assert_eq!(event(&mut stream, &key).await["payload"], number, "and each as it is published");
    }
    let large = client.post(format!("{url}/gateway")).body("A".repeat(600 << 10)).send().await.unwrap();
    assert_eq!(large.status(), 413);
    let shown = json(scene.path(), &["tunnel", "key", "show", "phone"]);
    assert_eq!(shown["recent"][0]["source"], "127.0.0.1", "what nginx saw: {shown}");
}

/// A folder with a stand-in for Tailscale's command, which notes what it is asked and answers from files.
fn tailscale(folder: &Path, status: &Value) {
    let script = "#!/bin/sh\n\
        here=$(dirname \"$0\")\n\
        echo \"$*\" >> \"$here/asked\"\n\
        case \"$*\" in\n\
          version) echo \"$(cat \"$here/version\")\" ;;\n\
          'status --json') cat \"$here/status\" ;;\n\
          'funnel status --json') cat \"$here/funnel\" ;;\n\
          funnel*) cp \"$here/after\" \"$here/funnel\" ;;\n\
          *) echo \"unknown: $*\" >&2; exit 1 ;;\n\
        esac\n";
    for (name, text) in [("tailscale", script), ("version", "1.76.1\n"), ("funnel", "{}"), ("asked", ""), ("status", &status.to_string())] {
        fs::write(folder.join(name), text).unwrap();
    }
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(folder.join("tailscale"), mode).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn funnel_is_checked_shown_and_set_up() {
    let scene = Scene::start(&[]).await;
    let folder = tempfile::tempdir().unwrap();
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap_or_default());
    let own = json!({ "DNSName": "house.tail1234.ts.net.", "CapMap": { "https": null, "funnel": null } });
    tailscale(folder.path(), &json!({ "BackendState": "Running", "Self": own }));
    let target = scene.url();
    let web = |proxy: &str| json!({ "Web": { "house.tail1234.ts.net:443": { "Handlers": { "/": { "Proxy": proxy } } } } }).to_string();
    fs::write(folder.path().join("after"), web(&target)).unwrap();
    let funnel = |arguments: &[&str]| {
        let mut command = binary::command(scene.path());
        let output = command.env("PATH", &path).args(["tunnel", "funnel"]).args(arguments).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
    };
    let asked = || fs::read_to_string(folder.path().join("asked")).unwrap();
    let (code, shown) = funnel(&[]);
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains(&format!("tailscale funnel --bg --yes --https=443 {target}")), "{shown}");
    assert!(shown.contains("https://house.tail1234.ts.net") && !asked().contains("--bg"), "it is shown, and not done");
    // The stand-in's name is nowhere; what it would lead to is asked in its place.
    let (code, done) = funnel(&["--apply", "--public-url", &target]);
    assert_eq!(code, 0, "{done}");
    assert!(asked().contains(&format!("funnel --bg --yes --https=443 {target}")), "{}", asked());
    assert!(done.contains("answers: doorward"), "{done}");
    let (code, again) = funnel(&["--apply", "--public-url", &target]);
    assert_eq!((code, asked().matches("--bg").count()), (0, 1), "what is there is not done again: {again}");
    fs::write(folder.path().join("funnel"), web("http://127.0.0.1:9999")).unwrap();
    let (code, other) = funnel(&["--apply"]);
    assert!(code != 0 && other.contains("leads to http://127.0.0.1:9999 already") && other.contains("--port"), "{other}");
    fs::write(folder.path().join("funnel"), "{}").unwrap();
    for (status, word) in [
        (json!({ "BackendState": "NeedsLogin" }), "tailscale up"),
        (json!({ "BackendState": "Running", "Self": { "DNSName": "" } }), "MagicDNS"),
        (json!({ "BackendState": "Running", "Self": { "DNSName": "a.ts.net.", "CapMap": { "https": null } } }), "attribute “funnel”"),
    ] {
        fs::write(folder.path().join("status"), status.to_string()).unwrap();
        let (code, told) = funnel(&["--apply"]);
        assert!(code != 0 && told.contains(word), "{word}: {told}");
    }
    fs::write(folder.path().join("version"), "1.40.0\n").unwrap();
    assert!(funnel(&[]).1.contains("too old"));
    fs::remove_file(folder.path().join("tailscale")).unwrap();
    let nothing = binary::command(scene.path()).env("PATH", folder.path()).args(["tunnel", "funnel"]).output().unwrap();
    assert!(String::from_utf8_lossy(&nothing.stderr).contains("there is no command `tailscale`"));
    assert_eq!(asked().matches("--bg").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_of_its_own_is_verified_by_its_authority() {
    let scene = Scene::start(&[("DOORWARD_TUNNEL__TLS", "true")]).await;
    let key = scene.key("phone", &["--door", "*"]);
    let address = scene.binary.tunnel();
    let url = format!("https://{address}");
    let authority = String::from_utf8(binary::run(scene.path(), &["tunnel", "authority"]).stdout).unwrap();
    let told = call(&url, &key, &["service=doors", "action=list"]);
    assert!(told["error"].as_str().unwrap().contains("ertificate"), "nobody trusts it unasked: {told}");
    let data = tempfile::tempdir().unwrap();
    let pem = data.path().join("ca.pem");
    fs::write(&pem, authority).unwrap();
    let output = binary::command(data.path())
        .env("DOORWARD_TUNNEL_KEY", &key)
        .args(["tunnel", "call", &url, "--ca-file", &pem.display().to_string()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
