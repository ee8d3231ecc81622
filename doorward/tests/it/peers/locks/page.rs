//! A guest's phone in Chromium: a pass is made, its link is opened on a page as small as a phone, it opens the door by the
//! house and over Bluetooth, is taken back, and refused. `navigator.bluetooth` is a stub whose other end is a radio in the
//! simulated air: every byte goes to the lock and back.

use super::*;
use crate::peers::chromium::Browser;
use doorward_ble::radio::{Connection, Notifications, Scan};
use fantoccini::wd::WebDriverCompatibleCommand;
use reqwest::{Method, Url};
use serde_json::json;
use std::str::FromStr;

/// A command of the developer tools.
#[derive(Debug)]
struct Tools(Value);

impl WebDriverCompatibleCommand for Tools {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, <Url as FromStr>::Err> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(self.0.to_string()))
    }
}

/// Puts what is asked into a list, and waits for an answer.
const STUB: &str = r"
(() => {
  const asked = [];
  const waiting = new Map();
  const listeners = [];
  let number = 0;
  const ask = (op, uuid, value) => new Promise((resolve, reject) => {
    number += 1;
    waiting.set(number, { resolve, reject });
    asked.push({ number, op, uuid, value });
  });
  const hex = (bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  const bytes = (text) => Uint8Array.from(text.match(/../g) || [], (byte) => parseInt(byte, 16));
  const characteristic = (uuid) => ({
    readValue: async () => new DataView(bytes(await ask('read', uuid)).buffer),
    writeValueWithResponse: (value) => ask('write', uuid, hex(value)),
    startNotifications: () => ask('subscribe', uuid),
    addEventListener: (_, listener) => listeners.push(listener),
  });
  const device = { gatt: {
    connect: async () => { await ask('connect'); return {
      getPrimaryService: async (service) => ({ getCharacteristic: async (uuid) => characteristic(uuid) }),
    }; },
    disconnect: () => { ask('disconnect').catch(() => {}); },
  } };
  Object.defineProperty(navigator, 'bluetooth', { value: { requestDevice: async ({ filters }) => { await ask('request', filters[0].services[0]); return device; } } });
  globalThis.stub = {
    take: () => asked.splice(0),
    answer: (number, value, error) => { const { resolve, reject } = waiting.get(number); waiting.delete(number); error ? reject(new Error(error)) : resolve(value); },
    notify: (text) => { const value = new DataView(bytes(text).buffer); for (const listener of listeners.splice(0)) listener({ target: { value } }); },
  };
})();
";

/// The other end of the stub.
struct Bridge {
    radio: AirRadio,
    link: Option<(Box<dyn Connection>, Option<Notifications>)>,
}

impl Bridge {
    /// Carries everything between page and lock until the page says something.
    async fn until_says(&mut self, browser: &Browser, css: &str, words: &str) {
        let carry = async {
            loop {
                self.carry(browser).await;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            () = browser.says(css, words) => {}
            () = carry => {}
        }
    }

    async fn carry(&mut self, browser: &Browser) {
        let asked = browser.client.execute("return stub.take()", Vec::new()).await.unwrap();
        for ask in asked.as_array().unwrap() {
            let (op, uuid) = (ask["op"].as_str().unwrap(), ask["uuid"].as_str().and_then(|uuid| uuid.parse().ok()));
            let answer = self.does(op, uuid, &from_hex(ask["value"].as_str().unwrap_or_default())).await;
            let (value, error) = match answer {
                Ok(value) => (to_hex(&value), Value::Null),
                Err(error) => (String::new(), json!(error)),
            };
            let arguments = vec![ask["number"].clone(), json!(value), error];
            browser.client.execute("stub.answer(arguments[0], arguments[1], arguments[2])", arguments).await.unwrap();
        }
        if let Some((_, Some(told))) = &mut self.link
            && let Ok(Some(value)) = tokio::time::timeout(Duration::from_millis(1), told.next()).await
        {
            browser.client.execute("stub.notify(arguments[0])", vec![json!(to_hex(&value))]).await.unwrap();
        }
    }

    async fn does(&mut self, op: &str, uuid: Option<uuid::Uuid>, value: &[u8]) -> Result<Vec<u8>, String> {
        let failed = |error: doorward_ble::radio::RadioError| error.to_string();
        match op {
            "request" => return Ok(Vec::new()),
            "connect" => {
                let address = self.find(v2::LOCK_SERVICE.parse().unwrap()).await;
                self.link = Some((self.radio.connect(address).await.map_err(failed)?, None));
                return Ok(Vec::new());
            }
            "disconnect" => {
                if let Some((connection, _)) = self.link.take() {
                    connection.disconnect().await;
                }
                return Ok(Vec::new());
            }
            _ => {}
        }
        let (connection, told) = self.link.as_mut().ok_or("it is not connected")?;
        let uuid = uuid.ok_or("of what?")?;
        match op {
            "read" => connection.read(uuid).await.map_err(failed),
            "write" => connection.write(uuid, value).await.map(|()| Vec::new()).map_err(failed),
            "subscribe" => {
                *told = Some(connection.subscribe(uuid).await.map_err(failed)?);
                Ok(Vec::new())
            }
            other => Err(format!("{other} is nothing")),
        }
    }

    /// Somebody who advertises this service.
    async fn find(&self, service: uuid::Uuid) -> Address {
        let mut sightings = self.radio.scan(Scan { company: None, active: true, ..Scan::default() }).await.unwrap();
        loop {
            let sighting = sightings.next().await.unwrap();
            if sighting.services.contains(&service) {
                return sighting.address;
            }
        }
    }
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn from_hex(text: &str) -> Vec<u8> {
    text.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_is_made_opens_by_its_page_and_over_bluetooth_and_is_refused_when_taken_back() {
    let scene = Scene::start().await;
    let page = scene.binary().page();
    let browser = Browser::start().await;
    browser.sign_in_first(scene.path()).await;

    // Three taps: the door, how long, make.
    browser.go(&format!("{page}/passes/new")).await;
    browser.click("input[name='door:garden']").await;
    browser.click("form.card label.day:nth-of-type(1)").await;
    browser.click("form.card button.primary").await;
    browser.says("main", "over Bluetooth at the lock").await;
    let link = browser.find("#link").await.attr("value").await.unwrap().unwrap();

    browser.client.set_window_size(390, 844).await.unwrap();
    let script = json!({ "cmd": "Page.addScriptToEvaluateOnNewDocument", "params": { "source": STUB } });
    browser.client.issue_cmd(Tools(script)).await.unwrap();
    browser.go(&link).await;
    browser.says("#doors", "Garden").await;
    browser.click(".pass-open").await;
    scene.opens(1).await;

    let mut bridge = Bridge { radio: scene.radio("browser", 9, NEAR).await, link: None };
    browser.find(".pass-near:not([hidden]):not([disabled])").await;
    browser.click(".pass-near").await;
    bridge.until_says(&browser, ".pass-told", "The lock says it opened").await;
    scene.opens(2).await;
    let events = scene.binary().client().get(&format!("/events?door={DOOR}&kind=attempt.requested")).await;
    let by_pass = events["items"].as_array().unwrap().iter().filter(|event| event["actor"]["kind"] == "pass").count();
    assert_eq!(by_pass, 2, "{events}");

    // Taken back: the page knows within seconds, and who kept the session gets nowhere.
    let passes = scene.json(&["pass", "list"]);
    scene.does(&["pass", "revoke", passes[0]["id"].as_str().unwrap()]);
    let again = "globalThis.was = 'nothing'; doorwardNear.open('garden', () => { throw new Error('asked'); }, 'open').then((result) => { was = result; }, (error) => { was = String(error); })";
    browser.client.execute(again, Vec::new()).await.unwrap();
    let mut was = Value::Null;
    until("the lock answers", async || {
        bridge.carry(&browser).await;
        was = browser.client.execute("return globalThis.was", Vec::new()).await.unwrap();
        was != "nothing"
    })
    .await;
    assert_eq!(was, "refused");
    browser.says("#note", "taken back").await;
    assert_eq!(scene.opened(), 2);
    let complaints = browser.complaints(&page).await;
    assert!(complaints.is_empty(), "{complaints:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secure_door_opens_from_a_page_and_for_no_token() {
    let scene = Scene::with("secure = true\n", &[("DOORWARD_MQTT__LISTEN", "127.0.0.1:0")]).await;
    scene.does(&["person", "add", "Mia", "--role", "guest"]);
    scene.does(&["person", "grant", "Mia", "--door", DOOR]);
    let invite = scene.json(&["person", "invite-phone", "Mia"])["invite"].as_str().unwrap().to_owned();
    let phone = scene.phone("phone", 1, Some(invite)).await;
    let held = phone.asks().await.unwrap();
    assert!(!held.ways.has(v2::Ways::TOKEN) && held.ways.has(v2::Ways::CHALLENGE));
    phone.comes(&scene);
    let shown = phone.guest.show(&held, &phone.radio, &phone.clock, &|_| {}).await;
    assert!(shown.is_err(), "there is nothing to show");
    let confirm = |_: &doorward_wire::ble::LockId, _| -> BoxFuture<'static, bool> { Box::pin(std::future::ready(true)) };
    let action = doorward_wire::attempt::ActionWord::Open;
    phone.guest.open(&held, action, &phone.radio, &phone.clock, &confirm, &|_| {}).await.unwrap();
    scene.opens(1).await;
}
