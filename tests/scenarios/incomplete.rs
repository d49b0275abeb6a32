//! Responses that break off, and clients that leave: nothing partial is ever stored.

use std::time::Duration;

use super::telling::{await_origin, expect_hit, expect_miss, get, page};
use crate::stand::{Ending, Reply, Request, Stand};

pub fn a_response_that_breaks_off_is_not_stored(stand: &mut dyn Stand) {
    let cases = [
        ("reset", page("0123456789").ending(Ending::ResetAfter(4))),
        ("reset-at-once", page("0123456789").ending(Ending::ResetAfter(0))),
        ("short", page("0123").field("content-length", "10")),
        ("large", page(vec![b'x'; 500_000]).ending(Ending::ResetAfter(400_000))),
    ];
    for (name, broken) in cases {
        let path = format!("/incomplete/{name}");
        stand.origin(&path, vec![broken, page("whole")]);
        let response = get(stand, 0, &path);
        assert_eq!((response.status, response.complete), (200, false), "{name}");
        // Its failure is remembered for a moment: nobody waits for the next one.
        for worker in [1, 0] {
            let response = get(stand, worker, &path);
            assert_eq!(
                (response.status, response.text().as_str(), response.complete),
                (200, "whole", true),
                "{name}"
            );
        }
        stand.pass(Duration::from_millis(1100));
        get(stand, 0, &path);
        expect_hit(stand, 1, &path, "whole");
    }
}

pub fn an_origin_that_closes_without_a_response_is_a_503_and_not_stored(stand: &mut dyn Stand) {
    stand.origin("/incomplete/nothing", vec![Reply::ok("").ending(Ending::NoResponse), page("whole")]);
    let response = get(stand, 0, "/incomplete/nothing");
    assert_eq!((response.status, response.is_hit()), (503, false));
    expect_miss(stand, 1, "/incomplete/nothing", "whole");
}

pub fn a_client_that_leaves_midway_leaves_no_partial_record(stand: &mut dyn Stand) {
    stand.origin("/incomplete/left", vec![page("one").delay(Duration::from_millis(300)), page("two")]);
    let leaving = stand.start(0, Request::get("/incomplete/left"));
    await_origin(stand, "/incomplete/left", 1);
    stand.leave(leaving);
    let response = get(stand, 1, "/incomplete/left");
    assert_eq!((response.text().as_str(), response.is_hit()), ("two", false));
    stand.pass(Duration::from_millis(400));
    expect_hit(stand, 0, "/incomplete/left", "two");
}

pub fn more_than_the_length_is_cut_off(stand: &mut dyn Stand) {
    stand.origin("/incomplete/long", vec![page("0123456789").field("content-length", "4")]);
    assert_eq!(get(stand, 0, "/incomplete/long").text(), "0123");
    let again = get(stand, 1, "/incomplete/long");
    assert_eq!((again.text().as_str(), again.field("content-length").as_str()), ("0123", "4"));
}
