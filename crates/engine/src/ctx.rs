//! What a driver may use of the house.

use crate::{
    clock::Clock,
    errand::{self, Chains},
    exchange::{Ear, Exchange},
    message::Message,
    presented,
};
use doorward_core::{
    Now, Secret,
    driver::{self, BoxFuture, Ctx, Fault, Heard, KeepError, Kept, Once, Presented, Report, Stopwatch},
    keeper::Input,
};
use doorward_store::Store;
use doorward_wire::{account::AccountId, door::DoorId};
use std::{sync::Arc, time::Duration};
use tokio::sync::{mpsc, oneshot};

/// The house as the driver of one account sees it.
#[derive(Clone)]
pub struct AccountCtx {
    pub(crate) account: AccountId,
    /// The kind of its driver.
    pub(crate) provider: &'static str,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) store: Store,
    pub(crate) inputs: mpsc::UnboundedSender<Message>,
    pub(crate) exchange: Arc<Exchange>,
    pub(crate) ear: Arc<Ear>,
    pub(crate) chains: Chains,
}

impl AccountCtx {
    /// For a driver that does one thing while no house runs; what it reports goes nowhere.
    pub fn alone(account: AccountId, clock: Arc<dyn Clock>, store: Store) -> Self {
        let inputs = mpsc::unbounded_channel().0;
        let exchange = Arc::new(Exchange::new(inputs.clone()));
        Self { account, provider: "none", clock, store, inputs, exchange, ear: Arc::default(), chains: Chains::default() }
    }
}

impl Ctx for AccountCtx {
    fn now(&self) -> Now {
        self.clock.now()
    }

    fn stopwatch(&self) -> Stopwatch {
        let clock = Arc::clone(&self.clock);
        Arc::new(move || clock.now().mono)
    }

    fn sleep(&self, span: Duration) -> BoxFuture<'_, ()> {
        self.clock.sleep_until(self.clock.now().mono.plus(span))
    }

    fn fill(&self, bytes: &mut [u8]) {
        self.clock.fill(bytes);
    }

    fn keep<'a>(&'a self, key: &'a str, value: Secret<Vec<u8>>) -> BoxFuture<'a, Result<(), KeepError>> {
        Box::pin(async move { self.store.keep(&self.account, key, &value).await.map_err(|error| KeepError(error.to_string())) })
    }

    fn kept<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Secret<Vec<u8>>>, KeepError>> {
        Box::pin(async move { self.store.kept(&self.account, key).await.map_err(|error| KeepError(error.to_string())) })
    }

    fn forget<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), KeepError>> {
        Box::pin(async move { self.store.forget(&self.account, key).await.map(drop).map_err(|error| KeepError(error.to_string())) })
    }

    fn kept_under<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Kept, KeepError>> {
        Box::pin(async move { self.store.kept_under(&self.account, prefix).await.map_err(|error| KeepError(error.to_string())) })
    }

    fn report(&self, report: Report) {
        if let Report::Presented(presented) = report {
            // Nobody waits for the answer; the history has it.
            return drop(self.present(presented));
        }
        if let Report::Admitted(admitted) = report {
            tokio::spawn(presented::record(self.clone(), admitted));
            return;
        }
        if let Report::Listen(filters) = report {
            return self.exchange.listen(self.account.as_str(), filters);
        }
        // Nobody reads any more when the program stops.
        let _ = self.inputs.send(Message::Input(Input::Report { account: self.account.clone(), report }));
    }

    fn present(&self, presented: Presented) -> BoxFuture<'_, Result<(), Fault>> {
        let (teller, told) = oneshot::channel();
        let house = self.clone();
        tokio::spawn(async move {
            // Whoever asked may have gone.
            let _ = teller.send(presented::submit(house, presented).await);
        });
        Box::pin(async move { told.await.unwrap_or_else(|_| Err(Fault::refused("doorward is stopping.", "the run loop is gone"))) })
    }

    fn open_for<'a>(&'a self, external: &'a str, door: &'a DoorId, once: Once) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(errand::open_for(self, external, door, once))
    }

    fn answered(&self, protocol: &'static str, status: u16) {
        let labels = [("provider", self.provider.to_owned()), ("protocol", protocol.to_owned()), ("code", status.to_string())];
        metrics::counter!("doorward_provider_requests_total", &labels).increment(1);
    }

    fn publish(&self, message: driver::Message) -> BoxFuture<'_, Result<(), Fault>> {
        Box::pin(self.exchange.publish(message))
    }

    fn hear(&self) -> BoxFuture<'_, Heard> {
        Box::pin(self.ear.hear())
    }
}
