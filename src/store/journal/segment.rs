//! One segment of the ring, as it lies in shared data.

use core::ops::Range;
use xxhash_rust::xxh3::xxh3_64;

use super::super::codec::Reader;
use super::super::{Cas, SharedData};
use crate::invalidation::{Mode, decode};
use crate::store::sizes::sizes;

/// The layout of a segment that no fleet has written to.
const LAYOUT: u8 = 2;
/// The layout of one that says where the fleet's log stands, and which records are to be shared.
///
/// It is written only where there is something to say: a version that does not know it takes the segment for damaged, and
/// replaces it by purges of everything.
const FLEET_LAYOUT: u8 = 3;

/// The most logs whose positions a segment holds. Beyond it the segment counts as damaged.
const LOGS_MAX: usize = 4;

/// The bits of a record's length that are its length; the others are flags.
const LENGTH_BITS: u32 = 24;
/// The flag of a record that is to be shared with the fleet.
const SHARED: u32 = 1 << LENGTH_BITS;

/// The greatest number of a segment: no journal gets that far, and positions never overflow. Beyond it a segment counts as
/// damaged.
const NO_MAX: u64 = u64::MAX >> 16;

/// The nonce of a segment that may belong to any journal.
pub(super) const UNNAMED: u64 = 0;

/// A segment of the ring, as read.
#[derive(Debug)]
pub(super) struct Segment {
    /// Names this journal; another nonce means that shared data was lost and began anew.
    pub(super) nonce: u64,
    pub(super) no: u64,
    /// Everything stamped below it may be covered by a hard record that was forgotten.
    pub(super) hard_below: u64,
    /// Where the logs of fleets stand; at most [`LOGS_MAX`].
    pub(super) logs: Vec<LogPosition>,
    pub(super) records: Records,
}

/// How far the log of a fleet has been applied to this journal.
///
/// It lies beside the records, so that the very compare-and-set that appends what the log says also says that it has been
/// applied: in a key of its own, whichever were written first, a worker that dies between the two would lose a purge (M01 of
/// the fleet's model) or repeat it (M02).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogPosition {
    /// Names the history of the log: another one means that what was applied says nothing.
    pub tag: [u8; 16],
    /// The position of the record that this history began with here: nothing from before it is trusted to be complete.
    pub join: u64,
    /// The newest revision of others whose records are in this journal.
    pub applied: u64,
}

/// A segment, and what a compare-and-set of it has to name.
pub(super) struct Found {
    pub(super) segment: Option<Segment>,
    pub(super) cas: Cas,
}

/// The records of a segment, in the bytes in which they came: each hit after an invalidation reads them, and looks at the
/// newest alone.
#[derive(Default, Debug)]
pub(super) struct Records {
    bytes: Vec<u8>,
    spans: Vec<Range<usize>>,
    /// The numbers of those that are to be shared with the fleet, in ascending order.
    shared: Vec<usize>,
}

impl Records {
    /// So many that nobody can read: each counts as a hard purge of everything.
    pub(super) fn unreadable(count: u64) -> Records {
        let spans = vec![0..0; usize::try_from(count).unwrap_or(0)];
        Records { spans, ..Records::default() }
    }

    /// All of them are to be shared.
    pub(super) fn share_all(&mut self) {
        self.shared = (0..self.spans.len()).collect();
    }

    pub(super) fn push(&mut self, record: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(record);
        self.spans.push(start..self.bytes.len());
    }

    /// The same for one that is to be shared with the fleet.
    pub(super) fn push_shared(&mut self, record: &[u8]) {
        self.shared.push(self.spans.len());
        self.push(record);
    }

    /// Those that are to be shared, with their numbers, counted from 0.
    pub(super) fn shared(&self) -> impl Iterator<Item = (usize, &[u8])> {
        self.shared.iter().map(|n| (*n, self.get(*n)))
    }

    fn get(&self, n: usize) -> &[u8] {
        self.spans.get(n).and_then(|span| self.bytes.get(span.clone())).unwrap_or_default()
    }

    pub(super) fn len(&self) -> usize {
        self.spans.len()
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &[u8]> + ExactSizeIterator {
        self.spans.iter().map(|span| self.bytes.get(span.clone()).unwrap_or_default())
    }
}

impl Segment {
    /// The segment that lies where `no` belongs; none when what lies there cannot be understood.
    pub(super) fn read(data: &impl SharedData, no: u64) -> Option<Found> {
        match data.get(&key(no)) {
            None => Some(Found { segment: None, cas: Cas::Absent }),
            Some(found) => Some(Found { segment: Some(Segment::decode(found.bytes)?), cas: found.cas }),
        }
    }

    /// The empty segment `no` in the place of an older one, with what must not be forgotten of that.
    pub(super) fn after(
        old: Option<Segment>,
        no: u64,
        hard_below: u64,
        logs: Vec<LogPosition>,
        nonce: u64,
    ) -> Segment {
        let forgotten = old.as_ref().map_or(0, |s| s.hard_below.max(s.newest_hard()));
        let nonce = old.map(|s| s.nonce).filter(|named| *named != UNNAMED).unwrap_or(nonce);
        Segment { nonce, no, hard_below: hard_below.max(forgotten), logs, records: Records::default() }
    }

    /// The position of its newest record.
    pub(super) fn end(&self) -> u64 {
        (self.no - 1) * sizes().records + self.records.len() as u64
    }

    /// Whether the next record belongs into the next segment.
    pub(super) fn is_full(&self) -> bool {
        let bytes: usize = self.records.iter().map(<[u8]>::len).sum();
        self.records.len() as u64 >= sizes().records || bytes >= sizes().segment_bytes
    }

    fn newest_hard(&self) -> u64 {
        let newest = self.records.iter().rposition(|r| decode(r).mode == Mode::Hard);
        newest.map_or(0, |n| (self.no - 1) * sizes().records + n as u64 + 1)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let of_fleet = !self.logs.is_empty() || !self.records.shared.is_empty();
        let mut content = Vec::new();
        for number in [self.nonce, self.no, self.hard_below] {
            content.extend_from_slice(&number.to_le_bytes());
        }
        if of_fleet {
            content.push(self.logs.len() as u8);
            for log in &self.logs {
                content.extend_from_slice(&log.tag);
                content.extend_from_slice(&log.join.to_le_bytes());
                content.extend_from_slice(&log.applied.to_le_bytes());
            }
        }
        let mut shared = self.records.shared.iter().peekable();
        for (n, record) in self.records.iter().enumerate() {
            let flag = if shared.next_if(|next| **next == n).is_some() { SHARED } else { 0 };
            content.extend_from_slice(&(record.len() as u32 | flag).to_le_bytes());
            content.extend_from_slice(record);
        }
        let layout = if of_fleet { FLEET_LAYOUT } else { LAYOUT };
        [&[layout][..], &xxh3_64(&content).to_le_bytes(), &content].concat()
    }

    fn decode(bytes: Vec<u8>) -> Option<Segment> {
        let mut reader = Reader::new(&bytes);
        let layout = reader.u8()?;
        if !matches!(layout, LAYOUT | FLEET_LAYOUT) || reader.u64()? != xxh3_64(reader.rest()) {
            return None;
        }
        let (nonce, no, hard_below) = (reader.u64()?, reader.u64()?, reader.u64()?);
        let logs = if layout == FLEET_LAYOUT { logs(&mut reader)? } else { Vec::new() };
        let mut spans = Vec::with_capacity(usize::try_from(sizes().records).unwrap_or(0));
        let mut shared = Vec::new();
        while !reader.rest().is_empty() && (spans.len() as u64) < sizes().records {
            let word = reader.u32()?;
            if word & SHARED != 0 {
                shared.push(spans.len());
            }
            let len = (word & (SHARED - 1)) as usize;
            let start = bytes.len() - reader.rest().len();
            reader.bytes(len)?;
            spans.push(start..start + len);
        }
        let records = Records { bytes, spans, shared };
        (1..=NO_MAX).contains(&no).then_some(Segment { nonce, no, hard_below, logs, records })
    }
}

fn logs(reader: &mut Reader<'_>) -> Option<Vec<LogPosition>> {
    let count = usize::from(reader.u8()?);
    if count > LOGS_MAX {
        return None;
    }
    let mut log = || {
        let tag = reader.bytes(16)?.try_into().ok()?;
        Some(LogPosition { tag, join: reader.u64()?, applied: reader.u64()? })
    };
    (0..count).map(|_| log()).collect()
}

pub(super) fn key(no: u64) -> String {
    format!("j/{}", no % sizes().segments)
}
