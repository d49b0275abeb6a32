//! The form in which what a key is made of goes to the origin.
//!
//! A key is made of the request as it is sent on, not as it came. So whatever two requests differ in, the key does not
//! make equal what the origin can tell apart: a form that is the same for both is what the origin sees as well. Fields that
//! the key takes as they came are sent as they came, but for one thing: several lines of a field are joined to one, which
//! means the same (RFC 9110 §5.3). RFC 9111 §4.1 would allow more for the key (white space); but an origin that takes
//! `a,b` and `a, b` for two would then answer one client with what another has chosen, and to put every field that
//! `Vary` may come to nominate into one form would change requests of which nobody has asked for it.
//!
//! Two fields have a form of their own:
//!
//! - **`Accept-Encoding`** says which of a few codings are accepted (`key.accept_encoding`). Most of its values differ in
//!   what makes no difference: browsers list codings that the origin does not have, and refused codings, weights and
//!   order count for nothing with origins that look for a name alone. A coding that is refused, or about which there is any
//!   doubt, is not in the form, so that no client is given one that it does not accept.
//! - **`Accept-Language`** is written as browsers write it.

use std::borrow::Cow;

use super::{cookies, query};
use crate::config::{KeyOptions, Options};
use crate::http::coding::{Accepted, Codings};
use crate::http::{RequestHead, weighted};

/// The fields that have a form of their own.
const FORMED: [&str; 2] = ["accept-encoding", "accept-language"];

/// The one line of a field that the origin gets instead of what the request has; none when it gets what there is.
pub(super) fn formed(name: &str, request: &RequestHead, key: &KeyOptions) -> Option<Vec<u8>> {
    if !FORMED.contains(&name) {
        return None;
    }
    let mut lines = request.fields.get_all(name);
    let (first, more) = (lines.next()?, lines);
    if name == "accept-encoding" {
        return Accepted::of(core::iter::once(first).chain(more), key.accept_encoding?).field();
    }
    match more.clone().next() {
        None => weighted::accept_language(first),
        Some(_) => weighted::accept_language(&request.fields.combined(name)?),
    }
}

/// Fields whose lines are not joined: a comma would make something else of cookies and credentials.
const UNJOINED: [&[u8]; 3] = [b"cookie", b"authorization", b"proxy-authorization"];

/// The one line of a field that the origin gets instead of several; none where there are not several.
pub(super) fn joined(name: &str, request: &RequestHead) -> Option<Vec<u8>> {
    let is_joined = request.fields.get_all(name).nth(1).is_some() && !UNJOINED.contains(&name.as_bytes());
    is_joined.then(|| request.fields.combined(name)).flatten()
}

/// What of a request is sent to the origin in another form than it came in.
#[must_use]
pub fn changes(request: &RequestHead, options: &Options) -> Vec<(Cow<'static, str>, Vec<u8>)> {
    let mut changes: Vec<(Cow<'static, str>, Vec<u8>)> = Vec::new();
    if let Some(path) = query::forwarded_path(request, options) {
        changes.push((":path".into(), path));
    }
    for name in FORMED {
        if let Some(value) = formed(name, request, &options.key)
            && !request.fields.get_all(name).eq([&*value])
        {
            changes.push((name.into(), value));
        }
    }
    for name in request.fields.repeated() {
        let name = String::from_utf8_lossy(name);
        if let Some(line) = joined(&name, request)
            && changes.iter().all(|(changed, _)| *changed != name)
        {
            changes.push((name.into_owned().into(), line));
        }
    }
    changes
}

/// The request as it goes to the origin.
#[must_use]
pub fn forwarded<'a>(request: &'a RequestHead, options: &Options) -> Cow<'a, RequestHead> {
    let changes = changes(request, options);
    if changes.is_empty() {
        return Cow::Borrowed(request);
    }
    let mut request = request.clone();
    changes.iter().for_each(|(name, value)| request.fields.set(name, value));
    Cow::Owned(request)
}

/// The request as it would be if it accepted every coding that counts, and which of them it does accept; none when it
/// accepts all of them or none.
#[must_use]
pub fn accepting_all(request: &RequestHead, options: &Options) -> Option<(RequestHead, Codings)> {
    let all = options.key.accept_encoding?;
    let Accepted { codings, refuses_identity } = Accepted::of(request.fields.get_all("accept-encoding"), all);
    if codings.is_empty() || codings == all || refuses_identity {
        return None;
    }
    let mut request = request.clone();
    request.fields.set("accept-encoding", Accepted { codings: all, refuses_identity }.field()?);
    Some((request, codings))
}

/// Takes out of a request what the options want nobody to see: some fields, and some cookies. What has become of which
/// field: its one line, or none.
pub fn withhold(request: &mut RequestHead, options: &Options) -> Vec<(String, Option<Vec<u8>>)> {
    let stripped = options.key.unkeyed.stripped(&request.fields);
    let mut withheld: Vec<(String, Option<Vec<u8>>)> =
        stripped.map(|(name, _)| (String::from_utf8_lossy(name).into_owned(), None)).collect();
    if let Some(left) = cookies::left(&request.fields, &options.key.cookies_drop) {
        withheld.push(("cookie".to_owned(), left));
    }
    for (name, left) in &withheld {
        match left {
            Some(left) => request.fields.set(name, left),
            None => request.fields.remove(name),
        }
    }
    withheld
}
