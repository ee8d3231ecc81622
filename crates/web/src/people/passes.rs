//! Passes: made, changed, taken back; and what a pass is now.

use super::rights::Wish;
use crate::{ApiError, ApiResult, Web, caller::Caller};
use doorward_core::{Secret, record::NewEvent, scope::Scope};
use doorward_store::{NewPass, PhoneOf, StoredPass};
use doorward_wire::{
    Time,
    event::EventKind,
    grant::{Actions, Doors, PassState, Role, Terms},
};
use std::ops::RangeInclusive;

/// Digits of a PIN.
const PIN: RangeInclusive<usize> = 4..=8;

/// A pass that is wished for.
#[derive(Debug)]
pub(crate) struct NewWish {
    pub(crate) name: String,
    pub(crate) doors: Vec<Doors>,
    pub(crate) terms: Terms,
    pub(crate) pin: Option<Secret<String>>,
}

/// Makes a pass. Gives its secret, which opens doors for whoever has it ([`link`]).
pub(crate) async fn make(web: &Web, caller: &Caller, new: NewWish) -> ApiResult<(StoredPass, Secret<String>)> {
    may_make(caller)?;
    let name = crate::api::checked_name(&new.name)?;
    let mut wish = Wish { doors: new.doors, actions: Actions::Act, terms: new.terms };
    wish.check(web, caller)?;
    let now = web.house().now().utc;
    if wish.terms.until.is_some_and(|until| until <= now) {
        return Err(ApiError::Unprocessable("until: this time is past".into()));
    }
    if let Some(pin) = &new.pin {
        let digits = pin.reveal();
        if !PIN.contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(ApiError::Unprocessable(format!("pin: must have {} to {} digits", PIN.start(), PIN.end())));
        }
    }
    let new = NewPass {
        name: &name,
        pin: new.pin.as_ref(),
        doors: wish.doors,
        terms: wish.terms,
        made_by: &caller.actor,
        // What somebody gives who may not do everything holds no longer than what they have themselves.
        within: caller.person().filter(|_| caller.is_limited()),
    };
    let event = NewEvent::new(now, EventKind::PassCreated).actor(&caller.actor);
    let (pass, secret, event) = web.house().store().add_pass(new, &event).await?;
    web.house().tell(vec![event]);
    Ok((pass, secret))
}

/// Gives a pass other doors or another time: extends it, or cuts it short.
pub(crate) async fn change(web: &Web, caller: &Caller, id: &str, name: Option<&str>, mut wish: Wish) -> ApiResult<StoredPass> {
    let pass = own(web, caller, id).await?;
    wish.actions = Actions::Act;
    wish.check(web, caller)?;
    let store = web.house().store();
    if let Some(name) = name {
        store.rename_pass(id, &crate::api::checked_name(name)?).await?;
    }
    let event = NewEvent::new(web.house().now().utc, EventKind::PassChanged).actor(&caller.actor);
    let event = event.data(serde_json::json!({ "pass": id }));
    let changed = store.change_grant(&pass.grant.id, &wish.doors, wish.actions, &wish.terms, &event).await?;
    web.house().tell(vec![changed.ok_or_else(|| ApiError::Conflict("this pass was taken back; make a new one".into()))?]);
    own(web, caller, id).await
}

/// Takes a pass back, at once.
pub(crate) async fn revoke(web: &Web, caller: &Caller, id: &str) -> ApiResult<StoredPass> {
    let pass = own(web, caller, id).await?;
    let event = NewEvent::new(web.house().now().utc, EventKind::PassRevoked).actor(&caller.actor);
    let event = event.data(serde_json::json!({ "pass": id }));
    if let Some(event) = web.house().store().revoke_grant(&pass.grant.id, &event).await? {
        web.house().tell(vec![event]);
    }
    own(web, caller, id).await
}

/// Takes back what a person gave, before they are erased: nobody is left who could.
pub(crate) async fn revoke_all_within(web: &Web, caller: &Caller, person: &str) -> ApiResult<()> {
    for pass in web.house().store().passes().await? {
        if pass.within.as_deref() == Some(person) && pass.grant.revoked.is_none() {
            revoke(web, caller, &pass.id).await?;
        }
    }
    Ok(())
}

/// Removes a pass that allows nothing any more, with all that names the guest.
pub(crate) async fn remove(web: &Web, caller: &Caller, id: &str) -> ApiResult<()> {
    let pass = own(web, caller, id).await?;
    if matches!(state(&pass, web.house().now().utc), PassState::Active | PassState::NotYet) {
        return Err(ApiError::Conflict("this pass still opens doors; take it back first".into()));
    }
    super::phones::end_all_of(web, &PhoneOf::Pass(id.into())).await?;
    web.house().store().remove_pass(id).await?;
    Ok(())
}

/// The passes that the caller may see: all, or those that they made.
pub(crate) async fn list(web: &Web, caller: &Caller) -> ApiResult<Vec<StoredPass>> {
    may_make(caller)?;
    let mut passes = web.house().store().passes().await?;
    passes.retain(|pass| is_own(caller, pass));
    Ok(passes)
}

/// A pass that the caller may see and change.
pub(crate) async fn own(web: &Web, caller: &Caller, id: &str) -> ApiResult<StoredPass> {
    may_make(caller)?;
    let pass = web.house().store().pass(id).await?.filter(|pass| is_own(caller, pass));
    pass.ok_or(ApiError::NotFound("pass with this id"))
}

/// The secret of a pass, to show its link again.
pub(crate) async fn secret_of(web: &Web, pass: &StoredPass) -> ApiResult<Secret<String>> {
    web.house().store().pass_secret(&pass.id).await?.ok_or(ApiError::NotFound("pass with this id"))
}

/// Whether a pass opens anything now, and if not, why.
pub(crate) fn state(pass: &StoredPass, now: Time) -> PassState {
    let terms = &pass.grant.terms;
    if pass.grant.revoked.is_some() {
        PassState::Revoked
    } else if terms.until.is_some_and(|until| until <= now) {
        PassState::Ended
    } else if terms.uses.is_some_and(|uses| pass.grant.used >= uses) {
        PassState::UsedUp
    } else if terms.from.is_some_and(|from| now < from) {
        PassState::NotYet
    } else {
        PassState::Active
    }
}

/// Whether the caller may make passes at all: those who manage people, and residents.
pub(crate) fn may_make(caller: &Caller) -> ApiResult<()> {
    if caller.has(&Scope::People) || caller.role == Some(Role::Resident) && caller.has(&Scope::DoorsAct(None)) {
        return Ok(());
    }
    Err(ApiError::Forbidden("residents and those who manage people make passes".into()))
}

fn is_own(caller: &Caller, pass: &StoredPass) -> bool {
    caller.has(&Scope::People) || pass.within.is_some() && pass.within.as_deref() == caller.person()
}

/// The link of a pass. The secret stands in the fragment, which browsers do not send.
pub(crate) fn link(base: &str, secret: &Secret<String>) -> String {
    format!("{}/p#{}", base.trim_end_matches('/'), secret.reveal())
}
