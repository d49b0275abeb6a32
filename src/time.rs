//! Time as an argument: what a clock said when the host called us.
//!
//! Two clocks, never mixed. HTTP (`Date`, `Age`, freshness) lives on the wall clock, which an operator may set
//! back. Leases and deadlines live on the monotonic clock, which is the same for all workers of one Envoy.

use core::time::Duration;

use serde::{Deserialize, Serialize};

/// Wall-clock time in milliseconds since the Unix epoch.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// A time from whole seconds since the Unix epoch.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Timestamp(secs.saturating_mul(1000))
    }

    /// Whole seconds since the Unix epoch, rounded down, as HTTP dates have them.
    #[must_use]
    pub const fn secs(self) -> u64 {
        self.0 / 1000
    }

    /// The time that has passed since `earlier`; zero when the clock went back.
    #[must_use]
    pub const fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// This time and a duration more, at most the end of time.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Timestamp(self.0.saturating_add(millis(by)))
    }
}

/// Time of the monotonic clock in milliseconds since an arbitrary start that all workers share.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Monotonic(pub u64);

impl Monotonic {
    /// This time and a duration more, at most the end of time.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Monotonic(self.0.saturating_add(millis(by)))
    }

    /// The time that has passed since `earlier`; zero when there is none.
    #[must_use]
    pub const fn since(self, earlier: Monotonic) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// What both clocks said when the callback began that is being decided.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Now {
    /// For HTTP: dates, ages, freshness.
    pub wall: Timestamp,
    /// For leases and deadlines.
    pub mono: Monotonic,
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
