//! What a client must never see, judged from what it saw alone: responses say for which resource, variant and client
//! they were made and when.

use std::time::Duration;

use super::origin::Asked;
use super::plan::{Ask, Class, Kind, Mode, Selector};
use crate::stand::Response;

/// An invalidation that a client asked for.
#[derive(Debug)]
pub struct Invalidation {
    pub mode: Mode,
    pub what: Selector,
    pub sent: u64,
    /// From then on it holds: nothing that the origin made earlier may be seen (in that mode).
    pub since: Option<u64>,
    /// When the client knew that.
    pub acknowledged: Option<u64>,
    /// Its number in the ledger.
    pub reason: usize,
}

/// An exchange, from the model's side.
#[derive(Debug)]
pub struct Asking {
    pub ask: Ask,
    pub client: usize,
    pub started: u64,
    pub over: u64,
}

/// What the wall clock said more than the monotonic clock, from when on.
#[derive(Default)]
pub struct Clocks(Vec<(u64, i128)>);

/// The rules.
#[derive(Default)]
pub struct Model {
    pub invalidations: Vec<Invalidation>,
    pub clocks: Clocks,
    /// The longest grace of any configuration.
    pub grace: Duration,
    /// Which host the route gives to requests, from when on.
    pub hosts: Vec<(u64, &'static str)>,
}

/// What a response says of itself.
struct Said {
    key: String,
    variant: String,
    /// When the origin made the representation.
    made: u64,
    client: usize,
    authorized: bool,
}

impl Clocks {
    pub fn set(&mut self, at: u64, offset: i128) {
        self.0.push((at, offset));
    }

    /// The wall clock at a moment, in nanoseconds since the epoch.
    pub fn wall(&self, at: u64) -> i128 {
        let offset = self.0.iter().rev().find(|(from, _)| *from <= at).or(self.0.first());
        i128::from(at) + offset.map_or(0, |(_, offset)| *offset)
    }

    /// The least time that can have passed on the wall clock between some moment of one interval and some moment of
    /// another.
    pub fn least_between(&self, (a, b): (u64, u64), (c, d): (u64, u64)) -> Duration {
        let highest = self.walls(a, b).max().unwrap_or_default();
        let lowest = self.walls(c, d).min().unwrap_or_default();
        Duration::from_nanos(u64::try_from(lowest - highest).unwrap_or_default())
    }

    /// What the wall clock said at the ends of an interval and around each step in it.
    fn walls(&self, from: u64, to: u64) -> impl Iterator<Item = i128> {
        let ends = self.0.iter().skip(1).map(|(at, _)| *at).chain([u64::MAX]);
        self.0.iter().zip(ends).filter(move |((begin, _), end)| *begin <= to && *end >= from).flat_map(
            move |((begin, offset), end)| {
                [i128::from(from.max(*begin)) + offset, i128::from(to.min(end)) + offset]
            },
        )
    }
}

impl Model {
    /// Whether the origin was asked by a route that has been in force since then.
    pub fn check_route(&self, asked: &Asked, since: u64) -> Result<(), String> {
        let ends = self.hosts.iter().skip(1).map(|(at, _)| *at).chain([u64::MAX]);
        let mut in_force =
            self.hosts.iter().zip(ends).filter(|((from, _), to)| *from <= asked.at && *to >= since);
        match in_force.any(|((_, host), _)| *host == asked.host) {
            true => Ok(()),
            false => Err(format!("asked by a route of the past: {asked:?}, {:?}", self.hosts)),
        }
    }

    /// Judges a response; an error says what is wrong with it.
    pub fn check(&self, asking: &Asking, seen: &Response, lifetime: Duration) -> Result<(), String> {
        let fail = |what: &str| Err(format!("{what}: {asking:?} saw {}", shown(seen)));
        if seen.status == 401 {
            return fail("what Larder's own request was refused with");
        }
        if !["", &asking.client.to_string()].contains(&seen.field("x-for").as_str()) {
            return fail("what another client was told");
        }
        if seen.field("x-key").is_empty() || !matches!(seen.status, 200 | 206 | 304) {
            return Ok(());
        }
        if seen.field("x-key") != asking.ask.key.path() {
            return fail("the response of another resource");
        }
        let validated: u64 = seen.field("x-asked").parse().unwrap_or_default();
        let mut made = validated;
        if seen.status == 200 && asking.ask.kind != Kind::Head {
            if !seen.complete {
                return Ok(());
            }
            let Some(said) = said(seen) else { return fail("a body that is not whole") };
            if said.key != asking.ask.key.path() {
                return fail("the body of another resource");
            }
            if said.variant != "-" && said.variant != asking.ask.variant.to_string() {
                return fail("the body of another variant");
            }
            if said.client != asking.client && self.is_personal(asking, seen, &said) {
                return fail("another client's response, which may not be shared");
            }
            made = said.made;
        }
        if validated >= asking.started || seen.field("cache-status").contains("fwd-status=304") {
            // The origin was asked for it after the request had begun.
            return Ok(());
        }
        self.check_purges(asking, seen, validated, made)?;
        self.check_age(asking, seen, validated, lifetime)
    }

    fn is_personal(&self, asking: &Asking, seen: &Response, said: &Said) -> bool {
        let class = asking.ask.key.class;
        let forbidden = matches!(class, Class::Private | Class::NoStore | Class::Cookie);
        let control = seen.field("cache-control");
        let shared = control.contains("public") || control.contains("s-maxage");
        forbidden || control.contains("private") || (said.authorized && !shared)
    }

    fn check_purges(
        &self,
        asking: &Asking,
        seen: &Response,
        validated: u64,
        made: u64,
    ) -> Result<(), String> {
        let in_force = self.invalidations.iter().filter(|purge| {
            purge.acknowledged.is_some_and(|at| at < asking.started) && purge.what.covers(asking.ask.key)
        });
        for purge in in_force {
            let since = purge.since.unwrap_or_default();
            let broken = match purge.mode {
                Mode::Hard => made < since || validated < since,
                Mode::Revalidate => validated < since,
                Mode::Soft => {
                    let gone = self.clocks.least_between(
                        (purge.sent, purge.acknowledged.unwrap_or_default()),
                        (asking.started, asking.over),
                    );
                    validated < since && (!is_marked_stale(seen) || gone > self.window(asking))
                }
            };
            if broken {
                return Err(format!(
                    "an acknowledged purge is broken, {purge:?}: {asking:?} saw {}",
                    shown(seen)
                ));
            }
        }
        Ok(())
    }

    /// For how long what is stale may be served: by grace, stale-while-revalidate, stale-if-error or stale-if-down.
    fn window(&self, asking: &Asking) -> Duration {
        self.grace.max(match asking.ask.key.class {
            Class::Revalidated | Class::Guarded => Duration::from_secs(5),
            Class::Sturdy => Duration::from_secs(30),
            _ => Duration::ZERO,
        })
    }

    /// Fresh is what its lifetime allows, by the wall clock, and stale what a window allows.
    fn check_age(
        &self,
        asking: &Asking,
        seen: &Response,
        validated: u64,
        lifetime: Duration,
    ) -> Result<(), String> {
        // The fetch began at most this long before the origin saw it.
        let fetched = (validated.saturating_sub(1_000_000_000), validated + 30_000_000_000);
        let fetched = (fetched.0, fetched.1.min(asking.over));
        let age = self.clocks.least_between(fetched, (asking.started, asking.over));
        let wished = if asking.ask.kind == Kind::MaxStale { Duration::from_secs(5) } else { Duration::ZERO };
        let stale = is_marked_stale(seen);
        let window = if stale { self.window(asking).max(wished) } else { Duration::ZERO };
        if age > lifetime + window {
            return Err(format!(
                "too old, age {age:?}, marked stale: {stale}: {asking:?} saw {}",
                shown(seen)
            ));
        }
        if asking.ask.key.class == Class::Checked {
            return Err(format!("used without validation: {asking:?} saw {}", shown(seen)));
        }
        Ok(())
    }
}

fn said(seen: &Response) -> Option<Said> {
    let text = seen.text();
    let mut lines = text.split('\n');
    let (key, variant) = (lines.next()?.to_owned(), lines.next()?.to_owned());
    let _version = lines.next()?;
    let (made, client) = (lines.next()?.parse().ok()?, lines.next()?.parse().ok()?);
    let authorized = lines.next()? == "true";
    let size: usize = lines.next()?.parse().ok()?;
    let whole = lines.next()?.len() == size && lines.next()? == "end" && lines.next().is_none();
    whole.then_some(Said { key, variant, made, client, authorized })
}

fn is_marked_stale(seen: &Response) -> bool {
    let status = seen.field("cache-status");
    ["soft-purged", "stale-while-revalidate", "stale-if-error", "stale-if-down", "max-stale"]
        .iter()
        .any(|d| status.contains(d))
}

/// A response in a few words.
pub fn shown(seen: &Response) -> String {
    let body: String = seen.text().chars().take(60).collect();
    let fields = ["cache-status", "cache-control", "age", "x-asked", "etag"]
        .map(|n| format!("{n}: {}", seen.field(n)));
    format!("{} [{}] complete: {} {body:?}", seen.status, fields.join(", "), seen.complete)
}
