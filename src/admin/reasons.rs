//! Explains in one line what the cache did with a request, for requests with `Larder-Debug`.

pub(super) use crate::outcome::Reason;
use crate::outcome::{Forward, ForwardReason, NotStored, Outcome, Stored};

/// What the cache did with a request, in one line of ASCII text for a response header field.
#[must_use]
pub fn live(outcome: &Outcome) -> String {
    in_words(outcome).replace('§', "section ")
}

/// Why a request went to the origin.
pub(super) const fn forwarded(why: ForwardReason) -> Reason {
    *why.reason()
}

/// Why a response was not stored.
pub(super) const fn not_stored(why: NotStored) -> Reason {
    *why.reason()
}

fn in_words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Hit { ttl, stale: None } => format!("Fresh for another {ttl} s (RFC 9111 §4.2)."),
        Outcome::Hit { stale: Some(stale), .. } => stale.reason().sentence(),
        Outcome::Local(local) => format!("Answered by Larder itself:  {}.", local.as_str()),
        Outcome::Forward(Forward { reason, stored, collapsed, .. }) => {
            let mut text = reason.reason().sentence();
            if *collapsed == Some(true) {
                text.push_str("  It waited for another request's fetch.");
            }
            match stored {
                Stored::Yes => text.push_str(" The response is stored."),
                Stored::Perhaps => text.push_str(
                    " It has no Content-Length: it is stored if it ends before it exceeds the size limit.",
                ),
                Stored::No(NotStored::Request | NotStored::Method) => {}
                Stored::No(not) => {
                    text.push_str(" Not stored: ");
                    text.push_str(&not.reason().sentence());
                }
            }
            text
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{Local, StaleReason};
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn a_live_request_is_explained_in_one_line() {
        let forward = |reason, stored| Outcome::Forward(Forward { stored, ..Forward::new(reason) });
        let cases = [
            (Outcome::Hit { ttl: 42, stale: None }, "Fresh for another 42 s (RFC 9111 §4.2)."),
            (
                Outcome::Hit { ttl: -1, stale: Some(StaleReason::WhileRevalidate) },
                "It is stale and served while it is being refreshed (RFC 5861 §3).",
            ),
            (Outcome::Local(Local::Admin), "Answered by Larder itself:  admin."),
            (
                forward(ForwardReason::UriMiss, Stored::No(NotStored::NoStore)),
                "No response is stored for this URL (RFC 9111 §4). Not stored: The response says no-store (RFC 9111 §5.2.2.5). Remove no-store at the origin; to use a response \
                 only after validation, no-cache is enough.",
            ),
            (
                forward(ForwardReason::Invalidated, Stored::Yes),
                "The stored response was soft purged or invalidated, so it is validated before its next use (RFC 9111 §4.4). Nothing to do: the next request is served what this validation returns. The response is stored.",
            ),
            (
                forward(ForwardReason::UriMiss, Stored::Perhaps),
                "No response is stored for this URL (RFC 9111 §4). It has no Content-Length: it is stored if it ends before it exceeds the size limit.",
            ),
        ];
        for (outcome, expected) in cases {
            assert_eq!(in_words(&outcome), expected);
            assert!(live(&outcome).bytes().all(|b| matches!(b, b' '..=b'~')));
        }
    }
}
