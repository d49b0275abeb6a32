//! How long a response is fresh and how old it is (RFC 9111 §4.2), and which field says so (RFC 9213).

use core::time::Duration;

use crate::config::Options;
use crate::http::cache_control::{CacheControl, SECONDS_MAX, pragma_says_no_cache, seconds};
use crate::http::{Fields, date, list, structured};
use crate::time::Timestamp;

use super::{LifetimeSource, StoredResponse};

/// The directives that govern a response.
pub(super) struct Control {
    /// The directives.
    pub directives: CacheControl,
    /// Whether they come from a targeted field: then `Cache-Control` and `Expires` count for nothing.
    pub targeted: bool,
}

/// The directives that govern a response: those of the first valid targeted field, else those of `Cache-Control`.
pub(super) fn control(fields: &Fields, options: &Options) -> Control {
    // RFC 9213 §2.2: the first valid, non-empty field of the target list is used, and "the cache MUST ignore" the
    // fields Cache-Control and Expires.
    let targeted = options.targeted.iter().find_map(|name| structured::targeted(&fields.combined(name)?));
    let surrogate = || {
        let lines = fields.get_all("surrogate-control");
        let device = options.surrogate_device.as_deref();
        options.surrogate_control.then(|| CacheControl::parse_surrogate(lines, device)).flatten()
    };
    let own = || CacheControl::parse(fields.get_all("cache-control"));
    match targeted.or_else(surrogate) {
        Some(mut directives) => {
            // What cannot be read here must not let out what is forbidden there.
            if directives.in_doubt {
                directives.restrict(own());
            }
            Control { directives, targeted: true }
        }
        None => {
            let mut directives = own();
            // RFC 9111 §5.4: Pragma is no reliable replacement for Cache-Control in responses. But who says no-cache and
            // nothing else means no lifetime that a cache makes up.
            let is_silent = || fields.get_all("cache-control").flat_map(list::members).next().is_none();
            directives.in_doubt |=
                fields.contains("pragma") && is_silent() && pragma_says_no_cache(fields.get_all("pragma"));
            Control { directives, targeted: false }
        }
    }
}

/// When the response was made: its `Date`, or when it arrived if that is missing or invalid (RFC 9110 §6.6.1).
pub(super) fn date_value(fields: &Fields, response_time: Timestamp) -> Timestamp {
    fields.get("date").and_then(date::parse).unwrap_or(response_time)
}

/// How old the response was when it arrived by its `Date` (§4.2.3 `apparent_age`).
#[must_use]
pub fn apparent_age(fields: &Fields, response_time: Timestamp) -> Duration {
    Duration::from_secs(response_time.secs().saturating_sub(date_value(fields, response_time).secs()))
}

/// By how much the `Date` of a response was in the past when it arrived, if that alone has made it stale: then the clock of
/// its origin is behind, or a cache on the way sends no `Age`.
#[must_use]
pub fn clock_behind(stored: &StoredResponse) -> Option<Duration> {
    let apparent_age = apparent_age(&stored.fields, stored.response_time);
    let by_date = !stored.lifetime.is_zero() && apparent_age >= stored.lifetime;
    (by_date && stored.initial_age == apparent_age).then_some(apparent_age)
}

/// How old the response was when it arrived (§4.2.3 `corrected_initial_age`).
pub(super) fn initial_age(fields: &Fields, request_time: Timestamp, response_time: Timestamp) -> Duration {
    let apparent_age = apparent_age(fields, response_time);
    // §5.1: a cache SHOULD use the first member, and ignore the field if that is invalid.
    let age_value = fields.get("age").and_then(|age| list::members(age).next()).and_then(seconds);
    let corrected_age_value = age_value.unwrap_or_default().saturating_add(response_time.since(request_time));
    apparent_age.max(corrected_age_value)
}

/// The freshness lifetime, rules applied, and where it comes from; none when neither the origin nor a rule nor a heuristic
/// gives one.
pub(super) fn lifetime(
    status: u16,
    fields: &Fields,
    control: &Control,
    response_time: Timestamp,
    options: &Options,
) -> Option<(Duration, LifetimeSource)> {
    given(status, fields, control, response_time, options).or_else(|| {
        let guess =
            || heuristic(fields, response_time, options).map(|guess| (guess, LifetimeSource::Heuristic));
        assignable(status, control).then(guess).flatten().map(|guess| bounded(guess, true, options))
    })
}

/// The freshness lifetime that the origin or a rule gives; none where it would have to be guessed.
pub(super) fn given(
    status: u16,
    fields: &Fields,
    control: &Control,
    response_time: Timestamp,
    options: &Options,
) -> Option<(Duration, LifetimeSource)> {
    let assignable = assignable(status, control);
    let of = |source| move |lifetime| (lifetime, source);
    let by_status = || {
        let found = options.ttl_status.iter().find(|(of, _)| *of == status);
        found.map(|(_, ttl)| (*ttl, LifetimeSource::Status))
    };
    let ruled = || options.ttl.map(of(LifetimeSource::Override)).filter(|_| assignable);
    let by_default = || options.ttl_default.map(of(LifetimeSource::Default)).filter(|_| assignable);
    let base = match explicit(fields, control, response_time) {
        None => by_status().or_else(ruled).or_else(by_default),
        Some(explicit) => Some(ruled().unwrap_or(explicit)),
    };
    base.map(|base| bounded(base, assignable, options))
}

/// §4.2.2: whether a lifetime may be assigned: where the status code is defined as heuristically cacheable, or the
/// response says `public`. We hold rules to the same, so that no rule makes an error page last.
pub(super) fn assignable(status: u16, control: &Control) -> bool {
    heuristically_cacheable(status) || control.directives.public
}

/// A lifetime within the bounds of the rules, and where it comes from then.
fn bounded(
    (base, source): (Duration, LifetimeSource),
    assignable: bool,
    options: &Options,
) -> (Duration, LifetimeSource) {
    let at_least =
        options.ttl_min.filter(|min| assignable && *min > base).map(|min| (min, LifetimeSource::Min));
    let (lifetime, source) = at_least.unwrap_or((base, source));
    let at_most = options.ttl_max.filter(|max| *max < lifetime).map(|max| (max, LifetimeSource::Max));
    at_most.unwrap_or((lifetime, source))
}

/// §4.2.1: `s-maxage`, else `max-age`, else `Expires` less `Date`. Where what cannot be read may have said something else,
/// the response counts as stale: "Caches are encouraged to consider responses that have invalid freshness information
/// [...] to be stale."
pub(super) fn explicit(
    fields: &Fields,
    control: &Control,
    response_time: Timestamp,
) -> Option<(Duration, LifetimeSource)> {
    let directives = &control.directives;
    let of = |source| {
        let source = if control.targeted { LifetimeSource::Targeted } else { source };
        move |lifetime| (lifetime, source)
    };
    let in_doubt = directives.in_doubt.then_some((Duration::ZERO, LifetimeSource::Malformed));
    let of_directive = directives
        .s_maxage
        .map(of(LifetimeSource::SMaxage))
        .or(directives.max_age.map(of(LifetimeSource::MaxAge)));
    of_directive.or(in_doubt).or_else(|| {
        let expires = fields.get("expires").filter(|_| !control.targeted)?;
        // §5.3: an invalid date, "especially including the value 0", is in the past.
        let expires = date::parse(expires).unwrap_or_default();
        Some((expires.since(date_value(fields, response_time)), LifetimeSource::Expires))
    })
}

/// §4.2.2: a part of the time since the response was last modified.
fn heuristic(fields: &Fields, response_time: Timestamp, options: &Options) -> Option<Duration> {
    let unchanged = since_modified(fields, response_time)?;
    let part = unchanged.checked_mul(u32::from(options.heuristics.percent))? / 100;
    (!part.is_zero()).then(|| part.min(options.heuristics.max))
}

fn since_modified(fields: &Fields, response_time: Timestamp) -> Option<Duration> {
    let last_modified = fields.get("last-modified").and_then(date::parse)?;
    Some(date_value(fields, response_time).since(last_modified))
}

/// Whether a response names a window in which it may be served stale.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NamesWindow {
    /// It does, without effect.
    Yes,
    /// It does not.
    No,
}

/// Where nothing but `s-maxage` forbids to serve a response stale: whether it names a window for that. None where something
/// else forbids it, or nothing does.
#[must_use]
pub fn only_s_maxage_forbids_stale(stored: &StoredResponse) -> Option<NamesWindow> {
    let fields = &stored.fields;
    let targeted = fields.iter().filter(|(name, _)| name.ends_with(b"-cache-control"));
    let mut controls: Vec<_> = targeted.filter_map(|(_, value)| structured::targeted(value)).collect();
    controls.push(CacheControl::parse(fields.get_all("cache-control")));
    let is_strict =
        |control: &CacheControl| control.must_revalidate || control.proxy_revalidate || control.in_doubt;
    let names =
        |control: &CacheControl| control.stale_while_revalidate.is_some() || control.stale_if_error.is_some();
    let by_s_maxage = stored.must_revalidate
        && !controls.iter().any(is_strict)
        && controls.iter().any(|control| control.s_maxage.is_some());
    by_s_maxage.then(|| if controls.iter().any(names) { NamesWindow::Yes } else { NamesWindow::No })
}

/// The age that a response which is stale goes out with: past each lifetime that whoever gets it may read in it.
///
/// It may be fresh by its own word: a soft purge has made it stale, or a rule that shortens lifetimes. With its true age
/// browsers, and caches on the way, would keep the old version until that lifetime is over, where no purge reaches them.
#[must_use]
#[cold]
pub fn age_when_stale(stored: &StoredResponse, age: Duration) -> Duration {
    let fields = &stored.fields;
    let of = |control: CacheControl| control.max_age.max(control.s_maxage);
    let date_value = date_value(fields, stored.response_time);
    let expires = fields.get("expires").and_then(date::parse).map(|expires| expires.since(date_value));
    let for_all = of(CacheControl::parse(fields.get_all("cache-control"))).max(expires);
    // §4.2.2: "A typical setting of this fraction might be 10%." Age is in whole seconds.
    let tenth = |unchanged: Duration| Duration::from_secs(unchanged.as_secs().div_ceil(10));
    let for_all = for_all.or_else(|| since_modified(fields, stored.response_time).map(tenth));
    // RFC 9213 §2.2: whom these fields are targeted at they know best.
    let targeted = fields.iter().filter(|(name, _)| name.ends_with(b"-cache-control"));
    let targeted = targeted.filter_map(|(_, value)| structured::targeted(value).and_then(of)).max();
    let surrogate = CacheControl::parse_surrogate(fields.get_all("surrogate-control"), None).and_then(of);
    let longest = for_all.max(targeted).max(surrogate).unwrap_or_default().max(stored.lifetime);
    age.max(longest.min(Duration::from_secs(SECONDS_MAX)))
}

/// The status codes that are defined as heuristically cacheable (RFC 9110 §15.1).
pub(super) fn heuristically_cacheable(status: u16) -> bool {
    matches!(status, 200 | 203 | 204 | 206 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Heuristics;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const T0: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn at(offset: i64) -> String {
        date::format(Timestamp::from_secs(T0.secs().saturating_add_signed(offset)))
    }

    fn secs_of(status: u16, fields: &[(&str, &str)], options: &Options) -> Option<u64> {
        let fields = Fields::from_iter(fields.iter().copied());
        let control = control(&fields, options);
        lifetime(status, &fields, &control, T0, options).map(|(lifetime, _)| lifetime.as_secs())
    }

    #[test]
    fn the_lifetime_is_what_the_first_of_four_sources_says() {
        let (expires, past, modified) = (at(100), at(-100), at(-1000));
        let (expires, past, modified) = (expires.as_str(), past.as_str(), modified.as_str());
        let options = Options::default();
        for (status, fields, expected) in [
            (200, &[][..], None),
            (200, &[("cache-control", "max-age=5")][..], Some(5)),
            (200, &[("cache-control", "max-age=5, s-maxage=7")], Some(7)),
            (200, &[("cache-control", "max-age=0"), ("expires", expires)], Some(0)),
            (200, &[("expires", expires)], Some(100)),
            (200, &[("expires", past)], Some(0)),
            (200, &[("expires", "0")], Some(0)),
            (200, &[("expires", expires), ("date", past)], Some(200)),
            (200, &[("expires", expires), ("last-modified", modified)], Some(100)),
            (200, &[("last-modified", modified)], Some(100)),
            (404, &[("last-modified", modified)], Some(100)),
            (302, &[("last-modified", modified)], None),
            (599, &[("last-modified", modified)], None),
            (599, &[("last-modified", modified), ("cache-control", "public")], Some(100)),
            (599, &[("cache-control", "max-age=5")], Some(5)),
            (200, &[("last-modified", expires)], None),
            // What cannot be read leaves nothing to guess.
            (200, &[("cache-control", "foo bar"), ("expires", expires)], Some(0)),
            (200, &[("cache-control", "foo bar"), ("last-modified", modified)], Some(0)),
            (200, &[("cache-control", "max-age=5, foo bar"), ("expires", expires)], Some(5)),
            (200, &[("cache-control", "public; max-age=0"), ("last-modified", modified)], Some(0)),
            (200, &[("cache-control", "max-age:0"), ("expires", expires)], Some(0)),
            (302, &[("cache-control", "foo bar")], Some(0)),
            (200, &[("pragma", "no-cache"), ("last-modified", modified)], Some(0)),
            (200, &[("pragma", "'No-Cache';"), ("expires", expires)], Some(0)),
            (200, &[("pragma", "no-cache"), ("cache-control", " ,"), ("expires", expires)], Some(0)),
            (200, &[("pragma", "no-cache"), ("cache-control", "max-age=5")], Some(5)),
            (200, &[("pragma", "no-cache"), ("cache-control", "public"), ("expires", expires)], Some(100)),
            (200, &[("pragma", "x"), ("expires", expires)], Some(100)),
        ] {
            assert_eq!(secs_of(status, fields, &options), expected, "{status} {fields:?}");
        }
    }

    #[test]
    fn a_targeted_field_beats_cache_control_and_expires() {
        let expires = at(100);
        let options = Options {
            targeted: vec!["larder-cache-control".into(), "cdn-cache-control".into()],
            surrogate_control: true,
            ..Options::default()
        };
        for (targeted, expected) in [
            (&[("cdn-cache-control", "max-age=60")][..], Some(60)),
            (&[("cdn-cache-control", "max-age=60"), ("larder-cache-control", "max-age=7")], Some(7)),
            (&[("cdn-cache-control", "max-age=60"), ("larder-cache-control", "Invalid")], Some(60)),
            (&[("cdn-cache-control", "")], Some(5)),
            (&[("cdn-cache-control", "public")], None),
            (&[("surrogate-control", "max-age=9")], Some(9)),
            (&[("surrogate-control", "max-age=9"), ("cdn-cache-control", "max-age=60")], Some(60)),
            (&[("surrogate-control", "foo")], Some(5)),
            (&[("surrogate-control", "max-age:60")], Some(0)),
            (&[("surrogate-control", "max-age=60; foo")], Some(5)),
            (&[("cdn-cache-control", "max-age=60; no-store")], Some(60)),
            (&[("cdn-cache-control", "max-age=60 no-store")], Some(5)),
        ] {
            let mut fields = vec![("cache-control", "max-age=5"), ("expires", expires.as_str())];
            fields.extend_from_slice(targeted);
            assert_eq!(secs_of(200, &fields, &options), expected, "{targeted:?}");
        }
    }

    #[test]
    fn rules_override_fill_in_and_bound() {
        let s = |secs| Some(Duration::from_secs(secs));
        let explicit = &[("cache-control", "max-age=50")][..];
        for (options, status, fields, expected) in [
            (Options { ttl: s(9), ..Options::default() }, 200, explicit, Some(9)),
            (Options { ttl: s(9), ..Options::default() }, 200, &[][..], Some(9)),
            (Options { ttl: s(9), ..Options::default() }, 500, &[], None),
            (Options { ttl: s(9), ..Options::default() }, 500, explicit, Some(50)),
            (Options { ttl_default: s(9), ..Options::default() }, 200, explicit, Some(50)),
            (Options { ttl_default: s(9), ..Options::default() }, 200, &[], Some(9)),
            (Options { ttl_default: s(9), ..Options::default() }, 302, &[], None),
            (Options { ttl_min: s(60), ..Options::default() }, 200, explicit, Some(60)),
            (Options { ttl_min: s(60), ..Options::default() }, 503, explicit, Some(50)),
            (Options { ttl_min: s(60), ..Options::default() }, 200, &[], None),
            (Options { ttl_max: s(10), ..Options::default() }, 200, explicit, Some(10)),
            (
                Options { ttl_status: vec![(503, Duration::from_secs(2))], ..Options::default() },
                503,
                &[],
                Some(2),
            ),
            (
                Options { ttl_status: vec![(503, Duration::from_secs(2))], ..Options::default() },
                503,
                explicit,
                Some(50),
            ),
        ] {
            assert_eq!(secs_of(status, fields, &options), expected, "{options:?} {status} {fields:?}");
        }
    }

    #[test]
    fn it_is_known_where_a_lifetime_comes_from() {
        let s = |secs| Some(Duration::from_secs(secs));
        let (expires, modified) = (at(100), at(-1000));
        let (expires, modified) = (("expires", expires.as_str()), ("last-modified", modified.as_str()));
        let (max_age, plain) = (("cache-control", "max-age=50"), Options::default());
        let ttl = |secs| Options { ttl: s(secs), ..Options::default() };
        let (min, max) = (Some(s(60)), Some(s(10)));
        let within = |min: Option<_>, max: Option<_>| Options {
            ttl_min: min.flatten(),
            ttl_max: max.flatten(),
            ..Options::default()
        };
        let default = Options { ttl_default: s(9), ..Options::default() };
        let by_status = Options { ttl_status: vec![(302, Duration::from_secs(2))], ..Options::default() };
        for (status, fields, options, expected) in [
            (200, &[][..], &plain, None),
            (200, &[max_age, expires], &plain, Some(LifetimeSource::MaxAge)),
            (200, &[("cache-control", "max-age=50, s-maxage=5")], &plain, Some(LifetimeSource::SMaxage)),
            (200, &[max_age, ("cdn-cache-control", "max-age=5")], &plain, Some(LifetimeSource::Targeted)),
            (200, &[expires, modified], &plain, Some(LifetimeSource::Expires)),
            (200, &[expires, ("cache-control", "foo bar")], &plain, Some(LifetimeSource::Malformed)),
            (200, &[modified], &plain, Some(LifetimeSource::Heuristic)),
            (200, &[max_age], &ttl(9), Some(LifetimeSource::Override)),
            (200, &[], &ttl(9), Some(LifetimeSource::Override)),
            (500, &[max_age], &ttl(9), Some(LifetimeSource::MaxAge)),
            (200, &[modified], &default, Some(LifetimeSource::Default)),
            (302, &[], &by_status, Some(LifetimeSource::Status)),
            (200, &[max_age], &within(min, None), Some(LifetimeSource::Min)),
            (200, &[max_age], &within(None, max), Some(LifetimeSource::Max)),
            (200, &[max_age], &within(max, min), Some(LifetimeSource::MaxAge)),
        ] {
            let fields = Fields::from_iter(fields.iter().copied());
            let found = lifetime(status, &fields, &control(&fields, options), T0, options);
            assert_eq!(found.map(|(_, source)| source), expected, "{status} {fields:?}");
        }
    }

    #[test]
    fn a_clock_that_is_behind_is_distinguished_from_an_old_response() {
        for (date, age, lifetime, behind) in [
            (-90, None, 60, Some(90)),
            (-90, Some("5"), 60, Some(90)),
            (-90, Some("90"), 60, Some(90)),
            (-90, Some("100"), 60, None),
            (0, Some("100"), 60, None),
            (-59, None, 60, None),
            (-90, None, 0, None),
            (-90, None, 600, None),
        ] {
            let date = at(date);
            let fields = [("date", date.as_str())].into_iter().chain(age.map(|age| ("age", age)));
            let fields = Fields::from_iter(fields);
            let initial_age = initial_age(&fields, T0, T0);
            let lifetime = Duration::from_secs(lifetime);
            let stored = StoredResponse {
                fields,
                response_time: T0,
                initial_age,
                lifetime,
                ..StoredResponse::default()
            };
            assert_eq!(clock_behind(&stored), behind.map(Duration::from_secs), "{:?}", stored.fields);
        }
    }

    #[test]
    fn heuristics_can_be_tuned_and_turned_off() {
        let modified = at(-1000);
        let fields = &[("last-modified", modified.as_str())];
        let with = |percent, max| Options {
            heuristics: Heuristics { percent, max: Duration::from_secs(max) },
            ..Options::default()
        };
        assert_eq!(secs_of(200, fields, &with(20, 3600)), Some(200));
        assert_eq!(secs_of(200, fields, &with(20, 60)), Some(60));
        assert_eq!(secs_of(200, fields, &with(0, 60)), None);
    }

    #[test]
    fn a_stale_response_has_an_age_beyond_every_lifetime() {
        let (expires, modified, date) = (at(100), at(-1000), at(0));
        let (expires, modified) = (expires.as_str(), modified.as_str());
        for (fields, lifetime, age, expected) in [
            (&[("cache-control", "max-age=60")][..], 60, 1, 60),
            (&[("cache-control", "max-age=60")], 60, 75, 75),
            (&[("cache-control", "max-age=600")], 10, 15, 600),
            (&[("cache-control", "max-age=60")], 600, 15, 600),
            (&[("cache-control", "max-age=60, s-maxage=10")], 10, 15, 60),
            (&[("cache-control", "s-maxage=600, max-age=0")], 600, 15, 600),
            (&[("cache-control", "max-age=60"), ("expires", expires)], 60, 1, 100),
            (&[("expires", expires)], 100, 1, 100),
            (&[("expires", "0")], 0, 1, 1),
            (&[("last-modified", modified)], 10, 15, 100),
            (&[("cache-control", "max-age=60"), ("last-modified", modified)], 60, 15, 60),
            (&[("cache-control", "public"), ("last-modified", modified)], 100, 1, 100),
            (&[("cache-control", "max-age=60"), ("cdn-cache-control", "max-age=300")], 300, 1, 300),
            (&[("cache-control", "max-age=60"), ("x-cache-control", "max-age=300;a=1")], 60, 1, 300),
            (&[("cache-control", "max-age=60"), ("surrogate-control", "max-age=300+60")], 60, 1, 300),
            (&[("cache-control", "max-age=99999999999")], 60, 1, SECONDS_MAX),
            (&[], 60, 1, 60),
        ] {
            let fields = fields.iter().copied().chain([("date", date.as_str())]).collect();
            let lifetime = Duration::from_secs(lifetime);
            let stored = StoredResponse { response_time: T0, fields, lifetime, ..StoredResponse::default() };
            let age = age_when_stale(&stored, Duration::from_secs(age));
            assert_eq!(age, Duration::from_secs(expected), "{:?}", stored.fields);
        }
    }

    #[test]
    fn the_initial_age_takes_the_greater_of_what_date_and_age_say() {
        let (now, old, ahead) = (at(0), at(-30), at(30));
        for (fields, delay_ms, expected_ms) in [
            (&[("date", now.as_str())][..], 0, 0),
            (&[("date", old.as_str())], 0, 30_000),
            (&[("date", ahead.as_str())], 0, 0),
            (&[("date", now.as_str()), ("age", "60")], 1500, 61_500),
            (&[("date", old.as_str()), ("age", "10")], 1500, 30_000),
            (&[("age", "7200,0")], 0, 7_200_000),
            (&[("age", "0, 7200")], 0, 0),
            (&[("age", "5"), ("age", "7")], 0, 5_000),
            (&[("age", "abc")], 10, 10),
            (&[("age", "-7200")], 0, 0),
            (&[], 250, 250),
        ] {
            let fields = Fields::from_iter(fields.iter().copied());
            let age = initial_age(&fields, Timestamp(T0.0 - delay_ms), T0);
            assert_eq!(age, Duration::from_millis(expected_ms), "{fields:?}");
        }
    }
}
