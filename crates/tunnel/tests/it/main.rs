//! The tunnel as phones and strangers see it: a real listener, a real store and broker, servers that misbehave.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on must end")]

mod age;
mod corpus;
mod destinations;
mod doors;
mod keys;
mod relays;
mod strangers;
mod streams;
mod support;
mod v2;
mod vectors;
