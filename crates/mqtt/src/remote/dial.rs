//! How a broker is reached and got into, and what is wrong when it is not.

use super::{KEEP_ALIVE, PACKET, RemoteOptions, TlsFiles};
use mqtt5::{
    ConnectOptions, ConnectionEvent, MqttClient, MqttError, ProtocolVersion, WillMessage, transport::tls::TlsConfig, types::ReasonCode,
};
use std::time::Duration;
use tokio::sync::mpsc;

/// How long connecting may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// One connection as somebody else.
pub(crate) async fn connect_once(options: &RemoteOptions, version: ProtocolVersion) -> Result<MqttClient, MqttError> {
    let wishes = ConnectOptions::new(options.client_id.clone())
        .with_clean_start(true)
        .with_keep_alive(KEEP_ALIVE)
        .with_automatic_reconnect(false)
        .with_protocol_version(version);
    let wishes = with_credentials(wishes, options);
    let client = MqttClient::with_options(wishes.clone());
    client.set_queue_on_disconnect(false).await;
    dial(&client, options, wishes).await?;
    Ok(client)
}

/// A connection that is to be kept up: `lost` is told when it is not.
pub(super) async fn connect(
    options: &RemoteOptions,
    version: ProtocolVersion,
    will: Option<WillMessage>,
    lost: mpsc::Sender<String>,
) -> Result<MqttClient, MqttError> {
    let mut wishes = ConnectOptions::new(options.client_id.clone())
        .with_clean_start(true)
        .with_keep_alive(KEEP_ALIVE)
        .with_automatic_reconnect(false)
        .with_protocol_version(version);
    if let Some(will) = will {
        wishes = wishes.with_will(will);
    }
    if version == ProtocolVersion::V5 {
        wishes.protocol_options.properties.maximum_packet_size = Some(PACKET);
    }
    let wishes = with_credentials(wishes, options);
    let client = MqttClient::with_options(wishes.clone());
    client.set_queue_on_disconnect(false).await;
    client
        .on_connection_event(move |event| {
            if let ConnectionEvent::Disconnected { reason } = event {
                let _ = lost.try_send(format!("the connection was lost ({reason:?})"));
            }
        })
        .await?;
    dial(&client, options, wishes).await?;
    Ok(client)
}

/// The wishes with the user and password, where there are any.
fn with_credentials(wishes: ConnectOptions, options: &RemoteOptions) -> ConnectOptions {
    let Some(user) = &options.user else { return wishes };
    let password = options.password.as_ref().map(|password| password.reveal().as_bytes()).unwrap_or_default();
    wishes.with_credentials(user.clone(), password)
}

/// Connects, by TLS where it is wanted.
async fn dial(client: &MqttClient, options: &RemoteOptions, wishes: ConnectOptions) -> Result<(), MqttError> {
    let connecting = async {
        match &options.tls {
            None => client.connect_with_options(&format!("{}:{}", options.host, options.port), wishes).await,
            Some(files) => client.connect_with_tls_and_options(tls(options, files).await?, wishes).await,
        }
    };
    tokio::time::timeout(PATIENCE, connecting).await.map_err(|_| MqttError::Timeout)?.map(drop)
}

async fn tls(options: &RemoteOptions, files: &TlsFiles) -> Result<TlsConfig, MqttError> {
    let host = options.host.trim_matches(['[', ']']);
    let mut addresses = tokio::net::lookup_host((host, options.port)).await.map_err(|error| MqttError::Io(error.to_string()))?;
    let address = addresses.next().ok_or_else(|| MqttError::Io(format!("{host} has no address")))?;
    let mut tls = TlsConfig::new(address, host).with_connect_timeout(PATIENCE);
    if let Some(ca) = &files.ca {
        tls.load_ca_cert_pem(&ca.to_string_lossy())?;
        tls = tls.with_system_roots(false);
    }
    if let Some((certificate, key)) = &files.client {
        tls.load_client_cert_pem(&certificate.to_string_lossy())?;
        tls.load_client_key_pem(&key.to_string_lossy())?;
    }
    Ok(tls)
}

/// With which version to try next. A broker that knows only MQTT 3.1.1 refuses the other one in several ways.
pub(crate) fn next_version(version: ProtocolVersion, error: &MqttError) -> ProtocolVersion {
    let other_reason = matches!(error, MqttError::Timeout) || is_about_credentials(error);
    if version == ProtocolVersion::V5 && !other_reason { ProtocolVersion::V311 } else { ProtocolVersion::V5 }
}

/// What is wrong, for a person.
pub(crate) fn person(error: &MqttError) -> String {
    if is_about_credentials(error) {
        return "it refuses the user or the password".into();
    }
    if matches!(error, MqttError::Timeout) {
        return "it does not answer".into();
    }
    error.to_string()
}

/// Whether the user or password is what the broker refuses.
pub(super) fn is_about_credentials(error: &MqttError) -> bool {
    matches!(
        error,
        MqttError::NotAuthorized
            | MqttError::BadUsernameOrPassword
            | MqttError::AuthenticationFailed
            | MqttError::ConnectionRefused(ReasonCode::NotAuthorized | ReasonCode::BadUsernameOrPassword)
    )
}
