//! The official Python clients of Cloudflare and Fastly, pointed at Larder: they purge for real.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;

use serde_json::{Value, json};

use super::real_envoy::RealEnvoy;
use crate::scenarios::operating::configuration;
use crate::stand::{Reply, Request, Stand};

const CHECKOUT: &str = env!("CARGO_MANIFEST_DIR");
const PAGES: [&str; 4] = ["/blog/1", "/blog/2", "/img/a b.png", "/shop/7"];

/// The clients, in a process of their own.
struct Clients {
    process: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Clients {
    fn start(envoy: &RealEnvoy, token: &str) -> Clients {
        let mut process = Command::new(python())
            .arg(Path::new(CHECKOUT).join("tests/e2e/clients.py"))
            .args([&envoy.envoy().listener.to_string(), token])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the clients start");
        let commands = process.stdin.take().unwrap();
        let answers = BufReader::new(process.stdout.take().unwrap());
        Clients { process, commands, answers }
    }

    fn send(&mut self, client: &str, what: &Value) -> Value {
        writeln!(self.commands, "{}", json!([client, what])).unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{client} {what}: {error}: {answer}"))
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A Python that has the clients; installs them once.
fn python() -> &'static str {
    static PYTHON: OnceLock<String> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let mut find = Command::new("python3");
        find.arg("tools/get.py").arg("clients").current_dir(CHECKOUT).stderr(Stdio::inherit());
        let found = find.output().expect("python3 starts");
        assert!(found.status.success(), "no clients to test with");
        String::from_utf8_lossy(&found.stdout).trim().to_owned()
    })
}

fn envoy() -> RealEnvoy {
    let mut envoy = RealEnvoy::start();
    envoy.configure(&configuration("", "")).unwrap();
    for (path, keys) in PAGES.into_iter().zip(["blog one", "blog two", "img", "shop a/b"]) {
        let path = path.replace(' ', "%20");
        let page = Reply::ok("v").field("cache-control", "max-age=600").field("surrogate-key", keys);
        envoy.origin(&path, vec![page]);
    }
    envoy
}

fn get(envoy: &mut RealEnvoy, worker: usize, path: &str) -> bool {
    envoy.send(worker, Request::get(&path.replace(' ', "%20"))).is_hit()
}

/// Fills the cache, has a client purge, and looks on both workers which pages are gone.
fn purged(
    envoy: &mut RealEnvoy,
    clients: &mut Clients,
    client: &str,
    what: &Value,
) -> (Value, Vec<&'static str>) {
    for path in PAGES {
        get(envoy, 0, path);
        assert!(get(envoy, 1, path), "{path} is stored");
    }
    let answer = clients.send(client, what);
    let gone = PAGES.into_iter().enumerate().filter(|(n, path)| !get(envoy, n % 2, path));
    (answer, gone.map(|(_, path)| path).collect())
}

#[test]
fn the_client_of_cloudflare_purges() {
    let mut envoy = envoy();
    let mut clients = Clients::start(&envoy, "all");
    let all = PAGES.to_vec();
    for (what, expected) in [
        (
            json!({"files": ["http://shop.example/blog/1", "http://shop.example/img/a%20b.png"]}),
            vec!["/blog/1", "/img/a b.png"],
        ),
        (
            json!({"files": [{"url": "http://shop.example/blog/2", "headers": {"Accept-Language": "de"}}]}),
            vec!["/blog/2"],
        ),
        (json!({"tags": ["blog", "a/b"]}), vec!["/blog/1", "/blog/2", "/shop/7"]),
        (json!({"prefixes": ["shop.example/blog"]}), vec!["/blog/1", "/blog/2"]),
        (json!({"hosts": ["shop.example"]}), all.clone()),
        (json!({"purge_everything": true}), all),
    ] {
        let (answer, gone) = purged(&mut envoy, &mut clients, "cloudflare", &what);
        assert_eq!(gone, expected, "{what}: {answer}");
        assert!(answer["id"].as_str().is_some_and(|id| id.parse::<u64>().is_ok()), "{what}: {answer}");
    }
    let (answer, gone) = purged(&mut envoy, &mut clients, "cloudflare", &json!({"tags": [""]}));
    assert_eq!((&answer["status"], gone), (&json!(400), vec![]), "{answer}");
    let mut stranger = Clients::start(&envoy, "wrong");
    let (answer, gone) = purged(&mut envoy, &mut stranger, "cloudflare", &json!({"purge_everything": true}));
    assert_eq!((&answer["status"], gone), (&json!(401), vec![]), "{answer}");
    envoy.check();
}

#[test]
fn the_client_of_fastly_purges() {
    let mut envoy = envoy();
    let mut clients = Clients::start(&envoy, "all");
    for (what, expected) in [
        (json!({"call": "purge_single_url", "cached_url": "shop.example/blog/1"}), vec!["/blog/1"]),
        (json!({"call": "purge_single_url", "cached_url": "shop.example/img/a b.png"}), vec!["/img/a b.png"]),
        (json!({"call": "purge_tag", "service_id": "SU1", "surrogate_key": "two"}), vec!["/blog/2"]),
        (json!({"call": "purge_tag", "service_id": "SU1", "surrogate_key": "a/b"}), vec!["/shop/7"]),
        (
            json!({"call": "bulk_purge_tag", "service_id": "SU1", "surrogate_key": "one img"}),
            vec!["/blog/1", "/img/a b.png"],
        ),
        (
            json!({"call": "bulk_purge_tag", "service_id": "SU1", "purge_response": {"surrogate_keys": ["blog"]}}),
            vec!["/blog/1", "/blog/2"],
        ),
        (json!({"call": "purge_all", "service_id": "SU1"}), PAGES.to_vec()),
    ] {
        let (answer, gone) = purged(&mut envoy, &mut clients, "fastly", &what);
        assert_eq!(gone, expected, "{what}: {answer}");
        assert!(answer.as_object().unwrap().values().all(Value::is_string), "{what}: {answer}");
    }
    let soft =
        json!({"call": "purge_tag", "service_id": "SU1", "surrogate_key": "shop", "fastly_soft_purge": 1});
    clients.send("fastly", &soft);
    let stale = envoy.send(1, Request::get("/shop/7"));
    assert!(stale.field("cache-status").contains("soft-purged"), "{stale:?}");
    let mut stranger = Clients::start(&envoy, "wrong");
    let (answer, gone) =
        purged(&mut envoy, &mut stranger, "fastly", &json!({"call": "purge_all", "service_id": "SU1"}));
    assert_eq!((&answer["status"], gone), (&json!(401), vec![]), "{answer}");
    envoy.check();
}
