//! Who may use the admin route.

use serde::de::{Deserialize, Deserializer};

use super::field::{count, object, objects, size};
use super::names::{Digest, Name};
use super::network::{ClientName, Network};
use super::sections::Rate;
use super::text::keywords;

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
    /// How many commands, or records of the journal that they take, a token may send to one worker.
    #[serde(deserialize_with = "object")]
    pub rate: Rate,
    /// The networks that callers are in; empty lets in all.
    pub networks: Vec<Network>,
    /// The names in client certificates that callers have; empty lets in all.
    #[serde(deserialize_with = "client_names")]
    pub client_names: Vec<String>,
    /// What becomes of purging methods from whoever is no caller.
    pub strangers: Strangers,
}

/// What becomes of the methods `PURGE`, `BAN` and `REFRESH` from whoever is no caller.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Strangers {
    /// They go to the origin like any other method.
    Pass,
    /// They are answered with 403.
    Forbid,
}

keywords! {
    Strangers, "what becomes of strangers' purges":
    "pass" => Strangers::Pass,
    "forbid" => Strangers::Forbid
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
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// Statistics, explanations, the journal's tail.
    Read,
    /// Purges of anything but everything.
    Purge,
    /// Purges of everything.
    PurgeAll,
}

keywords! {
    Scope, "a scope":
    "read" => Scope::Read,
    "purge" => Scope::Purge,
    "purge_all" => Scope::PurgeAll
}

impl Default for AdminConfig {
    fn default() -> Self {
        AdminConfig {
            path: "/_larder/".into(),
            tokens: Vec::new(),
            methods: false,
            body_bytes_max: 64 << 10,
            selectors_max: 256,
            rate: Rate::default(),
            networks: Vec::new(),
            client_names: Vec::new(),
            strangers: Strangers::Pass,
        }
    }
}

fn all_scopes() -> Vec<Scope> {
    vec![Scope::Read, Scope::Purge, Scope::PurgeAll]
}

fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Name::deserialize(deserializer).map(|name| name.0)
}

fn client_names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let names = Vec::<ClientName>::deserialize(deserializer)?;
    Ok(names.into_iter().map(|name| name.0).collect())
}

fn digest<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
    Digest::deserialize(deserializer).map(|digest| digest.0)
}
