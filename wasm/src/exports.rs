//! A callback that the host calls instead of the SDK's own of that name.
//!
//! `tools/finish.py` exports it from the module under the host's name for it.
#![allow(unsafe_code, reason = "symbols that the host and the SDK call each other by")]

use core::cell::RefCell;

use super::abi;

thread_local! {
    static ROOTS: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
}

/// A root context lives as long as this.
pub(super) struct Alive(u32);

impl Alive {
    pub(super) fn new(root: u32) -> Alive {
        with_roots(|roots| roots.push(root));
        Alive(root)
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        with_roots(|roots| roots.retain(|root| *root != self.0));
    }
}

/// Nothing where the thread ends and they are gone already, or where somebody looks at them.
fn with_roots<T>(look: impl FnOnce(&mut Vec<u32>) -> T) -> Option<T> {
    ROOTS.try_with(|roots| roots.try_borrow_mut().ok().map(|mut roots| look(&mut roots))).ok().flatten()
}

/// There is something in a queue, for the root context that has registered it.
///
/// When the VM of that one has died, messages for it reach the VM in its place, where its number may be a stream's. The
/// SDK's callback would panic then, and kill this VM as well. They are of no use here, so nothing happens.
#[unsafe(no_mangle)]
pub extern "C" fn larder_on_queue_ready(context: u32, queue: u32) {
    if with_roots(|roots| roots.contains(&context)) == Some(true) {
        abi::sdk_on_queue_ready(context, queue);
    }
}
