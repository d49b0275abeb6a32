//! What etcd says when it refuses, in its words.

/// A gRPC status that is not OK, and its text.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    pub status: u32,
    pub text: String,
}

pub fn refuse<T>(status: u32, text: &str) -> Result<T, Refusal> {
    Err(Refusal { status, text: text.into() })
}

pub fn no_key<T>() -> Result<T, Refusal> {
    refuse(3, "etcdserver: key is not provided")
}

pub fn no_lease<T>() -> Result<T, Refusal> {
    refuse(5, "etcdserver: requested lease not found")
}

pub fn permission_denied<T>() -> Result<T, Refusal> {
    refuse(7, "etcdserver: permission denied")
}

pub fn no_space<T>() -> Result<T, Refusal> {
    refuse(8, "etcdserver: mvcc: database space exceeded")
}

pub fn future<T>() -> Result<T, Refusal> {
    refuse(11, "etcdserver: mvcc: required revision is a future revision")
}

pub fn compacted<T>() -> Result<T, Refusal> {
    refuse(11, "etcdserver: mvcc: required revision has been compacted")
}
