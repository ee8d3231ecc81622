//! Rings: what rang, newest first, and each ring with what can be done about it.

use super::{
    events::{Choice, door_choices},
    ring_card::{self, RingItem},
    scene::Scene,
    shell::{FlashArea, Oops, Section, Shell, fragment, html},
    texts::Texts,
    visitor::{Errand, Visitor, encode},
};
use crate::{
    ApiError, Web,
    api::{end_ring, params::At},
    guard,
};
use askama::Template;
use axum::{
    Form, Router,
    extract::{Query, State},
    http::header,
    response::{Html, IntoResponse, Redirect, Response},
    routing::{get, post},
};
use doorward_core::keeper::RingEnd;
use doorward_store::RingQuery;
use doorward_wire::{door::DoorId, ring::RingId};
use serde::Deserialize;

/// Rings on a page.
pub(super) const PAGE: u32 = 40;

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/rings", get(list))
        .route("/rings/{id}", get(show))
        .route("/rings/{id}/ignore", post(ignore))
        .route("/rings/{id}/answer", post(answer))
}

/// What is wanted, as forms send it: an empty text is nothing.
#[derive(Deserialize, Default)]
struct Wanted {
    #[serde(default)]
    door: String,
    before: Option<RingId>,
}

#[derive(Template)]
#[template(path = "rings.html")]
struct RingsPage {
    shell: Shell,
    t: &'static Texts,
    doors: Vec<Choice>,
    filtered: bool,
    rings: Vec<RingItem>,
    newest: Option<String>,
    older: Option<String>,
}

async fn list(State(web): State<Web>, visitor: Visitor, Query(wanted): Query<Wanted>) -> Result<Response, Oops> {
    let scene = Scene::load(&web, &visitor).await;
    let door = wanted.door.parse::<DoorId>().ok();
    let query = RingQuery { before: wanted.before, door: door.clone(), state: None, limit: PAGE + 1 };
    let mut rings = web.house().store().rings(&query).await?;
    let more = rings.len() > PAGE as usize;
    let before = rings.get(PAGE as usize - 1).map(|ring| ring.id);
    rings.truncate(PAGE as usize);
    rings.retain(|ring| scene.sees(&ring.door));
    let filter = format!("door={}", encode(&wanted.door));
    let shell = Shell::new(&scene, scene.t.rings, Section::Events);
    Ok(html(&RingsPage {
        shell: if wanted.before.is_none() { shell.live(format!("rings:{}", door.as_ref().map_or("", DoorId::as_str))) } else { shell },
        t: scene.t,
        doors: door_choices(&scene, door.as_ref()),
        filtered: door.is_some(),
        older: before.filter(|_| more).map(|ring| format!("/rings?{filter}&before={ring}")),
        newest: wanted.before.map(|_| format!("/rings?{filter}")),
        rings: ring_card::by_day(&scene, &rings),
    }))
}

#[derive(Template)]
#[template(path = "ring.html")]
struct RingPage {
    shell: Shell,
    t: &'static Texts,
    parts: String,
}

async fn show(State(web): State<Web>, visitor: Visitor, At(id): At<RingId>) -> Result<Response, Oops> {
    let ring = web.house().ring(id).await?.filter(|ring| visitor.caller.sees(&web, &ring.door));
    let ring = ring.ok_or(ApiError::NotFound("ring with this id"))?;
    let mut scene = Scene::load(&web, &visitor).await;
    scene.ring = Some(id);
    let door = web.house().board().door(&ring.door);
    let name = door.as_ref().map_or(ring.door.as_str(), |door| &door.name);
    let moving = ring_card::is_moving(&scene, &ring);
    let mut page = html(&RingPage {
        shell: Shell::new(&scene, scene.t.ring_at(name), Section::Events)
            .live(format!("ring:{id}"))
            .refreshes(moving, format!("/rings/{id}")),
        t: scene.t,
        parts: ring_card::parts(&scene, &ring),
    });
    // The form that answers leads to the picture, and the browser asks this page whether it may.
    if let Some(policy) = door.and_then(|door| guard::policy_with_forms_to(door.stream.as_deref()?)) {
        page.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    Ok(page)
}

#[derive(Deserialize)]
struct EndForm {
    csrf: String,
}

async fn ignore(
    State(web): State<Web>,
    visitor: Visitor,
    errand: Errand,
    At(id): At<RingId>,
    Form(form): Form<EndForm>,
) -> Result<Response, Oops> {
    visitor.caller.check_csrf(&form.csrf)?;
    let ring = end_ring(&web, &visitor.caller, id, RingEnd::Rejected).await?;
    if errand.live.is_some() {
        let scene = Scene::load(&web, &visitor).await;
        return Ok(Html(ring_card::parts(&scene, &ring) + &fragment(&FlashArea { flash: None })).into_response());
    }
    Ok(Redirect::to(&format!("/rings/{id}")).into_response())
}

/// Answers, and leads to the picture of whoever rings.
async fn answer(State(web): State<Web>, visitor: Visitor, At(id): At<RingId>, Form(form): Form<EndForm>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(&form.csrf)?;
    let ring = end_ring(&web, &visitor.caller, id, RingEnd::Answered).await?;
    let stream = web.house().board().door(&ring.door).and_then(|door| door.stream);
    Ok(Redirect::to(&stream.unwrap_or_else(|| format!("/rings/{id}"))).into_response())
}
