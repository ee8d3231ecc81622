//! The binaries: command line, configuration, the driver table, lifecycle, doctor.

mod beside;
mod browser;
mod certificates;
mod cli;
mod client;
mod commands;
mod config;
mod data;
mod demo;
mod drivers;
mod failure;
mod import;
mod logging;
mod output;
mod radio;
mod serve;

use clap::Parser as _;
use failure::Outcome;
use std::process::ExitCode;
use tokio::runtime::Builder;

/// `doorward`: everything.
pub fn main() -> ExitCode {
    choose_provider();
    let cli = cli::Cli::parse();
    let (json, alone) = (cli.global.json, matches!(cli.verb, cli::Verb::Ble(cli::Ble::Lock(_))));
    run(if alone { Builder::new_current_thread() } else { Builder::new_multi_thread() }, json, commands::run(cli))
}

/// `doorward-lock`: what `doorward ble lock` is, in a program that has nothing else, for machines with little memory. A program's own
/// pages count as its memory, and those of all other commands lie between the ones that a lock needs.
pub fn lock() -> ExitCode {
    choose_provider();
    let line = cli::LockLine::parse();
    let json = line.global.json;
    run(Builder::new_current_thread(), json, commands::lock(line))
}

/// Two providers come in with our dependencies: one is chosen here, before anything speaks TLS.
fn choose_provider() {
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        unreachable!("nothing runs before main");
    }
}

fn run(mut builder: Builder, json: bool, command: impl Future<Output = Outcome>) -> ExitCode {
    let runtime = match builder.worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("doorward: the system gives no threads: {error}");
            return ExitCode::from(1);
        }
    };
    let result = runtime.block_on(command);
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    match result {
        Ok(exit) => exit.into(),
        Err(failure) => {
            failure.print(json);
            failure.exit.into()
        }
    }
}
