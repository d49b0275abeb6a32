//! What filters behind the cache change in its answers, and have changed before those were stored: twice, then.

use core::cell::Cell;
use core::time::Duration;

use crate::time::Monotonic;

/// The most names of what a filter behind the cache changes twice. Beyond it the others are not told.
const NAMES_MAX: usize = 16;
/// For how long: somebody may have moved the filter, of which the cache hears nothing.
const REMEMBERED_FOR: Duration = Duration::from_secs(600);
/// One in so many answers is looked at, once the first ones have been.
const LOOKED_AT: u32 = 1024;

/// What was seen lately.
#[derive(Default)]
pub struct Twice {
    names: Vec<String>,
    seen: Monotonic,
    /// How many stored responses were served.
    served: Cell<u32>,
}

impl Twice {
    /// Whether it is looked at what becomes of the next stored response that is served: of the first ones, and then of few,
    /// since to read it costs something.
    pub fn looks_at_next(&self) -> bool {
        let served = self.served.get().wrapping_add(1);
        self.served.set(served);
        served.is_power_of_two() || served.is_multiple_of(LOOKED_AT)
    }

    /// This was changed twice. Whether that is news.
    pub fn found(&mut self, what: Vec<String>, now: Monotonic) -> bool {
        let is_news = self.lately(now).is_empty();
        if is_news {
            self.names.clear();
        }
        for name in what {
            if self.names.len() < NAMES_MAX && !self.names.contains(&name) {
                self.names.push(name);
            }
        }
        self.seen = now;
        is_news
    }

    /// What was changed twice lately.
    pub fn lately(&self, now: Monotonic) -> &[String] {
        if now.since(self.seen) < REMEMBERED_FOR { &self.names } else { &[] }
    }
}
