//! Who sends a request: by its fields (RFC 9111 §3.5 and what filters and applications use instead), or by what a
//! filter alone knows.

use crate::config::{Credential, Options, Treatment};
use crate::http::RequestHead;

/// A request, and what is known beside its fields of who sends it.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// The request.
    pub request: &'a RequestHead,
    /// The dynamic metadata that filters have left with it, as a serialised `envoy.config.core.v3.Metadata`. To read it
    /// costs something, so that is only done where it matters.
    pub metadata: &'a dyn Fn() -> Vec<u8>,
}

impl<'a> From<&'a RequestHead> for Asked<'a> {
    fn from(request: &'a RequestHead) -> Self {
        Asked { request, metadata: &Vec::new }
    }
}

/// What the fields of a request say of who sends it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// Nothing.
    Anonymous,
    /// They do, and all of them are part of the key: requests with the same key have the same sender.
    Keyed,
    /// They do, and the key is the same for others.
    Guarded,
}

impl Asked<'_> {
    /// Whether a filter knows who sends it.
    pub(super) fn is_authenticated(&self, options: &Options) -> bool {
        options.credentials.are_in_metadata(&(self.metadata)())
    }
}

/// What the fields of a request say of who sends it.
#[must_use]
pub fn standing(request: &RequestHead, options: &Options) -> Standing {
    let mut standing = Standing::Anonymous;
    for (name, value) in request.fields.iter().filter(|(name, _)| !name.starts_with(b":")) {
        match options.credentials.of(name, value) {
            Credential::Ignore => {}
            Credential::Guard if !is_in_key(name, options) => return Standing::Guarded,
            Credential::Guard | Credential::Key => standing = Standing::Keyed,
        }
    }
    standing
}

/// Whether the values of a field are part of the key by another option.
fn is_in_key(name: &[u8], options: &Options) -> bool {
    let key = &options.key;
    key.headers.iter().any(|named| named.as_bytes() == name) || key.unkeyed.treatment(name) == Treatment::Key
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::http::Fields;
    #[cfg(all(target_arch = "wasm32", target_os = "unknown"))]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    #[test]
    fn one_credential_outside_the_key_is_enough() {
        use Standing::{Anonymous, Guarded, Keyed};
        const KEYED: &str = r#"{"credentials": {"fields": {"x-user": "key", "x-api-key": "ignore"}},
            "key": {"headers": ["authorization"], "unkeyed": {"x-jwt-payload": "key"}}}"#;
        for (json, fields, expected) in [
            ("{}", &[("accept", "*/*"), ("cookie", "a=b")][..], Anonymous),
            ("{}", &[("authorization", "Basic x")], Guarded),
            ("{}", &[("x-forwarded-email", "a@b.example")], Guarded),
            ("{}", &[("x-acme", "bearer a"), ("accept", "*/*")], Guarded),
            (KEYED, &[("x-user", "a")], Keyed),
            (KEYED, &[("authorization", "Basic x"), ("x-jwt-payload", "e"), ("x-user", "a")], Keyed),
            (KEYED, &[("x-user", "a"), ("x-groups", "b")], Guarded),
            (KEYED, &[("x-groups", "b"), ("x-user", "a")], Guarded),
            (KEYED, &[("x-api-key", "a")], Anonymous),
        ] {
            let options = Config::parse(json.as_bytes()).unwrap().defaults;
            let lines = [(":authority", "Bearer x")].iter().chain(fields).copied();
            let request = RequestHead { fields: Fields::from_iter(lines), has_body: false };
            assert_eq!(standing(&request, &options), expected, "{json} {fields:?}");
        }
    }
}
