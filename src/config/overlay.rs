//! The options that one place in the configuration sets: the top level or a rule.
//!
//! What a place does not set stays as the place behind it says.

use core::time::Duration;

use super::credentials::{self, Anew, Credential};
use super::names::{DeviceName, FieldName, Name, is_token};
use super::options::{KeyOptions, Options, QueryKey, RequestDirectives, SetCookie};
use super::reduction::Reductions;
use super::text::{Text, text};
use super::units::{StatusRange, count, duration, show_duration, size_within};
use super::unkeyed::{Treatment, treatments};
use crate::http::coding::{Coding, Codings};
use crate::http::speaks_of_client;
use crate::json::{At, Json, Object, Read, boolean};

/// The options that are set.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Overlay {
    pub(super) bypass: Option<bool>,
    pub(super) ttl: Ttl,
    heuristics_percent: Option<u8>,
    heuristics_max: Option<Duration>,
    stale_while_revalidate: Option<Duration>,
    stale_if_error: Option<Duration>,
    stale_despite_s_maxage: Option<bool>,
    stale_if_down: Option<Duration>,
    refresh_ahead_percent: Option<u32>,
    soft_purge_grace: Option<Duration>,
    keep: Option<Duration>,
    pub(super) request_directives: Option<RequestDirectives>,
    set_cookie: Option<SetCookie>,
    cookies_need_public: Option<bool>,
    credentials: Anew,
    targeted: Option<Vec<String>>,
    surrogate_control: Option<bool>,
    surrogate_device: Option<Option<String>>,
    pub(super) key: Key,
    store_post: Option<bool>,
    pub(super) post_as_query: Option<bool>,
    variants_max: Option<u32>,
    min_uses: Option<u8>,
}

impl Overlay {
    pub(super) fn read(&mut self, object: &mut Object<'_>) -> Read<()> {
        object.optional("bypass", &mut self.bypass, boolean)?;
        object.field("ttl", &mut self.ttl, Ttl::read)?;
        object.section("heuristics", |object| {
            object.optional("percent", &mut self.heuristics_percent, |at| Ok(count(at, 0, 100)? as u8))?;
            object.optional("max", &mut self.heuristics_max, duration)
        })?;
        for (name, place) in [
            ("stale_while_revalidate", &mut self.stale_while_revalidate),
            ("stale_if_error", &mut self.stale_if_error),
            ("stale_if_down", &mut self.stale_if_down),
            ("soft_purge_grace", &mut self.soft_purge_grace),
            ("keep", &mut self.keep),
        ] {
            object.optional(name, place, duration)?;
        }
        object.section("refresh_ahead", |object| {
            object.optional("percent", &mut self.refresh_ahead_percent, |at| count(at, 0, 10_000))
        })?;
        object.optional("request_directives", &mut self.request_directives, text)?;
        object.optional("set_cookie", &mut self.set_cookie, text)?;
        object.section("credentials", |object| {
            object.field("fields", &mut self.credentials.fields, credentials::fields)?;
            object.field("metadata", &mut self.credentials.metadata, credentials::metadata)
        })?;
        object.optional("targeted", &mut self.targeted, field_names)?;
        object.optional("surrogate_device", &mut self.surrogate_device, device)?;
        object.section("key", |object| self.key.read(object))?;
        for (name, place) in [
            ("stale_despite_s_maxage", &mut self.stale_despite_s_maxage),
            ("cookies_need_public", &mut self.cookies_need_public),
            ("surrogate_control", &mut self.surrogate_control),
            ("store_post", &mut self.store_post),
            ("post_as_query", &mut self.post_as_query),
        ] {
            object.optional(name, place, boolean)?;
        }
        object.optional("variants_max", &mut self.variants_max, |at| count(at, 1, 1_000))?;
        object.optional("min_uses", &mut self.min_uses, |at| Ok(count(at, 1, 8)? as u8))
    }

    /// Whether it makes credentials part of the key.
    pub(super) fn keys_credentials(&self) -> bool {
        self.credentials.fields.iter().any(|(_, of)| *of == Credential::Key)
    }

    /// Lays what is set over `options`.
    #[inline(never)]
    pub(super) fn apply(&self, options: &mut Options) {
        put(&mut options.bypass, &self.bypass);
        self.ttl.apply(options);
        put(&mut options.heuristics.percent, &self.heuristics_percent);
        put(&mut options.heuristics.max, &self.heuristics_max);
        put(&mut options.stale_while_revalidate, &self.stale_while_revalidate);
        put(&mut options.stale_if_error, &self.stale_if_error);
        put(&mut options.stale_despite_s_maxage, &self.stale_despite_s_maxage);
        put(&mut options.stale_if_down, &self.stale_if_down);
        put(&mut options.refresh_ahead_percent, &self.refresh_ahead_percent);
        put(&mut options.soft_purge_grace, &self.soft_purge_grace);
        put(&mut options.keep, &self.keep);
        put(&mut options.request_directives, &self.request_directives);
        put(&mut options.set_cookie, &self.set_cookie);
        put(&mut options.cookies_need_public, &self.cookies_need_public);
        if self.credentials != Anew::default() {
            options.credentials = options.credentials.with(&self.credentials);
        }
        put(&mut options.targeted, &self.targeted);
        put(&mut options.surrogate_control, &self.surrogate_control);
        put(&mut options.surrogate_device, &self.surrogate_device);
        self.key.apply(&mut options.key);
        put(&mut options.store_post, &self.store_post);
        put(&mut options.post_as_query, &self.post_as_query);
        put(&mut options.variants_max, &self.variants_max);
        put(&mut options.min_uses, &self.min_uses);
    }
}

/// Replaces `option` when `value` is set.
pub(super) fn put<T: Clone>(option: &mut T, value: &Option<T>) {
    if let Some(value) = value {
        option.clone_from(value);
    }
}

/// `ttl`: a duration or `null`, which stand for `override`, or an object. For each of the four durations, `null`
/// says that there is none, which is not the same as leaving it out.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Ttl {
    overriding: Option<Option<Duration>>,
    default: Option<Option<Duration>>,
    min: Option<Option<Duration>>,
    max: Option<Option<Duration>>,
    status: Option<Vec<(u16, Duration)>>,
}

impl Ttl {
    fn read(at: &At<'_>) -> Read<Self> {
        match at.value {
            Json::Object(_) => at.object(Self::read_object),
            Json::Text(_) | Json::Null => {
                Ok(Ttl { overriding: Some(at.or_null(duration)?), ..Ttl::default() })
            }
            Json::Bool(_) | Json::Number(_) | Json::List(_) => {
                Err(at.wrong("a lifetime", "a duration such as \"90s\", null, or an object"))
            }
        }
    }

    fn read_object(object: &mut Object<'_>) -> Read<Self> {
        let mut ttl = Ttl::default();
        for (name, place) in [
            ("override", &mut ttl.overriding),
            ("default", &mut ttl.default),
            ("min", &mut ttl.min),
            ("max", &mut ttl.max),
        ] {
            object.optional(name, place, |at| at.or_null(duration))?;
        }
        object.optional("status", &mut ttl.status, by_status)?;
        match (ttl.min.flatten(), ttl.max.flatten()) {
            (Some(min), Some(max)) if min > max => {
                let (min, max) = (show_duration(min), show_duration(max));
                Err(object.error("min", format!("{min} is longer than max, which is {max}")))
            }
            _ => Ok(ttl),
        }
    }

    fn apply(&self, options: &mut Options) {
        put(&mut options.ttl, &self.overriding);
        put(&mut options.ttl_default, &self.default);
        put(&mut options.ttl_min, &self.min);
        put(&mut options.ttl_max, &self.max);
        put(&mut options.ttl_status, &self.status);
    }
}

/// One entry for each status code, in order; the narrowest range that has it counts. What speaks of who asks has to be
/// named alone.
fn by_status(at: &At<'_>) -> Read<Vec<(u16, Duration)>> {
    let ranges = at.entries(|name, ttl| Ok((text::<StatusRange>(name)?, duration(ttl)?)))?;
    let narrowest = |status| {
        let counts = |range: StatusRange| range.is_one() || !speaks_of_client(status);
        let ranges = ranges.iter().filter(|(range, _)| range.contains(status) && counts(*range));
        ranges.min_by_key(|(StatusRange(first, last), _)| last - first)
    };
    Ok((200..=599).filter_map(|status| narrowest(status).map(|(_, ttl)| (status, *ttl))).collect())
}

/// `key`.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Key {
    query: Option<QueryKey>,
    query_sorted: Option<bool>,
    forward_dropped: Option<bool>,
    headers: Option<Vec<String>>,
    cookies: Option<Vec<String>>,
    cookies_drop: Option<Vec<String>>,
    accept_encoding: Option<Option<Codings>>,
    unkeyed: Option<Vec<(String, Treatment)>>,
    content_bytes_max: Option<u64>,
    partition: Option<Option<String>>,
}

impl Key {
    fn read(&mut self, object: &mut Object<'_>) -> Read<()> {
        object.optional("query", &mut self.query, query)?;
        object.optional("query_sorted", &mut self.query_sorted, boolean)?;
        object.optional("forward_dropped", &mut self.forward_dropped, boolean)?;
        object.optional("headers", &mut self.headers, field_names)?;
        object.optional("unkeyed", &mut self.unkeyed, treatments)?;
        object.optional("cookies", &mut self.cookies, |at| {
            at.list(|at| text(at).map(|CookieName(name)| name))
        })?;
        object.optional("cookies_drop", &mut self.cookies_drop, |at| {
            at.list(|at| text(at).map(|CookiePattern(name)| name))
        })?;
        object.optional("accept_encoding", &mut self.accept_encoding, codings)?;
        // Envoy answers 413 to what it has to hold beyond its buffer limit, which is 1 MiB unless configured.
        object
            .optional("content_bytes_max", &mut self.content_bytes_max, |at| size_within(at, 0, 1 << 20))?;
        object
            .optional("partition", &mut self.partition, |at| at.or_null(|at| text(at).map(|Name(name)| name)))
    }

    /// Whether it says how queries count.
    pub(super) fn reduces(&self) -> bool {
        self.query.is_some() || self.query_sorted.is_some()
    }

    /// How queries count.
    pub(super) fn add_to(&self, reductions: &mut Reductions) {
        reductions.add(self.query.as_ref(), self.query_sorted);
    }

    fn apply(&self, key: &mut KeyOptions) {
        put(&mut key.query, &self.query);
        put(&mut key.query_sorted, &self.query_sorted);
        put(&mut key.forward_dropped, &self.forward_dropped);
        put(&mut key.headers, &self.headers);
        put(&mut key.cookies, &self.cookies);
        put(&mut key.cookies_drop, &self.cookies_drop);
        put(&mut key.accept_encoding, &self.accept_encoding);
        if let Some(anew) = &self.unkeyed {
            key.unkeyed = key.unkeyed.with(anew);
        }
        put(&mut key.content_bytes_max, &self.content_bytes_max);
        put(&mut key.partition, &self.partition);
    }
}

/// `key.query`: `"all"`, `{"keep": […]}` or `{"drop": […]}`.
fn query(at: &At<'_>) -> Read<QueryKey> {
    let (keep, drop) = match at.value {
        Json::Text(text) if text == "all" => return Ok(QueryKey::All),
        Json::Object(_) => at.object(|object| {
            let (mut keep, mut drop) = (None, None);
            object.optional("keep", &mut keep, parameters)?;
            object.optional("drop", &mut drop, parameters)?;
            Ok((keep, drop))
        })?,
        _ => {
            let expected = r#""all", {"keep": [names]} or {"drop": [names]}"#;
            return Err(at.wrong("a choice of query parameters", expected));
        }
    };
    match (keep, drop) {
        (Some(keep), None) => Ok(QueryKey::Keep(keep)),
        (None, Some(drop)) => Ok(QueryKey::Drop(drop)),
        (Some(_), Some(_)) | (None, None) => Err(at.error("expected either keep or drop")),
    }
}

/// `key.accept_encoding`: `"as_sent"` or the codings that count.
fn codings(at: &At<'_>) -> Read<Option<Codings>> {
    match at.value {
        Json::Text(text) if text == "as_sent" => Ok(None),
        Json::List(_) => at.list(text::<Coding>).map(|codings| Some(codings.into_iter().collect())),
        _ => Err(at.wrong("a choice of content codings", r#"[codings] or "as_sent""#)),
    }
}

fn parameters(at: &At<'_>) -> Read<Vec<String>> {
    at.list(|at| text(at).map(|ParameterPattern(name)| name))
}

fn device(at: &At<'_>) -> Read<Option<String>> {
    at.or_null(|at| text(at).map(|DeviceName(name)| name))
}

#[inline(never)]
fn field_names(at: &At<'_>) -> Read<Vec<String>> {
    at.list(|at| text(at).map(|FieldName(name)| name))
}

/// A query parameter's name; `*` may end it.
struct ParameterPattern(String);

impl Text for ParameterPattern {
    const WHAT: &'static str = "a query parameter";
    const EXPECTED: &'static str = "its name, which may end in *, such as \"page\" or \"utm_*\"";

    fn from_text(text: &str) -> Option<Self> {
        let name = text.strip_suffix('*').unwrap_or(text);
        let plain = !text.is_empty() && !name.bytes().any(|b| b"*&=#".contains(&b) || b.is_ascii_control());
        plain.then(|| ParameterPattern(text.into()))
    }
}

/// A cookie's name (RFC 6265 §4.1.1).
struct CookieName(String);

impl Text for CookieName {
    const WHAT: &'static str = "a cookie name";
    const EXPECTED: &'static str = "letters, digits and -_.!#$%&'*+^`|~";

    fn from_text(text: &str) -> Option<Self> {
        is_token(text).then(|| CookieName(text.into()))
    }
}

/// The name of cookies to drop; `*` may end it.
struct CookiePattern(String);

impl Text for CookiePattern {
    const WHAT: &'static str = "a cookie name";
    const EXPECTED: &'static str = "its name, which may end in *, such as \"_gid\" or \"_ga*\"";

    fn from_text(text: &str) -> Option<Self> {
        let name = text.strip_suffix('*').unwrap_or(text);
        let plain = !text.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && !b"*;=".contains(&b));
        plain.then(|| CookiePattern(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn options(json: &str) -> Options {
        Config::parse(json.as_bytes()).unwrap().defaults
    }

    #[test]
    fn a_lifetime_may_stand_alone_be_null_or_be_an_object() {
        let hour = Some(Duration::from_secs(3_600));
        for (ttl, overriding, max) in [
            (r#""1h""#, hour, None),
            ("null", None, None),
            ("{}", None, None),
            (r#"{"override": "1h"}"#, hour, None),
            (r#"{"override": null, "max": "1h"}"#, None, hour),
        ] {
            let options = options(&format!(r#"{{"ttl": {ttl}}}"#));
            assert_eq!((options.ttl, options.ttl_max), (overriding, max), "{ttl}");
        }
    }

    #[test]
    fn the_narrowest_range_of_status_codes_counts() {
        let by_status = options(
            r#"{"ttl": {"status": {"4xx": "4s", "404": "1s", "400-409": "2s", "401": "1s", "500": "5s"}}}"#,
        )
        .ttl_status;
        assert!(by_status.is_sorted());
        assert_eq!(by_status.len(), 7, "{by_status:?}");
        for (status, secs) in [
            // A class or a range says nothing of what speaks of who asks.
            (400, None),
            (401, Some(1)),
            (403, None),
            (404, Some(1)),
            (405, Some(2)),
            (410, Some(4)),
            (451, Some(4)),
            (500, Some(5)),
            (501, None),
        ] {
            let found = by_status.iter().find(|(code, _)| *code == status);
            assert_eq!(found.map(|(_, ttl)| ttl.as_secs()), secs, "{status}");
        }
    }

    #[test]
    fn names_of_header_fields_are_put_into_lower_case() {
        let options = options(
            r#"{"targeted": ["CDN-Cache-Control"], "key": {"headers": ["X-Tenant"], "cookies": ["Lang"]}}"#,
        );
        assert_eq!(options.targeted, ["cdn-cache-control"]);
        assert_eq!(options.key.headers, ["x-tenant"]);
        assert_eq!(options.key.cookies, ["Lang"], "but for cookies, which have case");
    }
}
