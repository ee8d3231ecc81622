//! Webhooks: servers of others that are told what happens.

use super::{
    Items,
    json::Json,
    params::{At, Query, Sure},
    routes::{Routes, routes},
};
use crate::{
    ApiResult, Web,
    caller::Caller,
    webhooks::desk::{self, Wish},
};
use axum::{extract::State, http::StatusCode};
use doorward_core::scope::Scope;
use doorward_store::{Delivery, Webhook, WebhookStanding};
use doorward_wire::{
    Time,
    door::DoorId,
    event::EventKind,
    webhook::{DeliveryState, DisabledWhy, WebhookId, WebhookState},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Deliveries of one answer, unless the caller says so.
const USUAL: u32 = 50;
/// Deliveries of one answer at most.
const MOST: u32 = 200;

pub(super) fn router() -> Routes {
    Routes::new()
        .routes(routes!(list, add))
        .routes(routes!(show, edit, remove))
        .routes(routes!(rotate))
        .routes(routes!(test))
        .routes(routes!(deliveries))
        .routes(routes!(retry))
}

/// A webhook, without its secret.
#[derive(Serialize, ToSchema)]
struct WebhookView {
    /// Identifier, made from its name.
    id: String,
    /// The name that people gave it.
    name: String,
    /// Where messages go.
    url: String,
    /// Only these kinds of events; empty for every kind.
    kinds: Vec<EventKind>,
    /// Only events about these doors; empty for every event.
    doors: Vec<String>,
    /// It may be on this machine or in a private network.
    allow_private: bool,
    /// Whether messages are sent.
    enabled: bool,
    /// Why none are.
    disabled: Option<DisabledWhy>,
    /// How it stands.
    state: WebhookState,
    /// Messages that wait.
    pending: i64,
    /// When a message was last taken.
    last_delivered: Option<Time>,
    /// When a message was last given up.
    last_failed: Option<Time>,
    /// Until when the secret before signs along.
    previous_secret_until: Option<Time>,
    /// When it was added.
    created: Time,
}

impl WebhookView {
    fn new(webhook: Webhook, standing: WebhookStanding, now: Time) -> Self {
        Self {
            state: if webhook.disabled.is_some() { WebhookState::Disabled } else { standing.state() },
            id: webhook.id.to_string(),
            name: webhook.name,
            url: webhook.url,
            kinds: webhook.kinds.unwrap_or_default(),
            doors: webhook.doors.iter().map(ToString::to_string).collect(),
            allow_private: webhook.allow_private,
            enabled: webhook.disabled.is_none(),
            disabled: webhook.disabled,
            pending: standing.pending,
            last_delivered: standing.delivered,
            last_failed: standing.failed,
            previous_secret_until: webhook.previous_until.filter(|until| now < *until),
            created: webhook.created,
        }
    }

    async fn of(web: &Web, webhook: Webhook) -> ApiResult<Self> {
        let standing = web.house().store().webhook_standings().await?.remove(&webhook.id).unwrap_or_default();
        Ok(Self::new(webhook, standing, web.house().now().utc))
    }
}

/// Lists the webhooks.
#[utoipa::path(get, path = "/webhooks", tag = "webhooks", responses((status = 200, body = Items<WebhookView>)))]
async fn list(caller: Caller, State(web): State<Web>) -> ApiResult<Json<Items<WebhookView>>> {
    caller.need(&Scope::Admin)?;
    let (store, now) = (web.house().store(), web.house().now().utc);
    let mut standings = store.webhook_standings().await?;
    let view = |webhook: Webhook| {
        let standing = standings.remove(&webhook.id).unwrap_or_default();
        WebhookView::new(webhook, standing, now)
    };
    Ok(Json(Items::all(store.webhooks().await?.into_iter().map(view).collect())))
}

/// A new webhook. It is told what happens from now on.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewWebhook {
    /// What it is called.
    name: String,
    /// Where messages go: `https://…`; `http://` only in private networks, and with `allow_private`.
    url: String,
    /// Only these kinds of events; empty for every kind.
    #[serde(default)]
    kinds: Vec<EventKind>,
    /// Only events about these doors; empty for every event.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    doors: Vec<DoorId>,
    /// It may be on this machine or in a private network.
    #[serde(default)]
    allow_private: bool,
}

/// A webhook with its secret, which is shown this once.
#[derive(Serialize, ToSchema)]
struct MadeWebhook {
    #[serde(flatten)]
    webhook: WebhookView,
    /// What messages are signed with: `whsec_…`.
    secret: String,
}

/// Adds a webhook. Messages are signed as Standard Webhooks says.
#[utoipa::path(post, path = "/webhooks", tag = "webhooks", request_body = NewWebhook,
    responses((status = 201, body = MadeWebhook), (status = 409, description = "There are 50 already."),
        (status = 422, description = "The address may not be called, or there is no such door.")))]
async fn add(caller: Caller, State(web): State<Web>, Json(new): Json<NewWebhook>) -> ApiResult<(StatusCode, Json<MadeWebhook>)> {
    caller.need(&Scope::Admin)?;
    let wish = Wish {
        name: Some(new.name),
        url: Some(new.url),
        kinds: Some(new.kinds),
        doors: Some(new.doors),
        allow_private: Some(new.allow_private),
    };
    let (webhook, secret) = desk::add(&web, &caller.actor, wish).await?;
    let webhook = WebhookView::new(webhook, WebhookStanding::default(), web.house().now().utc);
    Ok((StatusCode::CREATED, Json(MadeWebhook { webhook, secret: secret.reveal().clone() })))
}

/// Shows a webhook.
#[utoipa::path(get, path = "/webhooks/{id}", tag = "webhooks", params(("id" = String, Path)),
    responses((status = 200, body = WebhookView)))]
async fn show(caller: Caller, State(web): State<Web>, At(id): At<WebhookId>) -> ApiResult<Json<WebhookView>> {
    caller.need(&Scope::Admin)?;
    let webhook = desk::find(&web, &id).await?;
    WebhookView::of(&web, webhook).await.map(Json)
}

/// What changes about a webhook; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct WebhookEdit {
    /// What it is called.
    #[serde(default)]
    name: Option<String>,
    /// Where messages go.
    #[serde(default)]
    url: Option<String>,
    /// Only these kinds of events, all of them; empty for every kind.
    #[serde(default)]
    kinds: Option<Vec<EventKind>>,
    /// Only events about these doors, all of them; empty for every event.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    doors: Option<Vec<DoorId>>,
    /// It may be on this machine or in a private network.
    #[serde(default)]
    allow_private: Option<bool>,
    /// Whether messages are sent. What is on its way when it is disabled is given up; enabled, it is told what happens from
    /// then on.
    #[serde(default)]
    enabled: Option<bool>,
}

/// Changes a webhook.
#[utoipa::path(patch, path = "/webhooks/{id}", tag = "webhooks", params(("id" = String, Path)), request_body = WebhookEdit,
    responses((status = 200, body = WebhookView), (status = 422, description = "The address may not be called, or there is no such door.")))]
async fn edit(
    caller: Caller,
    State(web): State<Web>,
    At(id): At<WebhookId>,
    Json(edit): Json<WebhookEdit>,
) -> ApiResult<Json<WebhookView>> {
    caller.need(&Scope::Admin)?;
    let WebhookEdit { name, url, kinds, doors, allow_private, enabled } = edit;
    let mut webhook = desk::change(&web, &caller.actor, &id, Wish { name, url, kinds, doors, allow_private }).await?;
    if let Some(on) = enabled {
        webhook = desk::enable(&web, &caller.actor, &id, on).await?;
    }
    WebhookView::of(&web, webhook).await.map(Json)
}

/// Removes a webhook and its deliveries.
#[utoipa::path(delete, path = "/webhooks/{id}", tag = "webhooks", params(("id" = String, Path)), responses((status = 204)))]
async fn remove(Sure(caller): Sure, State(web): State<Web>, At(id): At<WebhookId>) -> ApiResult<StatusCode> {
    caller.need(&Scope::Admin)?;
    desk::remove(&web, &caller.actor, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A new secret, which is shown this once.
#[derive(Serialize, ToSchema)]
struct Rotated {
    /// What messages are signed with: `whsec_…`.
    secret: String,
    /// Until when the secret before signs along.
    previous_secret_until: Time,
}

/// Makes a new secret. The one before signs along for a day, so that receivers can be changed meanwhile.
#[utoipa::path(post, path = "/webhooks/{id}/rotate", tag = "webhooks", params(("id" = String, Path)),
    responses((status = 200, body = Rotated)))]
async fn rotate(Sure(caller): Sure, State(web): State<Web>, At(id): At<WebhookId>) -> ApiResult<Json<Rotated>> {
    caller.need(&Scope::Admin)?;
    let (secret, previous_secret_until) = desk::rotate(&web, &caller.actor, &id).await?;
    Ok(Json(Rotated { secret: secret.reveal().clone(), previous_secret_until }))
}

/// What an endpoint made of a message.
#[derive(Serialize, ToSchema)]
struct Tested {
    /// Whether it took the message.
    delivered: bool,
    /// The HTTP status that came back, if one did.
    status: Option<u16>,
    /// What went wrong.
    error: Option<String>,
}

/// Sends a message of type `webhook.test` now, once, and says what the endpoint made of it.
#[utoipa::path(post, path = "/webhooks/{id}/test", tag = "webhooks", params(("id" = String, Path)), responses((status = 200, body = Tested)))]
async fn test(Sure(caller): Sure, State(web): State<Web>, At(id): At<WebhookId>) -> ApiResult<Json<Tested>> {
    caller.need(&Scope::Admin)?;
    let tried = desk::test(&web, &id).await?;
    Ok(Json(Tested { delivered: tried.error.is_none(), status: tried.status, error: tried.error }))
}

/// An event on its way to a webhook.
#[derive(Serialize, ToSchema)]
struct DeliveryView {
    /// Identifier of the message: `webhook-id`, the same at every try.
    message: String,
    /// The number of the event.
    event: i64,
    /// The kind of the event, while it is kept.
    kind: Option<EventKind>,
    /// The door of the event, while it is kept.
    door: Option<String>,
    /// How far it is.
    state: DeliveryState,
    /// Tries so far.
    attempts: u32,
    /// The HTTP status that came back last.
    status: Option<u16>,
    /// What went wrong last.
    error: Option<String>,
    /// When it was queued.
    created: Time,
    /// When it was last tried.
    tried: Option<Time>,
    /// When it is tried next.
    next: Option<Time>,
    /// When it was taken or given up.
    finished: Option<Time>,
}

impl From<Delivery> for DeliveryView {
    fn from(delivery: Delivery) -> Self {
        let Delivery { message, event, kind, door, state, attempts, next, status, error, created, tried, finished } = delivery;
        let door = door.map(|door| door.to_string());
        Self { message, event, kind, door, state, attempts, status, error, created, tried, next, finished }
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Page {
    /// Only those of events before this one.
    #[serde(default)]
    before: Option<i64>,
    /// At most so many; 50 unless said, 200 at most.
    #[serde(default)]
    limit: Option<u32>,
}

/// Lists what was sent to a webhook and what waits, the newest event first. `next` is there while more follow: it goes into
/// `before`. The newest 1000 that are finished are kept.
#[utoipa::path(get, path = "/webhooks/{id}/deliveries", tag = "webhooks", params(("id" = String, Path), Page),
    responses((status = 200, body = Items<DeliveryView>)))]
async fn deliveries(
    caller: Caller,
    State(web): State<Web>,
    At(id): At<WebhookId>,
    Query(page): Query<Page>,
) -> ApiResult<Json<Items<DeliveryView>>> {
    caller.need(&Scope::Admin)?;
    desk::find(&web, &id).await?;
    let limit = page.limit.unwrap_or(USUAL).clamp(1, MOST);
    let found = web.house().store().deliveries(&id, page.before, limit).await?;
    let next = found.last().filter(|_| found.len() == limit as usize).map(|last| last.event);
    Ok(Json(Items { items: found.into_iter().map(Into::into).collect(), next }))
}

/// Sends a message once more, now, whatever became of it.
#[utoipa::path(post, path = "/webhooks/{id}/deliveries/{message}/retry", tag = "webhooks",
    params(("id" = String, Path), ("message" = String, Path)),
    responses((status = 202, body = DeliveryView), (status = 409, description = "The webhook is disabled.")))]
async fn retry(
    Sure(caller): Sure,
    State(web): State<Web>,
    At((id, message)): At<(WebhookId, String)>,
) -> ApiResult<(StatusCode, Json<DeliveryView>)> {
    caller.need(&Scope::Admin)?;
    let delivery = desk::retry(&web, &id, &message).await?;
    Ok((StatusCode::ACCEPTED, Json(delivery.into())))
}
