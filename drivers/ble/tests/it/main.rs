//! A lock's core by hand, and radios in the simulated air.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics, in its helpers too")]

mod air;
mod approach;
mod bench;
mod book;
mod ether;
mod gatt;
mod gestures;
mod guest;
mod issuer;
mod kept;
mod keys;
mod many;
mod once;
mod orders;
mod pace;
mod scene;
mod thief;
mod tokens;
