//! Request fields that have selected a response although its `Vary` does not name them (RFC 9110 §12.5.5): the response
//! itself shows it. Without that, what was made for one kind of client goes to all.

use crate::http::{Fields, RequestHead, list};
use crate::sorting::sorted;

use super::StoredResponse;

/// The fields that requests and responses without one of them are kept apart by, once a `Vary` or a response has
/// shown that they select: an answer to a request without them has nothing to show it by.
const KEPT: [&str; 2] = ["accept-encoding", "origin"];

/// What an origin, or what guards it, tells clients apart by when it refuses some of them.
pub(super) const OF_CLIENTS: [&str; 5] = ["accept", "accept-language", "origin", "referer", "user-agent"];

/// The request fields that a response shows to have selected it.
///
/// Not taken for such: `Content-Language`, which nearly every page has whether there are others or not, and `Accept-CH`,
/// which says what a server would like to know and not what it has used.
pub(super) fn selecting(request: &RequestHead, response: &Fields) -> Vec<&'static str> {
    let mut names = Vec::new();
    let codings = || response.get_all("content-encoding").flat_map(list::members);
    if codings().any(|coding| !coding.eq_ignore_ascii_case(b"identity")) {
        names.push("accept-encoding");
    }
    // RFC 9842 §6.2: what a dictionary of the client's was used for.
    if codings().any(|coding| coding.eq_ignore_ascii_case(b"dcb") || coding.eq_ignore_ascii_case(b"dcz")) {
        names.push("available-dictionary");
    }
    let of_this_origin = is_cross_origin(request) && !is_for_all_origins(response);
    if is_for_one_origin(response) || of_this_origin || names_in_timing(request, response) {
        names.push("origin");
    }
    // RFC 7240 §3: which preferences were honoured.
    if response.contains("preference-applied") {
        names.push("prefer");
    }
    names
}

/// What keeps a response apart from others of its URI: what its `Vary` nominates, and what it shows.
pub(super) fn with(nominated: Vec<String>, shown: &[&str]) -> Vec<String> {
    let more = shown.iter().filter(|name| !nominated.iter().any(|known| known == *name));
    let more: Vec<String> = more.map(|name| (*name).to_owned()).collect();
    if more.is_empty() { nominated } else { sorted(nominated.into_iter().chain(more)) }
}

/// Keeps a response apart by what others of its URI are kept apart by, where it would be the first that is not: the
/// answer to a request without `Origin` tells nothing of those with one. Not, if it says that it is for all origins.
pub fn keep_apart<'a>(stored: &mut StoredResponse, others: impl IntoIterator<Item = &'a [u8]>) {
    let for_all = is_for_all_origins(&stored.fields);
    for name in others {
        let kept = KEPT.iter().find(|kept| kept.as_bytes() == name);
        let kept = kept.filter(|kept| !(for_all && **kept == "origin"));
        if let Some(kept) = kept {
            stored.vary = with(core::mem::take(&mut stored.vary), &[kept]);
        }
    }
}

/// Whether a stored response says nothing of the origin that a request comes from, though others may: it was asked for
/// without one. Browsers that get it refuse to show it to their page.
#[must_use]
pub fn lacks_origin(stored: &StoredResponse, request: &RequestHead) -> bool {
    is_cross_origin(request)
        && !stored.vary.iter().any(|name| name == "origin")
        && !is_for_all_origins(&stored.fields)
}

/// Whether a request comes from a page of another origin (Fetch §3.2). A page needs no leave to read its own.
fn is_cross_origin(request: &RequestHead) -> bool {
    let Some(origin) = request.fields.get("origin") else { return false };
    let own = [request.scheme(), b"://", request.authority()].concat();
    !origin.eq_ignore_ascii_case(&own)
}

/// Whether a page of any origin may read a response, and all get the same one.
fn is_for_all_origins(response: &Fields) -> bool {
    response.contains("access-control-allow-origin") && !is_for_one_origin(response)
}

/// Whether a response names the origin that may read it, `null` among them. A server that names several does so in
/// vain: browsers compare the whole.
fn is_for_one_origin(response: &Fields) -> bool {
    response.get_all("access-control-allow-origin").any(|value| value.trim_ascii() != b"*")
}

/// Whether a response lets the origin that asks look at its timing, and no other. A list of several, or one that is
/// available to all, is the same for all.
fn names_in_timing(request: &RequestHead, response: &Fields) -> bool {
    let mut named = response.get_all("timing-allow-origin").flat_map(list::members);
    let (first, second) = (named.next(), named.next());
    second.is_none() && first.is_some() && first == request.fields.get("origin")
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    const ACAO: &str = "access-control-allow-origin";

    fn request(origin: Option<&str>) -> RequestHead {
        let target =
            [(":method", "GET"), (":scheme", "https"), (":authority", "shop.example"), (":path", "/")];
        let lines = target.into_iter().chain(origin.map(|origin| ("origin", origin)));
        RequestHead { fields: Fields::from_iter(lines), has_body: false }
    }

    #[test]
    fn what_a_response_shows_has_selected_it() {
        const A: Option<&str> = Some("https://a.example");
        for (origin, lines, expected) in [
            (None, &[][..], &[][..]),
            (None, &[("content-encoding", "br")], &["accept-encoding"]),
            (None, &[("content-encoding", "identity"), ("content-encoding", "X-GZIP")], &["accept-encoding"]),
            (None, &[("content-encoding", "identity")], &[]),
            (None, &[("content-encoding", "")], &[]),
            (None, &[("content-encoding", "dcz")], &["accept-encoding", "available-dictionary"]),
            (None, &[("preference-applied", "return=minimal")], &["prefer"]),
            (None, &[("content-language", "de"), ("accept-ch", "DPR")], &[]),
            (None, &[(ACAO, "*")], &[]),
            (None, &[(ACAO, "https://a.example")], &["origin"]),
            (None, &[(ACAO, "null")], &["origin"]),
            (None, &[(ACAO, "https://a.example, https://b.example")], &["origin"]),
            (None, &[(ACAO, "*"), (ACAO, "https://a.example")], &["origin"]),
            (None, &[("access-control-allow-credentials", "true")], &[]),
            (None, &[("timing-allow-origin", "https://a.example")], &[]),
            (A, &[(ACAO, "https://a.example")], &["origin"]),
            (A, &[(ACAO, " * ")], &[]),
            (A, &[], &["origin"]),
            (A, &[(ACAO, "*"), ("timing-allow-origin", "https://a.example")], &["origin"]),
            (A, &[(ACAO, "*"), ("timing-allow-origin", "*")], &[]),
            (A, &[(ACAO, "*"), ("timing-allow-origin", "https://a.example, https://b.example")], &[]),
            (Some("null"), &[], &["origin"]),
            (Some("https://shop.example"), &[], &[]),
            (Some("https://shop.example"), &[(ACAO, "https://shop.example")], &["origin"]),
        ] {
            let found = selecting(&request(origin), &Fields::from_iter(lines.iter().copied()));
            assert_eq!(found, expected, "{origin:?} {lines:?}");
        }
    }

    #[test]
    fn what_is_shown_adds_to_what_is_nominated() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(with(names(&["accept", "origin"]), &["origin"]), names(&["accept", "origin"]));
        assert_eq!(with(names(&["accept", "prefer"]), &["origin"]), names(&["accept", "origin", "prefer"]));
        assert_eq!(with(names(&[]), &[]), names(&[]));
    }

    #[test]
    fn what_was_asked_for_without_an_origin_is_not_for_those_with_one() {
        let stored = |lines: &[(&str, &str)], vary: &[&str]| StoredResponse {
            fields: Fields::from_iter(lines.iter().copied()),
            vary: vary.iter().map(|name| (*name).to_owned()).collect(),
            ..StoredResponse::default()
        };
        let (plain, open) = (stored(&[], &[]), stored(&[(ACAO, "*")], &[]));
        let apart = stored(&[], &["accept", "origin"]);
        for (stored, origin, lacks) in [
            (&plain, None, false),
            (&plain, Some("https://a.example"), true),
            (&plain, Some("null"), true),
            (&plain, Some("https://shop.example"), false),
            (&open, Some("https://a.example"), false),
            (&apart, Some("https://a.example"), false),
        ] {
            assert_eq!(lacks_origin(stored, &request(origin)), lacks, "{stored:?} {origin:?}");
        }
    }

    #[test]
    fn what_others_are_kept_apart_by_keeps_it_apart() {
        let others = [&b"accept-encoding"[..], b"origin", b"cookie"];
        let mut plain = StoredResponse::default();
        keep_apart(&mut plain, others);
        assert_eq!(plain.vary, ["accept-encoding", "origin"]);
        let mut open =
            StoredResponse { fields: Fields::from_iter([(ACAO, "*")]), ..StoredResponse::default() };
        keep_apart(&mut open, others);
        assert_eq!(open.vary, ["accept-encoding"]);
    }
}
