//! What requests and responses under way hold of a worker's memory, and the bound on their sum.
//!
//! The memory of a VM has an end (1 GiB in Envoy), and an allocation beyond it is a trap, with which all that the worker
//! knows is lost. How many requests are under way, and how large they and their responses are, others decide. So each takes
//! its share here before the cache keeps anything of it. A request that finds no room passes without the cache; for a body
//! that finds none the largest bodies are given up, its own among them.

use core::cell::RefCell;
use core::cmp::Reverse;
use hashbrown::HashMap;
use std::rc::Rc;

use crate::heap::{block, with_gaps};

/// The memory of a worker for what is under way.
#[derive(Clone, Debug)]
pub struct InFlight(Rc<RefCell<Pool>>);

#[derive(Debug)]
struct Pool {
    bytes: u64,
    bytes_max: u64,
    bodies: HashMap<u64, Body>,
    /// The number of the newest body.
    last: u64,
    /// The flights whose bodies were given up, until somebody asks.
    given_up: Vec<u64>,
}

#[derive(Debug)]
struct Body {
    bytes: Vec<u8>,
    /// The flight that it is to be stored under, if any.
    flight: Option<u64>,
    /// What it takes beside its bytes.
    beside: u64,
}

/// A share of the memory; given back when it is dropped.
#[derive(Debug)]
pub struct Share {
    of: InFlight,
    bytes: u64,
}

/// A body that arrives in chunks. Its memory is given back when this is dropped, or sooner, when others find no room.
#[derive(Debug)]
pub struct Arriving {
    of: InFlight,
    number: u64,
}

/// There is no room: the body was given up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GivenUp;

/// What is reserved of an announced length at once. An origin that announces much and sends little takes no more.
const RESERVED_BYTES: usize = 64 << 10;
/// What the place of a body takes in a table that is filled by seven sixteenths.
const PLACE_BYTES: u64 = ((size_of::<(u64, Body)>() + 1) * 16 / 7) as u64;

impl InFlight {
    /// Memory for at most so many bytes.
    #[must_use]
    pub fn new(bytes_max: u64) -> Self {
        let (bodies, given_up) = (HashMap::new(), Vec::new());
        InFlight(Rc::new(RefCell::new(Pool { bytes: 0, bytes_max, bodies, last: 0, given_up })))
    }

    /// Another bound, for what comes from now on.
    pub fn set_bytes_max(&self, bytes_max: u64) {
        self.0.borrow_mut().bytes_max = bytes_max;
    }

    /// The bytes that are held now.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.borrow().bytes
    }

    /// A share of so many bytes, and what goes with them for gaps; none when there is no room.
    #[must_use]
    pub fn share(&self, bytes: u64) -> Option<Share> {
        let bytes = with_gaps(bytes);
        self.0.borrow_mut().take(bytes).then(|| Share { of: self.clone(), bytes })
    }

    /// A share of so many bytes for what has to be kept, whether there is room or not.
    #[must_use]
    pub fn share_at_any_rate(&self, bytes: u64) -> Share {
        let bytes = with_gaps(bytes);
        self.0.borrow_mut().bytes += bytes;
        Share { of: self.clone(), bytes }
    }

    /// Room for a body that will arrive, with so much beside it, for this flight if it is one's; none when there is none.
    #[must_use]
    pub fn arriving(&self, flight: Option<u64>, beside: u64) -> Option<Arriving> {
        let beside = with_gaps(beside + PLACE_BYTES);
        let mut pool = self.0.borrow_mut();
        if !pool.take(beside) {
            return None;
        }
        pool.last += 1;
        let number = pool.last;
        pool.bodies.insert(number, Body { bytes: Vec::new(), flight, beside });
        Some(Arriving { of: self.clone(), number })
    }

    /// The flights whose bodies were given up since this was last asked: nobody need wait for them.
    #[must_use]
    pub fn given_up(&self) -> Vec<u64> {
        core::mem::take(&mut self.0.borrow_mut().given_up)
    }
}

impl Pool {
    fn take(&mut self, bytes: u64) -> bool {
        let fits = self.bytes + bytes <= self.bytes_max;
        if fits {
            self.bytes += bytes;
        }
        fits
    }

    /// Takes so much more for a body, and gives up the largest bodies where that does not fit: more of them than it
    /// takes, so that not every chunk has to look at all.
    fn take_for_body(&mut self, bytes: u64) {
        if self.take(bytes) {
            return;
        }
        let enough = (self.bytes_max - self.bytes_max / 8).saturating_sub(bytes);
        let mut largest: Vec<(u64, u64)> =
            self.bodies.iter().map(|(number, body)| (body.held(), *number)).collect();
        // Of bodies of one size, the newest: what came first is more likely to be complete soon.
        largest.sort_unstable_by_key(|(held, number)| Reverse((*held, *number)));
        for (_, number) in largest {
            if self.bytes <= enough {
                break;
            }
            let flight = self.remove(number).and_then(|body| body.flight);
            self.given_up.extend(flight);
        }
        self.bytes += bytes;
    }

    fn remove(&mut self, number: u64) -> Option<Body> {
        let body = self.bodies.remove(&number)?;
        self.bytes -= body.held();
        Some(body)
    }

    fn add(&mut self, number: u64, chunk: Vec<u8>, length: usize) -> Result<(), GivenUp> {
        let body = self.bodies.get(&number).ok_or(GivenUp)?;
        // It may have room of its own all the same, of which nobody would know.
        if chunk.is_empty() {
            return Ok(());
        }
        let (have, needed) = (body.bytes.capacity(), body.bytes.len() + chunk.len());
        let capacity = match () {
            () if body.bytes.is_empty() => chunk.capacity(),
            () if needed <= have => have,
            () => needed.max(length.min((2 * have).max(RESERVED_BYTES))),
        };
        self.take_for_body(buffer(capacity) - buffer(have));
        let Some(body) = self.bodies.get_mut(&number) else {
            self.bytes -= buffer(capacity) - buffer(have);
            return Err(GivenUp);
        };
        if body.bytes.is_empty() {
            body.bytes = chunk;
        } else {
            body.bytes.reserve_exact(capacity - body.bytes.len());
            body.bytes.extend_from_slice(&chunk);
        }
        Ok(())
    }
}

impl Body {
    fn held(&self) -> u64 {
        self.beside + buffer(self.bytes.capacity())
    }
}

impl Arriving {
    /// How much has arrived.
    #[must_use]
    pub fn len(&self) -> usize {
        self.of.0.borrow().bodies.get(&self.number).map_or(0, |body| body.bytes.len())
    }

    /// Whether nothing has arrived.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes in a chunk of a body of this announced length.
    ///
    /// # Errors
    /// [`GivenUp`] when there was no room, now or before.
    pub fn add(&self, chunk: Vec<u8>, length: usize) -> Result<(), GivenUp> {
        self.of.0.borrow_mut().add(self.number, chunk, length)
    }

    /// The body, as far as it has arrived.
    ///
    /// # Errors
    /// [`GivenUp`] when it was given up.
    pub fn take(&self) -> Result<Vec<u8>, GivenUp> {
        self.of.0.borrow_mut().remove(self.number).map(|body| body.bytes).ok_or(GivenUp)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.of.0.borrow_mut().bytes -= self.bytes;
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        self.of.0.borrow_mut().remove(self.number);
    }
}

/// A buffer with room for so many bytes.
fn buffer(bytes: usize) -> u64 {
    with_gaps(block(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const MIB: usize = 1 << 20;

    #[test]
    fn shares_end_at_the_bound_and_are_given_back() {
        let memory = InFlight::new(MIB as u64);
        let mut shares = Vec::new();
        while let Some(share) = memory.share(1000) {
            shares.push(share);
        }
        assert_eq!(shares.len(), MIB / 1375);
        assert!(memory.bytes() <= MIB as u64);
        drop(shares);
        assert_eq!(memory.bytes(), 0);
        let _more = memory.share_at_any_rate(2 * MIB as u64);
        assert!(memory.bytes() > MIB as u64 && memory.share(0).is_none());
    }

    #[test]
    fn a_body_is_what_arrived_and_holds_what_it_takes() {
        let memory = InFlight::new(8 * MIB as u64);
        let body = memory.arriving(None, 10).unwrap();
        for byte in 0..200 {
            body.add(vec![byte; 1000], 200_000).unwrap();
            assert_eq!(body.len(), (usize::from(byte) + 1) * 1000);
            assert!(memory.bytes() >= buffer(body.len()));
            assert!(memory.bytes() <= buffer((2 * body.len()).clamp(RESERVED_BYTES, 200_000)) + 1000);
        }
        let bytes = body.take().unwrap();
        assert!(bytes.chunks(1000).zip(0..).all(|(chunk, byte)| chunk == [byte; 1000]));
        assert_eq!(memory.bytes(), 0);
    }

    #[test]
    fn an_empty_chunk_is_nothing() {
        let memory = InFlight::new(MIB as u64);
        let body = memory.arriving(None, 0).unwrap();
        for chunk in [Vec::with_capacity(5000), b"ab".to_vec(), Vec::with_capacity(9000), b"c".to_vec()] {
            body.add(chunk, 0).unwrap();
        }
        assert!(memory.bytes() <= buffer(RESERVED_BYTES) + with_gaps(PLACE_BYTES));
        assert_eq!(body.take(), Ok(b"abc".to_vec()));
        assert_eq!(memory.bytes(), 0);
    }

    #[test]
    fn what_is_announced_takes_nothing() {
        let memory = InFlight::new(MIB as u64);
        let body = memory.arriving(None, 0).unwrap();
        body.add(vec![0; 10], 64 * MIB).unwrap();
        body.add(vec![0; 10], 64 * MIB).unwrap();
        assert!(memory.bytes() <= buffer(RESERVED_BYTES) + with_gaps(PLACE_BYTES), "{}", memory.bytes());
    }

    #[test]
    fn the_largest_bodies_are_given_up_first_and_their_flights_are_told() {
        let memory = InFlight::new(10 * MIB as u64);
        let bodies: Vec<Arriving> = (0..6).map(|flight| memory.arriving(Some(flight), 0).unwrap()).collect();
        for (body, size) in bodies.iter().zip([1, 10, 2, 5, 20, 3]) {
            body.add(vec![0; size * MIB / 8], 0).unwrap();
        }
        assert_eq!(memory.given_up(), Vec::<u64>::new());
        let own = memory.arriving(Some(9), 0).unwrap();
        own.add(vec![0; 3 * MIB], 0).unwrap();
        assert_eq!(memory.given_up(), [4], "20 were the largest");
        assert!(memory.bytes() <= 10 * MIB as u64);
        assert_eq!(bodies[4].add(vec![0], 0), Err(GivenUp));
        assert_eq!(bodies[4].len(), 0);
        assert_eq!(own.add(vec![0; 9 * MIB], 0), Err(GivenUp), "its own is the largest now");
        assert_eq!(memory.given_up()[0], 9);
        drop((bodies, own));
        assert_eq!(memory.bytes(), 0);
    }

    #[test]
    fn a_body_finds_no_room_where_requests_take_all() {
        let memory = InFlight::new(MIB as u64);
        let body = memory.arriving(None, 0).unwrap();
        let _requests = memory.share_at_any_rate(MIB as u64);
        assert_eq!(body.add(vec![0; 10], 0), Err(GivenUp));
        assert!(memory.arriving(None, 0).is_none());
        assert_eq!(body.take(), Err(GivenUp));
    }
}
