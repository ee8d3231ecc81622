//! What a driver is, before and beside its account: its words, its settings, its steps, and how it is made.

use super::Driver;
use crate::Secret;
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// What a driver is and can do.
#[derive(Debug, Clone)]
pub struct About {
    /// The word in configuration and API: `utec`.
    pub kind: &'static str,
    /// The vendor's name, as people know it.
    pub title: &'static str,
    /// One sentence for the page where an account is added.
    pub summary: &'static str,
    /// Settings of an account.
    pub fields: &'static [Field],
    /// Steps of sign-in and set-up, in their order.
    pub steps: &'static [Step],
    /// The vendor's sign-in page can be served on this machine, to a browser that runs here too: `start` takes
    /// `{"here":true}`.
    pub signs_in_here: bool,
    /// The vendor's own calls that support may make ([`Action::Call`](super::Action::Call)).
    pub calls: &'static [&'static str],
    /// Offsets after a command's answer at which the door is asked again.
    pub verify: Vec<Duration>,
    /// How old evidence may be before it counts as none.
    pub stale_after: Duration,
    /// An account of this kind is made by the configuration file alone, and is not offered elsewhere.
    pub only_in_file: bool,
}

/// One setting of an account.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// The key in configuration and API.
    pub name: &'static str,
    /// What people read beside the input.
    pub label: &'static str,
    /// What it is for and where to find it.
    pub help: &'static str,
    /// What kind of value.
    pub kind: FieldKind,
    /// The value when nothing is set, as text.
    pub default: &'static str,
    /// An account does not work without it.
    pub required: bool,
}

impl Field {
    /// Whether it says to whom the account's secrets go: changing it gives them out.
    pub fn names_a_server(&self) -> bool {
        self.kind == FieldKind::Url || matches!(self.name, "sip_server" | "ca_file" | "pin_sha256")
    }
}

/// What kind of value a setting has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    /// A text.
    Text,
    /// A text that is sealed at rest and never shown again.
    Secret,
    /// An `https://` address (or `http://` on loopback).
    Url,
    /// A whole number.
    Number,
    /// On or off.
    Switch,
}

/// One step of sign-in or set-up.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// The word in the API: `start`, `exchange`.
    pub name: &'static str,
    /// What people read on the button.
    pub label: &'static str,
    /// What happens and what is needed.
    pub help: &'static str,
}

/// The settings of one account, as the store and the configuration file give them. Values are JSON; secrets come apart.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Values that may be shown.
    pub values: BTreeMap<String, Value>,
    /// Values that may not.
    pub secrets: BTreeMap<String, Secret<String>>,
}

/// A setting that cannot be used, with its key and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {hint}")]
pub struct Mistake {
    /// The key.
    pub key: String,
    /// What is wrong and what to write instead.
    pub hint: String,
}

/// Makes a driver for one account, or says everything that is wrong with its settings at once.
pub type Build = fn(&Settings) -> Result<Arc<dyn Driver>, Vec<Mistake>>;

/// A line of the driver table in the binary.
#[derive(Clone, Copy)]
pub struct Entry {
    /// The word in configuration and API.
    pub kind: &'static str,
    /// What it is, before an account exists.
    pub about: fn() -> About,
    /// Makes a driver for one account.
    pub build: Build,
}
