//! Sites: places with doors and a time zone.

use super::{
    Items,
    doors::checked_name,
    json::Json,
    params::{At, Sure},
    routes::{Routes, routes},
};
use crate::{ApiError, ApiResult, Web, caller::Caller};
use axum::{extract::State, http::StatusCode};
use doorward_core::scope::Scope;
use doorward_store::Site;
use doorward_wire::grant::Holiday;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Holidays of a site.
const HOLIDAYS: usize = 400;

pub(super) fn router() -> Routes {
    Routes::new().routes(routes!(list, add)).routes(routes!(edit, remove))
}

/// A place with doors and a time zone.
#[derive(Serialize, ToSchema)]
struct SiteView {
    /// Identifier, as doors name it.
    id: String,
    /// The name that people gave it.
    name: String,
    /// IANA time zone, `Europe/Berlin`.
    time_zone: String,
    /// Days on which it is closed: `12-25` each year, `2026-12-24` once.
    holidays: Vec<String>,
}

impl From<Site> for SiteView {
    fn from(Site { id, name, time_zone, holidays }: Site) -> Self {
        Self { id, name, time_zone, holidays: holidays.iter().map(ToString::to_string).collect() }
    }
}

/// Lists the sites.
#[utoipa::path(get, path = "/sites", tag = "sites", responses((status = 200, body = Items<SiteView>)))]
async fn list(caller: Caller, State(web): State<Web>) -> ApiResult<Json<Items<SiteView>>> {
    if caller.need_doors().is_err() {
        caller.need(&Scope::Config)?;
    }
    let sites = web.house().store().sites().await?;
    Ok(Json(Items::all(sites.into_iter().map(Into::into).collect())))
}

/// A new site.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewSite {
    /// The name that people give it.
    name: String,
    /// IANA time zone, `Europe/Berlin`.
    time_zone: String,
}

/// Adds a site; its identifier is made from its name.
#[utoipa::path(post, path = "/sites", tag = "sites", request_body = NewSite,
    responses((status = 201, body = SiteView), (status = 422, description = "There is no such time zone.")))]
async fn add(caller: Caller, State(web): State<Web>, Json(new): Json<NewSite>) -> ApiResult<(StatusCode, Json<SiteView>)> {
    caller.need(&Scope::Config)?;
    let (name, zone) = (checked_name(&new.name)?, checked_zone(&new.time_zone)?);
    let site = web.house().add_site(&name, &zone, &caller.actor).await?;
    Ok((StatusCode::CREATED, Json(site.into())))
}

/// What changes at a site; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SiteEdit {
    /// The name that people give it.
    #[serde(default)]
    name: Option<String>,
    /// IANA time zone, `Europe/Berlin`.
    #[serde(default)]
    time_zone: Option<String>,
    /// Days on which it is closed: `12-25` each year, `2026-12-24` once.
    #[serde(default)]
    holidays: Option<Vec<String>>,
}

/// Changes a site; its doors take over its time zone.
#[utoipa::path(patch, path = "/sites/{id}", tag = "sites", params(("id" = String, Path)), request_body = SiteEdit,
    responses((status = 200, body = SiteView), (status = 409, description = "It is set in the configuration file."),
        (status = 422, description = "There is no such time zone.")))]
async fn edit(caller: Caller, State(web): State<Web>, At(id): At<String>, Json(edit): Json<SiteEdit>) -> ApiResult<Json<SiteView>> {
    caller.need(&Scope::Config)?;
    let mut site = the_site(&web, &id).await?;
    if let Some(name) = &edit.name {
        site.name = checked_name(name)?;
    }
    if let Some(zone) = &edit.time_zone {
        site.time_zone = checked_zone(zone)?;
    }
    if let Some(holidays) = &edit.holidays {
        site.holidays = checked_holidays(holidays.iter().map(String::as_str))?;
    }
    web.house().update_site(&site, &caller.actor).await?;
    Ok(Json(site.into()))
}

/// Removes a site without doors.
#[utoipa::path(delete, path = "/sites/{id}", tag = "sites", params(("id" = String, Path)),
    responses((status = 204), (status = 409, description = "It has doors, or is set in the configuration file.")))]
async fn remove(Sure(caller): Sure, State(web): State<Web>, At(id): At<String>) -> ApiResult<StatusCode> {
    caller.need(&Scope::Config)?;
    the_site(&web, &id).await?;
    web.house().remove_site(&id, &caller.actor).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A site that may be changed here.
pub(crate) async fn the_site(web: &Web, id: &str) -> ApiResult<Site> {
    let site = web.house().store().sites().await?.into_iter().find(|site| site.id == id);
    let site = site.ok_or(ApiError::NotFound("site with this id"))?;
    if web.config().sites.contains(&site.id) {
        return Err(ApiError::Conflict(format!("site {id} is set in the configuration and can only be changed there")));
    }
    Ok(site)
}

/// Days on which a site is closed, as they are properly written.
pub(crate) fn checked_holidays<'a>(days: impl Iterator<Item = &'a str>) -> ApiResult<Vec<Holiday>> {
    let day = |day: &str| day.parse().map_err(|error| ApiError::Unprocessable(format!("holidays: “{day}” {error}")));
    let mut holidays = days.map(day).collect::<ApiResult<Vec<Holiday>>>()?;
    if holidays.len() > HOLIDAYS {
        return Err(ApiError::Unprocessable(format!("holidays: at most {HOLIDAYS} days")));
    }
    holidays.sort_by_key(ToString::to_string);
    holidays.dedup();
    Ok(holidays)
}

/// The time zone as it is properly written.
pub(crate) fn checked_zone(text: &str) -> ApiResult<String> {
    let zone = jiff::tz::TimeZone::get(text.trim()).ok().and_then(|zone| zone.iana_name().map(ToOwned::to_owned));
    zone.ok_or_else(|| ApiError::Unprocessable("time_zone: is not known; write it like Europe/Berlin".into()))
}
