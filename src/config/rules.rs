//! Rules: which options hold for which requests and responses.
//!
//! Rules are tried in order. Each option comes from the first rule that matches and sets it, else from the top
//! level; the tags of all rules that match add up.

use core::cell::RefCell;
use core::fmt;
use std::rc::Rc;

use hashbrown::HashMap;

use super::StoreConfig;
use super::index::{Candidates, Index};
use super::matcher::{Match, Phase, Target};
use super::mutation::{Invalidates, Mutation};
use super::names::Name;
use super::options::Options;
use super::overlay::{Key, Overlay, put};
use super::reduction::Reductions;
use super::spelling::{is_unusual, plain};
use super::template::TagTemplate;
use super::text::text;
use super::units::{show_size, size};
use crate::http::RequestHead;
use crate::json::{At, Object, Read, boolean, repeated};

/// A rule as it is written.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Rule {
    name: Option<String>,
    when: Match,
    options: Overlay,
    tags: Vec<TagTemplate>,
    object_bytes_max: Option<u64>,
    collapse: Option<bool>,
    invalidates: Invalidates,
}

impl Rule {
    /// The rule that leaves everything to the origin.
    pub(super) fn bypass() -> Self {
        let mut rule = Rule::default();
        rule.options.bypass = Some(true);
        rule
    }

    fn read(object: &mut Object<'_>, store: &StoreConfig) -> Read<Self> {
        let mut rule = Rule::default();
        object.optional("name", &mut rule.name, |at| text(at).map(|Name(name)| name))?;
        object.section("match", |object| rule.when.read(object))?;
        rule.options.read(object)?;
        object.field("tags", &mut rule.tags, |at| at.list(text))?;
        object.optional("object_bytes_max", &mut rule.object_bytes_max, |at| {
            let (body, all) = (size(at)?, store.object_bytes_max);
            let message = || {
                format!(
                    "{} is more than store.object_bytes_max, which is {}",
                    show_size(body),
                    show_size(all)
                )
            };
            if body > all { Err(at.error(message())) } else { Ok(body) }
        })?;
        object.optional("collapse", &mut rule.collapse, boolean)?;
        object.section("invalidates", |object| rule.invalidates.read(object))?;
        rule.check(object).map(|()| rule)
    }

    fn check(&self, object: &Object<'_>) -> Read<()> {
        if let Some(option) = self.request_option().filter(|_| self.when.needs_response()) {
            let message =
                "applies before there is a response, but the rule matches on status or content_type";
            return Err(object.error(option, message));
        }
        let paths = self.when.path.as_deref().unwrap_or_default();
        let captured = |name: &str| {
            !paths.is_empty() && paths.iter().all(|path| path.names.iter().any(|known| **known == *name))
        };
        let tags = self.tags.iter().flat_map(TagTemplate::names).map(|name| ("tags", name));
        let names = tags.chain(self.invalidates.names().map(|name| ("invalidates", name)));
        for (field, name) in names {
            if !captured(name) {
                return Err(object.error(field, format!("{{{name}}} is not in every pattern of match.path")));
            }
        }
        Ok(())
    }

    /// The option that it sets and that is decided before there is a response.
    fn request_option(&self) -> Option<&'static str> {
        if self.options.key != Key::default() {
            Some("key")
        } else if self.options.keys_credentials() {
            Some("credentials")
        } else if self.options.request_directives.is_some() {
            Some("request_directives")
        } else if self.options.post_as_query.is_some() {
            Some("post_as_query")
        } else {
            self.collapse.map(|_| "collapse")
        }
    }

    /// Whether it matches. One that only turns the cache off need not be cautious.
    fn matches(&self, target: &Target<'_>, phase: Phase<'_>) -> bool {
        self.when.holds(target, phase, self.options.bypass != Some(true))
    }

    /// Whether the response can make a difference to what it does.
    fn looks_at_response(&self) -> bool {
        self.when.needs_response() || self.when.trusts_extension() || self.has_captures()
    }

    fn has_captures(&self) -> bool {
        self.tags.iter().any(|tag| tag.literal().is_none())
    }

    fn apply(&self, options: &mut Options) {
        self.options.apply(options);
        put(&mut options.object_bytes_max, &self.object_bytes_max);
        put(&mut options.collapse, &self.collapse);
    }
}

/// Reads a rule that stands alone.
pub(super) fn read_one(at: &At<'_>, store: &StoreConfig) -> Read<Rule> {
    at.object(|object| Rule::read(object, store))
}

/// Reads the list of rules.
pub(super) fn read(at: &At<'_>, store: &StoreConfig) -> Read<Vec<Rule>> {
    /// The most rules. Beyond it the configuration is refused.
    const RULES_MAX: usize = 10_000;
    let rules = at.list(|at| read_one(at, store))?;
    if rules.len() > RULES_MAX {
        return Err(at.error(format!("more than {RULES_MAX} rules")));
    }
    match repeated(rules.iter().filter_map(|rule| rule.name.as_deref())) {
        Some(name) => Err(at.error(format!("{name:?} is the name of two rules"))),
        None => Ok(rules),
    }
}

/// All rules, compiled, over the top-level options.
pub struct Rules {
    defaults: Rc<Options>,
    rules: Vec<Rule>,
    index: Index,
    needs_response: bool,
    mutates: bool,
    /// The rules that say how queries count.
    reducing: Vec<u32>,
    /// The rules that keep paths out of the cache, with their conditions on plain spellings.
    bypassing: Vec<(u32, Match)>,
    work: RefCell<Work>,
}

/// Room to work in, and what has been worked out before.
#[derive(Default)]
struct Work {
    candidates: Candidates,
    found: Vec<u32>,
    key: Vec<u8>,
    merged: HashMap<Box<[u32]>, Rc<Options>>,
}

/// The most combinations of rules whose options are remembered. Beyond it all are forgotten, and merged again when they are
/// met.
const MERGED_MAX: usize = 1_024;

impl Rules {
    /// Checked rules over the options of the top level.
    pub(super) fn new(defaults: Options, rules: Vec<Rule>) -> Self {
        Rules {
            defaults: Rc::new(defaults),
            index: Index::new(rules.iter().map(|rule| &rule.when)),
            needs_response: rules.iter().any(Rule::looks_at_response),
            mutates: rules.iter().any(|rule| !rule.invalidates.is_empty()),
            reducing: (0..)
                .zip(&rules)
                .filter(|(_, rule)| rule.options.key.reduces())
                .map(|(at, _)| at)
                .collect(),
            bypassing: (0..)
                .zip(&rules)
                .filter(|(_, rule)| rule.options.bypass == Some(true))
                .filter_map(|(at, rule)| Some((at, rule.when.plain()?)))
                .collect(),
            rules,
            work: RefCell::default(),
        }
    }

    /// The same rules over other options.
    pub(super) fn over(self, defaults: &Options) -> Self {
        Rules::new(defaults.clone(), self.rules)
    }

    /// The same rules behind another one.
    pub(super) fn after(self, first: Rule) -> Self {
        let rules = [first].into_iter().chain(self.rules).collect();
        Rules::new(Rc::unwrap_or_clone(self.defaults), rules)
    }

    /// The options for a request: the top level overlaid by the rules that match and have no condition on the
    /// response. Tags with captures are left out. Costs no copy for a combination of rules that has been seen.
    #[must_use]
    pub fn for_request(&self, request: &RequestHead) -> Rc<Options> {
        if self.rules.is_empty() {
            return Rc::clone(&self.defaults);
        }
        self.matching(&Target::of(request), Phase::Request)
    }

    /// The options for a response: also the rules with conditions on status and content type, and all tags.
    #[must_use]
    pub fn for_response(&self, request: &RequestHead, status: u16, content_type: &[u8]) -> Rc<Options> {
        if !self.needs_response {
            return self.for_request(request);
        }
        self.matching(&Target::of(request), Phase::Response { status, content_type })
    }

    fn matching(&self, target: &Target<'_>, phase: Phase<'_>) -> Rc<Options> {
        // Nothing in here calls back, so the room is free; were it not, other room would do.
        let mut other = Work::default();
        let mut own = self.work.try_borrow_mut();
        let work = own.as_deref_mut().unwrap_or(&mut other);
        self.index.find(target, &mut work.candidates, &mut work.key);
        work.found.clear();
        let matches = |at: &u32| self.rule(*at).is_some_and(|rule| rule.matches(target, phase));
        work.found.extend(work.candidates.drain().filter(matches));
        if !self.bypassing.is_empty() && target.path.starts_with(b"/") && is_unusual(target.path) {
            self.add_bypassing(target, phase, &mut work.found);
        }
        let options = self.merged(work);
        match phase {
            Phase::Request => options,
            Phase::Response { .. } => self.with_captures(options, &work.found, target),
        }
    }

    /// Adds the first rule that keeps the path out of the cache in another spelling, unless one before it says of this
    /// spelling that it need not be.
    fn add_bypassing(&self, target: &Target<'_>, phase: Phase<'_>, found: &mut Vec<u32>) {
        let says = |at: &&u32| self.rule(**at).is_some_and(|rule| rule.options.bypass.is_some());
        let said = found.iter().find(says).copied().unwrap_or(u32::MAX);
        let plain = plain(target.path);
        let targets: Vec<Target<'_>> = plain
            .iter()
            .map(|path| Target { path, authority: target.authority.clone(), ..*target })
            .collect();
        let holds = |when: &Match| targets.iter().any(|target| when.holds(target, phase, false));
        let mut rules = self.bypassing.iter().filter(|(at, _)| *at < said);
        if let Some((at, _)) = rules.find(|(_, when)| holds(when)) {
            found.push(*at);
            found.sort_unstable();
        }
    }

    /// How the query of a URL may count, whatever its request has beside it.
    #[must_use]
    pub fn reductions(&self, request: &RequestHead) -> Reductions {
        let target = Target::of(request);
        let mut reductions = Reductions::default();
        reductions.add(Some(&self.defaults.key.query), Some(self.defaults.key.query_sorted));
        let rules = self.reducing.iter().filter_map(|&at| self.rule(at));
        rules
            .filter(|rule| rule.when.may_hold_for(&target))
            .for_each(|rule| rule.options.key.add_to(&mut reductions));
        reductions
    }

    /// What the first rule says of how queries count.
    #[must_use]
    pub fn reductions_of_first(&self) -> Reductions {
        let mut reductions = Reductions::default();
        self.rules.iter().take(1).for_each(|rule| rule.options.key.add_to(&mut reductions));
        reductions
    }

    /// What the rules say that a successful answer to this unsafe request has changed. In doubt whether a path has
    /// an extension a rule matches: rather too much is validated again than too little.
    #[must_use]
    pub fn mutations(&self, request: &RequestHead, status: u16, content_type: &[u8]) -> Vec<Mutation> {
        if !self.mutates {
            return Vec::new();
        }
        let (target, phase) = (Target::of(request), Phase::Response { status, content_type });
        let mut work = Work::default();
        self.index.find(&target, &mut work.candidates, &mut work.key);
        let rules = work.candidates.drain().filter_map(|at| Some((at, self.rule(at)?)));
        let mutating = rules.filter(|(_, rule)| !rule.invalidates.is_empty());
        mutating
            .filter(|(_, rule)| rule.when.holds(&target, phase, false))
            .map(|(at, rule)| {
                let name = rule.name.clone().unwrap_or_else(|| format!("rules[{at}]"));
                rule.invalidates.expand(name, |name| rule.when.capture(name, target.path))
            })
            .collect()
    }

    fn rule(&self, at: u32) -> Option<&Rule> {
        self.rules.get(at as usize)
    }

    /// The options for the rules that were found, remembered.
    fn merged(&self, Work { found, merged, .. }: &mut Work) -> Rc<Options> {
        if found.is_empty() {
            return Rc::clone(&self.defaults);
        }
        if let Some(options) = merged.get(found.as_slice()) {
            return Rc::clone(options);
        }
        let options = Rc::new(self.merge(found));
        if merged.len() >= MERGED_MAX {
            merged.clear();
        }
        merged.insert(found.as_slice().into(), Rc::clone(&options));
        options
    }

    fn merge(&self, matched: &[u32]) -> Options {
        let mut options = (*self.defaults).clone();
        // The first rule has the last word.
        for rule in matched.iter().rev().filter_map(|&at| self.rule(at)) {
            rule.apply(&mut options);
        }
        for rule in matched.iter().filter_map(|&at| self.rule(at)) {
            if let Some(name) = &rule.name {
                options.rules.push(name.clone());
                add_tag(&mut options, format!("rule:{name}"));
            }
            for tag in rule.tags.iter().filter_map(TagTemplate::literal) {
                add_tag(&mut options, tag.into());
            }
        }
        options
    }

    /// The options with the tags that have captures.
    fn with_captures(&self, options: Rc<Options>, matched: &[u32], target: &Target<'_>) -> Rc<Options> {
        let mut options = options;
        for rule in matched.iter().filter_map(|&at| self.rule(at)) {
            for tag in rule.tags.iter().filter(|tag| tag.literal().is_none()) {
                let tag = tag.expand(|name| rule.when.capture(name, target.path));
                add_tag(Rc::make_mut(&mut options), tag);
            }
        }
        options
    }
}

/// Adds a tag that is not there yet.
fn add_tag(options: &mut Options, tag: String) {
    if !options.tags.contains(&tag) {
        options.tags.push(tag);
    }
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rules").field("defaults", &self.defaults).field("rules", &self.rules).finish()
    }
}

impl PartialEq for Rules {
    fn eq(&self, other: &Self) -> bool {
        self.defaults == other.defaults && self.rules == other.rules
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;
    use crate::config::{Config, QueryKey};
    use crate::http::Fields;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    /// Rules from JSON with apostrophes for quotes.
    fn rules(json: &str) -> Rules {
        Config::parse(json.replace('\'', "\"").as_bytes()).unwrap().rules
    }

    fn request(method: &str, authority: &str, path: &str, fields: &[(&str, &str)]) -> RequestHead {
        let head = [(":method", method), (":authority", authority), (":path", path)];
        RequestHead { fields: Fields::from_iter(head.iter().chain(fields).copied()), has_body: false }
    }

    fn get(path: &str) -> RequestHead {
        request("GET", "shop.example", path, &[])
    }

    #[test]
    fn each_option_comes_from_the_first_rule_that_sets_it() {
        let rules = rules(
            "{'ttl': {'default': '1m', 'max': '1d'}, 'keep': '2h', 'rules': [
                {'match': {'path': '/a/b/**'}, 'ttl': '10s'},
                {'match': {'path': '/a/**'}, 'ttl': {'override': '20s', 'default': null}, 'keep': '3h'},
                {'keep': '4h', 'set_cookie': 'strip', 'key': {'query': {'drop': ['utm_*']}}}]}",
        );
        let secs = |s| Some(Duration::from_secs(s));
        for (path, ttl, default, keep) in [
            ("/a/b/c", secs(10), None, 10_800),
            ("/a/x", secs(20), None, 10_800),
            ("/x", None, secs(60), 14_400),
        ] {
            let options = rules.for_request(&get(path));
            assert_eq!(
                (options.ttl, options.ttl_default, options.keep.as_secs()),
                (ttl, default, keep),
                "{path}"
            );
            assert_eq!(options.ttl_max, secs(86_400));
            assert_eq!(options.set_cookie, crate::config::SetCookie::Strip);
            assert_eq!(options.key.query, QueryKey::Drop(vec!["utm_*".into()]));
            assert!(!options.key.query_sorted);
        }
    }

    #[test]
    fn what_keeps_a_path_out_of_the_cache_keeps_out_its_other_spellings() {
        let rules = rules(
            "{'ttl': {'default': '60s'}, 'rules': [
                {'match': {'path': '/account/public/**'}, 'bypass': false},
                {'match': {'path': ['/account/**', '/My%20Page/', '/api/*/me'], 'host': 'shop.example'}, 'bypass': true},
                {'match': {'path': '/other/**'}, 'ttl': '1h'}]}",
        );
        for (path, is_bypassed) in [
            ("/account/me", true),
            ("/account;x/me", true),
            ("/ACCOUNT/me", true),
            ("/account%20/me", true),
            ("/%61ccount/me?q", true),
            ("//account/me", true),
            ("/x/../account/me", true),
            ("/account%2Fme", true),
            ("/account\\me", true),
            ("/account/%20/..%2Fme", true),
            ("/x%3F/..%2Faccount/me", true),
            ("/Account/%252e%252e/me", true),
            ("/API/7/ME", true),
            ("/my%20page", true),
            ("/My%20Page/", true),
            ("/account/public/x", false),
            ("/account/public/X", false),
            ("/Account/public/x", true),
            ("/accounts", false),
            ("/other/A", false),
            ("/Shop", false),
        ] {
            let options = rules.for_request(&get(path));
            assert_eq!(options.bypass, is_bypassed, "{path}");
        }
    }

    #[test]
    fn tags_and_names_of_all_rules_that_match_add_up() {
        let rules = rules(
            "{'rules': [
                {'name': 'a', 'match': {'path': '/a/**'}, 'tags': ['x', 'y']},
                {'match': {'path': '/a/{id}'}, 'tags': ['y', 'id:{id}', 'z:{id}']},
                {'name': 'c', 'tags': ['z']}]}",
        );
        for (path, names, tags, all_tags) in [
            (
                "/a/7?q",
                &["a", "c"][..],
                &["rule:a", "x", "y", "rule:c", "z"][..],
                &["rule:a", "x", "y", "rule:c", "z", "id:7", "z:7"][..],
            ),
            (
                "/a/7/8",
                &["a", "c"],
                &["rule:a", "x", "y", "rule:c", "z"],
                &["rule:a", "x", "y", "rule:c", "z"],
            ),
            ("/b", &["c"], &["rule:c", "z"], &["rule:c", "z"]),
        ] {
            let options = rules.for_request(&get(path));
            assert_eq!(options.rules, names, "{path}");
            assert_eq!(options.tags, tags, "{path}");
            assert_eq!(rules.for_response(&get(path), 200, b"").tags, all_tags, "{path}");
        }
    }

    #[test]
    fn a_mutation_rule_says_what_an_answer_has_changed() {
        let rules = rules(
            "{'rules': [
                {'name': 'users', 'match': {'path': '/users/{id}', 'method': ['PUT', 'DELETE'], 'status': '2xx'},
                 'invalidates': {'tags': ['user:{id}', 'users'], 'prefixes': ['/users'], 'paths': ['/u/{id}']}},
                {'match': {'path': '/**/*.json'}, 'invalidates': {'tags': ['json']}},
                {'match': {'path': '/users/**'}, 'ttl': '1h'}]}",
        );
        let of =
            |method, path, status| rules.mutations(&request(method, "h", path, &[]), status, b"text/html");
        let users = |id: &str, tag: &str| Mutation {
            rule: "users".into(),
            tags: vec![format!("user:{tag}"), "users".into()],
            paths: vec![format!("/u/{id}").into_bytes()],
            prefixes: vec![b"/users".to_vec()],
        };
        let json =
            Mutation { rule: "rules[1]".into(), tags: vec!["json".into()], paths: vec![], prefixes: vec![] };
        assert_eq!(of("PUT", "/users/7?x", 204), [users("7", "7")]);
        assert_eq!(of("PUT", "/users/a%20b", 204), [users("a%20b", "a b")]);
        assert_eq!(of("DELETE", "/users/7.json", 200), [users("7.json", "7.json"), json]);
        assert_eq!(of("PUT", "/users/7", 302), []);
        assert_eq!(of("POST", "/users/7", 200), []);
    }

    #[test]
    fn a_mutation_rule_is_refused_where_it_makes_no_sense() {
        for (rule, error) in [
            ("{'invalidates': {'tags': ['{id}']}}", "{id} is not in every pattern of match.path"),
            ("{'invalidates': {'prefixes': ['users']}}", "is not a path"),
            ("{'invalidates': {'paths': ['/a?b']}}", "is not a path"),
            ("{'invalidates': {'urls': []}}", "unknown field"),
        ] {
            let json = format!("{{'rules': [{rule}]}}").replace('\'', "\"");
            let refusal = Config::parse(json.as_bytes()).unwrap_err().to_string();
            assert!(refusal.starts_with("rules[0].invalidates") && refusal.contains(error), "{refusal}");
        }
    }

    #[test]
    fn all_conditions_of_a_rule_must_hold() {
        for (conditions, holds) in [
            ("{}", true),
            ("{'host': 'shop.example'}", true),
            ("{'host': ['a', 'SHOP.example']}", true),
            ("{'host': '*.example'}", true),
            ("{'host': 'shop.example:8080'}", true),
            ("{'host': 'shop.example:80'}", false),
            ("{'path': '/img/{x}.png'}", true),
            ("{'path': ['/css/**', '/img/*']}", true),
            ("{'path': '/img'}", false),
            ("{'method': 'HEAD'}", true),
            ("{'method': ['GET', 'POST']}", false),
            ("{'header': {'X-A': true}}", true),
            ("{'header': {'x-a': false}}", false),
            ("{'header': {'x-b': false}}", true),
            ("{'header': {'x-a': '1'}}", true),
            ("{'header': {'x-a': ['3', '2']}}", true),
            ("{'header': {'x-a': '3'}}", false),
            ("{'header': {'x-b': '*'}}", false),
            ("{'header': {'x-a': '1', 'x-b': true}}", false),
            ("{'status': 404}", true),
            ("{'status': ['2xx', '3xx']}", false),
            ("{'status': '400-404'}", true),
            ("{'content_type': 'image/*'}", true),
            ("{'content_type': ['text/html', 'text/css']}", false),
            (
                "{'host': '*.example', 'path': '/img/**', 'method': 'HEAD', 'header': {'x-a': true}, 'status': '4xx'}",
                true,
            ),
            (
                "{'host': '*.example', 'path': '/img/**', 'method': 'HEAD', 'header': {'x-a': true}, 'status': '5xx'}",
                false,
            ),
            ("{'host': '*.com', 'path': '/img/**', 'method': 'HEAD'}", false),
        ] {
            let rules = rules(&format!("{{'rules': [{{'match': {conditions}, 'bypass': true}}]}}"));
            let request =
                request("HEAD", "Shop.example:8080", "/img/a.png?b/c", &[("x-a", "1"), ("x-a", "2")]);
            assert_eq!(rules.for_response(&request, 404, b"image/png; q=1").bypass, holds, "{conditions}");
            let on_request = holds && !conditions.contains("status") && !conditions.contains("content_type");
            assert_eq!(rules.for_request(&request).bypass, on_request, "{conditions}");
        }
    }

    #[test]
    fn a_rule_for_an_extension_cannot_be_deceived() {
        let rules = rules(
            "{'rules': [
                {'match': {'path': '/**/*.css'}, 'ttl': '1h'},
                {'match': {'path': '/**/*.php'}, 'bypass': true},
                {'match': {'path': '/img/**'}, 'ttl': '1h'}]}",
        );
        for (path, content_type, on_request, on_response) in [
            ("/a/x.css", "text/css", true, true),
            ("/account/x.css", "text/html", true, false),
            ("/account/x.css", "", true, false),
            ("/account%2fx.css", "text/css", false, false),
            ("/account;x.css", "text/css", false, false),
            ("/img/a;b", "text/html", true, true),
        ] {
            let ttl = |options: Rc<Options>| options.ttl.is_some();
            assert_eq!(ttl(rules.for_request(&get(path))), on_request, "{path}");
            assert_eq!(
                ttl(rules.for_response(&get(path), 200, content_type.as_bytes())),
                on_response,
                "{path}"
            );
        }
        assert!(
            rules.for_request(&get("/a%2fb.php")).bypass,
            "what turns the cache off matches all the same"
        );
    }

    #[test]
    fn options_are_shared_between_requests() {
        let rules =
            rules("{'rules': [{'match': {'path': '/a/**'}, 'bypass': true}, {'match': {'path': '/b'}}]}");
        let same = |a: &str, b: &str| Rc::ptr_eq(&rules.for_request(&get(a)), &rules.for_request(&get(b)));
        assert!(same("/x", "/y") && same("/a/1", "/a/2"));
        assert!(!same("/a/1", "/x"));
    }

    #[test]
    fn requests_that_are_none_of_ours_match_what_has_no_condition() {
        let rules = rules("{'rules': [{'match': {'path': '/**'}, 'bypass': true}, {'keep': '5s'}]}");
        for head in [
            RequestHead::default(),
            request("GET", "", "", &[]),
            request("OPTIONS", "a", "*", &[]),
            request("GET", "a", "http://a/b", &[]),
        ] {
            let options = rules.for_request(&head);
            assert_eq!((options.bypass, options.keep.as_secs()), (false, 5));
        }
        let mut bytes = get("/");
        bytes.fields.set(":path", b"/\xff\x00%");
        assert!(rules.for_request(&bytes).bypass);
    }

    #[test]
    fn the_index_hides_no_rule() {
        const PATHS: [&str; 12] = [
            "/", "/a", "/a/**", "/a/*", "/a/b", "/**/b", "/**", "/*.x", "/**/*.x", "/{v}", "/a/{v}/b",
            "/aa/**",
        ];
        const HOSTS: [&str; 6] = ["a", "b.a", "*.a", "a:1", "*", "c*"];
        let mut state = 1u32;
        let mut pick = |n: usize| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as usize % n
        };
        for _ in 0..50 {
            let list = |pick: &mut dyn FnMut(usize) -> usize, of: &[&str]| {
                let some: Vec<_> = (0..=pick(2)).map(|_| format!("'{}'", of[pick(of.len())])).collect();
                format!("[{}]", some.join(","))
            };
            let conditions: Vec<String> = (0..30)
                .map(|_| match pick(4) {
                    0 => format!("{{'path': {}}}", list(&mut pick, &PATHS)),
                    1 => format!("{{'host': {}}}", list(&mut pick, &HOSTS)),
                    2 => format!(
                        "{{'path': {}, 'host': {}}}",
                        list(&mut pick, &PATHS),
                        list(&mut pick, &HOSTS)
                    ),
                    _ => [
                        "{'header': {'x': true}}",
                        "{'header': {'y': 'a*', 'x': false}}",
                        "{'header': {'y': ['b', 'ab*']}}",
                    ][pick(3)]
                    .into(),
                })
                .collect();
            let written: Vec<String> =
                (0..).zip(&conditions).map(|(i, m)| format!("{{'match': {m}, 'tags': ['{i}']}}")).collect();
            let rules = rules(&format!("{{'rules': [{}]}}", written.join(",")));
            for path in
                ["/", "/a", "/a/", "/a/b", "/a/c/b", "/b", "/q.x", "/a/q.x", "/aa", "/aa/b", "/ab", ""]
            {
                for host in ["a", "b.a", "x.a", "a:1", "b", "c", "cd", ""] {
                    let fields = [("y", "b"), ("x", ""), ("y", "abc")];
                    let request = request("GET", host, path, &fields[..pick(4)]);
                    let target = Target::of(&request);
                    let all = rules.rules.iter().filter(|rule| rule.matches(&target, Phase::Request));
                    let expected: Vec<_> = all.filter_map(|rule| rule.tags[0].literal()).collect();
                    assert_eq!(rules.for_request(&request).tags, expected, "{host} {path} {conditions:?}");
                }
            }
        }
    }
}
