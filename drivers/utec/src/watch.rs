//! What an account does by itself: asks for states, lists its locks, changes the secret of its pushes.
//!
//! A vendor that is away is asked again at the next poll. One failed poll changes nothing; after three the house is
//! told that the vendor is away.

use crate::{client::Care, driver::Utec};
use doorward_core::{
    Mono,
    driver::{BoxFuture, Ctx, Family, Fault, Report},
};
use doorward_oauth::Standing;
use std::time::Duration;

/// How often the locks are listed.
const DISCOVERY: Duration = Duration::from_mins(5);
/// How often they are listed at most when pushes ask for it.
const DISCOVERY_AT_MOST: Duration = Duration::from_secs(30);
/// So many polls fail before the vendor counts as away.
const MISSES: u32 = 3;

/// Where the watch stands.
#[derive(Default)]
struct Round {
    next_poll: Mono,
    next_discovery: Mono,
    last_discovery: Option<Mono>,
    /// The cloud asked to be left alone until then.
    quiet_until: Mono,
    misses: u32,
    /// What the house was told last.
    told: Option<Told>,
    /// The lease was told.
    leased: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Up,
    Down(Family),
}

impl Utec {
    /// Has the watch look at everything now.
    pub(crate) fn watch_now(&self) {
        self.roster().wanted = true;
        self.bell.notify_one();
    }

    pub(crate) async fn watch_until(&self, ctx: &dyn Ctx, stop: BoxFuture<'_, ()>) {
        let mut rounds = Box::pin(self.rounds(ctx));
        tokio::select! {
            biased;
            () = stop => {}
            () = &mut rounds => return,
        }
        // A renewal that is under way is not dropped: its new token may be the only one that still works.
        tokio::select! {
            biased;
            () = self.cloud.tokens.settled() => {}
            () = &mut rounds => {}
        }
    }

    async fn rounds(&self, ctx: &dyn Ctx) {
        let mut round = Round::default();
        self.tell_push(ctx).await;
        loop {
            let pause = self.round(ctx, &mut round).await;
            tokio::select! {
                () = ctx.sleep(pause) => {}
                () = self.bell.notified() => {}
            }
        }
    }

    /// Does what is due, and says how long nothing else is.
    async fn round(&self, ctx: &dyn Ctx, round: &mut Round) -> Duration {
        let poll = self.cloud.config.status_poll;
        match self.cloud.tokens.standing(ctx).await {
            Ok(Standing::SignedIn) => {}
            // Nobody has signed in; the bell rings when somebody does.
            Ok(Standing::New) => return DISCOVERY,
            Ok(Standing::Ended(fault)) => {
                round.leased = false;
                tell_down(ctx, round, fault);
                return DISCOVERY;
            }
            Err(fault) => {
                missed(ctx, round, fault);
                return poll;
            }
        }
        if !round.leased {
            round.leased = true;
            if let Some(lease) = self.cloud.tokens.lease() {
                ctx.report(Report::Lease(lease));
            }
        }
        let now = ctx.now().mono;
        if now < round.quiet_until {
            return round.quiet_until.since(now);
        }
        let allowed = round.last_discovery.is_none_or(|last| now.since(last) >= DISCOVERY_AT_MOST);
        let wanted = std::mem::take(&mut self.roster().wanted);
        if wanted && allowed {
            round.next_discovery = now;
            round.next_poll = now;
        } else if wanted {
            self.roster().wanted = true;
            round.next_discovery = round.next_discovery.min(round.last_discovery.unwrap_or(now).plus(DISCOVERY_AT_MOST));
        }
        if round.next_discovery <= now || round.next_poll <= now {
            let outcome = self.look_around(ctx, round, now).await;
            round.next_poll = now.plus(poll);
            match outcome {
                Ok(()) => {
                    round.misses = 0;
                    if round.told != Some(Told::Up) {
                        round.told = Some(Told::Up);
                        ctx.report(Report::Up);
                    }
                }
                Err(fault) => missed(ctx, round, fault),
            }
            if round.next_discovery <= now {
                // It failed, and is tried again with the next poll.
                round.next_discovery = round.next_poll;
            }
        }
        let rotation = self.rotate_push(ctx).await.unwrap_or_else(|fault| {
            tracing::warn!(log = fault.log, "the secret of the cloud's pushes could not be changed; it is tried again");
            None
        });
        let now = ctx.now();
        let due = round.next_poll.min(round.next_discovery).max(round.quiet_until);
        let due = rotation.map_or(due, |at| due.min(now.mono_at(at)));
        // Never a busy loop, whatever the clocks do.
        due.since(now.mono).max(Duration::from_millis(100))
    }

    async fn look_around(&self, ctx: &dyn Ctx, round: &mut Round, now: Mono) -> Result<(), Fault> {
        if round.next_discovery <= now {
            self.discover(ctx, Care::POLL).await?;
            round.last_discovery = Some(now);
            round.next_discovery = now.plus(DISCOVERY);
        }
        if self.roster().locks.is_empty() {
            return Ok(());
        }
        self.poll(ctx, Care::POLL).await.map(|_| ())
    }
}

fn missed(ctx: &dyn Ctx, round: &mut Round, fault: Fault) {
    round.misses += 1;
    tracing::warn!(misses = round.misses, log = fault.log, "the vendor's cloud did not tell the state of the locks");
    if let Some(wait) = fault.retry_after {
        round.quiet_until = ctx.now().mono.plus(wait);
    }
    if fault.family == Family::Refused {
        // A lock that has left the account may be to blame.
        round.next_discovery = round.next_poll;
    }
    // A sign-in that has ended does not come back by waiting.
    if round.misses >= MISSES || fault.family == Family::Auth {
        tell_down(ctx, round, fault);
    }
}

/// Tells the house that the vendor is away, and again only when that turns into a matter for a person.
fn tell_down(ctx: &dyn Ctx, round: &mut Round, fault: Fault) {
    let again = match round.told {
        Some(Told::Down(told)) => fault.family == Family::Auth && told != Family::Auth,
        Some(Told::Up) | None => true,
    };
    if again {
        round.told = Some(Told::Down(fault.family));
        ctx.report(Report::Down(fault));
    }
}
