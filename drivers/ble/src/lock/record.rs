//! What is kept, as bytes: a byte for the kind, then one entry after the other. Numbers have the high byte first.

use super::{
    orders::List,
    session::{Facts, Used},
};
use crate::radio::Address;
use doorward_wire::ble::{
    token::{Nonce, SessionKey, SlotLength},
    v2::Ways,
};
use std::collections::HashMap;

const SESSIONS: u8 = 1;
const ORDERS: u8 = 2;
const COMMANDS: u8 = 3;

/// The bits of the ways that a session has.
const WAYS: [(u8, Ways); 3] = [(1, Ways::TOKEN), (2, Ways::HINTED), (4, Ways::CHALLENGE)];

/// The value of a drawer of sessions; `None` when it is empty.
pub(super) fn write_sessions<'a>(all: impl Iterator<Item = &'a Facts>) -> Option<Vec<u8>> {
    let all: Vec<&Facts> = all.collect();
    // As long as it gets, so that no key stays behind where it was before.
    let length = all.iter().map(|facts| 160 + 8 * facts.used.slots.len()).sum::<usize>();
    let mut out = Vec::with_capacity(1 + length);
    out.push(SESSIONS);
    for facts in &all {
        text(&mut out, facts.nonce.as_str());
        out.extend_from_slice(facts.key.expose());
        out.extend_from_slice(&facts.expiry.to_be_bytes());
        out.extend_from_slice(&facts.clock_offset.to_be_bytes());
        let ways = WAYS.iter().filter(|(_, way)| facts.ways.has(*way)).map(|(bit, _)| bit).sum();
        out.extend_from_slice(&[facts.slot.seconds(), ways]);
        optional(&mut out, facts.phone.map(|phone| phone.0));
        optional(&mut out, facts.fingerprint);
        optional(&mut out, facts.used.floor.map(u64::to_be_bytes));
        out.push(u8::try_from(facts.used.slots.len()).unwrap_or(u8::MAX));
        facts.used.slots.iter().for_each(|slot| out.extend_from_slice(&slot.to_be_bytes()));
    }
    (!all.is_empty()).then_some(out)
}

pub(super) fn sessions(value: &[u8]) -> Option<Vec<Facts>> {
    let mut reader = Reader::of(SESSIONS, value)?;
    let mut all = Vec::new();
    while !reader.0.is_empty() {
        all.push(Facts {
            nonce: reader.text()?.parse().ok()?,
            key: SessionKey::new(reader.array()?),
            expiry: u64::from_be_bytes(reader.array()?),
            clock_offset: i64::from_be_bytes(reader.array()?),
            slot: SlotLength::new(reader.byte()?).ok()?,
            ways: reader.ways()?,
            phone: reader.optional()?.map(Address),
            fingerprint: reader.optional()?,
            used: Used { floor: reader.optional()?.map(u64::from_be_bytes), slots: reader.slots()? },
        });
    }
    Some(all)
}

pub(super) fn write_orders(list: &List) -> Vec<u8> {
    let mut out = vec![ORDERS];
    optional(&mut out, list.seq.map(u64::to_be_bytes));
    optional(&mut out, list.epoch.map(u32::to_be_bytes));
    for (nonce, expiry) in &list.revoked {
        text(&mut out, nonce.as_str());
        out.extend_from_slice(&expiry.to_be_bytes());
    }
    out
}

pub(super) fn orders(value: &[u8]) -> Option<List> {
    let mut reader = Reader::of(ORDERS, value)?;
    let mut list = List {
        seq: reader.optional()?.map(u64::from_be_bytes),
        epoch: reader.optional()?.map(u32::from_be_bytes),
        revoked: HashMap::new(),
    };
    while !reader.0.is_empty() {
        let nonce: Nonce = reader.text()?.parse().ok()?;
        list.revoked.insert(nonce, u64::from_be_bytes(reader.array()?));
    }
    Some(list)
}

pub(super) fn write_commands(done: &HashMap<String, u64>) -> Vec<u8> {
    let mut out = vec![COMMANDS];
    for (id, not_after) in done {
        text(&mut out, id);
        out.extend_from_slice(&not_after.to_be_bytes());
    }
    out
}

pub(super) fn commands(value: &[u8]) -> Option<HashMap<String, u64>> {
    let mut reader = Reader::of(COMMANDS, value)?;
    let mut done = HashMap::new();
    while !reader.0.is_empty() {
        let id = reader.text()?.to_owned();
        done.insert(id, u64::from_be_bytes(reader.array()?));
    }
    Some(done)
}

/// A text of at most 64 bytes.
fn text(out: &mut Vec<u8>, text: &str) {
    out.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
    out.extend_from_slice(text.as_bytes());
}

fn optional<const N: usize>(out: &mut Vec<u8>, value: Option<[u8; N]>) {
    out.push(value.is_some().into());
    out.extend_from_slice(value.as_ref().map_or(&[], |value| &value[..]));
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn of(kind: u8, value: &'a [u8]) -> Option<Self> {
        value.strip_prefix(&[kind]).map(Self)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    fn text(&mut self) -> Option<&'a str> {
        let (text, rest) = self.byte().and_then(|length| self.0.split_at_checked(length.into()))?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }

    #[expect(clippy::option_option, reason = "the outer one is whether it can be read")]
    fn optional<const N: usize>(&mut self) -> Option<Option<[u8; N]>> {
        match self.byte()? {
            0 => Some(None),
            1 => self.array().map(Some),
            _ => None,
        }
    }

    fn ways(&mut self) -> Option<Ways> {
        let bits = self.byte()?;
        WAYS.into_iter().filter(|(bit, _)| bits & bit != 0).map(|(_, way)| way).reduce(Ways::and)
    }

    fn slots(&mut self) -> Option<Vec<u64>> {
        let slots: Vec<u64> = (0..self.byte()?).map(|_| self.array().map(u64::from_be_bytes)).collect::<Option<_>>()?;
        slots.is_sorted().then_some(slots)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_reads_back() {
        let facts = |nonce: [u8; 8], phone, fingerprint, floor, slots: &[u64]| Facts {
            key: SessionKey::new([9; 32]),
            nonce: Nonce::new(nonce),
            expiry: 1_800_000_000,
            clock_offset: -86_400,
            slot: SlotLength::new(5).unwrap(),
            ways: Ways::HINTED.and(Ways::CHALLENGE),
            phone,
            fingerprint,
            used: Used { floor, slots: slots.into() },
        };
        let all = vec![
            facts([0; 8], None, None, None, &[]),
            facts([1; 8], Some(Address([1, 2, 3, 4, 5, 6])), Some([7; 10]), Some(3), &[4, u64::MAX]),
        ];
        let written = write_sessions(all.iter()).unwrap();
        assert_eq!(sessions(&written), Some(all));
        assert_eq!(write_sessions([].into_iter()), None);
        for cut in 1..written.len() {
            let read = sessions(&written[..cut]);
            assert!(read.is_none_or(|read| read.len() < 2), "{cut}");
        }

        let list = List { seq: Some(7), epoch: None, revoked: [(Nonce::new([1; 8]), 5)].into() };
        assert_eq!(orders(&write_orders(&list)), Some(list));
        let done = HashMap::from([("a".to_owned(), 1), (String::new(), 2)]);
        assert_eq!(commands(&write_commands(&done)), Some(done));
        assert_eq!((orders(&written), commands(b"")), (None, None));
    }
}
