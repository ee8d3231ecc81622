//! Signing in: the steps that a person takes, and taking over what the older client was given.

use crate::{
    book::{Certificate, Entry},
    certificate,
    driver::Bticino,
    files::{self, Files, SavedCertificate, SavedTokens, SipAccount},
    proxy::{self, Proxy},
};
use doorward_core::{
    Secret,
    driver::{Ctx, Done, Fault, Report, step_input},
};
use doorward_oauth::{
    Tokens, Trouble,
    authorization::{self, Proof},
};
use doorward_wire::attempt::Reason;
use reqwest::Url;
use serde::Deserialize;
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Start {
    /// The browser is on this machine: the sign-in page is served here.
    #[serde(default)]
    here: bool,
    /// Signs in anew although the vendor may remember somebody.
    #[serde(default)]
    anew: bool,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exchange {
    #[serde(default)]
    code: Option<Secret<String>>,
    #[serde(default)]
    callback_url: Option<Secret<String>>,
}

impl Bticino {
    /// The address of the vendor's sign-in page.
    pub(crate) async fn start(&self, ctx: &dyn Ctx, input: &Secret<String>) -> Result<Done, Fault> {
        let input: Start = step_input(input)?;
        let config = &self.cloud.config;
        let begun = authorization::begin(ctx, &config.redirect_url, Proof::Pkce).await?;
        let mut url = Url::parse(&config.oauth_url("authorize")).map_err(|_| bad("Check the sign-in address of the account."))?;
        url.query_pairs_mut()
            .append_pair("client_id", &config.client_id)
            .append_pair("redirect_uri", &config.redirect_url)
            .append_pair("response_type", "code")
            .append_pair("scope", &config.scope)
            .append_pair("p", &config.policy)
            .append_pair("state", &begun.state)
            .append_pair("code_challenge", begun.challenge.as_deref().unwrap_or_default())
            .append_pair("code_challenge_method", "S256");
        if input.anew {
            url.query_pairs_mut().append_pair("prompt", "login");
        }
        tracing::debug!(target: "doorward::trace", path = url.path(), "sign-in begins in a browser");
        let mut said = json!({ "authorize_url": url.as_str(), "state": begun.state });
        if input.here {
            let proxy = Proxy::start(&url, &config.trust, proxy::PORT, proxy::LIFE).await.map_err(|error| {
                Fault::offline("doorward could not serve the sign-in page on this machine. Paste the address instead.", error.to_string())
            })?;
            said["here"] = json!(proxy.url().as_str());
            self.serve_sign_in(proxy);
        }
        Ok(Done::said(said))
    }

    /// Turns the code that the browser brought back into tokens.
    pub(crate) async fn exchange(&self, ctx: &dyn Ctx, input: &Secret<String>) -> Result<Done, Fault> {
        let input: Exchange = step_input(input)?;
        let given = [input.callback_url, input.code].into_iter().flatten().find(|text| !text.reveal().trim().is_empty());
        self.exchange_code(ctx, &given.ok_or_else(|| bad("Paste the whole address at which the browser ended."))?).await
    }

    pub(crate) async fn exchange_code(&self, ctx: &dyn Ctx, pasted: &Secret<String>) -> Result<Done, Fault> {
        let returned = authorization::finish(ctx, pasted).await?;
        let verifier = returned.verifier.as_ref().map_or("", |verifier| verifier.reveal());
        let form = [
            ("grant_type", "authorization_code"),
            ("code", returned.code.reveal()),
            ("redirect_uri", returned.redirect_url.as_str()),
            ("code_verifier", verifier),
        ];
        let asked = ctx.now().utc;
        let grant = self.cloud.tokens.ask(ctx, &form).await.map_err(|trouble| match trouble {
            Trouble::Fault(fault) => fault,
            Trouble::Denied { word, status } => denied(&word, status),
        })?;
        let tokens = self.cloud.tokens.sign_in(ctx, grant, asked).await?;
        self.watch_now();
        Ok(Done::said(json!({ "signed_in": true, "expires_at": tokens.expires })))
    }

    /// Takes over the files of the older client.
    pub(crate) async fn import(&self, ctx: &dyn Ctx, input: &Secret<String>) -> Result<Done, Fault> {
        let given: BTreeMap<String, Value> = step_input(input)?;
        // Everything is read before anything is taken.
        let mut files = Files::default();
        for (name, file) in given.iter().filter(|(_, file)| !file.is_null()) {
            files.add(&file_text(file)).map_err(|error| bad(&format!("{name} cannot be used: {error}.")))?;
        }
        let Files { tokens, account, certificate: saved } = files;
        let certificate = saved.as_ref().map(read_certificate).transpose()?;
        if tokens.is_none() && account.is_none() {
            return Err(bad("Give token_cache.json or sip_account.json, as the older client wrote them."));
        }
        if certificate.is_some() && account.is_none() {
            return Err(bad("A certificate belongs to a SIP account: give sip_account.json with it."));
        }
        let tokens = tokens.map(|tokens| read_tokens(ctx, &tokens)).transpose()?;
        let gateway = account.as_ref().map(|account| self.gateway_of(account)).transpose()?;
        if let Some(tokens) = tokens {
            self.cloud.tokens.import(ctx, tokens).await?;
        }
        if let Some((gateway, account)) = gateway.as_ref().zip(account) {
            self.import_account(ctx, gateway, account, certificate).await?;
        }
        self.watch_now();
        Ok(Done::said(json!({ "imported": true, "gateway": gateway })))
    }

    /// The gateway at which a SIP account is one.
    fn gateway_of(&self, account: &SipAccount) -> Result<String, Fault> {
        let suffix = format!(".{}", self.cloud.config.sip_domain);
        let gateway = account.domain().strip_suffix(&suffix).filter(|id| !id.is_empty()).map(str::to_owned);
        gateway.ok_or_else(|| bad("The sipUri of sip_account.json is not one of this account's SIP domain."))
    }

    async fn import_account(
        &self,
        ctx: &dyn Ctx,
        gateway: &str,
        account: SipAccount,
        certificate: Option<Certificate>,
    ) -> Result<(), Fault> {
        let mut book = self.book(ctx).await?;
        if book.gateways.is_empty() {
            // The vendor knows this installation by its number: it stays the same.
            book.client_id.clone_from(&account.client_id);
        }
        let lease = certificate.as_ref().map(|certificate| certificate.lease(gateway, None));
        let entry = match book.gateways.get(gateway).cloned() {
            // A certificate is one of the client's number.
            Some(known) => {
                let own = known.certificate.filter(|_| known.account.client_id == account.client_id);
                Entry { account, certificate: certificate.or(own), ..known }
            }
            // The plant is looked up by the watch.
            None => Entry { plant: String::new(), name: gateway.to_owned(), account, certificate },
        };
        book.gateways.insert(gateway.to_owned(), entry);
        book.keep(ctx).await?;
        drop(book);
        if let Some(lease) = lease {
            ctx.report(Report::Lease(lease));
        }
        self.reload(ctx, gateway).await
    }

    /// The three files of the older client, with their secrets.
    pub(crate) async fn export(&self, ctx: &dyn Ctx, input: &Secret<String>) -> Result<Done, Fault> {
        #[derive(Default, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Which {
            #[serde(default)]
            gateway: Option<String>,
        }
        let which: Which = step_input(input)?;
        let gateway = self.gateway_named(ctx, which.gateway.as_deref()).await?;
        let tokens = self.cloud.tokens.tokens(ctx).await?;
        let received = tokens.expires.zip(tokens.life_seconds).map(|(expires, life)| expires.minus(Duration::from_secs(life)));
        let saved = SavedTokens {
            access_token: tokens.access_token.clone(),
            refresh_token: tokens.refresh_token.clone(),
            received,
            expires: tokens.expires,
        };
        let book = self.book(ctx).await?;
        let entry = book.gateways.get(&gateway).ok_or_else(|| bad("No gateway is registered yet."))?;
        let certificate = entry.certificate.as_ref().map(|certificate| SavedCertificate {
            certificate: certificate.chain.iter().map(|der| certificate::to_pem("CERTIFICATE", der)).collect(),
            key: Secret::new(certificate::to_pem("PRIVATE KEY", certificate.key.reveal())),
        });
        let read = |text: Secret<String>| serde_json::from_str::<Value>(text.reveal()).unwrap_or_default();
        Ok(Done::said(json!({
            files::TOKENS: read(saved.write()),
            files::ACCOUNT: read(entry.account.write()),
            files::CERTIFICATE: certificate.map(|certificate| read(certificate.write())),
        })))
    }
}

/// A file is given as it stands: as its text or as its JSON.
fn file_text(file: &Value) -> String {
    file.as_str().map_or_else(|| file.to_string(), str::to_owned)
}

fn read_tokens(ctx: &dyn Ctx, tokens: &SavedTokens) -> Result<Tokens, Fault> {
    let now = ctx.now().utc;
    // What has ended is renewed at its first use.
    let lives = tokens.expires.map(|expires| expires.since(now).max(Duration::from_secs(1)).as_secs());
    let body = json!({
        "access_token": tokens.access_token.reveal(),
        "refresh_token": tokens.refresh_token.as_ref().map(|token| token.reveal().as_str()),
        "expires_in": lives,
    });
    let doorward_oauth::Meaning::Granted(grant) = doorward_oauth::meaning(body.to_string().as_bytes()) else {
        return Err(bad("There are no usable tokens in token_cache.json."));
    };
    Ok(Tokens::foreign(grant, now))
}

fn read_certificate(saved: &SavedCertificate) -> Result<Certificate, Fault> {
    let chain = certificate::from_pem(&saved.certificate);
    let key = certificate::key_from_pem(saved.key.reveal());
    let key = key.ok_or_else(|| bad("The key of client-certs.json is not one of PKCS #8 (BEGIN PRIVATE KEY)."))?;
    let certificate = Certificate::new(chain, key).ok_or_else(|| bad("There is no certificate in client-certs.json."))?;
    certificate.for_tls().check().map_err(|error| {
        let person = "The certificate and the key of client-certs.json cannot be used, or do not belong together.";
        Fault::refused(person, error.to_string()).because(Reason::BadRequest)
    })?;
    Ok(certificate)
}

fn denied(word: &str, status: u16) -> Fault {
    let person = match word {
        "invalid_grant" => "The vendor does not accept this code. It works once and for a few minutes: start again.",
        _ => "The vendor's sign-in refused. Start again; if that does not help, compare the account's settings with the defaults.",
    };
    Fault::refused(person, format!("/token answered {status} {word}")).because(Reason::VendorRefused).status(status)
}

pub(crate) fn bad(person: &str) -> Fault {
    Fault::refused(person, person).because(Reason::BadRequest)
}
