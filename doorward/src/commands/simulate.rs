//! `doorward sim …`

mod air;

use crate::{
    cli::{Board, DeviceFault, Global, Rotation, Sim},
    config::LogFormat,
    data,
    failure::{Exit, Failure, Outcome},
    logging, output, serve,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use doorward_fleet::csv;
use doorward_sim::{
    air::Physics,
    device::{self, Device, Faults, Firmware, Memory, Mounted, Standing},
    jeedom::{self, Jeedom},
    legrand, utec,
};
use std::{collections::BTreeMap, path::Path, time::Duration};

/// Mounted devices that are plugged in within a tenth of a second.
const PACE: usize = 50;

pub(crate) async fn run(global: &Global, sim: Sim) -> Outcome {
    logging::start("info", LogFormat::Text, global.debug);
    match sim {
        Sim::Utec { listen, seed, rotation, expires_in } => {
            let rotation = match rotation {
                Rotation::Grace => utec::Rotation::Grace,
                Rotation::Strict => utec::Rotation::Strict,
                Rotation::Fixed => utec::Rotation::Fixed,
            };
            let dir = global.data.as_ref().map(|folder| data::folder(Some(folder)).join("sim"));
            cloud(utec::Config { listen, seed, rotation, expires_in, dir, ..utec::Config::default() }).await
        }
        Sim::Legrand { listen, sip_listen, seed } => {
            let dir = global.data.as_ref().map(|folder| data::folder(Some(folder)).join("sim"));
            door_entry(legrand::Config { listen, sip_listen, seed, dir, ..legrand::Config::default() }).await
        }
        Sim::Device { count, from, firmware, broker, key, fault, wifi } => {
            let key = key.map(|file| public_key(&file)).transpose()?;
            let config = device::Config { public_key: key, ..device_config(firmware, broker, &wifi, &fault)? };
            match from {
                Some(file) => mounted(&file, &config).await,
                None => devices(count, &config).await,
            }
        }
        Sim::Air { listen, loss, latency, wobble, seed } => {
            let physics = Physics {
                loss: f64::from(loss) / 100.0,
                latency: Duration::from_millis(latency.into()),
                wobble: wobble.into(),
                ..Physics::default()
            };
            air::run(doorward_sim::air::Config { listen, physics, seed, ..doorward_sim::air::Config::default() }).await
        }
        Sim::Jeedom { listen, apikey } => jeedom(jeedom::Config { listen, apikey, ..jeedom::Config::default() }).await,
    }
}

async fn cloud(config: utec::Config) -> Outcome {
    let stop = serve::told_to_stop()?;
    let (listen, key, secret) = (config.listen, config.client_id.clone(), config.client_secret.clone());
    let sim = utec::start(config).await.map_err(|error| Failure::failed(format!("the simulator cannot start at {listen}: {error}")))?;
    output::line(&format!("The simulated U-tec cloud is at {}", sim.base_url()));
    output::line(&format!("  base_url and oauth_base_url  {}", sim.base_url()));
    output::line(&format!("  access_key                   {key}"));
    output::line(&format!("  secret_key                   {secret}"));
    output::line(&format!("  locks, faults, pushes        {}/  (GET /sim/state, PUT /sim/faults)", sim.base_url()));
    stop.await;
    sim.stop().await;
    Ok(Exit::Done)
}

async fn door_entry(config: legrand::Config) -> Outcome {
    let stop = serve::told_to_stop()?;
    let (listen, subscription, person) = (config.listen, config.subscription_key.clone(), config.people.first().cloned());
    let sim = legrand::start(config).await.map_err(|error| Failure::failed(format!("the simulator cannot start at {listen}: {error}")))?;
    output::line(&format!("The simulated BTicino/Legrand cloud is at {}", sim.base_url()));
    output::line(&format!("  sign-in and API        {}", sim.base_url()));
    output::line(&format!("  SIP over TLS           {}", sim.sip_addr()));
    output::line(&format!("  subscription key       {subscription}"));
    if let Some(person) = person {
        output::line(&format!("  e-mail, password       {}  {}", person.email, person.password));
    }
    output::line(&format!("  gates, bells, faults   {}/  (GET /sim/state, PUT /sim/faults)", sim.base_url()));
    stop.await;
    sim.stop().await;
    Ok(Exit::Done)
}

/// What all of them are like.
fn device_config(board: Board, broker: std::net::SocketAddr, wifi: &str, faults: &[DeviceFault]) -> Result<device::Config, Failure> {
    let (ssid, password) =
        wifi.split_once(':').ok_or_else(|| Failure::usage("--wifi is a name and a password, such as Home:wifi-password"))?;
    let firmware = match board {
        Board::A => Firmware::A,
        Board::B => Firmware::B,
        Board::C => Firmware::C,
    };
    let has = |fault| faults.contains(&fault);
    let networks = if has(DeviceFault::BadWifi) { Vec::new() } else { vec![(ssid.to_owned(), password.to_owned())] };
    let faults = Faults {
        power_loss_at: has(DeviceFault::PowerLoss).then_some(37),
        link_lost_at: has(DeviceFault::FlakyLink).then_some(50),
        flaky: has(DeviceFault::FlakyLink).then_some(Duration::from_secs(10)),
        boot_loop: has(DeviceFault::BootLoop),
    };
    Ok(device::Config { firmware, broker, networks, faults, ..device::Config::default() })
}

/// The Ed25519 key in a PEM file: the last 32 bytes of it (RFC 8410).
fn public_key(file: &Path) -> Result<Vec<u8>, Failure> {
    let wrong = |why: String| Failure::usage(format!("{}: {why}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
    let base64: String = text.lines().filter(|line| !line.starts_with('-')).map(str::trim).collect();
    let der = STANDARD.decode(base64).unwrap_or_default();
    der.last_chunk::<32>()
        .map(|key| key.to_vec())
        .ok_or_else(|| wrong("it holds no public key as “doorward firmware key” prints it".into()))
}

async fn devices(count: u16, like: &device::Config) -> Outcome {
    let stop = serve::told_to_stop()?;
    let mut all = Vec::new();
    let mut rows = Vec::new();
    for number in 0..count {
        let [high, low] = number.to_be_bytes();
        let config = device::Config { mac: [0xD0, 0x0D, 0x1A, 0x2B, high, low], ..like.clone() };
        let one = Device::start(config, device::Memory::default())
            .await
            .map_err(|error| Failure::failed(format!("no device can be simulated: {error}")))?;
        rows.push(vec![one.id(), one.console().display().to_string(), one.portal()]);
        all.push(one);
    }
    output::table(&["device", "serial line", "portal"], &rows);
    for (ssid, password) in &like.networks {
        output::note(&format!("\nThe Wi-Fi that they can join is {ssid}, its password {password}. Provision one:"));
    }
    output::note(
        "  doorward device serial --port <serial line>    or    doorward device portal <device> --address <portal> --wifi-ssid <Wi-Fi>",
    );
    stop.await;
    Ok(Exit::Done)
}

/// Devices with what a batch gave them.
async fn mounted(file: &Path, like: &device::Config) -> Outcome {
    let stop = serve::told_to_stop()?;
    serve::as_many_files_as_allowed();
    let text = std::fs::read_to_string(file).map_err(|error| Failure::usage(format!("{} cannot be read: {error}", file.display())))?;
    let rows = csv::named(&text).map_err(|error| Failure::usage(format!("{}: {error}", file.display())))?;
    let plugged = tokio::spawn(plug_in(rows, like.clone()));
    tokio::pin!(stop);
    let all = tokio::select! {
        all = plugged => all.unwrap_or_default(),
        () = &mut stop => return Ok(Exit::Done),
    };
    if all.is_empty() {
        return Err(Failure::usage(format!("{} holds no device that was provisioned", file.display())));
    }
    let (mut before, many) = (usize::MAX, all.len());
    loop {
        let online = all.iter().filter(|device| device.standing() == Standing::Online).count();
        if online != before {
            output::line(&format!("{online} of {many} devices are connected to {}", like.broker));
            before = online;
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
            () = &mut stop => return Ok(Exit::Done),
        }
    }
}

/// Plugs them in a few at a time, as people would, so that they do not report in the same moment for ever.
async fn plug_in(rows: Vec<BTreeMap<String, String>>, like: device::Config) -> Vec<Mounted> {
    let (ssid, password) = like.networks.first().cloned().unwrap_or_default();
    let mut all = Vec::new();
    for row in rows {
        let field = |name: &str| row.get(name).cloned().unwrap_or_default();
        let Some(mac) = mac_that_prints(&field("device_id")).filter(|_| field("status") == "ok") else { continue };
        let memory = Memory {
            wifi_ssid: ssid.clone(),
            wifi_pass: password.clone(),
            mqtt_user: field("mqtt_user"),
            mqtt_pass: field("mqtt_password"),
            ..Memory::default()
        };
        all.push(Mounted::start(device::Config { mac, ..like.clone() }, memory));
        if all.len() % PACE == 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    all
}

/// A MAC that a device with this identifier may have: bytes below 16 are printed with one digit, so there may be several.
fn mac_that_prints(id: &str) -> Option<[u8; 6]> {
    fn rest(digits: &[u8], bytes: usize) -> Option<Vec<u8>> {
        if bytes == 0 {
            return digits.is_empty().then(Vec::new);
        }
        [2, 1].into_iter().find_map(|width| {
            let (first, more) = digits.split_at_checked(width)?;
            let byte = u8::from_str_radix(std::str::from_utf8(first).ok()?, 16).ok()?;
            // Two digits only where one would not do.
            let mut found = if width == 2 && byte < 16 { None } else { rest(more, bytes - 1) }?;
            found.insert(0, byte);
            Some(found)
        })
    }
    rest(id.as_bytes(), 6)?.try_into().ok()
}

async fn jeedom(config: jeedom::Config) -> Outcome {
    let stop = serve::told_to_stop()?;
    let (listen, apikey) = (config.listen, config.apikey.clone());
    let sim = Jeedom::start(config).await.map_err(|error| Failure::failed(format!("the simulator cannot start at {listen}: {error}")))?;
    output::line(&format!("The simulated Jeedom is at {}", sim.url()));
    output::line(&format!("  tunnel.jeedom_url     {}", sim.url()));
    output::line(&format!("  tunnel.jeedom_apikey  {apikey}"));
    output::line(&format!("  levels, faults        {}/sim/state  (PUT /sim/faults)", sim.url()));
    stop.await;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::mac_that_prints;

    #[test]
    fn a_device_of_a_list_gets_a_mac_that_prints_its_identifier() {
        for id in ["A1B2C3D4E5F6", "E86909E9AB4", "000000", "FF0FF0F", "102030405060"] {
            let mac = mac_that_prints(id).unwrap();
            assert_eq!(mac.map(|byte| format!("{byte:X}")).concat(), id);
        }
        for none in ["", "12345", "A1B2C3D4E5F60", "not hex"] {
            assert_eq!(mac_that_prints(none), None, "{none}");
        }
    }
}
