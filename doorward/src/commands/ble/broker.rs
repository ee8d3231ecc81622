//! The broker of an issuer or a lock that stands alone.

use crate::{cli::BrokerAt, config::broker_place, failure::Failure};
use doorward_core::Secret;
use doorward_mqtt::remote::{RemoteOptions, TlsFiles};

/// Where the broker is, and how to get in.
pub(super) fn options(at: &BrokerAt, client_id: String) -> Result<RemoteOptions, Failure> {
    let url = at.broker.as_ref().map(|url| url.reveal().trim()).filter(|url| !url.is_empty());
    let url = url.ok_or_else(|| {
        Failure::usage("there is no broker").and("name it with --broker or MQTT_BROKER, as mqtts://user:password@host:8883 or a host alone")
    })?;
    let Parts { place, user, password } = parts(url)?;
    let place = broker_place(&place).ok().flatten();
    let place = place.ok_or_else(|| Failure::usage("the broker is neither a host nor mqtt(s)://user:password@host:port"))?;
    let files = TlsFiles { ca: at.ca_file.clone(), client: at.cert_file.clone().zip(at.key_file.clone()) };
    if !place.tls && (files.ca.is_some() || files.client.is_some()) {
        return Err(Failure::usage("certificates need TLS: write mqtts:// instead of mqtt://"));
    }
    let tls = place.tls.then_some(files);
    Ok(RemoteOptions { host: place.host, port: place.port, tls, user, password, client_id, commands: false })
}

/// An address without who gets in, and that.
#[derive(Debug, PartialEq, Eq)]
struct Parts {
    place: String,
    user: Option<String>,
    password: Option<Secret<String>>,
}

/// What is wrong never has the address in it: a password may be there.
fn parts(url: &str) -> Result<Parts, Failure> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("mqtt", url));
    let (login, host) = rest.rsplit_once('@').map_or((None, rest), |(login, host)| (Some(login), host));
    let (user, password) = match login.map(|login| login.split_once(':').unwrap_or((login, ""))) {
        Some(("", _)) => return Err(Failure::usage("the broker's address has a password and no user: mqtt://user:password@host")),
        Some((user, password)) => (Some(user.to_owned()), (!password.is_empty()).then(|| Secret::new(password.to_owned()))),
        None => (None, None),
    };
    Ok(Parts { place: format!("{scheme}://{host}"), user, password })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Host, port, whether by TLS, user and password.
    type Read = (String, u16, bool, Option<String>, Option<String>);

    fn read(url: &str) -> Result<Read, Failure> {
        let at = BrokerAt { broker: Some(url.into()), ca_file: None, cert_file: None, key_file: None };
        let options = options(&at, "x".into())?;
        let password = options.password.map(|password| password.reveal().clone());
        Ok((options.host, options.port, options.tls.is_some(), options.user, password))
    }

    #[test]
    fn a_host_alone_is_a_broker_as_in_the_original() {
        let at = |host: &str, port, tls, user: Option<&str>, password: Option<&str>| {
            (host.to_owned(), port, tls, user.map(str::to_owned), password.map(str::to_owned))
        };
        assert_eq!(read("10.0.15.108").unwrap(), at("10.0.15.108", 1883, false, None, None));
        assert_eq!(read("broker:1884").unwrap(), at("broker", 1884, false, None, None));
        assert_eq!(read("mqtts://door:p@ss:w@broker").unwrap(), at("broker", 8883, true, Some("door"), Some("p@ss:w")));
        assert_eq!(read("mqtt://door@[::1]:1884").unwrap(), at("[::1]", 1884, false, Some("door"), None));
    }

    #[test]
    fn what_is_wrong_with_an_address_never_shows_its_password() {
        for wrong in ["http://door:hunter2@broker", "mqtt://door:hunter2@", "mqtt://:hunter2@broker", "mqtt://door:hunter2@broker:x", ""] {
            let failure = read(wrong).unwrap_err();
            assert!(!failure.lines.join(" ").contains("hunter2"), "{failure:?}");
        }
    }
}
