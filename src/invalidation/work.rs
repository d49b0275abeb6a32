//! How much matching is done in one go, in bytes that are run through patterns: every callback that holds patterns
//! against what is stored says beforehand how much it may do.

use core::cell::Cell;

/// What one verdict on one response may take. It is enough for 500 regular expressions on a URL of usual length, and
/// takes a few milliseconds at the worst. Whoever finds nothing left takes what is still to be matched for covered.
pub const VERDICT_WORK_MAX: u64 = 256 << 10;

/// What one callback may take for all responses that it looks at, give or take one verdict.
pub const CALLBACK_WORK_MAX: u64 = 256 << 10;

/// Work that may still be done. One unit is a byte of text run through the smallest regular expression.
#[derive(Debug)]
pub struct Work {
    left: Cell<u64>,
    spent: Cell<u64>,
}

impl Work {
    /// So much work.
    #[must_use]
    pub const fn of(units: u64) -> Work {
        Work { left: Cell::new(units), spent: Cell::new(0) }
    }

    /// The work of one verdict.
    #[must_use]
    pub const fn of_a_verdict() -> Work {
        Work::of(VERDICT_WORK_MAX)
    }

    /// Takes so much; whether there was so much left. If not, nothing is left from now on.
    pub fn take(&self, units: u64) -> bool {
        match self.left.get().checked_sub(units) {
            Some(left) => {
                self.left.set(left);
                self.spent.set(self.spent.get() + units);
                true
            }
            None => {
                self.left.set(0);
                false
            }
        }
    }

    /// Takes what something has taken that counted for itself: it is done even if that was more than there was.
    pub fn take_for(&self, done: &Work) {
        let _ = self.take(done.spent().min(self.left.get()));
    }

    /// Whether nothing is left.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.left.get() == 0
    }

    /// How much was taken.
    #[must_use]
    pub fn spent(&self) -> u64 {
        self.spent.get()
    }
}
