//! What a command is read of and with.

use crate::admin::Caller;
use crate::config::{AdminConfig, TagHierarchy};
use crate::http::RequestHead;
use crate::invalidation::Selector;
use crate::time::Timestamp;

/// What a command is read with.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    /// The configuration of the route.
    pub config: &'a AdminConfig,
    /// The canonical URI, `host[:port]/path?query`, of an absolute URL, with its whole query.
    pub canonical: &'a dyn Fn(&str) -> Result<Vec<u8>, &'static str>,
    /// What else a canonical URI comes to, by rules that let less of its query count.
    pub forms: &'a dyn Fn(&[u8]) -> Vec<Selector>,
    /// Which tags lie under which.
    pub hierarchy: &'a TagHierarchy,
    /// What the wall clock says.
    pub now: Timestamp,
}

/// A request that is a command, on its route.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// Its head.
    pub request: &'a RequestHead,
    /// Its path and query.
    pub path: &'a str,
    /// What the last `{…}` of the route's path stands for; empty where the route has none.
    pub name: &'a str,
    /// The same with the query behind it, for names that are URLs themselves.
    pub name_and_query: &'a str,
    /// Its body.
    pub body: &'a [u8],
    /// Who sends it.
    pub caller: &'a Caller,
    /// What it is read with.
    pub reader: &'a Reader<'a>,
}
