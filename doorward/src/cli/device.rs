//! `doorward device …`

use clap::Subcommand;
use std::path::PathBuf;

const PROVISION: &str = "\
Examples:
  doorward device provision A1B2C3D4E5F6
  doorward device provision e8:06:90:9e:9a:b4 --name 'Garage'
  doorward device provision A1B2C3D4E5F6 --json | jq -r .mqtt_password";

const BATCH: &str = "\
Examples:
  doorward device batch devices.csv --out credentials.csv
  printf 'A1B2C3D4E5F6\nA1B2C3D4E5F7\n' | doorward device batch - --out credentials.csv";

const IMAGE: &str = "\
Examples:
  doorward device image --id A1B2C3D4E5F6 --out nvs.bin
  doorward device image --id A1B2C3D4E5F6 --out nvs.bin --wifi-ssid Home --wifi-password-file wifi.txt --size 0x6000

Encrypted storage (NVS encryption) is not supported: the partition is as readable as flash is.";

const SERIAL: &str = "\
Examples:
  doorward device serial
  doorward device serial --port /dev/ttyACM0 --wifi-ssid Home --wait 60s";

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
    /// Say what people call a device, and its hardware
    Set {
        /// What it prints, or its MAC
        #[arg(value_name = "ID")]
        id: String,
        /// What people call it
        #[arg(long)]
        name: Option<String>,
        /// Its hardware, when it is another one than the fleet's usual one
        #[arg(long)]
        hardware: Option<String>,
    },
    /// Take a device's rights and end its connection
    Revoke {
        /// What it prints, or its MAC
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Provision all devices of a list, and write their credentials to a file
    ///
    /// The list is CSV with a column “id” (or “mac”) and, if you like, “name”, or one identifier a line. Run it again
    /// when it broke off, or when the list was corrected: it goes on.
    #[command(after_help = BATCH)]
    Batch {
        /// The list; “-” for standard input
        #[arg(value_name = "LIST")]
        list: PathBuf,
        /// Where the credentials go, as CSV; only you may read it
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Write the partition with which a device is flashed in a factory, and its CSV
    #[command(after_help = IMAGE)]
    Image {
        /// What the device prints, or its MAC
        #[arg(long, value_name = "ID")]
        id: String,
        /// Where the partition goes; its CSV goes beside it
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// The name of its Wi-Fi
        #[arg(long, value_name = "NAME")]
        wifi_ssid: Option<String>,
        /// A file that holds the password of its Wi-Fi; asked for when absent
        #[arg(long, value_name = "FILE", requires = "wifi_ssid")]
        wifi_password_file: Option<PathBuf>,
        /// Bytes of the partition, as its partition table says
        #[arg(long, value_name = "BYTES", default_value = "0x5000")]
        size: String,
        /// Where the partition begins, for the command that flashes it
        #[arg(long, value_name = "BYTES", default_value = "0x9000")]
        offset: String,
        /// The namespace that the firmware reads
        #[arg(long, default_value = "gateway")]
        namespace: String,
    },
    /// Provision a device that is on a cable
    ///
    /// It says who it is, gets its credentials and starts again. Its Wi-Fi goes over the cable too where its firmware speaks Improv.
    #[command(after_help = SERIAL)]
    Serial {
        /// The port, such as /dev/ttyUSB0; “auto” for the only one that there is
        #[arg(long, default_value = "auto")]
        port: String,
        /// The name of its Wi-Fi
        #[arg(long, value_name = "NAME")]
        wifi_ssid: Option<String>,
        /// A file that holds the password of its Wi-Fi; asked for when absent
        #[arg(long, value_name = "FILE", requires = "wifi_ssid")]
        wifi_password_file: Option<PathBuf>,
        /// Clear what it has first, also its Wi-Fi
        #[arg(long)]
        clear: bool,
        /// Let it fetch its firmware from this address instead of starting again. It checks no signature
        #[arg(long, value_name = "URL")]
        ota: Option<String>,
        /// Wait until it is at the broker, such as 60s
        #[arg(long, value_name = "SPAN")]
        wait: Option<String>,
        /// What people call it
        #[arg(long)]
        name: Option<String>,
        /// Show what it says; secrets are masked
        #[arg(long, short)]
        verbose: bool,
    },
    /// Provision a device by the form at its own access point, BLE-Gateway-Setup
    Portal {
        /// What the device prints, or its MAC
        #[arg(value_name = "ID")]
        id: String,
        /// The name of the Wi-Fi that it is to join
        #[arg(long, value_name = "NAME")]
        wifi_ssid: String,
        /// A file that holds the password of that Wi-Fi; asked for when absent
        #[arg(long, value_name = "FILE")]
        wifi_password_file: Option<PathBuf>,
        /// Where its form is
        #[arg(long, value_name = "URL", default_value = "http://192.168.4.1")]
        address: String,
        /// How long each of the two waits may take: until its form answers, and until it is at the broker
        #[arg(long, value_name = "SPAN", default_value = "3m")]
        wait: String,
        /// What people call it
        #[arg(long)]
        name: Option<String>,
    },
    /// Compare devices' users at another broker with what they should be; each device's credentials are tried
    Doctor {
        /// Put right what differs
        #[arg(long)]
        repair: bool,
    },
    /// One device: how it stands, and what it told of itself
    Show {
        /// What it prints, or its MAC
        #[arg(value_name = "ID")]
        id: String,
    },
}
