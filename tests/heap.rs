//! What is counted as memory is what memory takes: of stored responses in a worker, and of requests under way.
//!
//! The budget of a VM rests on these numbers (`store.worker_bytes_max`, `store.in_flight_bytes_max`): beyond it an
//! allocation is a trap. An allocator that counts tells what a worker really holds, in the blocks of the allocator of
//! a VM. What is counted is at least that, without what it has for gaps, and no more than half as much again and a little
//! for each: so it is neither a budget that is exceeded nor one that is not used. The sizes of structures are those of the
//! machine that this runs on: `make unit` has 64 bits, `make wasm-test` the 32 that a VM has.
#![allow(missing_docs, reason = "nobody imports a test binary")]
#![allow(unsafe_code, reason = "an allocator that counts is one")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a panic here is a report")]

use std::rc::Rc;

use larder::cache::{Cache, Context, Identity};
use larder::config::Config;
use larder::exchange::{Ending, Exchange, Kept, Step};
use larder::http::{Fields, RequestHead, ResponseHead};
use larder::store::Seed;
use larder::time::{Monotonic, Now, Timestamp};

#[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
use wasm_bindgen_test::wasm_bindgen_test as test;

#[path = "heap/counting.rs"]
mod counting;
#[path = "world.rs"]
#[allow(dead_code, reason = "others ask it for more")]
mod world;
use counting::live;
use world::World;

#[global_allocator]
static ALLOCATOR: counting::Counting = counting::Counting;

/// So many of each: one more than a power of two, after which tables have just grown.
const COUNT: usize = 33;
/// What may be counted too much for each, beside half of what it takes: for tables that have just grown, and for structures
/// that are smaller in a VM.
const BESIDE: u64 = 800;
/// What a worker has once that has stored anything, however much.
const ONCE: u64 = 1024;

/// Requests and the responses to them; `{n}` in values is the number of the request.
#[derive(Clone)]
struct Shape {
    name: &'static str,
    path: String,
    request: Vec<(String, String)>,
    response: Vec<(String, String)>,
    body: usize,
}

fn shape(name: &'static str) -> Shape {
    let response = vec![line("cache-control", "max-age=60"), line("etag", "\"v1\"")];
    Shape { name, path: "/page/{n}".into(), request: Vec::new(), response, body: 1024 }
}

impl Shape {
    fn path(self, path: String) -> Shape {
        Shape { path, ..self }
    }

    fn asked(mut self, lines: impl IntoIterator<Item = (String, String)>) -> Shape {
        self.request.extend(lines);
        self
    }

    fn answered(mut self, lines: impl IntoIterator<Item = (String, String)>) -> Shape {
        self.response.extend(lines);
        self
    }

    fn body(self, body: usize) -> Shape {
        Shape { body, ..self }
    }

    fn request(&self, n: usize, more: &[(&str, &str)]) -> RequestHead {
        let numbered = |text: &str| text.replace("{n}", &n.to_string());
        let path = numbered(&self.path);
        let target =
            [(":method", "GET"), (":scheme", "https"), (":authority", "www.example.com"), (":path", &path)];
        let lines = target.iter().chain(more).map(|(name, value)| line(name, value));
        let lines = lines.chain(self.request.iter().cloned()).map(|(name, value)| (name, numbered(&value)));
        RequestHead { fields: as_given(Fields::from_iter(lines)), has_body: false }
    }

    fn response(&self, n: usize) -> ResponseHead {
        let numbered =
            |(name, value): &(String, String)| (name.clone(), value.replace("{n}", &n.to_string()));
        let status =
            if self.response.iter().any(|(name, _)| name == "content-range") { "206" } else { "200" };
        let lines = [line(":status", status), line("content-length", &self.body.to_string())];
        let lines = lines.into_iter().chain(self.response.iter().map(numbered));
        ResponseHead::from_fields(as_given(Fields::from_iter(lines))).unwrap()
    }
}

fn line(name: &str, value: &str) -> (String, String) {
    (name.into(), value.into())
}

fn lines(count: usize, value: &str) -> Vec<(String, String)> {
    (0..count).map(|n| line(&format!("x-line-{n}"), value)).collect()
}

/// As the host gives them: in a buffer of just that size.
fn as_given(fields: Fields) -> Fields {
    Fields::from_wire(fields.wire().to_vec())
}

/// What is stored.
fn shapes() -> Vec<Shape> {
    let tags = |count: usize| (0..count).map(|n| format!("tag-{n}")).collect::<Vec<_>>().join(",");
    let text = "t".repeat(1000);
    vec![
        shape("small"),
        shape("empty").body(0),
        shape("a little").body(10),
        shape("behind its head").body(5000),
        shape("in chunks").body(1 << 20),
        shape("a tag").answered([line("cache-tag", "a")]),
        shape("a tag of 1 KB").answered([line("cache-tag", &text)]),
        shape("128 tags").answered([line("cache-tag", &tags(128))]),
        shape("1,024 tags").answered([line("cache-tag", &tags(1024))]),
        shape("tags of one letter").answered([line("xkey", &letters())]),
        shape("tags of 250 bytes").answered([line("cache-tag", &long_tags(128, 250))]),
        shape("a tag said often").answered([line("xkey", &"a ".repeat(4000))]),
        shape("100 fields").answered(lines(100, "value")),
        shape("a field of 30 KB").answered(lines(1, &"v".repeat(30_000))),
        shape("a key of 8 KB").path(format!("/{{n}}/{}", "p".repeat(8000))),
        shape("a query of 8 KB").path(format!("/?{{n}}={}", "p".repeat(8000))),
        shape("a path to be normalised").path(format!("/{{n}}/{}", "%7e".repeat(2000))),
        shape("varies")
            .answered([line("vary", "accept-language, x-a")])
            .asked([line("accept-language", "en")]),
        shape("varies by names of 1 KB")
            .answered([line("vary", &(0..16).map(|n| format!("{n}-{text}")).collect::<Vec<_>>().join(","))]),
        shape("varies by 4 KB").answered([line("vary", "x-a")]).asked([line("x-a", &"a".repeat(4000))]),
        shape("many variants of one URL")
            .path("/page".into())
            .answered([line("vary", "x-a")])
            .asked([line("x-a", "{n}")]),
        shape("answers for other queries")
            .path("/page/{n}?a=1&b=2".into())
            .answered([line("no-vary-search", "params=(\"a\")")]),
        shape("a part")
            .answered([line("content-range", "bytes 0-1023/9000")])
            .asked([line("range", "bytes=0-1023")]),
    ]
}

fn letters() -> String {
    ('a'..='z').chain('A'..='Z').map(|c| format!("{c} ")).collect()
}

fn long_tags(count: usize, bytes: usize) -> String {
    (0..count).map(|n| format!("{n:0bytes$}")).collect::<Vec<_>>().join(",")
}

#[test]
fn a_copy_takes_what_is_counted() {
    let mut faults = Vec::new();
    for shape in shapes() {
        let world = World::default();
        let mut writer = Worker::new(&world, 1);
        (0..COUNT).for_each(|n| writer.fetch(&shape, n, &[]));
        // Read from shared data, by a worker that has not stored it.
        let mut reader = Worker::new(&world, 2);
        (0..COUNT).for_each(|n| assert!(reader.is_answered(&shape, n), "{}", shape.name));
        faults.extend(wrong(&format!("{}, read", shape.name), reader.ends()));
        // Stored in place of a copy, as it came from the origin.
        if shape.request.iter().all(|(name, _)| name != "range") {
            (0..COUNT).for_each(|n| assert!(writer.is_answered(&shape, n), "{}", shape.name));
            (0..COUNT).for_each(|n| writer.fetch(&shape, n, &[("cache-control", "no-cache")]));
            faults.extend(wrong(&format!("{}, stored", shape.name), writer.ends()));
        }
    }
    assert!(faults.is_empty(), "{} are wrong:\n{}", faults.len(), faults.join("\n"));
}

/// What is under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum UnderWay {
    /// It goes to the origin, for others too.
    Fetch,
    /// It waits for what another fetches.
    Wait,
    /// It goes to the origin for itself.
    Alone,
    /// It validates what is stored, which nobody else has in memory.
    Validation,
    /// Its response is captured, of which some has arrived.
    Capture,
    /// The same, of one that went beside any flight.
    LateCapture,
    /// It may change something.
    Unsafe,
    /// Its content is being read.
    Content,
}

#[test]
fn what_is_under_way_takes_what_is_counted() {
    let tags = (0..128).map(|n| format!("tag-{n}")).collect::<Vec<_>>().join(",");
    let long = "p".repeat(8000);
    let shapes = [
        shape("small"),
        shape("a URL of 8 KB and 60 fields").path(format!("/{{n}}/{long}")).asked(lines(60, "value")),
        shape("a field of 50 KB").asked(lines(1, &"v".repeat(50_000))),
        shape("a variant with a key of 4 KB")
            .answered([line("vary", "x-a")])
            .asked([line("x-a", &format!("{{n}}{}", "a".repeat(4000)))]),
        shape("for queries that share a key")
            .path(format!("/page/{{n}}?a=1&b={}", "q".repeat(4000)))
            .answered([line("no-vary-search", "params=(\"a\")")]),
        shape("128 tags").answered([line("cache-tag", &tags)]),
        shape("tags of 1 KB").answered([line("cache-tag", &long_tags(40, 1000))]),
        shape("100 fields").answered(lines(100, "value")),
        shape("large").body(200_000),
    ];
    let ways = [
        UnderWay::Fetch,
        UnderWay::Wait,
        UnderWay::Alone,
        UnderWay::Validation,
        UnderWay::Capture,
        UnderWay::LateCapture,
        UnderWay::Unsafe,
        UnderWay::Content,
    ];
    let mut faults = Vec::new();
    for shape in &shapes {
        for way in ways {
            let world = World::default();
            let mut writer = Worker::new(&world, 1);
            // So that it is known what they are selected by.
            (0..COUNT).for_each(|n| writer.fetch(shape, n, &[]));
            let mut worker = Worker::new(&world, 2);
            (0..COUNT).for_each(|n| worker.starts(shape, n, way));
            faults.extend(wrong(&format!("{}, {way:?}", shape.name), worker.ends()));
        }
    }
    assert!(faults.is_empty(), "{} are wrong:\n{}", faults.len(), faults.join("\n"));
}

/// What is wrong with what is counted for `COUNT` of something, beside what they take; if anything is.
fn wrong(name: &str, (counted, taken): (u64, u64)) -> Option<String> {
    // Three eighths are for gaps, and must not be needed for anything else.
    let least = counted / 11 * 8;
    let is_right = taken <= least && counted <= taken + taken / 2 + COUNT as u64 * BESIDE;
    let [counted, least, taken] = [counted, least, taken].map(|bytes| bytes / COUNT as u64);
    let told = || format!("{name}: {counted} bytes are counted, {least} without gaps, and {taken} are taken");
    (!is_right).then(told)
}

/// A worker whose clock stands still.
struct Worker<'a> {
    config: Rc<Config>,
    cache: Cache,
    kept: Kept,
    world: &'a World,
    under_way: Vec<Exchange>,
    streams: u32,
}

impl<'a> Worker<'a> {
    fn new(world: &'a World, nonce: u32) -> Worker<'a> {
        let json = r#"{"store": {"bytes_max": "4GiB", "worker_bytes_max": "512MiB"},
            "tags": {"count_max": 1024, "length_max": 1024}, "collapse": {"waiters_max": 100000}, "variants_max": 1000}"#;
        let config = Rc::new(Config::parse(json.as_bytes()).unwrap());
        let mut cache = Cache::new(Rc::clone(&config), Identity { nonce, seed: Seed(1, 2) });
        cache.register(world.at(now()));
        Worker {
            config,
            cache,
            kept: Kept::new(Identity { nonce, seed: Seed(1, 2) }),
            world,
            under_way: Vec::with_capacity(COUNT + 1),
            streams: 0,
        }
    }

    fn begin(&mut self, request: RequestHead) -> (Exchange, Step) {
        self.streams += 1;
        let mut exchange = Exchange::new(self.streams);
        let (mut cx, kept) = self.context();
        let step = exchange.request_head(&mut cx, kept, request);
        (exchange, step)
    }

    fn context(&mut self) -> (Context<'_, World>, &mut Kept) {
        let Worker { config, cache, kept, world, .. } = self;
        (Context { cache, config, turn: world.at(now()) }, kept)
    }

    /// A request that is answered from the cache.
    fn is_answered(&mut self, shape: &Shape, n: usize) -> bool {
        matches!(self.begin(shape.request(n, &[])).1, Step::Reply(_))
    }

    /// A request that goes to the origin, all the way.
    fn fetch(&mut self, shape: &Shape, n: usize, more: &[(&str, &str)]) {
        let (mut exchange, step) = self.begin(shape.request(n, more));
        assert!(matches!(step, Step::Continue(_)), "{}: {step:?}", shape.name);
        let response = shape.response(n);
        let (mut cx, kept) = self.context();
        exchange.response_head(&mut cx, &mut kept.unsafe_methods, &response, shape.body == 0);
        let mut left = shape.body;
        while left > 0 {
            let chunk = left.min(64 << 10);
            left -= chunk;
            exchange.response_body(&mut self.context().0, Some(vec![b'x'; chunk]), left == 0);
        }
    }

    /// A request that is still under way afterwards.
    fn starts(&mut self, shape: &Shape, n: usize, way: UnderWay) {
        let asked = |more: &[(&str, &str)]| shape.request(n, more);
        let other = shape.clone().path(format!("/other{}", shape.path));
        let elsewhere = |more: &[(&str, &str)]| other.request(n, more);
        let request = match way {
            UnderWay::Validation => asked(&[("cache-control", "no-cache")]),
            UnderWay::Fetch | UnderWay::Capture => elsewhere(&[]),
            UnderWay::Wait => other.clone().path(shape.path.replace("{n}", "")).request(0, &[]),
            UnderWay::Alone => elsewhere(&[("range", "bytes=0-1")]),
            UnderWay::LateCapture => elsewhere(&[("range", "bytes=0-1")]),
            UnderWay::Unsafe => method("POST", elsewhere(&[])),
            UnderWay::Content => RequestHead { has_body: true, ..method("QUERY", elsewhere(&[])) },
        };
        let (mut exchange, step) = self.begin(request);
        let is_right = match way {
            UnderWay::Wait if n > 0 => matches!(step, Step::Wait),
            UnderWay::Content => matches!(step, Step::Hold),
            _ => matches!(step, Step::Continue(_)),
        };
        assert!(is_right, "{}, {way:?}: {step:?}", shape.name);
        if matches!(way, UnderWay::Capture | UnderWay::LateCapture) {
            let response = shape.response(n);
            let (mut cx, kept) = self.context();
            exchange.response_head(&mut cx, &mut kept.unsafe_methods, &response, false);
            assert!(exchange.captures(), "{}, {way:?}", shape.name);
            let some = vec![b'x'; shape.body / 3];
            for chunk in some.chunks(40_000) {
                exchange.response_body(&mut self.context().0, Some(chunk.to_vec()), false);
            }
        }
        self.under_way.push(exchange);
    }

    /// What it counts of its memory, and what it gives back when it goes, beyond what a worker does in which nothing is.
    fn ends(self) -> (u64, u64) {
        let counted = self.cache.storage().memory_bytes() + self.cache.in_flight().bytes();
        let mut empty = Worker::new(self.world, 9);
        let (mut exchange, _) = empty.begin(shape("empty").request(0, &[("cache-control", "no-cache")]));
        exchange.end(&mut empty.context().0, Ending::ClientLeft);
        drop(exchange);
        (counted, (given_back(self) - given_back(empty)).saturating_sub(ONCE))
    }
}

fn given_back(mut worker: Worker<'_>) -> u64 {
    let before = live();
    // The exchanges as such are the host's streams, of which there are as many without a cache.
    worker.under_way.clear();
    drop(worker);
    before - live()
}

fn method(method: &str, mut request: RequestHead) -> RequestHead {
    request.fields.set(":method", method);
    RequestHead { fields: as_given(request.fields), ..request }
}

fn now() -> Now {
    Now { wall: Timestamp::from_secs(1_750_000_000), mono: Monotonic(1_000_000) }
}
