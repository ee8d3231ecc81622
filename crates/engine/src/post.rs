//! Carries actions to drivers and brings back what came of them, always.

use crate::{clock::Clock, ctx::AccountCtx, drivers::Drivers, message::Message};
use doorward_core::{
    driver::{Action, Done, Driver, Fault, Target},
    keeper::{ActId, Input},
};
use doorward_wire::account::AccountId;
use std::{sync::Arc, time::Duration};
use tokio::sync::{mpsc, watch};

/// A driver that has not come back by then is given up: what it did is unknown.
const PATIENCE: Duration = Duration::from_mins(1);

#[derive(Clone)]
pub(crate) struct Post {
    pub(crate) drivers: Arc<Drivers>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) inputs: mpsc::UnboundedSender<Message>,
    /// Driver calls that have not come back.
    pub(crate) under_way: watch::Sender<usize>,
}

impl Post {
    /// Sends an action on its way. The keeper sends one command at a time to each door.
    pub(crate) fn send(&self, act: ActId, account: AccountId, target: Target, action: Action) {
        let post = self.clone();
        tokio::spawn(async move {
            let result = post.call(&account, target, action).await;
            let _ = post.inputs.send(Message::Input(Input::Acted { act, result }));
        });
    }

    /// Does one thing and waits for it.
    pub(crate) async fn call(&self, account: &AccountId, target: Target, action: Action) -> Result<Done, Fault> {
        let Some((driver, ctx)) = self.drivers.find(account) else {
            return Err(Fault::offline("The account of this door is not running.", format!("no driver runs for account {account}")));
        };
        let at = self.clock.now().mono;
        let late = match target {
            Target::Account => "The vendor takes longer than a minute. It goes on meanwhile: look before you try again.",
            Target::Door { .. } => "The lock did not answer. Look at the door.",
        };
        // A task of its own, so that a panic in a driver is an answer and not the end of the program.
        let under_way = UnderWay::new(&self.under_way);
        let task = tokio::spawn(async move {
            let result = driver_act(driver, ctx, target, action).await;
            drop(under_way);
            result
        });
        tokio::select! {
            result = task => result.unwrap_or_else(|error| {
                tracing::error!(%account, %error, "the driver panicked");
                Err(Fault::timeout("doorward made a mistake while it talked to the lock. Look at the door.", "the driver panicked"))
            }),
            () = self.clock.sleep_until(at.plus(PATIENCE)) => {
                // It is left to its end: a renewal that is cut off after the vendor rotated its token loses the account.
                Err(Fault::timeout(late, "the driver did not come back within a minute"))
            }
        }
    }
}

/// Counts a driver call for as long as it runs, however it ends.
struct UnderWay(watch::Sender<usize>);

impl UnderWay {
    fn new(count: &watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

async fn driver_act(driver: Arc<dyn Driver>, ctx: Arc<AccountCtx>, target: Target, action: Action) -> Result<Done, Fault> {
    driver.act(ctx.as_ref(), &target, action).await
}
