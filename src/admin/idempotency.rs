//! Commands with an idempotency key: sent again they are answered again, and not carried out twice.
//!
//! The memory is short and a worker's own: a repetition that another worker gets, or that comes late, is carried out
//! once more, which for a purge does no harm.

use std::collections::VecDeque;

use core::time::Duration;

use super::{AdminResponse, Caller, Problem};
use crate::time::Monotonic;

/// How many answers are remembered.
const ANSWERS_MAX: usize = 256;

/// For how long.
const KEPT: Duration = Duration::from_secs(600);

/// The answers to commands with a key.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    answers: VecDeque<Answer>,
}

#[derive(Clone, Debug)]
struct Answer {
    caller: String,
    key: String,
    body: Vec<u8>,
    response: AdminResponse,
    at: Monotonic,
}

impl Answers {
    /// The answer that this caller has had to the same command under the same key.
    ///
    /// # Errors
    /// When the key was used for another command.
    pub fn find(
        &mut self,
        caller: &Caller,
        key: &str,
        body: &[u8],
        now: Monotonic,
    ) -> Result<Option<AdminResponse>, Problem> {
        self.answers.retain(|answer| now.since(answer.at) < KEPT);
        match self.answers.iter().find(|answer| answer.caller == caller.name && answer.key == key) {
            None => Ok(None),
            Some(answer) if answer.body == body => Ok(Some(answer.response.clone())),
            Some(_) => Err(Problem {
                path: Some("idempotency_key".into()),
                ..Problem::new(409, "was used for another command")
            }),
        }
    }

    /// Remembers an answer, unless the command has to be sent again.
    pub fn keep(
        &mut self,
        caller: &Caller,
        key: &str,
        body: &[u8],
        response: &AdminResponse,
        now: Monotonic,
    ) {
        if response.status >= 500 {
            return;
        }
        if self.answers.len() >= ANSWERS_MAX {
            self.answers.pop_front();
        }
        self.answers.push_back(Answer {
            caller: caller.name.clone(),
            key: key.to_owned(),
            body: body.to_vec(),
            response: response.clone(),
            at: now,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::fixture::caller;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_repetition_gets_the_first_answer() {
        let mut answers = Answers::default();
        let now = Monotonic(5);
        let first = AdminResponse::text(200, "first");
        assert_eq!(answers.find(&caller(), "k", b"a", now), Ok(None));
        answers.keep(&caller(), "k", b"a", &first, now);
        assert_eq!(answers.find(&caller(), "k", b"a", now), Ok(Some(first)));
        assert_eq!(answers.find(&caller(), "k", b"b", now).unwrap_err().status, 409);
        let other = Caller { name: "other".into(), ..caller() };
        assert_eq!(answers.find(&other, "k", b"a", now), Ok(None));
        assert_eq!(answers.find(&caller(), "k", b"a", now.after(KEPT)), Ok(None));
    }

    #[test]
    fn failures_are_not_repeated_and_the_memory_is_bounded() {
        let mut answers = Answers::default();
        answers.keep(&caller(), "k", b"", &AdminResponse::empty(503), Monotonic(0));
        assert_eq!(answers.find(&caller(), "k", b"", Monotonic(0)), Ok(None));
        for n in 0..2 * ANSWERS_MAX {
            answers.keep(&caller(), &n.to_string(), b"", &AdminResponse::empty(200), Monotonic(0));
        }
        assert_eq!(answers.answers.len(), ANSWERS_MAX);
    }
}
