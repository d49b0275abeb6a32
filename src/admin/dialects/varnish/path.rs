//! What the path of a purge names: a URL, or what a star, `.*` or a field makes of it.

use super::tags::is_anything;
use crate::admin::Problem;
use crate::admin::breadth::covers_everything;
use crate::admin::dialects::reader::Reader;
use crate::admin::dialects::selectors::combined;
use crate::http::RequestHead;
use crate::http::uri::split_scheme;
use crate::invalidation::{Part, Pattern, Selector, Term};

/// How a path is meant, as `X-Purge-Method` says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum By {
    /// As it looks: a URL, with a star at its end all that begin like it, with `.*` in it a regular expression.
    Looks,
    /// A URL, whatever is in it.
    Url,
    /// A regular expression, from the beginning of the path on.
    Regex,
    /// A star stands for anything.
    Wildcard,
    /// Not at all: tags are named.
    Tags,
    /// Not at all: another field has a regular expression.
    BanRegex,
}

impl By {
    /// # Errors
    /// When there is no such way.
    pub(super) fn read(value: &str) -> Result<By, Problem> {
        match value.to_ascii_lowercase().as_str() {
            "default" => Ok(By::Looks),
            "exact" => Ok(By::Url),
            "regex" => Ok(By::Regex),
            "wildcard" => Ok(By::Wildcard),
            "tags" => Ok(By::Tags),
            "ban-regex" => Ok(By::BanRegex),
            _ => Err(Problem::bad(format!(
                "x-purge-method: expected default, exact, regex, wildcard, tags or ban-regex, found \"{value}\""
            ))),
        }
    }
}

/// What a `PURGE` covers by its path.
pub(super) fn purge(
    request: &RequestHead,
    path: &str,
    by: By,
    reader: &Reader<'_>,
) -> Result<Selector, Problem> {
    match by {
        By::Regex => regex(request, path, reader),
        By::Wildcard => wildcard(request, path, reader),
        By::Looks if path.contains(".*") => regex(request, path, reader),
        By::Looks => match path.strip_suffix('*') {
            Some(start) => beginning(request, start, reader),
            None => reader.target(request, path).map(Selector::Uri),
        },
        By::Url | By::Tags | By::BanRegex => reader.target(request, path).map(Selector::Uri),
    }
}

/// What a `BAN` covers by its path: a regular expression that is looked for anywhere, on the request's host.
pub(super) fn ban(request: &RequestHead, path: &str, reader: &Reader<'_>) -> Result<Selector, Problem> {
    let host = own_host(request, path, reader)?;
    let path = after_host(path);
    if path == "/" || is_anything(path) {
        return Ok(host);
    }
    // A star in Drupal's wildcards does not stand for slashes only.
    if let Some(start) = path.strip_suffix('*')
        && !start.contains(META)
        && !start.ends_with('.')
    {
        return beginning(request, start, reader);
    }
    Ok(combined(vec![Term::is(host), Term::is(pattern(path, Part::Url)?)]))
}

/// The URLs of the request's host that a regular expression finds.
pub(super) fn own_urls(
    request: &RequestHead,
    path: &str,
    expression: &str,
    reader: &Reader<'_>,
) -> Result<Selector, Problem> {
    let host = own_host(request, path, reader)?;
    if is_anything(expression) {
        return Ok(host);
    }
    Ok(combined(vec![Term::is(host), Term::is(pattern(expression, Part::Url)?)]))
}

/// A checked regular expression.
pub(super) fn pattern(expression: &str, part: Part) -> Result<Selector, Problem> {
    Pattern::regex(expression).map_err(Problem::bad)?;
    Ok(Selector::Regex(part, expression.into()))
}

/// What begins like this, on the request's host.
fn beginning(request: &RequestHead, start: &str, reader: &Reader<'_>) -> Result<Selector, Problem> {
    let uri = reader.target(request, start)?;
    if uri.ends_with(b"/") && !uri.contains(&b'?') {
        return Ok(Selector::Prefix(uri));
    }
    glob(uri, &["*"])
}

/// Any path in which stars stand for anything; without any star it is a URL.
fn wildcard(request: &RequestHead, path: &str, reader: &Reader<'_>) -> Result<Selector, Problem> {
    let mut pieces = path.split('*');
    let uri = reader.target(request, pieces.next().unwrap_or_default())?;
    let rest: Vec<&str> = pieces.flat_map(|piece| ["*", piece]).collect();
    match rest[..] {
        [] => Ok(Selector::Uri(uri)),
        ["*", ""] => beginning(request, path.trim_end_matches('*'), reader),
        _ => glob(uri, &rest),
    }
}

/// A glob for a URI and what follows it.
fn glob(uri: Vec<u8>, rest: &[&str]) -> Result<Selector, Problem> {
    let uri = String::from_utf8(uri).map_err(|_| Problem::bad("the target is not UTF-8"))?;
    let escaped = |text: &str| text.replace('\\', "\\\\").replace('*', "\\*").replace('?', "\\?");
    let rest = rest.iter().map(|piece| if *piece == "*" { (*piece).to_owned() } else { escaped(piece) });
    let glob = escaped(&uri) + &rest.collect::<String>();
    Pattern::glob(&glob).map_err(Problem::bad)?;
    Ok(Selector::Glob(Part::Url, glob.into()))
}

/// Characters that make a path a regular expression. Not the dot and the question mark, which URLs have.
const META: [char; 10] = ['\\', '^', '$', '+', '(', ')', '[', ']', '{', '|'];

/// What a path covers that is a regular expression: a URL begins with its path, and so does what is meant by one.
fn regex(request: &RequestHead, path: &str, reader: &Reader<'_>) -> Result<Selector, Problem> {
    let start = path.strip_suffix(".*").unwrap_or(path);
    // Most have nothing but `.*` at their end, and what begins alike is found without holding it against everything.
    if !start.contains(META) && !start.contains('*') {
        return match after_host(start) {
            "/" | "" => own_host(request, path, reader),
            _ => beginning(request, start, reader),
        };
    }
    let host = own_host(request, path, reader)?;
    let urls = pattern(&format!("^(?:{})", after_host(path)), Part::Url)?;
    if covers_everything(&urls) {
        return Ok(host);
    }
    Ok(combined(vec![Term::is(host), Term::is(urls)]))
}

/// The host that a request is for.
pub(super) fn own_host(request: &RequestHead, path: &str, reader: &Reader<'_>) -> Result<Selector, Problem> {
    let start = path.get(..path.len() - after_host(path).len()).unwrap_or_default();
    let mut uri = reader.target(request, &format!("{start}/"))?;
    uri.pop();
    Ok(Selector::Host(uri))
}

/// The path of a target in absolute form, as clients of proxies write it.
fn after_host(path: &str) -> &str {
    match split_scheme(path) {
        (None, path) => path,
        (Some(_), rest) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/"),
    }
}
