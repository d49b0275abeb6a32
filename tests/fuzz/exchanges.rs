//! The whole filter on the emulated host, with any requests and any replies. Written in lines, each beginning with
//! what it is:
//!
//! ```text
//! >0 GET /a          a request to worker 0
//! <200 hello         the origin's next reply
//! cache-control: …   a field of the request or reply above
//! =text              a body of the request or reply above
//! .500               milliseconds pass
//! !                  the client of the last request leaves
//! {…}                a configuration
//! ```

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use super::messages::fields;
use crate::host::World;
use crate::host::ingress::normal_path;
use crate::host::stream::ClientState;
use crate::stand::{Exchange, OriginRequest, Reply, Request};

/// Lines that are looked at.
const LINES_MAX: usize = 64;
const ADMIN: &str = r#"{"admin":{"methods":true,"tokens":[{"name":"ops",
    "sha256":"2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"}]}}"#;

/// What is being written.
enum Draft {
    Nothing,
    Request(usize, Request),
    Reply(Reply),
}

/// The replies to come, and for which path, under which number, which was sent.
#[derive(Default)]
struct Origin {
    replies: Vec<Reply>,
    sent: Vec<(String, Reply)>,
}

struct Play {
    world: World,
    origin: Rc<RefCell<Origin>>,
    draft: Draft,
    asked: Vec<(Exchange, Request)>,
}

pub fn play(bytes: &[u8]) {
    let mut world = World::new(1, 2);
    world.silence();
    world.settings(|s| s.idle_timeout = Some(Duration::from_secs(20)));
    world.configure_all(ADMIN).expect("it is right");
    let origin = Rc::new(RefCell::new(Origin::default()));
    let author = Rc::clone(&origin);
    world.look(|h| h.origin.author = Some(Box::new(move |_, request| author.borrow_mut().answer(request))));
    let mut play = Play { world, origin, draft: Draft::Nothing, asked: Vec::new() };
    bytes.split(|b| *b == b'\n').take(LINES_MAX).for_each(|line| play.line(line));
    play.send();
    play.await_answers();
    play.judge();
}

impl Origin {
    fn answer(&mut self, request: &OriginRequest) -> Reply {
        let mut reply = match self.replies.len() {
            0 => Reply::ok("").field("cache-control", "max-age=60"),
            1 => self.replies[0].clone(),
            _ => self.replies.remove(0),
        };
        reply.body.extend_from_slice(format!("#{}", self.sent.len()).as_bytes());
        self.sent.push((request.target.clone(), reply.clone()));
        reply
    }
}

impl Play {
    fn line(&mut self, line: &[u8]) {
        match line.split_first() {
            Some((b'>', rest)) => {
                self.send();
                self.draft =
                    request(rest).map_or(Draft::Nothing, |(worker, one)| Draft::Request(worker, one));
            }
            Some((b'<', rest)) => {
                self.send();
                self.draft = reply(rest).map_or(Draft::Nothing, Draft::Reply);
            }
            Some((b'=', rest)) => match &mut self.draft {
                Draft::Request(_, request) => request.body = rest.to_vec(),
                Draft::Reply(reply) => reply.body = rest.to_vec(),
                Draft::Nothing => {}
            },
            Some((b'.', rest)) => {
                self.send();
                self.world.pass(Duration::from_millis(number(rest).unwrap_or(10).min(5_000)));
            }
            Some((b'!', _)) => {
                self.send();
                if let Some((exchange, _)) = self.asked.last()
                    && self.world.client(*exchange) == ClientState::Open
                {
                    self.world.leave(*exchange);
                }
            }
            Some((b'{', _)) => {
                self.send();
                let _ = self.world.configure(&String::from_utf8_lossy(line));
            }
            _ => self.field(line),
        }
    }

    fn field(&mut self, line: &[u8]) {
        for field in fields([line].into_iter()) {
            match &mut self.draft {
                Draft::Request(_, request) => request.fields.push(field),
                Draft::Reply(reply) => reply.fields.push(field),
                Draft::Nothing => {}
            }
        }
    }

    /// What was being written is complete.
    fn send(&mut self) {
        match std::mem::replace(&mut self.draft, Draft::Nothing) {
            Draft::Nothing => {}
            Draft::Request(worker, request) => {
                let exchange = self.world.start(worker, request.clone());
                self.asked.push((exchange, request));
            }
            Draft::Reply(reply) => self.origin.borrow_mut().replies.push(reply),
        }
    }

    /// Time passes until all clients have their answers, up to where they must have them.
    fn await_answers(&mut self) {
        let asked = &self.asked;
        let is_over = |world: &World| asked.iter().all(|(one, _)| world.client(*one) != ClientState::Open);
        self.world.drive(Duration::from_secs(60), is_over);
    }

    fn judge(&self) {
        let origin = self.origin.borrow();
        self.world.look(|h| assert!(h.vms.iter().all(|vm| vm.alive || vm.canary), "a VM has trapped"));
        for (exchange, request) in &self.asked {
            assert_ne!(self.world.client(*exchange), ClientState::Open, "nobody answers {request:?}");
            let seen = self.world.seen(*exchange);
            if !seen.is_hit() || seen.status != 200 || !seen.complete || request.method == "HEAD" {
                continue;
            }
            let number = seen.body.rsplit(|b| *b == b'#').next().and_then(number);
            let sent = number.and_then(|number| origin.sent.get(usize::try_from(number).ok()?));
            let (target, reply) = sent.expect("a hit that the origin never sent");
            assert_eq!(path(target), normal_path(path(&request.target)), "another resource");
            let only = |what: &[u8]| {
                let mut all = reply.fields.iter().filter(|(name, _)| name.ends_with("cache-control"));
                all.clone().count() == 1 && all.any(|(name, value)| name == "cache-control" && value == what)
            };
            assert!(!only(b"no-store") && !only(b"private") && !only(b"no-cache"), "a hit of {reply:?}");
        }
    }
}

/// The path of a target.
fn path(target: &str) -> &str {
    target.split(['?', '#']).next().unwrap_or_default()
}

fn request(line: &[u8]) -> Option<(usize, Request)> {
    let mut words = str::from_utf8(line).ok()?.split(' ').filter(|word| !word.is_empty());
    let worker = usize::from(words.next()? == "1");
    let (method, target) = (words.next()?, words.next().unwrap_or("/"));
    let is_method = method.bytes().all(|b| b.is_ascii_uppercase()) && method != "CONNECT";
    let is_target = target.starts_with('/') && target.bytes().all(|b| b.is_ascii_graphic());
    (is_method && is_target).then(|| (worker, Request::new(method, target)))
}

fn reply(line: &[u8]) -> Option<Reply> {
    let mut words = line.splitn(2, |b| *b == b' ');
    let status = number(words.next()?).filter(|status| (200..600).contains(status))?;
    Some(Reply::status(u16::try_from(status).ok()?).body(words.next().unwrap_or_default()))
}

fn number(digits: &[u8]) -> Option<u64> {
    str::from_utf8(digits).ok()?.trim().parse().ok()
}
