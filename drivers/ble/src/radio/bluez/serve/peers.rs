//! Who is connected to what we serve.

use crate::radio::{Address, Peer, PeerId};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// Connections that are told apart. Adapters carry fewer.
const MOST_PEERS: usize = 64;
/// What every connection carries (Core Specification 5.4, volume 3, part G, 5.2.1).
const LEAST_MTU: u16 = 23;

/// Those that asked for something, and those of whom is only known that they are connected.
#[derive(Default)]
pub(super) struct Peers {
    asked: HashMap<String, Known>,
    connected: HashMap<String, Address>,
}

struct Known {
    peer: Peer,
    /// What was read, for who reads on.
    values: HashMap<Uuid, Vec<u8>>,
}

impl Peers {
    pub(super) fn devices(&self) -> Vec<String> {
        let all: HashSet<&String> = self.asked.keys().chain(self.connected.keys()).collect();
        all.into_iter().cloned().collect()
    }

    pub(super) fn connected(&mut self, device: &str, address: Address) {
        if self.connected.len() < MOST_PEERS {
            self.connected.insert(device.into(), address);
        }
    }

    /// A connection is over: its name, if it asked for something.
    pub(super) fn disconnected(&mut self, device: &str) -> Option<PeerId> {
        self.connected.remove(device);
        self.asked.remove(device).map(|known| known.peer.id)
    }

    /// Somebody asks for something. `None` when there are too many.
    pub(super) fn asks(&mut self, device: &str, address: Address, mtu: Option<u16>, id: impl FnOnce() -> PeerId) -> Option<Peer> {
        if self.asked.len() >= MOST_PEERS && !self.asked.contains_key(device) {
            return None;
        }
        let new = || Known { peer: Peer { id: id(), address, mtu: LEAST_MTU }, values: HashMap::new() };
        let known = self.asked.entry(device.into()).or_insert_with(new);
        known.peer.mtu = mtu.unwrap_or(known.peer.mtu).max(LEAST_MTU);
        Some(known.peer)
    }

    /// The one that is connected, if it is one.
    pub(super) fn only(&mut self, id: impl FnOnce() -> PeerId) -> Option<Peer> {
        let mut all = self.asked.iter().map(|(device, known)| (device, known.peer.address)).collect::<HashMap<_, _>>();
        all.extend(self.connected.iter().map(|(device, address)| (device, *address)));
        let mut all = all.into_iter();
        let (Some((device, address)), None) = (all.next(), all.next()) else { return None };
        let device = device.clone();
        self.asks(&device, address, None, id)
    }

    pub(super) fn find(&self, id: PeerId) -> Option<Peer> {
        self.asked.values().map(|known| known.peer).find(|peer| peer.id == id)
    }

    /// Remembers what was read, unless that connection is over.
    pub(super) fn remember(&mut self, device: &str, id: PeerId, characteristic: Uuid, value: &[u8]) {
        if let Some(known) = self.asked.get_mut(device).filter(|known| known.peer.id == id) {
            known.values.insert(characteristic, value.into());
        }
    }

    /// What follows of a value that was read.
    pub(super) fn rest(&self, device: &str, characteristic: Uuid, from: usize) -> Option<Vec<u8>> {
        self.asked.get(device)?.values.get(&characteristic)?.get(from..).map(Into::into)
    }
}
