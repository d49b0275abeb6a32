//! What holds for every message, whatever it says: of the policy, of the codecs, and of all that reads what strangers
//! write.

use std::time::{Duration, Instant};

use larder::config::{Config, KeyOptions, Options, QueryKey, REFERENCE, RequestDirectives};
use larder::http::cache_control::{CacheControl, RequestCacheControl};
use larder::http::coding::{Accepted, Coding};
use larder::http::range::{self, Selection};
use larder::http::search::SearchVariance;
use larder::http::{Fields, RequestHead, ResponseHead, date, etag, list, percent, structured, uri, weighted};
use larder::outcome::StaleReason;
use larder::policy::{self, BodyPart, Invalidated, Reuse, StoredResponse, Trouble};
use larder::time::Timestamp;

use crate::chance::Chance;

const SEED: u64 = 0x9110;
const T0: Timestamp = Timestamp::from_secs(1_700_000_000);

/// Runs `property` on many seeds; what it panics with follows the seed.
fn for_many(count: u64, property: impl Fn(&mut Chance)) {
    for seed in SEED..SEED + count {
        let result =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| property(&mut Chance::new(seed))));
        assert!(result.is_ok(), "seed {seed}: see above");
    }
}

/// Field values that are nearly right: words of the grammars, and bytes that no grammar has.
fn value(by: &mut Chance) -> Vec<u8> {
    const WORDS: [&str; 44] = [
        "max-age",
        "s-maxage",
        "no-cache",
        "no-store",
        "private",
        "public",
        "must-revalidate",
        "immutable",
        "must-understand",
        "stale-while-revalidate",
        "stale-if-error",
        "max-stale",
        "min-fresh",
        "only-if-cached",
        "=60",
        "=0",
        "=99999999999999999999",
        "=-1",
        "=\"a, b\"",
        "=\"",
        "\\\"",
        "\"",
        ",",
        ", ",
        ";",
        ";q=0.5",
        "*",
        "bytes=",
        "bytes ",
        "0-",
        "-5",
        "3-9",
        "/",
        "/10",
        "W/",
        "gzip",
        "de-CH",
        "%41",
        "%",
        "?a=1&b",
        "//h",
        "..",
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "(",
    ];
    let mut value = Vec::new();
    for _ in 0..by.below(10) {
        match by.below(12) {
            0 => value.push(by.number() as u8),
            1 => value.push(*by.pick(b" \t=,;\"\\()*?%&/-0")),
            _ => value.extend_from_slice(by.pick(&WORDS).as_bytes()),
        }
    }
    value
}

/// A value of a field that means something to the cache.
fn control(by: &mut Chance) -> Vec<u8> {
    const DIRECTIVES: [&str; 16] = [
        "max-age=60",
        "max-age=0",
        "s-maxage=30",
        "no-cache",
        "private=\"a\"",
        "public",
        "must-revalidate",
        "stale-while-revalidate=20",
        "stale-if-error=40",
        "immutable",
        "max-stale",
        "max-stale=15",
        "min-fresh=5",
        "max-age=10",
        "proxy-revalidate",
        "no-store",
    ];
    if by.odds(10) {
        return value(by);
    }
    let directives: Vec<&str> = (0..=by.below(3)).map(|_| *by.pick(&DIRECTIVES)).collect();
    directives.join(", ").into_bytes()
}

fn when(by: &mut Chance) -> Vec<u8> {
    let offset = by.below(400) as i64 - 200;
    date::format(Timestamp::from_secs(T0.secs().saturating_add_signed(offset))).into_bytes()
}

fn request(by: &mut Chance) -> RequestHead {
    let path = [&b"/"[..], &if by.odds(50) { value(by) } else { Vec::new() }].concat();
    let mut fields = Fields::from_iter([
        (&b":method"[..], *by.pick(&[&b"GET"[..], b"GET", b"GET", b"HEAD", b"POST", b"QUERY", b"PUT"])),
        (b":scheme", b"http"),
        (b":authority", b"h"),
        (b":path", &path),
    ]);
    const NAMES: [&str; 12] = [
        "cache-control",
        "cache-control",
        "range",
        "if-range",
        "if-none-match",
        "if-modified-since",
        "accept-encoding",
        "accept-language",
        "cookie",
        "x-a",
        "pragma",
        "authorization",
    ];
    for _ in 0..by.below(5) {
        let name = *by.pick(&NAMES);
        let value = if name == "cache-control" { control(by) } else { value(by) };
        fields.push(name, value);
    }
    RequestHead { fields, has_body: by.odds(5) }
}

fn response(by: &mut Chance) -> ResponseHead {
    const NAMES: [&str; 14] = [
        "cache-control",
        "cache-control",
        "cdn-cache-control",
        "surrogate-control",
        "expires",
        "date",
        "age",
        "etag",
        "last-modified",
        "vary",
        "content-range",
        "no-vary-search",
        "set-cookie",
        "connection",
    ];
    let mut fields = Fields::new();
    for _ in 0..by.below(8) {
        let name = *by.pick(&NAMES);
        let value = match name {
            "cache-control" | "cdn-cache-control" | "surrogate-control" => control(by),
            "expires" | "date" | "last-modified" if by.odds(80) => when(by),
            "age" if by.odds(80) => by.below(100).to_string().into_bytes(),
            "etag" if by.odds(80) => by.pick(&[&b"\"a\""[..], b"W/\"a\""]).to_vec(),
            "content-range" if by.odds(80) => {
                let (first, len) = (by.below(9), 1 + by.below(9));
                let complete = by.odds(70).then(|| first + len + by.below(5));
                range::content_range(first, len, complete).into_bytes()
            }
            "vary" if by.odds(80) => by.pick(&[&b"x-a"[..], b"accept-encoding, x-a"]).to_vec(),
            _ => value(by),
        };
        fields.push(name, value);
    }
    ResponseHead { status: *by.pick(&[200, 200, 200, 203, 206, 204, 304, 404, 500, 503]), fields }
}

fn options(by: &mut Chance) -> Options {
    let secs = |by: &mut Chance| Duration::from_secs(by.below(60));
    let maybe = |by: &mut Chance| by.odds(15).then(|| secs(by));
    Options {
        ttl: maybe(by),
        ttl_default: maybe(by),
        ttl_min: maybe(by),
        ttl_max: maybe(by),
        stale_while_revalidate: maybe(by).unwrap_or_default(),
        stale_if_error: maybe(by).unwrap_or_default(),
        stale_if_down: maybe(by).unwrap_or_default(),
        soft_purge_grace: secs(by),
        surrogate_control: by.odds(30),
        request_directives: *by.pick(&[
            RequestDirectives::Honor,
            RequestDirectives::IgnoreRevalidation,
            RequestDirectives::Ignore,
        ]),
        key: KeyOptions {
            query: match by.below(3) {
                0 => QueryKey::All,
                1 => QueryKey::Drop(vec!["a*".into()]),
                _ => QueryKey::Keep(vec!["b".into()]),
            },
            query_sorted: by.odds(50),
            forward_dropped: by.odds(30),
            headers: if by.odds(30) { vec!["accept-language".into(), "x-a".into()] } else { Vec::new() },
            cookies: if by.odds(30) { vec!["a".into()] } else { Vec::new() },
            accept_encoding: by.odds(70).then(|| Coding::ALL.into_iter().filter(|_| by.odds(50)).collect()),
            ..KeyOptions::default()
        },
        ..Options::default()
    }
}

/// A response that is stored, with the options under which it was.
fn stored(by: &mut Chance) -> Option<(StoredResponse, Options)> {
    let options = options(by);
    let mut request = request(by);
    request.fields.set(":method", "GET");
    let mut response = response(by);
    if response.status == 206 {
        request.fields.set("range", "bytes=0-");
        response.fields.set("etag", "\"a\"");
    }
    let sent = Timestamp(T0.0 - by.below(3_000));
    let stored = policy::storable(&request, &response, &options, sent, T0).ok()?;
    Some((stored, options))
}

fn later(by: &mut Chance) -> Timestamp {
    Timestamp(T0.0 + by.below(200_000))
}

#[test]
fn nothing_is_fresh_beyond_its_lifetime_nor_stale_beyond_what_allows_it() {
    for_many(20_000, |by| {
        let Some((stored, options)) = stored(by) else { return };
        let (request, now) = (request(by), later(by));
        let invalidated = match by.below(4) {
            0 => Invalidated::Soft { at: later(by) },
            1 => Invalidated::Revalidate,
            _ => Invalidated::No,
        };
        let age = policy::current_age(&stored, now);
        let past = age.saturating_sub(stored.lifetime);
        match policy::reuse(&stored, &request, &options, invalidated, now) {
            Reuse::Fresh { age: said, ttl } => {
                assert!(age < stored.lifetime && invalidated == Invalidated::No && !stored.no_cache);
                assert_eq!((said, said + ttl), (age, stored.lifetime));
            }
            Reuse::Stale { age: said, reason, .. } => {
                assert!(said == age && !stored.no_cache && invalidated != Invalidated::Revalidate);
                match reason {
                    StaleReason::WhileRevalidate => assert!(past < stored.stale_while_revalidate),
                    StaleReason::SoftPurged => assert!(age < stored.lifetime),
                    StaleReason::MaxStale => assert!(invalidated == Invalidated::No),
                    StaleReason::IfError | StaleReason::IfDown => panic!("no error has happened"),
                }
                assert!(!stored.must_revalidate || reason == StaleReason::SoftPurged);
            }
            Reuse::Validate(_) => {}
        }
        let helps =
            |trouble| policy::in_trouble(&stored, trouble, &request, &options, invalidated, now).is_some();
        if helps(Trouble::Failed) {
            let sent = request.fields.get_all("cache-control");
            let permitted = RequestCacheControl::parse(sent).stale_if_error.unwrap_or_default();
            assert!(past < stored.stale_if_error.max(permitted));
            assert!(!stored.must_revalidate && !stored.no_cache && invalidated != Invalidated::Revalidate);
            assert!(helps(Trouble::Down) && !stored.is_server_error());
        }
        if helps(Trouble::Down) {
            assert!(!stored.no_cache && invalidated != Invalidated::Revalidate);
            assert!(!stored.must_revalidate || past < stored.stale_if_error);
        }
        assert!(policy::expires(&stored) >= T0 || stored.initial_age > stored.lifetime);
    });
}

#[test]
fn an_age_never_goes_back_while_the_stored_response_stays() {
    for_many(5_000, |by| {
        let Some((stored, _)) = stored(by) else { return };
        let mut times = [later(by), later(by), later(by)];
        times.sort_unstable();
        let said = times.map(|now| {
            let age = policy::current_age(&stored, now);
            let answer = policy::answer(&stored, 10, &request(by), age);
            let field = answer.fields.get("age").map(|age| String::from_utf8(age.to_vec()).unwrap());
            assert!(answer.fields.get_all("age").count() <= 1);
            field.map_or(age.as_secs(), |field| field.parse().unwrap())
        });
        assert!(said.is_sorted(), "{said:?}");
        assert!(policy::current_age(&stored, Timestamp(0)) >= stored.initial_age, "a clock that went back");
    });
}

#[test]
fn what_is_stale_here_is_stale_in_front() {
    for_many(20_000, |by| {
        let Some((stored, _)) = stored(by) else { return };
        let now = later(by);
        let age = policy::age_when_stale(&stored, policy::current_age(&stored, now));
        assert!(age >= stored.lifetime && age >= policy::current_age(&stored, now));
        let sent = policy::answer(&stored, 10, &request_for_get(), age);
        let response = ResponseHead { status: sent.status, fields: sent.fields };
        let targeted = Options::default().targeted;
        for options in [
            Options { targeted: Vec::new(), ..Options::default() },
            Options { targeted, surrogate_control: true, ..Options::default() },
        ] {
            // What a validator or a window makes worth storing is stale from the beginning.
            if let Ok(kept) = policy::storable(&request_for_get(), &response, &options, now, now) {
                assert!(kept.initial_age >= kept.lifetime, "{response:?}");
            }
        }
    });
}

#[test]
fn a_304_makes_nothing_older_and_confirms_only_itself() {
    for_many(5_000, |by| {
        let Some((stored, options)) = stored(by) else { return };
        let now = later(by);
        let confirmation = ResponseHead { status: 304, fields: Fields::new() };
        if policy::confirms(&stored, &confirmation)
            && let Ok(fresh) =
                policy::freshened(&stored, &request_for_get(), &confirmation, &options, now, now)
        {
            assert!(policy::current_age(&fresh, now) <= policy::current_age(&stored, now));
            assert_eq!((fresh.status, &fresh.vary), (stored.status, &stored.vary));
        }
    });
}

fn request_for_get() -> RequestHead {
    let target = [(":method", "GET"), (":scheme", "http"), (":authority", "h"), (":path", "/")];
    RequestHead { fields: Fields::from_iter(target), has_body: false }
}

#[test]
fn an_answer_never_sends_more_than_is_stored_and_says_what_it_is() {
    for_many(20_000, |by| {
        let Some((stored, options)) = stored(by) else { return };
        let request = request(by);
        let (first, bytes, complete) = match stored.range {
            Some((first, last, complete)) => (first, last - first + 1, complete),
            None => {
                let bytes = by.below(20);
                (0, bytes, Some(bytes))
            }
        };
        let answers =
            !matches!(policy::reuse(&stored, &request, &options, Invalidated::No, T0), Reuse::Validate(_));
        let answer = policy::answer(&stored, bytes, &request, Duration::ZERO);
        match answer.body {
            BodyPart::Range { start, len } => {
                assert!(len > 0 && start + len <= bytes);
                let range = answer.fields.get("content-range").and_then(range::parse_content_range);
                let said = (first + start, first + start + len - 1, complete);
                assert_eq!((answer.status, range), (206, Some(said)));
            }
            BodyPart::Whole => assert!(stored.range.is_none()),
            BodyPart::None => assert!(stored.range.is_none() || !answers || answer.status == 304),
        }
    });
}

#[test]
fn parts_of_one_text_combine_to_what_it_says_there() {
    let text: Vec<u8> = (0..40).collect();
    let sent = RequestHead {
        fields: Fields::from_iter([(":method", "GET"), ("range", "bytes=0-")]),
        has_body: false,
    };
    for_many(5_000, |by| {
        let mut part = || {
            let first = by.below(40) as usize;
            let last = first + by.below(40 - first as u64) as usize;
            let fields = Fields::from_iter([
                ("etag", "\"x\""),
                ("cache-control", "max-age=60"),
                ("content-range", &format!("bytes {first}-{last}/40")),
            ]);
            let response = ResponseHead { status: 206, fields };
            let stored = policy::storable(&sent, &response, &Options::default(), T0, T0).unwrap();
            (stored, &text[first..=last], first, last)
        };
        let (a, b) = (part(), part());
        let apart = a.3 + 1 < b.2 || b.3 + 1 < a.2;
        let bytes_max = by.below(41);
        let together = (a.3.max(b.3) + 1 - a.2.min(b.2)) as u64;
        let combined = policy::partial::combine((&a.0, a.1), (&b.0, b.1), bytes_max);
        assert_eq!(combined.is_none(), apart || together > bytes_max);
        if let Some((stored, body)) = combined {
            let (first, last) = (a.2.min(b.2), a.3.max(b.3));
            assert_eq!(body, text[first..=last]);
            let part = (first as u64, last as u64, Some(40));
            assert_eq!(stored.range, (part != (0, 39, Some(40))).then_some(part));
        }
    });
}

#[test]
fn what_is_written_is_read_back() {
    for_many(5_000, |by| {
        let time = Timestamp::from_secs(by.below(253_402_300_800));
        assert_eq!(date::parse(date::format(time).as_bytes()), Some(time));

        let (start, len) = (by.below(1 << 40), 1 + by.below(1 << 40));
        let complete = start + len + by.below(9);
        let written = range::content_range(start, len, Some(complete));
        assert_eq!(
            range::parse_content_range(written.as_bytes()),
            Some((start, start + len - 1, Some(complete)))
        );

        let fields: Fields = (0..by.below(9)).map(|_| (value(by).to_ascii_lowercase(), value(by))).collect();
        assert_eq!(Fields::from_wire(fields.wire().to_vec()), fields);

        const VARIANCES: [&str; 9] = [
            "key-order",
            "params",
            "params=(\"a\" \"%C3%A9\")",
            "except=(\"id\")",
            "x",
            "params=(",
            "=?0",
            ", ",
            ", ",
        ];
        let field: String = (0..by.below(6)).map(|_| *by.pick(&VARIANCES)).collect();
        let variance = SearchVariance::parse(field.as_bytes());
        assert_eq!(SearchVariance::parse(variance.to_string().as_bytes()), variance);
        let query = value(by);
        let canonical = variance.canonical(Some(&query));
        assert_eq!(variance.canonical(canonical.as_deref()), canonical);

        let value = value(by);
        let members = |list: &[u8]| list::members(list).map(<[u8]>::to_vec).collect::<Vec<_>>();
        assert_eq!(members(&list::spaced(&value)), members(&value));
        let read = |list: &[u8]| CacheControl::parse([list].into_iter());
        assert_eq!(read(&list::spaced(&value)), read(&value));
        if let Some(once) = weighted::accept_language(&value) {
            assert_eq!(weighted::accept_language(&once).as_ref(), Some(&once));
        }
        let accepted = |value: &[u8]| Accepted::of([value].into_iter(), Coding::ALL.into_iter().collect());
        if let Some(once) = accepted(&value).field() {
            assert_eq!(accepted(&once), accepted(&value));
        }
        let mut normal = Vec::new();
        percent::push_normalised(&mut normal, &value);
        let mut again = Vec::new();
        percent::push_normalised(&mut again, &normal);
        assert_eq!(again, normal);
    });
}

/// Everything that reads what strangers write, on one value.
fn read_everything(value: &[u8]) {
    let _ = CacheControl::parse([value].into_iter());
    let _ = CacheControl::parse_surrogate([value].into_iter(), Some("edge"));
    let _ = RequestCacheControl::parse([value].into_iter());
    let _ = (list::members(value).count(), list::entity_tags(value).count(), list::parameters(value).count());
    let _ = (list::spaced(value), list::unquoted(value));
    let _ = (structured::targeted(value), structured::strings(value));
    let _ = SearchVariance::parse(value);
    for field in ["key-order", "params=(\"a\")", "params, except=(\"a\")"] {
        let _ = SearchVariance::parse(field.as_bytes()).canonical(Some(value));
    }
    let _ = etag::listed([value].into_iter(), Some(value));
    let _ = weighted::accept_language(value);
    let _ = Accepted::of([value].into_iter(), Coding::ALL.into_iter().collect()).field();
    let _ = (date::parse(value), range::parse_content_range(value));
    if let Selection::Part { start, len } = range::select(value, 100) {
        assert!(start + len <= 100);
    }
    let _ = uri::resolve(b"http", b"h", value, value);
    let _ = (uri::host_and_port(value), percent::form_decoded(value).count());
    let _ = Fields::from_wire(value.to_vec());
    if let Ok(text) = std::str::from_utf8(value) {
        let _ = policy::uri_of(text, &KeyOptions::default());
    }
}

#[test]
fn no_value_makes_a_reader_panic() {
    for_many(20_000, |by| read_everything(&value(by)));
}

#[test]
fn no_message_makes_the_policy_panic() {
    for_many(20_000, |by| {
        let (options, request, response) = (options(by), request(by), response(by));
        let _ = (policy::intent(&request, &options), policy::only_if_cached(&request, &options));
        let key = policy::primary(&request, &options);
        let sent = policy::forwarded(&request, &options);
        let nominated = ["accept-encoding", "accept-language", "cookie", "x-a"].map(String::from);
        let variant = |request| policy::variant(&key, &nominated, request, &options);
        assert_eq!((policy::primary(&sent, &options), variant(&sent)), (key.clone(), variant(&request)));
        let _ = policy::storable(&request, &response, &options, T0, T0);
        let _ = policy::invalidated_uris(&request, &response, &options);
        let _ = policy::invalidated_groups(&response);
    });
}

#[test]
#[expect(clippy::disallowed_methods, reason = "how long it takes is the question")]
fn no_long_value_takes_long() {
    // In linear time each takes well under a second; in quadratic time, minutes.
    const LENGTH: usize = 60_000;
    let start = Instant::now();
    for piece in [
        "\"",
        "\\",
        ",",
        ";",
        "=",
        "a,",
        "\"\\",
        "a=\"",
        "a;q=0,",
        "\"a\",",
        "W/\"",
        "/..",
        "/../",
        "%4",
        "bytes=",
        "0-1,",
        "(",
        "(\"a\" ",
        "a=(",
        "&a=",
        "a=1&",
        "?",
        "max-age=1,",
        "private=\"a,",
        "*",
    ] {
        read_everything(&piece.repeat(LENGTH / piece.len()).into_bytes());
    }
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
}

#[test]
fn no_configuration_makes_its_reader_panic() {
    for_many(4_000, |by| {
        let row = by.pick(REFERENCE);
        let mut json = row.example.as_bytes().to_vec();
        for part in row.path.rsplit('.') {
            let (name, open, close) = match part.strip_suffix("[]") {
                Some(name) => (name, "[", "]"),
                None => (part, "", ""),
            };
            json = [format!("{{\"{name}\":{open}").as_bytes(), &json, close.as_bytes(), b"}"].concat();
        }
        for _ in 0..by.below(4) {
            let at = by.below(json.len() as u64) as usize;
            match by.below(4) {
                0 => json[at] = by.number() as u8,
                1 => json.insert(at, *by.pick(b"0129*/{}[]\",:?.-eE\\ smhdKMGiB")),
                2 => drop(json.remove(at)),
                _ => json.truncate(at.max(1)),
            }
            if json.is_empty() {
                return;
            }
        }
        let _ = Config::parse(&json);
    });
}

#[test]
fn no_route_metadata_makes_its_reader_panic() {
    let bytes = |number: u8, value: &[u8]| [&[number << 3 | 2, value.len() as u8], value].concat();
    let entry = |name: &str, value: &[u8]| bytes(1, &[bytes(1, name.as_bytes()), bytes(2, value)].concat());
    let list = bytes(6, &[bytes(1, &bytes(3, b"a")), bytes(1, &[4 << 3, 1])].concat());
    let rule = [entry("ttl", &bytes(3, b"1h")), entry("tags", &list)].concat();
    let message = entry("larder", &rule);
    for_many(4_000, |by| {
        let mut message = message.clone();
        for _ in 0..=by.below(4) {
            let at = by.below(message.len() as u64) as usize;
            match by.below(3) {
                0 => message[at] = by.number() as u8,
                1 => message.insert(at, by.number() as u8),
                _ => message.truncate(at.max(1)),
            }
        }
        let _ = Config::default().for_route(&message);
    });
}
