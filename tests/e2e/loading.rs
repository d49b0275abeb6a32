//! `envoy/envoy-fail-open.yaml`: what becomes of traffic when the module cannot be loaded.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::process::replace;
use super::real_envoy::RealEnvoy;
use crate::stand::{Reply, Request, Stand};

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

fn module() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("dist/larder.wasm")
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
    filter.put(&module());
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
