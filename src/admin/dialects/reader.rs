//! What a command is read of and with.

use crate::admin::{Caller, Problem};
use crate::config::{AdminConfig, TagHierarchy};
use crate::http::RequestHead;
use crate::invalidation::Selector;
use crate::json::{At, Json, OPEN, Path, Read};
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

impl Asked<'_> {
    /// The body, which is JSON.
    ///
    /// # Errors
    /// When it is not.
    pub fn json(&self) -> Result<Json, Problem> {
        Json::parse(self.body).map_err(|error| Problem::bad(format!("the body is {error}")))
    }

    /// What `read` makes of the body, which is JSON.
    ///
    /// # Errors
    /// When it is not, or is not what `read` expects.
    pub fn body_as<T>(&self, read: impl FnOnce(&At<'_>) -> Read<T>) -> Result<T, Problem> {
        read_json(&self.json()?, read)
    }
}

/// What `read` makes of JSON.
///
/// # Errors
/// When it is not what `read` expects.
pub fn read_json<T>(value: &Json, read: impl FnOnce(&At<'_>) -> Read<T>) -> Result<T, Problem> {
    read(&At { path: &Path::Whole(&OPEN), value }).map_err(|error| Problem::unread(*error))
}
