//! A request of the admin route, from its head to its answer.

use super::execute::acknowledge::Executed;
use super::execute::commands::AdminRequest;
use super::execute::pending::Pending;
use super::recognise::{Recognised, forbidden, recognise, turned_away};
use super::{BodyMissing, is_admitted};
use crate::cache::{Context, Host, StreamId};
use crate::config::Strangers;
use crate::http::RequestHead;
use crate::outcome::metrics::Counter;

/// What a request of the admin route comes to, as far as its head tells.
pub enum Taken {
    /// It was carried out, or refused.
    Executed(Executed),
    /// Its body is needed first: [`AdminRequest::body`], [`AdminRequest::body_missing`].
    Body(Box<AdminRequest>),
}

/// Takes a request of which the head has arrived, if it is for the admin route; none for a request like any other.
pub fn take(
    cx: &mut Context<'_, impl Host>,
    pending: &mut Pending,
    stream: StreamId,
    request: &RequestHead,
) -> Option<Taken> {
    let config = &cx.config.admin;
    let answer = match recognise(request, config) {
        Recognised::NotForUs => return None,
        // A stranger's PURGE is a request like any other, where the operator wants it.
        Recognised::Stranger => match config.strangers {
            Strangers::Pass => return None,
            Strangers::Forbid => forbidden(),
        },
        Recognised::Respond(_) | Recognised::Authorised(_) if !is_admitted(cx) => {
            turned_away(request, config)
        }
        Recognised::Unauthorised(response) => {
            cx.turn.host.count(Counter::Unauthorised);
            if let Some(times) = pending.unauthorised.note(cx.turn.now.mono) {
                cx.turn.host.warn(&format!("larder: {times} commands with an unknown token were refused"));
            }
            response
        }
        Recognised::Respond(response) => response,
        Recognised::Authorised(authorised) => {
            let taken = AdminRequest { stream, head: request.clone(), authorised };
            if request.has_body {
                return Some(Taken::Body(Box::new(taken)));
            }
            return Some(Taken::Executed(taken.execute(cx, pending, &[])));
        }
    };
    Some(Taken::Executed(Executed::Answer(answer)))
}

impl AdminRequest {
    /// So much of its body is there; `body` reads it. What it has come to, unless more of it is to come.
    pub fn body(
        &self,
        cx: &mut Context<'_, impl Host>,
        pending: &mut Pending,
        size: usize,
        ends: bool,
        body: impl FnOnce() -> Option<Vec<u8>>,
    ) -> Option<Executed> {
        if size > cx.config.admin.body_bytes_max {
            return Some(Executed::Answer(self.authorised.too_large(&cx.config.admin)));
        }
        if !ends {
            return None;
        }
        Some(match body() {
            Some(body) => self.execute(cx, pending, &body),
            None => self.body_missing(cx, pending, BodyMissing::Late),
        })
    }

    /// What it comes to when its body does not come.
    pub fn body_missing(
        &self,
        cx: &mut Context<'_, impl Host>,
        pending: &mut Pending,
        why: BodyMissing,
    ) -> Executed {
        if self.authorised.reads_body(&self.head) {
            Executed::Answer(self.authorised.body_missing(&self.head, &cx.config.admin, why))
        } else {
            self.execute(cx, pending, &[])
        }
    }
}
