//! Messages to brokers, and what is heard of them.

use crate::{
    Tunnel,
    gateway::{FRESH, Reply, Request},
};
use doorward_core::Secret;
use doorward_mqtt::{broker::Letter, elsewhere::Place, tap::Tap};
use doorward_wire::{
    attempt::{ActorKind, Reason},
    topic::{Filter, Topic, is_topic},
    tunnel::{Broker, Publish, Service, Subscribe},
};
use serde_json::json;
use std::time::Duration;

/// How long a broker may take.
const WITHIN: Duration = Duration::from_secs(5);
/// The port of a broker where none is named.
const PORT: u16 = 1883;

/// Where a message goes.
enum Way {
    /// To the house's own broker.
    Own,
    /// To another one.
    Elsewhere(Place),
}

/// Publishes a message.
pub(crate) async fn publish(tunnel: &Tunnel, request: &Request, publish: Publish) -> Reply {
    let Publish { topic, message, qos, retain, broker } = publish;
    if !is_topic(&topic) {
        return Reply::refused(400, "Field 'topic' must be a topic without wildcards", Reason::BadRequest);
    }
    if !request.key.allowed.publish(&topic) {
        return Reply::refused(403, &format!("Not allowed: publish to {topic}"), Reason::NoGrant);
    }
    let now = tunnel.house().now().utc;
    if Topic::read(&topic).is_some_and(|topic| topic.is_command()) && now.since(request.made) > FRESH {
        return Reply::refused(403, "Request expired", Reason::StaleCommand);
    }
    let way = match way(tunnel, request, broker) {
        Ok(way) => way,
        Err(reply) => return reply,
    };
    let letter = Letter { topic: topic.clone(), payload: message.into_bytes(), qos, retain };
    let sent = async {
        match way {
            Way::Own => match tunnel.mqtt() {
                Some(mqtt) => mqtt.publish_for(tunnel.elsewhere(), ActorKind::Tunnel, &request.key.name, letter).await,
                None => Err("there is no broker".into()),
            },
            Way::Elsewhere(place) => tunnel.elsewhere().publish(&place, letter).await.map_err(|error| error.to_string()),
        }
    };
    match within(tunnel, sent).await {
        // The original's clients read a text here, written as Python writes it.
        Some(Ok(())) => {
            Reply::json(200, &json!(format!("{{\"success\": true, \"topic\": {}, \"message\": \"Published successfully\"}}", json!(topic))))
        }
        Some(Err(why)) => Reply::error(500, &format!("MQTT error: {why}")),
        None => Reply::error(500, "MQTT error: the broker does not answer"),
    }
}

/// Begins to listen. What is wrong is told in words.
pub(crate) async fn listen(tunnel: &Tunnel, request: &Request, wish: Subscribe) -> Result<Tap, (String, Option<Reason>)> {
    let filter: Filter = wish.topic.parse().map_err(|error| (format!("Field 'topic' {error}"), Some(Reason::BadRequest)))?;
    if !request.key.allowed.service(Service::Mqtt) {
        return Err(("Not allowed: mqtt".into(), Some(Reason::NoGrant)));
    }
    if !request.key.allowed.subscribe(&filter) || filter.as_str().starts_with("$share/") {
        return Err((format!("Not allowed: subscribe to {filter}"), Some(Reason::NoGrant)));
    }
    let tap = async {
        match way(tunnel, request, wish.broker).map_err(|reply| (text(&reply), reply.refused))? {
            Way::Own => match tunnel.mqtt() {
                Some(mqtt) => mqtt.tap(tunnel.elsewhere(), &filter).await.map_err(|why| (format!("MQTT error: {why}"), None)),
                None => Err(("MQTT error: there is no broker".into(), None)),
            },
            Way::Elsewhere(place) => tunnel.elsewhere().tap(&place, &filter).await.map_err(|why| (format!("MQTT error: {why}"), None)),
        }
    };
    within(tunnel, tap).await.unwrap_or_else(|| Err(("MQTT error: the broker does not answer".into(), None)))
}

/// Waits for a broker, and no longer than anybody wants to.
async fn within<T>(tunnel: &Tunnel, work: impl Future<Output = T>) -> Option<T> {
    let clock = tunnel.house().clock();
    tokio::select! {
        biased;
        done = work => Some(done),
        () = clock.sleep_until(clock.now().mono.plus(WITHIN)) => None,
    }
}

/// Which broker a request means, if its key may mean it. A user name without a broker is for the default one.
fn way(tunnel: &Tunnel, request: &Request, broker: Broker) -> Result<Way, Reply> {
    let Broker { host, port, login } = broker;
    let default = tunnel.options().broker.as_ref();
    let login = login.map(|(user, password)| (user, Secret::new(password)));
    let (host, port) = match (host, default) {
        (Some(host), _) => (host, port.unwrap_or(PORT)),
        (None, Some((host, own))) => (host.clone(), port.unwrap_or(*own)),
        (None, None) if port.is_none() && login.is_none() => return Ok(Way::Own),
        // The house's own broker under another name would be past the rights of this key.
        (None, None) => {
            return Err(Reply::refused(403, "Not allowed: a user of the house's own broker; leave it out", Reason::NoGrant));
        }
    };
    let configured = |(own, at): &(String, u16)| own.eq_ignore_ascii_case(&host) && *at == port;
    let known = default.is_some_and(configured) || tunnel.options().brokers.iter().any(configured);
    if !known && !request.key.allowed.broker(&host, port) {
        return Err(Reply::refused(403, &format!("Not allowed: the broker {host}:{port}"), Reason::NoGrant));
    }
    Ok(Way::Elsewhere(Place { host, port, tls: None, login }))
}

fn text(reply: &Reply) -> String {
    let inner = serde_json::from_str::<String>(&reply.body).unwrap_or_default();
    let error = serde_json::from_str::<serde_json::Value>(&inner).ok().and_then(|json| Some(json["error"].as_str()?.to_owned()));
    error.unwrap_or(inner)
}
