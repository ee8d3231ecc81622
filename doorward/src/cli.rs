//! The command line.

mod account;
mod ble;
mod device;
mod door;
mod firmware;
mod mqtt;
mod notify;
mod pass;
mod person;
mod ring;
mod sim;
mod tunnel;
mod way_in;
mod webhook;

pub(crate) use account::{Account, AccountSettings, LoginWay};
pub(crate) use ble::{Ble, BleGuest, BleIssuer, BleKeys, BleLock, BrokerAt, KeyKind, KeysAt, RadioAt, RoleWord, Whose, Wires};
pub(crate) use device::Device;
pub(crate) use door::{Act, Code, CodeWish, Door};
pub(crate) use firmware::{Firmware, Rollout};
pub(crate) use mqtt::{Mqtt, MqttUser};
pub(crate) use notify::Notify;
pub(crate) use pass::{Pass, Terms};
pub(crate) use person::{Group, Person, Token};
pub(crate) use ring::Ring;
pub(crate) use sim::{Board, DeviceFault, Rotation, Sim};
pub(crate) use tunnel::{Tunnel, TunnelKey};
pub(crate) use way_in::WayIn;
pub(crate) use webhook::{Webhook, WebhookWants};

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Opens every door its owner has, lets nobody else in, and tells the truth about what happened.
#[derive(Debug, Parser)]
#[command(name = "doorward", version, propagate_version = true, max_term_width = 100)]
#[command(after_help = "Exit codes: 0 done (also unconfirmed, with a warning), 1 failed or contradicted, 2 usage, 3 refused, \
                        4 unreachable, 5 still pending when --wait ran out.")]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// `doorward ble lock` as a program of its own.
#[derive(Debug, Parser)]
#[command(name = "doorward-lock", version, max_term_width = 100)]
#[command(about = "A lock that stands alone: a radio, its keys, a broker, and what opens the door")]
pub(crate) struct LockLine {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(flatten)]
    pub(crate) lock: BleLock,
}

/// Where to find the house.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// The data folder; its admin socket is used
    #[arg(long, global = true, env = "DOORWARD_DATA", value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Talk to a doorward on another machine; needs a token in DOORWARD_TOKEN
    #[arg(long, global = true, env = "DOORWARD_URL", value_name = "URL")]
    pub(crate) url: Option<String>,
    /// Print JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Log more; traces of vendors are masked
    #[arg(long, global = true)]
    pub(crate) debug: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run
    Serve {
        /// The configuration file; doorward.toml in the data folder when absent
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Run against simulated clouds, with doors already there
    Demo {
        /// Seed of everything random in the simulators
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Run one simulator alone
    #[command(subcommand)]
    Sim(Sim),
    /// Look at doors, open and lock them, manage their codes
    #[command(subcommand)]
    Door(Door),
    /// What rings at doors and what rang
    #[command(subcommand)]
    Ring(Ring),
    /// Vendor accounts: sign in, refresh, look inside
    #[command(subcommand)]
    Account(Account),
    /// People, their passwords and tokens
    #[command(subcommand)]
    Person(Person),
    /// Passes: rights that guests hold by a link, without an account
    #[command(subcommand)]
    Pass(Pass),
    /// The embedded MQTT broker: who may connect, publish and subscribe
    #[command(subcommand)]
    Mqtt(Mqtt),
    /// Devices of the fleet: their identity, rights and state
    #[command(subcommand)]
    Device(Device),
    /// Firmware of the fleet's devices: images, signatures, updates
    #[command(subcommand)]
    Firmware(Firmware),
    /// The end-to-end encrypted gateway for phones: its keys
    #[command(subcommand)]
    Tunnel(Tunnel),
    /// Locks over Bluetooth: issuers, guests, locks that stand alone, and their keys
    #[command(subcommand)]
    Ble(Ble),
    /// How people are told of what happens
    #[command(subcommand)]
    Notify(Notify),
    /// Servers of others that are told what happens
    #[command(subcommand)]
    Webhook(Webhook),
    /// Who may open a door, and why
    Explain {
        /// A person, token or pass, by id or name
        #[arg(long)]
        who: String,
        /// The door
        #[arg(long)]
        door: String,
        /// At this time (RFC 3339) instead of now
        #[arg(long)]
        at: Option<String>,
        /// What they would do
        #[arg(long, default_value = "unlock", value_parser = ["open", "lock", "unlock", "refresh"])]
        action: String,
    },
    /// What happened, oldest first
    Events {
        /// Go on as things happen
        #[arg(long, short)]
        follow: bool,
        /// At this door only
        #[arg(long)]
        door: Option<String>,
        /// Of this kind only, such as door.unlocked
        #[arg(long)]
        kind: Option<String>,
        /// How many at most
        #[arg(long, default_value_t = 200)]
        limit: u32,
        /// As comma-separated values
        #[arg(long, conflicts_with = "follow")]
        csv: bool,
    },
    /// Check the audit
    #[command(subcommand)]
    Audit(Audit),
    /// The configuration
    #[command(subcommand)]
    Config(Config),
    /// Take over files of the original programs (server stopped)
    Import {
        /// The original's config.json, or a folder that holds it
        path: PathBuf,
    },
    /// Write a sealed backup; works while doorward runs
    Backup {
        /// The file to write
        file: PathBuf,
        /// A file that holds the passphrase; asked for when absent
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
    },
    /// Bring a backup back into an empty data folder (server stopped)
    Restore {
        /// The backup
        file: PathBuf,
        /// A file that holds the passphrase; asked for when absent
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
    },
    /// Find what is wrong
    Doctor {
        /// Only whether it runs and answers
        #[arg(long)]
        live: bool,
    },
    /// Completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// The version
    Version,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// Check that no row was changed, removed or put in
    Verify,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Check the configuration without starting
    Check {
        /// The configuration file
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Every key with its value and where that comes from
    Show {
        /// The configuration file
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// A JSON schema of the file
    Schema,
    /// A commented file with every key at its default
    Sample,
    /// The OpenAPI document of the HTTP API
    Openapi,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
        LockLine::command().debug_assert();
    }

    #[test]
    fn all_behind_the_program_of_a_lock_is_the_program_s() {
        let line = "doorward-lock --lock x --command /bin/open --slowly --json";
        let read = LockLine::try_parse_from(line.split(' ')).unwrap();
        assert_eq!(read.lock.command, ["/bin/open", "--slowly", "--json"]);
        assert!(!read.global.json);
    }
}
