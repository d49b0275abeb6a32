//! What a seed makes: workers, configurations, faults, and acts at their times.

use std::fmt;
use std::time::Duration;

use crate::host::events::Random;
use crate::host::faults::Rates;

/// A workload.
#[derive(Clone)]
pub struct Plan {
    pub seed: u64,
    pub workers: usize,
    /// The first is in force when it begins.
    pub configurations: Vec<Configuration>,
    pub rates: Rates,
    /// How long what the origin says stays fresh, in seconds.
    pub lifetime: u64,
    /// So few sets that entries and flights crowd each other out.
    pub crowded: bool,
    /// Segments of the journal and records in them, where it shall overflow.
    pub ring: Option<(u64, u64)>,
    /// In order of time.
    pub acts: Vec<(Duration, Act)>,
}

/// What varies between configurations.
#[derive(Clone, Debug, PartialEq)]
pub struct Configuration {
    pub fetch: &'static str,
    pub collapse: bool,
    pub lease_ms: u64,
    pub wait_ms: u64,
    pub fetch_timeout_ms: u64,
    pub grace_s: u64,
    pub worker_bytes: &'static str,
    /// What requests and responses under way may take.
    pub in_flight_bytes: &'static str,
    pub entries: u32,
    pub waiters: u32,
    pub bytes: &'static str,
    /// How eagerly what is in demand is refreshed early.
    pub ahead_percent: u32,
    /// When a cluster is taken to be down, and how long what is stale is served then.
    pub breaker_failures: u32,
    pub probe_ms: u64,
    pub down_s: u64,
    /// Whether the root's fetches go through the route table.
    pub table: bool,
}

/// Something that happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    Ask(Ask),
    /// The client of the n-th request before this one leaves.
    Leave(usize),
    Purge {
        worker: usize,
        mode: Mode,
        what: Selector,
    },
    /// An unsafe request, which changes the resource.
    Write {
        worker: usize,
        key: Key,
    },
    /// The resource changes at the origin, and nobody says so.
    Change(Key),
    /// The wall clock is set forward or back by milliseconds.
    Clock(i64),
    /// The VM of a worker traps in some host call (any when empty) of some callback (the same).
    Trap {
        worker: usize,
        call: &'static str,
        callback: &'static str,
        skip: u32,
    },
    Configure(usize),
    /// A configuration that the canary refuses.
    Misconfigure,
    PushCode,
    ResetCounters,
    /// One value in shared data is damaged: the n-th of those that may be.
    Corrupt {
        nth: u64,
        how: Damage,
    },
    Health(Health),
    /// What the cluster of the route is.
    Cluster(Cluster),
    /// The route leads to another cluster, whose requests have a host of their own, or back.
    Route {
        blue: bool,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    pub worker: usize,
    pub key: Key,
    pub variant: u64,
    pub kind: Kind,
    pub authorized: bool,
}

/// What kind of request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Plain,
    Head,
    Range,
    /// `Cache-Control: no-cache`
    Reload,
    OnlyIfCached,
    /// `Cache-Control: max-stale=5`
    MaxStale,
    /// `Cache-Control: no-store`
    NoStore,
    /// `If-None-Match` with an entity tag of old.
    Conditional,
}

/// A resource: a class and a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub class: Class,
    pub number: u64,
}

/// How the origin answers for a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// `max-age` and an entity tag.
    Cacheable,
    /// A short `max-age` and `stale-while-revalidate`.
    Revalidated,
    /// A short `max-age` and `stale-if-error`.
    Sturdy,
    /// `Vary: x-variant`.
    Varied,
    /// `public, max-age`: also what is fetched with credentials may be shared.
    Public,
    /// Larger than a record's own value.
    Big,
    /// `private`.
    Private,
    /// `no-store`.
    NoStore,
    /// `max-age` with `Set-Cookie`.
    Cookie,
    /// Now cacheable, now private: it changes with the version.
    Moody,
    /// Now with `Vary`, now without.
    Drifting,
    /// `no-cache` with an entity tag.
    Checked,
    /// A short `max-age` and `stale-while-revalidate`; whoever asks without what clients have is refused.
    Guarded,
    /// Slow, and `max-age` for most clients; some are told something of their own, each in another way that is not for
    /// others.
    Mixed,
}

/// How an invalidation is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    Soft,
    Revalidate,
    Hard,
}

/// What a purge covers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Selector {
    Key(Key),
    /// Keys with this remainder, see [`Key::tag`].
    Tag(u64),
    Class(Class),
    Host,
    All,
}

/// What is done to a value in shared data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Damage {
    Flip(u64),
    Cut(u64),
    Empty,
    /// The value of another key of the same kind takes its place.
    Swap(u64),
}

/// How the origin is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Health {
    Well,
    /// Every answer takes this many milliseconds.
    Slow(u64),
    /// So many of a hundred answers are errors, resets or nothing at all.
    Flaky(u64),
    /// It answers 503.
    Down,
    /// It never answers.
    Hangs,
}

/// How the way to the origin is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cluster {
    Up,
    NoHosts,
    Refused,
}

impl Class {
    pub const ALL: [Class; 14] = [
        Class::Cacheable,
        Class::Revalidated,
        Class::Sturdy,
        Class::Varied,
        Class::Public,
        Class::Big,
        Class::Private,
        Class::NoStore,
        Class::Cookie,
        Class::Moody,
        Class::Drifting,
        Class::Checked,
        Class::Guarded,
        Class::Mixed,
    ];

    pub fn letter(self) -> char {
        b"cwevabpnkxyzgm".get(self as usize).map_or('?', |b| *b as char)
    }

    /// Whether every good answer is stored and shared, so that the origin's work can be accounted for.
    pub fn is_plain(self) -> bool {
        (self as usize) <= Class::Big as usize
    }
}

impl Key {
    pub fn path(self) -> String {
        format!("/{}/{}", self.class.letter(), self.number)
    }

    pub fn of(path: &str) -> Option<Key> {
        let path = path.split('?').next()?;
        let (letter, number) = path.strip_prefix('/')?.split_once('/')?;
        let class = Class::ALL.into_iter().find(|c| letter == c.letter().to_string())?;
        Some(Key { class, number: number.parse().ok()? })
    }

    pub fn tag(self) -> u64 {
        (self.class as u64 + self.number) % 3
    }
}

impl Selector {
    pub fn covers(self, key: Key) -> bool {
        match self {
            Selector::Key(own) => own == key,
            Selector::Tag(tag) => key.tag() == tag,
            Selector::Class(class) => key.class == class,
            Selector::Host | Selector::All => true,
        }
    }

    /// What a client sends to purge it: method, target, and a field. In Varnish's and Fastly's words, which have no
    /// soft purge of a prefix or host.
    pub fn command(self, mode: Mode) -> (&'static str, String, (&'static str, String)) {
        let tags = |name| ("PURGE", "/".to_owned(), name);
        let soft = mode == Mode::Soft;
        match self {
            Selector::Key(key) if soft => ("PURGE", key.path(), ("fastly-soft-purge", "1".into())),
            Selector::Key(key) => ("PURGE", key.path(), ("x-plain", "1".into())),
            Selector::Tag(tag) if soft => tags(("xkey-softpurge", format!("t{tag}"))),
            Selector::Tag(tag) => tags(("xkey-purge", format!("t{tag}"))),
            _ if soft => tags(("xkey-softpurge", "all".into())),
            Selector::Class(class) => ("PURGE", format!("/{}/*", class.letter()), ("x-plain", "1".into())),
            Selector::Host => ("BAN", "/".into(), ("x-plain", "1".into())),
            Selector::All => tags(("x-magento-tags-pattern", ".*".into())),
        }
    }
}

impl Configuration {
    pub fn json(&self) -> String {
        let Configuration {
            fetch,
            collapse,
            lease_ms,
            wait_ms,
            fetch_timeout_ms,
            grace_s,
            worker_bytes,
            in_flight_bytes,
            entries,
            waiters,
            bytes,
            ahead_percent,
            breaker_failures,
            probe_ms,
            down_s,
            table,
        } = self;
        let table = if *table { r#""route_loop""# } else { "null" };
        let host_bytes = if *entries == 64 && *waiters == 3 { r#""64KiB""# } else { "null" };
        let digest = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"; // "secret"
        format!(
            r#"{{"soft_purge_grace":"{grace_s}s","stale_if_down":"{down_s}s",
            "breaker":{{"failures":{breaker_failures},"probe_interval":"{probe_ms}ms"}},"refresh_ahead":{{"percent":{ahead_percent}}},
            "store":{{"entries_max":{entries},"bytes_max":"{bytes}","host_bytes_max":{host_bytes},
                "worker_bytes_max":"{worker_bytes}","in_flight_bytes_max":"{in_flight_bytes}"}},
            "collapse":{{"enabled":{collapse},"fetch":"{fetch}","lease":"{lease_ms}ms","wait_max":"{wait_ms}ms",
            "fetch_timeout":"{fetch_timeout_ms}ms","waiters_max":{waiters},"cluster":{table}}},
            "admin":{{"methods":true,"tokens":[{{"name":"ops","sha256":"{digest}"}}]}}}}"#
        )
    }

    fn random(random: &mut Random, crowded: bool) -> Self {
        let lease_ms = if crowded { pick(random, &[300, 1000, 2000]) } else { pick(random, &[2000, 4000]) };
        Configuration {
            fetch: pick(random, &["auto", "auto", "inline", "dispatched"]),
            collapse: !random.chance(0.05),
            lease_ms,
            wait_ms: lease_ms * pick(random, &[3, 5]),
            fetch_timeout_ms: pick(random, &[500, 3000, 8000]),
            grace_s: pick(random, &[0, 2, 60]),
            worker_bytes: pick(random, &["0", "64KiB", "8MiB", "8MiB"]),
            in_flight_bytes: if crowded { pick(random, &["64KiB", "256MiB"]) } else { "256MiB" },
            entries: if crowded { 64 } else { 4096 },
            waiters: if crowded { pick(random, &[1, 3, 1000]) } else { 1000 },
            bytes: if crowded { pick(random, &["1MiB", "256MiB"]) } else { "256MiB" },
            ahead_percent: pick(random, &[0, 100, 1000]),
            breaker_failures: pick(random, &[1, 3, 1000]),
            probe_ms: pick(random, &[100, 1000, 5000]),
            down_s: pick(random, &[0, 5, 60]),
            table: random.chance(0.6),
        }
    }
}

impl Plan {
    pub fn new(seed: u64) -> Plan {
        Plan::drawn(seed, &mut Random::new(seed ^ 0x5eed_c4a0_5eed_c4a0))
    }

    /// The plan that these bytes decide about.
    pub fn written(bytes: &[u8]) -> Plan {
        Plan::drawn(0, &mut Random::written(bytes))
    }

    fn drawn(seed: u64, random: &mut Random) -> Plan {
        let crowded = random.chance(0.25);
        let calm = random.chance(0.25);
        let workers = 1 + random.below(4) as usize;
        let first = Configuration::random(random, crowded);
        let mut configurations = vec![first.clone()];
        // Another number of entries moves what is stored.
        let moves = random.chance(0.3);
        for _ in 0..random.below(3) {
            let other = Configuration::random(random, crowded);
            let times = if moves { pick(random, &[1, 2, 4]) } else { 1 };
            configurations.push(Configuration { entries: first.entries * times, ..other });
        }
        let rates = if calm { Rates::default() } else { rates(random, crowded) };
        let mut plan = Plan {
            seed,
            workers,
            configurations,
            rates,
            lifetime: pick(random, &[2, 5, 20, 60]),
            crowded,
            ring: (!calm && random.chance(0.2)).then(|| pick(random, &[(2, 1), (3, 2), (4, 8)])),
            acts: Vec::new(),
        };
        plan.fill(random, calm);
        plan
    }

    fn fill(&mut self, random: &mut Random, calm: bool) {
        let weights = Weights::random(random, calm, self.crowded);
        let mut at = Duration::ZERO;
        for _ in 0..40 + random.below(160) {
            if random.is_spent() {
                break;
            }
            at += Duration::from_micros(pick(
                random,
                &[0, 50, 200, 1_000, 5_000, 30_000, 120_000, 400_000, weights.pause_us],
            ));
            let act = self.act(random, &weights);
            self.acts.push((at, act));
        }
    }

    fn act(&self, random: &mut Random, weights: &Weights) -> Act {
        let worker = random.below(self.workers as u64) as usize;
        let key = weights.key(random);
        let mut left = random.below(weights.all.iter().map(|(w, _)| w).sum());
        let what = weights.all.iter().find(|(weight, _)| {
            let here = left < *weight;
            left = left.saturating_sub(*weight);
            here
        });
        match what.map_or(What::Ask, |(_, what)| *what) {
            What::Ask => Act::Ask(Ask {
                worker,
                key,
                variant: random.below(2),
                kind: if random.chance(weights.odd) {
                    pick(
                        random,
                        &[
                            Kind::Head,
                            Kind::Range,
                            Kind::Reload,
                            Kind::OnlyIfCached,
                            Kind::MaxStale,
                            Kind::NoStore,
                            Kind::Conditional,
                        ],
                    )
                } else {
                    Kind::Plain
                },
                authorized: random.chance(weights.odd / 3.0),
            }),
            What::Leave => Act::Leave(random.below(4) as usize),
            What::Purge => {
                let mode = pick(random, &[Mode::Soft, Mode::Hard, Mode::Hard]);
                let what = match random.below(10) {
                    0..3 if mode == Mode::Soft => Selector::All,
                    0 => Selector::All,
                    1 => Selector::Host,
                    2 => Selector::Class(key.class),
                    3 | 4 => Selector::Tag(key.tag()),
                    _ => Selector::Key(key),
                };
                Act::Purge { worker, mode, what }
            }
            What::Write => Act::Write { worker, key },
            What::Change => Act::Change(key),
            What::Clock => Act::Clock(pick(random, &[-3_600_000, -2_000, -300, 300, 2_000, 3_600_000])),
            What::Trap => Act::Trap {
                worker,
                callback: pick(random, CALLBACKS),
                call: pick(
                    random,
                    &[
                        "",
                        "proxy_get_shared_data",
                        "proxy_set_shared_data",
                        "proxy_send_local_response",
                        "proxy_continue_stream",
                        "proxy_increment_metric",
                        "proxy_http_call",
                        "proxy_enqueue_shared_queue",
                        "proxy_set_effective_context",
                    ],
                ),
                skip: random.below(8) as u32,
            },
            What::Configure => Act::Configure(random.below(self.configurations.len() as u64) as usize),
            What::Misconfigure => Act::Misconfigure,
            What::PushCode => Act::PushCode,
            What::ResetCounters => Act::ResetCounters,
            What::Corrupt => Act::Corrupt {
                nth: random.next(),
                how: match random.below(4) {
                    0 => Damage::Empty,
                    1 => Damage::Cut(random.next()),
                    2 => Damage::Swap(random.next()),
                    _ => Damage::Flip(random.next()),
                },
            },
            What::Health => Act::Health(match random.below(7) {
                0..3 => Health::Well,
                3 => Health::Slow(pick(random, &[20, 300, 1500])),
                4 => Health::Flaky(pick(random, &[10, 50])),
                5 => Health::Down,
                _ => Health::Hangs,
            }),
            What::Cluster => {
                Act::Cluster(pick(random, &[Cluster::Up, Cluster::Up, Cluster::NoHosts, Cluster::Refused]))
            }
            What::Route => Act::Route { blue: random.chance(0.5) },
        }
    }
}

/// In which callbacks a VM may trap; half of the time in whichever comes.
const CALLBACKS: &[&str] = &[
    "",
    "",
    "",
    "",
    "",
    "",
    "on_request_headers",
    "on_response_headers",
    "on_response_body",
    "on_http_call_response",
    "on_log",
    "on_queue_ready",
    "on_tick",
];

/// How often what happens in a plan, and on how few keys.
struct Weights {
    all: Vec<(u64, What)>,
    classes: Vec<Class>,
    numbers: u64,
    /// The probability of requests that are not plain.
    odd: f64,
    pause_us: u64,
}

#[derive(Clone, Copy)]
enum What {
    Ask,
    Leave,
    Purge,
    Write,
    Change,
    Clock,
    Trap,
    Configure,
    Misconfigure,
    PushCode,
    ResetCounters,
    Corrupt,
    Health,
    Cluster,
    Route,
}

impl Weights {
    fn random(random: &mut Random, calm: bool, crowded: bool) -> Self {
        let mut all = vec![(100, What::Ask)];
        let kinds = [
            (20, What::Purge),
            (6, What::Write),
            (6, What::Change),
            (8, What::Leave),
            (3, What::Clock),
            (2, What::Trap),
            (3, What::Configure),
            (1, What::Misconfigure),
            (1, What::PushCode),
            (1, What::ResetCounters),
            (3, What::Corrupt),
            (6, What::Health),
            (2, What::Cluster),
            (3, What::Route),
        ];
        for (n, (weight, what)) in kinds.into_iter().enumerate() {
            // A calm seed only purges and changes: there the accounts are exact.
            if (!calm || n < 3) && random.chance(0.5) {
                all.push((weight, what));
            }
        }
        let mut classes: Vec<_> = Class::ALL.into_iter().filter(|_| random.chance(0.3)).collect();
        if classes.is_empty() {
            classes.push(Class::Cacheable);
        }
        Weights {
            all,
            classes,
            numbers: if crowded { 40 } else { 1 + random.below(2) },
            odd: pick(random, &[0.0, 0.0, 0.1, 0.3]),
            pause_us: pick(random, &[1_000, 100_000, 1_000_000, 4_000_000]),
        }
    }

    fn key(&self, random: &mut Random) -> Key {
        Key { class: pick(random, &self.classes), number: random.below(self.numbers) }
    }
}

fn rates(random: &mut Random, crowded: bool) -> Rates {
    let mut some = |most: f64| if random.chance(0.4) { most } else { 0.0 };
    Rates {
        lost_cas: some(if crowded { 0.4 } else { 0.1 }),
        lost_message: some(0.3),
        unannounced_message: some(0.2),
        doubled_message: some(0.3),
        reordered_message: some(0.3),
        lost_call_response: some(0.2),
        trap: some(0.0005),
        doubled_tick: some(0.2),
        late_tick: some(0.1),
    }
}

fn pick<T: Copy>(random: &mut Random, from: &[T]) -> T {
    from[random.below(from.len() as u64) as usize]
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Plan { workers, lifetime, crowded, rates, ring, .. } = self;
        writeln!(
            f,
            "{workers} workers, lifetime {lifetime} s, crowded: {crowded}, ring: {ring:?}, {rates:?}"
        )?;
        for configuration in &self.configurations {
            writeln!(f, "{configuration:?}")?;
        }
        self.acts.iter().try_for_each(|(at, act)| writeln!(f, "{:>12.6}s  {act:?}", at.as_secs_f64()))
    }
}
