//! Commands without a body: what JSON says in fields, the query says in parameters. Where Envoy does not show bodies to
//! the filter there is no other way, and a command line is shorter.

use super::url::{may_be_authority, raw_parameters, unescaped, wrong_host};
use crate::admin::Problem;
use crate::json::{DUPLICATE, Json, repeated, shortened};

/// Parameters that are true or false.
const FLAGS: [&str; 3] = ["all", "dry_run", "refresh"];
/// Parameters that are numbers.
const NUMBERS: [&str; 5] = ["stored_before", "version", "before", "limit", "cursor"];
/// Parameters that are lists, with a comma between two elements.
const LISTS: [&str; 2] = ["tags", "tags_all"];
/// Parameters in which a plus sign is one. Forms write blanks so, which no URL has; people write what they see.
const URLS: [&str; 6] = ["url", "url_any_query", "prefix", "host", "authority", "path"];
/// Parameters in which a plus sign may be meant as either, and the wrong guess would purge something else.
const PATTERNS: [&str; 8] =
    ["glob", "regex", "host_glob", "host_regex", "type_glob", "type_regex", "tag_glob", "tag_regex"];

/// The parameters of the query of a path as the fields of an object, each of the type that JSON has for its name; what
/// is not of it stays a string, and the reader of the field says what is wrong with that. The field of a `not` is
/// written `not.tag=…`.
///
/// # Errors
/// When one is not percent-encoded; the problem names it.
pub fn fields(path: &str) -> Result<Vec<(String, Json)>, Problem> {
    let mut fields = Vec::new();
    for (name, raw) in raw_parameters(path)? {
        let name = unescaped(name, true).map_err(Problem::bad)?;
        let value = |field: &str| typed(field, raw).map_err(|why| Problem::at(&name, why));
        let field = match name.split_once('.') {
            Some(("not", inner)) => ("not".into(), Json::Object(vec![(inner.to_owned(), value(inner)?)])),
            _ => (name.clone(), value(&name)?),
        };
        fields.push(field);
    }
    Ok(fields)
}

/// The same of a command: nothing twice, and `host` with `path` is a `url`.
///
/// # Errors
/// When one is not percent-encoded or stands there twice, and when a path has no host; the problem names it.
pub fn command(path: &str) -> Result<Vec<(String, Json)>, Problem> {
    let mut fields = fields(path)?;
    if let Some(name) = repeated(fields.iter().map(|(name, _)| name.as_str())) {
        return Err(Problem::at(name, DUPLICATE));
    }
    if let Some(path) = take(&mut fields, "path") {
        let host = take(&mut fields, "host");
        if take(&mut fields, "url").is_some() {
            return Err(Problem::at("path", "expected either host and path, or url"));
        }
        fields.push(("url".into(), joined(host.as_ref(), &path)?));
    }
    Ok(fields)
}

/// Takes a field out.
pub fn take(fields: &mut Vec<(String, Json)>, name: &str) -> Option<Json> {
    let at = fields.iter().position(|(field, _)| field == name)?;
    Some(fields.remove(at).1)
}

fn typed(name: &str, raw: &str) -> Result<Json, String> {
    if PATTERNS.contains(&name) && raw.contains('+') {
        return Err("write a plus sign as %2B, and a blank as %20".into());
    }
    let text = unescaped(raw, !URLS.contains(&name))?;
    let of_its_type = match text.as_str() {
        "true" if FLAGS.contains(&name) => Some(Json::Bool(true)),
        "false" if FLAGS.contains(&name) => Some(Json::Bool(false)),
        text if NUMBERS.contains(&name) => number(text),
        text if LISTS.contains(&name) => {
            Some(Json::List(text.split(',').map(|element| Json::Text(element.trim().into())).collect()))
        }
        _ => None,
    };
    Ok(of_its_type.unwrap_or(Json::Text(text)))
}

fn number(text: &str) -> Option<Json> {
    let is_decimal = text.starts_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    text.parse().ok().filter(|_| is_decimal).map(Json::Number)
}

/// A URL of a host and a path.
fn joined(host: Option<&Json>, path: &Json) -> Result<Json, Problem> {
    let path = path.text().unwrap_or_default();
    if !path.starts_with('/') {
        let message = format!("{:?} is not a path; expected one such as \"/a\"", shortened(path));
        return Err(Problem::at("path", message));
    }
    let Some(host) = host.and_then(Json::text) else {
        return Err(Problem::at("path", "expected the parameter host beside it"));
    };
    if !may_be_authority(host) {
        return Err(Problem::at("host", wrong_host(host)));
    }
    Ok(Json::Text(format!("{host}{path}")))
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
            // The reader of the field says what is wrong.
            ("?tag&dry_run", json!({"tag": "", "dry_run": ""})),
            ("?dry_run=yes&refresh=1", json!({"dry_run": "yes", "refresh": "1"})),
            ("?version=-1&stored_before=1e9", json!({"version": "-1", "stored_before": "1e9"})),
            ("?limit=inf&cursor=%2B5", json!({"limit": "inf", "cursor": "+5"})),
        ];
        for (query, expected) in cases {
            assert_eq!(
                command(&format!("/x{query}")).map(|read| Json::Object(read).written()),
                Ok(expected),
                "{query}"
            );
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_name() {
        let cases = [
            ("?tag=a&tag=a", "tag: duplicate field"),
            ("?tag=a&t%61g=b", "tag: duplicate field"),
            ("?host=h&path=/a&host=i", "host: duplicate field"),
            ("?not.tag=a&not.host=b", "not: duplicate field"),
            ("?not=a&not.host=b", "not: duplicate field"),
            ("?tag=%zz", "tag: \"%zz\" is not percent-encoded"),
            ("?tag=%ff", "tag: \"%ff\" is not percent-encoded"),
            ("?t%zg=a", "\"t%zg\" is not percent-encoded"),
            ("?regex=a+b", "regex: write a plus sign as %2B"),
            ("?path=/a", "path: expected the parameter host"),
            ("?host=h&path=a", "path: \"a\" is not a path; expected one such as"),
            ("?host=h/b&path=/a", "host: \"h/b\" is not a host; expected a name"),
            ("?host=h&path=/a&url=h/a", "path: expected either host and path, or url"),
        ];
        for (query, expected) in cases {
            let problem = command(&format!("/x{query}")).unwrap_err();
            assert_eq!(problem.status, 400, "{query}");
            assert!(problem.sentence().starts_with(expected), "{query}: {}", problem.sentence());
        }
    }
}
