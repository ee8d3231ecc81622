//! `doorward account …`

use clap::{Args, Subcommand};
use std::path::PathBuf;

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
