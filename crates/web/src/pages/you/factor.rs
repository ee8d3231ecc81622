//! The visitor's authenticator app: set up with a picture and a first code, turned off with a code or the password.

use super::super::{
    entry::tried,
    scene::Scene,
    shell::{Oops, Section, Shell, html},
    texts::{EN, Texts},
    visitor::{Errand, Visitor},
};
use super::Csrf;
use crate::{ApiError, ApiResult, Web, people::roles::tell, sign_in::totp};
use askama::Template;
use axum::{
    Form, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use doorward_core::Secret;
use doorward_store::Tried;
use doorward_tunnel::pairing;
use serde::Deserialize;

/// Where it is set up.
const PATH: &str = "/settings/authenticator";

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route(PATH, get(show).post(finish))
        .route("/settings/authenticator/begin", post(begin))
        .route("/settings/authenticator/off", get(ask_off).post(off))
}

/// What the card says of it.
pub(in crate::pages) struct FactorLine {
    pub(in crate::pages) text: String,
    pub(in crate::pages) on: bool,
    /// It can be set up: there is a password that it would protect.
    pub(in crate::pages) offered: bool,
}

pub(super) async fn line(scene: &Scene, visitor: &Visitor, has_password: bool) -> ApiResult<FactorLine> {
    let (t, factor) = (scene.t, scene.web.house().store().second_factor(visitor.id()).await?);
    let text = match &factor {
        Some(factor) => t.factor_on(&scene.time(factor.since, None).short, factor.recovery_codes),
        None if has_password => t.ways_in.factor_none.into(),
        None => t.ways_in.factor_no_password.into(),
    };
    Ok(FactorLine { text, on: factor.is_some(), offered: has_password })
}

async fn begin(State(web): State<Web>, visitor: Visitor, Form(form): Form<Csrf>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(&form.csrf)?;
    web.house().store().begin_second_factor(visitor.id(), web.house().now().utc).await?;
    Ok(Redirect::to(PATH).into_response())
}

#[derive(Template)]
#[template(path = "authenticator.html")]
struct SetUpPage {
    shell: Shell,
    t: &'static Texts,
    csrf: String,
    picture: String,
    secret: String,
    error: Option<&'static str>,
}

async fn show(State(web): State<Web>, visitor: Visitor, errand: Errand) -> Result<Response, Oops> {
    match web.house().store().begun_second_factor(visitor.id()).await? {
        Some(secret) => Ok(set_up(&web, &visitor, &errand, &secret, None).await),
        None => Ok(Redirect::to("/settings#you").into_response()),
    }
}

async fn set_up(web: &Web, visitor: &Visitor, errand: &Errand, secret: &Secret<Vec<u8>>, error: Option<&'static str>) -> Response {
    let scene = Scene::load(web, visitor).await;
    let link = totp::link(secret, errand.host.split(':').next().unwrap_or_default(), visitor.name());
    html(&SetUpPage {
        shell: Shell::new(&scene, scene.t.ways_in.factor, Section::Settings),
        t: scene.t,
        csrf: scene.csrf.clone(),
        picture: pairing::svg(&link, scene.t.ways_in.factor_picture).unwrap_or_default(),
        secret: totp::typed(secret).reveal().clone(),
        error,
    })
}

#[derive(Deserialize)]
struct CodeForm {
    csrf: String,
    code: Secret<String>,
}

#[derive(Template)]
#[template(path = "recovery_codes.html")]
struct CodesPage {
    shell: Shell,
    t: &'static Texts,
    codes: Vec<Secret<String>>,
}

async fn finish(State(web): State<Web>, visitor: Visitor, errand: Errand, Form(form): Form<CodeForm>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(&form.csrf)?;
    let (store, now) = (web.house().store(), web.house().now().utc);
    let Some(secret) = store.begun_second_factor(visitor.id()).await? else { return Ok(Redirect::to("/settings#you").into_response()) };
    let Some(step) = totp::step_of(secret.reveal(), form.code.reveal(), now) else {
        let mut page = set_up(&web, &visitor, &errand, &secret, Some(EN.ways_in.factor_code_wrong)).await;
        *page.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
        return Ok(page);
    };
    let Some(codes) = store.confirm_second_factor(visitor.id(), step, now).await? else {
        return Ok(Redirect::to("/settings#you").into_response());
    };
    tell(&web, &visitor.caller, visitor.id(), "second_factor_set", None).await?;
    let scene = Scene::load(&web, &visitor).await;
    Ok(html(&CodesPage { shell: Shell::new(&scene, scene.t.ways_in.factor, Section::Settings), t: scene.t, codes }))
}

#[derive(Template)]
#[template(path = "authenticator_off.html")]
struct OffPage {
    shell: Shell,
    t: &'static Texts,
    csrf: String,
    name: String,
    error: Option<String>,
}

async fn ask_off(State(web): State<Web>, visitor: Visitor) -> Response {
    off_page(&web, &visitor, None).await
}

async fn off_page(web: &Web, visitor: &Visitor, error: Option<String>) -> Response {
    let scene = Scene::load(web, visitor).await;
    html(&OffPage {
        shell: Shell::new(&scene, scene.t.ways_in.factor, Section::Settings),
        t: scene.t,
        csrf: scene.csrf.clone(),
        name: scene.name.clone(),
        error,
    })
}

#[derive(Deserialize)]
struct OffForm {
    csrf: String,
    proof: Secret<String>,
}

async fn off(State(web): State<Web>, visitor: Visitor, Form(form): Form<OffForm>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(&form.csrf)?;
    match prove(&web, &visitor, &form.proof).await {
        Ok(()) => {}
        Err(error @ (ApiError::Unprocessable(_) | ApiError::RateLimited(_))) => {
            let mut page = off_page(&web, &visitor, Some(EN.explain(&error))).await;
            *page.status_mut() = error.status();
            return Ok(page);
        }
        Err(error) => return Err(error.into()),
    }
    web.house().store().remove_second_factor(visitor.id()).await?;
    tell(&web, &visitor.caller, visitor.id(), "second_factor_removed", None).await?;
    Ok(Redirect::to("/settings?done=factor_removed#you").into_response())
}

/// Asks for the password or a code. Tries are limited as those of signing in are.
async fn prove(web: &Web, visitor: &Visitor, proof: &Secret<String>) -> ApiResult<()> {
    web.sign_in().try_for(visitor.name())?;
    let hash = web.house().store().password_hash(visitor.id()).await?;
    if web.sign_in().verify(proof, hash).await? {
        return Ok(());
    }
    match tried(web, visitor.id(), proof).await? {
        Tried::App | Tried::Recovery | Tried::None => Ok(()),
        Tried::Wrong => Err(ApiError::Unprocessable(EN.ways_in.factor_proof_wrong.into())),
        Tried::Blocked(until) => Err(ApiError::RateLimited(until.since(web.house().now().utc).as_secs() + 1)),
    }
}
