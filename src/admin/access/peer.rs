//! From where the admin route may be used: networks, and names in client certificates.

use crate::cache::{Context, Host};
use crate::config::AdminConfig;
use crate::http::Peer;

/// Whether the other end of the connection may be a caller.
pub fn is_admitted(cx: &Context<'_, impl Host>) -> bool {
    let config = &cx.config.admin;
    !is_guarded(config) || admits(config, &cx.turn.host.peer())
}

/// Whether a configuration looks at the other end of the connection at all.
fn is_guarded(config: &AdminConfig) -> bool {
    !config.networks.is_empty() || !config.client_names.is_empty()
}

/// Whether the peer may use the admin route, beside having a token. One that may not gets what it would get without
/// a token (`unknown`).
fn admits(config: &AdminConfig, peer: &Peer) -> bool {
    let near = config.networks.is_empty()
        || peer.ip().is_some_and(|address| config.networks.iter().any(|network| network.contains(address)));
    near && (config.client_names.is_empty()
        || peer.names.iter().any(|name| config.client_names.contains(name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn config(admin: &str) -> AdminConfig {
        Config::parse(format!(r#"{{"admin": {admin}}}"#).as_bytes()).unwrap().admin
    }

    fn peer(address: &str, names: &[&str]) -> Peer {
        Peer { address: address.into(), names: names.iter().map(|name| (*name).into()).collect() }
    }

    #[test]
    fn an_address_is_read_with_its_port() {
        let config = config(r#"{"networks": ["10.0.0.0/8", "::1"]}"#);
        let cases = [
            ("10.9.8.7:1234", true),
            ("10.9.8.7", true),
            ("[::ffff:10.1.1.1]:80", true),
            ("[::1]:1", true),
            ("::1", true),
            ("11.0.0.1:10", false),
            ("", false),
            ("unix:/x", false),
        ];
        for (address, expected) in cases {
            assert_eq!(admits(&config, &peer(address, &[])), expected, "{address}");
        }
    }

    #[test]
    fn names_and_networks_must_both_fit() {
        let config = config(r#"{"networks": ["10.0.0.0/8"], "client_names": ["spiffe://ops"]}"#);
        assert!(is_guarded(&config));
        assert!(admits(&config, &peer("10.0.0.1", &["other", "spiffe://ops"])));
        assert!(!admits(&config, &peer("10.0.0.1", &["other"])));
        assert!(!admits(&config, &peer("11.0.0.1", &["spiffe://ops"])));
        assert!(!is_guarded(&AdminConfig::default()) && admits(&AdminConfig::default(), &Peer::default()));
    }
}
