//! People: who they are, what they may do beside doors, how they sign in.

use super::{
    Items,
    grants::GrantView,
    json::Json,
    params::{At, Sure},
    phones::{PhoneView, RadioSession},
    routes::{Routes, routes},
    settings,
};
use crate::{
    ApiError, ApiResult, Web,
    caller::Caller,
    people::roles::{self, role_of, tell},
    sign_in,
};
use axum::{extract::State, http::StatusCode};
use doorward_core::{Secret, scope::Scope};
use doorward_store::{Holder, Person, PhoneOf};
use doorward_wire::{Time, event::Event, grant::Role};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::ToSchema;

/// How long a sign-in link works (rule 5 of the house).
const LINK_LIFE: Duration = Duration::from_mins(15);

pub(super) fn router() -> Routes {
    Routes::new()
        .routes(routes!(list, add))
        .routes(routes!(edit, remove))
        .routes(routes!(link))
        .routes(routes!(password))
        .routes(routes!(export))
}

/// A person.
#[derive(Serialize, ToSchema)]
struct PersonView {
    /// Identifier, without meaning to others.
    id: String,
    /// The name, for people.
    name: String,
    /// What they may do beside opening doors.
    role: Role,
    /// Whether a password is set.
    has_password: bool,
    /// When the person was added.
    created: Time,
}

impl From<Person> for PersonView {
    fn from(person: Person) -> Self {
        let role = role_of(&person);
        let Person { id, name, role: _, has_password, created } = person;
        Self { id, name, role, has_password, created }
    }
}

/// Lists everybody.
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
    /// What they may do beside opening doors; a resident when it is left out.
    #[serde(default)]
    role: Option<Role>,
}

/// Adds a person. They open nothing until they are given a right: `POST /grants`. They sign in with a link first:
/// `POST /people/{id}/link`.
#[utoipa::path(post, path = "/people", tag = "people", request_body = NewPerson, responses((status = 201, body = PersonView)))]
async fn add(caller: Caller, State(web): State<Web>, Json(new): Json<NewPerson>) -> ApiResult<(StatusCode, Json<PersonView>)> {
    let person = roles::add(&web, &caller, &new.name, new.role.unwrap_or(Role::Resident)).await?;
    Ok((StatusCode::CREATED, Json(person.into())))
}

/// What changes of a person; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PersonEdit {
    /// The name, for people.
    #[serde(default)]
    name: Option<String>,
    /// What they may do beside opening doors.
    #[serde(default)]
    role: Option<Role>,
}

/// Changes a person. One administrator stays.
#[utoipa::path(patch, path = "/people/{id}", tag = "people", params(("id" = String, Path)), request_body = PersonEdit,
    responses((status = 200, body = PersonView), (status = 409, description = "The name is taken, or it is the only administrator.")))]
async fn edit(caller: Caller, State(web): State<Web>, At(id): At<String>, Json(edit): Json<PersonEdit>) -> ApiResult<Json<PersonView>> {
    let person = roles::change(&web, &caller, &id, edit.name.as_deref(), edit.role).await?;
    Ok(Json(person.into()))
}

/// Erases a person with their sessions, tokens, keys, rights and the passes that they made. Events keep an identifier that
/// then means nobody.
#[utoipa::path(delete, path = "/people/{id}", tag = "people", params(("id" = String, Path)),
    responses((status = 204), (status = 409, description = "It is the only administrator.")))]
async fn remove(Sure(caller): Sure, State(web): State<Web>, At(id): At<String>) -> ApiResult<StatusCode> {
    roles::erase(&web, &caller, &id).await?;
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
#[utoipa::path(post, path = "/people/{id}/link", tag = "people", params(("id" = String, Path)),
    responses((status = 200, body = Link), (status = 409, description = "A service does not sign in.")))]
async fn link(Sure(caller): Sure, State(web): State<Web>, At(id): At<String>) -> ApiResult<Json<Link>> {
    administrator(&caller)?;
    let person = roles::find(&web, &id).await?;
    if !roles::signs_in(role_of(&person)) {
        return Err(ApiError::Conflict("a service does not sign in; make a token for it".into()));
    }
    let expires = web.house().now().utc.plus(LINK_LIFE);
    let secret = web.house().store().add_link(&id, expires).await?;
    tell(&web, &caller, &id, "link_made", None).await?;
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
    roles::find(&web, &id).await?;
    let hash = web.sign_in().hash(&new.password).await?;
    if !store.set_password_hash(&id, Some(&hash)).await? {
        return Err(ApiError::NotFound("person with this id"));
    }
    store.remove_sessions_of(&id).await?;
    tell(&web, &caller, &id, "password_set", None).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Everything that is kept of a person. Secrets are not in it.
#[derive(Serialize, ToSchema)]
struct Export {
    /// The person.
    person: PersonView,
    /// Their groups.
    groups: Vec<String>,
    /// Rights that were given to them.
    grants: Vec<GrantView>,
    /// Passes that they made, by id and guest's name.
    passes: Vec<(String, String)>,
    /// Their tokens, by name.
    tokens: Vec<String>,
    /// Their keys of the tunnel, by name.
    tunnel_keys: Vec<String>,
    /// Their passkeys, by name.
    passkeys: Vec<String>,
    /// Their phones that open locks over Bluetooth.
    phones: Vec<PhoneView>,
    /// What those phones have at locks: sessions and passes that have not ended.
    radio_sessions: Vec<RadioSession>,
    /// Since when a code is asked for after their password; null when none is.
    second_factor: Option<Time>,
    /// How many browsers are signed in.
    sessions: i64,
    /// What they did, and what was done about them, as far as the history reaches.
    events: Vec<Event>,
}

/// Gives everything that is kept of a person.
#[utoipa::path(get, path = "/people/{id}/export", tag = "people", params(("id" = String, Path)), responses((status = 200, body = Export)))]
async fn export(caller: Caller, State(web): State<Web>, At(id): At<String>) -> ApiResult<Json<Export>> {
    administrator(&caller)?;
    let person = roles::find(&web, &id).await?;
    let store = web.house().store();
    let own = |person: &Option<String>| person.as_deref() == Some(id.as_str());
    let (of, now) = (PhoneOf::Person(id.clone()), web.house().now().utc);
    let passes = store.passes().await?.into_iter().filter(|pass| pass.made_by == ("person".into(), id.clone()));
    Ok(Json(Export {
        groups: store.groups().await?.into_iter().filter(|group| group.members.contains(&id)).map(|group| group.name).collect(),
        grants: store.grants().await?.into_iter().filter(|grant| grant.holder == Holder::Person(id.clone())).map(Into::into).collect(),
        passes: passes.map(|pass| (pass.id, pass.name)).collect(),
        tokens: store.tokens().await?.into_iter().filter(|row| own(&row.token.person)).map(|row| row.token.name).collect(),
        tunnel_keys: store.tunnel_keys().await?.into_iter().filter(|key| own(&key.person)).map(|key| key.name).collect(),
        passkeys: store.passkeys(&id).await?.into_iter().map(|passkey| passkey.key.name).collect(),
        phones: store.phones().await?.into_iter().filter(|phone| phone.of == of).map(Into::into).collect(),
        radio_sessions: store.ble_sessions(None, now).await?.into_iter().filter(|session| session.of == of).map(Into::into).collect(),
        second_factor: store.second_factor(&id).await?.map(|factor| factor.since),
        sessions: store.count_sessions(Some(&id), web.house().now().utc).await?,
        events: store.events_of_person(&id).await?,
        person: person.into(),
    }))
}

/// Whoever makes a way in could go in as that person: `people` alone must not lead to more than it says.
pub(super) fn administrator(caller: &Caller) -> ApiResult<()> {
    caller.need(&Scope::People)?;
    caller.need(&Scope::Admin)
}
