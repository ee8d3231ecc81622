//! One pass: its link, what it opens and until when, what it opened.

use super::{
    event_list::{self, EventItem},
    locks,
    passes::span,
    people::doors_name,
    scene::{Scene, TimeView},
    shell::{Oops, Section, Shell, html},
    terms_form::{self, Fields},
    texts::{EN, Texts, state::Face},
    visitor::{Errand, Visitor, encode},
};
use crate::{
    ApiError, ApiResult, Web,
    people::{
        compile,
        passes::{self, link, state},
        phones,
        rights::Wish,
    },
};
use askama::Template;
use axum::{
    Form, Router,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use doorward_core::Secret;
use doorward_store::{EventQuery, PassDoor, StoredPass};
use doorward_tunnel::pairing;
use doorward_wire::{
    attempt::ActorKind,
    event::Event,
    grant::{Actions, Doors, Means, PassDoorState, PassState, Terms},
};
use serde::Deserialize;

/// Events of the house that are looked through for those of a pass.
const LOOKED_THROUGH: u32 = 2000;
/// Events of a pass that are shown.
const SHOWN: usize = 20;

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/passes/{id}", get(show).post(change))
        .route("/passes/{id}/extend", post(extend))
        .route("/passes/{id}/phones", post(invite))
        .route("/passes/{id}/revoke", post(revoke))
        .route("/passes/{id}/remove", post(remove))
}

#[derive(Template)]
#[template(path = "pass.html")]
struct PassPage {
    shell: Shell,
    t: &'static Texts,
    csrf: String,
    id: String,
    name: String,
    face: Face,
    doors: String,
    terms: String,
    ends: Option<TimeView>,
    used: String,
    seen: Option<TimeView>,
    has_pin: bool,
    /// What is shown of its link while it opens something.
    link: Option<(String, String)>,
    door_fields: String,
    term_fields: String,
    means: Vec<MeansLine>,
    events: Vec<EventItem>,
    wrong: Option<String>,
    over: bool,
    /// A phone with a program of its own can open one of its doors.
    phones: bool,
}

/// By which means it opens a door, or why it does not.
struct MeansLine {
    door: String,
    means: &'static str,
    icon: &'static str,
    face: Face,
    detail: Option<String>,
    code: Option<String>,
}

#[derive(Deserialize)]
struct Said {
    done: Option<String>,
}

async fn show(
    State(web): State<Web>,
    visitor: Visitor,
    errand: Errand,
    Path(id): Path<String>,
    Query(said): Query<Said>,
) -> Result<Response, Oops> {
    page(&web, &visitor, &errand, &id, said.done.as_deref(), None).await
}

async fn page(
    web: &Web,
    visitor: &Visitor,
    errand: &Errand,
    id: &str,
    done: Option<&str>,
    wrong: Option<String>,
) -> Result<Response, Oops> {
    let pass = passes::own(web, &visitor.caller, id).await?;
    let scene = Scene::load(web, visitor).await;
    let now = state(&pass, scene.now);
    let over = !matches!(now, PassState::Active | PassState::NotYet);
    let link = if over {
        None
    } else {
        let secret = passes::secret_of(web, &pass).await?;
        let link = Secret::new(link(&errand.base(web), &secret));
        let picture = pairing::svg(&link, scene.t.people.pass_link).unwrap_or_default();
        Some((link.reveal().clone(), picture))
    };
    let events = web.house().store().events(&EventQuery { limit: LOOKED_THROUGH, ..EventQuery::default() }).await?;
    let events: Vec<Event> = events.into_iter().filter(|event| is_of(event, &pass)).collect();
    let means = if over { Vec::new() } else { compile::standing(web, &pass).await? };
    let phones = means.iter().any(|row| row.means == Means::Ble && row.state == PassDoorState::Set);
    let failed = wrong.is_some();
    let mut page = html(&PassPage {
        shell: Shell::new(&scene, &pass.name, Section::People).done(done),
        t: scene.t,
        csrf: scene.csrf.clone(),
        face: scene.t.pass_face(now),
        doors: scene.t.doors_named(&pass.grant.doors, |one| doors_name(&scene, one)),
        terms: scene.t.terms(&Terms { until: None, uses: None, ..pass.grant.terms.clone() }, &scene.zone(None)),
        ends: pass.grant.terms.until.map(|until| scene.time(until, None)),
        used: scene.t.used_of(pass.grant.used, pass.grant.terms.uses),
        seen: pass.seen.map(|seen| scene.time(seen, None)),
        has_pin: pass.has_pin,
        link,
        door_fields: terms_form::doors(&scene, scene.t.people.doors, &pass.grant.doors),
        term_fields: terms_form::terms(&scene, &pass.grant.terms),
        means: means.into_iter().map(|row| means_line(&scene, row)).collect(),
        events: event_list::brief(&scene, &events, SHOWN),
        wrong,
        over,
        phones,
        id: pass.id,
        name: pass.name,
    });
    if failed {
        *page.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    }
    Ok(page)
}

fn means_line(scene: &Scene, row: PassDoor) -> MeansLine {
    let (means, icon) = scene.t.means(row.means);
    MeansLine {
        door: doors_name(scene, &Doors::One(row.door)),
        means,
        icon,
        face: scene.t.pass_door_face(row.state),
        detail: row.detail,
        code: row.pin.map(|pin| pin.reveal().clone()),
    }
}

/// What a pass did.
fn is_of(event: &Event, pass: &StoredPass) -> bool {
    event.actor.as_ref().is_some_and(|actor| actor.kind == ActorKind::Pass && actor.id == pass.id)
}

async fn change(
    State(web): State<Web>,
    visitor: Visitor,
    errand: Errand,
    Path(id): Path<String>,
    Form(form): Form<Fields>,
) -> Result<Response, Oops> {
    visitor.caller.check_csrf(form.get("csrf").map_or("", String::as_str))?;
    let scene = Scene::load(&web, &visitor).await;
    let changed = async {
        let terms = terms_form::read_terms(&scene, &form)?;
        let wish = Wish { doors: terms_form::read_doors(&form), actions: Actions::Act, terms };
        passes::change(&web, &visitor.caller, &id, form.get("name").map(String::as_str), wish).await
    };
    settled(&web, &visitor, &errand, &id, changed.await).await
}

#[derive(Deserialize)]
struct ExtendForm {
    csrf: String,
    by: String,
}

async fn extend(
    State(web): State<Web>,
    visitor: Visitor,
    errand: Errand,
    Path(id): Path<String>,
    Form(form): Form<ExtendForm>,
) -> Result<Response, Oops> {
    visitor.caller.check_csrf(&form.csrf)?;
    let extended = async {
        let grant = passes::own(&web, &visitor.caller, &id).await?.grant;
        let by = span(&form.by).ok_or_else(|| ApiError::BadRequest("by: 1h, 4h, 1d, 3d or 1w".into()))?;
        let now = web.house().now().utc;
        let until = grant.terms.until.map(|until| until.max(now).plus(by));
        let wish = Wish { doors: grant.doors, actions: Actions::Act, terms: Terms { until, ..grant.terms } };
        passes::change(&web, &visitor.caller, &id, None, wish).await
    };
    settled(&web, &visitor, &errand, &id, extended.await).await
}

async fn settled(web: &Web, visitor: &Visitor, errand: &Errand, id: &str, result: ApiResult<StoredPass>) -> Result<Response, Oops> {
    match result {
        Ok(_) => Ok(Redirect::to(&format!("/passes/{}?done=pass_extended", encode(id))).into_response()),
        Err(error @ ApiError::Unprocessable(_)) => page(web, visitor, errand, id, None, Some(EN.explain(&error))).await,
        Err(error) => Err(error.into()),
    }
}

#[derive(Deserialize)]
struct Csrf {
    csrf: String,
}

async fn invite(State(web): State<Web>, visitor: Visitor, Path(id): Path<String>, Form(form): Form<Csrf>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(&form.csrf)?;
    let invite = phones::invite_pass(&web, &visitor.caller, &id).await?;
    let scene = Scene::load(&web, &visitor).await;
    Ok(html(&locks::invited(&scene, &invite, format!("/passes/{}", encode(&id)))))
}

async fn revoke(State(web): State<Web>, visitor: Visitor, Path(id): Path<String>, Form(form): Form<Csrf>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(&form.csrf)?;
    passes::revoke(&web, &visitor.caller, &id).await?;
    Ok(Redirect::to(&format!("/passes/{}?done=pass_revoked", encode(&id))).into_response())
}

async fn remove(State(web): State<Web>, visitor: Visitor, Path(id): Path<String>, Form(form): Form<Csrf>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(&form.csrf)?;
    passes::remove(&web, &visitor.caller, &id).await?;
    Ok(Redirect::to("/passes?done=pass_removed").into_response())
}
