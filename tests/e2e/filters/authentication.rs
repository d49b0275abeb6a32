//! Filters that decide who may ask, and tell the origin who it is.

use super::tokens::TOKENS;
use super::{BASIC, Fields, Filters, KEYS, PEOPLE, lent};
use crate::scenarios::telling::TOKEN;
use crate::stand::{Response, Stand};

/// How clients show who they are, for both people.
type Shown = [(&'static str, String); 2];

fn bearer() -> Shown {
    PEOPLE.map(|who| ("authorization", TOKENS.of(who)))
}

fn session() -> Shown {
    PEOPLE.map(|who| ("cookie", format!("session={who}")))
}

fn shown(name: &'static str, values: [&str; 2]) -> Shown {
    values.map(|value| (name, value.to_owned()))
}

/// A page that all may read is stored and served, and only to whom the filter lets through, however it is asked for.
fn hits_are_protected(filters: &mut Filters, people: &Shown, strangers: &[Fields<'_>], refused: u16) {
    let page = "open?cc=public,max-age=600&etag=1";
    let [alice, bob] = people.each_ref().map(|(name, value)| (*name, value.as_str()));
    // Each has an answer of his own where the field that tells of him is part of the key.
    for person in [alice, bob] {
        assert_eq!(filters.get(0, page, &[person]).status, 200, "{}", filters.place);
    }
    let asked = filters.asked("open");
    for worker in [0, 1] {
        for person in [alice, bob] {
            let hit = filters.get(worker, page, &[person]);
            assert!(hit.is_hit(), "{}: {}", filters.place, hit.field("cache-status"));
        }
        for stranger in strangers {
            for (method, more) in [
                ("GET", ("accept", "*/*")),
                ("HEAD", ("accept", "*/*")),
                ("GET", ("if-none-match", "\"strong\"")),
                ("GET", ("range", "bytes=0-1")),
                ("GET", ("cache-control", "only-if-cached")),
                ("POST", ("accept", "*/*")),
            ] {
                let request = filters.page(method, page, &[stranger, &[more][..]].concat());
                let answer = filters.envoy.send(worker, request);
                assert_eq!(
                    (answer.status, answer.is_hit()),
                    (refused, false),
                    "{}: {method} {more:?} {stranger:?} {}",
                    filters.place,
                    answer.text()
                );
            }
        }
    }
    assert_eq!(filters.asked("open"), asked, "{}", filters.place);
}

/// What the origin makes for each is each one's own: on all workers, at the same time, after a purge, and when it expires.
fn each_client_gets_its_own_response(filters: &mut Filters, people: &Shown) {
    let people = people.each_ref().map(|(name, value)| (*name, value.as_str()));
    let expect = |filters: &Filters, page: &str, n: usize, response: &Response| {
        let seen = (response.status, response.text());
        let status = response.field("cache-status");
        assert_eq!(seen, (200, format!("for {}", PEOPLE[n])), "{} {page}: {status}", filters.place);
    };
    for page in [
        "own?cc=max-age=600",
        "guessed?last-modified=1",
        "expired?cc=max-age=60,stale-while-revalidate=600&age=100&etag=1",
        "saved?cc=max-age=60,stale-if-error=600&age=100&etag=1",
    ] {
        for worker in [0, 1, 0] {
            for n in [0, 1] {
                let response = filters.get(worker, page, &[people[n]]);
                expect(filters, page, n, &response);
            }
        }
        for mode in ["soft", "hard"] {
            assert_eq!(filters.purge_all(mode, &[people[0]]).status, 200, "{}", filters.place);
            for n in [1, 0] {
                let response = filters.get(n, page, &[people[n]]);
                expect(filters, page, n, &response);
            }
        }
    }
    let page = "together?cc=max-age=600&slow=1";
    let exchanges = [0, 1, 1, 0].map(|n| (n, filters.start(n, page, &[people[n]])));
    for (n, exchange) in exchanges {
        let response = filters.envoy.finish(exchange);
        expect(filters, page, n, &response);
    }
}

#[test]
fn with_jwt_authn_before_larder_hits_need_a_token() {
    let mut filters = lent();
    let expired = format!("Bearer {}", TOKENS.expired);
    let strangers: [Fields<'_>; 3] =
        [&[], &[("authorization", &expired)], &[("authorization", "Bearer wrong.wrong.wrong")]];
    for place in ["jwt", "jwt-forward", "jwt-metadata", "jwt-claims", "jwt-silent"] {
        hits_are_protected(filters.at(place), &bearer(), &strangers, 401);
    }
    filters.envoy.check();
}

#[test]
fn with_jwt_authn_before_larder_bob_never_gets_the_page_of_alice() {
    let mut filters = lent();
    for place in ["jwt", "jwt-forward", "jwt-claims"] {
        each_client_gets_its_own_response(filters.at(place), &bearer());
    }
    // Each has a stored answer of his own where the field is part of the key.
    for n in [0, 1, 0, 1] {
        let page = "stored?cc=max-age=600";
        let fields = [("authorization", TOKENS.of(PEOPLE[n]))];
        let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
        filters.get(n, page, &fields);
        let hit = filters.get(1 - n, page, &fields);
        assert!(hit.is_hit() && hit.text() == format!("for {}", PEOPLE[n]), "{}", hit.field("cache-status"));
    }
    filters.envoy.check();
}

#[test]
fn with_jwt_authn_before_larder_metadata_counts_as_a_credential_and_silence_as_none() {
    let mut filters = lent();
    let [(name, alice), (_, bob)] = &bearer();
    for (place, is_shared) in [("jwt-metadata", false), ("jwt-silent", true)] {
        filters.at(place).get(0, "told?cc=max-age=600", &[(name, alice)]);
        for worker in [0, 1] {
            let answer = filters.get(worker, "told?cc=max-age=600", &[(name, bob)]);
            assert_eq!(answer.is_hit(), is_shared, "{place}: {}", answer.field("cache-status"));
            assert_eq!(answer.text(), "for anybody", "{place}");
        }
    }
    filters.envoy.check();
}

#[test]
fn behind_larder_jwt_authn_guards_what_is_not_public() {
    let mut filters = lent();
    filters.at("jwt-behind");
    each_client_gets_its_own_response(&mut filters, &bearer());
    let people = bearer();
    let [alice, bob] = people.each_ref().map(|(name, value)| (*name, value.as_str()));
    // Whoever comes without a token does not spoil it for others, nor get what is theirs.
    let page = "secret?cc=max-age=600&slow=1";
    let asked = [filters.start(0, page, &[]), filters.start(0, page, &[alice]), filters.start(1, page, &[])];
    let answers = asked.map(|exchange| filters.envoy.finish(exchange));
    assert_eq!(answers.map(|answer| answer.status), [401, 200, 401]);
    for worker in [0, 1] {
        assert_eq!(filters.get(worker, page, &[]).status, 401);
        assert_eq!(filters.get(worker, page, &[bob]).text(), "for bob");
    }
    // As the table says of it: what is public goes out without one.
    filters.get(0, "open?cc=public,max-age=600", &[alice]);
    for worker in [0, 1] {
        assert!(filters.get(worker, "open?cc=public,max-age=600", &[]).is_hit());
    }
    an_authorized_client_is_never_refused(&mut filters, alice);
    filters.envoy.check();
}

/// Larder's own fetches come without what the client shows, so the filter refuses them. That is nobody's answer.
fn an_authorized_client_is_never_refused(filters: &mut Filters, person: (&str, &str)) {
    let page = "again?cc=public,max-age=60,stale-while-revalidate=600&age=100&etag=1";
    for round in 0..12 {
        if round == 6 {
            assert_eq!(filters.purge_all("hard", &[]).status, 200);
        }
        let answer = filters.get(round % 2, page, &[person]);
        assert_eq!(answer.status, 200, "{} {round}: {}", filters.place, answer.field("cache-status"));
    }
}

#[test]
fn with_ext_authz_before_larder_hits_need_leave_and_bob_never_gets_the_page_of_alice() {
    let mut filters = lent();
    let strangers: [Fields<'_>; 2] = [&[], &[("cookie", "session=mallory")]];
    for place in ["authz", "authz-named", "authz-metadata"] {
        hits_are_protected(filters.at(place), &session(), &strangers, 403);
    }
    for place in ["authz", "authz-named"] {
        each_client_gets_its_own_response(filters.at(place), &session());
    }
    let [alice, bob] = &session();
    filters.at("authz-metadata").get(0, "told?cc=max-age=600", &[(alice.0, &alice.1)]);
    let answer = filters.get(0, "told?cc=max-age=600", &[(bob.0, &bob.1)]);
    assert_eq!(answer.field("cache-status"), "larder; fwd=uri-miss; detail=authorization");
    filters.envoy.check();
}

#[test]
fn behind_larder_ext_authz_is_not_asked_about_hits() {
    let mut filters = lent();
    let [alice, bob] = &session();
    filters.at("authz-behind");
    let page = "own?cc=max-age=600";
    assert_eq!(filters.get(0, page, &[]).status, 403);
    assert_eq!(filters.get(0, page, &[(alice.0, &alice.1)]).text(), "for alice");
    for person in [&[][..], &[(bob.0, bob.1.as_str())]] {
        let hit = filters.get(1, page, person);
        assert!(hit.is_hit() && hit.text() == "for alice", "the table says that this is wrong");
    }
    // What the origin calls private is safe all the same.
    assert_eq!(filters.get(0, "private?cc=private", &[(alice.0, &alice.1)]).text(), "for alice");
    assert_eq!(filters.get(0, "private?cc=private", &[]).status, 403);
    assert_eq!(filters.get(0, "private?cc=private", &[(bob.0, &bob.1)]).text(), "for bob");
    an_authorized_client_is_never_refused(&mut filters, (alice.0, &alice.1));
    filters.envoy.check();
}

#[test]
fn with_keys_and_passwords_before_larder_hits_need_them_and_bob_never_gets_the_page_of_alice() {
    let mut filters = lent();
    let strangers: [Fields<'_>; 4] =
        [&[], &[("x-api-key", "wrong")], &[("x-own", "")], &[("authorization", "Basic d3Jvbmc6d3Jvbmc=")]];
    for (place, people) in [
        ("key", shown("x-api-key", KEYS)),
        ("key-hidden", shown("x-api-key", KEYS)),
        ("key-hidden", shown("x-own", KEYS)),
        ("basic", shown("authorization", BASIC)),
    ] {
        filters.at(place).envoy.forget_requests();
        assert_eq!(filters.purge_all("hard", &[(people[0].0, &people[0].1)]).status, 200, "{place}");
        hits_are_protected(&mut filters, &people, &strangers, 401);
        each_client_gets_its_own_response(&mut filters, &people);
    }
    filters.envoy.check();
}

#[test]
fn behind_larder_keys_and_passwords_are_not_asked_for_with_hits() {
    let mut filters = lent();
    for (place, people, is_shared) in [
        ("key-behind", shown("x-api-key", KEYS), false),
        ("key-behind", shown("x-own", KEYS), true),
        ("basic-behind", shown("authorization", BASIC), false),
    ] {
        let [alice, bob] = people.each_ref().map(|(name, value)| (*name, value.as_str()));
        let page = &format!("{}?cc=max-age=600", alice.0);
        filters.at(place);
        assert_eq!(filters.get(0, page, &[]).status, 401);
        assert_eq!(filters.get(0, page, &[alice]).text(), "for alice");
        assert_eq!(
            filters.get(1, page, &[]).status,
            if is_shared { 200 } else { 401 },
            "{place}: {}",
            alice.0
        );
        let theirs = filters.get(1, page, &[bob]);
        assert_eq!(theirs.text(), if is_shared { "for alice" } else { "for bob" }, "{place}: {}", alice.0);
        // What is public goes out without a key.
        let page = &format!("open-{}?cc=public,max-age=600", alice.0);
        filters.get(0, page, &[alice]);
        assert!(filters.get(1, page, &[]).is_hit());
        an_authorized_client_is_never_refused(&mut filters, alice);
    }
    filters.envoy.check();
}

#[test]
fn with_rbac_before_larder_hits_are_checked_and_behind_it_they_are_not() {
    let mut filters = lent();
    let within = ("x-network", "within");
    let people = [("x-network", "within".to_owned()), ("x-network", "within".to_owned())];
    hits_are_protected(filters.at("rbac"), &people, &[&[], &[("x-network", "without")]], 403);
    filters.at("rbac-behind");
    assert_eq!(filters.get(0, "page?cc=max-age=600", &[]).status, 403);
    assert_eq!(filters.get(0, "page?cc=max-age=600", &[within]).status, 200);
    assert!(filters.get(1, "page?cc=max-age=600", &[]).is_hit(), "the table says that this is wrong");
    an_authorized_client_is_never_refused(&mut filters, within);
    filters.envoy.check();
}

/// Commands are requests like any other: who is let through by the filter still needs the token, and the other way round.
#[test]
fn commands_need_leave_of_the_filters_before_larder_and_none_of_those_behind() {
    let mut filters = lent();
    let (token, alice) = (format!("Bearer {TOKEN}"), TOKENS.of("alice"));
    let both = [("authorization", alice.as_str()), ("fastly-key", TOKEN)];
    for (place, fields, status) in [
        ("jwt", &[("authorization", token.as_str())][..], 401),
        ("jwt", &[("fastly-key", TOKEN)], 401),
        ("jwt", &both, 200),
        ("jwt-forward", &both, 200),
        ("jwt-behind", &[("authorization", &token)], 200),
        ("authz", &[("authorization", &token)], 403),
        ("authz", &[("authorization", &token), ("cookie", "session=alice")], 200),
        ("authz-behind", &[("authorization", &token)], 200),
        ("key", &[("authorization", &token)], 401),
        ("key", &[("authorization", &token), ("x-api-key", KEYS[0])], 200),
        ("basic", &[("authorization", BASIC[0]), ("fastly-key", TOKEN)], 200),
        ("basic-behind", &[("authorization", &token)], 200),
        ("rbac", &[("authorization", &token)], 403),
        ("rbac", &[("authorization", &token), ("x-network", "within")], 200),
        ("rbac-behind", &[("authorization", &token)], 200),
        ("cors", &[("authorization", &token), ("origin", "https://a.test")], 200),
        ("compressor", &[("authorization", &token), ("accept-encoding", "gzip")], 200),
        ("responses", &[("authorization", &token)], 200),
        ("responses-behind", &[("authorization", &token)], 200),
        ("requests-behind", &[("authorization", &token)], 200),
        // The login that is injected is not the token.
        ("requests", &[("authorization", &token)], 401),
        ("requests", &[("fastly-key", TOKEN)], 200),
    ] {
        let stats = crate::stand::Request::get("/_larder/stats");
        let stats = fields.iter().fold(stats, |request, (name, value)| request.field(name, value));
        let answer = filters.at(place).envoy.send(0, stats);
        assert_eq!(answer.status, status, "{place} {fields:?}: {}", answer.text());
    }
    assert_eq!(filters.envoy.origin_count("/_larder/stats"), 0);
    filters.envoy.check();
}
