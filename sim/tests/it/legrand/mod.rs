//! The Legrand cloud, asked by plain clients.

mod api;
mod certificates;
mod command;
mod connections;
mod control;
mod faults;
mod login;
mod persistence;
mod phone;
mod register;
mod rings;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::http::Method;
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use doorward_sim::HandClock;
use doorward_sim::legrand::{self, Config, Faults, Sim};
use serde_json::{Value, json};

use crate::client::{Answer, send};

/// The gate with a contact.
const GATE: &str = "20#2";
/// The strike without one.
const STRIKE: &str = "21#2";
/// The bell.
const PANEL: &str = "20";
/// Their gateway.
const GATEWAY: &str = "gw-1234";
/// The object id of the person, as in the vectors.
const OID: &str = "be372a9a-0000-4000-8000-000000000001";
/// The client of the vectors.
const CLIENT: &str = "130325245365814065359";
const KEY: &str = "sim-subscription-key";

fn vectors() -> Value {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/vectors/sip.json");
    serde_json::from_slice(&std::fs::read(file).expect("the vectors are there")).expect("vectors")
}

async fn start(change: impl FnOnce(&mut Config)) -> (Sim, Arc<HandClock>) {
    let clock = Arc::new(HandClock::new());
    let mut config = Config { clock: Arc::<HandClock>::clone(&clock), ..Config::default() };
    change(&mut config);
    (legrand::start(config).await.expect("the simulator starts"), clock)
}

fn set(sim: &Sim, change: impl FnOnce(&mut Faults)) {
    let mut faults = Faults::default();
    change(&mut faults);
    sim.set_faults(faults);
}

/// A client of the API that is signed in.
struct Caller {
    addr: SocketAddr,
    token: String,
}

impl Caller {
    fn new(sim: &Sim) -> Self {
        Self { addr: sim.addr(), token: sim.grant().access_token }
    }

    async fn try_call(&self, method: Method, path: &str, body: &Value) -> Result<Answer, hyper::Error> {
        let bearer = format!("Bearer {}", self.token);
        let headers = [
            ("authorization", bearer.as_str()),
            ("usertoken", &self.token),
            ("ocp-apim-subscription-key", KEY),
            ("content-type", "application/json"),
        ];
        let body = if body.is_null() { String::new() } else { body.to_string() };
        send(self.addr, method, path, &headers, body).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.try_call(Method::GET, path, &Value::Null).await.expect("an answer")
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.try_call(Method::POST, path, body).await.expect("an answer")
    }

    /// Registers the client of the vectors at the gateway.
    async fn register(&self) -> Answer {
        self.post("/vde/sip/v1.0/devices/gw-1234/sipaccount", &registration(CLIENT)).await
    }

    async fn certificate(&self, request: &Value) -> Answer {
        self.post("/certificate/api/v1.0/ca/information/clientCerts", request).await
    }
}

fn registration(client_id: &str) -> Value {
    json!({ "clientId": client_id, "clientName": "doorward", "sipUri": format!("sip:{OID}_{client_id}@gw-1234.bs.iotleg.com") })
}

/// The body of a request for a certificate, with the CSR of the vectors.
fn certificate_request() -> Value {
    json!({
        "csr": vectors()["csr"]["csr_base64_der"],
        "sender": {
            "addressType": "addressLocation",
            "plant": {
                "_gatewayDbIdx": -1, "country": "it", "dbIdx": -1, "id": "plant-1", "name": "Home",
                "ownerEmail": "user@example.com", "ownerId": OID, "type": "residential",
            },
            "system": "information",
        },
        "template": "sipuser-DIY",
    })
}

/// The payload of a JWT.
fn payload(token: &str) -> Value {
    let payload = token.split('.').nth(1).expect("three parts");
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(payload).expect("base64")).expect("JSON")
}

fn der(text: &Value) -> Vec<u8> {
    BASE64_STANDARD.decode(text.as_str().expect("a text")).expect("base64")
}
