//! `doorward demo`: simulators, a house, one linked account with three locks; nothing to ask, nothing to install.

use crate::{
    cli::Global,
    config, data,
    failure::{Exit, Failure, Outcome},
    output, serve,
};
use doorward_core::{
    Secret,
    driver::{Action, Settings},
};
use doorward_sim::{
    jeedom::{self, Jeedom},
    utec,
};
use doorward_wire::{
    account::AccountId,
    attempt::{Actor, ActorKind},
};
use serde_json::json;
use std::{net::SocketAddr, path::PathBuf};

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

    let mut sources = config::sources(None, &folder.join("doorward.toml")).map_err(|error| Failure::usage(format!("{error:#}")))?;
    let jeedom = Jeedom::start(jeedom::Config::default()).await;
    let jeedom = jeedom.map_err(|error| Failure::failed(format!("the simulated Jeedom cannot start: {error}")))?;
    for (key, value) in [
        ("DOORWARD_HTTP__LISTEN", LISTEN),
        ("DOORWARD_HTTP__TRUSTED", "127.0.0.0/8,::1"),
        ("DOORWARD_LOG__LEVEL", "warn"),
        ("DOORWARD_TUNNEL__LISTEN", TUNNEL),
        ("DOORWARD_TUNNEL__JEEDOM_URL", &jeedom.url()),
        ("DOORWARD_TUNNEL__JEEDOM_APIKEY", jeedom::APIKEY),
        ("DOORWARD_TUNNEL__REMOTE", "true"),
    ] {
        sources.environment.entry(key.into()).or_insert_with(|| value.into());
    }
    // Pairing codes lead to this machine.
    let tunnel = sources.environment.get("DOORWARD_TUNNEL__LISTEN").and_then(|listen| listen.parse::<SocketAddr>().ok());
    if let Some(tunnel) = tunnel.filter(|tunnel| tunnel.port() != 0) {
        sources.environment.entry("DOORWARD_TUNNEL__PUBLIC_URL".into()).or_insert_with(|| format!("http://{tunnel}"));
    }
    let house = serve::start(folder.clone(), sources, global.debug).await?;
    if house.handle.store().accounts().await.map_err(|error| Failure::failed(error.to_string()))?.is_empty() {
        link(&house.handle, &sim, access_key, secret_key).await?;
    }
    greet(&house, &sim, &folder).await?;
    stop.await;
    output::line("\nStopping. A second start keeps its data.");
    house.stop().await;
    sim.stop().await;
    Ok(Exit::Done)
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
    let actor = Actor { kind: ActorKind::System, id: "demo".into(), name: None };
    let account =
        house.add_account("utec", "U-tec (simulated)", settings, &actor).await.map_err(|error| Failure::failed(error.to_string()))?;
    let started = step(house, &account, "start", json!({})).await?;
    let url = started["authorize_url"].as_str().unwrap_or_default();
    let redirected = sim.allow(url).map_err(|error| Failure::failed(format!("the simulated cloud refused the sign-in: {error}")))?;
    step(house, &account, "exchange", json!({ "callback_url": redirected })).await?;
    Ok(())
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

async fn greet(house: &serve::Running, sim: &utec::Sim, folder: &std::path::Path) -> Result<(), Failure> {
    let page = house.http.map_or_else(|| "off".into(), |address| format!("http://{address}/"));
    output::line("doorward demo: three simulated U-tec locks. Nothing here is real.");
    output::line(&format!("\n  Page       {page}"));
    output::line(&format!("  Sign in    {}", house.sign_in_link().await?));
    output::line("             (works once, for 15 minutes; another one: doorward person link)");
    output::line(&format!("  Data       {}", folder.display()));
    output::line(&format!("  Cloud      {}/   turn locks by hand, switch faults on", sim.base_url()));
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
    output::line(&format!("\n  Try        doorward --data {} door unlock front_door", folder.display()));
    output::line("  Stop       Ctrl-C");
    Ok(())
}

fn default_folder() -> PathBuf {
    data::folder(None).with_file_name("doorward-demo")
}
