//! Commands of the admin route: their bodies are read, and what they want is done.

use std::rc::Rc;

use super::{Context, Exchange, Reply, State, Step, inquiries, reductions};
use crate::admin::{
    self, AdminResponse, Answers, BodyMissing, Bump, Caller, Command, JournalBusy, Namespaces, Problem,
    Purge, ROUNDS_MAX, Recognised, Refresh, Refreshed, Round, shown,
};
use crate::cache::{Ask, Host, Refetch, Seen, StreamId, Survey};
use crate::config::{Config, KeyOptions, Options, Reductions, Scope, Strangers};
use crate::http::{Fields, RequestHead};
use crate::invalidation::{Invalidation, Mode, Origin, Selector, Subject, Work};
use crate::outcome::metrics::Counter;
use crate::outcome::{Local, Outcome};
use crate::policy::key::{self, KeyParts};
use crate::sorting::sorted;
use crate::store::{Cas, TRIES};

/// Where the versions of all namespaces lie in shared data.
const NAMESPACES: &str = "namespaces";
/// The stream of requests that the cache makes for itself; the host gives no stream this number.
const NOBODY: StreamId = 0;
/// Records of stored responses that are looked at in one callback in search of what a purge covers, in the beginning and
/// from then on.
const LOOKS_AT_FIRST: u64 = 10_000;
const LOOKS_PER_ROUND: u64 = 1_000;
/// Where the answers to commands with an idempotency key lie in shared data.
const ANSWERS: &str = "answers";

/// A command whose body is being read.
pub(super) struct Commanding {
    stream: StreamId,
    request: RequestHead,
    caller: Caller,
}

impl Exchange {
    /// Whether a request is for the admin route, and what to do then; none for a request like any other.
    pub(super) fn command(&mut self, cx: &mut Context<'_, impl Host>, request: &RequestHead) -> Option<Step> {
        let config = Rc::clone(cx.config);
        match admin::recognise(request, &config.admin) {
            Recognised::NotForUs => None,
            // A stranger's PURGE is a request like any other, where the operator wants it.
            Recognised::Stranger => match config.admin.strangers {
                Strangers::Pass => None,
                Strangers::Forbid => Some(self.answer_command(cx, admin::forbidden())),
            },
            Recognised::Respond(_) | Recognised::Authorised(_) if !is_admitted(cx) => {
                let response = admin::turned_away(request, &config.admin);
                Some(self.answer_command(cx, response))
            }
            Recognised::Unauthorised(response) => {
                cx.host.count(Counter::Unauthorised);
                if let Some(times) = cx.desk.unauthorised.note(cx.now.mono) {
                    cx.host.warn(&format!(
                        "larder: {times} commands with a token that is not known were refused"
                    ));
                }
                Some(self.answer_command(cx, response))
            }
            Recognised::Respond(response) => Some(self.answer_command(cx, response)),
            Recognised::Authorised(caller) => Some(self.command_head(cx, request.clone(), caller)),
        }
    }

    /// The head of a command has arrived, and its caller is known.
    fn command_head(
        &mut self,
        cx: &mut Context<'_, impl Host>,
        request: RequestHead,
        caller: Caller,
    ) -> Step {
        let has_body = request.has_body;
        let commanding = Commanding { stream: self.stream, request, caller };
        if !has_body {
            let response = commanding.execute(cx, &[]);
            return self.answer_command(cx, response);
        }
        self.state = State::Commanding(Box::new(commanding));
        Step::Hold
    }

    /// So much of a command's body is there; `body` reads it.
    pub(super) fn command_body(
        &mut self,
        cx: &mut Context<'_, impl Host>,
        commanding: Box<Commanding>,
        size: usize,
        ends: bool,
        body: impl FnOnce() -> Option<Vec<u8>>,
    ) -> Step {
        if size > cx.config.admin.body_bytes_max {
            let response = admin::too_large(&commanding.request, &cx.config.admin);
            return self.answer_command(cx, response);
        }
        if !ends {
            self.state = State::Commanding(commanding);
            return Step::Hold;
        }
        let response = match body() {
            Some(body) => commanding.execute(cx, &body),
            None => commanding.body_missing(cx, BodyMissing::Late),
        };
        self.answer_command(cx, response)
    }

    pub(super) fn answer_command(&mut self, cx: &Context<'_, impl Host>, response: AdminResponse) -> Step {
        self.tell(cx.host, &Outcome::Local(Local::Admin), None);
        self.reply(Reply::admin(response))
    }
}

/// Whether the other end of the connection may be a caller.
pub(super) fn is_admitted(cx: &Context<'_, impl Host>) -> bool {
    let config = &cx.config.admin;
    !admin::is_guarded(config) || admin::admits(config, &cx.host.peer())
}

impl Commanding {
    /// The answer when its body does not come.
    pub(super) fn body_missing(&self, cx: &mut Context<'_, impl Host>, why: BodyMissing) -> AdminResponse {
        if admin::reads_body(&self.request, &cx.config.admin) {
            admin::body_missing(&self.request, &cx.config.admin, why)
        } else {
            self.execute(cx, &[])
        }
    }

    fn execute(&self, cx: &mut Context<'_, impl Host>, body: &[u8]) -> AdminResponse {
        let config = Rc::clone(cx.config);
        let plain = KeyOptions::default();
        let canonical = |url: &str| key::uri_of(url, &plain);
        let forms = |uri: &[u8]| forms(&config, uri);
        let context = admin::Context {
            config: &config.admin,
            canonical: &canonical,
            forms: &forms,
            hierarchy: &config.tags.parents,
            now: cx.now.wall,
        };
        let command = admin::command(&self.request, body, &self.caller, &context);
        let cost = command.as_ref().map_or(1, Command::cost);
        match cx.desk.commands.take(&self.caller.name, cost, config.admin.rate, cx.now.mono) {
            Err(secs) => self.refuse(cx, &Problem::too_many(secs)),
            Ok(()) => command.map_or_else(|refusal| refusal, |command| self.carry_out(cx, command, body)),
        }
    }

    fn carry_out(&self, cx: &mut Context<'_, impl Host>, command: Command, body: &[u8]) -> AdminResponse {
        // What makes two commands the same: without a body, all is in the path.
        let said = if body.is_empty() { self.request.path() } else { body };
        match command {
            Command::Purge(purge) => self.purge_once(cx, purge, said),
            Command::Refresh(refresh) => self.refresh(cx, &refresh),
            Command::Namespace(bump) => self.bump(cx, &bump),
            Command::Stats => admin::stats(&borrowed(&cx.host.values())),
            Command::Health => inquiries::health(cx),
            Command::Config => admin::configuration(&cx.config.source.json),
            Command::Journal { before, limit } => inquiries::journal(cx, before, limit),
            Command::Receipt { seq, cursor } => inquiries::receipt(cx, seq, cursor),
            Command::Entries(query) => inquiries::entries(cx, &query),
            Command::Entry { uri } => inquiries::entry(cx, self.stream, &uri),
            Command::Explain(query) => inquiries::explain(cx, self.stream, query),
            Command::Namespaces => namespaces(cx).0.answer(),
            Command::Respond(response) => response,
        }
    }

    fn refuse(&self, cx: &Context<'_, impl Host>, problem: &Problem) -> AdminResponse {
        admin::refuse(&self.request, &cx.config.admin, problem)
    }

    /// A purge, unless it has been carried out before under the same idempotency key.
    fn purge_once(&self, cx: &mut Context<'_, impl Host>, purge: Purge, said: &[u8]) -> AdminResponse {
        let Some(key) = purge.idempotency_key.clone() else { return self.purge_or_say(cx, purge) };
        match answers(cx).0.find(&self.caller, &key, said, cx.now.mono) {
            Err(problem) => return self.refuse(cx, &problem),
            Ok(Some(answer)) => return answer,
            Ok(None) => {}
        }
        let answer = self.purge_or_say(cx, purge);
        // A command that failed has to be sent again.
        if answer.status < 500 {
            self.remember(cx, &key, said, &answer);
        }
        answer
    }

    /// Where others change the table all the time, a repetition will be carried out once more.
    fn remember(&self, cx: &Context<'_, impl Host>, key: &str, said: &[u8], answer: &AdminResponse) {
        for _ in 0..TRIES {
            let (mut table, cas) = answers(cx);
            table.keep(&self.caller, key, said, answer, cx.now.mono);
            if cx.host.compare_and_set(ANSWERS, &table.encode(), cas) {
                break;
            }
        }
    }

    fn purge_or_say(&self, cx: &mut Context<'_, impl Host>, purge: Purge) -> AdminResponse {
        if purge.dry_run { inquiries::would_purge(cx, &purge) } else { self.purge(cx, purge) }
    }

    fn purge(&self, cx: &mut Context<'_, impl Host>, mut purge: Purge) -> AdminResponse {
        if purge.or_everything
            && !inquiries::is_any_stored(cx, &purge)
            && let Err(problem) = purge.widen(&self.caller)
        {
            return self.refuse(cx, &problem);
        }
        if let Err(problem) = self.has_room(cx, &purge) {
            return self.refuse(cx, &problem);
        }
        let covered = inquiries::covered(cx, self.stream, &purge);
        let mut results = append(cx, &purge.invalidations);
        results.extend(append_learned(cx, &mut purge));
        purge.covered = Some(covered);
        if purge.refresh
            && let Some(last) = results.iter().filter_map(|result| result.ok()).max()
        {
            let mut round = Round { matchers: purge.matchers(), receipt: last, cursor: 0 };
            let done = go_round(cx, &mut round, LOOKS_AT_FIRST);
            let continues =
                !done.as_ref().is_none_or(|done| done.complete) && cx.desk.rounds.len() < ROUNDS_MAX;
            purge.refreshed = done.map(|done| Refreshed { continues, ..done });
            let answer = admin::purged(&purge, &results);
            if continues {
                cx.desk.rounds.push_back(round);
            }
            return answer;
        }
        admin::purged(&purge, &results)
    }

    /// Whether the journal has room for what of a purge has to be held against responses one by one. Where it has none it
    /// forgets, and everything that is stored has to be asked for again: that is for those to cause who may purge
    /// everything, so they have a part of the room for themselves.
    fn has_room(&self, cx: &mut Context<'_, impl Host>, purge: &Purge) -> Result<(), Problem> {
        if self.caller.may(Scope::PurgeAll) || cx.cache.journal_has_room_for(cx.host, &purge.invalidations) {
            return Ok(());
        }
        Err(Problem::new(
            429,
            "the journal holds as many patterns and conditions as it may of tokens without the scope `purge_all`: name \
             tags, URLs, prefixes or hosts, or have everything purged by a token with that scope",
        ))
    }

    /// Marks URLs stale and has them fetched again.
    fn refresh(&self, cx: &mut Context<'_, impl Host>, refresh: &Refresh) -> AdminResponse {
        let (token, now) = (self.caller.name.clone(), cx.now.wall);
        let soft = |uri: &Vec<u8>| Invalidation {
            mode: Mode::Soft,
            selector: Selector::Uri(uri.clone()),
            issued_at: now,
            origin: Origin::Admin { token: token.clone() },
            reason: Some("refresh".into()),
        };
        let found: Vec<_> =
            refresh.uris.iter().map(|uri| inquiries::stored_at(cx, self.stream, uri)).collect();
        // By `No-Vary-Search` it may have been stored for another URL. What is not stored needs no record.
        let stored = found.iter().flat_map(|page| &page.seen).filter_map(Seen::response);
        let there = refresh.uris.iter().zip(&found);
        let there =
            there.filter(|(_, page)| !page.seen.is_empty() || page.next.is_some()).map(|(uri, _)| uri);
        let uris = sorted(there.chain(stored.map(|response| &response.uri)));
        let records: Vec<_> = uris.into_iter().map(soft).collect();
        let results = append(cx, &records);
        if results.iter().any(Result::is_err) {
            return self.refuse(cx, &Problem::busy());
        }
        let mut refreshed = Refreshed { complete: true, ..Refreshed::default() };
        for (uri, page) in refresh.uris.iter().zip(&found) {
            let Refreshed { started, left, .. } = refetch(cx, self.stream, &page.seen);
            refreshed.complete &= page.next.is_none();
            if page.seen.is_empty() {
                let uri = String::from_utf8_lossy(uri).into_owned();
                refreshed.left.push((uri, "nothing is stored for it".into()));
            }
            refreshed.started.extend(started);
            refreshed.left.extend(left);
        }
        refreshed.receipt = results.into_iter().flatten().max();
        admin::refreshing(refresh, &refreshed)
    }

    /// Changes the version of a namespace. The journal makes it true; the table only remembers the number.
    fn bump(&self, cx: &mut Context<'_, impl Host>, bump: &Bump) -> AdminResponse {
        let mut written = None;
        for _ in 0..TRIES {
            let (mut table, cas) = namespaces(cx);
            let Some(version) = table.next(bump) else { return table.bumped(bump) };
            let seq = match written {
                Some(seq) => seq,
                None => {
                    let results = append(cx, &bump.invalidations);
                    match results.into_iter().collect::<Result<Vec<_>, _>>() {
                        Ok(positions) => positions.into_iter().max().unwrap_or_default(),
                        Err(JournalBusy) => return self.refuse(cx, &Problem::busy()),
                    }
                }
            };
            written = Some(seq);
            table.set(&bump.selector, version, seq, cx.now.wall);
            if cx.host.compare_and_set(NAMESPACES, &table.encode(), cas) {
                return table.bumped(bump);
            }
        }
        let problem = Problem { retry_after_secs: Some(1), ..Problem::new(503, busy_table(bump)) };
        self.refuse(cx, &problem)
    }
}

/// Time has passed: what purges have covered is fetched again as far as there is room for fetches.
pub fn go_on(cx: &mut Context<'_, impl Host>) {
    let Some(mut round) = cx.desk.rounds.pop_front() else { return };
    if go_round(cx, &mut round, LOOKS_PER_ROUND).is_some_and(|done| !done.complete) {
        cx.desk.rounds.push_front(round);
    }
}

/// Why something is not fetched again by itself.
const BY_CLIENTS: &str = "clients fetch it with their own requests: what Larder fetches by itself needs collapse.cluster, and is not to be refused";

/// Has so much of what a purge covers fetched again as there is room for. None when the journal cannot be read.
fn go_round(cx: &mut Context<'_, impl Host>, round: &mut Round, looks: u64) -> Option<Refreshed> {
    if cx.config.collapse.cluster.is_none() {
        let left = vec![("what was purged".to_owned(), BY_CLIENTS.to_owned())];
        return Some(Refreshed { left, complete: true, ..Refreshed::default() });
    }
    let (_, running) = cx.cache.waiting_and_fetching();
    let room = (cx.config.collapse.refresh_concurrency_max as usize).saturating_sub(running);
    if room == 0 {
        return Some(Refreshed::default());
    }
    let covered = |subject: &Subject<'_>, stamp, work: &Work| {
        stamp < round.receipt && round.matchers.cover(subject, work)
    };
    let page = cx.cache.survey(cx.host, round.cursor, &Survey::of(room, looks), covered)?;
    round.cursor = page.next.unwrap_or(round.cursor);
    Some(Refreshed { complete: page.next.is_none(), ..refetch(cx, NOBODY, &page.seen) })
}

fn refetch(cx: &mut Context<'_, impl Host>, stream: StreamId, seen: &[Seen]) -> Refreshed {
    let mut refreshed = Refreshed { complete: true, ..Refreshed::default() };
    for seen in seen {
        let key = &seen.entry.record.key;
        let shown = KeyParts::of(key).map(|parts| parts.shown()).unwrap_or_default();
        let why = match asked_by(cx, stream, key) {
            None => "only a client's own request asks for it: by cookies, credentials or content".to_owned(),
            Some(ask) => match cx.cache.refetch(cx.host, &ask, cx.now) {
                Refetch::Started => {
                    refreshed.started.push(shown);
                    continue;
                }
                Refetch::NoRoute => BY_CLIENTS.to_owned(),
                Refetch::Recently(reason) => {
                    format!("a fetch has just come to nothing: {}", reason.as_str())
                }
                Refetch::Busy => "too many fetches run already".to_owned(),
                Refetch::NotNeeded => "it has been fetched meanwhile".to_owned(),
            },
        };
        refreshed.left.push((shown, why));
    }
    refreshed
}

fn busy_table(bump: &Bump) -> String {
    format!(
        "everything under {} is invalidated, but others changed the table of versions all the time",
        shown(&bump.selector)
    )
}

/// The table of namespaces, and what it is to be replaced by compare-and-set with.
fn namespaces(cx: &Context<'_, impl Host>) -> (Namespaces, Cas) {
    match cx.host.get(NAMESPACES) {
        Some(found) => (Namespaces::decode(&found.bytes), found.cas),
        None => (Namespaces::default(), Cas::Absent),
    }
}

/// The answers that may be asked for again, and what they are to be replaced by compare-and-set with.
fn answers(cx: &Context<'_, impl Host>) -> (Answers, Cas) {
    match cx.host.get(ANSWERS) {
        Some(found) => (Answers::decode(&found.bytes), found.cas),
        None => (Answers::default(), Cas::Absent),
    }
}

fn append(cx: &mut Context<'_, impl Host>, records: &[Invalidation]) -> Vec<Result<u64, JournalBusy>> {
    records.iter().map(|record| cx.cache.invalidate(cx.host, record).map_err(|_| JournalBusy)).collect()
}

/// Appends records for what URLs come to by the metadata of routes, which only those know that have met them.
fn append_learned(cx: &mut Context<'_, impl Host>, purge: &mut Purge) -> Vec<Result<u64, JournalBusy>> {
    let learned = reductions::learned(cx.host);
    if learned.is_empty() {
        return Vec::new();
    }
    let config = Rc::clone(cx.config);
    let from = purge.also(&|uri: &[u8]| forms_with(&config, uri, &learned));
    append(cx, purge.invalidations.get(from..).unwrap_or_default())
}

/// What else a canonical URI comes to, by rules that let less of its query count.
pub(super) fn forms(config: &Config, uri: &[u8]) -> Vec<Selector> {
    forms_with(config, uri, &Reductions::default())
}

fn forms_with(config: &Config, uri: &[u8], learned: &Reductions) -> Vec<Selector> {
    let Some(query) = uri.iter().position(|b| *b == b'?') else { return Vec::new() };
    let mut reductions = config.rules.reductions(&get(&String::from_utf8_lossy(uri)));
    reductions.merge(learned);
    match reductions.keys() {
        None => vec![Selector::UriAnyQuery(uri.get(..query).unwrap_or_default().to_vec())],
        Some(keys) => {
            let forms = sorted(keys.iter().map(|options| key::reduced(uri, options)));
            forms.into_iter().filter(|form| form != uri).map(Selector::Uri).collect()
        }
    }
}

fn borrowed(values: &[(String, u64)]) -> Vec<(&str, u64)> {
    values.iter().map(|(name, value)| (name.as_str(), *value)).collect()
}

/// A request on whose behalf what lies under a key may be fetched; none when no request of ours has that key.
fn asked_by(cx: &mut Context<'_, impl Host>, stream: StreamId, key: &[u8]) -> Option<Rc<Ask>> {
    let parts = KeyParts::of(key)?;
    let request = parts.request()?;
    let mut options = cx.config.rules.for_request(&request);
    // The command may have come through another listener.
    if options.key.direction != parts.direction() {
        Rc::make_mut(&mut options).key.direction = parts.direction();
    }
    let ask = ask_with(cx, stream, request, options);
    let nominated: Vec<String> =
        parts.variant.iter().map(|(name, _)| String::from_utf8_lossy(name).into_owned()).collect();
    cx.cache.comes_to(cx.host, &ask, key, &nominated).then(|| Rc::new(ask))
}

/// What a request would ask of the cache.
pub(super) fn ask_for(cx: &Context<'_, impl Host>, stream: StreamId, mut request: RequestHead) -> Ask {
    // Envoy tells the scheme of each request, unless the client has.
    if !request.fields.contains("x-forwarded-proto") {
        let scheme = request.scheme().to_vec();
        request.fields.push("x-forwarded-proto", scheme);
    }
    let options = cx.config.rules.for_request(&request);
    ask_with(cx, stream, request, options)
}

fn ask_with(
    cx: &Context<'_, impl Host>,
    stream: StreamId,
    mut request: RequestHead,
    options: Rc<Options>,
) -> Ask {
    key::withhold(&mut request, &options);
    let key = key::primary(&request, &options);
    Exchange::new(stream).ask(cx, request, options, key).of_nobody()
}

/// The request that a URL would be asked with, for the rules that its key depends on.
pub(super) fn get(url: &str) -> RequestHead {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let at = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(at).unwrap_or((rest, "/"));
    let mut fields = Fields::from_iter([(":method", "GET"), (":scheme", scheme), (":authority", authority)]);
    fields.push(":path", if path.is_empty() { "/" } else { path });
    RequestHead { fields, has_body: false }
}
