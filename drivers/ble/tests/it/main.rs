//! A lock's core by hand, and radios in the simulated air.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics, in its helpers too")]

mod approach;
mod bench;
mod gestures;
mod kept;
mod many;
mod once;
mod orders;
mod tokens;
