//! People who may sign in: the visitor's own password, and the others.

use super::{
    accounts::ConfirmPage,
    entry::with_cookie,
    scene::{Scene, name_of},
    settings::{self, Wrong},
    shell::{Oops, Section, Shell, html},
    texts::{EN, Texts},
    visitor::{Errand, Visitor},
};
use crate::{
    ApiError, ApiResult, Web,
    sign_in::{link_path, no_cookie, replace_sessions},
};
use askama::Template;
use axum::{
    Form, Router,
    extract::{Path, State},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use doorward_core::{Secret, record::NewEvent};
use doorward_store::Person;
use doorward_wire::event::EventKind;
use serde::Deserialize;
use serde_json::json;
use std::time::Duration;

/// The only role so far.
const ROLE: &str = "administrator";
/// How long a sign-in link works (rule 5).
const LINK_LIFE: Duration = Duration::from_mins(15);

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/settings/password", post(password))
        .route("/settings/sessions", post(sign_out_everywhere))
        .route("/settings/people", post(add))
        .route("/settings/people/link", post(link))
        .route("/settings/people/{id}/remove", get(confirm).post(remove))
}

/// A person in the list.
pub(super) struct PersonRow {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) note: String,
    pub(super) removable: bool,
    pub(super) link_aria: String,
    pub(super) remove_aria: String,
}

impl PersonRow {
    pub(super) fn new(scene: &Scene, person: &Person) -> Self {
        let me = person.id == scene.me;
        Self {
            id: person.id.clone(),
            name: person.name.clone(),
            note: scene.t.person_note(me, person.has_password, &scene.time(person.created, None).short),
            removable: !me,
            link_aria: scene.t.link_for(&person.name),
            remove_aria: scene.t.remove_person(&person.name),
        }
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
    tell(web, visitor, visitor.id(), "password_set").await
}

#[derive(Deserialize)]
struct Csrf {
    csrf: String,
}

async fn sign_out_everywhere(State(web): State<Web>, visitor: Visitor, Form(form): Form<Csrf>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(&form.csrf)?;
    web.house().store().remove_sessions_of(visitor.id()).await?;
    tell(&web, &visitor, visitor.id(), "signed_out").await?;
    Ok(with_cookie("/sign-in?done=signed_out", no_cookie()))
}

/// A secret that is shown once, in the answer to the form that made it, and kept nowhere.
#[derive(Template)]
#[template(path = "secret.html")]
pub(super) struct SecretPage {
    pub(super) shell: Shell,
    pub(super) t: &'static Texts,
    pub(super) title: String,
    pub(super) text: String,
    pub(super) label: &'static str,
    pub(super) secret: String,
    pub(super) note: &'static str,
    pub(super) back: String,
}

#[derive(Deserialize)]
struct NewPerson {
    csrf: String,
    name: String,
}

async fn add(State(web): State<Web>, visitor: Visitor, errand: Errand, Form(form): Form<NewPerson>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(&form.csrf)?;
    let store = web.house().store();
    let taken = store.people().await?.iter().any(|person| person.name.to_lowercase() == form.name.trim().to_lowercase());
    let name = match name_of(&form.name) {
        Ok(_) if taken => Err(EN.person_taken.to_owned()),
        Ok(name) => Ok(name),
        Err(error) => Err(error.to_string()),
    };
    let name = match name {
        Ok(name) => name,
        Err(error) => return settings::page(&web, &visitor, None, Wrong { person: Some(error), ..Wrong::default() }).await,
    };
    let person = store.add_person(&name, ROLE, web.house().now().utc).await?;
    tell(&web, &visitor, &person.id, "added").await?;
    link_page(&web, &visitor, &errand, &person).await
}

#[derive(Deserialize)]
struct LinkForm {
    csrf: String,
    person: String,
}

async fn link(State(web): State<Web>, visitor: Visitor, errand: Errand, Form(form): Form<LinkForm>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(&form.csrf)?;
    let person = web.house().store().person(&form.person).await?.ok_or(ApiError::NotFound("person with this id"))?;
    link_page(&web, &visitor, &errand, &person).await
}

async fn link_page(web: &Web, visitor: &Visitor, errand: &Errand, person: &Person) -> Result<Response, Oops> {
    let secret = web.house().store().add_link(&person.id, web.house().now().utc.plus(LINK_LIFE)).await?;
    tell(web, visitor, &person.id, "link_made").await?;
    let scene = Scene::load(web, visitor).await;
    let base = web.config().public_url.clone().unwrap_or_else(|| format!("http{}://{}", if errand.secure { "s" } else { "" }, errand.host));
    Ok(html(&SecretPage {
        shell: Shell::new(&scene, scene.t.make_link, Section::Settings),
        t: scene.t,
        title: scene.t.link_for(&person.name),
        text: scene.t.link_given(&person.name),
        label: scene.t.make_link,
        secret: format!("{}{}", base.trim_end_matches('/'), link_path(secret.reveal())),
        note: scene.t.shown_once,
        back: "/settings#people".into(),
    }))
}

async fn confirm(State(web): State<Web>, visitor: Visitor, Path(id): Path<String>) -> Result<Response, Oops> {
    let person = web.house().store().person(&id).await?.ok_or(ApiError::NotFound("person with this id"))?;
    let scene = Scene::load(&web, &visitor).await;
    Ok(html(&ConfirmPage {
        shell: Shell::new(&scene, scene.t.people, Section::Settings),
        t: scene.t,
        csrf: scene.csrf.clone(),
        action: format!("/settings/people/{}/remove", super::visitor::encode(&id)),
        title: scene.t.remove_person_title(&person.name),
        lines: vec![scene.t.remove_person_text.into()],
        hidden: Vec::new(),
        back: "/settings#people".into(),
        label: scene.t.remove_person_label,
    }))
}

async fn remove(State(web): State<Web>, visitor: Visitor, Path(id): Path<String>, Form(form): Form<Csrf>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(&form.csrf)?;
    if id == visitor.id() {
        return Err(ApiError::Conflict(EN.not_yourself.into()).into());
    }
    if !web.house().store().remove_person(&id).await? {
        return Err(ApiError::NotFound("person with this id").into());
    }
    // Their tunnel keys went with them.
    web.tunnel().reload().await?;
    tell(&web, &visitor, &id, "removed").await?;
    Ok(Redirect::to("/settings?done=person_removed#people").into_response())
}

/// Writes down what was changed about a person. Names stand outside the audit, so that a person can be erased.
async fn tell(web: &Web, visitor: &Visitor, person: &str, change: &str) -> ApiResult<()> {
    let event = NewEvent::new(web.house().now().utc, EventKind::PersonChanged).actor(&visitor.caller.actor);
    web.house().record(vec![event.data(json!({ "person": person, "change": change }))]).await?;
    Ok(())
}
