//! The rules of the house: what a door is asked, what is believed about it, and what is never done twice.
//!
//! The core has no IO, no tokio and no clock: time and dice are handed in. Around it, `doorward-engine` runs one loop.
//!
//! * [`keeper`] is the state machine: `handle`, `poll`, `deadline`.
//! * [`policy::decide`] is the one function that says who may open what.
//! * [`pass::plan`] says what becomes of a guest's pass at a door.
//! * [`driver::Driver`] is what a vendor or a radio looks like from here; [`conformance`] is what each must pass.
//!
//! It must never wait, store, publish or speak to a network, and it must never believe a vendor's "OK".
//!
//! ```
//! use doorward_core::{policy::{self, Place, Rights}, Now};
//! use doorward_wire::attempt::ActionWord;
//!
//! let door = "front_door".parse().unwrap();
//! let place = Place { door: &door, site: "home", time_zone: "Europe/Berlin", holidays: &[] };
//! let decision = policy::decide(&Rights::none(), place, ActionWord::Unlock, Now::default().utc);
//! assert!(!decision.allowed, "no grant, no door");
//! ```

pub mod conformance;
pub mod driver;
pub mod keeper;
pub mod pass;
pub mod policy;
pub mod record;
pub mod refusals;
pub mod rollout;
pub mod scope;
mod secret;
pub mod setup;
mod time;

pub use secret::Secret;
pub use time::{Mono, Now};
