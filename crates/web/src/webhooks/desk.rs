//! What people and programs do to webhooks. Each change is an event.

pub(crate) use super::message::Tried;

use super::message::{self, Body};
use crate::{ApiError, ApiResult, Web, outward::Target};
use doorward_core::{Secret, record::NewEvent};
use doorward_store::{AddedWebhook, Delivery, Webhook};
use doorward_wire::{
    Time,
    attempt::Actor,
    door::DoorId,
    event::EventKind,
    webhook::{DisabledWhy, WebhookId},
};
use serde_json::json;

/// Doors that a webhook may name.
const DOORS: usize = 100;

/// What a webhook should be; what is left out stays, or is as little as it can be.
#[derive(Debug, Default)]
pub(crate) struct Wish {
    pub(crate) name: Option<String>,
    pub(crate) url: Option<String>,
    /// None for every kind.
    pub(crate) kinds: Option<Vec<EventKind>>,
    /// None for every event, also of no door.
    pub(crate) doors: Option<Vec<DoorId>>,
    pub(crate) allow_private: Option<bool>,
}

impl Wish {
    fn apply(self, web: &Web, webhook: &mut Webhook) -> ApiResult<()> {
        if let Some(name) = self.name {
            webhook.name = crate::api::checked_name(&name)?;
        }
        if let Some(url) = self.url {
            webhook.url = url;
        }
        if let Some(mut kinds) = self.kinds {
            kinds.sort_unstable();
            kinds.dedup();
            webhook.kinds = Some(kinds).filter(|kinds| !kinds.is_empty());
        }
        if let Some(mut doors) = self.doors {
            doors.sort_unstable();
            doors.dedup();
            check_doors(web, &doors, &webhook.doors)?;
            webhook.doors = doors;
        }
        if let Some(allow) = self.allow_private {
            webhook.allow_private = allow;
        }
        target(webhook)?.as_str().clone_into(&mut webhook.url);
        Ok(())
    }
}

fn check_doors(web: &Web, doors: &[DoorId], before: &[DoorId]) -> ApiResult<()> {
    if doors.len() > DOORS {
        return Err(ApiError::Unprocessable(format!("doors: at most {DOORS}")));
    }
    // A door that is gone may stay where it was named.
    let unknown = doors.iter().find(|door| !before.contains(door) && web.house().board().door(door).is_none());
    unknown.map_or(Ok(()), |door| Err(ApiError::Unprocessable(format!("doors: there is no door “{door}”"))))
}

fn target(webhook: &Webhook) -> ApiResult<Target> {
    Target::parse(&webhook.url, webhook.allow_private).map_err(|error| ApiError::Unprocessable(format!("url: {error}")))
}

/// One webhook.
pub(crate) async fn find(web: &Web, id: &WebhookId) -> ApiResult<Webhook> {
    web.house().store().webhook(id).await?.ok_or(ApiError::NotFound("webhook with this id"))
}

/// Adds a webhook; its identifier is made from its name. It is told what happens from now on.
pub(crate) async fn add(web: &Web, actor: &Actor, wish: Wish) -> ApiResult<(Webhook, Secret<String>)> {
    let store = web.house().store();
    let id = WebhookId::from_name(wish.name.as_deref().unwrap_or_default(), "webhook");
    let mut webhook = Webhook {
        id: id.clone(),
        name: String::new(),
        url: String::new(),
        kinds: None,
        doors: Vec::new(),
        allow_private: false,
        disabled: None,
        previous_until: None,
        seen: store.last_event_id().await?,
        created: web.house().now().utc,
    };
    wish.apply(web, &mut webhook)?;
    let mut number = 2;
    let secret = loop {
        match store.add_webhook(&webhook).await? {
            AddedWebhook::Added(secret) => break secret,
            AddedWebhook::Taken => webhook.id = id.numbered(number),
            AddedWebhook::TooMany => {
                return Err(ApiError::Conflict("there are as many webhooks as there may be; remove one that is not needed".into()));
            }
        }
        number += 1;
    };
    tell(web, actor, &webhook, "added").await?;
    Ok((webhook, secret))
}

/// Changes a webhook.
pub(crate) async fn change(web: &Web, actor: &Actor, id: &WebhookId, wish: Wish) -> ApiResult<Webhook> {
    let before = find(web, id).await?;
    let mut webhook = before.clone();
    wish.apply(web, &mut webhook)?;
    if webhook != before {
        web.house().store().update_webhook(&webhook).await?;
        tell(web, actor, &webhook, "changed").await?;
    }
    Ok(webhook)
}

/// Enables a webhook, or disables it. One that is as it should be is left alone.
pub(crate) async fn enable(web: &Web, actor: &Actor, id: &WebhookId, on: bool) -> ApiResult<Webhook> {
    let webhook = find(web, id).await?;
    let store = web.house().store();
    let changed = if on {
        store.enable_webhook(id).await?
    } else {
        let given_up = store.disable_webhook(id, DisabledWhy::Person, web.house().now().utc).await?;
        super::sender::count("failed", given_up.unwrap_or_default());
        given_up.is_some()
    };
    if changed {
        tell(web, actor, &webhook, if on { "enabled" } else { "disabled" }).await?;
    }
    find(web, id).await
}

/// Makes a new secret. The one from before signs along until the time that is given.
pub(crate) async fn rotate(web: &Web, actor: &Actor, id: &WebhookId) -> ApiResult<(Secret<String>, Time)> {
    let webhook = find(web, id).await?;
    let rotated = web.house().store().rotate_webhook(id, web.house().now().utc).await?;
    let rotated = rotated.ok_or(ApiError::NotFound("webhook with this id"))?;
    tell(web, actor, &webhook, "rotated").await?;
    Ok(rotated)
}

/// Removes a webhook and its deliveries.
pub(crate) async fn remove(web: &Web, actor: &Actor, id: &WebhookId) -> ApiResult<()> {
    let webhook = find(web, id).await?;
    web.house().store().remove_webhook(id).await?;
    tell(web, actor, &webhook, "removed").await
}

/// Sends a message that says nothing, now and once, also to a webhook that is disabled.
pub(crate) async fn test(web: &Web, id: &WebhookId) -> ApiResult<Tried> {
    let webhook = find(web, id).await?;
    let message = format!("msg_{}", web.house().clock().uuid().simple());
    let data = json!({ "webhook": webhook.id, "name": webhook.name });
    let body = Body { kind: "webhook.test", timestamp: web.house().now().utc, data };
    Ok(message::send(web, &webhook, &message, &body).await?)
}

/// Sends a message once more, whatever became of it.
pub(crate) async fn retry(web: &Web, id: &WebhookId, message: &str) -> ApiResult<Delivery> {
    let webhook = find(web, id).await?;
    if webhook.disabled.is_some() {
        return Err(ApiError::Conflict("this webhook is disabled; enable it first".into()));
    }
    let store = web.house().store();
    let unknown = ApiError::NotFound("delivery with this message");
    if !store.retry_delivery(id, message, web.house().now().utc).await? {
        return Err(unknown);
    }
    web.webhooks().look_again();
    store.delivery(id, message).await?.ok_or(unknown)
}

/// Writes a change down, and makes it count at once. Of the address only the host is told: the rest may be a secret.
async fn tell(web: &Web, actor: &Actor, webhook: &Webhook, change: &str) -> ApiResult<()> {
    web.webhooks().look_again();
    let host = Target::parse(&webhook.url, webhook.allow_private).ok().map(|target| target.host().to_owned());
    let event = NewEvent::new(web.house().now().utc, EventKind::WebhookChanged).actor(actor);
    web.house().record(vec![event.data(json!({ "webhook": webhook.id, "change": change, "host": host }))]).await?;
    Ok(())
}
