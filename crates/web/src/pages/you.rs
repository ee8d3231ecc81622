//! The visitor: their password, and in [`passkeys`], [`factor`] and [`browsers`] the other ways in.

mod browsers;
mod factor;
mod passkeys;

use self::{browsers::BrowserLine, factor::FactorLine, passkeys::PasskeyLine};
use super::{
    entry::with_cookie,
    scene::Scene,
    settings::{self, Wrong},
    shell::Oops,
    texts::EN,
    visitor::{Errand, Visitor},
};
use crate::{
    ApiError, ApiResult, Web,
    people::roles::tell,
    sign_in::{no_cookie, replace_sessions},
};
use axum::{Form, Router, extract::State, response::Response, routing::post};
use doorward_core::Secret;
use serde::Deserialize;

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/settings/password", post(password))
        .route("/settings/sessions", post(sign_out_everywhere))
        .merge(passkeys::router())
        .merge(factor::router())
        .merge(browsers::router())
}

/// The card of the settings page that is about the visitor.
pub(super) struct Card {
    pub(super) name: String,
    pub(super) text: String,
    pub(super) has_password: bool,
    /// The name that a passkey of this browser gets, unless somebody gives it another.
    pub(super) browser: String,
    pub(super) passkeys: Vec<PasskeyLine>,
    pub(super) factor: FactorLine,
    pub(super) browsers: Vec<BrowserLine>,
}

impl Card {
    pub(super) async fn load(scene: &Scene, visitor: &Visitor) -> ApiResult<Self> {
        let store = scene.web.house().store();
        let has_password = store.person(visitor.id()).await?.is_some_and(|person| person.has_password);
        let browsers = browsers::lines(scene, visitor).await?;
        Ok(Self {
            name: scene.name.clone(),
            text: scene.t.signed_in_as(&scene.name),
            has_password,
            browser: browsers.iter().find(|browser| browser.here).map(|browser| browser.name.clone()).unwrap_or_default(),
            passkeys: passkeys::lines(scene, visitor).await?,
            factor: factor::line(scene, visitor, has_password).await?,
            browsers,
        })
    }
}

#[derive(Deserialize)]
struct PasswordForm {
    csrf: String,
    #[serde(default)]
    now: Option<Secret<String>>,
    new: Secret<String>,
}

async fn password(State(web): State<Web>, visitor: Visitor, errand: Errand, Form(form): Form<PasswordForm>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(&form.csrf)?;
    match change_password(&web, &visitor, &form).await {
        Ok(()) => {}
        Err(error @ (ApiError::Unprocessable(_) | ApiError::RateLimited(_))) => {
            let wrong = Wrong { password: Some(EN.explain(&error)), ..Wrong::default() };
            return settings::page(&web, &visitor, None, wrong).await;
        }
        Err(error) => return Err(error.into()),
    }
    // Every other browser is out; this one goes on with a session that nobody else can have.
    let cookie = replace_sessions(&web, visitor.id(), &visitor.session, &errand).await?;
    Ok(with_cookie("/settings?done=password#you", cookie))
}

async fn change_password(web: &Web, visitor: &Visitor, form: &PasswordForm) -> ApiResult<()> {
    let store = web.house().store();
    if let Some(hash) = store.password_hash(visitor.id()).await? {
        web.sign_in().try_for(visitor.name())?;
        let now = form.now.clone().unwrap_or_else(|| Secret::new(String::new()));
        if !web.sign_in().verify(&now, Some(hash)).await? {
            return Err(ApiError::Unprocessable(EN.password_wrong.into()));
        }
    }
    let hash = web.sign_in().hash(&form.new).await?;
    store.set_password_hash(visitor.id(), Some(&hash)).await?;
    tell(web, &visitor.caller, visitor.id(), "password_set", None).await
}

#[derive(Deserialize)]
struct Csrf {
    csrf: String,
}

async fn sign_out_everywhere(State(web): State<Web>, visitor: Visitor, Form(form): Form<Csrf>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(&form.csrf)?;
    web.house().store().remove_sessions_of(visitor.id()).await?;
    tell(&web, &visitor.caller, visitor.id(), "signed_out", None).await?;
    Ok(with_cookie("/sign-in?done=signed_out", no_cookie()))
}
