//! When a rule applies: conditions on the request and on the response, of which all must hold.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

use super::extension::{agrees, is_plain};
use super::field::set;
use super::names::{FieldName, Method};
use super::path::PathPattern;
use super::pattern::{HostPattern, TypePattern, ValuePattern, without_port};
use super::text::OneOrMany;
use super::units::StatusRange;
use crate::http::RequestHead;

/// The conditions of a rule. Those that are left out always hold; of a list of values, any will do.
#[derive(Deserialize, Clone, PartialEq, Debug, Default)]
#[serde(default, deny_unknown_fields, expecting = "an object")]
pub(super) struct Match {
    #[serde(deserialize_with = "set")]
    pub host: Option<OneOrMany<HostPattern>>,
    #[serde(deserialize_with = "set")]
    pub path: Option<OneOrMany<PathPattern>>,
    #[serde(deserialize_with = "set")]
    pub method: Option<OneOrMany<Method>>,
    pub header: BTreeMap<FieldName, FieldCondition>,
    #[serde(deserialize_with = "set")]
    pub status: Option<OneOrMany<StatusRange>>,
    #[serde(deserialize_with = "set")]
    pub content_type: Option<OneOrMany<TypePattern>>,
}

/// What the rules look at in a request, read once for all of them.
pub(super) struct Target<'r> {
    pub request: &'r RequestHead,
    pub method: &'r [u8],
    /// In lower case.
    pub authority: Cow<'r, [u8]>,
    /// Without the query.
    pub path: &'r [u8],
}

impl<'r> Target<'r> {
    pub(super) fn of(request: &'r RequestHead) -> Self {
        let path = request.path();
        let end = path.iter().position(|&b| b == b'?' || b == b'#').unwrap_or(path.len());
        let authority = request.authority();
        let lower = !authority.iter().any(u8::is_ascii_uppercase);
        Target {
            request,
            method: request.method(),
            authority: if lower { authority.into() } else { authority.to_ascii_lowercase().into() },
            path: path.get(..end).unwrap_or(path),
        }
    }

    /// The authority without its port.
    pub(super) fn host(&self) -> &[u8] {
        without_port(&self.authority)
    }
}

/// What is known of the exchange.
#[derive(Clone, Copy)]
pub(super) enum Phase<'r> {
    Request,
    Response { status: u16, content_type: &'r [u8] },
}

impl Match {
    /// Whether it has a condition on the response.
    pub(super) fn needs_response(&self) -> bool {
        self.status.is_some() || self.content_type.is_some()
    }

    /// Whether one of its paths trusts a file name extension.
    pub(super) fn trusts_extension(&self) -> bool {
        self.path.iter().flat_map(|paths| &paths.0).any(|path| path.extension.is_some())
    }

    /// Whether all conditions hold; one on the response does not before there is one. `cautious` says that paths
    /// must not be taken for files that they may not be.
    pub(super) fn holds(&self, target: &Target<'_>, phase: Phase<'_>, cautious: bool) -> bool {
        self.response(phase)
            && any(&self.path, |path| {
                path.matches(target.path) && (!cautious || is_file(path, target.path, phase))
            })
            && any(&self.host, |host| host.matches(&target.authority, target.host()))
            && any(&self.method, |method| method.0.as_bytes() == target.method)
            && self.header.iter().all(|(name, condition)| condition.holds(target.request, &name.0))
    }

    fn response(&self, phase: Phase<'_>) -> bool {
        match phase {
            Phase::Request => !self.needs_response(),
            Phase::Response { status, content_type } => {
                any(&self.status, |range| range.contains(status))
                    && any(&self.content_type, |pattern| pattern.matches(content_type))
            }
        }
    }

    /// What stands for `name` in the first path pattern that matches and has it.
    pub(super) fn capture<'p>(&self, name: &str, path: &'p [u8]) -> Option<&'p [u8]> {
        self.path.iter().flat_map(|patterns| &patterns.0).find_map(|pattern| {
            let at = pattern.names.iter().position(|known| **known == *name)?;
            pattern.captures(path)?.get(at).copied()
        })
    }
}

/// Whether a path that matches has the extension that the pattern asks for, as far as can be told.
fn is_file(pattern: &PathPattern, path: &[u8], phase: Phase<'_>) -> bool {
    pattern.extension.as_ref().is_none_or(|extension| match phase {
        Phase::Request => is_plain(path),
        Phase::Response { content_type, .. } => is_plain(path) && agrees(extension, content_type),
    })
}

fn any<T>(condition: &Option<OneOrMany<T>>, holds: impl FnMut(&T) -> bool) -> bool {
    condition.as_ref().is_none_or(|alternatives| alternatives.0.iter().any(holds))
}

/// A condition on a request header field.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum FieldCondition {
    /// `true` or `false`: whether there is one.
    Present(bool),
    /// Some line of it matches one of these.
    Value(OneOrMany<ValuePattern>),
}

impl FieldCondition {
    fn holds(&self, request: &RequestHead, name: &str) -> bool {
        match self {
            FieldCondition::Present(present) => request.fields.contains(name) == *present,
            FieldCondition::Value(patterns) => request
                .fields
                .get_all(name)
                .any(|value| patterns.0.iter().any(|pattern| pattern.matches(value))),
        }
    }
}

impl<'de> Deserialize<'de> for FieldCondition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FieldConditionVisitor)
    }
}

struct FieldConditionVisitor;

impl<'de> Visitor<'de> for FieldConditionVisitor {
    type Value = FieldCondition;

    fn expecting(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(
            "true (present), false (absent), a value in which * stands for any text, or a list of values",
        )
    }

    fn visit_bool<E: Error>(self, present: bool) -> Result<FieldCondition, E> {
        Ok(FieldCondition::Present(present))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<FieldCondition, E> {
        OneOrMany::one(value).map(FieldCondition::Value)
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, list: A) -> Result<FieldCondition, A::Error> {
        OneOrMany::many(list).map(FieldCondition::Value)
    }
}
