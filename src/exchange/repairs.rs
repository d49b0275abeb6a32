//! What comes of our own replies on their way to the client: routes and filters behind the cache change them, as they
//! changed the response that was stored.

use std::rc::Rc;

use super::Edit;
use crate::http::{Fields, list};
use crate::store::memory::Entry;

/// What a report calls the body.
const BODY: &str = "the body";

/// What puts Envoy's version of a reply right.
#[derive(Default)]
pub(super) struct Repairs {
    pub(super) edits: Vec<Edit>,
    /// The lines that Envoy makes of the reply if nobody adds to them.
    pub(super) lines: usize,
    /// The stored response that it is made of.
    pub(super) entry: Option<Rc<Entry>>,
    /// How long the body is, where it is looked at what became of it.
    pub(super) body_bytes: Option<usize>,
}

/// Envoy's version of a reply, and what is to be done about it.
#[derive(Debug, Default, PartialEq)]
pub struct Passed {
    /// The changes that put it right.
    pub edits: Vec<Edit>,
    /// What a filter behind the cache has changed that had changed it before it was stored: names of fields, and the
    /// body, which cannot be put right.
    pub twice: Vec<String>,
}

impl Repairs {
    /// What is to be done about the reply as Envoy made it, in so many lines; `fields` reads them.
    pub(super) fn passed(self, lines: usize, fields: impl FnOnce() -> Fields) -> Passed {
        let mut passed = Passed { edits: self.edits, twice: Vec::new() };
        let added = lines.saturating_sub(self.lines);
        if added == 0 && self.body_bytes.is_none() {
            return passed;
        }
        let seen = fields();
        let stored =
            self.entry.as_ref().and_then(|entry| entry.response()).map(|response| &response.stored.fields);
        if added > 0 {
            undouble(&seen, stored, added, &mut passed);
        }
        if let Some(stored) = stored {
            passed.twice.extend(appended(&seen, stored));
        }
        let length = seen.get("content-length").and_then(|length| core::str::from_utf8(length).ok());
        let other_length = |bytes: usize| length.is_some_and(|length| length.parse() != Ok(bytes));
        if self.body_bytes.is_some_and(other_length) {
            passed.twice.push(BODY.to_owned());
        }
        passed
    }
}

/// Takes out what was added once more: it was added to the response that was stored as well. Envoy puts the lines of a route
/// (`response_headers_to_add`) before those of a local reply, filters put theirs behind. What was not stored, because the
/// root has fetched it past the filters, stays.
fn undouble(seen: &Fields, stored: Option<&Fields>, added: usize, passed: &mut Passed) {
    let lines: Vec<_> = seen.iter().filter(|(name, _)| !name.starts_with(b":")).collect();
    let own = match stored {
        Some(stored) => stored.iter().collect(),
        // Not stored: what is behind what was added in front.
        None => lines.get(added..).unwrap_or(&lines).to_vec(),
    };
    let first = own.first().and_then(|first| lines.iter().position(|line| line == first));
    let in_front = if stored.is_some() { first.unwrap_or(added) } else { added };
    let mut done: Vec<&[u8]> = Vec::new();
    for (name, _) in &own {
        if done.contains(name) {
            continue;
        }
        done.push(name);
        let of_name = |line: &&(usize, (&[u8], &[u8]))| line.1.0 == *name;
        let mut left: Vec<_> = lines.iter().copied().enumerate().filter(|line| of_name(&line)).collect();
        let before = left.len();
        let mut by_filter = false;
        for (_, value) in own.iter().filter(|(of, _)| of == name) {
            let wanted = own.iter().filter(|line| **line == (*name, *value)).count();
            while left.iter().filter(|(_, line)| *line == (*name, *value)).count() > wanted {
                let same = |line: &(usize, (&[u8], &[u8]))| line.1.1 == *value;
                let of_route = left.iter().position(|line| same(line) && line.0 < in_front);
                by_filter |= of_route.is_none();
                let Some(at) = of_route.or_else(|| left.iter().rposition(same)) else { break };
                left.remove(at);
            }
        }
        let Ok(text) = String::from_utf8(name.to_vec()) else { continue };
        if left.len() < before {
            passed
                .edits
                .push(Edit::Lines(text.clone(), left.iter().map(|(_, (_, value))| value.to_vec()).collect()));
        }
        if by_filter {
            passed.twice.push(text);
        }
    }
}

/// The fields to whose one line something was appended that it had already, as Envoy joins `Vary` and `Cache-Control`.
fn appended(seen: &Fields, stored: &Fields) -> Vec<String> {
    let again = |name: &[u8], value: &[u8]| {
        let mut now = seen.get_all(name);
        let (Some(line), None) = (now.next(), now.next()) else { return false };
        let more = line.strip_prefix(value).and_then(|rest| rest.trim_ascii_start().strip_prefix(b","));
        more.is_some_and(|more| {
            list::members(more).all(|member| list::members(value).any(|known| known == member))
        })
    };
    let found = stored.iter().filter(|(name, value)| !value.is_empty() && again(name, value));
    found.map(|(name, _)| String::from_utf8_lossy(name).into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::StoredResponse;
    use crate::store::body::Body;
    use crate::store::record::{Content, Record, Response};
    use crate::time::Monotonic;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn lines(name: &str, values: &[&[u8]]) -> Edit {
        Edit::Lines(name.into(), values.iter().map(|value| value.to_vec()).collect())
    }

    fn passed(
        seen: &[(&str, &str)],
        stored: &[(&str, &str)],
        added: usize,
        body_bytes: Option<usize>,
    ) -> Passed {
        let stored = StoredResponse { fields: stored.iter().copied().collect(), ..StoredResponse::default() };
        let response =
            Response { stored, uri: Vec::new(), tags: Vec::new(), route: None, body: Body::default() };
        let content = Content::Response(Box::new(response));
        let entry = Entry::new(Record {
            key: Vec::new(),
            generation: 1,
            stamp: 1,
            asked: Monotonic::default(),
            content,
        });
        let repairs = Repairs { edits: Vec::new(), lines: 5, entry: Some(entry), body_bytes };
        repairs.passed(5 + added, || seen.iter().copied().collect())
    }

    #[test]
    fn what_the_route_adds_again_is_taken_out() {
        let seen = Fields::from_iter([
            (":status", "200"),
            ("x-route", "a"),
            ("x-both", "r"),
            ("x-new", "n"),
            ("x-route", "a"),
            ("x-both", "o"),
            ("x-both", "r"),
            ("x-twice", "1"),
            ("x-twice", "1"),
        ]);
        let undoubled = |added| {
            let mut passed = Passed::default();
            undouble(&seen, None, added, &mut passed);
            assert_eq!(passed.twice, [""; 0]);
            passed.edits
        };
        assert_eq!(undoubled(3), [lines("x-route", &[b"a"]), lines("x-both", &[b"o", b"r"])]);
        assert_eq!(undoubled(0), []);
        assert_eq!(undoubled(99), []);
        let repairs = |lines| Repairs { edits: vec![Edit::Remove("x".into())], lines, ..Repairs::default() };
        assert_eq!(repairs(9).passed(9, || seen.clone()).edits.len(), 1, "nothing was added");
        assert_eq!(repairs(6).passed(9, || seen).edits.len(), 3);
    }

    #[test]
    fn what_a_filter_adds_again_is_taken_out_and_told() {
        let stored = [("date", "d"), ("x-lua", "1"), ("link", "a"), ("link", "b")];
        let seen =
            [(":status", "200"), ("date", "d"), ("x-lua", "1"), ("link", "a"), ("link", "b"), ("x-lua", "1")];
        let expected = Passed { edits: vec![lines("x-lua", &[b"1"])], twice: vec!["x-lua".into()] };
        assert_eq!(passed(&seen, &stored, 1, None), expected);
        let seen = [("date", "d"), ("x-lua", "1"), ("link", "a"), ("link", "b"), ("link", "a")];
        let expected = Passed { edits: vec![lines("link", &[b"a", b"b"])], twice: vec!["link".into()] };
        assert_eq!(passed(&seen, &stored, 1, None), expected);
        // A route in front, a filter behind, and what is another value each time.
        let seen =
            [("x-lua", "1"), ("date", "d"), ("x-lua", "1"), ("x-ts", "2"), ("link", "a"), ("link", "b")];
        let expected = Passed { edits: vec![lines("x-lua", &[b"1"])], twice: Vec::new() };
        assert_eq!(passed(&seen, &stored, 2, None), expected);
        // What the root has fetched past the filters does not have it yet.
        assert_eq!(passed(&[("date", "d"), ("x-lua", "1")], &[("date", "d")], 1, None), Passed::default());
    }

    #[test]
    fn what_was_changed_in_place_is_told_where_it_is_looked_at() {
        let stored = [("date", "d"), ("vary", "x-foo, x-bar"), ("x-ts", "1")];
        let seen = [("date", "d"), ("vary", "x-foo, x-bar,x-foo"), ("x-ts", "2"), ("content-length", "13")];
        assert_eq!(passed(&seen, &stored, 0, None), Passed::default(), "not read");
        assert_eq!(passed(&seen, &stored, 0, Some(9)).twice, ["vary", BODY]);
        assert_eq!(passed(&seen, &stored, 0, Some(13)).twice, ["vary"]);
        let once = [("date", "d"), ("vary", "x-foo, x-bar,origin"), ("content-length", "13")];
        assert_eq!(passed(&once, &stored, 0, Some(13)), Passed::default());
    }
}
