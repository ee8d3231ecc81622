//! Where an address leads, and names that are looked up with care.
//!
//! Somebody types an address, or sends one, and doorward calls it from inside the house's network. It must not become a
//! way to what only this machine can reach: its own services, the router's page, the metadata service of a cloud.

use doorward_core::driver::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::{
    error::Error,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

/// Zones that no public server is in (RFC 6762, RFC 8375, and what routers use).
const PRIVATE_ZONES: [&str; 6] = [".local", ".lan", ".home", ".home.arpa", ".internal", ".localhost"];
/// How far an address reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The internet.
    Public,
    /// A network that is not on the internet.
    Private,
    /// This machine.
    Loopback,
    /// The nearest network alone, and what clouds serve to their own machines.
    LinkLocal,
}

/// Networks that are not on the internet, without this machine's own and link-local ones (IANA IPv4 Special-Purpose Address Registry).
const INNER: [([u8; 4], u32); 12] = [
    ([10, 0, 0, 0], 8),
    ([100, 64, 0, 0], 10),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    ([192, 88, 99, 0], 24),
    ([192, 168, 0, 0], 16),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    // Multicast, and what is reserved with the broadcast address at its end.
    ([224, 0, 0, 0], 4),
    ([240, 0, 0, 0], 4),
];
/// Where clouds serve metadata beside 169.254.169.254: Alibaba, Oracle.
const METADATA: [[u8; 4]; 2] = [[100, 100, 100, 200], [192, 0, 0, 192]];
/// The same at Amazon.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// How far an address reaches, an IPv4 address within an IPv6 one being seen through.
pub fn reach(address: IpAddr) -> Reach {
    match (address, within(address)) {
        (_, Some(inner)) | (IpAddr::V4(inner), None) => reach_v4(inner),
        (IpAddr::V6(address), None) => reach_v6(address),
    }
}

fn reach_v4(address: Ipv4Addr) -> Reach {
    if address.is_link_local() || METADATA.contains(&address.octets()) {
        return Reach::LinkLocal;
    }
    // What is sent to 0.0.0.0 comes to this machine.
    if let [0 | 127, ..] = address.octets() {
        return Reach::Loopback;
    }
    let inside = |(network, bits): &([u8; 4], u32)| (u32::from(address) ^ u32::from_be_bytes(*network)) >> (32 - bits) == 0;
    if INNER.iter().any(inside) { Reach::Private } else { Reach::Public }
}

/// Only `2000::/3` is given out at all, and of that a few networks are not for servers: IETF assignments (Teredo among
/// them) and documentation (IANA IPv6 Special-Purpose Address Registry).
fn reach_v6(address: Ipv6Addr) -> Reach {
    if address.is_unicast_link_local() || address == METADATA_V6 {
        return Reach::LinkLocal;
    }
    if address.is_loopback() || address.is_unspecified() {
        return Reach::Loopback;
    }
    match address.segments() {
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Reach::Private,
        [0x2000..=0x3fff, ..] => Reach::Public,
        _ => Reach::Private,
    }
}

/// The IPv4 address that an IPv6 address leads to: mapped (RFC 4291), translated (RFC 2765), behind NAT64 (RFC 6052) or
/// 6to4 (RFC 3056).
pub fn within(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(address) = address else { return None };
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => Some(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low))),
        _ => None,
    }
}

/// Whether only a network of one's own has a server of this name.
pub fn is_private_name(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    !name.contains('.') || PRIVATE_ZONES.iter().any(|zone| name.ends_with(zone))
}

/// How names become addresses. Tests bring their own.
pub trait Names: Send + Sync + 'static {
    /// Every address of a name.
    fn look_up(&self, name: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;

    /// Where an address is, once it was checked. Tests play the internet on one machine.
    fn place(&self, address: IpAddr) -> IpAddr {
        address
    }
}

/// The names that this machine knows.
pub struct System;

impl Names for System {
    fn look_up(&self, name: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let name = name.to_owned();
        Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect()) })
    }
}

/// What is wrong with an address.
pub type Refusal = Box<dyn Error + Send + Sync>;

/// Looks a name up, each time anew, and lets nothing pass that may not be called. The connection goes to one of the
/// addresses that were checked: what the name points to a moment later (DNS rebinding) does not matter.
pub struct Checked {
    names: Arc<dyn Names>,
    check: Arc<dyn Fn(IpAddr) -> Result<(), Refusal> + Send + Sync>,
}

impl Checked {
    /// With these names, and what says whether an address may be called.
    pub fn new(names: Arc<dyn Names>, check: impl Fn(IpAddr) -> Result<(), Refusal> + Send + Sync + 'static) -> Self {
        Self { names, check: Arc::new(check) }
    }
}

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let (found, check, names) = (self.names.look_up(name.as_str()), Arc::clone(&self.check), Arc::clone(&self.names));
        Box::pin(async move {
            let found = found.await?;
            for address in &found {
                check(*address)?;
            }
            // Port 0 stands for the one in the address.
            let places: Vec<SocketAddr> = found.into_iter().map(|address| SocketAddr::new(names.place(address), 0)).collect();
            Ok(Box::new(places.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Reach, reach};

    #[test]
    fn only_addresses_on_the_internet_are_public() {
        let each = |expected: Reach, addresses: &str| {
            for address in addresses.split_whitespace() {
                assert_eq!(reach(address.parse().unwrap()), expected, "{address}");
            }
        };
        each(Reach::Public, "8.8.8.8 1.1.1.1 172.32.0.1 100.128.0.1 192.0.1.1 223.255.255.255 2a00:1450::1 2606:4700::1");
        // These lead to 8.8.8.8.
        each(Reach::Public, "::ffff:8.8.8.8 64:ff9b::808:808 2002:808:808::1");
        each(
            Reach::Private,
            "10.0.0.1 100.64.0.1 100.127.255.255 172.16.0.1 172.31.255.255 192.0.0.1 192.0.2.1 \
             192.88.99.1 192.168.1.1 198.18.0.1 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255",
        );
        each(
            Reach::Private,
            "::127.0.0.1 fc00::1 fd12:3456::1 fec0::1 ff02::1 100::1 2001::1 2001:10::1 2001:db8::1 3fff::1 5f00::1 64:ff9b:1::a00:1",
        );
        each(Reach::Private, "::ffff:10.0.0.1 ::ffff:0:192.168.1.1 64:ff9b::a00:1 2002:a00:1::");
        each(
            Reach::Loopback,
            "0.0.0.0 0.1.2.3 127.0.0.1 127.255.0.1 :: ::1 ::ffff:127.0.0.1 ::ffff:0:127.0.0.1 64:ff9b::7f00:1 2002:7f00:1::1",
        );
        each(Reach::LinkLocal, "169.254.0.1 169.254.169.254 100.100.100.200 192.0.0.192 fe80::1 febf::1 fd00:ec2::254");
        each(Reach::LinkLocal, "::ffff:169.254.169.254 ::ffff:0:169.254.169.254 64:ff9b::a9fe:a9fe 2002:a9fe:a9fe::1");
    }
}
