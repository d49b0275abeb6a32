//! Whether the origin was asked more often than there were reasons for.
//!
//! Each resource that everyone may share has an account (each variant its own). A fetch takes one reason from it. A
//! reason is: it was never asked for; what was fetched last is not fresh any more; it was invalidated; the client of
//! a fetch left; a VM died; a value was lost. After a fetch of no use to others, and for whoever has waited for as
//! long as anybody may, asking is free: these go alone (protocol §1.8, I4).

use std::collections::BTreeMap;
use std::time::Duration;

use super::origin::Asked;
use super::plan::{Key, Selector};

/// Virtual time for which a failed fetch is remembered, and what sweeps and late ticks may add.
const FAILED_FOR: Duration = Duration::from_millis(1_000 + 1_500);

/// All accounts.
#[derive(Default)]
pub struct Ledger {
    reasons: Vec<(u64, Reason)>,
}

/// Why a resource may be asked for once more.
#[derive(Clone, Copy, Debug)]
pub enum Reason {
    /// What a purge covers may have changed.
    Invalidated(Selector),
    /// For one resource.
    Of(Key),
    /// For everything.
    Fault,
}

/// How long what the seed's configurations allow takes.
pub struct Terms {
    pub wait: Duration,
    pub fetch_timeout: Duration,
    /// The shortest of all timeouts of a fetch.
    pub least_timeout: Duration,
    /// Calls of the root may be lost.
    pub loses_calls: bool,
}

/// One resource, or one variant of it.
#[derive(Default)]
struct Account {
    reasons: u64,
    /// Until then asking is free.
    free_until: u64,
    /// On the wall clock, when what was fetched last has to be fetched again.
    expires: Option<i128>,
    asked: Vec<u64>,
}

impl Ledger {
    pub fn note(&mut self, at: u64, reason: Reason) {
        self.reasons.push((at, reason));
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
        let mut reasons = self.reasons.iter().peekable();
        for asked in log.iter().filter(|asked| asked.key.class.is_plain()) {
            while let Some((_, reason)) = reasons.next_if(|(at, _)| *at <= asked.at) {
                for (_, account) in accounts.iter_mut().filter(|((key, _), _)| reason.is_for(*key)) {
                    account.reasons += 1;
                }
            }
            let shared = asked.whole && !asked.unsafe_method;
            let account = accounts
                .entry((asked.key, asked.variant.clone()))
                .or_insert_with(|| Account { reasons: 1, ..Account::default() });
            if !shared || (asked.authorized && asked.key.class != super::plan::Class::Public) {
                continue;
            }
            let waited = started(asked.client).map_or(0, |at| asked.at.saturating_sub(at));
            let alone = !asked.dispatched && waited + 100_000_000 >= terms.wait.as_nanos() as u64;
            account.ask(asked, alone, wall(asked.at))?;
            let fresh = lifetime(asked.key).saturating_sub(Duration::from_millis(100));
            account.expires = Some(wall(asked.at) + fresh.as_nanos() as i128);
            let takes = Duration::from_nanos(asked.over - asked.at) + Duration::from_millis(100);
            let lost = asked.dispatched && (terms.loses_calls || takes > terms.least_timeout);
            if !asked.good || lost {
                let over = if lost {
                    asked.over.max(asked.at + terms.fetch_timeout.as_nanos() as u64)
                } else {
                    asked.over
                };
                account.free_until = account.free_until.max(over + FAILED_FOR.as_nanos() as u64);
                account.expires = None;
                account.reasons = account.reasons.max(1);
            }
        }
        Ok(())
    }
}

impl Account {
    fn ask(&mut self, asked: &Asked, alone: bool, wall: i128) -> Result<(), String> {
        if self.expires.is_some_and(|at| wall >= at) {
            self.reasons = self.reasons.max(1);
        }
        self.asked.push(asked.at);
        if asked.at <= self.free_until || alone {
            return Ok(());
        }
        match self.reasons.checked_sub(1) {
            Some(left) => {
                self.reasons = left;
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
            Reason::Fault => true,
        }
    }
}
