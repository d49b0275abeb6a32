//! Filters that change responses.

use super::{Fields, Filters, LONG, lent, read};
use crate::scenarios::telling::TOKEN;
use crate::stand::{Request, Response, Stand};

const ALLOWED: &str = "access-control-allow-origin";

#[test]
fn each_cors_origin_gets_its_own_fields_before_and_behind_larder() {
    let mut filters = lent();
    for place in ["cors", "cors-behind"] {
        filters.at(place);
        for page in [
            "page?cc=max-age=600&etag=1",
            "expired?cc=max-age=60&age=100&etag=1",
            "refreshed?cc=max-age=60,stale-while-revalidate=600&age=100&etag=1",
        ] {
            for worker in [0, 1, 0, 1] {
                for (origin, expected) in [
                    ("https://a.test", "https://a.test"),
                    ("https://b.test", "https://b.test"),
                    ("https://evil.test", ""),
                    ("", ""),
                ] {
                    let fields = [("origin", origin)];
                    let fields: Fields<'_> = if origin.is_empty() { &[] } else { &fields };
                    let whole = filters.get(worker, page, fields);
                    assert_eq!(
                        whole.all(ALLOWED).join("|"),
                        expected,
                        "{place} {page} {origin}: {}",
                        whole.field("cache-status")
                    );
                    assert_eq!((whole.status, whole.text().as_str()), (200, "for anybody"));
                    let mut conditional = fields.to_vec();
                    conditional.push(("if-none-match", "\"strong\""));
                    let answer = filters.get(worker, page, &conditional);
                    // The origin itself does not look at conditions.
                    let is_right = answer.status == 304 || answer.status == 200 && !answer.is_hit();
                    assert!(is_right, "{place} {page}: {}", answer.status);
                    assert_eq!(answer.all(ALLOWED).join("|"), expected, "{place} {page} {}", answer.status);
                }
            }
        }
        assert!(filters.get(0, "page?cc=max-age=600&etag=1", &[("origin", "https://b.test")]).is_hit());
        assert_eq!(filters.asked("page"), 4, "{place}: a variant for each");
        let preflight = [("origin", "https://a.test"), ("access-control-request-method", "GET")];
        let request = filters.page("OPTIONS", "page", &preflight);
        let answer = filters.envoy.send(0, request);
        assert_eq!((answer.status, answer.field(ALLOWED).as_str()), (200, "https://a.test"), "{place}");
    }
    filters.envoy.check();
}

/// What a client sees of a compressed page, without what a cache adds to it.
fn seen(response: &Response) -> (u16, String, [String; 4]) {
    let fields =
        ["content-encoding", "etag", "vary", "content-range"].map(|name| response.all(name).join(", "));
    (response.status, read(response), fields)
}

/// The questions whose answers are the same as without a cache.
const QUESTIONS: &[Fields<'_>] = &[
    &[],
    &[("accept-encoding", "gzip")],
    &[("accept-encoding", "gzip, br")],
    &[("accept-encoding", "identity")],
    &[("accept-encoding", "gzip;q=0")],
    &[("accept-encoding", "gzip"), ("if-none-match", "\"other\"")],
];

#[test]
fn compressed_pages_are_as_without_a_cache_with_the_compressor_before_and_behind_larder() {
    let mut filters = lent();
    for page in [
        "page?cc=max-age=600&long=1",
        "tagged?cc=max-age=600&long=1&etag=1",
        "varied?cc=max-age=600&long=1&vary=accept",
    ] {
        let expected: Vec<_> = QUESTIONS
            .iter()
            .map(|fields| seen(&filters.at("compressor-plain").get(0, page, fields)))
            .collect();
        assert!(expected.iter().all(|(status, body, _)| *status == 200 && *body == LONG.repeat(40)));
        assert!(expected.iter().any(|(.., [coding, ..])| coding == "gzip"));
        for place in ["compressor", "compressor-behind", "compressor-behind-alone"] {
            filters.at(place);
            for round in 0..6 {
                // What Larder then fetches by itself is not compressed where the route loop lacks the filter.
                if round == 2 || round == 4 {
                    assert_eq!(filters.purge_all(["soft", "hard"][round / 4], &[]).status, 200);
                }
                for (fields, expected) in QUESTIONS.iter().zip(&expected) {
                    let answer = filters.get(round % 2, page, fields);
                    let said = format!("{place} {page} {round} {fields:?}: {}", answer.field("cache-status"));
                    let may_lack = place.ends_with("-alone") && round > 1;
                    if may_lack && answer.field("content-encoding").is_empty() {
                        assert_eq!((answer.status, answer.text()), (200, LONG.repeat(40)), "{said}");
                    } else {
                        assert_eq!(seen(&answer), *expected, "{said}");
                    }
                }
            }
            if place == "compressor" && !page.contains("vary") {
                let name = page.split('?').next().unwrap_or_default();
                assert_eq!(
                    filters.asked(name),
                    3,
                    "{page}: one form, fetched once, and again after each purge"
                );
            }
            assert!(filters.get(0, page, &[("accept-encoding", "gzip")]).is_hit(), "{place} {page}");
        }
    }
    filters.envoy.check();
}

#[test]
fn parts_and_conditions_are_right_beside_a_compressor() {
    let mut filters = lent();
    let page = "parts?cc=max-age=600&long=1&etag=1";
    let whole = LONG.repeat(40);
    for place in ["compressor", "compressor-behind", "compressor-behind-alone"] {
        filters.at(place);
        for round in 0..4 {
            for coding in ["gzip", "identity"] {
                let accepts = ("accept-encoding", coding);
                let answer = filters.get(round % 2, page, &[accepts]);
                assert_eq!((answer.status, read(&answer)), (200, whole.clone()), "{place} {coding}");
                // What the client has is confirmed by the very field that it was told, if any.
                let etag = answer.field("etag");
                if !etag.is_empty() {
                    let again = filters.get(round % 2, page, &[accepts, ("if-none-match", &etag)]);
                    assert_eq!((again.status, again.body.len()), (304, 0), "{place} {coding} {etag}");
                    let other = filters.get(round % 2, page, &[accepts, ("if-none-match", "\"other\"")]);
                    assert_eq!(other.status, 200, "{place} {coding} {etag}");
                }
            }
            let part =
                filters.get(round % 2, page, &[("accept-encoding", "identity"), ("range", "bytes=3-8")]);
            assert!(matches!(part.status, 200 | 206), "{place}: {}", part.status);
            let expected = if part.status == 206 { &whole[3..=8] } else { &whole };
            assert_eq!(read(&part), expected, "{place}");
        }
    }
    filters.envoy.check();
}

/// How often each filter was there.
fn marks(response: &Response) -> [usize; 5] {
    let lines = |name: &str| response.all(name).len();
    let members = response.all("vary").join(",").matches("x-foo").count();
    [lines("x-added"), lines("link"), lines("x-lua"), lines("x-set"), members]
}

#[test]
fn before_larder_filters_change_each_response_once() {
    let mut filters = lent();
    filters.at("responses");
    for page in ["page?cc=max-age=600", "varied?cc=max-age=600&vary=accept"] {
        for worker in [0, 1, 0, 1] {
            let answer = filters.get(worker, page, &[]);
            assert_eq!(
                (answer.text().as_str(), marks(&answer)),
                ("for anybody+lua", [1; 5]),
                "{page}: {:?}",
                answer.fields
            );
        }
    }
    assert_eq!(filters.asked("page"), 1);
    filters.envoy.check();
}

fn health(filters: &mut Filters, worker: usize) -> String {
    let request = Request::get("/_larder/health").field("authorization", format!("Bearer {TOKEN}"));
    filters.envoy.send(worker, request).text()
}

#[test]
fn behind_larder_lines_are_not_doubled_on_hits_and_double_changes_are_reported() {
    let mut filters = lent();
    for place in ["responses-behind", "responses-behind-alone"] {
        filters.at(place);
        let miss = filters.get(0, "page?cc=max-age=600", &[]);
        assert_eq!((miss.text().as_str(), marks(&miss)), ("for anybody+lua", [1; 5]), "{place}");
        for worker in [0, 1, 0, 1] {
            let hit = filters.get(worker, "page?cc=max-age=600", &[]);
            assert!(hit.is_hit(), "{place}: {}", hit.field("cache-status"));
            let [added, link, lua, set, _] = marks(&hit);
            assert_eq!([added, link, lua, set], [1; 4], "{place}: {:?}", hit.fields);
            assert_eq!(hit.text(), "for anybody+lua+lua", "the table says that this is wrong");
        }
    }
    for worker in [0, 1] {
        // Each looks at the first bodies that it serves, and then at few.
        filters.until("it is told", |filters| {
            filters.get(worker, "page?cc=max-age=600", &[]);
            let told = health(filters, worker);
            told.contains("changes responses from the cache a second time") && told.contains("the body")
        });
    }
    let log = filters.envoy.envoy().log();
    assert!(
        log.contains("a filter behind larder changes responses from the cache a second time"),
        "and the log"
    );
    filters.envoy.check();
}
