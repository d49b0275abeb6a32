//! How much matching is done in one go, in bytes that are run through patterns: every callback that holds patterns
//! against what is stored says beforehand how much it may do.

use core::cell::Cell;

/// What one verdict on one response may take, in units of work. Beyond it what is still to be matched counts as covered. It
/// is enough for 500 regular expressions on a URL of usual length, and takes ten milliseconds in a VM, thirty at the worst.
pub const VERDICT_WORK_MAX: u64 = 256 << 10;

/// What one command may take for all responses that it looks at, give or take one verdict. Beyond it the answer says where
/// to go on, or that it is not complete.
pub const CALLBACK_WORK_MAX: u64 = 256 << 10;

/// What one tick may take for all responses that it looks at, give or take one verdict. Beyond it the next ticks go on:
/// there are twenty a second, and as long as one takes nobody gets an answer from this worker.
pub const TICK_WORK_MAX: u64 = 32 << 10;

/// Work that may still be done. One unit is a byte of text run through the smallest regular expression.
#[derive(Debug)]
pub struct Work {
    left: Cell<u64>,
    spent: Cell<u64>,
    /// What was done all the same although nothing was left.
    over: Cell<u64>,
}

/// The work of ticks that one verdict may exceed: what one of them takes too much the next ones do without.
#[derive(Debug, Default)]
pub struct Pace {
    owed: u64,
}

impl Pace {
    /// The work of the next tick; none where those before have taken it.
    pub fn tick(&mut self) -> Option<Work> {
        let owed = self.owed.min(TICK_WORK_MAX);
        self.owed -= owed;
        (owed < TICK_WORK_MAX).then(|| Work::of(TICK_WORK_MAX - owed))
    }

    /// So much was done in it.
    pub fn took(&mut self, work: &Work) {
        self.owed += work.over.get();
    }
}

impl Work {
    /// So much work.
    #[must_use]
    pub const fn of(units: u64) -> Work {
        Work { left: Cell::new(units), spent: Cell::new(0), over: Cell::new(0) }
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
        let within = done.spent().min(self.left.get());
        let _ = self.take(within);
        self.over.set(self.over.get() + done.spent() - within);
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

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn ticks_take_no_more_than_their_share_in_the_long_run() {
        let (mut pace, mut done) = (Pace::default(), 0);
        for ticks in 1..=1000 {
            if let Some(work) = pace.tick() {
                while !work.is_done() {
                    let verdict = Work::of_a_verdict();
                    assert!(verdict.take(100_000));
                    work.take_for(&verdict);
                    done += verdict.spent();
                }
                pace.took(&work);
            }
            assert!(done <= ticks * TICK_WORK_MAX + 100_000, "{ticks}: {done}");
        }
        assert!(done > 999 * TICK_WORK_MAX, "nothing of it is lost");
    }
}
