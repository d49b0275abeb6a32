//! HTTP/1.1 messages as bytes (RFC 9112): just enough to script both ends, and nothing that tidies what was said.

use std::io::{self, BufRead, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

pub type Fields = Vec<(String, Vec<u8>)>;

const CHUNK_BYTES: usize = 16 << 10;

/// The start line and the fields of a message.
pub struct Head {
    pub start: String,
    /// Names in lower case, in the order received.
    pub fields: Fields,
}

/// What came after the head.
#[derive(Default)]
pub struct Content {
    pub bytes: Vec<u8>,
    pub trailers: Fields,
    /// False when the connection ended before the body did.
    pub complete: bool,
}

/// How the end of a body is told (RFC 9112 §6.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Framing {
    None,
    Length(usize),
    Chunked,
    UntilClose,
}

impl Head {
    /// Reads a head; none when the connection ends before its first byte.
    pub fn read(from: &mut impl BufRead) -> io::Result<Option<Head>> {
        let start = match line(from)? {
            None => return Ok(None),
            Some(start) => String::from_utf8_lossy(&start).into_owned(),
        };
        Ok(Some(Head { start, fields: fields(from)? }))
    }

    /// All values of a field, as text.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = String> + 'a {
        self.fields
            .iter()
            .filter(move |(n, _)| n == name)
            .map(|(_, v)| String::from_utf8_lossy(v).into_owned())
    }

    /// Whether a value of the field has this token in it.
    pub fn has(&self, name: &str, token: &str) -> bool {
        self.all(name).any(|v| v.split(',').any(|t| t.trim().eq_ignore_ascii_case(token)))
    }

    pub fn request_framing(&self) -> Framing {
        self.explicit_framing().unwrap_or(Framing::None)
    }

    pub fn response_framing(&self, method: &str) -> Framing {
        match self.status() {
            101 => Framing::UntilClose, // Not a body: what comes through the tunnel.
            100..=199 | 204 | 304 => Framing::None,
            _ if method == "HEAD" => Framing::None,
            _ => self.explicit_framing().unwrap_or(Framing::UntilClose),
        }
    }

    pub fn status(&self) -> u16 {
        self.word(1).parse().unwrap_or_default()
    }

    /// A word of the start line, counted from 0.
    pub fn word(&self, index: usize) -> &str {
        self.start.splitn(3, ' ').nth(index).unwrap_or_default()
    }

    fn explicit_framing(&self) -> Option<Framing> {
        if self.has("transfer-encoding", "chunked") {
            return Some(Framing::Chunked);
        }
        let length = self.all("content-length").next()?;
        length.parse().ok().map(Framing::Length)
    }
}

impl Content {
    /// Reads a body to its end, or as far as it comes.
    pub fn read(from: &mut impl BufRead, framing: Framing) -> Content {
        let mut content = Content::default();
        content.complete = content.fill(from, framing).is_ok();
        content
    }

    fn fill(&mut self, from: &mut impl BufRead, framing: Framing) -> io::Result<()> {
        match framing {
            Framing::None => Ok(()),
            Framing::Length(length) => self.take(from, length),
            Framing::UntilClose => from.read_to_end(&mut self.bytes).map(drop),
            Framing::Chunked => loop {
                let size = line(from)?.ok_or(io::ErrorKind::UnexpectedEof)?;
                let size = usize::from_str_radix(String::from_utf8_lossy(&size).trim(), 16)
                    .map_err(|_| io::ErrorKind::InvalidData)?;
                if size == 0 {
                    self.trailers = fields(from)?;
                    return Ok(());
                }
                self.take(from, size)?;
                line(from)?.ok_or(io::ErrorKind::UnexpectedEof)?;
            },
        }
    }

    fn take(&mut self, from: &mut impl BufRead, length: usize) -> io::Result<()> {
        let got = from.by_ref().take(length as u64).read_to_end(&mut self.bytes)?;
        if got == length { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

/// Writes a head: the start line and these fields, as they are.
pub fn head(start: &str, fields: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = format!("{start}\r\n").into_bytes();
    for (name, value) in fields {
        field(&mut bytes, name, value);
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

/// Writes one field line.
pub fn field(to: &mut Vec<u8>, name: &str, value: &[u8]) {
    let _ = write!(to, "{name}: ");
    to.extend_from_slice(value);
    to.extend_from_slice(b"\r\n");
}

/// Writes a chunked body and its trailers.
pub fn chunked(to: &mut Vec<u8>, body: &[u8], trailers: &[(String, Vec<u8>)]) {
    for chunk in body.chunks(CHUNK_BYTES) {
        to.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
        to.extend_from_slice(chunk);
        to.extend_from_slice(b"\r\n");
    }
    to.extend_from_slice(b"0\r\n");
    for (name, value) in trailers {
        field(to, name, value);
    }
    to.extend_from_slice(b"\r\n");
}

/// Field lines up to the empty one.
fn fields(from: &mut impl BufRead) -> io::Result<Fields> {
    let mut fields = Fields::new();
    loop {
        let line = line(from)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        if line.is_empty() {
            return Ok(fields);
        }
        let colon = line.iter().position(|b| *b == b':').ok_or(io::ErrorKind::InvalidData)?;
        let name = String::from_utf8_lossy(&line[..colon]).to_ascii_lowercase();
        fields.push((name, line[colon + 1..].trim_ascii().to_vec()));
    }
}

/// A line without its end; none at the end of the stream.
fn line(from: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    if from.read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.pop() != Some(b'\n') {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(Some(line))
}

/// Reads from a socket, until then and no longer.
pub struct Until {
    pub stream: TcpStream,
    pub deadline: Instant,
}

impl Read for Until {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        self.stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
        self.stream.read(to)
    }
}
