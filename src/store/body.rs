//! The body of a stored response in a worker's memory.

use core::fmt;
use core::ops::Deref;
use std::rc::Rc;

use crate::heap::{counted_block, list};

/// A smaller body is copied from the record that it was read with, whose head is given back.
const COPIED_BYTES: usize = 4096;

/// The bytes of a body, shared by all who have it. They may still lie behind the head of the record that they were read
/// with: within a VM it costs more to copy a large body than to do all else that serves it. (`bytes::Bytes` does as much,
/// but does not say what it holds, which the budget of worker memory has to know.)
#[derive(Clone, Default)]
pub struct Body {
    bytes: Rc<Vec<u8>>,
    start: usize,
}

impl Body {
    /// What stands in these bytes from `start` on.
    #[must_use]
    pub fn behind(bytes: Vec<u8>, start: usize) -> Body {
        match bytes.get(start..) {
            Some(body) if body.len() < COPIED_BYTES => Body::from(body.to_vec()),
            _ => Body { bytes: Rc::new(bytes), start },
        }
    }

    /// The bytes of memory that it takes beside itself.
    #[must_use]
    pub fn held(&self) -> u64 {
        counted_block(size_of::<Vec<u8>>()) + list(&self.bytes)
    }
}

impl Deref for Body {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Body {
        Body { bytes: Rc::new(bytes), start: 0 }
    }
}

impl PartialEq for Body {
    fn eq(&self, other: &Body) -> bool {
        **self == **other
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_body_is_what_stands_behind_its_head_and_a_small_one_leaves_that() {
        for (len, kept) in [(0, 0), (COPIED_BYTES - 1, COPIED_BYTES - 1), (COPIED_BYTES, COPIED_BYTES + 9)] {
            let body = Body::behind([vec![b'h'; 9], vec![b'b'; len]].concat(), 9);
            let held = Body::from(vec![0; kept]).held();
            assert_eq!((&*body, body.held()), (&vec![b'b'; len][..], held));
        }
        assert!(Body::behind(vec![1, 2], 3).is_empty());
    }
}
