//! Turns mistakes on: one at a time, in the thread that asks for it.

use core::cell::Cell;

thread_local! {
    static CURRENT: Cell<u8> = const { Cell::new(0) };
}

/// From now on the code has this mistake in this thread, by its id; 0 is none.
pub fn turn_on(mutant: u8) {
    CURRENT.set(mutant);
}

/// Whether the code has this mistake now.
#[inline]
pub(crate) fn is_on(mutant: u8) -> bool {
    CURRENT.get() == mutant
}
