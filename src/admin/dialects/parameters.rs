//! Commands without a body: what JSON says in members, the query says in parameters. Where Envoy does not show bodies to
//! the filter there is no other way, and a command line is shorter.

use serde_json::{Map, Value};

use super::url::{raw_parameters, unescaped};
use crate::admin::Problem;

/// Parameters that are true or false.
const FLAGS: [&str; 3] = ["all", "dry_run", "refresh"];
/// Parameters that are numbers.
const NUMBERS: [&str; 2] = ["stored_before", "version"];
/// Parameters that are lists, with a comma between two elements.
const LISTS: [&str; 2] = ["tags", "tags_all"];
/// Parameters in which a plus sign is one. Forms write blanks so, which no URL has; people write what they see.
const URLS: [&str; 6] = ["url", "url_any_query", "prefix", "host", "authority", "path"];
/// Parameters in which a plus sign may be meant as either, and the wrong guess would purge something else.
const PATTERNS: [&str; 8] =
    ["glob", "regex", "host_glob", "host_regex", "type_glob", "type_regex", "tag_glob", "tag_regex"];

/// The parameters of the query of a path as members of an object, each of the type that JSON has for its name. The
/// member of a `not` is written `not.tag=…`; `host` with `path` is a `url`.
///
/// # Errors
/// When one is empty, stands there twice or is not of its type; the problem names it.
pub fn members(path: &str) -> Result<Map<String, Value>, Problem> {
    let mut members = Map::new();
    for (name, value) in raw_parameters(path)? {
        let name = unescaped(name, true).map_err(Problem::bad)?;
        let (outer, inner) = match name.split_once('.') {
            Some((outer @ "not", inner)) => (outer, Some(inner)),
            _ => (name.as_str(), None),
        };
        let value = typed(inner.unwrap_or(outer), value).map_err(|why| Problem::at(&name, why))?;
        let value = match inner {
            Some(inner) => Map::from_iter([(inner.to_owned(), value)]).into(),
            None => value,
        };
        if members.insert(outer.to_owned(), value).is_some() {
            return Err(Problem::at(&name, "stands in the query twice"));
        }
    }
    join_path(&mut members)?;
    Ok(members)
}

fn typed(name: &str, raw: &str) -> Result<Value, String> {
    if PATTERNS.contains(&name) && raw.contains('+') {
        return Err("write a plus sign as %2B, and a blank as %20".into());
    }
    let text = unescaped(raw, !URLS.contains(&name))?;
    if text.is_empty() {
        return Err("is empty: expected a value".into());
    }
    if FLAGS.contains(&name) {
        text.parse::<bool>().map(Value::from).map_err(|_| format!("expected true or false, found \"{text}\""))
    } else if NUMBERS.contains(&name) {
        number(&text).ok_or_else(|| format!("expected a whole number, found \"{text}\""))
    } else if LISTS.contains(&name) {
        Ok(text.split(',').map(|element| Value::from(element.trim())).collect())
    } else {
        Ok(text.into())
    }
}

/// A whole number, or one with decimals, of which the reader of the member says whether it may have some.
fn number(text: &str) -> Option<Value> {
    let whole = || text.parse::<u64>().ok().map(Value::from);
    let is_decimal = text.starts_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    whole().or_else(|| text.parse::<f64>().ok().filter(|_| is_decimal).map(Value::from))
}

/// Makes a URL of a host and a path.
fn join_path(members: &mut Map<String, Value>) -> Result<(), Problem> {
    let Some(path) = members.remove("path") else { return Ok(()) };
    let path = path.as_str().unwrap_or_default();
    if !path.starts_with('/') {
        return Err(Problem::at("path", format!("expected a path such as \"/a\", found \"{path}\"")));
    }
    let Some(host) = members.remove("host") else {
        return Err(Problem::at("path", "expected the parameter host beside it"));
    };
    let host = host.as_str().unwrap_or_default();
    if host.contains(['/', '?', '#', '@', ' ', '*']) {
        return Err(Problem::at(
            "host",
            format!("expected a host name, with or without a port, found \"{host}\""),
        ));
    }
    match members.insert("url".into(), format!("{host}{path}").into()) {
        Some(_) => Err(Problem::at("path", "expected either host and path, or url")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn each_parameter_has_the_type_of_its_name() {
        let cases = [
            ("", json!({})),
            ("?", json!({})),
            ("?&&", json!({})),
            ("?tag=user%3A42&mode=hard", json!({"tag": "user:42", "mode": "hard"})),
            ("?tag=user+42", json!({"tag": "user 42"})),
            ("?tag=c%2B%2B", json!({"tag": "c++"})),
            ("?url=https://h/a+b%2Bc%3Fd=e%26f", json!({"url": "https://h/a+b+c?d=e&f"})),
            ("?url=https://h/%25C3%25A9", json!({"url": "https://h/%C3%A9"})),
            ("?url=https://h/?a=b", json!({"url": "https://h/?a=b"})),
            ("?host=h:8080&path=/a%3Fb", json!({"url": "h:8080/a?b"})),
            ("?host=h&tag=a", json!({"host": "h", "tag": "a"})),
            ("?tags=a,b%20c,d", json!({"tags": ["a", "b c", "d"]})),
            ("?tags_all=a", json!({"tags_all": ["a"]})),
            ("?all=true&dry_run=false&refresh=true", json!({"all": true, "dry_run": false, "refresh": true})),
            ("?stored_before=5&version=7", json!({"stored_before": 5, "version": 7})),
            ("?stored_before=5.25", json!({"stored_before": 5.25})),
            ("?status=404&older_than=1m", json!({"status": "404", "older_than": "1m"})),
            ("?not.tag=keep", json!({"not": {"tag": "keep"}})),
            ("?not.tags=a,b", json!({"not": {"tags": ["a", "b"]}})),
            ("?t%61g=a", json!({"tag": "a"})),
            ("?reason=deploy+812", json!({"reason": "deploy 812"})),
        ];
        for (query, expected) in cases {
            assert_eq!(members(&format!("/x{query}")).map(Value::from), Ok(expected), "{query}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_name() {
        let cases = [
            ("?tag=", "tag: is empty"),
            ("?tag", "tag: is empty"),
            ("?dry_run", "dry_run: is empty"),
            ("?tag=a&tag=a", "tag: stands in the query twice"),
            ("?tag=a&t%61g=b", "tag: stands in the query twice"),
            ("?not.tag=a&not.host=b", "not.host: stands in the query twice"),
            ("?not=a&not.host=b", "not.host: stands in the query twice"),
            ("?not.tag=", "not.tag: is empty"),
            ("?dry_run=yes", "dry_run: expected true or false"),
            ("?refresh=1", "refresh: expected true or false"),
            ("?version=-1", "version: expected a whole number"),
            ("?stored_before=soon", "stored_before: expected a whole number"),
            ("?stored_before=inf", "stored_before: expected a whole number"),
            ("?stored_before=1e9", "stored_before: expected a whole number"),
            ("?tag=%zz", "tag: \"%zz\" is not percent-encoded"),
            ("?tag=%ff", "tag: \"%ff\" is not percent-encoded"),
            ("?t%zg=a", "\"t%zg\" is not percent-encoded"),
            ("?regex=a+b", "regex: write a plus sign as %2B"),
            ("?path=/a", "path: expected the parameter host"),
            ("?host=h&path=a", "path: expected a path"),
            ("?host=h/b&path=/a", "host: expected a host name"),
            ("?host=h&path=/a&url=h/a", "path: expected either host and path, or url"),
        ];
        for (query, expected) in cases {
            let problem = members(&format!("/x{query}")).unwrap_err();
            assert_eq!(problem.status, 400, "{query}");
            assert!(problem.sentence().starts_with(expected), "{query}: {}", problem.sentence());
        }
    }
}
