//! A house with a tunnel, a phone that speaks to it, and servers to relay to.

mod phone;
mod upstream;
#[path = "../../../../web/tests/it/support/vendor.rs"]
#[allow(dead_code, reason = "shared with the tests of the pages")]
mod vendor;

pub(crate) use phone::{Phone, seal_with};
pub(crate) use upstream::{Upstream, Way};

use doorward_core::driver::Entry;
use doorward_engine::{Clock, House as Engine, ManualClock, Stopper};
use doorward_mqtt::{Mqtt, broker, discovery::Mode};
use doorward_store::{MasterKey, OpenOptions, Store};
use doorward_tunnel::{Options, Tunnel};
use doorward_wire::{
    Time,
    attempt::{Actor, ActorKind},
    event::EventKind,
    tunnel::{Scopes, Service},
};
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
/// When the vectors were made: 2025-11-26T22:46:56Z.
pub(crate) const THEN: i64 = 1_764_197_216;

/// A running house with four doors: `front` answers at once, `gate` takes commands and is not seen to move, `cellar` never
/// answers, `attic` says no.
pub(crate) struct House {
    pub(crate) tunnel: Tunnel,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) handle: doorward_engine::Handle,
    pub(crate) mqtt: Arc<Mqtt>,
    folder: Folder,
    stopper: Stopper,
}

/// Where a house keeps its things; gone with it.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is swept with the rest of the folder for temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl House {
    pub(crate) async fn new() -> Self {
        Self::with(Options::default()).await
    }

    pub(crate) async fn with(options: Options) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("doorward-tunnel-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let house = Self::at(Folder(folder), options).await;
        house.handle.add_account("utec", "Home", vendor::settings(), &somebody()).await.unwrap();
        while house.handle.board().doors().len() < 4 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        house
    }

    async fn at(folder: Folder, options: Options) -> Self {
        // A second test in this process finds it installed.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let clock = Arc::new(ManualClock::new(Time::from_micros(THEN * 1_000_000)));
        let url = format!("sqlite:{}", folder.0.join("doorward.db").display());
        let store = Store::open(&OpenOptions::new(url, MasterKey::from_bytes([7; 32]), clock.now().utc)).await.unwrap();
        let shared: Arc<dyn Clock> = clock.clone();
        let (handle, stopper) = Engine { store, clock: shared, drivers: VENDORS }.start().await.unwrap();
        let any = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        let own = broker::Options {
            plain: any,
            secure: None,
            websocket: None,
            secure_websocket: None,
            tls: None,
            folder: folder.0.join("mqtt"),
            anonymous_locks: doorward_mqtt::roster::Anonymous::Nobody,
        };
        let mqtt = Arc::new(Mqtt::embedded(&own, Mode::Component, &handle).await.unwrap());
        let tunnel = Tunnel::new(options, handle.clone(), Some(Arc::clone(&mqtt))).await.unwrap();
        tunnel.serve_at(TcpListener::bind("127.0.0.1:0").await.unwrap(), None).unwrap();
        Self { tunnel, clock, handle, mqtt, folder, stopper }
    }

    /// Stops and starts again with what is on disk. The clock begins anew.
    pub(crate) async fn restart(self, options: Options) -> Self {
        let Self { tunnel, handle, mqtt, folder, stopper, .. } = self;
        tunnel.stop().await;
        mqtt.stop().await;
        stopper.stop().await;
        handle.store().close().await;
        drop((tunnel, mqtt, handle));
        Self::at(folder, options).await
    }

    /// A phone with a key of its own that may do this.
    pub(crate) async fn phone(&self, name: &str, scopes: &Scopes) -> Phone {
        let secret = self.tunnel.add_key(name, None, scopes, &somebody()).await.unwrap();
        Phone::new(self.tunnel.address().unwrap(), *secret.reveal())
    }

    /// A phone that may use MQTT and doors.
    pub(crate) async fn usual_phone(&self) -> Phone {
        self.phone("phone", &self.tunnel.first_scopes()).await
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.tunnel.address().unwrap()
    }

    pub(crate) fn seconds(&self) -> i64 {
        self.clock.now().utc.as_micros() / 1_000_000
    }

    /// How often something of this kind happened.
    pub(crate) async fn events(&self, kind: EventKind) -> Vec<doorward_wire::event::Event> {
        let query = doorward_store::EventQuery { kind: Some(kind), ..doorward_store::EventQuery::default() };
        self.handle.store().events(&query).await.unwrap()
    }

    /// Waits until something that is on its way has come.
    pub(crate) async fn until(&self, there: impl AsyncFn(&Self) -> bool) {
        for _ in 0..2500 {
            if there(self).await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        panic!("it did not come");
    }
}

pub(crate) fn somebody() -> Actor {
    Actor { kind: ActorKind::System, id: "test".into(), name: None }
}

/// Scopes for requests to these destinations.
pub(crate) fn http(destinations: &[String]) -> Scopes {
    Scopes { services: vec![Service::Http], http: destinations.to_vec(), ..Scopes::default() }
}
