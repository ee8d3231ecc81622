//! The simulators, asked over real sockets by a client that knows nothing of them.

mod air;
mod client;
mod control;
mod faults;
mod legrand;
mod oauth;
mod persistence;
mod push;
mod requests;
mod users;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use doorward_sim::HandClock;
use doorward_sim::utec::{self, Config, Sim};

/// The honest lock of the demo, with a door contact.
const FRONT: &str = "7C:DF:A1:68:3E:6A";
/// The liar.
const GARDEN: &str = "7C:DF:A1:68:3E:6B";
/// Jams at every fifth command.
const WORKSHOP: &str = "7C:DF:A1:68:3E:6C";

/// A simulator whose time a test moves.
async fn start(change: impl FnOnce(&mut Config)) -> (Sim, Arc<HandClock>) {
    let clock = Arc::new(HandClock::new());
    let mut config = Config { clock: Arc::<HandClock>::clone(&clock), ..Config::default() };
    change(&mut config);
    (utec::start(config).await.expect("the simulator starts"), clock)
}

/// Waits until something that is under way has happened.
async fn until(what: &str, mut happened: impl FnMut() -> bool) {
    within(what, async {
        while !happened() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

/// Gives up on something that never happens.
async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), work).await.unwrap_or_else(|_| panic!("in vain: {what}"))
}
