//! A real etcd: one member or three on free ports of loopback, that can be killed, wiped and restored.

mod agreement;
pub mod certificates;
mod files;
pub mod fleet;
pub mod grpc;
mod permissions;
pub mod proxy;
mod stand_itself;

use std::collections::HashMap;
use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{process, thread};

use super::process::watch;
use certificates::Certificates;
use grpc::Client;

use crate::host::etcd::messages::{WatchCreateRequest, WatchRequest, WatchResponse};
use crate::host::etcd::protobuf::Message;

const CHECKOUT: &str = env!("CARGO_MANIFEST_DIR");
/// How long it may take to come up, on a machine that others use as well.
const PATIENCE: Duration = Duration::from_secs(60);

/// How it is started.
#[derive(Default)]
pub struct Setup {
    /// Three members in place of one.
    pub three: bool,
    /// Elections take a tenth of a second in place of one. The shortest lease is one second then in place of two.
    pub hasty: bool,
    /// TLS with certificates of clients.
    pub tls: bool,
}

/// All its members.
pub struct RealEtcd {
    setup: Setup,
    folder: PathBuf,
    members: Vec<Member>,
    certificates: Option<Certificates>,
}

struct Member {
    client: u16,
    peer: u16,
    running: Option<Running>,
}

/// A process and its watchdog, which ends it when the tests end without doing so.
struct Running {
    child: Child,
    watchdog: Child,
}

impl RealEtcd {
    /// An empty one that answers.
    pub fn start(setup: Setup) -> RealEtcd {
        let folder = new_folder();
        let certificates = setup.tls.then(|| Certificates::new(&folder.join("tls")));
        let count = if setup.three { 3 } else { 1 };
        let members =
            (0..count).map(|_| Member { client: free_port(), peer: free_port(), running: None }).collect();
        let mut etcd = RealEtcd { setup, folder, members, certificates };
        etcd.start_all();
        etcd
    }

    /// One member with hasty elections.
    pub fn hasty() -> RealEtcd {
        RealEtcd::start(Setup { hasty: true, ..Setup::default() })
    }

    /// Where clients connect to a member.
    pub fn address(&self, member: usize) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.members[member].client))
    }

    /// Where clients connect to its members.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        (0..self.members.len()).map(|member| self.address(member))
    }

    /// Where certificates lie, if it has some.
    pub fn certificates(&self) -> &Certificates {
        self.certificates.as_ref().expect("it was started with TLS")
    }

    // What happens to it.

    /// `kill -9`.
    pub fn kill(&mut self, member: usize) {
        self.members[member].running = None;
    }

    pub fn kill_all(&mut self) {
        (0..self.members.len()).for_each(|member| self.kill(member));
    }

    /// Starts a member with what it has on disk, and does not wait.
    pub fn begin(&mut self, member: usize) {
        let running = self.spawn(member);
        self.members[member].running = Some(running);
    }

    /// Starts all members that do not run, and waits until they answer.
    pub fn start_all(&mut self) {
        for member in 0..self.members.len() {
            if self.members[member].running.is_none() {
                self.begin(member);
            }
        }
        self.wait();
    }

    /// Kills them and loses their data. They are started again with the same flags.
    pub fn wipe(&mut self) {
        self.kill_all();
        for member in 0..self.members.len() {
            fs::remove_dir_all(self.data(member)).unwrap();
        }
        self.start_all();
    }

    /// A backup, under this name.
    pub fn snapshot(&self, name: &str) {
        let _ = fs::remove_file(self.folder.join(name));
        self.ctl(&["snapshot", "save", self.folder.join(name).to_str().unwrap()]);
    }

    /// Kills it and puts a backup in place of its data. (Of one member.)
    pub fn restore(&mut self, name: &str) {
        assert_eq!(self.members.len(), 1, "a backup is restored to one member here");
        self.kill_all();
        fs::remove_dir_all(self.data(0)).unwrap();
        let (cluster, peer, data) = (self.cluster(), self.peer(0), self.data(0));
        let mut restore = Command::new(program("etcdctl"));
        restore.env("ETCDCTL_API", "3").args(["snapshot", "restore"]).arg(self.folder.join(name));
        restore.args(["--name", "m0", "--initial-cluster", &cluster, "--initial-cluster-token", TOKEN]);
        restore.args(["--initial-advertise-peer-urls", &peer, "--data-dir", data.to_str().unwrap()]);
        let done = restore.output().expect("etcdctl starts");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        self.start_all();
    }

    // What is in it.

    /// Runs `etcdctl` as the administrator, with what it prints.
    pub fn ctl(&self, arguments: &[&str]) -> String {
        self.ctl_as("root", arguments).unwrap_or_else(|said| panic!("etcdctl {arguments:?}: {said}"))
    }

    /// Runs `etcdctl` with the certificate of a client; what it prints when it fails is the error.
    pub fn ctl_as(&self, client: &str, arguments: &[&str]) -> Result<String, String> {
        let member = self.members.iter().position(|member| member.running.is_some()).unwrap_or_default();
        let mut ctl = Command::new(program("etcdctl"));
        ctl.env("ETCDCTL_API", "3").arg(format!("--endpoints={}", self.client_url(member)));
        if let Some(certificates) = &self.certificates {
            ctl.args(certificates.of_client(client));
        }
        let done = ctl.args(arguments).output().expect("etcdctl starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if done.status.success() { Ok(text(&done.stdout)) } else { Err(text(&done.stderr)) }
    }

    /// Names users, with the script that `envoy/fleet/` has for it: members may read and write below the prefix, readers
    /// may read its log.
    pub fn enable_roles(&self, prefix: &str, members: &[&str], readers: &[&str]) {
        let flags = [format!("--endpoints={}", self.client_url(0))];
        let flags =
            flags.into_iter().chain(self.certificates().of_client("root")).collect::<Vec<_>>().join(" ");
        let mut script = Command::new("sh");
        script.env("ETCDCTL", format!("{} {flags}", program("etcdctl").display()));
        script.arg(Path::new(CHECKOUT).join("envoy/fleet/roles.sh")).arg(prefix);
        let done = script.args(members).arg("--").args(readers).output().expect("sh starts");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    pub fn put(&self, key: &str, value: &str) {
        self.ctl(&["put", key, value]);
    }

    /// Empty when there is none.
    pub fn get(&self, key: &str) -> String {
        self.ctl(&["get", key, "--print-value-only"])
    }

    /// What a key has held since a revision, with revisions. (Without TLS.)
    pub fn history(&self, key: &str, since: i64) -> Vec<(i64, String)> {
        let mut client = Client::connect(self.address(0)).expect("etcd answers");
        let mut stream = client.open("/etcdserverpb.Watch/Watch", &[]);
        let create =
            WatchCreateRequest { key: key.into(), start_revision: since, ..WatchCreateRequest::default() };
        client.send(&mut stream, &WatchRequest { create: Some(create), ..WatchRequest::default() }.encode());
        let mut held = Vec::new();
        // A watch of the past is told of it within a tenth of a second.
        while let Some(told) = client.next(&stream, Duration::from_millis(500)) {
            let events = told.read::<WatchResponse>().events.into_iter().filter(|event| event.kind == 0);
            held.extend(
                events
                    .filter_map(|event| event.kv)
                    .map(|kv| (kv.mod_revision, String::from_utf8_lossy(&kv.value).into_owned())),
            );
        }
        held
    }

    pub fn compact(&self, revision: i64) {
        self.ctl(&["compact", &revision.to_string()]);
    }

    /// The newest revision.
    pub fn revision(&self) -> i64 {
        let said = self.ctl(&["get", "none", "--write-out=json"]);
        let said: serde_json::Value = serde_json::from_str(&said).expect("etcdctl prints JSON");
        said["header"]["revision"].as_i64().expect("a revision")
    }

    /// How many watches a member serves.
    pub fn watchers(&self, member: usize) -> u64 {
        self.metric(member, "etcd_debugging_mvcc_watcher_total")
    }

    /// The member that leads; none while there is no leader. (Without TLS.)
    pub fn leader(&self) -> Option<usize> {
        let running = |member: &usize| self.members[*member].running.is_some();
        let leads = |member: &usize| self.metric(*member, "etcd_server_is_leader") == 1;
        (0..self.members.len()).filter(running).find(leads)
    }

    fn metric(&self, member: usize, name: &str) -> u64 {
        let found = http_get(self.address(member), "/metrics").lines().find_map(|line| {
            let (found, value) = line.split_once(' ')?;
            (found == name).then(|| value.parse::<f64>().ok())?
        });
        found.unwrap_or_default() as u64
    }

    // Its processes.

    fn wait(&self) {
        let end = Instant::now() + PATIENCE;
        for member in 0..self.members.len() {
            while !self.answers(member) {
                assert!(
                    Instant::now() < end,
                    "etcd does not answer within {PATIENCE:?}:\n{}",
                    self.log(member)
                );
                thread::sleep(Duration::from_millis(20));
            }
        }
    }

    fn answers(&self, member: usize) -> bool {
        if self.certificates.is_some() {
            return self.ctl_as("root", &["endpoint", "health"]).is_ok();
        }
        let range = b"\x0a\x01k";
        Client::connect(self.address(member)).is_some_and(|mut client| {
            client.call("/etcdserverpb.KV/Range", range, Duration::from_secs(2)).is_ok()
        })
    }

    fn log(&self, member: usize) -> String {
        fs::read_to_string(self.folder.join(format!("m{member}.log"))).unwrap_or_default()
    }

    fn spawn(&self, member: usize) -> Running {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.folder.join(format!("m{member}.log")))
            .unwrap();
        let (client, peer) = (self.client_url(member), self.peer(member));
        let mut etcd = Command::new(program("etcd"));
        etcd.args(["--name", &format!("m{member}"), "--data-dir"]).arg(self.data(member));
        etcd.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        etcd.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        etcd.args(["--initial-cluster", &self.cluster(), "--initial-cluster-token", TOKEN]);
        etcd.args(["--initial-cluster-state", "new", "--logger", "zap", "--log-level", "error"]);
        if self.setup.hasty {
            etcd.args(["--heartbeat-interval", "10", "--election-timeout", "100"]);
        }
        if let Some(certificates) = &self.certificates {
            etcd.args(certificates.of_server());
        }
        // Variables of the same meaning would overrule nothing, and be complained about.
        let foreign = std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("ETCD_"));
        foreign.for_each(|(name, _)| _ = etcd.env_remove(name));
        etcd.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let child = etcd.spawn().unwrap_or_else(|error| panic!("etcd does not start: {error}"));
        let watchdog = watch(child.id(), &self.folder);
        Running { child, watchdog }
    }

    fn data(&self, member: usize) -> PathBuf {
        self.folder.join(format!("m{member}"))
    }

    fn client_url(&self, member: usize) -> String {
        let scheme = if self.setup.tls { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.members[member].client)
    }

    fn peer(&self, member: usize) -> String {
        format!("http://127.0.0.1:{}", self.members[member].peer)
    }

    fn cluster(&self) -> String {
        let member = |member| format!("m{member}={}", self.peer(member));
        (0..self.members.len()).map(member).collect::<Vec<_>>().join(",")
    }
}

const TOKEN: &str = "larder-test";

impl Drop for Running {
    fn drop(&mut self) {
        // First the watchdog, which would take the data as well.
        let _ = self.watchdog.kill().and_then(|()| self.watchdog.wait());
        let _ = self.child.kill().and_then(|()| self.child.wait());
    }
}

impl Drop for RealEtcd {
    fn drop(&mut self) {
        self.kill_all();
        if thread::panicking() {
            eprintln!("etcd's folder: {}\n{}", self.folder.display(), self.log(0));
        } else {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// What `tools/get.py` finds.
fn program(name: &'static str) -> PathBuf {
    static FOUND: Mutex<Option<HashMap<&str, PathBuf>>> = Mutex::new(None);
    let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    let find = || {
        let mut find = Command::new("python3");
        let got = find.arg("tools/get.py").arg(name).current_dir(CHECKOUT).stderr(Stdio::inherit()).output();
        let got = got.expect("python3 starts");
        assert!(got.status.success(), "no {name} to test with");
        String::from_utf8_lossy(&got.stdout).trim().into()
    };
    found.get_or_insert_with(HashMap::new).entry(name).or_insert_with(find).clone()
}

/// A port that nobody uses now.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn http_get(from: SocketAddr, target: &str) -> String {
    use std::io::{Read, Write};
    let Ok(mut stream) = std::net::TcpStream::connect(from) else { return String::new() };
    let _ = stream.set_read_timeout(Some(PATIENCE));
    let request = format!("GET {target} HTTP/1.1\r\nhost: etcd\r\nconnection: close\r\n\r\n");
    let mut text = Vec::new();
    let _ = stream.write_all(request.as_bytes()).and_then(|()| stream.read_to_end(&mut text));
    String::from_utf8_lossy(&text).into_owned()
}

fn new_folder() -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("etcd-{}-{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}
