//! A segment that cannot be understood is replaced by purges of everything, so that damage costs origin traffic and
//! nothing else.
//!
//! Whatever the segment held, a full one in its place whose records are all hard purges of everything covers at least
//! as much, at positions at least as new. To everyone who reads it, it is as if somebody had purged everything until
//! the segment was full: nothing about the ring is special afterwards.

use super::segment::{Found, Records, Segment, UNNAMED, key};
use super::{Mirror, RECORDS, SEGMENTS};
use crate::store::{SharedData, Versioned};

impl Mirror {
    /// The segment that lies where `no` belongs, healed first if need be; none when it cannot be.
    pub(super) fn segment(&self, data: &impl SharedData, no: u64) -> Option<Found> {
        Segment::read(data, no).or_else(|| {
            self.heal(data, no)?;
            Segment::read(data, no)
        })
    }

    /// Replaces what lies where `no` belongs. None when nobody can say which number it had: its neighbours are
    /// damaged too.
    fn heal(&self, data: &impl SharedData, no: u64) -> Option<()> {
        // Read first: if anything changes meanwhile, another has healed it, and this compare-and-set fails.
        let Versioned { cas, .. } = data.get(&key(no))?;
        let before = Segment::read(data, no + SEGMENTS - 1)?.segment;
        let after = Segment::read(data, no + 1)?.segment;
        let nonce = before.as_ref().or(after.as_ref()).map(|segment| segment.nonce).or(self.nonce);
        let damaged = number(no, before.as_ref(), after.as_ref())?;
        // Of the first one nobody can say whether there is a fleet.
        let is_first = before.is_none();
        // Where the fleet's log stood was as in the one before, or further: at worst its records are applied again.
        let logs =
            before.filter(|before| before.no + 1 == damaged).map_or_else(Vec::new, |before| before.logs);
        let mut records = Records::unreadable(RECORDS);
        if !logs.is_empty() || is_first {
            // Among the records may have been some that the fleet has not heard of.
            records.share_all();
        }
        let healed = Segment { nonce: nonce.unwrap_or(UNNAMED), no: damaged, hard_below: 0, logs, records };
        if data.compare_and_set(&key(no), &healed.encode(), cas) {
            data.advance_epoch();
            self.healed.set(self.healed.get() + 1);
        }
        Some(())
    }
}

/// The number of the damaged segment that lies where `no` belongs, by its neighbours: they are written one after the
/// other, and only when the one before is full.
fn number(no: u64, before: Option<&Segment>, after: Option<&Segment>) -> Option<u64> {
    let Some(before) = before else {
        // Without one before it, it was the very first.
        return (no % SEGMENTS == 1).then_some(1);
    };
    let next = before.no + 1;
    let is_written = after.is_some_and(|after| after.no > next) || before.is_full();
    // Else the one before is where the journal ends, and this one is left over from the round before.
    if is_written { Some(next) } else { next.checked_sub(SEGMENTS) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invalidation::{Invalidation, Mode, Selector, Source, Subject, Tag, Verdict};
    use crate::store::Memory;
    use crate::store::journal::{Busy, Synced};
    use crate::time::Timestamp;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn purge(tag: &str) -> Invalidation {
        Invalidation {
            mode: Mode::Hard,
            selector: Selector::Tags(vec![Tag::new(tag).unwrap()]),
            issued_at: Timestamp(5),
            source: Source::UnsafeMethod,
            reason: None,
        }
    }

    fn append(data: &Memory, mirror: &mut Mirror, tag: &str) -> u64 {
        mirror.sync(data);
        mirror.append(data, &purge(tag), 1).unwrap()
    }

    fn verdict(mirror: &Mirror, tag: &str, stamp: u64) -> Verdict {
        let tags = [Tag::new(tag).unwrap()];
        let stored_at = Timestamp(1);
        mirror.verdict(&Subject { uri: b"h/", tags: &tags, status: 200, content_type: b"", stored_at }, stamp)
    }

    fn new(data: &Memory) -> Mirror {
        let mut mirror = Mirror::new(1_000_000);
        mirror.sync(data);
        mirror
    }

    /// A journal of so many records, read by a mirror that has kept up, one of whose segments is then damaged.
    fn damaged(records: u64, segment: u64) -> (Memory, Mirror) {
        let (data, mut writer) = (Memory::default(), Mirror::new(1_000_000));
        for n in 0..records {
            append(&data, &mut writer, &format!("t{n}"));
        }
        writer.sync(&data);
        let mut bytes = data.get(&key(segment)).unwrap().bytes;
        *bytes.last_mut().unwrap() ^= 1;
        data.set(&key(segment), &bytes);
        writer.distrust();
        (data, writer)
    }

    #[test]
    fn wherever_the_damage_is_no_purge_is_lost_and_purging_goes_on() {
        let lap = SEGMENTS * RECORDS;
        for (records, segment, first) in [
            (1, 1, true), // the only segment
            (RECORDS, 1, true),
            (RECORDS, 1, false),
            (RECORDS + 3, 1, true),
            (RECORDS + 3, 2, true), // where the journal ends
            (2 * RECORDS, 2, true), // where it ends, and full
            (5 * RECORDS + 3, 3, true),
            (lap + 3, 1, true), // the first one of the second round
            (lap + 3, 2, true), // what it overwrites next
            (lap + RECORDS, 2, true),
        ] {
            let (data, mut old) = damaged(records, segment);
            let (mut new, story) = (new(&data), format!("{records} records, segment {segment}"));
            // Everything that was requested before the newest record is gone, for those who start now.
            for n in records.saturating_sub(2 * RECORDS)..records {
                assert_eq!(verdict(&new, &format!("t{n}"), n), Verdict::Hard, "{story}: {n}");
            }
            assert_eq!(old.sync(&data), Synced::Current, "{story}");
            for (tag, by_old) in [("a", first), ("b", !first), ("c", first)] {
                let seq = append(&data, if by_old { &mut old } else { &mut new }, tag);
                // With the only segment gone, another name for the journal makes it another one, and that is all.
                let _ = old.sync(&data);
                assert!(seq > records, "{story}: {seq}");
                for mirror in [&mut old, &mut new, &mut self::new(&data)] {
                    assert_eq!(mirror.sync(&data), Synced::Current, "{story}");
                    assert_eq!(mirror.head(), seq, "{story}");
                    assert_eq!(verdict(mirror, tag, seq - 1), Verdict::Hard, "{story}");
                    assert_eq!(verdict(mirror, tag, seq), Verdict::Valid, "{story}");
                }
            }
        }
    }

    #[test]
    fn what_two_find_damaged_is_healed_once() {
        let (data, mut a) = damaged(3, 1);
        let mut b = Mirror::new(1000);
        assert_eq!((a.sync(&data), b.sync(&data)), (Synced::Current, Synced::Current));
        assert_eq!((a.take_healed(), b.take_healed(), a.take_healed()), (1, 0, 0));
        assert_eq!((a.head(), b.head()), (RECORDS, RECORDS));
    }

    #[test]
    fn next_to_more_damage_the_cache_is_unavailable() {
        let (data, _) = damaged(5 * RECORDS, 3);
        data.set(&key(4), b"?garbage");
        let mut mirror = Mirror::new(1000);
        assert_eq!(mirror.sync(&data), Synced::Unavailable);
        assert_eq!(mirror.append(&data, &purge("t"), 1), Err(Busy));
    }
}
