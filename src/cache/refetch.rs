//! Fetching what is stored again, for the admin route.

use std::rc::Rc;

use super::{Cache, CacheRequest, Decision, FetchEnd, Found, Host, Waited};
use crate::outcome::{ForwardReason, NotStored};
use crate::policy::reuse::Reuse;
use crate::turn::Turn;

/// What became of the wish to fetch something again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refetch {
    /// It is being fetched, by this call or an earlier one.
    Started,
    /// Only a client's own request can fetch it, as it is not known how the route sends it.
    NoRoute,
    /// A fetch of it has just failed, or its response was not stored.
    Recently(NotStored),
    /// Too many fetches run already.
    Busy,
    /// It is fresh, or the request is none that the cache answers.
    NotNeeded,
}

impl Cache {
    /// Has the root fetch what a request asks for. The request is nobody's: it stands for the key.
    pub fn refetch(&mut self, turn: Turn<'_, impl Host>, ask: &Rc<CacheRequest>) -> Refetch {
        // As one that has waited already: it is not counted among the clients' requests.
        ask.waited.set(Some(Waited { reason: ForwardReason::Stale, leads: false }));
        match self.lookup_again(turn, ask) {
            Decision::Serve { reuse: Reuse::Stale { .. }, .. } | Decision::Forward { .. } => {
                match self.inspect(turn).find(ask) {
                    Some(Found { fetching: true, .. }) => Refetch::Started,
                    Some(Found { not_stored: Some(reason), .. }) => Refetch::Recently(reason),
                    Some(_) | None => Refetch::Busy,
                }
            }
            Decision::Serve { .. } | Decision::Deliver { .. } | Decision::NotCached => Refetch::NotNeeded,
            Decision::Wait => {
                self.leave(ask.stream);
                Refetch::Started
            }
            // It fell to the request itself, which does not exist.
            Decision::Fetch { generation, .. } => {
                self.end_fetch(turn, generation, FetchEnd::Abandoned);
                Refetch::NoRoute
            }
        }
    }
}
