//! When a stored response may answer a request (RFC 9111 §4, §4.2.4, §5.2.1, RFC 5861, RFC 8246).

use core::time::Duration;

use crate::config::Options;
use crate::http::RequestHead;
use crate::http::cache_control::RequestCacheControl;
use crate::outcome::{ForwardReason, StaleReason};
use crate::time::Timestamp;

use super::request::directives;
use super::{Invalidated, StoredResponse, implied, partial};

/// What may be done with a stored response.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reuse {
    /// It answers.
    Fresh {
        /// Its current age (§4.2.3).
        age: Duration,
        /// How long it stays fresh.
        ttl: Duration,
    },
    /// It answers though it is stale.
    Stale {
        /// Its current age.
        age: Duration,
        /// How long ago it became stale, in seconds, as a negative number.
        ttl: i64,
        /// What allows that.
        reason: StaleReason,
        /// Whether it has to be refreshed.
        refresh: bool,
    },
    /// It does not answer without asking the origin.
    Validate(ForwardReason),
}

/// Whether a stored response, whose variant matches, may answer a request.
#[must_use]
pub fn reuse(
    stored: &StoredResponse,
    request: &RequestHead,
    options: &Options,
    invalidated: Invalidated,
    now: Timestamp,
) -> Reuse {
    if implied::lacks_origin(stored, request) {
        return Reuse::Validate(ForwardReason::VaryMiss);
    }
    if stored.range.is_some() && partial::covered(stored, request).is_none() {
        return Reuse::Validate(ForwardReason::Partial);
    }
    if invalidated == Invalidated::Revalidate {
        return Reuse::Validate(ForwardReason::Invalidated);
    }
    if stored.no_cache {
        return Reuse::Validate(ForwardReason::Stale);
    }
    let wants = directives(request, options).unwrap_or_default();
    // §5.2.1.4
    if wants.no_cache {
        return Reuse::Validate(ForwardReason::Request);
    }
    let age = current_age(stored, now);
    match staleness(stored, age, invalidated, now) {
        None => fresh(stored, &wants, age),
        Some(staleness) => stale(stored, &wants, invalidated, age, staleness),
    }
}

/// What the origin is in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// It has failed to answer (RFC 5861 §4).
    Failed,
    /// It is taken to be down, and is not asked.
    Down,
}

/// Whether a stored response may answer a request because the origin is in trouble.
///
/// The window is the stored response's, or the request's own where that is longer: §4.2.4 lets the client permit what
/// no directive of the response prohibits. An error of the server's own is no better than the one that it would hide.
#[must_use]
pub fn in_trouble(
    stored: &StoredResponse,
    trouble: Trouble,
    request: &RequestHead,
    options: &Options,
    invalidated: Invalidated,
    now: Timestamp,
) -> Option<Reuse> {
    let lacks_part = stored.range.is_some() && partial::covered(stored, request).is_none();
    let asks = stored.no_cache || invalidated == Invalidated::Revalidate;
    if lacks_part || asks || stored.is_server_error() || implied::lacks_origin(stored, request) {
        return None;
    }
    let (window, reason) = match trouble {
        Trouble::Failed => (stored.stale_if_error, StaleReason::IfError),
        Trouble::Down => (stored.stale_if_error.max(stored.stale_if_down), StaleReason::IfDown),
    };
    let wanted = directives(request, options).and_then(|wants| wants.stale_if_error);
    let permitted = wanted.filter(|_| !stored.must_revalidate).unwrap_or_default();
    let age = current_age(stored, now);
    let staleness = staleness(stored, age, invalidated, now).unwrap_or_default();
    (staleness < window.max(permitted)).then(|| Reuse::Stale {
        age,
        ttl: past(staleness),
        reason,
        refresh: false,
    })
}

/// Until when a stored response is worth keeping: past that it neither answers nor is worth validating.
#[must_use]
pub fn expires(stored: &StoredResponse) -> Timestamp {
    let on_error = stored.stale_if_error.max(stored.stale_if_down);
    let windows = stored.stale_while_revalidate.max(on_error).max(stored.soft_purge_grace);
    let kept = stored.lifetime.saturating_add(windows).saturating_add(stored.keep);
    stored.response_time.after(kept.saturating_sub(stored.initial_age))
}

/// §4.2.3: the age on arrival and the time since.
#[must_use]
pub fn current_age(stored: &StoredResponse, now: Timestamp) -> Duration {
    stored.initial_age.saturating_add(now.since(stored.response_time))
}

/// For how long it has been stale, by its age or because it was soft purged; none when it is fresh.
fn staleness(
    stored: &StoredResponse,
    age: Duration,
    invalidated: Invalidated,
    now: Timestamp,
) -> Option<Duration> {
    // §4.2: "response_is_fresh = (freshness_lifetime > current_age)"
    let by_age = age.checked_sub(stored.lifetime);
    let by_purge = match invalidated {
        Invalidated::No | Invalidated::Revalidate => None,
        Invalidated::Soft { at } => Some(now.since(at)),
    };
    by_age.max(by_purge)
}

fn fresh(stored: &StoredResponse, wants: &RequestCacheControl, age: Duration) -> Reuse {
    let ttl = stored.lifetime.saturating_sub(age);
    // §5.2.1.1. A reload says `max-age=0` and wants the origin to be asked, even about what arrived just now. What is
    // immutable does not change while fresh (RFC 8246 §2), so such a wish is void; `no-cache` is not.
    let too_old = wants.max_age.is_some_and(|max| age > max || max.is_zero()) && !stored.immutable;
    // §5.2.1.3
    if too_old || wants.min_fresh.is_some_and(|min| ttl < min) {
        return Reuse::Validate(ForwardReason::Request);
    }
    Reuse::Fresh { age, ttl }
}

fn stale(
    stored: &StoredResponse,
    wants: &RequestCacheControl,
    invalidated: Invalidated,
    age: Duration,
    staleness: Duration,
) -> Reuse {
    let ttl = past(staleness);
    let purged = invalidated != Invalidated::No;
    let served = |reason, refresh| Reuse::Stale { age, ttl, reason, refresh };
    let validate = Reuse::Validate(if purged { ForwardReason::Invalidated } else { ForwardReason::Stale });
    // §5.2.1.3: what has to stay fresh for a while cannot be stale, whatever else is accepted.
    if wants.min_fresh.is_some() {
        return validate;
    }
    // §5.2.1.2. It speaks of responses that have exceeded their lifetime, not of purged ones.
    if let Some(max_stale) = wants.max_stale {
        let young = wants.max_age.is_none_or(|max| age <= max);
        if !purged && !stored.must_revalidate && young && staleness <= max_stale {
            return served(StaleReason::MaxStale, staleness < stored.stale_while_revalidate);
        }
    } else if wants.max_age.is_some() {
        // §5.2.1.1: "Unless the max-stale request directive is also present, the client does not wish to receive a
        // stale response."
        return validate;
    }
    // By the origin's word a soft purged response may still be fresh: then only the purge makes it stale, and no
    // directive forbids its grace.
    if purged && age < stored.lifetime && staleness < stored.soft_purge_grace {
        return served(StaleReason::SoftPurged, true);
    }
    if !stored.must_revalidate && staleness < stored.stale_while_revalidate {
        return served(StaleReason::WhileRevalidate, true);
    }
    validate
}

fn past(staleness: Duration) -> i64 {
    -i64::try_from(staleness.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RequestDirectives;
    use crate::http::Fields;
    use crate::policy::LifetimeSource;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const T0: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn stored() -> StoredResponse {
        StoredResponse {
            status: 200,
            fields: Fields::new(),
            response_time: T0,
            initial_age: Duration::ZERO,
            lifetime: Duration::from_secs(60),
            lifetime_from: LifetimeSource::MaxAge,
            stale_while_revalidate: Duration::from_secs(10),
            stale_if_error: Duration::from_secs(20),
            soft_purge_grace: Duration::from_secs(30),
            stale_if_down: Duration::ZERO,
            refresh_ahead: Duration::ZERO,
            keep: Duration::from_secs(100),
            must_revalidate: false,
            no_cache: false,
            immutable: false,
            vary: Vec::new(),
            range: None,
        }
    }

    fn ask(stored: &StoredResponse, control: &str, invalidated: Invalidated, secs: u64) -> String {
        let fields = Fields::from_iter(Some(("cache-control", control)).filter(|_| !control.is_empty()));
        let request = RequestHead { fields, has_body: false };
        say(reuse(stored, &request, &Options::default(), invalidated, T0.after(Duration::from_secs(secs))))
    }

    fn say(reuse: Reuse) -> String {
        match reuse {
            Reuse::Fresh { age, ttl } => format!("fresh {} {}", age.as_secs(), ttl.as_secs()),
            Reuse::Stale { age, ttl, reason, refresh } => {
                format!(
                    "{} {} {ttl}{}",
                    reason.as_str(),
                    age.as_secs(),
                    if refresh { " refresh" } else { "" }
                )
            }
            Reuse::Validate(why) => why.as_str().to_owned(),
        }
    }

    #[test]
    fn a_response_is_fresh_then_stale_then_validated() {
        for (secs, expected) in [
            (0, "fresh 0 60"),
            (59, "fresh 59 1"),
            (60, "stale-while-revalidate 60 0 refresh"),
            (69, "stale-while-revalidate 69 -9 refresh"),
            (70, "stale"),
        ] {
            assert_eq!(ask(&stored(), "", Invalidated::No, secs), expected, "{secs}");
        }
    }

    #[test]
    fn a_clock_that_went_back_makes_nothing_younger_than_on_arrival() {
        let stored = StoredResponse { initial_age: Duration::from_secs(59), ..stored() };
        let request = RequestHead::default();
        let reused = reuse(&stored, &request, &Options::default(), Invalidated::No, Timestamp(0));
        assert_eq!(say(reused), "fresh 59 1");
    }

    #[test]
    fn what_says_so_is_never_served_stale_nor_without_validation() {
        let strict = StoredResponse {
            must_revalidate: true,
            stale_while_revalidate: Duration::ZERO,
            stale_if_error: Duration::ZERO,
            stale_if_down: Duration::ZERO,
            ..stored()
        };
        assert_eq!(ask(&strict, "", Invalidated::No, 59), "fresh 59 1");
        assert_eq!(ask(&strict, "", Invalidated::No, 60), "stale");
        assert_eq!(ask(&strict, "max-stale", Invalidated::No, 60), "stale");
        assert_eq!(ask(&StoredResponse { no_cache: true, ..stored() }, "", Invalidated::No, 0), "stale");
    }

    #[test]
    fn request_directives_ask_for_something_newer_or_allow_something_older() {
        for (control, secs, expected) in [
            ("no-cache", 0, "request"),
            ("max-age=0", 0, "request"),
            ("max-age=5", 5, "fresh 5 55"),
            ("max-age=5", 6, "request"),
            ("min-fresh=60", 0, "fresh 0 60"),
            ("min-fresh=60", 1, "request"),
            ("no-store", 1, "fresh 1 59"),
            ("only-if-cached", 1, "fresh 1 59"),
            ("max-stale=20", 80, "max-stale 80 -20"),
            ("max-stale=20", 65, "max-stale 65 -5 refresh"),
            ("max-stale=20", 81, "stale"),
            ("max-stale", 9999, "max-stale 9999 -9939"),
            ("max-age=1000", 65, "stale"),
            ("max-age=1000, max-stale=20", 80, "max-stale 80 -20"),
            ("max-age=70, max-stale=20", 80, "stale"),
            ("min-fresh=10, max-stale=20", 65, "stale"),
        ] {
            assert_eq!(ask(&stored(), control, Invalidated::No, secs), expected, "{control} after {secs}");
        }
    }

    #[test]
    fn request_directives_can_be_ignored() {
        let fields = Fields::from_iter([("cache-control", "no-cache, max-age=0, max-stale")]);
        let request = RequestHead { fields, has_body: false };
        for (request_directives, late) in [
            (RequestDirectives::IgnoreRevalidation, "max-stale 80 -20"),
            (RequestDirectives::Ignore, "stale"),
        ] {
            let options = Options { request_directives, ..Options::default() };
            let at = |secs| {
                say(reuse(
                    &stored(),
                    &request,
                    &options,
                    Invalidated::No,
                    T0.after(Duration::from_secs(secs)),
                ))
            };
            assert_eq!((at(1).as_str(), at(80).as_str()), ("fresh 1 59", late));
        }
    }

    #[test]
    fn a_reload_does_not_validate_what_is_immutable() {
        let immutable = StoredResponse { immutable: true, ..stored() };
        assert_eq!(ask(&immutable, "max-age=0", Invalidated::No, 9), "fresh 9 51");
        assert_eq!(ask(&immutable, "no-cache", Invalidated::No, 9), "request");
        assert_eq!(ask(&immutable, "max-age=0", Invalidated::No, 60), "stale");
    }

    #[test]
    fn a_soft_purged_response_is_served_within_its_grace() {
        let soft = |secs| Invalidated::Soft { at: T0.after(Duration::from_secs(secs)) };
        for (at, secs, expected) in [
            (5, 5, "soft-purged 5 0 refresh"),
            (5, 34, "soft-purged 34 -29 refresh"),
            (5, 35, "invalidated"),
            (50, 65, "invalidated"),
            (59, 65, "stale-while-revalidate 65 -6 refresh"),
            (65, 66, "stale-while-revalidate 66 -6 refresh"),
        ] {
            assert_eq!(ask(&stored(), "", soft(at), secs), expected, "purged at {at}, asked at {secs}");
        }
        assert_eq!(ask(&stored(), "", Invalidated::Soft { at: Timestamp(0) }, 1), "invalidated");
        assert_eq!(ask(&stored(), "max-stale", soft(1), 40), "invalidated");
        assert_eq!(ask(&stored(), "max-age=0", soft(1), 2), "invalidated");
        assert_eq!(ask(&stored(), "", Invalidated::Revalidate, 0), "invalidated");
        let strict = StoredResponse { must_revalidate: true, ..stored() };
        assert_eq!(ask(&strict, "", soft(5), 6), "soft-purged 6 -1 refresh");
        assert_eq!(ask(&strict, "", soft(59), 60), "invalidated");
    }

    fn helps(stored: &StoredResponse, trouble: Trouble, asked: &str, soft: Invalidated, secs: u64) -> String {
        let fields = Fields::from_iter([("cache-control", asked)]);
        let request = RequestHead { fields, has_body: false };
        let now = T0.after(Duration::from_secs(secs));
        in_trouble(stored, trouble, &request, &Options::default(), soft, now).map_or_else(|| "no".into(), say)
    }

    #[test]
    fn an_origin_in_trouble_opens_a_window_of_its_own() {
        use Trouble::{Down, Failed};
        let (plain, no_cache) = (stored(), StoredResponse { no_cache: true, ..stored() });
        let longer = StoredResponse { stale_if_down: Duration::from_secs(30), ..stored() };
        let (missing, error) =
            (StoredResponse { status: 410, ..stored() }, StoredResponse { status: 503, ..stored() });
        let soft = Invalidated::Soft { at: T0.after(Duration::from_secs(30)) };
        for (stored, trouble, invalidated, secs, expected) in [
            (&plain, Failed, Invalidated::No, 79, "stale-if-error 79 -19"),
            (&plain, Failed, Invalidated::No, 80, "no"),
            (&plain, Down, Invalidated::No, 79, "stale-if-down 79 -19"),
            (&plain, Down, Invalidated::No, 80, "no"),
            (&longer, Failed, Invalidated::No, 80, "no"),
            (&longer, Down, Invalidated::No, 89, "stale-if-down 89 -29"),
            (&longer, Down, Invalidated::No, 90, "no"),
            (&plain, Failed, soft, 49, "stale-if-error 49 -19"),
            (&plain, Failed, soft, 50, "no"),
            (&plain, Failed, Invalidated::Revalidate, 1, "no"),
            (&longer, Down, Invalidated::Revalidate, 1, "no"),
            (&no_cache, Failed, Invalidated::No, 1, "no"),
            (&missing, Failed, Invalidated::No, 79, "stale-if-error 79 -19"),
            (&error, Failed, Invalidated::No, 61, "no"),
            (&error, Down, Invalidated::No, 61, "no"),
        ] {
            assert_eq!(helps(stored, trouble, "", invalidated, secs), expected, "{invalidated:?} {secs}");
        }
    }

    #[test]
    fn a_client_may_permit_more_when_the_origin_fails() {
        let (plain, no_cache) = (stored(), StoredResponse { no_cache: true, ..stored() });
        let strict = StoredResponse { must_revalidate: true, stale_if_error: Duration::ZERO, ..stored() };
        let part = StoredResponse { range: Some((0, 9, Some(20))), ..stored() };
        let error = StoredResponse { status: 500, ..stored() };
        for (stored, control, secs, expected) in [
            (&plain, "", 79, "stale-if-error 79 -19"),
            (&plain, "", 80, "no"),
            (&plain, "stale-if-error=30", 89, "stale-if-error 89 -29"),
            (&plain, "stale-if-error=30", 90, "no"),
            (&plain, "stale-if-error=5", 79, "stale-if-error 79 -19"),
            (&strict, "stale-if-error=30", 61, "no"),
            (&no_cache, "stale-if-error=30", 61, "no"),
            (&error, "stale-if-error=30", 61, "no"),
            (&part, "", 61, "no"),
        ] {
            let found = helps(stored, Trouble::Failed, control, Invalidated::No, secs);
            assert_eq!(found, expected, "{control} {secs}");
        }
        let fields = Fields::from_iter([(":method", "GET"), ("range", "bytes=3-4")]);
        let request = RequestHead { fields, has_body: false };
        let now = T0.after(Duration::from_secs(61));
        let (options, invalidated) = (Options::default(), Invalidated::No);
        assert!(in_trouble(&part, Trouble::Failed, &request, &options, invalidated, now).is_some());
    }

    #[test]
    fn a_response_is_kept_for_its_lifetime_its_longest_window_and_its_validators() {
        let stored = StoredResponse { initial_age: Duration::from_secs(15), ..stored() };
        assert_eq!(expires(&stored), T0.after(Duration::from_secs(60 + 30 + 100 - 15)));
        let forever = StoredResponse { keep: Duration::MAX, ..stored };
        assert_eq!(expires(&forever), Timestamp(u64::MAX));
    }
}
