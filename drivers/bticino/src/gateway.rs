//! One gateway: its connection is made, kept, made again, and handed over when the certificate is renewed.

mod keep;
mod lost;

use crate::sip::{
    Patience,
    commands::Commands,
    line::{self, Order, Orders, Server},
    session::{End, Happening, Identity},
    tls::Tls,
};
use doorward_core::{
    Mono,
    driver::{Ctx, Fault, Once},
};
use doorward_wire::{Time, attempt::Reason};
use std::{
    collections::VecDeque,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::sync::{
    Notify,
    mpsc::{self, error::TrySendError},
    oneshot, watch,
};

/// Calls that are known at once.
const MOST_CALLS: usize = 64;
/// With whom to speak, and as whom.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) server: Server,
    pub(crate) identity: Arc<Identity>,
    pub(crate) tls: Tls,
    pub(crate) patience: Patience,
}

/// How the connection stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It was not tried yet.
    Idle,
    /// It is being made.
    Connecting,
    /// It stands.
    Connected { since: Time, registered: bool },
    /// It is made again by itself.
    Away { why: String },
    /// A person is needed; the second text is for the log.
    Refused { person: String, log: String },
}

/// What the owner of a gateway is told.
pub(crate) enum Told {
    /// Something happened on the connection.
    Happening(Happening),
    /// The connection stands differently.
    Standing,
    /// The server is not the pinned one.
    NotTrusted,
}

/// One gateway.
pub(crate) struct Gateway {
    pub(crate) id: String,
    /// How it is set up, or how it stands without that.
    setup: Mutex<Result<Setup, Standing>>,
    standing: Mutex<Standing>,
    sender: Mutex<mpsc::Sender<Order>>,
    /// To the connections before this one, on which somebody may still ring.
    before: Mutex<Vec<mpsc::Sender<Order>>>,
    /// Held by whoever serves the connection.
    orders: tokio::sync::Mutex<Orders>,
    /// Rings when the setup is another one.
    changed: Notify,
    /// It is not used any more.
    gone: watch::Sender<bool>,
    /// What was sent on any of its connections.
    commands: Arc<Commands>,
    /// Call-IDs of what rings. During a hand-over each call comes twice.
    calls: Mutex<VecDeque<String>>,
    /// Since when there has been no connection.
    away: Mutex<Option<Mono>>,
    /// The server refused the certificate, although it is good by its dates.
    wants_certificate: AtomicBool,
}

/// Hears what is told.
pub(crate) type Hears<'a> = &'a (dyn Fn(&Gateway, Told) + Send + Sync);

impl Gateway {
    pub(crate) fn new(id: &str) -> Self {
        let (sender, orders) = line::orders();
        Self {
            id: id.to_owned(),
            setup: Mutex::new(Err(Standing::Idle)),
            standing: Mutex::new(Standing::Idle),
            sender: Mutex::new(sender),
            before: Mutex::default(),
            orders: tokio::sync::Mutex::new(orders),
            changed: Notify::new(),
            gone: watch::Sender::new(false),
            commands: Arc::default(),
            calls: Mutex::default(),
            away: Mutex::default(),
            wants_certificate: AtomicBool::default(),
        }
    }

    /// Sets it up, or differently; an error says how it stands without that. A connection that stands is handed over.
    pub(crate) fn set_up(&self, setup: Result<Setup, Standing>) {
        let without = setup.as_ref().err().cloned().unwrap_or(Standing::Idle);
        *lock(&self.setup) = setup;
        self.wants_certificate.store(false, Ordering::Relaxed);
        {
            let mut standing = lock(&self.standing);
            // What was refused before is tried anew.
            if matches!(*standing, Standing::Idle | Standing::Refused { .. }) {
                *standing = without;
            }
        }
        self.changed.notify_one();
    }

    /// It is not used any more: its connection says good-bye and is not made again.
    pub(crate) fn forget(&self) {
        self.gone.send_replace(true);
    }

    /// Ends when it is not used any more.
    pub(crate) async fn forgotten(&self) {
        let mut gone = self.gone.subscribe();
        // Its sender lives as long as this.
        _ = gone.wait_for(|gone| *gone).await;
    }

    /// Whether it waits for another certificate.
    pub(crate) fn wants_certificate(&self) -> bool {
        self.wants_certificate.load(Ordering::Relaxed)
    }

    pub(crate) fn standing(&self) -> Standing {
        lock(&self.standing).clone()
    }

    fn stands(&self, ctx: &dyn Ctx, standing: Standing, hears: Hears<'_>) {
        {
            let mut away = lock(&self.away);
            let connected = matches!(standing, Standing::Connected { .. });
            *away = if connected { None } else { away.or(Some(ctx.now().mono)) };
        }
        let changed = *lock(&self.standing) != standing;
        *lock(&self.standing) = standing;
        if changed {
            hears(self, Told::Standing);
        }
    }

    /// Opens a gate, once. Serves the connection meanwhile when nobody else does.
    pub(crate) async fn open(&self, ctx: &dyn Ctx, gate: &str, once: Once, hears: Hears<'_>) -> Result<End, Fault> {
        if let Standing::Refused { person, log } = self.standing() {
            return Err(Fault::refused(person, log).because(Reason::NeedsSignIn));
        }
        let (end, mut ended) = oneshot::channel();
        self.order(Order::Open { gate: gate.to_owned(), once, end }).await?;
        let serving = AtomicBool::new(false);
        let mut serves = pin!(async {
            let mut orders = self.orders.lock().await;
            serving.store(true, Ordering::Relaxed);
            self.serve_until_idle(ctx, &mut orders, hears).await;
        });
        let end = tokio::select! {
            biased;
            end = &mut ended => end,
            () = &mut serves => {
                serving.store(false, Ordering::Relaxed);
                ended.await
            }
        };
        if serving.load(Ordering::Relaxed) {
            // Others may have ordered meanwhile.
            serves.await;
        }
        // Who served and is gone without a word may have sent it.
        let end = end.unwrap_or(End::Unanswered { key: None });
        match (end, self.standing()) {
            (End::NotSent, Standing::Refused { person, log }) => Err(Fault::refused(person, log).because(Reason::NeedsSignIn)),
            (end, _) => Ok(end),
        }
    }

    async fn order(&self, order: Order) -> Result<(), Fault> {
        let full =
            |_| Fault::refused("Too many commands wait at this gateway.", "the orders of the connection are full").because(Reason::Busy);
        let order = match lock(&self.sender).try_send(order) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Full(order)) => return Err(full(order)),
            Err(TrySendError::Closed(order)) => order,
        };
        // Whoever served was dropped, and its orders with it.
        self.mend(&mut *self.orders.lock().await);
        lock(&self.sender).try_send(order).map_err(|_| full(Order::Retire))
    }

    /// Makes both ends for orders anew when they do not belong together any more.
    fn mend(&self, orders: &mut Orders) {
        let mut sender = lock(&self.sender);
        if sender.is_closed() {
            (*sender, *orders) = line::orders();
        }
    }

    /// Notes a call; `false` when it is known.
    pub(crate) fn begin_call(&self, call: &str) -> bool {
        let mut calls = lock(&self.calls);
        if calls.iter().any(|known| known == call) {
            return false;
        }
        if calls.len() == MOST_CALLS {
            calls.pop_front();
        }
        calls.push_back(call.to_owned());
        true
    }

    /// Forgets a call; `false` when it is not known.
    pub(crate) fn forget_call(&self, call: &str) -> bool {
        let mut calls = lock(&self.calls);
        let before = calls.len();
        calls.retain(|known| known != call);
        calls.len() < before
    }

    pub(crate) fn has_call(&self, call: &str) -> bool {
        lock(&self.calls).iter().any(|known| known == call)
    }

    /// Since when there has been no connection.
    pub(crate) fn away(&self) -> Option<Mono> {
        *lock(&self.away)
    }

    /// How long it rings here.
    pub(crate) fn patience(&self) -> Patience {
        lock(&self.setup).as_ref().map_or_else(|_| Patience::default(), |setup| setup.patience)
    }

    /// Ends a call. `false` when there is no connection.
    pub(crate) fn end_call(&self, call: &str, status: u16) -> bool {
        let end = || Order::EndCall { call: call.to_owned(), status };
        for before in &*lock(&self.before) {
            // It is gone when nobody rings there.
            let _ = before.try_send(end());
        }
        lock(&self.sender).try_send(end()).is_ok()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
