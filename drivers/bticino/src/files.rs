//! The original's three files: tokens, SIP account, certificate. Whoever used it moves here without signing in again, and
//! back.
//!
//! They are read as its examples wrote them too: the account alone or under `result`, `payload` or both; tokens with the
//! names of `OAuth`; times in milliseconds since 1970 or as ISO 8601; a certificate under two names.

use crate::{plants::is_identifier, standalone::write};
use doorward_core::Secret;
use doorward_wire::Time;
use serde_json::{Map, Value, json};
use std::{io, path::Path, time::Duration};

/// The original's name of the file with the tokens.
pub const TOKENS: &str = "token_cache.json";
/// The original's name of the file with the SIP account.
pub const ACCOUNT: &str = "sip_account.json";
/// The original's name of the file with certificate and key.
pub const CERTIFICATE: &str = "client-certs.json";

/// Where the original puts them in a folder.
const PATHS: [&str; 3] = ["token/token_cache.json", "token/sip_account.json", "certs/client-certs.json"];

/// Bytes of a file, at most.
const LONGEST: usize = 256 << 10;

/// Why a file is none of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// It cannot be one.
    #[error("this is not a JSON object")]
    NotAnObject,
    /// Something is missing or of another kind.
    #[error("there is no {0} in it")]
    Missing(&'static str),
    /// An identifier with something in it that would end the SIP address which it becomes a part of.
    #[error("the {0} in it is no identifier")]
    NoIdentifier(&'static str),
    /// It is another file.
    #[error("it is none of {TOKENS}, {ACCOUNT} and {CERTIFICATE}")]
    Unknown,
    /// One of its kind was read already.
    #[error("there is another file of this kind")]
    Twice,
}

/// What the original's files hold together, whatever they are called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files {
    /// `token_cache.json`.
    pub tokens: Option<SavedTokens>,
    /// `sip_account.json`.
    pub account: Option<SipAccount>,
    /// `client-certs.json`.
    pub certificate: Option<SavedCertificate>,
}

impl Files {
    /// Reads one more file. Which one it is stands in it.
    pub fn add(&mut self, text: &str) -> Result<(), FileError> {
        let fields = object(text)?;
        let has = |names: &[&str]| names.iter().any(|name| fields.contains_key(*name));
        let twice = if has(&["b2cAccessToken", "b2cRefreshToken", "access_token", "refresh_token"]) {
            self.tokens.replace(SavedTokens::read(text)?).is_some()
        } else if has(&["sipUri", "sipPassword", "payload", "result"]) {
            self.account.replace(SipAccount::read(text)?).is_some()
        } else if has(&["cert", "certPEM", "key", "privateKeyPem"]) {
            self.certificate.replace(SavedCertificate::read(text)?).is_some()
        } else {
            return Err(FileError::Unknown);
        };
        if twice { Err(FileError::Twice) } else { Ok(()) }
    }

    /// Reads those that a folder has where the original puts them.
    pub async fn read(folder: &Path) -> io::Result<Self> {
        let mut files = Self::default();
        for path in PATHS.map(|path| folder.join(path)) {
            match tokio::fs::read_to_string(&path).await.map(Secret::new) {
                Ok(text) => files.add(text.reveal()).map_err(|error| io::Error::other(format!("{}: {error}", path.display())))?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
            }
        }
        Ok(files)
    }

    /// Writes them there, so that only this user can read them.
    pub async fn write(&self, folder: &Path) -> io::Result<()> {
        for (path, text) in PATHS.into_iter().zip(self.texts()) {
            if let Some(text) = text {
                write(&folder.join(path), text.reveal().as_bytes()).await?;
            }
        }
        Ok(())
    }

    /// Tokens, account and certificate, as the original writes them.
    pub(crate) fn texts(&self) -> [Option<Secret<String>>; 3] {
        [
            self.tokens.as_ref().map(SavedTokens::write),
            self.account.as_ref().map(SipAccount::write),
            self.certificate.as_ref().map(SavedCertificate::write),
        ]
    }
}

/// `token_cache.json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedTokens {
    /// The access token, a JWT.
    pub access_token: Secret<String>,
    /// Buys the next pair.
    pub refresh_token: Option<Secret<String>>,
    /// When they were given.
    pub received: Option<Time>,
    /// When the access token ends.
    pub expires: Option<Time>,
}

/// `sip_account.json`: what the vendor gave this client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SipAccount {
    /// The vendor's identifier of the account.
    pub sip_id: Option<String>,
    /// `<user>_<client id>@<gateway>.bs.iotleg.com`, without a scheme.
    pub sip_uri: String,
    /// The number that this installation made up for itself.
    pub client_id: String,
    /// What people see in the vendor's list of clients.
    pub client_name: Option<String>,
    /// The person's e-mail address; not the SIP user.
    pub username: Option<String>,
    /// The person's object id.
    pub user_oid: String,
    /// The password of the SIP user.
    pub password: Secret<String>,
    /// The vendor's identifier of the app.
    pub app_id: Option<String>,
}

/// `client-certs.json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedCertificate {
    /// The certificate, as PEM.
    pub certificate: String,
    /// Its private key, as PEM.
    pub key: Secret<String>,
}

impl SavedTokens {
    /// Reads the file.
    pub fn read(text: &str) -> Result<Self, FileError> {
        let fields = object(text)?;
        let first = |names: [&str; 2]| names.iter().find_map(|name| word(&fields, name));
        let access_token = first(["b2cAccessToken", "access_token"]).ok_or(FileError::Missing("b2cAccessToken"))?;
        let received = time(fields.get("receivedAt"));
        let lives = ["expiresIn", "expires_in"].iter().find_map(|name| seconds(fields.get(*name)?));
        let expires = time(fields.get("expiresAt")).or_else(|| Some(to_the_millisecond(received?.plus(lives?))));
        let refresh_token = first(["b2cRefreshToken", "refresh_token"]).map(Secret::new);
        Ok(Self { access_token: Secret::new(access_token), refresh_token, received, expires })
    }

    /// The file, as the original writes it. It holds secrets.
    pub fn write(&self) -> Secret<String> {
        let milliseconds = |time: Option<Time>| time.map(|time| time.as_micros() / 1000);
        let lives = self.received.zip(self.expires).map(|(received, expires)| expires.since(received).as_secs());
        pretty(&json!({
            "b2cAccessToken": self.access_token.reveal(),
            "b2cRefreshToken": self.refresh_token.as_ref().map(|token| token.reveal().as_str()),
            "expiresIn": lives,
            "receivedAt": milliseconds(self.received),
            "expiresAt": milliseconds(self.expires),
        }))
    }
}

impl SipAccount {
    /// Reads the file.
    pub fn read(text: &str) -> Result<Self, FileError> {
        Self::read_fields(&object(text)?)
    }

    /// Reads an account as the API gives it, or wrapped as the original's examples wrote it.
    pub fn read_fields(fields: &Map<String, Value>) -> Result<Self, FileError> {
        let mut fields = fields;
        for wrapper in ["payload", "result"] {
            if let Some(Value::Object(inner)) = fields.get(wrapper) {
                fields = inner;
            }
        }
        let needed = |name: &'static str| word(fields, name).ok_or(FileError::Missing(name));
        let identifier = |name, text: String| if is_identifier(&text) { Ok(text) } else { Err(FileError::NoIdentifier(name)) };
        let sip_uri = needed("sipUri")?;
        let sip_uri = sip_uri.strip_prefix("sip:").unwrap_or(&sip_uri);
        if !sip_uri.split_once('@').is_some_and(|(user, domain)| is_identifier(user) && is_identifier(domain)) {
            return Err(FileError::NoIdentifier("sipUri"));
        }
        Ok(Self {
            sip_id: word(fields, "sipId"),
            sip_uri: sip_uri.to_owned(),
            client_id: identifier("clientId", needed("clientId")?)?,
            client_name: word(fields, "clientName"),
            username: word(fields, "username"),
            user_oid: identifier("userOid", needed("userOid")?)?,
            password: Secret::new(needed("sipPassword")?),
            app_id: word(fields, "appId"),
        })
    }

    /// The file, as the original writes it. It holds the password.
    pub fn write(&self) -> Secret<String> {
        pretty(&json!({
            "sipId": self.sip_id,
            "sipUri": self.sip_uri,
            "clientId": self.client_id,
            "clientName": self.client_name,
            "username": self.username,
            "userOid": self.user_oid,
            "sipPassword": self.password.reveal(),
            "appId": self.app_id,
        }))
    }

    /// The user to the SIP server.
    pub fn sip_user(&self) -> String {
        format!("{}_{}", self.user_oid, self.client_id)
    }

    /// The domain of the gateway: what stands behind `@`.
    pub fn domain(&self) -> &str {
        self.sip_uri.rsplit_once('@').map_or("", |(_, domain)| domain)
    }
}

impl SavedCertificate {
    /// Reads the file.
    pub fn read(text: &str) -> Result<Self, FileError> {
        let fields = object(text)?;
        let pem = |names: [&str; 2]| names.iter().find_map(|name| word(&fields, name)).filter(|pem| pem.contains("-----BEGIN "));
        let certificate = pem(["cert", "certPEM"]).ok_or(FileError::Missing("cert"))?;
        let key = pem(["key", "privateKeyPem"]).ok_or(FileError::Missing("key"))?;
        Ok(Self { certificate, key: Secret::new(key) })
    }

    /// The file, as the original writes it. It holds the private key.
    pub fn write(&self) -> Secret<String> {
        pretty(&json!({ "cert": self.certificate, "key": self.key.reveal() }))
    }
}

fn object(text: &str) -> Result<Map<String, Value>, FileError> {
    if text.len() > LONGEST {
        return Err(FileError::NotAnObject);
    }
    serde_json::from_str(text).map_err(|_| FileError::NotAnObject)
}

/// A text that is not empty; a whole number counts as one, since identifiers are sometimes written so.
fn word(fields: &Map<String, Value>, name: &str) -> Option<String> {
    match fields.get(name)? {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        // One that is too long to be read exactly is none.
        Value::Number(number) => Some(number.to_string()).filter(|_| !number.is_f64()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Milliseconds since 1970, or ISO 8601.
fn time(value: Option<&Value>) -> Option<Time> {
    let time = match value? {
        Value::Number(number) => number.as_i64()?.checked_mul(1000).map(Time::from_micros),
        Value::String(text) => text.parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    time.map(to_the_millisecond)
}

/// As it is written again.
fn to_the_millisecond(time: Time) -> Time {
    Time::from_micros(time.as_micros() / 1000 * 1000)
}

fn seconds(value: &Value) -> Option<Duration> {
    let seconds = value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())?;
    // A century is more than any token lives.
    Some(Duration::from_secs(seconds.min(3_155_760_000)))
}

fn pretty(value: &Value) -> Secret<String> {
    Secret::new(format!("{value:#}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tokens_come_with_either_name_and_either_clock() {
        let read = |text: &str| SavedTokens::read(text).unwrap();
        let own =
            read(r#"{"b2cAccessToken":"a","b2cRefreshToken":"r","expiresIn":3600,"receivedAt":1764000000000,"expiresAt":1764003600000}"#);
        assert_eq!((own.access_token.reveal().as_str(), own.expires), ("a", Some(Time::from_micros(1_764_003_600_000_000))));
        assert_eq!(read(r#"{"access_token":"a","refresh_token":"r","expires_in":"3600","receivedAt":"2025-11-24T16:00:00Z"}"#), own);
        assert_eq!(read(own.write().reveal()), own, "what is written is read again");
        assert_eq!(read(r#"{"b2cAccessToken":"a","expiresIn":3600}"#).expires, None, "nobody knows since when");
        assert_eq!(SavedTokens::read(r#"{"b2cAccessToken":""}"#), Err(FileError::Missing("b2cAccessToken")));
    }

    #[test]
    fn an_account_is_found_under_what_the_examples_wrapped_around_it() {
        let flat = r#"{"sipId":"s","sipUri":"sip:oid_123@gw.bs.iotleg.com","clientId":"123","clientName":"doorward",
            "username":"user@example.com","userOid":"oid","sipPassword":"pw","appId":"app"}"#;
        let account = SipAccount::read(flat).unwrap();
        assert_eq!((account.sip_user().as_str(), account.domain()), ("oid_123", "gw.bs.iotleg.com"));
        let wrapped = [
            format!(r#"{{"result":{flat}}}"#),
            format!(r#"{{"payload":{flat}}}"#),
            format!(r#"{{"storedAt":"x","payload":{{"gatewayId":"gw","sipClientId":"123","result":{flat}}}}}"#),
            account.write().reveal().clone(),
        ];
        for text in wrapped {
            assert_eq!(SipAccount::read(&text).as_ref(), Ok(&account), "{text}");
        }
        assert!(!format!("{account:?}").contains("pw"), "the password cannot be printed");
        for (missing, name) in [("sipUri", "sipUri"), ("userOid", "userOid"), ("sipPassword", "sipPassword"), ("clientId", "clientId")] {
            assert_eq!(SipAccount::read(&flat.replace(missing, "other")), Err(FileError::Missing(name)));
        }
    }

    #[test]
    fn an_account_cannot_end_the_address_that_it_becomes_a_part_of() {
        let account = |changes: Value| {
            let mut fields = json!({ "sipUri": "oid_1@gw.bs.iotleg.com", "clientId": "1", "userOid": "oid", "sipPassword": "pw" });
            for (name, value) in changes.as_object().unwrap() {
                fields[name] = value.clone();
            }
            SipAccount::read(&fields.to_string()).map(|account| account.sip_user())
        };
        assert_eq!(account(json!({ "clientId": 17 })), Ok("oid_17".into()));
        for (name, evil) in [
            ("userOid", "oid>\r\nX: y"),
            ("clientId", "1@elsewhere;x"),
            ("sipUri", "oid_1@gw\r\nX: y"),
            ("sipUri", "oid_1"),
            ("sipUri", "sip:sip:oid_1@gw"),
            ("sipUri", "oid_1@gw/../x"),
        ] {
            assert_eq!(account(json!({ name: evil })), Err(FileError::NoIdentifier(name)), "{evil:?}");
        }
        let long = r#"{"sipUri":"oid_1@gw","clientId":130325245365814065359,"userOid":"oid","sipPassword":"pw"}"#;
        assert_eq!(SipAccount::read(long), Err(FileError::Missing("clientId")), "its last digits would be others");
    }

    #[test]
    fn a_certificate_has_two_names() {
        let pem = |kind: &str| format!("-----BEGIN {kind}-----\\nAAAA\\n-----END {kind}-----\\n");
        let (certificate, key) = (pem("CERTIFICATE"), pem("PRIVATE KEY"));
        let read = SavedCertificate::read(&format!(r#"{{"cert":"{certificate}","key":"{key}"}}"#)).unwrap();
        assert_eq!(SavedCertificate::read(&format!(r#"{{"certPEM":"{certificate}","privateKeyPem":"{key}"}}"#)).as_ref(), Ok(&read));
        assert_eq!(SavedCertificate::read(read.write().reveal()), Ok(read));
        assert_eq!(SavedCertificate::read(r#"{"cert":"x","key":"y"}"#), Err(FileError::Missing("cert")));
    }

    #[test]
    fn which_file_it_is_stands_in_it() {
        let certificate = r#"{"cert":"-----BEGIN CERTIFICATE-----","key":"-----BEGIN PRIVATE KEY-----"}"#;
        let account = r#"{"payload":{"sipUri":"oid_1@gw.bs.iotleg.com","clientId":"1","userOid":"oid","sipPassword":"pw"}}"#;
        let mut files = Files::default();
        for text in [certificate, account, r#"{"access_token":"a"}"#] {
            files.add(text).unwrap();
            assert_eq!(files.add(text), Err(FileError::Twice));
        }
        assert!(files.tokens.is_some() && files.account.is_some() && files.certificate.is_some());
        for (text, error) in [("{}", FileError::Unknown), ("[]", FileError::NotAnObject), (r#"{"cert":"x"}"#, FileError::Missing("cert"))] {
            assert_eq!(files.add(text), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "\\PC{0,60}|\\{\"(b2cAccessToken|sipUri|cert|receivedAt|payload)\":[-0-9a-z\"{}:,]{0,30}\\}") {
            let _ = (SavedTokens::read(&text), SipAccount::read(&text), SavedCertificate::read(&text), Files::default().add(&text));
        }
    }
}
