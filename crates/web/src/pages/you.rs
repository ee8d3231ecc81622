//! The visitor: their own password and sessions.

use super::{
    entry::with_cookie,
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
    Router::new().route("/settings/password", post(password)).route("/settings/sessions", post(sign_out_everywhere))
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
    let cookie = replace_sessions(&web, visitor.id(), &visitor.session, errand.secure).await?;
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
