//! Devices of a fleet: how each gets its own identity and rights, and what it may do with them.
//!
//! * [`credentials`] makes or derives what a device shows.
//! * `desk` is the one way to a right, for every surface.
//!
//! A device is its own user at the embedded broker ([`doorward_store::MqttUser::of`]), with the rights of its role
//! ([`doorward_wire::device::DeviceId::role`]): none can read another's topics.
//!
//! It must never give credentials to somebody who has not shown a right to them.

pub mod credentials;
mod desk;

pub use desk::DeskError;

use credentials::Derivation;
use doorward_engine::Handle;
use doorward_mqtt::Mqtt;
use std::sync::Arc;

/// How the fleet works.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// How credentials come about.
    pub derivation: Derivation,
}

/// The fleet. Cheap to clone.
#[derive(Clone)]
pub struct Fleet {
    inner: Arc<Inner>,
}

struct Inner {
    options: Options,
    house: Handle,
    mqtt: Option<Arc<Mqtt>>,
}

impl Fleet {
    /// The fleet of a house, whose devices connect to this broker.
    pub fn new(options: Options, house: Handle, mqtt: Option<Arc<Mqtt>>) -> Self {
        Self { inner: Arc::new(Inner { options, house, mqtt }) }
    }

    fn house(&self) -> &Handle {
        &self.inner.house
    }

    fn options(&self) -> &Options {
        &self.inner.options
    }

    /// Whether the devices' broker is the embedded one, which knows them as soon as the store does.
    fn is_embedded(&self) -> bool {
        self.inner.mqtt.as_ref().is_some_and(|mqtt| mqtt.remote().is_none())
    }
}
