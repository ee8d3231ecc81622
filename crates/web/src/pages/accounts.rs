//! Accounts: how each stands with its vendor, signing it in, and its settings.

use super::{
    account_card::AccountCard,
    account_form::{self, Filled, FormView, Wrong},
    scene::{Scene, name_of},
    shell::{Oops, Section, Shell, html},
    texts::Texts,
    visitor::Visitor,
};
use crate::{
    ApiError, Web,
    api::{self, params::At},
};
use askama::Template;
use axum::{
    Form, Router,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use doorward_engine::SetUpError;
use doorward_wire::account::AccountId;
use serde::Deserialize;
use std::collections::HashMap;

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/accounts", get(list))
        .route("/accounts/new", get(choose).post(add))
        .route("/accounts/{id}/remove", get(confirm).post(remove))
}

#[derive(Template)]
#[template(path = "accounts.html")]
struct AccountsPage {
    shell: Shell,
    t: &'static Texts,
    cards: Vec<AccountCard>,
}

#[derive(Deserialize)]
pub(super) struct Said {
    pub(super) done: Option<String>,
}

async fn list(State(web): State<Web>, visitor: Visitor, Query(said): Query<Said>) -> Result<Response, Oops> {
    let scene = Scene::load(&web, &visitor).await;
    let accounts = web.house().store().accounts().await?;
    Ok(html(&AccountsPage {
        shell: Shell::new(&scene, scene.t.accounts, Section::Accounts).live("accounts").done(said.done.as_deref()),
        t: scene.t,
        cards: accounts.iter().map(|row| AccountCard::new(&scene, &api::view(&web, row), false)).collect(),
    }))
}

#[derive(Template)]
#[template(path = "account_new.html")]
struct NewPage {
    shell: Shell,
    t: &'static Texts,
    csrf: String,
    form: Option<FormView>,
    kinds: Vec<Kind>,
}

struct Kind {
    value: &'static str,
    label: &'static str,
    help: &'static str,
}

#[derive(Deserialize)]
struct Choose {
    kind: Option<String>,
}

async fn choose(State(web): State<Web>, visitor: Visitor, Query(choose): Query<Choose>) -> Response {
    let scene = Scene::load(&web, &visitor).await;
    // Where there is only one kind, there is nothing to choose.
    let mut kinds = api::offered(&web);
    let about = match choose.kind {
        Some(kind) => kinds.into_iter().find(|about| about.kind == kind),
        None => kinds.pop().filter(|_| kinds.is_empty()),
    };
    let form = about.map(|about| account_form::view(&about, "", &Filled::Nothing, &Wrong::default(), true));
    new_page(&scene, form)
}

fn new_page(scene: &Scene, form: Option<FormView>) -> Response {
    html(&NewPage {
        shell: Shell::new(scene, scene.t.add_account, Section::Accounts),
        t: scene.t,
        csrf: scene.csrf.clone(),
        form,
        kinds: api::offered(&scene.web)
            .into_iter()
            .map(|about| Kind { value: about.kind, label: about.title, help: about.summary })
            .collect(),
    })
}

/// What a form was filled in with.
pub(super) type Fields = HashMap<String, String>;

pub(super) fn text<'a>(form: &'a Fields, key: &str) -> &'a str {
    form.get(key).map_or("", String::as_str)
}

async fn add(State(web): State<Web>, visitor: Visitor, Form(form): Form<Fields>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(text(&form, "csrf"))?;
    let kind = text(&form, "_kind");
    let about = web.house().about(kind).ok_or(ApiError::NotFound("driver of this kind"))?;
    let settings = account_form::read(&about, &form);
    let wrong = match name_of(text(&form, "_name")) {
        Ok(name) => match web.house().add_account(kind, &name, settings, &visitor.caller.actor).await {
            Ok(id) => return Ok(Redirect::to(&format!("/accounts/{id}?done=account_added#sign-in")).into_response()),
            Err(error) => wrong(error)?,
        },
        Err(error) => Wrong { error: Some(error.to_string()), ..Wrong::default() },
    };
    let scene = Scene::load(&web, &visitor).await;
    let nothing = doorward_core::driver::Settings::default();
    let view = account_form::view(&about, text(&form, "_name"), &Filled::Form(&form, &nothing), &wrong, true);
    let mut page = new_page(&scene, Some(view));
    *page.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    Ok(page)
}

/// What a person can mend in the form; everything else is an error page.
pub(super) fn wrong(error: SetUpError) -> Result<Wrong, ApiError> {
    match error {
        SetUpError::Mistakes(mistakes) => Ok(Wrong { error: None, mistakes }),
        SetUpError::Managed(_) => Ok(Wrong { error: Some(error.to_string()), ..Wrong::default() }),
        SetUpError::UnknownKind(_)
        | SetUpError::OnlyInFile(_)
        | SetUpError::UnknownAccount
        | SetUpError::UnknownDoor
        | SetUpError::UnknownSite
        | SetUpError::SiteInUse(_)
        | SetUpError::Store(_) => Err(error.into()),
    }
}

/// A form with nothing in it.
#[derive(Deserialize)]
pub(super) struct Csrf {
    pub(super) csrf: String,
}

/// Asks once more before something is gone.
#[derive(Template)]
#[template(path = "confirm.html")]
pub(super) struct ConfirmPage {
    pub(super) shell: Shell,
    pub(super) t: &'static Texts,
    pub(super) csrf: String,
    pub(super) action: String,
    pub(super) title: String,
    pub(super) lines: Vec<String>,
    pub(super) hidden: Vec<(&'static str, String)>,
    pub(super) back: String,
    pub(super) label: &'static str,
}

async fn confirm(State(web): State<Web>, visitor: Visitor, At(id): At<AccountId>) -> Result<Response, Oops> {
    let row = api::stored(&web, &id).await?;
    let scene = Scene::load(&web, &visitor).await;
    let t = scene.t;
    Ok(html(&ConfirmPage {
        shell: Shell::new(&scene, t.remove_account, Section::Accounts),
        t,
        csrf: scene.csrf.clone(),
        action: format!("/accounts/{id}/remove"),
        title: t.remove_account_of(&row.name),
        lines: vec![t.remove_account_doors(api::view(&web, &row).doors), t.remove_account_text.into()],
        hidden: Vec::new(),
        back: format!("/accounts/{id}"),
        label: t.remove_account,
    }))
}

async fn remove(State(web): State<Web>, visitor: Visitor, At(id): At<AccountId>, Form(form): Form<Csrf>) -> Result<Redirect, Oops> {
    visitor.caller.check_csrf(&form.csrf)?;
    web.house().remove_account(&id, &visitor.caller.actor).await?;
    Ok(Redirect::to("/accounts?done=account_removed"))
}
