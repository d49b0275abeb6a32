//! The requests that are held at their heads until their bodies come, or are given up on.

use core::cell::RefCell;
use core::ops::Bound::{Excluded, Unbounded};
use std::collections::BTreeMap;
use std::rc::Rc;

use super::abi;
use super::bodies::{Arrival, Bodies};
use larder::admin::BodyMissing;
use larder::cache::StreamId;
use larder::config::Config;
use larder::exchange::Exchange;
use larder::time::Monotonic;

/// How many requests that wait for a body are looked at on a tick: each takes two calls to the host. Beyond it the others
/// have their turn on the next one.
const LOOKS_MAX: usize = 64;

/// A request whose body is waited for.
pub struct Held {
    pub(super) config: Rc<Config>,
    pub(super) exchange: Rc<RefCell<Exchange>>,
    until: Monotonic,
    bodies: Rc<Bodies>,
    arrival: Arrival,
    /// It is held to see whether bodies that were kept back come now.
    is_look: bool,
    /// Its body is there and is not shown.
    is_unseen: bool,
}

/// All of a worker.
#[derive(Default)]
pub struct HeldRequests {
    held: BTreeMap<StreamId, Held>,
    /// Which of them was looked at last.
    looked_at: StreamId,
    /// Some of them are to be given up in the next callback of the root.
    are_due: bool,
}

impl Held {
    /// Why its body is not waited for any more.
    fn missing(&self, now: Monotonic) -> Option<BodyMissing> {
        if self.is_unseen || (self.bodies.are_kept_back() && !self.is_look) {
            Some(BodyMissing::KeptBack)
        } else if self.until > now {
            None
        } else if self.is_look {
            Some(BodyMissing::KeptBack)
        } else {
            Some(BodyMissing::Late)
        }
    }
}

impl HeldRequests {
    /// Holds the request at hand; false when its body will not come, and it shall go on without.
    pub(super) fn hold(
        &mut self,
        stream: StreamId,
        config: &Rc<Config>,
        exchange: &Rc<RefCell<Exchange>>,
        bodies: &Rc<Bodies>,
        now: Monotonic,
    ) -> bool {
        let is_look = bodies.are_kept_back();
        let within = bodies.hold(now);
        // A command is answered, but not before Envoy has taken in what came along with its head: many clients break off
        // when they are answered before they have sent everything.
        let is_unseen = within.is_none() && exchange.borrow().is_commanded();
        if within.is_none() && !is_unseen {
            return false;
        }
        self.are_due |= is_unseen;
        let held = Held {
            config: Rc::clone(config),
            exchange: Rc::clone(exchange),
            until: now.after(within.unwrap_or_default()),
            bodies: Rc::clone(bodies),
            arrival: if bodies.are_shown() { Arrival::default() } else { Arrival::of_head() },
            is_look,
            is_unseen,
        };
        self.held.insert(stream, held);
        true
    }

    /// A request is not held any more.
    pub(super) fn release(&mut self, stream: StreamId) {
        self.held.remove(&stream);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Whether some are to be given up in the next callback of the root.
    pub(super) fn are_due(&self) -> bool {
        self.are_due && !self.held.is_empty()
    }

    /// Looks whether bodies that are waited for are there and are not shown: again at a few of which something was there,
    /// and at others in turn.
    pub(super) fn look(&mut self, now: Monotonic) {
        let unsure = |(stream, held): (&StreamId, &Held)| (!held.bodies.are_shown()).then_some(*stream);
        let arrived = |(_, held): &(&StreamId, &Held)| held.arrival.has_begun();
        let mut streams: Vec<StreamId> =
            self.held.iter().filter(arrived).filter_map(unsure).take(LOOKS_MAX / 2).collect();
        let last = self.looked_at;
        let in_turn = self.held.range((Excluded(last), Unbounded)).chain(self.held.range(..=last));
        let others = in_turn.filter(|entry| !arrived(entry)).filter_map(unsure);
        streams.extend(others.take(LOOKS_MAX - streams.len()));
        for stream in streams {
            self.looked_at = stream;
            if let Some(held) = self.held.get_mut(&stream).filter(|_| abi::set_effective_context(stream)) {
                held.is_unseen = held.arrival.look(&held.bodies, now);
            }
        }
    }

    /// Gives up on at most so many whose bodies are not waited for any more, each with the reason.
    pub(super) fn give_up(&mut self, now: Monotonic, max: usize) -> Vec<(StreamId, Held, BodyMissing)> {
        let mut due = self.held.iter().filter_map(|(stream, held)| Some((*stream, held.missing(now)?)));
        let streams: Vec<_> = due.by_ref().take(max).collect();
        self.are_due = due.next().is_some();
        let given_up = streams.into_iter().filter_map(|(stream, why)| {
            let held = self.held.remove(&stream)?;
            if why == BodyMissing::Late {
                held.bodies.missed();
            }
            Some((stream, held, why))
        });
        given_up.collect()
    }
}
