//! Replies that the filter gives by itself.

use core::time::Duration;
use std::rc::Rc;

use super::{Context, Edit};
use crate::admin::AdminResponse;
use crate::cache::{Ask, Host};
use crate::config::Config;
use crate::http::{Fields, RequestHead, ResponseHead};
use crate::outcome::{Local, Outcome};
use crate::policy::answer::{BodyPart, answer};
use crate::policy::current_age;
use crate::policy::hygiene::is_hop_by_hop;
use crate::store::memory::Entry;

/// A response to the client.
#[derive(Debug)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The header section, `Cache-Status` included.
    pub fields: Fields,
    /// The body.
    pub body: Body,
    /// One word for the access log (`%RESPONSE_CODE_DETAILS%`).
    pub details: &'static str,
    /// Whether it answers a HEAD: the header section of a body that is not sent.
    pub head_only: bool,
}

/// The body of a reply.
#[derive(Debug)]
pub enum Body {
    /// None.
    Empty,
    /// Bytes of its own.
    Bytes(Vec<u8>),
    /// A part of a stored response's body: first byte and length.
    Stored(Rc<Entry>, usize, usize),
}

impl Body {
    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Body::Empty => &[],
            Body::Bytes(bytes) => bytes,
            Body::Stored(entry, start, len) => {
                let body = entry.response().map_or(&[][..], |r| &r.body);
                body.get(*start..start.saturating_add(*len)).unwrap_or_default()
            }
        }
    }
}

impl Reply {
    /// A stored response; none when the entry holds none.
    #[must_use]
    pub fn stored(
        config: &Config,
        entry: &Rc<Entry>,
        request: &RequestHead,
        age: Duration,
        outcome: &Outcome,
    ) -> Option<Reply> {
        let response = entry.response()?;
        let bytes = response.body.len();
        let mut answer = answer(&response.stored, bytes as u64, request, age);
        if config.cache_status.enabled {
            answer.fields.push("cache-status", outcome.cache_status(&config.name));
        }
        let head_only = request.method() == b"HEAD";
        let body = match answer.body {
            BodyPart::None => Body::Empty,
            BodyPart::Whole => Body::Stored(Rc::clone(entry), 0, bytes),
            BodyPart::Range { start, len } => {
                Body::Stored(Rc::clone(entry), usize::try_from(start).ok()?, usize::try_from(len).ok()?)
            }
        };
        Some(Reply { status: answer.status, fields: answer.fields, body, details: "larder_hit", head_only })
    }

    /// A stored response that the origin has just sent or confirmed; none when the entry holds none.
    pub(super) fn fetched(
        cx: &Context<'_, impl Host>,
        entry: &Rc<Entry>,
        request: &RequestHead,
        outcome: &Outcome,
    ) -> Option<Reply> {
        let age = current_age(&entry.response()?.stored, cx.now.wall);
        Reply::stored(cx.config, entry, request, age, outcome)
    }

    /// A response that the root has fetched and that is not stored.
    #[must_use]
    pub fn passing(ask: &Ask, head: ResponseHead, body: Vec<u8>, outcome: &Outcome) -> Reply {
        let config = &ask.config;
        let ResponseHead { status, mut fields } = head;
        fields.retain(|name, _| !is_hop_by_hop(name));
        if ask.options.surrogate_control {
            fields.remove("surrogate-control");
        }
        if config.tags.strip {
            fields.remove_all(&config.tags.headers);
        }
        if config.cache_status.enabled {
            fields.push("cache-status", outcome.cache_status(&config.name));
        }
        Reply { status, fields, body: Body::Bytes(body), details: "larder_passing", head_only: false }
    }

    /// 502: the origin has answered 304 about something that nobody has (RFC 9111 §4.3.3), and it cannot be asked again.
    #[must_use]
    pub fn not_confirmed(config: &Config, outcome: &Outcome) -> Reply {
        let mut fields = Fields::new();
        if config.cache_status.enabled {
            fields.push("cache-status", outcome.cache_status(&config.name));
        }
        Reply { status: 502, fields, body: Body::Empty, details: "larder_not_confirmed", head_only: false }
    }

    /// 504 to `only-if-cached` (RFC 9111 §5.2.1.7).
    #[must_use]
    pub fn not_cached(config: &Config) -> Reply {
        let mut fields = Fields::new();
        if config.cache_status.enabled {
            fields.push("cache-status", Outcome::Local(Local::OnlyIfCached).cache_status(&config.name));
        }
        Reply { status: 504, fields, body: Body::Empty, details: "larder_only_if_cached", head_only: false }
    }

    /// The answer to a command.
    #[must_use]
    pub fn admin(response: AdminResponse) -> Reply {
        let AdminResponse { status, fields, body } = response;
        Reply { status, fields, body: Body::Bytes(body), details: "larder_admin", head_only: false }
    }

    /// What has to be put right after Envoy has made a response of this reply: without a body it drops
    /// `Content-Length` and `Content-Type`, and where the reply has no type it says `text/plain`.
    pub(super) fn repairs(&self) -> Repairs {
        let mut edits = Vec::new();
        let no_body = self.head_only || self.body.bytes().is_empty();
        match self.fields.get("content-type") {
            None if !no_body => edits.push(Edit::Remove("content-type".to_owned())),
            Some(value) if no_body => edits.push(Edit::Set("content-type", value.to_vec())),
            Some(_) | None => {}
        }
        if self.head_only
            && let Some(length) = self.fields.get("content-length")
        {
            edits.push(Edit::Set("content-length", length.to_vec()));
        }
        let framing = |name: &[u8]| matches!(name, b"content-length" | b"content-type");
        let kept = self.fields.iter().filter(|(name, _)| !framing(name)).count();
        // The status line is one, and Envoy says length and type of a body itself.
        Repairs { edits, lines: 1 + kept + if no_body { 0 } else { 2 } }
    }
}

/// What puts Envoy's version of a reply right.
#[derive(Default)]
pub(super) struct Repairs {
    edits: Vec<Edit>,
    /// The lines that Envoy makes of the reply if nobody adds to them.
    lines: usize,
}

impl Repairs {
    /// The changes to the reply as Envoy made it, in so many lines; `fields` reads them.
    pub(super) fn edits(self, lines: usize, fields: impl FnOnce() -> Fields) -> Vec<Edit> {
        let mut edits = self.edits;
        if let Some(added) = lines.checked_sub(self.lines).filter(|added| *added > 0) {
            edits.extend(undoubled(&fields(), added));
        }
        edits
    }
}

/// The changes that take out what the route has added once more: it added the same to the response that was stored.
/// Envoy puts the route's lines (`response_headers_to_add`) before those of a local reply.
fn undoubled(fields: &Fields, added: usize) -> Vec<Edit> {
    let lines: Vec<_> = fields.iter().filter(|(name, _)| !name.starts_with(b":")).collect();
    let (of_route, own) = lines.split_at_checked(added).unwrap_or((&[], &lines));
    let doubled: Vec<_> = of_route.iter().filter(|line| own.contains(line)).collect();
    let mut edits: Vec<Edit> = Vec::new();
    for (name, _) in &doubled {
        let again = |edit: &Edit| matches!(edit, Edit::Lines(known, _) if known.as_bytes() == *name);
        let Ok(text) = String::from_utf8(name.to_vec()) else { continue };
        if !edits.iter().any(again) {
            let others = of_route.iter().filter(|line| !doubled.contains(line)).chain(own);
            let left = others.filter(|(of, _)| of == name).map(|(_, value)| value.to_vec());
            edits.push(Edit::Lines(text, left.collect()));
        }
    }
    edits
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

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
        let lines = |name: &str, values: &[&[u8]]| {
            Edit::Lines(name.into(), values.iter().map(|value| value.to_vec()).collect())
        };
        let expected = [lines("x-route", &[b"a"]), lines("x-both", &[b"o", b"r"])];
        assert_eq!(undoubled(&seen, 3), expected);
        assert_eq!(undoubled(&seen, 0), []);
        assert_eq!(undoubled(&seen, 99), []);
        let repairs = |lines| Repairs { edits: vec![Edit::Remove("x".into())], lines };
        assert_eq!(repairs(9).edits(9, || seen.clone()).len(), 1, "nothing was added");
        assert_eq!(repairs(6).edits(9, || seen).len(), 3);
    }
}
