//! Advertising: an object of ours whose properties `BlueZ` reads, and is told to read again.

use super::{
    link::{Link, lock},
    names::{ADVERTISEMENT, ADVERTISING, BLUEZ, PEER, PROPERTIES},
};
use crate::{
    dbus::{Message, Value, dict, strings, variant},
    radio::{Advertisement, Advertising, Fields, LEGACY, RadioError},
};
use doorward_core::driver::BoxFuture;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

/// Bytes of the flags that `BlueZ` adds: length, type, value.
const FLAGS: usize = 3;

/// An object that is registered, and what it says.
pub(super) struct Advertised {
    pub(super) path: String,
    said: Mutex<Properties>,
}

type Properties = Vec<(&'static str, Value)>;

/// Advertises until the handle is dropped.
pub(super) async fn advertise(link: Arc<Link>, advertisement: Advertisement) -> Result<Box<dyn Advertising>, RadioError> {
    check(&advertisement)?;
    let own = Arc::new(Advertised { path: link.path("advertisement"), said: Mutex::new(properties(&advertisement)) });
    lock(&link.advertised).push(Arc::clone(&own));
    // From here on what is dropped is taken back, whether or not BlueZ had it.
    let handle = Handle { link, own, connectable: advertisement.connectable };
    handle.register().await?;
    if handle.link.is_over() {
        return Err(RadioError::Gone("just now".into()));
    }
    Ok(Box::new(handle))
}

/// Whether it fits, and the bus can carry it.
fn check(advertisement: &Advertisement) -> Result<(), RadioError> {
    advertisement.check()?;
    let names = [&advertisement.data.name, &advertisement.response.name];
    let zero = names.into_iter().flatten().any(|name| name.contains('\0'));
    if zero { Err(RadioError::Refused("a name has a zero in it".into())) } else { Ok(()) }
}

impl Advertised {
    /// `BlueZ` asks what is advertised, or tells that it is not any more.
    pub(super) fn called(&self, link: &Link, call: &Message) {
        match (call.member.as_str(), call.body.as_slice()) {
            ("GetAll", [Value::Text(interface)]) if interface == ADVERTISEMENT => {
                link.bus.answer(call, Ok(vec![dict(lock(&self.said).clone())]));
            }
            ("Release", _) => {
                tracing::warn!(path = self.path, "BlueZ advertises this no more");
                link.bus.answer(call, Ok(vec![]));
            }
            _ => link.bus.answer(call, Err(("org.freedesktop.DBus.Error.UnknownMethod", "an advertisement has no such method"))),
        }
    }
}

struct Handle {
    link: Arc<Link>,
    own: Arc<Advertised>,
    connectable: bool,
}

impl Handle {
    async fn register(&self) -> Result<(), RadioError> {
        let object = vec![Value::path(&self.own.path), dict([])];
        Ok(self.link.adapter(ADVERTISING, "RegisterAdvertisement", object).await.map(drop)?)
    }

    /// Says what changed, one by one: `BlueZ` advertises anew for each.
    async fn change(&self, new: Properties) -> Result<(), RadioError> {
        let old = std::mem::replace(&mut *lock(&self.own.said), new.clone());
        let gone = old.iter().map(|(name, _)| *name).filter(|name| !new.iter().any(|(own, _)| own == name));
        let gone: Vec<_> = gone.collect();
        let changed: Properties = new.into_iter().filter(|property| !old.contains(property)).collect();
        if changed.is_empty() && gone.is_empty() {
            return Ok(());
        }
        let body = vec![Value::text(ADVERTISEMENT), dict(changed), strings(gone)];
        self.link.bus.emit(&self.own.path, PROPERTIES, "PropertiesChanged", body)?;
        // A signal has no answer; what is answered after it was read after it.
        Ok(self.link.bus.call(BLUEZ, "/", PEER, "Ping", vec![]).await.map(drop)?)
    }
}

impl Advertising for Handle {
    fn replace(&mut self, advertisement: Advertisement) -> BoxFuture<'_, Result<(), RadioError>> {
        Box::pin(async move {
            check(&advertisement)?;
            if self.link.is_over() {
                return Err(RadioError::Gone("the adapter was away since it was advertised".into()));
            }
            if advertisement.connectable == self.connectable {
                return self.change(properties(&advertisement)).await;
            }
            // Its kind is not changed in place.
            self.connectable = advertisement.connectable;
            self.link.adapter(ADVERTISING, "UnregisterAdvertisement", vec![Value::path(&self.own.path)]).await?;
            *lock(&self.own.said) = properties(&advertisement);
            self.register().await
        })
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        lock(&self.link.advertised).retain(|own| !Arc::ptr_eq(own, &self.own));
        self.link.bus.tell(BLUEZ, &self.link.adapter, ADVERTISING, "UnregisterAdvertisement", vec![Value::path(&self.own.path)]);
    }
}

/// What `BlueZ` is told. The name goes into the scan response, all else into the advertisement, as far as it fits.
fn properties(advertisement: &Advertisement) -> Properties {
    let Advertisement { data, response, connectable, shortest, longest } = advertisement;
    let kind = if *connectable { "peripheral" } else { "broadcast" };
    let milliseconds = |span: &Duration| Value::U32(u32::try_from(span.as_millis()).unwrap_or(u32::MAX));
    let mut all = Fields { name: None, ..data.clone() };
    all.manufacturer = all.manufacturer.or_else(|| response.manufacturer.clone());
    all.appearance = all.appearance.or(response.appearance);
    for service in &response.services {
        let more = all.clone().service(*service);
        if FLAGS + more.bytes() <= LEGACY {
            all = more;
        }
    }
    let services: Vec<_> = all.services.iter().map(ToString::to_string).collect();
    let services = strings(services.iter().map(String::as_str));
    let name = data.name.as_ref().or(response.name.as_ref());
    let company = all.manufacturer.map(|(company, data)| {
        let pair = Value::Pair(Box::new(Value::U16(company)), Box::new(variant(Value::Bytes(data))));
        Value::Array("{qv}".into(), vec![pair])
    });
    [
        Some(("Type", Value::text(kind))),
        // Who broadcasts has no flags: BlueZ 5.66 refuses them.
        connectable.then_some(("Discoverable", Value::Bool(true))),
        Some(("MinInterval", milliseconds(shortest))),
        Some(("MaxInterval", milliseconds(longest))),
        (!all.services.is_empty()).then_some(("ServiceUUIDs", services)),
        name.map(|name| ("LocalName", Value::text(name))),
        all.appearance.map(|appearance| ("Appearance", Value::U16(appearance))),
        company.map(|company| ("ManufacturerData", company)),
    ]
    .into_iter()
    .flatten()
    .collect()
}
