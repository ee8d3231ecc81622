//! How far the account is set up, and how well each part of it is, for people.

use crate::{
    book::{Book, Entry},
    driver::Bticino,
    gateway::Standing,
    plants::{Inventory, Plant},
    sip::tls::fingerprint,
};
use doorward_core::driver::{Ctx, Fault, Report};
use doorward_oauth::Standing as SignIn;
use doorward_wire::account::{Stage, StageState};
use std::sync::PoisonError;

/// The part of the set-up that is under way, or at which it broke off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Doing {
    /// The gateway, and its name.
    pub(crate) gateway: (String, String),
    /// Which part.
    pub(crate) part: Part,
    /// Why it broke off, for a person.
    pub(crate) failed: Option<String>,
}

/// A part of the set-up at a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Registration,
    Certificate,
}

impl Bticino {
    /// Sign-in, then for each gateway its registration, certificate and connection.
    pub(crate) async fn stages(&self, ctx: &dyn Ctx) -> Vec<Stage> {
        match self.book(ctx).await.map(|book| book.clone()) {
            Ok(book) => self.stages_by(ctx, &book).await,
            Err(_) => vec![self.sign_in_stage(ctx).await],
        }
    }

    /// The set-up goes on with this part: tells it to whoever looks.
    pub(crate) async fn goes_on(&self, ctx: &dyn Ctx, book: &Book, doing: Doing) {
        *self.doing() = Some(doing);
        ctx.report(Report::Stages(self.stages_by(ctx, book).await));
    }

    async fn stages_by(&self, ctx: &dyn Ctx, book: &Book) -> Vec<Stage> {
        let mut stages = vec![self.sign_in_stage(ctx).await];
        stages.extend(self.gateway_stages(ctx, book));
        if let Some(doing) = &*self.doing() {
            // With one gateway or none, nothing is said of which.
            let alone = book.gateways.keys().all(|known| *known == doing.gateway.0);
            doing.mark(&mut stages, alone);
        }
        stages.extend(self.authority_stage(book));
        stages
    }

    fn gateway_stages(&self, ctx: &dyn Ctx, book: &Book) -> Vec<Stage> {
        if book.gateways.is_empty() {
            let todo = |name: &str, label: &str| stage(name, label.into(), StageState::Todo, None);
            return vec![todo("registration", "Registration"), todo("certificate", "Certificate"), todo("connection", "Connection")];
        }
        let mut stages = Vec::new();
        let several = book.gateways.len() > 1;
        for (id, entry) in &book.gateways {
            let name = |what: &str| if several { format!("{what}:{id}") } else { what.to_owned() };
            let of = if several { format!(" of {}", entry.name) } else { String::new() };
            let (state, detail) = if self.inventory().lacks(id) {
                let text = "The vendor does not list this gateway any more. If it was deleted in the app, forget it under Set up.";
                (StageState::Failed, text.to_owned())
            } else {
                (StageState::Done, format!("Client {}", entry.account.client_id))
            };
            stages.push(stage(&name("registration"), format!("Registration{of}"), state, Some(detail)));
            stages.push(certificate(&name("certificate"), format!("Certificate{of}"), entry, ctx));
            stages.push(self.connection(&name("connection"), format!("Connection{of}"), id, entry, self.believes(book)));
        }
        stages
    }

    /// Whether it is known whom to believe.
    fn believes(&self, book: &Book) -> bool {
        !book.authorities.is_empty() || self.cloud.config.pin_sha256.is_some()
    }

    /// Whom the account believes. An account that was imported may not know yet.
    fn authority_stage(&self, book: &Book) -> Option<Stage> {
        if book.gateways.is_empty() || self.cloud.config.pin_sha256.is_some() {
            return None;
        }
        let (state, detail) = match book.offered.first() {
            Some(offered) => {
                let text = format!("The vendor names another one now: {}. Compare it before you take it.", fingerprint(offered));
                (StageState::Failed, text)
            }
            None if book.authorities.is_empty() => {
                let text = "The server's authority is not known yet: sign in so that the vendor can name it, or set the pinned SIP server.";
                (StageState::Todo, text.to_owned())
            }
            None => (StageState::Done, book.pinned().join(", ")),
        };
        Some(stage("authority", "Pinned authority (SHA-256)".into(), state, Some(detail)))
    }

    async fn sign_in_stage(&self, ctx: &dyn Ctx) -> Stage {
        let (state, detail) = match self.cloud.tokens.standing(ctx).await {
            Ok(SignIn::SignedIn) => (StageState::Done, None),
            Ok(SignIn::New) => {
                let failed = self.last_sign_in.lock().unwrap_or_else(PoisonError::into_inner).clone();
                (if failed.is_some() { StageState::Failed } else { StageState::Todo }, failed)
            }
            Ok(SignIn::Ended(fault)) | Err(fault) => (StageState::Failed, Some(fault.person)),
        };
        stage("sign_in", "Sign-in".into(), state, detail)
    }

    fn connection(&self, name: &str, label: String, gateway: &str, entry: &Entry, believes: bool) -> Stage {
        let standing = self.live().get(gateway).map_or(Standing::Idle, |gateway| gateway.standing());
        let (state, detail) = match standing {
            Standing::Idle if entry.certificate.is_none() || !believes => (StageState::Todo, None),
            Standing::Idle | Standing::Connecting => (StageState::Doing, None),
            Standing::Connected { registered: true, .. } => (StageState::Done, None),
            Standing::Connected { registered: false, .. } => {
                (StageState::Doing, Some("Connected; the bell does not ring here yet, since the server has not registered us.".into()))
            }
            Standing::Away { why } => (StageState::Doing, Some(format!("No connection ({why}); it is made again by itself."))),
            Standing::Refused { person, .. } => (StageState::Failed, Some(person)),
        };
        stage(name, label, state, detail)
    }

    /// The SIP server was not the pinned one.
    pub(crate) fn doubt(&self) {
        *self.doubted.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.bell.notify_one();
    }

    /// Fills in what an import left open: to which plant a gateway belongs, and whom to believe.
    pub(crate) async fn complete(&self, ctx: &dyn Ctx, plants: &[Plant], inventory: &Inventory) -> Result<(), Fault> {
        let mut book = self.book(ctx).await?;
        let mut changed = false;
        for (id, entry) in &mut book.gateways {
            let Some(gateway) = inventory.gateways.iter().find(|gateway| gateway.id == *id) else { continue };
            if entry.plant.is_empty() {
                entry.plant.clone_from(&gateway.plant);
                entry.name = plants.iter().find(|plant| plant.id == gateway.plant).map_or_else(|| id.clone(), |plant| plant.name.clone());
                changed = true;
            }
        }
        if !book.gateways.is_empty() && !self.believes(&book) {
            book.authorities = self.cloud.authorities(ctx).await?;
            changed = true;
        }
        if !changed {
            return Ok(());
        }
        book.keep(ctx).await?;
        let ids: Vec<String> = book.gateways.keys().cloned().collect();
        drop(book);
        for id in ids {
            self.reload(ctx, &id).await?;
        }
        Ok(())
    }
}

impl Doing {
    /// Marks its part among the stages.
    fn mark(&self, stages: &mut Vec<Stage>, alone: bool) {
        let (id, gateway) = &self.gateway;
        let (name, label) = match self.part {
            Part::Registration => ("registration", "Registration"),
            Part::Certificate => ("certificate", "Certificate"),
        };
        let state = if self.failed.is_some() { StageState::Failed } else { StageState::Doing };
        let detail = self.failed.clone().or_else(|| Some(gateway.clone()));
        let own = format!("{name}:{id}");
        match stages.iter_mut().find(|stage| stage.name == own || alone && stage.name == name) {
            Some(known) => (known.state, known.detail) = (state, detail),
            None => stages.push(stage(&own, format!("{label} of {gateway}"), state, detail)),
        }
    }
}

fn certificate(name: &str, label: String, entry: &Entry, ctx: &dyn Ctx) -> Stage {
    let Some(certificate) = &entry.certificate else { return stage(name, label, StageState::Todo, None) };
    let until = certificate.until.timestamp().strftime("%Y-%m-%d");
    let (state, word) =
        if certificate.until <= ctx.now().utc { (StageState::Failed, "It ended on") } else { (StageState::Done, "Good until") };
    stage(name, label, state, Some(format!("{word} {until}")))
}

fn stage(name: &str, label: String, state: StageState, detail: Option<String>) -> Stage {
    Stage { name: name.to_owned(), label, state, detail }
}
