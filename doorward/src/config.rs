//! Configuration: one file for each section, defaults that boot, every mistake at once.
//!
//! Precedence: environment > file > database > default. [`Keys`] looks a key up in that order, notes where its value
//! came from, and remembers its help, so that `config show`, `config sample` and `config schema` cannot drift from what
//! is read.

mod accounts;
mod ble;
mod doors;
mod fleet;
mod http;
mod keys;
mod log;
mod mqtt;
mod notify;
mod radio;
mod server;
mod sites;
mod store;
mod tunnel;

pub(crate) use accounts::AccountConfig;
pub(crate) use ble::KEYS as BLE_KEYS;
pub(crate) use doors::{DoorConfig, Own};
pub(crate) use keys::{Keys, Sources};
pub(crate) use log::LogFormat;
pub(crate) use mqtt::place as broker_place;
pub(crate) use radio::locks as radio_locks;
pub(crate) use tunnel::TunnelConfig;

use crate::{
    cli::Global,
    data,
    drivers::TABLE,
    failure::{Failure, mistakes},
    output,
};
use anyhow::Context;
use doorward_core::driver::{Entry, Mistake};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// The configuration file, in the data folder unless another is named.
pub(crate) const CONFIG_FILE: &str = "doorward.toml";
/// The file of environment variables beside it.
pub(crate) const ENV_FILE: &str = ".env";

/// A certificate and its key, as PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CertificateFiles {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// Where a listener listens; nothing when it is `off`.
pub(crate) type Listen = Option<SocketAddr>;

/// The whole configuration.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) server: server::Server,
    pub(crate) http: http::Http,
    pub(crate) public: http::Public,
    pub(crate) store: store::StoreConfig,
    pub(crate) mqtt: mqtt::MqttConfig,
    pub(crate) tunnel: tunnel::TunnelConfig,
    pub(crate) fleet: fleet::FleetConfig,
    pub(crate) ble: ble::BleConfig,
    pub(crate) notify: doorward_web::notify::Settings,
    pub(crate) log: log::Log,
    pub(crate) accounts: Vec<AccountConfig>,
    pub(crate) doors: Vec<DoorConfig>,
    pub(crate) sites: Vec<doorward_store::Site>,
    /// Every key as it stands: path, value shown, where it comes from.
    pub(crate) shown: Vec<(String, String, String)>,
}

impl Config {
    /// Reads everything, or says everything that is wrong.
    pub(crate) fn read(sources: &Sources, drivers: &[Entry]) -> Result<Self, Vec<Mistake>> {
        let mut keys = Keys::new(sources);
        let config = Self::from_keys(&mut keys, drivers);
        keys.refuse_unknown();
        let Keys { mistakes, shown, .. } = keys;
        if mistakes.is_empty() { Ok(Self { shown, ..config }) } else { Err(mistakes) }
    }

    fn from_keys(keys: &mut Keys, drivers: &[Entry]) -> Self {
        let server = server::Server::read(keys);
        let time_zone = server.time_zone.clone();
        let mut config = Self {
            server,
            http: http::Http::read(keys),
            public: http::Public::read(keys),
            store: store::StoreConfig::read(keys),
            mqtt: mqtt::MqttConfig::read(keys),
            tunnel: tunnel::TunnelConfig::read(keys),
            fleet: fleet::FleetConfig::read(keys),
            ble: ble::BleConfig::read(keys),
            notify: notify::read(keys, &time_zone),
            log: log::Log::read(keys),
            sites: sites::read(keys),
            accounts: accounts::read(keys, drivers),
            doors: doors::read(keys),
            shown: Vec::new(),
        };
        config.accounts.extend(doors::foreign_account(keys, &config.doors));
        config.accounts.extend(radio::account(keys, &config.doors, &config.ble));
        config
    }

    /// A commented file with every key at its default.
    pub(crate) fn sample(drivers: &[Entry]) -> String {
        let sources = Sources::default();
        let mut keys = Keys::new(&sources);
        Self::from_keys(&mut keys, drivers);
        keys.sample() + &sites::sample() + &accounts::sample(drivers) + &doors::sample()
    }

    /// A JSON schema of the file.
    pub(crate) fn schema(drivers: &[Entry]) -> serde_json::Value {
        let sources = Sources::default();
        let mut keys = Keys::new(&sources);
        Self::from_keys(&mut keys, drivers);
        let mut properties = keys.schema();
        properties.insert("sites".into(), sites::schema());
        properties.insert("accounts".into(), accounts::schema(drivers));
        properties.insert("doors".into(), doors::schema());
        serde_json::json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "doorward.toml",
            "type": "object",
            "additionalProperties": false,
            "properties": properties,
        })
    }
}

/// Reads the file, or `doorward.toml` in the data folder, and the environment, with a `.env` beside the file.
pub(crate) fn sources(file: Option<&Path>, data: &Path) -> anyhow::Result<Sources> {
    let path = file.map_or_else(|| data.join(CONFIG_FILE), Path::to_owned);
    let mut sources = Sources { data: data.to_owned(), ..Sources::default() };
    match std::fs::read_to_string(&path) {
        Ok(text) => sources.file = text.parse::<toml::Table>().with_context(|| format!("{} is not TOML", path.display()))?,
        // Without a file there is nothing to read, and a folder that cannot be one is told of where it is opened.
        Err(error) if file.is_none() && matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {}
        Err(error) => return Err(error).with_context(|| format!("{} cannot be read", path.display())),
    }
    if let Ok(text) = std::fs::read_to_string(path.with_file_name(ENV_FILE)) {
        sources.environment = dot_env(&text);
    }
    sources.environment.extend(std::env::vars());
    sources.originals = tunnel::originals(&sources.environment);
    sources.originals.extend(fleet::originals(&sources.environment));
    sources.originals.extend(ble::originals(&sources.environment));
    sources.environment.retain(|name, _| name.starts_with("DOORWARD_"));
    sources.path = path;
    Ok(sources)
}

/// Reads file and environment, or fails with every mistake.
pub(crate) fn read_config(global: &Global, file: Option<&Path>) -> Result<Config, Failure> {
    let sources = sources_of(global, file)?;
    Config::read(&sources, TABLE).map_err(|found| mistakes(&found, &sources.path))
}

/// Reads file, environment and database: what the next start will use.
pub(crate) async fn read_all(global: &Global, file: Option<&Path>) -> Result<Config, Failure> {
    let mut sources = sources_of(global, file)?;
    let first = Config::read(&sources, TABLE).map_err(|found| mistakes(&found, &sources.path))?;
    let url = data::store_url(&data::folder(global.data.as_deref()), &first.store.url);
    match doorward_store::settings_at(&url).await {
        Ok(settings) => with_settings(&mut sources, settings),
        Err(error) => {
            output::warn(&format!("The database could not be asked for its settings: {error}"));
            Ok(first)
        }
    }
}

/// Reads the configuration again, now with what the database sets.
pub(crate) fn with_settings(sources: &mut Sources, settings: BTreeMap<String, serde_json::Value>) -> Result<Config, Failure> {
    sources.database = settings.into_iter().filter_map(|(key, value)| Some((key, value.as_str()?.to_owned()))).collect();
    Config::read(sources, TABLE).map_err(|found| mistakes(&found, &sources.path))
}

fn sources_of(global: &Global, file: Option<&Path>) -> Result<Sources, Failure> {
    let folder = data::folder(global.data.as_deref());
    sources(file, &folder).map_err(|error| Failure::usage(format!("{error:#}")))
}

/// `NAME=value` lines; `#` comments; quotes around a value are taken off.
fn dot_env(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.strip_prefix("export ").unwrap_or(line).split_once('='))
        .map(|(name, value)| {
            let value = value.trim();
            let bare = ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote)).unwrap_or(value);
            (name.trim().to_owned(), bare.to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(file: &str, environment: &[(&str, &str)]) -> Result<Config, Vec<Mistake>> {
        let sources = Sources {
            file: file.parse().unwrap(),
            environment: environment.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            ..Sources::default()
        };
        Config::read(&sources, crate::drivers::TABLE)
    }

    #[test]
    fn nothing_set_boots() {
        let config = read("", &[]).unwrap();
        assert_eq!(config.http.listen, Some(([127, 0, 0, 1], 8000).into()));
        assert!(config.http.trusted.is_empty(), "nobody is trusted by default");
        assert_eq!(config.public.listen, None);
    }

    #[test]
    fn rule_8_every_mistake_is_reported_at_once_with_its_path() {
        let wrong = r#"
            typo = 1
            [http]
            listen = "here"
            trusted = ["nonsense"]
            lisen = "127.0.0.1:1"
            [store]
            keep_events = "soon"
            [[accounts]]
            kind = "utek"
            [[doors]]
            name = "no id"
            [[doors]]
            id = "gate"
            stream = "http://ada:secret@cam/"
        "#;
        let mistakes = read(wrong, &[("DOORWARD_HTTP__PORT", "1")]).unwrap_err();
        let paths: Vec<&str> = mistakes.iter().map(|mistake| mistake.key.as_str()).collect();
        for path in [
            "typo",
            "http.listen",
            "http.trusted",
            "http.lisen",
            "store.keep_events",
            "accounts[0].kind",
            "doors[0].id",
            "doors[1].stream",
            "DOORWARD_HTTP__PORT",
        ] {
            assert!(paths.contains(&path), "{path} is missing in {paths:?}");
        }
        assert!(mistakes.iter().all(|mistake| !mistake.hint.is_empty()));
        let typo = mistakes.iter().find(|mistake| mistake.key == "http.lisen").unwrap();
        assert!(typo.hint.contains("http.listen"), "a near miss is named: {}", typo.hint);
    }

    #[test]
    fn rule_8_the_environment_beats_the_file() {
        let config = read("[http]\nlisten = '127.0.0.1:1'", &[("DOORWARD_HTTP__LISTEN", "127.0.0.1:2")]).unwrap();
        assert_eq!(config.http.listen, Some(([127, 0, 0, 1], 2).into()));
        let (_, value, origin) = config.shown.iter().find(|(path, ..)| path == "http.listen").unwrap();
        assert_eq!((value.as_str(), origin.as_str()), ("127.0.0.1:2", "environment"));
    }

    #[test]
    fn the_sample_is_a_valid_file_that_changes_nothing() {
        let sample = Config::sample(crate::drivers::TABLE);
        let config = read(&sample, &[]).unwrap();
        assert!(config.shown.iter().all(|(_, _, origin)| origin == "default"), "the sample sets nothing");
        let uncommented: String = sample
            .lines()
            .map(|line| {
                line.strip_prefix("# ").filter(|line| line.contains(" = ") || line.starts_with("[[")).unwrap_or(line).to_owned() + "\n"
            })
            .collect();
        uncommented.parse::<toml::Table>().unwrap();
    }
}
