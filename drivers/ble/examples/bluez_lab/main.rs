//! Two adapters that talk to each other over the real `BlueZ`, and what happens when it goes away.
//!
//! It is run where `bluetoothd` may be killed: by the tests of this crate, in a small machine of its own that has `hci0` and `hci1`.
//! What it did is printed with the time that it took; it ends with an error at the first thing that is not as it should be.
//!
//! `bluez_lab [story…]`, of `talk`, `roll`, `term`, `kill`, `power`, `bus`; all of them when none is named.

mod away;
mod talk;

use anyhow::{Context as _, Result, bail};
use doorward_ble::radio::{
    Advertisement, Advertising, Can, Characteristic, Fields, Radio as _, Scan, Server, Service, Sighting, Sightings,
    bluez::{BlueZ, Settings},
};
use doorward_core::Mono;
use doorward_wire::ble::{ADVERTISED_SERVICE, COMPANY, ISSUER_APPEARANCE, ISSUER_DATA, ISSUER_NAME};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, timeout};
use uuid::{Uuid, uuid};

/// The issuer's service and characteristic (`docs/wire/ble-v2.md`).
const SERVICE: Uuid = uuid!("c0de0001-0000-1000-8000-00805f9b34fb");
const CHARACTERISTIC: Uuid = uuid!("c0de0002-0000-1000-8000-00805f9b34fb");
/// How long anything may take, on a computer that is emulated.
const PATIENCE: Duration = Duration::from_secs(30);

/// The two adapters.
struct Lab {
    /// It serves, as an issuer does.
    issuer: BlueZ,
    /// It asks and advertises, as a guest does.
    guest: BlueZ,
    start: Instant,
}

#[tokio::main]
async fn main() -> Result<()> {
    tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).with_ansi(false).with_writer(std::io::stderr).init();
    let stories: Vec<String> = std::env::args().skip(1).collect();
    let start = Instant::now();
    let radio = |name: &str| {
        let settings = Settings { adapter: Some(name.into()), ..Settings::default() };
        BlueZ::start(settings, Arc::new(move || Mono(start.elapsed())))
    };
    let lab = Lab { issuer: radio("hci0"), guest: radio("hci1"), start };
    lab.both_up().await?;
    let all = ["talk", "roll", "term", "kill", "power", "bus"];
    for story in all.iter().filter(|story| stories.is_empty() || stories.iter().any(|own| own == *story)) {
        println!("{story}");
        match *story {
            "talk" => talk::talk(&lab).await,
            "roll" => talk::roll(&lab).await,
            "term" => away::restart(&lab, "kill $(pidof bluetoothd)").await,
            "kill" => away::restart(&lab, "kill -9 $(pidof bluetoothd)").await,
            "power" => away::power(&lab).await,
            "bus" => away::bus(&lab).await,
            _ => bail!("there is no such story"),
        }
        .context(*story)?;
    }
    println!("done");
    Ok(())
}

impl Lab {
    /// Does something, and says how long it took.
    async fn timed<T>(&self, what: &str, act: impl Future<Output = Result<T>>) -> Result<T> {
        let before = self.start.elapsed();
        let done = timeout(PATIENCE, act).await.with_context(|| format!("{what}: not in time"))?;
        println!("  {:>6} ms  {what}", self.start.elapsed().saturating_sub(before).as_millis());
        done.with_context(|| what.to_owned())
    }

    async fn both_up(&self) -> Result<()> {
        self.timed("both adapters are there", async {
            self.issuer.state().up().await?;
            self.guest.state().up().await?;
            Ok(())
        })
        .await
    }

    /// The issuer's beacon and service.
    async fn beacon(&self) -> Result<(Box<dyn Advertising>, Box<dyn Server>)> {
        self.timed("the beacon advertises and serves", async {
            let data = Fields::new().service16(ADVERTISED_SERVICE).manufacturer(COMPANY, &ISSUER_DATA).appearance(ISSUER_APPEARANCE);
            let beacon = Advertisement::new(data).response(Fields::new().name(ISSUER_NAME)).connectable();
            let can = Can { read: true, write: true, notify: true, ..Can::default() };
            let characteristics = vec![Characteristic { uuid: CHARACTERISTIC, can }];
            let server = self.issuer.serve(vec![Service { uuid: SERVICE, characteristics }]).await?;
            Ok((self.issuer.advertise(beacon).await?, server))
        })
        .await
    }

    async fn listen(&self, radio: &BlueZ) -> Result<Sightings> {
        let scan = Scan { company: Some(COMPANY), ..Scan::default() };
        self.timed("a scan is on", async { Ok(radio.scan(scan).await?) }).await
    }

    /// Waits for the beacon.
    async fn hear_beacon(&self, sightings: &mut Sightings) -> Result<Sighting> {
        self.timed("the beacon is heard", hear(sightings, &ISSUER_DATA)).await
    }
}

/// Waits for an advertisement with these manufacturer data.
async fn hear(sightings: &mut Sightings, data: &[u8]) -> Result<Sighting> {
    loop {
        let heard = sightings.next().await.context("the scan ended")?;
        if heard.manufacturer.is_some_and(|own| own.company == COMPANY && own.bytes() == data) {
            return Ok(heard);
        }
    }
}
