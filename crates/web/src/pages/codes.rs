//! PIN codes that a lock keeps by itself, on the page of its door.

use super::{
    code_form::{Filled, WishView},
    door_card::Badge,
    scene::Scene,
    shell::{Oops, Section, Shell, fragment, html},
    texts::Texts,
    visitor::{Errand, Visitor},
};
use crate::{ApiError, Web, api::params::At};
use askama::Template;
use axum::{
    Form, Router,
    extract::{Query, State},
    http::StatusCode,
    response::{Html, IntoResponse, Redirect, Response},
    routing::{get, post},
};
use doorward_core::driver::Credential;
use doorward_wire::{
    code::{Code, CodeState},
    door::{Capability, DoorId},
};
use serde::Deserialize;
use std::{collections::HashMap, time::Duration};

/// A page does not wait longer than this for a lock to list its codes.
const PATIENCE: Duration = Duration::from_secs(6);

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/doors/{id}/codes", get(show).post(add))
        .route("/doors/{id}/codes/change", get(edit).post(change))
        .route("/doors/{id}/codes/delete", post(delete))
}

/// The part of a door's page with its codes. Listing them asks the lock's cloud, so the page does not wait for it.
#[derive(Template)]
#[template(path = "_codes.html")]
pub(crate) struct CodesCard {
    t: &'static Texts,
    csrf: String,
    id: DoorId,
    content: Option<CodesView>,
}

impl CodesCard {
    /// Codes that are listed when somebody wants to see them.
    pub(crate) fn later(scene: &Scene, id: &DoorId) -> Self {
        Self { t: scene.t, csrf: scene.csrf.clone(), id: id.clone(), content: None }
    }
}

#[derive(Template)]
#[template(path = "codes.html")]
struct CodesPage {
    shell: Shell,
    t: &'static Texts,
    id: DoorId,
    name: String,
    codes: CodesCard,
}

/// The codes of a door as they are shown.
pub(crate) struct CodesView {
    pub(crate) list: Vec<CodeView>,
    pub(crate) trouble: Option<String>,
    /// The form for a new code is unfolded.
    pub(crate) open: bool,
    pub(crate) wish: WishView,
}

pub(crate) struct CodeView {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) when: String,
    pub(crate) badge: Option<Badge>,
    /// It is there, and not about to go.
    pub(crate) stays: bool,
    pub(crate) change: String,
    pub(crate) change_aria: String,
    pub(crate) delete_aria: String,
}

#[derive(Deserialize)]
struct Said {
    done: Option<String>,
}

async fn show(
    State(web): State<Web>,
    visitor: Visitor,
    errand: Errand,
    At(id): At<DoorId>,
    Query(said): Query<Said>,
) -> Result<Response, Oops> {
    if errand.live.is_some() {
        let scene = Scene::load(&web, &visitor).await;
        let content = Some(view(&scene, &visitor, &id, None).await);
        return Ok(Html(fragment(&CodesCard { content, ..CodesCard::later(&scene, &id) })).into_response());
    }
    page(&web, &visitor, &id, None, said.done.as_deref()).await
}

/// The codes on a page of their own; `tried` is one that was not accepted.
async fn page(web: &Web, visitor: &Visitor, id: &DoorId, tried: Option<Filled>, done: Option<&str>) -> Result<Response, Oops> {
    let door = web.house().board().door(id).filter(|door| door.capabilities.contains(&Capability::Pin));
    let door = door.ok_or(ApiError::NotFound("door with codes and this id"))?;
    let scene = Scene::load(web, visitor).await;
    let content = Some(view(&scene, visitor, id, tried).await);
    Ok(html(&CodesPage {
        shell: Shell::new(&scene, format!("{} · {}", scene.t.codes, door.name), Section::Doors).done(done),
        t: scene.t,
        id: door.id,
        name: door.name,
        codes: CodesCard { content, ..CodesCard::later(&scene, id) },
    }))
}

/// Lists the codes of a door; what cannot be listed is said instead.
async fn view(scene: &Scene, visitor: &Visitor, id: &DoorId, tried: Option<Filled>) -> CodesView {
    let (list, trouble) = match listed(scene, visitor, id).await {
        Ok(codes) => (codes.iter().map(|code| code_view(scene, id, code)).collect(), None),
        Err(trouble) => (Vec::new(), Some(trouble)),
    };
    CodesView { list, trouble, open: tried.is_some(), wish: WishView::new(scene.t, tried.unwrap_or_default()) }
}

/// Asks the lock's cloud, which may take its time.
async fn listed(scene: &Scene, visitor: &Visitor, id: &DoorId) -> Result<Vec<Code>, String> {
    let clock = scene.web.house().clock();
    let listed = tokio::select! {
        listed = scene.web.house().codes(id, &visitor.caller.actor, Credential::List) => listed.map_err(|fault| fault.person)?,
        () = clock.sleep_until(clock.now().mono.plus(PATIENCE)) => return Err(scene.t.codes_late.to_owned()),
    };
    serde_json::from_value(listed.output).map_err(|_| scene.t.codes_nonsense.to_owned())
}

fn code_view(scene: &Scene, door: &DoorId, code: &Code) -> CodeView {
    let t = scene.t;
    CodeView {
        id: code.id.clone(),
        name: code.name.clone(),
        kind: t.code_kind(code.kind).0,
        when: code.schedule.as_ref().map_or_else(String::new, |schedule| t.schedule(schedule)),
        badge: t.code_state(code.state).map(|face| Badge { tone: face.tone, icon: face.icon, word: face.word.into() }),
        stays: code.state != CodeState::Removing && !code.id.is_empty(),
        change: format!("/doors/{door}/codes/change?code={}", super::visitor::encode(&code.id)),
        change_aria: t.change_code_of(&code.name),
        delete_aria: t.delete_code_of(&code.name),
    }
}

async fn add(
    State(web): State<Web>,
    visitor: Visitor,
    At(id): At<DoorId>,
    Form(form): Form<HashMap<String, String>>,
) -> Result<Response, Oops> {
    visitor.caller.check_csrf(form.get("csrf").map_or("", String::as_str))?;
    let tried = Filled { form, error: None };
    let result = match tried.wish() {
        Ok(wish) => web.house().codes(&id, &visitor.caller.actor, Credential::Add(wish)).await.map_err(|fault| fault.person),
        Err(error) => Err(error),
    };
    if let Err(error) = result {
        let mut page = page(&web, &visitor, &id, Some(tried.refused(error)), None).await?;
        *page.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
        return Ok(page);
    }
    Ok(Redirect::to(&format!("/doors/{id}/codes?done=code_added")).into_response())
}

/// One code and what changes about it, on a page of its own.
#[derive(Template)]
#[template(path = "code.html")]
struct CodePage {
    shell: Shell,
    t: &'static Texts,
    csrf: String,
    id: DoorId,
    door: String,
    code: String,
    title: String,
    wish: WishView,
}

#[derive(Deserialize)]
struct Which {
    code: String,
}

async fn edit(State(web): State<Web>, visitor: Visitor, At(id): At<DoorId>, Query(which): Query<Which>) -> Result<Response, Oops> {
    let scene = Scene::load(&web, &visitor).await;
    let code = the_code(&scene, &visitor, &id, &which.code).await?;
    code_page(&scene, &id, &code, Filled::of(&code))
}

fn code_page(scene: &Scene, id: &DoorId, code: &Code, filled: Filled) -> Result<Response, Oops> {
    let door = scene.web.house().board().door(id).ok_or(ApiError::NotFound("door with this id"))?;
    let refused = filled.error.is_some();
    let mut page = html(&CodePage {
        shell: Shell::new(scene, scene.t.change_code_of(&code.name), Section::Doors),
        t: scene.t,
        csrf: scene.csrf.clone(),
        id: id.clone(),
        door: door.name,
        code: code.id.clone(),
        title: scene.t.change_code_of(&code.name),
        wish: WishView::new(scene.t, filled),
    });
    if refused {
        *page.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    }
    Ok(page)
}

/// A code that the lock lists and that is not about to go.
async fn the_code(scene: &Scene, visitor: &Visitor, id: &DoorId, code: &str) -> Result<Code, Oops> {
    let codes = listed(scene, visitor, id).await.map_err(ApiError::Conflict)?;
    let code = codes.into_iter().find(|known| known.id == code && !code.is_empty() && known.state != CodeState::Removing);
    Ok(code.ok_or(ApiError::NotFound("code at this door"))?)
}

async fn change(
    State(web): State<Web>,
    visitor: Visitor,
    At(id): At<DoorId>,
    Form(form): Form<HashMap<String, String>>,
) -> Result<Response, Oops> {
    visitor.caller.check_csrf(form.get("csrf").map_or("", String::as_str))?;
    let scene = Scene::load(&web, &visitor).await;
    let code = the_code(&scene, &visitor, &id, form.get("code").map_or("", String::as_str)).await?;
    let tried = Filled { form, error: None };
    let result = match tried.change_of(&code) {
        Ok(None) => Ok(()),
        Ok(Some(wish)) => {
            let update = Credential::Update { id: code.id.clone(), wish };
            web.house().codes(&id, &visitor.caller.actor, update).await.map(drop).map_err(|fault| fault.person)
        }
        Err(error) => Err(error),
    };
    match result {
        Ok(()) => Ok(Redirect::to(&format!("/doors/{id}/codes?done=code_changed")).into_response()),
        Err(error) => code_page(&scene, &id, &code, tried.refused(error)),
    }
}

#[derive(Deserialize)]
struct DeleteForm {
    csrf: String,
    code: String,
}

async fn delete(State(web): State<Web>, visitor: Visitor, At(id): At<DoorId>, Form(form): Form<DeleteForm>) -> Result<Redirect, Oops> {
    visitor.caller.check_csrf(&form.csrf)?;
    web.house().codes(&id, &visitor.caller.actor, Credential::Delete { id: form.code }).await?;
    Ok(Redirect::to(&format!("/doors/{id}/codes?done=code_deleted")))
}
