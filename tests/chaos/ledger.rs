//! Whether the origin was asked more often than there were reasons for.
//!
//! Each resource that everyone may share has an account (each variant its own). A fetch takes one reason from it. A
//! reason is: it was never asked for; what was fetched last is not fresh any more; it was invalidated; the client of
//! a fetch left; a VM died; a value was lost; requests take another route. After a fetch of no use to others, and for whoever has waited for as
//! long as anybody may, asking is free: these go alone (protocol §1.8, I4).

use std::collections::BTreeMap;
use std::time::Duration;

use super::origin::Asked;
use super::plan::{Class, Key, Selector};

/// Virtual time for which a failed fetch is remembered, and what sweeps and late ticks may add.
const FAILED_FOR: Duration = Duration::from_millis(1_000 + 1_500);

/// All accounts.
#[derive(Default)]
pub struct Ledger {
    reasons: Vec<Noted>,
}

/// A reason that may come into force from a time on, and has done so at another.
#[derive(Clone, Debug)]
struct Noted {
    from: u64,
    by: u64,
    reason: Reason,
}

/// Why a resource may be asked for once more.
#[derive(Clone, Copy, Debug)]
pub enum Reason {
    /// What a purge covers may have changed.
    Invalidated(Selector),
    /// For one resource.
    Of(Key),
    /// For everything: a value was lost.
    Fault,
    /// For everything: requests take another route.
    Rerouted,
}

/// How long what the seed's configurations allow takes.
pub struct Terms {
    pub wait: Duration,
    pub fetch_timeout: Duration,
    /// The shortest of all timeouts of a fetch.
    pub least_timeout: Duration,
    /// How long the root may take to dispatch what was decided.
    pub dispatch: Duration,
    /// How eagerly what is in demand may be refreshed early.
    pub ahead_percent: u32,
    /// Calls of the root may be lost.
    pub loses_calls: bool,
}

/// One resource, or one variant of it.
#[derive(Default)]
struct Account {
    /// From when on each may be, and from when on it is, in force.
    reasons: Vec<(u64, u64)>,
    /// Fetches that may be in vain: a purge that covers a variant in flight covers the URI's list of variants too. The
    /// next fetch is then made for the list, and its response is not stored while the variant's own is in flight.
    spare: u64,
    /// How many of those that were noted are read.
    read: usize,
    /// On the wall clock, when what was fetched last has to be fetched again.
    expires: Option<i128>,
    /// The same for a fetch of the root, which may come early.
    may_expire: i128,
    asked: Vec<u64>,
}

impl Ledger {
    /// There is a reason from now on, or at the latest in a second.
    pub fn note(&mut self, at: u64, reason: Reason) {
        self.reasons.push(Noted { from: at, by: at + 1_000_000_000, reason });
    }

    /// There will be a reason at some time from now on; returns its number.
    pub fn expect(&mut self, at: u64, reason: Reason) -> usize {
        self.reasons.push(Noted { from: at, by: u64::MAX, reason });
        self.reasons.len() - 1
    }

    /// What was expected has happened by now.
    pub fn settle(&mut self, number: usize, at: u64) {
        self.reasons[number].by = at;
    }

    /// Goes through the origin's log; an error names the request that nothing explains. `started` says when an
    /// exchange began, `wall` what the wall clock said, `lifetime` how long a response is fresh.
    pub fn check(
        &self,
        log: &[Asked],
        terms: &Terms,
        started: impl Fn(usize) -> Option<u64>,
        wall: impl Fn(u64) -> i128,
        lifetime: impl Fn(Key) -> Duration,
    ) -> Result<(), String> {
        let mut accounts: BTreeMap<(Key, Option<String>), Account> = BTreeMap::new();
        // Until when asking is free; a failure is remembered for all variants.
        let mut free: BTreeMap<Key, u64> = BTreeMap::new();
        for asked in log.iter().filter(|asked| asked.key.class.is_plain()) {
            let name = (asked.key, asked.variant.clone());
            let account = accounts.entry(name).or_insert_with(|| Account::new(asked.at));
            // A fetch that was decided earlier may still be on its way to the origin.
            let slack = if asked.dispatched { terms.dispatch } else { Duration::from_millis(5) };
            let decided = asked.at.saturating_sub(slack.as_nanos() as u64);
            account.read(&self.reasons, asked, decided);
            if !asked.whole || asked.unsafe_method {
                continue;
            }
            let free_until = free.entry(asked.key).or_default();
            let is_free = asked.at <= *free_until || terms.is_overdue(asked, &started);
            let failed = terms.failed(asked);
            if let Some(over) = failed {
                *free_until = (*free_until).max(over + FAILED_FOR.as_nanos() as u64);
                account.add(*free_until);
            }
            // What is fetched with credentials is for others only where the response says so.
            if asked.authorized && asked.key.class != Class::Public {
                continue;
            }
            account.ask(asked, decided, is_free, wall(asked.at))?;
            if self.is_rerouted(asked, &started) {
                // What it brings is not for those who take the new route.
                account.add(asked.at);
            }
            let before = if asked.dispatched { terms.dispatch } else { Duration::ZERO };
            let fresh = lifetime(asked.key).saturating_sub(Duration::from_millis(100) + before);
            account.expires = failed.is_none().then(|| wall(asked.at) + fresh.as_nanos() as i128);
            let early = terms.ahead(asked, &wall, fresh);
            account.may_expire = wall(asked.at) + fresh.saturating_sub(early).as_nanos() as i128;
        }
        Ok(())
    }

    /// Whether requests have taken another route since the one began that this was asked for.
    fn is_rerouted(&self, asked: &Asked, started: impl Fn(usize) -> Option<u64>) -> bool {
        let began = started(asked.client).unwrap_or(asked.at);
        let is_between = |noted: &Noted| noted.from > began && noted.from <= asked.at;
        self.reasons.iter().any(|noted| matches!(noted.reason, Reason::Rerouted) && is_between(noted))
    }
}

impl Terms {
    /// Whether a request comes from a client that has waited for as long as anybody may.
    fn is_overdue(&self, asked: &Asked, started: impl Fn(usize) -> Option<u64>) -> bool {
        let waited = started(asked.client).map_or(0, |at| asked.at.saturating_sub(at));
        !asked.dispatched && waited + 100_000_000 >= self.wait.as_nanos() as u64
    }

    /// How long before what a fetch brought expires it may be fetched again: by what it took on the wall clock, as far
    /// as the origin knows.
    fn ahead(&self, asked: &Asked, wall: impl Fn(u64) -> i128, fresh: Duration) -> Duration {
        let most = wall(asked.over).max(wall(asked.at) + i128::from(asked.over - asked.at)) - wall(asked.at);
        let cost = Duration::from_nanos(u64::try_from(most).unwrap_or_default()) + Duration::from_millis(100);
        let cost = cost + if asked.dispatched { self.dispatch } else { Duration::ZERO };
        (cost * 8 * self.ahead_percent / 100).min(fresh.max(Duration::from_millis(200)) / 2)
    }

    /// When a fetch is over that is, or may be, of no use to anyone.
    fn failed(&self, asked: &Asked) -> Option<u64> {
        let takes = Duration::from_nanos(asked.over - asked.at) + Duration::from_millis(100);
        let lost = asked.dispatched && (self.loses_calls || takes > self.least_timeout);
        let given_up = asked.at + self.fetch_timeout.as_nanos() as u64;
        match (lost, asked.good) {
            (true, _) => Some(asked.over.max(given_up)),
            (false, false) => Some(asked.over),
            (false, true) => None,
        }
    }
}

impl Account {
    fn new(at: u64) -> Self {
        let mut account = Account::default();
        account.add(at);
        account
    }

    /// A reason that is in force from a time on.
    fn add(&mut self, at: u64) {
        self.reasons.push((at, at));
    }

    /// Takes the reasons that have come since it was last looked at.
    fn read(&mut self, noted: &[Noted], asked: &Asked, decided: u64) {
        let new = noted.iter().skip(self.read).take_while(|noted| noted.from <= asked.at);
        for noted in new {
            self.read += 1;
            // What came before it was ever asked for is no reason to ask twice.
            if noted.reason.is_for(asked.key) && (noted.by >= decided || !self.asked.is_empty()) {
                self.reasons.push((noted.from, noted.by));
                let is_purge = matches!(noted.reason, Reason::Invalidated(_));
                self.spare += u64::from(is_purge && asked.variant.is_some());
            }
        }
    }

    fn ask(&mut self, asked: &Asked, decided: u64, is_free: bool, wall: i128) -> Result<(), String> {
        let early = if asked.dispatched { self.may_expire } else { i128::MAX };
        if self.expires.is_some_and(|at| wall >= at.min(early)) {
            self.add(asked.at);
        }
        self.asked.push(asked.at);
        if is_free {
            return Ok(());
        }
        // One fetch answers all reasons that were in force when it was decided.
        let before = self.reasons.len();
        self.reasons.retain(|(_, by)| *by > decided);
        if before > self.reasons.len() {
            return Ok(());
        }
        let first =
            (0..before).filter(|at| self.reasons[*at].0 <= asked.at).min_by_key(|at| self.reasons[*at].1);
        match first {
            Some(first) => {
                self.reasons.swap_remove(first);
                Ok(())
            }
            None if self.spare > 0 => {
                self.spare -= 1;
                Ok(())
            }
            None => Err(format!(
                "the origin is asked without a reason: {asked:?}; it was asked before at {:?}",
                self.asked
            )),
        }
    }
}

impl Reason {
    fn is_for(self, key: Key) -> bool {
        match self {
            Reason::Invalidated(what) => what.covers(key),
            Reason::Of(own) => own == key,
            Reason::Fault | Reason::Rerouted => true,
        }
    }
}
