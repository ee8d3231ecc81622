//! Settings: all of them with where they come from, and the few that can be changed here.

use super::{
    Items,
    json::Json,
    routes::{Routes, routes},
};
use crate::{ApiError, ApiResult, Web, caller::Caller};
use axum::extract::State;
use doorward_core::{record::NewEvent, scope::Scope};
use doorward_wire::event::EventKind;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// What the database may set, and what each takes. They count from the next start.
const EDITABLE: &[(&str, Takes)] = &[
    ("log.level", Takes::OneOf(&["error", "warn", "info", "debug", "trace"])),
    ("store.keep_events", Takes::Number { least: 1, most: 3650 }),
];

/// What a setting takes.
#[derive(Clone, Copy)]
pub(crate) enum Takes {
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A whole number: of days.
    Number {
        /// At least.
        least: u64,
        /// At most.
        most: u64,
    },
}

impl Takes {
    fn check(self, value: &Value) -> Result<(), String> {
        match self {
            Self::OneOf(words) if value.as_str().is_some_and(|word| words.contains(&word)) => Ok(()),
            Self::OneOf(words) => Err(format!("must be one of {}", words.join(", "))),
            Self::Number { least, most } if value.as_u64().is_some_and(|number| (least..=most).contains(&number)) => Ok(()),
            Self::Number { least, most } => Err(format!("must be a whole number from {least} to {most}")),
        }
    }
}

pub(super) fn router() -> Routes {
    Routes::new().routes(routes!(list, edit))
}

/// A setting.
#[derive(Serialize, ToSchema)]
pub(crate) struct Setting {
    /// Its path in the configuration file.
    pub(crate) path: String,
    /// Its value as text; a secret is never shown.
    pub(crate) value: String,
    /// `environment`, `file`, `database` or `default`.
    pub(crate) source: String,
    /// Whether it can be changed here.
    editable: bool,
}

impl Setting {
    /// What it takes, if it can be changed here.
    pub(crate) fn takes(&self) -> Option<Takes> {
        EDITABLE.iter().find(|(path, _)| self.editable && *path == self.path).map(|(_, takes)| *takes)
    }
}

/// Lists every setting with where it comes from.
#[utoipa::path(get, path = "/settings", tag = "settings", responses((status = 200, body = Items<Setting>)))]
async fn list(caller: Caller, State(web): State<Web>) -> ApiResult<Json<Items<Setting>>> {
    caller.need(&Scope::Config)?;
    all(&web).await.map(Json)
}

/// Changes settings of the database; `null` removes one, so that its default counts again. They count from the next start.
#[utoipa::path(patch, path = "/settings", tag = "settings", request_body(content = Object, description = "`{\"log.level\": \"debug\"}`"),
    responses((status = 200, body = Items<Setting>), (status = 409, description = "The environment or the file sets it, and says so.")))]
async fn edit(caller: Caller, State(web): State<Web>, Json(changes): Json<Map<String, Value>>) -> ApiResult<Json<Items<Setting>>> {
    caller.need(&Scope::Config)?;
    change(&web, &caller, &changes).await?;
    all(&web).await.map(Json)
}

/// Changes settings of the database, all of them or none.
pub(crate) async fn change(web: &Web, caller: &Caller, changes: &Map<String, Value>) -> ApiResult<()> {
    for (path, value) in changes {
        let known = EDITABLE.iter().find(|(editable, _)| editable == path);
        let Some((_, takes)) = known else { return Err(not_editable(web, path)) };
        if let Some(source @ ("environment" | "file")) = source(web, path) {
            return Err(ApiError::Conflict(format!("{path} is set in the {source}; change it there")));
        }
        if !value.is_null() {
            takes.check(value).map_err(|hint| ApiError::Unprocessable(format!("{path}: {hint}")))?;
        }
    }
    let store = web.house().store();
    for (path, value) in changes {
        if value.is_null() {
            store.remove_setting(path).await?;
        } else {
            store.set_setting(path, &Value::String(text(value))).await?;
        }
    }
    if !changes.is_empty() {
        let paths: Vec<&String> = changes.keys().collect();
        let event = NewEvent::new(web.house().now().utc, EventKind::SettingsChanged).actor(&caller.actor);
        web.house().record(vec![event.data(json!({ "changed": paths }))]).await?;
    }
    Ok(())
}

fn not_editable(web: &Web, path: &str) -> ApiError {
    match source(web, path) {
        Some(source @ ("environment" | "file")) => ApiError::Conflict(format!("{path} is set in the {source}; change it there")),
        Some(_) => ApiError::Conflict(format!("{path} can only be set in the file or the environment")),
        None => ApiError::Unprocessable(format!("{path}: there is no such setting")),
    }
}

fn source<'a>(web: &'a Web, path: &str) -> Option<&'a str> {
    web.config().settings.iter().find(|(known, _, _)| known == path).map(|(_, _, source)| source.as_str())
}

/// Every setting, as the next start will have it.
pub(crate) async fn all(web: &Web) -> ApiResult<Items<Setting>> {
    let editable = |path: &str, source: &str| EDITABLE.iter().any(|(own, _)| *own == path) && !matches!(source, "environment" | "file");
    let mut settings: BTreeMap<String, Setting> = BTreeMap::new();
    for (path, value, source) in &web.config().settings {
        let setting = Setting { path: path.clone(), value: value.clone(), source: source.clone(), editable: editable(path, source) };
        settings.insert(path.clone(), setting);
    }
    let stored = web.house().store().settings().await?;
    for (path, _) in EDITABLE {
        let Some(value) = stored.get(*path) else { continue };
        let entry = settings.entry((*path).to_owned());
        let setting =
            entry.or_insert_with(|| Setting { path: (*path).into(), value: String::new(), source: "default".into(), editable: true });
        if setting.editable {
            setting.value = text(value);
            setting.source = "database".into();
        }
    }
    Ok(Items::all(settings.into_values().collect()))
}

/// A value as the file would have it: the database holds texts, like the environment.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

/// The address under which people reach the pages: the public one, else the listener's.
pub(crate) fn base_url(web: &Web) -> String {
    if let Some(url) = &web.config().public_url {
        return url.trim_end_matches('/').to_owned();
    }
    let setting = |path: &str| web.config().settings.iter().find(|(known, _, _)| known == path).map(|(_, value, _)| value.as_str());
    let listen = setting("http.listen").filter(|listen| !listen.is_empty()).unwrap_or("127.0.0.1:8000");
    let listen = listen
        .strip_prefix("0.0.0.0:")
        .or_else(|| listen.strip_prefix("[::]:"))
        .map_or_else(|| listen.to_owned(), |port| format!("127.0.0.1:{port}"));
    let scheme = if matches!(setting("http.tls"), Some("files" | "own-ca")) { "https" } else { "http" };
    format!("{scheme}://{listen}")
}
