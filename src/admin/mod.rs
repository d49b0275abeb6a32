//! The admin route: requests in, commands out; outcomes in, responses out. No I/O.
//!
//! A request is ours when it carries a known token and speaks one of the [`Dialect`]s. Without any token it is a request
//! like any other and goes to the origin, so nobody can tell the route from a missing page; with a wrong one it is
//! answered with 401, for a command that ends at the origin looks to its client as if it had been carried out, and
//! leaves its token there. A command is
//! read whole before any of it is carried out: [`recognise`] looks at the head, [`command`] at head and body, the
//! adapter executes the [`Command`], and what came of it becomes a response in the dialect's shape.

mod auth;
mod cloudflare;
mod desk;
mod entries;
mod explain;
mod fastly;
mod idempotency;
mod json;
mod limit;
mod namespaces;
mod own;
mod parameters;
mod peer;
mod purge;
mod questions;
mod reasons;
mod refresh;
mod response;
mod selectors;
mod souin;
mod url;
mod varnish;
mod view;

pub use auth::{Caller, DEBUG_FIELD, may_debug};
pub use desk::{Allowance, Desk, ROUNDS_MAX, Round, Seldom};
pub use entries::{Entry, Shape, entries, entry};
pub use explain::{Explanation, explain};
pub use idempotency::Answers;
pub use limit::Limiter;
pub use namespaces::{Bump, NAMESPACES_MAX, Namespaces};
pub use peer::{admits, is_guarded};
pub use purge::{Covered, Matchers, Purge};
pub use questions::{EntriesQuery, ExplainQuery};
pub use reasons::live;
pub use refresh::{Refresh, Refreshed, refreshing};
pub use response::{AdminResponse, Problem};
pub use selectors::shown;
pub use view::{
    ClusterInTrouble, JournalState, Touched, configuration, health, journal, receipt, stats, would_purge,
};

use crate::config::{AdminConfig, Scope, Strangers, TagHierarchy};
use crate::http::RequestHead;
use crate::invalidation::Selector;
use crate::time::Timestamp;

/// Whether a request is for the admin route, as far as its head tells.
#[derive(Clone, PartialEq, Debug)]
pub enum Recognised {
    /// A request like any other.
    NotForUs,
    /// A request with one of the purging methods but without any token: goes to the origin like any other, or is
    /// answered with [`forbidden`] where the configuration says so.
    Stranger,
    /// A request for the route with a token that is not known, and the answer to it.
    Unauthorised(AdminResponse),
    /// It is, and this is the answer whatever its body says.
    Respond(AdminResponse),
    /// It is: collect the body, at most `body_bytes_max` of it, and ask [`command`].
    Authorised(Caller),
}

/// What a caller wants.
#[derive(Clone, PartialEq, Debug)]
pub enum Command {
    /// Append invalidations to the journal, then answer with [`purged`]; for a dry run with [`would_purge`].
    Purge(Purge),
    /// Fetch these URLs again, the stored responses being served meanwhile, then answer with [`refreshing`].
    Refresh(Refresh),
    /// Change the version of a namespace, unless [`Namespaces::next`] says that it has it, then answer with
    /// [`Namespaces::bumped`].
    Namespace(Bump),
    /// Counters: answer with [`stats`].
    Stats,
    /// Health: answer with [`health`].
    Health,
    /// The configuration in force: answer with [`configuration`].
    Config,
    /// The journal's tail: answer with [`journal`].
    Journal {
        /// Only records before this position.
        before: Option<u64>,
        /// The most records.
        limit: usize,
    },
    /// What became of a purge: answer with [`receipt`].
    Receipt {
        /// The position that the purge was answered with.
        seq: u64,
        /// Where counting goes on; none for its beginning.
        cursor: Option<u64>,
    },
    /// Stored responses: answer with [`entries()`].
    Entries(EntriesQuery),
    /// The stored responses of one URL in full: answer with [`entry`].
    Entry {
        /// The canonical URI.
        uri: Vec<u8>,
    },
    /// What a request would find: answer with [`explain()`].
    Explain(ExplainQuery),
    /// The versions of all namespaces: answer with [`Namespaces::answer`].
    Namespaces,
    /// Nothing is to be done: answer with this.
    Respond(AdminResponse),
}

impl Command {
    /// How much a command counts towards the rate of its caller: the records of the journal that it takes.
    #[must_use]
    pub fn cost(&self) -> u32 {
        let records = match self {
            Command::Purge(purge) if purge.dry_run => 1,
            Command::Purge(purge) => purge.invalidations.len(),
            Command::Refresh(refresh) => refresh.uris.len(),
            Command::Namespace(bump) => bump.invalidations.len(),
            Command::Stats
            | Command::Health
            | Command::Config
            | Command::Journal { .. }
            | Command::Receipt { .. }
            | Command::Entries(_)
            | Command::Entry { .. }
            | Command::Explain(_)
            | Command::Namespaces
            | Command::Respond(_) => 1,
        };
        u32::try_from(records.max(1)).unwrap_or(u32::MAX)
    }
}

/// The language that a caller speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dialect {
    /// Larder's own, below its path prefix.
    Own,
    /// The methods `PURGE`, `PURGEKEYS`, `BAN` and `REFRESH` on any path: Varnish, FOSHttpCache, nginx.
    Varnish,
    /// Fastly's purging API.
    Fastly,
    /// Cloudflare's purging API.
    Cloudflare,
    /// Souin's API, and the JSON of the expired draft on HTTP invalidation.
    Souin,
}

/// What a command is read with.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The configuration of the route.
    pub config: &'a AdminConfig,
    /// The canonical URI, `host[:port]/path?query`, of an absolute URL, with its whole query.
    pub canonical: &'a dyn Fn(&str) -> Result<Vec<u8>, &'static str>,
    /// What else a canonical URI comes to, by rules that let less of its query count.
    pub forms: &'a dyn Fn(&[u8]) -> Vec<Selector>,
    /// Which tags lie under which.
    pub hierarchy: &'a TagHierarchy,
    /// What the wall clock says.
    pub now: Timestamp,
}

/// The journal took no record: too many others were appending at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct JournalBusy;

/// Whether a request is for the admin route. Looks for a known token before anything else.
#[must_use]
pub fn recognise(request: &RequestHead, config: &AdminConfig) -> Recognised {
    let Some(dialect) = dialect(request, config) else { return Recognised::NotForUs };
    match auth::caller(request, config) {
        None => unknown(request, config),
        Some(caller) => match expected(dialect, request) {
            Ok(()) => Recognised::Authorised(caller),
            Err(Refusal::Options(allow)) => {
                Recognised::Respond(AdminResponse::empty(204).with("allow", format!("{allow}, OPTIONS")))
            }
            Err(Refusal::Problem(problem)) => Recognised::Respond(refused(dialect, &problem)),
        },
    }
}

/// What a request is whose caller is not known.
fn unknown(request: &RequestHead, config: &AdminConfig) -> Recognised {
    let is_method = config.methods && varnish::speaks(request.method());
    if !auth::has_credentials(request) {
        return if is_method { Recognised::Stranger } else { Recognised::NotForUs };
    }
    let dialect = match dialect(request, config) {
        None => return Recognised::NotForUs,
        Some(_) if is_method && config.strangers == Strangers::Pass => return Recognised::Stranger,
        // The same on every path, so that nobody learns by a method where the route is.
        Some(_) if is_method && !request.fields.contains("fastly-key") => Dialect::Varnish,
        Some(_) if is_method => Dialect::Fastly,
        Some(dialect) => dialect,
    };
    Recognised::Unauthorised(refused(dialect, &Problem::unauthorised()))
}

/// What becomes of a request with a known token whose caller is not let in ([`admits`]): it does not reach the origin,
/// token and all, and finds nothing here.
#[must_use]
pub fn turned_away(request: &RequestHead, config: &AdminConfig) -> AdminResponse {
    if config.methods && varnish::speaks(request.method()) {
        forbidden()
    } else {
        AdminResponse::text(404, "Not Found")
    }
}

/// Reads a command whose caller [`recognise`] knows.
///
/// # Errors
/// With the response, in the dialect's shape, when the command is wrong or not allowed. Nothing is carried out then.
pub fn command(
    request: &RequestHead,
    body: &[u8],
    caller: &Caller,
    context: &Context<'_>,
) -> Result<Command, AdminResponse> {
    let Some(dialect) = dialect(request, context.config) else {
        return Err(Problem::new(404, "nothing is here").response());
    };
    let read = match dialect {
        Dialect::Own => own::command(request, body, caller, context),
        Dialect::Varnish => varnish::command(request, caller, context),
        Dialect::Fastly => fastly::command(request, body, caller, context),
        Dialect::Cloudflare => cloudflare::command(request, body, caller, context),
        Dialect::Souin => souin::command(request, body, caller, context),
    };
    read.and_then(|command| allowed(command, caller)).map_err(|problem| refused(dialect, &problem))
}

/// The answer to a purge, given the position in the journal of each of its invalidations, in order.
///
/// Call it when all have been appended: an answer says that they hold.
#[must_use]
pub fn purged(purge: &Purge, results: &[Result<u64, JournalBusy>]) -> AdminResponse {
    let receipts = purge.receipts(results);
    let positions: Option<Vec<u64>> = receipts.iter().map(|result| result.ok()).collect();
    let answer = match (purge.dialect, positions) {
        (Dialect::Own, _) => return own::purged(purge, &receipts),
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

/// The answer to a command that is not carried out, in the dialect of its request.
#[must_use]
pub fn refuse(request: &RequestHead, config: &AdminConfig, problem: &Problem) -> AdminResponse {
    refused(dialect(request, config).unwrap_or(Dialect::Own), problem)
}

/// The answer to a body that is longer than the configuration allows.
#[must_use]
pub fn too_large(request: &RequestHead, config: &AdminConfig) -> AdminResponse {
    let problem = Problem::new(413, format!("expected a body of at most {} bytes", config.body_bytes_max));
    refuse(request, config, &problem)
}

/// Why the body of a request is not waited for any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BodyMissing {
    /// Nothing of it came for too long.
    Late,
    /// Envoy has it, and does not show it to the filter.
    KeptBack,
}

/// Whether it matters what the body of a command says.
#[must_use]
pub fn reads_body(request: &RequestHead, config: &AdminConfig) -> bool {
    match dialect(request, config) {
        Some(Dialect::Own) => own::reads_body(request, &config.path),
        Some(Dialect::Souin) => request.method() == b"POST",
        Some(Dialect::Fastly) => fastly::reads_body(request),
        Some(Dialect::Cloudflare) => true,
        Some(Dialect::Varnish) | None => false,
    }
}

/// The answer to a command whose body does not come.
#[must_use]
pub fn body_missing(request: &RequestHead, config: &AdminConfig, why: BodyMissing) -> AdminResponse {
    let dialect = dialect(request, config).unwrap_or(Dialect::Own);
    let instead = match dialect {
        Dialect::Own => own::without_body(request, &config.path),
        Dialect::Varnish => Ok(String::new()),
        Dialect::Fastly => Ok(fastly::WITHOUT_BODY.to_owned()),
        Dialect::Cloudflare => Ok(cloudflare::without_body(&config.path)),
        Dialect::Souin => Ok(souin::without_body(&config.path)),
    };
    let problem = instead.map_or_else(
        |problem| problem,
        |instead| match why {
            BodyMissing::Late => Problem::new(
                408,
                "the body of the command did not arrive; if the client did send it, the filter \
                 was not shown it: set allow_on_headers_stop_iteration to true in the wasm filter's configuration",
            ),
            BodyMissing::KeptBack => Problem::new(
                501,
                format!(
                    "the filter is not shown the bodies of requests: set allow_on_headers_stop_iteration to true in the \
                     wasm filter's configuration (Envoy up to 1.39 takes that up only together with another plugin name \
                     or plugin configuration). Without it, {instead}"
                ),
            ),
        },
    );
    refused(dialect, &problem)
}

/// The answer to a stranger's purge, unless the configuration lets it pass.
#[must_use]
pub fn forbidden() -> AdminResponse {
    AdminResponse::text(403, "Forbidden")
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

fn dialect(request: &RequestHead, config: &AdminConfig) -> Option<Dialect> {
    if config.tokens.is_empty() {
        return None;
    }
    let path = request.path();
    if own::speaks(path, config) {
        Some(Dialect::Own)
    } else if souin::speaks(path) {
        Some(Dialect::Souin)
    } else if cloudflare::speaks(path) {
        Some(Dialect::Cloudflare)
    } else if fastly::speaks(request) && !is_for_varnish(request, config) {
        Some(Dialect::Fastly)
    } else {
        (config.methods && varnish::speaks(request.method())).then_some(Dialect::Varnish)
    }
}

/// Whether a `PURGE` with Fastly's token is not in Fastly's words.
fn is_for_varnish(request: &RequestHead, config: &AdminConfig) -> bool {
    config.methods && request.method() == b"PURGE" && varnish::selects(request).unwrap_or(true)
}

/// Why the head of a command is as far as it gets.
enum Refusal {
    /// It asks what is allowed.
    Options(&'static str),
    Problem(Problem),
}

/// Whether the head of a command is one: its method, and a body that can be read.
fn expected(dialect: Dialect, request: &RequestHead) -> Result<(), Refusal> {
    let allow = match dialect {
        Dialect::Own => own::allowed(request.path()),
        Dialect::Souin => "GET, POST, PURGE",
        Dialect::Cloudflare => "POST",
        Dialect::Fastly | Dialect::Varnish => "",
    };
    let method = request.method();
    if method == b"OPTIONS" && !allow.is_empty() {
        return Err(Refusal::Options(allow));
    }
    if !allow.is_empty() && !allow.split(", ").any(|name| name.as_bytes() == method) {
        return Err(Refusal::Problem(Problem::method(allow)));
    }
    if request.has_body { readable(request).map_err(Refusal::Problem) } else { Ok(()) }
}

/// Whether a body can be read when it has come, and will come.
fn readable(request: &RequestHead) -> Result<(), Problem> {
    let text = |name: &str| {
        let value = request.fields.combined(name).unwrap_or_default();
        String::from_utf8_lossy(&value).trim().to_ascii_lowercase()
    };
    let coding = text("content-encoding");
    if !matches!(&coding[..], "" | "identity") {
        return Err(Problem::new(
            415,
            format!("expected a body without Content-Encoding, found {}", shortened(&coding)),
        ));
    }
    let kind = text("content-type");
    if kind.starts_with("multipart/") || kind.contains("xml") {
        return Err(Problem::new(415, format!("expected a body of JSON, found {}", shortened(&kind))));
    }
    // Nobody would answer 100 while the command is held, and the client might wait for ever. Clients that meet 417 send
    // the request again without (RFC 9110 §10.1.1).
    if text("expect") == "100-continue" {
        return Err(Problem::new(417, "send the command without Expect: 100-continue"));
    }
    Ok(())
}

fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

/// Whether the caller may do this, and whether it fits into the journal.
fn allowed(command: Command, caller: &Caller) -> Result<Command, Problem> {
    match &command {
        Command::Purge(purge) => {
            for invalidation in &purge.invalidations {
                if !selectors::is_particular(&invalidation.selector) {
                    require(caller, Scope::PurgeAll)?;
                }
            }
            require_any_purge(caller)?;
            purge.fits()?;
        }
        Command::Refresh(_) | Command::Namespace(_) => require_any_purge(caller)?,
        Command::Stats
        | Command::Health
        | Command::Config
        | Command::Journal { .. }
        | Command::Receipt { .. }
        | Command::Entries(_)
        | Command::Entry { .. }
        | Command::Explain(_)
        | Command::Namespaces => require(caller, Scope::Read)?,
        Command::Respond(_) => {}
    }
    Ok(command)
}

fn require_any_purge(caller: &Caller) -> Result<(), Problem> {
    if caller.may(Scope::PurgeAll) { Ok(()) } else { require(caller, Scope::Purge) }
}

fn require(caller: &Caller, scope: Scope) -> Result<(), Problem> {
    let name = match scope {
        Scope::Read => "read",
        Scope::Purge => "purge",
        Scope::PurgeAll => "purge_all",
    };
    if caller.may(scope) { Ok(()) } else { Err(Problem::scope(name)) }
}

/// What the tests of the dialects have in common.
#[cfg(test)]
mod fixture;
