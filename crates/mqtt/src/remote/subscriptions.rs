//! What doorward hears on one connection, and on which subscription.

use super::{ANSWER, lock};
use doorward_wire::topic::Filter;
use mqtt5::{MqttClient, MqttError, ProtocolVersion, QoS, SubscribeOptions};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};
use tokio::sync::{mpsc, oneshot};

/// What came in, and on which subscription.
pub(super) struct Incoming {
    pub(super) kind: Subscription,
    pub(super) topic: String,
    pub(super) payload: Vec<u8>,
    pub(super) retain: bool,
}

/// What it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subscription {
    /// For drivers and contacts.
    House,
    Commands,
    Birth,
}

/// What is subscribed to on one connection.
pub(super) struct Subscriptions {
    client: MqttClient,
    pub(super) version: ProtocolVersion,
    incoming: mpsc::Sender<Incoming>,
    there: BTreeSet<(Subscription, String)>,
    /// Topics at which a message that the broker kept is being looked for.
    pub(super) probes: Arc<Mutex<BTreeMap<String, oneshot::Sender<()>>>>,
}

impl Subscriptions {
    pub(super) fn new(client: MqttClient, version: ProtocolVersion, incoming: mpsc::Sender<Incoming>) -> Self {
        Self { client, version, incoming, there: BTreeSet::new(), probes: Arc::default() }
    }

    /// Subscribes to all that the house wants to hear, and to nothing else on its behalf.
    pub(super) async fn listen(&mut self, wanted: &BTreeSet<Filter>) -> Result<(), MqttError> {
        let gone = self
            .there
            .extract_if(.., |(kind, filter)| *kind == Subscription::House && !wanted.iter().any(|wanted| wanted.as_str() == filter));
        for (_, filter) in gone.collect::<Vec<_>>() {
            self.client.unsubscribe(filter).await?;
        }
        for filter in wanted {
            self.add(filter.as_str(), Subscription::House).await?;
        }
        Ok(())
    }

    /// Subscribes once. A subscription that the broker denies is told, and does not cost the others.
    pub(super) async fn add(&mut self, filter: &str, kind: Subscription) -> Result<(), MqttError> {
        if !self.there.insert((kind, filter.to_owned())) {
            return Ok(());
        }
        match self.subscribe(filter, kind).await {
            Err(error @ (MqttError::SubscriptionDenied(_) | MqttError::SubscriptionFailed(_) | MqttError::NotAuthorized)) => {
                metrics::counter!("doorward_mqtt_refused_total", "what" => "own_subscribe").increment(1);
                tracing::warn!(filter, %error, "the MQTT broker does not let doorward subscribe");
                Ok(())
            }
            other => other,
        }
    }

    async fn subscribe(&self, filter: &str, kind: Subscription) -> Result<(), MqttError> {
        let qos = if kind == Subscription::House { QoS::AtLeastOnce } else { QoS::AtMostOnce };
        let options = SubscribeOptions { qos, retain_as_published: true, ..SubscribeOptions::default() };
        let (incoming, probes) = (self.incoming.clone(), Arc::clone(&self.probes));
        let take = move |message: mqtt5::Message| {
            let probe = if message.retain { lock(&probes).remove(&message.topic) } else { None };
            if let Some(probe) = probe {
                let _ = probe.send(());
                return;
            }
            let taken = incoming.try_send(Incoming { kind, topic: message.topic, payload: message.payload, retain: message.retain });
            if taken.is_err() {
                metrics::counter!("doorward_mqtt_dropped_total", "what" => "incoming").increment(1);
            }
        };
        let answer = tokio::time::timeout(ANSWER, self.client.subscribe_with_options(filter, options, take)).await;
        answer.map_err(|_| MqttError::Timeout)?.map(drop)
    }

    /// Subscribes to a topic again; what is given back is told when the broker has kept something there.
    pub(super) async fn probe(&self, topic: &str) -> Result<oneshot::Receiver<()>, MqttError> {
        self.client.unsubscribe(topic).await?;
        let (probe, found) = oneshot::channel();
        lock(&self.probes).insert(topic.to_owned(), probe);
        self.subscribe(topic, Subscription::Commands).await?;
        Ok(found)
    }
}
