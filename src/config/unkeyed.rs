//! Request fields that are known to change responses without being named in `Vary`, and the treatment of each.
//!
//! An origin that takes its own address from such a field answers one client with links that another client chose, and
//! a cache that keys on the URL only serves that response to all clients.

use std::rc::Rc;

use super::names::FieldName;
use super::text::{keywords, text};
use crate::http::{Fields, RequestHead, mark};
use crate::json::{At, Read};
use crate::sorting::sort_by;

/// What becomes of a request field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Treatment {
    /// Its value is part of the cache key.
    Key,
    /// It does not reach the origin.
    Strip,
    /// A request with the field bypasses the cache.
    Bypass,
    /// Nothing: it is a field like any other.
    Ignore,
}

keywords! {
    Treatment, "a treatment of a request field":
    "key" => Treatment::Key,
    "strip" => Treatment::Strip,
    "bypass" => Treatment::Bypass,
    "ignore" => Treatment::Ignore
}

/// How request fields are treated that are not like any other.
#[derive(Clone, PartialEq, Debug)]
pub struct Unkeyed {
    /// By name, in order.
    treatments: Rc<[(Box<str>, Treatment)]>,
    /// The [`mark`]s of the names that are part of the key, so that most requests need no search. The one of
    /// [`FORWARDED_PROTO`] is left out.
    key_marks: u64,
    /// Those of the names that are stripped.
    strip_marks: u64,
    /// Those of the names that make a request pass by.
    bypass_marks: u64,
}

/// Envoy itself tells the scheme, each time.
const FORWARDED_PROTO: &str = "x-forwarded-proto";

/// What is known of common origins. Those that change whom the request is for or what it asks are not the resource's
/// own affair, so they pass by; the rest is told apart.
const KNOWN: [(&str, Treatment); 18] = [
    ("x-forwarded-host", Treatment::Key),
    ("x-forwarded-port", Treatment::Key),
    ("x-forwarded-prefix", Treatment::Key),
    ("x-forwarded-proto", Treatment::Key),
    ("x-forwarded-protocol", Treatment::Key),
    ("x-forwarded-scheme", Treatment::Key),
    ("x-forwarded-server", Treatment::Key),
    ("x-forwarded-ssl", Treatment::Key),
    ("x-host", Treatment::Key),
    ("x-http-host-override", Treatment::Key),
    ("x-url-scheme", Treatment::Key),
    ("front-end-https", Treatment::Key),
    // It identifies the client too, so each client would have a key of its own.
    ("forwarded", Treatment::Bypass),
    ("x-original-url", Treatment::Bypass),
    ("x-rewrite-url", Treatment::Bypass),
    ("x-http-method", Treatment::Bypass),
    ("x-http-method-override", Treatment::Bypass),
    ("x-method-override", Treatment::Bypass),
];

impl Unkeyed {
    /// The lines of a request that are part of its key. Of its scheme, only what it does not say itself: another one, or
    /// more than one, or that nothing is told of it.
    pub fn in_key<'a>(
        &'a self,
        request: &'a RequestHead,
    ) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> {
        let proto = FORWARDED_PROTO.as_bytes();
        let mut told = request.fields.get_all(proto);
        let (first, more) = (told.next(), told.next().is_some());
        let is_known = first == Some(request.scheme()) && !more;
        let marks = self.key_marks | if is_known { 0 } else { mark(proto) };
        let lines = self.treated(&request.fields, Treatment::Key, marks);
        let lines = lines.filter(move |(name, _)| !is_known || *name != proto);
        let untold = first.is_none() && self.treatment(proto) == Treatment::Key;
        lines.map(|(name, value)| (name, Some(value))).chain(untold.then_some((proto, None)))
    }

    /// The lines of a section that do not reach the origin.
    pub fn stripped<'a>(&'a self, fields: &'a Fields) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        self.treated(fields, Treatment::Strip, self.strip_marks)
    }

    /// Whether a request with these fields bypasses the cache.
    #[must_use]
    pub fn bypasses(&self, fields: &Fields) -> bool {
        self.treated(fields, Treatment::Bypass, self.bypass_marks).next().is_some()
    }

    fn treated<'a>(
        &'a self,
        fields: &'a Fields,
        treatment: Treatment,
        marks: u64,
    ) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        fields.marked_with(marks).filter(move |(name, _)| self.treatment(name) == treatment)
    }

    /// What becomes of a field of this name, in lower case.
    #[must_use]
    pub fn treatment(&self, name: &[u8]) -> Treatment {
        self.said(name).unwrap_or(Treatment::Ignore)
    }

    /// What is said of a field; none where it is not named.
    #[must_use]
    pub fn said(&self, name: &[u8]) -> Option<Treatment> {
        let found = self.treatments.binary_search_by(|(known, _)| known.as_bytes().cmp(name));
        found.ok().and_then(|at| self.treatments.get(at)).map(|(_, treatment)| *treatment)
    }

    /// These, but for what is said anew.
    #[must_use]
    pub(super) fn with(&self, anew: &[(String, Treatment)]) -> Unkeyed {
        let mut treatments = self.treatments.to_vec();
        for (name, treatment) in anew {
            treatments.retain(|(known, _)| **known != **name);
            treatments.push((name.as_str().into(), *treatment));
        }
        Unkeyed::of(treatments)
    }

    fn of(mut treatments: Vec<(Box<str>, Treatment)>) -> Unkeyed {
        sort_by(&mut treatments, |a, b| a.0.cmp(&b.0));
        let marks_of = |treatment| {
            let names = treatments.iter().filter(|(_, of)| *of == treatment).map(|(name, _)| &**name);
            let searched = names.filter(|name| treatment != Treatment::Key || *name != FORWARDED_PROTO);
            searched.fold(0, |marks, name| marks | mark(name.as_bytes()))
        };
        Unkeyed {
            key_marks: marks_of(Treatment::Key),
            strip_marks: marks_of(Treatment::Strip),
            bypass_marks: marks_of(Treatment::Bypass),
            treatments: treatments.into(),
        }
    }
}

impl Default for Unkeyed {
    fn default() -> Self {
        Unkeyed::of(KNOWN.map(|(name, treatment)| (name.into(), treatment)).into())
    }
}

/// An object: names of fields to treatments.
pub(super) fn treatments(at: &At<'_>) -> Read<Vec<(String, Treatment)>> {
    at.entries(|name, treatment| {
        let FieldName(name) = text(name)?;
        Ok((name, text(treatment)?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, reference_markdown};
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn what_is_known_is_treated_unless_said_otherwise() {
        let unkeyed = |json: &str| Config::parse(json.as_bytes()).unwrap().defaults.key.unkeyed;
        let default = unkeyed("{}");
        for (name, treatment) in KNOWN {
            assert_eq!(default.treatment(name.as_bytes()), treatment, "{name}");
        }
        for other in ["", "x", "accept", "x-forwarded-for", "x-forwarded-hosts", "x-hosts", "host", "cookie"]
        {
            assert_eq!(default.treatment(other.as_bytes()), Treatment::Ignore, "{other}");
        }
        let own = unkeyed(r#"{"key": {"unkeyed": {"X-Forwarded-Host": "strip", "x-tenant": "bypass"}}}"#);
        for (name, treatment) in [
            ("x-forwarded-host", Treatment::Strip),
            ("x-tenant", Treatment::Bypass),
            ("x-host", Treatment::Key),
        ] {
            assert_eq!(own.treatment(name.as_bytes()), treatment, "{name}");
        }
    }

    #[test]
    fn the_usual_fields_of_a_request_through_envoy_need_no_search() {
        let default = Unkeyed::default();
        let usual = ":authority :path :method :scheme accept accept-encoding accept-language cache-control cookie \
            referer user-agent x-request-id x-forwarded-for x-forwarded-proto x-envoy-internal \
            x-envoy-expected-rq-timeout-ms sec-fetch-dest sec-fetch-mode sec-fetch-site sec-fetch-user \
            upgrade-insecure-requests if-none-match";
        let marks = default.key_marks | default.strip_marks | default.bypass_marks;
        for name in usual.split_whitespace() {
            assert_eq!(marks & mark(name.as_bytes()), 0, "{name}");
        }
    }

    #[test]
    fn x_forwarded_proto_is_part_of_the_key_where_it_differs_from_the_scheme() {
        let in_key = |json: &str, told: &[&str]| {
            let mut fields = Fields::from_iter([(":scheme", "http"), ("x-host", "a"), ("x-c", "b")]);
            told.iter().for_each(|told| fields.push("x-forwarded-proto", told));
            let config = Config::parse(json.as_bytes()).unwrap();
            let request = RequestHead { fields, has_body: false };
            let lines = config.defaults.key.unkeyed.in_key(&request);
            let shown = lines.map(|(_, value)| String::from_utf8_lossy(value.unwrap_or(b"-")).into_owned());
            shown.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(in_key("{}", &["http"]), "a");
        assert_eq!(in_key("{}", &["http", "https", "http"]), "a http https http");
        assert_eq!(in_key("{}", &["http", "http"]), "a http http");
        assert_eq!(in_key("{}", &[]), "a -");
        // One that has the mark of the scheme's field.
        assert_eq!(mark(b"x-c"), mark(FORWARDED_PROTO.as_bytes()));
        assert_eq!(in_key(r#"{"key": {"unkeyed": {"x-c": "key"}}}"#, &["http"]), "a b");
        let ignored = r#"{"key": {"unkeyed": {"x-forwarded-proto": "ignore"}}}"#;
        assert_eq!(in_key(ignored, &["https"]), "a");
        assert_eq!(in_key(ignored, &[]), "a");
    }

    #[test]
    fn any_field_can_make_a_request_pass_by() {
        let json = br#"{"key": {"unkeyed": {"content-type": "bypass", "x-host": "strip"}}}"#;
        let unkeyed = Config::parse(json).unwrap().defaults.key.unkeyed;
        let fields = |name: &str| Fields::from_iter([("accept", "*/*"), (name, "a")]);
        for (name, bypasses) in
            [("content-type", true), ("forwarded", true), ("x-host", false), ("host", false)]
        {
            assert_eq!(unkeyed.bypasses(&fields(name)), bypasses, "{name}");
        }
        assert_eq!(unkeyed.stripped(&fields("x-host")).count(), 1);
        assert_eq!(unkeyed.stripped(&fields("forwarded")).count(), 0);
    }

    #[test]
    fn the_table_of_options_names_them_all() {
        let table = reference_markdown();
        let row = table.lines().find(|line| line.contains("`key.unkeyed`")).unwrap();
        for (name, _) in KNOWN {
            assert!(row.contains(&format!("`{name}`")), "{name}");
        }
    }

    #[test]
    fn a_treatment_is_one_of_four() {
        let error = Config::parse(br#"{"key": {"unkeyed": {"x-a": "drop"}}}"#).unwrap_err().to_string();
        assert!(error.starts_with("key.unkeyed.x-a: ") && error.contains("\"strip\""), "{error}");
    }
}
