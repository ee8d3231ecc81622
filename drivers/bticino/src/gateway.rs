//! One gateway: its connection is made, kept, made again, and handed over when the certificate is renewed.

use crate::sip::{
    Patience,
    line::{self, Line, Lost, Order, Orders, Server},
    session::{End, Happening, Identity},
    tls::Tls,
};
use doorward_core::{
    Mono,
    driver::{BoxFuture, Ctx, Fault, Once},
};
use doorward_wire::{Time, attempt::Reason};
use futures_util::FutureExt as _;
use std::{
    collections::VecDeque,
    future::Future,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    task::Poll,
    time::Duration,
};
use tokio::{
    net::TcpStream,
    sync::{
        Notify,
        mpsc::{self, error::TrySendError},
        oneshot,
    },
};
use tokio_rustls::client::TlsStream;

/// The longest wait between two tries.
const LONGEST: Duration = Duration::from_mins(1);
/// The wait after a refusal that may be mended at the vendor's side.
const REFUSED: Duration = Duration::from_mins(5);
/// Calls that are known at once.
const MOST_CALLS: usize = 64;
/// When a server comes back, so many connections may come back within a second.
const COMEBACKS: Duration = Duration::from_millis(60);

/// Connections of this process that are kept warm. A server that restarts is not to meet all of them at once.
static WARM: AtomicU32 = AtomicU32::new(0);

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
    /// To the connection before this one, on which somebody may still ring.
    before: Mutex<Option<mpsc::Sender<Order>>>,
    /// Held by whoever serves the connection.
    orders: tokio::sync::Mutex<Orders>,
    /// Rings when the setup is another one.
    changed: Notify,
    /// Call-IDs of what rings. During a hand-over each call comes twice.
    calls: Mutex<VecDeque<String>>,
    /// Since when there has been no connection.
    away: Mutex<Option<Mono>>,
    /// The server refused the certificate, although it is good by its dates.
    wants_certificate: AtomicBool,
}

/// Hears what is told.
pub(crate) type Hears<'a> = &'a (dyn Fn(&Gateway, Told) + Send + Sync);

/// A connection at work, with the orders that only it sees.
struct Running<'a> {
    work: BoxFuture<'a, (Lost, Orders)>,
    sender: mpsc::Sender<Order>,
    registered: Arc<Notify>,
}

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
        let end = end.unwrap_or(End::Unanswered);
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
        if let Some(before) = &*lock(&self.before) {
            // It is gone when nobody rings there.
            let _ = before.try_send(end());
        }
        lock(&self.sender).try_send(end()).is_ok()
    }

    /// Keeps the connection warm until `stop` ends.
    pub(crate) async fn serve(&self, ctx: &dyn Ctx, stop: impl Future<Output = ()>, hears: Hears<'_>) {
        let mut orders = self.orders.lock().await;
        self.mend(&mut orders);
        let _warm = Warm::new();
        let mut stop = pin!(stop);
        let mut tries = 0;
        let mut had = false;
        loop {
            let made = tokio::select! {
                biased;
                () = &mut stop => break,
                made = self.connect(ctx, hears) => made,
                () = orders.hold(ctx) => continue,
            };
            let lost = match made {
                Some(Ok((setup, stream))) => {
                    (tries, had) = (0, true);
                    let (lost, left) =
                        self.keep(ctx, setup, stream, std::mem::replace(&mut *orders, line::orders().1), stop.as_mut(), hears).await;
                    *orders = left;
                    lost
                }
                Some(Err(lost)) => lost,
                None => continue,
            };
            if lost == Lost::Retired {
                break;
            }
            let wait = self.lost(ctx, &lost, tries, std::mem::take(&mut had), hears);
            tries += 1;
            tokio::select! {
                biased;
                () = &mut stop => break,
                () = self.changed.notified() => tries = 0,
                () = ctx.sleep(wait) => {}
                () = orders.hold(ctx) => {}
            }
        }
        orders.give_up();
        if !matches!(self.standing(), Standing::Refused { .. }) {
            self.stands(ctx, Standing::Idle, hears);
        }
    }

    /// Makes a connection as it is set up now; waits while it is not.
    async fn connect(&self, ctx: &dyn Ctx, hears: Hears<'_>) -> Option<Result<(Setup, TlsStream<TcpStream>), Lost>> {
        // What is read now is the newest: that it changed before is no reason to hand over.
        let _ = self.changed.notified().now_or_never();
        let setup = lock(&self.setup).clone();
        let setup = match setup {
            Ok(setup) => setup,
            Err(without) => {
                self.stands(ctx, without, hears);
                self.changed.notified().await;
                return None;
            }
        };
        self.stands(ctx, Standing::Connecting, hears);
        let stream = line::connect(ctx, &setup.server, &setup.tls).await;
        Some(stream.map(|stream| (setup, stream)))
    }

    /// Serves a connection, and the next one when the setup changes: it registers before the old one goes.
    async fn keep(
        &self,
        ctx: &dyn Ctx,
        setup: Setup,
        stream: TlsStream<TcpStream>,
        orders: Orders,
        mut stop: std::pin::Pin<&mut impl Future<Output = ()>>,
        hears: Hears<'_>,
    ) -> (Lost, Orders) {
        let sender = lock(&self.sender).clone();
        self.stands(ctx, Standing::Connected { since: ctx.now().utc, registered: false }, hears);
        let mut running = self.run(ctx, &setup, stream, (sender, orders), true, hears);
        let mut retiring: Vec<Running<'_>> = Vec::new();
        let mut successor = Box::pin(self.successor(ctx, hears));
        let mut stopping = false;
        loop {
            let next = tokio::select! {
                biased;
                (lost, orders) = &mut running.work => return (if stopping { Lost::Retired } else { lost }, orders),
                () = &mut stop, if !stopping => {
                    stopping = true;
                    let _ = running.sender.try_send(Order::Retire);
                    continue;
                }
                () = first_gone(&mut retiring) => continue,
                next = &mut successor, if !stopping => next,
            };
            successor.set(self.successor(ctx, hears));
            if let Some(next) = next {
                let before = std::mem::replace(&mut *lock(&self.sender), next.sender.clone());
                let _ = before.try_send(Order::Succeeded);
                *lock(&self.before) = Some(before);
                retiring.push(std::mem::replace(&mut running, next));
            }
        }
    }

    /// A connection as it is set up now, once it is registered. When there is none it is time to try again.
    async fn successor<'a>(&'a self, ctx: &'a dyn Ctx, hears: Hears<'a>) -> Option<Running<'a>> {
        self.changed.notified().await;
        let setup = lock(&self.setup).clone().ok()?;
        let lost = match line::connect(ctx, &setup.server, &setup.tls).await {
            Ok(stream) => {
                let mut next = self.run(ctx, &setup, stream, line::orders(), false, hears);
                let registered = Arc::clone(&next.registered);
                tokio::select! {
                    biased;
                    () = registered.notified() => return Some(next),
                    (lost, _) = &mut next.work => lost,
                    () = ctx.sleep(LONGEST) => Lost::Silent("not registered in time"),
                }
            }
            Err(lost) => lost,
        };
        tracing::warn!(gateway = self.id, %lost, "a new connection is not to be had; the old one goes on");
        let wait = match lost {
            // A server that is asked again and again locks the account.
            Lost::PasswordRefused(_) => Duration::MAX,
            Lost::NotTrusted(_) | Lost::CertificateRefused(_) => REFUSED,
            Lost::Unreachable(_) | Lost::Closed(_) | Lost::Silent(_) | Lost::Broken(_) | Lost::Retired => LONGEST,
        };
        tokio::select! {
            () = ctx.sleep(wait) => {}
            () = self.changed.notified() => {}
        }
        self.changed.notify_one();
        None
    }

    /// A connection at work. `shown` says that it is the one that people see; another one is when it is registered.
    fn run<'a>(
        &'a self,
        ctx: &'a dyn Ctx,
        setup: &Setup,
        stream: TlsStream<TcpStream>,
        (sender, mut orders): (mpsc::Sender<Order>, Orders),
        mut shown: bool,
        hears: Hears<'a>,
    ) -> Running<'a> {
        let line = Line { ctx, identity: Arc::clone(&setup.identity), patience: setup.patience, registers: true };
        let registered = Arc::new(Notify::new());
        let told = Arc::clone(&registered);
        let work = Box::pin(async move {
            let mut tell = |happening| {
                shown |= matches!(happening, Happening::Registered(_));
                self.happened(ctx, happening, &told, shown, hears);
            };
            let lost = line.run(stream, &mut orders, &mut tell).await;
            (lost, orders)
        });
        Running { work, sender, registered }
    }

    fn happened(&self, ctx: &dyn Ctx, happening: Happening, registered: &Notify, shown: bool, hears: Hears<'_>) {
        match &happening {
            Happening::Registered(_) => {
                registered.notify_one();
                let since = match self.standing() {
                    Standing::Connected { since, .. } => since,
                    Standing::Idle | Standing::Connecting | Standing::Away { .. } | Standing::Refused { .. } => ctx.now().utc,
                };
                self.stands(ctx, Standing::Connected { since, registered: true }, hears);
            }
            Happening::NotRegistered(refusal) => {
                tracing::warn!(gateway = self.id, status = refusal.status, "the server does not register us just now");
                if let Standing::Connected { since, .. } = self.standing()
                    && shown
                {
                    self.stands(ctx, Standing::Connected { since, registered: false }, hears);
                }
            }
            Happening::Opened { .. }
            | Happening::Replied { .. }
            | Happening::Rings { .. }
            | Happening::RingOver { .. }
            | Happening::Said(_) => {}
        }
        hears(self, Told::Happening(happening));
    }

    /// What a lost connection means, and how long nothing is tried.
    fn lost(&self, ctx: &dyn Ctx, lost: &Lost, tries: u32, had: bool, hears: Hears<'_>) -> Duration {
        tracing::warn!(gateway = self.id, %lost, tries, "no connection to the SIP server");
        let refused = |person: String| Standing::Refused { person, log: lost.to_string() };
        match lost {
            Lost::NotTrusted(why) => {
                let person = format!(
                    "The SIP server is not the pinned one, so doorward did not speak to it ({why}). Compare the fingerprint before you trust it."
                );
                self.stands(ctx, refused(person), hears);
                hears(self, Told::NotTrusted);
                return REFUSED + spread(ctx, REFUSED / 4);
            }
            Lost::CertificateRefused(_) => {
                let person = "The vendor's server refused the client certificate. Register again: that makes a new one.";
                self.wants_certificate.store(true, Ordering::Relaxed);
                self.stands(ctx, refused(person.into()), hears);
                return REFUSED + spread(ctx, REFUSED / 4);
            }
            Lost::PasswordRefused(_) => {
                // Asked once: a server that is asked again and again locks the account.
                let person = "The vendor's server does not accept the SIP password. Register the account again.";
                self.stands(ctx, refused(person.into()), hears);
                return Duration::MAX;
            }
            Lost::Unreachable(_) | Lost::Closed(_) | Lost::Silent(_) | Lost::Broken(_) | Lost::Retired => {}
        }
        if !matches!(self.standing(), Standing::Refused { .. }) {
            self.stands(ctx, Standing::Away { why: lost.to_string() }, hears);
        }
        // A server that restarts loses all at once: they come back one after the other.
        let crowd = (COMEBACKS * WARM.load(Ordering::Relaxed)).clamp(Duration::from_millis(900), LONGEST);
        if had {
            return Duration::from_millis(100) + spread(ctx, crowd);
        }
        let backoff = (Duration::from_secs(1) * 2u32.saturating_pow(tries.min(6))).min(LONGEST);
        backoff / 2 + spread(ctx, (backoff / 2).max(crowd))
    }

    /// For whoever has an order and nobody who keeps the connection: one that is not registered, until the order is done.
    async fn serve_until_idle(&self, ctx: &dyn Ctx, orders: &mut Orders, hears: Hears<'_>) {
        let setup = lock(&self.setup).clone();
        let Ok(setup) = setup else { return orders.give_up() };
        let made = tokio::select! {
            biased;
            // Whoever asked was told that nothing was sent: nobody needs the connection any more.
            () = orders.hold_while_any(ctx) => return,
            made = line::connect(ctx, &setup.server, &setup.tls) => made,
        };
        let lost = match made {
            Ok(stream) => {
                let line = Line { ctx, identity: Arc::clone(&setup.identity), patience: setup.patience, registers: false };
                line.run(stream, orders, &mut |happening| hears(self, Told::Happening(happening))).await
            }
            Err(lost) => lost,
        };
        if lost != Lost::Retired {
            self.lost(ctx, &lost, 0, false, hears);
            self.stands_idle_again();
            orders.give_up();
        }
    }

    /// A single try says nothing about the next one, unless a person is needed.
    fn stands_idle_again(&self) {
        let mut standing = lock(&self.standing);
        if matches!(*standing, Standing::Away { .. }) {
            *standing = Standing::Idle;
        }
    }
}

async fn first_gone(retiring: &mut Vec<Running<'_>>) {
    std::future::poll_fn(|cx| {
        let before = retiring.len();
        retiring.retain_mut(|running| match running.work.as_mut().poll(cx) {
            Poll::Ready((_, mut left)) => {
                left.give_up();
                false
            }
            Poll::Pending => true,
        });
        if retiring.len() < before { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// A random span up to this one.
fn spread(ctx: &dyn Ctx, most: Duration) -> Duration {
    let mut dice = [0; 2];
    ctx.fill(&mut dice);
    most * u32::from(u16::from_be_bytes(dice)) / u32::from(u16::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts a connection for as long as it is kept warm.
struct Warm;

impl Warm {
    fn new() -> Self {
        WARM.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for Warm {
    fn drop(&mut self) {
        WARM.fetch_sub(1, Ordering::Relaxed);
    }
}
