//! The gRPC calls and streams of this worker's part in the fleet.

use hashbrown::HashMap;

use super::abi::{self, GrpcMethod};
use larder::fleet::{Ended, Io, IoId};
use larder::http::Fields;
use larder::protobuf::Message;

/// The status of a call that could not be made at all.
const UNAVAILABLE: u32 = 14;

/// What is under way, by the host's tokens.
#[derive(Default)]
pub(super) struct Grpc {
    /// The root context that it is of.
    root: Option<u32>,
    calls: HashMap<u32, IoId>,
    streams: HashMap<u32, IoId>,
}

impl Grpc {
    /// Whether what is under way belongs to another root, with which it ends. Forgets it then.
    pub(super) fn is_of_another(&mut self, root: u32) -> bool {
        let is_another = self.root.is_some_and(|known| known != root);
        if is_another {
            for token in self.calls.keys().chain(self.streams.keys()) {
                abi::grpc_cancel(*token);
            }
            *self = Grpc::default();
        }
        is_another
    }

    /// The call or stream that has brought a message. A call is over with that.
    pub(super) fn received(&mut self, token: u32) -> Option<IoId> {
        self.calls.remove(&token).or_else(|| self.streams.get(&token).copied())
    }

    /// The call or stream that has ended.
    pub(super) fn ended(&mut self, token: u32) -> Option<IoId> {
        self.calls.remove(&token).or_else(|| {
            let id = self.streams.remove(&token)?;
            // Else the host keeps what it has of the stream until its root is gone.
            abi::grpc_cancel(token);
            Some(id)
        })
    }

    fn token_of(&self, id: IoId) -> Option<u32> {
        self.streams.iter().find(|(_, known)| **known == id).map(|(token, _)| *token)
    }

    /// Does it, on behalf of a root; what cannot be done comes back with why.
    pub(super) fn bring_about(&mut self, root: u32, cluster: &str, io: Io) -> Option<(IoId, Ended)> {
        self.root = Some(root);
        let refused =
            |id| Some((id, Ended { status: UNAVAILABLE, text: "Envoy has not made the call".into() }));
        if !abi::set_effective_context(root) {
            return match io {
                Io::Call { id, .. } | Io::Open { id, .. } | Io::Send { id, .. } => refused(id),
                Io::Close { .. } => None,
            };
        }
        let envoy_service = grpc_service(cluster);
        // Else a member of etcd that has lost the others keeps its streams open, and they are silent.
        let metadata: Fields = [("hasleader", "true")].into_iter().collect();
        let to =
            |name, method| GrpcMethod { service: &envoy_service, name, method, metadata: metadata.wire() };
        match io {
            Io::Call { id, service, method, message, timeout } => {
                let timeout_ms = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
                match abi::grpc_call(to(service, method), &message, timeout_ms) {
                    Some(token) => self.calls.insert(token, id).and(None),
                    None => refused(id),
                }
            }
            Io::Open { id, service, method, message } => {
                let Some(token) = abi::grpc_stream(to(service, method)) else { return refused(id) };
                if !abi::grpc_send(token, &message) {
                    abi::grpc_cancel(token);
                    return refused(id);
                }
                self.streams.insert(token, id).and(None)
            }
            Io::Send { id, message } => match self.token_of(id) {
                Some(token) if abi::grpc_send(token, &message) => None,
                _ => refused(id),
            },
            Io::Close { id } => {
                if let Some(token) = self.token_of(id) {
                    self.streams.remove(&token);
                    abi::grpc_cancel(token);
                }
                None
            }
        }
    }
}

/// A serialised `envoy.config.core.v3.GrpcService` of a cluster.
fn grpc_service(cluster: &str) -> Vec<u8> {
    let envoy_grpc = Message::new().bytes(1, cluster.as_bytes());
    Message::new().message(1, envoy_grpc).written()
}
