//! Souin's API below `/souin-api/souin`, and the JSON of the expired draft "An HTTP Cache Invalidation API", which
//! it speaks too.
//!
//! - `GET …`: the keys; `GET …/surrogate_keys`: the keys by tag; `GET …/{regex}`: the keys that match. One page.
//! - `PURGE …/flush`: everything. `PURGE …/{key}`: the URL of a key such as `GET-https-host-/path`, else a regular
//!   expression over URLs. `PURGE …` with `Surrogate-Key: a, b`, or another field for tags: these.
//! - `POST … {"type": "uri" | "uri-prefix" | "origin" | "group", "selectors": […], "groups": […], "purge": bool}`:
//!   with `purge` gone, without it to be validated before the next use.

use serde_json::Value;

use super::reader::{Asked, Reader};
use super::selectors::read_tag;
use super::url::percent_decoded;
use super::varnish::tag_list;
use crate::admin::{AdminResponse, Command, Dialect, EntriesQuery, Problem, Purge, Shape};
use crate::http::RequestHead;
use crate::invalidation::{Mode, Part, Pattern, Selector, Tag, groups_of};
use crate::json::{At, Read, boolean, shortened};

/// The most keys in an answer. Beyond it the others are left out.
const KEYS_MAX: usize = 1000;

/// Where Souin has its API unless configured.
pub const BASE: &str = "/souin-api/souin";

/// Whether a path is one of this dialect.
pub fn speaks(path: &[u8]) -> bool {
    path.strip_prefix(BASE.as_bytes()).is_some_and(|rest| matches!(rest, [] | [b'/' | b'?', ..]))
}

/// Reads a question for all keys.
pub fn keys(_: &Asked<'_>) -> Result<Command, Problem> {
    Ok(entries(Selector::All, Shape::Keys))
}

/// Reads a question for all keys by their tags.
pub fn keys_by_tag(_: &Asked<'_>) -> Result<Command, Problem> {
    Ok(entries(Selector::All, Shape::KeysByTag))
}

/// Reads a question for the keys that a regular expression matches.
pub fn keys_like(asked: &Asked<'_>) -> Result<Command, Problem> {
    let regex = percent_decoded(asked.name)?;
    Pattern::regex(&regex).map_err(Problem::bad)?;
    Ok(entries(Selector::Regex(Part::Url, regex.into()), Shape::Keys))
}

fn entries(selector: Selector, shape: Shape) -> Command {
    Command::Entries(EntriesQuery { selector, cursor: None, limit: KEYS_MAX, shape })
}

/// Reads a purge of the tags that fields name.
pub fn tags(asked: &Asked<'_>) -> Result<Command, Problem> {
    named_tags(asked.request, asked.reader).map(|tags| purge(asked, Selector::Tags(tags)))
}

/// Reads a purge of everything.
pub fn flush(asked: &Asked<'_>) -> Result<Command, Problem> {
    Ok(purge(asked, Selector::All))
}

/// Where Souin drops what it knows of keys that are gone.
pub fn mapping(_: &Asked<'_>) -> Result<Command, Problem> {
    Ok(Command::Respond(AdminResponse::empty(204)))
}

/// Reads a purge of a key, whose URL may have a query, or of what a regular expression matches.
pub fn key(asked: &Asked<'_>) -> Result<Command, Problem> {
    let key = percent_decoded(asked.name_and_query)?;
    one_or_pattern(&key, asked.reader).map(|selector| purge(asked, selector))
}

fn purge(asked: &Asked<'_>, selector: Selector) -> Command {
    command("purge", Mode::Hard, vec![selector], asked)
}

fn command(what: &str, mode: Mode, selectors: Vec<Selector>, asked: &Asked<'_>) -> Command {
    let selectors = selectors.into_iter().map(|selector| (Value::from(what), selector)).collect();
    Command::Purge(Purge::new(selectors, mode, Dialect::Souin, asked.caller, asked.reader))
}

/// The tags that a purge names, by the fields that responses name theirs by.
fn named_tags(request: &RequestHead, reader: &Reader<'_>) -> Result<Vec<Tag>, Problem> {
    let max = reader.config.selectors_max;
    let mut tags: Vec<Tag> =
        groups_of(&request.fields, "cache-groups").iter().filter_map(|group| Tag::new(group)).collect();
    for name in ["surrogate-key", "edge-cache-tag", "cache-tags", "cache-tag"] {
        let Some(value) = request.fields.combined(name) else { continue };
        let value = String::from_utf8(value).map_err(|_| Problem::bad(format!("{name} is not UTF-8")))?;
        let listed = tag_list(name, &value, max);
        tags.extend(listed.map_err(|problem| Problem::bad(format!("{name}: {}", problem.message)))?);
    }
    if (1..=max).contains(&tags.len()) {
        Ok(tags)
    } else {
        Err(Problem::bad(format!("expected the field surrogate-key, with 1 to {max} tags")))
    }
}

/// A key of Souin's, `GET-https-host-/path`, or a regular expression over URLs.
fn one_or_pattern(key: &str, reader: &Reader<'_>) -> Result<Selector, Problem> {
    if let Some(uri) = key_url(key).and_then(|url| reader.uri(&url).ok()) {
        return Ok(Selector::Uri(uri));
    }
    Pattern::regex(key).map_err(Problem::bad)?;
    Ok(Selector::Regex(Part::Url, key.into()))
}

fn key_url(key: &str) -> Option<String> {
    let (method, rest) = key.split_once('-')?;
    let (scheme, rest) = rest.split_once('-')?;
    let host = rest.find("-/")?;
    let (host, path) = (rest.get(..host)?, rest.get(host + 1..)?);
    let known = matches!(method, "GET" | "HEAD") && matches!(scheme, "http" | "https");
    (known && !host.is_empty()).then(|| format!("{scheme}://{host}{path}"))
}

/// What the selectors of the draft are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Uri,
    Prefix,
    Origin,
    Group,
}

impl Kind {
    const WORDS: [(&str, Kind); 4] =
        [("uri", Kind::Uri), ("uri-prefix", Kind::Prefix), ("origin", Kind::Origin), ("group", Kind::Group)];

    fn read(self, at: &At<'_>, reader: &Reader<'_>) -> Read<Selector> {
        let text = at.string()?;
        let selector = match self {
            Kind::Uri => reader.uri(text).map(Selector::Uri),
            Kind::Prefix => reader.prefix(text),
            Kind::Origin => origin(text, reader),
            Kind::Group => return read_tag(at).map(|tag| Selector::Tags(vec![tag])),
        };
        selector.map_err(|why| at.error(why))
    }
}

/// Reads the JSON of the draft.
pub fn draft(asked: &Asked<'_>) -> Result<Command, Problem> {
    let (reader, max) = (asked.reader, asked.reader.config.selectors_max);
    let (mut gone, mut groups) = (false, None);
    let selectors = asked.body_as(|at| {
        at.object(|object| {
            let kind = object.required("type", |at| at.one_of("a type", &Kind::WORDS))?;
            let list = |at: &At<'_>| at.list_within(max, |at| kind.read(at, reader));
            object.field("purge", &mut gone, boolean)?;
            object.optional("groups", &mut groups, |at| match kind {
                Kind::Group => list(at),
                Kind::Uri | Kind::Prefix | Kind::Origin => Err(at.error("is for the type \"group\" only")),
            })?;
            groups.map_or_else(|| object.required("selectors", list), Ok)
        })
    })?;
    // The draft's invalidation is that of RFC 9111 §4.4.
    let mode = if gone { Mode::Hard } else { Mode::Revalidate };
    Ok(command("draft", mode, selectors, asked))
}

/// An origin, `https://host:port`; the scheme is not looked at.
fn origin(text: &str, reader: &Reader<'_>) -> Result<Selector, String> {
    let mut uri = reader.uri(text)?;
    match (uri.pop(), uri.contains(&b'/')) {
        (Some(b'/'), false) => Ok(Selector::Host(uri)),
        _ => Err(format!("{:?} is not an origin; expected one such as \"https://host\"", shortened(text))),
    }
}

/// The answer to a purge: Souin has nothing to say.
pub fn purged(purge: &Purge, positions: &[u64]) -> AdminResponse {
    let receipt = positions.last().map(u64::to_string).unwrap_or_default();
    let draft = purge.asked.iter().any(|what| what == "draft");
    AdminResponse::empty(if draft { 200 } else { 204 }).with("larder-receipt", receipt)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::fixture::{answer, asked, body, config, request, send, tags};
    use crate::admin::{Recognised, recognise};
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn uri(text: &str) -> Selector {
        Selector::Uri(text.as_bytes().to_vec())
    }

    #[test]
    fn purges_are_hard() {
        type Case = (&'static str, &'static [(&'static str, &'static str)], Vec<Selector>);
        let cases: [Case; 7] = [
            ("PURGE /souin-api/souin/flush", &[], vec![Selector::All]),
            ("PURGE /souin-api/souin", &[("surrogate-key", "a, b c")], vec![tags(&["a", "b", "c"])]),
            (
                "PURGE /souin-api/souin",
                &[("cache-tags", "a"), ("cache-groups", "\"b\"")],
                vec![tags(&["a", "b"])],
            ),
            ("PURGE /souin-api/souin/", &[("surrogate-key", "data")], vec![tags(&["data", "user"])]),
            ("PURGE /souin-api/souin/GET-https-a-b.example-/p?q=1", &[], vec![uri("a-b.example/p?q=1")]),
            ("PURGE /souin-api/souin/GET-http-h.example:81-/p", &[], vec![uri("h.example:81/p")]),
            ("PURGE /souin-api/souin/%2Fimg%2F.%2B", &[], vec![Selector::Regex(Part::Url, "/img/.+".into())]),
        ];
        for (line, fields, selectors) in cases {
            assert_eq!(asked(line, fields, ""), (Mode::Hard, selectors), "{line}");
            assert_eq!(answer(line, fields, "").status, 204, "{line}");
        }
    }

    #[test]
    fn the_draft_invalidates_or_purges() {
        let line = "POST /souin-api/souin";
        let cases = [
            (r#"{"type":"uri","selectors":["https://h/a?b"],"purge":true}"#, Mode::Hard, uri("h/a?b")),
            (r#"{"type":"uri","selectors":["h/a"]}"#, Mode::Revalidate, uri("h/a")),
            (
                r#"{"type":"uri-prefix","selectors":["https://h/a"],"purge":false}"#,
                Mode::Revalidate,
                Selector::Prefix(b"h/a".to_vec()),
            ),
            (
                r#"{"type":"origin","selectors":["https://h:444"]}"#,
                Mode::Revalidate,
                Selector::Host(b"h:444".to_vec()),
            ),
            (r#"{"type":"group","selectors":["a"]}"#, Mode::Revalidate, tags(&["a"])),
            (r#"{"type":"group","groups":["a"],"purge":true}"#, Mode::Hard, tags(&["a"])),
        ];
        for (text, mode, selector) in cases {
            assert_eq!(asked(line, &[], text), (mode, vec![selector]), "{text}");
        }
        let response = answer(line, &[], r#"{"type":"group","groups":["a"]}"#);
        assert_eq!((response.status, response.fields.get("larder-receipt")), (200, Some(&b"11"[..])));
    }

    #[test]
    fn an_error_names_its_place() {
        let cases = [
            ("POST /souin-api/souin", "{}", 400, "type"),
            ("POST /souin-api/souin", r#"{"type":"all","selectors":["a"]}"#, 400, "type"),
            ("POST /souin-api/souin", r#"{"type":"uri","selectors":["/a"]}"#, 400, "selectors[0]"),
            ("POST /souin-api/souin", r#"{"type":"uri","groups":["a"]}"#, 400, "groups"),
            (
                "POST /souin-api/souin",
                r#"{"type":"origin","selectors":["https://h/a"]}"#,
                400,
                "selectors[0]",
            ),
            ("POST /souin-api/souin", r#"{"type":"group","groups":["a"],"x":1}"#, 400, "x"),
            ("PURGE /souin-api/souin", "", 400, ""),
            ("PURGE /souin-api/souin/(", "", 400, ""),
            ("DELETE /souin-api/souin", "", 405, ""),
        ];
        for (line, text, status, path) in cases {
            let response = send(line, &[], text).unwrap_err();
            assert_eq!(response.status, status, "{line} {text}");
            assert_eq!(body(&response)["error"]["path"].as_str().unwrap_or_default(), path, "{line} {text}");
        }
        let flush = send("PURGE /souin-api/souin/flush", &[("authorization", "Bearer purge")], "");
        assert_eq!(flush.unwrap_err().status, 403);
    }

    #[test]
    fn keys_can_be_listed() {
        let regex = Selector::Regex(Part::Url, "/a.+".into());
        let cases = [
            ("GET /souin-api/souin", Selector::All, Shape::Keys),
            ("GET /souin-api/souin/surrogate_keys", Selector::All, Shape::KeysByTag),
            ("GET /souin-api/souin/%2Fa.%2B", regex, Shape::Keys),
        ];
        for (line, selector, shape) in cases {
            let query = EntriesQuery { selector, cursor: None, limit: KEYS_MAX, shape };
            assert_eq!(send(line, &[], ""), Ok(Command::Entries(query)), "{line}");
        }
        assert_eq!(send("GET /souin-api/souin/(", &[], "").unwrap_err().status, 400);
    }

    #[test]
    fn a_wrong_token_is_an_error_and_other_paths_are_requests_like_any_other() {
        let wrong = request("GET /souin-api/souin", &[("authorization", "Bearer wrong")]);
        assert!(
            matches!(recognise(&wrong, &config()), Recognised::Unauthorised(answer) if answer.status == 401)
        );
        let nobody = request("GET /souin-api/souin", &[("authorization", "")]);
        assert_eq!(recognise(&nobody, &config()), Recognised::NotForUs);
        let other = request("GET /souin-api/souinx", &[]);
        assert_eq!(recognise(&other, &config()), Recognised::NotForUs);
    }
}
