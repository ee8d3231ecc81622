//! A radio in the simulated air (`doorward_sim::air`), for tests and for `doorward demo`.
//!
//! It is a client of the air's socket, and shares no code with it. Lines are JSON; `wire` has their shapes. When the socket is
//! closed the radio is gone for good.

mod client;
mod handles;
mod wire;

use super::{Address, Advertisement, Advertising, Connection, Radio, RadioError, Scan, Server, Service, Sightings, StateWatch, sightings};
use client::Client;
use doorward_core::{Mono, driver::BoxFuture};
use handles::{AirAdvertising, AirConnection, AirServer};
use std::{path::Path, sync::Arc, time::Duration};
use tokio::net::{TcpStream, UnixStream};

/// How long the air may take to answer. It is a socket on this machine.
const PATIENCE: Duration = Duration::from_secs(10);

/// Reads the clock with which sightings are stamped.
pub type Clock = Arc<dyn Fn() -> Mono + Send + Sync>;

/// A radio in the simulated air.
pub struct AirRadio {
    client: Arc<Client>,
}

/// Who a radio is, and where it stands at first.
#[derive(Clone)]
pub struct Who {
    /// A name that no other radio has.
    pub name: String,
    /// Its address.
    pub address: Address,
    /// Where it stands, in metres.
    pub place: [f64; 3],
    /// Its clock.
    pub clock: Clock,
}

impl AirRadio {
    /// Enters the air whose port this is, as `127.0.0.1:4711`.
    pub async fn enter(air: &str, who: Who) -> Result<Self, RadioError> {
        let stream = TcpStream::connect(air).await.map_err(|error| gone(&error))?;
        // Small lines must not wait for one another.
        let _ = stream.set_nodelay(true);
        let (reading, writing) = stream.into_split();
        Ok(Self { client: Client::start(reading, writing, who).await? })
    }

    /// Enters the air whose Unix socket this is.
    pub async fn enter_at(air: &Path, who: Who) -> Result<Self, RadioError> {
        let (reading, writing) = UnixStream::connect(air).await.map_err(|error| gone(&error))?.into_split();
        Ok(Self { client: Client::start(reading, writing, who).await? })
    }
}

fn gone(error: &std::io::Error) -> RadioError {
    RadioError::Gone(format!("the air cannot be reached: {error}"))
}

impl Radio for AirRadio {
    fn state(&self) -> StateWatch {
        self.client.state()
    }

    fn scan(&self, scan: Scan) -> BoxFuture<'_, Result<Sightings, RadioError>> {
        Box::pin(async move {
            let (hearer, sightings) = sightings(scan);
            self.client.listen(hearer, scan).await?;
            Ok(sightings)
        })
    }

    fn advertise(&self, advertisement: Advertisement) -> BoxFuture<'_, Result<Box<dyn Advertising>, RadioError>> {
        Box::pin(async move {
            let mut advertising = AirAdvertising::new(Arc::clone(&self.client));
            advertising.replace(advertisement).await?;
            Ok(Box::new(advertising) as Box<dyn Advertising>)
        })
    }

    fn serve(&self, services: Vec<Service>) -> BoxFuture<'_, Result<Box<dyn Server>, RadioError>> {
        Box::pin(async move { Ok(Box::new(AirServer::start(Arc::clone(&self.client), services).await?) as Box<dyn Server>) })
    }

    fn connect(&self, address: Address) -> BoxFuture<'_, Result<Box<dyn Connection>, RadioError>> {
        Box::pin(async move { Ok(Box::new(AirConnection::open(Arc::clone(&self.client), address).await?) as Box<dyn Connection>) })
    }
}
