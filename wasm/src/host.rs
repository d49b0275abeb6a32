//! The host as the core sees it: shared data, the journal's clock, counters, wake-ups and the two clocks.

use core::cell::{Cell, RefCell};
use core::time::Duration;
use hashbrown::HashMap;

use super::abi;
use larder::cache::{self, Route, StreamId};
use larder::http::{Fields, Peer};
use larder::outcome::metrics::{Counter, Gauge, Metrics};
use larder::store::{Cas, Fingerprint, SharedData, Versioned, shared_key, sum};
use larder::time::{Monotonic, Now, Timestamp};

/// Equal to no number that the host gives, so that only an absent key takes the value.
const INSERT: u32 = u32::MAX;
const EPOCH_KEY: &str = "epoch";
const BYTES: &str = "bytes";
const ENTRIES: &str = "entries";

/// How many bytes a worker may have stored, or given back, without the others knowing, until its next tick at most. Beyond
/// it they are told at once. By so much for each worker the budget may be exceeded, and so much goes astray when a VM dies.
const UNTOLD_BYTES_MAX: u64 = 16 << 10;

/// Envoy.
#[derive(Default)]
pub struct ProxyHost {
    counters: RefCell<Vec<Option<u32>>>,
    /// The gauge that is the journal's clock; none where gauges do not count.
    epoch: Cell<Option<u32>>,
    /// All gauges, in the order of [`Gauge::ALL`].
    gauges: RefCell<Vec<Option<u32>>>,
    /// The bytes that all workers store as last seen, and what has not been added to them yet.
    bytes: Cell<(i64, i64)>,
    /// The same of records; only people look at these.
    entries: Cell<(i64, i64)>,
    queues: RefCell<HashMap<u8, u32>>,
    /// The routes with invalid metadata, the error, and when it was last read.
    wrong_routes: RefCell<Vec<(String, String, Monotonic)>>,
}

/// The most routes that are remembered to be wrong. Beyond it `health` does not name them; the log does.
const WRONG_ROUTES_MAX: usize = 16;
/// For how long: a route that is still there is read each second while it is used.
const WRONG_FOR: Duration = Duration::from_secs(60);

/// The name of the queue of whoever ships to the fleet's log.
pub const FLEET_QUEUE: &str = "fleet";

/// What both clocks say.
#[must_use]
pub fn now() -> Now {
    Now {
        wall: Timestamp(abi::wall_clock_ns() / 1_000_000),
        mono: Monotonic(abi::monotonic_ns() / 1_000_000),
    }
}

/// The name of the queue of a worker.
#[must_use]
pub fn queue_name(worker: u8) -> String {
    format!("w/{worker}")
}

impl ProxyHost {
    /// Defines all metrics, once, and finds out whether gauges count here: a stats filter can silence them without
    /// an error, and then the journal's clock has to be in shared data.
    pub fn define_metrics(&self) {
        if !self.counters.borrow().is_empty() {
            return;
        }
        let define = |counter: Counter| abi::define_metric(abi::Metric::Counter, &counter.name());
        *self.counters.borrow_mut() = Counter::all().map(define).collect();
        let define = |gauge: Gauge| abi::define_metric(abi::Metric::Gauge, gauge.name());
        *self.gauges.borrow_mut() = Gauge::ALL.map(define).to_vec();
        let counts = |id: &u32| {
            abi::add_to_metric(*id, 1);
            abi::metric(*id).is_some_and(|value| value > 0)
        };
        self.epoch.set(self.gauge(Gauge::JournalEpoch).filter(counts));
        let others = Gauge::ALL.into_iter().filter(|gauge| *gauge != Gauge::JournalEpoch);
        others.for_each(|gauge| self.begin_anew(gauge));
    }

    /// The values of all counters and gauges, by name.
    #[must_use]
    pub fn metrics(&self) -> Vec<(String, u64)> {
        let counters = self.counters.borrow();
        let value = |id: &Option<u32>| id.and_then(abi::metric).unwrap_or(0);
        let mut values: Vec<_> = Counter::all().map(Counter::name).zip(counters.iter().map(value)).collect();
        let gauges = Gauge::ALL.into_iter().filter(|gauge| *gauge != Gauge::JournalEpoch);
        values.extend(gauges.map(|gauge| (gauge.name().to_owned(), self.value_of(gauge))));
        values
    }

    /// Shows the gauges.
    pub fn report(&self) {
        self.tell_bytes();
        self.tell(ENTRIES, &self.entries);
        self.show(Gauge::Bytes, self.bytes());
        self.show(Gauge::Entries, self.entries());
    }

    /// What the workers of this `vm_id` have to say of a gauge.
    fn value_of(&self, gauge: Gauge) -> u64 {
        match gauge {
            Gauge::JournalEpoch => self.epoch(),
            Gauge::Bytes => self.bytes(),
            Gauge::Entries => self.entries(),
            Gauge::BreakersOpen
            | Gauge::WorkerBytes
            | Gauge::InFlightBytes
            | Gauge::FleetRevision
            | Gauge::FleetLag
            | Gauge::FleetMembers
            | Gauge::FleetUnshipped => u64::try_from(sum::read(self, &shown(gauge))).unwrap_or(0),
        }
    }

    fn gauge(&self, gauge: Gauge) -> Option<u32> {
        let at = Gauge::ALL.iter().position(|one| *one == gauge)?;
        self.gauges.borrow().get(at).copied().flatten()
    }

    /// Envoy forgets a gauge with the last listener that has it, and shared data never: then nothing is shown any more of
    /// what was.
    fn begin_anew(&self, gauge: Gauge) {
        let key = shown(gauge);
        let (found, value) = (SharedData::get(self, &key), self.gauge(gauge).and_then(abi::metric));
        if let (Some(found), Some(0)) = (found, value) {
            self.compare_and_set(&key, &0_i64.to_le_bytes(), found.cas);
        }
    }

    fn tell_bytes(&self) {
        self.tell(BYTES, &self.bytes);
    }

    /// Tells the others what this worker has stored, and hears what they have.
    fn tell(&self, sum: &str, kept: &Cell<(i64, i64)>) {
        let (seen, pending) = kept.get();
        // What cannot be added now is added with the next change.
        kept.set(sum::add(self, &shared_key(sum, &[]), pending).map_or((seen, pending), |total| (total, 0)));
    }

    fn queue_of(&self, worker: u8) -> Option<u32> {
        if let Some(id) = self.queues.borrow().get(&worker) {
            return Some(*id);
        }
        let id = abi::resolve_queue(&queue_name(worker))?;
        self.queues.borrow_mut().insert(worker, id);
        Some(id)
    }
}

/// What the workers of this `vm_id` have shown of a gauge.
fn shown(gauge: Gauge) -> String {
    ["shown/", gauge.name()].concat()
}

/// A sum that others have told, and what they have not been told.
fn total((told, untold): (i64, i64)) -> u64 {
    u64::try_from(told.saturating_add(untold)).unwrap_or(0)
}

impl SharedData for ProxyHost {
    fn get(&self, key: &str) -> Option<Versioned> {
        abi::shared_data(key).map(|(bytes, cas)| Versioned { bytes, cas: Cas::At(cas) })
    }

    fn set(&self, key: &str, value: &[u8]) {
        abi::set_shared_data(key, value, 0);
    }

    fn compare_and_set(&self, key: &str, value: &[u8], expected: Cas) -> bool {
        match expected {
            Cas::Absent => abi::set_shared_data(key, value, INSERT),
            // To the host, zero means "whatever is there".
            Cas::At(0) => false,
            Cas::At(cas) => abi::set_shared_data(key, value, cas),
        }
    }

    fn epoch(&self) -> u64 {
        match self.epoch.get() {
            Some(id) => abi::metric(id).unwrap_or(0),
            None => sum::read(self, EPOCH_KEY) as u64,
        }
    }

    fn advance_epoch(&self) {
        match self.epoch.get() {
            Some(id) => abi::add_to_metric(id, 1),
            None => {
                // The first worker changes it for all.
                sum::add(self, EPOCH_KEY, 1);
            }
        }
    }

    fn wake(&self, worker: u8, fingerprint: Fingerprint) {
        if let Some(id) = self.queue_of(worker) {
            abi::enqueue(id, &fingerprint.0.to_le_bytes());
        }
    }

    fn add_bytes(&self, delta: i64) -> u64 {
        let (seen, pending) = self.bytes.get();
        let pending = pending + delta;
        self.bytes.set((seen, pending));
        if pending.unsigned_abs() >= UNTOLD_BYTES_MAX {
            self.tell_bytes();
        }
        self.bytes()
    }

    fn bytes(&self) -> u64 {
        total(self.bytes.get())
    }

    fn add_entries(&self, delta: i64) {
        let (seen, pending) = self.entries.get();
        self.entries.set((seen, pending + delta));
    }

    fn entries(&self) -> u64 {
        total(self.entries.get())
    }

    fn found_damaged(&self) {
        self.count(Counter::Damaged);
    }
}

impl ProxyHost {
    /// The metadata of a route were met, and this is wrong with them.
    pub fn note_route(&self, name: &str, wrong: &str, now: Monotonic) {
        let mut routes = self.wrong_routes.borrow_mut();
        routes.retain(|(known, _, read)| known != name && now.since(*read) < WRONG_FOR);
        if routes.len() < WRONG_ROUTES_MAX {
            routes.push((name.to_owned(), wrong.to_owned(), now));
        }
    }
}

impl Metrics for ProxyHost {
    fn warn(&self, sentence: &str) {
        log::warn!("{sentence}");
    }

    fn count(&self, counter: Counter) {
        if let Some(Some(id)) = self.counters.borrow().get(counter.index()) {
            abi::add_to_metric(*id, 1);
        }
    }

    /// Several `vm_id`s share a gauge and no data: each adds what has changed since it last showed something, so that the
    /// gauge is the sum of all.
    fn show(&self, gauge: Gauge, value: u64) {
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        if let Some(id) = self.gauge(gauge) {
            sum::mirror(self, &shown(gauge), value, |by| abi::add_to_metric(id, by));
        }
    }

    fn values(&self) -> Vec<(String, u64)> {
        self.metrics()
    }
}

impl cache::Host for ProxyHost {
    fn node(&self) -> Option<String> {
        abi::property("node\0id").and_then(|id| String::from_utf8(id).ok()).filter(|id| !id.is_empty())
    }

    fn wake_fleet(&self) {
        // Not kept: which queue it is stays, but it is there only from the first holder of the lease on.
        if let Some(queue) = abi::resolve_queue(FLEET_QUEUE) {
            abi::enqueue(queue, &[]);
        }
    }

    fn sent(&self, stream: StreamId) -> Option<Fields> {
        let sent = abi::set_effective_context(stream).then(|| abi::map(abi::Map::Request)).flatten()?;
        Some(Fields::from_wire(sent)).filter(|sent| !sent.is_empty())
    }

    fn route(&self, stream: StreamId) -> Option<Route> {
        let part = |path| abi::property(path).unwrap_or_default();
        Some(Route {
            cluster: self.cluster(stream)?,
            virtual_host: part("xds\0virtual_host_name"),
            name: part("xds\0route_name"),
            metadata: part("xds\0route_metadata"),
        })
    }

    fn route_name(&self, stream: StreamId) -> Vec<u8> {
        if !abi::set_effective_context(stream) {
            return Vec::new();
        }
        abi::property("xds\0route_name").unwrap_or_default()
    }

    fn is_from_upstream(&self, stream: StreamId) -> bool {
        abi::set_effective_context(stream)
            && abi::property("response\0code_details").is_some_and(|details| details == b"via_upstream")
    }

    fn cluster(&self, stream: StreamId) -> Option<String> {
        if !abi::set_effective_context(stream) {
            return None;
        }
        let cluster = String::from_utf8(abi::property("xds\0cluster_name")?).ok()?;
        (!cluster.is_empty()).then_some(cluster)
    }

    fn wrong_routes(&self) -> Vec<(String, String)> {
        let (routes, now) = (self.wrong_routes.borrow(), now().mono);
        let lately = routes.iter().filter(|(_, _, read)| now.since(*read) < WRONG_FOR);
        lately.map(|(name, wrong, _)| (name.clone(), wrong.clone())).collect()
    }

    fn metadata(&self, stream: StreamId) -> Vec<u8> {
        if !abi::set_effective_context(stream) {
            return Vec::new();
        }
        abi::property("metadata").unwrap_or_default()
    }

    fn peer(&self) -> Peer {
        let text = |path| abi::property(path).and_then(|value| String::from_utf8(value).ok());
        let names = ["connection\0uri_san_peer_certificate", "connection\0dns_san_peer_certificate"];
        Peer {
            address: text("source\0address").unwrap_or_default(),
            names: names.into_iter().filter_map(text).filter(|name| !name.is_empty()).collect(),
        }
    }
}
