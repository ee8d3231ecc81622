//! Who is connected now.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::SocketAddr,
};

/// Connections, whose they are, and the client identifier of each: one that takes its own session over is there twice
/// for a moment.
#[derive(Debug, Default)]
pub(super) struct Presence {
    connections: HashMap<SocketAddr, (String, String)>,
    /// By user: its clients, and how many connections each has.
    users: BTreeMap<String, BTreeMap<String, u32>>,
}

impl Presence {
    pub(super) fn came(&mut self, peer: SocketAddr, user: &str, client: &str) {
        self.left(peer);
        *self.users.entry(user.to_owned()).or_default().entry(client.to_owned()).or_default() += 1;
        self.connections.insert(peer, (user.to_owned(), client.to_owned()));
    }

    pub(super) fn left(&mut self, peer: SocketAddr) {
        let Some((user, client)) = self.connections.remove(&peer) else { return };
        let Some(clients) = self.users.get_mut(&user) else { return };
        if let Some(count) = clients.get_mut(&client).filter(|count| **count > 1) {
            *count -= 1;
            return;
        }
        clients.remove(&client);
        if clients.is_empty() {
            self.users.remove(&user);
        }
    }

    /// The clients of a user.
    pub(super) fn of(&self, user: &str) -> impl Iterator<Item = &str> {
        self.users.get(user).into_iter().flat_map(BTreeMap::keys).map(String::as_str)
    }

    /// Every client.
    pub(super) fn all(&self) -> BTreeSet<&str> {
        self.users.values().flat_map(BTreeMap::keys).map(String::as_str).collect()
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
        presence.came(peer(1), "ada", "lamp");
        presence.came(peer(2), "ada", "lamp");
        presence.left(peer(1));
        assert_eq!(presence.of("ada").collect::<Vec<_>>(), ["lamp"], "the new one is there");
        presence.left(peer(1));
        assert_eq!(presence.all().len(), 1, "who is gone cannot go again");
        presence.left(peer(2));
        assert_eq!((presence.of("ada").count(), presence.all().len()), (0, 0));
        presence.came(peer(1), "ada", "lamp");
        presence.came(peer(1), "bob", "lamp");
        assert_eq!((presence.of("ada").count(), presence.of("bob").count()), (0, 1), "a connection is one user's");
    }

    #[test]
    fn a_user_has_so_many_clients_and_no_more() {
        let mut presence = Presence::default();
        presence.came(peer(1), "ada", "one");
        presence.came(peer(2), "ada", "two");
        presence.came(peer(3), "bob", "three");
        assert!(!presence.has_room("ada", "four", 2) && presence.has_room("ada", "two", 2), "its own place is its own");
        assert!(presence.has_room("bob", "four", 2) && presence.has_room("eve", "four", 2));
    }
}
