//! Who can be woken, and how much memory each holds: a registry of workers. Only hints and gauges rest on it, never safety.

use super::codec::Reader;
use super::{Cas, SharedData, TRIES};
use crate::time::Monotonic;
use core::time::Duration;

/// The most workers that can be woken. Beyond it a worker lives by its sweep, every 100 ms.
pub const WORKERS_MAX: usize = 64;
/// A worker that has not been seen for so long gives up its place.
const GONE_AFTER: Duration = Duration::from_secs(30);
const KEY: &str = "workers";

/// The memory that a worker holds, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Held {
    /// For its own copies of what is stored.
    pub copies: u64,
    /// For requests and responses under way.
    pub in_flight: u64,
}

#[derive(Clone, Copy, Default)]
struct Seat {
    nonce: u32,
    seen: Monotonic,
    held: Held,
}

impl Seat {
    fn lives(&self, now: Monotonic) -> bool {
        self.nonce != 0 && now.since(self.seen) <= GONE_AFTER
    }
}

/// Takes a place for the worker with this nonce, or keeps the one that it has; none when all are taken. With what all
/// workers hold together.
pub fn claim(data: &impl SharedData, nonce: u32, held: Held, now: Monotonic) -> Option<(u8, Held)> {
    for _ in 0..TRIES {
        let found = data.get(KEY);
        let cas = found.as_ref().map_or(Cas::Absent, |f| f.cas);
        let mut seats = found.map_or([Seat::default(); WORKERS_MAX], |f| decode(&f.bytes));
        let at = seats
            .iter()
            .position(|s| s.nonce == nonce)
            .or_else(|| seats.iter().position(|s| !s.lives(now)))?;
        *seats.get_mut(at)? = Seat { nonce, seen: now, held };
        if data.compare_and_set(KEY, &encode(&seats), cas) {
            return Some((at as u8, held_by(&seats, now)));
        }
    }
    None
}

/// The workers that have shown a sign of life lately.
pub fn present(data: &impl SharedData, now: Monotonic) -> Vec<u8> {
    let seats = data.get(KEY).map_or([Seat::default(); WORKERS_MAX], |f| decode(&f.bytes));
    seats.iter().enumerate().filter(|(_, seat)| seat.lives(now)).map(|(at, _)| at as u8).collect()
}

/// What all workers hold that have shown a sign of life lately: what a VM held that died is free.
fn held_by(seats: &[Seat], now: Monotonic) -> Held {
    let living = seats.iter().filter(|seat| seat.lives(now));
    living.fold(Held::default(), |sum, seat| Held {
        copies: sum.copies.saturating_add(seat.held.copies),
        in_flight: sum.in_flight.saturating_add(seat.held.in_flight),
    })
}

fn encode(seats: &[Seat; WORKERS_MAX]) -> Vec<u8> {
    let numbers = |s: &Seat| [s.seen.0, s.held.copies, s.held.in_flight].map(u64::to_le_bytes);
    seats
        .iter()
        .flat_map(|s| s.nonce.to_le_bytes().into_iter().chain(numbers(s).into_iter().flatten()))
        .collect()
}

fn decode(bytes: &[u8]) -> [Seat; WORKERS_MAX] {
    let mut bytes = Reader::new(bytes);
    let mut next = || {
        let (nonce, seen) = (bytes.u32()?, Monotonic(bytes.u64()?));
        let held = Held { copies: bytes.u64()?, in_flight: bytes.u64()? };
        Some(Seat { nonce, seen, held })
    };
    core::array::from_fn(|_| next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Memory;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_worker_keeps_its_place_and_a_vanished_one_gives_it_up() {
        let data = Memory::default();
        let place = |nonce, at| claim(&data, nonce, Held::default(), Monotonic(at)).map(|(place, _)| place);
        let places: Vec<_> = (1..=64).map(|nonce| place(nonce, 0)).collect();
        assert_eq!(places, (0..64).map(Some).collect::<Vec<_>>());
        assert_eq!(place(65, 1000), None);
        assert_eq!(place(7, 40_000), Some(6));
        assert_eq!(place(65, 40_000), Some(0));
    }

    #[test]
    fn what_workers_hold_is_added_up_until_they_are_gone() {
        let data = Memory::default();
        let hold = |nonce, copies, in_flight, at| {
            claim(&data, nonce, Held { copies, in_flight }, Monotonic(at)).map(|(_, all)| all)
        };
        assert_eq!(hold(1, 10, 1, 0), Some(Held { copies: 10, in_flight: 1 }));
        assert_eq!(hold(2, 20, 2, 0), Some(Held { copies: 30, in_flight: 3 }));
        assert_eq!(hold(2, 5, 0, 20_000), Some(Held { copies: 15, in_flight: 1 }));
        assert_eq!(hold(2, 5, 4, 40_000), Some(Held { copies: 5, in_flight: 4 }), "the first is gone");
    }
}
