//! Warnings about options without effect. The configuration is accepted; the log and `health` list the warnings.
//!
//! All of it is seen in the JSON, so that most options need no mention here. In doubt nothing is said: a warning that is
//! none is worse than one that is missing.

use core::time::Duration;

use super::Config;
use super::covering::{self, rules};
use super::discreet::{quoted, shown_name};
use super::text::Text;
use super::units::{Dur, Size, StatusRange, show_duration, show_size};
use crate::json::Json;

/// The most warnings that are listed. Beyond it the others are left out.
const WARNINGS_MAX: usize = 32;
/// The rules that are looked at for warnings: each is compared with those before it. Beyond it rules work and are not
/// looked at.
const RULES_MAX: usize = 1_000;
/// Methods whose answers change nothing.
const SAFE_METHODS: [&str; 5] = ["GET", "HEAD", "OPTIONS", "TRACE", "QUERY"];
/// Methods whose responses are stored, or may be.
const STORED_METHODS: [&str; 4] = ["GET", "HEAD", "QUERY", "POST"];
/// What has an effect on responses that are not stored, too.
const FOR_ALL_METHODS: [&str; 2] = ["bypass", "surrogate_control"];

impl Config {
    /// What it says without effect, each with its place. Worked out once.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        self.original
            .warnings
            .get_or_init(|| Json::parse(&self.original.json).map_or_else(|_| Vec::new(), told))
    }
}

fn told(whole: Json) -> Vec<String> {
    let mut found = Found(Vec::new());
    lifetimes(&whole, &mut found);
    sections(&whole, &mut found);
    for (at, rule) in rules(&whole).iter().enumerate().take(RULES_MAX) {
        if found.is_full() {
            break;
        }
        a_rule(&whole, at, rule, &mut found);
    }
    found.0.truncate(WARNINGS_MAX);
    found.0
}

/// What has been found so far.
struct Found(Vec<String>);

impl Found {
    fn add(&mut self, path: impl AsRef<str>, message: impl AsRef<str>) {
        self.0.push(format!("{}: {}", path.as_ref(), message.as_ref()));
    }

    fn is_full(&self) -> bool {
        self.0.len() >= WARNINGS_MAX
    }
}

/// Lifetimes beyond the longest that counts, wherever they may count.
fn lifetimes(whole: &Json, found: &mut Found) {
    let rules = rules(whole);
    let longest_of = |place: &Json| place.get(&["ttl", "max"]).map(duration);
    // For the rules in order: the longest that one of those before it allows, none where that is without bound.
    let mut before = Some(Duration::ZERO);
    let all = rules.iter().chain([whole]).filter_map(longest_of).fold(Some(Duration::ZERO), longer);
    let has_last = whole.get(&["ttl", "max"]).is_some();
    for (at, rule) in rules.iter().enumerate() {
        let own = longest_of(rule);
        let longest = match own {
            Some(own) => longer(before, own),
            // What comes behind decides, and the top level comes last.
            None => all.filter(|_| has_last),
        };
        beyond(&format!("rules[{at}]."), rule, longest, found);
        before = own.map_or(before, |own| longer(before, own));
        if found.is_full() {
            return;
        }
    }
    beyond("", whole, all.filter(|_| has_last), found);
}

/// The longer one; none has no bound.
fn longer(a: Option<Duration>, b: Option<Duration>) -> Option<Duration> {
    Some(a?.max(b?))
}

fn beyond(place: &str, of: &Json, longest: Option<Duration>, found: &mut Found) {
    let Some(longest) = longest else { return };
    let mut check = |option: &str, ttl: Option<Duration>| {
        if let Some(ttl) = ttl.filter(|ttl| *ttl > longest) {
            let (ttl, longest) = (show_duration(ttl), show_duration(longest));
            found.add(
                format!("{place}{option}"),
                format!("{ttl} is longer than ttl.max, which is {longest} and is what counts"),
            );
        }
    };
    check("ttl", of.get(&["ttl"]).and_then(duration));
    for option in ["override", "default", "min"] {
        check(&format!("ttl.{option}"), of.get(&["ttl", option]).and_then(duration));
    }
    for (status, ttl) in of.get(&["ttl", "status"]).map(Json::members).unwrap_or_default() {
        check(&format!("ttl.status.{}", shown_name(status)), duration(ttl));
    }
    check("heuristics.max", of.get(&["heuristics", "max"]).and_then(duration));
}

/// Members of sections without effect.
fn sections(whole: &Json, found: &mut Found) {
    let members = |section: &str| whole.get(&[section]).map(Json::members).unwrap_or_default();
    let has_tokens = whole.get(&["admin", "tokens"]).is_some_and(|tokens| !tokens.is_empty());
    if !has_tokens && members("admin").iter().any(|(name, _)| name != "tokens") {
        found.add("admin", "has no effect without tokens: there is no admin route, and no method can purge");
    }
    if whole.get(&["breaker", "enabled"]) == Some(&Json::Bool(false)) && members("breaker").len() > 1 {
        found.add("breaker", "is not enabled, so that its other members have no effect");
    }
    anywhere(whole, found);
    let size = |option: &str| whole.get(&["store", option]).and_then(size);
    let Some(share) = size("host_bytes_max") else { return };
    if size("bytes_max").is_some_and(|all| share > all) {
        found.add("store.host_bytes_max", "has no effect, because it is more than store.bytes_max");
    }
    if let Some(body) = size("object_bytes_max").filter(|body| *body > share) {
        let message =
            format!("{} is more than store.host_bytes_max allows: none so large is stored", show_size(body));
        found.add("store.object_bytes_max", message);
    }
}

/// Options of the top level and of rules that need another one, which is nowhere.
fn anywhere(whole: &Json, found: &mut Found) {
    let places = || [whole].into_iter().chain(rules(whole));
    let has = |path: &[&str]| places().any(|place| place.get(path).is_some());
    let is_true = |path: &[&str]| places().any(|place| place.get(path) == Some(&Json::Bool(true)));
    if has(&["surrogate_device"]) && !is_true(&["surrogate_control"]) {
        found.add("surrogate_device", "has no effect unless surrogate_control is true");
    }
    let reduces = |place: &Json| matches!(place.get(&["key", "query"]), Some(Json::Object(_)));
    if is_true(&["key", "forward_dropped"]) && !places().any(reduces) {
        found.add("key.forward_dropped", "has no effect where all query parameters are part of the key");
    }
}

fn a_rule(whole: &Json, at: usize, rule: &Json, found: &mut Found) {
    let place = format!("rules[{at}]");
    let has = |name: &str| rule.get(&[name]).is_some_and(|value| !value.is_empty());
    let adds = ["name", "tags", "invalidates"].into_iter().any(has);
    let options = covering::options_of(rule);
    if options.is_empty() && !adds {
        return found.add(place, "has no effect: it sets nothing");
    }
    if has("invalidates") {
        without_change(&place, rule, found);
    }
    let methods = rule.get(&["match", "method"]).map(alternatives).unwrap_or_default();
    let is_stored = |method: &Json| method.text().is_none_or(|name| STORED_METHODS.contains(&name));
    let counts = |option: &String| FOR_ALL_METHODS.contains(&option.as_str());
    let is_in_vain = !methods.is_empty() && !methods.iter().any(is_stored) && !options.iter().any(counts);
    if let Some(option) = options.first().filter(|_| is_in_vain) {
        let message = "has no effect: match.method names methods only whose responses are never stored";
        found.add(format!("{place}.{option}"), message);
    }
    for path in rule.get(&["match", "path"]).map(alternatives).unwrap_or_default() {
        at_the_top_only(&place, path, rule, found);
    }
    covered(whole, at, rule, (&options, adds), found);
}

/// Mutations that nothing causes.
fn without_change(place: &str, rule: &Json, found: &mut Found) {
    let all = |condition: &str, holds: &dyn Fn(&Json) -> bool| {
        rule.get(&["match", condition]).is_some_and(|values| alternatives(values).iter().all(holds))
    };
    let is_safe = |method: &Json| method.text().is_some_and(|name| SAFE_METHODS.contains(&name));
    let what = if all("method", &is_safe) {
        "match.method names safe methods only, whose answers change nothing"
    } else if all("status", &|status| first_status(status) >= Some(400)) {
        "match.status names errors only, which have changed nothing"
    } else {
        return;
    };
    found.add(format!("{place}.invalidates"), format!("has no effect: {what}"));
}

/// Options that an earlier rule has the last word on.
fn covered(whole: &Json, at: usize, rule: &Json, (options, adds): (&[String], bool), found: &mut Found) {
    let before = covering::covering(whole, at, rule);
    let set_by = |option: &String| before.iter().find(|(_, set)| set.contains(option)).map(|(at, _)| *at);
    let lost: Vec<(&String, usize)> =
        options.iter().filter_map(|option| Some((option, set_by(option)?))).collect();
    let place = format!("rules[{at}]");
    let before = |by: usize| format!("rules[{by}] comes before it, matches all that it matches, and sets");
    match lost.first() {
        Some((_, by)) if lost.len() == options.len() && !adds => {
            found.add(place, format!("has no effect: {} the same", before(*by)));
        }
        Some(_) => lost.iter().for_each(|(option, by)| {
            found.add(format!("{place}.{option}"), format!("has no effect: {} it too", before(*by)));
        }),
        None => {}
    }
}

/// `/*.css` and the like.
fn at_the_top_only(place: &str, path: &Json, rule: &Json, found: &mut Found) {
    let Some(name) = path.text().and_then(|text| text.strip_prefix("/*")) else { return };
    if name.contains(['/', '*', '{']) {
        return;
    }
    let deeper = if name.is_empty() { "/**".to_owned() } else { format!("/**/*{name}") };
    let beside = rule.get(&["match", "path"]).map(alternatives).unwrap_or_default();
    if !beside.iter().filter_map(Json::text).any(|other| other == deeper || other == "/**") {
        let (shown, deeper) = (quoted(&format!("/*{name}")), quoted(&deeper));
        let message = format!("{shown} matches the top level only; {deeper} matches what lies below as well");
        found.add(format!("{place}.match.path"), message);
    }
}

pub(super) fn alternatives(value: &Json) -> &[Json] {
    match value {
        Json::List(list) => list,
        one => core::slice::from_ref(one),
    }
}

fn first_status(value: &Json) -> Option<u16> {
    let range = match value {
        Json::Text(text) => StatusRange::from_text(text),
        Json::Number(number) => crate::json::whole(*number).and_then(StatusRange::from_number),
        _ => None,
    };
    range.map(|StatusRange(first, _)| first)
}

fn duration(value: &Json) -> Option<Duration> {
    Dur::from_text(value.text()?).map(|Dur(duration)| duration)
}

fn size(value: &Json) -> Option<u64> {
    match value {
        Json::Text(text) => Size::from_text(text).map(|Size(bytes)| bytes),
        Json::Number(number) => crate::json::whole(*number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn warnings(json: &str) -> Vec<String> {
        let config = Config::parse(json.replace('\'', "\"").as_bytes());
        config.unwrap_or_else(|error| panic!("{json}: {error}")).warnings().to_vec()
    }

    #[test]
    fn options_without_effect_are_reported_with_their_place() {
        for (json, expected) in [
            (
                "{'ttl': {'default': '2h', 'max': '1h'}}",
                &["ttl.default: 2h is longer than ttl.max, which is 1h"][..],
            ),
            ("{'ttl': {'max': '1h'}, 'rules': [{'ttl': '2h'}]}", &["rules[0].ttl: 2h is longer"]),
            (
                "{'ttl': {'max': '1h'}, 'rules': [{'ttl': {'default': '2h'}}]}",
                &["rules[0].ttl.default: 2h is"],
            ),
            (
                "{'rules': [{'ttl': {'status': {'404': '2h'}, 'max': '1m'}}]}",
                &["rules[0].ttl.status.404: 2h is"],
            ),
            ("{'rules': [{'match': {'path': '/a'}}]}", &["rules[0]: has no effect: it sets nothing"]),
            ("{'rules': [{'tags': []}]}", &["rules[0]: has no effect: it sets nothing"]),
            (
                "{'rules': [{'ttl': '1h'}, {'match': {'path': '/a/**'}, 'ttl': '1m'}]}",
                &["rules[1]: has no effect: rules[0] comes before it"],
            ),
            (
                "{'rules': [{'match': {'path': ['/a/**', '/b']}, 'ttl': {'override': '1h'}},
                            {'match': {'path': '/a/{id}', 'host': 'h'}, 'ttl': '1m', 'keep': '1m'}]}",
                &["rules[1].ttl.override: has no effect: rules[0] comes before it"],
            ),
            (
                "{'rules': [{'key': {'headers': ['a']}}, {'name': 'b', 'key': {'headers': ['b'], 'cookies': ['c']}}]}",
                &["rules[1].key.headers: has no effect"],
            ),
            (
                "{'rules': [{'match': {'method': ['GET', 'HEAD']}, 'invalidates': {'tags': ['a']}}]}",
                &["rules[0].invalidates: has no effect: match.method names safe methods only"],
            ),
            (
                "{'rules': [{'match': {'path': ['/*.css', '/*']}, 'ttl': '1h'}]}",
                &[
                    "rules[0].match.path: \"/*.css\" matches the top level only; \"/**/*.css\"",
                    "rules[0].match.path: \"/*\"",
                ],
            ),
            ("{'admin': {'methods': true}}", &["admin: has no effect without tokens"]),
            ("{'admin': {'path': '/c/', 'tokens': []}}", &["admin: has no effect without tokens"]),
            (
                "{'ttl': {'default': '2h', 'max': '1h'}, 'rules': [{'ttl': {'max': '90m'}}]}",
                &["ttl.default: 2h is longer than ttl.max, which is 90m"],
            ),
            (
                "{'rules': [{'match': {'path': '/a'}, 'ttl': {'min': '2h'}}, {'ttl': {'max': '1h'}}], 'ttl': {'max': '1m'}}",
                &["rules[0].ttl.min: 2h is longer than ttl.max, which is 1h"],
            ),
            ("{'ttl': {'max': '1h'}, 'heuristics': {'max': '2h'}}", &["heuristics.max: 2h is longer"]),
            (
                "{'rules': [{'match': {'method': ['PUT', 'DELETE']}, 'ttl': '1h'}]}",
                &["rules[0].ttl.override: has no effect: match.method names methods only"],
            ),
            (
                "{'rules': [{'match': {'status': [404, '5xx']}, 'invalidates': {'tags': ['a']}}]}",
                &["rules[0].invalidates: has no effect: match.status names errors only"],
            ),
            (
                "{'rules': [{'credentials': {'fields': {'x-a': 'key'}}}, {'credentials': {'fields': {'x-a': 'guard'}}}]}",
                &["rules[1]: has no effect: rules[0] comes before it"],
            ),
            ("{'surrogate_device': 'edge'}", &["surrogate_device: has no effect unless"]),
            ("{'key': {'forward_dropped': true}}", &["key.forward_dropped: has no effect"]),
            ("{'breaker': {'enabled': false, 'failures': 3}}", &["breaker: is not enabled"]),
            (
                "{'store': {'host_bytes_max': '512MiB', 'bytes_max': '256MiB'}}",
                &["store.host_bytes_max: has no effect"],
            ),
            (
                "{'store': {'host_bytes_max': '1MiB', 'object_bytes_max': '2MiB'}}",
                &["store.object_bytes_max: 2MiB is"],
            ),
        ] {
            let told = warnings(json);
            assert_eq!(told.len(), expected.len(), "{json}: {told:?}");
            for (told, expected) in told.iter().zip(expected) {
                assert!(told.starts_with(expected), "{json}: {told}");
            }
        }
    }

    #[test]
    fn options_with_an_effect_get_no_warning() {
        for json in [
            "{}",
            "{'ttl': {'default': '1h', 'max': '1h'}}",
            "{'ttl': {'max': '1h'}, 'rules': [{'match': {'path': '/a'}, 'ttl': {'max': '1d'}}, {'ttl': '2h'}]}",
            "{'rules': [{'match': {'path': '/a/**'}, 'ttl': '1h'}, {'ttl': '1m'}]}",
            "{'rules': [{'match': {'path': '/a/**'}, 'ttl': '1h'}, {'match': {'path': '/ab'}, 'ttl': '1m'}]}",
            "{'rules': [{'match': {'status': 404}, 'ttl': '1h'}, {'match': {'path': '/a'}, 'ttl': '1m'}]}",
            "{'rules': [{'ttl': {'default': '1h'}}, {'ttl': {'min': '1m'}}]}",
            "{'rules': [{'key': {'unkeyed': {'a': 'key'}}}, {'key': {'unkeyed': {'b': 'strip'}}}]}",
            "{'rules': [{'name': 'all'}, {'tags': ['x']}, {'bypass': false}]}",
            "{'rules': [{'match': {'path': '/**/*.css'}, 'bypass': false}, {'match': {'path': '/**/*.css'}, 'bypass': true}]}",
            "{'rules': [{'match': {'header': {'a': true}}, 'ttl': '1h'}, {'match': {'header': {'a': 'b'}}, 'ttl': '1m'}]}",
            "{'rules': [{'match': {'method': ['GET', 'POST']}, 'invalidates': {'tags': ['a']}}]}",
            "{'rules': [{'match': {'path': ['/img/*', '/**']}, 'ttl': '1h'}]}",
            "{'rules': [{'match': {'path': ['/*.css', '/**/*.css', '/*/*.css', '/a*']}, 'ttl': '1h'}]}",
            "{'rules': [{'match': {'path': '/a'}, 'ttl': {'max': '1d'}}, {'ttl': {'default': '2h', 'max': '1h'}}]}",
            "{'rules': [{'match': {'path': '/a'}, 'ttl': {'max': null}}], 'ttl': {'default': '2h', 'max': '1h'}}",
            "{'rules': [{'match': {'path': '/a'}, 'ttl': '2h'}, {'match': {'path': '/b'}, 'ttl': {'max': '1h'}}]}",
            "{'rules': [{'match': {'method': 'DELETE'}, 'bypass': true}]}",
            "{'rules': [{'match': {'method': ['POST', 'PUT']}, 'store_post': true}]}",
            "{'rules': [{'match': {'status': ['2xx', 404]}, 'invalidates': {'tags': ['a']}}]}",
            "{'rules': [{'credentials': {'fields': {'x-a': 'key'}}}, {'credentials': {'fields': {'x-b': 'guard'}}}]}",
            "{'surrogate_device': 'edge', 'rules': [{'surrogate_control': true}]}",
        ] {
            assert_eq!(warnings(json), [""; 0], "{json}");
        }
    }

    #[test]
    fn the_number_of_warnings_is_bounded() {
        let rules = vec!["{'match': {'path': '/a'}}"; 10_000].join(",");
        assert_eq!(warnings(&format!("{{'rules': [{rules}]}}")).len(), WARNINGS_MAX);
    }

    #[test]
    fn no_warning_shows_a_secret() {
        let secret = "q7Zt0vYhW3nXk2LpRs9dAa";
        let json = format!("{{'rules': [{{'match': {{'path': '/*{secret}'}}, 'ttl': '1h'}}]}}");
        let told = warnings(&json);
        assert!(told.len() == 1 && !told[0].contains(secret), "{told:?}");
    }
}
