//! Clients for the cloud.

use crate::config::Config;
use doorward_core::driver::Mistake;
use reqwest::{Client, Url};

/// Clients for the API and the sign-in.
pub(crate) struct Http {
    api: Client,
    oauth: Client,
}

impl Http {
    /// Clients with the account's TLS settings.
    pub(crate) fn new(config: &Config) -> Result<Self, Vec<Mistake>> {
        let client = |base: &Url| {
            doorward_http::client(base, &config.trust).map_err(|mistake| {
                let key = if mistake.key == "url" { "base_url".into() } else { mistake.key };
                vec![Mistake { key, ..mistake }]
            })
        };
        Ok(Self { api: client(&config.base_url)?, oauth: client(&config.oauth_base_url)? })
    }

    /// The client for `/action`.
    pub(crate) fn api(&self) -> &Client {
        &self.api
    }

    /// The client for `/token`.
    pub(crate) fn oauth(&self) -> &Client {
        &self.oauth
    }
}
