//! `doorward firmware …`

use clap::Subcommand;
use std::path::PathBuf;

const ADD: &str = "\
Examples:
  doorward firmware add gateway.bin
  doorward firmware add gateway.bin --version 2.1.0 --min-version 2.0.0 --channel beta --notes 'Sleeps better'";

const CREATE: &str = "\
Examples:
  doorward firmware rollout create 2.1.0
  doorward firmware rollout create 2.1.0 --groups 1,10,50,100 --success 95 --errors 5 --window 02:00-05:00";

#[derive(Debug, Subcommand)]
pub(crate) enum Rollout {
    /// Plan a rollout; nothing is offered before it is approved
    #[command(after_help = CREATE, disable_version_flag = true)]
    Create {
        /// What devices are to run
        version: String,
        /// For which devices; as the configuration says when absent
        #[arg(long)]
        hardware: Option<String>,
        /// Per cent of the devices that each group reaches
        #[arg(long, value_delimiter = ',', value_name = "PERCENT")]
        groups: Option<Vec<u8>>,
        /// Per cent of a group that must run it before the next one begins
        #[arg(long, value_name = "PERCENT")]
        success: Option<u8>,
        /// Per cent that may fail; with more it stops
        #[arg(long, value_name = "PERCENT")]
        errors: Option<u8>,
        /// How often a device is offered it
        #[arg(long)]
        tries: Option<u32>,
        /// Devices under way at the same time
        #[arg(long)]
        at_once: Option<u32>,
        /// When devices are offered it, in the time zone of the house
        #[arg(long, value_name = "FROM-UNTIL")]
        window: Option<String>,
    },
    /// All rollouts
    List,
    /// One rollout, and how its groups stand
    Show {
        /// Its id
        rollout: String,
        /// Every device
        #[arg(long)]
        devices: bool,
    },
    /// Agree to a rollout: it begins as soon as it may
    Approve {
        /// Its id
        rollout: String,
    },
    /// Offer it to nobody for now
    Pause {
        /// Its id
        rollout: String,
    },
    /// Go on
    Resume {
        /// Its id
        rollout: String,
    },
    /// End it; devices that have begun may go on
    Stop {
        /// Its id
        rollout: String,
    },
    /// End it, and offer those that ran it what they ran before
    Rollback {
        /// Its id
        rollout: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Firmware {
    /// Bring firmware to all devices, in groups
    #[command(subcommand)]
    Rollout(Rollout),
    /// Upload an image: it is hashed and signed
    #[command(after_help = ADD, disable_version_flag = true)]
    Add {
        /// The image, as the build made it
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Its version; as the image says when absent
        #[arg(long)]
        version: Option<String>,
        /// What it is for; as the configuration says when absent
        #[arg(long)]
        hardware: Option<String>,
        /// A device that runs it may not go back behind this version
        #[arg(long, value_name = "VERSION")]
        min_version: Option<String>,
        /// For whom it is meant: draft, beta or stable
        #[arg(long, default_value = "draft")]
        channel: String,
        /// What people should know of it
        #[arg(long)]
        notes: Option<String>,
    },
    /// All firmware
    List,
    /// Say for whom firmware is meant
    #[command(disable_version_flag = true)]
    Set {
        /// Its version
        version: String,
        /// draft, beta or stable
        #[arg(long)]
        channel: Option<String>,
        /// What people should know of it
        #[arg(long)]
        notes: Option<String>,
        /// What it is for, where there is more than one
        #[arg(long)]
        hardware: Option<String>,
    },
    /// Remove firmware
    #[command(disable_version_flag = true)]
    Remove {
        /// Its version
        version: String,
        /// What it is for, where there is more than one
        #[arg(long)]
        hardware: Option<String>,
    },
    /// The public key with which devices check signatures, as PEM
    Key,
    /// Offer firmware to one device: at once when it is connected, else when it comes back
    #[command(disable_version_flag = true)]
    Send {
        /// Its version
        version: String,
        /// What the device prints, or its MAC
        #[arg(value_name = "DEVICE")]
        device: String,
        /// It may be older than what the device runs
        #[arg(long)]
        back: bool,
        /// Wait for its end, such as 5m
        #[arg(long, value_name = "SPAN")]
        wait: Option<String>,
    },
    /// Take an offer back
    Withdraw {
        /// What the device prints, or its MAC
        #[arg(value_name = "DEVICE")]
        device: String,
    },
    /// How the update of a device stands
    Status {
        /// What the device prints, or its MAC
        #[arg(value_name = "DEVICE")]
        device: String,
    },
}
