//! Vendor accounts: setting them up, signing in, asking the vendor.

use super::{
    Items,
    doors::checked_name,
    fields,
    json::Json,
    params::{At, Sure},
    routes::{Routes, routes},
};
use crate::{ApiError, ApiResult, Web, caller::Caller, pages::Errand};
use axum::{
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use doorward_core::{
    Secret,
    driver::{Action, Push},
    scope::Scope,
};
use doorward_store::StoredAccount;
use doorward_wire::{
    account::{Account, AccountId, AccountState},
    attempt::Actor,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

pub(super) fn router() -> Routes {
    Routes::new()
        .routes(routes!(list, add))
        .routes(routes!(show, edit, remove))
        .routes(routes!(step))
        .routes(routes!(refresh))
        .routes(routes!(call))
}

/// Lists the accounts.
#[utoipa::path(get, path = "/accounts", tag = "accounts", responses((status = 200, body = Items<Account>)))]
async fn list(caller: Caller, State(web): State<Web>) -> ApiResult<Json<Items<Account>>> {
    caller.need(&Scope::Accounts)?;
    let rows = web.house().store().accounts().await?;
    Ok(Json(Items::all(rows.iter().map(|row| view(&web, row)).collect())))
}

/// A new account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewAccount {
    /// The driver that serves it; `GET /kinds` lists them.
    kind: String,
    /// The name that people give it; the vendor's when it is left out.
    #[serde(default)]
    name: Option<String>,
    /// The driver's own settings; `GET /kinds` says which.
    #[serde(default)]
    #[schema(value_type = Object)]
    settings: Map<String, Value>,
}

/// Adds an account and starts it.
#[utoipa::path(post, path = "/accounts", tag = "accounts", request_body = NewAccount,
    responses((status = 201, body = Account), (status = 422, description = "Everything that is wrong with the settings.")))]
async fn add(caller: Caller, State(web): State<Web>, Json(new): Json<NewAccount>) -> ApiResult<Response> {
    caller.need(&Scope::Accounts)?;
    let about = web.house().about(&new.kind);
    let about = about.ok_or_else(|| ApiError::Unprocessable("kind: there is no such driver; GET /api/v1/kinds lists them".into()))?;
    let name = new.name.as_deref().map_or_else(|| Ok(about.title.to_owned()), checked_name)?;
    let settings = fields::settings(&about, new.settings)?;
    let id = web.house().add_account(&new.kind, &name, settings, &caller.actor).await?;
    let row = stored(&web, &id).await?;
    let mut response = (StatusCode::CREATED, Json(view(&web, &row))).into_response();
    if let Ok(location) = HeaderValue::from_str(&format!("/api/v1/accounts/{id}")) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// Shows an account.
#[utoipa::path(get, path = "/accounts/{id}", tag = "accounts", params(("id" = String, Path)), responses((status = 200, body = Account)))]
async fn show(caller: Caller, State(web): State<Web>, At(id): At<AccountId>) -> ApiResult<Json<Account>> {
    caller.need(&Scope::Accounts)?;
    Ok(Json(view(&web, &stored(&web, &id).await?)))
}

/// What changes at an account; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AccountEdit {
    /// The name that people give it.
    #[serde(default)]
    name: Option<String>,
    /// Settings to change.
    #[serde(default)]
    #[schema(value_type = Object)]
    settings: Map<String, Value>,
}

/// Changes an account and starts it anew.
#[utoipa::path(patch, path = "/accounts/{id}", tag = "accounts", params(("id" = String, Path)), request_body = AccountEdit,
    responses((status = 200, body = Account), (status = 409, description = "It is set in the configuration file.")))]
async fn edit(caller: Caller, State(web): State<Web>, At(id): At<AccountId>, Json(edit): Json<AccountEdit>) -> ApiResult<Json<Account>> {
    caller.need(&Scope::Accounts)?;
    let row = stored(&web, &id).await?;
    let name = edit.name.as_deref().map(checked_name).transpose()?;
    let about = web.house().about(&row.kind);
    let about = about.ok_or_else(|| ApiError::Conflict(format!("this program has no driver “{}” any more", row.kind)))?;
    // Whoever may say where the secrets of an account go may have them.
    if about.fields.iter().any(|field| field.names_a_server() && edit.settings.contains_key(field.name)) {
        caller.need(&Scope::Admin)?;
    }
    let settings = fields::settings(&about, edit.settings)?;
    web.house().update_account(&id, name.as_deref(), settings, &caller.actor).await?;
    Ok(Json(view(&web, &stored(&web, &id).await?)))
}

/// Removes an account with its secrets and doors. Its events stay.
#[utoipa::path(delete, path = "/accounts/{id}", tag = "accounts", params(("id" = String, Path)), responses((status = 204)))]
async fn remove(Sure(caller): Sure, State(web): State<Web>, At(id): At<AccountId>) -> ApiResult<StatusCode> {
    caller.need(&Scope::Accounts)?;
    web.house().remove_account(&id, &caller.actor).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// One step of sign-in or set-up.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct StepBody {
    /// Its name; `GET /kinds` lists them.
    step: String,
    /// What the person gave: a text, or an object where the step takes several things.
    #[serde(default)]
    #[schema(value_type = Object)]
    input: Value,
}

/// What came of a step or call.
#[derive(Serialize, ToSchema)]
struct Output {
    /// The driver's answer.
    #[schema(value_type = Object)]
    output: Value,
}

/// Takes one step of sign-in or set-up.
#[utoipa::path(post, path = "/accounts/{id}/steps", tag = "accounts", params(("id" = String, Path)), request_body = StepBody,
    responses((status = 200, body = Output), (status = 409, description = "The vendor said no."), (status = 502, description = "The vendor is away.")))]
async fn step(
    caller: Caller,
    State(web): State<Web>,
    errand: Errand,
    At(id): At<AccountId>,
    Json(body): Json<StepBody>,
) -> ApiResult<Json<Output>> {
    caller.need(&Scope::Accounts)?;
    if matches!(body.step.as_str(), "export" | "trust") {
        caller.need(&Scope::Admin)?;
    }
    let row = stored(&web, &id).await?;
    let known = web.house().about(&row.kind).is_some_and(|about| about.steps.iter().any(|step| step.name == body.step));
    if !known {
        return Err(ApiError::Unprocessable("step: this account has no such step; GET /api/v1/kinds lists them".into()));
    }
    if body.step == "start" && body.input["here"] == true && !errand.is_here() {
        return Err(ApiError::Unprocessable("here: the sign-in page is served to the machine of doorward alone".into()));
    }
    let output = take_step(&web, &id, &caller.actor, &body.step, body.input).await?;
    Ok(Json(Output { output }))
}

/// Takes one step of sign-in or set-up; a text goes in as it is, everything else as JSON.
pub(crate) async fn take_step(web: &Web, id: &AccountId, actor: &Actor, step: &str, input: Value) -> ApiResult<Value> {
    let input = match input {
        Value::Null => String::new(),
        Value::String(text) => text,
        other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => other.to_string(),
    };
    Ok(web.house().step(id, actor, step, Secret::new(input)).await?.output)
}

/// Renews everything of an account that ends at a time, now.
#[utoipa::path(post, path = "/accounts/{id}/refresh", tag = "accounts", params(("id" = String, Path)),
    responses((status = 200, body = Account), (status = 409, description = "There is nothing to renew, or the vendor said no.")))]
async fn refresh(Sure(caller): Sure, State(web): State<Web>, At(id): At<AccountId>) -> ApiResult<Json<Account>> {
    caller.need(&Scope::Accounts)?;
    let row = stored(&web, &id).await?;
    renew(&web, &id).await?;
    Ok(Json(view(&web, &row)))
}

/// Renews every lease of an account.
pub(crate) async fn renew(web: &Web, id: &AccountId) -> ApiResult<()> {
    let standing = web.house().board().standing(id);
    let leases: Vec<String> = standing.map(|standing| standing.leases.into_iter().map(|lease| lease.id).collect()).unwrap_or_default();
    if leases.is_empty() {
        return Err(ApiError::Conflict("this account has nothing to renew yet; sign it in first".into()));
    }
    for lease in leases {
        web.house().call(id, Action::Renew(lease)).await?;
    }
    Ok(())
}

/// Makes one of the vendor's own calls, for support. It changes nothing.
#[utoipa::path(get, path = "/accounts/{id}/call/{name}", tag = "accounts", params(("id" = String, Path), ("name" = String, Path)),
    responses((status = 200, description = "The vendor's own JSON.", body = Object)))]
async fn call(caller: Caller, State(web): State<Web>, At((id, name)): At<(AccountId, String)>) -> ApiResult<Json<Value>> {
    caller.need(&Scope::Accounts)?;
    stored(&web, &id).await?;
    let done = web.house().call(&id, Action::Call(name)).await?;
    Ok(Json(done.raw.unwrap_or(done.output)))
}

pub(crate) async fn stored(web: &Web, id: &AccountId) -> ApiResult<StoredAccount> {
    web.house().store().account(id).await?.ok_or(ApiError::NotFound("account with this id"))
}

/// An account as it is shown. Secrets are only said to be set.
pub(crate) fn view(web: &Web, row: &StoredAccount) -> Account {
    let board = web.house().board();
    let standing = board.standing(&row.id);
    let settings = web.house().about(&row.kind).map(|about| fields::shown(&about, &row.settings)).unwrap_or_default();
    let doors = board.doors().iter().filter(|door| door.account.as_deref() == Some(row.id.as_str())).count();
    let (state, detail, leases, push, stages) = match standing {
        Some(standing) => (standing.state, standing.detail, standing.leases, standing.push, standing.stages),
        None => (AccountState::New, None, Vec::new(), Push::default(), Vec::new()),
    };
    Account {
        id: row.id.clone(),
        kind: row.kind.clone(),
        name: row.name.clone(),
        state,
        detail,
        leases,
        stages,
        doors,
        settings,
        push_registered: push.registered,
        last_push: push.last,
        managed: row.managed.then(|| "config".into()),
    }
}
