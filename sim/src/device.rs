//! ESP32 gateways of a fleet: what a box of them does when it is plugged in, without a box.
//!
//! A device starts with what its [`Memory`] holds. Without a Wi-Fi it opens its portal; with one that exists it goes to the
//! broker as its own user, tells of itself and does what it is told. [`Firmware`] says which of the field's it runs:
//!
//! * A takes everything by its portal, and nothing over serial.
//! * B takes its broker's credentials over serial, and nothing of them by its portal.
//! * C is B with Improv, so that its Wi-Fi goes over serial too.
//!
//! Radio and flash are not there: which Wi-Fis exist is said by [`Config::networks`], the portal is at a port of this machine, and
//! the serial line is a pseudo-terminal.

mod console;
mod link;
mod mqtt;
mod nvs;
mod portal;
mod update;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// Between two tries to reach the broker.
const AGAIN: Duration = Duration::from_millis(500);
/// How long a device takes to start.
const BOOT: Duration = Duration::from_millis(100);

/// Which firmware a device runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Firmware {
    /// The seed's: portal alone.
    A,
    /// The newer one: credentials over serial.
    B,
    /// One that also speaks Improv.
    C,
}

/// What a device keeps.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Memory {
    /// The name of its Wi-Fi.
    pub wifi_ssid: String,
    /// The password of its Wi-Fi.
    pub wifi_pass: String,
    /// Its broker.
    pub mqtt_host: String,
    /// Its user there.
    pub mqtt_user: String,
    /// Its password there.
    pub mqtt_pass: String,
    /// What it shows at the provisioning server.
    pub device_token: String,
}

impl Memory {
    /// What a factory image holds.
    pub fn from_image(image: &[u8]) -> Result<Self, String> {
        nvs::read(image)
    }
}

/// What a device is, and what is around it.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its firmware.
    pub firmware: Firmware,
    /// The Wi-Fi MAC.
    pub mac: [u8; 6],
    /// The version that it tells.
    pub version: String,
    /// Its board, which firmware C looks at.
    pub hardware: String,
    /// The Ed25519 key whose signatures firmware C believes: 32 bytes.
    pub public_key: Option<Vec<u8>>,
    /// Where the broker is; what its memory says of that is a name that only devices can look up.
    pub broker: SocketAddr,
    /// It speaks TLS there, and believes every certificate, as firmware A does.
    pub tls: bool,
    /// The Wi-Fis that exist, each with its password.
    pub networks: Vec<(String, String)>,
    /// How often it tells of itself.
    pub report: Duration,
    /// What goes wrong from the start.
    pub faults: Faults,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            firmware: Firmware::B,
            mac: [0xA1, 0xB2, 0xC3, 0xD4, 0xE5, 0xF6],
            version: "2.0.0".into(),
            hardware: "xiao-esp32s3".into(),
            public_key: None,
            broker: SocketAddr::from(([127, 0, 0, 1], 1883)),
            tls: false,
            networks: vec![("Home".into(), "wifi-password".into())],
            report: Duration::from_mins(1),
            faults: Faults::default(),
        }
    }
}

/// What goes wrong with it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// At so many per cent of its next download somebody pulls the plug, once.
    pub power_loss_at: Option<u64>,
    /// New firmware does not start, and the one before comes back.
    pub boot_loop: bool,
    /// At so many per cent of its next download the connection is lost, once.
    pub link_lost_at: Option<u64>,
    /// Its connection to the broker is lost after so long, again and again.
    pub flaky: Option<Duration>,
}

/// How a device stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// It has no Wi-Fi, and its portal is open.
    Portal,
    /// It has a Wi-Fi that it cannot join.
    NoWifi,
    /// It has its Wi-Fi, and no broker that lets it in.
    NoBroker,
    /// It is connected to the broker.
    Online,
}

struct Shared {
    config: Config,
    memory: Mutex<Memory>,
    standing: Mutex<Standing>,
    restart: Notify,
    version: Mutex<String>,
    min_version: Mutex<String>,
    image: Mutex<Vec<u8>>,
    faults: Mutex<Faults>,
    boots: Mutex<u32>,
    stopping: AtomicBool,
}

/// A device that runs.
pub struct Device {
    shared: Arc<Shared>,
    portal: SocketAddr,
    console: PathBuf,
    tasks: Vec<JoinHandle<()>>,
}

impl Device {
    /// Plugs a device in.
    pub async fn start(config: Config, memory: Memory) -> io::Result<Self> {
        let shared = Shared::new(config, memory);
        let (portal, serving) = portal::open(Arc::clone(&shared)).await?;
        let console = console::open(Arc::clone(&shared))?;
        let living = tokio::spawn(live(Arc::clone(&shared)));
        Ok(Self { shared, portal, console, tasks: vec![serving, living] })
    }

    /// What it prints: its MAC, each byte without a leading zero.
    #[must_use]
    pub fn id(&self) -> String {
        self.shared.id()
    }

    /// Where its portal is, while it is open.
    #[must_use]
    pub fn portal(&self) -> String {
        format!("http://{}", self.portal)
    }

    /// Its serial line.
    #[must_use]
    pub fn console(&self) -> &Path {
        &self.console
    }

    /// What it keeps.
    #[must_use]
    pub fn memory(&self) -> Memory {
        lock(&self.shared.memory).clone()
    }

    /// How it stands.
    #[must_use]
    pub fn standing(&self) -> Standing {
        *lock(&self.shared.standing)
    }

    /// The version that it runs.
    #[must_use]
    pub fn version(&self) -> String {
        self.shared.version()
    }

    /// The image that it has flashed last.
    #[must_use]
    pub fn image(&self) -> Vec<u8> {
        lock(&self.shared.image).clone()
    }

    /// Changes what goes wrong.
    pub fn set(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut lock(&self.shared.faults));
    }

    /// How often it started.
    #[must_use]
    pub fn boots(&self) -> u32 {
        *lock(&self.shared.boots)
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Relaxed);
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// A device in the field, with nobody next to it: it has neither portal nor serial line, and thousands fit into one process.
pub struct Mounted {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Mounted {
    /// Plugs it in.
    #[must_use]
    pub fn start(config: Config, memory: Memory) -> Self {
        let shared = Shared::new(config, memory);
        let task = tokio::spawn(live(Arc::clone(&shared)));
        Self { shared, task }
    }

    /// How it stands.
    #[must_use]
    pub fn standing(&self) -> Standing {
        *lock(&self.shared.standing)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn new(config: Config, memory: Memory) -> Arc<Self> {
        Arc::new(Self {
            version: Mutex::new(config.version.clone()),
            min_version: Mutex::new("0".into()),
            image: Mutex::default(),
            faults: Mutex::new(config.faults),
            config,
            memory: Mutex::new(memory),
            standing: Mutex::new(Standing::Portal),
            restart: Notify::new(),
            boots: Mutex::default(),
            stopping: AtomicBool::new(false),
        })
    }

    fn id(&self) -> String {
        let bytes: Vec<String> = self.config.mac.iter().map(|byte| format!("{byte:X}")).collect();
        bytes.concat()
    }

    fn mac(&self) -> String {
        let bytes: Vec<String> = self.config.mac.iter().map(|byte| format!("{byte:02X}")).collect();
        bytes.join(":")
    }

    fn version(&self) -> String {
        lock(&self.version).clone()
    }

    fn stands(&self, standing: Standing) {
        *lock(&self.standing) = standing;
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Whether a Wi-Fi exists, with this password.
    fn joins(&self, ssid: &str, password: &str) -> bool {
        self.config.networks.iter().any(|(name, right)| name == ssid && right == password)
    }
}

/// From start to start.
async fn live(shared: Arc<Shared>) {
    loop {
        *lock(&shared.boots) += 1;
        tokio::time::sleep(BOOT).await;
        tokio::select! {
            () = run(&shared) => {}
            () = shared.restart.notified() => {}
        }
    }
}

async fn run(shared: &Shared) {
    let memory = lock(&shared.memory).clone();
    if memory.wifi_ssid.is_empty() {
        shared.stands(Standing::Portal);
        return std::future::pending().await;
    }
    if !shared.joins(&memory.wifi_ssid, &memory.wifi_pass) {
        shared.stands(Standing::NoWifi);
        return std::future::pending().await;
    }
    loop {
        shared.stands(Standing::NoBroker);
        if let Err(error) = mqtt::talk(shared, &memory).await {
            tracing::debug!(device = shared.id(), %error, "the broker is lost");
        }
        shared.stands(Standing::NoBroker);
        tokio::time::sleep(AGAIN).await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
