//! One file for each group of verbs.

mod account;
mod account_set_up;
mod ask;
mod backup;
mod ble;
mod deadline;
mod device;
mod doctor;
mod door;
mod events;
mod firmware;
mod mqtt;
mod notify;
mod pass;
mod person;
mod ring;
mod sign_in;
mod simulate;
mod terms;
mod tunnel;
mod way_in;
mod webhook;

use crate::{
    cli::{Audit, Cli, Config as ConfigVerb, Global, LockLine, Verb},
    client::Client,
    config::{Config, read_all, read_config},
    drivers::TABLE,
    failure::{Exit, Outcome},
    output, serve,
};
use clap::CommandFactory;
use serde_json::Value;

pub(crate) async fn run(cli: Cli) -> Outcome {
    let Cli { global, verb } = cli;
    match verb {
        Verb::Serve { config } => serve::run(&global, config.as_deref()).await,
        Verb::Demo { seed } => crate::demo::run(&global, seed).await,
        Verb::Sim(sim) => simulate::run(&global, sim).await,
        Verb::Door(verb) => door::run(&Client::new(&global)?, global.json, verb).await,
        Verb::Ring(verb) => ring::run(&Client::new(&global)?, global.json, verb).await,
        Verb::Account(verb) => account::run(&Client::new(&global)?, global.json, verb).await,
        Verb::Person(verb) => person::run(&Client::new(&global)?, global.json, verb).await,
        Verb::Pass(verb) => pass::run(&Client::new(&global)?, global.json, verb).await,
        Verb::Mqtt(verb) => mqtt::run(&Client::new(&global)?, global.json, verb).await,
        Verb::Device(verb) => device::run(&Client::new(&global)?, global.json, verb).await,
        Verb::Firmware(verb) => firmware::run(&Client::new(&global)?, global.json, verb).await,
        Verb::Tunnel(verb) => tunnel::run(&global, verb).await,
        Verb::Ble(verb) => ble::run(&global, verb).await,
        Verb::Notify(verb) => notify::run(&Client::new(&global)?, global.json, verb).await,
        Verb::Webhook(verb) => webhook::run(&Client::new(&global)?, global.json, verb).await,
        Verb::Explain { who, door, at, action } => explain(&global, &who, &door, at.as_deref(), &action).await,
        Verb::Events { follow, door, kind, limit, csv } => {
            let wish = events::Wish { follow, door, kind, limit, csv };
            events::run(&Client::new(&global)?, global.json, &wish).await
        }
        Verb::Audit(Audit::Verify) => verify(&global).await,
        Verb::Config(verb) => show_config(&global, verb).await,
        Verb::Import { path } => crate::import::run(&global, &path).await,
        Verb::Backup { file, passphrase_file } => backup::backup(&global, &file, passphrase_file.as_deref()).await,
        Verb::Restore { file, passphrase_file } => backup::restore(&global, &file, passphrase_file.as_deref()).await,
        Verb::Doctor { live } => doctor::run(&global, live).await,
        Verb::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "doorward", &mut std::io::stdout());
            Ok(Exit::Done)
        }
        Verb::Version => {
            output::line(concat!("doorward ", env!("CARGO_PKG_VERSION")));
            Ok(Exit::Done)
        }
    }
}

/// What `doorward-lock` does.
pub(crate) async fn lock(line: LockLine) -> Outcome {
    ble::lock(&line.global, line.lock).await
}

async fn explain(global: &Global, who: &str, door: &str, at: Option<&str>, action: &str) -> Outcome {
    let client = Client::new(global)?;
    let door = door::find(&client, door).await?.id;
    let query: Vec<String> = [("who", Some(who)), ("door", Some(door.as_str())), ("at", at), ("action", Some(action))]
        .into_iter()
        .filter_map(|(key, value)| value.map(|value| format!("{key}={}", crate::client::segment(value))))
        .collect();
    let answer: Value = client.get(&format!("/explain?{}", query.join("&"))).await?;
    if global.json {
        output::json(&answer);
        return Ok(Exit::Done);
    }
    output::line(if answer["allowed"] == Value::Bool(true) { "allowed" } else { "not allowed" });
    for reason in answer["reasons"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        output::line(&format!("  {reason}"));
    }
    Ok(Exit::Done)
}

async fn verify(global: &Global) -> Outcome {
    let report: Value = Client::new(global)?.get("/audit/verify").await?;
    let ok = report["ok"] == Value::Bool(true);
    if global.json {
        output::json(&report);
    } else if ok {
        output::line(&format!("The audit is whole: {} rows checked, {} to {}.", report["checked"], report["from"], report["to"]));
    } else {
        output::line(&format!("The audit was changed: row {}: {}", report["first_bad"], report["problem"].as_str().unwrap_or("unknown")));
    }
    Ok(if ok { Exit::Done } else { Exit::Failed })
}

async fn show_config(global: &Global, verb: ConfigVerb) -> Outcome {
    match verb {
        ConfigVerb::Check { config } => {
            let read = read_config(global, config.as_deref())?;
            let [accounts, doors, sites] = [(read.accounts.len(), "account"), (read.doors.len(), "door"), (read.sites.len(), "site")]
                .map(|(count, what)| output::counted(count, what));
            output::line(&format!("The configuration is right: {accounts}, {doors}, {sites}."));
        }
        ConfigVerb::Show { config } => {
            let read = read_all(global, config.as_deref()).await?;
            if global.json {
                let all: Vec<Value> =
                    read.shown.iter().map(|(key, value, from)| serde_json::json!({ "key": key, "value": value, "from": from })).collect();
                output::json(&all);
            } else {
                let rows: Vec<Vec<String>> = read.shown.into_iter().map(|(key, value, from)| vec![key, value, from]).collect();
                output::table(&["key", "value", "from"], &rows);
            }
        }
        ConfigVerb::Schema => output::json(&Config::schema(TABLE)),
        ConfigVerb::Sample => output::line(Config::sample(TABLE).trim_end()),
        ConfigVerb::Openapi => output::line(doorward_web::api::openapi_json().trim_end()),
    }
    Ok(Exit::Done)
}
