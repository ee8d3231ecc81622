//! Subscribers that cannot keep up: what waits for them is bounded, and one whose queue stays full is disconnected. Its
//! session stays, and what waits in it comes when it is back.

use super::QUEUE;
use crate::roster::Roster;
use mqtt5::broker::router::MessageRouter;
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::{sync::broadcast, time::Instant};

/// How often queues are looked at.
const LOOK: Duration = Duration::from_millis(500);
/// How long a queue may stay full.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) async fn watch(messages: Arc<MessageRouter>, roster: Arc<Roster>, mut stop: broadcast::Receiver<()>) {
    let mut full: HashMap<String, Instant> = HashMap::new();
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = stop.recv() => return,
        }
        let mut still = HashMap::new();
        for client in roster.connected_clients() {
            if messages.queue_handle(&client).count() < QUEUE {
                continue;
            }
            let since = full.get(&client).copied().unwrap_or_else(Instant::now);
            if since.elapsed() < PATIENCE {
                still.insert(client, since);
                continue;
            }
            metrics::counter!("doorward_mqtt_refused_total", "what" => "slow").increment(1);
            tracing::warn!(client, "an MQTT client does not keep up with what it subscribed to, and is disconnected");
            messages.disconnect_client(&client).await;
        }
        full = still;
    }
}
