//! The connection of a gateway is made, kept, made again, and handed over.

use super::{
    Gateway, Hears, Setup, Standing, Told, lock,
    lost::{LONGEST, REFUSED, Warm},
};
use crate::sip::{
    line::{self, Line, Lost, Order, Orders},
    session::Happening,
};
use doorward_core::driver::{BoxFuture, Ctx};
use futures_util::{FutureExt as _, StreamExt as _, stream::FuturesUnordered};
use std::{
    future::Future,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::TcpStream,
    sync::{Notify, mpsc},
};
use tokio_rustls::client::TlsStream;

/// A connection at work, with the orders that only it sees.
struct Running<'a> {
    work: BoxFuture<'a, (Lost, Orders)>,
    sender: mpsc::Sender<Order>,
    registered: Arc<Notify>,
}

impl Gateway {
    /// Keeps the connection warm until `stop` ends.
    pub(crate) async fn serve(&self, ctx: &dyn Ctx, stop: impl Future<Output = ()>, hears: Hears<'_>) {
        let (leave, leaving) = mpsc::unbounded_channel();
        let stop = pin!(stop);
        tokio::select! {
            biased;
            () = self.serve_newest(ctx, stop, &leave, hears) => {}
            () = see_off(leaving) => {}
        }
    }

    async fn serve_newest<'a>(
        &'a self,
        ctx: &'a dyn Ctx,
        mut stop: Pin<&mut impl Future<Output = ()>>,
        leave: &mpsc::UnboundedSender<Running<'a>>,
        hears: Hears<'a>,
    ) {
        let mut orders = self.orders.lock().await;
        self.mend(&mut orders);
        let _warm = Warm::new();
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
                Some(Ok(made)) => {
                    (tries, had) = (0, true);
                    let own = std::mem::replace(&mut *orders, line::orders().1);
                    let (lost, left) = self.keep(ctx, made, own, stop.as_mut(), leave, hears).await;
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
    async fn keep<'a>(
        &'a self,
        ctx: &'a dyn Ctx,
        (setup, stream): (Setup, TlsStream<TcpStream>),
        orders: Orders,
        mut stop: Pin<&mut impl Future<Output = ()>>,
        leave: &mpsc::UnboundedSender<Running<'a>>,
        hears: Hears<'a>,
    ) -> (Lost, Orders) {
        let sender = lock(&self.sender).clone();
        self.stands(ctx, Standing::Connected { since: ctx.now().utc, registered: false }, hears);
        let mut running = self.run(ctx, &setup, stream, (sender, orders), true, hears);
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
                next = &mut successor, if !stopping => next,
            };
            successor.set(self.successor(ctx, hears));
            if let Some(next) = next {
                let before = std::mem::replace(&mut *lock(&self.sender), next.sender.clone());
                let _ = before.try_send(Order::Succeeded);
                let mut older = lock(&self.before);
                older.retain(|older| !older.is_closed());
                older.push(before);
                drop(older);
                // Who sees it off lives as long as this.
                let _ = leave.send(std::mem::replace(&mut running, next));
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
        let line = Line { ctx, registers: true, ..self.line(ctx, setup) };
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

    /// One that is not registered.
    fn line<'a>(&self, ctx: &'a dyn Ctx, setup: &Setup) -> Line<'a> {
        let (identity, commands) = (Arc::clone(&setup.identity), Arc::clone(&self.commands));
        Line { ctx, identity, patience: setup.patience, commands, registers: false }
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

    /// For whoever has an order and nobody who keeps the connection: one that is not registered, until the order is done.
    pub(super) async fn serve_until_idle(&self, ctx: &dyn Ctx, orders: &mut Orders, hears: Hears<'_>) {
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
                let line = self.line(ctx, &setup);
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

/// Sees connections off that another one has taken over: they stay while somebody rings there. Never ends.
async fn see_off(mut leaving: mpsc::UnboundedReceiver<Running<'_>>) {
    let mut works = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some(running) = leaving.recv() => works.push(running.work),
            Some((_, mut left)) = works.next() => left.give_up(),
            else => std::future::pending().await,
        }
    }
}
