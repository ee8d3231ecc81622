//! Where devices get their rights: the one way for the listener, the API, the pages and the command line.

use crate::{Fleet, Where, credentials::Derivation};
use doorward_core::record::NewEvent;
use doorward_store::{BrokerUser, DeviceSecrets, NewDevice, Provisioned, StoreError, StoredDevice};
use doorward_wire::{
    Time,
    attempt::Actor,
    device::{Device, DeviceId, DeviceState, Mac, Named, Provisioned as Told},
    event::{Event, EventKind},
    firmware::Hardware,
};
use futures_util::future::join_all;
use jiff::tz::TimeZone;
use serde_json::json;

/// Devices whose users at another broker are made at the same time.
const AT_ONCE: usize = 8;
/// As the original writes times.
const TIME: &str = "%Y-%m-%d %H:%M:%S";

/// A device that is to be provisioned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// The device.
    pub device: Named,
    /// What people call it.
    pub name: Option<String>,
}

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
    #[error("this device was revoked; whoever manages devices can give it other secrets and with them its rights again")]
    Revoked,
    /// There is none.
    #[error("there is no device with this identifier that has rights")]
    Unknown,
    /// Not a network.
    #[error("{0}")]
    Network(String),
    /// Not a span of time for a claim.
    #[error("a claim stands for a second at least, and 30 days at most; or until it is closed")]
    Span,
    /// The broker does not have its user yet.
    #[error("the device is known, but its user at the broker is not made yet; that is tried again by itself. {0}")]
    Pending(String),
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
        let wish = Wish { device: device.clone(), name: name.map(str::to_owned) };
        let outcome = self.provision_many(&[wish], actor).await?.pop();
        outcome.unwrap_or(Err(DeskError::TooMany))
    }

    /// Provisions devices, all in one commit, and gives what came of each, in their order.
    pub async fn provision_many(&self, wishes: &[Wish], actor: &Actor) -> Result<Vec<Result<StoredDevice, DeskError>>, DeskError> {
        let house = self.house();
        if house.store().space().low {
            return Err(DeskError::Full);
        }
        let new: Vec<NewDevice> = wishes.iter().map(|wish| self.new_device(wish, actor)).collect();
        let outcomes = house.store().provision_devices(&new).await?;
        self.use_it();
        let mut events = Vec::new();
        let mut stored: Vec<Result<StoredDevice, DeskError>> = Vec::with_capacity(outcomes.len());
        for outcome in outcomes {
            stored.push(match outcome {
                Provisioned::New(device, event) => {
                    events.push(event);
                    Ok(device)
                }
                Provisioned::Known(device) => Ok(device),
                Provisioned::Collides(mac) => Err(DeskError::Collides(mac)),
                Provisioned::NameTaken => Err(DeskError::Taken),
                Provisioned::Revoked => Err(DeskError::Revoked),
                Provisioned::TooMany => Err(DeskError::TooMany),
            });
        }
        house.tell(events);
        let mut settled = Vec::with_capacity(stored.len());
        let mut stored = stored.into_iter().peekable();
        while stored.peek().is_some() {
            let some = stored.by_ref().take(AT_ONCE).map(async |device| match device {
                Ok(device) => self.settled(device).await,
                Err(error) => Err(error),
            });
            settled.extend(join_all(some).await);
        }
        Ok(settled)
    }

    fn new_device(&self, wish: &Wish, actor: &Actor) -> NewDevice {
        let (house, Named { id, mac }) = (self.house(), &wish.device);
        let mut dice = [0; 64];
        house.clock().fill(&mut dice);
        let credentials = self.options().derivation.credentials(id, dice);
        let data = json!({ "device": id, "mac": mac, "name": wish.name });
        NewDevice {
            id: id.clone(),
            mac: *mac,
            name: wish.name.clone(),
            user: credentials.user,
            secrets: credentials.secrets,
            broker: self.to_be_made(),
            event: NewEvent::new(house.now().utc, EventKind::DeviceProvisioned).device(id).actor(actor).data(data),
        }
    }

    /// A device that another broker does not know yet is made known there before it is told anything.
    async fn settled(&self, device: StoredDevice) -> Result<StoredDevice, DeskError> {
        if device.broker == BrokerUser::Settled {
            return Ok(device);
        }
        let device = self.settle(&device.id).await?.ok_or(DeskError::Unknown)?;
        match device.broker {
            BrokerUser::Settled => Ok(device),
            BrokerUser::Making { error } | BrokerUser::Removing { error } => Err(DeskError::Pending(error.unwrap_or_default())),
        }
    }

    /// Gives a device other secrets, also one that was revoked: it has its rights again. What it has of the others ends.
    pub async fn renew(&self, id: &DeviceId, actor: &Actor) -> Result<StoredDevice, DeskError> {
        let event = NewEvent::new(self.house().now().utc, EventKind::DeviceRenewed).device(id).actor(actor);
        let renewed = self.house().store().renew_device(id, &self.fresh_secrets(id), &self.to_be_made(), &event).await?;
        let (stored, event) = renewed.ok_or(DeskError::Unknown)?;
        self.renewed(&stored, vec![event]).await;
        self.settled(stored).await
    }

    /// Says what people call a device, and its hardware.
    pub async fn edit(&self, id: &DeviceId, name: Option<&str>, hardware: Option<&Hardware>, actor: &Actor) -> Result<(), DeskError> {
        let event = NewEvent::new(self.house().now().utc, EventKind::DeviceChanged).device(id).actor(actor);
        let event = event.data(json!({ "name": name, "hardware": hardware }));
        let told = self.house().store().edit_device(id, name, hardware, &event).await?.ok_or(DeskError::Unknown)?;
        self.house().tell(vec![told]);
        Ok(())
    }

    /// Takes a device's rights, and ends its connection.
    pub async fn revoke(&self, id: &DeviceId, actor: &Actor) -> Result<(), DeskError> {
        let event = NewEvent::new(self.house().now().utc, EventKind::DeviceRevoked).device(id).actor(actor);
        let keeps = self.to_be_made() != BrokerUser::Settled;
        let broker = if keeps { BrokerUser::Removing { error: None } } else { BrokerUser::Settled };
        let revoked = self.house().store().revoke_device(id, &broker, &event).await?;
        let (stored, event) = revoked.ok_or(DeskError::Unknown)?;
        if let Some(mqtt) = self.mqtt() {
            mqtt.end_device(id, &stored.user, true).await;
        }
        self.registry().forget(id);
        self.settling().wake();
        self.house().tell(vec![event]);
        Ok(())
    }

    /// A device has other secrets: its connection with those before ends.
    pub(crate) async fn renewed(&self, device: &StoredDevice, events: Vec<Event>) {
        if let Some(mqtt) = self.mqtt() {
            mqtt.end_device(&device.id, &device.user, false).await;
        }
        self.settling().wake();
        self.house().tell(events);
    }

    /// Secrets that nothing is derived from.
    pub(crate) fn fresh_secrets(&self, id: &DeviceId) -> DeviceSecrets {
        let mut dice = [0; 64];
        self.house().clock().fill(&mut dice);
        Derivation::Random.credentials(id, dice).secrets
    }

    /// What a device is told when it is provisioned.
    pub async fn told(&self, device: &StoredDevice) -> Result<Told, StoreError> {
        Ok(self.told_in(device, &self.zone().await?))
    }

    /// The same, in this time zone.
    pub fn told_in(&self, device: &StoredDevice, zone: &TimeZone) -> Told {
        let StoredDevice { id, user, secrets, created, .. } = device;
        let Where { host, port, .. } = &self.options().broker;
        Told {
            device_id: id.clone(),
            mqtt_user: user.clone(),
            mqtt_password: secrets.password.reveal().clone(),
            mqtt_host: host.clone(),
            mqtt_port: *port,
            provision_date: local(*created, zone),
            device_token: secrets.token.reveal().clone(),
        }
    }

    /// The time zone of the house: of its first site.
    pub async fn zone(&self) -> Result<TimeZone, StoreError> {
        let sites = self.house().store().sites().await?;
        Ok(sites.first().and_then(|site| TimeZone::get(&site.time_zone).ok()).unwrap_or(TimeZone::UTC))
    }

    /// Every device as people see it, by its identifier.
    pub async fn devices(&self) -> Result<Vec<Device>, StoreError> {
        let connected = self.connected();
        let view = |device: StoredDevice| self.view(connected.contains_key(&device.id), device);
        Ok(self.house().store().devices().await?.into_iter().map(view).collect())
    }

    /// One device as people see it.
    pub async fn device(&self, id: &DeviceId) -> Result<Option<Device>, StoreError> {
        Ok(self.house().store().device(id).await?.map(|device| self.view(self.connection(id).is_some(), device)))
    }

    fn view(&self, online: bool, device: StoredDevice) -> Device {
        let hardware = self.hardware_of(&device).clone();
        let StoredDevice { id, mac, name, user, broker, created, revoked, report, .. } = device;
        let report = self.registry().newer(&id, report);
        let (state, detail) = match broker {
            BrokerUser::Removing { error } => (DeviceState::Revoked, error),
            _ if revoked.is_some() => (DeviceState::Revoked, None),
            BrokerUser::Making { error } => (DeviceState::Pending, error),
            BrokerUser::Settled if online => (DeviceState::Online, None),
            BrokerUser::Settled if report.seen.is_some() => (DeviceState::Offline, None),
            BrokerUser::Settled => (DeviceState::Provisioned, None),
        };
        Device {
            id,
            mac,
            name,
            state,
            detail,
            hardware,
            mqtt_user: user,
            firmware: report.firmware,
            seen: if online { Some(self.house().now().utc) } else { report.seen },
            uptime: report.uptime.and_then(|uptime| uptime.try_into().ok()),
            free_heap: report.free_heap.and_then(|bytes| bytes.try_into().ok()),
            wifi_rssi: report.wifi_rssi.and_then(|rssi| rssi.try_into().ok()),
            provisioned: created,
        }
    }
}

/// A moment as the original writes it.
pub(crate) fn local(time: Time, zone: &TimeZone) -> String {
    time.timestamp().to_zoned(zone.clone()).strftime(TIME).to_string()
}
