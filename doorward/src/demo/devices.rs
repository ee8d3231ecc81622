//! Ten simulated gateways of a fleet, provisioned and running.

use super::actor;
use crate::{failure::Failure, serve::Running};
use doorward_fleet::Wish;
use doorward_sim::device::{Config, Device, Firmware, Memory};
use doorward_wire::device::Named;
use std::net::{Ipv4Addr, SocketAddr};

/// How many there are.
const COUNT: u8 = 10;
/// What the first of them are called.
const NAMES: [&str; 4] = ["Entrance", "Garage", "Cellar", "Workshop"];

/// Plugs them in. Without the embedded broker there is nothing that they could reach.
pub(super) async fn plug_in(house: &Running) -> Result<Vec<Device>, Failure> {
    let Some(broker) = house.plain_broker() else { return Ok(Vec::new()) };
    let broker = SocketAddr::from((Ipv4Addr::LOCALHOST, broker.port()));
    let macs = (0..COUNT).map(|number| [0xE8, 0x06, 0x90, 0x9E, 0x9A, 0x10 + number]);
    let wishes: Result<Vec<Wish>, Failure> =
        macs.clone().zip(NAMES.map(Some).into_iter().chain(std::iter::repeat(None))).map(wish).collect();
    let failed = |error: doorward_fleet::DeskError| Failure::failed(error.to_string());
    let stored = house.fleet.provision_many(&wishes?, &actor()).await.map_err(failed)?;
    let mut devices = Vec::new();
    for (mac, stored) in macs.zip(stored) {
        // One that somebody revoked stays away.
        let Ok(stored) = stored else { continue };
        let memory = Memory {
            wifi_ssid: "Home".into(),
            wifi_pass: "wifi-password".into(),
            mqtt_user: stored.user,
            mqtt_pass: stored.secrets.password.reveal().clone(),
            ..Memory::default()
        };
        let version = stored.report.firmware.unwrap_or_else(|| "2.0.0".into());
        let config = Config { firmware: Firmware::B, mac, broker, version, ..Config::default() };
        devices.push(Device::start(config, memory).await?);
    }
    Ok(devices)
}

fn wish((mac, name): ([u8; 6], Option<&str>)) -> Result<Wish, Failure> {
    let text: Vec<String> = mac.iter().map(|byte| format!("{byte:02X}")).collect();
    let device: Named = text.join(":").parse().map_err(|error| Failure::failed(format!("the demo's own device: {error}")))?;
    Ok(Wish { device, name: name.map(str::to_owned) })
}
