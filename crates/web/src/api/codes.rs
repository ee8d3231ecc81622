//! PIN codes that locks keep by themselves.

use super::{
    Items,
    json::Json,
    params::{At, Sure},
    routes::{Routes, routes},
};
use crate::{ApiError, ApiResult, Web, caller::Caller};
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use doorward_core::{driver::Credential, scope::Scope};
use doorward_wire::{
    code::{Code, CodeWish},
    door::{Capability, DoorId},
};
use serde_json::Value;

pub(super) fn router() -> Routes {
    Routes::new().routes(routes!(list, add)).routes(routes!(edit, remove))
}

/// Lists the codes at a door. Their digits are never shown.
#[utoipa::path(get, path = "/doors/{id}/codes", tag = "codes", params(("id" = String, Path)), responses((status = 200, body = Items<Code>)))]
async fn list(caller: Caller, State(web): State<Web>, At(id): At<DoorId>) -> ApiResult<Json<Items<Code>>> {
    may(&caller, &web, &id)?;
    let codes: Vec<Code> = read(change(&caller, &web, &id, Credential::List).await?)?;
    Ok(Json(Items::all(codes)))
}

/// Adds a code.
#[utoipa::path(post, path = "/doors/{id}/codes", tag = "codes", params(("id" = String, Path)), request_body = CodeWish,
    responses((status = 201, description = "The code as the lock has it, or is about to have it.", body = Object)))]
async fn add(
    caller: Caller,
    State(web): State<Web>,
    At(id): At<DoorId>,
    Json(wish): Json<CodeWish>,
) -> ApiResult<(StatusCode, Json<Value>)> {
    may(&caller, &web, &id)?;
    if wish.name.as_deref().is_none_or(|name| name.trim().is_empty()) {
        return Err(ApiError::Unprocessable("name: say who the code is for".into()));
    }
    if wish.pin.is_none() {
        return Err(ApiError::Unprocessable("pin: give 4 to 8 digits, not beginning with zero".into()));
    }
    let output = change(&caller, &web, &id, Credential::Add(wish)).await?;
    Ok((StatusCode::CREATED, Json(output)))
}

/// Changes a code; what is left out stays.
#[utoipa::path(patch, path = "/doors/{id}/codes/{code}", tag = "codes", params(("id" = String, Path), ("code" = String, Path)),
    request_body = CodeWish, responses((status = 200, description = "The code as the lock has it, or is about to have it.", body = Object)))]
async fn edit(
    caller: Caller,
    State(web): State<Web>,
    At((id, code)): At<(DoorId, String)>,
    Json(wish): Json<CodeWish>,
) -> ApiResult<Json<Value>> {
    may(&caller, &web, &id)?;
    change(&caller, &web, &id, Credential::Update { id: code, wish }).await.map(Json)
}

/// Deletes a code.
#[utoipa::path(delete, path = "/doors/{id}/codes/{code}", tag = "codes", params(("id" = String, Path), ("code" = String, Path)),
    responses((status = 204, description = "It is gone."), (status = 200, description = "The code as it stands until the lock has deleted it.", body = Object)))]
async fn remove(Sure(caller): Sure, State(web): State<Web>, At((id, code)): At<(DoorId, String)>) -> ApiResult<Response> {
    may(&caller, &web, &id)?;
    let output = change(&caller, &web, &id, Credential::Delete { id: code }).await?;
    Ok(if output.is_null() { StatusCode::NO_CONTENT.into_response() } else { Json(output).into_response() })
}

/// Codes open doors at any time, so managing them needs the scope of whoever manages the account.
fn may(caller: &Caller, web: &Web, id: &DoorId) -> ApiResult<()> {
    caller.need(&Scope::Accounts)?;
    let door = web.house().board().door(id).ok_or(ApiError::NotFound("door with this id"))?;
    if door.capabilities.contains(&Capability::Pin) {
        return Ok(());
    }
    Err(ApiError::Conflict("this door keeps no codes of its own".into()))
}

async fn change(caller: &Caller, web: &Web, id: &DoorId, what: Credential) -> ApiResult<Value> {
    Ok(web.house().codes(id, &caller.actor, what).await?.output)
}

fn read<T: serde::de::DeserializeOwned>(output: Value) -> ApiResult<T> {
    serde_json::from_value(output).map_err(|error| {
        let person = "The driver answered something that is not a list of codes. Please report this.";
        ApiError::Vendor(doorward_core::driver::Fault::protocol(person, error.to_string()))
    })
}
