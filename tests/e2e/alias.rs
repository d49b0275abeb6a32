//! Names of a scenario's own, so that one Envoy can play many: what one stored, the next does not ask for.
//!
//! On the wire, hosts end in something like `.e00002a` where the scenario says `.example`. Client, origin, commands and
//! configuration go through the same replacement, so a scenario sees its own names only.

use std::sync::atomic::{AtomicU32, Ordering};

use super::wire::Fields;
use crate::stand::{OriginRequest, Reply, Response};

const NAME: &[u8; 8] = b".example";

/// What stands for `.example`; as long as it, so that lengths stay what they are.
#[derive(Clone, Copy)]
pub struct Alias([u8; 8]);

impl Alias {
    /// The names as they are.
    pub const NONE: Alias = Alias(*NAME);

    /// One that no scenario had before.
    pub fn new() -> Alias {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        let name = format!(".e{:06x}", COUNT.fetch_add(1, Ordering::Relaxed));
        Alias(name.as_bytes().try_into().expect("as long as .example"))
    }

    /// From the scenario to the wire.
    pub fn out(self, mut bytes: Vec<u8>) -> Vec<u8> {
        replace(&mut bytes, NAME, &self.0);
        bytes
    }

    /// From the wire to the scenario.
    pub fn back(self, mut bytes: Vec<u8>) -> Vec<u8> {
        replace(&mut bytes, &self.0, NAME);
        bytes
    }

    pub fn text_out(self, text: &str) -> String {
        String::from_utf8_lossy(&self.out(text.into())).into_owned()
    }

    pub fn text_back(self, text: &str) -> String {
        String::from_utf8_lossy(&self.back(text.into())).into_owned()
    }

    pub fn reply(self, reply: Reply) -> Reply {
        Reply { fields: self.fields(reply.fields, Alias::out), body: self.out(reply.body), ..reply }
    }

    pub fn response(self, response: Response) -> Response {
        Response {
            fields: self.fields(response.fields, Alias::back),
            body: self.back(response.body),
            ..response
        }
    }

    pub fn request(self, request: OriginRequest) -> OriginRequest {
        OriginRequest {
            target: self.text_back(&request.target),
            fields: self.fields(request.fields, Alias::back),
            body: self.back(request.body),
            ..request
        }
    }

    fn fields(self, fields: Fields, change: fn(Alias, Vec<u8>) -> Vec<u8>) -> Fields {
        fields.into_iter().map(|(name, value)| (name, change(self, value))).collect()
    }
}

fn replace(bytes: &mut [u8], from: &[u8; 8], to: &[u8; 8]) {
    for at in 0..bytes.len().saturating_sub(7) {
        if bytes[at..].starts_with(from) {
            bytes[at..at + 8].copy_from_slice(to);
        }
    }
}
