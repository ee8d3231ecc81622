//! Networks, and who is behind a proxy in one of them.

use reqwest::header::HeaderMap;
use std::{net::IpAddr, str::FromStr};

/// Headers by which a proxy says for whom it asks.
pub const FORWARDING: [&str; 4] = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip"];

/// Whether somebody says that a request comes from elsewhere.
pub fn is_forwarded(headers: &HeaderMap) -> bool {
    FORWARDING.iter().any(|name| headers.contains_key(*name))
}

/// Whom a proxy asks for: the last address that it added, which is the one that it saw itself.
pub fn forwarded_for(headers: &HeaderMap) -> Option<IpAddr> {
    let last = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok()).next_back();
    let client = last.and_then(|list| list.rsplit(',').next()).and_then(|address| address.trim().parse::<IpAddr>().ok());
    client.map(|client| client.to_canonical())
}

/// Whether an address lies in one of these networks.
pub fn contains(networks: &[Network], source: IpAddr) -> bool {
    let source = source.to_canonical();
    networks.iter().any(|network| network.contains(source))
}

/// An IP network such as `192.168.1.0/24`; a bare address is a network of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Whether an address lies in this network.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => same_prefix(u32::from(net).into(), u32::from(ip).into(), 32, self.bits),
            (IpAddr::V6(net), IpAddr::V6(ip)) => same_prefix(net.into(), ip.into(), 128, self.bits),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

const fn same_prefix(a: u128, b: u128, width: u32, bits: u8) -> bool {
    let host = width - bits as u32;
    host == 128 || (a >> host) == (b >> host)
}

impl FromStr for Network {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("“{text}” is not a network such as 192.168.1.0/24 or 127.0.0.1");
        if text == "loopback" {
            return Err("write 127.0.0.0/8 and ::1 for loopback".into());
        }
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), |bits| bits.parse().map_err(|_| wrong()))?;
        if bits > most { Err(wrong()) } else { Ok(Self { address, bits }) }
    }
}

#[cfg(test)]
mod tests {
    use super::Network;

    #[test]
    fn a_network_holds_its_addresses_and_no_others() {
        let net: Network = "192.168.1.0/24".parse().unwrap();
        assert!(net.contains("192.168.1.77".parse().unwrap()));
        assert!(!net.contains("192.168.2.1".parse().unwrap()));
        assert!(!net.contains("::1".parse().unwrap()));
        assert!("0.0.0.0/0".parse::<Network>().unwrap().contains("8.8.8.8".parse().unwrap()));
        assert!("::/0".parse::<Network>().unwrap().contains("2001:db8::1".parse().unwrap()));
        for wrong in ["", "1.2.3", "1.2.3.4/33", "::1/129", "loopback"] {
            wrong.parse::<Network>().unwrap_err();
        }
    }
}
