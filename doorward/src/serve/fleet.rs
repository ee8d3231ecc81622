//! The fleet, and the listener of its provisioning server.

use super::Tls;
use crate::config::Config;
use doorward_engine::Handle;
use doorward_fleet::{Fleet, Where};
use doorward_mqtt::Mqtt;
use std::sync::Arc;
use tokio::net::TcpListener;

/// Starts the fleet. A house whose provisioning server cannot listen still opens its doors.
pub(super) async fn start(config: &Config, handle: &Handle, mqtt: Option<Arc<Mqtt>>, tls: &mut Tls, problems: &mut Vec<String>) -> Fleet {
    let mut options = config.fleet.options.clone();
    options.broker = broker(config, mqtt.as_deref());
    let fleet = Fleet::new(options, handle.clone(), mqtt);
    fleet.start();
    let Some(address) = config.fleet.listen else { return fleet };
    let started = async {
        let listener = TcpListener::bind(address).await?;
        let certificate = if config.fleet.tls {
            Some(tls.server_config(config, config.fleet.certificate.as_ref(), handle, &["http/1.1"]).await?)
        } else {
            None
        };
        fleet.serve_at(listener, certificate)?;
        anyhow::Ok(())
    };
    match started.await {
        Ok(()) => {
            let scheme = if config.fleet.tls { "https" } else { "http" };
            if let Some(address) = fleet.address() {
                tracing::info!("the provisioning server listens at {scheme}://{address}");
            }
        }
        Err(error) => {
            tracing::error!("fleet.listen {address}: {error:#}");
            problems.push(format!("fleet.listen {address}: {error:#}"));
        }
    }
    fleet
}

/// Where devices find their broker: as it is set, else where it is.
fn broker(config: &Config, mqtt: Option<&Mqtt>) -> Where {
    let external = config.mqtt.external.as_ref();
    let listener = |scheme| mqtt.and_then(|mqtt| mqtt.listeners().iter().find(|listener| listener.scheme == scheme)).map(|at| at.address);
    let (plain, secure) = (listener("mqtt"), listener("mqtts"));
    let tls = config.fleet.mqtt_use_tls.unwrap_or_else(|| external.map_or(secure.is_some(), |external| external.tls.is_some()));
    let own = if tls { secure } else { plain };
    let port = config.fleet.mqtt_port.or_else(|| external.map(|external| external.port)).or_else(|| own.map(|address| address.port()));
    let host = config.fleet.mqtt_host.clone().or_else(|| external.map(|external| external.host.clone())).or_else(|| {
        let public = config.http.public_url.as_deref().and_then(|url| url.parse::<reqwest::Url>().ok());
        let reachable = own.map(|address| address.ip()).filter(|ip| !ip.is_unspecified());
        public.and_then(|url| url.host_str().map(str::to_owned)).or_else(|| reachable.map(|ip| ip.to_string()))
    });
    Where {
        host: host.unwrap_or_else(|| rustix::system::uname().nodename().to_string_lossy().into_owned()),
        port: port.unwrap_or(if tls { 8883 } else { 1883 }),
        tls,
    }
}
