//! How much a selector covers: everything, so that it needs `"all": true`, or something in particular, so that a token
//! without the scope `purge_all` may use it.

use crate::invalidation::{Matcher, Selector, Subject, Tag, said, status};
use crate::time::Timestamp;

/// Whether a selector covers everything, or nearly everything: a pattern that a single letter matches, or that matches
/// many different letters, anywhere in the text.
#[must_use]
pub fn covers_everything(selector: &Selector) -> bool {
    let matcher = Matcher::new(selector);
    covers(&matcher, "") || (matcher.has_pattern() && is_satisfied_by_letters(&matcher))
}

/// The least literal text, in characters in a row, that makes a pattern particular; its beginning and its end count.
const SAID_MIN: usize = 3;

/// Whether a selector is about something in particular: it names a URL, a path, a host, a tag, a media type or an error
/// status, or has a pattern with some literal text. Any other selector may cover anything, so it needs the scope
/// `purge_all`.
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

/// An automatic tag such as `status:200` is as particular as the status.
fn is_particular_tag(tag: &Tag) -> bool {
    match tag.as_str().strip_prefix("status:").and_then(status) {
        Some(status) => is_particular(&status),
        None => true,
    }
}

/// The letters that most URLs have, and the dot of hosts.
fn letters() -> impl Iterator<Item = char> {
    ('a'..='z').chain(['.'])
}

fn is_satisfied_by_letters(matcher: &Matcher) -> bool {
    let runs = || ('a'..='z').chain('A'..='Z').chain('0'..='9');
    let between: String = letters().chain(runs()).flat_map(|c| ['\u{1}', c]).collect();
    let in_runs: String = runs().map(|c| format!("\u{1}{}", run(c))).collect();
    // Most patterns that cover everything match both of these: the rest is needed for few.
    if covers(matcher, &between) && letters().any(|c| covers(matcher, &c.to_string())) {
        return true;
    }
    covers(matcher, &in_runs) && runs().filter(|c| covers(matcher, &run(*c))).nth(1).is_some()
}

fn run(letter: char) -> String {
    core::iter::repeat_n(letter, 8).collect()
}

/// Whether a made-up response is covered that has nothing but this text.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::dialects::reader::read_json;
    use crate::admin::dialects::selectors::read;
    use crate::admin::fixture;
    use crate::json::Json;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn check(text: &str) -> Result<Selector, String> {
        fixture::with_reader(|reader| {
            let value = Json::parse(text.as_bytes()).unwrap();
            read_json(&value, |at| read(at, reader)).map_err(|problem| problem.sentence())
        })
    }

    #[test]
    fn a_selector_that_covers_everything_needs_a_confirmation() {
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
            r#"{"tag_glob":"*"}"#,
            r#"{"and":[{"glob":"*"}]}"#,
            r#"{"and":[{"all":true}]}"#,
            r#"{"and":[{"all":true},{"older_than":"0s"}]}"#,
            r#"{"and":[{"not":{"tag":"a"}},{"glob":"*"}]}"#,
        ] {
            assert!(check(slip).unwrap_err().contains("\"all\": true"), "{slip}");
            assert!(check(&slip.replacen('{', r#"{"all":true,"#, 1)).is_ok(), "{slip}");
        }
    }

    #[test]
    fn a_pattern_with_literal_text_needs_no_confirmation() {
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
    fn a_selector_that_names_something_is_particular() {
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
            (r#"{"tag_glob":"user:*"}"#, true),
            (r#"{"tag_glob":"?*"}"#, false),
            (r#"{"type_glob":"image/*"}"#, true),
            (r#"{"type_glob":"*/*"}"#, false),
            (r#"{"authority":"h"}"#, true),
            (r#"{"and":[{"host":"h"},{"glob":"*"}]}"#, true),
            (r#"{"and":[{"all":true},{"tag":"a"}]}"#, true),
            (r#"{"and":[{"glob":"*"},{"tag_glob":"*"}]}"#, false),
            (r#"{"and":[{"status":200},{"not":{"tag":"a"}}]}"#, false),
        ] {
            let confirmed = text.replacen('{', r#"{"all":true,"#, 1);
            let confirmed = if text.contains(r#""all""#) { text } else { &confirmed };
            let selector = check(text).or_else(|_| check(confirmed));
            assert_eq!(selector.map(|selector| is_particular(&selector)), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_token_without_purge_all_cannot_purge_everything_in_any_form() {
        let send = |selector: &str| {
            let body = format!(r#"{{"selectors":[{selector}],"mode":"hard"}}"#);
            fixture::send("POST /_larder/purge", &[("authorization", "Bearer purge")], &body)
        };
        for (selector, status) in [
            (r#"{"and":[]}"#, 400),
            (r#"{"and":[],"all":true}"#, 400),
            (r#"{"and":[{}]}"#, 400),
            (r#"{"and":[{"all":true}]}"#, 400),
            (r#"{"and":[{"all":true}],"all":true}"#, 403),
            (r#"{"and":[{"glob":"*"}]}"#, 400),
            (r#"{"and":[{"glob":"*"}],"all":true}"#, 403),
            (r#"{"and":[{"glob":"*"},{"tag_glob":"*"},{"host_glob":"*"}],"all":true}"#, 403),
            (r#"{"and":[{"not":{"tag":"nothing has it"}}],"all":true}"#, 403),
            (r#"{"and":[{"not":{"tag_glob":"nothing has it"}},{"status":"2xx"}]}"#, 403),
            (r#"{"and":[{"stored_before":9000000000}],"all":true}"#, 403),
            (r#"{"tag_glob":"*"}"#, 400),
            (r#"{"tag_glob":"*","all":true}"#, 403),
            (r#"{"tag_glob":"*?*"}"#, 400),
            (r#"{"tag_glob":"*?*","all":true}"#, 403),
            (r#"{"type_glob":"*/*"}"#, 403),
            (r#"{"type_glob":"*","all":true}"#, 403),
            (r#"{"host_glob":"*","all":true}"#, 403),
            (r#"{"stored_before":9000000000.5,"all":true}"#, 403),
        ] {
            let sent = send(selector).map_or_else(|refused| refused.status, |_| 200);
            assert_eq!(sent, status, "{selector}");
        }
        for selector in
            [r#"{"and":[{"host":"h"},{"glob":"*"}]}"#, r#"{"tag_glob":"user:*"}"#, r#"{"authority":"h"}"#]
        {
            assert!(send(selector).is_ok(), "{selector}");
        }
    }
}
