//! How many subscriptions each client has.
//!
//! The library can only count by going through those of all clients, which with ten thousand devices takes longer than all else
//! that it does for a subscription. So it is asked once for each connection, and what is added after that is counted here.

use mqtt5::broker::router::MessageRouter;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

/// Subscriptions of a client.
const MOST: usize = 1_000;

/// Subscriptions of connected clients.
#[derive(Default)]
pub(super) struct Subscriptions {
    router: OnceLock<Arc<MessageRouter>>,
    /// As many as a client has at most: one that it takes back, or asks for again, is counted all the same.
    counts: Mutex<HashMap<String, usize>>,
}

impl Subscriptions {
    /// Where those are that are there already.
    pub(super) fn count_at(&self, router: &Arc<MessageRouter>) {
        let _ = self.router.set(Arc::clone(router));
    }

    /// Whether a client may have one more, or has it.
    pub(super) async fn has_room(&self, client: &str, filter: &str) -> bool {
        let Some(router) = self.router.get() else { return false };
        let known = self.with(|counts| counts.get(client).copied()).filter(|count| *count < MOST);
        let count = match known {
            Some(count) => count,
            None => router.subscription_count_for_client(client).await,
        };
        let allowed = count < MOST || router.has_subscription(client, filter).await;
        if !allowed {
            metrics::counter!("doorward_mqtt_refused_total", "what" => "subscriptions").increment(1);
            tracing::debug!(client, filter, "an MQTT client has as many subscriptions as it may have");
        }
        self.with(|counts| counts.insert(client.to_owned(), (count + 1).min(MOST)));
        allowed
    }

    /// A connection is gone. What is kept of its session is counted when it is back.
    pub(super) fn forget(&self, client: &str) {
        self.with(|counts| counts.remove(client));
    }

    fn with<T>(&self, look: impl FnOnce(&mut HashMap<String, usize>) -> T) -> T {
        look(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
