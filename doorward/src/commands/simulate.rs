//! `doorward sim …`

use crate::{
    cli::{Board, Global, Rotation, Sim},
    config::LogFormat,
    data,
    failure::{Exit, Failure, Outcome},
    logging, output, serve,
};
use doorward_sim::{
    device::{self, Device, Firmware},
    jeedom::{self, Jeedom},
    legrand, utec,
};

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
        Sim::Device { count, firmware, broker, wifi } => devices(count, firmware, broker, &wifi).await,
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

async fn devices(count: u16, board: Board, broker: std::net::SocketAddr, wifi: &str) -> Outcome {
    let stop = serve::told_to_stop()?;
    let (ssid, password) =
        wifi.split_once(':').ok_or_else(|| Failure::usage("--wifi is a name and a password, such as Home:wifi-password"))?;
    let firmware = match board {
        Board::A => Firmware::A,
        Board::B => Firmware::B,
        Board::C => Firmware::C,
    };
    let mut all = Vec::new();
    let mut rows = Vec::new();
    for number in 0..count {
        let [high, low] = number.to_be_bytes();
        let networks = vec![(ssid.to_owned(), password.to_owned())];
        let config = device::Config { firmware, mac: [0xD0, 0x0D, 0x1A, 0x2B, high, low], broker, networks, ..device::Config::default() };
        let one = Device::start(config, device::Memory::default())
            .await
            .map_err(|error| Failure::failed(format!("no device can be simulated: {error}")))?;
        rows.push(vec![one.id(), one.console().display().to_string(), one.portal()]);
        all.push(one);
    }
    output::table(&["device", "serial line", "portal"], &rows);
    output::note(&format!("\nThe Wi-Fi that they can join is {ssid}, its password {password}. Provision one:"));
    output::note(
        "  doorward device serial --port <serial line>    or    doorward device portal <device> --address <portal> --wifi-ssid <Wi-Fi>",
    );
    stop.await;
    Ok(Exit::Done)
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
