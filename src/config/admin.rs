//! Who may use the admin route.

use super::names::{Name, digest};
use super::network::{ClientName, Network};
use super::sections::Rate;
use super::text::{keywords, text};
use super::units::{count, size_within};
use crate::json::{At, Json, Object, Read, boolean};

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
    /// How many commands, or records of the journal that they take, a token may send to one worker.
    pub rate: Rate,
    /// The networks that callers are in; empty lets in all.
    pub networks: Vec<Network>,
    /// The names in client certificates that callers have; empty lets in all.
    pub client_names: Vec<String>,
    /// How to treat purging methods without a valid token.
    pub strangers: Strangers,
}

/// How to treat the methods `PURGE`, `BAN` and `REFRESH` without a valid token.
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
#[derive(Clone, PartialEq, Debug)]
pub struct Token {
    /// Who it belongs to; named in receipts and logs.
    pub name: String,
    /// SHA-256 of the token.
    pub sha256: [u8; 32],
    /// What it allows; everything when left out.
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
            selectors_max: 1024,
            rate: Rate::default(),
            networks: Vec::new(),
            client_names: Vec::new(),
            strangers: Strangers::Forbid,
        }
    }
}

impl AdminConfig {
    pub(super) fn read(&mut self, object: &mut Object<'_>) -> Read<()> {
        object.field("path", &mut self.path, path_prefix)?;
        object.field("tokens", &mut self.tokens, tokens)?;
        object.field("methods", &mut self.methods, boolean)?;
        // At most a mebibyte, which any memory can count.
        object.field("body_bytes_max", &mut self.body_bytes_max, |at| {
            Ok(size_within(at, 1024, 1 << 20)? as usize)
        })?;
        object.field("selectors_max", &mut self.selectors_max, |at| Ok(count(at, 1, 10_000)? as usize))?;
        object.section("rate", |object| self.rate.read(object))?;
        object.field("networks", &mut self.networks, |at| at.list(text))?;
        object.field("client_names", &mut self.client_names, |at| {
            at.list(|at| text(at).map(|ClientName(name)| name))
        })?;
        object.field("strangers", &mut self.strangers, text)
    }
}

fn path_prefix(at: &At<'_>) -> Read<String> {
    let plain = |b: u8| b.is_ascii_graphic() && !b"?#%\\\"".contains(&b);
    let prefix =
        |path: &str| path.len() > 2 && path.starts_with('/') && path.ends_with('/') && !path.contains("//");
    match at.value {
        Json::Text(path) if prefix(path) && path.bytes().all(plain) => Ok(path.clone()),
        _ => Err(at.wrong("a path prefix", "a path with a slash at both ends, such as \"/_larder/\"")),
    }
}

fn tokens(at: &At<'_>) -> Read<Vec<Token>> {
    /// The most tokens of the admin route. Beyond it the configuration is refused.
    const TOKENS_MAX: usize = 100;
    let mut names = Vec::new();
    let mut digests = Vec::new();
    let tokens = at.list(|at| {
        at.object(|object| {
            let token = Token::read(object)?;
            if names.contains(&token.name) {
                return Err(object.error("name", "the name of another token too"));
            }
            if digests.contains(&token.sha256) {
                return Err(object.error("sha256", "the digest of another token too"));
            }
            names.push(token.name.clone());
            digests.push(token.sha256);
            Ok(token)
        })
    })?;
    if tokens.len() > TOKENS_MAX {
        Err(at.error(format!("more than {TOKENS_MAX} tokens")))
    } else {
        Ok(tokens)
    }
}

impl Token {
    fn read(object: &mut Object<'_>) -> Read<Self> {
        let Name(name) = object.required("name", text)?;
        let sha256 = object.required("sha256", sha256)?;
        let mut scopes = vec![Scope::Read, Scope::Purge, Scope::PurgeAll];
        object.field("scopes", &mut scopes, |at| at.list(text))?;
        if scopes.is_empty() {
            return Err(
                object.error("scopes", "an empty list allows nothing; leave it out to allow everything")
            );
        }
        Ok(Token { name, sha256, scopes })
    }
}

fn sha256(at: &At<'_>) -> Read<[u8; 32]> {
    let digest = if let Json::Text(text) = at.value { digest(text) } else { None };
    // It may be a token, put there by mistake; Envoy's log must not show it.
    digest.ok_or_else(|| {
        at.error(
            "the value is not a SHA-256 digest; expected 64 hex digits, the digest of the token and not the token \
             itself: printf %s \"$TOKEN\" | sha256sum",
        )
    })
}
