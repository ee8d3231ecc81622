//! Phones and locks over Bluetooth: who gets a session, how locks hear of it, and how it is taken back.
//!
//! Rights are asked for three times: when a session is given, while it lives (a right that ended takes it back), and by the lock
//! itself when somebody opens. `desk` keeps sessions and brings them to the locks, `registry` decides who gets one.

mod desk;
mod offline;
mod registry;

use crate::{config::Config, radio};
use desk::Desk;
use doorward_ble::{
    clock::Clock as _,
    issuer::Keys,
    keys::{Contents, Folder, PublicV2, Role, SecretV2},
    radio::{Place, RadioError},
};
use doorward_engine::Handle;
use doorward_web::bluetooth::Bluetooth;
use std::{future::pending, sync::Arc, time::Duration};
use tokio::task::JoinSet;

/// Before a radio that is not there is looked for again.
const AGAIN: Duration = Duration::from_secs(10);

/// What runs for locks over Bluetooth. It ends when this goes.
pub(crate) struct Ble {
    desk: Arc<Desk>,
    _work: JoinSet<()>,
}

impl Ble {
    /// For the pages.
    pub(crate) fn desk(&self) -> Arc<dyn Bluetooth> {
        Arc::clone(&self.desk) as Arc<dyn Bluetooth>
    }
}

/// Starts it, if there is anything to do. A house whose issuer cannot start still opens its doors.
pub(super) async fn start(config: &Config, handle: &Handle, problems: &mut Vec<String>) -> Option<Ble> {
    let locks = crate::config::radio_locks(&config.doors);
    let wanted = config.ble.issuer.is_some() || locks.iter().any(|lock| !lock.other_issuer);
    if !wanted {
        return None;
    }
    match Desk::open(config, &locks, handle).await {
        Ok(desk) => {
            let desk = Arc::new(desk);
            let mut work = JoinSet::new();
            work.spawn(Arc::clone(&desk).run());
            if let Some(place) = config.ble.issuer.clone() {
                work.spawn(advertise(place, Arc::clone(&desk)));
            }
            Some(Ble { desk, _work: work })
        }
        Err(why) => {
            tracing::error!("ble.keys: {why}");
            problems.push(format!("ble.keys: {why}"));
            None
        }
    }
}

/// Hands out sessions over the air for as long as the program runs.
async fn advertise(place: Place, desk: Arc<Desk>) {
    let clock = desk.clock();
    loop {
        match hand_out(&place, &desk).await {
            // The beacon fits, or the configuration would have been refused.
            Ok(()) => return,
            Err(error) => tracing::warn!("phones cannot ask for sessions: {error}"),
        }
        clock.sleep(AGAIN).await;
    }
}

async fn hand_out(place: &Place, desk: &Desk) -> Result<(), RadioError> {
    let clock = desk.clock();
    let radio = radio::open(place, "issuer", &clock).await?;
    desk.issuer().run(&*radio, desk, &clock, Box::pin(pending())).await
}

/// The issuer's private keys, and everybody's public ones.
fn read_keys(folder: &Folder) -> Result<(Keys, Contents), String> {
    let mut contents = folder.read().map_err(|mistakes| mistakes.to_string())?;
    for warning in &contents.warnings {
        tracing::warn!("ble.keys: {warning}");
    }
    let v1 = contents.v1.remove(&Role::Issuer).and_then(|key| key.secret);
    let v2 = match contents.v2.remove(&Role::Issuer).and_then(|key| key.secret) {
        Some(SecretV2::Issuer(issuer)) => Some(issuer),
        Some(SecretV2::Lock(_) | SecretV2::Guest(_)) | None => None,
    };
    if v1.is_none() && v2.is_none() {
        return Err("there is no private key of the issuer, so phones get no sessions: doorward ble keys create issuer".into());
    }
    Ok((Keys { v1, v2 }, contents))
}

/// The lock's public key of version 2.
fn key_v2(contents: &Contents, role: &Role) -> Option<doorward_wire::ble::v2::LockKey> {
    match contents.v2.get(role).map(|key| &key.public) {
        Some(PublicV2::Lock(key)) => Some(*key),
        Some(PublicV2::Issuer(_) | PublicV2::Guest(_)) | None => None,
    }
}
