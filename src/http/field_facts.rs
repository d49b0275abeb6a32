//! What is known of field names, in one table: which field belongs to a hop, to one client, to the body, and so on. What
//! follows from that is said where it is decided.

use super::mark;

/// Facts about a field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Facts(u8);

use Facts as F;

impl Facts {
    /// Nothing is known.
    pub const NONE: F = F(0);
    /// It concerns one connection (RFC 9110 §7.6.1), whether `Connection` says so or not.
    pub const HOP_BY_HOP: F = F(1);
    /// It concerns one client or one request, and is ordinary.
    pub const PERSONAL: F = F(1 << 1);
    /// It says what a client can do and wants.
    pub const PREFERENCE: F = F(1 << 2);
    /// It makes a request conditional or partial (RFC 9110 §13.1, §14.2).
    pub const CONDITION: F = F(1 << 3);
    /// It is a trace of one request.
    pub const TRACE: F = F(1 << 4);
    /// It describes the very bytes of the body.
    pub const BODY: F = F(1 << 5);
    /// It describes the representation, whatever its bytes.
    pub const REPRESENTATION: F = F(1 << 6);
    /// It identifies the sender.
    pub const IDENTITY: F = F(1 << 7);

    /// These and others.
    #[must_use]
    pub const fn and(self, more: F) -> F {
        F(self.0 | more.0)
    }

    /// Whether one of these is among them.
    #[must_use]
    pub const fn has(self, any: F) -> bool {
        self.0 & any.0 != 0
    }
}

/// One row for each name: the table, and the search in it. A `match` is looked up by length and bytes, several times
/// faster than a sorted list; each field of each response that is stored or confirmed is.
macro_rules! by_name {
    ($($name:literal => $facts:expr,)*) => {
        const TABLE: &[(&[u8], F)] = &[$(($name, $facts)),*];

        const fn by_name(name: &[u8]) -> F {
            match name {
                $($name => const { $facts },)*
                _ => F::NONE,
            }
        }
    };
}

by_name! {
    b"accept" => F::PREFERENCE,
    b"accept-charset" => F::PREFERENCE,
    b"accept-encoding" => F::PREFERENCE,
    b"accept-language" => F::PREFERENCE,
    b"authorization" => F::IDENTITY.and(F::PERSONAL),
    b"b3" => F::TRACE,
    b"baggage" => F::TRACE,
    b"cache-control" => F::PERSONAL,
    b"cdn-loop" => F::PERSONAL,
    b"connection" => F::HOP_BY_HOP.and(F::PERSONAL),
    b"content-digest" => F::BODY,
    b"content-encoding" => F::BODY,
    b"content-language" => F::REPRESENTATION,
    b"content-length" => F::BODY.and(F::PERSONAL),
    b"content-md5" => F::BODY,
    b"content-range" => F::BODY,
    b"content-type" => F::REPRESENTATION.and(F::PERSONAL),
    b"cookie" => F::IDENTITY.and(F::PERSONAL),
    b"device-memory" => F::PREFERENCE,
    b"dnt" => F::PREFERENCE,
    b"dpr" => F::PREFERENCE,
    b"early-data" => F::PERSONAL,
    b"ect" => F::PREFERENCE,
    b"expect" => F::PERSONAL,
    b"fastly-key" => F::PERSONAL,
    b"forwarded" => F::PERSONAL,
    b"from" => F::PERSONAL,
    b"grpc-trace-bin" => F::TRACE,
    b"host" => F::PERSONAL,
    b"if-match" => F::CONDITION,
    b"if-modified-since" => F::CONDITION,
    b"if-none-match" => F::CONDITION,
    b"if-range" => F::CONDITION,
    b"if-unmodified-since" => F::CONDITION,
    b"keep-alive" => F::HOP_BY_HOP.and(F::PERSONAL),
    b"larder-debug" => F::PERSONAL,
    b"max-forwards" => F::PERSONAL,
    b"origin" => F::PREFERENCE,
    b"pragma" => F::PERSONAL,
    b"prefer" => F::PREFERENCE,
    b"priority" => F::PERSONAL,
    b"proxy-authenticate" => F::HOP_BY_HOP,
    b"proxy-authentication-info" => F::HOP_BY_HOP,
    b"proxy-authorization" => F::HOP_BY_HOP.and(F::IDENTITY).and(F::PERSONAL),
    b"proxy-connection" => F::HOP_BY_HOP.and(F::PERSONAL),
    b"purpose" => F::PERSONAL,
    b"range" => F::CONDITION,
    b"referer" => F::PERSONAL,
    b"request-id" => F::PERSONAL,
    b"save-data" => F::PREFERENCE,
    b"sec-gpc" => F::PREFERENCE,
    b"sec-purpose" => F::PERSONAL,
    b"set-cookie" => F::IDENTITY,
    b"set-cookie2" => F::IDENTITY,
    b"sw8" => F::TRACE,
    b"te" => F::HOP_BY_HOP.and(F::PERSONAL),
    b"traceparent" => F::TRACE,
    b"tracestate" => F::TRACE,
    b"trailer" => F::HOP_BY_HOP.and(F::PERSONAL),
    b"transfer-encoding" => F::HOP_BY_HOP.and(F::PERSONAL),
    b"true-client-ip" => F::PERSONAL,
    b"uber-trace-id" => F::TRACE,
    b"upgrade" => F::HOP_BY_HOP.and(F::PERSONAL),
    b"upgrade-insecure-requests" => F::PREFERENCE,
    b"user-agent" => F::PREFERENCE,
    b"via" => F::PERSONAL,
    b"viewport-width" => F::PREFERENCE,
    b"width" => F::PREFERENCE,
    b"x-amzn-trace-id" => F::TRACE,
    b"x-client-ip" => F::PERSONAL,
    b"x-client-trace-id" => F::TRACE,
    b"x-cloud-trace-context" => F::TRACE,
    b"x-cluster-client-ip" => F::PERSONAL,
    b"x-correlation-id" => F::PERSONAL,
    b"x-forwarded-client-cert" => F::PERSONAL,
    b"x-forwarded-for" => F::PERSONAL,
    b"x-original-forwarded-for" => F::PERSONAL,
    b"x-ot-span-context" => F::TRACE,
    b"x-real-ip" => F::PERSONAL,
    b"x-request-id" => F::TRACE,
    b"x-requested-with" => F::PREFERENCE,
}

/// Families of fields, by what their names begin with.
const FAMILIES: [(&[u8], F); 11] = [
    (b"cf-", F::PERSONAL),
    (b"sec-ch-", F::PREFERENCE),
    (b"sec-fetch-", F::PERSONAL),
    (b"sentry-", F::PERSONAL),
    (b"sw8-", F::TRACE),
    (b"uber-", F::PERSONAL),
    (b"uberctx-", F::TRACE),
    (b"x-b3-", F::TRACE),
    (b"x-datadog-", F::TRACE),
    // What Envoy tells of one exchange, and what its own router would obey.
    (b"x-envoy-", F::PERSONAL.and(F::HOP_BY_HOP)),
    (b"x-ot-", F::PERSONAL),
];

/// What is known of a field, by its name in lower case.
#[must_use]
pub fn facts(name: &[u8]) -> F {
    let facts = by_name(name);
    if !matches!(name.first(), Some(b'c' | b's' | b'u' | b'x')) {
        return facts;
    }
    let families = FAMILIES.iter().filter(|(family, _)| name.starts_with(family));
    families.fold(facts, |facts, (_, more)| facts.and(*more))
}

/// The [`mark`]s of the names in the table with one of these facts, so that most fields need no search.
pub(crate) const fn marks(any: F) -> u64 {
    let (mut marks, mut rest) = (0, TABLE);
    while let [(name, facts), others @ ..] = rest {
        if facts.has(any) {
            marks |= mark(name);
        }
        rest = others;
    }
    marks
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn each_name_stands_in_the_table_once_and_in_order() {
        let names: Vec<_> = TABLE.iter().map(|(name, _)| *name).collect();
        assert!(names.is_sorted_by(|a, b| a < b));
        assert!(names.iter().all(|name| name.to_ascii_lowercase() == *name));
        let starts = FAMILIES.map(|(family, _)| family[0]);
        assert!(starts.iter().all(|start| b"csux".contains(start)), "the others are not looked for");
    }

    #[test]
    fn a_name_has_the_facts_of_its_row_and_of_its_families() {
        for (name, expected) in [
            ("te", F::HOP_BY_HOP.and(F::PERSONAL)),
            ("content-length", F::BODY.and(F::PERSONAL)),
            ("uber-trace-id", F::TRACE.and(F::PERSONAL)),
            ("x-envoy-attempt-count", F::HOP_BY_HOP.and(F::PERSONAL)),
            ("sec-ch-ua", F::PREFERENCE),
            ("sw8-correlation", F::TRACE),
            ("x-unheard-of", F::NONE),
            ("TE", F::NONE),
            ("", F::NONE),
        ] {
            assert_eq!(facts(name.as_bytes()), expected, "{name}");
        }
        assert_ne!(marks(F::HOP_BY_HOP) & mark(b"te"), 0);
    }
}
