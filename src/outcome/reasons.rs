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
    /// Why, where it is laid down, and what to change.
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
        "It is stale and served because the origin fails.",
        "Look at the origin.";

    /// The circuit breaker of its cluster is open.
    IfDown => "stale-if-down", "RFC 9111 §4.2.4",
        "It is stale and served without asking, because its cluster is taken to be down.",
        "Look at the origin.";

    /// Soft purged, within its grace.
    SoftPurged => "soft-purged", "",
        "It was soft purged and is served while it is being refreshed.",
        "";

    /// `max-stale` in the request (RFC 9111 §5.2.1.2).
    MaxStale => "max-stale", "RFC 9111 §5.2.1.2",
        "It is stale, and the client accepts that with max-stale.",
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
        "Use GET or HEAD for what only reads.";

    /// No response is stored for the URI.
    "uri-miss" UriMiss => "uri-miss", "RFC 9111 §4",
        "No response is stored for this URL.",
        "";

    /// Responses are stored for the URI, but none for this request's nominated fields.
    "vary-miss" VaryMiss => "vary-miss", "RFC 9111 §4.1",
        "Responses are stored for this URL, but for other values of the fields that Vary names.",
        "Leave out what makes no difference (key.cookies_drop, key.accept_encoding), bring other fields into few \
         forms before the cache, or name fewer of them.";

    /// What is stored came by another route than this request takes.
    "vary-miss" RouteMiss => "route-miss", "",
        "What is stored came by another route: routes match on more than host, path and method.",
        "Name the field that they match on in key.headers, or give the routes a key.partition.";

    /// A response was stored and has been hard purged.
    "uri-miss" Purged => "purged", "",
        "What was stored has been purged.",
        "Nothing: the next request finds what this one fetches.";

    /// The request's own directives forbid the stored response.
    "request" Request => "request", "RFC 9111 §5.2.1",
        "The client asked for something newer than what is stored.",
        "Ignore request directives in a rule, if clients shall not force fetches.";

    /// The stored response is stale.
    "stale" Stale => "stale", "RFC 9111 §4.2",
        "What is stored is stale, and may not be served so.",
        "Lengthen max-age, or allow stale-while-revalidate, at the origin or in a rule.";

    /// The stored response was soft purged or invalidated by an unsafe method.
    "stale" Invalidated => "invalidated", "RFC 9111 §4.4",
        "What is stored was invalidated and is validated before it is used.",
        "Nothing: the next request finds what this one brings.";

    /// Etcd was not heard of for longer than `fleet.max_lag`.
    "stale" Lagging => "lagging", "RFC 9111 §4.2.4",
        "Etcd has not been heard of for longer than fleet.max_lag, so a purge of it may have been missed.",
        "See fleet on the admin route for what is wrong with etcd or the way to it; fleet.when_lagging says what is done.";

    /// Only a part of the representation is stored.
    "partial" Partial => "partial", "RFC 9111 §3.3",
        "Only another part of the representation is stored.",
        "Fetch it whole once.";
}

impl ForwardReason {
    /// All, with those for which a request passes by the cache.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().chain(Bypass::ALL.into_iter().map(Self::Bypass))
    }

    /// What `fwd` alone does not say.
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
    /// Why a request does not concern the cache.
    Bypass:

    /// A rule says so.
    Rule => "rule", "",
        "A rule says bypass.",
        "Change the rule.";

    /// A request with a body whose method gives it no meaning (RFC 9110 §9.3.1), or too much of it to be part of a key.
    RequestBody => "request-body", "RFC 9110 §9.3.1",
        "The request has a body to which its method gives no meaning, or more content than a key may hold.",
        "Send GET without a body, and QUERY with no more content than key.content_bytes_max.";

    /// `Upgrade`, `CONNECT` or another use of the connection beyond one exchange.
    Upgrade => "upgrade", "RFC 9110 §7.8",
        "The request uses the connection for more than one exchange.",
        "";

    /// gRPC.
    Grpc => "grpc", "",
        "gRPC is not cached.",
        "";

    /// A target that is not an absolute path, or an authority that is empty, ambiguous or carries user information.
    Target => "target", "RFC 9110 §4.2",
        "The target is no path, or its host is missing, ambiguous or carries user information.",
        "Ask for a path on one host.";

    /// A request field that may change the response, and that neither the key nor `Vary` tells of.
    Unkeyed => "unkeyed", "",
        "It has a field that may change the response, and that neither the key nor Vary tells of.",
        "Strip it before the cache, or say in key.unkeyed what becomes of it.";

    /// The journal could not be read, or others were always faster with the set in shared data.
    Unavailable => "unavailable", "",
        "The journal could not be read, or other workers changed its set of the store all the time.",
        "Look at the health endpoint, and whether larder_conflicts or larder_damaged grow.";

    /// Requests and responses under way take all the memory that they may.
    Memory => "memory", "",
        "Requests and responses under way took all the memory of the worker that they may.",
        "See why so many are under way, or raise store.in_flight_bytes_max.";

    /// The wait for another's fetch came to its deadline, or too many wait already.
    NotShared => "not-shared", "",
        "The fetch that it waited for took longer than collapse.wait_max, or too many requests waited already.",
        "Look at how long the origin takes; collapse.wait_max, waiters_max and key_waiters_max are the limits.";
}

// Before each: its code in shared data. It may stand there for as long as Envoy runs, and other versions of the module
// read it: a code is never changed, and never given to another reason.
reasons! {
    /// Why a response is not stored.
    NotStored by code:

    /// The request was not one for the cache.
    1 Request => "request", "RFC 9111 §3",
        "The request was for a head or a part, and its response is nothing that could be stored for others.",
        "Use GET without Range.";

    /// The method's response is not stored (RFC 9111 §3).
    2 Method => "method", "RFC 9111 §3",
        "Responses to this method are not stored.",
        "Use GET; store_post has a POST's 200 stored that has an explicit lifetime and names its own URL in \
         Content-Location.";

    /// A status code that is not final or not understood where it must be.
    3 Status => "status", "RFC 9111 §3",
        "The status code answers this one request only, or must-understand asks for one that the cache knows.",
        "Nothing for 304, 407, 408, 412, 413, 416, 417, 421, 425, 428, 429, 431 and 511; for others leave out \
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
        "The response says private: it is for one user, and this cache is shared.",
        "If it is the same for all, say public instead of private at the origin.";

    /// `Authorization`, or another credential, without `public`, `must-revalidate` or `s-maxage` (§3.5).
    7 Authorization => "authorization", "RFC 9111 §3.5",
        "The request carries Authorization or another credential, or a filter has authenticated its sender, and \
         the response does not say that it may be shared.",
        "If it may, add public, s-maxage or must-revalidate at the origin, or say in credentials what is none; \
         to store answers for each sender, make what identifies it part of the key there.";

    /// `Set-Cookie`, and no rule that allows it.
    8 SetCookie => "set-cookie", "RFC 6265 §3",
        "The response sets a cookie, which another client would get too.",
        "Do not set cookies on what can be cached, or strip the field in a rule.";

    /// `Cookie` in the request, and a lifetime that would have to be guessed, or a rule that wants `public` then.
    9 Cookie => "cookie", "",
        "The request carries a cookie, and the response does not say how long it is fresh, or not that it may be \
         shared where a rule wants that.",
        "Add max-age, or public or s-maxage, at the origin, or a ttl in a rule.";

    /// Nothing gives it a freshness lifetime, or none of it is left, and it has no validator.
    10 NoFreshness => "no-freshness", "RFC 9111 §3",
        "It is stale as soon as it comes: nothing says how long it is fresh, or none of that is left. And it has \
         no validator to ask again with.",
        "Add Cache-Control: max-age, or at least an ETag, at the origin, or a ttl in a rule.";

    /// `no-cache`, and it has no validator.
    24 NoCache => "no-cache", "RFC 9111 §5.2.2.4",
        "The response says no-cache, so that it is validated before each use, whatever its lifetime; and it has \
         no validator to do so with.",
        "Add an ETag at the origin, or say max-age instead of no-cache; a ttl in a rule does not change that.";

    /// Its `Date` is further in the past than its lifetime is long, and it has no validator.
    25 ClockBehind => "clock-behind", "RFC 9111 §4.2.3",
        "By its Date it is older than its lifetime as soon as it comes: the clock of its origin is behind, or a \
         cache on the way sends an old response without Age.",
        "Set the clock of the origin.";

    /// It is stored already and is validated before each use: this was one of these validations.
    26 Validated => "validated", "RFC 9111 §4.3",
        "It is stored, and has no lifetime or says no-cache: each request has it validated, for itself if \
         another has just done so.",
        "Add Cache-Control: max-age at the origin, if it may be used for a while without asking.";

    /// `Vary: *`.
    11 VaryAny => "vary-any", "RFC 9111 §4.1",
        "Vary: * fits no other request.",
        "Name in Vary the fields that the response really depends on.";

    /// More nominated fields or tags than the limits allow, or a tag that is too long.
    12 Limits => "limits", "",
        "It has more tags than allowed, one that is too long or cannot be named, or Vary names more than 16 \
         fields.",
        "Send fewer or shorter tags, name fewer fields in Vary, or raise tags.count_max and tags.length_max.";

    /// Its host has taken all that a host may.
    23 HostQuota => "host-quota", "",
        "It is larger than all that one host may take, or the responses of its host take that already and no \
         other of them was found to make room.",
        "Raise store.host_bytes_max, or store less of this host.";

    /// An error that Envoy or one of its filters has answered with, not the origin.
    29 LocalReply => "local-reply", "",
        "It is an error of Envoy or of one of its filters, not of the origin: a route that is missing, a refusal.",
        "Nothing, if only some requests shall meet it; else see why Envoy answers so.";

    /// Not enough could be evicted to make room for it.
    28 NoRoom => "no-room", "",
        "The store is full, and evicting what is worth least did not make enough room for it.",
        "Raise store.bytes_max, or store fewer large responses.";

    /// The body is larger than the largest that is stored.
    13 TooLarge => "too-large", "",
        "Its body is larger than the largest that is stored.",
        "Raise store.object_bytes_max, which is 64MiB at most, and object_bytes_max where a rule sets it; mind \
         what large hits cost in memory.";

    /// Requests and responses under way took all the memory that they may.
    27 Memory => "memory", "",
        "Requests and responses under way took all the memory of the worker that they may, and its body was \
         among the largest.",
        "See why so many are under way, or raise store.in_flight_bytes_max.";

    /// An error that the oddness of its request may have provoked.
    15 Provoked => "provoked", "",
        "It is an error, and the request was so long or odd that it may have caused it.",
        "Ask with fewer or shorter fields of plain text.";

    /// A partial response that cannot be combined.
    14 Partial => "partial", "RFC 9111 §3.3",
        "It is a part of a representation that cannot be combined with others.",
        "Give the representation a strong ETag, and ask for one range at a time.";

    /// The response ended early or its length is wrong.
    16 Incomplete => "incomplete", "RFC 9111 §3.3",
        "The response ended early, or its length was not the one it announced.",
        "Look at the origin: it or something before it breaks connections.";

    /// A server error or a failure to reach the origin.
    17 Error => "error", "",
        "The origin failed or could not be reached.",
        "Look at the origin; a ttl for the status in a rule caches its errors for a while.";

    /// Another request holds the flight, or all flights of its set were taken.
    18 NoFlight => "no-flight", "",
        "Another request was already fetching it, or too many fetches ran at once.",
        "Nothing: the next request finds what the other one stored, or stores it.";

    /// A rule says so.
    19 Rule => "rule", "",
        "A rule says bypass.",
        "Change the rule.";

    /// A transfer coding that cannot be replayed.
    20 Framing => "framing", "RFC 9112 §6",
        "It has a transfer coding other than chunked, which cannot be sent again from a store.",
        "Use Content-Encoding instead at the origin.";

    /// Something more recent was stored meanwhile.
    21 Superseded => "superseded", "RFC 9111 §4",
        "While it was under way something newer was stored in its place.",
        "Nothing: the next request finds that, or fetches it again.";

    /// Not seen often enough yet.
    22 Admission => "admission", "",
        "It has not been asked for often enough to be worth the room.",
        "Nothing: it is stored when it is asked for again.";
}

impl NotStored {
    /// Whether the origin, or the way to it, has failed.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        matches!(self, NotStored::Error | NotStored::Incomplete)
    }
}

reasons! {
    /// What the cache answers by itself.
    Local:

    /// `only-if-cached`, and nothing is stored that may be used: 504 (RFC 9111 §5.2.1.7).
    OnlyIfCached => "only-if-cached", "RFC 9111 §5.2.1.7",
        "The request says only-if-cached, and nothing is stored that may answer it.",
        "Leave it out at the client, or fetch the URL before.";

    /// The admin route.
    Admin => "admin", "",
        "The admin route has answered.",
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
