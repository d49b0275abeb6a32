//! Envoy's own filters beside Larder, in the order and with the words of the README's table: one Envoy, with a listener for
//! each place that a filter can have.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::process::replace;
use super::real_envoy::RealEnvoy;
use crate::scenarios::telling::{TOKEN, with_admin};
use crate::stand::{Exchange, OriginRequest, Reply, Request, Response, Stand};
use places::{Place, places};
use tokens::TOKENS;

/// Who asks, and whether he may.
mod authentication;
/// The listeners.
mod places;
/// What filters do on the way to the origin, and how often they let somebody through.
mod requests;
/// What filters make of responses.
mod responses;
/// Whom `jwt_authn` knows.
mod tokens;

/// The people who ask.
const PEOPLE: [&str; 2] = ["alice", "bob"];
/// The keys and passwords by which others than `jwt_authn` know them.
const KEYS: [&str; 2] = ["key-of-alice", "key-of-bob"];
const BASIC: [&str; 2] = ["Basic YWxpY2U6YXBwbGU=", "Basic Ym9iOmJhbmFuYQ=="];

type Fields<'a> = &'a [(&'a str, &'a str)];

/// The Envoy, and the place that clients come to.
struct Filters {
    envoy: RealEnvoy,
    place: &'static str,
}

/// The one Envoy of these tests, for one of them at a time.
fn lent() -> MutexGuard<'static, Filters> {
    static FILTERS: LazyLock<Mutex<Filters>> = LazyLock::new(|| {
        let envoy = RealEnvoy::start_as_written("envoy.yaml", |yaml| with_places(yaml, &places()));
        envoy.answer_by(answer);
        Mutex::new(Filters { envoy, place: "larder" })
    });
    FILTERS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Filters {
    /// From now on clients come to this place.
    fn at(&mut self, place: &'static str) -> &mut Self {
        self.envoy.face(place);
        self.place = place;
        self
    }

    /// A page of this place. The query says what the origin makes of it ([`answer`]).
    fn page(&self, method: &str, page: &str, fields: Fields<'_>) -> Request {
        let request = Request::new(method, &format!("/{}/{page}", self.place));
        fields.iter().fold(request, |request, (name, value)| request.field(name, value))
    }

    fn get(&mut self, worker: usize, page: &str, fields: Fields<'_>) -> Response {
        let request = self.page("GET", page, fields);
        self.envoy.send(worker, request)
    }

    fn start(&mut self, worker: usize, page: &str, fields: Fields<'_>) -> Exchange {
        let request = self.page("GET", page, fields);
        self.envoy.start(worker, request)
    }

    /// How often the origin was asked for this page, with any query.
    fn asked(&mut self, page: &str) -> usize {
        let path = format!("/{}/{page}", self.place);
        self.envoy.origin_count(&path)
    }

    /// Sends a purge of all that is stored, with the token in `Fastly-Key` and these fields beside it.
    fn purge_all(&mut self, mode: &str, fields: Fields<'_>) -> Response {
        let request = Request::new("POST", &format!("/_larder/purge?all=true&mode={mode}"));
        let request = request.field("fastly-key", TOKEN);
        self.envoy.send(1, fields.iter().fold(request, |request, (name, value)| request.field(name, value)))
    }

    /// Waits until this holds.
    #[track_caller]
    fn until(&mut self, what: &str, mut holds: impl FnMut(&mut Self) -> bool) {
        let deadline = Instant::now() + self.envoy.patience();
        while !holds(self) {
            assert!(Instant::now() < deadline, "{}: {what}", self.place);
            self.envoy.pass(Duration::from_millis(20));
        }
    }
}

/// What the origin answers, which is also the server that `ext_authz` asks. Of a page the query says: `cc`, its
/// `Cache-Control`; `age`; `etag` and `last-modified`, if it has one; `vary`; `need`, the fields without which it is
/// refused; `slow`; and `long`, a text worth to be compressed. The body says for whom it is, by the fields that came.
fn answer(request: &OriginRequest) -> Reply {
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    if path.starts_with(AUTHORIZER) {
        return authorize(request);
    }
    let said = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    let needed = said("need").into_iter().flat_map(|names| names.split(','));
    if needed.into_iter().any(|name| request.field(name).is_empty()) {
        return Reply::status(403).body("refused");
    }
    let mut reply = Reply::ok(format!("for {}", who(request)));
    if said("long").is_some() {
        reply = reply.body(LONG.repeat(40)).field("content-type", "text/html");
    }
    for (name, field, value) in [
        ("cc", "cache-control", said("cc")),
        ("age", "age", said("age")),
        ("vary", "vary", said("vary")),
        ("etag", "etag", Some("\"strong\"")),
        ("last-modified", "last-modified", Some("Mon, 01 Jan 2001 00:00:00 GMT")),
    ] {
        if let (Some(_), Some(value)) = (said(name), value) {
            reply = reply.field(field, value);
        }
    }
    if said("slow").is_some() { reply.delay(Duration::from_millis(400)) } else { reply }
}

/// Where the authorization server is.
const AUTHORIZER: &str = "/may-i-see";
const LONG: &str = "<p>A page that is longer than most.</p>\n";

/// The authorization server knows people by their session, and tells who they are in two fields.
fn authorize(request: &OriginRequest) -> Reply {
    match PEOPLE.iter().find(|who| request.field("cookie") == format!("session={who}")) {
        Some(who) => Reply::ok("").field("x-user", who).field("x-acme", who),
        None => Reply::status(403).body("no session"),
    }
}

/// Whom the fields of a request are of, whatever they are called. (A cookie is not looked at: it is for the authorization
/// server.)
fn who(request: &OriginRequest) -> &'static str {
    let values: Vec<_> = request.fields.iter().filter(|(name, _)| name != "cookie").collect();
    let is = |n: usize| {
        let claims = TOKENS.of(PEOPLE[n]);
        let marks = [PEOPLE[n], BASIC[n], claims.split('.').nth(1).unwrap()];
        values.iter().any(|(_, value)| {
            let value = String::from_utf8_lossy(value);
            marks.iter().any(|mark| value.contains(mark))
        })
    };
    (0..2).find(|n| is(*n)).map_or("anybody", |n| PEOPLE[n])
}

/// Gives `envoy.yaml` the listeners, each like the one that it has but for the filters. All have one route table.
fn with_places(yaml: &mut String, places: &[Place]) {
    replace(
        yaml,
        "              domains: [\"*\"]\n",
        &format!("              domains: [\"*\"]\n{}", places::POLICIES),
    );
    let listener = between(yaml, "  - name: larder\n    address:", "          route_config: &routes\n");
    let route_loop = between(yaml, "  - name: route_loop\n    internal_listener", "  clusters:\n");
    let cluster = between(yaml, "  - name: route_loop\n    load_assignment", "  - name: origin\n    type:");
    let mut listeners = "  listeners:\n".to_owned();
    let mut clusters = "  clusters:\n".to_owned();
    let mut more = String::new();
    for place in places {
        more += &place.listener(&format!("{listener}          route_config: *routes\n\n"));
        if place.looped {
            more += &place.with_loop(&route_loop);
            clusters += &cluster.replace("route_loop", &place.route_loop());
        }
    }
    replace(yaml, "  clusters:\n", &(more + &clusters));
    // The bootstrap's part that the credential injector takes its secret from.
    listeners.insert_str(0, places::SECRETS);
    replace(yaml, "  listeners:\n", &listeners);
}

fn between(yaml: &str, from: &str, to: &str) -> String {
    let start = yaml.find(from).unwrap_or_else(|| panic!("envoy.yaml has {from:?}"));
    let end = start + yaml[start..].find(to).unwrap_or_else(|| panic!("envoy.yaml has {to:?}"));
    yaml[start..end].to_owned()
}

/// The body as the client reads it.
fn read(response: &Response) -> String {
    if response.field("content-encoding") != "gzip" {
        return response.text();
    }
    let mut command = Command::new("gzip");
    let mut child =
        command.arg("-dc").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("gzip starts");
    child.stdin.take().unwrap().write_all(&response.body).unwrap();
    let done = child.wait_with_output().unwrap();
    assert!(done.status.success(), "a body that is no gzip");
    String::from_utf8(done.stdout).unwrap()
}
