//! Who can open a door now, and why; and who cannot.

use super::{
    scene::Scene,
    shell::{Oops, Section, Shell, html},
    texts::Texts,
    visitor::Visitor,
};
use crate::{
    Web,
    api::params::At,
    people::access::{self, Access},
};
use askama::Template;
use axum::{
    Router,
    extract::{Query, State},
    response::Response,
    routing::get,
};
use doorward_wire::{Time, door::DoorId};
use serde::Deserialize;

pub(super) fn router() -> Router<Web> {
    Router::new().route("/doors/{id}/access", get(show))
}

#[derive(Template)]
#[template(path = "access.html")]
struct AccessPage {
    shell: Shell,
    t: &'static Texts,
    id: DoorId,
    name: String,
    when: String,
    at: String,
    can: Vec<Line>,
    cannot: Vec<Line>,
}

struct Line {
    icon: &'static str,
    kind: &'static str,
    name: String,
    reasons: Vec<String>,
}

#[derive(Deserialize)]
struct When {
    #[serde(default)]
    at: String,
}

async fn show(State(web): State<Web>, visitor: Visitor, At(id): At<DoorId>, Query(when): Query<When>) -> Result<Response, Oops> {
    let setup = access::door(&web, &id).await?;
    let scene = Scene::load(&web, &visitor).await;
    let zone = scene.zone(Some(&setup.site));
    let asked: Option<jiff::civil::DateTime> = when.at.parse().ok();
    let at = asked.and_then(|at| at.to_zoned(zone.clone()).ok()).map(|at| Time::from(at.timestamp()));
    let moment = at.unwrap_or(scene.now);
    let all = access::of_everybody(&web, &setup, access::opening(&setup.capabilities), moment).await?;
    let (can, cannot): (Vec<Access>, Vec<Access>) = all.into_iter().partition(|access| access.allowed);
    let line = |access: Access| {
        let (kind, icon) = scene.t.access_kind(access.kind);
        Line { icon, kind, name: access.name, reasons: access.reasons }
    };
    Ok(html(&AccessPage {
        shell: Shell::new(&scene, scene.t.people.access, Section::Doors),
        t: scene.t,
        name: setup.name.clone(),
        when: at.map_or_else(|| scene.t.people.now.to_owned(), |at| scene.time(at, Some(&setup.site)).full),
        at: moment.timestamp().to_zoned(zone).strftime("%Y-%m-%dT%H:%M").to_string(),
        can: can.into_iter().map(line).collect(),
        cannot: cannot.into_iter().map(line).collect(),
        id,
    }))
}
