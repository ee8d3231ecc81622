//! `doorward sim …`

use clap::{Subcommand, ValueEnum};
use std::{net::SocketAddr, path::PathBuf};

#[derive(Debug, Subcommand)]
pub(crate) enum Sim {
    /// The U-tec cloud: OAuth, locks with physical behaviour, faults at run time
    Utec {
        /// Where it listens
        #[arg(long, default_value = "127.0.0.1:18001")]
        listen: SocketAddr,
        /// Seed of everything random
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// What becomes of a refresh token that was used
        #[arg(long, value_enum, default_value_t = Rotation::Grace)]
        rotation: Rotation,
        /// Seconds that an access token lives
        #[arg(long, default_value_t = 601_200)]
        expires_in: u64,
    },
    /// The BTicino/Legrand cloud with two houses: sign-in, certificates, SIP, gates and bells
    Legrand {
        /// Where sign-in, API and control page listen
        #[arg(long, default_value = "127.0.0.1:18003")]
        listen: SocketAddr,
        /// Where the SIP registrar listens
        #[arg(long, default_value = "127.0.0.1:18004")]
        sip_listen: SocketAddr,
        /// The dice: the same seed gives the same tokens and identifiers
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// ESP32 gateways of a fleet: unconfigured, each with a portal and a serial line; or mounted, with --from
    Device {
        /// How many
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
        count: u16,
        /// The results of “device batch”: its devices, mounted and connected
        #[arg(long, value_name = "FILE", conflicts_with = "count")]
        from: Option<PathBuf>,
        /// The firmware that they run
        #[arg(long, value_enum, default_value_t = Board::B)]
        firmware: Board,
        /// Where their broker is
        #[arg(long, default_value = "127.0.0.1:1883")]
        broker: SocketAddr,
        /// Whose signatures firmware C believes: a file with what “doorward firmware key” prints
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
        /// What goes wrong with them
        #[arg(long, value_enum)]
        fault: Vec<DeviceFault>,
        /// The Wi-Fi that they can join, with its password after a colon
        #[arg(long, default_value = "Home:wifi-password")]
        wifi: String,
    },
    /// A Jeedom: its JSON-RPC API with a lamp, a heater and a shutter
    Jeedom {
        /// Where it listens
        #[arg(long, default_value = "127.0.0.1:18002")]
        listen: SocketAddr,
        /// The API key that callers must name
        #[arg(long, default_value = doorward_sim::jeedom::APIKEY)]
        apikey: String,
    },
    /// The air between Bluetooth radios: issuers, guests and locks without a radio, carried about and played again by what is typed
    Air {
        /// Where it listens
        #[arg(long, default_value = "127.0.0.1:18005")]
        listen: SocketAddr,
        /// How many advertisements of a hundred are lost
        #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
        loss: u8,
        /// Milliseconds from one radio to another
        #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=10_000))]
        latency: u16,
        /// How much the signal strength wobbles, in dB: 2 to 6 among people and walls
        #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=20))]
        wobble: u8,
        /// Seed of everything random
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
}

/// Which firmware a simulated device runs.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Board {
    /// Everything by its portal
    A,
    /// Credentials over serial
    B,
    /// As B, with Improv, and checks signatures
    C,
}

/// What goes wrong with a simulated device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DeviceFault {
    /// It finds no Wi-Fi
    BadWifi,
    /// Somebody pulls the plug at 37 % of its next download
    PowerLoss,
    /// The connection is lost in its next download, and to the broker every ten seconds
    FlakyLink,
    /// New firmware does not start: it comes back with the old one
    BootLoop,
}

/// What becomes of a refresh token that was used.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Rotation {
    /// It works for another minute
    Grace,
    /// It is dead at once
    Strict,
    /// It stays
    Fixed,
}
