//! What a device has, read object by object: whoever is near can make the list of all objects too long.

use crate::dbus::Value;
use crate::radio::{
    Can, Characteristic, RadioError, Service,
    bluez::{
        link::Link,
        names::{BLUEZ, CHARACTERISTIC, INTROSPECTABLE, SERVICE},
    },
};
use std::collections::HashMap;
use uuid::Uuid;

/// Services of a device, and characteristics of all of them.
const MOST_SERVICES: usize = 64;
const MOST_CHARACTERISTICS: usize = 256;
/// What every connection carries (Core Specification 5.4, volume 3, part G, 5.2.1).
const LEAST_MTU: u16 = 23;

/// What a device has.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) services: Vec<Service>,
    /// Where characteristics are. Of several with one UUID it is the first.
    pub(super) paths: HashMap<Uuid, String>,
    pub(super) mtu: u16,
}

impl Default for Tree {
    fn default() -> Self {
        Self { services: Vec::new(), paths: HashMap::new(), mtu: LEAST_MTU }
    }
}

/// Reads what a device has.
pub(super) async fn walk(link: &Link, device: &str) -> Result<Tree, RadioError> {
    let mut tree = Tree::default();
    for service in below(link, device, "service").await?.into_iter().take(MOST_SERVICES) {
        let (all, _) = link.properties(&service, SERVICE).await?;
        let Some(uuid) = uuid(&all) else { continue };
        let mut characteristics = Vec::new();
        for path in below(link, &service, "char").await? {
            let (all, _) = link.properties(&path, CHARACTERISTIC).await?;
            let Some(uuid) = self::uuid(&all).filter(|_| tree.paths.len() < MOST_CHARACTERISTICS) else { continue };
            tree.mtu = tree.mtu.max(all.at("MTU").and_then(Value::as_u16).unwrap_or_default());
            tree.paths.entry(uuid).or_insert(path);
            characteristics.push(Characteristic { uuid, can: can(&all) });
        }
        tree.services.push(Service { uuid, characteristics });
    }
    Ok(tree)
}

fn uuid(all: &Value) -> Option<Uuid> {
    all.at("UUID")?.as_text()?.parse().ok()
}

fn can(all: &Value) -> Can {
    let has = |flag: &str| all.at("Flags").is_some_and(|flags| flags.items().iter().any(|own| own.as_text() == Some(flag)));
    Can {
        read: has("read"),
        write: has("write"),
        write_without_response: has("write-without-response"),
        notify: has("notify") || has("indicate"),
    }
}

/// Paths of the objects right below one, of those whose name begins so.
async fn below(link: &Link, path: &str, prefix: &str) -> Result<Vec<String>, RadioError> {
    let answer = link.bus.call(BLUEZ, path, INTROSPECTABLE, "Introspect", vec![]).await?;
    let text = answer.body.first().and_then(Value::as_text).unwrap_or_default();
    Ok(nodes(text).filter(|name| name.starts_with(prefix)).map(|name| format!("{path}/{name}")).collect())
}

/// Names in the elements `<node name="…"/>` of a description. They are elements of paths, without anything to be unescaped.
fn nodes(text: &str) -> impl Iterator<Item = &str> {
    let names = text.split("<node name=\"").skip(1).filter_map(|rest| rest.split('"').next());
    names.filter(|name| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'))
}

#[cfg(test)]
mod tests {
    use super::nodes;

    #[test]
    fn names_of_objects_are_read_from_what_bluez_says_of_itself() {
        let said = concat!(
            r#"<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN""#,
            r#""http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd"><node><interface name="org.bluez.Device1">"#,
            r#"<method name="Connect"></method></interface><node name="service0006"/><node name="service000a"/></node>"#,
        );
        assert_eq!(nodes(said).collect::<Vec<_>>(), ["service0006", "service000a"]);
        for said in ["", "<node name=\"", "<node name=\"\"/>", "<node name=\"../x\"/>", "<node><node name=\"a b\"/>"] {
            assert_eq!(nodes(said).count(), 0, "{said}");
        }
    }
}
