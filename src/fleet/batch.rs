//! A batch: what one Put into the log says, as JSON (`docs/fleet.md` has the format).
//!
//! Whoever can write JSON can publish, so this is read with suspicion, and by one rule: **what is not understood never covers
//! less**. A record of a later version, a selector that is unknown here, a term of a condition: each covers more then, up to
//! everything. To leave it out would be to lose a purge.

use serde_json::{Map, Value, json};

use crate::invalidation::{
    Invalidation, Mode, PATTERN_BYTES_MAX, Part, Pattern, RECORD_BYTES_MAX, Selector, Tag, Term, media_range,
    record_bytes,
};
use crate::json::{Json, whole};
use crate::time::Timestamp;

/// The version of this language. Beyond it a batch is an invalidation of everything.
const VERSION: f64 = 1.0;

/// The most bytes of a batch. Beyond it a sender makes two of it, and a receiver takes it for everything.
pub const BATCH_BYTES_MAX: usize = 256 << 10;
/// The most records of a batch. Beyond it a sender makes two of it, and a receiver takes it for everything.
pub const BATCH_RECORDS_MAX: usize = 256;
/// The most selectors in the records of a batch together. Beyond it the batch is taken for everything.
const BATCH_SELECTORS_MAX: usize = 1_024;
/// The most terms of a condition. Beyond it the selector is taken for everything.
const TERMS_MAX: usize = 64;

/// What a Put says.
#[derive(Clone, PartialEq, Debug)]
pub struct Batch {
    /// The name of the journal that it was shipped from; none when nobody's journal was.
    pub src: Option<u64>,
    /// The position up to which that journal is shipped with it.
    pub hi: u64,
    /// Who says so, for people: nobody vouches for it.
    pub by: String,
    /// Whether somebody waits until every member has applied it.
    pub ack: bool,
    /// What is invalid.
    pub records: Vec<Record>,
    /// Whether all of it was understood.
    pub understood: bool,
}

/// One record of a batch.
#[derive(Clone, PartialEq, Debug)]
pub struct Record {
    /// What becomes of what it covers.
    pub mode: Mode,
    /// What it covers: the union of these.
    pub selectors: Vec<Selector>,
    /// How many milliseconds before the Put it was commanded.
    pub age: u64,
    /// Why, for people.
    pub reason: Option<String>,
}

impl Record {
    fn everything() -> Record {
        Record { mode: Mode::Hard, selectors: vec![Selector::All], age: 0, reason: None }
    }
}

/// Who sends a batch, and what it is to others.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    /// A random number that makes it unlike any other.
    pub id: u64,
    /// The name of the journal that it is shipped from.
    pub src: u64,
    /// The position up to which that journal is shipped with it.
    pub hi: u64,
    /// Who says so, for people.
    pub by: &'a str,
    /// Whether somebody waits until every member has applied it.
    pub ack: bool,
}

/// The JSON of a batch; `now` is when it is sent.
#[must_use]
pub fn written(envelope: Envelope<'_>, records: &[Invalidation], now: Timestamp) -> Vec<u8> {
    let Envelope { id, src, hi, by, ack } = envelope;
    let records: Vec<Value> = records.iter().map(|record| record_json(record, now)).collect();
    let mut batch = json!({
        "v": 1, "id": format!("{id:016x}"), "src": format!("{src:016x}"), "hi": hi, "by": by, "records": records,
    });
    if let (true, Some(members)) = (ack, batch.as_object_mut()) {
        members.insert("ack".into(), true.into());
    }
    batch.to_string().into_bytes()
}

fn record_json(record: &Invalidation, now: Timestamp) -> Value {
    let mut object = Map::new();
    object.insert("mode".into(), record.mode.as_str().into());
    object.insert("sel".into(), json!([selector_json(&record.selector, record.issued_at)]));
    let age = now.since(record.issued_at).as_millis();
    object.insert("age".into(), u64::try_from(age).unwrap_or(u64::MAX).into());
    if let Some(reason) = &record.reason {
        object.insert("reason".into(), reason.as_str().into());
    }
    Value::Object(object)
}

/// Bytes as a JSON string: each byte is the character of its number.
fn bytes_json(bytes: &[u8]) -> Value {
    bytes.iter().map(|byte| char::from(*byte)).collect::<String>().into()
}

fn selector_json(selector: &Selector, commanded: Timestamp) -> Value {
    match selector {
        Selector::All => json!({ "all": true }),
        Selector::And(terms) => {
            let term = |term: &Term| {
                let name = if term.negated { "not" } else { "is" };
                json!({ name: selector_json(&term.selector, commanded) })
            };
            json!({ "and": terms.iter().map(term).collect::<Vec<_>>() })
        }
        Selector::Uri(uri) => json!({ "uri": bytes_json(uri) }),
        Selector::UriAnyQuery(uri) => json!({ "uri_any_query": bytes_json(uri) }),
        Selector::Prefix(prefix) => json!({ "prefix": bytes_json(prefix) }),
        Selector::Host(host) => json!({ "host": bytes_json(host) }),
        Selector::Hostname(host) => json!({ "hostname": bytes_json(host) }),
        Selector::Tags(tags) => json!({ "tags": tags.iter().map(Tag::as_str).collect::<Vec<_>>() }),
        Selector::Glob(part, pattern) => json!({ "glob": [part_word(*part), &**pattern] }),
        Selector::Regex(part, pattern) => json!({ "regex": [part_word(*part), &**pattern] }),
        Selector::ContentType(range) => json!({ "type": &**range }),
        Selector::Status(status) => json!({ "status": status }),
        Selector::StatusClass(class) => json!({ "status_class": class }),
        // No time of day travels: clocks differ.
        Selector::StoredBefore(time) => {
            json!({ "older_than": u64::try_from(commanded.since(*time).as_millis()).unwrap_or(u64::MAX) })
        }
    }
}

const PARTS: [(Part, &str); 4] =
    [(Part::Url, "url"), (Part::Host, "host"), (Part::ContentType, "content_type"), (Part::Tags, "tags")];

fn part_word(part: Part) -> &'static str {
    PARTS.iter().find(|(known, _)| *known == part).map_or("url", |(_, word)| word)
}

/// The batch in these bytes; `now` is this Envoy's time.
#[must_use]
pub fn read(bytes: &[u8], now: Timestamp) -> Batch {
    let json = if bytes.len() > BATCH_BYTES_MAX { None } else { Json::parse(bytes).ok() };
    let text = |name| json.as_ref().and_then(|json| json.get(&[name])?.text());
    let hex = |name| text(name).and_then(|text| u64::from_str_radix(text, 16).ok());
    let mut batch = Batch {
        src: hex("src"),
        hi: json.as_ref().and_then(|json| number(json.get(&["hi"])?)).unwrap_or(0),
        by: text("by").unwrap_or_default().chars().take(BY_CHARS_MAX).collect(),
        ack: json.as_ref().and_then(|json| json.get(&["ack"])) == Some(&Json::Bool(true)),
        records: vec![Record::everything()],
        understood: false,
    };
    let records = json.as_ref().filter(|json| json.get(&["v"]) == Some(&Json::Number(VERSION)));
    let Some(Json::List(list)) = records.and_then(|json| json.get(&["records"])) else { return batch };
    let mut reader = Reader { now, understood: true };
    let records: Vec<Record> =
        list.iter().take(BATCH_RECORDS_MAX + 1).map(|one| reader.record(one)).collect();
    let selectors: usize = records.iter().map(|record| record.selectors.len()).sum();
    if records.len() <= BATCH_RECORDS_MAX && selectors <= BATCH_SELECTORS_MAX {
        batch.records = records;
        batch.understood = reader.understood;
    }
    batch
}

/// The most characters of who says so. Beyond it the name is cut.
const BY_CHARS_MAX: usize = 128;
/// The most characters of a reason. Beyond it the reason is cut.
const REASON_CHARS_MAX: usize = 256;

fn number(json: &Json) -> Option<u64> {
    match json {
        Json::Number(value) => whole(*value),
        _ => None,
    }
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect()
}

struct Reader {
    now: Timestamp,
    understood: bool,
}

impl Reader {
    fn record(&mut self, json: &Json) -> Record {
        let mode = json.get(&["mode"]).and_then(Json::text);
        let mode = mode.and_then(|word| Mode::ALL.into_iter().find(|mode| mode.as_str() == word));
        let age = json.get(&["age"]).and_then(number).unwrap_or(0);
        let selectors = match json.get(&["sel"]) {
            Some(Json::List(list)) if !list.is_empty() => {
                let most = list.iter().take(BATCH_SELECTORS_MAX + 1);
                most.map(|one| self.selector(one, age).unwrap_or_else(|| self.unknown())).collect()
            }
            _ => vec![self.unknown()],
        };
        self.understood &= mode.is_some();
        let reason = json.get(&["reason"]).and_then(Json::text);
        let record = Record {
            mode: mode.unwrap_or(Mode::Hard),
            selectors,
            age,
            reason: reason.map(|reason| reason.chars().take(REASON_CHARS_MAX).collect()),
        };
        if record.selectors.iter().all(|selector| fits(&record, selector)) {
            return record;
        }
        Record { selectors: vec![self.unknown()], ..record }
    }

    fn unknown(&mut self) -> Selector {
        self.understood = false;
        Selector::All
    }

    /// A selector: an object of exactly one member. None for what is not understood.
    fn selector(&mut self, json: &Json, age: u64) -> Option<Selector> {
        let [(name, value)] = json.members() else { return None };
        match name.as_str() {
            "and" => self.condition(value, age),
            _ => self.plain(name, value, age),
        }
    }

    /// A condition. A term that is not understood is left out, negated or not: without it the condition covers more.
    fn condition(&mut self, json: &Json, age: u64) -> Option<Selector> {
        let Json::List(list) = json else { return None };
        let mut terms = Vec::new();
        for term in list.iter().take(TERMS_MAX) {
            let read = match term.members() {
                [(word, value)] if word == "is" || word == "not" => match value.members() {
                    [(name, inner)] => self.plain(name, inner, age).map(|s| (word == "not", s)),
                    _ => None,
                },
                _ => None,
            };
            match read {
                Some((negated, selector)) => terms.push(Term { negated, selector }),
                None => self.understood = false,
            }
        }
        (!terms.is_empty() && list.len() <= TERMS_MAX).then_some(Selector::And(terms))
    }

    fn plain(&self, name: &str, value: &Json, age: u64) -> Option<Selector> {
        let of_bytes = || value.text().and_then(bytes).filter(|bytes| !bytes.is_empty());
        let of_number = || number(value);
        match name {
            "all" => (*value == Json::Bool(true)).then_some(Selector::All),
            "uri" => of_bytes().map(Selector::Uri),
            "uri_any_query" => of_bytes().map(Selector::UriAnyQuery),
            "prefix" => of_bytes().map(Selector::Prefix),
            "host" => of_bytes().map(Selector::Host),
            "hostname" => of_bytes().map(Selector::Hostname),
            "tags" => tags(value),
            "glob" => pattern(value, |text| Pattern::glob(text).is_ok(), Selector::Glob),
            "regex" => pattern(value, |text| Pattern::regex(text).is_ok(), Selector::Regex),
            "type" => value.text().and_then(media_range),
            "status" => of_number().and_then(|n| u16::try_from(n).ok()).map(Selector::Status),
            "status_class" => of_number().and_then(|n| u8::try_from(n).ok()).map(Selector::StatusClass),
            "older_than" => of_number().map(|older| self.stored_before(age, older)),
            _ => None,
        }
    }

    /// What was stored so long before it was commanded, by the clock of this Envoy: at least what was meant, since the record
    /// took some time to get here.
    fn stored_before(&self, age: u64, older: u64) -> Selector {
        Selector::StoredBefore(Timestamp(self.now.0.saturating_sub(age).saturating_sub(older)))
    }
}

fn tags(json: &Json) -> Option<Selector> {
    let Json::List(list) = json else { return None };
    let tags: Option<Vec<Tag>> = list.iter().map(|tag| tag.text().and_then(Tag::new)).collect();
    tags.filter(|tags| !tags.is_empty()).map(Selector::Tags)
}

fn pattern(
    json: &Json,
    is_valid: impl Fn(&str) -> bool,
    selector: impl Fn(Part, Box<str>) -> Selector,
) -> Option<Selector> {
    let Json::List(list) = json else { return None };
    let [part, pattern] = list.as_slice() else { return None };
    let (part, pattern) = (part.text()?, pattern.text()?);
    let (part, _) = PARTS.into_iter().find(|(_, word)| *word == part)?;
    (pattern.len() <= PATTERN_BYTES_MAX && is_valid(pattern)).then(|| selector(part, pattern.into()))
}

fn fits(record: &Record, selector: &Selector) -> bool {
    let one = Invalidation {
        mode: record.mode,
        selector: selector.clone(),
        issued_at: Timestamp::default(),
        source: crate::invalidation::Source::Fleet { revision: u64::MAX, by: "x".repeat(BY_CHARS_MAX) },
        reason: record.reason.clone(),
    };
    record_bytes(&one) <= RECORD_BYTES_MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invalidation::Source;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn invalidation(selector: Selector) -> Invalidation {
        let source = Source::Admin { token: "ops".into() };
        Invalidation { mode: Mode::Soft, selector, issued_at: Timestamp(999_988), source, reason: None }
    }

    fn envelope() -> Envelope<'static> {
        Envelope { id: 7, src: 0xabc, hi: 1042, by: "gw-a/ops", ack: true }
    }

    fn selectors() -> Vec<Selector> {
        let tag = |name| Tag::new(name).unwrap();
        vec![
            Selector::All,
            Selector::Uri(b"h/\xff\x01\"?a=b".to_vec()),
            Selector::UriAnyQuery(b"h/a".to_vec()),
            Selector::Prefix(b"h/blog/".to_vec()),
            Selector::Host(b"h:81".to_vec()),
            Selector::Hostname(b"h".to_vec()),
            Selector::Tags(vec![tag("a"), tag("b:1"), tag("\u{e4}\u{4e2d}")]),
            Selector::Glob(Part::Url, "h/*".into()),
            Selector::Regex(Part::Tags, "^a.c$".into()),
            Selector::Glob(Part::Host, "*.h".into()),
            Selector::Regex(Part::ContentType, "^image/".into()),
            Selector::ContentType("text/html".into()),
            Selector::ContentType("image/*".into()),
            Selector::Status(404),
            Selector::StatusClass(5),
            Selector::StoredBefore(Timestamp(400_000)),
            Selector::And(vec![
                Term::is(Selector::Host(b"h".to_vec())),
                Term { negated: true, selector: Selector::Status(404) },
            ]),
        ]
    }

    fn one(selector: &str) -> (Selector, bool) {
        let json = format!(r#"{{"v":1,"records":[{{"mode":"soft","sel":[{selector}],"age":0}}]}}"#);
        let mut batch = read(json.as_bytes(), NOW);
        assert_eq!(batch.records.len(), 1);
        let mut record = batch.records.remove(0);
        assert_eq!(record.selectors.len(), 1);
        (record.selectors.remove(0), batch.understood)
    }

    #[test]
    fn what_is_sent_is_what_arrives() {
        let records: Vec<_> = selectors().into_iter().map(invalidation).collect();
        let batch = read(&written(envelope(), &records, NOW), NOW);
        assert_eq!((batch.src, batch.hi, batch.by.as_str()), (Some(0xabc), 1042, "gw-a/ops"));
        assert!(batch.understood && batch.ack);
        let read: Vec<_> = batch.records.iter().flat_map(|record| record.selectors.clone()).collect();
        assert_eq!(read, selectors());
        assert!(batch.records.iter().all(|record| (record.mode, record.age) == (Mode::Soft, 12)));
    }

    #[test]
    fn an_age_is_counted_by_the_receivers_own_clock() {
        let sent = written(envelope(), &[invalidation(Selector::StoredBefore(Timestamp(400_000)))], NOW);
        let batch = read(&sent, Timestamp(5_000_000));
        assert_eq!(batch.records[0].selectors, [Selector::StoredBefore(Timestamp(4_400_000))]);
    }

    #[test]
    fn what_is_not_understood_covers_more_and_never_less() {
        let host = || Selector::Host(b"h".to_vec());
        for (json, expected) in [
            (r#"{"colour":"red"}"#, Selector::All),
            (r#"{"host":"h","status":404}"#, Selector::All),
            (r#"{}"#, Selector::All),
            (r#"[]"#, Selector::All),
            (r#""h""#, Selector::All),
            (r#"{"host":5}"#, Selector::All),
            (r#"{"host":""}"#, Selector::All),
            (r#"{"uri":"h/中"}"#, Selector::All),
            (r#"{"tags":[]}"#, Selector::All),
            (r#"{"tags":["a",7]}"#, Selector::All),
            (r#"{"regex":["url","("]}"#, Selector::All),
            (r#"{"regex":["body","a"]}"#, Selector::All),
            (r#"{"glob":["url"]}"#, Selector::All),
            (r#"{"status":70000}"#, Selector::All),
            (r#"{"all":false}"#, Selector::All),
            (r#"{"and":[]}"#, Selector::All),
            (r#"{"and":[{"is":{"colour":"red"}}]}"#, Selector::All),
            (r#"{"and":[{"is":{"and":[{"is":{"host":"h"}}]}}]}"#, Selector::All),
            (
                r#"{"and":[{"is":{"host":"h"}},{"not":{"colour":"red"}}]}"#,
                Selector::And(vec![Term::is(host())]),
            ),
            (
                r#"{"and":[{"is":{"host":"h"}},{"perhaps":{"host":"i"}}]}"#,
                Selector::And(vec![Term::is(host())]),
            ),
        ] {
            assert_eq!(one(json), (expected, false), "{json}");
        }
        assert_eq!(one(r#"{"host":"h"}"#), (host(), true));
    }

    #[test]
    fn a_batch_that_is_none_is_everything_and_gone() {
        let many = |count: usize| {
            let records = vec![r#"{"mode":"soft","sel":[{"host":"h"}]}"#; count].join(",");
            format!(r#"{{"v":1,"records":[{records}]}}"#)
        };
        let selectors = |count: usize| {
            let selectors = vec![r#"{"host":"h"}"#; count].join(",");
            format!(r#"{{"v":1,"records":[{{"mode":"soft","sel":[{selectors}]}}]}}"#)
        };
        let long = format!(r#"{{"v":1,"by":"{}","records":[]}}"#, "x".repeat(BATCH_BYTES_MAX));
        for json in [
            "",
            "null",
            "[]",
            "{",
            r#"{"v":2,"records":[]}"#,
            r#"{"records":[]}"#,
            r#"{"v":1}"#,
            r#"{"v":1,"records":{}}"#,
            &many(BATCH_RECORDS_MAX + 1),
            &selectors(BATCH_SELECTORS_MAX + 1),
            &long,
        ] {
            let batch = read(json.as_bytes(), NOW);
            assert_eq!(
                (&batch.records[..], batch.understood),
                (&[Record::everything()][..], false),
                "{json:.60}"
            );
        }
        assert_eq!(read(many(BATCH_RECORDS_MAX).as_bytes(), NOW).records.len(), BATCH_RECORDS_MAX);
        // A later version still says whose it is: its own record is not applied again by who sent it.
        assert_eq!(read(br#"{"v":2,"src":"00000000000000ff","hi":3}"#, NOW).src, Some(255));
    }

    #[test]
    fn a_record_that_lacks_something_covers_everything_or_is_hard() {
        for (json, mode, selector) in [
            (r#"{"mode":"gentle","sel":[{"host":"h"}]}"#, Mode::Hard, Selector::Host(b"h".to_vec())),
            (r#"{"sel":[{"host":"h"}]}"#, Mode::Hard, Selector::Host(b"h".to_vec())),
            (r#"{"mode":"soft"}"#, Mode::Soft, Selector::All),
            (r#"{"mode":"soft","sel":[]}"#, Mode::Soft, Selector::All),
            (r#"{"mode":"soft","sel":{"host":"h"}}"#, Mode::Soft, Selector::All),
            ("7", Mode::Hard, Selector::All),
        ] {
            let batch = read(format!(r#"{{"v":1,"records":[{json}]}}"#).as_bytes(), NOW);
            assert_eq!(
                (batch.records[0].mode, &batch.records[0].selectors[..]),
                (mode, &[selector][..]),
                "{json}"
            );
            assert!(!batch.understood, "{json}");
        }
        let long = format!(r#"{{"uri":"h/{}"}}"#, "a".repeat(RECORD_BYTES_MAX));
        assert_eq!(one(&long), (Selector::All, false));
        let known = read(br#"{"v":1,"records":[{"mode":"soft","sel":[{"host":"h"}],"colour":"red"}]}"#, NOW);
        assert!(known.understood, "a member that is not known says nothing of what is covered");
    }
}
