//! The options that one place in the configuration sets: the top level, a rule, or the metadata of a route.
//!
//! What a place does not set stays as the place behind it says.

use core::fmt;
use core::time::Duration;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Unexpected, Visitor, value::MapAccessDeserializer};

use super::field::{set, set_count, set_duration, set_field_names};
use super::names::is_token;
use super::options::{KeyOptions, Options, QueryKey};
use super::text::{Text, deserialize, deserialize_text};
use super::units::{Dur, StatusRange, show_duration};

/// Defines a section of the configuration that has the fields of [`Options`] beside its own, and how it is laid
/// over options. (Serde's own way to share fields loses the path of an error and lets unknown fields pass.)
macro_rules! with_options {
    ($(#[$meta:meta])* pub(super) struct $name:ident { $($own:tt)* }) => {
        $(#[$meta])*
        #[derive(serde::Deserialize, Clone, PartialEq, Debug, Default)]
        #[serde(default, deny_unknown_fields, expecting = "an object")]
        pub(super) struct $name {
            $($own)*
            #[serde(deserialize_with = "crate::config::field::set")]
            bypass: Option<bool>,
            ttl: $crate::config::overlay::TtlFields,
            #[serde(deserialize_with = "crate::config::field::object")]
            heuristics: $crate::config::overlay::HeuristicsFields,
            #[serde(deserialize_with = "crate::config::field::set_duration")]
            stale_while_revalidate: Option<core::time::Duration>,
            #[serde(deserialize_with = "crate::config::field::set_duration")]
            stale_if_error: Option<core::time::Duration>,
            #[serde(deserialize_with = "crate::config::field::set_duration")]
            soft_purge_grace: Option<core::time::Duration>,
            #[serde(deserialize_with = "crate::config::field::set_duration")]
            keep: Option<core::time::Duration>,
            #[serde(deserialize_with = "crate::config::field::set")]
            request_directives: Option<$crate::config::RequestDirectives>,
            #[serde(deserialize_with = "crate::config::field::set")]
            set_cookie: Option<$crate::config::SetCookie>,
            #[serde(deserialize_with = "crate::config::field::set")]
            cookies_need_public: Option<bool>,
            #[serde(deserialize_with = "crate::config::field::set_field_names")]
            targeted: Option<Vec<String>>,
            #[serde(deserialize_with = "crate::config::field::set")]
            surrogate_control: Option<bool>,
            #[serde(deserialize_with = "crate::config::field::object")]
            key: $crate::config::overlay::KeyFields,
            #[serde(deserialize_with = "crate::config::field::set")]
            store_post: Option<bool>,
            #[serde(deserialize_with = "crate::config::field::set_count::<1, 1000, _, _>")]
            variants_max: Option<u32>,
        }

        impl $name {
            /// Lays what is set over `options`.
            fn overlay(&self, options: &mut $crate::config::Options) {
                use $crate::config::overlay::put;
                put(&mut options.bypass, &self.bypass);
                self.ttl.overlay(options);
                put(&mut options.heuristics.percent, &self.heuristics.percent);
                put(&mut options.heuristics.max, &self.heuristics.max);
                put(&mut options.stale_while_revalidate, &self.stale_while_revalidate);
                put(&mut options.stale_if_error, &self.stale_if_error);
                put(&mut options.soft_purge_grace, &self.soft_purge_grace);
                put(&mut options.keep, &self.keep);
                put(&mut options.request_directives, &self.request_directives);
                put(&mut options.set_cookie, &self.set_cookie);
                put(&mut options.cookies_need_public, &self.cookies_need_public);
                put(&mut options.targeted, &self.targeted);
                put(&mut options.surrogate_control, &self.surrogate_control);
                self.key.overlay(&mut options.key);
                put(&mut options.store_post, &self.store_post);
                put(&mut options.variants_max, &self.variants_max);
            }
        }
    };
}
pub(super) use with_options;

/// Replaces `option` when `value` is set.
pub(super) fn put<T: Clone>(option: &mut T, value: &Option<T>) {
    if let Some(value) = value {
        option.clone_from(value);
    }
}

/// `ttl`: a duration or `null`, which stand for `override`, or an object. For each of the four durations, `null`
/// says that there is none, which is not the same as leaving it out.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct TtlFields {
    overriding: Option<Option<Duration>>,
    default: Option<Option<Duration>>,
    min: Option<Option<Duration>>,
    max: Option<Option<Duration>>,
    status: Option<Vec<(u16, Duration)>>,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct TtlObject {
    #[serde(rename = "override", deserialize_with = "set")]
    overriding: Option<Option<Dur>>,
    #[serde(deserialize_with = "set")]
    default: Option<Option<Dur>>,
    #[serde(deserialize_with = "set")]
    min: Option<Option<Dur>>,
    #[serde(deserialize_with = "set")]
    max: Option<Option<Dur>>,
    #[serde(deserialize_with = "set")]
    status: Option<BTreeMap<StatusRange, Dur>>,
}

impl TtlFields {
    pub(super) fn overlay(&self, options: &mut Options) {
        put(&mut options.ttl, &self.overriding);
        put(&mut options.ttl_default, &self.default);
        put(&mut options.ttl_min, &self.min);
        put(&mut options.ttl_max, &self.max);
        put(&mut options.ttl_status, &self.status);
    }

    fn overriding(ttl: Option<Duration>) -> Self {
        TtlFields { overriding: Some(ttl), ..TtlFields::default() }
    }
}

impl<'de> Deserialize<'de> for TtlFields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TtlVisitor)
    }
}

struct TtlVisitor;

impl<'de> Visitor<'de> for TtlVisitor {
    type Value = TtlFields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; or an object", Dur::WHAT, Dur::EXPECTED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<TtlFields, E> {
        let Dur(ttl) = Dur::read(text)?;
        Ok(TtlFields::overriding(Some(ttl)))
    }

    fn visit_unit<E: Error>(self) -> Result<TtlFields, E> {
        Ok(TtlFields::overriding(None))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<TtlFields, A::Error> {
        let object = TtlObject::deserialize(MapAccessDeserializer::new(map))?;
        let duration = |set: Option<Option<Dur>>| set.map(|some| some.map(|dur| dur.0));
        let (min, max) = (duration(object.min), duration(object.max));
        if let (Some(Some(min)), Some(Some(max))) = (min, max)
            && min > max
        {
            let (min, max) = (show_duration(min), show_duration(max));
            return Err(A::Error::custom(format!("min ({min}) is longer than max ({max})")));
        }
        Ok(TtlFields {
            overriding: duration(object.overriding),
            default: duration(object.default),
            min,
            max,
            status: object.status.map(by_status),
        })
    }
}

/// One entry for each status code, in order; the narrowest range that has it counts.
fn by_status(ranges: BTreeMap<StatusRange, Dur>) -> Vec<(u16, Duration)> {
    let mut ranges: Vec<_> = ranges.into_iter().collect();
    ranges.sort_by_key(|(StatusRange(first, last), _)| first.abs_diff(*last));
    let mut by_status = BTreeMap::new();
    for (StatusRange(first, last), ttl) in ranges {
        for status in first..=last {
            by_status.entry(status).or_insert(ttl.0);
        }
    }
    by_status.into_iter().collect()
}

/// `heuristics`.
#[derive(Deserialize, Clone, PartialEq, Debug, Default)]
#[serde(default, deny_unknown_fields, expecting = "an object")]
pub(super) struct HeuristicsFields {
    #[serde(deserialize_with = "set_count::<0, 100, _, _>")]
    pub(super) percent: Option<u8>,
    #[serde(deserialize_with = "set_duration")]
    pub(super) max: Option<Duration>,
}

/// `key`.
#[derive(Deserialize, Clone, PartialEq, Debug, Default)]
#[serde(default, deny_unknown_fields, expecting = "an object")]
pub(super) struct KeyFields {
    #[serde(deserialize_with = "set")]
    query: Option<QueryKey>,
    #[serde(deserialize_with = "set")]
    query_sorted: Option<bool>,
    #[serde(deserialize_with = "set")]
    forward_dropped: Option<bool>,
    #[serde(deserialize_with = "set_field_names")]
    headers: Option<Vec<String>>,
    #[serde(deserialize_with = "set_cookie_names")]
    cookies: Option<Vec<String>>,
}

impl KeyFields {
    pub(super) fn overlay(&self, key: &mut KeyOptions) {
        put(&mut key.query, &self.query);
        put(&mut key.query_sorted, &self.query_sorted);
        put(&mut key.forward_dropped, &self.forward_dropped);
        put(&mut key.headers, &self.headers);
        put(&mut key.cookies, &self.cookies);
    }

    /// Whether nothing is set.
    pub(super) fn is_empty(&self) -> bool {
        *self == KeyFields::default()
    }
}

/// `key.query`: `"all"`, `{"keep": […]}` or `{"drop": […]}`.
impl<'de> Deserialize<'de> for QueryKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(QueryVisitor)
    }
}

struct QueryVisitor;

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct QueryObject {
    #[serde(deserialize_with = "set")]
    keep: Option<Vec<ParameterPattern>>,
    #[serde(deserialize_with = "set")]
    drop: Option<Vec<ParameterPattern>>,
}

impl<'de> Visitor<'de> for QueryVisitor {
    type Value = QueryKey;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(r#""all", {"keep": [names]} or {"drop": [names]}"#)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<QueryKey, E> {
        if text == "all" { Ok(QueryKey::All) } else { Err(E::invalid_value(Unexpected::Str(text), &self)) }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<QueryKey, A::Error> {
        let names = |patterns: Vec<ParameterPattern>| patterns.into_iter().map(|pattern| pattern.0).collect();
        match QueryObject::deserialize(MapAccessDeserializer::new(map))? {
            QueryObject { keep: Some(patterns), drop: None } => Ok(QueryKey::Keep(names(patterns))),
            QueryObject { keep: None, drop: Some(patterns) } => Ok(QueryKey::Drop(names(patterns))),
            QueryObject { .. } => Err(A::Error::custom("expected either keep or drop")),
        }
    }
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

fn set_cookie_names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    let names = Vec::<CookieName>::deserialize(deserializer)?;
    Ok(Some(names.into_iter().map(|name| name.0).collect()))
}

deserialize_text!(ParameterPattern, CookieName);

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
        assert_eq!(by_status.len(), 101);
        for (status, secs) in [
            (400, Some(2)),
            (401, Some(1)),
            (404, Some(1)),
            (409, Some(2)),
            (410, Some(4)),
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
