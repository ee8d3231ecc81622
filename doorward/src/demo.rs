//! `doorward demo`: simulators, a house, two linked accounts with locks and gates; nothing to ask, nothing to install.

mod devices;
mod file;
mod studio;

use crate::{
    cli::Global,
    config::{self, Config, Sources},
    data,
    drivers::TABLE,
    failure::{Exit, Failure, Outcome},
    output, serve,
};
use doorward_core::{
    Secret,
    driver::{Action, Settings},
};
use doorward_sim::{
    jeedom::{self, Jeedom},
    legrand, utec,
};
use doorward_store::StoredAccount;
use doorward_wire::{
    account::AccountId,
    attempt::{Actor, ActorKind},
};
use serde_json::json;
use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};
use tokio::sync::watch;

/// The demo's page, unless it is set otherwise.
const LISTEN: &str = "127.0.0.1:8000";
/// Its tunnel.
const TUNNEL: &str = "127.0.0.1:10000";

pub(crate) async fn run(global: &Global, seed: u64) -> Outcome {
    let folder = match &global.data {
        Some(folder) => folder.clone(),
        None => default_folder(),
    };
    std::fs::create_dir_all(&folder)?;
    let stop = serve::told_to_stop()?;
    let sim = utec::Config { dir: Some(folder.join("sim")), seed, ..utec::Config::default() };
    let (access_key, secret_key) = (sim.client_id.clone(), sim.client_secret.clone());
    let sim = utec::start(sim).await.map_err(|error| Failure::failed(format!("the simulated U-tec cloud cannot start: {error}")))?;

    let gates = legrand::Config { dir: Some(folder.join("sim")), seed, ..legrand::Config::default() };
    let subscription_key = gates.subscription_key.clone();
    let gates =
        legrand::start(gates).await.map_err(|error| Failure::failed(format!("the simulated Legrand cloud cannot start: {error}")))?;
    file::configure(&folder, &gates, &subscription_key)?;
    let studio = studio::Studio::build(&folder).await?;

    let mut sources = config::sources(None, &folder).map_err(|error| Failure::usage(format!("{error:#}")))?;
    let jeedom = Jeedom::start(jeedom::Config::default()).await;
    let jeedom = jeedom.map_err(|error| Failure::failed(format!("the simulated Jeedom cannot start: {error}")))?;
    studio.furnish(&mut sources);
    furnish(&mut sources, jeedom.url());
    let house = serve::start(folder.clone(), sources, global.debug).await?;
    let accounts = house.handle.store().accounts().await.map_err(|error| Failure::failed(error.to_string()))?;
    let locks: Vec<_> = accounts.iter().filter(|account| account.kind == "utec").collect();
    if locks.is_empty() {
        link(&house.handle, &sim, access_key, secret_key).await?;
    }
    for account in locks {
        follow(&house.handle, account, &sim).await?;
    }
    if let Err(failure) = enrol(&house.handle, &gates).await {
        output::warn(&format!("The simulated gates are not set up: {}", failure.lines.join(" ")));
    }
    // Whoever looks at the demo is there before its guest is.
    let sign_in = house.sign_in_link().await?;
    let wire = tokio::spawn(wire(house.handle.clone(), gates.contacts()));
    let studio = tokio::spawn(studio.live(house.handle.clone()));
    let devices = devices::plug_in(&house).await.unwrap_or_else(|failure| {
        output::warn(&format!("The simulated devices are not there: {}", failure.lines.join(" ")));
        Vec::new()
    });
    greet(&house, &sign_in, (&sim, &gates, devices.len()), &folder);
    stop.await;
    output::line("\nStopping. A second start keeps its data.");
    wire.abort();
    studio.abort();
    drop(devices);
    house.stop().await;
    sim.stop().await;
    gates.stop().await;
    Ok(Exit::Done)
}

/// Sets what nobody has set: neither the environment, nor the file, nor somebody on the settings page.
fn furnish(sources: &mut Sources, jeedom: String) {
    for (path, value) in [
        ("http.listen", LISTEN.into()),
        ("http.trusted", "127.0.0.0/8,::1".into()),
        ("log.level", "warn".into()),
        ("tunnel.listen", TUNNEL.into()),
        ("tunnel.jeedom_url", jeedom),
        ("tunnel.jeedom_apikey", jeedom::APIKEY.into()),
        ("tunnel.remote", "true".into()),
        ("fleet.listen", "127.0.0.1:0".into()),
        ("fleet.company", "Demo".into()),
    ] {
        sources.defaults.insert(path.into(), value);
    }
    // Pairing codes lead to this machine. Mistakes are told when it starts.
    let tunnel = Config::read(sources, TABLE).ok().and_then(|config| config.tunnel.listen);
    if let Some(tunnel) = tunnel.filter(|tunnel| tunnel.port() != 0) {
        sources.defaults.insert("tunnel.public_url".into(), format!("http://{tunnel}"));
    }
}

/// The account of the gates.
const GATES: &str = "bticino_simulated";
/// The gateway of the gate that has a contact, and that gate behind it.
const WIRED: (&str, &str) = ("gw-1234", "20#2");
/// Where its contact tells what it sees, as a sensor would over MQTT.
const CONTACT: &str = "demo/driveway_gate";

/// Signs the second account in and registers it, once.
async fn enrol(house: &doorward_engine::Handle, gates: &legrand::Sim) -> Result<(), Failure> {
    let account: AccountId = GATES.parse().map_err(|_| Failure::failed("the demo's own account has no good name"))?;
    // Who changed the configuration file may have removed it, or signed it in before.
    let Ok(status) = house.call(&account, Action::Call("status".into())).await else { return Ok(()) };
    let waits = |stage: &serde_json::Value| stage["name"] == "registration" && stage["state"] == "todo";
    if !status.output.as_array().is_some_and(|stages| stages.iter().any(waits)) {
        return Ok(());
    }
    let started = step(house, &account, "start", json!({})).await?;
    let url = started["authorize_url"].as_str().unwrap_or_default();
    let redirected = gates.allow(url).map_err(|error| Failure::failed(format!("the simulated cloud refused the sign-in: {error}")))?;
    step(house, &account, "exchange", json!({ "callback_url": redirected })).await?;
    step(house, &account, "register", json!({})).await.map(drop)
}

/// Carries what the gate's contact sees to the house, as a broker would.
async fn wire(house: doorward_engine::Handle, mut contacts: watch::Receiver<BTreeMap<String, bool>>) {
    loop {
        let open = contacts.borrow_and_update().get(WIRED.1).copied();
        if let Some(open) = open {
            house.exchange().arrived(CONTACT, open.to_string().as_bytes(), false);
        }
        if contacts.changed().await.is_err() {
            return;
        }
    }
}

/// Adds the simulated account and signs it in as a person would, without the browser.
async fn link(house: &doorward_engine::Handle, sim: &utec::Sim, access_key: String, secret_key: String) -> Result<(), Failure> {
    let mut settings = Settings::default();
    for (key, value) in [("base_url", sim.base_url()), ("oauth_base_url", sim.base_url()), ("access_key", access_key)] {
        settings.values.insert(key.into(), json!(value));
    }
    // Nobody listens there: the browser shows an error, and its address is what is pasted, as with the real cloud.
    settings.values.insert("redirect_url".into(), json!("http://127.0.0.1:8899/callback"));
    settings.values.insert("status_poll_seconds".into(), json!(5));
    settings.secrets.insert("secret_key".into(), Secret::new(secret_key));
    let account =
        house.add_account("utec", "U-tec (simulated)", settings, &actor()).await.map_err(|error| Failure::failed(error.to_string()))?;
    let started = step(house, &account, "start", json!({})).await?;
    let url = started["authorize_url"].as_str().unwrap_or_default();
    let redirected = sim.allow(url).map_err(|error| Failure::failed(format!("the simulated cloud refused the sign-in: {error}")))?;
    step(house, &account, "exchange", json!({ "callback_url": redirected })).await?;
    Ok(())
}

/// Leads an account of the simulated locks to where they are now: another program may have their port.
async fn follow(house: &doorward_engine::Handle, account: &StoredAccount, sim: &utec::Sim) -> Result<(), Failure> {
    let mut settings = Settings::default();
    for key in ["base_url", "oauth_base_url"] {
        let before = account.settings.values.get(key).and_then(serde_json::Value::as_str).unwrap_or_default();
        if is_simulated(before) && before != sim.base_url() {
            settings.values.insert(key.into(), json!(sim.base_url()));
        }
    }
    if settings.values.is_empty() || account.managed {
        return Ok(());
    }
    house.update_account(&account.id, None, settings, &actor()).await.map_err(|error| Failure::failed(error.to_string()))
}

/// Whether an address is one that the demo gave to a simulator, and not another that somebody set.
fn is_simulated(address: &str) -> bool {
    let address = address.strip_prefix("http://").unwrap_or(address).parse::<SocketAddr>();
    address.is_ok_and(|address| address.ip() == Ipv4Addr::LOCALHOST)
}

fn actor() -> Actor {
    Actor { kind: ActorKind::System, id: "demo".into(), name: None }
}

async fn step(
    house: &doorward_engine::Handle,
    account: &AccountId,
    step: &str,
    input: serde_json::Value,
) -> Result<serde_json::Value, Failure> {
    let action = Action::Setup { step: step.into(), input: Secret::new(input.to_string()) };
    house.call(account, action).await.map(|done| done.output).map_err(|fault| Failure::failed(fault.person))
}

fn greet(house: &serve::Running, sign_in: &str, (sim, gates, devices): (&utec::Sim, &legrand::Sim, usize), folder: &std::path::Path) {
    let page = house.http.map_or_else(|| "off".into(), |address| format!("http://{address}/"));
    output::line("doorward demo: simulated U-tec locks and BTicino gates. Nothing here is real.");
    output::line(&format!("\n  Page       {page}"));
    output::line(&format!("  Sign in    {sign_in}"));
    output::line("             (works once, for 15 minutes; another one: doorward person link)");
    output::line(&format!("  Data       {}", folder.display()));
    output::line(&format!("  Locks      {}/   turn them by hand, switch faults on", sim.base_url()));
    output::line(&format!("  Gates      {}/   ring the bell, move gates by hand, switch faults on", gates.base_url()));
    if let Some(fleet) = house.fleet.address().filter(|_| devices > 0) {
        output::line(&format!("  Fleet      {devices} gateways, provisioned at http://{fleet}/   {page}fleet"));
    }
    if let Some(tunnel) = house.tunnel.address() {
        let key = house.first_key.as_ref().map_or_else(|| "made before".to_owned(), |key| key.reveal().clone());
        output::line(&format!("  Tunnel     http://{tunnel}/   with a simulated Jeedom behind it"));
        output::line(&format!("  Its key    {key}"));
        if house.first_key.is_some() {
            output::line(&format!("  Phone      http://{tunnel}/remote#k={key}&n=first"));
        }
    }
    output::line("\n  Front door       does what it is told");
    output::line("  Garden gate lock says yes and does not move");
    output::line("  Workshop         jams at every fifth command");
    output::line("  Driveway gate    has a contact: what it did is confirmed");
    output::line("  Garden door      has none: nobody knows, and doorward says so");
    output::line("  Studio door      opens over Bluetooth as Mia comes near; who plays her tokens again is refused");
    output::line(&format!("\n  Try        doorward --data {} door unlock front_door", folder.display()));
    output::line("  Stop       Ctrl-C");
}

fn default_folder() -> PathBuf {
    data::folder(None).with_file_name("doorward-demo")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_set_counts_more_than_what_the_demo_sets() {
        let mut sources = Sources {
            file: "[http]\nlisten = '127.0.0.1:9000'\n[tunnel]\nlisten = '127.0.0.1:9001'".parse().unwrap(),
            ..Sources::default()
        };
        sources.environment.insert("DOORWARD_TUNNEL__REMOTE".into(), "false".into());
        furnish(&mut sources, "http://127.0.0.1:9002".into());
        sources.database.insert("log.level".into(), "debug".into());
        let config = Config::read(&sources, TABLE).unwrap();
        assert_eq!(config.http.listen, Some(([127, 0, 0, 1], 9000).into()));
        assert_eq!(config.log.level, "debug");
        assert_eq!(config.tunnel.public_url.as_deref(), Some("http://127.0.0.1:9001"), "pairing codes lead where it listens");
        assert_eq!(config.http.trusted.len(), 2, "nobody has set that");
        let shown = |path: &str| config.shown.iter().find(|(key, ..)| key == path).map(|(_, value, from)| (value.as_str(), from.as_str()));
        assert_eq!(shown("tunnel.remote"), Some(("false", "environment")));
        assert_eq!(shown("tunnel.jeedom_url"), Some(("http://127.0.0.1:9002", "default")));
    }
}
