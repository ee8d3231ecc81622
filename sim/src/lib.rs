//! Simulators of what doorward talks to: the clouds, locks and devices of other makers.
//!
//! They run in the same process as a test, or alone with `doorward sim`, and `doorward demo` is built on
//! them. Each one is a real server on a real port, with things inside that behave physically (a bolt takes
//! time to travel, can jam, can be turned by hand), and with **faults that can be switched on while it
//! runs**.
//!
//! Two rules keep a simulator honest:
//!
//! * **It shares no parser with the driver that it tests.** Requests are read here by walking JSON by hand;
//!   a driver that writes a field wrongly is told so.
//! * **Only tests and the program's `demo` and `sim` commands use it**; no driver and no library does.
//!
//! Time comes from a [`Clock`]: [`SystemClock`] for people, [`HandClock`] for tests, which move it themselves
//! and never sleep. Tokens and ids come from a seed, so that a run can be repeated.
//!
//! Where to read next: [`utec`] (the U-tec cloud: `OAuth`, `/action`, pushes, locks), [`legrand`] (BTicino's: sign-in, REST,
//! certificates, SIP, gates and bells), [`relay`] (a relay behind HTTP), [`jeedom`] (its JSON-RPC API),
//! [`device`] (gateways of a fleet), [`air`] (Bluetooth radios, and those who listen to them).
//!
//! ```
//! use doorward_sim::utec::{self, Bolt, Config, Position};
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! let sim = utec::start(Config::default()).await?;
//! assert!(sim.base_url().starts_with("http://127.0.0.1:"));
//!
//! // Somebody turns the key of the front door; a driver that asks is told so.
//! sim.turn("7C:DF:A1:68:3E:6A", Bolt::Unlocked);
//! assert_eq!(sim.lock("7C:DF:A1:68:3E:6A").position, Position::Unlocked);
//! sim.stop().await;
//! # Ok::<(), std::io::Error>(()) }).unwrap();
//! ```

pub mod air;
mod clock;
pub mod device;
mod dice;
mod disk;
pub mod emqx;
mod fault;
mod html;
pub mod jeedom;
pub mod legrand;
pub mod relay;
mod server;
pub mod utec;

pub use clock::{Clock, HandClock, SystemClock};
pub use fault::{Fault, Scope};
