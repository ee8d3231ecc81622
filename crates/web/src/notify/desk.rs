//! What API and pages do: show how channels stand, send a test, turn a browser on and off.

use super::{
    Outcome,
    lane::{Lane, Last},
    message::Message,
    push,
    sender::{self, Key},
};
use crate::{ApiError, ApiResult, Web};
use doorward_store::{AddedPush, PushSubscription, StoreError};
use doorward_wire::notify::NotifyChannel;
use futures_util::future::join_all;

/// How a channel stands.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    pub(crate) channel: NotifyChannel,
    /// Whether anything is told by it.
    pub(crate) on: bool,
    /// Where to, as far as that may be shown.
    pub(crate) place: Option<String>,
    /// Browsers, of Web Push.
    pub(crate) browsers: usize,
    /// How its last message went.
    pub(crate) last: Option<Last>,
    /// Messages that wait.
    pub(crate) waiting: usize,
}

/// How every channel stands.
pub(crate) async fn standings(web: &Web) -> ApiResult<Vec<Standing>> {
    let pushes = web.house().store().pushes(web.house().now().utc).await?;
    let mut standings = Vec::new();
    for channel in NotifyChannel::ALL.iter().copied() {
        let lanes = match channel {
            NotifyChannel::Push => pushes.iter().filter_map(|push| Lane::read(&push.lane)).collect(),
            NotifyChannel::Ntfy => lane(web, Key::Ntfy).await?,
            NotifyChannel::Mail => lane(web, Key::Mail).await?,
        };
        let settings = &web.config().notify;
        let place = match channel {
            NotifyChannel::Push => None,
            NotifyChannel::Ntfy => settings.ntfy.as_ref().map(|ntfy| ntfy.host().to_owned()),
            NotifyChannel::Mail => settings.mail.as_ref().map(|mail| mail.host.clone()),
        };
        let browsers = if channel == NotifyChannel::Push { pushes.len() } else { 0 };
        let on = place.is_some() || browsers > 0;
        let waiting = if on { lanes.iter().map(|lane| lane.waiting.len()).sum() } else { 0 };
        let last = lanes.into_iter().filter_map(|lane| lane.last).max_by_key(|last| last.time);
        standings.push(Standing { channel, on, place, browsers, last: last.filter(|_| on), waiting });
    }
    Ok(standings)
}

async fn lane(web: &Web, key: Key) -> Result<Vec<Lane>, StoreError> {
    Ok(key.text(web).await?.and_then(|text| Lane::read(&text)).into_iter().collect())
}

/// How a test went.
#[derive(Debug, Clone)]
pub(crate) struct Tested {
    pub(crate) channel: NotifyChannel,
    /// What went wrong; nothing when it was taken.
    pub(crate) error: Option<String>,
}

/// Sends a message that says nothing, now and once: by one channel, or by each that is set up; to this browser, or to every one.
pub(crate) async fn test(web: &Web, channel: Option<NotifyChannel>, browser: Option<&str>) -> ApiResult<Vec<Tested>> {
    let message = Message::test(web.house().now().utc);
    let settings = &web.config().notify;
    let mut keys = Vec::new();
    keys.extend(settings.ntfy.is_some().then_some((Key::Ntfy, None)));
    keys.extend(settings.mail.is_some().then_some((Key::Mail, None)));
    let pushes = web.house().store().pushes(web.house().now().utc).await?;
    let mine = |push: &PushSubscription| browser.is_none_or(|own| own == push.id);
    keys.extend(pushes.into_iter().filter(mine).map(|push| (Key::Push(push.id), Some(push.target))));
    keys.retain(|(key, _)| channel.is_none_or(|channel| channel == key.channel()));
    if keys.is_empty() {
        return Err(ApiError::Conflict(match channel {
            Some(NotifyChannel::Push) => "no browser has notifications turned on; do it there, under Settings → Notifications".into(),
            Some(channel) => format!("{channel} is not set up; see [notify] in the configuration"),
            None => "no way of telling anybody is set up; see [notify] in the configuration, or Settings → Notifications".into(),
        }));
    }
    // Side by side, as they are told: a channel that is slow keeps no other waiting.
    let tries = keys.iter().map(|(key, target)| sender::send(web, key, target.as_ref(), &message));
    let outcomes = join_all(tries).await;
    let mut tested = Vec::new();
    for ((key, _), outcome) in keys.iter().zip(outcomes) {
        let outcome = outcome?;
        if let (Outcome::Gone, Key::Push(id)) = (&outcome, key) {
            gone(web, id).await?;
        }
        tested.push(Tested { channel: key.channel(), error: outcome.error().map(ToOwned::to_owned) });
    }
    Ok(tested)
}

/// What a browser must be shown to subscribe.
pub(crate) async fn key(web: &Web) -> ApiResult<String> {
    Ok(push::vapid(web).await?.public())
}

/// Turns the browser of a session on. It is told what happens from now on.
pub(crate) async fn subscribe(web: &Web, person: &str, session: &str, endpoint: &str, key: &str, auth: &str) -> ApiResult<String> {
    let target = push::target(endpoint, key, auth)?;
    let (store, now) = (web.house().store(), web.house().now().utc);
    let lane = Lane::after(store.last_event_id().await?).write();
    match store.add_push(person, session.as_bytes(), &target, &lane, now).await? {
        AddedPush::Added(id) => {
            web.notify().changed.notify_one();
            Ok(id)
        }
        AddedPush::NoSession => Err(ApiError::NotAuthenticated),
        AddedPush::TooMany => Err(ApiError::Conflict(
            "you have notifications turned on in 20 browsers already; turn them off in one, or sign out there".into(),
        )),
    }
}

/// Turns one of a person's browsers off.
pub(crate) async fn unsubscribe(web: &Web, person: &str, id: &str) -> ApiResult<()> {
    let store = web.house().store();
    let pushes = store.pushes(web.house().now().utc).await?;
    let own = pushes.iter().any(|push| push.id == id && push.person == person);
    if !own || !store.remove_push(id).await? {
        return Err(ApiError::NotFound("subscription of yours with this id"));
    }
    web.notify().changed.notify_one();
    Ok(())
}

/// A push service said that a browser is gone.
pub(super) async fn gone(web: &Web, id: &str) -> Result<(), StoreError> {
    if web.house().store().remove_push(id).await? {
        tracing::info!("a browser is told nothing any more: its push service says that the subscription has ended");
    }
    web.notify().changed.notify_one();
    Ok(())
}
