//! Rights to open, of people and groups; and groups.

use super::{
    Items,
    json::Json,
    params::{At, Sure},
    routes::{Routes, routes},
};
use crate::{
    ApiError, ApiResult, Web,
    caller::Caller,
    people::rights::{self, Wish},
};
use axum::{extract::State, http::StatusCode};
use doorward_core::scope::Scope;
use doorward_store::{Group, Holder, StoredGrant};
use doorward_wire::{
    Time,
    grant::{Actions, Doors, Terms},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub(super) fn router() -> Routes {
    Routes::new()
        .routes(routes!(list, give))
        .routes(routes!(change, take_back))
        .routes(routes!(groups, add_group))
        .routes(routes!(change_group, remove_group))
}

/// A right to open.
#[derive(Serialize, ToSchema)]
pub(super) struct GrantView {
    /// Identifier.
    id: String,
    /// The person who has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    person: Option<String>,
    /// The group that has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    /// The pass that has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pass: Option<String>,
    /// The doors: an id, `site:<site>`, or `*` for every one.
    #[schema(value_type = Vec<String>)]
    doors: Vec<Doors>,
    /// What may be asked of them.
    actions: Actions,
    /// When, how often, and with whom.
    terms: Terms,
    /// How often it has opened.
    used: u32,
    /// When it was given.
    created: Time,
    /// When it last opened.
    last_used: Option<Time>,
    /// When it was taken back.
    revoked: Option<Time>,
}

impl From<StoredGrant> for GrantView {
    fn from(grant: StoredGrant) -> Self {
        let StoredGrant { id, holder, doors, actions, terms, used, created, last_used, revoked } = grant;
        let (person, group, pass) = match holder {
            Holder::Person(id) => (Some(id), None, None),
            Holder::Group(id) => (None, Some(id), None),
            Holder::Pass(id) => (None, None, Some(id)),
        };
        Self { id, person, group, pass, doors, actions, terms, used, created, last_used, revoked }
    }
}

/// Lists rights, also those that were taken back.
#[utoipa::path(get, path = "/grants", tag = "people", responses((status = 200, body = Items<GrantView>)))]
async fn list(caller: Caller, State(web): State<Web>) -> ApiResult<Json<Items<GrantView>>> {
    caller.need(&Scope::People)?;
    let grants = web.house().store().grants().await?;
    Ok(Json(Items::all(grants.into_iter().map(Into::into).collect())))
}

/// A right to give, to a person or a group.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewGrant {
    /// A person, by id.
    #[serde(default)]
    person: Option<String>,
    /// A group, by id.
    #[serde(default)]
    group: Option<String>,
    /// The doors: an id, `site:<site>`, or `*` for every one.
    #[schema(value_type = Vec<String>)]
    doors: Vec<Doors>,
    /// What may be asked of them; everything when it is left out.
    #[serde(default)]
    actions: Option<Actions>,
    /// When, how often, and with whom.
    #[serde(default)]
    terms: Terms,
}

/// Gives a person or a group a right. Nobody gives what they do not have.
#[utoipa::path(post, path = "/grants", tag = "people", request_body = NewGrant, responses((status = 201, body = GrantView)))]
async fn give(caller: Caller, State(web): State<Web>, Json(new): Json<NewGrant>) -> ApiResult<(StatusCode, Json<GrantView>)> {
    let holder = match (new.person, new.group) {
        (Some(person), None) => Holder::Person(person),
        (None, Some(group)) => Holder::Group(group),
        _ => return Err(ApiError::Unprocessable("name either a person or a group".into())),
    };
    let wish = Wish { doors: new.doors, actions: new.actions.unwrap_or(Actions::Act), terms: new.terms };
    let grant = rights::give(&web, &caller, holder, wish).await?;
    Ok((StatusCode::CREATED, Json(grant.into())))
}

/// What changes of a right; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct GrantEdit {
    /// The doors, all of them.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    doors: Option<Vec<Doors>>,
    /// What may be asked of them.
    #[serde(default)]
    actions: Option<Actions>,
    /// When, how often, and with whom; all of it.
    #[serde(default)]
    terms: Option<Terms>,
}

/// Changes a right. What was used of it stays counted.
#[utoipa::path(patch, path = "/grants/{id}", tag = "people", params(("id" = String, Path)), request_body = GrantEdit,
    responses((status = 200, body = GrantView), (status = 409, description = "It was taken back.")))]
async fn change(caller: Caller, State(web): State<Web>, At(id): At<String>, Json(edit): Json<GrantEdit>) -> ApiResult<Json<GrantView>> {
    caller.need(&Scope::People)?;
    let grant = the_grant(&web, &id).await?;
    let wish = Wish {
        doors: edit.doors.unwrap_or(grant.doors),
        actions: edit.actions.unwrap_or(grant.actions),
        terms: edit.terms.unwrap_or(grant.terms),
    };
    rights::change(&web, &caller, &id, wish).await?;
    the_grant(&web, &id).await.map(|grant| Json(grant.into()))
}

/// Takes a right back, at once: also what is on its way to a door by it is not done.
#[utoipa::path(delete, path = "/grants/{id}", tag = "people", params(("id" = String, Path)), responses((status = 204)))]
async fn take_back(Sure(caller): Sure, State(web): State<Web>, At(id): At<String>) -> ApiResult<StatusCode> {
    rights::take_back(&web, &caller, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn the_grant(web: &Web, id: &str) -> ApiResult<StoredGrant> {
    web.house().store().grant(id).await?.ok_or(ApiError::NotFound("right with this id"))
}

/// A group of people.
#[derive(Serialize, ToSchema)]
struct GroupView {
    /// Identifier.
    id: String,
    /// The name, for people.
    name: String,
    /// Who is in it, by id.
    members: Vec<String>,
    /// When it was made.
    created: Time,
}

impl From<Group> for GroupView {
    fn from(Group { id, name, members, created }: Group) -> Self {
        Self { id, name, members, created }
    }
}

/// Lists the groups.
#[utoipa::path(get, path = "/groups", tag = "people", responses((status = 200, body = Items<GroupView>)))]
async fn groups(caller: Caller, State(web): State<Web>) -> ApiResult<Json<Items<GroupView>>> {
    caller.need(&Scope::People)?;
    let groups = web.house().store().groups().await?;
    Ok(Json(Items::all(groups.into_iter().map(Into::into).collect())))
}

/// A new group.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewGroup {
    /// The name, for people.
    name: String,
    /// Who is in it, by id.
    #[serde(default)]
    members: Vec<String>,
}

/// Makes a group.
#[utoipa::path(post, path = "/groups", tag = "people", request_body = NewGroup, responses((status = 201, body = GroupView)))]
async fn add_group(caller: Caller, State(web): State<Web>, Json(new): Json<NewGroup>) -> ApiResult<(StatusCode, Json<GroupView>)> {
    let mut group = rights::add_group(&web, &caller, &new.name).await?;
    if !new.members.is_empty() {
        group = rights::change_group(&web, &caller, &group.id, None, Some(new.members)).await?;
    }
    Ok((StatusCode::CREATED, Json(group.into())))
}

/// What changes of a group; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct GroupEdit {
    /// The name, for people.
    #[serde(default)]
    name: Option<String>,
    /// Who is in it, by id; all of them.
    #[serde(default)]
    members: Option<Vec<String>>,
}

/// Changes a group. Nobody lets others into a group that may more than they themselves.
#[utoipa::path(patch, path = "/groups/{id}", tag = "people", params(("id" = String, Path)), request_body = GroupEdit,
    responses((status = 200, body = GroupView)))]
async fn change_group(
    caller: Caller,
    State(web): State<Web>,
    At(id): At<String>,
    Json(edit): Json<GroupEdit>,
) -> ApiResult<Json<GroupView>> {
    let group = rights::change_group(&web, &caller, &id, edit.name.as_deref(), edit.members).await?;
    Ok(Json(group.into()))
}

/// Removes a group with the rights that were given to it.
#[utoipa::path(delete, path = "/groups/{id}", tag = "people", params(("id" = String, Path)), responses((status = 204)))]
async fn remove_group(Sure(caller): Sure, State(web): State<Web>, At(id): At<String>) -> ApiResult<StatusCode> {
    rights::remove_group(&web, &caller, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
