//! The account's tokens: kept before they are used, renewed by one caller at a time, and never asked for again once
//! the vendor has called them dead.

use crate::{Endpoint, Grant, Trouble, ask};
use doorward_core::{
    Mono, Secret,
    driver::{Ctx, Fault, Lease, Report},
};
use doorward_wire::{Time, attempt::Reason};
use serde::{Deserialize, Serialize};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// The one lease of an account.
pub const LEASE: &str = "oauth";
/// Where the tokens are kept.
const KEY: &str = "tokens";
/// How long a token is taken to live when the vendor gave it just now and did not say: long enough not to renew all
/// the time, short against the week that is usual.
const UNSAID_LIFE: Duration = Duration::from_hours(1);

/// A pair of tokens.
#[derive(Debug, Clone, Deserialize)]
pub struct Tokens {
    /// Goes into `Authorization`.
    pub access_token: Secret<String>,
    /// Buys the next pair.
    #[serde(default)]
    pub refresh_token: Option<Secret<String>>,
    /// The word before the token in `Authorization`.
    pub token_type: String,
    /// When the access token ends; unknown for tokens of another program.
    #[serde(default)]
    pub expires: Option<Time>,
    /// How long it lived when it was new.
    #[serde(default)]
    pub life_seconds: Option<u64>,
    /// The vendor will not renew these any more.
    #[serde(default)]
    dead: bool,
}

/// The same, as it is written.
#[derive(Serialize)]
struct Written<'a> {
    access_token: &'a str,
    refresh_token: Option<&'a str>,
    token_type: &'a str,
    expires: Option<Time>,
    life_seconds: Option<u64>,
    dead: bool,
}

impl Tokens {
    /// Tokens that were asked for at `asked`. Without a new refresh token the old one goes on (RFC 6749, section 6).
    fn fresh(grant: Grant, old: Option<Secret<String>>, asked: Time) -> Self {
        let life = grant.expires_in.unwrap_or(UNSAID_LIFE);
        Self {
            access_token: grant.access_token,
            refresh_token: grant.refresh_token.or(old),
            token_type: grant.token_type,
            expires: Some(asked.plus(life)),
            life_seconds: Some(life.as_secs()),
            dead: false,
        }
    }

    /// Tokens of another program, of which nobody may know when they end.
    pub fn foreign(grant: Grant, now: Time) -> Self {
        match grant.expires_in {
            Some(_) => Self::fresh(grant, None, now),
            None => Self { expires: None, life_seconds: None, ..Self::fresh(grant, None, now) },
        }
    }

    fn written(&self) -> Secret<Vec<u8>> {
        let written = Written {
            access_token: self.access_token.reveal(),
            refresh_token: self.refresh_token.as_ref().map(|token| token.reveal().as_str()),
            token_type: &self.token_type,
            expires: self.expires,
            life_seconds: self.life_seconds,
            dead: self.dead,
        };
        // Texts and numbers can always be written.
        Secret::new(serde_json::to_vec(&written).unwrap_or_default())
    }

    fn lease(&self, endpoint: &Endpoint, fresh: bool) -> Lease {
        let margin = endpoint.renews.then_some(endpoint.ahead);
        let made = self.expires.zip(self.life_seconds).map(|(expires, life)| expires.minus(Duration::from_secs(life)));
        Lease { id: LEASE.into(), kind: "oauth_token", not_after: self.expires, margin, made, fresh }
    }
}

/// What goes into `Authorization`, and which renewal it comes from.
#[derive(Debug)]
pub struct Bearer {
    /// The whole value of the header.
    pub authorization: Secret<String>,
    generation: u64,
}

/// How the account stands with its vendor, as far as tokens tell.
#[derive(Debug)]
pub enum Standing {
    /// Nobody has signed in.
    New,
    /// There are tokens.
    SignedIn,
    /// The vendor has ended them.
    Ended(Fault),
}

/// The account's tokens.
pub struct Keeper {
    endpoint: Endpoint,
    state: Mutex<State>,
    /// Held by the one who renews. Others go on with the old token as long as it lives.
    flight: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    loaded: bool,
    tokens: Option<Arc<Tokens>>,
    /// When they end by the monotonic clock: holds when the wall clock is moved back.
    end: Option<Mono>,
    /// Counts up with each change of `tokens`.
    generation: u64,
    /// Given by the vendor, but not on disk yet: not to be used, and not to be lost either.
    unkept: Option<Tokens>,
    /// Set when the vendor has called the refresh token dead.
    ended: Option<Fault>,
    /// How many renewals have ended, and how the last one did.
    renewals: u64,
    last: Option<Fault>,
}

impl Keeper {
    /// The tokens that this endpoint gives.
    pub fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, state: Mutex::default(), flight: tokio::sync::Mutex::default() }
    }

    /// One request to the endpoint.
    pub async fn ask(&self, ctx: &dyn Ctx, fields: &[(&str, &str)]) -> Result<Grant, Trouble> {
        ask(ctx, &self.endpoint, fields).await
    }

    /// A token to send. One that has ended is renewed first.
    pub async fn bearer(&self, ctx: &dyn Ctx) -> Result<Bearer, Fault> {
        self.load(ctx).await?;
        let (tokens, generation) = self.current()?;
        let (now, end) = (ctx.now(), self.state().end);
        if tokens.expires.is_some_and(|expires| expires <= now.utc) || end.is_some_and(|end| end <= now.mono) {
            return self.renew(ctx, Some(generation)).await;
        }
        Ok(bearer(&tokens, generation))
    }

    /// The tokens as they are, to be handed to another program.
    pub async fn tokens(&self, ctx: &dyn Ctx) -> Result<Arc<Tokens>, Fault> {
        self.load(ctx).await?;
        self.current().map(|(tokens, _)| tokens)
    }

    /// The token after that of `stale`, with which the vendor was not content. Whoever comes while one renews waits
    /// for it and shares what comes of it.
    pub async fn renew_after(&self, ctx: &dyn Ctx, stale: &Bearer) -> Result<Bearer, Fault> {
        self.renew(ctx, Some(stale.generation)).await
    }

    /// Renews now, whatever the present token is worth.
    pub async fn renew_now(&self, ctx: &dyn Ctx) -> Result<(), Fault> {
        self.load(ctx).await?;
        self.renew(ctx, None).await.map(|_| ())
    }

    /// Renews, unless the token of the generation `not` is no longer the present one.
    async fn renew(&self, ctx: &dyn Ctx, not: Option<u64>) -> Result<Bearer, Fault> {
        let seen = self.state().renewals;
        let _flight = self.flight.lock().await;
        let (renewals, last) = {
            let state = self.state();
            (state.renewals, state.last.clone())
        };
        if renewals != seen
            && let Some(fault) = last
        {
            return Err(fault);
        }
        let (tokens, generation) = self.current()?;
        if renewals != seen || not.is_some_and(|not| not != generation) {
            return Ok(bearer(&tokens, generation));
        }
        let outcome = self.refresh(ctx, &tokens).await;
        {
            let mut state = self.state();
            state.renewals += 1;
            state.last = outcome.as_ref().err().cloned();
        }
        if let Err(fault) = &outcome {
            tracing::warn!(family = ?fault.family, log = fault.log, "Token refresh failed");
        }
        outcome?;
        let (tokens, generation) = self.current()?;
        Ok(bearer(&tokens, generation))
    }

    async fn refresh(&self, ctx: &dyn Ctx, tokens: &Tokens) -> Result<(), Fault> {
        let unkept = self.state().unkept.clone();
        if let Some(unkept) = unkept {
            return self.renewed(ctx, unkept).await;
        }
        let asked = ctx.now().utc;
        if tokens.expires.is_none_or(|expires| expires <= asked.plus(self.endpoint.ahead)) {
            tracing::info!("Token expired or expiring soon");
        }
        let Some(refresh_token) = &tokens.refresh_token else {
            return Err(self.end(ctx, tokens, "there is no refresh token").await);
        };
        let form = [("grant_type", "refresh_token"), ("refresh_token", refresh_token.reveal().as_str())];
        match ask(ctx, &self.endpoint, &form).await {
            Ok(grant) => {
                let fresh = Tokens::fresh(grant, tokens.refresh_token.clone(), asked);
                self.renewed(ctx, fresh).await
            }
            Err(Trouble::Denied { word, .. }) if word == "invalid_grant" => {
                Err(self.end(ctx, tokens, "the vendor answered invalid_grant").await)
            }
            Err(Trouble::Denied { word, status }) => {
                // The account's settings are wrong rather than its tokens, so this is not written down: with other
                // settings the tokens are tried again.
                let fault = Fault::auth(self.endpoint.unknown_client, format!("/token answered {status} {word}"))
                    .because(Reason::NeedsSignIn)
                    .status(status);
                self.state().ended = Some(fault.clone());
                Err(fault)
            }
            Err(Trouble::Fault(fault)) => Err(fault),
        }
    }

    /// The vendor will not renew these tokens: nobody asks it again until a person has signed in.
    async fn end(&self, ctx: &dyn Ctx, tokens: &Tokens, log: &str) -> Fault {
        let fault = ended(log);
        self.state().ended = Some(fault.clone());
        let dead = Tokens { dead: true, ..tokens.clone() };
        if let Err(error) = ctx.keep(KEY, dead.written()).await {
            tracing::warn!(%error, "that the sign-in has ended could not be written down");
        }
        fault
    }

    async fn renewed(&self, ctx: &dyn Ctx, tokens: Tokens) -> Result<(), Fault> {
        let lease = tokens.lease(&self.endpoint, true);
        self.adopt(ctx, tokens).await?;
        ctx.report(Report::Lease(lease));
        tracing::info!("Access token refreshed successfully");
        Ok(())
    }

    /// Puts new tokens on disk, and only then into use.
    async fn adopt(&self, ctx: &dyn Ctx, tokens: Tokens) -> Result<(), Fault> {
        let written = tokens.written();
        self.state().unkept = Some(tokens.clone());
        ctx.keep(KEY, written).await?;
        let mut state = self.state();
        state.loaded = true;
        state.unkept = None;
        state.ended = None;
        state.generation += 1;
        state.end = end_of(&tokens, ctx);
        state.tokens = Some(Arc::new(tokens));
        Ok(())
    }

    /// A person signed the account in.
    pub async fn sign_in(&self, ctx: &dyn Ctx, grant: Grant, asked: Time) -> Result<Arc<Tokens>, Fault> {
        let _flight = self.flight.lock().await;
        let tokens = Tokens::fresh(grant, None, asked);
        self.accept(ctx, tokens, true).await
    }

    /// Another program signed the account in.
    pub async fn import(&self, ctx: &dyn Ctx, tokens: Tokens) -> Result<Arc<Tokens>, Fault> {
        let _flight = self.flight.lock().await;
        let fresh = tokens.expires.is_some();
        self.accept(ctx, tokens, fresh).await
    }

    async fn accept(&self, ctx: &dyn Ctx, tokens: Tokens, fresh: bool) -> Result<Arc<Tokens>, Fault> {
        let lease = tokens.lease(&self.endpoint, fresh);
        if let Err(fault) = self.adopt(ctx, tokens).await {
            // Whoever signs in sees the error and can do it again.
            self.state().unkept = None;
            return Err(fault);
        }
        ctx.report(Report::SignedIn);
        ctx.report(Report::Lease(lease));
        self.current().map(|(tokens, _)| tokens)
    }

    /// How the account stands.
    pub async fn standing(&self, ctx: &dyn Ctx) -> Result<Standing, Fault> {
        self.load(ctx).await?;
        let state = self.state();
        Ok(match (&state.ended, &state.tokens) {
            (Some(fault), _) => Standing::Ended(fault.clone()),
            (None, Some(_)) => Standing::SignedIn,
            (None, None) => Standing::New,
        })
    }

    /// The lease of the tokens as they were read back.
    pub fn lease(&self) -> Option<Lease> {
        self.state().tokens.as_ref().map(|tokens| tokens.lease(&self.endpoint, false))
    }

    /// Ends when nobody renews.
    pub async fn settled(&self) {
        drop(self.flight.lock().await);
    }

    async fn load(&self, ctx: &dyn Ctx) -> Result<(), Fault> {
        if self.state().loaded {
            return Ok(());
        }
        let _flight = self.flight.lock().await;
        if self.state().loaded {
            return Ok(());
        }
        let tokens = match ctx.kept(KEY).await? {
            None => None,
            Some(bytes) => Some(serde_json::from_slice::<Tokens>(bytes.reveal()).map_err(|error| {
                // Its text could show a part of a token: only where it went wrong is told.
                let log = format!("the kept tokens cannot be read (line {}, column {})", error.line(), error.column());
                Fault::auth("The kept sign-in cannot be read. Sign in again.", log).because(Reason::NeedsSignIn)
            })?),
        };
        let mut state = self.state();
        state.loaded = true;
        state.ended = tokens.as_ref().filter(|tokens| tokens.dead).map(|_| ended("the vendor ended it earlier"));
        state.end = tokens.as_ref().and_then(|tokens| end_of(tokens, ctx));
        state.tokens = tokens.map(Arc::new);
        Ok(())
    }

    fn current(&self) -> Result<(Arc<Tokens>, u64), Fault> {
        let state = self.state();
        match (&state.ended, &state.tokens) {
            (Some(fault), _) => Err(fault.clone()),
            (None, Some(tokens)) => Ok((Arc::clone(tokens), state.generation)),
            (None, None) => {
                Err(Fault::auth("Nobody has signed in to this account yet. Sign in.", "no tokens are kept").because(Reason::NeedsSignIn))
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn end_of(tokens: &Tokens, ctx: &dyn Ctx) -> Option<Mono> {
    tokens.expires.map(|expires| ctx.now().mono_at(expires))
}

fn bearer(tokens: &Tokens, generation: u64) -> Bearer {
    Bearer { authorization: Secret::new(format!("{} {}", tokens.token_type, tokens.access_token.reveal())), generation }
}

fn ended(log: &str) -> Fault {
    Fault::auth("The vendor has ended this sign-in. Sign in to the account again.", log).because(Reason::NeedsSignIn)
}
