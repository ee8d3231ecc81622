//! People who may sign in.

use super::{
    Items,
    doors::checked_name,
    json::Json,
    params::{At, Sure},
    routes::{Routes, routes},
    settings,
};
use crate::{ApiError, ApiResult, Web, caller::Caller, sign_in};
use axum::{extract::State, http::StatusCode};
use doorward_core::{Secret, record::NewEvent, scope::Scope};
use doorward_store::Person;
use doorward_wire::{Time, event::EventKind};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::time::Duration;
use utoipa::ToSchema;

/// How long a sign-in link works (rule 5 of the house).
const LINK_LIFE: Duration = Duration::from_mins(15);
/// The only role so far.
const ADMINISTRATOR: &str = "administrator";

pub(super) fn router() -> Routes {
    Routes::new().routes(routes!(list, add)).routes(routes!(remove)).routes(routes!(link)).routes(routes!(password))
}

/// A person who may sign in.
#[derive(Serialize, ToSchema)]
struct PersonView {
    /// Identifier, without meaning to others.
    id: String,
    /// The name, for people.
    name: String,
    /// The role; `administrator` is the only one so far.
    role: String,
    /// Whether a password is set.
    has_password: bool,
    /// When the person was added.
    created: Time,
}

impl From<Person> for PersonView {
    fn from(person: Person) -> Self {
        let Person { id, name, role, has_password, created } = person;
        Self { id, name, role, has_password, created }
    }
}

/// Lists everybody who may sign in.
#[utoipa::path(get, path = "/people", tag = "people", responses((status = 200, body = Items<PersonView>)))]
async fn list(caller: Caller, State(web): State<Web>) -> ApiResult<Json<Items<PersonView>>> {
    caller.need(&Scope::People)?;
    let people = web.house().store().people().await?;
    Ok(Json(Items::all(people.into_iter().map(Into::into).collect())))
}

/// A new person.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewPerson {
    /// The name, for people.
    name: String,
}

/// Adds a person. They sign in with a link first: `POST /people/{id}/link`.
#[utoipa::path(post, path = "/people", tag = "people", request_body = NewPerson, responses((status = 201, body = PersonView)))]
async fn add(caller: Caller, State(web): State<Web>, Json(new): Json<NewPerson>) -> ApiResult<(StatusCode, Json<PersonView>)> {
    caller.need(&Scope::People)?;
    let name = checked_name(&new.name)?;
    let store = web.house().store();
    if store.people().await?.iter().any(|person| person.name.eq_ignore_ascii_case(&name)) {
        return Err(ApiError::Conflict("there is a person with this name already; choose another".into()));
    }
    let person = store.add_person(&name, ADMINISTRATOR, web.house().now().utc).await?;
    tell(&web, &caller, &person.id, "added").await?;
    Ok((StatusCode::CREATED, Json(person.into())))
}

/// Erases a person with their sessions and tokens. Events keep an identifier that then means nobody.
#[utoipa::path(delete, path = "/people/{id}", tag = "people", params(("id" = String, Path)), responses((status = 204)))]
async fn remove(Sure(caller): Sure, State(web): State<Web>, At(id): At<String>) -> ApiResult<StatusCode> {
    administrator(&caller)?;
    if !web.house().store().remove_person(&id).await? {
        return Err(ApiError::NotFound("person with this id"));
    }
    // Their tunnel keys went with them.
    web.tunnel().reload().await?;
    tell(&web, &caller, &id, "removed").await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A sign-in link.
#[derive(Serialize, ToSchema)]
struct Link {
    /// Where to sign in. It works once.
    url: String,
    /// When it ends.
    expires: Time,
}

/// Makes a sign-in link that works once, for 15 minutes.
#[utoipa::path(post, path = "/people/{id}/link", tag = "people", params(("id" = String, Path)), responses((status = 200, body = Link)))]
async fn link(Sure(caller): Sure, State(web): State<Web>, At(id): At<String>) -> ApiResult<Json<Link>> {
    administrator(&caller)?;
    let store = web.house().store();
    store.person(&id).await?.ok_or(ApiError::NotFound("person with this id"))?;
    let expires = web.house().now().utc.plus(LINK_LIFE);
    let secret = store.add_link(&id, expires).await?;
    tell(&web, &caller, &id, "link_made").await?;
    let url = format!("{}{}", settings::base_url(&web), sign_in::link_path(secret.reveal()));
    Ok(Json(Link { url, expires }))
}

/// A new password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewPassword {
    /// At least ten characters.
    #[schema(value_type = String)]
    password: Secret<String>,
}

/// Sets a person's password and ends their sessions.
#[utoipa::path(put, path = "/people/{id}/password", tag = "people", params(("id" = String, Path)), request_body = NewPassword,
    responses((status = 204), (status = 422, description = "The password is too short.")))]
async fn password(caller: Caller, State(web): State<Web>, At(id): At<String>, Json(new): Json<NewPassword>) -> ApiResult<StatusCode> {
    administrator(&caller)?;
    let store = web.house().store();
    store.person(&id).await?.ok_or(ApiError::NotFound("person with this id"))?;
    let hash = web.sign_in().hash(&new.password).await?;
    if !store.set_password_hash(&id, Some(&hash)).await? {
        return Err(ApiError::NotFound("person with this id"));
    }
    store.remove_sessions_of(&id).await?;
    tell(&web, &caller, &id, "password_set").await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Everybody who can sign in is an administrator, so whoever makes a way in must be one: `people` alone must not lead to
/// more than it says.
fn administrator(caller: &Caller) -> ApiResult<()> {
    caller.need(&Scope::People)?;
    caller.need(&Scope::Admin)
}

/// Writes down what was changed about a person. Names stand outside the audit, so that a person can be erased.
async fn tell(web: &Web, caller: &Caller, person: &str, change: &str) -> ApiResult<()> {
    let event = NewEvent::new(web.house().now().utc, EventKind::PersonChanged).actor(&caller.actor);
    web.house().record(vec![event.data(json!({ "person": person, "change": change }))]).await?;
    Ok(())
}
