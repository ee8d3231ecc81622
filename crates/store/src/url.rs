//! `store.url`: `sqlite:<file>` or `postgres://…`. What is shown of it never holds the password.

use crate::OpenError;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use std::{net::IpAddr, path::PathBuf};

/// Where the database is.
#[derive(Clone)]
pub(crate) enum Place {
    /// A file.
    File(PathBuf),
    /// A server.
    Server(Box<PgConnectOptions>),
}

impl Place {
    pub(crate) fn parse(url: &str) -> Result<Self, OpenError> {
        if let Some(file) = url.strip_prefix("sqlite:") {
            let file = file.strip_prefix("//").unwrap_or(file);
            if file.is_empty() || file.contains(":memory:") {
                return Err(OpenError::BadUrl("name a file after sqlite:, such as sqlite:/var/lib/doorward/doorward.db".into()));
            }
            return Ok(Self::File(file.into()));
        }
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(OpenError::BadUrl("write sqlite:<file> or postgres://user:password@host/database".into()));
        }
        // The parser's own message may repeat what it could not read, so it is not shown.
        let options: PgConnectOptions =
            url.parse().map_err(|_| OpenError::BadUrl("write postgres://user:password@host:5432/database".into()))?;
        tls(options, url).map(|options| Self::Server(Box::new(options)))
    }

    /// For messages: never with a password.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::File(file) => file.display().to_string(),
            Self::Server(options) => {
                let host = options.get_socket().map_or_else(|| options.get_host().to_owned(), |socket| socket.display().to_string());
                let database = options.get_database().unwrap_or_else(|| options.get_username());
                format!("PostgreSQL at {host}:{}, database {database}", options.get_port())
            }
        }
    }
}

/// TLS is verified, or there is none and the URL says so (rule 6). On this machine there need be none.
fn tls(options: PgConnectOptions, url: &str) -> Result<PgConnectOptions, OpenError> {
    let host = options.get_host();
    let local = options.get_socket().is_some()
        || host == "localhost"
        || host.starts_with('/')
        || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    let said = url.split_once('?').is_some_and(|(_, query)| query.contains("sslmode=") || query.contains("ssl-mode="));
    if local {
        return Ok(options);
    }
    if !said {
        return Ok(options.ssl_mode(PgSslMode::VerifyFull));
    }
    match options.get_ssl_mode() {
        PgSslMode::VerifyFull | PgSslMode::VerifyCa => Ok(options),
        PgSslMode::Disable => {
            tracing::warn!(host, "PostgreSQL is reached over the network without TLS, as store.url says");
            Ok(options)
        }
        PgSslMode::Allow | PgSslMode::Prefer | PgSslMode::Require => Err(OpenError::BadUrl(
            "use sslmode=verify-full (with sslrootcert=<file> for a private CA), or sslmode=disable on a network that is yours alone"
                .into(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::{PgSslMode, Place};

    fn mode(url: &str) -> Option<PgSslMode> {
        match Place::parse(url).ok()? {
            Place::Server(options) => Some(options.get_ssl_mode()),
            Place::File(_) => None,
        }
    }

    #[test]
    fn tls_to_another_machine_is_verified() {
        assert!(matches!(mode("postgres://u:p@db.example/x"), Some(PgSslMode::VerifyFull)));
        assert!(matches!(mode("postgres://u:p@db.example/x?sslmode=disable"), Some(PgSslMode::Disable)));
        for unverified in ["allow", "prefer", "require"] {
            assert!(mode(&format!("postgres://u:p@db.example/x?sslmode={unverified}")).is_none());
        }
        assert!(matches!(mode("postgres://u:p@127.0.0.1/x"), Some(PgSslMode::Prefer)));
    }

    #[test]
    fn a_password_is_in_no_message() {
        for url in [
            "postgres://u:hunter2@db:99999/x",
            "postgres://u:hunter2@/x?port=x",
            "mysql://u:hunter2@db/x",
            "postgres://u:hunter2@db/x?sslmode=hunter2",
        ] {
            let Err(error) = Place::parse(url) else { continue };
            assert!(!format!("{error} {error:?}").contains("hunter2"));
        }
        assert!(!Place::parse("postgres://u:hunter2@db/x").unwrap().shown().contains("hunter2"));
    }
}
