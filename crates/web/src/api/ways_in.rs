//! How people come in: their passkeys, their authenticator app and the browsers in which they are signed in. Nobody adds one for
//! somebody else; whoever lost theirs is helped by removing it and by a link.

use super::{
    Items,
    json::Json,
    params::{At, Sure},
    people::administrator,
    routes::{Routes, routes},
};
use crate::{
    ApiError, ApiResult, Web,
    caller::Caller,
    people::roles::{self, tell},
};
use axum::{extract::State, http::StatusCode};
use doorward_store::{SessionRow, StoredPasskey};
use doorward_wire::Time;
use serde::Serialize;
use utoipa::ToSchema;

pub(super) fn router() -> Routes {
    Routes::new()
        .routes(routes!(passkeys))
        .routes(routes!(remove_passkey))
        .routes(routes!(authenticator, remove_authenticator))
        .routes(routes!(sessions))
        .routes(routes!(end_session))
}

/// A passkey. The private half is in the device of its owner alone.
#[derive(Serialize, ToSchema)]
struct PasskeyView {
    /// Identifier.
    id: String,
    /// Its name, for people.
    name: String,
    /// The name of doorward at which it works.
    rp_id: String,
    /// Whether it is copied between the devices of its owner.
    synchronised: bool,
    /// When it was added.
    created: Time,
    /// When somebody last signed in with it.
    last_used: Option<Time>,
}

impl From<StoredPasskey> for PasskeyView {
    fn from(passkey: StoredPasskey) -> Self {
        let StoredPasskey { id, key, created, used } = passkey;
        Self { id, name: key.name, rp_id: key.rp_id, synchronised: key.backed_up, created, last_used: used }
    }
}

/// Lists the passkeys of a person.
#[utoipa::path(get, path = "/people/{id}/passkeys", tag = "people", params(("id" = String, Path)),
    responses((status = 200, body = Items<PasskeyView>)))]
async fn passkeys(caller: Caller, State(web): State<Web>, At(id): At<String>) -> ApiResult<Json<Items<PasskeyView>>> {
    administrator(&caller)?;
    roles::find(&web, &id).await?;
    let passkeys = web.house().store().passkeys(&id).await?;
    Ok(Json(Items::all(passkeys.into_iter().map(Into::into).collect())))
}

/// Removes a passkey of a person, such as of a device that was lost. It signs nobody in any more; who is signed in stays so
/// until their session is ended too.
#[utoipa::path(delete, path = "/people/{id}/passkeys/{passkey}", tag = "people",
    params(("id" = String, Path), ("passkey" = String, Path)), responses((status = 204)))]
async fn remove_passkey(Sure(caller): Sure, State(web): State<Web>, At((id, passkey)): At<(String, String)>) -> ApiResult<StatusCode> {
    administrator(&caller)?;
    if !web.house().store().remove_passkey(&id, &passkey).await? {
        return Err(ApiError::NotFound("passkey of this person with this id"));
    }
    tell(&web, &caller, &id, "passkey_removed", None).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// An authenticator app (TOTP), as the second step after a password.
#[derive(Serialize, ToSchema)]
struct AuthenticatorView {
    /// Since when its code is asked for; `null` when none is.
    since: Option<Time>,
    /// How many recovery codes are left.
    recovery_codes: i64,
}

/// Tells whether a code is asked for after the password of a person.
#[utoipa::path(get, path = "/people/{id}/totp", tag = "people", params(("id" = String, Path)),
    responses((status = 200, body = AuthenticatorView)))]
async fn authenticator(caller: Caller, State(web): State<Web>, At(id): At<String>) -> ApiResult<Json<AuthenticatorView>> {
    administrator(&caller)?;
    roles::find(&web, &id).await?;
    let factor = web.house().store().second_factor(&id).await?;
    Ok(Json(AuthenticatorView {
        since: factor.as_ref().map(|factor| factor.since),
        recovery_codes: factor.map_or(0, |factor| factor.recovery_codes),
    }))
}

/// Asks for no code after the password of a person any more, such as when their phone is lost. Their recovery codes stop working.
#[utoipa::path(delete, path = "/people/{id}/totp", tag = "people", params(("id" = String, Path)), responses((status = 204)))]
async fn remove_authenticator(Sure(caller): Sure, State(web): State<Web>, At(id): At<String>) -> ApiResult<StatusCode> {
    administrator(&caller)?;
    if !web.house().store().remove_second_factor(&id).await? {
        return Err(ApiError::NotFound("authenticator app of a person with this id"));
    }
    tell(&web, &caller, &id, "second_factor_removed", None).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A browser in which a person is signed in.
#[derive(Serialize, ToSchema)]
struct SessionView {
    /// Identifier. It opens nothing.
    id: String,
    /// The browser as it named itself, in a few words; `null` when it did not.
    browser: Option<String>,
    /// When they signed in; `null` for sessions that are older than this list.
    created: Option<Time>,
    /// When it was last used, to the minute.
    last_used: Option<Time>,
    /// When it ends unless it is used.
    expires: Time,
}

impl From<SessionRow> for SessionView {
    fn from(session: SessionRow) -> Self {
        let SessionRow { id, browser, began, seen, expires } = session;
        Self { id, browser: browser.filter(|browser| !browser.is_empty()), created: began, last_used: seen, expires }
    }
}

/// Lists the browsers in which a person is signed in, the one used last first.
#[utoipa::path(get, path = "/people/{id}/sessions", tag = "people", params(("id" = String, Path)),
    responses((status = 200, body = Items<SessionView>)))]
async fn sessions(caller: Caller, State(web): State<Web>, At(id): At<String>) -> ApiResult<Json<Items<SessionView>>> {
    administrator(&caller)?;
    roles::find(&web, &id).await?;
    let sessions = web.house().store().sessions_of(&id, web.house().now().utc).await?;
    Ok(Json(Items::all(sessions.into_iter().map(Into::into).collect())))
}

/// Signs a person out in one browser.
#[utoipa::path(delete, path = "/people/{id}/sessions/{session}", tag = "people",
    params(("id" = String, Path), ("session" = String, Path)), responses((status = 204)))]
async fn end_session(Sure(caller): Sure, State(web): State<Web>, At((id, session)): At<(String, String)>) -> ApiResult<StatusCode> {
    administrator(&caller)?;
    if !web.house().store().end_session(&id, &session).await? {
        return Err(ApiError::NotFound("session of this person with this id"));
    }
    tell(&web, &caller, &id, "session_ended", None).await?;
    Ok(StatusCode::NO_CONTENT)
}
