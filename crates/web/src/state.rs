//! What every handler may use.

use crate::{logbook::Logbook, notify, outward::Outward, sign_in::SignIn, webhooks};
use doorward_engine::Handle;
use doorward_mqtt::Mqtt;
use doorward_wire::account::AccountId;
use std::{
    net::IpAddr,
    path::PathBuf,
    str::FromStr,
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

    /// How many tries of messages to webhooks have ended and are written down.
    pub fn webhook_tries(&self) -> watch::Receiver<u64> {
        self.inner.webhooks.tries()
    }

    /// How many tries of notifications have ended and are written down.
    pub fn notify_tries(&self) -> watch::Receiver<u64> {
        self.inner.notify.tries()
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

fn contains(networks: &[Network], source: IpAddr) -> bool {
    let source = source.to_canonical();
    networks.iter().any(|network| network.contains(source))
}

/// An IP network such as `192.168.1.0/24`; a bare address is a network of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Whether an address lies in this network.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => same_prefix(u32::from(net).into(), u32::from(ip).into(), 32, self.bits),
            (IpAddr::V6(net), IpAddr::V6(ip)) => same_prefix(net.into(), ip.into(), 128, self.bits),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

const fn same_prefix(a: u128, b: u128, width: u32, bits: u8) -> bool {
    let host = width - bits as u32;
    host == 128 || (a >> host) == (b >> host)
}

impl FromStr for Network {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("“{text}” is not a network such as 192.168.1.0/24 or 127.0.0.1");
        if text == "loopback" {
            return Err("write 127.0.0.0/8 and ::1 for loopback".into());
        }
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), |bits| bits.parse().map_err(|_| wrong()))?;
        if bits > most { Err(wrong()) } else { Ok(Self { address, bits }) }
    }
}

#[cfg(test)]
mod tests {
    use super::Network;

    #[test]
    fn a_network_holds_its_addresses_and_no_others() {
        let net: Network = "192.168.1.0/24".parse().unwrap();
        assert!(net.contains("192.168.1.77".parse().unwrap()));
        assert!(!net.contains("192.168.2.1".parse().unwrap()));
        assert!(!net.contains("::1".parse().unwrap()));
        assert!("0.0.0.0/0".parse::<Network>().unwrap().contains("8.8.8.8".parse().unwrap()));
        assert!("::/0".parse::<Network>().unwrap().contains("2001:db8::1".parse().unwrap()));
        for wrong in ["", "1.2.3", "1.2.3.4/33", "::1/129", "loopback"] {
            wrong.parse::<Network>().unwrap_err();
        }
    }
}
