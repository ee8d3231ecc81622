//! The driver for a program of its own, without a house around it.

use crate::{
    about::FIELDS,
    config::Config,
    driver::{Bticino, refuse},
    files::{ACCOUNT, CERTIFICATE, Files, TOKENS},
    standalone::Standalone,
};
use doorward_core::{
    Secret,
    driver::{Action, BoxFuture, Ctx as _, Driver as _, Fault, FieldKind, Found, Mistake, Once, Settings, Target},
};
use doorward_wire::attempt::Reason;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// How long a command may wait for a connection before it is stale.
const FRESH: Duration = Duration::from_secs(10);

/// Settings that cannot be used: every mistake at once.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct Mistakes(pub Vec<Mistake>);

/// The settings of an account from the environment: `BTICINO_SUBSCRIPTION_KEY`, and a variable for each other field of
/// [`about`](crate::about()) that is not to be its default.
pub fn settings_from_environment() -> Settings {
    let mut settings = Settings::default();
    for field in FIELDS {
        let Ok(value) = std::env::var(format!("BTICINO_{}", field.name.to_ascii_uppercase())) else { continue };
        if field.kind == FieldKind::Secret {
            settings.secrets.insert(field.name.to_owned(), Secret::new(value));
        } else {
            settings.values.insert(field.name.to_owned(), Value::from(value));
        }
    }
    settings
}

/// One account, as a program uses it that has no house: signing in, registering, opening.
///
/// What it can do beyond that (bells, renewing ahead of time, the vendor's other calls) is done by [`Self::driver`] with
/// [`Self::ctx`], as the house does it.
pub struct Client {
    driver: Bticino,
    ctx: Standalone,
}

impl Client {
    /// An account with these settings, and with what was kept of it.
    pub fn new(settings: &Settings, ctx: Standalone) -> Result<Self, Mistakes> {
        // A program that has chosen another provider of cryptography keeps it.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let driver = Config::parse(settings).and_then(Bticino::new).map_err(Mistakes)?;
        Ok(Self { driver, ctx })
    }

    /// Begins a sign-in: gives the address of the vendor's page, for a browser. It is good for ten minutes.
    pub async fn sign_in_url(&self) -> Result<String, Fault> {
        let begun = self.step("start", &json!({})).await?;
        Ok(begun.get("authorize_url").and_then(Value::as_str).unwrap_or_default().to_owned())
    }

    /// Ends it: takes the whole address at which the browser ended. It begins with the scheme of the vendor's app, so the
    /// browser cannot go there, and shows it in its bar or its console.
    pub async fn sign_in(&self, ended_at: &Secret<String>) -> Result<(), Fault> {
        self.driver.exchange_code(&self.ctx, ended_at).await.map(drop)
    }

    /// Registers at every gateway of the account, and gets a certificate for each. What was done before is not done again.
    pub async fn register(&self) -> Result<(), Fault> {
        self.step("register", &json!({})).await.map(drop)
    }

    /// Whether a registration is kept.
    pub async fn is_registered(&self) -> Result<bool, Fault> {
        Ok(!self.driver.book(&self.ctx).await?.gateways.is_empty())
    }

    /// The original's three files, of the first gateway.
    pub async fn export(&self) -> Result<Files, Fault> {
        let exported = self.step("export", &json!({})).await?;
        let mut files = Files::default();
        for file in exported.as_object().into_iter().flat_map(Map::values).filter(|file| !file.is_null()) {
            files.add(&file.to_string()).map_err(|error| refuse(&format!("The account is not complete: {error}."), Reason::NeedsSignIn))?;
        }
        Ok(files)
    }

    /// Takes the three files over, and asks the vendor which authority the SIP server has.
    pub async fn import(&self, files: &Files) -> Result<(), Fault> {
        let texts = files.texts();
        let texts = texts.iter().map(|text| text.as_ref().map(|text| text.reveal().as_str()));
        let given: Map<String, Value> = [TOKENS, ACCOUNT, CERTIFICATE].into_iter().map(str::to_owned).zip(texts.map(Value::from)).collect();
        self.step("import", &Value::from(given)).await?;
        self.driver.look_around(&self.ctx).await
    }

    /// The doors behind the registered gateways, as the vendor lists them now.
    pub async fn doors(&self) -> Result<Vec<Found>, Fault> {
        let (_, inventory) = self.driver.look(&self.ctx).await?;
        Ok(inventory.found(&self.driver.registered(&self.ctx).await?))
    }

    /// Opens a door, by its [`Found::external`], at most once. `Ok` says that the vendor took the command, not that anything
    /// moved; [`Family::Timeout`](doorward_core::driver::Family) that it was sent and nobody knows.
    ///
    /// While nobody watches, a connection is made for it. [`Self::watch`] keeps one warm, over which a door opens in one
    /// round trip.
    pub async fn open(&self, external: &str) -> Result<(), Fault> {
        let once = Once { not_after: self.ctx.now().utc.plus(FRESH) };
        self.driver.open(&self.ctx, external, once).await.map(drop)
    }

    /// Keeps a connection to each gateway warm, renews what ends, and reports bells, until `stop` ends.
    pub async fn watch(&self, stop: BoxFuture<'_, ()>) {
        self.driver.watch(&self.ctx, stop).await;
    }

    /// The driver, for everything else.
    pub const fn driver(&self) -> &Bticino {
        &self.driver
    }

    /// What the driver was given.
    pub const fn ctx(&self) -> &Standalone {
        &self.ctx
    }

    async fn step(&self, step: &str, input: &Value) -> Result<Value, Fault> {
        let action = Action::Setup { step: step.to_owned(), input: Secret::new(input.to_string()) };
        self.driver.act(&self.ctx, &Target::Account, action).await.map(|done| done.output)
    }
}
