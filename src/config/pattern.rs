//! Patterns over hosts, paths and values. No pattern can backtrack: a text is read at most once for each piece of
//! the pattern, whatever the client sends.

use serde::de::{Deserialize, Deserializer};

use super::value::{Text, deserialize, deserialize_text};

/// The longest pattern, in bytes.
const PATTERN_BYTES_MAX: usize = 1024;

/// Literal pieces with gaps between them, within one piece of text that has no further structure.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Glob {
    head: Box<[u8]>,
    rest: Box<[(Gap, Box<[u8]>)]>,
}

/// A place where any text may stand.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Gap {
    len_min: usize,
    /// Whether the text is captured. Captures are counted from the left over the whole pattern.
    captured: bool,
}

impl Glob {
    /// Takes `*` for any text of at least `len_min` bytes; two in a row say nothing more and are refused.
    fn parse(pattern: &str, len_min: usize) -> Option<Glob> {
        let mut pieces = pattern.split('*');
        let head = pieces.next()?.as_bytes().into();
        let gap = Gap { len_min, captured: false };
        let rest: Box<[(Gap, Box<[u8]>)]> = pieces.map(|piece| (gap, piece.as_bytes().into())).collect();
        let apart = rest.iter().rev().skip(1).all(|(_, piece)| !piece.is_empty());
        (apart && pattern.len() <= PATTERN_BYTES_MAX).then_some(Glob { head, rest })
    }

    /// The one text it matches, when it has no gap.
    fn literal(&self) -> Option<&[u8]> {
        self.rest.is_empty().then_some(&*self.head)
    }

    /// What every match begins with.
    pub(super) fn prefix(&self) -> &[u8] {
        &self.head
    }

    /// What every match ends with.
    pub(super) fn suffix(&self) -> &[u8] {
        self.rest.last().map_or(&self.head, |(_, piece)| piece)
    }

    pub(super) fn matches(&self, text: &[u8]) -> bool {
        self.captures(text, &mut |_| {})
    }

    /// Whether it matches; tells `capture` what stands in the gaps that are captured, in order. The leftmost place
    /// for each piece is as good as any other: it leaves the most room for the rest.
    fn captures<'t>(&self, text: &'t [u8], capture: &mut impl FnMut(&'t [u8])) -> bool {
        let Some(mut text) = text.strip_prefix(&*self.head) else { return false };
        let Some(((last_gap, tail), inner)) = self.rest.split_last() else { return text.is_empty() };
        for (gap, piece) in inner {
            let Some((between, after)) = split_at_piece(text, gap.len_min, piece) else { return false };
            if gap.captured {
                capture(between);
            }
            text = after;
        }
        let Some(between) = text.strip_suffix(&**tail).filter(|t| t.len() >= last_gap.len_min) else {
            return false;
        };
        if last_gap.captured {
            capture(between);
        }
        true
    }
}

/// What stands before and after the first occurrence of `piece`, at least `len_min` bytes from the start.
fn split_at_piece<'t>(text: &'t [u8], len_min: usize, piece: &[u8]) -> Option<(&'t [u8], &'t [u8])> {
    let found = text.get(len_min..)?.windows(piece.len().max(1)).position(|window| window == piece)?;
    let (before, rest) = text.split_at_checked(len_min + found)?;
    Some((before, rest.get(piece.len()..)?))
}

/// A host, such as `shop.example`, `*.example.com`, `shop.example:8080`. `*` stands for one byte or more, dots
/// included. Without a port it matches the host on any port.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct HostPattern {
    glob: Glob,
    has_port: bool,
}

impl Text for HostPattern {
    const WHAT: &'static str = "a host pattern";
    const EXPECTED: &'static str = "a host such as \"shop.example\" or \"shop.example:8080\", in which * stands for any text: \"*.example.com\"";

    fn from_text(text: &str) -> Option<Self> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"*-._:[]".contains(&b);
        if text.is_empty() || !text.bytes().all(plain) {
            return None;
        }
        let glob = Glob::parse(&text.to_ascii_lowercase(), 1)?;
        Some(HostPattern { glob, has_port: without_port(text.as_bytes()).len() < text.len() })
    }
}

impl HostPattern {
    /// What every host that it matches ends with, the port left aside.
    pub(super) fn suffix(&self) -> &[u8] {
        let suffix = self.glob.suffix();
        if !self.has_port {
            return suffix;
        }
        let colon = suffix.iter().rposition(|&b| b == b':');
        colon.and_then(|at| suffix.get(..at)).unwrap_or_default()
    }

    /// `authority` and `host` in lower case, the host being the authority without its port.
    pub(super) fn matches(&self, authority: &[u8], host: &[u8]) -> bool {
        self.glob.matches(if self.has_port { authority } else { host })
    }
}

/// The host of an authority.
pub(super) fn without_port(authority: &[u8]) -> &[u8] {
    match authority.iter().rposition(|&b| b == b':' || b == b']') {
        Some(at) if authority.get(at) == Some(&b':') => authority.get(..at).unwrap_or(authority),
        _ => authority,
    }
}

/// A media type, such as `text/html` or `image/*`, compared without its parameters.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct TypePattern(Glob);

impl Text for TypePattern {
    const WHAT: &'static str = "a media type";
    const EXPECTED: &'static str =
        "a type and a subtype without parameters, such as \"text/html\" or \"image/*\"";

    fn from_text(text: &str) -> Option<Self> {
        let (kind, subtype) = text.split_once('/')?;
        let tokens = super::value::is_token(kind) && super::value::is_token(subtype);
        tokens.then(|| Glob::parse(&text.to_ascii_lowercase(), 0).map(TypePattern)).flatten()
    }
}

impl TypePattern {
    /// `content_type` is the value of the field as it came.
    pub(super) fn matches(&self, content_type: &[u8]) -> bool {
        let essence = content_type.split(|&b| b == b';').next().unwrap_or_default();
        self.0.matches(&essence.trim_ascii().to_ascii_lowercase())
    }
}

/// The value of a request header field, in which `*` stands for any text.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct ValuePattern(Glob);

impl Text for ValuePattern {
    const WHAT: &'static str = "a value pattern";
    const EXPECTED: &'static str = "text in which * stands for any other text, such as \"Bot/*\"";

    fn from_text(text: &str) -> Option<Self> {
        Glob::parse(text, 0).map(ValuePattern)
    }
}

impl ValuePattern {
    pub(super) fn matches(&self, value: &[u8]) -> bool {
        self.0.matches(value)
    }
}

/// A path, without its query. `*` stands for any text within a segment, `**` for any number of segments, `{name}`
/// for text within a segment that tags may use; it is never empty.
///
/// `/a/**` also matches `/a`, and `/a/**/b` also matches `/a/b`.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct PathPattern {
    segments: Box<[Segment]>,
    /// The names of the captures, in order.
    pub(super) names: Box<[Box<str>]>,
}

#[derive(Clone, PartialEq, Debug)]
enum Segment {
    One(Glob),
    Any,
}

impl Text for PathPattern {
    const WHAT: &'static str = "a path pattern";
    const EXPECTED: &'static str = "a path that begins with /, without query, percent-encoded as on the wire, with * \
        for any text in a segment, ** for any number of segments, {name} for text that tags may use, such as \
        \"/img/**\" or \"/users/{id}\"";

    fn from_text(text: &str) -> Option<Self> {
        let path = text.strip_prefix('/')?;
        let plain = |b: u8| b.is_ascii_graphic() && !b"?#\"\\".contains(&b);
        if text.len() > PATTERN_BYTES_MAX || !path.bytes().all(plain) {
            return None;
        }
        let mut names = Vec::new();
        let segments: Option<Vec<_>> = path.split('/').map(|text| Segment::parse(text, &mut names)).collect();
        let segments = segments?;
        // `**/**` says no more than `**`.
        let twice = segments.windows(2).any(|pair| matches!(pair, [Segment::Any, Segment::Any]));
        (!twice).then(|| PathPattern { segments: segments.into(), names: names.into() })
    }
}

impl Segment {
    fn parse(text: &str, names: &mut Vec<Box<str>>) -> Option<Segment> {
        if text == "**" {
            return Some(Segment::Any);
        }
        let (head, mut left) = split_at_gap(text)?;
        let mut rest: Vec<(Gap, Box<[u8]>)> = Vec::new();
        while let Some((name, after)) = left {
            let (piece, next) = split_at_gap(after)?;
            // Nothing says where one gap ends and the next begins.
            if piece.is_empty() && next.is_some() {
                return None;
            }
            rest.push((
                Gap { len_min: usize::from(name.is_some()), captured: name.is_some() },
                piece.as_bytes().into(),
            ));
            if let Some(name) = name {
                names.push(capture_name(name, names)?);
            }
            left = next;
        }
        Some(Segment::One(Glob { head: head.as_bytes().into(), rest: rest.into() }))
    }
}

/// A `*` or a `{name}`, and what follows it.
type GapText<'t> = (Option<&'t str>, &'t str);

/// The literal text up to the next gap, and that gap with what follows. None when a brace has no partner.
fn split_at_gap(text: &str) -> Option<(&str, Option<GapText<'_>>)> {
    let Some(at) = text.find(['*', '{', '}']) else { return Some((text, None)) };
    let (literal, gap) = text.split_at_checked(at)?;
    if let Some(after) = gap.strip_prefix('*') {
        return Some((literal, Some((None, after))));
    }
    let (name, after) = gap.strip_prefix('{')?.split_once('}')?;
    Some((literal, Some((Some(name), after))))
}

fn capture_name(name: &str, names: &[Box<str>]) -> Option<Box<str>> {
    let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let new = !names.iter().any(|known| **known == *name);
    (plain && new).then(|| name.into())
}

impl PathPattern {
    /// What every path it matches begins with.
    pub(super) fn prefix(&self) -> Vec<u8> {
        let mut prefix = Vec::new();
        for segment in &self.segments {
            // `/a/**` also matches `/a`.
            let Segment::One(glob) = segment else { break };
            prefix.push(b'/');
            prefix.extend_from_slice(glob.prefix());
            if glob.literal().is_none() {
                break;
            }
        }
        prefix
    }

    /// What every path it matches ends with.
    pub(super) fn suffix(&self) -> Vec<u8> {
        let mut pieces = Vec::new();
        for segment in self.segments.iter().rev() {
            let Segment::One(glob) = segment else { break };
            pieces.push(glob.suffix());
            if glob.literal().is_none() {
                break;
            }
            pieces.push(b"/");
        }
        pieces.reverse();
        pieces.concat()
    }

    pub(super) fn matches(&self, path: &[u8]) -> bool {
        self.walk(path, &mut |_, _| {})
    }

    /// What stands for each of [`PathPattern::names`], when it matches.
    pub(super) fn captures<'p>(&self, path: &'p [u8]) -> Option<Vec<&'p [u8]>> {
        // A segment that is tried again further right is assigned again.
        let mut assigned: Vec<&[u8]> = vec![b""; self.segments.len()];
        let matched = self.walk(path, &mut |at, text| {
            if let Some(place) = assigned.get_mut(at) {
                *place = text;
            }
        });
        let mut captured = Vec::with_capacity(self.names.len());
        for (segment, text) in self.segments.iter().zip(assigned) {
            if let Segment::One(glob) = segment {
                glob.captures(text, &mut |capture| captured.push(capture));
            }
        }
        matched.then_some(captured)
    }

    /// Goes through the path's segments; after a failure behind a `**` it lets that one take a segment more. Only
    /// the last `**` is worth trying again, so each segment of the path meets each of the pattern at most once.
    fn walk<'p>(&self, path: &'p [u8], assign: &mut impl FnMut(usize, &'p [u8])) -> bool {
        let mut rest = path.strip_prefix(b"/");
        let mut at = 0;
        let mut retry = None;
        loop {
            match (self.segments.get(at), rest) {
                (None, None) => return true,
                (Some(Segment::Any), _) => {
                    at += 1;
                    if at == self.segments.len() {
                        return true;
                    }
                    retry = Some((at, rest));
                    continue;
                }
                (Some(Segment::One(glob)), Some(text)) => {
                    let (segment, after) = split_segment(text);
                    if glob.matches(segment) {
                        assign(at, segment);
                        at += 1;
                        rest = after;
                        continue;
                    }
                }
                (Some(Segment::One(_)), None) | (None, Some(_)) => {}
            }
            let Some((behind, Some(text))) = retry else { return false };
            rest = split_segment(text).1;
            at = behind;
            retry = Some((behind, rest));
        }
    }
}

fn split_segment(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    match text.iter().position(|&b| b == b'/') {
        Some(at) => (text.get(..at).unwrap_or_default(), text.get(at + 1..)),
        None => (text, None),
    }
}

deserialize_text!(HostPattern, TypePattern, ValuePattern, PathPattern);
