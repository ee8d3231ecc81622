//! Roles: what a person may do beside opening doors.

use crate::{ApiError, ApiResult, Web, caller::Caller};
use doorward_core::{record::NewEvent, scope::Scope};
use doorward_store::{Person, PhoneOf};
use doorward_wire::{event::EventKind, grant::Role};
use serde_json::json;

/// The role of a person. A word that this version does not know gives nothing.
pub(crate) fn role_of(person: &Person) -> Role {
    person.role.parse().unwrap_or(Role::Service)
}

/// Whether a person of this role may sign in to pages.
pub(crate) const fn signs_in(role: Role) -> bool {
    !matches!(role, Role::Service)
}

/// The scopes that a session of a person with this role has.
pub(crate) fn scopes(role: Role) -> Vec<Scope> {
    match role {
        Role::Administrator => vec![Scope::Admin],
        Role::Resident => vec![Scope::DoorsAct(None), Scope::EventsRead],
        Role::Guest => vec![Scope::DoorsAct(None)],
        Role::Service => Vec::new(),
    }
}

/// Adds a person.
pub(crate) async fn add(web: &Web, caller: &Caller, name: &str, role: Role) -> ApiResult<Person> {
    caller.need(&Scope::People)?;
    may_name(caller, role)?;
    let name = crate::api::checked_name(name)?;
    let store = web.house().store();
    is_free(web, &name, None).await?;
    let person = store.add_person(&name, role.as_str(), web.house().now().utc).await?;
    tell(web, caller, &person.id, "added", Some(role)).await?;
    Ok(person)
}

/// Gives a person another name or role.
pub(crate) async fn change(web: &Web, caller: &Caller, id: &str, name: Option<&str>, role: Option<Role>) -> ApiResult<Person> {
    caller.need(&Scope::People)?;
    let mut person = find(web, id).await?;
    may_name(caller, role_of(&person))?;
    if let Some(name) = name {
        person.name = crate::api::checked_name(name)?;
        is_free(web, &person.name, Some(id)).await?;
    }
    let changed = role.filter(|role| *role != role_of(&person));
    if let Some(role) = changed {
        may_name(caller, role)?;
        one_administrator_stays(web, &person).await?;
        role.as_str().clone_into(&mut person.role);
    }
    web.house().store().update_person(id, &person.name, &person.role).await?;
    if changed.is_some_and(|role| !signs_in(role)) {
        web.house().store().remove_sessions_of(id).await?;
    }
    tell(web, caller, id, "changed", changed).await?;
    Ok(person)
}

/// Erases a person with their sessions, tokens, keys and rights. Events keep an identifier that then means nobody.
pub(crate) async fn erase(web: &Web, caller: &Caller, id: &str) -> ApiResult<()> {
    caller.need(&Scope::People)?;
    let person = find(web, id).await?;
    may_name(caller, role_of(&person))?;
    one_administrator_stays(web, &person).await?;
    super::passes::revoke_all_within(web, caller, id).await?;
    super::phones::end_all_of(web, &PhoneOf::Person(id.into())).await?;
    if !web.house().store().remove_person(id).await? {
        return Err(ApiError::NotFound("person with this id"));
    }
    // Their tunnel keys went with them.
    web.tunnel().reload().await?;
    tell(web, caller, id, "removed", None).await
}

pub(crate) async fn find(web: &Web, id: &str) -> ApiResult<Person> {
    web.house().store().person(id).await?.ok_or(ApiError::NotFound("person with this id"))
}

/// Administrators are made and changed by those who may do everything: `people` alone must not lead to more than it says.
pub(crate) fn may_name(caller: &Caller, role: Role) -> ApiResult<()> {
    if role == Role::Administrator { caller.need(&Scope::Admin) } else { Ok(()) }
}

/// A house without an administrator can only be mended at its machine.
async fn one_administrator_stays(web: &Web, person: &Person) -> ApiResult<()> {
    if role_of(person) != Role::Administrator {
        return Ok(());
    }
    let people = web.house().store().people().await?;
    if people.iter().any(|other| other.id != person.id && role_of(other) == Role::Administrator) {
        return Ok(());
    }
    Err(ApiError::Conflict("this is the only administrator; make somebody else one first".into()))
}

async fn is_free(web: &Web, name: &str, own: Option<&str>) -> ApiResult<()> {
    let lower = name.to_lowercase();
    let people = web.house().store().people().await?;
    if people.iter().any(|person| person.name.to_lowercase() == lower && Some(person.id.as_str()) != own) {
        return Err(ApiError::Conflict("there is a person with this name already; choose another".into()));
    }
    Ok(())
}

/// Writes down what was changed about a person.
pub(crate) async fn tell(web: &Web, caller: &Caller, person: &str, change: &str, role: Option<Role>) -> ApiResult<()> {
    let mut data = json!({ "person": person, "change": change });
    if let Some(role) = role {
        data["role"] = json!(role);
    }
    let event = NewEvent::new(web.house().now().utc, EventKind::PersonChanged).actor(&caller.actor);
    web.house().record(vec![event.data(data)]).await?;
    Ok(())
}
