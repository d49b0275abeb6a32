//! When a rule applies: conditions on the request and on the response, of which all must hold.

use std::borrow::Cow;

use super::extension::{agrees, is_plain};
use super::names::{FieldName, Method};
use super::path::PathPattern;
use super::pattern::{HostPattern, TypePattern, ValuePattern};
use super::text::{text, texts};
use super::units::StatusRange;
use crate::http::RequestHead;
use crate::http::uri::hostname;
use crate::json::{At, Json, Object, Read};

/// The conditions of a rule. Those that are left out always hold; of a list of values, any will do.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Match {
    pub(super) host: Option<Vec<HostPattern>>,
    pub(super) path: Option<Vec<PathPattern>>,
    method: Option<Vec<Method>>,
    /// By field names in lower case.
    pub(super) header: Vec<(String, FieldCondition)>,
    status: Option<Vec<StatusRange>>,
    content_type: Option<Vec<TypePattern>>,
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
        hostname(&self.authority)
    }
}

/// What is known of the exchange.
#[derive(Clone, Copy)]
pub(super) enum Phase<'r> {
    Request,
    Response { status: u16, content_type: &'r [u8] },
}

impl Match {
    pub(super) fn read(&mut self, object: &mut Object<'_>) -> Read<()> {
        object.optional("host", &mut self.host, texts)?;
        object.optional("path", &mut self.path, texts)?;
        object.optional("method", &mut self.method, texts)?;
        object.field("header", &mut self.header, |at| {
            at.entries(|name, condition| {
                let FieldName(name) = text(name)?;
                Ok((name, FieldCondition::read(condition)?))
            })
        })?;
        object.optional("status", &mut self.status, texts)?;
        object.optional("content_type", &mut self.content_type, texts)
    }

    /// Whether it has a condition on the response.
    pub(super) fn needs_response(&self) -> bool {
        self.status.is_some() || self.content_type.is_some()
    }

    /// Whether one of its paths trusts a file name extension.
    pub(super) fn trusts_extension(&self) -> bool {
        self.path.iter().flatten().any(|path| path.extension.is_some())
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
            && self.header.iter().all(|(name, condition)| condition.holds(target.request, name))
    }

    /// The same conditions on paths in plain spelling; none when it has none on paths.
    pub(super) fn plain(&self) -> Option<Match> {
        let path = self.path.as_ref()?.iter().map(PathPattern::plain).collect();
        Some(Match { path: Some(path), ..self.clone() })
    }

    /// Whether there may be a request for this URL of which all conditions hold.
    pub(super) fn may_hold_for(&self, target: &Target<'_>) -> bool {
        any(&self.path, |path| path.matches(target.path))
            && any(&self.host, |host| host.matches(&target.authority, target.host()))
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
        self.path.iter().flatten().find_map(|pattern| {
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

fn any<T>(condition: &Option<Vec<T>>, holds: impl FnMut(&T) -> bool) -> bool {
    condition.as_ref().is_none_or(|alternatives| alternatives.iter().any(holds))
}

/// A condition on a request header field.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum FieldCondition {
    /// `true` or `false`: whether there is one.
    Present(bool),
    /// Some line of it matches one of these.
    Value(Vec<ValuePattern>),
}

impl FieldCondition {
    fn read(at: &At<'_>) -> Read<Self> {
        match at.value {
            Json::Bool(present) => Ok(FieldCondition::Present(*present)),
            Json::Text(_) | Json::List(_) => texts(at).map(FieldCondition::Value),
            Json::Null | Json::Number(_) | Json::Object(_) => Err(at.wrong(
                "a condition on a header field",
                "true (present), false (absent), a value in which * stands for any text, or a list of values",
            )),
        }
    }

    fn holds(&self, request: &RequestHead, name: &str) -> bool {
        let mut lines = request.fields.get_all(name);
        match self {
            FieldCondition::Present(present) => lines.next().is_some() == *present,
            FieldCondition::Value(patterns) => {
                lines.any(|value| patterns.iter().any(|pattern| pattern.matches(value)))
            }
        }
    }
}
