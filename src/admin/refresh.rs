//! Fetching again what has changed: what was asked for and what came of it.

use serde_json::{Value, json};

use super::{AdminResponse, Dialect, Wanted};

/// URLs to fetch again.
#[derive(Clone, PartialEq, Debug)]
pub struct Refresh {
    /// Their canonical URIs.
    pub uris: Vec<Vec<u8>>,
    /// What it wants of the fleet.
    pub wanted: Wanted,
    /// The language of the answer.
    pub dialect: Dialect,
}

/// What came of the wish to fetch stored responses again.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Refreshed {
    /// The position in the journal from which they are stale; none when nothing is stored for any of them.
    pub receipt: Option<u64>,
    /// The keys of those that are being fetched.
    pub started: Vec<String>,
    /// What is not fetched now but with the next request for it, and why.
    pub left: Vec<(String, String)>,
    /// Whether these are all that were meant.
    pub complete: bool,
    /// Whether the others follow by themselves, as there is room for fetches.
    pub continues: bool,
}

impl Refreshed {
    /// What came of it as JSON.
    #[must_use]
    pub fn shown(&self) -> Value {
        let left: Vec<Value> = self.left.iter().map(|(key, why)| json!({ "key": key, "why": why })).collect();
        json!({
            "refreshing": self.started,
            "left": left,
            "complete": self.complete,
            "continues": self.continues,
        })
    }
}

/// The answer to a refresh.
#[must_use]
pub fn refreshing(refresh: &Refresh, refreshed: &Refreshed) -> AdminResponse {
    if refresh.dialect == Dialect::Varnish {
        let text = match (refreshed.started.is_empty(), refreshed.left.first()) {
            (false, _) => "Refreshing".to_owned(),
            (true, Some((_, why))) if refreshed.receipt.is_some() => format!("Marked stale: {why}"),
            (true, _) => "No response is stored for it".to_owned(),
        };
        let answer = AdminResponse::text(200, &text);
        return match refreshed.receipt {
            Some(seq) => answer.with("larder-receipt", seq.to_string()),
            None => answer,
        };
    }
    let urls: Vec<_> = refresh.uris.iter().map(|uri| String::from_utf8_lossy(uri)).collect();
    let mut body = json!({ "receipt": refreshed.receipt, "urls": urls });
    if let (Some(members), Value::Object(more)) = (body.as_object_mut(), refreshed.shown()) {
        members.extend(more);
    }
    AdminResponse::json(if refreshed.started.is_empty() { 200 } else { 202 }, &body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::fixture::body;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn an_answer_says_what_is_fetched_and_what_is_not() {
        let refresh = |dialect| Refresh { uris: vec![b"h/a".to_vec()], wanted: Wanted::default(), dialect };
        let left = vec![("http://h/a".to_owned(), "why".to_owned())];
        let refreshed =
            Refreshed { receipt: Some(7), started: Vec::new(), left, complete: true, continues: false };
        let answer = refreshing(&refresh(Dialect::Own), &refreshed);
        let expected = json!({
            "receipt": 7, "urls": ["h/a"], "refreshing": [], "left": [{"key": "http://h/a", "why": "why"}],
            "complete": true, "continues": false,
        });
        assert_eq!((answer.status, body(&answer)), (200, expected));
        assert_eq!(refreshing(&refresh(Dialect::Varnish), &refreshed).body, b"Marked stale: why\n");
        let nothing = Refreshed { receipt: None, ..refreshed.clone() };
        assert_eq!(refreshing(&refresh(Dialect::Varnish), &nothing).body, b"No response is stored for it\n");
        let started = Refreshed { started: vec!["http://h/a".into()], ..refreshed };
        assert_eq!(refreshing(&refresh(Dialect::Own), &started).status, 202);
        let answer = refreshing(&refresh(Dialect::Varnish), &started);
        assert_eq!(
            (&answer.body[..], answer.fields.get("larder-receipt")),
            (&b"Refreshing\n"[..], Some(&b"7"[..]))
        );
    }
}
