//! The value of one set: directory ways and flights together, so that looking up, leading, waiting, publishing and
//! waking are decided by compare-and-set on one key (protocol §1.1).
//!
//! What eviction goes by lies here as well, and nowhere else: how often each way was of use ([`Way::rank`]), and how
//! often what was evicted lately had been ([`Ghost`]), so that what comes back is not taken for new.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::codec::Reader;
use super::cost::EMPTY_BYTES;
use super::hosts::{self, HostBucket};
use super::{Cas, Fingerprint, SharedData, Versioned, shared_key, update};
use crate::outcome::NotStored;
use crate::time::Monotonic;

/// The most records that a configuration may allow, in all sets together. Beyond it the configuration is refused.
pub const ENTRIES_LIMIT: u32 = 1 << 24;
/// Directory ways in a set. Beyond it what is worth least in the set is evicted.
pub const WAYS: usize = 16;
/// The ways of a set that take bodies in chunks: the first ones. Beyond it what is worth least in them is evicted, or the
/// response is not stored (`no-flight`) where all are being fetched into. Each chunk that any way has ever held keeps its
/// key.
pub const LARGE_WAYS: usize = 2;
/// Flights in a set. Beyond it a request goes to the origin by itself, as do others for its key.
pub const FLIGHTS: usize = 8;
/// How many evicted responses a set remembers. Beyond it the oldest is forgotten.
pub const GHOSTS: usize = 16;
/// The most uses of a record that are counted. Beyond it more make no difference.
pub const USES_MAX: u8 = 7;

/// A place for one stored response: a hint, the record proves itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Way {
    /// Whose record this is; zero when the way is empty.
    pub fingerprint: Fingerprint,
    /// Bytes that record and chunks take.
    pub bytes: u64,
    /// When the record stops being worth keeping, in seconds since the Unix epoch.
    pub expires: u32,
    /// How often it was asked for since it came, up to [`USES_MAX`], less what the set has aged by since.
    pub uses: u8,
    /// How many records came to the set after it; 255 stands for more.
    pub age: u8,
    /// How the root's fetches reach its origin.
    pub route: RouteMark,
    /// Where its bytes are counted among those of its host, where these are limited.
    pub host: HostBucket,
}

/// A [`KeyRoute`] as a set holds it: every request that looks into shared data reads sixteen of them, and asks for one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RouteMark(u32);

impl From<KeyRoute> for RouteMark {
    fn from(route: KeyRoute) -> RouteMark {
        RouteMark(route.encode())
    }
}

impl From<RouteMark> for KeyRoute {
    fn from(mark: RouteMark) -> KeyRoute {
        KeyRoute::decode(mark.0)
    }
}

/// How the root's fetches for a key reach its origin where that is not the same for all keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum KeyRoute {
    /// That is not known.
    #[default]
    Unknown,
    /// By what was learned of its route, under this number, between 1 and 2³¹ - 1.
    Learned(u32),
    /// Not at all for a while: the origin has refused one, so clients fetch it with their own requests.
    Inline {
        /// Until then.
        until: Monotonic,
    },
}

impl KeyRoute {
    /// Marks the numbers that stand for [`KeyRoute::Inline`].
    const INLINE: u32 = 1 << 31;

    /// Whether clients fetch the key with their own requests for now.
    #[must_use]
    pub fn is_inline(self, now: Monotonic) -> bool {
        matches!(self, KeyRoute::Inline { until } if now < until)
    }

    /// Whether it takes the place of another: not of one that still says that clients fetch the key themselves.
    fn replaces(self, other: KeyRoute, now: Monotonic) -> bool {
        self != other && (matches!(self, KeyRoute::Inline { .. }) || !other.is_inline(now))
    }

    fn encode(self) -> u32 {
        match self {
            KeyRoute::Unknown => 0,
            KeyRoute::Learned(number) => number & !Self::INLINE,
            // In seconds of a clock that began with the machine: they fit for 68 years.
            KeyRoute::Inline { until } => Self::INLINE | until.0.div_ceil(1000) as u32 & (Self::INLINE - 1),
        }
    }

    fn decode(number: u32) -> KeyRoute {
        match number {
            0 => KeyRoute::Unknown,
            _ if number & Self::INLINE != 0 => {
                KeyRoute::Inline { until: Monotonic(u64::from(number & !Self::INLINE) * 1000) }
            }
            _ => KeyRoute::Learned(number),
        }
    }
}

/// What a set remembers of a response that it has evicted: a tag of thirteen bits and its uses. A tag that fits
/// another key by chance lets that be kept for longer, no more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ghost(u16);

/// One collapsed fetch, or hit-for-miss: the memory that the response to one was not stored.
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
    /// When the lease, or hit-for-miss, runs out.
    pub until: Monotonic,
    /// What it is.
    pub state: FlightState,
    /// How many responses in a row were not stored, all of them failures or none, as far as that is remembered.
    pub in_vain: u8,
    /// Why the response before was not stored, where that was known when the fetch began: requests to which the reason applies
    /// do not wait for it.
    pub unshared: Option<NotStored>,
}

/// Whether a flight is in the air.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum FlightState {
    /// Being fetched.
    #[default]
    Flying,
    /// Ended without anything to share ("hit-for-miss").
    NotStored(NotStored),
}

/// The ways and flights of one set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SetValue {
    /// The directory.
    pub ways: [Way; WAYS],
    /// The fetches under way.
    pub flights: [Flight; FLIGHTS],
    /// What was evicted lately, the newest first.
    pub ghosts: [Ghost; GHOSTS],
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
        let value = found.map(|Versioned { bytes, .. }| SetValue::decode(&bytes, number));
        if let Some(None) = value {
            data.found_damaged();
        }
        SetSnapshot { number, value: value.flatten().unwrap_or_default(), cas }
    }

    /// Writes another value unless the set has changed since; whether it was written.
    #[must_use]
    pub fn replace(&self, data: &impl SharedData, value: &SetValue) -> bool {
        let written = data.compare_and_set(&key(self.number), &value.encode(self.number), self.cas);
        if written {
            data.add_entries(value.entries() as i64 - self.value.entries() as i64);
            hosts::tell(data, self.number, &self.value, value);
        }
        written
    }
}

/// The most sets that records were ever spread over, these included; none when others were always faster.
pub(crate) fn most(data: &impl SharedData, sets: u32) -> Option<u32> {
    let limit = ENTRIES_LIMIT.div_ceil(WAYS as u32);
    let most = |found: &[u8]| found.try_into().map_or(0, u32::from_le_bytes).min(limit).max(sets);
    update(data, &shared_key("sets", &[]), |found| most(found).to_le_bytes().to_vec())
        .map(|written| most(&written))
}

fn key(set: u32) -> String {
    shared_key("s", &[set])
}

impl Way {
    /// Whether a record is there that somebody may look for.
    #[must_use]
    pub fn is_some(&self) -> bool {
        self.fingerprint.is_some()
    }

    /// Whether what was here was hard purged and its record is gone: what is left says so, and how often it was used.
    #[must_use]
    pub fn is_purged(&self) -> bool {
        self.is_some() && self.bytes <= EMPTY_BYTES
    }

    /// What is left of this way once its record is gone.
    #[must_use]
    pub fn purged(&self) -> Way {
        Way { bytes: EMPTY_BYTES, expires: 0, host: HostBucket::default(), ..*self }
    }

    /// What it is worth to keep the record: a use more counts as much as a quarter of the size. So large responses
    /// have to be in demand, and among those of a size the ones that were never asked for again go first.
    #[must_use]
    pub fn rank(&self) -> i32 {
        2 * i32::from(self.uses) - self.bytes.max(1).ilog2() as i32
    }

    #[inline]
    fn encode(&self) -> [u8; WAY_BYTES] {
        let mut all = [0; WAY_BYTES];
        all[..8].copy_from_slice(&self.fingerprint.0.to_le_bytes());
        // No record comes near four gigabytes.
        all[8..12].copy_from_slice(&(self.bytes as u32).to_le_bytes());
        all[12..16].copy_from_slice(&self.expires.to_le_bytes());
        all[16..18].copy_from_slice(&[self.uses, self.age]);
        all[18..22].copy_from_slice(&self.route.0.to_le_bytes());
        all[22..].copy_from_slice(&self.host.0.to_le_bytes());
        all
    }

    #[inline]
    fn decode(bytes: &[u8; WAY_BYTES]) -> Option<Way> {
        let mut bytes = Reader::new(bytes);
        Some(Way {
            fingerprint: Fingerprint(bytes.u64()?),
            bytes: u64::from(bytes.u32()?),
            expires: bytes.u32()?,
            uses: bytes.u8()?,
            age: bytes.u8()?,
            route: RouteMark(bytes.u32()?),
            host: HostBucket(bytes.u16()?),
        })
    }
}

impl Ghost {
    const USES_BITS: u32 = 3;

    fn of(fingerprint: Fingerprint, uses: u8) -> Ghost {
        Ghost((fingerprint.0 >> 51 << Self::USES_BITS) as u16 | u16::from(uses.min(USES_MAX)))
    }

    fn is_of(self, fingerprint: Fingerprint) -> bool {
        self.0 >> Self::USES_BITS == Self::of(fingerprint, 0).0 >> Self::USES_BITS && self != Ghost::default()
    }

    fn uses(self) -> u8 {
        self.0 as u8 & USES_MAX
    }
}

impl SetValue {
    /// The way that is said to hold `fingerprint`.
    #[must_use]
    pub fn way_of(&self, fingerprint: Fingerprint) -> Option<u8> {
        self.ways.iter().position(|w| w.fingerprint == fingerprint).map(|w| w as u8)
    }

    /// Whether what was stored under `fingerprint` was hard purged, and its room given back.
    #[must_use]
    pub fn is_purged(&self, fingerprint: Fingerprint) -> bool {
        self.ways.iter().any(|way| way.fingerprint == fingerprint && way.is_purged())
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
        self.ways.iter().map(|w| w.bytes).sum()
    }

    /// The records in it.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.ways.iter().filter(|way| way.is_some() && !way.is_purged()).count() as u64
    }

    /// The set after the record in a way has been asked for once more, or so many times; none when that makes no
    /// difference any more.
    #[must_use]
    pub fn used(&self, way: u8, times: u8) -> Option<SetValue> {
        let mut set = *self;
        let way = set.ways.get_mut(usize::from(way)).filter(|way| way.uses < USES_MAX)?;
        way.uses = way.uses.saturating_add(times).min(USES_MAX);
        Some(set)
    }

    /// The set after its ways have aged: each counts so many uses less.
    #[must_use]
    pub fn aged(&self, way: u8, uses: u8) -> Option<SetValue> {
        let mut set = *self;
        let way = set.ways.get_mut(usize::from(way)).filter(|way| uses > 0 && way.uses > 0)?;
        way.uses = way.uses.saturating_sub(uses);
        Some(set)
    }

    /// The set with this route for a way; none when that makes no difference.
    #[must_use]
    pub fn routed(&self, way: u8, route: KeyRoute, now: Monotonic) -> Option<SetValue> {
        let mut set = *self;
        let way = set.ways.get_mut(usize::from(way)).filter(|way| route.replaces(way.route.into(), now))?;
        way.route = route.into();
        Some(set)
    }

    /// The route of a key.
    #[must_use]
    pub fn route_of(&self, fingerprint: Fingerprint) -> KeyRoute {
        let way = self.ways.iter().find(|way| way.fingerprint == fingerprint);
        way.map(|way| way.route.into()).unwrap_or_default()
    }

    /// The uses that a record for this key begins with: those that its key is known to have had, and the one that
    /// brings it back.
    #[must_use]
    pub fn uses_of(&self, fingerprint: Fingerprint) -> u8 {
        let way = self.ways.iter().find(|way| way.fingerprint == fingerprint).map(|way| way.uses);
        let ghost = || self.ghosts.iter().find(|ghost| ghost.is_of(fingerprint)).map(|ghost| ghost.uses());
        way.or_else(ghost).map_or(0, |uses| (uses + 1).min(USES_MAX))
    }

    /// Makes room in the memory of what was evicted, and remembers one more.
    pub fn remember(&mut self, evicted: &Way) {
        self.forget(evicted.fingerprint);
        self.ghosts.rotate_right(1);
        if let Some(first) = self.ghosts.first_mut() {
            *first = Ghost::of(evicted.fingerprint, evicted.uses);
        }
    }

    /// Takes a key out of the memory of what was evicted.
    pub fn forget(&mut self, fingerprint: Fingerprint) {
        if let Some(at) = self.ghosts.iter().position(|ghost| ghost.is_of(fingerprint))
            && let Some(rest) = self.ghosts.get_mut(at..)
        {
            rest.rotate_left(1);
            if let Some(last) = rest.last_mut() {
                *last = Ghost::default();
            }
        }
    }

    /// The value behind its checksum, which is another one for each set: a value is good for its own set only.
    fn encode(&self, number: u32) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(ENCODED_MAX);
        bytes.extend_from_slice(&[0; SEAL]);
        bytes.push(LAYOUT);
        for way in &self.ways {
            bytes.extend_from_slice(&way.encode());
        }
        for ghost in &self.ghosts {
            bytes.extend_from_slice(&ghost.0.to_le_bytes());
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
            bytes.push(flight.in_vain);
            bytes.push(flight.unshared.map_or(NO_REASON, NotStored::code));
        }
        let (seal, rest) = bytes.split_at_mut(SEAL);
        seal.copy_from_slice(&checksum(rest, number).to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8], number: u32) -> Option<Self> {
        let mut bytes = Reader::new(bytes);
        if bytes.u32()? != checksum(bytes.rest(), number) || bytes.u8()? != LAYOUT {
            return None;
        }
        let mut value = SetValue::default();
        let (ways, _) = bytes.bytes(WAYS * WAY_BYTES)?.as_chunks();
        for (way, bytes) in value.ways.iter_mut().zip(ways) {
            *way = Way::decode(bytes)?;
        }
        for ghost in &mut value.ghosts {
            *ghost = Ghost(bytes.u16()?);
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
            flight.in_vain = bytes.u8()?;
            flight.unshared = match bytes.u8()? {
                NO_REASON => None,
                code => Some(NotStored::from_code(code)?),
            };
        }
        Some(value)
    }
}

const LAYOUT: u8 = 4;
// No reason has this code.
const FLYING: u8 = 0;
const NO_REASON: u8 = 0;
const SEAL: usize = 4;
const WAY_BYTES: usize = 24;
/// The bytes of a set with all its flights. Nothing is beyond it.
const ENCODED_MAX: usize = SEAL + 1 + WAYS * WAY_BYTES + GHOSTS * 2 + FLIGHTS * 37;

fn checksum(bytes: &[u8], number: u32) -> u32 {
    xxh3_64_with_seed(bytes, u64::from(number)) as u32
}

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
            *way = Way {
                fingerprint: Fingerprint(n as u64 + 7),
                bytes: 9,
                expires: u32::MAX,
                uses: 3,
                age: 9,
                route: KeyRoute::Inline { until: Monotonic(4000) }.into(),
                host: HostBucket(5),
            };
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
                in_vain: n as u8,
                unshared: (n == 2).then_some(NotStored::NoStore),
            };
        }
        value
    }

    #[test]
    fn a_value_round_trips_and_any_cut_of_it_is_nothing() {
        let bytes = full().encode(3);
        assert_eq!(SetValue::decode(&bytes, 3), Some(full()));
        assert_eq!(bytes.len(), ENCODED_MAX);
        for cut in 0..bytes.len() {
            assert_eq!(SetValue::decode(&bytes[..cut], 3), None, "{cut}");
        }
    }

    #[test]
    fn a_damaged_value_is_nothing_and_neither_is_that_of_another_set() {
        let mut bytes = full().encode(3);
        assert_eq!(SetValue::decode(&bytes, 4), None);
        for at in 0..bytes.len() {
            bytes[at] ^= 0x10;
            assert_eq!(SetValue::decode(&bytes, 3), None, "{at}");
            bytes[at] ^= 0x10;
        }
    }

    #[test]
    fn what_comes_back_has_the_uses_that_it_had_and_one_more() {
        let key = |n: u64| Fingerprint(n << 51 | 5);
        let mut set = SetValue::default();
        for n in 1..=GHOSTS as u64 + 1 {
            set.remember(&Way { fingerprint: key(n), uses: n as u8 % 8, ..Way::default() });
        }
        let uses = [1, 2, 3, 7].map(|n| set.uses_of(key(n)));
        assert_eq!(uses, [0, 3, 4, USES_MAX], "the oldest is forgotten");
        set.forget(key(3));
        assert_eq!([2, 3, 4].map(|n| set.uses_of(key(n))), [3, 0, 5]);
        set.ways[4] = Way { fingerprint: key(2), uses: 4, ..Way::default() };
        assert_eq!(set.uses_of(key(2)), 5, "what is there knows better");
    }

    #[test]
    fn uses_are_written_only_while_they_make_a_difference() {
        let mut set = SetValue::default();
        set.ways[3].uses = USES_MAX - 1;
        let set = set.used(3, 200).unwrap();
        assert_eq!((set.ways[3].uses, set.used(3, 1)), (USES_MAX, None));
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
