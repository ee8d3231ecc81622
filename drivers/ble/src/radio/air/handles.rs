//! What is started on a radio of the air.

use super::{
    client::Client,
    wire::{Linked, advertisement, hex, unhex},
};
use crate::radio::{
    Address, Advertisement, Advertising, Connection, Incoming, MOST_VALUE, Notifications, PeerId, RadioError, Server, Service,
};
use doorward_core::driver::BoxFuture;
use serde_json::json;
use std::sync::Arc;
use tokio::sync::{Mutex, mpsc, watch};
use uuid::Uuid;

pub(super) struct AirAdvertising {
    client: Arc<Client>,
    number: u64,
}

impl AirAdvertising {
    pub(super) fn new(client: Arc<Client>) -> Self {
        Self { number: client.number(), client }
    }
}

impl Advertising for AirAdvertising {
    fn replace(&mut self, new: Advertisement) -> BoxFuture<'_, Result<(), RadioError>> {
        Box::pin(async move {
            new.check()?;
            self.client.ask(advertisement(self.number, &new)).await.map(|_| ())
        })
    }
}

impl Drop for AirAdvertising {
    fn drop(&mut self) {
        self.client.say(&json!({ "op": "silence", "advert": self.number }));
    }
}

pub(super) struct AirServer {
    client: Arc<Client>,
    number: u64,
    incoming: Mutex<mpsc::Receiver<Incoming>>,
}

impl AirServer {
    pub(super) async fn start(client: Arc<Client>, services: Vec<Service>) -> Result<Self, RadioError> {
        let (number, incoming) = client.serve(&services).await?;
        Ok(Self { client, number, incoming: Mutex::new(incoming) })
    }
}

impl Server for AirServer {
    fn next(&self) -> BoxFuture<'_, Option<Incoming>> {
        Box::pin(async move { self.incoming.lock().await.recv().await })
    }

    fn notify<'a>(&'a self, peer: PeerId, characteristic: Uuid, value: &'a [u8]) -> BoxFuture<'a, Result<(), RadioError>> {
        Box::pin(async move {
            let line = json!({ "op": "notify", "link": peer.0, "uuid": characteristic, "value": hex(fitting(value)?) });
            self.client.ask(line).await.map(|_| ())
        })
    }
}

impl Drop for AirServer {
    fn drop(&mut self) {
        self.client.unserve(self.number);
    }
}

pub(super) struct AirConnection {
    client: Arc<Client>,
    address: Address,
    link: u64,
    mtu: u16,
    services: Vec<Service>,
    closed: watch::Receiver<bool>,
}

impl AirConnection {
    pub(super) async fn open(client: Arc<Client>, address: Address) -> Result<Self, RadioError> {
        let linked = client.ask(json!({ "op": "connect", "address": address.to_string() })).await?;
        let linked: Linked = serde_json::from_value(linked).map_err(|error| RadioError::Protocol(error.to_string()))?;
        let closed = client.link(linked.link);
        Ok(Self { client, address, link: linked.link, mtu: linked.mtu, services: linked.services(), closed })
    }

    async fn write(&self, characteristic: Uuid, value: &[u8], command: bool) -> Result<(), RadioError> {
        let value = hex(fitting(value)?);
        let line = json!({ "op": "write", "link": self.link, "uuid": characteristic, "value": value, "command": command });
        self.client.ask(line).await.map(|_| ())
    }
}

impl Connection for AirConnection {
    fn address(&self) -> Address {
        self.address
    }

    fn mtu(&self) -> u16 {
        self.mtu
    }

    fn services(&self) -> &[Service] {
        &self.services
    }

    fn read(&self, characteristic: Uuid) -> BoxFuture<'_, Result<Vec<u8>, RadioError>> {
        Box::pin(async move {
            let value = self.client.ask(json!({ "op": "read", "link": self.link, "uuid": characteristic })).await?;
            let mut bytes = vec![0; MOST_VALUE];
            let length = value.as_str().and_then(|text| unhex(text, &mut bytes));
            bytes.truncate(length.ok_or_else(|| RadioError::Protocol("a value that is no hex".into()))?);
            Ok(bytes)
        })
    }

    fn write<'a>(&'a self, characteristic: Uuid, value: &'a [u8]) -> BoxFuture<'a, Result<(), RadioError>> {
        Box::pin(self.write(characteristic, value, false))
    }

    fn write_without_response<'a>(&'a self, characteristic: Uuid, value: &'a [u8]) -> BoxFuture<'a, Result<(), RadioError>> {
        Box::pin(self.write(characteristic, value, true))
    }

    fn subscribe(&self, characteristic: Uuid) -> BoxFuture<'_, Result<Notifications, RadioError>> {
        Box::pin(async move {
            // What comes right after the answer must find its place.
            let told = self.client.told(self.link, characteristic);
            self.client.ask(json!({ "op": "subscribe", "link": self.link, "uuid": characteristic })).await?;
            Ok(Notifications::new(told))
        })
    }

    fn closed(&self) -> BoxFuture<'_, ()> {
        let mut closed = self.closed.clone();
        Box::pin(async move {
            // A client that is gone has closed it as well.
            let _ = closed.wait_for(|closed| *closed).await;
        })
    }

    fn disconnect(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if self.client.ask(json!({ "op": "disconnect", "link": self.link })).await.is_ok() {
                self.closed().await;
            }
        })
    }
}

impl Drop for AirConnection {
    fn drop(&mut self) {
        if !*self.closed.borrow() {
            self.client.say(&json!({ "op": "disconnect", "link": self.link }));
        }
    }
}

fn fitting(value: &[u8]) -> Result<&[u8], RadioError> {
    let error = RadioError::TooLong { what: "the value", have: value.len(), most: MOST_VALUE };
    if value.len() <= MOST_VALUE { Ok(value) } else { Err(error) }
}
