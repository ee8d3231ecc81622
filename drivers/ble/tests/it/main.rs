//! A lock's core by hand, and radios: in the simulated air, and with `BlueZ`, a false one and the real one.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics, in its helpers too")]

mod air;
mod approach;
mod bench;
mod bluez;
mod book;
mod corpus;
mod dbus;
mod driver;
mod elsewhere;
mod ether;
mod fake;
mod gatt;
mod gestures;
mod guest;
mod issuer;
mod kept;
mod keys;
mod lab;
mod many;
mod once;
mod orders;
mod pace;
mod scene;
mod thief;
mod tokens;
mod told;
