//! What a caller sees: doors by grant, events by scope and grant.

use crate::{ApiError, ApiResult, Web, caller::Caller};
use doorward_core::{
    policy::{self, Decision, Place, Rights},
    scope::Scope,
    setup::DoorSetup,
};
use doorward_wire::{
    Time,
    attempt::ActionWord,
    door::{Door, DoorId},
    event::{Event, EventKind},
};

/// Whether somebody with these rights may do this at this door at this time, and why.
pub(crate) async fn decide(web: &Web, rights: &Rights, door: &DoorId, action: ActionWord, at: Time) -> ApiResult<Decision> {
    let setup = web.house().store().door(door).await?;
    // One that is gone is at no site: only whoever may open every door could.
    let gone = Place { door, site: "", time_zone: "", holidays: &[] };
    Ok(policy::decide(rights, setup.as_ref().map_or(gone, DoorSetup::place), action, at))
}

impl Caller {
    /// Asks for any right at doors.
    pub(crate) fn need_doors(&self) -> ApiResult<()> {
        let has = self.scopes.iter().any(|scope| matches!(scope, Scope::DoorsRead | Scope::DoorsAct(_) | Scope::Admin));
        if has { Ok(()) } else { Err(ApiError::Forbidden("this needs the scope doors:read or doors:act".into())) }
    }

    /// Whether the caller is shown no more than the doors that they see: a token for single doors, and whoever is not an
    /// administrator.
    pub(crate) fn narrow(&self) -> bool {
        let all = |scope: &Scope| matches!(scope, Scope::DoorsRead | Scope::DoorsAct(None) | Scope::Admin);
        let one = |scope: &Scope| matches!(scope, Scope::DoorsAct(Some(_)));
        self.is_limited() || self.scopes.iter().any(one) && !self.scopes.iter().any(all)
    }

    /// Whether a door is shown to the caller.
    pub(crate) fn sees(&self, web: &Web, door: &DoorId) -> bool {
        let site = web.house().board().door(door).map(|door| door.site).unwrap_or_default();
        self.rights.sees(door, &site, web.house().now().utc)
    }

    /// The doors that the caller sees, by name.
    pub(crate) fn doors(&self, web: &Web) -> Vec<Door> {
        let (mut doors, now) = (web.house().board().doors(), web.house().now().utc);
        doors.retain(|door| self.rights.sees(&door.id, &door.site, now));
        doors
    }

    /// Whether an event may be shown. Whoever is shown no more than doors reads the events of those alone, and never who
    /// was forced to open one.
    pub(crate) fn reads(&self, web: &Web, event: &Event) -> bool {
        !self.narrow() || event.kind != EventKind::DoorDuress && event.door.as_ref().is_some_and(|door| self.sees(web, door))
    }

    /// A door that the caller sees. One that is hidden from the caller is not there.
    pub(crate) fn door(&self, web: &Web, id: &DoorId) -> ApiResult<Door> {
        web.house()
            .board()
            .door(id)
            .filter(|door| self.rights.sees(&door.id, &door.site, web.house().now().utc))
            .ok_or(ApiError::NotFound("door with this id"))
    }
}
