//! What the house asks of an account.

use crate::digest::Credentials;
use crate::{
    about, api,
    api::{Call, Cloud},
    book::{Book, gateway_of_lease},
    config::Config,
    gateway::{Gateway, Setup, Standing, Told},
    plants::{self, Inventory},
    proxy::Proxy,
    signin::bad,
    sip::{
        CallEnd, Patience,
        session::{End, Happening, Identity, Refusal},
        tls::{Tls, TlsError, Trust},
    },
    stages::Doing,
};
use doorward_core::{
    Secret,
    driver::{About, Action, BoxFuture, Ctx, Done, Driver, Fault, Mistake, Once, Report, Settings, Target},
};
use doorward_oauth::{Endpoint, Keeper, LEASE};
use doorward_wire::{attempt::Reason, ring::RingState};
use serde_json::json;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::{MappedMutexGuard, Notify};

/// Bytes of what a gateway says by itself that are logged, at most.
const LOGGED: usize = 200;

/// One account at BTicino or Legrand.
pub struct Bticino {
    about: About,
    pub(crate) cloud: Cloud,
    /// Read at the first use; held during a change, so that one comes after the other.
    book: tokio::sync::Mutex<Option<Book>>,
    inventory: Mutex<Inventory>,
    gateways: Mutex<BTreeMap<String, Arc<Gateway>>>,
    /// A sign-in that is served on this machine.
    pub(crate) sign_in: Mutex<Option<Proxy>>,
    /// Why the last sign-in on this machine failed.
    pub(crate) last_sign_in: Mutex<Option<String>>,
    /// The part of the set-up that is under way, or at which it broke off.
    doing: Mutex<Option<Doing>>,
    /// The doors are to be listed now.
    pub(crate) wanted: Mutex<bool>,
    /// The SIP server was not the pinned one.
    pub(crate) doubted: Mutex<bool>,
    /// Rings when the watch has something to do before its time.
    pub(crate) bell: Notify,
    /// Rings when there may be one more gateway.
    pub(crate) grown: Notify,
}

pub(crate) fn build(settings: &Settings) -> Result<Arc<dyn Driver>, Vec<Mistake>> {
    Ok(Arc::new(Bticino::new(Config::parse(settings)?)?))
}

impl Bticino {
    /// A driver for one account. An error means that the TLS settings cannot be used.
    pub fn new(config: Config) -> Result<Self, Vec<Mistake>> {
        let client = |base, key: &str| {
            doorward_http::client(base, &config.trust).map_err(|mistake| {
                let key = if mistake.key == "url" { key.into() } else { mistake.key };
                vec![Mistake { key, ..mistake }]
            })
        };
        let http = client(&config.api_url, "api_url")?;
        let endpoint = Endpoint {
            http: client(&config.login_url, "login_url")?,
            url: format!("{}?p={}", config.oauth_url("token"), config.policy),
            client: vec![("client_id", Secret::from(config.client_id.as_str())), ("scope", Secret::from(config.scope.as_str()))],
            ahead: config.refresh_buffer,
            renews: true,
            unknown_client: "The vendor does not know the app that doorward stands for. Look for a newer doorward, then sign in again.",
        };
        Ok(Self {
            about: about::about(),
            cloud: Cloud { tokens: Keeper::new(endpoint), config, http },
            book: tokio::sync::Mutex::default(),
            inventory: Mutex::default(),
            gateways: Mutex::default(),
            sign_in: Mutex::default(),
            last_sign_in: Mutex::default(),
            doing: Mutex::default(),
            wanted: Mutex::default(),
            doubted: Mutex::default(),
            bell: Notify::new(),
            grown: Notify::new(),
        })
    }

    async fn act_on(&self, ctx: &dyn Ctx, target: &Target, action: Action) -> Result<Done, Fault> {
        match (action, target) {
            (Action::Open(once), Target::Door { external, .. }) => self.open(ctx, external, once).await,
            (Action::Refresh, Target::Door { external, .. }) => self.look_at(ctx, external).await,
            (Action::Refresh | Action::Discover, Target::Account) | (Action::Discover, Target::Door { .. }) => {
                let (_, inventory) = self.look(ctx).await?;
                self.tell_found(ctx, &inventory).await?;
                Ok(Done::default())
            }
            (Action::Renew(lease), Target::Account | Target::Door { .. }) => self.renew(ctx, &lease).await,
            (Action::Setup { step, input }, Target::Account | Target::Door { .. }) => self.step(ctx, &step, &input).await,
            (Action::Call(name), Target::Account | Target::Door { .. }) => self.support(ctx, &name).await,
            (Action::EndRing { call, end }, Target::Account | Target::Door { .. }) => self.end_ring(&call, end),
            (Action::Lock(_) | Action::Unlock(_), Target::Account | Target::Door { .. }) => {
                Err(refuse("This door has no bolt: it is opened for a moment.", Reason::NotCapable))
            }
            (Action::Credential(_) | Action::Deliver(_), Target::Account | Target::Door { .. }) => {
                Err(refuse("BTicino has nothing of this kind.", Reason::NotCapable))
            }
            (Action::Open(_), Target::Account) => Err(refuse("Say which door this is about.", Reason::BadRequest)),
        }
    }

    async fn step(&self, ctx: &dyn Ctx, step: &str, input: &Secret<String>) -> Result<Done, Fault> {
        match step {
            "start" => self.start(ctx, input).await,
            "exchange" => self.exchange(ctx, input).await,
            "refresh" => self.renew(ctx, LEASE).await,
            "plants" => self.list_plants(ctx).await,
            "register" => self.register(ctx, input).await,
            "forget" => self.forget(ctx, input).await,
            "trust" => self.trust(ctx, input).await,
            "import" => self.import(ctx, input).await,
            "export" => self.export(ctx, input).await,
            "subscribe" => self.subscribe(ctx, input).await,
            _ => Err(refuse("A BTicino account has no such step.", Reason::BadRequest)),
        }
    }

    async fn renew(&self, ctx: &dyn Ctx, lease: &str) -> Result<Done, Fault> {
        if let Some(gateway) = gateway_of_lease(lease) {
            return self.renew_certificate(ctx, gateway).await;
        }
        if lease != LEASE {
            return Err(refuse("This account has no such lease.", Reason::BadRequest));
        }
        let tokens = &self.cloud.tokens;
        tokens.renew_now(ctx).await?;
        Ok(Done::said(json!({ "renewed": true, "expires_at": tokens.lease().and_then(|lease| lease.not_after) })))
    }

    /// Opens a gate: once, over the gateway's one connection.
    pub(crate) async fn open(&self, ctx: &dyn Ctx, external: &str, once: Once) -> Result<Done, Fault> {
        once.check(ctx.now())?;
        let (gateway, gate) = plants::parts(external).ok_or_else(|| refuse("This door is none of BTicino's.", Reason::BadRequest))?;
        let gateway = self.gateway(ctx, gateway).await?;
        match gateway.open(ctx, gate, once, &|gateway, told| self.told(ctx, gateway, told)).await? {
            End::Accepted { key } => Ok(Done { key: Some(key), ..Done::default() }),
            End::Refused(refusal) => Err(refused(&refusal)),
            End::Stale(fault) => Err(fault),
            End::NotSent => {
                let person = "There is no connection to the vendor's server just now, so nothing was sent. Try again in a moment.";
                Err(Fault::offline(person, format!("no connection for gateway {}: {:?}", gateway.id, gateway.standing()))
                    .because(Reason::Offline))
            }
            End::Unanswered { key } => {
                let person = "The vendor's server did not answer. Look at the gate before you try again: the command may have arrived.";
                let fault = Fault::timeout(person, "MESSAGE was sent and not answered").because(Reason::OutcomeUnknown);
                // The gate itself may still say what became of it.
                Err(Fault { key, ..fault })
            }
        }
    }

    /// Nobody can look at a gate; whether the vendor has it and reaches it can be asked.
    async fn look_at(&self, ctx: &dyn Ctx, external: &str) -> Result<Done, Fault> {
        let requested = ctx.now().mono;
        let (_, inventory) = self.look(ctx).await?;
        let opener = inventory.openers.iter().find(|opener| opener.external() == external);
        let opener = opener
            .ok_or_else(|| refuse("The vendor does not know this door any more. Was it deleted in the app?", Reason::VendorRefused))?;
        let sight = inventory.sight(opener, requested);
        Ok(Done { raw: sight.raw.clone(), sight: Some(sight), ..Done::default() })
    }

    fn end_ring(&self, call: &str, end: RingState) -> Result<Done, Fault> {
        // Ours is one of several phones: the others go on ringing.
        let status = if end == RingState::Rejected { 486 } else { 480 };
        let known = self.live().values().find(|gateway| gateway.has_call(call)).cloned();
        match known {
            Some(gateway) if gateway.end_call(call, status) => Ok(Done::default()),
            Some(_) | None => Err(refuse("It does not ring any more.", Reason::BadRequest)),
        }
    }

    /// The vendor's own calls, for support.
    async fn support(&self, ctx: &dyn Ctx, name: &str) -> Result<Done, Fault> {
        let (name, id) = name.split_once(':').map_or((name, None), |(name, id)| (name, Some(id)));
        let call = match name {
            "plants" => Call::plants(),
            "plant" => Call::plant(&self.plant_named(ctx, id).await?),
            "modules" => Call::modules(),
            "module" => Call::module(&self.module_named(ctx, id).await?),
            "consents" => Call::consents(),
            "sip_accounts" => Call::sip_accounts(&self.gateway_named(ctx, id).await?),
            "subscription" => Call::subscription(&self.gateway_named(ctx, id).await?),
            "ca_certificates" => Call::ca_certificates(),
            "status" => return Ok(Done::said(json!(self.stages(ctx).await))),
            _ => return Err(refuse(&format!("Known calls are {}.", about::CALLS.join(", ")), Reason::BadRequest)),
        };
        Ok(Done::said(api::masked(self.cloud.call(ctx, &call).await?)))
    }

    async fn plant_named(&self, ctx: &dyn Ctx, id: Option<&str>) -> Result<String, Fault> {
        let Some(id) = id else {
            let (plants, _) = self.look(ctx).await?;
            return plants.into_iter().next().map(|plant| plant.id).ok_or_else(|| bad("This account has no plant."));
        };
        Ok(id.to_owned())
    }

    async fn module_named(&self, ctx: &dyn Ctx, id: Option<&str>) -> Result<String, Fault> {
        let Some(id) = id else {
            let (_, inventory) = self.look(ctx).await?;
            return inventory.gateways.into_iter().next().map(|gateway| gateway.id).ok_or_else(|| bad("This account has no module."));
        };
        Ok(id.to_owned())
    }

    /// A gateway by its identifier, or the first registered one, or the first one.
    pub(crate) async fn gateway_named(&self, ctx: &dyn Ctx, id: Option<&str>) -> Result<String, Fault> {
        if let Some(id) = id {
            return Ok(id.to_owned());
        }
        if let Some(id) = self.book(ctx).await?.gateways.keys().next() {
            return Ok(id.clone());
        }
        self.module_named(ctx, None).await
    }

    pub(crate) async fn book(&self, ctx: &dyn Ctx) -> Result<MappedMutexGuard<'_, Book>, Fault> {
        let mut book = self.book.lock().await;
        if book.is_none() {
            *book = Some(Book::load(ctx).await?);
        }
        tokio::sync::MutexGuard::try_map(book, Option::as_mut)
            .map_err(|_| Fault::offline("The registration is not read yet.", "the book is empty right after it was read"))
    }

    pub(crate) fn doing(&self) -> MutexGuard<'_, Option<Doing>> {
        self.doing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn inventory(&self) -> MutexGuard<'_, Inventory> {
        self.inventory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn live(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Gateway>>> {
        self.gateways.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A registered gateway with its connection set up.
    async fn gateway(&self, ctx: &dyn Ctx, id: &str) -> Result<Arc<Gateway>, Fault> {
        // A gate is opened whatever the vendor is asked meanwhile: what is being registered holds the book.
        let known = self.live().get(id).cloned();
        if let Some(gateway) = known {
            return Ok(gateway);
        }
        self.set_up_gateways(ctx).await?;
        let known = self.live().get(id).cloned();
        known.ok_or_else(|| refuse("The gateway of this door is not registered. Finish the account's set-up.", Reason::NeedsSignIn))
    }

    /// Sets the connections up as they are registered.
    pub(crate) async fn set_up_gateways(&self, ctx: &dyn Ctx) -> Result<(), Fault> {
        let book = self.book(ctx).await?;
        for id in book.gateways.keys() {
            if !self.live().contains_key(id) {
                let gateway = Gateway::new(id);
                gateway.set_up(self.setup(&book, id));
                self.live().insert(id.clone(), Arc::new(gateway));
            }
        }
        Ok(())
    }

    /// A gateway is registered differently: its connection is made anew, or handed over.
    pub(crate) async fn reload(&self, ctx: &dyn Ctx, id: &str) -> Result<(), Fault> {
        let book = self.book(ctx).await?;
        let known = self.live().get(id).cloned();
        if let Some(gateway) = known {
            gateway.set_up(self.setup(&book, id));
        }
        self.bell.notify_one();
        Ok(())
    }

    fn setup(&self, book: &Book, id: &str) -> Result<Setup, Standing> {
        let config = &self.cloud.config;
        let entry = book.gateways.get(id).ok_or(Standing::Idle)?;
        let certificate = entry.certificate.as_ref().ok_or(Standing::Idle)?;
        let trust = match config.pin_sha256 {
            Some(pin) => Trust::Pin(pin),
            None if book.authorities.is_empty() => return Err(Standing::Idle),
            None => Trust::Authorities(book.authorities.clone()),
        };
        let tls = Tls::new(&trust, &certificate.for_tls());
        let tls = tls.inspect_err(|error| tracing::error!(gateway = id, %error, "there is no TLS for this gateway"));
        let tls = tls.map_err(|error| without_tls(&error))?;
        let identity = Identity {
            who: Credentials { username: entry.account.sip_user(), password: entry.account.password.clone() },
            domain: config.domain(id),
            server: config.sip_server.host.clone(),
            agent: concat!("doorward/", env!("CARGO_PKG_VERSION")).into(),
        };
        Ok(Setup { server: config.sip_server.clone(), identity: Arc::new(identity), tls, patience: config.patience })
    }

    /// What a gateway tells.
    pub(crate) fn told(&self, ctx: &dyn Ctx, gateway: &Gateway, told: Told) {
        match told {
            Told::Standing => {
                if let Standing::Refused { log, .. } = gateway.standing() {
                    tracing::warn!(gateway = gateway.id, log, "a person is needed");
                }
                self.bell.notify_one();
            }
            Told::NotTrusted => self.doubt(),
            Told::Happening(happening) => self.happened(ctx, gateway, happening),
        }
    }

    fn happened(&self, ctx: &dyn Ctx, gateway: &Gateway, happening: Happening) {
        match happening {
            Happening::Rings { call, name, user } => {
                // Two connections during a hand-over ring once.
                let door = self.inventory().door_of_ring(&gateway.id, name.as_deref(), user.as_deref());
                let Some(external) = door else {
                    return tracing::warn!(gateway = gateway.id, "somebody rings where no door is known");
                };
                if gateway.begin_call(&call) {
                    ctx.report(Report::Ring { external, call, from: name.or(user) });
                }
            }
            Happening::RingOver { call, end } => {
                // Who is told busy after a moment goes on ringing elsewhere: the house is not told that it is over.
                let told_busy = end == CallEnd::Timeout && gateway.patience() != Patience::default();
                if gateway.forget_call(&call) && !told_busy {
                    let end = match end {
                        CallEnd::Cancelled => RingState::Cancelled,
                        CallEnd::Elsewhere => RingState::AnsweredElsewhere,
                        CallEnd::Timeout => RingState::Timeout,
                    };
                    ctx.report(Report::RingEnded { call, end });
                }
            }
            Happening::Replied { gate, key, outcome } => {
                let outcome = outcome.map_err(|said| {
                    Fault::refused(format!("The gate refused: {said}."), format!("JSON-RPC error: {said}")).because(Reason::VendorRefused)
                });
                ctx.report(Report::Answer { external: format!("{}/{gate}", gateway.id), key, outcome });
            }
            Happening::Said(body) => {
                let said: String = String::from_utf8_lossy(&body).chars().filter(|c| !c.is_control()).take(LOGGED).collect();
                tracing::info!(gateway = gateway.id, said, "the gateway sent a message");
            }
            Happening::Registered(_) | Happening::NotRegistered(_) | Happening::Opened { .. } => {}
        }
    }
}

impl Driver for Bticino {
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

/// How a gateway stands with which nobody can speak.
fn without_tls(error: &TlsError) -> Standing {
    let person = match error {
        TlsError::Certificate(_) => {
            "The client certificate and its key cannot be used, or do not belong together. Register again with a new certificate."
        }
        TlsError::Authorities(_) => {
            "The pinned authority of the SIP server is damaged. Set the account up anew, or set the pinned SIP server."
        }
        TlsError::NoProvider => "This program was started without cryptography.",
    };
    Standing::Refused { person: person.to_owned(), log: error.to_string() }
}

/// The server refused an opening.
fn refused(refusal: &Refusal) -> Fault {
    let person = match refusal.status {
        404 => "The gateway does not know this gate any more. Was it deleted in the app?".to_owned(),
        403 => "The vendor's server does not allow this account to open the gate.".to_owned(),
        _ if refusal.wrong_password => "The vendor's server does not accept the SIP password. Register the account again.".to_owned(),
        408 | 480 | 487 => "The gateway cannot be reached just now. Is it switched on and online?".to_owned(),
        status => format!("The vendor's server refused to open the gate ({status} {}).", refusal.reason),
    };
    let reason = if refusal.wrong_password { Reason::NeedsSignIn } else { Reason::VendorRefused };
    let mut fault = Fault::refused(person, format!("MESSAGE was answered {} {}", refusal.status, refusal.reason)).because(reason);
    fault.retry_after = refusal.retry_after;
    fault
}

pub(crate) fn refuse(person: &str, reason: Reason) -> Fault {
    Fault::refused(person, person).because(reason)
}
