//! `doorward ring …`

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum Ring {
    /// What rings and what rang, the newest first
    List {
        /// At this door only, by id or unique name
        #[arg(long)]
        door: Option<String>,
        /// Only those that stand so, such as ringing or timeout
        #[arg(long)]
        state: Option<String>,
        /// How many at most
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// One ring
    Show {
        /// Its id
        ring: String,
    },
    /// Ignore a ring; one that is over stays as it ended
    Ignore {
        /// Its id
        ring: String,
    },
}
