//! An origin on loopback that answers as the scenario says and remembers what it was asked.
//!
//! A response that ends early ends with an orderly close: a reset could overtake the bytes that were sent before it.

use std::collections::{HashMap, VecDeque};
use std::io::{self, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use super::wire::{Content, Head, field, head};
use crate::stand::{Ending, OriginRequest, Reply};

pub struct Origin {
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
}

#[derive(Default)]
struct Script {
    replies: HashMap<String, VecDeque<Reply>>,
    log: Vec<OriginRequest>,
    gone: bool,
}

impl Origin {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port on loopback");
        let origin = Origin { address: listener.local_addr().unwrap(), script: Arc::default() };
        let script = Arc::clone(&origin.script);
        thread::spawn(move || accept(&listener, &script));
        origin
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    pub fn script(&self, path: &str, replies: Vec<Reply>) {
        lock(&self.script).replies.insert(path.into(), replies.into());
    }

    /// Starts over: no replies, no requests seen.
    pub fn forget(&self) {
        *lock(&self.script) = Script::default();
    }

    pub fn log(&self) -> Vec<OriginRequest> {
        lock(&self.script).log.clone()
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        lock(&self.script).gone = true;
        let _ = TcpStream::connect(self.address); // Wakes the accepting thread, which then leaves.
    }
}

fn accept(listener: &TcpListener, script: &Arc<Mutex<Script>>) {
    for stream in listener.incoming() {
        if lock(script).gone {
            return;
        }
        let (Ok(stream), script) = (stream, Arc::clone(script)) else { continue };
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
        let reply = lock(script).take(&head, content.bytes);
        thread::sleep(reply.delay);
        if !answer(stream, head.word(0), &reply)? {
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
        Ending::Whole | Ending::ResetAfter(_) => {
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
        }
    }
    to.write_all(&message)?;
    // With a length of the scenario's own, nobody knows where the next response would begin.
    Ok(!own_length && !matches!(reply.ending, Ending::ResetAfter(_)))
}

fn start(reply: &Reply, fields: &[(String, Vec<u8>)]) -> Vec<u8> {
    head(&format!("HTTP/1.1 {} Scripted", reply.status), fields)
}

fn chunked(message: &mut Vec<u8>, body: &[u8], trailers: &[(String, Vec<u8>)]) {
    if !body.is_empty() {
        message.extend(format!("{:x}\r\n", body.len()).into_bytes());
        message.extend_from_slice(body);
        message.extend_from_slice(b"\r\n");
    }
    message.extend_from_slice(b"0\r\n");
    for (name, value) in trailers {
        field(message, name, value);
    }
    message.extend_from_slice(b"\r\n");
}

impl Script {
    /// Writes the request down and says what to do with it.
    fn take(&mut self, head: &Head, body: Vec<u8>) -> Reply {
        let (method, target) = (head.word(0).to_string(), head.word(1).to_string());
        let path = target.split('?').next().unwrap_or_default().to_string();
        self.log.push(OriginRequest { method, target, fields: head.fields.clone(), body });
        match self.replies.get_mut(&path) {
            Some(replies) if replies.len() > 1 => replies.pop_front().unwrap(),
            Some(replies) if replies.len() == 1 => replies[0].clone(),
            _ => Reply::status(404),
        }
    }
}

fn lock(script: &Mutex<Script>) -> MutexGuard<'_, Script> {
    script.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
