//! The binary: command line, configuration, the driver table, lifecycle, doctor.

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
mod serve;

use std::process::ExitCode;

fn main() -> ExitCode {
    // Two providers come in with our dependencies: one is chosen here, before anything speaks TLS.
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        unreachable!("nothing runs before main");
    }
    let cli = cli::Cli::read();
    let json = cli.global.json;
    // A lock on a small machine has one thing to do at a time, and threads cost memory.
    let alone = matches!(cli.verb, cli::Verb::Ble(cli::Ble::Lock(_)));
    let mut builder = if alone { tokio::runtime::Builder::new_current_thread() } else { tokio::runtime::Builder::new_multi_thread() };
    let runtime = match builder.worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("doorward: the system gives no threads: {error}");
            return ExitCode::from(1);
        }
    };
    let result = runtime.block_on(commands::run(cli));
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    match result {
        Ok(exit) => exit.into(),
        Err(failure) => {
            failure.print(json);
            failure.exit.into()
        }
    }
}
