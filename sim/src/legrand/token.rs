//! The token endpoint.

use std::sync::Arc;

use aws_lc_rs::digest;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State as Extract};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::book::{Permit, Tokens};
use super::faults::On;
use super::jwt::{self, Claims};
use super::login::{Fields, fields};
use super::passage;
use super::world::{State, World};

/// What a request wants.
enum Wish {
    Exchange { code: String, redirect_uri: Option<String>, verifier: Option<String> },
    Refresh(String),
}

/// Why a request is refused: the word of OAuth, and a sentence.
type Refusal = (&'static str, &'static str);

const MALFORMED: Refusal = ("invalid_request", "AADB2C90079: a parameter is missing or wrong");

/// `POST /<tenant>/oauth2/v2.0/token?p=<policy>`
pub(crate) async fn token(
    Extract(world): Extract<Arc<World>>,
    Path(tenant): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let log = world.log("POST", &format!("/{tenant}/oauth2/v2.0/token"));
    let policy = fields(query.unwrap_or_default().as_bytes()).remove("p");
    let right_place = tenant == world.config.tenant && policy.as_deref() == Some(&world.config.policy);
    let wish = if right_place { wish(&world, &headers, &fields(&body)) } else { Err(MALFORMED) };
    let plan = world.plan(On::Token, matches!(wish, Ok(Wish::Refresh(_))));
    passage::pass(world, plan, log, move |world| match wish.and_then(|wish| fulfil(world, &wish)) {
        Ok(answer) => uncached(StatusCode::OK, &answer),
        Err((error, description)) => {
            world.count(|counters| match error {
                "invalid_grant" => counters.token_refused += 1,
                _ => counters.malformed += 1,
            });
            uncached(StatusCode::BAD_REQUEST, &json!({ "error": error, "error_description": description }))
        }
    })
    .await
}

fn wish(world: &World, headers: &HeaderMap, fields: &Fields) -> Result<Wish, Refusal> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.starts_with("application/x-www-form-urlencoded") {
        return Err(MALFORMED);
    }
    let field = |name: &str| fields.get(name).filter(|value| !value.is_empty()).cloned();
    if field("client_id").as_ref() != Some(&world.config.client_id) {
        return Err(("invalid_client", "AADB2C90007: no such application"));
    }
    match field("grant_type").as_deref() {
        Some("authorization_code") => Ok(Wish::Exchange {
            code: field("code").ok_or(MALFORMED)?,
            redirect_uri: field("redirect_uri"),
            verifier: field("code_verifier"),
        }),
        Some("refresh_token") => Ok(Wish::Refresh(field("refresh_token").ok_or(MALFORMED)?)),
        Some(_) => Err(("unsupported_grant_type", "AADB2C90086: grant_type is another one")),
        None => Err(MALFORMED),
    }
}

fn fulfil(world: &World, wish: &Wish) -> Result<Value, Refusal> {
    world.edit(|state, now| {
        let (oid, used) = match wish {
            Wish::Exchange { code, redirect_uri, verifier } => {
                let permit = state.book.exchange(code, now);
                let permit = permit.ok_or(("invalid_grant", "AADB2C90090: the code is expired, used or none of ours"))?;
                check(&permit, redirect_uri.as_deref(), verifier.as_deref())?;
                (permit.oid, None)
            }
            Wish::Refresh(token) => {
                let oid = state.book.refreshes(token, now);
                let oid = oid.ok_or(("invalid_grant", "AADB2C90080: the refresh token is expired, used or none of ours"))?;
                state.book.used(token, world.config.rotation, now);
                (oid, Some(token.as_str()))
            }
        };
        let tokens = grant(world, state, &oid, used, now).ok_or(("invalid_grant", "AADB2C90081: the person is gone"))?;
        state.counters.token_ok += 1;
        Ok(written(world, state, &tokens, now))
    })
}

/// What a code was given for must be what it is exchanged for.
fn check(permit: &Permit, redirect_uri: Option<&str>, verifier: Option<&str>) -> Result<(), Refusal> {
    if redirect_uri != Some(&permit.redirect_uri) {
        return Err(("invalid_grant", "AADB2C90088: redirect_uri is another one"));
    }
    let proven = verifier.map(|verifier| BASE64_URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes())));
    if proven != permit.challenge {
        return Err(("invalid_grant", "AADB2C90183: code_verifier does not belong to the code_challenge"));
    }
    Ok(())
}

/// Gives a pair out for a person. `used` is the refresh token that bought it.
pub(crate) fn grant(world: &World, state: &mut State, oid: &str, used: Option<&str>, now: u64) -> Option<Tokens> {
    let config = &world.config;
    let claims = Claims {
        person: world.person(oid)?,
        client_id: &config.client_id,
        policy: &config.policy,
        issuer: &format!("https://eliotclouduamprd.b2clogin.com/{}/v2.0/", config.tenant),
        now_ms: now,
        expires_in: config.expires_in,
        sub_only: state.faults.sub_without_oid,
    };
    let access = jwt::written(&claims, &mut state.dice);
    Some(state.book.grant(oid, access, now, config.expires_in, used, &mut state.dice))
}

fn written(world: &World, state: &State, tokens: &Tokens, now: u64) -> Value {
    let mut answer = json!({
        "access_token": tokens.access_token,
        "id_token": tokens.access_token,
        "token_type": "Bearer",
        "not_before": now / 1000,
        "expires_in": tokens.expires_in,
        "expires_on": (now / 1000).saturating_add(tokens.expires_in),
        "scope": world.config.scope,
    });
    if state.faults.expires_in_as_text {
        answer["expires_in"] = json!(tokens.expires_in.to_string());
    }
    if !state.faults.no_refresh_token {
        answer["refresh_token"] = json!(tokens.refresh_token);
        answer["refresh_token_expires_in"] = json!(1_209_600);
    }
    answer
}

fn uncached(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CACHE_CONTROL, "no-store")], axum::Json(body)).into_response()
}
