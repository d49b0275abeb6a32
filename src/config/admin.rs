//! Who may use the admin route.

/// The admin route. Without a token there is none.
#[derive(Clone, PartialEq, Debug)]
pub struct AdminConfig {
    /// The path prefix of the route, with a slash at both ends; `/_larder/` unless configured.
    pub path: String,
    /// Who may do what; empty turns the route off.
    pub tokens: Vec<Token>,
    /// Whether the methods `PURGE`, `BAN` and `REFRESH` are commands on any path.
    pub methods: bool,
    /// The largest body of a command, in bytes.
    pub body_bytes_max: usize,
    /// The most selectors in one command.
    pub selectors_max: usize,
}

/// A bearer token, known by its digest only, because Envoy shows plugin configurations in its config dump.
#[derive(Clone, PartialEq, Debug)]
pub struct Token {
    /// Who it belongs to; named in receipts and logs.
    pub name: String,
    /// SHA-256 of the token.
    pub sha256: [u8; 32],
    /// What it allows.
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
