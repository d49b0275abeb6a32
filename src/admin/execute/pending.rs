//! What one worker remembers between commands: who sent how many, and what is still to be fetched again.

use core::time::Duration;
use std::collections::VecDeque;

use crate::admin::Matchers;
use crate::rate_limit::Limiter;
use crate::time::Monotonic;

/// A worker's memory of the admin route. Limits count on each worker by itself.
#[derive(Debug, Default)]
pub struct Pending {
    /// How many commands each token has sent.
    pub commands: Limiter,
    /// What purges still have to be fetched again, one after the other.
    pub jobs: VecDeque<RefreshJob>,
    /// How many stored responses may be looked at to count what purges cover.
    pub counting: Allowance,
    /// Commands with a token that is not known.
    pub unauthorised: Seldom,
}

/// What may be spent on something that is nice to know: a little all the time, more where it was not spent for a while.
#[derive(Debug, Default)]
pub struct Allowance {
    spent: u64,
    at: Monotonic,
}

/// The most stored responses that a worker may look at, at once, to count what purges cover. Beyond it the count is
/// incomplete, and says so.
const SAVED_MAX: u64 = 2_000;
/// What is added in a second.
const PER_SECOND: u64 = 1_000;

impl Allowance {
    /// What can be spent now.
    pub fn left(&mut self, now: Monotonic) -> u64 {
        let gained = now.0.saturating_sub(self.at.0).saturating_mul(PER_SECOND) / 1_000;
        if gained > 0 {
            self.at = now;
            self.spent = self.spent.saturating_sub(gained);
        }
        SAVED_MAX.saturating_sub(self.spent)
    }

    /// So much is spent.
    pub fn spend(&mut self, count: u64) {
        self.spent = self.spent.saturating_add(count).min(SAVED_MAX);
    }
}

/// How long at least lies between two lines of the log about the same.
const SELDOM: Duration = Duration::from_secs(10);

/// A rate-limited line of the log, since any client can cause it.
#[derive(Debug, Default)]
pub struct Seldom {
    times: u64,
    told: Option<Monotonic>,
}

impl Seldom {
    /// It has happened; how often since it was told the last time, if it is to be told now.
    pub fn note(&mut self, now: Monotonic) -> Option<u64> {
        self.times += 1;
        if self.told.is_some_and(|told| now.since(told) < SELDOM) {
            return None;
        }
        self.told = Some(now);
        Some(core::mem::take(&mut self.times))
    }
}

/// The most purges whose responses are still being fetched again. Beyond it only what is begun at once is fetched again,
/// and the answer says `"continues": false`.
pub const JOBS_MAX: usize = 16;

/// What a purge covers is fetched again bit by bit, so that a purge of very much is no stampede to the origin.
#[derive(Debug)]
pub struct RefreshJob {
    /// What is covered.
    pub matchers: Matchers,
    /// Since which position of the journal it is.
    pub receipt: u64,
    /// Where in the store to go on.
    pub cursor: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn an_allowance_grows_while_it_is_not_spent() {
        let mut allowance = Allowance::default();
        assert_eq!(allowance.left(Monotonic(9)), SAVED_MAX);
        allowance.spend(SAVED_MAX + 5);
        assert_eq!([9, 10, 110, 99_999].map(|at| allowance.left(Monotonic(at))), [0, 1, 101, SAVED_MAX]);
    }

    #[test]
    fn warnings_that_clients_can_cause_are_rate_limited() {
        let mut seldom = Seldom::default();
        let told = [5, 6, 7, 10_005, 10_006].map(|at| seldom.note(Monotonic(at)));
        assert_eq!(told, [Some(1), None, None, Some(3), None]);
    }
}
