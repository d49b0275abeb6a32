//! Whether a selector covers a stored response, by looking at it. Patterns are compiled once.

use super::pattern::{Matched, Pattern};
use super::selector::{Part, Selector, Subject, automatic, media_type};
use super::work::Work;
use crate::http::uri::hostname;

/// How many bytes or tags are compared in the time in which a regular expression takes a byte.
const COMPARED_PER_UNIT: usize = 16;

/// A selector, ready to be held against many stored responses.
#[derive(Debug)]
pub enum Matcher {
    /// A selector without patterns.
    Plain(Selector),
    /// A pattern.
    Pattern(Part, Pattern),
    /// All of these, each the other way round where it says so.
    And(Vec<(bool, Matcher)>),
}

impl Selector {
    /// Whether this covers a stored response. Use a [`Matcher`] to ask about many.
    #[must_use]
    pub fn covers(&self, subject: &Subject<'_>) -> bool {
        Matcher::new(self).covers(subject)
    }
}

impl Matcher {
    /// Compiles a selector. A pattern that cannot be compiled covers everything.
    #[must_use]
    pub fn new(selector: &Selector) -> Matcher {
        match selector {
            Selector::And(terms) => {
                Matcher::And(terms.iter().map(|t| (t.negated, Matcher::new(&t.selector))).collect())
            }
            Selector::Glob(part, glob) => {
                Matcher::Pattern(*part, Pattern::glob(glob).unwrap_or(Pattern::Unknown))
            }
            Selector::Regex(part, regex) => {
                Matcher::Pattern(*part, Pattern::regex(regex).unwrap_or(Pattern::Unknown))
            }
            plain => Matcher::Plain(plain.clone()),
        }
    }

    /// Whether it holds a pattern.
    #[must_use]
    pub fn has_pattern(&self) -> bool {
        match self {
            Matcher::Pattern(..) => true,
            Matcher::Plain(_) => false,
            Matcher::And(terms) => terms.iter().any(|(_, term)| term.has_pattern()),
        }
    }

    /// How many regular expressions it holds.
    #[must_use]
    pub fn regexes(&self) -> usize {
        match self {
            Matcher::Pattern(_, Pattern::Regex(_)) => 1,
            Matcher::Plain(_) | Matcher::Pattern(_, Pattern::Glob(_) | Pattern::Unknown) => 0,
            Matcher::And(terms) => terms.iter().map(|(_, term)| term.regexes()).sum(),
        }
    }

    /// Whether the selector covers a stored response; in doubt it does.
    #[must_use]
    pub fn covers(&self, subject: &Subject<'_>) -> bool {
        self.covers_within(subject, &Work::of_a_verdict())
    }

    /// The same with no more work than this: where that is not enough to tell, it covers.
    #[must_use]
    pub fn covers_within(&self, subject: &Subject<'_>, work: &Work) -> bool {
        self.matches(subject, work) != Matched::No
    }

    fn matches(&self, subject: &Subject<'_>, work: &Work) -> Matched {
        match self {
            Matcher::Plain(selector) => plain_matches(selector, subject, work),
            Matcher::Pattern(part, pattern) => part_matches(*part, pattern, subject, work),
            Matcher::And(terms) => terms
                .iter()
                .map(|(negated, term)| term.matches(subject, work).negated_if(*negated))
                .fold(Matched::Yes, |all, one| match (all, one) {
                    (Matched::No, _) | (_, Matched::No) => Matched::No,
                    (Matched::Yes, Matched::Yes) => Matched::Yes,
                    (Matched::Unsure, _) | (_, Matched::Unsure) => Matched::Unsure,
                }),
        }
    }
}

impl Matched {
    fn negated_if(self, negated: bool) -> Matched {
        match (self, negated) {
            (Matched::Yes, true) => Matched::No,
            (Matched::No, true) => Matched::Yes,
            (matched, _) => matched,
        }
    }

    fn or(self, other: Matched) -> Matched {
        match (self, other) {
            (Matched::Yes, _) | (_, Matched::Yes) => Matched::Yes,
            (Matched::Unsure, _) | (_, Matched::Unsure) => Matched::Unsure,
            (Matched::No, Matched::No) => Matched::No,
        }
    }
}

/// What comparing names takes is little, but not nothing.
fn plain_matches(selector: &Selector, subject: &Subject<'_>, work: &Work) -> Matched {
    let compared = match selector {
        Selector::Tags(tags) => tags.len() * (1 + subject.tags.len()),
        _ => 0,
    };
    if !work.take(1 + (compared / COMPARED_PER_UNIT) as u64) {
        return Matched::Unsure;
    }
    if plain(selector, subject) { Matched::Yes } else { Matched::No }
}

fn plain(selector: &Selector, subject: &Subject<'_>) -> bool {
    match selector {
        Selector::All => true,
        Selector::Uri(uri) => subject.uri == &uri[..],
        Selector::UriAnyQuery(uri) => subject.without_query() == &uri[..],
        Selector::Prefix(prefix) => below(prefix, subject.uri),
        Selector::Host(host) => subject.authority() == &host[..],
        Selector::Hostname(host) => hostname(subject.authority()) == &host[..],
        Selector::Tags(tags) => tags.iter().any(|tag| {
            subject.tags.contains(tag) || automatic(tag).is_some_and(|selector| plain(&selector, subject))
        }),
        Selector::ContentType(range) => in_media_range(range, media_type(subject.content_type)),
        Selector::Status(status) => subject.status == *status,
        Selector::StatusClass(class) => subject.status / 100 == u16::from(*class),
        Selector::StoredBefore(time) => subject.stored_at < *time,
        // These are not plain: in doubt they cover.
        Selector::And(_) | Selector::Glob(..) | Selector::Regex(..) => true,
    }
}

/// Whether a URI is a path itself or below it.
fn below(prefix: &[u8], uri: &[u8]) -> bool {
    match uri.strip_prefix(prefix) {
        Some([] | [b'/' | b'?', ..]) => true,
        Some(_) => prefix.ends_with(b"/"),
        None => false,
    }
}

fn in_media_range(range: &str, media_type: &[u8]) -> bool {
    match range.strip_suffix('*') {
        Some(start) => {
            media_type.get(..start.len()).is_some_and(|m| m.eq_ignore_ascii_case(start.as_bytes()))
        }
        None => media_type.eq_ignore_ascii_case(range.as_bytes()),
    }
}

fn after(text: &[u8], start: usize) -> &[u8] {
    text.get(start..).unwrap_or_default()
}

fn part_matches(part: Part, pattern: &Pattern, subject: &Subject<'_>, work: &Work) -> Matched {
    let any = |texts: &[&[u8]]| {
        texts.iter().fold(Matched::No, |found, text| match found {
            Matched::Yes => found,
            Matched::No | Matched::Unsure => found.or(pattern.matches(text, work)),
        })
    };
    match part {
        // The other texts are parts of this one.
        Part::Url if pattern.is_free() => any(&[subject.uri]),
        Part::Url => {
            let (uri, bare) = (subject.uri, subject.without_query());
            let host = subject.authority().len();
            let (path, bare_path) = (after(uri, host), after(bare, host));
            let texts = [uri, path, bare, bare_path];
            // Without a query there are only two.
            any(if uri.len() == bare.len() { &texts[..2] } else { &texts[..] })
        }
        Part::Host => any(&[subject.authority()]),
        Part::ContentType => any(&[subject.content_type]),
        Part::Tags => {
            let bytes: usize = subject.tags.iter().map(|tag| 1 + tag.as_bytes().len()).sum();
            if !work.take((bytes / COMPARED_PER_UNIT) as u64) {
                return Matched::Unsure;
            }
            let tags: Vec<&[u8]> = subject.tags.iter().map(super::Tag::as_bytes).collect();
            any(&[&tags.join(&b',')]).or(any(&tags))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invalidation::{Tag, Term};
    use crate::time::Timestamp;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn covers(selector: &Selector) -> bool {
        let tags = [Tag::new("user:42").unwrap(), Tag::new("feed").unwrap()];
        selector.covers(&Subject {
            uri: b"shop.example:8080/img/a.png?v=1",
            tags: &tags,
            status: 404,
            content_type: b"Image/PNG; q=1",
            stored_at: Timestamp(1000),
        })
    }

    fn bytes(text: &str) -> Vec<u8> {
        text.as_bytes().to_vec()
    }

    fn tags(names: &[&str]) -> Selector {
        Selector::Tags(names.iter().map(|n| Tag::new(n).unwrap()).collect())
    }

    #[test]
    fn selectors_cover_what_they_name() {
        let cases = [
            (Selector::All, true),
            (Selector::Uri(bytes("shop.example:8080/img/a.png?v=1")), true),
            (Selector::Uri(bytes("shop.example:8080/img/a.png")), false),
            (Selector::UriAnyQuery(bytes("shop.example:8080/img/a.png")), true),
            (Selector::UriAnyQuery(bytes("shop.example:8080/img/a")), false),
            (Selector::Prefix(bytes("shop.example:8080/img")), true),
            (Selector::Prefix(bytes("shop.example:8080/img/")), true),
            (Selector::Prefix(bytes("shop.example:8080/im")), false),
            (Selector::Prefix(bytes("shop.example:8080/img/a.png")), true),
            (Selector::Prefix(bytes("shop.example:8080/img/a.png/")), false),
            (Selector::Host(bytes("shop.example:8080")), true),
            (Selector::Host(bytes("shop.example")), false),
            (Selector::Hostname(bytes("shop.example")), true),
            (tags(&["user:42"]), true),
            (tags(&["user:4", "feed"]), true),
            (tags(&["User:42"]), false),
            (tags(&["status:404"]), true),
            (tags(&["status:200"]), false),
            (tags(&["type:image/png"]), true),
            (tags(&["host:shop.example"]), true),
            (Selector::ContentType("image/png".into()), true),
            (Selector::ContentType("image/*".into()), true),
            (Selector::ContentType("image".into()), false),
            (Selector::Status(404), true),
            (Selector::StatusClass(4), true),
            (Selector::StatusClass(2), false),
            (Selector::StoredBefore(Timestamp(1001)), true),
            (Selector::StoredBefore(Timestamp(1000)), false),
            (Selector::Glob(Part::Url, "/img/*.png".into()), true),
            (Selector::Glob(Part::Url, "/img/*.png?v=1".into()), true),
            (Selector::Glob(Part::Url, "shop.example:8080/*".into()), true),
            (Selector::Glob(Part::Url, "/css/*".into()), false),
            (Selector::Glob(Part::Host, "*.example:*".into()), true),
            (Selector::Regex(Part::Url, "^/img/.*\\.png$".into()), true),
            (Selector::Regex(Part::Url, "^shop".into()), true),
            (Selector::Regex(Part::ContentType, "(?i)png".into()), true),
            (Selector::Regex(Part::Tags, "^(a|feed)(,.+)?$".into()), true),
            (Selector::Regex(Part::Tags, "42,feed".into()), true),
            (Selector::Regex(Part::Url, "(".into()), true),
        ];
        for (selector, expected) in cases {
            assert_eq!(covers(&selector), expected, "{selector:?}");
        }
    }

    #[test]
    fn terms_must_all_hold() {
        let not = |selector| Term { negated: true, selector };
        let cases = [
            (vec![], true),
            (vec![Term::is(Selector::Status(404)), Term::is(tags(&["feed"]))], true),
            (vec![Term::is(Selector::Status(404)), Term::is(tags(&["other"]))], false),
            (vec![Term::is(tags(&["feed"])), not(Selector::Glob(Part::Url, "*.png".into()))], false),
            (vec![Term::is(tags(&["feed"])), not(Selector::Glob(Part::Url, "*.css".into()))], true),
            // What cannot be told covers, also the other way round.
            (vec![not(Selector::Regex(Part::Url, "(".into()))], true),
            (vec![not(Selector::Regex(Part::Url, "(".into())), Term::is(tags(&["other"]))], false),
        ];
        for (terms, expected) in cases {
            let selector = Selector::And(terms);
            assert_eq!(covers(&selector), expected, "{selector:?}");
        }
    }
}
