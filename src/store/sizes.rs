//! The sizes of the layout that tests make small, so that few records fill the journal and few bytes need chunks.
//!
//! The shipped module has none of this: without the feature `small_sizes`, which only the crate's own tests turn on, the
//! sizes are constants.

use super::journal::{RECORDS, SEGMENT_BYTES, SEGMENTS};
use super::record::CHUNK_BYTES;

/// What can be made small.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sizes {
    /// The segments in the journal's ring.
    pub segments: u64,
    /// The records in a segment.
    pub records: u64,
    /// The bytes of records with which a segment is full.
    pub segment_bytes: usize,
    /// The bytes of a body's chunk.
    pub chunk_bytes: usize,
}

/// The sizes that are shipped.
pub const SIZES: Sizes =
    Sizes { segments: SEGMENTS, records: RECORDS, segment_bytes: SEGMENT_BYTES, chunk_bytes: CHUNK_BYTES };

#[cfg(feature = "small_sizes")]
mod current {
    use core::cell::Cell;

    use super::{SIZES, Sizes};

    thread_local! {
        static CURRENT: Cell<Sizes> = const { Cell::new(SIZES) };
    }

    /// From now on these sizes hold in this thread.
    pub fn resize(sizes: Sizes) {
        CURRENT.set(sizes);
    }

    /// The sizes that hold.
    #[inline]
    #[must_use]
    pub fn sizes() -> Sizes {
        CURRENT.get()
    }
}

#[cfg(not(feature = "small_sizes"))]
mod current {
    use super::{SIZES, Sizes};

    /// The sizes that hold.
    #[inline]
    #[must_use]
    pub const fn sizes() -> Sizes {
        SIZES
    }
}

#[cfg(feature = "small_sizes")]
pub use current::resize;
pub use current::sizes;
