//! The command line.

mod mqtt;
mod notify;
mod ring;
mod sim;
mod tunnel;
mod webhook;

pub(crate) use mqtt::{Mqtt, MqttUser};
pub(crate) use notify::Notify;
pub(crate) use ring::Ring;
pub(crate) use sim::{Rotation, Sim};
pub(crate) use tunnel::{Tunnel, TunnelKey};
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
    /// The embedded MQTT broker: who may connect, publish and subscribe
    #[command(subcommand)]
    Mqtt(Mqtt),
    /// The end-to-end encrypted gateway for phones: its keys
    #[command(subcommand)]
    Tunnel(Tunnel),
    /// How people are told of what happens
    #[command(subcommand)]
    Notify(Notify),
    /// Servers of others that are told what happens
    #[command(subcommand)]
    Webhook(Webhook),
    /// Who may open a door, and why
    Explain {
        /// A person or token, by id or name
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
pub(crate) enum Door {
    /// All doors
    List,
    /// One door with its evidence
    Show {
        /// Id or unique name
        door: String,
    },
    /// Open for a moment
    Open(Act),
    /// Draw the bolt
    Unlock(Act),
    /// Throw the bolt
    Lock {
        /// Id or unique name
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        door: Option<String>,
        /// Every door that can be locked
        #[arg(long)]
        all: bool,
        /// How long to wait for the outcome
        #[arg(long, default_value = "45s", value_parser = span)]
        wait: std::time::Duration,
    },
    /// Ask the door for its state
    Refresh(Act),
    /// Change how a door is set up
    Set {
        /// Id or unique name
        door: String,
        /// A new name
        #[arg(long)]
        name: Option<String>,
        /// The id of its site
        #[arg(long)]
        site: Option<String>,
        /// Lock again so many minutes after it was seen unlocked, or “off”; without --auto-lock-at that one is off
        #[arg(long, value_name = "MINUTES")]
        auto_lock_after: Option<String>,
        /// Lock every day at this time of its site, such as 22:00, or “off”; without --auto-lock-after that one is off
        #[arg(long, value_name = "TIME")]
        auto_lock_at: Option<String>,
        /// Opens by the admin socket even when nothing can be written down: a way out
        #[arg(long)]
        fail_open: Option<bool>,
        /// Ask for the code that commands over MQTT must carry to open the door; “off” for none
        #[arg(long, value_name = "CODE")]
        mqtt_code: Option<String>,
        /// Where whoever rings can be seen, such as a page of go2rtc; “off” for nowhere
        #[arg(long, value_name = "URL")]
        stream: Option<String>,
    },
    /// Remove a door that is gone; its events stay
    Remove {
        /// Id or unique name
        door: String,
    },
    /// PIN codes that the lock keeps by itself
    #[command(subcommand)]
    Code(Code),
}

#[derive(Debug, Args)]
pub(crate) struct Act {
    /// Id or unique name
    pub(crate) door: String,
    /// How long to wait for the outcome
    #[arg(long, default_value = "45s", value_parser = span)]
    pub(crate) wait: std::time::Duration,
    /// Stale after this time (RFC 3339)
    #[arg(long)]
    pub(crate) not_after: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Code {
    /// The codes at a door
    List {
        /// Id or unique name
        door: String,
    },
    /// Add a code; asks for the digits
    Add {
        /// Id or unique name
        door: String,
        /// Who it is for
        name: String,
        #[command(flatten)]
        wish: CodeWish,
    },
    /// Change a code
    Update {
        /// Id or unique name
        door: String,
        /// The code's id
        code: String,
        /// A new name
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        wish: CodeWish,
    },
    /// Delete a code
    Delete {
        /// Id or unique name
        door: String,
        /// The code's id
        code: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct CodeWish {
    /// A file that holds the digits, or - for standard input; asked for when absent
    #[arg(long, value_name = "FILE")]
    pub(crate) pin_file: Option<PathBuf>,
    /// normal, temporary or admin
    #[arg(long, value_parser = ["normal", "temporary", "admin"])]
    pub(crate) kind: Option<String>,
    /// First moment, in the door's time zone: 2026-11-23T15:00
    #[arg(long)]
    pub(crate) from: Option<String>,
    /// Last moment, in the door's time zone
    #[arg(long)]
    pub(crate) until: Option<String>,
    /// Weekdays: mon,tue,…
    #[arg(long, value_delimiter = ',')]
    pub(crate) weekdays: Vec<String>,
    /// Daily hours: 08:00-18:00
    #[arg(long)]
    pub(crate) hours: Option<String>,
    /// How often it opens
    #[arg(long)]
    pub(crate) uses: Option<u32>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Account {
    /// Add an account: `doorward account add utec --set access_key=… --secret-file secret_key=FILE`
    Add {
        /// The driver: utec, bticino
        kind: String,
        /// What it is called
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        settings: AccountSettings,
        /// Do not go on to the sign-in, where this runs on a terminal
        #[arg(long)]
        no_login: bool,
    },
    /// All accounts
    List,
    /// One account
    Show {
        /// Its id
        account: String,
    },
    /// Change settings
    Set {
        /// Its id
        account: String,
        /// A new name
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        settings: AccountSettings,
    },
    /// Sign in: prints the address to open, then asks for the address that the browser was sent to
    ///
    /// Where the vendor sends people back to its own app, as BTicino does, a browser on this machine signs in through
    /// doorward instead, which takes that address itself.
    Login {
        /// Its id
        account: String,
        #[command(flatten)]
        way: LoginWay,
    },
    /// Renew its token now
    Refresh {
        /// Its id
        account: String,
    },
    /// One of the vendor's own calls
    Call {
        /// Its id
        account: String,
        /// Such as whoami, devices, status; plants, modules, consents for BTicino
        name: String,
    },
    /// One step of an account's set-up, such as register for BTicino
    Step {
        /// Its id
        account: String,
        /// Its name; GET /api/v1/kinds lists them
        step: String,
        /// What it needs, as JSON; @FILE reads a file and - the standard input, as is better for secrets
        #[arg(default_value = "{}")]
        input: String,
    },
    /// Register at the gateways of an account that is signed in, as a phone would: for BTicino
    ///
    /// What was done before is not done again.
    Register {
        /// Its id
        account: String,
        /// Only at the gateways of this plant, such as one that `account call ACCOUNT plants` names; may be given again
        #[arg(long = "plant", value_name = "ID")]
        plants: Vec<String>,
        /// Make new certificates, even where the old ones are good
        #[arg(long)]
        new_certificates: bool,
    },
    /// Stop using a gateway of an account, as when it was deleted in the vendor's app: for BTicino
    ///
    /// Registering takes it up again.
    Forget {
        /// Its id
        account: String,
        /// The gateway's id, as `account step ACCOUNT plants` names it
        gateway: String,
    },
    /// Take over the files of an older client: for BTicino `token_cache.json`, `sip_account.json` and
    /// `client-certs.json`
    Import {
        /// Its id
        account: String,
        /// The files; which is which stands in them
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Write an account's secrets for another program, readable by you alone
    Export {
        /// Its id
        account: String,
        /// Where to; it must not hold files of these names
        #[arg(value_name = "FOLDER")]
        folder: PathBuf,
        /// Of this gateway; of the first one when it is left out
        #[arg(long, value_name = "ID")]
        gateway: Option<String>,
    },
    /// Everything about an account for support, without secrets
    Dump {
        /// Its id
        account: String,
    },
    /// Remove an account, its secrets and its doors; its events stay
    Remove {
        /// Its id
        account: String,
    },
}

/// How a person signs in at a vendor that sends people back to its own app.
#[derive(Debug, Args)]
pub(crate) struct LoginWay {
    /// The port of this machine that the browser signs in through; the next free one when it is taken
    #[arg(long, default_value_t = doorward_bticino::proxy::PORT)]
    pub(crate) port: u16,
    /// Sign in at the vendor's own address and paste where the browser ends
    #[arg(long)]
    pub(crate) paste: bool,
    /// More authorities that vouch for the vendor's server, as PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
}

impl Default for LoginWay {
    fn default() -> Self {
        Self { port: doorward_bticino::proxy::PORT, paste: false, ca_file: None }
    }
}

#[derive(Debug, Args)]
pub(crate) struct AccountSettings {
    /// A setting that may be seen: key=value
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// A secret from a file, or - for standard input: key=FILE
    #[arg(long = "secret-file", value_name = "KEY=FILE")]
    pub(crate) secret_file: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Person {
    /// Add a person
    Add {
        /// Their name
        name: String,
    },
    /// All people
    List,
    /// Remove a person and sign them out everywhere
    Remove {
        /// Id or unique name
        person: String,
    },
    /// A one-time link to sign in with and set a password; lives 15 minutes
    Link {
        /// Id or unique name; the first administrator when absent
        person: Option<String>,
    },
    /// Set a password; asks for it
    Password {
        /// Id or unique name
        person: String,
        /// A file that holds it, or - for standard input
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// API tokens
    #[command(subcommand)]
    Token(Token),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Make a token; it is shown once
    Create {
        /// What it is for
        name: String,
        /// What it may do: doors:read, doors:act, doors:act:DOOR, events:read, accounts, people, devices, config, metrics, admin
        #[arg(long, required = true)]
        scope: Vec<String>,
        /// When it ends (RFC 3339)
        #[arg(long)]
        expires: Option<String>,
    },
    /// All tokens
    List,
    /// Take a token back
    Revoke {
        /// Its id
        token: String,
    },
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

/// A span of time such as `10s` or `1m30s`.
fn span(text: &str) -> Result<std::time::Duration, String> {
    let span: jiff::SignedDuration = text.parse().map_err(|_| "write a span such as 10s or 1m".to_owned())?;
    if span.is_negative() { Err("must not be negative".into()) } else { Ok(span.unsigned_abs()) }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        super::Cli::command().debug_assert();
    }
}
