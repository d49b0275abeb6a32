//! The languages of the admin route: Larder's own and those of other caches. Each reads commands and has a shape for what
//! came of them.

pub mod cloudflare;
pub mod fastly;
pub mod larder;
pub mod parameters;
pub mod queries;
pub mod reader;
pub mod selectors;
pub mod souin;
pub mod url;
pub mod varnish;

use super::{AdminResponse, Dialect, JournalBusy, Problem, Purge};

/// The answer to a purge, given the position in the journal of each of its invalidations, in order.
///
/// Call it when all have been appended: an answer says that they hold.
#[must_use]
pub fn purged(purge: &Purge, results: &[Result<u64, JournalBusy>]) -> AdminResponse {
    let receipts = purge.receipts(results);
    let positions: Option<Vec<u64>> = receipts.iter().map(|result| result.ok()).collect();
    let answer = match (purge.dialect, positions) {
        (Dialect::Own, _) => return larder::purged(purge, &receipts),
        (Dialect::Varnish, Some(positions)) => varnish::purged(purge, &positions),
        (Dialect::Fastly, Some(positions)) => fastly::purged(purge, &positions),
        (Dialect::Cloudflare, Some(positions)) => cloudflare::purged(&positions),
        (Dialect::Souin, Some(positions)) => souin::purged(purge, &positions),
        (dialect, None) => return refused(dialect, &Problem::busy()),
    };
    // The words of others have no place for it.
    match &purge.covered {
        Some(covered) => answer.with("larder-covers", covered.field()),
        None => answer,
    }
}

/// A problem in the shape that the clients of a dialect read.
#[must_use]
pub fn refused(dialect: Dialect, problem: &Problem) -> AdminResponse {
    match dialect {
        Dialect::Own | Dialect::Souin => problem.response(),
        Dialect::Varnish => problem.complete(AdminResponse::text(problem.status, &problem.sentence())),
        Dialect::Fastly => fastly::problem(problem),
        Dialect::Cloudflare => cloudflare::problem(problem),
    }
}
