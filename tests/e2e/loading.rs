//! What becomes of traffic when the module cannot be loaded, or dies: `envoy/envoy-fail-open.yaml` and `failure_policy`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::load::Edge;
use super::process::{Envoy, Setup, TRAP, module, replace};
use super::real_envoy::RealEnvoy;
use crate::stand::{Reply, Request, Response, Stand};

/// As it stands in `envoy/envoy.yaml`.
const POLICY: &str = "failure_policy: FAIL_RELOAD";
const POLICIES: [&str; 3] = [POLICY, "failure_policy: FAIL_OPEN", "failure_policy: FAIL_CLOSED"];

/// The file with the filter, as Envoy reads it.
struct Filter(PathBuf);

impl Filter {
    fn new(name: &str) -> Filter {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Filter(folder)
    }

    /// Puts another filter in force, with this module.
    fn put(&self, module: &Path) {
        let mut yaml =
            fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("envoy/larder-filter.yaml"))
                .unwrap();
        replace(&mut yaml, "dist/larder.wasm", module.to_str().unwrap());
        fs::write(self.0.join("next.yaml"), yaml).unwrap();
        fs::rename(self.0.join("next.yaml"), self.0.join("filter.yaml")).unwrap();
    }

    /// A file that is no module.
    fn broken(&self) -> PathBuf {
        let broken = self.0.join("broken.wasm");
        fs::write(&broken, "this is no module").unwrap();
        broken
    }
}

impl Drop for Filter {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// With a broken module from the start, then with the real one, then with a broken one again.
fn with_and_without_a_module(name: &str, change: fn(&mut String), status_without: u16) {
    let filter = Filter::new(name);
    filter.put(&filter.broken());
    let mut envoy = RealEnvoy::start_as_written("envoy-fail-open.yaml", |yaml| {
        change(yaml);
        replace(
            yaml,
            "path: envoy/larder-filter.yaml",
            &format!("path: {}", filter.0.join("filter.yaml").display()),
        );
    });
    envoy.origin("/page", vec![Reply::ok("page").field("cache-control", "max-age=600")]);
    for _ in 0..2 {
        let response = envoy.send(0, Request::get("/page"));
        assert_eq!((response.status, response.field("cache-status").as_str()), (status_without, ""));
    }
    filter.put(&module(false));
    let end = Instant::now() + Duration::from_secs(60);
    while !envoy.send(0, Request::get("/page")).is_hit() {
        assert!(Instant::now() < end, "Larder is not taken up");
        std::thread::sleep(Duration::from_millis(50));
    }
    filter.put(&filter.broken());
    std::thread::sleep(Duration::from_millis(500));
    assert!(envoy.send(1, Request::get("/page")).is_hit(), "what was in force stays in force");
    envoy.check();
}

#[test]
fn without_a_module_that_loads_requests_go_to_the_origin() {
    with_and_without_a_module("open", |_| (), 200);
}

#[test]
fn or_are_answered_with_an_error_where_the_operator_wants_that() {
    let closed = |yaml: &mut String| {
        let lines: Vec<&str> = yaml.lines().filter(|line| !line.ends_with("# open")).collect();
        *yaml = lines.join("\n");
    };
    with_and_without_a_module("closed", closed, 500);
}

/// Whatever `failure_policy` says: it is about VMs that die.
#[test]
fn envoy_does_not_start_with_a_module_or_a_configuration_that_cannot_be_loaded() {
    let filter = Filter::new("refused");
    for policy in POLICIES {
        let said = Envoy::refusal("envoy.yaml", |yaml| {
            replace(yaml, POLICY, policy);
            replace(yaml, "dist/larder.wasm", filter.broken().to_str().unwrap());
        });
        assert!(said.contains("Unable to create Wasm plugin larder"), "{policy}: {said}");
    }
    let said = Envoy::refusal("envoy.yaml", |yaml| {
        replace(yaml, "dist/larder.wasm", module(false).to_str().unwrap());
        replace(yaml, "{ \"collapse\": { \"cluster\": \"route_loop\" } }\n", "{\"no_such_option\": 1}\n");
    });
    assert!(said.contains("larder refuses its configuration: no_such_option"), "{said}");
}

#[test]
fn a_push_of_a_module_that_cannot_be_loaded_changes_nothing() {
    let filter = Filter::new("pushed");
    let mut edge = Edge::start(&Setup::default());
    edge.origin.answer_by(|_| Reply::ok("page").field("cache-control", "max-age=600"));
    assert!(!get(&edge, 0).is_hit());
    edge.envoy.replace(module(false).to_str().unwrap(), filter.broken().to_str().unwrap());
    let refusal = edge.envoy.configure("{}").expect_err("it is no module");
    assert!(refusal.contains("Unable to create Wasm plugin larder"), "{refusal}");
    assert!(get(&edge, 1).is_hit(), "what was in force stays in force");
    edge.check_settled();
}

#[test]
fn a_vm_that_dies_is_started_anew_or_done_without_or_missed_as_the_policy_says() {
    for (policy, afterwards) in POLICIES.into_iter().zip([(200, true), (200, false), (503, false)]) {
        let replaced = vec![(POLICY, policy)];
        let mut edge = Edge::start(&Setup { with_trap: true, replaced, ..Setup::default() });
        edge.origin.answer_by(|_| Reply::ok("page").field("cache-control", "max-age=600"));
        assert!(!get(&edge, 0).is_hit());
        assert!(get(&edge, 0).is_hit() && get(&edge, 1).is_hit());
        let killing = (edge.clients_of(0, 1).remove(0), Request::get("/").field(TRAP, "1"));
        assert_eq!(edge.ask(vec![killing]).remove(0).unwrap().status, 503, "{policy}");
        edge.pass(Duration::from_secs(1)); // `reload_config.backoff.max_interval`
        for _ in 0..3 {
            let response = get(&edge, 0);
            assert_eq!((response.status, response.is_hit()), afterwards, "{policy}");
            assert!(get(&edge, 1).is_hit(), "{policy}: the other worker goes on");
        }
        edge.envoy.configure("{}").unwrap();
        assert!(get(&edge, 0).is_hit(), "{policy}: what was stored is still there");
        edge.check_idle();
    }
}

/// Asks for the page over a new connection of this worker.
fn get(edge: &Edge, worker: u64) -> Response {
    let client = edge.clients_of(worker, 1).remove(0);
    edge.ask(vec![(client, Request::get("/page"))]).remove(0).expect("an answer")
}
