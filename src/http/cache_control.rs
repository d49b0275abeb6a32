//! `Cache-Control` (RFC 9111 §5.2) and what is written like it: directives become types, once.
//!
//! A lifetime that cannot be read is zero (§4.2.1: caches are encouraged to consider such responses stale); of
//! several the first counts (§4.2.1). What no directive can be made of is looked through for what it may forbid (`doubt`).
//! What a directive leads to is not decided here.

use core::time::Duration;

use super::doubt::{Hidden, is_well_formed};
use super::list;

/// The most seconds that a cache can represent (§1.2.2). Beyond it a number of seconds counts as so many.
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
    /// Whether some of it cannot be read.
    pub in_doubt: bool,
}

/// What became of a member of the list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reading {
    /// It is a directive that we know.
    Read,
    /// The same, but its argument cannot be read.
    Unreadable,
    /// It is none that we know.
    Unknown,
}

impl CacheControl {
    /// Reads all lines of the field.
    #[must_use]
    pub fn parse<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut control = CacheControl::default();
        for member in lines.flat_map(list::members) {
            let (name, argument) = directive(member);
            let reading = control.directive(name, argument.as_deref());
            if reading != Reading::Read {
                control.look_through(member, reading);
            }
        }
        control
    }

    /// Takes what may be forbidden out of what was not read.
    #[cold]
    fn look_through(&mut self, member: &[u8], reading: Reading) {
        let (hidden, in_doubt) = hidden(member, reading);
        self.in_doubt |= in_doubt;
        self.no_store |= hidden.no_store;
        if hidden.no_cache {
            self.no_cache = Part::All;
        }
        if hidden.private {
            self.private = Part::All;
        }
        if hidden.lifetime {
            self.max_age.get_or_insert_default();
        }
    }

    /// Adds what another field forbids.
    pub fn restrict(&mut self, by: CacheControl) {
        self.no_store |= by.no_store;
        self.no_cache.extend(by.no_cache);
        self.private.extend(by.private);
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
                let Some(directive) = parts.next() else { continue };
                match (parts.next(), parts.next()) {
                    (None, _) if !targeted => control.surrogate_directive(directive),
                    (None, _) => {}
                    (Some(name), None) if is_device(name) => {
                        if targeted && device.is_some_and(|device| name == device.as_bytes()) {
                            control.surrogate_directive(directive);
                        }
                    }
                    // Written like Cache-Control, with semicolons for commas.
                    (Some(_), _) => control.look_through(member, Reading::Unreadable),
                }
            }
        }
        (control != CacheControl::default()).then_some(control)
    }

    fn surrogate_directive(&mut self, member: &[u8]) {
        let (name, argument) = directive(member);
        let reading = if !name.eq_ignore_ascii_case(b"max-age") {
            self.directive(name, argument.as_deref())
        } else if self.max_age.is_none() {
            self.surrogate_max_age(argument.as_deref())
        } else {
            Reading::Read
        };
        if reading != Reading::Read {
            self.look_through(member, reading);
        }
    }

    fn surrogate_max_age(&mut self, argument: Option<&[u8]>) -> Reading {
        let mut parts = argument.unwrap_or_default().splitn(2, |b| *b == b'+');
        let reading = self.directive(b"max-age", parts.next());
        let Some(stale) = parts.next() else { return reading };
        self.directive(b"stale-while-revalidate", Some(stale));
        self.directive(b"stale-if-error", Some(stale)).and(reading)
    }

    /// Adds one directive; its name in any case, its argument without quotes.
    pub(super) fn directive(&mut self, name: &[u8], argument: Option<&[u8]>) -> Reading {
        let is = |directive: &str| name.eq_ignore_ascii_case(directive.as_bytes());
        if is("max-age") {
            lifetime(&mut self.max_age, argument)
        } else if is("s-maxage") {
            lifetime(&mut self.s_maxage, argument)
        } else if is("stale-while-revalidate") {
            lifetime(&mut self.stale_while_revalidate, argument)
        } else if is("stale-if-error") {
            lifetime(&mut self.stale_if_error, argument)
        } else if is("no-cache") {
            self.no_cache.add(argument)
        } else if is("private") {
            self.private.add(argument)
        } else {
            self.flag(name, argument)
        }
    }

    /// A directive that has no argument; what stands in its place may be anything.
    fn flag(&mut self, name: &[u8], argument: Option<&[u8]>) -> Reading {
        for (directive, flag) in [
            ("no-store", &mut self.no_store),
            ("public", &mut self.public),
            ("must-revalidate", &mut self.must_revalidate),
            ("proxy-revalidate", &mut self.proxy_revalidate),
            ("must-understand", &mut self.must_understand),
            ("immutable", &mut self.immutable),
        ] {
            if name.eq_ignore_ascii_case(directive.as_bytes()) {
                *flag = true;
                return if argument.is_none() { Reading::Read } else { Reading::Unreadable };
            }
        }
        Reading::Unknown
    }
}

impl Reading {
    fn and(self, other: Reading) -> Reading {
        if self == Reading::Read { other } else { self }
    }
}

/// Reads a lifetime, unless there is one.
fn lifetime(lifetime: &mut Option<Duration>, argument: Option<&[u8]>) -> Reading {
    let read = argument.and_then(seconds);
    lifetime.get_or_insert(read.unwrap_or_default());
    if read.is_some() { Reading::Read } else { Reading::Unreadable }
}

/// What a member hides that was not read, and whether that puts the whole field in doubt.
#[cold]
fn hidden(member: &[u8], reading: Reading) -> (Hidden, bool) {
    if reading == Reading::Unknown && is_well_formed(member) {
        let hidden = Hidden::in_token(list::name_and_value(member).0);
        return (hidden, hidden != Hidden::default());
    }
    (Hidden::anywhere_in(member), true)
}

/// Whether a parameter of `Surrogate-Control` names a device, rather than being a directive.
fn is_device(parameter: &[u8]) -> bool {
    list::is_token(parameter)
        && CacheControl::default().directive(parameter, None) == Reading::Unknown
        && Hidden::in_token(parameter) == Hidden::default()
}

impl Part {
    /// Adds what one more occurrence of the directive covers; without field names it covers everything, and so it does
    /// where what stands there are no names.
    fn add(&mut self, argument: Option<&[u8]>) -> Reading {
        let Some(argument) = argument else {
            *self = Part::All;
            return Reading::Read;
        };
        let names: Vec<&[u8]> = list::members(argument).collect();
        if names.is_empty() || !names.iter().all(|name| is_field_name(name)) {
            *self = Part::All;
            return Reading::Unreadable;
        }
        self.extend(Part::Fields(names.into_iter().map(lower_case).collect()));
        Reading::Read
    }

    fn extend(&mut self, more: Part) {
        match (&mut *self, more) {
            (_, Part::None) | (Part::All, _) => {}
            (Part::Fields(names), Part::Fields(more)) => names.extend(more),
            (_, more) => *self = more,
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
            let reading = control.directive(name, argument.as_deref());
            if reading != Reading::Read {
                let (hidden, _) = hidden(member, reading);
                control.no_store |= hidden.no_store;
                control.no_cache |= hidden.no_cache;
                if hidden.lifetime {
                    control.max_age.get_or_insert_default();
                }
            }
        }
        control
    }

    fn directive(&mut self, name: &[u8], argument: Option<&[u8]>) -> Reading {
        let is = |directive: &str| name.eq_ignore_ascii_case(directive.as_bytes());
        let read = argument.and_then(seconds);
        let number = if read.is_some() { Reading::Read } else { Reading::Unreadable };
        if is("max-age") {
            lifetime(&mut self.max_age, argument)
        } else if is("max-stale") {
            let any = argument.is_none().then_some(Duration::MAX);
            self.max_stale = self.max_stale.or(any).or(read);
            if any.is_some() { Reading::Read } else { number }
        } else if is("min-fresh") {
            self.min_fresh = self.min_fresh.or(read);
            number
        } else if is("stale-if-error") {
            self.stale_if_error = self.stale_if_error.or(read);
            number
        } else if is("no-cache") {
            self.no_cache = true;
            Reading::Read
        } else if is("no-store") {
            self.no_store = true;
            Reading::Read
        } else if is("only-if-cached") {
            self.only_if_cached = true;
            Reading::Read
        } else {
            Reading::Unknown
        }
    }
}

/// Whether `Pragma` says `no-cache`, however clumsily (RFC 9111 §5.4).
pub fn pragma_says_no_cache<'a>(mut lines: impl Iterator<Item = &'a [u8]>) -> bool {
    lines.any(|line| line.eq_ignore_ascii_case(b"no-cache") || Hidden::anywhere_in(line).no_cache)
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

/// Whether this may name a field. Some tokens name none, but say that the directive is meant to be on (`private=1`,
/// `private=true`), are directives themselves, or are quotes that this grammar takes for letters (`private='x'`).
fn is_field_name(token: &[u8]) -> bool {
    const NO_NAMES: [&str; 9] =
        ["true", "false", "yes", "no", "on", "off", "no-store", "no-cache", "private"];
    list::is_token(token)
        && token.iter().any(u8::is_ascii_alphabetic)
        && !token.contains(&b'\'')
        && !NO_NAMES.iter().any(|no_name| token.eq_ignore_ascii_case(no_name.as_bytes()))
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

    /// What a value forbids, in letters, and a question mark where the rest of it cannot be relied upon.
    fn forbids(control: &CacheControl) -> String {
        let letters = [
            (control.no_store, 's'),
            (control.private == Part::All, 'p'),
            (control.no_cache == Part::All, 'c'),
            (control.in_doubt, '?'),
        ];
        letters.iter().filter_map(|(holds, letter)| holds.then_some(*letter)).collect()
    }

    #[test]
    fn what_is_malformed_counts_as_what_it_names_or_hides() {
        for (value, expected) in [
            // Another separator than the comma, or none.
            ("no-store;", "s?"),
            ("no-store; max-age=600", "s?"),
            ("private;max-age=600", "p?"),
            ("private max-age=600", "p?"),
            ("no-cache no-store", "sc?"),
            ("no-cache; private; no-store", "spc?"),
            ("; no-store", "s?"),
            ("max-age=600; private", "p?"),
            ("max-age=600 private", "p?"),
            ("public; no-cache", "c?"),
            ("no-store|private", "sp?"),
            ("no-store/private", "sp?"),
            ("no-store&private", "sp?"),
            ("no-store+max-age=600", "s?"),
            ("no-store.private", "sp?"),
            ("no-store\\private", "sp?"),
            ("no-store\u{1}max-age=600", "s?"),
            ("no-store\u{7f}", "s?"),
            ("no-store\u{3001}private", "sp?"),
            ("no-store\u{ff0c}private", "sp?"),
            // Something before or behind it.
            ("no-store.", "s?"),
            ("private\\", "p?"),
            ("(no-store)", "s?"),
            ("[private]", "p?"),
            ("public=1; no-store", "s?"),
            ("must-revalidate=\"private", "p?"),
            ("immutable; no-store", "s?"),
            ("<no-cache>", "c?"),
            ("no-store!", "s?"),
            ("*no-store*", "s?"),
            ("#private", "p?"),
            // A colon for the equals sign, and the field within the field.
            ("no-cache: no-store", "sc?"),
            ("no-store: true", "s?"),
            ("private:", "p?"),
            ("Cache-Control: no-store", "s?"),
            ("cache-control=private", "p?"),
            // Quotes of all kinds, closed or not.
            ("\"no-store\"", "s?"),
            ("'no-store'", "s?"),
            ("'private'", "p?"),
            ("`no-cache`", "c?"),
            ("\u{201c}no-store\u{201d}", "s?"),
            ("\u{2018}private\u{2019}", "p?"),
            ("\u{ab}no-cache\u{bb}", "c?"),
            ("'no-store", "s?"),
            ("\"no-store", "s?"),
            ("no-store\"", "s?"),
            ("\"max-age=600, private\"", "p?"),
            ("max-age=\"600, private\"", "p?"),
            ("max-age=\"600, private", "p?"),
            ("x=\"\u{1}no-store\"", "s?"),
            ("x=\"a\"no-store", "s?"),
            ("x=\"a\" private", "p?"),
            // Escapes.
            ("%22no-store%22", "s?"),
            ("no%2Dstore", "s?"),
            ("no-store%3B", "s?"),
            ("no-store%2C%20private", "sp?"),
            ("%70rivate", "p?"),
            // Letters that are there, and what is between them does not matter.
            ("no\u{200b}-store", "s?"),
            ("\u{feff}no-store", "s?"),
            ("no\u{ad}-store", "s?"),
            ("no\u{2011}store", "s?"),
            ("no\u{2013}cache", "c?"),
            ("no\u{2212}store", "s?"),
            ("no\u{a0}store", "s?"),
            ("no store", "s?"),
            ("\u{a0}private", "p?"),
            ("\u{ff4e}\u{ff4f}\u{ff0d}\u{ff53}\u{ff54}\u{ff4f}\u{ff52}\u{ff45}", "s?"),
            ("\u{ff30}\u{ff32}\u{ff29}\u{ff36}\u{ff21}\u{ff34}\u{ff25}", "p?"),
            // What may be any letters may be those.
            ("\u{440}rivate", "s?"),
            ("priv\u{e4}t", "s?"),
            ("max-age=600, \u{fffd}", "s?"),
            // The qualified form, and no field is named.
            ("private=", "p?"),
            ("private=\"\"", "p?"),
            ("private= no-store", "sp?"),
            ("private=no-store", "sp?"),
            ("private=\"", "p?"),
            ("private=\"set-cookie", "p?"),
            ("private='set-cookie'", "p?"),
            ("private=\u{201c}set-cookie\u{201d}", "p?"),
            ("private=set-cookie;", "p?"),
            ("private=\"a; no-store\"", "sp?"),
            ("private=\"a b\"", "p?"),
            ("private=1", "p?"),
            ("private=true", "p?"),
            ("no-cache=Yes", "c?"),
            ("no-cache=[set-cookie]", "c?"),
            ("no-cache =\"a\"", "c?"),
            // Right as it is.
            ("No-Store", "s"),
            ("no-store=1", "s?"),
            (",, ,no-store\t,", "s"),
            ("no-store ,\tprivate", "sp"),
        ] {
            assert_eq!(forbids(&parse(value)), expected, "{value}");
            assert_eq!(forbids(&parse(&value.to_ascii_uppercase())), expected, "{value} in upper case");
            let in_lines =
                CacheControl::parse([&b"max-age=600"[..], value.as_bytes(), b"public"].into_iter());
            assert_eq!(forbids(&in_lines), expected, "{value} among lines");
        }
        assert_eq!(forbids(&CacheControl::parse([&b"no-store\xa0"[..]].into_iter())), "s?");
        assert_eq!(forbids(&CacheControl::parse([&b"\x93private\x94"[..]].into_iter())), "s?");
    }

    #[test]
    fn what_is_well_formed_and_not_known_is_ignored() {
        for value in [
            "nostore",
            "no_store",
            "none",
            "x-private",
            "private-browsing",
            "is_private=1",
            "no-store-remote",
            "no-cache-for-now",
            "community=\"no-store, private\"",
            "community=private",
            "x=\"a, b\"",
            "x.y=1",
            "x=\"caf\u{e9}\"",
            "",
        ] {
            assert_eq!(parse(value), CacheControl::default(), "{value}");
        }
    }

    #[test]
    fn a_lifetime_that_stands_where_it_cannot_be_read_is_none() {
        for (value, max_age, in_doubt) in [
            ("public; max-age=0", secs(0), true),
            ("public max-age=0", secs(0), true),
            ("public; max-age=600", secs(0), true),
            ("max-age:0", secs(0), true),
            ("max-age:600", secs(0), true),
            ("max-age 600", secs(0), true),
            ("\"max-age=600\"", secs(0), true),
            ("max-age=0;", secs(0), true),
            ("max-age=600;", secs(0), true),
            ("max-age=0s", secs(0), true),
            ("max-age='0'", secs(0), true),
            ("public; s-maxage=0, max-age=600", secs(0), true),
            ("max-age=600, public; max-age=0", secs(600), true),
            ("max-age=600, foo bar", secs(600), true),
            ("foo bar", None, true),
            ("max-age=600, foo", secs(600), false),
        ] {
            let control = parse(value);
            assert_eq!((control.max_age, control.in_doubt), (max_age, in_doubt), "{value}");
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
            ("max-age=5;edge;x", Some("edge"), secs(0)),
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
        assert_eq!(parse("content=\"ESI/1.0\", no-store-remote"), None);
    }

    #[test]
    fn surrogate_control_with_the_separators_of_another_grammar_counts_as_what_it_forbids() {
        for (value, expected) in [
            ("no-store;", "s"),
            ("no-store;edge", "s"),
            ("no-store;other", ""),
            ("no-store; max-age=60", "s?"),
            ("max-age=60; no-store", "s?"),
            ("max-age=60; private; no-cache", "pc?"),
            ("max-age=60;edge;no-store", "s?"),
            ("no-store max-age=60", "s?"),
            ("'no-store'", "s?"),
            ("max-age=60 no-store", "s?"),
            ("max-age=60+no-store", "s?"),
            ("foo bar", "?"),
        ] {
            let control = CacheControl::parse_surrogate([value.as_bytes()].into_iter(), Some("edge"));
            assert_eq!(forbids(&control.unwrap_or_default()), expected, "{value}");
        }
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
        for (value, expected) in [
            ("no-store;", (true, false, None)),
            ("no-cache; no-store", (true, true, None)),
            ("'no-cache'", (false, true, None)),
            ("max-age=0; no-store", (true, false, secs(0))),
            ("foo; max-age=600", (false, false, secs(0))),
            ("only-if-cached;", (false, false, None)),
            ("max-stale;", (false, false, None)),
            ("x-no-store", (false, false, None)),
            ("x=\"no-store\"", (false, false, None)),
        ] {
            let read = parse(value);
            assert_eq!((read.no_store, read.no_cache, read.max_age), expected, "{value}");
            assert!(!read.only_if_cached && read.max_stale.is_none(), "{value}");
        }
    }
}
