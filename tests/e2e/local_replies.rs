//! Hits are local replies to Envoy, and `local_reply_config` is for these: as README has it, it changes what Envoy itself
//! says, and no hit.

use super::process::Setup;
use super::real_envoy::RealEnvoy;
use crate::scenarios::telling::{expect_hit, get, page};
use crate::stand::{Reply, Request, Stand};

const PREFIX: &str = "          stat_prefix: larder\n";

/// README's recipe: only what has a response flag is Envoy's own error.
const FLAGGED: &str = "          stat_prefix: larder
          local_reply_config:
            mappers:
            - filter: { response_flag_filter: {} }
              status_code: 599
              body_format_override: { json_format: { sorry: \"%RESPONSE_FLAGS%\" } }
";
/// What changes each local reply, and so each hit.
const ALL: &str = "          stat_prefix: larder
          local_reply_config:
            body_format: { json_format: { body: \"%LOCAL_REPLY_BODY%\" } }
";

fn with(local_reply_config: &'static str) -> RealEnvoy {
    RealEnvoy::start_with(&Setup { replaced: vec![(PREFIX, local_reply_config)], ..Setup::default() })
}

#[test]
fn errors_of_envoy_are_mapped_by_their_flag_and_hits_are_left_alone() {
    let mut envoy = with(FLAGGED);
    envoy.origin("/local/page", vec![page("page")]);
    envoy.origin("/local/none", vec![Reply::status(404).body("none").field("cache-control", "max-age=60")]);
    get(&mut envoy, 0, "/local/page");
    get(&mut envoy, 0, "/local/none");
    for worker in [0, 1] {
        expect_hit(&mut envoy, worker, "/local/page", "page");
        let response = get(&mut envoy, worker, "/local/none");
        assert!(response.is_hit() && (response.status, response.text().as_str()) == (404, "none"));
        let parts = envoy.send(worker, Request::get("/local/page").field("range", "bytes=1-2"));
        assert_eq!((parts.status, parts.text().as_str()), (206, "ag"));
    }
    envoy.origin_listens(false);
    let response = get(&mut envoy, 0, "/local/unknown");
    assert!(response.status == 599 && response.text().contains("sorry"), "{}", response.text());
    expect_hit(&mut envoy, 1, "/local/page", "page");
    envoy.check();
}

/// What README warns of is so: else the warning could go.
#[test]
fn a_format_for_all_local_replies_is_one_for_hits_too() {
    let mut envoy = with(ALL);
    envoy.origin("/local/page", vec![page("page")]);
    get(&mut envoy, 0, "/local/page");
    let hit = get(&mut envoy, 0, "/local/page");
    assert!(hit.is_hit() && hit.text().contains("\"body\":\"page\""), "{}", hit.text());
    envoy.check();
}
