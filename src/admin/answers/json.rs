//! What several answers show, as JSON: records of the journal, numbers by name, reasons, the state of a breaker.

use serde_json::{Map, Value, json};

use crate::admin::{Reason, shown};
use crate::invalidation::{Invalidation, Source};

/// A record of the journal as JSON.
pub fn record(seq: u64, invalidation: &Invalidation) -> Value {
    let mut shown = json!({
        "receipt": seq,
        "mode": invalidation.mode.as_str(),
        "selector": shown(&invalidation.selector),
        "issued_at": invalidation.issued_at.secs(),
        "source": invalidation.source.as_str(),
    });
    if let Some(members) = shown.as_object_mut() {
        if let Source::Admin { token } = &invalidation.source {
            members.insert("token".into(), token.as_str().into());
        }
        if let Source::Fleet { revision, by } = &invalidation.source {
            members.insert("revision".into(), (*revision).into());
            members.insert("by".into(), by.as_str().into());
        }
        if let Some(reason) = &invalidation.reason {
            members.insert("reason".into(), reason.as_str().into());
        }
    }
    shown
}

/// Numbers by name.
pub fn object(numbers: &[(&str, u64)]) -> Value {
    let members = numbers.iter().map(|(name, number)| ((*name).to_owned(), (*number).into()));
    Value::Object(members.collect::<Map<_, _>>())
}

/// A reason with what it comes from and what to change.
pub fn explained(reason: Reason) -> Value {
    json!({ "reason": reason.word, "section": reason.section, "why": reason.why, "advice": reason.advice })
}

/// The state of a breaker in a word.
pub const fn breaker(is_open: bool) -> &'static str {
    if is_open { "open" } else { "closed" }
}
