//! Selectors in Larder's own language: an object whose members must all hold.

use serde_json::{Value, json};

use super::reader::Reader;
use super::url::{is_absolute, may_be_authority};
use crate::admin::breadth::{covers_everything, is_particular};
use crate::config::duration;
use crate::http::uri::{authority, hostname, split_scheme};
use crate::invalidation::{Part, Pattern, Selector, Tag, Term, media_range, status};
use crate::json::{At, Json, Path, Read, boolean, unknown};
use crate::sorting::sort_by;
use crate::time::Timestamp;

/// The members that a selector may have.
const KNOWN: &str = "url, url_any_query, prefix, host, authority, tag, tags, tags_all, glob, regex, host_glob, \
                     host_regex, type, type_glob, type_regex, tag_glob, tag_regex, status, rule, older_than, \
                     stored_before, all, not, and";

/// The most tags in a list, descendants included: more do not fit into a record. Beyond it the command is refused with a
/// 400. Of those that are no descendants of others `admin.selectors_max` bounds the number, and where that is larger, it
/// counts here too.
const TAGS_MAX: usize = 4096;

/// The most conditions of a selector, beside as many as `admin.selectors_max`: so many tags and all other members are shown
/// as one `and`, which has to be read again. Beyond it the command is refused with a 400.
const MEMBERS_MAX: usize = 32;

/// The most patterns in a selector: all are held against one response. Beyond it the command is refused with a 400.
const PATTERNS_MAX: usize = 32;

/// The latest time in milliseconds that a JSON number holds to the millisecond. Beyond it the command is refused with a
/// 400.
const TIME_MAX: u64 = 1 << 53;

/// Reads a selector. Its tags are not expanded yet.
///
/// # Errors
/// When it is wrong, or covers everything without saying so.
pub fn read(at: &At<'_>, reader: &Reader<'_>) -> Read<Selector> {
    let Members { terms, all } = read_members(at, reader, true)?;
    if terms.is_empty() && !all {
        return Err(at.error(format!("is empty; expected some of {KNOWN}")));
    }
    let max = conditions_max(reader);
    if terms.len() > max {
        return Err(at.error(format!("{} conditions; expected at most {max} in a selector", terms.len())));
    }
    let patterns = terms.iter().filter(|term| is_pattern(&term.selector)).count();
    if patterns > PATTERNS_MAX {
        return Err(at.error(format!("{patterns} patterns; expected at most {PATTERNS_MAX} in a selector")));
    }
    let selector = combined(terms);
    // A mistyped wildcard must not purge everything.
    if !all && covers_everything(&selector) {
        return Err(at.error("covers everything; expected \"all\": true beside it to confirm"));
    }
    Ok(selector)
}

/// The members of a selector.
struct Members {
    terms: Vec<Term>,
    /// Whether `"all": true` is among them.
    all: bool,
}

/// Reads what must all hold. The journal has no conjunction within another, so only the outermost may have an `and`.
fn read_members(at: &At<'_>, reader: &Reader<'_>, is_outermost: bool) -> Read<Members> {
    let mut all = false;
    let mut members = at.entries(|name, member| {
        let name = name.value.text().unwrap_or_default();
        let terms = match name {
            "all" => {
                if !boolean(member)? {
                    return Err(member.wrong("a confirmation", "true, or no such field"));
                }
                all = true;
                Vec::new()
            }
            "not" => vec![Term { negated: true, selector: read_negated(member, reader)? }],
            "tags_all" => read_tags(member, reader)?.into_iter().map(|tag| Term::is(one_tag(tag))).collect(),
            "and" if is_outermost => read_and(member, reader)?,
            "and" => {
                return Err(
                    member.error("is nested in another \"and\"; put its conditions into the outer one")
                );
            }
            _ => vec![Term::is(read_member(name, member, reader)?)],
        };
        Ok((name.to_owned(), terms))
    })?;
    // In whatever order they are written, they are the same selector.
    sort_by(&mut members, |(a, _), (b, _)| a.cmp(b));
    Ok(Members { terms: members.into_iter().flat_map(|(_, terms)| terms).collect(), all })
}

/// Reads a list of conditions, each an object whose members must all hold.
fn read_and(at: &At<'_>, reader: &Reader<'_>) -> Read<Vec<Term>> {
    let lists = at.list_within(conditions_max(reader), |element| {
        let members = read_members(element, reader, false)?;
        match (members.terms.is_empty(), members.all) {
            (true, true) => Ok(vec![Term::is(Selector::All)]),
            (true, false) => Err(element.error("is empty; expected a condition")),
            (false, _) => Ok(members.terms),
        }
    })?;
    Ok(lists.into_iter().flatten().collect())
}

/// The most conditions of a selector.
const fn conditions_max(reader: &Reader<'_>) -> usize {
    reader.config.selectors_max.saturating_add(MEMBERS_MAX)
}

const fn is_pattern(selector: &Selector) -> bool {
    matches!(selector, Selector::Glob(..) | Selector::Regex(..))
}

/// The selector that is covered by all of these terms. A conjunction among them is taken apart: a record of the journal
/// with one within another could not be read, and would be taken for a purge of everything.
#[must_use]
pub fn combined(terms: Vec<Term>) -> Selector {
    let apart = |term| match term {
        Term { negated: false, selector: Selector::And(terms) } => terms,
        term => vec![term],
    };
    let mut terms: Vec<Term> = terms.into_iter().flat_map(apart).collect();
    match terms.pop() {
        None => Selector::All,
        Some(Term { negated: false, selector }) if terms.is_empty() => selector,
        Some(last) => {
            terms.push(last);
            Selector::And(terms)
        }
    }
}

fn read_negated(at: &At<'_>, reader: &Reader<'_>) -> Read<Selector> {
    match at.value.members() {
        [(name, value)] if !matches!(&name[..], "not" | "all" | "tags_all" | "and") => {
            read_member(name, &At { path: &Path::Field(at.path, name), value }, reader)
        }
        _ => Err(at.wrong("a negated condition", "an object with one field")),
    }
}

fn read_member(name: &str, at: &At<'_>, reader: &Reader<'_>) -> Read<Selector> {
    let wrong = |why: String| at.error(why);
    match name {
        "url" => reader.uri(at.string()?).map(Selector::Uri).map_err(wrong),
        "url_any_query" => reader.any_query(at.string()?).map_err(wrong),
        "prefix" => reader.prefix(at.string()?).map_err(wrong),
        "host" => reader.host(at.string()?).map_err(wrong),
        "authority" => read_authority(at, reader),
        "tag" => read_tag(at).map(one_tag),
        "tags" => read_tags(at, reader).map(Selector::Tags),
        "glob" => glob(Part::Url, at),
        "host_glob" => glob(Part::Host, at),
        "type_glob" => glob(Part::ContentType, at),
        "tag_glob" => glob(Part::Tags, at),
        "regex" => regex(Part::Url, at),
        "host_regex" => regex(Part::Host, at),
        "type_regex" => regex(Part::ContentType, at),
        "tag_regex" => regex(Part::Tags, at),
        "type" => media_range(at.string()?)
            .ok_or_else(|| at.wrong("a media type", "one such as \"text/html\" or \"image/*\"")),
        "status" => read_status(at),
        "rule" => Tag::new(&format!("rule:{}", at.string()?))
            .map(one_tag)
            .ok_or_else(|| at.wrong("the name of a rule", "printable text")),
        "older_than" => {
            let age = u64::try_from(duration(at)?.as_millis()).unwrap_or(u64::MAX);
            Ok(Selector::StoredBefore(Timestamp(reader.now.0.saturating_sub(age))))
        }
        "stored_before" => read_time(at).map(Selector::StoredBefore),
        _ => Err(at.error(unknown(KNOWN))),
    }
}

fn one_tag(tag: Tag) -> Selector {
    Selector::Tags(vec![tag])
}

/// Reads a tag.
///
/// # Errors
/// When it cannot be one.
pub fn read_tag(at: &At<'_>) -> Read<Tag> {
    Tag::new(at.string()?).ok_or_else(|| at.wrong("a tag", "printable text of at most 1024 bytes"))
}

/// A list of tags. What is part of another one in it does not count: a purge of that one comes with it by itself, and is
/// shown so.
fn read_tags(at: &At<'_>, reader: &Reader<'_>) -> Read<Vec<Tag>> {
    let max = reader.config.selectors_max;
    let tags = at.list_within(TAGS_MAX.max(max), read_tag)?;
    if tags.len() > max {
        let below = reader.hierarchy.below(tags.iter().map(Tag::as_str));
        let found = tags.iter().filter(|tag| !below.contains(tag.as_str())).count();
        if found > max {
            return Err(at.error(format!("{found} elements; expected 1 to {max}")));
        }
    }
    Ok(tags)
}

/// A host on one port, as it stands in URLs: none for the default one of the scheme.
fn read_authority(at: &At<'_>, reader: &Reader<'_>) -> Read<Selector> {
    let authority = at.string()?.to_ascii_lowercase();
    let stands_so = |scheme: &str| {
        let uri = (reader.canonical)(&format!("{scheme}://{authority}/"));
        uri.is_ok_and(|uri| uri.strip_suffix(b"/") == Some(authority.as_bytes()))
    };
    if !may_be_authority(&authority) || !(stands_so("http") || stands_so("https")) {
        return Err(
            at.wrong("an authority", "a host with its port, or without the default one of the scheme")
        );
    }
    Ok(Selector::Host(authority.into_bytes()))
}

/// A time in seconds, with decimals down to the millisecond.
fn read_time(at: &At<'_>) -> Read<Timestamp> {
    let ms = match at.value {
        Json::Number(secs) => {
            let ms = (secs * 1_000.0).round();
            ((0.0..=TIME_MAX as f64).contains(&ms) && (secs * 1_000.0 - ms).abs() < 0.01).then_some(ms as u64)
        }
        _ => None,
    };
    ms.map(Timestamp).ok_or_else(|| at.wrong("a time", "seconds, with at most three decimals"))
}

fn glob(part: Part, at: &At<'_>) -> Read<Selector> {
    let text = at.string()?;
    Pattern::glob(text).map_err(|why| at.error(why))?;
    Ok(url_glob(part, text))
}

/// A glob whose host is in lower case and without a scheme, as in canonical URIs.
fn url_glob(part: Part, text: &str) -> Selector {
    match part {
        Part::Url => {}
        Part::Host | Part::ContentType => return Selector::Glob(part, text.to_ascii_lowercase().into()),
        // Tags are case-sensitive.
        Part::Tags => return Selector::Glob(part, text.into()),
    }
    let text = if is_absolute(text) { split_scheme(text).1 } else { text };
    // A question mark stands for a character here.
    let (host, path) = text.split_at_checked(text.find('/').unwrap_or(text.len())).unwrap_or((text, ""));
    Selector::Glob(part, format!("{}{path}", host.to_ascii_lowercase()).into())
}

fn regex(part: Part, at: &At<'_>) -> Read<Selector> {
    let text = at.string()?;
    Pattern::regex(text).map_err(|why| at.error(why))?;
    Ok(Selector::Regex(part, text.into()))
}

fn read_status(at: &At<'_>) -> Read<Selector> {
    let read = match at.value {
        Json::Text(text) => status(text),
        value => status(&value.to_string()),
    };
    read.ok_or_else(|| at.wrong("a status code", "one such as 404, or a class such as \"4xx\""))
}

/// A selector as this language writes it, for receipts, the journal and explanations: [`read`] reads it again.
#[must_use]
pub fn shown(selector: &Selector) -> Value {
    let mut shown = shown_alone(selector);
    // A selector that covers everything can be sent back only with the confirmation. `is_particular` is the cheaper
    // test.
    if !is_particular(selector)
        && covers_everything(selector)
        && let Some(members) = shown.as_object_mut()
    {
        members.insert("all".into(), true.into());
    }
    shown
}

fn shown_alone(selector: &Selector) -> Value {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let pattern = |names: [&str; 4], part: &Part, pattern: &str| {
        let [url, host, kind, tag] = names;
        let name = match part {
            Part::Url => url,
            Part::Host => host,
            Part::ContentType => kind,
            Part::Tags => tag,
        };
        json!({ name: pattern })
    };
    match selector {
        Selector::All => json!({ "all": true }),
        Selector::Uri(uri) => json!({ "url": url(uri) }),
        Selector::UriAnyQuery(uri) => json!({ "url_any_query": url(uri) }),
        Selector::Prefix(uri) => json!({ "prefix": url(uri) }),
        Selector::Host(host) if is_read_as_host(host) => json!({ "host": text(host) }),
        Selector::Host(host) => json!({ "authority": text(host) }),
        Selector::Hostname(host) => json!({ "host": text(host) }),
        Selector::Tags(tags) => match &tags[..] {
            [tag] => json!({ "tag": tag.as_str() }),
            tags => json!({ "tags": tags.iter().map(Tag::as_str).collect::<Vec<_>>() }),
        },
        Selector::Glob(part, glob) => pattern(["glob", "host_glob", "type_glob", "tag_glob"], part, glob),
        Selector::Regex(part, regex) => {
            pattern(["regex", "host_regex", "type_regex", "tag_regex"], part, regex)
        }
        Selector::ContentType(range) => json!({ "type": range }),
        Selector::Status(status) => json!({ "status": status }),
        Selector::StatusClass(class) => json!({ "status": format!("{class}xx") }),
        Selector::StoredBefore(time) if time.0 % 1_000 == 0 => json!({ "stored_before": time.secs() }),
        Selector::StoredBefore(time) => json!({ "stored_before": time.0 as f64 / 1_000.0 }),
        Selector::And(terms) => json!({ "and": terms.iter().map(shown_term).collect::<Vec<_>>() }),
    }
}

fn shown_term(term: &Term) -> Value {
    let selector = shown_alone(&term.selector);
    if term.negated { json!({ "not": selector }) } else { selector }
}

/// A canonical URI as a URL: without a scheme, unless it would be read as another then.
fn url(uri: &[u8]) -> String {
    let scheme = if authority(uri).ends_with(b":80") { "https://" } else { "" };
    format!("{scheme}{}", String::from_utf8_lossy(uri))
}

/// Whether the member `host` means a host on this one port: it has one, which is no scheme's default.
fn is_read_as_host(authority: &[u8]) -> bool {
    let has_port = hostname(authority).len() < authority.len();
    has_port && !authority.ends_with(b":80") && !authority.ends_with(b":443")
}

#[cfg(test)]
mod tests {
    use super::super::reader::read_json;
    use super::*;
    use crate::admin::fixture;
    use crate::config::TagHierarchy;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn check(text: &str) -> Result<Selector, String> {
        fixture::with_reader(|reader| {
            let value = Json::parse(text.as_bytes()).unwrap();
            read_json(&value, |at| read(at, reader)).map_err(|problem| problem.sentence())
        })
    }

    fn tags(names: &[&str]) -> Selector {
        Selector::Tags(names.iter().map(|n| Tag::new(n).unwrap()).collect())
    }

    #[test]
    fn each_member_is_a_condition() {
        let glob = |text: &str| Selector::Glob(Part::Url, text.into());
        let cases = [
            (r#"{"url":"https://h/p?q=1"}"#, Selector::Uri(b"h/p?q=1".to_vec())),
            (r#"{"url_any_query":"https://h/p?q=1"}"#, Selector::UriAnyQuery(b"h/p".to_vec())),
            (r#"{"prefix":"https://h/blog/"}"#, Selector::Prefix(b"h/blog/".to_vec())),
            (r#"{"host":"H"}"#, Selector::Hostname(b"h".to_vec())),
            (r#"{"tag":"user:42"}"#, tags(&["user:42"])),
            (r#"{"tags":["a","b"]}"#, tags(&["a", "b"])),
            (
                r#"{"tags_all":["a","b"]}"#,
                Selector::And(vec![Term::is(tags(&["a"])), Term::is(tags(&["b"]))]),
            ),
            (r#"{"glob":"/img/*.png"}"#, glob("/img/*.png")),
            (r#"{"glob":"https://CDN.example/A*"}"#, glob("cdn.example/A*")),
            (r#"{"glob":"HTTP://CDN.example?A*"}"#, glob("cdn.example?a*")),
            (r#"{"regex":"\\.css$"}"#, Selector::Regex(Part::Url, "\\.css$".into())),
            (r#"{"host_regex":"^www\\."}"#, Selector::Regex(Part::Host, "^www\\.".into())),
            (r#"{"host_glob":"*.Example"}"#, Selector::Glob(Part::Host, "*.example".into())),
            (r#"{"type_glob":"Text/*;*"}"#, Selector::Glob(Part::ContentType, "text/*;*".into())),
            (r#"{"tag_glob":"User:*"}"#, Selector::Glob(Part::Tags, "User:*".into())),
            (r#"{"authority":"H"}"#, Selector::Host(b"h".to_vec())),
            (r#"{"authority":"h:80"}"#, Selector::Host(b"h:80".to_vec())),
            (r#"{"host":"h:81"}"#, Selector::Host(b"h:81".to_vec())),
            (
                r#"{"and":[{"host":"h"},{"not":{"tag":"a"}},{"status":404,"rule":"r"}]}"#,
                Selector::And(vec![
                    Term::is(Selector::Hostname(b"h".to_vec())),
                    Term { negated: true, selector: tags(&["a"]) },
                    Term::is(tags(&["rule:r"])),
                    Term::is(Selector::Status(404)),
                ]),
            ),
            (r#"{"and":[{"tag":"a"}]}"#, tags(&["a"])),
            (
                r#"{"and":[{"tag":"a"}],"tag":"b"}"#,
                Selector::And(vec![Term::is(tags(&["a"])), Term::is(tags(&["b"]))]),
            ),
            (r#"{"all":true,"stored_before":5.25}"#, Selector::StoredBefore(Timestamp(5_250))),
            (r#"{"type":"Image/*"}"#, Selector::ContentType("image/*".into())),
            (r#"{"status":404}"#, Selector::Status(404)),
            (r#"{"status":"5xx"}"#, Selector::StatusClass(5)),
            (r#"{"rule":"images"}"#, tags(&["rule:images"])),
            (r#"{"all":true}"#, Selector::All),
            (r#"{"all":true,"older_than":"1m"}"#, Selector::StoredBefore(Timestamp(fixture::NOW.0 - 60_000))),
            (
                r#"{"all":true,"older_than":"1h30m"}"#,
                Selector::StoredBefore(Timestamp(fixture::NOW.0 - 5_400_000)),
            ),
            (r#"{"all":true,"stored_before":5}"#, Selector::StoredBefore(Timestamp(5_000))),
            (
                r#"{"host":"h","not":{"tag":"keep"}}"#,
                Selector::And(vec![
                    Term::is(Selector::Hostname(b"h".to_vec())),
                    Term { negated: true, selector: tags(&["keep"]) },
                ]),
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(check(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn an_error_names_its_place() {
        let cases = [
            ("{}", "is empty"),
            ("7", "7 is not an object"),
            (r#"{"uri":"x"}"#, "uri: unknown field; expected one of url,"),
            (r#"{"url":"/p"}"#, "url: \"/p\" is not an absolute URL"),
            (r#"{"url":7}"#, "url: 7 is not a string"),
            (r#"{"prefix":"h/a?b"}"#, "prefix: \"h/a?b\" is not a URL without a query"),
            (r#"{"tag":""}"#, "tag: is empty; expected a value"),
            (r#"{"tag":"a\u0001"}"#, "tag: \"a\\u{1}\" is not a tag; expected printable text"),
            (r#"{"tags":[]}"#, "tags: 0 elements; expected 1 to"),
            (r#"{"tags":["a",1]}"#, "tags[1]: 1 is not a string"),
            (r#"{"regex":"("}"#, "regex: "),
            (r#"{"status":99}"#, "status: 99 is not a status code"),
            (r#"{"status":null}"#, "status: null is not a status code"),
            (r#"{"type":"html"}"#, "type: \"html\" is not a media type"),
            (
                r#"{"older_than":"soon"}"#,
                "older_than: \"soon\" is not a duration; expected a number and a unit (ms, s, m, h, d)",
            ),
            (r#"{"older_than":"30m1h"}"#, "older_than: \"30m1h\" is not a duration"),
            (r#"{"older_than":90}"#, "older_than: 90 is not a duration"),
            (r#"{"and":[]}"#, "and: 0 elements; expected 1 to "),
            (r#"{"and":{"tag":"a"}}"#, "and: an object is not a list"),
            (r#"{"and":[{}]}"#, "and[0]: is empty; expected a condition"),
            (r#"{"and":[{"tag":"a"},{"tga":"b"}]}"#, "and[1].tga: unknown field"),
            (r#"{"and":[{"and":[{"tag":"a"}]}]}"#, "and[0].and: is nested in another"),
            (
                r#"{"host":"h","not":{"and":[{"tag":"a"}]}}"#,
                "not: an object is not a negated condition; expected an object with one field",
            ),
            (r#"{"and":[{"all":false}]}"#, "and[0].all: false is not a confirmation"),
            (r#"{"authority":"h/"}"#, "authority: \"h/\" is not an authority"),
            (r#"{"authority":"h:080"}"#, "authority: \"h:080\" is not an authority"),
            (r#"{"tag_glob":""}"#, "tag_glob: is empty"),
            (r#"{"stored_before":-1}"#, "stored_before: -1 is not a time"),
            (r#"{"stored_before":0.0001}"#, "stored_before: "),
            (r#"{"stored_before":1e300}"#, "stored_before: "),
            (r#"{"stored_before":18446744073709551615}"#, "stored_before: "),
            (r#"{"stored_before":"5"}"#, "stored_before: "),
            (r#"{"all":false}"#, "all: false is not a confirmation; expected true"),
            (
                r#"{"host":"h","not":{"all":true}}"#,
                "not: an object is not a negated condition; expected an object with one field",
            ),
            (
                r#"{"host":"h","not":{"tag":"a","status":404}}"#,
                "not: an object is not a negated condition; expected an object with one field",
            ),
        ];
        for (text, expected) in cases {
            let message = check(text).unwrap_err();
            assert!(message.starts_with(expected), "{text}: {message}");
        }
    }

    #[test]
    fn a_selector_is_shown_as_it_is_written() {
        for text in [
            r#"{"url":"h/p"}"#,
            r#"{"tag":"a"}"#,
            r#"{"tags":["a","b"]}"#,
            r#"{"glob":"/a*"}"#,
            r#"{"status":"5xx"}"#,
            r#"{"all":true}"#,
            r#"{"authority":"h"}"#,
            r#"{"host":"h:81"}"#,
            r#"{"url":"https://h:80/p"}"#,
            r#"{"all":true,"stored_before":5}"#,
            r#"{"all":true,"glob":"*"}"#,
        ] {
            assert_eq!(shown(&check(text).unwrap()).to_string(), text);
        }
        let both = shown(&check(r#"{"host":"h","not":{"tag":"a"}}"#).unwrap());
        assert_eq!(both, json!({"and": [{"host": "h"}, {"not": {"tag": "a"}}]}));
    }

    /// A stream of numbers that its seed decides.
    struct Chance(u64);

    impl Chance {
        fn below(&mut self, end: usize) -> usize {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) as usize % end
        }

        fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
            of[self.below(of.len())]
        }

        fn some(&mut self, of: &[&str], max: usize) -> Vec<String> {
            (0..=self.below(max)).map(|_| self.pick(of).to_owned()).collect()
        }
    }

    const HOSTS: [&str; 9] = [
        "h",
        "a.example",
        "h:80",
        "h:443",
        "h:8080",
        "[::1]",
        "[::1]:80",
        "[::1]:8443",
        "xn--bcher-kva.example",
    ];
    const PATHS: [&str; 7] = ["/", "/a", "/a/", "/%C3%BC/%2F", "/a//b", "/http://x/y", "/a%25b"];
    const QUERIES: [&str; 6] = ["", "?", "?a", "?a=b&c=d", "?u=https://x/?y", "?a=%26"];
    const PATTERNS: [&str; 8] = ["/img/*.png", "*", "A*b", "h.example/A*", "\\*?", "x", "*://*", "abc,d"];
    const REGEXES: [&str; 7] = ["\\.css$", ".*", "^/a", "[a-z]", "(?i)abc", "e", "\u{e9}+"];
    const TAGS: [&str; 9] =
        ["a", "user:42", "User 42", "status:404", "host:h", "rule:r", "a,b", "\u{fc}", "type:x/y"];

    /// A selector as one can lie in the journal: what a dialect, a rule or an unsafe request makes.
    fn any(chance: &mut Chance) -> Selector {
        let parts = [Part::Url, Part::Host, Part::ContentType, Part::Tags];
        let uri = |chance: &mut Chance| format!("{}{}", chance.pick(&HOSTS), chance.pick(&PATHS));
        match chance.below(14) {
            0 => Selector::All,
            1 | 2 => Selector::Uri((uri(chance) + chance.pick(&QUERIES)).into_bytes()),
            3 => Selector::UriAnyQuery(uri(chance).into_bytes()),
            4 => Selector::Prefix(uri(chance).into_bytes()),
            5 => Selector::Host(chance.pick(&HOSTS).into()),
            6 => Selector::Hostname(chance.pick(&["h", "a.example", "[::1]"]).into()),
            7 | 8 => Selector::Tags(chance.some(&TAGS, 4).iter().filter_map(|name| Tag::new(name)).collect()),
            9 => url_glob(parts[chance.below(4)], chance.pick(&PATTERNS)),
            10 => Selector::Regex(parts[chance.below(4)], chance.pick(&REGEXES).into()),
            11 => media_range(chance.pick(&["image/*", "text/html", "application/ld+json"])).unwrap(),
            12 => status(chance.pick(&["404", "200", "5xx", "1xx"])).unwrap(),
            _ => Selector::StoredBefore(Timestamp(chance.below(1 << 30) as u64 * 1_699)),
        }
    }

    fn any_term(chance: &mut Chance) -> Term {
        let selector = any(chance);
        Term { negated: selector != Selector::All && chance.below(3) == 0, selector }
    }

    #[test]
    fn what_is_shown_can_be_sent_back() {
        for seed in 0..4_000 {
            let chance = &mut Chance(seed);
            let selector = match chance.below(2) {
                0 => any(chance),
                _ => combined((0..=chance.below(5)).map(|_| any_term(chance)).collect()),
            };
            let text = shown(&selector).to_string();
            assert_eq!(check(&text), Ok(selector), "seed {seed}: {text}");
        }
    }

    /// Whatever the own language says in members is shown in a form that it reads.
    #[test]
    fn what_is_read_is_shown_so_that_it_can_be_sent_back() {
        let many: Vec<String> = (0..4).map(|n| format!("t{n}")).collect();
        let many = json!({
            "tags_all": many, "host": "h", "glob": "/a*", "regex": "a", "type": "a/b", "status": 404, "older_than": "1s",
            "not": {"tag": "x"}, "prefix": "h/", "url": "h/a", "rule": "r", "tag": "y", "type_glob": "*", "tag_glob": "*",
        });
        for text in [
            many.to_string(),
            r#"{"all":true,"older_than":"1500ms"}"#.to_owned(),
            r#"{"all":true,"not":{"tag":"a"}}"#.to_owned(),
            r#"{"all":true,"regex":"[a-z]"}"#.to_owned(),
        ] {
            let selector = check(&text).unwrap();
            assert_eq!(check(&shown(&selector).to_string()), Ok(selector), "{text}");
        }
    }

    /// A purge of a tag lies in the journal with all that is part of it, however many these are.
    #[test]
    fn a_purge_with_all_descendants_of_a_tag_can_be_sent_back() {
        let config = fixture::config();
        let parents: Vec<String> = (0..40).map(|n| format!("part:{n:02}")).collect();
        let hierarchy = TagHierarchy::new(parents.iter().map(|tag| (tag.as_str(), "whole"))).unwrap();
        let forms = |_: &[u8]| Vec::new();
        let reader = Reader {
            config: &config,
            canonical: &fixture::canonical,
            forms: &forms,
            hierarchy: &hierarchy,
            now: fixture::NOW,
        };
        let whole = tags(&["whole"]).expanded(&hierarchy).remove(0);
        let read = |value: Value| {
            let value = Json::parse(value.to_string().as_bytes()).unwrap();
            read_json(&value, |at| read(at, &reader)).map_err(|problem| problem.sentence())
        };
        assert_eq!(read(shown(&whole)), Ok(whole));
        let strangers = read(json!({"tags": ["a", "b", "c", "d", "e"]}));
        assert_eq!(strangers, Err("tags: 5 elements; expected 1 to 4".into()));
    }

    #[test]
    fn a_selector_has_so_many_patterns_and_no_more() {
        let globs = |count: usize| {
            let globs: Vec<Value> = (0..count).map(|n| json!({"glob": format!("/img/{n}*")})).collect();
            check(&json!({"and": globs}).to_string())
        };
        assert!(globs(PATTERNS_MAX).is_ok());
        assert_eq!(globs(PATTERNS_MAX + 1).unwrap_err(), "33 patterns; expected at most 32 in a selector");
        let twice = json!({"tags_all": ["a", "b", "c", "d"]});
        let many = json!({"and": vec![twice; 10]});
        assert_eq!(check(&many.to_string()).unwrap_err(), "40 conditions; expected at most 36 in a selector");
        let long: Vec<Value> = (0..4 + MEMBERS_MAX + 1).map(|n| json!({"tag": format!("t{n}")})).collect();
        assert_eq!(
            check(&json!({"and": long}).to_string()).unwrap_err(),
            "and: 37 elements; expected 1 to 36"
        );
    }
}
