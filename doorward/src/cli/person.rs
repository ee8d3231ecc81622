//! `doorward person …`

use clap::Subcommand;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum Person {
    /// Add a person
    Add {
        /// Their name
        name: String,
        /// What they may do beside opening doors: administrator, resident, guest, service
        #[arg(long, default_value = "resident")]
        role: String,
    },
    /// Give a person another name or role
    Change {
        /// Id or unique name
        person: String,
        /// Their new name
        #[arg(long)]
        name: Option<String>,
        /// administrator, resident, guest, service
        #[arg(long)]
        role: Option<String>,
    },
    /// Give a person a right to open doors
    Grant {
        /// Id or unique name
        person: String,
        #[command(flatten)]
        doors: super::pass::Doors,
        /// What may be asked of the doors: act, lock, read
        #[arg(long, default_value = "act")]
        actions: String,
        #[command(flatten)]
        terms: super::pass::Terms,
    },
    /// All rights, of people, groups and passes
    Grants,
    /// Take a right back, at once
    Ungrant {
        /// The right's id
        grant: String,
    },
    /// Groups, to whom rights are given together
    #[command(subcommand)]
    Group(Group),
    /// All people
    List,
    /// Remove a person with their sessions, tokens, keys, rights, and the passes that they made
    #[command(visible_alias = "erase")]
    Remove {
        /// Id or unique name
        person: String,
    },
    /// Everything that is kept of a person, as JSON
    Export {
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
    #[command(flatten)]
    WayIn(super::WayIn),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Group {
    /// Make a group
    Add {
        /// Its name
        name: String,
        /// A person in it, by id or name; repeat it for several
        #[arg(long = "member")]
        members: Vec<String>,
    },
    /// All groups
    List,
    /// Say who is in a group: everybody who is named, and nobody else
    Members {
        /// Id or name
        group: String,
        /// A person in it, by id or name; repeat it for several
        #[arg(long = "member")]
        members: Vec<String>,
    },
    /// Give everybody in a group a right to open doors
    Grant {
        /// Id or name
        group: String,
        #[command(flatten)]
        doors: super::pass::Doors,
        #[command(flatten)]
        terms: super::pass::Terms,
    },
    /// Remove a group with the rights that were given to it
    Remove {
        /// Id or name
        group: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Make a token; it is shown once
    Create {
        /// What it is for
        name: String,
        /// What it may do: doors:read, doors:act, doors:act:DOOR, events:read, accounts, people, devices, devices:provision, config, metrics, admin
        #[arg(long, required = true)]
        scope: Vec<String>,
        /// When it ends (RFC 3339)
        #[arg(long)]
        expires: Option<String>,
        /// For this person: it does no more than they may, and goes with them
        #[arg(long)]
        person: Option<String>,
    },
    /// All tokens
    List,
    /// Take a token back
    Revoke {
        /// Its id
        token: String,
    },
}
