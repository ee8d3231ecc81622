//! A small client of the system bus: what `BlueZ` needs of D-Bus, and no more.
//!
//! [`Bus::connect`] gives two ends. [`Bus`] calls others, answers them and emits signals; [`Inbox`] is what comes by itself: signals
//! that were [listened](Bus::listen) for, and calls of objects of ours.
//!
//! It must never trust what comes: any process of this computer may send a signal or a call to anybody. Only those of the one
//! service that is [followed](Bus::connect) get into the inbox.
//!
//! Bytes are little-endian, in bounds that are far below those of the specification ([`MOST_MESSAGE`]); what is longer, has the other
//! order of bytes or is not understood is left out and counted, and the connection goes on. What nobody reads in time is dropped
//! and counted. File descriptors are not passed.
//!
//! Sections that are named here are those of the D-Bus specification, version 0.43.
//! Reading on: `value` (what can be said), `read` and `write` (its bytes), `message` (the envelope), `connect` (finding the bus and
//! signing in),
//! `bus` (what one does with the connection), `line` (its two tasks).

mod bus;
mod connect;
mod error;
mod line;
mod message;
mod read;
mod signature;
mod value;
mod write;

pub use bus::{Answer, Bus, Inbox, Patience};
pub use error::BusError;
pub use message::{Kind, Message, decode, encode};
pub use value::{Value, dict, paths, strings, variant};

/// Bytes of a message that is read or written. The specification allows 128 MiB.
pub const MOST_MESSAGE: usize = 128 << 10;
/// Values within values. The specification allows 64.
pub const MOST_DEPTH: usize = 24;
/// Values of one message: with the shortest ones that there are, [`MOST_MESSAGE`] would make more memory than it should.
pub const MOST_VALUES: usize = 32 << 10;
