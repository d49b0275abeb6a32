//! When a popular response is refreshed before it expires, so that no request has to wait for the refresh:
//! probabilistic early expiration (Vattani, Chierichetti, Lowenstein: Optimal Probabilistic Cache Stampede Prevention,
//! 2015, known as XFetch).
//!
//! Each request draws whether it has the response refreshed: the more likely the less time is left, counted in what the
//! last fetch took. So a response that is asked for often is refreshed early enough, one that hardly anybody asks for
//! is not, and nobody has to count requests. Chance is an argument, like time.

use core::time::Duration;

use super::StoredResponse;

/// Draws begin this many costs before the end: earlier ones would succeed once in three thousand times.
const COSTS: u32 = 8;
/// What a fetch costs at the least: it is dispatched by way of a queue, and clocks count milliseconds.
const COST_MIN: Duration = Duration::from_millis(10);

/// How long before a response expires draws begin, for a fetch that took so long. `percent` is the eagerness (β of
/// XFetch, times 100); however eager, nothing is refreshed in the first half of its time.
pub(super) fn window(cost: Duration, percent: u32, fresh_for: Duration) -> Duration {
    let whole = cost.max(COST_MIN).saturating_mul(COSTS).saturating_mul(percent) / 100;
    whole.min(fresh_for / 2)
}

/// Whether a request has a response refreshed that stays fresh for another `ttl`. `chance` is the request's own number,
/// any as likely as any other.
#[must_use]
pub fn is_due(stored: &StoredResponse, ttl: Duration, chance: impl FnOnce() -> u64) -> bool {
    ttl < stored.refresh_ahead && {
        // Evenly distributed over what is above 0 and at most 1.
        let part = ((chance() >> 11) + 1) as f64 / (1u64 << 53) as f64;
        stored.refresh_ahead.as_secs_f64() / f64::from(COSTS) * -part.ln() >= ttl.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::flights::mixed;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn draws_begin_eight_costs_before_the_end_but_never_in_the_first_half() {
        for (cost, percent, fresh_for, expected) in [
            (50, 100, 60_000, 400),
            (50, 200, 60_000, 800),
            (50, 0, 60_000, 0),
            (0, 100, 60_000, 80),
            (5_000, 100, 60_000, 30_000),
            (50, 100, 100, 50),
            (50, 100, 0, 0),
        ] {
            assert_eq!(
                window(MS(cost), percent, MS(fresh_for)),
                MS(expected),
                "{cost} {percent} {fresh_for}"
            );
        }
    }

    #[test]
    fn a_refresh_is_as_likely_as_xfetch_has_it() {
        let stored = StoredResponse { refresh_ahead: MS(800), ..StoredResponse::default() };
        for (ttl, per_thousand) in [(0, 1000), (10, 905), (100, 368), (200, 135), (400, 18), (800, 0)] {
            let due = (0..20_000).filter(|n| is_due(&stored, MS(ttl), || mixed(*n))).count();
            assert!(due.abs_diff(per_thousand * 20) < 250, "{due} of 20000 with {ttl} ms left");
        }
        assert!(!is_due(&StoredResponse::default(), MS(0), || 0));
    }
}
