//! Signing in: the steps that a person takes, and taking over what another program was given.

use crate::{client::Care, config, driver::Utec, push};
use doorward_core::{
    Secret,
    driver::{Ctx, Done, Fault},
};
use doorward_oauth::{self as oauth, Grant, Tokens, Trouble};
use doorward_wire::{Time, attempt::Reason};
use reqwest::Url;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::time::Duration;
use subtle::ConstantTimeEq;

/// Where the sign-in that waits for its code is kept.
const KEY: &str = "signin";
/// How long it waits.
const PATIENCE: Duration = Duration::from_mins(10);

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Start {
    #[serde(default)]
    redirect_url: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exchange {
    #[serde(default)]
    code: Option<Secret<String>>,
    #[serde(default)]
    callback_url: Option<Secret<String>>,
    #[serde(default)]
    reveal: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    access_token: Secret<String>,
    #[serde(default)]
    refresh_token: Option<Secret<String>>,
    #[serde(default)]
    token_type: Option<String>,
    #[serde(default)]
    expires_in: Option<Value>,
}

/// A sign-in that waits for its code.
#[derive(Serialize, Deserialize)]
struct Pending {
    state: String,
    redirect_url: String,
    expires: Time,
}

/// What the browser brought back.
struct Callback {
    code: Secret<String>,
    state: Option<String>,
}

impl Utec {
    /// The address of the vendor's sign-in page. Each has a state of its own, which is good once and for ten minutes.
    pub(crate) async fn start(&self, ctx: &dyn Ctx, input: &Secret<String>) -> Result<Done, Fault> {
        let input: Start = parse(input)?;
        let config = &self.cloud.config;
        let redirect_url = match input.redirect_url.filter(|url| !url.trim().is_empty()) {
            Some(url) => Some(config::redirect(&url).ok_or_else(|| bad("The redirect address must begin with http:// or https://."))?),
            None => config.redirect_url.clone(),
        };
        let redirect_url =
            redirect_url.ok_or_else(|| bad("Set the account's redirect address, exactly as it is set in the app under OpenAPI."))?;
        let state = push::random::<16>(ctx).reveal().clone();
        let pending = Pending { state: state.clone(), redirect_url: redirect_url.clone(), expires: ctx.now().utc.plus(PATIENCE) };
        ctx.keep(KEY, Secret::new(serde_json::to_vec(&pending).unwrap_or_default())).await?;
        let mut url = Url::parse(&config.oauth_url("/authorize")).map_err(|_| bad("Check the sign-in address of the account."))?;
        // The vendor wants the secret here too, where other sign-ins do not.
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &config.access_key)
            .append_pair("client_secret", config.secret_key.reveal())
            .append_pair("redirect_uri", &redirect_url)
            .append_pair("scope", &config.scope)
            .append_pair("state", &state);
        Ok(output(json!({ "authorize_url": url.as_str(), "state": state })))
    }

    /// Turns the code that the browser brought back into tokens.
    pub(crate) async fn exchange(&self, ctx: &dyn Ctx, input: &Secret<String>) -> Result<Done, Fault> {
        let input: Exchange = parse(input)?;
        let given = [input.callback_url, input.code].into_iter().flatten().find(|text| !text.reveal().trim().is_empty());
        let pasted = given.ok_or_else(|| bad("Paste the code, or the whole address at which the browser ended."))?;
        let callback = callback(pasted.reveal())?;
        let pending = self.pending(ctx).await?;
        if let Some(state) = &callback.state
            && !bool::from(state.as_bytes().ct_eq(pending.state.as_bytes()))
        {
            return Err(bad("This address belongs to another sign-in. Start again and paste the newest one."));
        }
        // It is used up whatever comes of it.
        ctx.keep(KEY, Secret::new(Vec::new())).await?;
        let form =
            [("grant_type", "authorization_code"), ("code", callback.code.reveal().as_str()), ("redirect_uri", &pending.redirect_url)];
        let asked = ctx.now().utc;
        let grant = self.cloud.tokens.ask(ctx, &form).await.map_err(|trouble| match trouble {
            Trouble::Fault(fault) => fault,
            Trouble::Denied { word, status } => denied(&word, status),
        })?;
        let tokens = self.cloud.tokens.sign_in(ctx, grant, asked).await?;
        if let Err(fault) = self.discover(ctx, Care::POLL).await {
            tracing::warn!(log = fault.log, "signed in, but the locks could not be listed yet");
        }
        self.watch_now();
        Ok(output(signed_in(&tokens, input.reveal)))
    }

    /// Takes over tokens that another program was given.
    pub(crate) async fn take_tokens(&self, ctx: &dyn Ctx, input: &Secret<String>) -> Result<Done, Fault> {
        let given: Given = parse(input)?;
        // The same checks as for an answer of the vendor.
        let refresh_token = given.refresh_token.as_ref().map(|token| token.reveal().as_str());
        let body = json!({
            "access_token": given.access_token.reveal(), "refresh_token": refresh_token,
            "token_type": given.token_type, "expires_in": given.expires_in,
        });
        let body = Secret::new(body.to_string().into_bytes());
        let oauth::Meaning::Granted(grant) = oauth::meaning(body.reveal()) else {
            return Err(bad("These are no tokens: access_token is empty or holds a space."));
        };
        let grant: Grant = grant;
        let tokens = Tokens::foreign(grant, ctx.now().utc);
        let tokens = self.cloud.tokens.import(ctx, tokens).await?;
        self.watch_now();
        Ok(output(signed_in(&tokens, false)))
    }

    async fn pending(&self, ctx: &dyn Ctx) -> Result<Pending, Fault> {
        let kept = ctx.kept(KEY).await?;
        kept.and_then(|bytes| serde_json::from_slice::<Pending>(bytes.reveal()).ok())
            .filter(|pending| ctx.now().utc <= pending.expires)
            .ok_or_else(|| bad("No sign-in is waiting for a code, or it waited longer than ten minutes. Start again."))
    }
}

fn signed_in(tokens: &Tokens, reveal: bool) -> Value {
    let mut shown = json!({ "signed_in": true, "expires_at": tokens.expires });
    if reveal && let Value::Object(fields) = &mut shown {
        fields.insert("access_token".into(), json!(tokens.access_token.reveal()));
        fields.insert("refresh_token".into(), json!(tokens.refresh_token.as_ref().map(|token| token.reveal().as_str())));
        fields.insert("token_type".into(), json!(tokens.token_type));
        fields.insert("expires_in".into(), json!(tokens.life_seconds));
    }
    shown
}

fn denied(word: &str, status: u16) -> Fault {
    let person = match word {
        "invalid_grant" => "The vendor does not accept this code. It works once and for a few minutes: start again.",
        "invalid_client" | "unauthorized_client" => {
            "The vendor does not accept the account's keys. Compare access key and secret key with the app."
        }
        _ => "The vendor's sign-in refused. Check the account's settings, above all the redirect address, and start again.",
    };
    Fault::refused(person, format!("/token answered {status} {word}")).because(Reason::VendorRefused).status(status)
}

/// Reads what was pasted: a bare code, `code=…`, or a whole address with `authorization_code=` or `code=`.
fn callback(pasted: &str) -> Result<Callback, Fault> {
    let pasted = pasted.trim();
    let query = match Url::parse(pasted) {
        Ok(url) if url.scheme().starts_with("http") => Some(url.query().unwrap_or_default().to_owned()),
        _ if pasted.contains("code=") || pasted.contains("error=") => {
            Some(pasted.rsplit_once('?').map_or(pasted, |(_, query)| query).split('#').next().unwrap_or_default().to_owned())
        }
        _ => None,
    };
    let Some(query) = query else {
        let plain = !pasted.is_empty() && pasted.bytes().all(|byte| byte.is_ascii_graphic());
        return if plain { Ok(Callback { code: Secret::from(pasted), state: None }) } else { Err(bad("This is no code.")) };
    };
    let mut url = Url::parse("http://localhost/").map_err(|_| bad("This is no address."))?;
    url.set_query(Some(&query));
    let field =
        |wanted: &str| url.query_pairs().find(|(name, value)| name == wanted && !value.is_empty()).map(|(_, value)| value.into_owned());
    match field("authorization_code").or_else(|| field("code")) {
        Some(code) => Ok(Callback { code: Secret::new(code), state: field("state") }),
        None if field("error").is_some() => Err(bad("Access was not allowed on the vendor's page. Start again and allow it.")),
        None => Err(bad("There is no code in this address. Paste the address at which the browser ended after signing in.")),
    }
}

/// The input of a step: JSON, where nothing at all stands for an empty object.
pub(crate) fn parse<T: DeserializeOwned>(input: &Secret<String>) -> Result<T, Fault> {
    let text = input.reveal().trim();
    let text = if text.is_empty() { "{}" } else { text };
    serde_json::from_str(text).map_err(|error| {
        // Its text could show a part of a secret: only its kind and place are told.
        let log = format!("{:?} error in the input of a step, column {}", error.classify(), error.column());
        Fault::refused("The input of this step is not what it needs.", log).because(Reason::BadRequest)
    })
}

pub(crate) fn output(output: Value) -> Done {
    Done { output, ..Done::default() }
}

fn bad(person: &str) -> Fault {
    Fault::refused(person, person).because(Reason::BadRequest)
}
