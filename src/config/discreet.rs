//! What an error may show of a configuration: Envoy logs errors, and a token may stand where none belongs.

use crate::json::{Discretion, Json, Path, shortened};

/// What is shown of a configuration.
pub(super) const DISCREET: Discretion = Discretion { value: shown, name: shown_name, may_name };

/// Words that stand beside secrets, or in them.
const SECRET_WORDS: [&str; 8] =
    ["secret", "token", "passw", "bearer", "basic ", "authorization", "credential", "api-key"];
/// So many letters and digits of several kinds in a row are no word and no name. Beyond it a text is taken for a secret,
/// and no error shows it.
const RUN_MAX: usize = 20;
/// The longest name of an unknown field that is shown where tokens are configured. Beyond it the error does not show it.
const PLAIN_NAME_MAX: usize = 24;

/// A value as an error shows it: no more than what it is where secrets are configured, or where it looks like one.
fn shown(value: &Json, path: &Path<'_>) -> String {
    match value {
        Json::Text(text) if is_name(text, path) => quoted(text),
        Json::Text(_) if is_private(path) => "the text".into(),
        Json::Text(text) => quoted(text),
        Json::Number(_) if is_private(path) => "the number".into(),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::List(_) | Json::Object(_) => value.to_string(),
    }
}

/// A text as an error or a warning shows it.
pub(super) fn quoted(text: &str) -> String {
    if looks_secret(text) {
        format!("a text of {} characters", text.chars().count())
    } else {
        format!("{:?}", shortened(text))
    }
}

/// The name of a field as a path shows it.
pub(super) fn shown_name(name: &str) -> String {
    if looks_secret(name) { "(hidden)".into() } else { shortened(name) }
}

/// Whether the name of an unknown field may be shown. Beside tokens, it may be a token itself.
fn may_name(name: &str, parent: &Path<'_>) -> bool {
    let is_plain = name.len() <= PLAIN_NAME_MAX && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    match parent {
        Path::Field(Path::Whole(_), "admin") => is_plain,
        _ => !is_private(parent),
    }
}

/// Whether values in this place are not shown: the whole section of the tokens, and what request fields have to be.
fn is_private(path: &Path<'_>) -> bool {
    match path {
        Path::Whole(_) => false,
        Path::Field(Path::Whole(_), "admin") | Path::Field(Path::Field(_, "match"), "header") => true,
        Path::Field(parent, name) => is_private(parent) || looks_secret(name),
        Path::Element(parent, _) => is_private(parent),
    }
}

/// Whether a value is the name of a field, as in an object whose fields may have any name.
fn is_name(text: &str, path: &Path<'_>) -> bool {
    matches!(path, Path::Field(_, name) if *name == text) && !is_of_tokens(path)
}

fn is_of_tokens(path: &Path<'_>) -> bool {
    match path {
        Path::Whole(_) => false,
        Path::Field(Path::Whole(_), name) => *name == "admin",
        Path::Field(parent, _) | Path::Element(parent, _) => is_of_tokens(parent),
    }
}

/// Whether a text may be a secret: one that says so, or so long a run of letters and digits that it is no name.
fn looks_secret(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    // Field names that have such a word in them are known, and say nothing.
    let says_so = SECRET_WORDS.iter().any(|word| lower.contains(word)) && !is_known_name(&lower);
    says_so || runs(text).any(is_random)
}

fn is_known_name(lower: &str) -> bool {
    ["tokens", "token", "secret", "authorization", "proxy-authorization", "x-api-key", "credentials"]
        .contains(&lower)
}

fn runs(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || "+=_-".contains(c)))
}

fn is_random(run: &str) -> bool {
    let classes: [fn(&u8) -> bool; 3] = [u8::is_ascii_lowercase, u8::is_ascii_uppercase, u8::is_ascii_digit];
    let has = classes.iter().filter(|class| run.bytes().any(|byte| class(&byte))).count();
    run.len() >= RUN_MAX && has >= 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    /// Wherever a token is put by mistake, the error has its place and not the token.
    #[test]
    fn no_error_shows_a_secret() {
        let secrets = [
            "my-secret-token",
            "s3cr3t",
            "hunter2",
            "dGhpcyBpcyBhIHRva2VuIG9mIG1pbmU",
            "Bearer abc",
            "12345678",
        ];
        let places = [
            r#"{"admin": %}"#,
            r#"{"admin": {"tokens": %}}"#,
            r#"{"admin": {"tokens": [%]}}"#,
            r#"{"admin": {"tokens": [{%: 1}]}}"#,
            r#"{"admin": {"tokens": [{%: 1, %: 2}]}}"#,
            r#"{"admin": {"tokens": {%: "ops"}}}"#,
            r#"{"admin": {"tokens": [[%]]}}"#,
            r#"{"admin": {"tokens": [{"name": [%], "sha256": "x"}]}}"#,
            r#"{"admin": {"tokens": [{"name": "a b %", "sha256": "x"}]}}"#,
            r#"{"admin": {"tokens": [{"name": "ops", "sha256": %}]}}"#,
            r#"{"admin": {"tokens": [{"name": "ops", "sha256": "D", "scopes": %}]}}"#,
            r#"{"admin": {"tokens": [{"name": "ops", "sha256": "D", "scopes": [%]}]}}"#,
            r#"{"admin": {"tokens": [{"name": "ops", "token": %}]}}"#,
            r#"{"admin": {"token": %}}"#,
            r#"{"admin": {"path": %}}"#,
            r#"{"admin": {"methods": %}}"#,
            r#"{"admin": {"networks": [%]}}"#,
            r#"{"admin": {"client_names": ["a b %"]}}"#,
            r#"{"admin": {"strangers": %}}"#,
            r#"{"admin": {"rate": %}}"#,
            r#"{"token": %}"#,
            r#"{"tokens": [%]}"#,
            r#"{"secret": %}"#,
            r#"{"rules": [{"match": {"header": {"x-origin": {"is": %}}}}]}"#,
            r#"{"rules": [{"match": {"header": {"x-origin": ["**%**", 5]}}}]}"#,
            r#"{"admin": {"tokens": [{"name": "ops" %}]}}"#,
        ];
        for secret in secrets {
            for place in places {
                let value = match place.contains(": \"a b %\"")
                    || place.contains("[\"a b %\"]")
                    || place.contains("**%**")
                {
                    true => secret.to_owned(),
                    false => format!("\"{secret}\""),
                };
                let digest = "0123456789abcdef".repeat(4);
                let json = place.replace('%', &value).replace("\"D\"", &format!("\"{digest}\""));
                if let Err(error) = Config::parse(json.as_bytes()) {
                    assert!(!error.to_string().contains(secret), "{json}\n{error}");
                }
            }
        }
        let number = Config::parse(br#"{"admin": {"tokens": [12345678]}}"#).unwrap_err().to_string();
        assert!(number.starts_with("admin.tokens[0]: the number is not an object"), "{number}");
    }

    #[test]
    fn what_looks_like_a_secret_is_shown_nowhere() {
        let secret = "q7Zt0vYhW3nXk2LpRs9dAa";
        for place in [
            r#"{"ttl": "%"}"#,
            r#"{"name": "% "}"#,
            r#"{"%": 1}"#,
            r#"{"store": {"%": 1}}"#,
            r#"{"key": {"cookies": ["sid=%"]}}"#,
            r#"{"collapse": {"fetch": "%"}}"#,
            r#"{"rules": [{"%": 1}]}"#,
            r#"{"rules": [{"match": {"path": "%"}}]}"#,
            r#"{"tags": {"parents": {"%": 5}}}"#,
        ] {
            let json = place.replace('%', secret);
            let error = Config::parse(json.as_bytes()).expect_err(&json).to_string();
            assert!(!error.contains(secret), "{json}\n{error}");
        }
        for plain in [
            "stale_while_revalidate_x",
            "90x",
            "http://shop.example/a/very/long/path/indeed",
            "x-forwarded-host",
        ] {
            assert!(!looks_secret(plain), "{plain}");
        }
    }
}
