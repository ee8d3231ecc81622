//! Doors: all of them, and each with what happened at it.

use super::{
    codes::CodesCard,
    door_card::{self, DoorCard, Facts},
    event_list::{self, EventItem},
    locks, ring_card,
    scene::Scene,
    shell::{Flash, FlashArea, Oops, Section, Shell, fragment, html},
    texts::Texts,
    visitor::{Errand, Visitor, encode},
};
use crate::{ApiError, Web, api::params::At};
use askama::Template;
use axum::{
    Form, Router,
    extract::{Query, State},
    response::{Html, IntoResponse, Redirect, Response},
    routing::{get, post},
};
use doorward_core::keeper::Command;
use doorward_store::EventQuery;
use doorward_wire::{
    attempt::{ActionWord, Attempt, AttemptId, AttemptState},
    door::{Capability, Door, DoorId, DoorState},
    grant::Means,
};
use serde::Deserialize;
use std::time::Duration;

/// How long a page waits for a door to tell its state.
const LOOK: Duration = Duration::from_secs(8);
/// Events on a door's page.
const RECENT: u32 = 12;

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/", get(async || Redirect::to("/doors")))
        .route("/doors", get(list))
        .route("/doors/{id}", get(show))
        .route("/doors/{id}/actions", post(act))
}

#[derive(Template)]
#[template(path = "doors.html")]
struct DoorsPage {
    shell: Shell,
    t: &'static Texts,
    summary: String,
    groups: Vec<Group>,
    has_accounts: bool,
    /// Whether there are locks over Bluetooth, which have a page of their own.
    has_locks: bool,
}

/// The doors of one site.
struct Group {
    name: Option<String>,
    cards: Vec<DoorCard>,
}

#[derive(Deserialize)]
pub(super) struct Said {
    done: Option<String>,
}

async fn list(State(web): State<Web>, visitor: Visitor, Query(said): Query<Said>) -> Response {
    let scene = Scene::load(&web, &visitor).await;
    let doors = scene.doors();
    let mut sites: Vec<&str> = doors.iter().map(|door| door.site.as_str()).collect();
    sites.sort_unstable_by_key(|site| scene.site_name(site).to_lowercase());
    sites.dedup();
    let groups = sites.iter().map(|site| Group {
        name: (sites.len() > 1).then(|| scene.site_name(site).to_owned()),
        cards: doors.iter().filter(|door| door.site == *site).map(|door| DoorCard::new(&scene, door, false, None)).collect(),
    });
    html(&DoorsPage {
        shell: Shell::new(&scene, scene.t.doors, Section::Doors)
            .live("doors")
            .refreshes(doors.iter().any(door_card::is_moving), "/doors")
            .done(said.done.as_deref()),
        t: scene.t,
        summary: summary(&scene, &doors),
        groups: groups.collect(),
        has_accounts: scene.has_accounts(),
        has_locks: locks::has_any(&scene),
    })
}

#[derive(Template)]
#[template(path = "_summary.html")]
struct Summary {
    text: String,
}

/// How all doors stand, in a line; a fragment.
pub(super) fn summary(scene: &Scene, doors: &[Door]) -> String {
    let states: Vec<DoorState> = doors.iter().filter(|door| door_card::counts(door)).map(|door| door.state).collect();
    fragment(&Summary { text: scene.t.summary(&states, doors.len() - states.len()) })
}

#[derive(Template)]
#[template(path = "door.html")]
struct DoorPage {
    shell: Shell,
    t: &'static Texts,
    id: DoorId,
    card: DoorCard,
    facts: Facts,
    /// Whether its settings are the visitor's to change.
    manages: bool,
    codes: Option<CodesCard>,
    events: Vec<EventItem>,
    last: i64,
}

#[derive(Deserialize)]
struct Show {
    attempt: Option<AttemptId>,
    done: Option<String>,
}

async fn show(
    State(web): State<Web>,
    visitor: Visitor,
    At(id): At<DoorId>,
    Query(Show { attempt, done }): Query<Show>,
) -> Result<Response, Oops> {
    let shown = match attempt {
        Some(id) => web.house().attempt(id).await?,
        None => None,
    };
    let shown = shown.filter(|attempt| attempt.door == id);
    let door = visitor.caller.door(&web, &id)?;
    let scene = Scene::load(&web, &visitor).await;
    let mut events = web.house().store().events(&EventQuery { door: Some(id.clone()), limit: 4 * RECENT, ..EventQuery::default() }).await?;
    let last = events.last().map_or(0, |event| event.id);
    events.retain(|event| scene.reads(event));
    let again = attempt.map_or_else(|| format!("/doors/{id}"), |attempt| format!("/doors/{id}?attempt={attempt}"));
    let moving = door_card::is_moving(&door) || shown.as_ref().is_some_and(|attempt| !attempt.state.is_final());
    Ok(html(&DoorPage {
        shell: Shell::new(&scene, &door.name, Section::Doors).live(format!("door:{id}")).refreshes(moving, again).done(done.as_deref()),
        t: scene.t,
        card: DoorCard::new(&scene, &door, true, shown.as_ref()),
        facts: Facts::new(&scene, &door),
        manages: scene.is_administrator(),
        codes: (scene.is_administrator() && door.capabilities.contains(&Capability::Pin)).then(|| CodesCard::later(&scene, &door.id)),
        last,
        events: event_list::brief(&scene, &events, RECENT as usize),
        id: door.id,
    }))
}

#[derive(Deserialize)]
struct ActionForm {
    csrf: String,
    action: ActionWord,
    id: AttemptId,
}

async fn act(
    State(web): State<Web>,
    visitor: Visitor,
    errand: Errand,
    At(id): At<DoorId>,
    Form(form): Form<ActionForm>,
) -> Result<Response, Oops> {
    visitor.caller.check_csrf(&form.csrf)?;
    visitor.caller.door(&web, &id)?;
    let command = Command {
        id: form.id,
        door: id.clone(),
        action: form.action,
        actor: visitor.caller.actor.clone(),
        rights: visitor.caller.rights.clone(),
        not_after: None,
        means: Means::Remote,
    };
    let mut attempt = web.house().submit(command).await?;
    if form.action == ActionWord::Refresh {
        attempt = web.house().finish(attempt, LOOK).await;
    }
    if let Some(view) = errand.live {
        return Ok(unfold(&web, &visitor, &id, &attempt, &view).await?);
    }
    Ok(Redirect::to(&format!("/doors/{id}?attempt={}#attempt", encode(&attempt.id.to_string()))).into_response())
}

/// The door with the attempt, as fragments. What was refused never reaches the door, so it is told here.
async fn unfold(web: &Web, visitor: &Visitor, id: &DoorId, attempt: &Attempt, view: &str) -> Result<Response, ApiError> {
    let scene = Scene::load(web, visitor).await;
    let door = web.house().board().door(id).ok_or(ApiError::NotFound("door with this id"))?;
    let failed = attempt.action == ActionWord::Refresh && !matches!(attempt.state, AttemptState::Pending | AttemptState::Confirmed);
    let flash = failed.then(|| Flash::bad(scene.t.look_failed(&door.name, attempt)));
    let ring = match view.strip_prefix("ring:").and_then(|id| id.parse().ok()) {
        Some(ring) => web.house().ring(ring).await?,
        None => None,
    };
    let cards = match ring {
        Some(ring) => ring_card::parts(&scene, &ring),
        None => fragment(&DoorCard::new(&scene, &door, view.starts_with("door:"), Some(attempt).filter(|_| !failed))),
    };
    Ok(Html(cards + &fragment(&FlashArea { flash })).into_response())
}
