//! Commands are carried out.

use std::rc::Rc;

use super::acknowledge::{CarriedOut, Executed};
use super::idempotency::Answers;
use super::namespaces::{Bump, Namespaces};
use super::pending::{JOBS_MAX, Pending, RefreshJob};
use super::queries;
use super::refetch::{begin_job, refetch};
use super::requests::{forms, forms_with};
use crate::admin::{
    AdminResponse, Authorised, Caller, Command, JournalBusy, Problem, Purge, Reader, Refresh, Refreshed,
    Wanted, configuration, purged, refreshing, shown, stats,
};
use crate::cache::{Context, Host, Seen, StreamId, reductions};
use crate::config::{KeyOptions, Scope};
use crate::http::RequestHead;
use crate::invalidation::{Invalidation, Mode, Selector, Source};
use crate::policy::key;
use crate::sorting::sorted;
use crate::store::TRIES;

/// A request of the admin route whose caller is known.
pub struct AdminRequest {
    /// The stream that it came on.
    pub stream: StreamId,
    /// Its head.
    pub head: RequestHead,
    /// Who sends it, and what it is for.
    pub authorised: Authorised,
}

impl AdminRequest {
    /// Reads the command, body and all, and does what it wants.
    pub fn execute(&self, cx: &mut Context<'_, impl Host>, pending: &mut Pending, body: &[u8]) -> Executed {
        let done = self.done(cx, pending, body);
        done.acknowledged(cx, &self.authorised)
    }

    fn done(&self, cx: &mut Context<'_, impl Host>, pending: &mut Pending, body: &[u8]) -> CarriedOut {
        let config = Rc::clone(cx.config);
        let plain = KeyOptions::default();
        let canonical = |url: &str| key::uri_of(url, &plain);
        let forms = |uri: &[u8]| forms(&config, uri);
        let reader = Reader {
            config: &config.admin,
            canonical: &canonical,
            forms: &forms,
            hierarchy: &config.tags.parents,
            now: cx.turn.now.wall,
        };
        let command = self.authorised.command(&self.head, body, &reader);
        let cost = command.as_ref().map_or(1, Command::cost);
        match pending.commands.take(&self.caller().name, cost, config.admin.rate, cx.turn.now.mono) {
            Err(secs) => self.refuse(&Problem::too_many(secs)).into(),
            Ok(()) => {
                command.map_or_else(CarriedOut::from, |command| self.carry_out(cx, pending, command, body))
            }
        }
    }

    fn carry_out(
        &self,
        cx: &mut Context<'_, impl Host>,
        pending: &mut Pending,
        command: Command,
        body: &[u8],
    ) -> CarriedOut {
        // What makes two commands the same: without a body, all is in the path.
        let said = if body.is_empty() { self.head.path() } else { body };
        let answer = match command {
            Command::Purge(purge) => return self.purge_once(cx, pending, purge, said),
            Command::Refresh(refresh) => return self.refresh(cx, &refresh),
            Command::Namespace(bump) => return self.bump(cx, &bump),
            Command::Stats => stats(&borrowed(&cx.turn.host.values())),
            Command::Health => queries::health(cx),
            Command::Config => configuration(&cx.config.original.json),
            Command::Journal { before, limit } => queries::journal(cx, before, limit),
            Command::Receipt { seq, cursor } => queries::receipt(cx, seq, cursor),
            Command::Fleet => queries::fleet(cx),
            Command::FleetReceipt { revision } => queries::fleet_receipt(cx, revision),
            Command::Entries(query) => queries::entries(cx, &query),
            Command::Entry { uri } => queries::entry(cx, self.stream, &uri),
            Command::Explain(query) => queries::explain(cx, self.stream, query),
            Command::Namespaces => Namespaces::load(cx.turn.host).0.answer(),
            Command::Respond(response) => response,
        };
        answer.into()
    }

    fn caller(&self) -> &Caller {
        &self.authorised.caller
    }

    fn refuse(&self, problem: &Problem) -> AdminResponse {
        self.authorised.refuse(problem)
    }

    /// A purge, unless it has been carried out before under the same idempotency key.
    fn purge_once(
        &self,
        cx: &mut Context<'_, impl Host>,
        pending: &mut Pending,
        purge: Purge,
        said: &[u8],
    ) -> CarriedOut {
        let Some(key) = purge.idempotency_key.clone() else { return self.purge_or_say(cx, pending, purge) };
        match Answers::load(cx.turn.host).0.find(self.caller(), &key, said, cx.turn.now.mono) {
            Err(problem) => self.refuse(&problem).into(),
            Ok(Some(answer)) => answer.into(),
            Ok(None) => {
                let done = self.purge_or_say(cx, pending, purge);
                CarriedOut { repeated_as: Some((key, said.to_vec())), ..done }
            }
        }
    }

    fn purge_or_say(
        &self,
        cx: &mut Context<'_, impl Host>,
        pending: &mut Pending,
        purge: Purge,
    ) -> CarriedOut {
        if let Err(problem) = purge.wanted.check(&cx.config.fleet) {
            return self.refuse(&problem).into();
        }
        if purge.dry_run { queries::would_purge(cx, &purge).into() } else { self.purge(cx, pending, purge) }
    }

    fn purge(&self, cx: &mut Context<'_, impl Host>, pending: &mut Pending, mut purge: Purge) -> CarriedOut {
        if purge.or_everything
            && !queries::is_any_stored(cx, &purge)
            && let Err(problem) = purge.widen(self.caller())
        {
            return self.refuse(&problem).into();
        }
        if let Err(problem) = self.has_room(cx, &purge) {
            return self.refuse(&problem).into();
        }
        let covered = queries::covered(cx, pending, self.stream, &purge);
        let mut results = append(cx, &purge.invalidations, purge.wanted);
        results.extend(append_learned(cx, &mut purge));
        purge.covered = Some(covered);
        let last = results.iter().filter_map(|result| result.ok()).max();
        if let (true, Some(receipt)) = (purge.refresh, last) {
            let mut job = RefreshJob { matchers: purge.matchers(), receipt, cursor: 0 };
            let done = begin_job(cx, &mut job);
            let continues = !done.as_ref().is_none_or(|done| done.complete) && pending.jobs.len() < JOBS_MAX;
            purge.refreshed = done.map(|done| Refreshed { continues, ..done });
            if continues {
                pending.jobs.push_back(job);
            }
        }
        let answer = purged(&purge, &results);
        CarriedOut { position: last, wanted: purge.wanted, ..answer.into() }
    }

    /// Whether the journal has room for what of a purge has to be held against responses one by one. Where it has none it
    /// forgets, and everything that is stored has to be asked for again: that is for those to cause who may purge
    /// everything, so they have a part of the room for themselves.
    fn has_room(&self, cx: &mut Context<'_, impl Host>, purge: &Purge) -> Result<(), Problem> {
        if self.caller().may(Scope::PurgeAll)
            || cx.cache.inspect(cx.turn).journal_has_room_for(&purge.invalidations)
        {
            return Ok(());
        }
        Err(Problem::new(
            429,
            "the journal holds as many patterns and conditions as it may of tokens without the scope `purge_all`: name \
             tags, URLs, prefixes or hosts, or have everything purged by a token with that scope",
        ))
    }

    /// Marks URLs stale and has them fetched again.
    fn refresh(&self, cx: &mut Context<'_, impl Host>, refresh: &Refresh) -> CarriedOut {
        if let Err(problem) = refresh.wanted.check(&cx.config.fleet) {
            return self.refuse(&problem).into();
        }
        let (token, now) = (self.caller().name.clone(), cx.turn.now.wall);
        let soft = |uri: &Vec<u8>| Invalidation {
            mode: Mode::Soft,
            selector: Selector::Uri(uri.clone()),
            issued_at: now,
            source: Source::Admin { token: token.clone() },
            reason: Some("refresh".into()),
        };
        let found: Vec<_> = refresh.uris.iter().map(|uri| queries::stored_at(cx, self.stream, uri)).collect();
        // By `No-Vary-Search` it may have been stored for another URL. What is not stored needs no record.
        let stored = found.iter().flat_map(|page| &page.seen).filter_map(Seen::response);
        let there = refresh.uris.iter().zip(&found);
        let there =
            there.filter(|(_, page)| !page.seen.is_empty() || page.next.is_some()).map(|(uri, _)| uri);
        let uris = sorted(there.chain(stored.map(|response| &response.uri)));
        let records: Vec<_> = uris.into_iter().map(soft).collect();
        let results = append(cx, &records, refresh.wanted);
        if results.iter().any(Result::is_err) {
            return self.refuse(&Problem::busy()).into();
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
        let (position, wanted) = (refreshed.receipt, refresh.wanted);
        CarriedOut { position, wanted, ..refreshing(refresh, &refreshed).into() }
    }

    /// Changes the version of a namespace. The journal makes it true; the table only remembers the number.
    fn bump(&self, cx: &mut Context<'_, impl Host>, bump: &Bump) -> CarriedOut {
        if let Err(problem) = bump.wanted.check(&cx.config.fleet) {
            return self.refuse(&problem).into();
        }
        let mut written = None;
        for _ in 0..TRIES {
            let (mut table, cas) = Namespaces::load(cx.turn.host);
            let Some(version) = table.next(bump) else { return table.bumped(bump).into() };
            let seq = match written {
                Some(seq) => seq,
                None => {
                    let results = append(cx, &bump.invalidations, bump.wanted);
                    match results.into_iter().collect::<Result<Vec<_>, _>>() {
                        Ok(positions) => positions.into_iter().max().unwrap_or_default(),
                        Err(JournalBusy) => return self.refuse(&Problem::busy()).into(),
                    }
                }
            };
            written = Some(seq);
            table.set(&bump.selector, version, seq, cx.turn.now.wall);
            if table.save(cx.turn.host, cas) {
                return CarriedOut { position: written, wanted: bump.wanted, ..table.bumped(bump).into() };
            }
        }
        let problem = Problem { retry_after_secs: Some(1), ..Problem::new(503, busy_table(bump)) };
        self.refuse(&problem).into()
    }
}

fn busy_table(bump: &Bump) -> String {
    format!(
        "everything under {} is invalidated, but others changed the table of versions all the time",
        shown(&bump.selector)
    )
}

fn append(
    cx: &mut Context<'_, impl Host>,
    records: &[Invalidation],
    wanted: Wanted,
) -> Vec<Result<u64, JournalBusy>> {
    let append = |record| match wanted.here {
        true => cx.cache.invalidate_here(cx.turn.host, record),
        false => cx.cache.invalidate(cx.turn.host, record),
    };
    records.iter().map(append).map(|written| written.map_err(|_| JournalBusy)).collect()
}

/// Appends records for what URLs come to by the metadata of routes, which only those know that have met them.
fn append_learned(cx: &mut Context<'_, impl Host>, purge: &mut Purge) -> Vec<Result<u64, JournalBusy>> {
    let learned = reductions::learned(cx.turn.host);
    if learned.is_empty() {
        return Vec::new();
    }
    let config = Rc::clone(cx.config);
    let from = purge.also(&|uri: &[u8]| forms_with(&config, uri, &learned));
    let wanted = purge.wanted;
    append(cx, purge.invalidations.get(from..).unwrap_or_default(), wanted)
}

fn borrowed(values: &[(String, u64)]) -> Vec<(&str, u64)> {
    values.iter().map(|(name, value)| (name.as_str(), *value)).collect()
}
