//! An origin on loopback that answers as the scenario says and remembers what it was asked.
//!
//! A response that ends early ends with an orderly close: a reset could overtake the bytes that were sent before it.

use std::collections::{HashMap, VecDeque};
use std::io::{self, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};

use super::wire::{Content, Head, chunked, head};
use crate::stand::{Ending, OriginRequest, Reply};

/// Answers every request; it may take its time.
pub type Author = Arc<dyn Fn(&OriginRequest) -> Reply + Send + Sync>;

pub struct Origin {
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
    /// While it listens.
    accepting: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Script {
    replies: HashMap<String, VecDeque<Reply>>,
    author: Option<Author>,
    log: Vec<OriginRequest>,
    /// Requests under way, and the most that ever were at the same time.
    active: usize,
    most_active: usize,
    gone: bool,
    /// What was accepted since it listens.
    connections: Vec<TcpStream>,
}

impl Origin {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port on loopback");
        let address = listener.local_addr().unwrap();
        let mut origin = Origin { address, script: Arc::default(), accepting: None };
        origin.accept_from(listener);
        origin
    }

    /// Listens again at the same address, or stops and ends all connections.
    pub fn listen(&mut self, listens: bool) {
        match self.accepting.take() {
            Some(accepting) if listens => self.accepting = Some(accepting),
            Some(accepting) => {
                lock(&self.script).gone = true;
                let _ = TcpStream::connect(self.address); // Wakes the accepting thread, which then leaves.
                accepting.join().expect("the origin's thread");
                for connection in lock(&self.script).connections.drain(..) {
                    let _ = connection.shutdown(Shutdown::Both);
                }
            }
            None if listens => {
                lock(&self.script).gone = false;
                self.accept_from(TcpListener::bind(self.address).expect("the origin's port is still free"));
            }
            None => {}
        }
    }

    fn accept_from(&mut self, listener: TcpListener) {
        let script = Arc::clone(&self.script);
        self.accepting = Some(thread::spawn(move || accept(&listener, &script)));
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    pub fn script(&self, path: &str, replies: Vec<Reply>) {
        lock(&self.script).replies.insert(path.into(), replies.into());
    }

    /// From now on every request is answered like this.
    pub fn answer_by(&self, author: impl Fn(&OriginRequest) -> Reply + Send + Sync + 'static) {
        lock(&self.script).author = Some(Arc::new(author));
    }

    /// The most requests that were under way at the same time since this was last asked.
    pub fn most_active(&self) -> usize {
        let mut script = lock(&self.script);
        let active = script.active;
        std::mem::replace(&mut script.most_active, active)
    }

    /// Starts over: no replies, no requests seen.
    pub fn forget(&self) {
        let mut script = lock(&self.script);
        script.replies.clear();
        script.log.clear();
    }

    /// Requests for these paths were never seen.
    pub fn forget_requests(&self, prefix: &str) {
        lock(&self.script).log.retain(|request| !request.target.starts_with(prefix));
    }

    pub fn log(&self) -> Vec<OriginRequest> {
        lock(&self.script).log.clone()
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.listen(false);
    }
}

fn accept(listener: &TcpListener, script: &Arc<Mutex<Script>>) {
    for stream in listener.incoming() {
        if lock(script).gone {
            return;
        }
        let (Ok(stream), script) = (stream, Arc::clone(script)) else { continue };
        lock(&script).connections.extend(stream.try_clone());
        thread::spawn(move || serve(&stream, &script));
    }
}

/// Answers the requests of one connection, one after the other, until either side ends it.
fn serve(stream: &TcpStream, script: &Mutex<Script>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut from = BufReader::new(stream.try_clone()?);
    while let Some(head) = Head::read(&mut from)? {
        if head.has("expect", "100-continue") {
            (&*stream).write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let content = Content::read(&mut from, head.request_framing());
        let request = request(&head, content.bytes);
        let author = lock(script).note(&request);
        let reply = author.map_or_else(|| lock(script).take(&request), |author| author(&request));
        thread::sleep(reply.delay);
        lock(script).active -= 1;
        if !answer(stream, &request.method, &reply)? {
            return stream.shutdown(Shutdown::Both);
        }
    }
    Ok(())
}

/// Sends the reply; whether the connection can take another request.
fn answer(mut to: &TcpStream, method: &str, reply: &Reply) -> io::Result<bool> {
    let body_allowed = method != "HEAD" && !matches!(reply.status, 204 | 304);
    let mut fields = reply.fields.clone();
    let own_length = fields.iter().any(|(name, _)| name == "content-length");
    let mut message = Vec::new();
    for (status, fields) in &reply.interim {
        to.write_all(&head(&format!("HTTP/1.1 {status} Interim"), fields))?;
    }
    match &reply.ending {
        Ending::NoResponse => return Ok(false),
        Ending::Whole if reply.status == 101 => {
            to.write_all(&[start(reply, &fields), reply.body.clone()].concat())?;
            return Ok(false);
        }
        Ending::Trailers(trailers) => {
            fields.push(("transfer-encoding".into(), b"chunked".to_vec()));
            message = start(reply, &fields);
            if body_allowed {
                chunked(&mut message, &reply.body, trailers);
            }
        }
        Ending::Whole | Ending::StallsAfter(..) | Ending::ResetAfter(_) => {
            if !own_length && !matches!(reply.status, 204 | 304) {
                fields.push(("content-length".into(), reply.body.len().to_string().into_bytes()));
            }
            message.extend(start(reply, &fields));
            let sent = match reply.ending {
                Ending::ResetAfter(bytes) => bytes.min(reply.body.len()),
                _ => reply.body.len(),
            };
            if body_allowed {
                message.extend_from_slice(&reply.body[..sent]);
            }
            if let (true, Ending::StallsAfter(bytes, time)) = (body_allowed, &reply.ending) {
                let rest = message.split_off(message.len() - sent + bytes.min(&sent));
                to.write_all(&message)?;
                thread::sleep(*time);
                message = rest;
            }
        }
    }
    to.write_all(&message)?;
    // With a length of the scenario's own, nobody knows where the next response would begin.
    Ok(!own_length && !matches!(reply.ending, Ending::ResetAfter(_)))
}

fn request(head: &Head, body: Vec<u8>) -> OriginRequest {
    let (method, target) = (head.word(0).to_string(), head.word(1).to_string());
    OriginRequest { method, target, fields: head.fields.clone(), body }
}

fn start(reply: &Reply, fields: &[(String, Vec<u8>)]) -> Vec<u8> {
    head(&format!("HTTP/1.1 {} Scripted", reply.status), fields)
}

impl Script {
    /// Writes the request down; who answers it, if not the list of replies.
    fn note(&mut self, request: &OriginRequest) -> Option<Author> {
        self.log.push(request.clone());
        self.active += 1;
        self.most_active = self.most_active.max(self.active);
        self.author.clone()
    }

    fn take(&mut self, request: &OriginRequest) -> Reply {
        let path = request.target.split('?').next().unwrap_or_default();
        match self.replies.get_mut(path) {
            Some(replies) if replies.len() > 1 => replies.pop_front().unwrap(),
            Some(replies) if replies.len() == 1 => replies[0].clone(),
            _ => Reply::status(404),
        }
    }
}

fn lock(script: &Mutex<Script>) -> MutexGuard<'_, Script> {
    script.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
