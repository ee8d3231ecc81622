//! Settings, and files of the older gateway.

use doorward_core::driver::Settings;
use doorward_utec::{Config, legacy};
use serde_json::{Value, json};
use std::time::Duration;

fn with(changes: &[(&str, Value)]) -> Settings {
    let mut settings = Settings::default();
    settings.values.insert("access_key".into(), json!("AK"));
    settings.secrets.insert("secret_key".into(), "SK".into());
    for (key, value) in changes {
        settings.values.insert((*key).into(), value.clone());
    }
    settings
}

fn mistakes(settings: &Settings) -> Vec<String> {
    Config::parse(settings).err().unwrap_or_default().into_iter().map(|mistake| mistake.key).collect()
}

#[test]
fn two_keys_are_enough() {
    let config = Config::parse(&with(&[])).unwrap();
    assert_eq!(config.base_url.as_str(), "https://api.u-tec.com/");
    assert_eq!(config.oauth_base_url.as_str(), "https://oauth.u-tec.com/");
    assert_eq!((config.action_path.as_str(), config.scope.as_str()), ("/action", "openapi"));
    assert_eq!((config.status_poll, config.auto_refresh, config.refresh_buffer), (Duration::from_mins(1), true, Duration::from_mins(5)));
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let mut settings = with(&[
        ("base_url", json!("http://api.example.com")),
        ("oauth_base_url", json!("https://user:pass@example.com")),
        ("action_path", json!("/../x")),
        ("status_poll_seconds", json!(4)),
        ("refresh_buffer_minutes", json!("soon")),
        ("auto_refresh_enabled", json!(3)),
        ("time_zone", json!("Mars/Olympus")),
        ("redirect_url", json!("javascript:alert(1)")),
        ("pin_sha256", json!("beef")),
        ("colour", json!("red")),
        ("secret_key", json!("in the wrong place")),
    ]);
    settings.secrets.clear();
    let mut found = mistakes(&settings);
    found.sort();
    found.dedup();
    let mut expected: Vec<String> = settings.values.keys().filter(|key| *key != "access_key").cloned().collect();
    expected.sort();
    assert_eq!(found, expected);
}

#[test]
fn plain_http_is_for_this_machine_alone() {
    for address in ["http://127.0.0.1:8080", "http://localhost:1", "http://[::1]:1", "http://127.1.2.3"] {
        assert!(mistakes(&with(&[("base_url", json!(address))])).is_empty(), "{address}");
    }
    for address in ["http://127.0.0.1.example.com", "http://localhost.example.com", "http://10.0.0.1", "ftp://localhost", "https://x/?q=1"]
    {
        assert_eq!(mistakes(&with(&[("base_url", json!(address))])), ["base_url"], "{address}");
    }
}

#[test]
fn addresses_of_older_settings_are_brought_up_to_date() {
    for (written, meant) in [
        ("https://openapi.ultraloq.com", "https://api.u-tec.com/"),
        ("https://openapi.u-tec.com/", "https://api.u-tec.com/"),
        ("openapi.u-tec.com", "https://api.u-tec.com/"),
        ("api.u-tec.com", "https://api.u-tec.com/"),
        ("https://openapi.u-tec.com.example.org", "https://openapi.u-tec.com.example.org/"),
    ] {
        assert_eq!(Config::parse(&with(&[("base_url", json!(written))])).unwrap().base_url.as_str(), meant);
    }
    for written in ["https://oauth.u-tec.com/login", "oauth.u-tec.com/login/", "https://oauth.u-tec.com"] {
        assert_eq!(
            Config::parse(&with(&[("oauth_base_url", json!(written))])).unwrap().oauth_base_url.as_str(),
            "https://oauth.u-tec.com/"
        );
    }
}

#[test]
fn values_may_come_as_text_from_the_environment() {
    let config = Config::parse(&with(&[("status_poll_seconds", json!("30")), ("auto_refresh_enabled", json!("FALSE"))])).unwrap();
    assert_eq!((config.status_poll, config.auto_refresh), (Duration::from_secs(30), false));
}

#[test]
fn a_file_that_cannot_be_used_is_told_when_the_driver_is_made() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    for path in ["/nowhere/ca.pem", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")] {
        let mistakes = (doorward_utec::ENTRY.build)(&with(&[("ca_file", json!(path))])).err().unwrap();
        assert_eq!(mistakes[0].key, "ca_file");
    }
    assert!((doorward_utec::ENTRY.build)(&with(&[("pin_sha256", json!("00".repeat(32)))])).is_ok());
}

#[test]
fn a_file_of_the_older_gateway_becomes_settings_and_tokens() {
    let file = json!({
        "base_url": "https://openapi.ultraloq.com", "oauth_base_url": "oauth.u-tec.com/login", "devices_path": "/devices", "action_path": "/action",
        "access_key": "AK", "secret_key": "SK", "auth_code": "C", "access_token": "AT", "refresh_token": "RT", "token_type": "Bearer",
        "token_expires_in": 601_200, "log_level": "INFO", "scope": "openapi", "redirect_url": "", "status_poll_seconds": 2,
    });
    let import = legacy::parse(file.to_string().as_bytes()).unwrap();
    let config = Config::parse(&import.settings).unwrap();
    assert_eq!(config.base_url.as_str(), "https://api.u-tec.com/");
    assert_eq!(config.oauth_base_url.as_str(), "https://oauth.u-tec.com/");
    assert_eq!((config.access_key.as_str(), config.secret_key.reveal().as_str()), ("AK", "SK"));
    assert_eq!(config.status_poll, Duration::from_secs(5));
    assert_eq!(import.left_out, ["devices_path", "log_level"]);
    let tokens: Value = serde_json::from_str(import.tokens.unwrap().reveal()).unwrap();
    assert_eq!(tokens, json!({ "access_token": "AT", "refresh_token": "RT", "token_type": "Bearer" }), "nobody knows since when it lives");
    for other in ["", "[]", "{}", "{\"a\":1}", "null"] {
        legacy::parse(other.as_bytes()).unwrap_err();
    }
}
