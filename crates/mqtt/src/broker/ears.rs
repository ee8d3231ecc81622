//! Listening at the embedded broker from within.

use super::{BoxFuture, OWN, audience::Audience};
use crate::tap::{Heard, KEPT, Live, Source};
use doorward_wire::topic::Filter;
use mqtt5::{
    MqttError, QoS,
    broker::router::{DeliveryLanes, MessageRouter, SubscriptionRequest},
    packet::publish::PublishPacket,
};
use std::{
    collections::VecDeque,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::{oneshot, watch};

/// Messages on their way to listeners. They are taken at once, whoever of them is slow.
const LANE: usize = 1024;

/// What listens at the embedded broker.
pub(super) struct Ears {
    pub(super) router: Arc<MessageRouter>,
    pub(super) audience: Arc<Audience>,
    pub(super) up: watch::Receiver<bool>,
    pub(super) count: AtomicU64,
}

impl Source for Ears {
    type Error = MqttError;
    const TELLS_KEPT: bool = false;

    async fn subscribe(&self, filter: &Filter, live: Arc<Live>, held: oneshot::Receiver<()>) -> Result<(), MqttError> {
        let name = format!("{OWN}ear/{}", self.count.fetch_add(1, Ordering::Relaxed));
        let (lanes, mut lane) = DeliveryLanes::channel(LANE);
        let (kick, _kicked) = oneshot::channel();
        self.router.register_session(name.clone(), lanes, self.router.queue_handle(&name), kick, true).await;
        self.audience.listen(&name, filter);
        let request = SubscriptionRequest::new(name.clone(), filter.as_str(), QoS::ExactlyOnce);
        if let Err(error) = self.router.subscribe(request).await {
            self.router.unregister_client(&name).await;
            self.audience.forget(&name);
            return Err(error);
        }
        let (router, audience, mut up) = (Arc::clone(&self.router), Arc::clone(&self.audience), self.up.clone());
        tokio::spawn(async move {
            let end: BoxFuture<'_, ()> = Box::pin(async move {
                tokio::select! {
                    _ = held => {}
                    _ = up.wait_for(|up| !*up) => {}
                }
            });
            tokio::pin!(end);
            loop {
                tokio::select! {
                    Some(message) = lane.recv() => live.tell(Arc::new(heard(message.publish, false))),
                    () = &mut end => break,
                }
            }
            live.close();
            router.unregister_client(&name).await;
            audience.forget(&name);
        });
        Ok(())
    }

    async fn kept(&self, filter: &Filter) -> VecDeque<Arc<Heard>> {
        let kept = self.router.get_retained_messages(filter.as_str()).await;
        kept.into_iter().take(KEPT).map(|packet| Arc::new(heard(packet, true))).collect()
    }
}

fn heard(packet: PublishPacket, retain: bool) -> Heard {
    let (topic, payload, qos) = (packet.topic_name, packet.payload.to_vec(), packet.qos as u8);
    Heard { topic, payload, qos, retain, written: OnceLock::new() }
}
