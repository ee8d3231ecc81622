//! What a device is told to do, and what comes of it.

use crate::Fleet;
use doorward_core::record::NewEvent;
use doorward_store::StoreError;
use doorward_wire::{attempt::Actor, device::DeviceId, event::EventKind};
use serde_json::{Value, json};
use std::time::Duration;

/// How often it is looked whether a device is back.
const LOOK: Duration = Duration::from_millis(250);
/// Characters of a method.
const METHOD: usize = 64;
/// Bytes of its parameters.
const PARAMS: usize = 16 << 10;

/// What a device is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Order {
    /// Start again.
    Restart,
    /// Whatever its firmware calls this.
    Call {
        /// The method.
        method: String,
        /// Its parameters.
        params: Value,
    },
}

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It answered.
    Answered(Value),
    /// It went, and is back.
    Back,
    /// It was told. Another broker does not tell who comes back.
    Told,
    /// Nothing was heard in time. It may have done it all the same.
    Silent,
}

/// Why a device is told nothing. `Display` says what a person can do.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// There is none.
    #[error("there is no device with this identifier")]
    Unknown,
    /// It would not hear it, and must not hear it later.
    #[error("the device is not connected, so it would not hear this; nothing was sent")]
    Away,
    /// Not something that can stand in a topic.
    #[error("a method has 1 to {METHOD} letters, digits, dashes and underscores, and its parameters at most {} KiB", PARAMS >> 10)]
    Method,
    /// Too many answers are waited for.
    #[error("too many devices are asked at this moment; try again")]
    Busy,
    /// There is no broker, or it is away.
    #[error("the MQTT broker cannot be reached")]
    Broker,
    /// The store could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Fleet {
    /// Tells a device to do something, and waits for what comes of it. Only a device that is connected is told: nothing may
    /// reach it late.
    pub async fn order(&self, id: &DeviceId, order: &Order, actor: &Actor, wait: Duration) -> Result<Outcome, OrderError> {
        let device = self.house().store().device(id).await?.filter(|device| device.revoked.is_none()).ok_or(OrderError::Unknown)?;
        if let Order::Call { method, params } = order {
            let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
            if !(1..=METHOD).contains(&method.len()) || !method.chars().all(plain) || params.to_string().len() > PARAMS {
                return Err(OrderError::Method);
            }
        }
        let mqtt = self.mqtt().ok_or(OrderError::Broker)?;
        let before = self.connection(&device.id).ok_or(OrderError::Away)?;
        let (word, method) = match order {
            Order::Restart => ("restart", None),
            Order::Call { method, .. } => ("call", Some(method)),
        };
        let data = json!({ "command": word, "method": method });
        let event = NewEvent::new(self.house().now().utc, EventKind::DeviceCommanded).device(id).actor(actor).data(data);
        self.house().record(vec![event]).await?;
        match order {
            Order::Restart => {
                let told = mqtt.tell(format!("gateway/{id}/command"), json!({ "command": "restart" }).to_string()).await;
                match told {
                    true if self.broker_elsewhere() => Ok(Outcome::Told),
                    true => Ok(self.back(id, before, wait).await),
                    false => Err(OrderError::Broker),
                }
            }
            Order::Call { method, params } => {
                let (number, answer) = self.registry().ask(id, method, self.house().now().utc).ok_or(OrderError::Busy)?;
                if !mqtt.tell(format!("sensor/{id}/request/{method}/{number}"), params.to_string()).await {
                    return Err(OrderError::Broker);
                }
                let clock = self.house().clock();
                tokio::select! {
                    answer = answer => Ok(answer.map_or(Outcome::Silent, Outcome::Answered)),
                    () = clock.sleep_until(clock.now().mono.plus(wait)) => Ok(Outcome::Silent),
                }
            }
        }
    }

    async fn back(&self, id: &DeviceId, before: u64, wait: Duration) -> Outcome {
        let clock = self.house().clock();
        let end = clock.now().mono.plus(wait);
        while clock.now().mono < end {
            if self.connection(id).is_some_and(|now| now != before) {
                return Outcome::Back;
            }
            clock.sleep_until(clock.now().mono.plus(LOOK)).await;
        }
        Outcome::Silent
    }
}
