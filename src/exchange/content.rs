//! Requests whose content is part of their cache key (`QUERY`, RFC 10008): it is read before they are looked up.

use std::rc::Rc;

use super::{Exchange, Kept, State, Step};
use crate::admin::BodyMissing;
use crate::cache::{Context, Host};
use crate::config::Options;
use crate::heap::block;
use crate::http::RequestHead;
use crate::in_flight::Share;
use crate::outcome::{Bypass, ForwardReason};
use crate::policy::key;

/// A request whose content is being read.
pub(super) struct Reading {
    request: RequestHead,
    options: Rc<Options>,
    /// What it holds of the worker's memory.
    _held: Share,
}

impl Exchange {
    /// Whether the chunks of the request body are of interest.
    #[must_use]
    pub fn collects(&self) -> bool {
        matches!(self.state, State::Commanding(_) | State::Reading(_))
    }

    /// Whether the request is a command, whose body is being read.
    #[must_use]
    pub const fn is_commanded(&self) -> bool {
        matches!(self.state, State::Commanding(_))
    }

    /// So much of the request's body is there; `body` reads it, if the host gives it out.
    pub fn request_body(
        &mut self,
        cx: &mut Context<'_, impl Host>,
        kept: &mut Kept,
        size: usize,
        ends: bool,
        body: impl FnOnce() -> Option<Vec<u8>>,
    ) -> Step {
        match core::mem::replace(&mut self.state, State::Idle) {
            State::Commanding(request) => match request.body(cx, &mut kept.admin, size, ends, body) {
                Some(executed) => self.executed(cx, kept, executed),
                None => {
                    self.state = State::Commanding(request);
                    Step::Hold
                }
            },
            State::Reading(reading) => {
                let step = self.content(cx, reading, size, ends, body);
                self.sent_on(step)
            }
            other => {
                self.state = other;
                Step::Continue(Vec::new())
            }
        }
    }

    /// The body of a request is not waited for any more.
    pub fn body_missing(
        &mut self,
        cx: &mut Context<'_, impl Host>,
        kept: &mut Kept,
        why: BodyMissing,
    ) -> Step {
        match &self.state {
            State::Commanding(request) => {
                let executed = request.body_missing(cx, &mut kept.admin, why);
                self.executed(cx, kept, executed)
            }
            State::Reading(_) => {
                let step = self.pass(ForwardReason::Bypass(Bypass::RequestBody));
                self.sent_on(step)
            }
            State::Idle
            | State::Parked
            | State::Passing(_)
            | State::Fetching(_)
            | State::Capturing(_)
            | State::Repeating(_)
            | State::Acknowledging(_)
            | State::Answered(_)
            | State::Over => Step::Hold,
        }
    }

    /// The head of a request has arrived whose content is part of its key.
    pub(super) fn content_head(
        &mut self,
        cx: &mut Context<'_, impl Host>,
        request: RequestHead,
        options: Rc<Options>,
    ) -> Step {
        if !request.has_body {
            return self.keyed(cx, request, options, &[]);
        }
        let Some(held) = cx.cache.in_flight().share(block(size_of::<Reading>()) + request.fields.held())
        else {
            return self.pass(ForwardReason::Bypass(Bypass::Memory));
        };
        self.state = State::Reading(Box::new(Reading { request, options, _held: held }));
        Step::Hold
    }

    fn content(
        &mut self,
        cx: &mut Context<'_, impl Host>,
        reading: Box<Reading>,
        size: usize,
        ends: bool,
        body: impl FnOnce() -> Option<Vec<u8>>,
    ) -> Step {
        if size as u64 > reading.options.key.content_bytes_max {
            return self.pass(ForwardReason::Bypass(Bypass::RequestBody));
        }
        if !ends {
            self.state = State::Reading(reading);
            return Step::Hold;
        }
        // Without it the request would be taken for another.
        let Some(content) = body() else { return self.pass(ForwardReason::Bypass(Bypass::RequestBody)) };
        let Reading { request, options, .. } = *reading;
        self.keyed(cx, request, options, &content)
    }

    fn keyed(
        &mut self,
        cx: &mut Context<'_, impl Host>,
        request: RequestHead,
        options: Rc<Options>,
        content: &[u8],
    ) -> Step {
        let key = key::with_content(&request, &options, content);
        let ask = Rc::new(self.ask(cx, request, options, key));
        let decision = cx.cache.lookup(cx.turn, &ask);
        self.act(cx, &ask, decision)
    }
}
