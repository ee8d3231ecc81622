//! What is looked at closer: almost nothing.

use crate::radio::Sighting;
use doorward_wire::ble::{COMPANY, v2::Advertised};

/// The token of an advertisement that has one. It costs a few comparisons and no memory.
///
/// ```
/// use doorward_ble::{lock::sift, radio::{Manufacturer, Sighting}};
///
/// let sighting = |company, bytes: &[u8]| Sighting { manufacturer: Manufacturer::new(company, bytes), ..Sighting::default() };
/// assert!(sift(&sighting(0xFFFF, &[7; 16])).is_some());
/// assert!(sift(&sighting(0xFFFF, &[1, 0])).is_none(), "an issuer");
/// assert!(sift(&sighting(0x004C, &[7; 16])).is_none(), "somebody else's");
/// ```
pub fn sift(sighting: &Sighting) -> Option<Advertised> {
    let manufacturer = sighting.manufacturer.as_ref().filter(|manufacturer| manufacturer.company == COMPANY)?;
    Advertised::read(manufacturer.bytes())
}
