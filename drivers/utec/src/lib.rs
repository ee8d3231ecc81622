//! Locks in the U-tec cloud (sold as U-tec, Ultraloq and Xthings).
//!
//! One [`Utec`] serves one account: it signs in by `OAuth`, renews its token before it ends, lists the locks, asks
//! for their state, locks and unlocks them, keeps their PIN codes, and takes the cloud's pushes.
//!
//! It must never unlock twice for one command, use a token that is not on disk yet, believe the cloud's "OK" about a
//! door, or ask again with a refresh token that the cloud has called dead.
//!
//! Reading on: `driver` (what the house asks of it), `watch` (what it does by itself), `client` (one call to the
//! cloud with everything that can go wrong), `signin` and [`doorward_oauth`] (signing in and staying so), `shapes` (how a lock
//! command is written), `locks` and [`states`] (listing, asking, and reading the answers), `codes` and `users` (PIN
//! codes), `push`, [`legacy`] (files of the older gateway).
//!
//! ```
//! use doorward_core::driver::Settings;
//!
//! // The program installs the one cryptographic provider first thing.
//! rustls::crypto::aws_lc_rs::default_provider().install_default().unwrap();
//!
//! let mut settings = Settings::default();
//! settings.values.insert("access_key".into(), "AK".into());
//! settings.values.insert("base_url".into(), "http://example.com".into());
//! let mistakes = (doorward_utec::ENTRY.build)(&settings).err().unwrap();
//! let keys: Vec<&str> = mistakes.iter().map(|mistake| mistake.key.as_str()).collect();
//! assert_eq!(keys, ["base_url", "secret_key"], "everything that is wrong is told at once");
//!
//! settings.values.remove("base_url");
//! settings.secrets.insert("secret_key".into(), "SK".into());
//! let driver = (doorward_utec::ENTRY.build)(&settings).unwrap();
//! assert_eq!(driver.about().kind, "utec");
//! ```

mod about;
mod client;
mod codes;
mod config;
mod driver;
mod http;
pub mod legacy;
mod locks;
mod push;
mod shapes;
mod signin;
pub mod states;
mod users;
mod watch;

pub use about::about;
pub use config::Config;
pub use driver::Utec;

use doorward_core::driver::Entry;

/// The line of the driver table.
pub const ENTRY: Entry = Entry { kind: about::KIND, about, build: driver::build };
