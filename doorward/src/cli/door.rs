//! `doorward door …`

use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum Door {
    /// All doors
    List,
    /// One door with its evidence
    Show {
        /// Id or unique name
        door: String,
    },
    /// Open for a moment
    Open(Act),
    /// Draw the bolt
    Unlock(Act),
    /// Throw the bolt
    Lock {
        /// Id or unique name
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        door: Option<String>,
        /// Every door that can be locked
        #[arg(long)]
        all: bool,
        /// How long to wait for the outcome
        #[arg(long, default_value = "45s", value_parser = span)]
        wait: std::time::Duration,
    },
    /// Ask the door for its state
    Refresh(Act),
    /// Change how a door is set up
    Set {
        /// Id or unique name
        door: String,
        /// A new name
        #[arg(long)]
        name: Option<String>,
        /// The id of its site
        #[arg(long)]
        site: Option<String>,
        /// Lock again so many minutes after it was seen unlocked, or “off”; without --auto-lock-at that one is off
        #[arg(long, value_name = "MINUTES")]
        auto_lock_after: Option<String>,
        /// Lock every day at this time of its site, such as 22:00, or “off”; without --auto-lock-after that one is off
        #[arg(long, value_name = "TIME")]
        auto_lock_at: Option<String>,
        /// Opens by the admin socket even when nothing can be written down: a way out
        #[arg(long)]
        fail_open: Option<bool>,
        /// Ask for the code that commands over MQTT must carry to open the door; “off” for none
        #[arg(long, value_name = "CODE")]
        mqtt_code: Option<String>,
        /// Where whoever rings can be seen, such as a page of go2rtc; “off” for nowhere
        #[arg(long, value_name = "URL")]
        stream: Option<String>,
    },
    /// Remove a door that is gone; its events stay
    Remove {
        /// Id or unique name
        door: String,
    },
    /// PIN codes that the lock keeps by itself
    #[command(subcommand)]
    Code(Code),
}

#[derive(Debug, Args)]
pub(crate) struct Act {
    /// Id or unique name
    pub(crate) door: String,
    /// How long to wait for the outcome
    #[arg(long, default_value = "45s", value_parser = span)]
    pub(crate) wait: std::time::Duration,
    /// Stale after this time (RFC 3339)
    #[arg(long)]
    pub(crate) not_after: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Code {
    /// The codes at a door
    List {
        /// Id or unique name
        door: String,
    },
    /// Add a code; asks for the digits
    Add {
        /// Id or unique name
        door: String,
        /// Who it is for
        name: String,
        #[command(flatten)]
        wish: CodeWish,
    },
    /// Change a code
    Update {
        /// Id or unique name
        door: String,
        /// The code's id
        code: String,
        /// A new name
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        wish: CodeWish,
    },
    /// Delete a code
    Delete {
        /// Id or unique name
        door: String,
        /// The code's id
        code: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct CodeWish {
    /// A file that holds the digits, or - for standard input; asked for when absent
    #[arg(long, value_name = "FILE")]
    pub(crate) pin_file: Option<PathBuf>,
    /// normal, temporary or admin
    #[arg(long, value_parser = ["normal", "temporary", "admin"])]
    pub(crate) kind: Option<String>,
    /// First moment, in the door's time zone: 2026-11-23T15:00
    #[arg(long)]
    pub(crate) from: Option<String>,
    /// Last moment, in the door's time zone
    #[arg(long)]
    pub(crate) until: Option<String>,
    /// Weekdays: mon-fri, or sat,sun
    #[arg(long, value_delimiter = ',')]
    pub(crate) weekdays: Vec<String>,
    /// Daily hours: 08:00-18:00
    #[arg(long)]
    pub(crate) hours: Option<String>,
    /// How often it opens
    #[arg(long)]
    pub(crate) uses: Option<u32>,
}

/// A span of time such as `10s` or `1m30s`.
pub(super) fn span(text: &str) -> Result<std::time::Duration, String> {
    let span: jiff::SignedDuration = text.parse().map_err(|_| "write a span such as 10s or 1m".to_owned())?;
    if span.is_negative() { Err("must not be negative".into()) } else { Ok(span.unsigned_abs()) }
}
