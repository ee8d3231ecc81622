//! `doorward device …`

use clap::Subcommand;

const PROVISION: &str = "\
Examples:
  doorward device provision A1B2C3D4E5F6
  doorward device provision e8:06:90:9e:9a:b4 --name 'Garage'
  doorward device provision A1B2C3D4E5F6 --json | jq -r .mqtt_password";

const COMMAND: &str = "\
Examples:
  doorward device command A1B2C3D4E5F6 restart
  doorward device command A1B2C3D4E5F6 getStatus
  doorward device command A1B2C3D4E5F6 setInterval '{\"seconds\":30}'";

#[derive(Debug, Subcommand)]
pub(crate) enum Device {
    /// Give a device its user at the broker, and show its credentials; the same again for one that has them
    #[command(after_help = PROVISION)]
    Provision {
        /// What the device prints, 6 to 12 hexadecimal digits; or its MAC
        #[arg(value_name = "ID")]
        id: String,
        /// What people call it
        #[arg(long)]
        name: Option<String>,
    },
    /// All devices, and how they stand
    List,
    /// Tell a device that is connected to do something, and print what comes of it
    #[command(after_help = COMMAND)]
    Command {
        /// What it prints, or its MAC
        #[arg(value_name = "ID")]
        id: String,
        /// “restart”, or a method of its firmware
        #[arg(value_name = "COMMAND")]
        command: String,
        /// The parameters of a method, as JSON
        #[arg(value_name = "JSON")]
        params: Option<String>,
        /// How long it is waited for; 60s for a restart, 10s for an answer
        #[arg(long, value_name = "SPAN")]
        wait: Option<String>,
    },
    /// Let a device fetch its credentials itself from the provisioning server for a while
    ///
    /// The first address that asks gets them. A second one ends the claim, and the device gets other secrets.
    Claim {
        /// What it prints, or its MAC
        #[arg(value_name = "ID")]
        id: String,
        /// How long, such as 15m, 2h; as the configuration says when absent
        #[arg(long = "for", value_name = "SPAN")]
        span: Option<String>,
        /// Until it is closed: for firmware that asks again after each restart
        #[arg(long, conflicts_with = "span")]
        until_closed: bool,
        /// Only from this network, such as 192.168.1.0/24
        #[arg(long, value_name = "NETWORK")]
        network: Option<String>,
        /// Close it
        #[arg(long, conflicts_with_all = ["span", "until_closed", "network"])]
        close: bool,
    },
    /// Give a device other secrets, shown here; one that was revoked has its rights again
    Rotate {
        /// What it prints, or its MAC
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Take a device's rights and end its connection
    Revoke {
        /// What it prints, or its MAC
        #[arg(value_name = "ID")]
        id: String,
    },
    /// One device: how it stands, and what it told of itself
    Show {
        /// What it prints, or its MAC
        #[arg(value_name = "ID")]
        id: String,
    },
}
