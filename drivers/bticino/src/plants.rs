//! Plants and their modules, as the service catalogue writes them: tolerant, since nobody but the vendor knows all of it.

use doorward_core::{
    Mono,
    driver::{Found, How, Sight},
};
use doorward_wire::door::{Capability, DoorKind};
use serde_json::Value;

/// Things of one list, at most.
const MOST: usize = 500;

/// A house, in the vendor's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plant {
    /// Its identifier.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Two letters.
    pub country: String,
    /// The vendor's word for what it is.
    pub kind: String,
    /// The object id of its owner.
    pub owner_id: String,
    /// The e-mail address of its owner.
    pub owner_email: String,
}

/// A gateway: the indoor unit that is connected to the cloud.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    /// Its identifier, which begins its SIP domain.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The plant that it belongs to.
    pub plant: String,
    /// Whether the vendor reaches it; unknown when it does not say.
    pub online: Option<bool>,
}

/// A gate or door lock.
#[derive(Debug, Clone, PartialEq)]
pub struct Opener {
    /// The identifier by which it is opened.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The gateway that it hangs on.
    pub gateway: String,
    /// The vendor's own JSON.
    raw: Value,
}

/// A place where somebody can ring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Panel {
    /// Its identifier.
    pub id: String,
    /// Its name, which whoever rings is called.
    pub name: String,
    /// The gateway that it hangs on.
    pub gateway: String,
}

/// Everything of some plants.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Inventory {
    /// The vendor listed it; otherwise nothing was listed yet.
    pub listed: bool,
    /// The gateways.
    pub gateways: Vec<Gateway>,
    /// What can be opened.
    pub openers: Vec<Opener>,
    /// Where somebody can ring.
    pub panels: Vec<Panel>,
}

/// The vendor's lists come bare or under a name.
fn list<'a>(answer: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    let list = answer.as_array().or_else(|| answer.get(name)?.as_array());
    list.map_or(&[][..], Vec::as_slice).iter().take(MOST)
}

/// A text that is not empty, under the first of these names that has one.
fn text(thing: &Value, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| match thing.get(name)? {
        Value::String(text) => Some(text.trim()).filter(|text| !text.is_empty()).map(str::to_owned),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    })
}

/// The plants of an answer.
pub fn plants(answer: &Value) -> Vec<Plant> {
    list(answer, "plants").filter_map(plant).collect()
}

/// One plant, which may be wrapped.
pub fn plant(answer: &Value) -> Option<Plant> {
    let plant = answer.get("plant").unwrap_or(answer);
    let id = text(plant, &["id", "plantId"])?;
    Some(Plant {
        name: text(plant, &["name"]).unwrap_or_else(|| id.clone()),
        id,
        // A plant without one is Italian to the vendor's apps.
        country: text(plant, &["country"]).unwrap_or_else(|| "it".into()),
        kind: text(plant, &["type"]).unwrap_or_default(),
        owner_id: text(plant, &["ownerId"]).unwrap_or_default(),
        owner_email: text(plant, &["ownerEmail"]).unwrap_or_default(),
    })
}

/// What the modules of an answer are, as far as they belong to one of these plants.
pub fn inventory(answer: &Value, plants: &[Plant]) -> Inventory {
    let modules: Vec<(&Value, String)> = list(answer, "modules")
        .filter_map(|module| {
            let plant = text(module, &["plantId", "plant_id"])?;
            plants.iter().any(|known| known.id == plant).then_some((module, plant))
        })
        .collect();
    let mut inventory = Inventory { listed: true, ..Inventory::default() };
    for (module, plant) in modules.iter().filter(|(module, _)| word(module) == "gateway") {
        let Some(id) = text(module, &["id", "entityId"]).filter(|id| is_identifier(id)) else { continue };
        let name = text(module, &["name"]).unwrap_or_else(|| id.clone());
        inventory.gateways.push(Gateway { id, name, plant: plant.clone(), online: online(module) });
    }
    for (module, plant) in &modules {
        let Some(id) = text(module, &["id", "entityId"]) else { continue };
        let name = text(module, &["name"]).unwrap_or_else(|| id.clone());
        // What does not say where it hangs, hangs on the plant's first gateway.
        let gateway = text(module, &["gatewayId", "gateway_id"])
            .or_else(|| inventory.gateways.iter().find(|gateway| gateway.plant == *plant).map(|gateway| gateway.id.clone()));
        let Some(gateway) = gateway else { continue };
        match what(module) {
            What::Opener => inventory.openers.push(Opener { id, name, gateway, raw: (*module).clone() }),
            What::Panel => inventory.panels.push(Panel { id, name, gateway }),
            What::Other => {}
        }
    }
    inventory
}

/// Whether it can become a part of SIP addresses and host names: nothing in it ends one.
pub(crate) fn is_identifier(id: &str) -> bool {
    (1..=100).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

fn word(module: &Value) -> String {
    text(module, &["device"]).unwrap_or_default().to_ascii_lowercase()
}

fn online(module: &Value) -> Option<bool> {
    match text(module, &["status", "state"])?.to_ascii_uppercase().as_str() {
        "CONNECTED" | "ONLINE" => Some(true),
        "DISCONNECTED" | "OFFLINE" | "UNREACHABLE" => Some(false),
        _ => None,
    }
}

enum What {
    Opener,
    Panel,
    Other,
}

fn what(module: &Value) -> What {
    let kind = text(module, &["deviceType", "type"]).unwrap_or_default().to_ascii_lowercase();
    let words = [word(module), kind];
    let is = |wanted: &[&str]| words.iter().any(|word| wanted.contains(&word.as_str()));
    if is(&["gateway"]) {
        What::Other
    } else if is(&["gate", "lock", "doorlock", "door_lock", "strike", "dooropener"]) {
        What::Opener
    } else if is(&["externalunit", "eu", "entrancepanel", "entrance_panel"]) {
        What::Panel
    } else {
        What::Other
    }
}

impl Opener {
    /// Its identifier in the house: two gateways may call their gates the same.
    pub fn external(&self) -> String {
        format!("{}/{}", self.gateway, self.id)
    }
}

/// The gateway and gate of such an identifier.
pub fn parts(external: &str) -> Option<(&str, &str)> {
    external.split_once('/')
}

impl Inventory {
    /// Whether the vendor lists other things, and not this gateway.
    pub fn lacks(&self, gateway: &str) -> bool {
        self.listed && self.gateways.iter().all(|known| known.id != gateway)
    }

    /// The doors of some gateways.
    pub fn found(&self, gateways: &[String]) -> Vec<Found> {
        let openers = self.openers.iter().filter(|opener| gateways.contains(&opener.gateway));
        openers
            .map(|opener| {
                let mut capabilities = vec![Capability::Open, Capability::Refresh];
                let external = opener.external();
                if self.bells(&opener.gateway).any(|bell| bell == external) {
                    capabilities.push(Capability::Ring);
                }
                Found { external, name: opener.name.clone(), kind: DoorKind::Strike, capabilities, raw: opener.raw.clone() }
            })
            .collect()
    }

    /// What was seen of the doors of some gateways: nothing of their state, but whether they can be reached.
    pub fn sights(&self, gateways: &[String], requested: Mono) -> Vec<(String, Sight)> {
        let openers = self.openers.iter().filter(|opener| gateways.contains(&opener.gateway));
        openers.map(|opener| (opener.external(), self.sight(opener, requested))).collect()
    }

    /// The same of one door.
    pub fn sight(&self, opener: &Opener, requested: Mono) -> Sight {
        let online = self.gateways.iter().find(|gateway| gateway.id == opener.gateway).and_then(|gateway| gateway.online);
        Sight { online: Some(online.unwrap_or(true)), raw: Some(opener.raw.clone()), ..Sight::new(How::Polled { requested }) }
    }

    /// The door at which somebody rings who calls itself so: that of its panel, else the gateway's first bell.
    pub fn door_of_ring(&self, gateway: &str, name: Option<&str>, user: Option<&str>) -> Option<String> {
        let called = |panel: &&Panel| user == Some(panel.id.as_str()) || name == Some(panel.name.as_str());
        let panel = self.panels.iter().filter(|panel| panel.gateway == gateway).find(called);
        panel.and_then(|panel| self.door_of(panel)).or_else(|| self.bells(gateway).next())
    }

    /// The doors of a gateway at which somebody can ring. Without a known panel it is its first door.
    fn bells(&self, gateway: &str) -> impl Iterator<Item = String> {
        let panels: Vec<&Panel> = self.panels.iter().filter(|panel| panel.gateway == gateway).collect();
        let first = self.openers.iter().find(|opener| opener.gateway == gateway).filter(|_| panels.is_empty());
        panels.into_iter().filter_map(|panel| self.door_of(panel)).chain(first.map(Opener::external))
    }

    /// The door of a panel: the openers of one begin with its identifier and `#`; else the gateway's first one.
    fn door_of(&self, panel: &Panel) -> Option<String> {
        let openers = || self.openers.iter().filter(|opener| opener.gateway == panel.gateway);
        let own = openers().find(|opener| opener.id.split('#').next() == Some(panel.id.as_str()));
        own.or_else(|| openers().next()).map(Opener::external)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn plant_1() -> Vec<Plant> {
        plants(&json!([{ "id": "plant-1", "name": "Home", "ownerId": "oid", "ownerEmail": "a@example.com", "type": "residential" }]))
    }

    fn modules() -> Value {
        json!([
            { "id": "gw-1", "name": "Unit", "device": "gateway", "plantId": "plant-1", "status": "CONNECTED" },
            { "id": "21#2", "name": "Garden", "device": "lock", "plantId": "plant-1" },
            { "id": "20#2", "name": "Drive", "device": "gate", "gatewayId": "gw-1", "plantId": "plant-1" },
            { "id": "20", "name": "Street", "device": "externalUnit", "plantId": "plant-1" },
            { "id": "x", "name": "Camera", "device": "camera", "plantId": "plant-1" },
            { "id": "30#1", "name": "Elsewhere", "device": "gate", "plantId": "plant-2" },
        ])
    }

    #[test]
    fn every_gate_and_lock_of_a_plant_is_a_strike() {
        let inventory = inventory(&modules(), &plant_1());
        let found = inventory.found(&["gw-1".into()]);
        let shown: Vec<(&str, DoorKind, bool)> =
            found.iter().map(|door| (door.external.as_str(), door.kind, door.capabilities.contains(&Capability::Ring))).collect();
        assert_eq!(shown, [("gw-1/21#2", DoorKind::Strike, false), ("gw-1/20#2", DoorKind::Strike, true)]);
        assert_eq!(inventory.found(&[]), []);
        assert_eq!(parts("gw-1/20#2"), Some(("gw-1", "20#2")));
    }

    #[test]
    fn whoever_rings_is_found_by_name_by_user_or_by_being_the_first() {
        let mut inventory = inventory(&modules(), &plant_1());
        for (name, user) in [(Some("Street"), Some("c100x")), (None, Some("20")), (Some("?"), None), (None, None)] {
            assert_eq!(inventory.door_of_ring("gw-1", name, user), Some("gw-1/20#2".into()), "{name:?} {user:?}");
        }
        assert_eq!(inventory.door_of_ring("gw-2", Some("Street"), None), None);
        inventory.panels.clear();
        assert_eq!(
            inventory.door_of_ring("gw-1", Some("Street"), None),
            Some("gw-1/21#2".into()),
            "the first door, where no panel is known"
        );
    }

    #[test]
    fn the_vendors_other_ways_to_write_are_read() {
        let wrapped = json!({ "modules": [
            { "entityId": "gw-1", "device": "gateway", "plant_id": "plant-1" },
            { "id": "20#2", "deviceType": "Gate", "plant_id": "plant-1" },
        ] });
        let read = inventory(&wrapped, &plant_1());
        assert_eq!((read.gateways[0].id.as_str(), read.openers[0].external().as_str()), ("gw-1", "gw-1/20#2"));
        assert_eq!(plant(&json!({ "plant": { "id": 7 } })).unwrap().country, "it");
        assert_eq!(plants(&json!({ "plants": [{ "id": "a" }, { "name": "no id" }] })).len(), 1);
        let evil = json!([{ "id": "gw 1\r\nX: y", "device": "gateway", "plantId": "plant-1" }]);
        assert_eq!(inventory(&evil, &plant_1()).gateways, [], "a gateway's identifier becomes part of a host name");
    }

    proptest! {
        #[test]
        fn any_answer_is_read_without_panic(text in "\\[(\\{\"(id|device|plantId|plant)\":(\"[a-z#0-9-]{0,8}\"|null|\\{\\}|3)\\},?){0,4}\\]|\\PC{0,40}") {
            let answer = serde_json::from_str(&text).unwrap_or_default();
            let plants = plants(&answer);
            let read = inventory(&answer, &plants);
            let _ = (plant(&answer), read.found(&["gw".into()]));
        }
    }
}
