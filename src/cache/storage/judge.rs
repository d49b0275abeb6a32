//! What a stored response is good for, as the answer to a request.

use super::Storage;
use crate::cache::host::Host;
use crate::cache::request::CacheRequest;
use crate::invalidation::Verdict;
use crate::outcome::ForwardReason;
use crate::policy::Invalidated;
use crate::policy::ahead::is_due;
use crate::policy::reuse::{Reuse, reuse};
use crate::store::flights::mixed;
use crate::store::memory::Entry;
use crate::store::record::{Content, Response};
use crate::time::Now;
use crate::turn::Turn;

/// What an entry is good for.
pub(super) enum Judged {
    /// It says which fields select.
    Nominated,
    /// It may be served.
    Usable {
        /// Why.
        reuse: Reuse,
        /// Whether it is to be refreshed meanwhile.
        refresh: bool,
    },
    /// It may be validated, at best.
    Unusable(ForwardReason),
    /// It answers other requests for the same URI. Its validators would be taken for those of another response.
    OfAnother(ForwardReason),
    /// It is hard purged.
    Purged,
}

impl Storage {
    pub(super) fn judge(&self, turn: Turn<'_, impl Host>, entry: &Entry, ask: &CacheRequest) -> Judged {
        let verdict = self.verdict_for(entry, ask, turn.now);
        match (&entry.record.content, invalidated(verdict)) {
            (_, None) => Judged::Purged,
            (Content::Variants(_), Some(_)) => Judged::Nominated,
            // Nobody looks for a response where such a record lies.
            (Content::Search(_), Some(_)) => Judged::Purged,
            (Content::Response(response), Some(invalidated)) => {
                let judged = usable(response, ask, invalidated, entry.record.generation, turn.now);
                let is_hit = matches!(judged, Judged::Usable { reuse: Reuse::Fresh { .. }, refresh: false });
                if is_hit && self.route_check.is_spared(entry, response, ask, turn.now) {
                    judged
                } else if self.route_check.took_another_route(turn, entry, response, ask) {
                    Judged::OfAnother(ForwardReason::RouteMiss)
                } else if let Judged::Unusable(reason) = judged {
                    Judged::Unusable(self.validated_because(reason, entry, ask))
                } else {
                    judged
                }
            }
        }
    }
}

fn usable(
    response: &Response,
    ask: &CacheRequest,
    invalidated: Invalidated,
    generation: u64,
    now: Now,
) -> Judged {
    match reuse(&response.stored, &ask.request, &ask.options, invalidated, now.wall) {
        Reuse::Validate(reason @ ForwardReason::VaryMiss) => Judged::OfAnother(reason),
        Reuse::Validate(reason) => Judged::Unusable(reason),
        stale @ Reuse::Stale { refresh, .. } => Judged::Usable { reuse: stale, refresh },
        fresh @ Reuse::Fresh { ttl, .. } => {
            // The number that this request draws: its own, and the same whenever the same happens.
            let chance = || mixed(generation ^ mixed(now.mono.0 << 32 ^ u64::from(ask.stream)));
            Judged::Usable { reuse: fresh, refresh: is_due(&response.stored, ttl, chance) }
        }
    }
}

/// A verdict in the policy's words; none for what is gone.
pub(in crate::cache) fn invalidated(verdict: Verdict) -> Option<Invalidated> {
    match verdict {
        Verdict::Valid => Some(Invalidated::No),
        Verdict::Soft { at } => Some(Invalidated::Soft { at }),
        Verdict::Revalidate => Some(Invalidated::Revalidate),
        Verdict::Hard => None,
    }
}
