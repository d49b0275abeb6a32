//! How often a name may do something: a token bucket for each.

use std::collections::BTreeMap;

use crate::config::Rate;
use crate::time::Monotonic;

/// The most callers whose buckets are remembered. Beyond it those whose bucket is full again are forgotten, else the one
/// whose bucket would be full the soonest: it counts as full.
const NAMES_MAX: usize = 1024;

/// Buckets by name: of callers for their commands, of rules for the invalidations that strangers' requests cause.
#[derive(Clone, Debug, Default)]
pub struct Limiter {
    buckets: BTreeMap<String, Bucket>,
}

/// What may still be taken, in parts of one sixty-thousandth, so that every millisecond adds a whole number.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    parts: u64,
    at: Monotonic,
}

/// How many parts make one.
const ONE: u64 = 60_000;

impl Limiter {
    /// Takes `count` from the bucket of a name, which fills at this rate; a count beyond the burst takes the full bucket.
    ///
    /// # Errors
    /// With the seconds to wait when there is not so much in it. Then nothing is taken.
    pub fn take(&mut self, name: &str, count: u32, rate: Rate, now: Monotonic) -> Result<(), u64> {
        let full = u64::from(rate.burst.max(1)) * ONE;
        let wanted = (u64::from(count) * ONE).min(full);
        let parts = match self.buckets.get(name) {
            Some(bucket) => {
                let gained = u64::from(rate.per_minute).saturating_mul(now.0.saturating_sub(bucket.at.0));
                bucket.parts.saturating_add(gained).min(full)
            }
            None => full,
        };
        let Some(left) = parts.checked_sub(wanted) else {
            let ms = (wanted - parts).div_ceil(u64::from(rate.per_minute.max(1)));
            return Err(ms.div_ceil(1000).max(1));
        };
        self.put(name, Bucket { parts: left, at: now }, rate, full);
        Ok(())
    }

    /// Remembers a bucket. Those that have filled up again since are forgotten when there are too many; if none
    /// has, the one that would be full the soonest is.
    fn put(&mut self, name: &str, bucket: Bucket, rate: Rate, full: u64) {
        if self.buckets.len() >= NAMES_MAX && !self.buckets.contains_key(name) {
            let gain = u64::from(rate.per_minute);
            let level =
                |b: &Bucket| b.parts.saturating_add(gain.saturating_mul(bucket.at.0.saturating_sub(b.at.0)));
            self.buckets.retain(|_, b| level(b) < full);
            let fullest = self.buckets.iter().max_by_key(|(_, b)| level(b)).map(|(name, _)| name.clone());
            if self.buckets.len() >= NAMES_MAX
                && let Some(name) = fullest
            {
                self.buckets.remove(&name);
            }
        }
        self.buckets.insert(name.to_owned(), bucket);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const RATE: Rate = Rate { per_minute: 60, burst: 3 };

    #[test]
    fn a_burst_is_allowed_and_then_the_rate() {
        let mut limiter = Limiter::default();
        let cases = [
            (0, 1, Ok(())),
            (0, 2, Ok(())),
            (0, 1, Err(1)),
            (999, 1, Err(1)),
            (1000, 1, Ok(())),
            (1000, 3, Err(3)),
            (4000, 3, Ok(())),
            // More than a burst takes a full bucket.
            (6999, 50, Err(1)),
            (7000, 50, Ok(())),
            // The clock of another VM may lag.
            (0, 1, Err(1)),
        ];
        for (at, count, expected) in cases {
            assert_eq!(limiter.take("ops", count, RATE, Monotonic(at)), expected, "{count} at {at}");
        }
    }

    #[test]
    fn names_have_buckets_of_their_own() {
        let (mut limiter, rate) = (Limiter::default(), Rate { per_minute: 1, burst: 1 });
        assert_eq!(limiter.take("a", 1, rate, Monotonic(0)), Ok(()));
        assert_eq!(limiter.take("b", 1, rate, Monotonic(0)), Ok(()));
        assert_eq!(limiter.take("a", 1, rate, Monotonic(0)), Err(60));
    }

    #[test]
    fn the_number_of_names_is_bounded() {
        let mut limiter = Limiter::default();
        for n in 0..3 * NAMES_MAX as u64 {
            assert_eq!(limiter.take(&format!("name {n}"), 3, RATE, Monotonic(n / 100)), Ok(()));
            assert!(limiter.buckets.len() <= NAMES_MAX);
        }
    }

    #[test]
    fn a_rate_of_zero_still_allows_one_command() {
        let (mut limiter, rate) = (Limiter::default(), Rate { per_minute: 0, burst: 0 });
        assert_eq!(limiter.take("a", 1, rate, Monotonic(0)), Ok(()));
        assert!(limiter.take("a", 1, rate, Monotonic(u64::MAX)).is_err());
    }
}
