//! BTicino and Legrand door entry: gates and locks behind a connected intercom of theirs, and its bell.
//!
//! One [`Bticino`] serves one account: it signs in by the vendor's own page, registers as one more phone at the account's
//! gateways, gets a client certificate for each, and keeps one SIP connection to each warm, over which gates are opened in
//! one round trip and bells ring.
//!
//! It must never send an opening twice, believe that a gate moved because the vendor took the command, use a token or
//! certificate that is not on disk yet, or speak to a SIP server that is not the pinned one.
//!
//! Reading on: `driver` (what the house asks of it), `watch` (what it does by itself), `gateway` (one connection, kept),
//! [`sip`] (what is said on it), `signin`, [`proxy`] and [`doorward_oauth`] (signing in), `registration` and `book` (what the
//! vendor is told, and what is kept of it), `api` and [`plants`] (calls, and reading their answers), [`csr`] and
//! [`certificate`], [`digest`], [`files`] (those of the older client), `stages` (how it stands, for people).

mod about;
mod api;
mod book;
pub mod certificate;
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
mod watch;

pub use about::about;
pub use config::Config;
pub use driver::Bticino;

use doorward_core::driver::Entry;

/// The line of the driver table.
pub const ENTRY: Entry = Entry { kind: about::KIND, about, build: driver::build };
