//! `OAuth` 2.0 tokens of a vendor's account (RFC 6749).
//!
//! A [`Keeper`] keeps them: on disk before they are used, renewed by one caller at a time, and never asked for again once
//! the vendor has called them dead. [`ask`] is one request to the vendor's token endpoint, and [`meaning`] reads what it
//! answers, in the shapes that vendors use.
//!
//! It must never use a token that is not on disk yet, ask twice with a refresh token that was called dead, or show one.

pub mod authorization;
mod grant;
mod keeper;

pub use grant::{Grant, Meaning, Trouble, ask, meaning};
pub use keeper::{Bearer, Keeper, LEASE, Standing, Tokens};

use doorward_core::Secret;
use reqwest::Client;
use std::time::Duration;

/// A vendor's token endpoint, as one account uses it.
#[derive(Clone)]
pub struct Endpoint {
    /// Asks it.
    pub http: Client,
    /// Where it is.
    pub url: String,
    /// What every request says beside what it asks for: `client_id`, `client_secret`, `scope`.
    pub client: Vec<(&'static str, Secret<String>)>,
    /// How long before its end a token is renewed.
    pub ahead: Duration,
    /// Whether tokens are renewed by themselves before they end.
    pub renews: bool,
    /// What a person can do when the vendor does not know this client.
    pub unknown_client: &'static str,
}

impl Endpoint {
    /// A form with what every request says.
    fn form<'a>(&'a self, fields: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let client = self.client.iter().map(|(name, value)| (*name, value.reveal().as_str()));
        fields.iter().copied().chain(client).collect()
    }
}
