//! The page `/remote` in a real Chromium: a person opens a door with it, and nobody in between changes it afterwards.

use super::{brokers::free_port, chromium::Browser, tunnel::Scene};
use crate::{
    binary::{json, run},
    boot::killed::until,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpListener,
};

/// Adds a key that may use every door, and gives its pairing link.
fn pairing(scene: &Scene) -> String {
    let rights = ["tunnel", "key", "add", "phone", "--door", "*", "--mqtt-subscribe", "doorward/door/+/state"];
    json(scene.path(), &rights)["code"].as_str().unwrap().to_owned()
}

async fn script(browser: &Browser, body: &str) -> Value {
    let script = format!("const done = arguments[0]; (async () => {{ {body} }})().then(done, (error) => done(String(error)));");
    browser.client.execute_async(&script, Vec::new()).await.unwrap()
}

/// A house whose tunnel has this port, and serves the page.
async fn house(port: &str) -> Scene {
    let (listen, url) = (format!("127.0.0.1:{port}"), format!("http://127.0.0.1:{port}"));
    let environment = [
        ("DOORWARD_MQTT__LISTEN", "127.0.0.1:0"),
        ("DOORWARD_TUNNEL__LISTEN", listen.as_str()),
        ("DOORWARD_TUNNEL__PUBLIC_URL", url.as_str()),
        ("DOORWARD_TUNNEL__REMOTE", "true"),
    ];
    Scene::start(&environment).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_opens_a_door_without_an_app() {
    let scene = house(&free_port().to_string()).await;
    let browser = Browser::start().await;
    browser.go(&pairing(&scene)).await;
    browser.says("#door-front_door .state-word", "locked").await;
    assert_eq!(browser.client.current_url().await.unwrap().as_str(), format!("{}/remote", scene.url()), "the key left the address bar");

    // A first tap asks, the second does it.
    browser.click("#door-front_door [data-key=unlock]").await;
    browser.says("#door-front_door .ask", "Really unlock").await;
    assert_eq!(scene.sim.lock("7C:DF:A1:68:3E:6A").times_opened, 0);
    // A second tap that comes too soon is none, so it is repeated for as long as the question stands.
    until("the question is answered", async || {
        let tap = "const yes = document.querySelector('#door-front_door [data-key=yes]'); yes?.click(); return !yes;";
        script(&browser, tap).await == json!(true)
    })
    .await;
    browser.says("#door-front_door .attempt", "confirmed").await;
    browser.says("#door-front_door .state-word", "unlocked").await;
    assert_eq!(scene.sim.lock("7C:DF:A1:68:3E:6A").times_opened, 1);

    // It is live: what happens elsewhere is seen.
    browser.says("#live", "live").await;
    json(scene.path(), &["door", "lock", "front_door"]);
    browser.says("#door-front_door .state-word", "locked").await;

    // The key can be used by the page and read by nobody.
    let read = "const open = indexedDB.open('doorward-remote');
        const base = await new Promise((yes) => { open.onsuccess = () => yes(open.result); });
        const all = base.transaction('keys').objectStore('keys').getAll();
        const [{ key }] = await new Promise((yes) => { all.onsuccess = () => yes(all.result); });
        return [key.extractable, await crypto.subtle.exportKey('raw', key).then(() => 'read', (error) => error.name)];";
    assert_eq!(script(&browser, read).await, json!([false, "InvalidAccessError"]));

    // A key that is revoked shows no doors any more.
    assert!(run(scene.path(), &["tunnel", "key", "revoke", "phone"]).status.success());
    browser.says("#body", "This key is not known there").await;
    let complaints = browser.complaints(&scene.url()).await;
    assert!(complaints.iter().all(|message| message.contains("/mqtt/subscribe")), "the browser complained: {complaints:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_was_loaded_once_is_not_changed_by_who_carries_it() {
    let port = free_port().to_string();
    let scene = house(&port).await;
    let browser = Browser::start().await;
    browser.go(&pairing(&scene)).await;
    browser.find("#door-front_door").await;
    let tunnel = json(scene.path(), &["tunnel", "show"]);
    browser.says("#about .facts", tunnel["remote_fingerprint"].as_str().unwrap()).await;
    let ready = "await navigator.serviceWorker.ready; return navigator.serviceWorker.controller?.state ?? 'none';";
    until("the worker is at work", async || script(&browser, ready).await == "activated").await;

    // The house goes; somebody else answers at its address, with a page and a list of files of their own.
    let Scene { binary, .. } = scene;
    binary.kill();
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await.unwrap();
    tokio::spawn(impostor(listener));
    for _ in 0..2 {
        browser.go(&format!("http://127.0.0.1:{port}/remote")).await;
        browser.find("#about .card").await;
        assert!(!browser.text().await.contains("Give me your key"));
    }
    browser.says("#banners", "A new version was not taken").await;
    // Without the pinned page the browser would have shown theirs.
    let fresh = Browser::start().await;
    fresh.go(&format!("http://127.0.0.1:{port}/remote")).await;
    fresh.says("h1", "Give me your key").await;
}

/// Serves another page, and a worker whose list its files do not fit.
async fn impostor(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            let mut stream = BufReader::new(stream);
            let mut first = String::new();
            stream.read_line(&mut first).await?;
            let mut line = String::new();
            while stream.read_line(&mut line).await? > 2 {
                line.clear();
            }
            let (kind, body) = match first.split(' ').nth(1) {
                Some("/remote/worker.js") => (
                    "text/javascript",
                    "addEventListener('install', (event) => event.waitUntil(Promise.reject(new Error('files do not fit'))));",
                ),
                _ => ("text/html", "<h1>Give me your key</h1>"),
            };
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\nservice-worker-allowed: /remote\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            stream.write_all((head + body).as_bytes()).await
        });
    }
}
