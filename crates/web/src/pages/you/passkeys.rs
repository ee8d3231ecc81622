//! The visitor's passkeys. They are added by the script: see `ceremonies`.

use super::super::{
    scene::{Scene, TimeView},
    shell::{Oops, Section, Shell, html},
    texts::{EN, Texts},
    visitor::{Visitor, encode},
};
use super::Csrf;
use crate::{ApiError, ApiResult, Web, api::checked_name, people::roles::tell};
use askama::Template;
use axum::{
    Form, Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use doorward_store::StoredPasskey;
use serde::Deserialize;

pub(super) fn router() -> Router<Web> {
    Router::new().route("/settings/passkeys/{id}", get(show).post(rename)).route("/settings/passkeys/{id}/remove", post(remove))
}

/// A passkey.
pub(in crate::pages) struct PasskeyLine {
    pub(in crate::pages) href: String,
    pub(in crate::pages) name: String,
    pub(in crate::pages) note: String,
    pub(in crate::pages) used: Option<TimeView>,
}

pub(super) async fn lines(scene: &Scene, visitor: &Visitor) -> ApiResult<Vec<PasskeyLine>> {
    let line = |passkey: StoredPasskey| PasskeyLine {
        href: href(&passkey.id),
        note: scene.t.passkey_note(&scene.time(passkey.created, None).short, passkey.used.is_some()),
        used: passkey.used.map(|used| scene.time(used, None)),
        name: passkey.key.name,
    };
    Ok(scene.web.house().store().passkeys(visitor.id()).await?.into_iter().map(line).collect())
}

fn href(id: &str) -> String {
    format!("/settings/passkeys/{}", encode(id))
}

#[derive(Template)]
#[template(path = "passkey.html")]
struct PasskeyPage {
    shell: Shell,
    t: &'static Texts,
    csrf: String,
    href: String,
    name: String,
    facts: Vec<(&'static str, String)>,
    /// The ways in that are left without it.
    left: Option<&'static str>,
    error: Option<String>,
}

async fn show(State(web): State<Web>, visitor: Visitor, Path(id): Path<String>) -> Result<Response, Oops> {
    page(&web, &visitor, &id, None).await
}

async fn page(web: &Web, visitor: &Visitor, id: &str, error: Option<String>) -> Result<Response, Oops> {
    let (passkey, left) = without(web, visitor, id).await?;
    let scene = Scene::load(web, visitor).await;
    let t = scene.t.ways_in;
    let used = passkey.used.map_or_else(|| scene.t.never.to_owned(), |used| scene.time(used, None).short);
    let mut facts = vec![
        (t.passkey_place, passkey.key.rp_id),
        (t.passkey_added_at, scene.time(passkey.created, None).short),
        (t.passkey_used_at, used),
    ];
    if passkey.key.backup_eligible {
        facts.push((t.passkey_copies, (if passkey.key.backed_up { t.passkey_synced } else { t.passkey_not_synced }).into()));
    }
    let mut page = html(&PasskeyPage {
        shell: Shell::new(&scene, passkey.key.name.clone(), Section::Settings),
        t: scene.t,
        csrf: scene.csrf.clone(),
        href: href(id),
        name: passkey.key.name,
        facts,
        left,
        error: error.clone(),
    });
    if error.is_some() {
        *page.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    }
    Ok(page)
}

#[derive(Deserialize)]
struct RenameForm {
    csrf: String,
    name: String,
}

async fn rename(State(web): State<Web>, visitor: Visitor, Path(id): Path<String>, Form(form): Form<RenameForm>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(&form.csrf)?;
    let Ok(name) = checked_name(&form.name) else { return page(&web, &visitor, &id, Some(EN.name_wrong.into())).await };
    if !web.house().store().rename_passkey(visitor.id(), &id, &name).await? {
        return Err(ApiError::NotFound("passkey with this id").into());
    }
    tell(&web, &visitor.caller, visitor.id(), "passkey_renamed", None).await?;
    Ok(Redirect::to("/settings?done=passkey_renamed#you").into_response())
}

/// A passkey of the visitor, and what is left to them without it; `None` when that is nothing.
async fn without(web: &Web, visitor: &Visitor, id: &str) -> ApiResult<(StoredPasskey, Option<&'static str>)> {
    let (store, t) = (web.house().store(), EN.ways_in);
    let mut others = store.passkeys(visitor.id()).await?;
    let at = others.iter().position(|passkey| passkey.id == id).ok_or(ApiError::NotFound("passkey with this id"))?;
    let passkey = others.remove(at);
    let has_password = store.person(visitor.id()).await?.is_some_and(|person| person.has_password);
    let left = match (others.is_empty(), has_password) {
        (false, true) => Some(t.passkey_left_both),
        (false, false) => Some(t.passkey_left_others),
        (true, true) => Some(t.passkey_left_password),
        (true, false) => None,
    };
    Ok((passkey, left))
}

async fn remove(State(web): State<Web>, visitor: Visitor, Path(id): Path<String>, Form(form): Form<Csrf>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(&form.csrf)?;
    let (passkey, left) = without(&web, &visitor, &id).await?;
    if left.is_none() {
        return Err(ApiError::Conflict(EN.ways_in.passkey_last.into()).into());
    }
    web.house().store().remove_passkey(visitor.id(), &passkey.id).await?;
    tell(&web, &visitor.caller, visitor.id(), "passkey_removed", None).await?;
    Ok(Redirect::to("/settings?done=passkey_removed#you").into_response())
}
