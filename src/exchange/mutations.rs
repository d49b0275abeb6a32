//! What the answer to an unsafe request invalidates: its target and what that names (RFC 9111 §4.4), groups of its
//! origin (RFC 9875 §3), and what mutation rules say.
//!
//! Strangers cause these records, so there is a rate for them: nobody rolls the journal over with POSTs. What is
//! beyond it is not lost, since what was changed must not be served as if it had not been: it is gathered, and written
//! with the next tick, as a few records that cover it all.

use core::time::Duration;

use crate::cache::{Context, Host};
use crate::config::{Mutation, Options, Rate};
use crate::http::{RequestHead, ResponseHead, uri};
use crate::invalidation::{Backlog, Invalidation, Mode, Selector, Source, Tag, Term};
use crate::outcome::metrics::Counter;
use crate::policy::unsafe_methods;
use crate::rate_limit::Limiter;
use crate::store::journal::Busy;
use crate::time::Monotonic;

/// What one worker remembers of the invalidations that strangers' requests cause.
#[derive(Debug, Default)]
pub struct Gathered {
    /// How many there were, by rule; by no rule under the empty name.
    rates: Limiter,
    /// Those that are still to be written.
    backlog: Backlog,
    /// How many of them the fleet has heard of.
    shared: Limiter,
    /// Those that hold here, and that the fleet is still to hear of.
    unshared: Backlog,
    /// When the fleet heard of those last.
    caught_up: Monotonic,
}

/// How often the fleet hears of what is beyond its rate, as a few records that cover all of it.
const SHARED_EVERY: Duration = Duration::from_secs(1);

/// Writes to the journal what the answer to an unsafe request says has changed. How many records that is.
pub(super) fn invalidate(
    cx: &mut Context<'_, impl Host>,
    gathered: &mut Gathered,
    request: &RequestHead,
    response: &ResponseHead,
    options: &Options,
) -> u64 {
    let uris = unsafe_methods::invalidated_uris(request, response, options);
    // An error has changed nothing.
    let Some(target) = uris.first().cloned() else { return 0 };
    let selectors = uris.into_iter().map(Selector::Uri).collect();
    let mut records = write(cx, gathered, "", &Source::UnsafeMethod, selectors);
    records += write(cx, gathered, "", &Source::CacheGroup, groups(&target, response).into_iter().collect());
    let content_type = response.fields.get("content-type").unwrap_or_default();
    for mutation in cx.config.rules.mutations(request, response.status, content_type) {
        let selectors = of_rule(&mutation, request, options);
        records += write(cx, gathered, &mutation.rule, &Source::MutationRule, selectors);
    }
    records
}

/// The groups that a response invalidates, on the origin of its target only: so that nobody can invalidate for
/// others.
fn groups(target: &[u8], response: &ResponseHead) -> Option<Selector> {
    let names = unsafe_methods::invalidated_groups(response);
    let tags: Vec<Tag> = names.iter().filter_map(|name| Tag::new(name)).collect();
    let authority = uri::authority(target);
    let terms = [Selector::Host(authority.to_vec()), Selector::Tags(tags.clone())];
    (!tags.is_empty()).then(|| Selector::And(terms.into_iter().map(Term::is).collect()))
}

fn of_rule(mutation: &Mutation, request: &RequestHead, options: &Options) -> Vec<Selector> {
    let tags: Vec<Tag> = mutation.tags.iter().filter_map(|name| Tag::new(name)).collect();
    let uri = |path: &Vec<u8>| unsafe_methods::uri_beside(request, path, options);
    let mut selectors: Vec<Selector> = Vec::new();
    selectors.extend((!tags.is_empty()).then_some(Selector::Tags(tags)));
    selectors.extend(mutation.paths.iter().map(uri).map(Selector::UriAnyQuery));
    selectors.extend(mutation.prefixes.iter().map(uri).map(Selector::Prefix));
    selectors
}

fn write(
    cx: &mut Context<'_, impl Host>,
    gathered: &mut Gathered,
    rule: &str,
    source: &Source,
    selectors: Vec<Selector>,
) -> u64 {
    let mut records = 0;
    let parents = &cx.config.tags.parents;
    for selector in selectors.into_iter().flat_map(|selector| selector.expanded(parents)) {
        let invalidation = Invalidation {
            mode: Mode::Revalidate,
            selector,
            issued_at: cx.turn.now.wall,
            source: source.clone(),
            reason: (!rule.is_empty()).then(|| rule.to_owned()),
        };
        if !gathered.has_room(&invalidation, cx.config.unsafe_methods, cx.turn.now.mono) {
            cx.turn.host.count(Counter::InvalidationGathered);
            gathered.backlog.add(invalidation);
        } else if gathered.invalidate(cx, &invalidation).is_err() {
            gathered.backlog.add(invalidation);
        } else {
            records += 1;
        }
    }
    records
}

/// Writes what could not be written at once.
pub fn catch_up(cx: &mut Context<'_, impl Host>, gathered: &mut Gathered) {
    let mut backlog = core::mem::take(&mut gathered.backlog);
    let waiting = backlog.take(|one| gathered.has_room(one, cx.config.unsafe_methods, cx.turn.now.mono));
    for invalidation in waiting {
        if gathered.invalidate(cx, &invalidation).is_err() {
            gathered.backlog.add(invalidation);
        }
    }
    gathered.share(cx);
}

impl Gathered {
    /// Writes an invalidation, for the fleet as well where its rate allows. Else it holds here, and the fleet hears of it
    /// with others.
    fn invalidate(
        &mut self,
        cx: &mut Context<'_, impl Host>,
        invalidation: &Invalidation,
    ) -> Result<u64, Busy> {
        let fleet = &cx.config.fleet;
        let shares = fleet.shares(invalidation.source.share());
        if !shares || self.shared.take("", 1, fleet.share_rate, cx.turn.now.mono).is_ok() {
            return cx.cache.invalidate(cx.turn.host, invalidation);
        }
        let written = cx.cache.invalidate_here(cx.turn.host, invalidation);
        if written.is_ok() {
            self.unshared.add(invalidation.clone());
        }
        written
    }

    /// Has the fleet hear of what was beyond its rate.
    fn share(&mut self, cx: &mut Context<'_, impl Host>) {
        let now = cx.turn.now.mono;
        if now.since(self.caught_up) < SHARED_EVERY {
            return;
        }
        self.caught_up = now;
        let rate = cx.config.fleet.share_rate;
        let waiting =
            core::mem::take(&mut self.unshared).take(|_| self.shared.take("", 1, rate, now).is_ok());
        for invalidation in waiting {
            if cx.cache.invalidate(cx.turn.host, &invalidation).is_err() {
                self.unshared.add(invalidation);
            }
        }
    }

    /// Whether the rule that caused an invalidation may write one more record.
    fn has_room(&mut self, invalidation: &Invalidation, rate: Rate, now: Monotonic) -> bool {
        let rule = invalidation.reason.as_deref().unwrap_or_default();
        self.rates.take(rule, 1, rate, now).is_ok()
    }
}
