//! BTicino and Legrand door entry: gates and locks behind a connected intercom of theirs, and its bell.
//!
//! One [`Bticino`] serves one account: it signs in by the vendor's own page, registers as one more phone at the account's
//! gateways, gets a client certificate for each, and keeps one SIP connection to each warm, over which gates are opened in
//! one round trip and bells ring.
//!
//! It must never send an opening twice, believe that a gate moved because the vendor took the command, use a token or
//! certificate that is not on disk yet, or speak to a SIP server that is not the pinned one.
//!
//! # As a library
//! [`Client`] is the driver for a program that wants gates and no house: the original's two examples are
//! `examples/sign_in.rs` and `examples/open.rs`. Here the vendor is the simulated one:
//!
//! ```
//! use doorward_bticino::{Client, Standalone};
//! use doorward_core::{Secret, driver::Settings};
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! # let sim = doorward_sim::legrand::start(Default::default()).await?;
//! # let mut settings = Settings::default();
//! # for key in ["login_url", "api_url"] { settings.values.insert(key.into(), sim.base_url().into()); }
//! # settings.values.insert("sip_server".into(), sim.sip_addr().to_string().into());
//! # settings.secrets.insert("subscription_key".into(), "sim-subscription-key".into());
//! # let person = |page: &str| Secret::new(sim.allow(page).unwrap());
//! let client = Client::new(&settings, Standalone::in_memory())?;
//! let page = client.sign_in_url().await?;
//! // Somebody signs in there, and gives back the address at which the browser ended.
//! client.sign_in(&person(&page)).await?;
//! client.register().await?;
//! for door in client.doors().await? {
//!     println!("{} is called {}", door.external, door.name);
//! }
//! client.open("gw-1234/20#2").await?;
//! # assert_eq!(sim.opener("20#2").commands_received, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
//! ```
//!
//! Every part of it can be used alone: [`csr`] and [`digest`] are pure functions, [`sip::session`] is a state machine without
//! a network, [`sip::line`] is one connection, [`proxy`] serves the vendor's page to a browser on this machine. They take a
//! [`Ctx`](doorward_core::driver::Ctx) for time, dice and what is kept, and [`Standalone`] is one.
//!
//! Reading on: `client` and `standalone` (without a house), `driver` (what the house asks of it), `watch` (what it does by itself), `gateway` (one connection, kept),
//! [`sip`] (what is said on it), `signin`, [`proxy`] and [`doorward_oauth`] (signing in), `registration` and `book` (what the
//! vendor is told, and what is kept of it), `api` and [`plants`] (calls, and reading their answers), [`csr`] and
//! [`certificate`], [`digest`], [`files`] (those of the older client), `stages` (how it stands, for people).

mod about;
mod api;
mod book;
pub mod certificate;
mod client;
mod config;
pub mod csr;
pub mod digest;
mod driver;
pub mod files;
mod gateway;
pub mod plants;
pub mod proxy;
mod registration;
mod signin;
pub mod sip;
mod stages;
mod standalone;
mod watch;

pub use about::about;
pub use client::{Client, Mistakes, settings_from_environment};
pub use config::Config;
pub use driver::Bticino;
pub use standalone::Standalone;

use doorward_core::driver::Entry;

/// The line of the driver table.
pub const ENTRY: Entry = Entry { kind: about::KIND, about, build: driver::build };
