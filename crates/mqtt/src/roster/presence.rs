//! Who is connected now.

use std::collections::BTreeMap;

/// The clients of each user. Each is counted: one that takes its own session over is told to have come before the
/// connection from before is told to have gone.
#[derive(Debug, Default)]
pub(super) struct Presence {
    /// By user: its clients, and how many connections each has.
    users: BTreeMap<String, BTreeMap<String, u32>>,
    /// Whose each client is.
    clients: BTreeMap<String, String>,
}

impl Presence {
    pub(super) fn came(&mut self, user: &str, client: &str) {
        *self.users.entry(user.to_owned()).or_default().entry(client.to_owned()).or_default() += 1;
        self.clients.insert(client.to_owned(), user.to_owned());
    }

    pub(super) fn went(&mut self, client: &str) {
        let Some(user) = self.clients.get(client).cloned() else { return };
        let Some(clients) = self.users.get_mut(&user) else { return };
        if let Some(count) = clients.get_mut(client).filter(|count| **count > 1) {
            *count -= 1;
            return;
        }
        clients.remove(client);
        if clients.is_empty() {
            self.users.remove(&user);
        }
        self.clients.remove(client);
    }

    /// The clients of a user.
    pub(super) fn of(&self, user: &str) -> impl Iterator<Item = &str> {
        self.users.get(user).into_iter().flat_map(BTreeMap::keys).map(String::as_str)
    }

    /// Every client.
    pub(super) fn all(&self) -> impl Iterator<Item = &str> {
        self.clients.keys().map(String::as_str)
    }

    /// Whether a user has room for a client among so many.
    pub(super) fn has_room(&self, user: &str, client: &str, most: usize) -> bool {
        self.users.get(user).is_none_or(|clients| clients.len() < most || clients.contains_key(client))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_takeover_does_not_end_presence() {
        let mut presence = Presence::default();
        presence.came("ada", "lamp");
        presence.came("ada", "lamp");
        presence.went("lamp");
        assert_eq!(presence.of("ada").collect::<Vec<_>>(), ["lamp"], "the new one is there");
        presence.went("lamp");
        assert_eq!((presence.of("ada").count(), presence.all().count()), (0, 0));
        presence.went("lamp");
        presence.came("ada", "lamp");
        assert_eq!(presence.all().collect::<Vec<_>>(), ["lamp"]);
    }

    #[test]
    fn a_user_has_so_many_clients_and_no_more() {
        let mut presence = Presence::default();
        presence.came("ada", "one");
        presence.came("ada", "two");
        presence.came("bob", "three");
        assert!(!presence.has_room("ada", "four", 2) && presence.has_room("ada", "two", 2), "its own place is its own");
        assert!(presence.has_room("bob", "four", 2) && presence.has_room("eve", "four", 2));
    }
}
