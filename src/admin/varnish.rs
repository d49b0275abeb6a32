//! `PURGE`, `PURGEKEYS`, `BAN` and `REFRESH` on any path, as Varnish, FOSHttpCache, Magento and nginx have them.
//!
//! - `PURGE /path`: this URL of this host. `PURGE /path*`: all that start like it.
//! - `PURGE /` with `xkey`, `xkey-purge`, `Surrogate-Key`, `Cache-Tag`, `Cache-Tags`, `X-Cache-Tags`: these tags;
//!   with `xkey-softpurge` softly; with `X-Magento-Tags-Pattern` tags by a regular expression, `.*` being everything.
//!   `PURGEKEYS` likewise.
//! - `BAN` with `X-Host`, `X-Url`, `X-Content-Type`, `X-Cache-Tags`: what all these regular expressions match;
//!   without them the path is one, for this host.
//! - `REFRESH /path`: fetch this URL again.

use serde_json::json;

use super::selectors::{combined, shown};
use super::url::path_of;
use super::{AdminResponse, Caller, Command, Context, Dialect, Problem, Purge, Refresh};
use crate::http::RequestHead;
use crate::invalidation::{Mode, Part, Pattern, Selector, Tag, Term};

/// The fields that name tags to purge, what separates them, and how they are purged.
const TAG_FIELDS: [(&str, char, Mode); 7] = [
    ("xkey", ' ', Mode::Hard),
    ("xkey-purge", ' ', Mode::Hard),
    ("xkey-softpurge", ' ', Mode::Soft),
    ("surrogate-key", ' ', Mode::Hard),
    ("cache-tag", ',', Mode::Hard),
    ("cache-tags", ',', Mode::Hard),
    ("x-cache-tags", ',', Mode::Hard),
];

/// The fields with regular expressions that a ban may have, and what they are matched against.
const BAN_FIELDS: [(&str, Part); 6] = [
    ("x-host", Part::Host),
    ("x-url", Part::Url),
    ("x-content-type", Part::ContentType),
    ("x-cache-tags", Part::Tags),
    ("cache-tags", Part::Tags),
    ("x-magento-tags-pattern", Part::Tags),
];

/// Whether a method is one of this dialect.
pub(super) fn speaks(method: &[u8]) -> bool {
    matches!(method, b"PURGE" | b"PURGEKEYS" | b"BAN" | b"REFRESH")
}

/// Reads a command.
pub(super) fn command(
    request: &RequestHead,
    caller: &Caller,
    context: &Context<'_>,
) -> Result<Command, Problem> {
    let path = path_of(request)?;
    let (name, (mode, selectors)) = match request.method() {
        b"REFRESH" => {
            let uris = vec![context.target(request, path)?];
            return Ok(Command::Refresh(Refresh { uris, dialect: Dialect::Varnish }));
        }
        b"BAN" => ("ban", (Mode::Hard, vec![ban(request, path, context)?])),
        b"PURGEKEYS" => (
            "purge",
            tags(request, context)?
                .ok_or_else(|| Problem::bad("expected the field xkey-purge or xkey-softpurge"))?,
        ),
        _ => (
            "purge",
            match tags(request, context)? {
                Some(tags) => tags,
                None => (Mode::Hard, vec![purge(request, path, context)?]),
            },
        ),
    };
    let asked = selectors.into_iter().map(|selector| (json!({ name: shown(&selector) }), selector)).collect();
    Ok(Command::Purge(Purge::new(asked, mode, Dialect::Varnish, caller, context)))
}

/// One URL, or with a star at its end all that start like it.
fn purge(request: &RequestHead, path: &str, context: &Context<'_>) -> Result<Selector, Problem> {
    let Some(start) = path.strip_suffix('*') else {
        return context.target(request, path).map(Selector::Uri);
    };
    let uri = context.target(request, start)?;
    if uri.ends_with(b"/") && !uri.contains(&b'?') {
        return Ok(Selector::Prefix(uri));
    }
    let uri = String::from_utf8(uri).map_err(|_| Problem::bad("the target is not UTF-8"))?;
    let glob = uri.replace('\\', "\\\\").replace('*', "\\*").replace('?', "\\?") + "*";
    Pattern::glob(&glob).map_err(Problem::bad)?;
    Ok(Selector::Glob(Part::Url, glob.into()))
}

/// The tags that a request names, if it has a field for them: all from the first such field.
fn tags(request: &RequestHead, context: &Context<'_>) -> Result<Option<(Mode, Vec<Selector>)>, Problem> {
    if request.fields.contains("x-magento-tags-pattern") {
        let pattern = regex(request, "x-magento-tags-pattern", Part::Tags)?;
        return Ok(Some((Mode::Hard, vec![pattern.unwrap_or(Selector::All)])));
    }
    for (name, separator, mode) in TAG_FIELDS {
        let Some(value) = text(request, name)? else { continue };
        let tags = tag_list(&value, separator, context)?;
        return Ok(Some((mode, tags.into_iter().map(|tag| Selector::Tags(vec![tag])).collect())));
    }
    Ok(None)
}

/// The tags in a list.
///
/// # Errors
/// When there are none or too many, or one cannot be a tag.
pub(super) fn tag_list(value: &str, separator: char, context: &Context<'_>) -> Result<Vec<Tag>, Problem> {
    let max = context.config.selectors_max;
    let names = value.split(separator).map(str::trim).filter(|name| !name.is_empty());
    let tags = names
        .take(max + 1)
        .map(|name| Tag::new(name).ok_or_else(|| Problem::bad(format!("\"{name}\" cannot be a tag"))))
        .collect::<Result<Vec<_>, _>>()?;
    if (1..=max).contains(&tags.len()) {
        Ok(tags)
    } else {
        Err(Problem::bad(format!("expected 1 to {max} tags")))
    }
}

fn ban(request: &RequestHead, path: &str, context: &Context<'_>) -> Result<Selector, Problem> {
    let mut terms = Vec::new();
    let mut any = false;
    for (name, part) in BAN_FIELDS {
        any |= request.fields.contains(name);
        terms.extend(regex(request, name, part)?.map(Term::is));
    }
    if any {
        return Ok(combined(terms));
    }
    let authority = context.target(request, "/")?;
    let host = Selector::Host(authority.strip_suffix(b"/").unwrap_or(&authority).to_vec());
    match pattern(path, Part::Url)? {
        Some(url) if path != "/" => Ok(combined(vec![Term::is(host), Term::is(url)])),
        _ => Ok(host),
    }
}

fn regex(request: &RequestHead, name: &str, part: Part) -> Result<Option<Selector>, Problem> {
    match text(request, name)? {
        Some(expression) => {
            pattern(&expression, part).map_err(|problem| Problem::bad(format!("{name}: {}", problem.message)))
        }
        None => Ok(None),
    }
}

/// The selector for a regular expression; none for one that says nothing.
fn pattern(expression: &str, part: Part) -> Result<Option<Selector>, Problem> {
    if matches!(expression, ".*" | "^.*$" | ".+" | "^" | "(.*)") {
        return Ok(None);
    }
    if part == Part::Tags
        && let Some(tags) = alternatives(expression)
    {
        return Ok(Some(Selector::Tags(tags)));
    }
    Pattern::regex(expression).map_err(Problem::bad)?;
    Ok(Some(Selector::Regex(part, expression.into())))
}

/// The tags in the expressions that FOSHttpCache and Magento write for a list of tags, `(^|,)(a|b)(,|$)` and the
/// like: with a name each they are found without holding the expression against every response.
fn alternatives(expression: &str) -> Option<Vec<Tag>> {
    let magento =
        || Some(expression.strip_prefix("((^|,)")?.strip_suffix("(,|$))")?.replace("(,|$))|((^|,)", "|"));
    let list = expression
        .strip_prefix("(^|,)(")
        .and_then(|rest| rest.strip_suffix(")(,|$)"))
        .or_else(|| expression.strip_prefix('(')?.strip_suffix(")(,.+)?$"))
        .map(str::to_owned)
        .or_else(magento)?;
    let mut tags = Vec::new();
    let mut name = String::new();
    let mut letters = list.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '|' => tags.push(Tag::new(&core::mem::take(&mut name))?),
            '\\' => name.push(letters.next().filter(|c| !c.is_ascii_alphanumeric())?),
            '.' | '*' | '+' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '^' | '$' => return None,
            letter => name.push(letter),
        }
    }
    tags.push(Tag::new(&name)?);
    Some(tags)
}

fn text(request: &RequestHead, name: &str) -> Result<Option<String>, Problem> {
    match request.fields.combined(name).map(String::from_utf8) {
        Some(Ok(value)) if !value.trim().is_empty() => Ok(Some(value.trim().to_owned())),
        Some(Err(_)) => Err(Problem::bad(format!("{name} is not UTF-8"))),
        Some(Ok(_)) | None => Ok(None),
    }
}

/// The answer to a purge or a ban.
pub(super) fn purged(purge: &Purge, positions: &[u64]) -> AdminResponse {
    let banned = purge.asked.iter().any(|asked| asked.get("ban").is_some());
    let receipt = positions.last().map(u64::to_string).unwrap_or_default();
    AdminResponse::text(200, if banned { "Ban added" } else { "Purged" }).with("larder-receipt", receipt)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::fixture::{answer, asked, config, request, send, tags};
    use crate::admin::{Recognised, recognise};
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn regex(part: Part, text: &str) -> Selector {
        Selector::Regex(part, text.into())
    }

    fn uri(text: &str) -> Selector {
        Selector::Uri(text.as_bytes().to_vec())
    }

    fn glob(text: &str) -> Selector {
        Selector::Glob(Part::Url, text.into())
    }

    fn and(selectors: Vec<Selector>) -> Selector {
        Selector::And(selectors.into_iter().map(Term::is).collect())
    }

    #[test]
    fn requests_become_purges() {
        use Mode::{Hard, Soft};
        type Case = (&'static str, &'static [(&'static str, &'static str)], Mode, Vec<Selector>);
        let cases: Vec<Case> = vec![
            ("PURGE /a?b=c", &[], Hard, vec![uri("h.example/a?b=c")]),
            ("PURGE http://Other.example/a", &[], Hard, vec![uri("other.example/a")]),
            ("PURGE /blog/*", &[], Hard, vec![Selector::Prefix(b"h.example/blog/".to_vec())]),
            ("PURGE /*", &[], Hard, vec![Selector::Prefix(b"h.example/".to_vec())]),
            ("PURGE /blog*", &[], Hard, vec![glob("h.example/blog*")]),
            ("PURGE /a?page=*", &[], Hard, vec![glob("h.example/a\\?page=*")]),
            ("PURGE /", &[("xkey", "a b")], Hard, vec![tags(&["a"]), tags(&["b"])]),
            ("PURGE /", &[("xkey-softpurge", "a")], Soft, vec![tags(&["a"])]),
            ("PURGE /", &[("surrogate-key", "a  b")], Hard, vec![tags(&["a"]), tags(&["b"])]),
            ("PURGE /", &[("cache-tags", "a, b c")], Hard, vec![tags(&["a"]), tags(&["b c"])]),
            ("PURGEKEYS /", &[("xkey-softpurge", "user")], Soft, vec![tags(&["user"])]),
            ("PURGEKEYS /", &[("xkey-purge", "data")], Hard, vec![tags(&["data", "user"])]),
            ("BAN /", &[], Hard, vec![Selector::Host(b"h.example".to_vec())]),
            (
                "BAN /img/.*\\.png$",
                &[],
                Hard,
                vec![and(vec![Selector::Host(b"h.example".to_vec()), regex(Part::Url, "/img/.*\\.png$")])],
            ),
            // FOSHttpCache sends all three, those that say nothing as `.*`.
            (
                "BAN /",
                &[("x-host", ".*"), ("x-url", "^/news"), ("x-content-type", "text/html")],
                Hard,
                vec![and(vec![regex(Part::Url, "^/news"), regex(Part::ContentType, "text/html")])],
            ),
            (
                "BAN /",
                &[("x-host", ".*"), ("x-url", ".*"), ("x-content-type", ".*")],
                Hard,
                vec![Selector::All],
            ),
            (
                "BAN /",
                &[("x-host", ".*"), ("x-url", ".*"), ("x-cache-tags", "(^|,)(user\\:42|feed)(,|$)")],
                Hard,
                vec![tags(&["feed", "user:42"])],
            ),
            ("BAN /", &[("x-cache-tags", "(a\\-b)(,.+)?$")], Hard, vec![tags(&["a-b"])]),
            ("BAN /", &[("x-cache-tags", "^user:")], Hard, vec![regex(Part::Tags, "^user:")]),
            (
                "BAN /",
                &[("x-cache-tags", "(^|,)(a.b)(,|$)")],
                Hard,
                vec![regex(Part::Tags, "(^|,)(a.b)(,|$)")],
            ),
            ("PURGE /", &[("x-magento-tags-pattern", "((^|,)cat_p_1(,|$))")], Hard, vec![tags(&["cat_p_1"])]),
            (
                "PURGE /",
                &[("x-magento-tags-pattern", "((^|,)a(,|$))|((^|,)b(,|$))")],
                Hard,
                vec![tags(&["a", "b"])],
            ),
            ("PURGE /", &[("x-magento-tags-pattern", ".*")], Hard, vec![Selector::All]),
        ];
        for (line, fields, mode, selectors) in cases {
            assert_eq!(asked(line, fields, ""), (mode, selectors), "{line} {fields:?}");
        }
    }

    #[test]
    fn answers_are_text_with_a_receipt() {
        type Case = (&'static str, &'static [(&'static str, &'static str)], &'static str, &'static [u8]);
        let cases: [Case; 3] = [
            ("PURGE /a", &[], "Purged\n", b"11"),
            ("PURGE /", &[("xkey", "a b")], "Purged\n", b"12"),
            ("BAN /", &[("x-url", "^/a")], "Ban added\n", b"11"),
        ];
        for (line, fields, body, receipt) in cases {
            let response = answer(line, fields, "");
            assert_eq!((response.status, &response.body[..]), (200, body.as_bytes()), "{line}");
            assert_eq!(response.fields.get("larder-receipt"), Some(receipt));
        }
    }

    #[test]
    fn a_refresh_names_its_url() {
        let refresh = Refresh { uris: vec![b"h.example/a".to_vec()], dialect: Dialect::Varnish };
        assert_eq!(send("REFRESH /a", &[], ""), Ok(Command::Refresh(refresh)));
    }

    #[test]
    fn what_is_wrong_is_refused() {
        let cases: [(&str, &[(&str, &str)]); 6] = [
            ("BAN /(", &[]),
            ("BAN /", &[("x-url", "(")]),
            ("PURGEKEYS /", &[]),
            ("PURGE /", &[("xkey", "a b c d e")]),
            ("PURGE ftp://h/", &[]),
            ("PURGE /", &[("xkey", "\u{7f}")]),
        ];
        for (line, fields) in cases {
            assert_eq!(send(line, fields, "").unwrap_err().status, 400, "{line} {fields:?}");
        }
    }

    #[test]
    fn strangers_and_disabled_methods_are_requests_like_any_other() {
        let wrong = [("authorization", "Bearer wrong")];
        for line in ["PURGE /a", "BAN /", "REFRESH /a", "PURGEKEYS /"] {
            assert_eq!(recognise(&request(line, &wrong), &config()), Recognised::Stranger, "{line}");
            let off = crate::config::AdminConfig { methods: false, ..config() };
            assert_eq!(recognise(&request(line, &[]), &off), Recognised::NotForUs, "{line}");
        }
        assert_eq!(recognise(&request("GET /a", &[]), &config()), Recognised::NotForUs);
    }

    #[test]
    fn a_strangers_purge_is_the_same_on_every_path() {
        for token in ["authorization", "fastly-key"] {
            for path in ["/a", "/_larder/purge", "/souin-api/souin/flush", "/service/SU1/purge/a"] {
                let request = request(&format!("PURGE {path}"), &[(token, "Bearer wrong")]);
                assert_eq!(recognise(&request, &config()), Recognised::Stranger, "{token} {path}");
            }
        }
    }

    #[test]
    fn a_ban_of_everything_needs_its_scope() {
        let token = ("authorization", "Bearer purge");
        assert_eq!(send("BAN /", &[token, ("x-url", ".*")], "").unwrap_err().status, 403);
        assert_eq!(send("BAN /", &[token, ("x-url", "^.")], "").unwrap_err().status, 403);
        assert!(send("BAN /", &[token, ("x-url", "^/a")], "").is_ok());
    }
}
