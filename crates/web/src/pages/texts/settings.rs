//! Sentences of the settings page.

use super::{Texts, state::Tone};
use doorward_core::scope::Scope;

impl Texts {
    pub(crate) fn signed_in_as(&self, name: &str) -> String {
        format!("Signed in as {name}.")
    }

    pub(crate) fn defaults(&self, count: usize) -> String {
        if count == 1 { "1 setting as it comes".into() } else { format!("{count} settings as they come") }
    }

    pub(crate) fn name_and_you(&self, name: &str) -> String {
        format!("{name} (you)")
    }

    pub(crate) fn link_for(&self, name: &str) -> String {
        format!("Sign-in link for {name}")
    }

    pub(crate) fn link_given(&self, name: &str) -> String {
        format!("Give it to {name} by a way that only they can read. It works once, for 15 minutes.")
    }

    pub(crate) fn token_note(&self, made: &str, ends: Option<(&str, bool)>, used: bool) -> String {
        let ends = match ends {
            Some((end, true)) => format!("ended {end}"),
            Some((end, false)) => format!("ends {end}"),
            None => "does not end".into(),
        };
        format!("made {made} · {ends} · {}", if used { "last used" } else { "never used" })
    }

    pub(crate) fn token_made(&self, name: &str) -> String {
        format!("Token for {name}")
    }

    pub(crate) fn revoke_token(&self, name: &str) -> String {
        format!("Revoke the token of {name}")
    }

    pub(crate) fn remove_site(&self, name: &str) -> String {
        format!("Remove {name}")
    }

    /// What a scope allows.
    pub(crate) const fn scope(&self, scope: &Scope) -> &'static str {
        match scope {
            Scope::DoorsRead => "See doors and ask for their state.",
            Scope::DoorsAct(_) => "See every door and open, lock and unlock it.",
            Scope::EventsRead => "Read what happened.",
            Scope::Accounts => "Manage vendor accounts and codes at locks.",
            Scope::People => "Manage people and tokens.",
            Scope::Devices { .. } => "Manage devices.",
            Scope::Config => "Read and change settings.",
            Scope::Metrics => "Read metrics, for Prometheus.",
            Scope::Admin => "Everything.",
        }
    }

    pub(crate) fn scope_door(&self, door: &str) -> String {
        format!("See {door} and open, lock and unlock it.")
    }

    pub(crate) fn change_setting(&self, path: &str) -> String {
        format!("Change {path}")
    }

    /// Where a setting comes from.
    pub(crate) fn setting_source(&self, source: &str) -> (&'static str, Tone) {
        match source {
            "environment" => ("Environment", "busy"),
            "file" => ("File", "busy"),
            "database" => ("Set here", "ok"),
            _ => ("Default", "calm"),
        }
    }

    /// A size in words.
    pub(crate) fn bytes(&self, bytes: u64) -> String {
        const MIB: u64 = 1 << 20;
        if bytes >= 10_240 * MIB { format!("{} GiB", bytes / (1024 * MIB)) } else { format!("{} MiB", bytes / MIB) }
    }
}
