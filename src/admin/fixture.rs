//! A configuration, a caller and a way to send requests, for the tests of the dialects.

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{AdminResponse, Caller, Command, Purge, Reader, Recognised, purged, recognise};
use crate::config::{AdminConfig, KeyOptions, Scope, TagHierarchy, Token};
use crate::http::{Fields, RequestHead};
use crate::invalidation::{Invalidation, Mode, Selector, Tag, decode, encode};
use crate::policy;
use crate::time::Timestamp;

pub const NOW: Timestamp = Timestamp(1_700_000_000_000);

pub fn config() -> AdminConfig {
    let token = |name: &str, scopes: &[Scope]| Token {
        name: name.into(),
        sha256: Sha256::digest(name.as_bytes()).into(),
        scopes: scopes.to_vec(),
    };
    AdminConfig {
        tokens: vec![
            token("all", &[Scope::Read, Scope::Purge, Scope::PurgeAll]),
            token("purge", &[Scope::Purge]),
            token("read", &[Scope::Read]),
        ],
        methods: true,
        selectors_max: 4,
        ..AdminConfig::default()
    }
}

/// As the product does it.
pub fn canonical(url: &str) -> Result<Vec<u8>, &'static str> {
    policy::uri_of(url, &KeyOptions::default())
}

pub fn with_reader<T>(run: impl FnOnce(&Reader<'_>) -> T) -> T {
    let hierarchy = TagHierarchy::new([("user", "data")]).unwrap();
    let forms = |_: &[u8]| Vec::new();
    run(&Reader { config: &config(), canonical: &canonical, forms: &forms, hierarchy: &hierarchy, now: NOW })
}

pub fn caller() -> Caller {
    Caller { name: "all".into(), scopes: vec![Scope::Read, Scope::Purge, Scope::PurgeAll] }
}

/// A request such as `POST /_larder/purge` to the host `h.example`, with the token `all` unless a field says other.
pub fn request(line: &str, fields: &[(&str, &str)]) -> RequestHead {
    let (method, path) = line.split_once(' ').unwrap();
    let mut all = Fields::from_iter([(":method", method), (":scheme", "https"), (":authority", "h.example")]);
    all.push(":path", path);
    fields.iter().for_each(|(name, value)| all.push(name, value));
    if !all.contains("authorization") && !all.contains("fastly-key") {
        all.push("authorization", "Bearer all");
    }
    RequestHead { fields: all, has_body: false }
}

/// Sends a request through recognition and reading.
pub fn send(line: &str, fields: &[(&str, &str)], body: &str) -> Result<Command, AdminResponse> {
    let request = request(line, fields);
    match recognise(&request, &config()) {
        Recognised::Authorised(authorised) => {
            with_reader(|reader| authorised.command(&request, body.as_bytes(), reader))
        }
        Recognised::Respond(response) | Recognised::Unauthorised(response) => Err(response),
        other @ (Recognised::NotForUs | Recognised::Stranger) => panic!("{line}: {other:?}"),
    }
}

/// The purge that a request asks for.
pub fn purge(line: &str, fields: &[(&str, &str)], body: &str) -> Purge {
    match send(line, fields, body) {
        Ok(Command::Purge(purge)) => purge,
        other => panic!("{line} {fields:?} {body}: {other:?}"),
    }
}

/// Mode and selectors that a request asks for; all modes must be the same.
pub fn asked(line: &str, fields: &[(&str, &str)], body: &str) -> (Mode, Vec<Selector>) {
    let purge = purge(line, fields, body);
    let mode = purge.invalidations.first().unwrap().mode;
    assert!(purge.invalidations.iter().all(|i| i.mode == mode && i.issued_at == NOW));
    assert_eq!(purge.asked.len(), purge.invalidations.len());
    for one in &purge.invalidations {
        assert_eq!(
            decode(&encode(one)).selector,
            one.selector,
            "{line} {fields:?} {body}: another in the journal"
        );
    }
    (mode, purge.invalidations.into_iter().map(|i: Invalidation| i.selector).collect())
}

/// Sends a purge whose records come to lie at 11, 12, …
pub fn answer(line: &str, fields: &[(&str, &str)], body: &str) -> AdminResponse {
    let purge = purge(line, fields, body);
    let results: Vec<_> = (11..).take(purge.invalidations.len()).map(Ok).collect();
    purged(&purge, &results)
}

pub fn body(response: &AdminResponse) -> Value {
    serde_json::from_slice(&response.body).unwrap()
}

pub fn tags(names: &[&str]) -> Selector {
    Selector::Tags(names.iter().map(|name| Tag::new(name).unwrap()).collect())
}
