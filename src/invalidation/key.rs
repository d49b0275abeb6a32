//! Keyed hashes of what selectors name and of what stored responses are: equal hashes mean covered.
//!
//! Two different names with one hash, one in 2⁶⁴, would cover a response too many, never one too few.

use core::hash::Hasher;

use siphasher::sip::SipHasher13;

use super::selector::{Subject, automatic};
use super::{Selector, Tag};
use crate::http::uri::{authority, hostname};

/// The deepest path that is looked up as a prefix, in slashes. Beyond it a prefix is filed under its start, and so covers
/// more than it names.
pub(super) const PREFIX_DEPTH_MAX: usize = 64;

/// What a hash is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Uri,
    UriAnyQuery,
    Prefix,
    Host,
    Hostname,
    Tag,
    HostTag,
    MediaType,
    MediaRange,
    Status,
}

impl Kind {
    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// Which kinds of hashes are in use, so that no others need to be computed.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Used {
    kinds: u16,
    prefix_depth: usize,
}

impl Used {
    fn add(&mut self, kind: Kind) {
        self.kinds |= kind.bit();
    }

    pub(super) fn add_if(&mut self, is_used: bool, kind: Kind) {
        if is_used {
            self.add(kind);
        }
    }

    const fn has(self, kind: Kind) -> bool {
        self.kinds & kind.bit() != 0
    }
}

/// How a selector is found again.
pub(super) enum Filed {
    /// It covers exactly the responses that have one of these hashes.
    Under(Vec<u64>),
    /// It covers some of the responses that have this hash.
    Among(u64),
    /// It has to be held against every response.
    Apart,
    /// It covers everything.
    Everything,
}

/// Computes hashes under one secret.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keys {
    secret: (u64, u64),
}

impl Keys {
    pub(super) const fn new(secret: (u64, u64)) -> Keys {
        Keys { secret }
    }

    fn start(self) -> Hash {
        Hash(SipHasher13::new_with_keys(self.secret.0, self.secret.1))
    }

    fn of(self, kind: Kind, bytes: &[u8]) -> u64 {
        self.start().and(bytes).end(kind)
    }

    /// How to file a selector; says in `used` what has to be looked up from now on.
    pub(super) fn file(self, selector: &Selector, used: &mut Used) -> Filed {
        match selector {
            Selector::All => Filed::Everything,
            Selector::Tags(tags) => Filed::Under(tags.iter().flat_map(|t| self.tag(t, used)).collect()),
            Selector::And(terms) => self.conjunction(terms, used),
            Selector::Glob(..) | Selector::Regex(..) => self.pattern(selector, used),
            Selector::StoredBefore(_) => Filed::Apart,
            Selector::Uri(_)
            | Selector::UriAnyQuery(_)
            | Selector::Prefix(_)
            | Selector::Host(_)
            | Selector::Hostname(_)
            | Selector::ContentType(_)
            | Selector::Status(_)
            | Selector::StatusClass(_) => match self.single(selector, used) {
                Some(key) => Filed::Under(vec![key]),
                None => Filed::Apart,
            },
        }
    }

    /// The hash of a selector that names one thing.
    fn single(self, selector: &Selector, used: &mut Used) -> Option<u64> {
        let mut key = |kind, bytes: &[u8]| {
            used.add(kind);
            Some(self.of(kind, bytes))
        };
        match selector {
            Selector::Uri(uri) => key(Kind::Uri, uri),
            Selector::UriAnyQuery(uri) => key(Kind::UriAnyQuery, uri),
            Selector::Host(host) => key(Kind::Host, host),
            Selector::Hostname(host) => key(Kind::Hostname, host),
            Selector::ContentType(range) => {
                // In lower case already, unless another version has written it.
                let range = range.to_ascii_lowercase();
                match range.strip_suffix("/*") {
                    Some(kind) => key(Kind::MediaRange, kind.as_bytes()),
                    None if range.contains('*') => None,
                    None => key(Kind::MediaType, range.as_bytes()),
                }
            }
            Selector::Status(status) => key(Kind::Status, &status.to_le_bytes()),
            Selector::StatusClass(class) => key(Kind::Status, &u16::from(*class).to_le_bytes()),
            Selector::Prefix(prefix) => self.prefix(prefix, used),
            Selector::And(_)
            | Selector::All
            | Selector::Tags(_)
            | Selector::Glob(..)
            | Selector::Regex(..)
            | Selector::StoredBefore(_) => None,
        }
    }

    fn prefix(self, prefix: &[u8], used: &mut Used) -> Option<u64> {
        if prefix.contains(&b'?') {
            return None;
        }
        let mut slashes = prefix.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(at, _)| at);
        let depth = slashes.clone().count();
        if depth == 0 {
            return self.single(&Selector::Host(prefix.to_vec()), used);
        }
        let start = match slashes.nth(PREFIX_DEPTH_MAX - 1) {
            Some(last) if depth > PREFIX_DEPTH_MAX => prefix.get(..=last)?,
            _ => prefix,
        };
        used.add(Kind::Prefix);
        used.prefix_depth = used.prefix_depth.max(depth.min(PREFIX_DEPTH_MAX));
        Some(self.of(Kind::Prefix, start))
    }

    /// The hash of a tag, and of what it stands for when it is an automatic one.
    fn tag(self, tag: &Tag, used: &mut Used) -> Vec<u64> {
        used.add(Kind::Tag);
        let stands_for = automatic(tag).and_then(|selector| self.single(&selector, used));
        core::iter::once(self.of(Kind::Tag, tag.as_bytes())).chain(stands_for).collect()
    }

    /// A conjunction is filed among those of one of its terms. Tags of one host, as groups are, have hashes of
    /// their own.
    fn conjunction(self, terms: &[super::Term], used: &mut Used) -> Filed {
        if let [super::Term { negated: false, selector: a }, super::Term { negated: false, selector: b }] =
            terms
            && let (Selector::Host(host), Selector::Tags(tags)) | (Selector::Tags(tags), Selector::Host(host)) =
                (a, b)
            && tags.iter().all(|tag| automatic(tag).is_none())
        {
            used.add(Kind::HostTag);
            return Filed::Under(tags.iter().map(|tag| self.host_tag(host, tag)).collect());
        }
        for term in terms.iter().filter(|term| !term.negated) {
            match self.file(&term.selector, used) {
                Filed::Under(keys) => {
                    if let [key] = keys[..] {
                        return Filed::Among(key);
                    }
                }
                Filed::Among(key) => return Filed::Among(key),
                Filed::Apart | Filed::Everything => {}
            }
        }
        Filed::Apart
    }

    /// The hash of the host that a selector names together with something else.
    pub(super) fn host(self, selector: &Selector) -> Option<u64> {
        let host = match selector {
            Selector::Uri(uri) | Selector::UriAnyQuery(uri) | Selector::Prefix(uri) => {
                let host = authority(uri);
                (host.len() < uri.len()).then_some(host)?
            }
            Selector::And(terms) => terms.iter().find_map(|term| match &term.selector {
                Selector::Host(host) if !term.negated => Some(&host[..]),
                _ => None,
            })?,
            _ => return None,
        };
        Some(self.of(Kind::Host, host))
    }

    /// A glob that names its host is filed among those of the host.
    fn pattern(self, selector: &Selector, used: &mut Used) -> Filed {
        let Selector::Glob(super::Part::Url, glob) = selector else { return Filed::Apart };
        match glob.split_once('/') {
            Some((host, _)) if !host.is_empty() && !host.contains(['*', '?', '\\']) => {
                used.add(Kind::Host);
                Filed::Among(self.of(Kind::Host, host.as_bytes()))
            }
            _ => Filed::Apart,
        }
    }

    fn host_tag(self, host: &[u8], tag: &Tag) -> u64 {
        self.start().and(host).and(b"/").and(tag.as_bytes()).end(Kind::HostTag)
    }

    /// Calls `visit` with each hash of a stored response that is in use and what it is of, some perhaps twice.
    pub(super) fn visit(self, subject: &Subject<'_>, used: Used, mut visit: impl FnMut(Kind, u64)) {
        self.visit_uri(subject, used, &mut visit);
        for tag in subject.tags {
            if used.has(Kind::Tag) {
                visit(Kind::Tag, self.of(Kind::Tag, tag.as_bytes()));
            }
            if used.has(Kind::HostTag) {
                visit(Kind::HostTag, self.host_tag(subject.authority(), tag));
            }
        }
        if used.has(Kind::Status) {
            visit(Kind::Status, self.of(Kind::Status, &subject.status.to_le_bytes()));
            visit(Kind::Status, self.of(Kind::Status, &(subject.status / 100).to_le_bytes()));
        }
        if used.has(Kind::MediaType) || used.has(Kind::MediaRange) {
            let media_type = subject.media_type();
            visit(Kind::MediaType, self.of(Kind::MediaType, &media_type));
            if let Some(kind) = media_type.split(|b| *b == b'/').next() {
                visit(Kind::MediaRange, self.of(Kind::MediaRange, kind));
            }
        }
    }

    /// Hashes the URI in one go and visits what ends on the way.
    fn visit_uri(self, subject: &Subject<'_>, used: Used, visit: &mut impl FnMut(Kind, u64)) {
        let authority = subject.authority();
        let bare = subject.without_query();
        let mut hash = self.start().and(authority);
        if used.has(Kind::Host) {
            visit(Kind::Host, hash.end(Kind::Host));
        }
        if used.has(Kind::Hostname) {
            visit(Kind::Hostname, self.of(Kind::Hostname, hostname(authority)));
        }
        let mut rest = bare.get(authority.len()..).unwrap_or_default();
        for _ in 0..used.prefix_depth {
            let Some(([], below)) = rest.iter().position(|b| *b == b'/').map(|at| rest.split_at(at)) else {
                break;
            };
            let name = below.get(1..).unwrap_or_default().split(|b| *b == b'/').next().unwrap_or_default();
            hash = hash.and(b"/");
            visit(Kind::Prefix, hash.end(Kind::Prefix));
            hash = hash.and(name);
            visit(Kind::Prefix, hash.end(Kind::Prefix));
            rest = rest.get(1 + name.len()..).unwrap_or_default();
        }
        if used.has(Kind::Uri) || used.has(Kind::UriAnyQuery) {
            hash = hash.and(rest);
            visit(Kind::UriAnyQuery, hash.end(Kind::UriAnyQuery));
            let query = subject.uri.get(bare.len()..).unwrap_or_default();
            visit(Kind::Uri, hash.and(query).end(Kind::Uri));
        }
    }
}

/// A hash under way.
#[derive(Clone, Copy)]
struct Hash(SipHasher13);

impl Hash {
    fn and(mut self, bytes: &[u8]) -> Hash {
        self.0.write(bytes);
        self
    }

    fn end(mut self, kind: Kind) -> u64 {
        self.0.write(&[kind as u8]);
        self.0.finish()
    }
}
