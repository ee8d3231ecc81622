//! What stands where: people, their plants, gateways, and what hangs on those.

use serde::{Deserialize, Serialize};

/// Somebody who can sign in.
#[derive(Clone, Debug)]
pub struct Person {
    /// The object id in the directory, a UUID.
    pub oid: String,
    /// What is typed into the sign-in form.
    pub email: String,
    /// The password.
    pub password: String,
}

/// A plant: the vendor's word for a house.
#[derive(Clone, Debug)]
pub struct PlantSpec {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Two small letters; `None` leaves the field out.
    pub country: Option<String>,
    /// The vendor's word for what kind of plant it is.
    pub kind: String,
    /// The object id of its owner. Others do not see it.
    pub owner: String,
    /// Its gateways.
    pub gateways: Vec<GatewaySpec>,
}

/// A gateway: the indoor unit that is connected to the cloud.
#[derive(Clone, Debug)]
pub struct GatewaySpec {
    /// Its id, which is also the first part of its SIP domain.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it can open.
    pub openers: Vec<OpenerSpec>,
    /// Where somebody can ring.
    pub panels: Vec<PanelSpec>,
}

/// An entrance panel with a bell button.
#[derive(Clone, Debug)]
pub struct PanelSpec {
    /// Its id.
    pub id: String,
    /// Its name, which is shown to whom it rings.
    pub name: String,
    /// How long it rings before it gives up, in milliseconds.
    pub rings_ms: u64,
}

/// What an opener is and how it behaves.
#[derive(Clone, Debug)]
pub struct OpenerSpec {
    /// Its id, as commands name it.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it moves.
    pub kind: OpenerKind,
    /// What it does with a command.
    pub behaviour: Behaviour,
    /// Whether it has a contact that knows if it is open. The vendor does not see it: it belongs to the house.
    pub contact: bool,
    /// From a command until something moves, in milliseconds.
    pub lag_ms: u64,
    /// From one end to the other, in milliseconds.
    pub travel_ms: u64,
    /// How long it stays open before it closes by itself, in milliseconds.
    pub stays_ms: u64,
}

/// What an opener moves.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OpenerKind {
    /// A gate with a motor.
    Gate,
    /// An electric strike: a pulse, during which the door can be pushed open, and is.
    Strike,
}

/// What an opener does with a command that reaches it.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Behaviour {
    /// Opens, and closes after a while.
    #[default]
    Honest,
    /// Does not move: no power at the motor, ice on the rail.
    Stuck,
    /// Sets out and stops half-way, until a hand moves it.
    Jams,
    /// Opens and stays open until a hand closes it.
    StaysOpen,
}

impl OpenerSpec {
    /// A gate with a motor: 0.3 s until it sets out, 4 s on its way, 10 s open; no contact.
    pub fn gate(id: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            kind: OpenerKind::Gate,
            behaviour: Behaviour::Honest,
            contact: false,
            lag_ms: 300,
            travel_ms: 4000,
            stays_ms: 10_000,
        }
    }

    /// An electric strike that is released for 3 s; no contact.
    pub fn strike(id: impl Into<String>, name: impl Into<String>) -> Self {
        Self { kind: OpenerKind::Strike, lag_ms: 100, travel_ms: 0, stays_ms: 3000, ..Self::gate(id, name) }
    }

    /// The same one with a contact.
    #[must_use]
    pub fn with_contact(mut self) -> Self {
        self.contact = true;
        self
    }

    /// The same one with another behaviour.
    #[must_use]
    pub fn behaves(mut self, behaviour: Behaviour) -> Self {
        self.behaviour = behaviour;
        self
    }
}

impl PanelSpec {
    /// A panel that rings for 30 s.
    pub fn new(id: impl Into<String>, name: impl Into<String>) -> Self {
        Self { id: id.into(), name: name.into(), rings_ms: 30_000 }
    }
}

/// The person of the demo.
pub(super) fn person() -> Person {
    Person {
        oid: "be372a9a-0000-4000-8000-000000000001".to_owned(),
        email: "user@example.com".to_owned(),
        password: "sim-password".to_owned(),
    }
}

/// The plants of the demo: a house with a gate that has a contact and a strike that has none, and a cottage.
pub(super) fn plants() -> Vec<PlantSpec> {
    let home = GatewaySpec {
        id: "gw-1234".to_owned(),
        name: "Classe 100X".to_owned(),
        openers: vec![OpenerSpec::gate("20#2", "Driveway gate").with_contact(), OpenerSpec::strike("21#2", "Garden door")],
        panels: vec![PanelSpec::new("20", "Street")],
    };
    let cottage = GatewaySpec {
        id: "gw-5678".to_owned(),
        name: "Classe 100X".to_owned(),
        openers: vec![OpenerSpec::gate("30#1", "Cottage gate")],
        panels: vec![PanelSpec::new("30", "Lane")],
    };
    let plant = |id: &str, name: &str, country: Option<&str>, gateway| PlantSpec {
        id: id.to_owned(),
        name: name.to_owned(),
        country: country.map(str::to_owned),
        kind: "residential".to_owned(),
        owner: person().oid,
        gateways: vec![gateway],
    };
    vec![plant("plant-1", "Home", Some("it"), home), plant("plant-2", "Cottage", None, cottage)]
}
