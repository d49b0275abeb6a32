//! Field values, one at a time.

use std::time::UNIX_EPOCH;

use larder::config::KeyOptions;
use larder::http::cache_control::{CacheControl, RequestCacheControl};
use larder::http::coding::{Accepted, Coding};
use larder::http::etag::{self, EntityTag};
use larder::http::range::{self, Selection};
use larder::http::search::SearchVariance;
use larder::http::{date, list, percent, structured, uri, weighted};
use larder::policy;
use larder::time::Timestamp;

pub fn cache_control(value: &[u8]) {
    let read = |value: &[u8]| CacheControl::parse([value].into_iter());
    assert_eq!(read(&list::spaced(value)), read(value));
    // Nothing that stands before it hides a prohibition: neither in the line above nor in the same one.
    assert!(CacheControl::parse([value, b"no-store"].into_iter()).no_store);
    // Nor does a mistake in writing it.
    for mistake in [&b"; no-store"[..], b" no-store", b": no-store", b";'no-store'"] {
        assert!(read(&[value, mistake].concat()).no_store);
    }
    let _ = CacheControl::parse_surrogate([value].into_iter(), Some("edge"));
    let asked = |value: &[u8]| RequestCacheControl::parse([value].into_iter());
    assert_eq!(asked(&list::spaced(value)), asked(value));
}

pub fn structured(value: &[u8]) {
    if structured::targeted(value).is_some() {
        let more = [value, b", no-store"].concat();
        assert!(structured::targeted(&more).is_some_and(|control| control.no_store));
    }
    if let Some(strings) = structured::strings(value) {
        let escaped = |text: &String| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        let written = strings.iter().map(escaped).collect::<Vec<_>>().join(", ");
        assert_eq!(structured::strings(written.as_bytes()), Some(strings));
    }
}

pub fn dates(value: &[u8]) {
    let Some(time) = date::parse(value) else { return };
    assert_eq!(date::parse(date::format(time).as_bytes()), Some(time));
    assert_eq!(date::parse(&value.to_ascii_lowercase()), Some(time));
    // What another implementation takes for a date too is the same date.
    let theirs = str::from_utf8(value).ok().and_then(|text| httpdate::parse_http_date(text).ok());
    if let Some(theirs) = theirs.and_then(|time| time.duration_since(UNIX_EPOCH).ok()) {
        assert_eq!(time, Timestamp::from_secs(theirs.as_secs()));
    }
}

pub fn ranges(value: &[u8]) {
    for complete in [0, 1, 100, u64::MAX] {
        if let Selection::Part { start, len } = range::select(value, complete) {
            assert!(len > 0 && start.checked_add(len).is_some_and(|end| end <= complete));
        }
    }
    if let Some((start, len)) = range::select_within(value, 10, 59, None) {
        assert!(start >= 10 && len > 0 && start + len <= 60);
        assert_eq!(range::select(value, 100), Selection::Part { start, len });
    }
    if let Some((first, last, complete)) = range::parse_content_range(value) {
        assert!(first <= last && complete.is_none_or(|complete| last < complete));
        if let Some(len) = (last - first).checked_add(1) {
            let written = range::content_range(first, len, complete);
            assert_eq!(range::parse_content_range(written.as_bytes()), Some((first, last, complete)));
        }
    }
}

pub fn etags(value: &[u8]) {
    for member in list::entity_tags(value) {
        let Some(tag) = EntityTag::parse(member) else { continue };
        assert!(tag.weak_eq(&tag) && tag.strong_eq(&tag) != tag.weak);
        assert!(etag::listed([value].into_iter(), Some(member)));
    }
    let members = |value: &[u8]| list::members(value).map(<[u8]>::to_vec).collect::<Vec<_>>();
    assert_eq!(members(&list::spaced(value)), members(value));
    for member in list::members(value) {
        let _ = (list::parameters(member).count(), list::name_and_value(member), list::unquoted(member));
    }
    if let Some(once) = weighted::accept_language(value) {
        assert_eq!(weighted::accept_language(&once).as_ref(), Some(&once));
    }
    let accepted = |value: &[u8]| Accepted::of([value].into_iter(), Coding::ALL.into_iter().collect());
    if let Some(once) = accepted(value).field() {
        assert_eq!(accepted(&once), accepted(value));
    }
}

pub fn uris(value: &[u8]) {
    let normalised = |value: &[u8]| {
        let mut normal = Vec::new();
        percent::push_normalised(&mut normal, value);
        normal
    };
    let normal = normalised(value);
    assert_eq!(normalised(&normal), normal);
    let _ = (uri::host_and_port(value), percent::form_decoded(value).count(), uri::split_query(value));
    let _ = uri::resolve(b"http", b"h", b"/a/b?c", value);
    let (field, query) = value.split_at(value.iter().position(|b| *b == b'\n').unwrap_or(value.len()));
    let variance = SearchVariance::parse(field);
    assert_eq!(SearchVariance::parse(variance.to_string().as_bytes()), variance);
    let canonical = variance.canonical(Some(query));
    assert_eq!(variance.canonical(canonical.as_deref()), canonical);
    // What a purge names is what a request for it has as its URI, however it is written.
    if let Ok(text) = str::from_utf8(value)
        && let Ok(read) = policy::uri_of(text, &KeyOptions::default())
    {
        let again = [b"http://", &read[..]].concat();
        let again = str::from_utf8(&again).map(|text| policy::uri_of(text, &KeyOptions::default()));
        assert!(again.is_err() || again == Ok(Ok(read)));
    }
}
