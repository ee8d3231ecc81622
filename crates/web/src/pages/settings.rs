//! Settings: the visitor, people, tokens, sites, and what this doorward is made of.

use super::{
    people::PersonRow,
    scene::Scene,
    shell::{Oops, Section, Shell, html},
    sites::{self, SiteLine},
    texts::{Texts, state::Tone},
    tokens::{ScopeChoice, TokenLine},
    visitor::Visitor,
};
use crate::Web;
use askama::Template;
use axum::{
    Router,
    extract::{Query, State},
    http::StatusCode,
    response::Response,
    routing::get,
};
use serde::Deserialize;

pub(super) fn router() -> Router<Web> {
    Router::new().route("/settings", get(show))
}

#[derive(Template)]
#[template(path = "settings.html")]
struct SettingsPage {
    shell: Shell,
    t: &'static Texts,
    csrf: String,
    you: String,
    you_text: String,
    has_password: bool,
    sessions: String,
    people: Vec<PersonRow>,
    tokens: Vec<TokenLine>,
    scopes: Vec<ScopeChoice>,
    door_scopes: Vec<ScopeChoice>,
    sites: Vec<SiteLine>,
    zones: Vec<String>,
    about: Vec<(&'static str, String)>,
    config: Vec<ConfigLine>,
    wrong: Wrong,
}

struct ConfigLine {
    path: String,
    value: String,
    source: &'static str,
    tone: Tone,
}

/// What was wrong with a form of this page.
#[derive(Default)]
pub(super) struct Wrong {
    pub(super) password: Option<String>,
    pub(super) token: Option<String>,
    pub(super) site: Option<String>,
    pub(super) new_site: Option<String>,
    pub(super) person: Option<String>,
}

#[derive(Deserialize)]
struct Said {
    done: Option<String>,
}

async fn show(State(web): State<Web>, visitor: Visitor, Query(said): Query<Said>) -> Result<Response, Oops> {
    page(&web, &visitor, said.done.as_deref(), Wrong::default()).await
}

pub(super) async fn page(web: &Web, visitor: &Visitor, done: Option<&str>, wrong: Wrong) -> Result<Response, Oops> {
    let scene = Scene::load(web, visitor).await;
    let (t, store) = (scene.t, web.house().store());
    let people = store.people().await?;
    let me = people.iter().find(|person| person.id == visitor.id());
    let sessions = store.count_sessions(Some(visitor.id()), scene.now).await?;
    let tokens = store.tokens().await?;
    let failed = [&wrong.password, &wrong.token, &wrong.site, &wrong.new_site, &wrong.person].into_iter().any(Option::is_some);
    let mut page = html(&SettingsPage {
        shell: Shell::new(&scene, t.settings, Section::Settings).done(done),
        t,
        csrf: scene.csrf.clone(),
        you: scene.name.clone(),
        you_text: t.signed_in_as(&scene.name),
        has_password: me.is_some_and(|person| person.has_password),
        sessions: t.sessions(sessions),
        people: people.iter().map(|person| PersonRow::new(&scene, person)).collect(),
        tokens: tokens.into_iter().map(|row| TokenLine::new(&scene, row)).collect(),
        scopes: ScopeChoice::all(&scene),
        door_scopes: ScopeChoice::doors(&scene),
        zones: sites::zones(),
        sites: SiteLine::all(&scene),
        about: about(&scene),
        config: config(&scene),
        wrong,
    });
    if failed {
        *page.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    }
    Ok(page)
}

fn about(scene: &Scene) -> Vec<(&'static str, String)> {
    let t = scene.t;
    let mut about = vec![(t.version, env!("CARGO_PKG_VERSION").to_owned()), (t.data_folder, scene.web.config().data.display().to_string())];
    if let Some(free) = scene.web.house().store().space().free {
        about.push((t.disk_free, t.bytes(free)));
    }
    about
}

/// Every setting, those that somebody set first.
fn config(scene: &Scene) -> Vec<ConfigLine> {
    let line = |(path, value, source): &(String, String, String)| {
        let (source, tone) = scene.t.setting_source(source);
        ConfigLine { path: path.clone(), value: value.clone(), source, tone }
    };
    let mut lines: Vec<ConfigLine> = scene.web.config().settings.iter().map(line).collect();
    lines.sort_by_key(|line| line.tone == "calm");
    lines
}
