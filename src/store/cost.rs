//! What the store takes of the process.
//!
//! Envoy keeps shared data in a hash table of strings, and its allocator rounds each of them up to a block. So the
//! budget counts blocks: one that counted the bytes of values would be exceeded by a seventh, and by more with sizes
//! that fit the blocks badly.

use super::set::WAYS;

/// What a key takes beside its value: a node of the table, in which our keys find room, and what the table's buckets
/// come to for each.
pub const KEY_BYTES: u64 = 96;
/// What a slot takes that holds nothing: its key, which stays for as long as Envoy runs, and its part of the set.
pub const EMPTY_BYTES: u64 = KEY_BYTES + SET_BYTES / WAYS as u64;
/// What a set takes, with its key; flights are few and short.
pub const SET_BYTES: u64 = KEY_BYTES + 448;

/// A string so long lies in the table's node itself.
const INLINE: u64 = 22;
/// The blocks of Envoy's allocator (tcmalloc, as it is in Envoy 1.40), as far as values use them; larger ones are made
/// of pages.
const BLOCKS: [u32; 44] = [
    32, 64, 80, 96, 112, 128, 160, 176, 208, 256, 288, 352, 448, 512, 576, 704, 896, 1024, 1152, 1408, 1792,
    2048, 2688, 3456, 4096, 4736, 6144, 8192, 9472, 12_288, 16_384, 20_480, 28_672, 32_768, 40_960, 49_152,
    65_536, 73_728, 81_920, 98_304, 114_688, 131_072, 155_648, 204_800,
];
const PAGE: u64 = 8192;

/// What a value of so many bytes takes beside its key.
#[must_use]
pub fn value_bytes(len: u64) -> u64 {
    if len <= INLINE {
        return 0;
    }
    // A string ends with a zero and comes in steps of sixteen bytes.
    let wanted = (len + 1).next_multiple_of(16);
    let block = BLOCKS.partition_point(|block| u64::from(*block) < wanted);
    BLOCKS.get(block).map_or(wanted.next_multiple_of(PAGE), |block| u64::from(*block))
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_value_takes_the_block_that_it_fits_in() {
        assert!(BLOCKS.is_sorted());
        let taken = [0, 22, 23, 31, 32, 1151, 1152, 204_799, 204_800].map(value_bytes);
        assert_eq!(taken, [0, 0, 32, 32, 64, 1152, 1408, 204_800, 212_992]);
    }
}
