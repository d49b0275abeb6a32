//! The bodies of responses that are to be stored, as they arrive on the streams of their clients.

use super::storable::{Storable, Target};
use super::{Cache, CacheRequest, FetchEnd, Host, StreamId};
use crate::outcome::{NotStored, Stored};
use crate::store::record::Response;
use crate::time::Now;
use crate::turn::Turn;

impl Cache {
    /// Part of the response to a request on its way to the client has arrived.
    pub fn progressed(&mut self, generation: u64, now: Now) {
        if let Some(fetch) = self.fetches.get_mut(generation) {
            fetch.progress = Some(now.mono);
        }
    }

    /// All of the body of a response has arrived on the stream of its client. Whether it is stored.
    pub fn body_complete(
        &mut self,
        turn: Turn<'_, impl Host>,
        ask: Option<&CacheRequest>,
        storable: Storable,
        body: Vec<u8>,
    ) -> Stored {
        if let Err(why) = storable.check_whole(&body) {
            if let Some(generation) = storable.generation() {
                self.body_given_up(turn, generation, why);
            }
            return Stored::No(why);
        }
        let (response, limit, target) = storable.with_body(body);
        match target {
            // It stalled, and the root has taken the fetch over: it would be stored with the stamp of what that brings, which is
            // newer than it is (M22).
            Target::Fetch { generation, .. } if !self.is_streamed(generation) => {
                Stored::No(NotStored::NoFlight)
            }
            Target::Fetch { generation, .. } => self.end_with(turn, generation, response),
            Target::Uncollapsed { ask, place, .. } => match self.lead_complete(turn, &ask, &place, None) {
                Ok(generation) => self.end_with(turn, generation, response),
                Err(why) => Stored::No(why),
            },
            Target::Own { key, order } => {
                let stored = self.store_under_uri(turn, &key, order, response, limit);
                if let Some(ask) = ask {
                    ask.home.set(stored.ok());
                }
                stored.map_or_else(Stored::No, |_| Stored::Yes)
            }
        }
    }

    /// The response to the request of a stream has broken off: on its way to a body that was to be stored for this fetch, if
    /// for any.
    pub fn response_broke(&mut self, turn: Turn<'_, impl Host>, stream: StreamId, generation: Option<u64>) {
        self.cluster_answered(turn, || turn.host.cluster(stream), true);
        if let Some(generation) = generation {
            self.body_given_up(turn, generation, NotStored::Incomplete);
        }
    }

    /// Of the response to a fetch some will be missing. Not where it stalled and the root has taken that over since: others
    /// wait for what that brings (M23).
    pub fn body_given_up(&mut self, turn: Turn<'_, impl Host>, generation: u64, why: NotStored) {
        if self.is_streamed(generation) {
            self.end_fetch(turn, generation, FetchEnd::NotStored(why));
        }
    }

    fn end_with(&mut self, turn: Turn<'_, impl Host>, generation: u64, response: Response) -> Stored {
        let ended = self.end_fetch(turn, generation, FetchEnd::Stored(Box::new(response)));
        ended.map_or(Stored::No(NotStored::NoFlight), |(_, stored)| stored)
    }

    /// Whether the fetch is still that of a client's stream: one that stalled may have been taken from it.
    fn is_streamed(&self, generation: u64) -> bool {
        self.fetches.get(generation).is_some_and(|fetch| fetch.is_streamed())
    }
}
