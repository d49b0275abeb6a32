//! What the stories of the admin route have in common: three tokens, and commands that must be carried out.

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::telling::TABLE;
use crate::stand::{Reply, Request, Response, Stand};

/// A configuration with the tokens `all`, `purge` and `read`, each named like itself, and more members of `admin` and
/// of the whole.
pub fn configuration(admin: &str, more: &str) -> String {
    let token = |name: &str, scopes: &str| {
        let digest: String = Sha256::digest(name.as_bytes()).iter().map(|b| format!("{b:02x}")).collect();
        format!(r#"{{"name": "{name}", "sha256": "{digest}", "scopes": {scopes}}}"#)
    };
    let tokens = [
        token("all", r#"["read", "purge", "purge_all"]"#),
        token("purge", r#"["purge"]"#),
        token("read", r#"["read"]"#),
    ];
    let table = if more.contains("\"collapse\"") { "" } else { TABLE };
    format!(r#"{{{table} "admin": {{"tokens": [{}]{admin}}}{more}}}"#, tokens.join(","))
}

/// Puts such a configuration in force.
pub fn configure(stand: &mut dyn Stand, admin: &str, more: &str) {
    stand.configure(&configuration(admin, more)).expect("the configuration is right");
}

/// A stored page: fresh for ten minutes, with a validator and these tags.
pub fn page(body: &str, tags: &str) -> Reply {
    Reply::ok(body)
        .field("cache-control", "max-age=600")
        .field("etag", format!("\"{body}\""))
        .field("cache-tag", tags)
}

/// Sends a command with the token `all`.
pub fn command(stand: &mut dyn Stand, method: &str, target: &str, body: &str) -> Response {
    stand.send(1, Request::new(method, target).field("authorization", "Bearer all").body(body))
}

/// Sends a command that must be carried out, and reads its answer.
pub fn told(stand: &mut dyn Stand, method: &str, target: &str, body: &str) -> Value {
    let response = command(stand, method, target, body);
    assert!(
        matches!(response.status, 200 | 202),
        "{method} {target} {body}: {} {}",
        response.status,
        response.text()
    );
    json(&response)
}

pub fn json(response: &Response) -> Value {
    serde_json::from_slice(&response.body).unwrap_or_else(|error| panic!("{error}: {}", response.text()))
}

/// Purges what a selector covers.
pub fn purge(stand: &mut dyn Stand, mode: &str, selector: &str) -> u64 {
    let body = format!(r#"{{"selectors": [{selector}], "mode": "{mode}"}}"#);
    told(stand, "POST", "/_larder/purge", &body)["receipt"].as_u64().expect("a receipt")
}

/// Asks for pages so that they are stored.
pub fn fill(stand: &mut dyn Stand, paths: &[&str]) {
    for path in paths {
        assert_eq!(stand.send(0, Request::get(path)).status, 200, "{path}");
    }
}

/// Whether a page is answered from the cache.
pub fn is_hit(stand: &mut dyn Stand, worker: usize, path: &str) -> bool {
    stand.send(worker, Request::get(path)).is_hit()
}
