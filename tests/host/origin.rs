//! The scripted origin: which reply a path gets, and the parts in which it comes.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use super::{events::Random, hcm, headers::HeaderMap, state::Settings};
use crate::stand::{Ending, Interim, OriginRequest, Reply};

/// Answers a request that reaches the origin at this time.
pub type Author = Box<dyn FnMut(u64, &OriginRequest) -> Reply>;

/// Replies by path, and what was asked.
#[derive(Default)]
pub struct Origin {
    replies: BTreeMap<String, VecDeque<Reply>>,
    /// Writes all replies, where there is one; it keeps its own log.
    pub author: Option<Author>,
    pub log: Vec<OriginRequest>,
}

/// What of a response reaches Envoy next.
#[derive(Debug)]
pub enum OriginStep {
    Interim(Interim),
    Headers {
        headers: HeaderMap,
        end: bool,
    },
    Data {
        bytes: Vec<u8>,
        end: bool,
    },
    Trailers(HeaderMap),
    /// The connection breaks.
    Reset,
}

/// The steps of a response, each with the time that passes before it.
pub type Plan = VecDeque<(Duration, OriginStep)>;

impl Origin {
    pub fn script(&mut self, path: &str, replies: Vec<Reply>) {
        self.replies.insert(path.to_owned(), replies.into());
    }

    /// Takes a request and says how it is answered.
    pub fn answer(
        &mut self,
        request: OriginRequest,
        now: u64,
        settings: &Settings,
        random: Option<&mut Random>,
    ) -> Plan {
        if let Some(author) = &mut self.author {
            let reply = author(now, &request);
            return plan(&heed_content_length(reply), request.method == "HEAD", settings, random);
        }
        let path = request.target.split('?').next().unwrap_or_default();
        let reply = match self.replies.get_mut(path) {
            Some(replies) if replies.len() > 1 => replies.pop_front(),
            Some(replies) => replies.front().cloned(),
            None => None,
        };
        let head = request.method == "HEAD";
        self.log.push(request);
        let reply = reply.unwrap_or_else(|| Reply::status(404));
        plan(&heed_content_length(reply), head, settings, random)
    }
}

/// A `Content-Length` of the script's own that is wrong: the rest is cut off, or missed until the connection breaks.
fn heed_content_length(mut reply: Reply) -> Reply {
    let declared = reply.fields.iter().find(|(n, _)| n == "content-length");
    let declared = declared.and_then(|(_, v)| String::from_utf8_lossy(v).trim().parse::<usize>().ok());
    if let (Some(declared), Ending::Whole) = (declared, &reply.ending) {
        if declared > reply.body.len() {
            reply.ending = Ending::ResetAfter(reply.body.len());
        }
        reply.body.truncate(declared);
    }
    reply
}

fn plan(reply: &Reply, head: bool, settings: &Settings, random: Option<&mut Random>) -> Plan {
    let first = reply.delay + settings.network;
    if reply.ending == Ending::NoResponse {
        return [(first, OriginStep::Reset)].into();
    }
    let bodiless = head || matches!(reply.status, 100 | 102..200 | 204 | 304);
    let mut fields = reply.fields.clone();
    frame(&mut fields, reply, head);
    let headers = hcm::response_in(reply.status, &fields, reply.delay.as_millis() as u64);
    let chunked = matches!(reply.ending, Ending::Trailers(_));
    let empty = reply.body.is_empty() && !chunked;
    let end = bodiless || (empty && !matches!(reply.ending, Ending::ResetAfter(_)));
    let mut plan: Plan =
        reply.interim.iter().map(|interim| (Duration::ZERO, OriginStep::Interim(interim.clone()))).collect();
    plan.push_back((first, OriginStep::Headers { headers, end }));
    if !end {
        body(&mut plan, reply, settings, random);
    }
    plan
}

/// The framing fields that an HTTP/1.1 server sends.
fn frame(fields: &mut Vec<(String, Vec<u8>)>, reply: &Reply, head: bool) {
    let set = |name: &str| reply.fields.iter().any(|(n, _)| n == name);
    if set("content-length") || set("transfer-encoding") {
        return;
    }
    match reply.ending {
        Ending::Trailers(_) => fields.push(("transfer-encoding".into(), b"chunked".to_vec())),
        _ if matches!(reply.status, 100..200 | 204) => {}
        _ if reply.body.is_empty() && (head || reply.status == 304) => {}
        _ => fields.push(("content-length".into(), reply.body.len().to_string().into_bytes())),
    }
}

fn body(plan: &mut Plan, reply: &Reply, settings: &Settings, mut random: Option<&mut Random>) {
    let sent = match reply.ending {
        Ending::ResetAfter(bytes) => &reply.body[..bytes.min(reply.body.len())],
        _ => &reply.body[..],
    };
    let ends = matches!(reply.ending, Ending::Whole | Ending::StallsAfter(..));
    let mut stall = match reply.ending {
        Ending::StallsAfter(bytes, time) => Some((bytes, time)),
        _ => None,
    };
    let separate = random.as_mut().map_or(settings.separate_end, |r| r.chance(0.5));
    let mut rest = sent;
    while !rest.is_empty() {
        let most = settings.chunk_bytes.max(1);
        let len = random.as_mut().map_or(most, |r| 1 + r.below(most as u64) as usize).min(rest.len());
        let came = sent.len() - rest.len();
        let (len, wait) = match stall {
            Some((after, time)) if came >= after => {
                stall = None;
                (len, time)
            }
            Some((after, _)) => (len.min(after - came), Duration::ZERO),
            None => (len, Duration::ZERO),
        };
        let (bytes, after) = rest.split_at(len);
        rest = after;
        let end = ends && rest.is_empty() && !separate;
        plan.push_back((settings.between_parts + wait, OriginStep::Data { bytes: bytes.to_vec(), end }));
    }
    match &reply.ending {
        Ending::Whole | Ending::StallsAfter(..) if separate => {
            plan.push_back((Duration::ZERO, OriginStep::Data { bytes: Vec::new(), end: true }));
        }
        Ending::Whole | Ending::StallsAfter(..) => {}
        Ending::Trailers(trailers) if settings.trailers && !trailers.is_empty() => {
            let trailers = trailers.iter().map(|(n, v)| (n.as_str(), v)).collect();
            plan.push_back((Duration::ZERO, OriginStep::Trailers(trailers)));
        }
        // Without trailers, or with a codec that drops them, a chunked body ends like any other.
        Ending::Trailers(_) => {
            plan.push_back((Duration::ZERO, OriginStep::Data { bytes: Vec::new(), end: true }));
        }
        Ending::ResetAfter(_) | Ending::NoResponse => {
            plan.push_back((settings.between_parts, OriginStep::Reset))
        }
    }
}
