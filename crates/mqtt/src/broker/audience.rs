//! Who listens to what.
//!
//! The library finds the subscribers of a message by going through every filter with a wildcard, and counts the subscriptions of
//! a client by going through those of all. Each device of a fleet has such a filter, for what is asked of it, and nobody listens
//! to most of what devices tell. So it is known here whether anybody may hear a message at all, before the library looks for them.
//!
//! What is known here is never less than what the library has: a filter is added before it is subscribed to, and stays until its end
//! is certain.

use doorward_wire::{device::is_told_to_devices, topic::Filter};
use std::{
    collections::{HashMap, HashSet},
    sync::{PoisonError, RwLock, RwLockWriteGuard},
};

/// Subscriptions of a client.
const MOST: usize = 1_000;

/// Every client's subscriptions.
#[derive(Default)]
pub(super) struct Audience(RwLock<Inner>);

#[derive(Default)]
struct Inner {
    clients: HashMap<String, Client>,
    /// Topics that somebody listens to who is no device, and how many.
    exact: HashMap<String, usize>,
    /// The same for filters with wildcards.
    wild: HashMap<Filter, usize>,
}

#[derive(Default)]
struct Client {
    is_device: bool,
    filters: HashSet<Box<str>>,
}

impl Audience {
    /// Takes note that a client listens to a filter from now on; `false` when it has as many as it may have.
    pub(super) fn add(&self, client: &str, is_device: bool, filter: &str) -> bool {
        let mut inner = self.write();
        let has = inner.clients.get(client).is_some_and(|known| known.filters.contains(filter));
        if !has && inner.clients.get(client).is_some_and(|known| known.filters.len() >= MOST) {
            return false;
        }
        inner.add(client, is_device, filter);
        true
    }

    /// Takes note that doorward itself listens to a filter.
    pub(super) fn listen(&self, name: &str, filter: &Filter) {
        self.write().add(name, false, filter.as_str());
    }

    /// A client does not listen to a filter any more.
    pub(super) fn remove(&self, client: &str, filter: &str) {
        let mut inner = self.write();
        let Some(known) = inner.clients.get_mut(client) else { return };
        if known.filters.remove(filter) && !known.is_device {
            inner.count_down(filter);
        }
    }

    /// A client's session is gone.
    pub(super) fn forget(&self, client: &str) {
        let mut inner = self.write();
        let Some(known) = inner.clients.remove(client) else { return };
        if !known.is_device {
            known.filters.iter().for_each(|filter| inner.count_down(filter));
        }
    }

    /// Every client of which something is known.
    pub(super) fn clients(&self) -> Vec<String> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clients.keys().cloned().collect()
    }

    /// Whether anybody may hear what is published at a topic.
    pub(super) fn hears(&self, topic: &str) -> bool {
        let inner = self.0.read().unwrap_or_else(PoisonError::into_inner);
        is_told_to_devices(topic) || inner.exact.contains_key(topic) || inner.wild.keys().any(|filter| filter.matches(topic))
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn add(&mut self, client: &str, is_device: bool, filter: &str) {
        let known = self.clients.entry(client.to_owned()).or_default();
        known.is_device = is_device;
        if !known.filters.insert(filter.into()) || is_device {
            return;
        }
        let plain = plain(filter);
        match plain.parse::<Filter>() {
            Ok(filter) if plain.contains(['+', '#']) => *self.wild.entry(filter).or_default() += 1,
            _ => *self.exact.entry(plain.to_owned()).or_default() += 1,
        }
    }

    fn count_down(&mut self, filter: &str) {
        let plain = plain(filter);
        if let Some(count) = self.exact.get_mut(plain) {
            *count -= 1;
            if *count == 0 {
                self.exact.remove(plain);
            }
        }
        let Ok(filter) = plain.parse::<Filter>() else { return };
        if let Some(count) = self.wild.get_mut(&filter) {
            *count -= 1;
            if *count == 0 {
                self.wild.remove(&filter);
            }
        }
    }
}

/// A filter without the group that shares it (MQTT 5.0, section 4.8.2).
fn plain(filter: &str) -> &str {
    filter.strip_prefix("$share/").and_then(|rest| rest.split_once('/')).map_or(filter, |(_, plain)| plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_nobody_listens_to_is_known() {
        let audience = Audience::default();
        assert!(!audience.hears("sensor/data"));
        assert!(audience.hears("gateway/A1B2C3/ota"), "a device may");
        assert!(audience.add("board", false, "sensor/data") && audience.add("board", false, "$share/all/sensor/+/x"));
        assert!(audience.hears("sensor/data") && audience.hears("sensor/1/x") && !audience.hears("sensor/1/y"));
        assert!(audience.add("other", false, "sensor/data"));
        audience.remove("board", "sensor/data");
        assert!(audience.hears("sensor/data"), "another still does");
        audience.forget("other");
        audience.forget("board");
        assert!(!audience.hears("sensor/data") && !audience.hears("sensor/1/x"));
        assert!(audience.add("BLE-Gateway-A1B2C3", true, "sensor/A1B2C3/request/#"));
        assert!(audience.0.read().unwrap().wild.is_empty(), "what devices listen to is known by its topic");
    }

    #[test]
    fn a_client_has_so_many_subscriptions_and_no_more() {
        let audience = Audience::default();
        let added = (0..MOST + 5).filter(|number| audience.add("storm", false, &format!("a/{number}"))).count();
        assert_eq!(added, MOST);
        assert!(audience.add("storm", false, "a/7"), "one that it has");
        audience.remove("storm", "a/7");
        assert!(audience.add("storm", false, "a/+") && !audience.add("storm", false, "b/+"));
        audience.listen("in/house", &"#".parse().unwrap());
        assert!(audience.hears("anything"));
    }

    proptest! {
        #[test]
        fn nothing_is_left_of_who_is_gone(steps in proptest::collection::vec((0..4u8, 0..3u8, 0..5u8), 0..60)) {
            let audience = Audience::default();
            let filters = ["a", "a/+", "a/#", "$share/g/a/+", "b"];
            for (step, client, filter) in steps {
                let (client, filter) = (format!("client{client}"), filters[usize::from(filter)]);
                match step {
                    0 | 1 => _ = audience.add(&client, false, filter),
                    2 => audience.remove(&client, filter),
                    _ => audience.forget(&client),
                }
            }
            for client in audience.clients() {
                audience.forget(&client);
            }
            let inner = audience.0.read().unwrap();
            prop_assert!(inner.exact.is_empty() && inner.wild.is_empty() && inner.clients.is_empty());
        }
    }
}
