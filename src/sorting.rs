//! Sorting, with one copy of its code. The standard library's is compiled anew for each type that is sorted, and takes
//! six kilobytes of the module each time.

use core::cmp::Ordering;

/// Sorts; what compares equal stays in its order.
pub fn sort_by<T>(items: &mut Vec<T>, mut compare: impl FnMut(&T, &T) -> Ordering) {
    if items.len() < 2 {
        return;
    }
    let mut order: Vec<usize> = (0..items.len()).collect();
    sort_positions(&mut order, &mut |a, b| match (items.get(a), items.get(b)) {
        (Some(a), Some(b)) => compare(a, b),
        _ => Ordering::Equal,
    });
    let mut taken: Vec<Option<T>> = items.drain(..).map(Some).collect();
    items.extend(order.into_iter().filter_map(|at| taken.get_mut(at)?.take()));
}

/// Sorted, and each once.
#[must_use]
pub fn sorted<T: Ord>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut items: Vec<T> = items.into_iter().collect();
    sort_by(&mut items, Ord::cmp);
    items.dedup();
    items
}

fn sort_positions(positions: &mut [usize], compare: &mut dyn FnMut(usize, usize) -> Ordering) {
    positions.sort_by(|a, b| compare(*a, *b));
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn equal_ones_stay_in_their_order() {
        let mut items: Vec<(u8, usize)> = [3, 1, 2, 1, 3, 0, 1].into_iter().zip(0..).collect();
        sort_by(&mut items, |a, b| a.0.cmp(&b.0));
        assert_eq!(items, [(0, 5), (1, 1), (1, 3), (1, 6), (2, 2), (3, 0), (3, 4)]);
        let mut one = vec!["a"];
        sort_by(&mut one, Ord::cmp);
        assert_eq!(one, ["a"]);
    }

    #[test]
    fn what_is_there_twice_is_there_once() {
        assert_eq!(sorted(["b", "a", "b"]), ["a", "b"]);
        assert!(sorted::<u8>([]).is_empty());
    }
}
