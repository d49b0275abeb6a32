//! What the core does for a request, without Envoy: `core` lists the cases, `core <case> <n>` runs one n times.
//!
//! `make bench-core` counts the instructions of each, which no other load on the machine changes.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "a benchmark, not the product")]

use core::hint::black_box;
use std::rc::Rc;

use larder::cache::{Cache, Context, Identity};
use larder::config::Config;
use larder::exchange::{Ending, Exchange, Kept, Step};
use larder::http::cache_control::CacheControl;
use larder::http::{Fields, RequestHead, ResponseHead};
use larder::invalidation::{Invalidation, Mode, Part, Selector, Source, Tag};
use larder::store::Seed;
use larder::time::{Monotonic, Now, Timestamp};

#[path = "../world.rs"]
#[allow(dead_code, reason = "others ask it for more")]
mod world;
use world::World;

type Case = (&'static str, fn(usize));

const CASES: [Case; 13] = [
    ("request header section, parsed", parse_request),
    ("cache-control, parsed", parse_cache_control),
    ("rules: none of 1,000 matches", match_rules),
    ("hit in worker memory", |n| hits("{}", &[], n)),
    ("hit in shared data", |n| hits(r#"{"store": {"worker_bytes_max": "0"}}"#, &[], n)),
    ("hit of a variant", |n| hits("{}", &[("vary", "accept-encoding")], n)),
    ("304 to a conditional request", conditional_hits),
    ("hit after a purge of something else, 10,000 before", hits_after_purges),
    ("hit of a long URL, 500 patterns before", |n| hits_among_patterns(false, n)),
    ("hit of a long URL, 500 patterns before, after a POST to something else", |n| {
        hits_among_patterns(true, n);
    }),
    ("miss, stored", misses),
    ("no-store response", passes),
    ("purge of a tag", purges),
];

fn main() {
    let mut args = std::env::args().skip(1);
    let Some(name) = args.next().filter(|name| name != "--bench") else {
        CASES.iter().for_each(|(name, _)| println!("{name}"));
        return;
    };
    let n = args.next().and_then(|n| n.parse().ok()).expect("how often");
    let (_, run) = CASES.iter().find(|(case, _)| *case == name).expect("a case");
    run(n);
}

fn parse_request(n: usize) {
    let raw = request("/page", &[]);
    for _ in 0..n {
        let request = head(black_box(&raw));
        black_box((request.method(), request.path(), request.fields.get("if-none-match")));
    }
}

fn parse_cache_control(n: usize) {
    let line = &b"public, max-age=300, s-maxage=86400, stale-while-revalidate=60, stale-if-error=3600"[..];
    for _ in 0..n {
        black_box(CacheControl::parse(black_box([line]).into_iter()));
    }
}

fn match_rules(n: usize) {
    let rule = |n| match n % 3 {
        0 => format!(r#"{{"match": {{"path": "/service-{n}/**"}}, "ttl": "1m"}}"#),
        1 => format!(r#"{{"match": {{"host": "*.customer-{n}.example"}}, "ttl": "1m"}}"#),
        _ => format!(r#"{{"match": {{"path": "/**/*.type{n}"}}, "ttl": "1m"}}"#),
    };
    let rules: Vec<String> = (0..1000).map(rule).collect();
    let config = Config::parse(format!(r#"{{"rules": [{}]}}"#, rules.join(",")).as_bytes()).unwrap();
    let request = head(&request("/page", &[]));
    for _ in 0..n {
        black_box(config.rules.for_request(black_box(&request)));
    }
}

fn hits(config: &str, fields: &[(&str, &str)], n: usize) {
    let mut worker = Worker::new(config);
    worker.fetch("/page", &response("max-age=60", fields));
    let raw = request("/page", &[]);
    for _ in 0..n {
        assert_eq!(worker.answer(&raw), 200);
    }
}

fn conditional_hits(n: usize) {
    let mut worker = Worker::new("{}");
    worker.fetch("/page", &response("max-age=60", &[]));
    let raw = request("/page", &[("if-none-match", "\"v1\"")]);
    for _ in 0..n {
        assert_eq!(worker.answer(&raw), 304);
    }
}

fn hits_after_purges(n: usize) {
    let mut worker = Worker::new("{}");
    worker.fetch("/page", &response("max-age=60", &[("cache-tag", "page, product:1, product:2")]));
    (0..10_000).for_each(|n| worker.purge(&format!("other:{n}")));
    let raw = request("/page", &[]);
    for number in 0..n {
        worker.purge(&format!("another:{number}"));
        assert_eq!(worker.answer(&raw), 200);
    }
}

fn hits_among_patterns(posts: bool, n: usize) {
    let mut worker = Worker::new("{}");
    let path = format!("/page?{}", "a".repeat(2 << 10));
    worker.fetch(&path, &response("max-age=60", &[]));
    for number in 0..500 {
        let regex = format!("part-[0-9]+-{number}");
        worker.invalidate(Mode::Soft, Selector::Regex(Part::Url, regex.into()));
    }
    let raw = request(&path, &[]);
    for number in 0..n {
        if posts {
            let uri = format!("www.example.com/other/{}", number % 100);
            worker.invalidate(Mode::Revalidate, Selector::Uri(uri.into_bytes()));
        }
        assert_eq!(worker.answer(&raw), 200);
    }
}

fn misses(n: usize) {
    let mut worker = Worker::new(r#"{"store": {"entries_max": 64}}"#);
    let response = response("max-age=60", &[("cache-tag", "page, product:1")]);
    for number in 0..n {
        worker.fetch(&format!("/page/{number:08}"), &response);
    }
}

fn passes(n: usize) {
    let mut worker = Worker::new("{}");
    let response = response("no-store", &[]);
    for _ in 0..n {
        worker.fetch("/page", &response);
    }
}

fn purges(n: usize) {
    let mut worker = Worker::new("{}");
    for number in 0..n {
        worker.purge(&format!("product:{number:08}"));
    }
}

/// A worker whose clock stands still.
struct Worker {
    config: Rc<Config>,
    cache: Cache,
    kept: Kept,
    world: World,
    streams: u32,
}

impl Worker {
    fn new(config: &str) -> Worker {
        let config = Rc::new(Config::parse(config.as_bytes()).unwrap());
        let identity = Identity { nonce: 1, seed: Seed(1, 2) };
        let mut cache = Cache::new(Rc::clone(&config), identity);
        let world = World::default();
        cache.register(world.at(now()));
        Worker { config, cache, kept: Kept::new(identity), world, streams: 0 }
    }

    fn exchange(&mut self) -> (Exchange, Context<'_, World>, &mut Kept) {
        self.streams += 1;
        let Worker { config, cache, kept, world, .. } = self;
        (Exchange::new(self.streams), Context { cache, config, turn: world.at(now()) }, kept)
    }

    /// A request that is answered from the cache; the status.
    fn answer(&mut self, raw: &[u8]) -> u16 {
        let (mut exchange, mut cx, kept) = self.exchange();
        let Step::Reply(reply) = exchange.request_head(&mut cx, kept, head(raw)) else { return 0 };
        black_box((reply.fields.wire(), reply.body.bytes()));
        exchange.own_reply(reply.fields.len(), Fields::new);
        reply.status
    }

    /// A request that goes to the origin, all the way.
    fn fetch(&mut self, path: &str, response: &[u8]) {
        let (mut exchange, mut cx, kept) = self.exchange();
        let step = exchange.request_head(&mut cx, kept, head(&request(path, &[])));
        assert!(matches!(step, Step::Continue(_)));
        let response = ResponseHead::from_fields(Fields::from_wire(response.to_vec())).unwrap();
        black_box(exchange.response_head(&mut cx, &mut kept.unsafe_methods, &response, false));
        if exchange.captures() {
            exchange.response_body(&mut cx, Some(vec![b'x'; 1024]), true);
        }
        if !exchange.is_over() {
            exchange.end(&mut cx, Ending::ClientLeft);
        }
    }

    fn purge(&mut self, tag: &str) {
        self.invalidate(Mode::Soft, Selector::Tags(vec![Tag::new(tag).unwrap()]));
    }

    fn invalidate(&mut self, mode: Mode, selector: Selector) {
        let invalidation = Invalidation {
            mode,
            selector,
            issued_at: now().wall,
            source: Source::UnsafeMethod,
            reason: None,
        };
        self.cache.invalidate(&self.world, &invalidation).unwrap();
    }
}

fn now() -> Now {
    Now { wall: Timestamp::from_secs(1_750_000_000), mono: Monotonic(1_000_000) }
}

/// A request as a browser makes it, in the form in which the host passes it.
fn request(path: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut all = vec![
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "www.example.com"),
        (":path", path),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0"),
        ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        ("accept-language", "en-GB,en;q=0.5"),
        ("accept-encoding", "gzip, deflate, br"),
        ("cookie", "session=0123456789abcdef; theme=dark"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-proto", "https"),
        ("x-request-id", "7b5e7c0e-2f0c-4e5c-9d1f-6f0a3c1d2e4b"),
    ];
    all.extend_from_slice(fields);
    Fields::from_iter(all).wire().to_vec()
}

fn head(raw: &[u8]) -> RequestHead {
    RequestHead { fields: Fields::from_wire(raw.to_vec()), has_body: false }
}

/// A response in the same form.
fn response(cache_control: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut all = vec![
        (":status", "200"),
        ("content-type", "text/html; charset=utf-8"),
        ("content-length", "1024"),
        ("cache-control", cache_control),
        ("etag", "\"v1\""),
        ("last-modified", "Wed, 01 Jan 2025 00:00:00 GMT"),
        ("date", "Sun, 15 Jun 2025 15:06:40 GMT"),
        ("server", "origin"),
    ];
    all.extend_from_slice(fields);
    Fields::from_iter(all).wire().to_vec()
}
