//! The value of one set: directory ways and flights together, so that looking up, leading, waiting, publishing and
//! waking are decided by compare-and-set on one key.

use super::codec::Reader;
use super::{Cas, SCHEMA};
use super::{Fingerprint, SharedData, Versioned};
use crate::deviation::{Deviation, deviates};
use crate::outcome::NotStored;
use crate::time::Monotonic;

/// Directory ways in a set.
pub const WAYS: usize = 8;
/// Flights in a set.
pub const FLIGHTS: usize = 4;

/// A place for one stored response: a hint, the record proves itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Way {
    /// Whose record this is; zero when the way is empty.
    pub fingerprint: Fingerprint,
    /// Bytes that record and chunks take.
    pub bytes: u32,
    /// When the record stops being worth keeping, in seconds since the Unix epoch.
    pub expires: u32,
    /// Raised when it was asked for, lowered when a victim is looked for.
    pub visited: u8,
}

/// One collapsed fetch, or the memory that one was of no use to others.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Flight {
    /// What is fetched; zero when the flight is free.
    pub fingerprint: Fingerprint,
    /// Unique for ever.
    pub generation: u64,
    /// The way that this flight alone may write.
    pub way: u8,
    /// The worker that fetches.
    pub owner: u8,
    /// The workers that wait, a bit each.
    pub waiters: u64,
    /// When the lease, or the memory, runs out.
    pub until: Monotonic,
    /// What it is.
    pub state: FlightState,
}

/// Whether a flight is in the air.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum FlightState {
    /// Being fetched.
    #[default]
    Flying,
    /// Landed without anything to share ("hit-for-miss").
    NotStored(NotStored),
}

/// The ways and flights of one set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SetValue {
    /// The directory.
    pub ways: [Way; WAYS],
    /// The fetches under way.
    pub flights: [Flight; FLIGHTS],
}

/// A set value as it was read, to be replaced by compare-and-set.
#[derive(Clone, Copy, Debug)]
pub struct SetSnapshot {
    /// Which set.
    pub number: u32,
    /// What was there.
    pub value: SetValue,
    cas: Cas,
}

impl SetSnapshot {
    /// Reads a set; an absent or undecodable one is empty.
    pub fn read(data: &impl SharedData, number: u32) -> Self {
        let found = data.get(&key(number));
        let cas = found.as_ref().map_or(Cas::Absent, |f| f.cas);
        let value = found.and_then(|Versioned { bytes, .. }| SetValue::decode(&bytes)).unwrap_or_default();
        SetSnapshot { number, value, cas }
    }

    /// The same value as if it had been read just now: a mistake on purpose.
    pub(crate) fn again_if(mut self, deviation: Deviation, data: &impl SharedData) -> Self {
        if deviates(deviation) {
            self.cas = SetSnapshot::read(data, self.number).cas;
        }
        self
    }

    /// Writes another value unless the set has changed since; whether it was written.
    #[must_use]
    pub fn replace(&self, data: &impl SharedData, value: &SetValue) -> bool {
        data.compare_and_set(&key(self.number), &value.encode(), self.cas)
    }
}

fn key(set: u32) -> String {
    format!("{SCHEMA}/s/{set}")
}

impl SetValue {
    /// The way that is said to hold `fingerprint`.
    #[must_use]
    pub fn way_of(&self, fingerprint: Fingerprint) -> Option<u8> {
        self.ways.iter().position(|w| w.fingerprint == fingerprint).map(|w| w as u8)
    }

    /// The flight of `fingerprint`, whatever its state.
    #[must_use]
    pub fn flight_of(&self, fingerprint: Fingerprint) -> Option<&Flight> {
        self.flights.iter().find(|f| f.fingerprint == fingerprint)
    }

    /// The flight of this generation.
    #[must_use]
    pub fn flight(&self, generation: u64) -> Option<&Flight> {
        self.flights.iter().find(|f| f.is_used() && f.generation == generation)
    }

    /// The flight of this generation, to change it.
    pub fn flight_mut(&mut self, generation: u64) -> Option<&mut Flight> {
        self.flights.iter_mut().find(|f| f.is_used() && f.generation == generation)
    }

    /// The bytes that all ways of the set take.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.ways.iter().map(|w| u64::from(w.bytes)).sum()
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(1 + WAYS * 17 + FLIGHTS * 36);
        bytes.push(LAYOUT);
        for way in &self.ways {
            bytes.extend_from_slice(&way.fingerprint.0.to_le_bytes());
            bytes.extend_from_slice(&way.bytes.to_le_bytes());
            bytes.extend_from_slice(&way.expires.to_le_bytes());
            bytes.push(way.visited);
        }
        for flight in self.flights.iter().filter(|f| f.is_used()) {
            bytes.extend_from_slice(&flight.fingerprint.0.to_le_bytes());
            bytes.extend_from_slice(&flight.generation.to_le_bytes());
            bytes.extend_from_slice(&[flight.way, flight.owner]);
            bytes.extend_from_slice(&flight.waiters.to_le_bytes());
            bytes.extend_from_slice(&flight.until.0.to_le_bytes());
            bytes.push(match flight.state {
                FlightState::Flying => FLYING,
                FlightState::NotStored(reason) => reason.code(),
            });
        }
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut bytes = Reader::new(bytes);
        if bytes.u8()? != LAYOUT {
            return None;
        }
        let mut value = SetValue::default();
        for way in &mut value.ways {
            way.fingerprint = Fingerprint(bytes.u64()?);
            way.bytes = bytes.u32()?;
            way.expires = bytes.u32()?;
            way.visited = bytes.u8()?;
        }
        for flight in &mut value.flights {
            if bytes.rest().is_empty() {
                break;
            }
            flight.fingerprint = Fingerprint(bytes.u64()?);
            flight.generation = bytes.u64()?;
            flight.way = bytes.u8()?;
            flight.owner = bytes.u8()?;
            flight.waiters = bytes.u64()?;
            flight.until = Monotonic(bytes.u64()?);
            flight.state = match bytes.u8()? {
                FLYING => FlightState::Flying,
                code => FlightState::NotStored(NotStored::from_code(code)?),
            };
        }
        Some(value)
    }
}

const LAYOUT: u8 = 1;
const FLYING: u8 = 0;

impl Flight {
    /// Whether this is a flight at all.
    #[must_use]
    pub fn is_used(&self) -> bool {
        self.fingerprint != Fingerprint::default()
    }

    /// Whether it is being fetched and its lease holds.
    #[must_use]
    pub fn is_live(&self, now: Monotonic) -> bool {
        self.is_used() && self.state == FlightState::Flying && self.until > now
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn full() -> SetValue {
        let mut value = SetValue::default();
        for (n, way) in value.ways.iter_mut().enumerate() {
            *way = Way { fingerprint: Fingerprint(n as u64 + 7), bytes: 9, expires: u32::MAX, visited: 3 };
        }
        for (n, flight) in value.flights.iter_mut().enumerate() {
            *flight = Flight {
                fingerprint: Fingerprint(u64::MAX - n as u64),
                generation: n as u64,
                way: 7,
                owner: 63,
                waiters: 1 << 63,
                until: Monotonic(5),
                state: if n == 1 { FlightState::NotStored(NotStored::Private) } else { FlightState::Flying },
            };
        }
        value
    }

    #[test]
    fn a_value_round_trips_and_any_cut_of_it_is_nothing() {
        let bytes = full().encode();
        assert_eq!(SetValue::decode(&bytes), Some(full()));
        let whole_flights = |cut: usize| cut > WAYS * 17 && (cut - 1 - WAYS * 17).is_multiple_of(35);
        for cut in (0..bytes.len()).filter(|cut| !whole_flights(*cut)) {
            assert_eq!(SetValue::decode(&bytes[..cut]), None, "{cut}");
        }
    }

    #[test]
    fn a_set_is_replaced_only_as_it_was_read() {
        let data = crate::store::Memory::default();
        let (a, b) = (SetSnapshot::read(&data, 3), SetSnapshot::read(&data, 3));
        assert!(a.replace(&data, &full()));
        assert!(!SetSnapshot { cas: Cas::At(u32::MAX), ..b }.replace(&data, &SetValue::default()));
        assert_eq!(SetSnapshot::read(&data, 3).value, full());
    }
}
