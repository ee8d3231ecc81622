//! A lock's core by hand, and radios in the simulated air.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics, in its helpers too")]

mod air;
mod approach;
mod bench;
mod gatt;
mod gestures;
mod kept;
mod many;
mod once;
mod orders;
mod scene;
mod thief;
mod tokens;
