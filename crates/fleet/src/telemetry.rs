//! What devices tell of themselves, and which of them are connected.
//!
//! The embedded broker shows each message before anybody gets it ([`Watcher`]), so that a device that speaks for another is
//! heard by nobody. What is learned is held here, and written down together now and then. A device is online while it is
//! connected, and offline when it was not for [`GRACE`]: a restart, or a Wi-Fi that falters, is no news.

use crate::{Fleet, lock, offers::News};
use doorward_core::{Mono, Now, record::NewEvent};
use doorward_mqtt::{elsewhere::Elsewhere, roster::Watcher};
use doorward_store::{DeviceReport, StoreError};
use doorward_wire::{
    Time,
    device::{DeviceId, SHARED},
    event::EventKind,
    topic::Filter,
};
use serde_json::{Map, Value};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Notify, oneshot},
    task::JoinHandle,
};

/// How long a device may be away before it is offline.
pub(crate) const GRACE: Duration = Duration::from_secs(90);
/// How often what was learned is written down.
pub(crate) const FLUSH: Duration = Duration::from_secs(10);
/// How long until a broker that went away is listened to again.
const AGAIN: Duration = Duration::from_secs(5);
/// Bytes of a message that are looked into.
const MESSAGE: usize = 64 << 10;
/// Characters of a version.
const VERSION: usize = 64;
/// Devices in the field tell of themselves every five minutes: whoever did within this time is there, where nobody tells who is
/// connected.
const LATELY: Duration = Duration::from_mins(6);
/// Devices that are remembered: at another broker anybody may say that it is one.
const MOST: usize = 60_000;
/// Answers that are waited for at once.
const WAITING: usize = 256;

/// What is known of devices beside the store.
#[derive(Default)]
pub(crate) struct Registry {
    devices: Mutex<HashMap<DeviceId, Live>>,
    waiting: Mutex<HashMap<(DeviceId, String), oneshot::Sender<Value>>>,
    asked: AtomicU64,
    /// A device runs something else than before.
    learned: Notify,
}

#[derive(Default)]
struct Live {
    /// What it told, and is not written down yet.
    report: DeviceReport,
    changed: bool,
    online: bool,
    /// Since when it is not connected, while it still counts as online.
    away: Option<Mono>,
    /// When it was last heard.
    heard: Option<Mono>,
    /// What it said that it runs, last.
    version: Option<String>,
}

/// Why a message goes no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// It names another device.
    Sender,
    /// It is no JSON object, or too long.
    Message,
}

impl Wrong {
    const fn word(self) -> &'static str {
        match self {
            Self::Sender => "sender",
            Self::Message => "message",
        }
    }
}

impl Registry {
    /// Those that were online when the last run ended have [`GRACE`] to come back.
    pub(crate) fn remember(&self, online: Vec<DeviceId>) {
        let mut devices = lock(&self.devices);
        devices.extend(online.into_iter().map(|id| (id, Live { online: true, ..Live::default() })));
    }

    /// A device said something. What it says of another is not believed, and goes no further.
    pub(crate) fn heard(&self, id: &DeviceId, topic: &str, payload: &[u8], now: Now) -> Result<(), Wrong> {
        let said = read(id, topic, payload)?;
        if let (Some(said), Some(request)) = (&said, answered(id, topic)) {
            let waiting = lock(&self.waiting).remove(&(id.clone(), request));
            // Whoever asked may have gone.
            let _ = waiting.map(|waiting| waiting.send(Value::Object(said.clone())));
        }
        let mut devices = lock(&self.devices);
        if devices.len() >= MOST && !devices.contains_key(id) {
            return Ok(());
        }
        let live = devices.entry(id.clone()).or_default();
        live.report.seen = Some(now.utc);
        live.heard = Some(now.mono);
        live.changed = true;
        if let Some(said) = said {
            learn(&mut live.report, &said);
        }
        if live.report.firmware.is_some() && live.report.firmware != live.version {
            live.version.clone_from(&live.report.firmware);
            self.learned.notify_one();
        }
        Ok(())
    }

    /// Returns when a device runs something else than before.
    pub(crate) async fn learned(&self) {
        self.learned.notified().await;
    }

    /// The devices that were heard lately.
    pub(crate) fn heard_lately(&self, now: Mono) -> BTreeMap<DeviceId, u64> {
        let devices = lock(&self.devices);
        let lately = |live: &Live| live.heard.is_some_and(|heard| now.since(heard) < LATELY);
        devices.iter().filter(|(_, live)| lately(live)).map(|(id, _)| (id.clone(), 0)).collect()
    }

    /// A device came or went.
    pub(crate) fn touch(&self, id: &DeviceId, now: Time) {
        let mut devices = lock(&self.devices);
        let live = devices.entry(id.clone()).or_default();
        live.report.seen = Some(now);
        live.changed = true;
    }

    /// Waits for the answer of a device: the number of the request, and where the answer comes.
    pub(crate) fn ask(&self, id: &DeviceId, method: &str, now: Time) -> Option<(u64, oneshot::Receiver<Value>)> {
        let mut waiting = lock(&self.waiting);
        waiting.retain(|_, waiting| !waiting.is_closed());
        if waiting.len() >= WAITING {
            return None;
        }
        // No request of an earlier run has this number: its answer may still come.
        let first = u64::try_from(now.as_micros() / 1000).unwrap_or_default();
        let number = self.asked.fetch_max(first, Ordering::Relaxed).max(first);
        self.asked.store(number + 1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        waiting.insert((id.clone(), format!("{method}/{number}")), sender);
        Some((number, receiver))
    }

    /// Compares who is connected with who was, and gives what is new: events, and what is to be written down.
    pub(crate) fn look(&self, connected: &BTreeMap<DeviceId, u64>, now: Now) -> (Vec<NewEvent>, Vec<(DeviceId, DeviceReport)>) {
        let mut devices = lock(&self.devices);
        for id in connected.keys() {
            devices.entry(id.clone()).or_default();
        }
        let (mut events, mut reports) = (Vec::new(), Vec::new());
        for (id, live) in devices.iter_mut() {
            let event = |kind| NewEvent::new(now.utc, kind).device(id);
            match (connected.contains_key(id), live.online) {
                (true, false) => {
                    live.online = true;
                    live.report.seen = Some(now.utc);
                    live.report.online = Some(true);
                    live.changed = true;
                    events.push(event(EventKind::DeviceOnline));
                }
                (true, true) => live.away = None,
                (false, true) if now.mono.since(*live.away.get_or_insert(now.mono)) >= GRACE => {
                    live.online = false;
                    live.away = None;
                    live.report.online = Some(false);
                    live.changed = true;
                    events.push(event(EventKind::DeviceOffline));
                }
                (false, true | false) => {}
            }
            if std::mem::take(&mut live.changed) {
                reports.push((id.clone(), std::mem::take(&mut live.report)));
            }
        }
        devices.retain(|_, live| live.online || live.changed || live.heard.is_some_and(|heard| now.mono.since(heard) < LATELY));
        (events, reports)
    }

    /// What could not be written down is kept for the next time, under what came since.
    pub(crate) fn take_back(&self, reports: Vec<(DeviceId, DeviceReport)>) {
        let mut devices = lock(&self.devices);
        for (id, older) in reports {
            let live = devices.entry(id).or_default();
            live.report = merged(older, std::mem::take(&mut live.report));
            live.changed = true;
        }
    }

    /// What a device told since it was last written down.
    pub(crate) fn newer(&self, id: &DeviceId, older: DeviceReport) -> DeviceReport {
        match lock(&self.devices).get(id) {
            Some(live) => merged(older, live.report.clone()),
            None => older,
        }
    }

    /// A device has no rights any more.
    pub(crate) fn forget(&self, id: &DeviceId) {
        lock(&self.devices).remove(id);
    }

    /// How many count as online.
    pub(crate) fn online(&self) -> usize {
        lock(&self.devices).values().filter(|live| live.online).count()
    }
}

fn merged(older: DeviceReport, newer: DeviceReport) -> DeviceReport {
    DeviceReport {
        seen: newer.seen.or(older.seen),
        online: newer.online.or(older.online),
        firmware: newer.firmware.or(older.firmware),
        uptime: newer.uptime.or(older.uptime),
        free_heap: newer.free_heap.or(older.free_heap),
        wifi_rssi: newer.wifi_rssi.or(older.wifi_rssi),
    }
}

/// Whom a message names as its sender.
fn speaker(topic: &str, payload: &[u8]) -> Option<DeviceId> {
    if !SHARED.contains(&topic) {
        return topic.split('/').nth(1)?.parse().ok();
    }
    let said: Map<String, Value> = serde_json::from_slice(payload.get(..MESSAGE).unwrap_or(payload)).ok()?;
    said.get(if topic == "sensor/data" { "gateway" } else { "serialNumber" })?.as_str()?.parse().ok()
}

/// Reads what a device published, if it may have been this one. Other messages at its own topics are its own affair.
fn read(id: &DeviceId, topic: &str, payload: &[u8]) -> Result<Option<Map<String, Value>>, Wrong> {
    let shared = SHARED.contains(&topic);
    let said = if payload.len() <= MESSAGE { serde_json::from_slice::<Map<String, Value>>(payload).ok() } else { None };
    let Some(said) = said else { return if shared { Err(Wrong::Message) } else { Ok(None) } };
    let says = |key: &str| said.get(key).and_then(Value::as_str).map(|named| named.parse::<DeviceId>().ok().as_ref() == Some(id));
    let is_own = match topic {
        "sensor/data" => says("gateway"),
        _ if shared => says("serialNumber"),
        // Here the topic says whose it is, and the message must not say otherwise.
        _ => Some(says("device_id").unwrap_or(true)),
    };
    if is_own == Some(true) { Ok(Some(said)) } else { Err(Wrong::Sender) }
}

/// The request that a message answers, as `method/number`.
fn answered(id: &DeviceId, topic: &str) -> Option<String> {
    let rest = topic.strip_prefix("sensor/")?.strip_prefix(id.as_str())?.strip_prefix("/response/")?;
    rest.contains('/').then(|| rest.to_owned())
}

fn learn(report: &mut DeviceReport, said: &Map<String, Value>) {
    let version = ["firmware", "current_version"].iter().find_map(|key| said.get(*key)).and_then(Value::as_str);
    if let Some(version) = version.map(str::trim).filter(|version| (1..=VERSION).contains(&version.chars().count())) {
        report.firmware = Some(version.chars().filter(|letter| !letter.is_control()).collect());
    }
    let number = |key: &str| said.get(key).and_then(|value| value.as_i64().or_else(|| whole(value.as_f64()?)));
    report.uptime = number("uptime").filter(|uptime| *uptime >= 0).or(report.uptime);
    report.free_heap = number("freeHeap").filter(|bytes| *bytes >= 0).or(report.free_heap);
    report.wifi_rssi = number("wifiRssi").filter(|rssi| (-200..=0).contains(rssi)).or(report.wifi_rssi);
}

#[expect(clippy::cast_possible_truncation, reason = "looked at before")]
fn whole(number: f64) -> Option<i64> {
    (number.abs() < 1e15).then_some(number as i64)
}

impl Watcher for Fleet {
    fn published(&self, device: &DeviceId, topic: &str, payload: &[u8]) -> bool {
        match self.registry().heard(device, topic, payload, self.house().now()) {
            Ok(()) => {
                self.heard_of_update(device, topic, payload);
                true
            }
            Err(wrong) => {
                metrics::counter!("doorward_fleet_refused_total", "reason" => wrong.word()).increment(1);
                tracing::debug!(%device, topic, ?wrong, "a message of a device goes no further");
                false
            }
        }
    }

    fn ready(&self, device: &DeviceId) {
        self.tell_update(device, News::Ready);
    }

    fn seen(&self, device: &DeviceId) {
        self.registry().touch(device, self.house().now().utc);
    }
}

impl Fleet {
    /// Hears devices at another broker. It does not tell who sent a message, so whom it names is believed; its rights keep a device
    /// from other topics than its own and the shared ones.
    pub(crate) fn hear_elsewhere(&self) -> Vec<JoinHandle<()>> {
        let own = ["gateway/+/status", "gateway/+/ota/status", "sensor/+/response/#"];
        let filters = SHARED.into_iter().chain(own).filter_map(|filter| filter.parse::<Filter>().ok());
        let elsewhere = Elsewhere::new(self.house().clone());
        filters.map(|filter| tokio::spawn(self.clone().hear_filter(filter, elsewhere.clone()))).collect()
    }

    async fn hear_filter(self, filter: Filter, elsewhere: Elsewhere) {
        let (clock, mut stopping) = (Arc::clone(self.house().clock()), self.stopping());
        loop {
            let hear = async {
                let Some(mqtt) = self.mqtt() else { return };
                match mqtt.tap(&elsewhere, &filter).await {
                    Ok(mut tap) => {
                        while let Ok(heard) = tap.next().await {
                            if let Some(id) = speaker(&heard.topic, &heard.payload).filter(|_| !heard.retain) {
                                self.published(&id, &heard.topic, &heard.payload);
                            }
                        }
                    }
                    Err(error) => tracing::debug!(%filter, error, "devices cannot be heard at the broker now"),
                }
                clock.sleep_until(clock.now().mono.plus(AGAIN)).await;
            };
            tokio::select! {
                () = hear => {}
                _ = stopping.wait_for(|stopping| *stopping) => return,
            }
        }
    }

    /// Writes down what devices tell, until the fleet stops.
    pub(crate) async fn listen_to_devices(self) {
        if let Err(error) = self.remember_offers().await {
            tracing::warn!(%error, "what devices are offered could not be read");
        }
        match self.house().store().has_devices().await {
            Ok(true) => self.use_it(),
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "whether there are devices could not be read"),
        }
        match self.house().store().online_devices().await {
            Ok(online) => self.registry().remember(online),
            Err(error) => tracing::warn!(%error, "which devices were online could not be read"),
        }
        let (clock, mut stopping) = (Arc::clone(self.house().clock()), self.stopping());
        loop {
            let stop = tokio::select! {
                () = clock.sleep_until(clock.now().mono.plus(FLUSH)) => false,
                _ = stopping.wait_for(|stopping| *stopping) => true,
            };
            if let Err(error) = self.write_down().await {
                tracing::warn!(%error, "what devices told could not be written down; it is kept until it can");
            }
            if stop {
                return;
            }
        }
    }

    async fn write_down(&self) -> Result<(), StoreError> {
        let (events, reports) = self.registry().look(&self.connected(), self.house().now());
        metrics::gauge!("doorward_devices", "state" => "online")
            .set(f64::from(u32::try_from(self.registry().online()).unwrap_or(u32::MAX)));
        if !reports.is_empty()
            && let Err(error) = self.house().store().note_device_reports(&reports).await
        {
            self.registry().take_back(reports);
            return Err(error);
        }
        if !events.is_empty() {
            self.house().record(events).await?;
        }
        self.look_after_claims().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn id(text: &str) -> DeviceId {
        text.parse().unwrap()
    }

    fn at(seconds: u64) -> Now {
        Now { utc: Time::default().plus(Duration::from_secs(seconds)), mono: Mono(Duration::from_secs(seconds)) }
    }

    fn say(registry: &Registry, topic: &str, said: &Value) -> Result<(), Wrong> {
        registry.heard(&id("A1B2C3D4E5F6"), topic, said.to_string().as_bytes(), at(1))
    }

    #[test]
    fn a_device_speaks_for_itself_alone() {
        let registry = Registry::default();
        let (own, other) = ("a1b2c3d4e5f6", "A1B2C3D4E5F7");
        for (topic, key) in [("sensor/data", "gateway"), ("sensor/connect", "serialNumber"), ("gateway/status", "serialNumber")] {
            assert_eq!(say(&registry, topic, &json!({ key: own })), Ok(()), "{topic}");
            assert_eq!(say(&registry, topic, &json!({ key: other })), Err(Wrong::Sender), "{topic}");
            assert_eq!(say(&registry, topic, &json!({ "device_id": own })), Err(Wrong::Sender), "{topic} without a name");
            assert_eq!(say(&registry, topic, &json!([own])), Err(Wrong::Message), "{topic}");
        }
        // The sensor's own number is no device.
        assert_eq!(say(&registry, "sensor/data", &json!({ "serialNumber": "AA:BB:CC:DD:EE:FF", "gateway": own })), Ok(()));
        assert_eq!(say(&registry, "gateway/A1B2C3D4E5F6/ota/status", &json!({ "device_id": other })), Err(Wrong::Sender));
        assert_eq!(say(&registry, "gateway/A1B2C3D4E5F6/device/00:11", &json!("anything")), Ok(()), "its own affair");
        let long = json!({ "serialNumber": own, "x": "y".repeat(MESSAGE) });
        assert_eq!(say(&registry, "gateway/status", &long), Err(Wrong::Message));
    }

    #[test]
    fn a_status_is_learned_and_nonsense_is_not() {
        let registry = Registry::default();
        let status =
            json!({ "serialNumber": "A1B2C3D4E5F6", "firmware": " 2.0.0 ", "uptime": 300, "freeHeap": 123_456.0, "wifiRssi": -61 });
        say(&registry, "gateway/status", &status).unwrap();
        let odd = json!({ "serialNumber": "A1B2C3D4E5F6", "firmware": "", "uptime": -1, "freeHeap": "much", "wifiRssi": 7 });
        say(&registry, "gateway/status", &odd).unwrap();
        let (_, reports) = registry.look(&BTreeMap::new(), at(2));
        let expected = DeviceReport {
            seen: Some(at(1).utc),
            firmware: Some("2.0.0".into()),
            uptime: Some(300),
            free_heap: Some(123_456),
            wifi_rssi: Some(-61),
            online: None,
        };
        assert_eq!(reports, [(id("A1B2C3D4E5F6"), expected.clone())]);
        assert!(registry.look(&BTreeMap::new(), at(3)).1.is_empty(), "once");
        registry.take_back(reports);
        say(&registry, "gateway/status", &json!({ "serialNumber": "A1B2C3D4E5F6", "uptime": 400 })).unwrap();
        let (_, reports) = registry.look(&BTreeMap::new(), at(4));
        assert_eq!(reports[0].1, DeviceReport { uptime: Some(400), ..expected }, "what could not be written is not lost");
    }

    #[test]
    fn a_device_is_offline_when_it_was_away_for_a_while() {
        let registry = Registry::default();
        let here = BTreeMap::from([(id("A1B2C3"), 1)]);
        let gone = BTreeMap::new();
        let kinds = |connected: &BTreeMap<DeviceId, u64>, second: u64| -> Vec<EventKind> {
            registry.look(connected, at(second)).0.iter().map(|event| event.kind).collect()
        };
        assert_eq!(kinds(&here, 0), [EventKind::DeviceOnline]);
        assert_eq!(kinds(&gone, 10), [], "a restart is no news");
        assert_eq!(kinds(&here, 60), []);
        assert_eq!(kinds(&gone, 70), []);
        assert_eq!(kinds(&gone, 159), []);
        assert_eq!(kinds(&gone, 160), [EventKind::DeviceOffline]);
        assert_eq!(kinds(&gone, 300), [], "once");
        assert_eq!(kinds(&here, 310), [EventKind::DeviceOnline]);

        let next = Registry::default();
        next.remember(vec![id("A1B2C3"), id("A1B2C4")]);
        assert!(next.look(&here, at(0)).0.is_empty(), "who was there before is no news after a start");
        let events = next.look(&here, at(90)).0;
        assert_eq!((events.len(), events[0].device.clone()), (1, Some(id("A1B2C4"))));
    }

    #[tokio::test]
    async fn an_answer_comes_to_whoever_asked_it() {
        let registry = Registry::default();
        let own = id("A1B2C3D4E5F6");
        let (first, answer) = registry.ask(&own, "read", at(1).utc).unwrap();
        let (second, _gone) = registry.ask(&own, "read", at(1).utc).unwrap();
        assert_ne!(first, second);
        say(&registry, &format!("sensor/A1B2C3D4E5F6/response/read/{first}"), &json!({ "temp": 21 })).unwrap();
        assert_eq!(answer.await.unwrap(), json!({ "temp": 21 }));
        registry.heard(&id("A1B2C3"), &format!("sensor/A1B2C3/response/read/{second}"), b"{}", at(1)).unwrap();
        assert_eq!(lock(&registry.waiting).len(), 1, "another device answers nothing of this one's");
    }
}
