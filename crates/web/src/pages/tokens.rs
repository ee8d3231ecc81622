//! Tokens of programs: made with scopes, shown once, revoked.

use super::{
    person::SecretPage,
    scene::{Scene, TimeView, name_of},
    settings::{self, Wrong},
    shell::{Oops, Section, Shell, html},
    texts::EN,
    visitor::Visitor,
};
use crate::{ApiError, ApiResult, Web};
use axum::{
    Form, Router,
    extract::State,
    response::{IntoResponse, Redirect, Response},
    routing::post,
};
use doorward_core::{record::NewEvent, scope::Scope};
use doorward_store::TokenRow;
use doorward_wire::event::EventKind;
use serde::Deserialize;
use serde_json::json;
use std::{collections::HashMap, time::Duration};

/// What a page offers; the rest is for programs that make tokens themselves.
const OFFERED: [Scope; 8] = [
    Scope::DoorsRead,
    Scope::DoorsAct(None),
    Scope::EventsRead,
    Scope::Accounts,
    Scope::People,
    Scope::Config,
    Scope::Metrics,
    Scope::Admin,
];
/// Doors that are offered one by one.
const DOORS: usize = 20;

pub(super) fn router() -> Router<Web> {
    Router::new().route("/settings/tokens", post(make)).route("/settings/tokens/revoke", post(revoke))
}

/// A token in the list.
pub(super) struct TokenLine {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) scopes: String,
    pub(super) note: String,
    pub(super) used: Option<TimeView>,
    pub(super) revoke_aria: String,
}

impl TokenLine {
    pub(super) fn new(scene: &Scene, row: TokenRow) -> Self {
        let t = scene.t;
        let ends = row.expires.map(|expires| (scene.time(expires, None).short, expires <= scene.now));
        Self {
            scopes: row.token.scopes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
            note: t.token_note(
                &scene.time(row.created, None).short,
                ends.as_ref().map(|(end, past)| (end.as_str(), *past)),
                row.last_used.is_some(),
            ),
            used: row.last_used.map(|used| scene.time(used, None)),
            revoke_aria: t.revoke_token(&row.token.name),
            id: row.token.id,
            name: row.token.name,
        }
    }
}

/// Something that a token may do.
pub(super) struct ScopeChoice {
    pub(super) value: String,
    pub(super) help: String,
}

impl ScopeChoice {
    pub(super) fn all(scene: &Scene) -> Vec<Self> {
        OFFERED.iter().map(|scope| Self { value: scope.to_string(), help: scene.t.scope(scope).into() }).collect()
    }

    /// The doors, for a token that is for some of them alone.
    pub(super) fn doors(scene: &Scene) -> Vec<Self> {
        let doors = scene.web.house().board().doors().into_iter().take(DOORS);
        doors.map(|door| Self { value: Scope::DoorsAct(Some(door.id)).to_string(), help: scene.t.scope_door(&door.name) }).collect()
    }
}

async fn make(State(web): State<Web>, visitor: Visitor, Form(form): Form<HashMap<String, String>>) -> Result<Response, Oops> {
    let text = |key: &str| form.get(key).map_or("", String::as_str);
    visitor.caller.check_csrf(text("csrf"))?;
    let scopes: Vec<Scope> = form.keys().filter_map(|key| key.parse().ok()).collect();
    let wrong = match name_of(text("name")) {
        Err(error) => Some(error.to_string()),
        Ok(_) if scopes.is_empty() => Some(EN.token_no_scope.to_owned()),
        Ok(_) => None,
    };
    if wrong.is_some() {
        return settings::page(&web, &visitor, None, Wrong { token: wrong, ..Wrong::default() }).await;
    }
    let now = web.house().now().utc;
    let expires = text("days").parse().ok().map(|days: u32| now.plus(Duration::from_hours(24 * u64::from(days))));
    let (token, secret) = web.house().store().add_token(Some(visitor.id()), text("name").trim(), &scopes, expires, now).await?;
    tell(&web, &visitor, &token.id, "added", &scopes).await?;
    let scene = Scene::load(&web, &visitor).await;
    Ok(html(&SecretPage {
        shell: Shell::new(&scene, scene.t.tokens, Section::Settings),
        t: scene.t,
        title: scene.t.token_made(&token.name),
        text: scene.t.token_made_text.into(),
        label: scene.t.token,
        secret: secret.reveal().clone(),
        note: scene.t.shown_once,
        back: "/settings#tokens".into(),
    }))
}

#[derive(Deserialize)]
struct RevokeForm {
    csrf: String,
    token: String,
}

async fn revoke(State(web): State<Web>, visitor: Visitor, Form(form): Form<RevokeForm>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(&form.csrf)?;
    if !web.house().store().remove_token(&form.token).await? {
        return Err(ApiError::NotFound("token with this id").into());
    }
    tell(&web, &visitor, &form.token, "removed", &[]).await?;
    Ok(Redirect::to("/settings?done=token_gone#tokens").into_response())
}

async fn tell(web: &Web, visitor: &Visitor, token: &str, change: &str, scopes: &[Scope]) -> ApiResult<()> {
    let scopes: Vec<String> = scopes.iter().map(ToString::to_string).collect();
    let event = NewEvent::new(web.house().now().utc, EventKind::TokenChanged).actor(&visitor.caller.actor);
    web.house().record(vec![event.data(json!({ "token": token, "change": change, "scopes": scopes }))]).await?;
    Ok(())
}
