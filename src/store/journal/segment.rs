//! One segment of the ring, as it lies in shared data.

use core::ops::Range;
use xxhash_rust::xxh3::xxh3_64;

use super::super::codec::Reader;
use super::super::{Cas, SharedData};
use crate::invalidation::{Mode, decode};
use crate::mutants::sizes;

const LAYOUT: u8 = 2;

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
    pub(super) records: Records,
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
}

impl Records {
    /// So many that nobody can read: each counts as a hard purge of everything.
    pub(super) fn unreadable(count: u64) -> Records {
        Records { bytes: Vec::new(), spans: vec![0..0; usize::try_from(count).unwrap_or(0)] }
    }

    pub(super) fn push(&mut self, record: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(record);
        self.spans.push(start..self.bytes.len());
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
    pub(super) fn after(old: Option<Segment>, no: u64, hard_below: u64, nonce: u64) -> Segment {
        let forgotten = old.as_ref().map_or(0, |s| s.hard_below.max(s.newest_hard()));
        let nonce = old.map(|s| s.nonce).filter(|named| *named != UNNAMED).unwrap_or(nonce);
        Segment { nonce, no, hard_below: hard_below.max(forgotten), records: Records::default() }
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
        let mut content = Vec::new();
        for number in [self.nonce, self.no, self.hard_below] {
            content.extend_from_slice(&number.to_le_bytes());
        }
        for record in self.records.iter() {
            content.extend_from_slice(&(record.len() as u32).to_le_bytes());
            content.extend_from_slice(record);
        }
        [&[LAYOUT][..], &xxh3_64(&content).to_le_bytes(), &content].concat()
    }

    fn decode(bytes: Vec<u8>) -> Option<Segment> {
        let mut reader = Reader::new(&bytes);
        if reader.u8()? != LAYOUT || reader.u64()? != xxh3_64(reader.rest()) {
            return None;
        }
        let (nonce, no, hard_below) = (reader.u64()?, reader.u64()?, reader.u64()?);
        let mut spans = Vec::with_capacity(usize::try_from(sizes().records).unwrap_or(0));
        while !reader.rest().is_empty() && (spans.len() as u64) < sizes().records {
            let len = reader.u32()? as usize;
            let start = bytes.len() - reader.rest().len();
            reader.bytes(len)?;
            spans.push(start..start + len);
        }
        let records = Records { bytes, spans };
        (1..=NO_MAX).contains(&no).then_some(Segment { nonce, no, hard_below, records })
    }
}

pub(super) fn key(no: u64) -> String {
    format!("j/{}", no % sizes().segments)
}
