//! Listening: one discovery for all who listen.

use super::{
    link::{Link, lock, within},
    names::{ADAPTER, BLUEZ, DEVICE, OBJECTS},
};
use crate::{
    dbus::{Value, dict},
    radio::{Address, Hearer, Manufacturer, RadioError, Scan, Sighting, Sightings, rssi, sightings},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{sync::watch, time::sleep};
use uuid::Uuid;

/// Devices whose names are remembered. `BlueZ` itself forgets those that it has not heard for half a minute.
const MOST_DEVICES: usize = 4096;
/// Bytes of a name (Core Specification 5.4, volume 3, part C, 12.1), and services of one device.
const MOST_NAME: usize = 248;
const MOST_SERVICES: usize = 32;
/// The longest time between two tries to start a discovery.
const AGAIN: Duration = Duration::from_secs(1);

/// Who listens, and what is known of those who are heard.
#[derive(Default)]
pub(super) struct Scans {
    inner: Mutex<Inner>,
    /// Sent whenever all who listen are told that it is over.
    ended: watch::Sender<()>,
    /// Whether there is a discovery of ours. Held while it is started or stopped.
    discovery: tokio::sync::Mutex<bool>,
}

#[derive(Default)]
struct Inner {
    hearers: HashMap<u64, Hearer>,
    next: u64,
    devices: HashMap<String, Device>,
}

/// What a device said that it does not say every time.
#[derive(Default)]
struct Device {
    name: Option<Box<str>>,
    services: Vec<Uuid>,
    rssi: Option<i8>,
    /// It advertised manufacturer data, so that each time is told with them.
    manufacturer: bool,
}

/// Listens until the sightings are dropped.
pub(super) async fn scan(link: &Arc<Link>, scan: Scan) -> Result<Sightings, RadioError> {
    let mut running = link.scans.discovery.lock().await;
    let (hearer, sightings) = sightings(scan);
    // Before the discovery is on: what it hears first may not be told again for seconds.
    let listening = link.scans.listen(&hearer);
    let mut ended = link.scans.ended.subscribe();
    if !*running {
        start(link).await?;
        *running = true;
        remember(link).await;
    }
    drop(running);
    if link.is_over() {
        return Err(RadioError::Gone("just now".into()));
    }
    let number = listening.keep();
    let link = Arc::clone(link);
    tokio::spawn(async move {
        tokio::select! {
            () = hearer.unheard() => link.leave(number).await,
            // With the hearer that is held here the sightings end.
            _ = ended.changed() => {}
        }
    });
    Ok(sightings)
}

/// Somebody listens, unless this is dropped before it is kept.
struct Listening<'a> {
    scans: &'a Scans,
    number: Option<u64>,
}

impl Listening<'_> {
    fn keep(mut self) -> u64 {
        self.number.take().unwrap_or_default()
    }
}

impl Drop for Listening<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            lock(&self.scans.inner).hearers.remove(&number);
        }
    }
}

/// Starts a discovery. After a crash of `bluetoothd` the kernel goes on with the old one for some seconds.
async fn start(link: &Link) -> Result<(), RadioError> {
    let filter = dict([("Transport", Value::text("le")), ("DuplicateData", Value::Bool(true))]);
    link.adapter(ADAPTER, "SetDiscoveryFilter", vec![filter]).await?;
    let started = async {
        let mut wait = link.waits.retry;
        loop {
            match link.adapter(ADAPTER, "StartDiscovery", vec![]).await {
                Err(error) if error.name() == Some("InProgress") && !link.is_over() => {
                    tracing::debug!(%error, "a scan cannot start yet");
                    sleep(wait).await;
                    wait = (wait * 2).min(AGAIN);
                }
                started => return Ok(started?),
            }
        }
    };
    let started = within(link.waits.scan, "a new scan", started).await;
    // It may start although nobody waits for it any more.
    started.map(drop).inspect_err(|_| link.bus.tell(BLUEZ, &link.adapter, ADAPTER, "StopDiscovery", vec![]))
}

/// Remembers the names of those that `BlueZ` knows already: it does not say them again. Where it knows too many, that is left out.
async fn remember(link: &Link) {
    let objects = match link.bus.call(BLUEZ, "/", OBJECTS, "GetManagedObjects", vec![]).await {
        Ok(answer) => answer.body,
        Err(error) => {
            tracing::debug!(%error, "names are not known before they are heard");
            return;
        }
    };
    for (path, interfaces) in objects.iter().flat_map(Value::pairs) {
        let Some(path) = path.as_text() else { continue };
        if let (Some((device, _, "")), Some(all)) = (super::names::of_device(&link.adapter, path), interfaces.at(DEVICE)) {
            link.scans.learn(device, all);
        }
    }
}

impl Link {
    /// Somebody listens no more; with the last one the discovery ends.
    async fn leave(&self, number: u64) {
        let mut running = self.scans.discovery.lock().await;
        let last = {
            let mut inner = lock(&self.scans.inner);
            inner.hearers.remove(&number);
            inner.hearers.is_empty()
        };
        if last && *running {
            *running = false;
            lock(&self.scans.inner).devices.clear();
            if let Err(error) = self.adapter(ADAPTER, "StopDiscovery", vec![]).await {
                tracing::debug!(%error, "a scan was not stopped");
            }
        }
    }
}

impl Scans {
    fn listen(&self, hearer: &Hearer) -> Listening<'_> {
        let mut inner = lock(&self.inner);
        inner.next += 1;
        let number = inner.next;
        inner.hearers.insert(number, hearer.clone());
        Listening { scans: self, number: Some(number) }
    }

    /// Ends all sightings.
    pub(super) fn end(&self) {
        // Numbers go on: those of listeners that are over must not name others.
        let mut inner = lock(&self.inner);
        inner.hearers.clear();
        inner.devices.clear();
        self.ended.send_replace(());
    }

    /// `BlueZ` stopped the discovery. While it is ours and was not stopped by us, who listens is told by the end of the sightings.
    pub(super) fn stopped(&self) {
        // While it is held, we start or stop ourselves.
        if let Ok(mut running) = self.discovery.try_lock()
            && std::mem::take(&mut *running)
        {
            tracing::warn!("somebody stopped the scan");
            self.end();
        }
    }

    /// `BlueZ` knows a device that it did not know.
    pub(super) fn appeared(&self, link: &Link, device: &str, address: Address, all: &Value) {
        self.learn(device, all);
        self.hear(link, device, address, all);
    }

    /// Something of a device changed.
    pub(super) fn changed(&self, link: &Link, device: &str, address: Address, changed: &Value) {
        if lock(&self.inner).hearers.is_empty() {
            return;
        }
        self.learn(device, changed);
        self.hear(link, device, address, changed);
    }

    pub(super) fn forget(&self, device: &str) {
        lock(&self.inner).devices.remove(device);
    }

    fn learn(&self, device: &str, said: &Value) {
        let mut inner = lock(&self.inner);
        if !inner.devices.contains_key(device) && inner.devices.len() >= MOST_DEVICES {
            return;
        }
        let known = inner.devices.entry(device.into()).or_default();
        if let Some(name) = said.at("Name").and_then(Value::as_text).filter(|name| name.len() <= MOST_NAME) {
            known.name = Some(name.into());
        }
        if let Some(services) = said.at("UUIDs") {
            let uuids = services.items().iter().filter_map(|uuid| uuid.as_text()?.parse().ok());
            known.services = uuids.take(MOST_SERVICES).collect();
        }
        if let Some(raw) = said.at("RSSI").and_then(Value::as_i16) {
            known.rssi = i8::try_from(raw).ok().and_then(rssi);
        }
        known.manufacturer |= said.at("ManufacturerData").is_some();
    }

    /// An advertisement was heard: its manufacturer data are told every time; of a device without any, its signal strength is.
    ///
    /// A signal strength alone says nothing of the bytes that came with it, which may be seconds old.
    fn hear(&self, link: &Link, device: &str, address: Address, said: &Value) {
        let inner = lock(&self.inner);
        let unknown = Device::default();
        let known = inner.devices.get(device).unwrap_or(&unknown);
        let manufacturers: Vec<_> = said.at("ManufacturerData").into_iter().flat_map(Value::pairs).filter_map(manufacturer).collect();
        let plain = manufacturers.is_empty() && !known.manufacturer && said.at("RSSI").is_some();
        let heard = manufacturers.into_iter().map(Some).chain(plain.then_some(None));
        for manufacturer in heard {
            for hearer in inner.hearers.values().filter(|hearer| hearer.is_for(manufacturer.map(|own| own.company))) {
                let (name, services) = (known.name.clone(), known.services.clone());
                let sighting = Sighting { address, rssi: known.rssi, manufacturer, name, services, at: (link.clock)() };
                // Who listens no more is taken out by its own task.
                let _ = hearer.hear(sighting);
            }
        }
    }
}

fn manufacturer((company, data): (&Value, &Value)) -> Option<Manufacturer> {
    Manufacturer::new(company.as_u16()?, data.as_bytes()?)
}
