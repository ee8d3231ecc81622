//! What is advertised: at most 31 bytes, and 31 more for who asks.

use super::{RadioError, short_uuid, uuid16};
use std::time::Duration;
use uuid::Uuid;

/// Bytes of a legacy advertisement, and of its scan response (Core Specification 5.4, volume 6, part B, 2.3.1).
pub const LEGACY: usize = 31;
/// Bytes of the flags that a general advertisement begins with: length, type, value.
const FLAGS: usize = 3;

/// A legacy advertisement. The flags are added by the adapter.
///
/// ```
/// use doorward_ble::radio::{Advertisement, Fields, RadioError};
///
/// let token = Fields::new().manufacturer(0xFFFF, &[7; 16]).service16(0x180D);
/// let beside = Advertisement::new(token.clone().name("Unlocker"));
/// assert_eq!(beside.check(), Err(RadioError::TooLong { what: "the advertisement", have: 37, most: 31 }));
/// assert_eq!(Advertisement::new(token).response(Fields::new().name("Unlocker")).check(), Ok(()));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advertisement {
    /// What everybody hears.
    pub data: Fields,
    /// What those are told who ask. A backend that cannot tell the two apart puts the name here and the rest there, and leaves
    /// out services that then do not fit: nobody of ours needs them to find a token.
    pub response: Fields,
    /// Whether others may connect.
    pub connectable: bool,
    /// The shortest time between two of them.
    pub shortest: Duration,
    /// The longest time between two of them.
    pub longest: Duration,
}

impl Advertisement {
    /// Advertises this, every 100 to 200 ms, to whom nobody can connect.
    pub const fn new(data: Fields) -> Self {
        let (shortest, longest) = (Duration::from_millis(100), Duration::from_millis(200));
        Self { data, response: Fields::new(), connectable: false, shortest, longest }
    }

    /// With this for those who ask.
    #[must_use]
    pub fn response(self, response: Fields) -> Self {
        Self { response, ..self }
    }

    /// Others may connect.
    #[must_use]
    pub fn connectable(self) -> Self {
        Self { connectable: true, ..self }
    }

    /// Whether it fits, and its interval can be: 20 ms to 10.24 s.
    pub fn check(&self) -> Result<(), RadioError> {
        let fits = |what, have| if have <= LEGACY { Ok(()) } else { Err(RadioError::TooLong { what, have, most: LEGACY }) };
        fits("the advertisement", FLAGS + self.data.bytes())?;
        fits("the scan response", self.response.bytes())?;
        let can_be =
            Duration::from_millis(20) <= self.shortest && self.shortest <= self.longest && self.longest <= Duration::from_millis(10_240);
        if can_be { Ok(()) } else { Err(RadioError::Refused("an advertisement comes every 20 ms to 10.24 s".into())) }
    }
}

/// What an advertisement says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fields {
    /// A name.
    pub name: Option<String>,
    /// Services.
    pub services: Vec<Uuid>,
    /// A company and its data.
    pub manufacturer: Option<(u16, Vec<u8>)>,
    /// How it looks, as the Bluetooth SIG numbers appearances.
    pub appearance: Option<u16>,
}

impl Fields {
    /// Nothing.
    pub const fn new() -> Self {
        Self { name: None, services: Vec::new(), manufacturer: None, appearance: None }
    }

    /// With a name.
    #[must_use]
    pub fn name(self, name: &str) -> Self {
        Self { name: Some(name.into()), ..self }
    }

    /// With a service of 16 bits.
    #[must_use]
    pub fn service16(self, service: u16) -> Self {
        self.service(uuid16(service))
    }

    /// With a service.
    #[must_use]
    pub fn service(mut self, service: Uuid) -> Self {
        self.services.push(service);
        self
    }

    /// With the data of a company.
    #[must_use]
    pub fn manufacturer(self, company: u16, data: &[u8]) -> Self {
        Self { manufacturer: Some((company, data.into())), ..self }
    }

    /// With how it looks.
    #[must_use]
    pub fn appearance(self, appearance: u16) -> Self {
        Self { appearance: Some(appearance), ..self }
    }

    /// Bytes on the air: each field has its length and type before it, services of one length share a field.
    pub fn bytes(&self) -> usize {
        let field = |bytes: usize| if bytes == 0 { 0 } else { 2 + bytes };
        let short = self.services.iter().filter(|service| short_uuid(**service).is_some()).count();
        self.name.as_ref().map_or(0, |name| 2 + name.len())
            + field(2 * short)
            + field(16 * (self.services.len() - short))
            + self.manufacturer.as_ref().map_or(0, |(_, data)| 4 + data.len())
            + self.appearance.map_or(0, |_| 4)
    }
}
