//! How a connection is made, and why there is none any more.

use super::{message::Broken, tls::Tls};
use doorward_core::driver::Ctx;
use rustls::{AlertDescription, pki_types::ServerName};
use std::{io, sync::Arc, time::Duration};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// How long a connection may take to stand, each of its two steps.
const CONNECT: Duration = Duration::from_secs(10);

/// Where the server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Name or address.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// Why there is no connection any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// There never was one.
    #[error("no connection: {0}")]
    Unreachable(String),
    /// The server is not the one that is pinned.
    #[error("the server's certificate is not trusted: {0}")]
    NotTrusted(String),
    /// The server does not take our certificate.
    #[error("the server refused the client certificate: {0}")]
    CertificateRefused(String),
    /// The server does not take our password.
    #[error("the server refused the SIP password: {0}")]
    PasswordRefused(String),
    /// The server closed it, or the network did.
    #[error("closed: {0}")]
    Closed(String),
    /// Nothing was heard any more.
    #[error("silent: {0}")]
    Silent(&'static str),
    /// What came was no SIP.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// It was not needed any more.
    #[error("retired")]
    Retired,
}

/// Makes a connection to the server, and shakes hands.
pub async fn connect(ctx: &dyn Ctx, server: &Server, tls: &Tls) -> Result<TlsStream<TcpStream>, Lost> {
    let unreachable = |error: &dyn std::fmt::Display| Lost::Unreachable(error.to_string());
    let name = ServerName::try_from(server.host.clone()).map_err(|error| unreachable(&error))?;
    let tcp = tokio::select! {
        tcp = TcpStream::connect((server.host.as_str(), server.port)) => tcp.map_err(|error| unreachable(&error))?,
        () = ctx.sleep(CONNECT) => return Err(Lost::Unreachable("no connection in time".into())),
    };
    prepare(&tcp);
    let connector = TlsConnector::from(Arc::clone(&tls.config));
    let stream = tokio::select! {
        stream = connector.connect(name, tcp) => stream.map_err(|error| lost(&error, Some(tls)))?,
        () = ctx.sleep(CONNECT) => return Err(Lost::Unreachable("no TLS in time".into())),
    };
    let (_, session) = stream.get_ref();
    let (version, suite) = (session.protocol_version(), session.negotiated_cipher_suite().map(|suite| suite.suite()));
    tracing::debug!(target: "doorward::trace", host = server.host, port = server.port, ?version, ?suite, "TLS to the SIP server");
    Ok(stream)
}

/// Nothing waits for company, and a network that swallows everything is noticed. What the system does not know it leaves out.
fn prepare(tcp: &TcpStream) {
    use rustix::net::sockopt;
    let settings = [
        tcp.set_nodelay(true).map_err(|error| ("TCP_NODELAY", error)),
        sockopt::set_socket_keepalive(tcp, true).map_err(|error| ("SO_KEEPALIVE", error.into())),
        #[cfg(target_os = "linux")]
        sockopt::set_tcp_keepidle(tcp, Duration::from_mins(1)).map_err(|error| ("TCP_KEEPIDLE", error.into())),
        #[cfg(target_os = "linux")]
        sockopt::set_tcp_user_timeout(tcp, 20_000).map_err(|error| ("TCP_USER_TIMEOUT", error.into())),
    ];
    for (name, error) in settings.into_iter().filter_map(Result::err) {
        tracing::debug!(name, %error, "a setting of the connection is not to be had");
    }
}

/// What an error of the connection means.
pub(super) fn lost(error: &io::Error, tls: Option<&Tls>) -> Lost {
    use AlertDescription as Alert;
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(why)) => {
            let fingerprint = tls.and_then(Tls::refused).unwrap_or_default();
            Lost::NotTrusted(format!("{why:?}; SHA-256 {fingerprint}"))
        }
        Some(rustls::Error::AlertReceived(
            alert @ (Alert::BadCertificate
            | Alert::CertificateExpired
            | Alert::CertificateRevoked
            | Alert::CertificateUnknown
            | Alert::CertificateRequired
            | Alert::UnsupportedCertificate
            | Alert::UnknownCA
            | Alert::AccessDenied
            | Alert::DecryptError),
        )) => Lost::CertificateRefused(format!("{alert:?}")),
        _ => Lost::Closed(error.to_string()),
    }
}
