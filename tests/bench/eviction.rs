//! Miss ratios of the cache itself, for `tests/bench/eviction.py`: traces go through [`Cache::lookup`] and
//! [`Cache::end_fetch`] on shared data in memory, with as many workers as Envoy would have. Nothing of the policy is told
//! again here.
//!
//! `cargo bench --bench eviction -- FOLDER REQUESTS` writes the traces into the folder, in libCacheSim's format
//! `oracleGeneral`, and prints a line for each case: trace, part of the footprint, capacity, variant, miss ratio.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a benchmark")]

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use larder::cache::{Cache, CacheRequest, Decision, FetchEnd, Identity};
use larder::config::{Config, Options};
use larder::http::{Fields, RequestHead};
use larder::policy::StoredResponse;
use larder::store::Seed;
use larder::store::record::{Content, Record, Response};
use larder::time::{Monotonic, Now, Timestamp};

#[path = "../world.rs"]
#[allow(dead_code, reason = "others ask it for more")]
mod world;
use world::World;

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
    /// What each key takes, where the capacity is counted in bytes: else all have one size, and it is counted in
    /// entries.
    sizes: Option<Vec<u64>>,
}

impl Trace {
    fn size(&self, key: u32) -> u64 {
        self.sizes.as_ref().map_or(1, |sizes| sizes[key as usize])
    }

    fn footprint(&self) -> u64 {
        let mut keys = self.requests.clone();
        keys.sort_unstable();
        keys.dedup();
        keys.into_iter().map(|key| self.size(key)).sum()
    }

    /// A capacity that the cache can have exactly.
    fn capacity(&self, wanted: u64) -> u64 {
        if self.sizes.is_some() { wanted.max(1 << 20) } else { (wanted / 16 * 16).max(64) }
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
    let trace = |name, seed, sized: bool, draw: &mut dyn FnMut(&mut Random, usize) -> u32| {
        let mut random = Random(seed);
        let sizes = sized.then(|| (0..KEYS as u32).map(|key| taken(web_body(key))).collect());
        Trace { name, requests: (0..count).map(|n| draw(&mut random, n)).collect(), sizes }
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

/// Sizes as on the web: a few KiB in the middle, some of hundreds.
fn web_body(key: u32) -> u64 {
    let mut random = Random(mix(u64::from(key) ^ 0xabc_def));
    let (u, v) = (random.below_one().max(1e-12), random.below_one());
    let normal = (-2.0 * u.ln()).sqrt() * (2.0 * std::f64::consts::PI * v).cos();
    ((8000.0 * (1.5 * normal).exp()) as u64).clamp(300, 1 << 20)
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
    let entry_bytes = taken(0);
    let (entries, bytes, worker_bytes) = if trace.sizes.is_some() {
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
    let memory = World::default();
    let worker = |n: usize| {
        Cache::new(Rc::clone(&config), Identity { nonce: n as u32 + 1, seed: Seed(mix(n as u64), 2) })
    };
    let mut workers: Vec<Cache> = (0..WORKERS).map(worker).collect();
    let mut random = Random(99);
    let mut misses = 0;
    let mut now = Now { wall: Timestamp(1_700_000_000_000), mono: Monotonic(0) };
    for worker in &mut workers {
        worker.register(memory.at(now));
    }
    for (n, key) in trace.requests.iter().enumerate() {
        if n % (REQUESTS_PER_TICK * WORKERS) == 0 {
            now = Now { wall: Timestamp(now.wall.0 + 50), mono: now.mono.after(Duration::from_millis(50)) };
            workers.iter_mut().for_each(|worker| worker.tick(memory.at(now)));
        }
        let worker = &mut workers[random.next() as usize % WORKERS];
        match worker.lookup(memory.at(now), &ask(&config, *key, now)) {
            Decision::Serve { .. } => {}
            Decision::Fetch { generation, .. } => {
                misses += 1;
                let body = if trace.sizes.is_some() { web_body(*key) } else { 0 };
                let landing = FetchEnd::Stored(Box::new(response(body, now)));
                worker.end_fetch(memory.at(now), generation, landing);
                worker.settle(memory.at(now));
            }
            other => panic!("{other:?}"),
        }
    }
    misses
}

/// What an entry with such a body takes of the budget: the others are told the same.
fn taken(body: u64) -> u64 {
    let now = Now { wall: Timestamp(1_700_000_000_000), mono: Monotonic(0) };
    let content = Content::Response(Box::new(response(body, now)));
    let key = u32::MAX.to_le_bytes().to_vec();
    Record { key, generation: u64::MAX, stamp: 0, asked: Monotonic(u64::MAX), content }.encoded().bytes()
}

fn response(body: u64, now: Now) -> Response {
    let lifetime = Duration::from_secs(10 * 86_400);
    let stored =
        StoredResponse { status: 200, response_time: now.wall, lifetime, ..StoredResponse::default() };
    Response { stored, uri: Vec::new(), tags: Vec::new(), route: None, body: vec![0; body as usize].into() }
}

fn ask(config: &Rc<Config>, key: u32, now: Now) -> Rc<CacheRequest> {
    let request = RequestHead { fields: Fields::from_iter([(":method", "GET")]), has_body: false };
    let key = key.to_le_bytes().to_vec();
    Rc::new(CacheRequest::new(1, Rc::clone(config), OPTIONS.with(Rc::clone), request, key, now))
}

thread_local! {
    static OPTIONS: Rc<Options> = Rc::default();
}
