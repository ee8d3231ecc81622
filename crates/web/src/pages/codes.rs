//! PIN codes that a lock keeps by itself, on the page of its door.

use super::{
    door_card::Badge,
    events::Choice,
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
    code::{Code, CodeKind, CodeSchedule, CodeState, CodeWish},
    door::{Capability, DoorId},
};
use serde::Deserialize;
use std::{collections::HashMap, time::Duration};

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
/// A page does not wait longer than this for a lock to list its codes.
const PATIENCE: Duration = Duration::from_secs(6);

pub(super) fn router() -> Router<Web> {
    Router::new().route("/doors/{id}/codes", get(show).post(add)).route("/doors/{id}/codes/delete", post(delete))
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
    pub(crate) wish: WishView,
}

pub(crate) struct CodeView {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) when: String,
    pub(crate) badge: Option<Badge>,
    pub(crate) deletable: bool,
    pub(crate) delete_aria: String,
}

/// The form for a new code, as it was filled in.
pub(crate) struct WishView {
    pub(crate) open: bool,
    pub(crate) error: Option<String>,
    pub(crate) name: String,
    pub(crate) kinds: Vec<KindChoice>,
    pub(crate) from: String,
    pub(crate) until: String,
    pub(crate) days: Vec<Choice>,
    pub(crate) hours_from: String,
    pub(crate) hours_until: String,
    pub(crate) uses: String,
}

pub(crate) struct KindChoice {
    pub(crate) value: &'static str,
    pub(crate) label: &'static str,
    pub(crate) help: &'static str,
    pub(crate) on: bool,
}

/// A code that was not accepted, and why.
pub(super) struct Wish {
    form: HashMap<String, String>,
    error: String,
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

/// The codes on a page of their own; `wish` is one that was not accepted.
async fn page(web: &Web, visitor: &Visitor, id: &DoorId, wish: Option<Wish>, done: Option<&str>) -> Result<Response, Oops> {
    let door = web.house().board().door(id).filter(|door| door.capabilities.contains(&Capability::Pin));
    let door = door.ok_or(ApiError::NotFound("door with codes and this id"))?;
    let scene = Scene::load(web, visitor).await;
    let content = Some(view(&scene, visitor, id, wish).await);
    Ok(html(&CodesPage {
        shell: Shell::new(&scene, format!("{} · {}", scene.t.codes, door.name), Section::Doors).done(done),
        t: scene.t,
        id: door.id,
        name: door.name,
        codes: CodesCard { content, ..CodesCard::later(&scene, id) },
    }))
}

/// Lists the codes of a door; what cannot be listed is said instead.
async fn view(scene: &Scene, visitor: &Visitor, id: &DoorId, wish: Option<Wish>) -> CodesView {
    let clock = scene.web.house().clock();
    let listed = tokio::select! {
        listed = scene.web.house().codes(id, &visitor.caller.actor, Credential::List) => listed.map_err(|fault| fault.person),
        () = clock.sleep_until(clock.now().mono.plus(PATIENCE)) => Err(scene.t.codes_late.to_owned()),
    };
    let listed = listed.and_then(|done| serde_json::from_value::<Vec<Code>>(done.output).map_err(|_| scene.t.codes_nonsense.to_owned()));
    let (list, trouble) = match listed {
        Ok(codes) => (codes.iter().map(|code| code_view(scene, code)).collect(), None),
        Err(trouble) => (Vec::new(), Some(trouble)),
    };
    CodesView { list, trouble, wish: wish_view(scene, wish) }
}

fn code_view(scene: &Scene, code: &Code) -> CodeView {
    let t = scene.t;
    CodeView {
        id: code.id.clone(),
        name: code.name.clone(),
        kind: t.code_kind(code.kind).0,
        when: code.schedule.as_ref().map_or_else(String::new, |schedule| t.schedule(schedule)),
        badge: t.code_state(code.state).map(|face| Badge { tone: face.tone, icon: face.icon, word: face.word.into() }),
        deletable: code.state != CodeState::Removing,
        delete_aria: t.delete_code_of(&code.name),
    }
}

fn wish_view(scene: &Scene, wish: Option<Wish>) -> WishView {
    let t = scene.t;
    let open = wish.is_some();
    let (form, error) = wish.map_or_else(Default::default, |wish| (wish.form, Some(wish.error)));
    let text = |key: &str| form.get(key).cloned().unwrap_or_default();
    let kind = text("kind").parse().unwrap_or(CodeKind::Normal);
    WishView {
        open,
        error,
        name: text("name"),
        kinds: CodeKind::ALL
            .iter()
            .map(|choice| {
                let (label, help) = t.code_kind(*choice);
                KindChoice { value: choice.as_str(), label, help, on: *choice == kind }
            })
            .collect(),
        from: text("from"),
        until: text("until"),
        days: DAYS.iter().map(|day| Choice { value: (*day).into(), label: t.weekday(day).into(), on: form.contains_key(*day) }).collect(),
        hours_from: text("hours_from"),
        hours_until: text("hours_until"),
        uses: text("uses"),
    }
}

async fn add(
    State(web): State<Web>,
    visitor: Visitor,
    At(id): At<DoorId>,
    Form(form): Form<HashMap<String, String>>,
) -> Result<Response, Oops> {
    visitor.caller.check_csrf(form.get("csrf").map_or("", String::as_str))?;
    let result = match wish_of(&form) {
        Ok(wish) => web.house().codes(&id, &visitor.caller.actor, Credential::Add(wish)).await.map_err(|fault| fault.person),
        Err(error) => Err(error.to_string()),
    };
    if let Err(error) = result {
        let wish = Some(Wish { form, error });
        let mut page = page(&web, &visitor, &id, wish, None).await?;
        *page.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
        return Ok(page);
    }
    Ok(Redirect::to(&format!("/doors/{id}/codes?done=code_added")).into_response())
}

fn wish_of(form: &HashMap<String, String>) -> Result<CodeWish, ApiError> {
    let text = |key: &str| form.get(key).map(|text| text.trim()).filter(|text| !text.is_empty()).map(ToOwned::to_owned);
    let kind = text("kind").and_then(|kind| kind.parse().ok()).unwrap_or(CodeKind::Normal);
    let hours = match (text("hours_from"), text("hours_until")) {
        (None, None) => None,
        (from, until) => Some(format!("{}-{}", from.as_deref().unwrap_or("00:00"), until.as_deref().unwrap_or("23:59"))),
    };
    let uses =
        text("uses").map(|uses| uses.parse().map_err(|_| ApiError::Unprocessable(super::texts::EN.uses_wrong.into()))).transpose()?;
    let schedule = CodeSchedule {
        from: text("from"),
        until: text("until"),
        weekdays: DAYS.iter().filter(|day| form.contains_key(**day)).map(|day| (*day).to_owned()).collect(),
        hours,
        uses,
    };
    // The fields are there for every kind, so only what was filled in is a schedule.
    let empty = CodeSchedule { from: None, until: None, weekdays: Vec::new(), hours: None, uses: None };
    Ok(CodeWish { name: text("name"), pin: text("pin"), kind: Some(kind), schedule: (schedule != empty).then_some(schedule) })
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
