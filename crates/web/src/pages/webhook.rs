//! One webhook: how it stands, what was sent, and what can be done about it.

use super::{
    accounts::ConfirmPage,
    scene::{Scene, TimeView},
    shell::{Flash, Oops, Section, Shell, html},
    texts::{
        EN, Texts,
        state::{Face, Tone},
    },
    visitor::Visitor,
    webhook_form::{Fields, Filled, WebhookFields, explain},
    webhooks::{secret_page, state},
};
use crate::{
    ApiError, Web,
    api::params::At,
    webhooks::desk::{self, Tried},
};
use askama::Template;
use axum::{
    Form, Router,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use doorward_store::{Delivery, Webhook, WebhookStanding};
use doorward_wire::{
    door::DoorId,
    event::EventKind,
    webhook::{DeliveryState, DisabledWhy, WebhookId, WebhookState},
};
use serde::Deserialize;

/// Deliveries on a page.
const SHOWN: u32 = 30;

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/webhooks/{id}", get(show))
        .route("/webhooks/{id}/settings", post(change))
        .route("/webhooks/{id}/test", post(test))
        .route("/webhooks/{id}/rotate", post(rotate))
        .route("/webhooks/{id}/enable", post(enable))
        .route("/webhooks/{id}/retry", post(retry))
        .route("/webhooks/{id}/remove", get(confirm).post(remove))
}

#[derive(Template)]
#[template(path = "webhook.html")]
struct WebhookPage {
    shell: Shell,
    t: &'static Texts,
    csrf: String,
    id: WebhookId,
    name: String,
    url: String,
    face: Face,
    enabled: bool,
    /// What is wrong, with its tone.
    trouble: Option<(Tone, &'static str)>,
    facts: Vec<(&'static str, String)>,
    delivered: Option<TimeView>,
    deliveries: Vec<DeliveryLine>,
    fields: WebhookFields,
}

/// A delivery in the list.
struct DeliveryLine {
    message: String,
    icon: &'static str,
    tone: Tone,
    text: String,
    note: String,
    /// When it is tried next.
    next: Option<TimeView>,
    time: TimeView,
    /// It can be sent again.
    retry_aria: Option<String>,
}

impl DeliveryLine {
    fn new(scene: &Scene, delivery: &Delivery, enabled: bool) -> Self {
        let t = scene.t;
        let kind = delivery.kind.map(|kind| t.event_kind(kind).0);
        let text = match (kind, &delivery.door) {
            (Some(kind), Some(door)) => format!("{kind} · {}", door_name(scene, door)),
            (Some(kind), None) => kind.to_owned(),
            (None, _) => t.event_number(delivery.event),
        };
        let (icon, tone) = t.delivery_face(delivery);
        // What is on its way needs no push.
        let waits = delivery.state == DeliveryState::Pending && delivery.error.is_some();
        let again = enabled && (waits || delivery.state == DeliveryState::Failed);
        Self {
            message: delivery.message.clone(),
            icon,
            tone,
            note: t.delivery_note(delivery),
            next: delivery.next.filter(|_| waits).map(|next| scene.time(next, None)),
            time: scene.time(delivery.tried.unwrap_or(delivery.created), None),
            retry_aria: again.then(|| t.retry_aria(&text)),
            text,
        }
    }
}

fn door_name(scene: &Scene, id: &DoorId) -> String {
    scene.web.house().board().door(id).map_or_else(|| id.to_string(), |door| door.name)
}

/// What the page shows besides what is so.
#[derive(Default)]
struct Extra {
    done: Option<String>,
    flash: Option<Flash>,
    /// What was filled in, and what is wrong with it.
    wrong: Option<(Filled, String)>,
}

#[derive(Deserialize)]
struct Said {
    done: Option<String>,
}

async fn show(State(web): State<Web>, visitor: Visitor, At(id): At<WebhookId>, Query(said): Query<Said>) -> Result<Response, Oops> {
    page(&web, &visitor, &id, Extra { done: said.done, ..Extra::default() }).await
}

async fn page(web: &Web, visitor: &Visitor, id: &WebhookId, extra: Extra) -> Result<Response, Oops> {
    let webhook = desk::find(web, id).await?;
    let scene = Scene::load(web, visitor).await;
    let (t, store) = (scene.t, web.house().store());
    let standing = store.webhook_standings().await?.remove(id).unwrap_or_default();
    let deliveries = store.deliveries(id, None, SHOWN).await?;
    let mut shell = Shell::new(&scene, &webhook.name, Section::Settings).done(extra.done.as_deref());
    shell.flash = extra.flash.or(shell.flash);
    let enabled = webhook.disabled.is_none();
    let failed = extra.wrong.is_some();
    let (filled, error) = extra.wrong.map_or_else(|| (Filled::from(&webhook), None), |(filled, error)| (filled, Some(error)));
    let state = state(&webhook, &standing);
    let mut page = html(&WebhookPage {
        shell,
        t,
        csrf: scene.csrf.clone(),
        id: id.clone(),
        face: t.webhook_state(state),
        enabled,
        trouble: trouble(t, &webhook, state),
        facts: facts(&scene, &webhook, &standing),
        delivered: standing.delivered.map(|time| scene.time(time, None)),
        deliveries: deliveries.iter().map(|delivery| DeliveryLine::new(&scene, delivery, enabled)).collect(),
        fields: WebhookFields::new(&scene, filled, error),
        name: webhook.name,
        url: webhook.url,
    });
    if failed {
        *page.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    }
    Ok(page)
}

const fn trouble(t: &'static Texts, webhook: &Webhook, state: WebhookState) -> Option<(Tone, &'static str)> {
    match (webhook.disabled, state) {
        (Some(DisabledWhy::Gone), _) => Some(("warn", t.webhook_gone)),
        (Some(DisabledWhy::Person), _) => Some(("calm", t.webhook_disabled)),
        (None, WebhookState::Failing) => Some(("bad", t.webhook_failing)),
        (None, WebhookState::Waiting | WebhookState::Working | WebhookState::Retrying | WebhookState::Disabled) => None,
    }
}

fn facts(scene: &Scene, webhook: &Webhook, standing: &WebhookStanding) -> Vec<(&'static str, String)> {
    let t = scene.t;
    let kinds = |kinds: &Vec<EventKind>| kinds.iter().map(|kind| t.event_kind(*kind).0).collect::<Vec<_>>().join(", ");
    let doors: Vec<String> = webhook.doors.iter().map(|door| door_name(scene, door)).collect();
    let mut facts = vec![
        (t.webhook_told, webhook.kinds.as_ref().map_or_else(|| t.webhook_every_event.into(), kinds)),
        (t.doors, if doors.is_empty() { t.webhook_every_door.into() } else { doors.join(", ") }),
    ];
    if webhook.allow_private {
        facts.push((t.webhook_private, t.webhook_private_allowed.into()));
    }
    if let Some(until) = webhook.previous_until.filter(|until| scene.now < *until) {
        facts.push((t.webhook_secret, t.webhook_previous_until(&scene.time(until, None).short)));
    }
    if standing.pending > 0 {
        facts.push((t.webhook_pending, standing.pending.to_string()));
    }
    facts
}

async fn change(State(web): State<Web>, visitor: Visitor, At(id): At<WebhookId>, Form(form): Form<Fields>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(form.get("csrf").map_or("", String::as_str))?;
    let filled = Filled::read(&form);
    match desk::change(&web, &visitor.caller.actor, &id, filled.wish()).await {
        Ok(_) => Ok(to(&id, "saved")),
        Err(error @ ApiError::Unprocessable(_)) => {
            let wrong = Some((filled, explain(&error)));
            page(&web, &visitor, &id, Extra { wrong, ..Extra::default() }).await
        }
        Err(error) => Err(error.into()),
    }
}

fn to(id: &WebhookId, done: &str) -> Response {
    Redirect::to(&format!("/webhooks/{id}?done={done}")).into_response()
}

#[derive(Deserialize)]
struct Csrf {
    csrf: String,
}

async fn test(State(web): State<Web>, visitor: Visitor, At(id): At<WebhookId>, Form(form): Form<Csrf>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(&form.csrf)?;
    let Tried { status, error, .. } = desk::test(&web, &id).await?;
    let said = EN.webhook_tested(status, error.as_deref());
    let flash = Some(if error.is_none() { Flash::good(said) } else { Flash::bad(said) });
    page(&web, &visitor, &id, Extra { flash, ..Extra::default() }).await
}

async fn rotate(State(web): State<Web>, visitor: Visitor, At(id): At<WebhookId>, Form(form): Form<Csrf>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(&form.csrf)?;
    let (secret, until) = desk::rotate(&web, &visitor.caller.actor, &id).await?;
    let webhook = desk::find(&web, &id).await?;
    let scene = Scene::load(&web, &visitor).await;
    let text = scene.t.webhook_rotated_text(&scene.time(until, None).short);
    Ok(html(&secret_page(&scene, &webhook, secret.reveal(), text)))
}

#[derive(Deserialize)]
struct EnableForm {
    csrf: String,
    on: bool,
}

async fn enable(State(web): State<Web>, visitor: Visitor, At(id): At<WebhookId>, Form(form): Form<EnableForm>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(&form.csrf)?;
    desk::enable(&web, &visitor.caller.actor, &id, form.on).await?;
    Ok(to(&id, if form.on { "webhook_enabled" } else { "webhook_disabled" }))
}

#[derive(Deserialize)]
struct RetryForm {
    csrf: String,
    message: String,
}

async fn retry(State(web): State<Web>, visitor: Visitor, At(id): At<WebhookId>, Form(form): Form<RetryForm>) -> Result<Response, Oops> {
    visitor.caller.check_csrf(&form.csrf)?;
    desk::retry(&web, &id, &form.message).await?;
    Ok(to(&id, "webhook_retried"))
}

async fn confirm(State(web): State<Web>, visitor: Visitor, At(id): At<WebhookId>) -> Result<Response, Oops> {
    let webhook = desk::find(&web, &id).await?;
    let scene = Scene::load(&web, &visitor).await;
    let t = scene.t;
    Ok(html(&ConfirmPage {
        shell: Shell::new(&scene, t.remove_webhook, Section::Settings),
        t,
        csrf: scene.csrf.clone(),
        action: format!("/webhooks/{id}/remove"),
        title: t.remove_webhook_title(&webhook.name),
        lines: vec![t.remove_webhook_text.into()],
        hidden: Vec::new(),
        back: format!("/webhooks/{id}"),
        label: t.remove_webhook,
    }))
}

async fn remove(State(web): State<Web>, visitor: Visitor, At(id): At<WebhookId>, Form(form): Form<Csrf>) -> Result<Redirect, Oops> {
    visitor.caller.check_csrf(&form.csrf)?;
    desk::remove(&web, &visitor.caller.actor, &id).await?;
    Ok(Redirect::to("/webhooks?done=webhook_removed"))
}
