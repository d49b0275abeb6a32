//! All reasons, in one table for each kind: what `Cache-Status`, metrics and explanations say is written here and nowhere
//! else. A row has the word, the section of the standard (empty where none says so), why as a sentence, and what to
//! change as a sentence (empty where nothing has to be).

/// A reason in words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reason {
    /// The word that stands in `Cache-Status`, metrics and logs.
    pub word: &'static str,
    /// Where it is laid down; empty where no standard says so.
    pub section: &'static str,
    /// Why, as a sentence.
    pub why: &'static str,
    /// What to change, as a sentence; empty when nothing has to be.
    pub advice: &'static str,
}

impl Reason {
    /// Why, the section of the standard, and what to change.
    #[must_use]
    pub fn sentence(&self) -> String {
        let mut text = self.why.to_owned();
        if !self.section.is_empty() {
            text = format!("{} ({}).", text.trim_end_matches('.'), self.section);
        }
        if !self.advice.is_empty() {
            text.push(' ');
            text.push_str(self.advice);
        }
        text
    }
}

/// Makes an enum of reasons from its table. Some tables have a further column before the variant: the code of a reason in
/// shared data, or the value of `fwd`; the latter has variants that stand for reasons of another table as well.
macro_rules! reasons {
    (
        $(#[$about:meta])* $name:ident by code:
        $($(#[$doc:meta])* $code:literal $variant:ident => $($column:literal),+;)+
    ) => {
        reasons! { $(#[$about])* $name: $($(#[$doc])* $variant => $($column),+;)+ }

        impl $name {
            /// The reason as one byte that is never zero, for shared data.
            #[must_use]
            pub const fn code(self) -> u8 {
                match self {
                    $($name::$variant => $code,)+
                }
            }

            /// The reason of a code.
            #[must_use]
            #[deny(unreachable_patterns)] // No two reasons have one code.
            pub const fn from_code(code: u8) -> Option<Self> {
                match code {
                    $($code => Some($name::$variant),)+
                    _ => None,
                }
            }
        }
    };
    (
        $(#[$about:meta])* $name:ident by fwd:
        $(#[$others_doc:meta])* $others_fwd:literal $others:ident($of:ident);
        $($(#[$doc:meta])* $fwd:literal $variant:ident => $($column:literal),+;)+
    ) => {
        reasons! {
            $(#[$about])* $name with $(#[$others_doc])* $others($of):
            $($(#[$doc])* $variant => $($column),+;)+
        }

        impl $name {
            /// The value of the `fwd` parameter (RFC 9211 §2.2).
            #[must_use]
            pub const fn fwd(self) -> &'static str {
                match self {
                    $name::$others(_) => $others_fwd,
                    $($name::$variant => $fwd,)+
                }
            }
        }
    };
    (
        $(#[$about:meta])* $name:ident $(with $(#[$others_doc:meta])* $others:ident($of:ident))?:
        $($(#[$doc:meta])* $variant:ident => $word:literal, $section:literal, $why:literal, $advice:literal;)+
    ) => {
        $(#[$about])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum $name {
            $($(#[$others_doc])* $others($of),)?
            $($(#[$doc])* $variant,)+
        }

        impl $name {
            /// All that have a row of their own in this table.
            pub const ALL: [Self; [$($word),+].len()] = [$($name::$variant),+];

            /// The reason in one word.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $($name::$others(why) => why.as_str(),)?
                    $($name::$variant => $word,)+
                }
            }

            /// The reason in words.
            #[must_use]
            pub const fn reason(self) -> &'static Reason {
                match self {
                    $($name::$others(why) => why.reason(),)?
                    $($name::$variant => &Reason { word: $word, section: $section, why: $why, advice: $advice },)+
                }
            }
        }
    };
}

reasons! {
    /// Why a stale response was served.
    StaleReason:

    /// `stale-while-revalidate` (RFC 5861 §3).
    WhileRevalidate => "stale-while-revalidate", "RFC 5861 §3",
        "It is stale and served while it is being refreshed.",
        "";

    /// `stale-if-error` (RFC 5861 §4).
    IfError => "stale-if-error", "RFC 5861 §4",
        "It is stale and served because the origin failed.",
        "Look at the origin.";

    /// The circuit breaker of its cluster is open.
    IfDown => "stale-if-down", "RFC 9111 §4.2.4",
        "It is stale and served without a request to the origin, because the circuit breaker of its cluster is open.",
        "Look at the origin.";

    /// Soft purged, within its grace.
    SoftPurged => "soft-purged", "",
        "It was soft purged and is served while it is being refreshed.",
        "";

    /// `max-stale` in the request (RFC 9111 §5.2.1.2).
    MaxStale => "max-stale", "RFC 9111 §5.2.1.2",
        "It is stale, and the request accepts that with max-stale.",
        "";
}

// Before each: the value of `fwd`, which says all where it is the word.
reasons! {
    /// Why a request went to the origin.
    ForwardReason by fwd:

    /// The request does not concern the cache.
    "bypass" Bypass(Bypass);

    /// The method is not one that the cache answers.
    "method" Method => "method", "RFC 9111 §4",
        "A stored response cannot answer this method.",
        "Use GET or HEAD for requests that only read.";

    /// No response is stored for the URI.
    "uri-miss" UriMiss => "uri-miss", "RFC 9111 §4",
        "No response is stored for this URL.",
        "";

    /// Responses are stored for the URI, but none for this request's nominated fields.
    "vary-miss" VaryMiss => "vary-miss", "RFC 9111 §4.1",
        "Variants are stored for this URL, but for other values of the request fields that Vary names.",
        "Ignore values that do not change the response (key.cookies_drop, key.accept_encoding), normalise other \
         fields before the cache, or name fewer fields in Vary.";

    /// The stored response was fetched through another route than this request takes.
    "vary-miss" RouteMiss => "route-miss", "",
        "The stored response was fetched through another route: routes match on more than host, path and method.",
        "Name the field that they match on in key.headers, or give the routes a key.partition.";

    /// A response was stored and has been hard purged.
    "uri-miss" Purged => "purged", "",
        "The stored response was hard purged.",
        "Nothing to do: the response to this request is stored again.";

    /// The request's own directives forbid the stored response.
    "request" Request => "request", "RFC 9111 §5.2.1",
        "The client asked for something newer than what is stored.",
        "Set request_directives in a rule, if clients must not force fetches.";

    /// The stored response is stale.
    "stale" Stale => "stale", "RFC 9111 §4.2",
        "The stored response is stale, and may not be served stale.",
        "Lengthen max-age, or allow stale-while-revalidate, at the origin or in a rule.";

    /// The stored response was soft purged or invalidated by an unsafe method.
    "stale" Invalidated => "invalidated", "RFC 9111 §4.4",
        "The stored response was soft purged or invalidated, so it is validated before its next use.",
        "Nothing to do: the next request is served what this validation returns.";

    /// Etcd was not heard of for longer than `fleet.max_lag`.
    "stale" Lagging => "lagging", "RFC 9111 §4.2.4",
        "Etcd has not been heard of for longer than fleet.max_lag, so a purge of it may have been missed.",
        "See fleet on the admin route for what is wrong with etcd or the way to it; fleet.when_lagging says what is done.";

    /// Only a part of the representation is stored.
    "partial" Partial => "partial", "RFC 9111 §3.3",
        "Only another part of the representation is stored.",
        "Request it once without Range.";
}

impl ForwardReason {
    /// All, with those for which a request bypasses the cache.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().chain(Bypass::ALL.into_iter().map(Self::Bypass))
    }

    /// The word for `detail`, where `fwd` does not say it already.
    #[must_use]
    pub fn detail(self) -> Option<&'static str> {
        let word = self.as_str();
        (word != self.fwd()).then_some(word)
    }
}

reasons! {
    /// Why an Envoy of a fleet has begun anew with its log, and invalidated everything that is stored.
    JoinReason:

    /// It has started, or shared data was lost.
    Start => "start", "",
        "This Envoy has begun.",
        "";

    /// The log was compacted while it was away, and something was missed.
    Compacted => "compacted", "",
        "Etcd has compacted what was missed.",
        "Lengthen etcd's --auto-compaction-retention, if it happens again.";

    /// More was missed than is read one by one.
    Behind => "behind", "",
        "More batches were missed than fleet.replay_max.",
        "See why this Envoy was away for so long.";

    /// The history is another one.
    Wiped => "wiped", "",
        "Etcd holds another history: it was wiped, or this is another etcd.",
        "";

    /// The history lacks records that are known here.
    Rewound => "rewound", "",
        "The history lacks records that are known here: a backup was restored.",
        "";

    /// Somebody has given the history another name, or deleted it.
    Flushed => "flushed", "",
        "Somebody has written or deleted the keys of the log, or another Envoy has found it rewound.",
        "";

    /// A batch did not come.
    Gap => "gap", "",
        "Etcd did not deliver a batch.",
        "Report it: no etcd should.";
}

reasons! {
    /// Why a request bypasses the cache.
    Bypass:

    /// A rule says so.
    Rule => "rule", "",
        "A rule says bypass.",
        "Change the rule.";

    /// A request with a body whose method gives it no meaning (RFC 9110 §9.3.1), or with more content than a key may
    /// hold.
    RequestBody => "request-body", "RFC 9110 §9.3.1",
        "The request has a body to which its method gives no meaning, or more content than a key may hold.",
        "Send GET without a body, and QUERY with no more content than key.content_bytes_max.";

    /// `Upgrade`, `CONNECT` or another use of the connection beyond one exchange.
    Upgrade => "upgrade", "RFC 9110 §7.8",
        "The request is CONNECT or asks for an upgrade, so the connection is not one exchange of HTTP.",
        "";

    /// gRPC.
    Grpc => "grpc", "",
        "gRPC is not cached.",
        "";

    /// A target that is not an absolute path, or an authority that is empty, ambiguous or carries user information.
    Target => "target", "RFC 9110 §4.2",
        "The request target is not a path, or its host is missing, ambiguous or contains user information.",
        "Request a path on one host.";

    /// A request field that may change the response, and is neither part of the key nor named by `Vary`.
    Unkeyed => "unkeyed", "",
        "The request has a field that may change the response, and is neither part of the key nor named by Vary.",
        "Remove the field before the cache, or set it in key.unkeyed.";

    /// The journal could not be read, or every compare-and-set on the set in shared data was lost.
    Unavailable => "unavailable", "",
        "The journal in shared data could not be read, or other workers kept changing the same part of the store.",
        "Look at the health endpoint, and whether larder_conflicts or larder_damaged grow.";

    /// Requests and responses under way take all the memory that they may.
    Memory => "memory", "",
        "Requests and responses in flight have used up the memory that the worker gives them.",
        "See why so many are under way, or raise store.in_flight_bytes_max.";

    /// The wait for another request's fetch timed out, or too many requests wait already.
    NotShared => "not-shared", "",
        "The request waited for another request's fetch for longer than collapse.wait_max, or too many requests were \
         waiting already.",
        "Check the latency of the origin. The limits are collapse.wait_max, waiters_max and key_waiters_max.";
}

// Before each: its code in shared data. It may stand there for as long as Envoy runs, and other versions of the module
// read it: a code is never changed, and never given to another reason.
reasons! {
    /// Why a response is not stored.
    NotStored by code:

    /// The request was not one for the cache.
    1 Request => "request", "RFC 9111 §3",
        "The request was a HEAD or had Range, and its response cannot be stored.",
        "Use GET without Range.";

    /// The method's response is not stored (RFC 9111 §3).
    2 Method => "method", "RFC 9111 §3",
        "Responses to this method are not stored.",
        "Use GET. With store_post the 200 to a POST is stored, if it has an explicit lifetime and names its own URL \
         in Content-Location.";

    /// A status code that is not final or not understood where it must be.
    3 Status => "status", "RFC 9111 §3",
        "The status code answers this one request only, or must-understand asks for one that the cache knows.",
        "Nothing to do for 304, 407, 408, 412, 413, 416, 417, 421, 425, 428, 429, 431 and 511; for others leave out \
         must-understand at the origin.";

    /// `no-store` in the response.
    4 NoStore => "no-store", "RFC 9111 §5.2.2.5",
        "The response says no-store.",
        "Remove no-store at the origin; to use a response only after validation, no-cache is enough.";

    /// `no-store` in the request.
    5 RequestNoStore => "request-no-store", "RFC 9111 §5.2.1.5",
        "The request says no-store.",
        "Remove it from the client, or ignore request directives in a rule.";

    /// `private`.
    6 Private => "private", "RFC 9111 §5.2.2.7",
        "The response says private: it is for one user, and this is a shared cache.",
        "If it is the same for all users, send public instead of private at the origin.";

    /// `Authorization`, or another credential, without `public`, `must-revalidate` or `s-maxage` (§3.5).
    7 Authorization => "authorization", "RFC 9111 §3.5",
        "The request carries Authorization or another credential, or a filter has authenticated its sender, and \
         the response does not say that it may be shared.",
        "If it may be shared, add public, s-maxage or must-revalidate at the origin, or set the field to ignore in \
         credentials.fields if it is no credential. To store one response for each sender, set the field to key there.";

    /// `Set-Cookie`, and no rule that allows it.
    8 SetCookie => "set-cookie", "RFC 6265 §3",
        "The response sets a cookie, which other clients would get too.",
        "Do not set cookies on cacheable responses, or use set_cookie: strip in a rule.";

    /// `Cookie` in the request, and only a heuristic lifetime, or a rule with `cookies_need_public`.
    9 Cookie => "cookie", "",
        "The request has a cookie, and the response has no explicit lifetime, or lacks the public that \
         cookies_need_public asks for.",
        "Add max-age, or public or s-maxage, at the origin, or a ttl in a rule.";

    /// Nothing gives it a freshness lifetime, or none of it is left, and it has no validator.
    10 NoFreshness => "no-freshness", "RFC 9111 §3",
        "The response has no freshness lifetime, or none of it is left, so it is stale on arrival; and it has no \
         validator, so it cannot be revalidated.",
        "Add Cache-Control: max-age, or at least an ETag, at the origin, or a ttl in a rule.";

    /// `no-cache`, and it has no validator.
    24 NoCache => "no-cache", "RFC 9111 §5.2.2.4",
        "The response says no-cache, so it needs validation before each use, whatever its lifetime; and it has no \
         validator.",
        "Add an ETag at the origin, or send max-age instead of no-cache. A ttl in a rule does not override no-cache.";

    /// Its `Date` is further in the past than its lifetime is long, and it has no validator.
    25 ClockBehind => "clock-behind", "RFC 9111 §4.2.3",
        "By its Date the response is older than its lifetime on arrival: the clock of the origin is behind, or an \
         upstream cache sends an old response without Age.",
        "Correct the clock of the origin.";

    /// It is stored already and is validated before each use: this was one of these validations.
    26 Validated => "validated", "RFC 9111 §4.3",
        "It is stored, and has no lifetime or says no-cache: each request validates it, even right after another one \
         has.",
        "Add Cache-Control: max-age at the origin, if it may be used for a while without validation.";

    /// `Vary: *`.
    11 VaryAny => "vary-any", "RFC 9111 §4.1",
        "Vary: * fits no other request.",
        "Name in Vary the fields that the response really depends on.";

    /// More nominated fields or tags than the limits allow, or a tag that is too long.
    12 Limits => "limits", "",
        "It has more tags than tags.count_max, a tag that is too long or invalid, or Vary names more than 16 fields.",
        "Send fewer or shorter tags, name fewer fields in Vary, or raise tags.count_max and tags.length_max.";

    /// Its host has used up its quota.
    23 HostQuota => "host-quota", "",
        "It would exceed store.host_bytes_max, the quota of its host, and no other response of that host was found \
         to evict.",
        "Raise store.host_bytes_max, or cache fewer responses of this host.";

    /// An error response that Envoy or one of its filters made, not the origin (a local reply).
    29 LocalReply => "local-reply", "",
        "It is a local reply of Envoy or of one of its filters, not a response of the origin: no route, access \
         denied, rate limited.",
        "Nothing to do if that is intended; else see %RESPONSE_CODE_DETAILS% in Envoy's access log.";

    /// Not enough could be evicted to make room for it.
    28 NoRoom => "no-room", "",
        "The store is full, and evicting the entries of lowest rank did not free enough bytes.",
        "Raise store.bytes_max, or store fewer large responses.";

    /// The body is larger than the largest that is stored.
    13 TooLarge => "too-large", "",
        "Its body is larger than the limit for stored bodies.",
        "Raise store.object_bytes_max (at most 64MiB), or object_bytes_max in the rule. Each hit holds its whole \
         body in memory until the client has read it.";

    /// Requests and responses under way took all the memory that they may.
    27 Memory => "memory", "",
        "Requests and responses in flight have used up the memory that the worker gives them, and this body was one \
         of the largest.",
        "See why so many are under way, or raise store.in_flight_bytes_max.";

    /// An error that an unusual request may have provoked (cache poisoning).
    15 Provoked => "provoked", "",
        "It is an error, and the request has unusually long or unusual fields, which may have provoked it.",
        "Send fewer, shorter and plainer fields.";

    /// A partial response that cannot be combined.
    14 Partial => "partial", "RFC 9111 §3.3",
        "It is a part of a representation, and cannot be combined with other parts.",
        "Send a strong ETag at the origin, and request one range at a time.";

    /// The response ended early or its length is wrong.
    16 Incomplete => "incomplete", "RFC 9111 §3.3",
        "The response ended early, or its length differs from Content-Length.",
        "Check the origin, and proxies between, for connections that are closed early.";

    /// A server error or a failure to reach the origin.
    17 Error => "error", "",
        "The origin failed or could not be reached.",
        "Check the origin. To cache its errors for a while, set ttl.status in a rule.";

    /// Another request holds the flight, or all flights of its set were taken.
    18 NoFlight => "no-flight", "",
        "Another request was fetching it already, or too many fetches were in progress in the same part of the store.",
        "Nothing to do: the next request is a hit, or stores it.";

    /// A rule says so.
    19 Rule => "rule", "",
        "A rule says bypass.",
        "Change the rule.";

    /// A transfer coding that cannot be replayed.
    20 Framing => "framing", "RFC 9112 §6",
        "It has a transfer coding other than chunked, so the body cannot be replayed.",
        "Use Content-Encoding at the origin instead.";

    /// Something more recent was stored meanwhile.
    21 Superseded => "superseded", "RFC 9111 §4",
        "A newer response was stored while this one was in transit.",
        "Nothing to do: the next request is served the newer one, or fetches again.";

    /// Not seen often enough yet.
    22 Admission => "admission", "",
        "It has not been requested min_uses times yet.",
        "Nothing to do: it is stored once it has been requested often enough.";
}

impl NotStored {
    /// Whether the origin, or the way to it, has failed.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        matches!(self, NotStored::Error | NotStored::Incomplete)
    }
}

reasons! {
    /// What Larder answers itself, without the origin or a stored response.
    Local:

    /// `only-if-cached`, and nothing is stored that may be used: 504 (RFC 9111 §5.2.1.7).
    OnlyIfCached => "only-if-cached", "RFC 9111 §5.2.1.7",
        "The request says only-if-cached, and no stored response may be served.",
        "Remove only-if-cached from the request, or request the URL without it first.";

    /// The admin route.
    Admin => "admin", "",
        "Answered by the admin route.",
        "";
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_reason_has_a_code_of_its_own() {
        for reason in NotStored::ALL {
            assert_eq!(NotStored::from_code(reason.code()), Some(reason));
        }
        assert_eq!((NotStored::from_code(0), NotStored::from_code(u8::MAX)), (None, None));
    }

    #[test]
    fn every_reason_is_a_sentence_with_its_word() {
        let all = NotStored::ALL.map(NotStored::reason).into_iter();
        let all = all.chain(ForwardReason::all().map(ForwardReason::reason));
        let all = all.chain(StaleReason::ALL.map(StaleReason::reason));
        for reason in all.chain(Local::ALL.map(Local::reason)) {
            assert!(reason.why.ends_with('.'), "{reason:?}");
            assert!(reason.advice.is_empty() || reason.advice.ends_with('.'), "{reason:?}");
            assert!(reason.section.is_empty() || reason.section.starts_with("RFC "), "{reason:?}");
            assert!(reason.word.bytes().all(|b| matches!(b, b'a'..=b'z' | b'-')), "{reason:?}");
        }
        for not in NotStored::ALL {
            assert_eq!(not.reason().word, not.as_str());
            assert!(!not.reason().advice.is_empty(), "{not:?}");
        }
        let unavailable = ForwardReason::Bypass(Bypass::Unavailable);
        assert_eq!((unavailable.as_str(), unavailable.reason().word), ("unavailable", "unavailable"));
    }
}
