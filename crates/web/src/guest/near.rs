//! What a guest needs at a lock over Bluetooth: a session for the page itself, or a code for a phone with a program of its own.

use super::{Holder, check_pin};
use crate::{
    ApiError, ApiResult, Web,
    api::json::Json,
    bluetooth::NotGiven,
    pages::texts::EN,
    people::{
        passes::state,
        phones::{self, Invite},
    },
};
use axum::extract::State;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use doorward_core::{Secret, driver::Fault};
use doorward_store::PhoneOf;
use doorward_wire::{
    Time,
    attempt::Reason,
    ble::v2::{CHALLENGE_CHARACTERISTIC, LOCK_SERVICE, RESPONSE_CHARACTERISTIC},
    door::DoorId,
    grant::PassState,
};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use serde::{Deserialize, Serialize};
use std::{num::NonZeroU32, sync::LazyLock};

/// Sessions and codes of one pass in a minute.
const ASKED: NonZeroU32 = NonZeroU32::new(10).expect("ten is not zero");
/// Passes that are remembered before those that were silent are forgotten.
const PASSES: usize = 4096;

static OFTEN: LazyLock<DefaultKeyedRateLimiter<String>> = LazyLock::new(|| RateLimiter::keyed(Quota::per_minute(ASKED)));

/// At which door.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NearWish {
    door: DoorId,
    #[serde(default)]
    pin: Option<Secret<String>>,
}

/// What the page answers the lock's challenge with, until then.
#[derive(Serialize)]
pub(super) struct Near {
    lock: String,
    /// The session's key and what names it, as base64url.
    key: String,
    nonce: String,
    until: Time,
    /// Where the lock is asked.
    service: &'static str,
    challenge: &'static str,
    response: &'static str,
}

pub(super) async fn near(State(web): State<Web>, holder: Holder, Json(wish): Json<NearWish>) -> ApiResult<Json<Near>> {
    let none = ApiError::NotFound("lock over Bluetooth of this pass with this id");
    let Some((bluetooth, lock)) = web.bluetooth().and_then(|bluetooth| Some((bluetooth, bluetooth.lock(&wish.door)?))) else {
        return Err(none);
    };
    let site = web.house().board().door(&wish.door).map(|door| door.site).unwrap_or_default();
    if !lock.answers || !holder.rights.sees(&wish.door, &site, web.house().now().utc) {
        return Err(none);
    }
    often(&holder)?;
    check_pin(&web, &holder, wish.pin).await?;
    let given = bluetooth.give(&wish.door, &PhoneOf::Pass(holder.pass.id.clone())).await.map_err(|why| match why {
        NotGiven::Denied(reason) => {
            web.house().refused(reason, None);
            ApiError::Forbidden(EN.pass_denied(reason).to_owned())
        }
        NotGiven::Unreachable => ApiError::Vendor(Fault::offline("The lock cannot be reached now.", "no session for the page")),
    })?;
    Ok(Json(Near {
        lock: lock.lock,
        key: URL_SAFE_NO_PAD.encode(given.key.expose()),
        nonce: URL_SAFE_NO_PAD.encode(given.nonce),
        until: Time::from_seconds(i64::try_from(given.expiry).unwrap_or(i64::MAX)),
        service: LOCK_SERVICE,
        challenge: CHALLENGE_CHARACTERISTIC,
        response: RESPONSE_CHARACTERISTIC,
    }))
}

/// For a phone with a program of its own.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct InviteWish {
    #[serde(default)]
    pin: Option<Secret<String>>,
}

pub(super) async fn invite(State(web): State<Web>, holder: Holder, Json(wish): Json<InviteWish>) -> ApiResult<Json<Invite>> {
    let now = web.house().now().utc;
    if !matches!(state(&holder.pass, now), PassState::Active | PassState::NotYet) {
        return Err(ApiError::Forbidden(EN.pass_denied(Reason::Expired).to_owned()));
    }
    often(&holder)?;
    check_pin(&web, &holder, wish.pin).await?;
    let of = PhoneOf::Pass(holder.pass.id.clone());
    phones::invite(&web, &of, &holder.rights, holder.pass.grant.terms.until).await.map(Json)
}

fn often(holder: &Holder) -> ApiResult<()> {
    if OFTEN.len() > PASSES {
        OFTEN.retain_recent();
    }
    OFTEN.check_key(&holder.pass.id).map_err(|_| ApiError::RateLimited(60))
}
