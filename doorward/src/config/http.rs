//! `[http]` and `[public]`

use super::{
    Listen,
    keys::{Keys, Kind},
};
use doorward_http::network::Network;
use doorward_wire::account::AccountId;
use std::net::ToSocketAddrs;

#[derive(Debug)]
pub(crate) struct Http {
    pub(crate) listen: Listen,
    pub(crate) public_url: Option<String>,
    pub(crate) hosts: Vec<String>,
    pub(crate) trusted: Vec<Network>,
    pub(crate) proxies: Vec<Network>,
    pub(crate) allow_plain: bool,
    pub(crate) utec_account: Option<AccountId>,
}

impl Http {
    pub(crate) fn read(keys: &mut Keys) -> Self {
        let mut section = keys.section("http", "Pages, API v1 and the U-tec local API.");
        Self {
            listen: section.value("listen", Kind::Text, "127.0.0.1:8000", "Where it listens; “off” for the admin socket alone.", listen),
            public_url: section.value(
                "public_url",
                Kind::Text,
                "",
                "The address that people and vendors use from outside, such as https://doors.example.org.",
                |text| if text.is_empty() || text.starts_with("https://") { Ok((!text.is_empty()).then(|| text.trim_end_matches('/').to_owned())) } else { Err("must begin with https://".into()) },
            ),
            hosts: section.value(
                "hosts",
                Kind::List,
                "",
                "Names under which doorward may be called, beside IP addresses, localhost and the public address.",
                |text| Ok(list(text)),
            ),
            trusted: section.value(
                "trusted",
                Kind::List,
                "",
                "Networks whose clients may use the U-tec local API without credentials, such as 192.168.1.0/24. Anybody there can open U-tec doors.",
                networks,
            ),
            proxies: section.value("proxies", Kind::List, "", "Reverse proxies whose forwarding headers count.", networks),
            allow_plain: section.value(
                "allow_plain",
                Kind::Switch,
                "false",
                "Allow signing in with a password over plain HTTP from other machines. Anybody on the way can read it.",
                switch,
            ),
            utec_account: section.value(
                "utec_account",
                Kind::Text,
                "",
                "The account that the U-tec local API speaks for; the oldest one when empty.",
                |text| if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(|error| format!("{error}")) },
            ),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Public {
    pub(crate) listen: Listen,
}

impl Public {
    pub(crate) fn read(keys: &mut Keys) -> Self {
        let mut section = keys.section("public", "What may be put on the internet: hooks of vendors, nothing else.");
        Self { listen: section.value("listen", Kind::Text, "off", "Where it listens; “off” by default.", listen) }
    }
}

pub(super) fn listen(text: &str) -> Result<Listen, String> {
    if text == "off" {
        return Ok(None);
    }
    let wrong = || format!("“{text}” is not an address with a port, such as 127.0.0.1:8000, nor “off”");
    text.to_socket_addrs().map_err(|_| wrong())?.next().map(Some).ok_or_else(wrong)
}

pub(super) fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

pub(super) fn networks(text: &str) -> Result<Vec<Network>, String> {
    list(text).iter().map(|item| item.parse()).collect()
}

pub(super) fn switch(text: &str) -> Result<bool, String> {
    match text {
        "true" | "1" | "on" | "yes" => Ok(true),
        "false" | "0" | "off" | "no" => Ok(false),
        other => Err(format!("“{other}” is neither true nor false")),
    }
}
