//! Who may open a door, and why.

use super::{
    Items,
    json::Json,
    params::{At, Query},
    routes::{Routes, routes},
};
use crate::{
    ApiError, ApiResult, Web,
    caller::Caller,
    people::access::{self, Access},
};
use axum::extract::State;
use doorward_core::scope::Scope;
use doorward_wire::{Time, attempt::ActionWord, door::DoorId};
use serde::Deserialize;
use utoipa::IntoParams;

pub(super) fn router() -> Routes {
    Routes::new().routes(routes!(explain)).routes(routes!(everybody))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Question {
    /// A person, token or pass, by id or name.
    who: String,
    /// A door, by id or by a name that only one door has.
    door: String,
    /// When; now when it is left out.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    at: Option<Time>,
    /// What; what opens the door when it is left out.
    #[serde(default)]
    action: Option<ActionWord>,
}

/// Says whether somebody may open a door, and why. Nothing is done.
#[utoipa::path(get, path = "/explain", tag = "people", params(Question), responses((status = 200, body = Access)))]
async fn explain(caller: Caller, State(web): State<Web>, Query(question): Query<Question>) -> ApiResult<Json<Access>> {
    caller.need(&Scope::People)?;
    let door = web.house().board().find(&question.door).ok_or(ApiError::NotFound("door with this id or name"))?;
    let at = question.at.unwrap_or_else(|| web.house().now().utc);
    let action = question.action.unwrap_or_else(|| access::opening(&door.capabilities));
    let setup = access::door(&web, &door.id).await?;
    access::of_one(&web, &question.who, &setup, action, at).await.map(Json)
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct When {
    /// When; now when it is left out.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    at: Option<Time>,
}

/// Says who may open a door, and why, and who may not: people, tokens, passes, keys of the tunnel, users of MQTT.
#[utoipa::path(get, path = "/doors/{id}/access", tag = "people", params(("id" = String, Path), When), responses((status = 200, body = Items<Access>)))]
async fn everybody(
    caller: Caller,
    State(web): State<Web>,
    At(id): At<DoorId>,
    Query(When { at }): Query<When>,
) -> ApiResult<Json<Items<Access>>> {
    caller.need(&Scope::People)?;
    let setup = access::door(&web, &id).await?;
    let at = at.unwrap_or_else(|| web.house().now().utc);
    let action = access::opening(&setup.capabilities);
    Ok(Json(Items::all(access::of_everybody(&web, &setup, action, at).await?)))
}
