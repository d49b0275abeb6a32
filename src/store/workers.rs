//! Who can be woken: a registry of workers. Only hints rest on it, never safety.

use super::codec::Reader;
use super::{Cas, SharedData, TRIES};
use crate::time::Monotonic;
use core::time::Duration;

/// The most workers that can be woken; more live by their sweep.
pub const WORKERS_MAX: usize = 64;
/// A worker that has not been seen for so long gives up its place.
const GONE_AFTER: Duration = Duration::from_secs(30);
const KEY: &str = "workers";

#[derive(Clone, Copy, Default)]
struct Seat {
    nonce: u32,
    seen: Monotonic,
}

/// Takes a place for the worker with this nonce, or keeps the one that it has; none when all are taken.
pub fn claim(data: &impl SharedData, nonce: u32, now: Monotonic) -> Option<u8> {
    for _ in 0..TRIES {
        let found = data.get(KEY);
        let cas = found.as_ref().map_or(Cas::Absent, |f| f.cas);
        let mut seats = found.map_or([Seat::default(); WORKERS_MAX], |f| decode(&f.bytes));
        let at = seats
            .iter()
            .position(|s| s.nonce == nonce)
            .or_else(|| seats.iter().position(|s| s.nonce == 0 || now.since(s.seen) > GONE_AFTER))?;
        *seats.get_mut(at)? = Seat { nonce, seen: now };
        if data.compare_and_set(KEY, &encode(&seats), cas) {
            return Some(at as u8);
        }
    }
    None
}

/// The workers that have shown a sign of life lately.
pub fn present(data: &impl SharedData, now: Monotonic) -> Vec<u8> {
    let seats = data.get(KEY).map_or([Seat::default(); WORKERS_MAX], |f| decode(&f.bytes));
    let lives = |seat: &Seat| seat.nonce != 0 && now.since(seat.seen) <= GONE_AFTER;
    seats.iter().enumerate().filter(|(_, seat)| lives(seat)).map(|(at, _)| at as u8).collect()
}

fn encode(seats: &[Seat; WORKERS_MAX]) -> Vec<u8> {
    seats.iter().flat_map(|s| s.nonce.to_le_bytes().into_iter().chain(s.seen.0.to_le_bytes())).collect()
}

fn decode(bytes: &[u8]) -> [Seat; WORKERS_MAX] {
    let mut bytes = Reader::new(bytes);
    let mut next = || Some(Seat { nonce: bytes.u32()?, seen: Monotonic(bytes.u64()?) });
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
        let places: Vec<_> = (1..=64).map(|nonce| claim(&data, nonce, Monotonic(0))).collect();
        assert_eq!(places, (0..64).map(Some).collect::<Vec<_>>());
        assert_eq!(claim(&data, 65, Monotonic(1000)), None);
        assert_eq!(claim(&data, 7, Monotonic(40_000)), Some(6));
        assert_eq!(claim(&data, 65, Monotonic(40_000)), Some(0));
    }
}
