//! Notifications: how people are told, and the browsers that are.

use super::{
    Items,
    json::Json,
    params::{At, Sure},
    routes::{Routes, routes},
};
use crate::{
    ApiError, ApiResult, Web,
    caller::{self, Caller, Via},
    notify::desk::{self, Standing, Tested},
};
use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
};
use doorward_core::{Secret, scope::Scope};
use doorward_wire::{
    Time,
    notify::{NotifyChannel, NotifyKind},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub(super) fn router() -> Routes {
    Routes::new().routes(routes!(show)).routes(routes!(test)).routes(routes!(key)).routes(routes!(subscribe)).routes(routes!(unsubscribe))
}

/// How people are told, without what would let others listen.
#[derive(Serialize, ToSchema)]
struct Notifications {
    /// Every way of telling people.
    channels: Vec<ChannelView>,
    /// What people are told of.
    kinds: Vec<NotifyKind>,
    /// When they are left alone, such as `22:00-07:00`.
    quiet_hours: Option<String>,
    /// The time zone of quiet hours.
    time_zone: Option<String>,
    /// What comes through all the same.
    quiet_kinds: Vec<NotifyKind>,
}

/// One way of telling people.
#[derive(Serialize, ToSchema)]
struct ChannelView {
    channel: NotifyChannel,
    /// Whether anything is told by it.
    enabled: bool,
    /// The server, where the configuration names one.
    server: Option<String>,
    /// Browsers that are told.
    browsers: usize,
    /// Messages that wait.
    pending: usize,
    /// When a message was last tried.
    last_tried: Option<Time>,
    /// What went wrong then.
    last_error: Option<String>,
}

impl From<Standing> for ChannelView {
    fn from(standing: Standing) -> Self {
        let (last_tried, last_error) = standing.last.map_or((None, None), |last| (Some(last.time), last.error));
        Self {
            channel: standing.channel,
            enabled: standing.on,
            server: standing.place,
            browsers: standing.browsers,
            pending: standing.waiting,
            last_tried,
            last_error,
        }
    }
}

/// How people are told of what happens.
#[utoipa::path(get, path = "/notifications", tag = "notifications", responses((status = 200, body = Notifications)))]
async fn show(caller: Caller, State(web): State<Web>) -> ApiResult<Json<Notifications>> {
    caller.need(&Scope::Admin)?;
    let settings = &web.config().notify;
    Ok(Json(Notifications {
        channels: desk::standings(&web).await?.into_iter().map(ChannelView::from).collect(),
        kinds: settings.kinds.clone(),
        quiet_hours: settings.quiet.map(|quiet| quiet.to_string()),
        time_zone: settings.zone.iana_name().map(ToOwned::to_owned),
        quiet_kinds: settings.quiet_kinds.clone(),
    }))
}

/// What to test.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Test {
    /// Only this way of telling people.
    #[serde(default)]
    channel: Option<NotifyChannel>,
}

/// How a test went.
#[derive(Serialize, ToSchema)]
struct TestEnd {
    channel: NotifyChannel,
    /// Whether it was taken.
    taken: bool,
    /// Why it was not.
    error: Option<String>,
}

impl From<Tested> for TestEnd {
    fn from(tested: Tested) -> Self {
        Self { channel: tested.channel, taken: tested.error.is_none(), error: tested.error }
    }
}

/// Sends a message that says nothing, now and once, also in quiet hours.
#[utoipa::path(post, path = "/notifications/test", tag = "notifications", request_body = Test,
    responses((status = 200, body = Items<TestEnd>), (status = 409, description = "Nothing is set up to be tested.")))]
async fn test(caller: Caller, State(web): State<Web>, Json(wanted): Json<Test>) -> ApiResult<Json<Items<TestEnd>>> {
    caller.need(&Scope::Admin)?;
    let tested = desk::test(&web, wanted.channel, None).await?;
    Ok(Json(Items::all(tested.into_iter().map(TestEnd::from).collect())))
}

/// What a browser needs to subscribe.
#[derive(Serialize, ToSchema)]
struct PushKey {
    /// `applicationServerKey`: a point of P-256 in base64url.
    key: String,
}

/// The key by which push services know this doorward.
#[utoipa::path(get, path = "/push/key", tag = "notifications", responses((status = 200, body = PushKey)))]
async fn key(_: Caller, State(web): State<Web>) -> ApiResult<Json<PushKey>> {
    Ok(Json(PushKey { key: desk::key(&web).await? }))
}

/// What a browser's `PushSubscription` is as JSON.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewSubscription {
    /// Where messages go: `https://…`, on the internet.
    #[schema(value_type = String)]
    endpoint: Secret<String>,
    /// What they are encrypted for.
    keys: SubscriptionKeys,
    /// Not looked at: a subscription that has ended is removed when its push service says so.
    #[serde(default, rename = "expirationTime")]
    #[schema(value_type = Option<f64>)]
    _expiration: Option<serde_json::Value>,
}

/// The keys of a subscription, in base64url.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SubscriptionKeys {
    /// The browser's public key.
    p256dh: String,
    /// What both ends know besides.
    #[schema(value_type = String)]
    auth: Secret<String>,
}

/// A browser that is told.
#[derive(Serialize, ToSchema)]
struct Subscription {
    /// Identifier.
    id: String,
}

/// Turns notifications on in the browser that asks. They belong to its session, and end with it.
#[utoipa::path(post, path = "/push/subscriptions", tag = "notifications", request_body = NewSubscription,
    responses((status = 201, body = Subscription), (status = 403, description = "Only a signed-in browser is told."),
        (status = 409, description = "There are 20 of this person already."), (status = 422, description = "The address may not be called.")))]
async fn subscribe(
    caller: Caller,
    State(web): State<Web>,
    headers: HeaderMap,
    Json(new): Json<NewSubscription>,
) -> ApiResult<(StatusCode, Json<Subscription>)> {
    let session = session(&caller, &headers)?;
    let SubscriptionKeys { p256dh, auth } = &new.keys;
    let id = desk::subscribe(&web, &caller.actor.id, session, new.endpoint.reveal(), p256dh, auth.reveal()).await?;
    Ok((StatusCode::CREATED, Json(Subscription { id })))
}

/// Turns notifications off in a browser of the person who asks.
#[utoipa::path(delete, path = "/push/subscriptions/{id}", tag = "notifications", params(("id" = String, Path, description = "Identifier.")),
    responses((status = 204), (status = 404, description = "There is no such subscription of this person.")))]
async fn unsubscribe(Sure(caller): Sure, State(web): State<Web>, headers: HeaderMap, At(id): At<String>) -> ApiResult<StatusCode> {
    session(&caller, &headers)?;
    desk::unsubscribe(&web, &caller.actor.id, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The secret of the caller's session.
fn session<'a>(caller: &Caller, headers: &'a HeaderMap) -> ApiResult<&'a str> {
    let session = caller::cookie(headers, caller::COOKIE).filter(|_| matches!(caller.via, Via::Session { .. }));
    session.ok_or_else(|| {
        ApiError::Forbidden("only a browser in which somebody is signed in is told; open the page Notifications there".into())
    })
}
