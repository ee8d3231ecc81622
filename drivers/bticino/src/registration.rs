//! Registering at the vendor: plants → gateways → SIP account → certificate. Each step is kept before the next one, and
//! one that was done before is not done again.

use crate::{
    api::{Call, not_understood},
    book::{Book, Certificate, Entry, lease_of},
    certificate,
    csr::{self, Subject},
    driver::Bticino,
    files::SipAccount,
    plants::{self, Gateway, Inventory, Plant},
    sip::tls::fingerprint,
    stages::{Doing, Part},
};
use doorward_core::{
    Secret,
    driver::{Ctx, Done, Fault, Milestone, Report, step_input},
};
use doorward_wire::attempt::Reason;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Where it is kept what the vendor listed last.
const CATALOGUE: &str = "catalogue";

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    /// The plants; all of them when it is left out.
    #[serde(default)]
    plants: Option<Vec<String>>,
    /// New certificates, even where the old ones are good.
    #[serde(default)]
    certificate: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Forgotten {
    gateway: String,
}

/// Fingerprints that a person has compared: all that were offered, so that none is trusted unseen.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Accepted {
    sha256: Compared,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Compared {
    One(String),
    Several(Vec<String>),
}

impl Bticino {
    /// The plants of the account, and how far each gateway is registered.
    pub(crate) async fn list_plants(&self, ctx: &dyn Ctx) -> Result<Done, Fault> {
        let (plants, inventory) = self.look(ctx).await?;
        let book = self.book(ctx).await?.clone();
        let offered: Vec<String> = book.offered.iter().map(|der| fingerprint(der)).collect();
        let gateway = |gateway: &Gateway| {
            let entry = book.gateways.get(&gateway.id);
            let doors = inventory.openers.iter().filter(|opener| opener.gateway == gateway.id).map(|opener| opener.name.as_str());
            json!({
                "id": gateway.id, "name": gateway.name, "doors": doors.collect::<Vec<_>>(), "registered": entry.is_some(),
                "certificate_until": entry.and_then(|entry| Some(entry.certificate.as_ref()?.until)),
            })
        };
        let shown = plants.iter().map(|plant| {
            let gateways = inventory.gateways.iter().filter(|known| known.plant == plant.id).map(gateway);
            json!({ "id": plant.id, "name": plant.name, "gateways": gateways.collect::<Vec<_>>() })
        });
        let unlisted = book.gateways.iter().filter(|(id, _)| inventory.lacks(id));
        let unlisted = unlisted.map(|(id, entry)| json!({ "id": id, "name": entry.name }));
        Ok(Done::said(json!({
            "plants": shown.collect::<Vec<_>>(), "unlisted": unlisted.collect::<Vec<_>>(),
            "authorities": book.pinned(), "offered": offered,
        })))
    }

    /// Registers at the gateways of some plants. Doing it twice changes nothing.
    pub(crate) async fn register(&self, ctx: &dyn Ctx, input: &Secret<String>) -> Result<Done, Fault> {
        let wish: Wish = step_input(input)?;
        let (plants, inventory) = self.look(ctx).await?;
        if let Some(unknown) = wish.plants.iter().flatten().find(|wanted| !plants.iter().any(|plant| plant.id == **wanted)) {
            let log = format!("plant {unknown} is not one of the account's");
            return Err(Fault::refused("There is no such plant in this account.", log).because(Reason::BadRequest));
        }
        let wanted = |plant: &&Plant| wish.plants.as_ref().is_none_or(|wanted| wanted.contains(&plant.id));
        let mut done = Vec::new();
        for plant in plants.iter().filter(wanted) {
            for gateway in inventory.gateways.iter().filter(|gateway| gateway.plant == plant.id) {
                let enrolled = self.enrol(ctx, plant, gateway, wish.certificate).await;
                self.went(&enrolled);
                enrolled?;
                done.push(gateway.id.clone());
            }
        }
        if done.is_empty() {
            let person = "There is no gateway in these plants. Connect the indoor unit to the vendor's app first.";
            return Err(Fault::refused(person, "no module is a gateway").because(Reason::NotCapable));
        }
        self.tell_found(ctx, &inventory).await?;
        self.watch_now();
        let pinned = self.book(ctx).await?.pinned();
        Ok(Done::said(json!({ "gateways": done, "authorities": pinned })))
    }

    /// Everything that the account has.
    pub(crate) async fn look(&self, ctx: &dyn Ctx) -> Result<(Vec<Plant>, Inventory), Fault> {
        let plants = plants::plants(&self.cloud.list(ctx, &Call::plants(), "plants").await?);
        let modules = self.cloud.list(ctx, &Call::modules(), "modules").await?;
        let inventory = plants::inventory(&modules, &plants);
        let known = std::mem::replace(&mut *self.inventory(), inventory.clone());
        if known != inventory {
            // Who rings is known after a start too, when the vendor's API is away.
            let plants: Vec<&str> = plants.iter().map(|plant| plant.id.as_str()).collect();
            let kept = json!({ "plants": plants, "modules": modules });
            ctx.keep(CATALOGUE, Secret::new(kept.to_string().into_bytes())).await?;
        }
        Ok((plants, inventory))
    }

    /// What the vendor listed last, as an earlier run kept it.
    pub(crate) async fn remember_catalogue(&self, ctx: &dyn Ctx) -> Result<(), Fault> {
        let Some(kept) = ctx.kept(CATALOGUE).await? else { return Ok(()) };
        let kept: Value = serde_json::from_slice(kept.reveal()).unwrap_or_default();
        let plants = kept.get("plants").and_then(Value::as_array).into_iter().flatten();
        let plants: Vec<Plant> = plants.filter_map(|id| plants::plant(&json!({ "id": id }))).collect();
        let inventory = plants::inventory(kept.get("modules").unwrap_or(&Value::Null), &plants);
        let mut known = self.inventory();
        if *known == Inventory::default() {
            *known = inventory;
        }
        Ok(())
    }

    /// Notes that a part of the set-up is over, and how it ended. The watch tells it.
    fn went(&self, outcome: &Result<(), Fault>) {
        let mut doing = self.doing();
        match outcome {
            Ok(()) => *doing = None,
            Err(fault) => doing.iter_mut().for_each(|doing| doing.failed = Some(fault.person.clone())),
        }
        self.bell.notify_one();
    }

    /// One gateway, from its SIP account to its certificate.
    async fn enrol(&self, ctx: &dyn Ctx, plant: &Plant, gateway: &Gateway, forced: bool) -> Result<(), Fault> {
        let mut book = self.book(ctx).await?;
        let name = if plant.name == gateway.name { plant.name.clone() } else { format!("{}, {}", plant.name, gateway.name) };
        let doing = |part| Doing { gateway: (gateway.id.clone(), name.clone()), part, failed: None };
        self.goes_on(ctx, &book, doing(Part::Registration)).await;
        let known = book.gateways.get(&gateway.id).map(|entry| entry.account.clone());
        let (account, anew) = self.account(ctx, &book, gateway, known.as_ref()).await?;
        let certificate = book.gateways.get(&gateway.id).and_then(|entry| entry.certificate.clone()).filter(|_| !anew);
        let entry = Entry { plant: plant.id.clone(), name: name.clone(), account, certificate };
        book.gateways.insert(gateway.id.clone(), entry);
        book.keep(ctx).await?;
        self.goes_on(ctx, &book, doing(Part::Certificate)).await;
        if anew {
            let data = json!({ "gateway": gateway.id, "plant": plant.name });
            ctx.report(Report::Milestone { what: Milestone::Registered, data });
        }
        if book.authorities.is_empty() && self.cloud.config.pin_sha256.is_none() {
            book.authorities = self.cloud.authorities(ctx).await?;
            book.keep(ctx).await?;
            tracing::info!(authorities = ?book.pinned(), "the authorities of the vendor's SIP server are pinned");
        }
        let entry = book.gateways.get(&gateway.id);
        let due = entry.and_then(|entry| entry.certificate.as_ref()).is_none_or(|certificate| certificate.is_due(ctx.now().utc));
        let refused = self.live().get(&gateway.id).is_some_and(|gateway| gateway.wants_certificate());
        if forced || due || refused {
            self.certify(ctx, &mut book, plant, &gateway.id).await?;
        }
        drop(book);
        self.reload(ctx, &gateway.id).await
    }

    /// The SIP account of this installation at a gateway: the one that there is, or a new one. Says whether it is new here.
    async fn account(
        &self,
        ctx: &dyn Ctx,
        book: &Book,
        gateway: &Gateway,
        known: Option<&SipAccount>,
    ) -> Result<(SipAccount, bool), Fault> {
        // Who comes from the older client goes on with its number.
        let client_id = known.map_or(book.client_id.as_str(), |account| account.client_id.as_str());
        let own = |accounts: Vec<SipAccount>| accounts.into_iter().find(|account| account.client_id == client_id);
        if let Some(account) = own(self.cloud.sip_accounts(ctx, &gateway.id).await?) {
            let anew = known.is_none();
            return Ok((account, anew));
        }
        let bearer = self.cloud.tokens.bearer(ctx).await?;
        let token = bearer.authorization.reveal().split_once(' ').map(|(_, token)| Secret::from(token));
        let oid =
            token.as_ref().and_then(crate::api::object_id).ok_or_else(|| not_understood("the access token", "no oid or sub in it"))?;
        // A second start must not ask under a second number.
        book.keep(ctx).await?;
        let uri = format!("{oid}_{client_id}@{}", self.cloud.config.domain(&gateway.id));
        let call = Call::register(&gateway.id, client_id, &self.cloud.config.client_name, &uri);
        let answer = self.cloud.call(ctx, &call).await?;
        if let Some(account) = answer.as_object().and_then(|fields| SipAccount::read_fields(fields).ok()) {
            return Ok((account, true));
        }
        let account = own(self.cloud.sip_accounts(ctx, &gateway.id).await?);
        account.map(|account| (account, true)).ok_or_else(|| not_understood("sipaccount", "the new account is not among the gateway's"))
    }

    /// Asks for a certificate and keeps it.
    async fn certify(&self, ctx: &dyn Ctx, book: &mut Book, plant: &Plant, gateway: &str) -> Result<(), Fault> {
        let Some(entry) = book.gateways.get_mut(gateway) else { return Ok(()) };
        let plant = if plant.owner_email.is_empty() || plant.owner_id.is_empty() {
            let answer = self.cloud.call(ctx, &Call::plant(&plant.id)).await?;
            plants::plant(&answer).ok_or_else(|| not_understood("plant", "no id in it"))?
        } else {
            plant.clone()
        };
        let client_id = entry.account.client_id.clone();
        let sip_uri = format!("sip:{}_{client_id}@{}", plant.owner_id, self.cloud.config.domain(gateway));
        let subject = Subject { client_id, owner_email: plant.owner_email.clone(), sip_uri };
        let wrong = |error: csr::CsrError| not_understood("the plant", &error.to_string());
        let key = csr::new_key().map_err(wrong)?;
        let request = csr::request(&key, &subject).map_err(wrong)?;
        let answer = self.cloud.call(ctx, &Call::client_certificate(&plant, &request)).await?;
        let chain = certificate::in_answer(answer.get("cert").unwrap_or(&Value::Null));
        let certificate = Certificate::new(chain, key).ok_or_else(|| not_understood("clientCerts", "no certificate in it"))?;
        let first = entry.certificate.is_none();
        let (until, mark) = (certificate.until, certificate.chain.first().map(|der| fingerprint(der)));
        let lease = certificate.lease(gateway, Some(ctx.now().utc));
        entry.certificate = Some(certificate);
        // On disk before it is used.
        book.keep(ctx).await?;
        if first {
            let data = json!({ "gateway": gateway, "not_after": until, "sha256": mark });
            ctx.report(Report::Milestone { what: Milestone::CertificateCreated, data });
        }
        ctx.report(Report::Lease(lease));
        tracing::info!(gateway, %until, "a client certificate was issued");
        Ok(())
    }

    /// Renews the certificate of a gateway.
    pub(crate) async fn renew_certificate(&self, ctx: &dyn Ctx, gateway: &str) -> Result<Done, Fault> {
        let plant = self.book(ctx).await?.gateways.get(gateway).map(|entry| entry.plant.clone());
        let no_lease = || Fault::refused("This account has no such lease.", "no such gateway is registered").because(Reason::BadRequest);
        let plant = plants::plant(&self.cloud.call(ctx, &Call::plant(&plant.ok_or_else(no_lease)?)).await?);
        let plant = plant.ok_or_else(|| not_understood("plant", "no id in it"))?;
        let mut book = self.book(ctx).await?;
        self.certify(ctx, &mut book, &plant, gateway).await?;
        self.doing().take_if(|doing| doing.gateway.0 == gateway);
        let until = book.gateways.get(gateway).and_then(|entry| Some(entry.certificate.as_ref()?.until));
        drop(book);
        self.reload(ctx, gateway).await?;
        Ok(Done::said(json!({ "renewed": true, "expires_at": until })))
    }

    /// A gateway is not used any more, as when it was deleted at the vendor.
    pub(crate) async fn forget(&self, ctx: &dyn Ctx, input: &Secret<String>) -> Result<Done, Fault> {
        let Forgotten { gateway } = step_input(input)?;
        let mut book = self.book(ctx).await?;
        let Some(entry) = book.gateways.remove(&gateway) else {
            return Err(Fault::refused("No such gateway is registered.", format!("no gateway {gateway}")).because(Reason::BadRequest));
        };
        book.keep(ctx).await?;
        drop(book);
        if let Some(known) = self.live().remove(&gateway) {
            known.forget();
        }
        self.doing().take_if(|doing| doing.gateway.0 == gateway);
        ctx.report(Report::LeaseForgotten(lease_of(&gateway)));
        ctx.report(Report::Milestone { what: Milestone::Unregistered, data: json!({ "gateway": gateway, "name": entry.name }) });
        let left = self.registered(ctx).await?;
        let found = self.inventory().found(&left);
        ctx.report(Report::Found(found));
        self.bell.notify_one();
        Ok(Done::said(json!({ "forgotten": gateway, "gateways": left })))
    }

    /// A person compared the fingerprint of the vendor's new authority.
    pub(crate) async fn trust(&self, ctx: &dyn Ctx, input: &Secret<String>) -> Result<Done, Fault> {
        let accepted: Accepted = step_input(input)?;
        let mut book = self.book(ctx).await?;
        let compared = match accepted.sha256 {
            Compared::One(mark) => vec![mark],
            Compared::Several(marks) => marks,
        };
        let compared: BTreeSet<_> = compared.iter().map(|mark| doorward_http::parse_pin(mark)).collect();
        let offered: BTreeSet<_> = book.offered.iter().map(|der| doorward_http::parse_pin(&fingerprint(der))).collect();
        if offered.is_empty() || offered != compared {
            let person = "The vendor names no authority with this fingerprint, or another one beside it. Look at them again.";
            return Err(Fault::refused(person, "the offered authorities are not those that were compared").because(Reason::BadRequest));
        }
        book.authorities = std::mem::take(&mut book.offered);
        book.keep(ctx).await?;
        let (pinned, gateways) = (book.pinned(), book.gateways.keys().cloned().collect::<Vec<_>>());
        drop(book);
        for gateway in &gateways {
            self.reload(ctx, gateway).await?;
        }
        Ok(Done::said(json!({ "authorities": pinned })))
    }

    /// The SIP server was not the pinned one: looks whether the vendor names another authority now, for a person to compare.
    pub(crate) async fn look_for_authorities(&self, ctx: &dyn Ctx) -> Result<(), Fault> {
        if self.cloud.config.pin_sha256.is_some() {
            return Ok(());
        }
        let mut now = self.cloud.authorities(ctx).await?;
        now.sort();
        let mut book = self.book(ctx).await?;
        let mut known = book.authorities.clone();
        known.sort();
        // What was offered before and is not any more is no longer to be had.
        let offered = if now == known { Vec::new() } else { now };
        if book.offered != offered {
            book.offered = offered;
            book.keep(ctx).await?;
        }
        Ok(())
    }

    /// Registers a phone for the vendor's pushes.
    pub(crate) async fn subscribe(&self, ctx: &dyn Ctx, input: &Secret<String>) -> Result<Done, Fault> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Phone {
            handle: Secret<String>,
            platform: String,
            language: String,
            #[serde(default)]
            gateway: Option<String>,
        }
        let phone: Phone = step_input(input)?;
        let gateway = self.gateway_named(ctx, phone.gateway.as_deref()).await?;
        let device = {
            // The number of this installation is the same the next time.
            let book = self.book(ctx).await?;
            book.keep(ctx).await?;
            book.client_id.clone()
        };
        let body = json!({
            "deviceUniqueId": device, "handle": phone.handle.reveal(), "platform": phone.platform, "language": phone.language,
        });
        let answer = self.cloud.call(ctx, &Call::subscribe(&gateway, body)).await?;
        Ok(Done::said(crate::api::masked(answer)))
    }
}
