//! Settings: the visitor, people, tokens, sites, and what this doorward is made of.

use super::{
    events::Choice,
    scene::Scene,
    shell::{Flash, Oops, Section, Shell, html},
    sites::{self, SiteLine},
    texts::{Texts, state::Tone},
    tokens::{ScopeChoice, TokenLine},
    visitor::Visitor,
    you,
};
use crate::{
    ApiError, Web,
    api::{
        self,
        settings::{Setting, Takes},
    },
};
use askama::Template;
use axum::{
    Form, Router,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Map, Value};

pub(super) fn router() -> Router<Web> {
    Router::new().route("/settings", get(show))
}

/// What is set for the whole house.
pub(super) fn house_router() -> Router<Web> {
    Router::new().route("/settings/config", post(change))
}

#[derive(Template)]
#[template(path = "settings.html")]
struct SettingsPage {
    shell: Shell,
    t: &'static Texts,
    csrf: String,
    you: you::Card,
    /// Whether all of it is shown: others see what is theirs.
    everything: bool,
    tokens: Vec<TokenLine>,
    scopes: Vec<ScopeChoice>,
    door_scopes: Vec<ScopeChoice>,
    sites: Vec<SiteLine>,
    zones: Vec<String>,
    about: Vec<(&'static str, String)>,
    config: Vec<ConfigLine>,
    /// What is as it comes and cannot be changed here.
    defaults: Vec<ConfigLine>,
    wrong: Wrong,
}

struct ConfigLine {
    path: String,
    value: String,
    source: &'static str,
    tone: Tone,
    /// It can be changed here.
    form: Option<SettingForm>,
}

struct SettingForm {
    aria: String,
    words: Vec<Choice>,
    least: u64,
    most: u64,
    /// It is set here, and so can be left to its default again.
    set: bool,
}

/// What was wrong with a form of this page.
#[derive(Default)]
pub(super) struct Wrong {
    pub(super) password: Option<String>,
    pub(super) token: Option<String>,
    pub(super) site: Option<String>,
    pub(super) new_site: Option<String>,
    pub(super) config: Option<String>,
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
    let you = you::Card::load(&scene, visitor).await?;
    let tokens = if scene.is_administrator() { store.tokens().await? } else { Vec::new() };
    let (config, defaults) = config(&scene, api::settings::all(web).await?.items);
    let failed = [&wrong.password, &wrong.token, &wrong.site, &wrong.new_site, &wrong.config].into_iter().any(Option::is_some);
    let mut shell = Shell::new(&scene, t.settings, Section::Settings).done(done);
    shell.flash = shell.flash.or_else(|| done.and_then(|word| t.way_in_done(word)).map(Flash::good));
    let mut page = html(&SettingsPage {
        shell,
        t,
        csrf: scene.csrf.clone(),
        you,
        everything: scene.is_administrator(),
        tokens: tokens.into_iter().map(|row| TokenLine::new(&scene, row)).collect(),
        scopes: ScopeChoice::all(&scene),
        door_scopes: ScopeChoice::doors(&scene),
        zones: sites::zones(),
        sites: SiteLine::all(&scene),
        about: about(&scene),
        config,
        defaults,
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

/// The settings that somebody set or that can be set here, and all others.
fn config(scene: &Scene, settings: Vec<Setting>) -> (Vec<ConfigLine>, Vec<ConfigLine>) {
    let line = |setting: Setting| {
        let (source, tone) = scene.t.setting_source(&setting.source);
        let form = setting.takes().map(|takes| setting_form(scene, &setting, takes));
        ConfigLine { path: setting.path, value: setting.value, source, tone, form }
    };
    let mut lines: Vec<ConfigLine> = settings.into_iter().map(line).collect();
    lines.sort_by_key(|line| (line.tone == "calm", line.form.is_none()));
    lines.into_iter().partition(|line| line.tone != "calm" || line.form.is_some())
}

fn setting_form(scene: &Scene, setting: &Setting, takes: Takes) -> SettingForm {
    let (words, least, most) = match takes {
        Takes::OneOf(words) => (words, 0, 0),
        Takes::Number { least, most } => (&[][..], least, most),
    };
    let words = words.iter().map(|word| Choice { value: (*word).into(), label: (*word).into(), on: setting.value == *word });
    SettingForm { aria: scene.t.change_setting(&setting.path), words: words.collect(), least, most, set: setting.source == "database" }
}

#[derive(Deserialize)]
struct SettingChange {
    csrf: String,
    path: String,
    #[serde(default)]
    value: String,
    /// Back to the default.
    #[serde(default)]
    reset: Option<String>,
}

async fn change(State(web): State<Web>, visitor: Visitor, Form(form): Form<SettingChange>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(&form.csrf)?;
    let value = form.value.trim();
    let value = match (&form.reset, value.parse::<u64>()) {
        (Some(_), _) => Value::Null,
        (None, Ok(number)) => Value::from(number),
        (None, Err(_)) => Value::from(value),
    };
    match api::settings::change(&web, &visitor.caller, &Map::from_iter([(form.path, value)])).await {
        Ok(()) => Ok(Redirect::to("/settings?done=saved_for_start#config").into_response()),
        Err(error @ (ApiError::Unprocessable(_) | ApiError::Conflict(_))) => {
            let error = Some(super::texts::EN.explain(&error));
            page(&web, &visitor, None, Wrong { config: error, ..Wrong::default() }).await
        }
        Err(error) => Err(error.into()),
    }
}
