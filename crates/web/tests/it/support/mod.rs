//! A house to talk to.

mod browser;
mod client;
mod endpoint;
mod passkey;
mod smtp;
mod vendor;

pub(crate) use browser::Browser;
pub(crate) use client::{Answer, Ask};
pub(crate) use endpoint::{Endpoint, Names, Received, Reply, says};
pub(crate) use passkey::Passkey;
pub(crate) use smtp::MailServer;

use doorward_core::{
    driver::{Action, Entry},
    record::NewEvent,
    scope::Scope,
};
use doorward_engine::{Clock, House as Engine, ManualClock, Stopper};
use doorward_store::{MasterKey, OpenOptions, Store};
use doorward_web::{Web, WebConfig, logbook::Logbook, serve};
use doorward_wire::{
    Time,
    account::AccountId,
    attempt::{Actor, ActorKind},
    event::EventKind,
    ring::Ring,
};
use serde_json::Value;
use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::net::TcpListener;

const VENDORS: &[Entry] = &[vendor::ENTRY];
/// 2026-11-23T12:00:00Z.
const NOON: i64 = 1_795_435_200_000_000;

/// A running house with one account of four doors: `front` answers at once, `gate` takes commands and is not seen to
/// move, `cellar` never answers, `attic` says no.
pub(crate) struct House {
    pub(crate) web: Web,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) account: AccountId,
    address: SocketAddr,
    folder: PathBuf,
    _stopper: Stopper,
}

/// Installs the one cryptographic provider, as the program does.
pub(crate) fn provider() {
    // A second test in this process finds it installed.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

impl House {
    pub(crate) async fn new() -> Self {
        Self::with(WebConfig::default()).await
    }

    /// A house that trusts this machine.
    pub(crate) async fn trusting() -> Self {
        Self::with(WebConfig { trusted: vec!["127.0.0.0/8".parse().unwrap()], ..WebConfig::default() }).await
    }

    /// A house with the embedded MQTT broker.
    pub(crate) async fn with_broker() -> Self {
        Self::built(WebConfig::default(), true).await
    }

    pub(crate) async fn with(config: WebConfig) -> Self {
        Self::built(config, false).await
    }

    async fn built(config: WebConfig, broker: bool) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        provider();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("doorward-web-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let clock = Arc::new(ManualClock::new(Time::from_micros(NOON)));
        let key = MasterKey::from_bytes([7; 32]);
        let url = format!("sqlite:{}", folder.join("doorward.db").display());
        let store = Store::open(&OpenOptions::new(url, key, clock.now().utc)).await.unwrap();
        let shared: Arc<dyn Clock> = clock.clone();
        let (handle, stopper) = Engine { store, clock: shared, drivers: VENDORS }.start().await.unwrap();
        let actor = Actor { kind: ActorKind::System, id: "test".into(), name: None };
        let account = handle.add_account("utec", "Home", vendor::settings(), &actor).await.unwrap();
        let metrics = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder().handle();
        let any = Some(std::net::SocketAddr::from(([127, 0, 0, 1], 0)));
        let options = doorward_mqtt::broker::Options {
            plain: any,
            secure: None,
            websocket: None,
            secure_websocket: None,
            tls: None,
            folder: folder.join("mqtt"),
            anonymous_locks: doorward_mqtt::roster::Anonymous::Nobody,
        };
        let mode = doorward_mqtt::discovery::Mode::Component;
        let mqtt = if broker { Some(Arc::new(doorward_mqtt::Mqtt::embedded(&options, mode, &handle).await.unwrap())) } else { None };
        let tunnel = doorward_tunnel::Tunnel::new(doorward_tunnel::Options::default(), handle.clone(), mqtt.clone()).await.unwrap();
        let fleet = doorward_fleet::Fleet::new(doorward_fleet::Options::default(), handle.clone(), mqtt.clone());
        let named = "A1B2C3D4E5F6".parse().unwrap();
        fleet.provision(&named, Some("Garage"), &actor).await.unwrap();
        let web = Web::new(handle, config, Logbook::default(), metrics, mqtt, tunnel, fleet);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = serve::private_router(&web).into_make_service_with_connect_info::<serve::Peer>();
        tokio::spawn(async move { axum::serve(listener, service).await });
        let house = Self { web, clock, account, address, folder, _stopper: stopper };
        while house.web.house().store().doors().await.unwrap().len() < 4 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        house.until(|house| house.web.house().board().standing(&house.account).is_some_and(|standing| !standing.leases.is_empty())).await;
        house
    }

    /// Waits until something that is on its way has come.
    pub(crate) async fn until(&self, there: impl Fn(&Self) -> bool) {
        for _ in 0..5000 {
            if there(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        panic!("it never came");
    }

    /// Sends a request, and lets time pass once it has come as far as this move of a lock.
    pub(crate) async fn answered_later(&self, ask: Ask, after: &str) -> Answer {
        let sent = tokio::spawn(ask.send());
        while !self.moves().await.iter().any(|done| done == after) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        self.while_time_passes(sent).await.unwrap()
    }

    /// Lets time pass while `work` is waited for.
    pub(crate) async fn while_time_passes<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = Box::pin(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                () = tokio::time::sleep(Duration::from_millis(5)) => self.clock.advance(Duration::from_millis(500)),
            }
        }
    }

    /// A token with these scopes.
    pub(crate) async fn token(&self, scopes: &[&str]) -> String {
        let scopes: Vec<Scope> = scopes.iter().map(|scope| scope.parse().unwrap()).collect();
        let now = self.clock.now().utc;
        let (_, secret) = self.web.house().store().add_token(None, "test", &scopes, None, now).await.unwrap();
        secret.reveal().clone()
    }

    /// The cookie and CSRF token of somebody who signed in.
    pub(crate) async fn session(&self) -> (String, &'static str) {
        let store = self.web.house().store();
        let now = self.clock.now().utc;
        let person = store.add_person("Ada", "administrator", now).await.unwrap();
        let data = br#"{"csrf":"the-csrf-token"}"#;
        store.put_session(b"the-session", Some(&person.id), data, now.plus(Duration::from_hours(1))).await.unwrap();
        (format!("{}=the-session", doorward_web::caller::COOKIE), "the-csrf-token")
    }

    /// Sends webhooks until what is given back is aborted, or the test ends.
    pub(crate) fn send_webhooks(&self) -> tokio::task::JoinHandle<()> {
        tokio::spawn(doorward_web::webhooks::run(self.web.clone(), std::future::pending()))
    }

    /// Tells people until what is given back is aborted, or the test ends.
    pub(crate) fn send_notifications(&self) -> tokio::task::JoinHandle<()> {
        tokio::spawn(doorward_web::notify::run(self.web.clone(), std::future::pending()))
    }

    /// Something happens at a door.
    pub(crate) async fn happens(&self, kind: EventKind, door: &str) -> i64 {
        let event = NewEvent::new(self.clock.now().utc, kind).door(&door.parse().unwrap());
        self.web.house().record(vec![event.data(serde_json::json!({ "battery": 9, "low": true }))]).await.unwrap()[0].id
    }

    /// Somebody rings at a door. Gives the number of the event.
    pub(crate) async fn ring(&self, door: &str) -> i64 {
        let event = NewEvent::new(self.clock.now().utc, EventKind::DoorRing).door(&door.parse().unwrap());
        self.web.house().record(vec![event]).await.unwrap()[0].id
    }

    /// Somebody rings by the vendor.
    pub(crate) async fn rings(&self, door: &str, call: &str) -> Ring {
        self.web.house().call(&self.account, Action::Call(format!("ring {door} {call}"))).await.unwrap();
        self.web.house().board().ringing_at(&door.parse().unwrap()).expect("it rings")
    }

    /// A ring is over at the vendor.
    pub(crate) async fn rings_over(&self, call: &str, end: &str) {
        self.web.house().call(&self.account, Action::Call(format!("rings over {call} {end}"))).await.unwrap();
    }

    /// Does something, and waits until so many tries that it caused are written down.
    pub(crate) async fn after_tries<T>(&self, tries: u64, work: impl Future<Output = T>) -> T {
        ended_within(self.web.webhook_tries(), tries, work).await
    }

    /// The same of notifications.
    pub(crate) async fn after_notifications<T>(&self, tries: u64, work: impl Future<Output = T>) -> T {
        ended_within(self.web.notify_tries(), tries, work).await
    }

    /// Begins a request.
    pub(crate) fn ask(&self, method: &'static str, path: impl Into<String>) -> Ask {
        Ask::new(self.address, method, path.into())
    }

    /// A request of an administrator.
    pub(crate) async fn admin(&self, method: &'static str, path: impl Into<String>) -> Ask {
        let token = self.token(&["admin"]).await;
        self.ask(method, path).token(&token)
    }

    /// What the vendor was asked to do at its locks, in order.
    pub(crate) async fn moves(&self) -> Vec<String> {
        let done = self.web.house().call(&self.account, Action::Call("moves".into())).await.unwrap();
        serde_json::from_value(done.output).unwrap()
    }
}

/// Does something, and waits until so many tries that it caused are written down.
async fn ended_within<T>(mut ended: tokio::sync::watch::Receiver<u64>, tries: u64, work: impl Future<Output = T>) -> T {
    let before = *ended.borrow_and_update();
    let done = work.await;
    let wait = ended.wait_for(|now| *now >= before + tries);
    tokio::time::timeout(Duration::from_secs(20), wait).await.expect("the tries end within 20 seconds").unwrap();
    done
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The items of a list.
pub(crate) fn items(answer: &Answer) -> Vec<Value> {
    answer.json()["items"].as_array().unwrap().clone()
}
