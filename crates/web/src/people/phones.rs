//! Phones that open locks over Bluetooth: how they are enrolled, and how they are forgotten.

use super::{passes, roles};
use crate::{
    ApiError, ApiResult, Web,
    bluetooth::{NotGiven, Offline},
    caller::Caller,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use doorward_core::{driver::Fault, policy::Rights, record::NewEvent, scope::Scope};
use doorward_store::{BleSession, PhoneKey, PhoneOf};
use doorward_wire::{Time, attempt::Reason, door::DoorId, event::EventKind};
use serde::Serialize;
use std::time::Duration;
use utoipa::ToSchema;

/// How long an invite is good.
const INVITE: Duration = Duration::from_hours(1);
/// How long a pass for a lock without a network is good when nobody says, and at most.
const OFFLINE: Duration = Duration::from_hours(7 * 24);
const LONGEST: Duration = Duration::from_hours(30 * 24);

/// An invite: a code by which one phone brings its key, and what else it needs.
#[derive(Serialize, ToSchema)]
pub(crate) struct Invite {
    /// The code. It is good once.
    #[serde(rename = "invite")]
    pub(crate) code: String,
    /// Until when.
    pub(crate) until: Time,
    /// The issuer's public keys of version 2, which the phone believes alone: 64 bytes as base64url.
    pub(crate) issuer: Option<String>,
    /// What the issuer calls itself on the air; `null` while phones cannot ask it there.
    pub(crate) beacon: Option<String>,
    /// What the phone may then ask for.
    pub(crate) locks: Vec<InviteLock>,
}

/// A lock that a phone may ask for.
#[derive(Serialize, ToSchema)]
pub(crate) struct InviteLock {
    /// The door.
    pub(crate) door: DoorId,
    /// Its name.
    pub(crate) name: String,
    /// What it is called on the air.
    pub(crate) lock: String,
}

/// Invites one phone of a person or of whoever holds a pass, at most until then.
pub(crate) async fn invite(web: &Web, of: &PhoneOf, rights: &Rights, until: Option<Time>) -> ApiResult<Invite> {
    let bluetooth = web.bluetooth().ok_or(ApiError::NotFound("lock over Bluetooth here"))?;
    let (store, now) = (web.house().store(), web.house().now().utc);
    let mut locks = Vec::new();
    for door in store.doors().await? {
        let sees = rights.sees(&door.id, &door.site, now);
        if let Some(lock) = bluetooth.lock(&door.id).filter(|_| sees) {
            locks.push(InviteLock { door: door.id, name: door.name, lock: lock.lock });
        }
    }
    if locks.is_empty() {
        return Err(ApiError::Conflict("there is no lock over Bluetooth that this right opens".into()));
    }
    let until = until.map_or(now.plus(INVITE), |until| until.min(now.plus(INVITE)));
    let invite = store.add_phone_invite(of, until).await?;
    let issuer = bluetooth.issuer().map(|issuer| URL_SAFE_NO_PAD.encode(issuer));
    Ok(Invite { code: invite.reveal().clone(), until, issuer, beacon: bluetooth.beacon().map(str::to_owned), locks })
}

/// Invites a phone of a person.
pub(crate) async fn invite_person(web: &Web, caller: &Caller, id: &str) -> ApiResult<Invite> {
    caller.need(&Scope::People)?;
    let person = roles::find(web, id).await?;
    // Who manages people but is no administrator must not open doors as one of those.
    roles::may_name(caller, roles::role_of(&person))?;
    let rights = web.house().store().rights_of(&person).await?;
    let invite = invite(web, &PhoneOf::Person(person.id), &rights, None).await?;
    roles::tell(web, caller, id, "phone_invited", None).await?;
    Ok(invite)
}

/// Invites a phone of whoever holds a pass.
pub(crate) async fn invite_pass(web: &Web, caller: &Caller, id: &str) -> ApiResult<Invite> {
    let pass = passes::own(web, caller, id).await?;
    let rights = web.house().store().rights_of_pass(&pass).await?;
    invite(web, &PhoneOf::Pass(pass.id), &rights, pass.grant.terms.until).await
}

/// Every phone.
pub(crate) async fn list(web: &Web, caller: &Caller) -> ApiResult<Vec<PhoneKey>> {
    caller.need(&Scope::People)?;
    Ok(web.house().store().phones().await?)
}

/// Forgets a phone: it gets no session any more, and those that it has are taken back.
pub(crate) async fn forget(web: &Web, caller: &Caller, fingerprint: &str) -> ApiResult<()> {
    caller.need(&Scope::People)?;
    let (store, now) = (web.house().store(), web.house().now().utc);
    let phone = store.phone(fingerprint).await?.ok_or(ApiError::NotFound("phone with this fingerprint"))?;
    store.remove_phone(fingerprint).await?;
    for session in store.ble_sessions(None, now).await? {
        if session.phone == fingerprint {
            store.revoke_ble_session(&session.nonce, now).await?;
        }
    }
    tell_of(web, caller, &phone.of, "phone_removed").await?;
    review(web).await;
    Ok(())
}

async fn tell_of(web: &Web, caller: &Caller, of: &PhoneOf, what: &str) -> ApiResult<()> {
    match of {
        PhoneOf::Person(id) => roles::tell(web, caller, id, what, None).await,
        PhoneOf::Pass(id) => {
            let data = serde_json::json!({ "pass": id, "change": what });
            let event = NewEvent::new(web.house().now().utc, EventKind::PassChanged).actor(&caller.actor).data(data);
            web.house().record(vec![event]).await?;
            Ok(())
        }
    }
}

/// Sessions at locks over Bluetooth that have not ended.
pub(crate) async fn sessions(web: &Web, caller: &Caller) -> ApiResult<Vec<BleSession>> {
    caller.need(&Scope::People)?;
    Ok(web.house().store().ble_sessions(None, web.house().now().utc).await?)
}

/// Takes a session back. The phone may ask for another one.
pub(crate) async fn end_session(web: &Web, caller: &Caller, nonce: &str) -> ApiResult<()> {
    caller.need(&Scope::People)?;
    if !web.house().store().revoke_ble_session(nonce, web.house().now().utc).await? {
        return Err(ApiError::NotFound("session with this id"));
    }
    review(web).await;
    Ok(())
}

/// Signs a pass for a phone, which a lock takes without a network.
pub(crate) async fn sign(web: &Web, caller: &Caller, fingerprint: &str, door: &DoorId, until: Option<Time>) -> ApiResult<Offline> {
    caller.need(&Scope::People)?;
    let (bluetooth, now) = (web.bluetooth().ok_or(ApiError::NotFound("lock over Bluetooth here"))?, web.house().now().utc);
    let phone = web.house().store().phone(fingerprint).await?.ok_or(ApiError::NotFound("phone with this fingerprint"))?;
    if let PhoneOf::Person(id) = &phone.of {
        roles::may_name(caller, roles::role_of(&roles::find(web, id).await?))?;
    }
    let until = until.unwrap_or(now.plus(OFFLINE));
    if until <= now || until > now.plus(LONGEST) {
        return Err(ApiError::Unprocessable("until: must be within the next 30 days".into()));
    }
    let signed = bluetooth.sign(door, &phone, until).await.map_err(not_signed)?;
    tell_of(web, caller, &phone.of, "offline_pass_signed").await?;
    Ok(signed)
}

/// Ends every pass that was signed for a door until now; gives how many were still good.
pub(crate) async fn end_offline(web: &Web, caller: &Caller, door: &DoorId) -> ApiResult<usize> {
    caller.need(&Scope::People)?;
    let bluetooth = web.bluetooth().ok_or(ApiError::NotFound("lock over Bluetooth here"))?;
    bluetooth.end_offline(door).await.map_err(not_signed)
}

fn not_signed(why: NotGiven) -> ApiError {
    match why {
        NotGiven::Denied(Reason::NotCapable) => {
            ApiError::Unprocessable("door: its lock and the phone must both speak version 2, and hold all that the right says".into())
        }
        NotGiven::Denied(_) => {
            let text = "this phone has no right at this door that a lock can hold by itself: one that is not counted, needs nobody else, \
                        knows no holidays, and is not a resident's gift";
            ApiError::Conflict(text.into())
        }
        NotGiven::Unreachable => ApiError::Vendor(Fault::offline("This cannot be written down now.", "the store or the issuer")),
    }
}

/// Takes back what somebody has at locks, before nobody knows any more that it was theirs.
pub(crate) async fn end_all_of(web: &Web, of: &PhoneOf) -> ApiResult<()> {
    let (store, now) = (web.house().store(), web.house().now().utc);
    for session in store.ble_sessions(None, now).await? {
        if session.of == *of {
            store.revoke_ble_session(&session.nonce, now).await?;
        }
    }
    review(web).await;
    Ok(())
}

async fn review(web: &Web) {
    if let Some(bluetooth) = web.bluetooth() {
        bluetooth.review().await;
    }
}
