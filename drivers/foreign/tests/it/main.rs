//! Foreign doors behind a real server on a loopback port and a broker by hand.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics, in its helpers too")]

mod conformance;
mod doors;
mod house;
