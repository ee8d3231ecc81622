//! Webhooks: the list, and a new one.

use super::{
    person::SecretPage,
    scene::{Scene, TimeView},
    shell::{Oops, Section, Shell, html},
    texts::{Texts, state::Face},
    visitor::Visitor,
    webhook_form::{Fields, Filled, WebhookFields, explain},
};
use crate::{ApiError, Web, webhooks::desk};
use askama::Template;
use axum::{
    Form, Router,
    extract::{Query, State},
    http::StatusCode,
    response::Response,
    routing::get,
};
use doorward_store::{Webhook, WebhookStanding};
use doorward_wire::webhook::WebhookState;
use serde::Deserialize;

pub(super) fn router() -> Router<Web> {
    Router::new().route("/webhooks", get(list)).route("/webhooks/new", get(ask).post(add))
}

#[derive(Template)]
#[template(path = "webhooks.html")]
struct WebhooksPage {
    shell: Shell,
    t: &'static Texts,
    lines: Vec<WebhookLine>,
}

/// A webhook in the list.
struct WebhookLine {
    id: String,
    name: String,
    url: String,
    face: Face,
    /// When a message was last taken.
    delivered: Option<TimeView>,
}

/// How a webhook stands, in a word.
pub(super) fn state(webhook: &Webhook, standing: &WebhookStanding) -> WebhookState {
    if webhook.disabled.is_some() { WebhookState::Disabled } else { standing.state() }
}

#[derive(Deserialize)]
struct Said {
    done: Option<String>,
}

async fn list(State(web): State<Web>, visitor: Visitor, Query(said): Query<Said>) -> Result<Response, Oops> {
    let scene = Scene::load(&web, &visitor).await;
    let store = web.house().store();
    let mut standings = store.webhook_standings().await?;
    let line = |webhook: Webhook| {
        let standing = standings.remove(&webhook.id).unwrap_or_default();
        WebhookLine {
            face: scene.t.webhook_state(state(&webhook, &standing)),
            delivered: standing.delivered.map(|time| scene.time(time, None)),
            id: webhook.id.to_string(),
            name: webhook.name,
            url: webhook.url,
        }
    };
    let lines = store.webhooks().await?.into_iter().map(line).collect();
    let shell = Shell::new(&scene, scene.t.webhooks, Section::Settings).done(said.done.as_deref());
    Ok(html(&WebhooksPage { shell, t: scene.t, lines }))
}

#[derive(Template)]
#[template(path = "webhook_new.html")]
struct NewPage {
    shell: Shell,
    t: &'static Texts,
    csrf: String,
    fields: WebhookFields,
}

async fn ask(State(web): State<Web>, visitor: Visitor) -> Response {
    let scene = Scene::load(&web, &visitor).await;
    new_page(&scene, WebhookFields::new(&scene, Filled::default(), None))
}

fn new_page(scene: &Scene, fields: WebhookFields) -> Response {
    let shell = Shell::new(scene, scene.t.add_webhook, Section::Settings);
    html(&NewPage { shell, t: scene.t, csrf: scene.csrf.clone(), fields })
}

async fn add(State(web): State<Web>, visitor: Visitor, Form(form): Form<Fields>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(form.get("csrf").map_or("", String::as_str))?;
    let filled = Filled::read(&form);
    let added = desk::add(&web, &visitor.caller.actor, filled.wish()).await;
    let scene = Scene::load(&web, &visitor).await;
    match added {
        Ok((webhook, secret)) => {
            let text = scene.t.webhook_added_text.to_owned();
            Ok(html(&secret_page(&scene, &webhook, secret.reveal(), text)))
        }
        Err(error @ (ApiError::Unprocessable(_) | ApiError::Conflict(_))) => {
            let mut page = new_page(&scene, WebhookFields::new(&scene, filled, Some(explain(&error))));
            *page.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
            Ok(page)
        }
        Err(error) => Err(error.into()),
    }
}

/// A secret, in the answer to the form that made it.
pub(super) fn secret_page(scene: &Scene, webhook: &Webhook, secret: &str, text: String) -> SecretPage {
    SecretPage {
        shell: Shell::new(scene, scene.t.webhook_secret, Section::Settings),
        t: scene.t,
        title: scene.t.webhook_secret_of(&webhook.name),
        text,
        label: scene.t.webhook_secret,
        secret: secret.to_owned(),
        note: scene.t.webhook_secret_once,
        back: format!("/webhooks/{}", webhook.id),
    }
}
