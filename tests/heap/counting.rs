//! An allocator that counts what is live, in the blocks of a VM's allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    /// A worker has one thread, and tests run beside each other.
    static LIVE: Cell<u64> = const { Cell::new(0) };
}

/// Counts what passes by.
pub struct Counting;

/// The bytes that are live in this thread.
pub fn live() -> u64 {
    LIVE.get()
}

/// The block that the allocator of a VM (dlmalloc in wasi-libc) gives for so many bytes: they are behind a word of its own,
/// and blocks begin every sixteen bytes.
pub const fn block(bytes: usize) -> u64 {
    (bytes as u64 + 4).next_multiple_of(16)
}

// SAFETY: it is the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.set(LIVE.get().wrapping_add(block(layout.size())));
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        LIVE.set(LIVE.get().wrapping_sub(block(layout.size())));
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(at, layout) }
    }
}
