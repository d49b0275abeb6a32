//! What the plugins of real products send, as their code has it, and what is gone then: a row for each.

use super::operating::{configure, is_hit};
use crate::stand::{Reply, Request, Response, Stand};

const ALL: &str = ".*";

fn send(method: &str, target: &str, fields: &[(&str, &str)]) -> Request {
    let request = Request::new(method, target).field("authorization", "Bearer all");
    fields.iter().fold(request, |request, (name, value)| request.field(name, value))
}

fn fresh(body: &str) -> Reply {
    Reply::ok(body).field("cache-control", "max-age=600")
}

/// A product's tags on two pages, and a purge of what only the first has.
pub fn products_purge_by_their_own_tags(stand: &mut dyn Stand) {
    configure(stand, r#", "methods": true"#, "");
    let ban = [("x-host", ALL), ("x-url", ALL), ("x-content-type", ALL)];
    let foshttpcache = |tags| send("BAN", "/", &[&ban[..], &[("x-cache-tags", tags)]].concat());
    let typo3 = |fields: &[(&str, &str)]| send("BAN", "/", fields);
    // The fields of the page that goes, of the page that stays, and what is sent.
    type Fields = &'static [(&'static str, &'static str)];
    let rows: Vec<(&str, Fields, Fields, Request)> = vec![
        (
            "Magento 2",
            &[("x-magento-tags", "cat_p,cat_p_1")],
            &[("x-magento-tags", "cat_p,cat_p_12")],
            send("PURGE", "/", &[("x-magento-tags-pattern", "((^|,)cat_p_1(,|$))")]),
        ),
        (
            "Magento 2.4, several at once",
            &[("x-magento-tags", "cat_p_95,cms_b")],
            &[("x-magento-tags", "cat_p_955")],
            send("PURGE", "/", &[("x-magento-tags-pattern", "((^|,)cat_p_95(,|$))|((^|,)cat_p_96(,|$))")]),
        ),
        (
            "Drupal, Purge by HTTP",
            &[("cache-tags", "node_1 node_list config:user.role.anonymous")],
            &[("cache-tags", "node_12 node_list")],
            send("BAN", "/", &[("cache-tags", "node_1")]),
        ),
        (
            "Drupal, several at once with bars",
            &[("purge-cache-tags", "node:1 config:system.site")],
            &[("purge-cache-tags", "node:12 config:system")],
            send("BAN", "/", &[("purge-cache-tags", "config:system.site|node:7")]),
        ),
        (
            "Drupal, several at once with blanks",
            &[("cache-tags", "a b")],
            &[("cache-tags", "ab")],
            send("BAN", "/", &[("cache-tags", "a c")]),
        ),
        (
            "Drupal at Acquia",
            &[("x-acquia-purge-tags", "ab12 cd34")],
            &[("x-acquia-purge-tags", "ab123")],
            send("BAN", "/tags", &[("x-acquia-purge", "site"), ("x-acquia-purge-tags", "ff00 ab12")]),
        ),
        (
            "FOSHttpCache",
            &[("x-cache-tags", "article-1,b")],
            &[("x-cache-tags", "article-12")],
            foshttpcache("(^|,)(article\\-1)(,|$)"),
        ),
        (
            "FOSHttpCache 1",
            &[("x-cache-tags", "article-1,b")],
            &[("x-cache-tags", "article-12")],
            foshttpcache("(article\\-1)(,.+)?$"),
        ),
        (
            "FOSHttpCache for Symfony's cache",
            &[("x-cache-tags", "a,b")],
            &[("x-cache-tags", "c")],
            send("PURGETAGS", "/", &[("x-cache-tags", "b,d")]),
        ),
        (
            "FOSHttpCache with xkey, Ibexa",
            &[("xkey", "c52 l2 ez-all")],
            &[("xkey", "c5 l22 ez-all")],
            send("PURGEKEYS", "/", &[("xkey-purge", "c52 l7")]),
        ),
        ("eZ Platform", &[("xkey", "c52 l2")], &[("xkey", "c5")], send("PURGE", "/", &[("key", "c52")])),
        (
            "Shopware 6",
            &[("xkey", "product-1 nav")],
            &[("xkey", "product-12")],
            send("PURGE", "/", &[("xkey", "product-1 x")]),
        ),
        (
            "xkey with commas",
            &[("xkey", "p1, p2")],
            &[("xkey", "p12")],
            send("PURGE", "/", &[("xkey", "q1,p2")]),
        ),
        (
            "API Platform with Varnish",
            &[("cache-tags", "/books,/books/1")],
            &[("cache-tags", "/books/12")],
            send("BAN", "/", &[("apiplatform-ban-regex", "(/books/1|/x)($|\\,)")]),
        ),
        (
            "API Platform 2 with Varnish",
            &[("cache-tags", "/books,/books/1")],
            &[("cache-tags", "/books/12")],
            send("BAN", "/", &[("apiplatform-ban-regex", "((^|\\,)/books/1($|\\,))|((^|\\,)/x($|\\,))")]),
        ),
        (
            "API Platform with xkey",
            &[("xkey", "/books /books/1")],
            &[("xkey", "/books/12")],
            send("PURGE", "/", &[("xkey", "/books/1")]),
        ),
        (
            "API Platform with Souin",
            &[("surrogate-key", "/books, /books/1")],
            &[("surrogate-key", "/books/12")],
            send("PURGE", "/souin-api/souin", &[("surrogate-key", "/books/1, /x")]),
        ),
        (
            "Souin by a group",
            &[("cache-groups", "\"a b\", \"c\"")],
            &[("cache-groups", "\"a\"")],
            send("PURGE", "/souin-api/souin/", &[("cache-groups", "\"a b\"")]),
        ),
        (
            "Proxy Cache Purge by tags",
            &[("x-cache-tags", "p-1,pt-post")],
            &[("x-cache-tags", "p-12,pt-page")],
            send("PURGE", "/", &[("x-purge-method", "tags"), ("x-cache-tags-pattern", "p-1|t-3")]),
        ),
        (
            "TYPO3 by page",
            &[("typo3-pid", "7"), ("typo3-sitename", "s")],
            &[("typo3-pid", "77"), ("typo3-sitename", "s")],
            typo3(&[("varnish-ban-typo3-sitename", "s"), ("varnish-ban-typo3-pid", "7")]),
        ),
        (
            "TYPO3 by page, another site",
            &[("typo3-pid", "7"), ("typo3-sitename", "s")],
            &[("typo3-pid", "7"), ("typo3-sitename", "r")],
            typo3(&[("varnish-ban-typo3-sitename", "s"), ("varnish-ban-typo3-pid", "7")]),
        ),
        (
            "TYPO3, all of a site",
            &[("typo3-pid", "9"), ("typo3-sitename", "s")],
            &[("typo3-pid", "9"), ("typo3-sitename", "r")],
            typo3(&[("varnish-ban-typo3-sitename", "s"), ("varnish-ban-all", "1")]),
        ),
        (
            "TYPO3 with xkey",
            &[("xkey", "pageId_7 siteId_s tt_content_3")],
            &[("xkey", "pageId_7 siteId_s tt_content_33")],
            typo3(&[("varnish-ban-typo3-sitename", "s"), ("xkey-purge", "tt_content_3 x")]),
        ),
        (
            "Fastly's Magento module and others",
            &[("surrogate-key", "a b")],
            &[("surrogate-key", "ab")],
            send("POST", "/service/SU1/purge", &[("fastly-key", "all"), ("surrogate-key", "b c")]),
        ),
        (
            "two fields at once",
            &[("cache-tag", "bb")],
            &[("cache-tag", "cc")],
            send("PURGE", "/", &[("xkey", "aa"), ("cache-tag", "bb")]),
        ),
    ];
    for (n, (product, gone, stays, request)) in rows.into_iter().enumerate() {
        let paths = [format!("/{n}/gone"), format!("/{n}/stays")];
        for (path, fields) in paths.iter().zip([gone, stays]) {
            let page = fields.iter().fold(fresh("v"), |page, (name, value)| page.field(name, value));
            stand.origin(path, vec![page]);
            let response = stand.send(0, Request::get(path));
            assert!(
                fields.iter().all(|(name, _)| response.field(name).is_empty()),
                "{product}: tags are shown"
            );
            assert!(is_hit(stand, 1, path), "{product}: stored");
        }
        let answer = stand.send(1, request);
        assert!(matches!(answer.status, 200 | 204), "{product}: {} {}", answer.status, answer.text());
        let hits = [is_hit(stand, 0, &paths[0]), is_hit(stand, 1, &paths[1])];
        assert_eq!(hits, [false, true], "{product}: {answer:?}");
    }
}

const PATHS: [&str; 5] = ["/blog/1", "/blog/2", "/fr/1", "/shop/fr/1", "/img/a.css?v=1"];

/// The host, and where nothing is to be gone.
const HOSTS: [&str; 2] = ["shop.example", "other.example"];

fn gone_after(stand: &mut dyn Stand, request: Request) -> (Response, Vec<String>) {
    let pages = || HOSTS.into_iter().flat_map(|host| PATHS.map(|path| (host, path)));
    for (host, path) in pages() {
        stand.send(0, Request::get(path).host(host));
    }
    let answer = stand.send(1, request);
    let mut gone = Vec::new();
    for (host, path) in pages() {
        if !stand.send(0, Request::get(path).host(host)).is_hit() {
            gone.push(format!("{}{path}", if host == HOSTS[0] { "" } else { host }));
        }
    }
    (answer, gone)
}

/// What plugins purge by URLs: a page, a language, everything of a site, everything.
pub fn products_purge_urls(stand: &mut dyn Stand) {
    configure(stand, r#", "methods": true"#, "");
    for path in PATHS {
        stand.origin(path.split('?').next().unwrap(), vec![fresh("v").field("content-type", "text/html")]);
    }
    let method = |method| [("x-purge-method", method)];
    let rows: Vec<(&str, Request, &[&str])> = vec![
        ("Proxy Cache Purge, WP Rocket: a page", send("PURGE", "/blog/1", &method("default")), &["/blog/1"]),
        ("Proxy Cache Purge, WP Rocket: all", send("PURGE", "/.*", &method("regex")), &PATHS),
        ("W3 Total Cache: all", send("PURGE", "/.*", &[]), &PATHS),
        ("WP Rocket: a language", send("PURGE", "/fr/.*", &method("regex")), &["/fr/1"]),
        ("Hummingbird: a directory", send("PURGE", "/blog/", &method("regex")), &["/blog/1", "/blog/2"]),
        ("Varnish's own tutorial", send("PURGE", "/img/.*[.]css", &method("regex")), &["/img/a.css?v=1"]),
        ("exactly", send("PURGE", "/.*", &method("exact")), &[]),
        ("a wildcard", send("PURGE", "/*/1", &method("wildcard")), &["/blog/1", "/fr/1", "/shop/fr/1"]),
        (
            "Proxy Cache Purge: by an expression",
            send("PURGE", "/x", &[("x-purge-method", "ban-regex"), ("x-ban-regex", "^/blog/[12]($|/$)")]),
            &["/blog/1", "/blog/2"],
        ),
        (
            "WP Rocket at o2switch",
            send("PURGE", "/fr/", &[("x-vc-purge-key", "k"), ("x-purge-regex", ".*")]),
            &["/fr/1"],
        ),
        ("nginx, Wagtail, Plone, MediaWiki", send("PURGE", "/blog/2", &[]), &["/blog/2"]),
        ("nginx Plus", send("PURGE", "/blog/*", &[]), &["/blog/1", "/blog/2"]),
        (
            "FOSHttpCache",
            send(
                "BAN",
                "/",
                &[("x-host", "^(shop.example)$"), ("x-url", "^/blog/1$"), ("x-content-type", ALL)],
            ),
            &["/blog/1"],
        ),
        (
            "Drupal at Acquia: a wildcard",
            send("BAN", "/blog/*", &[("x-acquia-purge", "s")]),
            &["/blog/1", "/blog/2"],
        ),
        ("a whole host", send("BAN", "/", &[]), &PATHS),
    ];
    for (product, request, expected) in rows {
        let (answer, gone) = gone_after(stand, request);
        assert_eq!(
            (answer.status, gone),
            (200, expected.iter().map(|path| (*path).to_owned()).collect()),
            "{product}"
        );
    }
    // To the cache by its own name, for which nothing is stored.
    let everything = PATHS.len() * HOSTS.len();
    for (product, request) in [
        ("Shopware", send("BAN", "/", &[]).host("cache.example")),
        ("FOSHttpCache for Symfony's cache", send("PURGE", "/", &[("clear-cache", "true")])),
        ("Magento", send("PURGE", "/", &[("x-magento-tags-pattern", ALL)])),
        ("TYPO3", send("BAN", "/", &[("varnish-ban-all", "1")])),
    ] {
        let (answer, gone) = gone_after(stand, request);
        assert_eq!((answer.status, gone.len()), (200, everything), "{product}");
    }
    let limited = Request::new("BAN", "/").host("cache.example").field("authorization", "Bearer purge");
    let (answer, gone) = gone_after(stand, limited);
    assert_eq!((answer.status, gone.len()), (403, 0));
}

/// A field that is not known might have selected something: the answer names it, and nothing is gone.
pub fn a_field_that_is_not_known_purges_nothing(stand: &mut dyn Stand) {
    configure(stand, r#", "methods": true"#, "");
    for path in PATHS {
        stand.origin(path.split('?').next().unwrap(), vec![fresh("v").field("xkey", "t1")]);
    }
    let unknown = "x-purge-tags x-ban-expression ban x-tags tags surrogate-keys x-xkey-purge x-uri x-location-id x-pool";
    let empty = "xkey x-cache-tags x-magento-tags-pattern cache-tag cache-tags";
    for method in ["PURGE", "BAN"] {
        let wrong = if method == "PURGE" { "x-url x-host x-content-type" } else { "" };
        let rows = [(unknown, "t1"), (wrong, ".*"), (empty, "")];
        for (name, value) in
            rows.iter().flat_map(|(names, value)| names.split_whitespace().map(move |n| (n, *value)))
        {
            let (answer, gone) = gone_after(stand, send(method, "/blog/1", &[(name, value)]));
            assert_eq!((answer.status, gone.len()), (400, 0), "{method} {name}: {}", answer.text());
            assert!(answer.text().contains(name), "{method} {name}: {}", answer.text());
        }
    }
    // Beside one that is known.
    let (answer, gone) = gone_after(stand, send("PURGE", "/", &[("xkey", "t1"), ("x-tags", "t2")]));
    assert_eq!((answer.status, gone.len()), (400, 0), "{}", answer.text());
}

/// Pages of Drupal and Magento have hundreds of tags, and their purges name as many.
pub fn a_page_may_have_a_thousand_tags_and_so_may_a_purge(stand: &mut dyn Stand) {
    configure(stand, r#", "methods": true"#, "");
    let tags = |separator: &str| (0..1020).map(|n| format!("n{n}")).collect::<Vec<_>>().join(separator);
    stand.origin("/many", vec![fresh("v").field("x-magento-tags", tags(","))]);
    for last in ["n0", "n1019"] {
        assert!(stand.send(0, Request::get("/many")).field("cache-status").contains("stored"));
        assert!(is_hit(stand, 1, "/many"));
        let all = format!("{last} {}", tags(" ").replace('n', "m"));
        let answer = stand.send(1, send("PURGE", "/", &[("xkey", &all)]));
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let answer = stand.send(1, send("PURGE", "/", &[("xkey", &format!("{} a b c d e", tags(" ")))]));
    assert_eq!((answer.status, answer.text().contains("1024")), (400, true), "{}", answer.text());
}

/// Any field can be one for tags, but what a response cannot do without.
pub fn tags_may_stand_in_a_field_of_ones_own(stand: &mut dyn Stand) {
    configure(stand, r#", "methods": true"#, r#", "tags": {"headers": ["X-Own"]}"#);
    for (path, value) in [("/commas", "a, b"), ("/blanks", "b c"), ("/other", "ab")] {
        stand.origin(path, vec![fresh("v").field("x-own", value).field("xkey", "b")]);
        let response = stand.send(0, Request::get(path));
        assert_eq!((response.field("x-own"), response.field("xkey").as_str()), (String::new(), "b"));
    }
    assert_eq!(stand.send(1, send("PURGE", "/", &[("xkey", "b")])).status, 200);
    let hits = ["/commas", "/blanks", "/other"].map(|path| is_hit(stand, 1, path));
    assert_eq!(hits, [false, false, true]);
}

/// A page of one site among several, of what a pattern finds: the fields hold together, and what they do not cover stays.
pub fn a_ban_of_a_page_and_its_site_and_a_url_covers_no_more(stand: &mut dyn Stand) {
    configure(stand, r#", "methods": true"#, "");
    for (path, pid, site) in
        [("/a/this", "7", "s"), ("/a/other", "8", "s"), ("/b/this", "7", "s"), ("/a/far", "7", "t")]
    {
        stand.origin(path, vec![fresh("v").field("typo3-pid", pid).field("typo3-sitename", site)]);
        stand.send(0, Request::get(path));
    }
    let fields = [("varnish-ban-typo3-pid", "7"), ("varnish-ban-typo3-sitename", "s"), ("x-url", "^/a/")];
    let ban = fields.iter().fold(Request::new("BAN", "/"), |ban, (name, value)| ban.field(name, *value));
    let answer = stand.send(1, ban.field("authorization", "Bearer purge"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let hits = ["/a/this", "/a/other", "/b/this", "/a/far"].map(|path| is_hit(stand, 1, path));
    assert_eq!(hits, [false, true, true, true]);
}
