//! Signing an account in: the vendor's page is opened in a browser, and its end comes back.
//!
//! Either the page is served on this machine to a browser that runs here too, and its end is noticed; or the person pastes
//! the address at which the browser ended.

use super::{
    account::{Extra, page},
    scene::Scene,
    shell::Oops,
    visitor::{Errand, Visitor},
};
use crate::{
    Web,
    api::{self, params::At},
};
use axum::{
    Form, Router,
    extract::State,
    response::{IntoResponse, Redirect, Response},
    routing::post,
};
use doorward_core::driver::About;
use doorward_wire::account::{Account, AccountId, is_signed_in};
use serde::Deserialize;
use serde_json::{Value, json};

pub(super) fn router() -> Router<Web> {
    Router::new().route("/accounts/{id}/sign-in", post(start)).route("/accounts/{id}/sign-in/finish", post(finish))
}

/// A sign-in that was begun.
pub(super) struct Begun {
    pub(super) url: String,
    /// It is served on this machine.
    pub(super) here: bool,
}

/// The part of an account's page where it is signed in.
pub(super) struct SignInView {
    pub(super) title: &'static str,
    pub(super) text: &'static str,
    /// What stands on the button that begins.
    pub(super) start_label: String,
    /// What stands on the link to the vendor's page.
    pub(super) open_label: String,
    pub(super) begun: Option<Begun>,
    /// It could be served on this machine: the browser runs on this machine.
    pub(super) offers_here: bool,
    pub(super) urgent: bool,
    pub(super) error: Option<String>,
    /// How an address begins at which the browser ends.
    pub(super) ends_at: String,
    /// That address is an app's, which browsers cannot show.
    pub(super) ends_in_app: bool,
}

impl SignInView {
    /// Nothing for a driver that is not signed in.
    pub(super) fn new(
        scene: &Scene,
        errand: &Errand,
        about: &About,
        account: &Account,
        begun: Option<Begun>,
        error: Option<String>,
    ) -> Option<Self> {
        let t = scene.t;
        let step = |name| about.steps.iter().find(|step| step.name == name);
        let (start, _) = (step("start")?, step("exchange")?);
        let urgent = !is_signed_in(account.state, &account.stages);
        let redirect = account.settings.get("redirect_url").and_then(Value::as_str).unwrap_or("https://…");
        Some(Self {
            title: if urgent { t.sign_in_title } else { t.sign_in_again_title },
            text: if urgent { t.sign_in_text } else { t.sign_in_again_text },
            start_label: if error.is_some() { t.start_again.into() } else { start.label.into() },
            open_label: t.open_vendor(&scene.vendor_of(about.kind)),
            offers_here: about.signs_in_here && errand.is_here(),
            begun,
            urgent,
            error,
            ends_at: format!("{redirect}?code=…"),
            ends_in_app: !redirect.starts_with("http"),
        })
    }

    pub(super) fn served_here(&self) -> bool {
        self.begun.as_ref().is_some_and(|begun| begun.here)
    }

    /// Its end is pasted by the person.
    pub(super) fn pastes(&self) -> bool {
        self.begun.as_ref().is_some_and(|begun| !begun.here)
    }

    pub(super) const fn open(&self) -> bool {
        self.urgent || self.begun.is_some() || self.error.is_some()
    }
}

#[derive(Deserialize)]
struct Start {
    csrf: String,
    /// The browser that asks runs on this machine.
    #[serde(default)]
    here: bool,
}

/// The vendor's page is good for minutes and holds keys, so it is shown in the answer and kept nowhere.
async fn start(
    State(web): State<Web>,
    visitor: Visitor,
    errand: Errand,
    At(id): At<AccountId>,
    Form(form): Form<Start>,
) -> Result<Response, Oops> {
    visitor.caller.check_csrf(&form.csrf)?;
    let here = form.here && errand.is_here();
    let input = if here { json!({ "here": true }) } else { json!({}) };
    let begun = api::take_step(&web, &id, &visitor.caller.actor, "start", input).await;
    let key = if here { "here" } else { "authorize_url" };
    let extra = match begun.as_ref().map(|output| output[key].as_str()) {
        Ok(Some(url)) if url.starts_with("https://") || url.starts_with("http://") => {
            Extra { begun: Some(Begun { url: url.to_owned(), here }), ..Extra::default() }
        }
        Ok(_) => Extra { sign_in_error: Some(super::texts::EN.no_authorize_url.into()), ..Extra::default() },
        Err(error) => Extra { sign_in_error: Some(error.to_string()), ..Extra::default() },
    };
    page(&web, &visitor, &errand, &id, extra).await
}

#[derive(Deserialize)]
struct Pasted {
    csrf: String,
    pasted: String,
}

/// A driver whose account is registered after sign-in leads on to that.
async fn finish(
    State(web): State<Web>,
    visitor: Visitor,
    errand: Errand,
    At(id): At<AccountId>,
    Form(form): Form<Pasted>,
) -> Result<Response, Oops> {
    visitor.caller.check_csrf(&form.csrf)?;
    let input = json!({ "callback_url": form.pasted.trim() });
    if let Err(error) = api::take_step(&web, &id, &visitor.caller.actor, "exchange", input).await {
        return page(&web, &visitor, &errand, &id, Extra { sign_in_error: Some(error.to_string()), ..Extra::default() }).await;
    }
    let row = api::stored(&web, &id).await?;
    let registers = web.house().about(&row.kind).is_some_and(|about| about.steps.iter().any(|step| step.name == "register"));
    let next = if registers { "/set-up" } else { "" };
    Ok(Redirect::to(&format!("/accounts/{id}{next}?done=account_signed_in")).into_response())
}
