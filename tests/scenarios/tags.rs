//! Purges of tags: many responses at once, whatever their URLs.

use std::time::Duration;

use super::telling::{
    admin, await_hit, await_origin, expect_hit, expect_miss, get, page, pages, purge_tag, with_admin,
};
use crate::stand::{Reply, Request, Stand};

pub fn tags_are_read_from_every_known_field_and_not_shown(stand: &mut dyn Stand) {
    admin(stand);
    let fields = [
        ("cache-tag", "a-1, a-2"),
        ("surrogate-key", "b-1 b-2"),
        ("xkey", "c-1 c-2"),
        ("cache-groups", "\"d-1\", \"d-2\""),
    ];
    for (field, value) in fields {
        let path = format!("/tags/{field}");
        stand.origin(
            &path,
            ["0", "1", "2"].map(|body| page(body).field(field, value).field("x-kept", "1")).to_vec(),
        );
        for worker in [0, 1] {
            let response = get(stand, worker, &path);
            assert_eq!((response.all(field), response.field("x-kept").as_str()), (vec![], "1"), "{field}");
        }
    }
    for ((field, _), letter) in fields.into_iter().zip(["a", "b", "c", "d"]) {
        let path = format!("/tags/{field}");
        for (worker, n) in [(0, 1), (1, 2)] {
            purge_tag(stand, worker, &format!("{letter}-{n}"), "hard");
            expect_miss(stand, 1 - worker, &path, &n.to_string());
            expect_hit(stand, worker, &path, &n.to_string());
        }
    }
}

pub fn tags_that_a_head_or_a_304_tells_are_taken_in_and_not_shown(stand: &mut dyn Stand) {
    admin(stand);
    let tagged = |body: &str, tag: &str| page(body).field("etag", "\"v\"").field("cache-tag", tag);
    stand.origin("/tags/head", vec![tagged("old", "one"), tagged("old", "two"), tagged("new", "two")]);
    get(stand, 0, "/tags/head");
    let head = Request::new("HEAD", "/tags/head").field("cache-control", "no-cache");
    assert_eq!(stand.send(0, head).all("cache-tag"), [""; 0]);
    stand.pass(Duration::from_millis(50));
    for worker in [0, 1] {
        assert_eq!(expect_hit(stand, worker, "/tags/head", "old").all("cache-tag"), [""; 0]);
    }
    purge_tag(stand, 1, "two", "hard");
    expect_miss(stand, 0, "/tags/head", "new");
    // A page that is validated each time: the second request within a second goes alone.
    let validated = |reply: Reply| reply.field("cache-control", "no-cache").field("etag", "\"v\"");
    let confirmed = validated(Reply::status(304)).field("cache-tag", "one");
    stand.origin("/tags/alone", vec![validated(Reply::ok("page")).field("cache-tag", "one"), confirmed]);
    for worker in [0, 0, 1, 0] {
        let response = get(stand, worker, "/tags/alone");
        assert_eq!((response.text().as_str(), response.all("cache-tag")), ("page", vec![]));
    }
}

pub fn a_tag_covers_exactly_the_responses_that_carry_it(stand: &mut dyn Stand) {
    admin(stand);
    for (n, tags) in ["red", "red, blue", "blue", "reddish", ""].into_iter().enumerate() {
        let path = format!("/tags/colour-{n}");
        stand.origin(&path, ["old", "new"].map(|body| page(body).field("cache-tag", tags)).to_vec());
        get(stand, n % 2, &path);
    }
    purge_tag(stand, 0, "red", "hard");
    for (n, covered) in [true, true, false, false, false].into_iter().enumerate() {
        let path = format!("/tags/colour-{n}");
        if covered {
            expect_miss(stand, 1, &path, "new")
        } else {
            expect_hit(stand, 1, &path, "old")
        };
    }
}

pub fn a_soft_purged_tag_refreshes_responses_on_request(stand: &mut dyn Stand) {
    admin(stand);
    stand.origin("/tags/soft", ["old", "new"].map(|body| page(body).field("cache-tag", "soft")).to_vec());
    get(stand, 0, "/tags/soft");
    purge_tag(stand, 1, "soft", "soft");
    expect_hit(stand, 0, "/tags/soft", "old");
    for worker in [0, 1] {
        await_hit(stand, worker, "/tags/soft", "new");
    }
    assert_eq!(stand.origin_count("/tags/soft"), 2);
}

pub fn the_purge_of_an_unknown_tag_covers_fetches_in_flight(stand: &mut dyn Stand) {
    admin(stand);
    let reply = |body: &str| page(body).field("cache-tag", "late").delay(Duration::from_secs(1));
    stand.origin("/tags/flight", vec![reply("old"), reply("new")]);
    let leader = stand.start(0, Request::get("/tags/flight"));
    await_origin(stand, "/tags/flight", 1);
    let follower = stand.start(1, Request::get("/tags/flight"));
    // Only the response will say that it carries the tag.
    purge_tag(stand, 1, "late", "hard");
    assert_eq!(stand.finish(leader).text(), "old");
    assert_eq!(stand.finish(follower).text(), "new");
    for worker in [0, 1] {
        expect_hit(stand, worker, "/tags/flight", "new");
    }
    assert_eq!(stand.origin_count("/tags/flight"), 2);
}

pub fn rules_add_tags_with_parts_of_the_path(stand: &mut dyn Stand) {
    let rules = r#""rules": [{"match": {"path": "/tags/users/{id}"}, "tags": ["user:{id}", "users"]}],"#;
    stand.configure(&with_admin(rules)).unwrap();
    for id in ["1", "2"] {
        let path = format!("/tags/users/{id}");
        stand.origin(&path, pages(&["old", "new", "newer"]));
        get(stand, 0, &path);
    }
    purge_tag(stand, 0, "user:1", "hard");
    expect_miss(stand, 1, "/tags/users/1", "new");
    expect_hit(stand, 1, "/tags/users/2", "old");
    purge_tag(stand, 1, "users", "hard");
    expect_miss(stand, 0, "/tags/users/1", "newer");
    expect_miss(stand, 0, "/tags/users/2", "new");
}

pub fn purging_a_tag_purges_its_descendants(stand: &mut dyn Stand) {
    stand.configure(&with_admin(r#""tags": {"parents": {"leaf": ["twig"], "twig": "tree"}},"#)).unwrap();
    stand.origin("/tags/leaf", ["old", "new"].map(|body| page(body).field("cache-tag", "leaf")).to_vec());
    get(stand, 0, "/tags/leaf");
    purge_tag(stand, 0, "tree", "hard");
    expect_miss(stand, 1, "/tags/leaf", "new");
}

pub fn a_response_with_too_many_tags_is_not_stored(stand: &mut dyn Stand) {
    stand.configure(&with_admin(r#""tags": {"count_max": 3, "length_max": 10},"#)).unwrap();
    for (n, (tags, stored)) in
        [("a, b, c", true), ("a, b, c, d", false), ("eleven-long", false), ("ten-longer", true)]
            .into_iter()
            .enumerate()
    {
        let path = format!("/tags/many-{n}");
        stand.origin(&path, vec![page("page").field("cache-tag", tags)]);
        let status = get(stand, 0, &path).field("cache-status");
        let told = if stored { "stored" } else { "detail=limits" };
        assert_eq!(status, format!("larder; fwd=uri-miss; {told}"));
        assert_eq!(get(stand, 1, &path).is_hit(), stored, "{tags}");
    }
}

pub fn tags_can_be_left_in_the_response(stand: &mut dyn Stand) {
    stand.configure(&with_admin(r#""tags": {"strip": false},"#)).unwrap();
    stand.origin("/tags/shown", vec![page("old").field("cache-tag", "shown"), page("new")]);
    for worker in [0, 1] {
        assert_eq!(get(stand, worker, "/tags/shown").field("cache-tag"), "shown");
    }
    purge_tag(stand, 0, "shown", "hard");
    expect_miss(stand, 1, "/tags/shown", "new");
}

pub fn every_variant_carries_its_own_tags(stand: &mut dyn Stand) {
    admin(stand);
    let reply = |body: &str, tag: &str| page(body).field("vary", "x-lang").field("cache-tag", tag);
    stand.origin("/tags/variants", vec![reply("a1", "tag-a"), reply("b1", "tag-b"), reply("a2", "tag-a")]);
    let ask = |stand: &mut dyn Stand, worker, lang: &str| {
        stand.send(worker, Request::get("/tags/variants").field("x-lang", lang)).text()
    };
    assert_eq!([ask(stand, 0, "a"), ask(stand, 0, "b")], ["a1", "b1"]);
    purge_tag(stand, 0, "tag-a", "hard");
    assert_eq!([ask(stand, 1, "a"), ask(stand, 1, "b")], ["a2", "b1"]);
    assert_eq!(stand.origin_count("/tags/variants"), 3);
}
