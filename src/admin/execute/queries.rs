//! Questions of the admin route: what is stored, what the journal says, what a request would find. Nothing changes.

use core::time::Duration;

use super::pending::Pending;
use super::requests::{ask_for, forms, get};
use crate::admin::{
    self, AdminResponse, ClusterInTrouble, Covered, EntriesQuery, Entry, ExplainQuery, Explanation,
    JournalState, Problem, Purge, Shape, Standing, Touched,
};
use crate::breaker::Breakers;
use crate::cache::{Context, Host, Page, Seen, StreamId, Survey, origin_clock};
use crate::fleet::{self, Roster, State, Trouble};
use crate::invalidation::{CALLBACK_WORK_MAX, Matcher, Selector, Subject, Verdict, Work};
use crate::outcome::{Bypass, ForwardReason};
use crate::policy::key::KeyParts;
use crate::policy::request::{Intent, intent};
use crate::store::record::Response;

/// The most stored responses that are looked at for one command. Beyond it the answer says where to go on (`next`), or that
/// it is not complete.
const LOOKS_MAX: u64 = 200_000;
/// The most stored responses of one URL that are shown in full. Beyond it the others are left out.
const VARIANTS_MAX: usize = 64;
/// The most URLs of a purge whose stored responses are counted by their keys. Beyond it as many stored responses are looked
/// at as may be, and the count may be incomplete.
const URLS_MAX: usize = 64;
/// The most bytes of records that are read to count what a purge covers. Beyond it the count is incomplete, and says so.
const COUNTED_BYTES_MAX: u64 = 2 << 20;
/// What a survey costs beside what it finds, in looks.
const SURVEY_COSTS: u64 = 50;
/// How much matching costs as much as reading a stored response.
const WORK_PER_LOOK: u64 = 32;
/// The most pages that are looked through for one response of a host. Beyond it none counts as stored, and the purge is
/// taken for one of everything (403 without `purge_all`).
const PAGES_MAX: usize = 4;
/// The most records of the journal that an explanation lists. Beyond it the others are left out, and the list is said to be
/// incomplete.
const RECORDS_MAX: usize = 20;

/// A worker that watches the fleet's log says so several times within that.
const WATCHED_WITHIN: Duration = Duration::from_secs(2);

/// Whether the cache can do its work, and a few facts.
pub fn health(cx: &mut Context<'_, impl Host>) -> AdminResponse {
    let state = cx.cache.inspect(cx.turn).journal_state();
    let mut wrong: Vec<&str> =
        if state.is_some() { Vec::new() } else { vec!["the journal in shared data cannot be read"] };
    if cx.config.fleet.name.is_some() && standing(cx).word(&cx.config.fleet, cx.turn.now) == "lagging" {
        wrong.push("etcd has not been heard of for longer than fleet.max_lag: see fleet");
    }
    let (head, floor, _) = state.unwrap_or_default();
    let (parked, fetches) = cx.cache.waiting_and_fetching();
    let facts = [
        ("journal_head", head),
        ("journal_floor", floor),
        ("stored_bytes", cx.turn.host.bytes()),
        ("stored_entries", cx.turn.host.entries()),
        ("worker_bytes", cx.cache.storage().memory_bytes()),
        ("worker_in_flight_bytes", cx.cache.in_flight().bytes()),
        ("worker_waiting", parked as u64),
        ("worker_fetches", fetches as u64),
    ];
    let lacking = cx.cache.routes().lacked_cluster(cx.config).map(|name| {
        format!("Envoy has no cluster {name:?}, which collapse.cluster names: nothing is refreshed in the background")
    });
    let now = cx.turn.now.mono;
    let clusters: Vec<ClusterInTrouble> = Breakers::read(cx.turn.host)
        .troubles()
        .map(|trouble| ClusterInTrouble {
            name: trouble.cluster.clone(),
            failures: trouble.failures,
            probe_in_ms: trouble.probe_from.map(|from| from.0.saturating_sub(now.0)),
        })
        .collect();
    let twice = cx.cache.twice().lately(cx.turn.now.mono);
    let twice = (!twice.is_empty()).then(|| {
        let what = twice.join(", ");
        format!("a filter behind larder changes responses from the cache a second time ({what}): list it before larder")
    });
    let routes = cx.turn.host.wrong_routes().into_iter();
    let routes = routes.map(|(name, wrong)| {
        format!("the metadata of route {name:?} is invalid, so its requests bypass the cache: {wrong}")
    });
    let warnings: Vec<String> =
        lacking.into_iter().chain(twice).chain(routes).chain(cx.config.warnings().iter().cloned()).collect();
    admin::health(&wrong, &warnings, &clusters, &facts)
}

/// What this process knows of its fleet.
fn standing(cx: &mut Context<'_, impl Host>) -> Standing {
    let host = cx.turn.host;
    let journal = cx.cache.journal(host);
    let (log, head) = journal.map_or((None, 0), |journal| (journal.log().cloned(), journal.head()));
    Standing {
        state: State::load(host),
        log,
        head,
        is_watched: fleet::holder(host)
            .is_some_and(|(_, beat)| cx.turn.now.mono.since(beat) < WATCHED_WITHIN),
        trouble: Trouble::load(host),
        roster: Roster::load(host),
    }
}

/// How this Envoy stands to its fleet.
pub fn fleet(cx: &mut Context<'_, impl Host>) -> AdminResponse {
    let standing = standing(cx);
    admin::fleet(&cx.config.fleet, &standing, cx.turn.now)
}

/// Whether a revision of the fleet's log holds on this Envoy.
pub fn fleet_receipt(cx: &mut Context<'_, impl Host>, revision: u64) -> AdminResponse {
    let standing = standing(cx);
    admin::fleet_receipt(&cx.config.fleet, revision, &standing, cx.turn.now)
}

/// The journal's tail.
pub fn journal(cx: &mut Context<'_, impl Host>, before: Option<u64>, limit: usize) -> AdminResponse {
    let Some(state) = journal_state(cx) else { return unreadable() };
    admin::journal(state, &cx.cache.inspect(cx.turn).journal_tail(before, limit))
}

/// What became of a purge.
pub fn receipt(cx: &mut Context<'_, impl Host>, seq: u64, cursor: Option<u64>) -> AdminResponse {
    let Some(state) = journal_state(cx) else { return unreadable() };
    let tail = cx.cache.inspect(cx.turn).journal_tail(seq.checked_add(1), 1);
    let record = tail.first().filter(|(at, _)| *at == seq).map(|(_, record)| record);
    let touched = record.and_then(|record| {
        let matcher = Matcher::new(&record.selector);
        let covered =
            |subject: &Subject<'_>, stamp, work: &Work| stamp < seq && matcher.covers_within(subject, work);
        let may = Survey::of(usize::MAX, LOOKS_MAX);
        let page = cx.cache.inspect(cx.turn).survey(cursor.unwrap_or(0), &may, covered)?;
        Some(Touched { still_stored: page.seen.len() as u64, looked_at: page.looked_at, next: page.next })
    });
    admin::receipt(seq, state, record, touched.as_ref())
}

/// How many stored responses a purge covers that are not gone yet. Where they can be found by their keys these are all;
/// else as many are looked at as this worker may look at now, so that no purge is slow for it.
pub fn covered(
    cx: &mut Context<'_, impl Host>,
    pending: &mut Pending,
    stream: StreamId,
    purge: &Purge,
) -> Covered {
    let none = Covered { each: vec![0; purge.asked.len()], total: 0, complete: false };
    if journal_state(cx).is_none() {
        return none;
    }
    if let Some(urls) = purge.urls().filter(|urls| urls.len() <= URLS_MAX) {
        return covered_by_url(cx, stream, &urls, none);
    }
    let matchers = purge.matchers();
    let looks = pending.counting.left(cx.turn.now.mono);
    let may = Survey {
        bytes_max: COUNTED_BYTES_MAX,
        work: Work::of(looks * WORK_PER_LOOK),
        ..Survey::of(usize::MAX, looks)
    };
    let wanted = |subject: &Subject<'_>, _, work: &Work| matchers.cover(subject, work);
    let Some(page) = cx.cache.inspect(cx.turn).survey(0, &may, wanted) else { return none };
    // Sets that hold nothing cost something as well.
    pending.counting.spend(page.looked_at + may.work.spent() / WORK_PER_LOOK + SURVEY_COSTS);
    let there: Vec<Shown<'_>> = page
        .seen
        .iter()
        .filter(|seen| seen.verdict != Verdict::Hard)
        .filter_map(|seen| Shown::of(seen, Shape::Own))
        .collect();
    let subjects = there.iter().map(|shown| shown.entry().subject());
    let (each, counted) = matchers.counts(purge.asked.len(), subjects, &Work::of(CALLBACK_WORK_MAX));
    Covered { each, total: there.len() as u64, complete: counted && page.next.is_none() }
}

fn covered_by_url(
    cx: &mut Context<'_, impl Host>,
    stream: StreamId,
    urls: &[(usize, &[u8])],
    mut covered: Covered,
) -> Covered {
    covered.complete = !cx.config.route_metadata;
    for (number, uri) in urls {
        let (seen, keyed) = keyed_at(cx, stream, uri);
        let there = seen.iter().filter(|seen| seen.verdict != Verdict::Hard).count() as u64;
        if let Some(count) = covered.each.get_mut(*number) {
            *count = there;
        }
        covered.total += there;
        covered.complete &= !keyed;
    }
    covered
}

/// How many stored responses a purge would cover.
pub fn would_purge(cx: &mut Context<'_, impl Host>, purge: &Purge) -> AdminResponse {
    let matchers = purge.matchers();
    let wanted = |subject: &Subject<'_>, _, work: &Work| matchers.cover(subject, work);
    let Some(page) = cx.cache.inspect(cx.turn).survey(0, &Survey::of(usize::MAX, LOOKS_MAX), wanted) else {
        return unreadable();
    };
    let shown: Vec<Shown<'_>> = page.seen.iter().filter_map(|seen| Shown::of(seen, Shape::Own)).collect();
    let subjects = shown.iter().map(|shown| shown.entry().subject());
    let (counts, counted) = matchers.counts(purge.asked.len(), subjects, &Work::of(CALLBACK_WORK_MAX));
    admin::would_purge(purge, &counts, counted && page.next.is_none())
}

/// Whether anything is stored that a purge covers, as far as a few pages tell.
pub fn is_any_stored(cx: &mut Context<'_, impl Host>, purge: &Purge) -> bool {
    let matchers = purge.matchers();
    let mut from = Some(0);
    for _ in 0..PAGES_MAX {
        let Some(at) = from else { break };
        let wanted = |subject: &Subject<'_>, _, work: &Work| matchers.cover(subject, work);
        match cx.cache.inspect(cx.turn).survey(at, &Survey::of(1, LOOKS_MAX), wanted) {
            Some(page) if page.seen.is_empty() => from = page.next,
            Some(_) => return true,
            None => return false,
        }
    }
    false
}

/// A page of stored responses.
pub fn entries(cx: &mut Context<'_, impl Host>, query: &EntriesQuery) -> AdminResponse {
    let matcher = Matcher::new(&query.selector);
    let wanted = |subject: &Subject<'_>, _, work: &Work| matcher.covers_within(subject, work);
    let may = Survey::of(query.limit, LOOKS_MAX);
    let Some(page) = cx.cache.inspect(cx.turn).survey(query.cursor.unwrap_or(0), &may, wanted) else {
        return unreadable();
    };
    let shown: Vec<Shown<'_>> = page.seen.iter().filter_map(|seen| Shown::of(seen, query.shape)).collect();
    let entries: Vec<Entry<'_>> = shown.iter().map(Shown::entry).collect();
    admin::entries(query.shape, &entries, page.next, cx.turn.now.wall)
}

/// The stored responses of one URL in full.
pub fn entry(cx: &mut Context<'_, impl Host>, stream: StreamId, uri: &[u8]) -> AdminResponse {
    let page = stored_at(cx, stream, uri);
    let shown: Vec<Shown<'_>> = page.seen.iter().filter_map(|seen| Shown::of(seen, Shape::Own)).collect();
    let entries: Vec<Entry<'_>> = shown.iter().map(Shown::entry).collect();
    admin::entry(&entries, cx.turn.now.wall)
}

/// What a request would find, and why.
pub fn explain(cx: &mut Context<'_, impl Host>, stream: StreamId, query: ExplainQuery) -> AdminResponse {
    let ask = ask_for(cx, stream, query.request);
    let mut inspection = cx.cache.inspect(cx.turn);
    let Some(found) = inspection.find(&ask) else { return unreadable() };
    let forward = match intent(&ask.request, &ask.options) {
        _ if ask.options.bypass => Some(ForwardReason::Bypass(Bypass::Rule)),
        Intent::Forward(reason) | Intent::Unsafe(reason) => Some(reason),
        Intent::Lookup | Intent::LookupWithContent => found.forward,
    };
    let covering = found.seen.as_ref().map(|seen| inspection.covering(seen, RECORDS_MAX));
    let covering = covering.unwrap_or_default();
    let shown = found.seen.as_ref().and_then(|seen| Shown::of(seen, Shape::Own));
    let rules = match found.seen.as_ref().and_then(Seen::response) {
        Some(response) => {
            let content_type = response.stored.fields.get("content-type").unwrap_or_default();
            cx.config.rules.for_response(&ask.request, response.stored.status, content_type)
        }
        None => ask.options.clone(),
    };
    let explanation = Explanation {
        url: &query.url,
        key: &KeyParts::of(&found.key).map(|parts| parts.shown()).unwrap_or_default(),
        rules: &rules.rules,
        entry: shown.as_ref().map(Shown::entry),
        forward,
        invalidations: &covering.records,
        invalidations_complete: covering.complete || found.seen.is_none(),
        last_not_stored: found.not_stored,
        fetching: found.fetching,
        failures: (found.failures, found.backoff),
        cluster: found.cluster.as_ref(),
        down: &found.down,
        lacking: cx.cache.routes().lacked_cluster(cx.config),
        refused_for: found.refused_for,
        origin_clock: origin_clock(cx.turn, &ask.request),
        route_metadata: cx.config.route_metadata,
    };
    admin::explain(&explanation, cx.turn.now.wall)
}

/// The stored responses that plain GETs of a URI lead to, and whether there may be others.
fn keyed_at(cx: &mut Context<'_, impl Host>, stream: StreamId, uri: &[u8]) -> (Vec<Seen>, bool) {
    let mut seen = Vec::new();
    let text = String::from_utf8_lossy(uri).into_owned();
    let mut keyed = false;
    for scheme in ["http", "https"] {
        let ask = ask_for(cx, stream, get(&format!("{scheme}://{text}")));
        // Fields that are part of the key multiply what is stored for one URI, and so do partitions.
        let key = &ask.options.key;
        keyed |= !key.headers.is_empty() || !key.cookies.is_empty();
        keyed |= key.direction.is_some() || key.partition.is_some();
        seen.extend(cx.cache.inspect(cx.turn).variants_of(&ask));
    }
    (seen, keyed)
}

/// The stored responses of one canonical URI: those that a plain GET leads to, else those that a survey finds.
pub fn stored_at(cx: &mut Context<'_, impl Host>, stream: StreamId, uri: &[u8]) -> Page {
    let (seen, keyed) = keyed_at(cx, stream, uri);
    let mut page = Page { seen, ..Page::default() };
    if !page.seen.is_empty() && !keyed {
        page.seen.truncate(VARIANTS_MAX);
        return page;
    }
    let forms = [Selector::Uri(uri.to_vec())].into_iter().chain(forms(cx.config, uri));
    let matchers: Vec<Matcher> = forms.map(|selector| Matcher::new(&selector)).collect();
    let wanted = |subject: &Subject<'_>, _, work: &Work| {
        matchers.iter().any(|matcher| matcher.covers_within(subject, work))
    };
    cx.cache.inspect(cx.turn).survey(0, &Survey::of(VARIANTS_MAX, LOOKS_MAX), wanted).unwrap_or(page)
}

fn journal_state(cx: &mut Context<'_, impl Host>) -> Option<JournalState> {
    let (head, floor, hard_below) = cx.cache.inspect(cx.turn).journal_state()?;
    Some(JournalState { head, floor, hard_below })
}

fn unreadable() -> AdminResponse {
    let problem = Problem::new(503, "the journal in shared data cannot be read");
    Problem { retry_after_secs: Some(1), ..problem }.response()
}

/// A stored response with its key in readable form.
struct Shown<'a> {
    seen: &'a Seen,
    response: &'a Response,
    key: String,
    variant: Vec<(String, String)>,
}

impl<'a> Shown<'a> {
    fn of(seen: &'a Seen, shape: Shape) -> Option<Shown<'a>> {
        let response = seen.response()?;
        let parts = KeyParts::of(&seen.entry.record.key)?;
        let key = match shape {
            Shape::Own => parts.shown(),
            Shape::Keys | Shape::KeysByTag => parts.souin(),
        };
        Some(Shown { seen, response, key, variant: parts.variant_fields() })
    }

    fn entry(&self) -> Entry<'_> {
        Entry {
            uri: &self.response.uri,
            key: &self.key,
            stored: &self.response.stored,
            variant: &self.variant,
            tags: &self.response.tags,
            bytes: self.seen.bytes,
            stamp: self.seen.entry.record.stamp,
            verdict: self.seen.verdict,
        }
    }
}
