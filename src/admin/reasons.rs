//! What the words of `Cache-Status` mean: why, by which section of which standard, and what to change to get a hit.

use crate::outcome::{Bypass, Forward, ForwardReason, NotStored, Outcome, StaleReason, Stored};

/// A decision of the cache in words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reason {
    /// The word that stands in `Cache-Status`, metrics and logs.
    pub word: &'static str,
    /// Where it is laid down; empty where no standard says so.
    pub section: &'static str,
    /// Why, as a sentence.
    pub why: &'static str,
    /// What to change, as a sentence; empty when nothing has to be.
    pub advice: &'static str,
}

const fn reason(
    word: &'static str,
    section: &'static str,
    why: &'static str,
    advice: &'static str,
) -> Reason {
    Reason { word, section, why, advice }
}

/// Why a response was not stored.
#[must_use]
pub const fn not_stored(not: NotStored) -> Reason {
    let word = not.as_str();
    match not {
        NotStored::Request => reason(
            word,
            "RFC 9111 §3",
            "The request was for a head or a part, and its response is nothing that could be stored for others.",
            "Use GET without Range.",
        ),
        NotStored::Method => reason(
            word,
            "RFC 9111 §3",
            "Responses to this method are not stored.",
            "Use GET; store_post has a POST's 200 stored that has an explicit lifetime and names its own URL in \
             Content-Location.",
        ),
        NotStored::Status => reason(
            word,
            "RFC 9111 §3",
            "The status code answers this one request only, or must-understand asks for one that the cache knows.",
            "Nothing for 304, 407, 408, 412, 413, 416, 417, 421, 425, 428, 429, 431 and 511; for others leave out \
             must-understand at the origin.",
        ),
        NotStored::NoStore => reason(
            word,
            "RFC 9111 §5.2.2.5",
            "The response says no-store.",
            "Remove no-store at the origin; to use a response only after validation, no-cache is enough.",
        ),
        NotStored::RequestNoStore => reason(
            word,
            "RFC 9111 §5.2.1.5",
            "The request says no-store.",
            "Remove it from the client, or ignore request directives in a rule.",
        ),
        NotStored::Private => reason(
            word,
            "RFC 9111 §5.2.2.7",
            "The response says private: it is for one user, and this cache is shared.",
            "If it is the same for all, say public instead of private at the origin.",
        ),
        NotStored::Authorization => reason(
            word,
            "RFC 9111 §3.5",
            "The request carries Authorization or another credential, or a filter has authenticated its sender, and the \
             response does not say that it may be shared.",
            "If it may, add public, s-maxage or must-revalidate at the origin, or say in credentials what is none; to \
             store answers for each sender, make what identifies it part of the key there.",
        ),
        NotStored::SetCookie => reason(
            word,
            "RFC 6265 §3",
            "The response sets a cookie, which another client would get too.",
            "Do not set cookies on what can be cached, or strip the field in a rule.",
        ),
        NotStored::Cookie => reason(
            word,
            "",
            "The request carries a cookie, and the response does not say how long it is fresh, or not that it may be \
             shared where a rule wants that.",
            "Add max-age, or public or s-maxage, at the origin, or a ttl in a rule.",
        ),
        NotStored::NoFreshness => reason(
            word,
            "RFC 9111 §3",
            "It is stale as soon as it comes: nothing says how long it is fresh, or none of that is left. And it has no validator to ask again with.",
            "Add Cache-Control: max-age, or at least an ETag, at the origin, or a ttl in a rule.",
        ),
        NotStored::NoCache => reason(
            word,
            "RFC 9111 §5.2.2.4",
            "The response says no-cache, so that it is validated before each use, whatever its lifetime; and it has no validator to do so with.",
            "Add an ETag at the origin, or say max-age instead of no-cache; a ttl in a rule does not change that.",
        ),
        NotStored::ClockBehind => reason(
            word,
            "RFC 9111 §4.2.3",
            "By its Date it is older than its lifetime as soon as it comes: the clock of its origin is behind, or a cache on the way sends an old response without Age.",
            "Set the clock of the origin.",
        ),
        NotStored::Validated => reason(
            word,
            "RFC 9111 §4.3",
            "It is stored, and has no lifetime or says no-cache: each request has it validated, for itself if another has just done so.",
            "Add Cache-Control: max-age at the origin, if it may be used for a while without asking.",
        ),
        NotStored::VaryAny => reason(
            word,
            "RFC 9111 §4.1",
            "Vary: * fits no other request.",
            "Name in Vary the fields that the response really depends on.",
        ),
        NotStored::Limits => reason(
            word,
            "",
            "It has more tags than allowed, one that is too long or cannot be named, or Vary names more than 16 fields.",
            "Send fewer or shorter tags, name fewer fields in Vary, or raise tags.count_max and tags.length_max.",
        ),
        NotStored::HostQuota => reason(
            word,
            "",
            "It is larger than all that one host may take, or the responses of its host take that already and no other of \
             them was found to make room.",
            "Raise store.host_bytes_max, or store less of this host.",
        ),
        NotStored::LocalReply => reason(
            word,
            "",
            "It is an error of Envoy or of one of its filters, not of the origin: a route that is missing, a refusal.",
            "Nothing, if only some requests shall meet it; else see why Envoy answers so.",
        ),
        NotStored::NoRoom => reason(
            word,
            "",
            "The store is full, and evicting what is worth least did not make enough room for it.",
            "Raise store.bytes_max, or store fewer large responses.",
        ),
        NotStored::TooLarge => reason(
            word,
            "",
            "Its body is larger than the largest that is stored.",
            "Raise store.object_bytes_max, which is 64MiB at most, and object_bytes_max where a rule sets it; mind what \
             large hits cost in memory.",
        ),
        NotStored::Memory => reason(
            word,
            "",
            "Requests and responses under way took all the memory of the worker that they may, and its body was among the \
             largest.",
            "See why so many are under way, or raise store.in_flight_bytes_max.",
        ),
        NotStored::Provoked => reason(
            word,
            "",
            "It is an error, and the request was so long or odd that it may have caused it.",
            "Ask with fewer or shorter fields of plain text.",
        ),
        NotStored::Partial => reason(
            word,
            "RFC 9111 §3.3",
            "It is a part of a representation that cannot be combined with others.",
            "Give the representation a strong ETag, and ask for one range at a time.",
        ),
        NotStored::Incomplete => reason(
            word,
            "RFC 9111 §3.3",
            "The response ended early, or its length was not the one it announced.",
            "Look at the origin: it or something before it breaks connections.",
        ),
        NotStored::Error => reason(
            word,
            "",
            "The origin failed or could not be reached.",
            "Look at the origin; a ttl for the status in a rule caches its errors for a while.",
        ),
        NotStored::NoFlight => reason(
            word,
            "",
            "Another request was already fetching it, or too many fetches ran at once.",
            "Nothing: the next request finds what the other one stored, or stores it.",
        ),
        NotStored::Rule => reason(word, "", "A rule says bypass.", "Change the rule."),
        NotStored::Framing => reason(
            word,
            "RFC 9112 §6",
            "It has a transfer coding other than chunked, which cannot be sent again from a store.",
            "Use Content-Encoding instead at the origin.",
        ),
        NotStored::Superseded => reason(
            word,
            "RFC 9111 §4",
            "While it was under way something newer was stored in its place.",
            "Nothing: the next request finds that, or fetches it again.",
        ),
        NotStored::Admission => reason(
            word,
            "",
            "It has not been asked for often enough to be worth the room.",
            "Nothing: it is stored when it is asked for again.",
        ),
    }
}

/// Why a request went to the origin.
#[must_use]
pub const fn forwarded(why: ForwardReason) -> Reason {
    let word = why.as_str();
    match why {
        ForwardReason::Bypass(why) => bypassed(why),
        ForwardReason::Method => reason(
            word,
            "RFC 9111 §4",
            "A stored response cannot answer this method.",
            "Use GET or HEAD for what only reads.",
        ),
        ForwardReason::UriMiss => reason(word, "RFC 9111 §4", "No response is stored for this URL.", ""),
        ForwardReason::VaryMiss => reason(
            word,
            "RFC 9111 §4.1",
            "Responses are stored for this URL, but for other values of the fields that Vary names.",
            "Leave out what makes no difference (key.cookies_drop, key.accept_encoding), bring other fields into few forms \
             before the cache, or name fewer of them.",
        ),
        ForwardReason::RouteMiss => reason(
            word,
            "",
            "What is stored came by another route: routes match on more than host, path and method.",
            "Name the field that they match on in key.headers, or give the routes a key.partition.",
        ),
        ForwardReason::Purged => reason(
            word,
            "",
            "What was stored has been purged.",
            "Nothing: the next request finds what this one fetches.",
        ),
        ForwardReason::Request => reason(
            word,
            "RFC 9111 §5.2.1",
            "The client asked for something newer than what is stored.",
            "Ignore request directives in a rule, if clients shall not force fetches.",
        ),
        ForwardReason::Stale => reason(
            word,
            "RFC 9111 §4.2",
            "What is stored is stale, and may not be served so.",
            "Lengthen max-age, or allow stale-while-revalidate, at the origin or in a rule.",
        ),
        ForwardReason::Invalidated => reason(
            word,
            "RFC 9111 §4.4",
            "What is stored was invalidated and is validated before it is used.",
            "Nothing: the next request finds what this one brings.",
        ),
        ForwardReason::Partial => reason(
            word,
            "RFC 9111 §3.3",
            "Only another part of the representation is stored.",
            "Fetch it whole once.",
        ),
    }
}

const fn bypassed(why: Bypass) -> Reason {
    let word = why.as_str();
    match why {
        Bypass::Rule => reason(word, "", "A rule says bypass.", "Change the rule."),
        Bypass::RequestBody => reason(
            word,
            "RFC 9110 §9.3.1",
            "The request has a body to which its method gives no meaning, or more content than a key may hold.",
            "Send GET without a body, and QUERY with no more content than key.content_bytes_max.",
        ),
        Bypass::Upgrade => {
            reason(word, "RFC 9110 §7.8", "The request uses the connection for more than one exchange.", "")
        }
        Bypass::Grpc => reason(word, "", "gRPC is not cached.", ""),
        Bypass::Target => reason(
            word,
            "RFC 9110 §4.2",
            "The target is no path, or its host is missing, ambiguous or carries user information.",
            "Ask for a path on one host.",
        ),
        Bypass::Unkeyed => reason(
            word,
            "",
            "It has a field that may change the response, and that neither the key nor Vary tells of.",
            "Strip it before the cache, or say in key.unkeyed what becomes of it.",
        ),
        Bypass::Unavailable => reason(
            word,
            "",
            "The journal could not be read, or other workers changed its set of the store all the time.",
            "Look at the health endpoint, and whether larder_conflicts or larder_damaged grow.",
        ),
        Bypass::Memory => reason(
            word,
            "",
            "Requests and responses under way took all the memory of the worker that they may.",
            "See why so many are under way, or raise store.in_flight_bytes_max.",
        ),
        Bypass::NotShared => reason(
            word,
            "",
            "The fetch that it waited for took longer than collapse.wait_max, or too many requests waited already.",
            "Look at how long the origin takes; collapse.wait_max, waiters_max and key_waiters_max are the limits.",
        ),
    }
}

/// Why a stale response was served.
#[must_use]
pub const fn served_stale(why: StaleReason) -> Reason {
    let word = why.as_str();
    match why {
        StaleReason::WhileRevalidate => {
            reason(word, "RFC 5861 §3", "It is stale and served while it is being refreshed.", "")
        }
        StaleReason::IfError => reason(
            word,
            "RFC 5861 §4",
            "It is stale and served because the origin fails.",
            "Look at the origin.",
        ),
        StaleReason::IfDown => reason(
            word,
            "RFC 9111 §4.2.4",
            "It is stale and served without asking, because its cluster is taken to be down.",
            "Look at the origin.",
        ),
        StaleReason::SoftPurged => {
            reason(word, "", "It was soft purged and is served while it is being refreshed.", "")
        }
        StaleReason::MaxStale => {
            reason(word, "RFC 9111 §5.2.1.2", "It is stale, and the client accepts that with max-stale.", "")
        }
    }
}

/// What the cache did with a request, in one line of ASCII text for a response header field.
#[must_use]
pub fn live(outcome: &Outcome) -> String {
    in_words(outcome).replace('§', "section ")
}

fn in_words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Hit { ttl, stale: None } => format!("Fresh for another {ttl} s (RFC 9111 §4.2)."),
        Outcome::Hit { stale: Some(stale), .. } => served_stale(*stale).sentence(),
        Outcome::Local(local) => format!("Answered by the cache itself: {}.", local.as_str()),
        Outcome::Forward(Forward { reason, stored, collapsed, .. }) => {
            let mut text = forwarded(*reason).sentence();
            if *collapsed == Some(true) {
                text.push_str(" It waited for the fetch of another request.");
            }
            match stored {
                Stored::Yes => text.push_str(" The response is stored."),
                Stored::Perhaps => text.push_str(
                    " It does not say how long it is: it is stored if it comes to its end before it is too large.",
                ),
                Stored::No(NotStored::Request | NotStored::Method) => {}
                Stored::No(not) => {
                    text.push_str(" Not stored: ");
                    text.push_str(&not_stored(*not).sentence());
                }
            }
            text
        }
    }
}

impl Reason {
    /// Why, where it is laid down, and what to change.
    #[must_use]
    pub fn sentence(&self) -> String {
        let mut text = self.why.to_owned();
        if !self.section.is_empty() {
            text = format!("{} ({}).", text.trim_end_matches('.'), self.section);
        }
        if !self.advice.is_empty() {
            text.push(' ');
            text.push_str(self.advice);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Local;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn every_reason_is_a_sentence_with_its_word() {
        for not in NotStored::ALL {
            let reason = not_stored(not);
            assert_eq!(reason.word, not.as_str());
            assert!(reason.why.ends_with('.') && reason.advice.ends_with('.'), "{reason:?}");
        }
        let unavailable = forwarded(ForwardReason::Bypass(Bypass::Unavailable));
        assert_eq!(unavailable.word, "unavailable");
    }

    #[test]
    fn a_live_request_is_explained_in_one_line() {
        let forward = |reason, stored| Outcome::Forward(Forward { stored, ..Forward::new(reason) });
        let cases = [
            (Outcome::Hit { ttl: 42, stale: None }, "Fresh for another 42 s (RFC 9111 §4.2)."),
            (
                Outcome::Hit { ttl: -1, stale: Some(StaleReason::WhileRevalidate) },
                "It is stale and served while it is being refreshed (RFC 5861 §3).",
            ),
            (Outcome::Local(Local::Admin), "Answered by the cache itself: admin."),
            (
                forward(ForwardReason::UriMiss, Stored::No(NotStored::NoStore)),
                "No response is stored for this URL (RFC 9111 §4). Not stored: The response says no-store (RFC 9111 §5.2.2.5). Remove no-store at the origin; to use a response \
                 only after validation, no-cache is enough.",
            ),
            (
                forward(ForwardReason::Invalidated, Stored::Yes),
                "What is stored was invalidated and is validated before it is used (RFC 9111 §4.4). Nothing: the \
                 next request finds what this one brings. The response is stored.",
            ),
            (
                forward(ForwardReason::UriMiss, Stored::Perhaps),
                "No response is stored for this URL (RFC 9111 §4). It does not say how long it is: it is stored if it \
                 comes to its end before it is too large.",
            ),
        ];
        for (outcome, expected) in cases {
            assert_eq!(in_words(&outcome), expected);
            assert!(live(&outcome).bytes().all(|b| matches!(b, b' '..=b'~')));
        }
    }
}
