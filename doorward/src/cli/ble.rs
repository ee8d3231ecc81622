//! `doorward ble …`
//!
//! Names of environment variables are those of the original system: what runs there runs here.

use super::door::span;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use clap::{Args, Subcommand, ValueEnum};
use doorward_ble::{
    driver::GpioSpec,
    radio::{Address, Place},
};
use doorward_core::Secret;
use doorward_wire::ble::{LockId, compat::Bits, v2::Identity};
use std::{path::PathBuf, time::Duration};
use uuid::Uuid;

#[derive(Debug, Subcommand)]
pub(crate) enum Ble {
    /// Keys of issuers, locks and guests, in a folder
    #[command(subcommand)]
    Keys(BleKeys),
    /// Who advertises here: issuers, guests, locks
    Scan {
        #[command(flatten)]
        radio: RadioAt,
        /// For so long, such as 10s; until Ctrl-C when absent
        #[arg(long = "for", value_name = "SPAN", value_parser = span)]
        span: Option<Duration>,
    },
    /// Get a session of an issuer and open a lock with it
    Guest(Box<BleGuest>),
    /// Hand out sessions to guests whose keys lie in the folder, without a house
    Issuer(Box<BleIssuer>),
    /// A lock that stands alone: a radio, its keys, a broker, and what opens the door (on a small machine run doorward-lock instead)
    Lock(Box<BleLock>),
}

/// Where keys are.
#[derive(Debug, Args)]
pub(crate) struct KeysAt {
    /// The folder with the keys; ble/keys in the data folder when absent
    #[arg(long = "keys", env = "KEYS_DIR", value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,
}

/// Which adapter.
#[derive(Debug, Args)]
pub(crate) struct RadioAt {
    /// The adapter: bluez, bluez:hci0, or air:ADDRESS:PORT for one in the simulated air
    #[arg(long = "radio", default_value = "bluez", value_name = "ADAPTER")]
    pub(crate) place: Place,
}

/// Where the broker is.
#[derive(Debug, Args)]
pub(crate) struct BrokerAt {
    /// The broker, as `mqtts://user:password@host:8883`, without TLS as `mqtt://host:1883`, or the host alone. Others of this machine
    /// see what stands on a command line: set `MQTT_BROKER` where there is a password
    #[arg(long, env = "MQTT_BROKER", hide_env_values = true, value_name = "URL", value_parser = hidden)]
    pub(crate) broker: Option<Secret<String>>,
    /// PEM file with the authority that the broker's certificate comes from, instead of the public ones
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// PEM file with a certificate for the broker
    #[arg(long, value_name = "FILE", requires = "key_file")]
    pub(crate) cert_file: Option<PathBuf>,
    /// PEM file with the key of that certificate
    #[arg(long, value_name = "FILE", requires = "cert_file")]
    pub(crate) key_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BleKeys {
    /// Make a key, in both versions where --wire does not say which
    Create {
        #[command(flatten)]
        at: KeysAt,
        #[command(flatten)]
        whose: Whose,
        #[command(flatten)]
        kind: KeyKind,
    },
    /// Take over the keys of a folder of the original system
    Import {
        #[command(flatten)]
        at: KeysAt,
        /// The other folder
        from: PathBuf,
    },
    /// Put a new key in place of the present one, which stays under its date
    Rotate {
        #[command(flatten)]
        at: KeysAt,
        #[command(flatten)]
        whose: Whose,
        #[command(flatten)]
        kind: KeyKind,
    },
    /// All keys
    List {
        #[command(flatten)]
        at: KeysAt,
    },
    /// Remove keys that were replaced long ago
    Tidy {
        #[command(flatten)]
        at: KeysAt,
        /// Longer ago than this, such as 720h
        #[arg(long, default_value = "720h", value_name = "SPAN", value_parser = span)]
        older: Duration,
    },
}

/// Whose key.
#[derive(Debug, Args)]
pub(crate) struct Whose {
    /// Whose key
    pub(crate) role: RoleWord,
    /// The name: a lock has one, a guest may have one
    pub(crate) name: Option<String>,
}

/// Whose key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RoleWord {
    /// Who hands out sessions
    Issuer,
    /// A lock
    Lock,
    /// A phone or other guest
    Guest,
}

/// Which kind of key.
#[derive(Debug, Args)]
pub(crate) struct KeyKind {
    /// For which version of the wire: 1 is what the original's phones and locks speak, 2 is doorward's own
    #[arg(long, value_enum, default_value_t = Wires::Both)]
    pub(crate) wire: Wires,
    /// The length of a key of version 1
    #[arg(long, default_value = "2048", value_parser = bits)]
    pub(crate) bits: Bits,
}

/// Versions of the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Wires {
    /// RSA
    #[value(name = "1")]
    One,
    /// Ed25519 and X25519
    #[value(name = "2")]
    Two,
    /// Both
    Both,
}

#[derive(Debug, Args)]
pub(crate) struct BleGuest {
    #[command(flatten)]
    pub(crate) keys: KeysAt,
    #[command(flatten)]
    pub(crate) radio: RadioAt,
    /// The lock
    #[arg(long, env = "LOCK_ID", value_name = "ID")]
    pub(crate) lock: LockId,
    /// The guest's name: its key is `unlocker_NAME`, or `unlocker` where there is none of that name
    #[arg(long, env = "CLIENT_ID", value_name = "NAME")]
    pub(crate) client_id: Option<String>,
    /// Look for the issuer by its address
    #[arg(long, env = "ISSUER_BEACON_ADDRESS", value_name = "ADDRESS")]
    pub(crate) address: Option<Address>,
    /// Look for the issuer by its name
    #[arg(long, env = "ISSUER_BEACON_NAME", value_name = "NAME", default_value = doorward_wire::ble::ISSUER_NAME)]
    pub(crate) name: String,
    /// Look for the issuer by its manufacturer data in hex, behind its company: ffff:0100
    #[arg(long, value_name = "COMPANY:DATA", default_value = "ffff:0100", value_parser = manufacturer)]
    pub(crate) manufacturer: (u16, Vec<u8>),
    /// How long it looks for an issuer or a lock
    #[arg(long, env = "ISSUER_SCAN_TIMEOUT", value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub(crate) search: Duration,
    /// For how many seconds each token is shown in version 1
    #[arg(long, env = "ADVERT_INTERVAL", value_name = "SECONDS", default_value_t = 3)]
    pub(crate) slot: u8,
    #[command(flatten)]
    pub(crate) uuids: Uuids,
    /// The version to ask in; 2 where there are keys of it
    #[arg(long, value_name = "VERSION", value_parser = clap::value_parser!(u8).range(1..=2))]
    pub(crate) wire: Option<u8>,
    /// A one-time code, as “doorward pass invite-phone” or “doorward person invite-phone” prints it. A key is made where there is none
    #[arg(long, value_name = "CODE")]
    pub(crate) invite: Option<String>,
    /// The issuer's public key of version 2, as those print it too; that of the folder when absent
    #[arg(long, value_name = "KEY", value_parser = identity)]
    pub(crate) issuer: Option<Identity>,
    /// Answer the lock's challenge after Enter is pressed, instead of showing tokens
    #[arg(long)]
    pub(crate) open: bool,
    /// Show this pass to the lock after Enter is pressed; needs no issuer nearby
    #[arg(long, value_name = "FILE", conflicts_with_all = ["open", "plain", "invite"])]
    pub(crate) pass: Option<PathBuf>,
    /// Do not ask before it opens
    #[arg(long)]
    pub(crate) yes: bool,
    /// The lock's address, for --open and --pass; any lock of that name when absent
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) lock_address: Option<Address>,
    /// Ask without a key and be answered in clear, as the original's first version does: whoever listens can open the door too
    #[arg(long, conflicts_with_all = ["open", "wire"])]
    pub(crate) plain: bool,
}

/// Where an issuer is asked.
#[derive(Debug, Args)]
pub(crate) struct Uuids {
    /// The issuer's service
    #[arg(long, env = "PROVISIONING_SERVICE_UUID", value_name = "UUID", default_value = doorward_wire::ble::ISSUER_SERVICE)]
    pub(crate) service: Uuid,
    /// Where it is asked in version 1
    #[arg(long, env = "PROVISIONING_CHARACTERISTIC_UUID", value_name = "UUID", default_value = doorward_wire::ble::REQUEST_CHARACTERISTIC)]
    pub(crate) characteristic: Uuid,
}

#[derive(Debug, Args)]
pub(crate) struct BleIssuer {
    #[command(flatten)]
    pub(crate) keys: KeysAt,
    #[command(flatten)]
    pub(crate) radio: RadioAt,
    #[command(flatten)]
    pub(crate) broker: BrokerAt,
    /// What its beacon is called
    #[arg(long, env = "ISSUER_BEACON_NAME", value_name = "NAME", default_value = doorward_wire::ble::ISSUER_NAME)]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) uuids: Uuids,
    /// For how many seconds a session is good
    #[arg(long, env = "SESSION_EXPIRY_SECONDS", value_name = "SECONDS", default_value = "300", value_parser = life)]
    pub(crate) life: Duration,
    /// For how many seconds locks want each token
    #[arg(long, env = "ADVERT_INTERVAL", value_name = "SECONDS", default_value_t = 3)]
    pub(crate) slot: u8,
    /// A lock with a key of version 1 alone that is doorward's own and not the original's; repeat it for several
    #[arg(long = "own", value_name = "ID")]
    pub(crate) own: Vec<LockId>,
    /// Answer in clear who has no key, as the original's first version and its Android app want: everybody who is near gets a
    /// session for every lock, and whoever listens to the air has the session of others and opens with it
    #[arg(long)]
    pub(crate) plain: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "What opens the door is a program (--command, the last on the line: all that follows is the program's), a \
                        GPIO line (--gpio), or a message (--mqtt-topic and --mqtt-payload).")]
pub(crate) struct BleLock {
    #[command(flatten)]
    pub(crate) keys: KeysAt,
    #[command(flatten)]
    pub(crate) radio: RadioAt,
    #[command(flatten)]
    pub(crate) broker: BrokerAt,
    /// What the issuer calls the lock
    #[arg(long = "lock", env = "LOCK_ID", value_name = "ID")]
    pub(crate) id: LockId,
    /// For how many seconds a token of version 1 is shown
    #[arg(long, env = "ADVERT_INTERVAL", value_name = "SECONDS", default_value_t = 3)]
    pub(crate) slot: u8,
    /// It opens only above this signal strength, in dBm. That is no proof of distance: who wants to seem near sends louder
    #[arg(long, value_name = "DBM", default_value_t = -70, allow_negative_numbers = true)]
    pub(crate) rssi: i8,
    /// The same for some phones, as JSON: {"AA:BB:CC:DD:EE:FF":{"rssi_threshold":-68}}, by address (with --bind-mac) or by the
    /// fingerprint of the guest's key
    #[arg(long, env = "AUTHORIZED_PHONES", value_name = "JSON")]
    pub(crate) phones: Option<String>,
    /// Open also when the adapter does not know the signal strength
    #[arg(long)]
    pub(crate) rssi_unknown: bool,
    /// A token counts only from the address of its session; phones change theirs
    #[arg(long)]
    pub(crate) bind_mac: bool,
    /// Tokens open nothing: only who answers a challenge, by a gesture on the phone, is let in
    #[arg(long)]
    pub(crate) secure: bool,
    /// For how many days events are kept
    #[arg(long, value_name = "DAYS", default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub(crate) keep: u32,
    /// A GPIO line that opens the door: /dev/gpiochip0:17, with :low behind it where on is low voltage
    #[arg(long, value_name = "CHIP:LINE", value_parser = gpio, conflicts_with_all = ["command", "mqtt_topic"])]
    pub(crate) gpio: Option<GpioSpec>,
    /// For how many milliseconds that line is switched on
    #[arg(long, value_name = "MILLISECONDS", requires = "gpio")]
    pub(crate) pulse: Option<u32>,
    /// A message that opens the door: its topic
    #[arg(long, value_name = "TOPIC", requires = "mqtt_payload", conflicts_with = "command")]
    pub(crate) mqtt_topic: Option<String>,
    /// A message that opens the door: what it says
    #[arg(long, value_name = "TEXT", requires = "mqtt_topic")]
    pub(crate) mqtt_payload: Option<String>,
    /// The program that opens the door, by its whole path, and its arguments; no shell reads it. Write it last
    #[arg(long, num_args = 1.., allow_hyphen_values = true, value_names = ["PROGRAM", "ARGUMENT"])]
    pub(crate) command: Vec<String>,
}

#[expect(clippy::unnecessary_wraps, reason = "as clap wants it")]
fn hidden(text: &str) -> Result<Secret<String>, String> {
    Ok(Secret::new(text.to_owned()))
}

fn identity(text: &str) -> Result<Identity, String> {
    let wrong = || "this is no issuer's key: 64 bytes as base64url".to_owned();
    let bytes = URL_SAFE_NO_PAD.decode(text.trim()).ok().and_then(|bytes| <[u8; 64]>::try_from(bytes).ok()).ok_or_else(wrong)?;
    Identity::from_bytes(&bytes).ok_or_else(wrong)
}

fn bits(text: &str) -> Result<Bits, String> {
    match text {
        "2048" => Ok(Bits::Rsa2048),
        "3072" => Ok(Bits::Rsa3072),
        "4096" => Ok(Bits::Rsa4096),
        _ => Err("a key has 2048, 3072 or 4096 bits".into()),
    }
}

/// Seconds, with a fraction where somebody wrote one for the original.
fn seconds(text: &str) -> Result<Duration, String> {
    let wrong = || "write seconds, more than 0 and at most 3600".to_owned();
    let seconds: f64 = text.trim().parse().map_err(|_| wrong())?;
    if seconds > 0.0 && seconds <= 3600.0 { Duration::try_from_secs_f64(seconds).map_err(|_| wrong()) } else { Err(wrong()) }
}

/// How long a session may be: the wire's guests stop at a day at the latest.
fn life(text: &str) -> Result<Duration, String> {
    let seconds: u64 = text.trim().parse().map_err(|_| "write whole seconds")?;
    if (1..=86_400).contains(&seconds) { Ok(Duration::from_secs(seconds)) } else { Err("a session is good for 1 to 86400 seconds".into()) }
}

fn gpio(text: &str) -> Result<GpioSpec, String> {
    let wrong = || "write it as /dev/gpiochip0:17, or /dev/gpiochip0:17:low".to_owned();
    let mut parts = text.split(':');
    let (chip, line, low) = (parts.next().unwrap_or_default(), parts.next().ok_or_else(wrong)?, parts.next());
    let line = line.parse().map_err(|_| wrong())?;
    let is_right = chip.starts_with('/') && matches!(low, None | Some("low")) && parts.next().is_none();
    is_right.then(|| GpioSpec { chip: chip.into(), line, pulse_ms: None, active_low: low.is_some() }).ok_or_else(wrong)
}

fn manufacturer(text: &str) -> Result<(u16, Vec<u8>), String> {
    let wrong = || "write it in hex, as ffff:0100".to_owned();
    let (company, data) = text.split_once(':').ok_or_else(wrong)?;
    let company = u16::from_str_radix(company, 16).map_err(|_| wrong())?;
    let pairs: Vec<&[u8]> = data.as_bytes().chunks(2).collect();
    let byte =
        |pair: &&[u8]| std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    let data: Option<Vec<u8>> = pairs.iter().map(byte).collect();
    data.map(|data| (company, data)).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_for_the_original_is_read() {
        assert_eq!(seconds("8.0"), Ok(Duration::from_secs(8)));
        assert_eq!(manufacturer("ffff:0100"), Ok((0xFFFF, vec![1, 0])));
        assert_eq!(gpio("/dev/gpiochip0:17:low").map(|gpio| (gpio.line, gpio.active_low)), Ok((17, true)));
        for wrong in ["gpiochip0:17", "/dev/gpiochip0", "/dev/gpiochip0:x", "/dev/gpiochip0:1:high", "/dev/gpiochip0:1:low:low"] {
            assert!(gpio(wrong).is_err(), "{wrong}");
        }
        for wrong in ["", "-1", "0", "inf", "NaN", "1e9"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
        for wrong in ["ffff", "x:00", "ffff:0", "ffff:zz", "ffff:€1"] {
            assert!(manufacturer(wrong).is_err(), "{wrong}");
        }
        assert!(life("0").is_err() && life("86401").is_err() && life("300").is_ok());
    }
}
