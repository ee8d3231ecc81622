//! `doorward ble …`: what works without a house.

mod broker;
mod guest;
mod issuer;
mod keys;
mod lock;
mod reports;
mod scan;

use crate::{
    cli::{Ble, BleLock, Global, KeysAt, RadioAt},
    config::BLE_KEYS,
    data,
    failure::{Exit, Failure, Outcome},
    radio::Clock,
};
use doorward_ble::{
    keys::{Contents, Folder, Mistakes},
    radio::{Radio, RadioError},
};
use std::path::PathBuf;

pub(crate) async fn run(global: &Global, verb: Ble) -> Outcome {
    match verb {
        Ble::Keys(verb) => keys::run(global, verb),
        Ble::Scan { radio, span } => scan::run(global, &radio, span).await,
        Ble::Guest(wish) => guest::run(global, *wish).await,
        Ble::Issuer(wish) => issuer::run(global, *wish).await,
        Ble::Lock(wish) => lock::run(global, *wish).await,
    }
}

/// A lock that stands alone, and nothing else.
pub(super) async fn lock(global: &Global, wish: BleLock) -> Outcome {
    lock::run(global, wish).await
}

/// Opens the adapter.
async fn radio(at: &RadioAt, what: &str, clock: &Clock) -> Result<Box<dyn Radio>, Failure> {
    crate::radio::open(&at.place, what, clock).await.map_err(|error| no_radio(&error))
}

/// What a person can do about an adapter.
fn no_radio(error: &RadioError) -> Failure {
    Failure::new(Exit::Unreachable, error.person()).and(error.to_string())
}

/// The folder with the keys, and where it is.
fn folder(global: &Global, at: &KeysAt) -> (Folder, PathBuf) {
    let named = at.folder.clone().filter(|path| !path.as_os_str().is_empty());
    let path = named.unwrap_or_else(|| data::folder(global.data.as_deref()).join(BLE_KEYS));
    (Folder::new(&path), path)
}

/// All that is in the folder.
fn contents(global: &Global, at: &KeysAt) -> Result<Contents, Failure> {
    let (folder, path) = folder(global, at);
    if !path.is_dir() {
        let failure = Failure::usage(format!("there are no keys: {} is not there", path.display()));
        return Err(failure.and("make some with “doorward ble keys create”, or name their folder with --keys or KEYS_DIR"));
    }
    let contents = folder.read().map_err(|wrong| mistakes(&wrong, Exit::Usage))?;
    for warning in &contents.warnings {
        crate::output::warn(&warning.to_string());
    }
    Ok(contents)
}

/// Everything that is wrong with a folder.
fn mistakes(wrong: &Mistakes, exit: Exit) -> Failure {
    wrong.0.iter().fold(Failure::new(exit, "the folder of the keys is not in order:"), |failure, mistake| failure.and(mistake.to_string()))
}
