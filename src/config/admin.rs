//! Who may use the admin route.

use serde::de::{Deserialize, Deserializer};

use super::value::{Digest, Name, count, objects, size};

/// The admin route. Without a token there is none.
#[derive(serde::Deserialize, Clone, PartialEq, Debug)]
#[serde(default, deny_unknown_fields, expecting = "an object")]
pub struct AdminConfig {
    /// The path prefix of the route, with a slash at both ends; `/_larder/` unless configured.
    pub path: String,
    /// Who may do what; empty turns the route off.
    #[serde(deserialize_with = "objects")]
    pub tokens: Vec<Token>,
    /// Whether the methods `PURGE`, `BAN` and `REFRESH` are commands on any path.
    pub methods: bool,
    /// The largest body of a command, in bytes.
    #[serde(deserialize_with = "size::<1024, { 1 << 20 }, _, _>")]
    pub body_bytes_max: usize,
    /// The most selectors in one command.
    #[serde(deserialize_with = "count::<1, 10_000, _, _>")]
    pub selectors_max: usize,
}

/// A bearer token, known by its digest only, because Envoy shows plugin configurations in its config dump.
#[derive(serde::Deserialize, Clone, PartialEq, Debug)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct Token {
    /// Who it belongs to; named in receipts and logs.
    #[serde(deserialize_with = "name")]
    pub name: String,
    /// SHA-256 of the token.
    #[serde(deserialize_with = "digest")]
    pub sha256: [u8; 32],
    /// What it allows; everything when left out.
    #[serde(default = "all_scopes")]
    pub scopes: Vec<Scope>,
}

/// What a token allows.
#[derive(serde::Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Statistics, explanations, the journal's tail.
    Read,
    /// Purges of anything but everything.
    Purge,
    /// Purges of everything.
    PurgeAll,
}

impl Default for AdminConfig {
    fn default() -> Self {
        AdminConfig {
            path: "/_larder/".into(),
            tokens: Vec::new(),
            methods: false,
            body_bytes_max: 64 << 10,
            selectors_max: 256,
        }
    }
}

fn all_scopes() -> Vec<Scope> {
    vec![Scope::Read, Scope::Purge, Scope::PurgeAll]
}

fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Name::deserialize(deserializer).map(|name| name.0)
}

fn digest<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
    Digest::deserialize(deserializer).map(|digest| digest.0)
}
