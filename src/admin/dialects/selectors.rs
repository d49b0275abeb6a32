//! Selectors in Larder's own language: an object whose members must all hold.

use serde_json::{Value, json};

use super::json::Node;
use super::reader::Reader;
use crate::admin::Problem;
use crate::invalidation::{Matcher, Part, Pattern, Selector, Subject, Tag, Term, media_range, said, status};
use crate::time::Timestamp;

/// The members that a selector may have.
const KNOWN: &str = "url, url_any_query, prefix, host, tag, tags, tags_all, glob, regex, host_glob, host_regex, \
                     type, type_regex, tag_regex, status, rule, older_than, stored_before, all, not";

/// Reads a selector. Its tags are not expanded yet.
///
/// # Errors
/// When it is wrong, or covers everything without saying so.
pub fn read(node: Node, reader: &Reader<'_>) -> Result<Selector, Problem> {
    let path = node.path().to_owned();
    let shown =
        node.expected("a selector that does not cover everything, or \"all\": true beside it to confirm");
    let mut object = node.object()?;
    let mut terms = Vec::new();
    let mut all = false;
    while let Some((name, member)) = object.take_any() {
        match &name[..] {
            "all" => {
                if !member.bool()? {
                    return Err(member.expected("true, or nothing at all"));
                }
                all = true;
            }
            "not" => terms.push(Term { negated: true, selector: read_negated(member, reader)? }),
            "tags_all" => terms.extend(read_tags(member, reader)?.into_iter().map(|t| Term::is(one_tag(t)))),
            _ => terms.push(Term::is(read_member(&name, &member, reader)?)),
        }
    }
    if terms.is_empty() && !all {
        return Err(Problem::at(&path, format!("is empty: expected some of {KNOWN}")));
    }
    let selector = combined(terms);
    // Nobody purges everything by a slip of a wildcard.
    if !all && covers_everything(&selector) {
        return Err(shown);
    }
    Ok(selector)
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

/// Whether a selector covers a response that nothing but a purge of everything could mean, or is as good as that: a
/// pattern that one letter satisfies, or many different ones, wherever they stand.
#[must_use]
pub fn covers_everything(selector: &Selector) -> bool {
    let matcher = Matcher::new(selector);
    covers(&matcher, "") || (matcher.has_pattern() && is_satisfied_by_letters(&matcher))
}

/// The fewest characters in a row that a pattern has to give as they are, its beginning and its end among them.
const SAID_MIN: usize = 3;

/// Whether a selector says what it is about: it names a URL, a path, a host, a tag, a media type or an error, or has a
/// pattern with some text of its own. What does not may cover anything, and is for those who may purge everything.
#[must_use]
pub fn is_particular(selector: &Selector) -> bool {
    match selector {
        Selector::And(terms) => terms.iter().any(|term| !term.negated && is_particular(&term.selector)),
        Selector::All | Selector::StoredBefore(_) => false,
        Selector::Status(status) => *status >= 300,
        Selector::StatusClass(class) => *class >= 3,
        Selector::Glob(..) | Selector::Regex(..) => said(selector) >= SAID_MIN,
        Selector::Tags(tags) => tags.iter().all(is_particular_tag),
        Selector::ContentType(range) => range.len() > "*/*".len(),
        Selector::Uri(_)
        | Selector::UriAnyQuery(_)
        | Selector::Prefix(_)
        | Selector::Host(_)
        | Selector::Hostname(_) => true,
    }
}

/// An automatic tag is what it stands for.
fn is_particular_tag(tag: &Tag) -> bool {
    match tag.as_str().strip_prefix("status:").and_then(status) {
        Some(status) => is_particular(&status),
        None => true,
    }
}

/// Letters that most URLs have, and what hosts have.
fn letters() -> impl Iterator<Item = char> {
    ('a'..='z').chain(['.'])
}

fn is_satisfied_by_letters(matcher: &Matcher) -> bool {
    let runs = || ('a'..='z').chain('A'..='Z').chain('0'..='9');
    let between: String = letters().chain(runs()).flat_map(|c| ['\u{1}', c]).collect();
    let in_runs: String = runs().map(|c| format!("\u{1}{}", run(c))).collect();
    // Nearly all patterns end here.
    if covers(matcher, &between) && letters().any(|c| covers(matcher, &c.to_string())) {
        return true;
    }
    covers(matcher, &in_runs) && runs().filter(|c| covers(matcher, &run(*c))).nth(1).is_some()
}

fn run(letter: char) -> String {
    core::iter::repeat_n(letter, 8).collect()
}

/// Whether a response is covered in which nothing could have been meant but this text.
fn covers(matcher: &Matcher, text: &str) -> bool {
    let part = format!("\u{1}{text}\u{1}");
    // Tags have no control characters.
    let tag = part.replace('\u{1}', "\u{e000}");
    let tags: Vec<Tag> = Tag::new(&tag).filter(|_| !text.is_empty()).into_iter().collect();
    matcher.covers(&Subject {
        uri: format!("{part}/{part}").as_bytes(),
        tags: &tags,
        status: 0,
        content_type: if text.is_empty() { b"" } else { part.as_bytes() },
        stored_at: Timestamp(0),
    })
}

fn read_negated(node: Node, reader: &Reader<'_>) -> Result<Selector, Problem> {
    let wrong = node.expected("an object with one member");
    let mut object = node.object()?;
    match object.take_any() {
        Some((name, member)) if object.is_empty() && !matches!(&name[..], "not" | "all" | "tags_all") => {
            read_member(&name, &member, reader)
        }
        _ => Err(wrong),
    }
}

fn read_member(name: &str, member: &Node, reader: &Reader<'_>) -> Result<Selector, Problem> {
    let wrong = |why: String| Problem::at(member.path(), why);
    match name {
        "url" => reader.uri(member.string()?).map(Selector::Uri).map_err(wrong),
        "url_any_query" => reader.any_query(member.string()?).map_err(wrong),
        "prefix" => reader.prefix(member.string()?).map_err(wrong),
        "host" => reader.host(member.string()?).map_err(wrong),
        "tag" => read_tag(member).map(one_tag),
        "tags" => Ok(Selector::Tags(read_tags(member.clone(), reader)?)),
        "glob" => glob(Part::Url, member),
        "host_glob" => glob(Part::Host, member),
        "regex" => regex(Part::Url, member),
        "host_regex" => regex(Part::Host, member),
        "type_regex" => regex(Part::ContentType, member),
        "tag_regex" => regex(Part::Tags, member),
        "type" => media_range(member.string()?)
            .ok_or_else(|| member.expected("a media type such as \"text/html\" or \"image/*\"")),
        "status" => read_status(member),
        "rule" => Tag::new(&format!("rule:{}", member.string()?))
            .map(one_tag)
            .ok_or_else(|| member.expected("the name of a rule")),
        "older_than" => {
            let age = duration_ms(member.string()?)
                .ok_or_else(|| member.expected("a duration such as \"90s\" or \"12h\""))?;
            Ok(Selector::StoredBefore(Timestamp(reader.now.0.saturating_sub(age))))
        }
        "stored_before" => member.number().map(|secs| Selector::StoredBefore(Timestamp::from_secs(secs))),
        _ => Err(Problem::at(member.path(), format!("is not known: expected some of {KNOWN}"))),
    }
}

fn one_tag(tag: Tag) -> Selector {
    Selector::Tags(vec![tag])
}

fn read_tag(node: &Node) -> Result<Tag, Problem> {
    Tag::new(node.string()?).ok_or_else(|| node.expected("a tag: printable text of at most 1024 bytes"))
}

fn read_tags(node: Node, reader: &Reader<'_>) -> Result<Vec<Tag>, Problem> {
    node.list(reader.config.selectors_max)?.iter().map(read_tag).collect()
}

fn glob(part: Part, node: &Node) -> Result<Selector, Problem> {
    let text = node.string()?;
    Pattern::glob(text).map_err(|why| Problem::at(node.path(), why))?;
    Ok(url_glob(part, text))
}

/// A glob whose host is in lower case and without a scheme, as in canonical URIs.
#[must_use]
pub fn url_glob(part: Part, text: &str) -> Selector {
    if part != Part::Url {
        return Selector::Glob(part, text.to_ascii_lowercase().into());
    }
    let text = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")).unwrap_or(text);
    let host = text.find('/').unwrap_or(text.len());
    let (host, path) = text.split_at_checked(host).unwrap_or((text, ""));
    Selector::Glob(part, format!("{}{path}", host.to_ascii_lowercase()).into())
}

fn regex(part: Part, node: &Node) -> Result<Selector, Problem> {
    let text = node.string()?;
    Pattern::regex(text).map_err(|why| Problem::at(node.path(), why))?;
    Ok(Selector::Regex(part, text.into()))
}

fn read_status(node: &Node) -> Result<Selector, Problem> {
    let text = match node.value() {
        Value::Number(number) => number.to_string(),
        other => other.as_str().unwrap_or_default().to_owned(),
    };
    status(&text).ok_or_else(|| node.expected("a status code such as 404 or a class such as \"4xx\""))
}

/// A duration such as `90s`, in milliseconds.
fn duration_ms(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits)?;
    let ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(ms)
}

/// A selector as this language writes it, for receipts, the journal and explanations.
#[must_use]
pub fn shown(selector: &Selector) -> Value {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let pattern = |url: &str, host: &str, kind: &str, tag: &str, part: &Part, pattern: &str| match part {
        Part::Url => json!({ url: pattern }),
        Part::Host => json!({ host: pattern }),
        Part::ContentType => json!({ kind: pattern }),
        Part::Tags => json!({ tag: pattern }),
    };
    match selector {
        Selector::All => json!({ "all": true }),
        Selector::Uri(uri) => json!({ "url": text(uri) }),
        Selector::UriAnyQuery(uri) => json!({ "url_any_query": text(uri) }),
        Selector::Prefix(uri) => json!({ "prefix": text(uri) }),
        Selector::Host(host) | Selector::Hostname(host) => json!({ "host": text(host) }),
        Selector::Tags(tags) => match &tags[..] {
            [tag] => json!({ "tag": tag.as_str() }),
            tags => json!({ "tags": tags.iter().map(Tag::as_str).collect::<Vec<_>>() }),
        },
        Selector::Glob(part, glob) => pattern("glob", "host_glob", "type_glob", "tag_glob", part, glob),
        Selector::Regex(part, regex) => {
            pattern("regex", "host_regex", "type_regex", "tag_regex", part, regex)
        }
        Selector::ContentType(range) => json!({ "type": range }),
        Selector::Status(status) => json!({ "status": status }),
        Selector::StatusClass(class) => json!({ "status": format!("{class}xx") }),
        Selector::StoredBefore(time) => json!({ "stored_before": time.secs() }),
        Selector::And(terms) => json!({ "and": terms.iter().map(shown_term).collect::<Vec<_>>() }),
    }
}

fn shown_term(term: &Term) -> Value {
    let selector = shown(&term.selector);
    if term.negated { json!({ "not": selector }) } else { selector }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::fixture;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn check(text: &str) -> Result<Selector, String> {
        fixture::with_reader(|reader| {
            let node = Node::parse(text.as_bytes()).unwrap();
            read(node, reader).map_err(|problem| problem.sentence())
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
            (r#"{"regex":"\\.css$"}"#, Selector::Regex(Part::Url, "\\.css$".into())),
            (r#"{"host_regex":"^www\\."}"#, Selector::Regex(Part::Host, "^www\\.".into())),
            (r#"{"host_glob":"*.Example"}"#, Selector::Glob(Part::Host, "*.example".into())),
            (r#"{"type":"Image/*"}"#, Selector::ContentType("image/*".into())),
            (r#"{"status":404}"#, Selector::Status(404)),
            (r#"{"status":"5xx"}"#, Selector::StatusClass(5)),
            (r#"{"rule":"images"}"#, tags(&["rule:images"])),
            (r#"{"all":true}"#, Selector::All),
            (r#"{"all":true,"older_than":"1m"}"#, Selector::StoredBefore(Timestamp(fixture::NOW.0 - 60_000))),
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
    fn what_is_wrong_is_said_with_its_place() {
        let cases = [
            ("{}", "is empty"),
            ("7", "expected an object"),
            (r#"{"uri":"x"}"#, "uri: is not known: expected some of url,"),
            (r#"{"url":"/p"}"#, "url: expected an absolute URL"),
            (r#"{"url":7}"#, "url: expected a string"),
            (r#"{"prefix":"h/a?b"}"#, "prefix: expected a URL without query"),
            (r#"{"tag":""}"#, "tag: expected a string that is not empty"),
            (r#"{"tag":"a\u0001"}"#, "tag: expected a tag"),
            (r#"{"tags":[]}"#, "tags: expected 1 to"),
            (r#"{"tags":["a",1]}"#, "tags[1]: expected a string"),
            (r#"{"regex":"("}"#, "regex: "),
            (r#"{"status":99}"#, "status: expected a status code"),
            (r#"{"status":null}"#, "status: expected a status code"),
            (r#"{"type":"html"}"#, "type: expected a media type"),
            (r#"{"older_than":"soon"}"#, "older_than: expected a duration"),
            (r#"{"all":false}"#, "all: expected true"),
            (r#"{"host":"h","not":{"all":true}}"#, "not: expected an object with one member"),
            (r#"{"host":"h","not":{"tag":"a","status":404}}"#, "not: expected an object with one member"),
        ];
        for (text, expected) in cases {
            let message = check(text).unwrap_err();
            assert!(message.starts_with(expected), "{text}: {message}");
        }
    }

    #[test]
    fn everything_must_be_said() {
        for slip in [
            r#"{"glob":"*"}"#,
            r#"{"regex":".*"}"#,
            r#"{"regex":"^/"}"#,
            r#"{"regex":"[a-z]"}"#,
            r#"{"regex":"\\w{2,}"}"#,
            r#"{"regex":"e"}"#,
            r#"{"regex":"(a|e|i|o|u)"}"#,
            r#"{"glob":"*a*"}"#,
            r#"{"host_glob":"*.*"}"#,
            r#"{"host_regex":"\\."}"#,
            r#"{"tag_regex":"[a-z0-9]"}"#,
            r#"{"older_than":"0s"}"#,
            r#"{"not":{"tag":"a"}}"#,
        ] {
            assert!(check(slip).unwrap_err().contains("\"all\": true"), "{slip}");
            assert!(check(&slip.replacen('{', r#"{"all":true,"#, 1)).is_ok(), "{slip}");
        }
    }

    #[test]
    fn what_says_something_need_not_be_confirmed() {
        for text in [
            r#"{"regex":"^/a"}"#,
            r#"{"regex":"\\.css$"}"#,
            r#"{"regex":"^/[a-z]{2}/"}"#,
            r#"{"regex":"/news"}"#,
            r#"{"regex":"www"}"#,
            r#"{"regex":"\\?"}"#,
            r#"{"glob":"/img/*.png"}"#,
            r#"{"host_glob":"*.example"}"#,
            r#"{"tag_regex":"^user:"}"#,
            r#"{"tag_regex":"^a"}"#,
            r#"{"host":"h","regex":"[a-z]"}"#,
        ] {
            assert!(check(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn a_token_of_its_own_purges_what_it_names() {
        for (text, expected) in [
            (r#"{"url":"http://h/p"}"#, true),
            (r#"{"host":"h"}"#, true),
            (r#"{"tag":"a"}"#, true),
            (r#"{"rule":"r"}"#, true),
            (r#"{"type":"image/*"}"#, true),
            (r#"{"status":404}"#, true),
            (r#"{"status":"5xx"}"#, true),
            (r#"{"regex":"^/a"}"#, true),
            (r#"{"regex":"\\.js$"}"#, true),
            (r#"{"regex":"^/news/[0-9]+$"}"#, true),
            (r#"{"glob":"/a*"}"#, true),
            (r#"{"host_glob":"*.example"}"#, true),
            (r#"{"tag_regex":"^user:"}"#, true),
            (r#"{"host":"h","regex":"[a-z]"}"#, true),
            (r#"{"status":200,"tag":"a"}"#, true),
            (r#"{"all":true}"#, false),
            (r#"{"all":true,"older_than":"1s"}"#, false),
            (r#"{"status":200}"#, false),
            (r#"{"status":"2xx"}"#, false),
            (r#"{"tag":"status:200"}"#, false),
            (r#"{"tags":["a","status:2xx"]}"#, false),
            (r#"{"status":200,"not":{"tag":"a"}}"#, false),
            (r#"{"all":true,"regex":"[a-z]"}"#, false),
            (r#"{"all":true,"regex":"."}"#, false),
            (r#"{"all":true,"regex":"e"}"#, false),
            (r#"{"regex":"[a-z]/"}"#, false),
            (r#"{"regex":"\\w\\w"}"#, false),
            (r#"{"regex":"^[^/]+/."}"#, false),
            (r#"{"regex":"[a-z]+\\.[a-z]+"}"#, false),
            (r#"{"regex":"\\.c"}"#, false),
            (r#"{"regex":"(abc)?"}"#, false),
            (r#"{"regex":"abcd|x"}"#, false),
            (r#"{"regex":"ab{0,9}c?d*"}"#, false),
            (r#"{"all":true,"glob":"*.*"}"#, false),
            (r#"{"all":true,"host_regex":"[a-z0-9.:]+"}"#, false),
            (r#"{"tag_regex":"[a-z]{2}"}"#, false),
        ] {
            let confirmed = text.replacen('{', r#"{"all":true,"#, 1);
            let confirmed = if text.contains(r#""all""#) { text } else { &confirmed };
            let selector = check(text).or_else(|_| check(confirmed));
            assert_eq!(selector.map(|selector| is_particular(&selector)), Ok(expected), "{text}");
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
        ] {
            assert_eq!(shown(&check(text).unwrap()).to_string(), text);
        }
        let both = shown(&check(r#"{"host":"h","not":{"tag":"a"}}"#).unwrap());
        assert_eq!(both, json!({"and": [{"host": "h"}, {"not": {"tag": "a"}}]}));
    }
}
