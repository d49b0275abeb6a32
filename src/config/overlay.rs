//! The options that one place in the configuration sets: the top level, a rule, or the metadata of a route.
//!
//! What a place does not set stays as the place behind it says.

use core::fmt;
use core::time::Duration;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor, value::MapAccessDeserializer};

use super::options::{KeyOptions, Options, QueryKey};
use super::value::{
    Dur, StatusRange, Text, deserialize, deserialize_text, is_token, set, set_count, set_duration,
    set_field_names,
};

/// Defines a section of the configuration that has the fields of [`Options`] beside its own, and how it is laid
/// over options. (Serde's own way to share fields loses the path of an error and lets unknown fields pass.)
macro_rules! with_options {
    ($(#[$meta:meta])* pub(super) struct $name:ident { $($own:tt)* }) => {
        $(#[$meta])*
        #[derive(serde::Deserialize, Clone, PartialEq, Debug, Default)]
        #[serde(default, deny_unknown_fields, expecting = "an object")]
        pub(super) struct $name {
            $($own)*
            #[serde(deserialize_with = "set")]
            bypass: Option<bool>,
            ttl: TtlFields,
            #[serde(deserialize_with = "object")]
            heuristics: HeuristicsFields,
            #[serde(deserialize_with = "set_duration")]
            stale_while_revalidate: Option<Duration>,
            #[serde(deserialize_with = "set_duration")]
            stale_if_error: Option<Duration>,
            #[serde(deserialize_with = "set_duration")]
            soft_purge_grace: Option<Duration>,
            #[serde(deserialize_with = "set_duration")]
            keep: Option<Duration>,
            #[serde(deserialize_with = "set")]
            request_directives: Option<RequestDirectives>,
            #[serde(deserialize_with = "set")]
            set_cookie: Option<SetCookie>,
            #[serde(deserialize_with = "set")]
            cookies_need_public: Option<bool>,
            #[serde(deserialize_with = "set_field_names")]
            targeted: Option<Vec<String>>,
            #[serde(deserialize_with = "set")]
            surrogate_control: Option<bool>,
            #[serde(deserialize_with = "object")]
            key: KeyFields,
            #[serde(deserialize_with = "set")]
            store_post: Option<bool>,
            #[serde(deserialize_with = "set_count::<1, 1000, _, _>")]
            variants_max: Option<u32>,
        }

        impl $name {
            /// Lays what is set over `options`.
            fn overlay(&self, options: &mut Options) {
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
            return Err(A::Error::custom("min is longer than max"));
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
    #[serde(deserialize_with = "set_query")]
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

/// `key.query` as it is written: `"all"`, `{"keep": […]}` or `{"drop": […]}`.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case", expecting = "\"all\", {\"keep\": [names]} or {\"drop\": [names]}")]
enum QueryText {
    All,
    Keep(Vec<ParameterPattern>),
    Drop(Vec<ParameterPattern>),
}

fn set_query<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<QueryKey>, D::Error> {
    let names = |patterns: Vec<ParameterPattern>| patterns.into_iter().map(|pattern| pattern.0).collect();
    Ok(Some(match QueryText::deserialize(deserializer)? {
        QueryText::All => QueryKey::All,
        QueryText::Keep(patterns) => QueryKey::Keep(names(patterns)),
        QueryText::Drop(patterns) => QueryKey::Drop(names(patterns)),
    }))
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
