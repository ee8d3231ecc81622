//! Connections between two radios, and what one asks the other.

use super::ops::{Answer, Trouble};
use super::world::World;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

/// What phones agree to.
const MTU: u64 = 247;
/// Connections of one radio.
const MOST_LINKS: usize = 64;
/// Requests that wait for one server.
const MOST_REQUESTS: usize = 64;

struct Link {
    client: String,
    server: String,
    subscribed: BTreeSet<String>,
}

struct Request {
    link: u64,
    client: String,
    server: String,
    /// How the client named it.
    id: u64,
}

#[derive(Default)]
pub(super) struct Links {
    open: BTreeMap<u64, Link>,
    requests: BTreeMap<u64, Request>,
    next: u64,
}

impl Links {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// The links of a radio, with who is at the other end.
    pub(super) fn of(&self, name: &str) -> Vec<(u64, String)> {
        let ends = self.open.iter().filter_map(|(number, link)| {
            let other = if link.client == name { &link.server } else { Some(&link.client).filter(|_| link.server == name)? };
            Some((*number, other.clone()))
        });
        ends.collect()
    }
}

impl World {
    pub(super) fn connect(&mut self, name: &str, address: &str) -> Answer {
        let place = self.radios.get(name).map(|radio| radio.place).unwrap_or_default();
        let found = self.radios.iter().find(|(other, radio)| {
            let open = radio.adverts.values().any(|advert| advert.connectable);
            *other != name && radio.address == address && open && self.physics.reaches(place, radio.place)
        });
        let (server, radio) = found.ok_or(Trouble("not_found", "nobody with this address lets others connect"))?;
        let (server, services) = (server.clone(), radio.services.clone().unwrap_or_else(|| json!([])));
        if self.links.of(&server).len() >= MOST_LINKS || self.links.of(name).len() >= MOST_LINKS {
            return Err(Trouble("busy", "there are too many connections"));
        }
        let number = self.links.number();
        self.links.open.insert(number, Link { client: name.to_owned(), server, subscribed: BTreeSet::new() });
        Ok(Some(json!({ "link": number, "mtu": MTU, "services": services })))
    }

    /// The client of a link asks its server something. The answer comes later.
    pub(super) fn ask(&mut self, name: &str, id: Option<u64>, number: u64, op: &str, uuid: &str, value: Option<&str>) -> Answer {
        let link = self.links.open.get(&number).filter(|link| link.client == name);
        let server = link.ok_or(Trouble("disconnected", "there is no such connection"))?.server.clone();
        let can = match op {
            "read" => "read",
            "subscribe" => "notify",
            _ if id.is_some() => "write",
            _ => "command",
        };
        let services = self.radios.get(&server).and_then(|radio| radio.services.as_ref());
        if !services.is_some_and(|services| offers(services, uuid, can)) {
            return Err(Trouble("not_found", "the server has no such characteristic, or it cannot do that"));
        }
        let address = self.radios.get(name).map(|radio| radio.address.clone());
        let mut event = json!({ "event": op, "link": number, "address": address, "mtu": MTU, "uuid": uuid });
        if op == "subscribe" {
            if let Some(link) = self.links.open.get_mut(&number) {
                link.subscribed.insert(uuid.to_owned());
            }
            (event["event"], event["on"]) = (json!("subscribed"), json!(true));
            self.tell(&server, &event);
            return Ok(Some(json!(true)));
        }
        if let Some(value) = value {
            event["value"] = json!(value);
        }
        if let Some(id) = id {
            if self.links.requests.values().filter(|request| request.server == server).count() >= MOST_REQUESTS {
                return Err(Trouble("busy", "too many requests wait"));
            }
            let request = self.links.number();
            event["request"] = json!(request);
            let waiting = Request { link: number, client: name.to_owned(), server: server.clone(), id };
            self.links.requests.insert(request, waiting);
        }
        self.tell(&server, &event);
        Ok(None)
    }

    /// A server answers.
    pub(super) fn reply(&mut self, name: &str, number: u64, value: Option<&str>, error: Option<&str>) {
        let Some(request) = self.links.requests.get(&number).filter(|request| request.server == name) else { return };
        let line = match error {
            Some(error) => json!({ "id": request.id, "error": "refused", "text": error }),
            None => json!({ "id": request.id, "ok": value }),
        };
        let client = request.client.clone();
        self.links.requests.remove(&number);
        self.tell(&client, &line);
    }

    /// A server tells one client of a value.
    pub(super) fn notify(&mut self, name: &str, number: u64, uuid: &str, value: &str) -> Answer {
        let link = self.links.open.get(&number).filter(|link| link.server == name);
        let link = link.ok_or(Trouble("disconnected", "there is no such connection"))?;
        if value.len() as u64 / 2 > MTU - 3 {
            return Err(Trouble("too_long", "a notification has at most 244 bytes"));
        }
        if !link.subscribed.contains(uuid) {
            return Err(Trouble("refused", "nobody asked to be told of that"));
        }
        let client = link.client.clone();
        self.tell(&client, &json!({ "event": "notified", "link": number, "uuid": uuid, "value": value }));
        Ok(Some(json!(true)))
    }

    /// One end hangs up.
    pub(super) fn hang_up(&mut self, name: &str, number: u64) {
        let ends = self.links.open.get(&number).map(|link| [link.client.clone(), link.server.clone()]);
        if let Some(ends) = ends.filter(|ends| ends.iter().any(|end| end == name)) {
            self.end_link(number);
            for end in ends {
                self.tell(&end, &json!({ "event": "gone", "link": number }));
            }
        }
    }

    /// A link is over, and with it what was asked over it.
    pub(super) fn end_link(&mut self, number: u64) {
        self.links.open.remove(&number);
        let over: Vec<u64> = self.links.requests.iter().filter(|(_, request)| request.link == number).map(|(at, _)| *at).collect();
        for at in over {
            let Some(request) = self.links.requests.remove(&at) else { continue };
            self.tell(&request.client, &json!({ "id": request.id, "error": "disconnected", "text": "the connection is over" }));
        }
    }
}

/// Whether a characteristic is there and can do that.
fn offers(services: &Value, uuid: &str, can: &str) -> bool {
    let services = services.as_array().into_iter().flatten();
    let mut all = services.flat_map(|service| service["characteristics"].as_array().into_iter().flatten());
    all.any(|own| own["uuid"] == uuid && own["can"].as_array().is_some_and(|list| list.iter().any(|word| word == can)))
}
