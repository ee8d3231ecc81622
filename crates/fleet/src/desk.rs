//! Where devices get their rights: the one way for the listener, the API, the pages and the command line.

use crate::Fleet;
use doorward_core::record::NewEvent;
use doorward_store::{BrokerUser, NewDevice, Provisioned, StoreError, StoredDevice};
use doorward_wire::{
    attempt::Actor,
    device::{DeviceId, Mac, Named},
    event::EventKind,
};
use serde_json::json;

/// Why a device gets nothing. `Display` says what a person can do.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// Another device prints the same.
    #[error("another device, with the MAC {0}, prints the same identifier; one of the two cannot be provisioned")]
    Collides(Mac),
    /// Its user's name, or its MAC, is somebody else's.
    #[error("there is an MQTT user of this name, or a device with this MAC, already")]
    Taken,
    /// Its rights were taken.
    #[error("this device was revoked")]
    Revoked,
    /// There are as many as there may be.
    #[error("there are too many devices")]
    TooMany,
    /// The last of the space is for what opens doors.
    #[error("the disk is nearly full, so no device is provisioned; make room first")]
    Full,
    /// The store could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Fleet {
    /// Provisions a device for somebody. One that was provisioned before gets what it has.
    pub async fn provision(&self, device: &Named, name: Option<&str>, actor: &Actor) -> Result<StoredDevice, DeskError> {
        let house = self.house();
        if house.store().space().low {
            return Err(DeskError::Full);
        }
        let mut dice = [0; 64];
        house.clock().fill(&mut dice);
        let credentials = self.options().derivation.credentials(&device.id, dice);
        let data = json!({ "device": device.id, "mac": device.mac, "name": name });
        let event = NewEvent::new(house.now().utc, EventKind::DeviceProvisioned).device(&device.id).actor(actor).data(data);
        let new = NewDevice {
            id: device.id.clone(),
            mac: device.mac,
            name: name.map(str::to_owned),
            user: credentials.user,
            secrets: credentials.secrets,
            broker: if self.is_embedded() { BrokerUser::Made } else { BrokerUser::Making { error: None } },
            event,
        };
        let outcome = house.store().provision_devices(&[new]).await?.pop();
        match outcome {
            Some(Provisioned::New(stored, event)) => {
                house.tell(vec![event]);
                Ok(stored)
            }
            Some(Provisioned::Known(stored)) => Ok(stored),
            Some(Provisioned::Collides(mac)) => Err(DeskError::Collides(mac)),
            Some(Provisioned::NameTaken) => Err(DeskError::Taken),
            Some(Provisioned::Revoked) => Err(DeskError::Revoked),
            Some(Provisioned::TooMany) | None => Err(DeskError::TooMany),
        }
    }

    /// Every device, by its identifier.
    pub async fn devices(&self) -> Result<Vec<StoredDevice>, StoreError> {
        self.house().store().devices().await
    }

    /// One device.
    pub async fn device(&self, id: &DeviceId) -> Result<Option<StoredDevice>, StoreError> {
        self.house().store().device(id).await
    }
}
