//! Locks over Bluetooth: the radio that issuer, guest and lock share, and the core of a lock.
//!
//! [`radio`] is what an adapter can do, whatever it is: hear, advertise, serve and ask. Nothing above it knows of `BlueZ`.
//! [`dbus`] is how one speaks with `BlueZ`, which drives adapters on Linux.
//! [`radio::air`] is one in the simulated air.
//! [`lock`] says who is let in: a state machine without IO, to which sightings and messages are handed.
//! [`issuer`] hands out sessions, [`guest`] gets one and opens with it, [`keys`] has what they sign with.
//! The bytes that are said are those of [`doorward_wire::ble`], and are not written again here.
//!
//! It must never believe an address, a name or a signal strength: anybody can send any of them.
//!
//! ```
//! use doorward_ble::radio::{Advertisement, Fields};
//! use doorward_wire::ble::{ADVERTISED_SERVICE, COMPANY, ISSUER_APPEARANCE, ISSUER_DATA, ISSUER_NAME};
//!
//! let data = Fields::new().service16(ADVERTISED_SERVICE).manufacturer(COMPANY, &ISSUER_DATA).appearance(ISSUER_APPEARANCE);
//! let beacon = Advertisement::new(data.name(ISSUER_NAME)).connectable();
//! assert_eq!(beacon.check(), Ok(()), "an issuer's fits to the last of 31 bytes");
//! ```

pub mod clock;
pub mod dbus;
pub mod driver;
pub mod guest;
pub mod issuer;
pub mod keys;
pub mod lock;
pub mod radio;

pub use driver::{ENTRY, KIND};
