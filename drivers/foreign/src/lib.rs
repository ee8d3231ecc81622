//! Doors behind MQTT or HTTP: a relay, another gateway, whatever opens on a message or a request.
//!
//! One [`Foreign`] serves all of them. A door has a target for each thing that it can do, and may have a place where its
//! state is told: a topic, or an address that is asked now and then.
//!
//! It must never send anything twice for one command, and never believe that a request that was taken moved anything:
//! that is for the door's state or its contact to say.
//!
//! Reading on: [`config`] (what a door has), `driver` (what the house asks), `watch` (what is heard and asked by itself),
//! `send` (one request and what it means).
//!
//! ```
//! use doorward_core::{Secret, driver::Settings};
//! use serde_json::json;
//!
//! // The program installs the one cryptographic provider first thing.
//! rustls::crypto::aws_lc_rs::default_provider().install_default().unwrap();
//!
//! let doors = json!([{ "id": "garage", "open": { "mqtt": "garage/set", "payload": "OPEN" } }]);
//! let mut settings = Settings::default();
//! settings.secrets.insert("doors".into(), Secret::new(doors.to_string()));
//! let driver = (doorward_foreign::ENTRY.build)(&settings).unwrap();
//! assert_eq!(driver.about().kind, "foreign");
//! ```

pub mod config;
mod driver;
mod send;
mod watch;

pub use driver::Foreign;

use doorward_core::driver::{About, Entry, Field, FieldKind};
use std::time::Duration;

/// The word in configuration and API.
pub const KIND: &str = "foreign";

/// The line of the driver table.
pub const ENTRY: Entry = Entry { kind: KIND, about, build: driver::build };

/// What this driver is and can do.
pub fn about() -> About {
    About {
        kind: KIND,
        title: "Doors behind MQTT or HTTP",
        summary: "Relays, other gateways, whatever opens on a message or a request. Set up in the configuration file.",
        fields: &[Field {
            name: "doors",
            label: "Doors",
            help: "The doors as a JSON list. The configuration file writes it from its [[doors]] of kind “foreign”.",
            kind: FieldKind::Secret,
            default: "",
            required: true,
        }],
        steps: &[],
        verify: [1, 3, 10, 30].map(Duration::from_secs).to_vec(),
        // A topic speaks when something changes.
        stale_after: Duration::from_hours(25),
        signs_in_here: false,
        calls: &[],
        only_in_file: true,
    }
}
