//! A lock and a phone in the simulated air: in the house that issues its sessions, and as a process of its own.

use super::{SESSION_KEY, given};
use crate::{BINARY_OF_LOCK, Figure, SystemClock, end, median, mqtt, ms, open_store, status};
use doorward_ble::{
    clock::Clock as _,
    keys::{Folder, Kind, PublicV2, Role, SecretV2},
    radio::{
        Address, Advertisement, Fields, Radio as _,
        air::{AirRadio, Who},
    },
};
use doorward_core::{
    Now, Secret,
    driver::{BoxFuture, Entry, Fault, Message, Settings},
    setup::DoorSetup,
};
use doorward_engine::{Clock, Handle, House, Line, Stopper};
use doorward_sim::air::{Air, Config};
use doorward_store::{BleSession, Enrol, LockTold, PhoneOf, Site, Store, StoredAccount};
use doorward_wire::{
    account::AccountId,
    ble::{
        ADVERTISED_SERVICE, COMPANY, GUEST_NAME,
        token::{SessionKey, SlotLength, Tokens, slot_at},
        v2::{self, Given, LockSession},
    },
    door::{Capability, DoorKind},
};
use serde_json::json;
use std::{
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::sync::mpsc;

const DRIVERS: &[Entry] = &[doorward_ble::ENTRY];
const DOOR: &str = "front";
/// What opens it.
const RELAY: &str = "relay/front";
/// Openings that are measured, and those before them.
const OPENINGS: u32 = 300;
const FIRST: u32 = 10;
/// Sessions that the lock has which stands alone.
const HELD: u32 = 1_000;
const LIFE: u64 = 1_200;

/// Time and dice, as doorward-ble takes them.
#[derive(Clone)]
pub(super) struct Dice(Arc<SystemClock>);

impl Dice {
    pub(super) fn new() -> Self {
        Self(Arc::new(SystemClock::new()))
    }

    fn seconds(&self) -> u64 {
        u64::try_from(self.now().utc.as_micros()).unwrap() / 1_000_000
    }
}

impl doorward_ble::clock::Clock for Dice {
    fn now(&self) -> Now {
        self.0.now()
    }

    fn sleep(&self, span: Duration) -> BoxFuture<'_, ()> {
        self.0.sleep_until(self.0.now().mono.plus(span))
    }

    fn fill(&self, bytes: &mut [u8]) {
        self.0.fill(bytes);
    }
}

/// Sessions with keys as the command line makes them, each with the message for the lock and its topic.
struct Sealed(Vec<(Given, String, Vec<u8>)>);

impl Sealed {
    fn new(folder: &Path, count: u32, dice: &Dice) -> Self {
        let (keys, lock) = (Folder::new(folder), Role::Lock(DOOR.parse().unwrap()));
        for role in [&Role::Issuer, &lock] {
            keys.create(role, Kind::V2, dice).unwrap();
        }
        let mut all = keys.read().unwrap();
        let Some(SecretV2::Issuer(issuer)) = all.v2.remove(&Role::Issuer).and_then(|key| key.secret) else { panic!("no issuer") };
        let Some(PublicV2::Lock(lock)) = all.v2.remove(&lock).map(|key| key.public) else { panic!("no lock") };
        let seal = |number| {
            let given = given(number, dice.seconds() + LIFE);
            let session = LockSession { given: given.clone(), fingerprint: [5; 10] };
            let message = v2::seal_session(&session, &DOOR.parse().unwrap(), &lock, &issuer, [6; 32]).unwrap();
            let topic = format!("locks/{DOOR}/sessions/{}", given.nonce());
            (given, topic, message)
        };
        Self((0..count).map(seal).collect())
    }
}

/// A phone beside the lock.
struct Phone {
    radio: AirRadio,
    dice: Dice,
}

impl Phone {
    async fn new(air: &Air, dice: &Dice) -> Self {
        let stopwatch = dice.clone();
        let clock = Arc::new(move || stopwatch.now().mono);
        let who = Who { name: "phone".into(), address: Address([0xC0, 0, 0, 0, 1, 1]), place: [1.0, 0.0, 0.0], clock };
        Self { radio: AirRadio::enter(&air.address().to_string(), who).await.unwrap(), dice: dice.clone() }
    }

    /// Shows the token of now for as long as the answer is kept. Gives when its radio was told to.
    async fn shows(&self, given: &Given) -> (Instant, impl Sized) {
        let slot = slot_at(self.dice.now().utc, 0, SlotLength::default()).unwrap();
        let token = Tokens::new(&SessionKey::new(SESSION_KEY), given.nonce().as_str()).at(slot);
        let data = Fields::new().manufacturer(COMPANY, token.as_bytes()).service16(ADVERTISED_SERVICE);
        let advertisement = Advertisement::new(data).response(Fields::new().name(GUEST_NAME));
        let began = Instant::now();
        (began, self.radio.advertise(advertisement).await.unwrap())
    }
}

/// Where the house's messages go: when what opens the door was told to.
struct Relay(mpsc::UnboundedSender<Instant>);

impl Line for Relay {
    fn publish(&self, message: Message) -> BoxFuture<'_, Result<(), Fault>> {
        if message.topic == RELAY {
            self.0.send(Instant::now()).unwrap();
        }
        Box::pin(async { Ok(()) })
    }
}

/// From a phone that begins to show a token to the message that opens the door.
pub(super) async fn opening() -> Figure {
    let (folder, dice, air) = (tempfile::tempdir().unwrap(), Dice::new(), Air::start(Config::default()).await.unwrap());
    let sealed = Sealed::new(folder.path(), FIRST + OPENINGS, &dice);
    let (house, _stopper) = house(&folder, &air, &sealed).await;
    let (told, mut opened) = mpsc::unbounded_channel();
    house.exchange().join(Arc::new(Relay(told)));
    house.exchange().connected(true);
    while house.board().doors()[0].online != Some(true) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for (_, topic, message) in &sealed.0 {
        house.exchange().arrived(topic, message, true);
    }
    let (phone, mut times) = (Phone::new(&air, &dice).await, Vec::new());
    // The last one first: when the lock knows that, it knows all.
    for (given, ..) in sealed.0.iter().rev() {
        let (began, advertising) = phone.shows(given).await;
        times.push(opened.recv().await.unwrap().duration_since(began));
        drop(advertising);
        // The door has what it did written down before the next one comes.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut times = times.split_off(FIRST as usize);
    let median = median(&mut times);
    let last = times[times.len() * 99 / 100];
    Figure {
        what: "Bluetooth, from a phone's first advertisement to what opens the door, 99th percentile",
        measured: format!("{} (median: {})", ms(last), ms(median)),
        limit: "20 ms".into(),
        ratio: last.as_secs_f64() / 0.020,
    }
}

/// A house with one lock, a resident, and what it issued to their phone.
async fn house(folder: &TempDir, air: &Air, sealed: &Sealed) -> (Handle, Stopper) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let store = open_store(&data, &*clock).await;
    let now = clock.now().utc;
    let account = furnish(&store, folder.path(), air, now).await;
    let resident = store.add_person("Resident", "administrator", now).await.unwrap();
    store.put_door(&door(account), now).await.unwrap();
    for (given, ..) in &sealed.0 {
        let session = BleSession {
            nonce: given.nonce().to_string(),
            door: DOOR.parse().unwrap(),
            of: PhoneOf::Person(resident.id.clone()),
            phone: "phone".into(),
            issued: now,
            expires: now.plus(Duration::from_secs(LIFE)),
            revoked: None,
            told: LockTold::default(),
        };
        assert!(store.add_ble_session(&session, &Enrol::Known).await.unwrap());
    }
    House { store, clock, drivers: DRIVERS }.start().await.unwrap()
}

/// The account of its lock, and where the door is.
async fn furnish(store: &Store, keys: &Path, air: &Air, now: doorward_wire::Time) -> AccountId {
    let mut settings = Settings::default();
    let lock = json!([{ "id": DOOR, "radio": format!("air:{}", air.address()), "mqtt": { "topic": RELAY, "payload": "on" } }]);
    settings.values.insert("keys".into(), json!(keys));
    settings.secrets.insert("doors".into(), Secret::new(lock.to_string()));
    let id = AccountId::from_name("ble", "ble");
    let account = StoredAccount { id: id.clone(), kind: "ble".into(), name: "Locks".into(), settings, managed: true, created: now };
    assert!(store.add_account(&account).await.unwrap());
    let site = Site { id: "home".into(), name: "Home".into(), time_zone: "UTC".into(), holidays: Vec::new() };
    store.put_site(&site).await.unwrap();
    id
}

fn door(account: AccountId) -> DoorSetup {
    DoorSetup::configured(DOOR.parse().unwrap(), "home", DoorKind::Radio, account, vec![Capability::Open])
}

/// All memory of a lock that stands alone, its program's pages too, with sessions that came over a broker and after it opened.
pub(super) async fn memory() -> Figure {
    let (folder, dice, air) = (tempfile::tempdir().unwrap(), Dice::new(), Air::start(Config::default()).await.unwrap());
    let sealed = Sealed::new(folder.path(), HELD, &dice);
    let broker = mqtt::Doorward::start().await;
    let secret = mqtt::user(broker.data(), "lock", &["locks/#"], &["locks/#"]).await;
    let mut desk = mqtt::Client::connect(broker.port(), "desk", "lock", &secret).await.subscribe("locks/front/event").await;
    let mut lock = Command::new(BINARY_OF_LOCK)
        .arg("--data")
        .arg(folder.path().join("data"))
        .arg("--keys")
        .arg(folder.path())
        .args(["--lock", DOOR, "--radio", &format!("air:{}", air.address()), "--command", "/bin/true"])
        .env("MQTT_BROKER", format!("mqtt://lock:{secret}@127.0.0.1:{}", broker.port()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    for (_, topic, message) in &sealed.0 {
        desk.keep(topic, message).await;
    }
    let phone = Phone::new(&air, &dice).await;
    let (_, advertising) = phone.shows(&sealed.0[HELD as usize - 1].0).await;
    while !desk.hears().await.windows(8).any(|part| part == b"accepted") {}
    drop(advertising);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mib = status(lock.id(), "VmRSS:") / 1024.0;
    end(&mut lock);
    Figure {
        what: "Bluetooth, memory of a lock that stands alone, with 1,000 sessions",
        measured: format!("{mib:.1} MiB"),
        limit: "15 MiB".into(),
        ratio: mib / 15.0,
    }
}
