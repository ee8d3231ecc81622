//! What every driver must pass: at most one opening whatever the vendor does, tokens that are on disk before they are
//! used, no storms, honest times, and an end when it is asked for.
//!
//! A driver's tests bring a [`Fixture`]: a simulated vendor whose [`Weather`] can be changed and whose door counts how
//! often it opened. The suite brings the [`Bench`]: a house with a clock that is moved by hand. It needs no executor
//! of its own; [`Fixture::pause`] lets the caller's do some work.
//!
//! ```
//! use doorward_core::{conformance::Bench, driver::Ctx};
//! use std::time::Duration;
//!
//! let bench = Bench::new("2026-01-01T00:00:00Z".parse().unwrap());
//! let before = bench.now();
//! bench.advance(Duration::from_secs(60));
//! assert_eq!(bench.now(), before.plus(Duration::from_secs(60)));
//! ```

mod bench;

pub use bench::Bench;

use crate::{
    Secret,
    driver::{Action, BoxFuture, Ctx, Done, Driver, Family, Fault, FieldKind, How, Once, Report, Target},
};
use bench::lock;
use doorward_wire::{attempt::Reason, ring::RingState};
use std::{
    collections::BTreeSet,
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Poll, Waker},
    time::Duration,
};

/// How the vendor behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// As it should.
    Healthy,
    /// No connection can be made.
    Offline,
    /// Takes each request and answers that it is out of order, without doing anything.
    ServerError,
    /// Takes each request and never answers.
    Silent,
    /// Answers what it should, some pauses late.
    Slow,
    /// Takes each request and answers success in a language that nobody understands.
    Garbage,
    /// Refuses each command definitely.
    Refuses,
    /// Does not accept the token at the next request; it accepts it later, or a new one.
    UnauthorizedOnce,
    /// Accepts no token that it gave so far, but renews it.
    Expired,
    /// Accepts no token that it gave so far, and does not renew it either.
    Dead,
}

/// What the simulated vendor has counted since [`Fixture::fresh`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// How often the door became open or unlocked.
    pub opened: u64,
    /// Requests to open it, whatever became of them.
    pub open_requests: u64,
    /// Requests of any kind, renewals too.
    pub requests: u64,
    /// Renewals asked for.
    pub renewals: u64,
}

/// A driver before an audience.
pub struct Stage {
    /// The driver, signed in.
    pub driver: Arc<dyn Driver>,
    /// Its house.
    pub bench: Arc<Bench>,
    /// A door of its account that can be opened.
    pub door: Target,
    /// How it is opened: [`Action::Open`] or [`Action::Unlock`].
    pub open: fn(Once) -> Action,
    /// The tokens of its account; `None` for a driver without tokens, which is not tested for them.
    pub tokens: Option<Tokens>,
}

/// The tokens of an account that is tested.
#[derive(Debug, Clone, Copy)]
pub struct Tokens {
    /// The lease by which they are renewed.
    pub lease: &'static str,
    /// What is done with them at the door: it is opened, or looked at where it opens without a token.
    pub needed: fn(Once) -> Action,
}

/// What a driver's tests bring.
pub trait Fixture: Send + Sync {
    /// A healthy vendor with all counts at nothing, its door shut, and a new driver that is signed in.
    fn fresh(&self) -> BoxFuture<'_, Stage>;

    /// Changes the weather.
    fn turn(&self, weather: Weather) -> BoxFuture<'_, ()>;

    /// What the vendor has counted.
    fn counts(&self) -> Counts;

    /// Lets other tasks work for about 20 ms. The only real time that passes.
    fn pause(&self) -> BoxFuture<'_, ()>;
}

/// Pauses in which a vendor on the same machine has surely received what was sent.
const ARRIVAL: u32 = 250;
/// Pauses in which its answer has surely come, unless it never comes.
const ANSWER: u32 = 10;
/// Pauses after which a thing that should end is called endless.
const PATIENCE: u32 = 1000;
/// What passes with each pause once time has to pass.
const STEP: Duration = Duration::from_secs(5);

/// Runs every check, and says everything that failed.
pub async fn run(fixture: &dyn Fixture) -> Result<(), Vec<String>> {
    let mut failed = Vec::new();
    let mut note = |name: &str, outcome: Result<(), String>| {
        if let Err(why) = outcome {
            failed.push(format!("{name}: {why}"));
        }
    };
    note("about() is complete", about_is_complete(&fixture.fresh().await));
    note("a door opens", a_door_opens(fixture).await);
    note("a stale command sends nothing", a_stale_command_sends_nothing(fixture).await);
    for weather in [Weather::Offline, Weather::ServerError, Weather::Silent, Weather::Garbage, Weather::Refuses] {
        note(&format!("an open is sent once while the vendor is {weather:?}"), an_open_is_sent_once(fixture, weather).await);
    }
    note("a poll says when it was asked", a_poll_says_when_it_was_asked(fixture).await);
    note("reports name only doors that were found", reports_name_only_known_doors(fixture).await);
    for weather in [Weather::Healthy, Weather::Silent, Weather::Offline] {
        note(&format!("a watch ends when it is stopped while the vendor is {weather:?}"), a_watch_ends(fixture, weather).await);
    }
    note("what is not known is refused", unknown_words_are_refused(fixture).await);
    if let Some(tokens) = fixture.fresh().await.tokens {
        note("a 401 is answered by one renewal and one repeat", a_401_is_renewed_once(fixture, tokens).await);
        note("concurrent 401s share one renewal", concurrent_401s_share_one_renewal(fixture).await);
        note("a new token is kept before it is used", a_token_is_kept_before_it_is_used(fixture, tokens).await);
        note("a dead sign-in is not asked again", a_dead_sign_in_is_not_asked_again(fixture, tokens).await);
    }
    if failed.is_empty() { Ok(()) } else { Err(failed) }
}

fn about_is_complete(stage: &Stage) -> Result<(), String> {
    let about = stage.driver.about();
    for (what, text) in [("kind", about.kind), ("title", about.title), ("summary", about.summary)] {
        ensure(!text.is_empty(), || format!("{what} is empty"))?;
    }
    let mut names = BTreeSet::new();
    for field in about.fields {
        ensure(!field.label.is_empty() && !field.help.is_empty(), || format!("field {} has no label or help", field.name))?;
        ensure(names.insert(field.name), || format!("field {} is there twice", field.name))?;
        ensure(field.kind != FieldKind::Secret || field.default.is_empty(), || format!("secret {} has a default", field.name))?;
    }
    let mut names = BTreeSet::new();
    for step in about.steps {
        ensure(!step.label.is_empty() && !step.help.is_empty(), || format!("step {} has no label or help", step.name))?;
        ensure(names.insert(step.name), || format!("step {} is there twice", step.name))?;
    }
    ensure(about.verify.is_sorted(), || "verify is not in order".into())?;
    ensure(about.stale_after > Duration::ZERO, || "stale_after is nothing".into())
}

async fn a_door_opens(fixture: &dyn Fixture) -> Result<(), String> {
    let stage = fixture.fresh().await;
    still(fixture, open(&stage)).await?.map_err(|fault| format!("a healthy vendor: {fault}"))?;
    for _ in 0..PATIENCE {
        if fixture.counts().opened > 0 {
            break;
        }
        fixture.pause().await;
    }
    let counts = fixture.counts();
    ensure(counts.opened == 1 && counts.open_requests == 1, || format!("{counts:?}"))
}

async fn a_stale_command_sends_nothing(fixture: &dyn Fixture) -> Result<(), String> {
    let stage = fixture.fresh().await;
    let once = Once { not_after: stage.bench.now().utc };
    stage.bench.advance(Duration::from_secs(1));
    let outcome = still(fixture, stage.driver.act(&*stage.bench, &stage.door, (stage.open)(once))).await?;
    let reason = outcome.err().and_then(|fault| fault.reason);
    ensure(reason == Some(Reason::StaleCommand), || format!("it ended with {reason:?}"))?;
    let counts = fixture.counts();
    ensure(counts.open_requests == 0, || format!("{counts:?}"))
}

async fn an_open_is_sent_once(fixture: &dyn Fixture, weather: Weather) -> Result<(), String> {
    let stage = fixture.fresh().await;
    fixture.turn(weather).await;
    let outcome = passing(fixture, &stage.bench, open(&stage)).await?;
    let Err(fault) = outcome else { return Err("it was called done".into()) };
    let counts = fixture.counts();
    let right = match weather {
        Weather::Offline => fault.family == Family::Offline && counts.open_requests == 0,
        Weather::Refuses => fault.family == Family::Refused,
        Weather::Healthy
        | Weather::ServerError
        | Weather::Silent
        | Weather::Slow
        | Weather::Garbage
        | Weather::UnauthorizedOnce
        | Weather::Expired
        | Weather::Dead => fault.family == Family::Timeout && counts.open_requests == 1,
    };
    ensure(right && counts.opened == 0, || format!("{:?} ({fault}), {counts:?}", fault.family))?;
    ensure(!fault.person.is_empty() && !fault.log.is_empty(), || "a fault has two messages".into())?;
    // Nothing comes late either.
    fixture.turn(Weather::Healthy).await;
    stage.bench.advance(Duration::from_mins(2));
    fixture.pause().await;
    let after = fixture.counts();
    ensure(after.opened == 0 && after.open_requests <= counts.open_requests, || format!("afterwards {after:?}"))
}

async fn a_poll_says_when_it_was_asked(fixture: &dyn Fixture) -> Result<(), String> {
    let stage = fixture.fresh().await;
    fixture.turn(Weather::Slow).await;
    let before = stage.bench.now().mono;
    let mut late = false;
    let asked = still(fixture, async {
        let mut look = pin!(stage.driver.act(&*stage.bench, &stage.door, Action::Refresh));
        // Time passes once the question is on its way.
        let requests = fixture.counts().requests;
        for _ in 0..PATIENCE {
            let mut pause = fixture.pause();
            let done = poll_fn(|cx| match look.as_mut().poll(cx) {
                Poll::Ready(done) => Poll::Ready(Some(done)),
                Poll::Pending => pause.as_mut().poll(cx).map(|()| None),
            })
            .await;
            if let Some(done) = done {
                return Some(done);
            }
            if !late && fixture.counts().requests > requests {
                late = true;
                stage.bench.advance(Duration::from_secs(3));
            }
        }
        None
    })
    .await?;
    let done = asked.ok_or("it never ended")?.map_err(|fault| fault.to_string())?;
    let how = done.sight.ok_or("nothing was seen")?.how;
    match how {
        How::Polled { requested } => ensure(requested == before, || format!("asked at {before:?}, said {requested:?}")),
        How::Answer | How::Pushed | How::Contact | How::Kept => Err(format!("{how:?} is not a poll")),
    }
}

async fn reports_name_only_known_doors(fixture: &dyn Fixture) -> Result<(), String> {
    let stage = fixture.fresh().await;
    let (watch, stop) = watch(&stage);
    let mut watch = pin!(watch);
    let mut known = BTreeSet::new();
    let mut seen = false;
    for _ in 0..PATIENCE {
        let ended = steps(fixture, watch.as_mut(), 1, || {}).await;
        ensure(ended.is_none(), || "the watch ended by itself".into())?;
        for report in stage.bench.reports() {
            match report {
                Report::Found(found) => known = found.into_iter().map(|found| found.external).collect(),
                Report::Seen { external, .. } => {
                    seen = true;
                    ensure(known.contains(&external), || format!("{external} was seen before it was found"))?;
                }
                Report::Lease(_)
                | Report::LeaseForgotten(_)
                | Report::SignedIn
                | Report::Up
                | Report::Down(_)
                | Report::Push(_)
                | Report::Listen(_)
                | Report::Ring { .. }
                | Report::RingEnded { .. }
                | Report::Presented(_)
                | Report::Admitted(_)
                | Report::TurnedAway(_)
                | Report::Answer { .. }
                | Report::Milestone { .. }
                | Report::Stages(_)
                | Report::NeedsPerson(_) => {}
            }
        }
        if seen {
            break;
        }
    }
    stop.now();
    let Target::Door { external, .. } = &stage.door else { return Err("the fixture's door is none".into()) };
    ensure(known.contains(external), || "the watch did not find the door".into())?;
    ensure(seen, || "the watch saw nothing".into())
}

async fn a_watch_ends(fixture: &dyn Fixture, weather: Weather) -> Result<(), String> {
    let stage = fixture.fresh().await;
    fixture.turn(weather).await;
    let (watch, stop) = watch(&stage);
    let mut watch = pin!(watch);
    let ended = passing_for(fixture, &stage.bench, watch.as_mut(), 5).await;
    ensure(ended.is_none(), || "it ended by itself".into())?;
    stop.now();
    still(fixture, watch).await.map_err(|_| "it went on".into())
}

async fn unknown_words_are_refused(fixture: &dyn Fixture) -> Result<(), String> {
    let stage = fixture.fresh().await;
    let step = Action::Setup { step: "no such step".into(), input: Secret::from("{}") };
    let ring = Action::EndRing { call: "no such ring".into(), end: RingState::Rejected };
    for action in [step, Action::Call("no such call".into()), Action::Renew("no such lease".into()), ring] {
        let shown = format!("{action:?}");
        let outcome = still(fixture, stage.driver.act(&*stage.bench, &Target::Account, action)).await?;
        ensure(outcome.is_err_and(|fault| fault.family == Family::Refused), || shown)?;
    }
    Ok(())
}

async fn a_401_is_renewed_once(fixture: &dyn Fixture, tokens: Tokens) -> Result<(), String> {
    let mut counted = Vec::new();
    for weather in [Weather::Healthy, Weather::UnauthorizedOnce] {
        let stage = fixture.fresh().await;
        fixture.turn(weather).await;
        let before = fixture.counts();
        still(fixture, use_of(&stage, tokens)).await?.map_err(|fault| fault.to_string())?;
        let after = fixture.counts();
        counted.push((after.requests - before.requests, after.renewals - before.renewals));
    }
    let [(healthy, 0), (requests, 1)] = counted[..] else { return Err(format!("{counted:?}")) };
    // The one that was refused, and the renewal.
    ensure(requests == healthy + 2, || format!("{requests} requests in the place of {healthy}"))
}

async fn concurrent_401s_share_one_renewal(fixture: &dyn Fixture) -> Result<(), String> {
    let stage = fixture.fresh().await;
    fixture.turn(Weather::Expired).await;
    let mut looks: Vec<_> = (0..4).map(|_| stage.driver.act(&*stage.bench, &stage.door, Action::Refresh)).collect();
    let outcomes = still(fixture, async {
        let mut outcomes = Vec::new();
        poll_fn(|cx| {
            looks.retain_mut(|look| match look.as_mut().poll(cx) {
                Poll::Ready(outcome) => {
                    outcomes.push(outcome);
                    false
                }
                Poll::Pending => true,
            });
            if looks.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        outcomes
    })
    .await?;
    for outcome in outcomes {
        outcome.map_err(|fault| fault.to_string())?;
    }
    let counts = fixture.counts();
    ensure(counts.renewals == 1, || format!("{counts:?}"))
}

async fn a_token_is_kept_before_it_is_used(fixture: &dyn Fixture, tokens: Tokens) -> Result<(), String> {
    let stage = fixture.fresh().await;
    fixture.turn(Weather::Expired).await;
    stage.bench.break_store(true);
    // The second try finds whatever the first one left in memory.
    for _ in 0..2 {
        let fault = still(fixture, use_of(&stage, tokens)).await?.err().ok_or("a token that could not be kept was used")?;
        ensure(fault.family == Family::Offline, || format!("{:?} ({fault})", fault.family))?;
    }
    let counts = fixture.counts();
    ensure(counts.opened == 0 && counts.open_requests <= 2, || format!("{counts:?}"))?;
    // Once the disk is well again, the renewal is not lost.
    stage.bench.break_store(false);
    still(fixture, stage.driver.act(&*stage.bench, &stage.door, Action::Refresh)).await?.map_err(|fault| format!("afterwards: {fault}"))?;
    Ok(())
}

async fn a_dead_sign_in_is_not_asked_again(fixture: &dyn Fixture, tokens: Tokens) -> Result<(), String> {
    let stage = fixture.fresh().await;
    fixture.turn(Weather::Dead).await;
    let family = |outcome: Result<_, Fault>| outcome.err().map(|fault| fault.family);
    let first = family(still(fixture, use_of(&stage, tokens)).await?);
    ensure(first == Some(Family::Auth), || format!("the first time {first:?}"))?;
    let before = fixture.counts();
    for _ in 0..3 {
        for action in [Action::Refresh, (tokens.needed)(soon(&stage)), Action::Renew(tokens.lease.into())] {
            let again = family(still(fixture, stage.driver.act(&*stage.bench, &stage.door, action)).await?);
            ensure(again == Some(Family::Auth), || format!("later {again:?}"))?;
        }
    }
    let after = fixture.counts();
    ensure(before == after, || format!("{before:?}, then {after:?}"))
}

fn ensure(right: bool, why: impl FnOnce() -> String) -> Result<(), String> {
    if right { Ok(()) } else { Err(why()) }
}

fn soon(stage: &Stage) -> Once {
    Once { not_after: stage.bench.now().utc.plus(Duration::from_secs(10)) }
}

fn open(stage: &Stage) -> BoxFuture<'_, Result<Done, Fault>> {
    stage.driver.act(&*stage.bench, &stage.door, (stage.open)(soon(stage)))
}

fn use_of(stage: &Stage, tokens: Tokens) -> BoxFuture<'_, Result<Done, Fault>> {
    stage.driver.act(&*stage.bench, &stage.door, (tokens.needed)(soon(stage)))
}

/// Waits for `work` while the clock stands still.
async fn still<T>(fixture: &dyn Fixture, work: impl Future<Output = T>) -> Result<T, String> {
    let mut work = pin!(work);
    let ended = steps(fixture, work.as_mut(), PATIENCE, || {}).await;
    ended.ok_or_else(|| "it never ended".into())
}

/// Waits for `work`, and lets time pass once its request has arrived and is not answered.
async fn passing<T>(fixture: &dyn Fixture, bench: &Bench, work: impl Future<Output = T>) -> Result<T, String> {
    let mut work = pin!(work);
    let mut left = ARRIVAL;
    while left > 0 {
        if let Some(ended) = steps(fixture, work.as_mut(), 1, || {}).await {
            return Ok(ended);
        }
        left -= 1;
        if fixture.counts().open_requests > 0 {
            left = left.min(ANSWER);
        }
    }
    passing_for(fixture, bench, work, PATIENCE).await.ok_or_else(|| "it never ended".into())
}

/// Lets `work` and time go on for some pauses.
async fn passing_for<T>(fixture: &dyn Fixture, bench: &Bench, work: impl Future<Output = T>, pauses: u32) -> Option<T> {
    let work = pin!(work);
    steps(fixture, work, pauses, || bench.advance(STEP)).await
}

async fn steps<T>(
    fixture: &dyn Fixture,
    mut work: std::pin::Pin<&mut impl Future<Output = T>>,
    pauses: u32,
    mut between: impl FnMut(),
) -> Option<T> {
    for _ in 0..pauses {
        let mut pause = fixture.pause();
        let ended = poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(ended) => Poll::Ready(Some(ended)),
            Poll::Pending => pause.as_mut().poll(cx).map(|()| None),
        })
        .await;
        if ended.is_some() {
            return ended;
        }
        between();
    }
    None
}

/// A watch of the stage's driver, and what stops it.
fn watch(stage: &Stage) -> (BoxFuture<'_, ()>, Stop) {
    let stop = Stop::default();
    let flag = stop.clone();
    let stopped = poll_fn(move |cx| {
        if flag.0.0.load(Ordering::SeqCst) {
            return Poll::Ready(());
        }
        *lock(&flag.0.1) = Some(cx.waker().clone());
        Poll::Pending
    });
    (stage.driver.watch(&*stage.bench, Box::pin(stopped)), stop)
}

#[derive(Clone, Default)]
struct Stop(Arc<(AtomicBool, Mutex<Option<Waker>>)>);

impl Stop {
    fn now(&self) {
        self.0.0.store(true, Ordering::SeqCst);
        if let Some(waker) = lock(&self.0.1).take() {
            waker.wake();
        }
    }
}
