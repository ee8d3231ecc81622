//! `doorward pass …`, and the terms on which rights are given.

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum Pass {
    /// Make a pass: a link by which a guest opens doors, until it ends
    #[command(alias = "add")]
    Create {
        /// The guest's name
        name: String,
        #[command(flatten)]
        doors: Doors,
        #[command(flatten)]
        terms: Terms,
        /// 4 to 8 digits that the guest must know, too
        #[arg(long)]
        pin: Option<String>,
    },
    /// All passes
    List,
    /// One pass, with its link
    Show {
        /// Id, or a name that only one pass has
        pass: String,
        /// Also print its link as a QR code
        #[arg(long)]
        qr: bool,
    },
    /// Let a pass last longer, or change what it allows; what is not named stays
    Extend {
        /// Id, or a name that only one pass has
        pass: String,
        #[command(flatten)]
        doors: MaybeDoors,
        #[command(flatten)]
        terms: Terms,
    },
    /// A one-time code by which a guest's phone is enrolled at locks over Bluetooth; lives an hour
    InvitePhone {
        /// Id, or a name that only one pass has
        pass: String,
    },
    /// Sign a pass for a phone, which a lock over Bluetooth takes without a network
    Offline {
        /// The phone: its id, or a name that only one has (doorward person phones)
        phone: String,
        /// The door
        #[arg(long)]
        door: String,
        /// For so long from now on at most: 4h, 3d, 2w; 30 days at most
        #[arg(long = "for", value_name = "SPAN", default_value = "7d")]
        span: String,
        /// The file to write, for “doorward ble guest --pass FILE”
        #[arg(long, value_name = "FILE")]
        out: std::path::PathBuf,
    },
    /// End every pass that was signed for a lock so, until now
    OfflineEnd {
        /// The door
        #[arg(long)]
        door: String,
    },
    /// Take a pass back, at once
    Revoke {
        /// Id, or a name that only one pass has
        pass: String,
    },
}

/// The doors of a right.
#[derive(Debug, Args)]
pub(crate) struct Doors {
    /// A door, site:SITE for every door of a site, or '*' for every door; repeat it for several
    #[arg(long = "door", required = true, value_name = "DOOR")]
    pub(crate) doors: Vec<String>,
}

/// Other doors of a right.
#[derive(Debug, Args)]
pub(crate) struct MaybeDoors {
    /// Other doors: all of them
    #[arg(long = "door", value_name = "DOOR")]
    pub(crate) doors: Vec<String>,
}

/// When and how often a right holds. What is not named does not limit it.
#[derive(Debug, Args)]
pub(crate) struct Terms {
    /// For so long from now on: 90m, 4h, 3d, 2w
    #[arg(long = "for", value_name = "SPAN", conflicts_with = "until")]
    pub(crate) span: Option<String>,
    /// From this time on (RFC 3339)
    #[arg(long)]
    pub(crate) from: Option<String>,
    /// Until this time (RFC 3339)
    #[arg(long)]
    pub(crate) until: Option<String>,
    /// On these days alone: mon-fri, or sat,sun
    #[arg(long, value_delimiter = ',')]
    pub(crate) weekdays: Vec<String>,
    /// At these hours alone: 08:00-18:00, 22:00-06:00; in the time zone of the door
    #[arg(long, value_delimiter = ',')]
    pub(crate) hours: Vec<String>,
    /// What holidays of the site mean
    #[arg(long, value_parser = ["as_usual", "never", "only"])]
    pub(crate) holidays: Option<String>,
    /// It opens so many times
    #[arg(long)]
    pub(crate) uses: Option<u32>,
    /// Only together with a second person, within a minute
    #[arg(long)]
    pub(crate) two_person: bool,
    /// Whoever uses it is forced to: it opens, and administrators are told
    #[arg(long)]
    pub(crate) duress: bool,
}
