//! What goes wrong with the bus.

/// Why the bus did not do it. Its text is for the log; [`person`](Self::person) is for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BusError {
    /// There is no bus where it should be.
    #[error("no D-Bus: {0}")]
    Absent(String),
    /// The bus does not let us in.
    #[error("D-Bus does not let us in: {0}")]
    NotAllowed(String),
    /// The connection is over.
    #[error("the connection to D-Bus is over")]
    Lost,
    /// Nobody answered in time. It may have been done.
    #[error("no answer in time to {0}")]
    Late(String),
    /// Who was called answered with an error.
    #[error("{name}: {text}")]
    Refused {
        /// Its name.
        name: String,
        /// What it says.
        text: String,
    },
    /// It does not fit into a message.
    #[error("a message of {0} bytes is too long")]
    TooLong(usize),
    /// It is not as the specification has it.
    #[error("not as D-Bus has it: {0}")]
    Malformed(&'static str),
}

impl BusError {
    /// What a person can do.
    pub const fn person(&self) -> &'static str {
        match self {
            Self::Absent(_) => {
                "The system's message bus (D-Bus) is not there. Install and start it; in a container, pass /run/dbus/system_bus_socket in."
            }
            Self::NotAllowed(_) => "The system's message bus (D-Bus) does not let doorward in. Run it as a user that the system knows.",
            Self::Lost => "The system's message bus (D-Bus) was stopped. doorward tries again by itself.",
            Self::Late(_) => "A service of the system does not answer. If this stays, restart it.",
            Self::Refused { .. } => "A service of the system refused this: see the log.",
            Self::TooLong(_) | Self::Malformed(_) => {
                "A service of the system said something that doorward does not understand: see the log."
            }
        }
    }

    /// The name of the error that came back, without what all names of `BlueZ` begin with.
    pub fn name(&self) -> Option<&str> {
        let Self::Refused { name, .. } = self else { return None };
        Some(name.strip_prefix("org.bluez.Error.").unwrap_or(name))
    }
}
