//! Messages, written in lines: a method and a target or a status, then fields; an empty line ends a section.

use std::time::Duration;

use larder::config::{KeyOptions, Options, QueryKey, RequestDirectives};
use larder::http::cache_control::CacheControl;
use larder::http::{Fields, RequestHead, ResponseHead};
use larder::outcome::StaleReason;
use larder::policy::key::KeyParts;
use larder::policy::{self, BodyPart, Invalidated, Reuse};
use larder::time::Timestamp;

const T0: Timestamp = Timestamp::from_secs(1_700_000_000);

/// Splits off what comes before an empty line.
pub fn section(bytes: &[u8]) -> (&[u8], &[u8]) {
    match bytes.windows(2).position(|two| two == b"\n\n") {
        Some(at) => (&bytes[..at], &bytes[at + 2..]),
        None => (bytes, &[]),
    }
}

/// The fields in these lines; what is no field is left out.
pub fn fields<'a>(lines: impl Iterator<Item = &'a [u8]>) -> impl Iterator<Item = (String, Vec<u8>)> {
    let is_token = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
    let is_value = |b: &u8| *b >= b' ' && *b != 0x7f || *b == b'\t';
    lines.filter_map(move |line| {
        let at = line.iter().position(|b| *b == b':')?;
        let (name, value) = (&line[..at], line[at + 1..].trim_ascii());
        let is_field = !name.is_empty() && name.iter().all(is_token) && value.iter().all(is_value);
        is_field.then(|| (String::from_utf8_lossy(name).to_ascii_lowercase(), value.to_vec()))
    })
}

/// A request from its section.
pub fn request(section: &[u8]) -> RequestHead {
    let mut lines = section.split(|b| *b == b'\n');
    let mut words = lines.next().unwrap_or_default().splitn(2, |b| *b == b' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or(b"/"));
    let mut all = Fields::from_iter([
        (&b":method"[..], method),
        (b":scheme", b"http"),
        (b":authority", b"h.example"),
        (b":path", path),
    ]);
    fields(lines).for_each(|(name, value)| all.push(name, value));
    RequestHead { fields: all, has_body: false }
}

fn response(section: &[u8]) -> ResponseHead {
    let mut lines = section.split(|b| *b == b'\n');
    let status = lines.next().and_then(|line| str::from_utf8(line).ok()?.trim().parse().ok());
    ResponseHead { status: status.unwrap_or(200), fields: fields(lines).collect() }
}

/// Options from a byte.
fn options(byte: u8) -> Options {
    Options {
        ttl_default: (byte & 1 != 0).then_some(Duration::from_secs(5)),
        surrogate_control: byte & 2 != 0,
        request_directives: match byte >> 2 & 3 {
            0 => RequestDirectives::Honor,
            1 => RequestDirectives::IgnoreRevalidation,
            _ => RequestDirectives::Ignore,
        },
        key: KeyOptions {
            query: match byte >> 4 & 3 {
                0 | 1 => QueryKey::All,
                2 => QueryKey::Drop(vec!["a*".into()]),
                _ => QueryKey::Keep(vec!["b".into()]),
            },
            query_sorted: byte & 64 != 0,
            ..KeyOptions::default()
        },
        ..Options::default()
    }
}

/// The whole policy on a request, a response and a request after it.
pub fn policy(bytes: &[u8]) {
    let Some((first, bytes)) = bytes.split_first() else { return };
    let options = options(*first);
    let ((one, rest), now) = (section(bytes), T0.after(Duration::from_secs(u64::from(*first))));
    let (two, three) = section(rest);
    let (asked, answered, next) = (request(one), response(two), request(section(three).0));
    let key = policy::primary(&asked, &options);
    let _ = policy::intent(&asked, &options);
    let sent = policy::forwarded(&asked, &options);
    let nominated = ["accept-encoding", "accept-language", "cookie"].map(String::from);
    let keyed =
        |request| (policy::primary(request, &options), policy::variant(&key, &nominated, request, &options));
    assert_eq!(keyed(&sent), keyed(&asked), "a key is made of what is sent");
    let _ = policy::invalidated_uris(&asked, &answered, &options);
    let _ = policy::invalidated_groups(&answered);
    if let Some(parts) = KeyParts::of(&key) {
        let _ = (parts.url(), parts.shown(), parts.souin(), parts.request());
    }
    let Ok(stored) = policy::storable(&asked, &answered, &options, T0, T0) else { return };
    let control = CacheControl::parse(answered.fields.get_all("cache-control"));
    let targeted = ["cdn-cache-control", "larder-cache-control", "surrogate-control"];
    let is_overruled = targeted.iter().any(|name| answered.fields.contains(name));
    assert!(!control.no_store || control.must_understand || is_overruled, "stored in spite of no-store");
    let age = policy::current_age(&stored, now);
    let bytes = stored.range.map_or(100, |(first, last, _)| last - first + 1);
    for invalidated in [Invalidated::No, Invalidated::Soft { at: T0 }, Invalidated::Revalidate] {
        match policy::reuse(&stored, &next, &options, invalidated, now) {
            Reuse::Fresh { .. } => {
                assert!(age < stored.lifetime && invalidated == Invalidated::No && !stored.no_cache);
            }
            Reuse::Stale { reason, .. } => {
                assert!(invalidated != Invalidated::Revalidate && !stored.no_cache);
                assert!(!stored.must_revalidate || reason == StaleReason::SoftPurged);
            }
            Reuse::Validate(_) => continue,
        }
        if let BodyPart::Range { start, len } = policy::answer(&stored, bytes, &next, age).body {
            assert!(len > 0 && start.checked_add(len).is_some_and(|end| end <= bytes));
        }
    }
    let _ = policy::freshened(&stored, &next, &answered, &options, T0, now);
}
