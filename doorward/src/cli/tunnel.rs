//! `doorward tunnel …`

use clap::{Args, Subcommand};
use std::path::PathBuf;

const CALL: &str = "\
Examples:
  doorward tunnel call https://doors.example.org --key-file phone.key
  doorward tunnel call https://doors.example.org service=doors action=unlock door=front_door
  doorward tunnel call https://doors.example.org url=http://192.168.1.20:8123/api/ method=GET
  doorward tunnel call https://doors.example.org service=mqtt topic=home/light message=on retain:=true
  doorward tunnel call https://doors.example.org --listen 'home/#'";

#[derive(Debug, Subcommand)]
pub(crate) enum Tunnel {
    /// Keys: one for each phone or person
    #[command(subcommand)]
    Key(TunnelKey),
    /// Whether it listens, for how many keys, and what phones compare
    Show,
    /// The certificate of doorward's own authority as PEM, for clients of a tunnel with TLS of its own
    Authority,
    /// Speak to a tunnel as a phone does; without fields, look whether it can be reached, the clock is right and the key fits
    ///
    /// The key comes from --key-file, or from the environment variable `DOORWARD_TUNNEL_KEY`.
    #[command(after_help = CALL)]
    Call {
        /// Where the tunnel is, such as `https://doors.example.org`
        address: String,
        /// Fields of the request: `name=text`, or `name:=JSON`
        #[arg(value_name = "FIELD")]
        fields: Vec<String>,
        /// A file that holds the key's secret, or its pairing link; “-” for standard input
        #[arg(long, value_name = "FILE")]
        key_file: Option<PathBuf>,
        /// Speak version 2 of the wire (Oblivious HTTP); the key must be a pairing link, which names the house
        #[arg(long)]
        v2: bool,
        /// A PEM file with the authority to trust beside the public ones, such as doorward's own
        #[arg(long, value_name = "FILE")]
        ca_file: Option<PathBuf>,
        /// Listen to a topic filter, and print what comes until it ends
        #[arg(long, value_name = "FILTER", conflicts_with = "fields")]
        listen: Option<String>,
    },
    /// Put the tunnel on the internet by Tailscale Funnel: checks what it needs, shows the command, or runs it
    Funnel {
        /// Run the command, and try the public address
        #[arg(long)]
        apply: bool,
        /// The public port: 443, 8443 or 10000
        #[arg(long, default_value_t = 443, value_parser = public_port)]
        port: u16,
        /// The public address, where it is another one than Tailscale's name of this machine
        #[arg(long, value_name = "URL")]
        public_url: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum TunnelKey {
    /// Add a key; its secret is made and shown once
    Add {
        /// The name: a phone, or a person
        name: String,
        /// The id of the person whose it is; it goes with them
        #[arg(long, value_name = "ID")]
        person: Option<String>,
        #[command(flatten)]
        scopes: ScopeArgs,
    },
    /// All keys
    List,
    /// One key: what it may be used for, and what it asked for last
    Show {
        /// The key
        name: String,
    },
    /// Change what a key may be used for: everything that it may is named again
    Scopes {
        /// The key
        name: String,
        #[command(flatten)]
        scopes: ScopeArgs,
    },
    /// Give a key another secret, which is shown once; the one before still works for a while
    Rotate {
        /// The key
        name: String,
        /// How long the secret before still works, such as 30m, 24h; 0s for not at all
        #[arg(long, value_name = "SPAN", default_value = "24h")]
        overlap: String,
    },
    /// Revoke a key and end its streams
    Revoke {
        /// The key
        name: String,
    },
}

/// Funnel has these and no others.
fn public_port(text: &str) -> Result<u16, String> {
    text.parse().ok().filter(|port| [443, 8443, 10_000].contains(port)).ok_or_else(|| "must be 443, 8443 or 10000".into())
}

/// What a key may be used for. Nothing, unless it is named.
#[derive(Debug, Args)]
pub(crate) struct ScopeArgs {
    /// A service: doors, mqtt, jeedom or http; what the others below need is added by itself
    #[arg(long, value_name = "SERVICE")]
    service: Vec<String>,
    /// A topic filter to which it may publish
    #[arg(long, value_name = "FILTER")]
    mqtt_publish: Vec<String>,
    /// A topic filter to which it may subscribe
    #[arg(long, value_name = "FILTER")]
    mqtt_subscribe: Vec<String>,
    /// A broker beside the house's own that it may name, as host:port
    #[arg(long, value_name = "BROKER")]
    broker: Vec<String>,
    /// Where requests may go, such as `https://example.org/api` or `GET,POST http://192.168.1.20:8123/api`
    #[arg(long, value_name = "DESTINATION")]
    http: Vec<String>,
    /// A door, or “*” for every one
    #[arg(long, value_name = "DOOR")]
    door: Vec<String>,
}

impl ScopeArgs {
    /// As the API takes them.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        let mut services = self.service.clone();
        let needed = [
            ("mqtt", !self.mqtt_publish.is_empty() || !self.mqtt_subscribe.is_empty() || !self.broker.is_empty()),
            ("http", !self.http.is_empty()),
            ("doors", !self.door.is_empty()),
        ];
        for (service, is_needed) in needed {
            if is_needed && !services.iter().any(|known| known == service) {
                services.push(service.into());
            }
        }
        serde_json::json!({
            "services": services,
            "http": self.http,
            "mqtt_publish": self.mqtt_publish,
            "mqtt_subscribe": self.mqtt_subscribe,
            "brokers": self.broker,
            "doors": self.door,
        })
    }
}
