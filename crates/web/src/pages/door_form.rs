//! How a door is set up: its name, its site, when it locks itself. On the page of the door.

use super::{
    scene::Scene,
    shell::{Oops, Section, Shell, html},
    texts::Texts,
    visitor::Visitor,
};
use crate::{
    ApiError, ApiResult, Web,
    api::{AutoLockBody, DoorBody, checked_door, params::At},
};
use askama::Template;
use axum::{
    Form, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use doorward_core::{Secret, scope::Scope, setup::DoorSetup};
use doorward_wire::door::{Capability, DoorId};
use serde::Deserialize;

pub(super) fn router() -> Router<Web> {
    Router::new().route("/doors/{id}/settings", get(show).post(save))
}

#[derive(Template)]
#[template(path = "door_form.html")]
struct FormPage {
    shell: Shell,
    t: &'static Texts,
    csrf: String,
    id: DoorId,
    title: String,
    form: DoorForm,
    sites: Vec<SiteChoice>,
    zone: String,
    can_lock: bool,
    has_code: bool,
    managed: bool,
    error: Option<String>,
}

struct SiteChoice {
    id: String,
    name: String,
    on: bool,
}

/// The form as it was filled in. Empty means never.
#[derive(Deserialize)]
struct DoorForm {
    #[serde(default)]
    csrf: String,
    name: String,
    #[serde(default)]
    site: String,
    #[serde(default)]
    after: String,
    #[serde(default)]
    at: String,
    #[serde(default)]
    fail_open: Option<String>,
    /// A new code; empty keeps the one that there is.
    #[serde(default)]
    mqtt_code: String,
    #[serde(default)]
    no_mqtt_code: Option<String>,
    #[serde(default)]
    stream: String,
}

impl DoorForm {
    fn of(setup: &DoorSetup) -> Self {
        Self {
            csrf: String::new(),
            name: setup.name.clone(),
            site: setup.site.clone(),
            after: setup.auto_lock.after.map_or_else(String::new, |minutes| minutes.to_string()),
            at: setup.auto_lock.at.map_or_else(String::new, |at| at.strftime("%H:%M").to_string()),
            fail_open: setup.fail_open.then(|| "true".into()),
            mqtt_code: String::new(),
            no_mqtt_code: None,
            stream: setup.stream.clone().unwrap_or_default(),
        }
    }

    fn body(&self, t: &Texts) -> ApiResult<DoorBody> {
        let wrong = |text: &str| ApiError::Unprocessable(text.to_owned());
        let (after, at) = (self.after.trim(), self.at.trim());
        let after = (!after.is_empty()).then(|| after.parse().map_err(|_| wrong(t.auto_lock_after_wrong))).transpose()?;
        let at = (!at.is_empty()).then(|| at.parse().map_err(|_| wrong(t.auto_lock_at_wrong))).transpose()?;
        Ok(DoorBody {
            name: Some(self.name.trim().to_owned()),
            site: Some(self.site.clone()).filter(|site| !site.is_empty()),
            confirm_within: None,
            auto_lock: Some(AutoLockBody { after, at }),
            fail_open: Some(self.fail_open.is_some()),
            mqtt_code: match (self.no_mqtt_code.is_some(), self.mqtt_code.trim()) {
                (true, _) => Some(Secret::new(String::new())),
                (false, "") => None,
                (false, code) => Some(Secret::new(code.to_owned())),
            },
            stream: Some(self.stream.trim().to_owned()),
        })
    }
}

async fn show(State(web): State<Web>, visitor: Visitor, At(id): At<DoorId>) -> Result<Response, Oops> {
    page(&web, &visitor, &id, None).await
}

/// The form; `tried` is what was not accepted, and why.
async fn page(web: &Web, visitor: &Visitor, id: &DoorId, tried: Option<(DoorForm, String)>) -> Result<Response, Oops> {
    let setup = web.house().store().door(id).await?.ok_or(ApiError::NotFound("door with this id"))?;
    let scene = Scene::load(web, visitor).await;
    let (form, error) = tried.map_or_else(|| (DoorForm::of(&setup), None), |(form, error)| (form, Some(error)));
    let sites = scene.sites().iter().map(|site| SiteChoice { id: site.id.clone(), name: site.name.clone(), on: site.id == form.site });
    Ok(html(&FormPage {
        shell: Shell::new(&scene, format!("{} · {}", scene.t.door_settings, setup.name), Section::Doors),
        t: scene.t,
        csrf: scene.csrf.clone(),
        id: id.clone(),
        title: setup.name.clone(),
        sites: sites.collect(),
        zone: setup.time_zone.clone(),
        can_lock: setup.capabilities.contains(&Capability::Lock),
        has_code: setup.mqtt_code.is_some(),
        managed: setup.managed,
        form,
        error,
    }))
}

async fn save(State(web): State<Web>, visitor: Visitor, At(id): At<DoorId>, Form(form): Form<DoorForm>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(&form.csrf)?;
    visitor.caller.need(&Scope::Config)?;
    let door = web.house().board().door(&id).ok_or(ApiError::NotFound("door with this id"))?;
    let saved = async {
        let edit = checked_door(&web, &door, form.body(&super::texts::EN)?).await?;
        web.house().update_door(&id, &edit, &visitor.caller.actor).await?;
        Ok::<_, ApiError>(())
    };
    if let Err(error) = saved.await {
        let status = if error.status().is_client_error() { error.status() } else { StatusCode::INTERNAL_SERVER_ERROR };
        let mut page = page(&web, &visitor, &id, Some((form, error.to_string()))).await?;
        *page.status_mut() = status;
        return Ok(page);
    }
    Ok(Redirect::to(&format!("/doors/{id}?done=saved")).into_response())
}
