//! Users of the MQTT broker.

use super::{
    Items,
    json::Json,
    params::{At, Sure},
    routes::{Routes, routes},
};
use crate::{ApiError, ApiResult, Web, caller::Caller};
use axum::{extract::State, http::StatusCode};
use doorward_core::{Secret, record::NewEvent, scope::Scope};
use doorward_mqtt::{Mqtt, users::UserError};
use doorward_store::MqttUser;
use doorward_wire::{
    Time,
    attempt::Actor,
    event::EventKind,
    topic::{Filter, Rights},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

/// Filters that a user may have, each way.
const FILTERS: usize = 100;

pub(super) fn router() -> Routes {
    Routes::new().routes(routes!(list, add)).routes(routes!(edit, remove))
}

/// A user of the broker, without its secret.
#[derive(Serialize, ToSchema)]
struct MqttUserView {
    /// The name with which it connects.
    name: String,
    /// Topic filters that it may publish to.
    publish: Vec<String>,
    /// Topic filters that it may subscribe to.
    subscribe: Vec<String>,
    /// The one client identifier that it may use.
    client_id: Option<String>,
    /// When it was added.
    created: Time,
    /// Its clients that are connected now.
    clients: Vec<String>,
}

fn view(web: &Web, user: MqttUser) -> MqttUserView {
    let filters = |rights: &Rights| rights.filters().iter().map(ToString::to_string).collect();
    MqttUserView {
        publish: filters(&user.publish),
        subscribe: filters(&user.subscribe),
        clients: web.mqtt().map(|mqtt| mqtt.roster().clients_of(&user.name)).unwrap_or_default(),
        name: user.name,
        client_id: user.client_id,
        created: user.created,
    }
}

/// Lists the users of the broker.
#[utoipa::path(get, path = "/mqtt-users", tag = "mqtt", responses((status = 200, body = Items<MqttUserView>)))]
async fn list(caller: Caller, State(web): State<Web>) -> ApiResult<Json<Items<MqttUserView>>> {
    caller.need(&Scope::Admin)?;
    let users = web.house().store().mqtt_users().await?;
    Ok(Json(Items::all(users.into_iter().map(|user| view(&web, user)).collect())))
}

/// A new user of the broker. It may do nothing but what is named.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewMqttUser {
    /// The name with which it connects: 1 to 64 letters, digits, `-`, `_`, `.` and `@`.
    pub(crate) name: String,
    /// Topic filters that it may publish to. `doorward/door/<id>/set` lets it act at that door.
    #[serde(default)]
    pub(crate) publish: Vec<String>,
    /// Topic filters that it may subscribe to.
    #[serde(default)]
    pub(crate) subscribe: Vec<String>,
    /// The one client identifier that it may use; any when it is left out.
    #[serde(default)]
    pub(crate) client_id: Option<String>,
    /// A password that was chosen, 10 characters at least, for a client that has one already. Leave it out: doorward then
    /// makes a better one.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub(crate) password: Option<Secret<String>>,
}

/// A user with its secret, which is shown this once.
#[derive(Serialize, ToSchema)]
pub(crate) struct MadeMqttUser {
    /// The name with which it connects.
    pub(crate) name: String,
    /// The password with which it connects; absent when it was chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) secret: Option<String>,
}

/// Adds a user of the broker.
#[utoipa::path(post, path = "/mqtt-users", tag = "mqtt", request_body = NewMqttUser,
    responses((status = 201, body = MadeMqttUser), (status = 409, description = "The name is taken.")))]
async fn add(caller: Caller, State(web): State<Web>, Json(new): Json<NewMqttUser>) -> ApiResult<(StatusCode, Json<MadeMqttUser>)> {
    caller.need(&Scope::Admin)?;
    add_user(&web, &caller.actor, &new).await.map(|made| (StatusCode::CREATED, Json(made)))
}

/// Adds a user, and writes that down.
pub(crate) async fn add_user(web: &Web, actor: &Actor, new: &NewMqttUser) -> ApiResult<MadeMqttUser> {
    let user = MqttUser {
        name: checked_name(&new.name)?,
        publish: rights("publish", &new.publish)?,
        subscribe: rights("subscribe", &new.subscribe)?,
        client_id: new.client_id.clone().filter(|id| !id.is_empty()),
        created: web.house().now().utc,
        device: None,
    };
    let chosen = match &new.password {
        Some(password) => Some(web.sign_in().hash(password).await?),
        None => None,
    };
    let secret = broker(web)?.add_user(&user, chosen.as_ref()).await?;
    changed(web, actor, &user.name, "added").await?;
    Ok(MadeMqttUser { name: user.name, secret: secret.map(|secret| secret.reveal().clone()) })
}

/// What changes about a user; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MqttUserEdit {
    /// Topic filters that it may publish to, all of them.
    #[serde(default)]
    pub(crate) publish: Option<Vec<String>>,
    /// Topic filters that it may subscribe to, all of them.
    #[serde(default)]
    pub(crate) subscribe: Option<Vec<String>>,
    /// The one client identifier that it may use; an empty text for any.
    #[serde(default)]
    pub(crate) client_id: Option<String>,
}

/// Changes what a user of the broker may do. Its connections end, and come back with the new rights.
#[utoipa::path(patch, path = "/mqtt-users/{name}", tag = "mqtt", params(("name" = String, Path)), request_body = MqttUserEdit,
    responses((status = 200, body = MqttUserView)))]
async fn edit(
    caller: Caller,
    State(web): State<Web>,
    At(name): At<String>,
    Json(edit): Json<MqttUserEdit>,
) -> ApiResult<Json<MqttUserView>> {
    caller.need(&Scope::Admin)?;
    edit_user(&web, &caller.actor, &name, edit).await.map(|user| Json(view(&web, user)))
}

/// Changes a user, and writes that down.
pub(crate) async fn edit_user(web: &Web, actor: &Actor, name: &str, edit: MqttUserEdit) -> ApiResult<MqttUser> {
    let store = web.house().store();
    let user = store.mqtt_users().await?.into_iter().find(|user| user.name == name);
    let mut user = user.ok_or(ApiError::NotFound("MQTT user with this name"))?;
    if let Some(filters) = &edit.publish {
        user.publish = rights("publish", filters)?;
    }
    if let Some(filters) = &edit.subscribe {
        user.subscribe = rights("subscribe", filters)?;
    }
    if let Some(id) = edit.client_id {
        user.client_id = Some(id).filter(|id| !id.is_empty());
    }
    broker(web)?.change_user(&user).await?;
    changed(web, actor, name, "changed").await?;
    Ok(user)
}

/// Removes a user of the broker, and ends its connections.
#[utoipa::path(delete, path = "/mqtt-users/{name}", tag = "mqtt", params(("name" = String, Path)), responses((status = 204)))]
async fn remove(Sure(caller): Sure, State(web): State<Web>, At(name): At<String>) -> ApiResult<StatusCode> {
    caller.need(&Scope::Admin)?;
    remove_user(&web, &caller.actor, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Removes a user, and writes that down.
pub(crate) async fn remove_user(web: &Web, actor: &Actor, name: &str) -> ApiResult<()> {
    broker(web)?.remove_user(name).await?;
    changed(web, actor, name, "removed").await
}

fn broker(web: &Web) -> ApiResult<&Mqtt> {
    web.mqtt().ok_or_else(|| ApiError::Conflict("MQTT is switched off, or could not start: set mqtt.listen or mqtt.broker".into()))
}

impl From<UserError> for ApiError {
    fn from(error: UserError) -> Self {
        match error {
            UserError::Unknown => Self::NotFound("MQTT user with this name"),
            UserError::Store(error) => Self::Store(error),
            error @ (UserError::Taken | UserError::Elsewhere(_) | UserError::NoChoice | UserError::Broker(_) | UserError::Unproven(_)) => {
                Self::Conflict(error.to_string())
            }
        }
    }
}

/// Writes a change down.
async fn changed(web: &Web, actor: &Actor, name: &str, change: &str) -> ApiResult<()> {
    let event = NewEvent::new(web.house().now().utc, EventKind::MqttUserChanged).actor(actor);
    web.house().record(vec![event.data(json!({ "user": name, "change": change }))]).await?;
    Ok(())
}

fn checked_name(name: &str) -> ApiResult<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@');
    if (1..=64).contains(&name.len()) && name.chars().all(plain) {
        return Ok(name.to_owned());
    }
    Err(ApiError::Unprocessable("name: must have 1 to 64 letters, digits, “-”, “_”, “.” or “@”".into()))
}

fn rights(which: &str, filters: &[String]) -> ApiResult<Rights> {
    if filters.len() > FILTERS {
        return Err(ApiError::Unprocessable(format!("{which}: at most {FILTERS} filters")));
    }
    let filter = |text: &String| text.parse::<Filter>().map_err(|error| ApiError::Unprocessable(format!("{which}: “{text}” {error}")));
    filters.iter().map(filter).collect::<Result<_, _>>().map(Rights::new)
}
