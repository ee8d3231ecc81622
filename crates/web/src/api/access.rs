//! What a caller sees: doors by grant, events by scope and grant.

use crate::{ApiError, ApiResult, Web, caller::Caller};
use doorward_core::scope::Scope;
use doorward_wire::{
    door::{Door, DoorId},
    event::Event,
};

impl Caller {
    /// Asks for any right at doors.
    pub(crate) fn need_doors(&self) -> ApiResult<()> {
        let has = self.scopes.iter().any(|scope| matches!(scope, Scope::DoorsRead | Scope::DoorsAct(_) | Scope::Admin));
        if has { Ok(()) } else { Err(ApiError::Forbidden("this needs the scope doors:read or doors:act".into())) }
    }

    /// Whether the caller was narrowed to single doors.
    pub(crate) fn narrow(&self) -> bool {
        let all = |scope: &Scope| matches!(scope, Scope::DoorsRead | Scope::DoorsAct(None) | Scope::Admin);
        let one = |scope: &Scope| matches!(scope, Scope::DoorsAct(Some(_)));
        self.scopes.iter().any(one) && !self.scopes.iter().any(all)
    }

    /// Whether an event may be shown. Whoever was narrowed to single doors reads the events of those doors alone.
    pub(crate) fn reads(&self, event: &Event) -> bool {
        !self.narrow() || event.door.as_ref().is_some_and(|door| self.rights.sees(door))
    }

    /// A door that the caller sees. One that is hidden from the caller is not there.
    pub(crate) fn door(&self, web: &Web, id: &DoorId) -> ApiResult<Door> {
        web.house().board().door(id).filter(|door| self.rights.sees(&door.id)).ok_or(ApiError::NotFound("door with this id"))
    }
}
