//! How long a response answers, and how old it says it is (RFC 9111 §4.2, §5.2).

use std::time::Duration;

use super::telling::{
    admin, command, date, expect_hit, expect_miss, get, left_of, page, pages, ttl, with_admin,
};
use crate::stand::{Reply, Request, Stand};

type Fields<'a> = &'a [(&'a str, &'a str)];

pub fn the_most_specific_lifetime_counts(stand: &mut dyn Stand) {
    let began = stand.now();
    let (hour_ago, in_an_hour, day_ago) = (date(stand, -3600), date(stand, 3600), date(stand, -86_400));
    let cases: [(&[(&str, &str)], i64); 7] = [
        (&[("cache-control", "max-age=100")], 100),
        (&[("cache-control", "max-age=100, s-maxage=200")], 200),
        (&[("cache-control", "max-age=100"), ("expires", &in_an_hour)], 100),
        (&[("expires", &in_an_hour)], 3600),
        (&[("last-modified", &day_ago)], 8640),
        (&[("cache-control", "max-age=100"), ("cdn-cache-control", "max-age=300")], 300),
        (&[("cache-control", "max-age=4000"), ("date", &hour_ago)], 400),
    ];
    for (n, (fields, lifetime)) in cases.into_iter().enumerate() {
        let path = format!("/fresh/lifetime-{n}");
        stand.origin(&path, vec![fields.iter().fold(Reply::ok("page"), |r, (n, v)| r.field(n, v))]);
        expect_miss(stand, 0, &path, "page");
        let left = ttl(&expect_hit(stand, 1, &path, "page"));
        assert!(left_of(stand, began, lifetime).contains(&left), "{fields:?}: {left}");
    }
}

pub fn the_age_that_a_response_came_with_counts(stand: &mut dyn Stand) {
    stand.origin("/fresh/age", vec![page("page").field("age", "500")]);
    get(stand, 0, "/fresh/age");
    let hit = expect_hit(stand, 1, "/fresh/age", "page");
    let age: i64 = hit.field("age").parse().unwrap();
    assert!((500..=503).contains(&age), "{age}");
    assert_eq!(hit.all("age").len(), 1);
    // Both are whole seconds, of a lifetime that is.
    assert!((599..=600).contains(&(ttl(&hit) + age)), "{}", hit.field("cache-status"));
}

pub fn age_grows_and_date_stays(stand: &mut dyn Stand) {
    stand.origin("/fresh/grows", vec![page("page")]);
    get(stand, 0, "/fresh/grows");
    let began = stand.now();
    let hit = expect_hit(stand, 0, "/fresh/grows", "page");
    let (date, first) = (hit.field("date"), hit.field("age").parse::<u64>().unwrap());
    stand.pass(Duration::from_secs(2));
    for worker in [0, 1] {
        let hit = expect_hit(stand, worker, "/fresh/grows", "page");
        let age: u64 = hit.field("age").parse().unwrap();
        let most = (stand.now() - began).as_secs() + 2;
        assert!(first <= most && (2..=most).contains(&age), "{first}, then {age}");
        assert_eq!(hit.field("date"), date);
    }
}

pub fn a_response_is_asked_for_again_when_its_time_is_over(stand: &mut dyn Stand) {
    let reply = |body: &str| Reply::ok(body).field("cache-control", "max-age=3");
    stand.origin("/fresh/over", vec![reply("one"), reply("two")]);
    get(stand, 0, "/fresh/over");
    expect_hit(stand, 1, "/fresh/over", "one");
    stand.pass(Duration::from_millis(3100));
    let again = expect_miss(stand, 0, "/fresh/over", "two");
    assert_eq!(again.field("cache-status"), "larder; fwd=stale; stored");
    expect_hit(stand, 1, "/fresh/over", "two");
}

pub fn rules_set_lifetimes(stand: &mut dyn Stand) {
    let began = stand.now();
    let rules = r#"{"rules": [
        {"match": {"path": "/fresh/rule-ttl"}, "ttl": "300s"},
        {"match": {"path": "/fresh/rule-min"}, "ttl": {"min": "400s"}},
        {"match": {"path": "/fresh/rule-max"}, "ttl": {"max": "50s"}},
        {"match": {"path": "/fresh/rule-default"}, "ttl": {"default": "20s"}},
        {"match": {"path": "/fresh/rule-type", "content_type": "image/*"}, "ttl": "30s"},
        {"match": {"path": "/fresh/rule-status"}, "ttl": {"status": {"404": "40s"}}}]}"#;
    stand.configure(rules).unwrap();
    let cases = [
        ("ttl", page("page"), 300),
        ("min", page("page").field("cdn-cache-control", "max-age=5"), 400),
        ("max", page("page"), 50),
        ("default", Reply::ok("page"), 20),
        ("type", page("page").field("content-type", "image/png"), 30),
        ("status", Reply::status(404).body("page"), 40),
    ];
    for (name, reply, lifetime) in cases {
        let path = format!("/fresh/rule-{name}");
        stand.origin(&path, vec![reply]);
        get(stand, 0, &path);
        let hit = get(stand, 1, &path);
        assert!(hit.is_hit(), "{name}: {}", hit.field("cache-status"));
        let left = ttl(&hit);
        assert!(left_of(stand, began, lifetime).contains(&left), "{name}: {left}");
    }
}

pub fn a_rule_can_leave_the_cache_out(stand: &mut dyn Stand) {
    stand.configure(r#"{"rules": [{"match": {"path": "/fresh/bypass/**"}, "bypass": true}]}"#).unwrap();
    stand.origin("/fresh/bypass/a", vec![page("page")]);
    for worker in [0, 0, 1] {
        let response = expect_miss(stand, worker, "/fresh/bypass/a", "page");
        assert_eq!(response.field("cache-status"), "larder; fwd=bypass; detail=rule");
    }
    assert_eq!(stand.origin_count("/fresh/bypass/a"), 3);
}

pub fn request_directives_on_freshness_are_obeyed(stand: &mut dyn Stand) {
    let aged = |body: &str| page(body).field("age", "300");
    let cases = [
        ("no-cache", "no-cache", false),
        ("max-age-0", "max-age=0", false),
        ("too-old", "max-age=100", false),
        ("young-enough", "max-age=400", true),
        ("min-fresh", "min-fresh=400", false),
        ("fresh-enough", "min-fresh=200", true),
        ("max-stale", "max-stale=100", true),
        ("nonsense", "what=ever, , =", true),
    ];
    for (name, control, hit) in cases {
        let path = format!("/fresh/request-{name}");
        stand.origin(&path, vec![aged("one"), aged("two")]);
        get(stand, 0, &path);
        let response = stand.send(1, Request::get(&path).field("cache-control", control));
        let body = if hit { "one" } else { "two" };
        assert_eq!((response.is_hit(), response.text().as_str()), (hit, body), "{control}");
        if !hit {
            assert_eq!(response.field("cache-status"), "larder; fwd=request; stored", "{control}");
            expect_hit(stand, 1, &path, "two");
        }
    }
    stand.origin("/fresh/pragma", pages(&["one", "two"]));
    get(stand, 0, "/fresh/pragma");
    assert_eq!(stand.send(0, Request::get("/fresh/pragma").field("pragma", "no-cache")).text(), "two");
}

pub fn request_directives_can_be_ignored_by_configuration(stand: &mut dyn Stand) {
    stand.configure(r#"{"request_directives": "ignore"}"#).unwrap();
    stand.origin("/fresh/ignored", pages(&["one", "two"]));
    get(stand, 0, "/fresh/ignored");
    for control in ["no-cache", "max-age=0", "no-store"] {
        let response = stand.send(1, Request::get("/fresh/ignored").field("cache-control", control));
        assert_eq!((response.is_hit(), response.text().as_str()), (true, "one"), "{control}");
    }
}

pub fn only_if_cached_never_reaches_the_origin(stand: &mut dyn Stand) {
    stand.origin("/fresh/only", pages(&["page"]));
    let only = || Request::get("/fresh/only").field("cache-control", "only-if-cached");
    let response = stand.send(0, only());
    assert_eq!((response.status, stand.origin_count("/fresh/only")), (504, 0));
    assert_eq!(response.field("cache-status"), "larder; detail=only-if-cached");
    get(stand, 0, "/fresh/only");
    let response = stand.send(1, only());
    assert_eq!((response.status, response.is_hit(), stand.origin_count("/fresh/only")), (200, true, 1));
}

pub fn repeated_invalid_and_too_large_values_are_read_with_caution(stand: &mut dyn Stand) {
    let began = stand.now();
    // RFC 9111 §4.2.1 and §1.2.2: the first of several, stale if invalid, as large as can be if larger.
    let cases: [(Fields<'_>, Option<i64>); 9] = [
        (&[("cache-control", "max-age=100, max-age=200")], Some(100)),
        (&[("cache-control", "max-age=100"), ("cache-control", "max-age=200")], Some(100)),
        (&[("cache-control", "max-age=\"100\"")], Some(100)),
        (&[("cache-control", "max-age=99999999999999999999")], Some(2_147_483_648)),
        (&[("cache-control", "max-age=10s")], None),
        (&[("cache-control", "max-age=-1")], None),
        (&[("cache-control", "max-age=1.5")], None),
        (&[("expires", "0")], None),
        (&[("cache-control", "max-age=100"), ("age", "99999999999999999999")], None),
    ];
    for (n, (fields, lifetime)) in cases.into_iter().enumerate() {
        let path = format!("/fresh/caution-{n}");
        stand.origin(&path, vec![fields.iter().fold(Reply::ok("page"), |r, (n, v)| r.field(n, v))]);
        get(stand, 0, &path);
        match lifetime {
            Some(lifetime) => {
                let left = ttl(&expect_hit(stand, 1, &path, "page"));
                assert!(left_of(stand, began, lifetime).contains(&left), "{fields:?}: {left}");
            }
            None => {
                expect_miss(stand, 1, &path, "page");
            }
        }
    }
}

/// Values that forbid something in a form that no grammar has: with what each forbids, in the words of `detail`.
const MALFORMED: [(&str, &str); 40] = [
    ("no-store;", "no-store"),
    ("no-store; max-age=600", "no-store"),
    ("private;max-age=600", "private"),
    ("private max-age=600", "private"),
    ("no-cache no-store", "no-store"),
    ("no-cache: no-store", "no-store"),
    ("no-cache; private; no-store", "no-store"),
    ("; no-store", "no-store"),
    ("max-age=600; private", "private"),
    ("max-age=600 no-store", "no-store"),
    ("private=\"", "private"),
    ("private=\"set-cookie", "private"),
    ("private='x-user'", "private"),
    ("private=true", "private"),
    ("\"no-store\"", "no-store"),
    ("'no-store'", "no-store"),
    ("'private'", "private"),
    ("\u{201c}private\u{201d}", "private"),
    ("\u{ab}no-store\u{bb}", "no-store"),
    ("no-store|private", "no-store"),
    ("no-store/private", "no-store"),
    ("no-store.", "no-store"),
    ("private\\", "private"),
    ("Cache-Control: no-store", "no-store"),
    ("cache-control=private", "private"),
    ("no-store: true", "no-store"),
    ("%22no-store%22", "no-store"),
    ("no%2Dstore", "no-store"),
    ("no\u{2011}store", "no-store"),
    ("no\u{200b}-store", "no-store"),
    ("\u{feff}private", "private"),
    ("\u{ff50}\u{ff52}\u{ff49}\u{ff56}\u{ff41}\u{ff54}\u{ff45}", "private"),
    ("PRIVATE;", "private"),
    ("no store", "no-store"),
    ("max-age=\"600, private\"", "private"),
    ("must-understand, no-store;", "no-store"),
    // Right as they are.
    ("no-store=1", "no-store"),
    ("private=", "private"),
    (",\tno-store\t,", "no-store"),
    ("No-Store", "no-store"),
];

pub fn a_malformed_directive_counts_as_the_strictest_reading(stand: &mut dyn Stand) {
    let (day_ago, in_an_hour) = (date(stand, -86_400), date(stand, 3600));
    for (n, (value, why)) in MALFORMED.into_iter().enumerate() {
        for (kind, name, date) in
            [("modified", "last-modified", &day_ago), ("expires", "expires", &in_an_hour)]
        {
            let path = format!("/fresh/malformed-{kind}-{n}");
            let reply = |body| Reply::ok(body).field("cache-control", value).field(name, date);
            stand.origin(&path, vec![reply("one").field("etag", "\"a\""), reply("two")]);
            let first = get(stand, 0, &path);
            assert!(first.field("cache-status").ends_with(&format!("detail={why}")), "{value}: {first:?}");
            let second = expect_miss(stand, 1, &path, "two");
            assert!(second.field("cache-status").contains("fwd=uri-miss"), "{value}: {second:?}");
        }
    }
}

pub fn no_heuristic_lifetime_beside_an_unreadable_directive(stand: &mut dyn Stand) {
    let (day_ago, in_an_hour) = (date(stand, -86_400), date(stand, 3600));
    let values = [
        "public; max-age=0",
        "public max-age=0",
        "max-age:0",
        "max-age=0;",
        "max-age=0s",
        "max-age='0'",
        "no-cache;",
        "'no-cache'",
        "no-cache: true",
        "foo bar",
        "foo=",
    ];
    for (n, value) in values.into_iter().enumerate() {
        for (kind, name, date) in
            [("modified", "last-modified", &day_ago), ("expires", "expires", &in_an_hour)]
        {
            let path = format!("/fresh/guess-{kind}-{n}");
            let reply = |body| Reply::ok(body).field("cache-control", value).field(name, date);
            stand.origin(&path, vec![reply("one"), reply("two")]);
            get(stand, 0, &path);
            expect_miss(stand, 1, &path, "two");
        }
    }
    for (n, (value, stored)) in
        [("no-cache", false), ("No-Cache;", false), ("x", true)].into_iter().enumerate()
    {
        let path = format!("/fresh/guess-pragma-{n}");
        let reply = |body| Reply::ok(body).field("pragma", value).field("last-modified", &day_ago);
        stand.origin(&path, vec![reply("one"), reply("two")]);
        get(stand, 0, &path);
        let again = get(stand, 1, &path);
        assert_eq!(again.is_hit(), stored, "Pragma: {value}: {}", again.field("cache-status"));
    }
    // Words that nobody knows are no mistakes.
    for (n, value) in ["nostore", "none", "no_store", "x-private=1"].into_iter().enumerate() {
        let path = format!("/fresh/guess-word-{n}");
        let reply = |body| Reply::ok(body).field("cache-control", value).field("expires", &in_an_hour);
        stand.origin(&path, vec![reply("one"), reply("two")]);
        get(stand, 0, &path);
        expect_hit(stand, 1, &path, "one");
    }
}

pub fn a_malformed_no_store_in_a_request_prevents_storing(stand: &mut dyn Stand) {
    for (n, value) in
        ["no-store;", "no-store; max-age=0", "'no-store'", "no-store: 1"].into_iter().enumerate()
    {
        let path = format!("/fresh/asked-malformed-{n}");
        stand.origin(&path, pages(&["one", "two"]));
        stand.send(0, Request::get(&path).field("cache-control", value));
        expect_miss(stand, 1, &path, "two");
    }
}

pub fn dates_are_read_in_any_case_and_with_any_day_of_the_week(stand: &mut dyn Stand) {
    let fresh = [
        "Tue, 19 Jan 2038 14:14:08 GMT",
        "Sun, 21 Nov 2286 04:46:39 GMT",
        "Thursday, 18-Aug-50 02:01:18 GMT",
        "Thu Aug 18 02:01:18 2050",
        "Thu Aug  8 02:01:18 2050",
        "Thu, 08 Aug 2050 02:01:18 GMT",
        "Monday, 18-Aug-50 02:01:18 GMT",
        "THU, 18 Aug 2050 02:01:18 GMT",
        "Thu, 18 AUG 2050 02:01:18 GMT",
        "Thu, 18 Aug 2050 02:01:18 gMT",
        "thu, 18 aug 2050 02:01:18 gmt",
    ];
    let expired = [
        "0",
        "-1",
        "never",
        "2544400878",
        "Thu, 18 Aug 2050 02:01:18 UTC",
        "Thu, 18 Aug 2050 02:01:18 AEST",
        "Thu, 18 Aug 2050 02:01:18",
        "Thu, 18 Aug 50 02:01:18 GMT",
        "Thu 18 Aug 2050 02:01:18 GMT",
        "Thu, 18  Aug  2050 02:01:18 GMT",
        "Thu, 18-Aug-2050 02:01:18 GMT",
        "Thu, 18 Aug 2050 02.01.18 GMT",
        "Thu, 18 Aug 2050 2:01:18 GMT",
        "Thu, 31 Feb 2050 02:01:18 GMT",
        "2050-08-18T02:01:18Z",
    ];
    let fresh = fresh.into_iter().map(|value| (value, true));
    let expired = expired.into_iter().map(|value| (value, false));
    for (n, (value, is_fresh)) in fresh.chain(expired).enumerate() {
        let path = format!("/fresh/date-{n}");
        let reply = |body| Reply::ok(body).field("expires", value);
        stand.origin(&path, vec![reply("one"), reply("two")]);
        get(stand, 0, &path);
        let again = get(stand, 1, &path);
        assert_eq!(again.is_hit(), is_fresh, "{value}: {}", again.field("cache-status"));
    }
    // The same for what is compared with them.
    let modified = "Tue, 06 NOV 1994 08:49:37 GMT";
    stand.origin("/fresh/date-since", vec![page("page").field("last-modified", modified)]);
    get(stand, 0, "/fresh/date-since");
    let since =
        Request::get("/fresh/date-since").field("if-modified-since", "sunday, 06-nov-94 08:49:37 gmt");
    assert_eq!(stand.send(1, since).status, 304);
}

pub fn a_targeted_field_counts_instead_where_it_is_valid(stand: &mut dyn Stand) {
    let began = stand.now();
    stand.configure(r#"{"targeted": ["acme-cache-control", "cdn-cache-control"]}"#).unwrap();
    let cases: [(Fields<'_>, Option<i64>); 7] = [
        (&[("cdn-cache-control", "max-age=300")], Some(300)),
        (&[("cdn-cache-control", "max-age=300"), ("acme-cache-control", "max-age=400")], Some(400)),
        (&[("cdn-cache-control", "max-age=300"), ("acme-cache-control", "max-age=\"400\"; =")], Some(300)),
        (&[("cdn-cache-control", "max-age=300, =")], Some(100)),
        (&[("cdn-cache-control", "")], Some(100)),
        (&[("cdn-cache-control", "no-store")], None),
        (&[("cdn-cache-control", "max-age=0")], None),
    ];
    for (n, (fields, lifetime)) in cases.into_iter().enumerate() {
        let path = format!("/fresh/targeted-{n}");
        let reply = Reply::ok("page").field("cache-control", "max-age=100");
        stand.origin(&path, vec![fields.iter().fold(reply, |r, (n, v)| r.field(n, v))]);
        get(stand, 0, &path);
        let again = get(stand, 1, &path);
        assert_eq!(again.is_hit(), lifetime.is_some(), "{fields:?}: {}", again.field("cache-status"));
        if let Some(lifetime) = lifetime {
            assert!(left_of(stand, began, lifetime).contains(&ttl(&again)), "{fields:?}: {}", ttl(&again));
            assert_eq!(
                again.field("cache-control"),
                "max-age=100",
                "clients and caches behind get their own"
            );
        }
    }
}

pub fn surrogate_control_counts_where_it_is_turned_on(stand: &mut dyn Stand) {
    let reply = || page("page").field("surrogate-control", "max-age=60");
    stand.origin("/fresh/surrogate-off", vec![reply()]);
    get(stand, 0, "/fresh/surrogate-off");
    let hit = expect_hit(stand, 1, "/fresh/surrogate-off", "page");
    assert!(ttl(&hit) > 500 && hit.field("surrogate-control") == "max-age=60");
    stand.configure(r#"{"surrogate_control": true}"#).unwrap();
    stand.origin("/fresh/surrogate-on", vec![reply()]);
    for worker in [0, 1] {
        let response = get(stand, worker, "/fresh/surrogate-on");
        assert_eq!(response.field("surrogate-control"), "", "{}", response.field("cache-status"));
    }
    assert!(ttl(&expect_hit(stand, 1, "/fresh/surrogate-on", "page")) <= 60);
}

pub fn an_immutable_response_answers_reloads(stand: &mut dyn Stand) {
    let reply = |body| Reply::ok(body).field("cache-control", "max-age=600, immutable");
    stand.origin("/fresh/immutable", vec![reply("one"), reply("two")]);
    get(stand, 0, "/fresh/immutable");
    let ask = |control: &str| Request::get("/fresh/immutable").field("cache-control", control);
    assert!(stand.send(1, ask("max-age=0")).is_hit());
    assert_eq!(stand.send(1, ask("no-cache")).text(), "two", "that is meant");
}

pub fn the_delay_of_a_response_makes_it_older(stand: &mut dyn Stand) {
    stand.origin("/fresh/delay", vec![page("page").field("age", "10").delay(Duration::from_millis(1100))]);
    let began = stand.now();
    get(stand, 0, "/fresh/delay");
    let age: u64 = expect_hit(stand, 1, "/fresh/delay", "page").field("age").parse().unwrap();
    let most = (stand.now() - began).as_secs() + 12;
    assert!((11..=most).contains(&age), "{age}");
}

/// What an explanation says of a path of `shop.example`.
fn explained(stand: &mut dyn Stand, path: &str) -> serde_json::Value {
    let target = format!("/_larder/explain?url=http://shop.example{path}");
    let response = command(stand, 1, "GET", &target, "");
    assert_eq!(response.status, 200, "{}", response.text());
    serde_json::from_slice(&response.body).unwrap()
}

pub fn an_origin_whose_clock_is_behind_is_named_and_counted(stand: &mut dyn Stand) {
    admin(stand);
    let (before, past) = (stand.metric("origin_clock_behind"), date(stand, -90));
    let reply = || Reply::ok("page").field("cache-control", "max-age=60").field("date", &past);
    stand.origin("/fresh/behind", vec![reply()]);
    let miss = get(stand, 0, "/fresh/behind");
    assert_eq!(miss.field("cache-status"), "larder; fwd=uri-miss; detail=clock-behind");
    let found = explained(stand, "/fresh/behind");
    let behind = found["origin_clock_behind"].as_u64().unwrap();
    assert!((90..100).contains(&behind), "{found}");
    assert!(found["why"].to_string().contains(&format!("was {behind} s behind")), "{found}");
    assert_eq!(stand.metric("origin_clock_behind"), before + 1);
    // What has a validator is stored, and is as stale.
    stand.origin("/fresh/behind-stored", vec![reply().field("etag", "\"v\"")]);
    get(stand, 0, "/fresh/behind-stored");
    let found = explained(stand, "/fresh/behind-stored");
    assert!(
        found["stored"] == true && found["why"].to_string().contains("in the past on arrival"),
        "{found}"
    );
    assert_eq!(stand.metric("origin_clock_behind"), before + 2);
}

pub fn an_explanation_says_where_a_lifetime_comes_from(stand: &mut dyn Stand) {
    let rules = r#""rules": [
        {"match": {"path": "/fresh/from-override"}, "ttl": "300s"},
        {"match": {"path": "/fresh/from-default"}, "ttl": {"default": "20s"}},
        {"match": {"path": "/fresh/from-status"}, "ttl": {"status": {"404": "40s"}}}],"#;
    stand.configure(&with_admin(rules)).unwrap();
    let (in_an_hour, day_ago) = (date(stand, 3600), date(stand, -86_400));
    let cases = [
        ("max-age", page("page"), "max-age"),
        ("s-maxage", page("page").field("cache-control", "s-maxage=60"), "s-maxage"),
        ("targeted", page("page").field("cdn-cache-control", "max-age=60"), "targeted"),
        ("expires", Reply::ok("page").field("expires", &in_an_hour), "expires"),
        ("heuristic", Reply::ok("page").field("last-modified", &day_ago), "heuristic"),
        ("override", page("page"), "ttl.override"),
        ("default", Reply::ok("page"), "ttl.default"),
        ("status", Reply::status(404).body("page"), "ttl.status"),
    ];
    for (name, reply, from) in cases {
        let path = format!("/fresh/from-{name}");
        stand.origin(&path, vec![reply]);
        get(stand, 0, &path);
        let found = explained(stand, &path);
        assert_eq!(found["lifetime"]["from"], from, "{name}: {found}");
    }
}

pub fn a_response_validated_before_each_use_is_reported_so(stand: &mut dyn Stand) {
    let rules = r#""rules": [{"match": {"path": "/fresh/no-cache"}, "ttl": "1h"}],"#;
    stand.configure(&with_admin(rules)).unwrap();
    stand.origin("/fresh/no-cache", vec![Reply::ok("page").field("cache-control", "no-cache")]);
    let miss = get(stand, 0, "/fresh/no-cache");
    assert_eq!(miss.field("cache-status"), "larder; fwd=uri-miss; detail=no-cache");
    // It can be, and is, by each request for itself where another has just done so.
    let confirmed = Reply::status(304).field("etag", "W/\"v\"");
    stand.origin("/fresh/validated", vec![Reply::ok("page").field("etag", "W/\"v\""), confirmed]);
    get(stand, 0, "/fresh/validated");
    let again = expect_miss(stand, 0, "/fresh/validated", "page");
    assert_eq!(again.field("cache-status"), "larder; fwd=stale; fwd-status=304; detail=validated");
    let found = explained(stand, "/fresh/validated");
    assert_eq!((&found["stored"], &found["lifetime"]["from"]), (&true.into(), &"nothing".into()), "{found}");
}
