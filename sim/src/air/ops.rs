//! What a client asks of the air, one line at a time.

use super::fields::{Fields, is_address, is_hex, is_uuid};
use super::physics::Place;
use super::world::{Advert, Outbox, Radio, Scan, World};
use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

/// Radios in one air.
const MOST_RADIOS: usize = 256;
/// Advertisements of one radio.
const MOST_ADVERTS: usize = 8;
/// Services of one radio, and characteristics of one service.
const MOST_SERVICES: usize = 16;

/// Why not: a word of the protocol, and a text.
pub(super) struct Trouble(pub(super) &'static str, pub(super) &'static str);

/// What is answered at once; `None` when it comes later, or nobody waits.
pub(super) type Answer = Result<Option<Value>, Trouble>;

const UNCLEAR: Trouble = Trouble("protocol", "the line makes no sense");

impl World {
    /// A client says who it is. Gives its name.
    pub(super) fn enter(&mut self, line: &Value, outbox: Arc<Outbox>) -> Result<String, Trouble> {
        let text = |name| line.get(name).and_then(Value::as_str);
        if text("op") != Some("radio") {
            return Err(Trouble("protocol", "the first line says who it is"));
        }
        let name = text("name").filter(|name| (1..=64).contains(&name.len())).ok_or(UNCLEAR)?;
        let address = text("address").filter(|address| is_address(address)).ok_or(UNCLEAR)?;
        let place = place(line.get("place")).ok_or(UNCLEAR)?;
        if self.radios.contains_key(name) || self.radios.len() >= MOST_RADIOS {
            return Err(Trouble("busy", "there is a radio of this name, or there are too many"));
        }
        let radio = Radio {
            address: address.to_ascii_uppercase(),
            place,
            outbox,
            generation: 1,
            trouble: None,
            scan: None,
            adverts: BTreeMap::new(),
            services: None,
        };
        self.radios.insert(name.to_owned(), radio);
        Ok(name.to_owned())
    }

    /// Does what a line asks.
    pub(super) fn act(&mut self, name: &str, line: &Value) -> Answer {
        let text = |name| line.get(name).and_then(Value::as_str);
        let number = |name| line.get(name).and_then(Value::as_u64);
        let radio = self.radios.get(name).ok_or(UNCLEAR)?;
        if let Some(why) = radio.trouble {
            return Err(Trouble("gone", why));
        }
        let op = text("op").ok_or(UNCLEAR)?;
        match op {
            "scan" | "unscan" | "silence" | "unserve" | "advertise" | "serve" => self.set(name, op, line),
            "connect" => self.connect(name, &text("address").ok_or(UNCLEAR)?.to_ascii_uppercase()),
            "read" | "subscribe" | "write" => {
                let uuid = text("uuid").filter(|uuid| is_uuid(uuid)).ok_or(UNCLEAR)?;
                let command = line.get("command").and_then(Value::as_bool).unwrap_or(false);
                let value = text("value").filter(|value| is_hex(value));
                if (op == "write") != value.is_some() {
                    return Err(Trouble("too_long", "a value has at most 512 bytes of hex"));
                }
                let id = number("id").filter(|_| !command);
                let answer = self.ask(name, id, number("link").ok_or(UNCLEAR)?, op, uuid, value)?;
                // Of what is written without a response only the sending is answered.
                Ok(answer.or_else(|| command.then_some(Value::Bool(true))))
            }
            "notify" => {
                let (uuid, value) = (text("uuid").ok_or(UNCLEAR)?, text("value").filter(|value| is_hex(value)).ok_or(UNCLEAR)?);
                self.notify(name, number("link").ok_or(UNCLEAR)?, uuid, value)
            }
            "reply" => {
                let value = text("value").filter(|value| is_hex(value));
                self.reply(name, number("request").ok_or(UNCLEAR)?, value, text("error"));
                Ok(None)
            }
            "disconnect" => {
                self.hang_up(name, number("link").ok_or(UNCLEAR)?);
                Ok(Some(Value::Bool(true)))
            }
            _ => Err(UNCLEAR),
        }
    }

    /// What changes the radio itself.
    fn set(&mut self, name: &str, op: &str, line: &Value) -> Answer {
        let now = self.now();
        let number = |name| line.get(name).and_then(Value::as_u64);
        let flag = |name| line.get(name).and_then(Value::as_bool).unwrap_or(false);
        let radio = self.radios.get_mut(name).ok_or(UNCLEAR)?;
        match op {
            "scan" => {
                let company = number("company").and_then(|company| company.try_into().ok());
                radio.scan = Some(Scan { active: flag("active"), company });
            }
            "unscan" => radio.scan = None,
            "silence" => {
                radio.adverts.remove(&number("advert").ok_or(UNCLEAR)?);
            }
            "unserve" => radio.services = None,
            "serve" => {
                let services = line.get("services").filter(|services| are_services(services)).ok_or(UNCLEAR)?;
                if radio.services.is_some() {
                    return Err(Trouble("busy", "this radio serves already"));
                }
                radio.services = Some(services.clone());
            }
            _ => {
                let (data, response) = (Fields::read(line.get("data")).ok_or(UNCLEAR)?, Fields::read(line.get("response")).ok_or(UNCLEAR)?);
                let advert = number("advert").ok_or(UNCLEAR)?;
                let interval_ms = number("interval").filter(|interval| (20..=10_240).contains(interval)).ok_or(UNCLEAR)?;
                if !data.fits(3) || !response.fits(0) {
                    return Err(Trouble("too_long", "an advertisement has 31 bytes, 3 of them flags"));
                }
                if radio.adverts.len() >= MOST_ADVERTS && !radio.adverts.contains_key(&advert) {
                    return Err(Trouble("busy", "this radio has no room for one more advertisement"));
                }
                radio.adverts.insert(advert, Advert { data, response, connectable: flag("connectable"), interval_ms, next_ms: now });
            }
        }
        Ok(Some(json!(true)))
    }
}

fn place(value: Option<&Value>) -> Option<Place> {
    let all: Vec<f64> = value?.as_array()?.iter().filter_map(Value::as_f64).filter(|metres| metres.is_finite()).collect();
    match all.as_slice() {
        [x, y, z] => Some(Place::new(*x, *y, *z)),
        _ => None,
    }
}

fn are_services(value: &Value) -> bool {
    let has_uuid = |value: &Value| value["uuid"].as_str().is_some_and(is_uuid);
    let few = |value: &Value, each: &dyn Fn(&Value) -> bool| {
        value.as_array().is_some_and(|list| list.len() <= MOST_SERVICES && list.iter().all(each))
    };
    let word = |value: &Value| matches!(value.as_str(), Some("read" | "write" | "command" | "notify"));
    let characteristic = |value: &Value| has_uuid(value) && few(&value["can"], &word);
    few(value, &|service| has_uuid(service) && few(&service["characteristics"], &characteristic))
}
