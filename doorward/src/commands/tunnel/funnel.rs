//! `doorward tunnel funnel`: the tunnel on the internet by Tailscale Funnel.
//!
//! TLS ends on this machine there, so nobody in between could serve another page. Facts about the command are those of
//! Tailscale 1.52 and later (tailscale.com/kb/1311).

use crate::{
    client::Client,
    failure::{Exit, Failure, Outcome},
    output,
};
use doorward_engine::SystemClock;
use doorward_store::TunnelSecret;
use doorward_tunnel::client::Client as Probe;
use serde_json::Value;
use std::{net::SocketAddr, process::Stdio, sync::Arc, time::Duration};
use tokio::process::Command;

/// How long a command of Tailscale's may take.
const PATIENCE: Duration = Duration::from_mins(1);
/// How often the public address is tried: its name may be new.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_secs(3);
/// Since then the command is as it is used here.
const OLDEST: (u32, u32) = (1, 52);

/// What is asked for.
pub(crate) struct Wish {
    pub(crate) apply: bool,
    pub(crate) port: u16,
    pub(crate) public_url: Option<String>,
}

/// What Tailscale says about this machine.
struct Machine {
    /// Its public name.
    name: String,
    /// What keeps it from being on the internet.
    missing: Vec<&'static str>,
}

pub(crate) async fn run(client: &Client, wish: &Wish) -> Outcome {
    let target = target(client).await?;
    version().await?;
    let machine = machine().await?;
    let public = wish.public_url.clone().unwrap_or_else(|| address(&machine.name, wish.port));
    let there = served(&machine.name, wish.port).await?;
    output::line(&format!("ok    tunnel     listens at {target}"));
    output::line(&format!("ok    tailscale  this machine is {}", machine.name));
    for missing in &machine.missing {
        output::line(&format!("FAIL  tailscale  {missing}"));
    }
    match &there {
        Some(other) if *other != target => {
            let failure = Failure::failed(format!("port {} of Tailscale Funnel leads to {other} already", wish.port));
            return Err(failure.and("choose another one with --port (443, 8443 or 10000), or end that one first"));
        }
        Some(_) => output::line(&format!("ok    funnel     {public} leads there")),
        None => output::line(&format!("      funnel     port {} is free", wish.port)),
    }
    if there.is_none() {
        let arguments = ["funnel".into(), "--bg".into(), "--yes".into(), format!("--https={}", wish.port), target];
        if !wish.apply {
            show(&arguments, &public);
            return Ok(Exit::Done);
        }
        if !machine.missing.is_empty() {
            return Err(Failure::failed("Tailscale does not let this machine use Funnel yet; mend the lines above first"));
        }
        tailscale(&arguments).await?;
        output::line(&format!("ok    funnel     {public} leads there now"));
    }
    probe(&public).await?;
    output::line(&format!("\nTell phones about it: set tunnel.public_url to {public} and restart."));
    Ok(Exit::Done)
}

fn show(arguments: &[String], public: &str) {
    output::line("\nThis puts it on the internet (or run this command again with --apply):\n");
    output::line(&format!("  tailscale {}", arguments.join(" ")));
    output::line(&format!("\nThen set tunnel.public_url to {public} and restart."));
}

/// Where Funnel is to lead: the tunnel on this machine.
async fn target(client: &Client) -> Result<String, Failure> {
    let tunnel: Value = client.get("/tunnel").await?;
    let listen = tunnel["listen"].as_str().and_then(|listen| listen.parse::<SocketAddr>().ok());
    let off = || Failure::failed("the tunnel does not listen").and("set tunnel.listen, such as 127.0.0.1:10000, and restart");
    let listen = listen.ok_or_else(off)?;
    if tunnel["tls"] == true {
        return Err(Failure::failed("the tunnel has TLS of its own; Funnel brings it").and("set tunnel.tls to false, and restart"));
    }
    let host = if listen.ip().is_unspecified() { "127.0.0.1".into() } else { listen.ip().to_string() };
    Ok(format!("http://{host}:{}", listen.port()))
}

async fn version() -> Result<(), Failure> {
    let text = tailscale(&["version".into()]).await?;
    let mut numbers = text.lines().next().unwrap_or_default().split('.').map(|part| part.parse::<u32>().unwrap_or_default());
    let found = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    if found < OLDEST {
        return Err(Failure::failed(format!("this Tailscale is too old ({}.{})", found.0, found.1)).and("update it to 1.52 or later"));
    }
    Ok(())
}

async fn machine() -> Result<Machine, Failure> {
    let status = json(&["status".into(), "--json".into()]).await?;
    let state = status["BackendState"].as_str().unwrap_or("unknown");
    if state != "Running" {
        return Err(Failure::failed(format!("Tailscale is not connected ({state})")).and("run `tailscale up`, and try again"));
    }
    let own = &status["Self"];
    let name = own["DNSName"].as_str().unwrap_or_default().trim_end_matches('.').to_owned();
    if name.is_empty() {
        return Err(Failure::failed("this machine has no name in its tailnet").and("switch MagicDNS on in Tailscale's admin console"));
    }
    // Older clients name capabilities by their address.
    let has = |word: &str| {
        let long = format!("https://tailscale.com/cap/{word}");
        let listed = own["Capabilities"].as_array().into_iter().flatten().any(|known| *known == *word || *known == *long.as_str());
        listed || own["CapMap"].get(word).is_some() || own["CapMap"].get(&long).is_some()
    };
    let mut missing = Vec::new();
    if !has("https") {
        missing.push("HTTPS certificates are off in the tailnet: switch them on in Tailscale's admin console, under DNS");
    }
    if !has("funnel") {
        missing.push("the tailnet's policy does not give this machine the attribute “funnel”");
    }
    Ok(Machine { name, missing })
}

/// Where a port of Funnel leads now.
async fn served(name: &str, port: u16) -> Result<Option<String>, Failure> {
    let status = json(&["funnel".into(), "status".into(), "--json".into()]).await?;
    let proxy = &status["Web"][format!("{name}:{port}")]["Handlers"]["/"]["Proxy"];
    Ok(proxy.as_str().map(|proxy| proxy.trim_end_matches('/').to_owned()))
}

fn address(name: &str, port: u16) -> String {
    if port == 443 { format!("https://{name}") } else { format!("https://{name}:{port}") }
}

/// Asks the public address for its health, as anybody could.
async fn probe(public: &str) -> Result<(), Failure> {
    let base = public.parse().map_err(|_| Failure::usage(format!("“{public}” is no address")))?;
    // Health needs no key.
    let client = Probe::new(base, &TunnelSecret::new([0; 32]), &[], Arc::new(SystemClock::new()));
    let client = client.map_err(|error| Failure::failed(error.to_string()))?;
    let mut last = String::new();
    for attempt in 0..TRIES {
        match client.health().await {
            Ok(version) => {
                output::line(&format!("ok    internet   {public} answers: doorward {version}"));
                return Ok(());
            }
            Err(error) => last = error.to_string(),
        }
        if attempt == 0 {
            output::note("It does not answer yet; a new name can take a minute.");
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(Failure::new(Exit::Unreachable, last).and("look at `tailscale funnel status`, and try again in a few minutes"))
}

async fn json(arguments: &[String]) -> Result<Value, Failure> {
    let text = tailscale(arguments).await?;
    let wrong = || Failure::failed(format!("`tailscale {}` answered something else than JSON", arguments.join(" ")));
    if text.trim().is_empty() { Ok(Value::Null) } else { serde_json::from_str(&text).map_err(|_| wrong()) }
}

/// Runs Tailscale's command and gives what it printed.
async fn tailscale(arguments: &[String]) -> Result<String, Failure> {
    let mut command = Command::new("tailscale");
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let shown = format!("tailscale {}", arguments.join(" "));
    let output = match tokio::time::timeout(PATIENCE, command.output()).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(Failure::failed("there is no command `tailscale`").and("install Tailscale: https://tailscale.com/download"));
        }
        Ok(Err(error)) => return Err(Failure::failed(format!("`{shown}` cannot be run: {error}"))),
        Err(_) => return Err(Failure::failed(format!("`{shown}` did not end within a minute"))),
    };
    if !output.status.success() {
        let told = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(Failure::failed(format!("`{shown}` failed: {told}")));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
