//! Miss ratios of the cache itself, for `tests/bench/eviction.py`: traces go through [`Cache::consider`] and
//! [`Cache::land`] on shared data in memory, with as many workers as Envoy would have. Nothing of the policy is told
//! again here.
//!
//! `cargo bench --bench eviction -- FOLDER REQUESTS` writes the traces into the folder, in libCacheSim's format
//! `oracleGeneral`, and prints a line for each case: trace, part of the footprint, capacity, variant, miss ratio.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a benchmark")]

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use larder::cache::{Ask, Cache, Decision, Host, Identity, Landing, StreamId};
use larder::config::{Config, Options};
use larder::http::{Fields, Peer, RequestHead};
use larder::metrics::{Counter, Metrics};
use larder::policy::StoredResponse;
use larder::store::record::{Content, Record, Response};
use larder::store::{Cas, Fingerprint, Seed, SharedData, Versioned};
use larder::time::{Monotonic, Now, Timestamp};

/// Keys that are drawn from by popularity.
const KEYS: usize = 300_000;
/// Parts of the footprint that the cache holds, in thousandths.
const PARTS: [u64; 3] = [1, 10, 100];
const WORKERS: usize = 2;
/// The requests that a worker gets between two ticks of 50 ms: 10,000 in a second.
const REQUESTS_PER_TICK: usize = 500;
/// The entries that the default configuration has room for, by its bytes.
const BYTES_PER_ENTRY: u64 = 4096;

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let folder = arguments.next().unwrap_or_else(|| "target/bench/eviction".into());
    let requests = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(2_000_000);
    std::fs::create_dir_all(&folder).unwrap();
    for trace in traces(requests) {
        trace.write(Path::new(&folder));
        let footprint = trace.footprint();
        for part in PARTS {
            let capacity = trace.capacity(footprint * part / 1000);
            for (variant, worker_part) in [("shared", 0), ("workers", 4)] {
                let misses = play(&trace, capacity, capacity.checked_div(worker_part).unwrap_or(0));
                let ratio = misses as f64 / trace.requests.len() as f64;
                println!("{}\t{part}\t{capacity}\t{variant}\t{ratio:.5}", trace.name);
            }
        }
    }
}

/// Requests for numbered keys.
struct Trace {
    name: &'static str,
    requests: Vec<u32>,
    /// Whether the capacity is counted in bytes: else all have one size, and it is counted in entries.
    sized: bool,
}

impl Trace {
    fn size(&self, key: u32) -> u64 {
        if self.sized { web_size(key) } else { 1 }
    }

    fn footprint(&self) -> u64 {
        let mut keys = self.requests.clone();
        keys.sort_unstable();
        keys.dedup();
        keys.into_iter().map(|key| self.size(key)).sum()
    }

    /// A capacity that the cache can have exactly.
    fn capacity(&self, wanted: u64) -> u64 {
        if self.sized { wanted.max(1 << 20) } else { (wanted / 16 * 16).max(64) }
    }

    fn write(&self, folder: &Path) {
        let mut file = BufWriter::new(File::create(folder.join(self.name)).unwrap());
        for key in &self.requests {
            file.write_all(&0u32.to_le_bytes()).unwrap();
            file.write_all(&u64::from(*key).to_le_bytes()).unwrap();
            file.write_all(&(self.size(*key) as u32).to_le_bytes()).unwrap();
            file.write_all(&(-1i64).to_le_bytes()).unwrap();
        }
        file.flush().unwrap();
    }
}

fn traces(count: usize) -> Vec<Trace> {
    let (mild, steep) = (Zipf::new(0.8), Zipf::new(1.0));
    let trace = |name, seed, sized, draw: &mut dyn FnMut(&mut Random, usize) -> u32| {
        let mut random = Random(seed);
        Trace { name, requests: (0..count).map(|n| draw(&mut random, n)).collect(), sized }
    };
    let (mut scan, mut new) = (0, KEYS as u32);
    vec![
        trace("zipf-0.8", 1, false, &mut |random, _| mild.draw(random)),
        trace("zipf-1.0", 2, false, &mut |random, _| steep.draw(random)),
        // A fifth of the time half of the requests walk through a fifth as many keys that nobody else asks for.
        trace("scans", 3, false, &mut |random, n| {
            if n % (count / 5) < count / 25 * 4 || random.below_one() < 0.5 {
                return steep.draw(random);
            }
            scan = (scan + 1) % (KEYS as u32 / 5);
            KEYS as u32 + scan
        }),
        // Three in ten are asked for this one time.
        trace("one-hit", 4, false, &mut |random, _| {
            if random.below_one() < 0.7 {
                return steep.draw(random);
            }
            new += 1;
            new
        }),
        // What is popular changes a little all the time.
        trace("drift", 5, false, &mut |random, n| {
            let rank = u64::from(steep.draw(random));
            let generation = (200 * n as u64 / count as u64 + mix(rank) % 40) / 40;
            (mix(rank * 1_000_003 + generation) % (4 * KEYS as u64)) as u32
        }),
        trace("web-sizes", 6, true, &mut |random, _| steep.draw(random)),
    ]
}

/// Sizes as on the web: a few KiB in the middle, some of hundreds. What the record itself takes is part of it.
fn web_size(key: u32) -> u64 {
    let mut random = Random(mix(u64::from(key) ^ 0xabc_def));
    let (u, v) = (random.below_one().max(1e-12), random.below_one());
    let normal = (-2.0 * u.ln()).sqrt() * (2.0 * std::f64::consts::PI * v).cos();
    ((8000.0 * (1.5 * normal).exp()) as u64).clamp(300, 1 << 20) + 1024
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    fn below_one(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

fn mix(number: u64) -> u64 {
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}

struct Zipf(Vec<f64>);

impl Zipf {
    fn new(exponent: f64) -> Zipf {
        let mut sum = 0.0;
        let sums = (1..=KEYS).map(|rank| {
            sum += (rank as f64).powf(-exponent);
            sum
        });
        Zipf(sums.collect())
    }

    fn draw(&self, random: &mut Random) -> u32 {
        let wanted = random.below_one() * self.0[KEYS - 1];
        self.0.partition_point(|sum| *sum < wanted) as u32
    }
}

/// Sends a trace through a cache of this capacity, and counts the requests that went to the origin.
fn play(trace: &Trace, capacity: u64, worker_capacity: u64) -> u64 {
    let entry_bytes = Entry::default().encoded_bytes;
    let (entries, bytes, worker_bytes) = if trace.sized {
        (capacity / BYTES_PER_ENTRY, capacity, worker_capacity)
    } else {
        (capacity, 64 << 30, worker_capacity * entry_bytes)
    };
    let config = format!(
        r#"{{"store": {{"bytes_max": "{bytes}", "entries_max": {}, "object_bytes_max": "1MiB",
            "worker_bytes_max": "{worker_bytes}"}}}}"#,
        entries.max(64)
    );
    let config = Rc::new(Config::parse(config.as_bytes()).unwrap());
    let memory = Memory::default();
    let worker = |n: usize| {
        Cache::new(Rc::clone(&config), Identity { nonce: n as u32 + 1, seed: Seed(mix(n as u64), 2) })
    };
    let mut workers: Vec<Cache> = (0..WORKERS).map(worker).collect();
    let mut random = Random(99);
    let mut misses = 0;
    let mut now = Now { wall: Timestamp(1_700_000_000_000), mono: Monotonic(0) };
    for worker in &mut workers {
        worker.register(&memory, now);
    }
    for (n, key) in trace.requests.iter().enumerate() {
        if n % (REQUESTS_PER_TICK * WORKERS) == 0 {
            now = Now { wall: Timestamp(now.wall.0 + 50), mono: now.mono.after(Duration::from_millis(50)) };
            workers.iter_mut().for_each(|worker| worker.tick(&memory, now));
        }
        let worker = &mut workers[random.next() as usize % WORKERS];
        match worker.consider(&memory, &ask(&config, *key, now), true, now) {
            Decision::Serve { .. } => {}
            Decision::Fetch { generation, .. } => {
                misses += 1;
                let body = if trace.sized { trace.size(*key).saturating_sub(entry_bytes) } else { 0 };
                let landing = Landing::Stored(Box::new(response(body, now)));
                worker.land(&memory, generation, landing, now);
                worker.settle(&memory, now);
            }
            other => panic!("{other:?}"),
        }
    }
    misses
}

/// What an entry without a body takes.
struct Entry {
    encoded_bytes: u64,
}

impl Default for Entry {
    fn default() -> Self {
        let now = Now { wall: Timestamp(1_700_000_000_000), mono: Monotonic(0) };
        let record = Record {
            key: u32::MAX.to_le_bytes().to_vec(),
            generation: u64::MAX,
            stamp: 0,
            content: Content::Response(Box::new(response(0, now))),
        };
        Entry { encoded_bytes: record.encoded().bytes() }
    }
}

fn response(body: u64, now: Now) -> Response {
    let lifetime = Duration::from_secs(10 * 86_400);
    let stored =
        StoredResponse { status: 200, response_time: now.wall, lifetime, ..StoredResponse::default() };
    Response { stored, uri: Vec::new(), tags: Vec::new(), body: vec![0; body as usize] }
}

fn ask(config: &Rc<Config>, key: u32, now: Now) -> Rc<Ask> {
    let request = RequestHead { fields: Fields::from_iter([(":method", "GET")]), has_body: false };
    let key = key.to_le_bytes().to_vec();
    Rc::new(Ask::new(1, Rc::clone(config), OPTIONS.with(Rc::clone), request, key, now))
}

thread_local! {
    static OPTIONS: Rc<Options> = Rc::default();
}

/// Shared data in memory. Bodies are zeros, so a value is kept without the zeros at its end.
#[derive(Default)]
struct Memory {
    values: RefCell<HashMap<String, Kept>>,
    next_cas: Cell<u32>,
    bytes: Cell<i64>,
}

struct Kept {
    head: Box<[u8]>,
    len: usize,
    cas: u32,
}

impl SharedData for Memory {
    fn get(&self, key: &str) -> Option<Versioned> {
        let values = self.values.borrow();
        let Kept { head, len, cas } = values.get(key)?;
        let mut bytes = vec![0; *len];
        bytes[..head.len()].copy_from_slice(head);
        Some(Versioned { bytes, cas: Cas::At(*cas) })
    }

    fn set(&self, key: &str, value: &[u8]) {
        let head = value.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let cas = self.next_cas.get() + 1;
        self.next_cas.set(cas);
        let kept = Kept { head: value[..head].into(), len: value.len(), cas };
        self.values.borrow_mut().insert(key.to_owned(), kept);
    }

    fn compare_and_set(&self, key: &str, value: &[u8], expected: Cas) -> bool {
        let now = self.values.borrow().get(key).map(|kept| kept.cas);
        let holds = now.is_none_or(|cas| expected == Cas::At(cas));
        if holds {
            self.set(key, value);
        }
        holds
    }

    fn epoch(&self) -> u64 {
        0
    }

    fn advance_epoch(&self) {}

    fn wake(&self, _: u8, _: Fingerprint) {}

    fn add_bytes(&self, delta: i64) -> u64 {
        self.bytes.set(self.bytes.get() + delta);
        self.bytes()
    }

    fn bytes(&self) -> u64 {
        self.bytes.get() as u64
    }
}

impl Metrics for Memory {
    fn count(&self, _: Counter) {}

    fn show_breakers(&self, _: u64) {}

    fn values(&self) -> Vec<(String, u64)> {
        Vec::new()
    }
}

impl Host for Memory {
    fn routed(&self, _: StreamId) -> Option<(Fields, String)> {
        None
    }

    fn cluster(&self, _: StreamId) -> Option<String> {
        None
    }

    fn peer(&self) -> Peer {
        Peer::default()
    }
}
