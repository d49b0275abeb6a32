//! Replies that the filter gives by itself.

use core::time::Duration;
use std::rc::Rc;

use super::Edit;
use super::repairs::Repairs;
use crate::admin::AdminResponse;
use crate::cache::{CacheRequest, Context, Host};
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
    /// The stored response that it is made of.
    pub entry: Option<Rc<Entry>>,
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
        let entry = Some(Rc::clone(entry));
        Some(Reply {
            status: answer.status,
            fields: answer.fields,
            body,
            details: outcome.details(),
            head_only,
            entry,
        })
    }

    /// A stored response that the origin has just sent or confirmed; none when the entry holds none.
    pub(super) fn fetched(
        cx: &Context<'_, impl Host>,
        entry: &Rc<Entry>,
        request: &RequestHead,
        outcome: &Outcome,
    ) -> Option<Reply> {
        let age = current_age(&entry.response()?.stored, cx.turn.now.wall);
        Reply::stored(cx.config, entry, request, age, outcome)
    }

    /// A response that the root has fetched and that is not stored.
    #[must_use]
    pub fn passing(ask: &CacheRequest, head: ResponseHead, body: Vec<u8>, outcome: &Outcome) -> Reply {
        let config = &ask.config;
        let ResponseHead { status, mut fields } = head;
        // It was in caches on its way, and is as old as they say.
        fields.retain(|name, _| name == b"age" || !is_hop_by_hop(name));
        if ask.options.surrogate_control {
            fields.remove("surrogate-control");
        }
        if config.tags.strip {
            fields.remove_all(&config.tags.headers);
        }
        if config.cache_status.enabled {
            fields.push("cache-status", outcome.cache_status(&config.name));
        }
        Reply {
            status,
            fields,
            body: Body::Bytes(body),
            details: outcome.details(),
            head_only: false,
            entry: None,
        }
    }

    /// 502: the origin has answered 304 about something that nobody has (RFC 9111 §4.3.3), and it cannot be asked again.
    #[must_use]
    pub fn not_confirmed(config: &Config, outcome: &Outcome) -> Reply {
        let mut fields = Fields::new();
        if config.cache_status.enabled {
            fields.push("cache-status", outcome.cache_status(&config.name));
        }
        Reply {
            status: 502,
            fields,
            body: Body::Empty,
            details: "larder_not_confirmed",
            head_only: false,
            entry: None,
        }
    }

    /// 504 to `only-if-cached` (RFC 9111 §5.2.1.7).
    #[must_use]
    pub fn not_cached(config: &Config) -> Reply {
        let mut fields = Fields::new();
        if config.cache_status.enabled {
            fields.push("cache-status", Outcome::Local(Local::OnlyIfCached).cache_status(&config.name));
        }
        Reply {
            status: 504,
            fields,
            body: Body::Empty,
            details: Outcome::Local(Local::OnlyIfCached).details(),
            head_only: false,
            entry: None,
        }
    }

    /// The answer to a command.
    #[must_use]
    pub fn admin(response: AdminResponse) -> Reply {
        let AdminResponse { status, fields, body } = response;
        Reply {
            status,
            fields,
            body: Body::Bytes(body),
            details: Outcome::Local(Local::Admin).details(),
            head_only: false,
            entry: None,
        }
    }

    /// What has to be put right after Envoy has made a response of this reply: without a body it drops
    /// `Content-Length` and `Content-Type`, and where the reply has no type it says `text/plain`. `closely`: even where
    /// nothing seems to have been added, it is looked at what became of it.
    pub(super) fn repairs(&self, closely: bool) -> Repairs {
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
        let lines = 1 + kept + if no_body { 0 } else { 2 };
        let body_bytes = (closely && !no_body).then(|| self.body.bytes().len());
        Repairs { edits, lines, entry: self.entry.clone(), body_bytes }
    }
}
