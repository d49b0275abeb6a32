//! A 304 to our conditions that is about something else than what we have (RFC 9111 §4.3.3): the client has no use for it,
//! and what is stored is known to be old. So the client's own request goes once more, without our conditions.

use std::rc::Rc;

use super::{Exchange, Reply, State, Step};
use crate::cache::{CacheRequest, Call, CallResponse, Context, Host};
use crate::outcome::{Forward, Outcome};

/// A request whose repetition is under way, and whose 304 is held meanwhile.
pub(super) struct Repeating {
    ask: Rc<CacheRequest>,
    forward: Forward,
}

impl Exchange {
    /// Repeats the request by this call. Where there is none, the origin's answer is one that nobody can use: 502.
    pub(super) fn again(
        &mut self,
        cx: &Context<'_, impl Host>,
        forward: Forward,
        ask: &Rc<CacheRequest>,
        call: Option<Call>,
    ) -> Step {
        let repeating = Repeating { ask: Rc::clone(ask), forward };
        match call {
            Some(call) => {
                self.state = State::Repeating(Box::new(repeating));
                Step::Call(Box::new(call))
            }
            None => self.not_confirmed(cx, repeating),
        }
    }

    /// The repetition has come back; none when it could not be sent.
    pub fn answered_again(
        &mut self,
        cx: &Context<'_, impl Host>,
        call_response: Option<CallResponse>,
    ) -> Option<Step> {
        let State::Repeating(repeating) = core::mem::replace(&mut self.state, State::Over) else {
            return None;
        };
        let received = call_response.and_then(|CallResponse { head, body }| Some((head?, body)));
        let Some((head, body)) = received else { return Some(self.not_confirmed(cx, *repeating)) };
        let outcome = Outcome::Forward(repeating.forward);
        self.tell(cx.turn.host, &outcome, None);
        let step = self.reply(Reply::passing(&repeating.ask, head, body, &outcome));
        Some(self.explained(step))
    }

    fn not_confirmed(&mut self, cx: &Context<'_, impl Host>, repeating: Repeating) -> Step {
        let outcome = Outcome::Forward(Forward { status: Some(304), ..repeating.forward });
        self.tell(cx.turn.host, &outcome, None);
        self.reply(Reply::not_confirmed(cx.config, &outcome))
    }
}
