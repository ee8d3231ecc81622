//! The radio of `BlueZ` against a false one.

mod advertise;
mod connect;
mod scan;
mod serve;
mod standing;

use crate::fake::{Fake, PATIENCE};
use doorward_ble::radio::{
    Radio as _, Standing,
    bluez::{BlueZ, Settings, Waits},
};
use doorward_core::Mono;
use std::{sync::Arc, time::Duration};
use tokio::time::{sleep, timeout};

const HCI0: &str = "/org/bluez/hci0";
const DEVICE: &str = "/org/bluez/hci0/dev_AA_00_00_00_00_01";
const ADDRESS: &str = "AA:00:00:00:00:01";

/// Patient, but quick to try again.
fn waits() -> Waits {
    let [retry, look] = [5, 20].map(Duration::from_millis);
    Waits { call: PATIENCE, connect: PATIENCE, gatt: PATIENCE, scan: PATIENCE, retry, look }
}

fn radio(fake: &Fake, waits: Waits) -> BlueZ {
    let settings = Settings { adapter: None, bus: Some(fake.address.clone()), waits, ..Settings::default() };
    BlueZ::start(settings, Arc::new(|| Mono(Duration::from_secs(7))))
}

/// A radio that is there.
async fn up(fake: &Fake, waits: Waits) -> BlueZ {
    let radio = radio(fake, waits);
    timeout(PATIENCE, radio.state().up()).await.unwrap().unwrap();
    radio
}

/// Waits until it stands so.
async fn until(radio: &BlueZ, is: impl Fn(&Standing) -> bool) -> Standing {
    let stands = timeout(PATIENCE, async {
        loop {
            let now = radio.state().now();
            if is(&now) {
                return now;
            }
            sleep(Duration::from_millis(2)).await;
        }
    });
    stands.await.unwrap_or_else(|_| panic!("it stands at {:?}", radio.state().now()))
}
