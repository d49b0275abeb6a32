//! Rules: which options hold for which requests and responses.
//!
//! Rules are tried in order. Each option comes from the first rule that matches and sets it, else from the top
//! level; the tags of all rules that match add up.

use core::cell::RefCell;
use core::fmt;
use core::time::Duration;
use std::rc::Rc;

use hashbrown::HashMap;

use super::index::Index;
use super::matcher::{Match, Target};
use super::options::{Options, RequestDirectives, SetCookie};
use super::overlay::{HeuristicsFields, KeyFields, TtlFields, put, with_options};
use super::template::TagTemplate;
use super::value::{Name, object, set, set_count, set_duration, set_field_names, set_size};
use crate::http::RequestHead;

with_options! {
    /// A rule as it is written.
    pub(super) struct Rule {
        #[serde(deserialize_with = "set")]
        pub(super) name: Option<Name>,
        #[serde(rename = "match", deserialize_with = "object")]
        pub(super) when: Match,
        pub(super) tags: Vec<TagTemplate>,
        #[serde(deserialize_with = "set_size")]
        pub(super) object_bytes_max: Option<u64>,
        #[serde(deserialize_with = "set")]
        pub(super) collapse: Option<bool>,
    }
}

impl Rule {
    /// The option that it sets and that is decided before there is a response.
    fn request_option(&self) -> Option<&'static str> {
        if !self.key.is_empty() {
            Some("key")
        } else if self.request_directives.is_some() {
            Some("request_directives")
        } else {
            self.collapse.map(|_| "collapse")
        }
    }

    /// What is wrong with it as a whole, and in which of its fields.
    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        if let Some(option) = self.request_option().filter(|_| self.when.needs_response()) {
            let message =
                "is decided before there is a response, but the rule matches on status or content_type";
            return Err((option, message.into()));
        }
        for name in self.tags.iter().flat_map(TagTemplate::names) {
            let paths = self.when.path.iter().flat_map(|paths| &paths.0);
            let without =
                |path: &super::pattern::PathPattern| !path.names.iter().any(|known| **known == *name);
            if self.when.path.is_none() || paths.into_iter().any(without) {
                return Err(("tags", format!("{{{name}}} is not in every pattern of match.path")));
            }
        }
        Ok(())
    }

    fn has_captures(&self) -> bool {
        self.tags.iter().any(|tag| tag.literal().is_none())
    }

    fn apply(&self, options: &mut Options) {
        self.overlay(options);
        put(&mut options.object_bytes_max, &self.object_bytes_max);
        put(&mut options.collapse, &self.collapse);
    }
}

/// All rules, compiled, over the top-level options.
pub struct Rules {
    defaults: Rc<Options>,
    rules: Vec<Rule>,
    index: Index,
    needs_response: bool,
    work: RefCell<Work>,
}

/// Room to work in, and what has been worked out before.
#[derive(Default)]
struct Work {
    found: Vec<u32>,
    reversed: Vec<u8>,
    merged: HashMap<Box<[u32]>, Rc<Options>>,
}

/// The most combinations of rules whose options are remembered.
const MERGED_MAX: usize = 1_024;

impl Rules {
    /// Checked rules over the options of the top level.
    pub(super) fn new(defaults: Options, rules: Vec<Rule>) -> Self {
        Rules {
            defaults: Rc::new(defaults),
            index: Index::new(rules.iter().map(|rule| &rule.when)),
            needs_response: rules.iter().any(|rule| rule.when.needs_response() || rule.has_captures()),
            rules,
            work: RefCell::default(),
        }
    }

    /// The options for a request: the top level overlaid by the rules that match and have no condition on the
    /// response. Tags with captures are left out. Costs no copy for a combination of rules that has been seen.
    #[must_use]
    pub fn for_request(&self, request: &RequestHead) -> Rc<Options> {
        if self.rules.is_empty() {
            return Rc::clone(&self.defaults);
        }
        self.matching(&Target::of(request), |rule| !rule.when.needs_response(), false)
    }

    /// The options for a response: also the rules with conditions on status and content type, and all tags.
    #[must_use]
    pub fn for_response(&self, request: &RequestHead, status: u16, content_type: &[u8]) -> Rc<Options> {
        if !self.needs_response {
            return self.for_request(request);
        }
        let target = Target::of(request);
        self.matching(&target, |rule| rule.when.response(status, content_type), true)
    }

    fn matching(&self, target: &Target<'_>, also: impl Fn(&Rule) -> bool, captures: bool) -> Rc<Options> {
        // Nothing in here calls back, so the room is free; were it not, other room would do.
        let mut other = Work::default();
        let mut own = self.work.try_borrow_mut();
        let work = own.as_deref_mut().unwrap_or(&mut other);
        self.index.find(target, &mut work.found, &mut work.reversed);
        work.found.retain(|&at| self.rule(at).is_some_and(|rule| rule.when.request(target) && also(rule)));
        let options = self.merged(work);
        let tags = if captures { self.captured_tags(&work.found, target) } else { Vec::new() };
        if tags.is_empty() { options } else { Rc::new(with_tags(&options, tags)) }
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
        let matched = || matched.iter().filter_map(|&at| self.rule(at));
        let mut options = (*self.defaults).clone();
        // The first rule has the last word.
        matched().rev().for_each(|rule| rule.apply(&mut options));
        options.rules = matched().filter_map(|rule| rule.name.as_ref()).map(|name| name.0.clone()).collect();
        let tags = matched().flat_map(|rule| &rule.tags).filter_map(TagTemplate::literal).map(String::from);
        with_tags(&options, tags.collect())
    }

    fn captured_tags(&self, matched: &[u32], target: &Target<'_>) -> Vec<String> {
        let rules = matched.iter().filter_map(|&at| self.rule(at));
        let templates = rules.flat_map(|rule| rule.tags.iter().map(move |tag| (rule, tag)));
        let captured = templates.filter(|(_, tag)| tag.literal().is_none());
        captured.map(|(rule, tag)| tag.expand(|name| rule.when.capture(name, target.path))).collect()
    }
}

/// The options with more tags, each once.
fn with_tags(options: &Options, tags: Vec<String>) -> Options {
    let mut options = options.clone();
    for tag in tags {
        if !options.tags.contains(&tag) {
            options.tags.push(tag);
        }
    }
    options
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
