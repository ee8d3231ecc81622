//! Which adapter is meant, as it is written in configuration and on the command line.

use super::{
    Address, Radio, RadioError,
    air::{AirRadio, Who},
    bluez::{self, BlueZ},
};
use doorward_core::driver::Stopwatch;
use std::{fmt, net::SocketAddr, str::FromStr};

/// Which adapter.
///
/// ```
/// use doorward_ble::radio::Place;
///
/// assert_eq!("bluez:hci1".parse(), Ok(Place::BlueZ(Some("hci1".into()))));
/// assert_eq!("air:127.0.0.1:4711".parse::<Place>().unwrap().to_string(), "air:127.0.0.1:4711");
/// assert!("air:192.168.1.5:4711".parse::<Place>().is_err(), "the simulated air is on this machine");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// One that `BlueZ` drives; the first that is switched on when it has no name.
    BlueZ(Option<String>),
    /// One in the simulated air, whose socket is here.
    Air(SocketAddr),
}

/// A text names no adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be bluez, bluez:hci0, or air:ADDRESS:PORT on this machine")]
pub struct PlaceError;

impl FromStr for Place {
    type Err = PlaceError;

    fn from_str(radio: &str) -> Result<Self, PlaceError> {
        let (kind, name) = radio.split_once(':').map_or((radio, None), |(kind, name)| (kind, Some(name)));
        match (kind, name) {
            ("bluez", None) => Ok(Self::BlueZ(None)),
            ("bluez", Some(adapter)) if is_adapter(adapter) => Ok(Self::BlueZ(Some(adapter.to_owned()))),
            ("air", Some(socket)) => {
                let here = socket.parse::<SocketAddr>().ok().filter(|at| at.ip().is_loopback());
                here.map(Self::Air).ok_or(PlaceError)
            }
            _ => Err(PlaceError),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BlueZ(None) => f.write_str("bluez"),
            Self::BlueZ(Some(adapter)) => write!(f, "bluez:{adapter}"),
            Self::Air(socket) => write!(f, "air:{socket}"),
        }
    }
}

impl Place {
    /// Opens the adapter. In the air it has this name and address, and stands where distances are measured from.
    pub async fn open(&self, name: &str, address: Address, clock: Stopwatch) -> Result<Box<dyn Radio>, RadioError> {
        let socket = match self {
            Self::BlueZ(adapter) => {
                let settings = bluez::Settings { adapter: adapter.clone(), ..bluez::Settings::default() };
                return Ok(Box::new(BlueZ::start(settings, clock)));
            }
            Self::Air(socket) => socket.to_string(),
        };
        let who = Who { name: name.to_owned(), address, place: [0.0; 3], clock };
        Ok(Box::new(AirRadio::enter(&socket, who).await?))
    }
}

/// The kernel's names of adapters: `hci0`.
fn is_adapter(name: &str) -> bool {
    name.strip_prefix("hci").is_some_and(|number| matches!(number.len(), 1..=3) && number.bytes().all(|digit| digit.is_ascii_digit()))
}
