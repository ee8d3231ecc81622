//! The pages of the directory: `authorize`, the form, and the way back to the app.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State as Extract};
use axum::http::{HeaderMap, HeaderName, StatusCode, Uri, header};
use axum::response::{AppendHeaders, Html, IntoResponse, Response};

use super::book::{Asked, Question};
use super::faults::On;
use super::world::World;
use super::{page, passage};

/// What was sent in a query or a form.
pub(crate) type Fields = BTreeMap<String, String>;

/// The cookie that a form must bring along.
const CSRF: &str = "x-ms-cpim-csrf";
/// The cookie that names the sign-in.
const TRANS: &str = "x-ms-cpim-trans";

pub(crate) fn fields(encoded: &[u8]) -> Fields {
    form_urlencoded::parse(encoded).into_owned().collect()
}

/// `GET /<tenant>/oauth2/v2.0/authorize`
pub(crate) async fn authorize(
    Extract(world): Extract<Arc<World>>,
    Path(tenant): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let log = world.log("GET", &format!("/{tenant}/oauth2/v2.0/authorize"));
    let plan = world.plan(On::Login, false);
    passage::pass(world, plan, log, move |world| match ask(world, &tenant, &fields(query.unwrap_or_default().as_bytes())) {
        Ok(question) => shown(world, &question, host(&headers), None),
        Err(problem) => (StatusCode::BAD_REQUEST, Html(page::problem(&problem))).into_response(),
    })
    .await
}

/// The form of the page: a password, or Cancel.
pub(crate) async fn answer(
    Extract(world): Extract<Arc<World>>,
    Path((tenant, policy)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let log = world.log("POST", &format!("/{tenant}/{policy}/SelfAsserted"));
    let plan = world.plan(On::Login, false);
    passage::pass(world, plan, log, move |world| {
        answered(world, &headers, &fields(&body)).unwrap_or_else(|(status, problem)| {
            world.count(|counters| counters.malformed += 1);
            (status, Html(page::problem(problem))).into_response()
        })
    })
    .await
}

/// Opens a page as `authorize` does, and signs in as a person does who types an e-mail address and a password.
/// Gives the address that the browser is then sent to.
pub(crate) fn allow(world: &World, authorize_url: &str, email: &str, password: &str) -> Result<String, String> {
    let path = authorize_url.split_once("/oauth2/").map_or("", |(front, _)| front);
    let tenant = path.rsplit('/').next().unwrap_or_default();
    let query = authorize_url.split_once('?').map_or("", |(_, query)| query);
    let question = ask(world, tenant, &fields(query.as_bytes()))?;
    sign_in(world, &question.id, email, password).ok_or_else(|| "the password is wrong".to_owned())
}

/// Checks the parameters of `authorize` and opens a page.
fn ask(world: &World, tenant: &str, fields: &Fields) -> Result<Question, String> {
    let config = &world.config;
    let field = |name: &str| fields.get(name).map(String::as_str).filter(|value| !value.is_empty());
    if tenant != config.tenant {
        return Err("AADB2C90002: no such tenant".to_owned());
    }
    let expected =
        [("response_type", "code"), ("client_id", &config.client_id), ("redirect_uri", &config.redirect_uri), ("p", &config.policy)];
    for (name, value) in expected {
        if field(name) != Some(value) {
            return Err(format!("AADB2C90006: {name} is missing or wrong"));
        }
    }
    let mut scopes = field("scope").unwrap_or_default().split(' ').collect::<Vec<_>>();
    let mut wanted = config.scope.split(' ').collect::<Vec<_>>();
    scopes.sort_unstable();
    wanted.sort_unstable();
    if scopes != wanted {
        return Err("AADB2C90117: scope is missing or wrong".to_owned());
    }
    if field("prompt").is_some_and(|prompt| prompt != "login") {
        return Err("prompt is not supported".to_owned());
    }
    let challenge = match (field("code_challenge"), field("code_challenge_method")) {
        (None, None) => None,
        (Some(challenge), Some("S256")) if challenge.len() == 43 => Some(challenge.to_owned()),
        (Some(_) | None, _) => return Err("AADB2C90183: code_challenge is not one of S256".to_owned()),
    };
    let asked = Asked { redirect_uri: config.redirect_uri.clone(), state: field("state").map(str::to_owned), challenge };
    Ok(world.edit(|state, now| state.book.ask(asked, now, &mut state.dice)))
}

fn answered(world: &World, headers: &HeaderMap, fields: &Fields) -> Result<Response, (StatusCode, &'static str)> {
    let field = |name: &str| fields.get(name).map_or("", String::as_str);
    for name in [header::ORIGIN, header::REFERER] {
        let from: Option<Uri> = headers.get(&name).and_then(|value| value.to_str().ok()).and_then(|value| value.parse().ok());
        let from = from.as_ref().and_then(Uri::authority).map(axum::http::uri::Authority::as_str);
        if headers.contains_key(&name) && from != Some(authority(headers)) {
            return Err((StatusCode::FORBIDDEN, "AADB2C90289: the form was sent from another site"));
        }
    }
    let (csrf, trans) = (cookie(headers, CSRF), cookie(headers, TRANS));
    let question = world.look(|state, now| state.book.question(field("tx"), now).cloned());
    let question = question.ok_or((StatusCode::BAD_REQUEST, "AADB2C90157: this page is too old, or was answered already"))?;
    if csrf.as_deref() != Some(&question.csrf) || trans.as_deref() != Some(&question.id) || field("csrf_token") != question.csrf {
        return Err((StatusCode::BAD_REQUEST, "AADB2C90035: cookies are missing; allow them and begin again"));
    }
    if field("answer") == "cancel" {
        world.edit(|state, _| state.book.close(&question.id));
        let told =
            [("error", "access_denied"), ("error_description", "AADB2C90091: The user has cancelled entering self-asserted information.")];
        return Ok(sent_to(&back(&question, &told)));
    }
    Ok(match sign_in(world, &question.id, field("signInName"), field("password")) {
        Some(to) => sent_to(&to),
        None => shown(world, &question, host(headers), Some("Your password is incorrect.")),
    })
}

/// Where the browser goes when the password is right.
fn sign_in(world: &World, question: &str, email: &str, password: &str) -> Option<String> {
    let mut people = world.config.people.iter();
    let person = people.find(|person| person.email.eq_ignore_ascii_case(email.trim()) && person.password == password)?;
    let (question, code) = world.edit(|state, now| state.book.answer(question, &person.oid, now, &mut state.dice))?;
    Some(back(&question, &[("code", &code)]))
}

fn back(question: &Question, told: &[(&str, &str)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    if let Some(state) = &question.state {
        query.append_pair("state", state);
    }
    format!("{}?{}", question.redirect_uri, query.extend_pairs(told).finish())
}

fn sent_to(to: &str) -> Response {
    (StatusCode::FOUND, [(header::LOCATION, to)]).into_response()
}

/// The page with its cookies, which a browser keeps only when it reaches the directory by its own name.
fn shown(world: &World, question: &Question, host: &str, complaint: Option<&str>) -> Response {
    let cookie = |name: &str, value: &str| -> (HeaderName, String) {
        (header::SET_COOKIE, format!("{name}={value}; domain={host}; path=/; SameSite=None; secure; HttpOnly"))
    };
    let cookies = AppendHeaders([cookie(CSRF, &question.csrf), cookie(TRANS, &question.id)]);
    let action = format!("/{}/{}/SelfAsserted?p={}", world.config.tenant, world.config.policy, world.config.policy);
    let page = page::sign_in(&action, question, complaint);
    (cookies, [(header::CACHE_CONTROL, "no-store")], Html(page)).into_response()
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(known, _)| *known == name).map(|(_, value)| value.to_owned())
}

fn authority(headers: &HeaderMap) -> &str {
    headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default()
}

/// The name by which the directory was reached, without its port.
fn host(headers: &HeaderMap) -> &str {
    let authority = authority(headers);
    authority.rsplit_once(':').map_or(authority, |(host, _)| host)
}
