//! What the cache did with a request and why: one enum for `Cache-Status` (RFC 9211), metrics, access log and explain.
//!
//! [`reasons`] has every reason with its word and its explanation, [`metrics`] every counter and gauge. They are tables of
//! one row each, from which [`mod@reference`] renders those of `docs/outcomes.md`. Who decides for which reason is not known here.

use core::fmt::Write;

pub mod metrics;
pub mod reasons;
pub mod reference;

pub use reasons::{Bypass, ForwardReason, JoinReason, Local, NotStored, Reason, StaleReason};

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
}
