//! What an account does by itself: keeps its connections warm, lists its doors, notices what needs a person.
//!
//! Gates are opened over the connection; sign-in and API are for setting up. So trouble with one of them is told, and the
//! other goes on.

use crate::{
    driver::Bticino,
    gateway::{Gateway, Standing, Told},
    plants::Inventory,
    proxy::{Callback, Proxy, ProxyError},
};
use doorward_core::{
    Mono,
    driver::{BoxFuture, Ctx, Family, Fault, Report, Sight},
};
use doorward_oauth::Standing as SignIn;
use doorward_wire::attempt::Reason;
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use std::{
    collections::BTreeSet,
    sync::{Arc, PoisonError},
    time::Duration,
};
use tokio::sync::watch;

/// How often the doors are listed.
const DISCOVERY: Duration = Duration::from_mins(5);
/// How soon it is tried again when it failed.
const AGAIN: Duration = Duration::from_mins(1);
/// So long a gateway may be without a connection before its doors count as away: a connection that is made again at once
/// is no news.
const AWAY: Duration = Duration::from_secs(20);

/// Where the watch stands.
#[derive(Default)]
struct Round {
    next_look: Mono,
    /// The vendor's API does not answer as it should.
    trouble: Option<Fault>,
    /// What the house was told last of the account as a whole.
    up: Option<bool>,
    /// The leases were told.
    leased: bool,
    /// Gateways whose doors were told to be away.
    away: BTreeSet<String>,
}

impl Bticino {
    /// Has the watch look at everything now.
    pub(crate) fn watch_now(&self) {
        *self.wanted.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.bell.notify_one();
    }

    /// A sign-in in a browser of this machine goes on beside everything else.
    pub(crate) fn serve_sign_in(&self, proxy: Proxy) {
        *self.sign_in.lock().unwrap_or_else(PoisonError::into_inner) = Some(proxy);
        self.bell.notify_one();
    }

    pub(crate) async fn watch_until(&self, ctx: &dyn Ctx, stop: BoxFuture<'_, ()>) {
        let (halt, halted) = watch::channel(false);
        let mut rounds = Box::pin(self.rounds(ctx));
        let mut lines = Box::pin(self.lines(ctx, halted));
        tokio::select! {
            biased;
            () = stop => {}
            () = &mut rounds => {}
            () = &mut lines => {}
        }
        // Whoever listens is below.
        let _ = halt.send(true);
        // Connections say good-bye, and a renewal that is under way is not dropped: its new token may be the only one that
        // still works.
        tokio::select! {
            biased;
            () = async { tokio::join!(&mut lines, self.cloud.tokens.settled()); } => {}
            () = &mut rounds => {}
        }
    }

    /// Keeps every registered gateway's connection warm, those too that come later.
    async fn lines(&self, ctx: &dyn Ctx, halted: watch::Receiver<bool>) {
        let hears = |gateway: &Gateway, told: Told| self.told(ctx, gateway, told);
        let mut served = BTreeSet::new();
        let mut lines = FuturesUnordered::new();
        let mut halt = halted.clone();
        loop {
            let new: Vec<Arc<Gateway>> = self.live().values().filter(|gateway| !served.contains(&gateway.id)).cloned().collect();
            for gateway in new.into_iter().filter(|_| !*halted.borrow()) {
                served.insert(gateway.id.clone());
                let mut halted = halted.clone();
                let hears = &hears;
                lines.push(async move {
                    let stop = async {
                        tokio::select! {
                            // The sender lives as long as this.
                            _ = halted.wait_for(|halted| *halted) => {}
                            () = gateway.forgotten() => {}
                        }
                    };
                    gateway.serve(ctx, stop, hears).await;
                    gateway.id.clone()
                });
            }
            tokio::select! {
                // A gateway that was forgotten may be registered again.
                Some(id) = lines.next() => drop(served.remove(&id)),
                () = self.grown.notified() => {}
                _ = halt.wait_for(|halted| *halted), if lines.is_empty() => return,
            }
            if *halted.borrow() && lines.is_empty() {
                return;
            }
        }
    }

    async fn rounds(&self, ctx: &dyn Ctx) {
        let mut round = Round::default();
        let mut sign_in: Option<SignedIn> = None;
        loop {
            let pause = self.round(ctx, &mut round).await;
            if let Some(begun) = self.sign_in.lock().unwrap_or_else(PoisonError::into_inner).take() {
                sign_in = Some(Box::pin(begun.callback()));
            }
            let signed = tokio::select! {
                () = ctx.sleep(pause) => None,
                () = self.bell.notified() => None,
                signed = callback(sign_in.as_mut()) => Some(signed),
            };
            if let Some(signed) = signed {
                sign_in = None;
                self.signed_in_here(ctx, signed).await;
            }
        }
    }

    async fn signed_in_here(&self, ctx: &dyn Ctx, signed: Result<Callback, ProxyError>) {
        let outcome = match signed {
            Ok(callback) => self.exchange_code(ctx, &callback.url).await.map(|_| ()),
            Err(error) => Err(Fault::refused("The sign-in in the browser did not come to its end. Start again.", error.to_string())),
        };
        *self.last_sign_in.lock().unwrap_or_else(PoisonError::into_inner) = outcome.as_ref().err().map(|fault| fault.person.clone());
        if let Err(fault) = outcome {
            tracing::warn!(log = fault.log, "the sign-in in a browser of this machine failed");
        }
    }

    /// Does what is due, and says how long nothing else is.
    async fn round(&self, ctx: &dyn Ctx, round: &mut Round) -> Duration {
        if let Err(fault) = self.begin(ctx, round).await {
            tracing::warn!(log = fault.log, "the registration cannot be read");
            round.trouble = Some(fault);
            return AGAIN;
        }
        let now = ctx.now().mono;
        let signed_in = match self.cloud.tokens.standing(ctx).await {
            Ok(SignIn::SignedIn) => true,
            Ok(SignIn::New) => false,
            Ok(SignIn::Ended(fault)) | Err(fault) => {
                round.trouble = Some(fault);
                false
            }
        };
        let wanted = std::mem::take(&mut *self.wanted.lock().unwrap_or_else(PoisonError::into_inner));
        if signed_in && (wanted || round.next_look <= now) {
            let looked = self.look_around(ctx).await;
            round.next_look = ctx.now().mono.plus(if looked.is_ok() { DISCOVERY } else { AGAIN });
            if let Err(fault) = &looked {
                tracing::warn!(log = fault.log, "the vendor's API did not tell the doors");
                round.next_look = round.next_look.max(ctx.now().mono.plus(fault.retry_after.unwrap_or_default()));
            }
            round.trouble = looked.err();
        }
        if std::mem::take(&mut *self.doubted.lock().unwrap_or_else(PoisonError::into_inner))
            && let Err(fault) = self.look_for_authorities(ctx).await
        {
            tracing::warn!(log = fault.log, "the vendor's authorities could not be asked for");
        }
        self.tell(ctx, round).await;
        self.pause(ctx, round, signed_in)
    }

    /// Reads what is registered, and tells its leases once.
    async fn begin(&self, ctx: &dyn Ctx, round: &mut Round) -> Result<(), Fault> {
        self.set_up_gateways(ctx).await?;
        self.grown.notify_one();
        if std::mem::replace(&mut round.leased, true) {
            return Ok(());
        }
        self.remember_catalogue(ctx).await?;
        if let Ok(SignIn::SignedIn) = self.cloud.tokens.standing(ctx).await {
            self.cloud.tokens.lease().into_iter().for_each(|lease| ctx.report(Report::Lease(lease)));
        }
        let book = self.book(ctx).await?;
        for (id, entry) in &book.gateways {
            entry.certificate.iter().for_each(|certificate| ctx.report(Report::Lease(certificate.lease(id, None))));
        }
        Ok(())
    }

    /// Lists the doors, and fills in what an import left open.
    pub(crate) async fn look_around(&self, ctx: &dyn Ctx) -> Result<(), Fault> {
        let requested = ctx.now().mono;
        let (plants, inventory) = self.look(ctx).await?;
        self.complete(ctx, &plants, &inventory).await?;
        self.tell_found(ctx, &inventory).await?;
        let gateways = self.registered(ctx).await?;
        for (external, sight) in inventory.sights(&gateways, requested) {
            let away = self.live().get(external.split('/').next().unwrap_or_default()).is_some_and(|gateway| is_away(gateway, requested));
            let online = sight.online.map(|online| online && !away);
            ctx.report(Report::Seen { external, sight: Sight { online, ..sight } });
        }
        Ok(())
    }

    /// Tells the doors of the registered gateways.
    pub(crate) async fn tell_found(&self, ctx: &dyn Ctx, inventory: &Inventory) -> Result<(), Fault> {
        let gateways = self.registered(ctx).await?;
        if !gateways.is_empty() {
            ctx.report(Report::Found(inventory.found(&gateways)));
        }
        Ok(())
    }

    pub(crate) async fn registered(&self, ctx: &dyn Ctx) -> Result<Vec<String>, Fault> {
        Ok(self.book(ctx).await?.gateways.keys().cloned().collect())
    }

    /// Tells how everything stands: to the page, and of what needs a person or is away, once.
    async fn tell(&self, ctx: &dyn Ctx, round: &mut Round) {
        ctx.report(Report::Stages(self.stages(ctx).await));
        let live: Vec<Arc<Gateway>> = self.live().values().cloned().collect();
        let now = ctx.now().mono;
        let refused = live.iter().find_map(|gateway| match gateway.standing() {
            Standing::Refused { person, log } => Some(Fault::refused(person, log).because(Reason::NeedsSignIn)),
            Standing::Idle | Standing::Connecting | Standing::Connected { .. } | Standing::Away { .. } => None,
        });
        let ended = round.trouble.clone().filter(|fault| fault.family == Family::Auth);
        ctx.report(Report::NeedsPerson(ended.or(refused)));
        for gateway in &live {
            let away = is_away(gateway, now);
            if away != round.away.contains(&gateway.id) {
                if away {
                    round.away.insert(gateway.id.clone())
                } else {
                    round.away.remove(&gateway.id)
                };
                self.tell_reach(ctx, &gateway.id, !away);
            }
        }
        let connected = live.iter().any(|gateway| !is_away(gateway, now));
        let trouble = round.trouble.clone().filter(|fault| fault.family != Family::Auth);
        match trouble.filter(|_| !connected) {
            Some(fault) if round.up != Some(false) => {
                round.up = Some(false);
                ctx.report(Report::Down(fault));
            }
            None if round.up != Some(true) && (connected || round.next_look > now) => {
                round.up = Some(true);
                ctx.report(Report::Up);
            }
            Some(_) | None => {}
        }
    }

    fn tell_reach(&self, ctx: &dyn Ctx, gateway: &str, online: bool) {
        let sights = self.inventory().sights(&[gateway.to_owned()], ctx.now().mono);
        for (external, sight) in sights {
            let online = Some(online && sight.online != Some(false));
            ctx.report(Report::Seen { external, sight: Sight { online, ..sight } });
        }
    }

    fn pause(&self, ctx: &dyn Ctx, round: &Round, signed_in: bool) -> Duration {
        let now = ctx.now().mono;
        let away = self.live().values().filter_map(|gateway| gateway.away()).map(|since| since.plus(AWAY)).filter(|at| *at > now).min();
        let look = signed_in.then_some(round.next_look);
        let due = away.into_iter().chain(look).min().map_or(DISCOVERY, |at| at.since(now));
        // Never a busy loop, whatever the clocks do.
        due.max(Duration::from_millis(100))
    }
}

fn is_away(gateway: &Gateway, now: Mono) -> bool {
    gateway.away().is_some_and(|since| now.since(since) >= AWAY)
}

/// How a sign-in on this machine ends.
type SignedIn = BoxFuture<'static, Result<Callback, ProxyError>>;

async fn callback(sign_in: Option<&mut SignedIn>) -> Result<Callback, ProxyError> {
    match sign_in {
        Some(sign_in) => sign_in.await,
        None => std::future::pending().await,
    }
}
