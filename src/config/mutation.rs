//! Mutation rules: what a successful answer to an unsafe request has changed besides its own URL, such as the tag
//! `user:{id}` and all below `/users` after `PUT /users/{id}`.

use super::template::TagTemplate;
use super::text::{Text, text};
use crate::json::{At, Object, Read};

/// The most tags, paths or prefixes that a mutation rule invalidates, of each kind. Beyond it the configuration is refused.
const LIST_MAX: usize = 64;

/// What a rule invalidates, as it is written.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Invalidates {
    tags: Vec<TagTemplate>,
    paths: Vec<PathTemplate>,
    prefixes: Vec<PathTemplate>,
}

/// What a rule says has changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mutation {
    /// The name of the rule, or its place in the list.
    pub rule: String,
    /// Tags.
    pub tags: Vec<String>,
    /// Paths on the origin of the request, with any query.
    pub paths: Vec<Vec<u8>>,
    /// Paths on the origin of the request, and all below them.
    pub prefixes: Vec<Vec<u8>>,
}

impl Invalidates {
    pub(super) fn read(&mut self, object: &mut Object<'_>) -> Read<()> {
        object.field("tags", &mut self.tags, bounded)?;
        object.field("paths", &mut self.paths, bounded)?;
        object.field("prefixes", &mut self.prefixes, bounded)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tags.is_empty() && self.paths.is_empty() && self.prefixes.is_empty()
    }

    /// The captures that it uses.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let paths = self.paths.iter().chain(&self.prefixes).map(|path| &path.0);
        self.tags.iter().chain(paths).flat_map(TagTemplate::names)
    }

    /// What has changed, with what `capture` finds for each name.
    pub(super) fn expand<'p>(&self, rule: String, capture: impl Fn(&str) -> Option<&'p [u8]>) -> Mutation {
        let paths = |templates: &[PathTemplate]| templates.iter().map(|t| t.0.expand_raw(&capture)).collect();
        Mutation {
            rule,
            tags: self.tags.iter().map(|tag| tag.expand(&capture)).collect(),
            paths: paths(&self.paths),
            prefixes: paths(&self.prefixes),
        }
    }
}

fn bounded<T: Text>(at: &At<'_>) -> Read<Vec<T>> {
    let list = at.list(text)?;
    if list.len() > LIST_MAX { Err(at.error(format!("more than {LIST_MAX} of them"))) } else { Ok(list) }
}

/// A path with places for captures.
#[derive(Clone, PartialEq, Debug)]
struct PathTemplate(TagTemplate);

impl Text for PathTemplate {
    const WHAT: &'static str = "a path";
    const EXPECTED: &'static str =
        "a path without query, in which {name} stands for a capture of match.path, such as \"/users/{id}\"";

    fn from_text(text: &str) -> Option<Self> {
        let plain = text.starts_with('/') && !text.contains(['?', '#', ' ', '*']);
        TagTemplate::from_text(text).filter(|_| plain).map(PathTemplate)
    }
}
