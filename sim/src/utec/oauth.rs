//! `/authorize` and `/token`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{RawQuery, State as Extract};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use serde_json::{Value, json};

use super::faults::{CodeName, On, TokenAnswer};
use super::passage;
use super::tokens::Tokens;
use super::world::World;
use super::{SCOPE, page};

type Fields = BTreeMap<String, String>;

fn fields(encoded: &[u8]) -> Fields {
    form_urlencoded::parse(encoded).into_owned().collect()
}

/// Shows the question whether doorward may.
pub(crate) async fn authorize(Extract(world): Extract<Arc<World>>, RawQuery(query): RawQuery) -> Response {
    let log = world.log("GET", "/authorize", None);
    let asked = ask(&world, &fields(query.unwrap_or_default().as_bytes()));
    let response = match asked {
        Ok(question) => Html(page::question(&question)).into_response(),
        Err(problem) => (StatusCode::BAD_REQUEST, Html(page::problem(&problem))).into_response(),
    };
    world.log_status(log, response.status());
    response
}

/// A person pressed Allow or Deny.
pub(crate) async fn decide(Extract(world): Extract<Arc<World>>, body: Bytes) -> Response {
    let log = world.log("POST", "/authorize", None);
    let fields = fields(&body);
    let question = fields.get("question").map_or("", String::as_str);
    let allowed = fields.get("answer").is_some_and(|answer| answer == "allow");
    let response = if let Some(to) = redirect(&world, question, allowed) {
        (StatusCode::FOUND, [(header::LOCATION, to)]).into_response()
    } else {
        let page = page::problem("this question was answered already, or too long ago");
        (StatusCode::BAD_REQUEST, Html(page)).into_response()
    };
    world.log_status(log, response.status());
    response
}

/// Opens a question as `/authorize` does, and answers it as somebody does who presses Allow.
pub(crate) fn allow(world: &World, authorize_url: &str) -> Result<String, String> {
    let query = authorize_url.split_once('?').map_or("", |(_, query)| query);
    let question = ask(world, &fields(query.as_bytes()))?;
    redirect(world, &question, true).ok_or_else(|| "the question is gone".to_owned())
}

/// Checks the parameters of `/authorize` and opens a question.
fn ask(world: &World, fields: &Fields) -> Result<String, String> {
    let field = |name: &str| fields.get(name).map(String::as_str);
    let expected = [("response_type", "code"), ("client_id", &world.client_id), ("client_secret", &world.client_secret), ("scope", SCOPE)];
    for (name, value) in expected {
        if field(name) != Some(value) {
            return Err(format!("{name} is missing or wrong"));
        }
    }
    let redirect_uri = field("redirect_uri").unwrap_or_default();
    let absolute = redirect_uri.parse::<axum::http::Uri>();
    if !absolute.is_ok_and(|uri| uri.scheme().is_some()) {
        return Err("redirect_uri is missing or no URL".to_owned());
    }
    let state = field("state").map(str::to_owned);
    Ok(world.edit(|world, now| {
        let now = world.cloud_time(now);
        let redirect_uri = redirect_uri.to_owned();
        world.book.ask(redirect_uri, state, now, &mut world.dice)
    }))
}

/// Where the browser goes after the answer.
fn redirect(world: &World, question: &str, allowed: bool) -> Option<String> {
    world.edit(|world, now| {
        let now = world.cloud_time(now);
        let question = world.book.answered(question, now)?;
        let mut query = form_urlencoded::Serializer::new(String::new());
        if allowed {
            let uri = question.redirect_uri.clone();
            let code = world.book.code(uri, now, &mut world.dice);
            let name = match world.faults.code_name {
                CodeName::AuthorizationCode => "authorization_code",
                CodeName::Code => "code",
            };
            query.append_pair(name, &code);
        } else {
            query.append_pair("error", "access_denied");
        }
        if let Some(state) = &question.state {
            query.append_pair("state", state);
        }
        let joint = if question.redirect_uri.contains('?') { '&' } else { '?' };
        Some(format!("{}{joint}{}", question.redirect_uri, query.finish()))
    })
}

/// What a request to `/token` wants.
enum Wish {
    Exchange { code: String, redirect_uri: Option<String> },
    Refresh(String),
}

pub(crate) async fn token(Extract(world): Extract<Arc<World>>, headers: HeaderMap, body: Bytes) -> Response {
    let wish = wish(&world, &headers, &fields(&body));
    let (what, refresh) = match &wish {
        Ok(Wish::Exchange { .. }) => (Some("authorization_code".to_owned()), false),
        Ok(Wish::Refresh(_)) => (Some("refresh_token".to_owned()), true),
        Err(_) => (None, false),
    };
    let log = world.log("POST", "/token", what);
    let plan = world.plan(On::Token, refresh);
    passage::pass(world, plan, log, move |world| match wish {
        Ok(wish) => fulfil(world, wish),
        Err((status, error)) => refused(world, status, error),
    })
    .await
}

fn wish(world: &World, headers: &HeaderMap, fields: &Fields) -> Result<Wish, (StatusCode, &'static str)> {
    const MALFORMED: (StatusCode, &str) = (StatusCode::BAD_REQUEST, "invalid_request");
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.starts_with("application/x-www-form-urlencoded") {
        return Err(MALFORMED);
    }
    let field = |name: &str| fields.get(name).filter(|value| !value.is_empty());
    if field("client_id") != Some(&world.client_id) || field("client_secret") != Some(&world.client_secret) {
        return Err((StatusCode::UNAUTHORIZED, "invalid_client"));
    }
    match field("grant_type").map(String::as_str) {
        Some("authorization_code") => {
            Ok(Wish::Exchange { code: field("code").ok_or(MALFORMED)?.clone(), redirect_uri: field("redirect_uri").cloned() })
        }
        Some("refresh_token") => {
            let token = field("refresh_token").ok_or(MALFORMED)?;
            Ok(Wish::Refresh(token.clone()))
        }
        Some(_) => Err((StatusCode::BAD_REQUEST, "unsupported_grant_type")),
        None => Err(MALFORMED),
    }
}

fn fulfil(world: &World, wish: Wish) -> Response {
    let given = world.edit(|state, now| {
        let now = state.cloud_time(now);
        let tokens = match wish {
            Wish::Exchange { code, redirect_uri } => {
                state.book.exchange(&code, redirect_uri.as_deref(), now).then(|| state.book.grant(now, world.expires_in, &mut state.dice))
            }
            Wish::Refresh(token) => state.book.refresh(&token, world.rotation, now, world.expires_in, &mut state.dice),
        }?;
        state.counters.token_ok += 1;
        Some((tokens, state.faults.token_answer()))
    });
    match given {
        Some((tokens, shape)) => uncached(StatusCode::OK, written(&tokens, shape)),
        None => refused(world, StatusCode::BAD_REQUEST, "invalid_grant"),
    }
}

fn refused(world: &World, status: StatusCode, error: &str) -> Response {
    world.count(|counters| match error {
        "invalid_grant" => counters.token_refused += 1,
        "invalid_client" => counters.unauthorized += 1,
        _ => counters.malformed += 1,
    });
    uncached(status, json!({ "error": error }))
}

fn uncached(status: StatusCode, body: Value) -> Response {
    (status, [(header::CACHE_CONTROL, "no-store")], axum::Json(body)).into_response()
}

fn written(tokens: &Tokens, shape: TokenAnswer) -> Value {
    let mut fields = json!({
        "access_token": tokens.access_token,
        "refresh_token": tokens.refresh_token,
        "token_type": "Bearer",
        "expires_in": tokens.expires_in,
    });
    match shape {
        TokenAnswer::Standard => fields,
        TokenAnswer::Wrapped => {
            fields["scope"] = json!(SCOPE);
            json!({ "code": 200, "data": fields })
        }
        TokenAnswer::WithoutRefreshToken => {
            if let Value::Object(fields) = &mut fields {
                fields.remove("refresh_token");
            }
            fields
        }
        TokenAnswer::NothingUsable => json!({ "code": 200, "data": {} }),
    }
}
