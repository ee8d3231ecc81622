//! Signing in: the steps that a person takes, and taking over what another program was given.

use crate::{client::Care, config, driver::Utec};
use doorward_core::{
    Secret,
    driver::{Ctx, Done, Fault, step_input},
};
use doorward_oauth::{
    self as oauth, Grant, Tokens, Trouble,
    authorization::{self, Proof},
};
use doorward_wire::attempt::Reason;
use reqwest::Url;
use serde::Deserialize;
use serde_json::{Value, json};

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

impl Utec {
    /// The address of the vendor's sign-in page. Each has a state of its own, which is good once and for ten minutes.
    pub(crate) async fn start(&self, ctx: &dyn Ctx, input: &Secret<String>) -> Result<Done, Fault> {
        let input: Start = step_input(input)?;
        let config = &self.cloud.config;
        let redirect_url = match input.redirect_url.filter(|url| !url.trim().is_empty()) {
            Some(url) => Some(config::redirect(&url).ok_or_else(|| bad("The redirect address must begin with http:// or https://."))?),
            None => config.redirect_url.clone(),
        };
        let redirect_url =
            redirect_url.ok_or_else(|| bad("Set the account's redirect address, exactly as it is set in the app under OpenAPI."))?;
        let begun = authorization::begin(ctx, &redirect_url, Proof::State).await?;
        let mut url = Url::parse(&config.oauth_url("/authorize")).map_err(|_| bad("Check the sign-in address of the account."))?;
        // The vendor wants the secret here too, where other sign-ins do not.
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &config.access_key)
            .append_pair("client_secret", config.secret_key.reveal())
            .append_pair("redirect_uri", &redirect_url)
            .append_pair("scope", &config.scope)
            .append_pair("state", &begun.state);
        Ok(Done::said(json!({ "authorize_url": url.as_str(), "state": begun.state })))
    }

    /// Turns the code that the browser brought back into tokens.
    pub(crate) async fn exchange(&self, ctx: &dyn Ctx, input: &Secret<String>) -> Result<Done, Fault> {
        let input: Exchange = step_input(input)?;
        let given = [input.callback_url, input.code].into_iter().flatten().find(|text| !text.reveal().trim().is_empty());
        let pasted = given.ok_or_else(|| bad("Paste the code, or the whole address at which the browser ended."))?;
        let returned = authorization::finish(ctx, &pasted).await?;
        let form =
            [("grant_type", "authorization_code"), ("code", returned.code.reveal().as_str()), ("redirect_uri", &returned.redirect_url)];
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
        Ok(Done::said(signed_in(&tokens, input.reveal)))
    }

    /// Takes over tokens that another program was given.
    pub(crate) async fn take_tokens(&self, ctx: &dyn Ctx, input: &Secret<String>) -> Result<Done, Fault> {
        let given: Given = step_input(input)?;
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
        Ok(Done::said(signed_in(&tokens, false)))
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

fn bad(person: &str) -> Fault {
    Fault::refused(person, person).because(Reason::BadRequest)
}
