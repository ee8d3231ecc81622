//! The second step of a password: the code of an authenticator app, or a recovery code.

use super::{Asks, Mat, after};
use crate::{
    ApiError, ApiResult, Web,
    caller::{self, fresh_secret},
    pages::{
        shell::{Oops, html},
        texts::EN,
        visitor::Errand,
    },
    sign_in::{self, How, ceremony::HalfWay, ceremony_cookie, start_session, totp},
};
use axum::{
    Form, Router,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use doorward_core::Secret;
use doorward_store::{Person, Tried};
use doorward_wire::{attempt::Reason, event::EventKind};
use serde::Deserialize;

/// Where the code is asked for.
pub(super) const PATH: &str = "/sign-in/code";
/// The cookie of a browser whose password was right.
const COOKIE: &str = "doorward-code";

pub(super) fn router() -> Router<Web> {
    Router::new().route(PATH, get(ask).post(enter))
}

/// Remembers a right password for a while. Gives the cookie for it.
pub(super) fn begin(web: &Web, errand: &Errand, half_way: HalfWay) -> ApiResult<HeaderValue> {
    let secret = fresh_secret()?;
    web.sign_in().half_way.begin(&secret, half_way, web.house().now().mono);
    ceremony_cookie(COOKIE, &secret, errand.secure)
}

async fn ask(State(web): State<Web>, errand: Errand, headers: HeaderMap) -> Response {
    match look(&web, &headers) {
        Some(_) => html(&mat(&errand, &web)),
        None => Redirect::to("/sign-in").into_response(),
    }
}

fn look(web: &Web, headers: &HeaderMap) -> Option<HalfWay> {
    web.sign_in().half_way.look(caller::cookie(headers, COOKIE)?, web.house().now().mono)
}

fn mat(errand: &Errand, web: &Web) -> Mat {
    let mut mat = Mat::new(errand, web);
    mat.shell.title = EN.ways_in.code_title.into();
    Mat { title: EN.ways_in.code_title, text: EN.ways_in.code_text, asks: Asks::Code, passkeys: false, ..mat }
}

#[derive(Deserialize)]
struct CodeForm {
    code: Secret<String>,
}

async fn enter(State(web): State<Web>, errand: Errand, headers: HeaderMap, Form(form): Form<CodeForm>) -> Result<Response, Oops> {
    let mut mat = mat(&errand, &web);
    if mat.plain {
        return Ok(mat.refuse(StatusCode::FORBIDDEN));
    }
    let Some((half_way, person)) = known(&web, &headers).await? else {
        let again = Mat { error: Some(EN.ways_in.code_late.into()), ..Mat::new(&errand, &web) };
        return Ok(again.refuse(StatusCode::UNPROCESSABLE_ENTITY));
    };
    let error = match check(&web, &errand, &person, &form.code).await {
        Ok(how) => {
            web.sign_in().half_way.take(caller::cookie(&headers, COOKIE).unwrap_or_default(), web.house().now().mono);
            sign_in::tell(&web, EventKind::PersonSignedIn, &person.id, &person.name, how).await?;
            let session = start_session(&web, &person.id, &errand).await?;
            let mut answer = Redirect::to(after(&half_way.next)).into_response();
            for cookie in [session, ceremony_cookie(COOKIE, "", errand.secure)?] {
                answer.headers_mut().append(header::SET_COOKIE, cookie);
            }
            return Ok(answer);
        }
        Err(error) => error,
    };
    if let ApiError::RateLimited(_) = error {
        web.house().refused(Reason::RateLimited, errand.source);
    }
    mat.error = Some(EN.explain(&error));
    Ok(mat.refuse(error.status()))
}

/// Whose password was right, unless they have another one since.
async fn known(web: &Web, headers: &HeaderMap) -> ApiResult<Option<(HalfWay, Person)>> {
    let Some(half_way) = look(web, headers) else { return Ok(None) };
    let store = web.house().store();
    let Some(person) = store.person(&half_way.person).await? else { return Ok(None) };
    let same = store.password_hash(&person.id).await? == half_way.hash;
    Ok(same.then_some((half_way, person)))
}

/// Looks at a code. Tries are limited as those of passwords are, and the store blocks a factor after five wrong ones.
async fn check(web: &Web, errand: &Errand, person: &Person, code: &Secret<String>) -> ApiResult<How> {
    web.sign_in().try_from(errand.source)?;
    web.sign_in().try_for(&person.name)?;
    match tried(web, &person.id, code).await? {
        Tried::App => Ok(How::Totp),
        Tried::Recovery => Ok(How::Recovery),
        Tried::Blocked(until) => Err(ApiError::RateLimited(until.since(web.house().now().utc).as_secs() + 1)),
        Tried::Wrong => {
            web.house().refused(Reason::NotAuthenticated, errand.source);
            sign_in::tell(web, EventKind::PersonRefused, &person.id, &person.name, How::Totp).await?;
            Err(ApiError::Unprocessable(EN.ways_in.code_wrong.into()))
        }
        // Somebody turned it off meanwhile.
        Tried::None => Err(ApiError::Unprocessable(EN.ways_in.code_late.into())),
    }
}

/// Looks at a code of a person. One that is right is used up.
pub(in crate::pages) async fn tried(web: &Web, person: &str, code: &Secret<String>) -> ApiResult<Tried> {
    let now = web.house().now().utc;
    let step = |secret: &Secret<Vec<u8>>| totp::step_of(secret.reveal(), code.reveal(), now);
    Ok(web.house().store().try_second_factor(person, code, step, now).await?)
}
