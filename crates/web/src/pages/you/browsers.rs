//! The browsers in which the visitor is signed in.

use super::super::{
    entry::with_cookie,
    scene::{Scene, TimeView},
    shell::Oops,
    visitor::Visitor,
};
use crate::{ApiError, ApiResult, Web, people::roles::tell, sign_in::no_cookie};
use axum::{
    Form, Router,
    extract::State,
    response::{IntoResponse, Redirect, Response},
    routing::post,
};
use serde::Deserialize;

pub(super) fn router() -> Router<Web> {
    Router::new().route("/settings/sessions/end", post(end))
}

/// A browser.
pub(in crate::pages) struct BrowserLine {
    pub(in crate::pages) id: String,
    pub(in crate::pages) icon: &'static str,
    pub(in crate::pages) name: String,
    pub(in crate::pages) note: String,
    pub(in crate::pages) seen: Option<TimeView>,
    /// The one in which this page is shown.
    pub(in crate::pages) here: bool,
    pub(in crate::pages) end_aria: String,
}

pub(super) async fn lines(scene: &Scene, visitor: &Visitor) -> ApiResult<Vec<BrowserLine>> {
    let (store, t) = (scene.web.house().store(), scene.t);
    let own = store.session(visitor.session.as_bytes(), scene.now).await?.map(|session| session.id);
    let mut sessions = store.sessions_of(visitor.id(), scene.now).await?;
    sessions.sort_by_key(|session| own.as_ref() != Some(&session.id));
    let line = |session: doorward_store::SessionRow| {
        let here = own.as_ref() == Some(&session.id);
        let name = session.browser.filter(|name| !name.is_empty()).unwrap_or_else(|| t.ways_in.browser_unknown.into());
        let phone = ["iPhone", "iPad", "Android"].iter().any(|system| name.ends_with(system));
        BrowserLine {
            icon: if phone { "phone" } else { "screen" },
            note: t.browser_note(session.began.map(|began| scene.time(began, None).short).as_deref(), !here && session.seen.is_some()),
            seen: session.seen.filter(|_| !here).map(|seen| scene.time(seen, None)),
            end_aria: t.sign_browser_out(&name),
            id: session.id,
            name,
            here,
        }
    };
    Ok(sessions.into_iter().map(line).collect())
}

#[derive(Deserialize)]
struct EndForm {
    csrf: String,
    session: String,
}

async fn end(State(web): State<Web>, visitor: Visitor, Form(form): Form<EndForm>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(&form.csrf)?;
    let store = web.house().store();
    if !store.end_session(visitor.id(), &form.session).await? {
        return Err(ApiError::NotFound("browser that is signed in here").into());
    }
    tell(&web, &visitor.caller, visitor.id(), "session_ended", None).await?;
    if store.has_session(visitor.session.as_bytes()).await? {
        return Ok(Redirect::to("/settings?done=browser_out#you").into_response());
    }
    Ok(with_cookie("/sign-in?done=signed_out", no_cookie()))
}
