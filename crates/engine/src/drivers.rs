//! The drivers that run: one for each account, with its watch.

use crate::{clock::Clock, ctx::AccountCtx, errand::Chains, exchange::Exchange, message::Message};
use doorward_core::{
    driver::{About, Driver, Entry, Mistake, Settings},
    setup::AccountSetup,
};
use doorward_store::{Store, StoreError};
use doorward_wire::account::AccountId;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};

/// Why an account cannot be set up so.
#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    /// No driver has this name.
    #[error("there is no driver “{0}”")]
    UnknownKind(String),
    /// Accounts of this kind are made in the configuration file alone.
    #[error("an account of kind {0} is made in the configuration file, by its [[doors]]")]
    OnlyInFile(String),
    /// There is no such account.
    #[error("there is no account with this id")]
    UnknownAccount,
    /// There is no such door.
    #[error("there is no door with this id")]
    UnknownDoor,
    /// There is no such site.
    #[error("there is no site with this id")]
    UnknownSite,
    /// Doors are at the site.
    #[error("{0} of its doors are still there: move them to another site first")]
    SiteInUse(usize),
    /// Something is wrong with the settings.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Mistakes(Vec<Mistake>),
    /// The configuration file says so, and only it can say otherwise.
    #[error("{0} is set in the configuration file and can only be changed there")]
    Managed(String),
    /// The store could not write.
    #[error(transparent)]
    Store(#[from] StoreError),
}

pub(crate) struct Drivers {
    entries: &'static [Entry],
    store: Store,
    clock: Arc<dyn Clock>,
    inputs: mpsc::UnboundedSender<Message>,
    exchange: Arc<Exchange>,
    chains: Chains,
    running: Mutex<BTreeMap<AccountId, Running>>,
}

struct Running {
    driver: Arc<dyn Driver>,
    ctx: Arc<AccountCtx>,
    stop: watch::Sender<bool>,
    watching: JoinHandle<()>,
}

impl Drivers {
    pub(crate) fn new(entries: &'static [Entry], store: Store, clock: Arc<dyn Clock>, inputs: mpsc::UnboundedSender<Message>) -> Self {
        let exchange = Arc::new(Exchange::new(inputs.clone()));
        Self { entries, store, clock, inputs, exchange, chains: Chains::default(), running: Mutex::default() }
    }

    pub(crate) const fn exchange(&self) -> &Arc<Exchange> {
        &self.exchange
    }

    pub(crate) const fn entries(&self) -> &'static [Entry] {
        self.entries
    }

    pub(crate) fn about(&self, kind: &str) -> Option<About> {
        self.entries.iter().find(|entry| entry.kind == kind).map(|entry| (entry.about)())
    }

    /// Makes a driver, or says everything that is wrong with its settings.
    pub(crate) fn build(&self, kind: &str, settings: &Settings) -> Result<Arc<dyn Driver>, SetUpError> {
        let entry = self.entries.iter().find(|entry| entry.kind == kind).ok_or_else(|| SetUpError::UnknownKind(kind.into()))?;
        (entry.build)(settings).map_err(SetUpError::Mistakes)
    }

    /// Starts watching an account, in the place of a driver that watched it before.
    pub(crate) fn start(&self, account: &AccountId, driver: Arc<dyn Driver>) -> AccountSetup {
        let setup = AccountSetup::new(account.clone(), driver.about());
        let ctx = Arc::new(AccountCtx {
            account: account.clone(),
            provider: driver.about().kind,
            clock: Arc::clone(&self.clock),
            store: self.store.clone(),
            inputs: self.inputs.clone(),
            exchange: Arc::clone(&self.exchange),
            ear: self.exchange.open(account.as_str()),
            chains: self.chains.clone(),
        });
        let (stop, mut stopped) = watch::channel(false);
        let before = self.lock().remove(account);
        let watching = tokio::spawn({
            let (driver, ctx) = (Arc::clone(&driver), Arc::clone(&ctx));
            async move {
                // Two watches of one account would refresh one token twice.
                if let Some(before) = before {
                    before.end().await;
                }
                let stop = Box::pin(async move {
                    let _ = stopped.wait_for(|stop| *stop).await;
                });
                driver.watch(ctx.as_ref(), stop).await;
            }
        });
        self.lock().insert(account.clone(), Running { driver, ctx, stop, watching });
        setup
    }

    pub(crate) fn find(&self, account: &AccountId) -> Option<(Arc<dyn Driver>, Arc<AccountCtx>)> {
        self.lock().get(account).map(|running| (Arc::clone(&running.driver), Arc::clone(&running.ctx)))
    }

    pub(crate) async fn stop(&self, account: &AccountId) {
        let running = self.lock().remove(account);
        if let Some(running) = running {
            running.end().await;
            self.exchange.close(account.as_str());
        }
    }

    pub(crate) async fn stop_all(&self) {
        let all = std::mem::take(&mut *self.lock());
        for running in all.values() {
            let _ = running.stop.send(true);
        }
        for (_, running) in all {
            running.end().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<AccountId, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    async fn end(self) {
        let _ = self.stop.send(true);
        if let Err(error) = self.watching.await
            && error.is_panic()
        {
            tracing::error!(account = %self.ctx.account, "the driver's watch panicked");
        }
    }
}
