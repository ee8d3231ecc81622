//! Who is connected now.

use doorward_wire::device::DeviceId;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::SocketAddr,
};

/// Connections, whose they are, and the client identifier of each: one that takes its own session over is there twice
/// for a moment.
#[derive(Debug, Default)]
pub(super) struct Presence {
    connections: HashMap<SocketAddr, (String, String)>,
    /// By user: its clients, and the connections of each.
    users: BTreeMap<String, BTreeMap<String, Client>>,
    /// How many came.
    came: u64,
}

#[derive(Debug, Default)]
struct Client {
    connections: u32,
    /// The number of the newest.
    newest: u64,
    /// The device that it is.
    device: Option<DeviceId>,
}

impl Presence {
    pub(super) fn came(&mut self, peer: SocketAddr, user: &str, client: &str, device: Option<&DeviceId>) {
        self.left(peer);
        self.came += 1;
        let known = self.users.entry(user.to_owned()).or_default().entry(client.to_owned()).or_default();
        known.connections += 1;
        known.newest = self.came;
        known.device = device.cloned();
        self.connections.insert(peer, (user.to_owned(), client.to_owned()));
    }

    /// A connection is gone. Gives the device whose it was.
    pub(super) fn left(&mut self, peer: SocketAddr) -> Option<DeviceId> {
        let (user, client) = self.connections.remove(&peer)?;
        let clients = self.users.get_mut(&user)?;
        if let Some(known) = clients.get_mut(&client).filter(|known| known.connections > 1) {
            known.connections -= 1;
            return known.device.clone();
        }
        let known = clients.remove(&client);
        if clients.is_empty() {
            self.users.remove(&user);
        }
        known?.device
    }

    /// The clients of a user.
    pub(super) fn of(&self, user: &str) -> impl Iterator<Item = &str> {
        self.users.get(user).into_iter().flat_map(BTreeMap::keys).map(String::as_str)
    }

    /// Every client.
    pub(super) fn all(&self) -> BTreeSet<&str> {
        self.users.values().flat_map(BTreeMap::keys).map(String::as_str).collect()
    }

    /// The devices, and the number of each one's newest connection.
    pub(super) fn devices(&self) -> impl Iterator<Item = (&DeviceId, u64)> {
        self.users.values().flat_map(BTreeMap::values).filter_map(|known| Some((known.device.as_ref()?, known.newest)))
    }

    /// Whether a user has room for a client among so many.
    pub(super) fn has_room(&self, user: &str, client: &str, most: usize) -> bool {
        self.users.get(user).is_none_or(|clients| clients.len() < most || clients.contains_key(client))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    #[test]
    fn a_takeover_does_not_end_presence() {
        let mut presence = Presence::default();
        presence.came(peer(1), "ada", "lamp", None);
        presence.came(peer(2), "ada", "lamp", None);
        presence.left(peer(1));
        assert_eq!(presence.of("ada").collect::<Vec<_>>(), ["lamp"], "the new one is there");
        presence.left(peer(1));
        assert_eq!(presence.all().len(), 1, "who is gone cannot go again");
        presence.left(peer(2));
        assert_eq!((presence.of("ada").count(), presence.all().len()), (0, 0));
        presence.came(peer(1), "ada", "lamp", None);
        presence.came(peer(1), "bob", "lamp", None);
        assert_eq!((presence.of("ada").count(), presence.of("bob").count()), (0, 1), "a connection is one user's");
    }

    #[test]
    fn each_connection_has_a_number() {
        let mut presence = Presence::default();
        let device: DeviceId = "A1B2C3".parse().unwrap();
        let number = |presence: &Presence| presence.devices().map(|(_, number)| number).collect::<Vec<_>>();
        presence.came(peer(1), "A1B2C3", "BLE-Gateway-A1B2C3", Some(&device));
        presence.came(peer(2), "eve", "BLE-Gateway-A1B2C4", None);
        let first = number(&presence);
        presence.came(peer(3), "A1B2C3", "BLE-Gateway-A1B2C3", Some(&device));
        presence.left(peer(1));
        let second = number(&presence);
        assert!(first.len() == 1 && second.len() == 1 && second > first, "only a device is one: {first:?}, {second:?}");
        presence.left(peer(3));
        assert!(number(&presence).is_empty());
    }

    #[test]
    fn a_user_has_so_many_clients_and_no_more() {
        let mut presence = Presence::default();
        presence.came(peer(1), "ada", "one", None);
        presence.came(peer(2), "ada", "two", None);
        presence.came(peer(3), "bob", "three", None);
        assert!(!presence.has_room("ada", "four", 2) && presence.has_room("ada", "two", 2), "its own place is its own");
        assert!(presence.has_room("bob", "four", 2) && presence.has_room("eve", "four", 2));
    }
}
