//! A request that wants itself explained: its response says in words what the cache did and why.
//!
//! The field that asks for it holds a token, so it goes to nobody: not to the origin, not into what is replayed.

use super::{Edit, Exchange, Reply, Step};
use crate::admin::{DEBUG_FIELD, is_admitted, live, may_debug};
use crate::cache::{Context, Host};
use crate::http::RequestHead;
use crate::invalidation::Tag;
use crate::outcome::Outcome;
use crate::outcome::metrics::Counter;
use crate::policy::key::KeyParts;
use crate::store::memory::Entry;

/// The longest explanation in `Larder-Debug`, in bytes. Beyond it the explanation is cut.
const BYTES_MAX: usize = 2048;

/// What became of the wish to have a request explained.
#[derive(Debug, Default)]
pub(super) enum Debug {
    /// There was none.
    #[default]
    Off,
    /// Whoever wished it may not: the field is taken away, and that is all.
    Refused,
    /// It is explained; so far like this.
    On(String),
}

impl Exchange {
    /// Takes the field that asks for an explanation out of a request, if the admin route is on.
    pub(super) fn read_debug(&mut self, cx: &Context<'_, impl Host>, request: &mut RequestHead) {
        if cx.config.admin.tokens.is_empty() || !request.fields.contains(DEBUG_FIELD) {
            return;
        }
        let may = may_debug(request, &cx.config.admin) && is_admitted(cx);
        request.fields.remove(DEBUG_FIELD);
        self.withheld.push(Edit::Remove(DEBUG_FIELD.to_owned()));
        self.debug = if may { Debug::On(String::new()) } else { Debug::Refused };
    }

    /// An answer is on its way: it is counted as what it says of itself, and explained where somebody wants to know.
    pub(super) fn tell(&mut self, host: &impl Host, outcome: &Outcome, entry: Option<&Entry>) {
        Counter::of(outcome).for_each(|counter| host.count(counter));
        self.explain(outcome, entry);
    }

    fn explain(&mut self, outcome: &Outcome, entry: Option<&Entry>) {
        let Debug::On(text) = &mut self.debug else { return };
        *text = live(outcome);
        let Some(entry) = entry else { return };
        if let Some(parts) = KeyParts::of(&entry.record.key) {
            text.push_str(&format!(" Key: {}.", parts.shown()));
        }
        if let Some(response) = entry.response().filter(|response| !response.tags.is_empty()) {
            let tags: Vec<&str> = response.tags.iter().map(Tag::as_str).collect();
            text.push_str(&format!(" Tags: {}.", tags.join(", ")));
        }
    }

    /// The step that sends a request on, without what is withheld from the origin.
    pub(super) fn sent_on(&self, step: Step) -> Step {
        match step {
            Step::Continue(mut edits) => {
                edits.extend(self.withheld.iter().cloned());
                Step::Continue(edits)
            }
            Step::Reply(reply) => Step::Reply(self.with_explanation(reply)),
            Step::Wait | Step::Hold | Step::Call(_) => step,
        }
    }

    /// The step that sends a response on, with the explanation.
    pub(super) fn explained(&self, step: Step) -> Step {
        match (step, &self.debug) {
            (Step::Continue(mut edits), Debug::On(text)) if !text.is_empty() => {
                edits.push(Edit::Set(DEBUG_FIELD, ascii(text)));
                Step::Continue(edits)
            }
            (Step::Reply(reply), _) => Step::Reply(self.with_explanation(reply)),
            (step, _) => step,
        }
    }

    fn with_explanation(&self, mut reply: Box<Reply>) -> Box<Reply> {
        if let Debug::On(text) = &self.debug
            && !text.is_empty()
        {
            reply.fields.push(DEBUG_FIELD, ascii(text));
        }
        reply
    }
}

/// What a header field can say: visible ASCII, and not too much of it.
fn ascii(text: &str) -> Vec<u8> {
    let visible = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
    text.chars().take(BYTES_MAX).map(visible).collect::<String>().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn an_explanation_fits_into_a_field() {
        assert_eq!(ascii("a\r\nb é"), b"a??b ?");
        assert_eq!(ascii(&"x".repeat(9999)).len(), BYTES_MAX);
    }
}
