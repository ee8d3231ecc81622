//! What things are called at `BlueZ`.

use crate::radio::Address;

pub(super) const BLUEZ: &str = "org.bluez";
pub(super) const ADAPTER: &str = "org.bluez.Adapter1";
pub(super) const DEVICE: &str = "org.bluez.Device1";
pub(super) const ADVERTISEMENT: &str = "org.bluez.LEAdvertisement1";
pub(super) const ADVERTISING: &str = "org.bluez.LEAdvertisingManager1";
pub(super) const GATT: &str = "org.bluez.GattManager1";
pub(super) const SERVICE: &str = "org.bluez.GattService1";
pub(super) const CHARACTERISTIC: &str = "org.bluez.GattCharacteristic1";
pub(super) const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
pub(super) const OBJECTS: &str = "org.freedesktop.DBus.ObjectManager";
pub(super) const INTROSPECTABLE: &str = "org.freedesktop.DBus.Introspectable";
pub(super) const PEER: &str = "org.freedesktop.DBus.Peer";
/// Our own objects are below this.
pub(super) const OURS: &str = "/org/doorward/ble";

/// The path of an adapter; `None` when that is no name of one.
pub(super) fn adapter(name: &str) -> Option<String> {
    let plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    plain.then(|| format!("/org/bluez/{name}"))
}

/// The path of a device.
pub(super) fn device(adapter: &str, address: Address) -> String {
    format!("{adapter}/dev_{}", address.to_string().replace(':', "_"))
}

/// The device of a path, and what follows: nothing when it is the device itself.
pub(super) fn of_device<'a>(adapter: &str, path: &'a str) -> Option<(&'a str, Address, &'a str)> {
    const ADDRESS: usize = 17;
    let name = path.strip_prefix(adapter)?.strip_prefix("/dev_")?;
    let (address, rest) = name.split_at_checked(ADDRESS)?;
    let address = address.replace('_', ":").parse().ok()?;
    let (device, _) = path.split_at_checked(path.len() - rest.len())?;
    (rest.is_empty() || rest.starts_with('/')).then_some((device, address, rest))
}
