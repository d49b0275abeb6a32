//! From where the admin route may be used: networks, and names in client certificates.

use core::net::IpAddr;

/// A network in CIDR notation, such as `10.0.0.0/8` or `fd00::/8`; a single address without its length.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// Who is on the other end of the connection, as the host says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Peer {
    /// The address, with or without a port; empty when it is not known.
    pub address: String,
    /// The names in a validated client certificate: its URI and DNS subject alternative names.
    pub names: Vec<String>,
}

/// Who may use the admin route, beside having a token. Empty lists let everybody in.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Guard {
    /// The networks that callers are in.
    pub networks: Vec<Network>,
    /// The names in client certificates.
    pub names: Vec<String>,
}

impl Guard {
    /// Whether the peer may use the admin route. One that may not gets what it would get without a token.
    #[must_use]
    pub fn admits(&self, peer: &Peer) -> bool {
        let near = self.networks.is_empty()
            || address(&peer.address)
                .is_some_and(|address| self.networks.iter().any(|n| n.contains(address)));
        near && (self.names.is_empty() || peer.names.iter().any(|name| self.names.contains(name)))
    }
}

impl Network {
    /// The network that a text names.
    #[must_use]
    pub fn parse(text: &str) -> Option<Network> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
        let address: IpAddr = address.parse().ok()?;
        let max = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => max,
            Some(bits) => bits.parse().ok().filter(|bits| *bits <= max)?,
        };
        Some(Network { address, bits })
    }

    /// Whether an address lies in it; IPv4 addresses may be written as IPv6 ones.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let distance = u32::from(network) ^ u32::from(address);
                distance.leading_zeros() >= u32::from(self.bits)
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let distance = u128::from(network) ^ u128::from(address);
                distance.leading_zeros() >= u32::from(self.bits)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

/// An address with or without a port, as in `10.0.0.1:443`, `[::1]:443` or `::1`.
fn address(text: &str) -> Option<IpAddr> {
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.split(']').next());
    text.parse().ok().or_else(|| bracketed?.parse().ok()).or_else(|| text.rsplit_once(':')?.0.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn networks_contain_addresses() {
        let cases = [
            ("10.0.0.0/8", "10.9.8.7:1234", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.1.2.3", "10.1.2.3:80", true),
            ("10.1.2.3", "10.1.2.4", false),
            ("0.0.0.0/0", "192.0.2.1", true),
            ("0.0.0.0/0", "::1", false),
            ("10.0.0.0/8", "[::ffff:10.1.1.1]:80", true),
            ("fd00::/8", "[fd12::1]:443", true),
            ("fd00::/8", "fe80::1", false),
            ("::/0", "::1", true),
            ("::1", "[::1]:1", true),
            ("10.0.0.0/8", "", false),
            ("10.0.0.0/8", "unix:/x", false),
        ];
        for (network, address, expected) in cases {
            let guard = Guard { networks: vec![Network::parse(network).unwrap()], names: Vec::new() };
            let peer = Peer { address: address.into(), names: Vec::new() };
            assert_eq!(guard.admits(&peer), expected, "{network} {address}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for bad in ["", "10.0.0.0/33", "::/129", "10.0.0/8", "a/8", "10.0.0.0/-1", "10.0.0.0/"] {
            assert_eq!(Network::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn names_and_networks_must_both_fit() {
        let guard = Guard {
            networks: vec![Network::parse("10.0.0.0/8").unwrap()],
            names: vec!["spiffe://ops".into()],
        };
        let peer = |address: &str, names: &[&str]| Peer {
            address: address.into(),
            names: names.iter().map(|name| (*name).into()).collect(),
        };
        assert!(guard.admits(&peer("10.0.0.1", &["other", "spiffe://ops"])));
        assert!(!guard.admits(&peer("10.0.0.1", &["other"])));
        assert!(!guard.admits(&peer("11.0.0.1", &["spiffe://ops"])));
        assert!(Guard::default().admits(&Peer::default()));
    }
}
