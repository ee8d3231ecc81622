//! What every handler may use.

use crate::{bluetooth::Bluetooth, logbook::Logbook, notify, outward::Outward, sign_in::SignIn, webhooks};
use doorward_engine::Handle;
use doorward_fleet::Fleet;
use doorward_http::network::{Network, contains};
use doorward_mqtt::Mqtt;
use doorward_tunnel::Tunnel;
use doorward_wire::account::AccountId;
use std::{
    net::IpAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::sync::watch;

/// The part of the configuration that HTTP needs.
#[derive(Debug, Clone, Default)]
pub struct WebConfig {
    /// Names under which doorward may be called, beside IP literals, `localhost` and the public host.
    pub hosts: Vec<String>,
    /// The address that people and vendors use from outside: `https://doors.example`.
    pub public_url: Option<String>,
    /// Networks whose clients may use the U-tec local API without credentials. Empty by default.
    pub trusted: Vec<Network>,
    /// Reverse proxies whose forwarding headers count.
    pub proxies: Vec<Network>,
    /// Allow password sign-in over plain HTTP from other machines.
    pub allow_plain: bool,
    /// The account that the U-tec local API speaks for; the oldest one when absent.
    pub utec_account: Option<AccountId>,
    /// The data folder, shown on the settings page and to the doctor.
    pub data: PathBuf,
    /// Files and folders from beside the database that a backup carries, under these names.
    pub beside: Vec<(String, PathBuf)>,
    /// Sites that the configuration sets, and so only it can change.
    pub sites: Vec<String>,
    /// Every setting with where it comes from: `(path, value shown, "environment" | "file" | "database" | "default")`.
    pub settings: Vec<(String, String, String)>,
    /// The certificate of doorward's own authority as PEM, when a listener uses one that it gave.
    pub authority: Option<String>,
    /// Things that a person should mend, found at start-up.
    pub problems: Vec<String>,
    /// The way to servers of others.
    pub outward: Outward,
    /// What people are told, and by which way.
    pub notify: notify::Settings,
    /// The address at which phones reach the tunnel.
    pub tunnel_url: Option<String>,
    /// Gives phones their sessions for locks over Bluetooth, where there are such locks.
    pub bluetooth: Option<Arc<dyn Bluetooth>>,
}

/// What every handler may use. Cheap to clone.
#[derive(Clone)]
pub struct Web {
    inner: Arc<Inner>,
}

struct Inner {
    house: Handle,
    config: WebConfig,
    logbook: Logbook,
    sign_in: SignIn,
    trust_ended: AtomicBool,
    stopping: AtomicBool,
    metrics: metrics_exporter_prometheus::PrometheusHandle,
    mqtt: Option<Arc<Mqtt>>,
    tunnel: Tunnel,
    fleet: Fleet,
    webhooks: webhooks::Post,
    notify: notify::Post,
}

impl Web {
    /// Puts the parts together.
    pub fn new(
        house: Handle,
        config: WebConfig,
        logbook: Logbook,
        metrics: metrics_exporter_prometheus::PrometheusHandle,
        mqtt: Option<Arc<Mqtt>>,
        tunnel: Tunnel,
        fleet: Fleet,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                sign_in: SignIn::new(Arc::clone(house.store().hashing())),
                house,
                config,
                logbook,
                trust_ended: AtomicBool::new(false),
                stopping: AtomicBool::new(false),
                metrics,
                mqtt,
                tunnel,
                fleet,
                webhooks: webhooks::Post::default(),
                notify: notify::Post::default(),
            }),
        }
    }

    /// The house.
    pub fn house(&self) -> &Handle {
        &self.inner.house
    }

    /// The part of the configuration that HTTP needs.
    pub fn config(&self) -> &WebConfig {
        &self.inner.config
    }

    /// Recent log lines.
    pub fn logbook(&self) -> &Logbook {
        &self.inner.logbook
    }

    /// Renders the metrics for Prometheus.
    pub fn metrics(&self) -> &metrics_exporter_prometheus::PrometheusHandle {
        &self.inner.metrics
    }

    /// The embedded broker, if it runs.
    pub fn mqtt(&self) -> Option<&Mqtt> {
        self.inner.mqtt.as_deref()
    }

    /// The tunnel, whether or not it listens.
    pub fn tunnel(&self) -> &Tunnel {
        &self.inner.tunnel
    }

    /// The devices.
    pub fn fleet(&self) -> &Fleet {
        &self.inner.fleet
    }

    /// How many tries of messages to webhooks have ended and are written down.
    pub fn webhook_tries(&self) -> watch::Receiver<u64> {
        self.inner.webhooks.tries()
    }

    /// How many tries of notifications have ended and are written down.
    pub fn notify_tries(&self) -> watch::Receiver<u64> {
        self.inner.notify.tries()
    }

    pub(crate) fn bluetooth(&self) -> Option<&dyn Bluetooth> {
        self.inner.config.bluetooth.as_deref()
    }

    pub(crate) fn notify(&self) -> &notify::Post {
        &self.inner.notify
    }

    pub(crate) fn webhooks(&self) -> &webhooks::Post {
        &self.inner.webhooks
    }

    pub(crate) fn outward(&self) -> &Outward {
        &self.inner.config.outward
    }

    pub(crate) fn sign_in(&self) -> &SignIn {
        &self.inner.sign_in
    }

    /// Whether clients at this address may use the U-tec local API without credentials.
    pub fn trusts(&self, source: IpAddr) -> bool {
        !self.inner.trust_ended.load(Ordering::Relaxed) && contains(&self.inner.config.trusted, source)
    }

    /// Whether forwarding headers from this address count.
    pub fn is_proxy(&self, source: IpAddr) -> bool {
        contains(&self.inner.config.proxies, source)
    }

    /// Ends trust until the next start: a proxy that nobody named stands before a trusted address.
    pub fn end_trust(&self) {
        if !self.inner.trust_ended.swap(true, Ordering::Relaxed) && !self.inner.config.trusted.is_empty() {
            tracing::warn!("a forwarding header came from a trusted address that is not in http.proxies: trust ends until restart");
        }
    }

    /// Ends streams within a second: they would keep a program from stopping for as long as somebody looks.
    pub fn stop(&self) {
        self.inner.stopping.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.inner.stopping.load(Ordering::Relaxed)
    }

    /// Whether trust has ended.
    pub fn trust_ended(&self) -> bool {
        self.inner.trust_ended.load(Ordering::Relaxed) && !self.inner.config.trusted.is_empty()
    }
}
