//! What an error of the bus or of `BlueZ` means.

use crate::{
    dbus::BusError,
    radio::{Down, RadioError},
};

impl From<BusError> for RadioError {
    fn from(error: BusError) -> Self {
        let text = error.to_string();
        match &error {
            BusError::Absent(why) => Self::Down(Down::NoBus, why.clone()),
            BusError::Lost => Self::Gone(text),
            BusError::NotAllowed(why) => Self::Down(Down::NotAllowed, why.clone()),
            BusError::Late(_) => Self::Timeout(text),
            BusError::TooLong(_) | BusError::Malformed(_) => Self::Protocol(text),
            BusError::Refused { text: said, .. } => match error.name().unwrap_or_default() {
                "org.freedesktop.DBus.Error.AccessDenied" => Self::Down(Down::NotAllowed, text),
                "org.freedesktop.DBus.Error.ServiceUnknown"
                | "org.freedesktop.DBus.Error.NameHasNoOwner"
                | "org.freedesktop.DBus.Error.Disconnected" => Self::Down(Down::NoDaemon, text),
                "org.freedesktop.DBus.Error.NoReply" => Self::Timeout(text),
                "NotReady" => Self::Down(Down::NotPowered, text),
                "InProgress" | "AlreadyExists" => Self::Busy(text),
                "NotConnected" => Self::Disconnected(text),
                // BlueZ has no error of its own for these two.
                "Failed" if said.contains("ot connected") => Self::Disconnected(text),
                "NotPermitted" if said.contains("aximum advertisements") => Self::Busy(text),
                name if is_unknown(name) => Self::NotFound(text),
                _ => Self::Refused(text),
            },
        }
    }
}

/// Whether an error says that there is no such object.
pub(super) fn is_unknown(name: &str) -> bool {
    let name = name.strip_prefix("org.freedesktop.DBus.Error.").unwrap_or(name);
    matches!(name, "UnknownObject" | "UnknownMethod" | "UnknownInterface" | "DoesNotExist")
}
