//! Commands with an idempotency key: sent again they are answered again, and not carried out twice.
//!
//! The memory is short, and all workers share it: a client cannot choose the worker that gets a repeated command. Only
//! when both come at the very same moment is a command carried out twice, which for a purge does no harm.

use core::time::Duration;
use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::admin::{AdminResponse, Caller, Problem};
use crate::store::{Cas, SharedData, TRIES};
use crate::time::Monotonic;

/// How many answers to commands with an idempotency key are remembered. Beyond it the oldest are forgotten, and what
/// repeats such a command is carried out once more.
const ANSWERS_MAX: usize = 256;

/// The most bytes of these answers together: the table is one value in shared data. Beyond it the oldest are forgotten
/// likewise.
const BYTES_MAX: usize = 256 << 10;

/// For how long.
const KEPT: Duration = Duration::from_secs(600);

/// Where the table lies in shared data.
const TABLE: &str = "answers";

/// The first byte of the table.
const VERSION: u8 = 1;

/// The answers to commands with a key, the oldest first.
#[derive(Serialize, Deserialize, Clone, Debug, Default)]
pub struct Answers {
    answers: VecDeque<Answer>,
}

#[derive(Serialize, Deserialize, Clone, Debug)]
struct Answer {
    caller: String,
    key: String,
    /// The SHA-256 digest of the command.
    command: [u8; 32],
    response: AdminResponse,
    at: Monotonic,
}

impl Answers {
    /// The table in shared data, and what it is to be replaced by compare-and-set with.
    pub fn load(data: &impl SharedData) -> (Answers, Cas) {
        match data.get(TABLE) {
            Some(found) => (Answers::decode(&found.bytes), found.cas),
            None => (Answers::default(), Cas::Absent),
        }
    }

    /// Remembers the answer to what was said under this key. Where others change the table all the time, a repetition will
    /// be carried out once more.
    pub fn remember(
        data: &impl SharedData,
        caller: &Caller,
        (key, said): (&str, &[u8]),
        answer: &AdminResponse,
        now: Monotonic,
    ) {
        for _ in 0..TRIES {
            let (mut table, cas) = Answers::load(data);
            table.keep(caller, key, said, answer, now);
            if data.compare_and_set(TABLE, &table.encode(), cas) {
                break;
            }
        }
    }

    /// The table in these bytes; an empty one when they are none.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Answers {
        match bytes.split_first() {
            Some((&VERSION, table)) => postcard::from_bytes(table).unwrap_or_default(),
            Some(_) | None => Answers::default(),
        }
    }

    /// The table as bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        bytes.extend(postcard::to_allocvec(self).unwrap_or_default());
        bytes
    }

    /// The answer that this caller has had to the same command under the same key.
    ///
    /// # Errors
    /// When the key was used for another command.
    pub fn find(
        &self,
        caller: &Caller,
        key: &str,
        body: &[u8],
        now: Monotonic,
    ) -> Result<Option<AdminResponse>, Problem> {
        let same = |answer: &&Answer| {
            answer.caller == caller.name && answer.key == key && now.since(answer.at) < KEPT
        };
        match self.answers.iter().find(same) {
            None => Ok(None),
            Some(answer) if answer.command == digest(body) => Ok(Some(answer.response.clone())),
            Some(_) => Err(Problem {
                path: Some("idempotency_key".into()),
                ..Problem::new(409, "was used for another command")
            }),
        }
    }

    /// Remembers an answer; forgets those that are too old or too many.
    pub fn keep(
        &mut self,
        caller: &Caller,
        key: &str,
        body: &[u8],
        response: &AdminResponse,
        now: Monotonic,
    ) {
        self.answers.retain(|answer| now.since(answer.at) < KEPT);
        self.answers.push_back(Answer {
            caller: caller.name.clone(),
            key: key.to_owned(),
            command: digest(body),
            response: response.clone(),
            at: now,
        });
        let bytes =
            |answer: &Answer| answer.caller.len() + answer.key.len() + 128 + answer.response.body.len();
        let mut total: usize = self.answers.iter().map(bytes).sum();
        while self.answers.len() > ANSWERS_MAX || total > BYTES_MAX {
            let Some(oldest) = self.answers.pop_front() else { break };
            total = total.saturating_sub(bytes(&oldest));
        }
    }
}

fn digest(body: &[u8]) -> [u8; 32] {
    Sha256::digest(body).into()
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
    fn the_memory_is_bounded_and_outlives_its_bytes() {
        let mut answers = Answers::default();
        for n in 0..2 * ANSWERS_MAX {
            answers.keep(&caller(), &n.to_string(), b"", &AdminResponse::empty(200), Monotonic(0));
        }
        assert_eq!(answers.answers.len(), ANSWERS_MAX);
        let long = AdminResponse::text(200, &"x".repeat(BYTES_MAX / 3));
        for n in 0..9 {
            answers.keep(&caller(), &format!("long {n}"), b"", &long, Monotonic(0));
        }
        let bytes = answers.encode();
        assert!(bytes.len() < BYTES_MAX + 1024, "{}", bytes.len());
        let answers = Answers::decode(&bytes);
        assert_eq!(answers.find(&caller(), "long 8", b"", Monotonic(0)), Ok(Some(long)));
        assert_eq!(answers.find(&caller(), "long 0", b"", Monotonic(0)), Ok(None));
        assert!(Answers::decode(b"?").answers.is_empty() && Answers::decode(b"").answers.is_empty());
    }
}
