//! The origin of a workload: it answers by class, versions what it has, and logs who asked when.

use std::collections::HashMap;
use std::time::Duration;

use super::plan::{Class, Health, Key};
use crate::host::events::Random;
use crate::stand::{Ending, OriginRequest, Reply};

/// How long the origin hangs when it never answers.
const NEVER: Duration = Duration::from_secs(100_000);
/// More than the record's own value holds.
const BIG: usize = 270_000;

/// The origin's state.
pub struct Origin {
    versions: HashMap<Key, u64>,
    pub health: Health,
    lifetime: u64,
    random: Random,
    pub log: Vec<Asked>,
}

/// A request as the origin saw it, and how it answered.
#[derive(Clone, Debug)]
pub struct Asked {
    pub key: Key,
    pub variant: Option<String>,
    /// Monotonic, in nanoseconds.
    pub at: u64,
    /// When its answer is over; it may be far away.
    pub over: u64,
    /// The exchange on whose behalf it was sent.
    pub client: usize,
    pub dispatched: bool,
    /// The host that its route gave it.
    pub host: String,
    /// It asks for the whole representation, and for everyone.
    pub whole: bool,
    pub authorized: bool,
    /// An answer that can be stored.
    pub good: bool,
    pub unsafe_method: bool,
}

impl Origin {
    pub fn new(seed: u64, lifetime: u64) -> Self {
        Origin {
            versions: HashMap::new(),
            health: Health::Well,
            lifetime,
            random: Random::new(seed),
            log: Vec::new(),
        }
    }

    pub fn change(&mut self, key: Key) {
        *self.versions.entry(key).or_default() += 1;
    }

    /// For how long an answer of this class is fresh.
    pub fn lifetime(&self, class: Class) -> Duration {
        Duration::from_secs(match class {
            Class::Revalidated | Class::Sturdy | Class::Guarded => 1,
            _ => self.lifetime,
        })
    }

    pub fn answer(&mut self, now: u64, request: &OriginRequest) -> Reply {
        let Some(key) = Key::of(&request.target) else { return Reply::status(404) };
        let unsafe_method = request.method == "POST";
        let mut asked = Asked {
            key,
            variant: varies(key.class, self.version(key)).then(|| request.field("x-variant")),
            at: now,
            over: 0,
            client: request.field("x-client").parse().unwrap_or(usize::MAX),
            dispatched: !request.field("x-envoy-internal").is_empty(),
            host: request.field("host"),
            whole: request.method == "GET"
                && request.field("range").is_empty()
                && request.field("cache-control") != "no-store",
            authorized: !request.field("authorization").is_empty(),
            good: false,
            unsafe_method,
        };
        let mut reply = self.trouble().unwrap_or_else(|| {
            if unsafe_method {
                self.change(key);
                return Reply::ok("done").field("x-asked", now.to_string());
            }
            if key.class == Class::Guarded && asked.dispatched {
                return Reply::status(401).body("who asks?").field("cache-control", "max-age=60");
            }
            asked.good = true;
            if key.class == Class::Mixed && asked.client % 3 == 1 {
                return self.own(&asked);
            }
            self.representation(&asked, request)
        });
        if key.class == Class::Mixed {
            reply.delay += Duration::from_millis(self.random.below(500));
        }
        reply.delay += match self.health {
            Health::Slow(most) => Duration::from_millis(self.random.below(most)),
            Health::Hangs => NEVER,
            Health::Well | Health::Flaky(_) | Health::Down => Duration::from_micros(self.random.below(5_000)),
        };
        // A body on its way may be torn.
        if let Health::Flaky(percent) = self.health
            && asked.good
            && self.random.below(100) < percent / 2
        {
            asked.good = false;
            reply.ending = Ending::ResetAfter(self.random.below(reply.body.len() as u64 + 1) as usize);
        }
        asked.good &= self.health != Health::Hangs;
        asked.over = now + reply.delay.as_nanos() as u64 + 50_000_000;
        self.log.push(asked);
        reply
    }

    fn trouble(&mut self) -> Option<Reply> {
        match self.health {
            Health::Down => Some(Reply::status(503).body("down")),
            Health::Flaky(percent) if self.random.below(100) < percent => Some(match self.random.below(3) {
                0 => Reply::status(500).body("oops"),
                1 => Reply::ok("").ending(Ending::NoResponse),
                _ => Reply::status(503).body("busy"),
            }),
            Health::Well | Health::Slow(_) | Health::Flaky(_) | Health::Hangs => None,
        }
    }

    fn version(&self, key: Key) -> u64 {
        self.versions.get(&key).copied().unwrap_or_default()
    }

    /// What is for this one client.
    fn own(&self, asked: &Asked) -> Reply {
        let text = body(&Asked { authorized: true, ..asked.clone() }, self.version(asked.key), "-", 9);
        let of =
            |status: u16, control: &str| Reply::status(status).body(&text).field("cache-control", control);
        let reply = match asked.client / 3 % 4 {
            0 => of(200, "private, max-age=60"),
            1 => of(200, "no-store"),
            2 => of(200, "max-age=60").field("set-cookie", "id=1"),
            _ => Reply::status(403).body(&text),
        };
        let (at, path) = (asked.at.to_string(), asked.key.path());
        reply.field("x-for", asked.client.to_string()).field("x-asked", at).field("x-key", path)
    }

    fn representation(&mut self, asked: &Asked, request: &OriginRequest) -> Reply {
        let version = self.version(asked.key);
        let variant = asked.variant.as_deref().unwrap_or("-");
        let tag = format!("W/\"{version}-{variant}\"");
        let confirmed = request.field("if-none-match") == tag;
        let reply = if confirmed {
            Reply::status(304)
        } else {
            let size = if asked.key.class == Class::Big { BIG } else { self.random.below(300) as usize };
            Reply::ok(body(asked, version, variant, size))
        };
        let mut reply = reply
            .field("etag", tag)
            .field("x-asked", asked.at.to_string())
            .field("x-key", asked.key.path())
            .field("cache-control", control(asked.key.class, version, self.lifetime(asked.key.class)))
            .field("cache-tag", format!("t{}, all", asked.key.tag()));
        if asked.variant.is_some() {
            reply = reply.field("vary", "x-variant");
        }
        if asked.key.class == Class::Cookie {
            reply = reply.field("set-cookie", format!("id={}", asked.client));
        }
        let torn = matches!(reply.ending, Ending::ResetAfter(_));
        if !torn && self.random.chance(0.2) && !confirmed {
            reply.ending = Ending::Trailers(Vec::new());
        }
        reply
    }
}

/// Says all that the model has to know; the end shows that nothing is missing.
fn body(asked: &Asked, version: u64, variant: &str, size: usize) -> String {
    let Asked { at, client, authorized, .. } = asked;
    let path = asked.key.path();
    let filler = "x".repeat(size);
    format!("{path}\n{variant}\n{version}\n{at}\n{client}\n{authorized}\n{size}\n{filler}\nend")
}

fn varies(class: Class, version: u64) -> bool {
    class == Class::Varied || (class == Class::Drifting && version % 2 == 1)
}

fn control(class: Class, version: u64, lifetime: Duration) -> String {
    let seconds = lifetime.as_secs();
    match class {
        Class::Cacheable | Class::Varied | Class::Big | Class::Cookie | Class::Drifting | Class::Mixed => {
            format!("max-age={seconds}")
        }
        Class::Revalidated | Class::Guarded => format!("max-age={seconds}, stale-while-revalidate=5"),
        Class::Sturdy => format!("max-age={seconds}, stale-if-error=30"),
        Class::Public => format!("public, max-age={seconds}"),
        Class::Private => "private, max-age=60".into(),
        Class::NoStore => "no-store".into(),
        Class::Moody if version % 2 == 1 => "private, max-age=60".into(),
        Class::Moody => format!("max-age={seconds}"),
        Class::Checked => "no-cache".into(),
    }
}
