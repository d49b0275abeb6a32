//! An Envoy process on free ports of loopback, run from `envoy/envoy.yaml`: configuration, statistics, log, and its end.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{env, process, thread};

use super::wire::{Content, Head, Until};
use crate::stand::SHIPPED;

const CHECKOUT: &str = env!("CARGO_MANIFEST_DIR");
const PATIENCE: Duration = Duration::from_secs(60);
/// What stands in `envoy.yaml` where the tests have something of their own.
const LISTENERS: &str = "  listeners:\n";
const CLUSTERS: &str = "  clusters:\n";
const NAME: &str = "  - name: larder\n    address:";
const CONFIGURATION: &str =
    "value: |\n                    { \"collapse\": { \"cluster\": \"route_loop\" } }\n";
/// The route table, on the line that each of both listeners has it on.
const ROUTES: [&str; 2] = ["          route_config: &routes\n", "          route_config: *routes\n"];
/// A second cluster, at the same origin.
const BLUE: &str = r#"  - name: blue
    load_assignment:
      cluster_name: blue
      endpoints:
      - lb_endpoints:
        - endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: ORIGIN_PORT } } }
"#;
const FILTER: &str = "          - name: larder\n            typed_config:";
const ROUTER: &str = "          - name: envoy.filters.http.router\n";

pub struct Envoy {
    child: Child,
    /// Ends Envoy and clears up when this process ends without doing so: it waits for the end of its standard input.
    watchdog: Child,
    folder: PathBuf,
    admin: SocketAddr,
    /// Where clients connect to.
    pub listener: SocketAddr,
    /// The listener's configuration, without the plugin's.
    template: String,
    pushes: usize,
    workers: u64,
}

/// What a test changes in `envoy.yaml`, and how Envoy is started.
pub struct Setup {
    pub workers: u64,
    /// Leaves Larder out.
    pub without_filter: bool,
    /// Takes the build of Larder that a request can kill ([`TRAP`]).
    pub with_trap: bool,
    /// Text that is there exactly once, and what stands in its place.
    pub replaced: Vec<(&'static str, &'static str)>,
    /// More clusters, as they stand in `envoy.yaml`.
    pub clusters: String,
}

impl Default for Setup {
    fn default() -> Self {
        Setup {
            workers: 2,
            without_filter: false,
            with_trap: false,
            replaced: Vec::new(),
            clusters: String::new(),
        }
    }
}

/// A request with this field kills the VM that it meets, in a build with the feature `trap`.
pub const TRAP: &str = "x-larder-trap";

impl Envoy {
    /// Starts an Envoy in front of this origin, Larder configured as it is shipped.
    pub fn start(origin_port: u16, setup: &Setup) -> Envoy {
        let folder = new_folder();
        let (bootstrap, template) = configurations(&folder, origin_port, setup);
        fs::write(folder.join("listener.yaml"), listener(&template, SHIPPED, 0)).unwrap();
        let mut envoy = Envoy::run(folder, &bootstrap, template, setup.workers);
        envoy.listener = wait_for("a listener", || {
            envoy.refused(0);
            (envoy.stat(CREATED) >= setup.workers).then_some(())?;
            envoy.listening("larder")
        });
        envoy
    }

    /// Starts an Envoy with another configuration of the repository, as it is but for its ports, the module, and
    /// what the test changes.
    pub fn start_as_written(file: &str, origin_port: u16, change: impl FnOnce(&mut String)) -> Envoy {
        let mut yaml = fs::read_to_string(Path::new(CHECKOUT).join("envoy").join(file)).unwrap();
        change(&mut yaml);
        let module = module(false);
        let origin = format!("port_value: {origin_port}");
        for (from, to) in [
            ("dist/larder.wasm", module.to_str().unwrap()),
            ("port_value: 9901", "port_value: 0"),
            ("0.0.0.0, port_value: 10000", "127.0.0.1, port_value: 0"),
            ("port_value: 8000", &origin),
        ] {
            yaml = yaml.replace(from, to);
        }
        yaml = yaml.replace("port_value: 10001", "port_value: 0");
        let mut envoy = Envoy::run(new_folder(), &yaml, String::new(), 2);
        envoy.listener = wait_for("a listener", || envoy.listening("larder"));
        envoy
    }

    /// What Envoy says when it does not start with another configuration of the repository.
    pub fn refusal(file: &str, change: impl FnOnce(&mut String)) -> String {
        let mut yaml = fs::read_to_string(Path::new(CHECKOUT).join("envoy").join(file)).unwrap();
        change(&mut yaml);
        replace(&mut yaml, "port_value: 9901", "port_value: 0");
        replace(&mut yaml, "0.0.0.0, port_value: 10000", "127.0.0.1, port_value: 0");
        let folder = new_folder();
        fs::write(folder.join("envoy.yaml"), yaml).unwrap();
        let mut child = spawn(&folder, 1);
        let mut watchdog = watch(child.id(), &folder);
        let status = wait_for("up", || child.try_wait().unwrap());
        assert!(!status.success(), "{status}");
        let said = read_log(&folder);
        drop(watchdog.stdin.take());
        watchdog.wait().unwrap();
        said
    }

    /// From now on this stands in what is pushed.
    pub fn replace(&mut self, from: &str, to: &str) {
        replace(&mut self.template, from, to);
    }

    /// The address of a listener, once all workers accept its connections.
    pub fn listening(&self, name: &str) -> Option<SocketAddr> {
        let listeners = self.get("/listeners");
        let address = listeners.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix("::"))?;
        (self.stat("listener_manager.workers_started") == 1).then_some(address.trim().parse().ok()?)
    }

    fn run(folder: PathBuf, bootstrap: &str, template: String, workers: u64) -> Envoy {
        fs::write(folder.join("envoy.yaml"), bootstrap).unwrap();
        let mut child = spawn(&folder, workers);
        let watchdog = watch(child.id(), &folder);
        let admin = wait_for("an admin address", || {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("Envoy ended at once ({status}):\n{}", tail(&folder, 30));
            }
            fs::read_to_string(folder.join("admin")).ok()?.trim().parse().ok()
        });
        let listener = SocketAddr::from(([127, 0, 0, 1], 0));
        Envoy { child, watchdog, folder, admin, listener, template, pushes: 0, workers }
    }

    /// Pushes a plugin configuration; returns when all workers use it, or with what Envoy and Larder said against it.
    pub fn configure(&mut self, configuration: &str) -> Result<(), String> {
        self.pushes += 1;
        let (rejected, created) = (self.stat(REJECTED), self.stat(CREATED));
        let logged = self.log().len();
        let next = self.folder.join("next.yaml");
        // Envoy takes up a plugin configuration that it knows from before as it was, verdict and root context: no two
        // of ours are alike.
        let configuration = format!("{configuration}{}", " ".repeat(self.pushes));
        fs::write(&next, listener(&self.template, &configuration, self.pushes)).unwrap();
        fs::rename(next, self.folder.join("listener.yaml")).unwrap(); // Envoy watches for renames.
        wait_for("the verdict on a configuration", || {
            if self.stat(REJECTED) > rejected {
                let said = self.log().split_off(logged);
                let said = said.lines().filter(|l| l.contains("wasm log") || l.contains("rejected"));
                return Some(Err(said.collect::<Vec<_>>().join("\n")));
            }
            // Each worker counts when it has taken the new listener over.
            (self.stat(CREATED) >= created + self.workers).then_some(Ok(()))
        })
    }

    /// Pushes a table of routes, each as it stands in `envoy.yaml`, in the place of the one that there is.
    pub fn push_routes(&self, routes: &str) {
        let hosts = "  virtual_hosts:\n  - name: origin\n    domains: [\"*\"]\n    routes:\n";
        let next = self.folder.join("next-routes.yaml");
        fs::write(&next, routes_file(&format!("  name: origin\n{hosts}{routes}"))).unwrap();
        fs::rename(next, self.folder.join("routes.yaml")).unwrap();
    }

    /// One statistic; 0 when Envoy has none of this name.
    pub fn stat(&self, name: &str) -> u64 {
        self.stats(name).get(name).copied().unwrap_or(0)
    }

    /// The counters and gauges whose names this regular expression finds.
    pub fn stats(&self, names: &str) -> HashMap<String, u64> {
        let text = self.get(&format!("/stats?filter={names}"));
        let pairs = text.lines().filter_map(|line| line.split_once(": "));
        pairs.filter_map(|(name, value)| Some((name.to_string(), value.parse().ok()?))).collect()
    }

    /// Waits until this holds; false when it never does, however busy the machine.
    pub fn soon(&self, holds: impl Fn(&Self) -> bool) -> bool {
        self.within(Duration::from_secs(30), holds)
    }

    /// Waits until this holds; false when it does not in that time.
    pub fn within(&self, time: Duration, holds: impl Fn(&Self) -> bool) -> bool {
        let end = Instant::now() + time;
        loop {
            if holds(self) {
                return true;
            }
            if Instant::now() > end {
                return false;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// All that Envoy wrote so far.
    pub fn log(&self) -> String {
        read_log(&self.folder)
    }

    fn refused(&self, pushes: u64) {
        if self.stat(REJECTED) > pushes {
            panic!("Envoy refused the listener:\n{}", tail(&self.folder, 30));
        }
    }

    fn get(&self, target: &str) -> String {
        let mut stream = TcpStream::connect(self.admin).expect("Envoy's admin address answers");
        let request = format!("GET {target} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut from = BufReader::new(Until { stream, deadline: Instant::now() + PATIENCE });
        let head = Head::read(&mut from).ok().flatten().expect("an answer from Envoy's admin address");
        let content = Content::read(&mut from, head.response_framing("GET"));
        assert_eq!((head.status(), content.complete), (200, true), "{target}");
        String::from_utf8_lossy(&content.bytes).into_owned()
    }
}

const REJECTED: &str = "listener_manager.lds.update_rejected";
const CREATED: &str = "listener_manager.listener_create_success";

impl Drop for Envoy {
    fn drop(&mut self) {
        let _ = self.watchdog.kill().and_then(|()| self.watchdog.wait());
        let _ = self.child.kill().and_then(|()| self.child.wait());
        if thread::panicking() {
            eprintln!("The end of Envoy's log ({}):\n{}", self.folder.display(), tail(&self.folder, 40));
        } else {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// What is shipped, or the build of it that a request can kill.
pub fn module(with_trap: bool) -> PathBuf {
    if with_trap {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
        target.join("trap/larder.wasm")
    } else {
        Path::new(CHECKOUT).join("dist/larder.wasm")
    }
}

/// The bootstrap, and the listener apart from it so that it can be pushed: both cut from the one `envoy.yaml`.
fn configurations(folder: &Path, origin_port: u16, setup: &Setup) -> (String, String) {
    let mut yaml = fs::read_to_string(Path::new(CHECKOUT).join("envoy/envoy.yaml")).unwrap();
    let module = module(setup.with_trap);
    assert!(setup.without_filter || module.exists(), "{} is missing: run `make e2e`", module.display());
    for (from, to) in &setup.replaced {
        replace(&mut yaml, from, to);
    }
    // Where a test adds a cluster of its own.
    yaml = yaml.replace("ORIGIN_PORT", &origin_port.to_string());
    replace(&mut yaml, "port_value: 9901", "port_value: 0");
    replace(&mut yaml, "0.0.0.0, port_value: 10000", "127.0.0.1, port_value: 0");
    replace(&mut yaml, "port_value: 8000", &format!("port_value: {origin_port}"));
    replace(&mut yaml, "dist/larder.wasm", module.to_str().unwrap());
    if setup.without_filter {
        let (before, rest) = cut(&yaml, FILTER);
        yaml = [before, ROUTER, cut(rest, ROUTER).1].concat();
    }
    let (before, rest) = cut(&yaml, LISTENERS);
    let (listeners, clusters) = cut(rest, CLUSTERS);
    let source = folder.join("listener.yaml");
    let lds =
        format!("dynamic_resources: {{ lds_config: {{ path_config_source: {{ path: {source:?} }} }} }}\n");
    let blue = BLUE.replace("ORIGIN_PORT", &origin_port.to_string());
    let listeners = discovered_routes(folder, listeners);
    (format!("{before}{CLUSTERS}{blue}{}{clusters}{lds}", setup.clusters), format!("resources:\n{listeners}"))
}

/// The listeners with their route table in a file of its own, so that it can be pushed.
fn discovered_routes(folder: &Path, listeners: &str) -> String {
    let (before, rest) = cut(listeners, ROUTES[0]);
    let is_table = |line: &&str| line.starts_with("            ");
    let table: String = rest.split_inclusive('\n').take_while(is_table).collect();
    let file = folder.join("routes.yaml");
    fs::write(&file, routes_file(&table.replace("\n            ", "\n  ").replacen("            ", "  ", 1)))
        .unwrap();
    let source = format!("{{ resource_api_version: V3, path_config_source: {{ path: {file:?} }} }}");
    let rds = format!("          rds: {{ route_config_name: origin, config_source: {source} }}\n");
    let after = &rest[table.len()..];
    [before, &rds, &after.replace(ROUTES[1], &rds)].concat()
}

fn routes_file(table: &str) -> String {
    format!("resources:\n- \"@type\": type.googleapis.com/envoy.config.route.v3.RouteConfiguration\n{table}")
}

/// The listener to push, with this plugin configuration. No two are alike, so that Envoy takes up each of them.
fn listener(template: &str, configuration: &str, push: usize) -> String {
    let mut yaml = template.to_string();
    let typed = "  - \"@type\": type.googleapis.com/envoy.config.listener.v3.Listener\n    name: larder\n";
    let numbered =
        format!("    metadata: {{ filter_metadata: {{ push: {{ number: {push} }} }} }}\n    address:");
    replace(&mut yaml, NAME, &[typed, &numbered].concat());
    let looped = typed.replace("larder", "route_loop");
    yaml = yaml.replace("  - name: route_loop\n    internal", &format!("{looped}    internal"));
    if yaml.contains(FILTER) {
        let quoted = serde_json::to_string(configuration).unwrap();
        replace(&mut yaml, CONFIGURATION, &format!("value: {quoted}\n"));
    }
    yaml
}

pub fn replace(yaml: &mut String, from: &str, to: &str) {
    let (before, after) = cut(yaml, from);
    *yaml = [before, to, after].concat();
}

fn cut<'a>(yaml: &'a str, at: &str) -> (&'a str, &'a str) {
    assert_eq!(yaml.matches(at).count(), 1, "envoy/envoy.yaml should have this exactly once: {at:?}");
    yaml.split_once(at).unwrap()
}

fn spawn(folder: &Path, workers: u64) -> Child {
    let log = File::create(folder.join("log")).unwrap();
    Command::new(binary())
        .arg("--config-path")
        .arg(folder.join("envoy.yaml"))
        .arg("--admin-address-path")
        .arg(folder.join("admin"))
        .args(["--concurrency", &workers.to_string(), "--disable-hot-restart"])
        .args(["--service-node", "test", "--service-cluster", "test"])
        .args(["--file-flush-interval-msec", "100"])
        .args(["--log-level", "warning", "--component-log-level", "wasm:info,config:info"])
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap_or_else(|error| panic!("{} does not start: {error}", binary().display()))
}

/// Ends a process, and clears up after it, when this one ends without doing so.
pub fn watch(pid: u32, folder: &Path) -> Child {
    let mut shell = Command::new("sh");
    shell.args(["-c", r#"read -r _; kill -9 "$1"; rm -rf "$2""#, "sh", &pid.to_string()]).arg(folder);
    shell.stdin(Stdio::piped()).spawn().expect("sh starts")
}

/// `LARDER_ENVOY`, or what `tools/get.py envoy` finds.
fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(path) = env::var_os("LARDER_ENVOY") {
            return path.into();
        }
        let mut find = Command::new("python3");
        let found =
            find.arg("tools/get.py").arg("envoy").current_dir(CHECKOUT).stderr(Stdio::inherit()).output();
        let found = found.expect("python3 starts");
        assert!(found.status.success(), "no Envoy to test with");
        String::from_utf8_lossy(&found.stdout).trim().into()
    })
}

fn new_folder() -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("envoy-{}-{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "Envoy gave {what} not within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn read_log(folder: &Path) -> String {
    String::from_utf8_lossy(&fs::read(folder.join("log")).unwrap_or_default()).into_owned()
}

fn tail(folder: &Path, lines: usize) -> String {
    let log = read_log(folder);
    let all: Vec<&str> = log.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
