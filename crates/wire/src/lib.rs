//! The formats that doorward speaks at both ends.
//!
//! A door, an attempt and an event look the same in the HTTP API, on the command line, over MQTT and in the tunnel.
//! They are written here once, for the server that makes them and for the client that reads them. No IO, no clock,
//! `no_std` with `alloc`: ESP32 firmware and phones can link this crate.
//!
//! It must never decide anything: rules live in `doorward-core`.
//!
//! Read next: [`door`] for what a door is, [`attempt`] for what became of a command, [`ring`] for what came of a ring,
//! [`event`] for what is told about it, [`grant`] for rights to open, [`device`](mod@device) for the gateways of a fleet, `ble`
//! (a feature) for locks that phones open over Bluetooth.
//!
//! ```
//! use doorward_wire::{attempt::AttemptState, door::{DoorId, DoorState}};
//!
//! let door: DoorId = "front_door".parse().unwrap();
//! assert_eq!(door.as_str(), "front_door");
//! assert_eq!(DoorState::Locked.as_str(), "locked");
//! assert!(AttemptState::Contradicted.is_final());
//! ```
// The schema macros write `std::` paths.
#![cfg_attr(not(feature = "openapi"), no_std)]

extern crate alloc;

pub mod account;
pub mod attempt;
#[cfg(feature = "ble")]
pub mod ble;
pub mod code;
pub mod device;
pub mod door;
pub mod event;
pub mod firmware;
pub mod grant;
mod id;
pub mod improv;
pub mod notify;
pub mod nvs;
mod problem;
pub mod ring;
mod time;
pub mod topic;
pub mod tunnel;
pub mod webhook;
mod words;

pub use id::IdError;
pub use problem::Problem;
pub use time::{Time, TimeError};
