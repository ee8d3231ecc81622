//! What every test needs: the cloud, one client of it, and a house whose clock is moved by hand.

pub(crate) use crate::until::until;

use crate::authority::{Authority, DOMAIN, PASSWORD, Signed, USER};
use doorward_bticino::{
    digest::Credentials,
    sip::{
        Patience,
        commands::Commands,
        line::{self, Line, Lost, Order, Orders, Server},
        session::{End, Happening, Identity},
        tls::{ClientCertificate, Tls, Trust},
    },
};
use doorward_core::{
    Secret,
    conformance::Bench,
    driver::{Ctx as _, Once},
};
use doorward_sim::legrand::{self, Config, Enrolment, Sim};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

/// The gate of the simulated house that has a contact.
pub(crate) const GATE: &str = "20#2";

pub(crate) fn bench() -> Arc<Bench> {
    // A second test of this process finds it installed.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Arc::new(Bench::new("2026-11-26T12:00:00Z".parse().unwrap()))
}

pub(crate) async fn cloud() -> Sim {
    legrand::start(Config::default()).await.unwrap()
}

/// A client of the registrar, enrolled without a single request over HTTP.
pub(crate) struct Client {
    pub(crate) bench: Arc<Bench>,
    pub(crate) enrolment: Enrolment,
    pub(crate) trust: Trust,
    pub(crate) server: Server,
    pub(crate) patience: Patience,
    pub(crate) commands: Arc<Commands>,
}

impl Client {
    pub(crate) fn new(sim: &Sim) -> Self {
        let server = Server { host: "127.0.0.1".into(), port: sim.sip_addr().port() };
        let trust = Trust::Authorities(vec![sim.server_ca()]);
        Self { bench: bench(), enrolment: sim.enrol("gw-1234"), trust, server, patience: Patience::default(), commands: Arc::default() }
    }

    /// The account of an authority, at a server whose certificate this authority signed too.
    pub(crate) fn of(authority: &Authority, signed: &Signed, port: u16) -> Self {
        Self {
            bench: bench(),
            enrolment: Enrolment {
                client_id: "130325245365814065359".into(),
                user: USER.into(),
                domain: DOMAIN.into(),
                password: PASSWORD.into(),
                certificate: signed.certificate.der().to_vec(),
                key: signed.key.serialize_der(),
            },
            trust: Trust::Authorities(vec![authority.certificate.der().to_vec()]),
            server: Server { host: "127.0.0.1".into(), port },
            patience: Patience::default(),
            commands: Arc::default(),
        }
    }

    pub(crate) fn tls(&self) -> Tls {
        let client = ClientCertificate { chain: vec![self.enrolment.certificate.clone()], key: Secret::new(self.enrolment.key.clone()) };
        Tls::new(&self.trust, &client).unwrap()
    }

    pub(crate) fn identity(&self) -> Arc<Identity> {
        Arc::new(Identity {
            who: Credentials { username: self.enrolment.user.clone(), password: Secret::new(self.enrolment.password.clone()) },
            domain: self.enrolment.domain.clone(),
            server: "vdesip.bs.iotleg.com".into(),
            agent: "doorward/test".into(),
        })
    }

    /// Connects once, and serves the connection in a task of its own.
    pub(crate) async fn connect(&self) -> Result<Connected, Lost> {
        let stream = line::connect(&*self.bench, &self.server, &self.tls()).await?;
        let (sender, mut orders) = line::orders();
        let told = Arc::new(Mutex::new(Vec::new()));
        let (bench, identity, patience) = (Arc::clone(&self.bench), self.identity(), self.patience);
        let (hears, commands) = (Arc::clone(&told), Arc::clone(&self.commands));
        let task = tokio::spawn(async move {
            let line = Line { ctx: &*bench, identity, patience, commands, registers: true };
            let lost = line.run(stream, &mut orders, &mut |happening| hears.lock().unwrap().push(happening)).await;
            (lost, orders)
        });
        let connected = Connected { orders: sender, told, task, bench: Arc::clone(&self.bench) };
        Ok(connected)
    }
}

/// A connection that is served.
pub(crate) struct Connected {
    pub(crate) orders: mpsc::Sender<Order>,
    pub(crate) told: Arc<Mutex<Vec<Happening>>>,
    pub(crate) task: JoinHandle<(Lost, Orders)>,
    pub(crate) bench: Arc<Bench>,
}

impl Connected {
    pub(crate) async fn registered(&self) {
        until("it is registered", || self.heard(|happening| matches!(happening, Happening::Registered(_)))).await;
    }

    pub(crate) fn heard(&self, is: impl Fn(&Happening) -> bool) -> bool {
        self.told.lock().unwrap().iter().any(is)
    }

    pub(crate) fn order(&self, gate: &str) -> oneshot::Receiver<End> {
        let (end, ended) = oneshot::channel();
        let once = Once { not_after: self.bench.now().utc.plus(Duration::from_secs(10)) };
        self.orders.try_send(Order::Open { gate: gate.into(), once, end }).unwrap();
        ended
    }

    pub(crate) async fn open(&self, gate: &str) -> End {
        self.order(gate).await.unwrap()
    }

    pub(crate) async fn lost(self) -> Lost {
        self.task.await.unwrap().0
    }
}
