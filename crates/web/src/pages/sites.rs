//! Sites, on the settings page.

use super::{
    scene::{Scene, name_of},
    settings::{self, Wrong},
    shell::Oops,
    visitor::Visitor,
};
use crate::{ApiError, Web, api};
use axum::{
    Form, Router,
    extract::State,
    response::{IntoResponse, Redirect, Response},
    routing::post,
};
use doorward_store::Site;
use doorward_wire::grant::Holiday;
use serde::Deserialize;

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/settings/sites", post(add))
        .route("/settings/sites/change", post(change))
        .route("/settings/sites/remove", post(remove))
}

/// A site as it is shown.
pub(super) struct SiteLine {
    pub(super) site: Site,
    /// The configuration sets it.
    pub(super) locked: bool,
    /// It has no doors.
    pub(super) removable: bool,
    pub(super) doors: String,
    pub(super) holidays: String,
    pub(super) remove_aria: String,
}

impl SiteLine {
    pub(super) fn all(scene: &Scene) -> Vec<Self> {
        let doors = scene.web.house().board().doors();
        let line = |site: &Site| {
            let count = doors.iter().filter(|door| door.site == site.id).count();
            let locked = scene.web.config().sites.contains(&site.id);
            let removable = count == 0 && !locked && scene.sites().len() > 1;
            let remove_aria = scene.t.remove_site(&site.name);
            let holidays = site.holidays.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            Self { site: site.clone(), locked, removable, doors: scene.t.doors_of(count), holidays, remove_aria }
        };
        scene.sites().iter().map(line).collect()
    }
}

/// Zones that people live in; old names and offsets are left out.
pub(super) fn zones() -> Vec<String> {
    let known = jiff::tz::db().available().map(|zone| zone.to_string());
    let mut zones: Vec<String> =
        known.filter(|zone| zone.contains('/') && !zone.starts_with("Etc/") && !zone.starts_with("SystemV/")).collect();
    zones.push("UTC".into());
    zones.sort_unstable();
    zones.dedup();
    zones
}

#[derive(Deserialize)]
struct SiteForm {
    csrf: String,
    #[serde(default)]
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    time_zone: String,
    #[serde(default)]
    holidays: String,
}

impl SiteForm {
    /// Days, with commas or spaces between them.
    fn holidays(&self) -> Result<Vec<Holiday>, ApiError> {
        api::checked_holidays(self.holidays.split([',', ' ', '\n', '\r']).filter(|day| !day.is_empty()))
    }

    fn read(&self) -> Result<(String, String), ApiError> {
        let zone = api::checked_zone(&self.time_zone).map_err(|_| ApiError::Unprocessable(super::texts::EN.zone_unknown.into()))?;
        Ok((name_of(&self.name)?, zone))
    }
}

async fn add(State(web): State<Web>, visitor: Visitor, Form(form): Form<SiteForm>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(&form.csrf)?;
    let added = async {
        let (name, zone) = form.read()?;
        Ok(web.house().add_site(&name, &zone, &visitor.caller.actor).await?)
    };
    match added.await {
        Ok(_) => Ok(Redirect::to("/settings?done=saved#sites").into_response()),
        Err(error) => refused(&web, &visitor, error, |error| Wrong { new_site: Some(error), ..Wrong::default() }).await,
    }
}

async fn change(State(web): State<Web>, visitor: Visitor, Form(form): Form<SiteForm>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(&form.csrf)?;
    let changed = async {
        let (name, time_zone) = form.read()?;
        let site = Site { name, time_zone, holidays: form.holidays()?, ..api::the_site(&web, &form.id).await? };
        Ok(web.house().update_site(&site, &visitor.caller.actor).await?)
    };
    match changed.await {
        Ok(()) => Ok(Redirect::to("/settings?done=saved#sites").into_response()),
        Err(error) => refused(&web, &visitor, error, |error| Wrong { site: Some(error), ..Wrong::default() }).await,
    }
}

async fn remove(State(web): State<Web>, visitor: Visitor, Form(form): Form<SiteForm>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(&form.csrf)?;
    let removed = async {
        api::the_site(&web, &form.id).await?;
        Ok(web.house().remove_site(&form.id, &visitor.caller.actor).await?)
    };
    match removed.await {
        Ok(()) => Ok(Redirect::to("/settings?done=site_removed#sites").into_response()),
        Err(error) => refused(&web, &visitor, error, |error| Wrong { site: Some(error), ..Wrong::default() }).await,
    }
}

/// What a person can mend is said beside the form; everything else is an error page.
async fn refused(web: &Web, visitor: &Visitor, error: ApiError, wrong: fn(String) -> Wrong) -> Result<Response, Oops> {
    if !matches!(error, ApiError::Unprocessable(_) | ApiError::Conflict(_)) {
        return Err(error.into());
    }
    settings::page(web, visitor, None, wrong(super::texts::EN.explain(&error))).await
}
