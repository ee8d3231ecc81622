//! Coming in and going out: password, with a code where one is asked for ([`code`]), one-time link, sign-out. Passkeys come in
//! by the script: see `ceremonies`.

mod code;

pub(super) use code::tried;

use super::{
    ceremonies,
    shell::{Oops, Shell, html},
    texts::{EN, Texts},
    visitor::{Errand, Visitor, local},
};
use crate::{
    ApiError, ApiResult, Web,
    sign_in::{self, How, ceremony::HalfWay, no_cookie, start_session},
};
use askama::Template;
use axum::{
    Form, Router,
    extract::{Path, Query, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use doorward_core::Secret;
use doorward_wire::{attempt::Reason, event::EventKind};
use serde::Deserialize;

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/sign-in", get(ask).post(sign_in))
        .route("/sign-out", post(sign_out))
        .route("/link/{secret}", get(link).post(use_link))
        .merge(code::router())
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct Mat {
    shell: Shell,
    t: &'static Texts,
    title: &'static str,
    text: &'static str,
    error: Option<String>,
    /// The connection can be read by others, so nothing is asked here.
    plain: bool,
    asks: Asks,
    /// Browsers take passkeys here.
    passkeys: bool,
    name: String,
    next: String,
    host: String,
}

/// What somebody is asked for.
enum Asks {
    Password,
    /// The code of an authenticator app.
    Code,
    /// A new password, with the secret of the link that is used.
    Link(String),
    Nothing,
}

impl Mat {
    fn new(errand: &Errand, web: &Web) -> Self {
        Self {
            shell: Shell::bare(EN.sign_in),
            t: &EN,
            title: EN.sign_in,
            text: "",
            error: None,
            plain: !allowed(errand, web),
            asks: Asks::Password,
            passkeys: ceremonies::site(web, errand).is_some(),
            name: String::new(),
            next: String::new(),
            host: bare_host(&errand.host).to_owned(),
        }
    }

    fn refuse(self, status: StatusCode) -> Response {
        let mut response = html(&self);
        *response.status_mut() = status;
        response
    }
}

/// A password travels only where nobody on the way can read it, unless the owner says otherwise.
fn allowed(errand: &Errand, web: &Web) -> bool {
    errand.sealed || web.config().allow_plain
}

fn bare_host(host: &str) -> &str {
    host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit())).map_or(host, |(name, _)| name)
}

#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    next: String,
    done: Option<String>,
}

async fn ask(State(web): State<Web>, errand: Errand, visitor: Option<Visitor>, Query(asked): Query<Asked>) -> Response {
    if visitor.is_some() {
        return Redirect::to(after(&asked.next)).into_response();
    }
    let mut mat = Mat::new(&errand, &web);
    mat.shell = mat.shell.done(asked.done.as_deref());
    if local(&asked.next) {
        mat.text = EN.sign_in_first;
        mat.next = asked.next;
    }
    html(&mat)
}

/// Where somebody goes who has signed in.
pub(super) fn after(next: &str) -> &str {
    if local(next) && !next.starts_with("/sign-in") { next } else { "/doors" }
}

#[derive(Deserialize)]
struct SignInForm {
    name: String,
    password: Secret<String>,
    #[serde(default)]
    next: String,
}

async fn sign_in(State(web): State<Web>, errand: Errand, Form(form): Form<SignInForm>) -> Response {
    let mut mat = Mat::new(&errand, &web);
    if mat.plain {
        return mat.refuse(StatusCode::FORBIDDEN);
    }
    let error = match check(&web, &errand, &form).await {
        Ok(Checked::In(cookie)) => return with_cookie(after(&form.next), cookie),
        Ok(Checked::HalfWay(cookie)) => return with_cookie(code::PATH, cookie),
        Ok(Checked::Wrong) => ApiError::Unprocessable(EN.sign_in_wrong.into()),
        Err(error) => error,
    };
    if let ApiError::RateLimited(_) = error {
        web.house().refused(Reason::RateLimited, errand.source);
    }
    mat.error = Some(EN.explain(&error));
    mat.name = form.name;
    mat.next = form.next;
    mat.refuse(error.status())
}

/// What came of a name and a password.
enum Checked {
    /// The cookie of a new session.
    In(HeaderValue),
    /// They are right, and a code is asked for: the cookie by which the browser is known until then.
    HalfWay(HeaderValue),
    Wrong,
}

async fn check(web: &Web, errand: &Errand, form: &SignInForm) -> ApiResult<Checked> {
    web.sign_in().try_from(errand.source)?;
    web.sign_in().try_for(&form.name)?;
    let store = web.house().store();
    let wanted = form.name.trim().to_lowercase();
    let mut named = store.people().await?.into_iter().filter(|person| person.name.to_lowercase() == wanted);
    // A name that two people have is nobody’s: a password must not open for the other.
    let person = named.next().filter(|_| named.next().is_none());
    // Asked for in any case, so that an unknown name takes the same time.
    let hash = store.password_hash(person.as_ref().map_or("", |person| &person.id)).await?;
    let right = web.sign_in().verify(&form.password, hash.clone()).await?;
    match person {
        Some(person) if right && store.second_factor(&person.id).await?.is_some() => {
            code::begin(web, errand, HalfWay { person: person.id, hash, next: form.next.clone() }).map(Checked::HalfWay)
        }
        Some(person) if right => {
            sign_in::tell(web, EventKind::PersonSignedIn, &person.id, &person.name, How::Password).await?;
            start_session(web, &person.id, errand).await.map(Checked::In)
        }
        person => {
            web.house().refused(Reason::NotAuthenticated, errand.source);
            if let Some(person) = person {
                // Beside the answer, which must not take longer for a name that somebody has.
                let web = web.clone();
                tokio::spawn(async move { sign_in::tell(&web, EventKind::PersonRefused, &person.id, &person.name, How::Password).await });
            }
            Ok(Checked::Wrong)
        }
    }
}

pub(super) fn with_cookie(to: &str, cookie: HeaderValue) -> Response {
    ([(header::SET_COOKIE, cookie)], Redirect::to(to)).into_response()
}

#[derive(Deserialize)]
struct Csrf {
    csrf: String,
}

async fn sign_out(State(web): State<Web>, visitor: Visitor, Form(form): Form<Csrf>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(&form.csrf)?;
    web.house().store().remove_session(visitor.session.as_bytes()).await?;
    Ok(with_cookie("/sign-in?done=signed_out", no_cookie()))
}

/// Only shows a form: mail programs and chats fetch links by themselves, and must not use them up.
async fn link(State(web): State<Web>, errand: Errand, Path(secret): Path<String>) -> Response {
    html(&link_mat(&web, &errand, secret))
}

fn link_mat(web: &Web, errand: &Errand, secret: String) -> Mat {
    let shell = Shell::bare(EN.link_title);
    Mat { shell, title: EN.link_title, text: EN.link_text, asks: Asks::Link(secret), passkeys: false, ..Mat::new(errand, web) }
}

#[derive(Deserialize)]
struct LinkForm {
    #[serde(default)]
    password: Option<Secret<String>>,
}

async fn use_link(State(web): State<Web>, errand: Errand, Path(secret): Path<String>, Form(form): Form<LinkForm>) -> Response {
    let mut mat = link_mat(&web, &errand, secret.clone());
    if mat.plain {
        return mat.refuse(StatusCode::FORBIDDEN);
    }
    match enter(&web, &errand, secret, form.password).await {
        Ok(Some(cookie)) => with_cookie("/doors", cookie),
        Ok(None) => {
            web.house().refused(Reason::NotAuthenticated, errand.source);
            mat.shell.title = EN.link_used_title.into();
            (mat.title, mat.text, mat.asks) = (EN.link_used_title, EN.link_used_text, Asks::Nothing);
            mat.refuse(StatusCode::GONE)
        }
        Err(error) => {
            mat.error = Some(EN.explain(&error));
            mat.refuse(error.status())
        }
    }
}

/// Uses a link up. What can go wrong goes wrong before: a weak password must not cost the link.
async fn enter(web: &Web, errand: &Errand, secret: String, password: Option<Secret<String>>) -> ApiResult<Option<HeaderValue>> {
    web.sign_in().try_from(errand.source)?;
    let password = password.filter(|password| !password.reveal().is_empty());
    let hash = match &password {
        Some(password) => Some(web.sign_in().hash(password).await?),
        None => None,
    };
    let store = web.house().store();
    let Some(id) = store.use_link(&Secret::new(secret), web.house().now().utc).await? else { return Ok(None) };
    let Some(person) = store.person(&id).await? else { return Ok(None) };
    if let Some(hash) = hash {
        store.set_password_hash(&person.id, Some(&hash)).await?;
        // Whoever had the old password is out.
        store.remove_sessions_of(&person.id).await?;
    }
    sign_in::tell(web, EventKind::PersonSignedIn, &person.id, &person.name, How::Link).await?;
    start_session(web, &person.id, errand).await.map(Some)
}
