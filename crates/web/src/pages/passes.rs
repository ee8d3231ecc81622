//! Passes: the list, and making one in three taps.

use super::{
    people::doors_name,
    scene::{Scene, TimeView},
    shell::{Oops, Section, Shell, html},
    terms_form::{self, Fields},
    texts::{EN, Texts, state::Face},
    visitor::{Visitor, encode},
};
use crate::{
    ApiError, ApiResult, Web,
    people::passes::{self, NewWish, may_make, state},
};
use askama::Template;
use axum::{
    Form, Router,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use doorward_core::Secret;
use doorward_store::StoredPass;
use doorward_wire::grant::{PassState, Terms};
use serde::Deserialize;
use std::time::Duration;

pub(super) fn router() -> Router<Web> {
    Router::new().route("/passes", get(list)).route("/passes/new", get(ask).post(make))
}

#[derive(Template)]
#[template(path = "passes.html")]
struct PassesPage {
    shell: Shell,
    t: &'static Texts,
    text: &'static str,
    /// Whether people are managed here, too.
    people: bool,
    passes: Vec<PassLine>,
}

/// A pass in the list.
struct PassLine {
    href: String,
    name: String,
    face: Face,
    doors: String,
    ends: Option<TimeView>,
    used: String,
}

#[derive(Deserialize)]
struct Said {
    done: Option<String>,
}

async fn list(State(web): State<Web>, visitor: Visitor, Query(said): Query<Said>) -> Result<Response, Oops> {
    let mut passes = passes::list(&web, &visitor.caller).await?;
    let scene = Scene::load(&web, &visitor).await;
    // What opens doors comes first.
    passes.sort_by_key(|pass| !matches!(state(pass, scene.now), PassState::Active | PassState::NotYet));
    Ok(html(&PassesPage {
        shell: Shell::new(&scene, scene.t.people.passes, Section::People).done(said.done.as_deref()),
        t: scene.t,
        text: if scene.is_administrator() { scene.t.people.passes_text } else { scene.t.people.my_passes_text },
        people: scene.is_administrator(),
        passes: passes.iter().map(|pass| line(&scene, pass)).collect(),
    }))
}

fn line(scene: &Scene, pass: &StoredPass) -> PassLine {
    let terms = &pass.grant.terms;
    PassLine {
        href: format!("/passes/{}", encode(&pass.id)),
        name: pass.name.clone(),
        face: scene.t.pass_face(state(pass, scene.now)),
        doors: scene.t.doors_named(&pass.grant.doors, |one| doors_name(scene, one)),
        ends: terms.until.map(|until| scene.time(until, None)),
        used: scene.t.is_used(pass.grant.used, terms.uses),
    }
}

#[derive(Template)]
#[template(path = "pass_new.html")]
struct NewPage {
    shell: Shell,
    t: &'static Texts,
    csrf: String,
    name: String,
    doors: String,
    spans: Vec<(&'static str, &'static str, bool)>,
    terms: String,
    open: bool,
    error: Option<String>,
}

async fn ask(State(web): State<Web>, visitor: Visitor) -> Result<Response, Oops> {
    may_make(&visitor.caller)?;
    let scene = Scene::load(&web, &visitor).await;
    Ok(form(&scene, &Fields::new(), None))
}

fn form(scene: &Scene, given: &Fields, error: Option<String>) -> Response {
    let chosen = given.get("for").map_or("4h", String::as_str);
    let t = scene.t;
    let spans = [
        ("1h", t.people.hour_1),
        ("4h", t.people.hours_4),
        ("1d", t.people.day_1),
        ("3d", t.people.days_3),
        ("1w", t.people.week_1),
        ("custom", t.people.custom),
    ];
    let mut page = html(&NewPage {
        shell: Shell::new(scene, t.people.new_pass, Section::People),
        t,
        csrf: scene.csrf.clone(),
        name: given.get("name").cloned().unwrap_or_default(),
        doors: terms_form::doors(scene, t.people.which_doors, &terms_form::read_doors(given)),
        spans: spans.map(|(word, label)| (word, label, word == chosen)).into(),
        terms: terms_form::terms(scene, &terms_form::read_terms(scene, given).unwrap_or_default()),
        open: error.is_some() && chosen == "custom",
        error,
    });
    if given.contains_key("csrf") {
        *page.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    }
    page
}

/// How long a pass lasts that is made with one tap.
pub(super) fn span(word: &str) -> Option<Duration> {
    Some(match word {
        "1h" => Duration::from_hours(1),
        "4h" => Duration::from_hours(4),
        "1d" => Duration::from_hours(24),
        "3d" => Duration::from_hours(3 * 24),
        "1w" => Duration::from_hours(7 * 24),
        _ => return None,
    })
}

async fn make(State(web): State<Web>, visitor: Visitor, Form(given): Form<Fields>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(given.get("csrf").map_or("", String::as_str))?;
    let scene = Scene::load(&web, &visitor).await;
    let made = async {
        let wish = wish(&scene, &given)?;
        passes::make(&web, &visitor.caller, wish).await
    };
    match made.await {
        Ok((pass, _)) => Ok(Redirect::to(&format!("/passes/{}?done=pass_made", encode(&pass.id))).into_response()),
        Err(error @ ApiError::Unprocessable(_)) => Ok(form(&scene, &given, Some(EN.explain(&error)))),
        Err(error) => Err(error.into()),
    }
}

fn wish(scene: &Scene, given: &Fields) -> ApiResult<NewWish> {
    let text = |key: &str| given.get(key).map_or("", |text| text.trim());
    let terms = match span(text("for")) {
        Some(span) => {
            let until = scene.now.plus(span);
            Terms { until: Some(until), ..terms_form::read_terms(scene, given).map(|terms| Terms { from: None, ..terms })? }
        }
        None => terms_form::read_terms(scene, given)?,
    };
    let name = if text("name").is_empty() { scene.t.people.guest } else { text("name") };
    let pin = Some(text("pin")).filter(|pin| !pin.is_empty()).map(|pin| Secret::new(pin.to_owned()));
    Ok(NewWish { name: name.to_owned(), doors: terms_form::read_doors(given), terms, pin })
}
