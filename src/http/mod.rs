//! The vocabulary of HTTP messages, without any policy.

pub mod cache_control;
pub mod coding;
pub mod date;
mod doubt;
pub mod etag;
mod field_facts;
mod fields;
pub mod jwt;
pub mod list;
mod packed;
pub mod percent;
pub mod range;
pub mod search;
pub mod structured;
pub mod uri;
pub mod weighted;

use core::net::IpAddr;

pub(crate) use field_facts::marks;
pub use field_facts::{Facts, facts};
pub use fields::Fields;
pub(crate) use fields::mark;

/// A request as the filter saw it: the pseudo-header fields and the header section, as bytes.
#[derive(Clone, Debug, Default)]
pub struct RequestHead {
    /// All fields in the order in which they came, pseudo-header fields (`:method`, `:path`, …) included.
    pub fields: Fields,
    /// Whether a body or trailers follow the header section.
    pub has_body: bool,
}

impl RequestHead {
    /// The method, e.g. `GET`; empty when there is none.
    #[must_use]
    pub fn method(&self) -> &[u8] {
        self.fields.get(":method").unwrap_or_default()
    }

    /// The scheme of the target URI; `http` when the host gave none.
    #[must_use]
    pub fn scheme(&self) -> &[u8] {
        self.fields.get(":scheme").unwrap_or(b"http")
    }

    /// Host and port of the target URI, as sent; empty when there is none.
    #[must_use]
    pub fn authority(&self) -> &[u8] {
        self.fields.get(":authority").unwrap_or_default()
    }

    /// Path and query of the target URI, as sent; empty when there is none.
    #[must_use]
    pub fn path(&self) -> &[u8] {
        self.fields.get(":path").unwrap_or_default()
    }
}

/// Whether an error is about who asks, or how, and not about what was asked for (RFC 9110 §15.5): another client may be
/// answered otherwise.
#[must_use]
pub const fn speaks_of_client(status: u16) -> bool {
    matches!(status, 400..=499) && !matches!(status, 404 | 405 | 410 | 414 | 451)
}

/// The status and header section of a response, as bytes. `:status` is not among the fields.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ResponseHead {
    /// The final status code.
    pub status: u16,
    /// The fields in the order in which they came.
    pub fields: Fields,
}

impl ResponseHead {
    /// The head in a header map as the host passes it, `:status` among the fields; none without a status code.
    #[must_use]
    pub fn from_fields(mut fields: Fields) -> Option<Self> {
        let status = core::str::from_utf8(fields.get(":status")?).ok()?.parse().ok()?;
        fields.remove(":status");
        Some(ResponseHead { status, fields })
    }

    /// The value of `Content-Length` (RFC 9110 §8.6), when there is one and it is a number.
    #[must_use]
    pub fn content_length(&self) -> Option<u64> {
        core::str::from_utf8(self.fields.get("content-length")?).ok()?.trim().parse().ok()
    }
}

/// Who is on the other end of a connection, as the host says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Peer {
    /// The address, with or without a port; empty when it is not known.
    pub address: String,
    /// The names in a client certificate: its first URI and DNS subject alternative names.
    pub names: Vec<String>,
}

impl Peer {
    /// The address alone, of `10.0.0.1:443`, `[::1]:443` or `::1`.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        let text = &self.address;
        let bracketed = text.strip_prefix('[').and_then(|rest| rest.split(']').next());
        text.parse()
            .ok()
            .or_else(|| bracketed?.parse().ok())
            .or_else(|| text.rsplit_once(':')?.0.parse().ok())
    }
}
