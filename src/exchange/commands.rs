//! Commands of the admin route: their bodies are read, and what they want is done.

use super::{Context, Exchange, Reply, State, Step};
use crate::admin::{self, AdminResponse, Caller, Command, JournalBusy};
use crate::cache::Host;
use crate::config::Config;
use crate::http::{Fields, RequestHead};
use crate::policy::key;

/// A command whose body is being read.
pub(super) struct Commanding {
    request: RequestHead,
    caller: Caller,
}

impl Exchange {
    /// Whether the chunks of the request body are of interest.
    #[must_use]
    pub fn collects(&self) -> bool {
        matches!(self.state, State::Commanding(_))
    }

    /// The head of a command has arrived, and its caller is known.
    pub(super) fn command_head(
        &mut self,
        cx: &mut Context<'_, impl Host>,
        request: RequestHead,
        caller: Caller,
    ) -> Step {
        let has_body = request.has_body;
        let commanding = Commanding { request, caller };
        if !has_body {
            let response = commanding.execute(cx, &[]);
            return self.reply(Reply::admin(response));
        }
        self.state = State::Commanding(Box::new(commanding));
        Step::Hold
    }

    /// So much of a command's body is there; `body` reads it.
    pub fn request_body(
        &mut self,
        cx: &mut Context<'_, impl Host>,
        size: usize,
        ends: bool,
        body: impl FnOnce() -> Vec<u8>,
    ) -> Step {
        let State::Commanding(commanding) = &self.state else { return Step::Continue(Vec::new()) };
        if size > cx.config.admin.body_bytes_max {
            let response = admin::too_large(&commanding.request, &cx.config.admin);
            return self.reply(Reply::admin(response));
        }
        if !ends {
            return Step::Hold;
        }
        let response = commanding.execute(cx, &body());
        self.reply(Reply::admin(response))
    }
}

impl Exchange {
    /// The body of a command has not begun to arrive in time.
    pub fn body_missing(&mut self, config: &Config) -> Option<Reply> {
        let State::Commanding(commanding) = &self.state else { return None };
        let response = admin::body_missing(&commanding.request, &config.admin);
        match self.reply(Reply::admin(response)) {
            Step::Reply(reply) => Some(*reply),
            Step::Continue(_) | Step::Wait | Step::Hold => None,
        }
    }
}

impl Commanding {
    fn execute(&self, cx: &mut Context<'_, impl Host>, body: &[u8]) -> AdminResponse {
        let config = cx.config;
        let canonical = |url: &str| key::uri_of(url, &config.rules.for_request(&get(url)).key);
        let context = admin::Context {
            config: &config.admin,
            canonical: &canonical,
            hierarchy: &config.tags.parents,
            now: cx.now.wall,
        };
        match admin::command(&self.request, body, &self.caller, &context) {
            Err(refusal) => refusal,
            Ok(Command::Purge(purge)) => {
                let mut results = Vec::with_capacity(purge.invalidations.len());
                if !purge.dry_run {
                    for invalidation in &purge.invalidations {
                        results.push(cx.cache.invalidate(cx.host, invalidation).map_err(|_| JournalBusy));
                    }
                }
                admin::purged(&purge, &results)
            }
            Ok(Command::Stats) => admin::stats(&borrowed(&cx.host.values())),
            Ok(Command::Health) => {
                let facts = [("journal_head", cx.cache.journal_head())];
                admin::health(&[], &facts)
            }
            Ok(Command::Respond(response)) => response,
            Ok(_) => admin::Problem::new(501, "this command is not carried out yet").response(),
        }
    }
}

fn borrowed(values: &[(String, u64)]) -> Vec<(&str, u64)> {
    values.iter().map(|(name, value)| (name.as_str(), *value)).collect()
}

/// The request that a URL would be asked with, for the rules that its key depends on.
fn get(url: &str) -> RequestHead {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let at = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(at).unwrap_or((rest, "/"));
    let fields = Fields::from_iter([(":method", "GET"), (":authority", authority), (":path", path)]);
    RequestHead { fields, has_body: false }
}
