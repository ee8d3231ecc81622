//! Sites: places with doors and a time zone.

use super::{Items, doors::checked_name, json::Json, params::At};
use crate::{ApiError, ApiResult, Web, caller::Caller};
use axum::extract::State;
use doorward_core::scope::Scope;
use doorward_store::Site;
use doorward_wire::door::DoorId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn router() -> OpenApiRouter<Web> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(put))
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
}

impl From<Site> for SiteView {
    fn from(Site { id, name, time_zone }: Site) -> Self {
        Self { id, name, time_zone }
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

/// A site as it is to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SiteBody {
    /// The name that people give it.
    name: String,
    /// IANA time zone, `Europe/Berlin`.
    time_zone: String,
}

/// Adds or changes a site.
#[utoipa::path(put, path = "/sites/{id}", tag = "sites", params(("id" = String, Path)), request_body = SiteBody,
    responses((status = 200, body = SiteView), (status = 422, description = "There is no such time zone.")))]
async fn put(caller: Caller, State(web): State<Web>, At(id): At<String>, Json(body): Json<SiteBody>) -> ApiResult<Json<SiteView>> {
    caller.need(&Scope::Config)?;
    // A site's id has the shape of a door's.
    let id: DoorId = id.parse().map_err(|error| ApiError::Unprocessable(format!("id: {error}")))?;
    let name = checked_name(&body.name)?;
    let zone = jiff::tz::TimeZone::get(&body.time_zone).ok().and_then(|zone| zone.iana_name().map(ToOwned::to_owned));
    let time_zone = zone.ok_or_else(|| ApiError::Unprocessable("time_zone: is not known; write it like Europe/Berlin".into()))?;
    let site = Site { id: id.to_string(), name, time_zone };
    web.house().put_site(&site, &caller.actor).await?;
    Ok(Json(site.into()))
}
