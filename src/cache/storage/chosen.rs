//! A response that the origin has chosen for those who accept more content codings than this request does.
//!
//! From all codings that count it chose one; then it would choose that one from fewer as well, as long as it is among
//! them. So an origin that only knows gzip need not be asked once more, and nothing be stored once more, for each set
//! of codings that clients accept. Nothing of the kind is concluded from a response without a coding (the origin
//! may have spared itself the trouble this once), nor for clients who accept more than was asked for: they may be better
//! off.

use std::rc::Rc;

use super::Storage;
use super::judge::Judged;
use crate::cache::host::Host;
use crate::cache::request::CacheRequest;
use crate::http::coding::Coding;
use crate::policy::key;
use crate::policy::reuse::Reuse;
use crate::store::Place;
use crate::store::memory::Entry;
use crate::turn::Turn;

impl Storage {
    /// What the origin would choose for a request, as the fresh variant tells that was chosen from all codings; for who
    /// has no fresh variant of its own.
    pub(in crate::cache) fn chosen_from_more(
        &mut self,
        turn: Turn<'_, impl Host>,
        ask: &CacheRequest,
        nominated: &[String],
    ) -> Option<(Place, Rc<Entry>, Reuse)> {
        if !nominated.iter().any(|name| name == "accept-encoding") {
            return None;
        }
        let (more, accepted) = key::accepting_all(&ask.request, &ask.options)?;
        let place =
            self.writer.place(turn.host, key::variant(&ask.base_key(), nominated, &more, &ask.options));
        let entry = self.stored(turn.host, &place)?;
        let mut lines = entry.response()?.stored.fields.get_all("content-encoding");
        let coding = lines.next().and_then(Coding::named).filter(|_| lines.next().is_none())?;
        match self.judge(turn, &entry, ask) {
            Judged::Usable { reuse, refresh: false } if accepted.contains(coding) => {
                Some((place, Rc::clone(&entry), reuse))
            }
            _ => None,
        }
    }
}
