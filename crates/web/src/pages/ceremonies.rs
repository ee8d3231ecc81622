//! What `assets/passkey.js` asks: challenges for passkeys, and what authenticators made of them.
//!
//! Everything here is JSON. A challenge is taken from its place before anything is checked, so that it works once.

use super::{
    entry::after,
    texts::EN,
    visitor::{Errand, Visitor},
};
use crate::{
    ApiError, ApiResult, Web,
    api::{checked_name, json::Json},
    caller::{self, fresh_secret},
    people::roles::{self, role_of},
    sign_in::{
        self, How,
        ceremony::{Challenge, LIFE},
        ceremony_cookie,
        passkey::{self, ALGORITHMS, Assertion, Kept, Refusal, Site},
        start_session, tell_of_copy,
    },
};
use axum::{
    Router,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
    routing::post,
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use doorward_store::{AddedPasskey, NewPasskey, StoredPasskey};
use doorward_wire::{attempt::Reason, event::EventKind};
use reqwest::Url;
use serde::Deserialize;
use serde_json::{Value, json};

/// The cookie of a browser that is about to sign in with a passkey.
const COOKIE: &str = "doorward-passkey";
/// Bytes that a body may have: an attestation with certificates has some thousand.
const BODY: usize = 16 * 1024;
/// Ways to an authenticator that are kept (Web Authentication, section 5.8.4).
const TRANSPORTS: [&str; 6] = ["usb", "nfc", "ble", "smart-card", "hybrid", "internal"];

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/sign-in/passkey/begin", post(begin_in))
        .route("/sign-in/passkey/finish", post(finish_in))
        .route("/settings/passkeys/begin", post(begin_new))
        .route("/settings/passkeys/finish", post(finish_new))
        .layer(DefaultBodyLimit::max(BODY))
}

/// Where a passkey works, of the page that asks: at a name under https, and at `localhost`. `None` where browsers allow none.
pub(super) fn site(web: &Web, errand: &Errand) -> Option<Site> {
    let public = web.config().public_url.as_deref().and_then(|url| Url::parse(url).ok());
    // A proxy may call doorward by another name than people do.
    let by_public = public.filter(|public| match &errand.origin {
        Some(origin) => public.origin().ascii_serialization() == *origin,
        None => Url::parse(&format!("https://{}", errand.host)).is_ok_and(|own| own.domain().is_none()) && errand.secure,
    });
    let url = by_public.or_else(|| Url::parse(&format!("https://{}", errand.host)).ok())?;
    let rp_id = url.domain()?.to_owned();
    let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
    let mut origins = vec![format!("https://{rp_id}{port}")];
    if rp_id == "localhost" {
        origins.push(format!("http://{rp_id}{port}"));
    }
    Some(Site { rp_id, origins })
}

/// An error in words for the page.
struct Said(ApiError);

impl<E: Into<ApiError>> From<E> for Said {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Said {
    fn into_response(self) -> Response {
        if let ApiError::Store(error) = &self.0 {
            tracing::error!(%error, "a passkey could not be looked at because of the store");
        }
        (self.0.status(), axum::Json(json!({ "text": EN.explain(&self.0) }))).into_response()
    }
}

fn no(text: &str) -> Said {
    Said(ApiError::Unprocessable(text.into()))
}

/// Sent so that a page of another site cannot ask without asking first: it is JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

async fn begin_in(State(web): State<Web>, errand: Errand, body: ApiResult<Json<Nothing>>) -> Result<Response, Said> {
    body?;
    if let Err(error) = web.sign_in().try_from(errand.source) {
        web.house().refused(Reason::RateLimited, errand.source);
        return Err(error.into());
    }
    let challenge = Challenge::new(site(&web, &errand).ok_or_else(|| no(EN.ways_in.passkey_where))?)?;
    let asked = json!({
        "challenge": BASE64.encode(challenge.bytes),
        "rpId": challenge.site.rp_id,
        "timeout": LIFE.as_millis(),
        "userVerification": "required",
    });
    let secret = fresh_secret()?;
    let cookie = ceremony_cookie(COOKIE, &secret, errand.secure)?;
    web.sign_in().passkeys.begin(&secret, challenge, web.house().now().mono);
    Ok(([(header::SET_COOKIE, cookie)], axum::Json(asked)).into_response())
}

/// What an authenticator made for a sign-in, each in base64url.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Signed {
    id: String,
    #[serde(rename = "clientDataJSON")]
    client_data: String,
    authenticator_data: String,
    signature: String,
    #[serde(default)]
    user_handle: Option<String>,
    /// Where to go.
    #[serde(default)]
    next: String,
}

async fn finish_in(State(web): State<Web>, errand: Errand, headers: HeaderMap, body: ApiResult<Json<Signed>>) -> Result<Response, Said> {
    let secret = caller::cookie(&headers, COOKIE).unwrap_or_default();
    let challenge = web.sign_in().passkeys.take(secret, web.house().now().mono);
    let Json(signed) = body?;
    let challenge = challenge.ok_or_else(|| no(EN.ways_in.passkey_late))?;
    let person = match known(&web, &challenge, &signed).await {
        Ok(person) => person,
        Err(refused) => {
            if matches!(refused.0, ApiError::Unprocessable(_)) {
                web.house().refused(Reason::NotAuthenticated, errand.source);
            }
            return Err(refused);
        }
    };
    sign_in::tell(&web, EventKind::PersonSignedIn, &person.id, &person.name, How::Passkey).await?;
    let session = start_session(&web, &person.id, &errand).await?;
    let mut answer = axum::Json(json!({ "to": after(&signed.next) })).into_response();
    for cookie in [session, ceremony_cookie(COOKIE, "", errand.secure)?] {
        answer.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(answer)
}

/// Whose passkey it is, if everything about it is right. Its counter is stored then.
async fn known(web: &Web, challenge: &Challenge, signed: &Signed) -> Result<doorward_store::Person, Said> {
    let (t, store) = (EN.ways_in, web.house().store());
    let id = bytes(&signed.id)?;
    let Some((passkey, handle)) = store.find_passkey(&id).await? else { return Err(no(t.passkey_unknown)) };
    let person = store.person(&passkey.key.person).await?.ok_or_else(|| no(t.passkey_unknown))?;
    let given_handle = signed.user_handle.as_deref().map(bytes).transpose()?;
    let given = Assertion {
        id: &id,
        client_data: &bytes(&signed.client_data)?,
        authenticator_data: &bytes(&signed.authenticator_data)?,
        signature: &bytes(&signed.signature)?,
        user_handle: given_handle.as_deref(),
    };
    let used = match passkey::assert(&challenge.site, &challenge.bytes, &given, &kept(&passkey, &handle)) {
        // Of two at the same time one is late, which looks the same.
        Ok(used) if store.use_passkey(&passkey, used.signatures, used.backed_up, web.house().now().utc).await? => Ok(()),
        Ok(_) => Err(Refusal::Counter),
        Err(refusal) => Err(refusal),
    };
    match used {
        Ok(()) if roles::signs_in(role_of(&person)) => Ok(person),
        Ok(()) => Err(no(t.passkey_refused)),
        Err(refusal) => {
            tracing::warn!(person = person.id, passkey = passkey.id, %refusal, "a passkey was refused");
            if refusal != Refusal::Counter {
                return Err(no(t.passkey_refused));
            }
            tell_of_copy(web, &person.id, &person.name, &passkey.id).await?;
            Err(no(t.passkey_copied))
        }
    }
}

fn kept<'a>(passkey: &'a StoredPasskey, user_handle: &'a [u8]) -> Kept<'a> {
    let key = &passkey.key;
    Kept { id: &key.credential, alg: key.alg, key: &key.key, signatures: key.signatures, backup_eligible: key.backup_eligible, user_handle }
}

async fn begin_new(
    State(web): State<Web>,
    visitor: Visitor,
    errand: Errand,
    headers: HeaderMap,
    body: ApiResult<Json<Nothing>>,
) -> Result<Response, Said> {
    body?;
    check_csrf(&visitor, &headers)?;
    let challenge = Challenge::new(site(&web, &errand).ok_or_else(|| no(EN.ways_in.passkey_where))?)?;
    let store = web.house().store();
    let handle = store.user_handle(visitor.id()).await?.ok_or(ApiError::NotAuthenticated)?;
    let there = store.passkeys(visitor.id()).await?.into_iter().filter(|passkey| passkey.key.rp_id == challenge.site.rp_id);
    let there: Vec<Value> = there.map(|passkey| described(&passkey.key)).collect();
    let asked = json!({
        "challenge": BASE64.encode(challenge.bytes),
        "rp": { "id": challenge.site.rp_id, "name": "doorward" },
        "user": { "id": BASE64.encode(handle), "name": visitor.name(), "displayName": visitor.name() },
        "pubKeyCredParams": ALGORITHMS.map(|alg| json!({ "type": "public-key", "alg": alg })),
        "timeout": LIFE.as_millis(),
        "excludeCredentials": there,
        // Kept by the authenticator, so that nobody types a name; and it asks who it is.
        "authenticatorSelection": { "residentKey": "required", "requireResidentKey": true, "userVerification": "required" },
        "attestation": "none",
    });
    web.sign_in().new_passkeys.begin(&visitor.session, challenge, web.house().now().mono);
    Ok(axum::Json(asked).into_response())
}

fn described(passkey: &NewPasskey) -> Value {
    json!({ "type": "public-key", "id": BASE64.encode(&passkey.credential), "transports": passkey.transports })
}

/// What an authenticator made when it was asked for a passkey, each in base64url.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct MadeHere {
    name: String,
    #[serde(rename = "clientDataJSON")]
    client_data: String,
    attestation_object: String,
    #[serde(default)]
    transports: Vec<String>,
}

async fn finish_new(
    State(web): State<Web>,
    visitor: Visitor,
    errand: Errand,
    headers: HeaderMap,
    body: ApiResult<Json<MadeHere>>,
) -> Result<Response, Said> {
    let challenge = web.sign_in().new_passkeys.take(&visitor.session, web.house().now().mono);
    let Json(given) = body?;
    check_csrf(&visitor, &headers)?;
    let challenge = challenge.ok_or_else(|| no(EN.ways_in.passkey_late))?;
    let named = if given.name.trim().is_empty() { errand.browser.as_str() } else { &given.name };
    let name = checked_name(if named.is_empty() { EN.ways_in.passkeys } else { named })?;
    let made = passkey::register(&challenge.site, &challenge.bytes, &bytes(&given.client_data)?, &bytes(&given.attestation_object)?);
    let made = made.map_err(|refusal| {
        tracing::warn!(person = visitor.id(), %refusal, "a new passkey was refused");
        no(EN.ways_in.passkey_refused)
    })?;
    let new = NewPasskey {
        credential: made.id,
        person: visitor.id().to_owned(),
        name,
        rp_id: challenge.site.rp_id,
        alg: made.alg,
        key: made.key,
        signatures: made.signatures,
        backup_eligible: made.backup_eligible,
        backed_up: made.backed_up,
        transports: TRANSPORTS.into_iter().filter(|way| given.transports.iter().any(|given| given == way)).map(Into::into).collect(),
    };
    match web.house().store().add_passkey(&new, web.house().now().utc).await? {
        AddedPasskey::Added(_) => {}
        AddedPasskey::Known => return Err(Said(ApiError::Conflict(EN.ways_in.passkey_known.into()))),
        AddedPasskey::TooMany => return Err(Said(ApiError::Conflict(EN.ways_in.passkey_many.into()))),
    }
    roles::tell(&web, &visitor.caller, visitor.id(), "passkey_added", None).await?;
    Ok(axum::Json(json!({ "to": "/settings?done=passkey_added#you" })).into_response())
}

fn check_csrf(visitor: &Visitor, headers: &HeaderMap) -> ApiResult<()> {
    let given = headers.get(crate::api::params::CSRF_HEADER).map(HeaderValue::to_str).and_then(Result::ok);
    visitor.caller.check_csrf(given.unwrap_or_default())
}

fn bytes(text: &str) -> Result<Vec<u8>, Said> {
    BASE64.decode(text).map_err(|_| no(EN.ways_in.passkey_refused))
}
