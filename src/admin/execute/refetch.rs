//! Fetching again what a purge or a refresh covers, at once and bit by bit.

use super::pending::{Pending, RefreshJob};
use super::requests::asked_by;
use crate::admin::Refreshed;
use crate::cache::{Context, Host, Refetch, Seen, StreamId, Survey};
use crate::invalidation::{Subject, Work};
use crate::policy::key::KeyParts;

/// The stream of requests that the cache makes for itself; the host gives no stream this number.
const NOBODY: StreamId = 0;
/// Records of stored responses that are looked at in a command in search of what it has fetched again. Beyond it ticks go
/// on.
const LOOKS_AT_FIRST: u64 = 10_000;
/// Records of stored responses that a tick looks at in search of what is to be fetched again. Beyond it the next tick goes
/// on.
const LOOKS_PER_RUN: u64 = 1_000;

/// Time has passed: what purges have covered is fetched again as far as there is room for fetches.
pub fn run_jobs(cx: &mut Context<'_, impl Host>, pending: &mut Pending) {
    let Some(mut job) = pending.jobs.pop_front() else { return };
    if run_job(cx, &mut job, |room| Survey::of_a_tick(room, LOOKS_PER_RUN)).is_some_and(|done| !done.complete)
    {
        pending.jobs.push_front(job);
    }
}

/// Why a response is not refreshed by Larder.
const BY_CLIENTS: &str = "it is fetched by clients' own requests: Larder's own fetches need collapse.cluster, and an origin that does not refuse them";

/// Begins a job: has so much of what a purge covers fetched again as there is room for. None when the journal cannot be
/// read.
pub fn begin_job(cx: &mut Context<'_, impl Host>, job: &mut RefreshJob) -> Option<Refreshed> {
    run_job(cx, job, |room| Survey::of(room, LOOKS_AT_FIRST))
}

fn run_job(
    cx: &mut Context<'_, impl Host>,
    job: &mut RefreshJob,
    survey: impl FnOnce(usize) -> Survey,
) -> Option<Refreshed> {
    if cx.config.collapse.cluster.is_none() {
        let left = vec![("what was purged".to_owned(), BY_CLIENTS.to_owned())];
        return Some(Refreshed { left, complete: true, ..Refreshed::default() });
    }
    let (_, running) = cx.cache.waiting_and_fetching();
    let room = (cx.config.collapse.refresh_concurrency_max as usize).saturating_sub(running);
    if room == 0 {
        return Some(Refreshed::default());
    }
    // A response whose match would take too much work is not refreshed here: it may not be covered at all.
    let covered = |subject: &Subject<'_>, stamp, work: &Work| {
        stamp < job.receipt && job.matchers.cover(subject, work) && !work.is_done()
    };
    let page = cx.cache.inspect(cx.turn).survey(job.cursor, &survey(room), covered)?;
    job.cursor = page.next.unwrap_or(job.cursor);
    Some(Refreshed { complete: page.next.is_none(), ..refetch(cx, NOBODY, &page.seen) })
}

/// Has stored responses fetched again, as far as a request can be made for them.
pub fn refetch(cx: &mut Context<'_, impl Host>, stream: StreamId, seen: &[Seen]) -> Refreshed {
    let mut refreshed = Refreshed { complete: true, ..Refreshed::default() };
    for seen in seen {
        let key = &seen.entry.record.key;
        let shown = KeyParts::of(key).map(|parts| parts.shown()).unwrap_or_default();
        let why = match asked_by(cx, stream, key) {
            None => {
                "only a client's own request can fetch it: its key contains cookies, credentials or content"
                    .to_owned()
            }
            Some(ask) => match cx.cache.refetch(cx.turn, &ask) {
                Refetch::Started => {
                    refreshed.started.push(shown);
                    continue;
                }
                Refetch::NoRoute => BY_CLIENTS.to_owned(),
                Refetch::Recently(reason) => {
                    format!("a fetch has just failed: {}", reason.as_str())
                }
                Refetch::Busy => "too many refreshes are in progress".to_owned(),
                Refetch::NotNeeded => "it has been fetched in the meantime".to_owned(),
            },
        };
        refreshed.left.push((shown, why));
    }
    refreshed
}
