//! `doorward person …`: how somebody comes in.

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum WayIn {
    /// The browsers in which a person is signed in
    Sessions {
        /// Id or unique name
        person: String,
        /// Sign them out in this one
        #[arg(long, value_name = "ID")]
        end: Option<String>,
    },
    /// The passkeys of a person
    Passkeys {
        /// Id or unique name
        person: String,
        /// Remove this one, such as of a device that was lost
        #[arg(long, value_name = "ID")]
        remove: Option<String>,
    },
    /// The phones by which a person opens locks over Bluetooth
    Phones {
        /// Id or unique name
        person: String,
        /// Forget this one: its sessions are taken back
        #[arg(long, value_name = "ID")]
        remove: Option<String>,
    },
    /// A one-time code by which a phone of a person is enrolled; lives an hour
    InvitePhone {
        /// Id or unique name
        person: String,
    },
    /// Whether the code of an authenticator app is asked for after a person's password
    SecondFactor {
        /// Id or unique name
        person: String,
        /// Ask for none any more, such as when their phone is lost
        #[arg(long)]
        remove: bool,
    },
}
