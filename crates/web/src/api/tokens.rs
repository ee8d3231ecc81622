//! Tokens of programs.

use super::{
    Items,
    doors::checked_name,
    json::Json,
    params::{At, Sure},
    routes::{Routes, routes},
};
use crate::{ApiError, ApiResult, Web, caller::Caller};
use axum::{extract::State, http::StatusCode};
use doorward_core::{record::NewEvent, scope::Scope};
use doorward_store::TokenRow;
use doorward_wire::{Time, event::EventKind};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

pub(super) fn router() -> Routes {
    Routes::new().routes(routes!(list, add)).routes(routes!(remove))
}

/// A token, without its secret.
#[derive(Serialize, ToSchema)]
struct TokenView {
    /// Identifier, as events name it.
    id: String,
    /// What it is for.
    name: String,
    /// The person whom it belongs to, if any.
    person: Option<String>,
    /// What it may do.
    scopes: Vec<String>,
    /// When it was made.
    created: Time,
    /// When it ends; `null` means never.
    expires: Option<Time>,
    /// When it was last used, to the minute.
    last_used: Option<Time>,
}

impl From<TokenRow> for TokenView {
    fn from(row: TokenRow) -> Self {
        let TokenRow { token, created, expires, last_used } = row;
        let scopes = token.scopes.iter().map(ToString::to_string).collect();
        Self { id: token.id, name: token.name, person: token.person, scopes, created, expires, last_used }
    }
}

/// Lists the tokens.
#[utoipa::path(get, path = "/tokens", tag = "people", responses((status = 200, body = Items<TokenView>)))]
async fn list(caller: Caller, State(web): State<Web>) -> ApiResult<Json<Items<TokenView>>> {
    caller.need(&Scope::People)?;
    let tokens = web.house().store().tokens().await?;
    Ok(Json(Items::all(tokens.into_iter().map(Into::into).collect())))
}

/// A new token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewToken {
    /// What it is for.
    name: String,
    /// What it may do: `doors:read`, `doors:act`, `doors:act:<door>`, `events:read`, `accounts`, `people`, `devices`,
    /// `devices:provision`, `config`, `metrics`, `admin`.
    scopes: Vec<String>,
    /// The person whom it belongs to; it goes with them.
    #[serde(default)]
    person: Option<String>,
    /// When it ends; never when it is left out.
    #[serde(default)]
    expires: Option<Time>,
}

/// A token with its secret, which is shown this once.
#[derive(Serialize, ToSchema)]
struct MadeToken {
    #[serde(flatten)]
    token: TokenView,
    /// `Authorization: Bearer <secret>`.
    secret: String,
}

/// Makes a token. Nobody gives what they do not have.
#[utoipa::path(post, path = "/tokens", tag = "people", request_body = NewToken, responses((status = 201, body = MadeToken)))]
async fn add(caller: Caller, State(web): State<Web>, Json(new): Json<NewToken>) -> ApiResult<(StatusCode, Json<MadeToken>)> {
    caller.need(&Scope::People)?;
    let name = checked_name(&new.name)?;
    let mut scopes = Vec::new();
    for word in &new.scopes {
        let scope: Scope = word.parse().map_err(|error| ApiError::Unprocessable(format!("scopes: {error}")))?;
        if let Scope::DoorsAct(Some(door)) = &scope
            && web.house().board().door(door).is_none()
        {
            return Err(ApiError::Unprocessable(format!("scopes: there is no door “{door}”")));
        }
        if !gives(&caller, &scope) {
            return Err(ApiError::Forbidden(format!("you do not have the scope {scope} yourself, so you cannot give it")));
        }
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    if scopes.is_empty() {
        return Err(ApiError::Unprocessable("scopes: name at least one; without any a token does nothing".into()));
    }
    let now = web.house().now().utc;
    if new.expires.is_some_and(|expires| expires <= now) {
        return Err(ApiError::Unprocessable("expires: this time is past".into()));
    }
    let store = web.house().store();
    if let Some(person) = &new.person {
        let known = store.person(person).await?;
        known.ok_or_else(|| ApiError::Unprocessable("person: there is no person with this id".into()))?;
    }
    let (token, secret) = store.add_token(new.person.as_deref(), &name, &scopes, new.expires, now).await?;
    tell(&web, &caller, &token.id, "made", &scopes).await?;
    let view = TokenView::from(TokenRow { token, created: now, expires: new.expires, last_used: None });
    Ok((StatusCode::CREATED, Json(MadeToken { token: view, secret: secret.reveal().clone() })))
}

/// Removes a token. Streams that were opened with it end within a second.
#[utoipa::path(delete, path = "/tokens/{id}", tag = "people", params(("id" = String, Path)), responses((status = 204)))]
async fn remove(Sure(caller): Sure, State(web): State<Web>, At(id): At<String>) -> ApiResult<StatusCode> {
    caller.need(&Scope::People)?;
    if !web.house().store().remove_token(&id).await? {
        return Err(ApiError::NotFound("token with this id"));
    }
    tell(&web, &caller, &id, "removed", &[]).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whether a caller has what they want to give.
fn gives(caller: &Caller, scope: &Scope) -> bool {
    let wider = match scope {
        Scope::DoorsAct(Some(_)) | Scope::DoorsRead => Some(Scope::DoorsAct(None)),
        Scope::Devices { provision_only: true } => Some(Scope::Devices { provision_only: false }),
        Scope::DoorsAct(None)
        | Scope::EventsRead
        | Scope::Accounts
        | Scope::People
        | Scope::Devices { provision_only: false }
        | Scope::Config
        | Scope::Metrics
        | Scope::Admin => None,
    };
    caller.has(scope) || wider.is_some_and(|wider| caller.has(&wider))
}

async fn tell(web: &Web, caller: &Caller, token: &str, change: &str, scopes: &[Scope]) -> ApiResult<()> {
    let scopes: Vec<String> = scopes.iter().map(ToString::to_string).collect();
    let event = NewEvent::new(web.house().now().utc, EventKind::TokenChanged).actor(&caller.actor);
    web.house().record(vec![event.data(json!({ "token": token, "change": change, "scopes": scopes }))]).await?;
    Ok(())
}
