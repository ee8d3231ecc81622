//! The sender: one task that queues and hands out, and one for each request.
//!
//! 1. Told of an event, or when it is time to look: read the events after the last ones that were looked at, and queue
//!    what each webhook wants. Numbers have no gaps, so what was committed while nobody listened is read as well.
//! 2. For each webhook without a request under way: what is due goes out, the oldest event first.
//! 3. Wait for an event, the end of a request, a change, or the time at which something is due.
//!
//! **A webhook has one request under way at most, and waits for no other.** So an endpoint that is slow or dead holds up
//! nothing but its own messages, and there are no more requests than webhooks.

use super::message::{self, Body, GONE, LONGEST, Tried};
use crate::{Web, outward::WHOLE};
use doorward_core::{Mono, keeper::Notice, record::NewEvent};
use doorward_store::{Delivery, EventQuery, NextDelivery, StoreError, Webhook};
use doorward_wire::{
    Time,
    event::{Event, EventKind},
    webhook::{DeliveryState, DisabledWhy, WebhookId},
};
use serde_json::json;
use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};
use tokio::{
    sync::broadcast::error::RecvError,
    task::{Id, JoinError, JoinSet},
};

/// How often the store is looked at anyhow: another copy of doorward may have written to it.
const LOOK: Duration = Duration::from_secs(10);
/// Events that are read at once.
const PAGE: u32 = 200;
/// Messages that wait for one webhook. Further events wait where they are.
const PENDING: i64 = 1000;
/// How long a try is left to whoever began it: twice as long as it may take.
const CLAIM: Duration = Duration::from_secs(2 * WHOLE.as_secs());

type Ended = Result<(Id, Result<(), StoreError>), JoinError>;

/// Sends what happens to webhooks until it is told to stop; then it lets what is under way come to its end.
pub async fn run(web: Web, stop: impl Future<Output = ()>) {
    let mut notices = web.house().subscribe();
    let mut sender = Sender::new(web.clone());
    let mut stop = std::pin::pin!(stop);
    loop {
        let more = sender.round().await.unwrap_or_else(|error| {
            tracing::warn!(%error, "webhooks wait: the store cannot be used");
            sender.rest();
            false
        });
        let wake = sender.wake();
        tokio::select! {
            () = &mut stop => break,
            Some(ended) = sender.tries.join_next_with_id() => sender.ended(ended),
            notice = notices.recv() => match notice {
                Ok(notice) => sender.behind |= matches!(*notice, Notice::Event(_)),
                Err(RecvError::Lagged(_)) => sender.behind = true,
                Err(RecvError::Closed) => break,
            },
            () = web.webhooks().changed.notified() => sender.stale = true,
            () = web.house().clock().sleep_until(wake) => sender.look(),
            () = std::future::ready(()), if more => {}
        }
    }
    while sender.tries.join_next().await.is_some() {}
}

struct Sender {
    web: Web,
    hooks: BTreeMap<WebhookId, Hook>,
    tries: JoinSet<Result<(), StoreError>>,
    under_way: HashMap<Id, WebhookId>,
    /// The webhooks may not be as they are known here.
    stale: bool,
    /// There may be events that were not looked at.
    behind: bool,
    look_at: Mono,
}

/// A webhook that something may be sent to.
struct Hook {
    webhook: Webhook,
    /// The last event that was looked at. The store's number follows when something is queued.
    seen: i64,
    /// When there may be something to send.
    next: Option<Time>,
    /// So much waits that nothing more is queued.
    full: bool,
}

impl Sender {
    fn new(web: Web) -> Self {
        let look_at = web.house().now().mono.plus(LOOK);
        Self { web, hooks: BTreeMap::new(), tries: JoinSet::new(), under_way: HashMap::new(), stale: true, behind: true, look_at }
    }

    /// Does what there is to do, a page of events at a time. Says whether there is more.
    async fn round(&mut self) -> Result<bool, StoreError> {
        if self.stale {
            self.load().await?;
        }
        let more = if self.behind { self.read_events().await? } else { false };
        self.behind = more;
        self.hand_out().await?;
        Ok(more || self.stale)
    }

    /// When something is due next.
    fn wake(&self) -> Mono {
        let now = self.web.house().now();
        let idle = self.hooks.values().filter(|hook| !self.is_busy(&hook.webhook.id));
        idle.filter_map(|hook| hook.next).map(|next| now.mono_at(next)).chain([self.look_at]).min().unwrap_or(self.look_at)
    }

    fn look(&mut self) {
        let now = self.web.house().now().mono;
        if now >= self.look_at {
            self.look_at = now.plus(LOOK);
            (self.stale, self.behind) = (true, true);
        }
    }

    /// Leaves the store alone for a while.
    fn rest(&mut self) {
        let later = self.web.house().now().utc.plus(LOOK);
        for hook in self.hooks.values_mut() {
            hook.next = hook.next.map(|next| next.max(later));
        }
    }

    fn is_busy(&self, id: &WebhookId) -> bool {
        self.under_way.values().any(|busy| busy == id)
    }

    async fn load(&mut self) -> Result<(), StoreError> {
        let (now, store) = (self.web.house().now().utc, self.web.house().store());
        let webhooks = store.webhooks().await?;
        if webhooks.iter().any(|webhook| webhook.previous_until.is_some_and(|until| until <= now)) {
            store.purge_webhook_secrets(now).await?;
        }
        let before = std::mem::take(&mut self.hooks);
        let enabled = webhooks.into_iter().filter(|webhook| webhook.disabled.is_none());
        self.hooks = enabled
            .map(|webhook| {
                let seen = before.get(&webhook.id).map_or(webhook.seen, |hook| hook.seen.max(webhook.seen));
                (webhook.id.clone(), Hook { seen, next: Some(now), full: false, webhook })
            })
            .collect();
        self.stale = false;
        Ok(())
    }

    /// Looks at the next events. Says whether there are more.
    async fn read_events(&mut self) -> Result<bool, StoreError> {
        let waiting = self.hooks.values().filter(|hook| !hook.full).map(|hook| hook.seen).min();
        let Some(after) = waiting else { return Ok(false) };
        let query = EventQuery { after: Some(after), limit: PAGE, ..EventQuery::default() };
        let events = self.web.house().store().events(&query).await?;
        let Some(last) = events.last().map(|event| event.id) else { return Ok(false) };
        for hook in self.hooks.values_mut().filter(|hook| !hook.full && hook.seen < last) {
            self.stale |= !hook.take(&self.web, &events, last).await?;
        }
        Ok(events.len() == PAGE as usize)
    }

    /// Sends what is due.
    async fn hand_out(&mut self) -> Result<(), StoreError> {
        let now = self.web.house().now().utc;
        let due = |hook: &Hook| hook.next.is_some_and(|next| next <= now) && !self.is_busy(&hook.webhook.id);
        let due: Vec<WebhookId> = self.hooks.values().filter(|hook| due(hook)).map(|hook| hook.webhook.id.clone()).collect();
        for id in due {
            let Some(hook) = self.hooks.get_mut(&id) else { continue };
            match self.web.house().store().next_delivery(&id, now, now.plus(LONGEST)).await? {
                NextDelivery::Due(delivery) => {
                    let task = self.tries.spawn(attempt(self.web.clone(), hook.webhook.clone(), *delivery));
                    self.under_way.insert(task.id(), id);
                }
                NextDelivery::At(time) => hook.next = Some(time),
                NextDelivery::Nothing => hook.next = None,
            }
        }
        Ok(())
    }

    /// A request has come to its end, one way or another.
    fn ended(&mut self, ended: Ended) {
        let now = self.web.house().now().utc;
        let (task, trouble) = match ended {
            Ok((task, Ok(()))) => (task, false),
            Ok((task, Err(error))) => {
                tracing::warn!(%error, "a try of a webhook could not be written down; its message is sent again");
                (task, true)
            }
            Err(error) => {
                tracing::error!(%error, "sending to a webhook ended in a mistake of doorward");
                (error.id(), true)
            }
        };
        let Some(id) = self.under_way.remove(&task) else { return };
        if let Some(hook) = self.hooks.get_mut(&id) {
            hook.next = Some(if trouble { now.plus(LOOK) } else { now });
            self.behind |= std::mem::take(&mut hook.full);
        }
    }
}

impl Hook {
    /// Looks at events up to the last one. `false` when the webhook is not as it is known here.
    async fn take(&mut self, web: &Web, events: &[Event], last: i64) -> Result<bool, StoreError> {
        let store = web.house().store();
        let new = events.iter().filter(|event| event.id > self.seen && self.webhook.wants(event));
        let mut wanted: Vec<i64> = new.map(|event| event.id).collect();
        if wanted.is_empty() && last - self.webhook.seen < i64::from(PAGE) {
            // Not worth a commit: after a restart they are looked at once more.
            self.seen = last;
            return Ok(true);
        }
        let mut until = last;
        if !wanted.is_empty() {
            let room = usize::try_from(PENDING - store.pending_deliveries(&self.webhook.id).await?).unwrap_or(0);
            self.full = wanted.len() > room;
            wanted.truncate(room);
            match wanted.last() {
                Some(kept) if self.full => until = *kept,
                Some(_) => {}
                None => return Ok(true),
            }
        }
        let now = web.house().now().utc;
        if !store.queue_deliveries(&self.webhook.id, self.seen, until, &wanted, now).await? {
            return Ok(false);
        }
        (self.seen, self.webhook.seen) = (until, until);
        if !wanted.is_empty() {
            self.next = Some(now);
        }
        Ok(true)
    }
}

/// Sends a message once.
async fn attempt(web: Web, webhook: Webhook, delivery: Delivery) -> Result<(), StoreError> {
    let (store, now) = (web.house().store(), web.house().now().utc);
    if store.claim_delivery(&delivery.message, delivery.attempts, now, now.plus(CLAIM)).await? {
        let attempts = delivery.attempts + 1;
        let tried = match store.event(delivery.event).await? {
            Some(event) => {
                let body = Body { kind: event.kind.as_str(), timestamp: event.time, data: &event };
                message::send(&web, &webhook, &delivery.message, &body).await?
            }
            None => Tried::in_vain("the event was removed before it could be sent"),
        };
        ended(&web, &webhook, &delivery.message, attempts, tried).await?;
    }
    web.webhooks().tries.send_modify(|tries| *tries += 1);
    Ok(())
}

/// Writes down how a try went.
async fn ended(web: &Web, webhook: &Webhook, message: &str, attempts: u32, tried: Tried) -> Result<(), StoreError> {
    let (store, now) = (web.house().store(), web.house().now().utc);
    let end = tried.end(attempts, now);
    store.end_try(message, attempts, &end, now).await?;
    let error = end.error.as_deref().unwrap_or_default();
    match end.state {
        DeliveryState::Delivered => {
            count("delivered", 1);
            tracing::debug!(webhook = %webhook.id, message, attempts, "delivered to a webhook");
        }
        DeliveryState::Pending => {
            count("retried", 1);
            tracing::info!(webhook = %webhook.id, message, attempts, error, "not delivered to a webhook yet");
        }
        DeliveryState::Failed => {
            count("failed", 1);
            tracing::warn!(webhook = %webhook.id, message, attempts, error, "not delivered to a webhook, and given up");
        }
    }
    if end.status == Some(GONE) {
        gone(web, &webhook.id, now).await?;
    }
    Ok(())
}

/// An endpoint that says that it is gone is left alone.
async fn gone(web: &Web, id: &WebhookId, now: Time) -> Result<(), StoreError> {
    let Some(given_up) = web.house().store().disable_webhook(id, DisabledWhy::Gone, now).await? else { return Ok(()) };
    count("failed", given_up);
    web.webhooks().look_again();
    let event = NewEvent::new(now, EventKind::WebhookDisabled).data(json!({ "webhook": id, "reason": DisabledWhy::Gone }));
    web.house().record(vec![event]).await?;
    Ok(())
}

/// Counts what became of messages.
pub(super) fn count(result: &'static str, messages: u64) {
    if messages > 0 {
        metrics::counter!("doorward_webhook_deliveries_total", "result" => result).increment(messages);
    }
}
