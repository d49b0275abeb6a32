//! Filters that change requests on their way to the origin, and one that counts them.

use super::{Filters, lent};
use crate::stand::Stand;

/// What the origin wants to see of them.
const NEED: &str = "need=x-sig,x-edge,authorization";

#[test]
fn clients_with_credentials_are_not_refused_after_purge_expiry_and_refresh() {
    let mut filters = lent();
    for place in ["requests", "requests-behind", "requests-behind-alone", "requests-no-loop"] {
        filters.at(place);
        for (page, cc) in [
            ("guarded", "max-age=600"),
            ("open", "public,max-age=600"),
            ("expired", "public,max-age=60&age=100&etag=1"),
            ("refreshed", "public,max-age=60,stale-while-revalidate=600&age=100&etag=1"),
            ("saved", "max-age=60,stale-if-error=600&age=100&etag=1"),
            ("kept", "max-age=1,stale-while-revalidate=600"),
        ] {
            let page = format!("{page}?{NEED}&cc={cc}");
            for round in 0..9 {
                if round % 3 == 2 {
                    let mode = if round == 2 { "soft" } else { "hard" };
                    assert_eq!(filters.purge_all(mode, &[]).status, 200, "{place}");
                }
                let answer = filters.get(round % 2, &page, &[]);
                let status = answer.field("cache-status");
                assert_eq!(
                    (answer.status, answer.text().as_str()),
                    (200, "for anybody"),
                    "{place} {page}: {status}"
                );
            }
        }
    }
    filters.envoy.check();
}

#[test]
fn before_larder_a_login_counts_as_that_of_the_client() {
    let mut filters = lent();
    filters.at("requests");
    for (cc, is_stored) in [("max-age=600", false), ("public,max-age=600", true)] {
        let page = format!("login?cc={cc}");
        filters.get(0, &page, &[]);
        for worker in [0, 1] {
            let answer = filters.get(worker, &page, &[]);
            assert_eq!(answer.is_hit(), is_stored, "{cc}: {}", answer.field("cache-status"));
        }
    }
    filters.envoy.check();
}

/// A field of all requests that the origin has seen for the page `mine`.
fn sent(filters: &mut Filters, field: &str) -> Vec<String> {
    let path = format!("/{}/mine", filters.place);
    let log = filters.envoy.origin_log().into_iter().filter(|request| request.target.starts_with(&path));
    log.map(|request| request.field(field)).collect()
}

/// How many of them were a client's own.
fn by_clients(filters: &mut Filters) -> usize {
    sent(filters, "x-forwarded-for").iter().filter(|from| !from.is_empty()).count()
}

#[test]
fn behind_larder_a_login_is_sent_with_every_refresh_where_the_route_loop_has_it_and_else_by_clients() {
    let mut filters = lent();
    let page = format!("mine?{NEED}&cc=max-age=60,stale-while-revalidate=600&age=100&etag=1");
    for place in ["requests-behind", "requests-behind-alone", "requests-no-loop"] {
        filters.at(place).get(0, &page, &[]);
        let mut round = 0;
        filters.until("refreshed", |filters| {
            round += 1;
            let answer = filters.get(round % 2, &page, &[]);
            let status = answer.field("cache-status");
            assert_eq!(answer.status, 200, "{place}: {status}");
            match place {
                "requests-behind" => {
                    assert!(answer.is_hit(), "{place}: {status}");
                    filters.asked("mine") >= 4
                }
                // The origin refuses what Larder sends.
                _ => by_clients(filters) >= 3,
            }
        });
        if place == "requests-behind-alone" {
            continue;
        }
        for field in ["authorization", "x-sig", "x-edge"] {
            let values = sent(&mut filters, field);
            assert!(values.iter().all(|value| !value.is_empty()), "{place} {field}: {values:?}");
        }
        let all = filters.asked("mine");
        assert_eq!(by_clients(&mut filters), if place == "requests-behind" { 1 } else { all }, "{place}");
    }
    filters.envoy.check();
}

/// What becomes of these pages, asked for one after the other in less than an hour.
fn statuses(place: &'static str, pages: &[&str]) -> Vec<u16> {
    let mut filters = lent();
    filters.at(place);
    let ask = |(n, page): (usize, &&str)| filters.get(n % 2, &format!("{page}?cc=max-age=600"), &[]).status;
    let statuses = pages.iter().enumerate().map(ask).collect();
    filters.envoy.check();
    statuses
}

#[test]
fn before_larder_a_rate_limit_counts_hits_and_behind_it_only_what_goes_to_the_origin() {
    assert_eq!(statuses("limit", &["page"; 10]), [[200; 8].as_slice(), &[429; 2]].concat());
    let asked = [&["page"; 20][..], &["one", "two", "three"], &["page"; 3]].concat();
    let seen = statuses("limit-behind", &asked);
    assert_eq!(seen[..20], [200; 20], "hits are free");
    assert_eq!(seen[20..], [200, 429, 429, 200, 200, 200]);
}
