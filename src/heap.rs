//! What things take of the memory of a VM, by which its budgets are kept (`tests/heap.rs` compares it with what they do take).

/// The block that the allocator gives for so many bytes: they lie behind a word of its own, and blocks begin every sixteen
/// bytes (dlmalloc, as wasi-libc has it).
#[must_use]
pub const fn block(bytes: usize) -> u64 {
    if bytes == 0 { 0 } else { (bytes as u64 + 4).next_multiple_of(16) }
}

/// What is counted under a reference count.
#[must_use]
pub const fn counted_block(bytes: usize) -> u64 {
    block(bytes + 2 * size_of::<usize>())
}

/// The buffer of a list that may be shorter than it has room for.
#[must_use]
pub fn list<T>(items: &Vec<T>) -> u64 {
    block(items.capacity() * size_of::<T>())
}

/// The buffer of a list of texts, and the texts.
#[must_use]
pub fn texts(texts: &Vec<String>) -> u64 {
    list(texts) + texts.iter().map(|text| block(text.capacity())).sum::<u64>()
}

/// So many bytes, and three eighths more for the gaps that the allocator is left with once blocks of all sizes have come and
/// gone. (Without that a budget of 64 MiB took 96 MiB of memory after some gigabytes of responses of 1, 10 and 100 KB.)
#[must_use]
pub const fn with_gaps(bytes: u64) -> u64 {
    bytes.saturating_add(bytes / 8 * 3)
}
