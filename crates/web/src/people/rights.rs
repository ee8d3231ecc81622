//! Rights of people and groups: given, changed, taken back.

use crate::{ApiError, ApiResult, Web, caller::Caller};
use doorward_core::{record::NewEvent, scope::Scope};
use doorward_store::{Group, Holder, StoredGrant};
use doorward_wire::{
    event::EventKind,
    grant::{Actions, DOORS_MAX, Doors, Terms},
};
use serde_json::json;

/// What is given.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub(crate) doors: Vec<Doors>,
    pub(crate) actions: Actions,
    pub(crate) terms: Terms,
}

impl Wish {
    /// Whether it makes sense, and names doors that are there and that the caller may give.
    pub(crate) fn check(&mut self, web: &Web, caller: &Caller) -> ApiResult<()> {
        self.terms.check().map_err(|error| ApiError::Unprocessable(error.to_string()))?;
        self.terms.weekdays.sort_unstable();
        self.terms.weekdays.dedup();
        self.doors.sort_unstable();
        self.doors.dedup();
        check_doors(web, caller, &self.doors)
    }
}

fn check_doors(web: &Web, caller: &Caller, doors: &[Doors]) -> ApiResult<()> {
    if doors.is_empty() || doors.len() > DOORS_MAX {
        return Err(ApiError::Unprocessable(format!("doors: name 1 to {DOORS_MAX}, or * for every door")));
    }
    let board = web.house().board();
    let site_of = |door: &doorward_wire::door::DoorId| board.door(door).map(|door| door.site);
    for one in doors {
        let known = match one {
            Doors::All => true,
            Doors::Site(site) => board.doors().iter().any(|door| door.site == *site),
            Doors::One(door) => site_of(door).is_some(),
        };
        if !known {
            return Err(ApiError::Unprocessable(format!("doors: there is no “{one}”")));
        }
        if !caller.has(&Scope::Admin) && !caller.rights.give(one, site_of, web.house().now().utc) {
            return Err(ApiError::Forbidden(format!("you may not open “{one}” yourself, so you cannot give it to others")));
        }
    }
    Ok(())
}

/// Gives a person or a group a right.
pub(crate) async fn give(web: &Web, caller: &Caller, holder: Holder, mut wish: Wish) -> ApiResult<StoredGrant> {
    caller.need(&Scope::People)?;
    match &holder {
        Holder::Person(id) => _ = super::roles::find(web, id).await?,
        Holder::Group(id) => _ = group(web, id).await?,
        Holder::Pass(_) => return Err(ApiError::Unprocessable("a pass has the right that it was made with".into())),
    }
    wish.check(web, caller)?;
    let event = event(web, caller, "given");
    let (grant, event) = web.house().store().add_grant(holder, wish.doors, wish.actions, wish.terms, &event).await?;
    web.house().tell(vec![event]);
    Ok(grant)
}

/// Changes what a right allows. What was used of it stays counted.
pub(crate) async fn change(web: &Web, caller: &Caller, id: &str, mut wish: Wish) -> ApiResult<()> {
    caller.need(&Scope::People)?;
    of_somebody(web, id).await?;
    wish.check(web, caller)?;
    let changed = web.house().store().change_grant(id, &wish.doors, wish.actions, &wish.terms, &event(web, caller, "changed")).await?;
    let event = changed.ok_or_else(|| ApiError::Conflict("this right was taken back; give a new one".into()))?;
    web.house().tell(vec![event]);
    Ok(())
}

/// Takes a right back, at once.
pub(crate) async fn take_back(web: &Web, caller: &Caller, id: &str) -> ApiResult<()> {
    caller.need(&Scope::People)?;
    of_somebody(web, id).await?;
    if let Some(event) = web.house().store().revoke_grant(id, &event(web, caller, "taken back")).await? {
        web.house().tell(vec![event]);
    }
    Ok(())
}

/// Makes a group.
pub(crate) async fn add_group(web: &Web, caller: &Caller, name: &str) -> ApiResult<Group> {
    caller.need(&Scope::People)?;
    let name = crate::api::checked_name(name)?;
    let (group, told) = web.house().store().add_group(&name, &event_of_group(web, caller, "made")).await?;
    web.house().tell(vec![told]);
    Ok(group)
}

/// Gives a group another name or other members.
pub(crate) async fn change_group(
    web: &Web,
    caller: &Caller,
    id: &str,
    name: Option<&str>,
    members: Option<Vec<String>>,
) -> ApiResult<Group> {
    caller.need(&Scope::People)?;
    let mut group = group(web, id).await?;
    if let Some(name) = name {
        group.name = crate::api::checked_name(name)?;
    }
    if let Some(members) = members {
        gives_what_the_group_has(web, caller, id).await?;
        for member in &members {
            super::roles::find(web, member).await?;
        }
        group.members = members;
    }
    let changed = web.house().store().put_group(id, &group.name, &group.members, &event_of_group(web, caller, "changed")).await?;
    web.house().tell(vec![changed.ok_or(ApiError::NotFound("group with this id"))?]);
    Ok(group)
}

/// Removes a group with the rights that were given to it.
pub(crate) async fn remove_group(web: &Web, caller: &Caller, id: &str) -> ApiResult<()> {
    caller.need(&Scope::People)?;
    let removed = web.house().store().remove_group(id, &event_of_group(web, caller, "removed")).await?;
    web.house().tell(vec![removed.ok_or(ApiError::NotFound("group with this id"))?]);
    Ok(())
}

/// Whoever lets somebody into a group gives what the group has.
async fn gives_what_the_group_has(web: &Web, caller: &Caller, id: &str) -> ApiResult<()> {
    for grant in web.house().store().grants().await? {
        if grant.revoked.is_none() && matches!(&grant.holder, Holder::Group(group) if group == id) {
            check_doors(web, caller, &grant.doors)?;
        }
    }
    Ok(())
}

pub(crate) async fn group(web: &Web, id: &str) -> ApiResult<Group> {
    web.house().store().groups().await?.into_iter().find(|group| group.id == id).ok_or(ApiError::NotFound("group with this id"))
}

/// A right of a person or group, and not the one of a pass.
async fn of_somebody(web: &Web, id: &str) -> ApiResult<StoredGrant> {
    let grant = web.house().store().grant(id).await?.filter(|grant| !matches!(grant.holder, Holder::Pass(_)));
    grant.ok_or(ApiError::NotFound("right with this id"))
}

fn event(web: &Web, caller: &Caller, change: &str) -> NewEvent {
    let event = NewEvent::new(web.house().now().utc, EventKind::GrantChanged).actor(&caller.actor);
    event.data(json!({ "change": change }))
}

fn event_of_group(web: &Web, caller: &Caller, change: &str) -> NewEvent {
    let event = NewEvent::new(web.house().now().utc, EventKind::PersonChanged).actor(&caller.actor);
    event.data(json!({ "group": true, "change": change }))
}
