//! Which rules match all that another one matches, as far as their JSON shows it.

use super::warnings::alternatives;
use crate::json::Json;

/// The rules before one that it is compared with for warnings. Beyond it no warning tells that a rule is covered by one
/// before.
const RULES_COMPARED: usize = 256;
/// Sections whose members are options of their own.
pub(super) const SECTIONS: [&str; 8] =
    ["ttl", "heuristics", "refresh_ahead", "key", "unkeyed", "credentials", "fields", "metadata"];
/// What a rule has besides options.
const NO_OPTIONS: [&str; 4] = ["name", "match", "tags", "invalidates"];

/// The rules of a configuration.
pub(super) fn rules(whole: &Json) -> &[Json] {
    match whole.get(&["rules"]) {
        Some(Json::List(rules)) => rules,
        _ => &[],
    }
}

/// The rules before one that match all that it matches, each with its options.
pub(super) fn covering(whole: &Json, at: usize, rule: &Json) -> Vec<(usize, Vec<String>)> {
    let before = rules(whole).iter().take(at.min(RULES_COMPARED)).enumerate();
    before.filter(|(_, other)| covers(other, rule)).map(|(at, other)| (at, options_of(other))).collect()
}

/// The options that a rule sets, by their paths.
pub(super) fn options_of(rule: &Json) -> Vec<String> {
    let mut options = Vec::new();
    for (name, value) in rule.members().iter().filter(|(name, _)| !NO_OPTIONS.contains(&&**name)) {
        leaves(name, name, value, &mut options);
    }
    options
}

fn leaves(path: &str, name: &str, value: &Json, found: &mut Vec<String>) {
    match value {
        Json::Object(inner) if SECTIONS.contains(&name) => {
            inner.iter().for_each(|(name, value)| leaves(&format!("{path}.{name}"), name, value, found));
        }
        _ if path == "ttl" => found.push("ttl.override".into()),
        _ => found.push(path.to_owned()),
    }
}

/// Whether a rule matches all that another one matches.
fn covers(wide: &Json, narrow: &Json) -> bool {
    // A rule that bypasses the cache is less cautious about what is a file.
    let bypasses = |rule: &Json| rule.get(&["bypass"]) == Some(&Json::Bool(true));
    let is_cautious = !bypasses(wide) && bypasses(narrow);
    let conditions = wide.get(&["match"]).map(Json::members).unwrap_or_default();
    conditions.iter().all(|(name, wide)| {
        let Some(narrow) = narrow.get(&["match", name]) else { return false };
        match name.as_str() {
            "header" => wide.members().iter().all(|(name, value)| narrow.get(&[name]) == Some(value)),
            "path" => all_covered(wide, narrow, |wide, narrow| covers_path(wide, narrow, is_cautious)),
            _ => all_covered(wide, narrow, |wide, narrow| wide == narrow),
        }
    })
}

fn all_covered(wide: &Json, narrow: &Json, covers: impl Fn(&Json, &Json) -> bool) -> bool {
    let wide = alternatives(wide);
    alternatives(narrow).iter().all(|narrow| wide.iter().any(|wide| covers(wide, narrow)))
}

fn covers_path(wide: &Json, narrow: &Json, is_cautious: bool) -> bool {
    let (Some(wide), Some(narrow)) = (wide.text(), narrow.text()) else { return false };
    if let Some(folder) = wide.strip_suffix("/**").filter(|folder| !folder.contains(['*', '{'])) {
        let below = narrow.strip_prefix(folder);
        return below.is_some_and(|below| below.is_empty() && !folder.is_empty() || below.starts_with('/'));
    }
    let file = wide.rsplit('/').next().unwrap_or_default();
    let asks_for_a_file = file.contains('*') && file.contains('.');
    wide == narrow && !(is_cautious && asks_for_a_file)
}
