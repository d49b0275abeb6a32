//! Stored responses as the admin route shows them: pages of them, and one in full.

use serde_json::{Map, Value, json};

use super::response::AdminResponse;
use crate::http::{Facts, Fields, facts};
use crate::invalidation::{Subject, Tag, Verdict};
use crate::policy::StoredResponse;
use crate::time::Timestamp;

/// The shape in which a page is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// Objects, with a cursor to go on from.
    Own,
    /// A list of keys, as Souin shows them.
    Keys,
    /// An object from tag to keys, as Souin shows its surrogate keys.
    KeysByTag,
}

/// A stored response, as the store knows it.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The canonical URI.
    pub uri: &'a [u8],
    /// The cache key in readable form; it may hold more than the URI.
    pub key: &'a str,
    /// The response.
    pub stored: &'a StoredResponse,
    /// The values that the nominated fields of its `Vary` had.
    pub variant: &'a [(String, String)],
    /// The tags that it carries.
    pub tags: &'a [Tag],
    /// The bytes that it takes.
    pub bytes: u64,
    /// The journal position by which it is judged.
    pub stamp: u64,
    /// What the journal says about it.
    pub verdict: Verdict,
}

impl<'a> Entry<'a> {
    /// How old it is (RFC 9111 §4.2.3), in seconds.
    #[must_use]
    pub fn age_secs(&self, now: Timestamp) -> u64 {
        self.stored.initial_age.saturating_add(now.since(self.stored.response_time)).as_secs()
    }

    /// How long it is fresh yet, in seconds; negative when it is stale. The journal is not looked at.
    #[must_use]
    pub fn ttl_secs(&self, now: Timestamp) -> i64 {
        let signed = |secs: u64| i64::try_from(secs).unwrap_or(i64::MAX);
        signed(self.stored.lifetime.as_secs()).saturating_sub(signed(self.age_secs(now)))
    }

    /// What a request for it would find, in one word.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> &'static str {
        match self.verdict {
            Verdict::Hard => "purged",
            Verdict::Revalidate => "invalidated",
            Verdict::Soft { .. } => "soft-purged",
            Verdict::Valid if self.stored.no_cache => "no-cache",
            Verdict::Valid if self.ttl_secs(now) > 0 => "fresh",
            Verdict::Valid => "stale",
        }
    }

    /// The entry as JSON, without its fields.
    #[must_use]
    pub fn shown(&self, now: Timestamp) -> Value {
        json!({
            "url": text(self.uri),
            "key": self.key,
            "variant": self.variant.iter().map(|(n, v)| (n.clone(), v.as_str().into())).collect::<Map<_, _>>(),
            "status": self.stored.status,
            "state": self.state(now),
            "age": self.age_secs(now),
            "ttl": self.ttl_secs(now),
            "bytes": self.bytes,
            "tags": self.tags.iter().map(Tag::as_str).collect::<Vec<_>>(),
            "automatic_tags": self.subject().automatic_tags(),
            "stored_at": self.stored.response_time.secs(),
            "stamp": self.stamp,
        })
    }

    /// What selectors look at.
    #[must_use]
    pub fn subject(&self) -> Subject<'a> {
        Subject {
            uri: self.uri,
            tags: self.tags,
            status: self.stored.status,
            content_type: self.stored.fields.get("content-type").unwrap_or_default(),
            stored_at: self.stored.response_time,
        }
    }
}

/// The answer to a question for entries: one page, and the cursor of the next where there is one.
#[must_use]
pub fn entries(shape: Shape, page: &[Entry<'_>], next: Option<u64>, now: Timestamp) -> AdminResponse {
    match shape {
        Shape::Own => {
            let shown: Vec<Value> = page.iter().map(|entry| entry.shown(now)).collect();
            AdminResponse::json(200, &json!({ "entries": shown, "next": next }))
        }
        Shape::Keys => {
            let keys: Vec<&str> = page.iter().map(|entry| entry.key).collect();
            AdminResponse::json(200, &json!(keys))
        }
        Shape::KeysByTag => AdminResponse::json(200, &keys_by_tag(page)),
    }
}

fn keys_by_tag(page: &[Entry<'_>]) -> Value {
    let mut found: Map<String, Value> = Map::new();
    for (tag, key) in page.iter().flat_map(|entry| entry.tags.iter().map(move |tag| (tag, entry.key))) {
        let known = found.get(tag.as_str()).and_then(Value::as_str);
        let keys = known.map_or_else(|| key.to_owned(), |known| format!("{known},{key}"));
        found.insert(tag.as_str().to_owned(), keys.into());
    }
    Value::Object(found)
}

/// The answer to a question for all stored responses of one URL, each in full; 404 when there is none.
#[must_use]
pub fn entry(found: &[Entry<'_>], now: Timestamp) -> AdminResponse {
    let full: Vec<Value> = found.iter().map(|entry| in_full(entry, now)).collect();
    AdminResponse::json(if full.is_empty() { 404 } else { 200 }, &json!({ "entries": full }))
}

fn in_full(entry: &Entry<'_>, now: Timestamp) -> Value {
    let stored = entry.stored;
    let mut shown = entry.shown(now);
    let more = json!({
        "fields": fields(&stored.fields),
        "lifetime": stored.lifetime.as_secs(),
        "lifetime_from": stored.lifetime_from.as_str(),
        "stale_while_revalidate": stored.stale_while_revalidate.as_secs(),
        "stale_if_error": stored.stale_if_error.as_secs(),
        "stale_if_down": stored.stale_if_down.as_secs(),
        "soft_purge_grace": stored.soft_purge_grace.as_secs(),
        "must_revalidate": stored.must_revalidate,
        "no_cache": stored.no_cache,
        "immutable": stored.immutable,
        "vary": stored.vary,
    });
    if let (Some(members), Value::Object(more)) = (shown.as_object_mut(), more) {
        members.extend(more);
    }
    shown
}

/// Field lines as pairs, without values that identify a client.
fn fields(fields: &Fields) -> Vec<[String; 2]> {
    let value = |name: &[u8], value: &[u8]| match facts(name).has(Facts::IDENTITY) {
        true => "(hidden)".to_owned(),
        false => text(value),
    };
    fields.iter().map(|(n, v)| [text(n), value(n, v)]).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
pub(super) mod tests {
    use core::time::Duration;

    use super::*;
    use crate::admin::fixture::{NOW, body};
    use crate::policy::LifetimeSource;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    pub fn stored() -> StoredResponse {
        StoredResponse {
            status: 200,
            fields: Fields::from_iter([("content-type", "text/html"), ("set-cookie", "sid=secret")]),
            response_time: Timestamp(NOW.0 - 10_000),
            initial_age: Duration::from_secs(8),
            lifetime: Duration::from_secs(60),
            lifetime_from: LifetimeSource::MaxAge,
            vary: vec!["accept-language".into()],
            ..StoredResponse::default()
        }
    }

    pub fn with_entry<T>(stored: &StoredResponse, verdict: Verdict, run: impl FnOnce(Entry<'_>) -> T) -> T {
        let tags = [Tag::new("user:42").unwrap(), Tag::new("feed").unwrap()];
        let variant = [("accept-language".to_owned(), "de".to_owned())];
        run(Entry {
            uri: b"h/a",
            key: "https h/a",
            stored,
            variant: &variant,
            tags: &tags,
            bytes: 1234,
            stamp: 7,
            verdict,
        })
    }

    #[test]
    fn an_entry_is_shown_with_its_state() {
        let at = Timestamp(0);
        let cases = [
            (Verdict::Valid, 60, false, "fresh"),
            (Verdict::Valid, 18, false, "stale"),
            (Verdict::Valid, 60, true, "no-cache"),
            (Verdict::Soft { at }, 60, false, "soft-purged"),
            (Verdict::Revalidate, 60, false, "invalidated"),
            (Verdict::Hard, 60, false, "purged"),
        ];
        for (verdict, lifetime, no_cache, expected) in cases {
            let stored = StoredResponse { lifetime: Duration::from_secs(lifetime), no_cache, ..stored() };
            with_entry(&stored, verdict, |entry| assert_eq!(entry.state(NOW), expected));
        }
        with_entry(&stored(), Verdict::Valid, |entry| {
            let shown = entry.shown(NOW);
            assert_eq!((&shown["age"], &shown["ttl"]), (&json!(18), &json!(42)));
            assert_eq!(shown["variant"], json!({"accept-language": "de"}));
            assert_eq!(shown["automatic_tags"], json!(["host:h", "status:200", "type:text/html"]));
        });
    }

    #[test]
    fn pages_have_the_shape_that_was_asked_for() {
        with_entry(&stored(), Verdict::Valid, |entry| {
            let page = [entry, entry];
            let own = body(&entries(Shape::Own, &page, Some(17), NOW));
            assert_eq!((own["entries"].as_array().unwrap().len(), &own["next"]), (2, &json!(17)));
            assert_eq!(body(&entries(Shape::Keys, &page, None, NOW)), json!(["https h/a", "https h/a"]));
            let expected = json!({"user:42": "https h/a", "feed": "https h/a"});
            assert_eq!(body(&entries(Shape::KeysByTag, &page[..1], None, NOW)), expected);
        });
    }

    #[test]
    fn an_entry_shows_its_fields_but_hides_cookies() {
        with_entry(&stored(), Verdict::Valid, |found| {
            let response = entry(&[found], NOW);
            assert_eq!(response.status, 200);
            let shown = body(&response);
            let fields = json!([["content-type", "text/html"], ["set-cookie", "(hidden)"]]);
            assert_eq!(shown["entries"][0]["fields"], fields);
            assert_eq!(shown["entries"][0]["lifetime"], 60);
        });
        assert_eq!(entry(&[], NOW).status, 404);
    }
}
