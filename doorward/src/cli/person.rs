//! `doorward person …`

use clap::Subcommand;
use std::path::PathBuf;

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
        /// What it may do: doors:read, doors:act, doors:act:DOOR, events:read, accounts, people, devices, devices:provision, config, metrics, admin
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
