//! The account's settings and its sign-in, as the original's page and clients use them.

use super::{
    auth::{self, KIND, Known, sure},
    error::Refusal,
    forms::{self, Sent},
};
use crate::{
    ApiError, Web,
    api::{self, fields},
    caller::Caller,
};
use axum::{
    Json,
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
};
use doorward_core::{
    driver::{About, FieldKind},
    keeper::Standing,
    scope::Scope,
};
use doorward_store::StoredAccount;
use doorward_wire::{
    Time,
    account::{AccountId, AccountState, LeaseView},
};
use serde_json::{Map, Value, json};

/// Fields of the original's file that doorward keeps elsewhere or not at all: taken, and passed over.
const ELSEWHERE: [&str; 8] =
    ["auth_code", "access_token", "refresh_token", "token_type", "token_expires_in", "devices_path", "log_level", "token_status"];
/// Where the account's requests go: whoever could change it would be sent the keys.
const ADDRESSES: [&str; 3] = ["base_url", "oauth_base_url", "action_path"];
/// The lease that is the account's token.
const TOKEN: &str = "oauth_token";

pub(super) async fn show(Known(caller): Known, State(web): State<Web>) -> Result<Json<Value>, Refusal> {
    caller.need(&Scope::Accounts)?;
    let account = auth::account(&web).await?.ok_or_else(auth::none)?;
    Ok(Json(view(&web, &account)))
}

pub(super) async fn change(Known(caller): Known, State(web): State<Web>, request: Request) -> Result<Json<Value>, Refusal> {
    let account = changed(&caller, &web, request).await?;
    Ok(Json(view(&web, &api::stored(&web, &account).await?)))
}

pub(super) async fn change_by_form(Known(caller): Known, State(web): State<Web>, request: Request) -> Result<Json<Value>, Refusal> {
    changed(&caller, &web, request).await?;
    Ok(Json(json!({ "status": "ok" })))
}

async fn changed(caller: &Caller, web: &Web, request: Request) -> Result<AccountId, Refusal> {
    caller.need(&Scope::Accounts)?;
    let sent = read(caller, web, request).await?;
    configure(caller, web, sent.fields).await
}

pub(super) async fn refresh(Known(caller): Known, headers: HeaderMap, State(web): State<Web>) -> Result<Json<Value>, Refusal> {
    caller.need(&Scope::Accounts)?;
    sure(&caller, &headers, None)?;
    let account = auth::account(&web).await?.ok_or_else(auth::none)?;
    // 409 or 502 here: 401 would tell the client that its own token is bad.
    api::renew(&web, &account.id).await.map_err(|error| Refusal::new(error.status(), error.to_string()))?;
    Ok(Json(token_json(&status_of(&web, &account))))
}

pub(super) async fn start(Known(caller): Known, State(web): State<Web>, request: Request) -> Result<Json<Value>, Refusal> {
    caller.need(&Scope::Accounts)?;
    let sent = read(&caller, &web, request).await?;
    let account = configure(&caller, &web, sent.fields).await?;
    let output = api::take_step(&web, &account, &caller.actor, "start", json!({})).await?;
    Ok(Json(json!({ "authorize_url": output["authorize_url"] })))
}

pub(super) async fn exchange(Known(caller): Known, State(web): State<Web>, request: Request) -> Result<Json<Value>, Refusal> {
    caller.need(&Scope::Admin)?;
    let mut fields = read(&caller, &web, request).await?.fields;
    let mut input = Map::new();
    for key in ["code", "callback_url"] {
        if let Some(text) = fields.remove(key).as_ref().and_then(forms::text) {
            input.insert(key.into(), Value::String(text));
        }
    }
    if input.is_empty() {
        return Err(Refusal::bad("send the code, or as callback_url the whole address at which the browser ended"));
    }
    input.insert("reveal".into(), Value::Bool(true));
    let account = configure(&caller, &web, fields).await?;
    let output = api::take_step(&web, &account, &caller.actor, "exchange", Value::Object(input)).await?;
    let shown = ["access_token", "refresh_token", "token_type", "expires_in"];
    Ok(Json(Value::Object(shown.into_iter().map(|key| (key.to_owned(), output[key].clone())).collect())))
}

/// A form, or a request without a body, must show that it comes from our own page.
async fn read(caller: &Caller, web: &Web, request: Request) -> Result<Sent, Refusal> {
    let headers = request.headers().clone();
    let sent = forms::read(request, web).await?;
    if sent.by_form {
        sure(caller, &headers, sent.csrf.as_deref())?;
    }
    Ok(sent)
}

/// Changes what differs, or adds the account when there is none.
async fn configure(caller: &Caller, web: &Web, sent: Map<String, Value>) -> Result<AccountId, Refusal> {
    let about = web.house().about(KIND).ok_or_else(|| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "this program has no U-tec driver"))?;
    let account = auth::account(web).await?;
    let wishes = wishes(&about, account.as_ref(), sent);
    if ADDRESSES.iter().any(|key| wishes.contains_key(*key)) && !caller.has(&Scope::Admin) {
        return Err(Refusal::new(StatusCode::FORBIDDEN, "only the administrator may change the addresses of the cloud"));
    }
    let settings = fields::settings(&about, wishes)?;
    match account {
        Some(account) => {
            if !settings.values.is_empty() || !settings.secrets.is_empty() {
                web.house().update_account(&account.id, None, settings, &caller.actor).await.map_err(ApiError::from)?;
            }
            Ok(account.id)
        }
        None => Ok(web.house().add_account(KIND, about.title, settings, &caller.actor).await.map_err(ApiError::from)?),
    }
}

/// What of a request is a change. A page sends all it shows: what is empty, and a secret as it is shown, stays.
fn wishes(about: &About, account: Option<&StoredAccount>, sent: Map<String, Value>) -> Map<String, Value> {
    let shown = account.map(|account| fields::shown(about, &account.settings)).unwrap_or_default();
    let mut wishes = Map::new();
    for (key, value) in sent {
        if ELSEWHERE.contains(&key.as_str()) || value.is_null() || value == "" {
            continue;
        }
        let Some(field) = about.fields.iter().find(|field| field.name == key) else {
            wishes.insert(key, value);
            continue;
        };
        let value = value.as_str().map_or_else(|| value.clone(), |text| fields::of_text(field, text));
        let unchanged = match field.kind {
            FieldKind::Secret => value == SET || value == NOT_SET || value.is_boolean(),
            FieldKind::Text | FieldKind::Url | FieldKind::Number | FieldKind::Switch => shown.get(&key) == Some(&value),
        };
        if !unchanged {
            wishes.insert(key, value);
        }
    }
    wishes
}

const SET: &str = "set";
const NOT_SET: &str = "not set";

fn view(web: &Web, account: &StoredAccount) -> Value {
    let mut view = Map::new();
    if let Some(about) = web.house().about(&account.kind) {
        for (key, value) in fields::shown(&about, &account.settings) {
            let secret = about.fields.iter().any(|field| field.name == key && field.kind == FieldKind::Secret);
            let value = if secret { json!(if value == Value::Bool(true) { SET } else { NOT_SET }) } else { value };
            view.insert(key, value);
        }
    }
    let status = status_of(web, account);
    let lease = status.lease.is_some();
    view.insert("access_token".into(), json!(if lease { SET } else { NOT_SET }));
    view.insert("refresh_token".into(), json!(if lease { SET } else { NOT_SET }));
    view.insert("token_status".into(), token_json(&status));
    Value::Object(view)
}

/// How the account's token stands.
#[derive(Debug, Default)]
pub(crate) struct TokenStatus {
    pub(crate) valid: bool,
    pub(crate) expires_at: Option<Time>,
    pub(crate) auto_refresh: bool,
    lease: Option<LeaseView>,
    seconds_left: Option<u64>,
}

fn token_json(status: &TokenStatus) -> Value {
    json!({
        "valid": status.valid,
        "expires_at": status.expires_at,
        "seconds_left": status.seconds_left,
        "last_refresh": status.lease.as_ref().and_then(|lease| lease.renewed),
        "last_error": status.lease.as_ref().and_then(|lease| lease.last_error.clone()),
    })
}

/// The token of the account that this API speaks for; when the store does not answer, of none.
pub(crate) async fn token_status(web: &Web) -> TokenStatus {
    match auth::account(web).await {
        Ok(Some(account)) => status_of(web, &account),
        Ok(None) | Err(_) => TokenStatus::default(),
    }
}

fn status_of(web: &Web, account: &StoredAccount) -> TokenStatus {
    let now = web.house().now().utc;
    let standing: Option<Standing> = web.house().board().standing(&account.id);
    let signed_in = standing.as_ref().is_some_and(|standing| standing.state != AccountState::NeedsSignIn);
    let lease = standing.and_then(|standing| standing.leases.into_iter().find(|lease| lease.kind == TOKEN));
    let expires_at = lease.as_ref().and_then(|lease| lease.not_after);
    let about = web.house().about(&account.kind);
    let setting = about.and_then(|about| fields::shown(&about, &account.settings).remove("auto_refresh_enabled"));
    TokenStatus {
        valid: signed_in && lease.is_some() && expires_at.is_none_or(|end| end > now),
        expires_at,
        auto_refresh: setting.and_then(|value| value.as_bool()).unwrap_or(true),
        seconds_left: expires_at.map(|end| end.since(now).as_secs()),
        lease,
    }
}
