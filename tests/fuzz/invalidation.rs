//! Tags, and records of the journal with what they cover.

use larder::http::Fields;
use larder::invalidation::Matcher;
use larder::invalidation::{
    Index, Invalidation, Mode, Selector, Source, Subject, TAG_BYTES_MAX, Tag, Verdict, decode, encode,
    groups_of, record_bytes, tags_of,
};
use larder::time::Timestamp;

/// A field of tags: a first line that names it, then its value.
pub fn tags(bytes: &[u8]) {
    let mut lines = bytes.splitn(2, |b| *b == b'\n');
    let name =
        lines.next().and_then(|line| str::from_utf8(line).ok()).unwrap_or_default().to_ascii_lowercase();
    let value = lines.next().unwrap_or_default();
    let fields = Fields::from_iter([(name.as_bytes(), value)]);
    let _ = groups_of(&fields, &name);
    let Ok(found) = tags_of(&fields, &[name], 8, 64) else { return };
    assert!(found.len() <= 8 && found.is_sorted());
    for tag in found {
        assert!(tag.as_str().len() <= 64.min(TAG_BYTES_MAX));
        assert_eq!(Tag::new(tag.as_str()).as_ref(), Some(&tag));
        let of_it = |tag: Tag| Selector::Tags(vec![tag]);
        assert!(covers(&of_it(tag.clone()), &subject(b"h.example/a", &[tag])));
    }
}

/// A record as it lies in the journal, and a response that it may cover.
pub fn record(bytes: &[u8]) {
    let (record, uri) = bytes.split_at(bytes.iter().rposition(|b| *b == b'\n').unwrap_or(bytes.len()));
    let invalidation = decode(record);
    let written = encode(&invalidation);
    let read = decode(&written);
    assert_eq!(decode(&encode(&read)), read);
    if record_bytes(&invalidation) <= written.len() {
        assert_eq!(read.selector, invalidation.selector);
    }
    let tags: Vec<Tag> = ["a", "b:c"].iter().filter_map(|name| Tag::new(name)).collect();
    let subjects = [subject(uri.trim_ascii(), &tags), subject(b"h.example:8080/shop/a?b=1", &tags)];
    for subject in &subjects {
        // What stands for a selector that was too long covers no less.
        assert!(covers(&read.selector, subject) || !covers(&invalidation.selector, subject));
        in_an_index(&read, subject);
    }
}

/// The index, which looks up names, says the same as the selector held against the response.
fn in_an_index(invalidation: &Invalidation, subject: &Subject<'_>) {
    let mut index = Index::new(1000);
    let _ = index.insert(1, &other());
    if index.insert(5, invalidation).is_ok() {
        let covered = covers(&invalidation.selector, subject);
        assert_eq!(index.verdict(subject, 4) != Verdict::Valid, covered, "{invalidation:?} {subject:?}");
        assert_eq!(index.verdict(subject, 4) == Verdict::Hard, covered && invalidation.mode == Mode::Hard);
        assert_eq!(index.verdict(subject, 5), Verdict::Valid);
    }
}

fn covers(selector: &Selector, subject: &Subject<'_>) -> bool {
    Matcher::new(selector).covers(subject)
}

fn subject<'a>(uri: &'a [u8], tags: &'a [Tag]) -> Subject<'a> {
    Subject { uri, tags, status: 200, content_type: b"text/html; charset=utf-8", stored_at: Timestamp(1000) }
}

fn other() -> Invalidation {
    Invalidation {
        mode: Mode::Soft,
        selector: Selector::All,
        issued_at: Timestamp(0),
        source: Source::UnsafeMethod,
        reason: None,
    }
}
