//! A whole doorward with a thousand accounts, each with its own sign-in, gateway, certificate and connection.

use crate::{ACCOUNTS, Figure, end, free_port, rss_anon, serve, told, until_it_answers};
use doorward_bticino::certificate::to_pem;
use doorward_engine::{Clock as _, SystemClock};
use doorward_sim::legrand::{self, Config, GatewaySpec, OpenerSpec, PanelSpec, Person, PlantSpec, Sim};
use serde_json::{Value, json};
use std::{
    path::Path,
    process::Child,
    time::{Duration, Instant},
};

/// How long all of them may take to register, at the beginning and after a restart.
const PATIENCE: Duration = Duration::from_mins(3);
/// After so long nothing of the set-up is left: connections to the API are kept for 15 s.
const SETTLED: Duration = Duration::from_secs(30);
/// Within so long everybody is to be back: a minute, and what a connection takes.
const BACK: Duration = Duration::from_secs(65);

/// Memory of all of them, and how they come back.
pub(super) async fn figures() -> Vec<Figure> {
    // The cloud is in this process, and its memory is not counted.
    let memory = tempfile::tempdir().unwrap();
    let sim = legrand::start(config(memory.path())).await.unwrap();
    let house = Doorward::start().await;
    for number in 0..ACCOUNTS {
        house.add(&sim, number).await;
    }
    assert_eq!(registrations(&sim).await.len(), ACCOUNTS, "all are registered");
    tokio::time::sleep(SETTLED).await;
    assert_eq!((sim.registered().len(), sim.connections()), (ACCOUNTS, ACCOUNTS), "each has its one warm connection");
    let mib = rss_anon(house.child.id()) / 1024.0;
    let idle = Figure {
        what: "BTicino, 1,000 idle accounts with their connections",
        measured: format!("{mib:.0} MiB"),
        limit: "250 MiB".into(),
        ratio: mib / 250.0,
    };
    let mut figures = vec![told(idle)];
    sim.stop().await;
    let sim = legrand::start(config(memory.path())).await.unwrap();
    figures.extend(comeback(&registrations(&sim).await).map(told));
    figures
}

/// When each account was registered, from now on and in their order.
async fn registrations(sim: &Sim) -> Vec<Duration> {
    let (began, mut at) = (Instant::now(), Vec::new());
    while at.len() < ACCOUNTS && began.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(20)).await;
        at.resize(sim.registered().len().max(at.len()), began.elapsed());
    }
    at
}

/// What there is to say of registrations after a restart of the server.
fn comeback(at: &[Duration]) -> [Figure; 2] {
    assert_eq!(at.len(), ACCOUNTS, "all are registered again");
    let after = |percent: usize| at[ACCOUNTS * percent / 100 - 1].as_secs_f64();
    let within_a_second = |first: usize| at[first..].partition_point(|other| *other < at[first] + Duration::from_secs(1));
    let most = (0..ACCOUNTS).map(within_a_second).max().unwrap();
    [
        Figure {
            what: "BTicino, 1,000 accounts registered again after a restart of the server",
            measured: format!("{:.1} s (half: {:.1} s, 99 %: {:.1} s)", after(100), after(50), after(99)),
            limit: format!("{} s", BACK.as_secs()),
            ratio: after(100) / BACK.as_secs_f64(),
        },
        Figure {
            what: "BTicino, most of them within one second",
            measured: most.to_string(),
            limit: "50".into(),
            ratio: f64::from(u32::try_from(most).unwrap()) / 50.0,
        },
    ]
}

/// A doorward, and how it is spoken to.
struct Doorward {
    child: Child,
    client: reqwest::Client,
    _data: tempfile::TempDir,
}

impl Doorward {
    async fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        let port = free_port();
        let child = serve(data.path(), port);
        until_it_answers(port).await;
        let client = reqwest::Client::builder().no_proxy().unix_socket(data.path().join("doorward.sock")).build().unwrap();
        Self { child, client, _data: data }
    }

    async fn send(&self, path: &str, body: Value) -> Value {
        let answer = self.client.post(format!("http://localhost/api/v1{path}")).json(&body).send().await.unwrap();
        let (status, body) = (answer.status(), answer.json().await.unwrap());
        assert!(status.is_success(), "{path}: {status} {body}");
        body
    }

    /// An account that takes over what an older client was given.
    async fn add(&self, sim: &Sim, number: usize) {
        let settings = json!({ "subscription_key": "sim-subscription-key", "login_url": sim.base_url(), "api_url": sim.base_url(),
            "sip_server": sim.sip_addr().to_string() });
        let made = self.send("/accounts", json!({ "kind": "bticino", "name": format!("House {number}"), "settings": settings })).await;
        let (tokens, enrolled) = (sim.grant_to(&oid(number)), sim.enrol(&gateway(number)));
        let input = json!({
            "token_cache": { "access_token": tokens.access_token, "refresh_token": tokens.refresh_token, "expires_in": tokens.expires_in,
                "receivedAt": SystemClock::new().now().utc },
            "sip_account": { "sipUri": format!("{}@{}", enrolled.user, enrolled.domain), "clientId": enrolled.client_id,
                "userOid": oid(number), "sipPassword": enrolled.password },
            "client_certs": { "cert": to_pem("CERTIFICATE", &enrolled.certificate), "key": to_pem("PRIVATE KEY", &enrolled.key) },
        });
        let step = json!({ "step": "import", "input": input });
        self.send(&format!("/accounts/{}/steps", made["id"].as_str().unwrap()), step).await;
    }
}

impl Drop for Doorward {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

fn oid(number: usize) -> String {
    format!("be372a9a-0000-4000-8000-{number:012}")
}

fn gateway(number: usize) -> String {
    format!("gw-{number}")
}

/// A house for each account, with one gate and one bell.
fn config(folder: &Path) -> Config {
    let person = |number| Person { oid: oid(number), email: format!("user{number}@example.com"), password: "sim-password".into() };
    let plant = |number| PlantSpec {
        id: format!("plant-{number}"),
        name: format!("House {number}"),
        country: Some("it".into()),
        kind: "residential".into(),
        owner: oid(number),
        gateways: vec![GatewaySpec {
            id: gateway(number),
            name: "Classe 100X".into(),
            openers: vec![OpenerSpec::gate("20#2", "Driveway gate")],
            panels: vec![PanelSpec::new("20", "Street")],
        }],
    };
    Config {
        dir: Some(folder.to_owned()),
        people: (0..ACCOUNTS).map(person).collect(),
        plants: (0..ACCOUNTS).map(plant).collect(),
        ..Config::default()
    }
}
