//! `doorward mqtt …`

use clap::Subcommand;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum Mqtt {
    /// How MQTT stands: which broker, where, and whether it can be reached
    Show,
    /// The certificate of doorward's own authority as PEM, for clients that are to trust its broker
    Authority,
    /// Users of the broker
    #[command(subcommand)]
    User(MqttUser),
}

#[derive(Debug, Subcommand)]
pub(crate) enum MqttUser {
    /// Add a user; unless --password is given its password is made and shown once
    Add {
        /// The name with which it connects
        name: String,
        /// A topic filter that it may publish to, such as `doorward/door/front_door/set`; may be given several times
        #[arg(long, value_name = "FILTER")]
        publish: Vec<String>,
        /// A topic filter that it may subscribe to, such as `doorward/door/+/state`; may be given several times
        #[arg(long, value_name = "FILTER")]
        subscribe: Vec<String>,
        /// The one client identifier that it may use
        #[arg(long, value_name = "ID")]
        client_id: Option<String>,
        /// Ask for a password that was chosen, instead of making one
        #[arg(long)]
        password: bool,
        /// A file that holds a password that was chosen; “-” for standard input
        #[arg(long, value_name = "FILE", conflicts_with = "password")]
        password_file: Option<PathBuf>,
    },
    /// All users
    List,
    /// Change what a user may do; its connections come back with the new rights
    Rights {
        /// The user
        name: String,
        /// All topic filters that it may publish to
        #[arg(long, value_name = "FILTER")]
        publish: Option<Vec<String>>,
        /// All topic filters that it may subscribe to
        #[arg(long, value_name = "FILTER")]
        subscribe: Option<Vec<String>>,
        /// The one client identifier that it may use; empty for any
        #[arg(long, value_name = "ID")]
        client_id: Option<String>,
    },
    /// Remove a user and end its connections
    Remove {
        /// The user
        name: String,
    },
}
