//! What goes wrong with a radio, and how it stands.

use doorward_core::driver::Fault;
use tokio::sync::watch;

/// Why the radio did not do it. Its text is for the log; [`person`](Self::person) is for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RadioError {
    /// There is no adapter, or its daemon is not running. It may come back: see [`Radio::state`](super::Radio::state).
    #[error("the adapter is gone: {0}")]
    Gone(String),
    /// The adapter cannot be used, and it is known why.
    #[error("{0}: {1}")]
    Down(Down, String),
    /// The adapter does as much as it can already.
    #[error("the adapter is busy: {0}")]
    Busy(String),
    /// The daemon or the other side does not allow it.
    #[error("refused: {0}")]
    Refused(String),
    /// It does not fit: nothing was sent.
    #[error("{what} has {have} bytes, and {most} fit")]
    TooLong {
        /// What is too long.
        what: &'static str,
        /// Bytes that it has.
        have: usize,
        /// Bytes that fit.
        most: usize,
    },
    /// Nobody answered in time. What was written may have arrived.
    #[error("no answer in time: {0}")]
    Timeout(String),
    /// Nobody has this address, service or characteristic.
    #[error("not found: {0}")]
    NotFound(String),
    /// The other side is not connected any more. What was written may have arrived.
    #[error("not connected: {0}")]
    Disconnected(String),
    /// What came back was not understood.
    #[error("not understood: {0}")]
    Protocol(String),
}

impl RadioError {
    /// What a person can do.
    pub const fn person(&self) -> &'static str {
        match self {
            Self::Gone(_) => "There is no Bluetooth adapter. Plug it in, and see whether the Bluetooth service is running.",
            Self::Down(down, _) => down.person(),
            Self::Busy(_) => "The Bluetooth adapter is busy. If another program uses it, stop that one.",
            Self::Refused(_) => "Bluetooth refused this. doorward may need the right to use it: see the log.",
            Self::TooLong { .. } => "This does not fit into a Bluetooth message. Shorten the name.",
            Self::Timeout(_) => "The other side did not answer. Go closer and try again.",
            Self::NotFound(_) => "The other side cannot be found. Go closer, and see whether it is switched on.",
            Self::Disconnected(_) => "The Bluetooth connection was lost. Go closer and try again.",
            Self::Protocol(_) => "The other side answered something that doorward does not understand.",
        }
    }
}

/// Why an adapter cannot be used, where its backend knows that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Down {
    /// It has just begun, and looks for it.
    #[error("it is being looked for")]
    Looking,
    /// There is no message bus, over which programs ask for Bluetooth.
    #[error("no D-Bus")]
    NoBus,
    /// The bus, or the policy of the Bluetooth service, does not allow it.
    #[error("not allowed")]
    NotAllowed,
    /// The Bluetooth service does not run.
    #[error("no bluetoothd")]
    NoDaemon,
    /// There is no adapter, or none of this name.
    #[error("no adapter")]
    NoAdapter,
    /// It is switched off.
    #[error("not powered")]
    NotPowered,
}

impl Down {
    /// What a person can do.
    pub const fn person(self) -> &'static str {
        match self {
            Self::Looking => "Bluetooth is being looked for. Wait a moment.",
            Self::NoBus => {
                "The system's message bus (D-Bus) is not there. Install and start it; in a container, pass /run/dbus/system_bus_socket in."
            }
            Self::NotAllowed => "doorward may not use Bluetooth. Put its user into the group “bluetooth”, and restart it.",
            Self::NoDaemon => "The Bluetooth service is not running. Install BlueZ and start it: systemctl enable --now bluetooth.",
            Self::NoAdapter => "There is no such Bluetooth adapter. Plug it in, or name another one; bluetoothctl list shows them.",
            Self::NotPowered => {
                "The Bluetooth adapter is switched off. Switch it on: rfkill unblock bluetooth, then bluetoothctl power on."
            }
        }
    }
}

impl From<RadioError> for Fault {
    fn from(error: RadioError) -> Self {
        let (person, log) = (error.person(), error.to_string());
        match error {
            RadioError::Gone(_) | RadioError::Down(..) | RadioError::Busy(_) | RadioError::NotFound(_) => Self::offline(person, log),
            RadioError::Refused(_) | RadioError::TooLong { .. } => Self::refused(person, log),
            RadioError::Timeout(_) | RadioError::Disconnected(_) => Self::timeout(person, log),
            RadioError::Protocol(_) => Self::protocol(person, log),
        }
    }
}

/// How an adapter stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Counts up whenever the adapter comes back: what was started in another generation is over.
    pub generation: u64,
    /// Why it cannot be used; `None` while it can.
    pub trouble: Option<RadioError>,
}

impl Standing {
    /// Whether the adapter can be used.
    pub const fn is_up(&self) -> bool {
        self.trouble.is_none()
    }
}

/// Follows how an adapter stands.
#[derive(Debug, Clone)]
pub struct StateWatch(watch::Receiver<Standing>);

impl StateWatch {
    /// What a backend gives out, of the sender with which it tells.
    pub const fn new(receiver: watch::Receiver<Standing>) -> Self {
        Self(receiver)
    }

    /// How it stands now.
    pub fn now(&self) -> Standing {
        self.0.borrow().clone()
    }

    /// Waits until the adapter can be used, and says in which generation. An error when its backend is gone for good.
    pub async fn up(&mut self) -> Result<u64, RadioError> {
        let gone = |_| RadioError::Gone("its backend has ended".into());
        self.0.wait_for(Standing::is_up).await.map(|standing| standing.generation).map_err(gone)
    }

    /// Waits until what was started in this generation is over.
    pub async fn over(&mut self, generation: u64) {
        // A backend that is gone is over as well.
        let _ = self.0.wait_for(|standing| !standing.is_up() || standing.generation != generation).await;
    }
}
