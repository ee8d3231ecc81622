//! `doorward webhook …`

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum Webhook {
    /// Add a webhook; the secret that its messages are signed with is made and shown once
    Add {
        /// What it is called
        name: String,
        /// Where messages go: https://…, or http://… in a private network
        #[arg(value_name = "URL")]
        address: String,
        #[command(flatten)]
        wants: WebhookWants,
        /// It may be on this machine or in a private network
        #[arg(long)]
        allow_private: bool,
    },
    /// All webhooks, and how they stand
    List,
    /// Change a webhook
    Set {
        /// Its id
        webhook: String,
        /// A new name
        #[arg(long)]
        name: Option<String>,
        /// A new address
        #[arg(long, value_name = "URL")]
        address: Option<String>,
        #[command(flatten)]
        wants: WebhookWants,
        /// It may be on this machine or in a private network
        #[arg(long)]
        allow_private: Option<bool>,
        /// Whether messages are sent
        #[arg(long)]
        enabled: Option<bool>,
    },
    /// Send a message that says nothing, and show what the endpoint makes of it
    Test {
        /// Its id
        webhook: String,
    },
    /// Make a new secret, shown once; the one before signs along for a day
    Rotate {
        /// Its id
        webhook: String,
    },
    /// What was sent and what waits, the newest event first
    Deliveries {
        /// Its id
        webhook: String,
        /// How many at most
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Send a message once more
    Retry {
        /// The webhook's id
        webhook: String,
        /// The message, as `deliveries` lists it
        message: String,
    },
    /// Remove a webhook and its deliveries
    Remove {
        /// Its id
        webhook: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct WebhookWants {
    /// Only this kind of event, such as door.unlocked; may be given several times, and '*' is every kind
    #[arg(long, value_name = "KIND")]
    pub(crate) event: Option<Vec<String>>,
    /// Only events about this door, by id or unique name; may be given several times, and '*' is every event
    #[arg(long, value_name = "DOOR")]
    pub(crate) door: Option<Vec<String>>,
}
