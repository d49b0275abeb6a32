//! The facts about the real host that Larder relies on, shown on the emulated one.

use super::{World, toy::toy};
use crate::stand::{Reply, Request};

fn world(configuration: &str) -> World {
    let mut world = World::with(toy, 7, 2);
    world.configure_all(configuration).expect("the toy accepts it");
    world
}

#[test]
fn a_request_goes_to_the_origin_and_back() {
    let mut world = world("{}");
    world.origin("/a", vec![Reply::ok("hello").field("ETag", "x")]);
    let response = world.send(0, Request::get("/a?q=1"));
    assert_eq!((response.status, response.text(), response.complete), (200, "hello".into(), true));
    assert_eq!(response.field("content-length"), "5");
    assert_eq!(world.origin_log().len(), 1);
    assert_eq!(world.origin_log()[0].target, "/a?q=1");
}
