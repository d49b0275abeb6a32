//! Networks that callers of the admin route are in.

use core::net::IpAddr;

use super::text::Text;

/// A network in CIDR notation, such as `10.0.0.0/8` or `fd00::/8`; a single address without its length.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
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

impl Text for Network {
    const WHAT: &'static str = "a network";
    const EXPECTED: &'static str = "an address or a block of them, such as \"10.0.0.0/8\" or \"fd00::1\"";

    fn from_text(text: &str) -> Option<Network> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
        let address: IpAddr = address.parse().ok()?;
        let max = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => max,
            Some(bits) => bits.parse().ok().filter(|bits| *bits <= max)?,
        };
        Some(Network { address, bits })
    }
}

/// A name in a client certificate.
pub(super) struct ClientName(pub String);

impl Text for ClientName {
    const WHAT: &'static str = "a name in a client certificate";
    const EXPECTED: &'static str = "a URI such as \"spiffe://example/ops\" or a DNS name";

    fn from_text(text: &str) -> Option<ClientName> {
        let plain = (1..=256).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        plain.then(|| ClientName(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn networks_contain_addresses() {
        let cases = [
            ("10.0.0.0/8", "10.9.8.7", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.1.2.3", "10.1.2.3", true),
            ("10.1.2.3", "10.1.2.4", false),
            ("0.0.0.0/0", "192.0.2.1", true),
            ("0.0.0.0/0", "::1", false),
            ("10.0.0.0/8", "::ffff:10.1.1.1", true),
            ("fd00::/8", "fd12::1", true),
            ("fd00::/8", "fe80::1", false),
            ("::/0", "::1", true),
            ("::1", "::1", true),
        ];
        for (network, address, expected) in cases {
            let network = Network::from_text(network).unwrap();
            assert_eq!(network.contains(address.parse().unwrap()), expected, "{network:?} {address}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for bad in ["", "10.0.0.0/33", "::/129", "10.0.0/8", "a/8", "10.0.0.0/-1", "10.0.0.0/"] {
            assert_eq!(Network::from_text(bad), None, "{bad}");
        }
    }
}
