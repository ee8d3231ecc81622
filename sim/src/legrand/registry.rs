//! What was registered at the vendor: SIP accounts, push subscriptions, certificates.

use serde::{Deserialize, Serialize};

/// Everything that was registered, kept across restarts.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Registry {
    pub(crate) accounts: Vec<Account>,
    pub(crate) subscriptions: Vec<Subscription>,
    pub(crate) certificates: Vec<Issued>,
}

/// One client of a gateway.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Account {
    pub(crate) sip_id: String,
    pub(crate) gateway: String,
    pub(crate) plant: String,
    pub(crate) client_id: String,
    pub(crate) client_name: String,
    /// Without `sip:`.
    pub(crate) uri: String,
    pub(crate) email: String,
    pub(crate) oid: String,
    pub(crate) password: String,
}

/// Where a phone wants to be woken.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Subscription {
    pub(crate) id: String,
    pub(crate) gateway: String,
    pub(crate) device: String,
    pub(crate) handle: String,
    pub(crate) platform: String,
    pub(crate) language: String,
}

/// A certificate that was issued, known by its SHA-256 in hexadecimal digits.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Issued {
    pub(crate) fingerprint: String,
    pub(crate) client_id: String,
    pub(crate) gateway: String,
    pub(crate) until: u64,
}

impl Account {
    /// The user of its address.
    pub(crate) fn user(&self) -> &str {
        self.uri.split('@').next().unwrap_or_default()
    }
}

impl Registry {
    pub(crate) fn account(&self, gateway: &str, client_id: &str) -> Option<&Account> {
        self.accounts.iter().find(|account| account.gateway == gateway && account.client_id == client_id)
    }

    /// The account whose address is `user@<gateway>.…`.
    pub(crate) fn by_user(&self, gateway: &str, user: &str) -> Option<&Account> {
        self.accounts.iter().find(|account| account.gateway == gateway && account.user() == user)
    }

    pub(crate) fn certificate(&self, fingerprint: &str) -> Option<&Issued> {
        self.certificates.iter().find(|issued| issued.fingerprint == fingerprint)
    }
}
