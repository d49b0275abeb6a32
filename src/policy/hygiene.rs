//! Which fields of a response are stored, and in what form (RFC 9111 §3.1, RFC 9110 §7.6.1).

use crate::config::{Options, SetCookie};
use crate::http::cache_control::{Part, lower_case};
use crate::http::{Facts, Fields, date, facts, list, mark, marks};
use crate::time::Timestamp;

use super::freshness::Control;
use crate::sorting::sort_by;

/// So that most fields are not looked up.
const HOP_BY_HOP_MARKS: u64 = marks(Facts::HOP_BY_HOP) | mark(b"age");

/// The fields to store of a response that arrived at `response_time`.
pub(super) fn stored_fields(
    fields: &Fields,
    control: &Control,
    options: &Options,
    response_time: Timestamp,
) -> Fields {
    let options_of_hop = fields.connection_options();
    let mut stored = fields.rewritten(0, |name, value| {
        let hop_by_hop = is_hop_by_hop(name) || options_of_hop.iter().any(|n| n.eq_ignore_ascii_case(name));
        if hop_by_hop || is_withheld(name, control, options) {
            return None;
        }
        Some(match name {
            // Envoy joins the lines of these by a bare comma.
            b"cache-control" | b"vary" => list::spaced(value).into(),
            _ => value.into(),
        })
    });
    // RFC 9110 §6.6.1: a recipient with a clock adds the Date that is missing, and may replace an invalid one.
    if stored.get("date").and_then(date::parse).is_none() {
        stored.set("date", date::format(response_time));
    }
    stored
}

/// Whether a field concerns one hop only, whatever `Connection` says; `Age` is made anew for each answer.
#[must_use]
pub fn is_hop_by_hop(name: &[u8]) -> bool {
    HOP_BY_HOP_MARKS & mark(name) != 0 && (facts(name).has(Facts::HOP_BY_HOP) || name == b"age")
        || name.starts_with(b":")
        // What Envoy tells of one exchange with its upstream is not about the stored response either.
        || name.starts_with(b"x-envoy-")
}

fn is_withheld(name: &[u8], control: &Control, options: &Options) -> bool {
    match name {
        // The body that is stored tells its length.
        b"content-length" => return true,
        b"set-cookie" | b"set-cookie2" if options.set_cookie != SetCookie::Store => return true,
        b"surrogate-control" if options.surrogate_control => return true,
        _ => {}
    }
    // §5.2.2.4 and §5.2.2.7, qualified forms: these fields MUST NOT be reused without validation, or stored at all.
    // A validation brings its own, so neither kind is kept.
    covers(&control.directives.private, name) || covers(&control.directives.no_cache, name)
}

/// Whether the qualified form of a directive names a field.
pub(super) fn covers(part: &Part, name: &[u8]) -> bool {
    match part {
        Part::Fields(fields) => fields.iter().any(|field| field.as_bytes() == name),
        Part::None | Part::All => false,
    }
}

/// The field names that `Vary` nominates, in lower case, sorted, each once; none when it cannot be matched (`*`).
pub(super) fn nominated(fields: &Fields) -> Option<Vec<String>> {
    let mut names = Vec::new();
    for member in fields.get_all("vary").flat_map(list::members) {
        if member.iter().any(|b| !b.is_ascii_graphic() || b"*,;:\"=@/()<>[]{}?\\".contains(b)) {
            return None;
        }
        names.push(lower_case(member));
    }
    sort_by(&mut names, Ord::cmp);
    names.dedup();
    Some(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::freshness::control;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const DATE: (&str, &str) = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
    const NOW: Timestamp = Timestamp::from_secs(784_111_777);

    fn stored(fields: &[(&str, &str)], options: &Options) -> Fields {
        let fields = Fields::from_iter(fields.iter().copied());
        stored_fields(&fields, &control(&fields, options), options, NOW)
    }

    #[test]
    fn fields_of_one_hop_are_not_stored() {
        let hop = [
            "connection",
            "keep-alive",
            "proxy-authenticate",
            "proxy-connection",
            "te",
            "trailer",
            "transfer-encoding",
            "upgrade",
            "age",
            "content-length",
            "x-envoy-upstream-service-time",
        ];
        let fields: Vec<_> = hop.iter().map(|name| (*name, "x")).chain([DATE, ("a", "1")]).collect();
        assert_eq!(stored(&fields, &Options::default()), Fields::from_iter([DATE, ("a", "1")]));
    }

    #[test]
    fn fields_that_connection_nominates_are_not_stored() {
        let fields =
            [("connection", "A, close"), ("a", "1"), ("connection", "b"), ("b", "2"), ("c", "3"), DATE];
        assert_eq!(stored(&fields, &Options::default()), Fields::from_iter([("c", "3"), DATE]));
    }

    #[test]
    fn fields_that_private_and_no_cache_name_are_not_stored() {
        let control = ("cache-control", "private=\"a\", no-cache=\"B, c\"");
        let fields = [control, ("a", "1"), ("b", "2"), ("c", "3"), ("d", "4"), DATE];
        assert_eq!(stored(&fields, &Options::default()), Fields::from_iter([control, ("d", "4"), DATE]));
    }

    #[test]
    fn lines_that_were_joined_by_a_bare_comma_get_their_space() {
        let fields = [("cache-control", "public,max-age=1,x=\"a,b\""), ("vary", "a,b"), ("x", "a,b"), DATE];
        let expected =
            [("cache-control", "public, max-age=1, x=\"a,b\""), ("vary", "a, b"), ("x", "a,b"), DATE];
        assert_eq!(stored(&fields, &Options::default()), Fields::from_iter(expected));
    }

    #[test]
    fn a_date_that_is_missing_or_invalid_becomes_the_time_of_arrival() {
        assert_eq!(stored(&[], &Options::default()), Fields::from_iter([DATE]));
        assert_eq!(stored(&[("date", "yesterday")], &Options::default()), Fields::from_iter([DATE]));
    }

    #[test]
    fn set_cookie_and_surrogate_control_are_stored_or_not_as_configured() {
        let fields = [("set-cookie", "a=b"), ("surrogate-control", "max-age=1"), DATE];
        let strip = Options { set_cookie: SetCookie::Strip, surrogate_control: true, ..Options::default() };
        assert_eq!(stored(&fields, &strip), Fields::from_iter([DATE]));
        let store = Options { set_cookie: SetCookie::Store, ..Options::default() };
        assert_eq!(stored(&fields, &store), Fields::from_iter(fields));
    }

    #[test]
    fn vary_nominates_field_names_or_nothing_that_can_be_matched() {
        let names = |lines: &[&str]| nominated(&Fields::from_iter(lines.iter().map(|line| ("vary", *line))));
        assert_eq!(names(&[]), Some(vec![]));
        assert_eq!(names(&["Foo, bar", "FOO,,baz"]), Some(vec!["bar".into(), "baz".into(), "foo".into()]));
        for star in [
            &["*"][..],
            &["*, *"],
            &[", *"],
            &["", "*"],
            &["*, Foo"],
            &["Foo", "*"],
            &["foo bar"],
            &["f\u{e9}"],
        ] {
            assert_eq!(names(star), None, "{star:?}");
        }
    }
}
