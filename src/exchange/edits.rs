//! Changes to header sections on their way: what the origin is asked, and what the client hears of it.

use super::Exchange;
use crate::cache::{CacheRequest, Context, Host};
use crate::http::{ResponseHead, list};
use crate::outcome::{Forward, Outcome};
use crate::policy::{key, validation};
use crate::store::record::Response;

/// A change to a header section.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Edit {
    /// One line of this field with this value, instead of whatever there is.
    Set(&'static str, Vec<u8>),
    /// One more line.
    Add(&'static str, Vec<u8>),
    /// These lines of this field, instead of whatever there is.
    Lines(String, Vec<Vec<u8>>),
    /// No line of this field.
    Remove(String),
}

impl Exchange {
    /// What the client's response says of the cache, and no longer says of its tags.
    pub(super) fn response_edits(
        &mut self,
        cx: &Context<'_, impl Host>,
        forward: &Forward,
        response: &ResponseHead,
    ) -> Vec<Edit> {
        let config = cx.config;
        let mut edits = respaced(response);
        if self.obeys_surrogate_control {
            edits.push(Edit::Remove("surrogate-control".to_owned()));
        }
        if config.tags.strip {
            let there = config.tags.headers.iter().filter(|name| response.fields.contains(name));
            edits.extend(there.map(|name| Edit::Remove(name.clone())));
        }
        let outcome = Outcome::Forward(forward.clone());
        self.tell(cx.turn.host, &outcome, None);
        if config.cache_status.enabled {
            edits.push(Edit::Add("cache-status", outcome.cache_status(&config.name).into_bytes()));
        }
        edits
    }
}

/// Envoy joins the lines of these fields by a bare comma, which not everyone who reads them expects.
fn respaced(response: &ResponseHead) -> Vec<Edit> {
    let mut edits = Vec::new();
    for name in ["cache-control", "vary"] {
        let mut lines = response.fields.get_all(name);
        if let (Some(value), None) = (lines.next(), lines.next())
            && let spaced = list::spaced(value)
            && spaced != value
        {
            edits.push(Edit::Set(name, spaced));
        }
    }
    edits
}

/// What a stored response can be validated with. Not if it answered something else than a GET: to other methods an
/// origin answers with 412 where it has what is stored (RFC 9110 §13.1.2).
pub(super) fn validators(ask: &CacheRequest, stored: Option<&Response>) -> Vec<(&'static str, Vec<u8>)> {
    let stored = stored.filter(|_| ask.request.method() == b"GET");
    stored.map(|response| validation::validators(&response.stored)).unwrap_or_default()
}

/// The conditions of a request that has to bring the whole response, whatever its client has already: those on what is
/// stored instead of the client's own.
pub(super) fn conditions(
    ask: &CacheRequest,
    validators: Vec<(&'static str, Vec<u8>)>,
) -> impl Iterator<Item = Edit> {
    const OWN: [&str; 3] = ["if-none-match", "if-modified-since", "if-range"];
    let own = OWN.into_iter().filter(|name| ask.request.fields.contains(name));
    let own: Vec<Edit> = own.map(|name| Edit::Remove(name.to_owned())).collect();
    own.into_iter().chain(validators.into_iter().map(|(name, value)| Edit::Set(name, value)))
}

/// What makes of a request what its key says of it.
pub(super) fn forwarding(ask: &CacheRequest) -> Vec<Edit> {
    let changes = key::changes(&ask.request, &ask.options);
    changes.into_iter().map(|(name, value)| Edit::Lines(name.into_owned(), vec![value])).collect()
}

/// What is left of a field of which something is withheld.
pub(super) fn left((name, left): (String, Option<Vec<u8>>)) -> Edit {
    match left {
        Some(line) => Edit::Lines(name, vec![line]),
        None => Edit::Remove(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Fields;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn lines_that_envoy_joined_by_a_bare_comma_get_their_space_on_the_way_to_the_client() {
        let edits = |fields: &[(&str, &str)]| {
            respaced(&ResponseHead { status: 200, fields: Fields::from_iter(fields.iter().copied()) })
        };
        for (fields, expected) in [
            (&[("cache-control", "no-cache=\"a,b\",max-age=1")][..], Some("no-cache=\"a,b\", max-age=1")),
            (&[("cache-control", "no-cache, max-age=1")], None),
            (&[("cache-control", "no-cache"), ("cache-control", "max-age=1,public")], None),
            (&[("x", "a,b")], None),
        ] {
            let expected: Vec<_> =
                expected.map(|e| Edit::Set("cache-control", e.into())).into_iter().collect();
            assert_eq!(edits(fields), expected, "{fields:?}");
        }
    }
}
