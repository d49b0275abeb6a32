//! What the cache did with a request and why: one enum for `Cache-Status` (RFC 9211), metrics, access log and explain.

use core::fmt::Write;

pub mod metrics;

/// How a request was answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Answered from the cache without asking the origin (RFC 9211 §2.1).
    Hit {
        /// Remaining freshness lifetime in seconds; negative when stale (§2.4).
        ttl: i64,
        /// Why a stale response was served; none for a fresh one.
        stale: Option<StaleReason>,
    },
    /// Went to the origin (§2.2).
    Forward(Forward),
    /// Answered by the cache itself without a stored response.
    Local(Local),
}

/// What the cache answers by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Local {
    /// `only-if-cached`, and nothing is stored that may be used: 504 (RFC 9111 §5.2.1.7).
    OnlyIfCached,
    /// The admin route.
    Admin,
}

/// A request that went to the origin.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Forward {
    /// Why (§2.2).
    pub reason: ForwardReason,
    /// The status code of the origin, where it differs from what the client got, e.g. 304 (§2.3).
    pub status: Option<u16>,
    /// Whether the response is being stored (§2.5).
    pub stored: Stored,
    /// For a request that waited for the fetch of another: whether that came to an answer for it (§2.6).
    pub collapsed: Option<bool>,
}

/// Whether the response of a forwarded request is stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stored {
    /// It is.
    Yes,
    /// It is, if it comes to its end and is not too large by then: it does not say how long it is.
    Perhaps,
    /// It is not, for this reason.
    No(NotStored),
}

/// Why a request went to the origin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ForwardReason {
    /// The request does not concern the cache.
    Bypass(Bypass),
    /// The method is not one that the cache answers.
    Method,
    /// No response is stored for the URI.
    UriMiss,
    /// Responses are stored for the URI, but none for this request's nominated fields.
    VaryMiss,
    /// What is stored came by another route than this request takes.
    RouteMiss,
    /// A response was stored and has been hard purged.
    Purged,
    /// The request's own directives forbid the stored response.
    Request,
    /// The stored response is stale.
    Stale,
    /// The stored response was soft purged or invalidated by an unsafe method.
    Invalidated,
    /// Only a part of the representation is stored.
    Partial,
}

/// Why a request does not concern the cache.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bypass {
    /// A rule says so.
    Rule,
    /// A request with a body whose method gives it no meaning (RFC 9110 §9.3.1), or too much of it to be part of a key.
    RequestBody,
    /// `Upgrade`, `CONNECT` or another use of the connection beyond one exchange.
    Upgrade,
    /// gRPC.
    Grpc,
    /// A target that is not an absolute path, or an authority that is empty, ambiguous or carries user information.
    Target,
    /// A request field that may change the response, and that neither the key nor `Vary` tells of.
    Unkeyed,
    /// The journal could not be read, or others were always faster with the set in shared data.
    Unavailable,
    /// Requests and responses under way take all the memory that they may.
    Memory,
    /// The wait for another's fetch came to its deadline, or too many wait already.
    NotShared,
}

/// Why a response is not stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum NotStored {
    /// The request was not one for the cache.
    Request,
    /// The method's response is not stored (RFC 9111 §3).
    Method,
    /// A status code that is not final or not understood where it must be.
    Status,
    /// `no-store` in the response.
    NoStore,
    /// `no-store` in the request.
    RequestNoStore,
    /// `private`.
    Private,
    /// `Authorization`, or another credential, without `public`, `must-revalidate` or `s-maxage` (§3.5).
    Authorization,
    /// `Set-Cookie`, and no rule that allows it.
    SetCookie,
    /// `Cookie` in the request, and a lifetime that would have to be guessed, or a rule that wants `public` then.
    Cookie,
    /// Nothing gives it a freshness lifetime, or none of it is left, and it has no validator.
    NoFreshness,
    /// `Vary: *`.
    VaryAny,
    /// More nominated fields or tags than the limits allow, or a tag that is too long.
    Limits,
    /// The body is larger than the largest that is stored.
    TooLarge,
    /// A partial response that cannot be combined.
    Partial,
    /// An error that the oddness of its request may have provoked.
    Provoked,
    /// The response ended early or its length is wrong.
    Incomplete,
    /// A server error or a failure to reach the origin.
    Error,
    /// Another request holds the flight, or all flights of its set were taken.
    NoFlight,
    /// A rule says so.
    Rule,
    /// A transfer coding that cannot be replayed.
    Framing,
    /// Something more recent was stored meanwhile.
    Superseded,
    /// Not seen often enough yet.
    Admission,
    /// Its host has taken all that a host may.
    HostQuota,
    /// `no-cache`, and it has no validator.
    NoCache,
    /// Its `Date` is further in the past than its lifetime is long, and it has no validator.
    ClockBehind,
    /// It is stored already and is validated before each use: this was one of these validations.
    Validated,
    /// Requests and responses under way took all the memory that they may.
    Memory,
    /// Not enough could be evicted to make room for it.
    NoRoom,
    /// An error that Envoy or one of its filters has answered with, not the origin.
    LocalReply,
}

/// Why a stale response was served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StaleReason {
    /// `stale-while-revalidate` (RFC 5861 §3).
    WhileRevalidate,
    /// The circuit breaker of its cluster is open.
    IfDown,
    /// `stale-if-error` (RFC 5861 §4).
    IfError,
    /// Soft purged, within its grace.
    SoftPurged,
    /// `max-stale` in the request (RFC 9111 §5.2.1.2).
    MaxStale,
}

impl Outcome {
    /// The outcome as a member of `Cache-Status` (RFC 9211 §2), e.g. `larder; hit; ttl=42`.
    #[must_use]
    pub fn cache_status(&self, cache: &str) -> String {
        let mut text = String::with_capacity(48);
        text.push_str(cache);
        match self {
            Outcome::Hit { ttl, stale } => {
                text.push_str("; hit; ttl=");
                text.push_str(itoa::Buffer::new().format(*ttl));
                if let Some(stale) = stale {
                    let _ = write!(text, "; detail={}", stale.as_str());
                }
            }
            Outcome::Forward(forward) => forward.write(&mut text),
            Outcome::Local(local) => {
                let _ = write!(text, "; detail={}", local.as_str());
            }
        }
        text
    }

    /// Who has answered and how, as Envoy's access log has it (`%RESPONSE_CODE_DETAILS%`) where the cache itself has.
    #[must_use]
    pub const fn details(&self) -> &'static str {
        match self {
            Outcome::Hit { stale: None, .. } => "larder_hit",
            Outcome::Hit { stale: Some(_), .. } => "larder_stale",
            Outcome::Forward(Forward { collapsed: Some(true), .. }) => "larder_collapsed",
            Outcome::Forward(Forward { status: Some(304), .. }) => "larder_revalidated",
            Outcome::Forward(Forward { stored: Stored::Yes | Stored::Perhaps, .. }) => "larder_fetched",
            Outcome::Forward(Forward { stored: Stored::No(_), .. }) => "larder_passing",
            Outcome::Local(Local::OnlyIfCached) => "larder_only_if_cached",
            Outcome::Local(Local::Admin) => "larder_admin",
        }
    }

    /// The outcome in one word, for the access log and for metrics.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Outcome::Hit { stale: None, .. } => "hit",
            Outcome::Hit { stale: Some(stale), .. } => stale.as_str(),
            Outcome::Forward(forward) => forward.reason.as_str(),
            Outcome::Local(local) => local.as_str(),
        }
    }
}

impl Local {
    /// All of them.
    pub const ALL: [Local; 2] = [Local::OnlyIfCached, Local::Admin];

    /// What it is in one word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Local::OnlyIfCached => "only-if-cached",
            Local::Admin => "admin",
        }
    }
}

impl Forward {
    /// A request that goes to the origin and whose response is not stored, for now.
    #[must_use]
    pub const fn new(reason: ForwardReason) -> Self {
        Forward { reason, status: None, stored: Stored::No(NotStored::Request), collapsed: None }
    }

    fn write(&self, text: &mut String) {
        let _ = write!(text, "; fwd={}", self.reason.fwd());
        if let Some(status) = self.status {
            let _ = write!(text, "; fwd-status={status}");
        }
        match self.collapsed {
            Some(true) => text.push_str("; collapsed"),
            Some(false) => text.push_str("; collapsed=?0"),
            None => {}
        }
        if self.stored == Stored::Yes {
            text.push_str("; stored");
        }
        let storing = (self.stored == Stored::Perhaps).then_some("storing");
        let not_stored = self.not_stored().map(NotStored::as_str);
        if let Some(detail) = not_stored.or(self.reason.detail()).or(storing) {
            let _ = write!(text, "; detail={detail}");
        }
    }

    /// Why this response is not stored, where that says something about it: not where storing it was out of the question.
    #[must_use]
    pub const fn not_stored(&self) -> Option<NotStored> {
        match (self.stored, self.reason) {
            (Stored::Yes | Stored::Perhaps | Stored::No(NotStored::Request | NotStored::Method), _)
            | (_, ForwardReason::Bypass(_) | ForwardReason::Method) => None,
            (Stored::No(reason), _) => Some(reason),
        }
    }
}

impl ForwardReason {
    /// All reasons but those to pass by the cache ([`Bypass::ALL`]).
    pub const ALL: [ForwardReason; 9] = [
        ForwardReason::Method,
        ForwardReason::UriMiss,
        ForwardReason::VaryMiss,
        ForwardReason::Purged,
        ForwardReason::Request,
        ForwardReason::Stale,
        ForwardReason::Invalidated,
        ForwardReason::Partial,
        ForwardReason::RouteMiss,
    ];

    /// The value of the `fwd` parameter (RFC 9211 §2.2).
    #[must_use]
    pub const fn fwd(self) -> &'static str {
        match self {
            ForwardReason::Bypass(_) => "bypass",
            ForwardReason::Method => "method",
            ForwardReason::UriMiss | ForwardReason::Purged => "uri-miss",
            ForwardReason::VaryMiss | ForwardReason::RouteMiss => "vary-miss",
            ForwardReason::Request => "request",
            ForwardReason::Stale | ForwardReason::Invalidated => "stale",
            ForwardReason::Partial => "partial",
        }
    }

    /// What `fwd` alone does not say.
    #[must_use]
    pub const fn detail(self) -> Option<&'static str> {
        match self {
            ForwardReason::Bypass(why) => Some(why.as_str()),
            ForwardReason::Purged => Some("purged"),
            ForwardReason::Invalidated => Some("invalidated"),
            ForwardReason::RouteMiss => Some("route-miss"),
            ForwardReason::Method
            | ForwardReason::UriMiss
            | ForwardReason::VaryMiss
            | ForwardReason::Request
            | ForwardReason::Stale
            | ForwardReason::Partial => None,
        }
    }

    /// The reason in one word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            ForwardReason::Purged => "purged",
            ForwardReason::Invalidated => "invalidated",
            ForwardReason::RouteMiss => "route-miss",
            _ => self.fwd(),
        }
    }
}

impl Bypass {
    /// All reasons.
    pub const ALL: [Bypass; 9] = [
        Bypass::Rule,
        Bypass::RequestBody,
        Bypass::Upgrade,
        Bypass::Grpc,
        Bypass::Target,
        Bypass::Unkeyed,
        Bypass::Unavailable,
        Bypass::Memory,
        Bypass::NotShared,
    ];

    /// The reason in one word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Bypass::Rule => "rule",
            Bypass::RequestBody => "request-body",
            Bypass::Upgrade => "upgrade",
            Bypass::Grpc => "grpc",
            Bypass::Target => "target",
            Bypass::Unkeyed => "unkeyed",
            Bypass::Unavailable => "unavailable",
            Bypass::Memory => "memory",
            Bypass::NotShared => "not-shared",
        }
    }
}

impl NotStored {
    /// All reasons; the position of each, from one, is its code in shared data.
    pub const ALL: [NotStored; 29] = [
        NotStored::Request,
        NotStored::Method,
        NotStored::Status,
        NotStored::NoStore,
        NotStored::RequestNoStore,
        NotStored::Private,
        NotStored::Authorization,
        NotStored::SetCookie,
        NotStored::Cookie,
        NotStored::NoFreshness,
        NotStored::VaryAny,
        NotStored::Limits,
        NotStored::TooLarge,
        NotStored::Partial,
        NotStored::Provoked,
        NotStored::Incomplete,
        NotStored::Error,
        NotStored::NoFlight,
        NotStored::Rule,
        NotStored::Framing,
        NotStored::Superseded,
        NotStored::Admission,
        NotStored::HostQuota,
        NotStored::NoCache,
        NotStored::ClockBehind,
        NotStored::Validated,
        NotStored::Memory,
        NotStored::NoRoom,
        NotStored::LocalReply,
    ];

    /// Whether the origin, or the way to it, has failed.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        matches!(self, NotStored::Error | NotStored::Incomplete)
    }

    /// The reason as one byte that is never zero, for shared data.
    #[must_use]
    pub fn code(self) -> u8 {
        Self::ALL.iter().position(|r| *r == self).map_or(u8::MAX, |at| at as u8 + 1)
    }

    /// The reason of a code.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code.checked_sub(1)?)).copied()
    }

    /// The reason in one word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            NotStored::Request => "request",
            NotStored::Method => "method",
            NotStored::Status => "status",
            NotStored::NoStore => "no-store",
            NotStored::RequestNoStore => "request-no-store",
            NotStored::Private => "private",
            NotStored::Authorization => "authorization",
            NotStored::SetCookie => "set-cookie",
            NotStored::Cookie => "cookie",
            NotStored::NoFreshness => "no-freshness",
            NotStored::VaryAny => "vary-any",
            NotStored::Limits => "limits",
            NotStored::TooLarge => "too-large",
            NotStored::Partial => "partial",
            NotStored::Provoked => "provoked",
            NotStored::Incomplete => "incomplete",
            NotStored::Error => "error",
            NotStored::NoFlight => "no-flight",
            NotStored::Rule => "rule",
            NotStored::Framing => "framing",
            NotStored::Superseded => "superseded",
            NotStored::Admission => "admission",
            NotStored::HostQuota => "host-quota",
            NotStored::NoCache => "no-cache",
            NotStored::ClockBehind => "clock-behind",
            NotStored::Validated => "validated",
            NotStored::Memory => "memory",
            NotStored::NoRoom => "no-room",
            NotStored::LocalReply => "local-reply",
        }
    }
}

impl StaleReason {
    /// All reasons.
    pub const ALL: [StaleReason; 5] = [
        StaleReason::WhileRevalidate,
        StaleReason::IfError,
        StaleReason::IfDown,
        StaleReason::SoftPurged,
        StaleReason::MaxStale,
    ];

    /// The reason in one word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            StaleReason::WhileRevalidate => "stale-while-revalidate",
            StaleReason::IfError => "stale-if-error",
            StaleReason::IfDown => "stale-if-down",
            StaleReason::SoftPurged => "soft-purged",
            StaleReason::MaxStale => "max-stale",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn an_outcome_is_said_in_cache_status_and_in_the_access_log() {
        let forward = |reason, stored, status, collapsed| {
            Outcome::Forward(Forward { stored, status, collapsed, ..Forward::new(reason) })
        };
        let (stale, purged) = (ForwardReason::Stale, ForwardReason::Purged);
        let (yes, perhaps, no) = (Stored::Yes, Stored::Perhaps, Stored::No(NotStored::NoStore));
        let request = Stored::No(NotStored::Request);
        let if_error = Some(StaleReason::IfError);
        for (outcome, status, details) in [
            (Outcome::Hit { ttl: 7, stale: None }, "c; hit; ttl=7", "larder_hit"),
            (
                Outcome::Hit { ttl: -7, stale: if_error },
                "c; hit; ttl=-7; detail=stale-if-error",
                "larder_stale",
            ),
            (forward(stale, yes, None, None), "c; fwd=stale; stored", "larder_fetched"),
            (forward(stale, perhaps, None, None), "c; fwd=stale; detail=storing", "larder_fetched"),
            (forward(purged, perhaps, None, None), "c; fwd=uri-miss; detail=purged", "larder_fetched"),
            (
                forward(stale, yes, Some(304), None),
                "c; fwd=stale; fwd-status=304; stored",
                "larder_revalidated",
            ),
            (forward(stale, yes, None, Some(true)), "c; fwd=stale; collapsed; stored", "larder_collapsed"),
            (forward(stale, no, None, None), "c; fwd=stale; detail=no-store", "larder_passing"),
            (forward(stale, request, None, Some(false)), "c; fwd=stale; collapsed=?0", "larder_passing"),
            (Outcome::Local(Local::OnlyIfCached), "c; detail=only-if-cached", "larder_only_if_cached"),
            (Outcome::Local(Local::Admin), "c; detail=admin", "larder_admin"),
        ] {
            assert_eq!((outcome.cache_status("c").as_str(), outcome.details()), (status, details));
        }
    }

    #[test]
    fn a_reason_has_a_code_of_its_own() {
        for reason in NotStored::ALL {
            assert_eq!(NotStored::from_code(reason.code()), Some(reason));
        }
        assert_eq!((NotStored::from_code(0), NotStored::from_code(u8::MAX)), (None, None));
    }
}
