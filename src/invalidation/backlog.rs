//! Invalidations that could not be written at once. None is lost: they wait for the next tick, each once, and where
//! there are too many for the journal, coarser ones stand for them.

use super::{Invalidation, Selector, Term};

/// The most invalidations that wait. Beyond it they are made coarser where they wait.
const WAITING_MAX: usize = 256;

/// The most records that stand for all that are beyond the rate, each time they are written.
const COARSE_MAX: usize = 4;

/// Invalidations that wait to be written.
#[derive(Clone, Debug, Default)]
pub struct Backlog(Vec<Invalidation>);

impl Backlog {
    /// Has an invalidation wait, unless one that does already says the same.
    pub fn add(&mut self, invalidation: Invalidation) {
        add(&mut self.0, invalidation);
        if self.0.len() > WAITING_MAX {
            self.0 = gathered(core::mem::take(&mut self.0), COARSE_MAX);
        }
    }

    /// All that wait, to be written: exactly for as long as `may` says that the journal has room for one more, and
    /// the rest as a few records that cover them.
    pub fn take(&mut self, may: impl FnMut(&Invalidation) -> bool) -> Vec<Invalidation> {
        let (mut exact, rest): (Vec<_>, Vec<_>) = core::mem::take(&mut self.0).into_iter().partition(may);
        exact.extend(gathered(rest, COARSE_MAX));
        exact
    }
}

/// How much one record covers.
#[derive(Clone, Copy)]
enum Grain {
    Path,
    Host,
    Everything,
}

/// At most `max` invalidations that cover all that these cover.
fn gathered(mut from: Vec<Invalidation>, max: usize) -> Vec<Invalidation> {
    for grain in [Grain::Path, Grain::Host, Grain::Everything] {
        if from.len() <= max {
            break;
        }
        let mut coarser = Vec::new();
        for invalidation in from {
            let selector = invalidation.selector.coarser(grain);
            add(&mut coarser, Invalidation { selector, reason: None, ..invalidation });
        }
        from = coarser;
    }
    from
}

fn add(to: &mut Vec<Invalidation>, new: Invalidation) {
    let same = |old: &&mut Invalidation| old.selector == new.selector && old.mode == new.mode;
    match to.iter_mut().find(same) {
        Some(old) => old.issued_at = old.issued_at.max(new.issued_at),
        None => to.push(new),
    }
}

impl Selector {
    /// A selector of this grain that covers all that this one covers, and can stand for its neighbours as well.
    fn coarser(&self, grain: Grain) -> Selector {
        let until = |uri: &[u8], end: u8| uri.split(|b| *b == end).next().unwrap_or_default().to_vec();
        match (grain, self) {
            (Grain::Everything, _) => Selector::All,
            (Grain::Path, Selector::Uri(uri)) => Selector::UriAnyQuery(until(uri, b'?')),
            (Grain::Path, other) => other.clone(),
            (Grain::Host, Selector::Uri(uri) | Selector::UriAnyQuery(uri) | Selector::Prefix(uri)) => {
                Selector::Host(until(uri, b'/'))
            }
            (Grain::Host, Selector::And(terms)) => {
                let host = |term: &&Term| !term.negated && matches!(term.selector, Selector::Host(_));
                terms.iter().find(host).map_or(Selector::All, |term| term.selector.clone())
            }
            (Grain::Host, _) => Selector::All,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invalidation::{Mode, Origin, Tag};
    use crate::time::Timestamp;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn uri(text: &str) -> Selector {
        Selector::Uri(text.into())
    }

    fn host(text: &str) -> Selector {
        Selector::Host(text.into())
    }

    fn backlog(selectors: impl IntoIterator<Item = Selector>) -> Backlog {
        let mut backlog = Backlog::default();
        for (n, selector) in (0..).zip(selectors) {
            let issued_at = Timestamp(n);
            let mode = Mode::Revalidate;
            let origin = Origin::UnsafeMethod;
            backlog.add(Invalidation { mode, selector, issued_at, origin, reason: Some("r".into()) });
        }
        backlog
    }

    fn taken(mut backlog: Backlog, mut room: usize) -> Vec<Selector> {
        let may = |_: &Invalidation| room.checked_sub(1).inspect(|left| room = *left).is_some();
        backlog.take(may).into_iter().map(|invalidation| invalidation.selector).collect()
    }

    #[test]
    fn what_is_said_twice_is_written_once() {
        let mut twice = backlog([uri("h/a"), uri("h/b"), uri("h/a")]);
        let taken = twice.take(|_| true);
        assert_eq!(taken.iter().map(|i| &i.selector).collect::<Vec<_>>(), [&uri("h/a"), &uri("h/b")]);
        assert_eq!(taken[0].issued_at, Timestamp(2), "as of the later one");
        assert!(twice.take(|_| true).is_empty());
    }

    #[test]
    fn what_there_is_no_room_for_is_covered_by_coarser_records() {
        let any = |text: &str| Selector::UriAnyQuery(text.into());
        let of = |paths: &[&str]| backlog(paths.iter().map(|path| uri(path)));
        let few = ["h/a", "h/b?1", "h/b?2", "h/c"];
        assert_eq!(taken(of(&few), 2), few.map(uri), "few enough as they are");
        let one_path = ["h/a?1", "h/a?2", "h/a?3", "h/a?4", "h/a?5"];
        assert_eq!(taken(of(&one_path), 0), [any("h/a")]);
        assert_eq!(taken(of(&["h/1", "h/2", "h/3", "h/4", "h/5", "i/1"]), 0), [host("h"), host("i")]);
        assert_eq!(taken(of(&["h/1", "h/2", "h/3", "h/4", "h/5", "h/6"]), 1), [uri("h/1"), host("h")]);
        assert_eq!(taken(of(&["1/", "2/", "3/", "4/", "5/"]), 0), [Selector::All]);
        let tags = Selector::Tags(vec![Tag::new("t").unwrap()]);
        let group = Selector::And(vec![Term::is(host("g")), Term::is(tags.clone())]);
        let paths = ["h/1", "h/2", "h/3", "h/4"].map(uri);
        assert_eq!(taken(backlog([group].into_iter().chain(paths.clone())), 0), [host("g"), host("h")]);
        assert_eq!(taken(backlog([tags].into_iter().chain(paths)), 0), [Selector::All, host("h")]);
    }

    #[test]
    fn the_backlog_is_bounded() {
        let mut backlog = backlog((0..10_000).map(|n| uri(&format!("h/{n}"))));
        assert!(backlog.0.len() <= WAITING_MAX);
        assert!(backlog.take(|_| false).len() <= COARSE_MAX);
    }
}
