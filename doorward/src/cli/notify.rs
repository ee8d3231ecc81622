//! `doorward notify …`

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum Notify {
    /// How people are told of what happens, and how that went last
    Show,
    /// Send a message that says nothing, and show what became of it
    Test {
        /// Only this way: push, ntfy or mail
        #[arg(long)]
        channel: Option<String>,
    },
}
