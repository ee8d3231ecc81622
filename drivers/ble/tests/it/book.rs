//! A registry that a test can look into, and an issuer that runs on it.

use crate::{
    bench::id,
    ether::{Antenna, Ether, TestClock},
};
use doorward_ble::{
    guest::{Config as GuestConfig, Enrolment, Guest, GuestError, Held, Progress},
    issuer::{Ask, Config, Issued, Issuer, Keys, Leave, Recipient, Refused, Registry},
    radio::{Connection, Notifications, Radio as _, RadioError},
};
use doorward_core::driver::BoxFuture;
use doorward_wire::{
    Time,
    ble::{
        REQUEST_CHARACTERISTIC,
        compat::{PrivateKey, PublicKey},
        framing::Reassembly,
        request::{Response, Trouble},
        token::SlotLength,
        v2::{self, Ways},
    },
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use uuid::Uuid;

pub(crate) static VECTORS: LazyLock<Value> = LazyLock::new(|| {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors/ble.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
});

pub(crate) fn private(whose: &str) -> PrivateKey {
    PrivateKey::from_pem(VECTORS["keys"][whose]["private_pem"].as_str().unwrap()).unwrap()
}

pub(crate) fn public(whose: &str) -> PublicKey {
    PublicKey::from_pem(VECTORS["keys"][whose]["public_pem"].as_str().unwrap()).unwrap()
}

pub(crate) fn issuer_v2() -> v2::Issuer {
    v2::Issuer::from_seeds(&[1; 32], &[2; 32])
}

pub(crate) fn guest_v2() -> v2::Guest {
    v2::Guest::from_seed(&[8; 32])
}

pub(crate) fn lock_v2() -> v2::Lock {
    v2::Lock::from_seed(&[3; 32])
}

/// Who may have what.
pub(crate) struct Book {
    pub(crate) enrolled: Vec<String>,
    /// A code, and the key that used it up.
    pub(crate) invites: Mutex<BTreeMap<String, Option<String>>>,
    pub(crate) plain: bool,
    pub(crate) until: Time,
    pub(crate) lock: Recipient,
    pub(crate) ways: Ways,
    pub(crate) broker: AtomicBool,
    pub(crate) issued: Mutex<Vec<Issued>>,
    pub(crate) asked: Mutex<Vec<String>>,
    /// How long the store takes.
    pub(crate) slow: Duration,
}

impl Book {
    pub(crate) fn new() -> Self {
        Self {
            enrolled: vec![public("unlocker").fingerprint(), guest_v2().key().name()],
            invites: Mutex::default(),
            plain: false,
            until: Time::from_micros(i64::MAX),
            lock: Recipient::Original(Arc::new(public("lock_01"))),
            ways: Ways::TOKEN,
            broker: AtomicBool::new(true),
            issued: Mutex::default(),
            asked: Mutex::default(),
            slow: Duration::ZERO,
        }
    }

    pub(crate) fn own() -> Self {
        Self { lock: Recipient::Own(*lock_v2().key()), ways: Ways::TOKEN.and(Ways::CHALLENGE), ..Self::new() }
    }
}

impl Registry for Book {
    fn decide<'a>(&'a self, ask: &'a Ask) -> BoxFuture<'a, Result<Leave, Refused>> {
        Box::pin(async move {
            let key = ask.by.fingerprint().unwrap_or_else(|| "nobody".into());
            self.asked.lock().unwrap().push(key.clone());
            tokio::time::sleep(self.slow).await;
            let knows = self.enrolled.contains(&key) || (key == "nobody" && self.plain);
            if !knows {
                let invites = self.invites.lock().unwrap();
                match ask.invite.as_ref().map(|code| invites.get(code)) {
                    None => return Err(Refused::new(Trouble::NotEnrolled, "nobody")),
                    Some(Some(None)) => {}
                    Some(_) => return Err(Refused::new(Trouble::InviteRefused, "used or unknown")),
                }
            }
            if ask.lock != id("lock_01") {
                return Err(Refused::new(Trouble::NoGrant, "another door"));
            }
            Ok(Leave { until: self.until, who: key, lock: self.lock.clone(), slot: SlotLength::default(), ways: self.ways })
        })
    }

    fn issued<'a>(&'a self, issued: &'a Issued) -> BoxFuture<'a, Result<(), Refused>> {
        Box::pin(async move {
            if !self.broker.load(Ordering::Relaxed) {
                return Err(Refused::internal("the broker is away"));
            }
            if let Some(used) = issued.invite.as_ref().and_then(|code| self.invites.lock().unwrap().get_mut(code).map(std::mem::take)) {
                if used.is_some() {
                    return Err(Refused::new(Trouble::InviteRefused, "used"));
                }
                self.invites.lock().unwrap().insert(issued.invite.clone().unwrap(), issued.fingerprint.clone());
            }
            self.issued.lock().unwrap().push(issued.clone());
            Ok(())
        })
    }
}

/// An issuer on the air, and a guest's adapter.
pub(crate) struct Stage {
    pub(crate) ether: Ether,
    pub(crate) issuer: Arc<Issuer>,
    pub(crate) book: Arc<Book>,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) tower: Arc<Antenna>,
    pub(crate) phone: Arc<Antenna>,
    pub(crate) told: Arc<Mutex<Vec<Progress>>>,
}

impl Stage {
    pub(crate) fn new(book: Book) -> Self {
        Self::with(book, Config::default())
    }

    pub(crate) fn with(book: Book, config: Config) -> Self {
        Self::at(0, book, config)
    }

    /// With clocks that are ahead of those of other tests.
    pub(crate) fn at(ahead: i64, book: Book, config: Config) -> Self {
        Self::built(TestClock::new(ahead), book, config, Keys { v1: Some(private("backend")), v2: Some(issuer_v2()) }, true)
    }

    pub(crate) fn keyed(book: Book, config: Config, keys: Keys, tells_one: bool) -> Self {
        Self::built(TestClock::new(0), book, config, keys, tells_one)
    }

    fn built(clock: Arc<TestClock>, book: Book, config: Config, keys: Keys, tells_one: bool) -> Self {
        let ether = Ether::default();
        let (tower, phone) = (ether.radio(1), ether.radio(2));
        if !tells_one {
            ether.tells_all(&tower);
        }
        let (issuer, book) = (Arc::new(Issuer::new(config, keys)), Arc::new(book));
        let own = (Arc::clone(&issuer), Arc::clone(&book), Arc::clone(&clock), Arc::clone(&tower));
        tokio::spawn(async move { own.0.run(&*own.3, &*own.1, &*own.2, Box::pin(std::future::pending())).await });
        Self { ether, issuer, book, clock, tower, phone, told: Arc::default() }
    }

    /// With an issuer that does not run.
    pub(crate) fn idle() -> Self {
        let (ether, clock) = (Ether::default(), TestClock::new(0));
        let (tower, phone) = (ether.radio(1), ether.radio(2));
        let (issuer, book) = (Arc::new(Issuer::new(Config::default(), Keys::default())), Arc::new(Book::new()));
        Self { ether, issuer, book, clock, tower, phone, told: Arc::default() }
    }

    pub(crate) fn v1() -> Guest {
        Guest::new(Self::config(), Enrolment::V1 { key: private("unlocker"), issuer: public("backend") })
    }

    pub(crate) fn v2() -> Guest {
        Guest::new(Self::config(), Enrolment::V2 { key: guest_v2(), issuer: *issuer_v2().identity() })
    }

    pub(crate) fn config() -> GuestConfig {
        GuestConfig::new(id("lock_01"))
    }

    pub(crate) fn tell(&self) -> impl Fn(Progress) + Send + Sync + 'static {
        let told = Arc::clone(&self.told);
        move |progress| told.lock().unwrap().push(progress)
    }

    pub(crate) async fn session(&self, guest: &Guest) -> Result<Held, GuestError> {
        guest.session(&*self.phone, &*self.clock, &self.tell()).await
    }

    pub(crate) fn issued(&self) -> Vec<Issued> {
        self.book.issued.lock().unwrap().clone()
    }

    /// Somebody with a connection of their own.
    pub(crate) async fn caller(&self, number: u8) -> Caller {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let connection = self.ether.radio(number).connect(self.tower.address).await.unwrap();
        let told = connection.subscribe(request()).await.unwrap();
        Caller { connection, told, pieces: Reassembly::default() }
    }
}

pub(crate) fn request() -> Uuid {
    REQUEST_CHARACTERISTIC.parse().unwrap()
}

/// Says what a test wants it to say.
pub(crate) struct Caller {
    pub(crate) connection: Box<dyn Connection>,
    pub(crate) told: Notifications,
    pieces: Reassembly,
}

impl Caller {
    pub(crate) async fn write(&self, value: &str) -> Result<(), RadioError> {
        self.connection.write(request(), value.as_bytes()).await
    }

    /// The next answer; `None` when there is none for a minute.
    pub(crate) async fn answer(&mut self) -> Option<Response> {
        let told = async {
            while let Some(value) = self.told.next().await {
                if let Some(body) = self.pieces.take(&value, Time::from_micros(0)).unwrap() {
                    return Response::read(&body);
                }
            }
            None
        };
        tokio::time::timeout(Duration::from_mins(1), told).await.unwrap_or_default()
    }

    pub(crate) async fn ask(&mut self, body: &str) -> Response {
        self.write(body).await.unwrap();
        self.answer().await.unwrap()
    }
}

/// A request, written by hand.
pub(crate) fn body(lock: &str, key: &PublicKey) -> String {
    let pem = key.to_pem();
    serde_json::json!({ "lock_id": lock, "unlocker_public_key": pem }).to_string()
}

pub(crate) fn word(word: Trouble) -> Response {
    Response::from(word)
}

/// Its pieces.
pub(crate) fn pieces(body: &str) -> Vec<String> {
    doorward_wire::ble::framing::split(body.as_bytes(), 120.try_into().unwrap()).unwrap().collect()
}
