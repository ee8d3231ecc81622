//! The radios, where they are, and what each does.

use super::ear::{Ear, Heard};
use super::fields::Fields;
use super::link::Links;
use super::physics::{Physics, Place};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};

/// Between two gusts of a flood, in milliseconds.
const GUST_MS: u64 = 10;
/// Signals under way.
const MOST_UNDER_WAY: usize = 65_536;
/// Nothing is due.
const NEVER: u64 = u64::MAX;

/// The way to a client.
pub(super) struct Outbox {
    /// What it must be told.
    pub(super) words: mpsc::Sender<String>,
    /// What it may miss.
    pub(super) waves: mpsc::Sender<String>,
    pub(super) dropped: AtomicU64,
    /// It does not read, and is thrown out.
    pub(super) out: Notify,
}

impl Outbox {
    pub(super) fn word(&self, line: String) {
        if self.words.try_send(line).is_err() {
            self.out.notify_one();
        }
    }

    fn wave(&self, line: String) {
        if self.waves.try_send(line).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

pub(super) struct Radio {
    pub(super) address: String,
    pub(super) place: Place,
    pub(super) outbox: Arc<Outbox>,
    pub(super) generation: u64,
    pub(super) trouble: Option<&'static str>,
    pub(super) scan: Option<Scan>,
    pub(super) adverts: BTreeMap<u64, Advert>,
    pub(super) services: Option<Value>,
}

#[derive(Clone, Copy)]
pub(super) struct Scan {
    pub(super) active: bool,
    pub(super) company: Option<u16>,
}

pub(super) struct Advert {
    pub(super) data: Fields,
    pub(super) response: Fields,
    pub(super) connectable: bool,
    pub(super) interval_ms: u64,
    pub(super) next_ms: u64,
}

/// One advertisement on its way out.
pub(super) struct Signal<'a> {
    pub(super) from: Place,
    pub(super) address: &'a str,
    pub(super) data: &'a Fields,
    pub(super) response: &'a Fields,
}

/// A line on its way to a radio: when, in which order, to whom, and whether it may be missed.
type UnderWay = Reverse<(u64, u64, String, String, bool)>;

pub(super) struct World {
    pub(super) physics: Physics,
    pub(super) hide_rssi: bool,
    pub(super) radios: BTreeMap<String, Radio>,
    pub(super) links: Links,
    pub(super) ears: BTreeMap<u64, Ear>,
    pub(super) dice: fastrand::Rng,
    hurry: u64,
    under_way: BinaryHeap<UnderWay>,
    order: u64,
    flood: Option<(u32, u64)>,
    now: u64,
}

impl World {
    pub(super) fn new(seed: u64, physics: Physics, hurry: u32) -> Self {
        Self {
            physics,
            hide_rssi: false,
            radios: BTreeMap::new(),
            links: Links::default(),
            ears: BTreeMap::new(),
            dice: fastrand::Rng::with_seed(seed),
            hurry: hurry.max(1).into(),
            under_way: BinaryHeap::new(),
            order: 0,
            flood: None,
            now: 0,
        }
    }

    /// Sends what is due. Gives when something is due next.
    pub(super) fn turn(&mut self, now: u64) -> u64 {
        self.now = now;
        let due: Vec<(String, u64)> = self.due_adverts(now);
        for (name, number) in due {
            self.send(&name, number);
        }
        self.gust(now);
        while self.under_way.peek().is_some_and(|Reverse((at, ..))| *at <= now) {
            let Some(Reverse((_, _, name, line, missable))) = self.under_way.pop() else { break };
            self.hand(&name, line, missable);
        }
        let adverts = self.radios.values().flat_map(|radio| radio.adverts.values()).map(|advert| advert.next_ms).min();
        let under_way = self.under_way.peek().map(|Reverse((at, ..))| *at);
        let gust = self.flood.map(|_| now + GUST_MS);
        [adverts, under_way, gust].into_iter().flatten().min().unwrap_or(NEVER)
    }

    fn due_adverts(&self, now: u64) -> Vec<(String, u64)> {
        let all = self.radios.iter().flat_map(|(name, radio)| radio.adverts.iter().map(move |(number, advert)| (name, number, advert)));
        all.filter(|(_, _, advert)| advert.next_ms <= now).map(|(name, number, _)| (name.clone(), *number)).collect()
    }

    /// Sends one advertisement, and sets when it comes again: its interval and up to 10 ms more, as radios do.
    fn send(&mut self, name: &str, number: u64) {
        let jitter = self.dice.u64(0..=10);
        let Some(radio) = self.radios.get_mut(name) else { return };
        let Some(mut advert) = radio.adverts.remove(&number) else { return };
        let (from, address) = (radio.place, radio.address.clone());
        advert.next_ms = self.now + ((advert.interval_ms + jitter) / self.hurry).max(1);
        let signal = Signal { from, address: &address, data: &advert.data, response: &advert.response };
        self.emit(&signal, Some(name));
        self.relay(&signal);
        if let Some(radio) = self.radios.get_mut(name) {
            radio.adverts.insert(number, advert);
        }
    }

    /// Every radio that scans hears it, but the one that sends it.
    pub(super) fn emit(&mut self, signal: &Signal<'_>, sender: Option<&str>) {
        let mut lines = Vec::new();
        for (name, radio) in &self.radios {
            let Some(scan) = radio.scan.filter(|scan| scan.company.is_none() || scan.company == signal.data.company) else { continue };
            if sender == Some(name) {
                continue;
            }
            if let Some(rssi) = self.physics.rssi(signal.from, radio.place, &mut self.dice) {
                let rssi = if self.hide_rssi { 127 } else { rssi };
                lines.push((name.clone(), signal.data.seen(scan.active.then_some(signal.response), signal.address, rssi)));
            }
        }
        for (name, line) in lines {
            self.later(name, line, true);
        }
    }

    /// Those who listen hear it too, and may send it on: once, for nothing is relayed twice.
    fn relay(&mut self, signal: &Signal<'_>) {
        let mut onward = Vec::new();
        for ear in self.ears.values_mut() {
            let Some(rssi) = self.physics.rssi(signal.from, ear.place, &mut self.dice) else { continue };
            ear.keep(Heard::new(self.now, rssi, signal));
            onward.extend(ear.relay_to);
        }
        for from in onward {
            self.emit(&Signal { from, ..*signal }, None);
        }
    }

    /// So many strangers as are due: phones, tags and lamps, and now and then something that looks like a token.
    fn gust(&mut self, now: u64) {
        let Some((per_second, since)) = self.flood else { return };
        let span = now.saturating_sub(since).min(1000);
        let number = u64::from(per_second) * span / 1000;
        if number == 0 {
            return;
        }
        self.flood = Some((per_second, now));
        for _ in 0..number {
            let token = self.dice.u8(..) < 32;
            let (company, length) = if token { (0xFFFF, 16) } else { (self.dice.u16(..0xFFFF), self.dice.usize(2..24)) };
            let bytes = (0..2 * length).map(|_| self.dice.digit(16)).collect();
            let address =
                format!("F0:00:{:02X}:{:02X}:{:02X}:{:02X}", self.dice.u8(..), self.dice.u8(..), self.dice.u8(..), self.dice.u8(..));
            let data = Fields { company: Some(company), bytes, ..Fields::default() };
            let line = data.seen(None, &address, -60);
            let scans = |radio: &Radio| radio.scan.is_some_and(|scan| scan.company.is_none_or(|wanted| wanted == company));
            for radio in self.radios.values().filter(|radio| scans(radio)) {
                radio.outbox.wave(line.clone());
            }
        }
    }

    pub(super) fn flood(&mut self, per_second: u32, now: u64) {
        self.flood = (per_second > 0).then_some((per_second, now));
    }

    /// Tells a radio something, after the latency.
    pub(super) fn later(&mut self, name: String, line: String, missable: bool) {
        let latency = u64::try_from(self.physics.latency.as_millis()).unwrap_or(u64::MAX);
        if latency == 0 && self.under_way.is_empty() || self.under_way.len() >= MOST_UNDER_WAY {
            self.hand(&name, line, missable);
        } else {
            self.order += 1;
            self.under_way.push(Reverse((self.now.saturating_add(latency), self.order, name, line, missable)));
        }
    }

    fn hand(&self, name: &str, line: String, missable: bool) {
        let Some(radio) = self.radios.get(name) else { return };
        if missable {
            radio.outbox.wave(line);
        } else {
            radio.outbox.word(line);
        }
    }

    pub(super) fn tell(&mut self, name: &str, line: &Value) {
        self.later(name.to_owned(), line.to_string(), false);
    }

    pub(super) fn carry(&mut self, name: &str, place: Place) {
        if let Some(radio) = self.radios.get_mut(name) {
            radio.place = place;
        }
    }

    /// The radio is gone for this reason, or is back.
    pub(super) fn fail(&mut self, name: &str, why: Option<&'static str>) {
        self.disconnect(name);
        let Some(radio) = self.radios.get_mut(name) else { return };
        radio.generation += u64::from(why.is_none());
        radio.trouble = why;
        radio.scan = None;
        radio.adverts.clear();
        radio.services = None;
        let line = json!({ "event": "standing", "up": why.is_none(), "generation": radio.generation, "why": why });
        radio.outbox.word(line.to_string());
    }

    pub(super) fn disconnect(&mut self, name: &str) {
        for (link, other) in self.links.of(name) {
            self.end_link(link);
            self.tell(&other, &json!({ "event": "gone", "link": link }));
            self.tell(name, &json!({ "event": "gone", "link": link }));
        }
    }

    /// A client has left.
    pub(super) fn leave(&mut self, name: &str) {
        self.disconnect(name);
        self.radios.remove(name);
    }

    pub(super) fn dropped(&self, name: &str) -> u64 {
        self.radios.get(name).map_or(0, |radio| radio.outbox.dropped.load(Ordering::Relaxed))
    }

    pub(super) fn now(&self) -> u64 {
        self.now
    }

    pub(super) fn end(&mut self) {
        self.radios.values().for_each(|radio| radio.outbox.out.notify_one());
    }
}
