//! `Cache-Control` (RFC 9111 §5.2) and what is written like it: directives become types, once.
//!
//! A lifetime that cannot be read is zero (§4.2.1: caches are encouraged to consider such responses stale); of
//! several the first counts (§4.2.1). What a directive leads to is not decided here.

use core::time::Duration;

use super::list;

/// §1.2.2: what a number of seconds counts as when it is greater than a cache can represent.
pub const SECONDS_MAX: u64 = 1 << 31;

/// To which part of a response `no-cache` or `private` applies.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Part {
    /// To nothing: the directive is absent.
    #[default]
    None,
    /// To the fields that are named, in lower case (the qualified form).
    Fields(Vec<String>),
    /// To all of it.
    All,
}

/// The directives of a response (§5.2.2, RFC 5861, RFC 8246).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CacheControl {
    /// `max-age`.
    pub max_age: Option<Duration>,
    /// `s-maxage`.
    pub s_maxage: Option<Duration>,
    /// `no-store`.
    pub no_store: bool,
    /// `no-cache`.
    pub no_cache: Part,
    /// `private`.
    pub private: Part,
    /// `public`.
    pub public: bool,
    /// `must-revalidate`.
    pub must_revalidate: bool,
    /// `proxy-revalidate`.
    pub proxy_revalidate: bool,
    /// `must-understand`.
    pub must_understand: bool,
    /// `immutable` (RFC 8246).
    pub immutable: bool,
    /// `stale-while-revalidate` (RFC 5861 §3).
    pub stale_while_revalidate: Option<Duration>,
    /// `stale-if-error` (RFC 5861 §4).
    pub stale_if_error: Option<Duration>,
}

impl CacheControl {
    /// Reads all lines of the field.
    #[must_use]
    pub fn parse<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut control = CacheControl::default();
        for member in lines.flat_map(list::members) {
            let (name, argument) = directive(member);
            control.directive(name, argument.as_deref());
        }
        control
    }

    /// Reads `Surrogate-Control` (W3C Edge Architecture §2.2): `max-age=60+30` allows 30 seconds stale. Directives for
    /// a named device are for us when it is our name, and then come before those for everyone. None when no directive
    /// remains.
    #[must_use]
    pub fn parse_surrogate<'a>(
        lines: impl Iterator<Item = &'a [u8]> + Clone,
        device: Option<&str>,
    ) -> Option<Self> {
        let mut control = CacheControl::default();
        for targeted in [true, false] {
            for member in lines.clone().flat_map(list::members) {
                let mut parts = list::parameters(member);
                let Some(member) = parts.next() else { continue };
                let concerns_us = match (parts.next(), parts.next()) {
                    (None, _) => !targeted,
                    (Some(name), None) => targeted && device.is_some_and(|device| name == device.as_bytes()),
                    (Some(_), Some(_)) => false,
                };
                if concerns_us {
                    control.surrogate_directive(member);
                }
            }
        }
        (control != CacheControl::default()).then_some(control)
    }

    fn surrogate_directive(&mut self, member: &[u8]) {
        let (name, argument) = directive(member);
        if name.eq_ignore_ascii_case(b"max-age") {
            if self.max_age.is_none() {
                self.surrogate_max_age(argument.as_deref());
            }
        } else {
            self.directive(name, argument.as_deref());
        }
    }

    fn surrogate_max_age(&mut self, argument: Option<&[u8]>) {
        let mut parts = argument.unwrap_or_default().splitn(2, |b| *b == b'+');
        self.directive(b"max-age", parts.next());
        if let Some(stale) = parts.next() {
            self.directive(b"stale-while-revalidate", Some(stale));
            self.directive(b"stale-if-error", Some(stale));
        }
    }

    /// Adds one directive; its name in any case, its argument without quotes.
    pub fn directive(&mut self, name: &[u8], argument: Option<&[u8]>) {
        let is = |directive: &str| name.eq_ignore_ascii_case(directive.as_bytes());
        let lifetime = || argument.and_then(seconds).unwrap_or_default();
        if is("max-age") {
            self.max_age.get_or_insert_with(lifetime);
        } else if is("s-maxage") {
            self.s_maxage.get_or_insert_with(lifetime);
        } else if is("stale-while-revalidate") {
            self.stale_while_revalidate.get_or_insert_with(lifetime);
        } else if is("stale-if-error") {
            self.stale_if_error.get_or_insert_with(lifetime);
        } else if is("no-cache") {
            self.no_cache.add(argument);
        } else if is("private") {
            self.private.add(argument);
        } else {
            self.flag(name);
        }
    }

    fn flag(&mut self, name: &[u8]) {
        for (directive, flag) in [
            ("no-store", &mut self.no_store),
            ("public", &mut self.public),
            ("must-revalidate", &mut self.must_revalidate),
            ("proxy-revalidate", &mut self.proxy_revalidate),
            ("must-understand", &mut self.must_understand),
            ("immutable", &mut self.immutable),
        ] {
            *flag |= name.eq_ignore_ascii_case(directive.as_bytes());
        }
    }
}

impl Part {
    /// Adds what one more occurrence of the directive covers; without field names it covers everything.
    fn add(&mut self, argument: Option<&[u8]>) {
        let names: Vec<String> =
            argument.map(|argument| list::members(argument).map(lower_case).collect()).unwrap_or_default();
        match self {
            _ if names.is_empty() => *self = Part::All,
            Part::All => {}
            Part::None => *self = Part::Fields(names),
            Part::Fields(fields) => fields.extend(names),
        }
    }
}

/// The directives of a request (§5.2.1).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RequestCacheControl {
    /// `max-age`.
    pub max_age: Option<Duration>,
    /// `max-stale`; without an argument any staleness will do.
    pub max_stale: Option<Duration>,
    /// `min-fresh`.
    pub min_fresh: Option<Duration>,
    /// `no-cache`.
    pub no_cache: bool,
    /// `no-store`.
    pub no_store: bool,
    /// `only-if-cached`.
    pub only_if_cached: bool,
    /// `stale-if-error` (RFC 5861 §4).
    pub stale_if_error: Option<Duration>,
}

impl RequestCacheControl {
    /// Reads all lines of the field.
    #[must_use]
    pub fn parse<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut control = RequestCacheControl::default();
        for member in lines.flat_map(list::members) {
            let (name, argument) = directive(member);
            control.directive(name, argument.as_deref());
        }
        control
    }

    fn directive(&mut self, name: &[u8], argument: Option<&[u8]>) {
        let is = |directive: &str| name.eq_ignore_ascii_case(directive.as_bytes());
        if is("max-age") {
            self.max_age.get_or_insert_with(|| argument.and_then(seconds).unwrap_or_default());
        } else if is("max-stale") {
            self.max_stale = self.max_stale.or(match argument {
                None => Some(Duration::MAX),
                Some(argument) => seconds(argument),
            });
        } else if is("min-fresh") {
            self.min_fresh = self.min_fresh.or(argument.and_then(seconds));
        } else if is("stale-if-error") {
            self.stale_if_error = self.stale_if_error.or(argument.and_then(seconds));
        } else if is("no-cache") {
            self.no_cache = true;
        } else if is("no-store") {
            self.no_store = true;
        } else if is("only-if-cached") {
            self.only_if_cached = true;
        }
    }
}

/// The name and the argument of a directive. White space at the `=` is against the grammar: it makes the argument
/// unreadable, which every directive takes for the more restrictive.
fn directive(member: &[u8]) -> (&[u8], Option<Vec<u8>>) {
    let (name, argument) = list::name_and_value(member);
    match name.trim_ascii_end() {
        trimmed if trimmed.len() < name.len() => (trimmed, argument.map(|_| Vec::new())),
        _ => (name, argument.map(list::unquoted)),
    }
}

/// A number of seconds (§1.2.2); none when it is not one.
#[must_use]
pub fn seconds(digits: &[u8]) -> Option<Duration> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let secs = digits.iter().fold(0u64, |n, d| n.saturating_mul(10).saturating_add(u64::from(d - b'0')));
    Some(Duration::from_secs(secs.min(SECONDS_MAX)))
}

/// A field name in lower case. (A name that is not UTF-8 is not a field name; it then names no field.)
pub(crate) fn lower_case(name: &[u8]) -> String {
    String::from_utf8_lossy(name).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn secs(secs: u64) -> Option<Duration> {
        Some(Duration::from_secs(secs))
    }

    fn parse(value: &str) -> CacheControl {
        CacheControl::parse([value.as_bytes()].into_iter())
    }

    #[test]
    fn lifetimes_are_read_as_the_rfc_has_it() {
        for (value, expected) in [
            ("max-age=3600", secs(3600)),
            ("MaX-aGe=3600", secs(3600)),
            ("max-age=\"3600\"", secs(3600)),
            ("max-age=003600", secs(3600)),
            ("max-age =3600", secs(0)),
            ("max-age= 3600", secs(0)),
            ("max-age='3600'", secs(0)),
            ("max-age=3600.0", secs(0)),
            ("max-age=a100", secs(0)),
            ("max-age=100a", secs(0)),
            ("max-age=-1", secs(0)),
            ("max-age", secs(0)),
            ("max-age=", secs(0)),
            ("max-age=99999999999999999999999", secs(SECONDS_MAX)),
            ("max-age=1, max-age=3600", secs(1)),
            ("extension=\"max-age=3600\", max-age=1", secs(1)),
            ("max-age=1, extension=\"max-age=3600\"", secs(1)),
            ("a=\"\\\", max-age=7, \", max-age=1", secs(1)),
            ("x-max-age=1", None),
            ("", None),
        ] {
            assert_eq!(parse(value).max_age, expected, "{value}");
        }
    }

    #[test]
    fn an_unclosed_quote_hides_no_directive() {
        assert!(parse("private=\"a, no-store").no_store);
    }

    #[test]
    fn private_and_no_cache_may_name_fields() {
        let fields = |names: &[&str]| Part::Fields(names.iter().map(|n| (*n).to_owned()).collect());
        for (value, expected) in [
            ("private", Part::All),
            ("private=\"Set-Cookie\"", fields(&["set-cookie"])),
            ("private=\"a, B\"", fields(&["a", "b"])),
            ("private=a, private=b", fields(&["a", "b"])),
            ("private=\"a\", private", Part::All),
            ("private=\"\"", Part::All),
            ("public", Part::None),
        ] {
            assert_eq!(parse(value).private, expected, "{value}");
        }
    }

    #[test]
    fn lines_are_read_as_one_list() {
        let control = CacheControl::parse([&b"max-age=60,public"[..], b" No-StOrE"].into_iter());
        assert_eq!(
            control,
            CacheControl { max_age: secs(60), public: true, no_store: true, ..CacheControl::default() }
        );
    }

    #[test]
    fn surrogate_control_has_its_own_grammar() {
        let named =
            |value: &str, device| CacheControl::parse_surrogate([value.as_bytes()].into_iter(), device);
        let parse = |value: &str| named(value, None);
        for (value, device, expected) in [
            ("max-age=60, max-age=5;edge", Some("edge"), secs(5)),
            ("max-age=60, max-age=5;edge", Some("other"), secs(60)),
            ("max-age=60, max-age=5;edge", None, secs(60)),
            ("max-age=5; edge", Some("edge"), secs(5)),
            ("max-age=5;edge;x", Some("edge"), None),
        ] {
            let control = named(value, device);
            assert_eq!(control.and_then(|control| control.max_age), expected, "{value} {device:?}");
        }
        let everyone = named("max-age=60+30, max-age=5;edge", Some("edge")).unwrap();
        assert_eq!(everyone.stale_if_error, None);
        let control = parse("max-age=60+30, content=\"ESI/1.0\"").unwrap();
        assert_eq!((control.max_age, control.stale_if_error), (secs(60), secs(30)));
        assert_eq!(parse("max-age=3600;other-device"), None);
        assert_eq!(parse("foo"), None);
        assert!(parse("no-store").unwrap().no_store);
    }

    #[test]
    fn request_directives_are_read() {
        let parse = |value: &str| RequestCacheControl::parse([value.as_bytes()].into_iter());
        assert_eq!(parse("max-stale").max_stale, Some(Duration::MAX));
        assert_eq!(parse("max-stale=5, max-stale").max_stale, secs(5));
        assert_eq!(parse("max-stale=x").max_stale, None);
        assert_eq!(parse("min-fresh=x").min_fresh, None);
        assert_eq!(parse("stale-if-error=7, stale-if-error=8").stale_if_error, secs(7));
        assert_eq!(parse("stale-if-error").stale_if_error, None);
        assert_eq!(parse("max-age=x").max_age, secs(0));
        let all = parse("no-cache, NO-STORE,only-if-cached");
        assert!(all.no_cache && all.no_store && all.only_if_cached);
    }
}
