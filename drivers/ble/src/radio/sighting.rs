//! What is heard, and how much of it waits for a slow reader.

use super::RadioError;
use doorward_core::Mono;
use doorward_wire::device::Mac;
use std::{
    fmt,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::mpsc::{self, error::TrySendError};
use uuid::Uuid;

/// Bytes of the manufacturer data of a legacy advertisement: 31 less its length, type and company.
pub const MOST_MANUFACTURER: usize = 27;
/// What stands for a signal strength that is not known (Core Specification 5.4, volume 4, part E, 7.7.65.2).
pub const RSSI_UNKNOWN: i8 = 127;

/// A Bluetooth address, as it is on the air. Phones change theirs every few minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Address(pub [u8; 6]);

/// Why a text is no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a Bluetooth address has six bytes of two hex digits with colons between them")]
pub struct AddressError;

impl FromStr for Address {
    type Err = AddressError;

    /// ```
    /// use doorward_ble::radio::Address;
    ///
    /// assert_eq!("e8:06:90:9E:9A:B4".parse::<Address>().unwrap().to_string(), "E8:06:90:9E:9A:B4");
    /// assert!("E8:06:90:9E:9A".parse::<Address>().is_err());
    /// ```
    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (mut bytes, mut parts) = ([0; 6], text.split([':', '-']));
        for byte in &mut bytes {
            let part = parts.next().filter(|part| part.len() == 2 && part.bytes().all(|digit| digit.is_ascii_hexdigit()));
            *byte = u8::from_str_radix(part.ok_or(AddressError)?, 16).map_err(|_| AddressError)?;
        }
        if parts.next().is_some() { Err(AddressError) } else { Ok(Self(bytes)) }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0.map(|byte| format!("{byte:02X}"));
        f.pad(&bytes.join(":"))
    }
}

impl From<Mac> for Address {
    fn from(mac: Mac) -> Self {
        // What a MAC writes is an address.
        mac.to_string().parse().unwrap_or_default()
    }
}

/// Manufacturer data, without memory of its own: floods of it cost nothing to drop.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Manufacturer {
    /// Whose it is, as the Bluetooth SIG numbers companies.
    pub company: u16,
    length: u8,
    data: [u8; MOST_MANUFACTURER],
}

impl Manufacturer {
    /// `None` when it is longer than a legacy advertisement can carry: nothing of ours is.
    pub fn new(company: u16, bytes: &[u8]) -> Option<Self> {
        let mut data = [0; MOST_MANUFACTURER];
        data.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Self { company, length: u8::try_from(bytes.len()).ok()?, data })
    }

    /// The bytes behind the company.
    pub fn bytes(&self) -> &[u8] {
        self.data.get(..usize::from(self.length)).unwrap_or_default()
    }
}

impl fmt::Debug for Manufacturer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}:{:02x?}", self.company, self.bytes())
    }
}

/// An advertisement that was heard.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sighting {
    /// Who sent it, as it says.
    pub address: Address,
    /// How well it was heard, in dBm. `None` when the adapter does not know, which the wire writes as [`RSSI_UNKNOWN`].
    pub rssi: Option<i8>,
    /// Its manufacturer data. Of several companies there is a sighting each.
    pub manufacturer: Option<Manufacturer>,
    /// What it calls itself.
    pub name: Option<Box<str>>,
    /// The services that it says it has; those of 16 bits as [`uuid16`](super::uuid16) writes them.
    pub services: Vec<Uuid>,
    /// When it was heard, by the clock that the radio was given.
    pub at: Mono,
}

/// A signal strength as the wire has it.
pub fn rssi(raw: i8) -> Option<i8> {
    (raw != RSSI_UNKNOWN).then_some(raw)
}

/// What to listen for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scan {
    /// Only advertisements with manufacturer data of this company. The others are dropped before they wait for anybody.
    pub company: Option<u16>,
    /// Asks for scan responses, where names are. Costs airtime, and tells that somebody listens.
    pub active: bool,
    /// How many sightings wait for a slow reader, before more are dropped.
    pub waiting: usize,
}

impl Default for Scan {
    fn default() -> Self {
        Self { company: None, active: true, waiting: 1024 }
    }
}

/// Sightings as they come. They end when the adapter is gone.
#[derive(Debug)]
pub struct Sightings {
    queue: mpsc::Receiver<Sighting>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    dropped: AtomicU64,
    foreign: AtomicU64,
}

/// Where a backend puts in what it hears. It never waits.
#[derive(Debug, Clone)]
pub struct Hearer {
    company: Option<u16>,
    queue: mpsc::Sender<Sighting>,
    counts: Arc<Counts>,
}

/// The two ends of a scan.
pub fn sightings(scan: Scan) -> (Hearer, Sightings) {
    let (sender, queue) = mpsc::channel(scan.waiting.clamp(1, 1 << 16));
    let counts = Arc::new(Counts::default());
    (Hearer { company: scan.company, queue: sender, counts: Arc::clone(&counts) }, Sightings { queue, counts })
}

impl Hearer {
    /// Whether the scan is for manufacturer data of this company. Ask before making a [`Sighting`]: it is cheaper. One that is not
    /// is counted.
    pub fn is_for(&self, company: Option<u16>) -> bool {
        let is_for = self.company.is_none() || self.company == company;
        if !is_for {
            self.counts.foreign.fetch_add(1, Ordering::Relaxed);
        }
        is_for
    }

    /// Puts in a sighting, or drops and counts it. An error when nobody listens any more.
    pub fn hear(&self, sighting: Sighting) -> Result<(), RadioError> {
        if !self.is_for(sighting.manufacturer.map(|manufacturer| manufacturer.company)) {
            return Ok(());
        }
        match self.queue.try_send(sighting) {
            Ok(()) => Ok(()),
            // Who advertises says it again within a fraction of a second; who opens a door must hear what is said now.
            Err(TrySendError::Full(_)) => {
                self.counts.dropped.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            Err(TrySendError::Closed(_)) => Err(RadioError::Gone("nobody listens any more".into())),
        }
    }

    /// Waits until nobody listens any more: then a backend ends its scan.
    pub async fn unheard(&self) {
        self.queue.closed().await;
    }
}

impl Sightings {
    /// The next one. `None` when the adapter is gone.
    pub async fn next(&mut self) -> Option<Sighting> {
        self.queue.recv().await
    }

    /// Takes up to `most` of those that wait, and waits for one if there is none. 0 when the adapter is gone.
    pub async fn next_many(&mut self, into: &mut Vec<Sighting>, most: usize) -> usize {
        self.queue.recv_many(into, most).await
    }

    /// How many were dropped because the reader was slow.
    pub fn dropped(&self) -> u64 {
        self.counts.dropped.load(Ordering::Relaxed)
    }

    /// How many were of other companies than the scan is for.
    pub fn foreign(&self) -> u64 {
        self.counts.foreign.load(Ordering::Relaxed)
    }
}
