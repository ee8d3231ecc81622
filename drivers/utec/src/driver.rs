//! What the house asks of an account.

use crate::{
    about::about_polled_every,
    client::{self, Care, Cloud, DISCOVERY, Miss, Reply, WHO},
    config::Config,
    http::Http,
    locks::Roster,
    push::Slot,
    shapes::{Move, Shape},
    states,
    users::Book,
};
use doorward_core::{
    Secret,
    driver::{About, Action, BoxFuture, Ctx, Done, Driver, Fault, Mistake, Once, Settings, Target},
};
use doorward_oauth::{Endpoint, Keeper, LEASE};
use doorward_wire::attempt::Reason;
use serde_json::json;
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// Where the learned shape of lock commands is kept.
const SHAPE: &str = "shape";

/// One account in the U-tec cloud.
pub struct Utec {
    about: About,
    pub(crate) cloud: Cloud,
    pub(crate) roster: Mutex<Roster>,
    shape: tokio::sync::Mutex<Option<Shape>>,
    /// Read at the first use; held during a change, so that one comes after the other.
    pub(crate) book: tokio::sync::Mutex<Option<Book>>,
    pub(crate) hook: tokio::sync::Mutex<Slot>,
    /// Rings when the watch has something to do before its time.
    pub(crate) bell: Notify,
}

pub(crate) fn build(settings: &Settings) -> Result<Arc<dyn Driver>, Vec<Mistake>> {
    Ok(Arc::new(Utec::new(Config::parse(settings)?)?))
}

impl Utec {
    /// A driver for one account. An error means that the TLS settings cannot be used.
    pub fn new(config: Config) -> Result<Self, Vec<Mistake>> {
        let about = about_polled_every(config.status_poll);
        let http = Http::new(&config)?;
        Ok(Self {
            about,
            cloud: Cloud { tokens: Keeper::new(endpoint(&config, &http)), config, http },
            roster: Mutex::default(),
            shape: tokio::sync::Mutex::default(),
            book: tokio::sync::Mutex::default(),
            hook: tokio::sync::Mutex::default(),
            bell: Notify::new(),
        })
    }

    async fn act_on(&self, ctx: &dyn Ctx, target: &Target, action: Action) -> Result<Done, Fault> {
        match (action, target) {
            (Action::Lock(once), Target::Door { external, .. }) => self.turn(ctx, external, Move::Lock, once).await,
            (Action::Unlock(once), Target::Door { external, .. }) => self.turn(ctx, external, Move::Unlock, once).await,
            (Action::Refresh, Target::Door { external, .. }) => self.look(ctx, external).await,
            (Action::Refresh, Target::Account) => Ok(Done { raw: self.poll(ctx, Care::ASK).await?, ..Done::default() }),
            (Action::Credential(what), Target::Door { external, time_zone, .. }) => self.codes(ctx, external, time_zone, what).await,
            (Action::Discover, Target::Account | Target::Door { .. }) => {
                Ok(Done { raw: self.discover(ctx, Care::ASK).await?, ..Done::default() })
            }
            (Action::Renew(lease), Target::Account | Target::Door { .. }) => {
                if lease != LEASE {
                    return Err(refuse("This account has no such lease.", Reason::BadRequest));
                }
                self.renew(ctx).await
            }
            (Action::Setup { step, input }, Target::Account | Target::Door { .. }) => self.step(ctx, &step, &input).await,
            (Action::Call(name), Target::Account | Target::Door { .. }) => self.support(ctx, &name).await,
            (Action::Deliver(delivery), Target::Account | Target::Door { .. }) => self.deliver(ctx, &delivery).await,
            (Action::EndRing { .. }, Target::Account | Target::Door { .. }) => Err(refuse("A U-tec lock has no bell.", Reason::NotCapable)),
            (Action::Open(_), Target::Account | Target::Door { .. }) => {
                Err(refuse("This lock has a bolt: it is locked and unlocked, not opened for a moment.", Reason::NotCapable))
            }
            (Action::Lock(_) | Action::Unlock(_) | Action::Credential(_), Target::Account) => {
                Err(refuse("Say which lock this is about.", Reason::BadRequest))
            }
        }
    }

    async fn renew(&self, ctx: &dyn Ctx) -> Result<Done, Fault> {
        let tokens = &self.cloud.tokens;
        tokens.renew_now(ctx).await?;
        Ok(Done::said(json!({ "renewed": true, "expires_at": tokens.lease().and_then(|lease| lease.not_after) })))
    }

    async fn step(&self, ctx: &dyn Ctx, step: &str, input: &Secret<String>) -> Result<Done, Fault> {
        match step {
            "start" => self.start(ctx, input).await,
            "exchange" => self.exchange(ctx, input).await,
            "refresh" => self.renew(ctx).await,
            "tokens" => self.take_tokens(ctx, input).await,
            "push" => self.register_push(ctx, input).await,
            _ => Err(refuse("A U-tec account has no such step.", Reason::BadRequest)),
        }
    }

    /// Moves a bolt: with the shape that was taken last time, and the others when it is definitely refused.
    async fn turn(&self, ctx: &dyn Ctx, lock: &str, to: Move, once: Once) -> Result<Done, Fault> {
        let care = match to {
            Move::Lock => Care::locks(once),
            Move::Unlock => Care::opens(once),
        };
        let learned = self.learned(ctx).await;
        let mut first = None;
        for shape in Shape::order(learned) {
            let (name, payload) = shape.request(self.device(lock), to);
            match self.cloud.call(ctx, name, &payload, care).await {
                Ok(reply) => {
                    if let Some(said) = reply.body.as_ref().and_then(|body| states::device_error(states::device(body, lock)?)) {
                        return Err(client::refused(&said.shown()).status(502));
                    }
                    if shape != learned {
                        self.learn(ctx, shape).await;
                    }
                    return Ok(Done { raw: reply.body, ..Done::default() });
                }
                Err(Miss { fault, other_shape: true }) => {
                    tracing::debug!(shape = shape.word(), log = fault.log, "the cloud does not take this shape");
                    first.get_or_insert(fault);
                }
                Err(Miss { fault, other_shape: false }) => return Err(fault),
            }
        }
        // The refusal of what works elsewhere says more than those of its elders.
        Err(first.unwrap_or_else(|| client::refused("every known shape of the command")))
    }

    async fn learned(&self, ctx: &dyn Ctx) -> Shape {
        let mut shape = self.shape.lock().await;
        if let Some(shape) = *shape {
            return shape;
        }
        match ctx.kept(SHAPE).await {
            Ok(kept) => *shape.insert(kept.and_then(|word| Shape::of(word.reveal())).unwrap_or(Shape::Command)),
            Err(error) => {
                tracing::warn!(%error, "the learned shape could not be read");
                Shape::Command
            }
        }
    }

    async fn learn(&self, ctx: &dyn Ctx, shape: Shape) {
        *self.shape.lock().await = Some(shape);
        tracing::info!(shape = shape.word(), "this cloud wants another shape of lock commands; it is remembered");
        if let Err(error) = ctx.keep(SHAPE, Secret::new(shape.word().into())).await {
            tracing::warn!(%error, "the learned shape could not be written down");
        }
    }

    /// The vendor's own calls, for support.
    async fn support(&self, ctx: &dyn Ctx, name: &str) -> Result<Done, Fault> {
        let (call, payload) = match name {
            "whoami" => (WHO, json!({})),
            "devices" => (DISCOVERY, json!({})),
            "status" => {
                let answer = self.poll(ctx, Care::ASK).await?;
                return Ok(Done { output: answer.clone().unwrap_or_default(), raw: answer, ..Done::default() });
            }
            _ => return Err(refuse("Known calls are whoami, devices and status.", Reason::BadRequest)),
        };
        let Reply { body, .. } = self.cloud.call(ctx, call, &payload, Care::ASK).await?;
        Ok(Done { output: body.clone().unwrap_or_default(), raw: body, ..Done::default() })
    }
}

impl Driver for Utec {
    fn about(&self) -> &About {
        &self.about
    }

    fn act<'a>(&'a self, ctx: &'a dyn Ctx, target: &'a Target, action: Action) -> BoxFuture<'a, Result<Done, Fault>> {
        Box::pin(self.act_on(ctx, target, action))
    }

    fn watch<'a>(&'a self, ctx: &'a dyn Ctx, stop: BoxFuture<'a, ()>) -> BoxFuture<'a, ()> {
        Box::pin(self.watch_until(ctx, stop))
    }
}

/// The vendor's token endpoint, as this account uses it.
fn endpoint(config: &Config, http: &Http) -> Endpoint {
    Endpoint {
        http: http.oauth().clone(),
        url: config.oauth_url("/token"),
        client: vec![("client_id", Secret::from(config.access_key.as_str())), ("client_secret", config.secret_key.clone())],
        ahead: config.refresh_buffer,
        renews: config.auto_refresh,
        unknown_client: "The vendor does not accept the account's keys. Compare access key and secret key with the app, then sign in again.",
    }
}

pub(crate) fn refuse(person: &str, reason: Reason) -> Fault {
    Fault::refused(person, person).because(reason)
}
