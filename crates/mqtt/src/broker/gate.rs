//! What the broker asks before it does anything: who may connect, publish and subscribe.

use super::{BoxFuture, audience::Audience, entrance::Waiting};
use crate::{
    inbox::{Arrival, Demand, Inbox},
    roster::{ANONYMOUS, Refusal, Roster},
};
use doorward_wire::{
    attempt::{ActorKind, Reason},
    device::{DeviceId, SHARED},
    topic::Topic,
};
use mqtt5::{
    broker::{
        AuthProvider, AuthResult, BrokerEventHandler, ClientConnectEvent, ClientDisconnectEvent, ClientPublishEvent, ClientSubscribeEvent,
        ClientUnsubscribeEvent, PublishAction, SubAckReasonCode,
    },
    packet::connect::ConnectPacket,
    types::ReasonCode,
};
use std::{net::SocketAddr, sync::Arc};

/// What the broker asks before it does anything.
pub(super) struct Gate {
    pub(super) roster: Arc<Roster>,
    pub(super) inbox: Inbox,
    pub(super) waiting: Arc<Waiting>,
    pub(super) audience: Arc<Audience>,
}

impl AuthProvider for Gate {
    fn authenticate<'a>(&'a self, connect: &'a ConnectPacket, address: SocketAddr) -> BoxFuture<'a, mqtt5::Result<AuthResult>> {
        self.waiting.said_who(address);
        Box::pin(async move {
            // A will is published past what is asked for other messages, so none may speak for doorward or to a door, and no
            // device's where all devices report.
            let is_device = DeviceId::of_client(&connect.client_id).is_some();
            let may_not = |topic: &str| Topic::read(topic).is_some() || (is_device && SHARED.contains(&topic));
            if connect.will.as_ref().is_some_and(|will| may_not(&will.topic)) {
                self.refused("will", &connect.client_id, None, connect.will.as_ref().map_or("", |will| will.topic.as_str()));
                return Ok(AuthResult::fail(ReasonCode::NotAuthorized));
            }
            let name = connect.username.as_deref().unwrap_or_default();
            let secret = connect.password.as_deref().unwrap_or_default();
            Ok(match self.roster.admit(name, secret, &connect.client_id, address, self.inbox.house.now()).await {
                Ok(alias) => AuthResult::success_with_user(alias),
                Err(refusal) => {
                    tracing::info!(%address, client = connect.client_id, %refusal, "an MQTT client was refused");
                    AuthResult::fail(self.turned_away(refusal, address))
                }
            })
        })
    }

    fn authorize_publish<'a>(&'a self, client: &str, user: Option<&'a str>, topic: &'a str) -> BoxFuture<'a, bool> {
        let allowed = user.is_some_and(|user| self.roster.may_publish(user, topic));
        if !allowed {
            self.refused("publish", client, user, topic);
        }
        Box::pin(async move { allowed })
    }

    fn authorize_subscribe<'a>(&'a self, client: &str, user: Option<&'a str>, filter: &'a str) -> BoxFuture<'a, bool> {
        let allowed = user.is_some_and(|user| self.roster.may_subscribe(user, filter));
        if !allowed {
            self.refused("subscribe", client, user, filter);
        }
        let is_device = user.and_then(|user| self.roster.who(user)).is_some_and(|(_, device)| device.is_some());
        let has_room = allowed && self.audience.add(client, is_device, filter);
        if allowed && !has_room {
            metrics::counter!("doorward_mqtt_refused_total", "what" => "subscriptions").increment(1);
            tracing::debug!(client, filter, "an MQTT client has as many subscriptions as it may have");
        }
        Box::pin(async move { has_room })
    }
}

impl Gate {
    /// Counts a refusal, and gives the word for it.
    fn turned_away(&self, refusal: Refusal, address: SocketAddr) -> ReasonCode {
        let house = &self.inbox.house;
        let count = |what: &'static str| metrics::counter!("doorward_mqtt_refused_total", "what" => what).increment(1);
        match refusal {
            Refusal::Credentials => {
                house.refused(Reason::NotAuthenticated, Some(address.ip()));
                ReasonCode::BadUsernameOrPassword
            }
            Refusal::Guessing => {
                house.refused(Reason::RateLimited, Some(address.ip()));
                ReasonCode::QuotaExceeded
            }
            Refusal::ClientId => {
                count("client_id");
                ReasonCode::ClientIdentifierNotValid
            }
            Refusal::TooMany => {
                count("connection");
                ReasonCode::QuotaExceeded
            }
            Refusal::Store => ReasonCode::ServerUnavailable,
        }
    }

    /// The last of the space is for what opens doors: nothing more is kept for later subscribers then.
    pub(super) fn has_room(&self, client: &str, topic: &str, clears: bool) -> bool {
        if clears || !self.inbox.house.store().space().low {
            return true;
        }
        metrics::counter!("doorward_mqtt_refused_total", "what" => "full").increment(1);
        tracing::warn!(client, topic, "a retained message was refused: the disk is nearly full");
        false
    }

    fn refused(&self, what: &'static str, client: &str, user: Option<&str>, topic: &str) {
        metrics::counter!("doorward_mqtt_refused_total", "what" => what).increment(1);
        self.roster.deny(user, what, topic, self.inbox.house.now().utc);
        tracing::debug!(client, topic, "an MQTT client may not {what} here");
    }
}

impl BrokerEventHandler for Gate {
    fn on_client_connect(&self, event: ClientConnectEvent) -> BoxFuture<'_, ()> {
        if event.clean_start {
            self.audience.forget(&event.client_id);
        }
        metrics::gauge!("doorward_mqtt_clients").increment(1.0);
        Box::pin(std::future::ready(()))
    }

    fn on_client_disconnect(&self, _event: ClientDisconnectEvent) -> BoxFuture<'_, ()> {
        metrics::gauge!("doorward_mqtt_clients").decrement(1.0);
        Box::pin(std::future::ready(()))
    }

    fn on_client_subscribe(&self, event: ClientSubscribeEvent) -> BoxFuture<'_, ()> {
        // What was not allowed was refused before, and tells nobody anything here.
        let granted =
            |result| matches!(result, SubAckReasonCode::GrantedQoS0 | SubAckReasonCode::GrantedQoS1 | SubAckReasonCode::GrantedQoS2);
        for subscription in event.subscriptions.iter().filter(|subscription| granted(subscription.result)) {
            self.roster.subscribed(&event.client_id, &subscription.topic_filter);
        }
        Box::pin(std::future::ready(()))
    }

    fn on_client_unsubscribe(&self, event: ClientUnsubscribeEvent) -> BoxFuture<'_, ()> {
        event.topic_filters.iter().for_each(|filter| self.audience.remove(&event.client_id, filter));
        Box::pin(std::future::ready(()))
    }

    fn on_client_publish(&self, event: ClientPublishEvent) -> BoxFuture<'_, PublishAction> {
        Box::pin(async move {
            let Some((user, device)) = event.user_id.as_deref().and_then(|alias| self.roster.who(alias)) else {
                return PublishAction::Handled;
            };
            if device.is_some_and(|device| !self.roster.may_go_on(&device, &event.topic, &event.payload)) {
                return PublishAction::Handled;
            }
            // Nothing is kept for who does not say who they are.
            if event.retain && user == ANONYMOUS {
                self.refused("retain", &event.client_id, event.user_id.as_deref(), &event.topic);
                return PublishAction::Handled;
            }
            let arrival = Arrival {
                kind: ActorKind::Mqtt,
                user,
                topic: &event.topic,
                payload: &event.payload,
                retain: event.retain,
                demand: Demand::Words,
            };
            if self.inbox.take(arrival).await || (event.retain && !self.has_room(&event.client_id, &event.topic, event.payload.is_empty()))
            {
                return PublishAction::Handled;
            }
            if !event.retain && !self.audience.hears(&event.topic) {
                return PublishAction::Handled;
            }
            PublishAction::Continue
        })
    }
}
