//! Invalidations that could not be written at once. None is lost: they wait for the next tick, each once, and where
//! there are too many for the journal, coarser ones stand for them: one for a host, and one for many hosts.

use std::collections::BTreeMap;

use super::hierarchy::in_parts;
use super::{Invalidation, Selector, Tag, Term};
use crate::sorting::sorted;

/// The most invalidations by clients' requests that wait to be written. Beyond it they are made coarser where they wait:
/// paths, then hosts, and at last everything.
const WAITING_MAX: usize = 256;

/// The most records that stand for all that are beyond the rate, each time they are written. Beyond it they are only as
/// many as it takes to name all hosts.
const COARSE_MAX: usize = 4;

/// The most records of which some still name a single URL. Beyond it each names a whole host.
const EXACT_MAX: usize = 16;

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
        if self.0.len() > WAITING_MAX {
            // That many hosts only wait where the journal has not taken anything for long, and nothing is served then.
            self.0.truncate(1);
            self.0.iter_mut().for_each(|one| one.selector = Selector::All);
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
}

/// Few invalidations that cover all that these cover, and nothing of a host that none of them was about: at most `max`, or
/// as many as it takes to name all hosts. Where hosts have many of them and others few, those become coarser first.
fn gathered(from: Vec<Invalidation>, max: usize) -> Vec<Invalidation> {
    if from.len() <= max {
        return from;
    }
    let paths = coarser(from, Grain::Path, |_| true);
    if paths.len() <= max {
        return paths;
    }
    let mut of_hosts: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
    for host in paths.iter().filter_map(host_of) {
        *of_hosts.entry(host).or_default() += 1;
    }
    let is_crowded = |one: &Invalidation| {
        host_of(one).is_none_or(|host| of_hosts.get(&host).is_some_and(|count| *count > max))
    };
    let hosts = joined(coarser(paths, Grain::Host, is_crowded), max);
    if hosts.len() <= EXACT_MAX { hosts } else { joined(coarser(hosts, Grain::Host, |_| true), max) }
}

/// The host that an invalidation is about.
fn host_of(invalidation: &Invalidation) -> Option<Vec<u8>> {
    match invalidation.selector.coarser(Grain::Host) {
        Selector::Host(host) => Some(host),
        _ => None,
    }
}

/// Those that are `meant` in this grain, each once.
fn coarser(
    from: Vec<Invalidation>,
    grain: Grain,
    meant: impl Fn(&Invalidation) -> bool,
) -> Vec<Invalidation> {
    let mut coarser = Vec::new();
    for one in from {
        let is_meant = meant(&one);
        let selector = if is_meant { one.selector.coarser(grain) } else { one.selector };
        let reason = one.reason.filter(|_| !is_meant);
        add(&mut coarser, Invalidation { selector, reason, ..one });
    }
    coarser
}

/// The same with as many hosts and tags as possible in one record, where there are more than `max`.
fn joined(from: Vec<Invalidation>, max: usize) -> Vec<Invalidation> {
    if from.len() <= max {
        return from;
    }
    let mut joined = Vec::new();
    let mut named: Vec<(Invalidation, Vec<Tag>)> = Vec::new();
    for invalidation in from {
        let Some(tags) = invalidation.selector.as_tags() else {
            joined.push(invalidation);
            continue;
        };
        match named.iter_mut().find(|(like, _)| like.mode == invalidation.mode) {
            Some((like, all)) => {
                like.issued_at = like.issued_at.max(invalidation.issued_at);
                all.extend(tags);
            }
            None => named.push((invalidation, tags)),
        }
    }
    for (like, tags) in named {
        let parts = in_parts(sorted(tags)).into_iter().map(Selector::Tags);
        joined.extend(parts.map(|selector| Invalidation { selector, ..like.clone() }));
    }
    joined
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
            (Grain::Path, Selector::Uri(uri)) => Selector::UriAnyQuery(until(uri, b'?')),
            (Grain::Host, Selector::Uri(uri) | Selector::UriAnyQuery(uri) | Selector::Prefix(uri)) => {
                Selector::Host(until(uri, b'/'))
            }
            (Grain::Host, Selector::And(terms)) => {
                let host = |term: &&Term| !term.negated && matches!(term.selector, Selector::Host(_));
                terms.iter().find(host).map_or_else(|| self.clone(), |term| term.selector.clone())
            }
            (Grain::Path | Grain::Host, other) => other.clone(),
        }
    }

    /// The same as a list of tags: a host is what an automatic tag says.
    fn as_tags(&self) -> Option<Vec<Tag>> {
        match self {
            Selector::Tags(tags) => Some(tags.clone()),
            Selector::Host(host) => {
                let name = core::str::from_utf8(host).ok()?;
                // Without a port it stands for that name on all ports.
                Tag::new(&format!("host:{name}")).map(|tag| vec![tag])
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invalidation::{Mode, Source, Tag};
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
            let source = Source::UnsafeMethod;
            backlog.add(Invalidation { mode, selector, issued_at, source, reason: Some("r".into()) });
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
        let flooded = of(&["h/1", "h/2", "h/3", "h/4", "h/5", "i/1"]);
        assert_eq!(taken(flooded, 0), [host("h"), any("i/1")], "what is flooded first");
        assert_eq!(taken(of(&["h/1", "h/2", "h/3", "h/4", "h/5", "h/6"]), 1), [uri("h/1"), host("h")]);
        let one_each: Vec<String> = (1..=20).map(|n| format!("{n}/")).collect();
        let few: Vec<&str> = one_each.iter().take(16).map(String::as_str).collect();
        assert_eq!(taken(of(&few), 0), few.iter().map(|uri| any(uri)).collect::<Vec<_>>());
        let many: Vec<&str> = one_each.iter().map(String::as_str).collect();
        let mut hosts: Vec<Tag> = (1..=20).filter_map(|n| Tag::new(&format!("host:{n}"))).collect();
        hosts.sort();
        assert_eq!(taken(of(&many), 0), [Selector::Tags(hosts)]);
        let tags = Selector::Tags(vec![Tag::new("t").unwrap()]);
        let group = Selector::And(vec![Term::is(host("g")), Term::is(tags.clone())]);
        let paths = ["h/1", "h/2", "h/3", "h/4"].map(uri);
        let all = taken(backlog([group.clone()].into_iter().chain(paths.clone())), 0);
        assert_eq!(all, [group.clone(), any("h/1"), any("h/2"), any("h/3"), any("h/4")]);
        let crowded = paths.clone().into_iter().chain([group.clone(), uri("h/5"), uri("h/6")]);
        assert_eq!(taken(backlog(crowded), 0), [host("h"), group]);
        let crowded = [tags.clone()].into_iter().chain(paths).chain([uri("h/5")]);
        assert_eq!(taken(backlog(crowded), 0), [tags, host("h")]);
    }

    #[test]
    fn however_many_hosts_there_are_no_other_is_touched() {
        let all = taken(backlog((0..10_000).map(|n| uri(&format!("h{n}.test:8080/{n}")))), 0);
        assert!(all.len() < 50, "{}", all.len());
        let subject = |uri: &'static str| crate::invalidation::Subject {
            uri: uri.as_bytes(),
            tags: &[],
            status: 200,
            content_type: b"",
            stored_at: Timestamp(0),
        };
        let covers = |uri| all.iter().any(|selector| selector.covers(&subject(uri)));
        for there in ["h0.test:8080/0", "h9999.test:8080/9999", "h1234.test:8080/x"] {
            assert!(covers(there), "{there}");
        }
        assert!(!covers("victim.test/") && !covers("h10000.test:8080/") && !covers("h1.test/"));
        assert!(all.iter().all(|selector| matches!(selector, Selector::Tags(_))));
    }

    #[test]
    fn the_backlog_is_bounded() {
        let mut backlog = backlog((0..10_000).map(|n| uri(&format!("h/{n}"))));
        assert!(backlog.0.len() <= WAITING_MAX);
        assert!(backlog.take(|_| false).len() <= COARSE_MAX);
        let mut backlog = self::backlog((0..20_000).map(|n| uri(&format!("host-number-{n}/"))));
        assert!(backlog.0.len() <= WAITING_MAX);
        assert!(!backlog.take(|_| false).iter().any(|one| one.selector == Selector::All));
    }
}
