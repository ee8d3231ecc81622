//! The last lines of the log.

use super::{
    scene::{Scene, TimeView},
    shell::{Oops, Section, Shell, html},
    texts::{Texts, state::Tone},
    visitor::Visitor,
};
use crate::{Web, logbook::LogLine};
use askama::Template;
use axum::{
    Form, Router,
    extract::{Query, State},
    response::{Redirect, Response},
    routing::{get, post},
};
use serde::Deserialize;

pub(super) fn router() -> Router<Web> {
    Router::new().route("/settings/logs", get(show)).route("/settings/logs/clear", post(clear))
}

#[derive(Template)]
#[template(path = "logs.html")]
struct LogsPage {
    shell: Shell,
    t: &'static Texts,
    csrf: String,
    again: &'static str,
    tabs: [Tab; 3],
    lines: Vec<Line>,
}

struct Tab {
    href: &'static str,
    label: &'static str,
    current: bool,
}

struct Line {
    tone: Tone,
    level: &'static str,
    target: String,
    text: String,
    time: TimeView,
}

#[derive(Deserialize)]
struct Wanted {
    #[serde(default)]
    level: String,
    done: Option<String>,
}

async fn show(State(web): State<Web>, visitor: Visitor, Query(wanted): Query<Wanted>) -> Response {
    let scene = Scene::load(&web, &visitor).await;
    let t = scene.t;
    let level = wanted.level.as_str();
    let shown = |line: &LogLine| match level {
        "error" => line.level == "ERROR",
        "warn" => matches!(line.level, "ERROR" | "WARN"),
        _ => true,
    };
    let tab = |href, label, word: &str| Tab { href, label, current: level == word };
    let lines = web.logbook().lines().into_iter().rev().filter(shown).map(|line| Line {
        tone: match line.level {
            "ERROR" => "bad",
            "WARN" => "warn",
            _ => "calm",
        },
        level: line.level,
        time: scene.time(line.time, None),
        target: line.target,
        text: line.text,
    });
    html(&LogsPage {
        shell: Shell::new(&scene, t.logs, Section::Settings).done(wanted.done.as_deref()),
        t,
        csrf: scene.csrf.clone(),
        again: match level {
            "error" => "?level=error",
            "warn" => "?level=warn",
            _ => "",
        },
        tabs: [
            tab("/settings/logs", t.all_levels, ""),
            tab("/settings/logs?level=warn", t.warnings, "warn"),
            tab("/settings/logs?level=error", t.errors, "error"),
        ],
        lines: lines.collect(),
    })
}

#[derive(Deserialize)]
struct Csrf {
    csrf: String,
}

async fn clear(State(web): State<Web>, visitor: Visitor, Form(form): Form<Csrf>) -> Result<Redirect, Oops> {
    visitor.caller.check_csrf(&form.csrf)?;
    web.logbook().clear();
    Ok(Redirect::to("/settings/logs?done=logs_cleared"))
}
