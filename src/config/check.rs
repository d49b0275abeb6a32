//! What must hold between the values of a configuration, each of which is right by itself.

use super::document::Document;
use super::error::ConfigError;
use super::rules::Rule;
use super::value::{show_duration, show_size};
use super::{AdminConfig, CollapseConfig, StoreConfig};

/// The most rules.
const RULES_MAX: usize = 10_000;
/// The most tokens.
const TOKENS_MAX: usize = 100;

/// Checks the whole configuration.
pub(super) fn document(document: &Document) -> Result<(), ConfigError> {
    store(&document.store)?;
    collapse(&document.collapse)?;
    admin(&document.admin)?;
    rules(&document.rules, &document.store)
}

fn store(store: &StoreConfig) -> Result<(), ConfigError> {
    let (object, all) = (store.object_bytes_max, store.bytes_max);
    check(object <= all, "store.object_bytes_max", || {
        format!("{} is more than store.bytes_max, which is {}", show_size(object), show_size(all))
    })
}

fn collapse(collapse: &CollapseConfig) -> Result<(), ConfigError> {
    // A follower must outlive a leader that died, whoever takes over, and the next one that dies.
    let (lease, wait) = (collapse.lease, collapse.wait_max);
    check(lease.saturating_mul(3) <= wait, "collapse.wait_max", || {
        let (lease, wait) = (show_duration(lease), show_duration(wait));
        format!("{wait} is less than three times collapse.lease, which is {lease}")
    })
}

fn admin(admin: &AdminConfig) -> Result<(), ConfigError> {
    let path = &admin.path;
    let plain = path.bytes().all(|b| b.is_ascii_graphic() && !b"?#%\\\"".contains(&b));
    let slashes = path.len() > 2 && path.starts_with('/') && path.ends_with('/') && !path.contains("//");
    check(plain && slashes, "admin.path", || {
        format!(
            "{path:?} is not a path prefix; expected a path with a slash at both ends, such as \"/_larder/\""
        )
    })?;
    check(admin.tokens.len() <= TOKENS_MAX, "admin.tokens", || format!("more than {TOKENS_MAX} tokens"))?;
    for (at, token) in admin.tokens.iter().enumerate() {
        let path = |field: &str| format!("admin.tokens[{at}].{field}");
        let mut before = admin.tokens.iter().take(at);
        check(!token.scopes.is_empty(), &path("scopes"), || {
            "an empty list allows nothing; leave it out to allow everything".into()
        })?;
        check(before.all(|other| other.name != token.name), &path("name"), || {
            format!("{:?} is the name of another token too", token.name)
        })?;
        let mut before = admin.tokens.iter().take(at);
        check(before.all(|other| other.sha256 != token.sha256), &path("sha256"), || {
            "the digest of another token too".into()
        })?;
    }
    Ok(())
}

fn rules(rules: &[Rule], store: &StoreConfig) -> Result<(), ConfigError> {
    check(rules.len() <= RULES_MAX, "rules", || format!("more than {RULES_MAX} rules"))?;
    let mut names = std::collections::BTreeSet::new();
    for (at, rule) in rules.iter().enumerate() {
        let path = |field: &str| format!("rules[{at}].{field}");
        rule.check().map_err(|(field, message)| ConfigError::new(path(field), message))?;
        if let Some(name) = &rule.name {
            check(names.insert(&name.0), &path("name"), || {
                format!("{:?} is the name of another rule too", name.0)
            })?;
        }
        let object = rule.object_bytes_max.unwrap_or_default();
        check(object <= store.object_bytes_max, &path("object_bytes_max"), || {
            let all = show_size(store.object_bytes_max);
            format!("{} is more than store.object_bytes_max, which is {all}", show_size(object))
        })?;
    }
    Ok(())
}

fn check(holds: bool, path: &str, message: impl FnOnce() -> String) -> Result<(), ConfigError> {
    if holds { Ok(()) } else { Err(ConfigError::new(path, message())) }
}
