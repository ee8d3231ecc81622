//! One person: who they are, what they may open, how they come in.

use super::{
    accounts::ConfirmPage,
    people::{RoleChoice, doors_name, role_choices},
    scene::{Scene, TimeView},
    shell::{Oops, Section, Shell, html},
    terms_form::{self, Fields},
    texts::{EN, Texts},
    visitor::{Errand, Visitor, encode},
};
use crate::{
    ApiError, Web,
    people::{
        rights::{self, Wish},
        roles::{self, role_of, tell},
    },
    sign_in::link_path,
};
use askama::Template;
use axum::{
    Form, Router,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use doorward_store::{Holder, Person, StoredGrant};
use doorward_wire::grant::{Actions, Role, Terms};
use serde::Deserialize;
use std::time::Duration;

/// How long a sign-in link works (rule 5).
const LINK_LIFE: Duration = Duration::from_mins(15);

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/people/{id}", get(show).post(change))
        .route("/people/{id}/link", post(link))
        .route("/people/{id}/rights", post(give))
        .route("/people/{id}/rights/{grant}/take-back", post(take_back))
        .route("/people/{id}/sessions", post(end_sessions))
        .route("/people/{id}/erase", get(confirm).post(erase))
}

#[derive(Template)]
#[template(path = "person.html")]
#[expect(clippy::struct_excessive_bools, reason = "what a page shows")]
struct PersonPage {
    shell: Shell,
    t: &'static Texts,
    csrf: String,
    id: String,
    name: String,
    me: bool,
    role: &'static str,
    signs_in: bool,
    roles: Vec<RoleChoice>,
    everything: bool,
    rights: Vec<RightLine>,
    actions: Vec<(Actions, &'static str)>,
    doors: String,
    terms: String,
    facts: Vec<(&'static str, String)>,
    sessions: i64,
    /// The house gives phones sessions for locks over Bluetooth.
    phones: bool,
    wrong: Wrong,
}

/// A right, as a line.
struct RightLine {
    id: String,
    doors: String,
    terms: String,
    /// The group by which they have it; then it is taken back from the group.
    group: Option<String>,
    over: Option<String>,
    used: Option<TimeView>,
}

#[derive(Default)]
struct Wrong {
    person: Option<String>,
    right: Option<String>,
}

#[derive(Deserialize)]
struct Said {
    done: Option<String>,
}

async fn show(State(web): State<Web>, visitor: Visitor, Path(id): Path<String>, Query(said): Query<Said>) -> Result<Response, Oops> {
    page(&web, &visitor, &id, said.done.as_deref(), &Fields::new(), Wrong::default()).await
}

async fn page(web: &Web, visitor: &Visitor, id: &str, done: Option<&str>, form: &Fields, wrong: Wrong) -> Result<Response, Oops> {
    let person = roles::find(web, id).await?;
    let scene = Scene::load(web, visitor).await;
    let (t, store) = (scene.t, web.house().store());
    let (groups, grants) = (store.groups().await?, store.grants().await?);
    let sessions = store.count_sessions(Some(id), scene.now).await?;
    let role = role_of(&person);
    let rights = grants.iter().filter_map(|grant| match &grant.holder {
        Holder::Person(own) if own == id => Some(right_line(&scene, grant, None)),
        Holder::Group(group) => {
            let group = groups.iter().find(|known| known.id == *group && known.members.iter().any(|member| member == id))?;
            Some(right_line(&scene, grant, Some(group.name.clone())))
        }
        Holder::Person(_) | Holder::Pass(_) => None,
    });
    let chosen = terms_form::read_doors(form);
    let terms = terms_form::read_terms(&scene, form).unwrap_or_default();
    let failed = wrong.person.is_some() || wrong.right.is_some();
    let mut page = html(&PersonPage {
        shell: Shell::new(&scene, &person.name, Section::People).done(done),
        t,
        csrf: scene.csrf.clone(),
        me: person.id == scene.me,
        role: t.role(role).0,
        signs_in: roles::signs_in(role),
        roles: role_choices(t, role),
        everything: role == Role::Administrator,
        rights: rights.collect(),
        actions: [Actions::Act, Actions::Lock, Actions::Read].map(|actions| (actions, t.actions_mean(actions))).into(),
        doors: terms_form::doors(&scene, t.people.doors, &chosen),
        terms: terms_form::terms(&scene, &terms),
        facts: facts(&scene, &person, sessions),
        sessions,
        phones: web.bluetooth().is_some(),
        id: person.id,
        name: person.name,
        wrong,
    });
    if failed {
        *page.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    }
    Ok(page)
}

fn right_line(scene: &Scene, grant: &StoredGrant, group: Option<String>) -> RightLine {
    let over = grant.revoked.map(|revoked| scene.t.taken_back_at(&scene.time(revoked, None).short));
    let over =
        over.or_else(|| grant.grant("").is_over(scene.now).then(|| scene.t.pass_face(doorward_wire::grant::PassState::Ended).word.into()));
    let terms = scene.t.terms(&grant.terms, &scene.zone(None));
    let actions = if grant.actions == Actions::Act { "" } else { scene.t.actions_mean(grant.actions) };
    RightLine {
        id: grant.id.clone(),
        doors: scene.t.doors_named(&grant.doors, |one| doors_name(scene, one)),
        terms: [actions, &terms].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", "),
        group,
        over,
        used: grant.last_used.map(|used| scene.time(used, None)),
    }
}

fn facts(scene: &Scene, person: &Person, sessions: i64) -> Vec<(&'static str, String)> {
    let t = scene.t;
    let password = if person.has_password { t.password_is_set } else { t.password_is_none };
    vec![
        (t.people.role, t.role(role_of(person)).1.into()),
        (t.password, password.into()),
        (t.people.sessions, t.browsers(sessions)),
        (t.added, scene.time(person.created, None).short),
    ]
}

#[derive(Deserialize)]
struct PersonForm {
    csrf: String,
    name: String,
    role: Role,
}

async fn change(State(web): State<Web>, visitor: Visitor, Path(id): Path<String>, Form(form): Form<PersonForm>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(&form.csrf)?;
    match roles::change(&web, &visitor.caller, &id, Some(&form.name), Some(form.role)).await {
        Ok(_) => Ok(Redirect::to(&format!("/people/{}?done=saved", encode(&id))).into_response()),
        Err(error @ (ApiError::Unprocessable(_) | ApiError::Conflict(_))) => {
            let wrong = Wrong { person: Some(EN.explain(&error)), ..Wrong::default() };
            page(&web, &visitor, &id, None, &Fields::new(), wrong).await
        }
        Err(error) => Err(error.into()),
    }
}

#[derive(Deserialize)]
struct Csrf {
    csrf: String,
}

async fn link(
    State(web): State<Web>,
    visitor: Visitor,
    errand: Errand,
    Path(id): Path<String>,
    Form(form): Form<Csrf>,
) -> Result<Response, Oops> {
    visitor.caller.check_csrf(&form.csrf)?;
    let person = roles::find(&web, &id).await?;
    if !roles::signs_in(role_of(&person)) {
        return Err(ApiError::Conflict(EN.service_no_sign_in.into()).into());
    }
    let secret = web.house().store().add_link(&person.id, web.house().now().utc.plus(LINK_LIFE)).await?;
    tell(&web, &visitor.caller, &person.id, "link_made", None).await?;
    let scene = Scene::load(&web, &visitor).await;
    Ok(html(&SecretPage {
        shell: Shell::new(&scene, scene.t.make_link, Section::People),
        t: scene.t,
        title: scene.t.link_for(&person.name),
        text: scene.t.link_given(&person.name),
        label: scene.t.make_link,
        secret: format!("{}{}", errand.base(&web), link_path(secret.reveal())),
        note: scene.t.shown_once,
        back: format!("/people/{}", encode(&id)),
    }))
}

async fn give(State(web): State<Web>, visitor: Visitor, Path(id): Path<String>, Form(form): Form<Fields>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(form.get("csrf").map_or("", String::as_str))?;
    let scene = Scene::load(&web, &visitor).await;
    let given = async {
        let terms: Terms = terms_form::read_terms(&scene, &form)?;
        let actions = form.get("actions").and_then(|word| word.parse().ok()).unwrap_or(Actions::Act);
        let wish = Wish { doors: terms_form::read_doors(&form), actions, terms };
        rights::give(&web, &visitor.caller, Holder::Person(id.clone()), wish).await
    };
    match given.await {
        Ok(_) => Ok(Redirect::to(&format!("/people/{}?done=right_given#rights", encode(&id))).into_response()),
        Err(error @ ApiError::Unprocessable(_)) => {
            let wrong = Wrong { right: Some(EN.explain(&error)), ..Wrong::default() };
            page(&web, &visitor, &id, None, &form, wrong).await
        }
        Err(error) => Err(error.into()),
    }
}

async fn take_back(
    State(web): State<Web>,
    visitor: Visitor,
    Path((id, grant)): Path<(String, String)>,
    Form(form): Form<Csrf>,
) -> Result<Response, Oops> {
    visitor.caller.check_csrf(&form.csrf)?;
    rights::take_back(&web, &visitor.caller, &grant).await?;
    Ok(Redirect::to(&format!("/people/{}?done=right_taken#rights", encode(&id))).into_response())
}

async fn end_sessions(State(web): State<Web>, visitor: Visitor, Path(id): Path<String>, Form(form): Form<Csrf>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(&form.csrf)?;
    roles::find(&web, &id).await?;
    web.house().store().remove_sessions_of(&id).await?;
    tell(&web, &visitor.caller, &id, "signed_out", None).await?;
    Ok(Redirect::to(&format!("/people/{}?done=saved", encode(&id))).into_response())
}

async fn confirm(State(web): State<Web>, visitor: Visitor, Path(id): Path<String>) -> Result<Response, Oops> {
    let person = roles::find(&web, &id).await?;
    let scene = Scene::load(&web, &visitor).await;
    Ok(html(&ConfirmPage {
        shell: Shell::new(&scene, scene.t.people.title, Section::People),
        t: scene.t,
        csrf: scene.csrf.clone(),
        action: format!("/people/{}/erase", encode(&id)),
        title: scene.t.erase_title(&person.name),
        lines: vec![scene.t.people.remove_text.into()],
        hidden: Vec::new(),
        back: format!("/people/{}", encode(&id)),
        label: scene.t.people.erase,
    }))
}

async fn erase(State(web): State<Web>, visitor: Visitor, Path(id): Path<String>, Form(form): Form<Csrf>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(&form.csrf)?;
    if id == visitor.id() {
        return Err(ApiError::Conflict(EN.not_yourself.into()).into());
    }
    roles::erase(&web, &visitor.caller, &id).await?;
    Ok(Redirect::to("/people?done=person_removed").into_response())
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
