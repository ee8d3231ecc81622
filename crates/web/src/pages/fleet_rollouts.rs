//! Rollouts: planning one, and watching it go through its groups.

use super::{
    fleet::DEVICES,
    scene::{Scene, TimeView},
    shell::{Flash, Oops, Section, Shell, fragment, html},
    texts::{
        EN, Texts,
        state::{Face, Tone},
    },
    visitor::Visitor,
    webhook_form::Fields,
};
use crate::{
    ApiError, Web,
    api::{
        params::At,
        rollouts::{GroupView, NewRollout, RolloutView, found, plan, turn_of},
    },
};
use askama::Template;
use axum::{
    Form, Router,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use doorward_store::StoreError;
use serde::Deserialize;

/// Devices that are listed.
const SHOWN: usize = 200;

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/fleet/rollouts", get(list).post(add))
        .route("/fleet/rollouts/{id}", get(show))
        .route("/fleet/rollouts/{id}/{turn}", post(turn))
}

#[derive(Template)]
#[template(path = "fleet_rollouts.html")]
struct RolloutsPage {
    shell: Shell,
    t: &'static Texts,
    csrf: String,
    cards: Vec<String>,
    versions: Vec<String>,
    filled: Filled,
    error: Option<String>,
}

/// The form as it was filled in.
#[derive(Clone, Deserialize)]
struct Filled {
    #[serde(default)]
    csrf: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    groups: String,
    #[serde(default)]
    success: String,
    #[serde(default)]
    errors: String,
    #[serde(default)]
    from: String,
    #[serde(default)]
    until: String,
}

impl Default for Filled {
    fn default() -> Self {
        let text = |text: &str| text.to_owned();
        Self {
            csrf: String::new(),
            version: String::new(),
            groups: text("5, 25, 100"),
            success: text("90"),
            errors: text("10"),
            from: String::new(),
            until: String::new(),
        }
    }
}

#[derive(Template)]
#[template(path = "_fleet_rollout.html")]
struct Card {
    t: &'static Texts,
    id: String,
    title: String,
    face: Face,
    about: String,
    changed: TimeView,
    detail: Option<String>,
    groups: Vec<Group>,
    /// On its own page it has its buttons.
    own: bool,
    turns: Vec<(&'static str, &'static str, Tone)>,
    csrf: String,
}

/// A group as a bar.
struct Group {
    name: String,
    text: String,
    now: bool,
    /// Parts of the bar in per cent: where each begins, how wide it is, and its tone.
    parts: Vec<(String, String, Tone)>,
}

#[derive(Deserialize)]
struct Said {
    done: Option<String>,
}

async fn list(State(web): State<Web>, visitor: Visitor, Query(said): Query<Said>) -> Result<Response, Oops> {
    visitor.caller.need(&DEVICES)?;
    page(&Scene::load(&web, &visitor).await, said.done.as_deref(), Filled::default(), None).await
}

async fn page(scene: &Scene, done: Option<&str>, filled: Filled, error: Option<String>) -> Result<Response, Oops> {
    let fleet = scene.web.fleet();
    let mut versions: Vec<_> = fleet.all_firmware().await?.into_iter().filter(|one| one.hardware == fleet.options().hardware).collect();
    versions.sort_by(|a, b| b.version.cmp(&a.version));
    let refused = error.is_some();
    let cards = fleet.rollouts().await?.into_iter().map(|rollout| card(scene, rollout.into(), false)).collect();
    let mut page = html(&RolloutsPage {
        shell: Shell::new(scene, scene.t.fleet.rollouts, Section::Fleet).done(done),
        t: scene.t,
        csrf: scene.csrf.clone(),
        cards,
        versions: versions.into_iter().map(|one| one.version.to_string()).collect(),
        filled,
        error,
    });
    if refused {
        *page.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    }
    Ok(page)
}

async fn add(State(web): State<Web>, visitor: Visitor, Form(filled): Form<Filled>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(&filled.csrf)?;
    visitor.caller.need(&DEVICES)?;
    let made = match wish(&filled) {
        Ok(wish) => plan(&web, &visitor.caller, wish).await.map_err(|error| EN.sentence(&error.to_string())),
        Err(wrong) => Err(wrong.to_owned()),
    };
    match made {
        Ok(made) => Ok(Redirect::to(&format!("/fleet/rollouts/{}", made.id)).into_response()),
        Err(error) => page(&Scene::load(&web, &visitor).await, None, filled, Some(error)).await,
    }
}

fn wish(filled: &Filled) -> Result<NewRollout, &'static str> {
    let groups: Result<Vec<u8>, _> = filled.groups.split([',', ' ']).filter(|part| !part.is_empty()).map(str::parse).collect();
    let per_cent = |text: &str| text.trim().parse::<u8>().map_err(|_| EN.fleet.per_cent_wrong);
    let window = match (filled.from.trim(), filled.until.trim()) {
        ("", "") => None,
        (from, until) => Some([from.to_owned(), until.to_owned()]),
    };
    Ok(NewRollout {
        version: filled.version.parse().map_err(|_| EN.fleet.no_version)?,
        hardware: None,
        groups: Some(groups.map_err(|_| EN.fleet.groups_wrong)?),
        success: Some(per_cent(&filled.success)?),
        errors: Some(per_cent(&filled.errors)?),
        tries: None,
        at_once: None,
        window,
    })
}

#[derive(Template)]
#[template(path = "fleet_rollout.html")]
struct RolloutPage {
    shell: Shell,
    t: &'static Texts,
    card: String,
    devices: Vec<DeviceLine>,
    more: usize,
}

struct DeviceLine {
    id: String,
    face: Face,
    note: String,
}

async fn show(State(web): State<Web>, visitor: Visitor, At(id): At<String>, Query(said): Query<Said>) -> Result<Response, Oops> {
    visitor.caller.need(&DEVICES)?;
    one(&web, &visitor, &id, said.done.as_deref(), None).await
}

async fn one(web: &Web, visitor: &Visitor, id: &str, done: Option<&str>, flash: Option<Flash>) -> Result<Response, Oops> {
    let rollout = found(web, id).await?;
    let scene = Scene::load(web, visitor).await;
    let all = web.house().store().rollout_devices(id).await?;
    let title = scene.t.rollout_of(rollout.version.as_str());
    let mut shell = Shell::new(&scene, title, Section::Fleet).live(format!("rollout:{id}")).done(done);
    shell.flash = flash.or(shell.flash);
    let line = |device: &doorward_store::RolloutDevice| DeviceLine {
        id: device.device.to_string(),
        face: scene.t.rollout_device(&device.state),
        note: device.error.clone().or_else(|| device.before.clone()).unwrap_or_default(),
    };
    Ok(html(&RolloutPage {
        shell,
        t: scene.t,
        card: card(&scene, rollout, true),
        more: all.len().saturating_sub(SHOWN),
        devices: all.iter().take(SHOWN).map(line).collect(),
    }))
}

/// A rollout's card, as it is now; nothing when it is gone.
pub(super) async fn rendered(scene: &Scene, id: &str) -> Result<Option<String>, StoreError> {
    let rollout = scene.web.fleet().rollout(id).await?;
    Ok(rollout.map(|rollout| card(scene, rollout.into(), true)))
}

fn card(scene: &Scene, rollout: RolloutView, own: bool) -> String {
    let t = scene.t;
    fragment(&Card {
        t,
        title: t.rollout_of(rollout.version.as_str()),
        face: t.rollout_state(&rollout.state),
        about: t.rollout_plan(rollout.hardware.as_str(), rollout.success, rollout.errors, rollout.window.as_ref()),
        changed: scene.time(rollout.changed, None),
        groups: rollout.groups.iter().enumerate().map(|(number, group)| bar(t, group, number == rollout.group)).collect(),
        detail: rollout.detail,
        own,
        turns: if own { turns(t, &rollout.state) } else { Vec::new() },
        csrf: scene.csrf.clone(),
        id: rollout.id,
    })
}

fn bar(t: &Texts, group: &GroupView, now: bool) -> Group {
    let counts = [(group.done, "ok"), (group.under_way, "busy"), (group.failed, "bad"), (group.waiting + group.absent, "calm")];
    let all: u32 = counts.iter().map(|(count, _)| count).sum();
    let mut begins = 0.0;
    let mut parts = Vec::new();
    for (count, tone) in counts.into_iter().filter(|(count, _)| *count > 0) {
        let width = f64::from(count) * 100.0 / f64::from(all.max(1));
        parts.push((format!("{begins:.2}"), format!("{width:.2}"), tone));
        begins += width;
    }
    Group {
        name: t.group(group.per_cent),
        text: t.group_text(group.done, group.under_way, group.waiting, group.absent, group.failed),
        now,
        parts,
    }
}

/// What can be done with a rollout that stands so.
fn turns(t: &Texts, state: &str) -> Vec<(&'static str, &'static str, Tone)> {
    let (approve, pause, resume) = (("approve", t.fleet.approve, "ok"), ("pause", t.fleet.pause, "calm"), ("resume", t.fleet.resume, "ok"));
    let (stop, back) = (("stop", t.fleet.stop, "bad"), ("rollback", t.fleet.rollback, "bad"));
    match state {
        "draft" => vec![approve, stop],
        "approved" => vec![pause, stop],
        "running" => vec![pause, stop, back],
        "paused" => vec![resume, stop, back],
        "done" | "stopped" => vec![back],
        _ => Vec::new(),
    }
}

async fn turn(
    State(web): State<Web>,
    visitor: Visitor,
    At((id, word)): At<(String, String)>,
    Form(form): Form<Fields>,
) -> Result<Response, Oops> {
    visitor.caller.check_csrf(form.get("csrf").map_or("", String::as_str))?;
    visitor.caller.need(&DEVICES)?;
    let turn = turn_of(&word).ok_or(ApiError::NotFound("such thing to do with a rollout"))?;
    match web.fleet().turn_rollout(&id, turn, &visitor.caller.actor).await {
        Ok(rollout) => Ok(Redirect::to(&format!("/fleet/rollouts/{}", rollout.id)).into_response()),
        Err(doorward_fleet::RolloutError::Store(error)) => Err(ApiError::Store(error).into()),
        Err(error) => one(&web, &visitor, &id, None, Some(Flash::bad(EN.sentence(&error.to_string())))).await,
    }
}
