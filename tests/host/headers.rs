//! Envoy's header map: lower-case names, pseudo-headers first, some fields held as one joined value.

/// Limits of the host when it decodes a serialised map (`PAIRS_MAX_COUNT`, `PAIRS_MAX_BYTES`).
const PAIRS_MAX: usize = 1024;
const PAIRS_BYTES_MAX: usize = 1 << 20;

/// Fields that Envoy keeps inline: a second line is appended to the first one after a comma without a space.
const INLINE: &[&str] = &[
    "cache-control",
    "connection",
    "content-encoding",
    "content-type",
    "keep-alive",
    "proxy-connection",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-request-id",
];
/// The same in requests only.
const INLINE_IN_REQUESTS: &[&str] = &[
    "accept",
    "accept-encoding",
    "access-control-request-headers",
    "access-control-request-method",
    "authorization",
    "cdn-loop",
    "grpc-timeout",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "origin",
    "pragma",
    "referer",
    "te",
    "user-agent",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
];
/// The same in responses only.
const INLINE_IN_RESPONSES: &[&str] = &[
    "access-control-allow-credentials",
    "access-control-allow-headers",
    "access-control-allow-methods",
    "access-control-allow-origin",
    "access-control-expose-headers",
    "access-control-max-age",
    "age",
    "date",
    "etag",
    "expires",
    "grpc-message",
    "grpc-status",
    "last-modified",
    "location",
    "server",
    "vary",
];

/// Field lines in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeaderMap(pub Vec<(String, Vec<u8>)>);

impl HeaderMap {
    pub fn new() -> Self {
        HeaderMap(Vec::new())
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of the first line.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_slice())
    }

    /// The value of the first line as text; empty when absent.
    pub fn text(&self, name: &str) -> String {
        self.get(name).map(|v| String::from_utf8_lossy(v).into_owned()).unwrap_or_default()
    }

    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// `addCopy`: a new line at the end, or a longer value where Envoy keeps the field inline.
    pub fn add(&mut self, name: &str, value: impl AsRef<[u8]>) {
        let name = name.to_ascii_lowercase();
        if self.is_inline(&name)
            && let Some((_, joined)) = self.0.iter_mut().find(|(n, _)| *n == name)
        {
            joined.push(b',');
            joined.extend_from_slice(value.as_ref());
            return;
        }
        let line = (name, value.as_ref().to_vec());
        if line.0.starts_with(':') {
            let at = self.0.iter().take_while(|(n, _)| n.starts_with(':')).count();
            self.0.insert(at, line);
        } else {
            self.0.push(line);
        }
    }

    fn is_inline(&self, name: &str) -> bool {
        let own = match self.0.first().map(|(first, _)| first.as_str()) {
            Some(":status") => INLINE_IN_RESPONSES,
            Some(first) if first.starts_with(':') => INLINE_IN_REQUESTS,
            _ => return name.starts_with(':'),
        };
        name.starts_with(':') || INLINE.contains(&name) || own.contains(&name)
    }

    /// `setCopy`: the first line gets the value, other lines go away.
    pub fn set(&mut self, name: &str, value: impl AsRef<[u8]>) {
        let name = name.to_ascii_lowercase();
        match self.0.iter().position(|(n, _)| *n == name) {
            Some(first) => {
                self.0[first].1 = value.as_ref().to_vec();
                let mut at = 0;
                self.0.retain(|(n, _)| {
                    at += 1;
                    at - 1 <= first || *n != name
                });
            }
            None => self.add(&name, value),
        }
    }

    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
    }

    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.0.retain(|(n, _)| keep(n));
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(n, v)| (n.as_str(), v.as_slice()))
    }

    /// The members of a comma-separated field, in lower case.
    pub fn members(&self, name: &str) -> Vec<String> {
        self.iter()
            .filter(|(n, _)| *n == name)
            .flat_map(|(_, v)| {
                let text = String::from_utf8_lossy(v).to_ascii_lowercase();
                text.split(',').map(|m| m.trim().to_owned()).collect::<Vec<_>>()
            })
            .collect()
    }

    /// The form in which maps cross the ABI.
    pub fn to_wire(&self) -> Vec<u8> {
        let mut wire = (self.0.len() as u32).to_le_bytes().to_vec();
        for (name, value) in &self.0 {
            wire.extend_from_slice(&(name.len() as u32).to_le_bytes());
            wire.extend_from_slice(&(value.len() as u32).to_le_bytes());
        }
        for (name, value) in &self.0 {
            wire.extend_from_slice(name.as_bytes());
            wire.push(0);
            wire.extend_from_slice(value);
            wire.push(0);
        }
        wire
    }

    /// The lines of a map that came over the ABI. Past its limits the host decodes it to no lines at all, and
    /// says nothing.
    pub fn lines_from_wire(wire: &[u8]) -> Vec<(String, Vec<u8>)> {
        if wire.len() > PAIRS_BYTES_MAX {
            return Vec::new();
        }
        decode(wire).unwrap_or_default()
    }
}

impl<N: AsRef<str>, V: AsRef<[u8]>> FromIterator<(N, V)> for HeaderMap {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(lines: I) -> Self {
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            map.add(name.as_ref(), value);
        }
        map
    }
}

fn decode(wire: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
    let number = |at: usize| Some(u32::from_le_bytes(wire.get(at..at + 4)?.try_into().ok()?) as usize);
    let count = number(0)?;
    if count > PAIRS_MAX {
        return None;
    }
    let mut at = 4 + count * 8;
    let mut take = |len: usize| {
        let bytes = wire.get(at..at + len)?;
        at += len + 1;
        Some(bytes)
    };
    (0..count)
        .map(|line| {
            let name = String::from_utf8_lossy(take(number(4 + line * 8)?)?).into_owned();
            Some((name, take(number(8 + line * 8)?)?.to_vec()))
        })
        .collect()
}
